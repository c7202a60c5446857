//! The LPA under test, as a process of its own on the terminal.
//!
//! It is called as its [`Description`] says; each line of its standard output becomes an event of the timeline, and
//! what it says came of the operation is read by the rules of the description.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::check::Reported;
pub use crate::lpa::Call;
use crate::lpa::{Answer, DEFAULT_ADDRESS, Description, DescriptionError, Given, OperationName, Output};
use crate::scenario::ast::{LpaSettings, Operation, Scenario, Step, StepAction};
use crate::scenario::error::Mistakes;
use crate::timeline::{Kind, Role, Timeline};

/// The longest line that is taken from an LPA; a line without end must not fill the memory.
const LONGEST_LINE: usize = 1 << 20;

/// An LPA that can be called.
#[derive(Debug, Clone)]
pub struct Assistant {
    /// Its name in reports.
    pub name: String,
    /// How it is called, and how what comes of it is read.
    pub description: Arc<Description>,
    /// The program.
    pub program: PathBuf,
    /// Arguments that come before all others.
    pub first: Vec<OsString>,
    /// Whether it has to ask the real name service, which may take its time.
    pub asks_for_names: bool,
}

/// What an LPA is called for.
#[derive(Debug, Clone, Copy)]
pub struct On<'a> {
    /// The terminal of the modem.
    pub tty: &'a Path,
    /// The file with the certificate of the CI.
    pub ci: &'a Path,
    /// The ICCIDs on the card, in the order of its list.
    pub profiles: &'a [String],
    /// How it is set for the operation.
    pub settings: &'a LpaSettings,
}

/// Why an LPA could not be called.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The program cannot be run.
    #[error("cannot run the LPA {}: {error}{}", program.display(), hint(program))]
    Program {
        /// The program.
        program: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It has no way to do what is asked for.
    #[error("{0}")]
    Unable(String),
}

fn hint(program: &Path) -> String {
    if program.components().count() > 1 {
        return String::new();
    }
    let names: Vec<&str> = Description::names().collect();
    format!(" (looked for on PATH; the LPAs that are described here are {})", names.join(" and "))
}

/// Whether a file is a program that may be run.
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// An LPA that cannot be had as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The description has mistakes.
    #[error("{0}")]
    Mistakes(Mistakes),
    /// The description or the command line is not as it should be.
    #[error("{place}: {error}")]
    Description {
        /// The file or the command line.
        place: String,
        /// What is wrong.
        error: crate::lpa::DescriptionError,
    },
    /// There is no such program.
    #[error("there is no program {} that can be run{}", program.display(), hint(program))]
    NoProgram {
        /// The program.
        program: PathBuf,
    },
    /// This program cannot find itself.
    #[error("cannot find this program: {0}")]
    Own(io::Error),
}

impl Assistant {
    /// The LPA that `--lpa` asks for: `lpad`, `lpac`, the file of a description, a command line with names in braces,
    /// or a program with the command line of `lpad`.
    pub fn chosen(text: &str) -> Result<Self, ChoiceError> {
        let place = |error| ChoiceError::Description { place: text.to_owned(), error };
        if text.trim().is_empty() {
            return Err(ChoiceError::Description { place: "--lpa".to_owned(), error: DescriptionError::Empty });
        }
        if text == "lpad" {
            return Assistant::built_in().map_err(ChoiceError::Own);
        }
        if let Some(description) = Description::built_in(text) {
            // As the end-to-end tests of LPAs have it: $LPAC is the program, wherever it is.
            let program = std::env::var_os(text.to_uppercase()).filter(|program| !program.is_empty());
            return Ok(Assistant::described(description, program.map(PathBuf::from)));
        }
        let path = Path::new(text);
        if path.extension().is_some_and(|extension| extension == "toml") {
            let file =
                std::fs::read_to_string(path).map_err(|error| ChoiceError::Read { path: path.to_owned(), error })?;
            let read = Description::from_file(&path.display().to_string(), &file).map_err(ChoiceError::Mistakes)?;
            return Ok(Assistant::described(read, None));
        }
        if text.contains(char::is_whitespace) || text.contains('{') {
            return Ok(Assistant::described(Description::of_command(text).map_err(place)?, None));
        }
        Ok(Assistant::program(path.to_owned()))
    }

    /// Whether its program is there: told before a whole run comes to the same error in each scenario.
    pub fn check_program(&self) -> Result<(), ChoiceError> {
        let there = match self.program.components().count() {
            // Looked for as the system does when it is started.
            1 if !self.program.as_os_str().as_encoded_bytes().contains(&b'/') => {
                let path = std::env::var_os("PATH").unwrap_or_default();
                std::env::split_paths(&path).any(|folder| is_program(&folder.join(&self.program)))
            }
            _ => is_program(&self.program),
        };
        if there { Ok(()) } else { Err(ChoiceError::NoProgram { program: self.program.clone() }) }
    }

