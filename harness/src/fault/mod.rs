//! Faults of the links that the lab itself holds: the AT line and the contacts of the card. (Those of the server's
//! front are in `smdp::front`.)
//!
//! ```text
//! host ── terminal ── [line] ── modem ── [card] ── eUICC ── [cut] ── its store
//! ```
//!
//! Each is a wrapper around a link: what is on either side knows nothing of it. A fault is an action and a
//! [`Trigger`]; [`Armed`] counts the occasions. Every fault that fires is written into the timeline. What the wrapper
//! around the card cannot do by itself, as it is called from inside of the modem (taking the card out, restarting the
//! modem), it asks the one on the line for by a [`Deed`], which does it as soon as the command has been answered.

pub mod card;
pub mod cut;
pub mod line;
pub mod socket;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::scenario::ast::{Pattern, Word};

/// When a fault fires.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// What the command has to look like; any when absent.
    pub pattern: Option<Pattern>,
    /// At which function of the card; any when absent.
    pub function: Option<CardFunction>,
    /// At which occasion it begins, counted from 1.
    pub nth: u32,
    /// At how many occasions; all that follow when absent.
    pub count: Option<u32>,
    /// Not before so much time has passed since the start.
    pub after: Option<Duration>,
    /// Not before so many bytes of commands have gone over the link.
    pub after_bytes: Option<u64>,
}

impl Default for Trigger {
    fn default() -> Self {
        Trigger { pattern: None, function: None, nth: 1, count: None, after: None, after_bytes: None }
    }
}

/// A fault that is set, and how often it has had its occasion.
#[derive(Debug, Clone)]
pub struct Armed<A> {
    /// What goes wrong.
    pub action: A,
    /// When.
    pub trigger: Trigger,
    seen: u32,
}

/// What is asked whether a fault fires at it.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// The command as text: the line, or the APDU in hexadecimal digits.
    pub command: &'a str,
    /// The function of the card that it calls.
    pub function: Option<CardFunction>,
    /// How much time has passed since the start.
    pub elapsed: Duration,
    /// How many bytes of commands there were before.
    pub bytes: u64,
}

impl<A> Armed<A> {
    /// Sets a fault.
    pub fn new(action: A, trigger: Trigger) -> Self {
        Armed { action, trigger, seen: 0 }
    }

    /// Whether it fires at this occasion. An occasion that suits it is counted.
    pub fn fires(&mut self, occasion: Occasion<'_>) -> bool {
        let Trigger { pattern, function, nth, count, after, after_bytes } = &self.trigger;
        let suits = pattern.as_ref().is_none_or(|pattern| pattern.matches(occasion.command))
            && function.is_none_or(|function| Some(function) == occasion.function)
            && after.is_none_or(|after| occasion.elapsed >= after)
            && after_bytes.is_none_or(|bytes| occasion.bytes >= bytes);
        if !suits {
            return false;
        }
        self.seen = self.seen.saturating_add(1);
        let first = (*nth).max(1);
        self.seen >= first && count.is_none_or(|count| self.seen - first < count)
    }
}

/// What the wrapper of the card asks for, as it cannot do it itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Take the card out of the modem.
    RemoveCard,
    /// Restart the modem.
    ResetModem,
}

/// What has been asked for and not been done yet. A clone is another handle on the same list.
#[derive(Debug, Clone, Default)]
pub struct Deeds(Arc<Mutex<Vec<Deed>>>);

impl Deeds {
    /// Asks for a deed.
    pub fn ask(&self, deed: Deed) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(deed);
    }

    /// Takes what has been asked for.
    pub fn take(&self) -> Vec<Deed> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How the terminals are taken away, for so long: the lab does it, as the line goes with them.
pub type Unplug = tokio::sync::mpsc::UnboundedSender<Duration>;

/// A function of ES10, or another command that a download consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardFunction {
    /// Opening a logical channel.
    ManageChannel,
    /// SELECT.
    Select,
    /// GET RESPONSE.
    GetResponse,
    /// A function of ES10 with this tag.
    Es10(u32),
    /// Any piece of LoadBoundProfilePackage but its first, which is `BF36`.
    LoadBoundProfilePackage,
}

impl Word for CardFunction {
    // SGP.22 v2.5 §5.7: the tags of the functions.
    const ALL: &'static [(&'static str, Self)] = &[
        ("ManageChannel", CardFunction::ManageChannel),
        ("Select", CardFunction::Select),
        ("GetResponse", CardFunction::GetResponse),
        ("GetEuiccConfiguredAddresses", CardFunction::Es10(0xBF3C)),
        ("SetDefaultDpAddress", CardFunction::Es10(0xBF3F)),
        ("GetEUICCInfo1", CardFunction::Es10(0xBF20)),
        ("GetEUICCInfo2", CardFunction::Es10(0xBF22)),
        ("GetEUICCChallenge", CardFunction::Es10(0xBF2E)),
        ("AuthenticateServer", CardFunction::Es10(0xBF38)),
        ("PrepareDownload", CardFunction::Es10(0xBF21)),
        ("LoadBoundProfilePackage", CardFunction::LoadBoundProfilePackage),
        ("CancelSession", CardFunction::Es10(0xBF41)),
        ("ListNotification", CardFunction::Es10(0xBF28)),
        ("RetrieveNotificationsList", CardFunction::Es10(0xBF2B)),
        ("RemoveNotificationFromList", CardFunction::Es10(0xBF30)),
        ("GetProfilesInfo", CardFunction::Es10(0xBF2D)),
        ("EnableProfile", CardFunction::Es10(0xBF31)),
        ("DisableProfile", CardFunction::Es10(0xBF32)),
        ("DeleteProfile", CardFunction::Es10(0xBF33)),
        ("eUICCMemoryReset", CardFunction::Es10(0xBF34)),
        ("GetEID", CardFunction::Es10(0xBF3E)),
        ("SetNickname", CardFunction::Es10(0xBF29)),
        ("GetRAT", CardFunction::Es10(0xBF43)),
    ];
}

