//! Cards as data: what a card is like, read from one TOML file. The files in `cards/` are built in, each a card that
//! somebody has met; a file of one's own has the same form.
//!
//! A file holds no keys. It names the CIs under which the card is to have some, most preferred first; whoever makes the
//! card takes them from its PKI, and profiles from where it has them:
//!
//! ```
//! use euicc::spec::CardSpec;
//! let spec = CardSpec::from_toml(
//!     r#"
//!     svn = "2.2.2"
//!     ci  = ["brainpool", "p256"]
//!     [quirks]
//!     switch_form = "without-refresh"
//!     "#,
//! )?;
//! assert_eq!(spec.ci.len(), 2);
//! # Ok::<(), euicc::spec::SpecError>(())
//! ```

use std::ops::Range;
use std::path::PathBuf;

use rsp::crypto::Curve;
use rsp::es10::profiles::{AuthorisationRule, OperatorId};
use rsp::ids::{IdError, from_hex};
use rsp::tlv::NamedBits;
use rsp::{Aid, Eid, Iccid, Version};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::applet::MultiImsi;
use crate::config::{CardConfig, Quirks, RefreshMode, SwitchForm, ppr, rsp_capability, uicc_capability};

/// A file that describes no card.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SpecError {
    /// It cannot be read. The text holds line, column and the line itself.
    #[error("{text}")]
    Toml {
        /// The whole description, of several lines.
        text: String,
        /// The mistake in one line.
        message: String,
        /// Where in the file it is, in bytes.
        span: Option<Range<usize>>,
    },
    /// There is no built-in card of this name.
    #[error("there is no card {name:?}; the built-in ones are {}", CardSpec::names().collect::<Vec<_>>().join(", "))]
    Unknown {
        /// The name.
        name: String,
    },
}

/// Where a profile comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileSource {
    /// One that whoever makes the card knows by this name.
    Named(String),
    /// A profile package in a file; a relative path begins at the file of the card.
    Package(PathBuf),
}

impl std::fmt::Display for ProfileSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ProfileSource::Named(name) => f.write_str(name),
            ProfileSource::Package(path) => path.display().fmt(f),
        }
    }
}

/// A profile that the card leaves the factory with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileEntry {
    /// Where it comes from.
    pub source: ProfileSource,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Its nickname.
    pub nickname: Option<String>,
}

/// What a card is like, without its keys. What a file does not tell is as [`CardConfig::new`] has it.
#[derive(Debug, Clone)]
pub struct CardSpec {
    /// What is special about it, in words.
    pub note: String,
    /// Its EID, when it has one of its own.
    pub eid: Option<Eid>,
    /// The curves of the CIs under which it has keys, most preferred first; empty when nothing is told.
    pub ci: Vec<Curve>,
    /// The curves of the CIs that it trusts beside them.
    pub trusted: Vec<Curve>,
    /// The profiles it leaves the factory with.
    pub profiles: Vec<ProfileEntry>,
    /// Where each of them is named.
    places: Vec<Range<usize>>,
    file: File,
}

macro_rules! built_in {
    ($($name:literal,)*) => {
        /// The cards that are built in, by name.
        const BUILT_IN: &[(&str, &str)] = &[$(($name, include_str!(concat!("../cards/", $name, ".toml"))),)*];
    };
}

built_in! {
    "consumer",
    "crl",
    "two-curves",
    "5ber",
    "eastcompeace",
    "esim-me",
    "infineon-oc1120",
    "locked-after-enable",
    "mbim-no-le",
    "multi-imsi",
    "particle",
    "plain-usim",
    "short-blocks",
    "st4sim",
    "toolkit-busy",
}

