use std::path::PathBuf;

use openssl::x509::X509;
use proptest::prelude::*;

use super::*;
use crate::crypto::PrivateKey;

/// Made with the command line of OpenSSL 3: CI and DPauth on P-256, then on brainpoolP256r1.
const KNOWN: &str = include_str!("known.pem");
/// 2026-11-20 09:53:23 UTC, notBefore of all four.
const KNOWN_NOT_BEFORE: i64 = 1_795_168_403;
/// A moment at which the certificates of SGP.26 version 2 are valid.
const NOW: i64 = 1_795_200_000;

/// CI and DPauth on both curves.
fn known() -> [(Certificate, Certificate); 2] {
    let parsed: Vec<Certificate> = KNOWN
        .split_inclusive("-----END CERTIFICATE-----\n")
        .map(|pem| Certificate::from_pem_or_der(pem.as_bytes()).unwrap())
        .collect();
    let [ci, ci_brp, auth, auth_brp] = <[Certificate; 4]>::try_from(parsed).unwrap();
    [(ci, auth), (ci_brp, auth_brp)]
}

/// The published test PKI; a user's checkout does not have it.
fn sgp26() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/sgp26"));
    if !folder.is_dir() {
        println!("skipped: {} is not there", folder.display());
        return None;
    }
    Some(folder)
}

fn read(name: &str) -> Option<Certificate> {
    let der = std::fs::read(sgp26()?.join(name)).unwrap();
    Some(Certificate::from_pem_or_der(&der).unwrap())
}

#[test]
fn fields_of_known_certificates() {
    let [(ci, auth), (_, auth_brp)] = known();
    assert_eq!(ci.role(), Some(Role::Ci));
    assert_eq!(ci.serial(), [0x01, 0x23]);
    assert_eq!(to_hex(ci.subject_key_id().unwrap()), "80C1EEAEDB6B8F36A43E037D7DD1C9A2F7DF2B39");
    assert_eq!((ci.not_before(), ci.not_after()), (KNOWN_NOT_BEFORE, 4_948_768_403));
    assert!(ci.is_ca());
    assert_eq!(ci.path_len(), None);
    assert_eq!(ci.subject_attribute(oid::COUNTRY), Some("DE"));

    assert_eq!(auth.role(), Some(Role::DpAuth));
    assert_eq!(auth.common_name(), Some("Known SM-DP"));
    assert_eq!(auth.organization(), Some("ACME"));
    assert_eq!(auth.registered_id().unwrap().to_string(), "2.999.10");
    assert_eq!(auth.key_usage(), Some(NamedBits::of(&[key_usage::DIGITAL_SIGNATURE])));
    assert_eq!(auth.authority_key_id(), ci.subject_key_id());
    assert_eq!(auth.curve(), Curve::P256);
    assert_eq!(auth_brp.curve(), Curve::BrainpoolP256r1);
    assert_eq!(auth.to_string(), "CERT.DPauth \"Known SM-DP\" (serial number 0100)");
    assert!(KNOWN.contains(&auth_brp.to_pem()));
}

#[test]
fn known_chains_verify_on_both_curves() {
    for (ci, auth) in known() {
        verify_ci(&ci, KNOWN_NOT_BEFORE).unwrap();
        verify_server_certificate(&auth, Role::DpAuth, &ci, KNOWN_NOT_BEFORE).unwrap();
        verify_same_smdp(&auth, &auth).unwrap();
        let expected = "CERT.DPauth \"Known SM-DP\" (serial number 0100) is no CERT.DPpb: its policies are \
                        2.23.146.1.2.1.4 (SGP.22 §4.5.2.1)";
        let error = verify_server_certificate(&auth, Role::DpPb, &ci, KNOWN_NOT_BEFORE).unwrap_err();
        assert_eq!(error.to_string(), expected);
        let early = auth.check_validity(KNOWN_NOT_BEFORE - 1).unwrap_err();
        assert!(matches!(early, CertError::NotYetValid { .. }) && !early.is_expired());
        auth.check_validity(auth.not_after()).unwrap();
        let late = auth.check_validity(auth.not_after() + 1).unwrap_err();
        assert_eq!(
            late.to_string(),
            "CERT.DPauth \"Known SM-DP\" (serial number 0100) expired at 2036-11-17 09:53:23 UTC, and it is \
             2036-11-17 09:53:24 UTC now: renew it (RFC 5280 §4.1.2.5)"
        );
        assert!(late.is_expired());
    }
}

