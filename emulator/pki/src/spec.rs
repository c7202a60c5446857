//! One certificate: what stands in it, and its making.
//!
//! rcgen lays out the certificate. Two things it cannot express are put in their place afterwards: the issuer's name
//! as the very bytes of the issuer's certificate (which may have been loaded), and a key on brainpoolP256r1. Then
//! the issuer's key signs, with the nonce of RFC 6979: the same specification and random source give the same bytes.

use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType, DnValue,
    GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, NameConstraints, PublicKeyData, SignatureAlgorithm,
    SigningKey,
};
use rsp::cert::{Attribute, Certificate, Role, key_usage, oid};
use rsp::crypto::{PrivateKey, PublicKey, Random};
use rsp::tlv::{self, NamedBits, Tlv, TlvError, Writer};
use rsp::{Eid, Oid};

use crate::{Identity, PkiError};

/// The date of a certificate without an end, 9999-12-31 23:59:59 (RFC 5280 §4.1.2.5).
pub const NEVER: i64 = 253_402_300_799;

pub(crate) const BIT_STRING: u32 = 0x03;
pub(crate) const INTEGER: u32 = 0x02;
pub(crate) const OBJECT_IDENTIFIER: u32 = 0x06;
pub(crate) const OCTET_STRING: u32 = 0x04;
pub(crate) const SEQUENCE: u32 = 0x30;

/// A key identifier in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyId {
    /// The identifier of the key that it is about: of the subject's, or the one in the issuer's certificate.
    Right,
    /// Another one.
    Fixed(Vec<u8>),
    /// The extension is left out.
    Absent,
}

/// An extension of another kind than those that a [`CertificateSpec`] knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its object identifier.
    pub oid: Oid,
    /// Whether it is marked critical.
    pub critical: bool,
    /// Its value, DER.
    pub value: Vec<u8>,
}

/// What stands in a certificate. The constructors give what SGP.22 §4.5.2.1 wants of each role; every field can be
/// changed, so that a certificate that breaks exactly one rule is the right one with one field set otherwise:
///
/// ```
/// # use rsp::crypto::{Curve, PrivateKey, SeededRandom};
/// # let (mut random, now) = (SeededRandom::new(1, "doc"), 1_795_000_000);
/// let pki = pki::Pki::generate(&pki::PkiSpec::default(), &mut random, now)?;
/// let mut spec = pki::CertificateSpec::dp_auth(&"2.999.10".parse()?, now);
/// spec.not_after = now - 1;
/// let key = PrivateKey::generate(Curve::P256, &mut random)?;
/// let expired = spec.issue(&pki.ci_identity(Curve::P256)?, key, &mut random)?;
/// assert!(expired.certificate.check_validity(now).unwrap_err().is_expired());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSpec {
    /// The name of the subject.
    pub subject: Vec<Attribute>,
    /// First moment, Unix seconds.
    pub not_before: i64,
    /// Last moment, Unix seconds.
    pub not_after: i64,
    /// The policies: the role.
    pub policies: Vec<Oid>,
    /// Whether the policies are marked critical.
    pub policies_critical: bool,
    /// The key usage; the extension is left out when there is none.
    pub key_usage: NamedBits,
    /// Whether it may sign certificates.
    pub is_ca: bool,
    /// How many authorities may follow below.
    pub path_len: Option<u8>,
    /// The registeredID among the alternative names.
    pub registered_id: Option<Oid>,
    /// Host names and IP addresses among the alternative names.
    pub host_names: Vec<String>,
    /// Whether it has the extended key usages serverAuth and clientAuth, critical.
    pub tls_usage: bool,
    /// Organizations and EINs that an EUM may sign for.
    pub permitted: Vec<(String, String)>,
    /// The subject key identifier.
    pub subject_key_id: KeyId,
    /// The authority key identifier.
    pub authority_key_id: KeyId,
    /// Where revocation lists are.
    pub crl_distribution_points: Vec<String>,
    /// Other extensions.
    pub extensions: Vec<Extension>,
}

/// An attribute of a name; the kinds of [`oid`] are all well formed.
fn attribute(kind: &[u8], value: &str) -> Option<Attribute> {
    Some(Attribute { kind: Oid::from_der_content(kind).ok()?, value: value.to_owned() })
}

