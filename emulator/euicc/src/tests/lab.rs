//! A card with an LPA and an SM-DP+ around it, played by the test.
//!
//! Every step of a download is a function that gives the bytes of its message, so that a test may change them before
//! they are sent.

use std::sync::OnceLock;

use pki::{EuiccCredentials, Identity, Pki, PkiSpec, SmdpCredentials};
use rsp::bpp::{self, MAX_ENCRYPTED_PLAINTEXT, MAX_MAC_ONLY_DATA, SecureChannel, SessionKeys, signature_element};
use rsp::cert::Certificate;
use rsp::crypto::{Curve, PrivateKey, PublicKey, SeededRandom};
use rsp::es10::auth::{
    AuthenticateServerRequest, AuthenticateServerResponse, CtxParams1, DeviceInfo, ServerSigned1, parse_euicc_challenge,
};
use rsp::es10::download::{
    CancelSessionReason, CancelSessionRequest, CancelSessionResponse, FinalResult, InitialiseSecureChannel,
    NotificationConfiguration, PrepareDownloadRequest, PrepareDownloadResponse, ProfileInstallationResult,
    ProfileInstallationResultData, SmdpSigned2, StoreMetadata,
};
use rsp::es10::profiles::{OperatorId, ProfileClass};
use rsp::ids::{from_hex, to_hex};
use rsp::tlv::{NamedBits, Writer};
use rsp::{Aid, Eid, Iccid, TransactionId, Version};

use crate::{CardConfig, Credentials, Euicc};

/// The time of all tests: November 2026.
pub(super) const NOW: i64 = 1_795_000_000;

pub(crate) const ICCID: &str = "8988247000111763810";
pub(super) const ADDRESS: &str = "smdp.example.com";

pub(super) const CURVES: [Curve; 2] = [Curve::P256, Curve::BrainpoolP256r1];

/// One PKI for all tests.
pub(super) fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| Pki::generate(&PkiSpec::default(), &mut SeededRandom::new(26, "euicc tests"), NOW).unwrap())
}

pub(super) fn eid() -> Eid {
    Eid::parse("89049032123451234512345678901235").unwrap()
}

pub(super) fn credentials(from: &EuiccCredentials) -> Credentials {
    Credentials {
        ci: from.ci.clone(),
        eum: from.eum.clone(),
        euicc: from.euicc.certificate.clone(),
        key: from.euicc.key.clone(),
    }
}

/// A card with credentials on these curves, in this order of preference.
pub(super) fn config(curves: &[Curve]) -> CardConfig {
    let credentials = curves.iter().map(|curve| credentials(pki().euicc(*curve, &eid()).unwrap())).collect();
    CardConfig::new(eid(), credentials)
}

/// Card, LPA and SM-DP+.
pub(super) struct Lab {
    pub(super) card: Euicc,
    pub(super) channel: u8,
    pub(super) ci: Certificate,
    pub(super) euicc: Certificate,
    pub(super) server: SmdpCredentials,
    pub(super) transaction_id: TransactionId,
    pub(super) otsk: PrivateKey,
    pub(super) random: SeededRandom,
}

/// What the SM-DP+ delivers.
#[derive(Clone)]
pub(super) struct Order {
    pub(super) metadata: StoreMetadata,
    pub(super) package: Vec<u8>,
    pub(super) replace_session_keys: bool,
    pub(super) configure_isdp: Vec<u8>,
}

impl Lab {
    pub(super) fn new(curve: Curve) -> Self {
        Lab::with(config(&[curve]), curve)
    }

    pub(super) fn with(config: CardConfig, curve: Curve) -> Self {
        Lab::of(config, pki().smdp(curve).unwrap().clone(), curve)
    }

    pub(super) fn of(config: CardConfig, server: SmdpCredentials, curve: Curve) -> Self {
        let own = config.credentials.iter().find(|own| own.key.curve() == curve).unwrap();
        let (ci, euicc) = (own.ci.clone(), own.euicc.clone());
        let mut random = SeededRandom::new(7, "server");
        let mut lab = Lab {
            card: Euicc::new(config, Box::new(SeededRandom::new(7, "card"))),
            channel: 0,
            ci,
            euicc,
            server,
            transaction_id: TransactionId::from_bytes(&[0x11; 16]).unwrap(),
            otsk: PrivateKey::generate(curve, &mut random).unwrap(),
            random,
        };
        lab.open();
        lab
    }

