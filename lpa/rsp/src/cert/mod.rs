//! Certificates of remote SIM provisioning and their rules (SGP.22 v2.5 §4.5.2, on X.509 of RFC 5280).
//!
//! A [`Certificate`] is parsed once and keeps the DER it was parsed from: the signature is checked over the bytes
//! that arrived, and names and key identifiers are compared as bytes. What it is for is its [`Role`], which stands
//! in its policy. The rules are single checks ([`Certificate::check_role`], [`Certificate::check_validity`],
//! [`Certificate::verify_signed_by`]) and the chains that SGP.22 knows: a server's certificate under the CI
//! ([`verify_server_certificate`]), and eUICC under EUM under CI ([`verify_euicc_chain`]).
//!
//! Generic path validation is of no use here: it takes the EUM's name constraint on a serial number for one that
//! no EID fulfils, and knows neither roles nor EIDs.
//!
//! The time is handed in as Unix seconds. A card has no clock: it calls the single checks and leaves the dates out.

mod crl;
mod parse;
mod time;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use crl::{CrlNumber, RevocationList, RevokedCertificate};
pub use time::encode_time;

use crate::crypto::{Curve, PublicKey};
use crate::ids::{Eid, IdError, Oid, to_hex};
use crate::tlv::NamedBits;

/// Object identifiers of certificates, as DER content octets.
pub mod oid {
    /// id-at-commonName.
    pub const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    /// id-at-serialNumber: the EID of an eUICC, the EIN in a name constraint.
    pub const SERIAL_NUMBER: &[u8] = &[0x55, 0x04, 0x05];
    /// id-at-countryName.
    pub const COUNTRY: &[u8] = &[0x55, 0x04, 0x06];
    /// id-at-organizationName.
    pub const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0A];
    /// id-at-organizationalUnitName.
    pub const ORGANIZATIONAL_UNIT: &[u8] = &[0x55, 0x04, 0x0B];
    /// subjectKeyIdentifier.
    pub const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1D, 0x0E];
    /// keyUsage.
    pub const KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x0F];
    /// subjectAltName.
    pub const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1D, 0x11];
    /// basicConstraints.
    pub const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];
    /// nameConstraints.
    pub const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x1E];
    /// cRLDistributionPoints.
    pub const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1D, 0x1F];
    /// certificatePolicies.
    pub const CERTIFICATE_POLICIES: &[u8] = &[0x55, 0x1D, 0x20];
    /// authorityKeyIdentifier.
    pub const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1D, 0x23];
    /// extKeyUsage.
    pub const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x25];
    /// id-kp-serverAuth.
    pub const SERVER_AUTH: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
    /// id-kp-clientAuth.
    pub const CLIENT_AUTH: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
    /// ecdsa-with-SHA256.
    pub const ECDSA_WITH_SHA256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02];
    /// id-ecPublicKey.
    pub const EC_PUBLIC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
    /// The permittedEins of id-rsp-extension (SGP.22 v3).
    pub const PERMITTED_EINS: &[u8] = &[0x67, 0x81, 0x12, 0x01, 0x02, 0x02, 0x00];
    /// cRLNumber.
    pub const CRL_NUMBER: &[u8] = &[0x55, 0x1D, 0x14];
    /// reasonCode of a line of a revocation list.
    pub const REASON_CODE: &[u8] = &[0x55, 0x1D, 0x15];
    /// deltaCRLIndicator.
    pub const DELTA_CRL_INDICATOR: &[u8] = &[0x55, 0x1D, 0x1B];
    /// issuingDistributionPoint.
    pub const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1D, 0x1C];
    /// id-rsp-expDate, 2.23.146.1.2.0.1: when a revoked certificate would have expired.
    pub const EXPIRATION_DATE: &[u8] = &[0x67, 0x81, 0x12, 0x01, 0x02, 0x00, 0x01];
    /// id-rsp-totalPartialCrl, 2.23.146.1.2.0.2: in how many parts a revocation list comes.
    pub const TOTAL_PARTIAL_CRL: &[u8] = &[0x67, 0x81, 0x12, 0x01, 0x02, 0x00, 0x02];
    /// id-rsp-partialCrl, 2.23.146.1.2.0.3: which part it is.
    pub const PARTIAL_CRL: &[u8] = &[0x67, 0x81, 0x12, 0x01, 0x02, 0x00, 0x03];
    /// id-rspRole, 2.23.146.1.2.1: the last arc, the role, is missing.
    pub const RSP_ROLE: &[u8] = &[0x67, 0x81, 0x12, 0x01, 0x02, 0x01];
}

