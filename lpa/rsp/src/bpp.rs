//! The bound profile package (SGP.22 §2.5) and the secure channel that protects it (§2.6.4).
//!
//! ```text
//! BF36 { BF23 InitialiseSecureChannel,
//!        A0 { 87 ConfigureISDP },  A1 { 88 StoreMetadata ... },
//!        A2 { 87 ReplaceSessionKeys } (optional),  A3 { 86 profile elements ... } }
//! ```
//!
//! Both ends derive [`SessionKeys`] from a key agreement and run a [`SecureChannel`] over the segments in order: the
//! SM-DP+ seals with `encrypt` and `mac_only`, the card opens with `open`. After ReplaceSessionKeys a new channel with
//! the keys of the protected profile package takes over. The LPA understands none of it: [`load_commands`] cuts the
//! package into the pieces that it has to send, each a slice of what was received.

use openssl::symm::Mode;
use zeroize::Zeroizing;

use crate::crypto::{self, CryptoError, PrivateKey, PublicKey};
use crate::es10::download::{KEY_LENGTH, KEY_TYPE_AES, TAG_INITIALISE_SECURE_CHANNEL};
use crate::tlv::{self, Reader, Tag, Tlv, TlvError, Writer};
use crate::{Eid, es10};

/// The bound profile package.
pub const TAG_BOUND_PROFILE_PACKAGE: u32 = 0xBF36;
/// `firstSequenceOf87`.
pub const TAG_FIRST_SEQUENCE_OF_87: u32 = 0xA0;
/// `sequenceOf88`.
pub const TAG_SEQUENCE_OF_88: u32 = 0xA1;
/// `secondSequenceOf87`.
pub const TAG_SECOND_SEQUENCE_OF_87: u32 = 0xA2;
/// `sequenceOf86`.
pub const TAG_SEQUENCE_OF_86: u32 = 0xA3;
/// A segment that is encrypted and authenticated: a command to the ISD-P.
pub const TAG_SEGMENT_COMMAND: u32 = 0x87;
/// A segment that is authenticated only: metadata, which the LPA may read.
pub const TAG_SEGMENT_METADATA: u32 = 0x88;
/// A segment that is encrypted and authenticated: profile elements.
pub const TAG_SEGMENT_PROFILE: u32 = 0x86;
/// ReplaceSessionKeys (SGP.22 §5.5.4).
pub const TAG_REPLACE_SESSION_KEYS: u32 = 0xBF26;

/// The longest segment, tag and length included (SGP.22 §2.5.4: 1020 bytes).
pub const MAX_SEGMENT: usize = 1020;
/// The most plaintext that fits into an encrypted segment: 1008 bytes of ciphertext with at least one of padding.
pub const MAX_ENCRYPTED_PLAINTEXT: usize = 1007;
/// The most data that fits into a segment which is authenticated only.
pub const MAX_MAC_ONLY_DATA: usize = 1008;

const MAC_LENGTH: usize = 8;
const BLOCK: usize = 16;

/// The three keys of a secure channel. They are wiped when dropped and never printed.
pub struct SessionKeys {
    initial_mac_chaining_value: Zeroizing<[u8; 16]>,
    encryption: Zeroizing<[u8; 16]>,
    mac: Zeroizing<[u8; 16]>,
}

impl std::fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKeys(..)")
    }
}

impl SessionKeys {
    /// Key agreement and derivation (SGP.22 §2.6.4.1 and annex G): both ends get the same keys from their own one-time
    /// private key and the other's public key.
    pub fn agree(own: &PrivateKey, peer: &PublicKey, host_id: &[u8], eid: &Eid) -> Result<Self, CryptoError> {
        let secret = own.agree(peer)?;
        Ok(SessionKeys::derive(&secret[..], host_id, eid))
    }

    /// The derivation from a shared secret (X9.63 KDF with `key type ‖ key length ‖ LV(host id) ‖ LV(EID)`).
    pub fn derive(shared_secret: &[u8], host_id: &[u8], eid: &Eid) -> Self {
        let mut info = vec![KEY_TYPE_AES, KEY_LENGTH];
        for value in [host_id, eid.as_bytes()] {
            info.push(value.len() as u8);
            info.extend_from_slice(value);
        }
        let material = crypto::x963_kdf(shared_secret, &info, 48);
        SessionKeys {
            initial_mac_chaining_value: copy(&material[..16]),
            encryption: copy(&material[16..32]),
            mac: copy(&material[32..48]),
        }
    }

