//! Elements that make files: after templates, one by one, and links between them (SAIP §8.3, annex A).

use rsp::Aid;
use rsp::Oid;
use rsp::saip::{Kind, ProfileElement};
use rsp::tlv::Tlv;
use zeroize::Zeroizing;

use super::parameters::{
    Filling, Item, LARGEST_FILE, Parameters, access, field_tag, management_item, short_id, size, template_item,
};
use super::{Installer, Status};
use crate::config::uicc_capability;
use crate::uicc::image::{ACTIVATED, FILE_OVERHEAD, File, FileRef, Image, MF, Structure, id, special};
use crate::uicc::template::{self, Entry, Fill, Place, Shape};

/// How many files a profile may have; those of TS.48 have 259.
pub(super) const MOST_FILES: usize = 1024;

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

impl Installer {
    pub(super) fn make_after_template(&mut self, kind: Kind, element: &ProfileElement<'_>) -> Result<(), Status> {
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
        self.mask_services(kind);
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

    pub(super) fn manage_files(&mut self, element: &Tlv<'_>) -> Result<(), Status> {
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
    pub(super) fn resolve_links(&mut self) -> Result<(), Status> {
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

    /// SAIP, `ef-ust` and `ef-ist`: services that the card does not have are taken out of the table.
    fn mask_services(&mut self, kind: Kind) {
        // By the numbers of TS 31.102 §4.2.8 and TS 31.103 §4.2.7, each with what the card has to be able to do for it;
        // nothing for what no card here does: security of voice groups, local keys, HTTP Digest.
        let (table, services): (_, &[(usize, Option<u8>)]) = match kind {
            Kind::Usim => (
                id::UST,
                &[
                    (64, None),
                    (65, None),
                    (68, Some(uicc_capability::GBA_USIM)),
                    (69, Some(uicc_capability::MBMS)),
                    (76, None),
                    (125, Some(uicc_capability::GET_IDENTITY)),
                ],
            ),
            Kind::Isim => (id::IST, &[(2, Some(uicc_capability::GBA_ISIM)), (3, None), (4, None)]),
            _ => return,
        };
        let Some(application) = self.image.applications().last().map(|(file, ..)| file) else { return };
        let Some(table) = self.image.child(application, table) else { return };
        let content = &mut self.image.files[usize::from(table.0)].content;
        for (service, capability) in services {
            let has_it = capability.is_some_and(|capability| self.capability.has(capability));
            if let Some(byte) = content.get_mut((service - 1) / 8).filter(|_| !has_it) {
                *byte &= !(1 << ((service - 1) % 8));
            }
        }
    }
}
