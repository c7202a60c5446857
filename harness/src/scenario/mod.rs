//! The scenario language: what is there at the start, what happens, what goes wrong, what must be seen.
//!
//! [`parse`](parse::parse) makes a [`Scenario`](ast::Scenario) of the text of a file, or tells all its
//! [`Mistakes`](error::Mistakes); [`load`] finds the files and gives each its id.

pub mod ast;
pub mod error;
pub mod explain;
pub mod load;
pub mod parse;
pub mod transcript;
