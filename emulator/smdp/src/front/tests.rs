use std::io::{Read, Write};
use std::net::TcpStream as StdStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use openssl::ssl::{HandshakeError, SslConnector, SslMethod, SslStream as BlockingStream, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use proptest::prelude::*;
use rsp::crypto::Curve;
use rsp::es10::notification::NotificationEvent;
use serde_json::{Value, json};

use super::*;
use crate::order::OrderState;
use crate::server::{Answer, AuthenticateClientOk, BoundProfilePackageOk, InitiateAuthenticationOk};
use crate::testing::*;

mod conformance;
mod conformance_ds;
mod fuzz;
mod peers;
mod traffic;

/// What an observer was told, as lines.
#[derive(Default)]
struct Notebook {
    lines: Mutex<Vec<String>>,
    handshakes_failed: AtomicUsize,
}

impl Notebook {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }

    fn note(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }
}

impl Observer for Notebook {
    fn exchange(&self, exchange: &Exchange) {
        let name = exchange.function.map_or("unknown", Function::name);
        let status = exchange.http_status.map_or("no response".to_owned(), |status| status.to_string());
        let refused = exchange.refused.as_ref().map_or(String::new(), |r| format!(" {}/{}", r.subject, r.reason));
        self.note(format!("{name} {status}{refused}"));
    }

    fn fault(&self, fault: &FaultFired) {
        self.note(format!("fault: {}", fault.action));
    }

    fn handshake_failed(&self, _: &str) {
        self.handshakes_failed.fetch_add(1, Ordering::SeqCst);
    }

    fn event(&self, event: &crate::server::SmdpEvent) {
        if let crate::server::SmdpEventKind::OrderMoved { from, to, .. } = &event.kind {
            self.note(format!("order: {from} to {to}"));
        }
    }
}

/// A front with a runtime of its own, on a port of its own.
struct Lab {
    server: Option<Server>,
    notebook: Arc<Notebook>,
    curve: Curve,
    runtime: tokio::runtime::Runtime,
}

impl Lab {
    fn start(curve: Curve, faults: Vec<Fault>) -> Self {
        let tls = identity(pki().tls(curve).unwrap());
        Lab::serving(curve, smdp_with_order(), &tls, |options| options.faults = faults)
    }

