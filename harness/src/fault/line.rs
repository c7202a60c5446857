//! Faults of the AT line: what the host gets is not what the modem said, or the modem never hears what the host said.
//!
//! Bytes from the host are gathered to a command line; what fires then decides what becomes of it and of the answer.
//! While a port is in data mode, and for text that is no command, everything passes as it is.

use std::fmt;
use std::time::Duration;

use modem::{Modem, Output, Write, WriteKind};

use super::{Armed, CardFunction, Deed, Deeds, Occasion, Trigger, Unplug};
use crate::scenario::ast::Word;
use crate::timeline::Timeline;

/// What goes wrong on the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineFault {
    /// The command is executed, and nothing of its answer comes.
    Silence,
    /// The modem does not hear the command, and does not answer.
    Deaf,
    /// The command is not executed, and answered by ERROR.
    Error,
    /// The same by `+CME ERROR: n`.
    CmeError(u16),
    /// Bytes that nobody has sent come before the answer.
    Noise,
    /// The first line of the answer is lost.
    LostLine,
    /// The first line of the answer comes twice.
    DoubledLine,
    /// A URC comes in the middle of the answer, before its last line.
    Urc(String),
    /// The answer comes later by so much.
    Delay(Duration),
    /// The terminal goes away instead of an answer, and is back after so much time.
    Gone(Duration),
    /// The modem restarts instead of answering.
    Reset,
}

/// Those of the faults of the line that are one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineWord {
    /// [`LineFault::Silence`].
    Silence,
    /// [`LineFault::Deaf`].
    Deaf,
    /// [`LineFault::Error`].
    Error,
    /// [`LineFault::Noise`].
    Noise,
    /// [`LineFault::LostLine`].
    LostLine,
    /// [`LineFault::DoubledLine`].
    DoubledLine,
    /// [`LineFault::Gone`], for [`GONE`].
    Gone,
    /// [`LineFault::Reset`].
    Reset,
}

/// How long a terminal is gone that is not said to be so for another time.
pub const GONE: Duration = Duration::from_millis(200);

impl Word for LineWord {
    const ALL: &'static [(&'static str, Self)] = &[
        ("silence", LineWord::Silence),
        ("deaf", LineWord::Deaf),
        ("error", LineWord::Error),
        ("noise", LineWord::Noise),
        ("lost-line", LineWord::LostLine),
        ("doubled-line", LineWord::DoubledLine),
        ("gone", LineWord::Gone),
        ("reset", LineWord::Reset),
    ];
}

impl From<LineWord> for LineFault {
    fn from(word: LineWord) -> Self {
        match word {
            LineWord::Silence => LineFault::Silence,
            LineWord::Deaf => LineFault::Deaf,
            LineWord::Error => LineFault::Error,
            LineWord::Noise => LineFault::Noise,
            LineWord::LostLine => LineFault::LostLine,
            LineWord::DoubledLine => LineFault::DoubledLine,
            LineWord::Gone => LineFault::Gone(GONE),
            LineWord::Reset => LineFault::Reset,
        }
    }
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineFault::Silence => f.write_str("answer lost"),
            LineFault::Deaf => f.write_str("command not heard"),
            LineFault::Error => f.write_str("ERROR instead of an answer"),
            LineFault::CmeError(code) => write!(f, "+CME ERROR: {code} instead of an answer"),
            LineFault::Noise => f.write_str("noise before the answer"),
            LineFault::LostLine => f.write_str("first line of the answer lost"),
            LineFault::DoubledLine => f.write_str("first line of the answer doubled"),
            LineFault::Urc(line) => write!(f, "URC {line:?} in the answer"),
            LineFault::Delay(delay) => write!(f, "answer delayed by {} ms", delay.as_millis()),
            LineFault::Gone(time) => write!(f, "terminal gone for {} ms", time.as_millis()),
            LineFault::Reset => f.write_str("modem restarts"),
        }
    }
}

