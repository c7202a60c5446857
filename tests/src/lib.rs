//! What the end-to-end tests share: a world without I/O, and labs with real terminals and sockets.
//!
//! - [`World`]: the assistant's procedures, a card and a server joined in memory, with a hand on every message. A
//!   whole download takes some milliseconds, so that properties can be tried on thousands of them.
//! - [`shared_data`]: test data that a user's checkout does not have.
//! - [`client`]: programs that are not ours, with deadlines; [`modem_manager`]: one that takes a world of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what cannot be set up fails the test")]

pub mod client;
pub mod modem_manager;

use std::path::PathBuf;
use std::sync::OnceLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use esimlab::lab::{Lab, LabBuilder, Preinstalled};
use esimlab::timeline::{Direction, Kind};
use euicc::{CardConfig, Euicc};
use lpad::Lpa;
use lpad::download::{DownloadRequest, Installed, Source};
use lpad::es10::Card;
use lpad::http::{Http, HttpError, HttpReply};
use lpad::link::{ApduLink, LinkError};
use lpad::report::Silent;
use pki::{Pki, PkiSpec};
use rsp::crypto::{Curve, SeededRandom};
use rsp::{ActivationCode, Eid};
use serde_json::Value;
use smdp::front::{Function, json};
use smdp::{OrderSpec, Profile, Smdp, SmdpConfig};

/// 2026-01-01: the time in a [`World`].
pub const NOW: i64 = 1_767_225_600;

/// The address of the server in a [`World`].
pub const ADDRESS: &str = "smdp.example.com";

/// The EID of the card in a [`World`].
pub const EID: &str = "89049032123451234512345678901235";

/// A folder of the shared test data; `None`, with a message, on a checkout that does not have it.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(format!("{}/../../shared/data/{name}", env!("CARGO_MANIFEST_DIR")));
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there", path.display());
    None
}

/// A profile that comes with the lab.
pub fn profile(name: &str) -> Profile {
    Profile::build(&smdp::profile::built_in_named(name).expect("built in")).expect("a profile")
}

/// A lab whose card has Operator A, enabled, and Operator B: the modem is registered.
pub fn two_profiles() -> LabBuilder {
    let of = |name, enabled| Preinstalled { profile: profile(name), enabled, nickname: None };
    Lab::builder().profile(of("operator-a", true)).profile(of("operator-b", false))
}

/// What has gone over the terminals of a lab, line by line: commands with `>` in front, everything else with `<`.
pub fn dialogue(lab: &Lab) -> Vec<String> {
    let line = |event: esimlab::timeline::Event| match event.kind {
        Kind::At { direction: Direction::Command, text, .. } => Some(format!("> {text}")),
        Kind::At { direction: Direction::Response, text, .. } => Some(format!("< {text}")),
        _ => None,
    };
    lab.timeline().snapshot().into_iter().filter_map(line).collect()
}

/// The keys of all worlds, made once.
pub fn test_pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| {
        Pki::generate(&PkiSpec::default(), &mut SeededRandom::new(1, "pki"), NOW - 86_400).expect("a PKI")
    })
}

/// A hand on the messages of ES9+ on their way. The value is the JSON body.
pub trait Meddler {
    /// Changes a request before the server sees it.
    fn request(&mut self, function: Function, body: &mut Value) {
        let _ = (function, body);
    }

    /// Changes a response before the assistant sees it.
    fn response(&mut self, function: Function, body: &mut Value) {
        let _ = (function, body);
    }
}

/// Changes nothing.
pub struct Honest;

impl Meddler for Honest {}

/// Reads a Base64 member of a message, lets `change` change it, and puts it back.
pub fn change_member(body: &mut Value, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let text = body[name].as_str().unwrap_or_else(|| panic!("the message has no {name}"));
    let mut bytes = BASE64_STANDARD.decode(text).expect("Base64");
    change(&mut bytes);
    body[name] = BASE64_STANDARD.encode(bytes).into();
}

/// A card and a server.
pub struct World {
    /// The card.
    pub card: Euicc,
    /// The server.
    pub smdp: Smdp,
}

