//! The orders of a scenario at a real server: taken from the file or made over ES2+, and taken back afterwards.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, MutexGuard, PoisonError};

use rsp::{Eid, Iccid};
use smdp::status::Status;
use smdp::{OrderState, profile::built_in_named};
use tokio::sync::OwnedMutexGuard;

use super::es2::{Confirm, Es2Error, Wanted};
use super::stock::{OrderedBy, StockOrder};
use super::{RealServer, State};
use crate::runner::{ProfileNames, SetUpError};
use crate::scenario::ast::{Order, ProfileSource, Scenario, ServerAction, Template, Variable};
use crate::timeline::{Kind, Role, Timeline};

/// An order that is there for a scenario.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The name that the scenario has for its profile.
    profile: String,
    /// The matching id in the scenario, and at the server.
    matching_id: (Option<String>, Option<String>),
    /// The confirmation code in the scenario, and at the server.
    confirmation_code: (Option<String>, Option<String>),
    /// The card that it is for.
    eid: Option<Eid>,
    /// The profile, as far as it is known.
    iccid: Option<Iccid>,
    /// Whether it was made over ES2+.
    made: bool,
    /// Whether the operator has cancelled it already.
    cancelled: bool,
}

impl Placed {
    fn new(order: &Order, profile: &str, eid: Option<Eid>) -> Self {
        Placed {
            profile: profile.to_owned(),
            matching_id: (order.matching_id.clone(), None),
            confirmation_code: (order.confirmation_code.clone(), order.confirmation_code.clone()),
            eid,
            iccid: None,
            made: false,
            cancelled: false,
        }
    }
}

/// The orders of a scenario that runs.
#[derive(Debug)]
pub struct Orders {
    server: Arc<RealServer>,
    numbers: Vec<u64>,
    timeline: Timeline,
    /// Held where the server finds one of them by the EID.
    _by_eid: Option<OwnedMutexGuard<()>>,
}

impl RealServer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that the orders of a scenario are there, for this card.
    pub async fn place(
        self: &Arc<Self>,
        scenario: &Scenario,
        card: Eid,
        timeline: &Timeline,
    ) -> Result<Orders, SetUpError> {
        let by_eid = match scenario.orders.iter().any(|order| order.matching_id.is_none()) {
            true => Some(Arc::clone(&self.by_eid).lock_owned().await),
            false => None,
        };
        let (wanted, timeline) = (scenario.orders.clone(), timeline.clone());
        let mut orders = Orders { server: Arc::clone(self), numbers: Vec::new(), timeline, _by_eid: by_eid };
        self.to_its_end(async move {
            for order in &wanted {
                if let Err(error) = orders.place(order, card).await {
                    // Those before it are not left lying about.
                    return match orders.take_all_back(&[]).await {
                        Ok(()) => Err(error),
                        Err(left) => Err(SetUpError::Failed(format!("{error}; {left}"))),
                    };
                }
            }
            Ok(orders)
        })
        .await
        .unwrap_or_else(|| Err(SetUpError::Failed("placing the orders has panicked".to_owned())))
    }

    /// Does something at the server to its end, also when nobody waits for it any more: what has been asked of a server
    /// is done there, and has to be known here.
    async fn to_its_end<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let busy = Arc::clone(&self.busy).read_owned().await;
        let task = tokio::spawn(async move {
            let done = work.await;
            drop(busy);
            done
        });
        task.await.ok()
    }

    /// Takes back what is left of scenarios that were not ended in order.
    pub async fn take_all_back(self: &Arc<Self>) -> Result<(), String> {
        // What is under way comes to its end first.
        drop(self.busy.write().await);
        let numbers: Vec<u64> = self.state().placed.keys().copied().collect();
        Orders { server: Arc::clone(self), numbers, timeline: Timeline::new(), _by_eid: None }.take_all_back(&[]).await
    }

    /// What could not be put back, in lines.
    pub fn left(&self) -> Vec<String> {
        told(&self.state().left)
    }
}

/// A profile that cannot be ordered again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The name that scenarios have for it.
    profile: String,
    /// Which it is.
    iccid: Iccid,
    /// Why.
    why: String,
}

