//! What an SM-DP+ is told when it is made.

use std::collections::BTreeMap;

use rsp::cert::{CertError, Certificate};
use rsp::crypto::PrivateKey;
use rsp::{Oid, Version};

use crate::profile::ProfileSpec;

/// A certificate and its private key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: Certificate,
    /// The key.
    pub key: PrivateKey,
}

/// What the server has under one CI.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The CI.
    pub ci: Certificate,
    /// For authentication, CERT.DPauth.
    pub auth: Identity,
    /// For profile package binding, CERT.DPpb.
    pub pb: Identity,
}

/// What the server is.
#[derive(Debug, Clone)]
pub struct SmdpConfig {
    /// Its address, as it stands in activation codes and notifications.
    pub address: String,
    /// Other names that it answers to.
    pub aliases: Vec<String>,
    /// Its object identifier, as in its certificates.
    pub oid: Oid,
    /// What it has under each CI.
    pub credentials: Vec<Credentials>,
    /// The lowest and the highest version of SGP.22 that a card may have.
    pub svn: (Version, Version),
    /// How long a session may take, in seconds.
    pub session_lifetime: i64,
    /// How many sessions may be open; the oldest go first.
    pub max_sessions: usize,
    /// How many wrong confirmation codes an order takes before the next one ends it.
    pub max_wrong_codes: u32,
    /// How often a download of an order may be tried, when the order does not say.
    pub max_attempts: Option<u32>,
    /// Whether packages are protected with keys of their own, when the order does not say.
    pub replace_session_keys: bool,
    /// Whether a package that was handed out may be bound to another one-time key.
    pub rebind: bool,
    /// The host id in the key derivation, 1 to 16 bytes.
    pub host_id: Vec<u8>,
    /// Whether card and device are checked against the profile before it is handed out.
    pub eligibility: bool,
    /// Whether the operators are told of the progress of downloads (ES2+ handleDownloadProgressInfo).
    pub progress: bool,
    /// The profile types by which operators order, with the description that the profiles of each are made from,
    /// counted up for every order.
    pub profile_types: BTreeMap<String, ProfileType>,
}

/// Profiles that are made to order.
#[derive(Debug, Clone)]
pub struct ProfileType {
    /// The first of them.
    pub template: ProfileSpec,
    /// The operator that may order it; any if `None`.
    pub owner: Option<String>,
    /// How many there are; `None` when there is no end.
    pub stock: Option<u32>,
}

impl SmdpConfig {
    /// A server at this address, with the usual settings.
    pub fn new(address: impl Into<String>, oid: Oid, credentials: Vec<Credentials>) -> Self {
        SmdpConfig {
            address: address.into(),
            aliases: Vec::new(),
            oid,
            credentials,
            svn: (Version::new(2, 0, 0), Version::new(2, 255, 255)),
            session_lifetime: 600,
            max_sessions: 10_000,
            max_wrong_codes: 3,
            max_attempts: None,
            replace_session_keys: false,
            rebind: true,
            host_id: b"esimlab".to_vec(),
            eligibility: true,
            progress: false,
            profile_types: BTreeMap::new(),
        }
    }
}

impl SmdpConfig {
    /// Whether a server can run with it: keys that belong to their certificates, and certificates of this server.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.credentials.is_empty() {
            return Err(ConfigError::NoCredentials);
        }
        if !(1..=16).contains(&self.host_id.len()) {
            return Err(ConfigError::HostId(self.host_id.len()));
        }
        for credentials in &self.credentials {
            if credentials.ci.subject_key_id().is_none() {
                return Err(ConfigError::NoKeyId { certificate: credentials.ci.to_string() });
            }
            for identity in [&credentials.auth, &credentials.pb] {
                let certificate = &identity.certificate;
                if certificate.public_key() != identity.key.public() {
                    return Err(ConfigError::Key { certificate: certificate.to_string() });
                }
                certificate.verify_signed_by(&credentials.ci)?;
                if certificate.registered_id() != Some(&self.oid) {
                    let found = certificate.registered_id().map_or_else(|| "without an OID".to_owned(), Oid::to_string);
                    let (certificate, expected) = (certificate.to_string(), self.oid.clone());
                    return Err(ConfigError::Oid { certificate, found, expected });
                }
            }
        }
        Ok(())
    }
}

/// A configuration with which no server can run.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No credentials.
    #[error("the SM-DP+ has no certificates: give it those of one CI at least")]
    NoCredentials,
    /// A certificate that cannot serve.
    #[error("a certificate of the SM-DP+ cannot be used: {0}")]
    Certificate(#[from] CertError),
    /// A certificate of another server.
    #[error("{certificate} is of the SM-DP+ {found}, and this one is {expected}")]
    Oid {
        /// The certificate.
        certificate: String,
        /// The object identifier in it.
        found: String,
        /// The configured one.
        expected: Oid,
    },
    /// A key that does not belong to its certificate.
    #[error("the private key given with {certificate} does not belong to it")]
    Key {
        /// The certificate.
        certificate: String,
    },
    /// A CI without subject key identifier.
    #[error("{certificate} has no subject key identifier: cards could not choose it")]
    NoKeyId {
        /// The certificate.
        certificate: String,
    },
    /// The host id.
    #[error("the host id has {0} bytes; it has 1 to 16 (SGP.22 §5.5.1)")]
    HostId(usize),
}
