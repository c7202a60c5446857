//! The operator's console: what a person at the operator sees of the device, and can do about it.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::cause::MobilityCause;
use super::core::Cell;
use super::device::Network;
use super::memory::Place;
use super::spec::{Dns, SubscriptionSpec, SubscriptionState};
use super::{Connectivity, EventKind, Technology};

/// Something that the operator changes. The policies are those of the subscription of the card in the modem; when there
/// is none, those of all subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The SIM is activated, suspended or blocked.
    State(SubscriptionState),
    /// Service policy: data sessions.
    Data(bool),
    /// Service policy: text messages.
    Sms(bool),
    /// Service policy: radio types, all when `None`.
    Technologies(Option<Vec<Technology>>),
    /// Service policy: access point names; any when there are none.
    Apns(Vec<String>),
    /// Service policy: whether names resolve.
    Dns(Dns),
    /// Coverage policy: networks that are not the home network.
    Roaming(bool),
    /// The operators that must not be used, by PLMN.
    Blacklist(Vec<String>),
    /// What is received of an operator (by PLMN, or `home`): dBm, or nothing.
    Coverage {
        /// The operator.
        operator: String,
        /// The radio access.
        technology: Technology,
        /// In dBm; `None` for no coverage.
        signal: Option<i16>,
    },
    /// The device is to register anew ("reset connectivity").
    Reset,
}

/// A change that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsoleError {
    /// There is no such operator.
    #[error("there is no operator {name:?}; there are {}", .known.join(", "))]
    UnknownOperator {
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
}

/// A data session, as the console shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// The context of the device.
    pub cid: u8,
    /// The access point name.
    pub apn: String,
    /// The address of the device.
    pub address: Ipv4Addr,
}

/// The device, as the console shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkView {
    /// Offline, attached, online or blocked.
    pub state: Connectivity,
    /// The IMSI that is in use.
    pub imsi: Option<String>,
    /// PLMN and name of the network that the device is registered in.
    pub operator: Option<(String, String)>,
    /// The radio access.
    pub technology: Option<Technology>,
    /// Whether it is not the home network.
    pub roaming: bool,
    /// The data sessions.
    pub sessions: Vec<SessionView>,
    /// How many messages wait until the device can be reached.
    pub waiting: usize,
    /// Whether names resolve for the device: it is registered, and the name servers of the network answer.
    pub resolves: bool,
    /// Whether the device sleeps (PSM).
    pub asleep: bool,
}

impl Network {
    /// What the console shows.
    pub(crate) fn view(&self) -> NetworkView {
        let subscriber = self.shown();
        let sessions = subscriber.map(|subscriber| self.core.sessions(subscriber)).unwrap_or_default();
        NetworkView {
            state: subscriber.map(|subscriber| self.core.state(subscriber)).unwrap_or_default(),
            imsi: subscriber.map(|subscriber| subscriber.imsi.clone()),
            operator: self.serving.as_ref().map(|cell| (cell.plmn.clone(), cell.name.clone())),
            technology: self.serving.as_ref().map(|cell| cell.technology),
            roaming: self.is_roaming(),
            sessions: sessions
                .into_iter()
                .map(|session| SessionView { cid: session.cid, apn: session.apn, address: session.address })
                .collect(),
            waiting: self.waiting.len(),
            resolves: self.resolves(),
            asleep: self.power.is_asleep(),
        }
    }

