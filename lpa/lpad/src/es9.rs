//! The functions of ES9+ (SGP.22 v2.5 §5.6) in their JSON binding (§6.5), over [`Http`].
//!
//! Binary values travel as base64 of the whole element. What the server or the card has signed goes through as the
//! bytes that came.

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use rsp::{ServerAddress, TransactionId};
use serde_json::{Map, Value, json};

use crate::failure::{Failure, Step};
use crate::http::{Http, HttpError};

/// The version of SGP.22 that this program speaks (§6.2, `X-Admin-Protocol`).
pub const ADMIN_PROTOCOL: &str = "gsma/rsp/v2.5.0";

/// Takes base64 with and without its padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a server function can end in, when not in success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// The server was not reached.
    #[error(transparent)]
    Network(#[from] HttpError),
    /// The server answered with an HTTP status of failure.
    #[error("{}", http_text(.server, *.status))]
    Http {
        /// The server.
        server: String,
        /// The HTTP status.
        status: u32,
    },
    /// The server refused (`functionExecutionStatus`, §5.2.6).
    #[error("the server {server} refused: {}", refusal_text(.subject, .reason, .message.as_deref()))]
    Refused {
        /// The server.
        server: String,
        /// The subject code.
        subject: String,
        /// The reason code.
        reason: String,
        /// What the server adds.
        message: Option<String>,
    },
    /// The answer cannot be understood.
    #[error("cannot understand the answer of {server}: {problem}")]
    Malformed {
        /// The server.
        server: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn http_text(server: &str, status: u32) -> String {
    match status {
        404 => format!("there is no profile service at {server} (HTTP status 404)"),
        500..=599 => format!("the HTTP service of {server} is unavailable (HTTP status {status})"),
        _ => format!("{server} answered with HTTP status {status}"),
    }
}

fn refusal_text(subject: &str, reason: &str, message: Option<&str>) -> String {
    let known = meaning(subject, reason).map(|(text, _)| text);
    match (known, message.map(str::trim).filter(|message| !message.is_empty())) {
        (Some(text), Some(message)) => format!("{text} ({subject}/{reason}: {message})"),
        (Some(text), None) => format!("{text} ({subject}/{reason})"),
        (None, Some(message)) => format!("{message} ({subject}/{reason})"),
        (None, None) => format!("status {subject}/{reason}"),
    }
}

const ASK: &str = "ask the provider of the profile";
const OTHER_CODE: &str = "use another activation code, or ask the provider of the profile";

/// What 8.2.6/3.8 says where there was an activation code with a token.
pub(crate) const UNKNOWN_CODE: &str = "the activation code is unknown or has been used already";

/// What a pair of subject and reason says (SGP.22 §5.6 and §5.2.6), and what to do about it.
fn meaning(subject: &str, reason: &str) -> Option<(&'static str, &'static str)> {
    Some(match (subject, reason) {
        ("8.8.1", "3.8") => ("it is not the server that the address names", "check the server's address"),
        ("8.8.2", "3.1") => ("it has no certificate issuer in common with this eUICC", ASK),
        ("8.8.3", "3.1") => ("it does not support the specification version of this eUICC", ASK),
        ("8.8.4", "3.7") => ("it has no certificate that this eUICC can verify", ASK),
        ("8.1.2", "6.1") | ("8.1.3", "6.1") => ("it does not accept the certificates of this eUICC", ASK),
        ("8.1.2", "6.3") | ("8.1.3", "6.3") => ("a certificate of this eUICC has expired", ASK),
        ("8.1", "6.1") => ("it found a signature of this eUICC to be wrong", "try again"),
        ("8.11.1", "3.9") => ("it does not know the certificate issuer of this eUICC", ASK),
        ("8.10.1", "3.9") => ("it does not know the session (any more)", "start the download again"),
        ("8.2", "1.2") => {
            ("the profile has not been released yet", "try again later, or ask the provider of the profile")
        }
        ("8.2", "3.7") => ("the profile cannot be bound a second time", OTHER_CODE),
        ("8.2.6", "3.8") => (UNKNOWN_CODE, OTHER_CODE),
        ("8.1.1", "3.8") => (
            "the eSIM ID (EID) is not the one that the order was made for, or the activation code has been used",
            OTHER_CODE,
        ),
        ("8.2.5", "4.3") => ("no profile is there for this device", ASK),
        ("8.1", "4.8") => (
            "the eUICC has not enough memory for the profile",
            "delete a profile that is no longer needed (-R), then try again",
        ),
        ("8.8.5", "4.10" | "4.1") => ("the order has expired", OTHER_CODE),
        ("8.8.5", "6.4") => ("the download has been tried too often", OTHER_CODE),
        ("8.2.7", "2.2") => ("a confirmation code is required", "give the code from your operator with -C"),
        ("8.2.7", "3.8") => ("the confirmation code is wrong", "check the code and give it with -C; tries are limited"),
        ("8.2.7", "6.4") => ("a wrong confirmation code was given too often", ASK),
        _ => return None,
    })
}

impl ServerError {
    /// The failure of a step that this error ended.
    pub fn at(self, step: Step) -> Box<Failure> {
        let mut failure = Failure::new(step, self.to_string());
        match self {
            ServerError::Network(error) => {
                failure.curl = error.curl;
                failure.hint = error.hint.map(str::to_owned);
            }
            ServerError::Http { status, .. } => {
                failure.http = Some(status);
                failure.hint = Some(
                    match status {
                        500..=599 => "try again later; if it stays so, ask the provider of the profile service",
                        _ => "check the server's address, or ask the provider of the profile service",
                    }
                    .to_owned(),
                );
            }
            ServerError::Refused { subject, reason, .. } => {
                failure.hint = meaning(&subject, &reason).map(|(_, hint)| hint.to_owned());
                failure.subject = Some(subject);
                failure.reason = Some(reason);
            }
            ServerError::Malformed { .. } => failure.hint = Some(ASK.to_owned()),
        }
        failure
    }
}

/// The server's answer to InitiateAuthentication (§5.6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitiateAuthenticationResponse {
    /// The session.
    pub transaction_id: TransactionId,
    /// What the server has signed.
    pub server_signed1: Vec<u8>,
    /// Its signature, 64 bytes.
    pub server_signature1: Vec<u8>,
    /// The subject key identifier of the CI that the card shall use.
    pub euicc_ci_pkid_to_be_used: Vec<u8>,
    /// CERT.DPauth.
    pub server_certificate: Vec<u8>,
}

/// The server's answer to AuthenticateClient (§5.6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticateClientResponse {
    /// The session.
    pub transaction_id: TransactionId,
    /// What the user may know of the profile.
    pub profile_metadata: Vec<u8>,
    /// What the server has signed.
    pub smdp_signed2: Vec<u8>,
    /// Its signature, 64 bytes.
    pub smdp_signature2: Vec<u8>,
    /// CERT.DPpb.
    pub smdp_certificate: Vec<u8>,
}

