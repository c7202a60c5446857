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
mod authenticate;
mod cancel;
mod config;
pub mod es2;
mod events;
pub(crate) mod known;
mod messages;
mod notifications;
mod outgoing;
mod package;
mod record;
pub mod work;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use rsp::cert::Certificate;
use rsp::crypto::{PublicKey, Random};
use rsp::{Eid, Iccid, TransactionId};

use crate::flaw::PackageFlaw;
use crate::order::{Order, OrderError, OrderId, OrderSpec, OrderState, Orders};
use crate::status::{Status, StatusError};
use auth::{Authenticator, Issuer, Part, unknown_transaction};
use record::Changes;
use work::{Done, Finished, Job, Step};

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
    /// The [holder](Order::holder) of its order, once that is found.
    holder: u32,
    /// What is to be wrong with its package.
    flaw: Option<PackageFlaw>,
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
            known: known::Known::default(),
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

    /// Has the package of an open session be wrong in this way; for faults.
    pub fn spoil_package(&mut self, transaction_id: &TransactionId, flaw: PackageFlaw) {
        if let Some(session) = self.sessions.get_mut(transaction_id) {
            session.flaw = Some(flaw);
        }
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
                        holder: 0,
                        flaw: None,
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
}

fn session_id(text: &str) -> Result<TransactionId, StatusError> {
    TransactionId::parse(text).map_err(|_| unknown_transaction(format_args!("{text:?}")))
}

fn unexpected(answer: &Answer) -> StatusError {
    Status::Internal.with(format!("a function has come to the answer of another: {answer:?}"))
}

#[cfg(test)]
mod tests;
