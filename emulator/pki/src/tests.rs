use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyParam;
use openssl::x509::{X509, X509StoreContext};
use rsp::cert::{self, ChainError, Role, key_usage};
use rsp::crypto::SeededRandom;
use rsp::ids::to_hex;
use rsp::tlv::NamedBits;

use super::*;

/// 2026-11-20; OpenSSL's verification is given the same time.
const NOW: i64 = 1_795_200_000;
const CURVES: [Curve; 2] = [Curve::P256, Curve::BrainpoolP256r1];

fn random() -> SeededRandom {
    SeededRandom::new(26, "pki")
}

fn pki() -> Pki {
    Pki::generate(&PkiSpec::default(), &mut random(), NOW).unwrap()
}

fn eid() -> Eid {
    Eid::parse("89049032123451234512345678901235").unwrap()
}

fn sgp26() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/sgp26"));
    if !folder.is_dir() {
        println!("skipped: {} is not there", folder.display());
        return None;
    }
    Some(folder)
}

/// Everything that has to be right in a whole PKI.
fn assert_sound(pki: &Pki, curve: Curve) {
    let ci = pki.ci(curve).unwrap();
    cert::verify_ci(ci, NOW).unwrap();
    assert_eq!(ci.curve(), curve);
    assert_eq!(pki.ci_key(curve).unwrap().public(), ci.public_key());
    let smdp = pki.smdp(curve).unwrap();
    cert::verify_server_certificate(&smdp.auth.certificate, Role::DpAuth, ci, NOW).unwrap();
    cert::verify_server_certificate(&smdp.pb.certificate, Role::DpPb, ci, NOW).unwrap();
    cert::verify_same_smdp(&smdp.auth.certificate, &smdp.pb.certificate).unwrap();
    assert_eq!(smdp.auth.certificate.registered_id(), Some(&smdp.oid));
    let tls = pki.tls(curve).unwrap();
    cert::verify_server_certificate(&tls.certificate, Role::DpTls, ci, NOW).unwrap();
    for identity in [&smdp.auth, &smdp.pb, tls] {
        assert_eq!(identity.key.public(), identity.certificate.public_key());
    }
    assert_eq!(pki.eids(), [eid()]);
    let euicc = pki.euicc(curve, &eid()).unwrap();
    assert_eq!(euicc.ci, *ci);
    assert_eq!(cert::verify_euicc_chain(&euicc.euicc.certificate, &euicc.eum, ci, NOW).unwrap(), eid());
    assert_eq!(euicc.euicc.key.public(), euicc.euicc.certificate.public_key());
}

#[test]
fn a_new_pki_obeys_the_rules_on_both_curves() {
    let pki = pki();
    assert_eq!(pki.curves().collect::<Vec<_>>(), CURVES);
    for curve in CURVES {
        assert_sound(&pki, curve);
        let ci = pki.ci(curve).unwrap();
        let smds = pki.smds(curve).unwrap();
        cert::verify_server_certificate(&smds.auth.certificate, Role::DsAuth, ci, NOW).unwrap();
        cert::verify_server_certificate(&pki.smds_tls(curve).unwrap().certificate, Role::DsTls, ci, NOW).unwrap();
        assert_eq!(pki.smdp(curve).unwrap().oid.to_string(), "2.999.10");
        let tls = &pki.tls(curve).unwrap().certificate;
        assert_eq!(tls.dns_names(), ["localhost"]);
        assert_eq!(tls.ip_addresses()[0], [127, 0, 0, 1]);
        assert_eq!(tls.ip_addresses()[1].len(), 16);
        let euicc = &pki.euicc(curve, &eid()).unwrap().euicc.certificate;
        euicc.check_validity(NEVER).unwrap();
        assert!(pki.tls(curve).unwrap().certificate.check_validity(NOW + 3650 * 86_400 + 1).is_err());
    }
}

#[test]
fn the_same_seed_gives_the_same_pki() {
    let der = |pki: &Pki| pki.euicc(Curve::P256, &eid()).unwrap().euicc.certificate.der().to_vec();
    assert_eq!(der(&pki()), der(&pki()));
    let other = Pki::generate(&PkiSpec::default(), &mut SeededRandom::new(27, "pki"), NOW).unwrap();
    assert_ne!(der(&pki()), der(&other));
}

