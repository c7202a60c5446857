//! The transport layer of short messages (TS 23.040 §9.2): what PDU mode shows as it is, and text mode spells out.
//!
//! A PDU here is what hosts write and stores hold: the address of the service centre, then the TPDU.

use crate::charset::{Charset, gsm_decode, gsm_encode, is_gsm, pack, ucs2_decode, ucs2_encode, unpack};

/// A number and its type (TS 23.040 §9.1.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Digits, with a `+` in front when the type says so; letters when the type is alphanumeric.
    pub(crate) number: String,
    pub(crate) kind: u8,
}

/// The type of an international number, and of an unknown one.
pub(crate) const INTERNATIONAL: u8 = 145;
pub(crate) const UNKNOWN: u8 = 129;

impl Address {
    /// A number as hosts write it. `None` when it holds anything but digits, `*`, `#` and a leading `+`.
    pub(crate) fn parse(text: &str, kind: Option<u8>) -> Option<Address> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        if digits.is_empty() || digits.len() > 20 || !digits.bytes().all(|byte| SEMI_OCTETS.contains(&byte)) {
            return None;
        }
        let natural = if text.starts_with('+') { INTERNATIONAL } else { UNKNOWN };
        Some(Address { number: text.to_owned(), kind: kind.unwrap_or(natural) })
    }

    /// Length in digits, type, digits (TS 23.040 §9.1.2.5).
    fn encode(&self) -> Vec<u8> {
        if self.kind & 0x70 == 0x50 {
            let septets = gsm_encode(&self.number);
            let packed = pack(&septets, 0);
            // The length counts useful semi-octets.
            let mut bytes = vec![(septets.len() * 7).div_ceil(4) as u8, self.kind];
            bytes.extend(packed);
            return bytes;
        }
        let digits = self.number.trim_start_matches('+');
        let mut bytes = vec![digits.len() as u8, self.kind];
        bytes.extend(to_semi_octets(digits));
        bytes
    }

    fn read(input: &mut &[u8]) -> Option<Address> {
        let [digits, kind, rest @ ..] = *input else { return None };
        let count = usize::from(*digits);
        let length = count.div_ceil(2);
        // TS 23.040 §9.1.2.5: at most 12 octets in all.
        if length > 10 {
            return None;
        }
        let (body, rest) = rest.split_at_checked(length)?;
        *input = rest;
        let number = if kind & 0x70 == 0x50 {
            gsm_decode(&unpack(body, count * 4 / 7, 0))
        } else {
            let plus = if kind & 0x70 == 0x10 { "+" } else { "" };
            format!("{plus}{}", from_semi_octets(body, count))
        };
        Some(Address { number, kind: *kind })
    }
}

/// The digits of a dialled number, by their value (TS 24.008 table 10.5.118).
const SEMI_OCTETS: &[u8; 15] = b"0123456789*#abc";

pub(crate) fn to_semi_octets(digits: &str) -> Vec<u8> {
    let values: Vec<u8> =
        digits.bytes().map(|digit| SEMI_OCTETS.iter().position(|known| *known == digit).unwrap_or(15) as u8).collect();
    values.chunks(2).map(|pair| pair[0] | pair.get(1).copied().unwrap_or(15) << 4).collect()
}

pub(crate) fn from_semi_octets(bytes: &[u8], count: usize) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte & 15, byte >> 4])
        .take(count)
        .filter_map(|value| SEMI_OCTETS.get(usize::from(value)).copied().map(char::from))
        .collect()
}

/// The address of a service centre in front of a TPDU: its length in octets, type, digits. An empty one means the one
/// that is set.
pub(crate) fn centre(address: Option<&Address>) -> Vec<u8> {
    match address {
        None => vec![0],
        Some(address) => {
            let digits = to_semi_octets(address.number.trim_start_matches('+'));
            let mut bytes = vec![digits.len() as u8 + 1, address.kind];
            bytes.extend(digits);
            bytes
        }
    }
}

/// Splits the address of the service centre off.
pub(crate) fn split_centre(pdu: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(*pdu.first()?);
    if length > 12 {
        return None;
    }
    pdu.split_at_checked(length + 1)
}

/// The coding of the text (TS 23.038 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gsm,
    Octets,
    Ucs2,
}

