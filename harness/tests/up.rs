//! `esimlab up`: what it prints works, and ending it leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A running `esimlab up --json`.
struct Up {
    child: Child,
    ready: Value,
}

impl Up {
    fn start(arguments: &[&str]) -> Self {
        Up::of(Command::new(env!("CARGO_BIN_EXE_esimlab")).args(["up", "--json"]).args(arguments))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready: {line:?}"));
        Up { child, ready }
    }

    fn text(&self, pointer: &str) -> &str {
        self.ready.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} in {}", self.ready))
    }

    /// The activation code of the first order that `wanted` accepts.
    fn code(&self, wanted: impl Fn(&Value) -> bool) -> &str {
        let orders = self.ready["orders"].as_array().unwrap();
        orders.iter().find(|order| wanted(order)).unwrap()["activation_code"].as_str().unwrap()
    }

    fn lpad(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_esimlab"))
            .args(["lpad", "-d", self.text("/modems/0/ttys/0"), "--ci", self.text("/smdp/ci"), "--json"])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// The result object of an operation.
    fn result(&self, arguments: &[&str]) -> Value {
        let output = self.lpad(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(text.lines().last().unwrap_or_default())
            .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    }

    fn end(mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Only where a test has failed before it ended the lab.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_activation_code_that_is_printed_works() {
    let up = Up::start(&[]);
    assert_eq!(up.text("/modems/0/model"), "RM500Q-GL");
    let plain = up.code(|order| order["confirmation_code"].is_null() && order["matching_id"] != "");
    let with_code = up.code(|order| order["confirmation_code"] == "12345678");
    let by_eid = up.code(|order| order["matching_id"] == "");
    assert_eq!(up.result(&["-A", plain])["outcome"], "success");
    let refused = up.result(&["-A", with_code]);
    assert_eq!((&refused["outcome"], &refused["step"]), (&"failure".into(), &"prepareDownload".into()));
    assert_eq!(up.result(&["-A", with_code, "-C", "12345678"])["outcome"], "success");
    assert_eq!(up.result(&["-A", "UseSMDP"])["outcome"], "success");
    assert_eq!(up.result(&["-A", by_eid])["outcome"], "failure", "nothing is left for this EID");
    assert_eq!(up.end(Signal::INT), Some(0));
}

#[test]
fn ending_it_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("modem");
    let up = Up::start(&["--link", link.to_str().unwrap(), "--model", "RG502Q"]);
    assert_eq!(up.text("/modems/0/ttys/0"), link.to_str().unwrap());
    let tty = std::fs::read_link(&link).unwrap();
    assert!(tty.starts_with("/dev/pts"));
    assert_eq!(up.result(&["--list"])["outcome"], "success");
    let ci = PathBuf::from(up.text("/smdp/ci"));
    let address = up.text("/smdp/address").to_owned();
    assert!(ci.exists());
    std::net::TcpStream::connect(&address).unwrap();
    assert_eq!(up.end(Signal::TERM), Some(0));
    assert!(std::fs::symlink_metadata(&link).is_err(), "the link is still there");
    assert!(!ci.exists() && !ci.parent().unwrap().exists(), "the lab's folder is still there");
    assert!(std::net::TcpStream::connect(&address).is_err(), "the server is still there");
}

#[test]
fn an_idle_lab_takes_less_than_20_megabytes() {
    let up = Up::start(&[]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", up.child.id())).unwrap();
    let kilobytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    };
    // What the lab itself takes; the rest are pages of the program's file, which is three times as large in a debug
    // build.
    assert!(kilobytes("RssAnon") < 8_000, "{status}");
    assert!(cfg!(debug_assertions) || kilobytes("VmRSS") < 20_000, "{status}");
    up.end(Signal::TERM);
}

#[test]
fn keys_are_kept_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let ci = |up: &Up| std::fs::read(up.text("/smdp/ci")).unwrap();
    let first = Up::start(&["--pki", keys.to_str().unwrap()]);
    let made = ci(&first);
    first.end(Signal::TERM);
    let second = Up::start(&["--pki", keys.to_str().unwrap()]);
    assert_eq!(ci(&second), made);
    second.end(Signal::TERM);
}

#[test]
fn it_runs_on_the_keys_of_sgp_26_on_both_curves() {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/sgp26");
    if !keys.exists() {
        eprintln!("skipped: {} is not there", keys.display());
        return;
    }
    for curve in ["p256", "brainpool"] {
        let up = Up::start(&["--pki", keys.to_str().unwrap(), "--curve", curve]);
        assert_eq!(up.text("/modems/0/eid"), "89049032123451234512345678901235");
        let result = up.result(&["-A", up.code(|_| true)]);
        assert_eq!(result["outcome"], "success", "{result}");
        assert_eq!(up.result(&["--enable", "1"])["outcome"], "success");
        up.end(Signal::TERM);
    }
}

#[test]
fn mistakes_are_told() {
    let esimlab = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_esimlab")).arg("up").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = esimlab(&["--model", "RM500"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("RM500Q-GL"), "{text}");
    let (code, text) = esimlab(&["--eid", "89049032123451234512345678901234"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("97"), "{text}");
    let (code, text) = esimlab(&["--eid", "35840574202500000125000006420196"]);
    assert_eq!(code, Some(3));
    assert!(text.contains("89049032"), "{text}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, text) = esimlab(&["--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(code, Some(2));
    assert!(text.contains("cannot listen") && text.contains("port 0 takes one that is free"), "{text}");
}

/// A call of the control port: its status and its body.
fn call(up: &Up, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
    call_with(up.text("/control/url"), Some(up.text("/control/token")), method, path, body)
}

fn call_with(url: &str, token: Option<&str>, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
    use std::io::{Read, Write};
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let body = body.unwrap_or_default();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{token}Content-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

/// The end of the terminal ends the lab in order, unless whoever started it wants it to go on: `nohup esimlab up`.
#[test]
fn it_ends_with_its_terminal_unless_that_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("modem");
    if is_hang_up_ignored() {
        eprintln!("skipped in part: these tests run with SIGHUP ignored, as under nohup");
    } else {
        let up = Up::start(&["--link", link.to_str().unwrap()]);
        assert_eq!(up.end(Signal::HUP), Some(0));
        assert!(std::fs::symlink_metadata(&link).is_err(), "the link is still there");
    }

    let script = format!("trap '' HUP; exec {} up --json", env!("CARGO_BIN_EXE_esimlab"));
    let up = Up::of(Command::new("sh").args(["-c", &script]));
    kill_process(Pid::from_child(&up.child), Signal::HUP).unwrap();
    assert_eq!(up.result(&["--list"])["outcome"], "success");
    assert_eq!(up.end(Signal::TERM), Some(0));
}

/// Whether this process has SIGHUP ignored (proc(5): `SigIgn`), which those that it starts then have as well.
fn is_hang_up_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(set.trim(), 16).unwrap() & 1 != 0
}

/// A shell has SIGINT ignored in what a script starts in the background: the lab is ended in order all the same.
#[test]
fn it_is_interrupted_in_the_background_of_a_script_too() {
    let script = format!("trap '' INT; exec {} up --json", env!("CARGO_BIN_EXE_esimlab"));
    let up = Up::of(Command::new("sh").args(["-c", &script]));
    assert_eq!(up.end(Signal::INT), Some(0));
}

/// The codes hold wherever the server listens.
#[test]
fn it_can_be_reached_by_ipv6_and_where_it_listens_everywhere() {
    for (listen, host) in [("[::1]:0", "[::1]:"), ("0.0.0.0:0", "localhost:")] {
        if std::net::TcpListener::bind(listen).is_err() {
            eprintln!("skipped: this machine cannot listen on {listen}");
            continue;
        }
        let up = Up::start(&["--listen", listen]);
        assert!(up.text("/smdp/address").starts_with(host), "{}", up.ready);
        let code = up.code(|order| order["matching_id"] == "OPERATOR-A");
        assert_eq!(up.result(&["-A", code])["outcome"], "success", "{listen}");
        up.end(Signal::TERM);
    }
}

/// Every fault of the server that a scenario can have is felt when it is set while the lab runs.
#[test]
fn faults_that_are_set_later_are_felt() {
    let up = Up::start(&[]);
    let code = up.code(|order| order["matching_id"] == "OPERATOR-A");
    for (fault, key, expected) in [
        (r#"{"tls":"untrusted"}"#, "curl", 60),
        (r#"{"tls":"expired"}"#, "curl", 60),
        (r#"{"tls":"wrong-name"}"#, "curl", 60),
        (r#"{"tls":"wrong-role"}"#, "curl", 60),
        (r#"{"tls":"old-version"}"#, "curl", 35),
        (r#"{"tls":"alert"}"#, "curl", 35),
        (r#"{"tcp":"reset"}"#, "curl", 35),
        (r#"{"http":"no-reply"}"#, "curl", 52),
        (r#"{"http-status":503}"#, "http", 503),
    ] {
        assert_eq!(call(&up, "PUT", "/faults", Some(&format!("[{fault}]"))).0, 200);
        let failure = up.result(&["-A", code]);
        assert_eq!(failure[key], expected, "{fault}: {failure}");
    }
    assert_eq!(call(&up, "PUT", "/faults", Some(r#"[{"http":"huge"}]"#)).0, 200);
    assert_eq!(up.result(&["-A", code])["outcome"], "failure");
    assert_eq!(call(&up, "DELETE", "/faults", None).0, 200);
    assert_eq!(up.result(&["-A", code])["outcome"], "success");
    up.end(Signal::TERM);
}

#[test]
fn the_control_port_shows_and_changes_the_lab() {
    let up = Up::start(&[]);
    let (status, lab) = call(&up, "GET", "/lab", None);
    assert_eq!((status, &lab["card"]["eid"]), (200, &up.ready["modems"][0]["eid"]));
    assert_eq!(lab["modem"]["ports"][0]["tty"], up.text("/modems/0/ttys/0"));
    // Orders and faults are the SM-DP+'s own; the LPA meets them.
    let (status, faults) = call(&up, "POST", "/faults", Some(r#"{"refuse":"8.8.5/4.10","count":1}"#));
    assert_eq!((status, faults.as_array().unwrap().len()), (201, 1));
    let from = lab["timeline"].as_u64().unwrap();
    let refused = up.result(&["-A", "UseSMDP"]);
    assert_eq!((&refused["subject"], &refused["reason"]), (&"8.8.5".into(), &"4.10".into()));
    let (status, event) = call(&up, "GET", &format!("/timeline/wait?from={from}&text=8.8.5%2F4.10&role=lab"), None);
    assert_eq!((status, &event["kind"]), (200, &"fault".into()));
    assert_eq!(up.result(&["-A", "UseSMDP"])["outcome"], "success");
    let (_, lab) = call(&up, "GET", "/lab", None);
    assert_eq!(lab["card"]["profiles"].as_array().unwrap().len(), 1);
    // What no host can do.
    let (status, _) = call(&up, "POST", "/card/remove", None);
    assert_eq!((status, up.lpad(&["--list"]).status.success()), (200, false));
    call(&up, "POST", "/card/insert", None);
    assert!(up.lpad(&["--list"]).status.success());
    assert_eq!(call(&up, "POST", "/modem/reset", None).0, 200);
    let message = Some(r#"{"from":"+4712345","text":"hello"}"#);
    let (status, told) = call(&up, "POST", "/modem/message", message);
    assert_eq!(status, 409, "nobody can be reached without a subscription: {told}");
    assert_eq!(up.result(&["--enable", "1"])["outcome"], "success");
    assert_eq!(call(&up, "POST", "/modem/message", message).0, 200);
    // The operator's console of the mobile network.
    let (status, device) = call(&up, "GET", "/network", None);
    assert_eq!((status, &device["state"], &device["operator"]["plmn"]), (200, &"attached".into(), &"00101".into()));
    let (status, device) = call(&up, "POST", "/network", Some(r#"{"sim":"blocked"}"#));
    assert_eq!((status, &device["state"], &device["operator"]), (200, &"blocked".into(), &serde_json::Value::Null));
    assert!(device["events"].as_array().unwrap().iter().any(|event| event["text"] == "Cancel Location"), "{device}");
    let (_, timeline) = call(&up, "GET", "/timeline?from=0", None);
    let words: Vec<&str> =
        timeline["events"].as_array().unwrap().iter().map(|event| event["words"].as_str().unwrap()).collect();
    assert_eq!(words.len() as u64, timeline["next"].as_u64().unwrap());
    assert!(words.iter().any(|words| words.contains("profile installed")), "{words:?}");
    // What is not understood, or not allowed, is told.
    for (status, method, path, body) in [
        (400, "GET", "/timeline?form=1", None),
        (400, "GET", "/timeline/wait?seconds=soon", None),
        (408, "GET", "/timeline/wait?text=never&seconds=0.01", None),
        (400, "POST", "/modem/urc", Some("{\"line\":\"a\\nb\"}")),
        (400, "POST", "/modem/message", Some("{}")),
        (400, "POST", "/network", Some("{\"sim\":\"lost\"}")),
        (400, "POST", "/network", Some("{\"reset\":false}")),
        (400, "POST", "/network", Some("{\"coverage\":{\"operator\":\"99999\",\"technology\":\"lte\"}}")),
        (405, "GET", "/card/remove", None),
        (404, "GET", "/nothing", None),
    ] {
        let (seen, told) = call(&up, method, path, body);
        assert_eq!(seen, status, "{path}: {told}");
        assert!(told["error"].as_str().is_some_and(|words| words.len() > 8), "{path}: {told}");
    }
    assert_eq!(call_with(up.text("/control/url"), None, "GET", "/lab", None).0, 401);
    let (_, document) = call(&up, "GET", "/openapi.json", None);
    for path in ["/orders", "/lab", "/timeline/events", "/modem/urc", "/network"] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    assert_eq!(up.end(Signal::INT), Some(0));
}
