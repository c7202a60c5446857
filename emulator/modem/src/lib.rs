//! A cellular modem: an AT engine with a card behind it, as a core without I/O and as a pseudo-terminal.
//!
//! - [`Modem`] is the core: bytes that a host writes to a port go in, bytes for the ports come out. It holds a
//!   [`Card`], which is any thing that answers APDUs.
//! - [`Model`] is what distinguishes one module from another, as data: identity, ports, dialect.
//! - [`RunningModem`] puts a core on pseudo-terminals, one per AT port.
//!
//! What happens inside is told to an [`Observer`]: command lines, responses, APDUs.

mod card;
mod commands;
mod engine;
mod event;
mod line;
mod lpa;
mod model;
mod parse;
mod pty;
mod result;
mod settings;
#[cfg(test)]
mod testing;

pub use card::Card;
pub use engine::{Modem, Output, Write, WriteKind};
pub use event::{ModemEvent, Observer};
pub use model::{CchoAnswer, Defaults, Dialect, HostAccess, Identity, Imei, Model, ModelError, Ports, Urcs};
pub use pty::{Dropped, RunningModem};
pub use result::CmeError;
