//! Logical channels (TS 102 221 §8.8): which are open, and what each of them has selected, is waiting for and is
//! in the middle of.

use rsp::Iccid;

use crate::apdu::Sw;
use crate::files::File;
use crate::uicc::{Selection, Verified};

/// The highest channel number (TS 102 221 §10.1.1: 0 is the basic channel, 1 to 19 are opened on demand).
pub(crate) const LAST_CHANNEL: u8 = 19;

/// What answers the commands of a channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Application {
    /// The file system under the MF.
    #[default]
    Uicc,
    /// The ISD-R.
    IsdR,
}

/// A command that arrives in several STORE DATA blocks.
#[derive(Default)]
pub(crate) struct Chain {
    data: Vec<u8>,
    blocks: u16,
}

impl Chain {
    /// Takes the block with the number `number`. Blocks count from 00; block 00 begins anew.
    pub(crate) fn add(&mut self, number: u8, data: &[u8]) -> Result<(), Sw> {
        if number == 0 {
            self.data.clear();
            self.blocks = 0;
        }
        // GlobalPlatform Card Specification 2.3.1 §11.11.2.2: blocks are numbered sequentially.
        if u16::from(number) != self.blocks {
            return Err(Sw::WRONG_P1_P2);
        }
        self.data.extend_from_slice(data);
        self.blocks += 1;
        Ok(())
    }

    /// The whole command.
    pub(crate) fn into_data(self) -> Vec<u8> {
        self.data
    }
}

/// The state of one open channel. `Debug` prints no data that is on its way: it may be a key.
#[derive(Default)]
pub(crate) struct Channel {
    pub(crate) application: Application,
    /// What is selected in the files of the enabled profile.
    pub(crate) selection: Selection,
    /// What is selected of the card's own files, while no profile is enabled.
    pub(crate) own_file: File,
    /// Response data that GET RESPONSE has not fetched yet.
    pub(crate) pending: Vec<u8>,
    /// The status word that comes with the last of it.
    pub(crate) ending: Option<Sw>,
    /// A STORE DATA chain that is not complete yet.
    pub(crate) chain: Option<Chain>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Channel { application, selection, pending, chain, .. } = self;
        let (waiting, blocks) = (pending.len(), chain.as_ref().map_or(0, |chain| chain.blocks));
        write!(f, "Channel({application:?}, {selection:?}, {waiting} bytes to fetch, {blocks} blocks come in)")
    }
}

impl Channel {
    /// Keeps `data` for GET RESPONSE and says so.
    pub(crate) fn offer(&mut self, data: Vec<u8>) -> Sw {
        if data.is_empty() {
            return Sw::OK;
        }
        self.pending = data;
        self.ending = None;
        Sw::more(self.pending.len())
    }

    /// The same, with a warning in the end.
    pub(crate) fn offer_with(&mut self, data: Vec<u8>, ending: Sw) -> Sw {
        let sw = self.offer(data);
        self.ending = Some(ending);
        sw
    }
}

/// All channels. The basic channel is always open.
#[derive(Debug)]
pub(crate) struct Channels {
    slots: [Option<Channel>; LAST_CHANNEL as usize + 1],
    /// The PINs that are verified: on one channel, they are on all (TS 102 221 §9.4).
    verified: Verified,
    /// The profile that selections and verifications are about.
    profile: Option<Iccid>,
}

impl Channels {
    /// The basic channel alone, as after a reset.
    pub(crate) fn new() -> Self {
        let mut slots = std::array::from_fn(|_| None);
        slots[0] = Some(Channel::default());
        Channels { slots, verified: Verified::default(), profile: None }
    }

    /// Takes note of which profile is enabled. Of another one nothing is selected or verified.
    pub(crate) fn settle(&mut self, enabled: Option<Iccid>) {
        if self.profile == enabled {
            return;
        }
        self.profile = enabled;
        self.verified = Verified::default();
        for channel in self.slots.iter_mut().flatten() {
            channel.selection = Selection::default();
            channel.own_file = File::Mf;
        }
    }

    /// A channel, and the PINs that are verified.
    pub(crate) fn with_verified(&mut self, number: u8) -> Option<(&mut Channel, &mut Verified)> {
        let channel = self.slots.get_mut(usize::from(number))?.as_mut()?;
        Some((channel, &mut self.verified))
    }

    /// Whether a channel other than this one has the same application of the profile.
    pub(crate) fn shares_application(&self, number: u8) -> bool {
        let application = |slot: &Option<Channel>| slot.as_ref().and_then(|channel| channel.selection.application);
        let Some(own) = self.slots.get(usize::from(number)).and_then(application) else { return false };
        (0..).zip(&self.slots).any(|(other, slot): (u8, _)| other != number && application(slot) == Some(own))
    }

