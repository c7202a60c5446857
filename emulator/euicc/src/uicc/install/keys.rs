//! Elements without files: PINs and their unblocking codes, authentication, and what is kept as a record (SAIP §8.4 to
//! §8.8).

use rsp::tlv::Tlv;

use super::files::MOST_FILES;
use super::{Installer, Status};
use crate::uicc::image::{Authentication, Domain, DomainKey, Pin, Puk, Record, RemoteFiles, Tries};
use crate::uicc::secret::Secret;
use rsp::aka::Aka;
use rsp::ota::{Key, KeyKind};

impl Installer {
    pub(super) fn pin_codes(&mut self, element: &Tlv<'_>) -> Result<(), Status> {
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

    pub(super) fn puk_codes(&mut self, element: &Tlv<'_>) -> Result<(), Status> {
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

    pub(super) fn aka(&mut self, element: &Tlv<'_>) -> Result<(), Status> {
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

    pub(super) fn security_domain(&mut self, element: &Tlv<'_>) -> Result<(), Status> {
        let mut fields = element.reader();
        fields.require(0xA0)?;
        let instance = fields.require(0xA1)?;
        let aid = instance_aid(&instance)?;
        let (minimum_security, tars) = match instance.reader().optional(0xEA)? {
            Some(parameters) => match parameters.reader().optional(0x80)? {
                Some(toolkit) => toolkit_parameters(toolkit.value()).ok_or(Status::BAD_VALUES)?,
                None => (0, Vec::new()),
            },
            None => (0, Vec::new()),
        };
        let (mut names, mut keys) = (Vec::new(), Vec::new());
        if let Some(list) = fields.optional(0xA2)? {
            for key in list.reader() {
                let mut parts = key?.reader();
                let [identifier] = parts.require(0x82)?.as_array()?;
                let [version] = parts.require(0x83)?.as_array()?;
                names.push((version, identifier));
                let counter = parts.optional(0x85)?.map_or(Ok(0), |counter| key_counter(counter.value()))?;
                // Keys of other kinds open no secured packet: they are names only.
                let component = parts.optional(0x30)?.and_then(|list| list.reader().next()).transpose()?;
                let key = component.map(|component| key_component(&component)).transpose()?.flatten();
                keys.extend(key.map(|key| DomainKey { version, identifier, key, counter }));
            }
        }
        self.image.domains.push(Domain { aid: aid.clone(), tars, minimum_security, keys });
        self.image.records.push(Record::SecurityDomain { aid, keys: names });
        Ok(())
    }

    pub(super) fn remote_file_management(&mut self, element: &Tlv<'_>) -> Result<(), Status> {
        let mut fields = element.reader();
        fields.require(0xA0)?;
        let aid = aid_of(&fields.require(0x4F)?)?;
        // The AID of the domain comes before the list of references, when it is there.
        let domain =
            fields.clone().next_tlv()?.filter(|next| next.tag().0 == 0x4F).map(|next| aid_of(&next)).transpose()?;
        let mut tars = Vec::new();
        if let Some(list) = fields.optional(0xA0)? {
            for tar in list.reader() {
                tars.push(tar?.as_array()?);
            }
        }
        let [minimum_security] = fields.require(0x81)?.as_array()?;
        // TS 102 226 §8.2.1.3.2.4: access domain 00 has access to all; of the others none is known here.
        const ALL: &[u8] = &[0x00];
        let mut has_access = fields.clone().optional(0x04)?.is_some_and(|domain| domain.value() == ALL);
        let application = match fields.optional(0x30)? {
            Some(access) => {
                let mut parts = access.reader();
                let application = aid_of(&parts.require(0x80)?)?;
                has_access = parts.optional(0x81)?.is_some_and(|domain| domain.value() == ALL);
                Some(application)
            }
            None => None,
        };
        let (of, named) = (tars.clone(), application.clone());
        self.image.remote_files.push(RemoteFiles {
            tars: of,
            minimum_security,
            domain,
            application: named,
            has_access,
        });
        self.image.records.push(Record::RemoteFileManagement { aid, tars, minimum_security, application });
        Ok(())
    }

    /// Kept, and nothing more.
    pub(super) fn application(&mut self, element: &Tlv<'_>) -> Result<(), Status> {
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

/// Minimum security and toolkit application references in the parameters of a toolkit application (TS 102 226
/// §8.2.1.3.2.2): priority, timers, text length, menu entries of two bytes each, channels; then both, each behind its
/// length.
fn toolkit_parameters(bytes: &[u8]) -> Option<(u8, Vec<[u8; 3]>)> {
    let (entries, rest) = bytes.get(3..)?.split_first()?;
    let rest = rest.get(2 * usize::from(*entries) + 1..)?;
    let (length, rest) = rest.split_first()?;
    let (security, rest) = rest.split_at_checked(usize::from(*length))?;
    // The first byte tells how the second is coded: 01 as the first of the security parameters.
    let minimum = if let [0x01, minimum, ..] = security { *minimum } else { 0 };
    let (length, rest) = rest.split_first()?;
    let (tars, _) = rest.split_at_checked(usize::from(*length))?;
    Some((minimum, tars.as_chunks::<3>().0.to_vec()))
}

/// SAIP annex D, `keyCounterValue`.
fn key_counter(bytes: &[u8]) -> Result<u64, Status> {
    if bytes.len() > 5 {
        return Err(Status::BAD_VALUES);
    }
    Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// A component of a key (GlobalPlatform Card Specification 2.3.1 §11.1.8); `None` for a kind that opens no packet.
fn key_component(component: &Tlv<'_>) -> Result<Option<Key>, Status> {
    let mut parts = component.reader();
    let kind = match parts.require(0x80)?.value() {
        [0x80] => KeyKind::Des,
        [0x88] => KeyKind::Aes,
        _ => return Ok(None),
    };
    Ok(Key::new(kind, parts.require(0x86)?.value()))
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