/// What noise is: no command and no answer, with bytes that are no text.
const NOISE: &[u8] = b"\x00\xFF~\x81#\x1B\xC3(\r\n\x7F{~~\xFE\r\n";

/// The longest line that is gathered; what is longer passes unseen, as the modem judges it.
const LONGEST_LINE: usize = 64 * 1024;

/// The AT line with faults on it.
pub struct FaultyLine {
    faults: Vec<Armed<LineFault>>,
    timeline: Timeline,
    deeds: Deeds,
    unplug: Unplug,
    start: Option<Duration>,
    bytes: u64,
    ports: Vec<PortState>,
}

#[derive(Default)]
struct PortState {
    /// What of a command line has come.
    gathered: Vec<u8>,
    /// What becomes of the answer that is awaited.
    awaited: Option<LineFault>,
    /// The command, as it is echoed.
    command: Vec<u8>,
    /// Answers that come later.
    late: Vec<(Duration, Vec<u8>)>,
}

impl FaultyLine {
    /// Puts these faults on a line. What the card's faults ask for by `deeds` is done here.
    pub fn new(faults: Vec<(LineFault, Trigger)>, timeline: Timeline, deeds: Deeds, unplug: Unplug) -> Self {
        let faults = faults.into_iter().map(|(fault, trigger)| Armed::new(fault, trigger)).collect();
        FaultyLine { faults, timeline, deeds, unplug, start: None, bytes: 0, ports: Vec::new() }
    }

    fn port(&mut self, port: usize) -> &mut PortState {
        if self.ports.len() <= port {
            self.ports.resize_with(port + 1, PortState::default);
        }
        &mut self.ports[port]
    }

    fn fault(&mut self, line: &str, now: Duration) -> Option<LineFault> {
        let start = *self.start.get_or_insert(now);
        let function = CardFunction::of_line(line);
        let occasion = Occasion { command: line, function, elapsed: now.saturating_sub(start), bytes: self.bytes };
        self.bytes += line.len() as u64;
        let mut fired = None;
        for armed in &mut self.faults {
            if armed.fires(occasion) && fired.is_none() {
                fired = Some(armed.action.clone());
            }
        }
        if let Some(fault) = &fired {
            let at = function.map(|function| format!(" at {}", function.word())).unwrap_or_default();
            self.timeline.fault("at", format!("{fault}{at}"));
        }
        fired
    }

    /// A whole command line has come.
    fn line(&mut self, modem: &mut Modem, port: usize, bytes: &[u8], now: Duration, output: &mut Output) {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_matches(|c: char| c.is_control() || c == ' ');
        let fault = if text.is_empty() { None } else { self.fault(text, now) };
        let instead = |code: &str| format!("\r\n{code}\r\n").into_bytes();
        let say = |bytes: Vec<u8>| Write { port, kind: WriteKind::Response, bytes };
        let state = self.port(port);
        state.command = bytes.to_vec();
        match fault {
            Some(LineFault::Deaf) => {}
            Some(LineFault::Error) => output.writes.push(say(instead("ERROR"))),
            Some(LineFault::CmeError(code)) => output.writes.push(say(instead(&format!("+CME ERROR: {code}")))),
            // The lab may be going down already; then nobody is there to do it.
            Some(LineFault::Gone(time)) => drop(self.unplug.send(time)),
            Some(LineFault::Reset) => output.writes.extend(modem.reset().writes),
            other => {
                state.awaited = other;
                let said = modem.receive_at(port, bytes, now);
                self.pass(said, now, output);
            }
        }
        self.do_deeds(modem, output);
    }

    /// Does what the faults of the card have asked for.
    fn do_deeds(&mut self, modem: &mut Modem, output: &mut Output) {
        for deed in self.deeds.take() {
            let said = match deed {
                Deed::RemoveCard => modem.set_card(None),
                Deed::ResetModem => modem.reset(),
            };
            output.writes.extend(said.writes);
        }
    }

