//! What the user sees: plain words with a progress bar on a terminal, or JSON objects one per line.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

use indicatif::{ProgressBar, ProgressStyle};
use rsp::cert::CrlNumber;
use rsp::es10::notification::{NotificationEvent, NotificationMetadata};
use rsp::es10::profiles::ProfileInfo;
use rsp::ids::to_hex;
use serde_json::Value;

use crate::discover::Discovered;
use crate::download::Installed;
use crate::failure::{Failure, Outcome, Step};
use crate::notifications::{self, event_names};
use crate::profiles::{self, CardInfo, Changed, FoundProfile};
use crate::report::{Details, Report};

/// The words of the note when a profile is gone and its server knows (eSIM LPA AN 1.1 §3.7).
const DELETED_AND_NOTIFIED: &str = "Profile is deleted and smdp+ is notified of success !";

/// What an operation has achieved.
#[derive(Debug)]
pub(super) enum Success {
    Installed(Installed),
    Deleted(Changed),
    Enabled(Changed),
    Disabled(Changed),
    Named {
        /// The profile.
        profile: FoundProfile,
        /// It has no nickname any more.
        taken_away: bool,
    },
    AddressSet {
        /// There is none any more.
        taken_away: bool,
    },
    Info(Box<CardInfo>),
    Profiles(Vec<ProfileInfo>),
    Notifications(Vec<NotificationMetadata>),
    Sent(usize),
    Removed(usize),
    Discovered(Vec<Discovered>),
    CrlLoaded {
        number: CrlNumber,
        /// How many parts of the list the card does not have yet.
        missing: usize,
    },
}

/// The listener of the command line.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    bar: Option<ProgressBar>,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        let bar = (!json && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{msg:26} {wide_bar} {percent:>3} %") {
                bar.set_style(style);
            }
            bar
        });
        Output { json, bar }
    }

    /// Shows how the operation has ended.
    pub(super) fn finish(&mut self, result: &Outcome<Success>) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let (to_stdout, to_stderr) =
            if self.json { (json_line(&result_object(result)), String::new()) } else { words(result) };
        // Nobody may be reading: that is no reason to fail.
        let _ = std::io::stdout().write_all(to_stdout.as_bytes());
        let _ = std::io::stderr().write_all(to_stderr.as_bytes());
    }

    fn object(&self, object: &Details) {
        if self.json {
            let _ = std::io::stdout().write_all(json_line(object).as_bytes());
        }
    }
}

fn json_line(object: &Details) -> String {
    // Text keys and JSON values: this cannot fail.
    let mut line = serde_json::to_string(object).unwrap_or_default();
    line.push('\n');
    line
}

impl Report for Output {
    fn done(&mut self, step: Step, facts: Details) {
        if let Some(bar) = &self.bar {
            bar.set_message(step.name());
        }
        if self.json {
            self.object(&step_object(step, true, facts));
        }
    }

    fn failed(&mut self, failure: &Failure) {
        if self.json {
            self.object(&step_object(failure.step, false, failure.facts()));
        }
    }

    fn progress(&mut self, sent: usize, total: usize) {
        if let Some(bar) = &self.bar {
            bar.set_message(Step::LoadBoundProfilePackage.name());
            bar.set_length(total as u64);
            bar.set_position(sent as u64);
        }
    }
}

fn step_object(step: Step, ok: bool, facts: Details) -> Details {
    Details::new().with("step", step.name()).with("ok", ok).and(facts)
}

fn result_object(result: &Outcome<Success>) -> Details {
    match result {
        Err(failure) => {
            Details::new().with("outcome", "failure").with("step", failure.step.name()).and(failure.facts())
        }
        Ok(success) => Details::new().with("outcome", "success").and(success_facts(success)),
    }
}

