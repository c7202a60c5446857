//! BER-TLV on raw slices (X.690, as ISO 7816-4 and SGP.22 use it).
//!
//! Reading never copies and never re-encodes: a [`Tlv`] keeps the slice it was read from, so that what is
//! signed, verified or forwarded is the bytes that arrived. A [`Reader`] walks the elements of a constructed
//! value in order and skips what it does not know. Writing goes through [`Writer`], which always produces
//! minimal (DER) lengths.
//!
//! Tags are kept as their bytes read as one number (`0xBF25`, `0x5F37`, `0x80`), up to four bytes; lengths are
//! definite, up to four length bytes. Anything else is an error, never a panic.

use std::fmt;

/// A tag: its one to four bytes as a big-endian number, class and constructed bit included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u32);

impl Tag {
    /// True when the constructed bit of the first byte is set (X.690 §8.1.2.5).
    pub fn is_constructed(self) -> bool {
        self.first_byte() & 0x20 != 0
    }

    /// How many bytes the tag takes on the wire, 1 to 4.
    pub fn len(self) -> usize {
        4 - (self.0.leading_zeros() as usize / 8).min(3)
    }

    /// Never true: a tag has at least one byte.
    pub fn is_empty(self) -> bool {
        false
    }

    fn first_byte(self) -> u8 {
        self.0.to_be_bytes()[4 - self.len()]
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$X}", self.0, width = self.len() * 2)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<u32> for Tag {
    fn from(value: u32) -> Self {
        Tag(value)
    }
}

/// What is wrong with a TLV structure. Offsets count from the start of the slice that was being read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlvError {
    /// The slice ends inside a tag, a length or a value.
    #[error("truncated TLV at byte {offset}: {needed} more bytes announced than are there")]
    Truncated {
        /// Where the element begins.
        offset: usize,
        /// How many bytes are missing at least.
        needed: usize,
    },
    /// A tag of more than four bytes.
    #[error("tag of more than four bytes at byte {offset}")]
    TagTooLong {
        /// Where the element begins.
        offset: usize,
    },
    /// An indefinite length, or one of more than four bytes (X.690 §8.1.3.6 is not used by SGP.22).
    #[error("unsupported length form {first:02X} at byte {offset}")]
    UnsupportedLength {
        /// Where the element begins.
        offset: usize,
        /// The first length byte.
        first: u8,
    },
    /// An element that has to be there is not.
    #[error("missing element {expected}")]
    Missing {
        /// The tag that was looked for.
        expected: Tag,
    },
    /// Another element than the one that has to stand here.
    #[error("expected element {expected}, found {found}")]
    Unexpected {
        /// The tag that was looked for.
        expected: Tag,
        /// The tag that is there.
        found: Tag,
    },
    /// Bytes after the end of an element that has to be the last.
    #[error("{count} bytes after the end of element {tag}")]
    Trailing {
        /// The element that should have been the last.
        tag: Tag,
        /// How many bytes follow.
        count: usize,
    },
    /// A value whose length or content breaks the rule of its type.
    #[error("bad value in element {tag}: {rule}")]
    BadValue {
        /// The element.
        tag: Tag,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

/// One element: its tag, its value and all of its bytes, borrowed from what was received.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    tag: Tag,
    raw: &'a [u8],
    value: &'a [u8],
}

impl fmt::Debug for Tlv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.tag, self.value.len())
    }
}

impl<'a> Tlv<'a> {
    /// Reads the first element of `bytes` and returns it with what follows.
    pub fn parse(bytes: &'a [u8]) -> Result<(Tlv<'a>, &'a [u8]), TlvError> {
        let (tag, after_tag) = parse_tag(bytes, 0)?;
        let (length, after_length) = parse_length(bytes, after_tag, 0)?;
        let value = bytes
            .get(after_length..)
            .and_then(|rest| rest.get(..length))
            .ok_or_else(|| TlvError::Truncated { offset: 0, needed: length - (bytes.len() - after_length) })?;
        let end = after_length + length;
        Ok((Tlv { tag, raw: &bytes[..end], value }, &bytes[end..]))
    }

