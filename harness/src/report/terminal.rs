//! The report for people: a line per scenario as it ends, then the failures, then the sum.
//!
//! On a terminal the last line shows what is running and is overwritten; elsewhere only whole lines are written, so
//! that a log stays readable. Colour is for terminals, and not where `NO_COLOR` is set (no-color.org).

use std::io::{self, IsTerminal, Write};

use super::printable;
use crate::runner::result::{Failure, RunInfo, RunResult, ScenarioResult, Verdict};

/// How many of the timeline's last lines are shown with a failure.
const TIMELINE_LINES: usize = 12;

/// The width of the column with what was expected, at least and at most.
const COLUMN: (usize, usize) = (24, 72);

/// What stands before each line of a failure.
const INDENT: usize = 6;

/// What the place that is written to can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether colours are shown.
    pub colour: bool,
    /// Whether a line can be overwritten.
    pub live: bool,
    /// How many characters fit on a line.
    pub width: usize,
}

impl Style {
    /// What standard output can do.
    pub fn of_stdout() -> Self {
        let is_terminal = io::stdout().is_terminal();
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let width = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
        Style {
            colour: is_terminal && !dumb && !set("NO_COLOR"),
            live: is_terminal && !dumb,
            width: if width >= 40 { width } else { 100 },
        }
    }
}

/// Writes the report as the run goes on.
pub struct Terminal<W> {
    output: W,
    style: Style,
    total: usize,
    finished: usize,
    running: Vec<String>,
    id_width: usize,
}

impl<W: Write> Terminal<W> {
    /// Writes the first line. The ids are known beforehand so that the columns fit.
    pub fn begin<'a>(
        output: W,
        style: Style,
        info: &RunInfo,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> io::Result<Self> {
        let id_width = ids.into_iter().map(|id| id.chars().count()).max().unwrap_or(0);
        let mut terminal =
            Terminal { output, style, total: info.scenarios, finished: 0, running: Vec::new(), id_width };
        let scenarios = counted(info.scenarios, "scenario");
        writeln!(
            terminal.output,
            "{scenarios}, {} at a time, LPA {}, seed {}",
            info.jobs.min(info.scenarios.max(1)),
            info.name(),
            info.seed
        )?;
        terminal.output.flush()?;
        Ok(terminal)
    }

    /// Shows that a scenario has begun.
    pub fn started(&mut self, id: &str) -> io::Result<()> {
        self.running.push(id.to_owned());
        self.show_running()
    }

    /// Writes the line of a scenario that has ended.
    pub fn finished(&mut self, result: &ScenarioResult) -> io::Result<()> {
        self.running.retain(|id| *id != result.id);
        self.finished += 1;
        self.clear_running()?;
        let word = self.coloured(result.verdict, &format!("{:<5}", result.verdict.word()));
        let seconds = format!("{:.3}", result.duration.as_secs_f64());
        write!(self.output, "{word} {seconds:>7} s  {:<width$}  {}", result.id, result.title, width = self.id_width)?;
        if let (Some(reason), false) = (&result.reason, result.verdict == Verdict::Error) {
            write!(self.output, " ({})", printable(reason))?;
        }
        if !result.not_looked_at.is_empty() {
            write!(self.output, " (not looked at: {})", printable(&result.not_looked_at.join(", ")))?;
        }
        writeln!(self.output)?;
        self.show_running()
    }

    /// Writes the failures and the sum.
    pub fn end(&mut self, run: &RunResult) -> io::Result<()> {
        self.running.clear();
        self.clear_running()?;
        for scenario in &run.scenarios {
            if !scenario.verdict.is_good() {
                self.failed(run, scenario)?;
            }
        }
        if run.scenarios.iter().any(|scenario| !scenario.verdict.is_good()) {
            writeln!(self.output)?;
        }
        let mut parts = Vec::new();
        for verdict in Verdict::ALL {
            match run.count(verdict) {
                0 => {}
                count => parts.push(self.coloured(verdict, &format!("{count} {}", verdict.words()))),
            }
        }
        if parts.is_empty() {
            parts.push("nothing was selected".to_owned());
        }
        let scenarios = counted(run.scenarios.len(), "scenario");
        writeln!(self.output, "{scenarios}: {} in {:.2} s", parts.join(", "), run.duration.as_secs_f64())?;
        self.output.flush()
    }

    fn failed(&mut self, run: &RunResult, scenario: &ScenarioResult) -> io::Result<()> {
        let head = self.coloured(scenario.verdict, scenario.verdict.word());
        writeln!(self.output, "\n{head} {}: {}", scenario.id, scenario.title)?;
        match scenario.verdict {
            Verdict::UnexpectedPass => writeln!(
                self.output,
                "  it passed, but is known to fail: take `expected_failure` out of {}",
                scenario.path.display()
            )?,
            _ => {
                if let Some(reason) = &scenario.reason {
                    writeln!(self.output, "  {}", printable(reason))?;
                }
            }
        }
        for failure in &scenario.failures {
            writeln!(self.output, "  {}:{}: {}", scenario.path.display(), failure.line, printable(&failure.what))?;
            for line in side_by_side(failure, self.style.width) {
                writeln!(self.output, "      {line}")?;
            }
        }
        if !scenario.timeline.is_empty() && scenario.verdict != Verdict::UnexpectedPass {
            let first = scenario.timeline.len().saturating_sub(TIMELINE_LINES);
            let all = scenario.timeline.len();
            writeln!(self.output, "  the last {} of {} events:", all - first, all)?;
            for event in &scenario.timeline[first..] {
                let line: String = printable(&event.to_string()).chars().take(self.style.width.max(60) - 2).collect();
                writeln!(self.output, "  {line}")?;
            }
        }
        writeln!(self.output, "  again: {}", run.info.again(&scenario.path))
    }