    /// What the modem says, as it comes to the host.
    fn pass(&mut self, said: Output, now: Duration, output: &mut Output) {
        for mut write in said.writes {
            let state = self.port(write.port);
            if write.kind == WriteKind::Response && is_answer(&write.bytes, &state.command) {
                match state.awaited.take() {
                    Some(LineFault::Silence) => continue,
                    Some(LineFault::Delay(delay)) => {
                        state.late.push((now + delay, write.bytes));
                        continue;
                    }
                    Some(fault) => write.bytes = spoiled(&write.bytes, &state.command, &fault),
                    None => {}
                }
            }
            output.writes.push(write);
        }
    }
}

impl modem::Line for FaultyLine {
    fn receive(&mut self, modem: &mut Modem, port: usize, bytes: &[u8], now: Duration) -> Output {
        self.start.get_or_insert(now);
        let mut output = Output::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let gathered = &mut self.port(port).gathered;
            let is_command = match gathered.first().or(rest.first()) {
                // White space before a command is no part of it.
                Some(first) => first.is_ascii_whitespace() || first.eq_ignore_ascii_case(&b'A'),
                None => false,
            };
            if modem.is_in_data_mode(port) || !is_command || gathered.len() + rest.len() > LONGEST_LINE {
                let mut passing = std::mem::take(gathered);
                passing.extend_from_slice(rest);
                let said = modem.receive_at(port, &passing, now);
                self.pass(said, now, &mut output);
                return output;
            }
            // Ctrl-Z and ESC end a text at a prompt.
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | 0x1A | 0x1B)) else {
                gathered.extend_from_slice(rest);
                return output;
            };
            let mut line = std::mem::take(gathered);
            line.extend_from_slice(&rest[..=end]);
            rest = &rest[end + 1..];
            self.line(modem, port, &line, now, &mut output);
        }
        output
    }

    fn tick(&mut self, modem: &mut Modem, now: Duration) -> Output {
        let mut output = Output::default();
        for (port, state) in self.ports.iter_mut().enumerate() {
            let due = state.late.extract_if(.., |(due, _)| *due <= now);
            output.writes.extend(due.map(|(_, bytes)| Write { port, kind: WriteKind::Response, bytes }));
        }
        let said = modem.tick(now);
        self.pass(said, now, &mut output);
        self.do_deeds(modem, &mut output);
        output
    }

    fn deadline(&self) -> Option<Duration> {
        self.ports.iter().flat_map(|port| port.late.iter().map(|(due, _)| *due)).min()
    }
}

/// How much of what the modem says is the echo of the command.
fn echo(bytes: &[u8], command: &[u8]) -> usize {
    if !command.is_empty() && bytes.starts_with(command) { command.len() } else { 0 }
}

/// Whether there is more than an echo.
fn is_answer(bytes: &[u8], command: &[u8]) -> bool {
    bytes[echo(bytes, command)..].iter().any(|byte| !byte.is_ascii_whitespace())
}

/// An answer with a fault in it.
fn spoiled(bytes: &[u8], command: &[u8], fault: &LineFault) -> Vec<u8> {
    let (echo, answer) = bytes.split_at(echo(bytes, command));
    let pieces: Vec<&[u8]> = answer.split_inclusive(|byte| *byte == b'\n').collect();
    let is_line = |piece: &&[u8]| piece.iter().any(|byte| !byte.is_ascii_whitespace());
    let first = pieces.iter().position(is_line).unwrap_or(0);
    let last = pieces.iter().rposition(is_line).unwrap_or(0);
    let mut spoiled = echo.to_vec();
    if *fault == LineFault::Noise {
        spoiled.extend_from_slice(NOISE);
    }
    for (index, piece) in pieces.iter().enumerate() {
        if index == last
            && let LineFault::Urc(line) = fault
        {
            spoiled.extend_from_slice(format!("{line}\r\n\r\n").as_bytes());
        }
        if index == first && *fault == LineFault::LostLine {
            continue;
        }
        spoiled.extend_from_slice(piece);
        if index == first && *fault == LineFault::DoubledLine {
            spoiled.extend_from_slice(piece);
        }
    }
    spoiled
}

