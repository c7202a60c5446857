//! AT dialogues as text: what `esimlab record` writes, `esimlab replay` serves, and a scenario plays.
//!
//! ```text
//! # RM500Q-GL, first port
//! 0.000120 > AT+QESIM="eid"
//! 0.003410 < +QESIM: "eid",89049032123451234512345678901235
//! 0.003410 < OK
//!          >1 AT                  what goes to the second port
//!          <~ \+CSQ: \d+,\d+      any line that this pattern is the whole of
//! ```
//!
//! One line of the dialogue is one line of the file: a time in seconds, which may be left out; `>` for what the host
//! writes and `<` for what the modem does, with the number of the port where it is not the first; a space; the text.
//! `\\` is a backslash, `\xHH` any byte: what is no printable UTF-8 is written so. In a pattern (`<~`, for scenarios;
//! a recording has none) a backslash belongs to the pattern. Empty lines, and lines that begin with `#`, say nothing.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::error::{Mistake, Mistakes};
use crate::timeline::{Direction, Event, Kind};

/// The largest number of a port.
const LAST_PORT: usize = 9;

/// A dialogue of a host with a modem.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transcript {
    /// What was said, in this order.
    pub lines: Vec<Line>,
}

/// One line of a dialogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was said, since the dialogue began; not known in one that was written by hand.
    pub at: Option<Duration>,
    /// The port, counted from 0.
    pub port: usize,
    /// Who said it.
    pub direction: Direction,
    /// What was said, without its line end.
    pub text: Vec<u8>,
    /// Whether the text is a pattern for what is said.
    pub is_pattern: bool,
    /// The line of the file; 0 when it is from none.
    pub number: usize,
}

impl Line {
    /// What was said, as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }

