//! What must be seen after the last step.

use std::collections::BTreeMap;
use std::time::Duration;

use rsp::es10::notification::NotificationEvent;
use rsp::es10::profiles::ProfileState;
use smdp::{Function, OrderState};

use super::network::ExpectedNetwork;
use super::step::ProfileRef;
use super::template::Template;

/// What must be seen afterwards. What is absent is not looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expect {
    /// All profiles on the card, in any order.
    pub profiles: Option<Expected<Vec<ExpectedProfile>>>,
    /// All notifications that wait on the card, in the order of their numbers.
    pub notifications: Option<Expected<Vec<ExpectedNotification>>>,
    /// How many logical channels are still open, the basic one not counted.
    pub open_channels: Option<Expected<usize>>,
    /// All calls of ES9+ functions that reached the server, in order.
    pub es9plus: Option<Expected<Vec<Function>>>,
    /// The states of orders, by matching id.
    pub orders: Option<Expected<BTreeMap<String, OrderState>>>,
    /// The default SM-DP+ address of the card; empty for none.
    pub default_smdp: Option<Expected<Template>>,
    /// What the operator of the mobile network sees of the device.
    pub network: ExpectedNetwork,
    /// How many sessions the server still has open.
    pub open_sessions: Option<Expected<usize>>,
    /// How often faults have fired, all together.
    pub faults: Option<Expected<usize>>,
    /// How long all steps may have taken together.
    pub within: Option<Expected<Duration>>,
}

/// A value that is expected, and the line of the file that says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected<T> {
    /// The line of the file.
    pub line: usize,
    /// What is expected.
    pub value: T,
}

/// A profile that must be on the card.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedProfile {
    /// Which profile.
    pub profile: ProfileRef,
    /// Its state.
    pub state: Option<ProfileState>,
    /// Its nickname.
    pub nickname: Option<String>,
}

/// A notification that must wait on the card.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedNotification {
    /// What it tells of.
    pub event: NotificationEvent,
    /// The profile it is about.
    pub profile: Option<ProfileRef>,
}
