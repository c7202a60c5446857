//! JSON lines: one object per line, written as it happens.
//!
//! The first line is `{"type":"run","version":1,...}`; then one of `"type":"scenario"` for each scenario as it ends,
//! timeline included (and, of a run with `--pcap`, the bytes of the connections to the server); the last one is `"type":"summary"`. A reader that does not know the version should stop; keys
//! may be added without a new one.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::runner::result::{Failure, RunInfo, RunResult, ScenarioResult, StepResult, Verdict, seconds};
use crate::timeline::Event;
use crate::traffic::Recording;

/// The version of the form.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line<'a> {
    Run {
        version: u32,
        #[serde(flatten)]
        info: &'a RunInfo,
    },
    Scenario {
        id: &'a str,
        path: &'a Path,
        title: &'a str,
        refs: &'a [String],
        verdict: Verdict,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        not_looked_at: &'a [String],
        #[serde(rename = "seconds", serialize_with = "seconds")]
        duration: &'a Duration,
        steps: &'a [StepResult],
        failures: &'a [Failure],
        timeline: &'a [Event],
        #[serde(skip_serializing_if = "Option::is_none")]
        traffic: Option<&'a Recording>,
    },
    Summary {
        verdicts: BTreeMap<Verdict, usize>,
        exit_code: u8,
        #[serde(rename = "seconds", serialize_with = "seconds")]
        duration: &'a Duration,
    },
}

/// Writes the lines to a file or another place.
pub struct JsonLines<W> {
    output: W,
}

impl<W: Write> JsonLines<W> {
    /// Writes the first line.
    pub fn begin(output: W, info: &RunInfo) -> io::Result<Self> {
        let mut lines = JsonLines { output };
        lines.write(&Line::Run { version: VERSION, info })?;
        Ok(lines)
    }

    /// Writes what came of a scenario.
    pub fn scenario(&mut self, result: &ScenarioResult) -> io::Result<()> {
        self.write(&Line::Scenario {
            id: &result.id,
            path: &result.path,
            title: &result.title,
            refs: &result.refs,
            verdict: result.verdict,
            reason: result.reason.as_deref(),
            not_looked_at: &result.not_looked_at,
            duration: &result.duration,
            steps: &result.steps,
            failures: &result.failures,
            timeline: &result.timeline,
            traffic: result.traffic.as_deref(),
        })
    }

    /// Writes the last line.
    pub fn end(&mut self, result: &RunResult) -> io::Result<()> {
        let verdicts = Verdict::ALL.into_iter().map(|verdict| (verdict, result.count(verdict))).collect();
        self.write(&Line::Summary { verdicts, exit_code: result.exit_code(), duration: &result.duration })
    }

    fn write(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut text = serde_json::to_string(line).map_err(io::Error::other)?;
        text.push('\n');
        // One write per line, so that whoever follows the file never reads half of one.
        self.output.write_all(text.as_bytes())?;
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::result::tests::run;

    #[test]
    fn a_run_in_json_lines() {
        let run = run();
        let mut output = Vec::new();
        let mut lines = JsonLines::begin(&mut output, &run.info).unwrap();
        run.scenarios.iter().for_each(|scenario| lines.scenario(scenario).unwrap());
        lines.end(&run).unwrap();
        let text = String::from_utf8(output).unwrap();
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        insta::assert_snapshot!(text);
    }
}
