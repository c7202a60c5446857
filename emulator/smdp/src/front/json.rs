//! The JSON binding of ES9+ (SGP.22 §6.5.2): from the body of a request to a call of the server, and from what it
//! answers to the body of a response.
//!
//! Binary values are Base64 of the DER element, transaction ids hexadecimal digits. Whatever a client sends ends in a
//! response of the function: what is no JSON, no Base64 or no DER gets a status like every other refusal.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, prelude::BASE64_STANDARD};
use rsp::TransactionId;
use serde_json::{Map, Value, json};

use crate::server::{
    AuthenticateClientOk, BoundProfilePackageOk, InitiateAuthentication, InitiateAuthenticationOk, Notified, Smdp,
};
use crate::status::{Status, StatusError};

/// The functions of ES9+ (SGP.22 §5.6, §6.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// initiateAuthentication
    InitiateAuthentication,
    /// authenticateClient
    AuthenticateClient,
    /// getBoundProfilePackage
    GetBoundProfilePackage,
    /// handleNotification
    HandleNotification,
    /// cancelSession
    CancelSession,
}

impl Function {
    /// All of them.
    pub const ALL: [Function; 5] = [
        Function::InitiateAuthentication,
        Function::AuthenticateClient,
        Function::GetBoundProfilePackage,
        Function::HandleNotification,
        Function::CancelSession,
    ];

    /// The name, as in the path.
    pub fn name(self) -> &'static str {
        match self {
            Function::InitiateAuthentication => "initiateAuthentication",
            Function::AuthenticateClient => "authenticateClient",
            Function::GetBoundProfilePackage => "getBoundProfilePackage",
            Function::HandleNotification => "handleNotification",
            Function::CancelSession => "cancelSession",
        }
    }

    /// The function with this name.
    pub fn named(name: &str) -> Option<Self> {
        Function::ALL.into_iter().find(|function| function.name() == name)
    }
}

impl std::fmt::Display for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a function has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Of initiateAuthentication.
    InitiateAuthentication(InitiateAuthenticationOk),
    /// Of authenticateClient.
    AuthenticateClient(AuthenticateClientOk),
    /// Of getBoundProfilePackage.
    BoundProfilePackage(BoundProfilePackageOk),
    /// Of handleNotification: there is no body.
    Notified(Notified),
    /// Of cancelSession.
    Cancelled,
}

impl Answer {
    pub(super) fn transaction_id_mut(&mut self) -> Option<&mut TransactionId> {
        match self {
            Answer::InitiateAuthentication(ok) => Some(&mut ok.transaction_id),
            Answer::AuthenticateClient(ok) => Some(&mut ok.transaction_id),
            Answer::BoundProfilePackage(ok) => Some(&mut ok.transaction_id),
            Answer::Notified(_) | Answer::Cancelled => None,
        }
    }
}

/// Clients differ in whether they pad Base64.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The members of a request.
struct Request(Map<String, Value>);

impl Request {
    fn parse(body: &[u8]) -> Result<Self, StatusError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Request(members)),
            Ok(_) => Err(Status::Malformed.with("the body is no JSON object")),
            Err(error) => Err(Status::Malformed.with(format!("the body is no JSON: {error}"))),
        }
    }

    fn text(&self, name: &str) -> Result<&str, StatusError> {
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

/// Calls a function of the server with the body of a request.
pub fn call(smdp: &mut Smdp, function: Function, body: &[u8], now: i64) -> Result<Answer, StatusError> {
    let request = Request::parse(body)?;
    match function {
        Function::InitiateAuthentication => {
            let (challenge, info) = (request.binary("euiccChallenge")?, request.binary("euiccInfo1")?);
            let request = InitiateAuthentication {
                euicc_challenge: &challenge,
                euicc_info1: &info,
                smdp_address: request.text("smdpAddress")?,
            };
            smdp.initiate_authentication(request, now).map(Answer::InitiateAuthentication)
        }
        Function::AuthenticateClient => {
            let response = request.binary("authenticateServerResponse")?;
            let transaction_id = request.text("transactionId")?;
            smdp.authenticate_client(transaction_id, &response, now).map(Answer::AuthenticateClient)
        }
        Function::GetBoundProfilePackage => {
            let response = request.binary("prepareDownloadResponse")?;
            let transaction_id = request.text("transactionId")?;
            smdp.get_bound_profile_package(transaction_id, &response, now).map(Answer::BoundProfilePackage)
        }
        Function::HandleNotification => {
            let notification = request.binary("pendingNotification")?;
            smdp.handle_notification(&notification, now).map(Answer::Notified)
        }
        Function::CancelSession => {
            let response = request.binary("cancelSessionResponse")?;
            let transaction_id = request.text("transactionId")?;
            smdp.cancel_session(transaction_id, &response, now).map(|()| Answer::Cancelled)
        }
    }
}

/// The body of the response (SGP.22 §6.5.1.4); `None` for a notification, whose response is empty.
pub fn encode(answer: &Result<Answer, StatusError>) -> Option<Vec<u8>> {
    let base64 = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    let success = json!({ "functionExecutionStatus": { "status": "Executed-Success" } });
    let body = match answer {
        Ok(Answer::Notified(_)) => return None,
        Ok(Answer::InitiateAuthentication(ok)) => json!({
            "header": success,
            "transactionId": ok.transaction_id.to_string(),
            "serverSigned1": base64(&ok.server_signed1),
            "serverSignature1": base64(&ok.server_signature1),
            "euiccCiPKIdToBeUsed": base64(&ok.euicc_ci_pkid_to_be_used),
            "serverCertificate": base64(&ok.server_certificate),
        }),
        Ok(Answer::AuthenticateClient(ok)) => json!({
            "header": success,
            "transactionId": ok.transaction_id.to_string(),
            "profileMetadata": base64(&ok.profile_metadata),
            "smdpSigned2": base64(&ok.smdp_signed2),
            "smdpSignature2": base64(&ok.smdp_signature2),
            "smdpCertificate": base64(&ok.smdp_certificate),
        }),
        Ok(Answer::BoundProfilePackage(ok)) => json!({
            "header": success,
            "transactionId": ok.transaction_id.to_string(),
            "boundProfilePackage": base64(&ok.bound_profile_package),
        }),
        Ok(Answer::Cancelled) => json!({ "header": success }),
        Err(status) => json!({
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
        }),
    };
    Some(body.to_string().into_bytes())
}
