//! Cyclic redundancy checks of ISO/IEC 13239 (before: ISO 3309), the bits of each byte taken from the lowest on: in secured
//! packets (TS 102 225 annex B), in the frames of PPP (RFC 1662 annex C) and in PNG pictures (annex D).

/// CRC 16: the polynomial 1021, all ones at the start, complemented at the end.
pub fn crc16(data: &[u8]) -> u16 {
    !reflected(data, 0xFFFF, 0x8408) as u16
}

/// CRC 32: the polynomial 04C11DB7, all ones at the start, complemented at the end.
pub fn crc32(data: &[u8]) -> u32 {
    !reflected(data, 0xFFFF_FFFF, 0xEDB8_8320)
}

fn reflected(data: &[u8], initial: u32, polynomial: u32) -> u32 {
    data.iter().fold(initial, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| sum >> 1 ^ if sum & 1 != 0 { polynomial } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The customary check values, those of the catalogue of parametrised CRC algorithms.
    #[test]
    fn check_values() {
        assert_eq!((crc16(b"123456789"), crc32(b"123456789")), (0x906E, 0xCBF4_3926));
    }
}
