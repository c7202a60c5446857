//! The card application toolkit (TS 102 223), as far as a switch of profiles needs it: the proactive command REFRESH.
//!
//! A command is announced by `91xx` in the place of `9000`, fetched with FETCH, and answered with TERMINAL RESPONSE or,
//! as a REFRESH that asks for it, with a reset. A terminal that has not said in its TERMINAL PROFILE that it knows
//! REFRESH is never sent one.

use rsp::tlv::{Reader, TlvError, Writer};

use crate::apdu::Sw;

/// How the terminal is asked to take notice of another profile (TS 102 223 §8.6, command qualifier of REFRESH).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RefreshMode {
    /// The terminal resets the card.
    #[default]
    UiccReset,
    /// The terminal begins a new session without a reset, and says so.
    ProfileStateChange,
}

impl RefreshMode {
    fn qualifier(self) -> u8 {
        match self {
            RefreshMode::UiccReset => 0x04,
            RefreshMode::ProfileStateChange => 0x09,
        }
    }
}

/// What a TERMINAL RESPONSE says of the REFRESH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// It has been performed.
    Done,
    /// Not now: it is asked for again.
    Later,
    /// Never.
    Refused,
}

#[derive(Debug, Default)]
enum Proactive {
    #[default]
    Idle,
    /// Announced, and not fetched yet.
    Waiting(Vec<u8>),
    /// Fetched, and not answered yet.
    Fetched(Vec<u8>),
}

/// What the card knows of the terminal, and the proactive command that is under way. A reset forgets all of it.
#[derive(Debug, Default)]
pub(crate) struct Toolkit {
    knows_refresh: bool,
    /// Whether the terminal tells where it is, when it is asked to.
    knows_location: bool,
    /// Whether the terminal sends short messages for the card.
    sends_short_messages: bool,
    /// Whether TERMINAL CAPABILITY has said that the terminal supports eUICC functions.
    pub(crate) supports_euicc: bool,
    proactive: Proactive,
}

/// REFRESH in command details and in a TERMINAL RESPONSE.
const REFRESH: u8 = 0x01;

impl Toolkit {
    /// TERMINAL PROFILE (TS 102 223 §5.2): bit 8 of byte 3 is REFRESH.
    pub(crate) fn terminal_profile(&mut self, profile: &[u8]) {
        self.knows_refresh = profile.get(2).is_some_and(|byte| byte & 0x80 != 0);
        // Bit 2 of byte 4 is SEND SHORT MESSAGE.
        self.sends_short_messages = profile.get(3).is_some_and(|byte| byte & 0x02 != 0);
        // Bit 1 of byte 5 is SET UP EVENT LIST, bit 5 the event of the location status.
        self.knows_location = profile.get(4).is_some_and(|byte| byte & 0x11 == 0x11);
    }

    /// Whether the terminal tells where it is, when it is asked to.
    pub(crate) fn knows_location(&self) -> bool {
        self.knows_location
    }

    /// Whether the terminal sends short messages for the card.
    pub(crate) fn sends_short_messages(&self) -> bool {
        self.sends_short_messages
    }

    /// Whether a REFRESH can be sent.
    pub(crate) fn knows_refresh(&self) -> bool {
        self.knows_refresh
    }

    /// Whether a proactive command is under way.
    pub(crate) fn is_busy(&self) -> bool {
        !matches!(self.proactive, Proactive::Idle)
    }

    /// Announces a REFRESH.
    pub(crate) fn refresh(&mut self, mode: RefreshMode) {
        // TS 102 223 §6.6.13: command details, device identities UICC and terminal.
        let command = Writer::new()
            .nested(0xD0, |w| w.put(0x81, &[0x01, REFRESH, mode.qualifier()]).put(0x82, &[0x81, 0x82]))
            .into_vec();
        self.announce(command);
    }

    /// Announces a proactive command.
    pub(crate) fn announce(&mut self, command: Vec<u8>) {
        self.proactive = Proactive::Waiting(command);
    }

    /// The status word that takes the place of 9000 (TS 102 221 §7.4.2).
    pub(crate) fn announcement(&self) -> Option<Sw> {
        match &self.proactive {
            Proactive::Waiting(command) => Some(Sw::proactive(command.len())),
            _ => None,
        }
    }

    /// FETCH (TS 102 221 §11.2.3).
    pub(crate) fn fetch(&mut self, expected: Option<usize>) -> Result<Vec<u8>, Sw> {
        let Proactive::Waiting(command) = &self.proactive else { return Err(Sw::CONDITIONS_NOT_SATISFIED) };
        if expected != Some(command.len()) {
            return Err(Sw::exact_length(command.len()));
        }
        let command = command.clone();
        self.proactive = Proactive::Fetched(command.clone());
        Ok(command)
    }

