//! ES2+, ES12 and what TLS has to be, over the wire.

use std::collections::BTreeMap;

use rsp::Iccid;
use rsp::crypto::SeededRandom;

use super::*;
use crate::order::OrderSpec;
use crate::profile::{Profile, ProfileSpec, built_in_named};
use crate::server::ProfileType;
use crate::smds::{DsCredentials, SmdsConfig};

const HEADERS: &str = "X-Admin-Protocol: gsma/rsp/v2.5.0\r\nContent-Type: application/json\r\n";
const OTHER_EID: &str = "89049032000000000000000000000066";

fn header() -> Value {
    json!({ "functionRequesterIdentifier": "2.999.77", "functionCallIdentifier": "1" })
}

fn template() -> ProfileSpec {
    built_in_named("operator-b").unwrap()
}

/// A server with types of profiles, and an inventory.
fn ordering_smdp() -> Smdp {
    let kind =
        |owner: Option<&str>, stock| ProfileType { template: template(), owner: owner.map(str::to_owned), stock };
    let mut config = config(pki());
    config.progress = true;
    config.profile_types = BTreeMap::from([
        ("Basic".to_owned(), kind(None, None)),
        ("Two".to_owned(), kind(None, Some(2))),
        ("Foreign".to_owned(), kind(Some("2.999.78"), None)),
    ]);
    let mut smdp = Smdp::new(config, Box::new(SeededRandom::new(7, "smdp"))).unwrap();
    let inventory = OrderSpec { profile_type: Some("Stock".to_owned()), ..OrderSpec::inventory(profile()) };
    smdp.add_order(inventory, NOW).unwrap();
    let foreign = Profile::build(&built_in_named("test").unwrap()).unwrap();
    let foreign = OrderSpec { owner: Some("2.999.78".to_owned()), ..OrderSpec::inventory(foreign) };
    smdp.add_order(foreign, NOW).unwrap();
    smdp
}

fn ordering_lab(change: impl FnOnce(&mut Options)) -> Lab {
    ordering_lab_on(Curve::P256, change)
}

fn ordering_lab_on(curve: Curve, change: impl FnOnce(&mut Options)) -> Lab {
    let tls = identity(pki().tls(curve).unwrap());
    Lab::serving(curve, ordering_smdp(), &tls, change)
}

