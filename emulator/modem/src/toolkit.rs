//! Proactive commands (TS 102 223): what the card asks of the modem.
//!
//! The modem has no screen, no keys and no bearer to offer. What it does is REFRESH, by which the card tells that a
//! profile was switched or files have changed, and SET UP EVENT LIST: a card that asks for the location status is told
//! by ENVELOPE where the modem is. A short message for the card goes to it by ENVELOPE as well. Everything else is answered by "beyond the terminal's capabilities".

use rsp::tlv::{Tlv, Writer};

use crate::card::{CardError, Uicc};
use crate::event::Tap;

/// What a REFRESH asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// The card has to be reset.
    Reset,
    /// Files have changed, or the application has to be initialised again.
    Files,
}

/// What a proactive command has the modem do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    /// Nothing: it cannot be done.
    Nothing,
    Refresh(Refresh),
    /// From now on the card is told of these events.
    Events {
        location: bool,
    },
}

/// Fetches one proactive command of this length and answers it.
pub(crate) fn serve(uicc: &mut Uicc, length: u8, tap: &mut Tap) -> Result<Served, CardError> {
    // TS 102 221 §11.2.3.
    let answer = uicc.exchange(0, &[0x80, 0x12, 0x00, 0x00, length], tap)?;
    if !answer.is_success() {
        return Err(CardError::Status(answer.status));
    }
    let command = parse(&answer.data).ok_or(CardError::Malformed)?;
    // TS 102 223 §8.6, table 9.4: REFRESH is 01. Its qualifier: 4 UICC reset, 8 and 9 change of an eUICC's profiles.
    let served = match (command.kind, command.qualifier) {
        (0x01, 0x04 | 0x08 | 0x09) => Served::Refresh(Refresh::Reset),
        (0x01, _) => Served::Refresh(Refresh::Files),
        // TS 102 223 §6.4.16: a list replaces the one before; §8.25: 03 is the location status.
        (0x05, _) => Served::Events { location: command.events.contains(&0x03) },
        _ => Served::Nothing,
    };
    // TS 102 223 §8.12: 00 performed, 30 beyond the terminal's capabilities.
    let result = if served == Served::Nothing { 0x30 } else { 0x00 };
    let response = Writer::new()
        .put(0x81, &[command.number, command.kind, command.qualifier])
        // TS 102 223 §8.7: from the terminal to the card.
        .put(0x82, &[0x82, 0x81])
        .put(0x83, &[result])
        .into_vec();
    let mut apdu = vec![0x80, 0x14, 0x00, 0x00, response.len() as u8];
    apdu.extend_from_slice(&response);
    // TS 102 223 §6.4.7: a REFRESH with reset is answered by the reset itself, not by TERMINAL RESPONSE.
    if served != Served::Refresh(Refresh::Reset) {
        uicc.exchange(0, &apdu, tap)?;
    }
    Ok(served)
}

/// Where the modem is, for the card (TS 102 223 §8.19, §8.27).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    /// 0 normal service, 1 limited service, 2 none.
    pub(crate) status: u8,
    /// Location information; empty without service.
    pub(crate) information: Vec<u8>,
}

/// ENVELOPE with the event download of the location status (TS 102 223 §7.5.4).
pub(crate) fn tell_location(uicc: &mut Uicc, location: &Location, tap: &mut Tap) -> Result<(), CardError> {
    let event = Writer::new()
        .nested(0xD6, |w| {
            // The device identities: from the terminal to the card.
            let w = w.put(0x99, &[0x03]).put(0x82, &[0x82, 0x81]).put(0x9B, &[location.status]);
            if location.information.is_empty() { w } else { w.put(0x93, &location.information) }
        })
        .into_vec();
    let mut apdu = vec![0x80, 0xC2, 0x00, 0x00, event.len() as u8];
    apdu.extend_from_slice(&event);
    uicc.exchange(0, &apdu, tap).map(drop)
}

/// ENVELOPE with a short message for the card (TS 31.111 §7.1.1): the address of the service centre as a message begins
/// with it, and the message. Gives whether the card has taken it.
pub(crate) fn hand_message(uicc: &mut Uicc, centre: &[u8], tpdu: &[u8], tap: &mut Tap) -> Result<bool, CardError> {
    let download = Writer::new()
        .nested(0xD1, |w| {
            // The device identities: from the network to the card. An address has no length of its own (TS 102 223 §8.1).
            let w = w.put(0x82, &[0x83, 0x81]);
            let w = if let [_, address @ ..] = centre
                && !address.is_empty()
            {
                w.put(0x06, address)
            } else {
                w
            };
            w.put(0x8B, tpdu)
        })
        .into_vec();
    let Ok(length) = u8::try_from(download.len()) else { return Ok(false) };
    let answer = uicc.exchange(0, &[&[0x80, 0xC2, 0x00, 0x00, length], &download[..]].concat(), tap)?;
    Ok(answer.is_success())
}

