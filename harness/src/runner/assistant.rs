//! The LPA under test, as a process of its own on the terminal.
//!
//! It is called with the command line of `lpad` and `--json`; each line of its standard output becomes an event of
//! the timeline, and the object with `outcome` is what it says came of the operation.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rsp::es10::download::ErrorReason;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

use super::check::Reported;
use crate::scenario::ast::{Outcome, StatusCode};
use crate::timeline::{Kind, Role, Timeline};

/// The longest line that is taken from an LPA; a line without end must not fill the memory.
const LONGEST_LINE: usize = 1 << 20;

/// An LPA with the command line of `lpad`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assistant {
    /// Its name in reports.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Arguments that come before all others.
    pub first: Vec<OsString>,
    /// Where the secrets of its TLS connections are appended, for Wireshark (`SSLKEYLOGFILE`, which libcurl obeys).
    pub tls_secrets: Option<PathBuf>,
}

/// An operation, with everything filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Download a profile.
    Download {
        /// The activation code, or `UseSMDP`.
        activation_code: String,
        /// The confirmation code.
        confirmation_code: Option<String>,
    },
    /// Enable the profile with this number or ICCID.
    Enable(String),
    /// Disable it.
    Disable(String),
    /// Delete it.
    Delete(String),
    /// Give it a nickname.
    Nickname(String, String),
    /// List the profiles.
    List,
}

/// Why an LPA could not be called.
#[derive(Debug, thiserror::Error)]
#[error("cannot run the LPA {}: {error}", program.display())]
pub struct CallError {
    /// The program.
    pub program: PathBuf,
    /// What the system says.
    pub error: io::Error,
}

impl Assistant {
    /// The LPA that is part of this program.
    pub fn built_in() -> io::Result<Self> {
        Ok(Assistant {
            name: "lpad".to_owned(),
            program: std::env::current_exe()?,
            first: vec!["lpad".into()],
            tls_secrets: None,
        })
    }

    /// Another program that is called in the same way.
    pub fn program(program: PathBuf) -> Self {
        Assistant { name: program.display().to_string(), program, first: Vec::new(), tls_secrets: None }
    }

    /// The arguments for an operation on the card behind this terminal.
    fn arguments(&self, tty: &Path, ci: &Path, call: &Call) -> Vec<OsString> {
        let mut arguments = self.first.clone();
        arguments.extend(["-d".into(), tty.into(), "--ci".into(), ci.into(), "--json".into()]);
        let mut add = |list: &[&str]| arguments.extend(list.iter().map(OsString::from));
        match call {
            Call::Download { activation_code, confirmation_code } => {
                add(&["-A", activation_code]);
                if let Some(code) = confirmation_code {
                    add(&["-C", code]);
                }
            }
            Call::Enable(profile) => add(&["--enable", profile]),
            Call::Disable(profile) => add(&["--disable", profile]),
            Call::Delete(profile) => add(&["-R", profile]),
            Call::Nickname(profile, name) => add(&["--nickname", profile, name]),
            Call::List => add(&["--list"]),
        }
        arguments
    }

    /// Runs an operation to its end. When the future is dropped the process is killed.
    pub async fn call(&self, tty: &Path, ci: &Path, call: &Call, timeline: &Timeline) -> Result<Reported, CallError> {
        let fail = |error| CallError { program: self.program.clone(), error };
        let process = |text: String| timeline.record(Role::Lab, Kind::Process { text });
        let arguments = self.arguments(tty, ci, call);
        let shown: Vec<_> = arguments[self.first.len()..].iter().map(|argument| argument.to_string_lossy()).collect();
        process(format!("{} is called: {}", self.name, shown.join(" ")));
        let mut child = Command::new(&self.program)
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A name that does not resolve is told in a second, also where the name server does not answer.
            .env("RES_OPTIONS", "timeout:1 attempts:1")
            .envs(self.tls_secrets.iter().map(|file| ("SSLKEYLOGFILE", file)))
            .kill_on_drop(true)
            .spawn()
            .map_err(fail)?;
        let mut result = None;
        let mut last_words = None;
        let output = lines(child.stdout.take(), |line| match serde_json::from_str::<Value>(line) {
            Ok(step @ Value::Object(_)) => {
                if step.get("outcome").is_some() {
                    result = Some(step.clone());
                }
                timeline.record(Role::Assistant, Kind::Lpa { step });
            }
            _ => process(format!("{}: {line}", self.name)),
        });
        let errors = lines(child.stderr.take(), |line| {
            last_words = Some(line.to_owned());
            process(format!("{} (standard error): {line}", self.name));
        });
        let (output, errors) = tokio::join!(output, errors);
        output.and(errors).map_err(fail)?;
        let status = child.wait().await.map_err(fail)?;
        process(format!("{} has ended: {status}", self.name));
        Ok(reported(result.as_ref(), status, last_words))
    }
}

