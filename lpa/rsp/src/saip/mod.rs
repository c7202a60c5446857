//! Unprotected profile packages: the Interoperable Profile Package of the Trusted Connectivity Alliance (SAIP 2.3).
//!
//! A package is a bare concatenation of profile elements, from the header to the end element. [`split`] cuts it into
//! [`ProfileElement`]s that borrow from it; [`ProfileHeader`] and [`EuiccResponse`] read what decides about an
//! installation and what answers it, and pass over what later versions add. [`elements`] holds the ASN.1 types of the
//! elements that the lab writes, and reads them back where they are well-formed.
//!
//! Bytes of a package → [`split`] → elements in order → [`ProfileElement::header`] for the rules on mandated
//! elements (SAIP, `PEHeader`) → the elements' content by kind.

pub mod elements;

use crate::ids::{Iccid, Oid, to_hex};
use crate::tlv::{Tag, Tlv, TlvError, Writer};

/// What is wrong with a profile package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SaipError {
    /// The bytes are no concatenation of BER-TLV, or an element lacks a part.
    #[error("profile element {index} at byte {offset}: {source}")]
    Tlv {
        /// The number of the element, counted from 0.
        index: usize,
        /// Where the element begins.
        offset: usize,
        /// What is wrong in it.
        source: TlvError,
    },
    /// An element of another kind than the one that has to stand here.
    #[error("expected profile element {expected}, found {found}")]
    Unexpected {
        /// The kind that was looked for.
        expected: Kind,
        /// The kind that is there.
        found: Kind,
    },
    /// A value that breaks the rule of its field.
    #[error("profile element {kind}: {field} {rule}")]
    BadValue {
        /// The element.
        kind: Kind,
        /// The field in the words of the specification.
        field: &'static str,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// An element whose content is not that of its type.
    #[error("profile element {kind} cannot be read: {message}")]
    Content {
        /// The element.
        kind: Kind,
        /// What the decoder says.
        message: String,
    },
}

macro_rules! kinds {
    ($($name:ident = $tag:literal, $text:literal, $doc:literal;)*) => {
        /// The kinds of profile elements, by the tag of the CHOICE `ProfileElement` (SAIP annex D).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $(#[doc = $doc] $name,)*
            /// A tag that SAIP has reserved or that is none of its own.
            Unknown(Tag),
        }

        impl Kind {
            /// The kind with this tag.
            pub fn of(tag: Tag) -> Self {
                match tag.0 {
                    $($tag => Kind::$name,)*
                    _ => Kind::Unknown(tag),
                }
            }

            /// The tag of this kind.
            pub fn tag(self) -> Tag {
                match self {
                    $(Kind::$name => Tag($tag),)*
                    Kind::Unknown(tag) => tag,
                }
            }
        }

        impl std::fmt::Display for Kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Kind::$name => f.write_str($text),)*
                    Kind::Unknown(tag) => write!(f, "{tag}"),
                }
            }
        }
    };
}

