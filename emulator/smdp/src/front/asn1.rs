//! The ASN.1 binding of ES9+ and ES11 (SGP.22 §6.6): one path, and the function by its tag.
//!
//! `A2 { BF39 | BF3B | BF3A | BF3D | BF41 { parts } }` → a call of the server → `A2 { tag { A0 parts | 81 code } }`.
//! Responses carry a number where JSON has subject and reason.

use rsp::TransactionId;
use rsp::tlv::{Reader, Tlv, TlvError, Writer};

use crate::server::{Answer, Function, Request};
use crate::status::{Status, StatusError};

/// `RemoteProfileProvisioningRequest` and `…Response`.
const TAG_REMOTE_PROFILE_PROVISIONING: u32 = 0xA2;
/// `AuthenticateClientResponseEs11`.
const TAG_AUTHENTICATE_CLIENT_ES11: u32 = 0xBF40;
const TAG_CANCEL_SESSION: u32 = 0xBF41;

fn tag(function: Function) -> u32 {
    match function {
        Function::InitiateAuthentication => 0xBF39,
        Function::AuthenticateClient => 0xBF3B,
        Function::GetBoundProfilePackage => 0xBF3A,
        Function::HandleNotification => 0xBF3D,
        Function::CancelSession => TAG_CANCEL_SESSION,
    }
}

/// Reads a request. Without a function there is nothing that could be answered in this binding.
pub(super) fn parse(body: &[u8]) -> Result<(Function, Result<Request, StatusError>), TlvError> {
    let request = Tlv::parse_as(TAG_REMOTE_PROFILE_PROVISIONING, body)?;
    let inner = Tlv::parse_exact(request.value())?;
    let function = Function::ALL.into_iter().find(|function| tag(*function) == inner.tag().0);
    let function = function.ok_or(TlvError::BadValue { tag: inner.tag(), rule: "a function of ES9+ or ES11" })?;
    let parts = parts(function, inner.reader());
    Ok((function, parts.map_err(|error| Status::Malformed.with(format!("the request cannot be read: {error}")))))
}

fn parts(function: Function, mut fields: Reader<'_>) -> Result<Request, TlvError> {
    Ok(match function {
        Function::InitiateAuthentication => {
            let euicc_challenge = fields.require(0x81)?.value().to_vec();
            let address = fields.require(0x83)?.as_str()?.to_owned();
            let euicc_info1 = fields.require(0xBF20)?.raw().to_vec();
            Request::InitiateAuthentication { euicc_challenge, euicc_info1, address }
        }
        Function::AuthenticateClient => {
            let transaction_id = transaction_id(fields.require(0x80)?)?;
            Request::AuthenticateClient { transaction_id, response: fields.require(0xBF38)?.raw().to_vec() }
        }
        Function::GetBoundProfilePackage => {
            let transaction_id = transaction_id(fields.require(0x80)?)?;
            Request::GetBoundProfilePackage { transaction_id, response: fields.require(0xBF21)?.raw().to_vec() }
        }
        Function::HandleNotification => {
            let first = fields.next_tlv()?.ok_or(TlvError::Missing { expected: rsp::tlv::Tag(0xA0) })?;
            // The choice stands in a tag of its own where the encoder goes by automatic tags (X.680 §25.7).
            let pending_notification = if first.tag().0 == 0xA0 { first.value() } else { first.raw() }.to_vec();
            Request::HandleNotification { pending_notification }
        }
        Function::CancelSession => {
            let transaction_id = transaction_id(fields.require(0x80)?)?;
            let response = fields.next_tlv()?.ok_or(TlvError::Missing { expected: rsp::tlv::Tag(0xA1) })?;
            // Here automatic tags put A1 in the place of BF41; what the card has signed is inside.
            let response = match response.tag().0 {
                0xA1 => rsp::tlv::encode(TAG_CANCEL_SESSION, response.value()),
                _ => response.raw().to_vec(),
            };
            Request::CancelSession { transaction_id, response }
        }
    })
}

fn transaction_id(tlv: Tlv<'_>) -> Result<TransactionId, TlvError> {
    TransactionId::from_bytes(tlv.value()).map_err(|error| TlvError::BadValue { tag: tlv.tag(), rule: error.rule })
}