impl Client {
    fn peer(&mut self, function: &str, mut body: Value) -> Result<Value, String> {
        body["header"] = header();
        let path = format!("/gsma/rsp2/{function}");
        let reply = self.post_with(&path, HEADERS, body.to_string().as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{function}: {}", String::from_utf8_lossy(&reply.body));
        match reply.json()["header"]["functionExecutionStatus"]["status"].as_str() {
            Some("Executed-Success") => Ok(reply.json()),
            _ => Err(reply.codes()),
        }
    }
}

fn states(lab: &Lab) -> Vec<OrderState> {
    lab.server().smdp().lock().unwrap().orders().iter().map(crate::Order::state).collect()
}

#[test]
fn es2plus_nominal() {
    let lab = ordering_lab(|_| {});
    let mut client = lab.connect();
    // By type: a profile is made. By ICCID: one of the inventory.
    let ordered = client.peer("es2plus/downloadOrder", json!({ "profileType": "Basic" })).unwrap();
    let iccid = ordered["iccid"].as_str().unwrap().to_owned();
    assert_eq!(iccid, Iccid::parse(&template().iccid).unwrap().padded());
    assert_eq!(states(&lab)[2], OrderState::Allocated);
    let confirmed = client.peer("es2plus/confirmOrder", json!({ "iccid": iccid, "releaseFlag": false })).unwrap();
    let matching_id = confirmed["matchingId"].as_str().unwrap().to_owned();
    assert!(rsp::MatchingId::parse(&matching_id).is_ok(), "{matching_id}");
    assert_eq!(confirmed["smdpAddress"], ADDRESS);
    assert_eq!(states(&lab)[2], OrderState::Confirmed);
    let card = Card::on(Curve::P256);
    assert_eq!(client.authenticate(&card, &matching_id).codes(), "8.2/1.2");
    client.peer("es2plus/releaseProfile", json!({ "iccid": iccid })).unwrap();
    assert_eq!(client.authenticate(&card, &matching_id).status, 200);
    assert_eq!(states(&lab)[2], OrderState::Released);
    // Cancelled, it can be ordered again, and its matching id leads nowhere.
    let cancel = json!({
        "iccid": iccid, "matchingId": matching_id, "finalProfileStatusIndicator": "Available",
    });
    client.peer("es2plus/cancelOrder", cancel).unwrap();
    assert_eq!(states(&lab)[2], OrderState::Available);
    assert_eq!(client.authenticate(&card, &matching_id).codes(), "8.2.6/3.8");
    let again = client.peer("es2plus/downloadOrder", json!({ "iccid": iccid, "eid": eid().to_string() })).unwrap();
    assert_eq!(again["iccid"], iccid);
    assert_eq!(states(&lab)[2], OrderState::Linked);
    // The default SM-DP+ use case: an empty matching id.
    let default = json!({ "iccid": iccid, "matchingId": "", "confirmationCode": "77", "releaseFlag": true });
    let confirmed = client.peer("es2plus/confirmOrder", default).unwrap();
    assert_eq!((&confirmed["matchingId"], &confirmed["eid"]), (&json!(""), &json!(eid().to_string())));
    assert_eq!(client.authenticate(&card, "").status, 200);
    let cancel = json!({
        "iccid": iccid, "eid": eid().to_string(), "finalProfileStatusIndicator": "Unavailable",
    });
    client.peer("es2plus/cancelOrder", cancel).unwrap();
    assert_eq!(states(&lab)[2], OrderState::Unavailable);
    // The next of the type is another one.
    let next = client.peer("es2plus/downloadOrder", json!({ "profileType": "Basic" })).unwrap();
    assert_ne!(next["iccid"], iccid);
}

/// A call of ES2+ that is refused.
pub(super) struct Refusal {
    pub(super) function: &'static str,
    pub(super) title: &'static str,
    pub(super) codes: &'static str,
    body: Value,
}

/// The refusals, in three parts between which [`es2plus_refusals`] moves orders on.
pub(super) fn refusals() -> [Vec<Refusal>; 3] {
    const DOWNLOAD: &str = "downloadOrder";
    const CONFIRM: &str = "confirmOrder";
    const RELEASE: &str = "releaseProfile";
    const CANCEL: &str = "cancelOrder";
    let refusal = |function, title, codes, body| Refusal { function, title, codes, body };
    let own = profile().iccid().padded();
    // The first of a type is made as its template says.
    let two = Iccid::parse(&template().iccid).unwrap().padded();
    let foreign = Iccid::parse(&built_in_named("test").unwrap().iccid).unwrap().padded();
    let unknown = "8999909999999999994F";
    let released = |iccid: &str| json!({ "iccid": iccid, "releaseFlag": true });
    let with = |mut body: Value, more: Value| {
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let cancel = json!({ "iccid": own, "finalProfileStatusIndicator": "Available" });
    let of_card = json!({ "eid": eid().to_string(), "matchingId": "M-1" });
    let of_other = json!({ "eid": OTHER_EID, "matchingId": "M-1" });
    let renamed = json!({ "eid": eid().to_string(), "matchingId": "M-2" });
    [
        vec![
            refusal(DOWNLOAD, "neither ICCID nor type", "1.3.1/2.2", json!({})),
            refusal(DOWNLOAD, "an EID that is none", "1.3.1/2.1", json!({ "eid": "1", "profileType": "Basic" })),
            refusal(DOWNLOAD, "a profile of another operator", "8.2.1/1.2", json!({ "iccid": foreign })),
            refusal(DOWNLOAD, "an unknown ICCID", "8.2.1/3.9", json!({ "iccid": unknown })),
            refusal(
                DOWNLOAD,
                "a profile of another type",
                "8.2.5/3.8",
                json!({ "iccid": own, "profileType": "Basic" }),
            ),
            refusal(DOWNLOAD, "a type of another operator", "8.2.5/1.2", json!({ "profileType": "Foreign" })),
            refusal(DOWNLOAD, "an unknown type", "8.2.5/3.9", json!({ "profileType": "None" })),
            refusal(CONFIRM, "a profile that is not ordered", "8.2.1/3.3", released(&own)),
            refusal(RELEASE, "a profile that is not confirmed", "8.2.1/3.5", json!({ "iccid": own })),
            refusal(CANCEL, "a profile that is not ordered", "8.2.1/3.3", cancel.clone()),
        ],
        vec![
            refusal(DOWNLOAD, "a type of which all are taken", "8.2.5/3.7", json!({ "profileType": "Two" })),
            refusal(DOWNLOAD, "a type of which none is in stock", "8.2.5/3.7", json!({ "profileType": "Stock" })),
            refusal(DOWNLOAD, "a profile that is ordered already", "8.2.1/3.3", json!({ "iccid": own })),
            refusal(CONFIRM, "an unknown ICCID", "8.2.1/3.9", released(unknown)),
            refusal(CONFIRM, "a profile of another operator", "8.2.1/1.2", released(&foreign)),
            refusal(CONFIRM, "no releaseFlag", "1.3.1/2.2", json!({ "iccid": own })),
            refusal(
                CONFIRM,
                "an empty matching id without an EID",
                "8.1.1/2.2",
                with(released(&two), json!({ "matchingId": "" })),
            ),
            refusal(
                CONFIRM,
                "another EID than ordered",
                "8.1.1/3.10",
                with(released(&own), json!({ "eid": OTHER_EID })),
            ),
            refusal(
                CONFIRM,
                "an SM-DS that cannot be reached",
                "8.9/5.1",
                with(released(&own), json!({ "smdsAddress": "127.0.0.1:1" })),
            ),
        ],
        vec![
            refusal(
                CONFIRM,
                "a matching id that is in use",
                "8.2.6/3.3",
                with(released(&two), json!({ "matchingId": "M-1" })),
            ),
            refusal(CANCEL, "no EID, where the order has one", "8.1.1/2.2", cancel.clone()),
            refusal(CANCEL, "another EID", "8.2.1/3.10", with(cancel.clone(), of_other)),
            refusal(CANCEL, "another matching id", "8.2.6/3.10", with(cancel.clone(), renamed)),
            refusal(
                CANCEL,
                "a final status that is none",
                "1.3.1/2.1",
                with(of_card, json!({ "iccid": own, "finalProfileStatusIndicator": "Gone" })),
            ),
        ],
    ]
}

#[test]
fn es2plus_refusals() {
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        let lab = ordering_lab_on(curve, |options| options.client.patience = Duration::from_millis(500));
        let mut client = lab.connect();
        let own = profile().iccid().padded();
        for (part, refusals) in refusals().into_iter().enumerate() {
            if part == 1 {
                client.peer("es2plus/downloadOrder", json!({ "iccid": own, "eid": eid().to_string() })).unwrap();
                for _ in 0..2 {
                    client.peer("es2plus/downloadOrder", json!({ "profileType": "Two" })).unwrap();
                }
            } else if part == 2 {
                let body = json!({ "iccid": own, "matchingId": "M-1", "releaseFlag": false });
                client.peer("es2plus/confirmOrder", body).unwrap();
            }
            for Refusal { function, title, codes, body } in refusals {
                let before = states(&lab);
                let came_to = client.peer(&format!("es2plus/{function}"), body).unwrap_err();
                assert_eq!(came_to, codes, "{function}: {title} ({curve})");
                assert_eq!(states(&lab), before, "{function}: {title} has moved an order");
            }
        }
        // Without the header of a caller nothing is done.
        let reply = client.post_with("/gsma/rsp2/es2plus/downloadOrder", HEADERS, b"{}").unwrap();
        assert_eq!(reply.codes(), "1.3.1/2.2");
    }
}

/// An SM-DS of the lab, with a TLS certificate for this machine.
struct Ds {
    server: SmdsServer,
    address: String,
    runtime: tokio::runtime::Runtime,
}

fn client_options() -> ClientOptions {
    let curve = Curve::P256;
    ClientOptions {
        trust: vec![pki().ci(curve).unwrap().clone()],
        identity: Some(identity(pki().tls(curve).unwrap())),
        ..ClientOptions::default()
    }
}

impl Ds {
    fn start(root: Option<String>, change: impl FnOnce(&mut Options)) -> Self {
        let curve = Curve::P256;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let auth = identity(&pki().smds(curve).unwrap().auth);
        let own = DsCredentials { ci: pki().ci(curve).unwrap().clone(), auth };
        let config = SmdsConfig { root, ..SmdsConfig::new(address.clone(), vec![own]) };
        let smds = Smds::new(config, Box::new(SeededRandom::new(7, "smds"))).unwrap();
        let mut options = Options { clock: Arc::new(|| NOW), client: client_options(), ..Options::default() };
        change(&mut options);
        let tls = identity(pki().smds_tls(curve).unwrap());
        let server = {
            let _entered = runtime.enter();
            SmdsServer::start(listener, Arc::new(Mutex::new(smds)), &tls, options).unwrap()
        };
        Ds { server, address, runtime }
    }

