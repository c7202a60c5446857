//! A host of its own at the other end of `ATD*99#`: it has nothing of the modem's code, and what it gets is read once more
//! by tshark.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up has failed")]

use std::path::Path;
use std::process::Command;

use esimlab::lab::{Lab, Preinstalled};
use modem::{Model, Output};
use smdp::Profile;
use smdp::profile::built_in_named;

const LCP: u16 = 0xC021;
const IPCP: u16 = 0x8021;
const IPV4: u16 = 0x0021;

/// FCS-16 (RFC 1662 §C.1), one bit of the polynomial x^16 + x^12 + x^5 + 1 after the other.
fn fcs(bytes: &[u8]) -> u16 {
    let mut register = 0xFFFFu16;
    for byte in bytes {
        for bit in 0..8 {
            let differs = (register ^ u16::from(byte >> bit)) & 1 == 1;
            register >>= 1;
            if differs {
                register ^= 0x8408;
            }
        }
    }
    !register
}

/// The checksum of RFC 1071, by the remainder; all ones over bytes that have theirs in them.
fn internet_sum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|pair| u64::from(pair[0]) * 256 + pair.get(1).map_or(0, |low| u64::from(*low)));
    let sum = words.sum::<u64>() % 0xFFFF;
    (!(sum as u16)).to_be_bytes()
}

/// A host with its end of the link, and everything that came from the modem.
struct Host {
    lab: Lab,
    heard: Vec<Vec<u8>>,
}

impl Host {
    fn write(&self, bytes: &[u8]) -> Vec<u8> {
        self.lab.modem().with(|modem| (modem.receive(0, bytes).for_port(0), Output::default()))
    }

    fn say(&self, line: &str) -> String {
        String::from_utf8(self.write(format!("{line}\r").as_bytes())).unwrap()
    }

    /// Sends one packet, and gives what comes back: protocol and packet.
    fn send(&mut self, protocol: u16, packet: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let mut content = vec![0xFF, 0x03];
        content.extend(protocol.to_be_bytes());
        content.extend(packet);
        content.extend(fcs(&content).to_le_bytes());
        let mut line = vec![0x7E];
        for byte in content {
            if byte < 0x20 || byte == 0x7D || byte == 0x7E {
                line.push(0x7D);
                line.push(byte ^ 0x20);
            } else {
                line.push(byte);
            }
        }
        line.push(0x7E);
        let answer = self.write(&line);
        let mut packets = Vec::new();
        for frame in answer.split(|byte| *byte == 0x7E).filter(|frame| !frame.is_empty()) {
            let mut plain = Vec::new();
            let mut escaped = false;
            for byte in frame {
                match (escaped, *byte) {
                    (false, 0x7D) => escaped = true,
                    (was, byte) => {
                        assert!(was || byte >= 0x20, "a control character that is not escaped");
                        plain.push(if was { byte ^ 0x20 } else { byte });
                        escaped = false;
                    }
                }
            }
            let (content, check) = plain.split_at(plain.len() - 2);
            assert_eq!(check, fcs(content).to_le_bytes(), "{plain:02X?}");
            assert_eq!(content[..2], [0xFF, 0x03]);
            packets.push((u16::from_be_bytes([content[2], content[3]]), content[4..].to_vec()));
            self.heard.push(content.to_vec());
        }
        packets
    }

    /// A packet of LCP or IPCP.
    fn control(&mut self, protocol: u16, code: u8, identifier: u8, data: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let length = (data.len() as u16 + 4).to_be_bytes();
        self.send(protocol, &[&[code, identifier, length[0], length[1]], data].concat())
    }

    /// Negotiates as a host does that takes what it is told: it asks, follows every Nak and Reject, and agrees to
    /// whatever the other end asks for. Gives the options that were agreed to.
    fn negotiate(&mut self, protocol: u16, mut options: Vec<(u8, Vec<u8>)>) -> Vec<(u8, Vec<u8>)> {
        let (mut ours, mut theirs, mut identifier) = (false, false, 0x40);
        for _ in 0..10 {
            identifier += 1;
            let written: Vec<u8> = options
                .iter()
                .flat_map(|(kind, value)| [&[*kind, value.len() as u8 + 2][..], value].concat())
                .collect();
            let mut answers = self.control(protocol, 1, identifier, &written);
            while let Some((other, packet)) = answers.pop() {
                assert_eq!(other, protocol);
                let length = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
                let mut told = Vec::new();
                let mut rest = &packet[4..length];
                while let [kind, size, ..] = *rest {
                    told.push((kind, rest[2..usize::from(size)].to_vec()));
                    rest = &rest[usize::from(size)..];
                }
                match packet[0] {
                    1 => {
                        theirs = true;
                        let more = self.control(protocol, 2, packet[1], &packet[4..length]);
                        answers.extend(more);
                    }
                    2 => {
                        assert_eq!((packet[1], &packet[4..length]), (identifier, &written[..]));
                        ours = true;
                    }
                    3 => options.iter_mut().for_each(|(kind, value)| {
                        if let Some((_, right)) = told.iter().find(|(other, _)| other == kind) {
                            value.clone_from(right);
                        }
                    }),
                    4 => options.retain(|option| !told.contains(option)),
                    code => panic!("code {code}"),
                }
            }
            if ours && theirs {
                return options;
            }
        }
        panic!("the two ends do not come together");
    }
}