fn coding(scheme: u8) -> Coding {
    match scheme {
        0x00..=0x7F => match scheme >> 2 & 3 {
            1 => Coding::Octets,
            2 => Coding::Ucs2,
            _ => Coding::Gsm,
        },
        0xE0..=0xEF => Coding::Ucs2,
        0xF0..=0xFF if scheme & 4 != 0 => Coding::Octets,
        _ => Coding::Gsm,
    }
}

/// Whether text mode has the body of a message as octets in hexadecimal digits: with 8-bit data, with UCS2, and with a
/// header (TS 27.005 §3.1, `<data>`).
pub(crate) fn is_in_octets(first_octet: u8, scheme: u8) -> bool {
    coding(scheme) != Coding::Gsm || first_octet & 0x40 != 0
}

/// The fields of SMS-STATUS-REPORT (TS 23.040 §9.2.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) first_octet: u8,
    pub(crate) reference: u8,
    pub(crate) recipient: Address,
    /// When the service centre had the message, and when it was delivered.
    pub(crate) stamps: [[u8; 7]; 2],
    pub(crate) status: u8,
}

impl Report {
    /// Reads one.
    pub(crate) fn read(tpdu: &[u8]) -> Option<Report> {
        let [first_octet, reference, rest @ ..] = tpdu else { return None };
        if first_octet & 3 != 2 {
            return None;
        }
        let mut rest = rest;
        let recipient = Address::read(&mut rest)?;
        let (sent, rest) = rest.split_first_chunk::<7>()?;
        let (delivered, rest) = rest.split_first_chunk::<7>()?;
        let status = *rest.first()?;
        let (first_octet, reference, stamps) = (*first_octet, *reference, [*sent, *delivered]);
        Some(Report { first_octet, reference, recipient, stamps, status })
    }

    /// The fields as text mode has them: `<fo>,<mr>,[<ra>],[<tora>],<scts>,<dt>,<st>` (TS 27.005 §3.4.1, §3.4.3).
    pub(crate) fn fields(&self, charset: Charset) -> String {
        let Report { first_octet, reference, recipient, stamps, status } = self;
        let number = crate::parse::quote(&charset.encode(&recipient.number));
        let [sent, delivered] = stamps.each_ref().map(stamp_text);
        format!("{first_octet},{reference},{number},{},\"{sent}\",\"{delivered}\",{status}", recipient.kind)
    }
}

/// A message, as the fields of SMS-SUBMIT, SMS-DELIVER or SMS-STATUS-REPORT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) first_octet: u8,
    /// Destination or originator.
    pub(crate) address: Address,
    pub(crate) protocol: u8,
    pub(crate) scheme: u8,
    /// The time stamp of the service centre, of SMS-DELIVER only.
    pub(crate) stamp: Option<[u8; 7]>,
    /// The validity period, of SMS-SUBMIT only.
    pub(crate) validity: Vec<u8>,
    /// TP-UDL.
    pub(crate) length: u8,
    /// TP-UD.
    pub(crate) data: Vec<u8>,
}

impl Message {
    /// Reads SMS-SUBMIT (TS 23.040 §9.2.2.2).
    pub(crate) fn read_submit(tpdu: &[u8]) -> Option<Message> {
        let [first_octet, _reference, rest @ ..] = tpdu else { return None };
        // TS 23.040 §9.2.3.1: the two low bits tell the kind.
        if first_octet & 3 != 1 {
            return None;
        }
        let mut rest = rest;
        let address = Address::read(&mut rest)?;
        let [protocol, scheme, rest @ ..] = rest else { return None };
        // TS 23.040 §9.2.3.3: none, enhanced, relative, absolute.
        let validity_length = [0, 7, 1, 7][usize::from(first_octet >> 3 & 3)];
        let (validity, rest) = rest.split_at_checked(validity_length)?;
        let (length, data) = rest.split_first()?;
        let message = Message {
            first_octet: *first_octet,
            address,
            protocol: *protocol,
            scheme: *scheme,
            stamp: None,
            validity: validity.to_vec(),
            length: *length,
            data: data.to_vec(),
        };
        (message.octets() == data.len()).then_some(message)
    }

