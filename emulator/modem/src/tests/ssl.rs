//! The TLS commands, as EC200U&EG915U SSL AN 1.1 has them, with a world that the test plays. The same against a server is
//! in `tests/tls.rs`.

use std::time::Duration;

use super::stage::Stage;
use crate::IpError;
use crate::socket::{SocketEvent, SocketRequest, TlsVersions, Transport};

/// §3.2 and §3.3: every example, byte for byte.
#[test]
fn examples_of_buffer_access() {
    let mut stage = Stage::new();
    for line in [
        "AT+QSSLCFG=\"sslversion\",1,1",
        "AT+QSSLCFG=\"ciphersuite\",1,0X0035",
        "AT+QSSLCFG=\"secllevel\",1,1",
        "AT+QSSLCFG=\"cacert\",1,\"UFS:cacert.pem\"",
        "AT+QSSLOPEN=1,1,4,\"220.180.239.212\",8010,0",
    ] {
        stage.say(line);
    }
    let (id, _) = stage.opens(65_344);
    stage.say("AT+QSSLSTATE");
    stage.say("AT+QSSLSEND=4");
    stage.send(b"Test data from SSL\x1A");
    stage.say("AT+QSSLSEND=4,18");
    stage.send(b"Test data from SSL");
    assert_eq!(stage.sent(), b"Test data from SSLTest data from SSL");
    stage.receives(id, b"Test data from SSL");
    stage.say("AT+QSSLRECV=4,1500");
    stage.say("AT+QSSLRECV=4,1500");
    assert_eq!(stage.say("AT+QSSLCLOSE=4"), "");
    assert_eq!(stage.requests.last(), Some(&SocketRequest::Close { id, abort: false }));
    stage.event(SocketEvent::Ended { id });
    insta::assert_snapshot!(stage.log());
}

/// §3.4.
#[test]
fn examples_of_direct_push() {
    let mut stage = Stage::new();
    stage.say("AT+QSSLOPEN=1,1,4,\"220.180.239.212\",8011,1");
    let (id, _) = stage.opens(65_047);
    stage.say("AT+QSSLSTATE");
    stage.say("AT+QSSLSEND=4");
    stage.send(b"Test data from SSL\x1A");
    stage.say("AT+QSSLSEND=4,18");
    stage.send(b"Test data from SSL");
    stage.receives(id, b"Test data from SSL");
    stage.say("AT+QSSLCLOSE=4");
    stage.event(SocketEvent::Ended { id });
    insta::assert_snapshot!(stage.log());
}

/// §3.5, and §1.3 for the ways out of it and back.
#[test]
fn examples_of_transparent_access() {
    let mut stage = Stage::new();
    // The examples have a space behind the `=`, which V.250 passes over.
    stage.say("AT+QSSLOPEN= 1,1,4,\"220.180.239.212\",8011,2");
    let (id, _) = stage.opens(65_047);
    stage.send(b"any data\r\nAT\r");
    stage.receives(id, b"<Received data>");
    stage.wait(Duration::from_secs(1));
    stage.send(b"+++");
    stage.wait(Duration::from_secs(1));
    assert_eq!(stage.sent(), b"any data\r\nAT\r");
    // Back, by the one way and the other.
    stage.receives(id, b"kept in the meantime");
    stage.say("ATO");
    stage.wait(Duration::from_secs(2));
    stage.send(b"+++");
    stage.wait(Duration::from_secs(1));
    stage.say("AT+QISWTMD=4,2");
    // The server stops the connection.
    stage.event(SocketEvent::Closed { id });
    stage.say("ATO");
    stage.say("AT+QSSLSTATE=4");
    stage.say("AT+QSSLCLOSE=4");
    stage.say("AT+QSSLSTATE=4");
    insta::assert_snapshot!(stage.log());
}

