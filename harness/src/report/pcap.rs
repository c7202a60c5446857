//! The APDUs of a run as a packet capture: pcapng, each APDU a GSMTAP packet as Wireshark reads it from a SIM trace.
//!
//! Every scenario has an interface of its own, named by its id (`frame.interface_name` in Wireshark). Time is that of
//! the timeline, counted from the Unix epoch. Layout: draft-ietf-opsawg-pcapng §4; GSMTAP version 2 as in libosmocore's
//! `gsmtap.h`; IPv4 and UDP as in RFC 791 and RFC 768.

use super::html::Named;
use crate::timeline::Kind;

/// LINKTYPE_RAW: packets begin with the IP header.
const LINK_TYPE: u16 = 101;
/// The port of GSMTAP.
const PORT: u16 = 4729;
const VERSION: u8 = 2;
/// The length of the GSMTAP header in 32-bit words.
const HEADER_WORDS: u8 = 4;
const TYPE_SIM: u8 = 4;
/// Sub-type of a command together with its response.
const SUB_TYPE_APDU: u8 = 0;

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const OPTION_NAME: u16 = 2;
const OPTION_COMMENT: u16 = 1;

/// The capture as the bytes of a file.
pub fn render(runs: &[Named]) -> Vec<u8> {
    let mut file = Vec::new();
    // Byte-order magic, version 1.0, section length not given.
    let mut section = Vec::new();
    section.extend(0x1A2B_3C4D_u32.to_le_bytes());
    section.extend(1u16.to_le_bytes());
    section.extend(0u16.to_le_bytes());
    section.extend(u64::MAX.to_le_bytes());
    block(&mut file, SECTION_HEADER, &section);
    let mut interface: u32 = 0;
    let scenarios = runs.iter().flat_map(|named| named.run.scenarios.iter().map(move |scenario| (named, scenario)));
    for (named, scenario) in scenarios {
        let apdus = scenario.timeline.iter().filter_map(|event| match &event.kind {
            Kind::Apdu { command, response } => Some((event.at, command, response)),
            _ => None,
        });
        let mut apdus = apdus.peekable();
        if apdus.peek().is_none() {
            continue;
        }
        let mut description = Vec::new();
        description.extend(LINK_TYPE.to_le_bytes());
        description.extend(0u16.to_le_bytes());
        // No limit on the length of packets.
        description.extend(0u32.to_le_bytes());
        let name = if runs.len() == 1 { scenario.id.clone() } else { format!("{}: {}", named.name, scenario.id) };
        option(&mut description, OPTION_NAME, name.as_bytes());
        option(&mut description, OPTION_COMMENT, scenario.title.as_bytes());
        option(&mut description, 0, &[]);
        block(&mut file, INTERFACE, &description);
        for (at, command, response) in apdus {
            let packet = datagram(&gsmtap(command, response));
            // Microseconds, which is what an interface without the option if_tsresol has.
            let time = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
            let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
            let mut body = Vec::with_capacity(packet.len() + 24);
            body.extend(interface.to_le_bytes());
            body.extend(((time >> 32) as u32).to_le_bytes());
            body.extend((time as u32).to_le_bytes());
            body.extend(length.to_le_bytes());
            body.extend(length.to_le_bytes());
            body.extend(&packet);
            pad(&mut body);
            block(&mut file, PACKET, &body);
        }
        interface += 1;
    }
    file
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    pad(body);
}

/// A block: type, total length, body, total length again. The body is a multiple of four bytes long.
fn block(file: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = u32::try_from(body.len() + 12).unwrap_or(u32::MAX).to_le_bytes();
    file.extend(kind.to_le_bytes());
    file.extend(length);
    file.extend(body);
    file.extend(length);
}

/// The GSMTAP header, the command, and the response with its status word: so a tracer between reader and card sees it.
fn gsmtap(command: &[u8], response: &[u8]) -> Vec<u8> {
    let mut packet = vec![VERSION, HEADER_WORDS, TYPE_SIM, 0];
    // Channel, signal and noise, frame number: of the air, not of a card.
    packet.extend([0; 8]);
    packet.extend([SUB_TYPE_APDU, 0, 0, 0]);
    packet.extend(command);
    packet.extend(response);
    packet
}

/// A UDP datagram over IPv4 from loopback to loopback.
fn datagram(payload: &[u8]) -> Vec<u8> {
    let length = |header: usize| u16::try_from(payload.len() + header).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x45, 0];
    packet.extend(length(28));
    // No identification, not to be fragmented, 64 hops, UDP, checksum to come.
    packet.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    packet.extend([127, 0, 0, 1, 127, 0, 0, 1]);
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    // RFC 791: the one's complement of the one's complement sum.
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let checksum = !((folded & 0xFFFF) + (folded >> 16)) as u16;
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(PORT.to_be_bytes());
    packet.extend(PORT.to_be_bytes());
    packet.extend(length(8));
    // RFC 768: no checksum.
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::result::tests::run;
    use crate::timeline::{Event, Role};
    use std::time::Duration;

    fn captured() -> [Named; 1] {
        let mut run = run();
        run.scenarios[0].timeline.push(Event {
            at: Duration::from_micros(1_500_000),
            role: Role::Card,
            kind: Kind::Apdu { command: vec![0, 0xA4, 0, 4, 2, 0x3F, 0], response: vec![0x90, 0] },
        });
        [Named { name: "lpad".to_owned(), run }]
    }

    #[test]
    fn blocks_tell_their_lengths_at_both_ends() {
        let file = render(&captured());
        let (mut rest, mut kinds) = (&file[..], vec![]);
        while !rest.is_empty() {
            let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
            let length = word(4) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(word(length - 4) as usize, length);
            kinds.push(word(0));
            rest = &rest[length..];
        }
        assert_eq!(kinds, [SECTION_HEADER, INTERFACE, PACKET]);
    }

    #[test]
    fn the_checksum_of_the_ip_header_is_right() {
        // RFC 1071: the sum over a header with its checksum is all ones.
        let packet = datagram(&[1, 2, 3]);
        let sum: u32 = packet[..20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        assert_eq!((sum & 0xFFFF) + (sum >> 16), 0xFFFF);
        assert_eq!(packet.len(), 31);
    }

    #[test]
    fn wireshark_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.pcapng");
        std::fs::write(&path, render(&captured())).unwrap();
        let fields = ["frame.interface_name", "frame.time_epoch", "udp.dstport", "gsm_sim.apdu.ins", "gsm_sim.apdu.sw"];
        let mut command = std::process::Command::new("tshark");
        command.arg("-r").arg(&path).args(["-T", "fields", "-E", "separator=/s"]);
        for field in fields {
            command.args(["-e", field]);
        }
        let output = match command.output() {
            Ok(output) => output,
            Err(error) => return eprintln!("skipped: tshark cannot be run: {error}"),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let seen: Vec<&str> = text.split_whitespace().collect();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(seen, ["download/plain", "1.500000000", "4729", "0xa4", "0x9000"], "{text}{errors}");
    }
}