    fn show_running(&mut self) -> io::Result<()> {
        if !self.style.live || self.running.is_empty() {
            return self.output.flush();
        }
        let line = format!("{}/{} running: {}", self.finished, self.total, self.running.join(", "));
        let line: String = line.chars().take(self.style.width.saturating_sub(1)).collect();
        write!(self.output, "\r\x1b[2K{line}")?;
        self.output.flush()
    }

    fn clear_running(&mut self) -> io::Result<()> {
        if self.style.live { write!(self.output, "\r\x1b[2K") } else { Ok(()) }
    }

    fn coloured(&self, verdict: Verdict, text: &str) -> String {
        let colour = match verdict {
            Verdict::Pass => 32,
            Verdict::Fail | Verdict::Error | Verdict::UnexpectedPass => 31,
            Verdict::Skipped | Verdict::ExpectedFailure => 33,
        };
        if self.style.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What was expected on the left, what was seen on the right, with a mark where they differ; one below the other
/// when they are too long for a terminal of this width.
fn side_by_side(failure: &Failure, width: usize) -> Vec<String> {
    let lines = |lines: &[String]| -> Vec<String> {
        if lines.is_empty() { vec!["(nothing)".to_owned()] } else { lines.iter().map(|line| printable(line)).collect() }
    };
    let (expected, seen) = (lines(&failure.expected), lines(&failure.seen));
    // Half of the line, less the mark between.
    let most = (width.saturating_sub(INDENT + 3) / 2).clamp(COLUMN.0, COLUMN.1);
    let longest = |lines: &[String]| lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    if longest(&expected) > most {
        return below_each_other(expected, seen);
    }
    let column = longest(&expected).max(COLUMN.0);
    let mut rows = vec![format!("{:<column$}   {}", "expected", "seen")];
    for index in 0..expected.len().max(seen.len()) {
        let (left, right) = (expected.get(index), seen.get(index));
        let mark = if left == right { ' ' } else { '|' };
        let text = |line: Option<&String>| line.map_or("", String::as_str).to_owned();
        rows.push(format!("{:<column$} {mark} {}", text(left), text(right)).trim_end().to_owned());
    }
    rows
}

fn below_each_other(expected: Vec<String>, seen: Vec<String>) -> Vec<String> {
    // Where two single lines part is hard to see when they are long.
    let mark = match (&expected[..], &seen[..]) {
        ([expected], [seen]) => {
            let same = expected.chars().zip(seen.chars()).take_while(|(a, b)| a == b).count();
            (same > 0).then(|| format!("{:<9} {}^ from here on", "", " ".repeat(same)))
        }
        _ => None,
    };
    let rows = |name: &str, lines: Vec<String>| {
        let mut name = Some(name.to_owned());
        lines.into_iter().map(move |line| format!("{:<9} {line}", name.take().unwrap_or_default())).collect::<Vec<_>>()
    };
    [rows("expected", expected), rows("seen", seen), mark.into_iter().collect()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::result::tests::run;

    fn report(style: Style) -> String {
        let run = run();
        let mut output = Vec::new();
        let ids = run.scenarios.iter().map(|scenario| scenario.id.as_str());
        let mut terminal = Terminal::begin(&mut output, style, &run.info, ids).unwrap();
        for scenario in &run.scenarios {
            terminal.started(&scenario.id).unwrap();
            terminal.finished(scenario).unwrap();
        }
        terminal.end(&run).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn a_run_in_plain_lines() {
        let text = report(Style { colour: false, live: false, width: 100 });
        assert!(!text.contains(['\x1b', '\r', '\u{1}']));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_run_on_a_terminal() {
        insta::assert_snapshot!(report(Style { colour: true, live: true, width: 40 }).replace('\x1b', "ESC"));
    }

    #[test]
    fn long_lines_stand_below_each_other() {
        let failure = |expected: &[&str], seen: &[&str]| Failure {
            line: 1,
            what: String::new(),
            expected: expected.iter().map(|line| (*line).to_owned()).collect(),
            seen: seen.iter().map(|line| (*line).to_owned()).collect(),
        };
        let long = "a line that is longer than half";
        let several = failure(&[long], &["y", "z"]);
        assert_eq!(
            side_by_side(&several, 60),
            ["expected  a line that is longer than half", "seen      y", "          z"]
        );
        let one = failure(&[long], &["a line that is other"]);
        assert_eq!(
            side_by_side(&one, 60),
            [
                "expected  a line that is longer than half",
                "seen      a line that is other",
                "                         ^ from here on"
            ]
        );
        // On a wider terminal they have room beside each other.
        assert_eq!(
            side_by_side(&one, 100),
            ["expected                          seen", "a line that is longer than half | a line that is other"]
        );
    }
}
