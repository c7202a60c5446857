//! Secured packets of remote management over the air (TS 102 225 §5, in short messages as TS 31.115 §4 has them): what
//! an operator's server seals and a card opens, and the answer in the other direction.
//!
//! ```text
//! command   CPL CHL SPI KIc KID TAR │ CNTR PCNTR [RC or CC] data padding
//! response  RPL RHL TAR             │ CNTR PCNTR status [RC or CC] data padding
//!                                   └─ what is ciphered
//! ```
//!
//! A packet is the user data of a short message behind the header elements 70 (command) and 71 (response). The check
//! covers all of it but itself, of a response the header element too.

use std::fmt;

use openssl::symm::{Cipher, Mode};
use zeroize::Zeroizing;

use crate::crc::{crc16, crc32};
use crate::crypto::{CryptoError, block_cipher, cmac, equal_in_constant_time};

/// The user data header with the one element "command packet" (TS 31.115 §4.2).
pub const COMMAND_HEADER: [u8; 3] = [0x02, 0x70, 0x00];
/// The user data header with the one element "response packet" (TS 31.115 §4.3).
pub const RESPONSE_HEADER: [u8; 3] = [0x02, 0x71, 0x00];

/// The highest counter; a card whose counter has got there takes no packet with one any more.
pub const LAST_COUNTER: u64 = 0xFF_FFFF_FFFF;

/// What comes of a command packet (TS 102 225 table 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ResponseStatus {
    /// It is right, and its commands were carried out.
    Ok = 0x00,
    /// Its redundancy check, cryptographic checksum or signature is wrong.
    CheckFailed = 0x01,
    /// Its counter has been used.
    CounterLow = 0x02,
    /// Its counter is not the next one.
    CounterHigh = 0x03,
    /// The card's counter has come to its end.
    CounterBlocked = 0x04,
    /// It cannot be deciphered.
    Ciphering = 0x05,
    /// Another problem with its security: no such key, no such algorithm.
    Security = 0x06,
    /// There is not enough memory for it.
    Memory = 0x07,
    /// More time is needed.
    MoreTime = 0x08,
    /// Nobody on the card has this toolkit application reference.
    TarUnknown = 0x09,
    /// Whom it is for wants more security than it has.
    SecurityTooLow = 0x0A,
}

impl ResponseStatus {
    const ALL: [ResponseStatus; 11] = [
        ResponseStatus::Ok,
        ResponseStatus::CheckFailed,
        ResponseStatus::CounterLow,
        ResponseStatus::CounterHigh,
        ResponseStatus::CounterBlocked,
        ResponseStatus::Ciphering,
        ResponseStatus::Security,
        ResponseStatus::Memory,
        ResponseStatus::MoreTime,
        ResponseStatus::TarUnknown,
        ResponseStatus::SecurityTooLow,
    ];

    /// The status with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        ResponseStatus::ALL.into_iter().find(|status| *status as u8 == code)
    }
}

impl fmt::Display for ResponseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            ResponseStatus::Ok => "done",
            ResponseStatus::CheckFailed => "the checksum is wrong",
            ResponseStatus::CounterLow => "the counter is too low",
            ResponseStatus::CounterHigh => "the counter is too high",
            ResponseStatus::CounterBlocked => "the counter is blocked",
            ResponseStatus::Ciphering => "it cannot be deciphered",
            ResponseStatus::Security => "no such key or algorithm",
            ResponseStatus::Memory => "not enough memory",
            ResponseStatus::MoreTime => "more time is needed",
            ResponseStatus::TarUnknown => "the TAR is unknown",
            ResponseStatus::SecurityTooLow => "the security is too low",
        };
        write!(f, "{text} ({:02X})", *self as u8)
    }
}

/// How a packet is checked (TS 102 225 §5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Not at all.
    None,
    /// By a CRC, which needs no key.
    Redundancy,
    /// By a cryptographic checksum.
    Cryptographic,
    /// By a digital signature.
    Signature,
}

