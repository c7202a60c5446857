//! Short messages that the terminal hands to the card (TS 31.111 §7.1.1: ENVELOPE with SMS-PP download), put together
//! from their parts, and the one that the card asks the terminal to send.

use std::collections::BTreeMap;

use rsp::tlv::{Reader, Writer};

/// SMS-PP download in an ENVELOPE (TS 31.111 §7.1.1.2).
const SMS_PP_DOWNLOAD: u32 = 0xD1;

/// Elements of a user data header (TS 23.040 §9.2.3.24): parts of one message, a secured command packet.
const CONCATENATED: u8 = 0x00;
const COMMAND_PACKET: u8 = 0x70;

/// A short message that has arrived, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// The address of the sender as it stands in the message, length first.
    pub(super) sender: Vec<u8>,
    /// Reference, number of parts and number of this part.
    part: Option<[u8; 3]>,
    is_command: bool,
    data: Vec<u8>,
}

impl Message {
    /// Reads the data of an ENVELOPE; `None` when it is none with a short message of 8 bit data and a header.
    pub(super) fn parse(envelope: &[u8]) -> Option<Self> {
        let download = Reader::new(envelope).next()?.ok().filter(|tlv| tlv.tag().0 == SMS_PP_DOWNLOAD)?;
        // TS 101 220 §7.1.1: bit 8 of a COMPREHENSION-TLV tag is no part of what it names.
        let tpdu = download.reader().find_map(|part| part.ok().filter(|part| part.tag().0 & 0x7F == 0x0B))?;
        Message::deliver(tpdu.value())
    }

    /// SMS-DELIVER (TS 23.040 §9.2.2.1).
    fn deliver(tpdu: &[u8]) -> Option<Self> {
        const HAS_HEADER: u8 = 0x40;
        let (first, rest) = tpdu.split_first()?;
        if first & 0x03 != 0 || first & HAS_HEADER == 0 {
            return None;
        }
        let digits = usize::from(*rest.first()?);
        let (sender, rest) = rest.split_at_checked(2 + digits.div_ceil(2))?;
        // Protocol identifier, data coding scheme, time stamp, length of the user data.
        let (fields, rest) = rest.split_at_checked(10)?;
        let (coding, length) = (fields[1], usize::from(fields[9]));
        // TS 23.038 §4: 8 bit data, of whatever class.
        if coding & 0xCC != 0x04 && coding & 0xF4 != 0xF4 {
            return None;
        }
        let user_data = rest.get(..length)?;
        let (header_length, rest) = user_data.split_first()?;
        let (mut header, data) = rest.split_at_checked(usize::from(*header_length))?;
        let mut message = Message { sender: sender.to_vec(), part: None, is_command: false, data: data.to_vec() };
        while let [kind, length, rest @ ..] = header {
            let (value, rest) = rest.split_at_checked(usize::from(*length))?;
            match (*kind, value) {
                (CONCATENATED, [reference, total, number]) => message.part = Some([*reference, *total, *number]),
                (COMMAND_PACKET, _) => message.is_command = true,
                _ => {}
            }
            header = rest;
        }
        Some(message)
    }
}

/// The parts of a message that is not whole yet. There is room for one message at a time.
#[derive(Debug, Default)]
pub(super) struct Parts {
    of: Option<(Vec<u8>, u8, u8)>,
    parts: BTreeMap<u8, Message>,
}

impl Parts {
    /// Takes a message; gives the command packet, once it is whole.
    pub(super) fn add(&mut self, message: Message) -> Option<Vec<u8>> {
        let Some([reference, total, number]) = message.part else {
            return message.is_command.then_some(message.data);
        };
        if number == 0 || number > total {
            return None;
        }
        let of = Some((message.sender.clone(), reference, total));
        if self.of != of {
            (self.of, self.parts) = (of, BTreeMap::new());
        }
        self.parts.insert(number, message);
        if self.parts.len() < usize::from(total) {
            return None;
        }
        let parts = std::mem::take(self).parts;
        // TS 31.115 §4.2: the element is in the header of the first part.
        let is_command = parts.first_key_value().is_some_and(|(_, first)| first.is_command);
        is_command.then(|| parts.into_values().flat_map(|part| part.data).collect())
    }
}

