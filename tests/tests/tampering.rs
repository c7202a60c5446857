//! With one bit flipped anywhere in a certificate, a signature or a segment, on its way between server and card, the
//! download fails with the code that SGP.22 v2.5 names for it, and nothing is left of the profile.
//!
//! Positions are sampled. `cargo test -p e2e --test tampering -- --ignored --nocapture` flips every bit of
//! every object, and of what is signed, once on each curve, and prints how often each code came of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::ops::Range;

use e2e::{Honest, Meddler, World, change_member, test_pki};
use lpad::Failure;
use proptest::prelude::*;
use proptest::sample::Index;
use rsp::bpp::BoundProfilePackage;
use rsp::cert::Certificate;
use rsp::crypto::Curve;
use rsp::es10::auth::AuthenticateServerResponse;
use rsp::es10::download::PrepareDownloadResponse;
use rsp::tlv::Tlv;
use serde_json::Value;
use smdp::OrderState;
use smdp::front::Function;

/// What is tampered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    ServerSignature1,
    ServerCertificate,
    SmdpSignature2,
    SmdpCertificate,
    EuiccSignature1,
    EuiccCertificate,
    EumCertificate,
    EuiccSignature2,
    SecureChannelSignature,
    ConfigureIsdp,
    MetadataMac,
    ReplaceSessionKeys,
    ProfileElements,
    ServerSigned1,
    SmdpSigned2,
    EuiccSigned1,
    EuiccSigned2,
    /// All of it, tags and lengths included.
    BoundProfilePackage,
}

/// Which bit of the object.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Somewhere.
    Sampled(Index, u8),
    /// This one, counted from the first bit of the first byte.
    Bit(usize),
}

/// Flips one bit of the object, once.
struct Flip {
    object: Object,
    place: Place,
    /// How many bytes the object has.
    length: usize,
    /// Whether the flip fell on the tag and length at the beginning of a certificate.
    at_header: bool,
    /// The object with its bit flipped, once it has been on the way.
    flipped: Option<Vec<u8>>,
}

impl Flip {
    fn new(object: Object, place: Place) -> Self {
        Flip { object, place, length: 0, at_header: false, flipped: None }
    }

    /// Flips a bit in what `find` finds in `whole`: slices of it, taken for one after another.
    fn flip(&mut self, whole: &mut [u8], find: impl Fn(&[u8]) -> Vec<&[u8]>) {
        let base = whole.as_ptr() as usize;
        let range = |part: &[u8]| -> Range<usize> {
            let start = part.as_ptr() as usize - base;
            start..start + part.len()
        };
        let parts: Vec<_> = find(whole).into_iter().map(range).collect();
        self.length = parts.iter().map(ExactSizeIterator::len).sum();
        let (offset, bit) = match self.place {
            Place::Sampled(position, bit) => (position.index(self.length), bit),
            Place::Bit(number) => (number / 8, 7 - (number % 8) as u8),
        };
        let at = parts.iter().cloned().flatten().nth(offset).expect("a byte of the object");
        whole[at] ^= 1 << bit;
        self.at_header = offset < 4;
        self.flipped = Some(parts.into_iter().flatten().map(|at| whole[at]).collect());
    }
}

impl Meddler for Flip {
    fn request(&mut self, function: Function, body: &mut Value) {
        let object = self.object;
        match (object, function) {
            (
                Object::EuiccSignature1 | Object::EuiccCertificate | Object::EumCertificate | Object::EuiccSigned1,
                Function::AuthenticateClient,
            ) => change_member(body, "authenticateServerResponse", |bytes| {
                self.flip(bytes, |bytes| {
                    let AuthenticateServerResponse::Ok(ok) = AuthenticateServerResponse::parse(bytes).unwrap() else {
                        panic!("the card has authenticated the server");
                    };
                    vec![match object {
                        Object::EuiccSignature1 => ok.euicc_signature1,
                        Object::EuiccCertificate => ok.euicc_certificate,
                        Object::EumCertificate => ok.eum_certificate,
                        _ => ok.euicc_signed1.raw,
                    }]
                });
            }),
            (Object::EuiccSignature2 | Object::EuiccSigned2, Function::GetBoundProfilePackage) => {
                change_member(body, "prepareDownloadResponse", |bytes| {
                    self.flip(bytes, |bytes| match PrepareDownloadResponse::parse(bytes).unwrap() {
                        PrepareDownloadResponse::Ok { euicc_signed2, euicc_signature2, .. } => {
                            vec![if object == Object::EuiccSigned2 { euicc_signed2.raw } else { euicc_signature2 }]
                        }
                        PrepareDownloadResponse::Error { .. } => panic!("the card is ready"),
                    });
                });
            }
            _ => {}
        }
    }

