//! Protection and binding: from an unprotected profile package to a bound one (SGP.22 §2.5.2 to §2.5.4).
//!
//! Unprotected package → segments sealed under keys of its own ([`Protected`], once for an order) or under the session
//! keys → with the commands ConfigureISDP, StoreMetadata and ReplaceSessionKeys in front, bound to one card's one-time
//! key ([`Bound`]) → with InitialiseSecureChannel signed for one session, the bound profile package.

use std::sync::Arc;

use rsp::bpp::{
    MAX_ENCRYPTED_PLAINTEXT, MAX_MAC_ONLY_DATA, SecureChannel, SessionKeys, TAG_SEGMENT_COMMAND, TAG_SEGMENT_METADATA,
    TAG_SEGMENT_PROFILE, encode_bound_profile_package,
};
use rsp::crypto::{CryptoError, PrivateKey, PublicKey, Random};
use rsp::es10::TAG_OTPK;
use rsp::es10::download::{InitialiseSecureChannel, TAG_CONFIGURE_ISDP};
use rsp::tlv::{Tlv, TlvError, Writer, encode};
use rsp::{Eid, TransactionId};
use zeroize::Zeroizing;

use crate::flaw::PackageFlaw;

/// A protected profile package: the profile under keys that are drawn for it (SGP.22 §2.5.3).
pub(crate) struct Protected {
    /// The command ReplaceSessionKeys with these keys.
    replace_session_keys: Zeroizing<Vec<u8>>,
    segments: Arc<[Vec<u8>]>,
}

impl std::fmt::Debug for Protected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Protected({} segments)", self.segments.len())
    }
}

impl Protected {
    /// Protects a package with new keys.
    pub(crate) fn new(package: &[u8], random: &mut dyn Random) -> Result<Self, CryptoError> {
        let keys = SessionKeys::random(random);
        let replace_session_keys = keys.encode_replace_session_keys();
        let segments = seal(package, &mut SecureChannel::new(keys))?.into();
        Ok(Protected { replace_session_keys, segments })
    }
}

/// Tags of records in the store; they never leave it.
const RECORD_PROTECTED: u32 = 0xE1;
const RECORD_BOUND: u32 = 0xE2;

fn write_all(writer: Writer, tag: u32, parts: &[Vec<u8>]) -> Writer {
    writer.nested(tag, |w| parts.iter().fold(w, |w, part| w.raw(part)))
}

fn read_all(tlv: Tlv<'_>) -> Result<Vec<Vec<u8>>, TlvError> {
    tlv.reader().map(|part| part.map(|part| part.raw().to_vec())).collect()
}

impl Protected {
    /// The record of it for the store.
    pub(crate) fn record(&self) -> Vec<u8> {
        let writer = Writer::new()
            .nested(RECORD_PROTECTED, |w| write_all(w.put(0x80, &self.replace_session_keys), 0xA1, &self.segments));
        writer.into_vec()
    }

    /// Reads its record.
    pub(crate) fn from_record(bytes: &[u8]) -> Result<Self, TlvError> {
        let mut fields = Tlv::parse_as(RECORD_PROTECTED, bytes)?.reader();
        Ok(Protected {
            replace_session_keys: Zeroizing::new(fields.require(0x80)?.value().to_vec()),
            segments: read_all(fields.require(0xA1)?)?.into(),
        })
    }
}

/// Cuts a package into segments `86` (SGP.22 §2.5.3: at most 1020 bytes each) and seals them.
fn seal(package: &[u8], channel: &mut SecureChannel) -> Result<Vec<Vec<u8>>, CryptoError> {
    package.chunks(MAX_ENCRYPTED_PLAINTEXT).map(|chunk| channel.encrypt(TAG_SEGMENT_PROFILE, chunk)).collect()
}

/// What a package is bound to.
pub(crate) struct Binding<'a> {
    pub(crate) eid: Eid,
    pub(crate) euicc_otpk: [u8; 65],
    pub(crate) host_id: &'a [u8],
    /// The element `BF25`.
    pub(crate) metadata: &'a [u8],
}

/// A package bound to a card's one-time key: everything of it but InitialiseSecureChannel, which names a session.
pub(crate) struct Bound {
    pub(crate) eid: Eid,
    pub(crate) euicc_otpk: [u8; 65],
    smdp_otpk: [u8; 65],
    host_id: Vec<u8>,
    configure_isdp: Vec<u8>,
    store_metadata: Vec<Vec<u8>>,
    replace_session_keys: Option<Vec<u8>>,
    profile_elements: Arc<[Vec<u8>]>,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bound({} segments for {})", self.profile_elements.len(), self.eid)
    }
}

