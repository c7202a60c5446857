//! The modem's side of the card: power, logical channels, APDU transport (TS 102 221, ISO 7816-4).
//!
//! A [`Uicc`] holds the card and the sessions that hosts have opened by AT+CCHO. Two kinds of traffic go through it.
//! A host's own APDUs (AT+CGLA, AT+CSIM) pass with their status untouched, GET RESPONSE included: that is the host's
//! business. The modem's own commands go through [`Uicc::exchange`], which fetches what a `61xx` announces.

use crate::errors::CmeError;
use crate::event::{ModemEvent, Tap};

/// A card: what stands behind the contacts.
pub trait Card: Send {
    /// Powers the card up anew and returns its answer to reset. Channels and selections are gone.
    fn reset(&mut self) -> Vec<u8>;

    /// Takes a command APDU and returns the response with its status word.
    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8>;
}

/// Why an exchange of the modem with its card failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CardError {
    /// There is no card.
    Absent,
    /// The card has no power (`AT+CFUN=0`), or answers nonsense.
    Silent,
    /// The card answers with this status word.
    Status(u16),
    /// The card's answer has not the form it should have.
    Malformed,
    /// The function was executed and refused: its answer holds an error of ES10.
    Refused,
}

impl From<CardError> for CmeError {
    fn from(error: CardError) -> Self {
        match error {
            CardError::Absent => CmeError::SimNotInserted,
            CardError::Status(0x6982) => CmeError::SimPinRequired,
            CardError::Silent | CardError::Status(_) | CardError::Malformed | CardError::Refused => {
                CmeError::SimFailure
            }
        }
    }
}

/// A response: its data and its status word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) data: Vec<u8>,
    pub(crate) status: u16,
}

impl Answer {
    /// Success, with or without a proactive command waiting (TS 102 221 §10.2.1.1).
    pub(crate) fn is_success(&self) -> bool {
        matches!(self.status >> 8, 0x90 | 0x91)
    }

    /// Success, or a warning that leaves the command executed (TS 102 221 §10.2.1.2).
    fn is_done(&self) -> bool {
        self.is_success() || matches!(self.status >> 8, 0x62 | 0x63)
    }
}

/// A session of AT+CCHO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session {
    id: u32,
    channel: u8,
}

/// The card slot.
pub(crate) struct Uicc {
    card: Option<Box<dyn Card>>,
    powered: bool,
    /// The other slot is in use (AT+QUIMSLOT): what is in this one is as good as not there.
    unselected: bool,
    sessions: Vec<Session>,
    /// The length of the proactive command that waits (TS 102 221 §7.4.2: status 91xx).
    proactive: Option<u8>,
    exchanges: u64,
    /// What the card says belongs to AUTHENTICATE, and holds keys.
    secret: bool,
}

impl Uicc {
    pub(crate) fn new(card: Option<Box<dyn Card>>) -> Self {
        Uicc {
            card,
            powered: false,
            unselected: false,
            sessions: Vec::new(),
            proactive: None,
            exchanges: 0,
            secret: false,
        }
    }

    /// True when there is a card.
    pub(crate) fn is_present(&self) -> bool {
        self.card.is_some() && !self.unselected
    }

    /// Connects this slot, or the other one, which is empty.
    pub(crate) fn select_slot(&mut self, this: bool) {
        self.power_down();
        self.unselected = !this;
    }

    /// True when the card has power.
    pub(crate) fn is_powered(&self) -> bool {
        self.powered
    }

    /// How many commands the card has had.
    pub(crate) fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// Takes the length of the proactive command that waits.
    pub(crate) fn take_proactive(&mut self) -> Option<u8> {
        self.proactive.take()
    }

    /// Forgets all sessions: their channels are gone, or nobody may use them any more.
    pub(crate) fn forget_sessions(&mut self) {
        self.sessions.clear();
    }

    /// Puts a card in, or takes it out. It has no power until [`Uicc::power_up`].
    pub(crate) fn replace(&mut self, card: Option<Box<dyn Card>>) {
        self.power_down();
        self.card = card;
    }

