//! Certificate revocation lists: which the card takes, and that it refuses whom they name (SGP.22 §4.6, §5.7.12).

use pki::{CertificateSpec, CrlSpec, Identity, SmdpCredentials};
use rsp::cert::RevocationList;
use rsp::crypto::{Curve, PrivateKey, SeededRandom};
use rsp::es10::auth::{AuthenticateErrorCode, AuthenticateServerResponse};
use rsp::es10::crl::{LoadCrlErrorCode as Code, LoadCrlResponse, encode_load_crl_request};
use rsp::es10::download::{DownloadErrorCode, PrepareDownloadResponse};
use rsp::ids::from_hex;
use rsp::tlv::NamedBits;

use super::lab::*;
use crate::nvram::Nvram;
use crate::{CardConfig, CardEvent, Euicc};

/// A card that has the capability.
pub(super) fn able(curves: &[Curve]) -> CardConfig {
    CardConfig { rsp_capability: NamedBits::of(&[0, 1, 3, 4]), ..config(curves) }
}

fn ci(curve: Curve) -> Identity {
    pki().ci_identity(curve).unwrap()
}

fn load(lab: &mut Lab, list: &[u8]) -> LoadCrlResponse {
    LoadCrlResponse::parse(&lab.es10(&encode_load_crl_request(list).unwrap())).unwrap()
}

fn whole() -> LoadCrlResponse {
    LoadCrlResponse::Ok { missing_parts: Vec::new() }
}

fn error(lab: &mut Lab, list: &[u8]) -> Option<Code> {
    lab.card.drain_events();
    let before = lab.card.free_memory();
    let LoadCrlResponse::Error(code) = load(lab, list) else { return None };
    assert_eq!(lab.card.free_memory(), before);
    let refused = |event: &CardEvent| matches!(event, CardEvent::RevocationListRefused { code: c, .. } if *c == code);
    assert!(lab.card.drain_events().iter().any(refused));
    Some(code)
}

/// Lists of the CI on P-256.
fn list(number: u32, revoked: &[&[u8]]) -> CrlSpec {
    CrlSpec::new(number, revoked.iter().map(|serial| serial.to_vec()).collect(), NOW)
}

fn issued(spec: &CrlSpec) -> Vec<u8> {
    spec.issue(&ci(Curve::P256)).unwrap()
}

/// What AuthenticateServer says of the lab's server.
fn refused(lab: &mut Lab) -> Option<AuthenticateErrorCode> {
    let challenge = lab.challenge();
    let response = lab.es10(&lab.authenticate_request(challenge));
    match AuthenticateServerResponse::parse(&response).unwrap() {
        AuthenticateServerResponse::Ok(_) => None,
        AuthenticateServerResponse::Error { code, .. } => Some(code),
    }
}

#[test]
fn a_card_without_the_capability_does_not_know_the_function() {
    // proves: ES10b.LoadCRL
    let mut lab = Lab::new(Curve::P256);
    let request = encode_load_crl_request(&issued(&list(1, &[]))).unwrap();
    assert_eq!(lab.es10_in(&request, 255), (Vec::new(), 0x6A88));
    // One that has it says so in EUICCInfo2: 88, crlSupport is bit 1.
    let mut lab = Lab::with(able(&[Curve::P256]), Curve::P256);
    let info = rsp::es10::info::EuiccInfo2::parse(&lab.es10(&from_hex("BF2200").unwrap())).unwrap();
    assert_eq!(info.rsp_capability, NamedBits::of(&[0, 1, 3, 4]));
    assert_eq!(lab.es10_in(&from_hex("BF3500").unwrap(), 255), (Vec::new(), 0x6A80));
}

