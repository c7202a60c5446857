//! ES2+ (SGP.22 §5.3): operators order profiles.
//!
//! ```text
//! downloadOrder: available → allocated, or linked to a card
//! confirmOrder:  → confirmed, or released at once       releaseProfile: confirmed → released
//! cancelOrder:   → available or unavailable
//! ```
//!
//! Where an SM-DS is named, its event has to be registered before the order is released: confirmOrder and
//! releaseProfile come in two steps, a [`Plan`] that may ask for an event, and [`Smdp::carry_out`].

use rsp::{Eid, Iccid};

use super::Smdp;
use crate::order::{Order, OrderError, OrderId, OrderSpec, OrderState};
use crate::profile::Profile;
use crate::status::{Status, StatusError};

/// ES2+ downloadOrder (SGP.22 §5.3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DownloadOrder {
    /// The card.
    pub eid: Option<Eid>,
    /// The profile.
    pub iccid: Option<Iccid>,
    /// Its type.
    pub profile_type: Option<String>,
}

/// ES2+ confirmOrder (SGP.22 §5.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmOrder {
    /// The profile.
    pub iccid: Iccid,
    /// The card.
    pub eid: Option<Eid>,
    /// The matching id: one is made when it is absent; empty is the default SM-DP+ use case.
    pub matching_id: Option<String>,
    /// The confirmation code.
    pub confirmation_code: Option<String>,
    /// The SM-DS where an event is to be registered.
    pub smds_address: Option<String>,
    /// Whether it is released at once.
    pub release: bool,
}

/// What confirmOrder has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    /// The card.
    pub eid: Option<Eid>,
    /// The matching id.
    pub matching_id: String,
    /// The address of this server.
    pub smdp_address: String,
}

/// ES2+ cancelOrder (SGP.22 §5.3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelOrder {
    /// The profile.
    pub iccid: Iccid,
    /// The card.
    pub eid: Option<Eid>,
    /// The matching id.
    pub matching_id: Option<String>,
    /// Whether the profile can be ordered again.
    pub available: bool,
}

/// An event that an SM-DS has to take first (ES12 registerEvent, SGP.22 §5.9.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The SM-DS.
    pub smds: String,
    /// The card.
    pub eid: Eid,
    /// The event, which is the matching id.
    pub event_id: String,
    /// The address of this server.
    pub rsp_server_address: String,
}

/// What is to be done with an order, once its event is registered.
#[derive(Debug, Clone)]
pub struct Plan {
    order: OrderId,
    holder: u32,
    from: OrderState,
    to: OrderState,
    eid: Option<Eid>,
    matching_id: Option<String>,
    confirmation_code: Option<String>,
    smds: Option<String>,
    /// The event to register first.
    pub registration: Option<Registration>,
}

impl Smdp {
    /// The order of a profile that this caller may deal with.
    fn order_of(&self, caller: &str, iccid: Iccid) -> Result<&Order, StatusError> {
        let order = self.orders.by_iccid(iccid).next();
        let order = order.ok_or_else(|| Status::ProfileUnknown.with(format!("there is no profile {iccid}")))?;
        match &order.spec.owner {
            Some(owner) if owner != caller => {
                Err(Status::ProfileNotAllowed.with(format!("profile {iccid} is not one of {caller:?}")))
            }
            _ => Ok(order),
        }
    }

    /// ES2+ downloadOrder (SGP.22 §5.3.1): reserves a profile.
    pub fn download_order(&mut self, caller: &str, request: &DownloadOrder, now: i64) -> Result<Iccid, StatusError> {
        let id = match (request.iccid, &request.profile_type) {
            (Some(iccid), profile_type) => {
                let order = self.order_of(caller, iccid)?;
                if profile_type.is_some() && *profile_type != order.spec.profile_type {
                    let message = format!("profile {iccid} is not of type {:?}", profile_type.as_deref().unwrap_or(""));
                    return Err(Status::TypeRefused.with(message));
                }
                if order.state != OrderState::Available {
                    return Err(Status::ProfileInUse.with(format!("profile {iccid} is {}", order.state)));
                }
                order.id
            }
            (None, Some(profile_type)) => self.of_type(caller, profile_type, now)?,
            (None, None) => return Err(Status::ElementMissing.with("iccid or profileType has to be given")),
        };
        self.orders.associate(id, None, request.eid).map_err(|error| association(&error))?;
        let (to, cause) = match request.eid {
            Some(eid) => (OrderState::Linked, format!("ordered by {caller} for {eid}")),
            None => (OrderState::Allocated, format!("ordered by {caller}")),
        };
        if let Some(order) = self.orders.get_mut(id) {
            order.spec.owner.get_or_insert_with(|| caller.to_owned());
        }
        self.move_order(id, to, cause, now);
        let order = self.orders.get(id).ok_or_else(|| Status::Internal.with("the order is gone"))?;
        Ok(order.profile().iccid())
    }