    /// Powers the card up, or resets it when it is up. Every session is gone then.
    pub(crate) fn power_up(&mut self, tap: &mut Tap) {
        self.power_down();
        self.powered = true;
        if let Some(card) = self.card.as_mut().filter(|_| !self.unselected) {
            tap.event(ModemEvent::CardReset { atr: &card.reset() });
        }
    }

    /// Takes the power away.
    pub(crate) fn power_down(&mut self) {
        self.sessions.clear();
        self.proactive = None;
        self.powered = false;
    }

    /// One APDU as it is. The response has a status word at least.
    pub(crate) fn transmit(&mut self, apdu: &[u8], tap: &mut Tap) -> Result<Vec<u8>, CardError> {
        let card = self.card.as_mut().filter(|_| !self.unselected).ok_or(CardError::Absent)?;
        if !self.powered {
            return Err(CardError::Silent);
        }
        let response = card.transmit(apdu);
        self.exchanges += 1;
        if let [.., 0x91, length] = response[..] {
            self.proactive = Some(length);
        }
        // GET RESPONSE fetches what the command before has made.
        self.secret = apdu.get(1).is_some_and(|ins| *ins == AUTHENTICATE || (*ins == GET_RESPONSE && self.secret));
        match self.secret.then(|| without_keys(&response)) {
            Some(masked) => tap.event(ModemEvent::Apdu { command: apdu, response: &masked }),
            None => tap.event(ModemEvent::Apdu { command: apdu, response: &response }),
        }
        if response.len() < 2 { Err(CardError::Silent) } else { Ok(response) }
    }

    /// One command of the modem's own on a logical channel, with what `61xx` announces (ISO 7816-4 §5.3.4) and
    /// with the length that `6Cxx` asks for. `apdu` has its CLA for the basic channel.
    pub(crate) fn exchange(&mut self, channel: u8, apdu: &[u8], tap: &mut Tap) -> Result<Answer, CardError> {
        /// More than the largest answer of ES10 takes: a card that announces data for ever is broken.
        const ROUNDS: usize = 1024;
        let mut command = apdu.to_vec();
        if let Some(class) = command.first_mut() {
            *class = class_on_channel(*class, channel);
        }
        let mut data = Vec::new();
        for _ in 0..ROUNDS {
            let response = self.transmit(&command, tap)?;
            let (body, status) = split_status(&response).ok_or(CardError::Silent)?;
            data.extend_from_slice(body);
            match status {
                0x6100..=0x61FF => command = vec![class_on_channel(0, channel), 0xC0, 0, 0, status as u8],
                // TS 102 221 §10.2.1.5.2: the command again, with the length that the card tells.
                0x6C00..=0x6CFF if command.len() == 5 && command[4] != status as u8 => command[4] = status as u8,
                _ => return Ok(Answer { data, status }),
            }
        }
        Err(CardError::Malformed)
    }

    /// Opens a logical channel (TS 102 221 §11.1.17). It is closed by [`Uicc::close_channel`].
    pub(crate) fn open_channel(&mut self, tap: &mut Tap) -> Result<u8, CardError> {
        let answer = self.exchange(0, &[0x00, 0x70, 0x00, 0x00, 0x01], tap)?;
        match answer.data[..] {
            // TS 102 221 §11.1.17.1: the card assigns a number from 1 to 19.
            [channel @ 1..=19] if answer.is_success() => Ok(channel),
            _ if answer.is_success() => Err(CardError::Malformed),
            _ => Err(CardError::Status(answer.status)),
        }
    }

    /// Closes a logical channel.
    pub(crate) fn close_channel(&mut self, channel: u8, tap: &mut Tap) -> Result<(), CardError> {
        let answer = self.exchange(0, &[0x00, 0x70, 0x80, channel, 0x00], tap)?;
        if answer.is_success() { Ok(()) } else { Err(CardError::Status(answer.status)) }
    }

    /// Opens a channel, selects an application on it, and leaves no channel behind when that fails.
    pub(crate) fn open_application(&mut self, name: &[u8], tap: &mut Tap) -> Result<u8, CardError> {
        let channel = self.open_channel(tap)?;
        let Err(failure) = self.select_application(channel, name, tap) else { return Ok(channel) };
        // The reason why the application cannot be had matters, not what becomes of the channel.
        let _ = self.close_channel(channel, tap);
        Err(failure)
    }