    fn events(&self) -> Vec<crate::server::EventEntry> {
        self.server.smds().lock().unwrap().events_of(eid())
    }
}

#[test]
fn events_go_by_the_alternative_sm_ds_to_the_root() {
    let root = Ds::start(None, |_| {});
    let alternative = Ds::start(Some(root.address.clone()), |_| {});
    let lab = ordering_lab(|options| options.client = client_options());
    let mut client = lab.connect();
    let iccid = profile().iccid().padded();
    client.peer("es2plus/downloadOrder", json!({ "iccid": iccid, "eid": eid().to_string() })).unwrap();
    let body = json!({ "iccid": iccid, "smdsAddress": alternative.address, "releaseFlag": true });
    let matching_id = client.peer("es2plus/confirmOrder", body).unwrap()["matchingId"].as_str().unwrap().to_owned();
    let event = |id: &str, address: &str| crate::server::EventEntry {
        event_id: id.to_owned(),
        rsp_server_address: address.to_owned(),
    };
    assert_eq!(alternative.events(), [event(&matching_id, ADDRESS)]);
    // The root knows it under another id, and leads to the alternative one.
    let at_root = root.events();
    assert_eq!((at_root.len(), &at_root[0].rsp_server_address), (1, &alternative.address));
    assert_ne!(at_root[0].event_id, matching_id);

    // The same event twice is refused; so is one that is not there.
    let stream = connector(pki().ci(Curve::P256).unwrap(), SslVersion::TLS1_3)
        .build()
        .connect("127.0.0.1", StdStream::connect(alternative.server.address()).unwrap())
        .unwrap();
    let mut ds = Client { stream };
    let body = json!({
        "eid": eid().to_string(), "rspServerAddress": ADDRESS, "eventId": matching_id, "forwardingIndicator": false,
    });
    assert_eq!(ds.peer("es12/registerEvent", body).unwrap_err(), "8.9.5/3.3");
    let body = json!({ "eid": eid().to_string(), "eventId": "OTHER" });
    assert_eq!(ds.peer("es12/deleteEvent", body).unwrap_err(), "8.9.5/3.9");
    assert_eq!(ds.peer("es12/deleteEvent", json!({ "eid": eid().to_string() })).unwrap_err(), "1.3.1/2.2");

    // With the order goes its event, at both; it is sent after the response.
    let cancel = json!({
        "iccid": iccid, "eid": eid().to_string(), "matchingId": matching_id,
        "finalProfileStatusIndicator": "Unavailable",
    });
    client.peer("es2plus/cancelOrder", cancel).unwrap();
    let began = Instant::now();
    while !(alternative.events().is_empty() && root.events().is_empty()) {
        assert!(began.elapsed() < Duration::from_secs(10), "the event is still there");
        std::thread::yield_now();
    }
    // An SM-DS that refuses: 8.9/4.2, and nothing is kept anywhere.
    drop(root);
    let body = json!({
        "eid": eid().to_string(), "rspServerAddress": ADDRESS, "eventId": "LATE", "forwardingIndicator": true,
    });
    assert_eq!(ds.peer("es12/registerEvent", body).unwrap_err(), "8.9/5.1");
    assert!(alternative.events().is_empty());
    let next = client.peer("es2plus/downloadOrder", json!({ "profileType": "Basic", "eid": eid().to_string() }));
    let iccid = next.unwrap()["iccid"].as_str().unwrap().to_owned();
    let body = json!({ "iccid": iccid, "smdsAddress": alternative.address, "releaseFlag": true });
    assert_eq!(client.peer("es2plus/confirmOrder", body).unwrap_err(), "8.9/4.2");
    drop(alternative.runtime);
}

#[test]
fn what_waits_is_announced_again() {
    let asked = Arc::new(Notebook::default());
    let ds = Ds::start(None, |options| options.observer = asked.clone());
    let lab = ordering_lab(|options| options.client = client_options());
    for (number, id, state) in [
        (100, "WAITS", OrderState::Released),
        (101, "DONE", OrderState::Installed),
        (102, "LATER", OrderState::Confirmed),
    ] {
        let profile = Profile::build(&template().numbered(number)).unwrap();
        let smds = Some(ds.address.clone());
        let order = OrderSpec { eid: Some(eid()), smds, state, ..OrderSpec::new(id, profile) };
        lab.server().smdp().lock().unwrap().add_order(order, NOW).unwrap();
    }
    // However often: an SM-DS that has not forgotten keeps it once.
    for _ in 0..2 {
        lab.runtime.block_on(lab.server().change(|smdp, _| smdp.announce_again())).unwrap();
    }
    let began = Instant::now();
    while asked.lines.lock().unwrap().len() < 2 {
        assert!(began.elapsed() < Duration::from_secs(10), "nothing is announced");
        std::thread::yield_now();
    }
    assert_eq!(asked.take(), ["unknown 200", "unknown 200 8.9.5/3.3"]);
    let ids: Vec<String> = ds.events().into_iter().map(|entry| entry.event_id).collect();
    assert_eq!(ids, ["WAITS"]);
}

/// Takes what is posted to it, and says that it was taken.
fn operator() -> (String, std::sync::mpsc::Receiver<Value>, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    let (sender, receiver) = std::sync::mpsc::channel();
    let tls = identity(pki().tls(Curve::P256).unwrap());
    let acceptor = tls::acceptor(&tls, &[], None).unwrap();
    let thread = std::thread::spawn(move || {
        for _ in 0..4 {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = acceptor.accept(stream).unwrap();
            let mut received = Vec::new();
            let mut piece = [0; 4096];
            loop {
                let count = stream.read(&mut piece).unwrap();
                received.extend_from_slice(&piece[..count]);
                let text = String::from_utf8_lossy(&received).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    assert!(head.starts_with("POST /gsma/rsp2/es2plus/handleDownloadProgressInfo"), "{head}");
                    if let Ok(value) = serde_json::from_str(body) {
                        sender.send(value).unwrap();
                        break;
                    }
                }
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        }
    });
    (address, receiver, thread)
}

#[test]
fn operators_are_told_of_progress() {
    let (address, received, thread) = operator();
    let lab = ordering_lab(|options| {
        options.client = client_options();
        options.operator = Some(address);
    });
    lab.server().smdp().lock().unwrap().add_order(OrderSpec::new("AC-1", profile()), NOW).unwrap();
    let card = Card::on(Curve::P256);
    let mut client = lab.connect();
    let (_, package) = client.download(&card);
    let result = card.installation(&package.transaction_id, profile().iccid(), false);
    client.call("handleNotification", json!({ "pendingNotification": BASE64_STANDARD.encode(result) }));
    for point in 1..=4 {
        let told = received.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(told["notificationPointId"], point);
        assert_eq!(told["notificationPointStatus"]["status"], "Executed-Success");
        assert_eq!(told["iccid"], profile().iccid().padded());
        assert_eq!(told["eid"], eid().to_string());
        assert_eq!(told["timestamp"], "2026-11-20T00:00:00Z");
        assert_eq!(told.get("resultData").is_some(), point == 4);
        assert!(told["header"]["functionCallIdentifier"].is_string());
    }
    thread.join().unwrap();
}

#[test]
fn client_certificates_where_they_are_needed() {
    let curve = Curve::P256;
    let lab = ordering_lab(|options| options.client_ca = vec![pki().ci(curve).unwrap().clone()]);
    // An LPA shows none and is served; ES2+ is not for it.
    let mut client = lab.connect();
    assert_eq!(client.initiate(&Card::on(curve)).0.status, 200);
    let reply = client.post_with("/gsma/rsp2/es2plus/downloadOrder", HEADERS, b"{}").unwrap();
    assert_eq!(reply.status, 403);
    let with = |identity: &Identity| {
        let mut builder = connector(pki().ci(curve).unwrap(), SslVersion::TLS1_2);
        builder.set_certificate(&X509::from_der(identity.certificate.der()).unwrap()).unwrap();
        builder.set_private_key(identity.key.as_pkey()).unwrap();
        builder.build().connect("localhost", lab.tcp()).map(|stream| Client { stream })
    };
    let mut operator = with(&identity(pki().tls(curve).unwrap())).unwrap();
    operator.peer("es2plus/downloadOrder", json!({ "profileType": "Basic" })).unwrap();
    // A certificate of a CI that is not trusted ends the handshake.
    let stranger = pki::Pki::generate(&pki::PkiSpec::default(), &mut SeededRandom::new(3, "strange"), NOW - 1000);
    assert!(with(&identity(stranger.unwrap().tls(curve).unwrap())).is_err());
}

#[test]
fn tls_is_that_of_sgp22() {
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        let lab = Lab::start(curve, Vec::new());
        let with = |change: &dyn Fn(&mut openssl::ssl::SslConnectorBuilder)| {
            let mut builder = connector(pki().ci(curve).unwrap(), SslVersion::TLS1_3);
            change(&mut builder);
            let stream = builder.build().connect("localhost", lab.tcp());
            stream.map(|stream| stream.ssl().current_cipher().map(|cipher| cipher.name().to_owned()))
        };
        // SGP.22 §2.6.6: TLS 1.2 at least, ECDHE-ECDSA with AES.
        for old in [SslVersion::TLS1, SslVersion::TLS1_1] {
            assert!(
                with(&|builder| {
                    builder.set_security_level(0);
                    builder.set_min_proto_version(Some(old)).unwrap();
                    builder.set_max_proto_version(Some(old)).unwrap();
                })
                .is_err(),
                "{old:?}"
            );
        }
        for (suite, taken) in [
            ("ECDHE-ECDSA-AES128-GCM-SHA256", true),
            ("ECDHE-ECDSA-AES128-SHA256", true),
            ("ECDHE-ECDSA-CHACHA20-POLY1305", false),
            ("ECDHE-RSA-AES128-GCM-SHA256", false),
            ("AES128-SHA", false),
        ] {
            let shaken = with(&|builder| {
                builder.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
                builder.set_cipher_list(suite).unwrap();
            });
            assert_eq!(shaken.is_ok(), taken, "{suite}");
            if let Ok(cipher) = shaken {
                assert_eq!(cipher.as_deref(), Some(suite));
            }
        }
    }
}