/// Hands each line of a stream over; what is no UTF-8 is replaced.
async fn lines(stream: Option<impl AsyncRead + Unpin>, mut each: impl FnMut(&str)) -> io::Result<()> {
    let Some(stream) = stream else { return Ok(()) };
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        let piece = stream.fill_buf().await?;
        if piece.is_empty() {
            break;
        }
        let end = piece.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(piece.len());
        line.extend_from_slice(&piece[..taken]);
        stream.consume(taken + usize::from(end.is_some()));
        if end.is_some() || line.len() >= LONGEST_LINE {
            each(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }
    if !line.is_empty() {
        each(String::from_utf8_lossy(&line).trim_end());
    }
    Ok(())
}

/// What the result object says; where there is none, what the exit code says.
fn reported(result: Option<&Value>, status: ExitStatus, last_words: Option<String>) -> Reported {
    let Some(result) = result else {
        let outcome = if status.success() { Outcome::Success } else { Outcome::Failure };
        let message = match last_words {
            Some(words) if !status.success() => Some(format!("{status}, no result object: {words}")),
            _ if !status.success() => Some(format!("{status}, no result object")),
            _ => None,
        };
        return Reported { outcome: Some(outcome), message, ..Reported::default() };
    };
    let text = |key: &str| result.get(key).and_then(Value::as_str).map(str::to_owned);
    let number = |value: Option<&Value>| value.and_then(Value::as_u64);
    let mut outcome = match text("outcome").as_deref() {
        Some("success") => Some(Outcome::Success),
        Some("failure") => Some(Outcome::Failure),
        _ => None,
    };
    let mut message = text("message").map(|message| match text("step") {
        Some(step) => format!("{step}: {message}"),
        None => message,
    });
    if outcome.is_some_and(|outcome| (outcome == Outcome::Success) != status.success()) {
        // A script that looks at the exit code would be misled.
        message = Some(format!("its result object says {}, its end {status}", text("outcome").unwrap_or_default()));
        outcome = None;
    }
    Reported {
        outcome,
        message,
        status: text("subject").zip(text("reason")).map(|(subject, reason)| StatusCode { subject, reason }),
        curl: number(result.get("curl")).and_then(|code| u32::try_from(code).ok()),
        http: number(result.get("http")).and_then(|status| u16::try_from(status).ok()),
        euicc: number(result.get("euicc").and_then(|euicc| euicc.get("reason")))
            .and_then(|reason| u32::try_from(reason).ok())
            .map(ErrorReason::from_code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell script in the place of the LPA.
    fn script(text: &str) -> Assistant {
        Assistant {
            name: "script".to_owned(),
            program: "/bin/sh".into(),
            first: vec!["-c".into(), text.into()],
            tls_secrets: None,
        }
    }

    async fn call(text: &str) -> (Reported, Timeline) {
        let timeline = Timeline::new();
        let reported =
            script(text).call(Path::new("/dev/null"), Path::new("ci.pem"), &Call::List, &timeline).await.unwrap();
        (reported, timeline)
    }

    #[tokio::test]
    async fn a_result_object_is_read_and_every_line_kept() {
        let (reported, timeline) = call(
            r#"echo '{"step":"authenticateClient","ok":false}'; echo words >&2; echo plain
            echo '{"outcome":"failure","step":"authenticateClient","message":"no","curl":6,"http":503,"subject":"8.2.6","reason":"3.8","euicc":{"function":"x","reason":9}}'
            exit 1"#,
        )
        .await;
        assert_eq!(
            reported,
            Reported {
                outcome: Some(Outcome::Failure),
                message: Some("authenticateClient: no".to_owned()),
                status: Some(StatusCode { subject: "8.2.6".to_owned(), reason: "3.8".to_owned() }),
                curl: Some(6),
                http: Some(503),
                euicc: Some(ErrorReason::from_code(9)),
            }
        );
        let events: Vec<String> = timeline.snapshot().iter().map(|event| event.kind.to_string()).collect();
        for part in ["script is called", "(standard error): words", "script: plain", "exit status: 1"] {
            assert!(events.iter().any(|event| event.contains(part)), "{part}: {events:?}");
        }
    }

    #[tokio::test]
    async fn without_a_result_object_the_exit_code_tells() {
        assert_eq!(call("exit 0").await.0.outcome, Some(Outcome::Success));
        let (reported, _) = call("echo it went wrong >&2; exit 3").await;
        assert_eq!(reported.outcome, Some(Outcome::Failure));
        assert!(reported.message.unwrap().contains("it went wrong"));
        let (reported, _) = call("kill -9 $$").await;
        assert!(reported.message.unwrap().contains("signal"));
    }

    #[tokio::test]
    async fn a_result_that_contradicts_the_exit_code_is_neither() {
        let (reported, _) = call(r#"echo '{"outcome":"success"}'; exit 1"#).await;
        assert_eq!(reported.outcome, None);
        assert!(reported.message.unwrap().contains("says success"));
    }

    #[tokio::test]
    async fn an_lpa_that_is_not_there_is_an_error() {
        let assistant = Assistant::program("/nowhere/lpa".into());
        let error =
            assistant.call(Path::new("/dev/null"), Path::new("ci"), &Call::List, &Timeline::new()).await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/lpa"), "{error}");
    }

    #[test]
    fn operations_become_arguments() {
        let assistant = Assistant { first: vec!["lpad".into()], ..Assistant::program("esimlab".into()) };
        let line = |call: Call| {
            let arguments = assistant.arguments(Path::new("/dev/pts/7"), Path::new("ci.pem"), &call);
            let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
            words.join(" ")
        };
        let download = |confirmation_code: Option<&str>| Call::Download {
            activation_code: "1$host$T".to_owned(),
            confirmation_code: confirmation_code.map(str::to_owned),
        };
        let head = "lpad -d /dev/pts/7 --ci ci.pem --json";
        assert_eq!(line(download(None)), format!("{head} -A 1$host$T"));
        assert_eq!(line(download(Some("1234"))), format!("{head} -A 1$host$T -C 1234"));
        assert_eq!(line(Call::Enable("1".to_owned())), format!("{head} --enable 1"));
        assert_eq!(line(Call::Disable("1".to_owned())), format!("{head} --disable 1"));
        assert_eq!(line(Call::Delete("1".to_owned())), format!("{head} -R 1"));
        assert_eq!(line(Call::Nickname("1".to_owned(), "Work".to_owned())), format!("{head} --nickname 1 Work"));
        assert_eq!(line(Call::List), format!("{head} --list"));
    }
}
