//! The non-volatile memory of a module (NVM): what it keeps over a restart, as a text that a person can read.
//!
//! ```text
//! State, ports -> Nvm::of -> text -> NvmStore          after everything that may have changed it
//!          text -> Nvm::parse -> Modem::with_nvm       when the module starts
//! ```
//!
//! It holds what the maker's documents call "saved automatically" (eSIM LPA AN 1.1 §2.3; the AT Commands Manuals of the
//! RG and RM series for `+QURCCFG`, `+QCFG`, `+QNWPREFCFG`, `+QSIMSTAT`, `+QSIMDET`, `+QUIMSLOT`, `+CTZU`, `+CTZR`,
//! `+CPMS`, `+CSCA`, `+CNMI`, `+COPS`), what is saved on request (`AT&W`, `+QINDCFG` with `<savetonvram>`, `+UCGDFLT` with
//! `<nv>`), definitions of packet data contexts, power saving, and the stores in the module: its phone book, its messages.
//! What the documents call "not saved", all of `+QSSLCFG` above all, is not in it, nor is what the card keeps.
//!
//! A restart within the life of a modem leaves the same: [`State::shut_down`] and this module belong together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::charset::Charset;
use crate::commands::{INDICATIONS, QcfgSetting, preferences};
use crate::model::{Model, UrcPort};
use crate::network::power::AccessType;
use crate::network::timers::{ActiveTimer, Cycle, PeriodicTimer};
use crate::network::{Selection, Technology};
use crate::pdp::{Authentication, CONTEXTS, Credentials, PdpType};
use crate::phonebook::Entry;
use crate::port::Port;
use crate::settings::{REGISTERS, Settings};
use crate::sms::pdu::Address;
use crate::sms::{Place, Status, Stored};
use crate::state::State;

/// The version of the text that this program reads and writes.
const FORMAT: u32 = 1;

/// Where the memory of a module is kept beyond the life of a modem.
pub trait NvmStore: Send {
    /// This is what the memory holds now, in the place of what it held before. It is called before the response of the
    /// command that has changed it goes out, and must leave either the old text or the new one, whatever happens.
    fn save(&mut self, text: &str);
}

/// Why a text is not the memory of a module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NvmError {
    /// It does not say what it should. The text names line and column.
    #[error(
        "this is not the memory of a module, or it is damaged:\n{0}\nmove the file away, and the module starts as it left the factory"
    )]
    Damaged(String),
    /// Another program has written it.
    #[error(
        "the memory of the module has format {0}; this program knows format {FORMAT}. Use the program that has written it, or move the file away, and the module starts as it left the factory"
    )]
    Version(i64),
    /// It is that of another module.
    #[error("this is the memory of {found:?}, and the module is {wanted:?}")]
    Model {
        /// Whose memory it is.
        found: String,
        /// Which module it was read for.
        wanted: String,
    },
    /// A value that the module cannot have.
    #[error("in the memory of the module, {key}: {reason}")]
    Value {
        /// Where it stands.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a module keeps over a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nvm {
    format: u32,
    model: String,
    lpa_enable: bool,
    urc_port: UrcPort,
    sim_slot: u8,
    sim_status: bool,
    sim_detection: (u8, u8),
    time_zone_update: u8,
    time_zone_report: u8,
    network_kind: u8,
    search_after_refusal: u8,
    /// What `AT&W` has stored of +CREG, +CGREG and +CEREG.
    registration_reports: [u8; 3],
    operator: Operator,
    initial_bearer: InitialBearer,
    power_saving: PowerSaving,
    sms: Sms,
    qindcfg: BTreeMap<String, bool>,
    qcfg: BTreeMap<String, String>,
    qnwprefcfg: BTreeMap<String, String>,
    /// What `AT&W` has stored, port by port.
    profile: Vec<Profile>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    context: Vec<ContextEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    phone_book: Vec<BookEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    message: Vec<MessageEntry>,
}

/// `+COPS`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Operator {
    selection: SelectionMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    plmn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    technology: Option<Technology>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SelectionMode {
    Automatic,
    Manual,
    ManualThenAutomatic,
    Deregistered,
}

/// `+UCGDFLT` with `<nv>` 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InitialBearer {
    #[serde(rename = "type")]
    kind: String,
    apn: String,
}

