//! The program as a user calls it: what it prints, and its exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The project's folder, where `scenarios/` is.
fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn esimlab_in(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_esimlab")).args(arguments).current_dir(folder).output().unwrap()
}

/// Exit code, standard output and standard error.
fn esimlab(arguments: &[&str]) -> (i32, String, String) {
    parts(esimlab_in(&project(), arguments))
}

fn parts(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn all_scenarios_of_the_project_are_read_without_a_word() {
    let (code, output, errors) = esimlab(&["check"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{output}");
    assert!(output.ends_with("checked, no mistake\n"), "{output}");
}

#[test]
fn each_scenario_of_the_project_says_why_and_where_from() {
    let (_, list, _) = esimlab(&["run", "--list"]);
    let ids: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(ids.len() >= 120, "{list}");
    for id in ids {
        let (code, text, _) = esimlab(&["explain", id]);
        assert_eq!(code, 0, "{id}");
        assert!(text.contains("Where this comes from:"), "{id} has no refs");
        assert!(
            !text.starts_with(&format!("{id}: \n")) && text.lines().nth(2).is_some_and(|why| !why.ends_with(':')),
            "{id} has no why"
        );
    }
}

#[test]
fn the_list_is_selected_filtered_and_split() {
    let list = |arguments: &[&str]| {
        let (code, output, errors) = esimlab(&[&["run", "--list"], arguments].concat());
        assert_eq!(code, 0, "{errors}");
        output.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect::<Vec<_>>()
    };
    let all = list(&[]);
    let errors = list(&["errors"]);
    assert!(errors.len() < all.len() && errors.iter().all(|line| line.starts_with("errors/")));
    assert_eq!(list(&["errors/code-used"]).len(), 1);
    assert_eq!(list(&["scenarios/errors/code-used.toml"]), list(&["errors/code-used"]));
    assert!(list(&["--filter", "CURL"]).len() >= 2);
    let mut shards = [list(&["--shard", "1/2"]), list(&["--shard", "2/2"])].concat();
    shards.sort();
    assert_eq!(shards, all);
}

#[test]
fn nothing_selected_is_5() {
    let (code, output, errors) = esimlab(&["run", "--filter", "no scenario is called so"]);
    assert_eq!((code, output.as_str(), errors.as_str()), (5, "", "esimlab: no scenario is selected\n"));
}

#[test]
fn wrong_usage_is_2() {
    assert_eq!(esimlab(&["run", "--shard", "3/2"]).0, 2);
    assert_eq!(esimlab(&["walk"]).0, 2);
    let (code, _, errors) = esimlab(&["run", "errors/code-usd"]);
    assert_eq!(code, 2);
    assert!(errors.contains("did you mean errors/code-used?"), "{errors}");
    let folder = tempfile::tempdir().unwrap();
    let (code, _, errors) = parts(esimlab_in(folder.path(), &["run"]));
    assert_eq!(code, 2);
    assert!(errors.contains("go to the project's folder"), "{errors}");
}

#[test]
fn a_scenario_that_cannot_be_read_is_2_and_nothing_is_run() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("right.toml"), "format = 1\ntitle = \"a\"\n[[step]]\nat = \"AT\"\n").unwrap();
    std::fs::write(folder.path().join("wrong.toml"), "format = 1\ntitle = \"b\"\n[[step]]\nta = \"AT\"\n").unwrap();
    for command in ["run", "check"] {
        let (code, output, errors) = parts(esimlab_in(folder.path(), &[command, "."]));
        assert_eq!((code, output.as_str()), (2, ""), "{command}");
        assert!(errors.contains("wrong.toml:4:1") && errors.contains("did you mean `at`?"), "{errors}");
        assert!(!errors.contains('\x1b'), "colour where there is no terminal: {errors}");
    }
}

#[test]
fn models_are_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let model = project().join("emulator/modem/models/RM500Q-GL.toml");
    let (code, output, errors) = esimlab(&["check", &model.display().to_string()]);
    assert_eq!((code, output.as_str()), (0, "1 file checked, no mistake\n"), "{errors}");
    let text = std::fs::read_to_string(model).unwrap().replace("[identity]", "[identity]\ncolour = \"red\"");
    let wrong = folder.path().join("model.toml");
    std::fs::write(&wrong, text).unwrap();
    let (code, _, errors) = esimlab(&["check", &wrong.display().to_string()]);
    assert_eq!(code, 2);
    assert!(errors.contains("model.toml") && errors.contains("colour"), "{errors}");
    // A folder of them, and one that is not even TOML.
    let (code, output, errors) = esimlab(&["check", &project().join("emulator/modem/models").display().to_string()]);
    assert!(code == 0 && output.ends_with("files checked, no mistake\n"), "{errors}");
    std::fs::write(&wrong, "name = \"x\"\n[identity]\nmanufacturer = \n").unwrap();
    let (code, _, errors) = esimlab(&["check", &folder.path().display().to_string()]);
    assert!(code == 2 && errors.contains("model.toml:3:"), "{errors}");
}

