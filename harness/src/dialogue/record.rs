//! `esimlab record`: what is said to a modem and what it answers, written down as a transcript.
//!
//! It stands between a program and the modem: the program gets a pseudo-terminal, and what goes over it is passed on
//! in both directions. Or it says a list of commands itself.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tokio::time::timeout;

use super::lines::Splitter;
use super::redact::{Identity, Redactor};
use super::terminal::Line;
use crate::cli::{Abort, Ended, runtime};
use crate::runner::at::is_final_result;
use crate::runner::result::exit;
use crate::scenario::transcript;
use crate::timeline::Direction;

/// How long the modem may take to tell who it is, before the dialogue.
const SELF_PATIENCE: Duration = Duration::from_secs(3);

/// How long a command of a list may take: the longest of TS 27.007 that a modem answers by itself.
const COMMAND_PATIENCE: Duration = Duration::from_secs(180);

/// The arguments of `esimlab record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// The terminals of the modem's AT ports, separated by commas
    #[arg(long, value_name = "PATH", value_delimiter = ',', required = true)]
    modem: Vec<PathBuf>,

    /// Where the transcript goes; to standard output when not given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Make a symbolic link to the terminal for your program here
    #[arg(long, value_name = "PATH", conflicts_with = "play")]
    link: Option<PathBuf>,

    /// Say the commands of this file, one a line, and end
    #[arg(long, value_name = "FILE")]
    play: Option<PathBuf>,

    /// Write EID, ICCID, IMEI, IMSI and codes as they are. Without it they are replaced by made-up ones
    #[arg(long)]
    keep_identities: bool,

    /// Print one line of JSON to standard error when all is ready
    #[arg(long)]
    json: bool,

    /// A program to run, and to end with; `{tty}` is the terminal it is to use
    #[arg(last = true, value_name = "PROGRAM", conflicts_with = "play")]
    program: Vec<String>,
}

/// The transcript while it is written.
struct Notes {
    out: Box<dyn Write + Send>,
    started: Instant,
    redactor: Option<Redactor>,
    splitters: Vec<Splitter>,
    /// The first mistake while writing.
    failed: io::Result<()>,
}

impl Notes {
    fn take(&mut self, port: usize, direction: Direction, bytes: &[u8]) {
        let at = self.started.elapsed();
        let Some(splitter) = self.splitters.get_mut(port) else { return };
        let lines = splitter.take(direction, bytes);
        self.write(port, at, lines);
    }

    fn finish(&mut self) {
        let at = self.started.elapsed();
        for port in 0..self.splitters.len() {
            let lines = self.splitters[port].finish();
            self.write(port, at, lines);
        }
    }

    fn write(&mut self, port: usize, at: Duration, lines: Vec<(Direction, Vec<u8>)>) {
        for (direction, text) in lines {
            let text = match (&mut self.redactor, std::str::from_utf8(&text)) {
                (Some(redactor), Ok(line)) => match direction {
                    Direction::Command => redactor.command(line).into_bytes(),
                    Direction::Response => redactor.response(line).into_bytes(),
                },
                _ => text,
            };
            let line = transcript::Line { at: Some(at), port, direction, text, is_pattern: false, number: 0 };
            if self.failed.is_ok() {
                // Line by line, so that what ends the recording from outside costs nothing of it.
                self.failed = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
            }
        }
    }
}

type Shared = Arc<Mutex<Notes>>;

fn with<T>(notes: &Shared, act: impl FnOnce(&mut Notes) -> T) -> T {
    act(&mut notes.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Runs `esimlab record`.
pub(crate) fn run(args: &RecordArgs) -> Result<u8, Abort> {
    let commands = args.play.as_deref().map(read_commands).transpose()?;
    let out: Box<dyn Write + Send> = match &args.output {
        Some(path) => Box::new(
            std::fs::File::create(path)
                .map_err(|error| Abort::usage(format!("cannot write {}: {error}", path.display())))?,
        ),
        None => Box::new(io::stdout()),
    };
    let guard = crate::tidy::Guard::start().ok();
    runtime()?.block_on(async {
        let modems: Vec<Line> = args.modem.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
        let redactor = match args.keep_identities {
            true => None,
            false => Some(introduced(&modems[0]).await),
        };
        let splitters = modems.iter().map(|_| Splitter::default()).collect();
        let notes: Shared =
            Arc::new(Mutex::new(Notes { out, started: Instant::now(), redactor, splitters, failed: Ok(()) }));
        let mut ended = Ended::listen();
        let code = tokio::select! {
            code = recorded(args, commands.as_deref(), &modems, &notes, guard.as_ref()) => code?,
            _ = ended.come() => exit::PASSED,
        };
        with(&notes, Notes::finish);
        let failed = with(&notes, |notes| std::mem::replace(&mut notes.failed, Ok(())));
        failed.map_err(|error| Abort::lab(format!("cannot write the transcript: {error}")))?;
        Ok(code)
    })
}

fn open(path: &Path) -> Result<Line, Abort> {
    Line::open(path).map_err(|error| {
        let advice = crate::hardware::target::advice(&error);
        Abort::usage(format!("cannot open the modem's terminal {}: {error}{advice}", path.display()))
    })
}

/// The commands of a file: what is neither empty nor a remark.
fn read_commands(path: &Path) -> Result<Vec<String>, Abort> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Abort::usage(format!("cannot read {}: {error}", path.display())))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let commands: Vec<String> = lines.map(str::to_owned).collect();
    if commands.is_empty() {
        return Err(Abort::usage(format!("{} has no commands; write one AT command a line", path.display())));
    }
    Ok(commands)
}

