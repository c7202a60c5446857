use pki::{CertificateSpec, Pki, PkiSpec};
use proptest::prelude::*;
use rsp::crypto::{Curve, PrivateKey, SeededRandom};
use rsp::es10::auth::{AuthenticateErrorCode, AuthenticateServerResponse, ServerSigned1};
use rsp::es10::download::{CancelSessionResponse, DownloadErrorCode, PrepareDownloadResponse, StoreMetadata};
use rsp::es10::info::EuiccInfo1;
use rsp::es10::notification::NotificationEvent;
use rsp::tlv::encode;
use rsp::{Oid, Version};

use rsp::es10::download::{CancelSessionReason, InitialiseSecureChannel, SmdpSigned2};

use super::*;
use crate::profile::{PackageNames, Profile, built_in_named};
use crate::testing::*;

const BOTH: [Curve; 2] = [Curve::P256, Curve::BrainpoolP256r1];

fn state(smdp: &Smdp) -> OrderState {
    smdp.orders()[0].state()
}

fn kinds(smdp: &mut Smdp) -> Vec<String> {
    smdp.drain_events().into_iter().map(|event| event.kind.to_string()).collect()
}

#[test]
fn whole_sessions_on_both_curves_with_and_without_own_keys() {
    for curve in BOTH {
        for replace_session_keys in [false, true] {
            let mut smdp = smdp();
            let order =
                OrderSpec { replace_session_keys: Some(replace_session_keys), ..OrderSpec::new("AC-1", profile()) };
            smdp.add_order(order, NOW).unwrap();
            let card = Card::on(curve);
            let (client, package) = card.download(&mut smdp, Some("AC-1"), None).unwrap();
            assert_eq!(state(&smdp), OrderState::Downloaded);
            let parts = rsp::bpp::BoundProfilePackage::parse(&package.bound_profile_package).unwrap();
            assert_eq!(parts.replace_session_keys.is_some(), replace_session_keys);
            let (metadata, opened) = card.open(&package, &client.smdp_certificate);
            assert_eq!(metadata, client.profile_metadata);
            assert_eq!(opened, profile().package());
            assert_eq!(StoreMetadata::parse(&metadata).unwrap().notification_configuration[0].address, ADDRESS);

            let result = card.installation(&package.transaction_id, profile().iccid(), false);
            assert_eq!(smdp.handle_notification(&result, NOW), Ok(Notified::Accepted));
            assert_eq!(state(&smdp), OrderState::Installed);
            // A notification that comes twice counts once.
            assert_eq!(smdp.handle_notification(&result, NOW), Ok(Notified::Repeated));
            // What is installed is not handed out again.
            assert_eq!(codes(card.download(&mut smdp, Some("AC-1"), None)), "8.2.6/3.8");
        }
    }
}

