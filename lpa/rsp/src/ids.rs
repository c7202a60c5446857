//! Identifiers that can only hold a valid value: EID, ICCID, AID, OID, matching id, transaction id, version.
//!
//! Each is made by `parse` or `from_*` from text or bytes and checked there, once. Errors name the value and the
//! rule it breaks.

use std::fmt;
use std::str::FromStr;

/// An identifier that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is no {what}: {rule}")]
pub struct IdError {
    /// What it should have been, in the field's words.
    pub what: &'static str,
    /// The value, as given (bytes in hexadecimal).
    pub value: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

fn error(what: &'static str, value: impl Into<String>, rule: &'static str) -> IdError {
    IdError { what, value: value.into(), rule }
}

/// Bytes as upper-case hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Hexadecimal digits, of either case, as bytes. `None` for an odd count or another character.
pub fn from_hex(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    let digits = text.as_ref();
    if digits.len() % 2 != 0 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let mut seen = 0;
    // Every APDU of a host passes here: wrong digits are looked for once, at the end.
    for pair in digits.as_chunks::<2>().0 {
        let [high, low] = pair.map(|digit| DIGIT_VALUES[usize::from(digit)]);
        seen |= high | low;
        bytes.push(high << 4 | low & 0x0F);
    }
    (seen <= 0x0F).then_some(bytes)
}

/// The value of each character as a hexadecimal digit; 0xFF where it is none.
const DIGIT_VALUES: [u8; 256] = {
    let mut values = [0xFF; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789ABCDEF"[value];
        values[digit as usize] = value as u8;
        values[digit.to_ascii_lowercase() as usize] = value as u8;
        value += 1;
    }
    values
};

/// An eUICC identifier: 32 digits whose last two are check digits (SGP.02 §2.2.2, SGP.29).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Eid([u8; 16]);

impl Eid {
    /// Reads 32 digits.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error("EID", text, "it has 32 decimal digits"));
        }
        let mut bytes = [0; 16];
        for (index, pair) in text.as_bytes().chunks_exact(2).enumerate() {
            bytes[index] = (pair[0] - b'0') << 4 | (pair[1] - b'0');
        }
        Self::from_bytes(&bytes)
    }

    /// Reads 16 bytes of binary coded digits, high digit first, as in tag 5A of GetEID (SGP.22 §5.7.20).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
        let bytes: [u8; 16] = bytes.try_into().map_err(|_| error("EID", to_hex(bytes), "it has 16 bytes"))?;
        if bytes.iter().any(|byte| byte >> 4 > 9 || byte & 15 > 9) {
            return Err(error("EID", to_hex(&bytes), "it has 32 decimal digits"));
        }
        let eid = Eid(bytes);
        if eid.modulo_97() != 1 {
            return Err(error(
                "EID",
                eid.to_string(),
                "the remainder of its digits by 97 has to be 1 (SGP.29 §2.2, check digits)",
            ));
        }
        Ok(eid)
    }

    /// The EID that begins with these 30 digits: the check digits are computed.
    pub fn with_check_digits(first_30_digits: &str) -> Result<Self, IdError> {
        if first_30_digits.len() != 30 || !first_30_digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error("EID without check digits", first_30_digits, "it has 30 decimal digits"));
        }
        let remainder = remainder_97(first_30_digits.bytes().chain(*b"00"));
        Self::parse(&format!("{first_30_digits}{:02}", 98 - remainder))
    }

    /// The 16 bytes of binary coded digits.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The first eight digits: the EUM identification number (EIN).
    pub fn ein(&self) -> String {
        self.to_string()[..8].to_owned()
    }

    fn modulo_97(&self) -> u32 {
        remainder_97(self.0.iter().flat_map(|byte| [b'0' + (byte >> 4), b'0' + (byte & 15)]))
    }
}

fn remainder_97(digits: impl Iterator<Item = u8>) -> u32 {
    digits.fold(0, |sum, digit| (sum * 10 + u32::from(digit - b'0')) % 97)
}

impl fmt::Display for Eid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

/// An ICCID: 18 to 20 digits (ITU-T E.118), kept as the 10 bytes of EF_ICCID: digits in swapped nibbles,
/// padded with F.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Iccid([u8; 10]);