#[test]
fn cards_and_networks_are_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        parts(esimlab_in(folder.path(), &["check", name]))
    };
    let (_, card, _) = esimlab(&["cards", "st4sim"]);
    assert_eq!(file("card.toml", &card).0, 0);
    let (code, _, errors) = file("card.toml", "note = 'x'\nbogus = 1\n");
    assert!(code == 2 && errors.contains("bogus") && errors.contains("isdr_aid"), "{errors}");
    assert_eq!(file("network.toml", "[[operator]]\nplmn = '00101'\nname = 'Home'\n").0, 0);
    let (code, _, errors) = file("network.toml", "[[operator]]\nplnm = '00101'\n");
    assert!(code == 2 && errors.contains("plnm"), "{errors}");
}

#[test]
fn what_stands_beside_the_scenarios_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("case.toml", "format = 1\ntitle = 'x'\n[card]\nfile = 'card.toml'\n[[step]]\nat = 'AT'\nreply = ['OK']\n");
    write("card.toml", &esimlab(&["cards", "consumer"]).1);
    write("network.toml", "[[operator]]\nplmn = '00101'\nname = 'Home'\n");
    let path = folder.path().to_str().unwrap();
    assert_eq!(esimlab(&["check", path]).0, 0);
    let (code, output, errors) = esimlab(&["run", path]);
    assert!(code == 0 && output.contains("1 scenario: 1 passed"), "{output}{errors}");
    let (code, _, errors) = esimlab(&["run", &format!("{path}/card.toml")]);
    assert!(code == 2 && errors.contains("describes a card, it is no scenario"), "{errors}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["run", "check", "explain"] {
        for name in ["nothing.toml", "./nothing", "/nothing/here"] {
            let (code, _, errors) = parts(esimlab_in(folder.path(), &[command, name]));
            assert_eq!((code, errors.trim()), (2, format!("esimlab: there is no file {name}").as_str()));
        }
    }
}

#[test]
fn an_lpa_that_is_not_there_is_told_before_anything_is_run() {
    for lpa in ["./no-such-lpa {tty}", "no-such-lpa", "/dev/null"] {
        let (code, output, errors) = esimlab(&["run", "errors/code-used", "--lpa", lpa]);
        assert_eq!((code, output.as_str()), (2, ""), "{errors}");
        assert!(errors.contains("there is no program"), "{errors}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_anything_is_run() {
    let (code, output, errors) = esimlab(&["run", "errors/code-used", "--junit", "/nowhere/report.xml"]);
    assert_eq!((code, output.as_str()), (2, ""));
    assert!(errors.contains("cannot write /nowhere/report.xml"), "{errors}");
}

#[test]
fn the_lpa_is_part_of_the_program() {
    let (code, output, _) = esimlab(&["lpad", "--help"]);
    assert_eq!(code, 0);
    assert!(output.contains("--activation-code"), "{output}");
    assert_eq!(esimlab(&["lpad"]).0, 2);
}

#[test]
fn a_pki_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let pki = folder.path().join("pki").display().to_string();
    let (code, _, errors) = esimlab(&["pki", "new", &pki]);
    assert_eq!(code, 0, "{errors}");
    assert!(Path::new(&pki).join("CertificateIssuer").is_dir());
    let (code, _, errors) = esimlab(&["pki", "new", &pki]);
    assert_eq!(code, 2);
    assert!(errors.contains("not empty"), "{errors}");
}

/// A folder with a scenario that passes and one that fails.
fn two_scenarios() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("scenarios")).unwrap();
    for (name, reply) in [("good", "OK"), ("wrong", "MAYBE")] {
        let text = format!(
            "format = 1\ntitle = '{name}'\nrefs = ['V.250, chapter 5']\n[[step]]\nat = 'AT'\nreply = ['{reply}']\n"
        );
        std::fs::write(folder.path().join(format!("scenarios/{name}.toml")), text).unwrap();
    }
    folder
}

