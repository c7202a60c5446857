//! The two ends of a line that this program may be at: a modem's terminal, and the far side of a pseudo-terminal.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{self, OptionalActions, QueueSelector};
use tokio::io::unix::AsyncFd;

/// An open line.
#[derive(Debug)]
pub struct Line {
    terminal: AsyncFd<OwnedFd>,
    // The other side of a pseudo-terminal, held so that the line outlives the programs that come and go.
    _slave: Option<OwnedFd>,
}

impl Line {
    /// Opens the terminal of a modem and makes it raw.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(path, flags, Mode::empty())?;
        make_raw(&terminal)?;
        Line::of(terminal, None)
    }

    /// Forgets what has come and was not read.
    pub fn discard_input(&self) -> io::Result<()> {
        Ok(termios::tcflush(&self.terminal, QueueSelector::IFlush)?)
    }

    /// Makes a pseudo-terminal; gives the path at which programs find it.
    pub fn pseudo() -> io::Result<(Self, PathBuf)> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        rustix::fs::fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)?;
        let path = PathBuf::from(std::ffi::OsString::from_vec(ptsname(&master, Vec::new())?.into_bytes()));
        let slave = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        // A new one is cooked and echoes: it must be raw before anybody knows its path.
        make_raw(&slave)?;
        Ok((Line::of(master, Some(slave))?, path))
    }

    fn of(terminal: OwnedFd, slave: Option<OwnedFd>) -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "what it cannot promise for any type an OwnedFd does: it stays open, and the same"
        )]
        let terminal = AsyncFd::new(terminal)?;
        Ok(Line { terminal, _slave: slave })
    }

    /// Reads what there is, and waits until there is something; 0 when the other side has gone.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.terminal.readable().await?;
            match ready.try_io(|terminal| Ok(rustix::io::read(terminal, &mut *buffer)?)) {
                // Linux tells so when the other end of a pseudo-terminal is closed.
                Ok(Err(error)) if Errno::from_io_error(&error) == Some(Errno::IO) => return Ok(0),
                Ok(read) => return read,
                Err(_would_block) => {}
            }
        }
    }

    /// Writes all of it.
    pub async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.terminal.writable().await?;
            match ready.try_io(|terminal| Ok(rustix::io::write(terminal, bytes)?)) {
                Ok(count) => bytes = &bytes[count?..],
                Err(_would_block) => {}
            }
        }
        Ok(())
    }
}

fn make_raw(terminal: &OwnedFd) -> io::Result<()> {
    let mut settings = termios::tcgetattr(terminal)?;
    settings.make_raw();
    termios::tcsetattr(terminal, OptionalActions::Now, &settings)?;
    Ok(())
}
