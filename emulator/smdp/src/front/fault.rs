//! Faults of the HTTPS front: what goes wrong, at which occasion, how often.
//!
//! A [`Fault`] is an action with a trigger. The front asks its [`Faults`] at three occasions: when a connection comes
//! in, when a request has been read, and when a response is ready. What a fault wraps knows nothing of it, and with no
//! fault configured nothing is changed.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rsp::bpp::BoundProfilePackage;
use rsp::es10::auth::AuthenticateServerResponse;
use serde::{Deserialize, Serialize};

use super::call::Backend;
use super::http::TEXT_TYPE;
use crate::flaw::PackageFlaw;
use crate::server::{Answer, Function};
use crate::status::StatusError;

/// What goes wrong. In brackets is the code that libcurl gives for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The TCP connection is closed as soon as it is there (35).
    TcpClose,
    /// The TCP connection is reset once the ClientHello has come (35).
    TcpReset,
    /// The connection is closed after the client's first TLS bytes (35).
    TlsClose,
    /// The client's first TLS bytes are answered by bytes that are no TLS (35).
    TlsGarbage,
    /// The client's first TLS bytes are answered by a fatal alert with this description; 40 is `handshake_failure`
    /// (35).
    TlsAlert(u8),
    /// The client's first TLS bytes are not answered, and the connection stays (28).
    TlsHang,
    /// The handshake goes on with a certificate or a version that the client should refuse (60; 35 for the version).
    TlsFlaw(TlsFlaw),
    /// The HTTP status is this one, with this body (0, and the status).
    HttpStatus {
        /// The status, 200 to 599.
        status: u16,
        /// The body, as text.
        body: Cow<'static, str>,
    },
    /// The request is read, and the connection closed without an answer (52).
    HttpNoReply,
    /// The response is cut after this many bytes of its body (18).
    HttpCut {
        /// How many bytes come.
        after: usize,
    },
    /// The body of the response comes in small pieces (0, or 28 when the client gives up).
    HttpDrip {
        /// How many bytes a piece has.
        size: usize,
        /// The pause before each.
        pause: Duration,
    },
    /// The content type of the response is that of a plain text (0).
    HttpContentType,
    /// The body of the response is no JSON, or no DER (0).
    HttpGarbage,
    /// The response lacks this member of its JSON (0).
    HttpMissing(Cow<'static, str>),
    /// The client is sent elsewhere by a status 302 (0, and the status).
    HttpRedirect(Cow<'static, str>),
    /// So many spaces stand before the body of the response (0).
    HttpHuge {
        /// How many.
        bytes: usize,
    },
    /// The function is refused with this status, and not called.
    Refuse(StatusError),
    /// The transaction id in the response is another one.
    WrongTransactionId,
    /// One bit of the signature in the response is wrong (serverSignature1, smdpSignature2, or that of
    /// InitialiseSecureChannel).
    BadSignature,
    /// The certificate in the response is the server's other one: CERT.DPpb for CERT.DPauth, and the other way round.
    WrongCertificate,
    /// The response is the first one that this function gave, under the transaction id of this session. Nothing the
    /// first time.
    Replay,
    /// The bound profile package is made wrong in this way, and its signature and MACs are right all the same. One of the
    /// metadata is in authenticateClient already, so that it is no difference to the LPA; confined to
    /// getBoundProfilePackage it is one.
    Flaw(PackageFlaw),
    /// One bit of a segment of the bound profile package is wrong.
    TamperSegment {
        /// Which segment `86`, counted from 1.
        segment: usize,
        /// Where in it.
        part: SegmentPart,
    },
}

/// What is wrong with the TLS of a server that otherwise works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsFlaw {
    /// The certificate is of a CI that nobody trusts.
    Untrusted,
    /// The certificate has expired.
    Expired,
    /// The certificate is for another host.
    WrongName,
    /// The certificate is one for authentication, not for TLS.
    WrongRole,
    /// Nothing but TLS 1.0 is spoken.
    OldVersion,
}

impl fmt::Display for TlsFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsFlaw::Untrusted => "TLS certificate of an untrusted CI",
            TlsFlaw::Expired => "expired TLS certificate",
            TlsFlaw::WrongName => "TLS certificate for another host",
            TlsFlaw::WrongRole => "TLS certificate of another role",
            TlsFlaw::OldVersion => "nothing but TLS 1.0",
        })
    }
}

/// A place in a segment of the bound profile package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentPart {
    /// The first byte of what is encrypted.
    Data,
    /// The last byte, which is of the MAC.
    Mac,
}

/// The occasions at which faults are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    Connection,
    Request,
    Response,
}

