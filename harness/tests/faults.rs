//! Faults on the wire: that a fault is what it is called, seen by clients that know nothing of the lab.
//!
//! Those of the server are looked at by libcurl, against the table in `scenarios/README.md`, which states the code that
//! each gives; what is behind the codes (bytes, certificates, bodies) is looked at by the tests of the server's front.
//! Those of the AT line are looked at byte by byte on a real pseudo-terminal.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use esimlab::lab::Lab;
use esimlab::runner::Target;
use esimlab::runner::emulation::Emulation;
use esimlab::scenario::load::LoadedScenario;
use esimlab::scenario::parse::{Vocabulary, parse};
use lpad::http::{CurlHttp, Http, HttpOptions, Trust};
use lpad::log::Log;

/// A lab with this in its scenario.
async fn lab(text: &str) -> Lab {
    let text = format!("format = 1\ntitle = \"x\"\n{text}\n[[step]]\nat = \"AT\"\n");
    let (scenario, warnings) = parse("x.toml", &text, &Vocabulary::of_this_program())
        .unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false, 100)));
    let loaded = LoadedScenario { id: "x".to_owned(), path: PathBuf::from("x.toml"), scenario, warnings };
    Emulation::default().set_up(&loaded, 5).await.unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What libcurl makes of a function that is called: its code, 0 for none, and the HTTP status, 0 for none.
async fn called(lab: &Lab) -> (u32, u16) {
    let url = format!("https://{}/gsma/rsp2/es9plus/initiateAuthentication", lab.smdp_address());
    let trust = Trust::from_files(&[lab.ci_file()]).unwrap();
    let time = Duration::from_millis(700);
    let options = HttpOptions { trust, timeout: time, connect_timeout: time, ..HttpOptions::default() };
    let call = move || {
        let headers = [("Content-Type", "application/json"), ("X-Admin-Protocol", "gsma/rsp/v2.5.0")];
        match CurlHttp::new(options, Log::default()).post(&url, &headers, b"{}") {
            Ok(reply) => (0, u16::try_from(reply.status).unwrap()),
            Err(error) => (error.curl.unwrap_or(0), 0),
        }
    };
    tokio::task::spawn_blocking(call).await.unwrap()
}

/// The rows of the table of faults: what stands in the scenario, and the code.
fn stated() -> Vec<(String, u32, u16)> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let table = text.split("<!-- faults of the server -->").nth(1).unwrap();
    let table = table.split("<!-- end -->").next().unwrap();
    let row = |line: &str| {
        let mut cells = line.trim().trim_matches('|').split('|').map(str::trim);
        let fault = cells.next()?.strip_prefix('`')?.strip_suffix('`')?.to_owned();
        Some((fault, cells.next()?.parse().ok()?, cells.next()?.parse().unwrap_or(0)))
    };
    table.lines().filter_map(row).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libcurl_gives_the_code_that_is_stated_for_each_fault_of_the_server() {
    let stated = stated();
    assert!(stated.len() >= 25, "the table of faults is gone from scenarios/README.md: {stated:?}");
    for (fault, code, status) in stated {
        let lab = lab(&format!("[[fault]]\n{fault}")).await;
        assert_eq!(called(&lab).await, (code, status), "{fault}");
        // What was done is told.
        let told = lab.timeline().snapshot().iter().any(|event| event.kind.to_string().starts_with("FAULT "));
        assert!(told, "{fault}");
    }
    assert_eq!(called(&lab("").await).await, (0, 200));
}

/// Every word of a fault of the server stands in the table.
#[test]
fn the_table_has_every_fault_of_the_server() {
    use esimlab::scenario::ast::{HttpFault, NameFault, TcpFault, TlsFault, Word};
    fn words<W: Word>(layer: &str) -> Vec<String> {
        W::ALL.iter().map(|(word, _)| format!("{layer} = \"{word}\"")).collect()
    }
    let all =
        [words::<NameFault>("name"), words::<TcpFault>("tcp"), words::<TlsFault>("tls"), words::<HttpFault>("http")];
    let stated = stated();
    for fault in all.concat() {
        assert!(stated.iter().any(|(row, _, _)| row.starts_with(&fault)), "{fault}");
    }
}

/// A host at a terminal, which reads what comes within a time.
struct Host(std::fs::File);

impl Host {
    fn at(tty: &Path) -> Self {
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits() | rustix::fs::OFlags::NOCTTY.bits();
        let flags = i32::try_from(nonblock).unwrap();
        let file = std::fs::OpenOptions::new().read(true).write(true).custom_flags(flags).open(tty).unwrap();
        Host(file)
    }

    fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// What comes until it ends in this, or until the terminal is gone (`None`), or for so long.
    fn hear(&mut self, end: &str, most: Duration) -> (Vec<u8>, bool) {
        let (start, mut heard) = (Instant::now(), Vec::new());
        while !String::from_utf8_lossy(&heard).ends_with(end) && start.elapsed() < most {
            let mut buffer = [0; 512];
            match self.0.read(&mut buffer) {
                Ok(0) => return (heard, true),
                Ok(count) => heard.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let mut ready = [rustix::event::PollFd::new(&self.0, rustix::event::PollFlags::IN)];
                    let rest = most.saturating_sub(start.elapsed());
                    let rest = rustix::event::Timespec::try_from(rest).unwrap();
                    rustix::event::poll(&mut ready, Some(&rest)).unwrap();
                }
                // EIO: the other end of the pseudo-terminal is closed.
                Err(_) => return (heard, true),
            }
        }
        (heard, false)
    }
}

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(100);

/// What a host gets for two commands with a fault at the first.
async fn on_the_line(fault: &str) -> (String, String) {
    let lab = lab(&format!("[[fault]]\nat = {fault}\ncommand = 'AT\\+CGMM'\ncount = 1")).await;
    let tty = lab.tty().to_owned();
    let dialogue = move || {
        let mut host = Host::at(&tty);
        host.say("ATE0\r");
        let (echo_off, _) = host.hear("OK\r\n", LONG);
        assert!(echo_off.ends_with(b"OK\r\n"));
        host.say("AT+CGMM\r");
        // Nothing comes of a fault that swallows the answer; anything else ends in a line.
        let (first, _) = host.hear("OK\r\n", SHORT);
        host.say("AT+CGMM\r");
        let (second, _) = host.hear("OK\r\n", LONG);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace("\r\n", "|");
        (text(first), text(second))
    };
    let heard = tokio::task::spawn_blocking(dialogue).await.unwrap();
    let told =
        lab.timeline().snapshot().iter().filter(|event| event.kind.to_string().starts_with("FAULT at: ")).count();
    assert_eq!(told, 1, "{fault}");
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bytes_on_the_terminal_are_those_of_the_fault() {
    const RIGHT: &str = "|RM500Q-GL||OK|";
    for (fault, expected) in [
        ("\"silence\"", ""),
        ("\"deaf\"", ""),
        ("\"error\"", "|ERROR|"),
        ("{ cme_error = 13 }", "|+CME ERROR: 13|"),
        ("\"lost-line\"", "||OK|"),
        ("\"doubled-line\"", "|RM500Q-GL|RM500Q-GL||OK|"),
        ("{ urc = \"+CREG: 0\" }", "|RM500Q-GL||+CREG: 0||OK|"),
        ("{ delay = \"1ms\" }", RIGHT),
    ] {
        assert_eq!(on_the_line(fault).await, (expected.to_owned(), RIGHT.to_owned()), "{fault}");
    }
    let (first, second) = on_the_line("\"noise\"").await;
    assert!(first.ends_with(RIGHT) && first.len() > RIGHT.len() + 10 && first.contains('\u{FFFD}'), "{first:?}");
    assert_eq!(second, RIGHT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_that_goes_is_gone_for_its_host_and_comes_back_at_its_link() {
    let lab = lab("[[fault]]\nat = { gone = \"20ms\" }\ncommand = 'AT\\+CGMM'\ncount = 1").await;
    let link = lab.tty().to_owned();
    let before = std::fs::read_link(&link).unwrap();
    let timeline = lab.timeline().clone();
    let host = tokio::task::spawn_blocking({
        let link = link.clone();
        move || {
            let mut host = Host::at(&link);
            host.say("AT+CGMM\r");
            host.hear("OK\r\n", LONG)
        }
    });
    let (_, is_gone) = host.await.unwrap();
    assert!(is_gone, "the host is told by EIO or by the end of the file");
    timeline.wait_for(0, |event| event.kind.to_string() == "terminals back").await;
    let answer = tokio::task::spawn_blocking(move || {
        assert!(link.exists() && (std::fs::read_link(&link).unwrap() != before || before.exists()));
        let mut host = Host::at(&link);
        host.say("ATE0\r");
        host.hear("OK\r\n", LONG).0
    });
    assert!(answer.await.unwrap().ends_with(b"OK\r\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_word_a_silence_and_a_removal_of_the_card_are_seen_by_the_host() {
    for (fault, expected) in
        [("card = \"6F00\"", "+CSIM: 4,\"6F00\""), ("card = \"no-answer\"", "ERROR"), ("card = \"removed\"", "ERROR")]
    {
        let lab = lab(&format!("[[fault]]\n{fault}\ncommand = '80CA.*'\ncount = 1")).await;
        let tty = lab.tty().to_owned();
        let heard = tokio::task::spawn_blocking(move || {
            let mut host = Host::at(&tty);
            host.say("AT+CSIM=10,\"80CA005A00\"\r");
            let end = if expected == "ERROR" { "ERROR\r\n" } else { "OK\r\n" };
            String::from_utf8(host.hear(end, LONG).0).unwrap()
        });
        let heard = heard.await.unwrap();
        assert!(heard.contains(expected), "{fault}: {heard}");
        assert!(lab.timeline().snapshot().iter().any(|event| event.kind.to_string().starts_with("FAULT card: ")));
    }
}