impl Iccid {
    /// Reads 18 to 20 digits; trailing `F`s that pad the number to 20 characters are taken as such.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let digits = if text.len() == 20 { text.trim_end_matches(['F', 'f']) } else { text };
        if !(18..=20).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error("ICCID", text, "it has 18 to 20 decimal digits"));
        }
        let mut bytes = [0xFF; 10];
        for (index, digit) in digits.bytes().enumerate() {
            let digit = digit - b'0';
            let byte = &mut bytes[index / 2];
            *byte = if index % 2 == 0 { *byte & 0xF0 | digit } else { *byte & 0x0F | digit << 4 };
        }
        Ok(Iccid(bytes))
    }

    /// Reads the bytes of EF_ICCID. Nine bytes, as some LPAs send an ICCID of 18 digits, are padded.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
        let fail = |rule| error("ICCID", to_hex(bytes), rule);
        if bytes.len() != 10 && bytes.len() != 9 {
            return Err(fail("it has 10 bytes"));
        }
        let mut padded = [0xFF; 10];
        padded[..bytes.len()].copy_from_slice(bytes);
        let nibbles = padded.iter().flat_map(|byte| [byte & 15, byte >> 4]);
        let digits = nibbles.clone().take_while(|nibble| *nibble <= 9).count();
        if !(18..=20).contains(&digits) || nibbles.skip(digits).any(|nibble| nibble != 15) {
            return Err(fail("it has 18 to 20 digits in swapped nibbles, padded with F"));
        }
        Ok(Iccid(padded))
    }

    /// The 10 bytes of EF_ICCID.
    pub fn as_bytes(&self) -> &[u8; 10] {
        &self.0
    }

    /// The digits and the padding, 20 characters, as EF_ICCID's nibbles come in order: `8988247000111763810F`.
    pub fn padded(&self) -> String {
        to_hex(&self.0.map(|byte| byte.rotate_left(4)))
    }
}

impl fmt::Display for Iccid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.padded().trim_end_matches('F'))
    }
}

/// An application identifier: 5 to 16 bytes (ISO 7816-4 §8.2.1.2).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Aid(Vec<u8>);

impl Aid {
    /// Checks the length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
        if (5..=16).contains(&bytes.len()) {
            Ok(Aid(bytes.to_vec()))
        } else {
            Err(error("AID", to_hex(bytes), "it has 5 to 16 bytes"))
        }
    }

    /// Reads hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let bytes = from_hex(text).ok_or_else(|| error("AID", text, "it is written in pairs of hexadecimal digits"))?;
        Self::from_bytes(&bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The ISD-R (SGP.22 §2.4.2, SGP.02 annex H).
    pub fn isd_r() -> Self {
        Aid(crate::ISD_R_AID.to_vec())
    }

    /// The ISD-P with the number `index`, counted from 0x10 (bytes 14 and 15 of the AID vary).
    pub fn isd_p(index: u16) -> Self {
        let mut bytes = crate::ISD_R_AID.to_vec();
        bytes[13..15].copy_from_slice(&index.to_be_bytes());
        Aid(bytes)
    }
}

impl fmt::Display for Aid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

/// A transaction id: 1 to 16 bytes that the server chooses for a session (SGP.22 §2.6.4.2, `TransactionId`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId(Vec<u8>);

