//! What may be changed on a real card, and what a scenario would change.
//!
//! Nothing is changed that was not allowed. So what is known to change nothing is listed here, and everything else
//! counts as a change: a command that firmware treats in its own way must not surprise anybody.

use std::fmt;

use clap::ValueEnum;
use rsp::ids::from_hex;

use crate::scenario::ast::{Operation, Scenario, Step, StepAction, Template, Variable};
use crate::timeline::Direction;

/// What may be changed, from nothing to everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum AllowWrite {
    /// Nothing.
    #[default]
    None,
    /// Nicknames of profiles.
    Nickname,
    /// Profiles: installed, enabled, disabled, deleted; and their notifications.
    Profiles,
    /// Everything else too: addresses, settings of the modem, PINs.
    All,
}

impl fmt::Display for AllowWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AllowWrite::None => "none",
            AllowWrite::Nickname => "nickname",
            AllowWrite::Profiles => "profiles",
            AllowWrite::All => "all",
        })
    }
}

/// What has to be allowed for all steps of a scenario, and the step that needs most.
pub fn needed(scenario: &Scenario) -> (AllowWrite, String) {
    let mut most = (AllowWrite::None, String::new());
    Step::each(&scenario.steps, &mut |step| {
        let (needed, what) = of_step(step);
        if needed > most.0 {
            most = (needed, what);
        }
    });
    most
}

fn of_step(step: &Step) -> (AllowWrite, String) {
    match &step.action {
        StepAction::At { command, .. } => (of_line(&text(command)), command.to_string()),
        StepAction::Apdu { command, .. } => (of_apdu(&text(command)), command.to_string()),
        StepAction::Transcript { transcript, .. } => {
            let commands = transcript.lines.iter().filter(|line| line.direction == Direction::Command);
            let all = commands.map(|line| (of_line(&line.text()), line.text().into_owned()));
            all.max_by_key(|(needed, _)| *needed).unwrap_or_default()
        }
        StepAction::Lpa { operation, .. } => {
            let needed = match operation {
                Operation::List | Operation::Info | Operation::ListNotifications => AllowWrite::None,
                Operation::Nickname(..) => AllowWrite::Nickname,
                Operation::DefaultAddress(_) => AllowWrite::All,
                _ => AllowWrite::Profiles,
            };
            (needed, format!("{} by the LPA", operation.name()))
        }
        // These are not done to a real modem at all.
        _ => (AllowWrite::None, String::new()),
    }
}

/// A command without its variables: none of them makes a command another one.
fn text(template: &Template) -> String {
    template.fill(|variable| match variable {
        Variable::Eid => "89049032123451234512345678901235".to_owned(),
        _ => "0".to_owned(),
    })
}

/// What a command line changes.
pub fn of_line(line: &str) -> AllowWrite {
    let Some(body) = line.get(..2).filter(|start| start.eq_ignore_ascii_case("AT")).map(|_| &line[2..]) else {
        // Text of a message, data: whatever it is, it is no question.
        return if line.trim().is_empty() { AllowWrite::None } else { AllowWrite::All };
    };
    parts(body).into_iter().map(|part| of_command(&part)).max().unwrap_or_default()
}

/// The commands of a line, cut at the semicolons outside of quotes (V.250 §5.2.1).
fn parts(body: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for character in body.chars() {
        quoted ^= character == '"';
        match (character, parts.last_mut()) {
            (';', _) if !quoted => parts.push(String::new()),
            (_, Some(part)) => part.push(character),
            (_, None) => {}
        }
    }
    parts
}

/// Settings that last until the modem is restarted or `ATZ`, and what only asks.
const HARMLESS: [&str; 14] = [
    "+CMEE", "+CCHO", "+CCHC", "+CREG", "+CGREG", "+CEREG", "+C5GREG", "+CSCS", "+CMGF", "+CNMI", "+CRC", "+COPN",
    "+CGEREP", "+CTZR",
];

fn of_command(command: &str) -> AllowWrite {
    let upper = command.trim().to_uppercase();
    // Basic commands: echo, form of answers, identity, reset of what is not stored. `&F`, `&W` and `D` are none of them.
    let is_basic = upper.is_empty() || upper.starts_with(['E', 'V', 'Q', 'X', 'I', 'Z']);
    if is_basic && !upper.contains(['&', 'D', '+']) {
        return AllowWrite::None;
    }
    let Some((name, value)) = upper.split_once('=') else {
        let asks = upper.ends_with('?') || ASKS.contains(&upper.as_str());
        return if asks { AllowWrite::None } else { AllowWrite::All };
    };
    if value == "?" || HARMLESS.contains(&name) {
        return AllowWrite::None;
    }
    let mut values = value.split(',');
    match name {
        "+QESIM" => of_qesim(values.next().unwrap_or_default().trim_matches('"'), values.next().is_some()),
        "+CGLA" => of_apdu(values.nth(2).unwrap_or_default().trim_matches('"')),
        "+CSIM" => of_apdu(values.nth(1).unwrap_or_default().trim_matches('"')),
        // READ BINARY, READ RECORD, GET RESPONSE, STATUS (TS 27.007 §8.18).
        "+CRSM" if matches!(values.next(), Some("176" | "178" | "192" | "242")) => AllowWrite::None,
        _ => AllowWrite::All,
    }
}

