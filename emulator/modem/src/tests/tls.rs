//! The TLS commands against servers of the tests: real sockets, real handshakes.

use std::sync::atomic::{AtomicU8, Ordering};

use openssl::ssl::SslVersion;
use openssl::x509::extension::{ExtendedKeyUsage, KeyUsage};

use super::peer::{Conversation, Identity, Line, Offer, Server, Wanted, certify, ec, echo, rsa};
use crate::HostNetwork;
use crate::ssl::SUITES;

fn authority() -> Identity {
    certify(ec(), Wanted::ca("Test CA"))
}

fn pem(identity: &Identity) -> Vec<u8> {
    identity.certificate.to_pem().unwrap()
}

/// §3.3 of the note against a server: the address of the example leads to it.
#[test]
fn examples_against_a_server() {
    let authority = authority();
    let server = certify(rsa(2048), Wanted::server("server.example", &authority));
    let offer = Offer {
        versions: (SslVersion::TLS1, SslVersion::TLS1),
        suites: "AES256-SHA".to_owned(),
        ..Offer::usual(&server)
    };
    let peer = Server::start(&offer, echo);
    let mut line = Line::new(HostNetwork::loopback().route("220.180.239.212", 8010, peer.address));
    line.upload("cacert.pem", &pem(&authority));
    for command in [
        "AT+QSSLCFG=\"sslversion\",1,1",
        "AT+QSSLCFG=\"ciphersuite\",1,0X0035",
        "AT+QSSLCFG=\"secllevel\",1,1",
        "AT+QSSLCFG=\"cacert\",1,\"UFS:cacert.pem\"",
    ] {
        assert_eq!(line.ask(command), "\r\nOK\r\n");
    }
    assert_eq!(line.ask("AT+QSSLOPEN=1,1,4,\"220.180.239.212\",8010,0"), "\r\nOK\r\n");
    assert_eq!(line.until("+QSSLOPEN: 4,0\r\n"), "\r\n+QSSLOPEN: 4,0\r\n");
    let state = line.ask("AT+QSSLSTATE");
    let (start, end) =
        ("\r\n+QSSLSTATE: 4,\"SSLClient\",\"220.180.239.212\",8010,", ",2,1,4,0,\"usbmodem\",1\r\n\r\nOK\r\n");
    assert!(state.starts_with(start) && state.ends_with(end), "{state}");
    line.write(b"AT+QSSLSEND=4\r");
    assert_eq!(line.until("> "), "\r\n> ");
    line.write(b"Test data from SSL\x1A");
    assert_eq!(line.until("SEND OK\r\n"), "\r\nSEND OK\r\n");
    assert_eq!(line.until("\"recv\",4\r\n"), "\r\n+QSSLURC: \"recv\",4\r\n");
    assert_eq!(line.ask("AT+QSSLRECV=4,1500"), "\r\n+QSSLRECV: 18\r\nTest data from SSL\r\n\r\nOK\r\n");
    assert_eq!(line.ask("AT+QSSLRECV=4,1500"), "\r\n+QSSLRECV: 0\r\n\r\nOK\r\n");
    assert_eq!(line.ask("AT+QSSLCLOSE=4"), "\r\nOK\r\n");
    line.stop();
}

/// §3.4 of the note against a server: what is received comes by itself, with its length.
#[test]
fn examples_of_direct_push_against_a_server() {
    let server = certify(rsa(2048), Wanted::ca("server"));
    let peer = Server::start(&Offer::usual(&server), echo);
    let mut line = Line::new(HostNetwork::loopback().route("220.180.239.212", 8011, peer.address));
    assert_eq!(line.ask("AT+QSSLOPEN=1,1,4,\"220.180.239.212\",8011,1"), "\r\nOK\r\n");
    assert_eq!(line.until("+QSSLOPEN: 4,0\r\n"), "\r\n+QSSLOPEN: 4,0\r\n");
    let state = line.ask("AT+QSSLSTATE");
    let (start, end) =
        ("\r\n+QSSLSTATE: 4,\"SSLClient\",\"220.180.239.212\",8011,", ",2,1,4,1,\"usbmodem\",1\r\n\r\nOK\r\n");
    assert!(state.starts_with(start) && state.ends_with(end), "{state}");
    // Of variable length, and of a fixed one.
    for (command, text) in [("AT+QSSLSEND=4\r", "Test data from SSL\x1A"), ("AT+QSSLSEND=4,18\r", "Test data from SSL")]
    {
        line.write(command.as_bytes());
        assert_eq!(line.until("> "), "\r\n> ");
        line.write(text.as_bytes());
        assert_eq!(line.until("SEND OK\r\n"), "\r\nSEND OK\r\n");
        assert_eq!(line.until("from SSL"), "\r\n+QSSLURC: \"recv\",4,18\r\nTest data from SSL");
        assert!(matches!(line.until("\r\n").as_str(), "\r\n"));
    }
    assert_eq!(line.ask("AT+QSSLCLOSE=4"), "\r\nOK\r\n");
    line.stop();
}