impl World {
    /// A blank card and a server with one order, `ORDER-1`, under keys on this curve.
    pub fn new(curve: Curve, replace_session_keys: bool) -> Self {
        let pki = test_pki();
        let eid = Eid::parse(EID).expect("an EID");
        let credentials = pki.euicc(curve, &eid).expect("credentials").clone();
        let card = Euicc::new(
            CardConfig::new(
                eid,
                vec![euicc::Credentials {
                    ci: credentials.ci,
                    eum: credentials.eum,
                    euicc: credentials.euicc.certificate,
                    key: credentials.euicc.key,
                }],
            ),
            Box::new(SeededRandom::new(2, "card")),
        );
        let identity =
            |own: &pki::Identity| smdp::Identity { certificate: own.certificate.clone(), key: own.key.clone() };
        let own = pki.smdp(curve).expect("credentials");
        let config = SmdpConfig::new(
            ADDRESS,
            own.oid.clone(),
            vec![smdp::Credentials {
                ci: pki.ci(curve).expect("a CI").clone(),
                auth: identity(&own.auth),
                pb: identity(&own.pb),
            }],
        );
        let mut smdp = Smdp::new(config, Box::new(SeededRandom::new(3, "server"))).expect("a server");
        static PROFILE: OnceLock<Profile> = OnceLock::new();
        let profile = PROFILE.get_or_init(|| {
            Profile::build(&smdp::profile::built_in_named("operator-a").expect("built in")).expect("a profile")
        });
        let order = OrderSpec {
            replace_session_keys: Some(replace_session_keys),
            ..OrderSpec::new("ORDER-1", profile.clone())
        };
        smdp.add_order(order, NOW).expect("an order");
        World { card, smdp }
    }

    /// Downloads `ORDER-1`.
    pub fn download(&mut self, meddler: &mut dyn Meddler) -> lpad::Outcome<Installed> {
        let World { card, smdp } = self;
        let mut report = Silent;
        let link = CardLink::open(card);
        let request = DownloadRequest {
            source: Source::ActivationCode(ActivationCode::parse(&format!("1${ADDRESS}$ORDER-1")).expect("a code")),
            confirmation_code: None,
            imei: None,
            accept_rules: false,
        };
        Lpa::new(Card::new(link, 255), Wire { smdp, meddler }, &mut report).download(&request)
    }
}

/// The card on a logical channel.
struct CardLink<'a> {
    card: &'a mut Euicc,
    channel: u8,
}

impl<'a> CardLink<'a> {
    fn open(card: &'a mut Euicc) -> Self {
        let opened = card.transmit(&[0x00, 0x70, 0x00, 0x00, 0x01], NOW);
        assert_eq!(opened[1..], [0x90, 0x00], "a logical channel");
        let mut link = CardLink { card, channel: opened[0] };
        let select = [&[0x00, 0xA4, 0x04, 0x00, 0x10][..], &rsp::ISD_R_AID].concat();
        let selected = link.transmit(&select).expect("an answer");
        assert!(matches!(selected[..], [0x61 | 0x90, _] | [.., 0x90, 0x00]), "the ISD-R");
        link
    }
}

impl ApduLink for CardLink<'_> {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, LinkError> {
        let mut apdu = apdu.to_vec();
        apdu[0] = apdu[0] & 0xFC | self.channel;
        Ok(self.card.transmit(&apdu, NOW))
    }

    fn reopen(&mut self) -> Result<(), LinkError> {
        Ok(())
    }
}

impl Drop for CardLink<'_> {
    fn drop(&mut self) {
        self.card.transmit(&[0x00, 0x70, 0x80, self.channel, 0x00], NOW);
    }
}

/// The server behind a meddler, without sockets.
struct Wire<'a> {
    smdp: &'a mut Smdp,
    meddler: &'a mut dyn Meddler,
}

impl Http for Wire<'_> {
    fn post(&mut self, url: &str, _: &[(&str, &str)], body: &[u8]) -> Result<HttpReply, HttpError> {
        let function = Function::named(url.rsplit('/').next().unwrap_or_default()).expect("a function of ES9+");
        let mut request: Value = serde_json::from_slice(body).expect("JSON");
        self.meddler.request(function, &mut request);
        let answer = json::call(self.smdp, function, request.to_string().as_bytes(), NOW);
        let Some(body) = json::encode(&answer) else {
            return Ok(HttpReply { status: 204, body: Vec::new() });
        };
        let mut response: Value = serde_json::from_slice(&body).expect("JSON");
        if answer.is_ok() {
            self.meddler.response(function, &mut response);
        }
        Ok(HttpReply { status: 200, body: response.to_string().into_bytes() })
    }
}
