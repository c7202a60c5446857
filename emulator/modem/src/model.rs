//! Models: what distinguishes one module from another, as data.
//!
//! A model is one TOML file: identity, ports, factory settings, unsolicited result codes, dialect. Everything but
//! the name and the identity has the value of an RG50x / RM5xx when the file does not tell. The models of this
//! crate are in `models/`, embedded; others are read by [`Model::from_toml`].

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::errors::CmeError;
use crate::radio::Radio;

/// The models that come with the crate.
const EMBEDDED: &[(&str, &str)] = &[
    // eSIM LPA AN 1.1, table 1.
    ("RM500Q-GL", include_str!("../models/RM500Q-GL.toml")),
    ("RG500Q", include_str!("../models/RG500Q.toml")),
    ("RG501Q-EU", include_str!("../models/RG501Q-EU.toml")),
    ("RG502Q", include_str!("../models/RG502Q.toml")),
    ("RM502Q-AE", include_str!("../models/RM502Q-AE.toml")),
    ("RM505Q-AE", include_str!("../models/RM505Q-AE.toml")),
    ("RM510Q-GL", include_str!("../models/RM510Q-GL.toml")),
    // EC200U&EG915U Series SSL Application Note 1.1.
    ("EC200U", include_str!("../models/EC200U.toml")),
    ("EG915U", include_str!("../models/EG915U.toml")),
    // Low power wide area, from a guide on cellular IoT.
    ("BG95-M3", include_str!("../models/BG95-M3.toml")),
    ("SARA-R410M", include_str!("../models/SARA-R410M.toml")),
    // Modules with something odd, as reported from the field.
    ("MC7455", include_str!("../models/MC7455.toml")),
    ("EM7590", include_str!("../models/EM7590.toml")),
    ("EM9191", include_str!("../models/EM9191.toml")),
    ("EM7455", include_str!("../models/EM7455.toml")),
    ("FM350-GL", include_str!("../models/FM350-GL.toml")),
    ("FM350-GL-silent", include_str!("../models/FM350-GL-silent.toml")),
    ("FG132-GL", include_str!("../models/FG132-GL.toml")),
    ("EM05-G", include_str!("../models/EM05-G.toml")),
    ("A7908E", include_str!("../models/A7908E.toml")),
    ("telling-tests", include_str!("../models/telling-tests.toml")),
    ("EM061K-GL", include_str!("../models/EM061K-GL.toml")),
    ("DW5821e", include_str!("../models/DW5821e.toml")),
    ("EG25-G", include_str!("../models/EG25-G.toml")),
    ("EG916Q-GL", include_str!("../models/EG916Q-GL.toml")),
    ("MS2372h-517", include_str!("../models/MS2372h-517.toml")),
    ("SIM7600", include_str!("../models/SIM7600.toml")),
    ("MBIM-bridge", include_str!("../models/MBIM-bridge.toml")),
    ("fast-reader", include_str!("../models/fast-reader.toml")),
    ("RG650E", include_str!("../models/RG650E.toml")),
    ("lpa-first", include_str!("../models/lpa-first.toml")),
    ("no-terminal-capability", include_str!("../models/no-terminal-capability.toml")),
    ("power-cycler", include_str!("../models/power-cycler.toml")),
    ("EG21-G-old", include_str!("../models/EG21-G-old.toml")),
];

/// A module.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The name it is asked for by.
    pub name: String,
    /// What is odd about it.
    #[serde(default)]
    pub note: String,
    /// Where that was reported, or where the data come from.
    #[serde(default)]
    pub source: String,
    /// Whether it answers at once, or takes the time that [`Times`] tell.
    #[serde(default)]
    pub timing: Timing,
    /// What it says of itself.
    pub identity: Identity,
    /// Its ports.
    #[serde(default)]
    pub ports: Ports,
    /// Settings from the factory.
    #[serde(default)]
    pub defaults: Defaults,
    /// What it says unasked.
    #[serde(default)]
    pub urc: Urcs,
    /// How it departs from the specifications.
    #[serde(default)]
    pub dialect: Dialect,
    /// How it treats the card.
    #[serde(default)]
    pub card: CardHandling,
    /// Its file area.
    #[serde(default)]
    pub files: Files,
    /// How long it takes.
    #[serde(default)]
    pub times: Times,
    /// What its radio can do.
    #[serde(default)]
    pub radio: Radio,
}

