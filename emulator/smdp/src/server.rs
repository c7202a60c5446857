//! The SM-DP+ itself: sessions and orders, without I/O.
//!
//! ```text
//! initiateAuthentication → Opened → authenticateClient → Authenticated → getBoundProfilePackage → Delivered
//!                                                                              handleNotification → order moved
//!                cancelSession ends a session at any stage; a refusal ends it too, and only cancelSession follows
//! ```
//!
//! A function goes in steps ([`Smdp::begin`], [`Smdp::resume`]) between which its cryptography is done elsewhere: see
//! [`work`]. For a caller at hand each function of ES9+ is a method too, with all steps in one. The time is handed in
//! with each call, randomness when the server is made. What happens is told by [`Smdp::drain_events`], what has to be
//! kept by [`Smdp::drain_changes`], and what is to be sent to others by [`Smdp::drain_outgoing`].

pub(crate) mod auth;
mod config;
pub mod es2;
mod events;
mod messages;
mod notifications;
mod outgoing;
mod record;
pub mod work;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use rsp::cert::Certificate;
use rsp::crypto::{PublicKey, Random, equal_in_constant_time, hash_confirmation_code};
use rsp::es10::download::{CancelSessionReason, SmdpSigned2};
use rsp::saip::Service;
use rsp::{Eid, Iccid, TransactionId};

use crate::order::{Order, OrderError, OrderId, OrderSpec, OrderState, Orders};
use crate::status::{Status, StatusError};
use auth::{Authenticator, Capabilities, Facts, Issuer, Part, VerifiedCard, unknown_transaction};
use record::Changes;
use work::{BindJob, Done, Drawn, Finished, Job, Ready, Step, VerifiedCancel, VerifiedDownload, is_on};

pub use config::{ConfigError, Credentials, Identity, ProfileType, SmdpConfig};
pub use events::{Notified, SmdpEvent, SmdpEventKind};
pub use messages::{
    Answer, AuthenticateClientOk, BoundProfilePackageOk, EventEntry, EventsOk, Function, InitiateAuthentication,
    InitiateAuthenticationOk, Request,
};
pub use outgoing::{Outgoing, Point, Progress};
pub use record::{Change, RestoreError, Table};

/// How far a session has come.
#[derive(Debug)]
enum Stage {
    Opened,
    Authenticated {
        order: OrderId,
        smdp_signature2: Vec<u8>,
    },
    Delivered {
        order: OrderId,
    },
    /// A function is at work; the order is the one that it is about.
    Busy {
        order: Option<OrderId>,
    },
    /// A function was refused: only cancelSession may follow.
    Refused,
}

#[derive(Debug)]
struct Session {
    opened: i64,
    /// The card's CI: index into the configured credentials.
    euicc_ci: usize,
    /// The server's own certificates: index into the configured credentials.
    credentials: usize,
    address: String,
    server_challenge: [u8; 16],
    /// The card, once it has proved itself.
    euicc: Option<(Eid, Certificate)>,
    stage: Stage,
}

/// An open session, as it is told to whoever runs the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSummary {
    /// The session.
    pub transaction_id: TransactionId,
    /// When it was opened.
    pub opened: i64,
    /// The card, once it has proved itself.
    pub eid: Option<Eid>,
    /// The order, once it is found.
    pub order: Option<OrderId>,
    /// How far it has come, in a word.
    pub stage: &'static str,
}

/// A package that was handed out: its ProfileInstallationResult may come long after the session.
#[derive(Debug)]
struct Delivery {
    order: OrderId,
    key: PublicKey,
    iccid: Iccid,
    answered: bool,
}

/// The most deliveries whose result is waited for, and events that wait to be drained.
const MAX_REMEMBERED: usize = 20_000;

/// An SM-DP+.
pub struct Smdp {
    config: Arc<SmdpConfig>,
    server: Arc<Authenticator>,
    random: Box<dyn Random>,
    sessions: HashMap<TransactionId, Session>,
    /// Sessions by age, the oldest in front: those where no card has proved itself, and the others. Those that have
    /// ended or gone on may still stand here. A flood of the first sort drives out its own kind only.
    half_open: VecDeque<(i64, TransactionId)>,
    authenticated: VecDeque<(i64, TransactionId)>,
    deliveries: HashMap<TransactionId, Delivery>,
    delivery_ages: VecDeque<TransactionId>,
    orders: Orders,
    events: VecDeque<SmdpEvent>,
    outgoing: VecDeque<Outgoing>,
    changes: Option<Changes>,
}

