//! Character sets: the one between host and modem (`+CSCS`, TS 27.007 §5.5), and the 7-bit default alphabet of
//! TS 23.038 §6.2.1, which cards and short messages are written in.

use rsp::ids::{from_hex, to_hex};

/// The character set of the strings on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Charset {
    /// The GSM default alphabet, one septet per byte.
    #[default]
    Gsm,
    /// The international reference alphabet: ASCII.
    Ira,
    /// UTF-16 in hexadecimal digits.
    Ucs2,
}

impl Charset {
    const ALL: [Charset; 3] = [Charset::Gsm, Charset::Ira, Charset::Ucs2];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Charset::Gsm => "GSM",
            Charset::Ira => "IRA",
            Charset::Ucs2 => "UCS2",
        }
    }

    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        Charset::ALL.into_iter().find(|charset| charset.name().as_bytes() == name)
    }

    /// Text as it goes to the host. What the set does not have becomes a question mark.
    pub(crate) fn encode(self, text: &str) -> String {
        match self {
            Charset::Gsm => gsm_encode(text).into_iter().map(char::from).collect(),
            Charset::Ira => text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect(),
            Charset::Ucs2 => to_hex(&ucs2_encode(text)),
        }
    }

    /// Text as it comes from the host; `None` when it does not fit the set.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<String> {
        match self {
            Charset::Gsm => Some(gsm_decode(bytes)),
            Charset::Ira => bytes.is_ascii().then(|| bytes.iter().copied().map(char::from).collect()),
            Charset::Ucs2 => ucs2_decode(&from_hex(bytes)?),
        }
    }
}

/// The basic table (TS 23.038 §6.2.1).
const BASIC: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', 'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω',
    'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{1B}', 'Æ', 'æ', 'ß', 'É', ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+',
    ',', '-', '.', '/', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', '¡', 'A', 'B',
    'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y',
    'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p',
    'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// The extension table, behind an escape (TS 23.038 §6.2.1.1).
const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{0C}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

const ESCAPE: u8 = 0x1B;

/// The septets of one character.
fn gsm_char(c: char) -> Option<(Option<u8>, u8)> {
    if let Some(place) = BASIC.iter().position(|known| *known == c).filter(|_| c != '\u{1B}') {
        return Some((None, place as u8));
    }
    EXTENSION.iter().find(|(_, known)| *known == c).map(|(code, _)| (Some(ESCAPE), *code))
}

/// Whether the default alphabet has all of a text.
pub(crate) fn is_gsm(text: &str) -> bool {
    text.chars().all(|c| gsm_char(c).is_some())
}

/// Text as septets, one per byte; a question mark for what the alphabet does not have.
pub(crate) fn gsm_encode(text: &str) -> Vec<u8> {
    let mut septets = Vec::with_capacity(text.len());
    for c in text.chars() {
        let (escape, code) = gsm_char(c).unwrap_or((None, b'?'));
        septets.extend(escape);
        septets.push(code);
    }
    septets
}

/// Septets, one per byte, as text.
pub(crate) fn gsm_decode(septets: &[u8]) -> String {
    let mut text = String::with_capacity(septets.len());
    let mut bytes = septets.iter();
    while let Some(byte) = bytes.next() {
        let code = byte & 0x7F;
        if code != ESCAPE {
            text.push(BASIC[usize::from(code)]);
            continue;
        }
        // TS 23.038 §6.2.1.1: an escape before an unknown code is shown as a space.
        let Some(next) = bytes.next() else { break };
        text.push(EXTENSION.iter().find(|(code, _)| code == next).map_or(' ', |(_, c)| *c));
    }
    text
}

/// UTF-16 in network order.
pub(crate) fn ucs2_encode(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// `None` when the bytes are no UTF-16.
pub(crate) fn ucs2_decode(bytes: &[u8]) -> Option<String> {
    let (pairs, []) = bytes.as_chunks::<2>() else { return None };
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    String::from_utf16(&units).ok()
}

/// The alpha identifier of a record on a card (TS 31.102 §4.4.2.3, TS 102 221 annex A): the default alphabet, or
/// UCS2 behind 80; the codings 81 and 82 save space by a base.
pub(crate) fn alpha_decode(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|byte| *byte != 0xFF).map_or(0, |last| last + 1);
    match bytes {
        [0x80, rest @ ..] => {
            let length = (end.saturating_sub(1)).next_multiple_of(2).min(rest.len() & !1);
            ucs2_decode(&rest[..length]).unwrap_or_default().trim_end_matches('\u{FFFF}').to_owned()
        }
        [0x81, count, base, rest @ ..] => based(rest, usize::from(*count), u32::from(*base) << 7),
        [0x82, count, high, low, rest @ ..] => {
            based(rest, usize::from(*count), u32::from(u16::from_be_bytes([*high, *low])))
        }
        _ => gsm_decode(&bytes[..end]),
    }
}