/// What OpenSSL, which knows nothing of SGP.22, says of a certificate under the CI.
fn openssl_verdict(ci: &Certificate, leaf: &Certificate, host: Option<&str>) -> Result<(), String> {
    let mut store = X509StoreBuilder::new().unwrap();
    store.add_cert(X509::from_der(ci.der()).unwrap()).unwrap();
    let mut param = X509VerifyParam::new().unwrap();
    param.set_time(NOW);
    match host.map(|host| (host, host.parse::<std::net::IpAddr>())) {
        Some((_, Ok(address))) => param.set_ip(address).unwrap(),
        Some((host, Err(_))) => param.set_host(host).unwrap(),
        None => {}
    }
    store.set_param(&param).unwrap();
    let (store, leaf, chain) = (store.build(), X509::from_der(leaf.der()).unwrap(), Stack::new().unwrap());
    let mut context = X509StoreContext::new().unwrap();
    let result = context.init(&store, &leaf, &chain, |context| {
        let verified = context.verify_cert()?;
        Ok(if verified { Ok(()) } else { Err(context.error().error_string().to_owned()) })
    });
    result.unwrap()
}

#[test]
fn openssl_accepts_what_generic_validation_can() {
    let pki = pki();
    let (nist, brp) = (pki.ci(Curve::P256).unwrap(), pki.ci(Curve::BrainpoolP256r1).unwrap());
    for (curve, ci, other) in [(Curve::P256, nist, brp), (Curve::BrainpoolP256r1, brp, nist)] {
        let smdp = pki.smdp(curve).unwrap();
        let tls = &pki.tls(curve).unwrap().certificate;
        let eum = &pki.eum_identity(curve).unwrap().certificate;
        for certificate in [ci, eum, &smdp.auth.certificate, &smdp.pb.certificate, tls] {
            assert_eq!(openssl_verdict(ci, certificate, None), Ok(()), "{certificate}");
            assert!(openssl_verdict(other, certificate, None).is_err(), "{certificate}");
        }
        for host in ["localhost", "127.0.0.1", "::1"] {
            assert_eq!(openssl_verdict(ci, tls, Some(host)), Ok(()));
        }
        assert!(openssl_verdict(ci, tls, Some("example.com")).unwrap_err().contains("mismatch"));
        let wild = ["*.example.com".to_owned()];
        let wild = pki.issue_tls(curve, &wild, &mut random(), NOW).unwrap().certificate;
        assert_eq!(openssl_verdict(ci, &wild, Some("smdp.example.com")), Ok(()));
    }
}

/// The table of extensions, as OpenSSL prints them.
#[test]
fn extensions_are_those_of_sgp22() {
    let pki = pki();
    let text = |certificate: &Certificate| {
        String::from_utf8(X509::from_der(certificate.der()).unwrap().to_text().unwrap()).unwrap()
    };
    let has = |certificate: &Certificate, wanted: &[&str], extensions: usize| {
        let text = text(certificate);
        // Lines without their indentation.
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for wanted in wanted {
            assert!(lines.join("\n").contains(wanted), "{wanted:?} in {text}");
        }
        assert_eq!(
            lines.iter().filter(|line| line.starts_with("X509v3 ") && !line.contains("extensions")).count(),
            extensions,
            "{text}"
        );
    };
    let policy =
        |role: u8, critical: &str| format!("X509v3 Certificate Policies:{critical}\nPolicy: 2.23.146.1.2.1.{role}");
    let list = "X509v3 CRL Distribution Points:";
    let sign = "X509v3 Key Usage: critical\nDigital Signature";
    for curve in CURVES {
        let smdp = pki.smdp(curve).unwrap();
        let euicc = pki.euicc(curve, &eid()).unwrap();
        has(
            pki.ci(curve).unwrap(),
            &[
                &policy(0, " critical"),
                "X509v3 Basic Constraints: critical\nCA:TRUE\n",
                "X509v3 Key Usage: critical\nCertificate Sign, CRL Sign\n",
                "Registered ID:2.999.1\n",
                list,
            ],
            6,
        );
        has(
            &euicc.eum,
            &[
                &policy(2, " critical"),
                "X509v3 Basic Constraints: critical\nCA:TRUE, pathlen:0\n",
                "X509v3 Key Usage: critical\nCertificate Sign\n",
                "Registered ID:2.999.5\n",
                "X509v3 Name Constraints: critical\nPermitted:\nDirName:O = esimlab EUM, serialNumber = 89049032",
                "X509v3 Authority Key Identifier:",
                list,
            ],
            8,
        );
        has(
            &euicc.euicc.certificate,
            &[
                &policy(1, " critical"),
                sign,
                "Subject: O=esimlab EUM/serialNumber=89049032123451234512345678901235, CN=esimlab eUICC",
                "X509v3 Authority Key Identifier:",
                "X509v3 Subject Key Identifier:",
            ],
            4,
        );
        has(&smdp.auth.certificate, &[&policy(4, " critical"), sign, "Registered ID:2.999.10\n", list], 6);
        has(&smdp.pb.certificate, &[&policy(5, " critical"), sign, "Registered ID:2.999.10\n", list], 6);
        has(
            &pki.tls(curve).unwrap().certificate,
            &[
                &policy(3, ""),
                sign,
                "X509v3 Extended Key Usage: critical\nTLS Web Server Authentication, TLS Web Client Authentication\n",
                "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, Registered ID:2.999.10",
                list,
            ],
            7,
        );
    }
}

