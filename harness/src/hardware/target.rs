//! A real modem as the place where scenarios are run.
//!
//! [`Bench::fit`] says of each scenario whether it can be run here and may be, before anything is done. What runs goes
//! over a relay that writes the dialogue into the timeline. Afterwards the card is put back as it was found.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rsp::crypto::Curve;
use rsp::es10::profiles::{ProfileInfo, ProfileState};
use rsp::ids::{Eid, Iccid};
use smdp::profile::built_in_named;
use tokio::task::JoinHandle;

use super::card::{CardState, HardwareError, nickname};
use super::permission::{AllowWrite, needed};
use crate::dialogue::lines::Splitter;
use crate::dialogue::terminal::Line;
use crate::lab::{DEFAULT_MODEL, Lab};
use crate::lpa::DEFAULT_ADDRESS;
use crate::real_server::RealServer;
use crate::real_server::target::AtServer;
use crate::runner::at::AtPort;
use crate::runner::check::{Observed, SeenNotification, SeenProfile};
use crate::runner::emulation::Emulation;
use crate::runner::{Act, ProfileNames, SetUpError, Stage, Target, built_in_names};
use crate::scenario::ast::*;
use crate::scenario::load::LoadedScenario;
use crate::tidy::Nest;
use crate::timeline::{Direction, Role, Timeline};
use crate::traffic::Recording;

/// The most channels that are opened to see how many are free.
const MOST_CHANNELS: usize = 19;

/// A modem on the bench, and what is on its card.
#[derive(Debug)]
pub struct Bench {
    /// The terminals of its AT ports.
    pub ttys: Vec<PathBuf>,
    /// What it says it is.
    pub model: String,
    /// What was on the card at the beginning.
    pub found: CardState,
    /// What may be changed.
    pub allow: AllowWrite,
    /// The certificates of the SM-DP+ that the lab plays for this card, a folder laid out like SGP.26.
    pub pki: Option<PathBuf>,
    /// Whether the bytes of the connections to that SM-DP+ are recorded, for a packet capture.
    pub record_traffic: bool,
    /// A real SM-DP+, in the place of the one that the lab plays.
    pub server: Option<Arc<RealServer>>,
    /// How many logical channels are free; `None` when that cannot be seen.
    channels: Option<usize>,
}

/// Why a modem cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The terminal.
    #[error("the modem at {}: {error}{}", tty.display(), advice(error))]
    Terminal {
        /// The terminal.
        tty: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The card.
    #[error("the card in the modem at {}: {error}", tty.display())]
    Card {
        /// The terminal.
        tty: PathBuf,
        /// What is wrong.
        error: HardwareError,
    },
}

/// What to try when a terminal cannot be used.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::NOTTY) => {
            "; it is no terminal: give an AT port of the modem, as in /dev/ttyUSB2"
        }
        io::ErrorKind::TimedOut => {
            "; check that this is an AT port of the modem, that its speed is right (stty), and that no other program has it open"
        }
        io::ErrorKind::NotFound => "; see which ports there are: ls /dev/ttyUSB* /dev/ttyACM*",
        io::ErrorKind::PermissionDenied => "; the user has to be allowed to open it, often by the group dialout",
        _ => "",
    }
}

impl Bench {
    /// Asks a modem what it is and what is on its card.
    pub async fn open(
        ttys: Vec<PathBuf>,
        allow: AllowWrite,
        pki: Option<PathBuf>,
        server: Option<Arc<RealServer>>,
    ) -> Result<Self, BenchError> {
        let first = ttys.first().cloned().unwrap_or_default();
        let terminal = |error| BenchError::Terminal { tty: first.clone(), error };
        // Without result codes in words there would be no end of an answer (V.250 §6.2.5, §6.2.6).
        ask(&first, "ATQ0V1").await.map_err(terminal)?;
        let model = first_line(&ask(&first, "AT+CGMM").await.map_err(terminal)?);
        let channels = free_channels(&first).await;
        let tty = first.clone();
        let read = tokio::task::spawn_blocking(move || CardState::read(&tty)).await;
        let found = match read {
            Ok(read) => read.map_err(|error| BenchError::Card { tty: first.clone(), error })?,
            Err(error) => return Err(terminal(io::Error::other(error))),
        };
        Ok(Bench { ttys, model, found, allow, pki, server, record_traffic: false, channels })
    }

