//! The profile elements of a described profile (SAIP 2.3; files as in 3GPP TS 31.102 and ETSI TS 102 221).
//!
//! Every file is written with its file control parameters and its whole content, so that nothing depends on what a
//! card knows of the templates; what the templates would make and the profile does not have is left out by name.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rsp::Iccid;
use rsp::crypto::sha256;
use rsp::es10::download::StoreMetadata;
use rsp::es10::profiles::OperatorId;
use rsp::ids::from_hex;
use rsp::saip::elements::{self as saip, Element, Fcp, File, FileItem};
use rsp::tlv::{NamedBits, Writer};

use super::{Algorithm, Class, PolicyRule, ProfileError, ProfileSpec};

/// The AID of the USIM application in the lab's profiles: RID of ETSI 3G, application code 1002 (TS 101 220).
const USIM_AID: [u8; 16] =
    [0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0x03, 0x01, 0x00, 0x00];

/// The temporary file identifier of ADF.USIM while the profile is made (SAIP annex D, `fileID`).
const USIM_TEMPORARY_ID: u16 = 0x7FD0;

/// The short identifier of EF.ADN in the phone book.
const PHONE_BOOK_SHORT_ID: u8 = 0x03;

/// EF.ARR under the MF and its records.
const MF_ARR: u16 = 0x2F06;
/// EF.ARR of the USIM.
const USIM_ARR: u16 = 0x6F06;

/// Records of both EF.ARR, from 1: the access rules that the files refer to.
#[derive(Clone, Copy)]
enum Access {
    /// Read always, the rest ADM1.
    ReadAlways = 1,
    /// Read PIN1, update PIN1, the rest ADM1.
    Subscriber = 2,
    /// Read PIN1, the rest ADM1.
    Operator = 3,
    /// Read PIN1, update PIN2, the rest ADM1.
    SecondPin = 4,
    /// Directories: everything ADM1.
    Directory = 5,
    /// Read always, update PIN1, the rest ADM1.
    Preference = 6,
}

/// Access modes of an EF (TS 102 221 §9.2.7): read, update, and what changes the file itself.
const READ: u8 = 0x01;
const UPDATE: u8 = 0x02;
const MANAGE: u8 = 0x58;

const PIN1: u8 = 0x01;
const PIN2: u8 = 0x81;
const ADM1: u8 = 0x0A;

/// The security condition "the user has verified this key" (TS 102 221 §9.2.7, tag A4).
fn verified(key: u8) -> Vec<u8> {
    Writer::new().nested(0xA4, |w| w.put(0x83, &[key]).put(0x95, &[0x08])).into_vec()
}

/// The access rules in the order of [`Access`].
fn access_rules() -> [Vec<u8>; 6] {
    let always = || Writer::new().put(0x90, &[]).into_vec();
    let rule = |parts: &[(u8, Vec<u8>)]| {
        parts.iter().fold(Writer::new(), |w, (mode, condition)| w.put(0x80, &[*mode]).raw(condition)).into_vec()
    };
    [
        rule(&[(READ, always()), (UPDATE | MANAGE, verified(ADM1))]),
        rule(&[(READ | UPDATE, verified(PIN1)), (MANAGE, verified(ADM1))]),
        rule(&[(READ, verified(PIN1)), (UPDATE | MANAGE, verified(ADM1))]),
        rule(&[(READ, verified(PIN1)), (UPDATE, verified(PIN2)), (MANAGE, verified(ADM1))]),
        rule(&[(0x5F, verified(ADM1))]),
        rule(&[(READ, always()), (UPDATE, verified(PIN1)), (MANAGE, verified(ADM1))]),
    ]
}

/// The file descriptor byte and data coding byte of an EF (TS 102 222 §6.3.2.2.2).
const TRANSPARENT: [u8; 2] = [0x41, 0x21];
const LINEAR_FIXED: [u8; 2] = [0x42, 0x21];

/// A number in the fewest bytes.
fn minimal(number: usize) -> Vec<u8> {
    let bytes = (number as u32).to_be_bytes();
    let skip = bytes.iter().take(3).take_while(|byte| **byte == 0).count();
    bytes[skip..].to_vec()
}

fn access(arr: u16, access: Access) -> Vec<u8> {
    let [high, low] = arr.to_be_bytes();
    vec![high, low, access as u8]
}

fn item(fcp: Fcp) -> FileItem {
    FileItem::FileDescriptor(fcp)
}

