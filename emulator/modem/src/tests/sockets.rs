//! The TCP/IP commands (EC200U&EG915U TCP/IP AN 1.1), with a world that the test plays, and over real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

use super::peer::Line;
use super::stage::Stage;
use crate::HostNetwork;
use crate::socket::{SocketEvent, SocketId};

#[test]
fn forms() {
    let mut stage = Stage::new();
    for line in [
        "AT+QIOPEN=?",
        "AT+QISEND=?",
        "AT+QISENDEX=?",
        "AT+QIRD=?",
        "AT+QICLOSE=?",
        "AT+QISTATE=?",
        "AT+QISWTMD=?",
        "AT+QIDNSGIP=?",
        "AT+QIGETERROR=?",
        "AT+QIOPEN=1,0,\"SCTP\",\"host\",1",
        "AT+QIOPEN=1,0,\"TCP\",\"host\",0",
        "AT+QIOPEN=1,0,\"TCP LISTENER\",\"127.0.0.1\",0,0",
        "AT+QIOPEN=1,0,\"TCP LISTENER\",\"127.0.0.1\",0,2020,2",
        "AT+QIOPEN=2,0,\"TCP\",\"host\",1",
        "AT+QISEND=0",
        "AT+QIRD=0",
        "AT+QISWTMD=0,3",
        "AT+QISTATE=0,1",
        "AT+QISTATE=2,1",
        "AT+QICLOSE=0",
    ] {
        stage.say(line);
    }
    insta::assert_snapshot!(stage.log());
}

#[test]
fn clients() {
    let mut stage = Stage::new();
    stage.say("AT+QIOPEN=1,0,\"TCP\",\"220.180.239.212\",8009,0,0");
    let (id, _) = stage.opens(65_514);
    stage.say("AT+QISTATE=1,0");
    stage.say("AT+QISEND=0");
    stage.send(b"test1\x1A");
    stage.say("AT+QISEND=0,4");
    stage.send(b"test");
    stage.say("AT+QISENDEX=0,\"3132333435\"");
    stage.say("AT+QISEND=0,0");
    assert_eq!(stage.sent(), b"test1test12345");
    stage.say("AT+QISEND=0,0");
    stage.receives(id, b"test");
    stage.say("AT+QIRD=0,0");
    stage.say("AT+QIRD=0,3");
    stage.say("AT+QIRD=0,0");
    stage.say("AT+QIRD=0");
    stage.say("AT+QIRD=0,1500");
    stage.event(SocketEvent::Closed { id });
    stage.say("AT+QISTATE?");
    stage.say("AT+QICLOSE=0");
    stage.say("AT+QIOPEN=1,1,\"UDP\",\"220.180.239.212\",8009,0,1");
    let (id, _) = stage.opens(65_515);
    stage.receives(id, b"datagram");
    stage.say("AT+QISTATE=0,1");
    stage.say("AT+QSSLSTATE");
    stage.say("AT+QSSLSEND=1");
    stage.say("AT+QIDNSGIP=1,\"iot.example\"");
    let id = stage.opened_last();
    let addresses = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    stage.event(SocketEvent::Resolved { id, addresses });
    stage.say("AT+QIDNSGIP=1,\"nobody.example\"");
    let id = stage.opened_last();
    stage.event(SocketEvent::Resolved { id, addresses: Vec::new() });
    stage.say("AT+QIGETERROR");
    insta::assert_snapshot!(stage.log());
}

#[test]
fn services() {
    let mut stage = Stage::new();
    stage.say("AT+QIOPEN=1,1,\"TCP LISTENER\",\"127.0.0.1\",0,2020,0");
    let listener = stage.opened_last();
    stage.event(SocketEvent::Opened { id: listener, local_port: 2020, remote: None });
    let remote: SocketAddr = "10.7.76.34:7687".parse().unwrap();
    let accepted = |number: u64| SocketId(SocketId::ACCEPTED | number);
    stage.event(SocketEvent::Accepted { listener, id: accepted(0), remote, local_port: 2020 });
    stage.say("AT+QISTATE");
    stage.receives(accepted(0), b"test");
    stage.say("AT+QIRD=0,1500");
    stage.say("AT+QISEND=1");
    for number in 1..11 {
        stage.event(SocketEvent::Accepted { listener, id: accepted(number), remote, local_port: 2020 });
    }
    stage.requests.clear();
    stage.event(SocketEvent::Accepted { listener, id: accepted(11), remote, local_port: 2020 });
    assert_eq!(stage.requests.len(), 1, "it is closed");
    stage.say("AT+QICLOSE=1");
    stage.say("AT+QICLOSE=2,0");
    stage.say("AT+QIOPEN=1,2,\"UDP SERVICE\",\"127.0.0.1\",0,3030,0");
    let service = stage.opened_last();
    stage.event(SocketEvent::Opened { id: service, local_port: 3030, remote: None });
    stage.event(SocketEvent::Received { id: service, bytes: b"one".to_vec(), from: Some(remote) });
    stage.event(SocketEvent::Received { id: service, bytes: b"two".to_vec(), from: Some(remote) });
    stage.say("AT+QIRD=2");
    stage.say("AT+QIRD=2");
    stage.say("AT+QIRD=2");
    stage.say("AT+QISEND=2,5");
    stage.say("AT+QISEND=2,5,\"10.7.89.10\",6969");
    stage.send(b"12345");
    stage.say("AT+QISWTMD=2,1");
    stage.event(SocketEvent::Received { id: service, bytes: b"three".to_vec(), from: Some(remote) });
    insta::assert_snapshot!(stage.log());
}

