//! Text behind a prompt (TS 27.005 §3.5.1): a message, up to CTRL-Z, or ESC to give it up.

use crate::settings::Settings;
use crate::sms::Status;

/// What becomes of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `+CMGS`
    Send,
    /// `+CMGW`
    Write(Status),
}

/// What the message is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    /// A PDU with so many octets behind the address of the service centre.
    Pdu(usize),
    /// A text to this number.
    Text {
        /// The number.
        number: String,
        /// Its type, when the host has told it.
        kind: Option<u8>,
    },
}

/// A prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) purpose: Purpose,
    pub(crate) format: Format,
    pub(crate) text: Vec<u8>,
}

/// What a byte has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entered {
    Pending,
    Complete,
    Cancelled,
}

const CTRL_Z: u8 = 0x1A;
const ESC: u8 = 0x1B;

/// More than the longest message takes in any coding: what comes beyond is dropped, and the message refused.
pub(crate) const LIMIT: usize = 1024;

impl Prompt {
    pub(crate) fn new(purpose: Purpose, format: Format) -> Self {
        Prompt { purpose, format, text: Vec::new() }
    }

    /// Takes one byte; what the host is to see is appended to `echo`.
    pub(crate) fn push(&mut self, byte: u8, settings: &Settings, echo: &mut Vec<u8>) -> Entered {
        match byte {
            CTRL_Z => return Entered::Complete,
            ESC => return Entered::Cancelled,
            _ if byte == settings.s5 => {
                if self.text.pop().is_some() && settings.echo {
                    echo.extend_from_slice(&[8, b' ', 8]);
                }
            }
            b'\r' if matches!(self.format, Format::Text { .. }) => {
                self.add(b'\n');
                // TS 27.005 §3.5.1: each line of a text has a prompt.
                echo.extend_from_slice(&[settings.s3, settings.s4, b'>', b' ']);
            }
            // The line feed behind a carriage return, and line breaks in a PDU.
            b'\n' | b'\r' => {}
            _ => {
                self.add(byte);
                if settings.echo {
                    echo.push(byte);
                }
            }
        }
        Entered::Pending
    }

    fn add(&mut self, byte: u8) {
        // One more than the limit is kept, so that it shows.
        if self.text.len() <= LIMIT {
            self.text.push(byte);
        }
    }
}
