//! What a package says of a file: its control parameters (SAIP annex D, `Fcp`), and the items of a description.

use rsp::tlv::{Tag, Tlv};

use super::Status;
use crate::uicc::image::{FileRef, MF, Structure, id};
use crate::uicc::template::{Entry, Shape};

/// The largest file.
pub(super) const LARGEST_FILE: usize = 0xFFFF;

/// File control parameters as the package gives them (SAIP annex D, `Fcp`).
#[derive(Debug, Default, Clone)]
pub(super) struct Parameters<'a> {
    pub(super) descriptor: Option<&'a [u8]>,
    pub(super) id: Option<u16>,
    pub(super) aid: Option<&'a [u8]>,
    pub(super) life_cycle: Option<u8>,
    pub(super) access: Option<&'a [u8]>,
    pub(super) size: Option<usize>,
    pub(super) pin_status: Option<&'a [u8]>,
    pub(super) short_id: Option<&'a [u8]>,
    pub(super) special: Option<u8>,
    pub(super) filling: Option<&'a [u8]>,
    pub(super) repeated: Option<&'a [u8]>,
    pub(super) largest: Option<usize>,
    pub(super) link: Option<&'a [u8]>,
}

pub(super) fn length(bytes: &[u8]) -> Result<usize, Status> {
    if bytes.len() > 4 {
        return Err(Status::BAD_VALUES);
    }
    Ok(bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

impl<'a> Parameters<'a> {
    pub(super) fn parse(fcp: &Tlv<'a>) -> Result<Self, Status> {
        let mut parameters = Parameters::default();
        for field in fcp.reader() {
            let field = field?;
            let value = field.value();
            let byte = || field.as_array::<1>().map(|[byte]| byte);
            match field.tag().0 {
                0x82 => parameters.descriptor = Some(value),
                0x83 => parameters.id = Some(u16::from_be_bytes(field.as_array()?)),
                0x84 => parameters.aid = Some(value),
                0x8A => parameters.life_cycle = Some(byte()?),
                0x8B => parameters.access = Some(value),
                0x80 => parameters.size = Some(length(value)?),
                0xC6 => parameters.pin_status = Some(value),
                0x88 => parameters.short_id = Some(value),
                0xC7 => parameters.link = Some(value),
                0xA5 => {
                    for field in field.reader() {
                        let field = field?;
                        match field.tag().0 {
                            0xC0 => parameters.special = Some(field.as_array::<1>()?[0]),
                            0xC1 => parameters.filling = Some(field.value()),
                            0xC2 => parameters.repeated = Some(field.value()),
                            0x86 => parameters.largest = Some(length(field.value())?),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(parameters)
    }

    /// The structure that the file descriptor names (TS 102 222 §6.3.2.2.2), and the number of records if it says.
    pub(super) fn structure(&self) -> Result<Option<(Structure, Option<usize>)>, Status> {
        let Some(descriptor) = self.descriptor else { return Ok(None) };
        let [first, rest @ ..] = descriptor else { return Err(Status::BAD_VALUES) };
        let (record, count) = match rest {
            [] | [_] => (0, None),
            [_, high, low] => (u16::from_be_bytes([*high, *low]), None),
            [_, high, low, count] => (u16::from_be_bytes([*high, *low]), Some(usize::from(*count))),
            [_, low] => (u16::from(*low), None),
            _ => return Err(Status::BAD_VALUES),
        };
        let record = || u8::try_from(record).ok().filter(|length| *length > 0).ok_or(Status::BAD_VALUES);
        let structure = match first & 0x3F {
            0x38 => Structure::Directory,
            0x39 => Structure::BerTlv,
            byte if byte & 0x38 == 0x38 => return Err(Status::BAD_VALUES),
            byte => match byte & 0x07 {
                1 => Structure::Transparent,
                2 => Structure::LinearFixed { length: record()? },
                6 => Structure::Cyclic { length: record()? },
                _ => return Err(Status::BAD_VALUES),
            },
        };
        Ok(Some((structure, count)))
    }
}

/// One item of a file's description: parameters, or content.
pub(super) enum Item<'a> {
    LeaveOut,
    Parameters(Tlv<'a>),
    Skip(usize),
    Content(&'a [u8]),
    Path(&'a [u8]),
}

/// The tag of a field by its number (X.690 §8.1.2; the modules of SAIP have automatic tags).
pub(super) fn field_tag(number: u32) -> Tag {
    Tag(if number < 31 { 0xA0 | number } else { 0xBF00 | number })
}

/// An item of `File` (SAIP annex D).
pub(super) fn template_item<'a>(item: &Tlv<'a>) -> Result<Item<'a>, Status> {
    Ok(match item.tag().0 {
        0x80 => Item::LeaveOut,
        0xA1 => Item::Parameters(*item),
        0x82 => Item::Skip(offset(item)?),
        0x83 => Item::Content(item.value()),
        _ => return Err(Status::FORMAT),
    })
}

/// An item of `FileManagement` (SAIP annex D).
pub(super) fn management_item<'a>(item: &Tlv<'a>) -> Result<Item<'a>, Status> {
    Ok(match item.tag().0 {
        0x80 => Item::Path(item.value()),
        0x62 => Item::Parameters(*item),
        0x02 => Item::Skip(offset(item)?),
        0x81 => Item::Content(item.value()),
        _ => return Err(Status::FORMAT),
    })
}

pub(super) fn offset(item: &Tlv<'_>) -> Result<usize, Status> {
    usize::try_from(item.as_u32()?).ok().filter(|offset| *offset <= LARGEST_FILE).ok_or(Status::BAD_VALUES)
}

/// How many bytes a file has.
pub(super) fn size(
    structure: &Structure,
    records: Option<usize>,
    shape: Option<Shape>,
    parameters: &Parameters<'_>,
) -> Result<usize, Status> {
    let length = structure.record_length();
    if let Some(size) = parameters.size {
        let fits = length.is_none_or(|length| size % length == 0 && size / length <= 254);
        return if fits { Ok(size) } else { Err(Status::BAD_VALUES) };
    }
    match (structure, shape) {
        (Structure::BerTlv, _) => Ok(parameters.largest.unwrap_or(0)),
        (Structure::Transparent, Some(Shape::Transparent { size })) if size > 0 => Ok(usize::from(size)),
        (
            Structure::LinearFixed { length } | Structure::Cyclic { length },
            Some(Shape::LinearFixed { records: count, .. } | Shape::Cyclic { records: count, .. }),
        ) if count > 0 => Ok(records.unwrap_or(usize::from(count)) * usize::from(*length)),
        _ => match (length, records) {
            (Some(length), Some(records)) => Ok(length * records),
            _ => Err(Status::BAD_VALUES),
        },
    }
}

/// What a file is filled with at first.
pub(super) enum Filling<'a> {
    Head(&'a [u8]),
    Repeat(&'a [u8]),
    Tail(&'a [u8]),
}

impl Filling<'_> {
    /// Fills a transparent file, or one record.
    pub(super) fn apply(&self, place: &mut [u8]) {
        match self {
            Filling::Head(pattern) => {
                let length = pattern.len().min(place.len());
                let (head, rest) = place.split_at_mut(length);
                head.copy_from_slice(&pattern[..length]);
                rest.fill(pattern.last().copied().unwrap_or(0xFF));
            }
            Filling::Repeat([]) => {}
            Filling::Repeat(pattern) => {
                place.chunks_mut(pattern.len()).for_each(|chunk| chunk.copy_from_slice(&pattern[..chunk.len()]));
            }
            Filling::Tail(end) => {
                place.fill(0xFF);
                place.iter_mut().rev().zip(end.iter().rev()).for_each(|(place, byte)| *place = *byte);
            }
        }
    }
}

/// Where the access rules of a file are (SAIP annex D, `securityAttributesReferenced`).
pub(super) fn access(
    parameters: &Parameters<'_>,
    entry: Option<&Entry>,
    structure: &Structure,
    parent: FileRef,
) -> Result<(u16, u8), Status> {
    let implied = match structure {
        Structure::Application { .. } => id::MF_ARR,
        _ if parent == MF => id::MF_ARR,
        _ => id::ARR,
    };
    match (parameters.access, entry) {
        (Some([high, low, record]), _) => Ok((u16::from_be_bytes([*high, *low]), *record)),
        (Some([record]), _) => Ok((implied, *record)),
        (Some(_), _) | (None, None) => Err(Status::BAD_VALUES),
        (None, Some(entry)) => Ok((implied, entry.rule)),
    }
}

/// The short identifier of a file (SAIP annex D, `shortEFID`; TS 102 222 §6.3.2.2.2).
pub(super) fn short_id(
    parameters: &Parameters<'_>,
    entry: Option<&Entry>,
    id: u16,
    is_directory: bool,
) -> Result<Option<u8>, Status> {
    let valid = |number: u8| (1..=30).contains(&number).then_some(number);
    match (parameters.short_id, entry) {
        _ if is_directory => Ok(None),
        (Some([]), _) => Ok(None),
        (Some([byte]), _) if byte & 0x07 == 0 => Ok(valid(byte >> 3)),
        (Some(_), _) => Err(Status::BAD_VALUES),
        (None, Some(entry)) => Ok(entry.short_id),
        (None, None) => Ok(valid(id as u8 & 0x1F)),
    }
}