#[test]
fn handshakes_with_a_flaw() {
    let curve = Curve::P256;
    let mut random = SeededRandom::new(4, "flaws");
    let spec = pki::PkiSpec { curves: vec![curve], ..pki::PkiSpec::default() };
    let other = pki::Pki::generate(&spec, &mut random, NOW - 1000).unwrap();
    let ci = pki().ci_identity(curve).unwrap();
    let key = |random: &mut SeededRandom| rsp::crypto::PrivateKey::generate(curve, random).unwrap();
    let hosts = ["localhost".to_owned()];
    let oid = rsp::Oid::parse("2.999.10").unwrap();
    let expired =
        pki::CertificateSpec { not_after: NOW - 10, ..pki::CertificateSpec::dp_tls(&hosts, &oid, NOW - 1000) };
    let expired = expired.issue(&ci, key(&mut random), &mut random).unwrap();
    let elsewhere = pki().issue_tls(curve, &["elsewhere".to_owned()], &mut random, NOW - 1000).unwrap();
    let flawed = [
        (TlsFlaw::Untrusted, identity(other.tls(curve).unwrap())),
        (TlsFlaw::Expired, identity(&expired)),
        (TlsFlaw::WrongName, identity(&elsewhere)),
        (TlsFlaw::WrongRole, identity(&pki().smdp(curve).unwrap().auth)),
    ];
    let tls = identity(pki().tls(curve).unwrap());
    let lab = Lab::serving(curve, smdp_with_order(), &tls, |options| {
        options.flawed =
            Arc::new(move |flaw| flawed.iter().find(|(known, _)| *known == flaw).map(|(_, it)| it.clone()));
    });
    for (flaw, expected) in [
        (TlsFlaw::Untrusted, "unable to get local issuer|self-signed|self signed"),
        (TlsFlaw::Expired, "certificate has expired"),
        (TlsFlaw::WrongName, "mismatch"),
        (TlsFlaw::WrongRole, "mismatch|purpose|usage"),
        (TlsFlaw::OldVersion, "version|protocol"),
    ] {
        lab.server().set_faults(vec![Fault::once(Action::TlsFlaw(flaw))]).unwrap();
        let error = format!("{:?}", lab.handshake(SslVersion::TLS1_3).unwrap_err());
        assert!(expected.split('|').any(|word| error.contains(word)), "{flaw}: {error}");
        assert_eq!(lab.connect().initiate(&Card::on(curve)).0.status, 200);
    }
}

