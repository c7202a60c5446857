//! Requests and responses of ES9+ and ES11, apart from their binding: JSON and ASN.1 carry the same parts.

use rsp::TransactionId;

use super::Notified;

/// The functions of ES9+ (SGP.22 §5.6, §6.5.2); ES11 has the first two of them.
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

/// A request, with its parts as they arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// initiateAuthentication (SGP.22 §5.6.1).
    InitiateAuthentication {
        /// The card's challenge, 16 bytes.
        euicc_challenge: Vec<u8>,
        /// EUICCInfo1, the element `BF20`.
        euicc_info1: Vec<u8>,
        /// The address at which the LPA has called.
        address: String,
    },
    /// authenticateClient (SGP.22 §5.6.3).
    AuthenticateClient {
        /// The session.
        transaction_id: TransactionId,
        /// The card's response to AuthenticateServer, element `BF38`.
        response: Vec<u8>,
    },
    /// getBoundProfilePackage (SGP.22 §5.6.2).
    GetBoundProfilePackage {
        /// The session.
        transaction_id: TransactionId,
        /// The card's response to PrepareDownload, element `BF21`.
        response: Vec<u8>,
    },
    /// handleNotification (SGP.22 §5.6.4).
    HandleNotification {
        /// The notification, as it stands in the card's list.
        pending_notification: Vec<u8>,
    },
    /// cancelSession (SGP.22 §5.6.5).
    CancelSession {
        /// The session.
        transaction_id: TransactionId,
        /// The card's response to CancelSession, element `BF41`.
        response: Vec<u8>,
    },
}

impl Request {
    /// The session that it names.
    pub fn transaction_id(&self) -> Option<&TransactionId> {
        match self {
            Request::AuthenticateClient { transaction_id, .. }
            | Request::GetBoundProfilePackage { transaction_id, .. }
            | Request::CancelSession { transaction_id, .. } => Some(transaction_id),
            Request::InitiateAuthentication { .. } | Request::HandleNotification { .. } => None,
        }
    }
}

/// What a function has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Of initiateAuthentication.
    InitiateAuthentication(InitiateAuthenticationOk),
    /// Of authenticateClient.
    AuthenticateClient(AuthenticateClientOk),
    /// Of authenticateClient at an SM-DS (SGP.22 §5.8.2).
    Events(EventsOk),
    /// Of getBoundProfilePackage.
    BoundProfilePackage(BoundProfilePackageOk),
    /// Of handleNotification: there is no body.
    Notified(Notified),
    /// Of cancelSession.
    Cancelled,
}

impl Answer {
    pub(crate) fn transaction_id_mut(&mut self) -> Option<&mut TransactionId> {
        match self {
            Answer::InitiateAuthentication(ok) => Some(&mut ok.transaction_id),
            Answer::AuthenticateClient(ok) => Some(&mut ok.transaction_id),
            Answer::Events(ok) => Some(&mut ok.transaction_id),
            Answer::BoundProfilePackage(ok) => Some(&mut ok.transaction_id),
            Answer::Notified(_) | Answer::Cancelled => None,
        }
    }
}

/// ES9+ initiateAuthentication (SGP.22 §5.6.1), for a caller at hand.
#[derive(Debug, Clone, Copy)]
pub struct InitiateAuthentication<'a> {
    /// The card's challenge, 16 bytes.
    pub euicc_challenge: &'a [u8],
    /// EUICCInfo1, the element `BF20`.
    pub euicc_info1: &'a [u8],
    /// The address at which the LPA has called.
    pub smdp_address: &'a str,
}

/// The response to initiateAuthentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitiateAuthenticationOk {
    /// The new session.
    pub transaction_id: TransactionId,
    /// The SEQUENCE that is signed.
    pub server_signed1: Vec<u8>,
    /// The signature, the element `5F37`.
    pub server_signature1: Vec<u8>,
    /// The CI that the card has to use, an OCTET STRING.
    pub euicc_ci_pkid_to_be_used: Vec<u8>,
    /// CERT.DPauth or CERT.DSauth.
    pub server_certificate: Vec<u8>,
}

/// The response to authenticateClient (SGP.22 §5.6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticateClientOk {
    /// The session.
    pub transaction_id: TransactionId,
    /// The element `BF25`.
    pub profile_metadata: Vec<u8>,
    /// The SEQUENCE that is signed.
    pub smdp_signed2: Vec<u8>,
    /// The signature, the element `5F37`.
    pub smdp_signature2: Vec<u8>,
    /// CERT.DPpb.
    pub smdp_certificate: Vec<u8>,
}

/// The response to authenticateClient of ES11 (SGP.22 §5.8.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsOk {
    /// The session.
    pub transaction_id: TransactionId,
    /// What waits for the card.
    pub entries: Vec<EventEntry>,
}

/// An event that waits for a card: where, and under which id (SGP.22 §5.8.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventEntry {
    /// The id, which is the matching id at the server.
    pub event_id: String,
    /// The server: an SM-DP+ or another SM-DS.
    pub rsp_server_address: String,
}

/// The response to getBoundProfilePackage (SGP.22 §5.6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundProfilePackageOk {
    /// The session.
    pub transaction_id: TransactionId,
    /// The element `BF36`.
    pub bound_profile_package: Vec<u8>,
}
