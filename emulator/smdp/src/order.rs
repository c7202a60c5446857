//! Download orders: what waits for which card, and what became of it (SGP.22 §3.1.1, §3.1.6).
//!
//! An order is made from an [`OrderSpec`] in any state. The server moves it as sessions and notifications come, and
//! writes down each step with its time. It is found by matching id, or by EID where a card asks without one.

use std::collections::HashMap;
use std::fmt;

use rsp::Eid;
use serde::Deserialize;

use crate::binding::{Bound, Protected};
use crate::profile::Profile;

/// Where an order stands (SGP.22 §3.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderState {
    /// In the inventory, for nobody yet.
    Available,
    /// Reserved for an operator.
    Allocated,
    /// Reserved for one card.
    Linked,
    /// Confirmed, and not released yet.
    Confirmed,
    /// Waiting to be downloaded.
    #[default]
    Released,
    /// The bound package was handed out; whether it was installed is not known.
    Downloaded,
    /// A card has it.
    Installed,
    /// Download or installation failed for good.
    Error,
    /// Taken out of use.
    Unavailable,
}

impl fmt::Display for OrderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OrderState::Available => "available",
            OrderState::Allocated => "allocated",
            OrderState::Linked => "linked",
            OrderState::Confirmed => "confirmed",
            OrderState::Released => "released",
            OrderState::Downloaded => "downloaded",
            OrderState::Installed => "installed",
            OrderState::Error => "error",
            OrderState::Unavailable => "unavailable",
        })
    }
}

/// The number of an order on its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId(pub(crate) usize);

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order {}", self.0 + 1)
    }
}

/// What is ordered.
#[derive(Clone)]
pub struct OrderSpec {
    /// The token of the activation code, any text. Without one the order is for a card that asks for whatever waits
    /// for it (default SM-DP+ address), and the EID has to be given.
    pub matching_id: Option<String>,
    /// The only card that may have it.
    pub eid: Option<Eid>,
    /// The profile.
    pub profile: Profile,
    /// The code that the user has to give.
    pub confirmation_code: Option<String>,
    /// Where it begins.
    pub state: OrderState,
    /// Whether the package is protected with keys of its own (ReplaceSessionKeys); the server's choice if `None`.
    pub replace_session_keys: Option<bool>,
    /// When it expires, Unix seconds.
    pub expires: Option<i64>,
    /// How often a download may be tried; the server's choice if `None`.
    pub max_attempts: Option<u32>,
}

impl OrderSpec {
    /// A released order with a matching id.
    pub fn new(matching_id: impl Into<String>, profile: Profile) -> Self {
        OrderSpec { matching_id: Some(matching_id.into()), ..OrderSpec::without_id(profile) }
    }

    /// A released order for the card with this EID, which asks without a matching id.
    pub fn for_eid(eid: Eid, profile: Profile) -> Self {
        OrderSpec { eid: Some(eid), ..OrderSpec::without_id(profile) }
    }

    fn without_id(profile: Profile) -> Self {
        OrderSpec {
            matching_id: None,
            eid: None,
            profile,
            confirmation_code: None,
            state: OrderState::Released,
            replace_session_keys: None,
            expires: None,
            max_attempts: None,
        }
    }
}

impl fmt::Debug for OrderSpec {
    /// The confirmation code is a secret of its user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderSpec")
            .field("matching_id", &self.matching_id)
            .field("eid", &self.eid)
            .field("profile", &self.profile)
            .field("confirmation_code", &self.confirmation_code.as_ref().map(|_| ".."))
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// An order that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Another order has the same matching id.
    #[error("there is an order with matching id {0:?} already: choose another id")]
    MatchingIdTaken(String),
    /// Without a matching id, only the EID tells whose order it is.
    #[error("an order without a matching id needs an EID: a card that asks for it has nothing else to be known by")]
    NoEid,
    /// The matching id is longer than a card can ask for.
    #[error("the matching id has {0} bytes, and 255 is the most that an activation code can carry (SGP.22 §4.1)")]
    MatchingIdTooLong(usize),
}

/// One thing that happened to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderEvent {
    /// When, Unix seconds.
    pub at: i64,
    /// The state it moved to, when it moved.
    pub to: Option<OrderState>,
    /// What happened.
    pub cause: String,
}

