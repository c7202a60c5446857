//! The ASN.1 types of the profile elements that the lab writes (SAIP 2.3, annex D: module `PEDefinitions`,
//! AUTOMATIC TAGS, EXTENSIBILITY IMPLIED), encoded and decoded by rasn.
//!
//! [`Element`] is the CHOICE over them. Writing is DER; a default is left out where the field is None. Reading is strict: an element that
//! holds a field which its type here does not have is refused, so what has to live with later versions reads the
//! TLVs ([`super::ProfileElement::tlv`], [`super::ProfileElement::files`]) instead.
//!
//! Field names are those of the specification in Rust's spelling; what they mean is said there.
#![allow(missing_docs, reason = "the fields carry the specification's own names")]
#![allow(
    clippy::large_enum_variant,
    reason = "a package has some ten elements, each made and written once: boxes would save nothing"
)]

use rasn::prelude::*;

use super::{Kind, SaipError};

/// A profile element (`ProfileElement`, SAIP annex D), as far as the lab writes it.
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice)]
pub enum Element {
    #[rasn(tag(context, 0))]
    Header(ProfileHeader),
    #[rasn(tag(context, 2))]
    PinCodes(PinCodes),
    #[rasn(tag(context, 3))]
    PukCodes(PukCodes),
    #[rasn(tag(context, 4))]
    AkaParameter(AkaParameter),
    #[rasn(tag(context, 6))]
    SecurityDomain(SecurityDomain),
    #[rasn(tag(context, 7))]
    Rfm(Rfm),
    #[rasn(tag(context, 1))]
    GenericFileManagement(GenericFileManagement),
    #[rasn(tag(context, 10))]
    End(End),
    #[rasn(tag(context, 16))]
    Mf(Mf),
    #[rasn(tag(context, 18))]
    Telecom(Telecom),
    #[rasn(tag(context, 19))]
    Usim(Usim),
    #[rasn(tag(context, 20))]
    OptUsim(OptUsim),
    #[rasn(tag(context, 24))]
    GsmAccess(GsmAccess),
    #[rasn(tag(context, 28))]
    Df5gs(Df5gs),
}

impl Element {
    /// The DER bytes, as they stand in a package.
    pub fn write(&self) -> Result<Vec<u8>, SaipError> {
        rasn::der::encode(self)
            .map_err(|error| SaipError::Content { kind: self.kind(), message: first_line(&error.to_string()) })
    }

    /// Reads an element of a package.
    pub fn read(element: &super::ProfileElement<'_>) -> Result<Self, SaipError> {
        rasn::der::decode(element.raw())
            .map_err(|error| SaipError::Content { kind: element.kind(), message: first_line(&error.to_string()) })
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self {
            Element::Header(_) => Kind::Header,
            Element::PinCodes(_) => Kind::PinCodes,
            Element::PukCodes(_) => Kind::PukCodes,
            Element::AkaParameter(_) => Kind::AkaParameter,
            Element::SecurityDomain(_) => Kind::SecurityDomain,
            Element::Rfm(_) => Kind::Rfm,
            Element::End(_) => Kind::End,
            Element::Mf(_) => Kind::Mf,
            Element::Usim(_) => Kind::Usim,
            Element::OptUsim(_) => Kind::OptUsim,
            Element::GenericFileManagement(_) => Kind::GenericFileManagement,
            Element::Telecom(_) => Kind::Telecom,
            Element::GsmAccess(_) => Kind::GsmAccess,
            Element::Df5gs(_) => Kind::Df5gs,
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// The object identifier of a file system template: 2.23.143.1.2.x (SAIP annex A).
pub fn template(number: u32) -> ObjectIdentifier {
    ObjectIdentifier::new_unchecked(vec![2, 23, 143, 1, 2, number].into())
}

/// `PEHeader`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct PeHeader {
    pub mandated: Option<()>,
    pub identification: u16,
}

/// `ProfileHeader`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct ProfileHeader {
    pub major_version: u8,
    pub minor_version: u8,
    pub profile_type: Option<Utf8String>,
    pub iccid: OctetString,
    pub pol: Option<OctetString>,
    pub mandatory_services: ServicesList,
    pub mandatory_templates: SequenceOf<ObjectIdentifier>,
    pub connectivity_parameters: Option<OctetString>,
}

/// `ServicesList`
#[derive(AsnType, Encode, Decode, Debug, Clone, Default, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct ServicesList {
    pub contactless: Option<()>,
    pub usim: Option<()>,
    pub isim: Option<()>,
    pub csim: Option<()>,
    pub milenage: Option<()>,
    pub tuak128: Option<()>,
    pub cave: Option<()>,
    pub gba_usim: Option<()>,
    pub gba_isim: Option<()>,
    pub mbms: Option<()>,
    pub eap: Option<()>,
    pub javacard: Option<()>,
    pub multos: Option<()>,
    pub multiple_usim: Option<()>,
    pub multiple_isim: Option<()>,
    pub multiple_csim: Option<()>,
    pub tuak256: Option<()>,
    pub usim_test_algorithm: Option<()>,
    pub ber_tlv: Option<()>,
    pub df_link: Option<()>,
    pub cat_tp: Option<()>,
    pub get_identity: Option<()>,
    pub profile_a_x25519: Option<()>,
    pub profile_b_p256: Option<()>,
    pub suci_calculator_api: Option<()>,
}

