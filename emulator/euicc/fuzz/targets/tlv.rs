//! BER-TLV of any form: whatever is read is a slice of the input, and what is minimal is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rsp::tlv::{Reader, Tlv, encode};

fn walk(bytes: &[u8], depth: usize) {
    let mut rest = bytes;
    while let Ok((tlv, after)) = Tlv::parse(rest) {
        assert_eq!(tlv.raw().len() + after.len(), rest.len());
        assert_eq!(tlv.header().len() + tlv.value().len(), tlv.raw().len());
        let again = encode(tlv.tag(), tlv.value());
        assert!(again.len() <= tlv.raw().len());
        let (parsed, left) = Tlv::parse(&again).expect("what was written can be read");
        assert!(left.is_empty() && parsed.tag() == tlv.tag() && parsed.value() == tlv.value());
        let _ = (tlv.as_u32(), tlv.as_bool(), tlv.as_str(), tlv.as_array::<16>());
        if let Ok(bits) = tlv.as_bits() {
            let octets = encode(0x03u32, &bits.to_octets());
            assert_eq!(Tlv::parse_exact(&octets).and_then(|tlv| tlv.as_bits()), Ok(bits));
        }
        if tlv.tag().is_constructed() && depth < 16 {
            walk(tlv.value(), depth + 1);
        }
        let mut reader = tlv.reader();
        let _ = (reader.optional(0x5Au32), reader.require(0x80u32), reader.finish());
        rest = after;
    }
}

fuzz_target!(|data: &[u8]| {
    walk(data, 0);
    let count = Reader::new(data).take(data.len() + 1).count();
    assert!(count <= data.len());
});