/// The bits of keyUsage that SGP.22 uses (RFC 5280 §4.2.1.3).
pub mod key_usage {
    /// digitalSignature.
    pub const DIGITAL_SIGNATURE: u8 = 0;
    /// keyCertSign.
    pub const KEY_CERT_SIGN: u8 = 5;
    /// cRLSign.
    pub const CRL_SIGN: u8 = 6;
}

/// What a certificate is for: the policies id-rspRole of SGP.22 v2 (§4.5.2.1, annex H).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Certificate issuer, the root.
    Ci,
    /// eUICC.
    Euicc,
    /// eUICC manufacturer.
    Eum,
    /// TLS server of an SM-DP+.
    DpTls,
    /// SM-DP+, authentication.
    DpAuth,
    /// SM-DP+, profile package binding.
    DpPb,
    /// TLS server of an SM-DS.
    DsTls,
    /// SM-DS, authentication.
    DsAuth,
}

impl Role {
    /// Every role, in the order of the object identifiers.
    pub const ALL: [Role; 8] =
        [Role::Ci, Role::Euicc, Role::Eum, Role::DpTls, Role::DpAuth, Role::DpPb, Role::DsTls, Role::DsAuth];

    /// The policy, DER content octets: 2.23.146.1.2.1.0 for the CI and so on.
    pub fn oid_content(self) -> [u8; 7] {
        let mut content = [0; 7];
        content[..6].copy_from_slice(oid::RSP_ROLE);
        content[6] = self as u8;
        content
    }

    /// The role with this policy.
    pub fn from_oid_content(policy: &[u8]) -> Option<Self> {
        Role::ALL.into_iter().find(|role| role.oid_content() == policy)
    }

    /// Whether certificates of this role sign others.
    pub fn is_authority(self) -> bool {
        matches!(self, Role::Ci | Role::Eum)
    }

    /// Whether the certificate is one of a TLS server.
    pub fn is_tls(self) -> bool {
        matches!(self, Role::DpTls | Role::DsTls)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Ci => "CERT.CI",
            Role::Euicc => "CERT.EUICC",
            Role::Eum => "CERT.EUM",
            Role::DpTls => "CERT.DP.TLS",
            Role::DpAuth => "CERT.DPauth",
            Role::DpPb => "CERT.DPpb",
            Role::DsTls => "CERT.DS.TLS",
            Role::DsAuth => "CERT.DSauth",
        })
    }
}