    /// Makes the card what it was when it was found; tells loudly what could not be put back.
    pub async fn put_back(self: &Arc<Self>) -> Result<(), String> {
        let bench = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let tty = bench.ttys.first().cloned().unwrap_or_default();
            bench.found.put_back(&tty, bench.allow > AllowWrite::None)
        });
        match done.await {
            Ok(Ok(lost)) if lost.is_empty() => Ok(()),
            Ok(Ok(lost)) => Err(format!("THE CARD IS NOT AS IT WAS FOUND: {}", lost.join("; "))),
            Ok(Err(error)) => Err(format!("THE CARD MAY NOT BE AS IT WAS FOUND, it cannot be read: {error}")),
            Err(error) => Err(format!("THE CARD MAY NOT BE AS IT WAS FOUND: {error}")),
        }
    }

    /// What it is, for reports.
    pub fn name(&self) -> String {
        let ttys: Vec<String> = self.ttys.iter().map(|tty| tty.display().to_string()).collect();
        format!("{} at {}", self.model, ttys.join(", "))
    }

    /// What there is, in a line.
    pub fn words(&self) -> String {
        let count = self.found.profiles.len();
        let profiles = if count == 1 { "1 profile".to_owned() } else { format!("{count} profiles") };
        let allowed = match self.allow {
            AllowWrite::None => "nothing on it is changed".to_owned(),
            allow => format!("allowed to be changed: {allow}"),
        };
        let ttys: Vec<String> = self.ttys.iter().map(|tty| tty.display().to_string()).collect();
        format!("{} at {}, eUICC {} with {profiles}; {allowed}", self.model, ttys.join(", "), self.found.eid)
    }

    /// A scenario as it can be run here; one that cannot, or may not, is skipped with the reason.
    pub fn fit(&self, mut loaded: LoadedScenario) -> LoadedScenario {
        if loaded.scenario.skip.is_none() {
            loaded.scenario.skip = self.unfit(&loaded.scenario);
        }
        loaded
    }

    fn unfit(&self, scenario: &Scenario) -> Option<String> {
        let (needed, what) = needed(scenario);
        if needed > self.allow {
            return Some(format!("{what} changes something; --allow-write={needed} allows it"));
        }
        // The default stands for any module that has the commands of the note.
        let same = |name: &str| self.model.to_uppercase().starts_with(&name.to_uppercase());
        if scenario.model_file.is_some() || (scenario.model != DEFAULT_MODEL && !same(&scenario.model)) {
            return Some(format!("it is about the model {}, and this is {}", scenario.model, self.model));
        }
        if let Some(reason) = self.unfit_card(scenario) {
            return Some(reason);
        }
        if self.server.is_some() && scenario.curve != Curve::P256 {
            return Some(format!(
                "on which curve this card and this server meet is not for a scenario to say ({})",
                scenario.curve
            ));
        }
        if scenario.clock.is_some() || scenario.smdp_name.is_some() || scenario.ports.is_some() {
            return Some("it sets clock, names or ports, which are those of a real host here".to_owned());
        }
        for fault in &scenario.faults {
            match fault {
                Fault::Server(_) => {}
                _ => return Some("its fault is one of the emulated line, card or network".to_owned()),
            }
        }
        let mut needs_server = !scenario.orders.is_empty() || scenario.expect.orders.is_some();
        let mut reason = None;
        Step::each(&scenario.steps, &mut |step| match &step.action {
            StepAction::Card(_) => reason = Some("nobody is here to take the card out or put it in".to_owned()),
            StepAction::Modem(_) => reason = Some("a real modem is not reset or cut off by this".to_owned()),
            StepAction::Clock(_) => reason = Some("the clock of a real host is not set".to_owned()),
            StepAction::Server(_) => needs_server = true,
            StepAction::Lpa { operation, expect, .. } => {
                needs_server |= matches!(operation, Operation::Download { .. } | Operation::SendNotifications);
                if expect.euicc.is_some() {
                    reason = Some("what a real card says of a package is seen by the LPA alone".to_owned());
                }
            }
            _ => {}
        });
        if reason.is_none() && needs_server && self.pki.is_none() && self.server.is_none() {
            let told = "it needs an SM-DP+ that this card trusts; --pki DIR gives the lab's the right keys, --smdp URL \
                        names a real one";
            reason = Some(told.to_owned());
        }
        reason
    }

    /// Whether a scenario begins with another card than this.
    fn unfit_card(&self, scenario: &Scenario) -> Option<String> {
        let card = &scenario.card;
        let others = Card { profiles: Vec::new(), eid: None, default_smdp: None, ..card.clone() };
        if others != Card::default() {
            return Some("it begins with a card of another kind".to_owned());
        }
        if card.eid.is_some_and(|eid| eid != self.found.eid) {
            return Some(format!(
                "it begins with another card, {}",
                card.eid.map(|eid| eid.to_string()).unwrap_or_default()
            ));
        }
        let wanted: Vec<_> = card
            .profiles
            .iter()
            .map(|profile| (iccid_of(&profile.profile), profile.state, profile.nickname.clone().unwrap_or_default()))
            .collect();
        let there: Vec<_> = self
            .found
            .profiles
            .iter()
            .map(|profile| {
                (profile.iccid, profile.state.unwrap_or(ProfileState::Disabled), nickname(profile).to_owned())
            })
            .collect();
        let unchanged =
            scenario.expect.profiles.as_ref().is_none_or(|expected| expected.value.len() == card.profiles.len());
        let looks = is_about(
            scenario,
            &PROFILE_WORDS,
            |operation| !matches!(operation, Operation::Info),
            |expect| expect.notifications.as_ref().is_some_and(|expected| !expected.value.is_empty()),
        );
        if wanted != there && (looks || !unchanged || !card.profiles.is_empty()) {
            let names: Vec<&str> = card.profiles.iter().map(|profile| profile.profile.as_str()).collect();
            let begins = if names.is_empty() { "no profile".to_owned() } else { names.join(", ") };
            return Some(format!("it begins with {begins} on the card, and on this one there are {}", there.len()));
        }
        let address = card.default_smdp.as_ref().map(ToString::to_string).unwrap_or_default();
        if address != self.found.default_smdp
            && is_about(scenario, &["DEF_SVR_ADDR\""], uses_default_address, |expect| expect.default_smdp.is_some())
        {
            return Some(format!(
                "it begins with the default SM-DP+ address {address:?}, this card has {:?}",
                self.found.default_smdp
            ));
        }
        None
    }
}

