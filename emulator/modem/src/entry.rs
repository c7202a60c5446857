//! Data behind a prompt or a `CONNECT`: bytes as they are, up to a length that was told, or up to CTRL-Z.

use std::time::Duration;

use crate::connection::{Connection, Pause};
use crate::settings::Settings;
use crate::socket::SocketId;

/// What becomes of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// They are sent (`+QISEND`, `+QSSLSEND`).
    Send {
        /// The socket.
        id: SocketId,
        /// To whom, where it has no peer.
        to: Option<std::net::SocketAddr>,
    },
    /// They become a file (`+QFUPL`).
    Upload {
        /// Its name.
        name: String,
        /// Its size was told.
        sized: bool,
        /// Every 1024 bytes are acknowledged.
        acknowledges: bool,
    },
    /// They are written to an open file (`+QFWRITE`).
    Write {
        /// The handle.
        handle: u32,
    },
}

/// How data end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// CTRL-Z ends them, ESC gives them up.
    CtrlZ,
    /// There are so many bytes.
    Count(usize),
}

/// What bytes have led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// More are to come.
    Pending,
    /// All are there.
    Complete,
    /// The host has given up.
    Cancelled,
}

/// What is acknowledged at a time (`<ackmode>` of `+QFUPL`).
const ACKNOWLEDGED: usize = 1024;

/// More than any command takes up to CTRL-Z: what comes beyond is dropped, and the command refused.
const LIMIT: usize = 4096;

const CTRL_Z: u8 = 0x1A;
const ESC: u8 = 0x1B;

/// Data that are being entered.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) purpose: Purpose,
    pub(crate) end: End,
    pub(crate) data: Vec<u8>,
    /// How long the host may pause.
    timeout: Option<Duration>,
    last: Duration,
    /// `+++` between two pauses ends an upload.
    escape: Option<Connection>,
}

impl Entry {
    pub(crate) fn new(purpose: Purpose, end: End, timeout: Option<Duration>) -> Self {
        let escape = matches!(purpose, Purpose::Upload { .. } | Purpose::Write { .. }).then(Connection::default);
        Entry { purpose, end, data: Vec::new(), timeout, last: Duration::ZERO, escape }
    }

    /// Whether it stands behind a `>`; else behind a `CONNECT`.
    pub(crate) fn is_prompted(&self) -> bool {
        self.escape.is_none()
    }

    /// The host may begin.
    pub(crate) fn begin(&mut self, now: Duration) {
        self.last = now;
        if let Some(escape) = &mut self.escape {
            escape.resume(now);
        }
    }

    /// Takes bytes; gives how many of them were for this, and what they have led to. What the host is to see goes into
    /// `echo`.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        now: Duration,
        settings: &Settings,
        echo: &mut Vec<u8>,
    ) -> (usize, Taken) {
        self.last = now;
        match self.end {
            End::CtrlZ => {
                for (at, byte) in bytes.iter().enumerate() {
                    match *byte {
                        CTRL_Z => return (at + 1, Taken::Complete),
                        ESC => return (at + 1, Taken::Cancelled),
                        byte => {
                            if self.data.len() < LIMIT {
                                self.data.push(byte);
                            }
                            if settings.echo {
                                echo.push(byte);
                            }
                        }
                    }
                }
                (bytes.len(), Taken::Pending)
            }
            End::Count(count) => {
                let before = self.data.len();
                let used = bytes.len().min(count - before.min(count));
                let mine = bytes.get(..used).unwrap_or_default();
                match &mut self.escape {
                    Some(escape) => {
                        self.data.extend(escape.send(mine, now, b'+', settings.guard_time()).echoed);
                        // Escape characters that are kept back are data when they are the last ones.
                        if self.data.len() + escape.kept().len() >= count {
                            self.data.extend(escape.take_kept());
                        }
                    }
                    None => {
                        self.data.extend_from_slice(mine);
                        if settings.echo {
                            echo.extend_from_slice(mine);
                        }
                    }
                }
                if let Purpose::Upload { acknowledges: true, .. } = self.purpose {
                    echo.extend(std::iter::repeat_n(b'A', self.data.len() / ACKNOWLEDGED - before / ACKNOWLEDGED));
                }
                (used, if self.data.len() >= count { Taken::Complete } else { Taken::Pending })
            }
        }
    }

    /// When something is due without input.
    pub(crate) fn deadline(&self, guard: Duration) -> Option<Duration> {
        let escape = self.escape.as_ref().and_then(|escape| escape.deadline(guard));
        self.timeout.map(|timeout| self.last + timeout).into_iter().chain(escape).min()
    }

    /// What a pause has shown: that the host has given up, or has taken too long.
    pub(crate) fn pause(&mut self, now: Duration, guard: Duration) -> Option<Interruption> {
        match self.escape.as_mut().map(|escape| escape.pause(now, guard)) {
            Some(Pause::Escape) => return Some(Interruption::Escape),
            Some(Pause::Data(bytes)) => self.data.extend(bytes),
            Some(Pause::Nothing) | None => {}
        }
        self.timeout.is_some_and(|timeout| self.last + timeout <= now).then_some(Interruption::Timeout)
    }
}

/// Why data end before they are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// `+++`
    Escape,
    /// The host has paused for too long.
    Timeout,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(count: usize, acknowledges: bool) -> Entry {
        let purpose = Purpose::Upload { name: "a".to_owned(), sized: true, acknowledges };
        let mut entry = Entry::new(purpose, End::Count(count), Some(Duration::from_secs(5)));
        entry.begin(Duration::ZERO);
        entry
    }

    #[test]
    fn lengths_and_acknowledgements() {
        let mut entry = upload(2050, true);
        let mut echo = Vec::new();
        let settings = Settings::default();
        assert_eq!(entry.push(&[1; 1000], Duration::ZERO, &settings, &mut echo), (1000, Taken::Pending));
        assert_eq!(entry.push(&[1; 1040], Duration::ZERO, &settings, &mut echo), (1040, Taken::Pending));
        assert_eq!(entry.push(&[1; 99], Duration::ZERO, &settings, &mut echo), (10, Taken::Complete));
        assert_eq!(echo, b"AA");
    }

    #[test]
    fn plus_signs_at_the_end_are_data() {
        let mut entry = upload(3, false);
        let settings = Settings::default();
        let later = Duration::from_secs(2);
        assert_eq!(entry.push(b"+++", later, &settings, &mut Vec::new()), (3, Taken::Complete));
        assert_eq!(entry.data, b"+++");
        let mut entry = upload(30, false);
        assert_eq!(entry.push(b"+++", later, &settings, &mut Vec::new()), (3, Taken::Pending));
        assert_eq!(entry.pause(later + Duration::from_secs(1), Duration::from_secs(1)), Some(Interruption::Escape));
        let mut entry = upload(30, false);
        assert_eq!(entry.pause(Duration::from_secs(5), Duration::from_secs(1)), Some(Interruption::Timeout));
    }

    #[test]
    fn text_up_to_ctrl_z() {
        let purpose = Purpose::Send { id: SocketId(0), to: None };
        let mut entry = Entry::new(purpose, End::CtrlZ, None);
        let mut echo = Vec::new();
        let settings = Settings::default();
        assert_eq!(entry.push(b"abc\x1Axyz", Duration::ZERO, &settings, &mut echo), (4, Taken::Complete));
        assert_eq!((entry.data.as_slice(), echo.as_slice()), (&b"abc"[..], &b"abc"[..]));
        assert_eq!(entry.push(b"\x1B", Duration::ZERO, &settings, &mut echo), (1, Taken::Cancelled));
    }
}
