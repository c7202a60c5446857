//! A card and an LPA as tests need them: they do what the specification asks of them, and nothing else.

use std::sync::OnceLock;

use pki::{EuiccCredentials, Pki, PkiSpec};
use rsp::bpp::{BoundProfilePackage, SecureChannel, SessionKeys};
use rsp::crypto::{Curve, PrivateKey, PublicKey, SeededRandom, hash_confirmation_code};
use rsp::es10::auth::{AuthenticateServerResponse, CtxParams1, DeviceInfo, EuiccSigned1, ServerSigned1};
use rsp::es10::download::{
    BppCommandId, CancelSessionReason, CancelSessionResponse, ErrorReason, EuiccCancelSessionSigned, EuiccSigned2,
    FinalResult, InitialiseSecureChannel, PrepareDownloadResponse, ProfileInstallationResult,
    ProfileInstallationResultData, SmdpSigned2,
};
use rsp::es10::info::{EuiccInfo1, EuiccInfo2, ExtCardResource};
use rsp::es10::notification::{NotificationEvent, NotificationMetadata, OtherSignedNotification};
use rsp::saip::EuiccResponse;
use rsp::tlv::{NamedBits, Tlv};
use rsp::{Aid, Eid, Iccid, Oid, TransactionId, Version};

use crate::order::OrderSpec;
use crate::profile::{Profile, built_in_named};
use crate::server::{
    AuthenticateClientOk, BoundProfilePackageOk, Credentials, Identity, InitiateAuthentication,
    InitiateAuthenticationOk, Smdp, SmdpConfig,
};
use crate::status::StatusError;

/// The time of all tests: 2026-11-20.
pub(crate) const NOW: i64 = 1_795_132_800;

pub(crate) const ADDRESS: &str = "smdp.example.com";

/// A PKI on both curves, made once.
pub(crate) fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| Pki::generate(&PkiSpec::default(), &mut SeededRandom::new(1, "pki"), NOW - 1000).unwrap())
}

pub(crate) fn eid() -> Eid {
    Eid::parse("89049032123451234512345678901235").unwrap()
}

pub(crate) fn identity(identity: &pki::Identity) -> Identity {
    Identity { certificate: identity.certificate.clone(), key: identity.key.clone() }
}

pub(crate) fn credentials(pki: &Pki, curve: Curve) -> Credentials {
    let smdp = pki.smdp(curve).unwrap();
    Credentials { ci: pki.ci(curve).unwrap().clone(), auth: identity(&smdp.auth), pb: identity(&smdp.pb) }
}

pub(crate) fn config(pki: &Pki) -> SmdpConfig {
    let curves: Vec<Curve> = pki.curves().collect();
    let oid = pki.smdp(curves[0]).unwrap().oid.clone();
    let own = curves.iter().map(|curve| credentials(pki, *curve)).collect();
    SmdpConfig::new(ADDRESS, oid, own)
}

/// A server under the tests' PKI.
pub(crate) fn smdp() -> Smdp {
    Smdp::new(config(pki()), Box::new(SeededRandom::new(7, "smdp"))).unwrap()
}

pub(crate) fn profile() -> Profile {
    Profile::build(&built_in_named("operator-a").unwrap()).unwrap()
}

/// A server with one released order, `AC-1`.
pub(crate) fn smdp_with_order() -> Smdp {
    let mut smdp = smdp();
    smdp.add_order(OrderSpec::new("AC-1", profile()), NOW).unwrap();
    smdp
}

/// A card.
pub(crate) struct Card {
    pub(crate) credentials: EuiccCredentials,
    pub(crate) svn: Version,
    pub(crate) one_time: PrivateKey,
    pub(crate) challenge: [u8; 16],
    pub(crate) smdp_oid: Oid,
    /// What EUICCInfo2 says.
    pub(crate) profile_version: Version,
    pub(crate) capability: NamedBits,
    pub(crate) forbidden_ppr: Option<NamedBits>,
    pub(crate) free: u32,
    /// Key identifiers in EUICCInfo1: verification and signing; the card's own CI for both where nothing is said.
    pub(crate) ci_key_ids: Option<[Vec<Vec<u8>>; 2]>,
}

