//! `esimlab bench at`: the round trip of a command on the modem's terminal, beside a bare echo of the same line on a
//! pseudo-terminal in the same run; and what a fleet of modems in one process costs.
//!
//! Rounds of the modem and of the echo take turns, so that what else the machine does falls on both alike.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use euicc::{CardConfig, Euicc};
use modem::{Model, Modem, RunningModem};
use rsp::crypto::{Curve, SeededRandom};
use rustix::fs::{Mode, OFlags};

use crate::bench::pseudo_terminal;
use crate::cli::{Abort, runtime};
use crate::lab::{DEFAULT_MODEL, Lab, system_time};
use crate::runner::result::exit;

/// The arguments of `esimlab bench at`.
#[derive(Debug, Args)]
pub struct AtArgs {
    /// How many round trips of each command
    #[arg(short = 'n', long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    rounds: u32,

    /// How many modems in the fleet
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=1900))]
    fleet: u16,
}

/// Runs the benchmark.
pub(crate) fn run(args: &AtArgs) -> Result<u8, Abort> {
    let runtime = runtime()?;
    let _entered = runtime.enter();
    if cfg!(debug_assertions) {
        print("This is a debug build: `cargo run --release -- bench at` measures what users get.\n\n");
    }
    // First, while nothing else in this process has memory that could be used again.
    let fleet = fleet(usize::from(args.fleet))?;
    let lab = Lab::builder().start().map_err(|error| Abort::lab(error.to_string()))?;
    let mut modem = Line::open(lab.tty()).map_err(failed)?;
    let mut echo = Echo::start().map_err(failed)?;
    modem.exchange(b"ATE0\r", b"OK\r\n").map_err(failed)?;
    modem.exchange(b"AT+CCHO=\"A0000005591010FFFFFFFF8900000100\"\r", b"OK\r\n").map_err(failed)?;
    // 125 bytes: a segment of 120 bytes that is not the last one, as LPAs send them.
    let segment = format!("AT+CGLA=1,250,\"81E2110078{}\"\r", "5A".repeat(120));
    print(&format!("{} round trips each, modem and bare echo of the same line in turns\n\n", args.rounds));
    print("                              median       p99      median       p99    ratios\n");
    for (name, line) in [("AT", "AT\r"), ("AT+CGLA, 250 digits", segment.as_str())] {
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for round in 0..args.rounds + args.rounds / 10 {
            let modem_took = modem.exchange(line.as_bytes(), b"OK\r\n").map_err(failed)?;
            let echo_took = echo.exchange(line.as_bytes()).map_err(failed)?;
            // The first ones warm up.
            if round >= args.rounds / 10 {
                ours.push(modem_took);
                bare.push(echo_took);
            }
        }
        let ([median, p99], [bare_median, bare_p99]) = (quantiles(&mut ours), quantiles(&mut bare));
        let ratio = |ours: Duration, bare: Duration| ours.as_secs_f64() / bare.as_secs_f64().max(1e-9);
        print(&format!(
            "{name:<22} modem {:>8} {:>9}   echo {:>6} {:>9}   {:.2} {:.2}\n",
            micros(median),
            micros(p99),
            micros(bare_median),
            micros(bare_p99),
            ratio(median, bare_median),
            ratio(p99, bare_p99)
        ));
    }
    print(&fleet);
    Ok(exit::PASSED)
}

fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn failed(error: std::io::Error) -> Abort {
    Abort::lab(format!("the terminal: {error}"))
}

fn micros(time: Duration) -> String {
    format!("{:.1} us", time.as_secs_f64() * 1e6)
}

/// Median and 99th percentile.
fn quantiles(times: &mut [Duration]) -> [Duration; 2] {
    times.sort_unstable();
    [50, 99].map(|share| times.get(times.len().saturating_sub(1) * share / 100).copied().unwrap_or_default())
}

/// A host at a terminal.
struct Line(File);