fn success_facts(success: &Success) -> Details {
    let facts = Details::new();
    match success {
        Success::Installed(installed) => facts.with("iccid", installed.iccid.to_string()),
        Success::Enabled(Changed { profile, pending, .. }) | Success::Disabled(Changed { profile, pending, .. }) => {
            facts
                .with_some("iccid", profile.iccid.map(|iccid| iccid.to_string()))
                .with_some("pending", pending.then_some(true))
        }
        Success::Deleted(Changed { profile, .. }) | Success::Named { profile, .. } => {
            facts.with_some("iccid", profile.iccid.map(|iccid| iccid.to_string()))
        }
        Success::AddressSet { .. } => facts,
        Success::CrlLoaded { number, missing } => {
            facts.with("number", number.to_string()).with("missing_parts", *missing)
        }
        Success::Info(info) => info_facts(info),
        Success::Profiles(list) => {
            let list: Vec<Value> =
                list.iter().enumerate().map(|(index, info)| profiles::describe(index + 1, info).into()).collect();
            facts.with("profiles", list)
        }
        Success::Notifications(list) => {
            let list: Vec<Value> =
                list.iter().map(|notification| notifications::describe(notification).into()).collect();
            facts.with("notifications", list)
        }
        Success::Sent(count) => facts.with("sent", *count),
        Success::Removed(count) => facts.with("removed", *count),
        Success::Discovered(list) => {
            let list = list.iter().map(|found| {
                let facts = Details::new().with("server", found.server.as_str());
                let facts = facts.with("event_id", found.event_id.as_str());
                facts
                    .with_some("profile", found.profile.as_deref())
                    .with_some("activation_code", found.activation_code())
                    .into()
            });
            facts.with("events", list.collect::<Vec<Value>>())
        }
    }
}

fn info_facts(info: &CardInfo) -> Details {
    let issuers: Vec<String> = info.info.ci_pkids_for_signing.iter().map(|id| to_hex(id)).collect();
    Details::new()
        .with("eid", info.eid.to_string())
        .with("svn", info.info.svn.to_string())
        .with("profile_version", info.info.profile_version.to_string())
        .with("firmware", info.info.firmware_version.to_string())
        .with_some("free_memory", info.resources.map(|resources| resources.free_non_volatile))
        .with_some("default_smdp", info.default_smdp.as_deref())
        .with("root_smds", info.root_smds.as_str())
        .with("ci", issuers)
        .with("sas", info.info.sas_accreditation_number.as_str())
}

/// The result in words: for standard output, and for standard error.
fn words(result: &Outcome<Success>) -> (String, String) {
    let (out, notes) = match result {
        Ok(success) => success_words(success),
        Err(failure) => (String::new(), format!("lpad: {failure}\n")),
    };
    (printable(&out), printable(&notes))
}

/// Texts come from cards and servers: what would steer the terminal does not get there.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{FFFD}' } else { c }).collect()
}

fn success_words(success: &Success) -> (String, String) {
    let mut out = String::new();
    let mut notes = String::new();
    match success {
        Success::Installed(installed) => {
            let metadata = &installed.metadata;
            let _ = writeln!(
                out,
                "Profile is installed: {} ({}, {})",
                installed.iccid, metadata.service_provider_name, metadata.profile_name
            );
            let _ = writeln!(out, "It is disabled; enable it with --enable {}", installed.iccid);
            match &installed.deliveries {
                Ok(deliveries) => {
                    notes_left(&mut notes, deliveries.iter().filter_map(|delivery| delivery.failure.as_deref()));
                }
                Err(failure) => notes_left(&mut notes, [&**failure]),
            }
        }
        Success::Deleted(changed) => {
            let notified = changed.is_notified(NotificationEvent::Delete);
            let _ = writeln!(out, "{}", if notified { DELETED_AND_NOTIFIED } else { "Profile is deleted" });
            notes_left(&mut notes, changed.left());
        }
        Success::Enabled(changed) | Success::Disabled(changed) => {
            let verb = if matches!(success, Success::Enabled(_)) { "enabled" } else { "disabled" };
            if changed.pending {
                let _ = writeln!(out, "Profile will be {verb} when the modem restarts");
                notes.push_str(
                    "note: the modem has not carried out the card's REFRESH\nhint: restart it (AT+CFUN=1,1)\n",
                );
            } else {
                let _ = writeln!(out, "Profile is {verb}");
            }
            notes_left(&mut notes, changed.left());
        }
        Success::Named { taken_away: false, .. } => out.push_str("Nickname is set\n"),
        Success::Named { taken_away: true, .. } => out.push_str("Nickname is taken away\n"),
        Success::CrlLoaded { number, missing: 0 } => {
            let _ = writeln!(out, "Revocation list {number} is loaded");
        }
        Success::CrlLoaded { number, missing } => {
            let parts = if *missing == 1 { "1 part is".to_owned() } else { format!("{missing} parts are") };
            let _ = writeln!(out, "A part of revocation list {number} is loaded; {parts} missing yet");
        }
        Success::AddressSet { taken_away: false } => out.push_str("Default SM-DP+ address is set\n"),
        Success::AddressSet { taken_away: true } => out.push_str("Default SM-DP+ address is taken away\n"),
        Success::Info(info) => info_words(&mut out, info),
        Success::Profiles(list) => profile_words(&mut out, list),
        Success::Notifications(list) => notification_words(&mut out, list),
        Success::Sent(count) => {
            let _ = writeln!(out, "{} sent and removed", counted(*count));
        }
        Success::Removed(count) => {
            let _ = writeln!(out, "{} removed without sending", counted(*count));
        }
        Success::Discovered(list) if list.is_empty() => out.push_str("no profile waits for this eUICC\n"),
        Success::Discovered(list) => {
            let rows: Vec<[String; 3]> = list
                .iter()
                .map(|found| {
                    let profile = found.profile.clone().unwrap_or_default();
                    [profile, found.server.to_string(), found.activation_code().unwrap_or_default()]
                })
                .collect();
            table(&mut out, ["PROFILE", "SERVER", "INSTALL WITH -A"], &rows);
        }
    }
    (out, notes)
}

