//! Executing profile elements (SAIP §8): each one makes files, PINs or parameters in an [`Image`].
//!
//! The elements come in their order; some are about the directory or application that an earlier one has made. What
//! cannot be executed gives the status that the `EUICCResponse` carries.

use rsp::saip::{Kind, PeStatus, ProfileElement};
use rsp::tlv::{NamedBits, Tag, Tlv, TlvError};
use rsp::{Aid, Oid};
use zeroize::Zeroizing;

use super::aka::{Aka, AkaError};
use super::image::{
    ACTIVATED, Authentication, FILE_OVERHEAD, File, FileRef, Image, MF, Pin, Puk, Record, Structure, Tries, id, special,
};
use super::secret::Secret;
use super::template::{self, Entry, Fill, Place, Shape};
use crate::config::uicc_capability;

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

/// How many files a profile may have; those of TS.48 have 259.
const MOST_FILES: usize = 1024;

/// The largest file.
const LARGEST_FILE: usize = 0xFFFF;

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

/// File control parameters as the package gives them (SAIP annex D, `Fcp`).
#[derive(Debug, Default, Clone)]
struct Parameters<'a> {
    descriptor: Option<&'a [u8]>,
    id: Option<u16>,
    aid: Option<&'a [u8]>,
    life_cycle: Option<u8>,
    access: Option<&'a [u8]>,
    size: Option<usize>,
    pin_status: Option<&'a [u8]>,
    short_id: Option<&'a [u8]>,
    special: Option<u8>,
    filling: Option<&'a [u8]>,
    repeated: Option<&'a [u8]>,
    largest: Option<usize>,
    link: Option<&'a [u8]>,
}