struct Command {
    number: u8,
    kind: u8,
    qualifier: u8,
    /// The events of an event list (TS 102 223 §8.25).
    events: Vec<u8>,
}

/// The command details (TS 102 223 §8.6) in a proactive UICC command (§9.4, tag D0).
fn parse(bytes: &[u8]) -> Option<Command> {
    let (tlv, _) = Tlv::parse(bytes).ok()?;
    if tlv.tag().0 != 0xD0 {
        return None;
    }
    let mut reader = tlv.reader();
    let (mut details, mut events) = (None, Vec::new());
    while let Ok(Some(part)) = reader.next_tlv() {
        // The bit for comprehension is required or not.
        match (part.tag().0 & 0x7F, part.value()) {
            (0x01, [number, kind, qualifier]) => details = Some((*number, *kind, *qualifier)),
            (0x19, list) => events = list.to_vec(),
            _ => {}
        }
    }
    details.map(|(number, kind, qualifier)| Command { number, kind, qualifier, events })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;

    fn with(exchanges: &[(&str, &str)]) -> Result<Served, CardError> {
        let script = Script::new(exchanges);
        let mut uicc = Uicc::new(Some(script.card()));
        let mut tap = Tap::default();
        uicc.power_up(&mut tap);
        let outcome = serve(&mut uicc, 0x0B, &mut tap);
        assert!(script.is_done());
        outcome
    }

    #[test]
    fn refresh() {
        let reset = ("801200000B", "D00981030101048202818 2 9000");
        assert_eq!(with(&[reset]), Ok(Served::Refresh(Refresh::Reset)));
        let init = ("801200000B", "D0098103010103820281829000");
        assert_eq!(
            with(&[init, ("801400000C810301010382028281830100", "9000")]),
            Ok(Served::Refresh(Refresh::Files)),
            "the answer repeats the command details"
        );
    }

    #[test]
    fn events() {
        // SET UP EVENT LIST with location status and card reader status; then with nothing.
        let list = ("801200000B", "D00D81030105008202818299020308 9000");
        let done = ("801400000C810301050082028281830100", "9000");
        assert_eq!(with(&[list, done]), Ok(Served::Events { location: true }));
        let none = ("801200000B", "D00B8103010500820281829900 9000");
        assert_eq!(with(&[none, done]), Ok(Served::Events { location: false }));
        // TS 102 223 §7.5.4, in a cell of E-UTRAN.
        let script = Script::new(&[("80C2000017D615990103820282819B0100930962F2101A2D01A2D00F", "9000")]);
        let mut uicc = Uicc::new(Some(script.card()));
        let mut tap = Tap::default();
        uicc.power_up(&mut tap);
        let information = rsp::ids::from_hex("62F2101A2D01A2D00F").unwrap();
        tell_location(&mut uicc, &Location { status: 0, information }, &mut tap).unwrap();
        assert!(script.is_done());
    }

    #[test]
    fn a_message_for_the_card() {
        let hand = |centre: &str, answer: &str| {
            let tpdu = "400491214 37FF622705200000000 03027000".replace(' ', "");
            let address = centre.get(2..).map_or(String::new(), |rest| {
                if rest.is_empty() { String::new() } else { format!("06{:02X}{rest}", rest.len() / 2) }
            });
            let data = format!("82028381{address}8B12{tpdu}");
            let command = format!("80C20000{:02X}D1{:02X}{data}", data.len() / 2 + 2, data.len() / 2);
            let script = Script::new(&[(&command, answer)]);
            let mut uicc = Uicc::new(Some(script.card()));
            let mut tap = Tap::default();
            uicc.power_up(&mut tap);
            let bytes = |text: &str| rsp::ids::from_hex(text).unwrap();
            let taken = hand_message(&mut uicc, &bytes(centre), &bytes(&tpdu), &mut tap);
            assert!(script.is_done());
            taken
        };
        assert_eq!(hand("00", "9000"), Ok(true));
        assert_eq!(hand("069194519145", "910B"), Ok(true));
        assert_eq!(hand("00", "6D00"), Ok(false));
    }

    #[test]
    fn what_the_modem_cannot_do() {
        // DISPLAY TEXT.
        let text = ("801200000B", "D009810301218082028102 9000");
        assert_eq!(with(&[text, ("801400000C810301218082028281830130", "9000")]), Ok(Served::Nothing));
        assert_eq!(with(&[("801200000B", "6985")]), Err(CardError::Status(0x6985)));
        assert_eq!(with(&[("801200000B", "D1009000")]), Err(CardError::Malformed));
    }
}
