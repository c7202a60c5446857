//! `esimlab compare`: a real modem beside a model, command by command.
//!
//! The AT steps of the scenarios are done at both, also behind a step that differs. Each answer is held against what
//! the scenario expects (the note), and against the other one; each time against the documented maximum.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::permission::AllowWrite;
use super::target::Bench;
use crate::cli::{Abort, print, runtime};
use crate::runner::at::AtPort;
use crate::runner::emulation::Emulation;
use crate::runner::lines::{Wanted, compare as compare_lines, told};
use crate::runner::result::exit;
use crate::runner::{Stage, Target};
use crate::scenario::ast::*;
use crate::scenario::load::LoadedScenario;

/// How long is waited for an answer whose command has no documented maximum.
const PATIENCE: Duration = Duration::from_secs(10);

/// The arguments of `esimlab compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The terminals of the modem's AT ports, separated by commas
    #[arg(long, value_name = "PATH", value_delimiter = ',', required = true)]
    modem: Vec<PathBuf>,

    /// The model to compare it with; `esimlab models` lists them. A file describes one's own
    #[arg(long, value_name = "NAME|FILE")]
    model: String,

    /// The scenarios whose AT commands are compared; the AT conformance set when none is given
    #[arg(value_name = "PATH|ID")]
    scenarios: Vec<String>,

    /// What may be changed on the card: nothing when not given. It is put back afterwards
    #[arg(long, value_name = "WHAT", default_value = "none")]
    allow_write: AllowWrite,

    /// Print what was found as one JSON object
    #[arg(long)]
    json: bool,
}

/// What one side has said to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    /// The lines, with the card's own numbers as the variables of the scenario.
    lines: Vec<String>,
    /// What was expected, told beside it.
    expected: Option<Vec<String>>,
    /// Whether it is as expected.
    conforms: bool,
    duration: Duration,
}

/// A command to which the modem has another answer than the note or the model.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    scenario: String,
    line: usize,
    command: String,
    note: Option<Vec<String>>,
    model: Vec<String>,
    modem: Vec<String>,
}

/// The times of one command.
#[derive(Debug, Clone, Default)]
struct Times {
    all: Vec<Duration>,
    /// The documented maximum.
    most: Option<Duration>,
}

impl Times {
    fn longest(&self) -> Duration {
        self.all.iter().max().copied().unwrap_or_default()
    }

    fn median(&self) -> Duration {
        let mut sorted = self.all.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    fn is_too_long(&self) -> bool {
        self.most.is_some_and(|most| self.longest() > most)
    }
}

#[derive(Default)]
struct Comparison {
    findings: Vec<Finding>,
    times: BTreeMap<String, Times>,
    compared: usize,
    skipped: Vec<(String, String)>,
}

/// Runs `esimlab compare`.
pub(crate) fn run(args: CompareArgs) -> Result<u8, Abort> {
    let wanted = if args.scenarios.is_empty() { vec!["at".to_owned()] } else { args.scenarios };
    if wanted == ["at"] && !std::path::Path::new(crate::scenario::load::DEFAULT_FOLDER).join("at").is_dir() {
        let told = "there are no scenarios to compare by here: go to the project's folder (scenarios/at has the commands of \
                    the note), or name files or folders of your own";
        return Err(Abort::usage(told));
    }
    let scenarios = crate::cli::load_selected(&wanted)?;
    // A model that is none is told before anything is done to the modem.
    crate::cli::model(&args.model)?;
    let _guard = crate::tidy::Guard::start();
    runtime()?.block_on(async {
        let bench = Bench::open(args.modem.clone(), args.allow_write, None, None).await;
        let bench = Arc::new(bench.map_err(|error| Abort::usage(error.to_string()))?);
        let mut comparison = Comparison::default();
        for loaded in scenarios {
            comparison.add(&bench, &args.model, loaded).await?;
        }
        let put_back = bench.put_back().await;
        match args.json {
            true => print(&format!("{}\n", comparison.json(&bench, &args.model))),
            false => print(&comparison.words(&bench, &args.model)),
        }
        put_back.map_err(Abort::lab)?;
        Ok(if comparison.count() == 0 { exit::PASSED } else { exit::FAILED })
    })
}

impl Comparison {
    /// How many differences there are.
    fn count(&self) -> usize {
        self.findings.len() + self.times.values().filter(|times| times.is_too_long()).count()
    }