/// Writes packets that begin with address and control as a capture of PPP (LINKTYPE_PPP is 9).
fn write_capture(path: &Path, packets: &[Vec<u8>]) {
    let mut bytes = 0xA1B2_C3D4u32.to_le_bytes().to_vec();
    for half in [2u16, 4] {
        bytes.extend(half.to_le_bytes());
    }
    for word in [0u32, 0, 65_535, 9] {
        bytes.extend(word.to_le_bytes());
    }
    for packet in packets {
        for word in [0, 0, packet.len() as u32, packet.len() as u32] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(packet);
    }
    std::fs::write(path, bytes).unwrap();
}

/// An echo request of the host to an address.
fn ping(from: &[u8], to: &[u8], payload: usize) -> Vec<u8> {
    let mut message = vec![8, 0, 0, 0, 0, 7, 0, 1];
    message.extend((0..payload).map(|index| index as u8));
    let sum = internet_sum(&message);
    message[2..4].copy_from_slice(&sum);
    let total = (message.len() as u16 + 20).to_be_bytes();
    let mut packet = vec![0x45, 0, total[0], total[1], 0, 1, 0x40, 0, 64, 1, 0, 0];
    packet.extend_from_slice(from);
    packet.extend_from_slice(to);
    let sum = internet_sum(&packet);
    packet[10..12].copy_from_slice(&sum);
    packet.extend(message);
    packet
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_of_ppp_as_others_read_it() {
    let profile = Profile::build(&built_in_named("operator-a").unwrap()).unwrap();
    let lab = Lab::builder()
        .seed(1)
        .model(Model::named("EC200U").unwrap())
        .profile(Preinstalled { profile, enabled: true, nickname: None })
        .start()
        .unwrap();
    let mut host = Host { lab, heard: Vec::new() };
    host.say("ATE0");
    assert_eq!(host.say("ATD*99***1#"), "\r\nCONNECT 115200\r\n");
    // Authentication by the host and callback are not wanted; the compressions are taken.
    let asked = vec![(2, vec![0; 4]), (5, vec![1, 2, 3, 4]), (7, vec![]), (8, vec![]), (13, vec![6])];
    let agreed = host.negotiate(LCP, asked);
    assert_eq!(agreed, [(2, vec![0; 4]), (5, vec![1, 2, 3, 4]), (7, vec![]), (8, vec![])]);
    // Header compression and the servers of NetBIOS are not; the address and the name servers are told.
    let nothing = vec![0; 4];
    let asked = [2, 3, 129, 130, 131, 132].map(|kind| (kind, nothing.clone())).to_vec();
    let agreed = host.negotiate(IPCP, asked);
    let right = [(3, vec![10, 7, 157, 1]), (129, vec![10, 7, 0, 1]), (131, vec![10, 7, 0, 2])];
    assert_eq!(agreed, right);
    // IPv6 and compression of packets.
    for protocol in [0x8057u16, 0x80FD] {
        let [(LCP, rejected)] = &host.control(protocol, 1, 1, &[])[..] else { panic!("{protocol:04X}") };
        assert_eq!((rejected[0], &rejected[4..6]), (8, &protocol.to_be_bytes()[..]));
    }
    assert_eq!(host.control(LCP, 9, 3, &[1, 2, 3, 4, 0x7E])[0].1[0], 10);
    for payload in [0, 1, 56, 1472] {
        let [(IPV4, reply)] = &host.send(IPV4, &ping(&[10, 7, 157, 1], &[10, 7, 157, 254], payload))[..] else {
            panic!("{payload} bytes")
        };
        assert_eq!((&reply[12..20], reply[20]), (&[10, 7, 157, 254, 10, 7, 157, 1][..], 0));
        assert_eq!(internet_sum(&reply[20..]), [0xFF, 0xFF], "nothing, modulo 65535");
        assert_eq!(reply[28..].len(), payload);
    }
    let heard = host.heard.len();

    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("ppp.pcap");
    write_capture(&capture, &host.heard);
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(&capture);
    command.args(["-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator=|"]);
    for field in ["ppp.protocol", "_ws.malformed", "ip.checksum.status", "icmp.checksum.status"] {
        command.args(["-e", field]);
    }
    let output = match command.output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => return eprintln!("skipped: tshark cannot be run: {error}"),
    };
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), heard, "{output}");
    for line in &lines {
        let fields: Vec<&str> = line.split('|').collect();
        // 1 is a checksum that is right.
        let is_right = matches!(fields[..], ["0xc021" | "0x8021", "", "", ""] | ["0x0021", "", "1", "1"]);
        assert!(is_right, "{line}");
    }
    assert_eq!(lines.iter().filter(|line| line.starts_with("0x0021")).count(), 4);
}
