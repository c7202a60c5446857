//! What a tap is told of connections.

use super::*;
use crate::front::{End, Tap, Traffic};

/// What was told: a line for each thing that happened, and the bytes of both ends.
#[derive(Default)]
struct Told {
    lines: Vec<String>,
    client: Vec<u8>,
    server: Vec<u8>,
    secrets: Vec<String>,
}

#[derive(Default)]
struct Notes(Mutex<Told>);

impl Tap for Notes {
    fn traffic(&self, _: u64, traffic: Traffic<'_>) {
        let mut told = self.0.lock().unwrap();
        match traffic {
            Traffic::Opened { client, server } => {
                assert!(client.ip().is_loopback() && server.ip().is_loopback());
                told.lines.push("opened".to_owned());
            }
            Traffic::Bytes(end, bytes) => {
                match end {
                    End::Client => told.client.extend(bytes),
                    End::Server => told.server.extend(bytes),
                }
                let line = format!("bytes of the {end:?}").to_lowercase();
                if told.lines.last() != Some(&line) {
                    told.lines.push(line);
                }
            }
            Traffic::Ended(end) => told.lines.push(format!("the {end:?} ends").to_lowercase()),
            Traffic::Reset(end) => told.lines.push(format!("the {end:?} resets").to_lowercase()),
        }
    }

    fn secret(&self, line: &str) {
        self.0.lock().unwrap().secrets.push(line.to_owned());
    }
}

/// A front with a tap, stopped after `act` has been done with it.
fn told_of(faults: Vec<Fault>, act: impl FnOnce(&Lab)) -> Told {
    let notes = Arc::new(Notes::default());
    let tls = identity(pki().tls(Curve::P256).unwrap());
    let mut lab = Lab::serving(Curve::P256, smdp_with_order(), &tls, |options| {
        options.faults = faults;
        options.tap = Some(notes.clone());
    });
    act(&lab);
    let server = lab.server.take().unwrap();
    lab.runtime.block_on(server.shut_down(Duration::from_secs(10)));
    std::mem::take(&mut *notes.0.lock().unwrap())
}

#[test]
fn a_connection_from_its_beginning_to_its_end() {
    let told = told_of(Vec::new(), |lab| {
        let mut client = lab.connect();
        assert_eq!(client.initiate(&Card::on(Curve::P256)).0.status, 200);
        client.stream.shutdown().unwrap();
        // Until the server has ended as well.
        let _ = client.stream.get_ref().read(&mut [0; 64]);
    });
    assert_eq!(told.lines.first().map(String::as_str), Some("opened"));
    assert_eq!(told.lines.last().map(String::as_str), Some("the server ends"), "{:?}", told.lines);
    // Each begins with a TLS record of type handshake.
    assert_eq!([told.client[0], told.server[0]], [0x16, 0x16]);
    // The client's random number stands in its ClientHello: after the headers of record (5) and message (4) and the
    // version (2), RFC 8446 §4.1.2.
    let random: String = told.client[11..43].iter().map(|byte| format!("{byte:02x}")).collect();
    let labels: Vec<&str> = told
        .secrets
        .iter()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!((words.len(), words[1]), (3, random.as_str()), "{line}");
            words[0]
        })
        .collect();
    for label in ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "SERVER_HANDSHAKE_TRAFFIC_SECRET"] {
        assert!(labels.contains(&label), "{labels:?}");
    }
}

#[test]
fn faults_of_tcp_and_tls_are_told_as_they_are() {
    let handshake = |lab: &Lab| drop(lab.handshake(SslVersion::TLS1_3).unwrap_err());
    let told = |action| told_of(vec![Fault::once(action)], handshake);

    let reset = told(Action::TcpReset);
    assert_eq!(reset.lines, ["opened", "bytes of the client", "the server resets"]);
    assert!(reset.server.is_empty() && reset.secrets.is_empty());

    let alert = told(Action::TlsAlert(40));
    assert_eq!(alert.server, [0x15, 3, 3, 0, 2, 2, 40]);
    assert_eq!(alert.lines[..3], ["opened", "bytes of the client", "bytes of the server"]);

    let closed = told(Action::TlsClose);
    assert_eq!(closed.lines[..3], ["opened", "bytes of the client", "the server ends"]);
    assert!(closed.server.is_empty());

    let closed_at_once = told(Action::TcpClose);
    assert_eq!(closed_at_once.lines[..2], ["opened", "the server ends"]);
}

#[test]
fn a_client_that_leaves_is_told() {
    let told = told_of(vec![Fault::once(Action::TlsHang)], |lab| {
        let mut stream = lab.tcp();
        stream.write_all(&[0x16, 3, 1]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    });
    assert_eq!(told.lines, ["opened", "bytes of the client", "the client ends", "the server ends"]);
}