kinds! {
    Header = 0xA0, "header", "ProfileHeader: the first element.";
    GenericFileManagement = 0xA1, "genericFileManagement", "Creates files that no template has.";
    PinCodes = 0xA2, "pinCodes", "PINs and administrative keys.";
    PukCodes = 0xA3, "pukCodes", "Unblocking codes.";
    AkaParameter = 0xA4, "akaParameter", "Authentication algorithm and keys of a USIM or ISIM.";
    CdmaParameter = 0xA5, "cdmaParameter", "Authentication keys of a CSIM.";
    SecurityDomain = 0xA6, "securityDomain", "A security domain and its keys; the first is the MNO-SD.";
    Rfm = 0xA7, "rfm", "Remote file management.";
    Application = 0xA8, "application", "A load file and its instances.";
    NonStandard = 0xA9, "nonStandard", "Content of an issuer.";
    End = 0xAA, "end", "The last element.";
    Mf = 0xB0, "mf", "The master file and the files under it.";
    Cd = 0xB1, "cd", "DF.CD.";
    Telecom = 0xB2, "telecom", "DF.TELECOM.";
    Usim = 0xB3, "usim", "ADF.USIM, the files it always has.";
    OptUsim = 0xB4, "opt-usim", "ADF.USIM, optional files.";
    Isim = 0xB5, "isim", "ADF.ISIM, the files it always has.";
    OptIsim = 0xB6, "opt-isim", "ADF.ISIM, optional files.";
    Phonebook = 0xB7, "phonebook", "DF.PHONEBOOK of a USIM.";
    GsmAccess = 0xB8, "gsm-access", "DF.GSM-ACCESS.";
    Csim = 0xB9, "csim", "ADF.CSIM, the files it always has.";
    OptCsim = 0xBA, "opt-csim", "ADF.CSIM, optional files.";
    Eap = 0xBB, "eap", "DF.EAP.";
    Df5gs = 0xBC, "df-5gs", "DF.5GS.";
    DfSaip = 0xBD, "df-saip", "DF.SAIP.";
    DfSnpn = 0xBE, "df-snpn", "DF.SNPN (SAIP 3).";
    Df5gProse = 0xBF1F, "df-5gprose", "DF.5G_ProSe (SAIP 3).";
    Iot = 0xBF20, "iot", "IoT Minimal Profile (SAIP 3).";
    OptIot = 0xBF21, "opt-iot", "IoT Minimal Profile, optional files (SAIP 3).";
}

/// One profile element, borrowed from the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileElement<'a> {
    kind: Kind,
    offset: usize,
    tlv: Tlv<'a>,
}

impl<'a> ProfileElement<'a> {
    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it begins in the package.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The element with its tag, as it stands in the package.
    pub fn raw(&self) -> &'a [u8] {
        self.tlv.raw()
    }

    /// The element as TLV, to read what is inside.
    pub fn tlv(&self) -> Tlv<'a> {
        self.tlv
    }

    /// Its `PEHeader`. The profile header has none; an element of an unknown kind has one where it follows the
    /// pattern of all others, which is what tells whether it may be passed over (SAIP, `PEHeader`).
    pub fn header(&self) -> Option<PeHeader> {
        if self.kind == Kind::Header {
            return None;
        }
        let header = self.tlv.reader().next_tlv().ok().flatten().filter(|tlv| tlv.tag() == Tag(0xA0))?;
        PeHeader::parse(header).ok()
    }

    /// The files of an element that is made after a template (`B0` and above): the tag of the field and its content.
    pub fn files(&self) -> impl Iterator<Item = (Tag, File<'a>)> + use<'a> {
        let made_after_template = self.kind.tag().0 & 0xFF >= 0xB0 || self.kind.tag().0 > 0xFF;
        let mut reader = self.tlv.reader();
        std::iter::from_fn(move || {
            loop {
                let field = reader.next_tlv().ok()??;
                // The PE header (A0) and the template's object identifier (81) are no files.
                if made_after_template && field.tag() != Tag(0xA0) && field.tag().is_constructed() {
                    return Some((field.tag(), File { items: field }));
                }
            }
        })
    }
}

/// A file as a template element describes it: what differs from the template, and the content
/// (SAIP annex D, `File`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File<'a> {
    items: Tlv<'a>,
}

impl<'a> File<'a> {
    /// Whether the file is not to be made although its template has it.
    pub fn is_left_out(&self) -> bool {
        self.item(0x80).is_some()
    }

    /// Its file control parameters, as far as they are given.
    pub fn fcp(&self) -> Option<Tlv<'a>> {
        self.item(0xA1)
    }

    /// The file identifier in its file control parameters.
    pub fn id(&self) -> Option<u16> {
        let id = self.fcp()?.reader().optional(0x83).ok()??;
        id.as_array().ok().map(u16::from_be_bytes)
    }

    /// The content written so far: each piece goes where the one before it ended, plus the offset given in between
    /// (SAIP annex D, `fillFileOffset`). Bytes that no piece covers are `fill`. `None` when the pieces make more
    /// than 65536 bytes or an offset cannot be read.
    pub fn content(&self, fill: u8) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        for item in self.items.reader() {
            let item = item.ok()?;
            match item.tag().0 {
                0x82 => {
                    let offset = usize::try_from(item.as_u32().ok()?).ok().filter(|offset| *offset <= 0xFFFF)?;
                    content.resize(content.len() + offset, fill);
                }
                0x83 => content.extend_from_slice(item.value()),
                _ => {}
            }
            if content.len() > 0x1_0000 {
                return None;
            }
        }
        Some(content)
    }

    fn item(&self, tag: u32) -> Option<Tlv<'a>> {
        self.items.reader().optional(tag).ok()?
    }
}

