//! The cryptography that remote SIM provisioning is made of, over OpenSSL: ECDSA and ECDH on P-256 and
//! brainpoolP256r1, SHA-256, the X9.63 key derivation, AES-128 in CBC and CMAC.
//!
//! Signatures are the 64 bytes r‖s of BSI TR-03111 (SGP.22 §2.6.7.2), made with the nonce of RFC 6979, so that
//! the same key and message give the same signature: a run of the lab can be repeated byte for byte. One-time
//! keys come from a [`Random`] that is handed in.

use std::fmt;
use std::sync::OnceLock;

use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint, EcPointRef, PointConversionForm};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::md::Md;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private, Public};
use openssl::pkey_ctx::{NonceType, PkeyCtx};
use openssl::symm::{Cipher, Crypter, Mode};
use zeroize::Zeroizing;

/// The two curves of SGP.22 §2.6.7.2 (FRP256V1, the third, is not used in the field).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Curve {
    /// NIST P-256, secp256r1.
    P256,
    /// brainpoolP256r1 (RFC 5639).
    BrainpoolP256r1,
}

impl Curve {
    /// The OpenSSL group, made once.
    pub fn group(self) -> &'static EcGroup {
        static GROUPS: [OnceLock<EcGroup>; 2] = [OnceLock::new(), OnceLock::new()];
        let (index, nid) = match self {
            Curve::P256 => (0, Nid::X9_62_PRIME256V1),
            Curve::BrainpoolP256r1 => (1, Nid::BRAINPOOL_P256R1),
        };
        GROUPS[index].get_or_init(|| EcGroup::from_curve_name(nid).expect("OpenSSL is built with both curves"))
    }

    /// The object identifier of the curve, DER content octets.
    pub fn oid_content(self) -> &'static [u8] {
        match self {
            Curve::P256 => &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07],
            Curve::BrainpoolP256r1 => &[0x2B, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07],
        }
    }

    /// The curve with these object identifier octets.
    pub fn from_oid_content(oid: &[u8]) -> Option<Self> {
        [Curve::P256, Curve::BrainpoolP256r1].into_iter().find(|curve| curve.oid_content() == oid)
    }

    fn of_group(nid: Option<Nid>) -> Option<Self> {
        match nid? {
            Nid::X9_62_PRIME256V1 => Some(Curve::P256),
            Nid::BRAINPOOL_P256R1 => Some(Curve::BrainpoolP256r1),
            _ => None,
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Curve::P256 => "P-256",
            Curve::BrainpoolP256r1 => "brainpoolP256r1",
        })
    }
}

/// A cryptographic operation that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    /// The bytes are no point of the curve.
    #[error("the public key is no point of {0}")]
    NotOnCurve(Curve),
    /// A key of another algorithm or on another curve.
    #[error("the key is neither on P-256 nor on brainpoolP256r1")]
    UnsupportedKey,
    /// A private value that is zero or not below the order of the curve.
    #[error("the private value is not between 1 and the order of the curve")]
    ScalarOutOfRange,
    /// Two keys that have to be on the same curve are not.
    #[error("the two keys are on different curves ({0} and {1})")]
    CurvesDiffer(Curve, Curve),
    /// The bytes hold no private key (PEM or DER: SEC 1 or PKCS #8).
    #[error("no EC private key in PEM or DER form (SEC 1 or PKCS #8)")]
    NoPrivateKey,
    /// OpenSSL failed for a reason of its own.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] ErrorStack),
}

/// A source of random bytes, handed to every core that needs one.
pub trait Random: Send {
    /// Fills `out` with random bytes.
    fn fill(&mut self, out: &mut [u8]);

    /// `N` random bytes.
    fn array<const N: usize>(&mut self) -> [u8; N]
    where
        Self: Sized,
    {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }
}

impl Random for Box<dyn Random> {
    fn fill(&mut self, out: &mut [u8]) {
        (**self).fill(out);
    }
}

/// OpenSSL's generator, seeded by the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, out: &mut [u8]) {
        openssl::rand::rand_bytes(out).expect("the operating system gives random bytes");
    }
}

/// A repeatable stream from a seed: SHA-256 over seed, label and a counter. For tests and repeatable runs only.
#[derive(Debug, Clone)]
pub struct SeededRandom {
    key: [u8; 32],
    counter: u64,
    left: Vec<u8>,
}

impl SeededRandom {
    /// The stream of this seed for the part of the lab named `label`.
    pub fn new(seed: u64, label: &str) -> Self {
        SeededRandom { key: sha256(&[&seed.to_be_bytes(), label.as_bytes()]), counter: 0, left: Vec::new() }
    }
}