/// A certificate that cannot be read or that breaks a rule. `certificate` is its role, name and serial number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertError {
    /// The bytes are neither DER nor PEM of a certificate.
    #[error("no certificate found: expected DER, or PEM between -----BEGIN CERTIFICATE----- and its end")]
    NoCertificate,
    /// The bytes are neither DER nor PEM of a revocation list.
    #[error("no revocation list found: expected DER, or PEM between -----BEGIN X509 CRL----- and its end")]
    NoRevocationList,
    /// A loaded revocation list names the certificate.
    #[error("{certificate} is revoked by list {list} of its issuer (SGP.22 §4.6)")]
    Revoked {
        /// The certificate.
        certificate: Box<str>,
        /// The number of the list.
        list: CrlNumber,
    },
    /// A field that is not as X.509 or SGP.22 has it.
    #[error("not a certificate of SGP.22 (RFC 5280, SGP.22 §4.5.2.1): {field}: {problem}")]
    Malformed {
        /// The field, by its name in RFC 5280.
        field: &'static str,
        /// What is wrong with it.
        problem: Box<str>,
    },
    /// A public key of another algorithm or on another curve.
    #[error("its public key is neither on P-256 nor on brainpoolP256r1 (SGP.22 §2.6.7.2)")]
    UnsupportedKey,
    /// The policy names another role, or none.
    #[error("{certificate} is no {expected}: its policies are {found} (SGP.22 §4.5.2.1)")]
    Role {
        /// The certificate.
        certificate: Box<str>,
        /// The role that it should have.
        expected: Role,
        /// Its policies.
        found: Box<str>,
    },
    /// The key usage does not fit the role.
    #[error("{certificate}: keyUsage {rule} (SGP.22 §4.5.2.1)")]
    KeyUsage {
        /// The certificate.
        certificate: Box<str>,
        /// What it has to be.
        rule: &'static str,
    },
    /// The basic constraints do not fit the role.
    #[error("{certificate}: basicConstraints {rule} (SGP.22 §4.5.2.1)")]
    BasicConstraints {
        /// The certificate.
        certificate: Box<str>,
        /// What they have to be.
        rule: &'static str,
    },
    /// An extension that the role needs is missing.
    #[error("{certificate} lacks {extension} (SGP.22 §4.5.2.1)")]
    MissingExtension {
        /// The certificate.
        certificate: Box<str>,
        /// The extension, or the part of it.
        extension: &'static str,
    },
    /// A critical extension that SGP.22 does not know.
    #[error("{certificate} has the critical extension {extension}, which is unknown (RFC 5280 §4.2)")]
    UnknownCriticalExtension {
        /// The certificate.
        certificate: Box<str>,
        /// Its object identifier.
        extension: Oid,
    },
    /// The time is before the first date.
    #[error("{certificate} is valid from {not_before}, and it is {now} now: check the clock (RFC 5280 §4.1.2.5)")]
    NotYetValid {
        /// The certificate.
        certificate: Box<str>,
        /// The first date.
        not_before: Box<str>,
        /// The time that was handed in.
        now: Box<str>,
    },
    /// The time is after the last date.
    #[error("{certificate} expired at {not_after}, and it is {now} now: renew it (RFC 5280 §4.1.2.5)")]
    Expired {
        /// The certificate.
        certificate: Box<str>,
        /// The last date.
        not_after: Box<str>,
        /// The time that was handed in.
        now: Box<str>,
    },
    /// Issuer and subject names differ.
    #[error("{certificate} names another issuer than {issuer} (RFC 5280 §6.1.3)")]
    WrongIssuer {
        /// The certificate.
        certificate: Box<str>,
        /// The certificate that should have issued it.
        issuer: Box<str>,
    },
    /// The authority key identifier is not the subject key identifier of the issuer.
    #[error("{certificate} was signed with key {found}, {issuer} has key {expected} (SGP.22 §4.5.2.1)")]
    WrongAuthorityKey {
        /// The certificate.
        certificate: Box<str>,
        /// Its authority key identifier.
        found: Box<str>,
        /// The certificate that should have issued it.
        issuer: Box<str>,
        /// The subject key identifier of that.
        expected: Box<str>,
    },
    /// The issuer may not sign certificates, or not this one.
    #[error("{issuer} may not sign {certificate}: {rule} (RFC 5280 §6.1.4)")]
    IssuerNotAllowed {
        /// The certificate.
        certificate: Box<str>,
        /// The certificate that should have issued it.
        issuer: Box<str>,
        /// Why it may not.
        rule: &'static str,
    },
    /// A chain that changes the curve.
    #[error("{certificate} is on {curve}, {issuer} is not: a chain stays on one curve (SGP.22 §2.6.7.2)")]
    CurvesDiffer {
        /// The certificate.
        certificate: Box<str>,
        /// Its curve.
        curve: Curve,
        /// The certificate that should have issued it.
        issuer: Box<str>,
    },
    /// The signature does not verify.
    #[error("the signature of {certificate} is not one of {issuer} (RFC 5280 §6.1.3)")]
    Signature {
        /// The certificate.
        certificate: Box<str>,
        /// The certificate that should have issued it.
        issuer: Box<str>,
    },
    /// The subject has no EID, or a wrong one.
    #[error("the subject of {certificate} has no EID in its serialNumber (SGP.22 §4.5.2.1.0.3): {problem}")]
    NoEid {
        /// The certificate.
        certificate: Box<str>,
        /// What is wrong with it.
        problem: Box<str>,
    },
    /// The two certificates of an SM-DP+ have different object identifiers.
    #[error(
        "{auth} and {pb} are not of one SM-DP+: their object identifiers are {auth_oid} and {pb_oid} (SGP.22 §5.7.5)"
    )]
    OidsDiffer {
        /// The certificate for authentication.
        auth: Box<str>,
        /// Its object identifier.
        auth_oid: Box<str>,
        /// The certificate for profile package binding.
        pb: Box<str>,
        /// Its object identifier.
        pb_oid: Box<str>,
    },
}

impl CertError {
    /// True when the only thing wrong is that the certificate has had its time.
    pub fn is_expired(&self) -> bool {
        matches!(self, CertError::Expired { .. })
    }
}

