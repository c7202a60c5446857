//! What an LPA has printed, read by the rules of its description.

use std::process::ExitStatus;

use rsp::es10::download::{BppCommandId, ErrorReason};
use serde_json::Value;

use super::description::{CodeKind, CodeRule, Description};
use crate::runner::check::Reported;
use crate::scenario::ast::{LpaExpect, Outcome, StatusCode, bpp_commands, error_reasons};
use crate::timeline::{Event, Kind};

/// What came out of a call.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// The lines of standard output and standard error, as they came.
    pub lines: Vec<String>,
    /// The last JSON object that is a result object.
    pub object: Option<Value>,
    /// The last line of standard error.
    pub last_words: Option<String>,
}

/// How a call has ended.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// By itself.
    Ended(ExitStatus),
    /// It was ended after its deadline.
    Killed,
}

impl Description {
    /// Whether a JSON object of the output is the result object.
    pub fn is_result(&self, object: &Value) -> bool {
        !self.result.object.is_empty()
            && self.result.object.iter().all(|(pointer, wanted)| matches(object, pointer, wanted))
    }

    /// What the LPA says came of an operation.
    pub fn read(&self, output: &Output, answer: Answer) -> Reported {
        let status = match answer {
            Answer::Ended(status) => status,
            Answer::Killed => {
                let message = Some(format!("{} did not end and was killed", self.name));
                return Reported { message, ..self.codes_in(output) };
            }
        };
        let good_end = match &self.result.exit {
            Some(codes) => status.code().is_some_and(|code| codes.contains(&code)),
            None => status.success(),
        };
        let found = |pattern: &Option<super::description::Pattern>| {
            pattern.as_ref().map(|pattern| output.lines.iter().any(|line| pattern.0.is_match(line)))
        };
        let says = match (&output.object, found(&self.result.failure_pattern), found(&self.result.success_pattern)) {
            (Some(object), _, _) => {
                Some(self.result.success.iter().all(|(pointer, wanted)| matches(object, pointer, wanted)))
            }
            (None, Some(true), _) => Some(false),
            (None, _, Some(found)) => Some(found),
            (None, _, None) => None,
        };
        let mut reported = self.codes_in(output);
        reported.outcome = match says {
            // A script that looks at the exit code would be misled.
            Some(success) if success != good_end => None,
            _ if good_end => Some(Outcome::Success),
            _ => Some(Outcome::Failure),
        };
        reported.message = match (says, &output.object) {
            (Some(success), _) if success != good_end => {
                let word = if success { "success" } else { "failure" };
                Some(format!("its output says {word}, its end {status}"))
            }
            (_, Some(object)) => self.message(object),
            (_, None) if good_end => None,
            (_, None) => {
                let none = if self.result.object.is_empty() { "" } else { ", no result object" };
                let words = output.last_words.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
                Some(format!("{status}{none}{words}"))
            }
        };
        reported
    }

    /// The functions of which the LPA tells that it has called them, and that they were answered; `None` when it tells
    /// nothing of the kind.
    pub fn requests(&self, events: &[Event]) -> Option<Vec<String>> {
        let pointer = self.result.request.as_deref()?;
        let told = events.iter().filter_map(|event| match &event.kind {
            Kind::Lpa { step } if step.get("http").is_some() => step.pointer(pointer).and_then(text),
            _ => None,
        });
        Some(told.collect())
    }

    fn message(&self, object: &Value) -> Option<String> {
        let texts = self.result.message.iter().filter_map(|pointer| object.pointer(pointer).and_then(text));
        let texts: Vec<String> = texts.filter(|text| !text.is_empty()).collect();
        (!texts.is_empty()).then(|| texts.join(": "))
    }

    fn codes_in(&self, output: &Output) -> Reported {
        let code = |kind| self.codes.iter().filter(|rule| rule.tells == kind).find_map(|rule| rule.code(output));
        let number = |kind| code(kind).and_then(|code| code.parse::<u32>().ok());
        let reason = |code: String| match code.parse() {
            Ok(number) => Some(ErrorReason::from_code(number)),
            Err(_) => error_reasons().find(|reason| reason.name() == code),
        };
        Reported {
            status: code(CodeKind::Status).and_then(|code| {
                let (subject, reason) = code.split_once('/')?;
                Some(StatusCode { subject: subject.to_owned(), reason: reason.to_owned() })
            }),
            curl: number(CodeKind::Curl),
            http: number(CodeKind::Http).and_then(|status| u16::try_from(status).ok()),
            euicc: code(CodeKind::Euicc).and_then(reason),
            command: code(CodeKind::Command).and_then(|code| match code.parse() {
                Ok(number) => Some(BppCommandId::from_code(number)),
                Err(_) => bpp_commands().find(|command| command.name() == code),
            }),
            sw: code(CodeKind::Sw).and_then(|digits| u16::from_str_radix(&digits, 16).ok()),
            listed: output
                .object
                .as_ref()
                .and_then(|object| self.result.lists.iter().find_map(|pointer| object.pointer(pointer)))
                .cloned(),
            ..Reported::default()
        }
    }

