//! A connection in data mode: the other side sends everything back, and `+++` between two pauses leads back to
//! command mode without ending it.
//!
//! Escape characters are kept back until it is clear what they are. A pause before and behind three of them makes an
//! escape sequence, which the other side never sees; anything else makes them data.

use std::time::Duration;

use crate::ppp::Ppp;
use crate::socket::SocketId;

/// Where a connection leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Peer {
    /// A loop: everything comes back.
    #[default]
    Loop,
    /// A packet data context.
    Packets(u8),
    /// A socket in transparent access mode.
    Socket(SocketId),
}

/// A connection that stands.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(crate) peer: Peer,
    /// The link over a packet data context that has an IPv4 address.
    pub(crate) link: Option<Box<Ppp>>,
    /// When data came last.
    last: Duration,
    /// Escape characters that are kept back.
    kept: Vec<u8>,
}

/// What sending has brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// What came back.
    pub(crate) echoed: Vec<u8>,
}

/// How many escape characters make a sequence.
const ESCAPES: usize = 3;

impl Connection {
    /// A connection to this.
    pub(crate) fn to(peer: Peer) -> Self {
        Connection { peer, ..Connection::default() }
    }

    /// A connection over a packet data context, with a link where it has an IPv4 address.
    pub(crate) fn over(cid: u8, link: Option<Box<Ppp>>) -> Self {
        Connection { link, ..Connection::to(Peer::Packets(cid)) }
    }

    /// Data mode begins, or begins again.
    pub(crate) fn resume(&mut self, now: Duration) {
        self.last = now;
        self.kept.clear();
    }

    /// Takes bytes of the host. An escape character above 127 means that there is no escape (S2).
    pub(crate) fn send(&mut self, bytes: &[u8], now: Duration, escape: u8, guard: Duration) -> Sent {
        let mut quiet = now.saturating_sub(self.last) >= guard;
        // Where nothing can be a part of a sequence, nothing has to be looked at.
        let may_begin = quiet && bytes.first() == Some(&escape);
        if self.kept.is_empty() && !may_begin && !guard.is_zero() && !bytes.is_empty() {
            self.last = now;
            return Sent { echoed: bytes.to_vec() };
        }
        let mut echoed = Vec::with_capacity(bytes.len() + self.kept.len());
        for byte in bytes {
            let is_escape = escape <= 127 && *byte == escape;
            // The pause is before the first one only; the others follow within it.
            if !self.kept.is_empty() && (!is_escape || self.kept.len() == ESCAPES || (quiet && !guard.is_zero())) {
                echoed.append(&mut self.kept);
            }
            if is_escape && (!self.kept.is_empty() || quiet) {
                self.kept.push(*byte);
            } else {
                echoed.push(*byte);
            }
            quiet = guard.is_zero();
        }
        if !bytes.is_empty() {
            self.last = now;
        }
        Sent { echoed }
    }

    /// The characters that are kept back.
    pub(crate) fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// Gives them back: they are data.
    pub(crate) fn take_kept(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept)
    }

    /// When it is clear what the characters that are kept back are.
    pub(crate) fn deadline(&self, guard: Duration) -> Option<Duration> {
        (!self.kept.is_empty()).then(|| self.last + guard)
    }

    /// What a pause shows the characters to be that are kept back.
    pub(crate) fn pause(&mut self, now: Duration, guard: Duration) -> Pause {
        if self.deadline(guard).is_none_or(|due| due > now) {
            return Pause::Nothing;
        }
        let kept = std::mem::take(&mut self.kept);
        if kept.len() == ESCAPES { Pause::Escape } else { Pause::Data(kept) }
    }
}

/// What a pause has shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    Nothing,
    /// An escape sequence is complete.
    Escape,
    /// They were data, and this is what came back.
    Data(Vec<u8>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GUARD: Duration = Duration::from_secs(1);

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn escapes() {
        let mut connection = Connection::default();
        connection.resume(at(0));
        let mut send = |bytes: &[u8], time| connection.send(bytes, at(time), b'+', GUARD).echoed;
        // No pause before it.
        assert_eq!(send(b"+++", 500), b"+++");
        assert_eq!(send(b"a", 600), b"a");
        // In three pieces, with pauses that are short.
        assert_eq!(send(b"+", 1600), b"");
        assert_eq!(send(b"+", 2500), b"");
        assert_eq!(send(b"+", 3000), b"");
        assert_eq!(connection.pause(at(3999), GUARD), Pause::Nothing);
        assert_eq!(connection.pause(at(4000), GUARD), Pause::Escape);
        assert_eq!(connection.pause(at(9000), GUARD), Pause::Nothing);
    }

    #[test]
    fn what_only_looks_like_it() {
        for after in [&b"x"[..], b"\r", b"+"] {
            let mut connection = Connection::default();
            connection.resume(at(0));
            assert_eq!(connection.send(b"+++", at(2000), b'+', GUARD).echoed, b"");
            assert_eq!(connection.send(after, at(2500), b'+', GUARD).echoed, [b"+++", after].concat());
            assert_eq!(connection.deadline(GUARD), None);
        }
        let mut connection = Connection::default();
        assert_eq!(connection.send(b"+++", at(2000), 200, GUARD).echoed, b"+++");
        // A pause between them makes the first ones data, by itself or by what follows.
        let mut connection = Connection::default();
        assert_eq!(connection.send(b"++", at(2000), b'+', GUARD).echoed, b"");
        assert_eq!(connection.pause(at(3000), GUARD), Pause::Data(b"++".to_vec()));
        assert_eq!(connection.send(b"++", at(5000), b'+', GUARD).echoed, b"");
        assert_eq!(connection.send(b"+", at(7000), b'+', GUARD).echoed, b"++");
        assert_eq!(connection.pause(at(8000), GUARD), Pause::Data(b"+".to_vec()));
    }

    proptest! {
        /// No byte is lost or doubled, but for sequences that are escapes.
        #[test]
        fn all_data_comes_back(
            pieces in proptest::collection::vec((proptest::collection::vec(prop_oneof![Just(b'+'), any::<u8>()], 0..6), 0u64..900), 0..20),
        ) {
            let mut connection = Connection::default();
            connection.resume(at(0));
            let (mut sent, mut back, mut now) = (Vec::new(), Vec::new(), 0);
            for (bytes, pause) in pieces {
                now += pause;
                back.extend(connection.send(&bytes, at(now), b'+', GUARD).echoed);
                sent.extend(bytes);
            }
            back.extend(connection.send(b"x", at(now), b'+', GUARD).echoed);
            sent.push(b'x');
            prop_assert_eq!(back, sent);
        }
    }
}