/// §3.5 of the note against a server: data both ways without a frame around it, then the server stops the connection.
#[test]
fn examples_of_transparent_access_against_a_server() {
    let server = certify(rsa(2048), Wanted::ca("server"));
    let peer = Server::start(&Offer::usual(&server), |conversation| {
        let mut heard = [0; 20];
        let _ = conversation.read_exact(&mut heard);
        let _ = conversation.write_all(&heard);
        conversation.end();
    });
    let mut line = Line::new(HostNetwork::loopback().route("220.180.239.212", 8011, peer.address));
    line.write(b"AT+QSSLOPEN= 1,1,4,\"220.180.239.212\",8011,2\r");
    assert_eq!(line.until("CONNECT\r\n"), "\r\nCONNECT\r\n");
    // What would be a command, a result code or an escape is data.
    line.write(b"AT\r\nOK\r\n+++ no way!!");
    assert_eq!(line.until("NO CARRIER\r\n"), "AT\r\nOK\r\n+++ no way!!\r\nNO CARRIER\r\n");
    assert_eq!(line.ask("AT+QSSLCLOSE=4"), "\r\nOK\r\n");
    line.stop();
}

/// Each version by each suite of table 2, against a server that offers only that one.
#[test]
fn every_version_by_every_suite() {
    let authority = authority();
    let identities =
        [certify(rsa(2048), Wanted::server("rsa", &authority)), certify(ec(), Wanted::server("ec", &authority))];
    let versions = [SslVersion::SSL3, SslVersion::TLS1, SslVersion::TLS1_1, SslVersion::TLS1_2];
    let mut line = Line::new(HostNetwork::loopback());
    let mut table = String::new();
    for (code, name) in SUITES {
        line.ask(&format!("AT+QSSLCFG=\"ciphersuite\",1,0X{code:04X}"));
        table.push_str(&format!("{code:04X} {:<30}", name.unwrap_or("(not in OpenSSL)")));
        for (number, version) in versions.into_iter().enumerate() {
            line.ask(&format!("AT+QSSLCFG=\"sslversion\",1,{number}"));
            let Some(name) = name else {
                // The module says that it cannot, before anything is opened.
                assert_eq!(line.open_host("127.0.0.1", 9), 555, "{code:04X}");
                table.push_str(" 555");
                continue;
            };
            let offer = Offer {
                versions: (version, version),
                suites: name.to_owned(),
                identities: identities.to_vec(),
                chain: Vec::new(),
                clients: None,
            };
            let peer = Server::start(&offer, |conversation| {
                let suite = conversation.suite();
                let _ = conversation.write_all(suite.as_bytes());
                echo(conversation);
            });
            let outcome = line.open(peer.address);
            if outcome == 0 {
                line.say("x");
                assert_eq!(line.hear(name.len() + 1), format!("{name}x"));
                line.close();
            }
            table.push_str(&format!(" {outcome:>3}"));
        }
        table.push('\n');
    }
    line.stop();
    insta::assert_snapshot!(table);
}

/// `"sslversion"` 4 takes what the server has; TLS 1.3 is beyond the module.
#[test]
fn versions_that_meet() {
    let server = certify(ec(), Wanted::ca("server"));
    let mut line = Line::new(HostNetwork::loopback());
    for (versions, outcome) in [
        ((SslVersion::SSL3, SslVersion::TLS1_2), 0),
        ((SslVersion::TLS1, SslVersion::TLS1), 0),
        ((SslVersion::TLS1_3, SslVersion::TLS1_3), 579),
    ] {
        let suites = "ECDHE-ECDSA-AES128-SHA".to_owned();
        let peer = Server::start(&Offer { versions, suites, ..Offer::usual(&server) }, echo);
        assert_eq!(line.open(peer.address), outcome);
        line.close();
    }
    line.stop();
}