    /// The LPA that is part of this program.
    pub fn built_in() -> io::Result<Self> {
        let program = std::env::current_exe()?;
        Ok(Assistant { name: "lpad".to_owned(), first: vec!["lpad".into()], ..Assistant::program(program) })
    }

    /// Another program that is called in the same way.
    pub fn program(program: PathBuf) -> Self {
        let mut description = Description::built_in("lpad").unwrap_or_else(|| unreachable!("it is read by a test"));
        let name = program.display().to_string();
        // In messages it goes by its own name.
        description.name.clone_from(&name);
        Assistant { name, description: Arc::new(description), program, first: Vec::new(), asks_for_names: false }
    }

    /// An LPA by its description; `program` in the place of the one that it names.
    pub fn described(description: Description, program: Option<PathBuf>) -> Self {
        Assistant {
            name: description.name.clone(),
            program: program.unwrap_or_else(|| PathBuf::from(&description.program)),
            description: Arc::new(description),
            first: Vec::new(),
            asks_for_names: false,
        }
    }

    /// Why it cannot carry out an operation of a scenario, if it cannot.
    pub fn unable_in(&self, scenario: &Scenario) -> Option<String> {
        fn unable(description: &Description, steps: &[Step]) -> Option<String> {
            steps.iter().find_map(|step| match &step.action {
                StepAction::Lpa { operation, settings, .. } => {
                    let mut given = Given::default();
                    settings.given(&mut given);
                    description.unable(operation_name(operation)).or_else(|| description.unset(&given))
                }
                StepAction::Parallel(steps) => unable(description, steps),
                _ => None,
            })
        }
        unable(&self.description, &scenario.steps)
    }

    /// Runs an operation to its end. When the future is dropped the process is killed.
    pub async fn call(&self, on: On<'_>, call: &Call, timeline: &Timeline) -> Result<Reported, CallError> {
        let mut given = Given::default();
        given.set("tty", on.tty.to_string_lossy());
        given.set("ci", on.ci.to_string_lossy());
        call.given(on.profiles, &mut given);
        on.settings.given(&mut given);
        if let Some(why) = self.description.unset(&given) {
            return Err(CallError::Unable(why));
        }
        let line = self.description.line(call.operation(), &given).map_err(CallError::Unable)?;
        let (output, answer) = self.run(&line.args, &line.environment, line.input.as_deref(), timeline).await?;
        for args in &line.afterwards {
            self.run(args, &line.environment, None, timeline).await?;
        }
        Ok(self.description.read(&output, answer))
    }

    /// Runs the program once.
    async fn run(
        &self,
        args: &[String],
        environment: &[(String, String)],
        input: Option<&str>,
        timeline: &Timeline,
    ) -> Result<(Output, Answer), CallError> {
        let fail = |error| CallError::Program { program: self.program.clone(), error };
        let process = |text: String| timeline.record(Role::Lab, Kind::Process { text });
        process(format!("{} is called: {}", self.name, args.join(" ")));
        let mut child = Command::new(&self.program)
            .args(&self.first)
            .args(args)
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A name that does not resolve is told in a second, also where the name server does not answer.
            .envs((!self.asks_for_names).then_some(("RES_OPTIONS", "timeout:1 attempts:1")))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .envs(crate::tidy::marker())
            .kill_on_drop(true)
            .spawn()
            .map_err(fail)?;
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            // One that does not read it may have ended already.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        let gathered = Mutex::new(Output::default());
        let output = lines(child.stdout.take(), |line| {
            let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
            match serde_json::from_str::<Value>(line) {
                Ok(step @ Value::Object(_)) => {
                    if self.description.is_result(&step) {
                        gathered.object = Some(step.clone());
                    }
                    timeline.record(Role::Assistant, Kind::Lpa { step });
                }
                _ => process(format!("{}: {line}", self.name)),
            }
            gathered.lines.push(line.to_owned());
        });
        let errors = lines(child.stderr.take(), |line| {
            let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
            gathered.last_words = Some(line.to_owned());
            gathered.lines.push(line.to_owned());
            process(format!("{} (standard error): {line}", self.name));
        });
        let end = async {
            let (output, errors) = tokio::join!(output, errors);
            output.and(errors)?;
            child.wait().await
        };
        let ended = match self.description.deadline {
            Some(deadline) => timeout(deadline, end).await,
            None => Ok(end.await),
        };
        let answer = match ended {
            Ok(status) => {
                let status = status.map_err(fail)?;
                process(format!("{} has ended: {status}", self.name));
                Answer::Ended(status)
            }
            Err(_) => {
                child.kill().await.map_err(fail)?;
                process(format!("{} did not end and was killed", self.name));
                Answer::Killed
            }
        };
        Ok((gathered.into_inner().unwrap_or_else(PoisonError::into_inner), answer))
    }
}

