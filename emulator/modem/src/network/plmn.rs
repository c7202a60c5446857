//! PLMNs in three bytes (TS 24.008 §10.5.1.13), as cards and networks write them.

/// Three bytes as digits (TS 24.008 §10.5.1.13); `None` when the place is free.
pub(crate) fn plmn_digits([a, b, c]: [u8; 3]) -> Option<String> {
    let digits = [a & 15, a >> 4, b & 15, c & 15, c >> 4, b >> 4];
    let text: String = digits.iter().filter(|digit| **digit <= 9).map(|digit| char::from(b'0' + digit)).collect();
    (text.len() >= 5).then_some(text)
}

/// The three bytes of 5 or 6 digits.
pub(crate) fn plmn_bytes(text: &[u8]) -> Option<[u8; 3]> {
    if !matches!(text.len(), 5 | 6) || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |index: usize| text.get(index).map_or(15, |digit| digit - b'0');
    Some([digit(0) | digit(1) << 4, digit(2) | digit(5) << 4, digit(3) | digit(4) << 4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_in_three_bytes() {
        // TS 24.008 §10.5.1.13, the fill of two-digit MNCs.
        assert_eq!(plmn_bytes(b"26201"), Some([0x62, 0xF2, 0x10]));
        assert_eq!(plmn_bytes(b"310410"), Some([0x13, 0x00, 0x14]));
        for plmn in ["26201", "310410", "00101"] {
            assert_eq!(plmn_bytes(plmn.as_bytes()).and_then(plmn_digits).as_deref(), Some(plmn));
        }
        assert_eq!(plmn_digits([0xFF; 3]), None);
        assert_eq!(plmn_bytes(b"2620"), None);
    }
}
