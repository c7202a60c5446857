//! The link that works: a session by `AT+CCHO`, and a channel by `AT+CSIM` where the modem refuses that.
//!
//! Modems refuse `AT+CCHO` for many reasons: they do not have it, they have it and it never works, the card is no
//! eUICC, or an LPA of their own holds the ISD-R. The other way tells them apart: what the card says to it, and whether
//! the modem lets it through at all.

use super::{ApduLink, AtLink, CsimLink, Dialogue, LinkError, LinkOptions, Port};
use crate::imei::Imei;
use crate::log::Log;

/// A channel to the ISD-R by one of two ways.
#[derive(Debug)]
pub struct AutoLink<P: Port> {
    way: Way<P>,
    options: LinkOptions,
}

#[derive(Debug)]
enum Way<P: Port> {
    Session(AtLink<P>),
    Channel(CsimLink<P>),
    /// Between the two.
    None,
}

impl<P: Port> AutoLink<P> {
    /// Finds the modem and opens a channel to the ISD-R.
    pub fn open(port: P, options: LinkOptions, log: Log) -> Result<Self, LinkError> {
        let dialogue = Dialogue::begin(port, options.command_timeout, log)?;
        let mut session = AtLink::over(dialogue, options.clone());
        let way = match session.open_session() {
            Ok(()) => Way::Session(session),
            Err(LinkError::Refused { answer, .. }) => {
                Way::Channel(AutoLink::other_way(session, &options, answer, true)?)
            }
            Err(error) => return Err(error),
        };
        Ok(AutoLink { way, options })
    }

    /// The way by AT+CSIM, after AT+CCHO was refused like this. It is not taken around an LPA of the module's own when
    /// that has to be `respected`: two on one card do not know what the other does.
    fn other_way(
        session: AtLink<P>,
        options: &LinkOptions,
        ccho: String,
        respected: bool,
    ) -> Result<CsimLink<P>, LinkError> {
        let mut dialogue = session.into_dialogue().ok_or(LinkError::Gone)?;
        let own_lpa = if respected { dialogue.own_lpa(options.command_timeout) } else { None };
        let mut link = CsimLink::over(dialogue, options.clone());
        match (link.open_channel(), own_lpa) {
            (Ok(()), None) => Ok(link),
            (Ok(()), Some(own_lpa)) => Err(LinkError::Kept { answer: ccho, own_lpa }),
            (Err(LinkError::Refused { answer, .. }), _) => Err(LinkError::NoWay { ccho, csim: answer }),
            (Err(error), _) => Err(error),
        }
    }
}

impl<P: Port> ApduLink for AutoLink<P> {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, LinkError> {
        match &mut self.way {
            Way::Session(link) => link.transmit(apdu),
            Way::Channel(link) => link.transmit(apdu),
            Way::None => Err(LinkError::Gone),
        }
    }

    fn reopen(&mut self) -> Result<(), LinkError> {
        let refused = match &mut self.way {
            Way::Session(link) => match link.reopen() {
                Err(LinkError::Refused { answer, .. }) => answer,
                other => return other,
            },
            Way::Channel(link) => return link.reopen(),
            Way::None => return Err(LinkError::Gone),
        };
        // The host was let at the ISD-R before: this is no other LPA's doing.
        if let Way::Session(link) = std::mem::replace(&mut self.way, Way::None) {
            self.way = Way::Channel(AutoLink::other_way(link, &self.options, refused, false)?);
        }
        Ok(())
    }