/// What is wrong with the chain of an eUICC, told apart as an SM-DP+ has to (SGP.22 §5.6.3, status codes of
/// authenticateClient).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The EUM's certificate breaks a rule.
    #[error("the EUM certificate is invalid: {0}")]
    EumInvalid(#[source] CertError),
    /// The EUM's certificate has had its time.
    #[error("the EUM certificate has expired: {0}")]
    EumExpired(#[source] CertError),
    /// The eUICC's certificate breaks a rule.
    #[error("the eUICC certificate is invalid: {0}")]
    EuiccInvalid(#[source] CertError),
    /// The eUICC's certificate has had its time.
    #[error("the eUICC certificate has expired: {0}")]
    EuiccExpired(#[source] CertError),
    /// The EUM may not sign for this EID or this organization.
    #[error(
        "the EUM may not sign for EID {eid} of {organization:?}: it is permitted {permitted} (SGP.22 §4.5.2.1.0.2)"
    )]
    EidNotPermitted {
        /// The EID in the eUICC's certificate.
        eid: Eid,
        /// The organization there.
        organization: String,
        /// What the EUM's certificate permits.
        permitted: String,
    },
}

/// One attribute of a distinguished name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// What it is, see [`oid`].
    pub kind: Oid,
    /// Its text.
    pub value: String,
}

/// The basicConstraints extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BasicConstraints {
    ca: bool,
    path_len: Option<u32>,
}

/// A directory name that subjects are held against: what an EUM may, or may not, sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameConstraint {
    attributes: Vec<Attribute>,
}

impl NameConstraint {
    /// The organization that it names.
    pub fn organization(&self) -> Option<&str> {
        find(&self.attributes, oid::ORGANIZATION)
    }

    /// The EIN that it names: the digits that EIDs begin with.
    pub fn ein(&self) -> Option<&str> {
        find(&self.attributes, oid::SERIAL_NUMBER)
    }

    /// SGP.22 §4.5.2.1.0.2: each attribute is found in the subject, wherever it stands; of the serial number the
    /// first digits.
    fn matches(&self, subject: &[Attribute]) -> bool {
        self.attributes.iter().all(|wanted| {
            subject.iter().any(|attribute| {
                attribute.kind == wanted.kind
                    && if wanted.kind.as_der_content() == oid::SERIAL_NUMBER {
                        attribute.value.starts_with(&wanted.value)
                    } else {
                        attribute.value == wanted.value
                    }
            })
        })
    }
}

impl fmt::Display for NameConstraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (organization, ein) = (self.organization().unwrap_or("any"), self.ein().unwrap_or("any"));
        write!(f, "EIN {ein} of {organization:?}")
    }
}

fn find<'a>(attributes: &'a [Attribute], kind: &[u8]) -> Option<&'a str> {
    attributes.iter().find(|attribute| attribute.kind.as_der_content() == kind).map(|found| found.value.as_str())
}

/// The DER of the first part of a PEM file with this label.
fn from_pem(bytes: &[u8], label: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, after) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = after.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.split_ascii_whitespace().collect();
    openssl::base64::decode_block(&body).ok()
}

/// A parsed X.509 certificate with the bytes it was parsed from. Clones share them.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    fields: parse::Fields,
}

impl Certificate {
    /// Reads DER, which is exactly one certificate. Nothing is verified yet.
    pub fn parse(der: &[u8]) -> Result<Certificate, CertError> {
        let fields = parse::certificate(der)?;
        Ok(Certificate(Arc::new(Inner { der: der.to_vec(), fields })))
    }

    /// Reads DER, or the first certificate of a PEM file.
    pub fn from_pem_or_der(bytes: &[u8]) -> Result<Certificate, CertError> {
        if bytes.first() == Some(&0x30) {
            return Certificate::parse(bytes);
        }
        Certificate::parse(&from_pem(bytes, "CERTIFICATE").ok_or(CertError::NoCertificate)?)
    }

    /// Its name in errors.
    fn describe(&self) -> Box<str> {
        self.to_string().into()
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        &self.0.der[range.clone()]
    }

