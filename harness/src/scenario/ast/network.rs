//! The mobile network around the modem: what is there, what its operator does, what must be seen of it.

use modem::network::{Change, Connectivity, Dns, EventKind, SubscriptionState, Technology};

use super::Word;
use super::expect::Expected;

/// What can be done in the mobile network, each a key of a step and of the control port.
pub const DEEDS: [&str; 12] = [
    "sim",
    "data",
    "messages",
    "roaming",
    "dns",
    "apns",
    "blacklist",
    "technologies",
    "coverage",
    "sms",
    "reset",
    "wake",
];

/// What happens in the mobile network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkAction {
    /// The operator changes something, or the reception changes.
    Change(Change),
    /// A text message is sent to the device.
    Sms {
        /// The number it comes from.
        from: String,
        /// What it says.
        text: String,
    },
    /// The power key of a device that sleeps is pressed.
    Wake,
}

/// What must be seen of the device in the mobile network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExpectedNetwork {
    /// Its connectivity state.
    pub state: Option<Expected<Connectivity>>,
    /// The PLMN of the network that it is registered in; empty for none.
    pub operator: Option<Expected<String>>,
    /// The radio access.
    pub technology: Option<Expected<Technology>>,
    /// All events of the operator's log, in order: a name, and whether it was rejected.
    pub events: Option<Expected<Vec<NetworkEventWord>>>,
}

/// An event of the operator's log, as it is written: `Create PDP context`, `Update Location rejected`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkEventWord {
    /// What it is about.
    pub kind: EventKind,
    /// Whether it was rejected.
    pub rejected: bool,
}

impl NetworkEventWord {
    /// All of them, as they are written.
    pub fn all() -> impl Iterator<Item = (String, NetworkEventWord)> {
        EventKind::ALL.into_iter().flat_map(|kind| {
            [(kind.name().to_owned(), false), (format!("{} rejected", kind.name()), true)]
                .map(|(text, rejected)| (text, NetworkEventWord { kind, rejected }))
        })
    }
}

impl std::fmt::Display for NetworkEventWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.kind.name(), if self.rejected { " rejected" } else { "" })
    }
}

impl Word for Connectivity {
    const ALL: &'static [(&'static str, Self)] = &[
        ("offline", Connectivity::Offline),
        ("attached", Connectivity::Attached),
        ("online", Connectivity::Online),
        ("blocked", Connectivity::Blocked),
    ];
}

impl Word for SubscriptionState {
    const ALL: &'static [(&'static str, Self)] = &[
        ("active", SubscriptionState::Active),
        ("suspended", SubscriptionState::Suspended),
        ("blocked", SubscriptionState::Blocked),
    ];
}

impl Word for Dns {
    const ALL: &'static [(&'static str, Self)] = &[("allowed", Dns::Allowed), ("blocked", Dns::Blocked)];
}

impl Word for Technology {
    const ALL: &'static [(&'static str, Self)] = &[
        ("nr", Technology::Nr),
        ("lte", Technology::Lte),
        ("lte-m", Technology::LteM),
        ("nb-iot", Technology::NbIot),
        ("umts", Technology::Umts),
        ("gsm", Technology::Gsm),
    ];
}