    /// Opens a channel and selects the ISD-R on it.
    pub(super) fn open(&mut self) {
        self.card.reset();
        let opened = self.card.transmit(&from_hex("0070000001").unwrap(), NOW);
        assert_eq!(opened[1..], [0x90, 0x00]);
        self.channel = opened[0];
        let (_, sw) = self.send(&from_hex("00A4040010A0000005591010FFFFFFFF8900000100").unwrap());
        assert_eq!(sw, 0x9000);
    }

    /// Sends one APDU on the lab's channel and fetches what waits.
    pub(super) fn send(&mut self, apdu: &[u8]) -> (Vec<u8>, u16) {
        let mut apdu = apdu.to_vec();
        apdu[0] |= self.channel;
        let mut data = Vec::new();
        let mut response = self.card.transmit(&apdu, NOW);
        loop {
            let sw = u16::from_be_bytes(response.split_off(response.len() - 2).try_into().unwrap());
            data.extend_from_slice(&response);
            if sw & 0xFF00 != 0x6100 {
                return (data, sw);
            }
            response = self.card.transmit(&[0x80 | self.channel, 0xC0, 0, 0, sw as u8], NOW);
        }
    }

    /// Sends one command of ES10 in blocks, as LPAs do.
    pub(super) fn es10_in(&mut self, command: &[u8], block_size: usize) -> (Vec<u8>, u16) {
        let blocks: Vec<&[u8]> = command.chunks(block_size).collect();
        for (number, block) in blocks.iter().enumerate() {
            let last = number + 1 == blocks.len();
            let mut apdu = vec![0x80, 0xE2, if last { 0x91 } else { 0x11 }, number as u8, block.len() as u8];
            apdu.extend_from_slice(block);
            let (data, sw) = self.send(&apdu);
            if last || sw != 0x9000 {
                return (data, sw);
            }
            assert!(data.is_empty());
        }
        panic!("an empty command");
    }

    /// Sends one command of ES10 that the card answers with data or nothing, and 9000.
    pub(super) fn es10(&mut self, command: &[u8]) -> Vec<u8> {
        let (data, sw) = self.es10_in(command, 120);
        assert_eq!(sw, 0x9000, "{}", to_hex(command));
        data
    }

    /// The same in hexadecimal digits.
    pub(super) fn hex(&mut self, command: &str) -> String {
        to_hex(&self.es10(&from_hex(command).unwrap()))
    }

    pub(super) fn challenge(&mut self) -> [u8; 16] {
        parse_euicc_challenge(&self.es10(&from_hex("BF2E00").unwrap())).unwrap()
    }

    pub(super) fn server_signed1(&self, challenge: [u8; 16]) -> ServerSigned1 {
        ServerSigned1 {
            transaction_id: self.transaction_id.clone(),
            euicc_challenge: challenge,
            server_address: ADDRESS.to_owned(),
            server_challenge: [0x22; 16],
        }
    }

    /// AuthenticateServer, all right, with `by` as the server.
    pub(super) fn authenticate_request_by(&self, challenge: [u8; 16], by: &Identity) -> Vec<u8> {
        let signed1 = self.server_signed1(challenge).encode();
        let signature1 = by.key.sign(&[&signed1]).unwrap();
        let pkid = self.ci.subject_key_id().unwrap();
        AuthenticateServerRequest::encode(&signed1, &signature1, pkid, by.certificate.der(), &ctx_params1())
    }

    pub(super) fn authenticate_request(&self, challenge: [u8; 16]) -> Vec<u8> {
        self.authenticate_request_by(challenge, &self.server.auth)
    }

    /// Authenticates; gives `euiccSignature1`.
    pub(super) fn authenticate(&mut self) -> [u8; 64] {
        let challenge = self.challenge();
        let response = self.es10(&self.authenticate_request(challenge));
        let AuthenticateServerResponse::Ok(ok) = AuthenticateServerResponse::parse(&response).unwrap() else {
            panic!("not authenticated: {}", to_hex(&response));
        };
        assert!(self.euicc.public_key().verify(&[ok.euicc_signed1.raw], ok.euicc_signature1));
        assert_eq!(ok.euicc_certificate, self.euicc.der());
        ok.euicc_signature1.try_into().unwrap()
    }

