//! Links to the card: an [`ApduLink`] carries command APDUs to the ISD-R on a logical channel of its own.
//!
//! ```text
//! es10 ──APDU──▶ ApduLink: AtLink (CCHO, CGLA, CCHC) or CsimLink (CSIM, MANAGE CHANNEL); AutoLink is the one that works
//!                    │ command lines, answers
//!                 Dialogue (echo, URCs, result codes, deadlines)
//!                    │ bytes
//!                 Port: Tty, or a script in a test
//! ```
//!
//! The channel is opened when the link is made and closed when it is dropped. Everything has a deadline: a modem
//! that falls silent gives an error that names the command.

use std::time::Duration;

use rsp::Aid;

use crate::imei::Imei;

pub mod at;
pub mod auto;
pub mod csim;
pub mod dialogue;
pub mod others;
pub mod tty;

pub use at::AtLink;
pub use auto::AutoLink;
pub use csim::CsimLink;
pub use dialogue::{Dialogue, Port};
pub use tty::Tty;

/// A channel to the ISD-R.
pub trait ApduLink {
    /// Sends one command APDU and returns the response APDU, status word included.
    ///
    /// The command is written for the basic channel; the link puts the real one into CLA where that is its task.
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, LinkError>;

    /// Opens the channel anew after the card has been reset.
    fn reopen(&mut self) -> Result<(), LinkError>;

    /// The number of the device in which the card is, when the link knows one.
    fn device_imei(&mut self) -> Option<Imei> {
        None
    }
}

impl<L: ApduLink + ?Sized> ApduLink for Box<L> {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, LinkError> {
        (**self).transmit(apdu)
    }

    fn reopen(&mut self) -> Result<(), LinkError> {
        (**self).reopen()
    }

    fn device_imei(&mut self) -> Option<Imei> {
        (**self).device_imei()
    }
}

/// How a link is opened and how long it waits.
#[derive(Debug, Clone)]
pub struct LinkOptions {
    /// The application to select; some cards in the field have the ISD-R under another AID.
    pub aid: Aid,
    /// The longest wait for the answer to one APDU. Cards were seen to take 89 s over a package.
    pub apdu_timeout: Duration,
    /// The longest wait for the answer to any other command.
    pub command_timeout: Duration,
}

impl Default for LinkOptions {
    fn default() -> Self {
        LinkOptions {
            aid: Aid::isd_r(),
            apdu_timeout: Duration::from_secs(120),
            command_timeout: Duration::from_secs(10),
        }
    }
}

