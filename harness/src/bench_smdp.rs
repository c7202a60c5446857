//! `esimlab bench smdp`: what the SM-DP+ does under load.
//!
//! The server runs in a process of its own, so that its processor time can be told from that of the cards, which do
//! real cryptography in this process. Beside it, in the same run, the bare cost of the server's cryptography.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use openssl::error::ErrorStack;
use openssl::ssl::{ErrorCode, Ssl, SslAcceptor, SslConnector, SslMethod, SslStream, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use pki::{Pki, PkiSpec};
use rsp::bpp::{
    MAX_ENCRYPTED_PLAINTEXT, MAX_MAC_ONLY_DATA, SecureChannel, SessionKeys, TAG_SEGMENT_COMMAND, TAG_SEGMENT_METADATA,
    TAG_SEGMENT_PROFILE,
};
use rsp::crypto::{CryptoError, Curve, PrivateKey, PublicKey, Random, SystemRandom};
use rsp::{ActivationCode, Eid};
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

/// The profile of all orders.
const PROFILE: &str = "operator-a";

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
                &format!("[[order]]\nprofile = \"{PROFILE}\"\nnumber = {number}\nmatching-id = \"BENCH-{number}\"\n");
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

    /// The processor time that the server has used, of its own and the kernel's for it (proc(5): fields 14 and 15 of
    /// `stat`, in ticks).
    fn processor_time(&self) -> Result<[Duration; 2], Abort> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).map_err(lab)?;
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let mut ticks = fields.split_whitespace().skip(11).map(|field| field.parse::<u64>().unwrap_or_default());
        // USER_HZ is 100 wherever this runs.
        Ok([(); 2].map(|()| Duration::from_millis(ticks.next().unwrap_or_default() * 10)))
    }
}

/// What many downloads have come to.
struct Load {
    wall: Duration,
    /// Of the server, and of the kernel for it.
    server: [Duration; 2],
    /// Each request but the first of a download, which has the TLS handshake in it.
    requests: Vec<Duration>,
    downloads: Vec<Duration>,
}

/// The cards, and the CI that they and the server are under.
struct Cards {
    pki: Pki,
    ein: String,
    curve: Curve,
    ci: Vec<u8>,
}

impl Cards {
    /// A card that the server has not seen yet, with its LPA.
    fn card(&self, number: u32) -> Result<Device, Abort> {
        let eid = numbered_eid(&self.ein, number).ok_or_else(|| lab("no EID can be made"))?;
        Device::new(&self.pki, self.curve, eid, self.ci.clone()).map_err(lab)
    }
}

/// Downloads orders `from..from + count`, each to a card of its own, as fast as they go or at a rate.
fn load(server: &Running, cards: &Cards, jobs: u32, from: u32, count: u32, rate: Option<u32>) -> Result<Load, Abort> {
    // Made before the clock runs.
    let devices = (0..count).map(|number| cards.card(from + number)).collect::<Result<Vec<_>, _>>()?;
    let devices: Vec<_> = devices.into_iter().map(|device| Mutex::new(Some(device))).collect();
    let next = AtomicU32::new(0);
    let seen = Mutex::new((Vec::new(), Vec::new(), None::<String>));
    let before = server.processor_time()?;
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(device) = devices.get(number as usize) else { break };
                    let device = device.lock().unwrap_or_else(PoisonError::into_inner).take();
                    let Some(mut device) = device else { break };
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
            });
        }
    });
    let wall = began.elapsed();
    let (requests, downloads, failed) = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(failed) = failed {
        return Err(Abort::lab(format!("a download has failed: {failed}")));
    }
    let after = server.processor_time()?;
    let server = [0, 1].map(|part| after[part].saturating_sub(before[part]));
    Ok(Load { wall, server, requests, downloads })
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

/// The server's cryptography of one download and nothing else, in this process, as medians: what the server does, not
/// what it need not do because it knows a certificate already.
struct Bare {
    functions: Duration,
    /// Verifications that SGP.22 asks for and that the server need not do.
    spared: Duration,
    handshake: Duration,
    records: Duration,
}

impl Bare {
    fn measure(pki: &Pki, curve: Curve) -> Result<Self, Abort> {
        let functions = Functions::new(curve)?;
        let tls = pki.tls(curve).map_err(lab)?;
        let (acceptor, connector) = tls_ends(tls).map_err(lab)?;
        let [mut in_functions, mut in_spared, mut in_handshake, mut in_records] = [const { Vec::new() }; 4];
        for _ in 0..100 {
            in_functions.push(functions.once().map_err(lab)?);
            in_spared.push(functions.spared());
            let [handshake, records] = connection_once(&acceptor, &connector)?;
            in_handshake.push(handshake);
            in_records.push(records);
        }
        let median = |times: &[Duration]| percentile(times, 0.5);
        Ok(Bare {
            functions: median(&in_functions),
            spared: median(&in_spared),
            handshake: median(&in_handshake),
            records: median(&in_records),
        })
    }

