//! `esimlab bench smdp`: what the SM-DP+ does under load.
//!
//! The server runs in a process of its own, so that its processor time can be told from that of the cards, which do
//! real cryptography in this process. Beside it, in the same run, the bare cost of the server's cryptography.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use pki::{Pki, PkiSpec};
use rsp::ActivationCode;
use rsp::crypto::{Curve, PrivateKey, PublicKey, SystemRandom};
use serde_json::Value;

use crate::cli::Abort;
use crate::fleet::{Device, numbered_eid};
use crate::lab::system_time;
use crate::runner::result::exit;

/// The arguments of `esimlab bench smdp`.
#[derive(Debug, Args)]
pub struct SmdpBenchArgs {
    /// How many downloads as fast as they go, and again at the given rate
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    downloads: u32,

    /// How many cards at the same time
    #[arg(short, long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    jobs: u32,

    /// How many downloads per second in the part where latency is measured
    #[arg(long, value_name = "N", default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,

    /// The curve of all certificates and keys
    #[arg(long, default_value = "p256", value_parser = crate::up::parse_curve)]
    curve: Curve,

    /// Keep the orders in a file, as a server that must not lose any does
    #[arg(long)]
    state: bool,
}

fn lab(error: impl std::fmt::Display) -> Abort {
    Abort::lab(error.to_string())
}

/// The server's process; it ends with this.
struct Running {
    child: Child,
    address: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(id) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(args: &SmdpBenchArgs, folder: &Path, orders: u32) -> Result<Self, Abort> {
        let mut config = String::new();
        for number in 0..orders {
            config +=
                &format!("[[order]]\nprofile = \"operator-a\"\nnumber = {number}\nmatching-id = \"BENCH-{number}\"\n");
        }
        let file = folder.join("smdp.toml");
        std::fs::write(&file, config).map_err(lab)?;
        let program = std::env::current_exe().map_err(lab)?;
        let curve = if args.curve == Curve::P256 { "p256" } else { "brainpool" };
        let mut command = Command::new(program);
        command.args(["smdp", "--json", "--listen", "127.0.0.1:0", "--curve", curve]);
        command.arg("--config").arg(file).arg("--pki").arg(folder.join("pki"));
        command.arg("--control").arg(folder.join("control.json"));
        if args.state {
            command.arg("--state").arg(folder.join("orders.redb"));
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(lab)?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(lab)?;
        }
        let ready: Value = serde_json::from_str(&line).map_err(|_| lab("the server has not started"))?;
        let address = ready["smdp"]["address"].as_str().unwrap_or_default().to_owned();
        Ok(Running { child, address })
    }

    /// The processor time that the server has used (proc(5): fields 14 and 15 of `stat`, in ticks).
    fn processor_time(&self) -> Result<Duration, Abort> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).map_err(lab)?;
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        // USER_HZ is 100 wherever this runs.
        Ok(Duration::from_millis(ticks * 10))
    }
}

/// What many downloads have come to.
struct Load {
    wall: Duration,
    server: Duration,
    /// Each request but the first of a download, which has the TLS handshake in it.
    requests: Vec<Duration>,
    downloads: Vec<Duration>,
}

/// Downloads orders `from..from + count`, as fast as the devices go or at a rate.
fn load(
    server: &Running,
    devices: &Mutex<Vec<Device>>,
    jobs: u32,
    from: u32,
    count: u32,
    rate: Option<u32>,
) -> Result<Load, Abort> {
    let next = AtomicU32::new(0);
    let seen = Mutex::new((Vec::new(), Vec::new(), None::<String>));
    let before = server.processor_time()?;
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                let Some(mut device) = devices.lock().unwrap_or_else(PoisonError::into_inner).pop() else { return };
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    let mut due = began;
                    if let Some(rate) = rate {
                        due += Duration::from_secs_f64(f64::from(number) / f64::from(rate));
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    }
                    let started = Instant::now();
                    let code = format!("1${}$BENCH-{}", server.address, from + number);
                    let outcome = match ActivationCode::parse(&code) {
                        Ok(code) => device.download(&code).map_err(|failure| failure.to_string()),
                        Err(error) => Err(error.to_string()),
                    };
                    let took = started.elapsed();
                    device.wipe();
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    match outcome {
                        Ok(true) => {
                            seen.0.extend_from_slice(device.request_times().get(1..).unwrap_or_default());
                            seen.1.push(took);
                        }
                        Ok(false) => seen.2 = Some("a notification was not delivered".to_owned()),
                        Err(error) => seen.2 = Some(error),
                    }
                }
                devices.lock().unwrap_or_else(PoisonError::into_inner).push(device);
            });
        }
    });
    let wall = began.elapsed();
    let (requests, downloads, failed) = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(failed) = failed {
        return Err(Abort::lab(format!("a download has failed: {failed}")));
    }
    Ok(Load { wall, server: server.processor_time()?.saturating_sub(before), requests, downloads })
}

