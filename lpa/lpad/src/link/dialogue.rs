//! The AT dialogue of a host (DTE): one command line out, information responses and a result code in (V.250 §5).
//!
//! Takes what modems in the field do: echo or none, URCs between the lines, `OK`, `ERROR`, `+CME ERROR: n`,
//! `NO CARRIER` and their like, lines ended by CR, LF or both, and silence.

use std::time::{Duration, Instant};

use super::LinkError;
use crate::imei::Imei;
use crate::log::Log;

/// A byte stream with deadlines.
pub trait Port {
    /// Writes all of `bytes`.
    fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), LinkError>;

    /// Reads at least one byte; 0 when the deadline has passed.
    fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, LinkError>;

    /// Drops what has come in and has not been read.
    fn discard_input(&mut self) -> Result<(), LinkError>;
}

/// No answer of a modem has a line longer than this: an APDU of 258 bytes is 516 digits.
const LONGEST_LINE: usize = 8192;

/// What one line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A result code that ends a dialogue well.
    Ok,
    /// A result code that ends it badly, as it came.
    Failed(String),
    /// Anything else: an information response, an echo, a URC.
    Text(String),
}

impl Line {
    /// Classifies a line (V.250 §5.7, TS 27.007 §9.1, TS 27.005 §3.1).
    pub fn classify(text: &str) -> Line {
        let failed = ["ERROR", "NO CARRIER", "NO DIALTONE", "NO ANSWER", "BUSY", "COMMAND NOT SUPPORT", "ABORTED"]
            .contains(&text)
            || text.starts_with("+CME ERROR")
            || text.starts_with("+CMS ERROR");
        match text {
            "OK" => Line::Ok,
            _ if failed => Line::Failed(text.to_owned()),
            _ => Line::Text(text.to_owned()),
        }
    }
}

/// Cuts a stream of bytes into lines. Empty lines are passed over; bytes that are no text become U+FFFD.
#[derive(Debug, Default)]
pub struct LineReader {
    pending: Vec<u8>,
    read: usize,
}

impl LineReader {
    /// Takes bytes as they come.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.read > 0 {
            self.pending.drain(..self.read);
            self.read = 0;
        }
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole line.
    pub fn next_line(&mut self) -> Option<String> {
        loop {
            let rest = &self.pending[self.read..];
            let length = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
            let line = String::from_utf8_lossy(&rest[..length]).trim().to_owned();
            self.read += length + 1;
            if !line.is_empty() {
                return Some(line);
            }
        }
    }

    /// How many bytes wait for the end of their line.
    pub fn unfinished(&self) -> usize {
        self.pending.len() - self.read
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.pending.clear();
        self.read = 0;
    }
}

/// How long an answer may be under way that belongs to an earlier command.
const STRAY_ANSWER: Duration = Duration::from_millis(100);

/// What modules say when they have started.
const STARTED: &str = "RDY";

/// How long an answer may still come when the modem says that it has started: one that was asked while it did may be
/// early.
const AFTER_START: Duration = Duration::from_secs(1);

/// A modem on a port.
#[derive(Debug)]
pub struct Dialogue<P> {
    port: P,
    lines: LineReader,
    log: Log,
    /// Set after a silence: the answer may still come, so that nothing that follows can be trusted to be one's own.
    silent: bool,
}

impl<P: Port> Dialogue<P> {
    /// Begins a dialogue: finds the modem, switches echo off and result codes to text.
    pub fn begin(mut port: P, timeout: Duration, log: Log) -> Result<Self, LinkError> {
        port.discard_input()?;
        let mut dialogue = Dialogue { port, lines: LineReader::default(), log, silent: false };
        let attempt = timeout.min(Duration::from_secs(2));
        for _ in 0..3 {
            // An earlier program may have left half a command in the modem's buffer, which spoils the first line:
            // hence more than one attempt, and an ERROR is an answer too.
            match dialogue.synchronise(attempt) {
                Ok(()) => return Ok(dialogue),
                Err(LinkError::Timeout { .. }) => dialogue.silent = false,
                Err(error) => return Err(error),
            }
        }
        Err(LinkError::Silent)
    }

