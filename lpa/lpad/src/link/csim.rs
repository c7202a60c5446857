//! The link by `AT+CSIM` alone (TS 27.007 §8.17): this program opens the logical channel by MANAGE CHANNEL, selects
//! the ISD-R on it and puts the channel into CLA.

use std::time::Duration;

use rsp::ids::to_hex;

use super::at::TERMINAL_CAPABILITY;
use super::dialogue::{parse_apdu_answer, shorten};
use super::{ApduLink, Dialogue, LinkError, LinkOptions, Port, class_on_channel};
use crate::imei::Imei;
use crate::log::Log;

/// A logical channel with the ISD-R selected on it.
#[derive(Debug)]
pub struct CsimLink<P: Port> {
    dialogue: Dialogue<P>,
    options: LinkOptions,
    channel: Option<u8>,
}

impl<P: Port> CsimLink<P> {
    /// Finds the modem, opens a logical channel and selects the ISD-R.
    pub fn open(port: P, options: LinkOptions, log: Log) -> Result<Self, LinkError> {
        let mut link = CsimLink::over(Dialogue::begin(port, options.command_timeout, log)?, options);
        link.open_channel()?;
        Ok(link)
    }

    /// A link without a channel, on a dialogue that has begun.
    pub(super) fn over(dialogue: Dialogue<P>, options: LinkOptions) -> Self {
        CsimLink { dialogue, options, channel: None }
    }

    pub(super) fn open_channel(&mut self) -> Result<(), LinkError> {
        match self.try_open() {
            Err(LinkError::NoChannel { .. }) => {
                // Some cards hide the ISD-R until they know what the device can do; channels that a killed program
                // has left open are closed. The card's refusals do not matter here.
                self.exchange(&TERMINAL_CAPABILITY)?;
                for channel in 1..=3 {
                    self.exchange(&[0x00, 0x70, 0x80, channel, 0x00])?;
                }
                self.try_open()
            }
            other => other,
        }
    }

    fn try_open(&mut self) -> Result<(), LinkError> {
        // MANAGE CHANNEL open (TS 102 221 §11.1.17): the card chooses the number.
        let answer = self.exchange(&[0x00, 0x70, 0x00, 0x00, 0x01])?;
        let channel = match answer[..] {
            [channel @ 1..=19, 0x90, 0x00] => channel,
            _ => {
                return Err(LinkError::NoChannel { function: "MANAGE CHANNEL", status_word: status_word(&answer) });
            }
        };
        self.channel = Some(channel);
        let aid = self.options.aid.as_bytes();
        let mut select = vec![class_on_channel(0x00, channel), 0xA4, 0x04, 0x00, aid.len() as u8];
        select.extend_from_slice(aid);
        let answer = self.exchange(&select)?;
        match status_word(&answer) >> 8 {
            // 61xx: the FCI waits, and is not needed.
            0x90 | 0x61 => Ok(()),
            _ => {
                let error = LinkError::NoChannel { function: "SELECT", status_word: status_word(&answer) };
                self.close_channel(self.options.command_timeout)?;
                Err(error)
            }
        }
    }

    fn close_channel(&mut self, timeout: Duration) -> Result<(), LinkError> {
        if let Some(channel) = self.channel.take() {
            self.exchange_within(&[0x00, 0x70, 0x80, channel, 0x00], timeout)?;
        }
        Ok(())
    }

    fn exchange(&mut self, apdu: &[u8]) -> Result<Vec<u8>, LinkError> {
        self.exchange_within(apdu, self.options.apdu_timeout)
    }

    fn exchange_within(&mut self, apdu: &[u8], timeout: Duration) -> Result<Vec<u8>, LinkError> {
        let command = format!("AT+CSIM={},\"{}\"", apdu.len() * 2, to_hex(apdu));
        let answer = self.dialogue.query(&command, "+CSIM:", timeout)?;
        parse_apdu_answer(&answer).map_err(|problem| LinkError::Malformed {
            command: shorten(&command),
            answer: shorten(&answer),
            problem,
        })
    }
}

fn status_word(answer: &[u8]) -> u16 {
    answer.last_chunk::<2>().map_or(0, |bytes| u16::from_be_bytes(*bytes))
}

