//! The SM-DP+ itself: sessions and orders, without I/O.
//!
//! ```text
//! initiateAuthentication → Opened → authenticateClient → Authenticated → getBoundProfilePackage → Delivered
//!                                                                              handleNotification → order moved
//!                cancelSession ends a session at any stage; a refusal ends it too, and only cancelSession follows
//! ```
//!
//! Each function of ES9+ is a method: a request of parts as they arrived, a response of parts as they go out, or a
//! [`StatusError`]. The time is handed in with each call, randomness when the server is made. What happens is told by
//! [`Smdp::drain_events`].

mod config;
mod events;
mod messages;
mod notifications;

use std::collections::{HashMap, VecDeque};
use std::fmt;

use rsp::cert::{Certificate, ChainError, verify_euicc_chain};
use rsp::crypto::{CryptoError, Curve, PublicKey, Random, equal_in_constant_time, hash_confirmation_code};
use rsp::es10::TAG_SIGNATURE;
use rsp::es10::auth::{AuthenticateResponseOk, AuthenticateServerResponse, ServerSigned1};
use rsp::es10::download::{CancelSessionReason, CancelSessionResponse, PrepareDownloadResponse, SmdpSigned2};
use rsp::es10::info::EuiccInfo1;
use rsp::ids::to_hex;
use rsp::tlv::{TlvError, encode};
use rsp::{Eid, Iccid, ServerAddress, TransactionId};

use crate::binding::{Binding, Bound, Protected};
use crate::order::{Order, OrderError, OrderId, OrderSpec, OrderState, Orders};
use crate::status::{Status, StatusError};

pub use config::{ConfigError, Credentials, Identity, SmdpConfig};
pub use events::{Notified, SmdpEvent, SmdpEventKind};
pub use messages::{AuthenticateClientOk, BoundProfilePackageOk, InitiateAuthentication, InitiateAuthenticationOk};

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
    config: SmdpConfig,
    random: Box<dyn Random>,
    sessions: HashMap<TransactionId, Session>,
    /// Sessions by age, the oldest in front; those that have ended may still stand here.
    ages: VecDeque<(i64, TransactionId)>,
    deliveries: HashMap<TransactionId, Delivery>,
    delivery_ages: VecDeque<TransactionId>,
    orders: Orders,
    events: VecDeque<SmdpEvent>,
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

/// A failure of the server's own cryptography: nothing that a client has sent is to blame.
fn internal(error: CryptoError) -> StatusError {
    Status::Internal.with(error.to_string())
}

fn malformed(what: &'static str) -> impl FnOnce(TlvError) -> StatusError {
    move |error| Status::Malformed.with(format!("{what}: {error}"))
}

fn chain_status(error: &ChainError) -> StatusError {
    // SGP.22 §5.6.3: invalid and expired are told apart, for EUM and eUICC.
    let status = match error {
        ChainError::EumInvalid(_) => Status::EumInvalid,
        ChainError::EumExpired(_) => Status::EumExpired,
        ChainError::EuiccInvalid(_) | ChainError::EidNotPermitted { .. } => Status::EuiccInvalid,
        ChainError::EuiccExpired(_) => Status::EuiccExpired,
    };
    status.with(error.to_string())
}

fn unknown_transaction(text: impl fmt::Display) -> StatusError {
    Status::TransactionUnknown.with(format!("no session {text} is at this stage; it may have expired"))
}