    fn serving(curve: Curve, smdp: Smdp, tls: &Identity, change: impl FnOnce(&mut Options)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let notebook = Arc::new(Notebook::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let smdp = Arc::new(Mutex::new(smdp));
        let mut options = Options {
            clock: Arc::new(|| NOW),
            observer: notebook.clone(),
            body_limit: 64 * 1024,
            ..Options::default()
        };
        change(&mut options);
        let server = {
            let _entered = runtime.enter();
            Server::start(listener, smdp, tls, options).unwrap()
        };
        Lab { server: Some(server), notebook, curve, runtime }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn tcp(&self) -> StdStream {
        let stream = StdStream::connect(self.server().address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn handshake(&self, highest: SslVersion) -> Result<Client, HandshakeError<StdStream>> {
        let builder = connector(pki().ci(self.curve).unwrap(), highest);
        builder.build().connect("localhost", self.tcp()).map(|stream| Client { stream })
    }

    fn connect(&self) -> Client {
        self.handshake(SslVersion::TLS1_3).unwrap()
    }
}

/// A client that trusts a CI.
fn connector(ci: &Certificate, highest: SslVersion) -> openssl::ssl::SslConnectorBuilder {
    let mut store = X509StoreBuilder::new().unwrap();
    store.add_cert(X509::from_der(ci.der()).unwrap()).unwrap();
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_cert_store(store.build());
    builder.verify_param_mut().set_time(NOW);
    builder.set_max_proto_version(Some(highest)).unwrap();
    builder.set_groups_list("brainpoolP256r1:P-256").unwrap();
    builder
}

#[derive(Debug)]
struct Client {
    stream: BlockingStream<StdStream>,
}

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn codes(&self) -> String {
        let json = self.json();
        let status = &json["header"]["functionExecutionStatus"];
        assert_eq!(status["status"], "Failed");
        let text = |name: &str| status["statusCodeData"][name].as_str().unwrap().to_owned();
        format!("{}/{}", text("subjectCode"), text("reasonCode"))
    }

    fn binary(&self, name: &str) -> Vec<u8> {
        BASE64_STANDARD.decode(self.json()[name].as_str().unwrap()).unwrap()
    }

    fn transaction_id(&self) -> rsp::TransactionId {
        rsp::TransactionId::parse(self.json()["transactionId"].as_str().unwrap()).unwrap()
    }
}

impl Client {
    /// Sends a request as it is and reads the response; `None` when the connection ends instead.
    fn raw(&mut self, request: &[u8]) -> Option<Reply> {
        self.stream.write_all(request).ok()?;
        let mut received = Vec::new();
        let mut piece = [0; 4096];
        let (head, rest) = loop {
            match self.stream.read(&mut piece) {
                Ok(0) | Err(_) => return None,
                Ok(count) => received.extend_from_slice(&piece[..count]),
            }
            if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                let body = received.split_off(end + 4);
                break (String::from_utf8(received).unwrap().to_lowercase(), body);
            }
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        let mut body = rest;
        while body.len() < length {
            let count = self.stream.read(&mut piece).ok().filter(|count| *count > 0)?;
            body.extend_from_slice(&piece[..count]);
        }
        Some(Reply { status: head[9..12].parse().unwrap(), head, body })
    }

    fn post_with(&mut self, path: &str, headers: &str, body: &[u8]) -> Option<Reply> {
        let length = body.len();
        let request = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        self.raw(&request)
    }

    fn post(&mut self, function: &str, body: &[u8]) -> Option<Reply> {
        let headers =
            "User-Agent: gsma-rsp-lpad\r\nX-Admin-Protocol: gsma/rsp/v2.2.0\r\nContent-Type: application/json\r\n";
        self.post_with(&format!("/gsma/rsp2/es9plus/{function}"), headers, body)
    }

    fn call(&mut self, function: &str, body: Value) -> Reply {
        self.post(function, body.to_string().as_bytes()).unwrap()
    }

    fn initiate(&mut self, card: &Card) -> (Reply, InitiateAuthenticationOk) {
        let reply = self.call(
            "initiateAuthentication",
            json!({
                "euiccChallenge": BASE64_STANDARD.encode(card.challenge),
                "euiccInfo1": BASE64_STANDARD.encode(card.info1()),
                "smdpAddress": ADDRESS,
            }),
        );
        let ok = InitiateAuthenticationOk {
            transaction_id: reply.transaction_id(),
            server_signed1: reply.binary("serverSigned1"),
            server_signature1: reply.binary("serverSignature1"),
            euicc_ci_pkid_to_be_used: reply.binary("euiccCiPKIdToBeUsed"),
            server_certificate: reply.binary("serverCertificate"),
        };
        (reply, ok)
    }

    fn authenticate(&mut self, card: &Card, matching_id: &str) -> Reply {
        let (_, ok) = self.initiate(card);
        self.call(
            "authenticateClient",
            json!({
                "transactionId": ok.transaction_id.to_string(),
                "authenticateServerResponse": BASE64_STANDARD.encode(card.authenticate(&ok, Some(matching_id))),
            }),
        )
    }

    fn download(&mut self, card: &Card) -> (AuthenticateClientOk, BoundProfilePackageOk) {
        let reply = self.authenticate(card, "AC-1");
        let client = AuthenticateClientOk {
            transaction_id: reply.transaction_id(),
            profile_metadata: reply.binary("profileMetadata"),
            smdp_signed2: reply.binary("smdpSigned2"),
            smdp_signature2: reply.binary("smdpSignature2"),
            smdp_certificate: reply.binary("smdpCertificate"),
        };
        let reply = self.call(
            "getBoundProfilePackage",
            json!({
                "transactionId": client.transaction_id.to_string(),
                "prepareDownloadResponse": BASE64_STANDARD.encode(card.prepare(&client, None)),
            }),
        );
        let bound_profile_package = reply.binary("boundProfilePackage");
        (client, BoundProfilePackageOk { transaction_id: reply.transaction_id(), bound_profile_package })
    }
}

#[test]
fn a_session_over_the_wire_on_both_curves() {
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        for highest in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
            let lab = Lab::start(curve, Vec::new());
            let card = Card::on(curve);
            // One connection for all: it is kept alive.
            let mut client = lab.handshake(highest).unwrap();
            let (ok, package) = client.download(&card);
            let (metadata, opened) = card.open(&package, &ok.smdp_certificate);
            assert_eq!((metadata, &opened[..]), (ok.profile_metadata, profile().package()));
            let result = card.installation(&package.transaction_id, profile().iccid(), false);
            let notification = json!({ "pendingNotification": BASE64_STANDARD.encode(result) });
            let reply = client.call("handleNotification", notification);
            assert_eq!((reply.status, reply.body.len()), (204, 0));
            let enabled = card.other(2, NotificationEvent::Enable, profile().iccid());
            // Base64 without padding is taken too.
            let unpadded = BASE64_STANDARD.encode(enabled).trim_end_matches('=').to_owned();
            assert_eq!(client.call("handleNotification", json!({ "pendingNotification": unpadded })).status, 204);
            let reply = client.authenticate(&card, "AC-1");
            assert_eq!((reply.status, reply.codes()), (200, "8.2.6/3.8".to_owned()));
            insta::allow_duplicates! {
                insta::assert_snapshot!(lab.notebook.take().join("\n"), @r"
                initiateAuthentication 200
                authenticateClient 200
                order: released to downloaded
                getBoundProfilePackage 200
                order: downloaded to installed
                handleNotification 204
                handleNotification 204
                initiateAuthentication 200
                authenticateClient 200 8.2.6/3.8
                ");
            }
        }
    }
}

#[test]
fn responses_are_formed_as_the_specification_says() {
    let lab = Lab::start(Curve::P256, Vec::new());
    let mut client = lab.connect();
    let (reply, _) = client.initiate(&Card::on(Curve::P256));
    assert!(reply.head.starts_with("http/1.1 200 ok\r\n"), "{}", reply.head);
    assert!(reply.head.contains("x-admin-protocol: gsma/rsp/v2.5.0\r\n"));
    assert!(reply.head.contains("content-type: application/json;charset=utf-8\r\n"));
    let json = reply.json();
    assert_eq!(json["header"]["functionExecutionStatus"]["status"], "Executed-Success");
    let id = json["transactionId"].as_str().unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte)), "{id}");
    assert_eq!(reply.binary("serverSignature1")[..3], [0x5F, 0x37, 0x40]);
    assert_eq!(reply.binary("euiccCiPKIdToBeUsed")[..2], [0x04, 0x14]);
    assert_eq!(reply.binary("serverSigned1")[0], 0x30);
}

