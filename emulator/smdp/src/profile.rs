//! Profiles: from a short description, or from a file, to an unprotected profile package and its metadata.
//!
//! [`ProfileSpec`] says in a few words what a profile is; [`Profile::build`] makes of it the profile elements of SAIP
//! 2.3 in their order (header, MF, PUK, PIN, phone book, USIM, optional USIM files, PIN2, AKA parameters, GSM access,
//! 5GS, security domain, end) and what the card is told in StoreMetadata. [`Profile::from_package`] takes a package as it is and reads from its
//! header what it can. [`built_in`] has some profiles ready.

mod package;
mod record;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rsp::Iccid;
use rsp::es10::download::{NotificationConfiguration, StoreMetadata};
use rsp::es10::notification::NotificationEvent;
use rsp::es10::profiles::ProfileClass;
use rsp::ids::from_hex;
use rsp::saip::elements::Element;
use rsp::saip::{Kind, ProfileHeader, SaipError, split};
use rsp::tlv::NamedBits;
use serde::Deserialize;

use package::Builder;

/// A description or a package of which no profile can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A value of the description breaks its rule.
    #[error("profile {profile}: {field} {rule}")]
    Value {
        /// The profile's name.
        profile: String,
        /// The key in the description.
        field: &'static str,
        /// The rule that it breaks.
        rule: String,
    },
    /// The package cannot be read.
    #[error("profile {profile}: its package cannot be used: {source}")]
    Package {
        /// The profile's name.
        profile: String,
        /// What is wrong with it.
        source: SaipError,
    },
    /// The package has no end element, or something after it.
    #[error("profile {profile}: its package does not stop at its end element; is the file cut short, or protected?")]
    NoEnd {
        /// The profile's name.
        profile: String,
    },
    /// A list of profiles that does not parse.
    #[error("the list of profiles does not parse: {0}")]
    List(String),
}

/// The class of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// For tests of the device.
    Test,
    /// To come by other profiles.
    Provisioning,
    /// An operator's.
    #[default]
    Operational,
}

impl From<Class> for ProfileClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Test => ProfileClass::Test,
            Class::Provisioning => ProfileClass::Provisioning,
            Class::Operational => ProfileClass::Operational,
        }
    }
}

/// The authentication algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// 3GPP TS 35.206.
    #[default]
    Milenage,
    /// 3GPP TS 35.231.
    Tuak,
    /// The test algorithm of 3GPP TS 34.108.
    Test,
}

/// A profile policy rule (SGP.22 §2.9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyRule {
    /// PPR1: disabling is not allowed.
    NoDisable,
    /// PPR2: deletion is not allowed.
    NoDelete,
}

/// An event that the card has to notify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The profile was installed.
    Install,
    /// It was enabled.
    Enable,
    /// It was disabled.
    Disable,
    /// It was deleted.
    Delete,
}

impl From<Event> for NotificationEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::Install => NotificationEvent::Install,
            Event::Enable => NotificationEvent::Enable,
            Event::Disable => NotificationEvent::Disable,
            Event::Delete => NotificationEvent::Delete,
        }
    }
}

/// Whom the card tells of which events.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NotificationSpec {
    /// The events.
    pub events: Vec<Event>,
    /// The server; the SM-DP+ itself where none is named.
    #[serde(default)]
    pub address: Option<String>,
}