    /// The certificate as it was received.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The certificate in PEM form.
    pub fn to_pem(&self) -> String {
        let base64 = openssl::base64::encode_block(&self.0.der);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        let mut rest = base64.as_str();
        while !rest.is_empty() {
            let (line, next) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = next;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }

    /// The bytes that the signature covers.
    pub fn tbs(&self) -> &[u8] {
        self.slice(&self.0.fields.tbs)
    }

    /// The serial number, content octets of the INTEGER.
    pub fn serial(&self) -> &[u8] {
        self.slice(&self.0.fields.serial)
    }

    /// The name of the subject, DER.
    pub fn subject(&self) -> &[u8] {
        self.slice(&self.0.fields.subject)
    }

    /// The name of the issuer, DER.
    pub fn issuer(&self) -> &[u8] {
        self.slice(&self.0.fields.issuer)
    }

    /// The attributes of the subject's name, in order.
    pub fn subject_attributes(&self) -> &[Attribute] {
        &self.0.fields.subject_attributes
    }

    /// The first attribute of the subject of this kind (DER content octets, see [`oid`]).
    pub fn subject_attribute(&self, kind: &[u8]) -> Option<&str> {
        find(self.subject_attributes(), kind)
    }

    /// The subject's common name.
    pub fn common_name(&self) -> Option<&str> {
        self.subject_attribute(oid::COMMON_NAME)
    }

    /// The subject's organization.
    pub fn organization(&self) -> Option<&str> {
        self.subject_attribute(oid::ORGANIZATION)
    }

    /// The subject's serialNumber attribute: the EID of an eUICC.
    pub fn serial_number(&self) -> Option<&str> {
        self.subject_attribute(oid::SERIAL_NUMBER)
    }

    /// The first moment at which it is valid, Unix seconds.
    pub fn not_before(&self) -> i64 {
        self.0.fields.not_before
    }

    /// The last moment at which it is valid, Unix seconds.
    pub fn not_after(&self) -> i64 {
        self.0.fields.not_after
    }

    /// The subject's public key.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.fields.public_key
    }

    /// The curve of the public key.
    pub fn curve(&self) -> Curve {
        self.public_key().curve()
    }

