//! Download orders: what waits for which card, and what became of it (SGP.22 §3.1.1, §3.1.6).
//!
//! An order is made from an [`OrderSpec`] in any state. The server moves it as sessions and notifications come, and
//! writes down each step with its time. It is found by matching id, or by EID where a card asks without one.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rsp::saip::{ProfileHeader, Service};
use rsp::{Eid, Iccid, Version};
use serde::{Deserialize, Serialize};

use crate::binding::{Bound, Protected};
use crate::profile::Profile;

/// Where an order stands (SGP.22 §3.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize)]
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

impl OrderState {
    /// All of them, in the order of an order's life.
    pub const ALL: [OrderState; 9] = [
        OrderState::Available,
        OrderState::Allocated,
        OrderState::Linked,
        OrderState::Confirmed,
        OrderState::Released,
        OrderState::Downloaded,
        OrderState::Installed,
        OrderState::Error,
        OrderState::Unavailable,
    ];
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

impl OrderId {
    /// Its number, counted from 1.
    pub fn number(self) -> usize {
        self.0 + 1
    }

    /// The order with this number, counted from 1.
    pub fn from_number(number: usize) -> Option<Self> {
        number.checked_sub(1).map(OrderId)
    }
}

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
    /// The operator whose profile it is, as it calls itself in ES2+; any may use it if `None`.
    pub owner: Option<String>,
    /// The profile type, by which operators order (SGP.22 §5.3.1).
    pub profile_type: Option<String>,
    /// What the device has to be capable of: the context tag of a technology in DeviceInfo, and the lowest release.
    pub requires: Vec<(u32, Version)>,
    /// The SM-DS at which an event tells the card of it.
    pub smds: Option<String>,
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
            owner: None,
            profile_type: None,
            requires: Vec::new(),
            smds: None,
        }
    }

    /// A profile in the inventory, for nobody yet.
    pub fn inventory(profile: Profile) -> Self {
        OrderSpec { state: OrderState::Available, ..OrderSpec::without_id(profile) }
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderEvent {
    /// When, Unix seconds.
    pub at: i64,
    /// The state it moved to, when it moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    /// How often it was given to somebody: what was begun for an earlier holder ends there.
    pub(crate) holder: u32,
    /// What its package demands of a card.
    pub(crate) needs: Needs,
    /// The package under keys of its own, made once.
    pub(crate) protected: Option<Arc<Protected>>,
    /// The package as it was last bound to a card.
    pub(crate) bound: Option<Arc<Bound>>,
}

/// What a package demands of a card, from its header (SAIP annex D).
#[derive(Debug, Clone, Default)]
pub(crate) struct Needs {
    /// Version of the package format.
    pub(crate) version: Option<(u8, u8)>,
    pub(crate) services: Vec<Service>,
}

impl Needs {
    fn of(profile: &Profile) -> Self {
        match ProfileHeader::of_package(profile.package()) {
            Ok(header) => Needs { version: Some((header.major, header.minor)), services: header.mandatory_services },
            // A package that cannot be read is the card's to refuse.
            Err(_) => Needs::default(),
        }
    }
}

/// The most events that are kept of one order; the first ones go.
const MAX_EVENTS: usize = 256;

impl Order {
    pub(crate) fn new(id: OrderId, spec: OrderSpec) -> Self {
        Order {
            id,
            state: spec.state,
            needs: Needs::of(&spec.profile),
            spec,
            attempts: 0,
            wrong_codes: 0,
            events: Vec::new(),
            holder: 0,
            protected: None,
            bound: None,
        }
    }

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

    /// What was ordered, as it stands now.
    pub fn spec(&self) -> &OrderSpec {
        &self.spec
    }

    /// The card that has fetched the package.
    pub fn bound_to(&self) -> Option<Eid> {
        self.bound.as_ref().map(|bound| bound.eid)
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
    by_iccid: HashMap<Iccid, Vec<OrderId>>,
    /// Those without a matching id, by their card.
    by_eid: HashMap<Eid, Vec<OrderId>>,
}

impl Orders {
    /// Whether an order may be as this says.
    fn check(&self, spec: &OrderSpec, own: Option<OrderId>) -> Result<(), OrderError> {
        match &spec.matching_id {
            // What is not to be downloaded yet may be given to a card later.
            None if spec.eid.is_none()
                && !matches!(spec.state, OrderState::Available | OrderState::Allocated | OrderState::Unavailable) =>
            {
                Err(OrderError::NoEid)
            }
            None => Ok(()),
            Some(text) if text.len() > 255 => Err(OrderError::MatchingIdTooLong(text.len())),
            Some(text) if self.by_matching_id.get(text).is_some_and(|id| Some(*id) != own) => {
                Err(OrderError::MatchingIdTaken(text.clone()))
            }
            Some(_) => Ok(()),
        }
    }

    fn index(&mut self, id: OrderId) {
        let Some(spec) = self.all.get(id.0).map(|order| &order.spec) else { return };
        match (&spec.matching_id, spec.eid) {
            (Some(text), _) => {
                self.by_matching_id.insert(text.clone(), id);
            }
            (None, Some(eid)) => self.by_eid.entry(eid).or_default().push(id),
            (None, None) => {}
        }
    }

    pub(crate) fn add(&mut self, mut spec: OrderSpec, now: i64) -> Result<OrderId, OrderError> {
        // An empty matching id and none mean the same (SGP.22 §4.1.1).
        spec.matching_id = spec.matching_id.filter(|id| !id.is_empty());
        self.check(&spec, None)?;
        let id = OrderId(self.all.len());
        let state = spec.state;
        let mut order = Order::new(id, spec);
        order.record(now, Some(state), "ordered".to_owned());
        self.restore(order);
        Ok(id)
    }

    /// Takes an order as it is.
    pub(crate) fn restore(&mut self, order: Order) {
        let id = OrderId(self.all.len());
        self.by_iccid.entry(order.profile().iccid()).or_default().push(id);
        self.all.push(Order { id, ..order });
        self.index(id);
    }

    /// Gives an order to a card, under a matching id: what it was found by before finds it no more.
    pub(crate) fn associate(
        &mut self,
        id: OrderId,
        matching_id: Option<String>,
        eid: Option<Eid>,
    ) -> Result<(), OrderError> {
        let Some(order) = self.all.get(id.0) else { return Ok(()) };
        let matching_id = matching_id.filter(|text| !text.is_empty());
        let spec = OrderSpec { matching_id: matching_id.clone(), eid, ..order.spec.clone() };
        self.check(&spec, Some(id))?;
        if let Some(text) = &order.spec.matching_id {
            self.by_matching_id.remove(text);
        }
        if let Some(list) = order.spec.eid.and_then(|eid| self.by_eid.get_mut(&eid)) {
            list.retain(|known| *known != id);
        }
        if let Some(order) = self.all.get_mut(id.0) {
            order.spec.matching_id = matching_id;
            order.spec.eid = eid;
            order.holder = order.holder.wrapping_add(1);
        }
        self.index(id);
        Ok(())
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

    /// The orders of a profile, the newest first.
    pub(crate) fn by_iccid(&self, iccid: Iccid) -> impl Iterator<Item = &Order> {
        self.by_iccid.get(&iccid).into_iter().flatten().rev().filter_map(|id| self.get(*id))
    }

    /// The oldest order that waits for a card without a matching id; if none waits, the last one that did.
    pub(crate) fn default_for(&self, eid: Eid) -> Option<&Order> {
        let mut candidates = self.by_eid.get(&eid).into_iter().flatten().filter_map(|id| self.get(*id));
        let waits = |order: &&Order| matches!(order.state, OrderState::Released | OrderState::Downloaded);
        candidates.clone().find(waits).or_else(|| candidates.next_back())
    }
}