/// What a module says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// `AT+CGMI`.
    pub manufacturer: String,
    /// `AT+CGMM`.
    pub model: String,
    /// `AT+CGMR`.
    pub revision: String,
    /// `AT+CGSN`.
    pub imei: Imei,
    /// `AT+QGMR`: the revision with that of the application firmware.
    #[serde(default)]
    pub firmware: Option<String>,
    /// The lines of `ATI`, when they are not manufacturer, model and revision.
    #[serde(default)]
    pub ati: Vec<String>,
    /// `AT+GCAP`: what it can do (V.250 §6.1.9).
    #[serde(default = "capabilities")]
    pub capabilities: String,
}

fn capabilities() -> String {
    "+CGSM".to_owned()
}

/// An IMEI: 15 digits, the last a check digit (TS 23.003 §6.2.1, annex B).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Imei(String);

impl Imei {
    /// Checks the digits.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() != 15 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("{text:?} is no IMEI: it has 15 decimal digits"));
        }
        // TS 23.003 annex B: Luhn's sum over all digits ends in 0.
        let sum: u32 = (0u32..)
            .zip(text.bytes().rev())
            .map(|(place, digit)| {
                let value = u32::from(digit - b'0') << (place % 2);
                value / 10 + value % 10
            })
            .sum();
        if !sum.is_multiple_of(10) {
            return Err(format!("{text:?} is no IMEI: its check digit should make the Luhn sum end in 0"));
        }
        Ok(Imei(text.to_owned()))
    }

    /// The 15 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Imei {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Imei::parse(&text)
    }
}

/// The ports of a module.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ports {
    /// How many AT ports there are (1 to 8). An RM5xx has two, ttyUSB2 and ttyUSB3.
    #[serde(deserialize_with = "port_count")]
    pub at: usize,
    /// The longest command line, without `AT` and terminator. V.250 §5.2.2 asks for 40 at least; a whole short
    /// APDU on AT+CGLA takes some 550.
    #[serde(deserialize_with = "line_length")]
    pub line_length: usize,
    /// What the host's system calls them.
    pub names: Vec<String>,
}

fn port_count<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        count @ 1..=8 => Ok(count),
        _ => Err(serde::de::Error::custom("a model has 1 to 8 AT ports")),
    }
}

fn line_length<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        length @ 40..=65536 => Ok(length),
        _ => Err(serde::de::Error::custom("a command line has 40 (V.250 §5.2.2) to 65536 characters")),
    }
}

impl Default for Ports {
    fn default() -> Self {
        Ports { at: 2, line_length: 2048, names: vec!["ttyUSB2".to_owned(), "ttyUSB3".to_owned()] }
    }
}

/// Settings from the factory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Defaults {
    /// `ATE`.
    pub echo: bool,
    /// `+CMEE`. TS 27.007 §9.1 has 0; many modules leave the factory with 1. 0 is what works with every host:
    /// some wait for a line that is exactly `OK` or `ERROR` and hang on `+CME ERROR`.
    #[serde(deserialize_with = "cmee")]
    pub cmee: u8,
    /// `AT+QESIM="lpa_enable"`.
    pub lpa_enable: bool,
    /// `AT+QURCCFG="urcport"`: where unsolicited result codes go.
    pub urc_port: UrcPort,
}

/// Where unsolicited result codes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UrcPort {
    /// `usbat`: the first AT port.
    Usbat,
    /// `usbmodem`: the second AT port.
    Usbmodem,
    /// `uart1`: the serial interface, which nobody is at.
    Uart1,
    /// `all`.
    All,
}

fn cmee<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    match u8::deserialize(deserializer)? {
        value @ 0..=2 => Ok(value),
        _ => Err(serde::de::Error::custom("+CMEE is 0, 1 or 2 (TS 27.007 §9.1)")),
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Defaults { echo: true, cmee: 0, lpa_enable: true, urc_port: UrcPort::All }
    }
}

/// Unsolicited result codes, each a line without its delimiters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Urcs {
    /// After a restart of the module.
    pub boot: Vec<String>,
    /// When a card has become ready: after a restart, and after a profile was enabled.
    pub card_ready: Vec<String>,
    /// When a card is no longer there.
    pub card_gone: Vec<String>,
}