/// Extended commands that are questions without a question mark.
const ASKS: [&str; 12] =
    ["+CGMI", "+CGMM", "+CGMR", "+CGSN", "+GSN", "+GMI", "+GMM", "+GMR", "+CIMI", "+QCCID", "+CCID", "+CSQ"];

/// The functions of AT+QESIM (eSIM LPA AN 1.1 §2.3).
fn of_qesim(function: &str, has_value: bool) -> AllowWrite {
    match function {
        "EID" | "PROFILE_BRIEF" | "PROFILE_DETAIL" => AllowWrite::None,
        "LPA_ENABLE" | "IPA_ENABLE" | "DEF_SVR_ADDR" if !has_value => AllowWrite::None,
        "NICKNAME" => AllowWrite::Nickname,
        "ENABLE_PROFILE" | "DISABLE_PROFILE" | "DELETE_PROFILE" | "ENABLE" | "DISABLE" | "DELETE" | "DOWNLOAD" => {
            AllowWrite::Profiles
        }
        _ => AllowWrite::All,
    }
}

/// What a command to the card changes.
pub fn of_apdu(hex: &str) -> AllowWrite {
    let Some(bytes) = from_hex(hex) else {
        // A modem that takes it for something would have to guess.
        return AllowWrite::None;
    };
    let [_, instruction, ..] = bytes[..] else { return AllowWrite::None };
    match instruction {
        // SELECT, READ BINARY and RECORD, GET RESPONSE, STATUS, MANAGE CHANNEL, GET DATA, SEARCH, GET CHALLENGE,
        // TERMINAL CAPABILITY (TS 102 221 §10.1.2).
        0xA4 | 0xB0 | 0xB2 | 0xC0 | 0xF2 | 0x70 | 0xCA | 0xCB | 0xA2 | 0x84 | 0xAA => AllowWrite::None,
        // VERIFY PIN without data asks for the tries that are left (TS 102 221 §11.1.9).
        0x20 | 0x2C if bytes.len() <= 5 => AllowWrite::None,
        // STORE DATA: the function by its tag (SGP.22 §5.7.2).
        0xE2 => match bytes.get(5..7) {
            Some([0xBF, 0x3E | 0x2D | 0x20 | 0x22 | 0x28 | 0x2B | 0x3C | 0x43 | 0x2E]) => AllowWrite::None,
            Some([0xBF, 0x29]) => AllowWrite::Nickname,
            Some([0xBF, 0x30..=0x33]) => AllowWrite::Profiles,
            _ => AllowWrite::All,
        },
        _ => AllowWrite::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_change_nothing() {
        for line in [
            "AT",
            "ATE0",
            "ATI",
            "ATZ",
            "AT+QESIM=?",
            "AT+QESIM=\"eid\"",
            "at+qesim=\"profile_detail\",1",
            "AT+QESIM=\"def_svr_addr\"",
            "AT+CMEE=2",
            "AT+CPIN?",
            "AT+CIMI;+CGSN",
            "AT+CGLA=1,22,\"80E2910006BF3E035C015A\"",
            "AT+CSIM=10,\"0070000001\"",
            "AT+CSIM=10,\"0020000100\"",
            "AT+CRSM=176,12258,0,0,10",
        ] {
            assert_eq!(of_line(line), AllowWrite::None, "{line}");
        }
    }

    #[test]
    fn whatever_changes_something_or_is_not_known_has_to_be_allowed() {
        for (line, needed) in [
            ("AT+QESIM=\"nickname\",1,\"Work;Home\"", AllowWrite::Nickname),
            ("AT+QESIM=\"enable\",1", AllowWrite::Profiles),
            ("AT+CIMI;+QESIM=\"delete_profile\",1", AllowWrite::Profiles),
            ("AT+QESIM=\"def_svr_addr\",\"a.example\"", AllowWrite::All),
            ("AT+QESIM=\"lpa_enable\",0", AllowWrite::All),
            ("AT+QESIM=\"no_such_function\"", AllowWrite::All),
            ("AT+CFUN=0", AllowWrite::All),
            ("AT&F", AllowWrite::All),
            ("ATE0&W", AllowWrite::All),
            ("ATD123;", AllowWrite::All),
            ("AT+CPIN=\"1234\"", AllowWrite::All),
            ("AT+CSIM=26,\"002000010831323334FFFFFFFF\"", AllowWrite::All),
            ("AT+CRSM=214,28486,0,0,1,\"00\"", AllowWrite::All),
            ("AT+CGLA=1,10,\"80E2910003BF3300\"", AllowWrite::Profiles),
            ("AT+CGLA=1,10,\"81E2910003BF2900\"", AllowWrite::Nickname),
            ("AT+CGLA=1,10,\"81E2910003BF3400\"", AllowWrite::All),
            ("some text\u{1A}", AllowWrite::All),
        ] {
            assert_eq!(of_line(line), needed, "{line}");
        }
    }
}
