//! Download and installation: the whole way on both curves, and every place at which it may end (SGP.22 §5.5, §5.7.5,
//! §5.7.6, §5.7.14).

use pki::{CertificateSpec, Identity};
use rsp::Oid;
use rsp::bpp::{self, BoundProfilePackage, SecureChannel, signature_element};
use rsp::cert::Role;
use rsp::crypto::{Curve, PrivateKey, hash_confirmation_code};
use rsp::es10::download::{
    BppCommandId as Command, CancelSessionReason, CancelSessionRequest, CancelSessionResponse,
    DownloadErrorCode as Code, ErrorReason as Reason, FinalResult, NotificationConfiguration, PrepareDownloadRequest,
    PrepareDownloadResponse, SmdpSigned2,
};
use rsp::es10::notification::{NotificationEvent, PendingNotification};
use rsp::es10::profiles::{OperatorId, ProfileClass, ProfileState};
use rsp::ids::from_hex;
use rsp::saip::{EuiccResponse, PeStatus};
use rsp::tlv::{NamedBits, Writer};

use super::lab::*;
use crate::{CardEvent, PreinstalledProfile};

/// The card has to be as if nothing had happened, but for the signed result.
fn assert_clean(lab: &Lab, free_memory: u32, results: usize) {
    assert!(lab.card.profiles().is_empty());
    assert_eq!(lab.card.free_memory(), free_memory);
    assert_eq!(lab.card.notifications().len(), results);
}

/// A download with this order, which has to fail, and leave the card clean.
fn failure(lab: &mut Lab, order: &Order) -> (Command, Reason, Option<EuiccResponse>) {
    let free_memory = lab.card.free_memory();
    let results = lab.card.notifications().len();
    let result = lab.download(order);
    assert_clean(lab, free_memory, results + 1);
    let FinalResult::Error { command, reason, simple_response } = result.final_result else {
        panic!("installed");
    };
    assert_eq!(result.notification.iccid, Some(order.metadata.iccid));
    (command, reason, simple_response.map(|response| EuiccResponse::parse(&response).unwrap()))
}

/// The failure of an order made by `change` on a card with one curve.
fn failure_of(change: impl FnOnce(&mut Order)) -> (Command, Reason) {
    let mut order = order(ICCID);
    change(&mut order);
    let (command, reason, _) = failure(&mut Lab::new(Curve::P256), &order);
    (command, reason)
}

/// The failure of a package of these elements: reason, and status and number of the element.
fn failure_of_elements(elements: &[Vec<u8>]) -> (Reason, Option<(u16, Option<u16>)>) {
    let order = Order { package: elements.concat(), ..order(ICCID) };
    let (command, reason, response) = failure(&mut Lab::new(Curve::P256), &order);
    assert_eq!(command, Command::LoadProfileElements);
    (
        reason,
        response.map(|response| {
            assert!(response.aborted);
            (response.pe_status[0].status, response.pe_status[0].identification)
        }),
    )
}

#[test]
fn a_profile_is_downloaded_on_both_curves_with_and_without_its_own_keys() {
    // proves: ES10b.LoadBoundProfilePackage; ES8+.InitialiseSecureChannel; ES8+.ConfigureISDP; ES8+.StoreMetadata; ES8+.ReplaceSessionKeys; ES8+.LoadProfileElements
    for curve in CURVES {
        for replace_session_keys in [false, true] {
            let mut lab = Lab::new(curve);
            let free_memory = lab.card.free_memory();
            let order = Order { replace_session_keys, ..order(ICCID) };
            let result = lab.download(&order);
            let FinalResult::Success { aid, simple_response } = result.final_result else { panic!("not installed") };
            assert_eq!(aid, rsp::Aid::isd_p(0x10));
            assert_eq!(simple_response, from_hex("3007A0053003800100").unwrap());
            assert_eq!(result.notification.sequence_number, 1);
            assert_eq!(result.notification.event(), Some(NotificationEvent::Install));

            let [profile] = &lab.card.profiles()[..] else { panic!("one profile") };
            assert_eq!((profile.iccid, profile.state), (order.metadata.iccid, ProfileState::Disabled));
            assert_eq!(profile.service_provider_name, "Operator A");
            assert!(lab.card.free_memory() < free_memory - order.package.len() as u32);
            assert!(lab.card.drain_events().contains(&CardEvent::ProfileInstalled { iccid: profile.iccid, aid }));
        }
    }
}

#[test]
fn installations_are_notified_to_everybody_who_wants_to_know() {
    // proves: EUICC.Notifications
    let mut lab = Lab::new(Curve::P256);
    let mut order = order(ICCID);
    let entry = |events: &[u8], address: &str| NotificationConfiguration {
        events: NamedBits::of(events),
        address: address.to_owned(),
    };
    order.metadata.notification_configuration =
        vec![entry(&[0], "one"), entry(&[1, 2], "two"), entry(&[0, 3], "three")];
    lab.install(&order);
    let notifications = lab.card.notifications();
    let of = |n: &crate::NotificationSummary| (n.metadata.sequence_number, n.metadata.address.clone());
    assert_eq!(
        notifications.iter().map(of).collect::<Vec<_>>(),
        [(1, ADDRESS.to_owned()), (2, "one".to_owned()), (3, "three".to_owned())]
    );
    let PendingNotification::Other(other) = PendingNotification::parse(&notifications[1].signed).unwrap() else {
        panic!("an OtherSignedNotification");
    };
    assert!(lab.euicc.public_key().verify(&[other.metadata.raw], other.signature));
    assert_eq!(other.euicc_certificate, lab.euicc.der());
}

#[test]
fn several_profiles_have_aids_of_their_own_and_freed_ones_are_used_again() {
    // proves: ES8+.ConfigureISDP; ES10c.DeleteProfile (0)
    let mut lab = Lab::new(Curve::P256);
    let iccids = ["8988247000111763810", "8988247000111763811", "8988247000111763812"];
    for (index, iccid) in (0x10..).zip(iccids) {
        assert_eq!(lab.install(&order(iccid)), rsp::Aid::isd_p(index));
    }
    assert_eq!(lab.hex("BF33124F10A0000005591010FFFFFFFF8900001100"), "BF3303800100");
    assert_eq!(lab.install(&order("8988247000111763813")), rsp::Aid::isd_p(0x11));
}

// PrepareDownload.

/// Authenticates, sends the request made of `euiccSignature1`, and gives the card's error, if any.
fn prepare(lab: &mut Lab, request: impl FnOnce(&mut Lab, &[u8; 64]) -> Vec<u8>) -> Option<Code> {
    let signature1 = lab.authenticate();
    let request = request(lab, &signature1);
    let response = lab.es10(&request);
    match PrepareDownloadResponse::parse(&response).unwrap() {
        PrepareDownloadResponse::Ok { .. } => None,
        PrepareDownloadResponse::Error { code, .. } => Some(code),
    }
}

