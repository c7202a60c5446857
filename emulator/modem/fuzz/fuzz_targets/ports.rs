//! Arbitrary bytes for both ports of every model, with time passing, a card that answers anything, and sockets, a network
//! and downloads that do what the input says.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use modem::network::{Change, SubscriptionState};
use modem::{
    Card, DownloadJob, DownloadResult, DownloadTicket, Downloader, IpError, Model, Modem, ModemEvent, Observer, Output,
    SocketEvent, SocketId, SocketRequest, Timing,
};

static LINES: AtomicU64 = AtomicU64::new(0);

/// Whether the lines are those of the input: what is said afterwards does not count.
static COUNTS: AtomicBool = AtomicBool::new(false);

/// Counts command lines.
struct Count;

impl Observer for Count {
    fn event(&mut self, event: ModemEvent<'_>) {
        if let ModemEvent::Command { .. } = event
            && COUNTS.load(Ordering::Relaxed)
        {
            let lines = LINES.fetch_add(1, Ordering::Relaxed) + 1;
            if lines.is_multiple_of(1_000_000) {
                eprintln!("{lines} command lines");
            }
        }
    }
}

/// A card that answers from a list, and plausibly when the list has nothing.
struct Wild(Vec<Vec<u8>>, usize);

impl Card for Wild {
    fn reset(&mut self) -> Vec<u8> {
        vec![0x3B, 0x00]
    }

    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        self.1 += 1;
        if let Some(answer) = self.0.get(self.1 % (self.0.len() * 2).max(1)) {
            return answer.clone();
        }
        match apdu {
            [_, 0x70, 0x00, ..] => vec![0x01, 0x90, 0x00],
            // The FCP of a file with records of 24 bytes.
            [_, 0xA4, ..] => {
                vec![0x62, 0x0B, 0x82, 0x05, 0x42, 0x21, 0x00, 0x18, 0x03, 0x80, 0x02, 0x00, 0x48, 0x90, 0x00]
            }
            [_, 0xB0 | 0xB2, _, _, length] => {
                let mut answer = vec![0x21; usize::from(*length)];
                answer.extend([0x90, 0x00]);
                answer
            }
            _ => vec![0x90, 0x00],
        }
    }
}

/// Downloads that are only begun.
#[derive(Clone, Default)]
struct Begun(Arc<Mutex<Vec<DownloadTicket>>>);

impl Downloader for Begun {
    fn start(&mut self, job: DownloadJob) -> bool {
        self.0.lock().unwrap().push(job.ticket);
        !job.activation_code.is_empty()
    }
}

/// What the modem wants done outside, and what becomes of it.
#[derive(Default)]
struct World {
    wanted: Vec<SocketRequest>,
    known: Vec<SocketId>,
    accepted: u64,
    downloads: Begun,
}

impl World {
    /// Takes what the modem puts out.
    fn take(&mut self, output: Output) {
        for write in output.writes {
            assert!(write.port < 8 && !write.bytes.is_empty());
        }
        self.wanted.extend(output.requests);
    }

    /// Does what is wanted, with success or without.
    fn serve(&mut self, modem: &mut Modem, works: bool, now: Duration) {
        let remote = SocketAddr::from(([192, 0, 2, 1], 443));
        for request in std::mem::take(&mut self.wanted) {
            let event = match request {
                SocketRequest::Open { id, .. } | SocketRequest::Listen { id, .. } => {
                    self.known.push(id);
                    match works {
                        true => SocketEvent::Opened { id, local_port: 1024, remote: Some(remote) },
                        false => SocketEvent::Failed { id, error: IpError::Timeout },
                    }
                }
                SocketRequest::Send { id, bytes, .. } => SocketEvent::Sent { id, count: bytes.len() },
                SocketRequest::Close { id, .. } => SocketEvent::Ended { id },
                SocketRequest::Resolve { id, .. } => {
                    let addresses = if works { vec![IpAddr::V4(Ipv4Addr::LOCALHOST)] } else { Vec::new() };
                    SocketEvent::Resolved { id, addresses }
                }
            };
            let output = modem.socket_event(event, now);
            self.take(output);
        }
    }

    /// Something happens to one of the sockets.
    fn happen(&mut self, modem: &mut Modem, what: u8, bytes: &[u8], now: Duration) {
        let Some(id) = self.known.get(usize::from(what) / 4 % self.known.len().max(1)).copied() else { return };
        let remote = SocketAddr::from(([192, 0, 2, 2], 1025));
        let event = match what % 4 {
            0 => SocketEvent::Received { id, bytes: bytes.to_vec(), from: Some(remote) },
            1 => SocketEvent::Closed { id },
            2 => SocketEvent::Failed { id, error: IpError::SocketClosed },
            _ => {
                self.accepted += 1;
                let accepted = SocketId(SocketId::ACCEPTED | self.accepted);
                self.known.push(accepted);
                SocketEvent::Accepted { listener: id, id: accepted, remote, local_port: 1024 }
            }
        };
        let output = modem.socket_event(event, now);
        self.take(output);
        for id in self.known.iter().rev().take(4) {
            let _ = modem.flow(*id);
        }
    }