    fn response(&mut self, function: Function, body: &mut Value) {
        let (wanted, member) = match self.object {
            Object::ServerSignature1 => (Function::InitiateAuthentication, "serverSignature1"),
            Object::ServerCertificate => (Function::InitiateAuthentication, "serverCertificate"),
            Object::ServerSigned1 => (Function::InitiateAuthentication, "serverSigned1"),
            Object::SmdpSignature2 => (Function::AuthenticateClient, "smdpSignature2"),
            Object::SmdpCertificate => (Function::AuthenticateClient, "smdpCertificate"),
            Object::SmdpSigned2 => (Function::AuthenticateClient, "smdpSigned2"),
            Object::SecureChannelSignature
            | Object::ConfigureIsdp
            | Object::MetadataMac
            | Object::ReplaceSessionKeys
            | Object::ProfileElements
            | Object::BoundProfilePackage => (Function::GetBoundProfilePackage, "boundProfilePackage"),
            Object::EuiccSignature1
            | Object::EuiccCertificate
            | Object::EumCertificate
            | Object::EuiccSignature2
            | Object::EuiccSigned1
            | Object::EuiccSigned2 => return,
        };
        if function != wanted {
            return;
        }
        let object = self.object;
        change_member(body, member, |bytes| {
            self.flip(bytes, |bytes| match object {
                // The value of the signature element, without its tag and length.
                Object::ServerSignature1 | Object::SmdpSignature2 => vec![last(bytes, 64)],
                Object::SecureChannelSignature
                | Object::ConfigureIsdp
                | Object::MetadataMac
                | Object::ReplaceSessionKeys
                | Object::ProfileElements => package_part(object, bytes),
                _ => vec![bytes],
            });
        });
    }
}

/// The part of a bound profile package that is tampered with.
fn package_part(object: Object, bytes: &[u8]) -> Vec<&[u8]> {
    let parts = BoundProfilePackage::parse(bytes).unwrap();
    fn values<'a>(segments: &[Tlv<'a>]) -> Vec<&'a [u8]> {
        segments.iter().map(Tlv::value).collect()
    }
    match object {
        Object::SecureChannelSignature => vec![last(parts.initialise_secure_channel, 64)],
        Object::ConfigureIsdp => values(&parts.configure_isdp),
        Object::MetadataMac => parts.store_metadata.iter().map(|segment| last(segment.value(), 8)).collect(),
        Object::ReplaceSessionKeys => values(&parts.replace_session_keys.unwrap()),
        _ => values(&parts.profile_elements),
    }
}

fn last(bytes: &[u8], count: usize) -> &[u8] {
    &bytes[bytes.len() - count..]
}

/// Downloads with one bit flipped, and says how it failed.
fn failure(curve: Curve, object: Object, place: Place) -> (Flip, Failure, World) {
    let mut world = World::new(curve, object == Object::ReplaceSessionKeys);
    let mut flip = Flip::new(object, place);
    let outcome = world.download(&mut flip);
    assert!(flip.flipped.is_some(), "{object:?} was not on the way");
    let failure = outcome.err().unwrap_or_else(|| panic!("{object:?}: installed all the same"));
    assert!(world.card.profiles().is_empty(), "{object:?}: something is left of the profile");
    assert_eq!(world.card.open_channels().len(), 1, "{object:?}: a channel is left open");
    assert_ne!(world.smdp.orders()[0].state(), OrderState::Installed, "{object:?}");
    (flip, *failure, world)
}

