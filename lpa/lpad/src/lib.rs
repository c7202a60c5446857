//! A local profile assistant (LPA): downloads, lists, enables, disables and deletes eSIM profiles on an eUICC behind
//! a modem, as SGP.22 v2.5 describes the LPAd.
//!
//! ```text
//! cli ─▶ download, profiles, notifications     the procedures
//!             │                    │
//!           es10                  es9          functions of the card, functions of the server
//!             │                    │
//!           link                  http         AT line (CCHO/CGLA, CSIM), HTTPS by libcurl
//! ```
//!
//! The procedures are generic over [`link::ApduLink`] and [`http::Http`]; nothing in them does input or output.
//! What the card or the server has signed is passed on as the bytes that came.

pub mod cli;
pub mod discover;
pub mod download;
pub mod es10;
pub mod es9;
pub mod failure;
pub mod http;
pub mod imei;
pub mod link;
pub mod log;
pub mod lpa;
pub mod notifications;
pub mod profiles;
pub mod report;

pub use cli::main_with;
pub use failure::{EuiccFailure, Failure, Outcome, Step};
pub use lpa::Lpa;

#[cfg(test)]
mod tests;