#[test]
fn a_fault_that_cannot_happen_is_refused() {
    let lab = Lab::start(Curve::P256, Vec::new());
    lab.server().add_fault(Fault::once(Action::TlsFlaw(TlsFlaw::OldVersion))).unwrap();
    let impossible = || Fault::once(Action::TlsFlaw(TlsFlaw::Expired));
    let error = lab.server().add_fault(impossible()).unwrap_err();
    assert!(error.to_string().contains("expired TLS certificate: there is no such certificate"), "{error}");
    assert!(lab.server().set_faults(vec![impossible()]).is_err());
    assert_eq!(lab.server().faults().len(), 1, "all stay as they were");
}

#[test]
fn responses_that_are_spoilt() {
    let lab = Lab::start(Curve::P256, Vec::new());
    let card = Card::on(Curve::P256);
    let set = |action: Action| lab.server().set_faults(vec![Fault::once(action)]).unwrap();
    let body = json!({
        "euiccChallenge": BASE64_STANDARD.encode(card.challenge),
        "euiccInfo1": BASE64_STANDARD.encode(card.info1()),
        "smdpAddress": ADDRESS,
    })
    .to_string();
    let post = || lab.connect().post("initiateAuthentication", body.as_bytes());
    let whole = post().unwrap();

    set(Action::HttpCut { after: 20 });
    // The body ends before its announced length.
    assert!(post().is_none());
    set(Action::HttpDrip { size: 512, pause: Duration::from_millis(1) });
    let dripped = post().unwrap();
    assert_eq!(dripped.body.len(), whole.body.len());
    set(Action::HttpContentType);
    assert!(post().unwrap().head.contains("content-type: text/plain"));
    set(Action::HttpGarbage);
    assert!(serde_json::from_slice::<Value>(&post().unwrap().body).is_err());
    set(Action::HttpMissing("serverSigned1".into()));
    let missing = post().unwrap().json();
    assert!(missing.get("serverSigned1").is_none() && missing.get("serverSignature1").is_some());
    set(Action::HttpRedirect("https://elsewhere.example.com/".into()));
    let redirected = post().unwrap();
    assert_eq!(redirected.status, 302);
    assert!(redirected.head.contains("location: https://elsewhere.example.com/\r\n"));
    set(Action::HttpHuge { bytes: 100_000 });
    assert!(post().unwrap().body.len() > 100_000);
    set(Action::WrongCertificate);
    let (_, ok) = lab.connect().initiate(&card);
    let pb = &pki().smdp(Curve::P256).unwrap().pb;
    assert_eq!(ok.server_certificate, pb.certificate.der());
}

