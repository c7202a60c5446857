//! The commands of TS 102 221 and TS 31.102 on the files of the enabled profile.
//!
//! A [`View`] is the profile as one channel sees it; each module here has the commands of one subject: `select`,
//! `contents` of files, BER-TLV `objects`, `pins`, `authentication`.

mod authentication;
mod contents;
mod objects;
mod pins;
mod select;

use rsp::crypto::Random;

pub(crate) use self::objects::Transfer;
use super::files::Files;
use super::selection::{Selection, Verified};
use crate::apdu::{Command, Response, Sw};

/// The instructions that work on files, PINs and applications.
pub(crate) mod ins {
    pub(crate) const DEACTIVATE_FILE: u8 = 0x04;
    pub(crate) const VERIFY_PIN: u8 = 0x20;
    pub(crate) const CHANGE_PIN: u8 = 0x24;
    pub(crate) const DISABLE_PIN: u8 = 0x26;
    pub(crate) const ENABLE_PIN: u8 = 0x28;
    pub(crate) const UNBLOCK_PIN: u8 = 0x2C;
    pub(crate) const INCREASE: u8 = 0x32;
    pub(crate) const ACTIVATE_FILE: u8 = 0x44;
    pub(crate) const GET_IDENTITY: u8 = 0x78;
    pub(crate) const AUTHENTICATE: u8 = 0x88;
    pub(crate) const SEARCH_RECORD: u8 = 0xA2;
    pub(crate) const READ_BINARY: u8 = 0xB0;
    pub(crate) const READ_RECORD: u8 = 0xB2;
    pub(crate) const RETRIEVE_DATA: u8 = 0xCB;
    pub(crate) const UPDATE_BINARY: u8 = 0xD6;
    pub(crate) const SET_DATA: u8 = 0xDB;
    pub(crate) const UPDATE_RECORD: u8 = 0xDC;
}

/// Which class the instruction has (TS 102 221 table 10.5): true for `0X`, false for `8X`.
pub(crate) fn is_interindustry(instruction: u8) -> Option<bool> {
    match instruction {
        ins::INCREASE | ins::GET_IDENTITY | ins::RETRIEVE_DATA | ins::SET_DATA => Some(false),
        ins::DEACTIVATE_FILE
        | ins::VERIFY_PIN
        | ins::CHANGE_PIN
        | ins::DISABLE_PIN
        | ins::ENABLE_PIN
        | ins::UNBLOCK_PIN
        | ins::ACTIVATE_FILE
        | ins::AUTHENTICATE
        | ins::SEARCH_RECORD
        | ins::READ_BINARY
        | ins::READ_RECORD
        | ins::UPDATE_BINARY
        | ins::UPDATE_RECORD => Some(true),
        _ => None,
    }
}

/// The status word of a command of [`ins`] on a card without a profile: it has no file, no PIN and no application.
pub(crate) fn without_profile(instruction: u8) -> Sw {
    match instruction {
        ins::VERIFY_PIN | ins::CHANGE_PIN | ins::DISABLE_PIN | ins::ENABLE_PIN | ins::UNBLOCK_PIN => Sw::DATA_NOT_FOUND,
        ins::AUTHENTICATE | ins::GET_IDENTITY => Sw::CONDITIONS_NOT_SATISFIED,
        _ => Sw::NO_FILE_SELECTED,
    }
}

/// What a command gives.
pub(crate) enum Answer {
    /// Data and status word as they are.
    Now(Response),
    /// Data that GET RESPONSE fetches.
    Offer(Vec<u8>),
    /// The same, with this status word in the end.
    OfferWith(Vec<u8>, Sw),
}

impl From<Sw> for Answer {
    fn from(sw: Sw) -> Self {
        Answer::Now(sw.into())
    }
}

/// The enabled profile as one channel sees it. It has an MF at least: references begin there.
pub(crate) struct View<'a> {
    files: &'a mut Files,
    selection: &'a mut Selection,
    verified: &'a mut Verified,
    random: &'a mut dyn Random,
    free_memory: u32,
    /// Whether every condition but "never" is met.
    has_access: bool,
}

type Done = Result<Answer, Sw>;

impl<'a> View<'a> {
    /// `None` when the profile has made no file: such a card is like one without a profile.
    pub(crate) fn of(
        files: &'a mut Files,
        (selection, verified): (&'a mut Selection, &'a mut Verified),
        random: &'a mut dyn Random,
        free_memory: u32,
    ) -> Option<Self> {
        if files.image().is_empty() {
            return None;
        }
        Some(View { files, selection, verified, random, free_memory, has_access: false })
    }

    /// The same with access to everything that somebody may have access to, as remote file management has it.
    pub(crate) fn with_access_to_all(mut self) -> Self {
        self.has_access = true;
        self
    }

    /// Carries out one of the commands of [`ins`].
    pub(crate) fn execute(&mut self, command: &Command<'_>) -> Answer {
        let under_way = std::mem::take(&mut self.selection.transfer);
        let done = match command.ins {
            ins::READ_BINARY => self.read_binary(command),
            ins::UPDATE_BINARY => self.update_binary(command),
            ins::READ_RECORD => self.read_record(command),
            ins::UPDATE_RECORD => self.update_record(command),
            ins::SEARCH_RECORD => self.search_record(command),
            ins::INCREASE => self.increase(command),
            ins::RETRIEVE_DATA => self.retrieve_data(command, under_way),
            ins::SET_DATA => self.set_data(command, under_way),
            ins::ACTIVATE_FILE => self.set_activated(command, true),
            ins::DEACTIVATE_FILE => self.set_activated(command, false),
            ins::VERIFY_PIN => self.verify_pin(command),
            ins::CHANGE_PIN => self.change_pin(command),
            ins::DISABLE_PIN => self.set_pin_enabled(command, false),
            ins::ENABLE_PIN => self.set_pin_enabled(command, true),
            ins::UNBLOCK_PIN => self.unblock_pin(command),
            ins::AUTHENTICATE => self.authenticate(command),
            ins::GET_IDENTITY => self.get_identity(command),
            _ => Err(Sw::INS_NOT_SUPPORTED),
        };
        done.unwrap_or_else(Answer::from)
    }
}