    /// Does some work on a channel of the modem's own, with the application `name` selected, or with the MF when
    /// there is no name.
    pub(crate) fn on_channel<T>(
        &mut self,
        name: Option<&[u8]>,
        tap: &mut Tap,
        work: impl FnOnce(&mut Uicc, u8, &mut Tap) -> Result<T, CardError>,
    ) -> Result<T, CardError> {
        let channel = match name {
            Some(name) => self.open_application(name, tap)?,
            None => self.open_channel(tap)?,
        };
        let done = work(self, channel, tap);
        // A card that was reset by the work has closed the channel already.
        let _ = self.close_channel(channel, tap);
        done
    }

    /// The same, but on the basic channel when the card has no other (an old SIM, or all are taken). What a host has
    /// selected there is lost then, as it is behind a real modem.
    pub(crate) fn on_some_channel<T>(
        &mut self,
        name: Option<&[u8]>,
        tap: &mut Tap,
        work: impl FnOnce(&mut Uicc, u8, &mut Tap) -> Result<T, CardError>,
    ) -> Result<T, CardError> {
        let channel = match self.open_channel(tap) {
            Ok(channel) => channel,
            // Channels are not supported, the instruction is not known, or none is free.
            Err(CardError::Status(0x6881 | 0x6A81 | 0x6D00 | 0x6E00)) => 0,
            Err(error) => return Err(error),
        };
        let done = match name.map(|name| self.select_application(channel, name, tap)) {
            None | Some(Ok(())) => work(self, channel, tap),
            Some(Err(error)) => Err(error),
        };
        if channel != 0 {
            let _ = self.close_channel(channel, tap);
        }
        done
    }

    /// SELECT by AID (TS 102 221 §11.1.1).
    pub(crate) fn select_application(&mut self, channel: u8, name: &[u8], tap: &mut Tap) -> Result<(), CardError> {
        let mut select = vec![0x00, 0xA4, 0x04, 0x00, name.len() as u8];
        select.extend_from_slice(name);
        let answer = self.exchange(channel, &select, tap)?;
        if answer.is_done() { Ok(()) } else { Err(CardError::Status(answer.status)) }
    }

    /// Opens a session of AT+CCHO and returns its number, which is that of the logical channel: hosts that also
    /// use AT+CSIM can tell them apart so.
    pub(crate) fn open_session(&mut self, name: &[u8], tap: &mut Tap) -> Result<u32, CardError> {
        let channel = self.open_application(name, tap)?;
        let id = u32::from(channel);
        self.sessions.retain(|session| session.id != id);
        self.sessions.push(Session { id, channel });
        Ok(id)
    }

    /// The channel of a session.
    pub(crate) fn session_channel(&self, id: u32) -> Option<u8> {
        self.sessions.iter().find(|session| session.id == id).map(|session| session.channel)
    }

    /// Forgets a session and closes its channel.
    pub(crate) fn close_session(&mut self, id: u32, tap: &mut Tap) -> Result<(), CardError> {
        let Some(channel) = self.session_channel(id) else { return Ok(()) };
        self.sessions.retain(|session| session.id != id);
        self.close_channel(channel, tap)
    }
}

const AUTHENTICATE: u8 = 0x88;
const GET_RESPONSE: u8 = 0xC0;

/// What may be seen of an answer to AUTHENTICATE: RES, or AUTS, and the status word. The keys that follow RES are zeros
/// (TS 31.102 §7.1.2.1); so is everything when the answer has another form.
fn without_keys(response: &[u8]) -> Vec<u8> {
    let Some((data, _)) = split_status(response) else { return response.to_vec() };
    let shown = match data {
        [0xDC, ..] => data.len(),
        [0xDB, length, ..] | [length @ 4, ..] => usize::from(*length) + if data[0] == 0xDB { 2 } else { 1 },
        _ => 0,
    };
    let mut masked = response.to_vec();
    let keys = shown.min(data.len())..data.len();
    masked.get_mut(keys).unwrap_or_default().fill(0);
    masked
}

/// Data and status word of a response.
pub(crate) fn split_status(response: &[u8]) -> Option<(&[u8], u16)> {
    let (data, status) = response.split_last_chunk::<2>()?;
    Some((data, u16::from_be_bytes(*status)))
}