    /// Makes a change. What becomes of the device shows with the next update.
    pub(crate) fn change(&mut self, change: &Change) -> Result<(), ConsoleError> {
        if let Change::Coverage { operator, technology, signal } = change {
            if !self.core.set_coverage(operator, *technology, *signal) {
                let known = self.core.operator_names();
                return Err(ConsoleError::UnknownOperator { name: operator.clone(), known });
            }
            self.search = true;
            return Ok(());
        }
        let subscriber = self.shown().cloned();
        self.core.change_policy(subscriber.as_ref(), |policy| apply(change, policy));
        let Some(subscriber) = subscriber else { return Ok(()) };
        if *change != Change::Reset {
            self.core.tell(&subscriber, EventKind::Policy, describe(change));
        }
        if matches!(change, Change::Data(false)) {
            self.end_sessions("data is no longer allowed");
        }
        // Nobody needs to be there for that: the operator has the sessions.
        if matches!(change, Change::State(state) if *state != SubscriptionState::Active) {
            self.end_sessions("the SIM is blocked");
        }
        let Some(cell) = self.serving.clone() else { return Ok(()) };
        match (change, self.core.admit(&subscriber, &cell)) {
            (
                _,
                Err(
                    cause @ (MobilityCause::NoServices
                    | MobilityCause::UnknownSubscriber
                    | MobilityCause::IllegalUe
                    | MobilityCause::IllegalMe),
                ),
            ) => {
                self.end_sessions("the SIM is blocked");
                self.cancel(&cell);
                // TS 24.301 §5.5.2.3.2: the network detaches the device with the cause, and the subscription is of no
                // use until the device is switched off.
                self.refused = Some(cause);
                self.place = Some(Place::Refused { cause, technology: cell.technology });
                self.invalid = true;
            }
            (Change::Reset, _) | (_, Err(_)) => {
                self.end_sessions("the device has to register anew");
                self.cancel(&cell);
                self.search = true;
            }
            (_, Ok(())) => {}
        }
        Ok(())
    }

    fn cancel(&mut self, cell: &Cell) {
        let place = (cell.plmn.clone(), cell.name.clone(), cell.technology);
        if let Some(subscriber) = &self.subscriber {
            self.core.note(subscriber, EventKind::CancelLocation, Some(&place), None);
            self.core.forget(subscriber);
        }
        self.serving = None;
        self.power.negotiate(None, Duration::ZERO);
    }

    fn end_sessions(&mut self, why: &str) {
        let Some(subscriber) = self.shown().cloned() else { return };
        for session in self.core.sessions(&subscriber) {
            self.core.end_session(&subscriber, session.cid, why);
            self.ended.push(session.cid);
        }
    }
}

fn apply(change: &Change, policy: &mut SubscriptionSpec) {
    match change.clone() {
        Change::State(state) => policy.state = state,
        Change::Data(allowed) => policy.data = allowed,
        Change::Sms(allowed) => policy.sms = allowed,
        Change::Technologies(technologies) => policy.technologies = technologies,
        Change::Apns(apns) => policy.apns = apns,
        Change::Dns(dns) => policy.dns = dns,
        Change::Roaming(allowed) => policy.roaming = allowed,
        Change::Blacklist(plmns) => policy.blacklist = plmns,
        Change::Coverage { .. } | Change::Reset => {}
    }
}

fn describe(change: &Change) -> String {
    let allowed = |what: &str, allowed: bool| format!("{what} {}", if allowed { "allowed" } else { "not allowed" });
    let list = |what: &str, list: &[String]| match list {
        [] => format!("no {what}"),
        list => format!("{what} {}", list.join(", ")),
    };
    match change {
        Change::State(SubscriptionState::Active) => "SIM activated".to_owned(),
        Change::State(SubscriptionState::Suspended) => "SIM suspended".to_owned(),
        Change::State(SubscriptionState::Blocked) => "SIM blocked".to_owned(),
        Change::Data(value) => allowed("data", *value),
        Change::Sms(value) => allowed("SMS", *value),
        Change::Roaming(value) => allowed("roaming", *value),
        Change::Dns(dns) => allowed("DNS", *dns == Dns::Allowed),
        Change::Technologies(None) => "all radio types".to_owned(),
        Change::Technologies(Some(list)) => {
            format!("radio types {}", list.iter().map(|technology| technology.name()).collect::<Vec<_>>().join(", "))
        }
        Change::Apns(apns) => list("APN list:", apns),
        Change::Blacklist(plmns) => list("operator blacklist:", plmns),
        Change::Coverage { .. } | Change::Reset => String::new(),
    }
}
