//! Modems on pseudo-terminals, with hosts as programs are: blocking, knowing nothing of the modem.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{OptionalActions, SpecialCodeIndex};

use super::*;
use crate::event::{ModemEvent, Observer};
use crate::model::Model;
use crate::testing::Sketch;

/// How long something that must happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A host at a terminal, as programs are: blocking, knowing nothing of the modem.
struct Host(File);

impl Host {
    fn open(path: &Path) -> Self {
        Host(File::from(
            rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap(),
        ))
    }

    fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    fn await_input(&self) {
        let mut events = [PollFd::new(&self.0, PollFlags::IN)];
        let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
        assert_eq!(poll(&mut events, Some(&patience)).unwrap(), 1, "nothing comes");
    }

    fn read(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            self.await_input();
            filled += self.0.read(&mut bytes[filled..]).unwrap();
        }
        String::from_utf8(bytes).unwrap()
    }

    fn expect(&mut self, text: &str) {
        assert_eq!(self.read(text.len()), text);
    }
}

struct Responses(Sender<()>);

impl Observer for Responses {
    fn event(&mut self, event: ModemEvent<'_>) {
        if let ModemEvent::Response { .. } = event {
            let _ = self.0.send(());
        }
    }
}

/// A running modem, and the count of the lines it has answered.
fn start() -> (tokio::runtime::Runtime, RunningModem, Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (sender, receiver) = channel();
    let model = Model::named("RM500Q-GL").unwrap();
    let modem = Modem::observed(model, Some(Sketch::of_the_note().card()), Box::new(Responses(sender)));
    let _entered = runtime.enter();
    let running = RunningModem::start(modem).unwrap();
    drop(_entered);
    (runtime, running, receiver)
}

/// Waits until something that happens by itself has happened.
fn until(condition: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "it does not happen");
        std::thread::yield_now();
    }
}

/// Waits until the host has gone and the task of the port knows it. (A process that another test starts may
/// keep its terminal open for a moment.)
fn until_left(running: &RunningModem) {
    until(|| !running.is_open(0) && !lock(&running.shared.port(0).unwrap().line).left);
}

#[test]
fn hosts_come_and_go() {
    let (_runtime, running, _) = start();
    let tty = running.ttys()[0].clone();
    for round in 0..3 {
        let mut host = Host::open(&tty);
        for fragment in ["A", "T+C", "GMI", "\r", "\n"] {
            host.send(fragment);
        }
        // The settings of a port outlive a host.
        host.expect(if round == 0 { "AT+CGMI\r" } else { "" });
        host.expect("\r\nQuectel\r\n\r\nOK\r\n");
        host.send("ATE0\r\n");
        host.expect(if round == 0 { "ATE0\r" } else { "" });
        host.expect("\r\nOK\r\n");
        host.send("AT\r\nAT+CGMM\r\n");
        host.expect("\r\nOK\r\n\r\nRM500Q-GL\r\n\r\nOK\r\n");
        assert!(running.is_open(0));
        drop(host);
        until_left(&running);
    }
}

#[test]
fn terminals_are_raw() {
    let (_runtime, running, _) = start();
    for tty in running.ttys() {
        let host = Host::open(tty);
        let attributes = termios::tcgetattr(&host.0).unwrap();
        assert!(!attributes.local_modes.intersects(termios::LocalModes::ECHO | termios::LocalModes::ICANON));
        assert!(!attributes.output_modes.contains(termios::OutputModes::OPOST));
        assert!(!attributes.input_modes.contains(termios::InputModes::ICRNL));
    }
}

#[test]
fn nothing_stale_for_the_next_host() {
    let (_runtime, running, answered) = start();
    let tty = running.ttys()[0].clone();
    // An answer that was not read.
    let mut host = Host::open(&tty);
    host.send("ATI\r");
    host.await_input();
    answered.recv_timeout(PATIENCE).unwrap();
    drop(host);
    until_left(&running);
    // What comes unasked while nobody is there.
    running.apply(|modem| modem.set_card(None));
    assert_eq!(running.dropped(0).idle, "\r\n+CPIN: NOT READY\r\n".len() as u64);
    // A command by somebody who does not wait for the answer, as `echo AT >` does.
    let mut host = Host::open(&tty);
    host.send("AT+CGMI\r");
    drop(host);
    answered.recv_timeout(PATIENCE).unwrap();
    until(|| !running.is_open(0));
    let mut host = Host::open(&tty);
    host.send("AT+CGMM\r");
    host.expect("AT+CGMM\r\r\nRM500Q-GL\r\n\r\nOK\r\n");
}