/// The body of the response; `None` for a notification, whose response is empty.
pub(super) fn encode(function: Function, smds: bool, answer: &Result<Answer, StatusError>) -> Option<Vec<u8>> {
    if function == Function::HandleNotification {
        return None;
    }
    let events = smds && function == Function::AuthenticateClient;
    let tag = if events { TAG_AUTHENTICATE_CLIENT_ES11 } else { tag(function) };
    let body = |w: Writer| match answer {
        Err(status) => w.integer(0x81, error_code(function, events, status)),
        Ok(answer) => w.nested(0xA0, |w| write(w, answer)),
    };
    Some(Writer::new().nested(TAG_REMOTE_PROFILE_PROVISIONING, |w| w.nested(tag, body)).into_vec())
}

fn write(w: Writer, answer: &Answer) -> Writer {
    match answer {
        Answer::InitiateAuthentication(ok) => w
            .put(0x80, ok.transaction_id.as_bytes())
            .raw(&ok.server_signed1)
            .raw(&ok.server_signature1)
            .raw(&ok.euicc_ci_pkid_to_be_used)
            .raw(&ok.server_certificate),
        Answer::AuthenticateClient(ok) => w
            .put(0x80, ok.transaction_id.as_bytes())
            .raw(&ok.profile_metadata)
            .raw(&ok.smdp_signed2)
            .raw(&ok.smdp_signature2)
            .raw(&ok.smdp_certificate),
        Answer::Events(ok) => w.put(0x80, ok.transaction_id.as_bytes()).nested(0xA1, |w| {
            ok.entries.iter().fold(w, |w, entry| {
                w.nested(0x30, |w| {
                    w.put(0x80, entry.event_id.as_bytes()).put(0x81, entry.rsp_server_address.as_bytes())
                })
            })
        }),
        Answer::BoundProfilePackage(ok) => w.put(0x80, ok.transaction_id.as_bytes()).raw(&ok.bound_profile_package),
        Answer::Notified(_) | Answer::Cancelled => w,
    }
}

/// The number of a refusal (SGP.22 annex H: the error of each response). What has none is `undefinedError`.
fn error_code(function: Function, events: bool, status: &StatusError) -> u32 {
    let is = |statuses: &[Status]| statuses.iter().any(|known| known.is(status));
    const UNDEFINED: u32 = 127;
    use Status as S;
    let table: &[(&[Status], u32)] = match function {
        Function::InitiateAuthentication => &[
            (&[S::AddressInvalid, S::DsAddressInvalid], 1),
            (&[S::SvnUnsupported, S::DsSvnUnsupported], 2),
            (&[S::NoCommonCi, S::NoServerCertificate, S::DsNoCommonCi, S::DsNoServerCertificate], 3),
        ],
        Function::AuthenticateClient if events => &[
            (&[S::EumInvalid], 1),
            (&[S::EumExpired], 2),
            (&[S::EuiccInvalid], 3),
            (&[S::EuiccExpired], 4),
            (&[S::VerificationFailed], 5),
            (&[S::EventUnknown], 6),
            (&[S::TransactionUnknown], 7),
        ],
        Function::AuthenticateClient => &[
            (&[S::EumInvalid], 1),
            (&[S::EumExpired], 2),
            (&[S::EuiccInvalid], 3),
            (&[S::EuiccExpired], 4),
            (&[S::VerificationFailed], 5),
            (&[S::MatchingIdRefused], 6),
            (&[S::EidMismatch], 7),
            (&[S::NotEligible], 8),
            (&[S::CiUnknown], 9),
            (&[S::TransactionUnknown], 10),
            (&[S::NoMemory], 11),
            (&[S::OrderExpired], 18),
        ],
        Function::GetBoundProfilePackage => &[
            (&[S::VerificationFailed], 1),
            (&[S::ConfirmationCodeMissing], 2),
            (&[S::ConfirmationCodeRefused], 3),
            (&[S::ConfirmationCodeRetries], 4),
            (&[S::NoRebinding], 5),
            (&[S::TransactionUnknown], 95),
        ],
        Function::CancelSession => &[(&[S::TransactionUnknown], 1), (&[S::VerificationFailed], 2)],
        Function::HandleNotification => &[],
    };
    table.iter().find(|(statuses, _)| is(statuses)).map_or(UNDEFINED, |(_, code)| *code)
}
