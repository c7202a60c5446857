//! The profile package interpreter (SGP.22 §2.4.7, SAIP): takes the decrypted package in pieces, as the segments of
//! a bound profile package bring it, cuts it into profile elements, and checks and executes each as soon as it is
//! whole.
//!
//! Nothing is installed before the end element has come; what is wrong ends in the reason of the
//! ProfileInstallationResult and, where an element is to blame, in the `EUICCResponse` that names it.

use std::fmt;

use rsp::Version;
use rsp::es10::download::{ErrorReason, StoreMetadata};
use rsp::es10::profiles::ProfileClass;
use rsp::saip::{self, EuiccResponse, Kind, PeStatus, ProfileElement, ProfileHeader, Service};
use rsp::tlv::{NamedBits, Tag, Tlv, TlvError};
use zeroize::Zeroizing;

use crate::config::uicc_capability;
use crate::profile::memory_needed;
use crate::uicc::{Files, Installer, Status, knows_template};

/// A profile package that cannot be installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the profile package cannot be installed: {problem}")]
pub struct PackageError {
    /// What is wrong.
    pub problem: String,
}

/// Why an installation ends here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: ErrorReason,
    /// What the interpreter says about the element that is to blame.
    pub(crate) response: Option<EuiccResponse>,
}

impl Failure {
    pub(crate) fn because(reason: ErrorReason) -> Self {
        Failure { reason, response: None }
    }

    fn at_element(status: u16, identification: Option<u16>) -> Self {
        Failure {
            reason: ErrorReason::InstallFailedDueToPeProcessingError,
            response: Some(EuiccResponse::aborted(status, identification)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        for status in self.response.iter().flat_map(|response| &response.pe_status) {
            write!(f, ", status {}", status.status)?;
            if let Some(number) = status.identification {
                write!(f, " at element {number}")?;
            }
        }
        Ok(())
    }
}

impl From<Failure> for PackageError {
    fn from(failure: Failure) -> Self {
        PackageError { problem: failure.to_string() }
    }
}

/// What a card demands of the packages it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demands {
    pub(crate) uicc_capability: NamedBits,
    pub(crate) profile_version: Version,
    /// Free memory in bytes.
    pub(crate) memory: u32,
}

/// A package that is installed: its bytes, and what its elements have made. It holds the keys of the subscription.
#[derive(Clone)]
pub(crate) struct Package {
    bytes: Zeroizing<Vec<u8>>,
    pub(crate) files: Files,
    /// The numbers of the elements that were passed over.
    passed_over: Vec<u16>,
}

/// How many elements that were passed over are told of: the result is one notification among others.
const MOST_STATUSES: usize = 32;

impl Package {
    /// The memory it takes: what its files take, and at least as much as it was itself.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.len().max(self.files.image().size())
    }

    /// What the interpreter answers to the package: that all is well, or which elements it does not support and has
    /// passed over (SAIP §8.1.1).
    pub(crate) fn response(&self) -> EuiccResponse {
        if self.passed_over.is_empty() {
            return EuiccResponse::ok();
        }
        let status = |number: &u16| PeStatus::new(PeStatus::PE_NOT_SUPPORTED, Some(*number));
        let pe_status = self.passed_over.iter().take(MOST_STATUSES).map(status).collect();
        EuiccResponse { pe_status, aborted: false, message: None }
    }
}

impl std::ops::Deref for Package {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The interpreter of one package. Its buffer is wiped when it goes.
pub(crate) struct Interpreter {
    metadata: StoreMetadata,
    demands: Demands,
    installer: Installer,
    passed_over: Vec<u16>,
    package: Zeroizing<Vec<u8>>,
    /// Where the first element that is not whole yet begins.
    whole: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    BeforeHeader,
    Elements,
    Ended,
}

impl fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interpreter({:?}, {} bytes)", self.state, self.package.len())
    }
}