fn length(bytes: &[u8]) -> Result<usize, Status> {
    if bytes.len() > 4 {
        return Err(Status::BAD_VALUES);
    }
    Ok(bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

impl<'a> Parameters<'a> {
    fn parse(fcp: &Tlv<'a>) -> Result<Self, Status> {
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
    fn structure(&self) -> Result<Option<(Structure, Option<usize>)>, Status> {
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

/// A file that is about to be made.
struct Draft<'a> {
    parent: FileRef,
    /// The profile element that makes it.
    kind: Kind,
    entry: Option<&'static Entry>,
    parameters: Parameters<'a>,
}

/// A file as a field of a template element describes it.
#[derive(Default)]
struct Described<'a> {
    parameters: Parameters<'a>,
    content: Vec<(usize, &'a [u8])>,
    /// Where the next content goes.
    end: usize,
}

/// One item of a file's description: parameters, or content.
enum Item<'a> {
    LeaveOut,
    Parameters(Tlv<'a>),
    Skip(usize),
    Content(&'a [u8]),
    Path(&'a [u8]),
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

    // Files.

    fn make_after_template(&mut self, kind: Kind, element: &ProfileElement<'_>) -> Result<(), Status> {
        let oid = element.tlv().reader().require(0x81)?;
        let oid = Oid::from_der_content(oid.value()).map_err(|_| Status::FORMAT)?;
        let (of, template) = template::find(&oid, self.major).ok_or(Status::TEMPLATE)?;
        if of != kind {
            return Err(Status::TEMPLATE);
        }
        let application = |image: &Image, kind| {
            // SAIP §8.3.3: elements about an application follow the one that makes it.
            image.applications().filter(|(_, _, of)| *of == kind).last().map(|(file, ..)| file)
        };
        let (base, mut directory) = match template.place {
            Place::Root if !self.image.is_empty() => return Err(Status::PARAMETER),
            Place::Root => (MF, None),
            _ if self.image.is_empty() => return Err(Status::PARAMETER),
            Place::UnderMf => (MF, None),
            Place::Application => {
                self.check_application(kind)?;
                (MF, None)
            }
            Place::UnderApplication(kind) => (application(&self.image, kind).ok_or(Status::PARAMETER)?, None),
            Place::InApplication(kind) => {
                let base = application(&self.image, kind).ok_or(Status::PARAMETER)?;
                (base, Some(base))
            }
        };
        let mut base = base;
        let fields = element.tlv().reader().collect::<Result<Vec<_>, _>>()?;
        for (number, entry) in (2u32..).zip(template.files) {
            let tag = field_tag(number);
            let field = fields.iter().find(|field| field.tag() == tag);
            let is_directory = matches!(entry.shape, Shape::Mf | Shape::Df | Shape::Adf);
            let is_base = is_directory && number == 2;
            if field.is_none() && (is_base || entry.required) {
                return Err(Status::FORMAT);
            }
            if field.is_none() && is_directory {
                // A directory that is not made may be there already, from an element before.
                directory = self.image.child(base, entry.id);
                continue;
            }
            if field.is_none() && !template.by_default {
                continue;
            }
            let parent = match directory {
                _ if is_directory => base,
                Some(directory) => directory,
                None => return Err(Status::PARAMETER),
            };
            let made = match field {
                Some(field) => self.make_described(parent, kind, entry, field)?,
                None => {
                    let parameters = Parameters::default();
                    Some(self.make(&Draft { parent, kind, entry: Some(entry), parameters })?)
                }
            };
            if is_directory {
                directory = made;
            }
            if is_base {
                base = made.ok_or(Status::PARAMETER)?;
            }
        }
        // SAIP §8.4: PINs and keys after an element belong to the directory it has made, or to its application.
        self.directory = Some(self.image.application_of(base).unwrap_or(base));
        if kind == Kind::Usim {
            self.mask_services();
        }
        Ok(())
    }

    /// A second application of a kind is a service of its own.
    fn check_application(&self, kind: Kind) -> Result<(), Status> {
        let several = match kind {
            Kind::Usim => uicc_capability::MULTIPLE_USIM,
            Kind::Isim => uicc_capability::MULTIPLE_ISIM,
            _ => uicc_capability::MULTIPLE_CSIM,
        };
        let there = self.image.applications().any(|(_, _, of)| of == kind);
        if there && !self.capability.has(several) { Err(Status::FEATURE) } else { Ok(()) }
    }

    /// Makes the file that a field of a template element describes; `None` when it is left out. A field may describe
    /// several files, each with its own parameters; the last one counts.
    fn make_described(
        &mut self,
        parent: FileRef,
        kind: Kind,
        entry: &'static Entry,
        field: &Tlv<'_>,
    ) -> Result<Option<FileRef>, Status> {
        let mut described: Vec<Described<'_>> = Vec::new();
        for item in field.reader() {
            let item = template_item(&item?)?;
            if described.is_empty() || matches!(item, Item::Parameters(_)) {
                described.push(Described::default());
            }
            let Some(last) = described.last_mut() else { continue };
            match item {
                // SAIP annex D: of no effect for the MF.
                Item::LeaveOut if entry.shape != Shape::Mf => return Ok(None),
                Item::LeaveOut | Item::Path(_) => {}
                Item::Parameters(fcp) => last.parameters = Parameters::parse(&fcp)?,
                Item::Skip(count) => last.end += count,
                Item::Content(bytes) => {
                    last.content.push((last.end, bytes));
                    last.end += bytes.len();
                }
            }
        }
        if described.is_empty() {
            described.push(Described::default());
        }
        let mut made = None;
        for Described { mut parameters, content, end } in described {
            // Without a size of its own, a file is as large as its content.
            if !content.is_empty() && matches!(entry.shape, Shape::Transparent { size: 0 } | Shape::BerTlv) {
                parameters.size.get_or_insert(end);
            }
            let file = self.make(&Draft { parent, kind, entry: Some(entry), parameters })?;
            for (mut at, bytes) in content {
                self.fill(file, &mut at, bytes)?;
            }
            made = Some(file);
        }
        Ok(made)
    }

    fn fill(&mut self, file: FileRef, at: &mut usize, bytes: &[u8]) -> Result<(), Status> {
        let file = &mut self.image.files[usize::from(file.0)];
        // BER-TLV files take what they are given, up to the size that is theirs.
        let place = file.content.get_mut(*at..).and_then(|rest| rest.get_mut(..bytes.len()));
        place.ok_or(Status::BAD_VALUES)?.copy_from_slice(bytes);
        *at += bytes.len();
        Ok(())
    }

    /// Makes a file.
    fn make(&mut self, draft: &Draft<'_>) -> Result<FileRef, Status> {
        let Draft { parent, kind, entry, parameters } = draft;
        if self.image.files.len() >= MOST_FILES {
            return Err(Status::MEMORY);
        }
        let shape = entry.map(|entry| entry.shape);
        let id = match shape {
            Some(Shape::Mf) => id::MF,
            _ => parameters.id.or(entry.map(|entry| entry.id).filter(|id| *id != 0)).ok_or(Status::BAD_VALUES)?,
        };
        let is_first = self.image.is_empty();
        if !is_first && (id == id::MF || id == id::CURRENT_APPLICATION || self.is_taken(*parent, id)) {
            return Err(Status::PARAMETER);
        }
        let (structure, records) = self.structure(*kind, shape, parameters)?;
        let is_directory = structure.is_directory();
        let linked = parameters.link.filter(|path| !path.is_empty());
        let size = match (&structure, linked) {
            (_, Some(_)) => 0,
            (structure, None) if structure.is_directory() => 0,
            (structure, None) => size(structure, records, shape, parameters)?,
        };
        self.size = self.size.saturating_add(size + FILE_OVERHEAD);
        if size > LARGEST_FILE {
            return Err(Status::BAD_VALUES);
        }
        if self.size > self.most {
            return Err(Status::MEMORY);
        }
        let mut content = Zeroizing::new(vec![0xFF; size]);
        let chunk = structure.record_length().unwrap_or(size).max(1);
        let fill = match (parameters.filling, parameters.repeated, entry) {
            (Some(pattern), ..) => Filling::Head(pattern),
            (_, Some(pattern), _) => Filling::Repeat(pattern),
            (.., Some(entry)) => match entry.fill {
                Fill::Head(pattern) => Filling::Head(pattern),
                Fill::Repeat(pattern) => Filling::Repeat(pattern),
                Fill::Tail(end) => Filling::Tail(end),
            },
            // TS 102 222 §6.3.2.2.2: without a pattern FF, in cyclic files 00.
            (None, None, None) if matches!(structure, Structure::Cyclic { .. }) => Filling::Head(&[0x00]),
            (None, None, None) => Filling::Head(&[0xFF]),
        };
        content.chunks_mut(chunk).for_each(|chunk| fill.apply(chunk));

        let file = FileRef(self.image.files.len() as u16);
        let special = parameters.special.unwrap_or(match entry {
            Some(entry) if entry.often => special::OFTEN_UPDATED,
            _ => 0,
        });
        if let Some(path) = linked {
            self.links.push((file, path.to_vec()));
        }
        self.image.files.push(File {
            id,
            parent: self.image_directory(*parent),
            access: access(parameters, *entry, &structure, *parent)?,
            short_id: short_id(parameters, *entry, id, is_directory)?,
            structure,
            life_cycle: parameters.life_cycle.unwrap_or(ACTIVATED),
            special,
            pin_status: parameters.pin_status.unwrap_or_default().to_vec(),
            content,
            link: None,
        });
        Ok(file)
    }

    /// Whether a file with this identifier is in the directory already.
    fn is_taken(&self, parent: FileRef, id: u16) -> bool {
        self.image.children(parent).any(|child| self.image.file(child).id == id)
    }

    /// Where files in a directory really are made: a link to a directory has none of its own.
    fn image_directory(&self, parent: FileRef) -> FileRef {
        if self.image.is_empty() { MF } else { self.image.resolve(parent) }
    }

    fn structure(
        &self,
        kind: Kind,
        shape: Option<Shape>,
        parameters: &Parameters<'_>,
    ) -> Result<(Structure, Option<usize>), Status> {
        if let (Some(aid), Some(Shape::Adf) | None) = (parameters.aid, shape) {
            let aid = Aid::from_bytes(aid).map_err(|_| Status::BAD_VALUES)?;
            if self.image.applications().any(|(_, other, _)| *other == aid) {
                return Err(Status::PARAMETER);
            }
            return Ok((Structure::Application { aid, kind }, None));
        }
        if shape == Some(Shape::Adf) {
            return Err(Status::BAD_VALUES);
        }
        let given = parameters.structure()?;
        let is_directory = |shape| matches!(shape, Shape::Mf | Shape::Df);
        if let (Some((structure, _)), Some(shape)) = (&given, shape)
            && structure.is_directory() != is_directory(shape)
        {
            return Err(Status::BAD_VALUES);
        }
        if given.as_ref().is_some_and(|(structure, _)| *structure == Structure::BerTlv)
            && !self.capability.has(uicc_capability::BER_TLV)
        {
            return Err(Status::FEATURE);
        }
        if let Some((structure, count)) = given {
            return Ok((structure, count));
        }
        let records = |count: u8| (count > 0).then_some(usize::from(count));
        Ok(match shape {
            Some(Shape::Mf | Shape::Df) => (Structure::Directory, None),
            Some(Shape::Transparent { .. }) => (Structure::Transparent, None),
            Some(Shape::BerTlv) => (Structure::BerTlv, None),
            Some(Shape::LinearFixed { records: count, length }) if length > 0 => {
                (Structure::LinearFixed { length }, records(count))
            }
            Some(Shape::Cyclic { records: count, length }) if length > 0 => {
                (Structure::Cyclic { length }, records(count))
            }
            _ => return Err(Status::BAD_VALUES),
        })
    }

    fn manage_files(&mut self, element: &Tlv<'_>) -> Result<(), Status> {
        if self.image.is_empty() {
            return Err(Status::PARAMETER);
        }
        let mut fields = element.reader();
        fields.require(0xA0)?;
        for command in fields.require(0xA1)?.reader() {
            let (mut directory, mut file, mut at) = (MF, None, 0);
            for item in command?.reader() {
                match management_item(&item?)? {
                    Item::Path(path) => {
                        let found = self.image.by_package_path(path).ok_or(Status::PARAMETER)?;
                        (directory, file, at) = if self.image.file(found).structure.is_directory() {
                            (found, None, 0)
                        } else {
                            (self.image.file(found).parent, Some(found), 0)
                        };
                    }
                    Item::Parameters(fcp) => {
                        let parameters = Parameters::parse(&fcp)?;
                        let made = self.make(&Draft {
                            parent: directory,
                            kind: Kind::GenericFileManagement,
                            entry: None,
                            parameters,
                        })?;
                        // TS 102 222 §6.3.1: a directory that was made is the current one.
                        (directory, file, at) = if self.image.file(made).structure.is_directory() {
                            (made, None, 0)
                        } else {
                            (directory, Some(made), 0)
                        };
                    }
                    Item::Skip(count) => at += count,
                    Item::Content(bytes) => self.fill(file.ok_or(Status::PARAMETER)?, &mut at, bytes)?,
                    Item::LeaveOut => return Err(Status::FORMAT),
                }
            }
        }
        Ok(())
    }

    /// Links whose target has come with a later element are closed at the end.
    fn resolve_links(&mut self) -> Result<(), Status> {
        for (file, path) in std::mem::take(&mut self.links) {
            let target = self.image.by_package_path(&path).ok_or(Status::PARAMETER)?;
            let kinds = [file, target].map(|file| self.image.file(file).structure.is_directory());
            // A link to itself, in whatever number of steps, shows nothing.
            if kinds[0] != kinds[1] || self.image.resolve(target) == file || target == file {
                return Err(Status::PARAMETER);
            }
            if kinds[0] && !self.capability.has(uicc_capability::DF_LINK) {
                return Err(Status::FEATURE);
            }
            self.image.files[usize::from(file.0)].link = Some(target);
        }
        Ok(())
    }

    /// SAIP, `ef-ust`: services that the card does not have are taken out of the table.
    fn mask_services(&mut self) {
        let services = [
            (67, uicc_capability::GBA_USIM),
            (68, uicc_capability::GBA_USIM),
            (69, uicc_capability::MBMS),
            (125, uicc_capability::GET_IDENTITY),
        ];
        let Some(application) = self.image.applications().last().map(|(file, ..)| file) else { return };
        let Some(table) = self.image.child(application, id::UST) else { return };
        let content = &mut self.image.files[usize::from(table.0)].content;
        for (service, capability) in services {
            if let Some(byte) = content.get_mut((service - 1) / 8).filter(|_| !self.capability.has(capability)) {
                *byte &= !(1 << ((service - 1) % 8));
            }
        }
    }

    // PINs and keys.

    fn pin_codes(&mut self, element: &Tlv<'_>) -> Result<(), Status> {
        let directory = self.directory.ok_or(Status::PARAMETER)?;
        let mut fields = element.reader();
        fields.require(0xA0)?;
        let choice = fields.require(0xA1)?;
        if let Some(path) = choice.reader().optional(0x81)? {
            let owner = self.image.by_package_path(path.value()).ok_or(Status::PARAMETER)?;
            self.image.shared_pins.push((directory, owner));
            return Ok(());
        }
        for pin in choice.reader().require(0xA0)?.reader() {
            let pin = pin?;
            let mut parts = pin.reader();
            let key = key_reference(&parts.require(0x80)?)?;
            let value = Secret::copy(parts.require(0x81)?.value()).ok_or(Status::FORMAT)?;
            let puk = match parts.optional(0x82)? {
                None => None,
                Some(reference) => {
                    let reference = key_reference(&reference)?;
                    // SAIP annex D: the unblocking code has to be there.
                    let index = self.image.puks.iter().rposition(|puk| puk.key == reference);
                    Some(index.ok_or(Status::PIN_MISSING)? as u16)
                }
            };
            let attributes = parts.optional(0x83)?.map_or(Ok(7), |tlv| tlv.as_u32())?;
            let tries = parts.optional(0x84)?.map_or(Ok(0x33), |tlv| tlv.as_u32())?;
            let tries = Tries::of(u8::try_from(tries).map_err(|_| Status::BAD_VALUES)?);
            let is_known = matches!(key, 0x01..=0x08 | 0x0A..=0x0E | 0x81..=0x88 | 0x8A..=0x8E);
            if !is_known || tries.most == 0 {
                return Err(Status::BAD_VALUES);
            }
            if self.image.pins.iter().any(|pin| pin.directory == directory && pin.key == key) {
                return Err(Status::PARAMETER);
            }
            self.image.pins.push(Pin {
                directory,
                key,
                value,
                puk,
                // SAIP annex D, `pinAttributes`.
                enabled: attributes & 0x01 != 0,
                may_be_changed: attributes & 0x02 != 0,
                may_be_disabled: attributes & 0x04 != 0,
                tries,
            });
        }
        Ok(())
    }

    fn puk_codes(&mut self, element: &Tlv<'_>) -> Result<(), Status> {
        let mut fields = element.reader();
        fields.require(0xA0)?;
        for puk in fields.require(0xA1)?.reader() {
            let puk = puk?;
            let mut parts = puk.reader();
            let key = key_reference(&parts.require(0x80)?)?;
            let value = Secret::copy(parts.require(0x81)?.value()).ok_or(Status::FORMAT)?;
            let tries = parts.optional(0x82)?.map_or(Ok(0xAA), |tlv| tlv.as_u32())?;
            let tries = Tries::of(u8::try_from(tries).map_err(|_| Status::BAD_VALUES)?);
            if tries.most == 0 || self.image.puks.len() >= MOST_FILES {
                return Err(Status::BAD_VALUES);
            }
            self.image.puks.push(Puk { key, value, tries });
        }
        Ok(())
    }

    fn aka(&mut self, element: &Tlv<'_>) -> Result<(), Status> {
        // SAIP §8.5: the parameters are those of the application before.
        let application = self.directory.and_then(|directory| self.image.application_of(directory));
        let application = application.ok_or(Status::PARAMETER)?;
        if self.image.authentication(application).is_some() {
            return Err(Status::PARAMETER);
        }
        let choice = element.reader().require(0xA1)?;
        if let Some(mapping) = choice.reader().optional(0xA0)? {
            let source = mapping.reader().require(0x81)?;
            let source = self.image.applications().find(|(_, aid, _)| aid.as_bytes() == source.value());
            let source = source.and_then(|(file, ..)| self.image.authentication(file)).ok_or(Status::PARAMETER)?;
            self.image.shared_authentications.push((application, source));
            return Ok(());
        }
        let aka = Aka::parse(element, &choice.reader().require(0xA1)?)?;
        self.image.authentications.push(Authentication { application, aka });
        Ok(())
    }

    // What is kept and does nothing.

    fn security_domain(&mut self, element: &Tlv<'_>) -> Result<(), Status> {
        let mut fields = element.reader();
        fields.require(0xA0)?;
        let aid = instance_aid(&fields.require(0xA1)?)?;
        let mut keys = Vec::new();
        if let Some(list) = fields.optional(0xA2)? {
            for key in list.reader() {
                let mut parts = key?.reader();
                let [identifier] = parts.require(0x82)?.as_array()?;
                let [version] = parts.require(0x83)?.as_array()?;
                keys.push((version, identifier));
            }
        }
        self.image.records.push(Record::SecurityDomain { aid, keys });
        Ok(())
    }

    fn remote_file_management(&mut self, element: &Tlv<'_>) -> Result<(), Status> {
        let mut fields = element.reader();
        fields.require(0xA0)?;
        let aid = aid_of(&fields.require(0x4F)?)?;
        let mut tars = Vec::new();
        if let Some(list) = fields.optional(0xA0)? {
            for tar in list.reader() {
                tars.push(tar?.as_array()?);
            }
        }
        let [minimum_security] = fields.require(0x81)?.as_array()?;
        let application = match fields.optional(0x30)? {
            Some(access) => Some(aid_of(&access.reader().require(0x80)?)?),
            None => None,
        };
        self.image.records.push(Record::RemoteFileManagement { aid, tars, minimum_security, application });
        Ok(())
    }

    fn application(&mut self, element: &Tlv<'_>) -> Result<(), Status> {
        let mut fields = element.reader();
        fields.require(0xA0)?;
        let (mut package, mut code) = (None, 0);
        if let Some(block) = fields.optional(0xA1)? {
            let mut parts = block.reader();
            package = Some(aid_of(&parts.require(0x4F)?)?);
            code = parts.require(0xC4)?.value().len();
        }
        let mut instances = Vec::new();
        if let Some(list) = fields.optional(0xA2)? {
            for instance in list.reader() {
                instances.push(instance_aid(&instance?)?);
            }
        }
        self.image.records.push(Record::Application { package, code, instances });
        Ok(())
    }
}

/// The tag of a field by its number (X.690 §8.1.2; the modules of SAIP have automatic tags).
fn field_tag(number: u32) -> Tag {
    Tag(if number < 31 { 0xA0 | number } else { 0xBF00 | number })
}

/// An item of `File` (SAIP annex D).
fn template_item<'a>(item: &Tlv<'a>) -> Result<Item<'a>, Status> {
    Ok(match item.tag().0 {
        0x80 => Item::LeaveOut,
        0xA1 => Item::Parameters(*item),
        0x82 => Item::Skip(offset(item)?),
        0x83 => Item::Content(item.value()),
        _ => return Err(Status::FORMAT),
    })
}

/// An item of `FileManagement` (SAIP annex D).
fn management_item<'a>(item: &Tlv<'a>) -> Result<Item<'a>, Status> {
    Ok(match item.tag().0 {
        0x80 => Item::Path(item.value()),
        0x62 => Item::Parameters(*item),
        0x02 => Item::Skip(offset(item)?),
        0x81 => Item::Content(item.value()),
        _ => return Err(Status::FORMAT),
    })
}

fn offset(item: &Tlv<'_>) -> Result<usize, Status> {
    usize::try_from(item.as_u32()?).ok().filter(|offset| *offset <= LARGEST_FILE).ok_or(Status::BAD_VALUES)
}

/// How many bytes a file has.
fn size(
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
enum Filling<'a> {
    Head(&'a [u8]),
    Repeat(&'a [u8]),
    Tail(&'a [u8]),
}

impl Filling<'_> {
    /// Fills a transparent file, or one record.
    fn apply(&self, place: &mut [u8]) {
        match self {
            Filling::Head(pattern) => {
                let last = pattern.last().copied().unwrap_or(0xFF);
                let bytes = pattern.iter().copied().chain(std::iter::repeat(last));
                place.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
            }
            Filling::Repeat(pattern) => {
                place.iter_mut().zip(pattern.iter().cycle()).for_each(|(place, byte)| *place = *byte);
            }
            Filling::Tail(end) => {
                place.fill(0xFF);
                place.iter_mut().rev().zip(end.iter().rev()).for_each(|(place, byte)| *place = *byte);
            }
        }
    }
}

/// Where the access rules of a file are (SAIP annex D, `securityAttributesReferenced`).
fn access(
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
fn short_id(
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

fn key_reference(tlv: &Tlv<'_>) -> Result<u8, Status> {
    u8::try_from(tlv.as_u32()?).map_err(|_| Status::BAD_VALUES)
}

fn aid(bytes: &[u8]) -> Result<Vec<u8>, Status> {
    if (5..=16).contains(&bytes.len()) { Ok(bytes.to_vec()) } else { Err(Status::BAD_VALUES) }
}

fn aid_of(tlv: &Tlv<'_>) -> Result<Vec<u8>, Status> {
    aid(tlv.value())
}

/// The AID of an `ApplicationInstance`: after those of its package and its class.
fn instance_aid(instance: &Tlv<'_>) -> Result<Vec<u8>, Status> {
    let mut fields = instance.reader();
    fields.require(0x4F)?;
    fields.require(0x4F)?;
    aid_of(&fields.require(0x4F)?)
}

#[cfg(test)]
mod tests;