    /// The key identifier of the subject. The one of the CI is the CI PKID of the messages (SGP.22 §2.6.4).
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.fields.extensions.subject_key_id.as_deref()
    }

    /// The key identifier of the issuer.
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.0.fields.extensions.authority_key_id.as_deref()
    }

    /// The policies.
    pub fn policies(&self) -> &[Oid] {
        &self.0.fields.extensions.policies
    }

    /// What it is for, by the first policy that names a role.
    pub fn role(&self) -> Option<Role> {
        self.policies().iter().find_map(|policy| Role::from_oid_content(policy.as_der_content()))
    }

    /// The key usage, see [`mod@key_usage`].
    pub fn key_usage(&self) -> Option<NamedBits> {
        self.0.fields.extensions.key_usage
    }

    /// Whether it may sign certificates, by its basic constraints.
    pub fn is_ca(&self) -> bool {
        self.0.fields.extensions.basic_constraints.is_some_and(|constraints| constraints.ca)
    }

    /// How many authorities may follow below, when that is limited.
    pub fn path_len(&self) -> Option<u32> {
        self.0.fields.extensions.basic_constraints.and_then(|constraints| constraints.path_len)
    }

    /// The registeredID among the alternative names: the object identifier of an SM-DP+, SM-DS, EUM or CI.
    pub fn registered_id(&self) -> Option<&Oid> {
        self.0.fields.extensions.registered_id.as_ref()
    }

    /// The dNSNames among the alternative names.
    pub fn dns_names(&self) -> &[String] {
        &self.0.fields.extensions.dns_names
    }

    /// The iPAddresses among the alternative names, 4 or 16 bytes each.
    pub fn ip_addresses(&self) -> &[Vec<u8>] {
        &self.0.fields.extensions.ip_addresses
    }

    /// The extended key usages.
    pub fn extended_key_usage(&self) -> &[Oid] {
        &self.0.fields.extensions.extended_key_usage
    }

    /// The directory names that an EUM may sign for.
    pub fn permitted_names(&self) -> &[NameConstraint] {
        &self.0.fields.extensions.permitted
    }

    /// The EINs that an EUM may sign for: those of its name constraints and those of its permittedEins.
    pub fn permitted_eins(&self) -> Vec<&str> {
        let extensions = &self.0.fields.extensions;
        let of_names = extensions.permitted.iter().filter_map(NameConstraint::ein);
        of_names.chain(extensions.permitted_eins.iter().map(String::as_str)).collect()
    }

    /// The EID of an eUICC's certificate: the serialNumber of the subject (SGP.22 §4.5.2.1.0.3).
    pub fn eid(&self) -> Result<Eid, CertError> {
        let problem = match self.serial_number().map(Eid::parse) {
            Some(Ok(eid)) => return Ok(eid),
            Some(Err(IdError { value, rule, .. })) => format!("{value:?} is none, {rule}"),
            None => "it has none".to_owned(),
        };
        Err(CertError::NoEid { certificate: self.describe(), problem: problem.into() })
    }

    /// Checks that the certificate has this role and everything that goes with it: policy, key usage, basic
    /// constraints, the names that the role needs, and no critical extension that nobody knows.
    ///
    /// Whether known extensions are marked critical is left to who makes certificates.
    pub fn check_role(&self, role: Role) -> Result<(), CertError> {
        let certificate = || self.describe();
        let extensions = &self.0.fields.extensions;
        let missing = |extension| Err(CertError::MissingExtension { certificate: certificate(), extension });

        // RFC 5280 §4.2: a critical extension that is not recognised makes the certificate unusable.
        if let Some(extension) = extensions.unknown_critical.first() {
            return Err(CertError::UnknownCriticalExtension {
                certificate: certificate(),
                extension: extension.clone(),
            });
        }
        if !self.policies().iter().any(|policy| policy.as_der_content() == role.oid_content()) {
            let found: Vec<String> = self.policies().iter().map(Oid::to_string).collect();
            let found = if found.is_empty() { "none".into() } else { found.join(", ").into() };
            return Err(CertError::Role { certificate: certificate(), expected: role, found });
        }

        let Some(usage) = self.key_usage() else { return missing("keyUsage") };
        let rule = match role {
            Role::Ci if !usage.has(key_usage::KEY_CERT_SIGN) || !usage.has(key_usage::CRL_SIGN) => {
                Some("is keyCertSign and cRLSign")
            }
            Role::Eum if !usage.has(key_usage::KEY_CERT_SIGN) => Some("is keyCertSign"),
            Role::Ci | Role::Eum => None,
            _ if !usage.has(key_usage::DIGITAL_SIGNATURE) => Some("is digitalSignature"),
            _ if usage.has(key_usage::KEY_CERT_SIGN) => Some("is not keyCertSign"),
            _ => None,
        };
        if let Some(rule) = rule {
            return Err(CertError::KeyUsage { certificate: certificate(), rule });
        }

        let rule = match role {
            Role::Ci | Role::Eum if !self.is_ca() => Some("says CA"),
            Role::Eum if self.path_len() != Some(0) => Some("has the path length 0"),
            Role::Ci | Role::Eum => None,
            _ if self.is_ca() => Some("does not say CA"),
            _ => None,
        };
        if let Some(rule) = rule {
            return Err(CertError::BasicConstraints { certificate: certificate(), rule });
        }

        if role.is_authority() && self.subject_key_id().is_none() {
            return missing("subjectKeyIdentifier");
        }
        match role {
            Role::Eum if self.permitted_eins().is_empty() => missing("an EIN in nameConstraints or permittedEins"),
            Role::DpAuth | Role::DpPb | Role::DsAuth if self.registered_id().is_none() => {
                missing("registeredID in subjectAltName")
            }
            Role::DpTls | Role::DsTls if self.dns_names().is_empty() && self.ip_addresses().is_empty() => {
                missing("dNSName in subjectAltName")
            }
            Role::DpTls | Role::DsTls
                if !self.extended_key_usage().iter().any(|usage| usage.as_der_content() == oid::SERVER_AUTH) =>
            {
                missing("serverAuth in extKeyUsage")
            }
            _ => Ok(()),
        }
    }

    /// Checks that `now` (Unix seconds) is between the two dates, both included.
    pub fn check_validity(&self, now: i64) -> Result<(), CertError> {
        let (certificate, text) = (|| self.describe(), |seconds| time::to_text(seconds).into_boxed_str());
        if now < self.not_before() {
            return Err(CertError::NotYetValid {
                certificate: certificate(),
                not_before: text(self.not_before()),
                now: text(now),
            });
        }
        if now > self.not_after() {
            return Err(CertError::Expired {
                certificate: certificate(),
                not_after: text(self.not_after()),
                now: text(now),
            });
        }
        Ok(())
    }

    /// Checks that `issuer` has signed this certificate and may do so: names, key identifiers, curve, basic
    /// constraints and key usage of the issuer, and the signature.
    pub fn verify_signed_by(&self, issuer: &Certificate) -> Result<(), CertError> {
        let hex = |id: Option<&[u8]>| id.map_or_else(|| "none".into(), |id| to_hex(id).into_boxed_str());
        let (certificate, by) = (|| self.describe(), || issuer.describe());
        if self.issuer() != issuer.subject() {
            return Err(CertError::WrongIssuer { certificate: certificate(), issuer: by() });
        }
        if self.authority_key_id().is_none() || self.authority_key_id() != issuer.subject_key_id() {
            return Err(CertError::WrongAuthorityKey {
                certificate: certificate(),
                found: hex(self.authority_key_id()),
                issuer: by(),
                expected: hex(issuer.subject_key_id()),
            });
        }
        if self.curve() != issuer.curve() {
            return Err(CertError::CurvesDiffer { certificate: certificate(), curve: self.curve(), issuer: by() });
        }
        let rule = if !issuer.is_ca() {
            Some("its basicConstraints do not say CA")
        } else if !issuer.key_usage().is_some_and(|usage| usage.has(key_usage::KEY_CERT_SIGN)) {
            Some("its keyUsage is not keyCertSign")
        } else if self.is_ca() && issuer.path_len() == Some(0) {
            Some("its path length is 0")
        } else {
            None
        };
        if let Some(rule) = rule {
            return Err(CertError::IssuerNotAllowed { certificate: certificate(), issuer: by(), rule });
        }
        self.verify_signature(issuer)
    }

    /// The error for a certificate that a list of this number has revoked.
    pub fn revoked_by(&self, list: CrlNumber) -> CertError {
        CertError::Revoked { certificate: self.describe(), list }
    }

    fn verify_signature(&self, issuer: &Certificate) -> Result<(), CertError> {
        if issuer.public_key().verify(&[self.tbs()], &self.0.fields.signature) {
            Ok(())
        } else {
            Err(CertError::Signature { certificate: self.describe(), issuer: issuer.describe() })
        }
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der() == other.der()
    }
}