impl TransactionId {
    /// Checks the length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
        if (1..=16).contains(&bytes.len()) {
            Ok(TransactionId(bytes.to_vec()))
        } else {
            Err(error("transaction id", to_hex(bytes), "it has 1 to 16 bytes"))
        }
    }

    /// Reads hexadecimal digits, of either case, as in the JSON binding.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let bytes = from_hex(text)
            .ok_or_else(|| error("transaction id", text, "it is written in pairs of hexadecimal digits"))?;
        Self::from_bytes(&bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

/// A matching id: letters, digits and hyphens, at most 255 (SGP.22 §4.1.1, §4.1.2: activation code token or event id).
/// It may be empty: the default order of the EID is meant then.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MatchingId(String);

impl MatchingId {
    /// Checks the characters and the length.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.len() > 255 {
            return Err(error("matching id", text, "it has at most 255 characters"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(error("matching id", text, "it has letters, digits and '-' only (SGP.22 §4.1)"));
        }
        Ok(MatchingId(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for the empty matching id.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for MatchingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object identifier, kept as its DER content octets (X.690 §8.19).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid(Vec<u8>);

impl Oid {
    /// Takes the content octets of an OBJECT IDENTIFIER.
    pub fn from_der_content(bytes: &[u8]) -> Result<Self, IdError> {
        let fail = |rule| error("object identifier", to_hex(bytes), rule);
        if bytes.last().is_none_or(|byte| byte & 0x80 != 0) {
            return Err(fail("its last octet has no continuation bit"));
        }
        let oid = Oid(bytes.to_vec());
        if bytes.len() > 64 || oid.arcs().is_none() {
            return Err(fail("its arcs have 64 bits at most"));
        }
        Ok(oid)
    }

    /// Reads dotted decimals: `2.999.10`.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let fail = |rule| error("object identifier", text, rule);
        let arcs: Vec<u64> = text
            .split('.')
            .map(|arc| if arc.bytes().all(|byte| byte.is_ascii_digit()) { arc.parse().ok() } else { None })
            .collect::<Option<_>>()
            .ok_or_else(|| fail("it is written as numbers with dots between"))?;
        let [first, second, rest @ ..] = &arcs[..] else {
            return Err(fail("it has two arcs at least"));
        };
        if *first > 2 || (*first < 2 && *second > 39) {
            return Err(fail("its first arc is 0, 1 or 2, its second at most 39 under 0 and 1"));
        }
        let second = second.checked_add(first * 40).ok_or_else(|| fail("its arcs have 64 bits at most"))?;
        let mut bytes = Vec::new();
        for arc in [second].iter().chain(rest) {
            let septets = (64 - arc.leading_zeros()).div_ceil(7).max(1);
            for index in (0..septets).rev() {
                let more = if index > 0 { 0x80 } else { 0 };
                bytes.push((arc >> (7 * index) & 0x7F) as u8 | more);
            }
        }
        if bytes.len() > 64 {
            return Err(fail("it takes 64 octets at most"));
        }
        Ok(Oid(bytes))
    }

    /// The DER content octets.
    pub fn as_der_content(&self) -> &[u8] {
        &self.0
    }

    /// The arcs; `None` when one has more than 64 bits.
    fn arcs(&self) -> Option<Vec<u64>> {
        let mut arcs = Vec::new();
        let mut arc: u64 = 0;
        for byte in &self.0 {
            if arc >> 57 != 0 {
                return None;
            }
            arc = arc << 7 | u64::from(byte & 0x7F);
            if byte & 0x80 != 0 {
                continue;
            }
            if arcs.is_empty() {
                let first = (arc / 40).min(2);
                arcs.push(first);
                arc -= first * 40;
            }
            arcs.push(arc);
            arc = 0;
        }
        Some(arcs)
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, arc) in self.arcs().unwrap_or_default().iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            write!(f, "{arc}")?;
        }
        Ok(())
    }
}

/// A version of three numbers, as SVN and firmware versions are coded (SGP.22 §2.6.2 `VersionType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub [u8; 3]);

impl Version {
    /// Major, minor, revision.
    pub const fn new(major: u8, minor: u8, revision: u8) -> Self {
        Version([major, minor, revision])
    }

    /// Reads `2.5.0`.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let numbers: Option<Vec<u8>> = text.split('.').map(|number| number.parse().ok()).collect();
        numbers
            .and_then(|numbers| numbers.try_into().ok())
            .map(Version)
            .ok_or_else(|| error("version", text, "it has three numbers from 0 to 255 with dots between"))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, revision] = self.0;
        write!(f, "{major}.{minor}.{revision}")
    }
}

macro_rules! text_impls {
    ($($kind:ident),*) => {$(
        impl fmt::Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($kind))
            }
        }

        impl FromStr for $kind {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                $kind::parse(text)
            }
        }
    )*};
}

