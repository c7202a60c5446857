//! Comparing what was observed with what the scenario expects.

use std::time::Duration;

use rsp::es10::download::{BppCommandId, ErrorReason};
use rsp::es10::notification::NotificationEvent;
use rsp::es10::profiles::ProfileState;
use rsp::ids::Iccid;

use modem::network::NetworkView;

use super::result::Failure;
use crate::scenario::ast::*;
use crate::scenario::explain;
use crate::timeline::{Event, Http, INSTALLATION_FAILED, Kind, Role};

/// What is there after the last step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// The profiles on the card, in the order of its list.
    pub profiles: Vec<SeenProfile>,
    /// The notifications that wait on the card, in the order of their numbers.
    pub notifications: Vec<SeenNotification>,
    /// How many logical channels are open, the basic one not counted.
    pub open_channels: usize,
    /// The orders of the server: matching id, and the state in a word.
    pub orders: Vec<(String, String)>,
    /// The default SM-DP+ address of the card; empty for none.
    pub default_smdp: String,
    /// How many sessions the server has open.
    pub open_sessions: usize,
    /// The device, as the operator of the mobile network sees it; `None` where nobody can ask.
    pub network: Option<NetworkView>,
    /// The functions that were called at the server, where that is told by the LPA and not seen.
    pub requests: Option<Vec<String>>,
    /// How long all steps have taken together.
    pub taken: Duration,
}

/// A profile on the card.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenProfile {
    /// Its ICCID.
    pub iccid: Iccid,
    /// Its state.
    pub state: ProfileState,
    /// Its nickname; empty when it has none.
    pub nickname: String,
}

/// A notification that waits on the card.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenNotification {
    /// What it tells of; `None` for an event that SGP.22 v2.5 does not have.
    pub event: Option<NotificationEvent>,
    /// The profile it is about.
    pub iccid: Option<Iccid>,
}

/// What a step has led to, apart from what the LPA says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wire {
    /// The requests that reached the server.
    pub http: Vec<Http>,
    /// Whether nobody sees requests here, so that their absence means nothing.
    pub is_blind: bool,
    /// The reasons with which the card refused a profile.
    pub euicc: Vec<ErrorReason>,
    /// The commands of the package at which it did.
    pub commands: Vec<BppCommandId>,
    /// The status words with which the card answered, but for those of success.
    pub status_words: Vec<u16>,
}

impl Wire {
    /// Reads the events of a step.
    pub fn of(events: &[Event]) -> Self {
        let mut wire = Wire::default();
        for event in events {
            match &event.kind {
                Kind::Http(http) => wire.http.push(http.clone()),
                Kind::Note { text, fields } if event.role == Role::Card && text == INSTALLATION_FAILED => {
                    let code = fields.get("reason_code").and_then(|code| code.parse().ok());
                    wire.euicc.extend(code.map(ErrorReason::from_code));
                    let command = fields.get("command");
                    wire.commands
                        .extend(command.and_then(|told| bpp_commands().find(|command| command.to_string() == *told)));
                }
                Kind::Apdu { response, .. } => {
                    let status = response.last_chunk::<2>().map(|status| u16::from_be_bytes(*status));
                    wire.status_words.extend(status.filter(|status| !matches!(status >> 8, 0x90 | 0x91 | 0x61)));
                }
                _ => {}
            }
        }
        wire
    }
}

/// What the LPA says came of an operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reported {
    /// Success or failure.
    pub outcome: Option<Outcome>,
    /// What it says in words.
    pub message: Option<String>,
    /// The codes with which the server refused.
    pub status: Option<StatusCode>,
    /// libcurl's code.
    pub curl: Option<u32>,
    /// The HTTP status.
    pub http: Option<u16>,
    /// The reason that the card gave.
    pub euicc: Option<ErrorReason>,
    /// The command of the package at which it did.
    pub command: Option<BppCommandId>,
    /// The status word of the card.
    pub sw: Option<u16>,
    /// The list that the operation was to give, as JSON.
    pub listed: Option<serde_json::Value>,
}