fn percentile(times: &[Duration], share: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn spread(times: &[Duration]) -> String {
    let at = |share| milliseconds(percentile(times, share));
    format!("{} median, {} at 95 %, {} at 99 %, {} at most", at(0.5), at(0.95), at(0.99), at(1.0))
}

/// The server's cryptography of one download and nothing else, as the median of several (SGP.22 §3.0.1, §3.1.3, and
/// the TLS handshake).
fn bare_cryptography(curve: Curve) -> Result<Duration, rsp::crypto::CryptoError> {
    let key = PrivateKey::generate(curve, &mut SystemRandom)?;
    let message = [0x5A; 300];
    let signature = key.sign(&[&message])?;
    let mut times = Vec::new();
    for _ in 0..50 {
        let began = Instant::now();
        // CERT.EUM, CERT.EUICC, euiccSignature1, euiccSignature2, the installation result.
        for _ in 0..5 {
            key.public().verify(&[&message], &signature);
        }
        // serverSignature1, smdpSignature2, smdpSign; TLS.
        for _ in 0..4 {
            key.sign(&[&message])?;
        }
        // The one-time key of the package and that of TLS, and the agreements.
        for _ in 0..2 {
            let one_time = PrivateKey::generate(curve, &mut SystemRandom)?;
            let peer = PublicKey::from_point(curve, &key.public().point())?;
            one_time.agree(&peer)?;
        }
        times.push(began.elapsed());
    }
    Ok(percentile(&times, 0.5))
}

/// Runs the benchmark.
pub(crate) fn run(args: &SmdpBenchArgs) -> Result<u8, Abort> {
    let say = |text: String| drop(std::io::stdout().write_all(text.as_bytes()));
    if cfg!(debug_assertions) {
        say("This is a debug build: `cargo run --release -- bench smdp` measures what users get.\n\n".to_owned());
    }
    let folder = tempfile::Builder::new().prefix("esimlab-bench-").tempdir().map_err(lab)?;
    let spec = PkiSpec { curves: vec![args.curve], eids: Vec::new(), ..PkiSpec::default() };
    let pki = Pki::generate(&spec, &mut SystemRandom, system_time()).map_err(lab)?;
    pki.write(&folder.path().join("pki")).map_err(lab)?;
    let ci = pki.ci(args.curve).map_err(lab)?.to_pem().into_bytes();
    let mut devices = Vec::new();
    for number in 0..args.jobs {
        let eid = numbered_eid(&spec.eum_ein, number).ok_or_else(|| lab("no EID can be made"))?;
        devices.push(Device::new(&pki, args.curve, eid, ci.clone()).map_err(lab)?);
    }
    let devices = Arc::new(Mutex::new(devices));
    let warm_up = args.jobs.max(20);
    let server = Running::start(args, folder.path(), warm_up + 2 * args.downloads)?;
    load(&server, &devices, args.jobs, 0, warm_up, None)?;

    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let bare = bare_cryptography(args.curve).map_err(lab)?;
    let full = load(&server, &devices, args.jobs, warm_up, args.downloads, None)?;
    let per_download = full.server.div_f64(f64::from(args.downloads));
    say(format!(
        "{} downloads, {} cards at the same time, {}{}, {processors} processors\n\n\
         all of it on this machine      {:.0} downloads per second (cards and LPAs have their share)\n\
         server, processor time         {} per download\n\
         two processors for the server  {:.0} downloads per second\n\
         bare cryptography beside it    {} per download; the server takes {:.2} times as much\n",
        args.downloads,
        args.jobs,
        args.curve,
        if args.state { ", orders in a file" } else { "" },
        f64::from(args.downloads) / full.wall.as_secs_f64(),
        milliseconds(per_download),
        2.0 / per_download.as_secs_f64(),
        milliseconds(bare),
        per_download.as_secs_f64() / bare.as_secs_f64(),
    ));
    let paced = load(&server, &devices, args.jobs, warm_up + args.downloads, args.downloads, Some(args.rate))?;
    say(format!(
        "\nat {} downloads per second wanted, {:.0} reached\n\
         one request                    {}\n\
         whole download                 {}\n",
        args.rate,
        f64::from(args.downloads) / paced.wall.as_secs_f64(),
        spread(&paced.requests),
        spread(&paced.downloads),
    ));
    Ok(exit::PASSED)
}