#[cfg(test)]
mod tests {
    use modem::{Line as _, Model};

    use super::*;

    /// What a host gets for `AT+CGMM`, twice, with a fault at the first; whether the terminal is to go; what was told.
    fn heard(fault: LineFault) -> (String, String, Option<Duration>, String) {
        let timeline = Timeline::new();
        let (unplug, mut asked) = tokio::sync::mpsc::unbounded_channel();
        let trigger = Trigger { count: Some(1), ..Trigger::default() };
        let mut line = FaultyLine::new(vec![(fault, trigger)], timeline.clone(), Deeds::default(), unplug);
        let card = NoCard;
        let mut modem = Modem::new(Model::named("RM500Q-GL").unwrap(), Box::new(card));
        let now = Duration::from_secs(1);
        // In pieces, as a slow host writes.
        let mut first = line.receive(&mut modem, 0, b"AT+CG", now).for_port(0);
        first.extend(line.receive(&mut modem, 0, b"MM\r", now).for_port(0));
        if let Some(due) = line.deadline() {
            assert!(first.is_empty() && line.tick(&mut modem, now).for_port(0).is_empty());
            first = line.tick(&mut modem, due).for_port(0);
        }
        let second = line.receive(&mut modem, 0, b"AT+CGMM\r", now).for_port(0);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace("\r\n", "|").replace('\r', "_");
        let told = timeline.snapshot().iter().map(|event| event.kind.to_string()).collect();
        (text(first), text(second), asked.try_recv().ok(), told)
    }

    struct NoCard;

    impl modem::Card for NoCard {
        fn reset(&mut self) -> Vec<u8> {
            vec![0x3B, 0x00]
        }

        fn transmit(&mut self, _: &[u8]) -> Vec<u8> {
            vec![0x6A, 0x82]
        }
    }

    const RIGHT: &str = "AT+CGMM_|RM500Q-GL||OK|";

    #[test]
    fn each_fault_does_what_it_says_to_one_answer_and_is_told() {
        for (fault, expected, told) in [
            (LineFault::Silence, "", "answer lost"),
            (LineFault::Deaf, "", "command not heard"),
            (LineFault::Error, "|ERROR|", "ERROR instead of an answer"),
            (LineFault::CmeError(13), "|+CME ERROR: 13|", "+CME ERROR: 13 instead of an answer"),
            (LineFault::LostLine, "AT+CGMM_||OK|", "first line of the answer lost"),
            (LineFault::DoubledLine, "AT+CGMM_|RM500Q-GL|RM500Q-GL||OK|", "first line of the answer doubled"),
            (
                LineFault::Urc("+CREG: 0".to_owned()),
                "AT+CGMM_|RM500Q-GL||+CREG: 0||OK|",
                "URC \"+CREG: 0\" in the answer",
            ),
            (LineFault::Delay(Duration::from_secs(3)), RIGHT, "answer delayed by 3000 ms"),
        ] {
            let (first, second, asked, said) = heard(fault.clone());
            assert_eq!((first.as_str(), second.as_str(), asked), (expected, RIGHT, None), "{fault}");
            assert_eq!(said, format!("FAULT at: {told}"));
        }
        let (first, second, _, _) = heard(LineFault::Noise);
        assert!(first.starts_with("AT+CGMM_\0\u{FFFD}") && first.ends_with("|RM500Q-GL||OK|"), "{first:?}");
        assert_eq!(second, RIGHT);
        let gone = Duration::from_millis(5);
        assert_eq!(heard(LineFault::Gone(gone)).2, Some(gone));
        let (first, _, _, _) = heard(LineFault::Reset);
        assert!(!first.contains("OK"), "{first:?}");
    }
}