#[test]
fn the_server_has_to_be_trusted() {
    let (authority, other) = (authority(), certify(ec(), Wanted::ca("Another CA")));
    let server = certify(ec(), Wanted::server("server", &authority));
    let mut line = Line::new(HostNetwork::loopback());
    line.upload("ca.pem", &pem(&authority));
    line.upload("other.pem", &pem(&other));
    let attempt = |line: &mut Line| {
        let outcome = line.open(Server::start(&Offer::usual(&server), echo).address);
        line.close();
        outcome
    };
    assert_eq!(attempt(&mut line), 0, "no authentication");
    line.ask("AT+QSSLCFG=\"secllevel\",1,1");
    assert_eq!(attempt(&mut line), 579, "no certificate to trust");
    line.ask("AT+QSSLCFG=\"cacert\",1,\"UFS:missing.pem\"");
    assert_eq!(attempt(&mut line), 579, "no file");
    line.ask("AT+QSSLCFG=\"cacert\",1,\"UFS:other.pem\"");
    assert_eq!(attempt(&mut line), 579, "another one");
    line.ask("AT+QSSLCFG=\"cacertex\",1,\"UFS:ca.pem\"");
    assert_eq!(attempt(&mut line), 0, "the second file");
    line.ask("AT+QSSLCFG=\"cacertex\",1,\"\"");
    line.ask("AT+QSSLCFG=\"ignorecertitem\",1,4");
    assert_eq!(attempt(&mut line), 579, "another item");
    line.ask("AT+QSSLCFG=\"ignorecertitem\",1,8");
    assert_eq!(attempt(&mut line), 0, "not signed by the trusted CA is passed over");
    line.ask("AT+QSSLCFG=\"ignorecertitem\",1,1048575");
    assert_eq!(attempt(&mut line), 0);
    line.stop();
}

/// §1.4, against the clock of the modem.
#[test]
fn the_time_has_to_be_right() {
    let authority = authority();
    let server = certify(ec(), Wanted { valid: (-30, 30), ..Wanted::server("server", &authority) });
    let mut line = Line::new(HostNetwork::loopback());
    line.upload("ca.pem", &pem(&authority));
    line.ask("AT+QSSLCFG=\"secllevel\",1,1");
    line.ask("AT+QSSLCFG=\"cacert\",1,\"UFS:ca.pem\"");
    let attempt = |line: &mut Line, clock: &str| {
        line.ask(&format!("AT+CCLK=\"{clock},00:00:00+00\""));
        let outcome = line.open(Server::start(&Offer::usual(&server), echo).address);
        line.close();
        outcome
    };
    let now = line.ask("AT+CCLK?");
    let today = now.split('"').nth(1).unwrap().split(',').next().unwrap().to_owned();
    assert_eq!(attempt(&mut line, "40/01/01"), 0, "the time does not matter as it leaves the factory");
    line.ask("AT+QSSLCFG=\"ignorelocaltime\",1,0");
    assert_eq!(attempt(&mut line, "40/01/01"), 579, "expired");
    assert_eq!(attempt(&mut line, "20/01/01"), 579, "not yet valid");
    assert_eq!(attempt(&mut line, &today), 0);
    line.ask("AT+QSSLCFG=\"ignorecertitem\",1,1");
    assert_eq!(attempt(&mut line, "36/01/01"), 0, "the item is passed over");
    line.stop();
}

#[test]
fn chains_and_signatures() {
    let root = authority();
    let middle = certify(ec(), Wanted { is_ca: true, ..Wanted::server("Middle CA", &root) });
    let server = certify(ec(), Wanted::server("server", &middle));
    let mut line = Line::new(HostNetwork::loopback());
    line.upload("root.pem", &pem(&root));
    line.upload("middle.pem", &pem(&middle));
    let chained = Offer { chain: vec![middle.certificate.clone()], ..Offer::usual(&server) };
    let attempt = |line: &mut Line, offer: &Offer| {
        let outcome = line.open(Server::start(offer, echo).address);
        line.close();
        outcome
    };
    line.ask("AT+QSSLCFG=\"secllevel\",1,1");
    line.ask("AT+QSSLCFG=\"cacert\",1,\"UFS:root.pem\"");
    assert_eq!(attempt(&mut line, &chained), 0, "the whole chain");
    assert_eq!(attempt(&mut line, &Offer::usual(&server)), 579, "the middle is missing");
    line.ask("AT+QSSLCFG=\"cacert\",1,\"UFS:middle.pem\"");
    assert_eq!(attempt(&mut line, &chained), 579, "no root");
    line.ask("AT+QSSLCFG=\"ignoremulticertchainverify\",1,1");
    assert_eq!(attempt(&mut line, &chained), 0, "what is above the trusted one does not matter");
    line.ask("AT+QSSLCFG=\"ignoremulticertchainverify\",1,0");
    // A certificate that says it is from the root, and was signed by another key.
    let imposter = Identity { key: ec(), certificate: root.certificate.clone() };
    let forged = certify(ec(), Wanted::server("server", &imposter));
    line.ask("AT+QSSLCFG=\"cacert\",1,\"UFS:root.pem\"");
    assert_eq!(attempt(&mut line, &Offer::usual(&forged)), 579);
    line.ask("AT+QSSLCFG=\"ignoreinvalidcertsign\",1,1");
    assert_eq!(attempt(&mut line, &Offer::usual(&forged)), 0);
    line.stop();
}

