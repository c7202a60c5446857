//! Running scenarios: each on a stage of its own, several at the same time.
//!
//! A [`Target`] sets up a [`Stage`] as the scenario says; the runner does the steps (AT commands as a client of the
//! terminal, operations of the LPA as a process of its own), compares what each led to, and at the end compares what
//! is there with what must be there. The first step that is not as expected ends the scenario. Everything is under
//! one deadline, and a stage that is dropped leaves nothing behind.

pub mod assistant;
pub mod at;
pub mod check;
pub mod emulation;
pub mod flaky;
pub mod lines;
pub mod result;
mod steps;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rsp::ids::{Eid, Iccid};
use smdp::profile::built_in_named;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::assistant::{Assistant, Call, CallError, On};
use self::at::AtPort;
use self::check::{Observed, Wire, check, check_operation};
use self::result::{Failure, Place, RunInfo, RunResult, ScenarioResult, StepResult, Verdict};
use crate::scenario::ast::*;
use crate::scenario::explain::{describe, time};
use crate::scenario::load::LoadedScenario;
use crate::timeline::Timeline;
use crate::traffic::Recording;

/// How long the modem may take for its answer when a step does not say.
const AT_DEADLINE: Duration = Duration::from_secs(10);

/// How long it may take to take a stage down in order.
const FINISH: Duration = Duration::from_secs(300);

/// Where scenarios are run.
pub trait Target: Send + Sync + 'static {
    /// What is set up for one scenario.
    type Stage: Stage;

    /// Sets up what the scenario says is there at the start.
    fn set_up(
        &self,
        scenario: &LoadedScenario,
        seed: u64,
    ) -> impl Future<Output = Result<Self::Stage, SetUpError>> + Send;
}

/// Why a stage could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetUpError {
    /// The target cannot do what the scenario asks for: the scenario is skipped.
    #[error("{0}")]
    Cannot(String),
    /// What is real and under test refused what it has to do: the scenario fails.
    #[error("{0}")]
    Refused(String),
    /// Something went wrong that has nothing to do with the scenario.
    #[error("{0}")]
    Failed(String),
}

/// What the metadata of a profile calls it (SGP.22 §2.4.5.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileNames {
    /// The name of the profile.
    pub name: String,
    /// The name of the service provider.
    pub provider: String,
}

/// What a built-in profile is called.
pub fn built_in_names(profile: &str) -> Option<ProfileNames> {
    built_in_named(profile).map(|spec| ProfileNames { name: spec.name, provider: spec.provider })
}

/// What is set up for one scenario. Dropping it takes it down.
pub trait Stage: Send + Sync {
    /// The terminal of the modem's AT port.
    fn tty(&self) -> &Path;
    /// The EID of the card.
    fn eid(&self) -> Eid;
    /// The address of the SM-DP+, as it stands in activation codes.
    fn smdp_address(&self) -> String;
    /// The file with the certificate of the CI that the LPA has to trust.
    fn ci_file(&self) -> &Path;
    /// What is seen.
    fn timeline(&self) -> &Timeline;
    /// The ICCID of a built-in profile.
    fn iccid_of(&self, profile: &str) -> Option<Iccid>;
    /// What is there now.
    fn observe(&self) -> Observed;

    /// The bytes of the connections to the server, as far as they are recorded.
    fn traffic(&self) -> Option<Recording> {
        None
    }

    /// What the metadata of a built-in profile calls it.
    fn names_of(&self, profile: &str) -> Option<ProfileNames> {
        built_in_names(profile)
    }

    /// The text of an AT line, an activation code or a confirmation code as it has to be here.
    fn adapted(&self, text: String) -> String {
        text
    }

    /// Whether the requests that reach the server are seen: where not, the LPA's word is all there is.
    fn sees_requests(&self) -> bool {
        true
    }

    /// Takes out of what is expected afterwards what cannot be seen here, and tells what that was.
    fn unseen(&self, _expect: &mut Expect) -> Vec<String> {
        Vec::new()
    }

    /// What the host of the LPA has to be told of the server's name, `HOST:PORT:ADDRESS`, when it goes by one.
    fn resolve(&self) -> Option<String> {
        None
    }

    /// The terminal of another AT port, if there is one.
    fn tty_of(&self, port: usize) -> Option<PathBuf> {
        (port == 0).then(|| self.tty().to_owned())
    }

