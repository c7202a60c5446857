//! The card of a lab: made from what the lab is told, put into the modem's slot, watched, and with its faults around it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use euicc::spec::{CardSpec, ProfileSource};
use euicc::{CardConfig, Euicc, Nvram, PreinstalledProfile};
use pki::{Pki, PkiSpec};
use rsp::aka::Aka;
use rsp::crypto::{Curve, Random};
use rsp::es10::config::encode_set_default_dp_address_request;
use rsp::{Eid, Iccid};
use smdp::Profile;

use super::builder::CardChange;
use super::{Clock, LabError, Preinstalled, io};
use crate::fault::Deeds;
use crate::fault::card::{CardFaults, FaultyCard, Inside};
use crate::fault::cut::CuttableStore;
use crate::scenario::ast::CardCertificate;
use crate::timeline::Timeline;

/// What a card is made from.
pub(super) struct CardParts<'a> {
    pub(super) pki: &'a Pki,
    pub(super) curve: Curve,
    pub(super) eid: Eid,
    pub(super) preinstalled: &'a [Preinstalled],
    pub(super) spec: Option<&'a CardSpec>,
    pub(super) state: Option<&'a Path>,
    pub(super) smdp_address: &'a str,
    pub(super) default_smdp: bool,
    pub(super) changes: Vec<CardChange>,
    pub(super) certificate: CardCertificate,
    /// A store whose power can be cut, in the place of any other.
    pub(super) cut: Option<CuttableStore>,
    pub(super) random: &'a dyn Fn(&str) -> Box<dyn Random>,
    pub(super) now: i64,
    pub(super) today: i64,
}

/// The file of a card's data in the folder that a lab keeps its state in.
pub(super) const CARD_STORE: &str = "card.redb";

/// A card, and what its maker knows of it.
pub(super) struct MadeCard {
    pub(super) card: Euicc,
    pub(super) config: CardConfig,
    /// The keys of the profiles that it was made with.
    pub(super) keys: Vec<(Iccid, Aka)>,
}

