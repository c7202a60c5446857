//! Reading an X.509 certificate (RFC 5280) from its DER.
//!
//! The parser is strict where a signature does not reach: the outer signature algorithm, the framing and the
//! signature itself have one accepted form each, so that no changed byte of a certificate goes unseen.

use std::ops::Range;

use super::{Attribute, BasicConstraints, CertError, NameConstraint, oid};
use crate::crypto::{Curve, PublicKey};
use crate::ids::Oid;
use crate::tlv::{NamedBits, Reader, Tag, Tlv, TlvError};

pub(super) const BOOLEAN: u32 = 0x01;
pub(super) const INTEGER: u32 = 0x02;
pub(super) const BIT_STRING: u32 = 0x03;
pub(super) const OCTET_STRING: u32 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u32 = 0x06;
pub(super) const SEQUENCE: u32 = 0x30;
const SET: u32 = 0x31;

/// What a certificate says, with the places in its DER of the parts that are kept as bytes.
pub(super) struct Fields {
    pub(super) tbs: Range<usize>,
    pub(super) serial: Range<usize>,
    pub(super) issuer: Range<usize>,
    pub(super) subject: Range<usize>,
    pub(super) subject_attributes: Vec<Attribute>,
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    pub(super) public_key: PublicKey,
    pub(super) signature: [u8; 64],
    pub(super) extensions: Extensions,
}

/// The extensions that SGP.22 §4.5.2.1 uses.
#[derive(Default)]
pub(super) struct Extensions {
    pub(super) subject_key_id: Option<Vec<u8>>,
    pub(super) authority_key_id: Option<Vec<u8>>,
    pub(super) key_usage: Option<NamedBits>,
    pub(super) basic_constraints: Option<BasicConstraints>,
    pub(super) policies: Vec<Oid>,
    pub(super) registered_id: Option<Oid>,
    pub(super) dns_names: Vec<String>,
    pub(super) ip_addresses: Vec<Vec<u8>>,
    pub(super) extended_key_usage: Vec<Oid>,
    pub(super) permitted: Vec<NameConstraint>,
    pub(super) excluded: Vec<NameConstraint>,
    pub(super) permitted_eins: Vec<String>,
    pub(super) unknown_critical: Vec<Oid>,
}

pub(super) fn malformed(field: &'static str) -> impl Fn(TlvError) -> CertError {
    move |error| CertError::Malformed { field, problem: error.to_string().into() }
}

pub(super) fn refused(field: &'static str, problem: &str) -> CertError {
    CertError::Malformed { field, problem: problem.into() }
}

/// Where `part` lies in `whole`; `part` was cut out of it.
pub(super) fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// Reads exactly one certificate.
pub(super) fn certificate(der: &[u8]) -> Result<Fields, CertError> {
    let at = malformed("Certificate");
    let mut outer = Tlv::parse_as(SEQUENCE, der).map_err(&at)?.reader();
    let tbs = outer.expect(SEQUENCE).map_err(&at)?;
    let algorithm = outer.expect(SEQUENCE).map_err(&at)?;
    let signature = outer.expect(BIT_STRING).map_err(&at)?;
    if !outer.is_empty() {
        return Err(refused("Certificate", "there is something after the signature"));
    }

    let at = malformed("TBSCertificate");
    let mut body = tbs.reader();
    let version = body.expect(0xA0).and_then(|tlv| Tlv::parse_as(INTEGER, tlv.value())?.as_u32()).map_err(&at)?;
    if version != 2 {
        return Err(refused("version", "it is not version 3"));
    }
    let serial = body.expect(INTEGER).map_err(malformed("serialNumber"))?;
    // RFC 5280 §4.1.1.2: the algorithm stands twice, and both are the same. SGP.22 §2.6.7.2 knows one.
    let inner_algorithm = body.expect(SEQUENCE).map_err(malformed("signature"))?;
    if inner_algorithm.raw() != algorithm.raw() || !is_ecdsa_with_sha256(&algorithm) {
        return Err(refused("signatureAlgorithm", "it is not ecdsa-with-SHA256 (SGP.22 §2.6.7.2)"));
    }
    let issuer = body.expect(SEQUENCE).map_err(malformed("issuer"))?;
    name(&issuer, "issuer")?;
    let validity = body.expect(SEQUENCE).map_err(malformed("validity"))?;
    let mut dates = validity.reader();
    let not_before = date(dates.next_tlv().map_err(malformed("notBefore"))?, "notBefore")?;
    let not_after = date(dates.next_tlv().map_err(malformed("notAfter"))?, "notAfter")?;
    if !dates.is_empty() {
        return Err(refused("validity", "it has more than two dates"));
    }
    let subject = body.expect(SEQUENCE).map_err(malformed("subject"))?;
    let subject_attributes = name(&subject, "subject")?;
    let key_info = body.expect(SEQUENCE).map_err(malformed("subjectPublicKeyInfo"))?;
    let public_key = public_key(&key_info)?;

    let mut found = Extensions::default();
    while let Some(tlv) = body.next_tlv().map_err(&at)? {
        match tlv.tag() {
            // issuerUniqueID and subjectUniqueID (RFC 5280 §4.1.2.8) say nothing here.
            Tag(0x81 | 0x82) => {}
            Tag(0xA3) if body.is_empty() => {
                found = extensions(&Tlv::parse_as(SEQUENCE, tlv.value()).map_err(malformed("extensions"))?)?;
            }
            _ => return Err(refused("TBSCertificate", "it has an element that does not belong there")),
        }
    }

    let signature = match signature.value() {
        [0, der @ ..] => signature_from_der(der),
        _ => None,
    };
    Ok(Fields {
        tbs: place(der, tbs.raw()),
        serial: place(der, serial.value()),
        issuer: place(der, issuer.raw()),
        subject: place(der, subject.raw()),
        subject_attributes,
        not_before,
        not_after,
        public_key,
        signature: signature
            .ok_or_else(|| refused("signatureValue", "it is no DER of two positive 256-bit integers r and s"))?,
        extensions: found,
    })
}