impl<P: Port> ApduLink for CsimLink<P> {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, LinkError> {
        let Some(channel) = self.channel else { return Err(LinkError::Gone) };
        let mut apdu = apdu.to_vec();
        if let Some(class) = apdu.first_mut() {
            *class = class_on_channel(*class, channel);
        }
        self.exchange(&apdu)
    }

    fn reopen(&mut self) -> Result<(), LinkError> {
        // After a reset of the card the channel is gone already: whatever the card says is right.
        match self.close_channel(self.options.command_timeout) {
            Ok(()) | Err(LinkError::Refused { .. }) => self.open_channel(),
            Err(error) => Err(error),
        }
    }

    fn device_imei(&mut self) -> Option<Imei> {
        self.dialogue.device_imei(self.options.command_timeout)
    }
}

impl<P: Port> Drop for CsimLink<P> {
    fn drop(&mut self) {
        let wait = if self.dialogue.is_silent() { Duration::ZERO } else { Duration::from_secs(2) };
        let _ = self.close_channel(wait.min(self.options.command_timeout));
    }
}

#[cfg(test)]
mod tests {
    use super::super::dialogue::tests::Script;
    use super::*;

    const OK: &str = "\r\nOK\r\n";
    const OPEN: &str = "AT+CSIM=10,\"0070000001\"";

    fn open(script: &Script) -> Result<CsimLink<Script>, LinkError> {
        CsimLink::open(script.clone(), LinkOptions::default(), Log::default())
    }

    fn answer(hex: &str) -> String {
        format!("\r\n+CSIM: {},\"{hex}\"\r\n\r\nOK\r\n", hex.len())
    }

    #[test]
    fn opens_selects_sends_and_closes() {
        for (number, select_class, class) in [("02", "02", "82"), ("05", "41", "C1")] {
            let opened = answer(&format!("{number}9000"));
            let select = format!("AT+CSIM=42,\"{select_class}A4040010A0000005591010FFFFFFFF8900000100\"");
            let apdu = format!("AT+CSIM=22,\"{class}E2910006BF3E035C015A\"");
            let close = format!("AT+CSIM=10,\"007080{number}00\"");
            let (waiting, selected, closed) = (answer("6115"), answer("611F"), answer("9000"));
            let script = Script::new(&[
                ("ATE0Q0V1", OK),
                (OPEN, &opened),
                (&select, &selected),
                (&apdu, &waiting),
                (&close, &closed),
            ]);
            let mut link = open(&script).unwrap();
            let command = rsp::ids::from_hex("80E2910006BF3E035C015A").unwrap();
            assert_eq!(link.transmit(&command).unwrap(), [0x61, 0x15]);
            drop(link);
            assert_eq!(script.left(), 0, "{:?}", script.seen());
        }
    }

    #[test]
    fn a_hidden_isd_r_is_asked_for_again() {
        let (opened, hidden, done) = (answer("019000"), answer("6A82"), answer("9000"));
        let select = "AT+CSIM=42,\"01A4040010A0000005591010FFFFFFFF8900000100\"";
        let script = Script::new(&[
            ("ATE0Q0V1", OK),
            (OPEN, &opened),
            (select, &hidden),
            ("AT+CSIM=10,\"0070800100\"", &done),
            ("AT+CSIM=20,\"80AA000005A903830107\"", &done),
            ("AT+CSIM=10,\"0070800100\"", &done),
            ("AT+CSIM=10,\"0070800200\"", &done),
            ("AT+CSIM=10,\"0070800300\"", &done),
            (OPEN, &opened),
            (select, &hidden),
            ("AT+CSIM=10,\"0070800100\"", &done),
        ]);
        let error = open(&script).unwrap_err();
        assert_eq!(error.to_string(), "SELECT for the ISD-R ended in status 6A82");
        assert_eq!(error.status_word(), Some(0x6A82));
        assert_eq!(script.left(), 0);
    }

    #[test]
    fn a_modem_that_refuses_csim() {
        // Sierra EM7455 with a blank eUICC.
        let script = Script::new(&[("ATE0Q0V1", OK), (OPEN, "\r\nERROR\r\n")]);
        let error = open(&script).unwrap_err();
        assert_eq!(error.to_string(), "the modem answered ERROR to AT+CSIM=10,\"0070000001\"");
        assert!(error.hint().unwrap().contains("without --csim"));
    }
}