/// The head that every element but the profile header has (`PEHeader`, SAIP annex D).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeHeader {
    /// Whether an eUICC that does not know the element has to refuse the package.
    pub mandated: bool,
    /// Its number in the package, 0 to 32767.
    pub identification: u16,
}

impl PeHeader {
    fn parse(tlv: Tlv<'_>) -> Result<Self, TlvError> {
        let mandated = tlv.reader().optional(0x80)?.is_some();
        let identification = tlv.reader().require(0x81)?;
        let number = u16::try_from(identification.as_u32()?).ok().filter(|number| *number <= 32767);
        let rule = "an identification from 0 to 32767";
        let identification = number.ok_or(TlvError::BadValue { tag: identification.tag(), rule })?;
        Ok(PeHeader { mandated, identification })
    }
}

/// Cuts a profile package into its elements, in order. After an error nothing more comes.
pub fn split(package: &[u8]) -> Elements<'_> {
    Elements { rest: package, offset: 0, index: 0 }
}

/// The elements of a package; made by [`split`].
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    rest: &'a [u8],
    offset: usize,
    index: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<ProfileElement<'a>, SaipError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (index, offset) = (self.index, self.offset);
        match Tlv::parse(self.rest) {
            Ok((tlv, rest)) => {
                self.rest = rest;
                self.offset += tlv.raw().len();
                self.index += 1;
                Some(Ok(ProfileElement { kind: Kind::of(tlv.tag()), offset, tlv }))
            }
            Err(source) => {
                self.rest = &[];
                Some(Err(SaipError::Tlv { index, offset, source }))
            }
        }
    }
}

/// What the first element says about the whole package (`ProfileHeader`, SAIP annex D).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileHeader {
    /// Major version of the package format: 2.
    pub major: u8,
    /// Minor version.
    pub minor: u8,
    /// The profile's type, in words.
    pub profile_type: Option<String>,
    /// The ICCID of the profile.
    pub iccid: Iccid,
    /// Services that the eUICC has to have.
    pub mandatory_services: Vec<Service>,
    /// Templates for file systems that the eUICC has to know.
    pub templates: Vec<Oid>,
}

impl ProfileHeader {
    /// Reads the profile header from the first element of a package.
    pub fn of_package(package: &[u8]) -> Result<Self, SaipError> {
        match split(package).next() {
            Some(element) => Self::parse(&element?),
            None => {
                let source = TlvError::Missing { expected: Kind::Header.tag() };
                Err(SaipError::Tlv { index: 0, offset: 0, source })
            }
        }
    }

