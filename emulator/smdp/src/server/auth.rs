//! Common mutual authentication (SGP.22 §3.0.1), the server's side: what SM-DP+ and SM-DS do alike.
//!
//! initiateAuthentication: what the card says of itself and the address → CI and certificate are chosen, a session is
//! opened → signed. authenticateClient: the card's response → chain, signature, session → what is known of the card.

use rsp::cert::{Certificate, ChainError, EuiccChain, VerifiedEum};
use rsp::crypto::{CryptoError, Random, equal_in_constant_time};
use rsp::es10::TAG_SIGNATURE;
use rsp::es10::auth::{AuthenticateServerResponse, ServerSigned1};
use rsp::es10::info::{EuiccInfo1, EuiccInfo2, ExtCardResource};
use rsp::ids::to_hex;
use rsp::tlv::{NamedBits, TlvError, encode};
use rsp::{Eid, ServerAddress, TransactionId, Version};

use super::config::Identity;
use super::known::{Key, Known};
use super::messages::InitiateAuthenticationOk;
use crate::status::{Status, StatusError};

/// Which server it is: the two differ in their status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Smdp,
    Smds,
}

impl Part {
    fn address_invalid(self) -> Status {
        match self {
            Part::Smdp => Status::AddressInvalid,
            Part::Smds => Status::DsAddressInvalid,
        }
    }

    fn no_common_ci(self) -> Status {
        match self {
            Part::Smdp => Status::NoCommonCi,
            Part::Smds => Status::DsNoCommonCi,
        }
    }

    fn svn_unsupported(self) -> Status {
        match self {
            Part::Smdp => Status::SvnUnsupported,
            Part::Smds => Status::DsSvnUnsupported,
        }
    }

    fn no_certificate(self) -> Status {
        match self {
            Part::Smdp => Status::NoServerCertificate,
            Part::Smds => Status::DsNoServerCertificate,
        }
    }
}

/// A CI and the certificate for authentication under it.
#[derive(Debug, Clone)]
pub(crate) struct Issuer {
    pub(crate) ci: Certificate,
    pub(crate) auth: Identity,
}

/// A server that authenticates itself and cards.
#[derive(Debug)]
pub(crate) struct Authenticator {
    pub(crate) part: Part,
    pub(crate) address: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) svn: (Version, Version),
    pub(crate) issuers: Vec<Issuer>,
    /// Chains that were verified before.
    pub(crate) known: Known,
}

/// A session that begins.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    pub(crate) transaction_id: TransactionId,
    /// The card's CI: index of an issuer.
    pub(crate) euicc_ci: usize,
    /// The server's own certificates: index of an issuer.
    pub(crate) issuer: usize,
    /// The address as the LPA wrote it.
    pub(crate) address: String,
    pub(crate) server_challenge: [u8; 16],
    server_signed1: Vec<u8>,
}

/// What the card's response is checked against.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) transaction_id: TransactionId,
    pub(crate) euicc_ci: usize,
    pub(crate) address: String,
    pub(crate) server_challenge: [u8; 16],
}

/// What a card and its device can do, as far as a server asks.
#[derive(Debug, Clone)]
pub(crate) struct Capabilities {
    pub(crate) profile_version: Version,
    pub(crate) uicc: NamedBits,
    pub(crate) forbidden_rules: NamedBits,
    pub(crate) free_non_volatile: Option<u32>,
    /// Technology and release.
    pub(crate) device: Vec<(u32, Version)>,
}

impl Capabilities {
    fn of(info: &EuiccInfo2, device: &[(u32, Version)]) -> Self {
        Capabilities {
            profile_version: info.profile_version,
            uicc: info.uicc_capability,
            forbidden_rules: info.forbidden_ppr.unwrap_or_default(),
            free_non_volatile: ExtCardResource::parse(&info.ext_card_resource)
                .ok()
                .map(|resources| resources.free_non_volatile),
            device: device.to_vec(),
        }
    }
}

/// A card that has proved itself.
#[derive(Debug, Clone)]
pub(crate) struct VerifiedCard {
    pub(crate) eid: Eid,
    pub(crate) euicc: Certificate,
    pub(crate) matching_id: String,
    pub(crate) euicc_signature1: Vec<u8>,
    pub(crate) capabilities: Capabilities,
}

/// A failure of the server's own cryptography: nothing that a client has sent is to blame.
pub(crate) fn internal(error: CryptoError) -> StatusError {
    Status::Internal.with(error.to_string())
}

pub(crate) fn malformed(what: &'static str) -> impl FnOnce(TlvError) -> StatusError {
    move |error| Status::Malformed.with(format!("{what}: {error}"))
}