/// §2.2.1: the test form, and each setting asked, set to its bounds and beyond.
#[test]
fn settings() {
    let mut stage = Stage::without_context("EC200U");
    stage.say("AT+QSSLCFG=?");
    let bounds = [
        ("sslversion", "0", "4", "5"),
        ("ciphersuite", "0X0035", "0XFFFF", "0X0036"),
        ("cacert", "\"UFS:cacert.pem\"", "\"\"", "\"SD:x\""),
        ("cacertex", "\"UFS:cacert.pem\"", "\"more.pem\"", "cacert.pem"),
        ("clientcert", "\"UFS:client.pem\"", "\"\"", "1"),
        ("clientkey", "\"UFS:client.key\"", "\"\"", "\"a*\""),
        ("secllevel", "0", "2", "3"),
        ("ignorelocaltime", "0", "1", "2"),
        ("negotiatetime", "10", "300", "9"),
        ("sni", "0", "1", "2"),
        ("ignoremulticertchainverify", "0", "1", "2"),
        ("ignoreinvalidcertsign", "0", "1", "2"),
        ("dtls", "0", "1", "2"),
        ("ignorecertitem", "0", "1048575", "1048576"),
    ];
    for (name, least, greatest, beyond) in bounds {
        stage.say(&format!("AT+QSSLCFG=\"{name}\",0"));
        stage.say(&format!("AT+QSSLCFG=\"{name}\",5,{least}"));
        stage.say(&format!("AT+QSSLCFG=\"{name}\",5"));
        stage.say(&format!("AT+QSSLCFG=\"{name}\",5,{greatest}"));
        stage.say(&format!("AT+QSSLCFG=\"{name}\",5"));
        stage.say(&format!("AT+QSSLCFG=\"{name}\",5,{beyond}"));
        stage.say(&format!("AT+QSSLCFG=\"{name}\",6,{least}"));
    }
    stage.say("AT+QSSLCFG=\"cacertex\"");
    stage.say("AT+QSSLCFG=\"sslversion\"");
    stage.say("AT+QSSLCFG=\"seclevel\",1");
    stage.say("AT+QSSLCFG=sni,1");
    stage.say("AT+QSSLCFG=\"sni\",1,1,1");
    // A restart forgets them.
    stage.say("AT+CFUN=1,1");
    stage.at_port(1);
    stage.say("AT+QSSLCFG=\"ignorecertitem\",5");
    insta::assert_snapshot!(stage.log());
}

/// §2.2.2 to §2.2.6: the test forms, and what is no good parameter.
#[test]
fn forms() {
    let mut stage = Stage::new();
    for command in ["+QSSLOPEN", "+QSSLSEND", "+QSSLRECV", "+QSSLCLOSE", "+QSSLSTATE"] {
        stage.say(&format!("AT{command}=?"));
    }
    for line in [
        "AT+QSSLOPEN=0,1,4,\"host\",8010",
        "AT+QSSLOPEN=1,6,4,\"host\",8010",
        "AT+QSSLOPEN=1,1,12,\"host\",8010",
        "AT+QSSLOPEN=1,1,4,host,8010",
        "AT+QSSLOPEN=1,1,4,\"\",8010",
        "AT+QSSLOPEN=1,1,4,\"a b\",8010",
        "AT+QSSLOPEN=1,1,4,\"host\",65536",
        "AT+QSSLOPEN=1,1,4,\"host\",8010,3",
        "AT+QSSLOPEN=1,1,4,\"host\"",
        "AT+QSSLSEND=12",
        "AT+QSSLSEND=4",
        "AT+QSSLRECV=4,1500",
        "AT+QSSLRECV=4,1501",
        "AT+QSSLRECV=4,0",
        "AT+QSSLRECV=4",
        "AT+QSSLCLOSE=4",
        "AT+QSSLCLOSE=4,65536",
        "AT+QSSLCLOSE",
        "AT+QSSLSTATE=12",
        "AT+QSSLSTATE",
    ] {
        stage.say(line);
    }
    insta::assert_snapshot!(stage.log());
    // The commands are those of modules with this set only.
    let mut stage = Stage::without_context("RM500Q-GL");
    assert_eq!(stage.say("AT+QSSLOPEN=?"), "\r\nERROR\r\n");
}

