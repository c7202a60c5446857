//! With one bit flipped anywhere in a certificate, a signature or a segment, on its way between server and card, the
//! download fails with the code that SGP.22 v2.5 names for it, and nothing is left of the profile.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

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
}

/// Flips one bit of the object, once.
struct Flip {
    object: Object,
    position: Index,
    bit: u8,
    /// Whether the flip fell on the tag and length at the beginning of a certificate.
    at_header: bool,
    /// The object with its bit flipped, once it has been on the way.
    flipped: Option<Vec<u8>>,
}

impl Flip {
    fn new(object: Object, position: Index, bit: u8) -> Self {
        Flip { object, position, bit, at_header: false, flipped: None }
    }

    /// Flips a bit in `part`, which is a slice of `whole`.
    fn flip(&mut self, whole: &mut [u8], start: usize, length: usize) {
        let offset = self.position.index(length);
        whole[start + offset] ^= 1 << self.bit;
        self.at_header = offset < 4;
        self.flipped = Some(whole[start..start + length].to_vec());
    }

    fn flip_part(&mut self, bytes: &mut [u8], find: impl Fn(&[u8]) -> &[u8]) {
        let (start, length) = {
            let part = find(bytes);
            (part.as_ptr() as usize - bytes.as_ptr() as usize, part.len())
        };
        self.flip(bytes, start, length);
    }
}

/// The segment that holds the `position`-th part of all segments together.
fn pick<'a>(segments: &[Tlv<'a>], position: Index) -> Tlv<'a> {
    segments[position.index(segments.len())]
}

impl Meddler for Flip {
    fn request(&mut self, function: Function, body: &mut Value) {
        match (self.object, function) {
            (
                Object::EuiccSignature1 | Object::EuiccCertificate | Object::EumCertificate,
                Function::AuthenticateClient,
            ) => change_member(body, "authenticateServerResponse", |bytes| {
                let object = self.object;
                self.flip_part(bytes, |bytes| {
                    let AuthenticateServerResponse::Ok(ok) = AuthenticateServerResponse::parse(bytes).unwrap() else {
                        panic!("the card has authenticated the server");
                    };
                    match object {
                        Object::EuiccSignature1 => ok.euicc_signature1,
                        Object::EuiccCertificate => ok.euicc_certificate,
                        _ => ok.eum_certificate,
                    }
                });
            }),
            (Object::EuiccSignature2, Function::GetBoundProfilePackage) => {
                change_member(body, "prepareDownloadResponse", |bytes| {
                    self.flip_part(bytes, |bytes| match PrepareDownloadResponse::parse(bytes).unwrap() {
                        PrepareDownloadResponse::Ok { euicc_signature2, .. } => euicc_signature2,
                        PrepareDownloadResponse::Error { .. } => panic!("the card is ready"),
                    });
                });
            }
            _ => {}
        }
    }

    fn response(&mut self, function: Function, body: &mut Value) {
        // The value of the signature element, without its tag and length.
        fn last_64(bytes: &[u8]) -> &[u8] {
            &bytes[bytes.len() - 64..]
        }
        match (self.object, function) {
            (Object::ServerSignature1, Function::InitiateAuthentication) => {
                change_member(body, "serverSignature1", |bytes| self.flip_part(bytes, last_64));
            }
            (Object::ServerCertificate, Function::InitiateAuthentication) => {
                change_member(body, "serverCertificate", |bytes| self.flip_part(bytes, |bytes| bytes));
            }
            (Object::SmdpSignature2, Function::AuthenticateClient) => {
                change_member(body, "smdpSignature2", |bytes| self.flip_part(bytes, last_64));
            }
            (Object::SmdpCertificate, Function::AuthenticateClient) => {
                change_member(body, "smdpCertificate", |bytes| self.flip_part(bytes, |bytes| bytes));
            }
            (
                Object::SecureChannelSignature
                | Object::ConfigureIsdp
                | Object::MetadataMac
                | Object::ReplaceSessionKeys
                | Object::ProfileElements,
                Function::GetBoundProfilePackage,
            ) => change_member(body, "boundProfilePackage", |bytes| {
                let (object, position) = (self.object, self.position);
                self.flip_part(bytes, |bytes| {
                    let parts = BoundProfilePackage::parse(bytes).unwrap();
                    match object {
                        Object::SecureChannelSignature => {
                            let command = parts.initialise_secure_channel;
                            &command[command.len() - 64..]
                        }
                        Object::ConfigureIsdp => pick(&parts.configure_isdp, position).value(),
                        Object::MetadataMac => {
                            let segment = pick(&parts.store_metadata, position).value();
                            &segment[segment.len() - 8..]
                        }
                        Object::ReplaceSessionKeys => pick(&parts.replace_session_keys.unwrap(), position).value(),
                        _ => pick(&parts.profile_elements, position).value(),
                    }
                });
            }),
            _ => {}
        }
    }
}

/// Downloads with one bit flipped, and says how it failed.
fn failure(curve: Curve, object: Object, position: Index, bit: u8) -> (Flip, Failure, World) {
    let mut world = World::new(curve, object == Object::ReplaceSessionKeys);
    let mut flip = Flip::new(object, position, bit);
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

fn check(curve: Curve, object: Object, position: Index, bit: u8) {
    let (flip, failure, mut world) = failure(curve, object, position, bit);
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
    }
    // The card is as good as new: where the order is still there, the same download succeeds untampered.
    if world.smdp.orders()[0].state() == OrderState::Released {
        world.download(&mut Honest).unwrap_or_else(|failure| panic!("{object:?}, then: {failure:?}"));
        assert_eq!(world.card.profiles().len(), 1);
    }
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
                    check(Curve::P256, Object::$object, position, bit);
                }
            )*

            #[test]
            fn anything_on_brainpool(position: Index, bit in 0u8..8, object in prop::sample::select(vec![$(Object::$object),*])) {
                check(Curve::BrainpoolP256r1, object, position, bit);
            }
        }
    };
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