#[test]
fn whatever_is_sent_gets_an_answer() {
    let lab = Lab::start(Curve::P256, Vec::new());
    let mut client = lab.connect();
    for (body, expected) in [
        (&b""[..], "1.3.1/2.1"),
        (b"{", "1.3.1/2.1"),
        (b"[]", "1.3.1/2.1"),
        (b"\xFF\xFE", "1.3.1/2.1"),
        (b"{}", "1.3.1/2.2"),
        (br#"{"transactionId":1,"authenticateServerResponse":""}"#, "1.3.1/2.1"),
        (br#"{"transactionId":"00","authenticateServerResponse":"*"}"#, "1.3.1/2.1"),
        (br#"{"transactionId":"00","authenticateServerResponse":""}"#, "8.10.1/3.9"),
    ] {
        let reply = client.post("authenticateClient", body).unwrap();
        assert_eq!((reply.status, &reply.codes()[..]), (200, expected), "{}", String::from_utf8_lossy(body));
    }
    // A notification that cannot be read must not count as delivered.
    let reply = client.post("handleNotification", br#"{"pendingNotification":"MAA="}"#).unwrap();
    assert_eq!((reply.status, reply.codes()), (400, "1.3.1/2.1".to_owned()));
    assert_eq!(client.post("noSuchFunction", b"{}").unwrap().status, 404);
    assert_eq!(client.post_with("/other", "", b"").unwrap().status, 404);
    let get = b"GET /gsma/rsp2/es9plus/authenticateClient HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(client.raw(get).unwrap().status, 405);
    let path = "/gsma/rsp2/es9plus/authenticateClient";
    let json = "Content-Type: application/json;charset=UTF-8\r\n";
    let reply = client.post_with(path, json, b"{}").unwrap();
    assert_eq!(reply.codes(), "1.2.2/2.1");
    for protocol in ["gsma/rsp/v1.0.0", "gsma/rsp/vx", "http", "gsma/rsp/v"] {
        let reply = client.post_with(path, &format!("{json}X-Admin-Protocol: {protocol}\r\n"), b"{}").unwrap();
        assert_eq!(reply.codes(), "1.2.2/2.1", "{protocol}");
    }
    let protocol = "X-Admin-Protocol: gsma/rsp/v3.1.0\r\n";
    assert_eq!(client.post_with(path, &format!("{json}{protocol}"), b"{}").unwrap().codes(), "1.3.1/2.2");
    assert_eq!(client.post_with(path, protocol, b"{}").unwrap().codes(), "1.2.1/2.1");
    let reply = client.post("authenticateClient", &vec![b' '; 65 * 1024]).unwrap();
    assert_eq!(reply.status, 413);
    let mut client = lab.connect();
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{json}{protocol}");
    let chunks = format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n1;a=b\r\n}}\r\n0\r\nX: y\r\n\r\n");
    assert_eq!(client.raw(chunks.as_bytes()).map(|reply| reply.codes()), Some("1.3.1/2.2".to_owned()));
    let no_chunks = format!("{head}Transfer-Encoding: chunked\r\n\r\nnone\r\n");
    assert_eq!(client.raw(no_chunks.as_bytes()).map(|reply| reply.status), Some(400));
    let mut client = lab.connect();
    assert_eq!(client.raw(b"no HTTP at all\r\n\r\n").map(|reply| reply.status), Some(400));
}

#[test]
fn what_does_not_come_holds_nothing() {
    let tls = identity(pki().tls(Curve::P256).unwrap());
    let lab = Lab::serving(Curve::P256, smdp_with_order(), &tls, |options| {
        options.patience = Duration::from_millis(1500);
        options.max_connections = 3;
    });
    // A connection without a request, one whose body does not come, and one without a handshake: all there is room for.
    let mut idle = lab.connect();
    let mut unfinished = lab.connect();
    let head = "POST /gsma/rsp2/es9plus/cancelSession HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{";
    unfinished.stream.write_all(head.as_bytes()).unwrap();
    let _silent = lab.tcp();
    // Each is given up, and makes room for the next.
    assert_eq!(lab.connect().initiate(&Card::on(Curve::P256)).0.status, 200);
    assert_eq!(unfinished.raw(b"").map(|reply| reply.status), Some(408));
    assert_eq!(idle.stream.read(&mut [0; 16]).unwrap_or(0), 0);
}

#[test]
fn handshakes_that_break() {
    for action in [Action::TlsClose, Action::TlsGarbage, Action::TlsAlert(40), Action::TcpClose, Action::TcpReset] {
        let lab = Lab::start(Curve::P256, vec![Fault::once(action.clone())]);
        let error = lab.handshake(SslVersion::TLS1_3).unwrap_err().to_string();
        let expected = match action {
            Action::TlsGarbage => "wrong version number",
            Action::TlsAlert(_) => "handshake failure",
            Action::TcpReset => "reset",
            _ => "EOF",
        };
        assert!(error.contains(expected), "{action}: {error}");
        assert_eq!(lab.notebook.take(), [format!("fault: {action}")]);
        // The next connection is as it should be.
        assert_eq!(lab.connect().initiate(&Card::on(Curve::P256)).0.status, 200);
    }
    // No answer at all: the client waits until it gives up.
    let lab = Lab::start(Curve::P256, vec![Fault::once(Action::TlsHang)]);
    let mut stream = lab.tcp();
    stream.write_all(&[0x16, 0x03, 0x01]).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert!(matches!(stream.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock));
}

#[test]
fn http_that_breaks() {
    let unavailable = Action::HttpStatus { status: 503, body: "try again later".into() };
    let lab = Lab::start(Curve::P256, vec![Fault::once(unavailable).at(Function::AuthenticateClient)]);
    let mut client = lab.connect();
    let card = Card::on(Curve::P256);
    let reply = client.authenticate(&card, "AC-1");
    assert_eq!((reply.status, &reply.body[..]), (503, &b"try again later"[..]));
    assert!(reply.head.contains("content-type: text/plain"));
    assert_eq!(client.authenticate(&card, "AC-1").status, 200);

    lab.server().set_faults(vec![Fault::once(Action::HttpNoReply).from_nth(2)]).unwrap();
    assert_eq!(client.initiate(&card).0.status, 200);
    assert!(client.post("initiateAuthentication", b"{}").is_none());
    assert_eq!(lab.connect().initiate(&card).0.status, 200);
    let told = lab.notebook.take();
    assert!(told.contains(&"fault: HTTP status 503".to_owned()), "{told:?}");
    assert!(told.contains(&"initiateAuthentication no response".to_owned()), "{told:?}");
}

#[test]
fn functions_that_break() {
    let lab = Lab::start(Curve::P256, Vec::new());
    let card = Card::on(Curve::P256);
    let mut client = lab.connect();
    let refused = crate::status::StatusError::new("8.8.5", "4.10", "expired by a fault");
    lab.server().add_fault(Fault::once(Action::Refuse(refused)).at(Function::AuthenticateClient)).unwrap();
    assert_eq!(client.authenticate(&card, "AC-1").codes(), "8.8.5/4.10");

    lab.server().set_faults(vec![Fault::once(Action::BadSignature)]).unwrap();
    let (_, ok) = client.initiate(&card);
    let certificate = rsp::cert::Certificate::parse(&ok.server_certificate).unwrap();
    assert!(!certificate.public_key().verify(&[&ok.server_signed1], &ok.server_signature1[3..]));

    lab.server().set_faults(vec![Fault::once(Action::WrongTransactionId)]).unwrap();
    let (_, ok) = client.initiate(&card);
    let signed = rsp::es10::auth::ServerSigned1::receive(&ok.server_signed1).unwrap();
    assert_ne!(signed.transaction_id, ok.transaction_id);
}

#[test]
fn packages_that_are_tampered_with() {
    let bits = |part| {
        let lab = Lab::start(Curve::P256, Vec::new());
        let card = Card::on(Curve::P256);
        let mut client = lab.connect();
        let (_, sound) = client.download(&card);
        let action = Action::TamperSegment { segment: 2, part };
        lab.server().set_faults(vec![Fault::once(action).at(Function::GetBoundProfilePackage)]).unwrap();
        let (_, broken) = client.download(&card);
        // The same one-time key gives the same segments, so that what differs is the signature and one bit.
        let parts = |package: &BoundProfilePackageOk| {
            let parts = rsp::bpp::BoundProfilePackage::parse(&package.bound_profile_package).unwrap();
            parts.profile_elements.iter().map(|segment| segment.raw().to_vec()).collect::<Vec<_>>()
        };
        let (sound, broken) = (parts(&sound), parts(&broken));
        let mut differing = Vec::new();
        for (number, (sound, broken)) in sound.iter().zip(&broken).enumerate() {
            for (at, (a, b)) in sound.iter().zip(broken).enumerate() {
                if a != b {
                    assert_eq!((a ^ b).count_ones(), 1);
                    differing.push((number + 1, at, sound.len()));
                }
            }
        }
        assert_eq!(differing.len(), 1);
        differing[0]
    };
    let (segment, at, length) = bits(SegmentPart::Mac);
    assert_eq!((segment, at), (2, length - 1));
    let (segment, at, _) = bits(SegmentPart::Data);
    assert!(segment == 2 && at <= 4);
}

#[test]
fn altering_what_is_not_there_changes_nothing() {
    let mut answer = Answer::Cancelled;
    let backend = Backend::Smdp(Arc::new(Mutex::new(smdp())));
    for action in [Action::WrongTransactionId, Action::BadSignature, Action::WrongCertificate, Action::TcpClose] {
        assert!(!action.alter(&mut answer, &backend));
    }
    let transaction_id = rsp::TransactionId::from_bytes(&[1]).unwrap();
    let bound_profile_package = vec![0xBF, 0x36, 0x00];
    let mut answer = Answer::BoundProfilePackage(BoundProfilePackageOk { transaction_id, bound_profile_package });
    let tamper = Action::TamperSegment { segment: 1, part: SegmentPart::Mac };
    assert!(!tamper.alter(&mut answer, &backend) && !Action::BadSignature.alter(&mut answer, &backend));
}

#[test]
fn a_front_that_is_stopped_is_gone() {
    let mut lab = Lab::start(Curve::P256, Vec::new());
    let address = lab.server().address();
    let mut client = lab.connect();
    let smdp = lab.server().smdp().clone();
    assert_eq!(smdp.lock().unwrap().orders()[0].state(), OrderState::Released);
    lab.runtime.block_on(lab.server.take().unwrap().stop());
    assert!(StdStream::connect(address).is_err());
    assert!(client.post("cancelSession", b"{}").is_none());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tls = identity(pki().tls(Curve::P256).unwrap());
    let without_runtime = Server::start(listener, smdp, &tls, Options::default());
    assert!(matches!(without_runtime, Err(StartError::NoRuntime)));
}

/// JSON that comes near to requests.
fn near_requests() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just(json!(null)),
        Just(json!(7)),
        ".{0,20}".prop_map(Value::String),
        proptest::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| json!(BASE64_STANDARD.encode(bytes))),
        Just(json!(ADDRESS)),
        Just(json!(BASE64_STANDARD.encode(Card::on(Curve::P256).info1()))),
        Just(json!(BASE64_STANDARD.encode([1; 16]))),
    ];
    let name = prop::sample::select(vec![
        "transactionId",
        "euiccChallenge",
        "euiccInfo1",
        "smdpAddress",
        "authenticateServerResponse",
        "prepareDownloadResponse",
        "cancelSessionResponse",
        "pendingNotification",
        "other",
    ]);
    let object =
        proptest::collection::hash_map(name, value, 0..9).prop_map(|members| serde_json::to_vec(&members).unwrap());
    prop_oneof![object, proptest::collection::vec(any::<u8>(), 0..60)]
}

proptest! {
    #[test]
    fn any_body_gets_a_status(bodies in proptest::collection::vec((0usize..5, near_requests()), 1..8)) {
        let mut smdp = smdp_with_order();
        for (function, body) in bodies {
            let answer = json::call(&mut smdp, Function::ALL[function], &body, NOW);
            if let Err(status) = &answer {
                prop_assert!(status.subject != "8", "{status}");
            }
            let encoded = json::encode(&answer);
            prop_assert!(encoded.is_some() || matches!(answer, Ok(Answer::Notified(_))));
        }
    }
}
