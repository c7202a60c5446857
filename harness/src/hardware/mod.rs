//! A real modem in the place of the emulation.
//!
//! ```text
//! scenario ── fit: can it be run here, may it? ──> skipped with the reason
//!                │
//!                v
//! runner, LPA ── relay (pseudo-terminal, timeline) ── /dev/ttyUSB2 ── modem ── card
//!                │
//!                v
//! the card is put back as it was found
//! ```
//!
//! - [`permission`]: what may be changed on the card, and what each step of a scenario changes;
//! - [`card`]: what is on the card, read and put back;
//! - [`target`]: the modem as a place where scenarios are run;
//! - [`compare`]: a modem beside a model, command by command.

pub mod card;
pub mod compare;
pub mod permission;
pub mod target;
