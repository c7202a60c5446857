//! The other end of `ATD*99#`: PPP over the port (RFC 1661, framed as RFC 1662 has it), as far as a host needs it to come
//! up: LCP, IPCP with the address and the name servers of the context, and echoes.
//!
//! ```text
//! bytes of the host -> frames -> LCP: options, echo, end
//!                             -> IPCP: address and name servers by Configure-Nak
//!                             -> IPv4: an echo request to the gateway is answered, anything else goes nowhere
//! ```
//!
//! The link does not ask for authentication: what the network wants to know stands in the context (`+CGAUTH`).

use std::net::Ipv4Addr;

use rsp::crc::crc16;

use crate::pdp::Bearer;

/// Protocols (RFC 1661 §2, RFC 1332, RFC 791).
const LCP: u16 = 0xC021;
const IPCP: u16 = 0x8021;
const IPV4: u16 = 0x0021;

/// Codes of LCP and IPCP (RFC 1661 §5).
const CONFIGURE_REQUEST: u8 = 1;
const CONFIGURE_ACK: u8 = 2;
const CONFIGURE_NAK: u8 = 3;
const CONFIGURE_REJECT: u8 = 4;
const TERMINATE_REQUEST: u8 = 5;
const TERMINATE_ACK: u8 = 6;
const CODE_REJECT: u8 = 7;
const PROTOCOL_REJECT: u8 = 8;
const ECHO_REQUEST: u8 = 9;
const ECHO_REPLY: u8 = 10;
const DISCARD_REQUEST: u8 = 11;

/// Options of LCP (RFC 1661 §6, RFC 1662 §7).
const MAXIMUM_UNIT: u8 = 1;
const CONTROL_MAP: u8 = 2;
const MAGIC: u8 = 5;
const PROTOCOL_COMPRESSION: u8 = 7;
const ADDRESS_COMPRESSION: u8 = 8;

/// Options of IPCP (RFC 1332 §3.3, RFC 1877 §1).
const ADDRESS: u8 = 3;
const FIRST_SERVER: u8 = 129;
const SECOND_SERVER: u8 = 131;

const FLAG: u8 = 0x7E;
const ESCAPE: u8 = 0x7D;

/// The longest frame that is taken: the default unit of 1500, with its header and check, and some more.
const LONGEST: usize = 2048;

/// The magic number of this end. One that differs from any host's is enough (RFC 1661 §6.4).
const OWN_MAGIC: [u8; 4] = *b"lab\0";

/// What a host is told to take that has chosen no magic number, or this end's.
const OTHER_MAGIC: [u8; 4] = *b"host";

/// What frames have led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Bytes for the host.
    pub(crate) bytes: Vec<u8>,
    /// The host has ended the link.
    pub(crate) is_over: bool,
}

/// One of the two protocols that negotiate.
#[derive(Debug, Default, Clone)]
struct Side {
    /// The host has agreed with this end, and this end with the host.
    ours: bool,
    theirs: bool,
    /// What this end has asked for, and under which identifier.
    asked: Option<(u8, Vec<u8>)>,
}

/// The link.
#[derive(Debug)]
pub(crate) struct Ppp {
    address: Ipv4Addr,
    gateway: Ipv4Addr,
    servers: [Ipv4Addr; 2],
    frame: Vec<u8>,
    is_escaped: bool,
    lcp: Side,
    ipcp: Side,
    identifier: u8,
}

impl Ppp {
    /// The link over a context. Without an IPv4 address there is none that could be told.
    pub(crate) fn new(bearer: &Bearer, servers: [Ipv4Addr; 2]) -> Option<Self> {
        let address = bearer.ipv4?;
        let [a, b, c, _] = address.octets();
        Some(Ppp {
            address,
            gateway: Ipv4Addr::new(a, b, c, 254),
            servers,
            frame: Vec::new(),
            is_escaped: false,
            lcp: Side::default(),
            ipcp: Side::default(),
            identifier: 0,
        })
    }

