//! An SM-DS in software: events that wait for cards (SGP.22 §3.6, §5.8, §5.9), without I/O.
//!
//! SM-DP+ → registerEvent (ES12) → event → LPA asks (ES11 initiateAuthentication, authenticateClient) → event entries.
//! An alternative SM-DS passes an event on to the root as one of its own: a [`Cascade`] is what it has to register
//! there (ES15).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use rsp::cert::Certificate;
use rsp::crypto::Random;
use rsp::{Eid, TransactionId, Version};

use crate::server::auth::{Authenticator, Facts, Issuer, Part, VerifiedCard, unknown_transaction};
use crate::server::known::Known;
use crate::server::work::{Done, Finished, Job, Step};
use crate::server::{Answer, ConfigError, EventEntry, EventsOk, Identity, Request};
use crate::status::{Status, StatusError};

/// What an SM-DS has under one CI.
#[derive(Debug, Clone)]
pub struct DsCredentials {
    /// The CI.
    pub ci: Certificate,
    /// For authentication, CERT.DSauth.
    pub auth: Identity,
}

/// What an SM-DS is told when it is made.
#[derive(Debug, Clone)]
pub struct SmdsConfig {
    /// Its address.
    pub address: String,
    /// Other names that it answers to.
    pub aliases: Vec<String>,
    /// What it has under each CI.
    pub credentials: Vec<DsCredentials>,
    /// The lowest and the highest version of SGP.22 that a card may have.
    pub svn: (Version, Version),
    /// The root SM-DS, when this is an alternative one.
    pub root: Option<String>,
    /// How long a session may take, in seconds.
    pub session_lifetime: i64,
    /// How many sessions may be open; the oldest go first.
    pub max_sessions: usize,
    /// How many events may wait for one card.
    pub max_events_of_card: usize,
}

impl SmdsConfig {
    /// An SM-DS at this address, with the usual settings.
    pub fn new(address: impl Into<String>, credentials: Vec<DsCredentials>) -> Self {
        SmdsConfig {
            address: address.into(),
            aliases: Vec::new(),
            credentials,
            svn: (Version::new(2, 0, 0), Version::new(2, 255, 255)),
            root: None,
            session_lifetime: 600,
            max_sessions: 10_000,
            max_events_of_card: 100,
        }
    }
}

/// An event as it is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterEvent {
    /// The card.
    pub eid: Eid,
    /// The server that waits for it.
    pub rsp_server_address: String,
    /// The id, which is the matching id there.
    pub event_id: String,
    /// Whether it is to be passed on to the root SM-DS.
    pub forwarding: bool,
}

/// What an alternative SM-DS has to do at the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cascade {
    /// The root SM-DS.
    pub root: String,
    /// The card.
    pub eid: Eid,
    /// The id of the event there.
    pub event_id: String,
    /// The address of this SM-DS.
    pub rsp_server_address: String,
}

#[derive(Debug)]
struct Event {
    entry: EventEntry,
    /// Its id at the root, under which a card may come.
    cascaded_as: Option<String>,
}

#[derive(Debug)]
struct Session {
    opened: i64,
    /// `None` once the card has answered.
    facts: Option<Facts>,
}

/// An SM-DS.
pub struct Smds {
    config: SmdsConfig,
    server: Arc<Authenticator>,
    random: Box<dyn Random>,
    sessions: HashMap<TransactionId, Session>,
    ages: VecDeque<(i64, TransactionId)>,
    events: HashMap<Eid, Vec<Event>>,
}

impl std::fmt::Debug for Smds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smds").field("address", &self.config.address).finish_non_exhaustive()
    }
}

impl Smds {
    /// An SM-DS with this configuration and source of randomness.
    pub fn new(config: SmdsConfig, random: Box<dyn Random>) -> Result<Self, ConfigError> {
        if config.credentials.is_empty() {
            return Err(ConfigError::NoCredentials);
        }
        for credentials in &config.credentials {
            let certificate = &credentials.auth.certificate;
            if certificate.public_key() != credentials.auth.key.public() {
                return Err(ConfigError::Key { certificate: certificate.to_string() });
            }
            certificate.verify_signed_by(&credentials.ci)?;
        }
        let issuer = |own: &DsCredentials| Issuer { ci: own.ci.clone(), auth: own.auth.clone() };
        let server = Arc::new(Authenticator {
            part: Part::Smds,
            address: config.address.clone(),
            aliases: config.aliases.clone(),
            svn: config.svn,
            issuers: config.credentials.iter().map(issuer).collect(),
            known: Known::default(),
        });
        Ok(Smds { config, server, random, sessions: HashMap::new(), ages: VecDeque::new(), events: HashMap::new() })
    }

    /// The configuration.
    pub fn config(&self) -> &SmdsConfig {
        &self.config
    }

    /// What waits for a card.
    pub fn events_of(&self, eid: Eid) -> Vec<EventEntry> {
        self.events.get(&eid).into_iter().flatten().map(|event| event.entry.clone()).collect()
    }