impl Action {
    /// The layer on which it is felt: `tcp`, `tls`, `http` or `es9plus`.
    pub fn layer(&self) -> &'static str {
        match (self.occasion(), self) {
            (_, Action::TcpClose | Action::TcpReset) => "tcp",
            (Occasion::Connection, _) => "tls",
            (_, Action::Flaw(_) | Action::Refuse(_)) | (Occasion::Response, _) => "es9plus",
            (Occasion::Request, _) => "http",
        }
    }

    fn occasion(&self) -> Occasion {
        match self {
            Action::TcpClose
            | Action::TcpReset
            | Action::TlsClose
            | Action::TlsGarbage
            | Action::TlsAlert(_)
            | Action::TlsHang
            | Action::TlsFlaw(_) => Occasion::Connection,
            Action::HttpStatus { .. }
            | Action::HttpNoReply
            | Action::HttpCut { .. }
            | Action::HttpDrip { .. }
            | Action::HttpContentType
            | Action::HttpGarbage
            | Action::HttpMissing(_)
            | Action::HttpRedirect(_)
            | Action::HttpHuge { .. }
            | Action::Flaw(_)
            | Action::Refuse(_) => Occasion::Request,
            Action::WrongTransactionId
            | Action::BadSignature
            | Action::WrongCertificate
            | Action::Replay
            | Action::TamperSegment { .. } => Occasion::Response,
        }
    }

    /// Whether the action has something to act on at this function: only then is it an occasion.
    fn suits(&self, function: Option<Function>) -> bool {
        match self {
            Action::WrongTransactionId | Action::BadSignature | Action::Replay => matches!(
                function,
                Some(
                    Function::InitiateAuthentication | Function::AuthenticateClient | Function::GetBoundProfilePackage
                )
            ),
            Action::WrongCertificate => {
                matches!(function, Some(Function::InitiateAuthentication | Function::AuthenticateClient))
            }
            Action::Flaw(flaw) if flaw.is_of_metadata() => {
                matches!(function, Some(Function::AuthenticateClient | Function::GetBoundProfilePackage))
            }
            Action::TamperSegment { .. } | Action::Flaw(_) => function == Some(Function::GetBoundProfilePackage),
            _ => true,
        }
    }

    /// Changes the body of a response, and what it is said to be.
    pub(super) fn spoil(&self, body: &mut Vec<u8>, kind: &mut &'static str) {
        match self {
            Action::HttpContentType => *kind = TEXT_TYPE,
            Action::HttpGarbage => *body = b"<html>this is neither JSON nor DER</html>".to_vec(),
            Action::HttpMissing(name) => {
                if let Ok(serde_json::Value::Object(mut members)) = serde_json::from_slice(body) {
                    members.remove(name.as_ref());
                    *body = serde_json::Value::Object(members).to_string().into_bytes();
                }
            }
            Action::HttpHuge { bytes } => {
                let mut long = vec![b' '; *bytes];
                long.append(body);
                *body = long;
            }
            _ => {}
        }
    }

    /// Changes the response of a function. Says whether there was something to change.
    pub(super) fn alter(&self, answer: &mut Answer, backend: &Backend) -> bool {
        match (self, answer) {
            (Action::WrongCertificate, answer) => {
                let Backend::Smdp(smdp) = backend else { return false };
                let server = smdp.lock().unwrap_or_else(PoisonError::into_inner);
                let certificate = match answer {
                    Answer::InitiateAuthentication(ok) => &mut ok.server_certificate,
                    Answer::AuthenticateClient(ok) => &mut ok.smdp_certificate,
                    _ => return false,
                };
                let other = server.config().credentials.iter().find_map(|own| {
                    let (auth, pb) = (own.auth.certificate.der(), own.pb.certificate.der());
                    if certificate == auth { Some(pb) } else { (certificate == pb).then_some(auth) }
                });
                other.map(|other| *certificate = other.to_vec()).is_some()
            }
            (Action::WrongTransactionId, answer) => match answer.transaction_id_mut() {
                Some(transaction_id) => {
                    let mut bytes = transaction_id.as_bytes().to_vec();
                    flip(bytes.last_mut());
                    rsp::TransactionId::from_bytes(&bytes).map(|changed| *transaction_id = changed).is_ok()
                }
                None => false,
            },
            (Action::BadSignature, Answer::InitiateAuthentication(ok)) => flip(ok.server_signature1.last_mut()),
            (Action::BadSignature, Answer::AuthenticateClient(ok)) => flip(ok.smdp_signature2.last_mut()),
            (Action::BadSignature, Answer::BoundProfilePackage(ok)) => {
                let package = &mut ok.bound_profile_package;
                let signature = BoundProfilePackage::parse(package).ok().map(|parts| {
                    offset(package, parts.initialise_secure_channel) + parts.initialise_secure_channel.len() - 1
                });
                signature.is_some_and(|at| flip(package.get_mut(at)))
            }
            (Action::TamperSegment { segment, part }, Answer::BoundProfilePackage(ok)) => {
                let package = &mut ok.bound_profile_package;
                let place = BoundProfilePackage::parse(package).ok().and_then(|parts| {
                    let segment = parts.profile_elements.get(segment.checked_sub(1)?)?;
                    let value = offset(package, segment.value());
                    Some(match part {
                        SegmentPart::Data => value,
                        SegmentPart::Mac => (value + segment.value().len()).checked_sub(1)?,
                    })
                });
                place.is_some_and(|at| flip(package.get_mut(at)))
            }
            _ => false,
        }
    }
}