impl Check {
    fn of(bits: u8) -> Self {
        match bits & 0x03 {
            0 => Check::None,
            1 => Check::Redundancy,
            2 => Check::Cryptographic,
            _ => Check::Signature,
        }
    }
}

/// When a response is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseWanted {
    /// Never.
    No,
    /// Always.
    Yes,
    /// When something has gone wrong.
    OnError,
}

/// What the counter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CounterMode {
    /// There is none.
    None,
    /// It is there, and nothing is checked.
    Unchecked,
    /// It has to be higher than the one before.
    Higher,
    /// It has to be the next one.
    Next,
}

/// The security parameter indication, SPI (TS 102 225 §5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecurityParameters(pub [u8; 2]);

impl SecurityParameters {
    /// How the command is checked.
    pub fn check(self) -> Check {
        Check::of(self.0[0])
    }

    /// Whether the command is ciphered.
    pub fn is_ciphered(self) -> bool {
        self.0[0] & 0x04 != 0
    }

    /// What its counter is for.
    pub fn counter(self) -> CounterMode {
        match self.0[0] >> 3 & 0x03 {
            0 => CounterMode::None,
            1 => CounterMode::Unchecked,
            2 => CounterMode::Higher,
            _ => CounterMode::Next,
        }
    }

    /// Whether it has at least the security of `least`, which is coded as the first byte (TS 102 226 §8.2.1.3.2.6).
    pub fn reaches(self, least: u8) -> bool {
        let least = SecurityParameters([least, 0]);
        self.check() >= least.check()
            && (self.is_ciphered() || !least.is_ciphered())
            && self.counter() >= least.counter()
    }

    /// When a response is wanted.
    pub fn response(self) -> ResponseWanted {
        match self.0[1] & 0x03 {
            1 => ResponseWanted::Yes,
            2 => ResponseWanted::OnError,
            _ => ResponseWanted::No,
        }
    }

    /// How the response is checked.
    pub fn response_check(self) -> Check {
        Check::of(self.0[1] >> 2)
    }

    /// Whether the response is ciphered.
    pub fn response_is_ciphered(self) -> bool {
        self.0[1] & 0x10 != 0
    }

    /// Whether the response is a short message of its own (SMS-SUBMIT) and not part of the delivery report.
    pub fn response_by_submit(self) -> bool {
        self.0[1] & 0x20 != 0
    }
}

/// What a key is for (GlobalPlatform Card Specification 2.3.1 §11.1.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// DES, and triple DES with two or three keys (80).
    Des,
    /// AES (88).
    Aes,
}

/// A key of an over-the-air key set. `Debug` does not print its value.
#[derive(Clone)]
pub struct Key {
    kind: KeyKind,
    value: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.kind)
    }
}

impl Key {
    /// A key of this kind; `None` when its length is none of the kind's.
    pub fn new(kind: KeyKind, value: &[u8]) -> Option<Self> {
        let fits = match kind {
            KeyKind::Des => matches!(value.len(), 8 | 16 | 24),
            KeyKind::Aes => matches!(value.len(), 16 | 24 | 32),
        };
        fits.then(|| Key { kind, value: Zeroizing::new(value.to_vec()) })
    }

    fn block(&self) -> usize {
        if self.kind == KeyKind::Des { 8 } else { 16 }
    }

    /// Whether the low half of a KIc or KID names the algorithm of this key (TS 102 225 §5.1.2, §5.1.3).
    fn fits(&self, algorithm: u8) -> bool {
        match algorithm & 0x0F {
            // Known implicitly by both sides.
            0x0 => true,
            0x1 => self.kind == KeyKind::Des && self.value.len() == 8,
            0x5 => self.kind == KeyKind::Des && self.value.len() == 16,
            0x9 => self.kind == KeyKind::Des && self.value.len() == 24,
            0x2 => self.kind == KeyKind::Aes,
            _ => false,
        }
    }

