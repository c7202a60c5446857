//! Joining the reports of runs that were split (`--shard`) or made against several targets.
//!
//! Reads the JSON lines that `esimlab run --json` writes. The parts of one run become one run again; runs of different
//! names stay apart and are columns of the matrix. What is missing is told: a part that was not given, a run that was
//! cut off. A merged report that looks green because something is missing would be worse than none.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::html::Named;
use super::json::VERSION;
use crate::runner::result::{Failure, RunInfo, RunResult, ScenarioResult, StepResult, Verdict, from_seconds};
use crate::timeline::Event;
use crate::traffic::Recording;

/// A report that cannot be read or joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The file is no report.
    #[error("{file}:{line}: this is no line of a report of `esimlab run --json`: {problem}")]
    NoReport {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// The report is of a version that this program does not know.
    #[error("{file}: the report has version {version}; this program reads version {VERSION}")]
    Version {
        /// The file.
        file: String,
        /// Its version.
        version: u64,
    },
    /// The file has no run in it.
    #[error("{file}: there is no run in this file; `esimlab run --json FILE` writes such files")]
    Empty {
        /// The file.
        file: String,
    },
    /// Parts of one run with different seeds.
    #[error(
        "{file}: its seed is {seed}, that of the other parts of {name:?} is {other}; give all parts of a run the same \
         --seed, or tell different runs apart as NAME=FILE"
    )]
    Seeds {
        /// The file.
        file: String,
        /// The run's name.
        name: String,
        /// Its seed.
        seed: u64,
        /// The other seed.
        other: u64,
    },
    /// The same scenario in two parts of one run.
    #[error(
        "{file}: {id} is in another part of {name:?} already; parts of a run have no scenario in common, different runs \
         are told apart as NAME=FILE"
    )]
    Twice {
        /// The file.
        file: String,
        /// The scenario.
        id: String,
        /// The run's name.
        name: String,
    },
}

/// A report file that is to be joined with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The name of the run; its LPA, and what else was put to the test, when not given.
    pub name: Option<String>,
    /// The file's name, for messages.
    pub file: String,
    /// What is in it.
    pub text: String,
}

/// What was joined, and what is missing of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The runs, in the order in which they were given.
    pub runs: Vec<Named>,
    /// What is missing, in words.
    pub missing: Vec<String>,
}