/// Where `part`, a slice of `whole`, begins in it.
fn offset(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

fn flip(byte: Option<&mut u8>) -> bool {
    byte.map(|byte| *byte ^= 1).is_some()
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::TcpClose => f.write_str("TCP connection closed"),
            Action::TcpReset => f.write_str("TCP connection reset"),
            Action::TlsClose => f.write_str("connection closed in the TLS handshake"),
            Action::TlsGarbage => f.write_str("garbage in the TLS handshake"),
            Action::TlsAlert(alert) => write!(f, "alert {alert} in the TLS handshake"),
            Action::TlsHang => f.write_str("no answer in the TLS handshake"),
            Action::TlsFlaw(flaw) => write!(f, "{flaw}"),
            Action::HttpCut { after } => write!(f, "response cut after {after} bytes"),
            Action::HttpDrip { size, .. } => write!(f, "response in pieces of {size} bytes"),
            Action::HttpContentType => f.write_str("wrong content type"),
            Action::HttpGarbage => f.write_str("garbage in the body"),
            Action::HttpMissing(name) => write!(f, "{name} is missing in the response"),
            Action::HttpRedirect(to) => write!(f, "redirected to {to}"),
            Action::HttpHuge { bytes } => write!(f, "{bytes} bytes before the response"),
            Action::WrongCertificate => f.write_str("wrong certificate"),
            Action::Replay => f.write_str("response of an earlier session"),
            Action::Flaw(flaw) => write!(f, "{flaw}"),
            Action::HttpStatus { status, .. } => write!(f, "HTTP status {status}"),
            Action::HttpNoReply => f.write_str("no HTTP response"),
            Action::Refuse(status) => write!(f, "refused with {}/{}", status.subject, status.reason),
            Action::WrongTransactionId => f.write_str("wrong transaction id"),
            Action::BadSignature => f.write_str("wrong signature"),
            Action::TamperSegment { segment, part } => {
                let part = match part {
                    SegmentPart::Data => "data",
                    SegmentPart::Mac => "MAC",
                };
                write!(f, "one bit changed in the {part} of segment {segment}")
            }
        }
    }
}

/// Something that goes wrong, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub action: Action,
    /// At which function; any if `None`. Connections come before any function is known.
    pub function: Option<Function>,
    /// At which order, by its matching id; any if `None`. The order is known from authenticateClient on.
    pub order: Option<String>,
    /// At which occasion of its kind it begins, counted from 1.
    pub nth: u32,
    /// At how many occasions; all that follow if `None`.
    pub count: Option<u32>,
    /// Not before so much time has passed since the front began.
    pub after: Option<Duration>,
}

impl Fault {
    /// A fault at every occasion.
    pub fn always(action: Action) -> Self {
        Fault { action, function: None, order: None, nth: 1, count: None, after: None }
    }

    /// A fault at the next occasion only.
    pub fn once(action: Action) -> Self {
        Fault { count: Some(1), ..Fault::always(action) }
    }

    /// The same at one function only.
    #[must_use]
    pub fn at(self, function: Function) -> Self {
        Fault { function: Some(function), ..self }
    }

    /// The same for one order only.
    #[must_use]
    pub fn for_order(self, matching_id: impl Into<String>) -> Self {
        Fault { order: Some(matching_id.into()), ..self }
    }

    /// The same from the `nth` occasion on, counted from 1.
    #[must_use]
    pub fn from_nth(self, nth: u32) -> Self {
        Fault { nth, ..self }
    }
}

/// What a fault is looked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sought<'a> {
    pub(super) function: Option<Function>,
    pub(super) order: Option<&'a str>,
}

impl From<Option<Function>> for Sought<'_> {
    fn from(function: Option<Function>) -> Self {
        Sought { function, order: None }
    }
}

/// The matching id that a card has signed in AuthenticateServer; whether it is genuine is the server's to find out.
pub(super) fn matching_id_of(response: &[u8]) -> Option<String> {
    match AuthenticateServerResponse::parse(response).ok()? {
        AuthenticateServerResponse::Ok(response) => response.euicc_signed1.ctx_params1.matching_id.clone(),
        AuthenticateServerResponse::Error { .. } => None,
    }
}

