//! `esimlab bench`: how long things take, beside the bare cost of what they are made of, measured in the same run.
//!
//! `bench download` runs the LPA as a process of its own against a lab in this process: terminal, TLS, server and card
//! are all real. What a download costs at least is measured beside it: the bare cryptography, a bare echo on a
//! pseudo-terminal with as many and as long lines, and the start of the process alone. What is measured is printed,
//! never judged.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use rsp::crypto::{CryptoError, Curve, PrivateKey, PublicKey, SeededRandom};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use smdp::{OrderSpec, Profile, ProfileSpec};

use crate::cli::{Abort, runtime};
use crate::lab::Lab;
use crate::runner::result::exit;
use crate::timeline::{Direction, Kind};

/// The arguments of `esimlab bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Time whole downloads: LPA process, terminal, TLS, server and card
    Download(DownloadArgs),
    /// Time the card alone: its commands beside the bare cryptography in them
    Card(crate::bench_card::CardArgs),
    /// Time round trips on the modem's terminal, and a fleet of modems
    At(crate::bench_at::AtArgs),
    /// Send data through terminal, modem and TLS: throughput, and that every byte arrives
    Data(crate::bench_data::DataArgs),
    /// Load the SM-DP+ with many cards: downloads per second, latency, processor time
    Smdp(crate::bench_smdp::SmdpBenchArgs),
}

/// The arguments of `esimlab bench download`.
#[derive(Debug, Args)]
pub struct DownloadArgs {
    /// How many downloads, one after the other
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,

    /// How many labs side by side in the second part; twice the processors when not given
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// The curve of all certificates and keys
    #[arg(long, default_value = "p256", value_parser = crate::up::parse_curve)]
    curve: Curve,
}

/// The block size of STORE DATA: the usual one of LPAs.
const SEGMENT: usize = 120;

/// Runs a benchmark.
pub(crate) fn run(command: &BenchCommand) -> Result<u8, Abort> {
    let args = match command {
        BenchCommand::Download(args) => args,
        BenchCommand::Card(args) => return crate::bench_card::run(args),
        BenchCommand::At(args) => return crate::bench_at::run(args),
        BenchCommand::Data(args) => return crate::bench_data::run(args),
        BenchCommand::Smdp(args) => return crate::bench_smdp::run(args),
    };
    let program = std::env::current_exe().map_err(|error| Abort::lab(format!("cannot find this program: {error}")))?;
    let runtime = runtime()?;
    let mut text = String::new();
    if cfg!(debug_assertions) {
        text += "This is a debug build: `cargo run --release -- bench download` measures what users get.\n\n";
    }
    let alone = runtime.block_on(one_after_the_other(args, &program))?;
    text += &alone.to_string();
    let _ = std::io::stdout().write_all(text.as_bytes());
    let jobs = args.jobs.map_or_else(|| 2 * std::thread::available_parallelism().map_or(2, usize::from), usize::from);
    let rate = runtime.block_on(side_by_side(args, &program, jobs))?;
    let memory = runtime.block_on(idle_memory(&program))?;
    let _ = writeln!(
        std::io::stdout(),
        "\nside by side, {jobs} labs          {rate:.0} downloads per second\nidle lab (`esimlab up`)         {:.1} MB resident",
        memory as f64 / 1e6
    );
    Ok(exit::PASSED)
}

fn built_in_profile() -> Result<ProfileSpec, Abort> {
    smdp::profile::built_in_named("operator-a").ok_or_else(|| Abort::lab("the profile operator-a is not built in"))
}

fn order(spec: &ProfileSpec, number: u32) -> Result<(String, OrderSpec), Abort> {
    let profile = Profile::build(&spec.numbered(number)).map_err(|error| Abort::lab(error.to_string()))?;
    let matching_id = format!("BENCH-{number}");
    Ok((matching_id.clone(), OrderSpec::new(matching_id, profile)))
}

/// One download by a process of its own; gives the time from its start to its end.
async fn download(lab: &Lab, program: &Path, matching_id: &str) -> Result<Duration, Abort> {
    let began = Instant::now();
    let output = tokio::process::Command::new(program)
        .arg("lpad")
        .arg("-d")
        .arg(lab.tty())
        .arg("--ci")
        .arg(lab.ci_file())
        .args(["--json", "--segment", &SEGMENT.to_string(), "-A"])
        .arg(format!("1${}${matching_id}", lab.smdp_address()))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| Abort::lab(format!("cannot run the LPA: {error}")))?;
    let took = began.elapsed();
    if output.status.success() {
        return Ok(took);
    }
    Err(Abort::lab(format!("a download has failed: {}", String::from_utf8_lossy(&output.stdout).trim())))
}