/// What can go wrong between this program and the card.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The terminal cannot be opened.
    #[error("cannot open {path}: {source}")]
    Open {
        /// The path as given.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The path names something that is no terminal.
    #[error("{path} is not a terminal")]
    NotATerminal {
        /// The path as given.
        path: String,
    },
    /// Another program holds the terminal.
    #[error("{path} is in use by another program")]
    Busy {
        /// The path as given.
        path: String,
    },
    /// Reading or writing failed.
    #[error("the terminal failed: {0}")]
    Io(#[from] std::io::Error),
    /// The terminal has hung up: the modem has been unplugged or has restarted.
    #[error("the modem has gone away")]
    Gone,
    /// No answer in time.
    #[error("no answer to {command} within {}", seconds(.after))]
    Timeout {
        /// The command, without long data.
        command: String,
        /// How long was waited.
        after: Duration,
    },
    /// The modem has started anew instead of answering.
    #[error("the modem has restarted instead of answering {command}")]
    Restarted {
        /// The command, without long data.
        command: String,
    },
    /// The modem does not answer at all.
    #[error("no modem answers on this terminal")]
    Silent,
    /// The modem refused the command.
    #[error("the modem answered {answer} to {command}")]
    Refused {
        /// The command, without long data.
        command: String,
        /// The result code as it came.
        answer: String,
    },
    /// The card would open its ISD-R, and the modem does not let the host: it has an LPA of its own.
    #[error("the modem answered {answer} to AT+CCHO: it keeps the ISD-R from the host (its own LPA is {})", if *.own_lpa { "enabled" } else { "disabled" })]
    Kept {
        /// The result code as it came.
        answer: String,
        /// Whether the module's LPA is enabled.
        own_lpa: bool,
    },
    /// The modem refuses each way to the card.
    #[error("the modem lets no host at the card: it answered {ccho} to AT+CCHO and {csim} to AT+CSIM")]
    NoWay {
        /// The result code of the one as it came.
        ccho: String,
        /// The result code of the other.
        csim: String,
    },
    /// An answer that cannot be understood.
    #[error("cannot understand the answer {answer:?} to {command}: {problem}")]
    Malformed {
        /// The command, without long data.
        command: String,
        /// The answer as it came, shortened.
        answer: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The card refused to open a logical channel or to select the ISD-R.
    #[error("{function} for the ISD-R ended in status {status_word:04X}")]
    NoChannel {
        /// The card command that failed.
        function: &'static str,
        /// Its status word.
        status_word: u16,
    },
}

fn seconds(duration: &Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

impl LinkError {
    /// The status word, when it was the card that refused.
    pub fn status_word(&self) -> Option<u16> {
        match self {
            LinkError::NoChannel { status_word, .. } => Some(*status_word),
            _ => None,
        }
    }

    /// Whether another program at the terminal may be the cause: it is taken, there was no answer, or none that makes
    /// sense.
    pub fn may_be_a_rival(&self) -> bool {
        use LinkError::{Busy, Malformed, Silent, Timeout};
        matches!(self, Busy { .. } | Silent | Timeout { .. } | Malformed { .. })
    }

    /// What the user can try.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            LinkError::Open { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => {
                    Some("check the path; `ls /dev/ttyUSB*` shows the ports of a modem, its AT port is often the third")
                }
                std::io::ErrorKind::PermissionDenied => {
                    Some("use sudo, or make yourself a member of the group that owns the device (often `dialout`)")
                }
                _ => Some("give the AT port of the modem with -d, as in /dev/ttyUSB2"),
            },
            LinkError::NotATerminal { .. } => Some("give the AT port of the modem with -d"),
            LinkError::Busy { .. } => Some("wait until the other program has finished, or stop it"),
            LinkError::Gone => Some("check the cable and the power of the modem, wait until it is back, and try again"),
            LinkError::Timeout { .. } => {
                Some("if the card only needs longer, give more time with --timeout; otherwise restart the modem")
            }
            LinkError::Restarted { .. } => Some("wait until it is ready, and try again"),
            LinkError::Silent => Some("check that this is the AT port of the modem and that no other program holds it"),
            LinkError::Kept { own_lpa: true, .. } => Some(
                "restart the modem (AT+CFUN=1,1) and try again: some need that after a profile was disabled; if it stays \
                 so, switch its own LPA off (AT+QESIM=\"lpa_enable\",0), restart it once more and try again. --csim goes \
                 another way",
            ),
            LinkError::Kept { own_lpa: false, .. } => Some(
                "if its own LPA was switched off just now, restart the modem (AT+CFUN=1,1) and try again; otherwise \
                 switch it on (AT+QESIM=\"lpa_enable\",1): some let the host at the ISD-R only then. --csim goes another \
                 way",
            ),
            LinkError::NoWay { .. } => Some(
                "check that the card is in place, and restart the modem; if it stays so: some modems (Sierra EM7455) \
                 leave a card alone that has no enabled profile, and it gets its first one in another modem",
            ),
            LinkError::Refused { command, .. } if command.starts_with("AT+CCHO") => Some(
                "check that the card is an eUICC; on a module with an LPA of its own, AT+QESIM=\"lpa_enable\" decides \
                 whether the host may open the ISD-R (1 on most firmware, 0 on some, then one reset); try --csim, or \
                 restart the modem",
            ),
            LinkError::Refused { command, .. } if command.starts_with("AT+CSIM") => Some(
                "the modem gives the host no access to the card by CSIM; try without --csim, or another port of the \
                 modem",
            ),
            LinkError::Refused { .. } => Some("try again; if it stays so, restart the modem"),
            LinkError::NoChannel { status_word: 0x6A82 | 0x6A88 | 0x6999, .. } => {
                Some("the card is no eUICC, or its ISD-R has another AID (--isd-r)")
            }
            LinkError::NoChannel { .. } => Some("another program may hold the card's channels; restart the modem"),
            LinkError::Io(_) | LinkError::Malformed { .. } => None,
        }
    }
}

/// CLA with a logical channel in it, for a command written for the basic channel (ISO 7816-4 §5.4.1: the first
/// interindustry values take channels 0 to 3, the further ones 4 to 19; GlobalPlatform's 8X and CX alike).
pub fn class_on_channel(class: u8, channel: u8) -> u8 {
    match channel {
        0..=3 => class & 0xFC | channel,
        _ => class & 0x80 | 0x40 | channel.saturating_sub(4) & 0x0F,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_numbers_in_class() {
        // ISO 7816-4 §5.4.1 table 2 and 3; GlobalPlatform 2.3 §11.1.4.
        for (class, channel, coded) in
            [(0x80, 1, 0x81), (0x00, 3, 0x03), (0x80, 4, 0xC0), (0x00, 4, 0x40), (0x80, 19, 0xCF), (0x82, 0, 0x80)]
        {
            assert_eq!(class_on_channel(class, channel), coded, "{class:02X} on {channel}");
        }
    }
}