#[test]
fn key_identifiers_are_those_of_sgp26() {
    let Some(folder) = sgp26() else { return };
    let pki = Pki::load(&folder, NOW).unwrap();
    for (curve, id) in
        CURVES.into_iter().zip(["F54172BDF98A95D65CBEB88A38A1C11D800A85C3", "C0BC70BA36929D43B467FF57570530E57AB8FCD8"])
    {
        let ci = pki.ci(curve).unwrap();
        assert_eq!(to_hex(ci.subject_key_id().unwrap()), id);
        assert_eq!(to_hex(&spec::key_id(ci.public_key())), id);
    }
}

#[test]
fn sgp26_is_loaded_whole_and_issued_under() {
    let Some(folder) = sgp26() else { return };
    let pki = Pki::load(&folder, NOW).unwrap();
    for curve in CURVES {
        assert_sound(&pki, curve);
        let oids: Vec<String> = pki.smdps(curve).iter().map(|smdp| smdp.oid.to_string()).collect();
        assert_eq!(oids, ["2.999.10", "2.999.12"]);
        assert_eq!(pki.tls(curve).unwrap().certificate.dns_names(), ["testsmdpplus1.example.com"]);
        assert!(pki.smds(curve).unwrap_err().to_string().starts_with("the PKI has no SM-DS"));

        let another = Eid::with_check_digits("890490320000000000000000000001").unwrap();
        let euicc = pki.issue_euicc(curve, &another, &mut random(), NOW).unwrap();
        assert_eq!(euicc.euicc.certificate.organization(), Some("RSP Test EUM"));
        let ci = pki.ci(curve).unwrap();
        assert_eq!(cert::verify_euicc_chain(&euicc.euicc.certificate, &euicc.eum, ci, NOW), Ok(another));
        let tls = pki.issue_tls(curve, &["127.0.0.1".to_owned()], &mut random(), NOW).unwrap();
        cert::verify_server_certificate(&tls.certificate, Role::DpTls, ci, NOW).unwrap();
        assert_eq!(openssl_verdict(ci, &tls.certificate, Some("127.0.0.1")), Ok(()));
    }
    // When the newer certificates have expired too, one is there all the same.
    let late = Pki::load(&folder, NOW + 10 * 365 * 86_400).unwrap();
    assert!(late.tls(Curve::P256).is_ok());
}

