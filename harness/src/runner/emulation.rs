//! Scenarios on the emulation: each in a lab of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use euicc::spec::CardSpec;
use modem::Model;
use rsp::es10::profiles::ProfileState;
use rsp::ids::{Eid, Iccid};
use rsp::tlv::NamedBits;
use smdp::profile::{PackageNames, PolicyRule, Profile, built_in_named};
use smdp::{OrderSpec, OrderState};

use super::check::{Observed, SeenNotification, SeenProfile};
use super::{Act, SetUpError, Stage, Target};
use crate::lab::{DEFAULT_EID, Dead, Lab, LabBuilder, Preinstalled, system_time};
use crate::scenario::ast::{
    AddressFault, CardAction, Fault, ModemAction, NetworkAction, Order, ProfileSource, ServerAction, Step, StepAction,
    Template, Variable,
};
use crate::scenario::load::LoadedScenario;
use crate::timeline::Timeline;
use crate::traffic::Recording;

/// The emulated modem, card and server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Emulation {
    /// Whether the bytes of the connections to the server are recorded, for a packet capture.
    pub record_traffic: bool,
}

impl Target for Emulation {
    type Stage = Lab;

    async fn set_up(&self, loaded: &LoadedScenario, seed: u64) -> Result<Lab, SetUpError> {
        let scenario = &loaded.scenario;
        let eid = match scenario.card.eid {
            Some(eid) => eid,
            None => Eid::parse(DEFAULT_EID).map_err(failed)?,
        };
        let mut builder = lab_without_server(loaded, seed)?.eid(eid).listen(address_of(seed));
        if self.record_traffic {
            builder = builder.record_traffic();
        }
        if let Some(folder) = &scenario.pki_folder {
            let pki = pki::Pki::load(&beside(loaded, folder), system_time()).map_err(failed)?;
            builder = builder.pki(pki);
        }
        if let Some(start) = scenario.clock {
            let begun = Instant::now();
            builder = builder.clock(Arc::new(move || {
                start.saturating_add(i64::try_from(begun.elapsed().as_secs()).unwrap_or(i64::MAX))
            }));
        }
        for wanted in &scenario.orders {
            builder = builder.order(order(wanted, loaded, eid, scenario.clock.unwrap_or_else(system_time))?);
        }
        for fault in &scenario.faults {
            builder = match fault {
                Fault::Unresolvable => builder.unresolvable(),
                Fault::Address(AddressFault::BlackHole) => builder.dead_address(Dead::BlackHole),
                Fault::Address(AddressFault::Refused | AddressFault::NothingListens) => {
                    builder.dead_address(Dead::Refusing)
                }
                Fault::Server(fault) => builder.fault(fault.clone()),
                Fault::Line(..) | Fault::Card(..) => builder,
            };
        }
        if let Some(name) = &scenario.smdp_name {
            builder = builder.server_name(name.clone());
        }
        let lab = builder.start().map_err(failed)?;
        // Nothing in the lab can see a name being looked up, or a connection that is not made: it is told beforehand.
        for fault in &scenario.faults {
            let address = lab.smdp_address();
            match fault {
                Fault::Unresolvable => lab.timeline().fault("name", format!("{address} does not resolve")),
                Fault::Address(AddressFault::NothingListens) => {
                    lab.timeline().fault("name", format!("{address} resolves, and nobody listens there"));
                }
                Fault::Address(AddressFault::Refused) => {
                    lab.timeline().fault("tcp", format!("{address} refuses connections"));
                }
                Fault::Address(AddressFault::BlackHole) => {
                    lab.timeline().fault("tcp", format!("nothing comes back from {address}"));
                }
                Fault::Server(_) | Fault::Line(..) | Fault::Card(..) => {}
            }
        }
        Ok(lab)
    }
}

/// Modem, card and network as a scenario has them at the start, and what goes wrong with them.
pub(crate) fn lab_without_server(loaded: &LoadedScenario, seed: u64) -> Result<LabBuilder, SetUpError> {
    let scenario = &loaded.scenario;
    let mut builder = card(Lab::builder().seed(seed).model(model(loaded)?).curve(scenario.curve), loaded)?;
    if let Some(network) = &scenario.network {
        builder = builder.network(network.clone());
    }
    for fault in &scenario.faults {
        builder = match fault {
            Fault::Line(fault, trigger) => builder.line_fault(fault.clone(), trigger.clone()),
            Fault::Card(fault, trigger) => builder.card_fault(*fault, trigger.clone()),
            Fault::Unresolvable | Fault::Address(_) | Fault::Server(_) => builder,
        };
    }
    if scenario.steps.iter().any(cuts_power) {
        builder = builder.terminals_come_and_go();
    }
    Ok(builder)
}

