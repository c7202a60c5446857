//! One terminal: who is there, what goes to the host, and what is kept or dropped when it does not read.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use pty_process::blocking::Pts;
use rustix::io::Errno;
use rustix::termios::{self, OptionalActions, QueueSelector, SpecialCodeIndex};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::lock;
use super::watch::Watch;

/// What is kept for a host that does not read, beside the 15 kB of the kernel.
const BACKLOG: usize = 64 * 1024;

/// Bytes that did not reach a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Nobody had the terminal open, or not the one who had asked.
    pub idle: u64,
    /// The host did not read, and the backlog was full.
    pub overrun: u64,
    /// The host went without reading them, as far as the modem still held them.
    pub unread: u64,
}

/// One terminal.
pub(super) struct Port {
    /// The master again, beside the one that the task of the port waits on: others write to it as well. Neither waits.
    pub(super) master: OwnedFd,
    pub(super) slave: Pts,
    pub(super) path: PathBuf,
    /// The number by which the watch knows it.
    pub(super) watch: OnceLock<i32>,
    pub(super) line: Mutex<LineState>,
}

#[derive(Default)]
pub(super) struct LineState {
    /// How many times the terminal is open.
    pub(super) hosts: u32,
    /// Changes when the first host comes and when the last one goes: who asks now is not who asked before.
    pub(super) visit: u64,
    /// Input came though nobody seems to be there: an open was not seen.
    pub(super) presumed: bool,
    /// The last host has gone, and what it wrote may not have been read yet.
    pub(super) left: bool,
    /// What the terminal did not take yet.
    pub(super) backlog: Vec<u8>,
    pub(super) dropped: Dropped,
    /// Wakes the task of the port.
    pub(super) waker: Option<Waker>,
}

impl LineState {
    pub(super) fn is_open(&self) -> bool {
        self.hosts > 0 || self.presumed
    }

