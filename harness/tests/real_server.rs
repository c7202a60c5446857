//! Scenarios against a real SM-DP+, played by `esimlab smdp` in a process of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const ESIMLAB: &str = env!("CARGO_BIN_EXE_esimlab");

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ends(child: &mut Child) {
    let _ = rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::TERM);
    let _ = child.wait();
}

/// A server, its folder and its certificates.
struct RealServer {
    child: Child,
    ready: Value,
    folder: tempfile::TempDir,
    pki: PathBuf,
}

impl Drop for RealServer {
    fn drop(&mut self) {
        ends(&mut self.child);
    }
}

/// What operators can order by type.
const TYPES: &str = "[es2plus]\nclient-certificate = true\n\
                     [es2plus.types.Basic]\nprofile = \"operator-a\"\n[es2plus.types.Data]\nprofile = \"operator-b\"\n\
                     [es2plus.types.Test]\nprofile = \"test\"\n";

impl RealServer {
    /// A server with a new PKI.
    fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pki = folder.path().join("pki");
        let made = Command::new(ESIMLAB).args(["pki", "new"]).arg(&pki).output().unwrap();
        assert!(made.status.success());
        RealServer::with_pki(config, pki, folder)
    }

    fn with_pki(config: &str, pki: PathBuf, folder: tempfile::TempDir) -> Self {
        std::fs::write(folder.path().join("smdp.toml"), config).unwrap();
        let mut command = Command::new(ESIMLAB);
        command.args(["smdp", "--json", "--listen", "127.0.0.1:0", "--config", "smdp.toml", "--pki"]).arg(&pki);
        command.args(["--control", "control.json"]).current_dir(folder.path()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        RealServer { ready: serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}")), child, folder, pki }
    }

    fn address(&self) -> &str {
        self.ready["smdp"]["address"].as_str().unwrap()
    }

    fn url(&self) -> String {
        format!("https://{}", self.address())
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The orders as the server has them.
    fn orders(&self) -> Vec<Value> {
        let host = self.ready["manage"]["url"].as_str().unwrap().trim_start_matches("http://");
        let token = self.ready["manage"]["token"].as_str().unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let head = format!("GET /orders HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n");
        write!(stream, "{head}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// How many of them are in this state.
    fn count(&self, state: &str) -> usize {
        self.orders().iter().filter(|order| order["state"] == state).count()
    }

    /// The options that name this server, with its file of orders; over ES2+ too where that is wanted.
    fn options(&self, orders: &str, es2: bool) -> Vec<String> {
        std::fs::write(self.file("orders.toml"), orders.replace("SMDP", self.address())).unwrap();
        let pki = self.pki.display();
        let mut options: Vec<String> =
            [("--smdp", self.url()), ("--pki", pki.to_string()), ("--smdp-orders", self.file("orders.toml"))]
                .into_iter()
                .flat_map(|(name, value)| [name.to_owned(), value])
                .collect();
        if es2 {
            let tls = |name: &str| self.pki.join("DPtls").join(name).display().to_string();
            let certificate = self.file("operator.pem");
            // An operator's certificate: any under the CI that the server trusts will do.
            let der = std::fs::read(tls("CERT_S_SM_DP_TLS_NIST.der")).unwrap();
            let pem = rsp::cert::Certificate::from_pem_or_der(&der).unwrap().to_pem();
            std::fs::write(&certificate, pem).unwrap();
            let key = tls("SK_S_SM_DP_TLS_NIST.pem");
            let more =
                ["--es2".to_owned(), self.url(), "--es2-cert".to_owned(), certificate, "--es2-key".to_owned(), key];
            options.extend(more);
        }
        options
    }
}

fn esimlab(arguments: &[&str], options: &[String]) -> Output {
    Command::new(ESIMLAB).args(arguments).args(options).current_dir(project()).stdin(Stdio::null()).output().unwrap()
}

/// The lines of a report.
fn lines(json: &str) -> Vec<Value> {
    std::fs::read_to_string(json).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the report says of a scenario.
fn of<'l>(lines: &'l [Value], id: &str) -> &'l Value {
    lines.iter().find(|line| line["id"] == id).unwrap_or_else(|| panic!("{id} is not told"))
}

fn verdict<'l>(lines: &'l [Value], id: &str) -> &'l str {
    of(lines, id)["verdict"].as_str().unwrap()
}

