//! `esimlab bench data`: how fast data go through terminal, modem and TLS in transparent access mode, beside a bare copy
//! through a pseudo-terminal in the same run; and that every byte of them arrives, once and in its place.
//!
//! The data are full of `+++`. Some of it comes after a pause that could begin an escape sequence, with more data behind
//! it that make it none. Both ends know what has to come, and compare.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use clap::Args;
use modem::Model;
use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVersion};
use openssl::x509::{X509Builder, X509NameBuilder};
use rustix::fs::{Mode, OFlags};

use crate::bench::pseudo_terminal;
use crate::cli::{Abort, runtime};
use crate::lab::{Lab, Preinstalled};
use crate::runner::result::exit;

/// The arguments of `esimlab bench data`.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// How many megabytes in each direction and round
    #[arg(short, long, value_name = "MB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    size: u64,

    /// How many rounds; the median of each is printed
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
}

/// Data are made in pieces of this size.
const PIECE: usize = 64 * 1024;

/// A pause in the data that an escape sequence could follow: a bit more than S12 asks for.
const PAUSE: Duration = Duration::from_millis(1100);

/// How many pauses there are on the way up.
const PAUSES: u64 = 2;

/// The one suite of the server: what current servers and this module have in common.
const SUITE: &str = "ECDHE-RSA-AES128-GCM-SHA256";

/// Runs the benchmark.
pub(crate) fn run(args: &DataArgs) -> Result<u8, Abort> {
    let runtime = runtime()?;
    let _entered = runtime.enter();
    if cfg!(debug_assertions) {
        print("This is a debug build: `cargo run --release -- bench data` measures what users get.\n\n");
    }
    let size = args.size * 1_000_000;
    let server = Server::start().map_err(failed)?;
    let model = Model::named("EC200U").map_err(|error| Abort::lab(error.to_string()))?;
    let profile = Preinstalled { profile: profile()?, enabled: true, nickname: None };
    let lab = Lab::builder().model(model).profile(profile).start().map_err(|error| Abort::lab(error.to_string()))?;
    let mut line = Line::open(lab.tty()).map_err(failed)?;
    for command in ["ATE0", "AT+QICSGP=1,1,\"BENCH\",\"\",\"\",0", "AT+QIACT=1"] {
        line.command(command, b"OK\r\n").map_err(failed)?;
    }
    let open = format!("AT+QSSLOPEN=1,0,0,\"127.0.0.1\",{},2", server.address.port());
    line.command(&open, b"CONNECT\r\n").map_err(failed)?;
    let (mut up, mut down, mut bare_up, mut bare_down) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..args.rounds {
        bare_up.push(bare_copy_up(size).map_err(failed)?);
        up.push(server.upward(&mut line, size, u64::from(round)).map_err(failed)?);
        bare_down.push(bare_copy_down(size).map_err(failed)?);
        down.push(server.downward(&mut line, size, u64::from(round)).map_err(failed)?);
    }
    print(&format!(
        "{} round(s) of {} MB each way, TLS 1.2 with {SUITE}, every byte compared, {PAUSES} pauses with +++ each way up\n\n",
        args.rounds, args.size
    ));
    print("                            transparent access   bare terminal    ratio\n");
    for (name, ours, bare) in [("host to server", &mut up, &mut bare_up), ("server to host", &mut down, &mut bare_down)]
    {
        let (ours, bare) = (median(ours), median(bare));
        let rate = |time: Duration| size as f64 / 1e6 / time.as_secs_f64().max(1e-9);
        print(&format!(
            "{name:<28}{:>10.1} MB/s {:>14.1} MB/s {:>8.2}\n",
            rate(ours),
            rate(bare),
            bare.as_secs_f64() / ours.as_secs_f64().max(1e-9)
        ));
    }
    let total = u64::from(args.rounds) * args.size;
    print(&format!("\nnone of {total} MB up and {total} MB down lost, doubled or changed\n"));
    Ok(exit::PASSED)
}

/// A subscription: without one there is no network.
fn profile() -> Result<smdp::Profile, Abort> {
    let spec = smdp::profile::built_in_named("operator-a");
    let spec = spec.ok_or_else(|| Abort::lab("the profile operator-a is not built in"))?;
    smdp::Profile::build(&spec).map_err(|error| Abort::lab(error.to_string()))
}

fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn failed(error: impl std::fmt::Display) -> Abort {
    Abort::lab(format!("the data path: {error}"))
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The data of one direction: known from a seed, full of `+++`.
struct Pattern {
    piece: Vec<u8>,
    number: u64,
}

impl Pattern {
    fn new(seed: u64) -> Self {
        // A linear congruential generator (Knuth's MMIX): the bytes only have to differ.
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let mut piece: Vec<u8> = (0..PIECE).map(|_| next() as u8).collect();
        for _ in 0..PIECE / 256 {
            let at = next() as usize % (PIECE - 4);
            let count = 1 + next() as usize % 4;
            piece[at..at + count].fill(b'+');
        }
        piece[..3].fill(b'+');
        Pattern { piece, number: 0 }
    }

    /// The next piece. Each has its number in it.
    fn next(&mut self) -> &[u8] {
        self.piece[3..11].copy_from_slice(&self.number.to_be_bytes());
        self.number += 1;
        &self.piece
    }
}

/// Compares what comes with what has to come.
struct Check {
    pattern: Pattern,
    expected: Vec<u8>,
    at: usize,
    total: u64,
}

impl Check {
    fn new(seed: u64) -> Self {
        Check { pattern: Pattern::new(seed), expected: Vec::new(), at: 0, total: 0 }
    }

    fn take(&mut self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            if self.at == self.expected.len() {
                self.expected.clear();
                self.expected.extend_from_slice(self.pattern.next());
                self.at = 0;
            }
            let count = bytes.len().min(self.expected.len() - self.at);
            let (mine, rest) = bytes.split_at(count);
            if mine != &self.expected[self.at..self.at + count] {
                let wrong = mine.iter().zip(&self.expected[self.at..]).position(|(a, b)| a != b).unwrap_or(0);
                let place = self.total + wrong as u64;
                return Err(std::io::Error::other(format!("byte {place} is another one than was sent")));
            }
            self.at += count;
            self.total += count as u64;
            bytes = rest;
        }
        Ok(())
    }
}

/// Writes so much of a pattern; gives how long pauses took.
fn write_pattern(out: &mut impl Write, size: u64, seed: u64, pauses: u64) -> std::io::Result<Duration> {
    let mut pattern = Pattern::new(seed);
    let mut left = size;
    let mut paused = Duration::ZERO;
    let between = (size / (pauses + 1)).max(PIECE as u64);
    let mut next_pause = between;
    while left > 0 {
        if pauses > 0 && size - left >= next_pause {
            next_pause += between;
            let began = Instant::now();
            std::thread::sleep(PAUSE);
            paused += began.elapsed();
        }
        let piece = pattern.next();
        let count = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        out.write_all(&piece[..count])?;
        left -= count as u64;
    }
    Ok(paused)
}

/// Reads and compares so much of a pattern.
fn read_pattern(input: &mut impl Read, size: u64, seed: u64) -> std::io::Result<()> {
    let mut check = Check::new(seed);
    let mut buffer = vec![0; PIECE];
    while check.total < size {
        let most = buffer.len().min(usize::try_from(size - check.total).unwrap_or(usize::MAX));
        match input.read(&mut buffer[..most])? {
            0 => return Err(std::io::Error::other(format!("the end comes after {} of {size} bytes", check.total))),
            count => check.take(&buffer[..count])?,
        }
    }
    Ok(())
}

/// A bare pseudo-terminal: written to by a host, read behind it.
fn bare_copy_up(size: u64) -> std::io::Result<Duration> {
    let (mut master, mut slave) = pseudo_terminal()?;
    let began = Instant::now();
    let reader = std::thread::spawn(move || read_pattern(&mut master, size, 1));
    write_pattern(&mut slave, size, 1, 0)?;
    join(reader)??;
    Ok(began.elapsed())
}

/// The same the other way.
fn bare_copy_down(size: u64) -> std::io::Result<Duration> {
    let (mut master, mut slave) = pseudo_terminal()?;
    let began = Instant::now();
    let writer = std::thread::spawn(move || write_pattern(&mut master, size, 2, 0).map(|_| master));
    read_pattern(&mut slave, size, 2)?;
    drop(join(writer)??);
    Ok(began.elapsed())
}

fn join<T>(thread: std::thread::JoinHandle<T>) -> std::io::Result<T> {
    thread.join().map_err(|_| std::io::Error::other("a thread of the benchmark has panicked"))
}

/// A host at a terminal.
struct Line(File);