/// A profile in a few words; read from TOML.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProfileSpec {
    /// What the profile is called, at most 64 bytes.
    pub name: String,
    /// Who provides it, at most 32 bytes.
    pub provider: String,
    /// 18 to 20 digits.
    pub iccid: String,
    /// 6 to 15 digits.
    pub imsi: String,
    /// How many digits of the IMSI are the MNC: 2 or 3.
    #[serde(default = "two")]
    pub mnc_digits: u8,
    /// The telephone number, with or without `+`.
    #[serde(default)]
    pub msisdn: Option<String>,
    /// The number of the short message service centre, with or without `+`.
    #[serde(default)]
    pub smsc: Option<String>,
    /// Group identifier level 1, 1 to 8 bytes in hexadecimal digits.
    #[serde(default)]
    pub gid1: Option<String>,
    /// Group identifier level 2, likewise.
    #[serde(default)]
    pub gid2: Option<String>,
    /// The authentication key, 32 hexadecimal digits; for TUAK 32 or 64.
    pub ki: String,
    /// OPc, 32 hexadecimal digits; for TUAK TOPc, 64.
    pub opc: String,
    /// The authentication algorithm.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// PIN1, 4 to 8 digits.
    #[serde(default = "four_zeros")]
    pub pin1: String,
    /// Whether PIN1 is asked for.
    #[serde(default)]
    pub pin1_enabled: bool,
    /// PUK1, 8 digits.
    #[serde(default = "eight_ones")]
    pub puk1: String,
    /// PIN2, 4 to 8 digits.
    #[serde(default = "four_nines")]
    pub pin2: String,
    /// PUK2, 8 digits.
    #[serde(default = "eight_twos")]
    pub puk2: String,
    /// ADM1, 4 to 8 digits or 16 hexadecimal ones.
    #[serde(default = "eight_fives")]
    pub adm1: String,
    /// The key set of the security domain for SCP80: KIc, KID and DEK, AES, 32 hexadecimal digits each. Where there
    /// is none, it is derived from Ki, so that the same description gives the same package.
    #[serde(default)]
    pub ota_keys: Option<[String; 3]>,
    /// The class.
    #[serde(default)]
    pub class: Class,
    /// An icon of 64 by 64 pixels, PNG or JPEG, at most 1024 bytes, in Base64.
    #[serde(default)]
    pub icon: Option<String>,
    /// Profile policy rules.
    #[serde(default)]
    pub policy: Vec<PolicyRule>,
    /// Whom the card tells of what; all events to the SM-DP+ where nothing is said.
    #[serde(default)]
    pub notifications: Option<Vec<NotificationSpec>>,
}

fn two() -> u8 {
    2
}

fn four_zeros() -> String {
    "0000".to_owned()
}

fn four_nines() -> String {
    "9999".to_owned()
}

fn eight_ones() -> String {
    "11111111".to_owned()
}

fn eight_twos() -> String {
    "22222222".to_owned()
}

fn eight_fives() -> String {
    "55555555".to_owned()
}

impl fmt::Debug for ProfileSpec {
    /// Says which profile it is, and never its keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfileSpec").field("name", &self.name).field("iccid", &self.iccid).finish_non_exhaustive()
    }
}

impl ProfileSpec {
    /// The same profile for the `n`-th subscriber: the last nine digits before the check digit of the ICCID and of
    /// the IMSI count up, and so does the telephone number.
    pub fn numbered(&self, n: u32) -> Self {
        let mut spec = self.clone();
        if n > 0 {
            let body = self.iccid.get(..18).unwrap_or(&self.iccid);
            let iccid = count_up(body, n);
            spec.iccid = format!("{iccid}{}", luhn_check_digit(&iccid));
            spec.imsi = count_up(&self.imsi, n);
            spec.msisdn = self.msisdn.as_deref().map(|number| count_up(number, n));
        }
        spec
    }

    fn bad(&self, field: &'static str, rule: impl Into<String>) -> ProfileError {
        ProfileError::Value { profile: self.name.clone(), field, rule: rule.into() }
    }

    fn key(&self, field: &'static str, text: &str) -> Result<[u8; 16], ProfileError> {
        from_hex(text)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| self.bad(field, "has to be 32 hexadecimal digits"))
    }

    /// A PIN as SAIP keeps it: ASCII digits, padded with FF to 8 bytes (TS 102 221 §9.5.1).
    fn pin(&self, field: &'static str, text: &str, shortest: usize) -> Result<Vec<u8>, ProfileError> {
        if !(shortest..=8).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            let count = if shortest == 8 { "8".to_owned() } else { format!("{shortest} to 8") };
            return Err(self.bad(field, format!("has to be {count} digits")));
        }
        let mut value = text.as_bytes().to_vec();
        value.resize(8, 0xFF);
        Ok(value)
    }
}

/// Adds `n` to the digits at the end, at most nine of them, and keeps their count.
fn count_up(digits: &str, n: u32) -> String {
    let tail = digits.bytes().rev().take(9).take_while(u8::is_ascii_digit).count();
    let (head, tail) = digits.split_at(digits.len() - tail);
    let width = tail.len();
    let modulus = 10u64.pow(width as u32);
    let number = (tail.parse::<u64>().unwrap_or(0) + u64::from(n)) % modulus;
    format!("{head}{number:0width$}")
}

/// The check digit of ITU-T E.118 (Luhn) for the digits before it.
pub fn luhn_check_digit(digits: &str) -> char {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, byte)| {
            let digit = u32::from(byte.saturating_sub(b'0'));
            match index % 2 {
                0 if digit > 4 => digit * 2 - 9,
                0 => digit * 2,
                _ => digit,
            }
        })
        .sum();
    char::from_digit((10 - sum % 10) % 10, 10).unwrap_or('0')
}