#[test]
fn lengths_and_ends_of_what_is_sent() {
    let mut stage = Stage::new();
    stage.say("AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010");
    assert_eq!(stage.say("AT+QSSLSEND=0"), "\r\nERROR\r\n");
    assert_eq!(stage.last_error(), 568);
    let (id, answer) = stage.opens(50_000);
    assert_eq!(answer, "\r\n+QSSLOPEN: 0,0\r\n");
    // 1460 bytes are the most, whichever way they are told.
    assert_eq!(stage.say("AT+QSSLSEND=0,1461"), "\r\nERROR\r\n");
    assert_eq!(stage.say("AT+QSSLSEND=0,0"), "\r\nERROR\r\n");
    assert_eq!(stage.say("AT+QSSLSEND=0,1460"), "\r\n> ");
    assert_eq!(stage.send(&[b'x'; 1459]), "");
    assert_eq!(stage.send(b"\x1AAT\r"), "\r\nSEND OK\r\n\r\nOK\r\n", "CTRL-Z is data here");
    assert_eq!(stage.sent().len(), 1460);
    stage.say("AT+QSSLSEND=0");
    assert_eq!(stage.send(&[&[b'x'; 1461][..], b"\x1A"].concat()), "\r\nERROR\r\n");
    assert_eq!(stage.last_error(), 552);
    stage.say("AT+QSSLSEND=0");
    assert_eq!(stage.send(b"never mind\x1B"), "\r\nERROR\r\n");
    assert_eq!(stage.last_error(), 571);
    assert!(stage.sent().is_empty());
    // The buffer is full when the network takes nothing.
    for _ in 0..7 {
        stage.say("AT+QSSLSEND=0,1460");
        assert_eq!(stage.send(&[b'x'; 1460]), "\r\nSEND OK\r\n");
    }
    stage.say("AT+QSSLSEND=0,1460");
    assert_eq!(stage.send(&[b'x'; 1460]), "\r\nSEND FAIL\r\n");
    assert_eq!(stage.sent().len(), 7 * 1460);
    stage.say("AT+QSSLSEND=0,1");
    assert_eq!(stage.send(b"x"), "\r\nSEND OK\r\n");
    // With echo the host sees what it has entered.
    stage.say("ATE1");
    assert_eq!(stage.say("AT+QSSLSEND=0,2"), "AT+QSSLSEND=0,2\r\r\n> ");
    assert_eq!(stage.send(b"hi"), "hi\r\nSEND OK\r\n");
    stage.say("ATE0");
    // The connection goes while data are entered.
    stage.say("AT+QSSLSEND=0,2");
    assert_eq!(stage.event(SocketEvent::Closed { id }), "");
    assert_eq!(stage.send(b"hi"), "\r\nERROR\r\n\r\n+QSSLURC: \"closed\",0\r\n");
    assert_eq!(stage.last_error(), 567);
}

#[test]
fn what_comes_is_kept_until_it_is_read() {
    let mut stage = Stage::new();
    stage.say("AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010");
    let (id, _) = stage.opens(50_000);
    assert_eq!(stage.receives(id, &[b'a'; 1000]), "\r\n+QSSLURC: \"recv\",0\r\n");
    assert_eq!(stage.receives(id, &[b'b'; 1000]), "", "one URC until all was read");
    assert!(stage.say("AT+QSSLRECV=0,1500").starts_with("\r\n+QSSLRECV: 1500\r\naaaa"));
    assert_eq!(stage.modem.flow(id).room, 64 * 1024 - 500);
    // It can still be read when the connection has ended.
    assert_eq!(stage.event(SocketEvent::Closed { id }), "\r\n+QSSLURC: \"closed\",0\r\n");
    assert!(stage.say("AT+QSSLSTATE").contains(",4,1,0,0,\"usbmodem\",0\r\n"));
    assert!(stage.say("AT+QSSLRECV=0,1500").starts_with("\r\n+QSSLRECV: 500\r\nbbbb"));
    assert_eq!(stage.say("AT+QSSLRECV=0,1500"), "\r\nERROR\r\n");
    assert_eq!(stage.last_error(), 567);
    assert_eq!(stage.say("AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010"), "\r\nERROR\r\n");
    assert_eq!(stage.last_error(), 563);
    assert_eq!(stage.say("AT+QSSLCLOSE=0"), "\r\nOK\r\n");
    assert_eq!(stage.say("AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010"), "\r\nOK\r\n");
}