#[test]
fn a_session_as_events() {
    let mut smdp = smdp_with_order();
    let card = Card::on(Curve::P256);
    let (_, package) = card.download(&mut smdp, Some("AC-1"), None).unwrap();
    let result = card.installation(&package.transaction_id, profile().iccid(), false);
    smdp.handle_notification(&result, NOW).unwrap();
    smdp.handle_notification(&card.other(2, NotificationEvent::Enable, profile().iccid()), NOW).unwrap();
    let id = package.transaction_id.to_string();
    let events = kinds(&mut smdp).join("\n").replace(&id, "T");
    insta::assert_snapshot!(events, @r#"
    session T opened on P-256
    session T: eUICC 89049032123451234512345678901235 authenticated
    session T: package of order 1 bound in 3 segments
    order 1 "AC-1": released to downloaded: handed out to 89049032123451234512345678901235
    order 1 "AC-1": downloaded to installed: installed as A0000005591010FFFFFFFF8900001000
    notification 1 install of 8999901000000000013: accepted
    notification 2 enable of 8999901000000000013: accepted
    "#);
    assert!(kinds(&mut smdp).is_empty());
    let history: Vec<_> = smdp.orders()[0].events().iter().map(|event| event.cause.clone()).collect();
    insta::assert_snapshot!(history.join("\n"), @r"
    ordered
    handed out to 89049032123451234512345678901235
    installed as A0000005591010FFFFFFFF8900001000
    notification 2 of 89049032123451234512345678901235: enable
    ");
}

#[test]
fn initiate_authentication_refuses() {
    let mut smdp = smdp();
    let card = Card::on(Curve::P256);
    let info = card.info1();
    let mut with = |address: &str, info: &[u8], challenge: &[u8]| {
        let request = InitiateAuthentication { euicc_challenge: challenge, euicc_info1: info, smdp_address: address };
        smdp.initiate_authentication(request, NOW)
    };
    for own in [ADDRESS, "SMDP.Example.COM", "smdp.example.com:8443", "smdp.example.com."] {
        assert!(with(own, &info, &card.challenge).is_ok(), "{own}");
    }
    for other in ["other.example.com", "", "smdp.example.com.evil", "smdp.example.com:port", "smdp"] {
        assert_eq!(codes(with(other, &info, &card.challenge)), "8.8.1/3.8", "{other}");
    }
    assert_eq!(codes(with(ADDRESS, &info, &[0; 15])), "1.3.1/2.1");
    assert_eq!(codes(with(ADDRESS, &info[..9], &card.challenge)), "1.3.1/2.1");
    let ids = |verify: &[&[u8]], sign: &[&[u8]]| {
        let of = |ids: &[&[u8]]| ids.iter().map(|id| id.to_vec()).collect::<Vec<_>>();
        EuiccInfo1 { svn: Version::new(2, 5, 0), ci_pkids_for_verification: of(verify), ci_pkids_for_signing: of(sign) }
            .encode()
    };
    let own = pki().ci(Curve::P256).unwrap().subject_key_id().unwrap();
    let other = [9u8; 20];
    assert_eq!(codes(with(ADDRESS, &ids(&[&other], &[&other]), &card.challenge)), "8.8.2/3.1");
    assert_eq!(codes(with(ADDRESS, &ids(&[own], &[&other]), &card.challenge)), "8.8.2/3.1");
    assert_eq!(codes(with(ADDRESS, &ids(&[&other], &[own]), &card.challenge)), "8.8.4/3.7");
    for (version, accepted) in [((1, 9, 9), false), ((2, 0, 0), true), ((2, 5, 0), true), ((3, 0, 0), false)] {
        let (major, minor, revision) = version;
        let card = Card { svn: Version::new(major, minor, revision), ..Card::on(Curve::P256) };
        let result = with(ADDRESS, &card.info1(), &card.challenge);
        match accepted {
            true => assert!(result.is_ok(), "{version:?}"),
            false => assert_eq!(codes(result), "8.8.3/3.1", "{version:?}"),
        }
    }
}

#[test]
fn the_first_ci_of_the_card_that_the_server_has_is_used() {
    let mut smdp = smdp();
    let id = |curve| pki().ci(curve).unwrap().subject_key_id().unwrap().to_vec();
    let (nist, brainpool, other) = (id(Curve::P256), id(Curve::BrainpoolP256r1), vec![9; 20]);
    let mut chosen = |verify: &[&Vec<u8>], sign: &[&Vec<u8>]| {
        let of = |ids: &[&Vec<u8>]| ids.iter().map(|id| id.to_vec()).collect::<Vec<_>>();
        let svn = Version::new(2, 5, 0);
        let info = EuiccInfo1 { svn, ci_pkids_for_verification: of(verify), ci_pkids_for_signing: of(sign) }.encode();
        let request = InitiateAuthentication { euicc_challenge: &[1; 16], euicc_info1: &info, smdp_address: ADDRESS };
        let ok = smdp.initiate_authentication(request, NOW).unwrap();
        let certificate = Certificate::parse(&ok.server_certificate).unwrap();
        (ok.euicc_ci_pkid_to_be_used[2..].to_vec(), certificate.curve())
    };
    assert_eq!(chosen(&[&nist, &brainpool], &[&brainpool, &nist]), (brainpool.clone(), Curve::BrainpoolP256r1));
    assert_eq!(chosen(&[&nist, &brainpool], &[&other, &nist, &brainpool]), (nist.clone(), Curve::P256));
    // A card that verifies under one CI and signs under another.
    assert_eq!(chosen(&[&nist], &[&brainpool]), (brainpool.clone(), Curve::P256));
}

#[test]
fn verification_and_signing_under_different_cis() {
    let mut smdp = smdp_with_order();
    let card = Card::on(Curve::P256);
    let id = |curve| pki().ci(curve).unwrap().subject_key_id().unwrap().to_vec();
    let info = EuiccInfo1 {
        svn: Version::new(2, 5, 0),
        ci_pkids_for_verification: vec![id(Curve::BrainpoolP256r1)],
        ci_pkids_for_signing: vec![id(Curve::P256)],
    }
    .encode();
    let request =
        InitiateAuthentication { euicc_challenge: &card.challenge, euicc_info1: &info, smdp_address: ADDRESS };
    let ok = smdp.initiate_authentication(request, NOW).unwrap();
    let response = card.authenticate(&ok, Some("AC-1"));
    let client = smdp.authenticate_client(&ok.transaction_id.to_string(), &response, NOW).unwrap();
    assert_eq!(Certificate::parse(&client.smdp_certificate).unwrap().curve(), Curve::BrainpoolP256r1);
    // The one-time keys are on the curve of the server's certificate.
    let wrong = smdp.get_bound_profile_package(&ok.transaction_id.to_string(), &card.prepare(&client, None), NOW);
    assert_eq!(codes(wrong), "8.1/6.1");
}

#[test]
fn authenticate_client_refuses_what_does_not_verify() {
    for curve in BOTH {
        let card = Card::on(curve);
        let attempt = |change: &dyn Fn(&InitiateAuthenticationOk, &ServerSigned1) -> Vec<u8>| {
            let mut smdp = smdp_with_order();
            let ok = card.initiate(&mut smdp).unwrap();
            let server = ServerSigned1::receive(&ok.server_signed1).unwrap().value;
            let response = change(&ok, &server);
            let result = smdp.authenticate_client(&ok.transaction_id.to_string(), &response, NOW);
            // A refusal leaves the order as it was, and no second try in the same session.
            assert_eq!(state(&smdp), OrderState::Released);
            let again = card.authenticate(&ok, Some("AC-1"));
            assert_eq!(codes(smdp.authenticate_client(&ok.transaction_id.to_string(), &again, NOW)), "8.10.1/3.9");
            codes(result)
        };
        // The signature.
        assert_eq!(
            attempt(&|_, server| {
                let signed = card.signed1(server, Some("AC-1"));
                let (euicc, eum) = (&card.credentials.euicc.certificate, &card.credentials.eum);
                AuthenticateServerResponse::encode_ok(&signed, &[1; 64], euicc.der(), eum.der())
            }),
            "8.1/6.1"
        );
        // Challenge, address, transaction id.
        let signed = |server: ServerSigned1| card.answer(&card.signed1(&server, Some("AC-1")));
        assert_eq!(
            attempt(&|_, server| signed(ServerSigned1 { server_challenge: [0; 16], ..server.clone() })),
            "8.1/6.1"
        );
        let elsewhere = |server: &ServerSigned1| ServerSigned1 { server_address: "a.b".to_owned(), ..server.clone() };
        assert_eq!(attempt(&|_, server| signed(elsewhere(server))), "8.1/6.1");
        let other = TransactionId::from_bytes(&[5; 16]).unwrap();
        assert_eq!(
            attempt(&|_, server| signed(ServerSigned1 { transaction_id: other.clone(), ..server.clone() })),
            "8.10.1/3.9"
        );
        // The card has refused, or sends something else.
        assert_eq!(
            attempt(&|ok, _| {
                AuthenticateServerResponse::encode_error(&ok.transaction_id, AuthenticateErrorCode::InvalidSignature)
            }),
            "8.1/6.1"
        );
        assert_eq!(attempt(&|_, _| vec![0x30, 0x00]), "1.3.1/2.1");
        // Certificates that are none.
        let with_certificates = |server: &ServerSigned1, euicc: &[u8], eum: &[u8]| {
            let signed = card.signed1(server, Some("AC-1"));
            AuthenticateServerResponse::encode_ok(&signed, &card.sign(&[&signed]), euicc, eum)
        };
        let (euicc, eum) = (card.credentials.euicc.certificate.der(), card.credentials.eum.der());
        assert_eq!(attempt(&|_, server| with_certificates(server, euicc, &[0x30, 0x00])), "8.1.2/6.1");
        assert_eq!(attempt(&|_, server| with_certificates(server, &[0x30, 0x00], eum)), "8.1.3/6.1");
        // Certificates in each other's place.
        assert_ne!(attempt(&|_, server| with_certificates(server, eum, euicc)), "");
    }
}

#[test]
fn certificates_that_break_a_rule_get_their_own_code() {
    let curve = Curve::P256;
    let mut random = SeededRandom::new(11, "broken");
    let ci = pki().ci_identity(curve).unwrap();
    let eum = pki().eum_identity(curve).unwrap();
    let good = pki().euicc(curve, &eid()).unwrap().clone();
    let key = |random: &mut SeededRandom| PrivateKey::generate(curve, random).unwrap();
    let eum_spec = || CertificateSpec::eum("esimlab EUM", "89049032", &Oid::parse("2.999.5").unwrap(), NOW - 1000);
    let organization = good.euicc.certificate.organization().unwrap().to_owned();
    let euicc_spec = || CertificateSpec::euicc(&organization, &eid(), NOW - 1000);

    let refused = |credentials: pki::EuiccCredentials, now: i64| {
        let mut smdp = smdp_with_order();
        let card = Card::with(credentials);
        let info = card.info1();
        let request =
            InitiateAuthentication { euicc_challenge: &card.challenge, euicc_info1: &info, smdp_address: ADDRESS };
        let ok = smdp.initiate_authentication(request, now).unwrap();
        let response = card.authenticate(&ok, Some("AC-1"));
        codes(smdp.authenticate_client(&ok.transaction_id.to_string(), &response, now))
    };
    // An EUM of an unknown CI.
    let other_pki = Pki::generate(&PkiSpec::default(), &mut SeededRandom::new(2, "other"), NOW - 1000).unwrap();
    let mut foreign = other_pki.euicc(curve, &eid()).unwrap().clone();
    foreign.ci = good.ci.clone();
    assert_eq!(refused(foreign, NOW), "8.11.1/3.9");
    // An EUM that is none, and one that has expired.
    let of_eum = |spec: CertificateSpec, random: &mut SeededRandom| {
        let eum = spec.issue(&ci, key(random), random).unwrap();
        let euicc = euicc_spec().issue(&eum, key(random), random).unwrap();
        pki::EuiccCredentials { eum: eum.certificate, euicc, ..good.clone() }
    };
    let wrong_role = of_eum(eum_spec().with_role(rsp::cert::Role::DpAuth), &mut random);
    assert_eq!(refused(wrong_role, NOW), "8.1.2/6.1");
    let expired = of_eum(CertificateSpec { not_after: NOW - 10, ..eum_spec() }, &mut random);
    assert_eq!(refused(expired, NOW), "8.1.2/6.3");
    // The same for the eUICC, and an EID that the EUM may not have.
    let of_euicc = |spec: CertificateSpec, random: &mut SeededRandom| {
        let euicc = spec.issue(&eum, key(random), random).unwrap();
        pki::EuiccCredentials { euicc, ..good.clone() }
    };
    let wrong_role = of_euicc(euicc_spec().with_role(rsp::cert::Role::DpPb), &mut random);
    assert_eq!(refused(wrong_role, NOW), "8.1.3/6.1");
    let expired = of_euicc(CertificateSpec { not_after: NOW - 10, ..euicc_spec() }, &mut random);
    assert_eq!(refused(expired, NOW), "8.1.3/6.3");
    let outside = Eid::with_check_digits("890000001234512345123456789012").unwrap();
    let outside = of_euicc(CertificateSpec::euicc(&organization, &outside, NOW - 1000), &mut random);
    assert_eq!(refused(outside, NOW), "8.1.3/6.1");
}

#[test]
fn orders_are_handed_out_in_two_states_only() {
    let card = Card::on(Curve::P256);
    for (begins, expected) in [
        (OrderState::Available, "8.2/1.2"),
        (OrderState::Allocated, "8.2/1.2"),
        (OrderState::Linked, "8.2/1.2"),
        (OrderState::Confirmed, "8.2/1.2"),
        (OrderState::Released, ""),
        (OrderState::Downloaded, ""),
        (OrderState::Installed, "8.2.6/3.8"),
        (OrderState::Error, "8.2.6/3.8"),
        (OrderState::Unavailable, "8.2.6/3.8"),
    ] {
        let mut smdp = smdp();
        smdp.add_order(OrderSpec { state: begins, ..OrderSpec::new("AC-1", profile()) }, NOW).unwrap();
        let result = card.authenticate_client(&mut smdp, Some("AC-1"));
        match expected {
            "" => assert!(result.is_ok(), "{begins}"),
            expected => assert_eq!(codes(result), expected, "{begins}"),
        }
        assert_eq!(state(&smdp), begins);
    }
}

#[test]
fn orders_are_found_by_matching_id_or_by_eid() {
    let mut smdp = smdp();
    let card = Card::on(Curve::P256);
    let other = Card::numbered(Curve::P256, 2);
    let bound = OrderSpec { eid: Some(eid()), ..OrderSpec::new("BOUND", profile()) };
    smdp.add_order(bound, NOW).unwrap();
    // Identifiers outside the characters of SGP.22 are compared as they are.
    smdp.add_order(OrderSpec::new("QR_G under_score", profile()), NOW).unwrap();
    let second = Profile::build(&built_in_named("operator-b").unwrap()).unwrap();
    smdp.add_order(OrderSpec::for_eid(eid(), profile()), NOW).unwrap();
    smdp.add_order(OrderSpec { matching_id: Some(String::new()), ..OrderSpec::for_eid(eid(), second) }, NOW).unwrap();

    assert_eq!(codes(card.authenticate_client(&mut smdp, Some("UNKNOWN"))), "8.2.6/3.8");
    assert_eq!(codes(card.authenticate_client(&mut smdp, Some("bound"))), "8.2.6/3.8");
    assert_eq!(codes(other.authenticate_client(&mut smdp, Some("BOUND"))), "8.1.1/3.8");
    assert!(card.authenticate_client(&mut smdp, Some("BOUND")).is_ok());
    assert!(other.authenticate_client(&mut smdp, Some("QR_G under_score")).is_ok());
    assert_eq!(codes(other.authenticate_client(&mut smdp, None)), "8.1.1/3.8");
    // Absent and empty mean the same, and what waits is given in the order in which it came.
    for (matching_id, name) in [(None, "Operator A"), (Some(""), "Operator B, data")] {
        let (client, package) = card.download(&mut smdp, matching_id, None).unwrap();
        let metadata = StoreMetadata::parse(&client.profile_metadata).unwrap();
        assert_eq!(metadata.profile_name, name);
        let result = card.installation(&package.transaction_id, metadata.iccid, false);
        assert_eq!(smdp.handle_notification(&result, NOW), Ok(Notified::Accepted));
    }
    assert_eq!(codes(card.authenticate_client(&mut smdp, None)), "8.2.6/3.8");
}

#[test]
fn orders_that_cannot_be_taken() {
    let mut smdp = smdp_with_order();
    let taken = smdp.add_order(OrderSpec::new("AC-1", profile()), NOW).unwrap_err();
    assert!(taken.to_string().contains("AC-1"));
    let nobody = OrderSpec { matching_id: None, ..OrderSpec::new("", profile()) };
    assert_eq!(smdp.add_order(nobody, NOW), Err(OrderError::NoEid));
    let long = OrderSpec::new("A".repeat(256), profile());
    assert_eq!(smdp.add_order(long, NOW), Err(OrderError::MatchingIdTooLong(256)));
    assert_eq!(smdp.orders().len(), 1);
    let order = smdp.order_with_matching_id("AC-1").unwrap();
    assert_eq!(order.activation_code(ADDRESS), "1$smdp.example.com$AC-1");
    let coded = OrderSpec { confirmation_code: Some("1".to_owned()), ..OrderSpec::new("AC-2", profile()) };
    assert!(!format!("{coded:?}").contains("\"1\""));
    let id = smdp.add_order(coded, NOW).unwrap();
    assert_eq!(smdp.order(id).unwrap().activation_code(ADDRESS), "1$smdp.example.com$AC-2$$1");
}

#[test]
fn expiry_and_retries_of_an_order() {
    let card = Card::on(Curve::P256);
    let mut smdp = smdp();
    let order = OrderSpec { expires: Some(NOW - 1), ..OrderSpec::new("OLD", profile()) };
    smdp.add_order(order, NOW).unwrap();
    let order = OrderSpec { max_attempts: Some(2), ..OrderSpec::new("TWICE", profile()) };
    smdp.add_order(order, NOW).unwrap();
    assert_eq!(codes(card.authenticate_client(&mut smdp, Some("OLD"))), "8.8.5/4.10");
    assert!(card.authenticate_client(&mut smdp, Some("TWICE")).is_ok());
    assert!(card.authenticate_client(&mut smdp, Some("TWICE")).is_ok());
    assert_eq!(smdp.orders()[1].state(), OrderState::Released);
    // One too many ends the order (SGP.22 §3.1.6).
    assert_eq!(codes(card.authenticate_client(&mut smdp, Some("TWICE"))), "8.8.5/6.4");
    assert_eq!((smdp.orders()[1].attempts(), smdp.orders()[1].state()), (2, OrderState::Error));
    assert_eq!(codes(card.authenticate_client(&mut smdp, Some("TWICE"))), "8.2.6/3.8");
}

#[test]
fn confirmation_codes() {
    let card = Card::on(Curve::P256);
    let mut smdp = smdp();
    let code = Some("12345678".to_owned());
    smdp.add_order(OrderSpec { confirmation_code: code, ..OrderSpec::new("CC", profile()) }, NOW).unwrap();
    let client = card.authenticate_client(&mut smdp, Some("CC")).unwrap();
    assert!(SmdpSigned2::receive(&client.smdp_signed2).unwrap().cc_required);
    assert_eq!(codes(card.download(&mut smdp, Some("CC"), None)), "8.2.7/2.2");
    assert_eq!(codes(card.download(&mut smdp, Some("CC"), Some("1234"))), "8.2.7/3.8");
    assert_eq!(smdp.orders()[0].wrong_codes(), 1);
    let (_, package) = card.download(&mut smdp, Some("CC"), Some("12345678")).unwrap();
    assert!(!package.bound_profile_package.is_empty());

    let mut smdp = self::smdp();
    let code = Some("12345678".to_owned());
    smdp.add_order(OrderSpec { confirmation_code: code, ..OrderSpec::new("CC", profile()) }, NOW).unwrap();
    for _ in 0..3 {
        assert_eq!(codes(card.download(&mut smdp, Some("CC"), Some("1"))), "8.2.7/3.8");
    }
    assert_eq!(codes(card.download(&mut smdp, Some("CC"), Some("1"))), "8.2.7/6.4");
    assert_eq!(state(&smdp), OrderState::Error);
    assert_eq!(codes(card.download(&mut smdp, Some("CC"), Some("12345678"))), "8.2.6/3.8");
}

#[test]
fn get_bound_profile_package_refuses_what_does_not_verify() {
    let card = Card::on(Curve::P256);
    let attempt = |change: &dyn Fn(&AuthenticateClientOk) -> Vec<u8>| {
        let mut smdp = smdp_with_order();
        let client = card.authenticate_client(&mut smdp, Some("AC-1")).unwrap();
        let id = client.transaction_id.to_string();
        let refused = codes(smdp.get_bound_profile_package(&id, &change(&client), NOW));
        assert_eq!(state(&smdp), OrderState::Released);
        assert_eq!(codes(smdp.get_bound_profile_package(&id, &card.prepare(&client, None), NOW)), "8.10.1/3.9");
        refused
    };
    let signed = |client: &AuthenticateClientOk, transaction_id: &[u8], point: [u8; 65], signature2: &[u8]| {
        let signed = rsp::es10::download::EuiccSigned2 {
            transaction_id: TransactionId::from_bytes(transaction_id).unwrap(),
            euicc_otpk: point,
            hash_cc: None,
        }
        .encode();
        let _ = client;
        PrepareDownloadResponse::encode_ok(&signed, &card.sign(&[&signed, signature2]))
    };
    let own = card.one_time.public().point();
    let bytes = |client: &AuthenticateClientOk| client.transaction_id.as_bytes().to_vec();
    // The signature covers smdpSignature2.
    assert_eq!(attempt(&|client| signed(client, &bytes(client), own, &[0; 67])), "8.1/6.1");
    assert_eq!(attempt(&|client| signed(client, &[1; 16], own, &client.smdp_signature2)), "8.10.1/3.9");
    let mut off = own;
    off[64] ^= 1;
    assert_eq!(attempt(&|client| signed(client, &bytes(client), off, &client.smdp_signature2)), "8.1/6.1");
    assert_eq!(
        attempt(&|client| {
            PrepareDownloadResponse::encode_error(&client.transaction_id, DownloadErrorCode::InvalidSignature)
        }),
        "8.1/6.1"
    );
    assert_eq!(attempt(&|_| vec![0xBF, 0x21, 0x00]), "1.3.1/2.1");
}

#[test]
fn functions_out_of_order_and_unknown_sessions() {
    let mut smdp = smdp_with_order();
    let card = Card::on(Curve::P256);
    let ok = card.initiate(&mut smdp).unwrap();
    let id = ok.transaction_id.to_string();
    assert_eq!(codes(smdp.get_bound_profile_package(&id, &[], NOW)), "8.10.1/3.9");
    let cancel = card.cancel(&ok.transaction_id, CancelSessionReason::EndUserRejection);
    assert_eq!(codes(smdp.cancel_session(&id, &cancel, NOW)), "8.10.1/3.9");
    for unknown in ["", "XYZ", "00", "0102030405060708090A0B0C0D0E0F10", &format!("{id}00")] {
        assert_eq!(codes(smdp.authenticate_client(unknown, &card.authenticate(&ok, Some("AC-1")), NOW)), "8.10.1/3.9");
        assert_eq!(codes(smdp.get_bound_profile_package(unknown, &[], NOW)), "8.10.1/3.9");
        assert_eq!(codes(smdp.cancel_session(unknown, &[], NOW)), "8.10.1/3.9");
    }
    // The transaction id is hexadecimal of either case.
    assert!(smdp.authenticate_client(&id.to_lowercase(), &card.authenticate(&ok, Some("AC-1")), NOW).is_ok());
}

#[test]
fn sessions_expire_and_are_bounded() {
    let config = SmdpConfig { max_sessions: 3, ..config(pki()) };
    let mut smdp = Smdp::new(config, Box::new(SeededRandom::new(7, "smdp"))).unwrap();
    smdp.add_order(OrderSpec::new("AC-1", profile()), NOW).unwrap();
    let card = Card::on(Curve::P256);
    let late = card.initiate(&mut smdp).unwrap();
    let response = card.authenticate(&late, Some("AC-1"));
    assert_eq!(codes(smdp.authenticate_client(&late.transaction_id.to_string(), &response, NOW + 601)), "8.10.1/3.9");
    let opened: Vec<_> = (0..10).map(|_| card.initiate(&mut smdp).unwrap()).collect();
    assert_eq!(smdp.open_sessions(), 3);
    let response = card.authenticate(&opened[9], Some("AC-1"));
    assert!(smdp.authenticate_client(&opened[9].transaction_id.to_string(), &response, NOW).is_ok());
    let response = card.authenticate(&opened[0], Some("AC-1"));
    assert_eq!(codes(smdp.authenticate_client(&opened[0].transaction_id.to_string(), &response, NOW)), "8.10.1/3.9");
}

#[test]
fn a_download_that_is_tried_again() {
    for replace_session_keys in [false, true] {
        let config = SmdpConfig { replace_session_keys, ..config(pki()) };
        let mut smdp = Smdp::new(config, Box::new(SeededRandom::new(7, "smdp"))).unwrap();
        smdp.add_order(OrderSpec::new("AC-1", profile()), NOW).unwrap();
        let mut card = Card::on(Curve::P256);
        let (first_client, first) = card.download(&mut smdp, Some("AC-1"), None).unwrap();
        assert_eq!(SmdpSigned2::receive(&first_client.smdp_signed2).unwrap().bpp_euicc_otpk, None);
        // The same one-time key: the same segments, under a new signature for the new session.
        let (client, second) = card.download(&mut smdp, Some("AC-1"), None).unwrap();
        let asked = SmdpSigned2::receive(&client.smdp_signed2).unwrap().bpp_euicc_otpk;
        assert_eq!(asked, Some(card.one_time.public().point()));
        let segments = |package: &BoundProfilePackageOk| {
            let parts = rsp::bpp::BoundProfilePackage::parse(&package.bound_profile_package).unwrap();
            parts.profile_elements.iter().map(|segment| segment.raw().to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(segments(&first), segments(&second));
        assert_ne!(first.bound_profile_package, second.bound_profile_package);
        assert_eq!(card.open(&second, &client.smdp_certificate).1, profile().package());
        // Another one: bound anew. What was protected with keys of its own stays as it is.
        card.renew(1);
        let (client, third) = card.download(&mut smdp, Some("AC-1"), None).unwrap();
        assert_eq!(segments(&third) == segments(&first), replace_session_keys);
        assert_eq!(card.open(&third, &client.smdp_certificate).1, profile().package());
        // The package has gone to this card: no other gets it.
        let other = Card::numbered(Curve::P256, 3);
        assert_eq!(codes(other.download(&mut smdp, Some("AC-1"), None)), "8.1.1/3.8");
        // The result of the first try still counts.
        let result = card.installation(&first.transaction_id, profile().iccid(), false);
        assert_eq!(smdp.handle_notification(&result, NOW + 100_000), Ok(Notified::Accepted));
        assert_eq!(state(&smdp), OrderState::Installed);
        // And a failure of the second does not undo it.
        let result = card.installation(&second.transaction_id, profile().iccid(), true);
        assert_eq!(smdp.handle_notification(&result, NOW + 100_000), Ok(Notified::Accepted));
        assert_eq!(state(&smdp), OrderState::Installed);
    }
    let mut smdp =
        Smdp::new(SmdpConfig { rebind: false, ..config(pki()) }, Box::new(SeededRandom::new(7, "smdp"))).unwrap();
    smdp.add_order(OrderSpec::new("AC-1", profile()), NOW).unwrap();
    let mut card = Card::on(Curve::P256);
    card.download(&mut smdp, Some("AC-1"), None).unwrap();
    assert!(card.download(&mut smdp, Some("AC-1"), None).is_ok());
    card.renew(1);
    assert_eq!(codes(card.download(&mut smdp, Some("AC-1"), None)), "8.2/3.7");
}

#[test]
fn two_cards_that_race_for_one_order() {
    let mut smdp = smdp_with_order();
    let (one, two) = (Card::on(Curve::P256), Card::numbered(Curve::P256, 4));
    let first = one.authenticate_client(&mut smdp, Some("AC-1")).unwrap();
    let second = two.authenticate_client(&mut smdp, Some("AC-1")).unwrap();
    let id = first.transaction_id.to_string();
    smdp.get_bound_profile_package(&id, &one.prepare(&first, None), NOW).unwrap();
    let id = second.transaction_id.to_string();
    assert_eq!(codes(smdp.get_bound_profile_package(&id, &two.prepare(&second, None), NOW)), "8.1.1/3.8");
}

#[test]
fn failed_installations_end_the_order() {
    let mut smdp = smdp_with_order();
    let card = Card::on(Curve::P256);
    let (_, package) = card.download(&mut smdp, Some("AC-1"), None).unwrap();
    let result = card.installation(&package.transaction_id, profile().iccid(), true);
    assert_eq!(smdp.handle_notification(&result, NOW), Ok(Notified::Accepted));
    assert_eq!(state(&smdp), OrderState::Error);
    let cause = &smdp.orders()[0].events().last().unwrap().cause;
    assert!(cause.contains("loadProfileElements") && cause.contains("IccidAlreadyExists"), "{cause}");
    assert_eq!(codes(card.authenticate_client(&mut smdp, Some("AC-1"))), "8.2.6/3.8");
}

#[test]
fn notifications_that_do_not_verify_change_nothing() {
    let mut smdp = smdp_with_order();
    let card = Card::on(Curve::P256);
    let (_, package) = card.download(&mut smdp, Some("AC-1"), None).unwrap();
    let ignored = |smdp: &mut Smdp, bytes: &[u8]| match smdp.handle_notification(bytes, NOW) {
        Ok(Notified::Ignored(why)) => why,
        other => panic!("{other:?}"),
    };
    let iccid = profile().iccid();
    // Of another card, of an unknown session, about another profile, for another server, of no event.
    let stranger = Card::numbered(Curve::P256, 5);
    assert!(ignored(&mut smdp, &stranger.installation(&package.transaction_id, iccid, false)).contains("signed"));
    let unknown = TransactionId::from_bytes(&[1; 16]).unwrap();
    assert!(ignored(&mut smdp, &card.installation(&unknown, iccid, false)).contains("session"));
    let other = Iccid::parse("8999902000000000012").unwrap();
    assert!(ignored(&mut smdp, &card.installation(&package.transaction_id, other, false)).contains("profile"));
    let elsewhere = Card { smdp_oid: Oid::parse("2.999.12").unwrap(), ..Card::on(Curve::P256) };
    assert!(ignored(&mut smdp, &elsewhere.installation(&package.transaction_id, iccid, false)).contains("SM-DP+"));
    let mut forged = card.other(4, NotificationEvent::Delete, iccid);
    let at = forged.windows(3).position(|window| window == [0x80, 0x01, 0x04]).unwrap();
    forged[at + 2] ^= 1;
    assert!(ignored(&mut smdp, &forged).contains("signature"));
    assert!(ignored(&mut smdp, &card.other(4, NotificationEvent::Delete, other)).contains("no order"));
    assert!(ignored(&mut smdp, &stranger.other(4, NotificationEvent::Delete, iccid)).contains("no order"));
    assert_eq!(state(&smdp), OrderState::Downloaded);
    assert_eq!(codes(smdp.handle_notification(&[0x30, 0x00], NOW)), "1.3.1/2.1");
    // The right ones.
    let deleted = card.other(4, NotificationEvent::Delete, iccid);
    assert_eq!(smdp.handle_notification(&deleted, NOW), Ok(Notified::Accepted));
    assert_eq!(smdp.handle_notification(&deleted, NOW), Ok(Notified::Repeated));
}

#[test]
fn cancelled_sessions_move_the_order_by_their_reason() {
    let card = Card::on(Curve::P256);
    for (reason, expected) in [
        (CancelSessionReason::EndUserRejection, OrderState::Error),
        (CancelSessionReason::Postponed, OrderState::Released),
        (CancelSessionReason::Timeout, OrderState::Released),
        (CancelSessionReason::PprNotAllowed, OrderState::Error),
        (CancelSessionReason::MetadataMismatch, OrderState::Error),
        (CancelSessionReason::LoadBppExecutionError, OrderState::Error),
        (CancelSessionReason::UndefinedReason, OrderState::Error),
    ] {
        let mut smdp = smdp_with_order();
        let client = card.authenticate_client(&mut smdp, Some("AC-1")).unwrap();
        let id = client.transaction_id.to_string();
        let response = card.cancel(&client.transaction_id, reason);
        assert_eq!(smdp.cancel_session(&id, &response, NOW), Ok(()));
        assert_eq!(state(&smdp), expected, "{reason}");
        assert_eq!(codes(smdp.cancel_session(&id, &response, NOW)), "8.10.1/3.9");
    }
}

#[test]
fn cancel_session_refuses_what_does_not_verify() {
    let card = Card::on(Curve::P256);
    for delivered in [false, true] {
        let mut smdp = smdp_with_order();
        let client = card.authenticate_client(&mut smdp, Some("AC-1")).unwrap();
        let id = client.transaction_id.to_string();
        if delivered {
            smdp.get_bound_profile_package(&id, &card.prepare(&client, None), NOW).unwrap();
        }
        let reason = CancelSessionReason::Postponed;
        let other = TransactionId::from_bytes(&[1; 16]).unwrap();
        assert_eq!(codes(smdp.cancel_session(&id, &card.cancel(&other, reason), NOW)), "8.10.1/3.9");
        let stranger = Card::numbered(Curve::P256, 6);
        assert_eq!(codes(smdp.cancel_session(&id, &stranger.cancel(&client.transaction_id, reason), NOW)), "8.1/6.1");
        let elsewhere = Card { smdp_oid: Oid::parse("2.999.12").unwrap(), ..Card::on(Curve::P256) };
        let refused = smdp.cancel_session(&id, &elsewhere.cancel(&client.transaction_id, reason), NOW);
        assert_eq!(codes(refused), "8.8/3.10");
        assert_eq!(codes(smdp.cancel_session(&id, &CancelSessionResponse::encode_error(127), NOW)), "8.1/6.1");
        assert_eq!(codes(smdp.cancel_session(&id, &[1, 2, 3], NOW)), "1.3.1/2.1");
        // None of these has ended the session.
        assert_eq!(smdp.cancel_session(&id, &card.cancel(&client.transaction_id, reason), NOW), Ok(()));
    }
}

#[test]
fn a_session_that_was_refused_can_be_cancelled_and_leaves_the_order() {
    let card = Card::on(Curve::P256);
    let mut smdp = smdp();
    let code = Some("1234".to_owned());
    smdp.add_order(OrderSpec { confirmation_code: code, ..OrderSpec::new("AC-1", profile()) }, NOW).unwrap();
    let client = card.authenticate_client(&mut smdp, Some("AC-1")).unwrap();
    let id = client.transaction_id.to_string();
    let wrong = smdp.get_bound_profile_package(&id, &card.prepare(&client, Some("4321")), NOW);
    assert_eq!(codes(wrong), "8.2.7/3.8");
    let cancel = card.cancel(&client.transaction_id, CancelSessionReason::UndefinedReason);
    assert_eq!(smdp.cancel_session(&id, &cancel, NOW), Ok(()));
    assert_eq!(state(&smdp), OrderState::Released);
    assert!(card.download(&mut smdp, Some("AC-1"), Some("1234")).is_ok());
}

#[test]
fn packages_from_files_and_metadata_in_several_segments() {
    let mut spec = built_in_named("operator-a").unwrap();
    // An icon of 1000 bytes makes the metadata longer than one segment.
    let mut icon = vec![0x89, b'P', b'N', b'G'];
    icon.resize(1000, 7);
    spec.icon = Some(base64::Engine::encode(&base64::prelude::BASE64_STANDARD, icon));
    let mut smdp = smdp();
    smdp.add_order(OrderSpec::new("AC-1", Profile::build(&spec).unwrap()), NOW).unwrap();
    let card = Card::on(Curve::P256);
    let (client, package) = card.download(&mut smdp, Some("AC-1"), None).unwrap();
    let parts = rsp::bpp::BoundProfilePackage::parse(&package.bound_profile_package).unwrap();
    assert_eq!(parts.store_metadata.len(), 2);
    assert_eq!(card.open(&package, &client.smdp_certificate).0, client.profile_metadata);

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/profiles/TS48v7_SAIP2.3_NoBERTLV.der");
    let Ok(bytes) = std::fs::read(path) else {
        println!("skipped: {path} is not there");
        return;
    };
    let from_file = Profile::from_package(&bytes, &PackageNames::default()).unwrap();
    smdp.add_order(OrderSpec::new("FILE", from_file), NOW).unwrap();
    let (client, package) = card.download(&mut smdp, Some("FILE"), None).unwrap();
    let parts = rsp::bpp::BoundProfilePackage::parse(&package.bound_profile_package).unwrap();
    assert_eq!(parts.profile_elements.len(), bytes.len().div_ceil(1007));
    assert_eq!(card.open(&package, &client.smdp_certificate).1, bytes);
}

#[test]
fn the_keys_of_sgp26_serve_on_both_curves() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/sgp26");
    if !std::path::Path::new(path).exists() {
        println!("skipped: {path} is not there");
        return;
    }
    let pki = Pki::load(std::path::Path::new(path), NOW).unwrap();
    for curve in BOTH {
        let mut smdp = Smdp::new(config(&pki), Box::new(SeededRandom::new(7, "smdp"))).unwrap();
        smdp.add_order(OrderSpec::new("AC-1", profile()), NOW).unwrap();
        let card = Card::with(pki.euicc(curve, &eid()).unwrap().clone());
        let (client, package) = card.download(&mut smdp, Some("AC-1"), None).unwrap();
        assert_eq!(card.open(&package, &client.smdp_certificate).1, profile().package());
    }
}

#[test]
fn configurations_that_cannot_work() {
    let with = |change: &dyn Fn(&mut SmdpConfig)| {
        let mut config = config(pki());
        change(&mut config);
        Smdp::new(config, Box::new(SeededRandom::new(7, "smdp"))).map(|_| ()).unwrap_err().to_string()
    };
    assert!(with(&|config| config.credentials.clear()).contains("no certificates"));
    assert!(with(&|config| config.host_id = vec![0; 17]).contains("17 bytes"));
    assert!(with(&|config| config.oid = Oid::parse("2.999.12").unwrap()).contains("2.999.12"));
    assert!(with(&|config| config.credentials[0].auth.key = config.credentials[0].pb.key.clone()).contains("belong"));
    assert!(with(&|config| config.credentials[0].ci = config.credentials[1].ci.clone()).contains("issuer"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn one_flipped_bit_anywhere_in_the_proof_of_the_card_is_found(at in any::<prop::sample::Index>(), bit in 0u8..8, brainpool in any::<bool>()) {
        let mut smdp = smdp_with_order();
        let card = Card::on(if brainpool { Curve::BrainpoolP256r1 } else { Curve::P256 });
        let ok = card.initiate(&mut smdp).unwrap();
        let mut response = card.authenticate(&ok, Some("AC-1"));
        let at = at.index(response.len());
        response[at] ^= 1 << bit;
        let result = smdp.authenticate_client(&ok.transaction_id.to_string(), &response, NOW);
        prop_assert!(result.is_err(), "byte {at}, bit {bit}");
    }

    #[test]
    fn one_flipped_bit_anywhere_in_the_one_time_key_is_found(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut smdp = smdp_with_order();
        let card = Card::on(Curve::P256);
        let client = card.authenticate_client(&mut smdp, Some("AC-1")).unwrap();
        let mut response = card.prepare(&client, None);
        let at = at.index(response.len());
        response[at] ^= 1 << bit;
        let result = smdp.get_bound_profile_package(&client.transaction_id.to_string(), &response, NOW);
        prop_assert!(result.is_err(), "byte {at}, bit {bit}");
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), tag in prop::sample::select(vec![0xBF38u32, 0xBF21, 0xBF41, 0xBF37, 0x30, 0xBF20])) {
        let mut smdp = smdp_with_order();
        let card = Card::on(Curve::P256);
        for bytes in [bytes.clone(), encode(tag, &bytes), encode(tag, &encode(0xA0, &bytes))] {
            let ok = card.initiate(&mut smdp).unwrap();
            let id = ok.transaction_id.to_string();
            prop_assert!(smdp.authenticate_client(&id, &bytes, NOW).is_err());
            let client = card.authenticate_client(&mut smdp, Some("AC-1")).unwrap();
            let id = client.transaction_id.to_string();
            prop_assert!(smdp.cancel_session(&id, &bytes, NOW).is_err());
            prop_assert!(smdp.get_bound_profile_package(&id, &bytes, NOW).is_err());
            let _ = smdp.handle_notification(&bytes, NOW);
            let request = InitiateAuthentication { euicc_challenge: &card.challenge, euicc_info1: &bytes, smdp_address: ADDRESS };
            prop_assert!(smdp.initiate_authentication(request, NOW).is_err());
        }
    }
}

#[test]
fn a_wrong_code_does_no_harm_to_an_order_that_another_card_has() {
    let mut config = config(pki());
    config.max_wrong_codes = 0;
    let mut smdp = Smdp::new(config, Box::new(SeededRandom::new(7, "smdp"))).unwrap();
    let code = Some("12345678".to_owned());
    smdp.add_order(OrderSpec { confirmation_code: code, ..OrderSpec::new("CC", profile()) }, NOW).unwrap();
    let (card, other) = (Card::on(Curve::P256), Card::numbered(Curve::P256, 9));
    let late = other.authenticate_client(&mut smdp, Some("CC")).unwrap();
    let later = other.authenticate_client(&mut smdp, Some("CC")).unwrap();
    let (_, package) = card.download(&mut smdp, Some("CC"), Some("12345678")).unwrap();
    let wrong = |smdp: &mut Smdp, client: &AuthenticateClientOk| {
        let id = client.transaction_id.to_string();
        codes(smdp.get_bound_profile_package(&id, &other.prepare(client, Some("1")), NOW))
    };
    assert_eq!(wrong(&mut smdp, &late), "8.1.1/3.8");
    assert_eq!((state(&smdp), smdp.orders()[0].wrong_codes()), (OrderState::Downloaded, 0));
    let result = card.installation(&package.transaction_id, profile().iccid(), false);
    smdp.handle_notification(&result, NOW).unwrap();
    assert_eq!(wrong(&mut smdp, &later), "8.1.1/3.8");
    assert_eq!((state(&smdp), smdp.orders()[0].wrong_codes()), (OrderState::Installed, 0));
}

#[test]
fn a_card_that_comes_late_ends_nothing_of_the_one_that_has_the_package() {
    let mut smdp = smdp_with_order();
    let (card, other) = (Card::on(Curve::P256), Card::numbered(Curve::P256, 9));
    let late = other.authenticate_client(&mut smdp, Some("AC-1")).unwrap();
    card.download(&mut smdp, Some("AC-1"), None).unwrap();
    let id = late.transaction_id;
    let cancel = other.cancel(&id, CancelSessionReason::EndUserRejection);
    assert_eq!(smdp.cancel_session(&id.to_string(), &cancel, NOW), Ok(()));
    assert_eq!(state(&smdp), OrderState::Downloaded);
    // The card itself may give up what it has fetched.
    let again = card.authenticate_client(&mut smdp, Some("AC-1")).unwrap().transaction_id;
    let cancel = card.cancel(&again, CancelSessionReason::EndUserRejection);
    assert_eq!(smdp.cancel_session(&again.to_string(), &cancel, NOW), Ok(()));
    assert_eq!(state(&smdp), OrderState::Error);
}

#[test]
fn an_order_that_was_given_to_somebody_else_is_out_of_reach_for_sessions_from_before() {
    let mut smdp = smdp();
    let iccid = profile().iccid();
    smdp.add_order(OrderSpec::inventory(profile()), NOW).unwrap();
    let give = |smdp: &mut Smdp, eid: Option<Eid>, matching_id: &str| {
        let order = es2::DownloadOrder { eid, iccid: Some(iccid), profile_type: None };
        smdp.download_order("operator", &order, NOW).unwrap();
        let confirm = es2::ConfirmOrder {
            iccid,
            eid,
            matching_id: Some(matching_id.to_owned()),
            confirmation_code: None,
            smds_address: None,
            release: true,
        };
        let plan = smdp.plan_confirmation("operator", &confirm).unwrap();
        smdp.carry_out("operator", plan, NOW).unwrap();
    };
    let take_back = |smdp: &mut Smdp, eid: Option<Eid>, matching_id: &str| {
        let matching_id = Some(matching_id.to_owned());
        smdp.cancel_order("operator", &es2::CancelOrder { iccid, eid, matching_id, available: true }, NOW).unwrap();
    };
    let (card, other) = (Card::on(Curve::P256), Card::numbered(Curve::P256, 9));
    for eid in [Some(other.credentials.eid), None] {
        give(&mut smdp, None, "FIRST");
        let fetching = card.authenticate_client(&mut smdp, Some("FIRST")).unwrap();
        let cancelling = card.authenticate_client(&mut smdp, Some("FIRST")).unwrap().transaction_id;
        take_back(&mut smdp, None, "FIRST");
        give(&mut smdp, eid, "SECOND");
        let id = fetching.transaction_id.to_string();
        let fetched = smdp.get_bound_profile_package(&id, &card.prepare(&fetching, None), NOW);
        assert_eq!(codes(fetched), "8.2.6/3.8");
        let cancel = card.cancel(&cancelling, CancelSessionReason::EndUserRejection);
        assert_eq!(smdp.cancel_session(&cancelling.to_string(), &cancel, NOW), Ok(()));
        assert_eq!(state(&smdp), OrderState::Released);
        assert!(other.authenticate_client(&mut smdp, Some("SECOND")).is_ok());
        take_back(&mut smdp, eid, "SECOND");
    }

    // Nor does an operator's own step go on that was planned for the earlier one.
    let order = es2::DownloadOrder { eid: None, iccid: Some(iccid), profile_type: None };
    smdp.download_order("operator", &order, NOW).unwrap();
    let confirm = es2::ConfirmOrder {
        iccid,
        eid: None,
        matching_id: Some("THIRD".to_owned()),
        confirmation_code: None,
        smds_address: None,
        release: true,
    };
    let plan = smdp.plan_confirmation("operator", &confirm).unwrap();
    let cancel = es2::CancelOrder { iccid, eid: None, matching_id: None, available: true };
    smdp.cancel_order("operator", &cancel, NOW).unwrap();
    smdp.download_order("operator", &order, NOW).unwrap();
    assert_eq!(codes(smdp.carry_out("operator", plan, NOW)), "8.2.1/3.3");
}

/// Two sessions of one card reach the binding side by side: without re-binding one of them is refused.
#[test]
fn two_sessions_at_the_same_time_are_not_bound_to_two_keys() {
    for rebind in [true, false] {
        let mut config = config(pki());
        config.rebind = rebind;
        let mut smdp = Smdp::new(config, Box::new(SeededRandom::new(7, "smdp"))).unwrap();
        smdp.add_order(OrderSpec::new("AC-1", profile()), NOW).unwrap();
        let (first, mut second) = (Card::on(Curve::P256), Card::on(Curve::P256));
        second.renew(5);
        let mut steps = Vec::new();
        for card in [&first, &second] {
            let client = card.authenticate_client(&mut smdp, Some("AC-1")).unwrap();
            let response = card.prepare(&client, None);
            let request = Request::GetBoundProfilePackage { transaction_id: client.transaction_id, response };
            let Step::Work(verify) = smdp.begin(request, NOW) else { panic!("there is a signature to verify") };
            let Step::Work(bind) = smdp.resume(verify.run(), NOW) else { panic!("there is a package to bind") };
            steps.push(bind);
        }
        let mut ends = steps.into_iter().map(|bind| match smdp.resume(bind.run(), NOW) {
            Step::Answer(answer) => answer,
            Step::Work(_) => panic!("nothing is left to do"),
        });
        assert!(ends.next().unwrap().is_ok());
        let second = ends.next().unwrap();
        match rebind {
            true => assert!(second.is_ok()),
            false => assert_eq!(codes(second), "8.2/3.7"),
        }
    }
}

#[test]
fn a_package_is_made_wrong_in_its_own_session_only() {
    let mut smdp = smdp_with_order();
    smdp.add_order(OrderSpec::new("AC-2", profile()), NOW).unwrap();
    let (card, other) = (Card::on(Curve::P256), Card::numbered(Curve::P256, 9));
    let client = card.authenticate_client(&mut smdp, Some("AC-1")).unwrap();
    smdp.spoil_package(&client.transaction_id, PackageFlaw::TransactionId);
    let signed_id = |package: &BoundProfilePackageOk| {
        let parts = rsp::bpp::BoundProfilePackage::parse(&package.bound_profile_package).unwrap();
        let first = InitialiseSecureChannel::parse(parts.initialise_secure_channel).unwrap();
        first.transaction_id
    };
    // Another session comes first.
    let (_, right) = other.download(&mut smdp, Some("AC-2"), None).unwrap();
    assert_eq!(signed_id(&right), right.transaction_id);
    let id = client.transaction_id.to_string();
    let wrong = smdp.get_bound_profile_package(&id, &card.prepare(&client, None), NOW).unwrap();
    assert_ne!(signed_id(&wrong), wrong.transaction_id);
}