impl Merged {
    /// The exit code: that of the worst run, and that of a lab that failed when something is missing.
    pub fn exit_code(&self) -> u8 {
        use crate::runner::result::exit;
        let codes: Vec<u8> = self.runs.iter().map(|named| named.run.exit_code()).collect();
        if !self.missing.is_empty() || codes.contains(&exit::LAB_FAILED) {
            exit::LAB_FAILED
        } else if codes.contains(&exit::FAILED) {
            exit::FAILED
        } else if codes.iter().all(|code| *code == exit::NOTHING_SELECTED) {
            exit::NOTHING_SELECTED
        } else {
            exit::PASSED
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    Run {
        #[serde(flatten)]
        info: RunInfo,
    },
    Scenario {
        id: String,
        path: PathBuf,
        title: String,
        #[serde(default)]
        refs: Vec<String>,
        verdict: Verdict,
        #[serde(default)]
        reason: Option<String>,
        #[serde(default)]
        not_looked_at: Vec<String>,
        #[serde(rename = "seconds", deserialize_with = "from_seconds")]
        duration: Duration,
        #[serde(default)]
        steps: Vec<StepResult>,
        #[serde(default)]
        failures: Vec<Failure>,
        #[serde(default)]
        timeline: Vec<Event>,
        #[serde(default)]
        traffic: Option<Box<Recording>>,
    },
    Summary {
        #[serde(rename = "seconds", deserialize_with = "from_seconds")]
        duration: Duration,
    },
}

/// The runs in a file, each with whether its last line is there.
fn read(file: &str, text: &str) -> Result<Vec<(RunResult, bool)>, MergeError> {
    let mut runs: Vec<(RunResult, bool)> = Vec::new();
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let last = lines.clone().last().map(|(index, _)| index);
    for (index, line) in lines {
        let no_report = |problem: String| MergeError::NoReport { file: file.to_owned(), line: index + 1, problem };
        let value: Value = match serde_json::from_str(line) {
            Ok(value) => value,
            // The last line of a run that was cut off may be half a line.
            Err(_) if Some(index) == last && !runs.is_empty() => break,
            Err(error) => return Err(no_report(error.to_string())),
        };
        if value.get("type").and_then(Value::as_str) == Some("run") {
            let version = value.get("version").and_then(Value::as_u64).unwrap_or_default();
            if version != u64::from(VERSION) {
                return Err(MergeError::Version { file: file.to_owned(), version });
            }
        }
        let line: Line = serde_json::from_value(value).map_err(|error| no_report(error.to_string()))?;
        match (line, runs.last_mut()) {
            (Line::Run { info }, _) => {
                runs.push((RunResult { info, scenarios: Vec::new(), duration: Duration::ZERO }, false));
            }
            (_, None) => return Err(no_report("it comes before the line of a run".to_owned())),
            (
                Line::Scenario {
                    id,
                    path,
                    title,
                    refs,
                    verdict,
                    reason,
                    not_looked_at,
                    duration,
                    steps,
                    failures,
                    timeline,
                    traffic,
                },
                Some((run, _)),
            ) => run.scenarios.push(ScenarioResult {
                id,
                path,
                title,
                refs,
                verdict,
                reason,
                not_looked_at,
                duration,
                steps,
                failures,
                timeline,
                traffic,
            }),
            (Line::Summary { duration }, Some((run, ended))) => {
                run.duration = duration;
                *ended = true;
            }
        }
    }
    if runs.is_empty() { Err(MergeError::Empty { file: file.to_owned() }) } else { Ok(runs) }
}

/// Joins reports.
pub fn merge(inputs: &[Input]) -> Result<Merged, MergeError> {
    let mut merged = Merged { runs: Vec::new(), missing: Vec::new() };
    let mut shards: Vec<Vec<String>> = Vec::new();
    for input in inputs {
        for (run, ended) in read(&input.file, &input.text)? {
            let name = input.name.clone().unwrap_or_else(|| run.info.name());
            if !ended {
                let (seen, all) = (run.scenarios.len(), run.info.scenarios);
                merged.missing.push(format!("{}: the run was cut off, {seen} of {all} scenarios are told", input.file));
            }
            let shard = run.info.shard.clone();
            let index = match merged.runs.iter().position(|named| named.name == name) {
                None => {
                    merged.runs.push(Named { name, run });
                    shards.push(Vec::new());
                    merged.runs.len() - 1
                }
                Some(index) => {
                    join(&mut merged.runs[index], run, &input.file)?;
                    index
                }
            };
            shards[index].extend(shard);
        }
    }
    for (named, shards) in merged.runs.iter_mut().zip(&shards) {
        named.run.scenarios.sort_by(|a, b| a.id.cmp(&b.id));
        named.run.info.shard = None;
        let parts: BTreeSet<(usize, usize)> = shards
            .iter()
            .filter_map(|shard| shard.split_once('/'))
            .filter_map(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)))
            .collect();
        let count = parts.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let absent: Vec<String> = (1..=count)
            .filter(|index| !parts.iter().any(|(part, _)| part == index))
            .map(|index| format!("{index}/{count}"))
            .collect();
        if !absent.is_empty() {
            merged.missing.push(format!("{}: no report of part {}", named.name, absent.join(", ")));
        }
    }
    Ok(merged)
}