    /// Reads `bytes` as exactly one element.
    pub fn parse_exact(bytes: &'a [u8]) -> Result<Tlv<'a>, TlvError> {
        let (tlv, rest) = Tlv::parse(bytes)?;
        if rest.is_empty() { Ok(tlv) } else { Err(TlvError::Trailing { tag: tlv.tag, count: rest.len() }) }
    }

    /// Reads `bytes` as exactly one element with the tag `expected`.
    pub fn parse_as(expected: impl Into<Tag>, bytes: &'a [u8]) -> Result<Tlv<'a>, TlvError> {
        let expected = expected.into();
        let tlv = Tlv::parse_exact(bytes)?;
        if tlv.tag == expected { Ok(tlv) } else { Err(TlvError::Unexpected { expected, found: tlv.tag }) }
    }

    /// The tag.
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// Tag, length and value as they were received.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The value bytes.
    pub fn value(&self) -> &'a [u8] {
        self.value
    }

    /// Tag and length as they were received.
    pub fn header(&self) -> &'a [u8] {
        &self.raw[..self.raw.len() - self.value.len()]
    }

    /// A reader over the elements inside.
    pub fn reader(&self) -> Reader<'a> {
        Reader { rest: self.value }
    }

    /// The value as an unsigned integer of at most 32 bits (X.690 §8.3; a leading zero byte is allowed).
    pub fn as_u32(&self) -> Result<u32, TlvError> {
        let bad = TlvError::BadValue { tag: self.tag, rule: "an INTEGER from 0 to 4294967295" };
        match self.value {
            [] => Err(bad),
            [first, ..] if *first & 0x80 != 0 => Err(bad),
            bytes if bytes.len() > 5 || (bytes.len() == 5 && bytes[0] != 0) => Err(bad),
            bytes => Ok(bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))),
        }
    }

    /// The value as a BOOLEAN (X.690 §8.2: zero is false, anything else true).
    pub fn as_bool(&self) -> Result<bool, TlvError> {
        match self.value {
            [byte] => Ok(*byte != 0),
            _ => Err(TlvError::BadValue { tag: self.tag, rule: "a BOOLEAN of one byte" }),
        }
    }

    /// The value as UTF-8 text.
    pub fn as_str(&self) -> Result<&'a str, TlvError> {
        std::str::from_utf8(self.value).map_err(|_| TlvError::BadValue { tag: self.tag, rule: "UTF-8 text" })
    }

    /// The value as an octet string of exactly `N` bytes.
    pub fn as_array<const N: usize>(&self) -> Result<[u8; N], TlvError> {
        self.value
            .try_into()
            .map_err(|_| TlvError::BadValue { tag: self.tag, rule: "an OCTET STRING of the specified size" })
    }

    /// The value as a BIT STRING of named bits: bit 0 is the first bit of the first byte (X.690 §8.6).
    pub fn as_bits(&self) -> Result<NamedBits, TlvError> {
        let bad = TlvError::BadValue { tag: self.tag, rule: "a BIT STRING of at most 64 bits" };
        let (unused, bytes) = self.value.split_first().ok_or_else(|| bad.clone())?;
        if *unused > 7 || bytes.len() > 8 || (bytes.is_empty() && *unused != 0) {
            return Err(bad);
        }
        let mut bits = NamedBits::default();
        for index in 0..(bytes.len() * 8).saturating_sub(usize::from(*unused)) {
            if bytes[index / 8] & (0x80 >> (index % 8)) != 0 {
                bits = bits.with(index as u8);
            }
        }
        Ok(bits)
    }
}