/// The items of `"ignorecertitem"` that certificates can have, one by one.
#[test]
fn items_that_are_passed_over() {
    let authority = authority();
    // (RSA: OpenSSL itself refuses an ECDSA certificate that is not for signatures.)
    let issue = |wanted: Wanted<'_>| certify(rsa(2048), Wanted { issuer: Some(&authority), is_ca: false, ..wanted });
    let mut signing = KeyUsage::new();
    signing.crl_sign();
    let mut client = ExtendedKeyUsage::new();
    client.client_auth();
    let cases = [
        ("key usage", 2048, issue(Wanted { usage: Some(signing), ..Wanted::ca("a") })),
        ("extended key usage", 4096, issue(Wanted { purpose: Some(client), ..Wanted::ca("b") })),
        ("key", 65_536, certify(rsa(1024), Wanted::server("c", &authority))),
        ("algorithm", 32_768, {
            let key = openssl::pkey::PKey::generate_ed25519().unwrap();
            certify(key, Wanted::server("d", &authority))
        }),
    ];
    let mut line = Line::new(HostNetwork::loopback());
    line.upload("ca.pem", &pem(&authority));
    line.ask("AT+QSSLCFG=\"secllevel\",1,1");
    line.ask("AT+QSSLCFG=\"cacert\",1,\"UFS:ca.pem\"");
    for (what, item, identity) in cases {
        let offer = Offer { suites: "ALL:@SECLEVEL=0".to_owned(), ..Offer::usual(&identity) };
        for (ignored, outcome) in [(0, 579), (1_048_575 - item, 579), (item, 0)] {
            line.ask(&format!("AT+QSSLCFG=\"ignorecertitem\",1,{ignored}"));
            assert_eq!(line.open(Server::start(&offer, echo).address), outcome, "{what} {ignored}");
            line.close();
        }
    }
    line.stop();
}

/// §1.5: the name goes to the server, and the certificate has to have it.
#[test]
fn server_name_indication() {
    let authority = authority();
    let server = certify(ec(), Wanted::server("iot.example", &authority));
    let tell_name = |conversation: &mut dyn Conversation| {
        let name = conversation.server_name().unwrap_or_else(|| "none".to_owned());
        let _ = conversation.write_all(format!("{name:>16}").as_bytes());
        echo(conversation);
    };
    let loopback = "127.0.0.1".parse().unwrap();
    let network = HostNetwork::loopback().name("iot.example", loopback).name("other.example", loopback);
    let mut line = Line::new(network);
    line.upload("ca.pem", &pem(&authority));
    line.ask("AT+QSSLCFG=\"secllevel\",1,1");
    line.ask("AT+QSSLCFG=\"cacert\",1,\"UFS:ca.pem\"");
    let attempt = |line: &mut Line, host: &str| {
        let port = Server::start(&Offer::usual(&server), tell_name).address.port();
        let outcome = line.open_host(host, port);
        let told = if outcome == 0 { line.hear(16).trim().to_owned() } else { String::new() };
        line.close();
        (outcome, told)
    };
    assert_eq!(attempt(&mut line, "other.example"), (0, "none".to_owned()));
    line.ask("AT+QSSLCFG=\"sni\",1,1");
    assert_eq!(attempt(&mut line, "iot.example"), (0, "iot.example".to_owned()));
    assert_eq!(attempt(&mut line, "other.example").0, 579);
    line.ask("AT+QSSLCFG=\"ignorecertitem\",1,4");
    assert_eq!(attempt(&mut line, "other.example"), (0, "other.example".to_owned()));
    line.stop();
}