/// A fault that is set, and how often it has had its occasion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Armed {
    /// The fault.
    pub fault: Fault,
    /// How many occasions there were.
    pub seen: u32,
    /// How often it has fired.
    pub fired: u32,
}

/// The faults of a front, and how often each has had its occasion.
#[derive(Debug)]
pub(crate) struct Faults {
    all: Mutex<Vec<Armed>>,
    start: Instant,
    /// The first responses, to be played again.
    recorded: Mutex<Vec<(Function, Answer)>>,
}

impl Default for Faults {
    fn default() -> Self {
        Faults { all: Mutex::default(), start: Instant::now(), recorded: Mutex::default() }
    }
}

impl Faults {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Armed>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, faults: Vec<Fault>) {
        *self.lock() = faults.into_iter().map(|fault| Armed { fault, seen: 0, fired: 0 }).collect();
    }

    pub(crate) fn add(&self, fault: Fault) {
        self.lock().push(Armed { fault, seen: 0, fired: 0 });
    }

    pub(crate) fn list(&self) -> Vec<Armed> {
        self.lock().clone()
    }

    /// Remembers the first response of a function, when one is to be played again, and gives the one before.
    pub(super) fn recorded(&self, function: Option<Function>, answer: &Answer) -> Option<Answer> {
        let function = function?;
        if !self.lock().iter().any(|armed| armed.fault.action == Action::Replay) {
            return None;
        }
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        match recorded.iter().find(|(known, _)| *known == function) {
            Some((_, first)) => Some(first.clone()),
            None => {
                recorded.push((function, answer.clone()));
                None
            }
        }
    }

    /// Whether one is set for an order.
    pub(super) fn any_for_an_order(&self) -> bool {
        self.lock().iter().any(|armed| armed.fault.order.is_some())
    }

    /// The first fault that fires at this occasion. Every fault that the occasion suits counts it.
    pub(super) fn fire<'a>(&self, occasion: Occasion, sought: impl Into<Sought<'a>>) -> Option<Action> {
        let sought = sought.into();
        let mut action = None;
        for Armed { fault, seen, fired } in self.lock().iter_mut() {
            let here = fault.function.is_none() || fault.function == sought.function;
            let ours = fault.order.is_none() || fault.order.as_deref() == sought.order;
            let late = fault.after.is_none_or(|after| self.start.elapsed() >= after);
            let suits =
                here && ours && late && fault.action.occasion() == occasion && fault.action.suits(sought.function);
            if !suits {
                continue;
            }
            *seen = seen.saturating_add(1);
            let first = fault.nth.max(1);
            let within = fault.count.is_none_or(|count| *seen - first.min(*seen) < count);
            if action.is_none() && *seen >= first && within {
                *fired += 1;
                action = Some(fault.action.clone());
            }
        }
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(fault: Fault, function: Function) -> String {
        let faults = Faults::default();
        faults.set(vec![fault]);
        (0..6).map(|_| if faults.fire(Occasion::Request, Some(function)).is_some() { 'x' } else { '.' }).collect()
    }

    #[test]
    fn faults_fire_from_the_nth_occasion_for_their_count() {
        let function = Function::AuthenticateClient;
        let action = Action::HttpNoReply;
        assert_eq!(pattern(Fault::always(action.clone()), function), "xxxxxx");
        assert_eq!(pattern(Fault::once(action.clone()), function), "x.....");
        assert_eq!(pattern(Fault::once(action.clone()).from_nth(3), function), "..x...");
        assert_eq!(pattern(Fault::always(action.clone()).from_nth(3), function), "..xxxx");
        assert_eq!(pattern(Fault { count: Some(2), nth: 2, ..Fault::always(action.clone()) }, function), ".xx...");
        assert_eq!(pattern(Fault { count: Some(0), ..Fault::always(action.clone()) }, function), "......");
        assert_eq!(pattern(Fault::always(action.clone()).at(Function::CancelSession), function), "......");
        assert_eq!(pattern(Fault::always(action).at(function), function), "xxxxxx");
        assert_eq!(pattern(Fault::always(Action::TlsClose), function), "......");
        // What a function has nothing of cannot be altered there, and does not count.
        let faults = Faults::default();
        faults.set(vec![Fault::once(Action::TamperSegment { segment: 1, part: SegmentPart::Mac })]);
        assert_eq!(faults.fire(Occasion::Response, Some(Function::AuthenticateClient)), None);
        assert!(faults.fire(Occasion::Response, Some(Function::GetBoundProfilePackage)).is_some());
    }
}