fn based(bytes: &[u8], count: usize, base: u32) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(count) {
        match byte {
            0..=0x7F => text.push(BASIC[usize::from(*byte)]),
            _ => text.push(char::from_u32(base + u32::from(byte & 0x7F)).unwrap_or('?')),
        }
    }
    text
}

/// The other direction: at most `room` bytes, filled up with FF. `None` when the text is too long.
pub(crate) fn alpha_encode(text: &str, room: usize) -> Option<Vec<u8>> {
    let mut bytes = if is_gsm(text) {
        gsm_encode(text)
    } else {
        let mut bytes = vec![0x80];
        bytes.extend(ucs2_encode(text));
        bytes
    };
    if bytes.len() > room {
        return None;
    }
    bytes.resize(room, 0xFF);
    Some(bytes)
}

/// Packs septets (TS 23.038 §6.1.2.1.1), the first one beginning `skip` bits into the first octet.
pub(crate) fn pack(septets: &[u8], skip: usize) -> Vec<u8> {
    let mut octets = vec![0; (septets.len() * 7 + skip).div_ceil(8)];
    for (index, septet) in septets.iter().enumerate() {
        let bit = index * 7 + skip;
        let value = u16::from(septet & 0x7F) << (bit % 8);
        octets[bit / 8] |= value as u8;
        if let Some(next) = octets.get_mut(bit / 8 + 1) {
            *next |= (value >> 8) as u8;
        }
    }
    octets
}

/// Takes `count` septets out of octets.
pub(crate) fn unpack(octets: &[u8], count: usize, skip: usize) -> Vec<u8> {
    let octet = |index: usize| u16::from(octets.get(index).copied().unwrap_or(0));
    (0..count)
        .map(|index| {
            let bit = index * 7 + skip;
            ((octet(bit / 8) | octet(bit / 8 + 1) << 8) >> (bit % 8)) as u8 & 0x7F
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sets() {
        assert_eq!(Charset::Ucs2.encode("GSM"), "00470053004D");
        assert_eq!(Charset::Ucs2.decode(b"00470053004D").as_deref(), Some("GSM"));
        assert_eq!(Charset::Ucs2.decode(b"0047005"), None);
        assert_eq!(Charset::Ira.decode("é".as_bytes()), None);
        assert_eq!(Charset::Ira.encode("café"), "caf?");
        assert_eq!(Charset::Gsm.encode("a@b_é"), "a\0b\u{11}\u{5}");
    }

    /// The example that every description of the coding has: "hellohello" packed.
    #[test]
    fn septets() {
        assert_eq!(to_hex(&pack(&gsm_encode("hellohello"), 0)), "E8329BFD4697D9EC37");
        assert_eq!(gsm_decode(&unpack(&from_hex("E8329BFD4697D9EC37").unwrap(), 10, 0)), "hellohello");
        assert_eq!(gsm_encode("€[]"), [0x1B, 0x65, 0x1B, 0x3C, 0x1B, 0x3E]);
    }

    /// TS 102 221 annex A, examples of the three codings.
    #[test]
    fn alpha_identifiers() {
        assert_eq!(alpha_decode(&from_hex("4142FFFF").unwrap()), "AB");
        assert_eq!(alpha_decode(&from_hex("80041004110412FFFF").unwrap()), "АБВ");
        assert_eq!(alpha_decode(&from_hex("810513532B95A6A6FFFF").unwrap()), "S+\u{995}\u{9A6}\u{9A6}");
        assert_eq!(alpha_decode(&from_hex("820505302D82D32D31").unwrap()), "-\u{532}\u{583}-1");
        assert_eq!(alpha_decode(&[0xFF; 4]), "");
        assert_eq!(alpha_encode("AB", 4).unwrap(), [0x41, 0x42, 0xFF, 0xFF]);
        assert_eq!(alpha_encode("ABC", 2), None);
    }

    proptest! {
        #[test]
        fn text_survives(text in "[ -Z_a-zäöüÄÖÜßà€\\[\\]{}~|^\\\\]{0,40}", skip in 0usize..7) {
            prop_assume!(is_gsm(&text));
            let septets = gsm_encode(&text);
            prop_assert_eq!(&unpack(&pack(&septets, skip), septets.len(), skip), &septets);
            prop_assert_eq!(gsm_decode(&septets), text);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            alpha_decode(&bytes);
            gsm_decode(&bytes);
            ucs2_decode(&bytes);
            unpack(&bytes, bytes.len(), 3);
            for set in Charset::ALL {
                set.decode(&bytes);
            }
        }
    }
}