/// A transparent EF with its content from the first byte on.
fn transparent(arr: u16, id: u16, rule: Access, content: &[u8]) -> File {
    let fcp = Fcp {
        file_descriptor: Some(TRANSPARENT.to_vec().into()),
        file_id: Some(id.to_be_bytes().to_vec().into()),
        security_attributes_referenced: Some(access(arr, rule).into()),
        ef_file_size: Some(minimal(content.len()).into()),
        ..Default::default()
    };
    vec![item(fcp), FileItem::FillFileContent(content.to_vec().into())]
}

/// A linear fixed EF with records of one length; records without content are filled with `fill`.
fn records(arr: u16, id: u16, rule: Access, length: u8, count: u8, fill: &[u8], content: &[Vec<u8>]) -> File {
    let [a, b] = LINEAR_FIXED;
    let pattern = (!fill.is_empty())
        .then(|| saip::ProprietaryInfo { fill_pattern: Some(fill.to_vec().into()), ..Default::default() });
    let fcp = Fcp {
        file_descriptor: Some(vec![a, b, 0x00, length].into()),
        file_id: Some(id.to_be_bytes().to_vec().into()),
        security_attributes_referenced: Some(access(arr, rule).into()),
        ef_file_size: Some(minimal(usize::from(length) * usize::from(count)).into()),
        proprietary_ef_info: pattern,
        ..Default::default()
    };
    let mut file = vec![item(fcp)];
    if !content.is_empty() {
        let mut bytes = Vec::new();
        for record in content {
            bytes.extend_from_slice(record);
            bytes.resize(bytes.len().next_multiple_of(usize::from(length)), 0xFF);
        }
        file.push(FileItem::FillFileContent(bytes.into()));
    }
    file
}

/// Digits in swapped nibbles, padded with F.
fn swapped_digits(digits: &str) -> Vec<u8> {
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            let high = pair.get(1).map_or(0xF, |byte| byte - b'0');
            high << 4 | (pair[0] - b'0')
        })
        .collect()
}

/// MCC and MNC in three bytes (TS 24.008 §10.5.1.13).
fn plmn(mcc: &str, mnc: &str) -> [u8; 3] {
    let digit = |text: &str, index: usize| text.as_bytes().get(index).map_or(0xF, |byte| byte - b'0');
    [digit(mcc, 1) << 4 | digit(mcc, 0), digit(mnc, 2) << 4 | digit(mcc, 2), digit(mnc, 1) << 4 | digit(mnc, 0)]
}

/// A telephone number as in EF.ADN and EF.SMSP: length, type of number, digits, in `width` bytes (TS 31.102 §4.4.2.3).
fn telephone_number(number: &str, width: usize) -> Vec<u8> {
    let (kind, digits) = match number.strip_prefix('+') {
        Some(digits) => (0x91, digits),
        None => (0x81, number),
    };
    let digits = swapped_digits(digits);
    let mut field = vec![digits.len() as u8 + 1, kind];
    field.extend_from_slice(&digits);
    field.resize(width, 0xFF);
    field
}

/// A name as in EF.SPN: the default alphabet where it suffices, UCS2 otherwise (TS 31.102 §4.2.12, TS 102 221 annex A).
fn alpha_identifier(name: &str, width: usize) -> Vec<u8> {
    // In the default alphabet of TS 23.038 these stand where ASCII has them.
    let plain = |character: char| character.is_ascii_alphanumeric() || " !\"#%&'()*+,-./:;<=>?".contains(character);
    let mut field = if name.chars().all(plain) {
        name.bytes().take(width).collect::<Vec<_>>()
    } else {
        let mut field = vec![0x80];
        field.extend(name.encode_utf16().take((width - 1) / 2).flat_map(u16::to_be_bytes));
        field
    };
    field.resize(width, 0xFF);
    field
}

