//! What a scenario says, after it has been checked: every value is of its type and in its range.
//!
//! - [`start`]: what is there before anything happens;
//! - [`fault`]: what goes wrong, and when;
//! - [`step`]: what happens, and what must come of it;
//! - [`expect`]: what must be seen afterwards;
//! - [`network`]: the mobile network, in all three;
//! - [`template`]: texts with variables (`${smdp}`), which the runner fills in, and patterns.

pub mod expect;
pub mod fault;
pub mod network;
pub mod start;
pub mod step;
pub mod template;

use std::time::Duration;

use rsp::crypto::Curve;
use rsp::es10::notification::NotificationEvent;
use rsp::es10::profiles::ProfileState;
use smdp::profile::PolicyRule;
use smdp::{Function, OrderState};

pub use expect::*;
pub use fault::*;
pub use network::*;
pub use start::*;
pub use step::*;
pub use template::*;

/// The version of the form that this program reads.
pub const FORMAT: i64 = 1;

/// One scenario file.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What is the case, in one line.
    pub title: String,
    /// Why this has to be so, or what a reader should know about it.
    pub why: Option<String>,
    /// Where it is specified or reported.
    pub refs: Vec<String>,
    /// The time after which it is given up.
    pub deadline: Duration,
    /// The reason why it is known to fail, if it is.
    pub expected_failure: Option<String>,
    /// The reason why it is not run at present, if it is not.
    pub skip: Option<String>,
    /// The name of the modem's model.
    pub model: String,
    /// The file of a model of one's own, which is taken instead; relative to the scenario's folder.
    pub model_file: Option<String>,
    /// How many AT ports the modem has; as many as its model says when absent.
    pub ports: Option<usize>,
    /// The curve of the lab's certificates and keys.
    pub curve: Curve,
    /// The folder of certificates and keys, laid out like SGP.26; new ones are made when absent.
    pub pki_folder: Option<String>,
    /// The host name of the SM-DP+, when it is not to be an address.
    pub smdp_name: Option<String>,
    /// The time of the lab at the start, Unix seconds; the real one when absent.
    pub clock: Option<i64>,
    /// The card at the start.
    pub card: Card,
    /// The mobile network; one that lets every card in when absent.
    pub network: Option<modem::network::NetworkSpec>,
    /// The orders of the SM-DP+ at the start.
    pub orders: Vec<Order>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What happens, in this order.
    pub steps: Vec<Step>,
    /// What must be seen afterwards.
    pub expect: Expect,
}

/// A variant that is written as a lower-case word.
pub trait Word: Copy + PartialEq + Sized + 'static {
    /// All variants with their words.
    const ALL: &'static [(&'static str, Self)];

    /// The word of this variant.
    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }

    /// The variant that goes by this word.
    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
    }
}

impl Word for ProfileState {
    const ALL: &'static [(&'static str, Self)] =
        &[("enabled", ProfileState::Enabled), ("disabled", ProfileState::Disabled)];
}

impl Word for OrderState {
    const ALL: &'static [(&'static str, Self)] = &[
        ("available", OrderState::Available),
        ("allocated", OrderState::Allocated),
        ("linked", OrderState::Linked),
        ("confirmed", OrderState::Confirmed),
        ("released", OrderState::Released),
        ("downloaded", OrderState::Downloaded),
        ("installed", OrderState::Installed),
        ("error", OrderState::Error),
        ("unavailable", OrderState::Unavailable),
    ];
}

impl Word for Curve {
    const ALL: &'static [(&'static str, Self)] = &[("P-256", Curve::P256), ("brainpoolP256r1", Curve::BrainpoolP256r1)];
}

impl Word for Function {
    const ALL: &'static [(&'static str, Self)] = &[
        ("initiateAuthentication", Function::InitiateAuthentication),
        ("authenticateClient", Function::AuthenticateClient),
        ("getBoundProfilePackage", Function::GetBoundProfilePackage),
        ("handleNotification", Function::HandleNotification),
        ("cancelSession", Function::CancelSession),
    ];
}

impl Word for PolicyRule {
    const ALL: &'static [(&'static str, Self)] =
        &[("no-disable", PolicyRule::NoDisable), ("no-delete", PolicyRule::NoDelete)];
}

impl Word for NotificationEvent {
    const ALL: &'static [(&'static str, Self)] = &[
        ("install", NotificationEvent::Install),
        ("enable", NotificationEvent::Enable),
        ("disable", NotificationEvent::Disable),
        ("delete", NotificationEvent::Delete),
    ];
}