/// `ProprietaryInfo`
#[derive(AsnType, Encode, Decode, Debug, Clone, Default, PartialEq, Eq)]
pub struct ProprietaryInfo {
    #[rasn(tag(private, 0))]
    pub special_file_information: Option<OctetString>,
    #[rasn(tag(private, 1))]
    pub fill_pattern: Option<OctetString>,
    #[rasn(tag(private, 2))]
    pub repeat_pattern: Option<OctetString>,
    #[rasn(tag(context, 6))]
    pub maximum_file_size: Option<OctetString>,
    #[rasn(tag(context, 4))]
    pub file_details: Option<OctetString>,
}

/// `Fcp`: the file control parameters in which a file differs from its template.
#[derive(AsnType, Encode, Decode, Debug, Clone, Default, PartialEq, Eq)]
pub struct Fcp {
    #[rasn(tag(context, 2))]
    pub file_descriptor: Option<OctetString>,
    #[rasn(tag(context, 3))]
    pub file_id: Option<OctetString>,
    #[rasn(tag(context, 4))]
    pub df_name: Option<OctetString>,
    #[rasn(tag(context, 10))]
    pub life_cycle: Option<OctetString>,
    #[rasn(tag(context, 11))]
    pub security_attributes_referenced: Option<OctetString>,
    #[rasn(tag(context, 0))]
    pub ef_file_size: Option<OctetString>,
    #[rasn(tag(private, 6))]
    pub pin_status_template_do: Option<OctetString>,
    #[rasn(tag(context, 8))]
    pub short_ef_id: Option<OctetString>,
    #[rasn(tag(context, 5))]
    pub proprietary_ef_info: Option<ProprietaryInfo>,
    #[rasn(tag(private, 7))]
    pub link_path: Option<OctetString>,
}

/// What a file is made of (`File`).
pub type File = SequenceOf<FileItem>;

/// One item of `File`.
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice)]
pub enum FileItem {
    #[rasn(tag(context, 0))]
    DoNotCreate(()),
    #[rasn(tag(context, 1))]
    FileDescriptor(Fcp),
    #[rasn(tag(context, 2))]
    FillFileOffset(u16),
    #[rasn(tag(context, 3))]
    FillFileContent(OctetString),
}

/// `PE-MF`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct Mf {
    pub header: PeHeader,
    pub template_id: ObjectIdentifier,
    pub mf: File,
    pub ef_pl: Option<File>,
    pub ef_iccid: File,
    pub ef_dir: File,
    pub ef_arr: File,
    pub ef_umpc: Option<File>,
}

/// `PE-USIM`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct Usim {
    pub header: PeHeader,
    pub template_id: ObjectIdentifier,
    pub adf_usim: File,
    pub ef_imsi: File,
    pub ef_arr: File,
    pub ef_keys: Option<File>,
    pub ef_keys_ps: Option<File>,
    pub ef_hpplmn: Option<File>,
    pub ef_ust: File,
    pub ef_fdn: Option<File>,
    pub ef_sms: Option<File>,
    pub ef_smsp: Option<File>,
    pub ef_smss: Option<File>,
    pub ef_spn: File,
    pub ef_est: File,
    pub ef_start_hfn: Option<File>,
    pub ef_threshold: Option<File>,
    pub ef_psloci: Option<File>,
    pub ef_acc: File,
    pub ef_fplmn: Option<File>,
    pub ef_loci: Option<File>,
    pub ef_ad: Option<File>,
    pub ef_ecc: File,
    pub ef_netpar: Option<File>,
    pub ef_epsloci: Option<File>,
    pub ef_epsnsc: Option<File>,
}

/// `PE-OPT-USIM`, as far as the lab writes it.
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
pub struct OptUsim {
    #[rasn(tag(context, 0))]
    pub header: PeHeader,
    #[rasn(tag(context, 1))]
    pub template_id: ObjectIdentifier,
    #[rasn(tag(context, 2))]
    pub ef_li: Option<File>,
    #[rasn(tag(context, 5))]
    pub ef_gid1: Option<File>,
    #[rasn(tag(context, 6))]
    pub ef_gid2: Option<File>,
    #[rasn(tag(context, 7))]
    pub ef_msisdn: Option<File>,
    #[rasn(tag(context, 17))]
    pub ef_hplmnwact: Option<File>,
}