    fn parse(line: &str, number: usize) -> Result<Self, Problem> {
        let trimmed = line.trim_start();
        let start = line.len() - trimmed.len();
        let (at, rest) = match trimmed.split_once(char::is_whitespace) {
            Some((time, rest)) if time.starts_with(|first: char| first.is_ascii_digit()) => {
                let time = seconds(time).ok_or(Problem { at: start, length: time.len(), kind: ProblemKind::Time })?;
                (Some(time), rest.trim_start())
            }
            _ => (None, trimmed),
        };
        let problem = |kind, rest: &str| Problem { at: line.len() - rest.len(), length: rest.len().min(2), kind };
        let direction = match rest.bytes().next() {
            Some(b'>') => Direction::Command,
            Some(b'<') => Direction::Response,
            _ => return Err(problem(ProblemKind::Direction, rest)),
        };
        let rest = &rest[1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let port = match &rest[..digits] {
            "" => 0,
            text => {
                let port = text.parse().ok().filter(|port| *port <= LAST_PORT);
                port.ok_or(Problem { at: line.len() - rest.len(), length: digits, kind: ProblemKind::Port })?
            }
        };
        let rest = &rest[digits..];
        let (is_pattern, rest) = match rest.strip_prefix('~') {
            Some(_) if direction == Direction::Command => return Err(problem(ProblemKind::Pattern, rest)),
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        // One space parts the text from what is before; further ones are its own. An empty text needs none.
        let text = match rest.strip_prefix(' ') {
            Some(text) => text,
            None if rest.is_empty() => "",
            None => return Err(problem(ProblemKind::Space, rest)),
        };
        let text = match is_pattern {
            true => text.as_bytes().to_vec(),
            false => unescaped(text).map_err(|(offset, length)| Problem {
                at: line.len() - text.len() + offset,
                length,
                kind: ProblemKind::Escape,
            })?,
        };
        Ok(Line { at, port, direction, text, is_pattern, number })
    }
}

/// What is wrong in a line, and where in it.
struct Problem {
    at: usize,
    length: usize,
    kind: ProblemKind,
}

enum ProblemKind {
    Time,
    Direction,
    Port,
    Pattern,
    Space,
    Escape,
}

impl ProblemKind {
    /// The message, what stands at the place, and what to do.
    fn words(&self) -> (&'static str, &'static str, &'static str) {
        match self {
            ProblemKind::Time => (
                "this is no time",
                "seconds are wanted",
                "write seconds since the dialogue began, with a point: `0.25 > AT`; or leave the time out",
            ),
            ProblemKind::Direction => (
                "this line is neither of the host nor of the modem",
                "`>` or `<` is wanted here",
                "write `> AT` for what the host says, `< OK` for what the modem says, `# ...` for a remark",
            ),
            ProblemKind::Port => {
                ("there is no such port", "0 to 9", "the first port is 0, and needs no number: `> AT`")
            }
            ProblemKind::Pattern => (
                "a command is no pattern",
                "goes with `<`",
                "a pattern is for what the modem says: `<~ \\+CSQ: \\d+,\\d+`; what the host says is known",
            ),
            ProblemKind::Space => {
                ("a space is missing", "before this", "the text begins after one space: `> AT`, `< OK`, `<1 OK`")
            }
            ProblemKind::Escape => (
                "this backslash begins nothing that is known",
                "`\\\\` or `\\xHH`",
                "write `\\\\` for a backslash, `\\x1A` for the byte 1A (Ctrl-Z)",
            ),
        }
    }
}

/// Seconds with at most nine digits after the point.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Some(Duration::new(whole.parse::<u32>().ok()?.into(), nanos))
}

/// A text with its escapes resolved; where they cannot be, the place and the length.
fn unescaped(text: &str) -> Result<Vec<u8>, (usize, usize)> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let place = text.len() - rest.len() - 1;
        if let Some(after) = rest.strip_prefix('\\') {
            bytes.push(b'\\');
            rest = after;
            continue;
        }
        let digits = rest.strip_prefix('x').and_then(|rest| rest.get(..2));
        let byte = digits.and_then(rsp::ids::from_hex).and_then(|byte| byte.first().copied());
        bytes.push(byte.ok_or((place, 1 + rest.chars().next().map_or(0, char::len_utf8)))?);
        rest = &rest[3..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// A text in which everything that could be misread or not be seen is escaped.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut left = chunk.valid().chars().peekable();
        while let Some(character) = left.next() {
            // A space at the end would be lost on paper, and by editors.
            let is_last = left.peek().is_none() && chunk.invalid().is_empty();
            match character {
                '\\' => text.push_str("\\\\"),
                ' ' if is_last => text.push_str("\\x20"),
                _ if character.is_control() || (character.is_whitespace() && character != ' ') => {
                    let mut buffer = [0; 4];
                    for byte in character.encode_utf8(&mut buffer).bytes() {
                        let _ = write!(text, "\\x{byte:02X}");
                    }
                }
                _ => text.push(character),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    text
}

impl Transcript {
    /// Reads a transcript; all its mistakes at once when it is none. `file` is the name that messages tell.
    pub fn parse(file: &str, text: &str) -> Result<Self, Mistakes> {
        let mut lines = Vec::new();
        let mut list = Vec::new();
        let mut start = 0;
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let content = line.strip_suffix('\n').unwrap_or(line);
            let content = content.strip_suffix('\r').unwrap_or(content);
            if !content.trim_start().is_empty() && !content.trim_start().starts_with('#') {
                match Line::parse(content, index + 1) {
                    Ok(line) => lines.push(line),
                    Err(Problem { at, length, kind }) => {
                        let (message, label, help) = kind.words();
                        let at = start + at;
                        list.push(Mistake::new(at..at + length, message, label).help(help));
                    }
                }
            }
            start += line.len();
        }
        match list.is_empty() {
            true => Ok(Transcript { lines }),
            false => Err(Mistakes { file: file.to_owned(), text: Arc::from(text), list }),
        }
    }

    /// The AT dialogue of a timeline.
    pub fn of_events<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let lines = events.into_iter().filter_map(|event| match &event.kind {
            Kind::At { port, direction, text } => Some(Line {
                at: Some(event.at),
                port: *port,
                direction: *direction,
                text: text.as_bytes().to_vec(),
                is_pattern: false,
                number: 0,
            }),
            _ => None,
        });
        Transcript { lines: lines.collect() }
    }

    /// Adds a line to the end.
    pub fn push(&mut self, at: Option<Duration>, port: usize, direction: Direction, text: impl Into<Vec<u8>>) {
        self.lines.push(Line { at, port, direction, text: text.into(), is_pattern: false, number: 0 });
    }

    /// The dialogue in turns: what the host said at a port, and what the modem said there until the host spoke again
    /// (answers, and URCs among them). A turn without a command is what the modem said before the host did.
    pub fn turns(&self) -> Vec<Turn<'_>> {
        let mut turns: Vec<Turn<'_>> = Vec::new();
        for line in &self.lines {
            match (line.direction, turns.iter_mut().rev().find(|turn| turn.port == line.port)) {
                (Direction::Response, Some(turn)) => turn.said.push(line),
                (Direction::Response, None) => {
                    turns.push(Turn { port: line.port, command: None, said: vec![line] });
                }
                (Direction::Command, _) => {
                    turns.push(Turn { port: line.port, command: Some(line), said: Vec::new() });
                }
            }
        }
        turns
    }
}

/// What the host said, and what the modem said to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn<'a> {
    /// The port, counted from 0.
    pub port: usize,
    /// What the host said.
    pub command: Option<&'a Line>,
    /// What the modem said.
    pub said: Vec<&'a Line>,
}

impl FromStr for Transcript {
    type Err = Mistakes;