    fn synchronise(&mut self, timeout: Duration) -> Result<(), LinkError> {
        let command = "ATE0Q0V1";
        let deadline = Instant::now() + timeout;
        self.lines.clear();
        self.send(command, deadline)?;
        loop {
            match self.next_line(command, deadline, timeout)? {
                Line::Ok => return Ok(()),
                // V.250 §6.2.6: with ATV0 in force the result code of this very line may still be a digit.
                Line::Text(text) if text == "0" => return Ok(()),
                Line::Failed(_) => return self.after_failure(deadline, timeout),
                Line::Text(_) => {}
            }
        }
    }

    /// The first line was answered by an error. It may be the answer to what an earlier program has sent last: then
    /// that to the line itself still follows, and would be taken for the one to the next command.
    fn after_failure(&mut self, deadline: Instant, timeout: Duration) -> Result<(), LinkError> {
        let soon = deadline.min(Instant::now() + STRAY_ANSWER);
        loop {
            match self.next_line("ATE0Q0V1", soon, timeout) {
                Ok(Line::Ok) => return Ok(()),
                Ok(_) => {}
                Err(LinkError::Timeout { .. }) => {
                    self.silent = false;
                    return self.command("AT", timeout).map(|_| ());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a command line and returns the lines before `OK`, without the echo.
    pub fn command(&mut self, command: &str, timeout: Duration) -> Result<Vec<String>, LinkError> {
        let mut deadline = Instant::now() + timeout;
        self.lines.clear();
        self.send(command, deadline)?;
        let mut texts = Vec::new();
        let mut restarted = false;
        loop {
            match self.next_line(command, deadline, timeout) {
                Ok(Line::Ok) => return Ok(texts),
                Ok(Line::Failed(answer)) => return Err(LinkError::Refused { command: shorten(command), answer }),
                Ok(Line::Text(text)) if text == command => {}
                Ok(Line::Text(text)) => {
                    // It has forgotten the command, most likely: the whole time need not be waited for its answer.
                    if text == STARTED {
                        restarted = true;
                        deadline = deadline.min(Instant::now() + AFTER_START);
                    }
                    texts.push(text);
                }
                Err(LinkError::Timeout { command, .. }) if restarted => return Err(LinkError::Restarted { command }),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a command line whose answer is one information response that begins with `prefix`; returns what
    /// follows the prefix. Other lines are URCs and are passed over.
    pub fn query(&mut self, command: &str, prefix: &str, timeout: Duration) -> Result<String, LinkError> {
        let lines = self.command(command, timeout)?;
        lines.iter().find_map(|line| line.strip_prefix(prefix)).map(|rest| rest.trim().to_owned()).ok_or_else(|| {
            LinkError::Malformed {
                command: shorten(command),
                answer: shorten(&lines.join(" ")),
                problem: "the information response is missing",
            }
        })
    }

    /// The number of the device (`AT+CGSN`, TS 27.007 §5.4), when the modem tells it.
    pub fn device_imei(&mut self, timeout: Duration) -> Option<Imei> {
        let lines = self.command("AT+CGSN", timeout).ok()?;
        lines.iter().find_map(|line| line.trim_matches('"').parse().ok())
    }

    /// Whether the module's own LPA is enabled (eSIM LPA AN 1.1 §2.3.2); `None` where there is none.
    pub fn own_lpa(&mut self, timeout: Duration) -> Option<bool> {
        let state = self.query("AT+QESIM=\"lpa_enable\"", "+QESIM: \"lpa_enable\",", timeout).ok()?;
        match state.as_str() {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }
    }

    /// Whether the modem has fallen silent.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    fn send(&mut self, command: &str, deadline: Instant) -> Result<(), LinkError> {
        self.log.write(|| format!("> {command}"));
        // One write per command: fragments cost a turn of the scheduler each.
        let mut bytes = Vec::with_capacity(command.len() + 1);
        bytes.extend_from_slice(command.as_bytes());
        bytes.push(b'\r');
        self.port.write(&bytes, deadline)
    }

    fn next_line(&mut self, command: &str, deadline: Instant, timeout: Duration) -> Result<Line, LinkError> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(text) = self.lines.next_line() {
                self.log.write(|| format!("< {text}"));
                return Ok(Line::classify(&text));
            }
            if self.lines.unfinished() > LONGEST_LINE {
                return Err(LinkError::Malformed {
                    command: shorten(command),
                    answer: String::new(),
                    problem: "a line without end; this may be no AT port",
                });
            }
            match self.port.read(&mut buffer, deadline)? {
                0 => {
                    self.silent = true;
                    return Err(LinkError::Timeout { command: shorten(command), after: timeout });
                }
                count => self.lines.push(&buffer[..count]),
            }
        }
    }
}

/// A command or an answer for an error message: long data is cut.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((index, _)) => format!("{}...", &text[..index]),
        None => text.to_owned(),
    }
}

/// The value of `<length>,"<hex digits>"` in the answer to CGLA and CSIM (TS 27.007 §8.17, §8.43). Quotes may be
/// missing.
pub(crate) fn parse_apdu_answer(answer: &str) -> Result<Vec<u8>, &'static str> {
    let (length, data) = answer.split_once(',').ok_or("there is no comma between length and data")?;
    let length: usize = length.trim().parse().map_err(|_| "the length is no number")?;
    let data = data.trim().trim_matches('"');
    if data.len() != length {
        return Err("the length is not the number of digits that follow");
    }
    let bytes = rsp::ids::from_hex(data).ok_or("the data are not pairs of hexadecimal digits")?;
    if bytes.len() < 2 { Err("the status word is missing") } else { Ok(bytes) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::rc::Rc;

    /// What a scripted modem is told and what it answers; nothing for silence.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Script {
        inner: Rc<RefCell<ScriptState>>,
    }

    #[derive(Debug, Default)]
    struct ScriptState {
        exchanges: VecDeque<(String, String)>,
        output: VecDeque<u8>,
        seen: Vec<String>,
        input: Vec<u8>,
    }

    impl Script {
        /// `(command, answer)` pairs in the order in which they must come; the answer may be empty.
        pub(crate) fn new(exchanges: &[(&str, &str)]) -> Self {
            let script = Script::default();
            script.inner.borrow_mut().exchanges =
                exchanges.iter().map(|(command, answer)| ((*command).to_owned(), (*answer).to_owned())).collect();
            script
        }

        pub(crate) fn seen(&self) -> Vec<String> {
            self.inner.borrow().seen.clone()
        }

        pub(crate) fn left(&self) -> usize {
            self.inner.borrow().exchanges.len()
        }
    }

    impl Port for Script {
        fn write(&mut self, bytes: &[u8], _: Instant) -> Result<(), LinkError> {
            let mut state = self.inner.borrow_mut();
            state.input.extend_from_slice(bytes);
            while let Some(end) = state.input.iter().position(|byte| *byte == b'\r') {
                let line = String::from_utf8(state.input.drain(..=end).collect()).unwrap().trim().to_owned();
                state.seen.push(line.clone());
                let answer = match state.exchanges.pop_front() {
                    Some((command, answer)) => {
                        assert_eq!(line, command, "the script expects another command");
                        answer
                    }
                    None => "\r\nERROR\r\n".to_owned(),
                };
                state.output.extend(answer.bytes());
            }
            Ok(())
        }

        fn read(&mut self, buffer: &mut [u8], _: Instant) -> Result<usize, LinkError> {
            let mut state = self.inner.borrow_mut();
            // Small reads, so that lines come in pieces.
            let count = state.output.len().min(buffer.len()).min(7);
            for (slot, byte) in buffer.iter_mut().zip(state.output.drain(..count)) {
                *slot = byte;
            }
            Ok(count)
        }

        fn discard_input(&mut self) -> Result<(), LinkError> {
            self.inner.borrow_mut().output.clear();
            Ok(())
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn finds_a_modem_with_echo_and_urcs() {
        let script = Script::new(&[
            ("ATE0Q0V1", "ATE0Q0V1\r\r\nOK\r\n"),
            ("AT+CGMM", "\r\n+QIND: SMS DONE\r\n\r\nRM500Q-GL\r\n\r\nOK\r\n"),
        ]);
        let mut dialogue = Dialogue::begin(script, SECOND, Log::default()).unwrap();
        assert_eq!(dialogue.command("AT+CGMM", SECOND).unwrap(), ["+QIND: SMS DONE", "RM500Q-GL"]);
    }

    #[test]
    fn a_modem_that_restarts_is_not_waited_for() {
        let script = Script::new(&[
            ("ATE0Q0V1", "\r\nOK\r\n"),
            ("AT+CGMM", "\r\nRDY\r\n\r\nRM500Q-GL\r\n\r\nOK\r\n"),
            ("AT+CSQ", "\r\nRDY\r\n\r\n+CFUN: 1\r\n"),
        ]);
        let mut dialogue = Dialogue::begin(script, SECOND, Log::default()).unwrap();
        // One that has just started and answers all the same is heard.
        assert_eq!(dialogue.command("AT+CGMM", SECOND).unwrap(), ["RDY", "RM500Q-GL"]);
        let error = dialogue.command("AT+CSQ", 120 * SECOND).unwrap_err();
        assert!(matches!(&error, LinkError::Restarted { command } if command == "AT+CSQ"), "{error}");
        assert!(dialogue.is_silent());
    }

    #[test]
    fn half_a_command_of_an_earlier_program_is_survived() {
        let script = Script::new(&[("ATE0Q0V1", "\r\nERROR\r\n"), ("AT", "\r\nOK\r\n")]);
        Dialogue::begin(script, SECOND, Log::default()).unwrap();
        let script = Script::new(&[("ATE0Q0V1", ""), ("ATE0Q0V1", "0\r")]);
        Dialogue::begin(script, SECOND, Log::default()).unwrap();
    }

    #[test]
    fn a_silent_port_is_no_modem() {
        let script = Script::new(&[("ATE0Q0V1", ""), ("ATE0Q0V1", ""), ("ATE0Q0V1", "")]);
        assert!(matches!(Dialogue::begin(script, SECOND, Log::default()), Err(LinkError::Silent)));
    }

    #[test]
    fn result_codes() {
        for (answer, code) in [
            ("\r\nERROR\r\n", "ERROR"),
            ("\r\n+CME ERROR: 13\r\n", "+CME ERROR: 13"),
            ("\r\n+CME ERROR: SIM failure\r\n", "+CME ERROR: SIM failure"),
            ("\r\nNO CARRIER\r\n", "NO CARRIER"),
            ("AT+X\r\r\n+CPIN: READY\r\n\r\nCOMMAND NOT SUPPORT\r\n", "COMMAND NOT SUPPORT"),
        ] {
            let script = Script::new(&[("ATE0Q0V1", "\r\nOK\r\n"), ("AT+X", answer)]);
            let mut dialogue = Dialogue::begin(script, SECOND, Log::default()).unwrap();
            match dialogue.command("AT+X", SECOND) {
                Err(LinkError::Refused { command, answer }) => {
                    assert_eq!((command.as_str(), answer.as_str()), ("AT+X", code))
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn apdu_answers() {
        // The forms of the field: Quectel, SIMCom without the space (trimmed by the caller), unquoted.
        assert_eq!(parse_apdu_answer("4,\"611A\""), Ok(vec![0x61, 0x1A]));
        assert_eq!(parse_apdu_answer("4,9000"), Ok(vec![0x90, 0x00]));
        assert_eq!(parse_apdu_answer("6,\"019000\""), Ok(vec![1, 0x90, 0]));
        for bad in ["4", "4,\"61\"", "x,\"9000\"", "2,\"90\"", "4,\"90G0\"", "", ",", "3,\"900\""] {
            assert!(parse_apdu_answer(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_bytes_are_cut(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'O'), Just(b'K'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0usize..200, 0..8),
        ) {
            let mut whole = LineReader::default();
            whole.push(&bytes);
            let expected: Vec<String> = std::iter::from_fn(|| whole.next_line()).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut reader = LineReader::default();
            let mut lines = Vec::new();
            for pair in cuts.windows(2) {
                reader.push(&bytes[pair[0]..pair[1]]);
                lines.extend(std::iter::from_fn(|| reader.next_line()));
            }
            prop_assert_eq!(&lines, &expected);
            for line in &lines {
                let _ = Line::classify(line);
            }
        }

        #[test]
        fn no_answer_panics(answer in ".{0,80}") {
            let _ = parse_apdu_answer(&answer);
            let _ = shorten(&answer);
        }

        #[test]
        fn whatever_a_modem_says_ends_in_a_result(answer in proptest::collection::vec(any::<u8>(), 0..300)) {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            let script = Script::new(&[("ATE0Q0V1", "\r\nOK\r\n"), ("AT+X", &answer)]);
            let mut dialogue = Dialogue::begin(script, SECOND, Log::default()).unwrap();
            let _ = dialogue.query("AT+X", "+X:", SECOND);
        }
    }
}
