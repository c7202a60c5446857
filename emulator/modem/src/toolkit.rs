//! Proactive commands (TS 102 223): what the card asks of the modem.
//!
//! The modem has no screen, no keys and no bearer to offer: all it does is REFRESH, by which the card tells that a
//! profile was switched. Everything else is answered by "beyond the terminal's capabilities".

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

/// Fetches one proactive command of this length and answers it.
pub(crate) fn serve(uicc: &mut Uicc, length: u8, tap: &mut Tap) -> Result<Option<Refresh>, CardError> {
    // TS 102 221 §11.2.3.
    let answer = uicc.exchange(0, &[0x80, 0x12, 0x00, 0x00, length], tap)?;
    if !answer.is_success() {
        return Err(CardError::Status(answer.status));
    }
    let command = parse(&answer.data).ok_or(CardError::Malformed)?;
    // TS 102 223 §8.6, table 9.4: REFRESH is 01. Its qualifier: 4 UICC reset, 8 and 9 change of an eUICC's profiles.
    let refresh = match (command.kind, command.qualifier) {
        (0x01, 0x04 | 0x08 | 0x09) => Some(Refresh::Reset),
        (0x01, _) => Some(Refresh::Files),
        _ => None,
    };
    // TS 102 223 §8.12: 00 performed, 30 beyond the terminal's capabilities.
    let result = if refresh.is_some() { 0x00 } else { 0x30 };
    let response = Writer::new()
        .put(0x81, &[command.number, command.kind, command.qualifier])
        // TS 102 223 §8.7: from the terminal to the card.
        .put(0x82, &[0x82, 0x81])
        .put(0x83, &[result])
        .into_vec();
    let mut apdu = vec![0x80, 0x14, 0x00, 0x00, response.len() as u8];
    apdu.extend_from_slice(&response);
    // TS 102 223 §6.4.7: a REFRESH with reset is answered by the reset itself, not by TERMINAL RESPONSE.
    if refresh != Some(Refresh::Reset) {
        uicc.exchange(0, &apdu, tap)?;
    }
    Ok(refresh)
}

struct Command {
    number: u8,
    kind: u8,
    qualifier: u8,
}

/// The command details (TS 102 223 §8.6) in a proactive UICC command (§9.4, tag D0).
fn parse(bytes: &[u8]) -> Option<Command> {
    let (tlv, _) = Tlv::parse(bytes).ok()?;
    if tlv.tag().0 != 0xD0 {
        return None;
    }
    let mut reader = tlv.reader();
    while let Ok(Some(part)) = reader.next_tlv() {
        // The bit for comprehension is required or not.
        if let (0x01 | 0x81, [number, kind, qualifier]) = (part.tag().0, part.value()) {
            return Some(Command { number: *number, kind: *kind, qualifier: *qualifier });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;

    fn with(exchanges: &[(&str, &str)]) -> Result<Option<Refresh>, CardError> {
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
        assert_eq!(with(&[reset]), Ok(Some(Refresh::Reset)));
        let init = ("801200000B", "D0098103010103820281829000");
        assert_eq!(
            with(&[init, ("801400000C810301010382028281830100", "9000")]),
            Ok(Some(Refresh::Files)),
            "the answer repeats the command details"
        );
    }

    #[test]
    fn what_the_modem_cannot_do() {
        // DISPLAY TEXT.
        let text = ("801200000B", "D009810301218082028102 9000");
        assert_eq!(with(&[text, ("801400000C810301218082028281830130", "9000")]), Ok(None));
        assert_eq!(with(&[("801200000B", "6985")]), Err(CardError::Status(0x6985)));
        assert_eq!(with(&[("801200000B", "D1009000")]), Err(CardError::Malformed));
    }
}