impl Line {
    fn open(path: &Path) -> std::io::Result<Self> {
        let file = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Line(file.into()))
    }

    /// Sends a line and reads until the answer ends so. How long it took.
    fn exchange(&mut self, line: &[u8], end: &[u8]) -> std::io::Result<Duration> {
        let began = Instant::now();
        self.0.write_all(line)?;
        let mut answer = Vec::new();
        let mut buffer = [0; 1024];
        while !answer.ends_with(end) {
            let count = self.0.read(&mut buffer)?;
            answer.extend_from_slice(&buffer[..count]);
            if count == 0 || answer.ends_with(b"ERROR\r\n") {
                return Err(std::io::Error::other(format!("unexpected {:?}", String::from_utf8_lossy(&answer))));
            }
        }
        Ok(began.elapsed())
    }
}

/// A bare pseudo-terminal with a thread behind it that sends everything back.
struct Echo(File);

impl Echo {
    fn start() -> std::io::Result<Self> {
        let (mut master, slave) = pseudo_terminal()?;
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // With the last slave closed, reading fails and the thread ends.
            while let Ok(count @ 1..) = master.read(&mut buffer) {
                if master.write_all(&buffer[..count]).is_err() {
                    return;
                }
            }
        });
        Ok(Echo(slave))
    }

    fn exchange(&mut self, line: &[u8]) -> std::io::Result<Duration> {
        let began = Instant::now();
        self.0.write_all(line)?;
        let mut buffer = vec![0; line.len()];
        self.0.read_exact(&mut buffer)?;
        Ok(began.elapsed())
    }
}

/// A card of the fleet.
struct Card(Euicc);

impl modem::Card for Card {
    fn reset(&mut self) -> Vec<u8> {
        let answer = self.0.reset();
        self.0.drain_events();
        answer
    }

    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        let response = self.0.transmit(apdu, system_time());
        self.0.drain_events();
        response
    }
}

/// Starts this many modems, has every terminal answer, and says what it took.
fn fleet(count: usize) -> Result<String, Abort> {
    let lab = |error: &dyn std::fmt::Display| Abort::lab(error.to_string());
    // Each modem has two terminals of three descriptors.
    let wanted = rustix::process::Rlimit { current: Some(count as u64 * 6 + 256), maximum: None };
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if limit.current.is_some_and(|current| Some(current) < wanted.current) {
        let raised = rustix::process::Rlimit { maximum: limit.maximum, ..wanted };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, raised)
            .map_err(|error| Abort::lab(format!("{count} modems need {:?} descriptors: {error}", wanted.current)))?;
    }
    let spec = pki::PkiSpec { curves: vec![Curve::P256], ..pki::PkiSpec::default() };
    let pki =
        pki::Pki::generate(&spec, &mut SeededRandom::new(1, "fleet"), system_time()).map_err(|error| lab(&error))?;
    let eid = *pki.eids().first().ok_or_else(|| Abort::lab("the PKI has no eUICC"))?;
    let known = pki.euicc(Curve::P256, &eid).ok_or_else(|| Abort::lab("the PKI has no eUICC"))?;
    let credentials = euicc::Credentials {
        ci: known.ci.clone(),
        eum: known.eum.clone(),
        euicc: known.euicc.certificate.clone(),
        key: known.euicc.key.clone(),
    };
    let config = CardConfig::new(eid, vec![credentials]);
    let model = Model::named(DEFAULT_MODEL).map_err(|error| lab(&error))?;
    let before = resident();
    let began = Instant::now();
    let mut modems = Vec::with_capacity(count);
    for number in 0..count {
        let card = Euicc::new(config.clone(), Box::new(SeededRandom::new(number as u64, "card")));
        let modem = Modem::new(model.clone(), Box::new(Card(card)));
        modems.push(RunningModem::start(modem).map_err(failed)?);
    }
    let started = began.elapsed();
    for modem in &modems {
        for tty in modem.ttys() {
            Line::open(tty).and_then(|mut line| line.exchange(b"AT\r", b"OK\r\n")).map_err(failed)?;
        }
    }
    let answered = began.elapsed();
    let each = resident().saturating_sub(before) / count as u64;
    Ok(format!(
        "\n{count} modems of {} terminals each, every one with an eUICC\n  all up after                  {:.2} s\n  all terminals have answered   {:.2} s\n  memory                        {:.1} kB each\n",
        model.ports.at,
        started.as_secs_f64(),
        answered.as_secs_f64(),
        each as f64 / 1e3
    ))
}

/// The resident memory of this process, in bytes; 0 when the system does not tell.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