    /// Keys of a protected profile package, drawn by the SM-DP+.
    pub fn random(random: &mut dyn crypto::Random) -> Self {
        let mut draw = || {
            let mut key = Zeroizing::new([0; 16]);
            random.fill(&mut key[..]);
            key
        };
        SessionKeys { initial_mac_chaining_value: draw(), encryption: draw(), mac: draw() }
    }

    /// The command ReplaceSessionKeys, `BF26`, that carries these keys.
    pub fn encode_replace_session_keys(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(
            Writer::new()
                .nested(TAG_REPLACE_SESSION_KEYS, |w| {
                    w.put(0x80, &self.initial_mac_chaining_value[..])
                        .put(0x81, &self.encryption[..])
                        .put(0x82, &self.mac[..])
                })
                .into_vec(),
        )
    }

    /// Reads the command ReplaceSessionKeys.
    pub fn parse_replace_session_keys(bytes: &[u8]) -> Result<Self, TlvError> {
        let mut fields = Tlv::parse_as(TAG_REPLACE_SESSION_KEYS, bytes)?.reader();
        let keys = SessionKeys {
            initial_mac_chaining_value: Zeroizing::new(fields.require(0x80)?.as_array()?),
            encryption: Zeroizing::new(fields.require(0x81)?.as_array()?),
            mac: Zeroizing::new(fields.require(0x82)?.as_array()?),
        };
        fields.finish()?;
        Ok(keys)
    }
}

fn copy(bytes: &[u8]) -> Zeroizing<[u8; 16]> {
    let mut key = Zeroizing::new([0; 16]);
    key.copy_from_slice(bytes);
    key
}

/// A segment that does not open.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// Its size cannot be right (the card answers `scp03tStructureError`).
    #[error("segment {tag} has {length} bytes, which no sealed segment has")]
    Structure {
        /// The segment's tag.
        tag: Tag,
        /// The length of its value.
        length: usize,
    },
    /// Its MAC or its padding is wrong (the card answers `scp03tSecurityError`).
    #[error("segment {tag} is not authentic")]
    Security {
        /// The segment's tag.
        tag: Tag,
    },
    /// OpenSSL failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// One end of the secure channel (SCP03t, SGP.22 §2.6.4.2): its keys, the MAC chaining value and the block counter.
pub struct SecureChannel {
    encryption: Zeroizing<[u8; 16]>,
    mac: Zeroizing<[u8; 16]>,
    mac_chaining_value: [u8; 16],
    counter: u128,
}

impl std::fmt::Debug for SecureChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecureChannel(block {})", self.counter)
    }
}

impl SecureChannel {
    /// A channel at its first block.
    pub fn new(keys: SessionKeys) -> Self {
        SecureChannel {
            encryption: keys.encryption,
            mac: keys.mac,
            mac_chaining_value: *keys.initial_mac_chaining_value,
            counter: 1,
        }
    }

    /// Encrypts and authenticates one segment: the whole element.
    pub fn encrypt(&mut self, tag: u32, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let mut padded = Zeroizing::new(Vec::with_capacity(plaintext.len() + BLOCK));
        padded.extend_from_slice(plaintext);
        padded.push(0x80);
        let length = padded.len().next_multiple_of(BLOCK);
        padded.resize(length, 0);
        let iv = self.next_iv()?;
        let ciphertext = crypto::aes_cbc(Mode::Encrypt, &self.encryption, &iv, &padded)?;
        self.seal(tag, &ciphertext)
    }

    /// Authenticates one segment without encrypting it: the whole element.
    pub fn mac_only(&mut self, tag: u32, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        // The block counter counts every segment, encrypted or not.
        self.counter += 1;
        self.seal(tag, data)
    }

    fn seal(&mut self, tag: u32, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let header = tlv::header(tag, data.len() + MAC_LENGTH);
        let mac = self.next_mac(&header, data)?;
        Ok([&header[..], data, &mac[..MAC_LENGTH]].concat())
    }

