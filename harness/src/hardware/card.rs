//! What is on a real card: read before and after, and put back.

use std::path::Path;

use lpad::es10::{Card, CardError};
use lpad::link::{ApduLink, AtLink, CsimLink, LinkError, LinkOptions, Tty};
use lpad::log::Log;
use rsp::es10::notification::NotificationMetadata;
use rsp::es10::profiles::{ProfileId, ProfileInfo, ProfileState};
use rsp::{Eid, Iccid};

/// Data go in pieces of this many bytes: every modem takes them.
const SEGMENT: u8 = 120;

/// What is on a card.
#[derive(Debug, Clone, PartialEq)]
pub struct CardState {
    /// Its number.
    pub eid: Eid,
    /// Its profiles, in their order.
    pub profiles: Vec<ProfileInfo>,
    /// The notifications that wait.
    pub notifications: Vec<NotificationMetadata>,
    /// Its default SM-DP+ address; empty for none.
    pub default_smdp: String,
}

/// Why a card cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HardwareError {
    /// The card is not reached.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// The card refuses.
    #[error("{0}")]
    Card(#[from] CardError),
}

/// A profile's nickname; empty for none.
pub fn nickname(profile: &ProfileInfo) -> &str {
    profile.nickname.as_deref().unwrap_or_default()
}

/// A card on a link of its own.
type OpenCard = Card<Box<dyn ApduLink>>;

fn open(tty: &Path) -> Result<OpenCard, LinkError> {
    let link: Box<dyn ApduLink> = match AtLink::open(Tty::open(tty)?, LinkOptions::default(), Log::default()) {
        Ok(link) => Box::new(link),
        // Modems without AT+CCHO leave the channels to the host.
        Err(_) => Box::new(CsimLink::open(Tty::open(tty)?, LinkOptions::default(), Log::default())?),
    };
    Ok(Card::new(link, SEGMENT))
}

impl CardState {
    /// Reads a card. It waits for the modem, so it is called where that may be.
    pub fn read(tty: &Path) -> Result<Self, HardwareError> {
        let mut card = open(tty)?;
        Ok(CardState {
            eid: card.get_eid()?,
            profiles: card.get_profiles_info()?,
            notifications: card.list_notification()?,
            default_smdp: card.get_euicc_configured_addresses()?.default_dp.unwrap_or_default(),
        })
    }

    fn find(&self, iccid: Iccid) -> Option<&ProfileInfo> {
        self.profiles.iter().find(|profile| profile.iccid == Some(iccid))
    }

    fn enabled(&self) -> Option<Iccid> {
        self.profiles.iter().find(|profile| profile.state == Some(ProfileState::Enabled)).and_then(|found| found.iccid)
    }

    /// Makes a card what it was; tells what could not be put back.
    pub fn put_back(&self, tty: &Path, may_write: bool) -> Result<Vec<String>, HardwareError> {
        let now = CardState::read(tty)?;
        let mut lost = Vec::new();
        if now == *self {
            return Ok(lost);
        }
        if !may_write {
            lost.push(format!("it was changed, though nothing was allowed: {}", self.differences(&now).join(", ")));
            return Ok(lost);
        }
        let try_to = |what: String, act: &mut dyn FnMut(&mut OpenCard) -> Result<(), CardError>| {
            // Each on a link of its own: enabling a profile resets the card.
            let done = open(tty).map_err(HardwareError::from).and_then(|mut card| Ok(act(&mut card)?));
            done.err().map(|error| format!("{what}: {error}"))
        };
        // First the profile that is in use, then the others can be deleted.
        if now.enabled() != self.enabled() {
            if let Some(iccid) = now.enabled() {
                lost.extend(try_to(format!("disabling {iccid}"), &mut |card| {
                    card.disable_profile(ProfileId::Iccid(iccid), true)
                }));
            }
            if let Some(iccid) = self.enabled().filter(|iccid| now.find(*iccid).is_some()) {
                lost.extend(try_to(format!("enabling {iccid}"), &mut |card| {
                    card.enable_profile(ProfileId::Iccid(iccid), true)
                }));
            }
        }
        for profile in &now.profiles {
            let Some(iccid) = profile.iccid else { continue };
            match self.find(iccid) {
                None => lost.extend(try_to(format!("deleting {iccid}"), &mut |card| {
                    card.delete_profile(&ProfileId::Iccid(iccid))
                })),
                Some(before) if nickname(before) != nickname(profile) => {
                    let name = nickname(before).to_owned();
                    lost.extend(try_to(format!("the nickname of {iccid}"), &mut |card| {
                        card.set_nickname(&iccid, &name)
                    }));
                }
                Some(_) => {}
            }
        }
        if now.default_smdp != self.default_smdp {
            lost.extend(try_to("the default SM-DP+ address".to_owned(), &mut |card| {
                card.set_default_dp_address(&self.default_smdp)
            }));
        }
        // What was done and undone is nothing that a server has to hear of.
        let after = CardState::read(tty)?;
        for notification in &after.notifications {
            let number = notification.sequence_number;
            if !self.notifications.iter().any(|before| before.sequence_number == number) {
                lost.extend(try_to(format!("removing notification {number}"), &mut |card| {
                    card.remove_notification_from_list(number)
                }));
            }
        }
        let after = CardState::read(tty)?;
        lost.extend(self.differences(&after));
        Ok(lost)
    }

    /// What is otherwise on another reading of the card.
    pub fn differences(&self, now: &CardState) -> Vec<String> {
        let mut differences = Vec::new();
        if now.eid != self.eid {
            differences.push(format!("it is another card, {}", now.eid));
        }
        for before in &self.profiles {
            let Some(iccid) = before.iccid else { continue };
            match now.find(iccid) {
                None => differences.push(format!("the profile {iccid} is gone")),
                Some(after) if after.state != before.state => differences.push(format!(
                    "the profile {iccid} is {}, it was {}",
                    after.state.map_or("in no state", ProfileState::name),
                    before.state.map_or("in no state", ProfileState::name)
                )),
                Some(after) if nickname(after) != nickname(before) => differences.push(format!(
                    "the nickname of {iccid} is {:?}, it was {:?}",
                    nickname(after),
                    nickname(before)
                )),
                Some(_) => {}
            }
        }
        for after in &now.profiles {
            differences.extend(
                after
                    .iccid
                    .filter(|iccid| self.find(*iccid).is_none())
                    .map(|iccid| format!("the profile {iccid} was not there")),
            );
        }
        if now.default_smdp != self.default_smdp {
            differences
                .push(format!("the default SM-DP+ address is {:?}, it was {:?}", now.default_smdp, self.default_smdp));
        }
        for before in &self.notifications {
            let number = before.sequence_number;
            if !now.notifications.iter().any(|after| after.sequence_number == number) {
                differences.push(format!("notification {number} is gone"));
            }
        }
        differences
    }
}