fn parse_tag(bytes: &[u8], at: usize) -> Result<(Tag, usize), TlvError> {
    let first = *bytes.get(at).ok_or(TlvError::Truncated { offset: at, needed: 1 })?;
    let mut tag = u32::from(first);
    let mut next = at + 1;
    if first & 0x1F == 0x1F {
        loop {
            let byte = *bytes.get(next).ok_or(TlvError::Truncated { offset: at, needed: 1 })?;
            next += 1;
            if next - at > 4 {
                return Err(TlvError::TagTooLong { offset: at });
            }
            tag = tag << 8 | u32::from(byte);
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    Ok((Tag(tag), next))
}

fn parse_length(bytes: &[u8], at: usize, start: usize) -> Result<(usize, usize), TlvError> {
    let first = *bytes.get(at).ok_or(TlvError::Truncated { offset: start, needed: 1 })?;
    if first < 0x80 {
        return Ok((usize::from(first), at + 1));
    }
    let count = usize::from(first & 0x7F);
    if count == 0 || count > 4 {
        return Err(TlvError::UnsupportedLength { offset: start, first });
    }
    let digits = bytes
        .get(at + 1..at + 1 + count)
        .ok_or(TlvError::Truncated { offset: start, needed: (at + 1 + count).saturating_sub(bytes.len()) })?;
    Ok((digits.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), at + 1 + count))
}

/// Walks the elements of a constructed value, in order.
///
/// `require` and `optional` look forward for their element and pass over others: unknown elements are skipped
/// (SGP.22 modules are written with EXTENSIBILITY IMPLIED), while known elements in the wrong order are not found.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over concatenated elements.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// True when nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element, whatever it is; `None` at the end.
    pub fn next_tlv(&mut self) -> Result<Option<Tlv<'a>>, TlvError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (tlv, rest) = Tlv::parse(self.rest)?;
        self.rest = rest;
        Ok(Some(tlv))
    }

    /// The next element, which must have the tag `expected`: nothing is skipped.
    pub fn expect(&mut self, expected: impl Into<Tag>) -> Result<Tlv<'a>, TlvError> {
        let expected = expected.into();
        match self.next_tlv()? {
            Some(tlv) if tlv.tag == expected => Ok(tlv),
            Some(tlv) => Err(TlvError::Unexpected { expected, found: tlv.tag }),
            None => Err(TlvError::Missing { expected }),
        }
    }

    /// The first element ahead with the tag `expected`; elements before it are skipped.
    pub fn require(&mut self, expected: impl Into<Tag>) -> Result<Tlv<'a>, TlvError> {
        let expected = expected.into();
        self.optional(expected)?.ok_or(TlvError::Missing { expected })
    }

    /// Like [`Reader::require`], but when there is no such element ahead the reader stays where it is.
    pub fn optional(&mut self, expected: impl Into<Tag>) -> Result<Option<Tlv<'a>>, TlvError> {
        let expected = expected.into();
        let mut ahead = *self;
        while let Some(tlv) = ahead.next_tlv()? {
            if tlv.tag == expected {
                *self = ahead;
                return Ok(Some(tlv));
            }
        }
        Ok(None)
    }

    /// Reads everything that is left, so that a malformed tail is found.
    pub fn finish(mut self) -> Result<(), TlvError> {
        while self.next_tlv()?.is_some() {}
        Ok(())
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Tlv<'a>, TlvError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.next_tlv().transpose();
        if matches!(item, Some(Err(_))) {
            self.rest = &[];
        }
        item
    }
}

/// A set of named bits (bits 0 to 63 of an ASN.1 BIT STRING with names).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct NamedBits(u64);

impl NamedBits {
    /// The set with these bits.
    pub fn of(bits: &[u8]) -> Self {
        bits.iter().fold(NamedBits::default(), |set, bit| set.with(*bit))
    }

    /// The same set with one more bit. Bits over 63 are not kept.
    pub fn with(self, bit: u8) -> Self {
        NamedBits(self.0 | 1u64.checked_shl(u32::from(bit)).unwrap_or(0))
    }

    /// Whether a bit is in the set.
    pub fn has(self, bit: u8) -> bool {
        self.0 & 1u64.checked_shl(u32::from(bit)).unwrap_or(0) != 0
    }

    /// True when no bit is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The content octets of the BIT STRING: the count of unused bits, then the bits, without trailing zero bits
    /// (X.690 §11.2.2).
    pub fn to_octets(self) -> Vec<u8> {
        let count = 64 - self.0.leading_zeros() as usize;
        let mut octets = vec![0; 1 + count.div_ceil(8)];
        for index in 0..count {
            if self.has(index as u8) {
                octets[1 + index / 8] |= 0x80 >> (index % 8);
            }
        }
        octets[0] = ((8 - count % 8) % 8) as u8;
        octets
    }
}

