//! What came of a run: verdicts, failures with what was expected and what was seen, and the exit code.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::timeline::Event;
use crate::traffic::Recording;

/// What came of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything was as expected.
    Pass,
    /// Something was not as expected.
    Fail,
    /// The lab itself failed; nothing can be said about what was to be tested.
    Error,
    /// It was not run, for a reason that is told.
    Skipped,
    /// It failed, as is known.
    ExpectedFailure,
    /// It passed although it is known to fail: the note about it is out of date.
    UnexpectedPass,
}

impl Verdict {
    /// All verdicts, in the order in which they are counted.
    pub const ALL: [Verdict; 6] = [
        Verdict::Pass,
        Verdict::Fail,
        Verdict::Error,
        Verdict::Skipped,
        Verdict::ExpectedFailure,
        Verdict::UnexpectedPass,
    ];

    /// In words, as it stands in a summary.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Pass => "passed",
            Verdict::Fail => "failed",
            Verdict::Error => "not judged (the lab failed)",
            Verdict::Skipped => "skipped",
            Verdict::ExpectedFailure => "failed as expected",
            Verdict::UnexpectedPass => "passed unexpectedly",
        }
    }

    /// In one word, as it stands at the beginning of a line.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::Error => "ERROR",
            Verdict::Skipped => "SKIP",
            Verdict::ExpectedFailure => "XFAIL",
            Verdict::UnexpectedPass => "XPASS",
        }
    }

    /// True when the run has not failed by it.
    pub fn is_good(self) -> bool {
        matches!(self, Verdict::Pass | Verdict::Skipped | Verdict::ExpectedFailure)
    }
}

/// Something that was not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The line of the scenario file that expects it.
    pub line: usize,
    /// What was looked at, `step 2: AT+QESIM="eid"`.
    pub what: String,
    /// What was expected, in lines.
    pub expected: Vec<String>,
    /// What was seen, in lines.
    pub seen: Vec<String>,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// The line of the scenario file.
    pub line: usize,
    /// The step in words.
    pub text: String,
    /// How long it took.
    #[serde(rename = "seconds", serialize_with = "seconds", deserialize_with = "from_seconds")]
    pub duration: Duration,
    /// Whether everything about it was as expected.
    pub passed: bool,
}

/// What came of a scenario, with all that a report tells of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioResult {
    /// Its id.
    pub id: String,
    /// Its file.
    pub path: PathBuf,
    /// Its title.
    pub title: String,
    /// Where it is specified.
    pub refs: Vec<String>,
    /// What came of it.
    pub verdict: Verdict,
    /// Why it was skipped, is known to fail, or could not be judged.
    pub reason: Option<String>,
    /// What it expects and could not be looked at here: whatever the verdict says, it says nothing of this.
    pub not_looked_at: Vec<String>,
    /// How long it took.
    pub duration: Duration,
    /// Its steps, as far as it came.
    pub steps: Vec<StepResult>,
    /// What was not as expected.
    pub failures: Vec<Failure>,
    /// All that was seen.
    pub timeline: Vec<Event>,
    /// The bytes of the connections to the server, where they were recorded.
    pub traffic: Option<Box<Recording>>,
}

/// What a run is about to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The seed of all random choices.
    pub seed: u64,
    /// How many scenarios are run.
    pub scenarios: usize,
    /// How many of them at the same time.
    pub jobs: usize,
    /// The LPA that is under test.
    pub lpa: String,
    /// Which part of all scenarios this is, `2/4`, for a run that is split over several machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// What is real.
    #[serde(flatten)]
    pub place: Place,
}

/// What stands in the place of the emulation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The real modem, with its terminals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modem: Option<String>,
    /// The real server, `https://smdp.example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The options of the command line that make a run like this one, beside its scenarios and its seed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub options: String,
}

impl RunInfo {
    /// What was put to the test, in a line: the name of a run among others.
    pub fn name(&self) -> String {
        let modem = self.place.modem.iter().map(|modem| format!("modem {modem}"));
        let server = self.place.server.iter().map(|server| format!("server {server}"));
        std::iter::once(self.lpa.clone()).chain(modem).chain(server).collect::<Vec<_>>().join(", ")
    }

    /// The command that runs a scenario again, under the same conditions.
    pub fn again(&self, path: &std::path::Path) -> String {
        let path = path.display().to_string();
        let path = shlex::try_quote(&path).map_or_else(|_| path.clone(), std::borrow::Cow::into_owned);
        let options = if self.place.options.is_empty() { String::new() } else { format!(" {}", self.place.options) };
        format!("esimlab run {path}{options} --seed {}", self.seed)
    }
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunResult {
    /// What it was about to do.
    pub info: RunInfo,
    /// What came of each scenario, sorted by id.
    pub scenarios: Vec<ScenarioResult>,
    /// How long all of it took.
    pub duration: Duration,
}

impl RunResult {
    /// How many scenarios have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.scenarios.iter().filter(|scenario| scenario.verdict == verdict).count()
    }

