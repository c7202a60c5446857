//! Recording a modem and serving the recording, with a lab's terminal as the modem.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const ESIMLAB: &str = env!("CARGO_BIN_EXE_esimlab");

/// A command that stays, and the line of JSON that it prints when it is ready.
struct Running {
    child: Child,
    ready: Value,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(ESIMLAB).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Running { ready: serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}")), child }
    }

    fn text(&self, pointer: &str) -> &str {
        self.ready.pointer(pointer).and_then(Value::as_str).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ =
            rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn lab() -> Running {
    Running::start(&["up", "--json"])
}

fn esimlab(arguments: &[&str]) -> Output {
    Command::new(ESIMLAB).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The last object that an LPA has printed.
fn result(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|_| panic!("{text}"))
}

/// Both ways in which a number stands in a dialogue.
fn forms(digits: &str) -> [String; 2] {
    let pairs = digits.as_bytes().chunks(2);
    [
        digits.to_owned(),
        pairs.map(|pair| format!("{}{}", pair.get(1).map_or('F', |digit| *digit as char), pair[0] as char)).collect(),
    ]
}

#[test]
fn a_recording_tells_nobody_who_it_was_and_serves_the_same_lpa() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("info.at").display().to_string();
    let tty = lab.text("/modems/0/ttys/0");
    // The card has a profile, whose number is hidden too.
    let code = lab.text("/orders/0/activation_code").trim_start_matches("LPA:").to_owned();
    let installed = esimlab(&["lpad", "-d", tty, "--ci", lab.text("/smdp/ci"), "--json", "-A", &code]);
    succeeded(&installed);
    let iccid = result(&installed)["iccid"].as_str().unwrap().to_owned();

    let recorded = |operation: &str, file: &str| {
        let arguments =
            ["record", "--modem", tty, "-o", file, "--", ESIMLAB, "lpad", "-d", "{tty}", "--json", operation];
        let output = esimlab(&arguments);
        succeeded(&output);
        output
    };
    let info = recorded("--info", &file);
    let list_file = folder.path().join("list.at").display().to_string();
    let list = recorded("--list", &list_file);
    let text = std::fs::read_to_string(&file).unwrap() + &std::fs::read_to_string(&list_file).unwrap();
    assert!(text.contains("> AT") && text.contains("< OK"), "{text}");
    for number in [lab.text("/modems/0/eid"), &iccid] {
        for form in forms(number) {
            assert!(!text.contains(&form), "{form} in {text}");
        }
    }

    // Somebody else, with everything but the numbers the same.
    let served = Running::start(&["replay", &file, "--at-once", "--json"]);
    let again = esimlab(&["lpad", "-d", served.text("/ttys/0"), "--json", "--info"]);
    let (mut seen, mut first) = (result(&again), result(&info));
    assert_ne!(seen["eid"], first["eid"]);
    (seen["eid"], first["eid"]) = (Value::Null, Value::Null);
    assert_eq!(seen, first);
    let served = Running::start(&["replay", &list_file, "--json"]);
    let again = result(&esimlab(&["lpad", "-d", served.text("/ttys/0"), "--json", "--list"]));
    assert_eq!(again["profiles"][0]["name"], result(&list)["profiles"][0]["name"]);
    assert_ne!(again["profiles"][0]["iccid"], iccid);
}

#[test]
fn a_list_of_commands_is_played_and_kept_as_it_is_when_that_is_asked_for() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let commands = folder.path().join("commands");
    std::fs::write(&commands, "# who is there\nAT+QESIM=\"eid\"\nAT+CGMM\n").unwrap();
    let play = |more: &[&str]| {
        let arguments =
            [&["record", "--modem", lab.text("/modems/0/ttys/0"), "--play", commands.to_str().unwrap()][..], more];
        let output = esimlab(&arguments.concat());
        succeeded(&output);
        String::from_utf8(output.stdout).unwrap()
    };
    let eid = lab.text("/modems/0/eid");
    let text = play(&["--keep-identities"]);
    let lines: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    let told = format!("< +QESIM: \"eid\",{eid}");
    assert_eq!(lines, ["> AT+QESIM=\"eid\"", &told, "< OK", "> AT+CGMM", "< RM500Q-GL", "< OK"]);
    assert!(!play(&[]).contains(eid));
}

#[test]
fn mistakes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    for (arguments, part) in [
        (
            vec!["record".to_owned(), "--modem".to_owned(), "/nowhere/tty".to_owned()],
            "cannot open the modem's terminal",
        ),
        (vec!["replay".to_owned(), file("none", "AT\n")], "`>` or `<` is wanted here"),
        (vec!["replay".to_owned(), file("pattern", "> AT\n<~ .*\n")], "a pattern tells what may be said"),
        (vec!["replay".to_owned(), file("silent", "< RDY\n")], "no command in it"),
        (vec!["replay".to_owned(), Path::new("/nowhere/file").display().to_string()], "cannot read"),
    ] {
        let output = Command::new(ESIMLAB).args(&arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(part), "{part}: {errors}");
    }
}