/// Tag and minimal length of an element whose value has `length` bytes.
pub fn header(tag: impl Into<Tag>, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(8);
    put_header(&mut out, tag.into(), length);
    out
}

/// One element with a minimal length.
pub fn encode(tag: impl Into<Tag>, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 8);
    put_header(&mut out, tag.into(), value.len());
    out.extend_from_slice(value);
    out
}

/// The length octets alone, in their minimal form.
pub fn encode_length(length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(5);
    put_length(&mut out, length);
    out
}

fn put_header(out: &mut Vec<u8>, tag: Tag, length: usize) {
    out.extend_from_slice(&tag.0.to_be_bytes()[4 - tag.len()..]);
    put_length(out, length);
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    if length < 0x80 {
        out.push(length as u8);
        return;
    }
    let bytes = length.to_be_bytes();
    let skip = (length.leading_zeros() / 8) as usize;
    out.push(0x80 | (bytes.len() - skip) as u8);
    out.extend_from_slice(&bytes[skip..]);
}

/// Builds concatenated elements.
///
/// ```
/// use rsp::tlv::Writer;
/// let bytes = Writer::new().nested(0xBF3E, |w| w.put(0x5C, &[0x5A])).into_vec();
/// assert_eq!(bytes, [0xBF, 0x3E, 0x03, 0x5C, 0x01, 0x5A]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Writer::default()
    }

    /// Appends an element.
    #[must_use]
    pub fn put(mut self, tag: impl Into<Tag>, value: &[u8]) -> Self {
        put_header(&mut self.out, tag.into(), value.len());
        self.out.extend_from_slice(value);
        self
    }

    /// Appends an element when there is a value.
    #[must_use]
    pub fn put_opt(self, tag: impl Into<Tag>, value: Option<impl AsRef<[u8]>>) -> Self {
        match value {
            Some(value) => self.put(tag, value.as_ref()),
            None => self,
        }
    }

    /// Appends an INTEGER, in the fewest bytes.
    #[must_use]
    pub fn integer(self, tag: impl Into<Tag>, value: u32) -> Self {
        let bytes = u64::from(value).to_be_bytes();
        let mut skip = 0;
        while skip < 7 && bytes[skip] == 0 && bytes[skip + 1] & 0x80 == 0 {
            skip += 1;
        }
        self.put(tag, &bytes[skip..])
    }

    /// Appends a BOOLEAN (true is FF, X.690 §11.1).
    #[must_use]
    pub fn boolean(self, tag: impl Into<Tag>, value: bool) -> Self {
        self.put(tag, &[if value { 0xFF } else { 0 }])
    }

    /// Appends a BIT STRING of named bits.
    #[must_use]
    pub fn bits(self, tag: impl Into<Tag>, bits: NamedBits) -> Self {
        self.put(tag, &bits.to_octets())
    }

    /// Appends bytes that are elements already.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Appends a constructed element whose content `inner` writes.
    #[must_use]
    pub fn nested(self, tag: impl Into<Tag>, inner: impl FnOnce(Writer) -> Writer) -> Self {
        let content = inner(Writer::new()).out;
        self.put(tag, &content)
    }

    /// The bytes written.
    pub fn into_vec(self) -> Vec<u8> {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_tags_that_sgp22_uses() {
        for (bytes, tag) in [
            (vec![0x80, 0x00], 0x80),
            (vec![0x5F, 0x37, 0x00], 0x5F37),
            (vec![0xBF, 0x25, 0x00], 0xBF25),
            (vec![0x9F, 0x70, 0x00], 0x9F70),
            (vec![0xBF, 0x81, 0x02, 0x00], 0xBF8102),
        ] {
            let tlv = Tlv::parse_exact(&bytes).unwrap();
            assert_eq!(tlv.tag(), Tag(tag));
            assert_eq!(tlv.tag().len() + 1, bytes.len());
        }
    }

    #[test]
    fn refuses_indefinite_and_overlong_forms() {
        assert_eq!(Tlv::parse(&[0x30, 0x80]), Err(TlvError::UnsupportedLength { offset: 0, first: 0x80 }));
        assert_eq!(
            Tlv::parse(&[0x30, 0x85, 0, 0, 0, 0, 0]),
            Err(TlvError::UnsupportedLength { offset: 0, first: 0x85 })
        );
        assert_eq!(Tlv::parse(&[0x1F, 0x81, 0x81, 0x81, 0x01, 0x00]), Err(TlvError::TagTooLong { offset: 0 }));
        assert_eq!(Tlv::parse(&[0x04, 0x03, 0x00]), Err(TlvError::Truncated { offset: 0, needed: 2 }));
    }

    #[test]
    fn accepts_lengths_that_are_not_minimal() {
        let bytes = [0x04, 0x83, 0x00, 0x00, 0x01, 0xAA];
        let tlv = Tlv::parse_exact(&bytes).unwrap();
        assert_eq!(tlv.value(), [0xAA]);
        assert_eq!(tlv.raw(), bytes);
    }

    #[test]
    fn skips_unknown_elements_and_keeps_order() {
        let bytes = [0x80, 0x01, 0x01, 0x9F, 0x55, 0x00, 0x81, 0x01, 0x02, 0xBF, 0x77, 0x00];
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.require(0x80).unwrap().value(), [1]);
        assert_eq!(reader.require(0x81).unwrap().value(), [2]);
        assert_eq!(reader.optional(0x82).unwrap(), None);
        assert_eq!(reader.require(0x80), Err(TlvError::Missing { expected: Tag(0x80) }));
        reader.finish().unwrap();
    }

    #[test]
    fn named_bits_are_encoded_as_in_der() {
        // X.690 §11.2.2 and the notification events of SGP.22 §2.4.1.2: install is 07 80, delete is 04 10.
        assert_eq!(NamedBits::of(&[0]).to_octets(), [0x07, 0x80]);
        assert_eq!(NamedBits::of(&[3]).to_octets(), [0x04, 0x10]);
        assert_eq!(NamedBits::of(&[0, 1, 2, 3]).to_octets(), [0x04, 0xF0]);
        assert_eq!(NamedBits::of(&[8]).to_octets(), [0x07, 0x00, 0x80]);
        assert_eq!(NamedBits::default().to_octets(), [0x00]);
    }

    #[test]
    fn integers_take_the_fewest_bytes() {
        for (value, content) in [
            (0u32, vec![0u8]),
            (127, vec![0x7F]),
            (128, vec![0, 0x80]),
            (256, vec![1, 0]),
            (u32::MAX, vec![0, 255, 255, 255, 255]),
        ] {
            let bytes = Writer::new().integer(0x02, value).into_vec();
            assert_eq!(bytes[2..], content[..]);
            assert_eq!(Tlv::parse_exact(&bytes).unwrap().as_u32(), Ok(value));
        }
        assert!(Tlv::parse_exact(&[0x02, 0x01, 0x80]).unwrap().as_u32().is_err());
        assert!(Tlv::parse_exact(&[0x02, 0x00]).unwrap().as_u32().is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for tlv in Reader::new(&bytes).flatten() {
                prop_assert!(tlv.raw().ends_with(tlv.value()));
                let _ = (tlv.as_u32(), tlv.as_bool(), tlv.as_str(), tlv.as_bits(), tlv.as_array::<4>());
            }
        }

        #[test]
        fn what_is_written_is_read_back(value in proptest::collection::vec(any::<u8>(), 0..70_000), tag in prop_oneof![Just(0x80u32), Just(0x5F37), Just(0xBF36)]) {
            let bytes = encode(tag, &value);
            let tlv = Tlv::parse_as(tag, &bytes).unwrap();
            prop_assert_eq!(tlv.value(), &value[..]);
            prop_assert_eq!(tlv.header(), &header(tag, value.len())[..]);
        }

        #[test]
        fn bits_round_trip(bits in any::<u64>()) {
            let set = (0..64).filter(|bit| bits >> bit & 1 == 1).fold(NamedBits::default(), |set, bit| set.with(bit));
            let bytes = encode(0x03u32, &set.to_octets());
            prop_assert_eq!(Tlv::parse_exact(&bytes).unwrap().as_bits().unwrap(), set);
        }
    }
}