#[test]
fn faults_for_one_order_only() {
    let lab = Lab::start(Curve::P256, Vec::new());
    let other = Profile::build(&built_in_named("operator-b").unwrap()).unwrap();
    lab.server().smdp().lock().unwrap().add_order(OrderSpec::new("AC-2", other), NOW).unwrap();
    let refused = crate::status::StatusError::new("8.2", "1.2", "for this one only");
    lab.server().add_fault(Fault::always(Action::Refuse(refused)).for_order("AC-2")).unwrap();
    let card = Card::on(Curve::P256);
    let mut client = lab.connect();
    assert_eq!(client.authenticate(&card, "AC-2").codes(), "8.2/1.2");
    client.download(&card);
    // The order of a session is known at its later functions too.
    let refused = crate::status::StatusError::new("8.8.5", "4.10", "the same");
    let fault = Fault::always(Action::Refuse(refused)).for_order("AC-1").at(Function::GetBoundProfilePackage);
    lab.server().set_faults(vec![fault]).unwrap();
    let reply = client.authenticate(&card, "AC-1");
    let body = json!({ "transactionId": reply.transaction_id().to_string(), "prepareDownloadResponse": "" });
    assert_eq!(client.call("getBoundProfilePackage", body).codes(), "8.8.5/4.10");
    assert_eq!(lab.server().faults()[0].fired, 1);
}