/// What a command or its answer has in it when it is about the profiles on the card.
const PROFILE_WORDS: [&str; 9] = [
    "\"PROFILE",
    "_PROFILE",
    "\"ENABLE\"",
    "\"DISABLE\"",
    "\"DELETE\"",
    "\"DOWNLOAD\"",
    "NICKNAME",
    "QCCID",
    "${iccid.",
];

fn uses_default_address(operation: &Operation) -> bool {
    match operation {
        Operation::Download { activation_code, .. } => activation_code.to_string() == DEFAULT_ADDRESS,
        Operation::DefaultAddress(_) => true,
        _ => false,
    }
}

/// Whether a scenario says or expects something of this kind.
fn is_about(
    scenario: &Scenario,
    words: &[&str],
    operations: impl Fn(&Operation) -> bool,
    expects: impl Fn(&Expect) -> bool,
) -> bool {
    let mut is = expects(&scenario.expect);
    Step::each(&scenario.steps, &mut |step| {
        is |= match &step.action {
            StepAction::At { command, reply, .. } => {
                let text = command.to_string().to_uppercase();
                let tells = |word: &str| reply.iter().flatten().any(|line| line.to_string().contains(word));
                words.iter().any(|word| (text.contains(word) && !text.ends_with("=?")) || tells(word))
            }
            StepAction::Lpa { operation, .. } => operations(operation),
            _ => false,
        };
    });
    is
}

