//! A network as data: operators with their coverage, and subscriptions with what they may do.
//!
//! ```
//! use modem::network::NetworkSpec;
//! let spec = NetworkSpec::from_toml(
//!     r#"
//!     [[operator]]
//!     plmn = "26201"
//!     name = "Roamland"
//!     coverage = { lte = -91, lte-m = -98 }
//!
//!     [[subscription]]
//!     apns = ["em", "emnify"]
//!     "#,
//! )?;
//! assert_eq!(spec.operators.len(), 1);
//! # Ok::<(), modem::network::NetworkError>(())
//! ```
//!
//! Nothing has to be told: without an operator there are the home network of the card, whatever that is, and one that
//! lets nobody in; without a subscription everybody may do everything.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::time::Duration;

use rsp::aka::{Aka, AlgorithmName};
use rsp::ids::from_hex;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::Technology;

/// A network that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NetworkError {
    /// The whole description, of several lines.
    pub text: String,
    /// The mistake in one line.
    pub message: String,
    /// Where in the file it is, in bytes.
    pub span: Option<Range<usize>>,
    /// Which operator it is about, counted from 0, when no single value is wrong.
    pub operator: Option<usize>,
}

/// A network around the modem.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkSpec {
    /// The operators, with what can be received of each.
    #[serde(rename = "operator")]
    pub operators: Vec<OperatorSpec>,
    /// The subscriptions, as the home operator has them. A card is found by its IMSI or its ICCID; an entry with
    /// neither is for every card. With none at all everybody may do everything.
    #[serde(rename = "subscription")]
    pub subscriptions: Vec<SubscriptionSpec>,
    /// How long the network keeps the radio connection after the last traffic.
    #[serde(deserialize_with = "duration")]
    pub rrc_release: Duration,
}

impl Default for NetworkSpec {
    fn default() -> Self {
        NetworkSpec {
            operators: vec![OperatorSpec::home(), OperatorSpec::other()],
            subscriptions: Vec::new(),
            rrc_release: Duration::from_secs(5),
        }
    }
}

impl NetworkSpec {
    /// Reads a network file.
    pub fn from_toml(text: &str) -> Result<Self, NetworkError> {
        let spec: NetworkSpec = toml::from_str(text).map_err(|error: toml::de::Error| NetworkError {
            text: error.to_string().trim_end().to_owned(),
            message: error.message().to_owned(),
            span: error.span(),
            operator: None,
        })?;
        match spec.mistake() {
            None => Ok(spec),
            Some((operator, message)) => {
                Err(NetworkError { text: message.clone(), message, span: None, operator: Some(operator) })
            }
        }
    }

    /// Checks what no single value shows.
    pub fn checked(self) -> Result<Self, String> {
        self.mistake().map_or(Ok(self), |(_, message)| Err(message))
    }

    /// What is wrong beside single values, and with which operator.
    fn mistake(&self) -> Option<(usize, String)> {
        for (index, operator) in self.operators.iter().enumerate() {
            let wrong = |message: String| Some((index, message));
            let earlier = self.operators.get(..index).unwrap_or_default();
            if let Some(plmn) = &operator.plmn
                && earlier.iter().any(|other| other.plmn.as_ref() == Some(plmn))
            {
                return wrong(format!("the operator {plmn} is there twice"));
            }
            if operator.plmn.is_none() && !operator.home {
                return wrong("an operator has a `plmn`, or `home = true`: then it is that of the card".to_owned());
            }
            if operator.home && earlier.iter().any(|other| other.home) {
                return wrong("two operators are the home network".to_owned());
            }
            if operator.coverage.is_empty() {
                let name = operator.name.as_deref().or(operator.plmn.as_deref()).unwrap_or("home");
                return wrong(format!(
                    "the operator {name} has no coverage: tell the technologies, `coverage = {{ lte = -91 }}`, and \
                     `none` for one that cannot be received at present"
                ));
            }
        }
        None
    }
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorSpec {
    /// MCC and MNC, 5 or 6 digits; that of the card's IMSI when absent.
    #[serde(default, deserialize_with = "plmn")]
    pub plmn: Option<String>,
    /// The long name; that of the card's provider, or the PLMN, when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// The short name; the long one when absent.
    #[serde(default)]
    pub short: Option<String>,
    /// Whether it is the home network of every card, whatever the IMSI says. An operator whose PLMN is that of the
    /// IMSI is it anyhow.
    #[serde(default)]
    pub home: bool,
    /// What can be received, and how strong: RSSI for GSM, RSCP for UMTS, RSRP for the others, in dBm.
    #[serde(default = "usual_coverage", deserialize_with = "coverage")]
    pub coverage: BTreeMap<Technology, Option<i16>>,
    /// Whether it is on the card's list of forbidden networks from the start.
    #[serde(default)]
    pub forbidden: bool,
    /// Whether it lets subscribers of others in.
    #[serde(default = "yes")]
    pub roaming: bool,
    /// The code of its tracking or location area.
    #[serde(default = "usual_area")]
    pub area: u16,
    /// The identity of its cell.
    #[serde(default = "usual_cell")]
    pub cell: u32,
    /// Whether it has the power saving mode (PSM), and within which limits.
    #[serde(default)]
    pub psm: PowerSaving,
    /// Whether it has eDRX, and within which limits.
    #[serde(default)]
    pub edrx: Edrx,
}

/// What a network makes of the timers that a device asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PowerSaving {
    /// Whether it has the power saving mode.
    pub supported: bool,
    /// The longest T3412 extended that it gives.
    #[serde(deserialize_with = "duration")]
    pub longest_periodic: Duration,
    /// The shortest T3412 extended that it gives.
    #[serde(deserialize_with = "duration")]
    pub shortest_periodic: Duration,
    /// The longest T3324 that it gives.
    #[serde(deserialize_with = "duration")]
    pub longest_active: Duration,
}

