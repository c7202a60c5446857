//! What stands in the packets of a capture: GSMTAP in UDP, and the segments of TCP connections, over IPv4 and IPv6.
//!
//! RFC 791 (IPv4), RFC 8200 (IPv6), RFC 768 (UDP), RFC 9293 (TCP); GSMTAP version 2 as in libosmocore's `gsmtap.h`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use smdp::front::End;

use crate::traffic::{Connection, Deed, Moment};

/// The port of GSMTAP.
const GSMTAP_PORT: u16 = 4729;
const GSMTAP_VERSION: u8 = 2;
/// The length of the GSMTAP header in 32-bit words.
const GSMTAP_WORDS: u8 = 4;
/// The type of what goes over the line to a SIM.
const TYPE_SIM: u8 = 4;
/// The type of a line of a log, with a header of its own.
const TYPE_LOG: u8 = 0x10;
/// Sub-type of a command together with its response.
const SUB_TYPE_APDU: u8 = 0;

const UDP: u8 = 17;
const TCP: u8 = 6;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// The most data of a segment, so that a packet of IPv4 or IPv6 can hold it: 65535 less two headers.
const LARGEST_SEGMENT: usize = 65_535 - 40 - 20;

/// The levels of libosmocore's log (`logging.h`).
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Level {
    Info = 3,
    Notice = 5,
    Error = 7,
}

/// A command to the card and its response with its status word: as a tracer between reader and card sees it.
pub(super) fn apdu(command: &[u8], response: &[u8]) -> Vec<u8> {
    let mut packet = gsmtap_header(TYPE_SIM, SUB_TYPE_APDU);
    packet.extend(command);
    packet.extend(response);
    datagram(&packet)
}

/// A line of a log: who says it, about what.
pub(super) fn log(time: Duration, program: &str, subject: &str, level: Level, text: &str) -> Vec<u8> {
    /// A text of a fixed length, filled up with zeros; the last byte is always one.
    fn fixed<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let text = &text[..text.floor_char_boundary(LENGTH - 1)];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        bytes
    }
    let mut packet = gsmtap_header(TYPE_LOG, 0);
    packet.extend(u32::try_from(time.as_secs()).unwrap_or(u32::MAX).to_be_bytes());
    packet.extend(time.subsec_micros().to_be_bytes());
    packet.extend(fixed::<16>(program));
    // The number of a process, which none of the parts is.
    packet.extend([0; 4]);
    packet.push(level as u8);
    packet.extend([0; 3]);
    packet.extend(fixed::<16>(subject));
    // No file and no line of a source.
    packet.extend([0; 36]);
    packet.extend(&text.as_bytes()[..text.floor_char_boundary(60_000)]);
    datagram(&packet)
}

fn gsmtap_header(kind: u8, sub_type: u8) -> Vec<u8> {
    let mut header = vec![GSMTAP_VERSION, GSMTAP_WORDS, kind, 0];
    // Channel, signal and noise, frame number: of the air, not of a card.
    header.extend([0; 8]);
    header.extend([sub_type, 0, 0, 0]);
    header
}

/// A UDP datagram of GSMTAP from loopback to loopback.
fn datagram(payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(payload.len() + 8);
    body.extend(GSMTAP_PORT.to_be_bytes());
    body.extend(GSMTAP_PORT.to_be_bytes());
    body.extend(u16::try_from(payload.len() + 8).unwrap_or(u16::MAX).to_be_bytes());
    // RFC 768: no checksum.
    body.extend([0, 0]);
    body.extend(payload);
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    ip(loopback, loopback, UDP, &body)
}

