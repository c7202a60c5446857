//! The network around the modem.
//!
//! ```text
//! commands (+COPS, +CPSMS, ...), the card ─▶ Network ─▶ registration, URCs, signal
//!                                              │ register, begin_session, detach
//!                                              ▼
//! console: policy, coverage, messages ──▶ CoreNetwork ─▶ NetworkEvent: the operator's log, in the timeline
//! ```
//!
//! Two sides meet here. [`core`] is that of the operators: subscriptions and what they may do, coverage, who is where,
//! the event log; [`authentication`] is how they find out whether a card is the subscription's. [`device`] is that of the modem: which network it chooses, what it is told, how it saves power; [`memory`] is what it keeps on the card. What
//! the network is like is data ([`NetworkSpec`]); time is handed in; there is no I/O.

pub mod authentication;
pub mod cause;
mod console;
mod core;
mod device;
mod event;
pub(crate) mod memory;
pub(crate) mod plmn;
pub(crate) mod power;
mod session;
mod spec;
mod technology;
pub mod timers;

pub use authentication::{Operators, SubscriberKeys};
pub use console::{Change, ConsoleError, NetworkView, SessionView};
pub use event::{Connectivity, EventKind, NetworkEvent, Severity};
pub use spec::{
    Dns, Edrx, Keys, NetworkError, NetworkSpec, OperatorSpec, PowerSaving, SubscriptionSpec, SubscriptionState,
    parse_duration,
};
pub use technology::Technology;

pub(crate) use device::{Domain, Network, Selection, Serving, Wanted};

use crate::sim::Home;

/// Whose card is in the modem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscriber {
    pub(crate) imsi: String,
    /// Without padding.
    pub(crate) iccid: Option<String>,
    pub(crate) home: Home,
    /// The IMEI of the device that the card is in.
    pub(crate) imei: String,
}