    /// CBC with an initial value of zero.
    fn cbc(&self, mode: Mode, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let (cipher, key) = match (self.kind, self.value.len()) {
            // Single DES is triple DES with one key twice, and stays when a library gives it up.
            (KeyKind::Des, 8) => (Cipher::des_ede3_cbc(), self.value.repeat(3)),
            (KeyKind::Des, 16) => (Cipher::des_ede3_cbc(), [&self.value[..], &self.value[..8]].concat()),
            (KeyKind::Des, _) => (Cipher::des_ede3_cbc(), self.value.to_vec()),
            (KeyKind::Aes, 16) => (Cipher::aes_128_cbc(), self.value.to_vec()),
            (KeyKind::Aes, 24) => (Cipher::aes_192_cbc(), self.value.to_vec()),
            (KeyKind::Aes, _) => (Cipher::aes_256_cbc(), self.value.to_vec()),
        };
        let key = Zeroizing::new(key);
        block_cipher(cipher, mode, &key, &[0; 16][..self.block()], data).map(Zeroizing::new)
    }

    /// The cryptographic checksum of 8 bytes (TS 102 225 §5.1.3.1).
    fn checksum(&self, parts: &[&[u8]]) -> Result<Vec<u8>, CryptoError> {
        match self.kind {
            KeyKind::Aes => cmac(&self.value, parts).map(|mac| mac[..8].to_vec()),
            KeyKind::Des => {
                let mut padded = parts.concat();
                padded.resize(padded.len().next_multiple_of(8), 0);
                let ciphered = self.cbc(Mode::Encrypt, &padded)?;
                Ok(ciphered[ciphered.len().saturating_sub(8)..].to_vec())
            }
        }
    }
}

/// The keys of one version: for ciphering (KIc) and for checksums (KID).
#[derive(Debug, Clone)]
pub struct KeySet {
    /// The key for ciphering.
    pub kic: Key,
    /// The key for checksums.
    pub kid: Key,
}

/// A command packet as it came: its header can be read, the rest may be ciphered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandPacket<'a> {
    /// The security parameters.
    pub spi: SecurityParameters,
    /// Key and algorithm for ciphering: the version in the high half, 0 for one that is known implicitly.
    pub kic: u8,
    /// Key and algorithm for the check.
    pub kid: u8,
    /// Whom it is for: the toolkit application reference.
    pub tar: [u8; 3],
    /// CPL to TAR.
    head: &'a [u8],
    /// The length of the check.
    check_length: usize,
    /// From the counter on.
    secured: &'a [u8],
}

/// What was in a command packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its counter.
    pub counter: u64,
    /// Its data, without padding.
    pub data: Vec<u8>,
}

const HEAD_LENGTH: usize = 10;
const COUNTER_LENGTH: usize = 5;