impl Interpreter {
    /// For the profile with this metadata; about `length` bytes will come.
    pub(crate) fn new(metadata: StoreMetadata, demands: Demands, length: usize) -> Self {
        // The whole length is reserved at once, so that no growth leaves a copy of keys in freed memory.
        let capacity = length.min(demands.memory as usize);
        let package = Zeroizing::new(Vec::with_capacity(capacity));
        let most = (demands.memory as usize).saturating_sub(memory_needed(0, &metadata) as usize);
        let installer = Installer::new(demands.uicc_capability, demands.profile_version.0[0], most);
        let passed_over = Vec::new();
        Interpreter { metadata, demands, installer, passed_over, package, whole: 0, state: State::BeforeHeader }
    }

    /// For a package that the card's maker answers for.
    pub(crate) fn lenient(metadata: StoreMetadata, length: usize) -> Self {
        let all = (0..64).fold(NamedBits::default(), NamedBits::with);
        let version = Version::new(u8::MAX, u8::MAX, u8::MAX);
        Interpreter::new(metadata, Demands { uicc_capability: all, profile_version: version, memory: u32::MAX }, length)
    }

    /// Takes the next piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.check_memory(piece.len())?;
        self.package.extend_from_slice(piece);
        while self.whole < self.package.len() {
            match saip::split(&self.package[self.whole..]).next() {
                Some(Ok(element)) => {
                    let (state, wanted) = check_element(&element, self.state, &self.metadata, &self.demands)?;
                    match wanted {
                        Wanted::Yes => {
                            self.installer.execute(&element).map_err(|status| refused(status, &element))?;
                        }
                        Wanted::PassedOver => {
                            self.passed_over.extend(element.header().map(|header| header.identification));
                        }
                    }
                    self.state = state;
                    self.whole += element.raw().len();
                }
                Some(Err(saip::SaipError::Tlv { source: TlvError::Truncated { needed, .. }, .. })) => {
                    return self.check_memory(needed);
                }
                _ => return Err(Failure::at_element(PeStatus::INVALID_REQUEST_FORMAT, None)),
            }
        }
        Ok(())
    }

    /// What has been made so far.
    pub(crate) fn installer(&self) -> &Installer {
        &self.installer
    }

    /// The whole package, once everything has come.
    pub(crate) fn finish(self) -> Result<Package, Failure> {
        // SAIP §8.1.1: header first, end last.
        if self.state != State::Ended || self.whole != self.package.len() {
            return Err(Failure::at_element(PeStatus::INVALID_REQUEST_FORMAT, None));
        }
        // SGP.22 v2.5 §5.5.3: the group identifiers of the profile owner are those of EF_GID1 and EF_GID2.
        if let Some(owner) = &self.metadata.profile_owner {
            let groups = self.installer.image().group_identifiers();
            for (announced, there) in [&owner.gid1, &owner.gid2].into_iter().zip(groups) {
                if announced.as_deref().is_some_and(|announced| Some(announced) != there) {
                    return Err(Failure::because(ErrorReason::InstallFailedDueToDataMismatch));
                }
            }
        }
        let files = Files::new(self.installer.finish());
        Ok(Package { bytes: self.package, files, passed_over: self.passed_over })
    }

    fn check_memory(&self, more: usize) -> Result<(), Failure> {
        if memory_needed(self.package.len().saturating_add(more), &self.metadata) > self.demands.memory {
            return Err(Failure::because(ErrorReason::InstallFailedDueToInsufficientMemoryForProfile));
        }
        Ok(())
    }
}

/// Whether an element is to be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Yes,
    /// It is not supported, and not mandated either.
    PassedOver,
}

/// What the installation ends in when an element cannot be executed.
fn refused(status: Status, element: &ProfileElement<'_>) -> Failure {
    if status == Status::MEMORY {
        return Failure::because(ErrorReason::InstallFailedDueToInsufficientMemoryForProfile);
    }
    Failure::at_element(status.0, element.header().map(|header| header.identification))
}

