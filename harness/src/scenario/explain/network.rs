//! The mobile network in words.

use modem::network::{Change, Dns, NetworkSpec, OperatorSpec, SubscriptionSpec, SubscriptionState};

use super::super::ast::{ExpectedNetwork, NetworkAction, Word};

/// What is there at the start, in lines.
pub(super) fn spec(spec: &NetworkSpec) -> Vec<String> {
    let operators = spec.operators.iter().map(operator);
    let subscriptions = spec.subscriptions.iter().map(subscription);
    operators.chain(subscriptions).map(|text| format!("mobile network: {text}")).collect()
}

fn operator(operator: &OperatorSpec) -> String {
    let name = match (&operator.plmn, &operator.name) {
        (Some(plmn), Some(name)) => format!("{name} ({plmn})"),
        (Some(plmn), None) => plmn.clone(),
        (None, Some(name)) => format!("{name}, the home network"),
        (None, None) => "the home network".to_owned(),
    };
    let coverage: Vec<String> = operator
        .coverage
        .iter()
        .map(|(technology, signal)| match signal {
            Some(dbm) => format!("{} at {dbm} dBm", technology.name()),
            None => format!("no {}", technology.name()),
        })
        .collect();
    let mut text = format!("{name}, {}", coverage.join(", "));
    for (is_so, what) in [
        (operator.forbidden, ", forbidden"),
        (!operator.roaming, ", without roaming"),
        (!operator.psm.supported, ", without PSM"),
        (!operator.edrx.supported, ", without eDRX"),
    ] {
        if is_so {
            text.push_str(what);
        }
    }
    text
}

fn subscription(subscription: &SubscriptionSpec) -> String {
    let who = match (&subscription.imsi, &subscription.iccid) {
        (Some(imsi), _) => format!("the subscription of the IMSI {imsi}"),
        (None, Some(iccid)) => format!("the subscription of the ICCID {iccid}"),
        (None, None) => "every subscription".to_owned(),
    };
    let mut rules = Vec::new();
    if subscription.state != SubscriptionState::Active {
        rules.push(subscription.state.word().to_owned());
    }
    if !subscription.data {
        rules.push("without data".to_owned());
    }
    if !subscription.sms {
        rules.push("without text messages".to_owned());
    }
    if !subscription.roaming {
        rules.push("without roaming".to_owned());
    }
    if let Some(technologies) = &subscription.technologies {
        rules.push(format!("with {} only", technologies.iter().map(|t| t.name()).collect::<Vec<_>>().join(", ")));
    }
    if !subscription.blacklist.is_empty() {
        rules.push(format!("must not use {}", subscription.blacklist.join(", ")));
    }
    if !subscription.apns.is_empty() {
        rules.push(format!("APN {}", subscription.apns.join(" or ")));
    }
    if let Some(imei) = &subscription.imei {
        rules.push(format!("locked to the device {imei}"));
    }
    if subscription.keys.is_some() {
        rules.push("with keys of its own".to_owned());
    }
    if subscription.dns == Dns::Blocked {
        rules.push("no name resolves".to_owned());
    }
    if rules.is_empty() { format!("{who} may do everything") } else { format!("{who}: {}", rules.join(", ")) }
}

/// A step, in a few words.
pub(super) fn action(action: &NetworkAction) -> String {
    let allows = |what: &str, allowed: bool| {
        format!("the operator {} {what}", if allowed { "allows" } else { "no longer allows" })
    };
    let list = |what: &str, list: &[String]| match list {
        [] => format!("the operator empties the {what}"),
        list => format!("the operator sets the {what} to {}", list.join(", ")),
    };
    match action {
        NetworkAction::Wake => "the power key wakes the modem".to_owned(),
        NetworkAction::Sms { from, text } => format!("{from} sends the text message {text:?}"),
        NetworkAction::Change(change) => match change {
            Change::State(SubscriptionState::Active) => "the operator activates the SIM".to_owned(),
            Change::State(SubscriptionState::Suspended) => "the operator suspends the SIM".to_owned(),
            Change::State(SubscriptionState::Blocked) => "the operator blocks the SIM".to_owned(),
            Change::Data(allowed) => allows("data", *allowed),
            Change::Sms(allowed) => allows("text messages", *allowed),
            Change::Roaming(allowed) => allows("roaming", *allowed),
            Change::Dns(dns) => allows("DNS", *dns == Dns::Allowed),
            Change::Apns(apns) => list("APNs", apns),
            Change::Blacklist(plmns) => list("operator blacklist", plmns),
            Change::Technologies(None) => "the operator allows all radio types".to_owned(),
            Change::Technologies(Some(technologies)) => {
                let names: Vec<&str> = technologies.iter().map(|technology| technology.name()).collect();
                format!("the operator allows the radio types {}", names.join(", "))
            }
            Change::Coverage { operator, technology, signal: Some(dbm) } => {
                format!("{} of {operator} is received with {dbm} dBm", technology.name())
            }
            Change::Coverage { operator, technology, signal: None } => {
                format!("{} of {operator} is no longer received", technology.name())
            }
            Change::Reset => "the operator has the device register anew".to_owned(),
        },
    }
}

/// What must be seen of it, in lines.
pub(super) fn expected(expect: &ExpectedNetwork) -> Vec<String> {
    let ExpectedNetwork { state, operator, technology, events } = expect;
    let mut lines = Vec::new();
    if let Some(state) = state {
        lines.push(format!("the device is {} to the operator", state.value.word()));
    }
    if let Some(operator) = operator {
        lines.push(match operator.value.as_str() {
            "" => "it is registered in no network".to_owned(),
            plmn => format!("it is registered in the network {plmn}"),
        });
    }
    if let Some(technology) = technology {
        lines.push(format!("by {}", technology.value.name()));
    }
    if let Some(events) = events {
        let names: Vec<String> = events.value.iter().map(ToString::to_string).collect();
        lines.push(match names.is_empty() {
            true => "the operator's log has no event".to_owned(),
            false => format!("the operator's log has: {}", names.join(", ")),
        });
    }
    lines
}