    /// What has to be done before it is taken down; tells what could not be.
    fn finish(&self) -> impl Future<Output = Result<(), String>> + Send {
        async { Ok(()) }
    }

    /// Does something to the stage that no host can do.
    fn act(&self, act: Act) -> impl Future<Output = Result<(), SetUpError>> + Send {
        async move { Err(SetUpError::Cannot(format!("{act} cannot be done here"))) }
    }
}

/// Something that is done to a stage from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// The card is taken out or put in.
    Card(CardAction),
    /// The modem is reset, or its power cut.
    Modem(ModemAction),
    /// The operator of the server does something.
    Server(ServerAction),
    /// Something happens in the mobile network.
    Network(NetworkAction),
    /// The clock goes on.
    Clock(Duration),
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Act::Card(CardAction::Remove) => "taking the card out",
            Act::Card(CardAction::Insert) => "putting the card in",
            Act::Modem(ModemAction::Reset) => "resetting the modem",
            Act::Modem(ModemAction::PowerCut) => "cutting the modem's power",
            Act::Server(_) => "what the operator of the server does",
            Act::Network(_) => "what happens in the mobile network",
            Act::Clock(_) => "setting the clock",
        })
    }
}

/// How scenarios are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many at the same time.
    pub jobs: usize,
    /// The seed of all random choices.
    pub seed: u64,
    /// The LPA under test.
    pub assistant: Assistant,
    /// Which part of all scenarios this is, for the report.
    pub shard: Option<String>,
    /// What is real, for the report.
    pub place: Place,
}

impl Options {
    /// What a run of so many scenarios is about to do.
    pub fn info(&self, scenarios: usize) -> RunInfo {
        RunInfo {
            seed: self.seed,
            scenarios,
            jobs: self.jobs,
            lpa: self.assistant.name.clone(),
            shard: self.shard.clone(),
            place: self.place.clone(),
        }
    }
}

