//! Doing the steps of a scenario.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::at::AtPort;
use super::lines::{Wanted, compare, told};
use super::{AT_DEADLINE, Act, Play, SetUpError, Stage};
use crate::scenario::ast::*;
use crate::scenario::explain::{describe, time};
use crate::scenario::transcript::Transcript;
use crate::timeline::{Direction, Kind};

/// What was expected and what was seen instead, each in lines.
pub(super) type Differences = Vec<(Vec<String>, Vec<String>)>;

impl<S: Stage> Play<'_, S> {
    /// Does a step, and sees whether it took longer than it may.
    pub(super) fn timed<'s>(
        &'s self,
        step: &'s Step,
    ) -> Pin<Box<dyn Future<Output = Result<Differences, SetUpError>> + Send + 's>> {
        Box::pin(async move {
            let start = Instant::now();
            let from = self.stage.timeline().len();
            let mut differences = self.step(step).await?;
            let duration = start.elapsed();
            if let Some(within) = step.within
                && duration > within
                && !matches!(step.action, StepAction::Urc(_))
                && self.time_of_modem(step, from).is_none_or(|time| time > within)
            {
                differences.push((
                    vec![format!("within {}", time(within))],
                    vec![format!("after {:.1} ms", duration.as_secs_f64() * 1e3)],
                ));
            }
            Ok(differences)
        })
    }

    /// How long the modem itself took for its answer to the command of a step: from the event of the command to that of
    /// the last line, since event `from`. On a machine that is busy with other things the client is told later than the
    /// modem has answered, which is no fault of the modem. `None` when the step is no command, and when a fault that
    /// fired meanwhile may be what took the time.
    fn time_of_modem(&self, step: &Step, from: usize) -> Option<Duration> {
        let wanted = match &step.action {
            StepAction::At { port, .. } => *port,
            StepAction::Apdu { .. } => 0,
            _ => return None,
        };
        let events = self.stage.timeline().since(from);
        if events.iter().any(|event| matches!(event.kind, Kind::Fault { .. })) {
            return None;
        }
        let mut asked = None;
        let mut answered = None;
        for event in &events {
            match event.kind {
                Kind::At { port, direction: Direction::Command, .. } if port == wanted => {
                    asked = asked.or(Some(event.at));
                }
                Kind::At { port, direction: Direction::Response, .. } if port == wanted => answered = Some(event.at),
                _ => {}
            }
        }
        answered?.checked_sub(asked?)
    }

    async fn step(&self, step: &Step) -> Result<Differences, SetUpError> {
        if !matches!(step.action, StepAction::Urc(_)) {
            let mut urcs = self.urcs.lock().unwrap_or_else(PoisonError::into_inner);
            *urcs = (self.stage.timeline().len(), Vec::new());
        }
        // An answer is waited for longer than it may take, so that it can be told how long it took.
        let patience = step.within.map_or(AT_DEADLINE, |within| within * 10);
        match &step.action {
            StepAction::At { command, port, reply } => {
                Ok(self.command(command, *port, reply.as_deref(), patience).await)
            }
            StepAction::Transcript { transcript, .. } => Ok(self.dialogue(transcript, patience).await),
            StepAction::Urc(line) => Ok(self.urc(line, step.within.unwrap_or(AT_DEADLINE)).await),
            StepAction::Apdu { command, status, data } => {
                Ok(self.apdu(command, status.as_ref(), data.as_ref(), patience).await)
            }
            StepAction::Lpa { operation, settings, expect } => self.lpa(operation, settings, expect).await,
            StepAction::Server(action) => self.act(Act::Server(action.clone())).await,
            StepAction::Card(action) => self.act(Act::Card(*action)).await,
            StepAction::Modem(action) => self.act(Act::Modem(*action)).await,
            StepAction::Network(action) => self.act(Act::Network(action.clone())).await,
            StepAction::Clock(duration) => self.act(Act::Clock(*duration)).await,
            StepAction::Parallel(steps) => self.parallel(steps).await,
        }
    }

    async fn act(&self, act: Act) -> Result<Differences, SetUpError> {
        let what = act.to_string();
        match self.stage.act(act).await {
            Ok(()) => Ok(Vec::new()),
            Err(SetUpError::Refused(reason)) => Ok(vec![(vec![format!("{what} is done")], vec![reason])]),
            Err(error) => Err(error),
        }
    }

    /// Does steps together. What differs is told for each.
    async fn parallel(&self, steps: &[Step]) -> Result<Differences, SetUpError> {
        let mut running: Vec<_> = steps.iter().map(|step| (self.timed(step), None)).collect();
        std::future::poll_fn(|context| {
            for (step, ended) in &mut running {
                if ended.is_none()
                    && let std::task::Poll::Ready(result) = step.as_mut().poll(context)
                {
                    *ended = Some(result);
                }
            }
            match running.iter().all(|(_, ended)| ended.is_some()) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        })
        .await;
        let mut differences = Vec::new();
        for ((_, ended), step) in running.into_iter().zip(steps) {
            let name = describe(&step.action);
            for (expected, seen) in ended.unwrap_or(Ok(Vec::new()))? {
                differences.push(([vec![name.clone()], expected].concat(), [vec![name.clone()], seen].concat()));
            }
        }
        Ok(differences)
    }

    /// A line that is expected, with its variables filled in.
    fn wanted<'l>(&self, line: &'l ExpectedLine) -> Wanted<'l> {
        match line {
            ExpectedLine::Text(template) => Wanted::Text(self.fill(template)),
            ExpectedLine::Pattern(pattern) => Wanted::Pattern(pattern),
            ExpectedLine::Any => Wanted::Any,
        }
    }

    fn keep(&self, captured: Vec<(String, String)>) {
        self.captured.lock().unwrap_or_else(PoisonError::into_inner).extend(captured);
    }

    async fn command(
        &self,
        command: &Template,
        port: usize,
        reply: Option<&[ExpectedLine]>,
        patience: Duration,
    ) -> Differences {
        let command = self.fill(command);
        let wanted: Option<Vec<Wanted<'_>>> = reply.map(|lines| lines.iter().map(|line| self.wanted(line)).collect());
        let last = wanted.as_ref().and_then(|lines| match lines.last() {
            Some(Wanted::Text(text)) => Some(text.as_str()),
            _ => None,
        });
        let (seen, failed) = match timeout(patience, self.at(port, &command, last)).await {
            Ok(Ok(lines)) => (lines, false),
            Ok(Err(error)) => (vec![format!("({error})")], true),
            Err(_) => (vec![format!("(no final result code in {})", time(patience))], true),
        };
        match wanted {
            None if failed => vec![(vec!["an answer".to_owned()], seen)],
            None => Vec::new(),
            Some(wanted) => match compare(&wanted, &seen) {
                Some(captured) if !failed => {
                    self.keep(captured);
                    Vec::new()
                }
                _ => vec![(told(&wanted, &seen), seen)],
            },
        }
    }

    /// Plays a dialogue: says what the host says, and hears whether the modem says what it must, line by line.
    async fn dialogue(&self, transcript: &Transcript, patience: Duration) -> Differences {
        let mut ports: HashMap<usize, AtPort> = HashMap::new();
        let mut heard = Vec::new();
        for line in &transcript.lines {
            if let std::collections::hash_map::Entry::Vacant(place) = ports.entry(line.port) {
                match timeout(patience, self.open(line.port))
                    .await
                    .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
                {
                    Ok(port) => drop(place.insert(port)),
                    Err(error) => return vec![(vec![line.to_string()], vec![format!("({error})")])],
                }
            }
            let Some(port) = ports.get_mut(&line.port) else { continue };
            let text = match Template::parse(&line.text()) {
                Ok(template) if !line.is_pattern => self.fill(&template),
                _ => line.text().into_owned(),
            };
            if line.direction == Direction::Command {
                // What is no text goes as it is: there is no variable in it.
                let bytes = if std::str::from_utf8(&line.text).is_ok() { text.into_bytes() } else { line.text.clone() };
                heard.push(line.to_string());
                if let Err(error) = port.say(&bytes).await {
                    return vec![(heard.clone(), vec![format!("({error})")])];
                }
                continue;
            }
            let pattern = line.is_pattern.then(|| Pattern::parse(&text).ok()).flatten();
            let wanted = pattern.as_ref().map_or_else(|| Wanted::Text(text.clone()), Wanted::Pattern);
            let is_prompt = matches!(&wanted, Wanted::Text(text) if text.trim_end() == ">");
            let is_wanted = |line: &str| wanted.matches(line).is_some();
            let seen = match timeout(patience, port.hear(is_prompt, is_wanted)).await {
                Ok(Ok(line)) => line,
                Ok(Err(error)) => format!("({error})"),
                Err(_) => match port.strays().first() {
                    Some(line) => line.clone(),
                    None => format!("(nothing in {})", time(patience)),
                },
            };
            let captured = if is_prompt && seen.trim_end() == ">" { Some(Vec::new()) } else { wanted.matches(&seen) };
            match captured {
                Some(captured) => {
                    self.keep(captured);
                    heard.push(format!("< {seen}"));
                }
                None => {
                    let both = |last: String| [heard.clone(), vec![last]].concat();
                    return vec![(both(format!("< {}", wanted.told())), both(format!("< {seen}")))];
                }
            }
        }
        Vec::new()
    }

    /// Waits for what the modem says unasked. It counts from the beginning of the step before, and each once.
    async fn urc(&self, line: &ExpectedLine, patience: Duration) -> Differences {
        let wanted = self.wanted(line);
        let (from, taken) = self.urcs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let timeline = self.stage.timeline();
        let said = |kind: &Kind| match kind {
            Kind::At { direction: Direction::Response, text, .. } => Some(text.clone()),
            _ => None,
        };
        let mut next = from;
        let waiting = async {
            loop {
                let (number, event) = timeline
                    .wait_for(next, |event| said(&event.kind).is_some_and(|text| wanted.matches(&text).is_some()))
                    .await;
                if !taken.contains(&number) {
                    return (number, said(&event.kind).unwrap_or_default());
                }
                next = number + 1;
            }
        };
        match timeout(patience, waiting).await {
            Ok((number, text)) => {
                self.urcs.lock().unwrap_or_else(PoisonError::into_inner).1.push(number);
                self.keep(wanted.matches(&text).unwrap_or_default());
                Vec::new()
            }
            Err(_) => {
                let seen: Vec<String> = timeline.since(from).iter().filter_map(|event| said(&event.kind)).collect();
                let seen = if seen.is_empty() { vec![format!("(nothing in {})", time(patience))] } else { seen };
                vec![(vec![wanted.told()], seen)]
            }
        }
    }

    /// A command to the card, by AT+CSIM (TS 27.007 §8.17).
    async fn apdu(
        &self,
        command: &Template,
        status: Option<&StatusWord>,
        data: Option<&Pattern>,
        patience: Duration,
    ) -> Differences {
        let digits: String = self.fill(command).split_whitespace().collect::<String>().to_ascii_uppercase();
        let line = format!("AT+CSIM={},\"{digits}\"", digits.len());
        let lines = match timeout(patience, self.at(0, &line, None)).await {
            Ok(Ok(lines)) => lines,
            Ok(Err(error)) => vec![format!("({error})")],
            Err(_) => vec![format!("(no answer in {})", time(patience))],
        };
        let expected = || {
            let status = status.map_or("a status word".to_owned(), |status| format!("status {status}"));
            let data = data.map(|data| format!("data {data}"));
            [Some(status), data].into_iter().flatten().collect::<Vec<_>>()
        };
        let answer = lines.iter().find_map(|line| line.strip_prefix("+CSIM:")).and_then(|rest| rest.split_once(','));
        let bytes = answer.and_then(|(_, hex)| rsp::ids::from_hex(hex.trim().trim_matches('"')));
        let Some((body, [high, low])) = bytes.as_deref().and_then(|bytes| bytes.split_last_chunk::<2>()) else {
            return vec![(expected(), lines)];
        };
        let (body, seen) = (rsp::ids::to_hex(body), u16::from_be_bytes([*high, *low]));
        let captured = data.map_or(Some(Vec::new()), |data| data.captures(&body));
        match captured {
            Some(captured) if status.is_none_or(|status| status.matches(seen)) => {
                self.keep(captured);
                Vec::new()
            }
            _ => {
                let data_seen = data.map(|_| format!("data {body}"));
                vec![(expected(), [Some(format!("status {seen:04X}")), data_seen].into_iter().flatten().collect())]
            }
        }
    }
}
