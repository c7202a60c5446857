//! The runner as a client of the modem: one AT command, its answer line by line up to the final result code.

use std::io;
use std::path::Path;

use crate::dialogue::terminal::Line;

/// The most that an answer may have before it is given up, in bytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// A terminal of the modem, opened for one dialogue.
pub struct AtPort {
    terminal: Line,
    received: Vec<u8>,
    /// What was said last, as long as its echo may still come.
    said: Option<Vec<u8>>,
    /// What came since then and is not part of an answer if the echo comes after it.
    strays: Vec<String>,
}

impl AtPort {
    /// Opens the terminal and makes it raw.
    pub fn open(path: &Path) -> io::Result<Self> {
        let terminal = Line::open(path)?;
        // What the modem said before is no answer to what is asked now.
        terminal.discard_input()?;
        Ok(AtPort { terminal, received: Vec::new(), said: None, strays: Vec::new() })
    }

    /// Sends a command and reads its answer: all lines up to the final result code, without the echo and without
    /// empty lines. `last` is a line that also ends the answer: the one that is expected to.
    pub async fn command(&mut self, command: &str, last: Option<&str>) -> io::Result<Vec<String>> {
        self.say(command.as_bytes()).await?;
        let mut answer: Vec<String> = Vec::new();
        let mut length = 0;
        loop {
            let line = self.line().await?;
            length += line.len();
            if length > LONGEST_ANSWER {
                return Err(io::Error::other(format!("the answer has more than {LONGEST_ANSWER} bytes")));
            }
            if self.is_echo(&line, &answer) {
                answer.clear();
                continue;
            }
            let is_final = is_final_result(&line) || Some(line.as_str()) == last;
            answer.push(line);
            if is_final {
                return Ok(answer);
            }
        }
    }

    /// Sends what stands in a dialogue: a command line, or a text that ends itself (Ctrl-Z, ESC).
    pub async fn say(&mut self, text: &[u8]) -> io::Result<()> {
        self.said = Some(text.to_vec());
        self.strays.clear();
        self.terminal.write(text).await?;
        match text.last() {
            Some(0x1A | 0x1B) => Ok(()),
            _ => self.terminal.write(b"\r").await,
        }
    }

    /// The next line of an answer, which is hopefully one that `is_wanted`. A prompt, which has no line end, is one when
    /// it is expected.
    pub async fn hear(&mut self, wanted_prompt: bool, is_wanted: impl Fn(&str) -> bool) -> io::Result<String> {
        loop {
            if wanted_prompt {
                let blank = self.received.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                self.received.drain(..blank);
                if self.received.starts_with(b"> ") {
                    self.received.drain(..2);
                    return Ok("> ".to_owned());
                }
                // As long as it may become one.
                if b"> ".starts_with(&self.received) {
                    self.fill().await?;
                    continue;
                }
            }
            let line = self.line().await?;
            let strays = std::mem::take(&mut self.strays);
            if self.is_echo(&line, &strays) {
                continue;
            }
            self.strays = strays;
            if is_wanted(&line) {
                self.said = None;
                return Ok(line);
            }
            // As long as the echo may come, it is seen by the echo whether this belongs to the answer.
            if self.said.is_some() && is_unsolicited(&line) {
                self.strays.push(line);
                continue;
            }
            self.said = None;
            return Ok(if self.strays.is_empty() { line } else { self.strays.remove(0) });
        }
    }

    /// What was heard after a command and may not belong to its answer, for whoever has waited for more in vain.
    pub fn strays(&self) -> &[String] {
        &self.strays
    }

    /// Whether a line is the echo of what was said. The echo is the command itself, before its answer (V.250 §6.2.4):
    /// what came `before` it, between the opening of the terminal and the command, was unsolicited.
    fn is_echo(&mut self, line: &str, before: &[String]) -> bool {
        let is_echo = self.said.as_deref() == Some(line.as_bytes()) && before.iter().all(|line| is_unsolicited(line));
        if is_echo {
            self.said = None;
        }
        is_echo
    }

    /// The next line that is not empty, without its line end.
    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\r' || *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                if end > 0 {
                    return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
                }
                continue;
            }
            if self.received.len() > LONGEST_ANSWER {
                return Err(io::Error::other(format!("a line has more than {LONGEST_ANSWER} bytes")));
            }
            self.fill().await?;
        }
    }

    /// Reads what there is, and waits until there is something.
    async fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        match self.terminal.read(&mut buffer).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the modem has gone")),
            count => {
                self.received.extend_from_slice(&buffer[..count]);
                Ok(())
            }
        }
    }
}

/// Whether a line ends the answer to a command (V.250 §5.7.1, TS 27.007 §9.1, TS 27.005 §3.2.5).
pub(crate) fn is_final_result(line: &str) -> bool {
    matches!(line, "OK" | "ERROR" | "NO CARRIER" | "BUSY" | "NO ANSWER" | "NO DIALTONE" | "CONNECT")
        || ["+CME ERROR:", "+CMS ERROR:", "CONNECT "].iter().any(|start| line.starts_with(start))
}