impl<'a> CommandPacket<'a> {
    /// Reads the header of a packet that begins with CPL; `None` when the lengths do not fit together.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (head, secured) = bytes.split_at_checked(HEAD_LENGTH)?;
        let [cpl_high, cpl_low, chl, spi1, spi2, kic, kid, tar @ ..] = *<&[u8; HEAD_LENGTH]>::try_from(head).ok()?;
        let length = usize::from(u16::from_be_bytes([cpl_high, cpl_low]));
        // TS 102 225 §5.1: CHL counts from SPI to the end of the check.
        let check_length = usize::from(chl).checked_sub(13)?;
        if length + 2 != bytes.len() || secured.len() < COUNTER_LENGTH + 1 + check_length {
            return None;
        }
        Some(CommandPacket { spi: SecurityParameters([spi1, spi2]), kic, kid, tar, head, check_length, secured })
    }

    /// The versions of the keys that it or the response needs, for ciphering and for the check; `None` for one that
    /// neither needs.
    pub fn key_versions(&self) -> [Option<u8>; 2] {
        let is_ciphered = self.spi.is_ciphered() || self.spi.response_is_ciphered();
        let is_checked =
            [self.spi.check(), self.spi.response_check()].iter().any(|check| *check >= Check::Cryptographic);
        [is_ciphered.then_some(self.kic >> 4), is_checked.then_some(self.kid >> 4)]
    }

    /// Deciphers it and holds it against its check.
    pub fn open(&self, keys: Option<&KeySet>) -> Result<Opened, ResponseStatus> {
        let deciphered;
        let plain = match (self.spi.is_ciphered(), keys) {
            (false, _) => self.secured,
            (true, Some(keys)) if keys.kic.fits(self.kic) => {
                if !self.secured.len().is_multiple_of(keys.kic.block()) {
                    return Err(ResponseStatus::Ciphering);
                }
                let done = keys.kic.cbc(Mode::Decrypt, self.secured);
                deciphered = done.map_err(|_| ResponseStatus::Ciphering)?;
                &deciphered[..]
            }
            (true, _) => return Err(ResponseStatus::Security),
        };
        let (counted, rest) = plain.split_at(COUNTER_LENGTH + 1);
        let (check, padded) = rest.split_at(self.check_length);
        let right = check_value(self.spi.check(), self.kid, keys, &[self.head, counted, padded])?;
        if !equal_in_constant_time(&right, check) {
            return Err(ResponseStatus::CheckFailed);
        }
        let padding = usize::from(counted[COUNTER_LENGTH]);
        let length = padded.len().checked_sub(padding).ok_or(ResponseStatus::Ciphering)?;
        let counter = counted[..COUNTER_LENGTH].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Ok(Opened { counter, data: padded[..length].to_vec() })
    }

    /// The answer to it: the user data of a short message, its header element included. Errors of the keys themselves
    /// are told without security, for nothing can be secured by what is wrong; without a key that the response should
    /// have been secured with it is open as well.
    pub fn respond(&self, status: ResponseStatus, counter: u64, data: &[u8], keys: Option<&KeySet>) -> Vec<u8> {
        use ResponseStatus as Status;
        let is_open = matches!(status, Status::CheckFailed | Status::Ciphering | Status::Security | Status::TarUnknown);
        let secure = if is_open { None } else { keys };
        let sealed = self.seal_response(status, counter, data, secure);
        sealed.or_else(|| self.seal_response(status, counter, data, None)).unwrap_or_default()
    }

    fn seal_response(
        &self,
        status: ResponseStatus,
        counter: u64,
        data: &[u8],
        keys: Option<&KeySet>,
    ) -> Option<Vec<u8>> {
        let (check, ciphering) = match keys {
            Some(keys) => (self.spi.response_check(), Some(keys).filter(|_| self.spi.response_is_ciphered())),
            None => (Check::None, None),
        };
        let parts = Parts {
            kid: self.kid,
            check,
            header: &RESPONSE_HEADER,
            after_length: &[],
            tar: self.tar,
            counter,
            status: Some(status as u8),
            data,
        };
        if ciphering.is_some_and(|keys| !keys.kic.fits(self.kic)) {
            return None;
        }
        parts.seal(keys, ciphering).ok()
    }
}

/// A packet that is to be made.
struct Parts<'a> {
    kid: u8,
    check: Check,
    /// What stands before the packet and is covered by its check.
    header: &'a [u8],
    /// What stands between the header's length and the TAR: SPI, KIc and KID of a command.
    after_length: &'a [u8],
    tar: [u8; 3],
    counter: u64,
    status: Option<u8>,
    data: &'a [u8],
}

impl Parts<'_> {
    fn seal(&self, keys: Option<&KeySet>, ciphering: Option<&KeySet>) -> Result<Vec<u8>, ResponseStatus> {
        let check_length = match self.check {
            Check::None => 0,
            Check::Redundancy => redundancy_length(self.kid).ok_or(ResponseStatus::Security)?,
            Check::Cryptographic => 8,
            Check::Signature => return Err(ResponseStatus::Security),
        };
        let status = self.status.iter();
        let counted_length = COUNTER_LENGTH + 1 + status.len();
        let block = ciphering.map_or(1, |keys| keys.kic.block());
        let length = counted_length + check_length + self.data.len();
        let padding = length.next_multiple_of(block) - length;
        // From the length of the header on, without that length itself.
        let header_length = self.after_length.len() + self.tar.len() + counted_length + check_length;
        let whole = 1 + self.after_length.len() + self.tar.len() + length + padding;
        let whole = u16::try_from(whole).map_err(|_| ResponseStatus::Memory)?;

        let mut head = whole.to_be_bytes().to_vec();
        head.push(header_length as u8);
        head.extend_from_slice(self.after_length);
        head.extend_from_slice(&self.tar);
        let mut counted = self.counter.to_be_bytes()[3..].to_vec();
        counted.push(padding as u8);
        counted.extend(status);
        let padded = [self.data, &[0; 16][..padding]].concat();
        let check = check_value(self.check, self.kid, keys, &[self.header, &head, &counted, &padded])?;
        let secured = [counted, check, padded].concat();
        let secured = match ciphering {
            None => secured,
            Some(keys) => keys.kic.cbc(Mode::Encrypt, &secured).map_err(|_| ResponseStatus::Ciphering)?.to_vec(),
        };
        Ok([self.header, &head, &secured].concat())
    }
}