#[test]
fn whom_a_list_names_is_refused() {
    // proves: ES10b.LoadCRL; ES10b.AuthenticateServer (1); ES10b.PrepareDownload (1)
    for curve in CURVES {
        let mut lab = Lab::with(able(&CURVES), curve);
        let (auth, pb) = (lab.server.auth.certificate.clone(), lab.server.pb.certificate.clone());
        let list = |number, serials: &[&[u8]]| list(number, serials).issue(&ci(curve)).unwrap();
        // Others are revoked.
        assert_eq!(load(&mut lab, &list(1, &[&[0x55, 0x66]])), whole());
        lab.authenticate();
        // CERT.DPauth.
        assert_eq!(load(&mut lab, &list(2, &[auth.serial()])), whole());
        assert_eq!(refused(&mut lab), Some(AuthenticateErrorCode::InvalidCertificate));
        let told = |event: &CardEvent| {
            let CardEvent::AuthenticationFailed { problem, .. } = event else { return false };
            problem.contains("is revoked by list 2")
        };
        assert!(lab.card.drain_events().iter().any(told));
        // CERT.DPpb; what the new list does not name any more is good again.
        assert_eq!(load(&mut lab, &list(3, &[pb.serial()])), whole());
        let signature1 = lab.authenticate();
        let request = lab.prepare_request(&lab.smdp_signed2(), &signature1, None, &lab.server.pb.clone());
        let response = lab.es10(&request);
        let code = match PrepareDownloadResponse::parse(&response).unwrap() {
            PrepareDownloadResponse::Error { code, .. } => Some(code),
            PrepareDownloadResponse::Ok { .. } => None,
        };
        assert_eq!(code, Some(DownloadErrorCode::InvalidCertificate));
        // A certificate of another CI with the same serial number is another certificate.
        let other = CURVES.into_iter().find(|other| *other != curve).unwrap();
        let serial = pki().smdp(other).unwrap().auth.certificate.serial();
        assert_eq!(load(&mut lab, &list(4, &[serial])), whole());
        let mut beside = Lab::of(able(&CURVES), pki().smdp(other).unwrap().clone(), other);
        std::mem::swap(&mut beside.card, &mut lab.card);
        beside.open();
        beside.authenticate();
    }
}

#[test]
fn lists_that_are_not_taken() {
    // proves: ES10b.LoadCRL (1, 2, 4, 5, 6)
    let mut lab = Lab::with(able(&[Curve::P256]), Curve::P256);
    let good = issued(&list(10, &[&[1]]));
    // Every wrong bit: of its format, its issuer or its signature.
    for at in 0..good.len() {
        let mut wrong = good.clone();
        wrong[at] ^= 0x10;
        let Ok(request) = encode_load_crl_request(&wrong) else { continue };
        let (response, sw) = lab.es10_in(&request, 255);
        let taken = sw == 0x9000 && LoadCrlResponse::parse(&response) == Ok(whole());
        assert!(!taken, "byte {at}");
    }
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(error(&mut lab, &forged), Some(Code::InvalidSignature));
    // The CI's name and key identifier over another key.
    let key = PrivateKey::generate(Curve::P256, &mut SeededRandom::new(1, "another key")).unwrap();
    let forged = list(10, &[]).issue(&Identity { key, ..ci(Curve::P256) }).unwrap();
    assert_eq!(error(&mut lab, &forged), Some(Code::InvalidSignature));
    assert_eq!(error(&mut lab, &from_hex("3003020101").unwrap()), Some(Code::InvalidCrlFormat));
    let certificate = lab.ci.der().to_vec();
    assert_eq!(error(&mut lab, &certificate), Some(Code::InvalidCrlFormat));
    // A part that the whole does not have.
    let part = issued(&CrlSpec { part: Some((3, 2)), ..list(10, &[]) });
    assert_eq!(error(&mut lab, &part), Some(Code::InvalidCrlFormat));
    // The card trusts no CI on the other curve.
    let other = list(10, &[]).issue(&ci(Curve::BrainpoolP256r1)).unwrap();
    assert_eq!(error(&mut lab, &other), Some(Code::VerificationKeyNotFound));
    // A list of a server that signs lists: it is no CI.
    let server = lab.server.auth.clone();
    assert_eq!(error(&mut lab, &list(10, &[]).issue(&server).unwrap()), Some(Code::VerificationKeyNotFound));

    assert_eq!(
        error(&mut lab, &issued(&CrlSpec { delta: Some((9.into(), vec![])), ..list(10, &[]) })),
        Some(Code::BaseCrlMissing)
    );
    assert_eq!(load(&mut lab, &good), whole());
    // The same again says the same; an older one nothing.
    assert_eq!(load(&mut lab, &good), whole());
    assert_eq!(error(&mut lab, &issued(&list(9, &[]))), Some(Code::FresherCrlAlreadyLoaded));
    let delta = |number: u32, base: u32| issued(&CrlSpec { delta: Some((base.into(), vec![])), ..list(number, &[]) });
    assert_eq!(error(&mut lab, &delta(12, 11)), Some(Code::BaseCrlMissing));
    assert_eq!(error(&mut lab, &delta(9, 8)), Some(Code::FresherCrlAlreadyLoaded));
    assert_eq!(load(&mut lab, &delta(12, 10)), whole());
    assert_eq!(error(&mut lab, &issued(&list(11, &[]))), Some(Code::FresherCrlAlreadyLoaded));
}

