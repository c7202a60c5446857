//! The operators' side: who may do what, who is where, and the log of it.
//!
//! ```text
//! device: registration, sessions -> CoreNetwork -> NetworkEvent (the operator's log)
//! console: policy, messages      ->      |      -> what becomes of the device
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::authentication::{Authenticated, AuthenticationCentre, CardAnswer, Operators};
use super::cause::{MobilityCause, SessionCause};
use super::event::{Connectivity, EventKind, NetworkEvent};
use super::spec::{Dns, NetworkSpec, OperatorSpec, SubscriptionSpec, SubscriptionState};
use super::{Subscriber, Technology};

/// A cell that can be received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) plmn: String,
    pub(crate) name: String,
    pub(crate) short: String,
    pub(crate) technology: Technology,
    /// In dBm.
    pub(crate) signal: i16,
    pub(crate) area: u16,
    pub(crate) identity: u32,
    /// Of the home network.
    pub(crate) home: bool,
    /// On the card's list of forbidden networks from the start.
    pub(crate) forbidden: bool,
}

/// A data session, as the network has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) cid: u8,
    pub(crate) apn: String,
    pub(crate) address: Ipv4Addr,
    /// Bytes from the device, and to it.
    pub(crate) carried: (u64, u64),
}

/// What is known of a subscriber.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Record {
    /// PLMN and name of the network it has registered in last, and how.
    place: Option<(String, String, Technology)>,
    state: Connectivity,
    sessions: Vec<Session>,
    /// The PLMN of the network that knows who it is, until it goes.
    proved: Option<(String, Authenticated)>,
}

/// What the operators have.
#[derive(Debug)]
pub(crate) struct CoreNetwork {
    operators: Vec<OperatorSpec>,
    subscriptions: Vec<SubscriptionSpec>,
    pub(crate) rrc_release: Duration,
    records: BTreeMap<String, Record>,
    log: VecDeque<NetworkEvent>,
    centre: AuthenticationCentre,
}

impl Default for CoreNetwork {
    fn default() -> Self {
        CoreNetwork::new(Operators::default())
    }
}

impl CoreNetwork {
    pub(crate) fn new(operators: Operators) -> Self {
        let Operators { spec, keys, random } = operators;
        let NetworkSpec { operators, mut subscriptions, rrc_release } = spec;
        let centre = AuthenticationCentre::new(keys, random);
        if subscriptions.is_empty() {
            subscriptions.push(SubscriptionSpec::default());
        }
        CoreNetwork { operators, subscriptions, rrc_release, records: BTreeMap::new(), log: VecDeque::new(), centre }
    }

    /// The events since the last call.
    pub(crate) fn drain(&mut self) -> Vec<NetworkEvent> {
        self.log.drain(..).collect()
    }

    /// The cells that can be received, those of the home network first, then by their strength.
    pub(crate) fn cells(&self, subscriber: Option<&Subscriber>) -> Vec<Cell> {
        let mut cells: Vec<Cell> = self.operators.iter().flat_map(|operator| cells_of(operator, subscriber)).collect();
        // TS 23.122 §4.4.3.1.1: the home network comes first, then those that are received best.
        cells.sort_by_key(|cell| (!cell.home, std::cmp::Reverse(cell.signal)));
        cells
    }

    fn operator(&self, cell: &Cell) -> Option<&OperatorSpec> {
        self.operators.iter().find(|operator| match &operator.plmn {
            Some(plmn) => *plmn == cell.plmn,
            None => cell.home,
        })
    }

    /// What a network makes of power saving.
    pub(crate) fn limits(&self, cell: &Cell) -> Option<&OperatorSpec> {
        self.operator(cell)
    }

    fn policy(&self, subscriber: &Subscriber) -> Option<&SubscriptionSpec> {
        let fits = |spec: &&SubscriptionSpec| {
            spec.imsi.as_ref().is_none_or(|imsi| *imsi == subscriber.imsi)
                && spec.iccid.as_ref().is_none_or(|iccid| subscriber.iccid.as_ref() == Some(iccid))
        };
        // An entry that names the card is for it; one that names none is for the others.
        let named = |spec: &&SubscriptionSpec| spec.imsi.is_some() || spec.iccid.is_some();
        let mut all = self.subscriptions.iter().filter(fits);
        all.clone().find(named).or_else(|| all.next())
    }