impl fmt::Debug for Smdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smdp")
            .field("address", &self.config.address)
            .field("sessions", &self.sessions.len())
            .field("orders", &self.orders.all().len())
            .finish_non_exhaustive()
    }
}

impl Smdp {
    /// A server with this configuration and source of randomness.
    pub fn new(config: SmdpConfig, random: Box<dyn Random>) -> Result<Self, ConfigError> {
        config.check()?;
        let issuer = |credentials: &Credentials| Issuer { ci: credentials.ci.clone(), auth: credentials.auth.clone() };
        let server = Authenticator {
            part: Part::Smdp,
            address: config.address.clone(),
            aliases: config.aliases.clone(),
            svn: config.svn,
            issuers: config.credentials.iter().map(issuer).collect(),
        };
        Ok(Smdp {
            config: Arc::new(config),
            server: Arc::new(server),
            random,
            sessions: HashMap::new(),
            half_open: VecDeque::new(),
            authenticated: VecDeque::new(),
            deliveries: HashMap::new(),
            delivery_ages: VecDeque::new(),
            orders: Orders::default(),
            events: VecDeque::new(),
            outgoing: VecDeque::new(),
            changes: None,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &SmdpConfig {
        &self.config
    }

    /// Takes an order.
    pub fn add_order(&mut self, spec: OrderSpec, now: i64) -> Result<OrderId, OrderError> {
        let id = self.orders.add(spec, now)?;
        self.changed(id, false);
        Ok(id)
    }

    /// An order.
    pub fn order(&self, id: OrderId) -> Option<&Order> {
        self.orders.get(id)
    }

    /// The order with this matching id.
    pub fn order_with_matching_id(&self, matching_id: &str) -> Option<&Order> {
        self.orders.by_matching_id(matching_id)
    }

    /// All orders, in the order in which they came.
    pub fn orders(&self) -> &[Order] {
        self.orders.all()
    }

    /// Moves an order to a state, whatever it was: for whoever runs the server.
    pub fn set_order_state(&mut self, id: OrderId, state: OrderState, cause: &str, now: i64) {
        self.move_order(id, state, cause.to_owned(), now);
    }

    /// Sets the time at which an order expires: for whoever runs the server.
    pub fn set_order_expiry(&mut self, id: OrderId, expires: Option<i64>) {
        if let Some(order) = self.orders.get_mut(id) {
            order.spec.expires = expires;
            self.changed(id, false);
        }
    }

    /// How many sessions are open.
    pub fn open_sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The open sessions, the oldest first.
    pub fn sessions(&self) -> Vec<SessionSummary> {
        let mut list: Vec<_> = self
            .sessions
            .iter()
            .map(|(transaction_id, session)| {
                let (stage, order) = match &session.stage {
                    Stage::Opened => ("opened", None),
                    Stage::Authenticated { order, .. } => ("authenticated", Some(*order)),
                    Stage::Delivered { order } => ("delivered", Some(*order)),
                    Stage::Busy { order } => ("busy", *order),
                    Stage::Refused => ("refused", None),
                };
                SessionSummary {
                    transaction_id: transaction_id.clone(),
                    opened: session.opened,
                    eid: session.euicc.as_ref().map(|(eid, _)| *eid),
                    order,
                    stage,
                }
            })
            .collect();
        list.sort_by(|a, b| (a.opened, &a.transaction_id).cmp(&(b.opened, &b.transaction_id)));
        list
    }

    /// The matching id or the order of an open session, for faults that are set for one order.
    pub(crate) fn matching_id_of_session(&self, transaction_id: &TransactionId) -> Option<&str> {
        let order = match self.sessions.get(transaction_id)?.stage {
            Stage::Authenticated { order, .. } | Stage::Delivered { order } | Stage::Busy { order: Some(order) } => {
                order
            }
            _ => return None,
        };
        self.orders.get(order)?.matching_id()
    }

    /// What has happened since it was last asked.
    pub fn drain_events(&mut self) -> Vec<SmdpEvent> {
        self.events.drain(..).collect()
    }

    fn tell(&mut self, at: i64, kind: SmdpEventKind) {
        if self.events.len() == MAX_REMEMBERED {
            self.events.pop_front();
        }
        self.events.push_back(SmdpEvent { at, kind });
    }

    /// Notes that an order is to be written again, with its packages or without.
    fn changed(&mut self, id: OrderId, packages: bool) {
        if let Some(changes) = &mut self.changes {
            changes.order(id, packages);
        }
    }

    fn move_order(&mut self, id: OrderId, to: OrderState, cause: String, now: i64) {
        let Some(order) = self.orders.get_mut(id) else { return };
        let from = order.state;
        order.record(now, Some(to), cause.clone());
        let matching_id = order.spec.matching_id.clone();
        // SGP.22 §3.6.3: an event that leads nowhere any more is taken back.
        let ended = matches!(to, OrderState::Installed | OrderState::Error | OrderState::Unavailable);
        let event = match (&order.spec.smds, order.spec.eid, &matching_id) {
            (Some(smds), Some(eid), Some(event_id)) if ended && from != to => {
                Some(Outgoing::DeleteEvent { smds: smds.clone(), eid, event_id: event_id.clone() })
            }
            _ => None,
        };
        self.changed(id, false);
        if let Some(event) = event {
            self.send(event);
        }
        if from != to {
            self.tell(now, SmdpEventKind::OrderMoved { order: id, matching_id, from, to, cause });
        }
    }

    fn note(&mut self, id: OrderId, cause: String, now: i64) {
        if let Some(order) = self.orders.get_mut(id) {
            order.record(now, None, cause);
            self.changed(id, false);
        }
    }

    /// Drops sessions that have had their time, and the oldest where there are too many.
    fn expire_sessions(&mut self, now: i64) {
        let (lifetime, most) = (self.config.session_lifetime, self.config.max_sessions.max(1));
        for half in [true, false] {
            let ages = if half { &mut self.half_open } else { &mut self.authenticated };
            while let Some((opened, _)) = ages.front() {
                if now - opened <= lifetime && ages.len() < most {
                    break;
                }
                let Some((_, transaction_id)) = ages.pop_front() else { break };
                let moved_on = self.sessions.get(&transaction_id).is_some_and(|session| session.euicc.is_some());
                if !(half && moved_on) {
                    self.sessions.remove(&transaction_id);
                }
            }
        }
    }

    /// Begins a function. Drive the steps it comes to with [`work::Work::run`] and [`Smdp::resume`].
    pub fn begin(&mut self, request: Request, now: i64) -> Step {
        let begun = match request {
            Request::InitiateAuthentication { euicc_challenge, euicc_info1, address } => {
                self.expire_sessions(now);
                let random = &mut *self.random;
                let opening = self.server.open(&euicc_challenge, &euicc_info1, &address, random);
                opening.map(|opening| Job::Open { server: self.server.clone(), opening })
            }
            Request::AuthenticateClient { transaction_id, response } => {
                self.begin_authenticate_client(transaction_id, response, now)
            }
            Request::GetBoundProfilePackage { transaction_id, response } => {
                self.begin_get_bound_profile_package(transaction_id, response, now)
            }
            Request::HandleNotification { pending_notification } => {
                return self.begin_handle_notification(pending_notification, now);
            }
            Request::CancelSession { transaction_id, response } => {
                self.begin_cancel_session(transaction_id, response, now)
            }
        };
        match begun {
            Ok(job) => Step::work(job),
            Err(status) => Step::Answer(Err(status)),
        }
    }

    /// Goes on with a function once its work is done.
    pub fn resume(&mut self, finished: Finished, now: i64) -> Step {
        match finished.0 {
            Done::Opened { opening, result } => result
                .map(|ok| {
                    let transaction_id = opening.transaction_id;
                    let curve = self.config.credentials[opening.issuer].auth.certificate.curve();
                    let session = Session {
                        opened: now,
                        euicc_ci: opening.euicc_ci,
                        credentials: opening.issuer,
                        address: opening.address,
                        server_challenge: opening.server_challenge,
                        euicc: None,
                        stage: Stage::Opened,
                    };
                    self.sessions.insert(transaction_id.clone(), session);
                    self.half_open.push_back((now, transaction_id.clone()));
                    self.tell(now, SmdpEventKind::SessionOpened { transaction_id, curve });
                    Answer::InitiateAuthentication(ok)
                })
                .into(),
            Done::Card { transaction_id, result } => {
                let offered = result.and_then(|card| self.offer(&transaction_id, *card, now));
                match self.refuse(&transaction_id, offered) {
                    Ok(job) => Step::work(job),
                    Err(status) => Step::Answer(Err(status)),
                }
            }
            Done::Offered { transaction_id, order, profile_metadata, smdp_signed2, result } => {
                let offered = result.and_then(|signature| {
                    self.offered(transaction_id.clone(), order, profile_metadata, smdp_signed2, signature)
                });
                self.refuse(&transaction_id, offered).into()
            }
            Done::Download { transaction_id, result } => {
                let checked = result.and_then(|download| self.prepare_binding(&transaction_id, &download, now));
                match self.refuse(&transaction_id, checked) {
                    Ok(job) => Step::work(Job::Bind(Box::new(job))),
                    Err(status) => Step::Answer(Err(status)),
                }
            }
            Done::Bound { transaction_id, order, eid, result } => {
                let delivered = result.and_then(|ready| self.deliver(&transaction_id, order, eid, ready, now));
                self.refuse(&transaction_id, delivered).into()
            }
            Done::Cancelled { transaction_id, result } => {
                result.and_then(|cancel| self.cancelled(transaction_id, &cancel, now)).into()
            }
            Done::Installation { notification, genuine } => {
                self.finish_installation(&notification, genuine, now).map(Answer::Notified).into()
            }
            Done::Other { notification, result } => {
                self.finish_other(&notification, result, now).map(Answer::Notified).into()
            }
        }
    }

    /// All steps of a function at once.
    pub fn perform(&mut self, request: Request, now: i64) -> Result<Answer, StatusError> {
        let mut step = self.begin(request, now);
        loop {
            step = match step {
                Step::Answer(answer) => return answer,
                Step::Work(work) => self.resume(work.run(), now),
            };
        }
    }

    /// ES9+ initiateAuthentication (SGP.22 §5.6.1).
    pub fn initiate_authentication(
        &mut self,
        request: InitiateAuthentication<'_>,
        now: i64,
    ) -> Result<InitiateAuthenticationOk, StatusError> {
        let request = Request::InitiateAuthentication {
            euicc_challenge: request.euicc_challenge.to_vec(),
            euicc_info1: request.euicc_info1.to_vec(),
            address: request.smdp_address.to_owned(),
        };
        match self.perform(request, now)? {
            Answer::InitiateAuthentication(ok) => Ok(ok),
            other => Err(unexpected(&other)),
        }
    }

    /// ES9+ authenticateClient (SGP.22 §5.6.3). The response is the card's to AuthenticateServer, element `BF38`.
    pub fn authenticate_client(
        &mut self,
        transaction_id: &str,
        authenticate_server_response: &[u8],
        now: i64,
    ) -> Result<AuthenticateClientOk, StatusError> {
        let (transaction_id, response) = (session_id(transaction_id)?, authenticate_server_response.to_vec());
        match self.perform(Request::AuthenticateClient { transaction_id, response }, now)? {
            Answer::AuthenticateClient(ok) => Ok(ok),
            other => Err(unexpected(&other)),
        }
    }

    /// ES9+ getBoundProfilePackage (SGP.22 §5.6.2). The response is the card's to PrepareDownload, element `BF21`.
    pub fn get_bound_profile_package(
        &mut self,
        transaction_id: &str,
        prepare_download_response: &[u8],
        now: i64,
    ) -> Result<BoundProfilePackageOk, StatusError> {
        let (transaction_id, response) = (session_id(transaction_id)?, prepare_download_response.to_vec());
        match self.perform(Request::GetBoundProfilePackage { transaction_id, response }, now)? {
            Answer::BoundProfilePackage(ok) => Ok(ok),
            other => Err(unexpected(&other)),
        }
    }

    /// ES9+ handleNotification (SGP.22 §5.6.4). The notification is the card's, as it stands in its list. Only one that
    /// cannot be read is an error; what does not verify is ignored, and told by an event.
    pub fn handle_notification(&mut self, pending_notification: &[u8], now: i64) -> Result<Notified, StatusError> {
        let pending_notification = pending_notification.to_vec();
        match self.perform(Request::HandleNotification { pending_notification }, now)? {
            Answer::Notified(notified) => Ok(notified),
            other => Err(unexpected(&other)),
        }
    }

    /// ES9+ cancelSession (SGP.22 §5.6.5). The response is the card's to CancelSession, element `BF41`.
    pub fn cancel_session(
        &mut self,
        transaction_id: &str,
        cancel_session_response: &[u8],
        now: i64,
    ) -> Result<(), StatusError> {
        let (transaction_id, response) = (session_id(transaction_id)?, cancel_session_response.to_vec());
        match self.perform(Request::CancelSession { transaction_id, response }, now)? {
            Answer::Cancelled => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// The open session with this transaction id.
    fn session(&mut self, transaction_id: &TransactionId, now: i64) -> Result<&mut Session, StatusError> {
        let lifetime = self.config.session_lifetime;
        self.sessions
            .get_mut(transaction_id)
            .filter(|session| now - session.opened <= lifetime)
            .ok_or_else(|| unknown_transaction(transaction_id))
    }

    /// A refusal ends the session; cancelSession may still come.
    fn refuse<T>(&mut self, transaction_id: &TransactionId, result: Result<T, StatusError>) -> Result<T, StatusError> {
        if result.is_err()
            && let Some(session) = self.sessions.get_mut(transaction_id)
        {
            session.stage = Stage::Refused;
        }
        result
    }

    fn begin_authenticate_client(
        &mut self,
        transaction_id: TransactionId,
        response: Vec<u8>,
        now: i64,
    ) -> Result<Job, StatusError> {
        let session = self.session(&transaction_id, now)?;
        if !matches!(session.stage, Stage::Opened) {
            return Err(unknown_transaction(&transaction_id));
        }
        session.stage = Stage::Busy { order: None };
        let facts = Facts {
            transaction_id,
            euicc_ci: session.euicc_ci,
            address: session.address.clone(),
            server_challenge: session.server_challenge,
        };
        Ok(Job::VerifyCard { server: self.server.clone(), facts, response, now })
    }

    /// The card has proved itself: which order is it to have?
    fn offer(&mut self, transaction_id: &TransactionId, card: VerifiedCard, now: i64) -> Result<Job, StatusError> {
        let session = self.sessions.get_mut(transaction_id).ok_or_else(|| unknown_transaction(transaction_id))?;
        let eid = card.eid;
        session.euicc = Some((eid, card.euicc));
        let (credentials, opened) = (session.credentials, session.opened);
        self.authenticated.push_back((opened, transaction_id.clone()));
        self.tell(now, SmdpEventKind::EuiccAuthenticated { transaction_id: transaction_id.clone(), eid });

        let found = self.find_order(&card.matching_id, eid, now);
        let found = match found {
            // What the card cannot take is told before its order counts a try (SGP.22 §3.1.3 step 5).
            Ok(order) => {
                let (id, eligible) = (order.id, self.config.eligibility.then(|| eligible(order, &card.capabilities)));
                self.progress(id, Some(eid), Point::Eligibility, eligible.clone().unwrap_or(Ok(())), None, now);
                eligible.unwrap_or(Ok(())).map(|()| id)
            }
            Err(status) => {
                if let Some(id) = self.orders.by_matching_id(&card.matching_id).map(Order::id) {
                    self.progress(id, Some(eid), Point::Eligibility, Err(status.clone()), None, now);
                }
                Err(status)
            }
        };
        let id = found?;
        let curve = self.config.credentials[credentials].pb.certificate.curve();
        let order = self.orders.get_mut(id).ok_or_else(|| unknown_transaction(transaction_id))?;
        order.attempts += 1;
        // SGP.22 §3.1.3 step 2: a card that still has the one-time key of an earlier try is asked to use it again.
        let bound = order.bound.as_ref().filter(|bound| bound.eid == eid && is_on(curve, &bound.euicc_otpk));
        let bpp_euicc_otpk = bound.map(|bound| bound.euicc_otpk);
        let cc_required = order.needs_confirmation_code();
        let profile_metadata = order.profile().metadata(&self.config.address).encode();
        self.changed(id, false);
        if let Some(session) = self.sessions.get_mut(transaction_id) {
            session.stage = Stage::Busy { order: Some(id) };
        }
        Ok(Job::Offer {
            config: self.config.clone(),
            credentials,
            transaction_id: transaction_id.clone(),
            order: id,
            smdp_signed2: SmdpSigned2 { transaction_id: transaction_id.clone(), cc_required, bpp_euicc_otpk }.encode(),
            euicc_signature1: card.euicc_signature1,
            profile_metadata,
        })
    }

    fn offered(
        &mut self,
        transaction_id: TransactionId,
        order: OrderId,
        profile_metadata: Vec<u8>,
        smdp_signed2: Vec<u8>,
        smdp_signature2: Vec<u8>,
    ) -> Result<Answer, StatusError> {
        let session = self.sessions.get_mut(&transaction_id).ok_or_else(|| unknown_transaction(&transaction_id))?;
        session.stage = Stage::Authenticated { order, smdp_signature2: smdp_signature2.clone() };
        let smdp_certificate = self.config.credentials[session.credentials].pb.certificate.der().to_vec();
        Ok(Answer::AuthenticateClient(AuthenticateClientOk {
            transaction_id,
            profile_metadata,
            smdp_signed2,
            smdp_signature2,
            smdp_certificate,
        }))
    }

    /// The order that a card asks for, if it may have it now (SGP.22 §5.6.3).
    fn find_order(&self, matching_id: &str, eid: Eid, now: i64) -> Result<&Order, StatusError> {
        let order = if matching_id.is_empty() {
            // SGP.23 §4.3.14.2.2, sequence 14: without a matching id it is the EID that is unknown.
            self.orders.default_for(eid).ok_or_else(|| Status::EidMismatch.with(format!("nothing waits for {eid}")))?
        } else {
            let order = self.orders.by_matching_id(matching_id);
            order.ok_or_else(|| Status::MatchingIdRefused.with(format!("no order has matching id {matching_id:?}")))?
        };
        // An order for any card is for the one that has fetched its package, from then on.
        let expected = order.eid().or(order.bound.as_ref().map(|bound| bound.eid));
        if let Some(expected) = expected.filter(|expected| *expected != eid) {
            return Err(Status::EidMismatch.with(format!("the order is for {expected}, this is {eid}")));
        }
        match order.state {
            OrderState::Released | OrderState::Downloaded => {}
            OrderState::Available | OrderState::Allocated | OrderState::Linked | OrderState::Confirmed => {
                return Err(Status::NotReleased.with(format!("the order is {}", order.state)));
            }
            OrderState::Installed | OrderState::Error | OrderState::Unavailable => {
                let message = format!("the order with matching id {matching_id:?} is {}", order.state);
                return Err(Status::MatchingIdRefused.with(message));
            }
        }
        if order.spec.expires.is_some_and(|expires| now > expires) {
            return Err(Status::OrderExpired.with("ask the operator for a new activation code"));
        }
        if order.spec.max_attempts.or(self.config.max_attempts).is_some_and(|most| order.attempts >= most) {
            return Err(Status::RetriesExceeded.with(format!("it was tried {} times", order.attempts)));
        }
        Ok(order)
    }

    fn begin_get_bound_profile_package(
        &mut self,
        transaction_id: TransactionId,
        response: Vec<u8>,
        now: i64,
    ) -> Result<Job, StatusError> {
        let session = self.session(&transaction_id, now)?;
        let Stage::Authenticated { order, smdp_signature2 } = &session.stage else {
            return Err(unknown_transaction(&transaction_id));
        };
        let (order, smdp_signature2) = (*order, smdp_signature2.clone());
        let Some((_, euicc)) = session.euicc.clone() else { return Err(unknown_transaction(&transaction_id)) };
        session.stage = Stage::Busy { order: Some(order) };
        Ok(Job::VerifyDownload { transaction_id, euicc, smdp_signature2, response })
    }

    /// The card has prepared itself: may it have the package, and is it bound already?
    fn prepare_binding(
        &mut self,
        transaction_id: &TransactionId,
        download: &VerifiedDownload,
        now: i64,
    ) -> Result<BindJob, StatusError> {
        let session = self.sessions.get(transaction_id).ok_or_else(|| unknown_transaction(transaction_id))?;
        let (Some((eid, _)), Stage::Busy { order: Some(order_id) }) = (&session.euicc, &session.stage) else {
            return Err(unknown_transaction(transaction_id));
        };
        let (eid, order_id, credentials) = (*eid, *order_id, session.credentials);
        if download.transaction_id != *transaction_id {
            return Err(unknown_transaction(&download.transaction_id));
        }
        let code = self.check_confirmation_code(order_id, transaction_id, download.hash_cc, now);
        self.progress(order_id, Some(eid), Point::ConfirmationCode, code.clone(), None, now);
        code?;
        let order = self.orders.get(order_id).ok_or_else(|| unknown_transaction(transaction_id))?;
        self.still_there(order, eid)?;
        let bound = order.bound.clone().filter(|bound| bound.eid == eid && bound.euicc_otpk == download.euicc_otpk);
        if bound.is_none() && order.bound.is_some() && !self.config.rebind {
            return Err(Status::NoRebinding.with("the eUICC has another one-time key than before"));
        }
        Ok(BindJob {
            credentials,
            transaction_id: transaction_id.clone(),
            order: order_id,
            eid,
            euicc_otpk: download.euicc_otpk,
            metadata: order.spec.profile.metadata(&self.config.address).encode(),
            package: order.spec.profile.shared_package(),
            bound,
            replace_session_keys: order.spec.replace_session_keys.unwrap_or(self.config.replace_session_keys),
            protected: order.protected.clone(),
            random: Drawn::from(&mut *self.random),
            config: self.config.clone(),
        })
    }

    /// Another session may have got the order in the meantime, or somebody has moved it.
    fn still_there(&self, order: &Order, eid: Eid) -> Result<(), StatusError> {
        if let Some(other) = order.bound.as_ref().map(|bound| bound.eid).filter(|other| *other != eid) {
            return Err(Status::EidMismatch.with(format!("the package has gone to {other} in the meantime")));
        }
        if !matches!(order.state, OrderState::Released | OrderState::Downloaded) {
            return Err(Status::MatchingIdRefused.with(format!("the order is {} by now", order.state)));
        }
        Ok(())
    }

    fn deliver(
        &mut self,
        transaction_id: &TransactionId,
        order_id: OrderId,
        eid: Eid,
        ready: Ready,
        now: i64,
    ) -> Result<Answer, StatusError> {
        let session = self.sessions.get(transaction_id).ok_or_else(|| unknown_transaction(transaction_id))?;
        let Some((_, euicc)) = &session.euicc else { return Err(unknown_transaction(transaction_id)) };
        let key = euicc.public_key().clone();
        let order = self.orders.get(order_id).ok_or_else(|| unknown_transaction(transaction_id))?;
        self.still_there(order, eid)?;
        let delivery = Delivery { order: order_id, key, iccid: order.profile().iccid(), answered: false };
        let segments = ready.bound.segments();
        if let Some(order) = self.orders.get_mut(order_id) {
            order.bound = Some(ready.bound);
            order.protected = ready.protected;
        }
        self.remember(transaction_id.clone(), delivery);
        if let Some(session) = self.sessions.get_mut(transaction_id) {
            session.stage = Stage::Delivered { order: order_id };
        }
        self.changed(order_id, !ready.again);
        let transaction_id = transaction_id.clone();
        self.tell(
            now,
            SmdpEventKind::PackageBound {
                transaction_id: transaction_id.clone(),
                order: order_id,
                segments,
                again: ready.again,
            },
        );
        self.move_order(order_id, OrderState::Downloaded, format!("handed out to {eid}"), now);
        self.progress(order_id, Some(eid), Point::Download, Ok(()), None, now);
        Ok(Answer::BoundProfilePackage(BoundProfilePackageOk { transaction_id, bound_profile_package: ready.package }))
    }

    fn remember(&mut self, transaction_id: TransactionId, delivery: Delivery) {
        if self.delivery_ages.len() == MAX_REMEMBERED
            && let Some(oldest) = self.delivery_ages.pop_front()
        {
            self.deliveries.remove(&oldest);
            if let Some(changes) = &mut self.changes {
                changes.delivery(&oldest);
            }
        }
        if let Some(changes) = &mut self.changes {
            changes.delivery(&transaction_id);
        }
        self.delivery_ages.push_back(transaction_id.clone());
        self.deliveries.insert(transaction_id, delivery);
    }

    /// SGP.22 §5.6.2: missing, wrong, and wrong too often are told apart; the last ends the order.
    fn check_confirmation_code(
        &mut self,
        order_id: OrderId,
        transaction_id: &TransactionId,
        hash: Option<[u8; 32]>,
        now: i64,
    ) -> Result<(), StatusError> {
        let most = self.config.max_wrong_codes;
        let order = self.orders.get_mut(order_id).ok_or_else(|| unknown_transaction(transaction_id))?;
        let Some(code) = &order.spec.confirmation_code else { return Ok(()) };
        let Some(hash) = hash else {
            return Err(Status::ConfirmationCodeMissing.with("the order needs a confirmation code"));
        };
        let expected = hash_confirmation_code(code, transaction_id.as_bytes());
        if equal_in_constant_time(&hash, &expected) {
            return Ok(());
        }
        order.wrong_codes += 1;
        let wrong = order.wrong_codes;
        if wrong <= most {
            self.note(order_id, "a wrong confirmation code was given".to_owned(), now);
            let message = format!("wrong code number {wrong}; {} more may be tried", most - wrong + 1);
            return Err(Status::ConfirmationCodeRefused.with(message));
        }
        self.move_order(order_id, OrderState::Error, "too many wrong confirmation codes".to_owned(), now);
        Err(Status::ConfirmationCodeRetries.with("ask the operator for a new activation code"))
    }

    fn begin_cancel_session(
        &mut self,
        transaction_id: TransactionId,
        response: Vec<u8>,
        now: i64,
    ) -> Result<Job, StatusError> {
        let session = self.session(&transaction_id, now)?;
        // Nobody has proved to be the card of this session before authenticateClient.
        let Some((_, euicc)) = session.euicc.clone() else { return Err(unknown_transaction(&transaction_id)) };
        Ok(Job::VerifyCancel { transaction_id, euicc, response })
    }

    fn cancelled(
        &mut self,
        transaction_id: TransactionId,
        cancel: &VerifiedCancel,
        now: i64,
    ) -> Result<Answer, StatusError> {
        if cancel.transaction_id != transaction_id {
            return Err(unknown_transaction(&cancel.transaction_id));
        }
        if cancel.smdp_oid != self.config.oid {
            return Err(Status::OidMismatch.with(format!("{} is not {}", cancel.smdp_oid, self.config.oid)));
        }
        // Two may have come at the same time: the first one counts.
        let session = self.sessions.remove(&transaction_id).ok_or_else(|| unknown_transaction(&transaction_id))?;
        let order = match session.stage {
            Stage::Authenticated { order, .. } | Stage::Delivered { order } => Some(order),
            Stage::Busy { order } => order,
            Stage::Opened | Stage::Refused => None,
        };
        self.tell(now, SmdpEventKind::SessionCancelled { transaction_id, reason: cancel.reason });
        if let Some(order) = order {
            self.order_cancelled(order, cancel.reason, now);
        }
        Ok(Answer::Cancelled)
    }

    /// SGP.22 §3.1.3.1: what is put off can be tried again, what is given up cannot.
    fn order_cancelled(&mut self, id: OrderId, reason: CancelSessionReason, now: i64) {
        let cause = format!("the session was cancelled: {reason}");
        match reason {
            CancelSessionReason::Postponed | CancelSessionReason::Timeout => self.note(id, cause, now),
            _ => {
                let state = self.orders.get(id).map(Order::state);
                if matches!(state, Some(OrderState::Released | OrderState::Downloaded)) {
                    self.move_order(id, OrderState::Error, cause, now);
                }
            }
        }
    }
}

fn session_id(text: &str) -> Result<TransactionId, StatusError> {
    TransactionId::parse(text).map_err(|_| unknown_transaction(format_args!("{text:?}")))
}

fn unexpected(answer: &Answer) -> StatusError {
    Status::Internal.with(format!("a function has come to the answer of another: {answer:?}"))
}

/// The eligibility check (SGP.22 §3.1.3 step 5, §4.1.2): whether card and device can take a profile, and have room.
fn eligible(order: &Order, card: &Capabilities) -> Result<(), StatusError> {
    let refuse = |message: String| Err(Status::NotEligible.with(message));
    let [major, minor, _] = card.profile_version.0;
    if let Some(version) = order.needs.version
        && (version.0 != major || version.1 > minor)
    {
        let (needed, has) = (format!("{}.{}", version.0, version.1), card.profile_version);
        return refuse(format!("the package is of version {needed}, and the eUICC takes {has}"));
    }
    for service in &order.needs.services {
        if uicc_capability(*service).is_some_and(|bit| !card.uicc.has(bit)) {
            return refuse(format!("the profile needs the service {service}, which the eUICC does not have"));
        }
    }
    let rules = order.spec.profile.metadata("").profile_policy_rules.unwrap_or_default();
    for (bit, name) in [(1, "PPR1"), (2, "PPR2")] {
        if rules.has(bit) && card.forbidden_rules.has(bit) {
            return refuse(format!("the profile has the rule {name}, which the eUICC forbids"));
        }
    }
    for (technology, release) in &order.spec.requires {
        let has = card.device.iter().find(|(tag, _)| tag == technology).map(|(_, version)| *version);
        if has.is_none_or(|has| has < *release) {
            return refuse(format!("the device does not support technology {technology:02X} of release {release}"));
        }
    }
    // A lower bound: a card that has less than the package is long has not enough for certain.
    let needed = order.spec.profile.package().len();
    match card.free_non_volatile {
        Some(free) if (free as usize) < needed => {
            Err(Status::NoMemory.with(format!("the package has {needed} bytes, and the eUICC {free} to spare")))
        }
        _ => Ok(()),
    }
}

/// The bit of UICCCapability (SGP.22 §5.7.8) for a service that a package may demand; `None` where there is none.
fn uicc_capability(service: Service) -> Option<u8> {
    Some(match service {
        Service::Contactless => 0,
        Service::Usim => 1,
        Service::Isim => 2,
        Service::Csim => 3,
        Service::Milenage => 4,
        Service::Cave => 5,
        Service::Tuak128 => 6,
        Service::Tuak256 => 7,
        Service::UsimTestAlgorithm => 8,
        Service::GbaUsim => 10,
        Service::GbaIsim => 11,
        Service::Mbms => 12,
        Service::Eap => 13,
        Service::Javacard => 14,
        Service::Multos => 15,
        Service::MultipleUsim => 16,
        Service::MultipleIsim => 17,
        Service::MultipleCsim => 18,
        Service::BerTlv => 19,
        Service::DfLink => 20,
        Service::CatTp => 21,
        Service::GetIdentity => 22,
        Service::ProfileAX25519 => 23,
        Service::ProfileBP256 => 24,
        Service::SuciCalculatorApi => 25,
        Service::Unknown(_) => return None,
    })
}

#[cfg(test)]
mod tests;