/// An event that waits for the card at an SM-DS (SGP.22 v2.5 §5.8.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventEntry {
    /// Its id, the matching id at the server.
    pub event_id: String,
    /// The server: an SM-DP+ or another SM-DS.
    pub rsp_server_address: String,
}

/// What AuthenticateClient gives, at an SM-DP+ or at an SM-DS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAnswer {
    /// It is an SM-DP+, and this is its profile.
    Profile(AuthenticateClientResponse),
    /// It is an SM-DS, and this is what waits.
    Events(Vec<EventEntry>),
}

/// A client of SM-DP+ servers.
#[derive(Debug)]
pub struct Es9<H> {
    http: H,
}

impl<H: Http> Es9<H> {
    /// A client that sends its requests by `http`.
    pub fn new(http: H) -> Self {
        Es9 { http }
    }

    /// InitiateAuthentication.
    pub fn initiate_authentication(
        &mut self,
        server: &ServerAddress,
        euicc_challenge: &[u8; 16],
        euicc_info1: &[u8],
    ) -> Result<InitiateAuthenticationResponse, ServerError> {
        let reply = self.call(
            server,
            "initiateAuthentication",
            &json!({
                "euiccChallenge": STANDARD.encode(euicc_challenge),
                "euiccInfo1": STANDARD.encode(euicc_info1),
                "smdpAddress": server.as_str(),
            }),
        )?;
        Ok(InitiateAuthenticationResponse {
            transaction_id: reply.transaction_id()?,
            server_signed1: reply.binary("serverSigned1")?,
            server_signature1: reply.element("serverSignature1", 0x5F37)?,
            euicc_ci_pkid_to_be_used: reply.element("euiccCiPKIdToBeUsed", 0x04)?,
            server_certificate: reply.binary("serverCertificate")?,
        })
    }