    pub(super) fn smdp_signed2(&self) -> SmdpSigned2 {
        SmdpSigned2 { transaction_id: self.transaction_id.clone(), cc_required: false, bpp_euicc_otpk: None }
    }

    /// PrepareDownload with this `smdpSigned2`, signed by `by`.
    pub(super) fn prepare_request(
        &self,
        signed2: &SmdpSigned2,
        euicc_signature1: &[u8; 64],
        hash_cc: Option<[u8; 32]>,
        by: &Identity,
    ) -> Vec<u8> {
        let signed2 = signed2.encode();
        let signature2 = by.key.sign(&[&signed2, &signature_element(euicc_signature1)]).unwrap();
        PrepareDownloadRequest::encode(&signed2, &signature2, hash_cc, by.certificate.der())
    }

    /// Prepares; gives the card's one-time key.
    pub(super) fn prepare(&mut self, euicc_signature1: &[u8; 64]) -> PublicKey {
        let request = self.prepare_request(&self.smdp_signed2(), euicc_signature1, None, &self.server.pb.clone());
        let response = self.es10(&request);
        let PrepareDownloadResponse::Ok { euicc_signed2, euicc_signature2 } =
            PrepareDownloadResponse::parse(&response).unwrap()
        else {
            panic!("not prepared: {}", to_hex(&response));
        };
        let smdp_signature2 = PrepareDownloadRequest::parse(&request).unwrap().smdp_signature2;
        let signed = [euicc_signed2.raw, &signature_element(smdp_signature2)];
        assert!(self.euicc.public_key().verify(&signed, euicc_signature2));
        PublicKey::from_point(self.otsk.curve(), &euicc_signed2.euicc_otpk).unwrap()
    }

    /// Authenticates and prepares.
    pub(super) fn prepared(&mut self) -> PublicKey {
        let signature1 = self.authenticate();
        self.prepare(&signature1)
    }

    pub(super) fn initialise_secure_channel(&self, otpk: &PublicKey) -> Vec<u8> {
        let part =
            InitialiseSecureChannel::encode_signed_part(&self.transaction_id, HOST_ID, &self.otsk.public().point());
        self.sign_initialise_secure_channel(&part, otpk)
    }

    /// `BF23` from its signed part, with a right signature.
    pub(super) fn sign_initialise_secure_channel(&self, part: &[u8], otpk: &PublicKey) -> Vec<u8> {
        let signed = Writer::new().raw(part).put(0x5F49, &otpk.point()).into_vec();
        InitialiseSecureChannel::encode(part, &self.server.pb.key.sign(&[&signed]).unwrap())
    }

    pub(super) fn secure_channel(&self, otpk: &PublicKey) -> SecureChannel {
        SecureChannel::new(SessionKeys::agree(&self.otsk, otpk, HOST_ID, &eid()).unwrap())
    }

    /// The bound profile package.
    pub(super) fn bind(&mut self, order: &Order, otpk: &PublicKey) -> Vec<u8> {
        let mut channel = self.secure_channel(otpk);
        let configure = channel.encrypt(0x87, &order.configure_isdp).unwrap();
        let metadata = order.metadata.encode();
        let metadata: Vec<Vec<u8>> =
            metadata.chunks(MAX_MAC_ONLY_DATA).map(|chunk| channel.mac_only(0x88, chunk).unwrap()).collect();
        let replace = order.replace_session_keys.then(|| {
            let keys = SessionKeys::random(&mut self.random);
            let segment = channel.encrypt(0x87, &keys.encode_replace_session_keys()).unwrap();
            channel = SecureChannel::new(keys);
            segment
        });
        let elements: Vec<Vec<u8>> =
            order.package.chunks(MAX_ENCRYPTED_PLAINTEXT).map(|chunk| channel.encrypt(0x86, chunk).unwrap()).collect();
        let initialise = self.initialise_secure_channel(otpk);
        bpp::encode_bound_profile_package(&initialise, &configure, &metadata, replace.as_deref(), &elements)
    }