/// A scenario of one's own. Those of the project that have response times in them are no tests for a loaded machine.
fn own(server: &RealServer, name: &str, words: &str) -> String {
    let file = server.file(&format!("{name}.toml"));
    std::fs::write(&file, format!("format = 1\ntitle = 'x'\n{words}")).unwrap();
    file
}

const PROFILES: &str = "format = 1\n[profile.operator-a]\nprofile_type = \"Basic\"\n\
                        [profile.operator-b]\nprofile_type = \"Data\"\n[profile.test]\nprofile_type = \"Test\"\n";

#[test]
fn orders_are_made_over_es2_and_put_back() {
    let given = "[[order]]\nprofile = \"operator-a\"\nmatching-id = \"SPENT\"\nstate = \"installed\"\nnumber = 900\n\
                 [[order]]\nprofile = \"provisioning\"\nmatching-id = \"GIVEN-1\"\n";
    let server = RealServer::start(&format!("{given}{TYPES}"));
    let orders = "[[order]]\nprofile = \"operator-a\"\nactivation_code = \"1$SMDP$SPENT\"\nstate = \"installed\"\n\
                  [[order]]\nprofile = \"provisioning\"\nactivation_code = \"1$SMDP$GIVEN-1\"\n";
    let options = server.options(&format!("{PROFILES}{orders}"), true);
    let (json, html) = (server.file("report.json"), server.file("report.html"));
    // What the profile is called here is not told: it is taken from the card.
    let bootstrap = own(
        &server,
        "bootstrap",
        "[[smdp.order]]\nmatching_id = 'BOOT'\nprofile = 'provisioning'\n\
         [[step]]\nlpa = { download = '1$${smdp}$BOOT' }\noutcome = 'success'\n\
         [[step]]\nat = 'AT+QESIM=\"profile_detail\",1'\nreply = ['+QESIM: \"profile_detail\",${iccid.provisioning},0,\"\",\
         \"${provider.provisioning}\",\"${name.provisioning}\",1', 'OK']\n\
         [expect]\neuicc.profiles = [{ profile = 'provisioning', state = 'disabled' }]\n",
    );
    let used = own(
        &server,
        "used",
        "[[smdp.order]]\nmatching_id = 'USED'\nprofile = 'operator-a'\nstate = 'installed'\n\
         [[step]]\nlpa = { download = '1$${smdp}$USED' }\noutcome = 'failure'\nstatus = '8.2.6/3.8'\n\
         [expect]\nes9plus = ['initiateAuthentication', 'authenticateClient', 'cancelSession']\n",
    );
    let by_eid = own(
        &server,
        "by-eid",
        "[card]\ndefault_smdp = '${smdp}'\n[[smdp.order]]\neid = '${eid}'\nprofile = 'operator-b'\n\
         [[step]]\nlpa = { download = 'UseSMDP' }\noutcome = 'success'\n\
         [expect]\neuicc.profiles = [{ profile = 'operator-b' }]\n",
    );
    let output = esimlab(
        &[
            "run",
            "--json",
            &json,
            "--html",
            &html,
            &bootstrap,
            &used,
            &by_eid,
            "at/eid",
            "download/by-csim",
            "download/released-later",
            "errors/confirmation-code-missing",
            "errors/order-cancelled",
            "errors/order-error",
            "errors/order-expired",
            "errors/tls-alert",
            "errors/package-iccid",
            "interruptions/reset-at-package",
            "interruptions/server-switched-off",
            "line/noise",
            "download/beside-enabled",
            "security/server-oid-right",
        ],
        &options,
    );
    let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{told}");
    let lines = lines(&json);
    for id in [
        "bootstrap",
        "used",
        "by-eid",
        "download/by-csim",
        "download/released-later",
        "errors/confirmation-code-missing",
        "errors/order-cancelled",
        "interruptions/reset-at-package",
        "line/noise",
    ] {
        assert_eq!(verdict(&lines, id), "pass", "{id}: {told}");
    }
    for (id, reason) in [
        ("at/eid", "it has nothing to do with the server"),
        ("errors/order-error", "an order that is error cannot be made over ES2+"),
        ("errors/order-expired", "is for this server to say"),
        ("errors/tls-alert", "its fault (tls) is one of the emulated server"),
        ("errors/package-iccid", "its fault (es9plus) is one of the emulated server"),
        ("interruptions/server-switched-off", "a real server is not switched off by this"),
        ("download/beside-enabled", "profiles on the card that this server has not made"),
        ("security/server-oid-right", "it names the OID of the emulated server"),
    ] {
        assert_eq!(verdict(&lines, id), "skipped", "{id}");
        assert!(of(&lines, id)["reason"].as_str().unwrap().contains(reason), "{id}: {}", of(&lines, id)["reason"]);
    }
    // What is real is told, and what was not looked at.
    assert_eq!(lines[0]["server"], server.url());
    assert!(lines[0]["options"].as_str().unwrap().contains("--es2 https://"), "{}", lines[0]);
    assert_eq!(of(&lines, "download/by-csim")["not_looked_at"], serde_json::json!(["the states of the orders"]));
    let provisioning = &of(&lines, "bootstrap")["not_looked_at"];
    assert!(provisioning.to_string().contains("the ICCID of provisioning"), "{provisioning}");
    assert!(text(&output.stdout).contains(&format!("LPA lpad, server {}", server.url())), "{told}");
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains(&format!("<th scope=\"col\">lpad, server {}</th>", server.url())));
    assert!(page.contains("PASS in part") && page.contains("Not looked at: the states of the orders"));
    // The calls are compared as lpad tells them, and are in the timeline for it.
    let told_by_lpad =
        |event: &&Value| event["step"]["request"] == "authenticateClient" && event["step"]["http"] == 200;
    let timeline = of(&lines, "download/by-csim")["timeline"].as_array().unwrap();
    assert_eq!(timeline.iter().filter(told_by_lpad).count(), 1, "{timeline:#?}");
    assert!(text(&output.stderr).contains("profiles operator-a, installed on a card: "), "{told}");
    // Nothing waits at the server that was made for the run; what a card has is told.
    let left: Vec<String> = server.orders().iter().map(|order| order["state"].as_str().unwrap().to_owned()).collect();
    let settled = |state: &String| ["installed", "available", "unavailable"].contains(&state.as_str());
    assert!(left.iter().all(settled), "{left:?}");
    assert_eq!(server.count("available"), 0, "{left:?}");
    // One that nobody has used is there to be ordered again.
    let output = esimlab(&["run", "errors/eid-differs"], &options);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert_eq!((server.count("available"), text(&output.stderr)), (1, String::new()));
}