#[test]
fn modes_can_be_switched() {
    let mut stage = Stage::new();
    stage.say("AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010");
    let (id, _) = stage.opens(50_000);
    stage.receives(id, b"kept");
    assert_eq!(stage.say("AT+QISWTMD=0,1"), "\r\nOK\r\n\r\n+QSSLURC: \"recv\",0,4\r\nkept\r\n");
    let pushed = stage.receives(id, &[b'x'; 1600]);
    assert!(pushed.starts_with("\r\n+QSSLURC: \"recv\",0,1500\r\nxxx"));
    assert!(pushed.ends_with(&format!("\r\n+QSSLURC: \"recv\",0,100\r\n{}\r\n", "x".repeat(100))));
    assert_eq!(stage.say("AT+QISWTMD=0,0"), "\r\nOK\r\n");
    assert_eq!(stage.receives(id, b"kept"), "\r\n+QSSLURC: \"recv\",0\r\n");
    assert_eq!(stage.say("AT+QISWTMD=0,2"), "\r\nCONNECT\r\nkept");
    stage.wait(Duration::from_secs(2));
    stage.send(b"+++");
    assert_eq!(stage.wait(Duration::from_secs(1)), "\r\nOK\r\n");
    // While the port has one, it has no place for another.
    assert_eq!(stage.say("AT+QSSLOPEN=1,0,1,\"220.180.239.212\",8010,2"), "\r\nERROR\r\n");
    assert_eq!(stage.last_error(), 574);
    assert_eq!(stage.say("AT+QSSLSEND=0"), "\r\nERROR\r\n");
    assert_eq!(stage.last_error(), 572);
    assert_eq!(stage.say("ATO"), "\r\nCONNECT\r\n");
    let _ = stage.modem.drop_line(1);
    assert_eq!(stage.say("ATO"), "\r\nNO CARRIER\r\n");
    assert_eq!(stage.say("AT+QISWTMD=9,1"), "\r\nERROR\r\n");
}

/// §1.3: AT&D1 makes the drop of the line a way out.
#[test]
fn a_line_that_drops_leaves_transparent_access() {
    let mut stage = Stage::new();
    stage.say("AT&D1");
    stage.say("AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010,2");
    let (_, answer) = stage.opens(50_000);
    assert_eq!(answer, "\r\nCONNECT\r\n");
    assert_eq!(stage.modem.drop_line(1).for_port(1), b"\r\nOK\r\n");
    assert!(stage.say("AT+QSSLSTATE").contains(",2,1,0,2,"));
    assert_eq!(stage.say("ATO"), "\r\nCONNECT\r\n");
    // With AT&D2 it is the end of the connection.
    stage.modem.drop_line(1).for_port(1);
    stage.say("AT&D2");
    stage.say("ATO");
    assert_eq!(stage.modem.drop_line(1).for_port(1), b"\r\nNO CARRIER\r\n");
    assert_eq!(stage.say("AT+QSSLSTATE"), "\r\nOK\r\n");
}

#[test]
fn settings_reach_the_connection() {
    let mut stage = Stage::new();
    stage.say("AT+QFUPL=\"ca.pem\",3");
    stage.send(b"PEM");
    for line in [
        "AT+QSSLCFG=\"sslversion\",2,3",
        "AT+QSSLCFG=\"ciphersuite\",2,0XC02F",
        "AT+QSSLCFG=\"secllevel\",2,2",
        "AT+QSSLCFG=\"cacert\",2,\"UFS:ca.pem\"",
        "AT+QSSLCFG=\"ignorelocaltime\",2,0",
        "AT+QSSLCFG=\"negotiatetime\",2,10",
        "AT+QSSLCFG=\"sni\",2,1",
        "AT+QSSLCFG=\"dtls\",2,1",
        "AT+QSSLCFG=\"ignorecertitem\",2,9",
        "AT+CCLK=\"30/01/02,03:04:05+00\"",
        "AT+QSSLOPEN=1,2,0,\"iot.example\",443",
    ] {
        assert_eq!(stage.say(line), "\r\nOK\r\n", "{line}");
    }
    let Some(SocketRequest::Open { transport, host, port, resolves, tls: Some(tls), .. }) = stage.requests.last()
    else {
        panic!("{:?}", stage.requests)
    };
    assert_eq!((*transport, host.as_str(), *port, *resolves), (Transport::Udp, "iot.example", 443, true));
    assert_eq!((tls.versions, tls.suites.as_slice(), tls.verify), (TlsVersions::Tls12, &[0xC02F][..], true));
    assert_eq!(tls.trusted, [b"PEM"]);
    // 2030-01-02 03:04:05 UTC.
    assert_eq!((tls.time, tls.server_name.as_deref(), tls.ignored), (Some(1_893_553_445), Some("iot.example"), 9));
    // A name server that does not answer (§4, 2).
    stage.say("AT+QIDNSCFG=1,\"192.0.2.1\",\"192.0.2.2\"");
    stage.say("AT+QSSLOPEN=1,2,1,\"iot.example\",443");
    assert!(matches!(stage.requests.last(), Some(SocketRequest::Open { resolves: false, .. })));
}