#[test]
fn what_is_written_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("new/pki");
    let mut written = pki();
    let another = Eid::with_check_digits("890490320000000000000000000002").unwrap();
    let euicc = written.issue_euicc(Curve::P256, &another, &mut random(), NOW).unwrap();
    written.add_euicc(euicc.clone());
    written.add_euicc(euicc);
    assert_eq!(written.eids(), [eid(), another]);
    written.write(&dir).unwrap();

    let mode = |name: &str| fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("CertificateIssuer/SK_CI_ECDSA_NIST.pem"), 0o600);
    assert_eq!(mode("eUICC/SK_EUICC2_ECDSA_NIST.pem"), 0o600);
    assert_eq!(mode("DPauth/CERT_S_SM_DPauth_ECDSA_BRP.der"), 0o644);
    assert_eq!(mode("DPtls/CERT_S_SM_DP_TLS_BRP.pem"), 0o644);

    let mut loaded = Pki::load(&dir, NOW).unwrap();
    assert_eq!(loaded.eids(), [eid(), another]);
    for curve in CURVES {
        assert_eq!(loaded.smds(curve).unwrap().auth.certificate, written.smds(curve).unwrap().auth.certificate);
        assert_eq!(loaded.smds_tls(curve).unwrap().certificate, written.smds_tls(curve).unwrap().certificate);
        loaded.branches.get_mut(&curve).unwrap().euiccs.truncate(1);
        assert_sound(&loaded, curve);
        assert_eq!(loaded.tls(curve).unwrap().certificate, written.tls(curve).unwrap().certificate);
    }

    let error = written.write(&dir).unwrap_err().to_string();
    assert!(error.starts_with("cannot write ") && error.contains("CERT_CI_ECDSA_NIST.der"), "{error}");
}

