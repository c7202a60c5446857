//! A scenario in words: what it does, and why.

use std::fmt::Write as _;
use std::time::Duration;

use smdp::profile::PolicyRule;

use super::ast::*;

mod network;

use crate::timeline::Direction;

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
    let ports = scenario.ports.map(|ports| format!(", AT ports: {ports}")).unwrap_or_default();
    match &scenario.model_file {
        Some(file) => text.line(1, format!("modem: the model in {file}{ports}")),
        None => text.line(1, format!("modem: {}{ports}", scenario.model)),
    }
    text.line(1, format!("card: {}", card(&scenario.card)));
    if let Some(spec) = &scenario.network {
        network::spec(spec).into_iter().for_each(|line| text.line(1, line));
    }
    match &scenario.pki_folder {
        Some(folder) => text.line(1, format!("certificates: {}, those of the folder {folder}", scenario.curve.word())),
        None => text.line(1, format!("certificates: {}", scenario.curve.word())),
    }
    if let Some(clock) = scenario.clock {
        text.line(1, format!("clock: {}", date(clock)));
    }
    if let Some(name) = &scenario.smdp_name {
        text.line(1, format!("server: its name is {name}"));
    }
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
        step_lines(&mut text, step, 3);
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

/// What must come of a step.
fn step_lines(text: &mut Text, step: &Step, depth: usize) {
    match &step.action {
        StepAction::At { reply: Some(lines), .. } => {
            lines.iter().for_each(|line| text.line(depth, format!("must be answered: {line}")));
        }
        StepAction::Transcript { transcript, .. } => {
            transcript.lines.iter().for_each(|line| text.line(depth, line.to_string()));
        }
        StepAction::Apdu { status, data, .. } => {
            if let Some(status) = status {
                text.line(depth, format!("must be answered with the status word {status}"));
            }
            if let Some(data) = data {
                text.line(depth, format!("and the data {data}"));
            }
        }
        StepAction::Lpa { settings, expect, .. } => {
            let settings = self::settings(settings);
            if !settings.is_empty() {
                text.line(depth, settings.join(", "));
            }
            text.line(depth, format!("must end in {}", expected(expect)));
            if let Some(profiles) = &expect.profiles {
                let list: Vec<String> = profiles.iter().map(profile).collect();
                text.line(depth, format!("must list: {}", or_nothing(list)));
            }
            if let Some(notifications) = &expect.notifications {
                let list: Vec<String> = notifications.iter().map(notification).collect();
                text.line(depth, format!("must list: {}", or_nothing(list)));
            }
        }
        StepAction::Parallel(steps) => {
            for step in steps {
                text.line(depth, format!("- {}", describe(&step.action)));
                step_lines(text, step, depth + 2);
            }
        }
        StepAction::At { reply: None, .. }
        | StepAction::Urc(_)
        | StepAction::Server(_)
        | StepAction::Card(_)
        | StepAction::Modem(_)
        | StepAction::Network(_)
        | StepAction::Clock(_) => {}
    }
    if let Some(within) = step.within {
        text.line(depth, format!("within {}", time(within)));
    }
}

fn or_nothing(list: Vec<String>) -> String {
    if list.is_empty() { "nothing".to_owned() } else { list.join("; ") }
}

/// The settings of the LPA for an operation, in words.
fn settings(settings: &LpaSettings) -> Vec<String> {
    let LpaSettings { timeout, segment, csim, accept_rules, isd_r, no_refresh, resolve: _, requests: _ } = settings;
    let words = [
        timeout.map(|timeout| format!("it waits {} at most for an answer", time(timeout))),
        segment.map(|segment| format!("{segment} bytes go into one STORE DATA")),
        csim.then(|| "by AT+CSIM".to_owned()),
        accept_rules.then(|| "the user agrees to the policy rules".to_owned()),
        isd_r.as_ref().map(|aid| format!("its ISD-R is {aid}")),
        no_refresh.then(|| "without a REFRESH".to_owned()),
    ];
    words.into_iter().flatten().collect()
}