    /// TERMINAL RESPONSE (TS 102 223 §6.8).
    pub(crate) fn terminal_response(&mut self, response: &[u8]) -> Result<Refreshed, Sw> {
        let Proactive::Fetched(command) = &self.proactive else { return Err(Sw::CONDITIONS_NOT_SATISFIED) };
        let read = || -> Result<Option<u8>, TlvError> {
            let (mut details, mut result) = (None, None);
            for object in Reader::new(response) {
                let object = object?;
                // TS 101 220 §7.1.1: bit 8 of a COMPREHENSION-TLV tag is no part of what it names.
                match object.tag().0 & 0x7F {
                    0x01 => details = Some(object.value()),
                    0x03 => result = object.value().first().copied(),
                    _ => {}
                }
            }
            Ok(result.filter(|_| details.is_some_and(|details| command.get(4..7) == Some(details))))
        };
        let result = read().ok().flatten().ok_or(Sw::WRONG_DATA)?;
        // TS 102 223 §8.12: 0X performed, 1X aborted by the user, 2X a problem that may pass, 3X one that will not.
        let refreshed = match result >> 4 {
            0 => Refreshed::Done,
            // What is no REFRESH is not asked for again.
            2 if command.get(5) == Some(&REFRESH) => Refreshed::Later,
            _ => Refreshed::Refused,
        };
        let command = command.clone();
        self.proactive = match refreshed {
            Refreshed::Later => Proactive::Waiting(command),
            Refreshed::Done | Refreshed::Refused => Proactive::Idle,
        };
        Ok(refreshed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TERMINAL RESPONSE with this general result.
    fn response(result: u8) -> Vec<u8> {
        vec![0x81, 0x03, 0x01, 0x01, 0x04, 0x82, 0x02, 0x82, 0x81, 0x83, 0x01, result]
    }

    fn waiting() -> Toolkit {
        let mut toolkit = Toolkit::default();
        toolkit.refresh(RefreshMode::UiccReset);
        toolkit
    }

    #[test]
    fn a_command_is_announced_fetched_and_answered() {
        // proves: EUICC.Refresh
        let mut toolkit = waiting();
        // The length that the field reports, 910B.
        assert_eq!(toolkit.announcement(), Some(Sw(0x910B)));
        assert_eq!(toolkit.fetch(Some(12)), Err(Sw(0x6C0B)));
        let command = toolkit.fetch(Some(11)).unwrap();
        assert_eq!(command, [0xD0, 0x09, 0x81, 0x03, 0x01, 0x01, 0x04, 0x82, 0x02, 0x81, 0x82]);
        assert_eq!((toolkit.announcement(), toolkit.is_busy()), (None, true));
        assert_eq!(toolkit.fetch(Some(11)), Err(Sw::CONDITIONS_NOT_SATISFIED));
        assert_eq!(toolkit.terminal_response(&response(0x00)), Ok(Refreshed::Done));
        assert!(!toolkit.is_busy());
        assert_eq!(toolkit.terminal_response(&response(0x00)), Err(Sw::CONDITIONS_NOT_SATISFIED));
    }

    #[test]
    fn results_of_a_refresh() {
        // proves: EUICC.Refresh
        for (result, expected, busy) in [
            (0x01, Refreshed::Done, false),
            (0x20, Refreshed::Later, true),
            (0x10, Refreshed::Refused, false),
            (0x30, Refreshed::Refused, false),
        ] {
            let mut toolkit = waiting();
            toolkit.fetch(Some(11)).unwrap();
            assert_eq!(toolkit.terminal_response(&response(result)), Ok(expected), "{result:02X}");
            assert_eq!(toolkit.is_busy(), busy);
        }
        // Of another command, without a result, no TLV.
        let mut toolkit = waiting();
        toolkit.fetch(Some(11)).unwrap();
        let mut other = response(0);
        other[3] = 0x25;
        for wrong in [&other[..], &response(0)[..9], &[0x81, 0x50]] {
            assert_eq!(toolkit.terminal_response(wrong), Err(Sw::WRONG_DATA));
        }
    }

    #[test]
    fn the_terminal_says_whether_it_knows_refresh() {
        // proves: EUICC.Refresh
        let mut toolkit = Toolkit::default();
        assert!(!toolkit.knows_refresh());
        toolkit.terminal_profile(&[0x37, 0x09, 0xE8]);
        assert!(toolkit.knows_refresh());
        toolkit.terminal_profile(&[0xFF, 0xFF, 0x7F]);
        assert!(!toolkit.knows_refresh());
        toolkit.terminal_profile(&[0xFF]);
        assert!(!toolkit.knows_refresh());
    }
}