impl Default for PowerSaving {
    fn default() -> Self {
        PowerSaving {
            supported: true,
            // TS 24.008 §10.5.7.4a: 31 times 320 hours.
            longest_periodic: Duration::from_secs(31 * 320 * 3600),
            shortest_periodic: Duration::ZERO,
            // TS 24.008 §10.5.7.3: 31 times 6 minutes.
            longest_active: Duration::from_secs(31 * 360),
        }
    }
}

/// What a network makes of the cycle that a device asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edrx {
    /// Whether it has eDRX.
    pub supported: bool,
    /// The longest cycle that it gives.
    #[serde(deserialize_with = "duration")]
    pub longest_cycle: Duration,
    /// The paging time window, 0 to 15.
    #[serde(deserialize_with = "window")]
    pub window: u8,
}

impl Default for Edrx {
    fn default() -> Self {
        Edrx { supported: true, longest_cycle: Duration::from_millis(10_485_760), window: 7 }
    }
}

impl OperatorSpec {
    fn named(plmn: Option<&str>, name: Option<&str>) -> Self {
        OperatorSpec {
            plmn: plmn.map(str::to_owned),
            name: name.map(str::to_owned),
            short: None,
            home: false,
            coverage: usual_coverage(),
            forbidden: false,
            roaming: true,
            area: usual_area(),
            cell: usual_cell(),
            psm: PowerSaving::default(),
            edrx: Edrx::default(),
        }
    }

    /// The home network of the card, whatever it is.
    pub fn home() -> Self {
        OperatorSpec { home: true, ..OperatorSpec::named(None, None) }
    }

    /// The one that lets nobody in.
    fn other() -> Self {
        OperatorSpec {
            forbidden: true,
            roaming: false,
            coverage: [(Technology::Lte, Some(USUAL_SIGNAL))].into(),
            ..OperatorSpec::named(Some("00199"), Some("Other Network"))
        }
    }
}

/// What is received when nothing is said, in dBm.
const USUAL_SIGNAL: i16 = -91;

fn usual_coverage() -> BTreeMap<Technology, Option<i16>> {
    [Technology::Lte, Technology::LteM, Technology::NbIot].map(|technology| (technology, Some(USUAL_SIGNAL))).into()
}

fn usual_area() -> u16 {
    0x1A2D
}

fn usual_cell() -> u32 {
    0x01A2_D001
}

fn yes() -> bool {
    true
}