/// Compares the outcome of an operation of the LPA with what is expected: what it says of itself, and for what can
/// be seen from outside also what was seen there. One line for each that differs: (expected, seen).
pub fn check_operation(expect: &LpaExpect, reported: &Reported, wire: &Wire) -> Vec<(String, String)> {
    let mut differences = Vec::new();
    if expect.outcome.is_some() && expect.outcome != reported.outcome {
        let mut seen = reported.outcome.map_or("neither success nor failure", Word::word).to_owned();
        if let Some(message) = &reported.message {
            seen.push_str(&format!(" ({message})"));
        }
        differences.push((explain::expected(expect), seen));
        return differences;
    }
    let says = |what: Option<String>| what.unwrap_or_else(|| "nothing".to_owned());
    if let Some(code) = expect.curl
        && reported.curl != Some(code)
    {
        let seen = format!("the LPA says: {}", says(reported.curl.map(|code| format!("curl {code}"))));
        differences.push((format!("curl {code}"), seen));
    }
    if let Some(status) = &expect.status {
        let codes = |http: &Http| Some(StatusCode { subject: http.subject.clone()?, reason: http.reason.clone()? });
        let sent: Vec<StatusCode> = wire.http.iter().filter_map(codes).collect();
        let sent = (!wire.is_blind).then_some(&sent[..]);
        compare(&mut differences, "status", status, sent, "the server", reported.status.as_ref());
    }
    if let Some(status) = expect.http {
        let sent: Vec<u16> = wire.http.iter().map(|http| http.status).filter(|status| *status >= 300).collect();
        let sent = (!wire.is_blind).then_some(&sent[..]);
        compare(&mut differences, "HTTP", &status, sent, "the server", reported.http.as_ref());
    }
    if let Some(reason) = &expect.euicc {
        compare(&mut differences, "eUICC reason", reason, Some(&wire.euicc), "the card", reported.euicc.as_ref());
    }
    if let Some(command) = &expect.command {
        let said = reported.command.as_ref();
        compare(&mut differences, "eUICC command", command, Some(&wire.commands), "the card", said);
    }
    if let Some(status) = &expect.sw {
        let told = |status: Option<u16>| status.map_or("nothing of the kind".to_owned(), |sw| format!("{sw:04X}"));
        if !wire.status_words.iter().any(|seen| status.matches(*seen)) {
            let list: Vec<String> = wire.status_words.iter().map(|seen| format!("{seen:04X}")).collect();
            let list = if list.is_empty() { told(None) } else { list.join(", ") };
            differences.push((format!("status word {status}"), format!("the card said: {list}")));
        }
        if !reported.sw.is_some_and(|seen| status.matches(seen)) {
            differences.push((format!("status word {status}"), format!("the LPA says: {}", told(reported.sw))));
        }
    }
    differences
}

