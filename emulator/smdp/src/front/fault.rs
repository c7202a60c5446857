//! Faults of the HTTPS front: what goes wrong, at which occasion, how often.
//!
//! A [`Fault`] is an action with a trigger. The front asks its [`Faults`] at three occasions: when a connection comes
//! in, when a request has been read, and when a response is ready. What a fault wraps knows nothing of it, and with no
//! fault configured nothing is changed.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use rsp::bpp::BoundProfilePackage;

use super::json::{Answer, Function};
use crate::status::StatusError;

/// What goes wrong. In brackets is the code that libcurl gives for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The TCP connection is closed as soon as it is there (35).
    TcpClose,
    /// The TCP connection is reset as soon as it is there (35).
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
    /// The HTTP status is this one, with this body (0, and the status).
    HttpStatus {
        /// The status, 200 to 599.
        status: u16,
        /// The body, as text.
        body: Cow<'static, str>,
    },
    /// The request is read, and the connection closed without an answer (52).
    HttpNoReply,
    /// The function is refused with this status, and not called.
    Refuse(StatusError),
    /// The transaction id in the response is another one.
    WrongTransactionId,
    /// One bit of the signature in the response is wrong (serverSignature1, smdpSignature2, or that of
    /// InitialiseSecureChannel).
    BadSignature,
    /// One bit of a segment of the bound profile package is wrong.
    TamperSegment {
        /// Which segment `86`, counted from 1.
        segment: usize,
        /// Where in it.
        part: SegmentPart,
    },
}

/// A place in a segment of the bound profile package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    fn occasion(&self) -> Occasion {
        match self {
            Action::TcpClose
            | Action::TcpReset
            | Action::TlsClose
            | Action::TlsGarbage
            | Action::TlsAlert(_)
            | Action::TlsHang => Occasion::Connection,
            Action::HttpStatus { .. } | Action::HttpNoReply | Action::Refuse(_) => Occasion::Request,
            Action::WrongTransactionId | Action::BadSignature | Action::TamperSegment { .. } => Occasion::Response,
        }
    }

    /// Whether the action has something to act on at this function: only then is it an occasion.
    fn suits(&self, function: Option<Function>) -> bool {
        match self {
            Action::WrongTransactionId | Action::BadSignature => matches!(
                function,
                Some(
                    Function::InitiateAuthentication | Function::AuthenticateClient | Function::GetBoundProfilePackage
                )
            ),
            Action::TamperSegment { .. } => function == Some(Function::GetBoundProfilePackage),
            _ => true,
        }
    }

    /// Changes the response of a function. Says whether there was something to change.
    pub(super) fn alter(&self, answer: &mut Answer) -> bool {
        match (self, answer) {
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
    /// At which occasion of its kind it begins, counted from 1.
    pub nth: u32,
    /// At how many occasions; all that follow if `None`.
    pub count: Option<u32>,
}

impl Fault {
    /// A fault at every occasion.
    pub fn always(action: Action) -> Self {
        Fault { action, function: None, nth: 1, count: None }
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

    /// The same from the `nth` occasion on, counted from 1.
    #[must_use]
    pub fn from_nth(self, nth: u32) -> Self {
        Fault { nth, ..self }
    }
}

/// The faults of a front, and how often each has had its occasion.
#[derive(Debug, Default)]
pub(super) struct Faults {
    all: Mutex<Vec<(Fault, u32)>>,
}

impl Faults {
    pub(super) fn set(&self, faults: Vec<Fault>) {
        let armed = faults.into_iter().map(|fault| (fault, 0)).collect();
        *self.all.lock().unwrap_or_else(PoisonError::into_inner) = armed;
    }

    pub(super) fn add(&self, fault: Fault) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push((fault, 0));
    }

    /// The first fault that fires at this occasion. Every fault that the occasion suits counts it.
    pub(super) fn fire(&self, occasion: Occasion, function: Option<Function>) -> Option<Action> {
        let mut fired = None;
        for (fault, seen) in self.all.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            let here = fault.function.is_none() || fault.function == function;
            let suits = here && fault.action.occasion() == occasion && fault.action.suits(function);
            if !suits {
                continue;
            }
            *seen = seen.saturating_add(1);
            let first = fault.nth.max(1);
            let within = fault.count.is_none_or(|count| *seen - first.min(*seen) < count);
            if fired.is_none() && *seen >= first && within {
                fired = Some(fault.action.clone());
            }
        }
        fired
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