    /// Checks one segment and gives its plaintext (tags 86 and 87) or its data (tag 88).
    pub fn open(&mut self, segment: &Tlv<'_>) -> Result<Zeroizing<Vec<u8>>, SegmentError> {
        let tag = segment.tag();
        let value = segment.value();
        let structure = SegmentError::Structure { tag, length: value.len() };
        let Some(length) = value.len().checked_sub(MAC_LENGTH) else {
            return Err(structure);
        };
        let (data, received) = value.split_at(length);
        let encrypted = tag.0 != TAG_SEGMENT_METADATA;
        if encrypted && (data.is_empty() || data.len() % BLOCK != 0) {
            return Err(structure);
        }
        // The MAC covers tag and length in the form that DER gives them (SGP.22 §2.6.4.3).
        let mac = self.next_mac(&tlv::header(tag, value.len()), data)?;
        if !crypto::equal_in_constant_time(&mac[..MAC_LENGTH], received) {
            return Err(SegmentError::Security { tag });
        }
        if !encrypted {
            self.counter += 1;
            return Ok(Zeroizing::new(data.to_vec()));
        }
        let iv = self.next_iv()?;
        let mut plaintext = Zeroizing::new(crypto::aes_cbc(Mode::Decrypt, &self.encryption, &iv, data)?);
        let end = plaintext.iter().rposition(|byte| *byte != 0).filter(|end| plaintext[*end] == 0x80);
        match end {
            Some(end) if plaintext.len() - end <= BLOCK => {
                plaintext.truncate(end);
                Ok(plaintext)
            }
            _ => Err(SegmentError::Security { tag }),
        }
    }

    fn next_iv(&mut self) -> Result<[u8; 16], CryptoError> {
        let iv = crypto::aes_block(&self.encryption, &self.counter.to_be_bytes())?;
        self.counter += 1;
        Ok(iv)
    }

    fn next_mac(&mut self, header: &[u8], data: &[u8]) -> Result<[u8; 16], CryptoError> {
        self.mac_chaining_value = crypto::aes_cmac(&self.mac, &[&self.mac_chaining_value, header, data])?;
        Ok(self.mac_chaining_value)
    }
}

/// The parts of a bound profile package, each as it was received.
#[derive(Debug, Clone)]
pub struct BoundProfilePackage<'a> {
    /// `BF23`, the whole element.
    pub initialise_secure_channel: &'a [u8],
    /// The segments of `A0`.
    pub configure_isdp: Vec<Tlv<'a>>,
    /// The segments of `A1`.
    pub store_metadata: Vec<Tlv<'a>>,
    /// The segments of `A2`, when there is one.
    pub replace_session_keys: Option<Vec<Tlv<'a>>>,
    /// The segments of `A3`.
    pub profile_elements: Vec<Tlv<'a>>,
}

impl<'a> BoundProfilePackage<'a> {
    /// Reads the structure; the segments stay sealed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TlvError> {
        let mut parts = Tlv::parse_as(TAG_BOUND_PROFILE_PACKAGE, bytes)?.reader();
        let initialise_secure_channel = parts.expect(TAG_INITIALISE_SECURE_CHANNEL)?.raw();
        let configure_isdp = segments(parts.expect(TAG_FIRST_SEQUENCE_OF_87)?, TAG_SEGMENT_COMMAND)?;
        let store_metadata = segments(parts.expect(TAG_SEQUENCE_OF_88)?, TAG_SEGMENT_METADATA)?;
        let replace_session_keys = parts
            .optional(TAG_SECOND_SEQUENCE_OF_87)?
            .map(|sequence| segments(sequence, TAG_SEGMENT_COMMAND))
            .transpose()?;
        let profile_elements = segments(parts.expect(TAG_SEQUENCE_OF_86)?, TAG_SEGMENT_PROFILE)?;
        parts.finish()?;
        Ok(BoundProfilePackage {
            initialise_secure_channel,
            configure_isdp,
            store_metadata,
            replace_session_keys,
            profile_elements,
        })
    }
}

