//! What can be watched of a modem.

use crate::network::NetworkEvent;

/// One thing that happened, borrowed while it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModemEvent<'a> {
    /// A command line was taken: its text with `AT`, without terminator.
    Command {
        /// The port, counted from 0.
        port: usize,
        /// The line.
        line: &'a str,
    },
    /// The whole response to a command line, delimiters included, echo not.
    Response {
        /// The port, counted from 0.
        port: usize,
        /// The text.
        text: &'a str,
    },
    /// An unsolicited result code, without delimiters. It goes to every port.
    Urc {
        /// The line.
        line: &'a str,
    },
    /// An exchange with the card.
    Apdu {
        /// The command APDU.
        command: &'a [u8],
        /// The response with its status word.
        response: &'a [u8],
    },
    /// The operators have noted something of the device.
    Network(&'a NetworkEvent),
    /// The card was powered up or reset.
    CardReset {
        /// The answer to reset.
        atr: &'a [u8],
    },
}

/// Watches a modem. It is called while the modem works, and must not block.
pub trait Observer: Send {
    /// Takes one event.
    fn event(&mut self, event: ModemEvent<'_>);
}

/// The observer of a modem, if there is one.
#[derive(Default)]
pub(crate) struct Tap(pub(crate) Option<Box<dyn Observer>>);

impl Tap {
    pub(crate) fn event(&mut self, event: ModemEvent<'_>) {
        if let Some(observer) = &mut self.0 {
            observer.event(event);
        }
    }
}