/// What the modem says who it is, for the redaction: numbers that are known are found in every form.
async fn introduced(modem: &Line) -> Redactor {
    let mut redactor = Redactor::default();
    for (command, identity) in [
        ("AT+CGSN", Identity::Imei),
        ("AT+CIMI", Identity::Imsi),
        ("AT+QCCID", Identity::Iccid),
        ("AT+QESIM=\"eid\"", Identity::Eid),
    ] {
        // One that does not know a command has nothing to be hidden by it.
        let Ok(Ok(lines)) = timeout(SELF_PATIENCE, said(modem, command, |_, _| {})).await else { continue };
        for line in lines {
            let digits: String = line.chars().rev().take_while(|last| last.is_ascii_hexdigit()).collect();
            let digits: String = digits.chars().rev().collect();
            let digits = digits.trim_end_matches(['F', 'f']);
            if digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                redactor.learn(identity, digits);
            }
        }
    }
    redactor
}

/// Says a command and reads up to its final result code; gives the lines of the answer.
async fn said(modem: &Line, command: &str, mut note: impl FnMut(Direction, &[u8])) -> io::Result<Vec<String>> {
    let mut splitter = Splitter::default();
    let sent = format!("{command}\r");
    note(Direction::Command, sent.as_bytes());
    splitter.take(Direction::Command, sent.as_bytes());
    modem.write(sent.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = modem.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the modem has gone"));
        }
        note(Direction::Response, &buffer[..count]);
        for (_, line) in splitter.take(Direction::Response, &buffer[..count]) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let is_last = is_final_result(&line) || line.starts_with("> ");
            answer.push(line);
            if is_last {
                return Ok(answer);
            }
        }
    }
}

async fn recorded(
    args: &RecordArgs,
    commands: Option<&[String]>,
    modems: &[Line],
    notes: &Shared,
    guard: Option<&crate::tidy::Guard>,
) -> Result<u8, Abort> {
    let lost = |error: io::Error| Abort::lab(format!("the modem's terminal: {error}"));
    if let Some(commands) = commands {
        for command in commands {
            let note = |direction, bytes: &[u8]| with(notes, |notes| notes.take(0, direction, bytes));
            match timeout(COMMAND_PATIENCE, said(&modems[0], command, note)).await {
                Ok(answer) => drop(answer.map_err(lost)?),
                Err(_) => {
                    let _ = writeln!(io::stderr(), "esimlab: {command} was not answered in {COMMAND_PATIENCE:?}");
                }
            }
        }
        return Ok(exit::PASSED);
    }
    let pairs: Vec<(Line, PathBuf)> = modems
        .iter()
        .map(|_| Line::pseudo())
        .collect::<io::Result<_>>()
        .map_err(|error| Abort::lab(format!("no pseudo-terminal can be had: {error}")))?;
    let link = match &args.link {
        Some(path) => Some(crate::up::Link::make(path, &pairs[0].1)?),
        None => None,
    };
    if let (Some(link), Some(guard)) = (&link, guard) {
        let _ = guard.nest().note_link(link.path(), &pairs[0].1);
    }
    let first = link.as_ref().map_or(pairs[0].1.as_path(), |link| link.path());
    let ttys: Vec<&Path> = std::iter::once(first).chain(pairs.iter().skip(1).map(|(_, path)| path.as_path())).collect();
    let _ = match args.json {
        true => writeln!(io::stderr(), "{}", json!({ "ttys": ttys })),
        false => {
            let list: Vec<String> = ttys.iter().map(|tty| tty.display().to_string()).collect();
            let until = if args.program.is_empty() { "; Ctrl-C ends it" } else { "" };
            writeln!(io::stderr(), "recording what goes over {}{until}", list.join(", "))
        }
    };
    let relays = modems.iter().zip(&pairs).enumerate();
    let relays = relays.map(|(port, (modem, (host, _)))| Box::pin(relay(port, host, modem, notes)));
    let relays = first_of(relays.collect());
    if args.program.is_empty() {
        relays.await.map_err(lost)?;
        let _ = writeln!(io::stderr(), "esimlab: the modem has gone");
        return Ok(exit::LAB_FAILED);
    }
    let words: Vec<String> =
        args.program.iter().map(|word| word.replace("{tty}", &first.display().to_string())).collect();
    let mut child = tokio::process::Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::inherit())
        .envs(crate::tidy::marker())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Abort::usage(format!("cannot run {}: {error}", words[0])))?;
    tokio::select! {
        status = child.wait() => {
            let status = status.map_err(|error| Abort::lab(error.to_string()))?;
            Ok(if status.success() { exit::PASSED } else { exit::FAILED })
        }
        ended = relays => {
            ended.map_err(lost)?;
            Err(Abort::lab("the modem has gone"))
        }
    }
}

/// The first of several futures that ends.
async fn first_of<F: Future + Unpin>(mut futures: Vec<F>) -> F::Output {
    std::future::poll_fn(|context| {
        for future in &mut futures {
            if let std::task::Poll::Ready(done) = std::pin::Pin::new(future).poll(context) {
                return std::task::Poll::Ready(done);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// Passes on what goes over a port, both ways, until the modem goes.
async fn relay(port: usize, host: &Line, modem: &Line, notes: &Shared) -> io::Result<()> {
    let (mut from_host, mut from_modem) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            count = host.read(&mut from_host) => {
                let bytes = &from_host[..count?];
                with(notes, |notes| notes.take(port, Direction::Command, bytes));
                modem.write(bytes).await?;
            }
            count = modem.read(&mut from_modem) => {
                let bytes = &from_modem[..count?];
                if bytes.is_empty() {
                    return Ok(());
                }
                with(notes, |notes| notes.take(port, Direction::Response, bytes));
                host.write(bytes).await?;
            }
        }
    }
}
