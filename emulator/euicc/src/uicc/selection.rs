//! What a logical channel has selected in the file system, and what the terminal has proved to the card.

use std::collections::BTreeSet;

use super::commands::Transfer;
use super::image::{FileRef, MF};

/// What a channel has selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The application of the channel (TS 102 221 §8.5.1).
    pub(crate) application: Option<FileRef>,
    /// The current directory.
    pub(super) directory: FileRef,
    /// The current elementary file.
    pub(super) file: Option<FileRef>,
    /// The record pointer, from 1; 0 before the first record (TS 102 221 §8.2.2.2).
    pub(super) record: usize,
    /// The object of a BER-TLV file that is on its way.
    pub(super) transfer: Transfer,
}

impl Default for Selection {
    fn default() -> Self {
        Selection { application: None, directory: MF, file: None, record: 0, transfer: Transfer::None }
    }
}

impl Selection {
    /// Nothing but this application.
    pub(crate) fn of_application(application: FileRef) -> Self {
        Selection { application: Some(application), directory: application, ..Selection::default() }
    }

    /// What a channel that is opened from this one begins with: the same selection, and nothing that is on its way.
    pub(crate) fn inherited(&self) -> Self {
        Selection { transfer: Transfer::None, ..self.clone() }
    }

    pub(super) fn select(&mut self, file: FileRef, is_directory: bool, parent: FileRef) {
        (self.directory, self.file) = if is_directory { (file, None) } else { (parent, Some(file)) };
        self.record = 0;
        self.transfer = Transfer::None;
    }
}

/// The PINs that have been verified since the last reset, by their places in the profile.
#[derive(Debug, Default)]
pub(crate) struct Verified(BTreeSet<usize>);

impl Verified {
    pub(super) fn has(&self, pin: usize) -> bool {
        self.0.contains(&pin)
    }

    pub(super) fn set(&mut self, pin: usize, verified: bool) {
        if verified {
            self.0.insert(pin);
        } else {
            self.0.remove(&pin);
        }
    }

    /// Forgets what is verified of the PINs that `which` names.
    pub(super) fn forget(&mut self, which: impl Fn(usize) -> bool) {
        self.0.retain(|pin| !which(*pin));
    }
}
