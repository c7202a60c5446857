//! `esimlab replay`: a transcript in the place of a modem.
//!
//! Each command is answered as it was in the recording: by the next turn with this command, from where the dialogue
//! stands, or else by the first one. So a host that does the same gets the same, and one that asks again gets an
//! answer too. What was never asked is answered by `ERROR`, and told.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::lines::{PROMPT, Splitter};
use super::terminal::Line;
use crate::cli::{Abort, Ended, runtime};
use crate::runner::result::exit;
use crate::scenario::transcript::Transcript;
use crate::timeline::Direction;

/// The longest wait between two lines that is kept: a person's thinking belongs to nobody.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The arguments of `esimlab replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The transcript
    #[arg(value_name = "FILE")]
    transcript: PathBuf,

    /// Make a symbolic link to the terminal here
    #[arg(long, value_name = "PATH")]
    link: Option<PathBuf>,

    /// Answer at once, without the times of the recording
    #[arg(long)]
    at_once: bool,

    /// Print one line of JSON when all is ready
    #[arg(long)]
    json: bool,
}

/// What the recorded modem says, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// How long after what came before.
    pub after: Duration,
    /// The line.
    pub text: Vec<u8>,
}

/// One turn of one port.
#[derive(Debug, Clone)]
struct Turn {
    command: Vec<u8>,
    said: Vec<Said>,
}

/// A recorded modem at one port.
#[derive(Debug, Default)]
pub struct Player {
    turns: Vec<Turn>,
    /// What it said before anybody had asked anything.
    begin: Vec<Said>,
    /// The turn that comes next.
    next: usize,
}

/// What comes of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// What was said to it.
    Recorded(Vec<Said>),
    /// It does not stand in the recording.
    Unknown,
}

impl Player {
    /// The players of all ports of a transcript, in their order.
    pub fn of(transcript: &Transcript) -> Vec<Player> {
        let ports = transcript.lines.iter().map(|line| line.port + 1).max().unwrap_or(1);
        let mut players: Vec<Player> = (0..ports).map(|_| Player::default()).collect();
        for turn in transcript.turns() {
            let mut last = turn.command.and_then(|command| command.at);
            let said = turn.said.iter().map(|line| {
                let after = line.at.zip(last).map_or(Duration::ZERO, |(at, last)| at.saturating_sub(last));
                last = line.at.or(last);
                Said { after: after.min(LONGEST_WAIT), text: line.text.clone() }
            });
            let said = said.collect();
            let player = &mut players[turn.port];
            match turn.command {
                Some(command) => player.turns.push(Turn { command: command.text.clone(), said }),
                None => player.begin = said,
            }
        }
        players
    }

    /// What it says to a command.
    pub fn answer(&mut self, command: &[u8]) -> Reply {
        let same = |turn: &Turn| turn.command.eq_ignore_ascii_case(command);
        let later = self.turns.iter().skip(self.next).position(same).map(|at| at + self.next);
        match later.or_else(|| self.turns.iter().position(same)) {
            None => Reply::Unknown,
            Some(at) => {
                self.next = at + 1;
                Reply::Recorded(self.turns[at].said.clone())
            }
        }
    }

    /// What it says before anybody asks; once.
    pub fn begin(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.begin)
    }
}