impl Random for SeededRandom {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            if self.left.is_empty() {
                self.left = sha256(&[&self.key, &self.counter.to_be_bytes()]).to_vec();
                self.counter += 1;
            }
            *byte = self.left.pop().unwrap_or_default();
        }
    }
}

/// A public key on one of the two curves.
#[derive(Clone)]
pub struct PublicKey {
    curve: Curve,
    /// In uncompressed form, checked to be on the curve.
    point: [u8; 65],
    /// As OpenSSL wants it for signatures, made when there is one to verify: a one-time key never needs it.
    key: OnceLock<EcKey<Public>>,
}

impl PublicKey {
    /// From the point in uncompressed form, `04 ‖ X ‖ Y` (TR-03111 §3.2.1), checked to be on the curve.
    pub fn from_point(curve: Curve, bytes: &[u8]) -> Result<Self, CryptoError> {
        if bytes.len() != 65 || bytes[0] != 0x04 {
            return Err(CryptoError::NotOnCurve(curve));
        }
        let mut context = BigNumContext::new()?;
        // A failed conversion leaves its reason on OpenSSL's per-thread error queue: taking the ErrorStack clears it.
        EcPoint::from_bytes(curve.group(), bytes, &mut context).map_err(|_| CryptoError::NotOnCurve(curve))?;
        let point = bytes.try_into().map_err(|_| CryptoError::NotOnCurve(curve))?;
        Ok(PublicKey { curve, point, key: OnceLock::new() })
    }

    /// From the point in compressed form, `02` or `03` by the parity of Y, and X (SEC 1 §2.3.3).
    pub fn from_compressed_point(curve: Curve, bytes: &[u8]) -> Result<Self, CryptoError> {
        if bytes.len() != 33 || !matches!(bytes[0], 0x02 | 0x03) {
            return Err(CryptoError::NotOnCurve(curve));
        }
        let group = curve.group();
        let mut context = BigNumContext::new()?;
        let point = EcPoint::from_bytes(group, bytes, &mut context).map_err(|_| CryptoError::NotOnCurve(curve))?;
        PublicKey::of(curve, &point)
    }

    /// From a point of the curve.
    fn of(curve: Curve, point: &EcPointRef) -> Result<Self, CryptoError> {
        let mut context = BigNumContext::new()?;
        let bytes = point.to_bytes(curve.group(), PointConversionForm::UNCOMPRESSED, &mut context)?;
        let point = bytes.try_into().map_err(|_| CryptoError::NotOnCurve(curve))?;
        Ok(PublicKey { curve, point, key: OnceLock::new() })
    }

    fn ec_point(&self) -> Result<EcPoint, ErrorStack> {
        EcPoint::from_bytes(self.curve.group(), &self.point, &mut *BigNumContext::new()?)
    }

    fn ec_key(&self) -> Result<&EcKey<Public>, ErrorStack> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let key = EcKey::from_public_key(self.curve.group(), &*self.ec_point()?)?;
        Ok(self.key.get_or_init(|| key))
    }

    /// The curve.
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// The point in uncompressed form.
    pub fn point(&self) -> [u8; 65] {
        self.point
    }

    /// Whether `signature` (r‖s, 64 bytes) is this key's ECDSA-SHA256 signature over the concatenated `parts`.
    pub fn verify(&self, parts: &[&[u8]], signature: &[u8]) -> bool {
        if signature.len() != 64 {
            return false;
        }
        let digest = sha256(parts);
        let verified = || -> Result<bool, ErrorStack> {
            let r = BigNum::from_slice(&signature[..32])?;
            let s = BigNum::from_slice(&signature[32..])?;
            EcdsaSig::from_private_components(r, s)?.verify(&digest, self.ec_key()?)
        };
        verified().unwrap_or(false)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.curve == other.curve && self.point == other.point
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.curve)
    }
}

/// A private key on one of the two curves. Its value never reaches a log: `Debug` prints the curve alone.
#[derive(Clone)]
pub struct PrivateKey {
    curve: Curve,
    key: PKey<Private>,
    public: PublicKey,
}

impl PrivateKey {
    /// A new key from a random source (a candidate outside 1..n is drawn again).
    pub fn generate(curve: Curve, random: &mut dyn Random) -> Result<Self, CryptoError> {
        loop {
            let mut scalar = Zeroizing::new([0; 32]);
            random.fill(&mut scalar[..]);
            match Self::from_scalar(curve, &scalar) {
                Err(CryptoError::ScalarOutOfRange) => continue,
                result => return result,
            }
        }
    }