    /// A profile of a type: one from the inventory, or one that is made.
    fn of_type(&mut self, caller: &str, name: &str, now: i64) -> Result<OrderId, StatusError> {
        let of_type = |order: &&Order| order.spec.profile_type.as_deref() == Some(name);
        let available = |order: &&Order| {
            order.state == OrderState::Available && order.spec.owner.as_deref().is_none_or(|owner| owner == caller)
        };
        let known = self.orders.all().iter().any(|order| of_type(&order));
        let made_to_order = self.config.profile_types.get(name);
        if let Some(kind) = made_to_order
            && kind.owner.as_deref().is_some_and(|owner| owner != caller)
        {
            return Err(Status::TypeNotAllowed.with(format!("profiles of type {name:?} are not {caller:?}'s")));
        }
        if let Some(order) = self.orders.all().iter().filter(of_type).find(available) {
            return Ok(order.id);
        }
        let Some(kind) = made_to_order else {
            return Err(match known {
                true => Status::TypeExhausted.with(format!("no profile of type {name:?} is left")),
                false => Status::TypeUnknown.with(format!("there is no profile type {name:?}")),
            });
        };
        let made = self.orders.all().iter().filter(of_type).count();
        let mut number = u32::try_from(made).unwrap_or(u32::MAX);
        if kind.stock.is_some_and(|stock| number >= stock) {
            return Err(Status::TypeExhausted.with(format!("all {number} profiles of type {name:?} are taken")));
        }
        let template = kind.template.clone();
        // Somebody may have ordered one of them by hand.
        for _ in 0..=self.orders.all().len() {
            let profile = Profile::build(&template.numbered(number))
                .map_err(|error| Status::TypeExhausted.with(error.to_string()))?;
            if self.orders.by_iccid(profile.iccid()).next().is_none() {
                let spec = OrderSpec { profile_type: Some(name.to_owned()), ..OrderSpec::inventory(profile) };
                return self.add_order(spec, now).map_err(|error| association(&error));
            }
            number = number.saturating_add(1);
        }
        Err(Status::TypeExhausted.with(format!("no profile of type {name:?} is left")))
    }

    /// ES2+ confirmOrder (SGP.22 §5.3.2), the first step.
    pub fn plan_confirmation(&mut self, caller: &str, request: &ConfirmOrder) -> Result<Plan, StatusError> {
        let order = self.order_of(caller, request.iccid)?;
        let (id, from, holder) = (order.id, order.state, order.holder);
        if !matches!(from, OrderState::Allocated | OrderState::Linked) {
            return Err(Status::ProfileInUse.with(format!("profile {} is {from}: order it first", request.iccid)));
        }
        let eid = match (order.eid(), request.eid) {
            (Some(known), Some(given)) if known != given => {
                return Err(Status::EidAssociation.with(format!("the order is for {known}")));
            }
            (known, given) => known.or(given),
        };
        let default = request.matching_id.as_deref() == Some("");
        // SGP.22 §5.3.2: without a matching id, or with an event, the EID tells whose order it is.
        if eid.is_none() && (default || request.smds_address.is_some()) {
            return Err(Status::EidMissing.with("the EID has to be given where no matching id or an SM-DS is used"));
        }
        let matching_id = match &request.matching_id {
            Some(text) if self.orders.by_matching_id(text).is_some_and(|other| other.id != id) => {
                return Err(Status::MatchingIdTaken.with(format!("matching id {text:?} is in use")));
            }
            Some(text) if !text.is_empty() => Some(text.clone()),
            Some(_) if request.smds_address.is_none() => None,
            _ => Some(self.new_matching_id()),
        };
        let registration = self.registration(request.release, request.smds_address.as_deref(), eid, &matching_id);
        let to = if request.release { OrderState::Released } else { OrderState::Confirmed };
        Ok(Plan {
            order: id,
            holder,
            from,
            to,
            eid,
            matching_id,
            confirmation_code: request.confirmation_code.clone(),
            smds: request.smds_address.clone(),
            registration,
        })
    }