/// SEND SHORT MESSAGE (TS 31.111 §6.4.10) with an SMS-SUBMIT back to the sender.
pub(super) fn send(to: &[u8], user_data: &[u8]) -> Vec<u8> {
    // TS 23.040 §9.2.2.2: a header is there, no validity period; 8 bit data of class 2 for a protocol of the SIM.
    let mut submit = vec![0x41, 0x00];
    submit.extend_from_slice(to);
    submit.extend_from_slice(&[0x00, 0xF6, user_data.len() as u8]);
    submit.extend_from_slice(user_data);
    Writer::new()
        .nested(0xD0, |w| w.put(0x81, &[0x01, 0x13, 0x00]).put(0x82, &[0x81, 0x83]).put(0x8B, &submit))
        .into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsp::ids::from_hex;

    fn hex(text: &str) -> Vec<u8> {
        from_hex(text.replace(' ', "")).unwrap()
    }

    #[test]
    fn a_message_of_an_independent_server() {
        // proves: USIM - over the air
        // pySim's SMS-DELIVER from 12345678, its length of the user data put right.
        let packet = "00201506193535B00011AE733256918D050B87C94FBFE12E4DC402F262C41CF67F2F";
        let tpdu = format!("400881214365877FF62270520000000025027000{packet}");
        let envelope = hex(&format!("D13C 82028381 8B36 {tpdu}"));
        let message = Message::parse(&envelope).unwrap();
        assert_eq!(message.sender, hex("088121436587"));
        assert_eq!(Parts::default().add(message), Some(hex(packet)));
    }

    #[test]
    fn parts_come_in_any_order() {
        // proves: USIM - over the air
        let part = |reference: u8, number: u8, data: &str| {
            let element = if number == 1 { "7000" } else { "" };
            let length = 5 + element.len() / 2;
            let user = hex(&format!("{length:02X}0003{reference:02X}02{number:02X}{element}{data}"));
            let tpdu = [hex("40 0491 2143 7F F6 22705200000000"), vec![user.len() as u8], user].concat();
            Message::parse(&Writer::new().nested(0xD1, |w| w.put(0x8B, &tpdu)).into_vec()).unwrap()
        };
        let mut parts = Parts::default();
        assert_eq!(parts.add(part(7, 2, "CCDD")), None);
        assert_eq!(parts.add(part(7, 2, "CCDD")), None);
        assert_eq!(parts.add(part(7, 1, "AABB")), Some(hex("AABBCCDD")));
        // Another message takes the place of one that is not whole.
        assert_eq!(parts.add(part(8, 1, "01")), None);
        assert_eq!(parts.add(part(9, 2, "02")), None);
        assert_eq!(parts.add(part(8, 2, "03")), None);
        assert_eq!(parts.add(part(8, 1, "04")), Some(hex("0403")));
    }

    #[test]
    fn what_is_no_message_for_the_card() {
        for envelope in [
            "",
            "D1",
            "D100",
            "D6020000",
            // Without a header; of 7 bit text; cut short; a submit.
            "D10F 8B0D 00 0081 7F F6 22705200000000 00",
            "D112 8B10 40 0081 7F 00 22705200000000 03 027000",
            "D111 8B0F 40 0081 7F F6 22705200000000 05 0270",
            "D112 8B10 41 0081 7F F6 22705200000000 03 027000",
        ] {
            assert_eq!(Message::parse(&hex(envelope)), None, "{envelope}");
        }
    }

    #[test]
    fn the_message_that_is_sent() {
        let command = send(&hex("0491 2143"), &hex("027100"));
        assert_eq!(command, hex("D017 8103011300 82028183 8B0C 4100 04912143 00F603 027100"));
    }
}