#[test]
fn an_activation_code_is_used_once_in_a_run() {
    let server = RealServer::start(
        "[[order]]\nprofile = \"operator-a\"\nmatching-id = \"ONE\"\n\
         [[order]]\nprofile = \"operator-a\"\nmatching-id = \"TWO\"\nnumber = 1\nconfirmation-code = \"4711\"\n",
    );
    let orders = "format = 1\n[[order]]\nprofile = \"operator-a\"\nactivation_code = \"LPA:1$SMDP$ONE\"\n\
                  iccid = \"8999901000000000013\"\n\
                  [[order]]\nprofile = \"operator-a\"\nactivation_code = \"1$SMDP$TWO$$1\"\nconfirmation_code = \"4711\"\n";
    let options = server.options(orders, false);
    let json = server.file("report.json");
    let run = |more: &[&str]| {
        let output = esimlab(&[&["run", "--json", &json][..], more].concat(), &options);
        assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
        lines(&json)
    };
    let first =
        run(&["download/by-csim", "download/confirmation-code", "download/large-segments", "download/released-later"]);
    assert_eq!(verdict(&first, "download/by-csim"), "pass");
    // The confirmation code is the one of the file, not that of the scenario.
    assert_eq!(verdict(&first, "download/confirmation-code"), "pass");
    for (id, reason) in [
        ("download/large-segments", "the one order of operator-a in the orders file is used already"),
        ("download/released-later", "what an operator does at the server is done over ES2+"),
    ] {
        let told = of(&first, id);
        assert_eq!(told["verdict"], "skipped", "{told}");
        let reasons = [reason, "an order that is confirmed cannot be made", "--es2 URL makes one"];
        assert!(reasons.iter().any(|part| told["reason"].as_str().unwrap().contains(part)), "{}", told["reason"]);
    }
    assert_eq!(server.count("installed"), 2);
}