pub(super) fn is_ecdsa_with_sha256(algorithm: &Tlv<'_>) -> bool {
    // RFC 5758 §3.2: the parameters are absent.
    Tlv::parse_as(OBJECT_IDENTIFIER, algorithm.value()).is_ok_and(|tlv| tlv.value() == oid::ECDSA_WITH_SHA256)
}

pub(super) fn object_identifier(tlv: &Tlv<'_>, field: &'static str) -> Result<Oid, CertError> {
    Oid::from_der_content(tlv.value()).map_err(|error| refused(field, &error.to_string()))
}

fn public_key(info: &Tlv<'_>) -> Result<PublicKey, CertError> {
    const FIELD: &str = "subjectPublicKeyInfo";
    let at = malformed(FIELD);
    let mut parts = info.reader();
    let mut algorithm = parts.expect(SEQUENCE).map_err(&at)?.reader();
    let kind = algorithm.expect(OBJECT_IDENTIFIER).map_err(&at)?;
    if kind.value() != oid::EC_PUBLIC_KEY {
        return Err(CertError::UnsupportedKey);
    }
    let curve = algorithm.expect(OBJECT_IDENTIFIER).map_err(&at)?;
    let curve = Curve::from_oid_content(curve.value()).ok_or(CertError::UnsupportedKey)?;
    let bits = parts.expect(BIT_STRING).map_err(&at)?;
    if !parts.is_empty() || !algorithm.is_empty() {
        return Err(refused(FIELD, "it has more elements than it may have"));
    }
    match bits.value() {
        [0, point @ ..] => PublicKey::from_point(curve, point).map_err(|error| refused(FIELD, &error.to_string())),
        _ => Err(refused(FIELD, "the key has unused bits")),
    }
}

/// The attributes of a distinguished name, in order.
fn name(name: &Tlv<'_>, field: &'static str) -> Result<Vec<Attribute>, CertError> {
    let at = malformed(field);
    let mut attributes = Vec::new();
    for set in name.reader() {
        let set = set.map_err(&at)?;
        if set.tag() != Tag(SET) {
            return Err(refused(field, "a relative distinguished name is no SET"));
        }
        for pair in set.reader() {
            let mut pair = Tlv::parse_as(SEQUENCE, pair.map_err(&at)?.raw()).map_err(&at)?.reader();
            let kind = pair.expect(OBJECT_IDENTIFIER).map_err(&at)?;
            let value = pair.next_tlv().map_err(&at)?.ok_or_else(|| refused(field, "an attribute has no value"))?;
            attributes.push(Attribute {
                kind: object_identifier(&kind, field)?,
                value: text(&value).ok_or_else(|| refused(field, "an attribute is no text"))?,
            });
        }
    }
    Ok(attributes)
}