    /// The channel with this number, when it is open.
    pub(crate) fn get(&mut self, number: u8) -> Option<&mut Channel> {
        self.slots.get_mut(usize::from(number))?.as_mut()
    }

    /// The numbers of the open channels.
    pub(crate) fn open_numbers(&self) -> Vec<u8> {
        (0..).zip(&self.slots).filter(|(_, slot)| slot.is_some()).map(|(number, _)| number).collect()
    }

    /// Opens a channel: the lowest free one, or the one that is asked for.
    pub(crate) fn open(&mut self, from: u8, wanted: Option<u8>) -> Result<u8, Sw> {
        let number = match wanted {
            Some(number) if number > LAST_CHANNEL => return Err(Sw::WRONG_P1_P2),
            Some(number) => number,
            None => (1..=LAST_CHANNEL)
                .find(|number| self.slots[usize::from(*number)].is_none())
                .ok_or(Sw::FUNCTION_NOT_SUPPORTED)?,
        };
        // TS 102 221 §11.1.17: a channel opened from a non-basic channel has the same selection, one opened from
        // the basic channel begins at the MF.
        let origin = self.slots[usize::from(from)].as_ref().filter(|_| from != 0);
        let channel = Channel {
            application: origin.map(|channel| channel.application).unwrap_or_default(),
            selection: origin.map(|channel| channel.selection.inherited()).unwrap_or_default(),
            ..Channel::default()
        };
        match &mut self.slots[usize::from(number)] {
            Some(_) => Err(Sw::FUNCTION_NOT_SUPPORTED),
            slot => {
                *slot = Some(channel);
                Ok(number)
            }
        }
    }

    /// Closes a channel. The basic channel cannot be closed.
    pub(crate) fn close(&mut self, number: u8) -> Sw {
        match self.slots.get_mut(usize::from(number)) {
            None => Sw::WRONG_P1_P2,
            Some(_) if number == 0 => Sw::WRONG_P1_P2,
            // GlobalPlatform Card Specification 2.3.1 §11.7.3.2: 6200, the logical channel is already closed.
            Some(None) => Sw::NOTHING_CHANGED,
            Some(slot) => {
                *slot = None;
                Sw::OK
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nineteen_channels_beside_the_basic_one() {
        // proves: EUICC.Transport
        let mut channels = Channels::new();
        for number in 1..=19 {
            assert_eq!(channels.open(0, None), Ok(number));
        }
        assert_eq!(channels.open(0, None), Err(Sw::FUNCTION_NOT_SUPPORTED));
        assert_eq!(channels.close(7), Sw::OK);
        assert_eq!(channels.close(7), Sw::NOTHING_CHANGED);
        assert_eq!(channels.open(0, None), Ok(7));
        assert_eq!(channels.open(0, Some(7)), Err(Sw::FUNCTION_NOT_SUPPORTED));
        assert_eq!(channels.open(0, Some(20)), Err(Sw::WRONG_P1_P2));
        assert_eq!((channels.close(0), channels.close(20)), (Sw::WRONG_P1_P2, Sw::WRONG_P1_P2));
    }

    #[test]
    fn a_channel_inherits_from_a_non_basic_one_only() {
        let mut channels = Channels::new();
        channels.get(0).unwrap().application = Application::IsdR;
        let first = channels.open(0, None).unwrap();
        assert_eq!(channels.get(first).unwrap().application, Application::Uicc);
        channels.get(first).unwrap().application = Application::IsdR;
        let second = channels.open(first, None).unwrap();
        assert_eq!(channels.get(second).unwrap().application, Application::IsdR);
    }

    #[test]
    fn blocks_come_in_order() {
        // proves: EUICC.Transport; Robust - lengths, nesting and chains are bounded
        let mut chain = Chain::default();
        assert_eq!(chain.add(1, &[1]), Err(Sw::WRONG_P1_P2));
        assert_eq!(chain.add(0, &[1]), Ok(()));
        assert_eq!(chain.add(2, &[2]), Err(Sw::WRONG_P1_P2));
        assert_eq!(chain.add(1, &[2]), Ok(()));
        assert_eq!(chain.add(0, &[3]), Ok(()));
        for number in 1..=255 {
            assert_eq!(chain.add(number, &[4]), Ok(()));
        }
        assert_eq!(chain.add(1, &[4]), Err(Sw::WRONG_P1_P2));
        assert_eq!(chain.into_data().len(), 256);
    }
}