impl Default for Urcs {
    fn default() -> Self {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Urcs {
            boot: lines(&["RDY", "+CFUN: 1"]),
            // eSIM LPA AN 1.1 §2.3.9, in this order.
            card_ready: lines(&["+CPIN: READY", "+QUSIM: 1", "+QIND: SMS DONE", "+QIND: PB DONE"]),
            card_gone: lines(&["+CPIN: NOT READY"]),
        }
    }
}

/// How a module departs from the specifications. Each is a report from the field.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dialect {
    /// How AT+CCHO tells the session.
    pub ccho_answer: CchoAnswer,
    /// Extended commands that it does not know, by name (`"+CCHO"`, or `"+Q*"` for all that begin so): they are
    /// answered `ERROR` in every form.
    #[serde(deserialize_with = "commands")]
    pub missing_commands: Vec<String>,
    /// Extended commands whose test form (`=?`) is answered `ERROR`, though the command itself works.
    #[serde(deserialize_with = "commands")]
    pub missing_tests: Vec<String>,
    /// Extended commands whose test form is not answered at all.
    #[serde(deserialize_with = "commands")]
    pub silent_tests: Vec<String>,
    /// Whether AT+CCHO=?, AT+CCHC=? and AT+CGLA=? tell the parameters before the `OK`.
    pub channel_tests_tell: bool,
    /// Whether `+CCHO:` and `+CGLA:` and `+CSIM:` are followed by a space.
    pub space_after_colon: bool,
    /// Whether the data of AT+CGLA and AT+CSIM and the name of AT+CCHO have to be in quotes.
    pub quotes_required: bool,
    /// The error of an AT+CCHO that is refused: a number of TS 27.007 §9.2 (13 in reports from Quectel modules),
    /// `"ERROR"`, or the text behind `+CME ERROR:`.
    pub ccho_failure: CchoFailure,
    /// Whether a host may open the ISD-R by AT+CCHO.
    pub host_isd_r: HostAccess,
    /// Whether AT+CCHO works at all: where it does not, every attempt is refused.
    pub ccho_works: bool,
    /// Whether AT+CSIM refuses STATUS on a channel other than the basic one.
    pub csim_status_on_channels: bool,
    /// How APDUs of hosts get to the card.
    pub apdu_transport: ApduTransport,
    /// Segments that get lost on a fast line.
    pub lost_segments: Option<LostSegments>,
    /// The commands that the module's own LPA has.
    pub qesim: QesimDialect,
    /// The sets of commands that it has beside the common ones.
    pub command_sets: Vec<CommandSet>,
}

impl Default for Dialect {
    fn default() -> Self {
        Dialect {
            ccho_answer: CchoAnswer::Prefixed,
            missing_commands: Vec::new(),
            missing_tests: Vec::new(),
            silent_tests: Vec::new(),
            channel_tests_tell: false,
            space_after_colon: true,
            quotes_required: false,
            ccho_failure: CchoFailure::Cme(CmeError::SimFailure),
            host_isd_r: HostAccess::Always,
            ccho_works: true,
            csim_status_on_channels: true,
            apdu_transport: ApduTransport::Plain,
            lost_segments: None,
            qesim: QesimDialect::Note,
            command_sets: vec![CommandSet::Sockets, CommandSet::Files],
        }
    }
}

impl Dialect {
    pub(crate) fn lacks_command(&self, name: &str) -> bool {
        names_it(&self.missing_commands, name)
    }

    pub(crate) fn has_set(&self, set: CommandSet) -> bool {
        set == CommandSet::Common || self.command_sets.contains(&set)
    }

    pub(crate) fn lacks_test(&self, name: &str) -> bool {
        names_it(&self.missing_tests, name)
    }

    pub(crate) fn is_silent_on_test(&self, name: &str) -> bool {
        names_it(&self.silent_tests, name)
    }
}

fn names_it(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    })
}

fn commands<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let known: Vec<&str> = crate::commands::names().collect();
    let fits = |pattern: &String| known.iter().any(|name| names_it(std::slice::from_ref(pattern), name));
    match names.iter().find(|name| !fits(name)) {
        None => Ok(names),
        Some(name) => Err(serde::de::Error::custom(format!("no command {name:?}; there are {}", known.join(", ")))),
    }
}