/// The class byte for a logical channel, whatever channel it named before (TS 102 221 §10.1.1, tables 10.3, 10.4a).
pub(crate) fn class_on_channel(class: u8, channel: u8) -> u8 {
    // FF is invalid (ISO 7816-4 §5.4.1); the card has to say so.
    if class == 0xFF {
        return class;
    }
    let further = class & 0x40 != 0;
    // Secure messaging has two bits in the first coding and one in the other; chaining has a bit in the first only.
    let secure = if further { u8::from(class & 0x20 != 0) << 1 } else { class >> 2 & 3 };
    if channel <= 3 {
        let kept = if further { class & 0x80 } else { class & 0xB0 };
        kept | secure << 2 | channel
    } else {
        let secure = if secure == 0 { 0 } else { 0x20 };
        class & 0x80 | 0x40 | secure | (channel - 4) & 0x0F
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;

    #[test]
    fn class_bytes() {
        // TS 102 221 §10.1.1: 0X and 8X for channels 0 to 3, 4X and CX (6X and EX with secure messaging) for 4 to 19.
        for (class, channel, expected) in [
            (0x00, 0, 0x00),
            (0x81, 2, 0x82),
            (0x83, 0, 0x80),
            (0xA1, 3, 0xA3),
            (0x0C, 1, 0x0D),
            (0x90, 1, 0x91),
            (0x80, 4, 0xC0),
            (0x00, 19, 0x4F),
            (0x0C, 5, 0x61),
            (0xC7, 1, 0x81),
            (0xE7, 1, 0x89),
            (0xFF, 1, 0xFF),
        ] {
            assert_eq!(class_on_channel(class, channel), expected, "{class:02X} on {channel}");
        }
    }

    #[test]
    fn fetches_what_is_announced() {
        let script = Script::new(&[
            ("81E2910003BF3E00", "6103"),
            ("01C0000003", "0102036102"),
            ("01C0000002", "04059000"),
            ("00B0000000", "6C02"),
            ("00B0000002", "AABB9000"),
        ]);
        let mut uicc = Uicc::new(Some(script.card()));
        let mut tap = Tap::default();
        assert_eq!(uicc.exchange(0, &[0, 0xC0, 0, 0, 0], &mut tap), Err(CardError::Silent), "no power yet");
        uicc.power_up(&mut tap);
        let answer = uicc.exchange(1, &[0x80, 0xE2, 0x91, 0, 3, 0xBF, 0x3E, 0], &mut tap).unwrap();
        assert_eq!(answer, Answer { data: vec![1, 2, 3, 4, 5], status: 0x9000 });
        let answer = uicc.exchange(0, &[0x00, 0xB0, 0, 0, 0], &mut tap).unwrap();
        assert_eq!(answer, Answer { data: vec![0xAA, 0xBB], status: 0x9000 });
        assert!(script.is_done());
    }

    #[test]
    fn endless_data_is_an_error() {
        struct Endless;
        impl Card for Endless {
            fn reset(&mut self) -> Vec<u8> {
                Vec::new()
            }
            fn transmit(&mut self, _: &[u8]) -> Vec<u8> {
                vec![0, 0x61, 0x00]
            }
        }
        let mut uicc = Uicc::new(Some(Box::new(Endless)));
        let mut tap = Tap::default();
        uicc.power_up(&mut tap);
        assert_eq!(uicc.exchange(0, &[0; 5], &mut tap), Err(CardError::Malformed));
    }

    #[test]
    fn no_channel_is_left_behind() {
        let script = Script::new(&[
            ("0070000001", "029000"),
            ("02A4040005A000000001", "6A82"),
            ("00708002 00", "9000"),
            ("0070000001", "6A81"),
        ]);
        let mut uicc = Uicc::new(Some(script.card()));
        let mut tap = Tap::default();
        uicc.power_up(&mut tap);
        assert_eq!(uicc.open_session(&[0xA0, 0, 0, 0, 1], &mut tap), Err(CardError::Status(0x6A82)));
        assert_eq!(uicc.open_session(&[0xA0, 0, 0, 0, 1], &mut tap), Err(CardError::Status(0x6A81)));
        assert!(script.is_done());
    }
}