fn cuts_power(step: &Step) -> bool {
    match &step.action {
        StepAction::Modem(ModemAction::PowerCut) => true,
        StepAction::Parallel(steps) => steps.iter().any(cuts_power),
        _ => false,
    }
}

/// An address of loopback that follows from the seed, so that everything that names it is the same each time. All of
/// 127.0.0.0/8 is loopback on Linux: another lab has another address, and the ports of this one are free.
fn address_of(seed: u64) -> SocketAddr {
    let [_, a, b, c, d, e, ..] = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
    // 127.0.0.0/16 is left to those who ask for an address of their own.
    let ip = Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254));
    SocketAddr::from((ip, 20_000 + (u16::from_be_bytes([d, e]) % 10_000)))
}

/// A file that a scenario names.
fn beside(loaded: &LoadedScenario, file: &str) -> PathBuf {
    loaded.path.parent().unwrap_or(Path::new("")).join(file)
}

fn model(loaded: &LoadedScenario) -> Result<Model, SetUpError> {
    let scenario = &loaded.scenario;
    let mut model = match &scenario.model_file {
        None => Model::named(&scenario.model).map_err(failed)?,
        Some(file) => {
            let path = beside(loaded, file);
            let text = fs::read_to_string(&path)
                .map_err(|error| SetUpError::Failed(format!("the model {}: {error}", path.display())))?;
            Model::from_toml(&text).map_err(failed)?
        }
    };
    if let Some(ports) = scenario.ports {
        model.ports.at = ports;
    }
    Ok(model)
}

fn card(mut builder: LabBuilder, loaded: &LoadedScenario) -> Result<LabBuilder, SetUpError> {
    let card = &loaded.scenario.card;
    let mut spec = match (&card.kind, &card.file) {
        (_, Some(file)) => {
            let path = beside(loaded, file);
            let text = fs::read_to_string(&path)
                .map_err(|error| SetUpError::Failed(format!("the card {}: {error}", path.display())))?;
            Some(CardSpec::from_toml(&text).map_err(failed)?)
        }
        (Some(kind), None) => Some(CardSpec::named(kind).map_err(failed)?),
        (None, None) => None,
    };
    if !card.ci.is_empty() {
        let own = spec.get_or_insert(CardSpec::named("consumer").map_err(failed)?);
        own.ci.clone_from(&card.ci);
    }
    if let Some(spec) = spec {
        builder = builder.card(spec);
    }
    for wanted in &card.profiles {
        builder = builder.profile(Preinstalled {
            profile: built_in(&wanted.profile, &wanted.rules)?,
            enabled: wanted.state == ProfileState::Enabled,
            nickname: wanted.nickname.clone(),
        });
    }
    if !card.present {
        builder = builder.without_card();
    }
    if let Some(bytes) = card.free_memory {
        builder = builder.free_memory(bytes);
    }
    if let Some(address) = &card.default_smdp {
        builder = builder.default_address(address.clone());
    }
    if !card.forbidden_rules.is_empty() {
        let bits = NamedBits::of(&card.forbidden_rules.iter().map(|rule| rule_bit(*rule)).collect::<Vec<_>>());
        builder = builder.change_card(move |config| config.forbidden_pprs = bits);
    }
    Ok(builder.card_certificate(card.certificate))
}

/// The bit of a profile policy rule in `PprIds` (SGP.22 v2.5 §2.9.1).
fn rule_bit(rule: PolicyRule) -> u8 {
    match rule {
        PolicyRule::NoDisable => 1,
        PolicyRule::NoDelete => 2,
    }
}

fn failed(error: impl std::fmt::Display) -> SetUpError {
    SetUpError::Failed(error.to_string())
}

fn built_in(name: &str, rules: &[PolicyRule]) -> Result<Profile, SetUpError> {
    let spec = built_in_named(name).ok_or_else(|| SetUpError::Failed(format!("there is no profile {name:?}")))?;
    Profile::build(&smdp::ProfileSpec { policy: rules.to_vec(), ..spec }).map_err(failed)
}