    fn total(&self) -> Duration {
        self.functions + self.handshake + self.records
    }
}

/// The processor time that this thread has used: others on the machine do not count.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// What the functions of one download compute (SGP.22 §3.0.1, §3.1.3, §5.6).
struct Functions {
    key: PrivateKey,
    signature: [u8; 64],
    eid: Eid,
    package: Vec<u8>,
    metadata: Vec<u8>,
}

/// What is signed, about as long as it is on the average.
const MESSAGE: [u8; 300] = [0x5A; 300];

impl Functions {
    fn new(curve: Curve) -> Result<Self, Abort> {
        let key = PrivateKey::generate(curve, &mut SystemRandom).map_err(lab)?;
        let signature = key.sign(&[&MESSAGE]).map_err(lab)?;
        let spec = smdp::profile::built_in_named(PROFILE).ok_or_else(|| lab("the profile is not built in"))?;
        let profile = smdp::Profile::build(&spec).map_err(lab)?;
        Ok(Functions {
            key,
            signature,
            eid: numbered_eid(&PkiSpec::default().eum_ein, 0).ok_or_else(|| lab("no EID can be made"))?,
            package: profile.package().to_vec(),
            metadata: profile.metadata("127.0.0.1:65535").encode(),
        })
    }

    /// CERT.EUM, and both certificates once more for the notification of the installation.
    fn spared(&self) -> Duration {
        let began = thread_time();
        for _ in 0..3 {
            self.key.public().verify(&[&MESSAGE], &self.signature);
        }
        thread_time().saturating_sub(began)
    }

    fn once(&self) -> Result<Duration, CryptoError> {
        let curve = self.key.curve();
        let began = thread_time();
        let (mut transaction_id, mut challenge, mut seed) = ([0; 16], [0; 16], [0; 32]);
        for drawn in [&mut transaction_id[..], &mut challenge, &mut seed] {
            SystemRandom.fill(drawn);
        }
        // CERT.EUICC of a card that is new. Its EUM's certificate came with other cards before, and its own is known
        // when its notification brings it again: these are verified once, and not counted.
        self.key.public().verify(&[&MESSAGE], &self.signature);
        // euiccSignature1, euiccSignature2, the ProfileInstallationResult and the notification of the installation.
        let card = PublicKey::from_point(curve, &self.key.public().point())?;
        for _ in 0..4 {
            card.verify(&[&MESSAGE], &self.signature);
        }
        // serverSignature1, smdpSignature2, smdpSign.
        for _ in 0..3 {
            self.key.sign(&[&MESSAGE])?;
        }
        // The one-time key of the package, the agreement with that of the card, and the segments.
        let peer = PublicKey::from_point(curve, &card.point())?;
        let one_time = PrivateKey::generate(curve, &mut SystemRandom)?;
        let mut channel = SecureChannel::new(SessionKeys::agree(&one_time, &peer, &challenge, &self.eid)?);
        channel.encrypt(TAG_SEGMENT_COMMAND, &[0xBF, 0x24, 0x00])?;
        for chunk in self.metadata.chunks(MAX_MAC_ONLY_DATA) {
            channel.mac_only(TAG_SEGMENT_METADATA, chunk)?;
        }
        for chunk in self.package.chunks(MAX_ENCRYPTED_PLAINTEXT) {
            channel.encrypt(TAG_SEGMENT_PROFILE, chunk)?;
        }
        Ok(thread_time().saturating_sub(began))
    }
}

/// The bytes that a client sends and gets in TLS records for one download: initiateAuthentication,
/// authenticateClient, getBoundProfilePackage and two notifications, with the heads of HTTP.
const RECORDS: [(usize, usize); 5] = [(380, 1360), (1920, 1790), (510, 4810), (460, 100), (1920, 100)];

/// The two ends of TLS without a network, as OpenSSL makes them.
fn tls_ends(tls: &pki::Identity) -> Result<(SslAcceptor, SslConnector), ErrorStack> {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    acceptor.set_certificate(&*X509::from_der(tls.certificate.der())?)?;
    acceptor.set_private_key(tls.key.as_pkey())?;
    acceptor.set_num_tickets(0)?;
    let group = if tls.certificate.curve() == Curve::P256 { "P-256" } else { "brainpoolP256r1" };
    acceptor.set_groups_list(group)?;
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_groups_list(group)?;
    // What a client does is not measured.
    connector.set_verify(SslVerifyMode::NONE);
    if tls.certificate.curve() == Curve::BrainpoolP256r1 {
        connector.set_max_proto_version(Some(SslVersion::TLS1_2))?;
    }
    Ok((acceptor.build(), connector.build()))
}

