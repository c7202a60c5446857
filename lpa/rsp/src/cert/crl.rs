//! Certificate revocation lists (RFC 5280 §5, SGP.22 v2.5 §4.6): which certificates of an issuer are not to be trusted
//! any more.
//!
//! A list is read from its DER and verified under the certificate of its issuer. It has a number that grows from one
//! issue to the next. A large one comes in parts, each a list of its own with the extensions totalPartialCrl and
//! partialCrl; a delta list tells only what has changed since its base.

use std::fmt;
use std::ops::Range;

use super::parse::{
    BIT_STRING, BOOLEAN, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, date, is_ecdsa_with_sha256, malformed,
    object_identifier, place, refused, signature_from_der,
};
use super::{CertError, Certificate, key_usage, oid};
use crate::ids::to_hex;
use crate::tlv::{Reader, Tlv, TlvError};

const ENUMERATED: u32 = 0x0A;

/// The number of a list (RFC 5280 §5.2.3): up to 20 octets, so a big-endian one here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CrlNumber([u8; CrlNumber::LONGEST]);

impl CrlNumber {
    const LONGEST: usize = 20;

    /// From the content octets of a non-negative INTEGER, or from the octets of [`CrlNumber::to_octets`].
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        let mut number = [0; CrlNumber::LONGEST];
        let digits = match octets {
            [] => return None,
            [0, rest @ ..] => rest,
            [first, ..] if first & 0x80 == 0 => octets,
            _ => return None,
        };
        let begin = number.len().checked_sub(digits.len())?;
        number[begin..].copy_from_slice(digits);
        Some(CrlNumber(number))
    }

    /// The content octets of the INTEGER.
    pub fn to_octets(self) -> Vec<u8> {
        let begin = self.0.iter().position(|octet| *octet != 0).unwrap_or(self.0.len() - 1);
        let digits = &self.0[begin..];
        if digits.first().is_some_and(|first| first & 0x80 != 0) { [&[0], digits].concat() } else { digits.to_vec() }
    }
}

impl From<u32> for CrlNumber {
    fn from(number: u32) -> Self {
        let mut octets = [0; CrlNumber::LONGEST];
        octets[CrlNumber::LONGEST - 4..].copy_from_slice(&number.to_be_bytes());
        CrlNumber(octets)
    }
}

impl fmt::Display for CrlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (high, low) = self.0.split_at(CrlNumber::LONGEST - 16);
        match high.iter().all(|octet| *octet == 0) {
            true => low.iter().fold(0u128, |number, octet| number << 8 | u128::from(*octet)).fmt(f),
            false => write!(f, "0x{}", to_hex(&self.0)),
        }
    }
}

impl fmt::Debug for CrlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// The serial number, content octets of the INTEGER.
    pub serial: Vec<u8>,
    /// Of a delta list: the certificate is good again (RFC 5280 §5.3.1, removeFromCRL).
    pub removed: bool,
}

/// A parsed list. Nothing is verified by reading it.
#[derive(Debug, Clone)]
pub struct RevocationList {
    der: Vec<u8>,
    tbs: Range<usize>,
    issuer: Range<usize>,
    signature: [u8; 64],
    authority_key_id: Vec<u8>,
    number: CrlNumber,
    delta_base: Option<CrlNumber>,
    total_parts: u32,
    part: u32,
    scope: Vec<u8>,
    this_update: i64,
    revoked: Vec<RevokedCertificate>,
}

/// What the extensions of a list say.
#[derive(Default)]
struct Extensions {
    authority_key_id: Option<Vec<u8>>,
    number: Option<CrlNumber>,
    delta_base: Option<CrlNumber>,
    total_parts: Option<u32>,
    part: Option<u32>,
    scope: Vec<u8>,
}