impl Bound {
    /// Binds a package: under the session keys, or, when it is protected already, with its own keys sent along.
    pub(crate) fn new(
        binding: &Binding<'_>,
        package: &[u8],
        protected: Option<&Protected>,
        random: &mut dyn Random,
        curve: rsp::crypto::Curve,
        flaw: Option<PackageFlaw>,
    ) -> Result<Self, CryptoError> {
        // What the card has sent may be no point at all: that comes first.
        let peer = PublicKey::from_point(curve, &binding.euicc_otpk)?;
        let one_time = PrivateKey::generate(curve, random)?;
        let keys = SessionKeys::agree(&one_time, &peer, binding.host_id, &binding.eid)?;
        let mut channel = SecureChannel::new(keys);
        let configure_isdp = match flaw {
            Some(flaw) => flaw.configure_isdp(&mut channel)?,
            None => channel.encrypt(TAG_SEGMENT_COMMAND, &encode(TAG_CONFIGURE_ISDP, &[]))?,
        };
        let mut store_metadata = binding
            .metadata
            .chunks(MAX_MAC_ONLY_DATA)
            .map(|chunk| channel.mac_only(TAG_SEGMENT_METADATA, chunk))
            .collect::<Result<Vec<_>, _>>()?;
        let (mut replace_session_keys, mut profile_elements): (_, Arc<[Vec<u8>]>) = match protected {
            Some(protected) => {
                let command = channel.encrypt(TAG_SEGMENT_COMMAND, &protected.replace_session_keys)?;
                (Some(command), protected.segments.clone())
            }
            None => (None, seal(package, &mut channel)?.into()),
        };
        if let Some(flaw) = flaw {
            flaw.store_metadata(&mut store_metadata);
            flaw.replace_session_keys(&mut replace_session_keys);
            let mut segments = profile_elements.to_vec();
            flaw.profile_elements(&mut segments);
            profile_elements = segments.into();
        }
        Ok(Bound {
            eid: binding.eid,
            euicc_otpk: binding.euicc_otpk,
            smdp_otpk: one_time.public().point(),
            host_id: binding.host_id.to_vec(),
            configure_isdp,
            store_metadata,
            replace_session_keys,
            profile_elements,
        })
    }

    /// The record of it for the store.
    pub(crate) fn record(&self) -> Vec<u8> {
        let write = |w: Writer| {
            let w = w.put(0x80, self.eid.as_bytes()).put(0x81, &self.euicc_otpk).put(0x82, &self.smdp_otpk);
            let w = write_all(w.put(0x83, &self.host_id).put(0x84, &self.configure_isdp), 0xA5, &self.store_metadata);
            write_all(w.put_opt(0x86, self.replace_session_keys.as_ref()), 0xA7, &self.profile_elements)
        };
        Writer::new().nested(RECORD_BOUND, write).into_vec()
    }

    /// Reads its record.
    pub(crate) fn from_record(bytes: &[u8]) -> Result<Self, TlvError> {
        let mut fields = Tlv::parse_as(RECORD_BOUND, bytes)?.reader();
        let eid = fields.require(0x80)?;
        Ok(Bound {
            eid: Eid::from_bytes(eid.value())
                .map_err(|error| TlvError::BadValue { tag: eid.tag(), rule: error.rule })?,
            euicc_otpk: fields.require(0x81)?.as_array()?,
            smdp_otpk: fields.require(0x82)?.as_array()?,
            host_id: fields.require(0x83)?.value().to_vec(),
            configure_isdp: fields.require(0x84)?.value().to_vec(),
            store_metadata: read_all(fields.require(0xA5)?)?,
            replace_session_keys: fields.optional(0x86)?.map(|command| command.value().to_vec()),
            profile_elements: read_all(fields.require(0xA7)?)?.into(),
        })
    }

    /// How many segments carry the profile.
    pub(crate) fn segments(&self) -> usize {
        self.profile_elements.len()
    }