impl Card {
    pub(crate) fn on(curve: Curve) -> Self {
        Card::with(pki().euicc(curve, &eid()).unwrap().clone())
    }

    /// A card with another EID.
    pub(crate) fn numbered(curve: Curve, number: u32) -> Self {
        let eid = Eid::with_check_digits(&format!("89049032{number:022}")).unwrap();
        let mut random = SeededRandom::new(u64::from(number), "card");
        Card::with(pki().issue_euicc(curve, &eid, &mut random, NOW - 1000).unwrap())
    }

    pub(crate) fn with(credentials: EuiccCredentials) -> Self {
        let one_time = PrivateKey::generate(credentials.curve, &mut SeededRandom::new(3, "otsk")).unwrap();
        Card {
            credentials,
            svn: Version::new(2, 5, 0),
            one_time,
            challenge: [0x5A; 16],
            smdp_oid: Oid::parse("2.999.10").unwrap(),
            profile_version: Version::new(2, 3, 0),
            // USIM, ISIM, CSIM, Milenage, TUAK, GBA, Java Card, get identity, SUCI ...
            capability: NamedBits::of(&[1, 2, 3, 4, 6, 7, 8, 10, 11, 14, 16, 17, 18, 20, 22, 23, 24, 25]),
            forbidden_ppr: None,
            free: 500_000,
            ci_key_ids: None,
        }
    }

    /// Draws another one-time key.
    pub(crate) fn renew(&mut self, seed: u64) {
        let mut random = SeededRandom::new(seed, "another otsk");
        self.one_time = PrivateKey::generate(self.credentials.curve, &mut random).unwrap();
    }