/// The answer to an SM-DP+ whose CERT.DPpb is made by `spec`.
fn prepare_as(curve: Curve, spec: impl FnOnce(CertificateSpec) -> CertificateSpec) -> Option<Code> {
    prepare(&mut Lab::new(Curve::P256), |lab, signature1| {
        let spec = spec(CertificateSpec::dp_pb(&Oid::parse("2.999.10").unwrap(), NOW));
        let key = PrivateKey::generate(curve, &mut lab.random).unwrap();
        let by = spec.issue(&pki().ci_identity(Curve::P256).unwrap(), key, &mut lab.random).unwrap();
        lab.prepare_request(&lab.smdp_signed2(), signature1, None, &by)
    })
}

#[test]
fn binding_certificates_that_break_a_rule() {
    // proves: ES10b.PrepareDownload (1, 3)
    assert_eq!(prepare_as(Curve::P256, |spec| spec), None);
    let invalid = Some(Code::InvalidCertificate);
    assert_eq!(prepare_as(Curve::P256, |spec| CertificateSpec { not_after: NOW - 1, ..spec }), invalid);
    assert_eq!(prepare_as(Curve::P256, |spec| spec.with_role(Role::DpAuth)), invalid);
    // SGP.22 v2.5 §5.7.5: CERT.DPpb of another SM-DP+ than CERT.DPauth.
    let another = Some(Oid::parse("2.999.12").unwrap());
    assert_eq!(prepare_as(Curve::P256, |spec| CertificateSpec { registered_id: another, ..spec }), invalid);
    assert_eq!(prepare_as(Curve::BrainpoolP256r1, |spec| spec), Some(Code::UnsupportedCurve));
    // CERT.DPauth in its place.
    let with_auth = |lab: &mut Lab, signature1: &[u8; 64]| {
        lab.prepare_request(&lab.smdp_signed2(), signature1, None, &lab.server.auth.clone())
    };
    assert_eq!(prepare(&mut Lab::new(Curve::P256), with_auth), invalid);
}

#[test]
fn signatures_and_transaction_ids_of_prepare_download() {
    // proves: ES10b.PrepareDownload (2, 5)
    let with = |request: fn(&mut Lab, &[u8; 64]) -> Vec<u8>| prepare(&mut Lab::new(Curve::P256), request);
    // Signed by another key; over another euiccSignature1.
    let stranger = with(|lab, signature1| {
        let by = Identity { key: lab.server.auth.key.clone(), certificate: lab.server.pb.certificate.clone() };
        lab.prepare_request(&lab.smdp_signed2(), signature1, None, &by)
    });
    assert_eq!(stranger, Some(Code::InvalidSignature));
    let other_session = with(|lab, _| lab.prepare_request(&lab.smdp_signed2(), &[1; 64], None, &lab.server.pb.clone()));
    assert_eq!(other_session, Some(Code::InvalidSignature));
    let other_id = with(|lab, signature1| {
        let transaction_id = rsp::TransactionId::from_bytes(&[0x12; 16]).unwrap();
        let signed2 = SmdpSigned2 { transaction_id, ..lab.smdp_signed2() };
        lab.prepare_request(&signed2, signature1, None, &lab.server.pb.clone())
    });
    assert_eq!(other_id, Some(Code::InvalidTransactionId));
}

#[test]
fn prepare_download_without_a_session() {
    // proves: ES10b.PrepareDownload (4)
    let mut lab = Lab::new(Curve::P256);
    let request = lab.prepare_request(&lab.smdp_signed2(), &[1; 64], None, &lab.server.pb.clone());
    let error = |response: &[u8]| match PrepareDownloadResponse::parse(response).unwrap() {
        PrepareDownloadResponse::Error { code, .. } => code,
        PrepareDownloadResponse::Ok { .. } => panic!("prepared"),
    };
    assert_eq!(error(&lab.es10(&request)), Code::NoSessionContext);
    lab.challenge();
    assert_eq!(error(&lab.es10(&request)), Code::NoSessionContext);
    assert_eq!(lab.es10_in(&from_hex("BF21023000").unwrap(), 255), (Vec::new(), 0x6A80));
}

#[test]
fn confirmation_codes() {
    // proves: ES10b.PrepareDownload (127)
    let hash = hash_confirmation_code("12345678", &[0x11; 16]);
    let run = |cc_required, hash_cc| {
        let mut lab = Lab::new(Curve::P256);
        let signature1 = lab.authenticate();
        let signed2 = SmdpSigned2 { cc_required, ..lab.smdp_signed2() };
        let request = lab.prepare_request(&signed2, &signature1, hash_cc, &lab.server.pb.clone());
        let response = lab.es10(&request);
        match PrepareDownloadResponse::parse(&response).unwrap() {
            PrepareDownloadResponse::Ok { euicc_signed2, .. } => Ok(euicc_signed2.hash_cc),
            PrepareDownloadResponse::Error { code, .. } => Err(code),
        }
    };
    assert_eq!(run(true, Some(hash)), Ok(Some(hash)));
    assert_eq!(run(true, None), Err(Code::UndefinedError));
    assert_eq!(run(false, None), Ok(None));
    assert_eq!(run(false, Some(hash)), Ok(None));
}

/// PrepareDownload in a new session, with this key in `bppEuiccOtpk`; gives the key that the card answers with.
fn prepare_again(lab: &mut Lab, bpp_euicc_otpk: Option<[u8; 65]>) -> [u8; 65] {
    let signature1 = lab.authenticate();
    let signed2 = SmdpSigned2 { bpp_euicc_otpk, ..lab.smdp_signed2() };
    let request = lab.prepare_request(&signed2, &signature1, None, &lab.server.pb.clone());
    let response = lab.es10(&request);
    match PrepareDownloadResponse::parse(&response).unwrap() {
        PrepareDownloadResponse::Ok { euicc_signed2, .. } => euicc_signed2.euicc_otpk,
        PrepareDownloadResponse::Error { code, .. } => panic!("{code}"),
    }
}

#[test]
fn the_one_time_key_of_an_earlier_try_is_used_again() {
    // proves: ES10b.PrepareDownload
    let mut lab = Lab::new(Curve::P256);
    let first = prepare_again(&mut lab, None);
    // Another session, even after a reset: the package that is bound already can be loaded.
    lab.open();
    assert_eq!(prepare_again(&mut lab, Some(first)), first);
    let otpk = rsp::crypto::PublicKey::from_point(Curve::P256, &first).unwrap();
    let package = lab.bind(&order(ICCID), &otpk);
    assert!(matches!(lab.load_package(&package).final_result, FinalResult::Success { .. }));
    // Now it has done its work.
    assert_ne!(prepare_again(&mut lab, Some(first)), first);
    // A key that the card does not know, and none, lead to a new one.
    let last = prepare_again(&mut lab, Some([4; 65]));
    assert_ne!(prepare_again(&mut lab, None), last);
}

