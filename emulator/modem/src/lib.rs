//! A cellular modem: an AT engine with a card behind it, as a core without I/O and as a pseudo-terminal.
//!
//! - [`Modem`] is the core: bytes that a host writes to a port go in, bytes for the ports come out. It holds a
//!   [`Card`], which is any thing that answers APDUs.
//! - [`Model`] is what distinguishes one module from another, as data: identity, ports, dialect.
//! - [`RunningModem`] puts a core on pseudo-terminals, one per AT port.
//! - [`network`] is the mobile network around it, with its operators, their subscriptions and their console.
//! - [`Downloader`] makes downloads for the module's own LPA.
//!
//! What happens inside is told to an [`Observer`]: command lines, responses, APDUs.

mod calendar;
mod card;
mod charset;
mod commands;
mod connection;
mod data_path;
mod download;
mod engine;
mod entry;
mod errors;
mod event;
mod files;
#[cfg(feature = "shell")]
mod host;
mod ip_error;
mod line;
mod lpa;
mod model;
pub mod network;
mod nvm;
mod output;
mod parse;
mod pdp;
mod phonebook;
mod port;
mod ppp;
mod prompt;
#[cfg(feature = "shell")]
mod pty;
mod radio;
mod result;
mod service;
mod settings;
mod sim;
mod sms;
mod socket;
mod sockets;
mod ssl;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod toolkit;

pub use card::Card;
pub use commands::{maximum_response_time, maximum_response_time_of_line};
pub use data_path::Flow;
pub use download::{DataPath, DownloadGone, DownloadJob, DownloadResult, DownloadTicket, Downloader};
pub use engine::{MessageError, Modem};
pub use errors::{CmeError, CmsError};
pub use event::{ModemEvent, Observer};
pub use files::FileStore;
#[cfg(feature = "shell")]
pub use host::HostNetwork;
pub use ip_error::IpError;
pub use model::{
    ApduTransport, BlankCard, Bytes, CardHandling, CchoAnswer, CchoFailure, CommandSet, Defaults, Dialect, Files,
    HostAccess, Identity, Imei, LostSegments, Model, ModelError, Ports, ProfileSwitch, QesimDialect, StartupStep,
    Times, Timing, UrcPort, Urcs,
};
pub use nvm::{Nvm, NvmError, NvmStore};
pub use output::{Output, Write, WriteKind};
#[cfg(feature = "shell")]
pub use pty::{Dropped, Line, ModemHandle, RunningModem};
pub use radio::{Radio, RadioSetting};
pub use socket::{SocketEvent, SocketId, SocketRequest, TlsSettings, TlsVersions, Transport};