/// What the user is told of a profile from a file, beside what its package says itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PackageNames {
    /// What the profile is called; the profile type in the package's header where nothing is said.
    #[serde(default)]
    pub name: Option<String>,
    /// Who provides it.
    #[serde(default)]
    pub provider: Option<String>,
    /// The class.
    #[serde(default)]
    pub class: Class,
}

/// A profile that can be ordered: its unprotected package and what the card is told of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    metadata: StoreMetadata,
    /// `None` is the address of the SM-DP+.
    notifications: Vec<(NamedBits, Option<String>)>,
    package: Arc<[u8]>,
}

impl fmt::Debug for Profile {
    /// Says which profile it is, and never what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("name", &self.metadata.profile_name)
            .field("iccid", &self.metadata.iccid)
            .field("package_length", &self.package.len())
            .finish_non_exhaustive()
    }
}

impl Profile {
    /// Makes the package and the metadata of a description.
    pub fn build(spec: &ProfileSpec) -> Result<Self, ProfileError> {
        let builder = Builder::new(spec)?;
        let package = builder
            .elements()
            .iter()
            .map(Element::write)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| ProfileError::Package { profile: spec.name.clone(), source })?
            .concat();
        let all = NamedBits::of(&[0, 1, 2, 3]);
        let notifications = match &spec.notifications {
            None => vec![(all, None)],
            Some(list) => list
                .iter()
                .map(|entry| {
                    let bits = entry.events.iter().map(|event| NotificationEvent::from(*event) as u8);
                    (NamedBits::of(&bits.collect::<Vec<_>>()), entry.address.clone())
                })
                .collect(),
        };
        Ok(Profile { metadata: builder.metadata(), notifications, package: package.into() })
    }

    /// Takes a package as it is; ICCID and, where nothing else is said, the name come from its header.
    pub fn from_package(package: &[u8], names: &PackageNames) -> Result<Self, ProfileError> {
        let name = || names.name.clone().unwrap_or_else(|| "from a file".to_owned());
        let unusable = |source| ProfileError::Package { profile: name(), source };
        let header = ProfileHeader::of_package(package).map_err(unusable)?;
        let mut kinds = Vec::new();
        for element in split(package) {
            kinds.push(element.map_err(unusable)?.kind());
        }
        // SAIP: a package ends with its only end element.
        if kinds.iter().position(|kind| *kind == Kind::End) != Some(kinds.len() - 1) {
            return Err(ProfileError::NoEnd { profile: name() });
        }
        let profile_name = names.name.clone().or(header.profile_type).unwrap_or_else(|| "Profile".to_owned());
        let metadata = StoreMetadata {
            iccid: header.iccid,
            service_provider_name: shortened(names.provider.as_deref().unwrap_or("Profile package"), 32),
            profile_name: shortened(&profile_name, 64),
            icon_type: None,
            icon: None,
            profile_class: names.class.into(),
            notification_configuration: Vec::new(),
            profile_owner: None,
            profile_policy_rules: None,
        };
        Ok(Profile { metadata, notifications: vec![(NamedBits::of(&[0, 1, 2, 3]), None)], package: package.into() })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.metadata.profile_name
    }

    /// Its ICCID.
    pub fn iccid(&self) -> Iccid {
        self.metadata.iccid
    }

    /// The unprotected profile package.
    pub fn package(&self) -> &[u8] {
        &self.package
    }

    /// The profile policy rules of the metadata.
    pub(crate) fn policy_rules(&self) -> rsp::tlv::NamedBits {
        self.metadata.profile_policy_rules.unwrap_or_default()
    }

    /// What the card is told, with this server's address where notifications go to it.
    pub fn metadata(&self, server_address: &str) -> StoreMetadata {
        let mut metadata = self.metadata.clone();
        metadata.notification_configuration = self
            .notifications
            .iter()
            .map(|(events, address)| NotificationConfiguration {
                events: *events,
                address: address.clone().unwrap_or_else(|| server_address.to_owned()),
            })
            .collect();
        metadata
    }
}

/// At most `longest` bytes of a text, cut between characters.
fn shortened(text: &str, longest: usize) -> String {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Reads a list of profiles: a TOML table for each, under the name by which orders call it.
pub fn parse_list(text: &str) -> Result<BTreeMap<String, ProfileSpec>, ProfileError> {
    toml::from_str(text).map_err(|error| ProfileError::List(error.to_string()))
}

/// The profiles that come with the lab, by name.
pub fn built_in() -> BTreeMap<String, ProfileSpec> {
    parse_list(include_str!("profiles.toml")).unwrap_or_default()
}

/// A built-in profile by its name.
pub fn built_in_named(name: &str) -> Option<ProfileSpec> {
    built_in().remove(name)
}

#[cfg(test)]
mod tests;