/// The eUICC's function, command of the bound profile package, and code.
fn euicc(failure: &Failure) -> (&str, Option<u32>, Option<u32>) {
    let euicc = failure.euicc.as_ref().unwrap_or_else(|| panic!("not refused by the card: {failure:?}"));
    (euicc.function, euicc.command, euicc.reason)
}

fn status(failure: &Failure) -> String {
    format!("{}/{}", failure.subject.as_deref().unwrap_or("?"), failure.reason.as_deref().unwrap_or("?"))
}

fn check(curve: Curve, object: Object, place: Place) -> (Flip, Failure) {
    let (flip, failure, mut world) = failure(curve, object, place);
    match object {
        Object::ServerSignature1 => {
            assert_eq!(euicc(&failure), ("AuthenticateServer", None, Some(2)), "{failure:?}");
        }
        Object::SmdpSignature2 => assert_eq!(euicc(&failure), ("PrepareDownload", None, Some(2)), "{failure:?}"),
        // A certificate that cannot even be found in the command is a wrong command; any other has a code of the
        // function: 1 invalidCertificate, 3 unsupportedCurve, 5 invalidOid (AuthenticateServer).
        Object::ServerCertificate | Object::SmdpCertificate if flip.at_header => {
            assert!(failure.euicc.is_some() || failure.message.contains("cannot understand"), "{failure:?}");
        }
        Object::ServerCertificate => {
            let (function, _, reason) = euicc(&failure);
            assert_eq!(function, "AuthenticateServer");
            assert!(matches!(reason, Some(1 | 3 | 5)), "{failure:?}");
        }
        Object::SmdpCertificate => {
            let (function, _, reason) = euicc(&failure);
            assert_eq!(function, "PrepareDownload");
            assert!(matches!(reason, Some(1 | 3)), "{failure:?}");
        }
        // SGP.22 §5.6.3, §5.6.2.
        Object::EuiccSignature1 | Object::EuiccSignature2 => assert_eq!(status(&failure), "8.1/6.1", "{failure:?}"),
        Object::EuiccCertificate | Object::EumCertificate if flip.at_header => {
            assert!(failure.subject.is_some(), "{failure:?}");
        }
        Object::EuiccCertificate => assert_eq!(status(&failure), "8.1.3/6.1", "{failure:?}"),
        // The EUM certificate says by its authority key identifier which CI it belongs to: with a bit of that flipped it
        // is one of a CI that the server does not know.
        Object::EumCertificate => {
            let eum = flip.flipped.as_deref().and_then(|der| Certificate::parse(der).ok());
            let ci = test_pki().ci(curve).unwrap().subject_key_id();
            let other_ci = eum.as_ref().and_then(Certificate::authority_key_id).is_some_and(|id| Some(id) != ci);
            assert_eq!(status(&failure), if other_ci { "8.11.1/3.9" } else { "8.1.2/6.1" }, "{failure:?}");
        }
        // SGP.22 §2.5.6: invalidSignature at initialiseSecureChannel; scp03tSecurityError at the segment's command.
        Object::SecureChannelSignature => assert_eq!(installation(&failure), (Some(0), Some(2)), "{failure:?}"),
        Object::ConfigureIsdp => assert_eq!(installation(&failure), (Some(1), Some(8)), "{failure:?}"),
        Object::MetadataMac => assert_eq!(installation(&failure), (Some(2), Some(8)), "{failure:?}"),
        Object::ReplaceSessionKeys => assert_eq!(installation(&failure), (Some(4), Some(8)), "{failure:?}"),
        Object::ProfileElements => assert_eq!(installation(&failure), (Some(5), Some(8)), "{failure:?}"),
        // What the other end, or the LPA on the way, finds fault with: any code, or the LPA's own words.
        Object::ServerSigned1
        | Object::SmdpSigned2
        | Object::EuiccSigned1
        | Object::EuiccSigned2
        | Object::BoundProfilePackage => {}
    }
    // The card is as good as new: where the order is still there, the same download succeeds untampered.
    if world.smdp.orders()[0].state() == OrderState::Released {
        world.download(&mut Honest).unwrap_or_else(|failure| panic!("{object:?}, then: {failure:?}"));
        assert_eq!(world.card.profiles().len(), 1);
    }
    (flip, failure)
}