    /// Reads SMS-DELIVER (TS 23.040 §9.2.2.1).
    pub(crate) fn read_deliver(tpdu: &[u8]) -> Option<Message> {
        let (first_octet, mut rest) = tpdu.split_first()?;
        if first_octet & 3 != 0 {
            return None;
        }
        let address = Address::read(&mut rest)?;
        let [protocol, scheme, rest @ ..] = rest else { return None };
        let (stamp, rest) = rest.split_first_chunk::<7>()?;
        let (length, data) = rest.split_first()?;
        let message = Message {
            first_octet: *first_octet,
            address,
            protocol: *protocol,
            scheme: *scheme,
            stamp: Some(*stamp),
            validity: Vec::new(),
            length: *length,
            data: data.to_vec(),
        };
        (message.octets() == data.len()).then_some(message)
    }

    /// How many octets the text takes; it has to be no more than 140.
    fn octets(&self) -> usize {
        let length = usize::from(self.length);
        let octets = if coding(self.scheme) == Coding::Gsm { (length * 7).div_ceil(8) } else { length };
        if octets > 140 { usize::MAX } else { octets }
    }

    /// A message with this text, in the default alphabet when it has all of it. `None` when it is too long for one.
    pub(crate) fn with_text(
        first_octet: u8,
        address: Address,
        protocol: u8,
        scheme: u8,
        text: &str,
    ) -> Option<Message> {
        let (scheme, length, data) = match coding(scheme) {
            Coding::Octets => (scheme, text.len(), text.as_bytes().to_vec()),
            Coding::Gsm if is_gsm(text) => {
                let septets = gsm_encode(text);
                (scheme, septets.len(), pack(&septets, 0))
            }
            coding => {
                let data = ucs2_encode(text);
                let scheme = if coding == Coding::Ucs2 { scheme } else { scheme & !0x0C | 0x08 };
                (scheme, data.len(), data)
            }
        };
        (data.len() <= 140).then(|| Message {
            first_octet,
            address,
            protocol,
            scheme,
            stamp: None,
            validity: Vec::new(),
            length: length as u8,
            data,
        })
    }

    /// A message with these octets, for a scheme that is not the default alphabet or with a header in front. `None` when
    /// they are too many for one.
    pub(crate) fn with_octets(
        first_octet: u8,
        address: Address,
        protocol: u8,
        scheme: u8,
        data: Vec<u8>,
    ) -> Option<Message> {
        // TS 23.040 §9.2.3.16: septets, in the default alphabet.
        let length = if coding(scheme) == Coding::Gsm { data.len() * 8 / 7 } else { data.len() };
        (data.len() <= 140).then(|| Message {
            first_octet,
            address,
            protocol,
            scheme,
            stamp: None,
            validity: Vec::new(),
            length: length as u8,
            data,
        })
    }

    /// The message body as text mode has it (TS 27.005 §3.1, `<data>`): text in the character set of the host, or the
    /// octets in hexadecimal digits.
    pub(crate) fn body(&self, charset: Charset) -> String {
        match is_in_octets(self.first_octet, self.scheme) {
            true => rsp::ids::to_hex(&self.data),
            false => charset.encode(&self.text()),
        }
    }

    /// The text. A header in front of it (TS 23.040 §9.2.3.24) is left out; octets are shown as hexadecimal digits.
    pub(crate) fn text(&self) -> String {
        let header = match self.first_octet & 0x40 {
            0 => 0,
            _ => self.data.first().map_or(0, |length| usize::from(*length) + 1).min(self.data.len()),
        };
        match coding(self.scheme) {
            Coding::Gsm => {
                let skipped = (header * 8).div_ceil(7);
                let count = usize::from(self.length).saturating_sub(skipped);
                gsm_decode(&unpack(self.data.get(header..).unwrap_or_default(), count, skipped * 7 - header * 8))
            }
            Coding::Ucs2 => ucs2_decode(&self.data[header..]).unwrap_or_default(),
            Coding::Octets => rsp::ids::to_hex(&self.data[header..]),
        }
    }

    /// SMS-SUBMIT.
    pub(crate) fn encode_submit(&self, reference: u8) -> Vec<u8> {
        let mut tpdu = vec![self.first_octet, reference];
        tpdu.extend(self.address.encode());
        tpdu.extend([self.protocol, self.scheme]);
        tpdu.extend_from_slice(&self.validity);
        tpdu.push(self.length);
        tpdu.extend_from_slice(&self.data);
        tpdu
    }

