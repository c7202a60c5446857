//! Whatever comes in: no panic, no half profile, and for every bit that is wrong the failure that is specified.

use std::cell::RefCell;

use proptest::prelude::*;
use rsp::bpp;
use rsp::crypto::Curve;
use rsp::es10::auth::{AuthenticateErrorCode, AuthenticateServerRequest, AuthenticateServerResponse};
use rsp::es10::download::{
    DownloadErrorCode, ErrorReason, FinalResult, PrepareDownloadRequest, PrepareDownloadResponse,
};
use rsp::ids::from_hex;

use super::lab::*;

/// Flips one bit.
fn flip(bytes: &mut [u8], bit: usize) {
    let index = bit / 8 % bytes.len();
    bytes[index] ^= 1 << (bit % 8);
}

/// Where `part` lies inside `whole`.
fn range_of(whole: &[u8], part: &[u8]) -> std::ops::Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

thread_local! {
    /// One card for many cases: a failure has to leave it as it was.
    static LAB: RefCell<Lab> = RefCell::new(Lab::new(Curve::P256));
    /// A channel of random APDUs keeps its card too, so that states build up.
    static BUSY: RefCell<Lab> = RefCell::new({
        let mut lab = Lab::new(Curve::P256);
        lab.install(&order(ICCID));
        lab
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn one_bit_of_the_servers_certificate_or_signature(bit in any::<usize>(), part in 0..3) {
        // proves: Robust - every wrong bit has its failure
        LAB.with_borrow_mut(|lab| {
            let challenge = lab.challenge();
            let request = lab.authenticate_request(challenge);
            let parsed = AuthenticateServerRequest::parse(&request).unwrap();
            let range = range_of(&request, match part {
                0 => parsed.server_certificate,
                1 => parsed.server_signature1,
                _ => parsed.server_signed1.raw,
            });
            let mut changed = request.clone();
            flip(&mut changed[range], bit);
            let (response, sw) = lab.es10_in(&changed, 255);
            if sw == 0x6A80 {
                // The flip has broken the TLV around it.
                prop_assert!(AuthenticateServerRequest::parse(&changed).is_err());
                return Ok(());
            }
            prop_assert_eq!(sw, 0x9000);
            let AuthenticateServerResponse::Error { code, .. } = AuthenticateServerResponse::parse(&response).unwrap()
            else {
                return Err(TestCaseError::fail("authenticated"));
            };
            use AuthenticateErrorCode::{InvalidCertificate, InvalidOid, InvalidSignature, UnsupportedCurve};
            let expected: &[_] = match part {
                0 => &[InvalidCertificate, InvalidOid, UnsupportedCurve],
                _ => &[InvalidSignature],
            };
            prop_assert!(expected.contains(&code), "{}", code);
            Ok(())
        })?;
    }

    #[test]
    fn one_bit_of_the_binding_certificate_or_signature(bit in any::<usize>(), part in 0..3) {
        // proves: Robust - every wrong bit has its failure
        LAB.with_borrow_mut(|lab| {
            let signature1 = lab.authenticate();
            let request = lab.prepare_request(&lab.smdp_signed2(), &signature1, None, &lab.server.pb.clone());
            let parsed = PrepareDownloadRequest::parse(&request).unwrap();
            let range = range_of(&request, match part {
                0 => parsed.smdp_certificate,
                1 => parsed.smdp_signature2,
                _ => parsed.smdp_signed2.raw,
            });
            let mut changed = request.clone();
            flip(&mut changed[range], bit);
            let (response, sw) = lab.es10_in(&changed, 255);
            if sw == 0x6A80 {
                prop_assert!(PrepareDownloadRequest::parse(&changed).is_err());
                return Ok(());
            }
            prop_assert_eq!(sw, 0x9000);
            let PrepareDownloadResponse::Error { code, .. } = PrepareDownloadResponse::parse(&response).unwrap() else {
                return Err(TestCaseError::fail("prepared"));
            };
            use DownloadErrorCode::{InvalidCertificate, InvalidSignature, UnsupportedCurve};
            let expected: &[_] = match part {
                0 => &[InvalidCertificate, UnsupportedCurve],
                _ => &[InvalidSignature],
            };
            prop_assert!(expected.contains(&code), "{}", code);
            Ok(())
        })?;
    }

    #[test]
    fn one_bit_of_a_bound_profile_package(at in any::<prop::sample::Index>(), piece in any::<prop::sample::Index>(), bit in 0..8u32, replace in any::<bool>()) {
        // proves: Robust - every wrong bit has its failure
        LAB.with_borrow_mut(|lab| {
            let otpk = lab.prepared();
            let package = lab.bind(&Order { replace_session_keys: replace, ..order(ICCID) }, &otpk);
            let free_memory = lab.card.free_memory();
            let commands = bpp::load_commands(&package).unwrap();
            let piece = piece.index(commands.len());
            let mut changed: Vec<Vec<u8>> = commands.into_iter().map(<[u8]>::to_vec).collect();
            let length = changed[piece].len();
            changed[piece][at.index(length)] ^= 1 << bit;
            let mut result = None;
            for command in &changed {
                let (response, sw) = lab.es10_in(command, 255);
                if !response.is_empty() {
                    result = Some(response);
                    break;
                }
                // When the tag of the package itself is wrong, nothing has begun.
                prop_assert!(sw == 0x9000 || piece == 0, "{:04X}", sw);
            }
            prop_assert!(lab.card.profiles().is_empty());
            prop_assert_eq!(lab.card.free_memory(), free_memory);
            let Some(result) = result.filter(|response| response.starts_with(&[0xBF, 0x37])) else {
                prop_assert_eq!(piece, 0);
                return Ok(());
            };
            let FinalResult::Error { reason, .. } = lab.verified_result(&result).final_result else {
                return Err(TestCaseError::fail("installed"));
            };
            use ErrorReason::{IncorrectInputValues, InvalidSignature, Scp03tSecurityError, Scp03tStructureError};
            prop_assert!(
                [IncorrectInputValues, InvalidSignature, Scp03tSecurityError, Scp03tStructureError].contains(&reason),
                "{}", reason
            );
            Ok(())
        })?;
    }

    #[test]
    fn random_apdus(apdus in proptest::collection::vec(apdu(), 1..40)) {
        // proves: Robust - no panic on any input
        BUSY.with_borrow_mut(|lab| {
            for apdu in &apdus {
                let response = lab.card.transmit(apdu, NOW);
                prop_assert!((2..=258).contains(&response.len()));
            }
            let _ = lab.card.drain_events();
            Ok(())
        })?;
    }

    #[test]
    fn random_commands(tag in prop::sample::select(TAGS), content in proptest::collection::vec(any::<u8>(), 0..200)) {
        // proves: Robust - no panic on any input
        BUSY.with_borrow_mut(|lab| {
            lab.open();
            let command = rsp::tlv::encode(tag, &content);
            lab.es10_in(&command, 255);
            lab.es10_in(&[&from_hex("BF36").unwrap()[..], &content].concat(), 255);
        });
    }

    /// Valid MACs, random plaintext: what is inside the secure channel.
    #[test]
    fn random_profile_packages(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..60), 0..6), keep in 0..7usize) {
        // proves: Robust - no panic on any input
        LAB.with_borrow_mut(|lab| {
            let otpk = lab.prepared();
            let mut package: Vec<Vec<u8>> = elements(ICCID);
            package.truncate(keep);
            package.extend(pieces);
            let package = package.concat();
            prop_assume!(!package.is_empty());
            let free_memory = lab.card.free_memory();
            let bound = lab.bind(&Order { package, ..order(ICCID) }, &otpk);
            let result = lab.load_package(&bound);
            if matches!(result.final_result, FinalResult::Error { .. }) {
                prop_assert!(lab.card.profiles().is_empty());
                prop_assert_eq!(lab.card.free_memory(), free_memory);
            } else {
                lab.hex("BF330C5A0A988842070011713618F0");
            }
            Ok(())
        })?;
    }
}