/// The error of an AT+CCHO that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "NumberOrText")]
pub enum CchoFailure {
    /// `+CME ERROR` with this meaning.
    Cme(CmeError),
    /// `ERROR`, whatever `+CMEE` says.
    Error,
    /// `+CME ERROR` with a text of its own.
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u16),
    Text(String),
}

impl TryFrom<NumberOrText> for CchoFailure {
    type Error = String;

    fn try_from(value: NumberOrText) -> Result<Self, String> {
        match value {
            NumberOrText::Number(code) => CmeError::from_code(code).map(CchoFailure::Cme).ok_or_else(|| {
                let known: Vec<String> = CmeError::ALL.iter().map(|error| error.code().to_string()).collect();
                format!("+CME ERROR {code} is not known here; known are {}", known.join(", "))
            }),
            NumberOrText::Text(text) if text == "ERROR" => Ok(CchoFailure::Error),
            NumberOrText::Text(text) => Ok(CchoFailure::Text(text)),
        }
    }
}

/// How AT+CCHO tells the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CchoAnswer {
    /// `+CCHO: 1`, as most modules do.
    Prefixed,
    /// A bare `1`, as TS 27.007 §8.45 writes it.
    Bare,
    /// `+CCHO: 00000000038aa32f`, to be given back as it is.
    Handle,
}

/// When a host may open the ISD-R by AT+CCHO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostAccess {
    /// At any time.
    Always,
    /// While the LPA of the module is enabled.
    LpaEnabled,
    /// While the LPA of the module is disabled, and has been since the last restart.
    LpaDisabled,
    /// Until a profile is disabled; then not before the next restart.
    UntilDisable,
    /// Never.
    Never,
}

/// How APDUs of hosts get to the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApduTransport {
    /// As they are.
    Plain,
    /// By a layer that fetches the answer when there is an Le, and throws it away when there is none.
    FetchesWithLe,
}

/// Segments that get lost on a fast line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostSegments {
    /// The rate (AT+IPR) above which it happens, in bit/s.
    pub above_rate: u32,
    /// The longest data field that gets through.
    pub longest: u8,
    /// What the card seems to answer then.
    pub status: u16,
}

/// The commands that the module's own LPA has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QesimDialect {
    /// Those of the eSIM LPA Application Note 1.1.
    Note,
    /// Those of older firmware: `list`, `enable`, `disable` and `delete` by ICCID.
    Older,
}

/// A set of commands that a module has as a whole, or lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandSet {
    /// What every model has, but for its `missing_commands`.
    #[serde(skip)]
    Common,
    /// The module's own TCP/IP stack: `+QICSGP`, `+QIACT`, `+QIOPEN` and what goes with them.
    Sockets,
    /// TLS on top of it: `+QSSLCFG`, `+QSSLOPEN` and what goes with them.
    Ssl,
    /// The file area: `+QFUPL`, `+QFOPEN` and what goes with them.
    Files,
    /// PSM and eDRX: `+CPSMS`, `+CEDRXS`, `+CEDRXRDP`, `+CEREG=4`.
    PowerSaving,
    /// What u-blox has for the network: `+UCGDFLT`, `+UDCONF`.
    #[serde(rename = "u-blox")]
    Ublox,
}

/// How a module treats the card.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CardHandling {
    /// What it does with the card when it comes up, in this order.
    pub startup: Vec<StartupStep>,
    /// The data of TERMINAL CAPABILITY (TS 102 221 §11.1.19).
    pub terminal_capability: Bytes,
    /// The data of TERMINAL PROFILE (TS 102 223 §5.2).
    pub terminal_profile: Bytes,
    /// What it makes of a card on which neither EF_ICCID nor EF_DIR is found.
    pub blank: BlankCard,
    /// When a profile that was switched is noticed.
    pub profile_switch: ProfileSwitch,
}

/// Bytes, written as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Bytes(pub Vec<u8>);

impl TryFrom<String> for Bytes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match rsp::ids::from_hex(&text) {
            Some(bytes) if bytes.len() <= 255 => Ok(Bytes(bytes)),
            _ => Err(format!("{text:?} is no hexadecimal string of at most 255 bytes")),
        }
    }
}