fn find(dir: &Path, matches: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(find(&path, matches));
        } else if matches(path.file_name().unwrap().to_str().unwrap()) {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_folder_may_lack_parts_and_names_may_lie() {
    let folder = tempfile::tempdir().unwrap();
    pki().write(folder.path()).unwrap();
    // Everything on brainpool goes, and so does every DER file.
    for path in find(folder.path(), &|name| name.contains("_BRP") || name.ends_with(".der")) {
        fs::remove_file(path).unwrap();
    }
    // The keys change their names.
    let (auth, pb) = ("DPauth/SK_S_SM_DPauth_ECDSA_NIST.pem", "DPpb/SK_S_SM_DPpb_ECDSA_NIST.pem");
    fs::rename(folder.path().join(auth), folder.path().join("one.key")).unwrap();
    fs::rename(folder.path().join(pb), folder.path().join(auth)).unwrap();
    // A file with certificate and key, and a key in DER.
    let tls = folder.path().join("DPtls/SK_S_SM_DP_TLS_NIST.pem");
    let certificate = folder.path().join("DPtls/CERT_S_SM_DP_TLS_NIST.pem");
    let both = [fs::read(&certificate).unwrap(), fs::read(&tls).unwrap()].concat();
    fs::write(&certificate, both).unwrap();
    fs::remove_file(tls).unwrap();
    let euicc = folder.path().join("eUICC/SK_EUICC_ECDSA_NIST.pem");
    let key = PrivateKey::from_pem_or_der(&fs::read(&euicc).unwrap()).unwrap();
    fs::write(euicc.with_extension("der"), key.as_pkey().private_key_to_der().unwrap()).unwrap();
    fs::remove_file(euicc).unwrap();
    // What is no certificate by its name is not read.
    fs::write(folder.path().join("README.txt"), "nothing").unwrap();

    let loaded = Pki::load(folder.path(), NOW).unwrap();
    assert_sound(&loaded, Curve::P256);
    assert_eq!(loaded.curves().collect::<Vec<_>>(), [Curve::P256]);
    let error = loaded.ci(Curve::BrainpoolP256r1).unwrap_err().to_string();
    assert_eq!(error, "the PKI has no CI on brainpoolP256r1: use the other curve, or make a new PKI with both");

    for path in find(folder.path(), &|name| name.starts_with("SK_CI") || name.starts_with("SK_EUM")) {
        fs::remove_file(path).unwrap();
    }
    let keyless = Pki::load(folder.path(), NOW).unwrap();
    assert!(keyless.smdp(Curve::P256).is_ok() && keyless.euicc(Curve::P256, &eid()).is_some());
    let error = keyless.issue_euicc(Curve::P256, &eid(), &mut random(), NOW).unwrap_err().to_string();
    assert!(error.starts_with("the PKI has no EUM with its private key on P-256"), "{error}");
    let error = keyless.issue_tls(Curve::P256, &[], &mut random(), NOW).unwrap_err().to_string();
    assert!(error.starts_with("the PKI has no private key of the CI"), "{error}");
}

#[test]
fn errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    assert!(matches!(Pki::load(&dir.join("nowhere"), NOW), Err(PkiError::Io { .. })));
    assert!(matches!(Pki::load(dir, NOW), Err(PkiError::NoCi { .. })));
    fs::write(dir.join("CERT_X.der"), [0x30, 0x03, 0x02, 0x01]).unwrap();
    let error = Pki::load(dir, NOW).unwrap_err().to_string();
    assert!(error.contains("CERT_X.der: not a certificate of SGP.22") && error.contains("repair"), "{error}");
    fs::remove_file(dir.join("CERT_X.der")).unwrap();
    fs::write(dir.join("SK_X.pem"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    let error = Pki::load(dir, NOW).unwrap_err().to_string();
    assert!(error.contains("SK_X.pem: no EC private key"), "{error}");
}

#[test]
fn eids_and_names_outside_the_rules_are_refused() {
    let pki = pki();
    let foreign = Eid::with_check_digits("890330230000000000000000000001").unwrap();
    let error = pki.issue_euicc(Curve::P256, &foreign, &mut random(), NOW).unwrap_err().to_string();
    assert!(error.contains("choose one that begins with 89049032"), "{error}");
    for ein in ["8904903", "890490321", "8904903X", ""] {
        let spec = PkiSpec { eum_ein: ein.to_owned(), ..PkiSpec::default() };
        assert!(matches!(Pki::generate(&spec, &mut random(), NOW), Err(PkiError::Ein { .. })));
    }
    for name in ["https://smdp.example.com", "smdp.example.com:8443", "", "a..b", "m\u{fc}ller.example"] {
        let error = pki.issue_tls(Curve::P256, &[name.to_owned()], &mut random(), NOW).unwrap_err();
        assert!(matches!(error, PkiError::Name { .. }), "{error}");
    }
    let mut spec = CertificateSpec::dp_auth(&example_oid(10).unwrap(), NOW);
    spec.crl_distribution_points = vec!["http://m\u{fc}ller.example".to_owned()];
    let key = PrivateKey::generate(Curve::P256, &mut random()).unwrap();
    assert!(matches!(spec.self_sign(key, &mut random()), Err(PkiError::Name { .. })));
}

/// Issues what `change` makes of a right certificate and returns what the check under the CI says.
fn verdict_on_server(change: impl FnOnce(&mut CertificateSpec)) -> Result<(), CertError> {
    let (pki, mut random) = (pki(), random());
    let mut spec = CertificateSpec::dp_auth(&example_oid(10).unwrap(), NOW);
    change(&mut spec);
    let key = PrivateKey::generate(Curve::P256, &mut random).unwrap();
    let issued = spec.issue(&pki.ci_identity(Curve::P256).unwrap(), key, &mut random).unwrap();
    cert::verify_server_certificate(&issued.certificate, Role::DpAuth, pki.ci(Curve::P256).unwrap(), NOW)
}

#[test]
fn each_broken_rule_of_a_server_certificate_is_found() {
    verdict_on_server(|_| {}).unwrap();
    assert!(matches!(verdict_on_server(|spec| spec.not_after = NOW - 1), Err(CertError::Expired { .. })));
    assert!(matches!(verdict_on_server(|spec| spec.not_before = NOW + 1), Err(CertError::NotYetValid { .. })));
    assert!(matches!(verdict_on_server(|spec| spec.policies.clear()), Err(CertError::Role { .. })));
    for role in Role::ALL.into_iter().filter(|role| *role != Role::DpAuth) {
        let result = verdict_on_server(|spec| *spec = spec.clone().with_role(role));
        assert!(matches!(result, Err(CertError::Role { expected: Role::DpAuth, .. })), "{role}");
    }
    for usage in [&[1u8][..], &[key_usage::KEY_CERT_SIGN], &[0, key_usage::KEY_CERT_SIGN]] {
        let result = verdict_on_server(|spec| spec.key_usage = NamedBits::of(usage));
        assert!(matches!(result, Err(CertError::KeyUsage { .. })));
    }
    let result = verdict_on_server(|spec| spec.key_usage = NamedBits::default());
    assert!(matches!(result, Err(CertError::MissingExtension { extension: "keyUsage", .. })));
    assert!(matches!(verdict_on_server(|spec| spec.is_ca = true), Err(CertError::BasicConstraints { .. })));
    let result = verdict_on_server(|spec| spec.registered_id = None);
    assert!(matches!(result, Err(CertError::MissingExtension { .. })));
    for id in [KeyId::Absent, KeyId::Fixed(vec![1; 20])] {
        let result = verdict_on_server(|spec| spec.authority_key_id = id);
        assert!(matches!(result, Err(CertError::WrongAuthorityKey { .. })));
    }
    let unknown = |critical| Extension { oid: example_oid(99).unwrap(), critical, value: vec![0x05, 0x00] };
    verdict_on_server(|spec| spec.extensions.push(unknown(false))).unwrap();
    let result = verdict_on_server(|spec| spec.extensions.push(unknown(true)));
    assert!(matches!(result, Err(CertError::UnknownCriticalExtension { .. })));
}

#[test]
fn each_broken_rule_of_a_tls_certificate_is_found() {
    let (pki, mut random) = (pki(), random());
    let verdict = |change: fn(&mut CertificateSpec), random: &mut SeededRandom| {
        let mut spec = CertificateSpec::dp_tls(&["smdp.example".to_owned()], &example_oid(10).unwrap(), NOW);
        change(&mut spec);
        let key = PrivateKey::generate(Curve::P256, random).unwrap();
        let issued = spec.issue(&pki.ci_identity(Curve::P256).unwrap(), key, random).unwrap();
        cert::verify_server_certificate(&issued.certificate, Role::DpTls, pki.ci(Curve::P256).unwrap(), NOW)
    };
    verdict(|_| {}, &mut random).unwrap();
    let result = verdict(|spec| spec.tls_usage = false, &mut random);
    assert!(matches!(result, Err(CertError::MissingExtension { extension: "serverAuth in extKeyUsage", .. })));
    let result = verdict(|spec| spec.host_names.clear(), &mut random);
    assert!(matches!(result, Err(CertError::MissingExtension { .. })));
}

#[test]
fn another_issuer_curve_or_self_made_ci_is_found() {
    let (pki, mut random) = (pki(), random());
    let other = Pki::generate(&PkiSpec::default(), &mut SeededRandom::new(1, "other"), NOW).unwrap();
    let (curve, spec) = (Curve::P256, CertificateSpec::dp_auth(&example_oid(10).unwrap(), NOW));
    let ci = pki.ci_identity(curve).unwrap();

    // The CI of another PKI has the same name and another key.
    let foreign = &other.smdp(curve).unwrap().auth.certificate;
    assert!(matches!(foreign.verify_signed_by(&ci.certificate), Err(CertError::WrongAuthorityKey { .. })));

    // An impostor copies name and key identifier of the CI.
    let mut forged = spec.clone();
    forged.authority_key_id = KeyId::Fixed(ci.certificate.subject_key_id().unwrap().to_vec());
    let key = PrivateKey::generate(curve, &mut random).unwrap();
    let forged = forged.issue(&other.ci_identity(curve).unwrap(), key, &mut random).unwrap();
    assert!(matches!(forged.certificate.verify_signed_by(&ci.certificate), Err(CertError::Signature { .. })));

    let brainpool = PrivateKey::generate(Curve::BrainpoolP256r1, &mut random).unwrap();
    let mixed = spec.issue(&ci, brainpool, &mut random).unwrap();
    assert!(matches!(mixed.certificate.verify_signed_by(&ci.certificate), Err(CertError::CurvesDiffer { .. })));

    // The EUM is an authority, and not for servers; an SM-DP+ is none.
    let auth = &pki.smdp(curve).unwrap().auth;
    let key = PrivateKey::generate(curve, &mut random).unwrap();
    let below = spec.issue(auth, key, &mut random).unwrap();
    assert!(matches!(below.certificate.verify_signed_by(&auth.certificate), Err(CertError::IssuerNotAllowed { .. })));
    assert!(matches!(
        cert::verify_server_certificate(&below.certificate, Role::DpAuth, &auth.certificate, NOW),
        Err(CertError::Role { expected: Role::Ci, .. })
    ));

    for change in [
        (|spec| spec.key_usage = NamedBits::of(&[key_usage::KEY_CERT_SIGN])) as fn(&mut CertificateSpec),
        |spec| spec.is_ca = false,
        |spec| spec.subject_key_id = KeyId::Absent,
        |spec| spec.policies.clear(),
        |spec| spec.not_after = NOW - 1,
    ] {
        let mut spec = CertificateSpec::ci("wrong", &example_oid(1).unwrap(), NOW);
        change(&mut spec);
        let key = PrivateKey::generate(curve, &mut random).unwrap();
        let wrong = spec.self_sign(key, &mut random).unwrap();
        assert!(cert::verify_ci(&wrong.certificate, NOW).is_err());
    }
    assert!(matches!(cert::verify_ci(&pki.eum_identity(curve).unwrap().certificate, NOW), Err(CertError::Role { .. })));
}

/// Makes EUM and eUICC from changed specifications, and returns what the check of the chain says.
fn verdict_on_chain(change: impl FnOnce(&mut CertificateSpec, &mut CertificateSpec)) -> Result<Eid, ChainError> {
    let (pki, mut random, curve) = (pki(), random(), Curve::BrainpoolP256r1);
    let mut eum = CertificateSpec::eum("Maker", "89049032", &example_oid(5).unwrap(), NOW);
    let mut euicc = CertificateSpec::euicc("Maker", &eid(), NOW);
    change(&mut eum, &mut euicc);
    let key = PrivateKey::generate(curve, &mut random).unwrap();
    let eum = eum.issue(&pki.ci_identity(curve).unwrap(), key, &mut random).unwrap();
    let key = PrivateKey::generate(curve, &mut random).unwrap();
    let euicc = euicc.issue(&eum, key, &mut random).unwrap();
    cert::verify_euicc_chain(&euicc.certificate, &eum.certificate, pki.ci(curve).unwrap(), NOW)
}

#[test]
fn each_broken_rule_of_an_euicc_chain_is_found() {
    assert_eq!(verdict_on_chain(|_, _| {}), Ok(eid()));
    assert!(matches!(verdict_on_chain(|eum, _| eum.not_after = NOW - 1), Err(ChainError::EumExpired(_))));
    assert!(matches!(verdict_on_chain(|_, euicc| euicc.not_after = NOW - 1), Err(ChainError::EuiccExpired(_))));
    // What is wrong comes before what is late.
    let result = verdict_on_chain(|eum, euicc| {
        eum.not_after = NOW - 1;
        euicc.key_usage = NamedBits::of(&[1]);
    });
    assert!(matches!(result, Err(ChainError::EuiccInvalid(CertError::KeyUsage { .. }))));

    let eum_invalid: [fn(&mut CertificateSpec); 8] = [
        |eum| eum.policies.clear(),
        |eum| eum.key_usage = NamedBits::of(&[0]),
        |eum| eum.is_ca = false,
        |eum| eum.path_len = None,
        |eum| eum.path_len = Some(1),
        |eum| eum.permitted.clear(),
        |eum| eum.subject_key_id = KeyId::Absent,
        |eum| eum.authority_key_id = KeyId::Absent,
    ];
    for (index, change) in eum_invalid.into_iter().enumerate() {
        let result = verdict_on_chain(|eum, _| change(eum));
        assert!(matches!(result, Err(ChainError::EumInvalid(_))), "{index}: {result:?}");
    }
    let euicc_invalid: [fn(&mut CertificateSpec); 6] = [
        |euicc| *euicc = euicc.clone().with_role(Role::Eum),
        |euicc| euicc.is_ca = true,
        |euicc| euicc.authority_key_id = KeyId::Fixed(vec![7; 20]),
        |euicc| euicc.not_before = NOW + 1,
        |euicc| euicc.subject.remove(1).value.clear(),
        |euicc| euicc.subject[1].value = "89049032123451234512345678901234".to_owned(),
    ];
    for (index, change) in euicc_invalid.into_iter().enumerate() {
        let result = verdict_on_chain(|_, euicc| change(euicc));
        assert!(matches!(result, Err(ChainError::EuiccInvalid(_))), "{index}: {result:?}");
    }
}

#[test]
fn the_eum_signs_for_its_eids_and_its_organization_only() {
    let permitted = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs.iter().map(|(name, ein)| ((*name).to_owned(), (*ein).to_owned())).collect();
        verdict_on_chain(move |eum, _| eum.permitted = pairs)
    };
    let error = permitted(&[("Maker", "89033023")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the EUM may not sign for EID 89049032123451234512345678901235 of \"Maker\": it is permitted EIN 89033023 \
         of \"Maker\" (SGP.22 §4.5.2.1.0.2)"
    );
    assert_eq!(permitted(&[("Maker", "89033023"), ("Maker", "89049032")]), Ok(eid()));
    for pairs in [&[("Other", "89049032")][..], &[("Other", "89049032"), ("Maker", "89033023")], &[("Maker", "")]] {
        assert!(matches!(permitted(pairs), Err(ChainError::EidNotPermitted { .. })), "{pairs:?}");
    }

    // The extension of SGP.22 v3: SEQUENCE OF PrintableString.
    let eins = |ein: &str| Extension {
        oid: "2.23.146.1.2.2.0".parse().unwrap(),
        critical: true,
        value: [&[0x30, 0x0A, 0x13, 0x08], ein.as_bytes()].concat(),
    };
    let with_eins = |ein: &str, keep_names: bool| {
        let extension = eins(ein);
        verdict_on_chain(move |eum, _| {
            eum.extensions.push(extension);
            if !keep_names {
                eum.permitted.clear();
            }
        })
    };
    assert_eq!(with_eins("89049032", false), Ok(eid()));
    assert_eq!(with_eins("89049032", true), Ok(eid()));
    assert!(matches!(with_eins("89033023", false), Err(ChainError::EidNotPermitted { .. })));
    assert!(matches!(with_eins("89033023", true), Err(ChainError::EidNotPermitted { .. })));
}

#[test]
fn two_servers_are_not_one() {
    let pki = pki();
    let smdp = pki.smdp(Curve::P256).unwrap();
    let other = CertificateSpec::dp_pb(&example_oid(11).unwrap(), NOW)
        .issue(&pki.ci_identity(Curve::P256).unwrap(), smdp.pb.key.clone(), &mut random())
        .unwrap();
    let error = cert::verify_same_smdp(&smdp.auth.certificate, &other.certificate).unwrap_err().to_string();
    assert!(error.contains("2.999.10 and 2.999.11"), "{error}");
}

/// Signatures of all lengths are written in the one form that is read.
#[test]
fn a_hundred_certificates_verify() {
    let (pki, mut random) = (pki(), random());
    let (ci, key) = (pki.ci_identity(Curve::P256).unwrap(), pki.ci_key(Curve::P256).unwrap().clone());
    let spec = CertificateSpec::dp_auth(&example_oid(10).unwrap(), NOW);
    let mut lengths = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let issued = spec.issue(&ci, key.clone(), &mut random).unwrap().certificate;
        issued.verify_signed_by(&ci.certificate).unwrap();
        lengths.insert(issued.der().len());
    }
    assert!(lengths.len() > 1);
}

#[test]
fn revocation_lists_are_taken_by_openssl() {
    use openssl::x509::{CrlStatus, X509Crl};
    let pki = pki();
    for curve in CURVES {
        let issuer = pki.ci_identity(curve).unwrap();
        let auth = &pki.smdp(curve).unwrap().auth.certificate;
        let spec = CrlSpec::new(7, vec![auth.serial().to_vec()], NOW);
        let delta = CrlSpec { delta: Some((6.into(), vec![vec![1]])), ..spec.clone() };
        for spec in [spec.clone(), delta, CrlSpec { part: Some((1, 2)), ..spec }, CrlSpec::new(8, vec![], NOW)] {
            let der = spec.issue(&issuer).unwrap();
            let (ours, theirs) = (cert::RevocationList::parse(&der).unwrap(), X509Crl::from_der(&der).unwrap());
            ours.verify_signed_by(&issuer.certificate).unwrap();
            let ci = X509::from_der(issuer.certificate.der()).unwrap();
            assert!(theirs.verify(&ci.public_key().unwrap()).unwrap());
            assert_eq!(theirs.to_der().unwrap(), der);
            let status = theirs.get_by_cert(&X509::from_der(auth.der()).unwrap());
            assert_eq!(matches!(status, CrlStatus::Revoked(_)), !spec.revoked.is_empty());
            assert_eq!(ours.part(), spec.part.unwrap_or((1, 1)));
        }
    }
}