fn join(named: &mut Named, part: RunResult, file: &str) -> Result<(), MergeError> {
    let whole = &mut named.run;
    if whole.info.seed != part.info.seed {
        return Err(MergeError::Seeds {
            file: file.to_owned(),
            name: named.name.clone(),
            seed: part.info.seed,
            other: whole.info.seed,
        });
    }
    if let Some(twice) = part.scenarios.iter().find(|new| whole.scenarios.iter().any(|old| old.id == new.id)) {
        return Err(MergeError::Twice { file: file.to_owned(), id: twice.id.clone(), name: named.name.clone() });
    }
    whole.info.scenarios += part.info.scenarios;
    // Parts are run at the same time.
    whole.duration = whole.duration.max(part.duration);
    whole.scenarios.extend(part.scenarios);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::json::JsonLines;
    use super::*;
    use crate::runner::result::exit;
    use crate::runner::result::tests::run;

    /// The report of those scenarios of the example run that `wanted` accepts, as part `shard`.
    fn part(shard: &str, wanted: impl Fn(usize) -> bool) -> String {
        let mut part = run();
        let mut index = 0;
        part.scenarios.retain(|_| {
            index += 1;
            wanted(index - 1)
        });
        part.info.shard = Some(shard.to_owned());
        part.info.scenarios = part.scenarios.len();
        let mut output = Vec::new();
        let mut lines = JsonLines::begin(&mut output, &part.info).unwrap();
        part.scenarios.iter().for_each(|scenario| lines.scenario(scenario).unwrap());
        lines.end(&part).unwrap();
        String::from_utf8(output).unwrap()
    }

    fn input(name: Option<&str>, file: &str, text: String) -> Input {
        Input { name: name.map(str::to_owned), file: file.to_owned(), text }
    }

    #[test]
    fn the_parts_of_a_run_are_the_run() {
        let merged = merge(&[
            input(None, "b.json", part("2/2", |index| index % 2 == 1)),
            input(None, "a.json", part("1/2", |index| index % 2 == 0)),
        ])
        .unwrap();
        assert_eq!(merged.missing, [""; 0]);
        let mut whole = run();
        whole.scenarios.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(merged.runs, [Named { name: "lpad".to_owned(), run: whole }]);
        assert_eq!(merged.exit_code(), exit::LAB_FAILED);
    }

    #[test]
    fn what_is_missing_is_told_and_fails() {
        let good = |shard: &str| part(shard, |index| index == 0);
        let merged = merge(&[input(None, "a.json", good("1/3"))]).unwrap();
        assert_eq!(merged.missing, ["lpad: no report of part 2/3, 3/3"]);
        assert_eq!(merged.exit_code(), exit::LAB_FAILED);
        let whole = part("1/1", |index| index != 1);
        let cut = &whole[..whole.trim_end().rfind('\n').unwrap() + 20];
        let merged = merge(&[input(None, "a.json", cut.to_owned())]).unwrap();
        assert_eq!(merged.missing, ["a.json: the run was cut off, 5 of 5 scenarios are told"]);
        let merged = merge(&[input(None, "a.json", good("1/1"))]).unwrap();
        assert_eq!(merged.exit_code(), exit::PASSED);
    }

    #[test]
    fn runs_of_different_names_stay_apart() {
        let all = || part("1/1", |_| true);
        let merged = merge(&[input(Some("old"), "a", all()), input(Some("new"), "b", all())]).unwrap();
        let names: Vec<&str> = merged.runs.iter().map(|named| named.name.as_str()).collect();
        assert_eq!(names, ["old", "new"]);
        let error = merge(&[input(None, "a", all()), input(None, "b", all())]).unwrap_err();
        assert!(matches!(error, MergeError::Twice { .. }), "{error}");
    }

    #[test]
    fn what_is_no_report_is_told_with_its_place() {
        let error = |text: &str| merge(&[input(None, "x.json", text.to_owned())]).unwrap_err().to_string();
        for (text, part) in [
            ("", "no run in this file"),
            ("hello\n", "x.json:1"),
            ("{\"type\":\"run\",\"version\":9}\n", "version 9"),
            ("{\"type\":\"summary\",\"seconds\":1.0}\n", "before the line of a run"),
            (
                "{\"type\":\"run\",\"version\":1,\"seed\":1,\"scenarios\":1,\"jobs\":1,\"lpa\":\"x\"}\n{\"type\":\"summary\",\"seconds\":-1}\n",
                "x.json:2",
            ),
        ] {
            assert!(error(text).contains(part), "{text}: {}", error(text));
        }
        let other_seed = part("2/2", |index| index == 1).replace("\"seed\":42", "\"seed\":43");
        let error =
            merge(&[input(None, "a", part("1/2", |index| index == 0)), input(None, "b", other_seed)]).unwrap_err();
        assert!(matches!(error, MergeError::Seeds { seed: 43, other: 42, .. }), "{error}");
    }
}