    /// The last download that was begun goes on, or ends.
    fn download(&mut self, modem: &mut Modem, how: u8) {
        let Some(ticket) = self.downloads.0.lock().unwrap().last().copied() else { return };
        let output = match how % 4 {
            0 => modem.progress_of_download(ticket, how),
            1 => modem.finish_download(ticket, DownloadResult::Success),
            2 => modem.finish_download(ticket, DownloadResult::Other),
            _ => {
                let _ = modem.open_for_download(ticket);
                let _ = modem.transmit_for_download(ticket, &[0x80, 0xE2, 0x91, 0x00, 0x00]);
                Output::default()
            }
        };
        self.take(output);
    }
}

fn models() -> &'static [Model] {
    static MODELS: OnceLock<Vec<Model>> = OnceLock::new();
    MODELS.get_or_init(|| Model::names().into_iter().filter_map(|name| Model::named(name).ok()).collect())
}

fuzz_target!(|data: &[u8]| {
    // The first byte chooses the model and the timing, the second how much of the input the card gets.
    let [choice, share, rest @ ..] = data else { return };
    let all = models();
    let mut model = all[usize::from(*choice & 0x7F) % all.len()].clone();
    if choice & 0x80 != 0 {
        model.timing = Timing::Realistic;
    }
    let (answers, input) = rest.split_at(rest.len() * usize::from(share % 8) / 16);
    let answers = answers.split(|byte| *byte == 0).map(<[u8]>::to_vec).filter(|answer| !answer.is_empty()).collect();
    let mut modem = Modem::observed(model, Some(Box::new(Wild(answers, 0))), Box::new(Count));
    let mut now = Duration::from_secs(1_000_000_000);
    modem.set_time(now);
    let mut world = World::default();
    modem.set_downloader(Box::new(world.downloads.clone()));
    COUNTS.store(true, Ordering::Relaxed);
    for (piece, bytes) in input.split(|byte| *byte == 0xFE).enumerate() {
        let first = *bytes.first().unwrap_or(&0);
        now += Duration::from_millis(u64::from(first) * 7);
        let output = modem.receive_at(piece % 2, bytes, now);
        world.take(output);
        let output = match bytes.last() {
            Some(0xF0) => modem.hang_up(piece % 2),
            Some(0xF1) => modem.drop_line(piece % 2),
            Some(0xF2) => modem.deliver_message("123", "x").unwrap_or_default(),
            Some(0xF3) => modem.set_card(None),
            Some(0xF4) => modem.reset(),
            Some(0xF7) => modem.change_network(&change(first)).unwrap_or_default(),
            Some(0xF9) => modem.wake(),
            Some(0xFA) => modem.announce("+X: 1"),
            _ => Output::default(),
        };
        world.take(output);
        match bytes.last() {
            Some(0xF5) => world.happen(&mut modem, first, bytes, now),
            Some(0xF6) => world.serve(&mut modem, false, now),
            Some(0xF8) => world.download(&mut modem, first),
            // Mostly the world works.
            _ if first % 4 != 0 => world.serve(&mut modem, true, now),
            _ => {}
        }
        let _ = modem.is_congested(piece % 2);
    }
    COUNTS.store(false, Ordering::Relaxed);
    // Whatever was said: after the host has gone and the module was restarted, AT&F brings a known state back, and AT
    // is answered.
    let output = modem.reset();
    world.take(output);
    while let Some(due) = modem.deadline().filter(|due| *due < now + Duration::from_secs(60)) {
        now = now.max(due);
        let output = modem.tick(now);
        world.take(output);
    }
    for port in 0..modem.port_count() {
        let _ = modem.hang_up(port);
        // The usual terminator, then any: S3 may have been stored.
        let brought_back = [b'\r'].into_iter().chain(0..=127).any(|terminator| {
            answer(&mut modem, port, &[b'A', b'T', b'&', b'F', terminator], &mut now);
            let _ = modem.hang_up(port);
            answer(&mut modem, port, b"ATE0\r", &mut now);
            answer(&mut modem, port, b"AT\r", &mut now).starts_with("\r\nOK\r\n")
        });
        assert!(brought_back, "port {port} does not answer AT");
    }
});

/// A change of the network.
fn change(choice: u8) -> Change {
    match choice % 8 {
        0 => Change::State(SubscriptionState::Blocked),
        1 => Change::State(SubscriptionState::Active),
        2 => Change::Data(false),
        3 => Change::Data(true),
        4 => Change::Sms(choice > 127),
        5 => Change::Apns(vec!["iot.example".to_owned()]),
        6 => Change::Roaming(choice > 127),
        _ => Change::Reset,
    }
}

/// What a port says to these bytes within a second.
fn answer(modem: &mut Modem, port: usize, bytes: &[u8], now: &mut Duration) -> String {
    let mut said = modem.receive_at(port, bytes, *now).for_port(port);
    *now += Duration::from_secs(1);
    said.extend(modem.tick(*now).for_port(port));
    String::from_utf8_lossy(&said).into_owned()
}