/// A command that is to be sent, from the server's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command<'a> {
    /// The security parameters.
    pub spi: SecurityParameters,
    /// Key version and algorithm for ciphering.
    pub kic: u8,
    /// Key version and algorithm for the check.
    pub kid: u8,
    /// Whom it is for.
    pub tar: [u8; 3],
    /// Its counter.
    pub counter: u64,
    /// What is in it.
    pub data: &'a [u8],
}

impl Command<'_> {
    /// The packet, CPL first. It fails when a key is missing or does not fit its algorithm.
    pub fn seal(&self, keys: Option<&KeySet>) -> Result<Vec<u8>, ResponseStatus> {
        let [spi1, spi2] = self.spi.0;
        let ciphering = match (self.spi.is_ciphered(), keys) {
            (false, _) => None,
            (true, Some(keys)) if keys.kic.fits(self.kic) => Some(keys),
            (true, _) => return Err(ResponseStatus::Security),
        };
        let parts = Parts {
            kid: self.kid,
            check: self.spi.check(),
            header: &[],
            after_length: &[spi1, spi2, self.kic, self.kid],
            tar: self.tar,
            counter: self.counter,
            status: None,
            data: self.data,
        };
        parts.seal(keys, ciphering)
    }

    /// Opens the response to it: the user data of a short message. Gives its status and data; what of it is wrong is a
    /// status of this side.
    pub fn open_response(
        &self,
        user_data: &[u8],
        keys: Option<&KeySet>,
    ) -> Result<(ResponseStatus, Vec<u8>), ResponseStatus> {
        let wrong = ResponseStatus::CheckFailed;
        let body = user_data.strip_prefix(&RESPONSE_HEADER[..]).ok_or(wrong)?;
        let (head, rest) = body.split_at_checked(6).ok_or(wrong)?;
        let check_length = usize::from(head[2]).checked_sub(10).ok_or(wrong)?;
        if usize::from(u16::from_be_bytes([head[0], head[1]])) + 2 != body.len() || head[3..] != self.tar {
            return Err(wrong);
        }
        // A response with an error in its security is not secured.
        let is_plain = rest.get(..COUNTER_LENGTH + 2).is_some_and(|counted| {
            let status = ResponseStatus::from_code(counted[COUNTER_LENGTH + 1]);
            check_length == 0 && rest.len() == COUNTER_LENGTH + 2 && status.is_some_and(|s| s != ResponseStatus::Ok)
        });
        let deciphered;
        let plain = match keys.filter(|_| self.spi.response_is_ciphered() && !is_plain) {
            None => rest,
            Some(keys) if rest.len().is_multiple_of(keys.kic.block()) => {
                deciphered = keys.kic.cbc(Mode::Decrypt, rest).map_err(|_| ResponseStatus::Ciphering)?;
                &deciphered[..]
            }
            Some(_) => return Err(ResponseStatus::Ciphering),
        };
        let (counted, rest) = plain.split_at_checked(COUNTER_LENGTH + 2).ok_or(wrong)?;
        let (check, padded) = rest.split_at_checked(check_length).ok_or(wrong)?;
        let wanted = if is_plain { Check::None } else { self.spi.response_check() };
        let right = check_value(wanted, self.kid, keys, &[&RESPONSE_HEADER, head, counted, padded])?;
        if !equal_in_constant_time(&right, check) {
            return Err(wrong);
        }
        let length = padded.len().checked_sub(usize::from(counted[COUNTER_LENGTH])).ok_or(wrong)?;
        let status = ResponseStatus::from_code(counted[COUNTER_LENGTH + 1]).ok_or(wrong)?;
        Ok((status, padded[..length].to_vec()))
    }
}