/// `"secllevel"` 2: the client has a certificate, too.
#[test]
fn the_server_asks_for_a_certificate() {
    let authority = authority();
    let server = certify(ec(), Wanted::server("server", &authority));
    let client = certify(ec(), Wanted::server("client", &authority));
    let mut line = Line::new(HostNetwork::loopback());
    line.upload("ca.pem", &pem(&authority));
    line.upload("client.pem", &pem(&client));
    line.upload("client.key", &client.key.private_key_to_pem_pkcs8().unwrap());
    line.ask("AT+QSSLCFG=\"cacert\",1,\"UFS:ca.pem\"");
    line.ask("AT+QSSLCFG=\"clientcert\",1,\"UFS:client.pem\"");
    let offer = Offer { clients: Some(authority.certificate.clone()), ..Offer::usual(&server) };
    line.ask("AT+QSSLCFG=\"secllevel\",1,1");
    assert_eq!(line.open(Server::start(&offer, echo).address), 579, "none is sent");
    line.ask("AT+QSSLCFG=\"secllevel\",1,2");
    assert_eq!(line.open(Server::start(&offer, echo).address), 579, "no key");
    line.ask("AT+QSSLCFG=\"clientkey\",1,\"UFS:client.key\"");
    assert_eq!(line.open(Server::start(&offer, echo).address), 0);
    line.say("hello");
    assert_eq!(line.hear(5), "hello");
    line.close();
    assert_eq!(line.open(Server::start(&Offer::usual(&server), echo).address), 0, "it does not have to ask");
    line.stop();
}

#[test]
fn datagrams() {
    let server = certify(ec(), Wanted::ca("server"));
    let suites = "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA256".to_owned();
    let mut line = Line::new(HostNetwork::loopback());
    line.ask("AT+QSSLCFG=\"dtls\",1,1");
    for (number, version) in [(4, SslVersion::DTLS1_2), (3, SslVersion::DTLS1_2), (2, SslVersion::DTLS1)] {
        line.ask(&format!("AT+QSSLCFG=\"sslversion\",1,{number}"));
        let offer = Offer { versions: (version, version), suites: suites.clone(), ..Offer::usual(&server) };
        assert_eq!(line.open(Server::start_datagrams(&offer, echo).address), 0, "{number}");
        line.say("datagram");
        assert_eq!(line.hear(8), "datagram");
        line.close();
    }
    line.ask("AT+QSSLCFG=\"sslversion\",1,0");
    assert_eq!(line.open_host("127.0.0.1", 9), 555);
    line.stop();
}

/// What can go wrong before TLS begins, and how the other side ends what stands.
#[test]
fn connections_that_fail_and_end() {
    let server = certify(ec(), Wanted::ca("server"));
    let mut line = Line::new(HostNetwork::loopback());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(line.open_host("127.0.0.1", free), 566, "nobody listens");
    assert_eq!(line.open_host("192.0.2.1", 443), 551, "not this machine");
    assert_eq!(line.open_host("nobody.example", 443), 565, "no such name");
    assert_eq!(line.open_host("localhost", free), 566);
    line.ask("AT+QIDNSCFG=1,\"192.0.2.1\",\"192.0.2.2\"");
    assert_eq!(line.open_host("localhost", free), 565, "no name server answers");
    let peer = Server::start(&Offer::usual(&server), |conversation| {
        let _ = conversation.write_all(b"bye");
        conversation.end();
    });
    assert_eq!(line.open(peer.address), 0);
    line.until("+QSSLURC: \"closed\",4\r\n");
    assert!(line.ask("AT+QSSLRECV=4,1500").contains("+QSSLRECV: 3\r\nbye\r\n"));
    assert!(line.ask("AT+QSSLSTATE=4").contains(",4,1,4,0,"));
    line.close();
    // Its good-bye is answered (RFC 5246 §7.2.1).
    static ANSWERED: AtomicU8 = AtomicU8::new(0);
    let peer = Server::start(&Offer::usual(&server), |conversation| {
        conversation.end();
        ANSWERED.store(1 + u8::from(conversation.has_heard_the_end()), Ordering::Release);
    });
    assert_eq!(line.open(peer.address), 0);
    line.until("+QSSLURC: \"closed\",4\r\n");
    peer.join();
    assert_eq!(ANSWERED.load(Ordering::Acquire), 2);
    line.close();
    // In transparent access it is told by NO CARRIER.
    let peer = Server::start(&Offer::usual(&server), |conversation| {
        let mut heard = [0; 5];
        let _ = conversation.read_exact(&mut heard);
        let _ = conversation.write_all(&heard);
        conversation.end();
    });
    line.write(format!("AT+QSSLOPEN=1,1,4,\"127.0.0.1\",{},2\r", peer.address.port()).as_bytes());
    line.until("\r\nCONNECT\r\n");
    line.write(b"hello");
    assert_eq!(line.until("NO CARRIER\r\n"), "hello\r\nNO CARRIER\r\n");
    line.close();
    line.stop();
}
