use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;

use rsp::crypto::Curve;

use super::*;
use crate::OrderSpec;
use crate::front::Options;
use crate::testing::*;

struct Lab {
    manage: ManageServer,
    server: Server,
    runtime: tokio::runtime::Runtime,
}

impl Lab {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _entered = runtime.enter();
        let watch = Arc::new(Watch::default());
        let options = Options { clock: Arc::new(|| NOW), observer: watch.clone(), ..Options::default() };
        let smdp = Arc::new(Mutex::new(smdp_with_order()));
        let tls = identity(pki().tls(Curve::P256).unwrap());
        let server = Server::start(TcpListener::bind("127.0.0.1:0").unwrap(), smdp, &tls, options).unwrap();
        let options = ManageOptions {
            token: "secret".to_owned(),
            address: ADDRESS.to_owned(),
            catalog: crate::profile::built_in(),
            watch,
        };
        let manage = ManageServer::start(TcpListener::bind("127.0.0.1:0").unwrap(), &server, options).unwrap();
        drop(_entered);
        Lab { manage, server, runtime }
    }

    fn send(&self, method: &str, path: &str, token: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.manage.address()).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
        stream
    }

    fn raw(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, Vec<u8>) {
        let mut received = Vec::new();
        self.send(method, path, token, body).read_to_end(&mut received).unwrap();
        let at = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let status = std::str::from_utf8(&received[9..12]).unwrap().parse().unwrap();
        (status, received[at + 4..].to_vec())
    }

    fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, body) = self.raw(method, path, "secret", &body);
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

#[test]
fn nothing_without_the_token() {
    let lab = Lab::start();
    for path in ["/orders", "/openapi.json", "/metrics", "/events", "/nothing"] {
        for token in ["", "secre", "secrets", "Secret"] {
            assert_eq!(lab.raw("GET", path, token, "").0, 401, "{path}");
        }
    }
    assert_eq!(lab.call("GET", "/nothing", Value::Null).0, 404);
    assert_eq!(lab.call("PATCH", "/orders", Value::Null).0, 405);
    // It does not listen where others could reach it.
    let _entered = lab.runtime.enter();
    let options =
        ManageOptions { token: String::new(), address: String::new(), catalog: BTreeMap::new(), watch: Arc::default() };
    let outside = TcpListener::bind("0.0.0.0:0").unwrap();
    let error = ManageServer::start(outside, &lab.server, options).unwrap_err();
    assert!(error.to_string().contains("loopback only"), "{error}");
}

#[test]
fn orders_by_the_api() {
    let lab = Lab::start();
    let (status, order) = lab.call(
        "POST",
        "/orders",
        json!({ "profile": "operator-a", "matching_id": "NEW-1", "confirmation_code": "1234", "state": "confirmed" }),
    );
    assert_eq!(status, 201, "{order}");
    // Operator A's first profile is ordered already: this is the next.
    assert_ne!(order["iccid"], profile().iccid().to_string());
    assert_eq!(order["activation_code"], "LPA:1$smdp.example.com$NEW-1$$1");
    assert_eq!(lab.call("POST", "/orders/2/release", Value::Null).1["state"], "released");
    assert_eq!(lab.call("POST", "/orders/2/release", Value::Null).0, 409);
    assert_eq!(lab.call("POST", "/orders/2/expiry", json!({ "expires": 5 })).1["expires"], 5);
    // To JSON Schema 6.0 is an integer, and 6.5 is none.
    assert_eq!(lab.call("POST", "/orders/2/expiry", json!({ "expires": 6.0 })).1["expires"], 6);
    assert_eq!(lab.call("POST", "/orders/2/expiry", json!({ "expires": 6.5 })).0, 400);
    assert_eq!(lab.call("POST", "/orders/2/state", json!({ "state": "error" })).1["state"], "error");
    assert_eq!(lab.call("POST", "/orders/2/cancel", Value::Null).1["state"], "unavailable");
    let (_, list) = lab.call("GET", "/orders", Value::Null);
    assert_eq!(list.as_array().unwrap().len(), 2);
    let events: Vec<_> =
        list[1]["events"].as_array().unwrap().iter().map(|event| event["cause"].as_str().unwrap()).collect();
    assert_eq!(events, ["ordered", "released by hand", "set by hand", "cancelled by hand"]);

    assert_eq!(lab.call("POST", "/orders", json!({ "profile": "operator-a", "matching_id": "NEW-1" })).0, 409);
    assert_eq!(lab.call("POST", "/orders", json!({ "profile": "test", "eid": "1" })).0, 409);
    for wrong in [json!({}), json!({ "profile": "none" }), json!([])] {
        assert_eq!(lab.call("POST", "/orders", wrong.clone()).0, 400, "{wrong}");
    }
    assert_eq!(lab.call("POST", "/orders", json!({ "profile": "test" })).0, 409, "for nobody");
    for path in ["/orders/0", "/orders/99", "/orders/x", "/orders/99/code.png"] {
        assert_eq!(lab.call("GET", path, Value::Null).0, 404, "{path}");
    }
    assert_eq!(lab.raw("GET", "/orders/1/code.txt", "secret", "").1, b"LPA:1$smdp.example.com$AC-1\n");
    assert!(lab.raw("GET", "/orders/1/code.svg", "secret", "").1.starts_with(b"<svg"));
    assert!(lab.raw("GET", "/orders/1/code.png", "secret", "").1.starts_with(b"\x89PNG"));
}