#[test]
fn lists_take_memory() {
    // proves: ES10b.LoadCRL (3)
    let mut lab = Lab::with(able(&[Curve::P256]), Curve::P256);
    let free = lab.card.free_memory();
    let serials: Vec<[u8; 2]> = (0x4000u16..0x4400).map(u16::to_be_bytes).collect();
    let long = issued(&list(1, &serials.iter().map(|serial| &serial[..]).collect::<Vec<_>>()));
    lab.card.set_free_memory(4000);
    assert_eq!(error(&mut lab, &long), Some(Code::NotEnoughMemorySpace));
    lab.card.set_free_memory(free);
    assert_eq!(load(&mut lab, &long), whole());
    let taken = free - lab.card.free_memory();
    assert!((4 * 1024..5000).contains(&taken), "{taken}");
    // A shorter list in its place sets it free again.
    assert_eq!(load(&mut lab, &issued(&list(2, &[]))), whole());
    assert!(free - lab.card.free_memory() < 100);
    // So many parts that the missing ones would not fit an answer.
    let part = issued(&CrlSpec { part: Some((1, 100_000)), ..list(3, &[]) });
    assert_eq!(error(&mut lab, &part), Some(Code::NotEnoughMemorySpace));
}

#[test]
fn lists_in_parts_and_changes_to_them() {
    // proves: ES10b.LoadCRL
    let mut lab = Lab::with(able(&[Curve::P256]), Curve::P256);
    let serial = lab.server.auth.certificate.serial().to_vec();
    let part = |number, part, revoked: &[&[u8]]| issued(&CrlSpec { part: Some((part, 3)), ..list(number, revoked) });
    let missing = |parts: &[u32]| LoadCrlResponse::Ok { missing_parts: parts.to_vec() };
    assert_eq!(load(&mut lab, &part(5, 2, &[&serial])), missing(&[1, 3]));
    // What a part names is revoked at once.
    assert_eq!(refused(&mut lab), Some(AuthenticateErrorCode::InvalidCertificate));
    assert_eq!(load(&mut lab, &part(5, 2, &[&serial])), missing(&[1, 3]));
    assert_eq!(load(&mut lab, &part(5, 1, &[&[9]])), missing(&[3]));
    // Another number of parts is another list.
    let other = issued(&CrlSpec { part: Some((1, 2)), ..list(5, &[]) });
    assert_eq!(error(&mut lab, &other), Some(Code::InvalidCrlFormat));
    assert_eq!(load(&mut lab, &part(5, 3, &[])), whole());
    // A newer list that is not whole yet: the older one stays in force.
    assert_eq!(load(&mut lab, &part(6, 1, &[])), missing(&[2, 3]));
    assert_eq!(refused(&mut lab), Some(AuthenticateErrorCode::InvalidCertificate));
    assert_eq!(error(&mut lab, &part(4, 1, &[])), Some(Code::FresherCrlAlreadyLoaded));
    // A whole one that is newer still takes the place of both.
    assert_eq!(load(&mut lab, &issued(&list(7, &[&serial, &[9]]))), whole());
    assert_eq!(refused(&mut lab), Some(AuthenticateErrorCode::InvalidCertificate));
    // A delta list takes the server out, the next one puts it in again.
    let delta = CrlSpec { delta: Some((7.into(), vec![serial.clone()])), ..list(8, &[]) };
    assert_eq!(load(&mut lab, &issued(&delta)), whole());
    lab.authenticate();
    let delta = CrlSpec { delta: Some((7.into(), vec![])), ..list(9, &[&serial]) };
    assert_eq!(load(&mut lab, &issued(&delta)), whole());
    assert_eq!(refused(&mut lab), Some(AuthenticateErrorCode::InvalidCertificate));
}