    async fn add(&mut self, bench: &Arc<Bench>, model: &str, loaded: LoadedScenario) -> Result<(), Abort> {
        let mut loaded = bench.fit(loaded);
        if loaded.scenario.skip.is_none()
            && !loaded.scenario.steps.iter().all(|step| matches!(step.action, StepAction::At { .. }))
        {
            loaded.scenario.skip = Some("it has steps that are no AT commands".to_owned());
        }
        if let Some(reason) = &loaded.scenario.skip {
            self.skipped.push((loaded.id, reason.clone()));
            return Ok(());
        }
        let lab = |error: &dyn std::fmt::Display| Abort::lab(format!("{}: {error}", loaded.id));
        let mut emulated = loaded.clone();
        match std::path::absolute(model).ok().filter(|path| path.is_file()) {
            Some(path) => emulated.scenario.model_file = Some(path.display().to_string()),
            None => emulated.scenario.model = model.to_owned(),
        }
        let stage = Emulation::default().set_up(&emulated, 0).await.map_err(|error| lab(&error))?;
        let by_model = said_by(&stage, &loaded.scenario).await;
        drop(stage);
        let stage = bench.set_up(&loaded, 0).await.map_err(|error| lab(&error))?;
        let by_modem = said_by(&stage, &loaded.scenario).await;
        let put_back = stage.finish().await;
        drop(stage);
        put_back.map_err(|error| lab(&error))?;
        for ((step, model), modem) in loaded.scenario.steps.iter().zip(by_model).zip(by_modem) {
            let StepAction::At { command, reply, .. } = &step.action else { continue };
            self.compared += 1;
            let times = self.times.entry(name_of(&command.to_string())).or_default();
            times.all.push(modem.duration);
            times.most = modem::maximum_response_time(&name_of(&command.to_string()));
            let differs = match reply {
                Some(_) => !modem.conforms || modem.lines != model.lines && !model.conforms,
                // Where nothing is expected only how it ends is compared: the rest may be anybody's own.
                None => modem.lines.last() != model.lines.last(),
            };
            let finding = Finding {
                scenario: loaded.id.clone(),
                line: step.line,
                command: command.to_string(),
                note: modem.expected,
                model: model.lines,
                modem: modem.lines,
            };
            let is_known =
                self.findings.iter().any(|known| known.command == finding.command && known.modem == finding.modem);
            if differs && !is_known {
                self.findings.push(finding);
            }
        }
        Ok(())
    }

    fn words(&self, bench: &Bench, model: &str) -> String {
        let mut text = format!("{}\nbeside the model {model}\n", bench.words());
        for finding in &self.findings {
            let _ = writeln!(text, "\nDIFFERS {}  ({}, line {})", finding.command, finding.scenario, finding.line);
            let mut row = |name: &str, lines: &[String]| {
                for (index, line) in lines.iter().enumerate() {
                    let _ = writeln!(text, "  {:<12} {line}", if index == 0 { name } else { "" });
                }
            };
            row("note", finding.note.as_deref().unwrap_or(&["(nothing is said)".to_owned()]));
            row("model", &finding.model);
            row("this modem", &finding.modem);
        }
        let width = self.times.keys().map(String::len).max().unwrap_or(0).max("COMMAND".len());
        let _ = writeln!(text, "\n{:<width$}  TIMES  MEDIAN       LONGEST      AT MOST", "COMMAND");
        for (name, times) in &self.times {
            let most = times.most.map_or("-".to_owned(), |most| format!("{} ms", most.as_millis()));
            let mark = if times.is_too_long() { "  TOO LONG" } else { "" };
            let _ = writeln!(
                text,
                "{name:<width$}  {:>5}  {:>8.1} ms  {:>8.1} ms  {most:>10}{mark}",
                times.all.len(),
                times.median().as_secs_f64() * 1e3,
                times.longest().as_secs_f64() * 1e3
            );
        }
        if !self.skipped.is_empty() {
            let _ = writeln!(text, "\nnot compared");
            let width = self.skipped.iter().map(|(id, _)| id.len()).max().unwrap_or(0);
            for (id, reason) in &self.skipped {
                let _ = writeln!(text, "  {id:<width$}  {reason}");
            }
        }
        let count = match self.count() {
            0 => "no difference".to_owned(),
            1 => "1 difference".to_owned(),
            count => format!("{count} differences"),
        };
        let _ = writeln!(text, "\n{} commands compared: {count}", self.compared);
        text
    }