/// A telephone number that its field can hold.
fn is_telephone_number(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or(number);
    (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Makes the elements of one package. All values are checked when it is made.
pub(super) struct Builder<'a> {
    spec: &'a ProfileSpec,
    iccid: Iccid,
    ki: Vec<u8>,
    opc: Vec<u8>,
    gids: [Option<Vec<u8>>; 2],
    ota_keys: [[u8; 16]; 3],
    icon: Option<(u32, Vec<u8>)>,
    plmn: [u8; 3],
    pins: Pins,
}

/// PINs and the like, eight bytes each.
#[derive(Clone)]
struct Pins {
    pin1: Vec<u8>,
    puk1: Vec<u8>,
    pin2: Vec<u8>,
    puk2: Vec<u8>,
    adm1: Vec<u8>,
}

impl Pins {
    fn of(spec: &ProfileSpec) -> Result<Self, ProfileError> {
        let adm1 = match from_hex(&spec.adm1) {
            Some(bytes) if bytes.len() == 8 => bytes,
            _ => spec.pin("adm1", &spec.adm1, 4)?,
        };
        Ok(Pins {
            pin1: spec.pin("pin1", &spec.pin1, 4)?,
            puk1: spec.pin("puk1", &spec.puk1, 8)?,
            pin2: spec.pin("pin2", &spec.pin2, 4)?,
            puk2: spec.pin("puk2", &spec.puk2, 8)?,
            adm1,
        })
    }
}

impl<'a> Builder<'a> {
    /// Checks every value of the description.
    pub(super) fn new(spec: &'a ProfileSpec) -> Result<Self, ProfileError> {
        let iccid = Iccid::parse(&spec.iccid).map_err(|error| spec.bad("iccid", format!("is none: {}", error.rule)))?;
        if !(6..=15).contains(&spec.imsi.len()) || !spec.imsi.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(spec.bad("imsi", "has to be 6 to 15 digits"));
        }
        if !matches!(spec.mnc_digits, 2 | 3) {
            return Err(spec.bad("mnc-digits", "has to be 2 or 3"));
        }
        if spec.name.len() > 64 {
            return Err(spec.bad("name", "has to fit in 64 bytes (SGP.22 §4.4)"));
        }
        if spec.provider.len() > 32 {
            return Err(spec.bad("provider", "has to fit in 32 bytes (SGP.22 §4.4)"));
        }
        for (field, number) in [("msisdn", &spec.msisdn), ("smsc", &spec.smsc)] {
            if number.as_deref().is_some_and(|number| !is_telephone_number(number)) {
                return Err(spec.bad(field, "has to be 1 to 20 digits, with or without +"));
            }
        }
        let (ki, opc) = authentication_keys(spec)?;
        let gids = [("gid1", &spec.gid1), ("gid2", &spec.gid2)].map(|(field, gid)| {
            let gid = gid.as_deref().map(|gid| from_hex(gid).filter(|bytes| (1..=8).contains(&bytes.len())));
            gid.map(|gid| gid.ok_or_else(|| spec.bad(field, "has to be 1 to 8 bytes in hexadecimal digits")))
                .transpose()
        });
        let [gid1, gid2] = gids;
        let ota_keys = match &spec.ota_keys {
            Some([kic, kid, dek]) => {
                [spec.key("ota-keys", kic)?, spec.key("ota-keys", kid)?, spec.key("ota-keys", dek)?]
            }
            None => [b"KIc", b"KID", b"DEK"].map(|label: &[u8; 3]| {
                let mut key = [0; 16];
                key.copy_from_slice(&sha256(&[label, &ki, iccid.as_bytes()])[..16]);
                key
            }),
        };
        Ok(Builder {
            spec,
            iccid,
            ki,
            opc,
            gids: [gid1?, gid2?],
            ota_keys,
            icon: spec.icon.as_deref().map(|icon| read_icon(spec, icon)).transpose()?,
            plmn: plmn(&spec.imsi[..3], &spec.imsi[3..3 + usize::from(spec.mnc_digits)]),
            pins: Pins::of(spec)?,
        })
    }

    /// What the card is told of the profile, but for the notifications.
    pub(super) fn metadata(&self) -> StoreMetadata {
        let policy = self.spec.policy.iter().map(|rule| match rule {
            PolicyRule::NoDisable => 1,
            PolicyRule::NoDelete => 2,
        });
        let policy = NamedBits::of(&policy.collect::<Vec<_>>());
        StoreMetadata {
            iccid: self.iccid,
            service_provider_name: self.spec.provider.clone(),
            profile_name: self.spec.name.clone(),
            icon_type: self.icon.as_ref().map(|(kind, _)| *kind),
            icon: self.icon.as_ref().map(|(_, icon)| icon.clone()),
            profile_class: self.spec.class.into(),
            notification_configuration: Vec::new(),
            profile_owner: Some(OperatorId {
                mcc_mnc: self.plmn,
                gid1: self.gids[0].clone(),
                gid2: self.gids[1].clone(),
            }),
            profile_policy_rules: (!policy.is_empty()).then_some(policy),
        }
    }

    /// The elements, each after those that it needs.
    pub(super) fn elements(&self) -> Vec<Element> {
        let Pins { pin1, puk1, pin2, puk2, adm1 } = self.pins.clone();
        let mut number = 0;
        let mut header = || {
            number += 1;
            saip::PeHeader { mandated: Some(()), identification: number }
        };
        let pin = |key: u8, value: Vec<u8>, puk: Option<u8>, attributes: u8, retries: u8| saip::PinConfiguration {
            key_reference: key,
            pin_value: value.into(),
            unblocking_pin_reference: puk,
            pin_attributes: attributes,
            max_num_of_attempts_retry_num_left: retries,
        };
        let puk = |key: u8, value: Vec<u8>| saip::PukConfiguration {
            key_reference: key,
            puk_value: value.into(),
            max_num_of_attempts_retry_num_left: 0xAA,
        };
        // SAIP, `pinAttributes`: bit 1 enabled, bit 2 may be changed, bit 3 may be enabled and disabled.
        let pin1_attributes = if self.spec.pin1_enabled { 0x07 } else { 0x06 };
        vec![
            Element::Header(self.header()),
            Element::Mf(self.master_file(header())),
            Element::PukCodes(saip::PukCodes { header: header(), puk_codes: vec![puk(PIN1, puk1), puk(PIN2, puk2)] }),
            Element::PinCodes(saip::PinCodes {
                header: header(),
                pin_codes: saip::PinCodesContent::PinConfig(vec![
                    pin(PIN1, pin1, Some(PIN1), pin1_attributes, 0x33),
                    pin(ADM1, adm1, None, 0x03, 0xAA),
                ]),
            }),
            Element::Telecom(self.telecom(header())),
            Element::GenericFileManagement(self.phone_book_link(header())),
            Element::Usim(self.usim(header())),
            Element::OptUsim(self.optional_usim(header())),
            Element::PinCodes(saip::PinCodes {
                header: header(),
                pin_codes: saip::PinCodesContent::PinConfig(vec![pin(PIN2, pin2, Some(PIN2), 0x03, 0x33)]),
            }),
            Element::AkaParameter(self.aka(header())),
            Element::GsmAccess(self.gsm_access(header())),
            Element::Df5gs(self.df_5gs(header())),
            Element::SecurityDomain(self.security_domain(header())),
            Element::End(saip::End { header: header() }),
        ]
    }

    fn header(&self) -> saip::ProfileHeader {
        // The digits stand in their order here, unlike in EF.ICCID.
        let iccid = self.iccid.as_bytes().map(|byte| byte.rotate_left(4));
        let mut services = saip::ServicesList { usim: Some(()), ..Default::default() };
        match self.spec.algorithm {
            Algorithm::Milenage => services.milenage = Some(()),
            Algorithm::Tuak if self.ki.len() == 32 => services.tuak256 = Some(()),
            Algorithm::Tuak => services.tuak128 = Some(()),
            Algorithm::Test => services.usim_test_algorithm = Some(()),
        }
        saip::ProfileHeader {
            major_version: 2,
            minor_version: 3,
            profile_type: Some(self.spec.name.clone()).filter(|name| !name.is_empty()),
            iccid: iccid.to_vec().into(),
            pol: None,
            mandatory_services: services,
            mandatory_templates: [1, 3, 4, 5, 7, 13].map(saip::template).to_vec(),
            connectivity_parameters: None,
        }
    }

    fn arr(&self, under: u16) -> File {
        let rules = access_rules();
        let length = rules.iter().map(Vec::len).max().unwrap_or_default();
        records(under, under, Access::ReadAlways, length as u8, rules.len() as u8, &[], &rules)
    }

    fn master_file(&self, header: saip::PeHeader) -> saip::Mf {
        let application = Writer::new()
            .nested(0x61, |w| w.put(0x4F, &USIM_AID).put(0x50, &shorten_label(&self.spec.provider)))
            .into_vec();
        let directory = Fcp {
            security_attributes_referenced: Some(access(MF_ARR, Access::Directory).into()),
            // The keys whose status a SELECT shows: PIN1 and ADM1.
            pin_status_template_do: Some(vec![PIN1, ADM1].into()),
            ..Default::default()
        };
        saip::Mf {
            header,
            template_id: saip::template(1),
            mf: vec![item(directory)],
            ef_pl: Some(transparent(MF_ARR, 0x2F05, Access::Preference, b"en")),
            ef_iccid: transparent(MF_ARR, 0x2FE2, Access::ReadAlways, self.iccid.as_bytes()),
            ef_dir: records(MF_ARR, 0x2F00, Access::ReadAlways, 0x26, 1, &[], &[application]),
            ef_arr: self.arr(MF_ARR),
            ef_umpc: Some(transparent(MF_ARR, 0x2F08, Access::ReadAlways, &[0x3C, 0x3C, 0, 0, 0])),
        }
    }

    /// A directory that is not an application.
    fn directory(arr: u16) -> File {
        vec![item(Fcp {
            security_attributes_referenced: Some(access(arr, Access::Directory).into()),
            pin_status_template_do: Some(vec![PIN1, ADM1].into()),
            ..Default::default()
        })]
    }

    /// DF.TELECOM with a phone book of 100 names.
    fn telecom(&self, header: saip::PeHeader) -> saip::Telecom {
        // TS 31.102 §4.4.2.1: EF.ADN (C0) is the only file of type 1; its identifier and short identifier.
        let reference = Writer::new().nested(0xA8, |w| w.put(0xC0, &[0x4F, 0x3A, PHONE_BOOK_SHORT_ID])).into_vec();
        let short = |mut file: File, id: u8| {
            if let Some(FileItem::FileDescriptor(fcp)) = file.first_mut() {
                fcp.short_ef_id = Some(vec![id << 3].into());
            }
            file
        };
        let counter = |id, content: &[u8]| transparent(MF_ARR, id, Access::Subscriber, content);
        saip::Telecom {
            header,
            template_id: saip::template(3),
            df_telecom: Self::directory(MF_ARR),
            df_phonebook: Some(Self::directory(MF_ARR)),
            ef_pbr: Some(records(MF_ARR, 0x4F30, Access::Operator, reference.len() as u8, 1, &[], &[reference])),
            ef_psc: Some(short(counter(0x4F22, &[0; 4]), 0x0D)),
            ef_cc: Some(short(counter(0x4F23, &[0; 2]), 0x0E)),
            ef_puid: Some(short(counter(0x4F24, &[0; 2]), 0x0F)),
            // TS 31.102 §4.4.2.3: a name of 14 bytes, and the number.
            ef_adn: Some(short(
                records(MF_ARR, 0x4F3A, Access::Subscriber, 28, 100, &[0xFF], &[]),
                PHONE_BOOK_SHORT_ID,
            )),
        }
    }

    /// EF.ADN where terminals of GSM look for it, as a link into the phone book (TS 31.102 §4.4.2.3).
    fn phone_book_link(&self, header: saip::PeHeader) -> saip::GenericFileManagement {
        let link = Fcp {
            file_descriptor: Some(vec![LINEAR_FIXED[0], LINEAR_FIXED[1], 0x00, 28].into()),
            file_id: Some(vec![0x6F, 0x3A].into()),
            security_attributes_referenced: Some(access(MF_ARR, Access::Subscriber).into()),
            short_ef_id: Some(Vec::new().into()),
            link_path: Some(vec![0x7F, 0x10, 0x5F, 0x3A, 0x4F, 0x3A].into()),
            ..Default::default()
        };
        saip::GenericFileManagement {
            header,
            file_management_cmd: vec![vec![
                saip::FileManagement::FilePath(vec![0x7F, 0x10].into()),
                saip::FileManagement::CreateFcp(link),
            ]],
        }
    }

    /// DF.GSM-ACCESS with the keys of the GSM context (TS 31.102 §4.4.3).
    fn gsm_access(&self, header: saip::PeHeader) -> saip::GsmAccess {
        let mut no_key = [0xFF; 9];
        no_key[8] = 0x07;
        saip::GsmAccess {
            header,
            template_id: saip::template(7),
            df_gsm_access: Self::directory(USIM_ARR),
            ef_kc: Some(transparent(USIM_ARR, 0x4F20, Access::Subscriber, &no_key)),
            ef_kcgprs: Some(transparent(USIM_ARR, 0x4F52, Access::Subscriber, &no_key)),
        }
    }

    /// DF.5GS (TS 31.102 §4.4.11); the subscription identifier is concealed by the null scheme.
    fn df_5gs(&self, header: saip::PeHeader) -> saip::Df5gs {
        let mut location = [0xFF; 20];
        location[13..16].copy_from_slice(&self.plmn);
        location[16..].copy_from_slice(&[0x00, 0x00, 0x00, 0x01]);
        let file = |id, content: &[u8]| Some(transparent(USIM_ARR, id, Access::Subscriber, content));
        let context = |id| Some(records(USIM_ARR, id, Access::Subscriber, 57, 1, &[0xFF], &[]));
        // TS 31.102 §4.4.11.8: the list of schemes, null scheme with key index 0.
        let schemes = Writer::new().put(0xA0, &[0x00, 0x00]).into_vec();
        saip::Df5gs {
            header,
            template_id: saip::template(13),
            df_df_5gs: Self::directory(USIM_ARR),
            ef_5gs3gpploci: file(0x4F01, &location),
            ef_5gsn3gpploci: file(0x4F02, &location),
            ef_5gs3gppnsc: context(0x4F03),
            ef_5gsn3gppnsc: context(0x4F04),
            ef_5gauthkeys: file(0x4F05, &[0xFF; 110]),
            ef_uac_aic: Some(transparent(USIM_ARR, 0x4F06, Access::Operator, &[0; 4])),
            ef_suci_calc_info: Some(transparent(USIM_ARR, 0x4F07, Access::Operator, &schemes)),
            ef_routing_indicator: Some(transparent(USIM_ARR, 0x4F0A, Access::Operator, &[0xF0, 0xFF, 0xFF, 0xFF])),
        }
    }

    fn usim(&self, header: saip::PeHeader) -> saip::Usim {
        let spec = self.spec;
        let file = |id, rule, content: &[u8]| transparent(USIM_ARR, id, rule, content);
        let adf = Fcp {
            file_id: Some(USIM_TEMPORARY_ID.to_be_bytes().to_vec().into()),
            df_name: Some(USIM_AID.to_vec().into()),
            security_attributes_referenced: Some(access(MF_ARR, Access::Directory).into()),
            pin_status_template_do: Some(vec![PIN2, PIN1, ADM1].into()),
            ..Default::default()
        };
        let mut last_area = [0xFF; 11];
        // TS 31.102 §4.2.17: TMSI, LAI of no network, and "not updated".
        last_area[4..7].copy_from_slice(&self.plmn);
        last_area[7..11].copy_from_slice(&[0xFF, 0xFE, 0xFF, 0x01]);
        let mut routing_area = [0xFF; 14];
        routing_area[7..10].copy_from_slice(&self.plmn);
        routing_area[10..14].copy_from_slice(&[0xFF, 0xFE, 0xFF, 0x01]);
        let mut tracking_area = [0xFF; 18];
        tracking_area[12..15].copy_from_slice(&self.plmn);
        tracking_area[15..18].copy_from_slice(&[0x00, 0x00, 0x01]);
        let mut provider_name = vec![0x01];
        provider_name.extend_from_slice(&alpha_identifier(&spec.provider, 16));
        let mut keys = [0xFF; 33];
        keys[0] = 0x07;
        // TS 31.102 §4.2.18: operation mode (normal, or type approval for tests), and the length of the MNC.
        let mode = if spec.class == Class::Test { 0x80 } else { 0x00 };
        let no_file = || vec![FileItem::DoNotCreate(())];
        saip::Usim {
            header,
            template_id: saip::template(4),
            adf_usim: vec![item(adf)],
            ef_imsi: file(0x6F07, Access::Operator, &self.imsi_field()),
            ef_arr: self.arr(USIM_ARR),
            ef_keys: Some(file(0x6F08, Access::Subscriber, &keys)),
            ef_keys_ps: Some(file(0x6F09, Access::Subscriber, &keys)),
            ef_hpplmn: Some(file(0x6F31, Access::Operator, &[0x05])),
            ef_ust: file(0x6F38, Access::Operator, &self.services()),
            ef_fdn: Some(no_file()),
            ef_sms: Some(records(USIM_ARR, 0x6F3C, Access::Subscriber, 176, 10, &[0x00, 0xFF], &[])),
            ef_smsp: Some(records(USIM_ARR, 0x6F42, Access::Subscriber, 38, 1, &[0xFF], &[self.message_parameters()])),
            ef_smss: Some(file(0x6F43, Access::Subscriber, &[0xFF, 0xFF])),
            ef_spn: file(0x6F46, Access::ReadAlways, &provider_name),
            ef_est: file(0x6F56, Access::SecondPin, &[0x00]),
            ef_start_hfn: Some(file(0x6F5B, Access::Subscriber, &[0xF0, 0, 0, 0xF0, 0, 0])),
            ef_threshold: Some(file(0x6F5C, Access::Operator, &[0xFF; 3])),
            ef_psloci: Some(file(0x6F73, Access::Subscriber, &routing_area)),
            ef_acc: file(0x6F78, Access::Operator, &self.access_class()),
            ef_fplmn: Some(file(0x6F7B, Access::Subscriber, &[0xFF; 12])),
            ef_loci: Some(file(0x6F7E, Access::Subscriber, &last_area)),
            ef_ad: Some(file(0x6FAD, Access::ReadAlways, &[mode, 0, 0, spec.mnc_digits])),
            // 112 and 911 (TS 31.102 §4.2.21).
            ef_ecc: records(
                USIM_ARR,
                0x6FB7,
                Access::ReadAlways,
                4,
                2,
                &[],
                &[vec![0x11, 0xF2, 0xFF, 0x00], vec![0x19, 0xF1, 0xFF, 0x00]],
            ),
            ef_netpar: Some(no_file()),
            ef_epsloci: Some(file(0x6FE3, Access::Subscriber, &tracking_area)),
            ef_epsnsc: Some(records(USIM_ARR, 0x6FE4, Access::Subscriber, 80, 1, &[0xFF], &[])),
        }
    }

    fn optional_usim(&self, header: saip::PeHeader) -> saip::OptUsim {
        // TS 31.102 §4.2.5: the home network with UTRAN, E-UTRAN, NG-RAN and GSM.
        let mut home = self.plmn.to_vec();
        home.extend_from_slice(&[0xC8, 0x80]);
        let own_number = self.spec.msisdn.as_deref().map(|number| {
            let mut record = vec![0xFF; 10];
            record.extend_from_slice(&telephone_number(number, 12));
            record.extend_from_slice(&[0xFF, 0xFF]);
            records(USIM_ARR, 0x6F40, Access::Subscriber, 24, 1, &[0xFF], &[record])
        });
        saip::OptUsim {
            header,
            template_id: saip::template(5),
            ef_li: Some(transparent(USIM_ARR, 0x6F05, Access::Preference, b"en\xFF\xFF\xFF\xFF")),
            ef_gid1: self.gids[0].as_deref().map(|gid| transparent(USIM_ARR, 0x6F3E, Access::Operator, gid)),
            ef_gid2: self.gids[1].as_deref().map(|gid| transparent(USIM_ARR, 0x6F3F, Access::Operator, gid)),
            ef_msisdn: own_number,
            ef_hplmnwact: Some(transparent(USIM_ARR, 0x6F62, Access::Operator, &home)),
        }
    }

    /// EF.IMSI: length, then parity and digits (TS 31.102 §4.2.2).
    fn imsi_field(&self) -> [u8; 9] {
        let imsi = &self.spec.imsi;
        let odd = imsi.len() % 2 == 1;
        let nibbles = format!("{}{imsi}", if odd { '9' } else { '1' });
        let digits = swapped_digits(&nibbles);
        let mut field = [0xFF; 9];
        field[0] = digits.len() as u8;
        field[1..1 + digits.len()].copy_from_slice(&digits);
        field
    }

    /// EF.ACC: the class is the last digit of the IMSI (TS 31.102 §4.2.15, TS 22.011 §4.2).
    fn access_class(&self) -> [u8; 2] {
        let digit = self.spec.imsi.bytes().last().map_or(0, |byte| byte.saturating_sub(b'0'));
        (1u16 << digit.min(9)).to_be_bytes()
    }

    /// EF.UST, services 1 to 136 (TS 31.102 §4.2.8).
    fn services(&self) -> [u8; 17] {
        let mut table = [0; 17];
        // Short messages and their parameters, SPN, GSM access, data download via SMS-PP, (always one), GSM security context, HPLMN with access
        // technology, EMM information, 5GS mobility management, 5G security, privacy of the subscription identifier.
        let mut services = vec![10usize, 12, 19, 27, 28, 33, 38, 43, 85, 122, 123, 124];
        services.extend(self.spec.msisdn.is_some().then_some(21));
        services.extend(self.gids[0].is_some().then_some(17));
        services.extend(self.gids[1].is_some().then_some(18));
        for service in services {
            table[(service - 1) / 8] |= 1 << ((service - 1) % 8);
        }
        table
    }

    /// EF.SMSP, one record with an alpha identifier of ten bytes (TS 31.102 §4.2.27).
    fn message_parameters(&self) -> Vec<u8> {
        let mut record = vec![0xFF; 38];
        if let Some(number) = &self.spec.smsc {
            // Only the service centre's address is there: its bit is zero.
            record[10] = 0xFD;
            record[23..35].copy_from_slice(&telephone_number(number, 12));
        }
        record
    }

    fn aka(&self, header: saip::PeHeader) -> saip::AkaParameter {
        saip::AkaParameter {
            header,
            algo_configuration: saip::AlgoConfiguration::AlgoParameter(saip::AlgoParameter {
                algorithm_id: match self.spec.algorithm {
                    Algorithm::Milenage => 1,
                    Algorithm::Tuak => 2,
                    Algorithm::Test => 3,
                },
                // RES of 64 bits.
                algorithm_options: vec![0x01].into(),
                key: self.ki.to_vec().into(),
                opc: self.opc.to_vec().into(),
                rotation_constants: None,
                xoring_constants: None,
                auth_counter_max: None,
                number_of_keccak: None,
            }),
            sqn_options: None,
            sqn_delta: None,
            sqn_age_limit: None,
            sqn_init: None,
        }
    }

    /// The MNO-SD: GlobalPlatform's own security domain with an SCP80 key set of AES keys (SAIP §8.6).
    fn security_domain(&self, header: saip::PeHeader) -> saip::SecurityDomain {
        // GPCS §11.1.9: usage of the keys for secure messaging by ciphering, by MAC, and for key encryption.
        let keys = [(1, 0x18), (2, 0x14), (3, 0x48)].iter().zip(&self.ota_keys);
        let key_list = keys.map(|((identifier, usage), key)| saip::KeyObject {
            key_usage_qualifier: vec![*usage].into(),
            key_access: None,
            key_identifier: vec![*identifier].into(),
            key_version_number: vec![0x01].into(),
            key_counter_value: None,
            key_components: vec![saip::KeyComponent {
                key_type: vec![0x88].into(),
                key_data: key.to_vec().into(),
                mac_length: 8,
            }],
        });
        saip::SecurityDomain {
            header,
            instance: saip::ApplicationInstance {
                load_package_aid: vec![0xA0, 0, 0, 0x01, 0x51, 0x53, 0x50].into(),
                class_aid: vec![0xA0, 0, 0, 0x01, 0x51, 0x53, 0x50, 0x41].into(),
                instance_aid: vec![0xA0, 0, 0, 0x01, 0x51, 0, 0, 0].into(),
                // Security domain with authorised management, trusted path, global delete and registry (GPCS §11.1.2).
                privileges: vec![0x82, 0xDC, 0x00].into(),
                life_cycle_state: Some(vec![0x0F].into()),
                // SCP80, and that the domain takes content of others (TS 102 226 §8.2.1.5.2).
                specific_parameters: from_static(&[
                    0x81, 0x02, 0x80, 0x00, 0x82, 0x01, 0xF0, 0x83, 0x01, 0xF0, 0x87, 0x01, 0xF0,
                ]),
                // Toolkit parameters (TS 102 226 §8.2.1.3.2.2): no menu, no timer; checksum and ciphering at least;
                // TAR B20100, that of the issuer's domain.
                application_parameters: Some(saip::UiccApplicationParameters {
                    toolkit: Some(from_static(&[
                        0x01, 0x00, 0x00, 0x00, 0x00, 0x02, 0x01, 0x06, 0x03, 0xB2, 0x01, 0x00, 0x00,
                    ])),
                    access: None,
                    administrative_access: None,
                }),
            },
            key_list: Some(key_list.collect()),
            sd_perso_data: None,
        }
    }
}