    /// From the private scalar, 32 bytes big-endian.
    pub fn from_scalar(curve: Curve, scalar: &[u8; 32]) -> Result<Self, CryptoError> {
        let group = curve.group();
        let mut context = BigNumContext::new()?;
        let mut order = BigNum::new()?;
        group.order(&mut order, &mut context)?;
        let mut number = BigNum::from_slice(scalar)?;
        number.set_const_time();
        if number.num_bits() == 0 || number >= order {
            return Err(CryptoError::ScalarOutOfRange);
        }
        let mut point = EcPoint::new(group)?;
        point.mul_generator2(group, &number, &mut context)?;
        Self::from_ec_key(EcKey::from_private_components(group, &number, &point)?)
    }

    /// From PEM or DER, SEC 1 or PKCS #8, as the keys of SGP.26 are published.
    pub fn from_pem_or_der(bytes: &[u8]) -> Result<Self, CryptoError> {
        let key = PKey::private_key_from_pem(bytes)
            .or_else(|_| PKey::private_key_from_der(bytes))
            .map_err(|_| CryptoError::NoPrivateKey)?;
        Self::from_ec_key(key.ec_key().map_err(|_| CryptoError::UnsupportedKey)?)
    }

    fn from_ec_key(key: EcKey<Private>) -> Result<Self, CryptoError> {
        let curve = Curve::of_group(key.group().curve_name()).ok_or(CryptoError::UnsupportedKey)?;
        let public = PublicKey::of(curve, key.public_key())?;
        Ok(PrivateKey { curve, key: PKey::from_ec_key(key)?, public })
    }

    /// The curve.
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// The public key that belongs to it.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The OpenSSL key, for TLS.
    pub fn as_pkey(&self) -> &PKey<Private> {
        &self.key
    }

    /// PKCS #8 in PEM form, for a file of a test PKI.
    pub fn to_pem(&self) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        Ok(Zeroizing::new(self.key.private_key_to_pem_pkcs8()?))
    }

    /// The private scalar, 32 bytes big-endian, for a card's store.
    pub fn scalar(&self) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
        let bytes = Zeroizing::new(self.key.ec_key()?.private_key().to_vec_padded(32)?);
        let mut scalar = Zeroizing::new([0; 32]);
        scalar.copy_from_slice(&bytes);
        Ok(scalar)
    }

    /// The ECDSA-SHA256 signature over the concatenated `parts`, r‖s (TR-03111), with the nonce of RFC 6979.
    pub fn sign(&self, parts: &[&[u8]]) -> Result<[u8; 64], CryptoError> {
        let mut context = PkeyCtx::new(&self.key)?;
        context.sign_init()?;
        context.set_signature_md(Md::sha256())?;
        context.set_nonce_type(NonceType::DETERMINISTIC_K)?;
        let mut der = Vec::with_capacity(72);
        context.sign_to_vec(&sha256(parts), &mut der)?;
        let signature = EcdsaSig::from_der(&der)?;
        let mut raw = [0; 64];
        raw[..32].copy_from_slice(&signature.r().to_vec_padded(32)?);
        raw[32..].copy_from_slice(&signature.s().to_vec_padded(32)?);
        Ok(raw)
    }

    /// The shared secret of a key agreement: the X coordinate, 32 bytes (TR-03111 §4.3.1).
    pub fn agree(&self, peer: &PublicKey) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
        if self.curve != peer.curve {
            return Err(CryptoError::CurvesDiffer(self.curve, peer.curve));
        }
        // The multiplication itself: through OpenSSL's providers both keys would be copied and checked anew. With one
        // point and a scalar that is marked as secret it takes a time that depends on neither.
        let group = self.curve.group();
        let mut context = BigNumContext::new_secure()?;
        let own = self.key.ec_key()?;
        let mut shared = EcPoint::new(group)?;
        shared.mul2(group, &*peer.ec_point()?, own.private_key(), &mut context)?;
        let (mut x, mut y) = (BigNum::new_secure()?, BigNum::new_secure()?);
        shared.affine_coordinates(group, &mut x, &mut y, &mut context)?;
        let mut secret = Zeroizing::new([0; 32]);
        let bytes = Zeroizing::new(x.to_vec_padded(32)?);
        secret.copy_from_slice(&bytes);
        Ok(secret)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.curve)
    }
}

/// SHA-256 over the concatenated `parts`.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = openssl::sha::Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