    /// Takes bytes of the host.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Answer {
        let mut answer = Answer::default();
        for byte in bytes {
            match *byte {
                FLAG => {
                    let frame = std::mem::take(&mut self.frame);
                    // RFC 1662 §4.3: an escape before the flag gives the frame up.
                    if !std::mem::take(&mut self.is_escaped) {
                        self.frame(&frame, &mut answer);
                    }
                }
                ESCAPE => self.is_escaped = true,
                byte => {
                    let byte = if std::mem::take(&mut self.is_escaped) { byte ^ 0x20 } else { byte };
                    // What is longer than any frame is noise: its check will not be right.
                    if self.frame.len() < LONGEST {
                        self.frame.push(byte);
                    }
                }
            }
        }
        answer
    }

    /// One frame without its flags. One whose check is wrong is silently dropped (RFC 1662 §4.3).
    fn frame(&mut self, frame: &[u8], answer: &mut Answer) {
        if frame.len() < 4 || checksum(frame) != GOOD {
            return;
        }
        let content = frame.get(..frame.len() - 2).unwrap_or_default();
        // RFC 1661 §6.5, §6.6: address, control and the first byte of the protocol may be left out.
        let content = content.strip_prefix(&[0xFF, 0x03]).unwrap_or(content);
        let (protocol, packet) = match content {
            [low, rest @ ..] if low & 1 == 1 => (u16::from(*low), rest),
            [high, low, rest @ ..] => (u16::from_be_bytes([*high, *low]), rest),
            _ => return,
        };
        match protocol {
            LCP => self.negotiate(LCP, packet, answer),
            // RFC 1661 §3.4: nothing but LCP before the link is up.
            _ if !self.is_up() => {}
            IPCP => self.negotiate(IPCP, packet, answer),
            IPV4 if self.ipcp.ours && self.ipcp.theirs => self.packet(packet, answer),
            IPV4 => {}
            _ => {
                let rejected = [&protocol.to_be_bytes()[..], packet].concat();
                self.say(LCP, PROTOCOL_REJECT, None, &rejected, answer);
            }
        }
    }

    /// A packet of LCP or IPCP: code, identifier, length, data (RFC 1661 §5).
    fn negotiate(&mut self, protocol: u16, packet: &[u8], answer: &mut Answer) {
        let [code, identifier, high, low, ..] = *packet else { return };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some(data) = packet.get(4..length) else { return };
        match code {
            CONFIGURE_REQUEST => self.configure(protocol, identifier, data, answer),
            // RFC 1661 §5.2, §5.3, §5.4: an answer to anything but the last request is silently dropped.
            CONFIGURE_ACK if self.side(protocol).asked == Some((identifier, data.to_vec())) => {
                self.side(protocol).ours = true;
            }
            // This end asks for what it can do without: the next time without it.
            CONFIGURE_NAK | CONFIGURE_REJECT if self.has_asked(protocol, identifier) => {
                self.ask(protocol, Vec::new(), answer);
            }
            CONFIGURE_ACK | CONFIGURE_NAK | CONFIGURE_REJECT => {}
            TERMINATE_REQUEST => {
                self.say(protocol, TERMINATE_ACK, Some(identifier), data, answer);
                if protocol == LCP {
                    answer.is_over = true;
                } else {
                    self.ipcp = Side::default();
                }
            }
            TERMINATE_ACK | CODE_REJECT => {}
            PROTOCOL_REJECT | DISCARD_REQUEST if protocol == LCP => {}
            // RFC 1661 §5.8: nobody echoes before the link is up.
            ECHO_REQUEST if protocol == LCP && !self.is_up() => {}
            ECHO_REQUEST if protocol == LCP => {
                let rest = data.get(4..).unwrap_or_default();
                self.say(LCP, ECHO_REPLY, Some(identifier), &[&OWN_MAGIC, rest].concat(), answer);
            }
            ECHO_REPLY if protocol == LCP => {}
            _ => self.say(protocol, CODE_REJECT, None, packet, answer),
        }
    }

    fn is_up(&self) -> bool {
        self.lcp.ours && self.lcp.theirs
    }

    fn has_asked(&mut self, protocol: u16, identifier: u8) -> bool {
        self.side(protocol).asked.as_ref().is_some_and(|(asked, _)| *asked == identifier)
    }

    /// Asks the host for options.
    fn ask(&mut self, protocol: u16, options: Vec<u8>, answer: &mut Answer) {
        self.say(protocol, CONFIGURE_REQUEST, None, &options, answer);
        self.side(protocol).asked = Some((self.identifier, options));
    }

    fn side(&mut self, protocol: u16) -> &mut Side {
        if protocol == LCP { &mut self.lcp } else { &mut self.ipcp }
    }

    /// What the host asks for (RFC 1661 §5.1): what is unknown is rejected, then what is wrong is corrected; else it is
    /// agreed to.
    fn configure(&mut self, protocol: u16, identifier: u8, data: &[u8], answer: &mut Answer) {
        let Some(options) = options(data) else { return };
        let mut unknown = Vec::new();
        let mut wrong = Vec::new();
        for option in options {
            let (kind, value) = (option[0], &option[2..]);
            // What it should be, where it is not that already.
            let right: Option<Vec<u8>> = match (protocol, kind, value) {
                (LCP, MAXIMUM_UNIT, [_, _]) | (LCP, CONTROL_MAP, [_, _, _, _]) => None,
                // RFC 1661 §6.4: zero is no magic number, and one's own is that of a line that is looped back.
                (LCP, MAGIC, [_, _, _, _]) if value != [0; 4] && value != OWN_MAGIC => None,
                (LCP, PROTOCOL_COMPRESSION | ADDRESS_COMPRESSION, []) => None,
                // RFC 1661 §6: an option of a wrong length is told the right one.
                (LCP, MAXIMUM_UNIT, _) => Some(1500u16.to_be_bytes().to_vec()),
                (LCP, CONTROL_MAP, _) => Some(vec![0; 4]),
                (LCP, MAGIC, _) => Some(OTHER_MAGIC.to_vec()),
                (LCP, PROTOCOL_COMPRESSION | ADDRESS_COMPRESSION, _) => Some(Vec::new()),
                (IPCP, ADDRESS, _) => Some(self.address.octets().to_vec()),
                (IPCP, FIRST_SERVER, _) => Some(self.servers[0].octets().to_vec()),
                (IPCP, SECOND_SERVER, _) => Some(self.servers[1].octets().to_vec()),
                _ => {
                    unknown.extend_from_slice(option);
                    continue;
                }
            };
            if let Some(right) = right.filter(|right| right != value) {
                wrong.extend([kind, right.len() as u8 + 2]);
                wrong.extend(right);
            }
        }
        // RFC 1661 §3.4: a request after the link was up begins it anew.
        let side = self.side(protocol);
        if side.ours && side.theirs {
            *side = Side::default();
        }
        if protocol == LCP {
            self.ipcp = Side::default();
        }
        let (code, data) = match (unknown.is_empty(), wrong.is_empty()) {
            (false, _) => (CONFIGURE_REJECT, unknown),
            (true, false) => (CONFIGURE_NAK, wrong),
            (true, true) => (CONFIGURE_ACK, data.to_vec()),
        };
        self.side(protocol).theirs = code == CONFIGURE_ACK;
        if self.side(protocol).asked.is_none() {
            let own = match protocol {
                LCP => [&[MAGIC, 6][..], &OWN_MAGIC].concat(),
                _ => [&[ADDRESS, 6][..], &self.gateway.octets()].concat(),
            };
            self.ask(protocol, own, answer);
        }
        self.say(protocol, code, Some(identifier), &data, answer);
    }

    /// An IPv4 packet: an echo request to the gateway comes back (RFC 792). One that is damaged or cut short, or a
    /// fragment, does not (RFC 1122 §3.2.1).
    fn packet(&mut self, packet: &[u8], answer: &mut Answer) {
        let Some(fixed) = packet.first_chunk::<20>() else { return };
        let header = usize::from(fixed[0] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        // More may follow on the line than belongs to the packet.
        let Some((packet, front)) = packet.get(..total).and_then(|packet| Some((packet, packet.get(..header)?))) else {
            return;
        };
        let is_whole = fixed[0] >> 4 == 4 && header >= 20 && internet_sum(front) == 0xFFFF;
        // More fragments, or not the first one.
        let is_fragment = fixed[6] & 0x3F != 0 || fixed[7] != 0;
        let is_echo = fixed[9] == 1 && fixed[16..20] == self.gateway.octets();
        let Some(message) = packet.get(header..).filter(|message| message.len() >= 8 && message[0] == 8) else {
            return;
        };
        if !is_whole || is_fragment || !is_echo || internet_sum(message) != 0xFFFF {
            return;
        }
        let mut reply = packet.to_vec();
        reply[12..16].copy_from_slice(&fixed[16..20]);
        reply[16..20].copy_from_slice(&fixed[12..16]);
        reply[header] = 0;
        // RFC 1624: the type has gone from 8 to 0, so the sum has to grow by as much.
        if let Some(sum) = reply.get_mut(header + 2..header + 4) {
            let grown = u32::from(u16::from_be_bytes([sum[0], sum[1]])) + 0x0800;
            let grown = (grown & 0xFFFF) + (grown >> 16);
            sum.copy_from_slice(&(grown as u16).to_be_bytes());
            answer.bytes.extend(framed(IPV4, &reply));
        }
    }

    /// Sends a packet: one of its own when it answers none.
    fn say(&mut self, protocol: u16, code: u8, identifier: Option<u8>, data: &[u8], answer: &mut Answer) {
        let identifier = identifier.unwrap_or_else(|| {
            self.identifier = self.identifier.wrapping_add(1);
            self.identifier
        });
        let data = data.get(..LONGEST.min(data.len())).unwrap_or_default();
        let length = (data.len() as u16 + 4).to_be_bytes();
        let packet = [&[code, identifier, length[0], length[1]], data].concat();
        answer.bytes.extend(framed(protocol, &packet));
    }
}