fn segments(sequence: Tlv<'_>, tag: u32) -> Result<Vec<Tlv<'_>>, TlvError> {
    let mut reader = sequence.reader();
    let mut found = Vec::new();
    while !reader.is_empty() {
        found.push(reader.expect(tag)?);
    }
    Ok(found)
}

/// Puts a bound profile package together from sealed segments.
pub fn encode_bound_profile_package(
    initialise_secure_channel: &[u8],
    configure_isdp: &[u8],
    store_metadata: &[Vec<u8>],
    replace_session_keys: Option<&[u8]>,
    profile_elements: &[Vec<u8>],
) -> Vec<u8> {
    Writer::new()
        .nested(TAG_BOUND_PROFILE_PACKAGE, |w| {
            w.raw(initialise_secure_channel)
                .put(TAG_FIRST_SEQUENCE_OF_87, configure_isdp)
                .put(TAG_SEQUENCE_OF_88, &store_metadata.concat())
                .put_opt(TAG_SECOND_SEQUENCE_OF_87, replace_session_keys)
                .put(TAG_SEQUENCE_OF_86, &profile_elements.concat())
        })
        .into_vec()
}

/// The pieces in which an LPA sends a bound profile package to the card (SGP.22 §2.5.5, §3.1.3 step 4), each a command
/// of its own: `BF36` with `BF23`; `A0` with its first segment; `A1` alone, then each `88`; `A2` with its first
/// segment; `A3` alone, then each `86`. Every piece is a slice of the package; together they are all of it.
pub fn load_commands(package: &[u8]) -> Result<Vec<&[u8]>, TlvError> {
    let outer = Tlv::parse_as(TAG_BOUND_PROFILE_PACKAGE, package)?;
    let mut commands = Vec::new();
    let mut parts = outer.reader();
    let first = parts.expect(TAG_INITIALISE_SECURE_CHANNEL)?;
    commands.push(&package[..outer.header().len() + first.raw().len()]);
    while let Some(part) = parts.next_tlv()? {
        let mut inside: Reader<'_> = part.reader();
        let with_first = matches!(part.tag().0, TAG_FIRST_SEQUENCE_OF_87 | TAG_SECOND_SEQUENCE_OF_87);
        let first_length = if with_first { inside.next_tlv()?.map_or(0, |tlv| tlv.raw().len()) } else { 0 };
        commands.push(&part.raw()[..part.header().len() + first_length]);
        for segment in inside {
            commands.push(segment?.raw());
        }
    }
    Ok(commands)
}

/// The part of `smdpSignature2` and `euiccSignature2` that carries the other side's signature: `5F37 40 ...`.
pub fn signature_element(signature: &[u8]) -> Vec<u8> {
    tlv::encode(es10::TAG_SIGNATURE, signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Curve, SeededRandom};
    use crate::es10::download::{InitialiseSecureChannel, StoreMetadata};
    use crate::es10::tests::session_file;
    use crate::ids::{from_hex, to_hex};
    use proptest::prelude::*;

    fn test_eid() -> Eid {
        Eid::parse("89049032123451234512345678901235").unwrap()
    }

    fn known_answer_keys() -> SessionKeys {
        let secret: Vec<u8> = (0..32).collect();
        SessionKeys::derive(&secret, &from_hex("0102030405060708").unwrap(), &test_eid())
    }

    #[test]
    fn derivation_and_segments_known_answers() {
        // Computed twice, by pySim and independently.
        let keys = known_answer_keys();
        assert_eq!(to_hex(&keys.initial_mac_chaining_value[..]), "8B6C2BB861DB072A29F7D04210BEDD31");
        assert_eq!(to_hex(&keys.encryption[..]), "08C39C34A95065D0054F97E415EB6BBA");
        assert_eq!(to_hex(&keys.mac[..]), "AB97DF85EC5FC35BFFADDA887E4EA348");
        let mut sender = SecureChannel::new(keys);
        let mut receiver = SecureChannel::new(known_answer_keys());
        for (tag, plain, sealed) in [
            (0x87, "BF2400", "8718F3B64F2ED045FFA4727555DDADDE52F392E275AB0B1D9647"),
            (0x88, "0102", "880A01021A6373B4D3ECFB14"),
            (0x86, "03", "8618B1C77E8ADE9F7EA93230847FB8B1271104494409442631A9"),
        ] {
            let plain = from_hex(plain).unwrap();
            let bytes = if tag == 0x88 { sender.mac_only(tag, &plain) } else { sender.encrypt(tag, &plain) }.unwrap();
            assert_eq!(to_hex(&bytes), sealed);
            let opened = receiver.open(&Tlv::parse_exact(&bytes).unwrap()).unwrap();
            assert_eq!(opened[..], plain[..]);
        }
    }

    #[test]
    fn recorded_session_opens_to_its_profile() {
        // proves: Data - the recorded session
        let (Some(package), Some(otsk), Some(profile), Some(metadata), Some(prepared)) = (
            session_file("bound-profile-package.der"),
            session_file("otsk-dp.bin"),
            session_file("upp.der"),
            session_file("store-metadata.der"),
            session_file("prepare-download-response.der"),
        ) else {
            return;
        };
        let crate::es10::download::PrepareDownloadResponse::Ok { euicc_signed2, .. } =
            crate::es10::download::PrepareDownloadResponse::parse(&prepared).unwrap()
        else {
            panic!("success was recorded");
        };
        let parts = BoundProfilePackage::parse(&package).unwrap();
        let init = InitialiseSecureChannel::parse(parts.initialise_secure_channel).unwrap();
        let own = PrivateKey::from_scalar(Curve::P256, &otsk.try_into().unwrap()).unwrap();
        assert_eq!(own.public().point(), init.smdp_otpk);
        let peer = PublicKey::from_point(Curve::P256, &euicc_signed2.euicc_otpk).unwrap();
        let mut channel = SecureChannel::new(SessionKeys::agree(&own, &peer, init.host_id, &test_eid()).unwrap());
        let mut open = |segments: &[Tlv<'_>]| -> Vec<u8> {
            segments.iter().flat_map(|segment| channel.open(segment).unwrap().to_vec()).collect()
        };
        assert_eq!(open(&parts.configure_isdp)[..2], [0xBF, 0x24]);
        let opened = open(&parts.store_metadata);
        assert_eq!(opened, metadata);
        assert_eq!(StoreMetadata::parse(&opened).unwrap().service_provider_name, "euicc-rsp");
        assert!(parts.replace_session_keys.is_none());
        assert_eq!(open(&parts.profile_elements), profile);
        assert_eq!(load_commands(&package).unwrap().concat(), package);
    }

    #[test]
    fn commands_are_cut_as_the_specification_says() {
        let package = encode_bound_profile_package(
            &[0xBF, 0x23, 0x00],
            &[0x87, 0x01, 0xAA],
            &[vec![0x88, 0x01, 0x01], vec![0x88, 0x01, 0x02]],
            Some(&[0x87, 0x01, 0xBB]),
            &[vec![0x86, 0x01, 0x03], vec![0x86, 0x01, 0x04]],
        );
        let commands: Vec<String> = load_commands(&package).unwrap().into_iter().map(to_hex).collect();
        assert_eq!(
            commands,
            ["BF361DBF2300", "A0038701AA", "A106", "880101", "880102", "A2038701BB", "A306", "860103", "860104"]
        );
        assert!(load_commands(&package[..package.len() - 1]).is_err());
    }

    #[test]
    fn largest_segments_stay_within_the_limit() {
        let mut channel = SecureChannel::new(known_answer_keys());
        assert_eq!(channel.encrypt(0x86, &[0; MAX_ENCRYPTED_PLAINTEXT]).unwrap().len(), MAX_SEGMENT);
        assert_eq!(channel.mac_only(0x88, &[0; MAX_MAC_ONLY_DATA]).unwrap().len(), MAX_SEGMENT);
    }

    #[test]
    fn replaced_keys_round_trip() {
        let keys = SessionKeys::random(&mut SeededRandom::new(5, "ppk"));
        let bytes = keys.encode_replace_session_keys();
        let mut sender = SecureChannel::new(keys);
        let mut receiver = SecureChannel::new(SessionKeys::parse_replace_session_keys(&bytes).unwrap());
        let sealed = sender.encrypt(0x86, b"profile").unwrap();
        assert_eq!(receiver.open(&Tlv::parse_exact(&sealed).unwrap()).unwrap()[..], *b"profile");
        assert!(SessionKeys::parse_replace_session_keys(&bytes[..bytes.len() - 1]).is_err());
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_found(plain in proptest::collection::vec(any::<u8>(), 0..60), tag in prop::sample::select(vec![0x86u32, 0x87, 0x88]), position in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut sender = SecureChannel::new(known_answer_keys());
            let mut sealed = if tag == 0x88 { sender.mac_only(tag, &plain) } else { sender.encrypt(tag, &plain) }.unwrap();
            let offset = 2 + position.index(sealed.len() - 2);
            sealed[offset] ^= 1u8 << bit;
            let mut receiver = SecureChannel::new(known_answer_keys());
            let result = receiver.open(&Tlv::parse_exact(&sealed).unwrap());
            let refused = matches!(result, Err(SegmentError::Security { .. }));
            prop_assert!(refused);
        }

        #[test]
        fn no_segment_panics(tag in any::<u8>(), value in proptest::collection::vec(any::<u8>(), 0..64)) {
            let bytes = tlv::encode(u32::from(tag & 0x9E), &value);
            if let Ok(segment) = Tlv::parse_exact(&bytes) {
                let _ = SecureChannel::new(known_answer_keys()).open(&segment);
            }
            let _ = (load_commands(&bytes), BoundProfilePackage::parse(&bytes));
            let _ = load_commands(&tlv::encode(TAG_BOUND_PROFILE_PACKAGE, &value));
        }
    }
}