/// What is told while a run goes on.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A scenario has begun.
    Started(&'a str),
    /// A scenario has ended.
    Finished(&'a ScenarioResult),
}

/// Runs scenarios, and tells what comes of each as it ends. The results are sorted by id.
pub async fn run<T: Target>(
    target: Arc<T>,
    scenarios: Vec<LoadedScenario>,
    options: &Options,
    progress: impl FnMut(Progress<'_>),
) -> RunResult {
    run_until(target, scenarios, options, progress, std::future::pending::<()>()).await.0
}

/// The same, until something happens: what was running is given up then, and what has ended is the result.
pub async fn run_until<T: Target, S>(
    target: Arc<T>,
    scenarios: Vec<LoadedScenario>,
    options: &Options,
    mut progress: impl FnMut(Progress<'_>),
    stop: impl Future<Output = S>,
) -> (RunResult, Option<S>) {
    let mut stop = std::pin::pin!(stop);
    let mut stopped = None;
    let start = Instant::now();
    let info = options.info(scenarios.len());
    let mut waiting = scenarios.into_iter();
    let mut running = JoinSet::new();
    // What a task that panicked was about.
    let mut begun: HashMap<tokio::task::Id, Arc<LoadedScenario>> = HashMap::new();
    let mut results = Vec::new();
    loop {
        while running.len() < options.jobs.max(1) {
            let Some(scenario) = waiting.next() else { break };
            let scenario = Arc::new(scenario);
            progress(Progress::Started(&scenario.id));
            let (target, assistant) = (Arc::clone(&target), options.assistant.clone());
            let (seed, task) = (seed_of(options.seed, flaky::id_of(&scenario.id)), Arc::clone(&scenario));
            let handle = running.spawn(async move { run_one(&*target, &task, seed, &assistant).await });
            begun.insert(handle.id(), scenario);
        }
        let ended = tokio::select! {
            ended = running.join_next_with_id() => ended,
            why = &mut stop => {
                stopped = Some(why);
                // Each stage is gone when this is done, with the processes on it.
                running.shutdown().await;
                break;
            }
        };
        let result = match ended {
            None => break,
            Some(Ok((id, result))) => {
                begun.remove(&id);
                result
            }
            Some(Err(error)) => {
                let Some(scenario) = begun.remove(&error.id()) else { continue };
                let mut result = blank(&scenario);
                result.verdict = Verdict::Error;
                result.reason = Some(format!("the lab has panicked: {error}"));
                result
            }
        };
        progress(Progress::Finished(&result));
        results.push(result);
    }
    results.sort_by(|a, b| a.id.cmp(&b.id));
    (RunResult { info, scenarios: results, duration: start.elapsed() }, stopped)
}

/// The seed of one scenario: it depends on the seed of the run and the id, so that a scenario alone, in another
/// order or in a shard makes the same choices (FNV-1a).
fn seed_of(seed: u64, id: &str) -> u64 {
    let bytes = seed.to_le_bytes();
    bytes
        .iter()
        .copied()
        .chain(id.bytes())
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

fn blank(loaded: &LoadedScenario) -> ScenarioResult {
    ScenarioResult {
        id: loaded.id.clone(),
        path: loaded.path.clone(),
        title: loaded.scenario.title.clone(),
        refs: loaded.scenario.refs.clone(),
        verdict: Verdict::Pass,
        reason: None,
        not_looked_at: Vec::new(),
        duration: Duration::ZERO,
        steps: Vec::new(),
        failures: Vec::new(),
        timeline: Vec::new(),
        traffic: None,
    }
}

/// Runs one scenario.
async fn run_one<T: Target>(target: &T, loaded: &LoadedScenario, seed: u64, assistant: &Assistant) -> ScenarioResult {
    let scenario = &loaded.scenario;
    let mut result = blank(loaded);
    if let Some(reason) = &scenario.skip {
        result.verdict = Verdict::Skipped;
        result.reason = Some(reason.clone());
        return result;
    }
    if let Some(reason) = assistant.unable_in(scenario) {
        result.verdict = Verdict::Skipped;
        result.reason = Some(reason);
        return result;
    }
    let known = scenario.expected_failure.clone();
    let start = Instant::now();
    let mut passed_over = Vec::new();
    let judged = match timeout(scenario.deadline, target.set_up(loaded, seed)).await {
        Err(_) => Err(SetUpError::Failed(format!("setting up the lab took more than {}", time(scenario.deadline)))),
        Ok(Err(error)) => Err(error),
        Ok(Ok(stage)) => {
            let rest = scenario.deadline.saturating_sub(start.elapsed());
            let mut play = Play::new(scenario, &stage, assistant);
            let ended = timeout(rest, play.run()).await;
            let judged = ended.unwrap_or_else(|_| Ok(vec![play.too_late()]));
            result.steps = play.steps;
            passed_over = play.passed_over.into_inner().unwrap_or_else(PoisonError::into_inner);
            result.not_looked_at = play.not_looked_at;
            let finished = timeout(FINISH, stage.finish()).await;
            result.timeline = stage.timeline().snapshot();
            result.traffic = stage.traffic().map(Box::new);
            match finished.unwrap_or_else(|_| Err(format!("it could not be taken down in {}", time(FINISH)))) {
                Ok(()) => judged,
                Err(reason) => Err(SetUpError::Failed(reason)),
            }
        }
    };
    result.duration = start.elapsed();
    match (judged, known) {
        (Err(SetUpError::Cannot(reason)), _) => {
            result.verdict = Verdict::Skipped;
            result.reason = Some(reason);
        }
        (Err(SetUpError::Refused(reason)), _) => {
            result.verdict = Verdict::Fail;
            result.failures = vec![Failure {
                line: 1,
                what: "what is there at the start".to_owned(),
                expected: vec!["the server takes the orders".to_owned()],
                seen: vec![reason],
            }];
        }
        (Err(SetUpError::Failed(reason)), _) => {
            result.verdict = Verdict::Error;
            result.reason = Some(reason);
        }
        (Ok(failures), None) if failures.is_empty() && !passed_over.is_empty() => {
            result.verdict = Verdict::Skipped;
            result.reason = Some(format!("{}; everything else was as expected", passed_over.join("; ")));
        }
        (Ok(failures), known) => {
            // What is known of this LPA. It may be known of another version: that it passes is no mistake.
            let known = known.or_else(|| match failures.is_empty() {
                true => None,
                false => assistant.description.known(flaky::id_of(&loaded.id)).map(ToString::to_string),
            });
            result.verdict = match (failures.is_empty(), known.is_some()) {
                (true, false) => Verdict::Pass,
                (true, true) => Verdict::UnexpectedPass,
                (false, false) => Verdict::Fail,
                (false, true) => Verdict::ExpectedFailure,
            };
            result.failures = failures;
            result.reason = known;
        }
    }
    result
}

/// A scenario that is being played on its stage.
struct Play<'a, S> {
    scenario: &'a Scenario,
    stage: &'a S,
    assistant: &'a Assistant,
    steps: Vec<StepResult>,
    /// What could not be compared, because the LPA does not tell it.
    passed_over: Mutex<Vec<String>>,
    /// What could not be looked at, because nobody sees it here.
    not_looked_at: Vec<String>,
    /// The step that is being done, from 0.
    current: Option<usize>,
    /// What has been captured.
    captured: Mutex<BTreeMap<String, String>>,
    /// From where on in the timeline URCs are looked for, and those that have been taken already.
    urcs: Mutex<(usize, Vec<usize>)>,
}

impl<'a, S: Stage> Play<'a, S> {
    fn new(scenario: &'a Scenario, stage: &'a S, assistant: &'a Assistant) -> Self {
        Play {
            scenario,
            stage,
            assistant,
            steps: Vec::new(),
            current: None,
            passed_over: Mutex::default(),
            not_looked_at: Vec::new(),
            captured: Mutex::default(),
            urcs: Mutex::default(),
        }
    }

    /// Does the steps and looks at what is there afterwards. The error is one of the lab.
    async fn run(&mut self) -> Result<Vec<Failure>, SetUpError> {
        for (index, step) in self.scenario.steps.iter().enumerate() {
            self.current = Some(index);
            let start = Instant::now();
            let differences = self.timed(step).await?;
            let duration = start.elapsed();
            let passed = differences.is_empty();
            self.steps.push(StepResult { line: step.line, text: describe(&step.action), duration, passed });
            if !passed {
                let what = self.name_of(index);
                let failure = |(expected, seen)| Failure { line: step.line, what: what.clone(), expected, seen };
                return Ok(differences.into_iter().map(failure).collect());
            }
        }
        self.current = None;
        let iccid_of = |name: &str| self.stage.iccid_of(name);
        let taken = self.steps.iter().map(|step| step.duration).sum();
        let mut observed = self.stage.observe();
        observed.taken = taken;
        let mut expect = self.filled(&self.scenario.expect);
        self.not_looked_at = self.stage.unseen(&mut expect);
        if !self.stage.sees_requests() && expect.es9plus.is_some() {
            observed.requests = self.requests_told();
            if observed.requests.is_none() {
                expect.es9plus = None;
                self.not_looked_at.push("the calls of ES9+, of which nobody tells".to_owned());
            }
        }
        Ok(check(&expect, &observed, &self.stage.timeline().snapshot(), &iccid_of))
    }

    /// What is expected, with its variables filled in.
    fn filled(&self, expect: &Expect) -> Expect {
        let mut expect = expect.clone();
        if let Some(address) = &mut expect.default_smdp {
            address.value = Template::plain(&self.fill(&address.value));
        }
        expect
    }

    /// The requests of which the LPA tells, where it does; those of a module's own LPA nobody tells.
    fn requests_told(&self) -> Option<Vec<String>> {
        let by_module = |step: &Step| {
            matches!(&step.action, StepAction::At { command, .. }
                if command.variables().any(|variable| *variable == Variable::Smdp))
        };
        if self.scenario.steps.iter().any(by_module) {
            return None;
        }
        self.assistant.description.requests(&self.stage.timeline().snapshot())
    }

    fn name_of(&self, index: usize) -> String {
        let text = self.scenario.steps.get(index).map(|step| describe(&step.action)).unwrap_or_default();
        format!("step {}: {text}", index + 1)
    }

    /// The failure of a scenario that has come to its deadline.
    fn too_late(&self) -> Failure {
        let (line, what) = match self.current {
            Some(index) => (self.scenario.steps.get(index).map_or(1, |step| step.line), self.name_of(index)),
            None => (1, "after the last step".to_owned()),
        };
        let deadline = time(self.scenario.deadline);
        Failure {
            line,
            what,
            expected: vec![format!("the scenario ends within {deadline}")],
            seen: vec![format!("not ended after {deadline}")],
        }
    }

    /// Does an operation of the LPA; gives what was expected and what was seen instead.
    async fn lpa(
        &self,
        operation: &Operation,
        settings: &LpaSettings,
        expect: &LpaExpect,
    ) -> Result<Vec<(Vec<String>, Vec<String>)>, SetUpError> {
        let call = self.call(operation)?;
        let requests = !self.stage.sees_requests();
        let settings = LpaSettings { resolve: self.stage.resolve(), requests, ..settings.clone() };
        let before = self.stage.timeline().len();
        let profiles: Vec<String> =
            self.stage.observe().profiles.iter().map(|profile| profile.iccid.to_string()).collect();
        let on = On { tty: self.stage.tty(), ci: self.stage.ci_file(), profiles: &profiles, settings: &settings };
        let called = self.assistant.call(on, &call, self.stage.timeline()).await;
        let mut reported = called.map_err(|error| match error {
            CallError::Unable(_) => SetUpError::Cannot(error.to_string()),
            CallError::Program { .. } => SetUpError::Failed(error.to_string()),
        })?;
        let number = self.current.map_or(0, |index| index + 1);
        let (expect, untold) = self.assistant.description.pass_over_untold(expect, &mut reported);
        let mut passed_over = self.passed_over.lock().unwrap_or_else(PoisonError::into_inner);
        passed_over.extend(untold.into_iter().map(|why| format!("step {number}: {why}")));
        drop(passed_over);
        let mut wire = Wire::of(&self.stage.timeline().since(before));
        wire.is_blind = requests;
        let differences = check_operation(&expect, &reported, &wire);
        let mut differences: Vec<_> =
            differences.into_iter().map(|(expected, seen)| (vec![expected], vec![seen])).collect();
        let iccid_of = |name: &str| self.stage.iccid_of(name);
        differences.extend(check::check_listed(&expect, &reported, &iccid_of));
        Ok(differences)
    }

    async fn at(&self, port: usize, command: &str, last: Option<&str>) -> std::io::Result<Vec<String>> {
        self.open(port).await?.command(command, last).await
    }

    /// Opens a terminal. One that has gone away, and will be back, is waited for.
    async fn open(&self, port: usize) -> std::io::Result<AtPort> {
        let tty = self.stage.tty_of(port).ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::NotConnected, format!("the modem has no port {port}"))
        })?;
        loop {
            let seen = self.stage.timeline().len();
            match AtPort::open(&tty) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    self.stage.timeline().wait_for(seen, |_| true).await;
                }
                opened => return opened,
            }
        }
    }

    fn fill(&self, template: &Template) -> String {
        let text = template.fill(|variable| match variable {
            Variable::Smdp => self.stage.smdp_address(),
            Variable::Eid => self.stage.eid().to_string(),
            // The parser has let only known profiles and captures through.
            Variable::Iccid(profile) => self.stage.iccid_of(profile).map(|iccid| iccid.padded()).unwrap_or_default(),
            Variable::Name(profile) => self.stage.names_of(profile).unwrap_or_default().name,
            Variable::Provider(profile) => self.stage.names_of(profile).unwrap_or_default().provider,
            Variable::Captured(name) => {
                self.captured.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned().unwrap_or_default()
            }
        });
        self.stage.adapted(text)
    }

    fn call(&self, operation: &Operation) -> Result<Call, SetUpError> {
        let profile = |profile: &ProfileRef| match profile {
            ProfileRef::Number(number) => Ok(number.to_string()),
            ProfileRef::Iccid(iccid) => Ok(iccid.to_string()),
            ProfileRef::Name(name) => match self.stage.iccid_of(name) {
                Some(iccid) => Ok(iccid.to_string()),
                None => Err(SetUpError::Failed(format!("there is no profile {name:?}"))),
            },
        };
        Ok(match operation {
            Operation::Download { activation_code, confirmation_code } => Call::Download {
                activation_code: self.fill(activation_code),
                confirmation_code: confirmation_code.as_ref().map(|code| self.fill(code)),
            },
            Operation::Enable(wanted) => Call::Enable(profile(wanted)?),
            Operation::Disable(wanted) => Call::Disable(profile(wanted)?),
            Operation::Delete(wanted) => Call::Delete(profile(wanted)?),
            Operation::Nickname(wanted, name) => Call::Nickname(profile(wanted)?, name.clone()),
            Operation::List => Call::List,
            Operation::SendNotifications => Call::SendNotifications,
            Operation::ListNotifications => Call::ListNotifications,
            Operation::RemoveNotifications => Call::RemoveNotifications,
            Operation::DefaultAddress(address) => Call::DefaultAddress(self.fill(address)),
            Operation::Info => Call::Info,
        })
    }
}

#[cfg(test)]
mod tests;
