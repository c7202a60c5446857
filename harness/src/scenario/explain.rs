//! A scenario in words: what it does, and why.

use std::fmt::Write as _;
use std::time::Duration;

use super::ast::*;

/// The scenario in words, for a terminal.
pub fn explain(id: &str, scenario: &Scenario) -> String {
    let mut text = Text::default();
    text.line(0, format!("{id}: {}", scenario.title));
    if let Some(why) = &scenario.why {
        text.gap();
        why.lines().for_each(|line| text.line(0, line.trim().to_owned()));
    }
    if let Some(reason) = &scenario.skip {
        text.gap();
        text.line(0, format!("It is not run at present: {reason}"));
    }
    if let Some(reason) = &scenario.expected_failure {
        text.gap();
        text.line(0, format!("It is known to fail: {reason}"));
    }
    if !scenario.refs.is_empty() {
        text.heading("Where this comes from");
        scenario.refs.iter().for_each(|reference| text.line(1, reference.clone()));
    }
    text.heading("At the start");
    text.line(1, format!("modem: {}", scenario.model));
    text.line(1, format!("card: {}", card(&scenario.card)));
    text.line(1, format!("certificates: {}", scenario.curve.word()));
    if scenario.orders.is_empty() {
        text.line(1, "server: no order".to_owned());
    }
    for order in &scenario.orders {
        text.line(1, format!("server: {}", self::order(order)));
    }
    if !scenario.faults.is_empty() {
        text.heading("What goes wrong");
        scenario.faults.iter().for_each(|fault| text.line(1, self::fault(fault)));
    }
    text.heading("What happens");
    for (index, step) in scenario.steps.iter().enumerate() {
        text.line(1, format!("{}. {}", index + 1, describe(&step.action)));
        match &step.action {
            StepAction::At { reply: Some(lines), .. } => {
                lines.iter().for_each(|line| text.line(3, format!("must be answered: {line}")));
            }
            StepAction::At { reply: None, .. } => {}
            StepAction::Lpa { expect, .. } => text.line(3, format!("must end in {}", expected(expect))),
        }
        if let Some(within) = step.within {
            text.line(3, format!("within {}", time(within)));
        }
    }
    let expect = expectations(&scenario.expect);
    if !expect.is_empty() {
        text.heading("What must be seen afterwards");
        expect.into_iter().for_each(|line| text.line(1, line));
    }
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, depth: usize, line: String) {
        self.0.push_str(&"  ".repeat(depth));
        self.0.push_str(&line);
        self.0.push('\n');
    }

    fn gap(&mut self) {
        self.0.push('\n');
    }

    fn heading(&mut self, heading: &str) {
        self.gap();
        self.line(0, format!("{heading}:"));
    }
}

/// A step in a few words: `AT+QESIM="eid"`, `download 1$...`.
pub fn describe(action: &StepAction) -> String {
    match action {
        StepAction::At { command, .. } => command.to_string(),
        StepAction::Lpa { operation, .. } => match operation {
            Operation::Download { activation_code, confirmation_code: None } => {
                format!("the LPA downloads {activation_code}")
            }
            Operation::Download { activation_code, confirmation_code: Some(code) } => {
                format!("the LPA downloads {activation_code} with the confirmation code {code}")
            }
            Operation::Enable(profile) => format!("the LPA enables {profile}"),
            Operation::Disable(profile) => format!("the LPA disables {profile}"),
            Operation::Delete(profile) => format!("the LPA deletes {profile}"),
            Operation::Nickname(profile, name) if name.is_empty() => {
                format!("the LPA takes the nickname of {profile} away")
            }
            Operation::Nickname(profile, name) => format!("the LPA calls {profile} {name:?}"),
            Operation::List => "the LPA lists the profiles".to_owned(),
        },
    }
}

fn card(card: &Card) -> String {
    let mut text = match &card.eid {
        Some(eid) => format!("EID {eid}"),
        None => "the lab's EID".to_owned(),
    };
    if let Some(kind) = &card.kind {
        let _ = write!(text, ", a card {kind:?}");
    }
    if card.profiles.is_empty() {
        text.push_str(", no profile");
    }
    for profile in &card.profiles {
        let _ = write!(text, ", profile {:?} {}", profile.profile, profile.state.word());
        if let Some(nickname) = &profile.nickname {
            let _ = write!(text, " called {nickname:?}");
        }
    }
    text
}

