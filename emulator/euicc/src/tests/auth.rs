//! Common mutual authentication: what a server proves, and every way in which it does not (SGP.22 §5.7.7, §5.7.13).

use pki::{CertificateSpec, Identity, KeyId};
use rsp::Oid;
use rsp::cert::Role;
use rsp::crypto::{Curve, PrivateKey};
use rsp::es10::auth::{AuthenticateErrorCode as Code, AuthenticateServerRequest, AuthenticateServerResponse};
use rsp::ids::from_hex;

use super::lab::*;
use crate::CardEvent;

/// The card's answer: the error it gives, or none.
fn answer(lab: &mut Lab, request: &[u8]) -> Option<Code> {
    let response = lab.es10(request);
    match AuthenticateServerResponse::parse(&response).unwrap() {
        AuthenticateServerResponse::Ok(_) => None,
        AuthenticateServerResponse::Error { transaction_id, code } => {
            assert_eq!(transaction_id, lab.transaction_id);
            let failed =
                |event: &CardEvent| matches!(event, CardEvent::AuthenticationFailed { code: c, .. } if *c == code);
            assert!(lab.card.drain_events().iter().any(failed));
            Some(code)
        }
    }
}

/// A server with a certificate of its own under the CI of this curve, made by `spec`.
fn server(lab: &mut Lab, curve: Curve, spec: impl FnOnce(CertificateSpec) -> CertificateSpec) -> Identity {
    let spec = spec(CertificateSpec::dp_auth(&Oid::parse("2.999.10").unwrap(), NOW));
    let key = PrivateKey::generate(curve, &mut lab.random).unwrap();
    spec.issue(&pki().ci_identity(curve).unwrap(), key, &mut lab.random).unwrap()
}

/// What the card says to a server with the certificate made by `spec`.
fn answer_to(spec: impl FnOnce(CertificateSpec) -> CertificateSpec) -> Option<Code> {
    let mut lab = Lab::new(Curve::P256);
    let server = server(&mut lab, Curve::P256, spec);
    let challenge = lab.challenge();
    let request = lab.authenticate_request_by(challenge, &server);
    answer(&mut lab, &request)
}

#[test]
fn a_server_proves_itself_on_both_curves() {
    // proves: ES10b.AuthenticateServer; ES10b.GetEUICCInfo
    for curve in CURVES {
        let mut lab = Lab::new(curve);
        let challenge = lab.challenge();
        let request = lab.authenticate_request(challenge);
        let response = lab.es10(&request);
        let AuthenticateServerResponse::Ok(ok) = AuthenticateServerResponse::parse(&response).unwrap() else {
            panic!("not authenticated")
        };
        let signed1 = &ok.euicc_signed1;
        assert_eq!(signed1.transaction_id, lab.transaction_id);
        assert_eq!((signed1.server_address.as_str(), signed1.server_challenge), (ADDRESS, [0x22; 16]));
        // The LPA's parameters and EUICCInfo2 are there as they were received and as the card tells them.
        assert_eq!(signed1.ctx_params1.raw, ctx_params1().encode());
        assert_eq!(signed1.euicc_info2.raw, lab.es10(&from_hex("BF2200").unwrap()));
        assert!(lab.euicc.public_key().verify(&[signed1.raw], ok.euicc_signature1));
        // The chain that the server gets is the card's.
        let (euicc, eum) = (ok.euicc_certificate, ok.eum_certificate);
        let parse = |der| rsp::cert::Certificate::parse(der).unwrap();
        assert_eq!(rsp::cert::verify_euicc_chain(&parse(euicc), &parse(eum), &lab.ci, NOW), Ok(eid()));
    }
}

#[test]
fn a_card_with_both_curves_uses_the_one_it_is_asked_for() {
    // proves: ES10b.AuthenticateServer
    for curve in CURVES {
        let mut lab = Lab::with(config(&CURVES), curve);
        lab.authenticate();
    }
}