fn iccid_of(profile: &str) -> Option<Iccid> {
    built_in_named(profile).and_then(|spec| Iccid::parse(&spec.iccid).ok())
}

/// One command at a terminal, and its answer.
async fn ask(tty: &Path, command: &str) -> io::Result<Vec<String>> {
    let patience = std::time::Duration::from_secs(10);
    let answer = async { AtPort::open(tty)?.command(command, None).await };
    tokio::time::timeout(patience, answer)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("{command} was not answered"))))
}

fn first_line(answer: &[String]) -> String {
    answer.iter().find(|line| line.as_str() != "OK").cloned().unwrap_or_else(|| "an unknown modem".to_owned())
}

/// How many logical channels the card still gives out. They are opened and closed again.
async fn free_channels(tty: &Path) -> Option<usize> {
    let mut opened = Vec::new();
    let mut known = false;
    while opened.len() < MOST_CHANNELS {
        let answer = ask(tty, "AT+CSIM=10,\"0070000001\"").await.ok()?;
        let data = answer.iter().find_map(|line| line.strip_prefix("+CSIM:")?.split('"').nth(1).map(str::to_owned));
        let Some(data) = data else { break };
        known = true;
        match data.strip_suffix("9000").and_then(|channel| u8::from_str_radix(channel, 16).ok()) {
            Some(channel) => opened.push(channel),
            None => break,
        }
    }
    for channel in &opened {
        // TS 102 221 §11.1.17: closing, from the basic channel.
        let _ = ask(tty, &format!("AT+CSIM=10,\"007080{channel:02X}00\"")).await;
    }
    known.then_some(opened.len())
}

/// What is set up for one scenario.
pub struct BenchStage {
    bench: Arc<Bench>,
    /// The terminals of the relay.
    ttys: Vec<PathBuf>,
    relays: Mutex<Vec<JoinHandle<()>>>,
    /// The server, where the scenario needs one. Its modem and its card are not used.
    server: Option<Lab>,
    /// What the scenario has at a real server, and the file with the certificates under which that is trusted.
    real: Option<(AtServer, PathBuf)>,
    /// Where that file is.
    _folder: Option<tempfile::TempDir>,
    /// Whether the scenario begins without a profile on the card.
    begins_empty: bool,
    timeline: Timeline,
}

impl Target for Arc<Bench> {
    type Stage = BenchStage;

    async fn set_up(&self, loaded: &LoadedScenario, seed: u64) -> Result<BenchStage, SetUpError> {
        let failed = |error: io::Error| SetUpError::Failed(format!("the modem: {error}"));
        let server = match &self.pki {
            Some(pki) if self.server.is_none() => {
                let mut own = loaded.clone();
                own.scenario.pki_folder = Some(std::path::absolute(pki).map_err(failed)?.display().to_string());
                own.scenario.card = Card { eid: Some(self.found.eid), ..Card::default() };
                Some(Emulation { record_traffic: self.record_traffic }.set_up(&own, seed).await?)
            }
            _ => None,
        };
        let timeline = server.as_ref().map_or_else(Timeline::new, |lab| lab.timeline().clone());
        let (mut real, mut folder) = (None, None);
        if let Some(server) = &self.server {
            let own = Nest::of_process().and_then(|nest| nest.folder("bench-")).map_err(failed)?;
            let ci = own.path().join("ci.pem");
            std::fs::write(&ci, &server.trust).map_err(failed)?;
            real = Some((AtServer::new(server.place(&loaded.scenario, self.found.eid, &timeline).await?), ci));
            folder = Some(own);
        }
        // Settings that a scenario before has left behind, as far as they are not stored (V.250 §6.1.1).
        ask(&self.ttys[0], "ATZ").await.map_err(failed)?;
        let mut ttys = Vec::new();
        let mut relays = Vec::new();
        for (port, tty) in self.ttys.iter().enumerate() {
            let modem = Line::open(tty).map_err(failed)?;
            let (host, path) = Line::pseudo().map_err(failed)?;
            ttys.push(path);
            relays.push(tokio::spawn(relay(port, host, modem, timeline.clone())));
        }
        let (bench, begins_empty) = (Arc::clone(self), loaded.scenario.card.profiles.is_empty());
        Ok(BenchStage {
            bench,
            ttys,
            relays: Mutex::new(relays),
            server,
            real,
            _folder: folder,
            begins_empty,
            timeline,
        })
    }
}