    fn from_str(text: &str) -> Result<Self, Mistakes> {
        Transcript::parse("a transcript", text)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "{}.{:06} ", at.as_secs(), at.subsec_micros())?;
        }
        f.write_char(if self.direction == Direction::Command { '>' } else { '<' })?;
        if self.port > 0 {
            write!(f, "{}", self.port)?;
        }
        if self.is_pattern { write!(f, "~ {}", self.text()) } else { write!(f, " {}", escaped(&self.text)) }
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::timeline::{Role, Timeline};

    fn told(text: &str) -> String {
        Transcript::parse("dialogue.at", text)
            .map_or_else(|mistakes| mistakes.render(false, 100), |read| read.to_string())
    }

    #[test]
    fn a_dialogue_is_read_line_by_line() {
        let read = Transcript::parse(
            "dialogue.at",
            "# a remark\n\n0.25 > AT+CMGS=23\r\n  0.5 < > \\x1A\\\\\n>1 ATI\n<1\n<~ \\+CSQ: \\d+\n<   two spaces\n",
        )
        .unwrap();
        let seen: Vec<_> = read
            .lines
            .iter()
            .map(|line| (line.at.map(|at| at.as_millis()), line.port, line.text().into_owned(), line.number))
            .collect();
        let line = |at, port, text: &str, number| (at, port, text.to_owned(), number);
        assert_eq!(
            seen,
            [
                line(Some(250), 0, "AT+CMGS=23", 3),
                line(Some(500), 0, "> \u{1A}\\", 4),
                line(None, 1, "ATI", 5),
                line(None, 1, "", 6),
                line(None, 0, "\\+CSQ: \\d+", 7),
                line(None, 0, "  two spaces", 8),
            ]
        );
        assert!(read.lines[4].is_pattern && !read.lines[3].is_pattern);
        assert_eq!(read.lines[0].direction, Direction::Command);
    }

    #[test]
    fn turns_are_told_apart_by_their_ports() {
        let read: Transcript = "< RDY\n> AT\n>1 ATI\n< OK\n<1 Quectel\n<1 OK\n< +CPIN: READY\n".parse().unwrap();
        let turns: Vec<_> = read
            .turns()
            .iter()
            .map(|turn| {
                let said: Vec<_> = turn.said.iter().map(|line| line.text().into_owned()).collect();
                (turn.port, turn.command.map(|line| line.text().into_owned()), said.join("|"))
            })
            .collect();
        let turn = |port, command: Option<&str>, said: &str| (port, command.map(str::to_owned), said.to_owned());
        assert_eq!(
            turns,
            [turn(0, None, "RDY"), turn(0, Some("AT"), "OK|+CPIN: READY"), turn(1, Some("ATI"), "Quectel|OK")]
        );
    }

    #[test]
    fn what_a_timeline_has_of_the_dialogue() {
        let timeline = Timeline::new();
        timeline.at(1, Direction::Command, "AT");
        timeline.record(Role::Lab, Kind::Process { text: "something else".to_owned() });
        timeline.at(1, Direction::Response, "OK");
        let mut transcript = Transcript::of_events(&timeline.snapshot());
        transcript.lines.iter_mut().for_each(|line| line.at = Some(Duration::from_micros(1_000_250)));
        assert_eq!(transcript.to_string(), "1.000250 >1 AT\n1.000250 <1 OK\n");
    }

    #[test]
    fn mistakes_are_told_at_their_places() {
        insta::assert_snapshot!(told("> AT\n0,5 > AT\nAT\n>22 AT\n>~ AT\n>AT\n< a \\n b\n< \\x1\n"));
    }

    fn line() -> impl Strategy<Value = Line> {
        let text = proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\\'), Just(b' '), 0x20_u8..0x7F], 0..20);
        let at = proptest::option::of(0_u64..1 << 40);
        (at, 0..=LAST_PORT, any::<bool>(), text).prop_map(|(at, port, command, text)| Line {
            at: at.map(Duration::from_micros),
            port,
            direction: if command { Direction::Command } else { Direction::Response },
            text,
            is_pattern: false,
            number: 0,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(lines in proptest::collection::vec(line(), 0..8)) {
            let written = Transcript { lines };
            let text = written.to_string();
            prop_assert!(text.lines().count() == written.lines.len(), "{text:?}");
            let mut read = Transcript::parse("x", &text).map_err(|mistakes| TestCaseError::fail(mistakes.render(false, 100)))?;
            read.lines.iter_mut().for_each(|line| line.number = 0);
            prop_assert_eq!(read, written);
        }

        #[test]
        fn no_text_panics(text in "[-0-9.<>~\\\\x#a-f \r\n\u{e4}]{0,40}") {
            let _ = told(&text);
        }
    }
}