/// The server's part of a connection in memory: the handshake, from its beginning to what is freed at the end, and the
/// records of a download.
fn connection_once(acceptor: &SslAcceptor, connector: &SslConnector) -> Result<[Duration; 2], Abort> {
    let (near, far) = Pipe::pair();
    let mut began = thread_time();
    let ssl = Ssl::new(acceptor.context()).map_err(lab)?;
    let mut server = SslStream::new(ssl, near).map_err(lab)?;
    let mut handshake = thread_time().saturating_sub(began);
    let ssl = connector.configure().and_then(|configured| configured.into_ssl("localhost")).map_err(lab)?;
    let mut client = SslStream::new(ssl, far).map_err(lab)?;
    let done = |step: Result<(), openssl::ssl::Error>| match step {
        Ok(()) => Ok(true),
        Err(error) if error.code() == ErrorCode::WANT_READ => Ok(false),
        Err(error) => Err(lab(error)),
    };
    loop {
        let client_done = done(client.connect())?;
        began = thread_time();
        let server_done = done(server.accept())?;
        handshake += thread_time().saturating_sub(began);
        if client_done && server_done {
            break;
        }
    }
    let mut records = Duration::ZERO;
    let (text, mut read) = ([b'x'; 8192], [0; 8192]);
    for (request, response) in RECORDS {
        client.write_all(&text[..request]).map_err(lab)?;
        began = thread_time();
        server.read_exact(&mut read[..request]).map_err(lab)?;
        server.write_all(&text[..response]).map_err(lab)?;
        records += thread_time().saturating_sub(began);
        client.read_exact(&mut read[..response]).map_err(lab)?;
    }
    // close_notify of both.
    let _ = client.shutdown();
    began = thread_time();
    let _ = server.shutdown();
    records += thread_time().saturating_sub(began);
    began = thread_time();
    drop(server);
    handshake += thread_time().saturating_sub(began);
    Ok([handshake, records])
}

/// One end of a connection in memory.
struct Pipe {
    incoming: Rc<RefCell<VecDeque<u8>>>,
    outgoing: Rc<RefCell<VecDeque<u8>>>,
}

impl Pipe {
    fn pair() -> (Self, Self) {
        let (there, back) = <(Rc<RefCell<VecDeque<u8>>>, Rc<RefCell<VecDeque<u8>>>)>::default();
        (Pipe { incoming: there.clone(), outgoing: back.clone() }, Pipe { incoming: back, outgoing: there })
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.incoming.borrow_mut().read(buffer) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            other => other,
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
    let cards = Cards { pki, ein: spec.eum_ein, curve: args.curve, ci };
    let warm_up = args.jobs.max(20);
    let server = Running::start(args, folder.path(), warm_up + 2 * args.downloads)?;
    load(&server, &cards, args.jobs, 0, warm_up, None)?;

    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let bare = Bare::measure(&cards.pki, args.curve)?;
    let full = load(&server, &cards, args.jobs, warm_up, args.downloads, None)?;
    let [own, kernel] = full.server.map(|time| time.div_f64(f64::from(args.downloads)));
    let per_download = own + kernel;
    say(format!(
        "{} downloads, {} cards at the same time, {}{}, {processors} processors\n\n\
         all of it on this machine      {:.0} downloads per second (cards and LPAs have their share)\n\
         server, processor time         {} per download, {} of it in the kernel\n\
         two processors for the server  {:.0} downloads per second\n\
         bare cryptography beside it    {} per download ({} for SGP.22; in memory, {} for a TLS handshake, {} for its records)\n\
         the same, no certificate known {} (CERT.EUM and CERT.EUICC verified each time they come)\n\
         the server takes               {:.2} times as much, {:.2} times the same with no certificate known\n",
        args.downloads,
        args.jobs,
        args.curve,
        if args.state { ", orders in a file" } else { "" },
        f64::from(args.downloads) / full.wall.as_secs_f64(),
        milliseconds(per_download),
        milliseconds(kernel),
        2.0 / per_download.as_secs_f64(),
        milliseconds(bare.total()),
        milliseconds(bare.functions),
        milliseconds(bare.handshake),
        milliseconds(bare.records),
        milliseconds(bare.total() + bare.spared),
        per_download.as_secs_f64() / bare.total().as_secs_f64(),
        per_download.as_secs_f64() / (bare.total() + bare.spared).as_secs_f64(),
    ));
    let paced = load(&server, &cards, args.jobs, warm_up + args.downloads, args.downloads, Some(args.rate))?;
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