    /// Has the task of the port look at this line again.
    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Port {
    /// A terminal, and what is written to it. Has to be called inside a tokio runtime.
    pub(super) fn open() -> io::Result<(Arc<Self>, Input)> {
        let (master, slave) = pty_process::blocking::open().map_err(|error| match error {
            pty_process::Error::Io(error) => error,
            pty_process::Error::Rustix(errno) => errno.into(),
            other => io::Error::other(other.to_string()),
        })?;
        let master = OwnedFd::from(master);
        rustix::io::ioctl_fionbio(&master, true)?;
        // A new terminal is cooked and echoes: it must be raw before anybody can know its path.
        let mut attributes = termios::tcgetattr(&slave)?;
        attributes.make_raw();
        attributes.set_speed(115_200)?;
        termios::tcsetattr(&slave, OptionalActions::Now, &attributes)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let path = PathBuf::from(OsStr::from_bytes(name.as_bytes()));
        let port =
            Arc::new(Port { master: master.try_clone()?, slave, path, watch: OnceLock::new(), line: Mutex::default() });
        let number = Watch::of_process()?.add(&port)?;
        port.watch.get_or_init(|| number);
        let input = watch_for(master, Interest::READABLE)?;
        Ok((port, Input(input)))
    }

    /// A host has opened the terminal.
    pub(super) fn opened(&self) {
        let mut line = lock(&self.line);
        if line.hosts == 0 {
            self.clear(&mut line);
            line.visit += 1;
        }
        line.presumed = false;
        line.hosts = line.hosts.saturating_add(1);
    }

    /// A host has closed the terminal.
    pub(super) fn closed(&self) {
        let mut line = lock(&self.line);
        line.presumed = false;
        line.hosts = line.hosts.saturating_sub(1);
        if line.hosts > 0 {
            return;
        }
        self.clear(&mut line);
        line.visit += 1;
        line.left = true;
        line.wake();
    }

    /// Takes back, when nobody is there, what a host has set for itself and would lock out the next one. It outlives
    /// the host while the slave is held open here.
    pub(super) fn settle(&self) {
        if lock(&self.line).hosts > 0 {
            return;
        }
        // TIOCEXCL: the next one would get EBUSY.
        let _ = termios::ioctl_tiocnxcl(&self.slave);
        // Reads that do not wait (termios(3): MIN 0): one that reads through stdio would take each pause for the end.
        if let Ok(mut attributes) = termios::tcgetattr(&self.slave)
            && attributes.special_codes[SpecialCodeIndex::VMIN] == 0
        {
            attributes.special_codes[SpecialCodeIndex::VMIN] = 1;
            attributes.special_codes[SpecialCodeIndex::VTIME] = 0;
            let _ = termios::tcsetattr(&self.slave, OptionalActions::Now, &attributes);
        }
    }

    /// Events were lost: everything is possible.
    pub(super) fn unknown(&self) {
        let mut line = lock(&self.line);
        line.hosts = 0;
        line.presumed = true;
    }

    /// Throws away what was written and not read.
    pub(super) fn clear(&self, line: &mut LineState) {
        line.dropped.unread += line.backlog.len() as u64;
        line.backlog.clear();
        // What cannot be flushed will be read; there is nothing better to do.
        let _ = termios::tcflush(&self.slave, QueueSelector::IFlush);
    }

    /// Prepares for input: whose it is, and whether that is another host than the one before.
    pub(super) fn begin_input(&self) -> (u64, bool) {
        let mut line = lock(&self.line);
        let another = line.is_open() && std::mem::take(&mut line.left);
        // Otherwise it is the last words of a host that has gone, unless they have been heard already.
        if !line.is_open() && !line.left {
            line.presumed = true;
        }
        (line.visit, another)
    }

    /// Writes to the host, or keeps what does not fit. With a visit, it is for the host of that visit only.
    pub(super) fn write(&self, bytes: &[u8], visit: Option<u64>) {
        let mut line = lock(&self.line);
        if !line.is_open() || visit.is_some_and(|visit| visit != line.visit) {
            line.dropped.idle += bytes.len() as u64;
            return;
        }
        let written = if line.backlog.is_empty() { self.write_some(bytes) } else { 0 };
        let rest = bytes.get(written..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        let room = BACKLOG.saturating_sub(line.backlog.len());
        let kept = rest.len().min(room);
        line.backlog.extend_from_slice(&rest[..kept]);
        line.dropped.overrun += (rest.len() - kept) as u64;
        line.wake();
    }

    /// How much can be written without anything being dropped. Nobody there takes everything.
    pub(super) fn room(&self) -> usize {
        let line = lock(&self.line);
        if line.is_open() { BACKLOG.saturating_sub(line.backlog.len()) } else { BACKLOG }
    }

    /// Writes as much as the terminal takes.
    pub(super) fn write_some(&self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(&self.master, rest) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        written
    }

    /// Writes from the backlog as long as the terminal takes it, and has the task woken when it takes more. Gives true when
    /// there is more room than before.
    pub(super) fn poll_backlog(&self, context: &mut Context<'_>, room: &mut Room) -> io::Result<bool> {
        let mut line = lock(&self.line);
        if line.waker.as_ref().is_none_or(|waker| !waker.will_wake(context.waker())) {
            line.waker = Some(context.waker().clone());
        }
        if line.backlog.is_empty() {
            room.0 = None;
            return Ok(false);
        }
        let before = line.backlog.len();
        while !line.backlog.is_empty() {
            let Poll::Ready(mut ready) = room.of(self)?.poll_write_ready(context)? else { break };
            match rustix::io::write(&self.master, &line.backlog) {
                Ok(written) => drop(line.backlog.drain(..written)),
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(line.backlog.len() < before)
    }
}

/// Has the runtime watch a terminal for something.
#[expect(deprecated, reason = "unsound for what does not own its descriptor; this does, and the new one is unsafe")]
fn watch_for(terminal: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(terminal, interest)
}

/// Waits for room in a terminal, while there is something that waits for it. A terminal that is watched for room all the
/// time wakes the modem whenever its host reads.
#[derive(Default)]
pub(super) struct Room(Option<AsyncFd<OwnedFd>>);

impl Room {
    fn of(&mut self, port: &Port) -> io::Result<&AsyncFd<OwnedFd>> {
        let watched = match self.0.take() {
            Some(watched) => watched,
            None => watch_for(port.master.try_clone()?, Interest::WRITABLE)?,
        };
        Ok(self.0.insert(watched))
    }
}

/// What a host writes.
pub(super) struct Input(AsyncFd<OwnedFd>);

impl Input {
    /// Reads what is there.
    pub(super) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = std::task::ready!(self.0.poll_read_ready(context))?;
            match rustix::io::read(self.0.get_ref(), &mut *buffer) {
                Ok(count) => {
                    // A read that does not fill the buffer has taken all there was. What comes after it is told anew: it
                    // need not be asked for.
                    if count < buffer.len() {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(errno) => return Poll::Ready(Err(errno.into())),
            }
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if let (Some(number), Ok(watch)) = (self.watch.get(), Watch::of_process()) {
            watch.remove(*number);
        }
    }
}