    /// The exit code of the program. A lab that failed comes before a scenario that failed: what the run says is
    /// incomplete then.
    pub fn exit_code(&self) -> u8 {
        if self.scenarios.is_empty() {
            exit::NOTHING_SELECTED
        } else if self.count(Verdict::Error) > 0 {
            exit::LAB_FAILED
        } else if self.scenarios.iter().all(|scenario| scenario.verdict.is_good()) {
            exit::PASSED
        } else {
            exit::FAILED
        }
    }
}

/// The exit codes of the program.
pub mod exit {
    /// Everything passed.
    pub const PASSED: u8 = 0;
    /// Something failed.
    pub const FAILED: u8 = 1;
    /// Wrong usage, or a scenario or model that cannot be read.
    pub const USAGE: u8 = 2;
    /// The lab itself failed.
    pub const LAB_FAILED: u8 = 3;
    /// No scenario was selected.
    pub const NOTHING_SELECTED: u8 = 5;
}

/// A duration as seconds with their fraction.
pub(crate) fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e6)
}

/// The duration of a number of seconds; one that is none is told.
pub(crate) fn from_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::timeline::{Direction, Http, Kind, Role};

    /// A result with this verdict and nothing else to tell.
    pub(crate) fn scenario(id: &str, verdict: Verdict, reason: Option<&str>) -> ScenarioResult {
        ScenarioResult {
            id: id.to_owned(),
            path: PathBuf::from(format!("scenarios/{id}.toml")),
            title: format!("The case {id}"),
            refs: vec!["SGP.22 v2.5 §5.6.3".to_owned()],
            verdict,
            reason: reason.map(str::to_owned),
            not_looked_at: vec![],
            duration: Duration::from_millis(123),
            steps: vec![StepResult {
                line: 14,
                text: "AT".to_owned(),
                duration: Duration::from_micros(1500),
                passed: verdict == Verdict::Pass,
            }],
            failures: vec![],
            timeline: vec![],
            traffic: None,
        }
    }

    /// A run with one scenario of each verdict.
    pub(crate) fn run() -> RunResult {
        let mut failed = scenario("errors/used", Verdict::Fail, None);
        failed.failures = vec![
            Failure {
                line: 16,
                what: "step 1: the LPA downloads 1$${smdp}$USED-1".to_owned(),
                expected: vec!["failure, status 8.2.6/3.8".to_owned()],
                seen: vec!["success <&> \u{1}".to_owned()],
            },
            Failure {
                line: 22,
                what: "step 2: AT+QESIM=\"profile_brief\"".to_owned(),
                expected: vec!["+QESIM: \"profile_brief\",0".to_owned(), "OK".to_owned()],
                seen: vec!["+QESIM: \"profile_brief\",1".to_owned(), "+CPIN: READY".to_owned(), "OK".to_owned()],
            },
        ];
        let at = |micros, role, kind| Event { at: Duration::from_micros(micros), role, kind };
        failed.timeline = vec![
            at(100, Role::Modem, Kind::At { port: 0, direction: Direction::Command, text: "AT".to_owned() }),
            at(
                2000,
                Role::Server,
                Kind::Http(Http { function: "authenticateClient".to_owned(), status: 200, ..Http::default() }),
            ),
        ];
        RunResult {
            info: RunInfo {
                seed: 42,
                scenarios: 6,
                jobs: 2,
                lpa: "lpad".to_owned(),
                shard: None,
                place: Place::default(),
            },
            scenarios: vec![
                scenario("download/plain", Verdict::Pass, None),
                scenario("errors/lab", Verdict::Error, Some("no pseudo-terminal could be opened")),
                failed,
                scenario("later/skipped", Verdict::Skipped, Some("the card cannot do it yet")),
                scenario("known/failure", Verdict::ExpectedFailure, Some("reported upstream")),
                scenario("known/pass", Verdict::UnexpectedPass, Some("reported upstream")),
            ],
            duration: Duration::from_millis(1500),
        }
    }

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        let code = |verdicts: &[Verdict]| {
            let scenarios = verdicts.iter().map(|verdict| scenario("a", *verdict, None)).collect();
            RunResult { scenarios, ..run() }.exit_code()
        };
        assert_eq!(code(&[]), 5);
        assert_eq!(code(&[Verdict::Pass, Verdict::Skipped, Verdict::ExpectedFailure]), 0);
        assert_eq!(code(&[Verdict::Skipped]), 0);
        assert_eq!(code(&[Verdict::Pass, Verdict::Fail]), 1);
        assert_eq!(code(&[Verdict::Pass, Verdict::UnexpectedPass]), 1);
        assert_eq!(code(&[Verdict::Fail, Verdict::Error]), 3);
    }
}