#[test]
fn lists_of_openssl_are_taken() {
    // proves: ES10b.LoadCRL
    // A CI of which OpenSSL has made lists: they are said to be good, and the card takes them in their order.
    const KNOWN: &str = include_str!("../../../../lpa/rsp/src/cert/known_crl.pem");
    let mut config = able(&[Curve::P256]);
    config.trusted.push(rsp::cert::Certificate::from_pem_or_der(KNOWN.as_bytes()).unwrap());
    let mut lab = Lab::with(config, Curve::P256);
    let begin = "-----BEGIN X509 CRL-----";
    let lists = KNOWN.split(begin).skip(1).map(|rest| format!("{begin}{rest}"));
    let lists: Vec<_> = lists.map(|pem| RevocationList::from_pem_or_der(pem.as_bytes()).unwrap()).collect();
    let [full, delta, part, empty] = &lists[..] else { panic!("four lists") };
    assert_eq!(load(&mut lab, empty.der()), whole());
    assert_eq!(error(&mut lab, delta.der()), Some(Code::BaseCrlMissing));
    assert_eq!(load(&mut lab, full.der()), whole());
    assert_eq!(load(&mut lab, delta.der()), whole());
    // Of another issuing distribution point: a family of its own, whatever its number.
    assert_eq!(load(&mut lab, part.der()), LoadCrlResponse::Ok { missing_parts: vec![2] });
    assert_eq!(error(&mut lab, full.der()), Some(Code::FresherCrlAlreadyLoaded));
}

#[test]
fn lists_are_kept() {
    // proves: ES10b.LoadCRL; Durable - everything that is kept is the same after power off, and counters go on
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card.redb");
    let open = || {
        let nvram = Nvram::file(&path).unwrap();
        Euicc::open(able(&[Curve::P256]), Box::new(SeededRandom::new(7, "card")), nvram).unwrap()
    };
    let mut lab = Lab::with(able(&[Curve::P256]), Curve::P256);
    lab.card = open();
    lab.open();
    let serial = lab.server.auth.certificate.serial().to_vec();
    assert_eq!(load(&mut lab, &issued(&list(5, &[&serial]))), whole());
    let part = CrlSpec { part: Some((1, 2)), delta: Some((5.into(), vec![serial])), ..list(6, &[&[3]]) };
    assert_eq!(load(&mut lab, &issued(&part)), LoadCrlResponse::Ok { missing_parts: vec![2] });
    let free = lab.card.free_memory();
    drop(lab.card);

    lab.card = open();
    lab.open();
    assert_eq!(lab.card.free_memory(), free);
    assert_eq!(refused(&mut lab), Some(AuthenticateErrorCode::InvalidCertificate));
    assert_eq!(error(&mut lab, &issued(&list(4, &[]))), Some(Code::FresherCrlAlreadyLoaded));
    // A memory reset is about profiles: the lists stay. The part that was missing completes the delta list.
    assert_eq!(lab.hex("BF340482020780"), "BF3403800101");
    let rest = CrlSpec { part: Some((2, 2)), revoked: vec![], ..part };
    let rest = CrlSpec { delta: Some((5.into(), vec![])), ..rest };
    assert_eq!(load(&mut lab, &issued(&rest)), whole());
    lab.authenticate();
}

/// A server with a certificate of its own, revoked while a download is under way: the session goes on, the next one
/// does not begin.
#[test]
fn a_list_that_comes_in_the_middle_of_a_session() {
    // proves: ES10b.LoadCRL
    let mut random = SeededRandom::new(4, "server");
    let oid = rsp::Oid::parse("2.999.10").unwrap();
    let issue = |spec: CertificateSpec, random: &mut SeededRandom| {
        let key = PrivateKey::generate(Curve::P256, random).unwrap();
        spec.issue(&ci(Curve::P256), key, random).unwrap()
    };
    let server = SmdpCredentials {
        auth: issue(CertificateSpec::dp_auth(&oid, NOW), &mut random),
        pb: issue(CertificateSpec::dp_pb(&oid, NOW), &mut random),
        ..pki().smdp(Curve::P256).unwrap().clone()
    };
    let serials = [server.auth.certificate.serial().to_vec(), server.pb.certificate.serial().to_vec()];
    let mut lab = Lab::of(able(&[Curve::P256]), server, Curve::P256);
    let otpk = lab.prepared();
    let package = lab.bind(&order(ICCID), &otpk);
    let commands = rsp::bpp::load_commands(&package).unwrap();
    let (first, rest) = commands.split_first().unwrap();
    assert!(lab.es10(first).is_empty());
    assert_eq!(load(&mut lab, &issued(&list(1, &[&serials[0], &serials[1]]))), whole());
    let result = lab.load(rest.iter().copied()).unwrap();
    lab.verified_result(&result);
    assert_eq!(lab.card.profiles().len(), 1);
    assert_eq!(refused(&mut lab), Some(AuthenticateErrorCode::InvalidCertificate));
}