    fn json(&self, bench: &Bench, model: &str) -> serde_json::Value {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        json!({
            "modem": bench.model,
            "model": model,
            "compared": self.compared,
            "differences": self.findings.iter().map(|finding| json!({
                "scenario": finding.scenario,
                "line": finding.line,
                "command": finding.command,
                "note": finding.note,
                "model": finding.model,
                "modem": finding.modem,
            })).collect::<Vec<_>>(),
            "times": self.times.iter().map(|(name, times)| json!({
                "command": name,
                "count": times.all.len(),
                "median_ms": milliseconds(times.median()),
                "longest_ms": milliseconds(times.longest()),
                "at_most_ms": times.most.map(milliseconds),
                "too_long": times.is_too_long(),
            })).collect::<Vec<_>>(),
            "skipped": self.skipped.iter().map(|(id, reason)| json!({ "scenario": id, "reason": reason })).collect::<Vec<_>>(),
        })
    }
}

/// The name of the command in a line, as tables of commands have it.
fn name_of(line: &str) -> String {
    let body = line.get(2..).unwrap_or_default();
    let end = body.find(['=', '?', ';']).unwrap_or(body.len());
    match body[..end].starts_with('+') {
        true => body[..end].to_uppercase(),
        false => format!("AT{}", body[..end].to_uppercase()),
    }
}

/// What a modem says to each command of a scenario.
async fn said_by(stage: &impl Stage, scenario: &Scenario) -> Vec<Said> {
    let mut captured: BTreeMap<String, String> = BTreeMap::new();
    let mut all = Vec::new();
    for step in &scenario.steps {
        let StepAction::At { command, port, reply } = &step.action else { continue };
        let fill = |template: &Template| {
            template.fill(|variable| match variable {
                Variable::Smdp => stage.smdp_address(),
                Variable::Eid => stage.eid().to_string(),
                Variable::Iccid(profile) => stage.iccid_of(profile).map(|iccid| iccid.padded()).unwrap_or_default(),
                Variable::Name(profile) => stage.names_of(profile).unwrap_or_default().name,
                Variable::Provider(profile) => stage.names_of(profile).unwrap_or_default().provider,
                Variable::Captured(name) => captured.get(name).cloned().unwrap_or_default(),
            })
        };
        let text = fill(command);
        let wanted: Option<Vec<Wanted<'_>>> = reply.as_ref().map(|lines| {
            let wanted = lines.iter().map(|line| match line {
                ExpectedLine::Text(template) => Wanted::Text(fill(template)),
                ExpectedLine::Pattern(pattern) => Wanted::Pattern(pattern),
                ExpectedLine::Any => Wanted::Any,
            });
            wanted.collect()
        });
        let most = modem::maximum_response_time(&name_of(&text));
        let patience = most.map_or(PATIENCE, |most| most * 10);
        let tty = stage.tty_of(*port).unwrap_or_default();
        let start = Instant::now();
        let answer = async { AtPort::open(&tty)?.command(&text, None).await };
        let seen = match tokio::time::timeout(patience, answer).await {
            Ok(Ok(lines)) => lines,
            Ok(Err(error)) => vec![format!("({error})")],
            Err(_) => vec!["(no answer)".to_owned()],
        };
        let duration = start.elapsed();
        let captures = wanted.as_ref().map(|wanted| compare_lines(wanted, &seen));
        let expected = wanted.as_ref().map(|wanted| told(wanted, &seen));
        let conforms = captures.as_ref().is_none_or(Option::is_some);
        captured.extend(captures.flatten().unwrap_or_default());
        let eid = stage.eid().to_string();
        let neutral =
            |lines: Vec<String>| lines.into_iter().map(|line| line.replace(&eid, "${eid}")).collect::<Vec<_>>();
        all.push(Said { lines: neutral(seen), expected: expected.map(neutral), conforms, duration });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_commands() {
        assert_eq!(name_of("AT+QESIM=\"eid\""), "+QESIM");
        assert_eq!(name_of("at+cmee?"), "+CMEE");
        assert_eq!(name_of("ATI"), "ATI");
        assert_eq!(name_of("A"), "AT");
    }
}