#[test]
fn the_other_curves_ci_is_another_issuer() {
    // Both CIs have the same name: the key identifier tells them apart.
    let [(ci, auth), (ci_brp, _)] = known();
    assert_eq!(ci.subject(), ci_brp.subject());
    assert!(matches!(auth.verify_signed_by(&ci_brp), Err(CertError::WrongAuthorityKey { .. })));
    assert!(matches!(ci.verify_signed_by(&auth), Err(CertError::WrongIssuer { .. })));
}

#[test]
fn pem_may_stand_amid_other_text() {
    let [(ci, _), _] = known();
    let file = format!("subject=CN = Known CI\r\n\r\n{}", ci.to_pem().replace('\n', "\r\n"));
    assert_eq!(Certificate::from_pem_or_der(file.as_bytes()).unwrap(), ci);
    for nothing in [&b""[..], b"text", b"\xFF\xFE", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"] {
        assert_eq!(Certificate::from_pem_or_der(nothing).unwrap_err(), CertError::NoCertificate);
    }
}

#[test]
fn agrees_with_openssl_on_every_certificate_of_sgp26() {
    let Some(folder) = sgp26() else { return };
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        for file in std::fs::read_dir(entry.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let Ok(der) = std::fs::read(&path) else { continue };
            if path.extension().is_none_or(|extension| extension != "der") {
                continue;
            }
            let (ours, theirs) = (Certificate::parse(&der).unwrap(), X509::from_der(&der).unwrap());
            let context = path.display();
            let epoch = openssl::asn1::Asn1Time::from_unix(0).unwrap();
            let seconds = |time: &openssl::asn1::Asn1TimeRef| {
                let diff = epoch.diff(time).unwrap();
                i64::from(diff.days) * 86_400 + i64::from(diff.secs)
            };
            assert_eq!(ours.not_before(), seconds(theirs.not_before()), "{context}");
            assert_eq!(ours.not_after(), seconds(theirs.not_after()), "{context}");
            assert_eq!(ours.subject(), theirs.subject_name().to_der().unwrap(), "{context}");
            assert_eq!(ours.issuer(), theirs.issuer_name().to_der().unwrap(), "{context}");
            assert_eq!(ours.subject_key_id(), theirs.subject_key_id().map(|id| id.as_slice()), "{context}");
            assert_eq!(ours.authority_key_id(), theirs.authority_key_id().map(|id| id.as_slice()), "{context}");
            let serial = theirs.serial_number().to_bn().unwrap().to_vec();
            assert!(ours.serial().ends_with(&serial), "{context}");
            let point = theirs.public_key().unwrap().public_key_to_der().unwrap();
            assert!(point.ends_with(&ours.public_key().point()), "{context}");
            assert!(ours.role().is_some(), "{context}");
            ours.check_role(ours.role().unwrap()).unwrap();
            count += 1;
        }
    }
    assert_eq!(count, 19);
}