impl RevocationList {
    /// Reads DER, which is exactly one `CertificateList`.
    pub fn parse(der: &[u8]) -> Result<Self, CertError> {
        let at = malformed("CertificateList");
        let mut outer = Tlv::parse_as(SEQUENCE, der).map_err(&at)?.reader();
        let tbs = outer.expect(SEQUENCE).map_err(&at)?;
        let algorithm = outer.expect(SEQUENCE).map_err(&at)?;
        let signature = outer.expect(BIT_STRING).map_err(&at)?;
        if !outer.is_empty() {
            return Err(refused("CertificateList", "there is something after the signature"));
        }
        let signature = match signature.value() {
            [0, der @ ..] => signature_from_der(der),
            _ => None,
        };
        let signature =
            signature.ok_or_else(|| refused("signatureValue", "it is no DER of two positive 256-bit integers"))?;

        let at = malformed("TBSCertList");
        let mut body = tbs.reader();
        // RFC 5280 §5.1.2.1: extensions make it version 2, and SGP.22 wants some.
        if body.expect(INTEGER).and_then(|version| version.as_u32()).map_err(malformed("version"))? != 1 {
            return Err(refused("version", "it is not version 2"));
        }
        let inner_algorithm = body.expect(SEQUENCE).map_err(malformed("signature"))?;
        if inner_algorithm.raw() != algorithm.raw() || !is_ecdsa_with_sha256(&algorithm) {
            return Err(refused("signatureAlgorithm", "it is not ecdsa-with-SHA256 (SGP.22 §2.6.7.2)"));
        }
        let issuer = body.expect(SEQUENCE).map_err(malformed("issuer"))?;
        let this_update = date(body.next_tlv().map_err(malformed("thisUpdate"))?, "thisUpdate")?;
        let (mut revoked, mut found) = (Vec::new(), None);
        while let Some(tlv) = body.next_tlv().map_err(&at)? {
            match tlv.tag().0 {
                0x17 | 0x18 => drop(date(Some(tlv), "nextUpdate")?),
                SEQUENCE => {
                    for entry in tlv.reader() {
                        revoked.push(entry.map_err(malformed("revokedCertificates")).and_then(|e| revoked_entry(&e))?);
                    }
                }
                0xA0 if body.is_empty() => {
                    found = Some(extensions(&Tlv::parse_as(SEQUENCE, tlv.value()).map_err(&at)?)?);
                }
                _ => return Err(refused("TBSCertList", "it has an element that does not belong there")),
            }
        }
        let missing = |field| move || refused(field, "it is missing");
        let found = found.ok_or_else(missing("crlExtensions"))?;
        let (part, total_parts) = match (found.part, found.total_parts) {
            (None, None) => (1, 1),
            (Some(part), Some(total)) if (1..=total).contains(&part) => (part, total),
            _ => return Err(refused("partialCrl", "a part has a number from 1 to totalPartialCrl")),
        };
        Ok(RevocationList {
            tbs: place(der, tbs.raw()),
            issuer: place(der, issuer.raw()),
            der: der.to_vec(),
            signature,
            authority_key_id: found.authority_key_id.ok_or_else(missing("authorityKeyIdentifier"))?,
            number: found.number.ok_or_else(missing("cRLNumber"))?,
            delta_base: found.delta_base,
            total_parts,
            part,
            scope: found.scope,
            this_update,
            revoked,
        })
    }

    /// Reads DER, or the first list of a PEM file.
    pub fn from_pem_or_der(bytes: &[u8]) -> Result<Self, CertError> {
        if bytes.first() == Some(&0x30) {
            return RevocationList::parse(bytes);
        }
        RevocationList::parse(&super::from_pem(bytes, "X509 CRL").ok_or(CertError::NoRevocationList)?)
    }

    /// Checks that the issuer has signed the list and may do so: names, key identifiers, key usage, signature.
    pub fn verify_signed_by(&self, issuer: &Certificate) -> Result<(), CertError> {
        let (list, by) = (|| self.describe(), || issuer.describe());
        if &self.der[self.issuer.clone()] != issuer.subject() {
            return Err(CertError::WrongIssuer { certificate: list(), issuer: by() });
        }
        if issuer.subject_key_id() != Some(&self.authority_key_id) {
            return Err(CertError::WrongAuthorityKey {
                certificate: list(),
                found: to_hex(&self.authority_key_id).into(),
                issuer: by(),
                expected: issuer.subject_key_id().map_or_else(|| "none".into(), |id| to_hex(id).into()),
            });
        }
        // RFC 5280 §6.3.3: the issuer of a list has cRLSign.
        if !issuer.key_usage().is_some_and(|usage| usage.has(key_usage::CRL_SIGN)) {
            let rule = "its keyUsage is not cRLSign";
            return Err(CertError::IssuerNotAllowed { certificate: list(), issuer: by(), rule });
        }
        if issuer.public_key().verify(&[&self.der[self.tbs.clone()]], &self.signature) {
            Ok(())
        } else {
            Err(CertError::Signature { certificate: list(), issuer: by() })
        }
    }

    fn describe(&self) -> Box<str> {
        format!("revocation list {}", self.number).into()
    }

    /// The list as it was received.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The key identifier of the issuer.
    pub fn authority_key_id(&self) -> &[u8] {
        &self.authority_key_id
    }

    /// Its number.
    pub fn number(&self) -> CrlNumber {
        self.number
    }