impl SpecError {
    /// A problem at a place in the text of a file, shown as TOML's own are.
    fn at(text: &str, place: Range<usize>, problem: &str) -> Self {
        let start = place.start.min(text.len());
        let before = text.get(..start).unwrap_or_default();
        let line = before.lines().count().max(1) + usize::from(before.ends_with('\n') && !before.is_empty());
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let content = text.get(begin..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let column = before.get(begin..).unwrap_or_default().chars().count();
        let length =
            text.get(start..place.end).and_then(|part| part.lines().next()).map_or(1, |part| part.chars().count());
        let margin = " ".repeat(line.to_string().len());
        let text = format!(
            "TOML error at line {line}, column {}\n{margin} |\n{line} | {content}\n{margin} | {}{}\n{problem}\n",
            column + 1,
            " ".repeat(column),
            "^".repeat(length.max(1)),
        );
        SpecError::Toml { text, message: problem.to_owned(), span: Some(place) }
    }
}

impl CardSpec {
    /// What is wrong with the profile at this place in the list, found by whoever fetches it; `text` is the file.
    pub fn refuse_profile(&self, text: &str, index: usize, problem: &str) -> SpecError {
        SpecError::at(text, self.places.get(index).cloned().unwrap_or_default(), problem)
    }

    /// The names of the built-in cards.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in card.
    pub fn named(name: &str) -> Result<Self, SpecError> {
        CardSpec::from_toml(CardSpec::text(name)?)
    }

    /// The file of a built-in card, to begin one's own with.
    pub fn text(name: &str) -> Result<&'static str, SpecError> {
        let found = BUILT_IN.iter().find(|(known, _)| *known == name);
        found.map(|(_, text)| *text).ok_or_else(|| SpecError::Unknown { name: name.to_owned() })
    }

    /// Reads a file.
    pub fn from_toml(text: &str) -> Result<Self, SpecError> {
        let file: File = toml::from_str(text).map_err(|error: toml::de::Error| SpecError::Toml {
            text: error.to_string(),
            message: error.message().to_owned(),
            span: error.span(),
        })?;
        let (mut profiles, mut places) = (Vec::new(), Vec::new());
        for entry in &file.profile {
            let profile = entry.get_ref();
            let (source, place) = match (&profile.profile, &profile.package) {
                (Some(name), None) => (ProfileSource::Named(name.get_ref().clone()), name.span()),
                (None, Some(path)) => (ProfileSource::Package(path.get_ref().clone()), path.span()),
                _ => {
                    let problem = "a [[profile]] has either `profile`, a name, or `package`, a file";
                    return Err(SpecError::at(text, entry.span(), problem));
                }
            };
            if profile.enabled && profiles.iter().any(|before: &ProfileEntry| before.enabled) {
                return Err(SpecError::at(text, entry.span(), "at most one [[profile]] is enabled"));
            }
            places.push(place);
            profiles.push(ProfileEntry { source, enabled: profile.enabled, nickname: profile.nickname.clone() });
        }
        Ok(CardSpec {
            note: file.note.trim().to_owned(),
            eid: file.eid,
            ci: file.ci.iter().map(|name| name.curve()).collect(),
            trusted: file.trusted.iter().map(|name| name.curve()).collect(),
            profiles,
            places,
            file,
        })
    }

    /// Makes a card with keys of its own one of this kind. Profiles are for the caller to add.
    pub fn apply(&self, config: &mut CardConfig) {
        let file = &self.file;
        let set = |target: &mut Version, value: Option<Version>| *target = value.unwrap_or(*target);
        set(&mut config.svn, file.svn);
        set(&mut config.profile_version, file.profile_version);
        set(&mut config.firmware, file.firmware);
        set(&mut config.pp_version, file.pp_version);
        config.ts102241 = file.ts102241.or(config.ts102241);
        config.global_platform = file.globalplatform.or(config.global_platform);
        if let Some(names) = &file.uicc_capabilities {
            config.uicc_capability = NamedBits::of(&names.iter().map(|name| name.bit()).collect::<Vec<_>>());
        }
        if let Some(names) = &file.rsp_capabilities {
            config.rsp_capability = NamedBits::of(&names.iter().map(|name| name.bit()).collect::<Vec<_>>());
        }
        config.category = file.category.map(|category| category as u32).or(config.category);
        if let Some(rules) = &file.forbidden_pprs {
            config.forbidden_pprs = bits(rules);
        }
        if let Some(rules) = &file.rat {
            config.rat = rules.iter().map(RatFile::rule).collect();
        }
        if let Some(number) = &file.sas_number {
            config.sas_number.clone_from(number);
        }
        if let Some(certification) = &file.certification {
            config.certification = Some((certification.platform_label.clone(), certification.discovery_url.clone()));
        }
        config.default_smdp = file.default_smdp.clone().or(config.default_smdp.take());
        if let Some(address) = &file.root_smds {
            config.root_smds.clone_from(address);
        }
        if let Some(aid) = &file.isdr_aid {
            config.isdr_aid = aid.clone();
        }
        config.memory = file.memory.unwrap_or(config.memory);
        config.ram = file.ram.unwrap_or(config.ram);
        config.is_euicc = file.kind == Kind::Euicc;
        config.refresh_mode = match file.refresh {
            RefreshFile::UiccReset => RefreshMode::UiccReset,
            RefreshFile::ProfileStateChange => RefreshMode::ProfileStateChange,
        };
        config.multi_imsi = file.multi_imsi.as_ref().map(MultiImsiFile::applet);
        let quirks = &file.quirks;
        config.quirks = Quirks {
            hidden_until_terminal_capability: quirks.hidden_until_terminal_capability,
            no_data_without_le: quirks.no_data_without_le,
            switch_form: match quirks.switch_form {
                SwitchFile::Any => SwitchForm::Any,
                SwitchFile::WithoutRefresh => SwitchForm::WithoutRefresh,
                SwitchFile::AidAndRefresh => SwitchForm::AidAndRefresh,
            },
            longest_block: quirks.longest_block,
            locked_until_reset: quirks.locked_until_reset,
            busy_until_reset: quirks.busy_until_reset,
            default_iccid: quirks.default_iccid,
        };
    }
}

