//! The JSON binding of ES9+ (SGP.22 §6.5.2): from the body of a request to a call of the server, and from what it
//! answers to the body of a response.
//!
//! Binary values are Base64 of the DER element, transaction ids hexadecimal digits. Whatever a client sends ends in a
//! response of the function: what is no JSON, no Base64 or no DER gets a status like every other refusal.

use std::fmt::Write;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, prelude::BASE64_STANDARD};
use rsp::TransactionId;
use serde_json::{Map, Value, json};

use crate::server::{Answer, Request, Smdp};
use crate::status::{Status, StatusError};

pub use crate::server::Function;

/// Clients differ in whether they pad Base64.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The members of a request.
pub(super) struct Members(Map<String, Value>);

impl Members {
    pub(super) fn parse(body: &[u8]) -> Result<Self, StatusError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Members(members)),
            Ok(_) => Err(Status::Malformed.with("the body is no JSON object")),
            Err(error) => Err(Status::Malformed.with(format!("the body is no JSON: {error}"))),
        }
    }

    /// A member that is an object, with its members.
    pub(super) fn object(&self, name: &str) -> Result<Members, StatusError> {
        match self.0.get(name) {
            Some(Value::Object(members)) => Ok(Members(members.clone())),
            Some(_) => Err(Status::Malformed.with(format!("{name} is no object"))),
            None => Err(Status::ElementMissing.with(format!("{name} is missing"))),
        }
    }

    /// A member that may be absent, or null.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<&str>, StatusError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.text(name).map(Some),
        }
    }

    /// A flag that may be absent.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, StatusError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text == "true" || text == "false" => Ok(Some(text == "true")),
            Some(_) => Err(Status::Malformed.with(format!("{name} is neither true nor false"))),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&str, StatusError> {
        match self.0.get(name) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(Status::Malformed.with(format!("{name} is no string"))),
            None => Err(Status::ElementMissing.with(format!("{name} is missing"))),
        }
    }

    fn binary(&self, name: &str) -> Result<Vec<u8>, StatusError> {
        let text = self.text(name)?;
        BASE64.decode(text).map_err(|error| Status::Malformed.with(format!("{name} is no Base64: {error}")))
    }
}

/// Reads the body of a request.
pub fn parse(function: Function, body: &[u8]) -> Result<Request, StatusError> {
    let members = Members::parse(body)?;
    // What is no transaction id is none of a session.
    let transaction_id = || {
        let text = members.text("transactionId")?;
        TransactionId::parse(text)
            .map_err(|_| Status::TransactionUnknown.with(format!("{text:?} is the transaction id of no session")))
    };
    Ok(match function {
        Function::InitiateAuthentication => Request::InitiateAuthentication {
            euicc_challenge: members.binary("euiccChallenge")?,
            euicc_info1: members.binary("euiccInfo1")?,
            // An SM-DS may be called by the one name or by the other (SGP.22 §6.5.2.1, §6.5.2.6).
            address: match members.optional_text("smdsAddress")? {
                Some(text) => text.to_owned(),
                None => members.text("smdpAddress")?.to_owned(),
            },
        },
        Function::AuthenticateClient => {
            let response = members.binary("authenticateServerResponse")?;
            Request::AuthenticateClient { transaction_id: transaction_id()?, response }
        }
        Function::GetBoundProfilePackage => {
            let response = members.binary("prepareDownloadResponse")?;
            Request::GetBoundProfilePackage { transaction_id: transaction_id()?, response }
        }
        Function::HandleNotification => {
            Request::HandleNotification { pending_notification: members.binary("pendingNotification")? }
        }
        Function::CancelSession => {
            let response = members.binary("cancelSessionResponse")?;
            Request::CancelSession { transaction_id: transaction_id()?, response }
        }
    })
}

/// Calls a function of the server with the body of a request, all steps at once.
pub fn call(smdp: &mut Smdp, function: Function, body: &[u8], now: i64) -> Result<Answer, StatusError> {
    smdp.perform(parse(function, body)?, now)
}

/// The header of a response of success, or of one without anything else.
pub(super) fn success() -> Value {
    json!({ "functionExecutionStatus": { "status": "Executed-Success" } })
}

/// The body of a response of failure (SGP.22 §6.5.1.4).
pub(super) fn failure(status: &StatusError) -> Value {
    json!({
        "header": {
            "functionExecutionStatus": {
                "status": "Failed",
                "statusCodeData": {
                    "subjectCode": status.subject,
                    "reasonCode": status.reason,
                    "message": status.message,
                },
            },
        },
    })
}

/// A response of success as it grows: names and values that need no escapes.
struct Response(String);

impl Response {
    /// With the header and, where there is one, the session.
    fn new(transaction_id: Option<&TransactionId>, length: usize) -> Self {
        // What Base64 makes of the values, and some room for the names.
        let mut text = String::with_capacity(length / 3 * 4 + 512);
        text.push_str(r#"{"header":{"functionExecutionStatus":{"status":"Executed-Success"}}"#);
        let mut response = Response(text);
        if let Some(transaction_id) = transaction_id {
            response.name("transactionId");
            let _ = write!(response.0, "\"{transaction_id}\"");
        }
        response
    }

    fn name(&mut self, name: &str) {
        let _ = write!(self.0, ",\"{name}\":");
    }

    fn base64(mut self, name: &str, bytes: &[u8]) -> Self {
        self.name(name);
        self.0.push('"');
        BASE64_STANDARD.encode_string(bytes, &mut self.0);
        self.0.push('"');
        self
    }

    fn value(mut self, name: &str, value: &Value) -> Self {
        self.name(name);
        let _ = write!(self.0, "{value}");
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push('}');
        self.0.into_bytes()
    }
}

/// The body of the response (SGP.22 §6.5.1.4); `None` for a notification, whose response is empty.
pub fn encode(answer: &Result<Answer, StatusError>) -> Option<Vec<u8>> {
    Some(match answer {
        Ok(Answer::Notified(_)) => return None,
        Ok(Answer::InitiateAuthentication(ok)) => Response::new(Some(&ok.transaction_id), 1024)
            .base64("serverSigned1", &ok.server_signed1)
            .base64("serverSignature1", &ok.server_signature1)
            .base64("euiccCiPKIdToBeUsed", &ok.euicc_ci_pkid_to_be_used)
            .base64("serverCertificate", &ok.server_certificate)
            .end(),
        Ok(Answer::AuthenticateClient(ok)) => Response::new(Some(&ok.transaction_id), ok.profile_metadata.len() + 1024)
            .base64("profileMetadata", &ok.profile_metadata)
            .base64("smdpSigned2", &ok.smdp_signed2)
            .base64("smdpSignature2", &ok.smdp_signature2)
            .base64("smdpCertificate", &ok.smdp_certificate)
            .end(),
        Ok(Answer::Events(ok)) => {
            let entries = ok
                .entries
                .iter()
                .map(|entry| json!({ "eventId": entry.event_id, "rspServerAddress": entry.rsp_server_address }));
            Response::new(Some(&ok.transaction_id), 0).value("eventEntries", &entries.collect()).end()
        }
        Ok(Answer::BoundProfilePackage(ok)) => {
            let package = &ok.bound_profile_package;
            Response::new(Some(&ok.transaction_id), package.len()).base64("boundProfilePackage", package).end()
        }
        Ok(Answer::Cancelled) => Response::new(None, 0).end(),
        Err(status) => failure(status).to_string().into_bytes(),
    })
}