/// The text of a DirectoryString or one of its relatives (RFC 5280 §4.1.2.4).
fn text(tlv: &Tlv<'_>) -> Option<String> {
    match tlv.tag() {
        // UTF8String; NumericString, PrintableString, IA5String.
        Tag(0x0C | 0x12 | 0x13 | 0x16) => tlv.as_str().ok().map(str::to_owned),
        // TeletexString, in use as Latin-1.
        Tag(0x14) => Some(tlv.value().iter().map(|byte| char::from(*byte)).collect()),
        // UniversalString.
        Tag(0x1C) => tlv
            .value()
            .chunks(4)
            .map(|unit| char::from_u32(u32::from_be_bytes(unit.try_into().ok()?)))
            .collect::<Option<String>>(),
        // BMPString.
        Tag(0x1E) => {
            let units: Option<Vec<u16>> =
                tlv.value().chunks(2).map(|unit| Some(u16::from_be_bytes(unit.try_into().ok()?))).collect();
            String::from_utf16(&units?).ok()
        }
        _ => None,
    }
}

/// A UTCTime or GeneralizedTime in the forms of RFC 5280 §4.1.2.5, as Unix seconds.
pub(super) fn date(tlv: Option<Tlv<'_>>, field: &'static str) -> Result<i64, CertError> {
    let parsed = tlv.and_then(|tlv| {
        let digits = tlv.value().strip_suffix(b"Z")?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = |from: usize, to: usize| {
            digits.get(from..to).map(|part| part.iter().fold(0i64, |sum, digit| sum * 10 + i64::from(digit - b'0')))
        };
        let (year, rest) = match (tlv.tag(), digits.len()) {
            (Tag(0x17), 12) => {
                let year = number(0, 2)?;
                (year + if year < 50 { 2000 } else { 1900 }, 2)
            }
            (Tag(0x18), 14) => (number(0, 4)?, 4),
            _ => return None,
        };
        let part = |index: usize| number(rest + 2 * index, rest + 2 * index + 2);
        super::time::from_civil(year, [part(0)?, part(1)?, part(2)?, part(3)?, part(4)?])
    });
    parsed.ok_or_else(|| refused(field, "it is no UTCTime YYMMDDHHMMSSZ or GeneralizedTime YYYYMMDDHHMMSSZ"))
}