    /// ES12 and ES15 registerEvent (SGP.22 §5.9.1). What it gives has to be registered at the root; if that fails,
    /// the event is to be deleted again.
    pub fn register_event(&mut self, event: RegisterEvent) -> Result<Option<Cascade>, StatusError> {
        let list = self.events.entry(event.eid).or_default();
        if list.iter().any(|known| known.entry.event_id == event.event_id) {
            return Err(Status::EventExists.with(format!("event {:?} is there already", event.event_id)));
        }
        if list.len() >= self.config.max_events_of_card {
            return Err(Status::SmdsFailed.with(format!("{} events wait for this eUICC already", list.len())));
        }
        let cascade = match &self.config.root {
            Some(root) if event.forwarding => {
                let mut id = [0; 16];
                self.random.fill(&mut id);
                Some(Cascade {
                    root: root.clone(),
                    eid: event.eid,
                    event_id: rsp::ids::to_hex(&id),
                    rsp_server_address: self.config.address.clone(),
                })
            }
            _ => None,
        };
        list.push(Event {
            entry: EventEntry { event_id: event.event_id, rsp_server_address: event.rsp_server_address },
            cascaded_as: cascade.as_ref().map(|cascade| cascade.event_id.clone()),
        });
        Ok(cascade)
    }

    /// ES12 and ES15 deleteEvent (SGP.22 §5.9.2). What it gives has to be deleted at the root.
    pub fn delete_event(&mut self, eid: Eid, event_id: &str) -> Result<Option<Cascade>, StatusError> {
        let unknown = || Status::EventUnknown.with(format!("no event {event_id:?} waits for {eid}"));
        let list = self.events.get_mut(&eid).ok_or_else(unknown)?;
        let at = list.iter().position(|known| known.entry.event_id == event_id).ok_or_else(unknown)?;
        let event = list.remove(at);
        if list.is_empty() {
            self.events.remove(&eid);
        }
        let cascade = event.cascaded_as.zip(self.config.root.clone());
        Ok(cascade.map(|(event_id, root)| Cascade {
            root,
            eid,
            event_id,
            rsp_server_address: self.config.address.clone(),
        }))
    }

    /// Begins a function of ES11 (SGP.22 §5.8).
    pub fn begin(&mut self, request: Request, now: i64) -> Step {
        let begun = match request {
            Request::InitiateAuthentication { euicc_challenge, euicc_info1, address } => {
                self.expire_sessions(now);
                let random = &mut *self.random;
                let opening = self.server.open(&euicc_challenge, &euicc_info1, &address, random);
                opening.map(|opening| Job::Open { server: self.server.clone(), opening })
            }
            Request::AuthenticateClient { transaction_id, response } => {
                let lifetime = self.config.session_lifetime;
                let session = self.sessions.get_mut(&transaction_id);
                let facts =
                    session.filter(|session| now - session.opened <= lifetime).and_then(|session| session.facts.take());
                match facts {
                    Some(facts) => Ok(Job::VerifyCard { server: self.server.clone(), facts, response, now }),
                    None => Err(unknown_transaction(&transaction_id)),
                }
            }
            other => Err(Status::TransactionUnknown.with(format!(
                "an SM-DS has no such function{}",
                other.transaction_id().map(|id| format!(" in session {id}")).unwrap_or_default()
            ))),
        };
        match begun {
            Ok(job) => Step::work(job),
            Err(status) => Step::Answer(Err(status)),
        }
    }

    /// Goes on with a function once its work is done.
    pub fn resume(&mut self, finished: Finished, now: i64) -> Step {
        let answer = match finished.0 {
            Done::Opened { opening, result } => result.map(|ok| {
                let facts = Facts {
                    transaction_id: opening.transaction_id.clone(),
                    euicc_ci: opening.euicc_ci,
                    address: opening.address,
                    server_challenge: opening.server_challenge,
                };
                self.ages.push_back((now, opening.transaction_id.clone()));
                self.sessions.insert(opening.transaction_id, Session { opened: now, facts: Some(facts) });
                Answer::InitiateAuthentication(ok)
            }),
            Done::Card { transaction_id, result } => {
                self.sessions.remove(&transaction_id);
                result.and_then(|card| self.entries(transaction_id, &card))
            }
            _ => Err(Status::Internal.with("a function has come to the work of another")),
        };
        answer.into()
    }

    /// What waits for a card, or the one event that it asks for (SGP.22 §5.8.2).
    fn entries(&self, transaction_id: TransactionId, card: &VerifiedCard) -> Result<Answer, StatusError> {
        let events = self.events.get(&card.eid).into_iter().flatten();
        let asked = card.matching_id.as_str();
        let named = |event: &&Event| {
            asked.is_empty() || event.entry.event_id == asked || event.cascaded_as.as_deref() == Some(asked)
        };
        let entries: Vec<EventEntry> = events.filter(named).map(|event| event.entry.clone()).collect();
        if entries.is_empty() && !asked.is_empty() {
            return Err(Status::EventUnknown.with(format!("no event {asked:?} waits for {}", card.eid)));
        }
        Ok(Answer::Events(EventsOk { transaction_id, entries }))
    }

    fn expire_sessions(&mut self, now: i64) {
        while let Some((opened, _)) = self.ages.front() {
            let expired = now - opened > self.config.session_lifetime;
            if !expired && self.ages.len() < self.config.max_sessions.max(1) {
                break;
            }
            if let Some((_, transaction_id)) = self.ages.pop_front() {
                self.sessions.remove(&transaction_id);
            }
        }
    }
}