fn order(order: &Order) -> String {
    let mut text = match &order.matching_id {
        None => "order without matching id".to_owned(),
        Some(id) => format!("order {id}"),
    };
    match &order.profile {
        ProfileSource::BuiltIn(name) => {
            let _ = write!(text, ": profile {name:?}");
        }
        ProfileSource::Package(path) => {
            let _ = write!(text, ": profile package {path}");
        }
    }
    let _ = write!(text, ", {}", order.state.word());
    if let Some(eid) = &order.eid {
        let _ = write!(text, ", for the EID {eid}");
    }
    if let Some(code) = &order.confirmation_code {
        let _ = write!(text, ", confirmation code {code}");
    }
    if order.replace_session_keys {
        text.push_str(", with keys of its own");
    }
    text
}

fn fault(fault: &Fault) -> String {
    let fault = match fault {
        Fault::Unresolvable => return "the server's name does not resolve".to_owned(),
        Fault::Server(fault) => fault,
    };
    let mut text = fault.action.to_string();
    if let Some(function) = fault.function {
        let _ = write!(text, ", at {}", function.name());
    }
    if fault.nth > 1 {
        let _ = write!(text, ", from time {} on", fault.nth);
    }
    match fault.count {
        None => {}
        Some(1) => text.push_str(", once"),
        Some(count) => {
            let _ = write!(text, ", {count} times");
        }
    }
    text
}

/// What must come of an operation, in words.
pub fn expected(expect: &LpaExpect) -> String {
    let mut text = expect.outcome.map_or("any outcome", Word::word).to_owned();
    let codes = [
        expect.status.as_ref().map(|status| format!("status {status}")),
        expect.curl.map(|code| format!("curl {code}")),
        expect.http.map(|status| format!("HTTP {status}")),
        expect.euicc.map(|reason| format!("eUICC reason {reason}")),
    ];
    for code in codes.into_iter().flatten() {
        let _ = write!(text, ", {code}");
    }
    text
}

fn expectations(expect: &Expect) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(Expected { value: profiles, .. }) = &expect.profiles {
        lines.push(match profiles.is_empty() {
            true => "no profile on the card".to_owned(),
            false => {
                let list: Vec<String> = profiles.iter().map(profile).collect();
                format!("on the card: {}", list.join("; "))
            }
        });
    }
    if let Some(Expected { value: notifications, .. }) = &expect.notifications {
        lines.push(match notifications.is_empty() {
            true => "no notification waits on the card".to_owned(),
            false => {
                let list: Vec<String> = notifications.iter().map(notification).collect();
                format!("notifications waiting on the card: {}", list.join("; "))
            }
        });
    }
    match &expect.open_channels {
        None => {}
        Some(Expected { value: 0, .. }) => lines.push("no logical channel is open".to_owned()),
        Some(Expected { value, .. }) => lines.push(format!("logical channels open: {value}")),
    }
    if let Some(Expected { value: calls, .. }) = &expect.es9plus {
        lines.push(match calls.is_empty() {
            true => "no call has reached the server".to_owned(),
            false => {
                let list: Vec<&str> = calls.iter().map(|function| function.name()).collect();
                format!("calls of the server: {}", list.join(", "))
            }
        });
    }
    if let Some(Expected { value: orders, .. }) = &expect.orders {
        lines.extend(orders.iter().map(|(id, state)| format!("the order {id} is {}", state.word())));
    }
    lines
}

/// A profile that is expected, in words.
pub fn profile(profile: &ExpectedProfile) -> String {
    let mut text = profile.profile.to_string();
    if let Some(state) = profile.state {
        let _ = write!(text, ", {}", state.word());
    }
    match profile.nickname.as_deref() {
        None => {}
        Some("") => text.push_str(", without nickname"),
        Some(nickname) => {
            let _ = write!(text, ", called {nickname:?}");
        }
    }
    text
}

/// A notification that is expected, in words.
pub fn notification(notification: &ExpectedNotification) -> String {
    match &notification.profile {
        Some(profile) => format!("{} of {profile}", notification.event.word()),
        None => notification.event.word().to_owned(),
    }
}

/// A time with its unit.
pub fn time(duration: Duration) -> String {
    match duration.as_millis() {
        millis if millis % 60_000 == 0 => format!("{} min", millis / 60_000),
        millis if millis % 1000 == 0 => format!("{} s", millis / 1000),
        millis => format!("{millis} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::super::parse::tests::{FULL, vocabulary};
    use super::*;

    #[test]
    fn a_scenario_in_words() {
        let (scenario, _) = parse("full.toml", FULL, &vocabulary()).unwrap();
        insta::assert_snapshot!(explain("demo/full", &scenario));
    }
}