fn check_element(
    element: &ProfileElement<'_>,
    state: State,
    metadata: &StoreMetadata,
    demands: &Demands,
) -> Result<(State, Wanted), Failure> {
    let kind = element.kind();
    match (state, kind) {
        (State::BeforeHeader, Kind::Header) => {
            check_header(element, metadata, demands)?;
            return Ok((State::Elements, Wanted::Yes));
        }
        (State::Elements, Kind::Header) | (State::BeforeHeader | State::Ended, _) => {
            let number = element.header().map(|header| header.identification);
            return Err(Failure::at_element(PeStatus::INVALID_REQUEST_FORMAT, number));
        }
        (State::Elements, _) => {}
    }

    let header = element.header().ok_or(Failure::at_element(PeStatus::INVALID_REQUEST_FORMAT, None))?;
    let fail = |status| Failure::at_element(status, Some(header.identification));
    if !is_supported(kind, demands.uicc_capability) {
        // SAIP §8.1.1: what is not supported is passed over, unless it is mandated.
        return if header.mandated {
            Err(fail(PeStatus::PE_NOT_SUPPORTED))
        } else {
            Ok((State::Elements, Wanted::PassedOver))
        };
    }
    element.tlv().reader().finish().map_err(|_| fail(PeStatus::INVALID_REQUEST_FORMAT))?;
    match kind {
        Kind::End => return Ok((State::Ended, Wanted::Yes)),
        Kind::AkaParameter if metadata.profile_class == ProfileClass::Test => check_test_key(element, fail)?,
        Kind::Usim => check_owner(element, metadata)?,
        _ => {}
    }
    Ok((State::Elements, Wanted::Yes))
}

fn check_header(element: &ProfileElement<'_>, metadata: &StoreMetadata, demands: &Demands) -> Result<(), Failure> {
    let fail = |status| Failure::at_element(status, None);
    let header = ProfileHeader::parse(element).map_err(|_| fail(PeStatus::INVALID_REQUEST_FORMAT))?;
    // SAIP §8.1.3: a package of another major version cannot be interpreted, one of a later minor version can.
    if header.major == 0 || header.major > demands.profile_version.0[0] {
        return Err(fail(PeStatus::UNSUPPORTED_PROFILE_VERSION));
    }
    let has = |service: &Service| capability(*service).is_some_and(|bit| demands.uicc_capability.has(bit));
    if !header.mandatory_services.iter().all(has) {
        return Err(fail(PeStatus::FEATURE_NOT_SUPPORTED));
    }
    if !header.templates.iter().all(|template| knows_template(template, demands.profile_version.0[0])) {
        return Err(fail(PeStatus::TEMPLATE_NOT_SUPPORTED));
    }
    // SGP.22 v2.5 §2.5.6: the profile is not the one that the metadata announced.
    if header.iccid != metadata.iccid {
        return Err(Failure::because(ErrorReason::InstallFailedDueToDataMismatch));
    }
    Ok(())
}

/// The bit of `UICCCapability` that stands for a service.
fn capability(service: Service) -> Option<u8> {
    use uicc_capability as bit;
    Some(match service {
        Service::Contactless => bit::CONTACTLESS,
        Service::Usim => bit::USIM,
        Service::Isim => bit::ISIM,
        Service::Csim => bit::CSIM,
        Service::Milenage => bit::MILENAGE,
        Service::Tuak128 => bit::TUAK_128,
        Service::Cave => bit::CAVE,
        Service::GbaUsim => bit::GBA_USIM,
        Service::GbaIsim => bit::GBA_ISIM,
        Service::Mbms => bit::MBMS,
        Service::Eap => bit::EAP,
        Service::Javacard => bit::JAVA_CARD,
        Service::Multos => bit::MULTOS,
        Service::MultipleUsim => bit::MULTIPLE_USIM,
        Service::MultipleIsim => bit::MULTIPLE_ISIM,
        Service::MultipleCsim => bit::MULTIPLE_CSIM,
        Service::Tuak256 => bit::TUAK_256,
        Service::UsimTestAlgorithm => bit::USIM_TEST_ALGORITHM,
        Service::BerTlv => bit::BER_TLV,
        Service::DfLink => bit::DF_LINK,
        Service::CatTp => bit::CAT_TP,
        Service::GetIdentity => bit::GET_IDENTITY,
        Service::ProfileAX25519 => bit::X25519,
        Service::ProfileBP256 => bit::P256,
        Service::SuciCalculatorApi => bit::SUCI_CALCULATOR_API,
        Service::Unknown(_) => return None,
    })
}