/// The card, and what it is like.
pub(super) fn make_card(parts: CardParts<'_>) -> Result<MadeCard, LabError> {
    let other = match parts.certificate {
        CardCertificate::OtherCi => {
            let spec = PkiSpec { eids: Vec::new(), ..PkiSpec::default() };
            Some(Pki::generate(&spec, &mut *(parts.random)("pki of the card"), parts.today)?)
        }
        _ => None,
    };
    let pki = other.as_ref().unwrap_or(parts.pki);
    let issue = |curve| {
        let no_euicc = |reason: String| LabError::NoEuicc { eid: parts.eid, curve, reason };
        let mut credentials = match pki.euicc(curve, &parts.eid) {
            Some(known) => known.clone(),
            None => pki
                .issue_euicc(curve, &parts.eid, &mut *(parts.random)("euicc"), parts.today)
                .map_err(|error| no_euicc(error.to_string()))?,
        };
        if parts.certificate == CardCertificate::Expired {
            let organization = credentials.eum.organization().unwrap_or_default();
            let spec = pki::CertificateSpec::euicc(organization, &parts.eid, parts.today - 2 * 86_400);
            let spec = pki::CertificateSpec { not_after: parts.today - 86_400, ..spec };
            let eum = pki.eum_identity(curve).map_err(|error| no_euicc(error.to_string()))?;
            credentials.euicc = spec
                .issue(&eum, credentials.euicc.key.clone(), &mut *(parts.random)("expired euicc"))
                .map_err(|error| no_euicc(error.to_string()))?;
        }
        Ok::<_, LabError>(euicc::Credentials {
            ci: credentials.ci,
            eum: credentials.eum,
            euicc: credentials.euicc.certificate,
            key: credentials.euicc.key,
        })
    };
    let curves = match parts.spec {
        Some(spec) if !spec.ci.is_empty() => spec.ci.clone(),
        _ => vec![parts.curve],
    };
    let credentials = curves.iter().map(|curve| issue(*curve)).collect::<Result<_, _>>()?;
    let mut config = CardConfig::new(parts.eid, credentials);
    let mut preinstalled = parts.preinstalled.to_vec();
    if let Some(spec) = parts.spec {
        spec.apply(&mut config);
        for curve in &spec.trusted {
            config.trusted.push(parts.pki.ci(*curve)?.clone());
        }
        for profile in &spec.profiles {
            let refuse = |reason: String| LabError::Preinstalled { name: profile.source.to_string(), reason };
            preinstalled.push(Preinstalled {
                profile: card_profile(&profile.source).map_err(refuse)?,
                enabled: profile.enabled,
                nickname: profile.nickname.clone(),
            });
        }
    }
    if parts.default_smdp && config.default_smdp.is_none() {
        config.default_smdp = Some(parts.smdp_address.to_owned());
    }
    let keys = preinstalled.iter().filter_map(|wanted| Aka::of_package(wanted.profile.package())).collect();
    for wanted in preinstalled {
        let metadata = wanted.profile.metadata(parts.smdp_address).encode();
        let profile =
            PreinstalledProfile::new(&metadata, wanted.profile.package(), wanted.enabled).map_err(|error| {
                LabError::Preinstalled { name: wanted.profile.name().to_owned(), reason: error.to_string() }
            })?;
        config.preinstalled.push(profile.nicknamed(wanted.nickname));
    }
    parts.changes.into_iter().for_each(|change| change(&mut config));
    let likeness = config.clone();
    let random = (parts.random)("card");
    let mut card = match (parts.cut, parts.state) {
        (Some(store), _) => {
            let opened = Nvram::backend(store).and_then(|nvram| Euicc::open(config, random, nvram));
            opened.map_err(|source| LabError::Store { path: PathBuf::from("the card's store"), source })?
        }
        (None, None) => Euicc::new(config, random),
        (None, Some(folder)) => {
            std::fs::create_dir_all(folder).map_err(io(folder.display().to_string()))?;
            let path = folder.join(CARD_STORE);
            let opened = Nvram::file(&path).and_then(|nvram| Euicc::open(config, random, nvram));
            opened.map_err(|source| LabError::Store { path, source })?
        }
    };
    card.reset();
    // The server of a lab before had another port: where the card's default address was that server, it is this one.
    let host = |address: &str| address.rsplit_once(':').map(|(host, _)| host.to_owned());
    let kept = card.default_smdp().map(str::to_owned);
    let same_host = kept.as_deref().and_then(host).is_some_and(|kept| Some(kept) == host(parts.smdp_address));
    if parts.default_smdp && same_host && kept.as_deref() != Some(parts.smdp_address) {
        es10(&mut card, &encode_set_default_dp_address_request(parts.smdp_address), parts.now);
        card.reset();
    }
    card.drain_events();
    Ok(MadeCard { card, config: likeness, keys })
}

/// A profile that the file of a card names.
pub(crate) fn card_profile(source: &ProfileSource) -> Result<Profile, String> {
    match source {
        ProfileSource::Named(name) => {
            let spec = smdp::profile::built_in_named(name).ok_or_else(|| {
                let names: Vec<String> = smdp::profile::built_in().into_keys().collect();
                format!("there is no built-in profile of this name; there are {}", names.join(", "))
            })?;
            Profile::build(&spec).map_err(|error| error.to_string())
        }
        ProfileSource::Package(path) => {
            let package = std::fs::read(path).map_err(|error| error.to_string())?;
            let names = smdp::profile::PackageNames::default();
            Profile::from_package(&package, &names).map_err(|error| error.to_string())
        }
    }
}

/// Performs one function of ES10 with a short request on the basic channel, as a factory tool does; `None` when the
/// card does not answer it.
pub(super) fn es10(card: &mut Euicc, request: &[u8], now: i64) -> Option<Vec<u8>> {
    let select = [&[0x00, 0xA4, 0x04, 0x00, 0x10][..], &rsp::ISD_R_AID].concat();
    card.transmit(&select, now);
    let store = [&[0x80, 0xE2, 0x91, 0x00, u8::try_from(request.len()).ok()?][..], request].concat();
    let mut answer = card.transmit(&store, now);
    let mut data = Vec::new();
    loop {
        let at = answer.len().checked_sub(2)?;
        data.extend_from_slice(&answer[..at]);
        match answer[at..] {
            // Done; 91 says besides that a proactive command waits for the terminal (TS 102 221 §7.4.2).
            [0x90, 0x00] | [0x91, _] => return Some(data),
            [0x61, length] => answer = card.transmit(&[0x80, 0xC0, 0x00, 0x00, length], now),
            _ => return None,
        }
    }
}

