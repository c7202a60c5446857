//! The parts of requests and responses of ES9+, apart from their binding: JSON now, ASN.1 the same.

use rsp::TransactionId;

/// ES9+ initiateAuthentication (SGP.22 §5.6.1).
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
    /// CERT.DPauth.
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

/// The response to getBoundProfilePackage (SGP.22 §5.6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundProfilePackageOk {
    /// The session.
    pub transaction_id: TransactionId,
    /// The element `BF36`.
    pub bound_profile_package: Vec<u8>,
}