    /// Sends pieces of a package until the card has a result. Whatever the test, after a failure the card is clean:
    /// nothing of the profile is left, the signed result is kept and nothing else has changed, the session is closed.
    pub(super) fn load<'p>(&mut self, pieces: impl IntoIterator<Item = &'p [u8]>) -> Option<Vec<u8>> {
        let state = |card: &Euicc| (card.profiles(), card.free_memory(), card.default_smdp().map(str::to_owned));
        let (before, kept) = (state(&self.card), self.card.notifications());
        for piece in pieces {
            let response = self.es10(piece);
            if response.is_empty() {
                continue;
            }
            let result = ProfileInstallationResult::parse(&response).unwrap();
            if let FinalResult::Error { .. } = result.data.value.final_result {
                assert_eq!(state(&self.card), before);
                let now = self.card.notifications();
                let (new, old) = now.split_last().unwrap();
                assert_eq!(new.signed, response);
                // Of a full list the oldest one has gone.
                assert_eq!(old.len(), kept.len().min(255));
                assert_eq!(*old, kept[kept.len() - old.len()..]);
                let cancel = CancelSessionRequest {
                    transaction_id: self.transaction_id.clone(),
                    reason: CancelSessionReason::LoadBppExecutionError,
                };
                let cancelled = self.es10(&cancel.encode());
                assert!(matches!(CancelSessionResponse::parse(&cancelled), Ok(CancelSessionResponse::Error(5))));
            }
            return Some(response);
        }
        None
    }

    /// Loads a whole package; gives the signed and verified result.
    pub(super) fn load_package(&mut self, package: &[u8]) -> ProfileInstallationResultData {
        let response = self.load(bpp::load_commands(package).unwrap()).expect("a ProfileInstallationResult");
        self.verified_result(&response)
    }

    pub(super) fn verified_result(&self, response: &[u8]) -> ProfileInstallationResultData {
        let result = ProfileInstallationResult::parse(response).unwrap();
        assert!(self.euicc.public_key().verify(&[result.data.raw], result.signature));
        assert_eq!(result.data.smdp_oid.as_ref(), Some(&self.server.oid));
        assert_eq!(result.data.transaction_id, self.transaction_id);
        assert_eq!(result.data.notification.address, ADDRESS);
        result.data.value
    }

    /// A whole download.
    pub(super) fn download(&mut self, order: &Order) -> ProfileInstallationResultData {
        let otpk = self.prepared();
        let package = self.bind(order, &otpk);
        self.load_package(&package)
    }

    /// A whole download that has to succeed; gives the AID of the ISD-P.
    pub(super) fn install(&mut self, order: &Order) -> Aid {
        match self.download(order).final_result {
            FinalResult::Success { aid, .. } => aid,
            other => panic!("not installed: {other:?}"),
        }
    }
}

pub(super) const HOST_ID: &[u8] = b"lab";

pub(super) fn ctx_params1() -> CtxParams1 {
    CtxParams1 {
        matching_id: Some("MATCHING-1".to_owned()),
        device_info: DeviceInfo {
            tac: [0x35, 0x29, 0x06, 0x11],
            capabilities: vec![(0x85, Version::new(15, 0, 0))],
            imei: None,
        },
    }
}

pub(super) fn metadata(iccid: &str) -> StoreMetadata {
    StoreMetadata {
        iccid: Iccid::parse(iccid).unwrap(),
        service_provider_name: "Operator A".to_owned(),
        profile_name: "Profile A".to_owned(),
        icon_type: Some(1),
        icon: Some(vec![0x55; 1000]),
        profile_class: ProfileClass::Operational,
        notification_configuration: vec![NotificationConfiguration {
            events: NamedBits::of(&[1, 2, 3]),
            address: "notify.example.com".to_owned(),
        }],
        profile_owner: Some(OperatorId { mcc_mnc: [0x00, 0xF1, 0x10], gid1: None, gid2: None }),
        profile_policy_rules: None,
    }
}

