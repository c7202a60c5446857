//! Cards with an LPA of their own in this process, without modem and terminal: many of them at the same time put a
//! server to the test.

use std::time::{Duration, Instant};

use euicc::{CardConfig, Euicc, ProfileSummary};
use lpad::download::{DownloadRequest, Source};
use lpad::es10::Card;
use lpad::failure::Failure;
use lpad::http::{CurlHttp, Http, HttpError, HttpOptions, HttpReply, Trust};
use lpad::link::{ApduLink, LinkError};
use lpad::log::Log;
use lpad::report::Silent;
use lpad::{Lpa, Outcome};
use pki::{Pki, PkiError};
use rsp::crypto::{Curve, Random, SystemRandom};
use rsp::{ActivationCode, Eid};

use crate::lab::system_time;

/// The block size of STORE DATA.
const SEGMENT: u8 = 255;

/// A card that is at hand: commands go to it as they are.
pub struct CardLink {
    card: Euicc,
}

impl std::fmt::Debug for CardLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CardLink")
    }
}

impl CardLink {
    fn new(card: Euicc) -> Self {
        let mut link = CardLink { card };
        link.select();
        link
    }

    fn select(&mut self) {
        self.card.reset();
        let select = [&[0x00, 0xA4, 0x04, 0x00, 0x10][..], &rsp::ISD_R_AID].concat();
        self.card.transmit(&select, system_time());
    }
}

impl ApduLink for CardLink {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, LinkError> {
        let response = self.card.transmit(apdu, system_time());
        // Nobody looks at them here.
        self.card.drain_events();
        Ok(response)
    }

    fn reopen(&mut self) -> Result<(), LinkError> {
        self.select();
        Ok(())
    }
}

/// Requests by libcurl, and how long each took.
#[derive(Debug)]
struct Timed {
    http: CurlHttp,
    times: Vec<Duration>,
}

impl Http for Timed {
    fn post(&mut self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<HttpReply, HttpError> {
        let began = Instant::now();
        let reply = self.http.post(url, headers, body);
        self.times.push(began.elapsed());
        reply
    }
}

impl Http for &mut Timed {
    fn post(&mut self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<HttpReply, HttpError> {
        (**self).post(url, headers, body)
    }
}

/// A device: a card and the LPA that serves it.
#[derive(Debug)]
pub struct Device {
    eid: Eid,
    link: Option<CardLink>,
    options: HttpOptions,
    times: Vec<Duration>,
}

impl Device {
    /// A device whose card has a certificate of this PKI, made for it. Trusted are the CIs in `ci`, PEM.
    pub fn new(pki: &Pki, curve: Curve, eid: Eid, ci: Vec<u8>) -> Result<Self, PkiError> {
        let issued = pki.issue_euicc(curve, &eid, &mut SystemRandom, system_time())?;
        let credentials = euicc::Credentials {
            ci: issued.ci,
            eum: issued.eum,
            euicc: issued.euicc.certificate,
            key: issued.euicc.key,
        };
        let random: Box<dyn Random> = Box::new(SystemRandom);
        let card = Euicc::new(CardConfig::new(eid, vec![credentials]), random);
        let options = HttpOptions { trust: Trust::Only(ci), ..HttpOptions::default() };
        Ok(Device { eid, link: Some(CardLink::new(card)), options, times: Vec::new() })
    }

    /// The card's EID.
    pub fn eid(&self) -> Eid {
        self.eid
    }

    /// Does something with an LPA of its own, and a connection of its own.
    fn with_lpa<T>(&mut self, act: impl FnOnce(&mut Lpa<'_, CardLink, &mut Timed>) -> Outcome<T>) -> Outcome<T> {
        let Some(link) = self.link.take() else {
            return Err(Failure::new(lpad::Step::OpenCard, "the card is in use"));
        };
        let mut http = Timed { http: CurlHttp::new(self.options.clone(), Log::default()), times: Vec::new() };
        let mut report = Silent;
        let mut lpa = Lpa::new(Card::new(link, SEGMENT), &mut http, &mut report);
        let outcome = act(&mut lpa);
        let Lpa { card, .. } = lpa;
        self.link = Some(card.into_link());
        self.times = http.times;
        outcome
    }

    /// Downloads a profile. Says whether every notification was delivered too.
    pub fn download(&mut self, code: &ActivationCode) -> Outcome<bool> {
        let request = DownloadRequest {
            source: Source::ActivationCode(code.clone()),
            confirmation_code: None,
            imei: None,
            accept_rules: true,
        };
        self.with_lpa(|lpa| lpa.download(&request)).map(|installed| {
            installed.deliveries.is_ok_and(|list| list.iter().all(|delivery| delivery.failure.is_none()))
        })
    }

    /// Asks an SM-DS, and those that it names, what waits for this card.
    pub fn discover(&mut self, smds: &rsp::ServerAddress) -> Outcome<Vec<lpad::discover::Discovered>> {
        self.with_lpa(|lpa| lpa.discover(Some(smds)))
    }

    /// Calls a function of a server that is none of an LPA's, with the trust of this device.
    pub fn post(&self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<HttpReply, HttpError> {
        CurlHttp::new(self.options.clone(), Log::default()).post(url, headers, body)
    }

    /// Sends what waits on the card. Says whether all of it was delivered.
    pub fn send_notifications(&mut self) -> Outcome<bool> {
        self.with_lpa(|lpa| lpa.send_notifications()).map(|list| list.iter().all(|delivery| delivery.failure.is_none()))
    }

    /// How long each request of the last operation took; the first with connection and TLS handshake.
    pub fn request_times(&self) -> &[Duration] {
        &self.times
    }

    /// The profiles on the card.
    pub fn profiles(&self) -> Vec<ProfileSummary> {
        self.link.as_ref().map(|link| link.card.profiles()).unwrap_or_default()
    }
}

/// The EID of the `n`-th device of a fleet, under the EUM of the lab's PKI.
pub fn numbered_eid(ein: &str, number: u32) -> Option<Eid> {
    Eid::with_check_digits(&format!("{ein}{number:022}")).ok()
}