/// Passes on what goes over a port, and writes it into the timeline.
async fn relay(port: usize, host: Line, modem: Line, timeline: Timeline) {
    let mut splitter = Splitter::default();
    let (mut from_host, mut from_modem) = ([0; 4096], [0; 4096]);
    let mut note = |direction, bytes: &[u8]| {
        for (direction, line) in splitter.take(direction, bytes) {
            timeline.at(port, direction, String::from_utf8_lossy(&line));
        }
    };
    loop {
        let passed = tokio::select! {
            count = host.read(&mut from_host) => match count {
                Ok(count) => {
                    note(Direction::Command, &from_host[..count]);
                    modem.write(&from_host[..count]).await
                }
                Err(error) => Err(error),
            },
            count = modem.read(&mut from_modem) => match count {
                Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the modem has gone")),
                Ok(count) => {
                    note(Direction::Response, &from_modem[..count]);
                    host.write(&from_modem[..count]).await
                }
                Err(error) => Err(error),
            },
        };
        if let Err(error) = passed {
            timeline.note(Role::Modem, "the line is gone", [("problem", error.to_string())]);
            return;
        }
    }
}

impl BenchStage {
    /// What is on the card now. It answers over a terminal: the other tasks, the relay among them, go on meanwhile.
    fn card(&self) -> Result<CardState, HardwareError> {
        tokio::task::block_in_place(|| CardState::read(self.tty()))
    }

    /// The profiles that were not there when the card was found.
    fn new_profiles(&self) -> Vec<ProfileInfo> {
        let known = |profile: &ProfileInfo| self.bench.found.profiles.iter().any(|old| old.iccid == profile.iccid);
        let now = self.card().map(|card| card.profiles).unwrap_or_default();
        now.into_iter().filter(|profile| !known(profile)).collect()
    }

