//! The command line editor of a port (V.250 §5.2): bytes in, whole command lines out.
//!
//! Bytes come as the host sends them: in fragments, several lines at once, with `\r` or `\r\n`. The editor looks
//! for the prefix `AT`, collects the body up to the terminator (S3), takes characters back on S5, and says for each
//! byte what to echo. It knows nothing of commands.

use crate::settings::Settings;

/// What a byte led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// The line goes on, or has not begun.
    Pending,
    /// A command line is complete.
    Line(Line),
}

/// A command line, without `AT` and terminator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// The body of the line.
    Body(Vec<u8>),
    /// The line was longer than the modem takes.
    TooLong,
    /// `A/`: the line before, again (V.250 §5.2.4).
    Repeat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the prefix: everything but `A` is passed over.
    Idle,
    /// After `A`.
    Prefix,
    /// In the body.
    Body,
    /// In the body of a line that is too long: the rest is dropped.
    Overrun,
}

/// The editor. One per port.
#[derive(Debug)]
pub(crate) struct LineEditor {
    state: State,
    body: Vec<u8>,
    limit: usize,
}

impl LineEditor {
    /// An editor that takes bodies of at most `limit` characters.
    pub(crate) fn new(limit: usize) -> Self {
        LineEditor { state: State::Idle, body: Vec::new(), limit }
    }

    /// Forgets an unfinished line.
    pub(crate) fn clear(&mut self) {
        self.state = State::Idle;
        self.body.clear();
    }

    /// Takes the bytes that only add to a line which has begun, as many as come first, and tells how many. All others
    /// go through [`LineEditor::push`], with the same outcome and less speed.
    pub(crate) fn push_plain(&mut self, bytes: &[u8], settings: &Settings, echo: &mut Vec<u8>) -> usize {
        if self.state != State::Body {
            return 0;
        }
        let is_plain = |byte: &u8| *byte >= 0x20 && *byte != 0x7F && *byte != settings.s3 && *byte != settings.s5;
        let room = self.limit.saturating_sub(self.body.len());
        let count = bytes.iter().take(room).take_while(|byte| is_plain(byte)).count();
        let run = bytes.get(..count).unwrap_or_default();
        self.body.extend_from_slice(run);
        if settings.echo {
            echo.extend_from_slice(run);
        }
        count
    }