/// A subscription, as the home operator has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubscriptionSpec {
    /// The IMSI it is for.
    #[serde(deserialize_with = "imsi")]
    pub imsi: Option<String>,
    /// The ICCID of the profile it is for, without padding.
    #[serde(deserialize_with = "iccid")]
    pub iccid: Option<String>,
    /// Whether it is active, suspended or blocked.
    pub state: SubscriptionState,
    /// The service policy: data sessions.
    pub data: bool,
    /// The service policy: text messages.
    pub sms: bool,
    /// The coverage policy: networks that are not the home network.
    pub roaming: bool,
    /// The service policy: radio types; all when absent.
    pub technologies: Option<Vec<Technology>>,
    /// The PLMNs of operators that it must not use.
    pub blacklist: Vec<String>,
    /// The access point names that it may use; any, and none at all, when there are none here.
    pub apns: Vec<String>,
    /// Whether names resolve.
    pub dns: Dns,
    /// The one device that the SIM may be used in (IMEI lock): 15 digits.
    #[serde(deserialize_with = "imei")]
    pub imei: Option<String>,
    /// What the operator holds for the card's keys (`keys = { ki = "...", opc = "..." }`); those that the profile was
    /// made with when absent, as far as they are known.
    pub keys: Option<Keys>,
    /// The address of its first data session, those of the others follow it; one of 10.7.157.0/24 when absent.
    pub address: Option<Ipv4Addr>,
}

impl Default for SubscriptionSpec {
    fn default() -> Self {
        SubscriptionSpec {
            imsi: None,
            iccid: None,
            state: SubscriptionState::Active,
            data: true,
            sms: true,
            roaming: true,
            technologies: None,
            blacklist: Vec::new(),
            apns: Vec::new(),
            dns: Dns::Allowed,
            imei: None,
            keys: None,
            address: None,
        }
    }
}

/// The key of a subscription and what belongs to it.
#[derive(Clone, Deserialize)]
#[serde(try_from = "WrittenKeys")]
pub struct Keys(pub(super) Aka);

impl fmt::Debug for Keys {
    /// Prints no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl PartialEq for Keys {
    /// By what they do to one challenge: that is all that anybody can see of them.
    fn eq(&self, other: &Self) -> bool {
        let known = |keys: &Keys| keys.0.challenge(&[0; 16], 0, [0; 2]).autn;
        known(self) == known(other)
    }
}

impl Eq for Keys {}

/// Keys as they stand in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKeys {
    ki: String,
    #[serde(default)]
    opc: String,
    #[serde(default)]
    algorithm: WrittenAlgorithm,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenAlgorithm {
    #[default]
    Milenage,
    Tuak,
    Test,
}

impl TryFrom<WrittenKeys> for Keys {
    type Error = String;

    fn try_from(written: WrittenKeys) -> Result<Self, String> {
        let (algorithm, rule) = match written.algorithm {
            WrittenAlgorithm::Milenage => {
                (AlgorithmName::Milenage, "Milenage has `ki` and `opc` of 32 hexadecimal digits")
            }
            WrittenAlgorithm::Tuak => {
                (AlgorithmName::Tuak, "TUAK has `ki` of 32 or 64 hexadecimal digits, and `opc` (TOPc) of 64")
            }
            WrittenAlgorithm::Test => (AlgorithmName::Test, "the test algorithm has `ki` of 32 hexadecimal digits"),
        };
        let bytes = |text: String| from_hex(Zeroizing::new(text).as_str()).map(Zeroizing::new);
        let keys = bytes(written.ki).zip(bytes(written.opc));
        let aka = keys.and_then(|(ki, opc)| Aka::from_keys(algorithm, &ki, &opc).ok());
        aka.map(Keys).ok_or_else(|| format!("no keys: {rule}"))
    }
}

/// How a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubscriptionState {
    /// It may be used.
    #[default]
    Active,
    /// It is suspended for the time being.
    Suspended,
    /// It is blocked.
    Blocked,
}

/// Whether names resolve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dns {
    /// They do.
    #[default]
    Allowed,
    /// The name server cannot be reached.
    Blocked,
}

/// A length of time: a whole number with a unit, `"140h"`, `"10s"`, `"500ms"`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit = match unit.trim() {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(unit).map(Duration::from_secs)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| {
        serde::de::Error::custom(format!("{text:?} is no length of time: write \"10s\", \"90min\" or \"140h\""))
    })
}

fn digits<E: serde::de::Error>(text: String, range: std::ops::RangeInclusive<usize>, what: &str) -> Result<String, E> {
    let fits = range.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { Ok(text) } else { Err(E::custom(format!("{text:?} is no {what}"))) }
}

fn plmn<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    digits(
        String::deserialize(deserializer)?,
        5..=6,
        "PLMN: it has the three digits of the MCC and two or three of the MNC",
    )
    .map(Some)
}

fn imsi<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    digits(String::deserialize(deserializer)?, 6..=15, "IMSI: it has up to 15 digits").map(Some)
}

fn imei<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    digits(String::deserialize(deserializer)?, 15..=15, "IMEI: it has 15 digits").map(Some)
}