/// Twelve sockets over one SSL context, and not one more.
#[test]
fn twelve_sockets() {
    let mut stage = Stage::new();
    for index in 0..12 {
        assert_eq!(stage.say(&format!("AT+QSSLOPEN=1,5,{index},\"220.180.239.212\",8010")), "\r\nOK\r\n");
        let (_, answer) = stage.opens(50_000 + index);
        assert_eq!(answer, format!("\r\n+QSSLOPEN: {index},0\r\n"));
    }
    assert_eq!(stage.say("AT+QSSLSTATE").matches("+QSSLSTATE").count(), 12);
    assert_eq!(stage.say("AT+QSSLOPEN=1,5,12,\"220.180.239.212\",8010"), "\r\nERROR\r\n");
}

/// §2.2.2, and `"negotiatetime"`.
#[test]
fn what_takes_too_long() {
    let mut stage = Stage::new();
    stage.say("AT+QSSLCFG=\"negotiatetime\",0,10");
    stage.say("AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010");
    assert_eq!(stage.wait(Duration::from_secs(149)), "");
    assert_eq!(stage.wait(Duration::from_secs(1)), "\r\n+QSSLOPEN: 0,569\r\n");
    stage.say("AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010");
    let id = stage.opened_last();
    stage.event(SocketEvent::Negotiating { id });
    assert_eq!(stage.wait(Duration::from_secs(10)), "\r\n+QSSLOPEN: 0,569\r\n");
    assert_eq!(stage.requests.last(), Some(&SocketRequest::Close { id, abort: true }));
    // A late word about it is for nobody.
    assert_eq!(stage.event(SocketEvent::Opened { id, local_port: 1, remote: None }), "");
    // Closing, too, has its time.
    stage.say("AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010");
    let (id, _) = stage.opens(50_000);
    assert_eq!(stage.say("AT+QSSLCLOSE=0,3"), "");
    assert_eq!(stage.wait(Duration::from_secs(3)), "\r\nOK\r\n");
    assert_eq!(stage.requests.last(), Some(&SocketRequest::Close { id, abort: true }));
    // In transparent access the command itself fails.
    stage.say("AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010,2");
    assert_eq!(stage.wait(Duration::from_secs(150)), "\r\nERROR\r\n");
    assert_eq!(stage.last_error(), 569);
}