    /// SMS-DELIVER with this time stamp.
    pub(crate) fn encode_deliver(&self, stamp: [u8; 7]) -> Vec<u8> {
        // TS 23.040 §9.2.2.1: no more messages wait; the header indicator is that of the message.
        let mut tpdu = vec![0x04 | self.first_octet & 0x40];
        tpdu.extend(self.address.encode());
        tpdu.extend([self.protocol, self.scheme]);
        tpdu.extend(stamp);
        tpdu.push(self.length);
        tpdu.extend_from_slice(&self.data);
        tpdu
    }

    /// Whether it is for the SIM itself: its protocol, and data of class 2 (TS 23.040 §9.2.3.9, TS 23.038 §4).
    pub(crate) fn is_for_the_card(&self) -> bool {
        const SIM_DATA_DOWNLOAD: u8 = 0x7F;
        let is_class_2 = match self.scheme {
            0xF0..=0xFF => self.scheme & 0x03 == 2,
            scheme => scheme & 0xC0 == 0 && scheme & 0x13 == 0x12,
        };
        self.protocol == SIM_DATA_DOWNLOAD && is_class_2
    }

    /// Whether the sender wants a report (TS 23.040 §9.2.3.5).
    pub(crate) fn wants_report(&self) -> bool {
        self.first_octet & 0x20 != 0
    }

    /// SMS-STATUS-REPORT of a message that has arrived (TS 23.040 §9.2.2.3).
    pub(crate) fn encode_report(&self, reference: u8, stamp: [u8; 7]) -> Vec<u8> {
        let mut tpdu = vec![0x06, reference];
        tpdu.extend(self.address.encode());
        tpdu.extend(stamp);
        tpdu.extend(stamp);
        tpdu.push(0x00);
        tpdu
    }
}

/// The time stamp (TS 23.040 §9.2.3.11): two digits each, swapped, and the zone in quarters of an hour.
pub(crate) fn stamp(seconds: i64, zone: i8) -> [u8; 7] {
    let time = crate::calendar::Calendar::from_unix(seconds.saturating_add(i64::from(zone) * 900));
    let swapped = |value: u32| (((value % 10) << 4) | (value / 10 % 10)) as u8;
    let quarters = u32::from(zone.unsigned_abs());
    let sign = if zone < 0 { 0x08 } else { 0 };
    [
        swapped(time.year.rem_euclid(100) as u32),
        swapped(time.month),
        swapped(time.day),
        swapped(time.hour),
        swapped(time.minute),
        swapped(time.second),
        swapped(quarters) | sign,
    ]
}

/// A time stamp as text mode shows it (TS 27.005 §3.1, `<scts>`).
pub(crate) fn stamp_text(stamp: &[u8; 7]) -> String {
    let [year, month, day, hour, minute, second, zone] =
        [0, 1, 2, 3, 4, 5, 6].map(|index: usize| u32::from(stamp[index] & 15) * 10 + u32::from(stamp[index] >> 4));
    let negative = stamp[6] & 0x08 != 0;
    let zone = if negative { zone.saturating_sub(80) } else { zone };
    let sign = if negative { '-' } else { '+' };
    format!("{year:02}/{month:02}/{day:02},{hour:02}:{minute:02}:{second:02}{sign}{zone:02}")
}

