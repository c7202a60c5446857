//! Tests of the runner on a stage of scripts: a pseudo-terminal that answers every command, a shell as the LPA.

use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;

use super::*;
use crate::scenario::load::ScenarioPath;
use crate::scenario::parse::parse;
use crate::scenario::parse::tests::vocabulary;
use crate::timeline::{Kind, Role};

/// A modem that answers `OK` to every command but `ATX`, which it does not answer at all.
struct Scripted {
    tty: PathBuf,
    timeline: Timeline,
    // Held so that the terminal outlives its clients.
    _slave: OwnedFd,
}

impl Scripted {
    fn new(timeline: Timeline) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_bytes();
        let tty = PathBuf::from(std::ffi::OsString::from_vec(name));
        let slave = rustix::fs::open(&tty, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        std::thread::spawn(move || {
            let mut command = Vec::new();
            let mut byte = [0];
            while let Ok(1) = rustix::io::read(&master, &mut byte) {
                if byte[0] != b'\r' {
                    command.push(byte[0]);
                } else if std::mem::take(&mut command) != b"ATX" && rustix::io::write(&master, b"\r\nOK\r\n").is_err() {
                    break;
                }
            }
        });
        Scripted { tty, timeline, _slave: slave }
    }
}

impl Stage for Scripted {
    fn tty(&self) -> &Path {
        &self.tty
    }

    fn eid(&self) -> Eid {
        Eid::parse("89049032123451234512345678901235").unwrap()
    }

    fn smdp_address(&self) -> String {
        "localhost:8443".to_owned()
    }

    fn ci_file(&self) -> &Path {
        Path::new("ci.pem")
    }

    fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    fn iccid_of(&self, profile: &str) -> Option<Iccid> {
        (profile == "operator-a").then(|| Iccid::parse("8944000000000000011").unwrap())
    }

    fn observe(&self) -> Observed {
        Observed { open_channels: 1, ..Observed::default() }
    }
}

/// Sets up [`Scripted`] stages; what the model is called decides whether that works.
struct Scripts;

impl Target for Scripts {
    type Stage = Scripted;

    async fn set_up(&self, scenario: &LoadedScenario, _seed: u64) -> Result<Scripted, SetUpError> {
        match scenario.scenario.model.as_str() {
            "RG501Q-EU" => Err(SetUpError::Cannot("there is no such modem on the bench".to_owned())),
            "RM510Q-GL" => Err(SetUpError::Failed("no pseudo-terminal is left".to_owned())),
            _ => Ok(Scripted::new(Timeline::new())),
        }
    }
}

fn load(id: &str, text: &str) -> LoadedScenario {
    let file = ScenarioPath { id: id.to_owned(), path: PathBuf::from(format!("{id}.toml")) };
    let text = format!("format = 1\ntitle = \"The case {id}\"\n{text}");
    match parse(id, &text, &vocabulary()) {
        Ok((scenario, warnings)) => LoadedScenario { id: file.id, path: file.path, scenario, warnings },
        Err(mistakes) => panic!("{}", mistakes.render(false, 100)),
    }
}

async fn run_all(scenarios: Vec<LoadedScenario>, script: &str, jobs: usize) -> (RunResult, Vec<String>) {
    let assistant = Assistant {
        name: "script".to_owned(),
        first: vec!["-c".into(), script.into()],
        ..Assistant::program("/bin/sh".into())
    };
    let mut told = Vec::new();
    let result = run(
        Arc::new(Scripts),
        scenarios,
        &Options { jobs, seed: 1, assistant, shard: None, place: Place::default() },
        |progress| {
            told.push(match progress {
                Progress::Started(id) => format!("{id} started"),
                Progress::Finished(result) => format!("{} finished", result.id),
            });
        },
    )
    .await;
    (result, told)
}

async fn run_text(text: &str, script: &str) -> ScenarioResult {
    run_all(vec![load("case", text)], script, 1).await.0.scenarios.remove(0)
}

const SUCCESS: &str = r#"echo '{"outcome":"success"}'"#;
const AT: &str = "[[step]]\nat = \"AT\"\nreply = [\"OK\"]\n";

