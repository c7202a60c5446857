//! Any LPA: a description says how its operations are called and how what came of them is read.
//!
//! ```text
//! scenario: lpa = { download = ... } ── Call ──> Description ──> arguments, environment, standard input
//!                                                                        │ process
//!              Reported <── rules: result object, codes <── output, exit code
//! ```
//!
//! A [`Description`] is a TOML file; those of `lpad` and `lpac` are built in. What an LPA cannot do, or does not tell,
//! stands in it with the reason: scenarios that need it are skipped and say why. Failures that are known stand in it
//! too, with the place where they are reported.

mod description;
mod result;

pub use description::{Call, CodeKind, DEFAULT_ADDRESS, Description, DescriptionError, Given, Known, OperationName};
pub use result::{Answer, Output};