    /// Reads the profile header. Fields of later versions are passed over.
    pub fn parse(element: &ProfileElement<'_>) -> Result<Self, SaipError> {
        if element.kind != Kind::Header {
            return Err(SaipError::Unexpected { expected: Kind::Header, found: element.kind });
        }
        let at = |source| SaipError::Tlv { index: 0, offset: element.offset, source };
        let bad = |field, rule| SaipError::BadValue { kind: Kind::Header, field, rule };
        let mut reader = element.tlv.reader();
        let version = |tlv: Tlv<'_>, field| {
            let number = tlv.as_u32().map_err(at)?;
            u8::try_from(number).map_err(|_| bad(field, "is a number from 0 to 255"))
        };
        let major = version(reader.require(0x80).map_err(at)?, "major-version")?;
        let minor = version(reader.require(0x81).map_err(at)?, "minor-version")?;
        let profile_type = reader.optional(0x82).map_err(at)?;
        let profile_type = profile_type.map(|tlv| tlv.as_str().map(str::to_owned)).transpose().map_err(at)?;
        let iccid = reader.require(0x83).map_err(at)?;
        // Unlike in EF_ICCID and in the metadata, the digits stand in their order here.
        let iccid: [u8; 10] = iccid.as_array().map_err(at)?;
        let iccid = Iccid::parse(&to_hex(&iccid)).map_err(|error| bad("iccid", error.rule))?;
        let mut mandatory_services = Vec::new();
        for service in reader.require(0xA5).map_err(at)?.reader() {
            mandatory_services.push(Service::of(service.map_err(at)?.tag()));
        }
        let mut templates = Vec::new();
        for oid in reader.require(0xA6).map_err(at)?.reader() {
            let oid = Oid::from_der_content(oid.map_err(at)?.value());
            templates.push(oid.map_err(|error| bad("eUICC-Mandatory-GFSTEList", error.rule))?);
        }
        Ok(ProfileHeader { major, minor, profile_type, iccid, mandatory_services, templates })
    }
}

macro_rules! services {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        /// A service of an eUICC that a package may demand (`ServicesList`, SAIP annex D).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are those of the specification, given by Display")]
        pub enum Service {
            $($name,)*
            /// One that was added later, by the tag of its field.
            Unknown(Tag),
        }

        impl Service {
            fn of(tag: Tag) -> Self {
                match tag.0 {
                    $(tag if tag == 0x80 | $number => Service::$name,)*
                    _ => Service::Unknown(tag),
                }
            }
        }

        impl std::fmt::Display for Service {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Service::$name => f.write_str($text),)*
                    Service::Unknown(tag) => write!(f, "service {tag}"),
                }
            }
        }
    };
}

services! {
    Contactless = 0, "contactless";
    Usim = 1, "usim";
    Isim = 2, "isim";
    Csim = 3, "csim";
    Milenage = 4, "milenage";
    Tuak128 = 5, "tuak128";
    Cave = 6, "cave";
    GbaUsim = 7, "gba-usim";
    GbaIsim = 8, "gba-isim";
    Mbms = 9, "mbms";
    Eap = 10, "eap";
    Javacard = 11, "javacard";
    Multos = 12, "multos";
    MultipleUsim = 13, "multiple-usim";
    MultipleIsim = 14, "multiple-isim";
    MultipleCsim = 15, "multiple-csim";
    Tuak256 = 16, "tuak256";
    UsimTestAlgorithm = 17, "usim-test-algorithm";
    BerTlv = 18, "ber-tlv";
    DfLink = 19, "dfLink";
    CatTp = 20, "cat-tp";
    GetIdentity = 21, "get-identity";
    ProfileAX25519 = 22, "profile-a-x25519";
    ProfileBP256 = 23, "profile-b-p256";
    SuciCalculatorApi = 24, "suciCalculatorApi";
}

/// What an eUICC says about one profile element (`PEStatus`, SAIP annex D).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeStatus {
    /// The status: see [`PeStatus::OK`] and the constants after it, or a status word 6xxx or 9xxx.
    pub status: u16,
    /// The number of the element.
    pub identification: Option<u16>,
    /// More about the status.
    pub additional_information: Option<u8>,
    /// Where in the element it is.
    pub offset: Option<u32>,
}

impl PeStatus {
    /// ok
    pub const OK: u16 = 0;
    /// pe-not-supported
    pub const PE_NOT_SUPPORTED: u16 = 1;
    /// memory-failure
    pub const MEMORY_FAILURE: u16 = 2;
    /// bad-values
    pub const BAD_VALUES: u16 = 3;
    /// not-enough-memory
    pub const NOT_ENOUGH_MEMORY: u16 = 4;
    /// invalid-request-format
    pub const INVALID_REQUEST_FORMAT: u16 = 5;
    /// invalid-parameter
    pub const INVALID_PARAMETER: u16 = 6;
    /// runtime-not-supported
    pub const RUNTIME_NOT_SUPPORTED: u16 = 7;
    /// lib-not-supported
    pub const LIB_NOT_SUPPORTED: u16 = 8;
    /// template-not-supported
    pub const TEMPLATE_NOT_SUPPORTED: u16 = 9;
    /// feature-not-supported
    pub const FEATURE_NOT_SUPPORTED: u16 = 10;
    /// pin-code-missing
    pub const PIN_CODE_MISSING: u16 = 11;
    /// unsupported-profile-version
    pub const UNSUPPORTED_PROFILE_VERSION: u16 = 31;