/// An operation of a scenario under its name in a description.
fn operation_name(operation: &Operation) -> OperationName {
    match operation {
        Operation::Download { activation_code, .. } if activation_code.to_string() == DEFAULT_ADDRESS => {
            OperationName::DownloadDefault
        }
        Operation::Download { .. } => OperationName::Download,
        Operation::Enable(_) => OperationName::Enable,
        Operation::Disable(_) => OperationName::Disable,
        Operation::Delete(_) => OperationName::Delete,
        Operation::Nickname(..) => OperationName::Nickname,
        Operation::List => OperationName::List,
        Operation::SendNotifications => OperationName::Notifications,
        Operation::ListNotifications => OperationName::ListNotifications,
        Operation::RemoveNotifications => OperationName::RemoveNotifications,
        Operation::DefaultAddress(_) => OperationName::DefaultAddress,
        Operation::Info => OperationName::Info,
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

#[cfg(test)]
mod tests {
    use rsp::es10::download::ErrorReason;

    use super::*;
    use crate::scenario::ast::{Outcome, StatusCode};

    fn on() -> On<'static> {
        const SETTINGS: &LpaSettings = &LpaSettings {
            timeout: None,
            segment: None,
            csim: false,
            accept_rules: false,
            isd_r: None,
            no_refresh: false,
            resolve: None,
            requests: false,
        };
        On { tty: Path::new("/dev/null"), ci: Path::new("ci.pem"), profiles: &[], settings: SETTINGS }
    }

    /// A shell script in the place of the LPA.
    fn script(text: &str) -> Assistant {
        Assistant {
            name: "script".to_owned(),
            first: vec!["-c".into(), text.into()],
            ..Assistant::program("/bin/sh".into())
        }
    }

    async fn call(text: &str) -> (Reported, Timeline) {
        let timeline = Timeline::new();
        let reported = script(text).call(on(), &Call::List, &timeline).await.unwrap();
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
                ..Reported::default()
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
        let error = assistant.call(on(), &Call::List, &Timeline::new()).await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/lpa"), "{error}");
    }

    #[tokio::test]
    async fn an_lpa_that_hangs_is_killed_after_its_deadline() {
        let text = "format = 1\nname = 'x'\nprogram = '/bin/sh'\ndeadline = '50ms'\n\
                    [operation.list]\nargs = ['-c', 'echo begun; exec sleep 600']\n";
        let assistant = Assistant::described(Description::from_toml(text).unwrap(), None);
        let timeline = Timeline::new();
        let reported = assistant.call(on(), &Call::List, &timeline).await.unwrap();
        assert_eq!(reported.outcome, None);
        assert_eq!(reported.message.unwrap(), "x did not end and was killed");
    }

    #[tokio::test]
    async fn environment_input_and_later_calls_are_those_of_the_description() {
        let text = "format = 1\nname = 'x'\nprogram = '/bin/sh'\n\
                    [environment]\nMODEM = '{tty}'\n\
                    [operation.download]\nargs = ['-c', 'read word; echo $MODEM $word']\ninput = \"{matching_id}\\n\"\n\
                    afterwards = [['-c', 'echo later; exit 1']]\n";
        let assistant = Assistant::described(Description::from_toml(text).unwrap(), None);
        let timeline = Timeline::new();
        let call = Call::Download { activation_code: "1$host$TOKEN".to_owned(), confirmation_code: None };
        let reported = assistant.call(on(), &call, &timeline).await.unwrap();
        assert_eq!(reported.outcome, Some(Outcome::Success));
        let events: Vec<String> = timeline.snapshot().iter().map(|event| event.kind.to_string()).collect();
        for part in ["x: /dev/null TOKEN", "x: later"] {
            assert!(events.iter().any(|event| event == part), "{part}: {events:?}");
        }
        let unable = assistant.call(on(), &Call::List, &timeline).await.unwrap_err().to_string();
        assert!(unable.contains("x cannot list the profiles"), "{unable}");
    }

    #[test]
    fn the_lpa_is_chosen_by_name_file_command_line_or_program() {
        assert_eq!(Assistant::chosen("lpad").unwrap().first, ["lpad"]);
        assert_eq!(Assistant::chosen("lpac").unwrap().description.name, "lpac");
        let command = Assistant::chosen("my-lpa {tty} {activation_code}").unwrap();
        assert_eq!((command.name.as_str(), command.program.to_str()), ("my-lpa", Some("my-lpa")));
        let program = Assistant::chosen("/opt/lpa").unwrap();
        assert_eq!((program.name.as_str(), program.description.unable(Call::List.operation())), ("/opt/lpa", None));
        assert!(
            Assistant::chosen("/nowhere/lpa.toml").unwrap_err().to_string().contains("cannot read /nowhere/lpa.toml")
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lpa.toml");
        std::fs::write(&file, "format = 1\nname = 'x'\nprogramme = 'x'\n").unwrap();
        let error = Assistant::chosen(file.to_str().unwrap()).unwrap_err();
        let ChoiceError::Mistakes(mistakes) = error else { panic!("{error}") };
        let told = mistakes.render(false, 100);
        assert!(told.contains("lpa.toml:3:1") && told.contains("did you mean `program`?"), "{told}");
    }
}