/// A step in a few words: `AT+QESIM="eid"`, `the LPA downloads 1$...`.
pub fn describe(action: &StepAction) -> String {
    match action {
        StepAction::At { command, port: 0, .. } => command.to_string(),
        StepAction::At { command, port, .. } => format!("{command} at port {port}"),
        StepAction::Transcript { name: Some(name), .. } => format!("the dialogue of {name}"),
        StepAction::Transcript { name: None, transcript } => {
            let first = transcript.lines.iter().find(|line| line.direction == Direction::Command);
            format!("a dialogue that begins with {}", first.map(|line| line.text().into_owned()).unwrap_or_default())
        }
        StepAction::Urc(line) => format!("the modem says {line}"),
        StepAction::Apdu { command, .. } => format!("the APDU {command}"),
        StepAction::Lpa { operation, .. } => self::operation(operation),
        StepAction::Server(ServerAction::Release(id)) => format!("the operator releases the order {id}"),
        StepAction::Server(ServerAction::Cancel(id)) => format!("the operator cancels the order {id}"),
        StepAction::Server(ServerAction::Expire(id)) => format!("the order {id} expires"),
        StepAction::Server(ServerAction::Stop) => "the server is switched off".to_owned(),
        StepAction::Server(ServerAction::Start) => "the server is switched on".to_owned(),
        StepAction::Card(CardAction::Remove) => "the card is taken out".to_owned(),
        StepAction::Card(CardAction::Insert) => "the card is put in".to_owned(),
        StepAction::Modem(ModemAction::Reset) => "the modem restarts".to_owned(),
        StepAction::Modem(ModemAction::PowerCut) => "the power of modem and card is cut and comes back".to_owned(),
        StepAction::Network(action) => network::action(action),
        StepAction::Clock(duration) => format!("the clock goes on by {}", time(*duration)),
        StepAction::Parallel(steps) => format!("{} things at the same time", steps.len()),
    }
}