impl CertificateSpec {
    /// A certificate of `role` from a day before `now` (a clock may be slow) to ten years after.
    fn of_role(role: Role, names: &[(&[u8], &str)], now: i64) -> Self {
        CertificateSpec {
            subject: names.iter().filter_map(|(kind, value)| attribute(kind, value)).collect(),
            not_before: now.saturating_sub(86_400),
            not_after: now.saturating_add(10 * 365 * 86_400),
            policies: Oid::from_der_content(&role.oid_content()).into_iter().collect(),
            policies_critical: !role.is_tls(),
            key_usage: NamedBits::of(&[key_usage::DIGITAL_SIGNATURE]),
            is_ca: false,
            path_len: None,
            registered_id: None,
            host_names: Vec::new(),
            tls_usage: false,
            permitted: Vec::new(),
            subject_key_id: KeyId::Right,
            authority_key_id: KeyId::Right,
            crl_distribution_points: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// Certificate issuer (SGP.22 §4.5.2.1.0.1).
    pub fn ci(name: &str, oid: &Oid, now: i64) -> Self {
        let names = [(oid::COMMON_NAME, name), (oid::ORGANIZATIONAL_UNIT, "TESTCERT"), (oid::ORGANIZATION, "esimlab")];
        CertificateSpec {
            key_usage: NamedBits::of(&[key_usage::KEY_CERT_SIGN, key_usage::CRL_SIGN]),
            is_ca: true,
            registered_id: Some(oid.clone()),
            authority_key_id: KeyId::Absent,
            crl_distribution_points: revocation_lists(),
            ..Self::of_role(Role::Ci, &names, now)
        }
    }

    /// eUICC manufacturer, which may sign for EIDs that begin with `ein` (SGP.22 §4.5.2.1.0.2).
    pub fn eum(organization: &str, ein: &str, oid: &Oid, now: i64) -> Self {
        let names = [(oid::ORGANIZATION, organization), (oid::COMMON_NAME, "esimlab EUM")];
        CertificateSpec {
            key_usage: NamedBits::of(&[key_usage::KEY_CERT_SIGN]),
            is_ca: true,
            path_len: Some(0),
            registered_id: Some(oid.clone()),
            permitted: vec![(organization.to_owned(), ein.to_owned())],
            crl_distribution_points: revocation_lists(),
            ..Self::of_role(Role::Eum, &names, now)
        }
    }

    /// eUICC, of the organization that its EUM may sign for (SGP.22 §4.5.2.1.0.3). It does not expire.
    pub fn euicc(organization: &str, eid: &Eid, now: i64) -> Self {
        let digits = eid.to_string();
        let names = [
            (oid::ORGANIZATION, organization),
            (oid::SERIAL_NUMBER, digits.as_str()),
            (oid::COMMON_NAME, "esimlab eUICC"),
        ];
        CertificateSpec { not_after: NEVER, ..Self::of_role(Role::Euicc, &names, now) }
    }

    /// SM-DP+ or SM-DS with the object identifier `oid`, for authentication or binding.
    fn server(role: Role, name: &str, oid: &Oid, now: i64) -> Self {
        let names = [(oid::ORGANIZATION, "esimlab"), (oid::COMMON_NAME, name)];
        CertificateSpec {
            registered_id: Some(oid.clone()),
            crl_distribution_points: revocation_lists(),
            ..Self::of_role(role, &names, now)
        }
    }

    /// SM-DP+, authentication.
    pub fn dp_auth(oid: &Oid, now: i64) -> Self {
        Self::server(Role::DpAuth, "esimlab SM-DP+", oid, now)
    }

    /// SM-DP+, profile package binding.
    pub fn dp_pb(oid: &Oid, now: i64) -> Self {
        Self::server(Role::DpPb, "esimlab SM-DP+", oid, now)
    }

    /// SM-DS, authentication.
    pub fn ds_auth(oid: &Oid, now: i64) -> Self {
        Self::server(Role::DsAuth, "esimlab SM-DS", oid, now)
    }

    /// TLS server of an SM-DP+ that is reached under `host_names`: names, with `*` for a first label, or IP
    /// addresses.
    pub fn dp_tls(host_names: &[String], oid: &Oid, now: i64) -> Self {
        Self::tls(Role::DpTls, host_names, oid, now)
    }

    /// TLS server of an SM-DS.
    pub fn ds_tls(host_names: &[String], oid: &Oid, now: i64) -> Self {
        Self::tls(Role::DsTls, host_names, oid, now)
    }

    fn tls(role: Role, host_names: &[String], oid: &Oid, now: i64) -> Self {
        let name = host_names.first().map_or("esimlab", String::as_str);
        CertificateSpec { host_names: host_names.to_vec(), tls_usage: true, ..Self::server(role, name, oid, now) }
    }

    /// The same with another policy.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.policies = Oid::from_der_content(&role.oid_content()).into_iter().collect();
        self
    }

    /// Makes the certificate of `key`, signed by `issuer`, whether it may sign or not.
    pub fn issue(&self, issuer: &Identity, key: PrivateKey, random: &mut dyn Random) -> Result<Identity, PkiError> {
        let certificate = &issuer.certificate;
        let issuer_key_id = certificate.subject_key_id().map(<[u8]>::to_vec);
        self.sign(Some(certificate.subject()), issuer_key_id, &issuer.key, key, random)
    }

    /// Makes the certificate of `key`, signed by itself.
    pub fn self_sign(&self, key: PrivateKey, random: &mut dyn Random) -> Result<Identity, PkiError> {
        self.sign(None, Some(key_id(key.public())), &key.clone(), key, random)
    }

    fn sign(
        &self,
        issuer_name: Option<&[u8]>,
        issuer_key_id: Option<Vec<u8>>,
        issuer_key: &PrivateKey,
        key: PrivateKey,
        random: &mut dyn Random,
    ) -> Result<Identity, PkiError> {
        let draft = self.draft(key.public(), issuer_key_id, random)?;
        let tbs = complete(&draft, issuer_name, key.public())?;
        let algorithm = Writer::new().nested(SEQUENCE, |w| w.put(OBJECT_IDENTIFIER, oid::ECDSA_WITH_SHA256)).into_vec();
        let signature = signature_to_der(&issuer_key.sign(&[&tbs])?);
        let der = Writer::new()
            .nested(SEQUENCE, |w| w.raw(&tbs).raw(&algorithm).put(BIT_STRING, &[&[0], &signature[..]].concat()))
            .into_vec();
        Ok(Identity { certificate: Certificate::parse(&der)?, key })
    }

    /// The certificate as rcgen lays it out, without a signature.
    fn draft(
        &self,
        key: &PublicKey,
        issuer_key_id: Option<Vec<u8>>,
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, PkiError> {
        let mut serial = [0; 8];
        random.fill(&mut serial);
        // RFC 5280 §4.1.2.2: positive, and never zero.
        serial[0] = serial[0] & 0x7F | 0x40;

        // A certificate's dates lie in the years 1 to 9999.
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let date = |seconds: i64| {
            let seconds = seconds.clamp(-62_135_596_800, NEVER);
            let distance = Duration::from_secs(seconds.unsigned_abs());
            if seconds < 0 { epoch - distance } else { epoch + distance }
        };

        let mut params = CertificateParams::default();
        params.serial_number = Some(serial.to_vec().into());
        params.not_before = date(self.not_before);
        params.not_after = date(self.not_after);
        params.distinguished_name = name(&self.subject)?;
        params.key_usages =
            PURPOSES.iter().zip(0..).filter(|(_, bit)| self.key_usage.has(*bit)).map(|(purpose, _)| *purpose).collect();
        for uri in &self.crl_distribution_points {
            if !uri.is_ascii() {
                return Err(PkiError::Name { name: uri.clone(), rule: "an address has ASCII characters only" });
            }
            params.crl_distribution_points.push(CrlDistributionPoint { uris: vec![uri.clone()] });
        }
        if !self.permitted.is_empty() {
            let mut subtrees = Vec::new();
            for (organization, ein) in &self.permitted {
                let attributes = [(oid::ORGANIZATION, organization), (oid::SERIAL_NUMBER, ein)]
                    .into_iter()
                    .filter_map(|(kind, value)| attribute(kind, value));
                subtrees.push(GeneralSubtree::DirectoryName(name(&attributes.collect::<Vec<_>>())?));
            }
            params.name_constraints =
                Some(NameConstraints { permitted_subtrees: subtrees, excluded_subtrees: Vec::new() });
        }

        let subject_key_id = match &self.subject_key_id {
            KeyId::Right => Some(key_id(key)),
            KeyId::Fixed(id) => Some(id.clone()),
            KeyId::Absent => None,
        };
        let authority_key_id = match &self.authority_key_id {
            KeyId::Right => issuer_key_id,
            KeyId::Fixed(id) => Some(id.clone()),
            KeyId::Absent => None,
        };
        let constraints = match self.path_len {
            Some(length) => BasicConstraints::Constrained(length),
            None => BasicConstraints::Unconstrained,
        };
        match (subject_key_id, self.is_ca) {
            (Some(id), true) => {
                params.is_ca = IsCa::Ca(constraints);
                params.key_identifier_method = KeyIdMethod::PreSpecified(id);
            }
            // rcgen writes a subject key identifier for every authority and for nobody else.
            (None, true) => {
                let value = Writer::new().nested(SEQUENCE, |w| {
                    let w = w.boolean(0x01, true);
                    match self.path_len {
                        Some(length) => w.integer(INTEGER, length.into()),
                        None => w,
                    }
                });
                params.custom_extensions.push(extension(oid::BASIC_CONSTRAINTS, true, value)?);
            }
            (Some(id), false) => {
                let value = Writer::new().put(OCTET_STRING, &id);
                params.custom_extensions.push(extension(oid::SUBJECT_KEY_IDENTIFIER, false, value)?);
            }
            (None, false) => {}
        }

        if !self.policies.is_empty() {
            let value = Writer::new().nested(SEQUENCE, |w| {
                self.policies
                    .iter()
                    .fold(w, |w, policy| w.nested(SEQUENCE, |w| w.put(OBJECT_IDENTIFIER, policy.as_der_content())))
            });
            params.custom_extensions.push(extension(oid::CERTIFICATE_POLICIES, self.policies_critical, value)?);
        }
        if self.registered_id.is_some() || !self.host_names.is_empty() {
            let value = self.alternative_names()?;
            params.custom_extensions.push(extension(oid::SUBJECT_ALT_NAME, false, value)?);
        }
        if self.tls_usage {
            // rcgen would not mark it critical, as SGP.22 wants it.
            let value = Writer::new().nested(SEQUENCE, |w| {
                w.put(OBJECT_IDENTIFIER, oid::SERVER_AUTH).put(OBJECT_IDENTIFIER, oid::CLIENT_AUTH)
            });
            params.custom_extensions.push(extension(oid::EXTENDED_KEY_USAGE, true, value)?);
        }
        for other in &self.extensions {
            let value = Writer::new().raw(&other.value);
            params.custom_extensions.push(extension(other.oid.as_der_content(), other.critical, value)?);
        }

        let mut issuer = CertificateParams::default();
        params.use_authority_key_identifier_extension = authority_key_id.is_some();
        issuer.key_identifier_method = KeyIdMethod::PreSpecified(authority_key_id.unwrap_or_default());
        issuer.distinguished_name = params.distinguished_name.clone();
        let unsigned = Unsigned { point: key.point() };
        Ok(params.signed_by(&unsigned, &Issuer::new(issuer, &unsigned))?.der().to_vec())
    }

    fn alternative_names(&self) -> Result<Writer, PkiError> {
        let mut names = Writer::new();
        for name in &self.host_names {
            names = match name.parse() {
                Ok(IpAddr::V4(address)) => names.put(0x87, &address.octets()),
                Ok(IpAddr::V6(address)) => names.put(0x87, &address.octets()),
                Err(_) if is_host_name(name) => names.put(0x82, name.as_bytes()),
                Err(_) => {
                    return Err(PkiError::Name {
                        name: name.clone(),
                        rule: "a host name has labels of letters, digits and '-' with dots between, and is no URL",
                    });
                }
            };
        }
        if let Some(oid) = &self.registered_id {
            names = names.put(0x88, oid.as_der_content());
        }
        Ok(Writer::new().nested(SEQUENCE, |w| w.raw(&names.into_vec())))
    }
}

fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.strip_prefix("*.").unwrap_or(name).split('.').all(label)
}

/// The bits of keyUsage in order (RFC 5280 §4.2.1.3).
const PURPOSES: [KeyUsagePurpose; 9] = [
    KeyUsagePurpose::DigitalSignature,
    KeyUsagePurpose::ContentCommitment,
    KeyUsagePurpose::KeyEncipherment,
    KeyUsagePurpose::DataEncipherment,
    KeyUsagePurpose::KeyAgreement,
    KeyUsagePurpose::KeyCertSign,
    KeyUsagePurpose::CrlSign,
    KeyUsagePurpose::EncipherOnly,
    KeyUsagePurpose::DecipherOnly,
];

fn revocation_lists() -> Vec<String> {
    vec!["http://ci.esimlab.example/CRL-A.crl".to_owned(), "http://ci.esimlab.example/CRL-B.crl".to_owned()]
}

/// The arcs of an object identifier, as rcgen takes them.
fn arcs(content: &[u8]) -> Result<Vec<u64>, PkiError> {
    let oid = Oid::from_der_content(content).map_err(PkiError::Id)?;
    Ok(oid.to_string().split('.').filter_map(|arc| arc.parse().ok()).collect())
}

fn extension(oid: &[u8], critical: bool, value: Writer) -> Result<CustomExtension, PkiError> {
    let mut extension = CustomExtension::from_oid_content(&arcs(oid)?, value.into_vec());
    extension.set_criticality(critical);
    Ok(extension)
}

fn name(attributes: &[Attribute]) -> Result<DistinguishedName, PkiError> {
    let mut name = DistinguishedName::new();
    for Attribute { kind, value } in attributes {
        // X.520: serialNumber and countryName are PrintableStrings.
        let printable = [oid::SERIAL_NUMBER, oid::COUNTRY].contains(&kind.as_der_content());
        let text = if printable {
            DnValue::PrintableString(value.as_str().try_into()?)
        } else {
            DnValue::Utf8String(value.clone())
        };
        name.push(DnType::from_oid(&arcs(kind.as_der_content())?), text);
    }
    Ok(name)
}

/// The key identifier of a public key: SHA-1 over the point (RFC 5280 §4.2.1.2, method 1).
pub(crate) fn key_id(key: &PublicKey) -> Vec<u8> {
    openssl::sha::sha1(&key.point()).to_vec()
}

/// The key that rcgen is given: it has the point, and signs nothing yet.
struct Unsigned {
    point: [u8; 65],
}

impl PublicKeyData for Unsigned {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Unsigned {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Vec::new())
    }
}