/// Whether the card knows what to do with elements of this kind.
pub(crate) fn is_supported(kind: Kind, card: NamedBits) -> bool {
    use uicc_capability as bit;
    match kind {
        Kind::Usim | Kind::OptUsim | Kind::Phonebook | Kind::GsmAccess | Kind::Df5gs | Kind::DfSaip => {
            card.has(bit::USIM)
        }
        Kind::Isim | Kind::OptIsim => card.has(bit::ISIM),
        Kind::Csim | Kind::OptCsim | Kind::CdmaParameter => card.has(bit::CSIM),
        Kind::Eap => card.has(bit::EAP),
        Kind::Application => card.has(bit::JAVA_CARD) || card.has(bit::MULTOS),
        // Of SAIP 3, and what an issuer has made up: not known here.
        Kind::DfSnpn | Kind::Df5gProse | Kind::Iot | Kind::OptIot | Kind::NonStandard | Kind::Unknown(_) => false,
        _ => true,
    }
}

/// SGP.22 v2.5 §2.4.5.4: the keys of a test profile are no secrets: the test algorithm of TS 34.108 §8.1.2, or one
/// of its keys: all zero, or 000102...0F.
fn check_test_key(element: &ProfileElement<'_>, fail: impl Fn(u16) -> Failure) -> Result<(), Failure> {
    const TEST_ALGORITHM: u32 = 3;
    let read = || -> Result<bool, TlvError> {
        // algoConfiguration is a choice: parameters of its own (A1), or those of another application's element (A0),
        // which is checked itself.
        let Some(parameter) = element.tlv().reader().require(0xA1)?.reader().optional(0xA1)? else { return Ok(true) };
        let mut fields = parameter.reader();
        let algorithm = fields.require(0x80)?.as_u32()?;
        let key: Tlv<'_> = fields.require(0x82)?;
        let counts = (0..).zip(key.value()).all(|(index, byte): (u8, &u8)| *byte == index);
        Ok(algorithm == TEST_ALGORITHM || counts || key.value().iter().all(|byte| *byte == 0))
    };
    match read() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::because(ErrorReason::TestProfileInstallFailedDueToInvalidNaaKey)),
        Err(_) => Err(fail(PeStatus::INVALID_REQUEST_FORMAT)),
    }
}

/// SGP.22 v2.5 §5.5.3: MCC and MNC of the profile owner are those of EF_IMSI.
fn check_owner(element: &ProfileElement<'_>, metadata: &StoreMetadata) -> Result<(), Failure> {
    // SAIP §8.3.5: ef-imsi is field 3 of PE-USIM.
    const EF_IMSI: Tag = Tag(0xA3);
    let Some(owner) = &metadata.profile_owner else { return Ok(()) };
    let imsi = element.files().find(|(field, _)| *field == EF_IMSI).and_then(|(_, file)| file.content(0xFF));
    // TS 31.102 §4.2.2: a length, then the digits, the first in the high nibble of the second byte.
    let Some([_, digits @ ..]) = imsi.as_deref() else { return Ok(()) };
    let mut digits = digits.iter().flat_map(|byte| [byte & 15, byte >> 4]).skip(1);
    let [a, b, c] = owner.mcc_mnc;
    // TS 24.008 §10.5.1.13: MCC 2|1, MNC 3 (F for two digits)|MCC 3, MNC 2|1.
    let owner_digits = [a & 15, a >> 4, b & 15, c & 15, c >> 4, b >> 4];
    let owner_digits = owner_digits.into_iter().filter(|digit| *digit != 0xF);
    if owner_digits.into_iter().all(|digit| digits.next() == Some(digit)) {
        Ok(())
    } else {
        Err(Failure::because(ErrorReason::InstallFailedDueToDataMismatch))
    }
}