impl Line {
    fn open(path: &Path) -> std::io::Result<Self> {
        let file = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Line(file.into()))
    }

    fn command(&mut self, command: &str, end: &[u8]) -> std::io::Result<()> {
        self.0.write_all(format!("{command}\r").as_bytes())?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(end) {
            let count = self.0.read(&mut byte)?;
            answer.extend_from_slice(&byte);
            if count == 0 || answer.ends_with(b"ERROR\r\n") {
                return Err(std::io::Error::other(format!("{command}: {}", String::from_utf8_lossy(&answer).trim())));
            }
        }
        Ok(())
    }
}

/// What the server is to do next.
enum Order {
    /// Read and compare so much.
    Read(u64, u64),
    /// Write so much.
    Write(u64, u64),
}

/// A TLS server for one connection, which does what it is told.
struct Server {
    address: SocketAddr,
    orders: std::sync::mpsc::Sender<Order>,
    done: Receiver<std::io::Result<()>>,
}

impl Server {
    fn start() -> Result<Self, Box<dyn std::error::Error>> {
        let context = context()?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (orders, taken) = channel();
        let (finished, done) = channel();
        std::thread::spawn(move || {
            let accept = || -> Result<_, Box<dyn std::error::Error>> {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                Ok(Ssl::new(&context)?.accept(stream)?)
            };
            // Who has asked hears of a failure by the end of its connection.
            let Ok(mut stream) = accept() else { return };
            while let Ok(order) = taken.recv() {
                let outcome = match order {
                    Order::Read(size, seed) => read_pattern(&mut stream, size, seed),
                    Order::Write(size, seed) => write_pattern(&mut stream, size, seed, 0).map(drop),
                };
                if finished.send(outcome).is_err() {
                    return;
                }
            }
        });
        Ok(Server { address, orders, done })
    }

    fn order(&self, order: Order) -> std::io::Result<()> {
        self.orders.send(order).map_err(|_| std::io::Error::other("the server is gone"))
    }

    fn wait(&self) -> std::io::Result<()> {
        self.done.recv().map_err(|_| std::io::Error::other("the server is gone"))?
    }

    /// From the host to the server; how long it took, without the pauses.
    fn upward(&self, line: &mut Line, size: u64, seed: u64) -> std::io::Result<Duration> {
        let began = Instant::now();
        self.order(Order::Read(size, seed))?;
        let paused = write_pattern(&mut line.0, size, seed, PAUSES)?;
        self.wait()?;
        Ok(began.elapsed().saturating_sub(paused))
    }

    /// From the server to the host.
    fn downward(&self, line: &mut Line, size: u64, seed: u64) -> std::io::Result<Duration> {
        let began = Instant::now();
        self.order(Order::Write(size, seed))?;
        read_pattern(&mut line.0, size, seed)?;
        self.wait()?;
        Ok(began.elapsed())
    }
}

/// A server's side of TLS, with a certificate that nobody has to trust.
fn context() -> Result<SslContext, ErrorStack> {
    let key = PKey::from_rsa(Rsa::generate(2048)?)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", "bench")?;
    let name = name.build();
    let mut certificate = X509Builder::new()?;
    certificate.set_version(2)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    certificate.set_pubkey(&key)?;
    certificate.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    certificate.set_not_after(&*Asn1Time::days_from_now(1)?)?;
    certificate.sign(&key, MessageDigest::sha256())?;
    let mut builder = SslContext::builder(SslMethod::tls_server())?;
    builder.set_max_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_cipher_list(SUITE)?;
    builder.set_certificate(&certificate.build())?;
    builder.set_private_key(&key)?;
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_doubled_or_changed_is_seen() {
        let mut sent = Vec::new();
        write_pattern(&mut sent, 200_000, 7, 0).unwrap();
        assert!(read_pattern(&mut &sent[..], 200_000, 7).is_ok());
        assert!(read_pattern(&mut &sent[..], 200_000, 8).is_err(), "another one");
        let without = [&sent[..70_000], &sent[70_001..], b"x"].concat();
        assert!(read_pattern(&mut &without[..], 200_000, 7).is_err(), "lost");
        let twice = [&sent[..70_000], &sent[69_999..]].concat();
        assert!(read_pattern(&mut &twice[..], 200_000, 7).is_err(), "doubled");
        assert!(read_pattern(&mut &sent[..100], 200_000, 7).is_err(), "short");
        let plus = sent.windows(3).filter(|window| window == b"+++").count();
        assert!(plus > 200, "{plus}");
    }
}