#[test]
fn shards_are_merged_into_one_report() {
    let folder = two_scenarios();
    let run = |arguments: &[&str]| parts(esimlab_in(folder.path(), arguments));
    assert_eq!(run(&["run", "--shard", "1/2", "--seed", "5", "--json", "1.json"]).0, 0);
    assert_eq!(run(&["run", "--shard", "2/2", "--seed", "5", "--json", "2.json"]).0, 1);
    let (code, output, errors) = run(&[
        "merge",
        "1.json",
        "2.json",
        "--html",
        "all.html",
        "--junit",
        "all.xml",
        "--tap",
        "all.tap",
        "--pcap",
        "all.pcapng",
    ]);
    assert_eq!((code, errors.as_str()), (1, ""), "{output}");
    assert!(output.contains("2 scenarios: 1 passed, 1 failed"), "{output}");
    for (file, part) in [("all.html", "case-0-wrong"), ("all.xml", "name=\"wrong\""), ("all.tap", "not ok 2 - wrong")] {
        let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
        assert!(text.contains(part), "{file}: {text}");
    }
    // Half of it is no run, and no success.
    let (code, _, errors) = run(&["merge", "1.json"]);
    assert_eq!((code, errors.as_str()), (3, "esimlab: lpad: no report of part 2/2\n"));
    let (code, _, errors) = run(&["merge", "one=1.json", "two=2.json"]);
    assert_eq!(code, 3, "{errors}");
    let (code, _, errors) = run(&["merge", "nowhere.json"]);
    assert_eq!(code, 2);
    assert!(errors.contains("cannot read nowhere.json"), "{errors}");
}

/// The lines that tshark prints of these packets of a capture; `None`, with a message, where it cannot be run.
fn tshark(capture: &Path, filter: &str, fields: &[&str]) -> Option<Vec<String>> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture).args(["-Y", filter, "-T", "fields", "-E", "separator=|"]);
    for field in fields {
        command.args(["-e", field]);
    }
    match command.output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()),
        Err(error) => {
            eprintln!("skipped: tshark cannot be run: {error}");
            None
        }
    }
}

#[test]
fn one_capture_has_everything() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("run.pcapng");
    let scenarios = ["errors/tcp-reset", "errors/tls-alert", "errors/name-nothing-listens"];
    let mut arguments = vec!["run"];
    arguments.extend(scenarios);
    arguments.extend(["--pcap", capture.to_str().unwrap()]);
    let (code, output, errors) = esimlab(&arguments);
    assert_eq!(code, 0, "{output}{errors}");
    // The magic number of a pcapng section.
    let bytes = std::fs::read(&capture).unwrap();
    assert_eq!(bytes[..4], [0x0A, 0x0D, 0x0D, 0x0A]);
    let keys = folder.path().join("run.pcapng.keys");
    let secrets = std::fs::read_to_string(&keys).unwrap();
    // NSS key log: a label, the client random, the secret.
    assert!(!secrets.is_empty());
    for line in secrets.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(words.len() == 3 && words[1].len() == 64, "{line}");
    }
    // The same text is in the capture.
    assert!(bytes.windows(secrets.len()).any(|part| part == secrets.as_bytes()));
    for file in [&capture, &keys] {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    // Nothing but the one file is given: what was said inside TLS is read.
    let Some(requests) = tshark(&capture, "http.request", &["frame.interface_name", "http.request.uri"]) else {
        return;
    };
    let of = |id: &str| -> Vec<&str> {
        requests.iter().filter_map(|line| line.strip_prefix(id)?.strip_prefix("|/gsma/rsp2/es9plus/")).collect()
    };
    assert_eq!(
        of("errors/tcp-reset")[..4],
        ["initiateAuthentication", "authenticateClient", "getBoundProfilePackage", "handleNotification"],
        "{requests:?}"
    );
    // Faults are there as they were on the line, and in words.
    let first = |id: &str, fields: &[&str]| {
        let filter = format!("frame.interface_name == \"{id}\" && (tcp || gsmtap_log.level == 7)");
        tshark(&capture, &filter, fields).unwrap_or_default()
    };
    let reset = first("errors/tcp-reset", &["tcp.flags", "tls.handshake.type", "gsmtap_log.string"]);
    let fault = "||FAULT tcp: TCP connection reset";
    let wanted = ["0x0002||", "0x0012||", "0x0010||", "0x0018|1|", "0x0014||"];
    let told: Vec<&String> = reset.iter().filter(|line| *line != fault).take(5).collect();
    assert_eq!(told, wanted, "{reset:#?}");
    assert!(reset.iter().any(|line| line == fault), "{reset:#?}");
    let alert = first("errors/tls-alert", &["tls.alert_message.desc", "tls.record.version"]);
    assert!(alert.iter().any(|line| line == "40|0x0303"), "{alert:#?}");
    // Nobody was there to see a packet: the capture says so in words.
    let nobody = first("errors/name-nothing-listens", &["tcp.flags", "gsmtap_log.string"]);
    assert!(nobody.iter().all(|line| line.starts_with('|')) && !nobody.is_empty(), "{nobody:#?}");
    let apdus = tshark(&capture, "gsm_sim", &["gsm_sim.apdu.ins"]).unwrap_or_default();
    assert!(apdus.iter().any(|line| line == "0xe2"), "{apdus:?}");
    assert_eq!(tshark(&capture, "tcp.analysis.flags", &["frame.number"]), Some(vec![]));
}

