//! Tests of the whole card, through APDUs alone. `lab` plays the LPA and the SM-DP+.

mod auth;
mod download;
pub(crate) mod lab;
mod manage;
mod model;
mod robust;
mod uicc;
mod usim;
