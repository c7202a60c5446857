//! The procedures against a card and a server that answer as scripted and write down what they are asked.
//!
//! Nothing here signs or verifies: an assistant passes signed bytes through, and these are recognisable filling. The
//! whole chain with real cryptography is in the end-to-end tests of the workspace.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsp::es10::auth::{AuthenticateErrorCode, AuthenticateServerResponse, ServerSigned1, encode_euicc_challenge};
use rsp::es10::config::{ConfiguredAddresses, encode_rat};
use rsp::es10::download::{
    BppCommandId, CancelSessionRequest, CancelSessionResponse, DownloadErrorCode, ErrorReason, FinalResult,
    PrepareDownloadRequest, PrepareDownloadResponse, ProfileInstallationResult, ProfileInstallationResultData,
    SmdpSigned2, StoreMetadata,
};
use rsp::es10::notification::{
    NotificationEvent, NotificationMetadata, RemoveNotificationResult, encode_list_response, encode_remove_response,
    encode_retrieve_response, parse_remove_request,
};
use rsp::es10::profiles::{
    AuthorisationRule, OperatorId, ProfileClass, ProfileInfo, ProfileState, encode_profiles_info_response,
    encode_result,
};
use rsp::tlv::{self, NamedBits, Tlv};
use rsp::{Aid, Iccid, Oid, TransactionId, bpp};
use serde_json::{Value, json};

use crate::download::{DownloadRequest, Installed, Source};
use crate::es10::Card;
use crate::failure::{Failure, Outcome, Step};
use crate::http::{Http, HttpError, HttpReply};
use crate::imei::Imei;
use crate::link::{ApduLink, LinkError};
use crate::lpa::Lpa;
use crate::profiles::ProfileRef;
use crate::report::{Details, Report};

const SERVER: &str = "smdp.example.com";

/// What card, server and report have seen, in order.
#[derive(Debug, Clone, Default)]
struct Journal(Rc<RefCell<Vec<String>>>);

impl Journal {
    fn write(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    fn text(&self) -> String {
        self.0.borrow().join("\n")
    }

    fn has(&self, line: &str) -> bool {
        self.0.borrow().iter().any(|seen| seen.starts_with(line))
    }
}

impl Report for Journal {
    fn done(&mut self, step: Step, _: Details) {
        self.write(format!("step {step}"));
    }

    fn failed(&mut self, failure: &Failure) {
        self.write(format!("step {} failed", failure.step));
    }

    fn progress(&mut self, _: usize, _: usize) {}
}

/// How the scripted card answers a request.
#[derive(Debug, Clone)]
enum Answer {
    Data(Vec<u8>),
    Status(u16),
    Silence,
}

struct FakeCard {
    journal: Journal,
    chain: Vec<u8>,
    /// By the tag of the request.
    answers: BTreeMap<u32, Answer>,
    /// Commands of a profile package until this one give no data; this one gives the result.
    result_at: usize,
    loaded: usize,
    notifications: Vec<(NotificationMetadata, Vec<u8>)>,
    /// While set, nothing is answered on the channel.
    channel_lost: bool,
    /// All requests, whole.
    requests: Rc<RefCell<Vec<Vec<u8>>>>,
}

const LOAD_RESULT: u32 = bpp::TAG_BOUND_PROFILE_PACKAGE;

fn name_of(tag: u32) -> &'static str {
    match tag {
        0xBF20 => "GetEUICCInfo1",
        0xBF2E => "GetEUICCChallenge",
        0xBF38 => "AuthenticateServer",
        0xBF43 => "GetRAT",
        0xBF21 => "PrepareDownload",
        0xBF41 => "CancelSession",
        0xBF28 => "ListNotification",
        0xBF2B => "RetrieveNotificationsList",
        0xBF30 => "RemoveNotificationFromList",
        0xBF3C => "GetEuiccConfiguredAddresses",
        0xBF2D => "GetProfilesInfo",
        0xBF31 => "EnableProfile",
        0xBF32 => "DisableProfile",
        0xBF33 => "DeleteProfile",
        0xBF29 => "SetNickname",
        _ => "another function",
    }
}

impl FakeCard {
    fn answer(&mut self, request: &[u8]) -> Answer {
        let is_package = request.starts_with(&[0xBF, 0x36]) || matches!(request[0], 0xA0..=0xA3 | 0x86..=0x88);
        if is_package {
            self.loaded += 1;
            return if self.loaded == self.result_at {
                self.journal.write(format!("card: package, result after {} commands", self.loaded));
                self.answers[&LOAD_RESULT].clone()
            } else {
                Answer::Data(Vec::new())
            };
        }
        let tlv = Tlv::parse_exact(request).unwrap();
        let tag = tlv.tag().0;
        let mut line = format!("card: {}", name_of(tag));
        match tag {
            0xBF41 => line += &format!(" {}", CancelSessionRequest::parse(request).unwrap().reason),
            0xBF30 => line += &format!(" {}", parse_remove_request(request).unwrap()),
            0xBF21 => {
                if let Some(hash) = PrepareDownloadRequest::parse(request).unwrap().hash_cc {
                    line += &format!(" with code {}", rsp::ids::to_hex(&hash));
                }
            }
            _ => {}
        }
        self.journal.write(line);
        if let Some(answer) = self.answers.get(&tag) {
            return answer.clone();
        }
        match tag {
            0xBF28 => Answer::Data(encode_list_response(self.notifications.iter().map(|(metadata, _)| metadata))),
            0xBF2B => {
                let number = tlv.reader().require(0xA0).unwrap().reader().require(0x80).unwrap().as_u32().unwrap();
                let found = self.notifications.iter().filter(|(metadata, _)| metadata.sequence_number == number);
                Answer::Data(encode_retrieve_response(found.map(|(_, bytes)| &bytes[..])))
            }
            0xBF30 => {
                let number = parse_remove_request(request).unwrap();
                self.notifications.retain(|(metadata, _)| metadata.sequence_number != number);
                Answer::Data(encode_remove_response(RemoveNotificationResult::Ok))
            }
            _ => Answer::Status(0x6A88),
        }
    }
}