    /// A registration in a cell: `Update Location`, then `Update GPRS location`. Gives the identity that the device has
    /// there.
    pub(crate) fn register(
        &mut self,
        subscriber: &Subscriber,
        cell: &Cell,
        card: &mut dyn FnMut(&[u8; 16], &[u8; 16]) -> CardAnswer,
    ) -> Result<u32, MobilityCause> {
        let outcome = match self.admit(subscriber, cell) {
            Ok(()) => self.authenticate(subscriber, cell, card),
            Err(cause) => Err((cause, cause.advice().to_owned())),
        };
        let place = (cell.plmn.clone(), cell.name.clone(), cell.technology);
        let mut event = self.event(subscriber, EventKind::UpdateLocation, Some(&place));
        match &outcome {
            Ok(authenticated) => event.description = authenticated.text().to_owned(),
            Err((cause, advice)) => {
                event.rejected = Some(cause.to_string());
                event.description.clone_from(advice);
            }
        }
        self.log.push_back(event);
        let authenticated = outcome.map_err(|(cause, _)| cause)?;
        self.note(subscriber, EventKind::UpdateGprsLocation, Some(&place), None);
        let record = self.records.entry(subscriber.imsi.clone()).or_default();
        // Later moves within this network are those of a device that is known.
        let known = match authenticated {
            Authenticated::Synchronised => Authenticated::Proved,
            other => other,
        };
        record.proved = Some((cell.plmn.clone(), known));
        record.place = Some(place);
        if record.state != Connectivity::Online {
            record.state = Connectivity::Attached;
        }
        Ok(self.centre.temporary_identity())
    }

    /// Whether the card is the subscription's. A network that knows the device believes it.
    fn authenticate(
        &mut self,
        subscriber: &Subscriber,
        cell: &Cell,
        card: &mut dyn FnMut(&[u8; 16], &[u8; 16]) -> CardAnswer,
    ) -> Result<Authenticated, (MobilityCause, String)> {
        let known = self.records.get(&subscriber.imsi).and_then(|record| record.proved.as_ref());
        if let Some((_, authenticated)) = known.filter(|(plmn, _)| *plmn == cell.plmn) {
            return Ok(*authenticated);
        }
        // Who is admitted has a subscription.
        let Some(policy) = self.policy(subscriber).cloned() else { return Ok(Authenticated::NotAsked) };
        self.centre.authenticate(&policy, subscriber, cell.technology, card).map_err(|refused| {
            let advice = match refused.because {
                Some(cause) => format!("the card does not take the challenge, {cause}: {}", cause.advice()),
                None => refused.told.advice().to_owned(),
            };
            (refused.told, advice)
        })
    }

    /// Whether a subscriber may register in a cell.
    pub(super) fn admit(&self, subscriber: &Subscriber, cell: &Cell) -> Result<(), MobilityCause> {
        let policy = self.policy(subscriber).ok_or(MobilityCause::UnknownSubscriber)?;
        if policy.state != SubscriptionState::Active {
            return Err(MobilityCause::NoServices);
        }
        if policy.imei.as_ref().is_some_and(|imei| *imei != subscriber.imei) {
            return Err(MobilityCause::IllegalMe);
        }
        let lets_in = cell.home || self.operator(cell).is_some_and(|operator| operator.roaming);
        if policy.blacklist.contains(&cell.plmn) || !lets_in {
            return Err(MobilityCause::PlmnNotAllowed);
        }
        if !cell.home && !policy.roaming {
            return Err(MobilityCause::RoamingNotAllowed);
        }
        if policy.technologies.as_ref().is_some_and(|allowed| !allowed.contains(&cell.technology)) {
            return Err(MobilityCause::NoSuitableCells);
        }
        Ok(())
    }

    /// The device has told that it goes: its sessions end. That it is no longer attached is not told to the operator.
    pub(crate) fn detach(&mut self, subscriber: &Subscriber) {
        for session in self.sessions(subscriber) {
            self.end_session(subscriber, session.cid, "the device has detached");
        }
        self.forget(subscriber);
    }

    /// A device that comes back has to prove who it is.
    pub(crate) fn forget(&mut self, subscriber: &Subscriber) {
        if let Some(record) = self.records.get_mut(&subscriber.imsi) {
            record.proved = None;
        }
    }

    /// The data sessions of a subscriber.
    pub(crate) fn sessions(&self, subscriber: &Subscriber) -> Vec<Session> {
        self.records.get(&subscriber.imsi).map(|record| record.sessions.clone()).unwrap_or_default()
    }