/// A profile element with its `PEHeader`.
pub(crate) fn element(
    tag: u32,
    mandated: bool,
    identification: u32,
    content: impl FnOnce(Writer) -> Writer,
) -> Vec<u8> {
    Writer::new()
        .nested(tag, |w| {
            content(w.nested(0xA0, |w| {
                let w = if mandated { w.put(0x80, &[]) } else { w };
                w.integer(0x81, identification)
            }))
        })
        .into_vec()
}

/// A profile header with these mandatory services.
pub(super) fn header(iccid: &str, major: u32, services: &[u32]) -> Vec<u8> {
    let iccid = from_hex(Iccid::parse(iccid).unwrap().padded()).unwrap();
    Writer::new()
        .nested(0xA0, |w| {
            w.integer(0x80, major)
                .integer(0x81, 3)
                .put(0x82, b"lab")
                .put(0x83, &iccid)
                .nested(0xA5, |w| services.iter().fold(w, |w, service| w.put(0x80 | *service, &[])))
                .nested(0xA6, |w| w.put(0x06, &from_hex("67810F010201").unwrap()))
        })
        .into_vec()
}

/// A file as a template element describes it: parameters and content.
pub(super) fn file(parameters: &str, content: &str) -> Vec<u8> {
    Writer::new().put(0xA1, &from_hex(parameters).unwrap()).put(0x83, &from_hex(content).unwrap()).into_vec()
}

/// The access rule "read always, the rest ADM1" as the only record of an EF.ARR.
const RULES: &str = "8001019000 80015AA40683010A950108";

/// The elements of a small profile: header, MF, USIM, AKA parameters, some bulk, end.
pub(crate) fn elements(iccid: &str) -> Vec<Vec<u8>> {
    let rules = RULES.replace(' ', "");
    let iccid_file = to_hex(Iccid::parse(iccid).unwrap().as_bytes());
    let arr = file("8204422100108001108B032F0601", &rules);
    let adf = from_hex("83027FD0840CA0000000871002FF49FF05898B032F0601C60101").unwrap();
    let bulk = Writer::new()
        .put(0x62, &from_hex("82024121 83022FF0 8B032F0601 800205DC 8800".replace(' ', "")).unwrap())
        .put(0x81, &[0xAB; 1500])
        .into_vec();
    vec![
        header(iccid, 2, &[1, 4]),
        element(0xB0, true, 1, |w| {
            w.put(0x81, &from_hex("67810F010201").unwrap())
                .nested(0xA2, |w| w.put(0xA1, &from_hex("8B032F0601C6010A").unwrap()))
                .put(0xA4, &file("8B032F0601", &iccid_file))
                .put(0xA5, &file("8204422100148001148B032F0601", "61124F10A0000000871002FF49FF0589FFFFFFFF"))
                .put(0xA6, &arr)
        }),
        element(0xB3, true, 2, |w| {
            w.put(0x81, &from_hex("67810F010204").unwrap())
                .nested(0xA2, |w| w.put(0xA1, &adf))
                // IMSI 001010000000101.
                .put(0xA3, &file("8B032F0601", "080910100000001010"))
                .put(0xA4, &arr)
                .put(0xA8, &file("8B032F0601", "0000000000000000000000000000"))
                .put(0xAD, &file("8B032F0601", "00FF"))
                .put(0xAE, &file("8B032F0601", "00"))
                .put(0xB2, &file("8B032F0601", "0001"))
                .put(0xB6, &file("8B032F0601", "11F2FF00"))
        }),
        aka(3, 1, [0x46; 16]),
        element(0xA1, true, 4, |w| w.nested(0xA1, |w| w.put(0x30, &bulk))),
        element(0xAA, true, 5, |w| w),
    ]
}

/// AKA parameters with an algorithm and a key.
pub(super) fn aka(identification: u32, algorithm: u32, key: [u8; 16]) -> Vec<u8> {
    element(0xA4, true, identification, |w| {
        w.nested(0xA1, |w| {
            w.nested(0xA1, |w| w.integer(0x80, algorithm).put(0x81, &[1]).put(0x82, &key).put(0x83, &[0; 16]))
        })
    })
}

pub(super) fn order(iccid: &str) -> Order {
    Order {
        metadata: metadata(iccid),
        package: elements(iccid).concat(),
        replace_session_keys: false,
        configure_isdp: from_hex("BF2400").unwrap(),
    }
}
