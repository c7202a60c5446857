//! Short messages for hosts (TS 27.005), in PDU mode and in text mode.

mod reading;
mod receiving;
mod sending;
mod settings;

use crate::errors::CmsError;
use crate::parse::Params;
use crate::result::Failure;
use crate::sim::{ADF, Files};
use crate::sms::{MessageService, StoreError};
use crate::state::State;

pub(crate) use reading::*;
pub(crate) use receiving::*;
pub(crate) use sending::*;
pub(crate) use settings::*;

/// EF_SMSP (TS 31.102 §4.2.27).
const EF_SMSP: [u16; 2] = [ADF, 0x6F42];

impl From<StoreError> for CmsError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSuchMessage => CmsError::InvalidIndex,
            StoreError::Full => CmsError::MemoryFull,
            StoreError::Card(error) => error.into(),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::Cms(error.into())
    }
}

const WRONG: Failure = Failure::Cms(CmsError::InvalidText);

impl State {
    /// The message service, and the files of the card beside it.
    fn messages(&mut self) -> (&mut MessageService, Files<'_>) {
        let files = Files { uicc: &mut self.uicc, tap: &mut self.tap, usim: self.sim.usim.as_deref() };
        (&mut self.messages, files)
    }
}

/// The type of a number, when it is there.
fn kind(params: &Params, index: usize) -> Result<Option<u8>, Failure> {
    if params.omitted(index) {
        return Ok(None);
    }
    params.number(index).and_then(|kind| u8::try_from(kind).ok()).map(Some).ok_or(WRONG)
}