#[test]
fn chains_and_keys_of_sgp26() {
    if sgp26().is_none() {
        return;
    }
    for (suffix, tls_suffix, curve) in [("NIST", "NIST", Curve::P256), ("BRP", "BRP", Curve::BrainpoolP256r1)] {
        let load = |name: String| read(&name).unwrap();
        let ci = load(format!("CertificateIssuer/CERT_CI_ECDSA_{suffix}.der"));
        let eum = load(format!("EUM/CERT_EUM_ECDSA_{suffix}.der"));
        let euicc = load(format!("eUICC/CERT_EUICC_ECDSA_{suffix}.der"));
        verify_ci(&ci, NOW).unwrap();
        assert_eq!(ci.curve(), curve);
        let eid = verify_euicc_chain(&euicc, &eum, &ci, NOW).unwrap();
        assert_eq!(eid.to_string(), "89049032123451234512345678901235");
        assert_eq!(eum.permitted_eins(), ["89049032"]);
        assert_eq!(eum.permitted_names()[0].to_string(), "EIN 89049032 of \"RSP Test EUM\"");

        for dp in ["DP", "DP2"] {
            let auth = load(format!("DPauth/CERT_S_SM_{dp}auth_ECDSA_{suffix}.der"));
            let pb = load(format!("DPpb/CERT_S_SM_{dp}pb_ECDSA_{suffix}.der"));
            verify_server_certificate(&auth, Role::DpAuth, &ci, NOW).unwrap();
            verify_server_certificate(&pb, Role::DpPb, &ci, NOW).unwrap();
            verify_same_smdp(&auth, &pb).unwrap();
            assert!(matches!(pb.check_role(Role::DpAuth), Err(CertError::Role { .. })));
        }
        let auth2 = load(format!("DPauth/CERT_S_SM_DP2auth_ECDSA_{suffix}.der"));
        let pb = load(format!("DPpb/CERT_S_SM_DPpb_ECDSA_{suffix}.der"));
        assert!(matches!(verify_same_smdp(&auth2, &pb), Err(CertError::OidsDiffer { .. })));

        let tls = load(format!("DPtls/CERT_S_SM_DP_VARO_TLS_{tls_suffix}.der"));
        verify_server_certificate(&tls, Role::DpTls, &ci, NOW).unwrap();
        assert_eq!(tls.dns_names(), ["testsmdpplus1.example.com"]);

        for (folder, certificate) in
            [("CertificateIssuer/SK_CI", &ci), ("EUM/SK_EUM", &eum), ("eUICC/SK_EUICC", &euicc)]
        {
            let pem = std::fs::read(sgp26().unwrap().join(format!("{folder}_ECDSA_{suffix}.pem"))).unwrap();
            assert_eq!(PrivateKey::from_pem_or_der(&pem).unwrap().public(), certificate.public_key());
        }
    }
    let (old, ci) =
        (read("DPtls/CERT_S_SM_DP8_TLS.der").unwrap(), read("CertificateIssuer/CERT_CI_ECDSA_NIST.pem").unwrap());
    assert!(verify_server_certificate(&old, Role::DpTls, &ci, NOW).unwrap_err().is_expired());
}

#[test]
fn a_chain_across_the_curves_is_refused() {
    let (Some(ci), Some(eum), Some(euicc)) = (
        read("CertificateIssuer/CERT_CI_ECDSA_BRP.der"),
        read("EUM/CERT_EUM_ECDSA_NIST.der"),
        read("eUICC/CERT_EUICC_ECDSA_NIST.der"),
    ) else {
        return;
    };
    let error = verify_euicc_chain(&euicc, &eum, &ci, NOW).unwrap_err();
    assert!(matches!(error, ChainError::EumInvalid(CertError::WrongAuthorityKey { .. })), "{error}");
    let ci = read("CertificateIssuer/CERT_CI_ECDSA_NIST.der").unwrap();
    let swapped = verify_euicc_chain(&eum, &euicc, &ci, NOW).unwrap_err();
    assert!(matches!(swapped, ChainError::EumInvalid(CertError::Role { .. })), "{swapped}");
    // The EUM's certificate ends in 2054, the eUICC's in 7496.
    let late = verify_euicc_chain(&euicc, &eum, &ci, ci.not_after() - 1).unwrap_err();
    assert!(matches!(late, ChainError::EumExpired(_)), "{late}");
    let early = verify_euicc_chain(&euicc, &eum, &ci, euicc.not_before() - 1).unwrap_err();
    assert!(matches!(early, ChainError::EuiccInvalid(CertError::NotYetValid { .. })), "{early}");
}