/// `PE-GenericFileManagement`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct GenericFileManagement {
    pub header: PeHeader,
    pub file_management_cmd: SequenceOf<SequenceOf<FileManagement>>,
}

/// One item of `FileManagement`.
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice)]
pub enum FileManagement {
    #[rasn(tag(context, 0))]
    FilePath(OctetString),
    #[rasn(tag(application, 2))]
    CreateFcp(Fcp),
    FillFileOffset(u16),
    #[rasn(tag(context, 1))]
    FillFileContent(OctetString),
}

/// `PE-TELECOM`, as far as the lab writes it.
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
pub struct Telecom {
    #[rasn(tag(context, 0))]
    pub header: PeHeader,
    #[rasn(tag(context, 1))]
    pub template_id: ObjectIdentifier,
    #[rasn(tag(context, 2))]
    pub df_telecom: File,
    #[rasn(tag(context, 15))]
    pub df_phonebook: Option<File>,
    #[rasn(tag(context, 16))]
    pub ef_pbr: Option<File>,
    #[rasn(tag(context, 20))]
    pub ef_psc: Option<File>,
    #[rasn(tag(context, 21))]
    pub ef_cc: Option<File>,
    #[rasn(tag(context, 22))]
    pub ef_puid: Option<File>,
    #[rasn(tag(context, 24))]
    pub ef_adn: Option<File>,
}

/// `PE-GSM-ACCESS`, as far as the lab writes it.
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct GsmAccess {
    pub header: PeHeader,
    pub template_id: ObjectIdentifier,
    pub df_gsm_access: File,
    pub ef_kc: Option<File>,
    pub ef_kcgprs: Option<File>,
}

/// `PE-DF-5GS`, as far as the lab writes it.
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
pub struct Df5gs {
    #[rasn(tag(context, 0))]
    pub header: PeHeader,
    #[rasn(tag(context, 1))]
    pub template_id: ObjectIdentifier,
    #[rasn(tag(context, 2))]
    pub df_df_5gs: File,
    #[rasn(tag(context, 3))]
    pub ef_5gs3gpploci: Option<File>,
    #[rasn(tag(context, 4))]
    pub ef_5gsn3gpploci: Option<File>,
    #[rasn(tag(context, 5))]
    pub ef_5gs3gppnsc: Option<File>,
    #[rasn(tag(context, 6))]
    pub ef_5gsn3gppnsc: Option<File>,
    #[rasn(tag(context, 7))]
    pub ef_5gauthkeys: Option<File>,
    #[rasn(tag(context, 8))]
    pub ef_uac_aic: Option<File>,
    #[rasn(tag(context, 9))]
    pub ef_suci_calc_info: Option<File>,
    #[rasn(tag(context, 12))]
    pub ef_routing_indicator: Option<File>,
}

/// `PINConfiguration`. It holds a secret: it is never printed.
#[derive(AsnType, Encode, Decode, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct PinConfiguration {
    pub key_reference: u8,
    pub pin_value: OctetString,
    pub unblocking_pin_reference: Option<u8>,
    #[rasn(default = "pin_attributes")]
    pub pin_attributes: u8,
    #[rasn(default = "pin_retries")]
    pub max_num_of_attempts_retry_num_left: u8,
}

impl std::fmt::Debug for PinConfiguration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PinConfiguration").field("key_reference", &self.key_reference).finish_non_exhaustive()
    }
}

fn pin_attributes() -> u8 {
    7
}

fn pin_retries() -> u8 {
    0x33
}

/// The content of `PE-PINCodes`: PINs, or the path of the directory whose PINs are shared.
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
pub enum PinCodesContent {
    PinConfig(SequenceOf<PinConfiguration>),
    FilePath(OctetString),
}

/// `PE-PINCodes`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct PinCodes {
    pub header: PeHeader,
    pub pin_codes: PinCodesContent,
}

/// `PUKConfiguration`. It holds a secret: it is never printed.
#[derive(AsnType, Encode, Decode, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct PukConfiguration {
    pub key_reference: u8,
    pub puk_value: OctetString,
    #[rasn(default = "puk_retries")]
    pub max_num_of_attempts_retry_num_left: u8,
}

impl std::fmt::Debug for PukConfiguration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PukConfiguration").field("key_reference", &self.key_reference).finish_non_exhaustive()
    }
}

fn puk_retries() -> u8 {
    0xAA
}

/// `PE-PUKCodes`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct PukCodes {
    pub header: PeHeader,
    pub puk_codes: SequenceOf<PukConfiguration>,
}