#[test]
fn an_unfinished_line_goes_with_its_host() {
    let (_runtime, running, _) = start();
    let mut host = Host::open(&running.ttys()[0]);
    host.send("AT+CG");
    drop(host);
    until_left(&running);
    let mut host = Host::open(&running.ttys()[0]);
    host.send("AT\r");
    host.expect("AT\r\r\nOK\r\n");
}

#[test]
fn exclusive_mode_goes_with_its_host() {
    let (_runtime, running, _) = start();
    let tty = running.ttys()[0].clone();
    // Root may open an exclusive terminal: another user has to try.
    std::fs::set_permissions(&tty, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let open_by_another = || {
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(": <> \"$0\"").arg(&tty).stderr(std::process::Stdio::null());
        if rustix::process::geteuid().is_root() {
            std::os::unix::process::CommandExt::uid(&mut shell, 65534);
        }
        shell.status().map(|status| status.success())
    };
    let Ok(true) = open_by_another() else {
        println!("skipped: no other process can open {}", tty.display());
        return;
    };
    until_left(&running);
    let host = Host::open(&tty);
    termios::ioctl_tiocexcl(&host.0).unwrap();
    assert!(!open_by_another().unwrap());
    drop(host);
    until_left(&running);
    assert!(open_by_another().unwrap());
}

#[test]
fn reads_that_do_not_wait_go_with_their_host() {
    let (_runtime, running, _) = start();
    let host = Host::open(&running.ttys()[0]);
    let mut attributes = termios::tcgetattr(&host.0).unwrap();
    attributes.special_codes[SpecialCodeIndex::VMIN] = 0;
    attributes.input_modes.insert(termios::InputModes::IXON);
    termios::tcsetattr(&host.0, OptionalActions::Now, &attributes).unwrap();
    drop(host);
    until_left(&running);
    let host = Host::open(&running.ttys()[0]);
    let attributes = termios::tcgetattr(&host.0).unwrap();
    assert_eq!(attributes.special_codes[SpecialCodeIndex::VMIN], 1);
    // What else was set stays, as on a serial port.
    assert!(attributes.input_modes.contains(termios::InputModes::IXON));
}

#[test]
fn a_host_that_does_not_read_hangs_nothing() {
    let (_runtime, running, answered) = start();
    let mut host = Host::open(&running.ttys()[0]);
    const COUNT: usize = 2000;
    let answer = "\r\nQuectel\r\nRM500Q-GL\r\nRevision: RM500QGLABR11A06M4G\r\n\r\nOK\r\n";
    host.send("ATE0\r");
    host.expect("ATE0\r\r\nOK\r\n");
    for _ in 0..COUNT {
        host.send("ATI\r");
    }
    for _ in 0..COUNT + 1 {
        answered.recv_timeout(PATIENCE).unwrap();
    }
    let mut other = Host::open(&running.ttys()[1]);
    other.send("AT\r");
    other.expect("AT\r\r\nOK\r\n");
    let overrun = running.dropped(0).overrun as usize;
    assert!(overrun > 0 && overrun < COUNT * answer.len());
    let kept = host.read(COUNT * answer.len() - overrun);
    assert!(kept.starts_with(&answer.repeat(100)));
    host.send("AT\r");
    host.expect("\r\nOK\r\n");
}

#[test]
fn urcs_reach_every_port_that_is_open() {
    let (_runtime, running, _) = start();
    let mut first = Host::open(&running.ttys()[0]);
    let mut second = Host::open(&running.ttys()[1]);
    first.send("ATE0\r");
    first.expect("ATE0\r\r\nOK\r\n");
    first.send("AT+QESIM=\"enable_profile\",2\r");
    let urcs = "\r\n+CPIN: READY\r\n\r\n+QUSIM: 1\r\n\r\n+QIND: SMS DONE\r\n\r\n+QIND: PB DONE\r\n";
    first.expect(&format!("\r\nOK\r\n{urcs}"));
    second.expect(urcs);
}

#[test]
fn several_hosts_at_one_terminal() {
    let (_runtime, running, _) = start();
    let mut host = Host::open(&running.ttys()[0]);
    assert!(running.is_open(0));
    let other = Host::open(&running.ttys()[0]);
    assert!(running.is_open(0));
    drop(other);
    host.send("AT\r");
    host.expect("AT\r\r\nOK\r\n");
    assert!(running.is_open(0));
    // Two opens that inotify made one of, and a close: whoever writes is there.
    running.shared.port(0).unwrap().closed();
    until_left(&running);
    host.send("AT\r");
    host.expect("AT\r\r\nOK\r\n");
    assert!(running.is_open(0));
    // And with events that were lost.
    running.shared.port(0).unwrap().unknown();
    host.send("AT\r");
    host.expect("AT\r\r\nOK\r\n");
}

#[test]
fn stops() {
    let (runtime, running, _) = start();
    let shared = Arc::downgrade(&running.shared);
    let _still_there = Host::open(&running.ttys()[0]);
    runtime.block_on(running.stop());
    assert!(shared.upgrade().is_none(), "its terminals are gone with it");
    // Outside of a runtime there is nobody to serve it.
    let model = Model::named("RM500Q-GL").unwrap();
    assert!(RunningModem::start(Modem::new(model, Sketch::of_the_note().card())).is_err());
}

/// Events that are equal and come at once are one to inotify: two hosts that leave at the same moment are two all the
/// same.
#[test]
fn hosts_that_leave_together() {
    let (_runtime, running, _) = start();
    let watch = Watch::of_process().unwrap();
    for count in 2..6 {
        let mut hosts = Vec::new();
        for _ in 0..count {
            hosts.push(Host::open(&running.ttys()[0]));
            // Each is seen as it comes.
            assert!(running.is_open(0));
        }
        let reading = lock(&watch.reading);
        drop(hosts);
        drop(reading);
        until_left(&running);
    }
}

#[test]
fn many_modems_in_one_process() {
    let (runtime, _, _) = start();
    let _entered = runtime.enter();
    let model = Model::named("RM500Q-GL").unwrap();
    let fleet: Vec<_> = (0..40)
        .map(|_| RunningModem::start(Modem::new(model.clone(), Sketch::of_the_note().card())).unwrap())
        .collect();
    for running in &fleet {
        let mut host = Host::open(&running.ttys()[0]);
        host.send("AT\r");
        host.expect("AT\r\r\nOK\r\n");
    }
}

#[test]
fn a_thousand_visits() {
    let (_runtime, running, _) = start();
    let tty = running.ttys()[0].clone();
    for round in 0..1000 {
        let mut host = Host::open(&tty);
        match round % 4 {
            // Nothing, an unfinished line, a command whose answer is not awaited, one that is read in part.
            0 => {}
            1 => host.send("AT+CG"),
            2 => host.send("AT+CGMI\r"),
            _ => {
                host.send("ATI\r");
                host.await_input();
            }
        }
    }
    until_left(&running);
    let mut host = Host::open(&tty);
    host.send("AT+CGMM\r");
    host.expect("AT+CGMM\r\r\nRM500Q-GL\r\n\r\nOK\r\n");
    assert!(running.is_open(0));
}

/// What the kernel does for a host that is killed: its terminal is closed, and that is all. With `&D2` the connection
/// ends with it (V.250 §6.2.9).
#[test]
fn a_host_that_vanishes_in_data_mode() {
    let (_runtime, running, _) = start();
    let tty = running.ttys()[0].clone();
    let mut host = Host::open(&tty);
    host.send("ATE0\r");
    host.expect("ATE0\r\r\nOK\r\n");
    for _ in 0..10 {
        host.send("ATD123\r");
        host.expect("\r\nCONNECT 115200\r\n");
        host.send("no AT in here");
        host.expect("no AT in here");
        drop(host);
        until_left(&running);
        host = Host::open(&tty);
        host.send("ATO\r");
        host.expect("\r\nNO CARRIER\r\n");
    }
}

/// A terminal has no rate: none of them keeps bytes from getting through. 0 hangs up, which in command mode does
/// nothing.
#[test]
fn any_rate() {
    let (_runtime, running, _) = start();
    let mut host = Host::open(&running.ttys()[0]);
    host.send("ATE0\r");
    host.expect("ATE0\r\r\nOK\r\n");
    for rate in [9600, 0, 115_200, 0, 921_600, 4_000_000] {
        let mut attributes = termios::tcgetattr(&host.0).unwrap();
        attributes.set_speed(rate).unwrap();
        termios::tcsetattr(&host.0, termios::OptionalActions::Now, &attributes).unwrap();
        host.send("AT\r");
        host.expect("\r\nOK\r\n");
    }
}