    /// A data session for a context of the device, with its address. One that is there already goes on.
    pub(crate) fn begin_session(
        &mut self,
        subscriber: &Subscriber,
        cid: u8,
        apn: &str,
    ) -> Result<Session, SessionCause> {
        let known = self.sessions(subscriber);
        if let Some(session) = known.iter().find(|session| session.cid == cid) {
            return Ok(session.clone());
        }
        let outcome = self.admit_session(subscriber, apn);
        let place = self.records.get(&subscriber.imsi).and_then(|record| record.place.clone());
        let session = outcome.map(|first| Session {
            cid,
            apn: apn.to_owned(),
            carried: (0, 0),
            address: match first {
                Some(first) => Ipv4Addr::from(u32::from(first).wrapping_add(known.len() as u32)),
                None => Ipv4Addr::new(10, 7, 157, cid),
            },
        });
        let mut event = self.event(subscriber, EventKind::CreatePdpContext, place.as_ref());
        event.apn = Some(apn.to_owned());
        match &session {
            Ok(session) => event.description = format!("address {}", session.address),
            Err(cause) => {
                event.rejected = Some(cause.to_string());
                event.description = cause.advice().to_owned();
            }
        }
        self.log.push_back(event);
        let session = session?;
        let record = self.records.entry(subscriber.imsi.clone()).or_default();
        record.sessions.push(session.clone());
        record.state = Connectivity::Online;
        Ok(session)
    }

    fn admit_session(&self, subscriber: &Subscriber, apn: &str) -> Result<Option<Ipv4Addr>, SessionCause> {
        let policy = self.policy(subscriber).ok_or(SessionCause::OperatorBarred)?;
        if policy.state != SubscriptionState::Active {
            return Err(SessionCause::OperatorBarred);
        }
        if !policy.data {
            return Err(SessionCause::NotSubscribed);
        }
        // TS 23.003 §9.1: an APN is not case sensitive.
        let known = policy.apns.is_empty() || policy.apns.iter().any(|allowed| allowed.eq_ignore_ascii_case(apn));
        if !known {
            return Err(SessionCause::UnknownApn);
        }
        Ok(policy.address)
    }

    /// A data session has carried so many bytes from the device, and so many to it.
    pub(crate) fn carry(&mut self, subscriber: &Subscriber, cid: u8, sent: u64, received: u64) {
        let Some(record) = self.records.get_mut(&subscriber.imsi) else { return };
        if let Some(session) = record.sessions.iter_mut().find(|session| session.cid == cid) {
            session.carried.0 = session.carried.0.saturating_add(sent);
            session.carried.1 = session.carried.1.saturating_add(received);
        }
    }

    /// A data session ends. `why` says of whose doing, and what it has carried.
    pub(crate) fn end_session(&mut self, subscriber: &Subscriber, cid: u8, why: &str) {
        let Some(record) = self.records.get_mut(&subscriber.imsi) else { return };
        let Some(place) = record.sessions.iter().position(|session| session.cid == cid) else { return };
        let session = record.sessions.remove(place);
        if record.sessions.is_empty() {
            record.state = Connectivity::Offline;
        }
        let place = record.place.clone();
        let mut event = self.event(subscriber, EventKind::DeletePdpContext, place.as_ref());
        event.apn = Some(session.apn);
        let (sent, received) = session.carried;
        event.description = format!("{why}; {sent} bytes sent, {received} bytes received");
        self.log.push_back(event);
    }

    /// Whether names resolve for a subscriber.
    pub(crate) fn resolves(&self, subscriber: &Subscriber) -> bool {
        self.policy(subscriber).is_some_and(|policy| policy.dns == Dns::Allowed)
    }

    /// Whether a subscriber may get messages.
    pub(crate) fn may_receive(&self, subscriber: &Subscriber) -> bool {
        self.policy(subscriber).is_some_and(|policy| policy.sms && policy.state == SubscriptionState::Active)
    }

    /// The connectivity state of a subscriber.
    pub(crate) fn state(&self, subscriber: &Subscriber) -> Connectivity {
        match self.policy(subscriber) {
            Some(policy) if policy.state == SubscriptionState::Active => {
                self.records.get(&subscriber.imsi).map(|record| record.state).unwrap_or_default()
            }
            Some(_) => Connectivity::Blocked,
            None => Connectivity::Offline,
        }
    }

    // The console.