#[test]
fn an_sm_ds_proves_itself_too() {
    // proves: ES10b.AuthenticateServer
    let mut lab = Lab::new(Curve::P256);
    let smds = pki().smds(Curve::P256).unwrap().auth.clone();
    let challenge = lab.challenge();
    let request = lab.authenticate_request_by(challenge, &smds);
    assert_eq!(answer(&mut lab, &request), None);
}

#[test]
fn challenges_are_new_and_serve_once() {
    // proves: ES10b.GetEUICCChallenge; ES10b.AuthenticateServer (4, 6)
    let mut lab = Lab::new(Curve::P256);
    let first = lab.challenge();
    let second = lab.challenge();
    assert_ne!(first, second);
    // The old one is gone with its session.
    let request = lab.authenticate_request(first);
    assert_eq!(answer(&mut lab, &request), Some(Code::EuiccChallengeMismatch));
    // And a failure uses the new one up.
    let request = lab.authenticate_request(second);
    assert_eq!(answer(&mut lab, &request), Some(Code::NoSessionContext));
    // So does success.
    let third = lab.challenge();
    let request = lab.authenticate_request(third);
    assert_eq!(answer(&mut lab, &request), None);
    assert_eq!(answer(&mut lab, &request), Some(Code::NoSessionContext));
    // A reset ends the session.
    let fourth = lab.challenge();
    lab.open();
    let request = lab.authenticate_request(fourth);
    assert_eq!(answer(&mut lab, &request), Some(Code::NoSessionContext));
}

#[test]
fn certificates_that_break_a_rule() {
    // proves: ES10b.AuthenticateServer (1, 5)
    assert_eq!(answer_to(|spec| spec), None);
    assert_eq!(answer_to(|spec| CertificateSpec { not_after: NOW - 1, ..spec }), Some(Code::InvalidCertificate));
    assert_eq!(answer_to(|spec| CertificateSpec { not_before: NOW + 1, ..spec }), Some(Code::InvalidCertificate));
    assert_eq!(answer_to(|spec| CertificateSpec { registered_id: None, ..spec }), Some(Code::InvalidCertificate));
    let another = KeyId::Fixed(vec![7; 20]);
    assert_eq!(answer_to(|spec| CertificateSpec { authority_key_id: another, ..spec }), Some(Code::InvalidCertificate));
    let absent = KeyId::Absent;
    assert_eq!(answer_to(|spec| CertificateSpec { authority_key_id: absent, ..spec }), Some(Code::InvalidCertificate));
    let usage = rsp::tlv::NamedBits::of(&[5]);
    assert_eq!(answer_to(|spec| CertificateSpec { key_usage: usage, ..spec }), Some(Code::InvalidCertificate));
    for role in [Role::DpPb, Role::DpTls, Role::Euicc, Role::DsTls] {
        assert_eq!(answer_to(|spec| spec.with_role(role)), Some(Code::InvalidOid), "{role}");
    }
}

#[test]
fn a_certificate_of_another_ci() {
    // proves: ES10b.AuthenticateServer (1)
    // A CI with the same name and key identifier, but not the same key.
    let mut lab = Lab::new(Curve::P256);
    let mut random = rsp::crypto::SeededRandom::new(99, "another CI");
    let other = pki::Pki::generate(&pki::PkiSpec::default(), &mut random, NOW).unwrap();
    let challenge = lab.challenge();
    let request = lab.authenticate_request_by(challenge, &other.smdp(Curve::P256).unwrap().auth);
    assert_eq!(answer(&mut lab, &request), Some(Code::InvalidCertificate));
}