impl ApduLink for FakeCard {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, LinkError> {
        assert_eq!(apdu[..2], [0x80, 0xE2]);
        assert_eq!(usize::from(apdu[4]), apdu.len() - 5);
        if self.channel_lost {
            return Ok(vec![0x68, 0x81]);
        }
        self.chain.extend_from_slice(&apdu[5..]);
        if apdu[2] == 0x11 {
            return Ok(vec![0x90, 0x00]);
        }
        let request = std::mem::take(&mut self.chain);
        self.requests.borrow_mut().push(request.clone());
        match self.answer(&request) {
            Answer::Data(mut data) => {
                data.extend_from_slice(&[0x90, 0x00]);
                Ok(data)
            }
            Answer::Status(status_word) => Ok(status_word.to_be_bytes().to_vec()),
            Answer::Silence => {
                Err(LinkError::Timeout { command: "AT+CGLA".to_owned(), after: std::time::Duration::from_secs(120) })
            }
        }
    }

    fn reopen(&mut self) -> Result<(), LinkError> {
        self.journal.write("card: channel opened anew");
        self.channel_lost = false;
        Ok(())
    }

    fn device_imei(&mut self) -> Option<Imei> {
        "356938035643809".parse().ok()
    }
}

struct FakeServer {
    journal: Journal,
    /// By function.
    answers: BTreeMap<&'static str, Result<(u32, Value), u32>>,
    /// All requests.
    requests: Rc<RefCell<Vec<Value>>>,
}

impl Http for FakeServer {
    fn post(&mut self, url: &str, _: &[(&str, &str)], body: &[u8]) -> Result<HttpReply, HttpError> {
        let (server, function) = url.strip_prefix("https://").unwrap().split_once("/gsma/rsp2/es9plus/").unwrap();
        let body: Value = serde_json::from_slice(body).unwrap();
        let mut line = format!("{server}: {function}");
        if let Some(notification) = body.get("pendingNotification").and_then(Value::as_str) {
            line += &format!(" ({} bytes)", STANDARD.decode(notification).unwrap().len());
        }
        self.journal.write(line);
        self.requests.borrow_mut().push(body);
        match self.answers.get(function) {
            Some(Ok((status, body))) => {
                let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
                Ok(HttpReply { status: *status, body })
            }
            Some(Err(curl)) => {
                Err(HttpError { curl: Some(*curl), message: format!("network (curl {curl})"), hint: None })
            }
            None => Ok(HttpReply { status: 204, body: Vec::new() }),
        }
    }
}

fn transaction_id() -> TransactionId {
    TransactionId::from_bytes(&std::array::from_fn::<u8, 16, _>(|index| index as u8)).unwrap()
}

fn iccid() -> Iccid {
    Iccid::parse("8988247000111763810").unwrap()
}

fn metadata() -> StoreMetadata {
    StoreMetadata {
        iccid: iccid(),
        service_provider_name: "Transatel".to_owned(),
        profile_name: "TSL_0131".to_owned(),
        icon_type: None,
        icon: None,
        profile_class: ProfileClass::Operational,
        notification_configuration: Vec::new(),
        profile_owner: Some(OperatorId { mcc_mnc: [0x42, 0xF6, 0x18], gid1: None, gid2: None }),
        profile_policy_rules: None,
    }
}

fn notification(number: u32, event: NotificationEvent, address: &str) -> NotificationMetadata {
    NotificationMetadata {
        sequence_number: number,
        events: event.as_bits(),
        address: address.to_owned(),
        iccid: Some(iccid()),
    }
}

fn result(final_result: FinalResult) -> Vec<u8> {
    let data = ProfileInstallationResultData {
        transaction_id: transaction_id(),
        notification: notification(5, NotificationEvent::Install, SERVER),
        smdp_oid: Some(Oid::parse("2.999.10").unwrap()),
        final_result,
    };
    ProfileInstallationResult::encode(&data.encode(), &[3; 64])
}

fn package(metadata: &StoreMetadata) -> Vec<u8> {
    let sealed = |tag: u32, data: &[u8]| tlv::encode(tag, &[data, &[0xEE; 8]].concat());
    bpp::encode_bound_profile_package(
        &[0xBF, 0x23, 0x00],
        &sealed(0x87, &[1; 16]),
        &[sealed(0x88, &metadata.encode())],
        None,
        &[sealed(0x86, &[2; 1008]), sealed(0x86, &[2; 64])],
    )
}