/// What stays on the card, one note for all that have the same cause.
fn notes_left<'a>(notes: &mut String, failures: impl IntoIterator<Item = &'a Failure>) {
    let mut causes: Vec<(&str, usize)> = Vec::new();
    for failure in failures {
        match causes.iter_mut().find(|(message, _)| *message == failure.message) {
            Some((_, count)) => *count += 1,
            None => causes.push((&failure.message, 1)),
        }
    }
    for (message, count) in &causes {
        let what = if *count == 1 { "a notification stays".to_owned() } else { format!("{count} notifications stay") };
        let _ = writeln!(notes, "note: {what} on the eUICC: {message}");
    }
    if !causes.is_empty() {
        let them = if causes.iter().map(|(_, count)| count).sum::<usize>() == 1 { "it" } else { "them" };
        let _ = writeln!(notes, "hint: send {them} later with --notifications");
    }
}

fn counted(count: usize) -> String {
    if count == 1 { "1 notification".to_owned() } else { format!("{count} notifications") }
}

fn info_words(out: &mut String, info: &CardInfo) {
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(out, "{name:<18} {value}");
    };
    line("EID", &info.eid);
    line("SGP.22 version", &info.info.svn);
    line("profile version", &info.info.profile_version);
    line("firmware", &info.info.firmware_version);
    if let Some(resources) = info.resources {
        line("free memory", &format!("{} bytes", resources.free_non_volatile));
    }
    line("default SM-DP+", &info.default_smdp.as_deref().unwrap_or("none"));
    line("root SM-DS", &info.root_smds);
    for ci in &info.info.ci_pkids_for_signing {
        line("issuer (CI)", &to_hex(ci));
    }
    line("SAS number", &info.info.sas_accreditation_number);
}

fn profile_words(out: &mut String, list: &[ProfileInfo]) {
    if list.is_empty() {
        out.push_str("no profile is installed\n");
        return;
    }
    let rows: Vec<[String; 7]> = list
        .iter()
        .enumerate()
        .map(|(index, info)| {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            [
                (index + 1).to_string(),
                info.iccid.map_or_else(|| "?".to_owned(), |iccid| iccid.to_string()),
                info.state.map_or("?", |state| state.name()).to_owned(),
                info.profile_class.map_or("?", |class| class.name()).to_owned(),
                text(&info.service_provider_name),
                text(&info.profile_name),
                text(&info.nickname),
            ]
        })
        .collect();
    table(out, ["ID", "ICCID", "STATE", "CLASS", "PROVIDER", "NAME", "NICKNAME"], &rows);
}