#[test]
fn faults_in_words() {
    let read = |text: &str| toml::from_str::<FaultSpec>(text).unwrap().fault();
    assert_eq!(read("tcp = 'reset'").unwrap(), Fault::always(Action::TcpReset));
    let fault =
        read("refuse = '8.8.5/4.10'\nfunction = 'authenticateClient'\norder = 'A'\nnth = 2\ncount = 3").unwrap();
    assert_eq!((fault.function, fault.nth, fault.count), (Some(Function::AuthenticateClient), 2, Some(3)));
    assert_eq!(fault.order.as_deref(), Some("A"));
    for (text, expected) in [
        ("", "this one has 0"),
        ("tcp = 'reset'\ntls = 'close'", "this one has 2"),
        ("tcp = 'rst'", "there are close, reset"),
        ("refuse = '8.8.5'", "as in 8.2.6/3.8"),
        ("http = 'gone'", "no-reply"),
        ("http-status = 99", "200 to 599"),
        ("tls = 'close'\nfunction = 'x'", "initiateAuthentication"),
    ] {
        assert!(read(text).unwrap_err().to_string().contains(expected), "{text}");
    }
    // Each word has an action of its own, but for the two names of one.
    let mut actions = Vec::new();
    for (key, words) in vocabulary() {
        for word in words {
            let fault = read(&format!("{key} = '{word}'\nsegment = 2\nbytes = 5\nafter = 7")).unwrap();
            assert_eq!(fault.after, Some(Duration::from_secs(7)));
            assert!(!fault.action.to_string().is_empty(), "{key} = {word}");
            assert_eq!(actions.contains(&fault.action), word == "garbage" && key == "http", "{key} = {word}");
            actions.push(fault.action);
        }
    }
    let every = ["http-status = 503", "redirect = 'https://a'", "missing = 'x'"];
    for text in every {
        assert!(!read(text).unwrap().action.to_string().is_empty(), "{text}");
    }
}

#[test]
fn a_server_that_shuts_down_finishes_what_is_under_way() {
    let mut lab =
        Lab::start(Curve::P256, vec![Fault::once(Action::HttpDrip { size: 256, pause: Duration::from_millis(5) })]);
    let address = lab.server().address();
    let card = Card::on(Curve::P256);
    let mut client = lab.connect();
    let request = json!({
        "euiccChallenge": BASE64_STANDARD.encode(card.challenge),
        "euiccInfo1": BASE64_STANDARD.encode(card.info1()),
        "smdpAddress": ADDRESS,
    });
    let asked = std::thread::spawn(move || client.post("initiateAuthentication", request.to_string().as_bytes()));
    // Once the response has begun, the server is told to end.
    let began = Instant::now();
    while lab.notebook.lines.lock().unwrap().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    }
    let server = lab.server.take().unwrap();
    lab.runtime.block_on(server.shut_down(Duration::from_secs(10)));
    assert_eq!(asked.join().unwrap().unwrap().status, 200);
    assert!(StdStream::connect(address).is_err());
}