/// How long a PDU is, judging by its own fields: a record of the card is longer.
pub(crate) fn length(pdu: &[u8], received: bool) -> Option<usize> {
    let (centre, tpdu) = split_centre(pdu)?;
    let mut rest = tpdu;
    let first_octet = *rest.split_off_first()?;
    if first_octet & 3 == 2 && received {
        // A status report: reference, address, two stamps, status.
        rest.split_off_first()?;
        Address::read(&mut rest)?;
        let left = rest.len().checked_sub(15)?;
        return Some(pdu.len() - left);
    }
    if !received {
        rest.split_off_first()?;
    }
    Address::read(&mut rest)?;
    let [_, scheme, body @ ..] = rest else { return None };
    let skipped = if received { 7 } else { [0, 7, 1, 7][usize::from(first_octet >> 3 & 3)] };
    let (text_length, text) = body.get(skipped..)?.split_first()?;
    let octets = match coding(*scheme) {
        Coding::Gsm => (usize::from(*text_length) * 7).div_ceil(8),
        _ => usize::from(*text_length),
    };
    let left = text.len().checked_sub(octets)?;
    debug_assert!(centre.len() + left <= pdu.len());
    Some(pdu.len() - left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rsp::ids::{from_hex, to_hex};

    /// The example that descriptions of the format share: "hellohello" to 46708251358.
    #[test]
    fn submit() {
        let pdu = from_hex("0011000B916407281553F80000AA0AE8329BFD4697D9EC37").unwrap();
        let (centre, tpdu) = split_centre(&pdu).unwrap();
        assert_eq!(centre, [0]);
        let message = Message::read_submit(tpdu).unwrap();
        assert_eq!(message.address, Address { number: "+46708251358".to_owned(), kind: INTERNATIONAL });
        assert_eq!((message.text().as_str(), &message.validity[..]), ("hellohello", &[0xAA][..]));
        assert_eq!(to_hex(&message.encode_submit(0)), "11000B916407281553F80000AA0AE8329BFD4697D9EC37");
        assert_eq!(length(&pdu, false), Some(pdu.len()));
        assert_eq!(length(&[&pdu[..], &[0xFF; 30]].concat(), false), Some(pdu.len()));
        assert_eq!(Message::read_submit(&tpdu[..tpdu.len() - 1]), None);
    }

    /// The example of a received message that goes with it.
    #[test]
    fn deliver() {
        let pdu = from_hex("07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37").unwrap();
        let (centre, tpdu) = split_centre(&pdu).unwrap();
        assert_eq!(to_hex(centre), "07917283010010F5");
        let message = Message::read_deliver(tpdu).unwrap();
        assert_eq!((message.address.number.as_str(), message.text().as_str()), ("27838890001", "hellohello"));
        let stamp = message.stamp.unwrap();
        assert_eq!(stamp_text(&stamp), "99/03/29,15:16:59+08");
        assert_eq!(to_hex(&message.encode_deliver(stamp)), to_hex(tpdu));
        assert_eq!(length(&[&pdu[..], &[0xFF; 9]].concat(), true), Some(pdu.len()));
    }

    #[test]
    fn stamps() {
        // 2026-11-20 10:31:45 UTC, shown two hours east and half an hour west.
        assert_eq!(stamp_text(&stamp(1_795_170_705, 8)), "26/11/20,12:31:45+08");
        assert_eq!(stamp_text(&stamp(1_795_170_705, -2)), "26/11/20,10:01:45-02");
    }

    #[test]
    fn texts() {
        let address = Address::parse("+4412", None).unwrap();
        let text = |text: &str| Message::with_text(17, address.clone(), 0, 0, text);
        assert_eq!(text("€5").unwrap().text(), "€5");
        assert_eq!((text("Привет").unwrap().scheme, text("Привет").unwrap().text().as_str()), (8, "Привет"));
        assert!(text(&"a".repeat(160)).is_some() && text(&"a".repeat(161)).is_none());
        assert!(text(&"я".repeat(70)).is_some() && text(&"я".repeat(71)).is_none());
        // TS 23.040 §9.2.3.24: a header of six octets, then the septets on their boundary.
        let mut headed = text("x").unwrap();
        headed.first_octet |= 0x40;
        headed.data = [&[0x05, 0x00, 0x03, 0x2A, 0x02, 0x01][..], &pack(&gsm_encode("part"), 1)].concat();
        headed.length = 7 + 4;
        assert_eq!(headed.text(), "part");
        assert!(Address::parse("12a4", None).is_some() && Address::parse("12-4", None).is_none());
        let letters = Address { number: "Operator".to_owned(), kind: 0xD0 };
        assert_eq!(Address::read(&mut &letters.encode()[..]), Some(letters));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            for received in [false, true] {
                if let Some(length) = length(&bytes, received) {
                    prop_assert!(length <= bytes.len());
                }
            }
            for message in [Message::read_submit(&bytes), Message::read_deliver(&bytes)].into_iter().flatten() {
                message.text();
                message.encode_deliver([0; 7]);
            }
        }

        #[test]
        fn what_is_submitted_is_delivered(text in "[a-zA-Zäöü 0-9]{0,70}", number in "\\+?[0-9]{1,15}") {
            let message = Message::with_text(0x31, Address::parse(&number, None).unwrap(), 0, 0, &text).unwrap();
            let message = Message { validity: vec![167], ..message };
            let submitted = Message::read_submit(&message.encode_submit(1)).unwrap();
            prop_assert_eq!(&submitted, &message);
            let delivered = Message::read_deliver(&submitted.encode_deliver(stamp(0, 0))).unwrap();
            prop_assert_eq!((delivered.text(), delivered.address.number), (text, number));
        }
    }
}