#[test]
fn over_real_sockets() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let mut line = Line::new(HostNetwork::loopback().name("server.example", address.ip()));
    assert!(line.ask("AT+QIDNSGIP=1,\"server.example\"").contains("OK"));
    line.until("+QIURC: \"dnsgip\",\"127.0.0.1\"\r\n");
    line.ask(&format!("AT+QIOPEN=1,0,\"TCP\",\"server.example\",{},0,1", address.port()));
    line.until("+QIOPEN: 0,0\r\n");
    let (mut peer, _) = server.accept().unwrap();
    peer.write_all(b"welcome").unwrap();
    line.until("+QIURC: \"recv\",0,7\r\nwelcome\r\n");
    line.write(b"AT+QISEND=0,5\r");
    line.until("> ");
    line.write(b"hello");
    line.until("SEND OK");
    let mut heard = [0; 5];
    peer.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    drop(peer);
    line.until("+QIURC: \"closed\",0\r\n");
    line.ask("AT+QICLOSE=0");

    // A port that is taken, and one that is not.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    line.ask(&format!("AT+QIOPEN=1,1,\"TCP LISTENER\",\"127.0.0.1\",0,{port},0"));
    line.until("+QIOPEN: 1,556\r\n");
    drop(taken);
    line.ask(&format!("AT+QIOPEN=1,1,\"TCP LISTENER\",\"127.0.0.1\",0,{port},0"));
    line.until("+QIOPEN: 1,0\r\n");
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"knock").unwrap();
    line.until("+QIURC: \"incoming\",0,1,\"127.0.0.1\",");
    line.until("+QIURC: \"recv\",0\r\n");
    assert!(line.ask("AT+QIRD=0").contains("+QIRD: 5\r\nknock\r\n"));
    line.ask("AT+QICLOSE=0");
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "closed");

    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = probe.local_addr().unwrap().port();
    drop(probe);
    line.ask(&format!("AT+QIOPEN=1,2,\"UDP SERVICE\",\"127.0.0.1\",0,{port},0"));
    line.until("+QIOPEN: 2,0\r\n");
    other.send_to(b"ping", ("127.0.0.1", port)).unwrap();
    line.until("+QIURC: \"recv\",2\r\n");
    let from = other.local_addr().unwrap().port();
    assert!(line.ask("AT+QIRD=2").contains(&format!("+QIRD: 4,\"127.0.0.1\",{from}\r\nping\r\n")));
    line.write(format!("AT+QISEND=2,4,\"127.0.0.1\",{from}\r").as_bytes());
    line.until("> ");
    line.write(b"pong");
    line.until("SEND OK");
    let mut heard = [0; 8];
    assert_eq!(other.recv(&mut heard).unwrap(), 4);
    assert_eq!(&heard[..4], b"pong");
    line.stop();
}

/// A host that does not read loses nothing: the peer has to wait.
#[test]
fn nothing_is_lost_in_transparent_access() {
    const SIZE: usize = 3_000_000;
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let mut line = Line::new(HostNetwork::loopback());
    let pattern = |from: usize, count: usize| -> Vec<u8> {
        (from..from + count).map(|at| b"+++0123456789abcdef+\r\n++"[at % 24]).collect()
    };
    line.write(format!("AT+QIOPEN=1,0,\"TCP\",\"127.0.0.1\",{},0,2\r", address.port()).as_bytes());
    line.until("\r\nCONNECT\r\n");
    let (mut peer, _) = server.accept().unwrap();
    let mut writer = peer.try_clone().unwrap();
    let down = std::thread::spawn(move || writer.write_all(&pattern(0, SIZE)).unwrap());
    let up = std::thread::spawn(move || {
        let mut all = Vec::new();
        Read::by_ref(&mut peer).take(SIZE as u64).read_to_end(&mut all).unwrap();
        (all, peer)
    });
    let sent = pattern(0, SIZE);
    let received = line.exchange(&sent, SIZE);
    down.join().unwrap();
    let (arrived, _peer) = up.join().unwrap();
    assert!(arrived == sent, "up");
    assert!(received == sent, "down");
    line.stop();
}