/// Table 4: each code that a host can come to see, but for those that only a world brings about, which are told by it.
#[test]
fn error_codes() {
    let mut stage = Stage::without_context("EC200U");
    let open = "AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010";
    let mut reached = Vec::new();
    let mut expect = |stage: &mut Stage, line: &str, error: IpError| {
        assert_eq!(stage.say(line), "\r\nERROR\r\n", "{line}");
        assert_eq!(stage.last_error(), error.code(), "{line}");
        reached.push(error);
    };
    expect(&mut stage, open, IpError::OpenContextFailed);
    expect(&mut stage, "AT+QIACT=2", IpError::ApnNotConfigured);
    stage.say("AT+QIACT=1");
    expect(&mut stage, "AT+QSSLOPEN=1,0", IpError::InvalidParameter);
    stage.say("AT+QSSLCFG=\"ciphersuite\",0,0XC004");
    expect(&mut stage, open, IpError::NotSupported);
    stage.say("AT+QSSLCFG=\"ciphersuite\",0,0XFFFF");
    stage.say("AT+QFUPL=\"large.pem\",70000");
    stage.send(&[b'x'; 70_000]);
    stage.say("AT+QSSLCFG=\"cacert\",0,\"UFS:large.pem\"");
    stage.say("AT+QSSLCFG=\"secllevel\",0,1");
    expect(&mut stage, open, IpError::MemoryNotEnough);
    stage.say("AT+QSSLCFG=\"secllevel\",0,0");
    stage.say("AT+QIDNSGIP=1,\"host\"");
    expect(&mut stage, "AT+QIDNSGIP=1,\"host\"", IpError::DnsBusy);
    stage.say(open);
    expect(&mut stage, open, IpError::IdentityUsed);
    expect(&mut stage, "AT+QSSLSEND=0", IpError::Busy);
    expect(&mut stage, "AT+QSSLSEND=1", IpError::SocketClosed);
    let (id, _) = stage.opens(50_000);
    expect(&mut stage, "AT+QSSLSEND=0;+CSQ", IpError::Blocked);
    stage.say("AT+QISWTMD=0,2");
    stage.wait(Duration::from_secs(2));
    stage.send(b"+++");
    stage.wait(Duration::from_secs(1));
    expect(&mut stage, "AT+QSSLSEND=0", IpError::NotAllowed);
    expect(&mut stage, "AT+QSSLOPEN=1,0,1,\"220.180.239.212\",8010,2", IpError::PortBusy);
    stage.say("AT+QISWTMD=0,0");
    // A connection that breaks while it stands.
    for error in [IpError::ReadFailed, IpError::WriteFailed] {
        stage.say("AT+QSSLCLOSE=0,0");
        stage.say(open);
        stage.opens(50_000);
        assert_eq!(stage.fails(error), "\r\n+QSSLURC: \"closed\",0\r\n");
        assert_eq!(stage.last_error(), error.code());
        reached.push(error);
    }
    let _ = id;
    stage.say("AT+QSSLCLOSE=0,0");
    // What the world tells while it is being opened.
    for error in IpError::ALL {
        stage.say(open);
        assert_eq!(stage.fails(*error), format!("\r\n+QSSLOPEN: 0,{}\r\n", error.code()));
        assert_eq!(stage.last_error(), error.code());
    }
    // The context goes while it is needed.
    stage.say(open);
    assert_eq!(stage.say("AT+CFUN=4"), "\r\nOK\r\n\r\n+QIURC: \"pdpdeact\",1\r\n\r\n+QSSLOPEN: 0,570\r\n");
    assert_eq!(stage.last_error(), 570);
    assert!(reached.len() >= 14);
}

/// The context goes under a connection that stands: by itself, or by AT+QIDEACT, which closes what is open.
#[test]
fn contexts_that_go() {
    let mut stage = Stage::new();
    stage.say("AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010");
    stage.opens(50_000);
    assert_eq!(stage.say("AT+QIDEACT=1"), "\r\nOK\r\n");
    assert_eq!(stage.say("AT+QSSLSTATE"), "\r\nOK\r\n");
    stage.say("AT+QIACT=1");
    stage.say("AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010");
    stage.opens(50_000);
    assert_eq!(stage.say("AT+CFUN=4"), "\r\nOK\r\n\r\n+QIURC: \"pdpdeact\",1\r\n\r\n+QSSLURC: \"closed\",0\r\n");
    assert!(stage.say("AT+QSSLSTATE").contains(",4,1,0,0,"));
    assert_eq!(stage.say("AT+QSSLCLOSE=0"), "\r\nOK\r\n");
    stage.say("AT+CFUN=1;+QIACT=1");
    stage.say("AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010,2");
    stage.opens(50_000);
    let _ = stage.modem.set_card(None);
    assert!(!stage.modem.is_in_data_mode(1));
}

/// A host that goes while its command waits leaves nothing behind.
#[test]
fn hosts_that_go() {
    let mut stage = Stage::new();
    stage.say("AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010,2");
    let output = stage.modem.hang_up(1);
    assert!(matches!(output.requests[..], [SocketRequest::Close { abort: true, .. }]));
    let (_, answer) = stage.opens(50_000);
    assert_eq!(answer, "");
    assert_eq!(stage.say("AT+QSSLSTATE"), "\r\nOK\r\n");
    stage.say("AT+QSSLOPEN=1,0,0,\"220.180.239.212\",8010");
    stage.opens(50_000);
    stage.say("AT+QSSLSEND=0");
    let _ = stage.modem.hang_up(1);
    assert_eq!(stage.say("AT"), "\r\nOK\r\n");
    let output = stage.modem.reset();
    assert!(matches!(output.requests[..], [SocketRequest::Close { abort: true, .. }]));
}