#[test]
fn faults_sessions_metrics_and_events() {
    let lab = Lab::start();
    let mut events = BufReader::new(lab.send("GET", "/events", "secret", ""));
    let mut line = String::new();
    while line != ": events from now on\n" {
        line.clear();
        events.read_line(&mut line).unwrap();
    }
    let fault = json!({ "refuse": "8.8.1/3.8", "function": "initiateAuthentication", "nth": 2 });
    let (status, list) = lab.call("POST", "/faults", fault);
    assert_eq!((status, &list[0]["text"]), (201, &json!("refused with 8.8.1/3.8")));
    assert_eq!(lab.call("POST", "/faults", json!({ "tcp": "gone" })).0, 400);
    assert_eq!(lab.call("PUT", "/faults", json!([{ "tcp": "close" }])).1.as_array().unwrap().len(), 1);
    assert_eq!(lab.call("DELETE", "/faults", Value::Null).1, json!([]));
    {
        let mut smdp = lab.server.smdp().lock().unwrap();
        let card = Card::on(Curve::P256);
        card.authenticate_client(&mut smdp, Some("AC-1")).unwrap();
    }
    let (_, sessions) = lab.call("GET", "/sessions", Value::Null);
    assert_eq!((&sessions[0]["stage"], &sessions[0]["order"]), (&json!("authenticated"), &json!(1)));
    let metrics = String::from_utf8(lab.raw("GET", "/metrics", "secret", "").1).unwrap();
    for expected in ["esimlab_smdp_open_sessions 1\n", "esimlab_smdp_orders{state=\"released\"} 1\n"] {
        assert!(metrics.contains(expected), "{metrics}");
    }
    // The call above has drained what had happened, and told it.
    while !line.starts_with("data: ") {
        line.clear();
        events.read_line(&mut line).unwrap();
    }
    let event: Value = serde_json::from_str(line.trim_start_matches("data: ")).unwrap();
    assert_eq!(event["kind"], "event");
}

#[test]
fn every_path_of_the_document_is_there() {
    let lab = Lab::start();
    lab.server
        .smdp()
        .lock()
        .unwrap()
        .add_order(
            OrderSpec::new("AC-9", crate::Profile::build(&crate::profile::built_in_named("test").unwrap()).unwrap()),
            NOW,
        )
        .unwrap();
    let (_, document) = lab.call("GET", "/openapi.json", Value::Null);
    for (path, calls) in document["paths"].as_object().unwrap() {
        for (method, call) in calls.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters") {
            if path == "/events" {
                continue;
            }
            let (status, _) = lab.raw(&method.to_uppercase(), &path.replace("{number}", "2"), "secret", "");
            assert!(call["responses"].get(status.to_string()).is_some(), "{method} {path}: {status}");
        }
    }
}