    /// A status for the element with this number.
    pub fn new(status: u16, identification: Option<u16>) -> Self {
        PeStatus { status, identification, additional_information: None, offset: None }
    }
}

/// The answer of an eUICC to a profile package (`EUICCResponse`, SAIP annex D); it travels in the
/// ProfileInstallationResult.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EuiccResponse {
    /// The status of the elements: the one that failed, or one `ok` for all.
    pub pe_status: Vec<PeStatus>,
    /// Whether the installation was given up.
    pub aborted: bool,
    /// The status in words.
    pub message: Option<String>,
}

impl EuiccResponse {
    /// All is well: `3007A0053003800100`.
    pub fn ok() -> Self {
        EuiccResponse { pe_status: vec![PeStatus::new(PeStatus::OK, None)], aborted: false, message: None }
    }

    /// The installation was given up at the element with this number.
    pub fn aborted(status: u16, identification: Option<u16>) -> Self {
        EuiccResponse { pe_status: vec![PeStatus::new(status, identification)], aborted: true, message: None }
    }

    /// True when every status is `ok` and nothing was given up.
    pub fn is_ok(&self) -> bool {
        !self.aborted && self.pe_status.iter().all(|status| status.status == PeStatus::OK)
    }

    /// Reads the DER bytes. Fields of later versions are passed over.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlvError> {
        let mut reader = Tlv::parse_as(0x30, bytes)?.reader();
        let mut pe_status = Vec::new();
        let limited = |tlv: Tlv<'_>, max: u32| {
            let value = tlv.as_u32()?;
            let rule = "a number within the range of its field";
            if value <= max { Ok(value) } else { Err(TlvError::BadValue { tag: tlv.tag(), rule }) }
        };
        for entry in reader.require(0xA0)?.reader() {
            let mut entry = entry?.reader();
            let status = limited(entry.require(0x80)?, 0xFFFF)? as u16;
            let identification = entry.optional(0x81)?.map(|tlv| limited(tlv, 0x7FFF)).transpose()?;
            let additional = entry.optional(0x82)?.map(|tlv| limited(tlv, 0xFF)).transpose()?;
            let offset = entry.optional(0x83)?.map(|tlv| limited(tlv, 0x7FFF_FFFF)).transpose()?;
            pe_status.push(PeStatus {
                status,
                identification: identification.map(|number| number as u16),
                additional_information: additional.map(|number| number as u8),
                offset,
            });
        }
        let aborted = reader.optional(0x81)?.is_some();
        let message = reader.optional(0x82)?.map(|tlv| tlv.as_str().map(str::to_owned)).transpose()?;
        Ok(EuiccResponse { pe_status, aborted, message })
    }

    /// The DER bytes.
    pub fn encode(&self) -> Vec<u8> {
        let statuses = self.pe_status.iter().fold(Writer::new(), |writer, status| {
            writer.nested(0x30, |mut entry| {
                entry = entry.integer(0x80, u32::from(status.status));
                if let Some(number) = status.identification {
                    entry = entry.integer(0x81, u32::from(number));
                }
                if let Some(number) = status.additional_information {
                    entry = entry.integer(0x82, u32::from(number));
                }
                match status.offset {
                    Some(offset) => entry.integer(0x83, offset),
                    None => entry,
                }
            })
        });
        let aborted: Option<&[u8]> = self.aborted.then_some(&[]);
        Writer::new()
            .nested(0x30, |writer| {
                writer
                    .put(0xA0, &statuses.clone().into_vec())
                    .put_opt(0x81, aborted)
                    .put_opt(0x82, self.message.as_deref())
            })
            .into_vec()
    }
}

#[cfg(test)]
mod tests;