text_impls!(Eid, Iccid, Aid, TransactionId, MatchingId, Oid);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hexadecimal_digits() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(to_hex(&all)), Some(all.clone()));
        assert_eq!(from_hex(to_hex(&all).to_ascii_lowercase()), Some(all));
        assert_eq!(from_hex(""), Some(Vec::new()));
        for wrong in ["0", "0g", "g0", "/0", "0:", "@0", "0G", "`0", "0 ", "-1", "é"] {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn eid_check_digits() {
        // The EID of the SGP.26 test card.
        let eid = Eid::parse("89049032123451234512345678901235").unwrap();
        assert_eq!(eid.to_string(), "89049032123451234512345678901235");
        assert_eq!(
            Eid::with_check_digits("890490321234512345123456789012").unwrap().to_string(),
            "89049032123451234512345678901235"
        );
        assert!(Eid::parse("89049032123451234512345678901234").unwrap_err().to_string().contains("97"));
        assert_eq!(Eid::parse("89049032123451234512345678901235").unwrap().ein(), "89049032");
        assert!(Eid::parse("8904903212345123451234567890123").is_err());
        assert!(Eid::from_bytes(&[0xFF; 16]).is_err());
    }

    #[test]
    fn iccid_nibbles_and_padding() {
        // eSIM LPA AN 1.1 §2.3.4 prints the padding; EF_ICCID of the recorded session is 98001032547698103214.
        let iccid = Iccid::parse("8988247000111763810F").unwrap();
        assert_eq!(iccid.padded(), "8988247000111763810F");
        assert_eq!(iccid.to_string(), "8988247000111763810");
        assert_eq!(to_hex(iccid.as_bytes()), "988842070011713618F0");
        assert_eq!(
            Iccid::from_bytes(&from_hex("98001032547698103214").unwrap()).unwrap().to_string(),
            "89000123456789012341"
        );
        let short = Iccid::parse("890001234567890123").unwrap();
        assert_eq!(to_hex(short.as_bytes()), "980010325476981032FF");
        assert_eq!(Iccid::from_bytes(&short.as_bytes()[..9]), Ok(short));
        for bad in ["89000123456789012", "890001234567890123412", "8900F1234567890123F", "8900012345678901FFFF", ""] {
            assert!(Iccid::parse(bad).is_err(), "{bad}");
        }
        assert!(Iccid::from_bytes(&from_hex("98001032547698F03214").unwrap()).is_err());
    }

    #[test]
    fn object_identifiers() {
        assert_eq!(Oid::parse("2.999.10").unwrap().as_der_content(), [0x88, 0x37, 0x0A]);
        assert_eq!(Oid::parse("2.23.146.1.2.1.4").unwrap().as_der_content(), [0x67, 0x81, 0x12, 1, 2, 1, 4]);
        assert_eq!(Oid::from_der_content(&[0x88, 0x37, 0x0A]).unwrap().to_string(), "2.999.10");
        assert!(Oid::from_der_content(&[]).is_err());
        assert!(Oid::from_der_content(&[0x88]).is_err());
        assert!(Oid::from_der_content(&[0xFF; 12]).is_err());
        for bad in ["", "1", "3.1", "1.40", "1..2", "1.+2", "a.b"] {
            assert!(Oid::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn matching_ids() {
        assert!(MatchingId::parse("").unwrap().is_empty());
        assert!(MatchingId::parse("04386-AGYFT-A74Y8-3F815").is_ok());
        assert!(MatchingId::parse("QR_G").unwrap_err().to_string().contains("SGP.22"));
        assert!(MatchingId::parse(&"A".repeat(256)).is_err());
    }

    proptest! {
        #[test]
        fn identifiers_read_what_they_print(digits in "[0-9]{30}", iccid in "[0-9]{18,20}", arcs in proptest::collection::vec(0u64..u64::MAX / 2, 1..4)) {
            let eid = Eid::with_check_digits(&digits).unwrap();
            prop_assert_eq!(Eid::parse(&eid.to_string()), Ok(eid));
            let iccid = Iccid::parse(&iccid).unwrap();
            prop_assert_eq!(Iccid::parse(&iccid.to_string()), Ok(iccid));
            prop_assert_eq!(Iccid::from_bytes(iccid.as_bytes()), Ok(iccid));
            let dotted = arcs.iter().fold("2.5".to_owned(), |text, arc| format!("{text}.{arc}"));
            let oid = Oid::parse(&dotted).unwrap();
            prop_assert_eq!(oid.to_string(), dotted);
            prop_assert_eq!(Oid::from_der_content(oid.as_der_content()), Ok(oid));
        }

        #[test]
        fn no_input_panics(text in ".{0,40}", bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let _ = (Eid::parse(&text), Iccid::parse(&text), Aid::parse(&text), TransactionId::parse(&text), MatchingId::parse(&text), Oid::parse(&text), Version::parse(&text));
            let _ = (Eid::from_bytes(&bytes), Iccid::from_bytes(&bytes), Oid::from_der_content(&bytes).map(|oid| oid.to_string()));
        }
    }
}
