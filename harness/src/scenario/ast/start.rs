//! What is there before anything happens.

use std::time::Duration;

use rsp::crypto::Curve;
use rsp::es10::profiles::ProfileState;
use rsp::ids::Eid;
use smdp::OrderState;
use smdp::profile::PolicyRule;

use super::Word;
use super::template::Template;

/// The card at the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// What kind of card it is, by the name of a built-in one; the usual one when absent.
    pub kind: Option<String>,
    /// The file of a card of one's own, which is taken instead; relative to the scenario's folder.
    pub file: Option<String>,
    /// Whether it is in the modem.
    pub present: bool,
    /// Its EID; the lab's own when absent.
    pub eid: Option<Eid>,
    /// The profiles that are on it.
    pub profiles: Vec<InstalledProfile>,
    /// How many bytes are free for profiles, beside those that are on it.
    pub free_memory: Option<u32>,
    /// Its default SM-DP+ address; as the kind of card has it when absent.
    pub default_smdp: Option<Template>,
    /// The profile policy rules that it forbids.
    pub forbidden_rules: Vec<PolicyRule>,
    /// The curves of the CIs under which it has keys, most preferred first; that of the lab when empty.
    pub ci: Vec<Curve>,
    /// What is wrong with its certificate, if something is.
    pub certificate: CardCertificate,
}

impl Default for Card {
    fn default() -> Self {
        Card {
            kind: None,
            file: None,
            present: true,
            eid: None,
            profiles: Vec::new(),
            free_memory: None,
            default_smdp: None,
            forbidden_rules: Vec::new(),
            ci: Vec::new(),
            certificate: CardCertificate::Valid,
        }
    }
}

/// The certificate of a card.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CardCertificate {
    /// Nothing is wrong with it.
    #[default]
    Valid,
    /// It has expired.
    Expired,
    /// It is one of another CI, which neither server nor LPA know; that of the lab is not known to the card.
    OtherCi,
}

impl Word for CardCertificate {
    const ALL: &'static [(&'static str, Self)] = &[
        ("valid", CardCertificate::Valid),
        ("expired", CardCertificate::Expired),
        ("other-ci", CardCertificate::OtherCi),
    ];
}

/// A profile that is on the card at the start.
#[derive(Debug, Clone, PartialEq)]
pub struct InstalledProfile {
    /// Its name among the built-in profiles.
    pub profile: String,
    /// Its profile policy rules (SGP.22 §2.9.1).
    pub rules: Vec<PolicyRule>,
    /// Whether it is enabled.
    pub state: ProfileState,
    /// Its nickname, if it has one.
    pub nickname: Option<String>,
}

/// An order of the SM-DP+ at the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The matching id; absent for an order that is found by the EID alone.
    pub matching_id: Option<String>,
    /// The name of the profile among the built-in ones, or the path of a profile package.
    pub profile: ProfileSource,
    /// The state it is in.
    pub state: OrderState,
    /// The EID it is for; any when absent.
    pub eid: Option<Template>,
    /// The confirmation code that has to be given.
    pub confirmation_code: Option<String>,
    /// Whether the package carries keys of its own (SGP.22 §2.5.3, ReplaceSessionKeys).
    pub replace_session_keys: bool,
    /// The profile policy rules of its profile (SGP.22 §2.9.1).
    pub rules: Vec<PolicyRule>,
    /// How long it is valid, from the start; for ever when absent.
    pub expires: Option<Duration>,
    /// How often its download may be tried; as often as anybody likes when absent.
    pub attempts: Option<u32>,
}

/// Where the profile of an order comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum ProfileSource {
    /// A built-in profile.
    BuiltIn(String),
    /// An unprotected profile package in a file; the path is relative to the scenario's folder.
    Package(String),
}