    /// AuthenticateClient.
    pub fn authenticate_client(
        &mut self,
        server: &ServerAddress,
        transaction_id: &TransactionId,
        authenticate_server_response: &[u8],
    ) -> Result<AuthenticateClientResponse, ServerError> {
        match self.authenticate_client_or_discover(server, transaction_id, authenticate_server_response)? {
            ClientAnswer::Profile(response) => Ok(response),
            ClientAnswer::Events(_) => {
                Err(malformed(&server.to_string(), "it is an SM-DS: there are events instead of a profile"))
            }
        }
    }

    /// AuthenticateClient at a server that is an SM-DP+ (§5.6.3) or an SM-DS (§5.8.2).
    pub fn authenticate_client_or_discover(
        &mut self,
        server: &ServerAddress,
        transaction_id: &TransactionId,
        authenticate_server_response: &[u8],
    ) -> Result<ClientAnswer, ServerError> {
        let reply = self.call(
            server,
            "authenticateClient",
            &json!({
                "transactionId": transaction_id.to_string(),
                "authenticateServerResponse": STANDARD.encode(authenticate_server_response),
            }),
        )?;
        if let Some(Value::Array(entries)) = reply.fields.get("eventEntries") {
            let text = |entry: &Value, name: &str| match entry.get(name).and_then(Value::as_str) {
                Some(text) => Ok(text.to_owned()),
                None => Err(reply.malformed(&format!("an event has no {name}"))),
            };
            let entries = entries.iter().map(|entry| {
                Ok(EventEntry {
                    event_id: text(entry, "eventId")?,
                    rsp_server_address: text(entry, "rspServerAddress")?,
                })
            });
            return entries.collect::<Result<_, _>>().map(ClientAnswer::Events);
        }
        Ok(ClientAnswer::Profile(AuthenticateClientResponse {
            transaction_id: reply.transaction_id()?,
            profile_metadata: reply.binary("profileMetadata")?,
            smdp_signed2: reply.binary("smdpSigned2")?,
            smdp_signature2: reply.element("smdpSignature2", 0x5F37)?,
            smdp_certificate: reply.binary("smdpCertificate")?,
        }))
    }

    /// GetBoundProfilePackage (§5.6.2): the package.
    pub fn get_bound_profile_package(
        &mut self,
        server: &ServerAddress,
        transaction_id: &TransactionId,
        prepare_download_response: &[u8],
    ) -> Result<Vec<u8>, ServerError> {
        let reply = self.call(
            server,
            "getBoundProfilePackage",
            &json!({
                "transactionId": transaction_id.to_string(),
                "prepareDownloadResponse": STANDARD.encode(prepare_download_response),
            }),
        )?;
        let answered = reply.transaction_id()?;
        if answered != *transaction_id {
            return Err(reply.malformed("transactionId is that of another session"));
        }
        reply.binary("boundProfilePackage")
    }

    /// CancelSession (§5.6.5).
    pub fn cancel_session(
        &mut self,
        server: &ServerAddress,
        transaction_id: &TransactionId,
        cancel_session_response: &[u8],
    ) -> Result<(), ServerError> {
        let request = json!({
            "transactionId": transaction_id.to_string(),
            "cancelSessionResponse": STANDARD.encode(cancel_session_response),
        });
        self.call(server, "cancelSession", &request).map(|_| ())
    }

    /// HandleNotification (§5.6.4).
    pub fn handle_notification(
        &mut self,
        server: &ServerAddress,
        pending_notification: &[u8],
    ) -> Result<(), ServerError> {
        let request = json!({ "pendingNotification": STANDARD.encode(pending_notification) });
        let body = self.post(server, "handleNotification", &request)?;
        // The function has no output: 204 without a body (§6.5.2.9). A server that sends a status all the same may
        // say that it failed.
        if body.iter().all(u8::is_ascii_whitespace) { Ok(()) } else { Reply::parse(server, &body).map(|_| ()) }
    }

    fn call(&mut self, server: &ServerAddress, function: &str, request: &Value) -> Result<Reply, ServerError> {
        let body = self.post(server, function, request)?;
        Reply::parse(server, &body)
    }