#[test]
fn a_profile_without_files_answers_like_a_card_without_profile() {
    // proves: Robust - no panic on any input
    // Header and end are a package that installs; enabled, it has not even an MF of its own.
    let mut lab = Lab::new(Curve::P256);
    let all = elements(ICCID);
    lab.install(&Order { package: [all[0].clone(), all[all.len() - 1].clone()].concat(), ..order(ICCID) });
    assert_eq!(lab.hex("BF3111A00C5A0A988842070011713618F0810100"), "BF3103800100");
    for apdu in [
        "00A4000000",
        "00A4000C023F00",
        "00A40004023F00",
        "00A40804022FE2",
        "00A4040407A0000000871002",
        "00B0000000",
        "00B2010400",
        "00D600000100",
        "80F2000000",
        "80F2000100",
        "0020000100",
        "002C000100",
        "0044000000",
        "008800812210000102030405060708090A0B0C0D0E0F10000102030405060708090A0B0C0D0E0F",
    ] {
        let response = lab.card.transmit(&from_hex(apdu).unwrap(), NOW);
        assert!(response.len() >= 2, "{apdu}");
    }
    assert_eq!(lab.card.transmit(&from_hex("00A4000C023F00").unwrap(), NOW), [0x90, 0x00]);
    assert_eq!(lab.hex("BF3211A00C5A0A988842070011713618F0810100"), "BF3203800100");
}

/// The tags of the functions, and of a package's parts.
const TAGS: &[u32] = &[
    0xBF20, 0xBF21, 0xBF22, 0xBF28, 0xBF29, 0xBF2B, 0xBF2D, 0xBF2E, 0xBF30, 0xBF31, 0xBF32, 0xBF33, 0xBF34, 0xBF35,
    0xBF36, 0xBF38, 0xBF3C, 0xBF3E, 0xBF3F, 0xBF41, 0xBF43, 0xA0, 0xA1, 0xA2, 0xA3, 0x86, 0x87, 0x88,
];

/// APDUs from any bytes to nearly right ones.
fn apdu() -> impl Strategy<Value = Vec<u8>> {
    let cla = prop::sample::select(&[0x00u8, 0x01, 0x02, 0x40, 0x80, 0x81, 0xC0, 0xA0][..]);
    let ins = prop::sample::select(&[0xA4u8, 0x70, 0xC0, 0xE2, 0xF2, 0xB0, 0xAA, 0x20, 0xCA, 0x10][..]);
    let body = proptest::collection::vec(any::<u8>(), 0..30);
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        (cla, ins, any::<u8>(), any::<u8>(), body.clone(), any::<Option<u8>>()).prop_map(
            |(cla, ins, p1, p2, body, le)| {
                let mut apdu = vec![cla, ins, p1, p2];
                if !body.is_empty() {
                    apdu.push(body.len() as u8);
                    apdu.extend_from_slice(&body);
                }
                apdu.extend(le);
                apdu
            }
        ),
        Just(from_hex("00A4040C10A0000005591010FFFFFFFF8900000100").unwrap()),
        (prop::sample::select(TAGS), body, prop::sample::select(&[0x11u8, 0x91][..]), 0..3u8).prop_map(
            |(tag, body, p1, p2)| {
                let data = rsp::tlv::encode(tag, &body);
                [&[0x80, 0xE2, p1, p2, data.len() as u8][..], &data].concat()
            }
        ),
    ]
}