impl Smdp {
    /// A server with this configuration and source of randomness.
    pub fn new(config: SmdpConfig, random: Box<dyn Random>) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Smdp {
            config,
            random,
            sessions: HashMap::new(),
            ages: VecDeque::new(),
            deliveries: HashMap::new(),
            delivery_ages: VecDeque::new(),
            orders: Orders::default(),
            events: VecDeque::new(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &SmdpConfig {
        &self.config
    }

    /// Takes an order.
    pub fn add_order(&mut self, spec: OrderSpec, now: i64) -> Result<OrderId, OrderError> {
        self.orders.add(spec, now)
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

    /// How many sessions are open.
    pub fn open_sessions(&self) -> usize {
        self.sessions.len()
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

    fn move_order(&mut self, id: OrderId, to: OrderState, cause: String, now: i64) {
        let Some(order) = self.orders.get_mut(id) else { return };
        let from = order.state;
        order.record(now, Some(to), cause.clone());
        let matching_id = order.spec.matching_id.clone();
        if from != to {
            self.tell(now, SmdpEventKind::OrderMoved { order: id, matching_id, from, to, cause });
        }
    }

    /// Drops sessions that have had their time, and the oldest where there are too many.
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

    /// Whether an address is this server's: letters of either case, with or without port.
    fn is_own_address(&self, text: &str) -> bool {
        let same = |own: &str| match (ServerAddress::parse(own), ServerAddress::parse(text)) {
            (Ok(own), Ok(given)) => own.same_host(&given),
            // An IPv6 address in brackets, say.
            _ => own.eq_ignore_ascii_case(text),
        };
        same(&self.config.address) || self.config.aliases.iter().any(|alias| same(alias))
    }

    /// What the server has under the CI with this key identifier.
    fn credentials_under(&self, ci_key_id: &[u8]) -> Option<usize> {
        let known = |credentials: &Credentials| credentials.ci.subject_key_id() == Some(ci_key_id);
        self.config.credentials.iter().position(known)
    }

    /// ES9+ initiateAuthentication (SGP.22 §5.6.1).
    pub fn initiate_authentication(
        &mut self,
        request: InitiateAuthentication<'_>,
        now: i64,
    ) -> Result<InitiateAuthenticationOk, StatusError> {
        self.expire_sessions(now);
        let euicc_challenge: [u8; 16] = request
            .euicc_challenge
            .try_into()
            .map_err(|_| Status::Malformed.with("euiccChallenge: it has 16 bytes (SGP.22 §5.7.7)"))?;
        let info = EuiccInfo1::parse(request.euicc_info1).map_err(malformed("euiccInfo1"))?;
        if !self.is_own_address(request.smdp_address) {
            let message = format!("{:?} is not {}", request.smdp_address, self.config.address);
            return Err(Status::AddressInvalid.with(message));
        }
        let (lowest, highest) = self.config.svn;
        if !(lowest..=highest).contains(&info.svn) {
            let message = format!("the eUICC has {}, and {lowest} to {highest} are supported", info.svn);
            return Err(Status::SvnUnsupported.with(message));
        }
        // SGP.22 §5.6.1: the card can verify this server under one CI and sign under one; its first choices count, and
        // one CI for both is better than two.
        let first_known = |ids: &[Vec<u8>]| ids.iter().find_map(|id| self.credentials_under(id));
        let Some(verification) = first_known(&info.ci_pkids_for_verification) else {
            let status = match first_known(&info.ci_pkids_for_signing) {
                Some(_) => Status::NoServerCertificate,
                None => Status::NoCommonCi,
            };
            return Err(status.with("the eUICC verifies servers under none of the CIs that this server has"));
        };
        let Some(euicc_ci) = first_known(&info.ci_pkids_for_signing) else {
            return Err(Status::NoCommonCi.with("the eUICC signs under none of the CIs that this server has"));
        };
        let ci_key_id = self.config.credentials[euicc_ci].ci.subject_key_id().unwrap_or_default().to_vec();
        let credentials = match info.ci_pkids_for_verification.contains(&ci_key_id) {
            true => euicc_ci,
            false => verification,
        };
        let server = &self.config.credentials[credentials];
        let curve = server.auth.certificate.curve();

        let mut transaction_id = [0; 16];
        self.random.fill(&mut transaction_id);
        let transaction_id =
            TransactionId::from_bytes(&transaction_id).map_err(|error| Status::Internal.with(error.to_string()))?;
        let mut server_challenge = [0; 16];
        self.random.fill(&mut server_challenge);
        let server_signed1 = ServerSigned1 {
            transaction_id: transaction_id.clone(),
            euicc_challenge,
            // As the LPA wrote it: it compares.
            server_address: request.smdp_address.to_owned(),
            server_challenge,
        }
        .encode();
        let signature = server.auth.key.sign(&[&server_signed1]).map_err(internal)?;
        let response = InitiateAuthenticationOk {
            transaction_id: transaction_id.clone(),
            server_signed1,
            server_signature1: encode(TAG_SIGNATURE, &signature),
            euicc_ci_pkid_to_be_used: encode(0x04, &ci_key_id),
            server_certificate: server.auth.certificate.der().to_vec(),
        };
        let session = Session {
            opened: now,
            euicc_ci,
            credentials,
            address: request.smdp_address.to_owned(),
            server_challenge,
            euicc: None,
            stage: Stage::Opened,
        };
        self.sessions.insert(transaction_id.clone(), session);
        self.ages.push_back((now, transaction_id.clone()));
        self.tell(now, SmdpEventKind::SessionOpened { transaction_id, curve });
        Ok(response)
    }

    /// The open session with this transaction id, as it stands in JSON.
    fn session(&mut self, text: &str, now: i64) -> Result<TransactionId, StatusError> {
        let transaction_id = TransactionId::parse(text).map_err(|_| unknown_transaction(format_args!("{text:?}")))?;
        let session = self.sessions.get(&transaction_id);
        match session {
            Some(session) if now - session.opened <= self.config.session_lifetime => Ok(transaction_id),
            _ => Err(unknown_transaction(&transaction_id)),
        }
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

    /// ES9+ authenticateClient (SGP.22 §5.6.3). The response is the card's to AuthenticateServer, element `BF38`.
    pub fn authenticate_client(
        &mut self,
        transaction_id: &str,
        authenticate_server_response: &[u8],
        now: i64,
    ) -> Result<AuthenticateClientOk, StatusError> {
        let transaction_id = self.session(transaction_id, now)?;
        if !matches!(self.sessions.get(&transaction_id), Some(Session { stage: Stage::Opened, .. })) {
            return Err(unknown_transaction(&transaction_id));
        }
        let result = self.authenticated(&transaction_id, authenticate_server_response, now);
        self.refuse(&transaction_id, result)
    }

    fn authenticated(
        &mut self,
        transaction_id: &TransactionId,
        response: &[u8],
        now: i64,
    ) -> Result<AuthenticateClientOk, StatusError> {
        let response = AuthenticateServerResponse::parse(response).map_err(malformed("authenticateServerResponse"))?;
        let response = match response {
            AuthenticateServerResponse::Ok(response) => response,
            AuthenticateServerResponse::Error { code, .. } => {
                return Err(Status::VerificationFailed.with(format!("the eUICC has refused this server: {code}")));
            }
        };
        let session = self.sessions.get(transaction_id).ok_or_else(|| unknown_transaction(transaction_id))?;
        let (eid, euicc) = self.verify_euicc(session, &response, now)?;
        let signed = &response.euicc_signed1;
        if signed.transaction_id != *transaction_id {
            return Err(unknown_transaction(&signed.transaction_id));
        }
        if !equal_in_constant_time(&signed.server_challenge, &session.server_challenge) {
            return Err(Status::VerificationFailed.with("serverChallenge is not the one of this session"));
        }
        if signed.server_address != session.address {
            return Err(Status::VerificationFailed.with("serverAddress is not the one of this session"));
        }
        let credentials = session.credentials;
        let matching_id = signed.ctx_params1.matching_id.as_deref().unwrap_or_default().to_owned();
        if let Some(session) = self.sessions.get_mut(transaction_id) {
            session.euicc = Some((eid, euicc));
        }
        self.tell(now, SmdpEventKind::EuiccAuthenticated { transaction_id: transaction_id.clone(), eid });

        let order = self.find_order(&matching_id, eid, now)?;
        let (id, cc_required) = (order.id, order.needs_confirmation_code());
        let curve = self.config.credentials[credentials].pb.certificate.curve();
        // SGP.22 §3.1.3 step 2: a card that still has the one-time key of an earlier try is asked to use it again.
        let bound = order.bound.as_ref().filter(|bound| bound.eid == eid && is_on(curve, &bound.euicc_otpk));
        let bpp_euicc_otpk = bound.map(|bound| bound.euicc_otpk);
        let profile_metadata = order.profile().metadata(&self.config.address).encode();
        if let Some(order) = self.orders.get_mut(id) {
            order.attempts += 1;
        }
        let smdp_signed2 = SmdpSigned2 { transaction_id: transaction_id.clone(), cc_required, bpp_euicc_otpk }.encode();
        // SGP.22 §5.6.3: the signature covers the card's own, so that both belong to one session.
        let euicc_signature1 = encode(TAG_SIGNATURE, response.euicc_signature1);
        let pb = &self.config.credentials[credentials].pb;
        let signature = pb.key.sign(&[&smdp_signed2, &euicc_signature1]).map_err(internal)?;
        let smdp_signature2 = encode(TAG_SIGNATURE, &signature);
        let smdp_certificate = pb.certificate.der().to_vec();
        if let Some(session) = self.sessions.get_mut(transaction_id) {
            session.stage = Stage::Authenticated { order: id, smdp_signature2: smdp_signature2.clone() };
        }
        Ok(AuthenticateClientOk {
            transaction_id: transaction_id.clone(),
            profile_metadata,
            smdp_signed2,
            smdp_signature2,
            smdp_certificate,
        })
    }

    /// Verifies the card's certificates and its signature (SGP.22 §5.6.3).
    fn verify_euicc(
        &self,
        session: &Session,
        response: &AuthenticateResponseOk<'_>,
        now: i64,
    ) -> Result<(Eid, Certificate), StatusError> {
        let eum = Certificate::parse(response.eum_certificate)
            .map_err(|error| Status::EumInvalid.with(format!("the EUM certificate: {error}")))?;
        let euicc = Certificate::parse(response.euicc_certificate)
            .map_err(|error| Status::EuiccInvalid.with(format!("the eUICC certificate: {error}")))?;
        if let Some(id) = eum.authority_key_id().filter(|id| self.credentials_under(id).is_none()) {
            return Err(Status::CiUnknown.with(format!("the EUM certificate was signed with key {}", to_hex(id))));
        }
        let ci = &self.config.credentials[session.euicc_ci].ci;
        let eid = verify_euicc_chain(&euicc, &eum, ci, now).map_err(|error| chain_status(&error))?;
        if !euicc.public_key().verify(&[response.euicc_signed1.raw], response.euicc_signature1) {
            return Err(Status::VerificationFailed.with("euiccSignature1 is not one of the eUICC certificate's key"));
        }
        Ok((eid, euicc))
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

    /// ES9+ getBoundProfilePackage (SGP.22 §5.6.2). The response is the card's to PrepareDownload, element `BF21`.
    pub fn get_bound_profile_package(
        &mut self,
        transaction_id: &str,
        prepare_download_response: &[u8],
        now: i64,
    ) -> Result<BoundProfilePackageOk, StatusError> {
        let transaction_id = self.session(transaction_id, now)?;
        let (order, smdp_signature2) = match self.sessions.get(&transaction_id).map(|session| &session.stage) {
            Some(Stage::Authenticated { order, smdp_signature2 }) => (*order, smdp_signature2.clone()),
            _ => return Err(unknown_transaction(&transaction_id)),
        };
        let result = self.bound(&transaction_id, order, &smdp_signature2, prepare_download_response, now);
        self.refuse(&transaction_id, result)
    }

    fn bound(
        &mut self,
        transaction_id: &TransactionId,
        order_id: OrderId,
        smdp_signature2: &[u8],
        response: &[u8],
        now: i64,
    ) -> Result<BoundProfilePackageOk, StatusError> {
        let session = self.sessions.get(transaction_id).ok_or_else(|| unknown_transaction(transaction_id))?;
        let (eid, euicc) = session.euicc.clone().ok_or_else(|| unknown_transaction(transaction_id))?;
        let credentials = session.credentials;
        let response = PrepareDownloadResponse::parse(response).map_err(malformed("prepareDownloadResponse"))?;
        let (signed, signature) = match response {
            PrepareDownloadResponse::Ok { euicc_signed2, euicc_signature2 } => (euicc_signed2, euicc_signature2),
            PrepareDownloadResponse::Error { code, .. } => {
                return Err(Status::VerificationFailed.with(format!("the eUICC has refused the download: {code}")));
            }
        };
        if !euicc.public_key().verify(&[signed.raw, smdp_signature2], signature) {
            return Err(Status::VerificationFailed.with("euiccSignature2 is not one of the eUICC certificate's key"));
        }
        if signed.transaction_id != *transaction_id {
            return Err(unknown_transaction(&signed.transaction_id));
        }
        self.check_confirmation_code(order_id, transaction_id, signed.hash_cc, now)?;

        let curve = self.config.credentials[credentials].pb.certificate.curve();
        let order = self.orders.get_mut(order_id).ok_or_else(|| unknown_transaction(transaction_id))?;
        // Another session may have got it in the meantime.
        if let Some(other) = order.bound.as_ref().map(|bound| bound.eid).filter(|other| *other != eid) {
            return Err(Status::EidMismatch.with(format!("the package has gone to {other} in the meantime")));
        }
        if !matches!(order.state, OrderState::Released | OrderState::Downloaded) {
            return Err(Status::MatchingIdRefused.with(format!("the order is {} by now", order.state)));
        }
        let again = order.bound.as_ref().is_some_and(|bound| bound.eid == eid && bound.euicc_otpk == signed.euicc_otpk);
        if !again {
            if order.bound.is_some() && !self.config.rebind {
                return Err(Status::NoRebinding.with("the eUICC has another one-time key than before"));
            }
            if !is_on(curve, &signed.euicc_otpk) {
                return Err(Status::VerificationFailed.with(format!("the eUICC's one-time key is no point of {curve}")));
            }
            let random = &mut *self.random;
            let package = order.spec.profile.package();
            let replace = order.spec.replace_session_keys.unwrap_or(self.config.replace_session_keys);
            if replace && order.protected.is_none() {
                order.protected = Some(Protected::new(package, random).map_err(internal)?);
            }
            let metadata = order.spec.profile.metadata(&self.config.address).encode();
            let binding =
                Binding { eid, euicc_otpk: signed.euicc_otpk, host_id: &self.config.host_id, metadata: &metadata };
            let protected = order.protected.as_ref().filter(|_| replace);
            order.bound = Some(Bound::new(&binding, package, protected, random, curve).map_err(internal)?);
        }
        let Some(bound) = &order.bound else { return Err(unknown_transaction(transaction_id)) };
        let pb_key = &self.config.credentials[credentials].pb.key;
        let bound_profile_package = bound.package(transaction_id, pb_key).map_err(internal)?;
        let segments = bound.segments();
        let delivery = Delivery {
            order: order_id,
            key: euicc.public_key().clone(),
            iccid: order.profile().iccid(),
            answered: false,
        };
        self.remember(transaction_id.clone(), delivery);
        if let Some(session) = self.sessions.get_mut(transaction_id) {
            session.stage = Stage::Delivered { order: order_id };
        }
        let transaction_id = transaction_id.clone();
        let bound =
            SmdpEventKind::PackageBound { transaction_id: transaction_id.clone(), order: order_id, segments, again };
        self.tell(now, bound);
        self.move_order(order_id, OrderState::Downloaded, format!("handed out to {eid}"), now);
        Ok(BoundProfilePackageOk { transaction_id, bound_profile_package })
    }

    fn remember(&mut self, transaction_id: TransactionId, delivery: Delivery) {
        if self.delivery_ages.len() == MAX_REMEMBERED
            && let Some(oldest) = self.delivery_ages.pop_front()
        {
            self.deliveries.remove(&oldest);
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
            order.record(now, None, "a wrong confirmation code was given".to_owned());
            let message = format!("wrong code number {wrong}; {} more may be tried", most - wrong + 1);
            return Err(Status::ConfirmationCodeRefused.with(message));
        }
        self.move_order(order_id, OrderState::Error, "too many wrong confirmation codes".to_owned(), now);
        Err(Status::ConfirmationCodeRetries.with("ask the operator for a new activation code"))
    }

    /// ES9+ cancelSession (SGP.22 §5.6.5). The response is the card's to CancelSession, element `BF41`.
    pub fn cancel_session(
        &mut self,
        transaction_id: &str,
        cancel_session_response: &[u8],
        now: i64,
    ) -> Result<(), StatusError> {
        let transaction_id = self.session(transaction_id, now)?;
        let session = self.sessions.get(&transaction_id).ok_or_else(|| unknown_transaction(&transaction_id))?;
        let response =
            CancelSessionResponse::parse(cancel_session_response).map_err(malformed("cancelSessionResponse"))?;
        let (signed, signature) = match response {
            CancelSessionResponse::Ok { signed, signature } => (signed, signature),
            CancelSessionResponse::Error(code) => {
                return Err(Status::VerificationFailed.with(format!("the eUICC has not cancelled: error {code}")));
            }
        };
        // Nobody has proved to be the card of this session before authenticateClient.
        let (_, euicc) = session.euicc.as_ref().ok_or_else(|| unknown_transaction(&transaction_id))?;
        if !euicc.public_key().verify(&[signed.raw], signature) {
            return Err(Status::VerificationFailed.with("the signature is not one of the eUICC certificate's key"));
        }
        if signed.transaction_id != transaction_id {
            return Err(unknown_transaction(&signed.transaction_id));
        }
        if signed.smdp_oid != self.config.oid {
            return Err(Status::OidMismatch.with(format!("{} is not {}", signed.smdp_oid, self.config.oid)));
        }
        let reason = signed.reason;
        let order = match session.stage {
            Stage::Authenticated { order, .. } | Stage::Delivered { order } => Some(order),
            Stage::Opened | Stage::Refused => None,
        };
        self.sessions.remove(&transaction_id);
        self.tell(now, SmdpEventKind::SessionCancelled { transaction_id, reason });
        if let Some(order) = order {
            self.order_cancelled(order, reason, now);
        }
        Ok(())
    }

    /// SGP.22 §3.1.3.1: what is put off can be tried again, what is given up cannot.
    fn order_cancelled(&mut self, id: OrderId, reason: CancelSessionReason, now: i64) {
        let cause = format!("the session was cancelled: {reason}");
        match reason {
            CancelSessionReason::Postponed | CancelSessionReason::Timeout => {
                if let Some(order) = self.orders.get_mut(id) {
                    order.record(now, None, cause);
                }
            }
            _ => {
                let state = self.orders.get(id).map(Order::state);
                if matches!(state, Some(OrderState::Released | OrderState::Downloaded)) {
                    self.move_order(id, OrderState::Error, cause, now);
                }
            }
        }
    }
}

fn is_on(curve: Curve, point: &[u8; 65]) -> bool {
    PublicKey::from_point(curve, point).is_ok()
}

#[cfg(test)]
mod tests;