/// An order and what became of it.
#[derive(Debug)]
pub struct Order {
    pub(crate) id: OrderId,
    pub(crate) spec: OrderSpec,
    pub(crate) state: OrderState,
    pub(crate) attempts: u32,
    pub(crate) wrong_codes: u32,
    pub(crate) events: Vec<OrderEvent>,
    /// The package under keys of its own, made once.
    pub(crate) protected: Option<Protected>,
    /// The package as it was last bound to a card.
    pub(crate) bound: Option<Bound>,
}

/// The most events that are kept of one order; the first ones go.
const MAX_EVENTS: usize = 256;

impl Order {
    /// Its number.
    pub fn id(&self) -> OrderId {
        self.id
    }

    /// The matching id; `None` for an order that is found by the EID.
    pub fn matching_id(&self) -> Option<&str> {
        self.spec.matching_id.as_deref()
    }

    /// The card that it is for, when it is for one only.
    pub fn eid(&self) -> Option<Eid> {
        self.spec.eid
    }

    /// The profile.
    pub fn profile(&self) -> &Profile {
        &self.spec.profile
    }

    /// Where it stands.
    pub fn state(&self) -> OrderState {
        self.state
    }

    /// Whether the user has to give a confirmation code.
    pub fn needs_confirmation_code(&self) -> bool {
        self.spec.confirmation_code.is_some()
    }

    /// How often a download was tried.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How often a wrong confirmation code was given.
    pub fn wrong_codes(&self) -> u32 {
        self.wrong_codes
    }

    /// What happened, in order.
    pub fn events(&self) -> &[OrderEvent] {
        &self.events
    }

    /// The activation code for a server at this address (SGP.22 §4.1).
    pub fn activation_code(&self, address: &str) -> String {
        let flag = if self.needs_confirmation_code() { "$$1" } else { "" };
        format!("1${address}${}{flag}", self.matching_id().unwrap_or_default())
    }

    /// Writes down what happened, and moves the order if it moves.
    pub(crate) fn record(&mut self, at: i64, to: Option<OrderState>, cause: String) {
        if self.events.len() == MAX_EVENTS {
            self.events.remove(0);
        }
        if let Some(to) = to {
            self.state = to;
        }
        self.events.push(OrderEvent { at, to, cause });
    }
}

/// All orders of a server.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    all: Vec<Order>,
    by_matching_id: HashMap<String, OrderId>,
}

impl Orders {
    pub(crate) fn add(&mut self, mut spec: OrderSpec, now: i64) -> Result<OrderId, OrderError> {
        // An empty matching id and none mean the same (SGP.22 §4.1.1).
        spec.matching_id = spec.matching_id.filter(|id| !id.is_empty());
        let id = OrderId(self.all.len());
        match &spec.matching_id {
            None if spec.eid.is_none() => return Err(OrderError::NoEid),
            None => {}
            Some(text) if text.len() > 255 => return Err(OrderError::MatchingIdTooLong(text.len())),
            Some(text) if self.by_matching_id.contains_key(text) => {
                return Err(OrderError::MatchingIdTaken(text.clone()));
            }
            Some(text) => {
                self.by_matching_id.insert(text.clone(), id);
            }
        }
        let state = spec.state;
        let mut order =
            Order { id, spec, state, attempts: 0, wrong_codes: 0, events: Vec::new(), protected: None, bound: None };
        order.record(now, Some(state), "ordered".to_owned());
        self.all.push(order);
        Ok(id)
    }

    pub(crate) fn all(&self) -> &[Order] {
        &self.all
    }

    pub(crate) fn get(&self, id: OrderId) -> Option<&Order> {
        self.all.get(id.0)
    }

    pub(crate) fn get_mut(&mut self, id: OrderId) -> Option<&mut Order> {
        self.all.get_mut(id.0)
    }

    pub(crate) fn by_matching_id(&self, text: &str) -> Option<&Order> {
        self.by_matching_id.get(text).and_then(|id| self.get(*id))
    }

    /// The oldest order that waits for a card without a matching id; if none waits, the last one that did.
    pub(crate) fn default_for(&self, eid: Eid) -> Option<&Order> {
        let mut candidates = self.all.iter().filter(|order| order.matching_id().is_none() && order.eid() == Some(eid));
        let waits = |order: &&Order| matches!(order.state, OrderState::Released | OrderState::Downloaded);
        candidates.clone().find(waits).or_else(|| candidates.next_back())
    }
}