/// The segments of a connection, each with its time since the timeline began.
///
/// The server's end has seen bytes, not segments: each of its writes is one here, and so are reads that follow each
/// other at once (a TLS record is read in two). Sequence numbers count from 0, and what the two have acknowledged on the
/// way is not told apart from what they have received.
pub(super) fn segments(connection: &Connection) -> Vec<(Duration, Vec<u8>)> {
    let mut talk = Talk { connection, client: 0, server: 0, packets: Vec::new() };
    let accepted = connection.accepted;
    talk.segment(accepted, End::Client, SYN, &[]);
    talk.segment(accepted, End::Server, SYN | ACK, &[]);
    talk.segment(accepted, End::Client, ACK, &[]);
    let mut moments = connection.moments.iter().peekable();
    while let Some(moment) = moments.next() {
        match &moment.deed {
            Deed::Bytes(bytes) => {
                let mut bytes = bytes.clone();
                let mut last = moment.at;
                while let Some(Moment { at, deed: Deed::Bytes(more), .. }) =
                    moments.next_if(|next| moment.end == End::Client && goes_on(next, last))
                {
                    bytes.extend(more);
                    last = *at;
                }
                for part in bytes.chunks(LARGEST_SEGMENT) {
                    talk.segment(moment.at, moment.end, PSH | ACK, part);
                }
            }
            Deed::Ended => {
                talk.segment(moment.at, moment.end, FIN | ACK, &[]);
                talk.segment(moment.at, other(moment.end), ACK, &[]);
            }
            Deed::Reset => talk.segment(moment.at, moment.end, RST | ACK, &[]),
        }
    }
    talk.packets
}

/// Whether this is what the client has sent together with what was read last.
fn goes_on(next: &Moment, last: Duration) -> bool {
    next.end == End::Client
        && matches!(next.deed, Deed::Bytes(_))
        && next.at.saturating_sub(last) <= Duration::from_micros(500)
}

fn other(end: End) -> End {
    match end {
        End::Client => End::Server,
        End::Server => End::Client,
    }
}

struct Talk<'a> {
    connection: &'a Connection,
    /// The next sequence number of each end.
    client: u32,
    server: u32,
    packets: Vec<(Duration, Vec<u8>)>,
}

impl Talk<'_> {
    fn segment(&mut self, at: Duration, from: End, flags: u8, data: &[u8]) {
        let (client, server) = (self.connection.client, self.connection.server);
        let (source, target, sequence, acknowledged) = match from {
            End::Client => (client, server, self.client, self.server),
            End::Server => (server, client, self.server, self.client),
        };
        let acknowledged = if flags & ACK == 0 { 0 } else { acknowledged };
        self.packets.push((at, tcp(source, target, sequence, acknowledged, flags, data)));
        // SYN and FIN count as one byte (RFC 9293 §3.4).
        let counted = u32::from(flags & (SYN | FIN) != 0) + u32::try_from(data.len()).unwrap_or(u32::MAX);
        match from {
            End::Client => self.client = self.client.wrapping_add(counted),
            End::Server => self.server = self.server.wrapping_add(counted),
        }
    }
}