/// The part of a drafted certificate that is signed, with the issuer's name and the subject's key as they have to be.
fn complete(draft: &[u8], issuer_name: Option<&[u8]>, key: &PublicKey) -> Result<Vec<u8>, TlvError> {
    const ISSUER: usize = 3;
    const KEY: usize = 6;
    let key_info = Writer::new().nested(SEQUENCE, |w| {
        let w = w.nested(SEQUENCE, |w| {
            w.put(OBJECT_IDENTIFIER, oid::EC_PUBLIC_KEY).put(OBJECT_IDENTIFIER, key.curve().oid_content())
        });
        w.put(BIT_STRING, &[&[0], &key.point()[..]].concat())
    });
    let tbs = Tlv::parse_as(SEQUENCE, draft)?.reader().expect(SEQUENCE)?;
    let mut fields = Writer::new();
    for (index, field) in tbs.reader().enumerate() {
        let field = field?;
        fields = match (index, issuer_name) {
            (ISSUER, Some(name)) => fields.raw(name),
            (KEY, _) => fields.raw(&key_info.clone().into_vec()),
            _ => fields.raw(field.raw()),
        };
    }
    Ok(tlv::encode(SEQUENCE, &fields.into_vec()))
}

/// r‖s as the DER of X.509 (RFC 5480, `ECDSA-Sig-Value`).
pub(crate) fn signature_to_der(raw: &[u8; 64]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let zeros = half.iter().take(half.len() - 1).take_while(|byte| **byte == 0).count();
        let digits = &half[zeros..];
        let sign: &[u8] = if digits[0] & 0x80 != 0 { &[0] } else { &[] };
        [sign, digits].concat()
    };
    let (r, s) = raw.split_at(32);
    Writer::new().nested(SEQUENCE, |w| w.put(INTEGER, &integer(r)).put(INTEGER, &integer(s))).into_vec()
}
