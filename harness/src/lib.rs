//! The `esimlab` program as a library: the lab that is wired up, the scenario language, the runner and the reports.
//!
//! A scenario file becomes a [`scenario::ast::Scenario`]; the runner sets up a lab with what the scenario says is there,
//! does its steps, and compares what was observed (the [`timeline::Timeline`], the card, the orders) with what it
//! expects; the reports print the verdicts.

// The JSON Schema of the language is one large `json!`.
#![recursion_limit = "256"]

pub mod bench;
pub mod bench_at;
pub mod bench_card;
mod bench_data;
pub mod bench_smdp;
mod built_in_lpa;
pub mod cli;
pub mod console;
pub mod control;
mod descriptors;
pub mod dialogue;
pub mod fault;
pub mod fleet;
pub mod hardware;
pub mod lab;
pub mod lpa;
mod nvm;
pub mod order_cmd;
mod peer;
mod pki_cmd;
mod profile;
mod qr;
pub mod real_server;
pub mod report;
pub mod runner;
pub mod scenario;
pub mod schema;
pub mod smdp_cmd;
pub mod tidy;
pub mod timeline;
pub mod toml_file;
pub mod traffic;
pub mod up;