/// Runs `esimlab replay`.
pub(crate) fn run(args: &ReplayArgs) -> Result<u8, Abort> {
    let name = args.transcript.display().to_string();
    let text = std::fs::read_to_string(&args.transcript)
        .map_err(|error| Abort::usage(format!("cannot read {name}: {error}")))?;
    let transcript = match Transcript::parse(&name, &text) {
        Ok(transcript) => transcript,
        Err(mistakes) => {
            crate::cli::tell(&mistakes);
            return Err(Abort::usage(format!("{name} is no transcript")));
        }
    };
    if let Some(line) = transcript.lines.iter().find(|line| line.is_pattern) {
        return Err(Abort::usage(format!("{name}:{}: a pattern tells what may be said, not what to say", line.number)));
    }
    if !transcript.lines.iter().any(|line| line.direction == Direction::Command) {
        return Err(Abort::usage(format!("{name} has no command in it: there is nothing to answer")));
    }
    let guard = crate::tidy::Guard::start().ok();
    runtime()?.block_on(async {
        let no_terminal = |error: io::Error| Abort::lab(format!("no pseudo-terminal can be had: {error}"));
        let mut ports = Vec::new();
        for player in Player::of(&transcript) {
            let (line, path) = Line::pseudo().map_err(no_terminal)?;
            ports.push((line, path, player));
        }
        let link = match &args.link {
            Some(path) => Some(crate::up::Link::make(path, &ports[0].1)?),
            None => None,
        };
        if let (Some(link), Some(guard)) = (&link, &guard) {
            let _ = guard.nest().note_link(link.path(), &ports[0].1);
        }
        let first = link.as_ref().map_or(ports[0].1.as_path(), |link| link.path());
        let ttys: Vec<&Path> =
            std::iter::once(first).chain(ports.iter().skip(1).map(|(_, path, _)| path.as_path())).collect();
        let list: Vec<String> = ttys.iter().map(|tty| tty.display().to_string()).collect();
        let mut outside = Ended::listen();
        let text = match args.json {
            true => format!("{}\n", json!({ "ttys": ttys })),
            false => format!("{name} is a modem on {}\nCtrl-C ends it.\n", list.join(", ")),
        };
        let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
        let mut served = tokio::task::JoinSet::new();
        for (line, _, player) in ports {
            served.spawn(serve(line, player, args.at_once));
        }
        tokio::select! {
            _ = outside.come() => Ok(exit::PASSED),
            ended = served.join_next() => match ended {
                Some(Ok(Err(error))) => Err(Abort::lab(format!("the terminal: {error}"))),
                _ => Ok(exit::PASSED),
            }
        }
    })
}

/// Answers what comes over a line, for ever.
async fn serve(line: Line, mut player: Player, at_once: bool) -> io::Result<()> {
    let mut splitter = Splitter::default();
    // V.250 §6.2.4: the echo is on until it is switched off.
    let mut echo = true;
    let mut buffer = [0; 4096];
    loop {
        let count = line.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        if echo {
            line.write(&buffer[..count]).await?;
        }
        for (_, command) in splitter.take(Direction::Command, &buffer[..count]) {
            let upper = command.to_ascii_uppercase();
            if let Some(at) = upper.windows(3).position(|three| three == b"ATE") {
                echo = upper.get(at + 3) == Some(&b'1');
            }
            let begin = player.begin();
            let said = match player.answer(&command) {
                Reply::Recorded(said) => said,
                Reply::Unknown => {
                    let text = String::from_utf8_lossy(&command).into_owned();
                    let _ = writeln!(io::stderr(), "esimlab: {text} does not stand in the transcript");
                    vec![Said { after: Duration::ZERO, text: b"ERROR".to_vec() }]
                }
            };
            for said in begin.iter().chain(&said) {
                if !at_once && !said.after.is_zero() {
                    tokio::time::sleep(said.after).await;
                }
                line.write(&framed(&said.text)).await?;
            }
        }
    }
}

/// A line as a modem sends it (V.250 §5.7.1, and TS 27.005 §3.5.1 for the prompt).
fn framed(text: &[u8]) -> Vec<u8> {
    match text {
        PROMPT => [b"\r\n", text].concat(),
        _ => [b"\r\n", text, b"\r\n"].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(reply: &Reply) -> Vec<String> {
        match reply {
            Reply::Recorded(said) => said
                .iter()
                .map(|said| format!("{} {}", said.after.as_millis(), String::from_utf8_lossy(&said.text)))
                .collect(),
            Reply::Unknown => vec!["unknown".to_owned()],
        }
    }

    #[test]
    fn commands_are_answered_in_the_order_of_the_recording() {
        let transcript: Transcript =
            "< RDY\n1.0 > AT+CREG?\n1.05 < +CREG: 0,2\n1.06 < OK\n2 > AT\n2.5 < OK\n90 > AT+CREG?\n190 < +CREG: 0,1\n190 < OK\n"
                .parse()
                .unwrap();
        let mut players = Player::of(&transcript);
        let player = &mut players[0];
        assert_eq!(player.begin().len(), 1);
        assert_eq!(said(&player.answer(b"at+creg?")), ["50 +CREG: 0,2", "10 OK"]);
        assert_eq!(said(&player.answer(b"AT+CREG?")), ["10000 +CREG: 0,1", "0 OK"]);
        assert_eq!(said(&player.answer(b"AT+CREG?")), ["50 +CREG: 0,2", "10 OK"], "from the beginning again");
        assert_eq!(said(&player.answer(b"AT")), ["500 OK"]);
        assert_eq!(said(&player.answer(b"ATI")), ["unknown"]);
    }
}