#[tokio::test]
async fn a_scenario_that_is_as_expected_passes() {
    let text = format!(
        "{AT}[[step]]\nlpa = {{ enable = \"operator-a\" }}\noutcome = \"success\"\n[expect]\neuicc.open_channels = 1\n"
    );
    let result = run_text(&text, SUCCESS).await;
    assert_eq!(result.verdict, Verdict::Pass, "{:?}", result.failures);
    assert_eq!(result.steps.len(), 2);
    assert!(result.steps.iter().all(|step| step.passed));
    let called = result.timeline.iter().find_map(|event| match &event.kind {
        Kind::Process { text } if event.role == Role::Lab && text.contains("called") => Some(text.clone()),
        _ => None,
    });
    assert!(called.unwrap().ends_with("--enable 8944000000000000011"));
}

#[tokio::test]
async fn an_answer_that_is_another_fails_with_both_side_by_side() {
    let text = format!("[[step]]\nat = \"AT+X\"\nreply = [\"+X: ${{eid}}\", \"OK\"]\n{AT}");
    let result = run_text(&text, SUCCESS).await;
    assert_eq!((result.verdict, result.steps.len()), (Verdict::Fail, 1));
    assert_eq!(
        result.failures,
        [Failure {
            line: 3,
            what: "step 1: AT+X".to_owned(),
            expected: vec!["+X: 89049032123451234512345678901235".to_owned(), "OK".to_owned()],
            seen: vec!["OK".to_owned()],
        }]
    );
}