fn tcp(from: SocketAddr, to: SocketAddr, sequence: u32, acknowledged: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let mut segment = Vec::with_capacity(data.len() + 20);
    segment.extend(from.port().to_be_bytes());
    segment.extend(to.port().to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend(acknowledged.to_be_bytes());
    // A header of five words; the largest window; checksum to come; nothing urgent.
    segment.extend([5 << 4, flags]);
    segment.extend(u16::MAX.to_be_bytes());
    segment.extend([0; 4]);
    segment.extend(data);
    // The sum goes over a pseudo-header as well (RFC 9293 §3.1, RFC 8200 §8.1).
    let (source, target) = same_version(from.ip(), to.ip());
    let mut summed = [octets(source), octets(target)].concat();
    summed.extend(u32::try_from(segment.len()).unwrap_or(u32::MAX).to_be_bytes());
    summed.extend([0, 0, 0, TCP]);
    summed.extend(&segment);
    let sum = checksum(&summed);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    ip(source, target, TCP, &segment)
}

/// Both as IPv6 when one of them is.
fn same_version(one: IpAddr, other: IpAddr) -> (IpAddr, IpAddr) {
    let six = |address: IpAddr| match address {
        IpAddr::V4(address) => IpAddr::V6(address.to_ipv6_mapped()),
        six => six,
    };
    if one.is_ipv4() == other.is_ipv4() { (one, other) } else { (six(one), six(other)) }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// A packet of IP, of the version of its addresses.
fn ip(from: IpAddr, to: IpAddr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(body.len() + 40);
    match from {
        IpAddr::V4(_) => {
            packet.extend([0x45, 0]);
            packet.extend(u16::try_from(body.len() + 20).unwrap_or(u16::MAX).to_be_bytes());
            // No identification, not to be fragmented, 64 hops, checksum to come.
            packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            packet.extend(octets(from));
            packet.extend(octets(to));
            let sum = checksum(&packet);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        IpAddr::V6(_) => {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
            packet.extend([protocol, 64]);
            packet.extend(octets(from));
            packet.extend(octets(to));
        }
    }
    packet.extend(body);
    packet
}

/// The one's complement of the one's complement sum of all 16-bit words (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut words = bytes.chunks_exact(2);
    let mut sum: u64 = words.by_ref().map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    // An odd byte at the end is the first half of a word.
    sum += words.remainder().first().map_or(0, |last| u64::from(*last) << 8);
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_documents() {
        // RFC 1071 §3: the sum of these words is DDF2.
        assert_eq!(checksum(&[0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]), !0xDDF2);
        assert_eq!(checksum(&[0x00, 0x01, 0xF2]), !0xF201);
        // The sum over a header with its checksum is all ones.
        let packet = datagram(&[1, 2, 3]);
        assert_eq!(checksum(&packet[..20]), 0);
        assert_eq!(packet.len(), 31);
    }

    #[test]
    fn a_connection_counts_as_tcp_does() {
        let at = Duration::from_millis;
        let connection = Connection {
            client: "127.0.0.1:40000".parse().unwrap(),
            server: "127.0.0.2:443".parse().unwrap(),
            accepted: at(1),
            moments: vec![
                Moment { at: at(2), end: End::Client, deed: Deed::Bytes(vec![7; 70_000]) },
                Moment { at: at(3), end: End::Server, deed: Deed::Bytes(vec![8; 10]) },
                Moment { at: at(4), end: End::Server, deed: Deed::Ended },
                Moment { at: at(5), end: End::Client, deed: Deed::Reset },
            ],
        };
        for version in [4, 6] {
            let mut connection = connection.clone();
            if version == 6 {
                connection.server = "[::1]:443".parse().unwrap();
            }
            let header = if version == 4 { 20 } else { 40 };
            let seen: Vec<(u16, u8, u32, u32, usize)> = segments(&connection)
                .iter()
                .map(|(_, packet)| {
                    assert_eq!(packet[0] >> 4, version);
                    let segment = &packet[header..];
                    let word = |at: usize| u32::from_be_bytes(segment[at..at + 4].try_into().unwrap());
                    let port = u16::from_be_bytes([segment[0], segment[1]]);
                    (port, segment[13], word(4), word(8), segment.len() - 20)
                })
                .collect();
            let first = LARGEST_SEGMENT;
            assert_eq!(
                seen,
                [
                    (40_000, SYN, 0, 0, 0),
                    (443, SYN | ACK, 0, 1, 0),
                    (40_000, ACK, 1, 1, 0),
                    (40_000, PSH | ACK, 1, 1, first),
                    (40_000, PSH | ACK, 1 + first as u32, 1, 70_000 - first),
                    (443, PSH | ACK, 1, 70_001, 10),
                    (443, FIN | ACK, 11, 70_001, 0),
                    (40_000, ACK, 70_001, 12, 0),
                    (40_000, RST | ACK, 70_001, 12, 0),
                ]
            );
        }
    }

    #[test]
    fn a_record_that_is_read_in_two_is_one_segment() {
        let bytes = |at, end, length| Moment { at: Duration::from_micros(at), end, deed: Deed::Bytes(vec![1; length]) };
        let connection = Connection {
            client: "127.0.0.1:40000".parse().unwrap(),
            server: "127.0.0.2:443".parse().unwrap(),
            accepted: Duration::ZERO,
            moments: vec![
                bytes(10, End::Client, 5),
                bytes(12, End::Client, 512),
                bytes(2000, End::Client, 5),
                bytes(2100, End::Server, 3),
                bytes(2101, End::Server, 4),
                bytes(2200, End::Client, 6),
            ],
        };
        let lengths: Vec<usize> = segments(&connection).iter().map(|(_, packet)| packet.len() - 40).collect();
        assert_eq!(lengths, [0, 0, 0, 517, 5, 3, 4, 6]);
    }

    #[test]
    fn a_long_name_in_a_log_is_cut_between_characters() {
        let packet = log(Duration::ZERO, &"é".repeat(20), "AT", Level::Info, "text");
        let program = &packet[28 + 16 + 8..][..16];
        assert_eq!(std::str::from_utf8(program).unwrap(), format!("{}\0\0", "é".repeat(7)));
    }
}