/// How many ICCIDs are told for each reason.
const TOLD: usize = 5;

/// A line for each profile and reason.
fn told(left: &[Left]) -> Vec<String> {
    let mut groups: BTreeMap<(&str, &str), Vec<Iccid>> = BTreeMap::new();
    for one in left {
        groups.entry((&one.profile, &one.why)).or_default().push(one.iccid);
    }
    let line = |((profile, why), iccids): ((&str, &str), Vec<Iccid>)| {
        let shown: Vec<String> = iccids.iter().take(TOLD).map(ToString::to_string).collect();
        let more = iccids.len().saturating_sub(TOLD);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let count = iccids.len();
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} profile{plural} {profile}, {why}: {}{more}", shown.join(", "))
    };
    groups.into_iter().map(line).collect()
}

impl Orders {
    async fn place(&mut self, order: &Order, card: Eid) -> Result<(), SetUpError> {
        let ProfileSource::BuiltIn(profile) = &order.profile else {
            return Err(SetUpError::Cannot("its profile is a package in a file".to_owned()));
        };
        let eid = match &order.eid {
            Some(template) => Some(filled(template, card)?),
            // SGP.22 §5.3.2: without a matching id the EID tells whose order it is.
            None => order.matching_id.is_none().then_some(card),
        };
        let wanted = Placed::new(order, profile, eid);
        match (&self.server.operator, self.server.stock.profiles.get(profile).map(|known| known.by.clone())) {
            (Some(_), Some(by)) if matches!(order.state, OrderState::Released | OrderState::Confirmed) => {
                self.make(order, wanted, &by).await
            }
            _ => self.take_given(order, wanted, card),
        }
    }

    /// Takes an order of the file.
    fn take_given(&mut self, order: &Order, mut placed: Placed, card: Eid) -> Result<(), SetUpError> {
        let server = Arc::clone(&self.server);
        let mut state = server.state();
        let fits = |given: &StockOrder| {
            given.profile == placed.profile
                && given.state == order.state
                && given.confirmation_code.is_some() == order.confirmation_code.is_some()
                && given.matching_id.is_some() == order.matching_id.is_some()
                // One that is for this card is as good as one for anybody.
                && (given.eid == placed.eid || (placed.eid.is_none() && given.eid == Some(card)))
        };
        let all = || server.stock.orders.iter().enumerate().filter(|(_, given)| fits(given));
        // What is not released is refused, and stays what it is.
        let free = |index: &usize| order.state != OrderState::Released || !state.used.contains(index);
        let Some((index, given)) = all().find(|(index, _)| free(index)) else {
            let like = [
                order.confirmation_code.as_ref().map(|_| " with a confirmation code"),
                order.eid.as_ref().map(|_| " for the EID of the scenario"),
                order.matching_id.is_none().then_some(" that is found by the EID"),
            ];
            let like: String = like.into_iter().flatten().collect();
            let told = match all().count() {
                0 => format!("the orders file has no order of {}{like} that is {}", placed.profile, order.state),
                1 => format!("the one order of {}{like} in the orders file is used already", placed.profile),
                count => format!("all {count} orders of {}{like} in the orders file are used already", placed.profile),
            };
            return Err(SetUpError::Cannot(told));
        };
        state.used.insert(index);
        placed.matching_id.1.clone_from(&given.matching_id);
        placed.confirmation_code.1.clone_from(&given.confirmation_code);
        placed.iccid = given.iccid;
        let number = state.count;
        state.count += 1;
        state.placed.insert(number, placed);
        drop(state);
        self.numbers.push(number);
        Ok(())
    }