#[test]
fn a_server_that_is_wrong_makes_scenarios_fail() {
    let server = RealServer::start(&format!(
        "[[fault]]\nes9plus = \"bad-signature\"\nfunction = \"authenticateClient\"\n{TYPES}"
    ));
    let options = server.options(PROFILES, true);
    let json = server.file("report.json");
    let output = esimlab(&["run", "--json", &json, "download/by-csim", "errors/order-confirmed"], &options);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let lines = lines(&json);
    assert_eq!(verdict(&lines, "download/by-csim"), "fail");
    assert!(told.contains("expected") && told.contains("prepareDownload"), "{told}");
    // It can be run again as it was.
    let again = format!("--smdp {} --smdp-orders", server.url());
    assert!(told.contains(&again), "{told}");
    // The order that was not tried is given back; of the other one the server says that it has failed.
    let mut states: Vec<String> = server.orders().iter().map(|order| order["state"].to_string()).collect();
    states.sort();
    assert_eq!(states, ["\"available\"", "\"error\""]);
    let left = "1 profile operator-a, not to be ordered again, as cancelOrder is refused with 8.2.1/3.3: ";
    assert!(text(&output.stderr).contains(left), "{}", text(&output.stderr));
    // A server that refuses the orders fails them as well.
    let kinds = PROFILES.replace("Basic", "NoSuchType");
    let output = esimlab(&["run", "download/by-csim"], &server.options(&kinds, true));
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("ES2+ downloadOrder is refused with 8.2.5/3.9"), "{told}");
}

#[test]
fn the_certificates_of_sgp26_are_those_of_servers_in_the_field() {
    let folder = project().join("../shared/data/sgp26");
    if !folder.exists() {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    }
    let pki = folder.canonicalize().unwrap();
    let own = tempfile::tempdir().unwrap();
    let config = "[[order]]\nprofile = \"operator-a\"\nmatching-id = \"ONE\"\n\
                  [[order]]\nprofile = \"operator-a\"\nmatching-id = \"TWO\"\nnumber = 1\n";
    let server = RealServer::with_pki(config, pki, own);
    let order = |id: &str| format!("[[order]]\nprofile = \"operator-a\"\nactivation_code = \"1$SMDP${id}\"\n");
    let options = server.options(&format!("format = 1\n{}{}", order("ONE"), order("TWO")), false);
    let output = esimlab(&["run", "download/by-csim", "download/brainpool"], &options);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(server.count("installed"), 2);
}

