//! Models: what distinguishes one module from another, as data.
//!
//! A model is one TOML file: identity, ports, factory settings, unsolicited result codes, dialect. Everything but
//! the name and the identity has the value of an RG50x / RM5xx when the file does not tell. The models of this
//! crate are in `models/`, embedded; others are read by [`Model::from_toml`].

use std::ops::Range;

use serde::Deserialize;

use crate::result::CmeError;

/// The models that come with the crate.
const EMBEDDED: [(&str, &str); 7] = [
    ("RM500Q-GL", include_str!("../models/RM500Q-GL.toml")),
    ("RG500Q", include_str!("../models/RG500Q.toml")),
    ("RG501Q-EU", include_str!("../models/RG501Q-EU.toml")),
    ("RG502Q", include_str!("../models/RG502Q.toml")),
    ("RM502Q-AE", include_str!("../models/RM502Q-AE.toml")),
    ("RM505Q-AE", include_str!("../models/RM505Q-AE.toml")),
    ("RM510Q-GL", include_str!("../models/RM510Q-GL.toml")),
];

/// A module.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The name it is asked for by.
    pub name: String,
    /// What is odd about it, and where that was reported.
    #[serde(default)]
    pub note: String,
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
        Ports { at: 2, line_length: 2048 }
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
}

fn cmee<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    match u8::deserialize(deserializer)? {
        value @ 0..=2 => Ok(value),
        _ => Err(serde::de::Error::custom("+CMEE is 0, 1 or 2 (TS 27.007 §9.1)")),
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Defaults { echo: true, cmee: 0, lpa_enable: true }
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
    /// Extended commands that it does not know, by name (`"+CCHO"`): they are answered `ERROR` in every form.
    #[serde(deserialize_with = "commands")]
    pub missing_commands: Vec<String>,
    /// Extended commands whose test form (`=?`) is answered `ERROR`, though the command itself works.
    #[serde(deserialize_with = "commands")]
    pub missing_tests: Vec<String>,
    /// Whether AT+CCHO=?, AT+CCHC=? and AT+CGLA=? tell the parameters before the `OK`.
    pub channel_tests_tell: bool,
    /// Whether `+CCHO:` and `+CGLA:` and `+CSIM:` are followed by a space.
    pub space_after_colon: bool,
    /// Whether the data of AT+CGLA and AT+CSIM and the name of AT+CCHO have to be in quotes.
    pub quotes_required: bool,
    /// The error of an AT+CCHO whose SELECT the card refused: 13 in reports from Quectel modules.
    #[serde(deserialize_with = "cme_error")]
    pub ccho_failure: CmeError,
    /// Whether a host may open the ISD-R by AT+CCHO.
    pub host_isd_r: HostAccess,
}

impl Default for Dialect {
    fn default() -> Self {
        Dialect {
            ccho_answer: CchoAnswer::Prefixed,
            missing_commands: Vec::new(),
            missing_tests: Vec::new(),
            channel_tests_tell: false,
            space_after_colon: true,
            quotes_required: false,
            ccho_failure: CmeError::SimFailure,
            host_isd_r: HostAccess::Always,
        }
    }
}

fn cme_error<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<CmeError, D::Error> {
    let code = u16::deserialize(deserializer)?;
    CmeError::from_code(code).ok_or_else(|| {
        let known: Vec<String> = CmeError::ALL.iter().map(|error| error.code().to_string()).collect();
        serde::de::Error::custom(format!("+CME ERROR {code} is not known here; known are {}", known.join(", ")))
    })
}

fn commands<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let known: Vec<&str> = crate::commands::names().collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(names),
        Some(name) => Err(serde::de::Error::custom(format!("no command {name:?}; there are {}", known.join(", ")))),
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
        for name in Model::names() {
            let model = Model::named(name).unwrap();
            assert_eq!(model.name, name);
            assert_eq!(model.identity.manufacturer, "Quectel");
            assert!(model.identity.model.starts_with(name), "{name}");
            assert!(model.identity.revision.starts_with(&model.identity.model.replace('-', "")), "{name}");
        }
        // The default model writes out what the others leave to the defaults.
        let model = Model::named("rm500q-gl").unwrap();
        assert_eq!(model.ports, Ports::default());
        assert_eq!(model.defaults, Defaults::default());
        assert_eq!(model.urc, Urcs::default());
        assert_eq!(model.dialect, Dialect::default());
        assert_eq!(
            Model::named("RM999").unwrap_err().to_string(),
            "no model \"RM999\"; there are RM500Q-GL, RG500Q, RG501Q-EU, RG502Q, RM502Q-AE, RM505Q-AE, RM510Q-GL"
        );
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
        unknown field `ccho_anser`, expected one of `ccho_answer`, `missing_commands`, `missing_tests`, `channel_tests_tell`, `space_after_colon`, `quotes_required`, `ccho_failure`, `host_isd_r`
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
