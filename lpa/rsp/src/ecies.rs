//! Concealing the subscription identifier: ECIES with profiles A and B (3GPP TS 33.501 annex C).
//!
//! A one-time key of the subscriber and the home network's public key make a secret; from it come the key and the
//! counter block that encrypt and the key that authenticates.

use openssl::derive::Deriver;
use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey};
use openssl::sign::Signer;
use zeroize::Zeroizing;

use crate::crypto::{CryptoError, Curve, PrivateKey, PublicKey, Random, aes_encrypt_blocks, x963_kdf};

/// The profiles (TS 33.501 annex C.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Curve25519.
    A,
    /// P-256, points in compressed form.
    B,
}

/// How many bytes of the MAC are sent (TS 33.501 annex C.3.4).
const MAC_LENGTH: usize = 8;

/// Conceals `plaintext` from everybody but the home network with this public key: the one-time public key, the
/// ciphertext and the MAC, one after the other (TS 33.501 annex C.3.2). A key of profile B may be compressed or not.
pub fn conceal(
    profile: Profile,
    home_network: &[u8],
    plaintext: &[u8],
    random: &mut dyn Random,
) -> Result<Vec<u8>, CryptoError> {
    match profile {
        Profile::A => {
            let mut scalar = Zeroizing::new([0; 32]);
            random.fill(&mut scalar[..]);
            conceal_by_a(&scalar, home_network, plaintext)
        }
        Profile::B => conceal_by_b(&PrivateKey::generate(Curve::P256, random)?, home_network, plaintext),
    }
}

fn conceal_by_a(scalar: &[u8; 32], home_network: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let own = PKey::private_key_from_raw_bytes(scalar, Id::X25519)?;
    let peer = PKey::public_key_from_raw_bytes(home_network, Id::X25519)?;
    let mut deriver = Deriver::new(&own)?;
    deriver.set_peer(&peer)?;
    let mut secret = Zeroizing::new([0; 32]);
    deriver.derive(&mut secret[..])?;
    seal(&secret, &own.raw_public_key()?, plaintext)
}

fn conceal_by_b(own: &PrivateKey, home_network: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let peer = match home_network {
        [0x04, ..] => PublicKey::from_point(Curve::P256, home_network)?,
        _ => PublicKey::from_compressed_point(Curve::P256, home_network)?,
    };
    let secret = own.agree(&peer)?;
    let point = own.public().point();
    // SEC 1 §2.3.3: the parity of Y, and X.
    let mut compressed = vec![0x02 | (point[64] & 1)];
    compressed.extend_from_slice(&point[1..33]);
    seal(&secret, &compressed, plaintext)
}

/// TS 33.501 annex C.3.2: encryption in counter mode, and a MAC over the ciphertext.
fn seal(secret: &[u8; 32], public: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let keys = x963_kdf(secret, public, 64);
    let mut encryption = Zeroizing::new([0; 16]);
    encryption.copy_from_slice(&keys[..16]);
    let counter = keys[16..32].iter().fold(0u128, |counter, byte| counter << 8 | u128::from(*byte));
    let blocks: Vec<u8> = (0..plaintext.len().div_ceil(16) as u128)
        .flat_map(|number| counter.wrapping_add(number).to_be_bytes())
        .collect();
    let stream = Zeroizing::new(aes_encrypt_blocks(&encryption, &blocks)?);
    let ciphertext: Vec<u8> = plaintext.iter().zip(stream.iter()).map(|(byte, mask)| byte ^ mask).collect();
    let authentication = PKey::hmac(&keys[32..])?;
    let mut signer = Signer::new(MessageDigest::sha256(), &authentication)?;
    signer.update(&ciphertext)?;
    let mac = signer.sign_to_vec()?;
    Ok([public, &ciphertext, &mac[..MAC_LENGTH]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SeededRandom;
    use crate::ids::{from_hex, to_hex};

    fn scalar(hex: &str) -> [u8; 32] {
        from_hex(hex).unwrap().try_into().unwrap()
    }

    /// TS 33.501 annex C.4.3.
    #[test]
    fn profile_a() {
        let own = scalar("C80949F13EBE61AF4EBDBD293EA4F942696B9E815D7E8F0096BBF6ED7DE62256");
        let home = from_hex("5A8D38864820197C3394B92613B20B91633CBD897119273BF8E4A6F4EEC0A650").unwrap();
        let concealed = conceal_by_a(&own, &home, &from_hex("00012080F6").unwrap()).unwrap();
        let expected = "B2E92F836055A255837DEBF850B528997CE0201CB82ADFE4BE1F587D07D8457DCB02352410CDDD9E730EF3FA87";
        assert_eq!(to_hex(&concealed), expected);
    }

    /// TS 33.501 annex C.4.4.
    #[test]
    fn profile_b() {
        let own = scalar("99798858A1DC6A2C68637149A4B1DBFD1FDFF5ADDD62A2142F06699ED7602529");
        let own = PrivateKey::from_scalar(Curve::P256, &own).unwrap();
        let expected = "039AAB8376597021E855679A9778EA0B67396E68C66DF32C0F41E9ACCA2DA9B9D146A33FC2716AC7DAE96AA30A4D";
        for home in [
            "0272DA71976234CE833A6907425867B82E074D44EF907DFB4B3E21C1C2256EBCD1",
            "0472DA71976234CE833A6907425867B82E074D44EF907DFB4B3E21C1C2256EBCD1\
             5A7DED52FCBB097A4ED250E036C7B9C8C7004C4EEDC4F068CD7BF8D3F900E3B4",
        ] {
            let concealed = conceal_by_b(&own, &from_hex(home).unwrap(), &from_hex("00012080F6").unwrap()).unwrap();
            assert_eq!(to_hex(&concealed), expected);
        }
    }

    #[test]
    fn keys_that_are_none() {
        let mut random = SeededRandom::new(1, "ecies");
        for (profile, length) in
            [(Profile::A, 31), (Profile::A, 33), (Profile::B, 32), (Profile::B, 33), (Profile::B, 0)]
        {
            assert!(conceal(profile, &vec![0xFF; length], &[1, 2, 3], &mut random).is_err(), "{profile:?} {length}");
        }
    }
}