pub(crate) fn unknown_transaction(text: impl std::fmt::Display) -> StatusError {
    Status::TransactionUnknown.with(format!("no session {text} is at this stage; it may have expired"))
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

impl Authenticator {
    /// Whether an address is this server's: letters of either case, with or without port.
    pub(crate) fn is_own_address(&self, text: &str) -> bool {
        let same = |own: &str| match (ServerAddress::parse(own), ServerAddress::parse(text)) {
            (Ok(own), Ok(given)) => own.same_host(&given),
            // What is no address can still be the same.
            _ => own.eq_ignore_ascii_case(text),
        };
        same(&self.address) || self.aliases.iter().any(|alias| same(alias))
    }

    /// What the server has under the CI with this key identifier.
    pub(crate) fn issuer_under(&self, ci_key_id: &[u8]) -> Option<usize> {
        self.issuers.iter().position(|issuer| issuer.ci.subject_key_id() == Some(ci_key_id))
    }

    /// The checks of initiateAuthentication (SGP.22 §5.6.1, §5.8.1); the session that they come to.
    pub(crate) fn open(
        &self,
        euicc_challenge: &[u8],
        euicc_info1: &[u8],
        address: &str,
        random: &mut dyn Random,
    ) -> Result<Opening, StatusError> {
        let euicc_challenge: [u8; 16] = euicc_challenge
            .try_into()
            .map_err(|_| Status::Malformed.with("euiccChallenge: it has 16 bytes (SGP.22 §5.7.7)"))?;
        let info = EuiccInfo1::parse(euicc_info1).map_err(malformed("euiccInfo1"))?;
        if !self.is_own_address(address) {
            return Err(self.part.address_invalid().with(format!("{address:?} is not {}", self.address)));
        }
        let (lowest, highest) = self.svn;
        if !(lowest..=highest).contains(&info.svn) {
            let message = format!("the eUICC has {}, and {lowest} to {highest} are supported", info.svn);
            return Err(self.part.svn_unsupported().with(message));
        }
        // SGP.22 §5.6.1: the card can verify this server under one CI and sign under one; its first choices count, and
        // one CI for both is better than two.
        let first_known = |ids: &[Vec<u8>]| ids.iter().find_map(|id| self.issuer_under(id));
        let Some(verification) = first_known(&info.ci_pkids_for_verification) else {
            let status = match first_known(&info.ci_pkids_for_signing) {
                Some(_) => self.part.no_certificate(),
                None => self.part.no_common_ci(),
            };
            return Err(status.with("the eUICC verifies servers under none of the CIs that this server has"));
        };
        let Some(euicc_ci) = first_known(&info.ci_pkids_for_signing) else {
            return Err(self.part.no_common_ci().with("the eUICC signs under none of the CIs that this server has"));
        };
        let issuer = match info.ci_pkids_for_verification.iter().any(|id| *id == self.ci_key_id(euicc_ci)) {
            true => euicc_ci,
            false => verification,
        };
        let mut transaction_id = [0; 16];
        random.fill(&mut transaction_id);
        let transaction_id =
            TransactionId::from_bytes(&transaction_id).map_err(|error| Status::Internal.with(error.to_string()))?;
        let mut server_challenge = [0; 16];
        random.fill(&mut server_challenge);
        let server_signed1 = ServerSigned1 {
            transaction_id: transaction_id.clone(),
            euicc_challenge,
            // As the LPA wrote it: it compares.
            server_address: address.to_owned(),
            server_challenge,
        }
        .encode();
        Ok(Opening { transaction_id, euicc_ci, issuer, address: address.to_owned(), server_challenge, server_signed1 })
    }

    fn ci_key_id(&self, issuer: usize) -> &[u8] {
        self.issuers[issuer].ci.subject_key_id().unwrap_or_default()
    }

    /// Signs what opens a session.
    pub(crate) fn sign(&self, opening: &Opening) -> Result<InitiateAuthenticationOk, StatusError> {
        let auth = &self.issuers[opening.issuer].auth;
        let signature = auth.key.sign(&[&opening.server_signed1]).map_err(internal)?;
        Ok(InitiateAuthenticationOk {
            transaction_id: opening.transaction_id.clone(),
            server_signed1: opening.server_signed1.clone(),
            server_signature1: encode(TAG_SIGNATURE, &signature),
            euicc_ci_pkid_to_be_used: encode(0x04, self.ci_key_id(opening.euicc_ci)),
            server_certificate: auth.certificate.der().to_vec(),
        })
    }

    /// Verifies the card's response to AuthenticateServer, `BF38` (SGP.22 §5.6.3, §5.8.2).
    pub(crate) fn verify(&self, facts: &Facts, response: &[u8], now: i64) -> Result<VerifiedCard, StatusError> {
        let response = AuthenticateServerResponse::parse(response).map_err(malformed("authenticateServerResponse"))?;
        let response = match response {
            AuthenticateServerResponse::Ok(response) => response,
            AuthenticateServerResponse::Error { code, .. } => {
                return Err(Status::VerificationFailed.with(format!("the eUICC has refused this server: {code}")));
            }
        };
        let (eum, euicc) = (response.eum_certificate, response.euicc_certificate);
        let ci = &self.issuers[facts.euicc_ci].ci;
        let key = Key::of(&[eum, euicc]);
        let chain = match self.known.chain(&key).filter(|chain| chain.ci() == ci) {
            Some(chain) => chain,
            None => {
                let eum = Certificate::parse(eum)
                    .map_err(|error| Status::EumInvalid.with(format!("the EUM certificate: {error}")))?;
                let euicc = Certificate::parse(euicc)
                    .map_err(|error| Status::EuiccInvalid.with(format!("the eUICC certificate: {error}")))?;
                if let Some(id) = eum.authority_key_id().filter(|id| self.issuer_under(id).is_none()) {
                    let message = format!("the EUM certificate was signed with key {}", to_hex(id));
                    return Err(Status::CiUnknown.with(message));
                }
                self.verify_chain(key, ci, eum, euicc).map_err(|error| chain_status(&error))?
            }
        };
        let eid = chain.check_dates(now).map_err(|error| chain_status(&error))?;
        let euicc = chain.euicc().clone();
        let signed = &response.euicc_signed1;
        if !euicc.public_key().verify(&[signed.raw], response.euicc_signature1) {
            return Err(Status::VerificationFailed.with("euiccSignature1 is not one of the eUICC certificate's key"));
        }
        if signed.transaction_id != facts.transaction_id {
            return Err(unknown_transaction(&signed.transaction_id));
        }
        if !equal_in_constant_time(&signed.server_challenge, &facts.server_challenge) {
            return Err(Status::VerificationFailed.with("serverChallenge is not the one of this session"));
        }
        if signed.server_address != facts.address {
            return Err(Status::VerificationFailed.with("serverAddress is not the one of this session"));
        }
        let context = &signed.ctx_params1;
        Ok(VerifiedCard {
            eid,
            matching_id: context.matching_id.as_deref().unwrap_or_default().to_owned(),
            euicc_signature1: response.euicc_signature1.to_vec(),
            capabilities: Capabilities::of(&signed.euicc_info2, &context.device_info.capabilities),
            euicc,
        })
    }

    /// Verifies a notification that brings its certificates along (SGP.22 §5.6.4).
    pub(crate) fn verify_notification(
        &self,
        other: &rsp::es10::notification::OtherSignedNotification<'_>,
        now: i64,
    ) -> Result<Eid, String> {
        let key = Key::of(&[other.eum_certificate, other.euicc_certificate]);
        let chain = match self.known.chain(&key) {
            Some(chain) => chain,
            None => {
                let euicc = Certificate::parse(other.euicc_certificate).map_err(|error| error.to_string())?;
                let eum = Certificate::parse(other.eum_certificate).map_err(|error| error.to_string())?;
                let Some(issuer) = eum.authority_key_id().and_then(|id| self.issuer_under(id)) else {
                    return Err("the CI of its EUM certificate is unknown".to_owned());
                };
                let ci = &self.issuers[issuer].ci;
                self.verify_chain(key, ci, eum, euicc).map_err(|error| error.to_string())?
            }
        };
        let eid = chain.check_dates(now).map_err(|error| error.to_string())?;
        let euicc = chain.euicc();
        if !euicc.public_key().verify(&[other.metadata.raw], other.signature) {
            return Err("its signature is not one of its eUICC certificate's key".to_owned());
        }
        Ok(eid)
    }

    /// Verifies a chain that is not known, and remembers as much of it as is genuine.
    fn verify_chain(
        &self,
        key: Key,
        ci: &Certificate,
        eum: Certificate,
        euicc: Certificate,
    ) -> Result<EuiccChain, ChainError> {
        let eum_key = Key::of(&[eum.der()]);
        let eum = match self.known.eum(&eum_key, ci) {
            Some(eum) => eum,
            None => {
                let eum = VerifiedEum::verify(eum, ci)?;
                self.known.remember_eum(eum_key, &eum);
                eum
            }
        };
        let chain = EuiccChain::verify(euicc, &eum)?;
        self.known.remember_chain(key, &chain);
        Ok(chain)
    }
}
