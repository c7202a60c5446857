//! Runs of scenarios in real labs, from the command line to the reports.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The project's folder, where `scenarios/` is.
fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Exit code, standard output and standard error.
fn esimlab(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_esimlab")).args(arguments).current_dir(project()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A folder with scenario files in it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let text = format!("format = 1\ntitle = \"The case {name}\"\n{text}");
        std::fs::write(folder.path().join(format!("{name}.toml")), text).unwrap();
    }
    folder
}

fn json_lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn all_scenarios_of_the_project_end_as_they_should_and_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (junit, json, tap) = (file("report.xml"), file("report.json"), file("report.tap"));
    let (code, output, errors) =
        esimlab(&["run", "--seed", "7", "-j", "4", "--junit", &junit, "--json", &json, "--tap", &tap]);
    assert_eq!(code, 0, "{output}\n{errors}");
    assert!(output.contains(", LPA lpad, seed 7\n"), "{output}");

    let lines = json_lines(Path::new(&json));
    assert_eq!((&lines[0]["type"], &lines[0]["version"], &lines[0]["seed"]), (&"run".into(), &1.into(), &7.into()));
    let scenarios: Vec<&Value> = lines.iter().filter(|line| line["type"] == "scenario").collect();
    assert_eq!(lines[0]["scenarios"], scenarios.len());
    let summary = &lines[lines.len() - 1];
    assert_eq!((&summary["type"], &summary["exit_code"]), (&"summary".into(), &0.into()));
    // Every part of the lab is in the timeline of a download.
    let download = scenarios.iter().find(|line| line["id"] == "download/activation-code").unwrap();
    for role in ["assistant", "modem", "card", "server", "lab"] {
        assert!(download["timeline"].as_array().unwrap().iter().any(|event| event["role"] == role), "{role}");
    }

    let xml = std::fs::read_to_string(junit).unwrap();
    assert_eq!(xml.matches("<testcase ").count(), scenarios.len());
    let tap = std::fs::read_to_string(tap).unwrap();
    assert!(tap.starts_with(&format!("TAP version 14\n1..{}\n", scenarios.len())), "{tap}");
}

#[test]
fn what_was_expected_and_what_was_seen_stand_side_by_side() {
    let folder = folder(&[
        ("right", "[[step]]\nat = 'AT'\nreply = ['OK']\n"),
        ("wrong", "[[step]]\nat = 'AT+QESIM=\"profile_brief\"'\nreply = ['+QESIM: \"profile_brief\",3', 'OK']\n"),
    ]);
    let path = folder.path().display().to_string();
    let (code, output, _) = esimlab(&["run", &path, "--seed", "1"]);
    assert_eq!(code, 1, "{output}");
    for part in [
        "PASS",
        "FAIL",
        "wrong.toml:3: step 1: AT+QESIM=\"profile_brief\"",
        "+QESIM: \"profile_brief\",3 | +QESIM: \"profile_brief\",0",
        "AT[0] > AT+QESIM=\"profile_brief\"",
        "--seed 1",
        "2 scenarios: 1 passed, 1 failed in",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
    assert!(!output.contains('\x1b'), "control sequences where there is no terminal: {output}");
}

#[test]
fn verdicts_that_are_neither_pass_nor_fail() {
    let step = "[[step]]\nat = 'AT'\nreply = ['OK']\n";
    let folder = folder(&[
        ("known", "expected_failure = 'reported'\n[[step]]\nat = 'AT'\nreply = ['ERROR']\n"),
        ("later", &format!("skip = 'not yet'\n{step}")),
    ]);
    let path = folder.path().display().to_string();
    let (code, output, _) = esimlab(&["run", &path]);
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("XFAIL") && output.contains("(reported)"), "{output}");
    assert!(output.contains("SKIP") && output.contains("(not yet)"), "{output}");
    let passes = self::folder(&[("passes", &format!("expected_failure = 'reported'\n{step}"))]);
    let (code, output, _) = esimlab(&["run", &passes.path().display().to_string()]);
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("take `expected_failure` out of"), "{output}");
}

#[test]
fn an_lpa_that_is_not_there_is_told_before_anything_is_run() {
    let (code, output, errors) = esimlab(&["run", "errors/code-used", "--lpa", "/nowhere/lpa"]);
    assert_eq!((code, output.as_str()), (2, ""), "{errors}");
    assert!(errors.contains("there is no program /nowhere/lpa that can be run"), "{errors}");
}

#[test]
fn an_lpa_that_does_nothing_fails_where_something_is_expected() {
    let (code, output, _) = esimlab(&["run", "download/activation-code", "errors/code-used", "--lpa", "/bin/true"]);
    assert_eq!(code, 1, "{output}");
    assert_eq!(output.matches("FAIL  ").count(), 2, "{output}");
}