    fn post(&mut self, server: &ServerAddress, function: &str, request: &Value) -> Result<Vec<u8>, ServerError> {
        let url = format!("https://{server}/gsma/rsp2/es9plus/{function}");
        // SGP.22 v2.5 §6.5.1.
        let headers = [
            ("User-Agent", "gsma-rsp-lpad"),
            ("X-Admin-Protocol", ADMIN_PROTOCOL),
            ("Content-Type", "application/json"),
        ];
        let reply = self.http.post(&url, &headers, request.to_string().as_bytes())?;
        match reply.status {
            200..=299 => Ok(reply.body),
            status => Err(ServerError::Http { server: server.to_string(), status }),
        }
    }
}

/// An answer of success.
#[derive(Debug)]
struct Reply {
    server: String,
    fields: Map<String, Value>,
}

impl Reply {
    fn parse(server: &ServerAddress, body: &[u8]) -> Result<Self, ServerError> {
        let server = server.to_string();
        let mut fields = match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err(malformed(&server, "it is no JSON object")),
            Err(error) => return Err(malformed(&server, &format!("it is no JSON ({error})"))),
        };
        // SGP.22 v2.5 §6.5.1.4: `header.functionExecutionStatus`.
        let mut status =
            fields.remove("header").and_then(|mut header| Some(header.get_mut("functionExecutionStatus")?.take()));
        let word = status.as_ref().and_then(|status| status.get("status")).and_then(Value::as_str);
        match word {
            Some("Executed-Success" | "Executed-WithWarning") => Ok(Reply { server, fields }),
            Some(word) => {
                let word = word.to_owned();
                let data = status.as_mut().and_then(|status| status.get_mut("statusCodeData")).map(Value::take);
                let text =
                    |key: &str| data.as_ref().and_then(|data| data.get(key)).and_then(Value::as_str).map(str::to_owned);
                match (text("subjectCode"), text("reasonCode")) {
                    (Some(subject), Some(reason)) => {
                        Err(ServerError::Refused { server, subject, reason, message: text("message") })
                    }
                    _ => Err(malformed(&server, &format!("the function ended in {word}, without a status code"))),
                }
            }
            None => Err(malformed(&server, "header.functionExecutionStatus.status is missing")),
        }
    }

    fn malformed(&self, problem: &str) -> ServerError {
        malformed(&self.server, problem)
    }

    fn text(&self, field: &str) -> Result<&str, ServerError> {
        self.fields
            .get(field)
            .and_then(Value::as_str)
            .ok_or_else(|| self.malformed(&format!("{field} is missing, or no string")))
    }

    fn transaction_id(&self) -> Result<TransactionId, ServerError> {
        TransactionId::parse(self.text("transactionId")?).map_err(|error| self.malformed(&error.to_string()))
    }

    fn binary(&self, field: &str) -> Result<Vec<u8>, ServerError> {
        let text = self.text(field)?;
        let folded: String;
        let text = if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
            folded = text.split_ascii_whitespace().collect();
            &folded
        } else {
            text
        };
        LENIENT.decode(text).map_err(|error| self.malformed(&format!("{field} is no base64 ({error})")))
    }

    /// The value of a binary field that is one element with this tag.
    fn element(&self, field: &str, tag: u32) -> Result<Vec<u8>, ServerError> {
        let bytes = self.binary(field)?;
        let tlv = rsp::tlv::Tlv::parse_as(tag, &bytes).map_err(|error| self.malformed(&format!("{field}: {error}")))?;
        Ok(tlv.value().to_vec())
    }
}

