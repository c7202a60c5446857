//! What goes over an AT line, cut into the lines of a transcript.

use crate::timeline::Direction;

/// Ends the text of a message (TS 27.005 §3.5.1).
const CTRL_Z: u8 = 0x1A;

/// The prompt for the text of a message, which no line end follows.
pub const PROMPT: &[u8] = b"> ";

/// The longest line that is kept in one piece; data that goes on without line ends is cut.
const LONGEST: usize = 64 * 1024;

/// Cuts both directions of one port into lines: without line ends, without the empty lines that frame answers, and
/// without the echo of what the host has written.
#[derive(Debug, Default)]
pub struct Splitter {
    host: Vec<u8>,
    modem: Vec<u8>,
    /// What the modem may echo: the line that the host has written last.
    echo: Option<Vec<u8>>,
}

impl Splitter {
    /// Takes what one side has written; gives the lines that are complete by now.
    pub fn take(&mut self, direction: Direction, bytes: &[u8]) -> Vec<(Direction, Vec<u8>)> {
        let mut lines = Vec::new();
        match direction {
            Direction::Command => {
                // The host speaks: what the modem has begun and not ended was a prompt.
                self.flush_modem(&mut lines);
                for byte in bytes {
                    match byte {
                        b'\r' | b'\n' => self.end_of_command(&mut lines),
                        _ => {
                            self.host.push(*byte);
                            if *byte == CTRL_Z || self.host.len() >= LONGEST {
                                self.end_of_command(&mut lines);
                            }
                        }
                    }
                }
            }
            Direction::Response => {
                for byte in bytes {
                    match byte {
                        b'\r' | b'\n' => self.flush_modem(&mut lines),
                        _ => {
                            self.modem.push(*byte);
                            if self.modem == PROMPT || self.modem.len() >= LONGEST {
                                self.flush_modem(&mut lines);
                            }
                        }
                    }
                }
            }
        }
        lines
    }

    /// What is left when the dialogue ends.
    pub fn finish(&mut self) -> Vec<(Direction, Vec<u8>)> {
        let mut lines = Vec::new();
        self.flush_modem(&mut lines);
        self.end_of_command(&mut lines);
        lines
    }

    fn end_of_command(&mut self, lines: &mut Vec<(Direction, Vec<u8>)>) {
        let line = std::mem::take(&mut self.host);
        if !line.is_empty() {
            self.echo = Some(line.clone());
            lines.push((Direction::Command, line));
        }
    }

    fn flush_modem(&mut self, lines: &mut Vec<(Direction, Vec<u8>)>) {
        let line = std::mem::take(&mut self.modem);
        if line.is_empty() {
            return;
        }
        // V.250 §6.2.4: the echo comes before anything else.
        if self.echo.take().is_some_and(|echo| echo == line) {
            return;
        }
        lines.push((Direction::Response, line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[(Direction, &str)]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut lines: Vec<_> =
            pieces.iter().flat_map(|(direction, text)| splitter.take(*direction, text.as_bytes())).collect();
        lines.extend(splitter.finish());
        let sign = |direction| if direction == Direction::Command { ">" } else { "<" };
        lines
            .into_iter()
            .map(|(direction, line)| format!("{} {}", sign(direction), String::from_utf8_lossy(&line)))
            .collect()
    }

    use Direction::{Command, Response};

    #[test]
    fn echo_and_frames_are_no_lines() {
        let dialogue = [
            (Command, "AT"),
            (Command, "+CGMI\r\n"),
            (Response, "AT+CGMI\r\r\nQuec"),
            (Response, "tel\r\n\r\nOK\r\n"),
            (Command, "ATE0\r"),
            (Response, "ATE0\r\r\nOK\r\n"),
            (Command, "AT\r"),
            (Response, "\r\nOK\r\n\r\n+QUSIM: 1\r\n"),
        ];
        assert_eq!(
            told(&dialogue),
            ["> AT+CGMI", "< Quectel", "< OK", "> ATE0", "< OK", "> AT", "< OK", "< +QUSIM: 1"]
        );
    }

    #[test]
    fn a_message_has_a_prompt_and_ends_with_ctrl_z() {
        let dialogue = [
            (Command, "AT+CMGS=3\r"),
            (Response, "\r\n> "),
            (Command, "0011\u{1A}"),
            (Response, "\r\n+CMGS: 1\r\n\r\nOK\r\n"),
        ];
        assert_eq!(told(&dialogue), ["> AT+CMGS=3", "< > ", "> 0011\u{1A}", "< +CMGS: 1", "< OK"]);
    }
}