/// `+CPSMS`, `+CEDRXS`: what is asked for, in the bits of the commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PowerSaving {
    psm: bool,
    periodic_tau: String,
    active_time: String,
    edrx: u8,
    edrx_wide_band: String,
    edrx_narrow_band: String,
}

/// `+CPMS`, `+CNMI`, `+CSCA` of a card that does not keep it, and the reference of the next message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sms {
    stores: [String; 3],
    indications: [u8; 5],
    centre: String,
    reference: u8,
}

/// The settings of a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    echo: bool,
    quiet: bool,
    verbose: bool,
    progress: u8,
    carrier_detect: u8,
    terminal_ready: u8,
    cmee: u8,
    charset: String,
    flow_control: (u8, u8),
    framing: (u8, u8),
    rate: u32,
    registers: BTreeMap<String, u8>,
}

/// `+CGDCONT`, `+CGAUTH`, `+QICSGP`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContextEntry {
    cid: u8,
    #[serde(rename = "type")]
    kind: String,
    apn: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    authentication: u8,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    password: String,
}

/// An entry of the phone book `ME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BookEntry {
    index: usize,
    number: String,
    #[serde(rename = "type")]
    kind: u8,
    name: String,
}

/// A message in `ME` or `SR`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageEntry {
    store: String,
    index: usize,
    status: String,
    pdu: String,
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}

fn wrong(key: impl Into<String>, reason: impl Into<String>) -> NvmError {
    NvmError::Value { key: key.into(), reason: reason.into() }
}

/// Something must hold of a value.
fn ensure(holds: bool, key: impl Into<String>, reason: impl Into<String>) -> Result<(), NvmError> {
    if holds { Ok(()) } else { Err(wrong(key, reason)) }
}