#[test]
fn a_real_modem_meets_a_real_server() {
    let server = RealServer::start(TYPES);
    let mut other = Command::new(ESIMLAB);
    let mut modem = other.args(["up", "--json", "--pki"]).arg(&server.pki).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(modem.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let tty = ready.pointer("/modems/0/ttys/0").unwrap().as_str().unwrap().to_owned();
    let json = server.file("report.json");
    let scenarios = ["download/by-csim", "download/brainpool", "line/noise", "profiles/whole-life"];
    let arguments = [&["run", "--json", &json, "--modem", &tty, "--allow-write=profiles"][..], &scenarios].concat();
    let output = esimlab(&arguments, &server.options(PROFILES, true));
    let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
    let lpad = ["lpad", "-d", &tty, "--json", "--list"];
    let list = esimlab(&lpad, &[]);
    ends(&mut modem);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let lines = lines(&json);
    assert!(lines[0]["modem"].as_str().unwrap().contains(&tty), "{}", lines[0]);
    assert_eq!(lines[0]["server"], server.url());
    assert_eq!(verdict(&lines, "download/by-csim"), "pass", "{told}");
    assert_eq!(verdict(&lines, "profiles/whole-life"), "pass", "{told}");
    for id in ["download/brainpool", "line/noise"] {
        assert_eq!(verdict(&lines, id), "skipped", "{told}");
    }
    // The card is as it was found.
    assert!(text(&list.stdout).contains(r#""profiles":[]"#), "{}", text(&list.stdout));
}

#[test]
fn a_run_that_is_interrupted_takes_its_orders_back() {
    let server = RealServer::start(TYPES);
    let scenario = server.file("waits.toml");
    let words = "format = 1\ntitle = 'x'\n[[smdp.order]]\nmatching_id = 'WAITS'\nprofile = 'operator-a'\n\
                 [[step]]\nurc = 'NEVER'\nwithin = '50s'\n[[step]]\nlpa = { download = '1$${smdp}$WAITS' }\noutcome = 'success'\n";
    std::fs::write(&scenario, words).unwrap();
    let options = server.options(PROFILES, true);
    let mut command = Command::new(ESIMLAB);
    let mut run = command.args(["run", &scenario]).args(&options).stdout(Stdio::null()).spawn().unwrap();
    while server.count("released") == 0 {
        assert!(run.try_wait().unwrap().is_none(), "it has ended by itself");
    }
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert_eq!(server.count("available"), 1, "{:?}", server.orders());
}

#[test]
fn runs_against_several_servers_are_columns_of_one_report() {
    let servers = [RealServer::start(""), RealServer::start("")];
    let mut reports = Vec::new();
    for server in &servers {
        let json = server.file("report.json");
        let options = server.options("format = 1\n", false);
        let output = esimlab(&["run", "--json", &json, "at/eid", "errors/default-address-no-order"], &options);
        assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
        reports.push(json);
    }
    let html = servers[0].file("merged.html");
    let output = esimlab(&["merge", &reports[0], &reports[1], "--html", &html], &[]);
    let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{told}");
    let page = std::fs::read_to_string(&html).unwrap();
    for server in &servers {
        let name = format!("lpad, server {}", server.url());
        assert!(told.contains(&format!("== {name}\n")), "{told}");
        assert!(page.contains(&format!("<th scope=\"col\">{name}</th>")), "{name}");
    }
}

#[test]
fn what_is_wrong_with_the_server_is_told_before_anything_is_run() {
    let server = RealServer::start(TYPES);
    let other = RealServer::start("");
    let (pki, other_pki) = (server.pki.display().to_string(), other.pki.display().to_string());
    let url = server.url();
    let orders = server.file("orders.toml");
    std::fs::write(&orders, "format = 1\n[profile.operator-z]\nprofile_type = \"x\"\n").unwrap();
    let nobody = "https://127.0.0.1:1";
    for (arguments, part) in [
        (&["--smdp", "http://smdp.example.com"][..], "an SM-DP+ speaks HTTPS, not http"),
        (&["--smdp", "https://smdp.example.com/path"], "a host and a port alone"),
        (&["--smdp", &url], "give the card's keys with --pki DIR"),
        (&["--smdp", &url, "--modem", "/dev/null"], "with --ci FILE"),
        (&["--pki", &pki], "--smdp <URL>"),
        (&["--ci", &pki], "--smdp <URL>"),
        (&["--smdp", &url, "--pki", "/nowhere"], "cannot read /nowhere"),
        (&["--smdp", nobody, "--pki", &pki], "cannot connect to 127.0.0.1:1"),
        (&["--smdp", &url, "--pki", &other_pki], "is not trusted (curl 60)"),
        (&["--smdp", &url, "--pki", &pki, "--smdp-orders", "/nowhere.toml"], "/nowhere.toml"),
        (
            &["--smdp", &url, "--pki", &pki, "--smdp-orders", &orders],
            "line 2: scenarios have no profile \"operator-z\"",
        ),
        (&["--smdp", &url, "--pki", &pki, "--es2", &url], "--smdp-orders <FILE>"),
    ] {
        let output = esimlab(&[&["run", "download/by-csim"][..], arguments].concat(), &[]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(part), "{arguments:?}: {told}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
    assert_eq!(server.orders(), Vec::<Value>::new());
}