#[test]
fn a_certificate_of_another_curve() {
    // proves: ES10b.AuthenticateServer (3)
    // The card trusts both CIs and has keys under both; the certificate is signed by one and of the curve of the
    // other.
    let mut lab = Lab::with(config(&CURVES), Curve::P256);
    let spec = CertificateSpec::dp_auth(&Oid::parse("2.999.10").unwrap(), NOW);
    let key = PrivateKey::generate(Curve::BrainpoolP256r1, &mut lab.random).unwrap();
    let mixed = spec.issue(&pki().ci_identity(Curve::P256).unwrap(), key, &mut lab.random).unwrap();
    let challenge = lab.challenge();
    let request = lab.authenticate_request_by(challenge, &mixed);
    assert_eq!(answer(&mut lab, &request), Some(Code::UnsupportedCurve));
}

#[test]
fn a_ci_under_which_the_card_has_no_key() {
    // proves: ES10b.AuthenticateServer (7)
    let mut lab = Lab::new(Curve::P256);
    lab.ci = pki().ci(Curve::BrainpoolP256r1).unwrap().clone();
    let challenge = lab.challenge();
    let request = lab.authenticate_request(challenge);
    assert_eq!(answer(&mut lab, &request), Some(Code::CiPkUnknown));
}

#[test]
fn a_trusted_ci_without_a_key_of_the_card() {
    // proves: ES10b.AuthenticateServer; ES10b.GetEUICCInfo
    // SGP.22 v2.5 §5.7.8: a CI for verification only. The server is signed under it, the card under another.
    let mut config = config(&[Curve::P256]);
    config.trusted.push(pki().ci(Curve::BrainpoolP256r1).unwrap().clone());
    let mut lab = Lab::with(config, Curve::P256);
    let brainpool = pki().smdp(Curve::BrainpoolP256r1).unwrap().auth.clone();
    let challenge = lab.challenge();
    let request = lab.authenticate_request_by(challenge, &brainpool);
    assert_eq!(answer(&mut lab, &request), None);
}

#[test]
fn a_signature_of_somebody_else_or_over_something_else() {
    // proves: ES10b.AuthenticateServer (2)
    let mut lab = Lab::new(Curve::P256);
    let challenge = lab.challenge();
    let stranger = Identity { key: lab.server.pb.key.clone(), certificate: lab.server.auth.certificate.clone() };
    let request = lab.authenticate_request_by(challenge, &stranger);
    assert_eq!(answer(&mut lab, &request), Some(Code::InvalidSignature));

    let challenge = lab.challenge();
    let right = lab.authenticate_request(challenge);
    let right = AuthenticateServerRequest::parse(&right).unwrap();
    let mut other = lab.server_signed1(challenge);
    other.server_challenge = [0x23; 16];
    let request = AuthenticateServerRequest::encode(
        &other.encode(),
        right.server_signature1,
        right.euicc_ci_pkid_to_be_used,
        right.server_certificate,
        &ctx_params1(),
    );
    assert_eq!(answer(&mut lab, &request), Some(Code::InvalidSignature));
}

#[test]
fn what_cannot_be_decoded_has_a_status_word() {
    // proves: EUICC.Transport
    let mut lab = Lab::new(Curve::P256);
    let challenge = lab.challenge();
    let request = lab.authenticate_request(challenge);
    assert_eq!(lab.es10_in(&request[..request.len() - 1], 255), (Vec::new(), 0x6A80));
    assert_eq!(lab.es10_in(&from_hex("BF38023000").unwrap(), 255), (Vec::new(), 0x6A80));
    // The challenge is still there.
    assert_eq!(answer(&mut lab, &request), None);
}

#[test]
fn any_block_size_will_do() {
    // proves: EUICC.Transport
    for size in [6, 17, 120, 254, 255] {
        let mut lab = Lab::new(Curve::P256);
        let challenge = lab.challenge();
        let request = lab.authenticate_request(challenge);
        let (response, sw) = lab.es10_in(&request, size);
        assert_eq!(sw, 0x9000);
        assert!(matches!(AuthenticateServerResponse::parse(&response), Ok(AuthenticateServerResponse::Ok(_))));
    }
}