fn success(fields: Value) -> Result<(u32, Value), u32> {
    let mut body = json!({"header": {"functionExecutionStatus": {"status": "Executed-Success"}}});
    body.as_object_mut().unwrap().append(&mut fields.as_object().unwrap().clone());
    Ok((200, body))
}

fn refused(subject: &str, reason: &str) -> Result<(u32, Value), u32> {
    Ok((200, serde_json::from_str(&crate::es9::tests::failed(subject, reason)).unwrap()))
}

fn initiate_answer(address: &str) -> Result<(u32, Value), u32> {
    let signed = ServerSigned1 {
        transaction_id: transaction_id(),
        euicc_challenge: [9; 16],
        server_address: address.to_owned(),
        server_challenge: [8; 16],
    };
    success(json!({
        "transactionId": transaction_id().to_string(),
        "serverSigned1": STANDARD.encode(signed.encode()),
        "serverSignature1": STANDARD.encode(tlv::encode(0x5F37u32, &[1; 64])),
        "euiccCiPKIdToBeUsed": STANDARD.encode(tlv::encode(0x04u32, &[2; 20])),
        "serverCertificate": STANDARD.encode(tlv::encode(0x30u32, &[])),
    }))
}

fn client_answer(metadata: &StoreMetadata, cc_required: bool) -> Result<(u32, Value), u32> {
    let signed = SmdpSigned2 { transaction_id: transaction_id(), cc_required, bpp_euicc_otpk: None };
    success(json!({
        "transactionId": transaction_id().to_string(),
        "profileMetadata": STANDARD.encode(metadata.encode()),
        "smdpSigned2": STANDARD.encode(signed.encode()),
        "smdpSignature2": STANDARD.encode(tlv::encode(0x5F37u32, &[1; 64])),
        "smdpCertificate": STANDARD.encode(tlv::encode(0x30u32, &[])),
    }))
}

fn package_answer(package: &[u8]) -> Result<(u32, Value), u32> {
    success(json!({
        "transactionId": transaction_id().to_string(),
        "boundProfilePackage": STANDARD.encode(package),
    }))
}

/// A card and a server with which a download succeeds, to be bent.
struct Bench {
    journal: Journal,
    card: FakeCard,
    server: FakeServer,
}

impl Bench {
    fn new() -> Self {
        let journal = Journal::default();
        let installed = result(FinalResult::Success { aid: Aid::isd_p(0x10), simple_response: vec![0x30, 0] });
        let signed = [&tlv::encode(0x30u32, &[])[..], &tlv::encode(0x5F37u32, &[4; 64])].concat();
        let ok = |tag: u32| Answer::Data(tlv::encode(tag, &tlv::encode(0xA0u32, &signed)));
        let cancelled = rsp::es10::download::EuiccCancelSessionSigned {
            transaction_id: transaction_id(),
            smdp_oid: Oid::parse("2.999.10").unwrap(),
            reason: rsp::es10::download::CancelSessionReason::UndefinedReason,
        };
        let answers = BTreeMap::from([
            (0xBF20, Answer::Data(vec![0xBF, 0x20, 0x00])),
            (0xBF2E, Answer::Data(encode_euicc_challenge(&[9; 16]))),
            (0xBF38, ok(0xBF38)),
            (0xBF21, ok(0xBF21)),
            (0xBF41, Answer::Data(CancelSessionResponse::encode_ok(&cancelled.encode(), &[4; 64]))),
            (LOAD_RESULT, Answer::Data(installed)),
        ]);
        let card = FakeCard {
            journal: journal.clone(),
            chain: Vec::new(),
            answers,
            result_at: 7,
            loaded: 0,
            notifications: Vec::new(),
            channel_lost: false,
            requests: Rc::default(),
        };
        let server = FakeServer {
            journal: journal.clone(),
            answers: BTreeMap::from([
                ("initiateAuthentication", initiate_answer("SMDP.example.com")),
                ("authenticateClient", client_answer(&metadata(), false)),
                ("getBoundProfilePackage", package_answer(&package(&metadata()))),
                ("cancelSession", success(json!({}))),
            ]),
            requests: Rc::default(),
        };
        Bench { journal, card, server }
    }

    fn card(mut self, tag: u32, answer: Answer) -> Self {
        self.card.answers.insert(tag, answer);
        self
    }

    fn server(mut self, function: &'static str, answer: Result<(u32, Value), u32>) -> Self {
        self.server.answers.insert(function, answer);
        self
    }