impl Eq for Certificate {}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role() {
            Some(role) => write!(f, "{role}")?,
            None => f.write_str("certificate")?,
        }
        let name = self.common_name().or(self.organization()).unwrap_or("without a name");
        write!(f, " {name:?} (serial number {})", to_hex(self.serial()))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({self}, {})", self.curve())
    }
}

/// Verifies the certificate of a CI, which is trusted for another reason: role, dates, and that it signed itself.
pub fn verify_ci(ci: &Certificate, now: i64) -> Result<(), CertError> {
    ci.check_role(Role::Ci)?;
    if ci.issuer() != ci.subject() {
        return Err(CertError::WrongIssuer { certificate: ci.describe(), issuer: "itself".into() });
    }
    ci.verify_signature(ci)?;
    ci.check_validity(now)
}

/// Verifies a server's certificate under the CI: DPauth, DPpb, DPtls, DSauth or DStls (SGP.22 §4.5.2.2).
pub fn verify_server_certificate(
    certificate: &Certificate,
    role: Role,
    ci: &Certificate,
    now: i64,
) -> Result<(), CertError> {
    certificate.check_role(role)?;
    ci.check_role(Role::Ci)?;
    certificate.verify_signed_by(ci)?;
    certificate.check_validity(now)?;
    ci.check_validity(now)
}

/// Verifies that the certificates for authentication and for profile package binding are of the same SM-DP+: they
/// have the same object identifier (SGP.22 §5.7.5).
pub fn verify_same_smdp(auth: &Certificate, pb: &Certificate) -> Result<(), CertError> {
    if auth.registered_id().is_some() && auth.registered_id() == pb.registered_id() {
        return Ok(());
    }
    let oid = |certificate: &Certificate| -> Box<str> {
        certificate.registered_id().map_or_else(|| "missing".into(), |oid| oid.to_string().into())
    };
    Err(CertError::OidsDiffer { auth: auth.describe(), auth_oid: oid(auth), pb: pb.describe(), pb_oid: oid(pb) })
}

