//! The number of a device.

use std::fmt;
use std::str::FromStr;

/// An IMEI (15 digits) or IMEISV (16 digits), TS 23.003 §6.2.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Imei([u8; 8]);

impl Imei {
    /// The eight bytes: digits in swapped nibbles, padded with F (SGP.22 v2.5 §4.2).
    pub fn to_bytes(self) -> [u8; 8] {
        self.0
    }

    /// The type allocation code: the first eight digits, in swapped nibbles.
    pub fn tac(self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.0;
        [a, b, c, d]
    }
}

impl FromStr for Imei {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !matches!(text.len(), 15 | 16) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("{text:?} is no IMEI: it has 15 digits"));
        }
        let mut bytes = [0xFF; 8];
        for (index, digit) in text.bytes().enumerate() {
            let digit = digit - b'0';
            let byte = &mut bytes[index / 2];
            *byte = if index % 2 == 0 { *byte & 0xF0 | digit } else { *byte & 0x0F | digit << 4 };
        }
        Ok(Imei(bytes))
    }
}

impl fmt::Debug for Imei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The type of the device, not the device.
        write!(f, "Imei({}..)", rsp::ids::to_hex(&self.0.map(|byte| byte.rotate_left(4))[..4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_in_swapped_nibbles() {
        // TS 23.003 §6.2.1: TAC of 8 digits, serial number of 6, check digit.
        let imei: Imei = "356938035643809".parse().unwrap();
        assert_eq!(imei.to_bytes(), [0x53, 0x96, 0x83, 0x30, 0x65, 0x34, 0x08, 0xF9]);
        assert_eq!(imei.tac(), [0x53, 0x96, 0x83, 0x30]);
        assert_eq!(format!("{imei:?}"), "Imei(35693803..)");
        for bad in ["", "35693803564380", "35693803564380A", "35693803564380900"] {
            assert!(bad.parse::<Imei>().is_err(), "{bad}");
        }
    }
}