    /// Makes an order over ES2+.
    async fn make(&mut self, order: &Order, mut placed: Placed, by: &OrderedBy) -> Result<(), SetUpError> {
        let server = Arc::clone(&self.server);
        let Some(operator) = &server.operator else { return Ok(()) };
        let what = match by {
            OrderedBy::Type(kind) => Wanted::OfType(kind),
            OrderedBy::Iccids(list) => {
                let mut state = server.state();
                let free = list.iter().find(|iccid| !state.taken.contains(iccid)).copied();
                let Some(iccid) = free else {
                    let told = format!("all profiles of {} that the orders file names are taken", placed.profile);
                    return Err(SetUpError::Cannot(told));
                };
                state.taken.insert(iccid);
                Wanted::Iccid(iccid)
            }
        };
        // SGP.22 §5.3.1: an order for one card names it from the beginning.
        let ordered = operator.download_order(what, placed.eid).await;
        self.note("downloadOrder", &ordered.as_ref().map(ToString::to_string));
        let iccid =
            ordered.map_err(|error| match error.is(Status::TypeExhausted) || error.is(Status::ProfileInUse) {
                true => SetUpError::Cannot(format!("no {} is left: {error}", placed.profile)),
                false => refused(error),
            })?;
        placed.iccid = Some(iccid);
        placed.made = true;
        placed.matching_id.1.clone_from(&placed.matching_id.0);
        let (wanted, eid) = (placed.matching_id.0.clone(), placed.eid);
        let number = {
            let mut state = server.state();
            let number = state.count;
            state.count += 1;
            state.placed.insert(number, placed);
            number
        };
        self.numbers.push(number);
        let mut confirm = Confirm {
            iccid,
            eid,
            matching_id: Some(wanted.as_deref().unwrap_or_default()),
            confirmation_code: order.confirmation_code.as_deref(),
            release: order.state == OrderState::Released,
        };
        let mut confirmed = operator.confirm_order(confirm).await;
        if confirmed.as_ref().is_err_and(|error| error.is(Status::MatchingIdTaken)) {
            // One that an earlier run has used up, say: the server makes one of its own.
            confirm.matching_id = None;
            confirmed = operator.confirm_order(confirm).await;
        }
        self.note("confirmOrder", &confirmed.as_ref().map(|id| id.clone().unwrap_or_default()));
        let matching_id = confirmed.map_err(refused)?;
        if let Some(placed) = server.state().placed.get_mut(&number) {
            // SGP.22 §5.3.2: the answer has the matching id; one that was asked for is the same.
            placed.matching_id.1 = wanted.as_ref().and(matching_id.or_else(|| wanted.clone()));
        }
        Ok(())
    }

    fn note(&self, function: &str, came: &Result<String, &Es2Error>) {
        let field = match came {
            Ok(value) => ("answer", value.clone()),
            Err(error) => ("problem", error.to_string()),
        };
        self.timeline.note(Role::Lab, format!("ES2+ {function}"), [field]);
    }

    fn placed(&self) -> Vec<Placed> {
        let state = self.server.state();
        self.numbers.iter().filter_map(|number| state.placed.get(number)).cloned().collect()
    }

    /// What an operator does to one of the orders.
    pub async fn act(&self, action: &ServerAction) -> Result<(), SetUpError> {
        let (ServerAction::Release(id) | ServerAction::Cancel(id)) = action else {
            return Err(SetUpError::Cannot("a real server is not switched off by this".to_owned()));
        };
        let Some(operator) = &self.server.operator else {
            return Err(SetUpError::Cannot("what an operator does is done over ES2+ (--es2 URL)".to_owned()));
        };
        let found = {
            let state = self.server.state();
            let mut all = self.numbers.iter().filter_map(|number| Some((*number, state.placed.get(number)?.clone())));
            all.find(|(_, placed)| placed.matching_id.0.as_deref() == Some(id))
        };
        let Some((number, placed)) = found else {
            return Err(SetUpError::Failed(format!("the server has no order {id}")));
        };
        let Some(iccid) = placed.iccid.filter(|_| placed.made) else {
            return Err(SetUpError::Cannot(format!("the order {id} is one of the file, not one of this operator")));
        };
        let (function, done) = match action {
            ServerAction::Release(_) => ("releaseProfile", operator.release_profile(iccid).await),
            _ => {
                ("cancelOrder", operator.cancel_order(iccid, placed.eid, placed.matching_id.1.as_deref(), false).await)
            }
        };
        self.note(function, &done.as_ref().map(|()| "done".to_owned()));
        done.map_err(refused)?;
        if function == "cancelOrder"
            && let Some(placed) = self.server.state().placed.get_mut(&number)
        {
            placed.cancelled = true;
        }
        Ok(())
    }