#[test]
fn the_one_time_key_belongs_to_one_sm_dp() {
    // proves: ES10b.PrepareDownload
    let mut lab = Lab::new(Curve::P256);
    let first = prepare_again(&mut lab, None);
    let oid = Oid::parse("2.999.12").unwrap();
    let ci = pki().ci_identity(Curve::P256).unwrap();
    let mut issue = |spec: CertificateSpec| {
        let key = PrivateKey::generate(Curve::P256, &mut lab.random).unwrap();
        spec.issue(&ci, key, &mut lab.random).unwrap()
    };
    let auth = issue(CertificateSpec::dp_auth(&oid, NOW));
    let pb = issue(CertificateSpec::dp_pb(&oid, NOW));
    lab.server = pki::SmdpCredentials { oid, auth, pb };
    assert_ne!(prepare_again(&mut lab, Some(first)), first);
}

// InitialiseSecureChannel.

/// Loads a package whose `BF23` is made by `initialise`; gives the reason of its failure.
fn initialise_with(initialise: impl FnOnce(&Lab, &rsp::crypto::PublicKey) -> Vec<u8>) -> Option<(Command, Reason)> {
    let mut lab = Lab::new(Curve::P256);
    let free_memory = lab.card.free_memory();
    let otpk = lab.prepared();
    let first = initialise(&lab, &otpk);
    let package = lab.bind(&order(ICCID), &otpk);
    let parts = BoundProfilePackage::parse(&package).unwrap();
    let raw = |tlvs: &[rsp::tlv::Tlv<'_>]| tlvs.iter().map(|tlv| tlv.raw().to_vec()).collect::<Vec<_>>();
    let package = bpp::encode_bound_profile_package(
        &first,
        &raw(&parts.configure_isdp).concat(),
        &raw(&parts.store_metadata),
        None,
        &raw(&parts.profile_elements),
    );
    let commands = bpp::load_commands(&package).unwrap();
    let response = lab.load(commands.iter().copied()).unwrap();
    let result = lab.verified_result(&response);
    match result.final_result {
        FinalResult::Success { .. } => None,
        FinalResult::Error { command, reason, .. } => {
            assert_clean(&lab, free_memory, 1);
            assert_eq!(result.notification.iccid, None);
            // What follows finds no installation.
            assert_eq!(lab.es10_in(commands[2], 255), (Vec::new(), 0x6A88));
            Some((command, reason))
        }
    }
}

/// The signed part of `BF23` with these values.
fn signed_part(lab: &Lab, operation: u32, transaction_id: &[u8], template: [u8; 2], otpk: &[u8]) -> Vec<u8> {
    Writer::new()
        .integer(0x82, operation)
        .put(0x80, transaction_id)
        .nested(0xA6, |w| w.put(0x80, &template[..1]).put(0x81, &template[1..]).put(0x84, HOST_ID))
        .put(0x5F49, if otpk.is_empty() { lab.otsk.public().point().to_vec() } else { otpk.to_vec() }.as_slice())
        .into_vec()
}

#[test]
fn secure_channels_that_are_not_opened() {
    // proves: ES8+.InitialiseSecureChannel; ErrorReason (1, 2, 3, 4, 5); BppCommandId (0)
    let at = |reason| Some((Command::InitialiseSecureChannel, reason));
    let with = |operation, id: [u8; 16], template, point: Vec<u8>| {
        initialise_with(move |lab, otpk| {
            lab.sign_initialise_secure_channel(&signed_part(lab, operation, &id, template, &point), otpk)
        })
    };
    let (id, aes) = ([0x11; 16], [0x88, 0x10]);
    assert_eq!(with(1, id, aes, Vec::new()), None);
    assert_eq!(with(2, id, aes, Vec::new()), at(Reason::UnsupportedRemoteOperationType));
    assert_eq!(with(1, [0x12; 16], aes, Vec::new()), at(Reason::InvalidTransactionId));
    assert_eq!(with(1, id, [0x89, 0x10], Vec::new()), at(Reason::UnsupportedCrtValues));
    assert_eq!(with(1, id, [0x88, 0x20], Vec::new()), at(Reason::UnsupportedCrtValues));
    // A key that is no point of the curve; one of another length.
    assert_eq!(with(1, id, aes, vec![4; 65]), at(Reason::IncorrectInputValues));
    assert_eq!(with(1, id, aes, vec![4; 64]), at(Reason::IncorrectInputValues));
    // Signed over another key of the card: the package is bound to another card.
    let other_card = initialise_with(|lab, _| lab.initialise_secure_channel(lab.otsk.public()));
    assert_eq!(other_card, at(Reason::InvalidSignature));
    let auth_key = initialise_with(|lab, otpk| {
        let part = signed_part(lab, 1, &[0x11; 16], [0x88, 0x10], &[]);
        let signed = [&part[..], &rsp::tlv::encode(0x5F49u32, &otpk.point())].concat();
        rsp::es10::download::InitialiseSecureChannel::encode(&part, &lab.server.auth.key.sign(&[&signed]).unwrap())
    });
    assert_eq!(auth_key, at(Reason::InvalidSignature));
}

#[test]
fn host_ids_of_every_length() {
    // proves: ES8+.InitialiseSecureChannel; ErrorReason (1)
    // SGP.22 v2.5 §5.5.1: the host id has 1 to 16 bytes.
    for (length, taken) in [(0, false), (1, true), (16, true), (17, false)] {
        let mut lab = Lab::new(Curve::P256);
        let otpk = lab.prepared();
        let part = Writer::new()
            .integer(0x82, 1)
            .put(0x80, &[0x11; 16])
            .nested(0xA6, |w| w.put(0x80, &[0x88]).put(0x81, &[0x10]).put(0x84, &vec![7; length]))
            .put(0x5F49, &lab.otsk.public().point())
            .into_vec();
        let first = lab.sign_initialise_secure_channel(&part, &otpk);
        let begins = [&from_hex("BF36821000").unwrap()[..], &first].concat();
        let response = lab.es10(&begins);
        if taken {
            assert!(response.is_empty(), "{length}");
            continue;
        }
        let FinalResult::Error { command, reason, .. } = lab.verified_result(&response).final_result else { panic!() };
        assert_eq!((command, reason), (Command::InitialiseSecureChannel, Reason::IncorrectInputValues), "{length}");
    }
}

// Order and size of the pieces.

/// What becomes of a package whose pieces `change` has changed.
fn load_changed(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Result<(), (Command, Reason)> {
    let mut lab = Lab::new(Curve::P256);
    let free_memory = lab.card.free_memory();
    let otpk = lab.prepared();
    let package = lab.bind(&Order { replace_session_keys: true, ..order(ICCID) }, &otpk);
    let mut pieces: Vec<Vec<u8>> = bpp::load_commands(&package).unwrap().into_iter().map(<[u8]>::to_vec).collect();
    change(&mut pieces);
    let response = lab.load(pieces.iter().map(Vec::as_slice)).expect("a result");
    match lab.verified_result(&response).final_result {
        FinalResult::Success { .. } => Ok(()),
        FinalResult::Error { command, reason, .. } => {
            assert_clean(&lab, free_memory, 1);
            Err((command, reason))
        }
    }
}

/// The pieces of the package above, by what they begin with.
mod piece {
    pub(super) const BF36: usize = 0;
    pub(super) const A0: usize = 1;
    pub(super) const A1: usize = 2;
    pub(super) const FIRST_88: usize = 3;
    pub(super) const SECOND_88: usize = 4;
    pub(super) const A2: usize = 5;
    pub(super) const A3: usize = 6;
    pub(super) const FIRST_86: usize = 7;
    pub(super) const SECOND_86: usize = 8;
}

#[test]
fn pieces_out_of_order() {
    // proves: ES10b.LoadBoundProfilePackage; ErrorReason (7, 8); BppCommandId (1, 2, 5)
    use piece::*;
    let structure = |command| Err((command, Reason::Scp03tStructureError));
    assert_eq!(load_changed(|_| ()), Ok(()));
    assert_eq!(load_changed(|p| drop(p.remove(A0))), structure(Command::ConfigureIsdp));
    assert_eq!(load_changed(|p| drop(p.remove(A1))), structure(Command::StoreMetadata));
    assert_eq!(load_changed(|p| p.swap(A0, A1)), structure(Command::ConfigureIsdp));
    assert_eq!(load_changed(|p| drop(p.remove(SECOND_88))), structure(Command::StoreMetadata));
    assert_eq!(load_changed(|p| drop(p.remove(A3))), structure(Command::LoadProfileElements));
    assert_eq!(load_changed(|p| p.insert(SECOND_88, p[FIRST_86].clone())), structure(Command::StoreMetadata));
    assert_eq!(load_changed(|p| p.insert(A0 + 1, p[A0].clone())), structure(Command::StoreMetadata));
    assert_eq!(load_changed(|p| p.insert(A1, p[BF36].clone())), structure(Command::StoreMetadata));
    // Without the keys of the package the length of the whole does not fit.
    assert_eq!(load_changed(|p| drop(p.remove(A2))), structure(Command::LoadProfileElements));
    // Segments in the wrong order have the wrong MAC.
    let security = |command| Err((command, Reason::Scp03tSecurityError));
    assert_eq!(load_changed(|p| p.swap(FIRST_86, SECOND_86)), security(Command::LoadProfileElements));
    assert_eq!(load_changed(|p| p.insert(FIRST_86, p[SECOND_86].clone())), security(Command::LoadProfileElements));
    assert_eq!(load_changed(|p| p.swap(FIRST_88, SECOND_88)), security(Command::StoreMetadata));
}

#[test]
fn pieces_of_wrong_size() {
    // proves: ES10b.LoadBoundProfilePackage; ErrorReason (7)
    use piece::*;
    let structure = |command| Err((command, Reason::Scp03tStructureError));
    // A segment cut short; a byte too many; a TLV of 1021 bytes; too short for a MAC; no whole block.
    assert_eq!(load_changed(|p| p[FIRST_86].truncate(1000)), structure(Command::LoadProfileElements));
    assert_eq!(load_changed(|p| p[FIRST_88].push(0)), structure(Command::StoreMetadata));
    let too_long = rsp::tlv::encode(0x86u32, &[0; 1017]);
    assert_eq!(too_long.len(), 1021);
    assert_eq!(load_changed(|p| p[FIRST_86] = too_long), structure(Command::LoadProfileElements));
    assert_eq!(
        load_changed(|p| p[FIRST_86] = from_hex("860411223344").unwrap()),
        structure(Command::LoadProfileElements)
    );
    let no_block = rsp::tlv::encode(0x86u32, &[0; 25]);
    assert_eq!(load_changed(|p| p[FIRST_86] = no_block), structure(Command::LoadProfileElements));
    // Sequences that are empty, longer or shorter than the package.
    assert_eq!(load_changed(|p| p[A1] = from_hex("A100").unwrap()), structure(Command::StoreMetadata));
    assert_eq!(load_changed(|p| p[A1] = from_hex("A183FFFFFF").unwrap()), structure(Command::StoreMetadata));
    assert_eq!(load_changed(|p| p[A3] = from_hex("A303").unwrap()), structure(Command::LoadProfileElements));
    assert_eq!(load_changed(|p| p[A3] = from_hex("A384FFFFFFFF").unwrap()), structure(Command::LoadProfileElements));
    // More after the end.
    assert_eq!(load_changed(|p| p.last_mut().unwrap().push(0)), structure(Command::LoadProfileElements));
}

#[test]
fn pieces_may_come_together() {
    // proves: ES10b.LoadBoundProfilePackage
    // SGP.22 v2.5 §2.5.5 says how an LPA cuts; what it means is the same however it is cut between elements.
    assert_eq!(
        load_changed(|p| {
            let all = p.concat();
            *p = vec![all];
        }),
        Err((Command::InitialiseSecureChannel, Reason::Scp03tStructureError))
    );
    assert_eq!(
        load_changed(|p| {
            let rest = p.split_off(1).concat();
            p.push(rest);
        }),
        Ok(())
    );
}

#[test]
fn segments_that_are_not_authentic() {
    // proves: ES10b.LoadBoundProfilePackage; ErrorReason (8); BppCommandId (1, 2, 4, 5)
    let security = |command| Err((command, Reason::Scp03tSecurityError));
    let flip = |p: &mut Vec<Vec<u8>>, at: usize| *p[at].last_mut().unwrap() ^= 1;
    assert_eq!(load_changed(|p| flip(p, piece::A0)), security(Command::ConfigureIsdp));
    assert_eq!(load_changed(|p| flip(p, piece::FIRST_88)), security(Command::StoreMetadata));
    assert_eq!(load_changed(|p| flip(p, piece::SECOND_88)), security(Command::StoreMetadata));
    assert_eq!(load_changed(|p| flip(p, piece::A2)), security(Command::ReplaceSessionKeys));
    assert_eq!(load_changed(|p| flip(p, piece::FIRST_86)), security(Command::LoadProfileElements));
    assert_eq!(load_changed(|p| p[piece::FIRST_86][10] ^= 0x80), security(Command::LoadProfileElements));
}

/// Loads the package that `seal` makes of sealed pieces; gives the failure.
fn load_sealed(
    seal: impl FnOnce(&mut SecureChannel) -> (Vec<u8>, Vec<Vec<u8>>, Option<Vec<u8>>, Vec<Vec<u8>>),
) -> Result<(), (Command, Reason)> {
    let mut lab = Lab::new(Curve::P256);
    let otpk = lab.prepared();
    let (configure, metadata, replace, elements) = seal(&mut lab.secure_channel(&otpk));
    let initialise = lab.initialise_secure_channel(&otpk);
    let package = bpp::encode_bound_profile_package(&initialise, &configure, &metadata, replace.as_deref(), &elements);
    match lab.load_package(&package).final_result {
        FinalResult::Success { .. } => Ok(()),
        FinalResult::Error { command, reason, .. } => Err((command, reason)),
    }
}

#[test]
fn keys_of_the_package_of_the_wrong_length() {
    // proves: ES8+.ReplaceSessionKeys; ErrorReason (1); BppCommandId (4)
    // SGP.22 v2.5 §5.5.4: the new keys are as long as the old ones.
    for keys in [
        "BF2600",
        "BF2636801011111111111111111111111111111111811022222222222222222222222222222222820F333333333333333333333333333333",
    ] {
        let keys = &keys.replacen("36", if keys.len() > 6 { "35" } else { "36" }, 1);
        let result = load_sealed(|channel| {
            let configure = channel.encrypt(0x87, &from_hex("BF2400").unwrap()).unwrap();
            let metadata = metadata(ICCID).encode();
            let metadata = metadata.chunks(1008).map(|chunk| channel.mac_only(0x88, chunk).unwrap()).collect();
            let replace = channel.encrypt(0x87, &from_hex(keys).unwrap()).unwrap();
            (configure, metadata, Some(replace), vec![channel.encrypt(0x86, &[0xA0]).unwrap()])
        });
        assert_eq!(result, Err((Command::ReplaceSessionKeys, Reason::IncorrectInputValues)));
    }
}

#[test]
fn commands_of_endless_length() {
    // proves: Robust - lengths, nesting and chains are bounded
    let result = load_sealed(|channel| {
        let configure = channel.encrypt(0x87, &from_hex("BF2400").unwrap()).unwrap();
        let metadata = (0..20).map(|_| channel.mac_only(0x88, &[0; 1000]).unwrap()).collect();
        (configure, metadata, None, vec![channel.encrypt(0x86, &[0xA0]).unwrap()])
    });
    assert_eq!(result, Err((Command::StoreMetadata, Reason::Scp03tStructureError)));
}

// ConfigureISDP and StoreMetadata.

#[test]
fn the_managing_sm_dp_is_kept() {
    // proves: ES8+.ConfigureISDP; ErrorReason (1)
    let mut lab = Lab::new(Curve::P256);
    // dpOid 2.999.10.
    lab.install(&Order { configure_isdp: from_hex("BF2407B8058003883 70A".replace(' ', "")).unwrap(), ..order(ICCID) });
    assert_eq!(lab.hex("BF2D035C01B8"), "BF2D0BA009E307B805800388370A");

    let configure = |hex: String| {
        let configure_isdp = from_hex(hex).unwrap();
        let mut lab = Lab::new(Curve::P256);
        match lab.download(&Order { configure_isdp, ..order(ICCID) }).final_result {
            FinalResult::Success { .. } => None,
            FinalResult::Error { command, reason, .. } => Some((command, reason)),
        }
    };
    let wrong = Some((Command::ConfigureIsdp, Reason::IncorrectInputValues));
    assert_eq!(configure("BF2500".to_owned()), wrong);
    assert_eq!(configure("BF2402B800".to_owned()), wrong);
    // SGP.22 v2.5 §5.5.2: at most 128 bytes.
    assert_eq!(configure(format!("BF248183B88180800388370A81797{}", "0".repeat(0xF1))), None);
    assert_eq!(configure(format!("BF248184B88181800388370A817A7{}", "0".repeat(0xF3))), wrong);
}

#[test]
fn metadata_that_the_card_does_not_take() {
    // proves: ES8+.StoreMetadata; ErrorReason (6, 15)
    let with = |change: fn(&mut Order)| failure_of(change);
    let at = |reason| (Command::StoreMetadata, reason);
    assert_eq!(with(|o| o.metadata.profile_class = ProfileClass::Other(9)), at(Reason::UnsupportedProfileClass));
    // PPR1 without an owner has nobody to be allowed to.
    assert_eq!(
        with(|o| {
            o.metadata.profile_owner = None;
            o.metadata.profile_policy_rules = Some(NamedBits::of(&[1]));
        }),
        at(Reason::PprNotAllowed)
    );
    assert_eq!(with(|o| o.metadata.profile_policy_rules = Some(NamedBits::of(&[7]))), at(Reason::PprNotAllowed));
}

#[test]
fn metadata_that_is_malformed() {
    // proves: ES8+.StoreMetadata; ErrorReason (1)
    for change in [
        // No name; a name of 33 bytes; an icon of 1025 bytes; not BF25.
        (|m: &mut rsp::es10::download::StoreMetadata| m.service_provider_name = "x".repeat(33)) as fn(&mut _),
        |m| m.profile_name = "x".repeat(65),
        |m| m.icon = Some(vec![0; 1025]),
    ] {
        let mut order = order(ICCID);
        change(&mut order.metadata);
        let mut lab = Lab::new(Curve::P256);
        let result = lab.download(&order);
        assert!(matches!(
            result.final_result,
            FinalResult::Error { command: Command::StoreMetadata, reason: Reason::IncorrectInputValues, .. }
        ));
        assert_eq!(result.notification.iccid, None);
    }
}

#[test]
fn elements_that_nobody_knows_are_passed_over() {
    // proves: ES8+.StoreMetadata; ES10b.LoadBoundProfilePackage
    // SGP.22 v2.5 annex H: EXTENSIBILITY IMPLIED. What a later version adds at the end does not disturb.
    let result = load_sealed(|channel| {
        let configure = channel.encrypt(0x87, &from_hex("BF24049F7F0101").unwrap()).unwrap();
        let metadata = metadata(ICCID).encode();
        let (tlv, _) = rsp::tlv::Tlv::parse(&metadata).unwrap();
        let metadata = rsp::tlv::encode(0xBF25u32, &[tlv.value(), &from_hex("9F240101BF7F03800101").unwrap()].concat());
        let metadata = metadata.chunks(1008).map(|chunk| channel.mac_only(0x88, chunk).unwrap()).collect();
        let package = elements(ICCID).concat();
        let elements = package.chunks(1007).map(|chunk| channel.encrypt(0x86, chunk).unwrap()).collect();
        (configure, metadata, None, elements)
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn policy_rules_and_the_rules_authorisation_table() {
    // proves: EUICC.RulesAuthorisationTable; ErrorReason (15)
    let mut order = order(ICCID);
    order.metadata.profile_policy_rules = Some(NamedBits::of(&[1, 2]));
    let run = |change: &dyn Fn(&mut crate::CardConfig)| {
        let mut config = config(&[Curve::P256]);
        change(&mut config);
        let mut lab = Lab::with(config, Curve::P256);
        match lab.download(&order).final_result {
            FinalResult::Success { .. } => None,
            FinalResult::Error { command, reason, .. } => Some((command, reason)),
        }
    };
    let refused = Some((Command::StoreMetadata, Reason::PprNotAllowed));
    assert_eq!(run(&|_| ()), None);
    assert_eq!(run(&|c| c.rat.clear()), refused);
    assert_eq!(run(&|c| c.rat[0].ppr_ids = NamedBits::of(&[1])), refused);
    assert_eq!(run(&|c| c.forbidden_pprs = NamedBits::of(&[2])), refused);
    let other = OperatorId { mcc_mnc: [0x62, 0xF2, 0x10], gid1: None, gid2: None };
    assert_eq!(run(&|c| c.rat[0].allowed_operators = vec![other.clone()]), refused);
}

#[test]
fn the_same_iccid_twice() {
    // proves: ES8+.StoreMetadata; ErrorReason (9)
    let mut lab = Lab::new(Curve::P256);
    lab.install(&order(ICCID));
    let free_memory = lab.card.free_memory();
    let result = lab.download(&order(ICCID));
    assert!(matches!(
        result.final_result,
        FinalResult::Error {
            command: Command::StoreMetadata,
            reason: Reason::InstallFailedDueToIccidAlreadyExistsOnEuicc,
            ..
        }
    ));
    assert_eq!((lab.card.profiles().len(), lab.card.free_memory()), (1, free_memory));
    assert_eq!(result.notification.iccid, Some(order(ICCID).metadata.iccid));
}

#[test]
fn a_card_without_test_profiles() {
    // proves: ES8+.StoreMetadata; EUICC.TestProfiles; ErrorReason (6)
    let mut config = config(&[Curve::P256]);
    config.rsp_capability = NamedBits::of(&[0]);
    let mut order = order(ICCID);
    order.metadata.profile_class = ProfileClass::Test;
    let (command, reason, _) = failure(&mut Lab::with(config, Curve::P256), &order);
    assert_eq!((command, reason), (Command::StoreMetadata, Reason::UnsupportedProfileClass));
}

// Profile elements.

fn changed(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<Vec<u8>> {
    let mut elements = elements(ICCID);
    change(&mut elements);
    elements
}

const AT_ELEMENT: Reason = Reason::InstallFailedDueToPeProcessingError;

#[test]
fn packages_without_order() {
    // proves: ES8+.LoadProfileElements; ErrorReason (12)
    let format = |number| (AT_ELEMENT, Some((PeStatus::INVALID_REQUEST_FORMAT, number)));
    assert_eq!(failure_of_elements(&changed(|e| drop(e.remove(0)))), format(Some(1)));
    assert_eq!(failure_of_elements(&changed(|e| drop(e.pop()))), format(None));
    assert_eq!(failure_of_elements(&changed(|e| e.insert(2, e[0].clone()))), format(None));
    assert_eq!(failure_of_elements(&changed(|e| e.push(e[1].clone()))), format(Some(1)));
    assert_eq!(failure_of_elements(&changed(|e| e.push(vec![0xA1, 0x50]))), format(None));
    // No PEHeader; content that is no TLV; an indefinite length.
    assert_eq!(failure_of_elements(&changed(|e| e[1] = from_hex("B0028100").unwrap())), format(None));
    assert_eq!(failure_of_elements(&changed(|e| e[1] = from_hex("B007A003810107A205").unwrap())), format(Some(7)));
    assert_eq!(failure_of_elements(&changed(|e| e[1] = from_hex("B0800000").unwrap())), format(None));
}

#[test]
fn elements_that_the_card_does_not_know() {
    // proves: ES8+.LoadProfileElements; ErrorReason (12)
    let unsupported = |number| (AT_ELEMENT, Some((PeStatus::PE_NOT_SUPPORTED, Some(number))));
    for tag in [0xABu32, 0xBE, 0xBF1F, 0xBF7A, 0xA9] {
        assert_eq!(failure_of_elements(&changed(|e| e.insert(2, element(tag, true, 77, |w| w)))), unsupported(77));
        // Not mandated, it is passed over, and the result says so.
        let order =
            Order { package: changed(|e| e.insert(2, element(tag, false, 77, |w| w))).concat(), ..order(ICCID) };
        let FinalResult::Success { simple_response, .. } = Lab::new(Curve::P256).download(&order).final_result else {
            panic!("not installed");
        };
        let response = EuiccResponse::parse(&simple_response).unwrap();
        assert!(!response.aborted);
        assert_eq!(response.pe_status, [PeStatus::new(PeStatus::PE_NOT_SUPPORTED, Some(77))]);
    }
}

#[test]
fn demands_of_the_profile_header() {
    // proves: ES8+.LoadProfileElements; ErrorReason (12, 13)
    let status = |status| (AT_ELEMENT, Some((status, None)));
    let version = changed(|e| e[0] = header(ICCID, 9, &[1]));
    assert_eq!(failure_of_elements(&version), status(PeStatus::UNSUPPORTED_PROFILE_VERSION));
    // cave (6), multos (12) and a service that nobody knows.
    for service in [6, 12, 28] {
        let services = changed(|e| e[0] = header(ICCID, 2, &[1, service]));
        assert_eq!(failure_of_elements(&services), status(PeStatus::FEATURE_NOT_SUPPORTED));
    }
    // A template of a later version.
    let mut later = header(ICCID, 2, &[1]);
    later.truncate(later.len() - 8);
    later.extend(from_hex("0607 67810F010204 02".replace(' ', "")).unwrap());
    later[1] += 1;
    let at = later.len() - 10;
    later[at] += 1;
    assert_eq!(failure_of_elements(&changed(|e| e[0] = later)), status(PeStatus::TEMPLATE_NOT_SUPPORTED));
    let other_profile = changed(|e| e[0] = header("8988247000111763811", 2, &[1]));
    assert_eq!(failure_of_elements(&other_profile), (Reason::InstallFailedDueToDataMismatch, None));
}

#[test]
fn metadata_that_contradicts_the_profile() {
    // proves: ES8+.StoreMetadata; ErrorReason (13)
    // SGP.22 v2.5 §5.5.3: the owner is the one of the IMSI, 00101 or 001010, or it is not.
    let mut order = order(ICCID);
    for mcc_mnc in [[0x00, 0xF1, 0x10], [0x00, 0x01, 0x10]] {
        order.metadata.profile_owner = Some(OperatorId { mcc_mnc, gid1: None, gid2: None });
        Lab::new(Curve::P256).install(&order);
    }
    let others = [
        OperatorId { mcc_mnc: [0x62, 0xF2, 0x10], gid1: None, gid2: None },
        // A group that EF_GID1 does not name.
        OperatorId { mcc_mnc: [0x00, 0xF1, 0x10], gid1: Some(vec![0xA1]), gid2: None },
    ];
    for other in others {
        order.metadata.profile_owner = Some(other);
        let (command, reason, _) = failure(&mut Lab::new(Curve::P256), &order);
        assert_eq!((command, reason), (Command::LoadProfileElements, Reason::InstallFailedDueToDataMismatch));
    }
}

#[test]
fn keys_of_test_profiles() {
    // proves: EUICC.TestProfiles; ErrorReason (14)
    let install = |class, algorithm, key| {
        let mut order = order(ICCID);
        order.metadata.profile_class = class;
        order.package = changed(|e| e[3] = aka(3, algorithm, key)).concat();
        match Lab::new(Curve::P256).download(&order).final_result {
            FinalResult::Success { .. } => None,
            FinalResult::Error { reason, .. } => Some(reason),
        }
    };
    let counting = std::array::from_fn(|index| index as u8);
    assert_eq!(install(ProfileClass::Test, 1, counting), None);
    assert_eq!(install(ProfileClass::Test, 1, [0; 16]), None);
    assert_eq!(install(ProfileClass::Test, 3, [0x46; 16]), None);
    let invalid = Some(Reason::TestProfileInstallFailedDueToInvalidNaaKey);
    assert_eq!(install(ProfileClass::Test, 1, [0x46; 16]), invalid);
    assert_eq!(install(ProfileClass::Operational, 1, [0x46; 16]), None);
}

#[test]
fn memory() {
    // proves: ES8+.LoadProfileElements; ErrorReason (10)
    let package = elements(ICCID).concat();
    let fits = |memory| {
        let mut config = config(&[Curve::P256]);
        config.memory = memory;
        let mut lab = Lab::with(config, Curve::P256);
        match lab.download(&order(ICCID)).final_result {
            FinalResult::Success { .. } => None,
            FinalResult::Error { command, reason, .. } => {
                assert_eq!((lab.card.profiles().len(), lab.card.free_memory()), (0, memory));
                Some((command, reason))
            }
        }
    };
    // Package or files, whichever is more, icon of 1000 bytes, and the ISD-P itself.
    let mut lab = Lab::new(Curve::P256);
    let free = lab.card.free_memory();
    lab.install(&order(ICCID));
    let needed = free - lab.card.free_memory();
    assert!(needed >= package.len() as u32 + 1000 + 512);
    assert_eq!(fits(needed), None);
    let refused = Some((Command::LoadProfileElements, Reason::InstallFailedDueToInsufficientMemoryForProfile));
    assert_eq!(fits(needed - 1), refused);
    assert_eq!(fits(0), refused);
}

#[test]
fn an_element_that_announces_more_than_there_is_memory() {
    // proves: Robust - lengths, nesting and chains are bounded; ErrorReason (10)
    // Refused at its head, and not when the memory is full.
    let mut order = order(ICCID);
    order.package = [header(ICCID, 2, &[1]), from_hex("A184FFFFFF00").unwrap(), vec![0; 3000]].concat();
    let (_, reason, _) = failure(&mut Lab::new(Curve::P256), &order);
    assert_eq!(reason, Reason::InstallFailedDueToInsufficientMemoryForProfile);
}

// Interruptions.

#[test]
fn an_interrupted_installation_leaves_its_result() {
    // proves: ES10b.LoadBoundProfilePackage; ErrorReason (11)
    let mut lab = Lab::new(Curve::P256);
    let free_memory = lab.card.free_memory();
    let otpk = lab.prepared();
    let package = lab.bind(&order(ICCID), &otpk);
    let commands = bpp::load_commands(&package).unwrap();
    let mut results = 0;
    for count in 1..commands.len() {
        for by_reset in [true, false] {
            // The package is bound to the key that the card has kept.
            assert_eq!(prepare_again(&mut lab, Some(otpk.point())), otpk.point());
            assert_eq!(lab.load(commands[..count].iter().copied()), None);
            if by_reset {
                lab.open();
            } else {
                lab.challenge();
            }
            results += 1;
            assert_clean(&lab, free_memory, results);
            let last = lab.card.notifications().pop().unwrap();
            let result = lab.verified_result(&last.signed);
            assert_eq!(result.notification.sequence_number, results as u32);
            let FinalResult::Error { reason, .. } = result.final_result else { panic!("installed") };
            assert_eq!(reason, Reason::InstallFailedDueToInterruption);
            // What comes after finds no session.
            assert_eq!(lab.es10_in(commands[count], 255), (Vec::new(), 0x6A88));
        }
    }
    // And the same package still installs.
    assert_eq!(prepare_again(&mut lab, Some(otpk.point())), otpk.point());
    assert!(matches!(lab.load_package(&package).final_result, FinalResult::Success { .. }));
}

#[test]
fn a_package_that_nobody_has_prepared() {
    // proves: ES10b.LoadBoundProfilePackage
    let mut lab = Lab::new(Curve::P256);
    let otpk = lab.prepared();
    let package = lab.bind(&order(ICCID), &otpk);
    let commands = bpp::load_commands(&package).unwrap();
    // A segment before the beginning does not end the session.
    assert_eq!(lab.es10_in(commands[1], 255), (Vec::new(), 0x6A88));
    assert!(lab.load(commands.iter().copied()).is_some());
    assert_eq!(lab.es10_in(commands[0], 255), (Vec::new(), 0x6985));
    lab.authenticate();
    assert_eq!(lab.es10_in(commands[0], 255), (Vec::new(), 0x6985));
    assert_eq!(lab.es10_in(commands[1], 255), (Vec::new(), 0x6A88));
}

#[test]
fn the_rest_of_the_card_works_while_a_package_comes_in() {
    // proves: ES10b.LoadBoundProfilePackage
    let mut lab = Lab::new(Curve::P256);
    lab.install(&order("8988247000111763811"));
    let otpk = lab.prepared();
    let package = lab.bind(&order(ICCID), &otpk);
    let mut result = None;
    for piece in bpp::load_commands(&package).unwrap() {
        lab.hex("BF2D00");
        lab.hex("BF2800");
        lab.hex("BF2200");
        result = lab.load([piece]);
    }
    assert!(matches!(lab.verified_result(&result.unwrap()).final_result, FinalResult::Success { .. }));
}

// CancelSession.

#[test]
fn sessions_are_cancelled_once_and_signed() {
    // proves: ES10b.CancelSession (0, 5)
    for stage in 0..3 {
        let mut lab = Lab::new(Curve::BrainpoolP256r1);
        if stage == 0 {
            lab.authenticate();
        } else {
            let otpk = lab.prepared();
            if stage == 2 {
                let package = lab.bind(&order(ICCID), &otpk);
                assert_eq!(lab.load(bpp::load_commands(&package).unwrap().into_iter().take(4)), None);
            }
        }
        let mut cancel = CancelSessionRequest {
            transaction_id: rsp::TransactionId::from_bytes(&[0x12; 16]).unwrap(),
            reason: CancelSessionReason::EndUserRejection,
        };
        let response = lab.es10(&cancel.encode());
        assert!(matches!(CancelSessionResponse::parse(&response), Ok(CancelSessionResponse::Error(5))));
        cancel.transaction_id = lab.transaction_id.clone();
        let response = lab.es10(&cancel.encode());
        let Ok(CancelSessionResponse::Ok { signed, signature }) = CancelSessionResponse::parse(&response) else {
            panic!("not cancelled");
        };
        assert!(lab.euicc.public_key().verify(&[signed.raw], signature));
        assert_eq!((&signed.smdp_oid, signed.reason), (&lab.server.oid, CancelSessionReason::EndUserRejection));
        assert_eq!(signed.transaction_id, lab.transaction_id);
        let response = lab.es10(&cancel.encode());
        assert!(matches!(CancelSessionResponse::parse(&response), Ok(CancelSessionResponse::Error(5))));
        assert!(lab.card.notifications().is_empty() && lab.card.profiles().is_empty());
    }
}

#[test]
fn a_postponed_download_keeps_its_one_time_key() {
    // proves: ES10b.CancelSession; ES10b.PrepareDownload
    let mut lab = Lab::new(Curve::P256);
    for (reason, kept) in [
        (CancelSessionReason::Postponed, true),
        (CancelSessionReason::Timeout, true),
        (CancelSessionReason::EndUserRejection, false),
    ] {
        let key = prepare_again(&mut lab, None);
        let cancel = CancelSessionRequest { transaction_id: lab.transaction_id.clone(), reason };
        lab.es10(&cancel.encode());
        assert_eq!(prepare_again(&mut lab, Some(key)) == key, kept, "{reason}");
    }
}

// Data made by others.

/// Cards and servers of the SGP.26 test PKI on both curves, with the generic test profiles of TS.48.
#[test]
fn the_published_test_keys_and_profiles() {
    // proves: Data - SGP.26 certificates and keys; Data - TS.48 profile packages
    let folder = format!("{}/../../../shared/data", env!("CARGO_MANIFEST_DIR"));
    let Ok(published) = pki::Pki::load(std::path::Path::new(&format!("{folder}/sgp26")), NOW) else {
        eprintln!("skipped: {folder}/sgp26 is not there");
        return;
    };
    let credentials: Vec<_> =
        CURVES.iter().map(|curve| credentials(published.euicc(*curve, &eid()).unwrap())).collect();
    for curve in CURVES {
        for name in ["TS48v7_SAIP2.3_BERTLV_SUCI.der", "TS48v7_SAIP2.3_NoBERTLV.der"] {
            let package = std::fs::read(format!("{folder}/profiles/{name}")).unwrap();
            let config = crate::CardConfig::new(eid(), credentials.clone());
            let mut lab = Lab::of(config, published.smdp(curve).unwrap().clone(), curve);
            let mut metadata = metadata("89000123456789012341");
            metadata.profile_class = ProfileClass::Test;
            metadata.profile_owner = None;
            lab.install(&Order { package: package.clone(), metadata: metadata.clone(), ..order(ICCID) });
            assert_eq!(lab.card.profiles()[0].iccid.to_string(), "89000123456789012341");

            let preinstalled = PreinstalledProfile::new(&metadata.encode(), &package, true).unwrap();
            let mut config = crate::CardConfig::new(eid(), credentials.clone());
            config.preinstalled.push(preinstalled);
            let lab = Lab::of(config, published.smdp(curve).unwrap().clone(), curve);
            assert_eq!(lab.card.profiles()[0].state, ProfileState::Enabled);
        }
    }
}

#[test]
fn preinstalled_profiles_that_cannot_be() {
    let metadata = metadata(ICCID).encode();
    let error =
        |metadata: &[u8], package: &[u8]| PreinstalledProfile::new(metadata, package, false).unwrap_err().to_string();
    assert!(error(&[], &elements(ICCID).concat()).contains("metadata"));
    assert!(error(&metadata, &elements("8988247000111763811").concat()).contains("DataMismatch"));
    assert!(error(&metadata, &[]).contains("status 5"));
}

/// One time through, as a check that a request is what the other tests change.
#[test]
fn the_signature_covers_the_element_with_its_tag() {
    let mut lab = Lab::new(Curve::P256);
    let signature1 = lab.authenticate();
    let request = lab.prepare_request(&lab.smdp_signed2(), &signature1, None, &lab.server.pb.clone());
    let parsed = PrepareDownloadRequest::parse(&request).unwrap();
    let signed = [parsed.smdp_signed2.raw, &signature_element(&signature1)];
    assert!(lab.server.pb.key.public().verify(&signed, parsed.smdp_signature2));
}

#[test]
fn a_download_as_a_timeline_tells_it() {
    let mut lab = Lab::new(Curve::P256);
    lab.install(&order(ICCID));
    lab.hex("BF3111A00C5A0A988842070011713618F0810100");
    lab.download(&order(ICCID));
    lab.hex("BF3003800101");
    let events: Vec<String> = lab.card.drain_events().iter().map(CardEvent::to_string).collect();
    insta::assert_snapshot!(events.join("\n"), @r"
    reset
    channel 1 opened
    challenge drawn for a new session
    server smdp.example.com authenticated, transaction 11111111111111111111111111111111
    download prepared with a new one-time key, transaction 11111111111111111111111111111111
    profile 8988247000111763810 installed as A0000005591010FFFFFFFF8900001000
    notification 1 of install for smdp.example.com
    profile 8988247000111763810 enabled
    notification 2 of enable for notify.example.com
    challenge drawn for a new session
    server smdp.example.com authenticated, transaction 11111111111111111111111111111111
    download prepared with a new one-time key, transaction 11111111111111111111111111111111
    profile 8988247000111763810 not installed: storeMetadata (2), installFailedDueToIccidAlreadyExistsOnEuicc (9): a profile with this ICCID is installed already
    notification 3 of install for smdp.example.com
    notification 1 removed
    ");
}