/// One step of bringing a card up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartupStep {
    /// SELECT of the MF, with its FCP.
    Mf,
    /// TERMINAL CAPABILITY.
    TerminalCapability,
    /// EF_ICCID.
    Iccid,
    /// EF_ICCID once more, when it was not found before.
    IccidAgain,
    /// EF_PL, which GSM called EF_ELP.
    Languages,
    /// TERMINAL PROFILE.
    TerminalProfile,
    /// EF_DIR.
    Applications,
    /// The state of PIN1.
    Pin,
    /// The USIM, with EF_IMSI, EF_AD and EF_SPN.
    Usim,
}

/// What a module makes of a blank card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlankCard {
    /// It cannot register, but hosts get to the card.
    Usable,
    /// It leaves the card alone, and lets nobody else get to it.
    Refused,
    /// It takes the card's power and gives it back, again and again.
    PowerCycled,
}

/// When a profile that was switched by an LPA is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileSwitch {
    /// When the card asks for it by REFRESH.
    Refresh,
    /// When the card is powered up the next time.
    PowerCycle,
    /// When the card asks for it, by leaving the bus and coming back: the whole module restarts.
    Reconnect,
}

impl Default for CardHandling {
    fn default() -> Self {
        use StartupStep::{Applications, Iccid, Languages, Mf, Pin, TerminalCapability, TerminalProfile, Usim};
        CardHandling {
            startup: vec![Mf, TerminalCapability, Iccid, Languages, TerminalProfile, Applications, Pin, Usim],
            // Device supports logical channels with additional interfaces, and an LPA (SGP.22 v2.5 §3.4.2, tag 83).
            terminal_capability: Bytes(vec![0xA9, 0x08, 0x81, 0x00, 0x82, 0x01, 0x01, 0x83, 0x01, 0x07]),
            // Profile download, REFRESH, and what goes with them; no user interface (TS 102 223 §5.2).
            terminal_profile: Bytes(vec![0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0x01, 0x00, 0xDF, 0xFF, 0x00, 0x00, 0x1F, 0xE2]),
            blank: BlankCard::Usable,
            profile_switch: ProfileSwitch::Refresh,
        }
    }
}

/// The file area of a module, `UFS:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Files {
    /// How many bytes fit into it (at most 64 MiB).
    #[serde(deserialize_with = "area")]
    pub size: usize,
}

fn area<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        size @ 0..=0x400_0000 => Ok(size),
        _ => Err(serde::de::Error::custom("a file area has at most 67108864 bytes")),
    }
}

impl Default for Files {
    fn default() -> Self {
        Files { size: 4 * 1024 * 1024 }
    }
}

/// Whether a module takes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Timing {
    /// It answers at once.
    #[default]
    Instant,
    /// It takes the time of a real one.
    Realistic,
}

/// How long a module takes when its timing is realistic, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Times {
    /// A command that has no entry of its own.
    pub command: u32,
    /// One exchange with the card.
    pub apdu: u32,
    /// From a restart to the first line.
    pub boot: u32,
    /// Commands with a time of their own: by name (`"+COPS"`), or with the test form (`"+COPS=?"`).
    pub commands: BTreeMap<String, u32>,
}

impl Default for Times {
    fn default() -> Self {
        let commands = [("+COPS", 800), ("+COPS=?", 25_000), ("+CFUN", 700), ("+CMGS", 1_500), ("D", 1_200)];
        Times {
            command: 4,
            apdu: 18,
            boot: 9_000,
            commands: commands.map(|(name, time)| (name.to_owned(), time)).into(),
        }
    }
}

/// A model that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// There is no such model.
    #[error("no model {name:?}; there are {}", Model::names().join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// A file that does not describe a model. The text holds line, column and the line itself.
    #[error("{text}")]
    Syntax {
        /// The whole description, of several lines.
        text: String,
        /// The mistake in one line.
        message: String,
        /// Where in the file it is, in bytes.
        span: Option<Range<usize>>,
    },
}

impl Model {
    /// The model with this name, of either case.
    pub fn named(name: &str) -> Result<Self, ModelError> {
        let (_, text) = EMBEDDED
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .ok_or_else(|| ModelError::Unknown { name: name.to_owned() })?;
        Model::from_toml(text)
    }

