//! A software eUICC (GSMA SGP.22 v2.5): a core without I/O, command APDU in, response APDU out.
//!
//! ```text
//! APDU → class, lengths, channel → SELECT, MANAGE CHANNEL, files …
//!                                → STORE DATA → blocks put together → ISD-R: ES10a, ES10b, ES10c
//!                                                                     → bound profile package: ES8+ → profile
//!      ← response data and status word, or 61xx and GET RESPONSE
//! ```
//!
//! The card really verifies: certificates against its CIs, signatures over the bytes that arrived, the MAC of every
//! segment. It knows no time and no randomness of its own; both are handed in. What it keeps changes in whole
//! steps, so that a profile is installed with its notifications or not at all.
//!
//! - `apdu`, `channels`, `files`: the UICC underneath;
//! - `uicc`: the files, PINs and authentication of the enabled profile;
//! - `isdr`: the functions of ES10, one module per subject;
//! - `es6`: what an operator changes of its enabled profile; `ota`: how that, and commands on files, come over the air;
//! - `session`, `loader`, `package`: a download, from the challenge to the last profile element;
//! - `store`, `nvram`, `profile`, `policy`, `revocation`: what is on the card, where it is kept, what may be done with
//!   it, and whom the card does not trust any more;
//! - `toolkit`: the proactive command that a switch of profiles needs.
//!
//! ```
//! # use euicc::{CardConfig, Euicc};
//! # use rsp::{Eid, crypto::SystemRandom};
//! let eid = Eid::parse("89049032123451234512345678901235")?;
//! let mut card = Euicc::new(CardConfig::new(eid, Vec::new()), Box::new(SystemRandom));
//! let atr = card.reset();
//! assert_eq!(atr[0], 0x3B);
//! assert_eq!(card.transmit(&[0x00, 0x70, 0x00, 0x00, 0x01], 0), [0x01, 0x90, 0x00]);
//! # Ok::<(), rsp::ids::IdError>(())
//! ```

mod apdu;
mod applet;
mod card;
mod channels;
pub mod config;
mod es6;
mod event;
mod files;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod isdr;
mod loader;
mod nvram;
mod ota;
mod package;
mod policy;
mod profile;
mod revocation;
mod session;
pub mod spec;
mod store;
mod toolkit;
mod uicc;

pub use applet::MultiImsi;
pub use card::{Euicc, NotificationSummary, ProfileSummary};
pub use config::{CardConfig, Credentials, PreinstalledProfile};
pub use event::CardEvent;
pub use nvram::{Nvram, NvramError, StorageBackend};
pub use package::PackageError;
pub use uicc::{ElementReport, Outcome, PackageReport};

#[cfg(test)]
mod tests;
