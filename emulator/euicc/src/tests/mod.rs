//! Tests of the whole card, through APDUs alone. `lab` plays the LPA and the SM-DP+.

mod auth;
mod conformance;
mod crl;
mod download;
mod durable;
pub(crate) mod lab;
mod manage;
mod model;
mod ota;
mod refresh;
mod robust;
mod uicc;
mod usim;
mod wiped;