fn installation(failure: &Failure) -> (Option<u32>, Option<u32>) {
    let (function, command, reason) = euicc(failure);
    assert_eq!(function, "LoadBoundProfilePackage");
    (command, reason)
}

macro_rules! objects {
    ($($name:ident: $object:ident,)*) => {
        proptest! {
            #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]
            $(
                #[test]
                fn $name(position: Index, bit in 0u8..8) {
                    check(Curve::P256, Object::$object, Place::Sampled(position, bit));
                }
            )*

            #[test]
            fn anything_on_brainpool(position: Index, bit in 0u8..8, object in prop::sample::select(vec![$(Object::$object),*])) {
                check(Curve::BrainpoolP256r1, object, Place::Sampled(position, bit));
            }
        }

        /// Every bit once.
        mod every_bit {
            use super::*;
            $(
                #[test]
                #[ignore = "takes minutes"]
                fn $name() {
                    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
                        every_bit_of(curve, Object::$object);
                    }
                }
            )*
        }
    };
}

/// Flips each bit of the object in a download of its own, and prints what came of it.
fn every_bit_of(curve: Curve, object: Object) {
    let mut outcomes = BTreeMap::<String, usize>::new();
    let mut bits = 1;
    let mut bit = 0;
    while bit < bits {
        let (flip, failure) = check(curve, object, Place::Bit(bit));
        bits = flip.length * 8;
        *outcomes.entry(outcome(&failure)).or_default() += 1;
        bit += 1;
    }
    assert_eq!(outcomes.values().sum::<usize>(), bits);
    println!("{object:?} on {curve}: {bits} bits");
    for (outcome, count) in outcomes {
        println!("  {count:6}  {outcome}");
    }
}

/// The code of a failure, in words.
fn outcome(failure: &Failure) -> String {
    match (&failure.euicc, &failure.subject) {
        (Some(euicc), _) => {
            let number = |value: Option<u32>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
            format!("{}: command {}, reason {}", euicc.function, number(euicc.command), number(euicc.reason))
        }
        (None, Some(_)) => format!("{}: {}", failure.step, status(failure)),
        (None, None) => format!("{}: refused by the LPA", failure.step),
    }
}

objects! {
    server_signature_1: ServerSignature1,
    server_certificate: ServerCertificate,
    smdp_signature_2: SmdpSignature2,
    smdp_certificate: SmdpCertificate,
    euicc_signature_1: EuiccSignature1,
    euicc_certificate: EuiccCertificate,
    eum_certificate: EumCertificate,
    euicc_signature_2: EuiccSignature2,
    secure_channel_signature: SecureChannelSignature,
    configure_isdp_segment: ConfigureIsdp,
    store_metadata_mac: MetadataMac,
    replace_session_keys_segment: ReplaceSessionKeys,
    profile_element_segments: ProfileElements,
    server_signed_1: ServerSigned1,
    smdp_signed_2: SmdpSigned2,
    euicc_signed_1: EuiccSigned1,
    euicc_signed_2: EuiccSigned2,
    whole_package: BoundProfilePackage,
}

#[test]
fn untampered_it_succeeds() {
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        for replace_session_keys in [false, true] {
            let mut world = World::new(curve, replace_session_keys);
            let installed = world.download(&mut Honest).unwrap();
            assert_eq!(world.card.profiles()[0].iccid, installed.iccid);
            assert_eq!(world.smdp.orders()[0].state(), OrderState::Installed);
            assert!(world.card.notifications().is_empty());
        }
    }
}

#[test]
fn metadata_that_the_server_did_not_announce_is_refused_by_the_assistant() {
    struct OtherName;
    impl Meddler for OtherName {
        fn response(&mut self, function: Function, body: &mut Value) {
            if function == Function::AuthenticateClient {
                change_member(body, "profileMetadata", |bytes| {
                    let last = bytes.windows(10).position(|window| window == b"Operator A").unwrap() + 9;
                    bytes[last] = b'B';
                });
            }
        }
    }
    let mut world = World::new(Curve::P256, false);
    let failure = world.download(&mut OtherName).unwrap_err();
    assert!(failure.message.contains("metadata") || failure.message.contains("announced"), "{failure:?}");
    assert!(world.card.profiles().is_empty());
}