/// The ECDSA signature as r‖s. DER has one form for it: another would be a change that no signature covers.
pub(super) fn signature_from_der(der: &[u8]) -> Option<[u8; 64]> {
    let mut parts = Tlv::parse_as(SEQUENCE, der).ok().filter(|tlv| tlv.header().len() == 2)?.reader();
    let mut raw = [0; 64];
    for half in raw.chunks_exact_mut(32) {
        let integer = parts.expect(INTEGER).ok().filter(|tlv| tlv.header().len() == 2)?.value();
        let digits = match integer {
            [0, rest @ ..] if rest.first().is_some_and(|byte| byte & 0x80 != 0) => rest,
            [first, ..] if *first != 0 && first & 0x80 == 0 => integer,
            _ => return None,
        };
        half.get_mut(32usize.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    }
    parts.is_empty().then_some(raw)
}

fn extensions(list: &Tlv<'_>) -> Result<Extensions, CertError> {
    let at = malformed("extensions");
    let mut found = Extensions::default();
    let mut seen: Vec<&[u8]> = Vec::new();
    for extension in list.reader() {
        let extension = extension.map_err(&at)?;
        let mut parts = Tlv::parse_as(SEQUENCE, extension.raw()).map_err(&at)?.reader();
        let kind = parts.expect(OBJECT_IDENTIFIER).map_err(&at)?;
        let critical = match parts.optional(BOOLEAN).map_err(&at)? {
            Some(flag) => flag.as_bool().map_err(&at)?,
            None => false,
        };
        let value = parts.expect(OCTET_STRING).map_err(&at)?.value();
        if seen.contains(&kind.value()) {
            // RFC 5280 §4.2: not more than one instance of an extension.
            return Err(refused("extensions", "one extension is there twice"));
        }
        seen.push(kind.value());
        found.read(&kind, critical, value)?;
    }
    Ok(found)
}

impl Extensions {
    fn read(&mut self, kind: &Tlv<'_>, critical: bool, value: &[u8]) -> Result<(), CertError> {
        match kind.value() {
            oid::SUBJECT_KEY_IDENTIFIER => {
                let at = malformed("subjectKeyIdentifier");
                self.subject_key_id = Some(Tlv::parse_as(OCTET_STRING, value).map_err(at)?.value().to_vec());
            }
            oid::AUTHORITY_KEY_IDENTIFIER => {
                let at = malformed("authorityKeyIdentifier");
                let mut parts = Tlv::parse_as(SEQUENCE, value).map_err(&at)?.reader();
                self.authority_key_id = parts.optional(0x80).map_err(&at)?.map(|tlv| tlv.value().to_vec());
            }
            oid::KEY_USAGE => {
                let at = malformed("keyUsage");
                self.key_usage = Some(Tlv::parse_as(BIT_STRING, value).and_then(|tlv| tlv.as_bits()).map_err(at)?);
            }
            oid::BASIC_CONSTRAINTS => {
                let at = malformed("basicConstraints");
                let mut parts = Tlv::parse_as(SEQUENCE, value).map_err(&at)?.reader();
                let ca = match parts.optional(BOOLEAN).map_err(&at)? {
                    Some(flag) => flag.as_bool().map_err(&at)?,
                    None => false,
                };
                let path_len =
                    parts.optional(INTEGER).map_err(&at)?.map(|tlv| tlv.as_u32()).transpose().map_err(&at)?;
                self.basic_constraints = Some(BasicConstraints { ca, path_len });
            }
            oid::CERTIFICATE_POLICIES => {
                let at = malformed("certificatePolicies");
                for policy in Tlv::parse_as(SEQUENCE, value).map_err(&at)?.reader() {
                    let policy = Tlv::parse_as(SEQUENCE, policy.map_err(&at)?.raw()).map_err(&at)?;
                    let policy = policy.reader().expect(OBJECT_IDENTIFIER).map_err(&at)?;
                    self.policies.push(object_identifier(&policy, "certificatePolicies")?);
                }
            }
            oid::SUBJECT_ALT_NAME => self.read_alternative_names(value)?,
            oid::EXTENDED_KEY_USAGE => {
                let at = malformed("extKeyUsage");
                for usage in Tlv::parse_as(SEQUENCE, value).map_err(&at)?.reader() {
                    let usage = Tlv::parse_as(OBJECT_IDENTIFIER, usage.map_err(&at)?.raw()).map_err(&at)?;
                    self.extended_key_usage.push(object_identifier(&usage, "extKeyUsage")?);
                }
            }
            oid::NAME_CONSTRAINTS => {
                let at = malformed("nameConstraints");
                let mut parts = Tlv::parse_as(SEQUENCE, value).map_err(&at)?.reader();
                if let Some(trees) = parts.optional(0xA0).map_err(&at)? {
                    self.permitted = subtrees(trees.reader())?;
                }
                if let Some(trees) = parts.optional(0xA1).map_err(&at)? {
                    self.excluded = subtrees(trees.reader())?;
                }
            }
            oid::PERMITTED_EINS => {
                let at = malformed("permittedEins");
                for ein in Tlv::parse_as(SEQUENCE, value).map_err(&at)?.reader() {
                    let ein = ein.map_err(&at)?;
                    self.permitted_eins.push(text(&ein).ok_or_else(|| refused("permittedEins", "an EIN is no text"))?);
                }
            }
            // Where revocation lists are: nothing is decided by it here.
            oid::CRL_DISTRIBUTION_POINTS => {}
            _ if critical => self.unknown_critical.push(object_identifier(kind, "extensions")?),
            _ => {}
        }
        Ok(())
    }

    fn read_alternative_names(&mut self, value: &[u8]) -> Result<(), CertError> {
        let at = malformed("subjectAltName");
        for name in Tlv::parse_as(SEQUENCE, value).map_err(&at)?.reader() {
            let name = name.map_err(&at)?;
            match name.tag() {
                Tag(0x82) => self.dns_names.push(name.as_str().map_err(&at)?.to_owned()),
                Tag(0x87) => self.ip_addresses.push(name.value().to_vec()),
                Tag(0x88) if self.registered_id.is_none() => {
                    self.registered_id = Some(object_identifier(&name, "subjectAltName")?);
                }
                Tag(0x88) => return Err(refused("subjectAltName", "there are two registered identifiers")),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The directory names of GeneralSubtrees. Trees of other name forms say nothing about a subject.
fn subtrees(trees: Reader<'_>) -> Result<Vec<NameConstraint>, CertError> {
    let at = malformed("nameConstraints");
    let mut constraints = Vec::new();
    for tree in trees {
        let tree = Tlv::parse_as(SEQUENCE, tree.map_err(&at)?.raw()).map_err(&at)?;
        let base = tree.reader().next_tlv().map_err(&at)?;
        if let Some(base) = base.filter(|base| base.tag() == Tag(0xA4)) {
            let base = Tlv::parse_as(SEQUENCE, base.value()).map_err(&at)?;
            constraints.push(NameConstraint { attributes: name(&base, "nameConstraints")? });
        }
    }
    Ok(constraints)
}
