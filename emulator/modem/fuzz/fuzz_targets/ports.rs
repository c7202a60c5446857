//! Arbitrary bytes for both ports of every model, with time passing and a card that answers anything.

#![no_main]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use modem::{Card, Model, Modem, ModemEvent, Observer, Timing};

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
    let check = |output: modem::Output| {
        for write in output.writes {
            assert!(write.port < 8 && !write.bytes.is_empty());
        }
    };
    COUNTS.store(true, Ordering::Relaxed);
    for (piece, bytes) in input.split(|byte| *byte == 0xFE).enumerate() {
        now += Duration::from_millis(u64::from(*bytes.first().unwrap_or(&0)) * 7);
        check(modem.receive_at(piece % 2, bytes, now));
        match bytes.last() {
            Some(0xF0) => check(modem.hang_up(piece % 2)),
            Some(0xF1) => check(modem.drop_line(piece % 2)),
            Some(0xF2) => check(modem.deliver_message("123", "x").unwrap_or_default()),
            Some(0xF3) => check(modem.set_card(None)),
            Some(0xF4) => check(modem.reset()),
            _ => {}
        }
    }
    COUNTS.store(false, Ordering::Relaxed);
    // Whatever was said: after the host has gone and the module was restarted, AT&F brings a known state back, and AT
    // is answered.
    check(modem.reset());
    while let Some(due) = modem.deadline().filter(|due| *due < now + Duration::from_secs(60)) {
        now = now.max(due);
        check(modem.tick(now));
    }
    for port in 0..modem.port_count() {
        check(modem.hang_up(port));
        // The usual terminator, then any: S3 may have been stored.
        let brought_back = [b'\r'].into_iter().chain(0..=127).any(|terminator| {
            answer(&mut modem, port, &[b'A', b'T', b'&', b'F', terminator], &mut now);
            check(modem.hang_up(port));
            answer(&mut modem, port, b"ATE0\r", &mut now);
            answer(&mut modem, port, b"AT\r", &mut now).starts_with("\r\nOK\r\n")
        });
        assert!(brought_back, "port {port} does not answer AT");
    }
});

/// What a port says to these bytes within a second.
fn answer(modem: &mut Modem, port: usize, bytes: &[u8], now: &mut Duration) -> String {
    let mut said = modem.receive_at(port, bytes, *now).for_port(port);
    *now += Duration::from_secs(1);
    said.extend(modem.tick(*now).for_port(port));
    String::from_utf8_lossy(&said).into_owned()
}
