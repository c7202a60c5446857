//! Executing profile elements (SAIP §8): each one makes files, PINs or parameters in an [`Image`].
//!
//! The elements come in their order; some are about the directory or application that an earlier one has made. What
//! cannot be executed gives the status that the `EUICCResponse` carries. `files` has the elements that make files, out
//! of `parameters`; `keys` the others.

mod files;
mod keys;
mod parameters;

use rsp::saip::{Kind, PeStatus, ProfileElement};
use rsp::tlv::{NamedBits, TlvError};

use super::image::{FileRef, Image, Record};
use rsp::aka::AkaError;

/// The status of an element that cannot be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u16);

impl Status {
    const FORMAT: Status = Status(PeStatus::INVALID_REQUEST_FORMAT);
    const BAD_VALUES: Status = Status(PeStatus::BAD_VALUES);
    const PARAMETER: Status = Status(PeStatus::INVALID_PARAMETER);
    const TEMPLATE: Status = Status(PeStatus::TEMPLATE_NOT_SUPPORTED);
    const FEATURE: Status = Status(PeStatus::FEATURE_NOT_SUPPORTED);
    pub(crate) const MEMORY: Status = Status(PeStatus::NOT_ENOUGH_MEMORY);
    const PIN_MISSING: Status = Status(PeStatus::PIN_CODE_MISSING);
}

impl From<TlvError> for Status {
    fn from(_: TlvError) -> Self {
        Status::FORMAT
    }
}

impl From<AkaError> for Status {
    fn from(error: AkaError) -> Self {
        match error {
            AkaError::Format => Status::FORMAT,
            AkaError::Value => Status::BAD_VALUES,
        }
    }
}

/// What has been executed so far.
#[derive(Debug)]
pub(crate) struct Installer {
    image: Image,
    /// The directory that PINs and authentication parameters belong to.
    directory: Option<FileRef>,
    capability: NamedBits,
    /// The major version of SAIP that the card interprets.
    major: u8,
    /// Links whose target has to be there in the end.
    links: Vec<(FileRef, Vec<u8>)>,
    size: usize,
    most: usize,
}

impl Installer {
    /// For a card with these capabilities; files take at most `most` bytes.
    pub(crate) fn new(capability: NamedBits, major: u8, most: usize) -> Self {
        Installer { image: Image::default(), directory: None, capability, major, links: Vec::new(), size: 0, most }
    }

    /// The memory that the files take so far.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn image(&self) -> &Image {
        &self.image
    }

    /// Executes one element that the card supports.
    pub(crate) fn execute(&mut self, element: &ProfileElement<'_>) -> Result<(), Status> {
        let tlv = element.tlv();
        match element.kind() {
            Kind::Header => Ok(()),
            Kind::GenericFileManagement => self.manage_files(&tlv),
            Kind::PinCodes => self.pin_codes(&tlv),
            Kind::PukCodes => self.puk_codes(&tlv),
            Kind::AkaParameter => self.aka(&tlv),
            Kind::CdmaParameter => {
                // C.S0065 §4.2: the key, and what else there is, are kept for a CAVE that the card does not have.
                tlv.reader().require(0x81)?.as_array::<8>()?;
                self.image.records.push(Record::Cdma);
                Ok(())
            }
            Kind::SecurityDomain => self.security_domain(&tlv),
            Kind::Rfm => self.remote_file_management(&tlv),
            Kind::Application => self.application(&tlv),
            Kind::End => self.resolve_links(),
            kind => self.make_after_template(kind, element),
        }
    }

    /// What has been made.
    pub(crate) fn finish(self) -> Image {
        self.image
    }
}

#[cfg(test)]
mod tests;