impl Nvm {
    /// Reads what an [`NvmStore`] was given for a module of this model.
    pub fn parse(text: &str, model: &Model) -> Result<Self, NvmError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| NvmError::Damaged(error.to_string()))?;
        match table.get("format").and_then(toml::Value::as_integer) {
            Some(format) if format == i64::from(FORMAT) => {}
            Some(format) => return Err(NvmError::Version(format)),
            None => return Err(NvmError::Damaged("it does not say which format it has".to_owned())),
        }
        let nvm: Nvm = toml::from_str(text).map_err(|error| NvmError::Damaged(error.to_string()))?;
        if nvm.model != model.identity.model {
            return Err(NvmError::Model { found: nvm.model, wanted: model.identity.model.clone() });
        }
        // What can be read into the state of such a modem can be read.
        nvm.restore(model)?;
        Ok(nvm)
    }

    /// The text for an [`NvmStore`].
    pub fn to_text(&self) -> String {
        let heading = format!(
            "# The non-volatile memory of {}: what it keeps over a restart. The module writes this file.\n",
            self.model
        );
        // There is nothing in it that TOML cannot say.
        heading + &toml::to_string(self).unwrap_or_default()
    }

    /// What a modem keeps.
    pub(crate) fn of(state: &State, ports: &[Port]) -> Self {
        let State { options, network, messages, pdp, phone_book, .. } = state;
        let power = &network.power;
        let (selection, plmn, technology) = match &network.selection {
            Selection::Automatic => (SelectionMode::Automatic, None, None),
            Selection::Manual(plmn, technology) => (SelectionMode::Manual, Some(plmn.clone()), *technology),
            Selection::Either(plmn, technology) => {
                (SelectionMode::ManualThenAutomatic, Some(plmn.clone()), *technology)
            }
            Selection::Deregistered => (SelectionMode::Deregistered, None, None),
        };
        let cycle = |access: AccessType| {
            power.cycles.iter().find(|(known, _)| *known == access).map_or(Cycle::USUAL, |(_, cycle)| *cycle).bits()
        };
        let (kind, apn) = options.saved_bearer.clone();
        let configuration = options.configuration.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let radio = options.radio.iter().map(|(setting, value)| (setting.name().to_owned(), value.to_string()));
        Nvm {
            format: FORMAT,
            model: state.model.identity.model.clone(),
            lpa_enable: state.lpa_enabled,
            urc_port: options.urc_port,
            sim_slot: options.slot,
            sim_status: options.card_status,
            sim_detection: options.card_detection,
            time_zone_update: options.zone_update,
            time_zone_report: options.zone_report,
            network_kind: options.network_kind,
            search_after_refusal: options.search_after_refusal,
            registration_reports: options.stored_reports,
            operator: Operator { selection, plmn, technology },
            initial_bearer: InitialBearer { kind: kind.to_owned(), apn },
            power_saving: PowerSaving {
                psm: power.psm,
                periodic_tau: power.periodic.bits(),
                active_time: power.active.bits(),
                edrx: power.edrx,
                edrx_wide_band: cycle(AccessType::WIDE),
                edrx_narrow_band: cycle(AccessType::NARROW),
            },
            sms: Sms {
                stores: messages.places.map(|place| place.name().to_owned()),
                indications: messages.indications,
                centre: messages.centre.clone(),
                reference: messages.reference(),
            },
            qindcfg: options.saved_indications.iter().map(|(name, on)| ((*name).to_owned(), *on)).collect(),
            qcfg: configuration.chain(radio).collect(),
            qnwprefcfg: options.preferences.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            profile: ports.iter().map(|port| Profile::of(&port.stored)).collect(),
            context: pdp
                .all()
                .map(|(cid, context)| ContextEntry {
                    cid,
                    kind: context.kind.name().to_owned(),
                    apn: context.apn.clone(),
                    authentication: context.credentials.method as u8,
                    user: context.credentials.user.clone(),
                    password: context.credentials.password.clone(),
                })
                .collect(),
            phone_book: phone_book
                .equipment()
                .map(|Entry { index, number, kind, name }| BookEntry {
                    index: *index,
                    number: number.clone(),
                    kind: *kind,
                    name: name.clone(),
                })
                .collect(),
            message: [Place::Equipment, Place::Reports]
                .into_iter()
                .flat_map(|place| messages.kept(place).map(move |(index, stored)| (place, index, stored)))
                .map(|(place, index, Stored { status, pdu })| MessageEntry {
                    store: place.name().to_owned(),
                    index,
                    status: status.text().to_owned(),
                    pdu: rsp::ids::to_hex(pdu),
                })
                .collect(),
        }
    }

    /// Everything as the types of the modem have it.
    fn restore(&self, model: &Model) -> Result<Restored, NvmError> {
        let count = model.ports.at;
        ensure(
            self.profile.len() == count,
            "profile",
            format!("there are {}, and the module has {count} ports", self.profile.len()),
        )?;
        let profiles = self
            .profile
            .iter()
            .enumerate()
            .map(|(port, profile)| profile.settings(model).map_err(|error| in_entry("profile", port, error)))
            .collect::<Result<_, _>>()?;
        ensure(matches!(self.sim_slot, 1 | 2), "sim_slot", "1 or 2")?;
        ensure(self.sim_detection.0 <= 1 && self.sim_detection.1 <= 1, "sim_detection", "0 or 1 each")?;
        ensure(matches!(self.time_zone_update, 0 | 1 | 3), "time_zone_update", "0, 1 or 3")?;
        ensure(self.time_zone_report <= 2, "time_zone_report", "0 to 2")?;
        ensure(matches!(self.network_kind, 22 | 28 | 30 | 31), "network_kind", "22, 28, 30 or 31")?;
        ensure(self.search_after_refusal <= 2, "search_after_refusal", "0 to 2")?;
        ensure(
            self.registration_reports.iter().all(|report| matches!(report, 0..=2 | 4)),
            "registration_reports",
            "0, 1, 2 or 4 each",
        )?;
        let bearers = ["IP", "IPV6", "IPV4V6", "NONIP"];
        let kind = bearers.into_iter().find(|known| *known == self.initial_bearer.kind);
        let kind = kind.ok_or_else(|| wrong("initial_bearer.type", format!("one of {}", bearers.join(", "))))?;
        ensure(self.initial_bearer.apn.len() <= 100, "initial_bearer.apn", "at most 100 characters")?;
        Ok(Restored {
            profiles,
            selection: self.operator.selection()?,
            bearer: (kind, self.initial_bearer.apn.clone()),
            power: self.power_saving.timers()?,
            places: self.sms.places()?,
            indications: named("qindcfg", &INDICATIONS, &self.qindcfg)?,
            configuration: QcfgSetting::ALL
                .iter()
                .map(|setting| match self.qcfg.get(setting.name) {
                    None => Ok((setting.name, setting.factory())),
                    Some(value) if setting.takes(value) => Ok((setting.name, value.clone())),
                    Some(value) => Err(wrong(format!("qcfg.{}", setting.name), format!("it cannot be {value:?}"))),
                })
                .collect::<Result<_, _>>()?,
            radio: self.radio(model)?,
            preferences: self.preferences()?,
            contexts: self
                .context
                .iter()
                .enumerate()
                .map(|(at, entry)| entry.context().map_err(|error| in_entry("context", at, error)))
                .collect::<Result<_, _>>()?,
            book: self
                .phone_book
                .iter()
                .enumerate()
                .map(|(at, entry)| entry.entry().map_err(|error| in_entry("phone_book", at, error)))
                .collect::<Result<_, _>>()?,
            messages: self
                .message
                .iter()
                .enumerate()
                .map(|(at, entry)| entry.message().map_err(|error| in_entry("message", at, error)))
                .collect::<Result<_, _>>()?,
        })
    }

    fn radio(&self, model: &Model) -> Result<Vec<(crate::radio::RadioSetting, u32)>, NvmError> {
        let is_known = |name: &str| {
            QcfgSetting::ALL.iter().any(|setting| setting.name == name)
                || model.radio.settings.iter().any(|setting| setting.name() == name)
        };
        if let Some(name) = self.qcfg.keys().find(|name| !is_known(name)) {
            return Err(wrong(format!("qcfg.{name}"), "the module has no such setting"));
        }
        let value = |setting: &crate::radio::RadioSetting| match self.qcfg.get(setting.name()) {
            None => Ok((*setting, setting.values()[0])),
            Some(text) => match text.parse().ok().filter(|value| setting.values().contains(value)) {
                Some(value) => Ok((*setting, value)),
                None => Err(wrong(format!("qcfg.{}", setting.name()), format!("one of {:?}", setting.values()))),
            },
        };
        model.radio.settings.iter().map(value).collect()
    }

    fn preferences(&self) -> Result<Vec<(&'static str, String)>, NvmError> {
        let known = preferences();
        if let Some(name) = self.qnwprefcfg.keys().find(|name| known.iter().all(|(known, _)| known != name)) {
            return Err(wrong(format!("qnwprefcfg.{name}"), "the module has no such setting"));
        }
        known
            .into_iter()
            .map(|(name, factory)| match self.qnwprefcfg.get(name) {
                None => Ok((name, factory)),
                Some(value) if crate::commands::is_preference(name, value) => Ok((name, value.clone())),
                Some(value) => Err(wrong(format!("qnwprefcfg.{name}"), format!("it cannot be {value:?}"))),
            })
            .collect()
    }

    /// Makes a modem that has just been made, and has not read its card, what this memory says. One that is not of the
    /// model that it was read for is left as it is.
    pub(crate) fn apply(&self, state: &mut State, ports: &mut [Port]) {
        let Ok(restored) = self.restore(&state.model) else { return };
        for (port, settings) in ports.iter_mut().zip(restored.profiles) {
            port.stored = settings.clone();
            port.settings = settings;
        }
        state.lpa_enabled = self.lpa_enable;
        state.lpa_enabled_at_restart = self.lpa_enable;
        let options = &mut state.options;
        options.urc_port = self.urc_port;
        options.slot = self.sim_slot;
        options.card_status = self.sim_status;
        options.card_detection = self.sim_detection;
        options.zone_update = self.time_zone_update;
        options.zone_report = self.time_zone_report;
        options.network_kind = self.network_kind;
        options.search_after_refusal = self.search_after_refusal;
        options.stored_reports = self.registration_reports;
        options.initial_bearer = restored.bearer.clone();
        options.saved_bearer = restored.bearer;
        options.indications = restored.indications.clone();
        options.saved_indications = restored.indications;
        options.configuration = restored.configuration;
        options.radio = restored.radio;
        options.search_order = crate::state::search_order(&restored.preferences);
        options.preferences = restored.preferences;
        let (periodic, active, wide, narrow) = restored.power;
        let power = &mut state.network.power;
        (power.psm, power.periodic, power.active, power.edrx) =
            (self.power_saving.psm, periodic, active, self.power_saving.edrx);
        power.cycles = [(AccessType::WIDE, wide), (AccessType::NARROW, narrow)];
        power.enter = options.radio.contains(&(crate::radio::RadioSetting::PsmEnter, 1));
        state.network.selection = restored.selection;
        state.network.restore_reports(self.registration_reports);
        state.messages.places = restored.places;
        state.messages.indications = self.sms.indications;
        state.messages.centre = self.sms.centre.clone();
        state.messages.restore(self.sms.reference, restored.messages);
        state.phone_book.restore(restored.book);
        state.pdp.restore(restored.contexts);
        state.uicc.select_slot(self.sim_slot == 1);
    }
}

