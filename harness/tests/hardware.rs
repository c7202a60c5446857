//! Real modems, played by the terminal of a lab in another process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const ESIMLAB: &str = env!("CARGO_BIN_EXE_esimlab");

/// A lab in a process of its own.
struct Other {
    child: Child,
    ready: Value,
}

impl Other {
    fn start(arguments: &[&str]) -> Self {
        let mut child =
            Command::new(ESIMLAB).args(["up", "--json"]).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Other { ready: serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}")), child }
    }

    fn text(&self, pointer: &str) -> &str {
        self.ready.pointer(pointer).and_then(Value::as_str).unwrap()
    }

    fn tty(&self) -> &str {
        self.text("/modems/0/ttys/0")
    }

    /// The result object of an operation of the LPA.
    fn lpad(&self, arguments: &[&str]) -> Value {
        let output = Command::new(ESIMLAB)
            .args(["lpad", "-d", self.tty(), "--ci", self.text("/smdp/ci"), "--json"])
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ =
            rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn esimlab(arguments: &[&str]) -> Output {
    Command::new(ESIMLAB).args(arguments).current_dir(project()).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Id, verdict and reason of each scenario of a report.
fn verdicts(json: &Path) -> Vec<(String, String, String)> {
    let report = std::fs::read_to_string(json).unwrap();
    let lines = report.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    lines
        .filter(|line| line["type"] == "scenario")
        .map(|line| (of(&line, "id"), of(&line, "verdict"), of(&line, "reason")))
        .collect()
}

#[test]
fn nothing_is_changed_that_was_not_allowed() {
    let modem = Other::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let before = modem.lpad(&["--list"]);
    let output = esimlab(&["run", "at", "errors/tls-close", "--modem", modem.tty(), "--json", json.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stderr).contains("nothing on it is changed"), "{}", text(&output.stderr));
    let all = verdicts(&json);
    let of = |id: &str| all.iter().find(|one| one.0 == id).unwrap_or_else(|| panic!("{id}"));
    assert_eq!(of("at/eid").1, "pass");
    assert_eq!(of("at/csim").1, "pass");
    assert_eq!(of("at/logical-channel").1, "pass");
    for (id, reason) in [
        ("at/nickname", "it begins with"),
        ("at/lpa-enable-off", "--allow-write=all"),
        ("at/default-address", "--allow-write=all"),
        ("errors/tls-close", "--allow-write=profiles"),
    ] {
        assert_eq!(of(id).1, "skipped", "{id}");
        assert!(of(id).2.contains(reason) || of(id).2.contains("--allow-write"), "{id}: {}", of(id).2);
    }
    assert!(all.iter().filter(|one| one.1 == "pass").count() >= 8, "{all:?}");
    assert_eq!(modem.lpad(&["--list"]), before);
}

#[test]
fn a_test_card_is_served_by_the_labs_own_server_and_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let pki = folder.path().join("pki");
    assert!(esimlab(&["pki", "new", pki.to_str().unwrap()]).status.success());
    let modem = Other::start(&["--pki", pki.to_str().unwrap()]);
    let json = folder.path().join("report.json");
    let before = modem.lpad(&["--list"]);
    let run = |more: &[&str]| {
        let arguments = [&["run", "--modem", modem.tty(), "--json", json.to_str().unwrap()][..], more];
        esimlab(&arguments.concat())
    };
    let output = run(&[
        "download/confirmation-code",
        "errors/code-used",
        "errors/tls-close",
        "profiles/nickname",
        "--pki",
        pki.to_str().unwrap(),
        "--allow-write=profiles",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    let all = verdicts(&json);
    let verdict = |id: &str| all.iter().find(|one| one.0 == id).map(|one| one.1.as_str()).unwrap_or_default();
    assert_eq!(verdict("download/confirmation-code"), "pass", "{all:?}");
    assert_eq!(verdict("errors/code-used"), "pass", "{all:?}");
    assert_eq!(verdict("errors/tls-close"), "pass", "{all:?}");
    assert_eq!(verdict("profiles/nickname"), "skipped", "this card has no such profile: {all:?}");
    // What was downloaded is gone again, with its notifications.
    assert_eq!(modem.lpad(&["--list"]), before);
    assert_eq!(modem.lpad(&["--notifications=list"])["notifications"], serde_json::json!([]));
}

#[test]
fn what_cannot_be_put_back_is_said_loudly() {
    let modem = Other::start(&[]);
    let code = modem.text("/orders/0/activation_code").trim_start_matches("LPA:").to_owned();
    let installed = modem.lpad(&["-A", &code]);
    let iccid = installed["iccid"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("delete.toml");
    let words = "format = 1\ntitle = 'x'\n[card]\nprofiles = [{ profile = 'operator-a' }]\n\
                 [[step]]\nat = 'AT+QESIM=\"delete_profile\",1'\nreply = ['OK']\n";
    std::fs::write(&scenario, words).unwrap();
    let output = esimlab(&["run", scenario.to_str().unwrap(), "--modem", modem.tty(), "--allow-write=profiles"]);
    assert_eq!(output.status.code(), Some(3), "{}{}", text(&output.stdout), text(&output.stderr));
    let told = format!("THE CARD IS NOT AS IT WAS FOUND: the profile {iccid} is gone");
    assert!(text(&output.stdout).contains(&told), "{}", text(&output.stdout));
}

#[test]
fn what_cannot_be_compared_on_a_card_that_has_something_is_told() {
    let modem = Other::start(&[]);
    let code = modem.text("/orders/0/activation_code").trim_start_matches("LPA:").to_owned();
    modem.lpad(&["-A", &code]);
    let folder = tempfile::tempdir().unwrap();
    let (scenario, json) = (folder.path().join("looks.toml"), folder.path().join("report.json"));
    let words = "format = 1\ntitle = 'x'\n[[step]]\nat = 'AT'\nreply = ['OK']\n\
                 [expect]\neuicc.profiles = []\neuicc.open_channels = 0\n";
    std::fs::write(&scenario, words).unwrap();
    let paths = [scenario.to_str().unwrap(), "--json", json.to_str().unwrap()];
    let output = esimlab(&[&["run", "--modem", modem.tty()][..], &paths].concat());
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(
        text(&output.stdout).contains("(not looked at: the profiles on the card, which had others before)"),
        "{}",
        text(&output.stdout)
    );
    assert_eq!(verdicts(&json)[0].1, "pass");
}

/// A model with something planted in it, in a file.
fn deviant(folder: &Path, changes: &[(&str, &str)]) -> String {
    let mut model = std::fs::read_to_string(project().join("emulator/modem/models/RM500Q-GL.toml")).unwrap();
    for (from, to) in changes {
        assert!(model.contains(from), "{from}");
        model = model.replace(from, to);
    }
    let file = folder.join("deviant.toml");
    std::fs::write(&file, model).unwrap();
    file.display().to_string()
}

/// Compares a modem with the plain model: what was found.
fn compared(modem: &Other, scenarios: &[&str]) -> Value {
    let output = esimlab(&[&["compare", "--modem", modem.tty(), "--model", "RM500Q-GL", "--json"], scenarios].concat());
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", text(&output.stderr));
    serde_json::from_str(&text(&output.stdout)).unwrap()
}

fn commands(told: &Value) -> Vec<&str> {
    told["differences"].as_array().unwrap().iter().map(|one| one["command"].as_str().unwrap()).collect()
}

#[test]
fn exactly_what_a_firmware_does_otherwise_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let model = deviant(
        folder.path(),
        &[
            ("missing_tests = []", "missing_tests = [\"+QESIM\"]"),
            ("ccho_failure = 13", "ccho_failure = 22"),
            ("RM500QGLABR11A06M4G", "RM500QGLABR11A07M4G"),
        ],
    );
    // Beside the conformance set: a case of one's own, that it is the firmware that was released.
    let own = folder.path().join("firmware.toml");
    let words = "format = 1\ntitle = 'x'\n[[step]]\nat = 'AT+CGMR'\nreply = ['RM500QGLABR11A06M4G', 'OK']\n";
    std::fs::write(&own, words).unwrap();
    let scenarios = ["at", own.to_str().unwrap()];
    let modem = Other::start(&["--model", &model]);
    let told = compared(&modem, &scenarios);
    assert_eq!(commands(&told), ["AT+CCHO=\"A0000005591010FFFFFFFF8900000999\"", "AT+QESIM=?", "AT+CGMR"], "{told}");
    assert_eq!(told["differences"][0]["note"], serde_json::json!(["+CME ERROR: 13"]));
    assert_eq!(told["differences"][0]["model"], serde_json::json!(["+CME ERROR: 13"]));
    assert_eq!(told["differences"][0]["modem"], serde_json::json!(["+CME ERROR: 22"]));
    assert!(told["compared"].as_u64().unwrap() > 30, "{told}");
    // The same model as the one that it is compared with.
    let modem = Other::start(&[]);
    assert_eq!(commands(&compared(&modem, &scenarios)), Vec::<&str>::new());
}

#[test]
fn a_command_that_takes_longer_than_documented_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let model = deviant(
        folder.path(),
        &[("boot = 9000", "boot = 0"), ("[times.commands]", "[times.commands]\n\"+CMEE\" = 400")],
    );
    let modem = Other::start(&["--model", &model, "--realistic"]);
    let told = compared(&modem, &["at/error-reporting"]);
    let times = told["times"].as_array().unwrap();
    let slow = times.iter().find(|one| one["command"] == "+CMEE").unwrap();
    assert_eq!((&slow["too_long"], &slow["at_most_ms"]), (&true.into(), &300.0.into()), "{told}");
    assert!(slow["longest_ms"].as_f64().unwrap() >= 400.0, "{told}");
    assert_eq!(commands(&told), Vec::<&str>::new(), "{told}");
}

/// A host before has left the modem with numbers for result codes, or without any.
#[test]
fn a_modem_that_does_not_answer_in_words_is_made_to() {
    use std::io::{Read, Write};
    use std::os::unix::fs::OpenOptionsExt;
    let no_controlling_terminal = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
    let other = Other::start(&[]);
    let set = |command: &str, answer: &str| {
        let mut options = std::fs::File::options();
        options.read(true).write(true).custom_flags(no_controlling_terminal);
        let mut port = options.open(other.tty()).unwrap();
        port.write_all(command.as_bytes()).unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(answer.as_bytes()) {
            let mut byte = [0];
            port.read_exact(&mut byte).unwrap();
            seen.extend_from_slice(&byte);
        }
    };
    let answers = || {
        let output = esimlab(&["run", "at/settings-test", "--modem", other.tty()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    set("ATE0V0Q0\r", "\r0\r");
    answers();
    // Nothing answers ATQ1; the command behind it is echoed when it has been carried out.
    set("ATE1\r", "OK\r\n");
    set("ATQ1\rATI\r", "ATI\r");
    answers();
}

#[test]
fn what_is_no_modem_is_told_with_what_to_try() {
    for (path, word) in [("/dev/null", "it is no terminal"), ("/dev/no-such-port", "ls /dev/ttyUSB*")] {
        for command in
            [&["run", "at/settings-test"][..], &["compare", "at/settings-test", "--model", "RM500Q-GL"], &["record"]]
        {
            let output = esimlab(&[command, &["--modem", path]].concat());
            let words = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{command:?}: {words}");
            assert!(words.contains(word), "{command:?}: {words}");
        }
    }
}