fn malformed(server: &str, problem: &str) -> ServerError {
    ServerError::Malformed { server: server.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::http::HttpReply;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    /// Answers as scripted: `(function, status, body)`.
    #[derive(Debug, Default)]
    pub(crate) struct Answers {
        pub(crate) queue: VecDeque<(&'static str, u32, String)>,
        pub(crate) requests: Vec<(String, Value)>,
    }

    impl Http for Answers {
        fn post(&mut self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<HttpReply, HttpError> {
            assert!(headers.contains(&("X-Admin-Protocol", "gsma/rsp/v2.5.0")));
            assert!(headers.contains(&("User-Agent", "gsma-rsp-lpad")));
            let (function, status, body_out) = self.queue.pop_front().expect("no request is expected");
            assert!(url.ends_with(&format!("/gsma/rsp2/es9plus/{function}")), "{url}");
            self.requests.push((url.to_owned(), serde_json::from_slice(body).unwrap()));
            Ok(HttpReply { status, body: body_out.into_bytes() })
        }
    }

    fn server() -> ServerAddress {
        ServerAddress::parse("smdp.example.com:8443").unwrap()
    }

    fn one(function: &'static str, status: u32, body: &str) -> Es9<Answers> {
        Es9::new(Answers { queue: VecDeque::from([(function, status, body.to_owned())]), requests: Vec::new() })
    }

    pub(crate) fn failed(subject: &str, reason: &str) -> String {
        json!({"header": {"functionExecutionStatus": {"status": "Failed", "statusCodeData": {
            "subjectCode": subject, "reasonCode": reason, "message": "said the server"}}}})
        .to_string()
    }

    #[test]
    fn initiate_authentication_in_json() {
        let body = json!({
            "header": {"functionExecutionStatus": {"status": "Executed-Success"}},
            "transactionId": "0a0B",
            "serverSigned1": "MAA=",
            "serverSignature1": STANDARD.encode([&[0x5F, 0x37, 0x40][..], &[7; 64]].concat()),
            "euiccCiPKIdToBeUsed": "BAIBAg",
            "serverCertificate": "MA\nA=",
            "unknown": 1,
        });
        let mut es9 = one("initiateAuthentication", 200, &body.to_string());
        let response = es9.initiate_authentication(&server(), &[1; 16], &[0xBF, 0x20, 0]).unwrap();
        assert_eq!(response.transaction_id.as_bytes(), [0x0A, 0x0B]);
        assert_eq!(response.server_signature1, [7; 64]);
        assert_eq!(response.euicc_ci_pkid_to_be_used, [1, 2]);
        assert_eq!(response.server_certificate, [0x30, 0]);
        let (url, request) = &es9.http.requests[0];
        assert_eq!(url, "https://smdp.example.com:8443/gsma/rsp2/es9plus/initiateAuthentication");
        assert_eq!(
            *request,
            json!({"euiccChallenge": "AQEBAQEBAQEBAQEBAQEBAQ==", "euiccInfo1": "vyAA", "smdpAddress": "smdp.example.com:8443"})
        );
    }

    #[test]
    fn notifications_have_no_answer() {
        let success = r#"{"header":{"functionExecutionStatus":{"status":"Executed-Success"}}}"#;
        for (status, body) in [(204, ""), (200, "\r\n"), (200, success)] {
            one("handleNotification", status, body).handle_notification(&server(), &[0x30, 0]).unwrap();
        }
        let error =
            one("handleNotification", 200, &failed("8.1", "6.1")).handle_notification(&server(), &[]).unwrap_err();
        assert!(matches!(error, ServerError::Refused { .. }));
    }

    #[test]
    fn errors_in_words() {
        let call = |status, body: &str| {
            let id = TransactionId::parse("01").unwrap();
            let error = one("authenticateClient", status, body).authenticate_client(&server(), &id, &[]).unwrap_err();
            error.at(Step::AuthenticateClient)
        };
        let mut texts = String::new();
        for (status, body) in [
            (503, String::new()),
            (404, String::new()),
            (302, String::new()),
            (200, "<html>".to_owned()),
            (200, "[]".to_owned()),
            (200, "{}".to_owned()),
            (200, r#"{"header":{"functionExecutionStatus":{"status":"Failed"}}}"#.to_owned()),
            (200, r#"{"header":{"functionExecutionStatus":{"status":"Executed-Success"}}}"#.to_owned()),
            (200, failed("8.2.6", "3.8")),
            (200, failed("8.1.1", "3.8")),
            (200, failed("8.2.7", "3.8")),
            (200, failed("9.9", "9.9")),
        ] {
            let failure = call(status, &body);
            texts.push_str(&format!("{failure}\n"));
        }
        insta::assert_snapshot!(texts);
    }

    proptest! {
        #[test]
        fn no_answer_panics(body in ".{0,80}") {
            let _ = Reply::parse(&server(), body.as_bytes());
            let id = TransactionId::parse("01").unwrap();
            let body = json!({"header": {"functionExecutionStatus": {"status": "Executed-Success"}}, "transactionId": "01", "boundProfilePackage": body});
            let _ = one("getBoundProfilePackage", 200, &body.to_string()).get_bound_profile_package(&server(), &id, &[]);
        }
    }
}
