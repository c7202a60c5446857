//! AT dialogues with real modems: recorded, and served again.
//!
//! ```text
//! record:  host ── pseudo-terminal ── relay ── /dev/ttyUSB2 (the modem)
//!                                       └──> lines ──> redaction ──> transcript
//! replay:  host ── pseudo-terminal ── turns of a transcript
//! ```
//!
//! A recording is a [`Transcript`](crate::scenario::transcript::Transcript), the form that scenarios play as well.
//! What tells who somebody is (EID, ICCID, IMEI, IMSI, codes) is replaced by made-up values of the same form, unless
//! it is asked for otherwise.

pub mod lines;
pub mod record;
pub mod redact;
pub mod replay;
pub mod terminal;