#[test]
fn what_cannot_work_is_told_before_anything_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let words = "format = 1\ntitle = 'x'\n[[step]]\nat = 'AT'\nreply = ['OK']\n";
    std::fs::write(folder.path().join("one.toml"), words).unwrap();
    for (arguments, told) in [
        (&["run", "one.toml", "--lpa", ""][..], "--lpa: the command line of the LPA is empty"),
        (&["run", "one.toml", "--json", "r", "--html", "./r"], "two reports would be written into "),
        (&["run", "one.toml", "--modem", "/dev/null"], "it is no terminal: give an AT port"),
        (&["compare", "--modem", "/dev/null", "--model", "RM500Q-GL"], "there are no scenarios to compare by here"),
    ] {
        let (code, output, errors) = parts(esimlab_in(folder.path(), arguments));
        assert_eq!((code, output.as_str()), (2, ""), "{arguments:?}: {errors}");
        assert!(errors.contains(told), "{arguments:?}: {errors}");
    }
    assert!(!folder.path().join("r").exists());
}

#[test]
fn what_is_interrupted_is_reported_as_far_as_it_came() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, step: &str| {
        std::fs::write(folder.path().join(name), format!("format = 1\ntitle = 'x'\n[[step]]\n{step}\n")).unwrap();
    };
    write("a-quick.toml", "at = 'AT'\nreply = ['OK']");
    write("b-waits.toml", "urc = 'NEVER'\nwithin = '50s'");
    let mut command = Command::new(env!("CARGO_BIN_EXE_esimlab"));
    command.args(["run", "a-quick.toml", "b-waits.toml", "-j", "1", "--json", "r.json", "--html", "r.html"]);
    command.args(["--junit", "r.xml"]).current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = command.spawn().unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("PASS") && line.contains("a-quick")));
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let rest: Vec<String> = lines.collect();
    let output = run.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{errors}");
    assert!(errors.ends_with("interrupted: 1 of 2 scenarios have ended\n"), "{errors}");
    assert!(rest.last().unwrap().starts_with("1 scenario: 1 passed"), "{rest:?}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(read("r.html").contains("case-0-a-quick") && read("r.html").ends_with("</html>\n"));
    assert!(read("r.xml").contains("tests=\"1\""), "{}", read("r.xml"));
    // Whoever joins it with others is told that something is missing.
    let (code, _, errors) = parts(esimlab_in(folder.path(), &["merge", "r.json"]));
    assert_eq!(code, 3);
    assert!(errors.contains("the run was cut off, 1 of 2 scenarios are told"), "{errors}");
}