    /// A text in which the matching ids and confirmation codes of the scenario are those of the server.
    pub fn adapted(&self, mut text: String) -> String {
        for placed in self.placed() {
            if let (Some(from), Some(to)) = &placed.matching_id
                && from != to
            {
                text = with_matching_id(&text, self.server.address(), from, to);
            }
            if let (Some(from), Some(to)) = &placed.confirmation_code
                && text == *from
            {
                text.clone_from(to);
            }
        }
        text
    }

    /// The ICCID of a profile that was ordered. What nobody has told is learned from the card: the profile that was
    /// installed and is none of the others.
    pub fn iccid_of(&self, profile: &str, come: impl FnOnce() -> Vec<Iccid>) -> Option<Iccid> {
        let all = self.placed();
        let placed = all.iter().find(|placed| placed.profile == profile);
        let Some(placed) = placed else {
            return built_in_named(profile).and_then(|spec| Iccid::parse(&spec.iccid).ok());
        };
        placed.iccid.or_else(|| {
            let known: Vec<Iccid> = all.iter().filter_map(|other| other.iccid).collect();
            come().into_iter().rfind(|iccid| !known.contains(iccid))
        })
    }

    /// The profiles whose ICCID nobody has told.
    pub fn without_iccid(&self) -> Vec<String> {
        self.placed().into_iter().filter(|placed| placed.iccid.is_none()).map(|placed| placed.profile).collect()
    }

    /// What a profile is called: as the orders file has it, or else the card.
    pub fn names_of(&self, profile: &str, on_card: impl FnOnce() -> Option<ProfileNames>) -> ProfileNames {
        let told = self.server.stock.profiles.get(profile);
        let (name, provider) = (told.and_then(|it| it.name.clone()), told.and_then(|it| it.provider.clone()));
        match (name, provider) {
            (Some(name), Some(provider)) => ProfileNames { name, provider },
            (name, provider) => {
                let seen = on_card().unwrap_or_default();
                ProfileNames { name: name.unwrap_or(seen.name), provider: provider.unwrap_or(seen.provider) }
            }
        }
    }

    /// Takes the orders back, so that their profiles can be ordered again. Those that a card has stay where they are,
    /// and are told at the end of the run; the error is that of a server that cannot be asked.
    pub async fn take_back(&mut self, installed: &[Iccid]) -> Result<(), String> {
        let (server, installed) = (Arc::clone(&self.server), installed.to_vec());
        let numbers = std::mem::take(&mut self.numbers);
        let mut own = Orders { server: Arc::clone(&server), numbers, timeline: self.timeline.clone(), _by_eid: None };
        let taken = server.to_its_end(async move { own.take_all_back(&installed).await }).await;
        taken.unwrap_or_else(|| Err("taking the orders back has panicked".to_owned()))
    }

    async fn take_all_back(&mut self, installed: &[Iccid]) -> Result<(), String> {
        let mut problems = Vec::new();
        for number in std::mem::take(&mut self.numbers) {
            let Some(placed) = self.server.state().placed.get(&number).cloned() else { continue };
            match self.take_one_back(&placed, installed).await {
                Ok(left) => self.server.state().left.extend(left),
                Err(error) => problems.push(error.to_string()),
            }
            self.server.state().placed.remove(&number);
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(format!("THE ORDERS OF THE SERVER ARE NOT AS THEY WERE FOUND: {}", problems.join("; "))),
        }
    }