/// What downloads one after the other have shown.
struct Alone {
    curve: Curve,
    downloads: Vec<Duration>,
    /// Per download: command lines on the terminal, and the bytes of all lines.
    lines: usize,
    line_bytes: usize,
    server: Duration,
    card: Duration,
    crypto: Duration,
    echo: Duration,
    start: Vec<Duration>,
}

async fn one_after_the_other(args: &DownloadArgs, program: &Path) -> Result<Alone, Abort> {
    let lab = Lab::builder().curve(args.curve).start().map_err(|error| Abort::lab(error.to_string()))?;
    let spec = built_in_profile()?;
    let mut alone = Alone {
        curve: args.curve,
        downloads: Vec::new(),
        lines: 0,
        line_bytes: 0,
        server: Duration::ZERO,
        card: Duration::ZERO,
        crypto: Duration::ZERO,
        echo: Duration::ZERO,
        start: Vec::new(),
    };
    const WARM_UP: u32 = 3;
    for number in 0..args.runs + WARM_UP {
        let (matching_id, order) = order(&spec, number)?;
        lab.add_order(order).map_err(|error| Abort::lab(error.to_string()))?;
        let (seen, busy) = (lab.timeline().len(), lab.card_time());
        let took = download(&lab, program, &matching_id).await?;
        let began = Instant::now();
        let status = tokio::process::Command::new(program)
            .args(["lpad", "--version"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .await;
        let start = began.elapsed();
        if !status.is_ok_and(|status| status.success()) {
            return Err(Abort::lab("the LPA does not start"));
        }
        if !lab.wipe_card() {
            return Err(Abort::lab("the card does not forget its profiles"));
        }
        if number < WARM_UP {
            continue;
        }
        alone.downloads.push(took);
        alone.start.push(start);
        alone.card += lab.card_time() - busy;
        for event in lab.timeline().since(seen) {
            match event.kind {
                Kind::At { direction, text, .. } => {
                    alone.lines += usize::from(direction == Direction::Command);
                    alone.line_bytes += text.len() + 2;
                }
                Kind::Http(http) => alone.server += http.duration,
                _ => {}
            }
        }
    }
    let runs = args.runs.max(1);
    alone.lines /= runs as usize;
    alone.line_bytes /= runs as usize;
    alone.server /= runs;
    alone.card /= runs;
    alone.crypto = bare_cryptography(args.curve).map_err(|error| Abort::lab(error.to_string()))?;
    let (lines, bytes) = (alone.lines, alone.line_bytes);
    alone.echo = tokio::task::spawn_blocking(move || bare_echo(lines, bytes))
        .await
        .map_err(|error| Abort::lab(error.to_string()))?
        .map_err(|error| Abort::lab(format!("the bare pseudo-terminal: {error}")))?;
    Ok(alone)
}

impl std::fmt::Display for Alone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let downloads = Spread::of(&self.downloads);
        let start = Spread::of(&self.start);
        writeln!(f, "{} downloads one after the other, {}\n", self.downloads.len(), self.curve)?;
        writeln!(f, "whole download, LPA process     {downloads}")?;
        writeln!(f, "  of this, on average")?;
        writeln!(f, "  in the server's functions     {}", milliseconds(self.server))?;
        writeln!(f, "  in the card                   {}", milliseconds(self.card))?;
        let rest = downloads.median.saturating_sub(self.server + self.card);
        writeln!(f, "  elsewhere: process, terminal, TLS, LPA   {}", milliseconds(rest))?;
        writeln!(f, "  {} command lines, {} bytes on the terminal", self.lines, self.line_bytes)?;
        writeln!(f, "beside it, bare, in the same run")?;
        writeln!(f, "  the cryptography of card and server      {}", milliseconds(self.crypto))?;
        writeln!(f, "  echo of as many lines on a terminal      {}", milliseconds(self.echo))?;
        writeln!(f, "  starting and ending the LPA process      {}", milliseconds(start.median))
    }
}

/// Minimum, median and 95th percentile.
struct Spread {
    least: Duration,
    median: Duration,
    high: Duration,
}