    fn run<T>(self, operation: impl FnOnce(&mut Lpa<'_, FakeCard, FakeServer>) -> T) -> (T, Journal) {
        let mut report = self.journal.clone();
        let result = operation(&mut Lpa::new(Card::new(self.card, 120), self.server, &mut report));
        (result, self.journal)
    }

    fn download(self, code: &str, confirmation_code: Option<&str>) -> (Outcome<Installed>, Journal) {
        let request = DownloadRequest {
            source: Source::ActivationCode(code.parse().unwrap()),
            confirmation_code: confirmation_code.map(str::to_owned),
            imei: None,
            accept_rules: false,
        };
        self.run(|lpa| lpa.download(&request))
    }

    fn fails(self) -> (Box<Failure>, Journal) {
        let (result, journal) = self.download("1$smdp.example.com$TOKEN", None);
        (result.expect_err("the download fails"), journal)
    }
}

#[test]
fn a_download_step_by_step() {
    let mut bench = Bench::new();
    let older = notification(2, NotificationEvent::Enable, "other.example.com");
    bench.card.notifications.push((older, tlv::encode(0x30u32, &[7; 10])));
    let (installed, journal) = bench.download("LPA:1$smdp.example.com$TOKEN", None);
    let installed = installed.unwrap();
    assert_eq!((installed.iccid, installed.aid), (iccid(), Aid::isd_p(0x10)));
    assert_eq!(installed.deliveries.unwrap().len(), 2);
    insta::assert_snapshot!(journal.text(), @r"
    card: GetEUICCInfo1
    step getEUICCInfo
    card: GetEUICCChallenge
    step getEUICCChallenge
    smdp.example.com: initiateAuthentication
    step initiateAuthentication
    card: AuthenticateServer
    step authenticateServer
    smdp.example.com: authenticateClient
    step authenticateClient
    card: PrepareDownload
    step prepareDownload
    smdp.example.com: getBoundProfilePackage
    step getBoundProfilePackage
    card: package, result after 7 commands
    step loadBoundProfilePackage
    smdp.example.com: handleNotification (163 bytes)
    step handleNotification
    card: RemoveNotificationFromList 5
    step removeNotificationFromList
    card: ListNotification
    step listNotification
    card: RetrieveNotificationsList
    step retrieveNotificationsList
    other.example.com: handleNotification (12 bytes)
    step handleNotification
    card: RemoveNotificationFromList 2
    step removeNotificationFromList
    ");
}

#[test]
fn a_recorded_session_passes_through_unchanged() {
    let file =
        |name: &str| std::fs::read(format!("{}/../../../shared/data/session/{name}", env!("CARGO_MANIFEST_DIR")));
    let names = [
        "initiate-response.der",
        "auth-server-response.der",
        "authenticate-response.der",
        "prepare-download-response.der",
        "bound-profile-package.der",
        "pending-notification.der",
        "euicc-info1.der",
    ];
    let Ok(files) = names.into_iter().map(file).collect::<Result<Vec<_>, _>>() else {
        eprintln!("skipped: the recorded session is not there");
        return;
    };
    let [initiate, authenticated, client, prepared, package, notification, info1] = &files[..] else { unreachable!() };
    let parts = |bytes: &[u8]| {
        let parts: Result<Vec<Tlv<'_>>, _> = Tlv::parse_exact(bytes).unwrap().reader().collect();
        parts.unwrap().iter().map(|part| part.raw().to_vec()).collect::<Vec<_>>()
    };
    let (initiate, client) = (parts(initiate), parts(&parts(client)[0]));
    let id = "0102030405060708090A0B0C0D0E0F10";
    let mut bench = Bench::new()
        .card(0xBF20, Answer::Data(info1.clone()))
        .card(0xBF38, Answer::Data(authenticated.clone()))
        .card(0xBF21, Answer::Data(prepared.clone()))
        .card(LOAD_RESULT, Answer::Data(notification.clone()))
        .server(
            "initiateAuthentication",
            success(json!({
                "transactionId": id,
                "serverSigned1": STANDARD.encode(&initiate[1]),
                "serverSignature1": STANDARD.encode(&initiate[2]),
                "euiccCiPKIdToBeUsed": STANDARD.encode(&initiate[3]),
                "serverCertificate": STANDARD.encode(&initiate[4]),
            })),
        )
        .server(
            "authenticateClient",
            success(json!({
                "transactionId": id,
                "profileMetadata": STANDARD.encode(&client[1]),
                "smdpSigned2": STANDARD.encode(&client[2]),
                "smdpSignature2": STANDARD.encode(&client[3]),
                "smdpCertificate": STANDARD.encode(&client[4]),
            })),
        )
        .server(
            "getBoundProfilePackage",
            success(json!({"transactionId": id, "boundProfilePackage": STANDARD.encode(package)})),
        );
    bench.card.result_at = 6;
    let (to_card, to_server) = (bench.card.requests.clone(), bench.server.requests.clone());
    // The OID is that of the certificate; the card's notification is for the same server.
    let (installed, _) = bench.download("1$smdp.example.com$TOKEN$2.999.10", None);
    assert_eq!(installed.unwrap().iccid.to_string(), "89000123456789012341");

    let to_server = to_server.borrow();
    let sent = |index: usize, field: &str| STANDARD.decode(to_server[index][field].as_str().unwrap()).unwrap();
    assert_eq!(sent(0, "euiccInfo1"), *info1);
    assert_eq!(sent(1, "authenticateServerResponse"), *authenticated);
    assert_eq!(sent(2, "prepareDownloadResponse"), *prepared);
    assert_eq!(sent(3, "pendingNotification"), *notification);
    let to_card = to_card.borrow();
    let inside = |request: &[u8], expected: &[&[u8]]| {
        assert!(Tlv::parse_exact(request).unwrap().value().starts_with(&expected.concat()));
    };
    inside(&to_card[2], &[&initiate[1], &initiate[2], &initiate[3], &initiate[4]]);
    inside(&to_card[3], &[&client[2], &client[3], &client[4]]);
    assert_eq!(to_card[4..10].concat(), *package);
}

#[test]
fn the_server_is_told_what_it_has_to_know() {
    struct Spy(FakeCard, Rc<RefCell<Vec<u8>>>);
    impl ApduLink for Spy {
        fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, LinkError> {
            self.1.borrow_mut().extend_from_slice(&apdu[5..]);
            self.0.transmit(apdu)
        }
        fn reopen(&mut self) -> Result<(), LinkError> {
            self.0.reopen()
        }
        fn device_imei(&mut self) -> Option<Imei> {
            self.0.device_imei()
        }
    }
    let sent = |code: &str, imei: Option<&str>| {
        let bench = Bench::new();
        let bytes = Rc::new(RefCell::new(Vec::new()));
        let mut report = bench.journal.clone();
        let request = DownloadRequest {
            source: Source::ActivationCode(code.parse().unwrap()),
            confirmation_code: None,
            imei: imei.map(|imei| imei.parse().unwrap()),
            accept_rules: false,
        };
        let card = Card::new(Spy(bench.card, bytes.clone()), 120);
        Lpa::new(card, bench.server, &mut report).download(&request).unwrap();
        rsp::ids::to_hex(&bytes.borrow())
    };
    // matchingId, TAC of the modem's IMEI, capabilities; the IMEI itself only when it was given.
    let device = "800453968330A10A81030F000085030F0000";
    assert!(sent("1$smdp.example.com$TOKEN", None).contains(&format!("8005544F4B454EA112{device}")));
    assert!(sent("1$smdp.example.com$", None).contains(&format!("8000A112{device}")));
    let given = sent("1$smdp.example.com$TOKEN", Some("356938035643809"));
    assert!(given.contains(&format!("A11C{device}820853968330653408F9")), "{given}");
}

#[test]
fn the_default_server() {
    let request =
        DownloadRequest { source: Source::DefaultSmdp, confirmation_code: None, imei: None, accept_rules: false };
    let addresses = |default_dp: Option<&str>| {
        let addresses =
            ConfiguredAddresses { default_dp: default_dp.map(str::to_owned), root_ds: "ds.example.com".to_owned() };
        Answer::Data(addresses.encode())
    };
    let (result, _) = Bench::new().card(0xBF3C, addresses(Some(SERVER))).run(|lpa| lpa.download(&request));
    result.unwrap();
    let (result, journal) = Bench::new().card(0xBF3C, addresses(None)).run(|lpa| lpa.download(&request));
    let failure = result.unwrap_err();
    assert!(failure.to_string().contains("no default SM-DP+ address"), "{failure}");
    assert!(failure.hint.as_deref().unwrap().contains("def_svr_addr"));
    assert!(!journal.has(SERVER));
}

#[test]
fn confirmation_codes() {
    // The hash of "12345678" for the transaction id 00..0F, from the known answers.
    let hash = "AB311C0527DB635C7BAC464EFC070D69AFECBBA55A894064B394C56165610EC0";
    let wanting = || Bench::new().server("authenticateClient", client_answer(&metadata(), true));
    let (result, journal) = wanting().download("1$smdp.example.com$TOKEN", Some("12345678"));
    result.unwrap();
    assert!(journal.has(&format!("card: PrepareDownload with code {hash}")));
    // A code that nobody asks for is not told.
    let (result, journal) = Bench::new().download("1$smdp.example.com$TOKEN", Some("12345678"));
    result.unwrap();
    assert!(!journal.has("card: PrepareDownload with code"));

    let (failure, journal) = wanting().fails();
    assert_eq!(failure.step, Step::PrepareDownload);
    assert!(failure.to_string().contains("-C"), "{failure}");
    assert!(journal.has("card: CancelSession postponed (1)") && journal.has("smdp.example.com: cancelSession"));

    // The activation code says so already: nobody is troubled.
    let (result, journal) = Bench::new().download("1$smdp.example.com$TOKEN$$1", None);
    assert_eq!(result.unwrap_err().step, Step::PrepareDownload);
    assert_eq!(journal.text(), "step prepareDownload failed");

    let (failure, journal) = Bench::new().server("getBoundProfilePackage", refused("8.2.7", "3.8")).fails();
    assert_eq!(failure.status().as_deref(), Some("8.2.7/3.8"));
    assert!(journal.has("card: CancelSession postponed (1)"), "the order must survive a slip");
}

#[test]
fn refusals_of_the_server() {
    let (failure, journal) = Bench::new().server("authenticateClient", refused("8.2.6", "3.8")).fails();
    assert_eq!((failure.step, failure.status().as_deref()), (Step::AuthenticateClient, Some("8.2.6/3.8")));
    assert!(journal.has("card: CancelSession undefinedReason (127)") && journal.has("smdp.example.com: cancelSession"));

    let (failure, journal) = Bench::new().server("initiateAuthentication", Ok((503, Value::Null))).fails();
    assert_eq!((failure.step, failure.http), (Step::InitiateAuthentication, Some(503)));
    assert!(!journal.has("card: CancelSession"), "there is no session yet");

    let (failure, journal) = Bench::new().server("getBoundProfilePackage", Err(56)).fails();
    assert_eq!((failure.step, failure.curl), (Step::GetBoundProfilePackage, Some(56)));
    assert!(journal.has("card: CancelSession timeout (2)") && journal.has("smdp.example.com: cancelSession"));

    let (failure, journal) = Bench::new().server("getBoundProfilePackage", Err(7)).fails();
    assert_eq!(failure.curl, Some(7));
    assert!(journal.has("card: CancelSession timeout (2)") && !journal.has("smdp.example.com: cancelSession"));
}

#[test]
fn servers_that_are_not_who_they_should_be() {
    let (failure, journal) = Bench::new().server("initiateAuthentication", initiate_answer("evil.example.com")).fails();
    assert!(failure.to_string().contains("signs for another address"), "{failure}");
    assert!(!journal.has("card: AuthenticateServer"));

    let (result, journal) = Bench::new().download("1$smdp.example.com$TOKEN$2.999.10", None);
    let failure = result.unwrap_err();
    assert_eq!(failure.step, Step::InitiateAuthentication);
    assert!(!journal.has("card: AuthenticateServer"), "a certificate without the OID: {failure}");
}

#[test]
fn an_oid_of_the_activation_code_is_compared() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/sgp26/DPauth/CERT_S_SM_DPauth_ECDSA_NIST.der");
    let Ok(certificate) = std::fs::read(path) else {
        eprintln!("skipped: {path} is not there");
        return;
    };
    let with_certificate = || {
        let Ok((status, mut body)) = initiate_answer(SERVER) else { unreachable!() };
        body["serverCertificate"] = STANDARD.encode(&certificate).into();
        Bench::new().server("initiateAuthentication", Ok((status, body)))
    };
    with_certificate().download("1$smdp.example.com$TOKEN$2.999.10", None).0.unwrap();
    let failure = with_certificate().download("1$smdp.example.com$TOKEN$2.999.12", None).0.unwrap_err();
    assert_eq!(
        failure.message,
        "the activation code is for the SM-DP+ 2.999.12, but smdp.example.com has the OID 2.999.10"
    );
}

#[test]
fn refusals_of_the_card() {
    let answer = AuthenticateServerResponse::encode_error(&transaction_id(), AuthenticateErrorCode::InvalidCertificate);
    let (failure, journal) = Bench::new().card(0xBF38, Answer::Data(answer)).fails();
    assert_eq!((failure.step, failure.euicc.unwrap().reason), (Step::AuthenticateServer, Some(1)));
    assert!(!journal.has("smdp.example.com: authenticateClient") && !journal.has("card: CancelSession"));

    let answer = PrepareDownloadResponse::encode_error(&transaction_id(), DownloadErrorCode::InvalidSignature);
    let (failure, journal) = Bench::new().card(0xBF21, Answer::Data(answer)).fails();
    assert_eq!((failure.step, failure.euicc.unwrap().reason), (Step::PrepareDownload, Some(2)));
    assert!(journal.has("card: CancelSession undefinedReason (127)") && journal.has("smdp.example.com: cancelSession"));
}

#[test]
fn packages_that_are_not_what_they_should_be() {
    let mut other = metadata();
    other.profile_name = "Another".to_owned();
    let (failure, journal) = Bench::new().server("getBoundProfilePackage", package_answer(&package(&other))).fails();
    assert!(failure.to_string().contains("not the one that was announced"), "{failure}");
    assert!(journal.has("card: CancelSession metadataMismatch (4)") && !journal.has("card: package"));

    let broken = &package(&metadata())[..100];
    let (failure, journal) = Bench::new().server("getBoundProfilePackage", package_answer(broken)).fails();
    assert!(failure.to_string().contains("is broken"), "{failure}");
    assert!(journal.has("card: CancelSession loadBppExecutionError (5)"));
}

#[test]
fn installations_that_fail() {
    let error = |command, reason| {
        let bytes = result(FinalResult::Error { command, reason, simple_response: None });
        let mut bench = Bench::new().card(LOAD_RESULT, Answer::Data(bytes));
        // The result comes in the middle: nothing may follow it.
        bench.card.result_at = 4;
        bench.fails()
    };
    let (failure, journal) =
        error(BppCommandId::StoreMetadata, ErrorReason::InstallFailedDueToIccidAlreadyExistsOnEuicc);
    assert_eq!(
        failure.message,
        "the same profile (ICCID 8988247000111763810) is installed already: the eUICC ended storeMetadata (2) with \
         installFailedDueToIccidAlreadyExistsOnEuicc (9)"
    );
    assert!(failure.hint.as_deref().unwrap().contains("--list"));
    let euicc = failure.euicc.unwrap();
    assert_eq!((euicc.function, euicc.command, euicc.reason), ("LoadBoundProfilePackage", Some(2), Some(9)));
    // The server is told by the result; the session has ended with it.
    assert!(journal.has("smdp.example.com: handleNotification") && journal.has("card: RemoveNotificationFromList 5"));
    assert!(!journal.has("card: CancelSession"));

    let (failure, _) = error(BppCommandId::LoadProfileElements, ErrorReason::Scp03tSecurityError);
    assert!(failure.message.starts_with("there is a problem with the profile package"), "{failure}");
}

#[test]
fn cards_that_break_off() {
    let (failure, journal) = Bench::new().card(LOAD_RESULT, Answer::Status(0x6A80)).fails();
    assert_eq!(failure.euicc.as_ref().unwrap().status_word, Some(0x6A80));
    assert!(journal.has("card: CancelSession loadBppExecutionError (5)"));

    let (failure, journal) = Bench::new().card(LOAD_RESULT, Answer::Data(Vec::new())).fails();
    assert!(failure.to_string().contains("missing element BF37"), "{failure}");
    assert!(journal.has("card: CancelSession loadBppExecutionError (5)"));

    let (failure, journal) = Bench::new().card(LOAD_RESULT, Answer::Silence).fails();
    assert_eq!(failure.message, "no answer to AT+CGLA within 120 s");
    assert!(!journal.has("card: CancelSession"), "nobody would answer");
}

#[test]
fn policy_rules_need_permission() {
    let mut ruled = metadata();
    ruled.profile_policy_rules = Some(NamedBits::of(&[1]));
    let bench = |rules: &[AuthorisationRule]| {
        Bench::new()
            .server("authenticateClient", client_answer(&ruled, false))
            .server("getBoundProfilePackage", package_answer(&package(&ruled)))
            .card(0xBF43, Answer::Data(encode_rat(rules)))
    };
    let rule = |mcc_mnc, consent_required| AuthorisationRule {
        ppr_ids: NamedBits::of(&[1, 2]),
        allowed_operators: vec![OperatorId { mcc_mnc, gid1: None, gid2: None }],
        consent_required,
    };
    bench(&[rule([0x42, 0xF6, 0x18], false)]).download("1$smdp.example.com$TOKEN", None).0.unwrap();
    // MCC 246 with any MNC digit.
    bench(&[rule([0x42, 0xE6, 0xEE], false)]).download("1$smdp.example.com$TOKEN", None).0.unwrap();
    for rules in [&[][..], &[rule([0x42, 0xF6, 0x28], false)]] {
        let (failure, journal) = bench(rules).fails();
        assert_eq!(failure.step, Step::CheckMetadata);
        assert!(journal.has("card: CancelSession pprNotAllowed (3)") && journal.has("smdp.example.com: cancelSession"));
    }
    let (failure, journal) = bench(&[rule([0xEE; 3], true)]).fails();
    assert!(failure.to_string().contains("--accept-rules"), "{failure}");
    assert!(journal.has("card: CancelSession postponed (1)"));
    let request = DownloadRequest {
        source: Source::ActivationCode("1$smdp.example.com$TOKEN".parse().unwrap()),
        confirmation_code: None,
        imei: None,
        accept_rules: true,
    };
    bench(&[rule([0xEE; 3], true)]).run(|lpa| lpa.download(&request)).0.unwrap();
}

#[test]
fn an_installed_profile_stays_installed_when_the_server_cannot_be_told() {
    let (installed, journal) =
        Bench::new().server("handleNotification", Err(7)).download("1$smdp.example.com$TOKEN", None);
    let deliveries = installed.unwrap().deliveries.unwrap();
    assert_eq!(deliveries[0].failure.as_ref().unwrap().curl, Some(7));
    assert!(!journal.has("card: RemoveNotificationFromList"));
}

fn profile(number: u16, state: ProfileState) -> ProfileInfo {
    let iccid = Iccid::parse(&format!("898824700011176380{number}")).unwrap();
    ProfileInfo {
        iccid: Some(iccid),
        isdp_aid: Some(Aid::isd_p(0x10 + number)),
        state: Some(state),
        ..ProfileInfo::default()
    }
}

fn with_profiles() -> Bench {
    let list = [profile(1, ProfileState::Enabled), profile(2, ProfileState::Disabled)];
    Bench::new().card(0xBF2D, Answer::Data(encode_profiles_info_response(&list)))
}

#[test]
fn profiles_are_found_by_number_iccid_and_aid() {
    for reference in ["2", "8988247000111763802", "A0000005591010FFFFFFFF8900001200"] {
        let bench = with_profiles().card(0xBF29, Answer::Data(encode_result(0xBF29, 0)));
        let (named, _) = bench.run(|lpa| lpa.set_nickname(&reference.parse().unwrap(), "Büro"));
        assert_eq!(named.unwrap().iccid.unwrap().to_string(), "8988247000111763802");
    }
    let (result, _) = with_profiles().run(|lpa| lpa.enable(&ProfileRef::Number(3), true));
    assert_eq!(result.unwrap_err().message, "there is no profile 3: the eUICC has 2 profiles");
    let (result, journal) = with_profiles().run(|lpa| lpa.set_nickname(&ProfileRef::Number(1), &"x".repeat(65)));
    assert!(result.unwrap_err().message.contains("65 bytes"));
    assert!(!journal.has("card:"));
}

#[test]
fn revocation_lists_are_loaded() {
    use rsp::cert::RevocationList;
    use rsp::es10::crl::{LoadCrlErrorCode, LoadCrlResponse};
    // Made with OpenSSL, number 5.
    let pem = include_str!("../../rsp/src/cert/known_crl.pem");
    let list = RevocationList::from_pem_or_der(pem.as_bytes()).unwrap();
    let load = |answer: Answer| Bench::new().card(0xBF35, answer).run(|lpa| lpa.load_crl(&list)).0;
    let answer = |response: LoadCrlResponse| Answer::Data(response.encode());
    assert!(load(answer(LoadCrlResponse::Ok { missing_parts: vec![] })).unwrap().is_empty());
    assert_eq!(load(answer(LoadCrlResponse::Ok { missing_parts: vec![2, 3] })).unwrap(), [2, 3]);
    let failure = load(answer(LoadCrlResponse::Error(LoadCrlErrorCode::FresherCrlAlreadyLoaded))).unwrap_err();
    assert!(failure.to_string().contains("fresherCrlAlreadyLoaded (5)"), "{failure}");
    let failure = load(Answer::Status(0x6A88)).unwrap_err();
    assert!(failure.to_string().ends_with("hint: this eUICC takes no revocation lists, as most of them"), "{failure}");
}

#[test]
fn deleting_tells_the_server() {
    let delete = |network: Result<(u32, Value), u32>| {
        let mut bench =
            with_profiles().card(0xBF33, Answer::Data(encode_result(0xBF33, 0))).server("handleNotification", network);
        let mut told = notification(9, NotificationEvent::Delete, SERVER);
        told.iccid = profile(2, ProfileState::Disabled).iccid;
        bench.card.notifications.push((told, tlv::encode(0x30u32, &[7; 10])));
        bench.run(|lpa| lpa.delete(&ProfileRef::Number(2)))
    };
    let (changed, journal) = delete(Ok((204, Value::Null)));
    assert!(changed.unwrap().is_notified(NotificationEvent::Delete));
    insta::assert_snapshot!(journal.text(), @r"
    card: GetProfilesInfo
    step getProfilesInfo
    card: DeleteProfile
    step deleteProfile
    card: ListNotification
    step listNotification
    card: RetrieveNotificationsList
    step retrieveNotificationsList
    smdp.example.com: handleNotification (12 bytes)
    step handleNotification
    card: RemoveNotificationFromList 9
    step removeNotificationFromList
    ");

    let (changed, journal) = delete(Err(6));
    let changed = changed.unwrap();
    assert!(!changed.is_notified(NotificationEvent::Delete));
    assert_eq!(changed.left()[0].curl, Some(6));
    assert!(!journal.has("card: RemoveNotificationFromList"));
}

#[test]
fn an_enabled_profile_is_not_deleted() {
    let (result, journal) = with_profiles().run(|lpa| lpa.delete(&ProfileRef::Number(1)));
    let failure = result.unwrap_err();
    assert_eq!(failure.message, "profile 8988247000111763801 is enabled and is not deleted");
    assert_eq!(failure.hint.as_deref(), Some("disable it first: --disable 1"));
    assert!(!journal.has("card: DeleteProfile"));
}

#[test]
fn a_card_that_was_reset_by_the_switch_is_opened_anew() {
    struct Resetting(FakeCard);
    impl ApduLink for Resetting {
        fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, LinkError> {
            let answer = self.0.transmit(apdu)?;
            if apdu[5..7] == [0xBF, 0x31] {
                // REFRESH: the channel goes with the reset.
                self.0.channel_lost = true;
            }
            Ok(answer)
        }
        fn reopen(&mut self) -> Result<(), LinkError> {
            self.0.reopen()
        }
    }
    let mut bench = with_profiles().card(0xBF31, Answer::Data(encode_result(0xBF31, 0)));
    let enabled = notification(4, NotificationEvent::Enable, SERVER);
    bench.card.notifications.push((enabled, tlv::encode(0x30u32, &[7; 10])));
    let mut report = bench.journal.clone();
    let mut lpa = Lpa::new(Card::new(Resetting(bench.card), 120), bench.server, &mut report);
    let changed = lpa.enable(&ProfileRef::Number(2), true).unwrap();
    assert!(changed.left().is_empty());
    assert!(
        bench.journal.has("card: channel opened anew") && bench.journal.has("smdp.example.com: handleNotification")
    );
}

#[test]
fn one_unreachable_server_does_not_hold_up_the_others() {
    struct Selective(FakeServer);
    impl Http for Selective {
        fn post(&mut self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<HttpReply, HttpError> {
            if url.contains("gone.example.com") {
                self.0.journal.write("gone.example.com: tried");
                return Err(HttpError { curl: Some(6), message: "cannot resolve (curl 6)".to_owned(), hint: None });
            }
            self.0.post(url, headers, body)
        }
    }
    let mut bench = Bench::new();
    for (number, address) in [(1, "gone.example.com"), (2, "gone.example.com"), (3, "no address"), (4, SERVER)] {
        let metadata = notification(number, NotificationEvent::Install, address);
        bench.card.notifications.push((metadata, tlv::encode(0x30u32, &[7; 10])));
    }
    let mut report = bench.journal.clone();
    let mut lpa = Lpa::new(Card::new(bench.card, 120), Selective(bench.server), &mut report);
    let deliveries = lpa.send_notifications().unwrap();
    let sent: Vec<bool> = deliveries.iter().map(|delivery| delivery.failure.is_none()).collect();
    assert_eq!(sent, [false, false, false, true]);
    assert_eq!(bench.journal.text().matches("gone.example.com: tried").count(), 1);
}
