//! The keys of the Generic Bootstrapping Architecture (3GPP TS 33.220 §5.3.3, annex B): what a bootstrapped card and a
//! bootstrapping server derive for a network application function (NAF).

use zeroize::Zeroizing;

use crate::crypto::{CryptoError, hmac_sha256};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFor {
    /// `Ks_ext_NAF`, which the card gives to the terminal.
    Terminal,
    /// `Ks_int_NAF`, which stays on the card.
    Card,
}

/// Derives a key from Ks (CK and IK, one behind the other).
pub fn naf_key(
    key_for: KeyFor,
    ks: &[u8; 32],
    rand: &[u8; 16],
    impi: &[u8],
    naf_id: &[u8],
) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
    // TS 33.220 annex B.2.0, B.3: FC, then each parameter before its length.
    const FC: &[u8] = &[0x01];
    let label: &[u8] = match key_for {
        KeyFor::Terminal => b"gba-me",
        KeyFor::Card => b"gba-u",
    };
    let length = |parameter: &[u8]| (parameter.len() as u16).to_be_bytes();
    let lengths = [label, rand, impi, naf_id].map(length);
    let [l0, l1, l2, l3] = &lengths;
    hmac_sha256(ks, &[FC, label, l0, rand, l1, impi, l2, naf_id, l3]).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::to_hex;

    #[test]
    fn keys_of_an_independent_implementation() {
        // Computed with the modules hmac and hashlib of Python.
        let ks: [u8; 32] = std::array::from_fn(|index| index as u8);
        let rand: [u8; 16] = std::array::from_fn(|index| 0x40 + index as u8);
        let (impi, naf_id) =
            (b"001010000000101@ims.mnc001.mcc001.3gppnetwork.org", b"xcap.example.com\x01\x00\x00\x00\x02");
        let key = |key_for| to_hex(&naf_key(key_for, &ks, &rand, impi, naf_id).unwrap()[..]);
        assert_eq!(key(KeyFor::Terminal), "4E30646EFDEC1F23BB55EC73658B09DAEFBDCB599887054E4B143FE231003675");
        assert_eq!(key(KeyFor::Card), "0DF4CF61D54319825FDD954981382BAE8378FA64E5CA6A6D496567B9977A5235");
    }
}