fn notification_words(out: &mut String, list: &[NotificationMetadata]) {
    if list.is_empty() {
        out.push_str("no notification is waiting\n");
        return;
    }
    let rows: Vec<[String; 4]> = list
        .iter()
        .map(|notification| {
            [
                notification.sequence_number.to_string(),
                event_names(notification),
                notification.iccid.map_or_else(|| "-".to_owned(), |iccid| iccid.to_string()),
                notification.address.clone(),
            ]
        })
        .collect();
    table(out, ["NUMBER", "EVENT", "ICCID", "SERVER"], &rows);
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(out: &mut String, head: [&str; N], rows: &[[String; N]]) {
    let one_line = |cell: &String| cell.replace('\n', " ");
    let mut all = vec![head.map(str::to_owned)];
    all.extend(rows.iter().map(|row| row.each_ref().map(one_line)));
    let widths: [usize; N] =
        std::array::from_fn(|column| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for row in &all {
        let line: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(out, "{}", line.join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::EuiccFailure;
    use crate::notifications::Delivery;
    use rsp::es10::profiles::{ProfileClass, ProfileId, ProfileState};
    use rsp::{Aid, Iccid};

    fn iccid() -> Iccid {
        Iccid::parse("8988247000111763810").unwrap()
    }

    fn profile() -> ProfileInfo {
        ProfileInfo {
            iccid: Some(iccid()),
            isdp_aid: Some(Aid::isd_p(0x10)),
            state: Some(ProfileState::Enabled),
            nickname: Some("Büro\u{1b}[2J".to_owned()),
            service_provider_name: Some("Transatel".to_owned()),
            profile_name: Some("TSL_0131".to_owned()),
            profile_class: Some(ProfileClass::Operational),
            ..ProfileInfo::default()
        }
    }

    fn notification() -> NotificationMetadata {
        NotificationMetadata {
            sequence_number: 7,
            events: NotificationEvent::Delete.as_bits(),
            address: "smdp.example.com".to_owned(),
            iccid: Some(iccid()),
        }
    }

    fn deleted(failure: Option<Box<Failure>>) -> Outcome<Success> {
        let profile = FoundProfile { info: profile(), id: ProfileId::Iccid(iccid()), iccid: Some(iccid()) };
        let deliveries = Ok(vec![Delivery { notification: notification(), failure }]);
        Ok(Success::Deleted(Changed { profile, deliveries, pending: false }))
    }

    fn failure() -> Box<Failure> {
        let mut failure = Failure::new(Step::HandleNotification, "cannot resolve smdp.example.com (curl 6)");
        failure.curl = Some(6);
        failure
    }

    #[test]
    fn the_words_of_the_note_only_when_both_have_happened() {
        let (out, notes) = words(&deleted(None));
        assert_eq!((out.as_str(), notes.as_str()), ("Profile is deleted and smdp+ is notified of success !\n", ""));
        let (out, notes) = words(&deleted(Some(failure())));
        assert_eq!(out, "Profile is deleted\n");
        assert!(notes.contains("curl 6") && notes.contains("--notifications"), "{notes}");
    }

    #[test]
    fn what_stays_for_the_same_cause_is_told_once() {
        let mut notes = String::new();
        let other = Failure::new(Step::HandleNotification, "something else");
        notes_left(&mut notes, [&*failure(), &*failure(), &*other]);
        assert_eq!(
            notes,
            "note: 2 notifications stay on the eUICC: cannot resolve smdp.example.com (curl 6)\n\
             note: a notification stays on the eUICC: something else\n\
             hint: send them later with --notifications\n"
        );
    }

    #[test]
    fn results_in_words() {
        let mut unnamed = profile();
        (unnamed.nickname, unnamed.state) = (None, Some(ProfileState::Disabled));
        let results = [
            Ok(Success::Profiles(vec![profile(), unnamed])),
            Ok(Success::Profiles(Vec::new())),
            Ok(Success::Notifications(vec![notification()])),
            Ok(Success::Sent(1)),
            Ok(Success::Removed(2)),
            Err(failure().with_hint("check the address")),
        ];
        let text: String = results.iter().map(words).map(|(out, notes)| format!("{out}{notes}--\n")).collect();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn results_in_json() {
        let mut card = Failure::new(Step::LoadBoundProfilePackage, "the same profile is installed already");
        card.euicc = Some(EuiccFailure {
            function: "LoadBoundProfilePackage",
            command: Some(2),
            reason: Some(9),
            status_word: None,
        });
        let mut server = Failure::new(Step::AuthenticateClient, "refused");
        (server.subject, server.reason) = (Some("8.2.6".to_owned()), Some("3.8".to_owned()));
        let mut http = Failure::new(Step::AuthenticateClient, "unavailable");
        http.http = Some(503);
        let mut status = Failure::new(Step::GetEid, "closed");
        status.euicc =
            Some(EuiccFailure { function: "GetEID", command: None, reason: None, status_word: Some(0x6881) });
        let results = [
            deleted(None),
            Ok(Success::Profiles(vec![profile()])),
            Ok(Success::Notifications(vec![notification()])),
            Err(failure()),
            Err(card),
            Err(server),
            Err(http),
            Err(status),
        ];
        let text: String = results.iter().map(|result| json_line(&result_object(result))).collect();
        insta::assert_snapshot!(text);
        assert_eq!(
            json_line(&step_object(Step::HandleNotification, false, failure().facts())),
            "{\"step\":\"handleNotification\",\"ok\":false,\"message\":\"cannot resolve smdp.example.com (curl 6)\",\"curl\":6}\n"
        );
    }
}