/// Compares the list that an operation was to give with the one that it gave: (expected, seen) in lines.
pub fn check_listed(
    expect: &LpaExpect,
    reported: &Reported,
    iccid_of: &dyn Fn(&str) -> Option<Iccid>,
) -> Vec<(Vec<String>, Vec<String>)> {
    let list = reported.listed.as_ref().and_then(serde_json::Value::as_array);
    let text = |entry: &serde_json::Value, key: &str| {
        entry.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    let mut differences = Vec::new();
    let mut differ = |(expected, seen): (Vec<String>, Vec<String>)| {
        if expected != seen {
            differences.push((expected, seen));
        }
    };
    if let Some(wanted) = &expect.profiles {
        let seen = list.map(|list| {
            let profile = |entry: &serde_json::Value| {
                Some(SeenProfile {
                    iccid: Iccid::parse(&text(entry, "iccid")).ok()?,
                    state: ProfileState::from_word(&text(entry, "state"))?,
                    nickname: text(entry, "nickname"),
                })
            };
            list.iter().map(profile).collect::<Option<Vec<_>>>()
        });
        match seen.flatten() {
            Some(seen) => differ(profiles(wanted, &seen, iccid_of)),
            None => differ((vec!["a list of profiles".to_owned()], vec!["the LPA lists nothing".to_owned()])),
        }
    }
    if let Some(wanted) = &expect.notifications {
        let seen = list.map(|list| {
            let notification = |entry: &serde_json::Value| SeenNotification {
                event: NotificationEvent::from_word(&text(entry, "event")),
                iccid: Iccid::parse(&text(entry, "iccid")).ok(),
            };
            Observed { notifications: list.iter().map(notification).collect(), ..Observed::default() }
        });
        match seen {
            Some(seen) => differ(notifications(wanted, &seen, iccid_of)),
            None => differ((vec!["a list of notifications".to_owned()], vec!["the LPA lists nothing".to_owned()])),
        }
    }
    differences
}

/// Compares one code with what one side sent, where that is seen, and with what the LPA made of it.
fn compare<T: PartialEq + std::fmt::Display>(
    differences: &mut Vec<(String, String)>,
    name: &str,
    expected: &T,
    sent: Option<&[T]>,
    sender: &str,
    reported: Option<&T>,
) {
    if let Some(sent) = sent.filter(|sent| !sent.contains(expected)) {
        let list: Vec<String> = sent.iter().map(T::to_string).collect();
        let list = if list.is_empty() { "nothing of the kind".to_owned() } else { list.join(", ") };
        differences.push((format!("{name} {expected}"), format!("{sender} said: {list}")));
    }
    if reported != Some(expected) {
        let seen = reported.map_or("nothing of the kind".to_owned(), |code| format!("{name} {code}"));
        differences.push((format!("{name} {expected}"), format!("the LPA says: {seen}")));
    }
}

/// Compares what was observed after the last step with what is expected.
///
/// `iccid_of` tells the ICCID of a built-in profile.
pub fn check(
    expect: &Expect,
    observed: &Observed,
    events: &[Event],
    iccid_of: &dyn Fn(&str) -> Option<Iccid>,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut differ = |line: usize, what: &str, expected: Vec<String>, seen: Vec<String>| {
        if expected != seen {
            failures.push(Failure { line, what: what.to_owned(), expected, seen });
        }
    };
    if let Some(Expected { line, value }) = &expect.profiles {
        let (expected, seen) = profiles(value, &observed.profiles, iccid_of);
        differ(*line, "the profiles on the card", expected, seen);
    }
    if let Some(Expected { line, value }) = &expect.notifications {
        let (expected, seen) = notifications(value, observed, iccid_of);
        differ(*line, "the notifications that wait on the card", expected, seen);
    }
    if let Some(Expected { line, value }) = &expect.open_channels {
        differ(
            *line,
            "logical channels that are open",
            vec![value.to_string()],
            vec![observed.open_channels.to_string()],
        );
    }
    if let Some(Expected { line, value }) = &expect.es9plus {
        let expected = value.iter().map(|function| function.name().to_owned()).collect();
        let call = |http: &Http| if http.function.is_empty() { http.path.clone() } else { http.function.clone() };
        let seen = match &observed.requests {
            Some(told) => told.clone(),
            None => Wire::of(events).http.iter().map(call).collect(),
        };
        differ(*line, "the calls that reached the server", expected, seen);
    }
    if let Some(Expected { line, value }) = &expect.orders {
        let expected = value.iter().map(|(id, state)| format!("{id} is {}", state.word())).collect();
        let state =
            |id: &str| observed.orders.iter().find(|(seen, _)| seen == id).map_or("not there", |(_, state)| state);
        let seen = value.keys().map(|id| format!("{id} is {}", state(id))).collect();
        differ(*line, "the orders of the server", expected, seen);
    }
    if let Some(Expected { line, value }) = &expect.default_smdp {
        let told = |address: &str| if address.is_empty() { "none".to_owned() } else { address.to_owned() };
        let (expected, seen) = (told(&value.to_string()), told(&observed.default_smdp));
        differ(*line, "the default SM-DP+ address of the card", vec![expected], vec![seen]);
    }
    let device = observed.network.as_ref();
    let unseen = || "cannot be seen".to_owned();
    if let Some(Expected { line, value }) = &expect.network.state {
        let seen = device.map_or_else(unseen, |device| device.state.word().to_owned());
        differ(*line, "the connectivity state of the device", vec![value.word().to_owned()], vec![seen]);
    }
    if let Some(Expected { line, value }) = &expect.network.operator {
        let plmn = |device: &NetworkView| device.operator.as_ref().map(|(plmn, _)| plmn.clone()).unwrap_or_default();
        let seen = device.map_or_else(unseen, plmn);
        differ(*line, "the network that the device is registered in", vec![value.clone()], vec![seen]);
    }
    if let Some(Expected { line, value }) = &expect.network.technology {
        let seen = device.map_or_else(unseen, |device| device.technology.map_or("none", Word::word).to_owned());
        differ(*line, "the radio access of the device", vec![value.word().to_owned()], vec![seen]);
    }
    if let Some(Expected { line, value }) = &expect.network.events {
        let title = |event: &Event| match &event.kind {
            Kind::Note { text, .. } if event.role == Role::Network => Some(text.clone()),
            _ => None,
        };
        let expected = value.iter().map(ToString::to_string).collect();
        differ(*line, "the events of the operator's log", expected, events.iter().filter_map(title).collect());
    }
    if let Some(Expected { line, value }) = &expect.open_sessions {
        let seen = observed.open_sessions.to_string();
        differ(*line, "sessions that the server has open", vec![value.to_string()], vec![seen]);
    }
    if let Some(Expected { line, value }) = &expect.faults {
        let fired = events.iter().filter(|event| matches!(event.kind, Kind::Fault { .. })).count();
        differ(*line, "how often faults have fired", vec![value.to_string()], vec![fired.to_string()]);
    }
    if let Some(Expected { line, value }) = &expect.within
        && observed.taken > *value
    {
        let seen = format!("{:.1} ms", observed.taken.as_secs_f64() * 1e3);
        differ(*line, "the time that all steps took", vec![format!("at most {}", explain::time(*value))], vec![seen]);
    }
    failures
}

/// The ICCID that is meant, as far as it is known.
fn iccid(profile: &ProfileRef, seen: &[SeenProfile], iccid_of: &dyn Fn(&str) -> Option<Iccid>) -> Option<Iccid> {
    match profile {
        ProfileRef::Iccid(iccid) => Some(*iccid),
        ProfileRef::Name(name) => iccid_of(name),
        ProfileRef::Number(number) => {
            usize::from(*number).checked_sub(1).and_then(|index| seen.get(index)).map(|profile| profile.iccid)
        }
    }
}

/// What is expected and what was seen as lines that are equal when they match. A profile that is expected is told
/// with as much as is expected of it, one that is not with all.
fn profiles(
    expected: &[ExpectedProfile],
    seen: &[SeenProfile],
    iccid_of: &dyn Fn(&str) -> Option<Iccid>,
) -> (Vec<String>, Vec<String>) {
    let tell = |name: &str, state: Option<ProfileState>, nickname: Option<&str>| {
        let mut text = name.to_owned();
        if let Some(state) = state {
            text.push_str(&format!(", {}", state.word()));
        }
        match nickname {
            None => {}
            Some("") => text.push_str(", no nickname"),
            Some(nickname) => text.push_str(&format!(", nickname {nickname:?}")),
        }
        text
    };
    let mut rest: Vec<&SeenProfile> = seen.iter().collect();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for profile in expected {
        let wanted = iccid(&profile.profile, seen, iccid_of);
        let name = match (&profile.profile, wanted) {
            (ProfileRef::Name(name), Some(iccid)) => format!("{iccid} ({name})"),
            (_, Some(iccid)) => iccid.to_string(),
            (profile, None) => profile.to_string(),
        };
        left.push(tell(&name, profile.state, profile.nickname.as_deref()));
        match rest.iter().position(|seen| Some(seen.iccid) == wanted) {
            Some(index) => {
                let seen = rest.remove(index);
                let nickname = profile.nickname.as_ref().map(|_| seen.nickname.as_str());
                right.push(tell(&name, profile.state.map(|_| seen.state), nickname));
            }
            None => right.push("(not there)".to_owned()),
        }
    }
    right.extend(rest.iter().map(|seen| tell(&seen.iccid.to_string(), Some(seen.state), Some(&seen.nickname))));
    (left, right)
}

fn notifications(
    expected: &[ExpectedNotification],
    observed: &Observed,
    iccid_of: &dyn Fn(&str) -> Option<Iccid>,
) -> (Vec<String>, Vec<String>) {
    let tell = |event: Option<NotificationEvent>, iccid: Option<String>| {
        let event = event.map_or("an unknown event", Word::word);
        iccid.map_or_else(|| event.to_owned(), |iccid| format!("{event} of {iccid}"))
    };
    let left = expected.iter().map(|expected| {
        let profile = expected.profile.as_ref().map(|profile| {
            iccid(profile, &observed.profiles, iccid_of).map_or_else(|| profile.to_string(), |iccid| iccid.to_string())
        });
        tell(Some(expected.event), profile)
    });
    let right = observed.notifications.iter().enumerate().map(|(index, seen)| {
        // Where the profile is not looked at it is not told, unless nothing is expected here.
        let looked_at = expected.get(index).is_none_or(|expected| expected.profile.is_some());
        tell(seen.event, seen.iccid.filter(|_| looked_at).map(|iccid| iccid.to_string()))
    });
    (left.collect(), right.collect())
}

#[cfg(test)]
mod tests {
    use smdp::{Function, OrderState};

    use super::*;

    fn iccid_of(name: &str) -> Option<Iccid> {
        match name {
            "operator-a" => Iccid::parse("8944000000000000011").ok(),
            "operator-b" => Iccid::parse("8944000000000000029").ok(),
            _ => None,
        }
    }

    fn seen(name: &str, state: ProfileState) -> SeenProfile {
        SeenProfile { iccid: iccid_of(name).unwrap(), state, nickname: String::new() }
    }

    fn wanted(name: &str, state: Option<ProfileState>) -> ExpectedProfile {
        ExpectedProfile { profile: ProfileRef::Name(name.to_owned()), state, nickname: None }
    }

    fn expected<T>(value: T) -> Option<Expected<T>> {
        Some(Expected { line: 1, value })
    }

    fn http(function: &str, codes: Option<(&str, &str)>, status: u16) -> Event {
        let kind = Kind::Http(Http {
            function: function.to_owned(),
            status,
            subject: codes.map(|codes| codes.0.to_owned()),
            reason: codes.map(|codes| codes.1.to_owned()),
            ..Http::default()
        });
        Event { at: Duration::ZERO, role: Role::Server, kind }
    }

    #[test]
    fn nothing_expected_is_never_disappointed() {
        let observed = Observed { profiles: vec![seen("operator-a", ProfileState::Enabled)], ..Observed::default() };
        assert_eq!(check(&Expect::default(), &observed, &[], &iccid_of), []);
    }

    #[test]
    fn profiles_are_compared_in_any_order_and_with_what_is_asked_of_them() {
        let observed = Observed {
            profiles: vec![seen("operator-b", ProfileState::Disabled), seen("operator-a", ProfileState::Enabled)],
            ..Observed::default()
        };
        let failures = |profiles: Vec<ExpectedProfile>| {
            check(&Expect { profiles: expected(profiles), ..Expect::default() }, &observed, &[], &iccid_of)
        };
        let all = vec![wanted("operator-a", Some(ProfileState::Enabled)), wanted("operator-b", None)];
        assert_eq!(failures(all.clone()), []);
        let by_number = ExpectedProfile { profile: ProfileRef::Number(1), state: None, nickname: Some(String::new()) };
        assert_eq!(failures(vec![all[0].clone(), by_number]), []);
        // One of them twice does not stand for both.
        assert_eq!(failures(vec![all[0].clone(), all[0].clone()]).len(), 1);
        let failure = failures(vec![wanted("operator-a", Some(ProfileState::Disabled))]).remove(0);
        assert_eq!(failure.expected, ["8944000000000000011 (operator-a), disabled"]);
        assert_eq!(
            failure.seen,
            ["8944000000000000011 (operator-a), enabled", "8944000000000000029, disabled, no nickname"]
        );
        assert_eq!(failures(vec![wanted("operator-c", None)])[0].seen[0], "(not there)");
    }

    #[test]
    fn notifications_are_compared_in_their_order() {
        let notification = |event| SeenNotification { event: Some(event), iccid: iccid_of("operator-a") };
        let observed = Observed {
            notifications: vec![notification(NotificationEvent::Enable), notification(NotificationEvent::Delete)],
            ..Observed::default()
        };
        let failures = |list: &[(NotificationEvent, Option<&str>)]| {
            let list = list.iter().map(|(event, name)| ExpectedNotification {
                event: *event,
                profile: name.map(|name| ProfileRef::Name(name.to_owned())),
            });
            let expect = Expect { notifications: expected(list.collect()), ..Expect::default() };
            check(&expect, &observed, &[], &iccid_of).len()
        };
        use NotificationEvent::{Delete, Enable};
        assert_eq!(failures(&[(Enable, None), (Delete, Some("operator-a"))]), 0);
        assert_eq!(failures(&[(Delete, None), (Enable, None)]), 1);
        assert_eq!(failures(&[(Enable, None), (Delete, Some("operator-b"))]), 1);
        assert_eq!(failures(&[(Enable, None)]), 1);
        assert_eq!(failures(&[]), 1);
    }

    #[test]
    fn calls_orders_and_channels() {
        let events = [http("initiateAuthentication", None, 200), http("authenticateClient", None, 200)];
        let observed = Observed {
            orders: vec![("A".to_owned(), "installed".to_owned()), ("B".to_owned(), "expired".to_owned())],
            open_channels: 1,
            ..Observed::default()
        };
        let right = Expect {
            es9plus: expected(vec![Function::InitiateAuthentication, Function::AuthenticateClient]),
            orders: expected([("A".to_owned(), OrderState::Installed)].into()),
            open_channels: expected(1),
            ..Expect::default()
        };
        assert_eq!(check(&right, &observed, &events, &iccid_of), []);
        let wrong = Expect {
            es9plus: expected(vec![]),
            orders: expected([("B".to_owned(), OrderState::Released), ("C".to_owned(), OrderState::Released)].into()),
            open_channels: expected(0),
            ..Expect::default()
        };
        let failures = check(&wrong, &observed, &events, &iccid_of);
        assert_eq!(failures.len(), 3);
        assert!(failures.iter().any(|failure| failure.seen == ["B is expired", "C is not there"]));
    }

    #[test]
    fn a_code_has_to_be_seen_on_the_wire_and_be_recognised_by_the_lpa() {
        let status = StatusCode { subject: "8.2.6".to_owned(), reason: "3.8".to_owned() };
        let expect =
            LpaExpect { outcome: Some(Outcome::Failure), status: Some(status.clone()), ..LpaExpect::default() };
        let wire =
            Wire::of(&[http("authenticateClient", Some(("8.2.6", "3.8")), 200), http("cancelSession", None, 200)]);
        let reported = Reported { outcome: Some(Outcome::Failure), status: Some(status), ..Reported::default() };
        assert_eq!(check_operation(&expect, &reported, &wire), []);
        let silent = Reported { status: None, ..reported.clone() };
        assert_eq!(
            check_operation(&expect, &silent, &wire),
            [("status 8.2.6/3.8".to_owned(), "the LPA says: nothing of the kind".to_owned())]
        );
        assert_eq!(
            check_operation(&expect, &reported, &Wire::default()),
            [("status 8.2.6/3.8".to_owned(), "the server said: nothing of the kind".to_owned())]
        );
        let succeeded = Reported { outcome: Some(Outcome::Success), ..Reported::default() };
        assert_eq!(
            check_operation(&expect, &succeeded, &wire),
            [("failure, status 8.2.6/3.8".to_owned(), "success".to_owned())]
        );
    }

    #[test]
    fn codes_of_the_network_and_of_the_card() {
        let note = |role, reason: &str| Event {
            at: Duration::ZERO,
            role,
            kind: Kind::Note {
                text: INSTALLATION_FAILED.to_owned(),
                fields: [("reason_code".into(), reason.to_owned())].into(),
            },
        };
        let wire = Wire::of(&[
            http("getBoundProfilePackage", None, 503),
            note(Role::Card, "9"),
            note(Role::Card, "words"),
            note(Role::Server, "8"),
        ]);
        assert_eq!(wire.euicc, [ErrorReason::from_code(9)]);
        let expect = LpaExpect {
            outcome: Some(Outcome::Failure),
            http: Some(503),
            euicc: Some(ErrorReason::from_code(9)),
            curl: Some(6),
            ..LpaExpect::default()
        };
        let reported = Reported {
            outcome: Some(Outcome::Failure),
            http: Some(503),
            euicc: Some(ErrorReason::from_code(9)),
            curl: Some(6),
            ..Reported::default()
        };
        assert_eq!(check_operation(&expect, &reported, &wire), []);
        let other = Reported { http: Some(502), euicc: Some(ErrorReason::from_code(8)), curl: None, ..reported };
        assert_eq!(check_operation(&expect, &other, &wire).len(), 3);
    }
}