    /// The bound profile package for a session (SGP.22 §5.5.1: the signature covers the command up to the SM-DP+'s
    /// key, and the card's key).
    pub(crate) fn package(
        &self,
        transaction_id: &TransactionId,
        pb_key: &PrivateKey,
        flaw: Option<PackageFlaw>,
    ) -> Result<Vec<u8>, CryptoError> {
        let signed = match flaw {
            Some(flaw) => flaw.signed_part(transaction_id, &self.host_id, &self.smdp_otpk),
            None => InitialiseSecureChannel::encode_signed_part(transaction_id, &self.host_id, &self.smdp_otpk),
        };
        let signature = pb_key.sign(&[&signed, &encode(TAG_OTPK, &self.euicc_otpk)])?;
        Ok(encode_bound_profile_package(
            &InitialiseSecureChannel::encode(&signed, &signature),
            &self.configure_isdp,
            &self.store_metadata,
            self.replace_session_keys.as_deref(),
            &self.profile_elements,
        ))
    }
}

#[cfg(test)]
mod tests {
    use rsp::crypto::Curve;
    use rsp::es10::download::PrepareDownloadResponse;
    use rsp::ids::to_hex;

    use super::*;

    const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");

    /// A random source that has been asked before.
    struct Known(Vec<u8>);

    impl Random for Known {
        fn fill(&mut self, out: &mut [u8]) {
            let rest = self.0.split_off(out.len());
            out.copy_from_slice(&self.0);
            self.0 = rest;
        }
    }

    #[test]
    fn the_recorded_session_is_bound_again_byte_for_byte() {
        let read = |name: &str| std::fs::read(format!("{SHARED}/{name}")).ok();
        let Some(recorded) = read("session/bound-profile-package.der") else {
            println!("skipped: {SHARED} is not there");
            return;
        };
        let file = |name: &str| read(&format!("session/{name}")).unwrap();
        let response = file("prepare-download-response.der");
        let PrepareDownloadResponse::Ok { euicc_signed2, .. } = PrepareDownloadResponse::parse(&response).unwrap()
        else {
            panic!("the recorded response is one of success");
        };
        let binding = Binding {
            eid: Eid::parse("89049032123451234512345678901235").unwrap(),
            euicc_otpk: euicc_signed2.euicc_otpk,
            host_id: b"euicc-rsp",
            metadata: &file("store-metadata.der"),
        };
        let mut random = Known(file("otsk-dp.bin"));
        let bound = Bound::new(&binding, &file("upp.der"), None, &mut random, Curve::P256, None).unwrap();
        let key = read("sgp26/DPpb/SK_S_SM_DPpb_ECDSA_NIST.pem").unwrap();
        let key = PrivateKey::from_pem_or_der(&key).unwrap();
        let transaction_id = TransactionId::from_bytes(&file("transaction-id.bin")).unwrap();
        let package = bound.package(&transaction_id, &key, None).unwrap();

        // All but the signature, which has a nonce in it, is the same.
        let parts = |package: &[u8]| {
            let parts = rsp::bpp::BoundProfilePackage::parse(package).unwrap();
            let first = parts.initialise_secure_channel.len();
            let at = parts.initialise_secure_channel.as_ptr() as usize - package.as_ptr() as usize;
            (to_hex(&package[..at + first - 64]), to_hex(&package[at + first..]))
        };
        assert_eq!(parts(&package), parts(&recorded));
        let first = rsp::bpp::BoundProfilePackage::parse(&package).unwrap().initialise_secure_channel;
        let first = InitialiseSecureChannel::parse(first).unwrap();
        assert!(key.public().verify(&[&first.signed_bytes(&binding.euicc_otpk)], first.smdp_signature));
    }

    #[test]
    fn records_give_the_same_package_again() {
        let mut random = rsp::crypto::SeededRandom::new(5, "records");
        let protected = Protected::new(&[7; 3000], &mut random).unwrap();
        let again = Protected::from_record(&protected.record()).unwrap();
        assert_eq!(again.segments, protected.segments);
        let curve = Curve::P256;
        let card = PrivateKey::generate(curve, &mut random).unwrap();
        let binding = Binding {
            eid: Eid::parse("89049032123451234512345678901235").unwrap(),
            euicc_otpk: card.public().point(),
            host_id: b"host",
            metadata: &[0xBF, 0x25, 0x00],
        };
        for protected in [None, Some(&protected)] {
            let bound = Bound::new(&binding, &[7; 3000], protected, &mut random, curve, None).unwrap();
            let record = bound.record();
            assert_eq!(Bound::from_record(&record).unwrap().record(), record);
            assert!(Bound::from_record(&record[..record.len() - 1]).is_err());
        }
    }
}