/// Verifies the chain of an eUICC, CI to EUM to eUICC, and returns its EID (SGP.22 §4.5.2.2, §5.6.3).
///
/// What breaks a rule comes before what has expired, and the EUM before the eUICC.
pub fn verify_euicc_chain(
    euicc: &Certificate,
    eum: &Certificate,
    ci: &Certificate,
    now: i64,
) -> Result<Eid, ChainError> {
    let eum = VerifiedEum::verify(eum.clone(), ci)?;
    EuiccChain::verify(euicc.clone(), &eum)?.check_dates(now)
}

/// The certificate of an EUM whose role and signature were verified under a CI. Its dates were not: they are looked
/// at whenever it is used.
#[derive(Debug, Clone)]
pub struct VerifiedEum {
    ci: Certificate,
    eum: Certificate,
}

impl VerifiedEum {
    /// Verifies all but the dates.
    pub fn verify(eum: Certificate, ci: &Certificate) -> Result<Self, ChainError> {
        let invalid = ChainError::EumInvalid;
        ci.check_role(Role::Ci).map_err(invalid)?;
        eum.check_role(Role::Eum).map_err(invalid)?;
        eum.verify_signed_by(ci).map_err(invalid)?;
        Ok(VerifiedEum { ci: ci.clone(), eum })
    }

    /// The CI that it was verified under.
    pub fn ci(&self) -> &Certificate {
        &self.ci
    }
}

/// The chain of an eUICC whose rules and signatures were verified once. Its dates are looked at whenever it is used.
#[derive(Debug, Clone)]
pub struct EuiccChain {
    eum: VerifiedEum,
    euicc: Certificate,
    eid: Eid,
}

impl EuiccChain {
    /// Verifies all but the dates: the eUICC's role, that its EUM has signed it, and that it may.
    pub fn verify(euicc: Certificate, eum: &VerifiedEum) -> Result<Self, ChainError> {
        let invalid = ChainError::EuiccInvalid;
        euicc.check_role(Role::Euicc).map_err(invalid)?;
        euicc.verify_signed_by(&eum.eum).map_err(invalid)?;
        let eid = euicc.eid().map_err(invalid)?;
        check_permitted(&euicc, eid, &eum.eum)?;
        Ok(EuiccChain { eum: eum.clone(), euicc, eid })
    }

    /// The CI that it was verified under.
    pub fn ci(&self) -> &Certificate {
        &self.eum.ci
    }

    /// The eUICC's certificate.
    pub fn euicc(&self) -> &Certificate {
        &self.euicc
    }

    /// The EID, if the chain is valid now.
    pub fn check_dates(&self, now: i64) -> Result<Eid, ChainError> {
        let dated = |error: CertError, expired: fn(CertError) -> ChainError, invalid: fn(CertError) -> ChainError| {
            if error.is_expired() { expired(error) } else { invalid(error) }
        };
        let VerifiedEum { ci, eum } = &self.eum;
        ci.check_validity(now).map_err(ChainError::EumInvalid)?;
        eum.check_validity(now).map_err(|error| dated(error, ChainError::EumExpired, ChainError::EumInvalid))?;
        let invalid = |error| dated(error, ChainError::EuiccExpired, ChainError::EuiccInvalid);
        self.euicc.check_validity(now).map_err(invalid)?;
        Ok(self.eid)
    }
}

/// SGP.22 §4.5.2.1.0.2: the EUM signs for its organization and for EIDs with its EINs only.
fn check_permitted(euicc: &Certificate, eid: Eid, eum: &Certificate) -> Result<(), ChainError> {
    let extensions = &eum.0.fields.extensions;
    let subject = euicc.subject_attributes();
    let names_permit = extensions.permitted.is_empty()
        || extensions.permitted.iter().any(|name| {
            // A constraint that left one of the two out would permit more than an EUM may have.
            name.organization().is_some() && name.ein().is_some_and(|ein| !ein.is_empty()) && name.matches(subject)
        });
    let digits = eid.to_string();
    let eins_permit = extensions.permitted_eins.is_empty()
        || extensions.permitted_eins.iter().any(|ein| !ein.is_empty() && digits.starts_with(ein.as_str()));
    if names_permit && eins_permit && !extensions.excluded.iter().any(|name| name.matches(subject)) {
        return Ok(());
    }
    let names = extensions.permitted.iter().map(NameConstraint::to_string);
    let eins = extensions.permitted_eins.iter().map(|ein| format!("EIN {ein}"));
    Err(ChainError::EidNotPermitted {
        eid,
        organization: euicc.organization().unwrap_or_default().to_owned(),
        permitted: names.chain(eins).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests;