#[test]
fn a_package_from_a_file_is_found_beside_its_scenario() {
    let text = "[[smdp.order]]\nmatching_id = 'FILE-1'\npackage = 'no-such-file.der'\n[[step]]\nat = 'AT'\n";
    let folder = folder(&[("file", text)]);
    let path = folder.path().display().to_string();
    // A file that is not there is a mistake in the scenario, told before anything is run.
    for command in ["run", "check"] {
        let (code, _, errors) = esimlab(&[command, &path]);
        assert_eq!(code, 2, "{errors}");
        assert!(errors.contains("no-such-file.der") && errors.contains("there is no profile package"), "{errors}");
    }

    let data = project().join("../shared/data/profiles");
    let Some(package) = std::fs::read_dir(&data).ok().and_then(|mut files| {
        files.find_map(|file| {
            file.ok().map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "der"))
        })
    }) else {
        println!("{} is not there: skipped", data.display());
        return;
    };
    std::fs::copy(package, folder.path().join("no-such-file.der")).unwrap();
    let text = std::fs::read_to_string(folder.path().join("file.toml")).unwrap()
        + "[[step]]\nlpa = { download = '1$${smdp}$FILE-1' }\noutcome = 'success'\n[expect]\norders = { FILE-1 = 'installed' }\n";
    std::fs::write(folder.path().join("file.toml"), text).unwrap();
    let (code, output, _) = esimlab(&["run", &path]);
    assert_eq!(code, 0, "{output}");
}

#[test]
fn the_faults_of_the_language_are_felt_by_the_lpa() {
    let case = |fault: &str, expected: &str| {
        format!(
            "[[smdp.order]]\nmatching_id = 'A'\nprofile = 'test'\n[[fault]]\n{fault}\n[[step]]\nlpa = {{ download = '1$${{smdp}}$A' }}\noutcome = 'failure'\n{expected}\n[expect]\neuicc.profiles = []\neuicc.open_channels = 0\n"
        )
    };
    let mac = case("es9plus = 'tamper-mac'", "euicc = 'scp03tSecurityError'");
    let folder = folder(&[
        ("mac", &mac),
        (
            "signature",
            &case("es9plus = 'bad-signature'\nfunction = 'getBoundProfilePackage'", "euicc = 'invalidSignature'"),
        ),
        ("transaction", &case("es9plus = 'wrong-transaction-id'\nfunction = 'authenticateClient'", "")),
        ("refused", &case("es9plus = '8.1/4.8'\nfunction = 'authenticateClient'", "status = '8.1/4.8'")),
        ("close", &case("tcp = 'close'", "curl = 35")),
        // libcurl finds the reset while it connects (7) or afterwards (35).
        ("reset", &case("tcp = 'reset'", "")),
        ("status", &case("http = 500\nfunction = 'getBoundProfilePackage'", "http = 500")),
        ("second", &case("http = 404\nnth = 2\ncount = 1", "http = 404")),
    ]);
    let (code, output, errors) = esimlab(&["run", &folder.path().display().to_string()]);
    assert_eq!(code, 0, "{output}\n{errors}");
}

#[test]
fn a_run_that_is_ended_from_outside_takes_everything_down() {
    let text = "[[smdp.order]]\nmatching_id = 'A'\nprofile = 'test'\n[[fault]]\ntls = 'hang'\n[[step]]\nlpa = { download = '1$${smdp}$A' }\noutcome = 'failure'\n";
    let folder = folder(&[("hang", text)]);
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let lpa = folder.path().join("lpa");
    let pid = folder.path().join("pid");
    // A named pipe tells when the LPA runs, without waiting for a time.
    let started = folder.path().join("started");
    assert!(Command::new("mkfifo").arg(&started).status().unwrap().success());
    let script = format!("#!/bin/sh\necho $$ > {}\necho go > {}\nexec sleep 600\n", pid.display(), started.display());
    std::fs::write(&lpa, script).unwrap();
    std::fs::set_permissions(&lpa, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_esimlab"))
        .args(["run".as_ref(), folder.path().join("hang.toml").as_os_str(), "--lpa".as_ref(), lpa.as_os_str()])
        .env("TMPDIR", &temporary)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(std::fs::read_to_string(&started).unwrap(), "go\n");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 1, "the lab has a folder of its own");
    let id = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(128 + 15));
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "a folder is left behind");
    let pid = std::fs::read_to_string(pid).unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(!state.contains("(sleep) S"), "the LPA still runs: {state}");
}