    /// The names of the models that come with the crate, the default one first.
    pub fn names() -> Vec<&'static str> {
        EMBEDDED.iter().map(|(name, _)| *name).collect()
    }

    /// Reads a model file.
    pub fn from_toml(text: &str) -> Result<Self, ModelError> {
        toml::from_str(text).map_err(|error: toml::de::Error| ModelError::Syntax {
            text: error.to_string().trim_end().to_owned(),
            message: error.message().to_owned(),
            span: error.span(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_models_are_well_formed() {
        for (place, name) in Model::names().into_iter().enumerate() {
            let model = Model::named(name).unwrap();
            assert_eq!(model.name, name);
            assert!(!model.source.is_empty(), "{name}");
            // How it treats a blank card stands in each file.
            let text = EMBEDDED.iter().find(|(known, _)| *known == name).unwrap().1;
            let table: toml::Table = text.parse().unwrap();
            assert!(table["card"].get("blank").is_some(), "{name}");
            if place < 7 {
                assert_eq!(model.identity.manufacturer, "Quectel");
                assert!(model.identity.model.starts_with(name), "{name}");
                assert!(model.identity.revision.starts_with(&model.identity.model.replace('-', "")), "{name}");
            } else {
                assert!(!model.note.is_empty(), "{name}");
            }
        }
        // The default model writes out what the others leave to the defaults.
        let model = Model::named("rm500q-gl").unwrap();
        assert_eq!(model.ports, Ports::default());
        assert_eq!(model.defaults, Defaults::default());
        assert_eq!(model.urc, Urcs::default());
        assert_eq!(model.dialect, Dialect::default());
        assert_eq!(model.card, CardHandling::default());
        assert_eq!(model.times, Times::default());
        assert_eq!(model.radio, Radio::default());
        let unknown = Model::named("RM999").unwrap_err().to_string();
        assert!(unknown.starts_with("no model \"RM999\"; there are RM500Q-GL, RG500Q, RG501Q-EU, "), "{unknown}");
    }

    #[test]
    fn imei_check_digit() {
        // The example of a valid IMEI that dialling codes and manuals give.
        assert_eq!(Imei::parse("490154203237518").unwrap().as_str(), "490154203237518");
        assert!(Imei::parse("490154203237519").is_err());
        assert!(Imei::parse("49015420323751").is_err());
    }

    #[test]
    fn mistakes_have_a_place() {
        let file = |extra: &str| {
            format!(
                "name = \"X\"\n[identity]\nmanufacturer = \"Q\"\nmodel = \"X\"\nrevision = \"R\"\nimei = \"490154203237518\"\n{extra}"
            )
        };
        assert!(Model::from_toml(&file("")).is_ok());
        let error = Model::from_toml(&file("[dialect]\nccho_anser = \"bare\"\n")).unwrap_err();
        insta::assert_snapshot!(error.to_string(), @r#"
        TOML parse error at line 8, column 1
          |
        8 | ccho_anser = "bare"
          | ^^^^^^^^^^
        unknown field `ccho_anser`, expected one of `ccho_answer`, `missing_commands`, `missing_tests`, `silent_tests`, `channel_tests_tell`, `space_after_colon`, `quotes_required`, `ccho_failure`, `host_isd_r`, `ccho_works`, `csim_status_on_channels`, `apdu_transport`, `lost_segments`, `qesim`, `command_sets`
        "#);
        let error = Model::from_toml(&file("").replace("518\"", "519\"")).unwrap_err();
        insta::assert_snapshot!(error.to_string(), @r#"
        TOML parse error at line 6, column 8
          |
        6 | imei = "490154203237519"
          |        ^^^^^^^^^^^^^^^^^
        "490154203237519" is no IMEI: its check digit should make the Luhn sum end in 0
        "#);
        for bad in [
            "[ports]\nat = 0\n",
            "[ports]\nline_length = 39\n",
            "[defaults]\ncmee = 3\n",
            "[dialect]\nccho_failure = 9999\n",
        ] {
            let ModelError::Syntax { span, .. } = Model::from_toml(&file(bad)).unwrap_err() else { panic!("{bad}") };
            assert!(span.is_some(), "{bad}");
        }
    }
}