#[tokio::test]
async fn an_operation_that_ends_otherwise_fails() {
    let text = "[[step]]\nlpa = { list = true }\noutcome = \"failure\"\ncurl = 6\n";
    let result = run_text(text, SUCCESS).await;
    assert_eq!(result.failures[0].expected, ["failure, curl 6"]);
    assert_eq!(result.failures[0].seen, ["success"]);
    let result = run_text(text, r#"echo '{"outcome":"failure","curl":7}'; exit 1"#).await;
    assert_eq!(result.failures[0].seen, ["the LPA says: curl 7"]);
    let result = run_text(text, r#"echo '{"outcome":"failure","curl":6}'; exit 1"#).await;
    assert_eq!(result.verdict, Verdict::Pass);
}

#[tokio::test]
async fn what_is_there_at_the_end_is_compared() {
    let result = run_text(&format!("{AT}[expect]\neuicc.open_channels = 0\n"), SUCCESS).await;
    assert_eq!(result.verdict, Verdict::Fail);
    assert_eq!(result.failures[0].line, 7);
}

#[tokio::test]
async fn a_modem_that_does_not_answer_fails_the_step() {
    let result = run_text("[[step]]\nat = \"ATX\"\nreply = [\"OK\"]\nwithin = \"10ms\"\n", SUCCESS).await;
    assert_eq!(result.failures[0].seen, ["(no final result code in 100 ms)"]);
    assert_eq!(result.failures[1].expected, ["within 10 ms"]);
    let result = run_text("[[step]]\nat = \"ATX\"\nwithin = \"10ms\"\n", SUCCESS).await;
    assert_eq!(result.failures[0].expected, ["an answer"]);
}

#[tokio::test]
async fn an_lpa_that_hangs_comes_to_the_deadline_and_is_killed() {
    let text = format!("deadline = \"200ms\"\n{AT}[[step]]\nlpa = {{ list = true }}\noutcome = \"success\"\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let result = run_text(&text, &format!("echo $$ > {}; exec sleep 600", file.display())).await;
    assert_eq!(result.verdict, Verdict::Fail);
    assert_eq!(result.failures[0].what, "step 2: the LPA lists the profiles");
    assert_eq!(result.failures[0].seen, ["not ended after 200 ms"]);
    // The process has been killed; tokio reaps it in the background.
    let pid = std::fs::read_to_string(file).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(!stat.contains("(sleep) S"), "{stat}");
}

#[tokio::test]
async fn verdicts_of_what_is_not_run_or_known_to_fail() {
    let verdict = async |text: &str| {
        let result = run_text(text, SUCCESS).await;
        (result.verdict, result.reason.unwrap_or_default())
    };
    assert_eq!(verdict(&format!("skip = \"later\"\n{AT}")).await, (Verdict::Skipped, "later".to_owned()));
    let on = |model: &str| format!("[modem]\nmodel = \"{model}\"\n{AT}");
    assert_eq!(verdict(&on("RG501Q-EU")).await.0, Verdict::Skipped);
    assert_eq!(verdict(&on("RM510Q-GL")).await, (Verdict::Error, "no pseudo-terminal is left".to_owned()));
    let wrong = "[[step]]\nat = \"AT\"\nreply = [\"ERROR\"]\n";
    assert_eq!(verdict(&format!("expected_failure = \"known\"\n{wrong}")).await.0, Verdict::ExpectedFailure);
    assert_eq!(verdict(&format!("expected_failure = \"known\"\n{AT}")).await.0, Verdict::UnexpectedPass);
}

#[tokio::test]
async fn an_lpa_that_cannot_be_started_is_the_labs_failure() {
    let options = Options {
        jobs: 1,
        seed: 1,
        assistant: Assistant::program("/nowhere/lpa".into()),
        shard: None,
        place: Place::default(),
    };
    let scenario = load("case", "[[step]]\nlpa = { list = true }\noutcome = \"success\"\n");
    let result = run(Arc::new(Scripts), vec![scenario], &options, |_| {}).await;
    assert_eq!(result.count(Verdict::Error), 1);
    assert_eq!(result.exit_code(), 3);
}

#[tokio::test]
async fn what_an_lpa_cannot_do_or_tell_is_skipped_and_what_is_known_fails_as_expected() {
    let text = "format = 1\nname = 'x'\nprogram = '/bin/sh'\n[operation.list]\nargs = ['-c', 'exit 1']\n\
                [cannot]\nenable = 'it has no such command'\nhttp = 'it says nothing'\n\
                [[known]]\nscenarios = ['known']\nwhy = 'it does what it wants'\nreport = 'report 7'\n";
    let assistant = Assistant::described(crate::lpa::Description::from_toml(text).unwrap(), None);
    let options = Options { jobs: 1, seed: 1, assistant, shard: None, place: Place::default() };
    let list = |expected: &str| format!("[[step]]\nlpa = {{ list = true }}\noutcome = \"failure\"\n{expected}");
    let scenarios = vec![
        load("enable", &format!("{AT}[[step]]\nlpa = {{ enable = 1 }}\noutcome = \"success\"\n")),
        load("http", &list("http = 503\n")),
        load("known", "[[step]]\nlpa = { list = true }\noutcome = \"success\"\n"),
        load("plain", &list("")),
        load("curl", &list("curl = 6\n[expect]\neuicc.open_channels = 0\n")),
    ];
    let result = run(Arc::new(Scripts), scenarios, &options, |_| {}).await;
    let told: Vec<_> = result
        .scenarios
        .iter()
        .map(|one| (one.id.as_str(), one.verdict, one.reason.clone().unwrap_or_default()))
        .collect();
    assert_eq!(
        told,
        [
            // Something that can be seen is not as expected: that comes before what cannot.
            ("curl", Verdict::Fail, String::new()),
            ("enable", Verdict::Skipped, "x cannot enable a profile: it has no such command".to_owned()),
            // The server has sent no 503 either.
            ("http", Verdict::Fail, String::new()),
            ("known", Verdict::ExpectedFailure, "it does what it wants, see report 7".to_owned()),
            ("plain", Verdict::Pass, String::new()),
        ]
    );
    let untold = Assistant::described(crate::lpa::Description::from_toml(text).unwrap(), None);
    let options = Options { jobs: 1, seed: 1, assistant: untold, shard: None, place: Place::default() };
    let result = run(Arc::new(Scripts), vec![load("curl", &list("curl = 6\n"))], &options, |_| {}).await;
    assert_eq!(result.scenarios[0].verdict, Verdict::Skipped);
    let reason = result.scenarios[0].reason.clone().unwrap();
    assert_eq!(reason, "step 1: x does not tell libcurl's code; everything else was as expected");
}

#[tokio::test]
async fn several_at_a_time_end_sorted_and_each_is_told_once() {
    let scenarios = ["c", "a", "b", "d"].map(|id| load(id, AT)).to_vec();
    let (result, told) = run_all(scenarios, SUCCESS, 3).await;
    let ids: Vec<&str> = result.scenarios.iter().map(|scenario| scenario.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "d"]);
    assert_eq!(told.len(), 8);
    assert_eq!(told[..3], ["c started", "a started", "b started"]);
    assert_eq!(result.exit_code(), 0);
}

#[test]
fn the_seed_of_a_scenario_depends_on_run_and_id() {
    assert_eq!(seed_of(1, "a"), seed_of(1, "a"));
    assert_ne!(seed_of(1, "a"), seed_of(2, "a"));
    assert_ne!(seed_of(1, "a"), seed_of(1, "b"));
    // FNV-1a of the empty string and of "a", from its reference (with nothing before them).
    assert_eq!(
        seed_of(0, ""),
        (0..8).fold(0xCBF2_9CE4_8422_2325_u64, |hash, _| hash.wrapping_mul(0x0000_0100_0000_01B3))
    );
}