    /// Of a delta list the number of the list that it changes.
    pub fn delta_base(&self) -> Option<CrlNumber> {
        self.delta_base
    }

    /// Which part it is, from 1, and of how many.
    pub fn part(&self) -> (u32, u32) {
        (self.part, self.total_parts)
    }

    /// The issuingDistributionPoint, DER: lists of one issuer with different ones stand beside each other. Empty when
    /// there is none.
    pub fn scope(&self) -> &[u8] {
        &self.scope
    }

    /// When it was issued, Unix seconds.
    pub fn this_update(&self) -> i64 {
        self.this_update
    }

    /// Its lines.
    pub fn revoked(&self) -> &[RevokedCertificate] {
        &self.revoked
    }
}

fn revoked_entry(entry: &Tlv<'_>) -> Result<RevokedCertificate, CertError> {
    const REMOVE_FROM_CRL: u32 = 8;
    let at = malformed("revokedCertificates");
    let mut fields = Tlv::parse_as(SEQUENCE, entry.raw()).map_err(&at)?.reader();
    let serial = fields.expect(INTEGER).map_err(&at)?;
    date(fields.next_tlv().map_err(&at)?, "revocationDate")?;
    let mut removed = false;
    if let Some(list) = fields.optional(SEQUENCE).map_err(&at)? {
        for extension in list.reader() {
            let (kind, critical, value) = extension.and_then(split).map_err(&at)?;
            match kind.value() {
                oid::REASON_CODE => {
                    let reason = Tlv::parse_as(ENUMERATED, value).map_err(&at)?;
                    removed = matches!(reason.value(), [code] if u32::from(*code) == REMOVE_FROM_CRL);
                }
                // SGP.22 §4.6: when the certificate would have expired anyway.
                oid::EXPIRATION_DATE => {}
                _ if critical => return Err(unknown(&kind)?),
                _ => {}
            }
        }
    }
    Ok(RevokedCertificate { serial: serial.value().to_vec(), removed })
}

fn extensions(list: &Tlv<'_>) -> Result<Extensions, CertError> {
    let at = malformed("crlExtensions");
    let mut found = Extensions::default();
    let mut seen: Vec<&[u8]> = Vec::new();
    for extension in list.reader() {
        let (kind, critical, value) = extension.and_then(split).map_err(&at)?;
        if seen.contains(&kind.value()) {
            return Err(refused("crlExtensions", "one extension is there twice"));
        }
        seen.push(kind.value());
        let number = |field| {
            let number = Tlv::parse_as(INTEGER, value).map_err(malformed(field))?;
            CrlNumber::from_octets(number.value())
                .ok_or_else(|| refused(field, "it has 1 to 20 octets, and is positive"))
        };
        let small = |field| Tlv::parse_as(INTEGER, value).and_then(|number| number.as_u32()).map_err(malformed(field));
        match kind.value() {
            oid::AUTHORITY_KEY_IDENTIFIER => {
                let mut parts = Tlv::parse_as(SEQUENCE, value).map_err(&at)?.reader();
                found.authority_key_id = parts.optional(0x80).map_err(&at)?.map(|tlv| tlv.value().to_vec());
            }
            oid::CRL_NUMBER => found.number = Some(number("cRLNumber")?),
            oid::DELTA_CRL_INDICATOR => found.delta_base = Some(number("deltaCRLIndicator")?),
            oid::TOTAL_PARTIAL_CRL => found.total_parts = Some(small("totalPartialCrl")?),
            oid::PARTIAL_CRL => found.part = Some(small("partialCrl")?),
            oid::ISSUING_DISTRIBUTION_POINT => {
                let mut parts: Reader<'_> = Tlv::parse_as(SEQUENCE, value).map_err(&at)?.reader();
                // RFC 5280 §5.2.5: indirectCRL; its lines would name certificates of other issuers.
                if parts.any(|part| part.is_ok_and(|part| part.tag().0 == 0x84)) {
                    return Err(refused("issuingDistributionPoint", "an indirect list is of no use here"));
                }
                found.scope = value.to_vec();
            }
            _ if critical => return Err(unknown(&kind)?),
            _ => {}
        }
    }
    Ok(found)
}

/// An extension: what it is, whether it is critical, its value.
fn split(extension: Tlv<'_>) -> Result<(Tlv<'_>, bool, &[u8]), TlvError> {
    let mut parts = Tlv::parse_as(SEQUENCE, extension.raw())?.reader();
    let kind = parts.expect(OBJECT_IDENTIFIER)?;
    let critical = parts.optional(BOOLEAN)?.map_or(Ok(false), |flag| flag.as_bool())?;
    Ok((kind, critical, parts.expect(OCTET_STRING)?.value()))
}