fn iccid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    digits(String::deserialize(deserializer)?, 18..=20, "ICCID: it has 18 to 20 digits").map(Some)
}

fn window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    match u8::deserialize(deserializer)? {
        value @ 0..=15 => Ok(value),
        _ => Err(serde::de::Error::custom("a paging time window is 0 to 15 (TS 24.008 §10.5.5.32)")),
    }
}

/// Received strength, or `"none"`.
struct Strength(Option<i16>);

impl<'de> Deserialize<'de> for Strength {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Strength;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a signal of -140 to -40 (dBm), or \"none\"")
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Strength, E> {
                match i16::try_from(value) {
                    Ok(dbm @ -140..=-40) => Ok(Strength(Some(dbm))),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Signed(value), &self)),
                }
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Strength, E> {
                match value {
                    "none" => Ok(Strength(None)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(value), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

fn coverage<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Technology, Option<i16>>, D::Error> {
    let map = BTreeMap::<Technology, Strength>::deserialize(deserializer)?;
    Ok(map.into_iter().map(|(technology, Strength(strength))| (technology, strength)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_may_say() {
        let spec = NetworkSpec::from_toml(
            r#"
            rrc_release = "10s"
            [[operator]]
            plmn = "26201"
            name = "Roamland"
            coverage = { lte = -91, lte-m = -100, 2g = "none" }
            psm = { longest_periodic = "12h" }
            edrx = { supported = false }
            [[subscription]]
            imsi = "901430000000001"
            state = "suspended"
            technologies = ["4g"]
            dns = "blocked"
            address = "10.0.0.7"
            imei = "490154203237518"
            keys = { ki = "000102030405060708090A0B0C0D0E0F", opc = "69D5C2EB2E2E624750541D3BBC692BA5" }
            "#,
        )
        .unwrap();
        let operator = &spec.operators[0];
        assert_eq!(operator.coverage.get(&Technology::Gsm), Some(&None));
        assert_eq!(operator.psm.longest_periodic, Duration::from_secs(12 * 3600));
        assert!(!operator.edrx.supported && operator.psm.supported && operator.roaming);
        assert_eq!(spec.subscriptions[0].technologies, Some(vec![Technology::Lte]));
        assert_eq!(spec.subscriptions[0].state, SubscriptionState::Suspended);
        assert_eq!(NetworkSpec::from_toml("").unwrap(), NetworkSpec::default());
    }

    #[test]
    fn mistakes_have_a_place() {
        let error = NetworkSpec::from_toml("[[operator]]\nplmn = \"2620\"\n").unwrap_err();
        insta::assert_snapshot!(error.to_string(), @r#"
        TOML parse error at line 2, column 8
          |
        2 | plmn = "2620"
          |        ^^^^^^
        "2620" is no PLMN: it has the three digits of the MCC and two or three of the MNC
        "#);
        for (bad, message) in [
            ("rrc_release = \"soon\"", "no length of time"),
            ("[[operator]]\nname = \"x\"", "an operator has a `plmn`"),
            ("[[operator]]\nplmn = \"26201\"\ncoverage = { lte = 3 }", "-140 to -40"),
            ("[[operator]]\nplmn = \"26201\"\ncoverage = { wifi = -60 }", "unknown variant `wifi`"),
            ("[[operator]]\nplmn = \"26201\"\ncoverage = {}", "has no coverage"),
            ("[[operator]]\nplmn = \"26201\"\n[[operator]]\nplmn = \"26201\"", "twice"),
            ("[[operator]]\nhome = true\n[[operator]]\nhome = true", "home network"),
            ("[[subscription]]\nimsi = \"12x\"", "no IMSI"),
            ("[[subscription]]\nstate = \"on\"", "unknown variant `on`"),
            ("[[subscription]]\nimei = \"4901\"", "no IMEI"),
            ("[[subscription]]\nkeys = { ki = \"00\" }", "Milenage has `ki` and `opc` of 32 hexadecimal digits"),
            ("[[subscription]]\nkeys = { ki = \"zz\", algorithm = \"tuak\" }", "TUAK has"),
            ("[[subscription]]\nkeys = { ki = \"00\", algorithm = \"test\" }", "the test algorithm has"),
        ] {
            let error = NetworkSpec::from_toml(bad).unwrap_err();
            assert!(error.message.contains(message), "{bad}: {error}");
        }
    }

    #[test]
    fn lengths_of_time() {
        assert_eq!(parse_duration("140h"), Some(Duration::from_secs(504_000)));
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        for wrong in ["", "10", "s", "-1s", "10 days", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }
}