#[test]
fn with_lpac_every_scenario_ends_in_a_way_that_is_explained() {
    let program = std::env::var_os("LPAC").unwrap_or_else(|| "lpac".into());
    if Command::new(&program).arg("version").output().is_err() {
        return eprintln!("skipped: lpac is not installed (looked for {})", program.display());
    }
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let arguments = ["run", "download", "errors", "interruptions", "profiles", "security", "--lpa", "lpac", "--json"];
    let (code, output, errors) = esimlab(&[&arguments[..], &[json.to_str().unwrap()]].concat());
    assert!(code == 0 || code == 1, "{output}\n{errors}");
    let scenarios: Vec<Value> = json_lines(&json).into_iter().filter(|line| line["type"] == "scenario").collect();
    let of = |verdict: &str| scenarios.iter().filter(|one| one["verdict"] == verdict).collect::<Vec<_>>();
    // Other versions of it may fail elsewhere; what they do well is always the same.
    let download = scenarios.iter().find(|one| one["id"] == "download/activation-code").unwrap();
    assert_eq!(download["verdict"], "pass", "{output}");
    assert!(of("pass").len() > 20, "{output}");
    for one in of("skipped").into_iter().chain(of("expected-failure")) {
        assert!(one["reason"].as_str().is_some_and(|reason| reason.len() > 20), "{one}");
    }
    assert_eq!(of("error"), Vec::<&Value>::new(), "{output}");
    println!("with lpac: {} pass, {} fail, {} skipped", of("pass").len(), of("fail").len(), of("skipped").len());
}

/// The events of each part of the lab, without their times and without the names that the system gives. What comes by
/// different pipes may come in another order; what one part does may not.
fn parts(path: &Path) -> Vec<(String, Vec<String>)> {
    let system = regex::Regex::new(r"/dev/pts/[0-9]+|/[a-z/]*/esimlab-[A-Za-z0-9]+(/lab-[A-Za-z0-9]+)?").unwrap();
    let mut parts = Vec::new();
    for line in json_lines(path).iter().filter(|line| line["type"] == "scenario") {
        for part in [&["assistant"][..], &["lab"], &["modem", "card", "server"]] {
            let events = line["timeline"].as_array().unwrap().iter();
            let events = events.filter(|event| part.contains(&event["role"].as_str().unwrap())).map(|event| {
                let mut event = event.clone();
                event.as_object_mut().unwrap().retain(|key, _| key != "micros" && key != "duration_micros");
                system.replace_all(&event.to_string(), "...").into_owned()
            });
            parts.push((format!("{} {part:?}", line["id"]), events.collect::<Vec<_>>()));
        }
    }
    // With several at a time they end in any order.
    parts.sort();
    parts
}

#[test]
fn the_same_seed_gives_the_same_timeline_but_for_times() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, seed: &str, jobs: &str| {
        let path = folder.path().join(name);
        let file = path.display().to_string();
        // Where no command is given up and asked again, as a time decides then.
        let topics = [
            "download/activation-code",
            "download/confirmation-code",
            "download/brainpool",
            "profiles",
            "security/wrong-then-right",
            "errors/package-iccid",
            "errors/code-used",
            "interruptions/card-removed-at-package",
        ];
        let arguments = ["run", "--seed", seed, "-j", jobs, "--json", &file];
        let (code, output, errors) = esimlab(&[&arguments[..], &topics[..]].concat());
        assert_eq!(code, 0, "{output}{errors}");
        parts(&path)
    };
    let (first, second) = (run("first.json", "77", "1"), run("second.json", "77", "4"));
    assert_eq!(first.len(), second.len());
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.0, second.0);
        for (number, (a, b)) in first.1.iter().zip(&second.1).enumerate() {
            assert_eq!(a, b, "{}: event {number}", first.0);
        }
        assert_eq!(first.1.len(), second.1.len(), "{}", first.0);
    }
    // Another seed draws other numbers: what is equal above is no accident.
    assert_ne!(first, run("third.json", "78", "2"));
}

#[test]
fn repetitions_have_the_same_seed_and_ids_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.json").display().to_string();
    let (code, output, errors) =
        esimlab(&["run", "errors/code-used", "--repeat", "3", "--seed", "5", "-j", "2", "--json", &file]);
    assert_eq!(code, 0, "{output}{errors}");
    assert!(output.contains("3 scenarios: 3 passed") && !output.contains("not the same"), "{output}");
    let lines = json_lines(Path::new(&file));
    let scenarios: Vec<&Value> = lines.iter().filter(|line| line["type"] == "scenario").collect();
    let mut ids: Vec<&str> = scenarios.iter().map(|line| line["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["errors/code-used", "errors/code-used#2", "errors/code-used#3"]);
    // The card's challenge is drawn at random: with the same seed it is the same.
    let challenge = |line: &Value| {
        let timeline = line["timeline"].as_array().unwrap();
        let apdu =
            timeline.iter().find(|event| event["response"].as_str().is_some_and(|hex| hex.starts_with("BF2E12")));
        apdu.unwrap()["response"].clone()
    };
    assert!(scenarios.iter().all(|line| challenge(line) == challenge(scenarios[0])));
}