/// The key derivation of ANSI X9.63 with SHA-256 (TR-03111 §4.3.3): `length` bytes from the shared secret.
pub fn x963_kdf(secret: &[u8], shared_info: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(length + 32));
    let mut counter: u32 = 1;
    while out.len() < length {
        let block = Zeroizing::new(sha256(&[secret, &counter.to_be_bytes(), shared_info]));
        out.extend_from_slice(&block[..]);
        counter += 1;
    }
    out.truncate(length);
    out
}

/// The hash of a confirmation code as ES2+ and the order keep it, SHA-256 of the text, then hashed again with the
/// transaction id (SGP.22 §3.1.3: `hashCc = SHA256(SHA256(code) ‖ transactionId)`).
pub fn hash_confirmation_code(code: &str, transaction_id: &[u8]) -> [u8; 32] {
    sha256(&[&sha256(&[code.as_bytes()]), transaction_id])
}

/// AES-128-CBC without padding. `data` has to be a multiple of 16 bytes.
pub(crate) fn aes_cbc(mode: Mode, key: &[u8; 16], iv: &[u8; 16], data: &[u8]) -> Result<Vec<u8>, CryptoError> {
    crypt(Cipher::aes_128_cbc(), mode, key, Some(iv), data)
}

/// One block of AES-128-ECB, encrypted.
pub(crate) fn aes_block(key: &[u8; 16], block: &[u8; 16]) -> Result<[u8; 16], CryptoError> {
    let mut out = [0; 16];
    out.copy_from_slice(&crypt(Cipher::aes_128_ecb(), Mode::Encrypt, key, None, block)?);
    Ok(out)
}

/// Whole blocks of AES-128-ECB, encrypted one by one. What does not fill a block is refused.
pub fn aes_encrypt_blocks(key: &[u8; 16], blocks: &[u8]) -> Result<Vec<u8>, CryptoError> {
    crypt(Cipher::aes_128_ecb(), Mode::Encrypt, key, None, blocks)
}

fn crypt(cipher: Cipher, mode: Mode, key: &[u8], iv: Option<&[u8]>, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let mut crypter = Crypter::new(cipher, mode, key, iv)?;
    crypter.pad(false);
    let mut out = vec![0; data.len() + 16];
    let written = crypter.update(data, &mut out)?;
    let rest = crypter.finalize(&mut out[written..])?;
    out.truncate(written + rest);
    Ok(out)
}

/// A block cipher in a mode with an initial value, without padding.
pub(crate) fn block_cipher(
    cipher: Cipher,
    mode: Mode,
    key: &[u8],
    iv: &[u8],
    data: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    crypt(cipher, mode, key, Some(iv), data)
}

/// AES-CMAC with a key of any of its three lengths.
pub(crate) fn cmac(key: &[u8], parts: &[&[u8]]) -> Result<[u8; 16], CryptoError> {
    let cipher = match key.len() {
        16 => Cipher::aes_128_cbc(),
        24 => Cipher::aes_192_cbc(),
        _ => Cipher::aes_256_cbc(),
    };
    let key = PKey::cmac(&cipher, key)?;
    let mut signer = openssl::sign::Signer::new_without_digest(&key)?;
    for part in parts {
        signer.update(part)?;
    }
    let mut mac = [0; 16];
    signer.sign(&mut mac)?;
    Ok(mac)
}

/// AES-128-CMAC (NIST SP 800-38B) over the concatenated `parts`.
pub fn aes_cmac(key: &[u8; 16], parts: &[&[u8]]) -> Result<[u8; 16], CryptoError> {
    cmac(key, parts)
}

/// HMAC-SHA-256 over the concatenated `parts`.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Result<[u8; 32], CryptoError> {
    let key = PKey::hmac(key)?;
    let mut signer = openssl::sign::Signer::new(openssl::hash::MessageDigest::sha256(), &key)?;
    for part in parts {
        signer.update(part)?;
    }
    let mut mac = [0; 32];
    signer.sign(&mut mac)?;
    Ok(mac)
}