    /// Takes one byte. What has to be echoed is appended to `echo`.
    pub(crate) fn push(&mut self, byte: u8, settings: &Settings, echo: &mut Vec<u8>) -> Input {
        let mut show = |byte: u8| {
            if settings.echo {
                echo.push(byte);
            }
        };
        match self.state {
            // V.250 §5.2.1: what stands before the prefix is ignored. It is not echoed either: a terminal that
            // echoes on its own would send everything back for ever.
            State::Idle => {
                if byte.eq_ignore_ascii_case(&b'A') {
                    self.state = State::Prefix;
                    show(byte);
                }
            }
            State::Prefix => match byte {
                b'T' | b't' => {
                    self.state = State::Body;
                    show(byte);
                }
                b'/' => {
                    self.state = State::Idle;
                    show(byte);
                    return Input::Line(Line::Repeat);
                }
                b'A' | b'a' => show(byte),
                _ => self.state = State::Idle,
            },
            State::Body | State::Overrun => {
                if byte == settings.s3 {
                    show(byte);
                    let overrun = self.state == State::Overrun;
                    self.state = State::Idle;
                    let body = std::mem::take(&mut self.body);
                    return Input::Line(if overrun { Line::TooLong } else { Line::Body(body) });
                } else if byte == settings.s5 {
                    // V.250 §5.2.2: the prefix cannot be taken back.
                    if self.body.pop().is_some() {
                        [8, b' ', 8].into_iter().for_each(show);
                    }
                } else if byte < 0x20 || byte == 0x7F {
                    // V.250 §5.2.2: other control characters are ignored.
                } else if self.body.len() < self.limit {
                    self.body.push(byte);
                    show(byte);
                } else {
                    self.state = State::Overrun;
                    self.body.clear();
                }
            }
        }
        Input::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn feed(editor: &mut LineEditor, bytes: &[u8]) -> (Vec<Line>, String) {
        let mut echo = Vec::new();
        let settings = Settings::default();
        let lines = bytes
            .iter()
            .filter_map(|byte| match editor.push(*byte, &settings, &mut echo) {
                Input::Line(line) => Some(line),
                Input::Pending => None,
            })
            .collect();
        (lines, String::from_utf8_lossy(&echo).into_owned())
    }

    fn body(text: &str) -> Line {
        Line::Body(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_and_echo() {
        let mut editor = LineEditor::new(100);
        for (bytes, lines, echo) in [
            (&b"AT\r"[..], vec![body("")], "AT\r"),
            (b"at+cgmi\r\n", vec![body("+cgmi")], "at+cgmi\r"),
            (b"\r\n\0garb\xFFge ATI\rATE0\r", vec![body("I"), body("E0")], "aATI\rATE0\r"),
            (b"AATI\r", vec![body("I")], "AATI\r"),
            (b"AT+CFUN=01\x08\x08?\r", vec![body("+CFUN=?")], "AT+CFUN=01\x08 \x08\x08 \x08?\r"),
            (b"AT\x08\x08I\r", vec![body("I")], "ATI\r"),
            (b"ATI\nE\x01V\x7F\r", vec![body("IEV")], "ATIEV\r"),
            (b"A/", vec![Line::Repeat], "A/"),
            (b"a/AT\r", vec![Line::Repeat, body("")], "a/AT\r"),
            (b"AB\r", vec![], "A"),
            (b"AT+X=\"\xC3\xA9\"\r", vec![Line::Body(b"+X=\"\xC3\xA9\"".to_vec())], "AT+X=\"é\"\r"),
        ] {
            assert_eq!(feed(&mut editor, bytes), (lines, echo.to_owned()), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn too_long() {
        let mut editor = LineEditor::new(4);
        assert_eq!(feed(&mut editor, b"AT1234\rAT12345\x08\rAT1\r").0, [body("1234"), Line::TooLong, body("1")]);
        feed(&mut editor, b"AT+CG");
        editor.clear();
        assert_eq!(feed(&mut editor, b"ATI\r").0, [body("I")]);
    }

    #[test]
    fn other_terminators() {
        let mut editor = LineEditor::new(100);
        let mut settings = Settings::default();
        (settings.s3, settings.s5, settings.echo) = (b'%', b'#', false);
        let mut echo = Vec::new();
        let lines: Vec<Input> = b"ATI1#\r0%".iter().map(|byte| editor.push(*byte, &settings, &mut echo)).collect();
        assert_eq!(lines.last(), Some(&Input::Line(body("I0"))));
        assert!(echo.is_empty());
    }

    proptest! {
        /// Runs of bytes lead to what single ones lead to, whatever ends and edits a line.
        #[test]
        fn runs_are_bytes(
            bytes in proptest::collection::vec(prop_oneof![Just(b'A'), Just(b'T'), Just(b'\r'), Just(8), 0x20u8.., any::<u8>()], 0..200),
            s3 in prop_oneof![Just(b'\r'), 0u8..128],
            s5 in prop_oneof![Just(8u8), 0u8..128],
            echoes in any::<bool>(),
        ) {
            let mut settings = Settings::default();
            (settings.s3, settings.s5, settings.echo) = (s3, s5, echoes);
            let (mut single, mut runs) = (LineEditor::new(20), LineEditor::new(20));
            let (mut single_echo, mut runs_echo) = (Vec::new(), Vec::new());
            let one: Vec<Input> = bytes.iter().map(|byte| single.push(*byte, &settings, &mut single_echo)).collect();
            let mut other = Vec::new();
            let mut rest = &bytes[..];
            while let Some(byte) = rest.first() {
                let count = runs.push_plain(rest, &settings, &mut runs_echo);
                other.extend(std::iter::repeat_n(Input::Pending, count));
                if count == 0 {
                    other.push(runs.push(*byte, &settings, &mut runs_echo));
                }
                rest = &rest[count.max(1)..];
            }
            prop_assert_eq!((one, single_echo, single.body), (other, runs_echo, runs.body));
        }

        #[test]
        fn any_bytes_then_a_line(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut editor = LineEditor::new(64);
            feed(&mut editor, &bytes);
            let (lines, _) = feed(&mut editor, b"\rATI\r");
            prop_assert_eq!(lines.last(), Some(&body("I")));
            prop_assert!(editor.body.len() <= 64);
        }
    }
}