    /// Takes an order back; gives what is left of it.
    async fn take_one_back(&self, placed: &Placed, installed: &[Iccid]) -> Result<Option<Left>, Es2Error> {
        let (Some(operator), Some(iccid), true) = (&self.server.operator, placed.iccid, placed.made) else {
            return Ok(None);
        };
        let left = |why: String| Ok(Some(Left { profile: placed.profile.clone(), iccid, why }));
        if installed.contains(&iccid) {
            return left("installed on a card".to_owned());
        }
        if placed.cancelled {
            return left("cancelled for good by the scenario".to_owned());
        }
        let mut done = operator.cancel_order(iccid, placed.eid, placed.matching_id.1.as_deref(), true).await;
        if done.as_ref().is_err_and(|error| error.is(Status::MatchingIdAssociation)) {
            // One that was not confirmed has none.
            done = operator.cancel_order(iccid, placed.eid, None, true).await;
        }
        self.note("cancelOrder", &done.as_ref().map(|()| "can be ordered again".to_owned()));
        match done {
            Ok(()) => {
                self.server.state().taken.remove(&iccid);
                Ok(None)
            }
            // A package has been fetched, or a code was wrong too often: that is no order any more.
            Err(Es2Error::Refused { function, subject, reason, .. }) => {
                left(format!("not to be ordered again, as {function} is refused with {subject}/{reason}"))
            }
            Err(error) => Err(error),
        }
    }
}

/// A server that refuses is told from one that cannot be asked.
fn refused(error: Es2Error) -> SetUpError {
    match error {
        Es2Error::Refused { .. } => SetUpError::Refused(error.to_string()),
        Es2Error::NoAnswer { .. } => SetUpError::Failed(error.to_string()),
    }
}

/// The profiles that were installed on the emulated card, in their order.
pub fn installed(timeline: &Timeline) -> Vec<Iccid> {
    let of = |kind: &Kind| match kind {
        Kind::Note { text, fields } if text == crate::timeline::PROFILE_INSTALLED => {
            fields.get("iccid").and_then(|text| Iccid::parse(text).ok())
        }
        _ => None,
    };
    timeline.snapshot().iter().filter_map(|event| of(&event.kind)).collect()
}

fn filled(template: &Template, card: Eid) -> Result<Eid, SetUpError> {
    let text = template.fill(|variable| match variable {
        Variable::Eid => card.to_string(),
        _ => String::new(),
    });
    Eid::parse(&text).map_err(|error| SetUpError::Failed(error.to_string()))
}

/// A text in which an activation code of this server has another matching id.
fn with_matching_id(text: &str, address: &str, from: &str, to: &str) -> String {
    let start = format!("{address}$");
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(&start) {
        let (before, after) = rest.split_at(at + start.len());
        result.push_str(before);
        // The matching id is all up to the next part, or the quote that ends the code on an AT line.
        let end = after.find(['$', '"']).unwrap_or(after.len());
        result.push_str(if &after[..end] == from { to } else { &after[..end] });
        rest = &after[end..];
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_in_few_lines() {
        let left = |number: u32, profile: &str, why: &str| Left {
            profile: profile.to_owned(),
            iccid: Iccid::parse(&format!("899990100000000{number:03}")).unwrap(),
            why: why.to_owned(),
        };
        let mut all: Vec<Left> = (0..7).map(|number| left(number, "operator-a", "installed on a card")).collect();
        all.push(left(9, "test", "cancelled for good by the scenario"));
        assert_eq!(
            told(&all),
            [
                "7 profiles operator-a, installed on a card: 899990100000000000, 899990100000000001, \
                 899990100000000002, 899990100000000003, 899990100000000004 and 2 more",
                "1 profile test, cancelled for good by the scenario: 899990100000000009",
            ]
        );
        assert_eq!(told(&[]), [""; 0]);
    }

    #[test]
    fn matching_ids_are_replaced_in_codes_of_the_server_alone() {
        let replaced = |text: &str| with_matching_id(text, "a.example:1", "ONE", "TWO-2");
        for (text, wanted) in [
            ("1$a.example:1$ONE", "1$a.example:1$TWO-2"),
            ("LPA:1$a.example:1$ONE$$1", "LPA:1$a.example:1$TWO-2$$1"),
            ("AT+QESIM=\"download\",\"1$a.example:1$ONE\"", "AT+QESIM=\"download\",\"1$a.example:1$TWO-2\""),
            ("1$a.example:1$ONE-MORE", "1$a.example:1$ONE-MORE"),
            ("1$b.example:1$ONE", "1$b.example:1$ONE"),
            ("1$a.example:1$", "1$a.example:1$"),
            ("ONE", "ONE"),
        ] {
            assert_eq!(replaced(text), wanted);
        }
    }
}