/// What [`Nvm`] says, in the types of the modem.
struct Restored {
    profiles: Vec<Settings>,
    selection: Selection,
    bearer: (&'static str, String),
    power: (PeriodicTimer, ActiveTimer, Cycle, Cycle),
    places: [Place; 3],
    indications: Vec<(&'static str, bool)>,
    configuration: Vec<(&'static str, String)>,
    radio: Vec<(crate::radio::RadioSetting, u32)>,
    preferences: Vec<(&'static str, String)>,
    contexts: Vec<(u8, crate::pdp::Context)>,
    book: Vec<Entry>,
    messages: Vec<(Place, usize, Stored)>,
}

/// Puts the number of an entry before the place of a mistake.
fn in_entry(list: &str, at: usize, error: NvmError) -> NvmError {
    match error {
        NvmError::Value { key, reason } => NvmError::Value { key: format!("{list} {}, {key}", at + 1), reason },
        other => other,
    }
}

/// The values by name, those from the factory where there is none.
fn named(
    table: &str,
    factory: &[(&'static str, bool)],
    values: &BTreeMap<String, bool>,
) -> Result<Vec<(&'static str, bool)>, NvmError> {
    if let Some(name) = values.keys().find(|name| factory.iter().all(|(known, _)| known != name)) {
        return Err(wrong(format!("{table}.{name}"), "the module has no such setting"));
    }
    Ok(factory.iter().map(|(name, usual)| (*name, values.get(*name).copied().unwrap_or(*usual))).collect())
}

impl Operator {
    fn selection(&self) -> Result<Selection, NvmError> {
        let plmn = || {
            let plmn = self.plmn.clone().unwrap_or_default();
            let is_plmn = (5..=6).contains(&plmn.len()) && plmn.bytes().all(|digit| digit.is_ascii_digit());
            if is_plmn { Ok(plmn) } else { Err(wrong("operator.plmn", "five or six digits")) }
        };
        Ok(match self.selection {
            SelectionMode::Automatic => Selection::Automatic,
            SelectionMode::Deregistered => Selection::Deregistered,
            SelectionMode::Manual => Selection::Manual(plmn()?, self.technology),
            SelectionMode::ManualThenAutomatic => Selection::Either(plmn()?, self.technology),
        })
    }
}

impl PowerSaving {
    fn timers(&self) -> Result<(PeriodicTimer, ActiveTimer, Cycle, Cycle), NvmError> {
        let bits = |key: &str, count: u8| wrong(format!("power_saving.{key}"), format!("{count} characters 0 or 1"));
        ensure(self.edrx <= 2, "power_saving.edrx", "0 to 2")?;
        Ok((
            PeriodicTimer::parse(&self.periodic_tau).ok_or_else(|| bits("periodic_tau", 8))?,
            ActiveTimer::parse(&self.active_time).ok_or_else(|| bits("active_time", 8))?,
            Cycle::parse(&self.edrx_wide_band).ok_or_else(|| bits("edrx_wide_band", 4))?,
            Cycle::parse(&self.edrx_narrow_band).ok_or_else(|| bits("edrx_narrow_band", 4))?,
        ))
    }
}

impl Sms {
    fn places(&self) -> Result<[Place; 3], NvmError> {
        let [mode, mt, bm, ds, bfr] = self.indications;
        ensure(
            mode <= 2 && mt <= 3 && matches!(bm, 0 | 2) && ds <= 2 && bfr <= 1,
            "sms.indications",
            "what +CNMI takes",
        )?;
        let is_number = Address::parse(&self.centre, None).is_some();
        ensure(is_number, "sms.centre", "1 to 20 digits, with a + in front or not")?;
        let mut places = [Place::Equipment; 3];
        for (index, (place, name)) in places.iter_mut().zip(&self.stores).enumerate() {
            let known = Place::parse(name.as_bytes()).filter(|place| index == 0 || *place != Place::Reports);
            *place = known.ok_or_else(|| wrong("sms.stores", "\"ME\" or \"SM\", and \"SR\" in the first place"))?;
        }
        Ok(places)
    }
}

impl Profile {
    fn of(settings: &Settings) -> Self {
        let Settings { echo, quiet, verbose, progress, carrier_detect, terminal_ready, cmee, charset, .. } = *settings;
        let register = |index: u32| (format!("S{index}"), settings.register(index).unwrap_or_default());
        Profile {
            echo,
            quiet,
            verbose,
            progress,
            carrier_detect,
            terminal_ready,
            cmee,
            charset: charset.name().to_owned(),
            flow_control: settings.flow_control,
            framing: settings.framing,
            rate: settings.rate,
            registers: REGISTERS.iter().map(|(index, ..)| register(*index)).collect(),
        }
    }

    fn settings(&self, model: &Model) -> Result<Settings, NvmError> {
        ensure(self.progress <= 4, "progress", "0 to 4")?;
        ensure(self.carrier_detect <= 2, "carrier_detect", "0 to 2")?;
        ensure(self.terminal_ready <= 2, "terminal_ready", "0 to 2")?;
        ensure(self.cmee <= 2, "cmee", "0 to 2")?;
        let (by_dce, by_dte) = self.flow_control;
        ensure(matches!(by_dce, 0 | 2) && matches!(by_dte, 0 | 2), "flow_control", "0 or 2 each")?;
        ensure(self.framing.0 == 3 && self.framing.1 <= 3, "framing", "3, and 0 to 3")?;
        ensure(crate::commands::RATES.contains(&self.rate), "rate", "what +IPR takes")?;
        let charset = Charset::named(self.charset.as_bytes());
        let mut settings = Settings::factory(&model.defaults);
        (settings.echo, settings.quiet, settings.verbose) = (self.echo, self.quiet, self.verbose);
        (settings.progress, settings.cmee, settings.rate) = (self.progress, self.cmee, self.rate);
        (settings.carrier_detect, settings.terminal_ready) = (self.carrier_detect, self.terminal_ready);
        (settings.flow_control, settings.framing) = (self.flow_control, self.framing);
        settings.charset = charset.ok_or_else(|| wrong("charset", "\"GSM\", \"IRA\" or \"UCS2\""))?;
        for (name, value) in &self.registers {
            let index = name.strip_prefix('S').and_then(|index| index.parse().ok());
            let is_set = index.is_some_and(|index| settings.set_register(index, Some((*value).into())));
            ensure(is_set, format!("registers.{name}"), "no such register, or a value out of its range")?;
        }
        Ok(settings)
    }
}

impl ContextEntry {
    fn context(&self) -> Result<(u8, crate::pdp::Context), NvmError> {
        ensure(CONTEXTS.contains(&self.cid), "cid", "1 to 15")?;
        let kind = PdpType::named(&self.kind).ok_or_else(|| wrong("type", "\"IP\", \"IPV6\" or \"IPV4V6\""))?;
        let method = Authentication::numbered(self.authentication.into());
        let method = method.ok_or_else(|| wrong("authentication", "0 to 2"))?;
        let credentials = Credentials { method, user: self.user.clone(), password: self.password.clone() };
        let apn = self.apn.clone();
        Ok((self.cid, crate::pdp::Context { kind, apn, credentials, ..crate::pdp::Context::default() }))
    }
}

impl BookEntry {
    fn entry(&self) -> Result<Entry, NvmError> {
        ensure((1..=crate::phonebook::CAPACITY).contains(&self.index), "index", "1 to 100")?;
        let BookEntry { index, number, kind, name } = self.clone();
        Ok(Entry { index, number, kind, name })
    }
}

impl MessageEntry {
    fn message(&self) -> Result<(Place, usize, Stored), NvmError> {
        let place = Place::parse(self.store.as_bytes()).filter(|place| *place != Place::Card);
        let place = place.ok_or_else(|| wrong("store", "\"ME\" or \"SR\""))?;
        ensure(self.index < crate::sms::CAPACITY, "index", "0 to 254")?;
        let status = Status::from_text(&self.status).ok_or_else(|| wrong("status", "as text mode has it"))?;
        let pdu = rsp::ids::from_hex(&self.pdu).ok_or_else(|| wrong("pdu", "pairs of hexadecimal digits"))?;
        Ok((place, self.index, Stored { status, pdu }))
    }
}