fn operation(operation: &Operation) -> String {
    match operation {
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
        Operation::SendNotifications => "the LPA sends the notifications".to_owned(),
        Operation::ListNotifications => "the LPA lists the notifications".to_owned(),
        Operation::RemoveNotifications => "the LPA removes the notifications without sending them".to_owned(),
        Operation::DefaultAddress(address) => format!("the LPA sets the default SM-DP+ address to {address}"),
        Operation::Info => "the LPA asks the card what it is".to_owned(),
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
    if let Some(file) = &card.file {
        let _ = write!(text, ", the card in {file}");
    }
    if !card.present {
        text.push_str(", not in the modem");
    }
    if !card.ci.is_empty() {
        let curves: Vec<&str> = card.ci.iter().map(|curve| curve.word()).collect();
        let _ = write!(text, ", keys on {}", curves.join(" and "));
    }
    match card.certificate {
        CardCertificate::Valid => {}
        CardCertificate::Expired => text.push_str(", its certificate has expired"),
        CardCertificate::OtherCi => text.push_str(", its certificate is of another CI"),
    }
    if let Some(bytes) = card.free_memory {
        let _ = write!(text, ", {bytes} bytes free");
    }
    if let Some(address) = &card.default_smdp {
        let _ = write!(text, ", default SM-DP+ address {address}");
    }
    if !card.forbidden_rules.is_empty() {
        let _ = write!(text, ", forbids the rules {}", rules(&card.forbidden_rules));
    }
    if card.profiles.is_empty() {
        text.push_str(", no profile");
    }
    for profile in &card.profiles {
        let _ = write!(text, ", profile {:?} {}", profile.profile, profile.state.word());
        if let Some(nickname) = &profile.nickname {
            let _ = write!(text, " called {nickname:?}");
        }
        if !profile.rules.is_empty() {
            let _ = write!(text, " with the rules {}", rules(&profile.rules));
        }
    }
    text
}

fn rules(rules: &[PolicyRule]) -> String {
    rules.iter().map(|rule| rule.word()).collect::<Vec<_>>().join(" and ")
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
    if !order.rules.is_empty() {
        let _ = write!(text, ", with the rules {}", rules(&order.rules));
    }
    if let Some(expires) = order.expires {
        let _ = write!(text, ", expires after {}", time(expires));
    }
    if let Some(attempts) = order.attempts {
        let _ = write!(text, ", may be tried {attempts} times");
    }
    text
}

fn fault(fault: &Fault) -> String {
    match fault {
        Fault::Unresolvable => "the server's name does not resolve".to_owned(),
        Fault::Address(AddressFault::NothingListens) => {
            "the server's name resolves to an address where nobody listens".to_owned()
        }
        Fault::Address(AddressFault::Refused) => "the server's address refuses connections".to_owned(),
        Fault::Address(AddressFault::BlackHole) => "nothing comes back from the server's address".to_owned(),
        Fault::Server(fault) => {
            let mut text = format!("server: {}", fault.action);
            if let Some(function) = fault.function {
                let _ = write!(text, ", at {}", function.name());
            }
            if let Some(order) = &fault.order {
                let _ = write!(text, ", for the order {order}");
            }
            occasions(&mut text, fault.nth, fault.count, fault.after);
            text
        }
        Fault::Line(fault, trigger) => triggered(format!("AT line: {fault}"), trigger),
        Fault::Card(CardFault::PowerCut, trigger) => {
            format!("card: the power of modem and card is cut at write {} of its store", trigger.nth)
        }
        Fault::Card(fault, trigger) => triggered(format!("card: {fault}"), trigger),
    }
}

fn triggered(mut text: String, trigger: &Trigger) -> String {
    if let Some(function) = trigger.function {
        let _ = write!(text, ", at {}", function.word());
    }
    if let Some(pattern) = &trigger.pattern {
        let _ = write!(text, ", at commands like {pattern}");
    }
    if let Some(bytes) = trigger.after_bytes {
        let _ = write!(text, ", after {bytes} bytes");
    }
    occasions(&mut text, trigger.nth, trigger.count, trigger.after);
    text
}

fn occasions(text: &mut String, nth: u32, count: Option<u32>, after: Option<Duration>) {
    if let Some(after) = after {
        let _ = write!(text, ", not before {}", time(after));
    }
    if nth > 1 {
        let _ = write!(text, ", from time {nth} on");
    }
    match count {
        None => {}
        Some(1) => text.push_str(", once"),
        Some(count) => {
            let _ = write!(text, ", {count} times");
        }
    }
}

/// What must come of an operation, in words.
pub fn expected(expect: &LpaExpect) -> String {
    let mut text = expect.outcome.map_or("any outcome", Word::word).to_owned();
    let codes = [
        expect.status.as_ref().map(|status| format!("status {status}")),
        expect.curl.map(|code| format!("curl {code}")),
        expect.http.map(|status| format!("HTTP {status}")),
        expect.euicc.map(|reason| format!("eUICC reason {reason}")),
        expect.command.map(|command| format!("at the eUICC's command {command}")),
        expect.sw.as_ref().map(|status| format!("status word {status}")),
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
    if let Some(Expected { value: address, .. }) = &expect.default_smdp {
        let address = address.to_string();
        lines.push(match address.is_empty() {
            true => "the card has no default SM-DP+ address".to_owned(),
            false => format!("the card's default SM-DP+ address is {address}"),
        });
    }
    lines.extend(network::expected(&expect.network));
    if let Some(Expected { value, .. }) = &expect.open_sessions {
        lines.push(format!("sessions that the server has open: {value}"));
    }
    if let Some(Expected { value, .. }) = &expect.faults {
        lines.push(format!("faults that have fired: {value}"));
    }
    if let Some(Expected { value, .. }) = &expect.within {
        lines.push(format!("all steps together took {} at most", time(*value)));
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

/// A time of the clock, in UTC: the proleptic Gregorian calendar, in which years begin with March.
fn date(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + i64::from(month < 3);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
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
