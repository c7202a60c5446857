//! `esimlab smdp` as people run it: killed in the middle, ended, asked without its token; and with lpac, where it is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use esimlab::fleet::{Device, numbered_eid};
use esimlab::lab::system_time;
use pki::{Pki, PkiSpec};
use rsp::ActivationCode;
use rsp::crypto::{Curve, SystemRandom};
use serde_json::Value;

struct Running {
    child: Child,
    ready: Value,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(folder: &Path, listen: &str, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_esimlab"));
        command.args(["smdp", "--json", "--listen", listen]).args(more).current_dir(folder);
        command.args(["--control", "control.json"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Running { ready: serde_json::from_str(&line).unwrap(), child }
    }

    fn listening(&self) -> String {
        self.ready["smdp"]["listening"].as_str().unwrap().to_owned()
    }

    fn get(&self, path: &str, token: Option<&str>) -> (u16, String) {
        let host = self.ready["manage"]["url"].as_str().unwrap().trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).unwrap();
        let token = token.unwrap_or_else(|| self.ready["manage"]["token"].as_str().unwrap());
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    fn orders(&self) -> Vec<Value> {
        let (status, body) = self.get("/orders", None);
        assert_eq!(status, 200);
        serde_json::from_str(&body).unwrap()
    }
}

fn write_pki(folder: &Path) -> Pki {
    let spec = PkiSpec { curves: vec![Curve::P256], ..PkiSpec::default() };
    let pki = Pki::generate(&spec, &mut SystemRandom, system_time()).unwrap();
    pki.write(&folder.join("pki")).unwrap();
    pki
}

fn config(folder: &Path, orders: u32) {
    let orders = (0..orders).map(|number| {
        format!("[[order]]\nprofile = \"operator-a\"\nnumber = {number}\nmatching-id = \"CARD-{number}\"\n")
    });
    std::fs::write(folder.join("smdp.toml"), orders.collect::<String>()).unwrap();
}

/// Where devices wait while there is no server.
#[derive(Default)]
struct Gate {
    open: Mutex<u32>,
    changed: Condvar,
}

impl Gate {
    fn wait_for(&self, generation: u32) {
        let mut open = self.open.lock().unwrap();
        while *open < generation {
            open = self.changed.wait(open).unwrap();
        }
    }

    fn set(&self, generation: u32) {
        *self.open.lock().unwrap() = generation;
        self.changed.notify_all();
    }
}

#[test]
fn a_server_that_is_killed_loses_no_order_and_sells_none_twice() {
    const CARDS: u32 = 200;
    let folder = tempfile::tempdir().unwrap();
    let pki = write_pki(folder.path());
    config(folder.path(), CARDS);
    let more = ["--config", "smdp.toml", "--pki", "pki", "--state", "orders.redb"];
    let mut server = Running::start(folder.path(), "127.0.0.1:0", &more);
    let listening = server.listening();
    let ci = pki.ci(Curve::P256).unwrap().to_pem().into_bytes();
    let gate = Arc::new(Gate::default());
    let devices: Vec<_> = (0..CARDS)
        .map(|number| {
            let eid = numbered_eid("89049032", number).unwrap();
            let mut device = Device::new(&pki, Curve::P256, eid, ci.clone()).unwrap();
            let (gate, listening) = (gate.clone(), listening.clone());
            std::thread::spawn(move || {
                let code = ActivationCode::parse(&format!("1${listening}$CARD-{number}")).unwrap();
                let (mut tries, mut installed, mut delivered) = (0, false, false);
                while !delivered {
                    gate.wait_for(tries);
                    tries += 1;
                    if installed {
                        delivered = device.send_notifications().unwrap_or(false);
                        continue;
                    }
                    match device.download(&code) {
                        Ok(all) => (installed, delivered) = (true, all),
                        Err(failure) => {
                            // The network has gone, or a server that has never heard of the session is back.
                            let forgotten = failure.subject.as_deref() == Some("8.10.1");
                            assert!(failure.curl.is_some() || forgotten, "{failure}");
                            assert!(tries < 3, "{failure}");
                        }
                    }
                }
                device
            })
        })
        .collect();
    // kill -9 while the downloads are under way: some orders have moved, some have not.
    let installed = |orders: &[Value]| orders.iter().filter(|order| order["state"] == "installed").count();
    loop {
        let orders = server.orders();
        let done = installed(&orders);
        if done >= CARDS as usize / 8 {
            break;
        }
    }
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let server = Running::start(folder.path(), &listening, &more);
    let found = server.orders();
    assert_eq!(found.len(), CARDS as usize);
    let left = CARDS as usize - installed(&found);
    assert!(left > 0, "the kill came too late to show anything");
    gate.set(1);
    gate.set(2);
    let devices: Vec<Device> = devices.into_iter().map(|device| device.join().unwrap()).collect();

    let mut holders = BTreeMap::new();
    for device in &devices {
        let profiles = device.profiles();
        assert_eq!(profiles.len(), 1, "{} has one profile", device.eid());
        let twice = holders.insert(profiles[0].iccid.to_string(), device.eid().to_string());
        assert_eq!(twice, None, "nobody else has it");
    }
    let orders = server.orders();
    for order in &orders {
        assert_eq!(order["state"], "installed", "{order}");
        let holder = &holders[order["iccid"].as_str().unwrap()];
        assert_eq!(order["bound_to"].as_str(), Some(holder.as_str()));
        let times = order["events"].as_array().unwrap().iter().filter(|event| event["to"] == "installed").count();
        assert_eq!(times, 1, "{order}");
    }
    println!("killed with {left} of {CARDS} orders not installed yet");
}

#[test]
fn the_program_listens_on_loopback_and_ends_when_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Running::start(folder.path(), "127.0.0.1:0", &["--state", "orders.redb"]);
    let id = server.child.id();
    // Every socket of the process that listens does so on this machine only (proc(5): tcp, state 0A).
    let mut sockets = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{id}/fd")).unwrap() {
        let target = std::fs::read_link(entry.unwrap().path()).unwrap_or_default();
        let text = target.display().to_string();
        if let Some(inode) = text.strip_prefix("socket:[").and_then(|text| text.strip_suffix(']')) {
            sockets.push(inode.to_owned());
        }
    }
    let mut listening = 0;
    for (file, loopback) in [("tcp", "0100007F:"), ("tcp6", "00000000000000000000000001000000:")] {
        let table = std::fs::read_to_string(format!("/proc/{id}/net/{file}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields[3] == "0A" && sockets.iter().any(|inode| inode == fields[9]) {
                assert!(fields[1].starts_with(loopback), "{line}");
                listening += 1;
            }
        }
    }
    assert_eq!(listening, 2, "the server and its management API");
    for token in ["", "0000"] {
        assert_eq!(server.get("/orders", Some(token)).0, 401);
    }
    assert_eq!(server.get("/openapi.json", None).0, 200);
    use std::os::unix::fs::PermissionsExt;
    for file in ["control.json", "orders.redb"] {
        let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}");
    }
    // The control file is what `esimlab order` goes by.
    let order = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_esimlab"));
        let output = command.arg("order").args(arguments).args(["--control", "control.json"]);
        let output = output.current_dir(folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = order(&["add", "operator-a", "TOKEN-1", "--state", "confirmed", "--png", "code.png"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("$TOKEN-1\n") && text.contains('█'), "{text}");
    assert!(std::fs::read(folder.path().join("code.png")).unwrap().starts_with(b"\x89PNG"));
    assert!(order(&["release", "TOKEN-1"]).1.contains("order 1, released"));
    assert!(order(&["list"]).1.contains("TOKEN-1"));
    assert!(order(&["show", "1", "--no-qr"]).1.contains("released by hand"));
    assert!(order(&["cancel", "1"]).1.contains("order 1, unavailable"));
    assert_eq!(order(&["show", "nothing"]).0, Some(2));
    let limits = ["--expires-in", "86400", "--max-attempts", "2", "--no-qr"];
    assert_eq!(order(&[&["add", "operator-a", "TOKEN-2"][..], &limits].concat()).0, Some(0));
    let limited = server.orders()[1].clone();
    assert_eq!(limited["max_attempts"], 2);
    let left = limited["expires"].as_i64().unwrap() - system_time();
    assert!((80_000..=86_400).contains(&left), "{left} s");

    let pid = rustix::process::Pid::from_raw(id.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert!(!folder.path().join("control.json").exists());
    assert_eq!(order(&["list"]).0, Some(2));
    // What was ordered is still there.
    let again = Running::start(folder.path(), "127.0.0.1:0", &["--state", "orders.redb"]);
    assert_eq!(again.orders()[0]["state"], "unavailable");
}

#[test]
fn a_card_discovers_its_profile_over_two_sm_dss() {
    let folder = tempfile::tempdir().unwrap();
    let pki = write_pki(folder.path());
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write("root.toml", "[smds]\nlisten = \"127.0.0.1:0\"\n".to_owned());
    let root = Running::start(folder.path(), "127.0.0.1:0", &["--config", "root.toml", "--pki", "pki"]);
    let root = (root.ready["smds"].as_str().unwrap().to_owned(), root);
    write(
        "smdp.toml",
        format!(
            "[smds]\nlisten = \"127.0.0.1:0\"\nroot = \"{}\"\n[es2plus.types.Basic]\nprofile = \"operator-a\"\n",
            root.0
        ),
    );
    let server = Running::start(folder.path(), "127.0.0.1:0", &["--config", "smdp.toml", "--pki", "pki"]);
    let alternative = server.ready["smds"].as_str().unwrap().to_owned();
    let smdp = server.ready["smdp"]["address"].as_str().unwrap().to_owned();

    let ci = pki.ci(Curve::P256).unwrap().to_pem().into_bytes();
    let eid = numbered_eid("89049032", 7).unwrap();
    let mut device = Device::new(&pki, Curve::P256, eid, ci.clone()).unwrap();
    // The operator orders, with an event at the alternative SM-DS, which goes to the root.
    let es2 = |function: &str, mut body: Value| -> Value {
        body["header"] = serde_json::json!({ "functionRequesterIdentifier": "2.999.1", "functionCallIdentifier": "1" });
        let url = format!("https://{smdp}/gsma/rsp2/es2plus/{function}");
        let headers = [("X-Admin-Protocol", "gsma/rsp/v2.5.0"), ("Content-Type", "application/json")];
        let reply = device.post(&url, &headers, body.to_string().as_bytes()).unwrap();
        let value: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(value["header"]["functionExecutionStatus"]["status"], "Executed-Success", "{value}");
        value
    };
    let ordered = es2("downloadOrder", serde_json::json!({ "profileType": "Basic", "eid": eid.to_string() }));
    let confirm = serde_json::json!({ "iccid": ordered["iccid"], "smdsAddress": alternative, "releaseFlag": true });
    let matching_id = es2("confirmOrder", confirm)["matchingId"].as_str().unwrap().to_owned();

    let smds = rsp::ServerAddress::parse(&root.0).unwrap();
    let found = device.discover(&smds).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].server.as_str(), &found[0].event_id), (smdp.as_str(), &matching_id));
    // To discover is not to install: the order waits, and the code made of the event fetches it.
    assert_eq!(server.orders()[0]["state"], "released");
    let code = ActivationCode::parse(&found[0].activation_code().unwrap()).unwrap();
    assert!(device.download(&code).unwrap());
    assert_eq!(server.orders()[0]["state"], "installed");
    // With the order its event has gone, here and at the root; it is taken back after the response.
    let began = std::time::Instant::now();
    while !device.discover(&smds).unwrap().is_empty() {
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "the event is still there");
    }
    // A card for which nothing waits, and a server that is no SM-DS.
    let mut other = Device::new(&pki, Curve::P256, numbered_eid("89049032", 8).unwrap(), ci).unwrap();
    assert!(other.discover(&smds).unwrap().is_empty());
    assert!(other.discover(&rsp::ServerAddress::parse(&smdp).unwrap()).is_err());
}

#[test]
fn the_certificates_of_sgp26_serve_as_they_are() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/sgp26");
    if !Path::new(folder).exists() {
        println!("skipped: {folder} is not there");
        return;
    }
    for (name, curve) in [("p256", Curve::P256), ("brainpool", Curve::BrainpoolP256r1)] {
        let own = tempfile::tempdir().unwrap();
        config(own.path(), 1);
        let more = ["--config", "smdp.toml", "--pki", folder, "--curve", name];
        let server = Running::start(own.path(), "127.0.0.1:0", &more);
        let pki = Pki::load(Path::new(folder), system_time()).unwrap();
        let ci = pki.ci(curve).unwrap().to_pem().into_bytes();
        let mut device = Device::new(&pki, curve, numbered_eid("89049032", 3).unwrap(), ci).unwrap();
        let code = ActivationCode::parse(&format!("1${}$CARD-0", server.listening())).unwrap();
        assert!(device.download(&code).unwrap(), "{name}");
        assert_eq!(server.orders()[0]["state"], "installed");
    }
}