    /// Takes what the LPA does not tell for told, so that only what can be seen is compared; gives what is left to be
    /// expected, and what was passed over, in words.
    pub fn pass_over_untold(&self, expect: &LpaExpect, reported: &mut Reported) -> (LpaExpect, Vec<String>) {
        let mut expect = expect.clone();
        let mut passed_over = Vec::new();
        let mut untold = |kind, is_expected: bool| {
            let why = if is_expected { self.untold(kind) } else { None };
            let is_untold = why.is_some();
            passed_over.extend(why);
            is_untold
        };
        if untold(CodeKind::Status, expect.status.is_some()) {
            reported.status.clone_from(&expect.status);
        }
        if untold(CodeKind::Curl, expect.curl.is_some()) {
            reported.curl = expect.curl;
        }
        if untold(CodeKind::Http, expect.http.is_some()) {
            reported.http = expect.http;
        }
        if untold(CodeKind::Euicc, expect.euicc.is_some()) {
            reported.euicc = expect.euicc;
        }
        if untold(CodeKind::Command, expect.command.is_some()) {
            reported.command = expect.command;
        }
        if untold(CodeKind::Sw, expect.sw.is_some()) {
            expect.sw = None;
        }
        if self.result.lists.is_empty() && (expect.profiles.is_some() || expect.notifications.is_some()) {
            (expect.profiles, expect.notifications) = (None, None);
            passed_over.push(format!("its lists are not read from what {} prints", self.name));
        }
        (expect, passed_over)
    }
}

impl CodeRule {
    fn code(&self, output: &Output) -> Option<String> {
        if self.json.is_empty() {
            return output.lines.iter().find_map(|line| self.code_in(line));
        }
        let object = output.object.as_ref()?;
        let parts: Option<Vec<String>> =
            self.json.iter().map(|pointer| object.pointer(pointer).and_then(text)).collect();
        self.code_in(&parts?.join("/"))
    }

    fn code_in(&self, text: &str) -> Option<String> {
        let Some(pattern) = &self.pattern else { return Some(text.to_owned()) };
        let found = pattern.0.captures(text)?;
        if let Some(value) = &self.value {
            return Some(value.clone());
        }
        let groups: Vec<&str> = found.iter().skip(1).flatten().map(|group| group.as_str()).collect();
        // Without groups it is all that was found.
        Some(if groups.is_empty() { found[0].to_owned() } else { groups.join("/") })
    }
}

/// Whether the member at a JSON Pointer is as wanted; `true` is any.
fn matches(object: &Value, pointer: &str, wanted: &Value) -> bool {
    object.pointer(pointer).is_some_and(|found| found == wanted || *wanted == Value::Bool(true))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn ended(code: i32) -> Answer {
        Answer::Ended(ExitStatus::from_raw(code << 8))
    }

    fn output(description: &Description, lines: &[&str]) -> Output {
        let mut objects = lines.iter().filter_map(|line| serde_json::from_str(line).ok());
        Output {
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            object: objects.rfind(|object| description.is_result(object)),
            last_words: None,
        }
    }

    fn read(name: &str, lines: &[&str], answer: Answer) -> Reported {
        let description = Description::built_in(name).unwrap();
        description.read(&output(&description, lines), answer)
    }

    // Lines as lpac prints them (main of 2026-06).
    #[test]
    fn lpac_is_read() {
        let success = r#"{"type":"lpa","payload":{"code":0,"message":"success","data":null}}"#;
        assert_eq!(read("lpac", &[success], ended(0)).outcome, Some(Outcome::Success));
        let progress = r#"{"type":"progress","payload":{"code":0,"message":"es10b_cancel_session","data":"host"}}"#;
        let same = r#"{"type":"lpa","payload":{"code":-1,"message":"es10b_load_bound_profile_package","data":"store_metadata,install_failed_due_to_iccid_already_exists_on_euicc"}}"#;
        let reported = read("lpac", &[progress, same], ended(255));
        assert_eq!(reported.outcome, Some(Outcome::Failure));
        assert_eq!(reported.euicc, Some(ErrorReason::from_code(9)));
        assert!(reported.message.unwrap().starts_with("es10b_load_bound_profile_package: store_metadata"));
        let transport = r#"{"type":"lpa","payload":{"code":-1,"message":"es9p_initiate_authentication","data":"HTTP transport failed"}}"#;
        let resolve = "curl_easy_perform() failed: Couldn't resolve host name";
        assert_eq!(read("lpac", &[resolve, transport], ended(255)).curl, Some(6));
        assert_eq!(read("lpac", &[success], ended(255)).outcome, None);
        assert_eq!(read("lpac", &[progress], Answer::Killed).outcome, None);
    }

    #[test]
    fn what_is_not_told_is_passed_over_and_said() {
        let lpac = Description::built_in("lpac").unwrap();
        let expect = LpaExpect { http: Some(503), euicc: Some(ErrorReason::from_code(9)), ..LpaExpect::default() };
        let mut reported = Reported::default();
        let (_, passed_over) = lpac.pass_over_untold(&expect, &mut reported);
        assert_eq!((reported.http, reported.euicc), (Some(503), None));
        assert_eq!(passed_over.len(), 1);
        assert!(passed_over[0].starts_with("lpac does not tell the HTTP status: "), "{passed_over:?}");
        let lpad = Description::built_in("lpad").unwrap();
        assert!(lpad.pass_over_untold(&expect, &mut Reported::default()).1.is_empty());
    }

    #[test]
    fn outcomes_by_pattern_and_exit_code() {
        let text = "format = 1\nname = 'x'\nprogram = 'x'\n[result]\nsuccess-pattern = '^done'\nexit = [0, 3]\n\
                    [[code]]\ntells = 'status'\npattern = 'subject (\\S+), reason (\\S+)'\n\
                    [[code]]\ntells = 'http'\npattern = 'HTTP [0-9]{3}$'\n";
        let description = Description::from_toml(text).unwrap();
        let read = |lines: &[&str], answer| description.read(&output(&description, lines), answer);
        assert_eq!(read(&["done"], ended(3)).outcome, Some(Outcome::Success));
        assert_eq!(read(&["done"], ended(1)).outcome, None);
        let refused = read(&["subject 8.1, reason 4.8"], ended(1));
        assert_eq!(refused.outcome, Some(Outcome::Failure));
        assert_eq!(refused.status.unwrap().to_string(), "8.1/4.8");
    }
}