    fn device_imei(&mut self) -> Option<Imei> {
        match &mut self.way {
            Way::Session(link) => link.device_imei(),
            Way::Channel(link) => link.device_imei(),
            Way::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dialogue::tests::Script;
    use super::*;

    const OK: &str = "\r\nOK\r\n";
    const ERROR: &str = "\r\nERROR\r\n";
    const CCHO: &str = "AT+CCHO=\"A0000005591010FFFFFFFF8900000100\"";
    const SELECT: &str = "AT+CSIM=42,\"01A4040010A0000005591010FFFFFFFF8900000100\"";
    const CAPABILITY: &str = "AT+CSIM=20,\"80AA000005A903830107\"";
    const LPA: &str = "AT+QESIM=\"lpa_enable\"";

    /// A modem that refuses AT+CCHO, then answers so.
    fn refusing(then: &[(&str, &str)]) -> Script {
        let first = [
            ("ATE0Q0V1", OK),
            (CCHO, ERROR),
            (CAPABILITY, ERROR),
            ("AT+CCHC=1", ERROR),
            ("AT+CCHC=2", ERROR),
            ("AT+CCHC=3", ERROR),
            (CCHO, ERROR),
        ];
        Script::new(&[&first, then].concat())
    }

    fn open(script: &Script) -> Result<AutoLink<Script>, LinkError> {
        AutoLink::open(script.clone(), LinkOptions::default(), Log::default())
    }

    const OPENED: (&str, &str) = ("AT+CSIM=10,\"0070000001\"", "\r\n+CSIM: 6,\"019000\"\r\n\r\nOK\r\n");
    const SELECTED: (&str, &str) = (SELECT, "\r\n+CSIM: 4,\"6121\"\r\n\r\nOK\r\n");
    const CLOSED: (&str, &str) = ("AT+CSIM=10,\"0070800100\"", "\r\n+CSIM: 4,\"9000\"\r\n\r\nOK\r\n");

    /// Dell DW5821e: AT+CSIM only.
    #[test]
    fn a_modem_without_sessions_is_reached_by_csim() {
        let apdu = ("AT+CSIM=8,\"81F20000\"", "\r\n+CSIM: 4,\"9000\"\r\n\r\nOK\r\n");
        let script = refusing(&[(LPA, ERROR), OPENED, SELECTED, apdu, CLOSED]);
        let mut link = open(&script).unwrap();
        assert_eq!(link.transmit(&[0x80, 0xF2, 0, 0]).unwrap(), [0x90, 0x00]);
        drop(link);
        assert_eq!(script.left(), 0, "{:?}", script.seen());
    }

    /// Quectel RG650E: the module's own LPA holds the ISD-R.
    #[test]
    fn a_module_with_an_lpa_of_its_own_is_left_to_it() {
        for (state, own_lpa, advice) in [("1", true, "\"lpa_enable\",0"), ("0", false, "\"lpa_enable\",1")] {
            let told = format!("\r\n+QESIM: \"lpa_enable\",{state}\r\n\r\nOK\r\n");
            let script = refusing(&[(LPA, &told), OPENED, SELECTED, CLOSED]);
            let error = open(&script).unwrap_err();
            assert!(matches!(&error, LinkError::Kept { own_lpa: told, .. } if *told == own_lpa), "{error}");
            assert!(error.hint().unwrap().contains(advice));
            assert_eq!(script.left(), 0, "the channel is closed: {:?}", script.seen());
        }
    }

    /// Sierra EM7455 with a blank eUICC.
    #[test]
    fn a_modem_that_lets_nobody_at_the_card() {
        let script = refusing(&[(LPA, ERROR), ("AT+CSIM=10,\"0070000001\"", ERROR)]);
        let error = open(&script).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the modem lets no host at the card: it answered ERROR to AT+CCHO and ERROR to AT+CSIM"
        );
        assert!(error.hint().unwrap().contains("no enabled profile"));
        assert_eq!(script.left(), 0);
    }

    /// A SIM that is no eUICC: the card's own word counts, not the modem's.
    #[test]
    fn a_card_without_isd_r() {
        let absent = (SELECT, "\r\n+CSIM: 4,\"6A82\"\r\n\r\nOK\r\n");
        let capability = (CAPABILITY, "\r\n+CSIM: 4,\"9000\"\r\n\r\nOK\r\n");
        let closed = |channel: &'static str| (channel, "\r\n+CSIM: 4,\"6A86\"\r\n\r\nOK\r\n");
        let (one, two, three) = ("AT+CSIM=10,\"0070800100\"", "AT+CSIM=10,\"0070800200\"", "AT+CSIM=10,\"0070800300\"");
        let told = "\r\n+QESIM: \"lpa_enable\",1\r\n\r\nOK\r\n";
        let script = refusing(&[
            (LPA, told),
            OPENED,
            absent,
            CLOSED,
            capability,
            closed(one),
            closed(two),
            closed(three),
            OPENED,
            absent,
            CLOSED,
        ]);
        let error = open(&script).unwrap_err();
        assert_eq!(error.status_word(), Some(0x6A82), "{error}");
        assert!(error.hint().unwrap().contains("no eUICC"));
        assert_eq!(script.left(), 0, "{:?}", script.seen());
    }

    /// Quectel EM061K-GL: after a profile was disabled AT+CCHO is refused until the next restart.
    #[test]
    fn a_session_that_cannot_be_had_again() {
        let opened = (CCHO, "\r\n+CCHO: 1\r\n\r\nOK\r\n");
        let remedies = [
            (CCHO, ERROR),
            (CAPABILITY, ERROR),
            ("AT+CCHC=1", ERROR),
            ("AT+CCHC=2", ERROR),
            ("AT+CCHC=3", ERROR),
            (CCHO, ERROR),
        ];
        let script = Script::new(
            &[&[("ATE0Q0V1", OK), opened, ("AT+CCHC=1", ERROR)][..], &remedies, &[OPENED, SELECTED, CLOSED]].concat(),
        );
        let mut link = open(&script).unwrap();
        link.reopen().unwrap();
        drop(link);
        assert_eq!(script.left(), 0, "{:?}", script.seen());
    }
}