/// `MappingParameter`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct MappingParameter {
    pub mapping_options: OctetString,
    pub mapping_source: OctetString,
}

/// `AlgoParameter`. It holds keys: it is never printed.
#[derive(AsnType, Encode, Decode, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct AlgoParameter {
    /// 1 Milenage, 2 TUAK, 3 the test algorithm.
    pub algorithm_id: u8,
    pub algorithm_options: OctetString,
    pub key: OctetString,
    pub opc: OctetString,
    pub rotation_constants: Option<OctetString>,
    pub xoring_constants: Option<OctetString>,
    pub auth_counter_max: Option<OctetString>,
    pub number_of_keccak: Option<u8>,
}

impl std::fmt::Debug for AlgoParameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlgoParameter").field("algorithm_id", &self.algorithm_id).finish_non_exhaustive()
    }
}

/// `PE-AKAParameter.algoConfiguration`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(choice, automatic_tags)]
pub enum AlgoConfiguration {
    MappingParameter(MappingParameter),
    AlgoParameter(AlgoParameter),
}

/// `PE-AKAParameter`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct AkaParameter {
    pub header: PeHeader,
    pub algo_configuration: AlgoConfiguration,
    pub sqn_options: Option<OctetString>,
    pub sqn_delta: Option<OctetString>,
    pub sqn_age_limit: Option<OctetString>,
    pub sqn_init: Option<SequenceOf<OctetString>>,
}

/// One component of `KeyObject`. It holds a key: it is never printed.
#[derive(AsnType, Encode, Decode, Clone, PartialEq, Eq)]
pub struct KeyComponent {
    #[rasn(tag(context, 0))]
    pub key_type: OctetString,
    #[rasn(tag(context, 6))]
    pub key_data: OctetString,
    #[rasn(tag(context, 7), default = "mac_length")]
    pub mac_length: u8,
}

fn mac_length() -> u8 {
    8
}

impl std::fmt::Debug for KeyComponent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyComponent").field("key_type", &self.key_type).finish_non_exhaustive()
    }
}

/// `KeyObject`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
pub struct KeyObject {
    #[rasn(tag(context, 21))]
    pub key_usage_qualifier: OctetString,
    #[rasn(tag(context, 22))]
    pub key_access: Option<OctetString>,
    #[rasn(tag(context, 2))]
    pub key_identifier: OctetString,
    #[rasn(tag(context, 3))]
    pub key_version_number: OctetString,
    #[rasn(tag(context, 5))]
    pub key_counter_value: Option<OctetString>,
    pub key_components: SequenceOf<KeyComponent>,
}

/// `UICCApplicationParameters`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
pub struct UiccApplicationParameters {
    #[rasn(tag(context, 0))]
    pub toolkit: Option<OctetString>,
    #[rasn(tag(context, 1))]
    pub access: Option<OctetString>,
    #[rasn(tag(context, 2))]
    pub administrative_access: Option<OctetString>,
}

/// `ApplicationInstance`, as far as a security domain needs it.
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
pub struct ApplicationInstance {
    #[rasn(tag(application, 15))]
    pub load_package_aid: OctetString,
    #[rasn(tag(application, 15))]
    pub class_aid: OctetString,
    #[rasn(tag(application, 15))]
    pub instance_aid: OctetString,
    #[rasn(tag(context, 2))]
    pub privileges: OctetString,
    #[rasn(tag(context, 3))]
    pub life_cycle_state: Option<OctetString>,
    #[rasn(tag(private, 9))]
    pub specific_parameters: OctetString,
    #[rasn(tag(private, 10))]
    pub application_parameters: Option<UiccApplicationParameters>,
}

/// `PE-SecurityDomain`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct SecurityDomain {
    pub header: PeHeader,
    pub instance: ApplicationInstance,
    pub key_list: Option<SequenceOf<KeyObject>>,
    pub sd_perso_data: Option<SequenceOf<OctetString>>,
}

/// `ADFRFMAccess`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct AdfRfmAccess {
    pub adf_aid: OctetString,
    pub adf_access_domain: OctetString,
    pub adf_admin_access_domain: OctetString,
}

/// `PE-RFM`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
pub struct Rfm {
    #[rasn(tag(context, 0))]
    pub header: PeHeader,
    #[rasn(tag(application, 15))]
    pub instance_aid: OctetString,
    #[rasn(tag(context, 0))]
    pub tar_list: Option<SequenceOf<OctetString>>,
    #[rasn(tag(context, 1))]
    pub minimum_security_level: OctetString,
    pub uicc_access_domain: OctetString,
    pub uicc_admin_access_domain: OctetString,
    pub adf_rfm_access: Option<AdfRfmAccess>,
}

/// `PE-End`
#[derive(AsnType, Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[rasn(automatic_tags)]
pub struct End {
    pub header: PeHeader,
}