/// Compares secrets in a time that does not depend on where they differ.
pub fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && openssl::memcmp::eq(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{from_hex, to_hex};

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        from_hex(text).unwrap().try_into().unwrap()
    }

    #[test]
    fn signature_with_the_nonce_of_rfc_6979() {
        // RFC 6979 §A.2.5, P-256, SHA-256, message "sample".
        let key = PrivateKey::from_scalar(
            Curve::P256,
            &hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721"),
        )
        .unwrap();
        let signature = key.sign(&[b"sam", b"ple"]).unwrap();
        assert_eq!(
            to_hex(&signature),
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
        );
        assert!(key.public().verify(&[b"sample"], &signature));
        assert!(!key.public().verify(&[b"simple"], &signature));
        assert!(!key.public().verify(&[b"sample"], &signature[..63]));
        assert!(!key.public().verify(&[b"sample"], &[0; 64]));
    }

    #[test]
    fn key_agreement_on_both_curves() {
        // RFC 7027 §A.1 (brainpoolP256r1) and NIST CAVS ECCCDH P-256, count 0.
        let brainpool = (
            "81DB1EE100150FF2EA338D708271BE38300CB54241D79950F77B063039804F1D",
            "048D2D688C6CF93E1160AD04CC4429117DC2C41825E1E9FCA0ADDD34E6F1B39F7B990C57520812BE512641E47034832106BC7D3E8DD0E4C7F1136D7006547CEC6A",
            "89AFC39D41D3B327814B80940B042590F96556EC91E6AE7939BCE31F3A18BF2B",
        );
        let nist = (
            "7D7DC5F71EB29DDAF80D6214632EEAE03D9058AF1FB6D22ED80BADB62BC1A534",
            "04700C48F77F56584C5CC632CA65640DB91B6BACCE3A4DF6B42CE7CC838833D287DB71E509E3FD9B060DDB20BA5C51DCC5948D46FBF640DFE0441782CAB85FA4AC",
            "46FC62106420FF012E54A434FBDD2D25CCC5852060561E68040DD7778997BD7B",
        );
        for (curve, (own, peer, shared)) in [(Curve::BrainpoolP256r1, brainpool), (Curve::P256, nist)] {
            let own = PrivateKey::from_scalar(curve, &hex(own)).unwrap();
            let peer = PublicKey::from_point(curve, &from_hex(peer).unwrap()).unwrap();
            assert_eq!(to_hex(&own.agree(&peer).unwrap()[..]), shared);
        }
    }

    #[test]
    fn points_off_the_curve_are_refused() {
        let key = PrivateKey::generate(Curve::P256, &mut SeededRandom::new(1, "test")).unwrap();
        let mut point = key.public().point();
        assert_eq!(PublicKey::from_point(Curve::P256, &point).unwrap(), *key.public());
        point[64] ^= 1;
        assert!(matches!(PublicKey::from_point(Curve::P256, &point), Err(CryptoError::NotOnCurve(Curve::P256))));
        assert!(PublicKey::from_point(Curve::BrainpoolP256r1, &key.public().point()).is_err());
        assert!(PublicKey::from_point(Curve::P256, &[]).is_err());
        assert!(PrivateKey::from_scalar(Curve::P256, &[0; 32]).is_err());
        assert!(PrivateKey::from_scalar(Curve::P256, &[0xFF; 32]).is_err());
    }

    #[test]
    fn cmac_known_answers() {
        // NIST SP 800-38B, appendix D.1, examples 1 and 2.
        let key = hex("2B7E151628AED2A6ABF7158809CF4F3C");
        assert_eq!(to_hex(&aes_cmac(&key, &[]).unwrap()), "BB1D6929E95937287FA37D129B756746");
        let block: [u8; 16] = hex("6BC1BEE22E409F96E93D7E117393172A");
        assert_eq!(to_hex(&aes_cmac(&key, &[&block[..5], &block[5..]]).unwrap()), "070A16B46B4D4144F79BDD9DD04A287C");
    }

    #[test]
    fn confirmation_code_hash_known_answer() {
        let transaction_id: Vec<u8> = (0..16).collect();
        assert_eq!(
            to_hex(&hash_confirmation_code("12345678", &transaction_id)),
            "AB311C0527DB635C7BAC464EFC070D69AFECBBA55A894064B394C56165610EC0"
        );
    }

    #[test]
    fn keys_survive_pem_and_scalar() {
        for curve in [Curve::P256, Curve::BrainpoolP256r1] {
            let key = PrivateKey::generate(curve, &mut SeededRandom::new(7, "test")).unwrap();
            let again = PrivateKey::from_pem_or_der(&key.to_pem().unwrap()).unwrap();
            assert_eq!(again.public(), key.public());
            assert_eq!(PrivateKey::from_scalar(curve, &key.scalar().unwrap()).unwrap().public(), key.public());
            assert_eq!(format!("{key:?}"), format!("PrivateKey({curve})"));
        }
        assert!(matches!(PrivateKey::from_pem_or_der(b"nothing"), Err(CryptoError::NoPrivateKey)));
    }

    #[test]
    fn seeded_streams_repeat_and_differ_by_label() {
        let draw = |label| SeededRandom::new(42, label).array::<40>();
        assert_eq!(draw("card"), draw("card"));
        assert_ne!(draw("card"), draw("server"));
    }
}