    /// ES2+ releaseProfile (SGP.22 §5.3.4), the first step.
    pub fn plan_release(&self, caller: &str, iccid: Iccid) -> Result<Plan, StatusError> {
        let order = self.order_of(caller, iccid)?;
        if order.state != OrderState::Confirmed {
            return Err(Status::ProfileTransition.with(format!("profile {iccid} is {}", order.state)));
        }
        let spec = &order.spec;
        Ok(Plan {
            order: order.id,
            holder: order.holder,
            from: order.state,
            to: OrderState::Released,
            eid: spec.eid,
            matching_id: spec.matching_id.clone(),
            confirmation_code: spec.confirmation_code.clone(),
            smds: spec.smds.clone(),
            registration: self.registration(true, spec.smds.as_deref(), spec.eid, &spec.matching_id),
        })
    }

    pub(super) fn registration(
        &self,
        release: bool,
        smds: Option<&str>,
        eid: Option<Eid>,
        matching_id: &Option<String>,
    ) -> Option<Registration> {
        Some(Registration {
            smds: smds.filter(|_| release)?.to_owned(),
            eid: eid?,
            event_id: matching_id.clone()?,
            rsp_server_address: self.config.address.clone(),
        })
    }

    /// The second step, when the event is registered or there is none.
    pub fn carry_out(&mut self, caller: &str, plan: Plan, now: i64) -> Result<Confirmed, StatusError> {
        // In between, somebody may have moved the order.
        let now_is = self.orders.get(plan.order).map(|order| (order.state, order.holder));
        if now_is != Some((plan.from, plan.holder)) {
            return Err(Status::ProfileInUse.with("the order has moved in the meantime"));
        }
        self.orders.associate(plan.order, plan.matching_id.clone(), plan.eid).map_err(|error| association(&error))?;
        if let Some(order) = self.orders.get_mut(plan.order) {
            order.spec.confirmation_code = plan.confirmation_code;
            order.spec.smds = plan.smds;
        }
        self.move_order(plan.order, plan.to, format!("{} by {caller}", plan.to), now);
        Ok(Confirmed {
            eid: plan.eid,
            matching_id: plan.matching_id.unwrap_or_default(),
            smdp_address: self.config.address.clone(),
        })
    }

    /// ES2+ cancelOrder (SGP.22 §5.3.3).
    pub fn cancel_order(&mut self, caller: &str, request: &CancelOrder, now: i64) -> Result<(), StatusError> {
        let order = self.order_of(caller, request.iccid)?;
        let id = order.id;
        match order.state {
            OrderState::Allocated | OrderState::Linked | OrderState::Confirmed | OrderState::Released => {}
            state => return Err(Status::ProfileInUse.with(format!("profile {} is {state}", request.iccid))),
        }
        match (order.eid(), request.eid) {
            (Some(_), None) => return Err(Status::EidMissing.with("the order is for one card: its EID is needed")),
            (Some(known), Some(given)) if known != given => {
                return Err(Status::ProfileOfOtherEid.with("the order is for another EID"));
            }
            _ => {}
        }
        if let Some(known) = order.matching_id()
            && request.matching_id.as_deref() != Some(known)
        {
            return Err(Status::MatchingIdAssociation.with("the order has another matching id"));
        }
        let to = if request.available { OrderState::Available } else { OrderState::Unavailable };
        // The event goes with the order that it announced; the order itself loses its card and its matching id.
        self.move_order(id, OrderState::Unavailable, format!("cancelled by {caller}"), now);
        if let Some(order) = self.orders.get_mut(id) {
            order.spec.state = OrderState::Available;
            order.spec.confirmation_code = None;
            order.spec.smds = None;
            order.bound = None;
            order.protected = None;
            order.attempts = 0;
            order.wrong_codes = 0;
        }
        self.orders.associate(id, None, None).map_err(|error| association(&error))?;
        self.changed(id, true);
        if to == OrderState::Available {
            self.move_order(id, to, "can be ordered again".to_owned(), now);
        }
        Ok(())
    }

    /// A matching id of the characters of SGP.22 §4.1.1.
    fn new_matching_id(&mut self) -> String {
        const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        let mut bytes = [0; 20];
        self.random.fill(&mut bytes);
        let mut text = String::new();
        for (index, byte) in bytes.iter().enumerate() {
            if index > 0 && index % 5 == 0 {
                text.push('-');
            }
            text.push(char::from(LETTERS[usize::from(byte % 32)]));
        }
        text
    }
}

fn association(error: &OrderError) -> StatusError {
    let status = match error {
        OrderError::MatchingIdTaken(_) => Status::MatchingIdTaken,
        OrderError::NoEid => Status::EidMissing,
        OrderError::MatchingIdTooLong(_) => Status::Malformed,
    };
    status.with(error.to_string())
}