    /// Changes what the subscription of a subscriber may do; all subscriptions, when nobody is there.
    pub(crate) fn change_policy(&mut self, subscriber: Option<&Subscriber>, change: impl Fn(&mut SubscriptionSpec)) {
        let one = subscriber.and_then(|subscriber| self.policy(subscriber)).cloned();
        for spec in &mut self.subscriptions {
            if one.as_ref().is_none_or(|one| one == spec) {
                change(spec);
            }
        }
    }

    /// Sets what is received of an operator; the home network goes by `"home"`. False when there is no such operator.
    pub(crate) fn set_coverage(&mut self, operator: &str, technology: Technology, signal: Option<i16>) -> bool {
        let found = self
            .operators
            .iter_mut()
            .find(|spec| spec.plmn.as_deref() == Some(operator) || (spec.home && operator == "home"));
        let Some(spec) = found else { return false };
        spec.coverage.insert(technology, signal);
        true
    }

    /// What the operators are called, for messages.
    pub(crate) fn operator_names(&self) -> Vec<String> {
        let name = |spec: &OperatorSpec| spec.plmn.clone().unwrap_or_else(|| "home".to_owned());
        self.operators.iter().map(name).collect()
    }

    /// Adds an event of a subscriber to the log.
    pub(crate) fn note(
        &mut self,
        subscriber: &Subscriber,
        kind: EventKind,
        place: Option<&(String, String, Technology)>,
        rejected: Option<(String, String)>,
    ) {
        let mut event = self.event(subscriber, kind, place);
        if let Some((cause, advice)) = rejected {
            event.rejected = Some(cause);
            event.description = advice;
        }
        self.log.push_back(event);
    }

    /// The same with something to tell.
    pub(crate) fn tell(&mut self, subscriber: &Subscriber, kind: EventKind, description: String) {
        let event = NetworkEvent { description, ..self.event(subscriber, kind, None) };
        self.log.push_back(event);
    }

    fn event(
        &self,
        subscriber: &Subscriber,
        kind: EventKind,
        place: Option<&(String, String, Technology)>,
    ) -> NetworkEvent {
        NetworkEvent {
            kind,
            imsi: subscriber.imsi.clone(),
            operator: place.map(|(plmn, name, _)| (plmn.clone(), name.clone())),
            technology: place.map(|(_, _, technology)| *technology),
            apn: None,
            rejected: None,
            description: String::new(),
        }
    }
}

