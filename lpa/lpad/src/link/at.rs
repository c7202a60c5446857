//! The link by `AT+CCHO`, `AT+CGLA` and `AT+CCHC` (TS 27.007 §8.43, §8.45, §8.46).
//!
//! The session id is opaque: it goes back as it came. The modem, not this program, puts the logical channel into
//! CLA (TS 27.007 §8.43).

use std::time::Duration;

use rsp::ids::to_hex;

use super::dialogue::{parse_apdu_answer, shorten};
use super::{ApduLink, Dialogue, LinkError, LinkOptions, Port};
use crate::imei::Imei;
use crate::log::Log;

/// TERMINAL CAPABILITY that says the device supports local profile management (TS 102 221 §11.1.19, tag 83 bits
/// LUId, LPDd and LDSd): some cards hide the ISD-R until they have seen it.
pub(crate) const TERMINAL_CAPABILITY: [u8; 10] = [0x80, 0xAA, 0x00, 0x00, 0x05, 0xA9, 0x03, 0x83, 0x01, 0x07];

/// A session with the ISD-R.
#[derive(Debug)]
pub struct AtLink<P: Port> {
    /// `None` when it has been taken for another link.
    dialogue: Option<Dialogue<P>>,
    options: LinkOptions,
    session: Option<String>,
}

impl<P: Port> AtLink<P> {
    /// Finds the modem and opens a session with the ISD-R.
    pub fn open(port: P, options: LinkOptions, log: Log) -> Result<Self, LinkError> {
        let mut link = AtLink::over(Dialogue::begin(port, options.command_timeout, log)?, options);
        link.open_session()?;
        Ok(link)
    }

    /// A link without a session, on a dialogue that has begun.
    pub(super) fn over(dialogue: Dialogue<P>, options: LinkOptions) -> Self {
        AtLink { dialogue: Some(dialogue), options, session: None }
    }

    /// The dialogue, for another link.
    pub(super) fn into_dialogue(mut self) -> Option<Dialogue<P>> {
        self.dialogue.take()
    }

    fn dialogue(&mut self) -> Result<&mut Dialogue<P>, LinkError> {
        self.dialogue.as_mut().ok_or(LinkError::Gone)
    }