/// With any one bit flipped, a certificate is no longer read or no longer verified.
#[test]
fn every_flipped_bit_is_found() {
    for (ci, auth) in known() {
        let mut der = auth.der().to_vec();
        for bit in 0..der.len() * 8 {
            der[bit / 8] ^= 1 << (bit % 8);
            let verified = Certificate::parse(&der)
                .and_then(|flipped| verify_server_certificate(&flipped, Role::DpAuth, &ci, KNOWN_NOT_BEFORE));
            assert!(verified.is_err(), "bit {bit} of {auth}");
            // What is left on OpenSSL's queue would be taken for an error of the next TLS read on this thread.
            let left = openssl::error::ErrorStack::get();
            assert!(left.errors().is_empty(), "bit {bit} of {auth}: {left}");
            der[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_flipped_bit_of_an_euicc_chain_is_found() {
    let (Some(ci), Some(eum), Some(euicc)) = (
        read("CertificateIssuer/CERT_CI_ECDSA_BRP.der"),
        read("EUM/CERT_EUM_ECDSA_BRP.der"),
        read("eUICC/CERT_EUICC_ECDSA_BRP.der"),
    ) else {
        return;
    };
    let mut der = eum.der().to_vec();
    for bit in 0..der.len() * 8 {
        der[bit / 8] ^= 1 << (bit % 8);
        if let Ok(flipped) = Certificate::parse(&der) {
            let error = verify_euicc_chain(&euicc, &flipped, &ci, NOW).unwrap_err();
            assert!(matches!(error, ChainError::EumInvalid(_)), "bit {bit}: {error}");
        }
        der[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn signatures_have_one_form() {
    let raw: Vec<u8> = (1..=64).collect();
    let der = openssl::ecdsa::EcdsaSig::from_private_components(
        openssl::bn::BigNum::from_slice(&raw[..32]).unwrap(),
        openssl::bn::BigNum::from_slice(&raw[32..]).unwrap(),
    )
    .unwrap()
    .to_der()
    .unwrap();
    assert_eq!(parse::signature_from_der(&der).unwrap()[..], raw[..]);
    // A small r, padded on the left.
    assert_eq!(parse::signature_from_der(&[0x30, 6, 2, 1, 5, 2, 1, 7]).unwrap()[31], 5);
    for wrong in [
        &[0x30, 6, 2, 1, 0, 2, 1, 7][..],      // zero
        &[0x30, 6, 2, 1, 0x85, 2, 1, 7],       // negative
        &[0x30, 7, 2, 2, 0, 5, 2, 1, 7],       // not minimal
        &[0x30, 0x81, 6, 2, 1, 5, 2, 1, 7],    // long form of a short length
        &[0x30, 9, 2, 1, 5, 2, 1, 7, 2, 1, 7], // three integers
        &[0x30, 3, 2, 1, 5],                   // one integer
        &[0x30, 4, 2, 0, 2, 0],                // empty integers
        &[0x30, 6, 2, 1, 5, 2, 1, 7, 0],       // something behind
    ] {
        assert_eq!(parse::signature_from_der(wrong), None, "{wrong:02X?}");
    }
}

#[test]
fn role_policies() {
    for (role, policy) in Role::ALL.into_iter().zip(0..) {
        let oid = Oid::from_der_content(&role.oid_content()).unwrap();
        assert_eq!(oid.to_string(), format!("2.23.146.1.2.1.{policy}"));
        assert_eq!(Role::from_oid_content(oid.as_der_content()), Some(role));
    }
    assert_eq!(Role::from_oid_content(&[0x67]), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Certificate::from_pem_or_der(&bytes);
        let _ = parse::signature_from_der(&bytes);
    }

    /// Bytes changed, cut out and put in anywhere in a certificate.
    #[test]
    fn damaged_certificates_are_read_or_refused(
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0..3u8), 1..8),
    ) {
        let [(ci, auth), _] = known();
        let mut der = auth.der().to_vec();
        for (index, byte, edit) in edits {
            let at = index.index(der.len());
            match edit {
                0 => der[at] = byte,
                1 => { der.remove(at); }
                _ => der.insert(at, byte),
            }
        }
        if let Ok(damaged) = Certificate::parse(&der) {
            let _ = (damaged.to_string(), damaged.eid(), damaged.permitted_eins().len());
            let _ = verify_euicc_chain(&damaged, &damaged, &ci, KNOWN_NOT_BEFORE);
            if verify_server_certificate(&damaged, Role::DpAuth, &ci, KNOWN_NOT_BEFORE).is_ok() {
                prop_assert_eq!(damaged.der(), auth.der());
            }
        }
    }
}
