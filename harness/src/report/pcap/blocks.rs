//! The blocks of a pcapng file, as far as a capture of a run needs them (draft-ietf-opsawg-pcapng §4).

use std::time::Duration;

/// LINKTYPE_RAW: packets begin with the IP header, of version 4 or 6.
const LINK_TYPE: u16 = 101;

pub(super) const SECTION_HEADER: u32 = 0x0A0D_0D0A;
pub(super) const INTERFACE: u32 = 1;
pub(super) const PACKET: u32 = 6;
pub(super) const SECRETS: u32 = 10;
/// The type of secrets that are the key log of TLS sessions.
const TLS_KEY_LOG: u32 = 0x544C_534B;

const OPTION_END: u16 = 0;
const OPTION_COMMENT: u16 = 1;
/// Of an interface.
const OPTION_NAME: u16 = 2;
/// Of an interface.
const OPTION_DESCRIPTION: u16 = 3;
/// Of a section.
const OPTION_APPLICATION: u16 = 4;

/// A file that is being written.
pub(super) struct File {
    bytes: Vec<u8>,
    interfaces: u32,
}

impl File {
    /// A file with nothing but the header of its one section.
    pub(super) fn new() -> Self {
        let mut file = File { bytes: Vec::new(), interfaces: 0 };
        // Byte-order magic, version 1.0, section length not given.
        let mut body = Vec::new();
        body.extend(0x1A2B_3C4D_u32.to_le_bytes());
        body.extend(1u16.to_le_bytes());
        body.extend(0u16.to_le_bytes());
        body.extend(u64::MAX.to_le_bytes());
        option(&mut body, OPTION_APPLICATION, concat!("esimlab ", env!("CARGO_PKG_VERSION")));
        end_of_options(&mut body);
        file.block(SECTION_HEADER, &body);
        file
    }

    /// Secrets of TLS sessions, as the text of a key log. They have to stand before the packets that they open.
    pub(super) fn secrets(&mut self, key_log: &str) {
        let mut body = Vec::with_capacity(key_log.len() + 8);
        body.extend(TLS_KEY_LOG.to_le_bytes());
        body.extend(length(key_log.len()).to_le_bytes());
        body.extend(key_log.as_bytes());
        pad(&mut body);
        self.block(SECRETS, &body);
    }

    /// The next interface; the packets that follow are of this one.
    pub(super) fn interface(&mut self, name: &str, description: &str, comment: &str) {
        let mut body = Vec::new();
        body.extend(LINK_TYPE.to_le_bytes());
        body.extend(0u16.to_le_bytes());
        // No limit on the length of packets.
        body.extend(0u32.to_le_bytes());
        option(&mut body, OPTION_NAME, name);
        option(&mut body, OPTION_DESCRIPTION, description);
        option(&mut body, OPTION_COMMENT, comment);
        end_of_options(&mut body);
        self.block(INTERFACE, &body);
        self.interfaces += 1;
    }

    /// A packet, seen so long after the Unix epoch.
    pub(super) fn packet(&mut self, time: Duration, packet: &[u8]) {
        // Microseconds, which is what an interface without the option if_tsresol has.
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut body = Vec::with_capacity(packet.len() + 24);
        body.extend(self.interfaces.saturating_sub(1).to_le_bytes());
        body.extend(((time >> 32) as u32).to_le_bytes());
        body.extend((time as u32).to_le_bytes());
        body.extend(length(packet.len()).to_le_bytes());
        body.extend(length(packet.len()).to_le_bytes());
        body.extend(packet);
        pad(&mut body);
        self.block(PACKET, &body);
    }

    /// The whole file.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A block: type, total length, body, total length again. The body is a multiple of four bytes long.
    fn block(&mut self, kind: u32, body: &[u8]) {
        let length = length(body.len() + 12).to_le_bytes();
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend(length);
        self.bytes.extend(body);
        self.bytes.extend(length);
    }
}

fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn option(body: &mut Vec<u8>, code: u16, value: &str) {
    // The length has 16 bits; a text is cut between two characters.
    let value = &value[..value.floor_char_boundary(usize::from(u16::MAX))];
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value.as_bytes());
    pad(body);
}

fn end_of_options(body: &mut Vec<u8>) {
    body.extend(OPTION_END.to_le_bytes());
    body.extend(0u16.to_le_bytes());
}
