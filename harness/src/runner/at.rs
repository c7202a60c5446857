//! The runner as a client of the modem: one AT command, its answer line by line up to the final result code.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{self, OptionalActions, QueueSelector};
use tokio::io::unix::AsyncFd;

/// The most that an answer may have before it is given up, in bytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// A terminal of the modem, opened for one dialogue.
pub struct AtPort {
    terminal: AsyncFd<OwnedFd>,
    received: Vec<u8>,
}

impl AtPort {
    /// Opens the terminal and makes it raw.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(path, flags, Mode::empty())?;
        let mut settings = termios::tcgetattr(&terminal)?;
        settings.make_raw();
        termios::tcsetattr(&terminal, OptionalActions::Now, &settings)?;
        // What the modem said before is no answer to what is asked now.
        termios::tcflush(&terminal, QueueSelector::IFlush)?;
        #[expect(
            deprecated,
            reason = "what it cannot promise for any type an OwnedFd does: it stays open, and the same"
        )]
        let terminal = AsyncFd::new(terminal)?;
        Ok(AtPort { terminal, received: Vec::new() })
    }

    /// Sends a command and reads its answer: all lines up to the final result code, without the echo and without
    /// empty lines. `last` is a line that also ends the answer: the one that is expected to.
    pub async fn command(&mut self, command: &str, last: Option<&str>) -> io::Result<Vec<String>> {
        self.write(format!("{command}\r").as_bytes()).await?;
        let mut answer: Vec<String> = Vec::new();
        let mut length = 0;
        loop {
            let line = self.line().await?;
            length += line.len();
            if length > LONGEST_ANSWER {
                return Err(io::Error::other(format!("the answer has more than {LONGEST_ANSWER} bytes")));
            }
            if line.is_empty() {
                continue;
            }
            // The echo is the command itself, before its answer (V.250 §6.2.4): what came before it, between the opening
            // of the terminal and the command, was unsolicited.
            if line == command && answer.iter().all(|before| is_unsolicited(before)) {
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
    pub async fn say(&self, text: &[u8]) -> io::Result<()> {
        self.write(text).await?;
        match text.last() {
            Some(0x1A | 0x1B) => Ok(()),
            _ => self.write(b"\r").await,
        }
    }

    /// The next line that says something. The echo of `said` is none. A prompt, which has no line end, is one when it
    /// is `wanted`.
    pub async fn hear(&mut self, said: &[u8], wanted_prompt: bool) -> io::Result<String> {
        loop {
            if wanted_prompt {
                let start = self.received.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
                if self.received.get(start..).is_some_and(|rest| rest.starts_with(b"> ")) {
                    self.received.drain(..start + 2);
                    return Ok("> ".to_owned());
                }
                if !self.received.contains(&b'\n') && self.received.get(start..).is_none_or(|rest| rest.len() <= 2) {
                    self.fill().await?;
                    continue;
                }
            }
            let line = self.line().await?;
            if !line.is_empty() && line.as_bytes() != said {
                return Ok(line);
            }
        }
    }

    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.terminal.writable().await?;
            match ready.try_io(|terminal| Ok(rustix::io::write(terminal, bytes)?)) {
                Ok(count) => bytes = &bytes[count?..],
                Err(_would_block) => {}
            }
        }
        Ok(())
    }

    /// The next line, without its line end.
    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\r' || *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
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
        loop {
            let mut ready = self.terminal.readable().await?;
            match ready.try_io(|terminal| Ok(rustix::io::read(terminal, &mut buffer)?)) {
                Ok(Ok(0)) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the modem has gone")),
                Ok(Ok(count)) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    return Ok(());
                }
                // Linux tells so when the other end of a pseudo-terminal is closed.
                Ok(Err(error)) if Errno::from_io_error(&error) == Some(Errno::IO) => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the modem has gone"));
                }
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
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
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
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