fn order(order: &Order, loaded: &LoadedScenario, eid: Eid, now: i64) -> Result<OrderSpec, SetUpError> {
    let profile = match &order.profile {
        ProfileSource::BuiltIn(name) => built_in(name, &order.rules)?,
        ProfileSource::Package(file) => {
            let path = beside(loaded, file);
            let package = fs::read(&path)
                .map_err(|error| SetUpError::Failed(format!("the profile package {}: {error}", path.display())))?;
            Profile::from_package(&package, &PackageNames::default()).map_err(failed)?
        }
    };
    let eid = match &order.eid {
        None => None,
        Some(template) => Some(Eid::parse(&fill_eid(template, eid)).map_err(failed)?),
    };
    Ok(OrderSpec {
        matching_id: order.matching_id.clone(),
        eid,
        profile,
        confirmation_code: order.confirmation_code.clone(),
        state: order.state,
        replace_session_keys: Some(order.replace_session_keys),
        expires: order.expires.map(|after| now.saturating_add(i64::try_from(after.as_secs()).unwrap_or(i64::MAX))),
        max_attempts: order.attempts,
        owner: None,
        profile_type: None,
        requires: Vec::new(),
        smds: None,
    })
}

/// An EID in which `${eid}` stands for that of the card; other variables make no EID.
fn fill_eid(template: &Template, eid: Eid) -> String {
    template.fill(|variable| match variable {
        Variable::Eid => eid.to_string(),
        _ => String::new(),
    })
}

impl Stage for Lab {
    fn traffic(&self) -> Option<Recording> {
        self.traffic()
    }

    fn tty(&self) -> &Path {
        self.tty()
    }

    fn eid(&self) -> Eid {
        self.eid()
    }

    fn smdp_address(&self) -> String {
        self.smdp_address().to_owned()
    }

    fn ci_file(&self) -> &Path {
        self.ci_file()
    }

    fn timeline(&self) -> &Timeline {
        self.timeline()
    }

    fn iccid_of(&self, profile: &str) -> Option<Iccid> {
        built_in_named(profile).and_then(|spec| Iccid::parse(&spec.iccid).ok())
    }

    fn observe(&self) -> Observed {
        let profiles = self.profiles().into_iter().map(|profile| SeenProfile {
            iccid: profile.iccid,
            state: profile.state,
            nickname: profile.nickname.unwrap_or_default(),
        });
        let notifications = self.notifications().into_iter().map(|notification| SeenNotification {
            event: notification.metadata.event(),
            iccid: notification.metadata.iccid,
        });
        let orders = self.orders().into_iter().filter_map(|order| Some((order.matching_id?, order.state.to_string())));
        Observed {
            profiles: profiles.collect(),
            notifications: notifications.collect(),
            open_channels: self.open_channels(),
            orders: orders.collect(),
            default_smdp: self.default_smdp().unwrap_or_default(),
            open_sessions: self.open_sessions(),
            network: Some(self.console().device()),
            ..Observed::default()
        }
    }

    fn resolve(&self) -> Option<String> {
        self.resolve()
    }

    fn tty_of(&self, port: usize) -> Option<PathBuf> {
        self.ttys().get(port).cloned()
    }

    async fn act(&self, act: Act) -> Result<(), SetUpError> {
        let no_order = |id: &str| SetUpError::Failed(format!("the server has no order {id}"));
        match act {
            Act::Card(CardAction::Remove) => self.remove_card(),
            Act::Card(CardAction::Insert) => self.insert_card(),
            Act::Modem(ModemAction::Reset) => self.reset_modem(),
            Act::Modem(ModemAction::PowerCut) => self.cut_power().map_err(failed)?,
            Act::Clock(duration) => self.advance_clock(duration),
            Act::Network(NetworkAction::Change(change)) => self.console().change(&change).map_err(failed)?,
            Act::Network(NetworkAction::Sms { from, text }) => {
                self.console().send_message(&from, &text).map_err(failed)?;
            }
            Act::Network(NetworkAction::Wake) => self.console().wake(),
            Act::Server(ServerAction::Stop) => self.stop_server().await,
            Act::Server(ServerAction::Start) => self.start_server().map_err(failed)?,
            Act::Server(ServerAction::Release(id)) => {
                let moved = self.move_order(&id, OrderState::Released, "released by the operator");
                moved.then_some(()).ok_or_else(|| no_order(&id))?;
            }
            Act::Server(ServerAction::Cancel(id)) => {
                let moved = self.move_order(&id, OrderState::Unavailable, "cancelled by the operator");
                moved.then_some(()).ok_or_else(|| no_order(&id))?;
            }
            Act::Server(ServerAction::Expire(id)) => {
                self.expire_order(&id).then_some(()).ok_or_else(|| no_order(&id))?;
            }
        }
        Ok(())
    }
}