/// The check over these parts, of whatever kind.
fn check_value(check: Check, kid: u8, keys: Option<&KeySet>, parts: &[&[u8]]) -> Result<Vec<u8>, ResponseStatus> {
    match (check, keys) {
        (Check::None, _) => Ok(Vec::new()),
        (Check::Redundancy, _) => match redundancy_length(kid) {
            Some(2) => Ok(crc16(&parts.concat()).to_be_bytes().to_vec()),
            Some(_) => Ok(crc32(&parts.concat()).to_be_bytes().to_vec()),
            None => Err(ResponseStatus::Security),
        },
        (Check::Cryptographic, Some(keys)) if keys.kid.fits(kid) => {
            keys.kid.checksum(parts).map_err(|_| ResponseStatus::Security)
        }
        // Signatures are agreed upon between two parties only, and nobody has written down how.
        (Check::Cryptographic | Check::Signature, _) => Err(ResponseStatus::Security),
    }
}

/// TS 102 225 §5.1.3.2: CRC 16 or CRC 32, which is what is known implicitly here.
fn redundancy_length(kid: u8) -> Option<usize> {
    match kid & 0x0F {
        0x1 => Some(2),
        0x0 | 0x5 => Some(4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{from_hex, to_hex};
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        from_hex(text).unwrap()
    }

    fn keys(kind: KeyKind, kic: &str, kid: &str) -> KeySet {
        KeySet { kic: Key::new(kind, &hex(kic)).unwrap(), kid: Key::new(kind, &hex(kid)).unwrap() }
    }

    fn command(spi: [u8; 2], key: u8, tar: [u8; 3], data: &[u8]) -> Command<'_> {
        Command { spi: SecurityParameters(spi), kic: key, kid: key, tar, counter: 0, data }
    }

    const RFM: [u8; 3] = [0xB0, 0x00, 0x11];
    const SELECT_MF: [u8; 7] = [0x00, 0xA4, 0x00, 0x04, 0x02, 0x3F, 0x00];

    /// The key sets of sysmoISIM-SJA5 sample cards, as public tests of pySim have them.
    fn samples() -> [KeySet; 2] {
        let triple = keys(KeyKind::Des, "300102030405060708090A0B0C0D0E0F", "301102030405060708090A0B0C0D0E0F");
        let aes = keys(KeyKind::Aes, "200102030405060708090A0B0C0D0E0F", "201102030405060708090A0B0C0D0E0F");
        [triple, aes]
    }

    #[test]
    fn packets_that_an_independent_server_has_sealed_and_real_cards_have_answered() {
        let [triple, aes] = samples();
        // Sealed by pySim, answered by sysmoISIM-SJA5: SPI, key, packet, response.
        for (spi, key, keys, packet, response) in [
            (
                [0x06, 0x19],
                0x35,
                &triple,
                "00201506193535B00011AE733256918D050B87C94FBFE12E4DC402F262C41CF67F2F",
                "027100001C12B000118BB989492C632529326A2F4681FEB37C825BC9021C9F6D0B",
            ),
            (
                [0x06, 0x09],
                0x35,
                &triple,
                "00201506093535B00011C49AC91AB8159BA5B83A54FB6385E0A5E31694F8B215FAFC",
                "027100001612B0001100000000000000B5BCD6353A421FAE016132",
            ),
            (
                [0x06, 0x01],
                0x35,
                &triple,
                "00201506013535B000113190BE334900F52B025F3F7EDDFE868E96EBF310023B7769",
                "027100000E0AB0001100000000000000016132",
            ),
            (
                [0x06, 0x19],
                0x22,
                &aes,
                "00281506192222B00011E87CCEEBB2D93083011CE294F93FC4D8DE80DA1ABAE8C37CA3E72EC4432E5058",
                "027100002412B00011EBC6B497E2CAD7AEDF36ACE0E3A29B38853F0FE9CCDE81913BE5702B73ABCE1F",
            ),
        ] {
            let sent = command(spi, key, RFM, &SELECT_MF);
            assert_eq!(to_hex(&sent.seal(Some(keys)).unwrap()), packet);
            let bytes = hex(packet);
            let arrived = CommandPacket::parse(&bytes).unwrap();
            assert_eq!((arrived.tar, arrived.key_versions()), (RFM, [Some(key >> 4); 2]));
            assert_eq!(arrived.open(Some(keys)), Ok(Opened { counter: 0, data: SELECT_MF.to_vec() }));
            // One command, 6132, no data.
            assert_eq!(sent.open_response(&hex(response), Some(keys)), Ok((ResponseStatus::Ok, hex("016132"))));
            assert_eq!(to_hex(&arrived.respond(ResponseStatus::Ok, 0, &hex("016132"), Some(keys))), response);
        }
    }

    #[test]
    fn packets_with_one_of_the_two_and_with_none() {
        // pySim's, on another card; of those that are not ciphered it leaves out CPL.
        let keys = keys(KeyKind::Des, "C21DD66ACAC13CB3BC8B331B24AFB57B", "12110C78E678C25408233076AA033615");
        let data = hex("00A40000023F00");
        for (spi, packet) in [
            ([0x04, 0x19], "00180D04193535B00000E3EC80A849B554421276AF3883927C20"),
            ([0x02, 0x19], "001D1502193535B00000 000000000000 072EA17BDB72060E 00A40000023F00"),
            ([0x00, 0x19], "00150D00193535B00000 000000000000 00A40000023F00"),
        ] {
            let packet = packet.replace(' ', "");
            let sent = command(spi, 0x35, [0xB0, 0x00, 0x00], &data);
            assert_eq!(to_hex(&sent.seal(Some(&keys)).unwrap()), packet);
            let bytes = hex(&packet);
            assert_eq!(CommandPacket::parse(&bytes).unwrap().open(Some(&keys)).unwrap().data, data);
        }
        let sent = command([0x02, 0x09], 0x35, RFM, &data);
        let response = hex("027100001612B000110000000000000055F47118381175FB01612F");
        assert_eq!(sent.open_response(&response, Some(&keys)), Ok((ResponseStatus::Ok, hex("01612F"))));
        let mut wrong = response.clone();
        wrong[24] = 0x02;
        assert_eq!(sent.open_response(&wrong, Some(&keys)), Err(ResponseStatus::CheckFailed));
    }

    #[test]
    fn redundancy_checks_of_the_specification() {
        // TS 102 225 annex B: of 01 02 03 04 05.
        assert_eq!((crc16(&[1, 2, 3, 4, 5]), crc32(&[1, 2, 3, 4, 5])), (0x22EC, 0x470B_99F4));
        for (kid, length) in [(0x01, 2), (0x05, 4), (0x00, 4)] {
            let sent = Command { kid, ..command([0x01, 0x05], 0, RFM, &SELECT_MF) };
            let packet = sent.seal(None).unwrap();
            assert_eq!(usize::from(packet[2]), 13 + length);
            let arrived = CommandPacket::parse(&packet).unwrap();
            assert_eq!(arrived.open(None).unwrap().data, SELECT_MF);
            let response = arrived.respond(ResponseStatus::SecurityTooLow, 0, &[], None);
            assert_eq!(sent.open_response(&response, None), Ok((ResponseStatus::SecurityTooLow, Vec::new())));
            let mut wrong = packet.clone();
            *wrong.last_mut().unwrap() ^= 1;
            assert_eq!(CommandPacket::parse(&wrong).unwrap().open(None), Err(ResponseStatus::CheckFailed));
        }
        assert_eq!(Command { kid: 0x03, ..command([0x01, 0], 0, RFM, &[]) }.seal(None), Err(ResponseStatus::Security));
    }

    #[test]
    fn keys_that_do_not_fit() {
        let [triple, aes] = samples();
        let packet = command([0x06, 0x01], 0x35, RFM, &SELECT_MF).seal(Some(&triple)).unwrap();
        let arrived = CommandPacket::parse(&packet).unwrap();
        assert_eq!(arrived.open(Some(&aes)), Err(ResponseStatus::Security));
        assert_eq!(arrived.open(None), Err(ResponseStatus::Security));
        let other = keys(KeyKind::Des, &"11".repeat(16), &"22".repeat(16));
        assert_eq!(arrived.open(Some(&other)), Err(ResponseStatus::CheckFailed));
        // Of the wrong length for its kind; a packet whose blocks are not whole.
        assert!(Key::new(KeyKind::Des, &[0; 12]).is_none() && Key::new(KeyKind::Aes, &[0; 8]).is_none());
        let mut short = packet.clone();
        short.pop();
        assert_eq!(CommandPacket::parse(&short), None);
        short[1] -= 1;
        assert_eq!(CommandPacket::parse(&short).unwrap().open(Some(&triple)), Err(ResponseStatus::Ciphering));
        assert!(!format!("{triple:?}").contains("30"));
    }

    #[test]
    fn security_parameters() {
        // TS.48 wants a checksum and ciphering (06), others a checksum and a counter (12).
        let spi = SecurityParameters([0x16, 0x39]);
        assert_eq!((spi.check(), spi.is_ciphered(), spi.counter()), (Check::Cryptographic, true, CounterMode::Higher));
        assert!(spi.reaches(0x06) && spi.reaches(0x12) && spi.reaches(0x00));
        assert!(!spi.reaches(0x1E) && !SecurityParameters([0x02, 0]).reaches(0x06) && !spi.reaches(0x03));
        assert_eq!((spi.response(), spi.response_check()), (ResponseWanted::Yes, Check::Cryptographic));
        assert!(spi.response_is_ciphered() && spi.response_by_submit());
        assert_eq!(SecurityParameters([0, 2]).response(), ResponseWanted::OnError);
        assert_eq!(SecurityParameters([0x18, 0]).counter(), CounterMode::Next);
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(
            data in proptest::collection::vec(any::<u8>(), 0..200),
            bits in 0u8..32, more in 0u8..64, counter in 0..=LAST_COUNTER, which in 0usize..2,
        ) {
            let keys = &samples()[which];
            let key = [0x35, 0x22][which];
            let sent = Command { counter, ..command([bits, more], key, RFM, &data) };
            // Signatures are nobody's; a redundancy check has algorithms of its own.
            prop_assume!(sent.spi.check() != Check::Signature && sent.spi.response_check() != Check::Signature);
            let sent = if sent.spi.check() == Check::Redundancy || sent.spi.response_check() == Check::Redundancy {
                prop_assume!(sent.spi.check() != Check::Cryptographic && sent.spi.response_check() != Check::Cryptographic);
                Command { kid: 0x05, ..sent }
            } else {
                sent
            };
            let packet = sent.seal(Some(keys)).unwrap();
            let arrived = CommandPacket::parse(&packet).unwrap();
            prop_assert_eq!(arrived.open(Some(keys)).unwrap(), Opened { counter, data: data.clone() });
            let response = arrived.respond(ResponseStatus::Ok, counter, &data, Some(keys));
            prop_assert_eq!(sent.open_response(&response, Some(keys)), Ok((ResponseStatus::Ok, data)));
        }

        #[test]
        fn no_packet_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), which in 0usize..2) {
            let keys = &samples()[which];
            if let Some(packet) = CommandPacket::parse(&bytes) {
                let _ = (packet.open(Some(keys)), packet.open(None));
                let _ = packet.respond(ResponseStatus::Ok, 0, &bytes, Some(keys));
            }
            let _ = command([0x06, 0x19], 0x35, RFM, &[]).open_response(&bytes, Some(keys));
        }
    }
}