/// The sum of RFC 1071; all ones for bytes with their right checksum in them.
fn internet_sum(bytes: &[u8]) -> u16 {
    let sum = bytes.chunks(2).fold(0u32, |sum, pair| {
        let sum = sum + (u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
        (sum & 0xFFFF) + (sum >> 16)
    });
    sum as u16
}

/// The options of a request: kind, length, value each. `None` when they do not add up.
fn options(mut data: &[u8]) -> Option<Vec<&[u8]>> {
    let mut options = Vec::new();
    while let [_, length, ..] = data {
        let length = usize::from(*length);
        if length < 2 {
            return None;
        }
        options.push(data.get(..length)?);
        data = data.get(length..)?;
    }
    data.is_empty().then_some(options)
}

/// What the check of a whole frame comes to when it is right (RFC 1662 §C.2).
const GOOD: u16 = 0xF0B8;

/// The check of RFC 1662 §C.2, before it is complemented.
fn checksum(bytes: &[u8]) -> u16 {
    !crc16(bytes)
}

/// A frame with its flags. All control characters are escaped: no host minds, whatever its map (RFC 1662 §7.1).
fn framed(protocol: u16, packet: &[u8]) -> Vec<u8> {
    let mut content = [&[0xFF, 0x03][..], &protocol.to_be_bytes(), packet].concat();
    content.extend((!checksum(&content)).to_le_bytes());
    let mut frame = vec![FLAG];
    for byte in content {
        match byte {
            FLAG | ESCAPE | 0..=0x1F => frame.extend([ESCAPE, byte ^ 0x20]),
            _ => frame.push(byte),
        }
    }
    frame.push(FLAG);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link() -> Ppp {
        let bearer = Bearer {
            apn: String::new(),
            ipv4: Some(Ipv4Addr::new(10, 7, 157, 1)),
            ipv6: None,
            dns: [Ipv4Addr::new(10, 7, 0, 1), Ipv4Addr::new(10, 7, 0, 2)],
        };
        Ppp::new(&bearer, bearer.dns).unwrap()
    }

    /// The packets of an answer: protocol and content.
    fn packets(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let mut packets = Vec::new();
        for frame in bytes.split(|byte| *byte == FLAG).filter(|frame| !frame.is_empty()) {
            let mut plain = Vec::new();
            let mut rest = frame.iter();
            while let Some(byte) = rest.next() {
                plain.push(if *byte == ESCAPE { rest.next().unwrap() ^ 0x20 } else { *byte });
            }
            assert_eq!(checksum(&plain), GOOD);
            packets.push((u16::from_be_bytes([plain[2], plain[3]]), plain[4..plain.len() - 2].to_vec()));
        }
        packets
    }

    fn say(link: &mut Ppp, protocol: u16, packet: &[u8]) -> Vec<(u16, Vec<u8>)> {
        packets(&link.receive(&framed(protocol, packet)).bytes)
    }

    /// RFC 1662 §C.2 gives the algorithm; the check of "123456789" in this polynomial (CRC-16/X-25) is 0x906E.
    #[test]
    fn the_check_is_that_of_the_rfc() {
        assert_eq!(!checksum(b"123456789"), 0x906E);
    }

    /// As pppd begins: map, magic and compressions; then the address and both name servers from nothing.
    #[test]
    fn a_link_comes_up() {
        let mut link = link();
        let request = [1, 1, 0, 20, 2, 6, 0, 0, 0, 0, 5, 6, 1, 2, 3, 4, 7, 2, 8, 2];
        let answer = say(&mut link, LCP, &request);
        assert_eq!(answer[0], (LCP, [&[1, 1, 0, 10, 5, 6][..], &OWN_MAGIC].concat()));
        let mut acknowledged = request.to_vec();
        acknowledged[0] = 2;
        assert_eq!(answer[1], (LCP, acknowledged));
        // Nothing but LCP before both ends agree.
        assert!(say(&mut link, IPCP, &[1, 1, 0, 4]).is_empty());
        assert!(say(&mut link, LCP, &[2, 1, 0, 10, 5, 6, b'l', b'a', b'b', 0]).is_empty());
        // Header compression is refused, the rest told.
        let answer = say(&mut link, IPCP, &[1, 1, 0, 16, 3, 6, 0, 0, 0, 0, 2, 6, 0, 0x2D, 15, 1]);
        assert_eq!(answer[0], (IPCP, vec![1, 2, 0, 10, 3, 6, 10, 7, 157, 254]));
        assert_eq!(answer[1], (IPCP, vec![4, 1, 0, 10, 2, 6, 0, 0x2D, 15, 1]));
        let nothing = [1, 2, 0, 22, 3, 6, 0, 0, 0, 0, 129, 6, 0, 0, 0, 0, 131, 6, 0, 0, 0, 0];
        let right = [3, 2, 0, 22, 3, 6, 10, 7, 157, 1, 129, 6, 10, 7, 0, 1, 131, 6, 10, 7, 0, 2];
        assert_eq!(say(&mut link, IPCP, &nothing), [(IPCP, right.to_vec())]);
        let mut request = right;
        request[0] = 1;
        let mut agreed = right;
        agreed[0] = 2;
        assert_eq!(say(&mut link, IPCP, &request), [(IPCP, agreed.to_vec())]);
        assert!(say(&mut link, IPCP, &[2, 2, 0, 10, 3, 6, 10, 7, 157, 254]).is_empty());
        // An echo on both layers.
        assert_eq!(
            say(&mut link, LCP, &[9, 7, 0, 9, 1, 2, 3, 4, 5]),
            [(LCP, vec![10, 7, 0, 9, b'l', b'a', b'b', 0, 5])]
        );
        let mut ping = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0x2B, 0xD3, 10, 7, 157, 1, 10, 7, 157, 254];
        ping.extend([8, 0, 0xF7, 0xFE, 0, 0, 0, 1]);
        let [(IPV4, pong)] = &say(&mut link, IPV4, &ping)[..] else { panic!() };
        assert_eq!(
            (&pong[12..20], &pong[20..]),
            (&[10, 7, 157, 254, 10, 7, 157, 1][..], &[0, 0, 0xFF, 0xFE, 0, 0, 0, 1][..])
        );
        // Compressed framing, as was agreed to.
        let mut short = vec![0x21];
        short.extend(&ping);
        short.extend((!checksum(&short)).to_le_bytes());
        let bytes: Vec<u8> = short
            .iter()
            .flat_map(|byte| if [FLAG, ESCAPE].contains(byte) { vec![ESCAPE, byte ^ 0x20] } else { vec![*byte] })
            .chain([FLAG])
            .collect();
        assert_eq!(packets(&link.receive(&bytes).bytes).len(), 1);
        // A protocol that is none, and the end.
        assert_eq!(say(&mut link, 0x8057, &[1, 1, 0, 4])[0].1[0], PROTOCOL_REJECT);
        let answer = link.receive(&framed(LCP, &[5, 9, 0, 4]));
        assert!(answer.is_over);
        assert_eq!(packets(&answer.bytes), [(LCP, vec![6, 9, 0, 4])]);
    }

    #[test]
    fn what_is_damaged_is_dropped() {
        let mut link = link();
        let mut frame = framed(LCP, &[9, 7, 0, 8, 1, 2, 3, 4]);
        frame[6] ^= 1;
        assert_eq!(link.receive(&frame), Answer::default());
        for packet in [&[9, 7, 0, 3][..], &[9, 7, 0, 99, 1], &[1, 1, 0, 6, 3, 1], &[1, 1, 0, 7, 3, 6, 0], &[9]] {
            assert!(say(&mut link, LCP, packet).is_empty(), "{packet:?}");
        }
    }

    /// RFC 1661 §6, §6.4, §5.2.
    #[test]
    fn options_that_are_wrong_and_answers_to_nothing() {
        let mut link = link();
        let nak = |link: &mut Ppp, options: &[u8]| {
            let request = [&[1, 9, 0, options.len() as u8 + 4][..], options].concat();
            say(link, LCP, &request).pop().unwrap().1
        };
        assert_eq!(nak(&mut link, &[5, 6, 0, 0, 0, 0]), [&[3, 9, 0, 10, 5, 6][..], &OTHER_MAGIC].concat());
        assert_eq!(
            nak(&mut link, &[&[5, 6][..], &OWN_MAGIC].concat()),
            [&[3, 9, 0, 10, 5, 6][..], &OTHER_MAGIC].concat()
        );
        assert_eq!(nak(&mut link, &[1, 5, 0, 1, 2, 7, 3, 0]), [3, 9, 0, 10, 1, 4, 5, 0xDC, 7, 2]);
        assert_eq!(nak(&mut link, &[1, 4, 2, 0]), [2, 9, 0, 8, 1, 4, 2, 0]);
        // This end has asked as number 1: an answer to another number, or to other options, is none.
        for answer in [&[2, 7, 0, 10, 5, 6, b'l', b'a', b'b', 0][..], &[2, 1, 0, 4], &[4, 7, 0, 4], &[3, 7, 0, 4]] {
            assert!(say(&mut link, LCP, answer).is_empty());
        }
        assert!(say(&mut link, LCP, &[9, 7, 0, 8, 1, 2, 3, 4]).is_empty(), "the link is not up");
        // What the host refuses is not asked for again.
        assert_eq!(say(&mut link, LCP, &[4, 1, 0, 10, 5, 6, b'l', b'a', b'b', 0]), [(LCP, vec![1, 2, 0, 4])]);
        assert!(say(&mut link, LCP, &[2, 2, 0, 4]).is_empty());
        assert_eq!(say(&mut link, LCP, &[9, 7, 0, 8, 1, 2, 3, 4]).len(), 1);
    }

    /// RFC 1122 §3.2.1, §3.2.2.
    #[test]
    fn packets_that_are_damaged() {
        let mut link = link();
        link.lcp = Side { ours: true, theirs: true, asked: None };
        link.ipcp = link.lcp.clone();
        let mut ping = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0x2B, 0xD3, 10, 7, 157, 1, 10, 7, 157, 254];
        ping.extend([8, 0, 0xF7, 0xFE, 0, 0, 0, 1]);
        assert_eq!(say(&mut link, IPV4, &ping).len(), 1);
        // Padding is not part of it.
        assert_eq!(say(&mut link, IPV4, &[&ping[..], &[0; 5]].concat())[0].1.len(), 28);
        assert!(say(&mut link, IPV4, &ping[..27]).is_empty());
        for byte in 0..28 {
            let mut damaged = ping.clone();
            damaged[byte] ^= 1;
            assert!(say(&mut link, IPV4, &damaged).is_empty(), "byte {byte}");
        }
        // A fragment whose header is right.
        let mut fragment = ping;
        (fragment[6], fragment[10]) = (0x20, 0x0B);
        assert!(say(&mut link, IPV4, &fragment).is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            packets in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..10),
        ) {
            let mut link = link();
            let _ = link.receive(&bytes);
            let _ = link.receive(&[FLAG]);
            for (is_lcp, packet) in packets {
                let _ = link.receive(&framed(if is_lcp { LCP } else { IPCP }, &packet));
                let _ = link.receive(&framed(IPV4, &packet));
            }
            // Whatever was said: a link can always be asked for.
            let answer = link.receive(&framed(LCP, &[1, 1, 0, 4]));
            prop_assert!(super::tests::packets(&answer.bytes).iter().any(|(_, packet)| packet.starts_with(&[2, 1, 0, 4])));
        }
    }
}