/// RFC 5280 §5.2, §5.3: a list with a critical extension that is not recognised is of no use.
fn unknown(kind: &Tlv<'_>) -> Result<CertError, CertError> {
    Ok(CertError::UnknownCriticalExtension {
        certificate: "the revocation list".into(),
        extension: object_identifier(kind, "crlExtensions")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Made with the command line of OpenSSL 3: a CI on P-256, and of it a list, a delta to it, the first of two parts,
    /// and an empty list.
    const KNOWN: &str = include_str!("known_crl.pem");

    fn known() -> (Certificate, Vec<RevocationList>) {
        let lists = KNOWN.split_inclusive("-----END X509 CRL-----\n").filter(|pem| pem.contains("X509 CRL"));
        let lists =
            lists.map(|pem| RevocationList::from_pem_or_der(&pem.as_bytes()[pem.find("-----BEGIN X509").unwrap()..]));
        (Certificate::from_pem_or_der(KNOWN.as_bytes()).unwrap(), lists.map(Result::unwrap).collect())
    }

    fn line(serial: &[u8], removed: bool) -> RevokedCertificate {
        RevokedCertificate { serial: serial.to_vec(), removed }
    }

    #[test]
    fn lists_of_openssl_are_read_and_verified() {
        let (ci, lists) = known();
        let [full, delta, part, empty] = &lists[..] else { panic!("four lists") };
        for list in &lists {
            assert_eq!(list.verify_signed_by(&ci), Ok(()));
            assert_eq!(Some(list.authority_key_id()), ci.subject_key_id());
            // 2026-11-26 01:59:47 UTC, as `openssl crl -text` prints it.
            assert_eq!(list.this_update(), 1_795_658_387);
        }
        assert_eq!(full.revoked(), [line(&[1, 0], false), line(&[2, 0xAA, 0xBB, 0xCC], false)]);
        assert_eq!((full.number(), full.delta_base(), full.part()), (5.into(), None, (1, 1)));
        assert_eq!((delta.number(), delta.delta_base()), (6.into(), Some(5.into())));
        assert_eq!(delta.revoked(), [line(&[1, 0], true), line(&[3, 0x33], false)]);
        assert_eq!((part.number(), part.part(), part.scope().is_empty()), (258.into(), (1, 2), false));
        assert!(empty.revoked().is_empty() && empty.scope().is_empty());
        assert_eq!((full.number().to_string(), part.number().to_octets()), ("5".to_owned(), vec![1, 2]));
    }

    #[test]
    fn lists_that_are_none() {
        let (ci, lists) = known();
        let another = Certificate::from_pem_or_der(include_bytes!("known.pem")).unwrap();
        assert!(matches!(lists[0].verify_signed_by(&another), Err(CertError::WrongIssuer { .. })));
        assert!(matches!(RevocationList::from_pem_or_der(b"nothing"), Err(CertError::NoRevocationList)));
        assert!(RevocationList::parse(ci.der()).is_err());
        // Every changed byte is seen: by the parser or by the signature.
        for list in &lists {
            for index in 0..list.der().len() {
                let mut der = list.der().to_vec();
                der[index] ^= 1;
                let seen = RevocationList::parse(&der).and_then(|list| list.verify_signed_by(&ci));
                assert!(seen.is_err(), "byte {index}");
            }
        }
    }

    #[test]
    fn numbers_are_ordered_and_have_twenty_octets() {
        let number = |octets: &[u8]| CrlNumber::from_octets(octets);
        assert!(number(&[0x7F]) < number(&[0, 0x80]) && number(&[0, 0x80]) < number(&[1, 0]));
        assert_eq!((number(&[]), number(&[0x80]), number(&[1; 21])), (None, None, None));
        assert_eq!(number(&[1; 20]).unwrap().to_octets(), [1; 20]);
        assert_eq!(
            (number(&[0]).unwrap().to_octets(), number(&[0, 0x80]).unwrap().to_octets()),
            (vec![0], vec![0, 0x80])
        );
        assert_eq!(number(&[1; 20]).unwrap().to_string(), format!("0x{}", "01".repeat(20)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), list in 0usize..4, at in 0usize..300) {
            let _ = RevocationList::from_pem_or_der(&bytes);
            let mut der = known().1[list].der().to_vec();
            let at = at.min(der.len());
            let end = der.len().min(at + bytes.len());
            der.splice(at..end, bytes);
            let _ = RevocationList::parse(&der);
        }
    }
}