/// What makes cards for the modem's slot: all of them the lab's one card, with its faults around it.
pub(super) struct Slot {
    pub(super) card: Arc<Mutex<Euicc>>,
    pub(super) time: Arc<AtomicU64>,
    pub(super) timeline: Timeline,
    pub(super) clock: Clock,
    pub(super) is_faulty: bool,
    pub(super) faults: CardFaults,
    pub(super) deeds: Deeds,
    pub(super) reopening: Option<Reopening>,
}

impl Slot {
    /// The card, to be put into the modem.
    pub(super) fn card(&self) -> Box<dyn modem::Card> {
        let card = WatchedCard {
            card: self.card.clone(),
            timeline: self.timeline.clone(),
            clock: self.clock.clone(),
            time: self.time.clone(),
        };
        if !self.is_faulty {
            return Box::new(card);
        }
        let inside = CardInside { card: self.card.clone(), reopening: self.reopening.clone() };
        let faults = self.faults.clone();
        Box::new(FaultyCard::new(card, inside, faults, self.timeline.clone(), self.deeds.clone()))
    }
}

/// Where random numbers come from, each purpose with its own.
pub(super) type RandomOf = dyn Fn(&str) -> Box<dyn Random> + Send + Sync;

/// How a card whose power was cut begins anew.
#[derive(Clone)]
pub(super) struct Reopening {
    pub(super) store: CuttableStore,
    pub(super) config: CardConfig,
    pub(super) random: Arc<RandomOf>,
    pub(super) times: Arc<AtomicU64>,
}

/// What faults do to the card beside its contacts.
pub(super) struct CardInside {
    pub(super) card: Arc<Mutex<Euicc>>,
    pub(super) reopening: Option<Reopening>,
}

impl Inside for CardInside {
    fn fill_memory(&self) {
        self.card.lock().unwrap_or_else(PoisonError::into_inner).set_free_memory(0);
    }

    fn has_lost_power(&self) -> bool {
        self.reopening.as_ref().is_some_and(|reopening| reopening.store.is_cut())
    }

    fn give_power(&self) {
        let Some(Reopening { store, config, random, times }) = &self.reopening else { return };
        store.restore();
        // The same random numbers as before would be the same challenges.
        let label = format!("card {}", times.fetch_add(1, Ordering::Relaxed) + 2);
        let nvram = Nvram::backend(store.clone());
        // What a cut leaves behind can be read again: the card's own tests show it for every write.
        if let Ok(card) = nvram.and_then(|nvram| Euicc::open(config.clone(), random(&label), nvram)) {
            *self.card.lock().unwrap_or_else(PoisonError::into_inner) = card;
        }
    }
}

/// The card as the modem sees it; what happens inside goes to the timeline.
pub(super) struct WatchedCard {
    pub(super) card: Arc<Mutex<Euicc>>,
    pub(super) timeline: Timeline,
    pub(super) clock: Clock,
    /// Nanoseconds that the card has worked.
    pub(super) time: Arc<AtomicU64>,
}

impl WatchedCard {
    fn with<T>(&self, act: impl FnOnce(&mut Euicc, i64) -> T) -> T {
        let now = (self.clock)();
        let mut card = self.card.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let result = act(&mut card, now);
        let nanoseconds = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.time.fetch_add(nanoseconds, Ordering::Relaxed);
        let events = card.drain_events();
        drop(card);
        for event in &events {
            self.timeline.card(event);
        }
        result
    }
}

impl modem::Card for WatchedCard {
    fn reset(&mut self) -> Vec<u8> {
        self.with(|card, _| card.reset())
    }

    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        self.with(|card, now| card.transmit(apdu, now))
    }
}