/// Whether a line has the form of an unsolicited result code: those of the standards begin with `+`, those of makers
/// with other signs.
fn is_unsolicited(line: &str) -> bool {
    line.starts_with(['+', '^', '*', '%', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStringExt;
    use std::path::PathBuf;

    /// A pseudo-terminal whose other end says `answers`, one to each command; gives back the commands and that end,
    /// which takes what was not read with it when it is dropped.
    fn modem(answers: Vec<&'static str>) -> (PathBuf, OwnedFd, std::thread::JoinHandle<(Vec<String>, OwnedFd)>) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = PathBuf::from(std::ffi::OsString::from_vec(ptsname(&master, Vec::new()).unwrap().into_bytes()));
        // Held so that the terminal outlives its clients.
        let slave = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let thread = std::thread::spawn(move || {
            let mut commands = Vec::new();
            for answer in answers {
                let mut command = Vec::new();
                let mut byte = [0];
                while rustix::io::read(&master, &mut byte).unwrap() == 1 && byte[0] != b'\r' {
                    command.push(byte[0]);
                }
                commands.push(String::from_utf8(command).unwrap());
                for piece in answer.split_inclusive('|') {
                    rustix::io::write(&master, piece.trim_end_matches('|').as_bytes()).unwrap();
                }
            }
            (commands, master)
        });
        (path, slave, thread)
    }

    #[tokio::test]
    async fn an_answer_is_read_without_echo_up_to_its_final_result_code() {
        let (path, _slave, modem) = modem(vec![
            "AT+X?\r|\r\n+X: 1\r\n\r|\nOK\r\n",
            "\r\n+CME ERROR: 13\r\n",
            "ATV0\r0\r",
            "\r\n+CREG: 0\r\nAT+CFUN=1\r|\r\nOK\r\n",
            "\r\nfirst\r\nATI\r\nOK\r\nlate\r\n",
        ]);
        let mut port = AtPort::open(&path).unwrap();
        assert_eq!(port.command("AT+X?", None).await.unwrap(), ["+X: 1", "OK"]);
        assert_eq!(port.command("AT+Y", None).await.unwrap(), ["+CME ERROR: 13"]);
        assert_eq!(port.command("ATV0", Some("0")).await.unwrap(), ["0"]);
        assert_eq!(port.command("AT+CFUN=1", None).await.unwrap(), ["OK"], "what came before the echo");
        assert_eq!(port.command("ATI", None).await.unwrap(), ["first", "ATI", "OK"]);
        assert_eq!(modem.join().unwrap().0, ["AT+X?", "AT+Y", "ATV0", "AT+CFUN=1", "ATI"]);
    }

    #[tokio::test]
    async fn lines_of_a_dialogue_are_heard_without_what_came_before_the_echo() {
        let (path, _slave, modem) = modem(vec![
            "\r\n+CREG: 0\r\nAT+X?\r|\r\n+X: 1\r\n\r\nOK\r\n",
            "\r\n+Y: 2\r\n\r\nOK\r\n",
            "\r\n+CREG: 1\r\n\r\n+W: 4\r\nOK\r\n",
            "\r\n+CREG: 5\r\nAT+V\r|\r\n|>| ",
        ]);
        let mut port = AtPort::open(&path).unwrap();
        let is = |wanted: &'static str| move |line: &str| line == wanted;
        port.say(b"AT+X?").await.unwrap();
        assert_eq!(port.hear(false, is("+X: 1")).await.unwrap(), "+X: 1");
        assert_eq!(port.hear(false, is("OK")).await.unwrap(), "OK");
        // Without an echo the first line is the answer.
        port.say(b"AT+Y").await.unwrap();
        assert_eq!(port.hear(false, is("+Y: 2")).await.unwrap(), "+Y: 2");
        assert_eq!(port.hear(false, is("OK")).await.unwrap(), "OK");
        // Without an echo, and with another line than was wanted, it is the first one that was heard.
        port.say(b"AT+W").await.unwrap();
        assert_eq!(port.hear(false, is("+W: 3")).await.unwrap(), "+CREG: 1");
        port.say(b"AT+V").await.unwrap();
        assert_eq!(port.hear(true, |_| false).await.unwrap(), "> ");
        assert_eq!(modem.join().unwrap().0, ["AT+X?", "AT+Y", "AT+W", "AT+V"]);
    }

    #[tokio::test]
    async fn what_was_heard_in_vain_is_told() {
        let (path, _slave, modem) = modem(vec!["\r\n+CREG: 0\r\n"]);
        let mut port = AtPort::open(&path).unwrap();
        port.say(b"AT+X?").await.unwrap();
        let joined = tokio::task::spawn_blocking(|| modem.join().unwrap());
        // The other end stays until this one has heard what it said.
        let (_, master) = joined.await.unwrap();
        while port.strays().is_empty() {
            let heard = port.hear(false, |line| line == "+X: 1");
            assert!(tokio::time::timeout(std::time::Duration::from_millis(20), heard).await.is_err());
        }
        assert_eq!(port.strays(), ["+CREG: 0"]);
        drop(master);
    }

    #[tokio::test]
    async fn a_modem_that_goes_away_is_told() {
        let (path, slave, modem) = modem(vec!["\r\n+X: 1\r\n"]);
        let mut port = AtPort::open(&path).unwrap();
        drop(slave);
        let gone = async {
            let joined = tokio::task::spawn_blocking(|| modem.join()).await;
            drop(joined);
        };
        let (answer, ()) = tokio::join!(port.command("AT+X?", None), gone);
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(AtPort::open(Path::new("/nowhere")).is_err());
    }
}