    fn ci_key_id(&self) -> Vec<u8> {
        self.credentials.ci.subject_key_id().unwrap().to_vec()
    }

    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; 64] {
        self.credentials.euicc.key.sign(parts).unwrap()
    }

    pub(crate) fn info1(&self) -> Vec<u8> {
        let [ci_pkids_for_verification, ci_pkids_for_signing] =
            self.ci_key_ids.clone().unwrap_or_else(|| [vec![self.ci_key_id()], vec![self.ci_key_id()]]);
        EuiccInfo1 { svn: self.svn, ci_pkids_for_verification, ci_pkids_for_signing }.encode()
    }

    fn info2(&self) -> Vec<u8> {
        EuiccInfo2 {
            profile_version: self.profile_version,
            svn: self.svn,
            firmware_version: Version::new(1, 0, 0),
            ext_card_resource: ExtCardResource { applications: 0, free_non_volatile: self.free, free_volatile: 8_000 }
                .encode(),
            uicc_capability: self.capability,
            ts102241_version: None,
            globalplatform_version: None,
            rsp_capability: NamedBits::of(&[0]),
            ci_pkids_for_verification: vec![self.ci_key_id()],
            ci_pkids_for_signing: vec![self.ci_key_id()],
            category: None,
            forbidden_ppr: self.forbidden_ppr,
            pp_version: Version::new(1, 0, 0),
            sas_accreditation_number: "TEST".to_owned(),
            certification_data: None,
        }
        .encode()
    }

    /// What the card signs in AuthenticateServer.
    pub(crate) fn signed1(&self, server: &ServerSigned1, matching_id: Option<&str>) -> Vec<u8> {
        let device_info = DeviceInfo {
            tac: [0x35, 0x29, 0x06, 0x11],
            capabilities: vec![(0x85, Version::new(15, 0, 0))],
            imei: None,
        };
        let context = CtxParams1 { matching_id: matching_id.map(str::to_owned), device_info };
        EuiccSigned1::encode(server, &self.info2(), &context.encode())
    }

    /// AuthenticateServer: checks what the server says, and answers.
    pub(crate) fn authenticate(&self, ok: &InitiateAuthenticationOk, matching_id: Option<&str>) -> Vec<u8> {
        let certificate = rsp::cert::Certificate::parse(&ok.server_certificate).unwrap();
        let server = ServerSigned1::receive(&ok.server_signed1).unwrap();
        let signature = Tlv::parse_as(0x5F37, &ok.server_signature1).unwrap();
        assert!(certificate.public_key().verify(&[server.raw], signature.value()));
        assert_eq!(server.euicc_challenge, self.challenge);
        assert_eq!(server.transaction_id, ok.transaction_id);
        assert_eq!(ok.euicc_ci_pkid_to_be_used[..2], [0x04, 0x14]);
        assert_eq!(ok.euicc_ci_pkid_to_be_used[2..], self.ci_key_id());
        self.answer(&self.signed1(&server.value, matching_id))
    }

    /// The response to AuthenticateServer over what is signed.
    pub(crate) fn answer(&self, signed: &[u8]) -> Vec<u8> {
        let (euicc, eum) = (&self.credentials.euicc.certificate, &self.credentials.eum);
        AuthenticateServerResponse::encode_ok(signed, &self.sign(&[signed]), euicc.der(), eum.der())
    }

    /// PrepareDownload: answers with a one-time key and, where one is given, the hash of the code.
    pub(crate) fn prepare(&self, ok: &AuthenticateClientOk, code: Option<&str>) -> Vec<u8> {
        let certificate = rsp::cert::Certificate::parse(&ok.smdp_certificate).unwrap();
        let signed = SmdpSigned2::receive(&ok.smdp_signed2).unwrap();
        assert_eq!(signed.transaction_id, ok.transaction_id);
        assert_eq!(certificate.registered_id(), Some(&self.smdp_oid));
        let euicc_signed2 = EuiccSigned2 {
            transaction_id: ok.transaction_id.clone(),
            euicc_otpk: self.one_time.public().point(),
            hash_cc: code.map(|code| hash_confirmation_code(code, ok.transaction_id.as_bytes())),
        }
        .encode();
        let signature = self.sign(&[&euicc_signed2, &ok.smdp_signature2]);
        PrepareDownloadResponse::encode_ok(&euicc_signed2, &signature)
    }

    /// Opens a bound profile package as a card does: metadata and the unprotected package.
    pub(crate) fn open(&self, ok: &BoundProfilePackageOk, smdp_certificate: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let parts = BoundProfilePackage::parse(&ok.bound_profile_package).unwrap();
        let channel = InitialiseSecureChannel::parse(parts.initialise_secure_channel).unwrap();
        let certificate = rsp::cert::Certificate::parse(smdp_certificate).unwrap();
        let own = self.one_time.public().point();
        assert!(certificate.public_key().verify(&[&channel.signed_bytes(&own)], channel.smdp_signature));
        assert_eq!(channel.transaction_id, ok.transaction_id);
        assert_eq!((channel.remote_operation_id, channel.key_type, channel.key_length), (1, 0x88, 0x10));
        let peer = PublicKey::from_point(self.credentials.curve, &channel.smdp_otpk).unwrap();
        let keys = SessionKeys::agree(&self.one_time, &peer, channel.host_id, &self.credentials.eid).unwrap();
        let mut secure = SecureChannel::new(keys);
        let mut all = |segments: &[Tlv<'_>]| {
            assert!(segments.iter().all(|segment| segment.raw().len() <= rsp::bpp::MAX_SEGMENT));
            segments.iter().flat_map(|segment| secure.open(segment).unwrap().to_vec()).collect::<Vec<u8>>()
        };
        assert_eq!(all(&parts.configure_isdp), [0xBF, 0x24, 0x00]);
        let metadata = all(&parts.store_metadata);
        if let Some(segments) = &parts.replace_session_keys {
            secure = SecureChannel::new(SessionKeys::parse_replace_session_keys(&all(segments)).unwrap());
        }
        let mut all = |segments: &[Tlv<'_>]| {
            assert!(segments.iter().all(|segment| segment.raw().len() <= rsp::bpp::MAX_SEGMENT));
            segments.iter().flat_map(|segment| secure.open(segment).unwrap().to_vec()).collect::<Vec<u8>>()
        };
        (metadata, all(&parts.profile_elements))
    }

    /// The ProfileInstallationResult of a session.
    pub(crate) fn installation(&self, transaction_id: &TransactionId, iccid: Iccid, failed: bool) -> Vec<u8> {
        let final_result = match failed {
            false => FinalResult::Success { aid: Aid::isd_p(0x10), simple_response: EuiccResponse::ok().encode() },
            true => FinalResult::Error {
                command: BppCommandId::LoadProfileElements,
                reason: ErrorReason::InstallFailedDueToIccidAlreadyExistsOnEuicc,
                simple_response: None,
            },
        };
        let data = ProfileInstallationResultData {
            transaction_id: transaction_id.clone(),
            notification: self.notification(1, NotificationEvent::Install, iccid),
            smdp_oid: Some(self.smdp_oid.clone()),
            final_result,
        }
        .encode();
        ProfileInstallationResult::encode(&data, &self.sign(&[&data]))
    }

    fn notification(&self, sequence_number: u32, event: NotificationEvent, iccid: Iccid) -> NotificationMetadata {
        let address = ADDRESS.to_owned();
        NotificationMetadata { sequence_number, events: event.as_bits(), address, iccid: Some(iccid) }
    }

    /// Any other notification.
    pub(crate) fn other(&self, sequence_number: u32, event: NotificationEvent, iccid: Iccid) -> Vec<u8> {
        let metadata = self.notification(sequence_number, event, iccid).encode();
        let (euicc, eum) = (&self.credentials.euicc.certificate, &self.credentials.eum);
        OtherSignedNotification::encode(&metadata, &self.sign(&[&metadata]), euicc.der(), eum.der())
    }

    /// CancelSession.
    pub(crate) fn cancel(&self, transaction_id: &TransactionId, reason: CancelSessionReason) -> Vec<u8> {
        let smdp_oid = self.smdp_oid.clone();
        let signed = EuiccCancelSessionSigned { transaction_id: transaction_id.clone(), smdp_oid, reason }.encode();
        CancelSessionResponse::encode_ok(&signed, &self.sign(&[&signed]))
    }

    pub(crate) fn initiate(&self, smdp: &mut Smdp) -> Result<InitiateAuthenticationOk, StatusError> {
        let info = self.info1();
        let request =
            InitiateAuthentication { euicc_challenge: &self.challenge, euicc_info1: &info, smdp_address: ADDRESS };
        smdp.initiate_authentication(request, NOW)
    }

    /// The session up to authenticateClient.
    pub(crate) fn authenticate_client(
        &self,
        smdp: &mut Smdp,
        matching_id: Option<&str>,
    ) -> Result<AuthenticateClientOk, StatusError> {
        let ok = self.initiate(smdp)?;
        let response = self.authenticate(&ok, matching_id);
        smdp.authenticate_client(&ok.transaction_id.to_string(), &response, NOW)
    }

    /// The session up to getBoundProfilePackage.
    pub(crate) fn download(
        &self,
        smdp: &mut Smdp,
        matching_id: Option<&str>,
        code: Option<&str>,
    ) -> Result<(AuthenticateClientOk, BoundProfilePackageOk), StatusError> {
        let client = self.authenticate_client(smdp, matching_id)?;
        let response = self.prepare(&client, code);
        let id = client.transaction_id.to_string();
        smdp.get_bound_profile_package(&id, &response, NOW).map(|package| (client, package))
    }
}

/// Subject and reason of a refusal.
pub(crate) fn codes<T: std::fmt::Debug>(result: Result<T, StatusError>) -> String {
    let status = result.expect_err("it is to be refused");
    format!("{}/{}", status.subject, status.reason)
}