    fn relays(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.relays.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for BenchStage {
    fn drop(&mut self) {
        self.relays().iter().for_each(JoinHandle::abort);
    }
}

impl Stage for BenchStage {
    fn traffic(&self) -> Option<Recording> {
        self.server.as_ref().and_then(Lab::traffic)
    }

    fn tty(&self) -> &Path {
        self.ttys.first().map_or(Path::new(""), PathBuf::as_path)
    }

    fn eid(&self) -> Eid {
        self.bench.found.eid
    }

    fn smdp_address(&self) -> String {
        match (&self.bench.server, &self.server) {
            (Some(real), _) => real.address().to_owned(),
            (None, Some(lab)) => lab.smdp_address().to_owned(),
            (None, None) => String::new(),
        }
    }

    fn ci_file(&self) -> &Path {
        if let Some((_, file)) = &self.real {
            return file;
        }
        // Without a server there is nothing to be trusted.
        self.server.as_ref().map_or(Path::new("/dev/null"), |lab| lab.ci_file())
    }

    fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    fn iccid_of(&self, profile: &str) -> Option<Iccid> {
        let Some((real, _)) = &self.real else { return iccid_of(profile) };
        real.iccid_of(profile, || self.new_profiles().iter().filter_map(|profile| profile.iccid).collect())
    }

    fn names_of(&self, profile: &str) -> Option<ProfileNames> {
        let Some((real, _)) = &self.real else { return built_in_names(profile) };
        let iccid = self.iccid_of(profile)?;
        real.names_of(profile, || {
            let known = self.new_profiles().into_iter().find(|known| known.iccid == Some(iccid))?;
            Some(ProfileNames {
                name: known.profile_name.unwrap_or_default(),
                provider: known.service_provider_name.unwrap_or_default(),
            })
        })
    }

    fn adapted(&self, text: String) -> String {
        match &self.real {
            Some((real, _)) => real.adapted(text),
            None => text,
        }
    }

    fn sees_requests(&self) -> bool {
        self.real.is_none()
    }

    fn unseen(&self, expect: &mut Expect) -> Vec<String> {
        let mut unseen = self.real.as_ref().map(|(real, _)| real.unseen(expect)).unwrap_or_default();
        let found = &self.bench.found;
        // That nothing has changed is seen when the card is put back.
        if !found.profiles.is_empty() && self.begins_empty && expect.profiles.take().is_some() {
            unseen.push("the profiles on the card, which had others before".to_owned());
        }
        if !found.notifications.is_empty() && expect.notifications.take().is_some() {
            unseen.push("the notifications on the card, which had others before".to_owned());
        }
        if self.bench.channels.is_none() && expect.open_channels.take().is_some() {
            unseen.push("the logical channels, of which this modem does not tell".to_owned());
        }
        unseen
    }

    async fn act(&self, act: Act) -> Result<(), SetUpError> {
        match (act, &self.real) {
            (Act::Server(action), Some((real, _))) => real.act(&action).await,
            (act, _) => Err(SetUpError::Cannot(format!("{act} cannot be done here"))),
        }
    }

    fn tty_of(&self, port: usize) -> Option<PathBuf> {
        self.ttys.get(port).cloned()
    }

    fn observe(&self) -> Observed {
        let mut observed = self.server.as_ref().map(Stage::observe).unwrap_or_default();
        let tty = self.tty().to_owned();
        // The card answers over a terminal: the other tasks, the relay among them, go on meanwhile.
        let (card, channels) = tokio::task::block_in_place(|| {
            let card = CardState::read(&tty);
            (card, tokio::runtime::Handle::current().block_on(free_channels(&tty)))
        });
        observed.open_channels = match (self.bench.channels, channels) {
            (Some(before), Some(now)) => before.saturating_sub(now),
            _ => 0,
        };
        match card {
            Err(error) => self.timeline.note(Role::Card, "the card cannot be read", [("problem", error.to_string())]),
            Ok(card) => {
                observed.profiles = card
                    .profiles
                    .iter()
                    .filter_map(|profile| {
                        Some(SeenProfile {
                            iccid: profile.iccid?,
                            state: profile.state.unwrap_or(ProfileState::Disabled),
                            nickname: nickname(profile).to_owned(),
                        })
                    })
                    .collect();
                observed.notifications = card
                    .notifications
                    .iter()
                    .map(|notification| SeenNotification { event: notification.event(), iccid: notification.iccid })
                    .collect();
                observed.default_smdp = card.default_smdp;
            }
        }
        observed
    }

    async fn finish(&self) -> Result<(), String> {
        // Two who read from one terminal take each other's answers.
        for relay in self.relays() {
            relay.abort();
            let _ = relay.await;
        }
        let Some((real, _)) = &self.real else { return self.bench.put_back().await };
        let tty = self.bench.ttys.first().cloned().unwrap_or_default();
        let now = tokio::task::block_in_place(|| CardState::read(&tty));
        let installed: Vec<Iccid> = now.iter().flat_map(|card| &card.profiles).filter_map(|one| one.iccid).collect();
        let card = self.bench.put_back().await;
        let orders = real.take_back(&installed).await;
        match (card, orders) {
            (Err(card), Err(orders)) => Err(format!("{card}; {orders}")),
            (card, orders) => card.and(orders),
        }
    }
}