/// The form of a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    note: String,
    #[serde(default)]
    kind: Kind,
    #[serde(default, deserialize_with = "eid")]
    eid: Option<Eid>,
    #[serde(default)]
    ci: Vec<CurveName>,
    #[serde(default)]
    trusted: Vec<CurveName>,
    #[serde(default, deserialize_with = "version")]
    svn: Option<Version>,
    #[serde(default, deserialize_with = "version")]
    profile_version: Option<Version>,
    #[serde(default, deserialize_with = "version")]
    firmware: Option<Version>,
    #[serde(default, deserialize_with = "version")]
    ts102241: Option<Version>,
    #[serde(default, deserialize_with = "version")]
    globalplatform: Option<Version>,
    #[serde(default, deserialize_with = "version")]
    pp_version: Option<Version>,
    uicc_capabilities: Option<Vec<UiccCapability>>,
    rsp_capabilities: Option<Vec<RspCapability>>,
    category: Option<Category>,
    forbidden_pprs: Option<Vec<Ppr>>,
    rat: Option<Vec<RatFile>>,
    sas_number: Option<String>,
    certification: Option<CertificationFile>,
    default_smdp: Option<String>,
    root_smds: Option<String>,
    #[serde(default, deserialize_with = "aid")]
    isdr_aid: Option<Aid>,
    memory: Option<u32>,
    ram: Option<u32>,
    #[serde(default)]
    refresh: RefreshFile,
    multi_imsi: Option<MultiImsiFile>,
    #[serde(default)]
    quirks: QuirksFile,
    #[serde(default)]
    profile: Vec<Spanned<ProfileFile>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MultiImsiFile {
    #[serde(deserialize_with = "imsi")]
    fallback: String,
    #[serde(default)]
    preferred: Vec<PreferredFile>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PreferredFile {
    #[serde(deserialize_with = "countries")]
    countries: Vec<String>,
    #[serde(deserialize_with = "imsi")]
    imsi: String,
}

impl MultiImsiFile {
    fn applet(&self) -> MultiImsi {
        let preferred = self.preferred.iter().map(|entry| (entry.countries.clone(), entry.imsi.clone())).collect();
        MultiImsi { preferred, fallback: self.fallback.clone() }
    }
}

fn is_digits(text: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn imsi<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    // TS 23.003 §2.2: at most 15 digits.
    match is_digits(&text, 6..=15) {
        true => Ok(text),
        false => Err(serde::de::Error::custom(format!("{text:?} is no IMSI: it has up to 15 digits"))),
    }
}

fn countries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list = Vec::<String>::deserialize(deserializer)?;
    match list.iter().find(|country| !is_digits(country, 3..=3)) {
        None => Ok(list),
        Some(country) => Err(serde::de::Error::custom(format!("{country:?} is no country: an MCC has three digits"))),
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Euicc,
    Usim,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CurveName {
    P256,
    Brainpool,
}

impl CurveName {
    fn curve(self) -> Curve {
        match self {
            CurveName::P256 => Curve::P256,
            CurveName::Brainpool => Curve::BrainpoolP256r1,
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Category {
    Other = 0,
    Basic = 1,
    Medium = 2,
    Contactless = 3,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Ppr {
    Ppr1,
    Ppr2,
}

fn bits(rules: &[Ppr]) -> NamedBits {
    let bit = |rule: &Ppr| match rule {
        Ppr::Ppr1 => ppr::PPR1,
        Ppr::Ppr2 => ppr::PPR2,
    };
    NamedBits::of(&rules.iter().map(bit).collect::<Vec<_>>())
}

macro_rules! capabilities {
    ($name:ident in $bits:ident: $($(#[$meta:meta])* $variant:ident = $bit:ident,)*) => {
        #[derive(Debug, Clone, Copy, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum $name {
            $($(#[$meta])* $variant,)*
        }

        impl $name {
            fn bit(self) -> u8 {
                match self {
                    $($name::$variant => $bits::$bit,)*
                }
            }
        }
    };
}

capabilities! {
    UiccCapability in uicc_capability:
    Contactless = CONTACTLESS,
    Usim = USIM,
    Isim = ISIM,
    Csim = CSIM,
    Milenage = MILENAGE,
    Cave = CAVE,
    #[serde(rename = "tuak-128")]
    Tuak128 = TUAK_128,
    #[serde(rename = "tuak-256")]
    Tuak256 = TUAK_256,
    UsimTestAlgorithm = USIM_TEST_ALGORITHM,
    GbaUsim = GBA_USIM,
    GbaIsim = GBA_ISIM,
    Mbms = MBMS,
    Eap = EAP,
    JavaCard = JAVA_CARD,
    Multos = MULTOS,
    MultipleUsim = MULTIPLE_USIM,
    MultipleIsim = MULTIPLE_ISIM,
    MultipleCsim = MULTIPLE_CSIM,
    BerTlv = BER_TLV,
    DfLink = DF_LINK,
    CatTp = CAT_TP,
    GetIdentity = GET_IDENTITY,
    X25519 = X25519,
    P256 = P256,
    SuciCalculatorApi = SUCI_CALCULATOR_API,
}

capabilities! {
    RspCapability in rsp_capability:
    AdditionalProfile = ADDITIONAL_PROFILE,
    Crl = CRL,
    TestProfile = TEST_PROFILE,
    DeviceInfoExtensibility = DEVICE_INFO_EXTENSIBILITY,
}

/// A line of the rules authorisation table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RatFile {
    pprs: Vec<Ppr>,
    operators: Vec<OperatorFile>,
    #[serde(default)]
    consent: bool,
}

/// An operator: `mcc_mnc` as TS 24.008 codes it, with E for any digit; groups in hexadecimal digits, `""` for any.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorFile {
    #[serde(deserialize_with = "mcc_mnc")]
    mcc_mnc: [u8; 3],
    #[serde(default, deserialize_with = "group")]
    gid1: Option<Vec<u8>>,
    #[serde(default, deserialize_with = "group")]
    gid2: Option<Vec<u8>>,
}

impl RatFile {
    fn rule(&self) -> AuthorisationRule {
        let operators = self.operators.iter();
        AuthorisationRule {
            ppr_ids: bits(&self.pprs),
            allowed_operators: operators
                .map(|operator| OperatorId {
                    mcc_mnc: operator.mcc_mnc,
                    gid1: operator.gid1.clone(),
                    gid2: operator.gid2.clone(),
                })
                .collect(),
            consent_required: self.consent,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificationFile {
    platform_label: String,
    discovery_url: String,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RefreshFile {
    #[default]
    UiccReset,
    ProfileStateChange,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SwitchFile {
    #[default]
    Any,
    WithoutRefresh,
    AidAndRefresh,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct QuirksFile {
    hidden_until_terminal_capability: bool,
    no_data_without_le: bool,
    switch_form: SwitchFile,
    longest_block: Option<u8>,
    locked_until_reset: bool,
    busy_until_reset: bool,
    #[serde(deserialize_with = "iccid")]
    default_iccid: Option<Iccid>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    profile: Option<Spanned<String>>,
    package: Option<Spanned<PathBuf>>,
    #[serde(default)]
    enabled: bool,
    nickname: Option<String>,
}

/// Reads a text that has a form of its own.
fn read<'de, D: Deserializer<'de>, T>(
    from: D,
    parse: impl FnOnce(&str) -> Result<T, IdError>,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).map(Some).map_err(serde::de::Error::custom)
}

fn eid<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Eid>, D::Error> {
    read(from, Eid::parse)
}

fn version<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Version>, D::Error> {
    read(from, Version::parse)
}

fn aid<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Aid>, D::Error> {
    read(from, Aid::parse)
}

fn iccid<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Iccid>, D::Error> {
    read(from, Iccid::parse)
}

fn mcc_mnc<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 3], D::Error> {
    let text = String::deserialize(from)?;
    let bytes = from_hex(&text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| {
        serde::de::Error::custom("mcc_mnc has three bytes as in TS 24.008, such as \"62F210\" or \"EEEEEE\"")
    })
}

fn group<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text = String::deserialize(from)?;
    from_hex(&text)
        .map(Some)
        .ok_or_else(|| serde::de::Error::custom("a group identifier is written in hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(text: &str) -> CardConfig {
        let eid = Eid::parse("89049032123451234512345678901235").unwrap();
        let mut config = CardConfig::new(eid, Vec::new());
        CardSpec::from_toml(text).unwrap().apply(&mut config);
        config
    }

    #[test]
    fn every_built_in_card_can_be_read() {
        // proves: Cards as data - one TOML file, every built-in card
        for name in CardSpec::names() {
            let spec = CardSpec::named(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!spec.note.is_empty(), "{name} does not say what it is");
        }
        let error = CardSpec::named("5bar").unwrap_err().to_string();
        assert!(error.contains("5ber"), "{error}");
    }

    #[test]
    fn an_empty_file_is_the_usual_card() {
        let usual = CardConfig::new(Eid::parse("89049032123451234512345678901235").unwrap(), Vec::new());
        assert_eq!(format!("{:?}", card("")), format!("{usual:?}"));
    }

    #[test]
    fn everything_can_be_told() {
        // proves: Cards as data - one TOML file, every built-in card
        let text = r#"
            note = "all of it"
            kind = "usim"
            eid = "89049032123451234512345678901235"
            ci = ["brainpool", "p256"]
            trusted = ["p256"]
            svn = "2.2.2"
            profile_version = "2.1.0"
            firmware = "4.5.6"
            ts102241 = "9.2.0"
            globalplatform = "2.2.0"
            pp_version = "0.0.1"
            uicc_capabilities = ["usim", "milenage", "tuak-128", "x25519"]
            rsp_capabilities = ["additional-profile"]
            category = "medium"
            forbidden_pprs = ["ppr1"]
            sas_number = "GI-BA-UP-0419"
            certification = { platform_label = "1.2.840.1234567/label", discovery_url = "https://example.com" }
            default_smdp = "smdp.example.com"
            root_smds = "ds.example.com"
            isdr_aid = "A0000005591010000000008900000300"
            memory = 100_000
            ram = 5970
            refresh = "profile-state-change"

            [[rat]]
            pprs = ["ppr1", "ppr2"]
            operators = [{ mcc_mnc = "62F210", gid1 = "", gid2 = "44" }]
            consent = true

            [quirks]
            hidden_until_terminal_capability = true
            no_data_without_le = true
            switch_form = "aid-and-refresh"
            longest_block = 120
            locked_until_reset = true
            busy_until_reset = true
            default_iccid = "89000000000000000000"

            [[profile]]
            profile = "operator-a"
            enabled = true
            nickname = "Work"

            [[profile]]
            package = "test.der"
        "#;
        let spec = CardSpec::from_toml(text).unwrap();
        assert_eq!((&spec.ci[..], &spec.trusted[..]), (&[Curve::BrainpoolP256r1, Curve::P256][..], &[Curve::P256][..]));
        assert_eq!(spec.eid.unwrap().to_string(), "89049032123451234512345678901235");
        assert_eq!(
            spec.profiles,
            [
                ProfileEntry {
                    source: ProfileSource::Named("operator-a".to_owned()),
                    enabled: true,
                    nickname: Some("Work".to_owned())
                },
                ProfileEntry { source: ProfileSource::Package("test.der".into()), enabled: false, nickname: None },
            ]
        );
        let config = card(text);
        assert_eq!((config.svn, config.firmware), (Version::new(2, 2, 2), Version::new(4, 5, 6)));
        assert_eq!((config.profile_version, config.pp_version), (Version::new(2, 1, 0), Version::new(0, 0, 1)));
        assert_eq!(config.ts102241.zip(config.global_platform), Some((Version::new(9, 2, 0), Version::new(2, 2, 0))));
        assert_eq!(config.uicc_capability, NamedBits::of(&[1, 4, 6, 23]));
        assert_eq!(config.rsp_capability, NamedBits::of(&[0]));
        assert_eq!((config.category, config.forbidden_pprs), (Some(2), NamedBits::of(&[1])));
        assert_eq!((config.memory, config.ram, config.is_euicc), (100_000, 5970, false));
        assert_eq!(config.refresh_mode, RefreshMode::ProfileStateChange);
        assert_eq!(config.sas_number, "GI-BA-UP-0419");
        assert_eq!(config.certification.unwrap().0, "1.2.840.1234567/label");
        assert_eq!(
            (config.default_smdp.as_deref(), &config.root_smds[..]),
            (Some("smdp.example.com"), "ds.example.com")
        );
        assert_eq!(config.isdr_aid.to_string(), "A0000005591010000000008900000300");
        assert_eq!(
            config.rat,
            [AuthorisationRule {
                ppr_ids: NamedBits::of(&[1, 2]),
                allowed_operators: vec![OperatorId {
                    mcc_mnc: [0x62, 0xF2, 0x10],
                    gid1: Some(Vec::new()),
                    gid2: Some(vec![0x44])
                }],
                consent_required: true,
            }]
        );
        let quirks = config.quirks;
        assert_eq!(quirks.switch_form, SwitchForm::AidAndRefresh);
        assert!(quirks.hidden_until_terminal_capability && quirks.no_data_without_le);
        assert!(quirks.locked_until_reset && quirks.busy_until_reset);
        assert_eq!(
            (quirks.longest_block, quirks.default_iccid),
            (Some(120), Iccid::parse("89000000000000000000").ok())
        );
    }

    #[test]
    fn a_profile_that_cannot_be_fetched_has_a_place() {
        let text = "memory = 5\n\n[[profile]]\nprofile = \"a\"\n[[profile]]\n  package = \"b.der\"";
        let spec = CardSpec::from_toml(text).unwrap();
        assert_eq!(
            spec.refuse_profile(text, 1, "it is not there").to_string(),
            "TOML error at line 6, column 13\n  |\n6 |   package = \"b.der\"\n  |             ^^^^^^^\nit is not there\n"
        );
        assert!(spec.refuse_profile(text, 0, "x").to_string().contains("\n4 | profile = \"a\"\n  |           ^^^\n"));
        assert_eq!(spec.profiles[1].source.to_string(), "b.der");
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, place) in [
            ("svn = \"2\"", "line 1"),
            ("\nmemery = 5", "line 2"),
            ("[quirks]\nsticky = true", "line 2"),
            ("ci = [\"p521\"]", "line 1"),
            ("eid = \"123\"", "line 1"),
            ("isdr_aid = \"A0\"", "line 1"),
            ("[[rat]]\npprs = []\noperators = [{ mcc_mnc = \"26201\" }]", "line 3"),
            ("[[rat]]\npprs = []\noperators = [{ mcc_mnc = \"62F210\", gid1 = \"x\" }]", "line 3"),
            ("[[profile]]\nenabled = true", "line 1"),
            ("ram = 1\n[[profile]]\nprofile = \"a\"\npackage = \"b\"", "line 2"),
            (
                "[[profile]]\nprofile = \"a\"\nenabled = true\n[[profile]]\nprofile = \"b\"\nenabled = true",
                "at most one",
            ),
        ] {
            let error = CardSpec::from_toml(text).unwrap_err().to_string();
            assert!(error.contains(place), "{text}: {error}");
        }
    }
}