    pub(super) fn open_session(&mut self) -> Result<(), LinkError> {
        let refused = match self.try_open() {
            Err(error @ LinkError::Refused { .. }) => error,
            other => return other,
        };
        // Two things help in the field: telling the card what the device can do, where the modem lets the host at
        // the basic channel, and closing the sessions that a killed program has left behind.
        let capability = format!("AT+CSIM={},\"{}\"", TERMINAL_CAPABILITY.len() * 2, to_hex(&TERMINAL_CAPABILITY));
        let mut remedies = vec![capability];
        remedies.extend((1..=3).map(|session| format!("AT+CCHC={session}")));
        for remedy in remedies {
            let timeout = self.options.command_timeout;
            match self.dialogue()?.command(&remedy, timeout) {
                Ok(_) | Err(LinkError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.try_open().map_err(|error| if matches!(error, LinkError::Refused { .. }) { refused } else { error })
    }

    fn try_open(&mut self) -> Result<(), LinkError> {
        let command = format!("AT+CCHO=\"{}\"", self.options.aid);
        let timeout = self.options.command_timeout;
        let lines = self.dialogue()?.command(&command, timeout)?;
        let labelled = lines.iter().find_map(|line| line.strip_prefix("+CCHO:")).map(str::trim);
        // Fibocom answers the bare id on a line of its own; a URC has a sign in front.
        let bare = || lines.iter().map(String::as_str).find(|line| line.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let session = labelled.or_else(bare).filter(|session| !session.is_empty());
        let usable = |session: &&str| session.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';');
        match session.filter(usable) {
            Some(session) => {
                self.session = Some(session.to_owned());
                Ok(())
            }
            None => Err(LinkError::Malformed {
                command,
                answer: shorten(&lines.join(" ")),
                problem: "there is no session id in it",
            }),
        }
    }
}

impl<P: Port> ApduLink for AtLink<P> {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, LinkError> {
        let Some(session) = &self.session else { return Err(LinkError::Gone) };
        let command = format!("AT+CGLA={session},{},\"{}\"", apdu.len() * 2, to_hex(apdu));
        let timeout = self.options.apdu_timeout;
        let answer = self.dialogue()?.query(&command, "+CGLA:", timeout)?;
        parse_apdu_answer(&answer).map_err(|problem| LinkError::Malformed {
            command: shorten(&command),
            answer: shorten(&answer),
            problem,
        })
    }

    fn reopen(&mut self) -> Result<(), LinkError> {
        if let Some(session) = self.session.take() {
            let timeout = self.options.command_timeout;
            match self.dialogue()?.command(&format!("AT+CCHC={session}"), timeout) {
                // After a reset of the card the session is gone already.
                Ok(_) | Err(LinkError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.open_session()
    }

    fn device_imei(&mut self) -> Option<Imei> {
        self.dialogue.as_mut()?.device_imei(self.options.command_timeout)
    }
}

impl<P: Port> Drop for AtLink<P> {
    fn drop(&mut self) {
        if let (Some(session), Some(dialogue)) = (self.session.take(), &mut self.dialogue) {
            // After a silence nobody waits for another: the line is written, the answer is not awaited.
            let wait = if dialogue.is_silent() { Duration::ZERO } else { Duration::from_secs(2) };
            let _ = dialogue.command(&format!("AT+CCHC={session}"), wait.min(self.options.command_timeout));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dialogue::tests::Script;
    use super::*;

    const CCHO: &str = "AT+CCHO=\"A0000005591010FFFFFFFF8900000100\"";
    const GET_EID: &str = "81E2910006BF3E035C015A";
    const OK: &str = "\r\nOK\r\n";

    fn open(script: &Script) -> Result<AtLink<Script>, LinkError> {
        AtLink::open(script.clone(), LinkOptions::default(), Log::default())
    }

    #[test]
    fn forms_of_session_ids_and_answers() {
        for (opened, id, answer) in [
            ("\r\n+CCHO: 1\r\n\r\nOK\r\n", "1", "\r\n+CGLA: 4,\"6115\"\r\n\r\nOK\r\n"),
            // Sierra MC7455: an opaque handle. SIMCom A7908E: no space.
            ("\r\n+CCHO: 00000000038aa32f\r\n\r\nOK\r\n", "00000000038aa32f", "\r\n+CGLA:4,\"6115\"\r\nOK\r\n"),
            // Fibocom FM350-GL: a bare line; a URC before it.
            ("\r\n+QIND: PB DONE\r\n\r\n1\r\nOK\r\n", "1", "\r\n+CREG: 1\r\n\r\n+CGLA: 4,6115\r\nOK\r\n"),
            ("AT+CCHO=\"A0000005591010FFFFFFFF8900000100\"\r\r\n+CCHO:2\r\nOK\r\n", "2", "+CGLA: 4,\"6115\"\rOK\r"),
        ] {
            let apdu = format!("AT+CGLA={id},22,\"{GET_EID}\"");
            let close = format!("AT+CCHC={id}");
            let script = Script::new(&[("ATE0Q0V1", OK), (CCHO, opened), (&apdu, answer), (&close, OK)]);
            let mut link = open(&script).unwrap();
            assert_eq!(link.transmit(&rsp::ids::from_hex(GET_EID).unwrap()).unwrap(), [0x61, 0x15]);
            drop(link);
            assert_eq!(script.left(), 0, "the session is closed: {:?}", script.seen());
        }
    }

    #[test]
    fn leftover_sessions_are_closed_once() {
        let script = Script::new(&[
            ("ATE0Q0V1", OK),
            (CCHO, "\r\nERROR\r\n"),
            ("AT+CSIM=20,\"80AA000005A903830107\"", "\r\n+CSIM: 4,\"9000\"\r\n\r\nOK\r\n"),
            ("AT+CCHC=1", OK),
            ("AT+CCHC=2", "\r\nERROR\r\n"),
            ("AT+CCHC=3", "\r\n+CME ERROR: 50\r\n"),
            (CCHO, "\r\n+CCHO: 1\r\n\r\nOK\r\n"),
            ("AT+CCHC=1", OK),
        ]);
        drop(open(&script).unwrap());
        assert_eq!(script.left(), 0);
    }

    #[test]
    fn a_card_that_is_no_euicc() {
        let script = Script::new(&[("ATE0Q0V1", OK), (CCHO, "\r\n+CME ERROR: 13\r\n")]);
        let error = open(&script).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the modem answered +CME ERROR: 13 to AT+CCHO=\"A0000005591010FFFFFFFF8900000100\""
        );
        assert!(error.hint().unwrap().contains("lpa_enable"));
    }

    #[test]
    fn a_silent_card_is_given_up_and_the_session_closed_without_waiting() {
        let script = Script::new(&[
            ("ATE0Q0V1", OK),
            (CCHO, "\r\n+CCHO: 1\r\n\r\nOK\r\n"),
            ("AT+CGLA=1,8,\"80F20000\"", ""),
            ("AT+CCHC=1", ""),
        ]);
        let mut link = open(&script).unwrap();
        assert!(matches!(link.transmit(&[0x80, 0xF2, 0, 0]), Err(LinkError::Timeout { .. })));
        drop(link);
        assert_eq!(script.left(), 0);
    }

    #[test]
    fn answers_that_cannot_be_understood() {
        for answer in ["\r\n+CGLA: 4\r\n\r\nOK\r\n", "\r\n+CGLA: 6,\"9000\"\r\n\r\nOK\r\n", OK] {
            let script = Script::new(&[
                ("ATE0Q0V1", OK),
                (CCHO, "\r\n+CCHO: 1\r\n\r\nOK\r\n"),
                ("AT+CGLA=1,8,\"80F20000\"", answer),
                ("AT+CCHC=1", OK),
            ]);
            let mut link = open(&script).unwrap();
            assert!(matches!(link.transmit(&[0x80, 0xF2, 0, 0]), Err(LinkError::Malformed { .. })), "{answer:?}");
        }
    }

    #[test]
    fn a_session_can_be_opened_anew() {
        let script = Script::new(&[
            ("ATE0Q0V1", OK),
            (CCHO, "\r\n+CCHO: 1\r\n\r\nOK\r\n"),
            ("AT+CCHC=1", "\r\nERROR\r\n"),
            (CCHO, "\r\n+CCHO: 2\r\n\r\nOK\r\n"),
            ("AT+CCHC=2", OK),
        ]);
        let mut link = open(&script).unwrap();
        link.reopen().unwrap();
        drop(link);
        assert_eq!(script.left(), 0);
    }
}
