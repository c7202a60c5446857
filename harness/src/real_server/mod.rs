//! A real SM-DP+ in the place of the emulated one.
//!
//! ```text
//! scenario ── fit: can it be run there? ──> skipped with the reason
//!                │
//!                v
//! orders: of the file that the user has written, or made over ES2+ ── downloadOrder, confirmOrder ──┐
//!                │                                                                                   v
//! LPA ── ES9+ over HTTPS ──────────────────────────────────────────────────────────────────> the SM-DP+
//!   └── emulated modem and card (or a real modem)                                                    ^
//!                │                                                                                   │
//! orders that are left are taken back ── cancelOrder ───────────────────────────────────────────────┘
//! ```
//!
//! The requests do not pass through this program. What the server does is seen by what comes of it: at the card, and
//! in what the LPA tells. What is seen nowhere is told as not looked at.
//!
//! - [`args`]: the options of the command line;
//! - [`stock`]: what the server has, by the names that scenarios give it;
//! - [`es2`]: the operator's functions;
//! - [`fit`]: which scenarios can be run there;
//! - [`orders`]: the orders of a scenario, made and taken back;
//! - [`target`]: the server, with the emulated modem and card, as a place where scenarios are run.

pub mod args;
pub mod es2;
pub mod fit;
pub mod orders;
pub mod stock;
pub mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use pki::Pki;
use rsp::ServerAddress;

use es2::Operator;
use orders::Placed;
use stock::Stock;

/// A real SM-DP+, and what is known of it.
#[derive(Debug)]
pub struct RealServer {
    /// Where it is.
    pub url: ServerUrl,
    /// The certificates under which its TLS certificate is issued, in PEM form.
    pub trust: Vec<u8>,
    /// The certificates and keys of the emulated card.
    pub pki: Option<Pki>,
    /// What it has.
    pub stock: Stock,
    /// The way of an operator to it.
    pub operator: Option<Operator>,
    state: Mutex<State>,
    /// Held by a scenario whose order is found by the EID: another one would be given its profile.
    by_eid: Arc<tokio::sync::Mutex<()>>,
    /// Held for reading while something is done at the server.
    busy: Arc<tokio::sync::RwLock<()>>,
}

/// What has been done at the server.
#[derive(Debug, Default)]
struct State {
    /// The orders that are there for a scenario that runs, by a number of their own.
    placed: BTreeMap<u64, Placed>,
    /// How many there have been.
    count: u64,
    /// Those orders of the file that have been handed out, by their place in it.
    used: BTreeSet<usize>,
    /// Profiles of the file that are taken, or used up.
    taken: BTreeSet<rsp::Iccid>,
    /// What could not be put back.
    left: Vec<orders::Left>,
}

impl RealServer {
    /// A server at this place.
    pub fn new(url: ServerUrl, trust: Vec<u8>, pki: Option<Pki>, stock: Stock, operator: Option<Operator>) -> Self {
        RealServer {
            url,
            trust,
            pki,
            stock,
            operator,
            state: Mutex::default(),
            by_eid: Arc::default(),
            busy: Arc::default(),
        }
    }

    /// Its address, as it stands in activation codes.
    pub fn address(&self) -> &str {
        self.url.address.as_str()
    }
}

/// Where a real SM-DP+ is: `https://HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// Its address, as it stands in activation codes.
    pub address: ServerAddress,
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "write it as https://smdp.example.com, with :PORT behind it if that is not 443";
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => rest,
            Some((scheme, _)) => return Err(format!("an SM-DP+ speaks HTTPS, not {scheme}; {FORM}")),
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) {
            return Err(format!("an activation code has room for a host and a port alone; {FORM}"));
        }
        let rest = rest.strip_suffix(":443").unwrap_or(rest);
        let address = ServerAddress::parse(rest).map_err(|_| format!("{rest:?} is no host; {FORM}"))?;
        Ok(ServerUrl { address })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_server() {
        let read = |text: &str| text.parse::<ServerUrl>().map(|url| url.to_string());
        for (text, url) in [
            ("https://smdp.example.com", "https://smdp.example.com"),
            ("https://smdp.example.com/", "https://smdp.example.com"),
            ("HTTPS://smdp.example.com:443", "https://smdp.example.com"),
            ("https://127.0.0.1:8443", "https://127.0.0.1:8443"),
            ("smdp.example.com:8443", "https://smdp.example.com:8443"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(url), "{text}");
        }
        for (text, part) in [
            ("http://smdp.example.com", "not http"),
            ("https://smdp.example.com/gsma/rsp2", "host and a port alone"),
            ("https://user@smdp.example.com", "host and a port alone"),
            ("https://", "is no host"),
            ("https://smdp.example.com:99999", "is no host"),
        ] {
            assert!(read(text).unwrap_err().contains(part), "{text}: {:?}", read(text));
        }
    }
}