fn cells_of(operator: &OperatorSpec, subscriber: Option<&Subscriber>) -> Vec<Cell> {
    let own = subscriber.map(|subscriber| &subscriber.home);
    let is_home = own.is_some_and(|own| operator.home || operator.plmn.as_ref() == Some(&own.plmn));
    let of_card = own.filter(|_| is_home);
    let Some(plmn) = operator.plmn.clone().or_else(|| of_card.map(|own| own.plmn.clone())) else { return Vec::new() };
    let name = operator.name.clone().or_else(|| of_card.map(|own| own.name.clone())).unwrap_or_else(|| plmn.clone());
    let received = |(technology, signal): (&Technology, &Option<i16>)| {
        Some(Cell {
            plmn: plmn.clone(),
            short: operator.short.clone().unwrap_or_else(|| name.clone()),
            name: name.clone(),
            technology: *technology,
            signal: (*signal)?,
            area: operator.area,
            identity: operator.cell,
            home: is_home,
            forbidden: operator.forbidden,
        })
    };
    operator.coverage.iter().filter_map(received).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Home;

    fn subscriber() -> Subscriber {
        Subscriber {
            imsi: "901430000000001".to_owned(),
            iccid: Some("8988303000000000001".to_owned()),
            home: Home { plmn: "90143".to_owned(), name: "Global".to_owned() },
            imei: "490154203237518".to_owned(),
        }
    }

    fn network(text: &str) -> CoreNetwork {
        CoreNetwork::new(NetworkSpec::from_toml(text).unwrap().into())
    }

    fn no_card(_: &[u8; 16], _: &[u8; 16]) -> CardAnswer {
        CardAnswer::Nothing
    }

    const TWO: &str = "[[operator]]\nplmn = \"26201\"\ncoverage = { lte = -100, gsm = -70 }\n\
        [[operator]]\nplmn = \"26202\"\ncoverage = { lte = -90, nr = \"none\" }\n";

    fn titles(core: &mut CoreNetwork) -> Vec<String> {
        core.drain().iter().map(NetworkEvent::title).collect()
    }

    #[test]
    fn the_usual_flow_of_events() {
        let mut core = network(TWO);
        let who = subscriber();
        let cells = core.cells(Some(&who));
        let order: Vec<_> = cells.iter().map(|cell| (cell.plmn.as_str(), cell.technology)).collect();
        assert_eq!(
            order,
            [("26201", Technology::Gsm), ("26202", Technology::Lte), ("26201", Technology::Lte)],
            "by strength"
        );
        assert_eq!(core.state(&who), Connectivity::Offline);
        assert_eq!(core.begin_session(&who, 1, ""), Ok(core.sessions(&who)[0].clone()));
        core.end_session(&who, 1, "");
        core.drain();
        core.register(&who, &cells[1], &mut no_card).unwrap();
        assert_eq!(core.state(&who), Connectivity::Attached);
        let told = &core.log.front().unwrap().description;
        assert_eq!(told, "the card was not authenticated: the operator does not have its keys");
        let session = core.begin_session(&who, 1, "em").unwrap();
        let second = core.begin_session(&who, 2, "em").unwrap();
        assert_eq!(u32::from(second.address), u32::from(session.address) + 1);
        assert_eq!(core.state(&who), Connectivity::Online);
        core.carry(&who, 1, 1000, 200);
        core.carry(&who, 1, 24, 0);
        core.carry(&who, 9, 5, 5);
        core.end_session(&who, 1, "done");
        let told = core.log.back().unwrap();
        assert_eq!(told.description, "done; 1024 bytes sent, 200 bytes received");
        core.register(&who, &cells[2], &mut no_card).unwrap();
        assert_eq!(core.state(&who), Connectivity::Online);
        core.detach(&who);
        assert_eq!(core.state(&who), Connectivity::Offline);
        assert_eq!(
            titles(&mut core),
            [
                "Update Location",
                "Update GPRS location",
                "Create PDP context",
                "Create PDP context",
                "Delete PDP context",
                "Update Location",
                "Update GPRS location",
                "Delete PDP context"
            ]
        );
    }

    #[test]
    fn what_is_refused_and_why() {
        let who = subscriber();
        for (policy, cause) in [
            ("imsi = \"26201000000000\"", MobilityCause::UnknownSubscriber),
            ("state = \"suspended\"", MobilityCause::NoServices),
            ("state = \"blocked\"", MobilityCause::NoServices),
            ("blacklist = [\"26202\"]", MobilityCause::PlmnNotAllowed),
            ("roaming = false", MobilityCause::RoamingNotAllowed),
            ("imei = \"354850021122333\"", MobilityCause::IllegalMe),
            (
                "keys = { ki = \"46464646464646464646464646464646\", algorithm = \"test\" }",
                MobilityCause::NetworkFailure,
            ),
            ("technologies = [\"2g\"]", MobilityCause::NoSuitableCells),
        ] {
            let mut core = network(&format!("{TWO}[[subscription]]\n{policy}\n"));
            let cell = core.cells(Some(&who))[1].clone();
            assert_eq!(core.register(&who, &cell, &mut no_card), Err(cause), "{policy}");
            let event = &core.drain()[0];
            assert_eq!(event.title(), "Update Location rejected");
            assert!(event.rejected.as_ref().unwrap().ends_with(&format!("(#{})", cause.number())));
            assert!(!event.description.is_empty());
        }
        for (policy, apn, cause) in [
            ("apns = [\"em\", \"emnify\"]", "", Some(SessionCause::UnknownApn)),
            ("apns = [\"em\", \"emnify\"]", "internet", Some(SessionCause::UnknownApn)),
            ("apns = [\"em\", \"emnify\"]", "EMnify", None),
            ("data = false", "em", Some(SessionCause::NotSubscribed)),
            ("imsi = \"901430000000001\"\nstate = \"blocked\"", "em", Some(SessionCause::OperatorBarred)),
        ] {
            let mut core = network(&format!("{TWO}[[subscription]]\n{policy}\n"));
            assert_eq!(core.begin_session(&who, 1, apn).err(), cause, "{policy}");
        }
    }

    #[test]
    fn a_subscription_is_found_by_what_it_names() {
        let core = network(&format!(
            "{TWO}[[subscription]]\ndata = false\n[[subscription]]\niccid = \"8988303000000000001\"\nsms = false\n"
        ));
        let who = subscriber();
        assert!(!core.may_receive(&who), "the entry that names the card comes first");
        let other = Subscriber { iccid: None, ..who };
        assert!(core.may_receive(&other));
        assert!(core.resolves(&other));
    }
}