impl CardFunction {
    /// The function that a command APDU calls; the blocks of STORE DATA after the first belong to none.
    pub fn of(apdu: &[u8]) -> Option<Self> {
        let [class, instruction, _, p2, ..] = *apdu else { return None };
        match instruction {
            0x70 => Some(CardFunction::ManageChannel),
            0xA4 => Some(CardFunction::Select),
            0xC0 => Some(CardFunction::GetResponse),
            // STORE DATA of GlobalPlatform (CLA 8x), its first block (TS 102 221 §10.1.1; SGP.22 v2.5 §5.7.2).
            0xE2 if class & 0x80 != 0 && p2 == 0 => match apdu.get(5..) {
                // SGP.22 v2.5 §2.5.5: the pieces of a bound profile package.
                Some([0xBF, 0x36, ..] | [0xA0..=0xA3 | 0x86..=0x88, ..]) => Some(CardFunction::LoadBoundProfilePackage),
                Some([first, second, ..]) => Some(CardFunction::Es10(u32::from(u16::from_be_bytes([*first, *second])))),
                _ => None,
            },
            _ => None,
        }
    }

    /// The function that an AT command calls with the APDU in it (AT+CGLA, AT+CSIM: TS 27.007 §8.43, §8.17).
    pub fn of_line(line: &str) -> Option<Self> {
        let upper = line.to_ascii_uppercase();
        if !upper.starts_with("AT+CGLA=") && !upper.starts_with("AT+CSIM=") {
            return None;
        }
        let data = upper.rsplit(',').next()?.trim().trim_matches('"');
        CardFunction::of(&rsp::ids::from_hex(data)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(trigger: Trigger) -> String {
        let mut armed = Armed::new((), trigger);
        let occasion = |number: u32| Occasion {
            command: if number.is_multiple_of(2) { "AT+CGLA" } else { "AT+CSIM" },
            function: None,
            elapsed: Duration::from_millis(u64::from(number) * 10),
            bytes: u64::from(number) * 100,
        };
        (0..6).map(|number| if armed.fires(occasion(number)) { 'x' } else { '.' }).collect()
    }

    #[test]
    fn triggers_count_the_occasions_that_suit_them() {
        let any = Trigger::default;
        assert_eq!(pattern(any()), "xxxxxx");
        assert_eq!(pattern(Trigger { nth: 3, ..any() }), "..xxxx");
        assert_eq!(pattern(Trigger { nth: 2, count: Some(2), ..any() }), ".xx...");
        let text = Some(Pattern::parse("AT\\+CGLA").unwrap());
        assert_eq!(pattern(Trigger { pattern: text.clone(), ..any() }), "x.x.x.");
        assert_eq!(pattern(Trigger { pattern: text, nth: 2, count: Some(1), ..any() }), "..x...");
        assert_eq!(pattern(Trigger { after: Some(Duration::from_millis(30)), ..any() }), "...xxx");
        assert_eq!(pattern(Trigger { after_bytes: Some(400), count: Some(1), ..any() }), "....x.");
        assert_eq!(pattern(Trigger { function: Some(CardFunction::Select), ..any() }), "......");
    }

    #[test]
    fn functions_are_known_by_their_commands() {
        let of = |hex: &str| CardFunction::of(&rsp::ids::from_hex(hex).unwrap()).map(Word::word);
        assert_eq!(of("81E2910006BF3E035C015A"), Some("GetEID"));
        assert_eq!(of("81E2110078BF3882"), Some("AuthenticateServer"));
        assert_eq!(of("81E21101788601"), None);
        assert_eq!(of("81E29100048603AABB"), Some("LoadBoundProfilePackage"));
        assert_eq!(of("01A4040000"), Some("Select"));
        assert_eq!((of("00"), of("81E291")), (None, None));
        let line = |line: &str| CardFunction::of_line(line).map(Word::word);
        assert_eq!(line("AT+CGLA=1,22,\"81e2910006bf3e035c015a\""), Some("GetEID"));
        assert_eq!(line("AT+CSIM=10,\"0070000001\""), Some("ManageChannel"));
        assert_eq!((line("AT+CGLA=?"), line("ATI")), (None, None));
    }
}