/// Key and OPc or TOPc: 128 bits, for TUAK up to 256.
fn authentication_keys(spec: &ProfileSpec) -> Result<(Vec<u8>, Vec<u8>), ProfileError> {
    if spec.algorithm != Algorithm::Tuak {
        return Ok((spec.key("ki", &spec.ki)?.to_vec(), spec.key("opc", &spec.opc)?.to_vec()));
    }
    let ki = from_hex(&spec.ki).filter(|key| matches!(key.len(), 16 | 32));
    let topc = from_hex(&spec.opc).filter(|topc| topc.len() == 32);
    Ok((
        ki.ok_or_else(|| spec.bad("ki", "has to be 32 or 64 hexadecimal digits for TUAK"))?,
        topc.ok_or_else(|| spec.bad("opc", "has to be 64 hexadecimal digits for TUAK: TOPc"))?,
    ))
}

fn from_static(bytes: &'static [u8]) -> rasn::types::OctetString {
    rasn::types::OctetString::from_static(bytes)
}

/// A label for EF.DIR, at most 16 bytes of plain text.
fn shorten_label(text: &str) -> Vec<u8> {
    text.bytes().filter(|byte| byte.is_ascii_graphic() || *byte == b' ').take(16).collect()
}

/// An icon and its type: 0 JPEG, 1 PNG (SGP.22 §4.4, `IconType`).
fn read_icon(spec: &ProfileSpec, text: &str) -> Result<(u32, Vec<u8>), ProfileError> {
    let icon = BASE64_STANDARD.decode(text).map_err(|_| spec.bad("icon", "has to be Base64"))?;
    if icon.len() > 1024 {
        return Err(spec.bad("icon", "has to fit in 1024 bytes (SGP.22 §4.4)"));
    }
    match &icon[..] {
        [0xFF, 0xD8, ..] => Ok((0, icon)),
        [0x89, b'P', b'N', b'G', ..] => Ok((1, icon)),
        _ => Err(spec.bad("icon", "has to be a PNG or a JPEG")),
    }
}