impl Spread {
    fn of(times: &[Duration]) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let at = |share: usize| sorted.get(sorted.len().saturating_sub(1) * share / 100).copied().unwrap_or_default();
        Spread { least: at(0), median: at(50), high: at(95) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        write!(text, "{} median", milliseconds(self.median))?;
        write!(f, "{text} ({} least, {} at 95 %)", milliseconds(self.least), milliseconds(self.high))
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// The signatures, verifications and key agreements of one download on card and server, and nothing else (SGP.22
/// §3.0.1, §3.1.3), as the median of several.
fn bare_cryptography(curve: Curve) -> Result<Duration, CryptoError> {
    let mut random = SeededRandom::new(1, "bench");
    let key = PrivateKey::generate(curve, &mut random)?;
    let message = [0x5A; 300];
    let signature = key.sign(&[&message])?;
    let mut times = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        // Card: CERT.DPauth, serverSignature1, CERT.DPpb, smdpSignature2, smdpSign; euiccSignature1, euiccSignature2,
        // the installation result. Server: CERT.EUM, CERT.EUICC, euiccSignature1, euiccSignature2, the installation
        // result; serverSignature1, smdpSignature2, smdpSign. Both: a one-time key and a key agreement.
        for _ in 0..10 {
            key.public().verify(&[&message], &signature);
        }
        for _ in 0..6 {
            key.sign(&[&message])?;
        }
        for _ in 0..2 {
            let one_time = PrivateKey::generate(curve, &mut random)?;
            let peer = PublicKey::from_point(curve, &key.public().point())?;
            one_time.agree(&peer)?;
        }
        times.push(began.elapsed());
    }
    Ok(Spread::of(&times).median)
}

/// As many lines as a download has, of the same length together, sent over a pseudo-terminal to a thread that sends
/// them back: what the terminal costs when nothing is behind it. The median of several.
fn bare_echo(lines: usize, bytes: usize) -> std::io::Result<Duration> {
    let lines = lines.max(1);
    // A line goes there and comes back, so half of the bytes each way.
    let line = vec![b'A'; (bytes / lines / 2).max(2)];
    let (mut master, mut slave) = pseudo_terminal()?;
    let length = line.len();
    let echo = std::thread::spawn(move || {
        let mut buffer = vec![0; length];
        while master.read_exact(&mut buffer).is_ok() && master.write_all(&buffer).is_ok() {}
    });
    let mut buffer = vec![0; length];
    let mut times = Vec::new();
    for _ in 0..10 {
        let began = Instant::now();
        for _ in 0..lines {
            slave.write_all(&line)?;
            slave.read_exact(&mut buffer)?;
        }
        times.push(began.elapsed());
    }
    // With the last slave closed the other side reads an error and ends.
    drop(slave);
    let _ = echo.join();
    Ok(Spread::of(&times).median)
}

pub(crate) fn pseudo_terminal() -> std::io::Result<(std::fs::File, std::fs::File)> {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let path = PathBuf::from(String::from_utf8_lossy(name.as_bytes()).into_owned());
    let slave = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
    let mut settings = tcgetattr(&slave)?;
    settings.make_raw();
    tcsetattr(&slave, OptionalActions::Now, &settings)?;
    Ok((master.into(), slave))
}

/// Several labs, each with its own LPA processes, at the same time: downloads per second.
async fn side_by_side(args: &DownloadArgs, program: &Path, jobs: usize) -> Result<f64, Abort> {
    let spec = built_in_profile()?;
    let each = (args.runs / 2).clamp(5, 100);
    let mut labs = Vec::new();
    for _ in 0..jobs {
        let lab = Lab::builder().curve(args.curve).start().map_err(|error| Abort::lab(error.to_string()))?;
        for number in 0..each {
            lab.add_order(order(&spec, number)?.1).map_err(|error| Abort::lab(error.to_string()))?;
        }
        labs.push(lab);
    }
    let began = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for lab in labs {
        let program = program.to_owned();
        running.spawn(async move {
            for number in 0..each {
                download(&lab, &program, &format!("BENCH-{number}")).await?;
                lab.wipe_card();
            }
            Ok::<(), Abort>(())
        });
    }
    while let Some(done) = running.join_next().await {
        done.map_err(|error| Abort::lab(error.to_string()))??;
    }
    Ok(f64::from(each) * jobs as f64 / began.elapsed().as_secs_f64())
}

/// The resident memory of `esimlab up` once it is ready, in bytes.
async fn idle_memory(program: &Path) -> Result<u64, Abort> {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let fail = |error: std::io::Error| Abort::lab(format!("cannot measure an idle lab: {error}"));
    let mut child = tokio::process::Command::new(program)
        .args(["up", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(fail)?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line).await.map_err(fail)?;
    }
    let status = match child.id() {
        Some(id) => std::fs::read_to_string(format!("/proc/{id}/status")).map_err(fail)?,
        None => String::new(),
    };
    // Asked to end, it takes its own folder away.
    if let Some(id) = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
        rustix::process::kill_process(id, rustix::process::Signal::TERM).map_err(|error| fail(error.into()))?;
    }
    child.wait().await.map_err(fail)?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
        .map(|kilobytes| kilobytes * 1024)
        .ok_or_else(|| Abort::lab("the system does not tell the memory of a process"))
}
