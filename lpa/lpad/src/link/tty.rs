//! A modem's terminal: raw mode, no flow control, reads and writes with deadlines.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::{Errno, read, write};
use rustix::termios::{ControlModes, InputModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios};
use rustix::termios::{isatty, tcflush, tcgetattr, tcsetattr};

use super::{LinkError, Port};

/// An open terminal. Its lock and its descriptor go with it.
#[derive(Debug)]
pub struct Tty {
    file: OwnedFd,
}

impl Tty {
    /// Opens a terminal and makes it raw.
    pub fn open(path: &Path) -> Result<Self, LinkError> {
        let named = || path.display().to_string();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = open(path, flags, Mode::empty()).map_err(|error| match error {
            Errno::BUSY => LinkError::Busy { path: named() },
            error => LinkError::Open { path: named(), source: error.into() },
        })?;
        if !isatty(&file) {
            return Err(LinkError::NotATerminal { path: named() });
        }
        // A lock rather than TIOCEXCL: it cannot outlive this process, however it ends.
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| LinkError::Busy { path: named() })?;
        let mut settings = tcgetattr(&file).map_err(std::io::Error::from)?;
        make_raw(&mut settings);
        tcsetattr(&file, OptionalActions::Now, &settings).map_err(std::io::Error::from)?;
        Ok(Tty { file })
    }

    /// Waits until the terminal is ready; false when the deadline has passed.
    fn wait(&self, flags: PollFlags, deadline: Instant) -> Result<bool, LinkError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::from(i32::MAX), tv_nsec: 0 });
            let mut fds = [PollFd::new(&self.file, flags)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => return Ok(false),
                Ok(_) if fds[0].revents().intersects(flags) => return Ok(true),
                Ok(_) => return Err(LinkError::Gone),
                Err(Errno::INTR) => {}
                Err(error) => return Err(LinkError::Io(error.into())),
            }
        }
    }
}

fn make_raw(settings: &mut Termios) {
    settings.make_raw();
    settings.input_modes -= InputModes::IXON | InputModes::IXOFF | InputModes::IXANY;
    settings.control_modes -= ControlModes::CRTSCTS | ControlModes::HUPCL;
    settings.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
    settings.special_codes[SpecialCodeIndex::VMIN] = 1;
    settings.special_codes[SpecialCodeIndex::VTIME] = 0;
    // Means something on a real UART only, where it is the rate that modules have from the factory.
    let _ = settings.set_speed(115_200);
}

impl Port for Tty {
    fn write(&mut self, mut bytes: &[u8], deadline: Instant) -> Result<(), LinkError> {
        while !bytes.is_empty() {
            match write(&self.file, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if !self.wait(PollFlags::OUT, deadline)? {
                        // Nobody takes the bytes away.
                        return Err(LinkError::Silent);
                    }
                }
                Err(Errno::IO | Errno::NODEV | Errno::NXIO) => return Err(LinkError::Gone),
                Err(error) => return Err(LinkError::Io(error.into())),
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, LinkError> {
        loop {
            if !self.wait(PollFlags::IN, deadline)? {
                return Ok(0);
            }
            match read(&self.file, &mut *buffer) {
                Ok(0) | Err(Errno::IO | Errno::NODEV | Errno::NXIO) => return Err(LinkError::Gone),
                Ok(count) => return Ok(count),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(LinkError::Io(error.into())),
            }
        }
    }

    fn discard_input(&mut self) -> Result<(), LinkError> {
        tcflush(&self.file, QueueSelector::IFlush).map_err(|error| LinkError::Io(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{ApduLink, AtLink, LinkOptions};
    use crate::log::Log;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::path::PathBuf;
    use std::time::Duration;

    fn terminal() -> (OwnedFd, PathBuf) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
        (master, path)
    }

    /// Answers each command line as `answers` says, until the other end hangs up.
    fn serve(
        master: OwnedFd,
        answers: &'static [(&'static str, &'static str)],
    ) -> std::thread::JoinHandle<Vec<String>> {
        std::thread::spawn(move || {
            let mut pending = Vec::new();
            let mut seen = Vec::new();
            let mut buffer = [0; 512];
            while let Ok(count) = read(&master, &mut buffer) {
                pending.extend_from_slice(&buffer[..count]);
                while let Some(end) = pending.iter().position(|byte| *byte == b'\r') {
                    let line = String::from_utf8(pending.drain(..=end).collect()).unwrap().trim().to_owned();
                    let known = answers.iter().find(|(command, _)| *command == line);
                    write(&master, known.map_or("\r\nERROR\r\n", |(_, answer)| answer).as_bytes()).unwrap();
                    seen.push(line);
                }
            }
            seen
        })
    }

    #[test]
    fn a_dialogue_on_a_pseudo_terminal() {
        let (master, path) = terminal();
        let tty = Tty::open(&path).unwrap();
        let modem = serve(
            master,
            &[
                ("ATE0Q0V1", "ATE0Q0V1\r\r\nOK\r\n"),
                ("AT+CCHO=\"A0000005591010FFFFFFFF8900000100\"", "\r\n+CCHO: 1\r\n\r\nOK\r\n"),
                ("AT+CGLA=1,10,\"80C0000002\"", "\r\n+CGLA: 8,\"0A0D9000\"\r\n\r\nOK\r\n"),
                ("AT+CCHC=1", "\r\nOK\r\n"),
            ],
        );
        let mut link = AtLink::open(tty, LinkOptions::default(), Log::default()).unwrap();
        assert_eq!(link.transmit(&[0x80, 0xC0, 0, 0, 2]).unwrap(), [0x0A, 0x0D, 0x90, 0x00]);
        drop(link);
        assert_eq!(modem.join().unwrap().last().unwrap(), "AT+CCHC=1");
    }

    #[test]
    fn a_terminal_that_hangs_up() {
        let (master, path) = terminal();
        let mut tty = Tty::open(&path).unwrap();
        drop(master);
        let deadline = Instant::now() + Duration::from_secs(5);
        assert!(matches!(tty.read(&mut [0; 8], deadline), Err(LinkError::Gone)));
    }

    #[test]
    fn deadlines_hold() {
        let (_master, path) = terminal();
        let mut tty = Tty::open(&path).unwrap();
        assert_eq!(tty.read(&mut [0; 8], Instant::now()).unwrap(), 0);
        assert!(matches!(Tty::open(&path), Err(LinkError::Busy { .. })));
    }

    #[test]
    fn paths_that_are_no_terminal() {
        assert!(matches!(Tty::open(Path::new("/dev/null")), Err(LinkError::NotATerminal { .. })));
        let error = Tty::open(Path::new("/dev/ttyNothing")).unwrap_err();
        assert!(error.to_string().starts_with("cannot open /dev/ttyNothing: "), "{error}");
        assert!(error.hint().unwrap().contains("ttyUSB"));
    }
}
