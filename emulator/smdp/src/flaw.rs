//! Bound profile packages that are made wrong on purpose, each in one way, with every signature and MAC right that
//! comes after: what a faulty server sends, and what a card has to find out by itself (SGP.22 v2.5 §2.5.6,
//! `BppCommandId` and `ErrorReason`).

use std::fmt;

use rsp::bpp::{SecureChannel, TAG_SEGMENT_COMMAND, TAG_SEGMENT_PROFILE};
use rsp::crypto::CryptoError;
use rsp::es10::TAG_OTPK;
use rsp::es10::download::{KEY_LENGTH, KEY_TYPE_AES, REMOTE_OPERATION_INSTALL, TAG_CONFIGURE_ISDP};
use rsp::tlv::{Tlv, Writer, encode};

/// What is wrong with a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageFlaw {
    /// It is of another session: `invalidTransactionId`.
    TransactionId,
    /// Its remote operation is no installation: `unsupportedRemoteOperationType`.
    RemoteOperation,
    /// Its session keys are to be of another kind: `unsupportedCrtValues`.
    KeyType,
    /// Its host id is longer than allowed: `incorrectInputValues` at InitialiseSecureChannel.
    HostId,
    /// ConfigureISDP has an element that it must not have: `incorrectInputValues`.
    ConfigureIsdp,
    /// One bit of the MAC of ConfigureISDP is another: `scp03tSecurityError`.
    ConfigureIsdpMac,
    /// StoreMetadata has no ICCID: `incorrectInputValues`.
    Metadata,
    /// One bit of the MAC of StoreMetadata is another: `scp03tSecurityError`.
    MetadataMac,
    /// One bit of the MAC of ReplaceSessionKeys is another: `scp03tSecurityError`. Nothing when there is none.
    SessionKeysMac,
    /// StoreMetadata has another ICCID than the profile: `installFailedDueToDataMismatch`.
    Iccid,
    /// StoreMetadata tells a class of profile that does not exist: `unsupportedProfileClass`.
    Class,
    /// StoreMetadata tells that this is a test profile, and its key is none for tests:
    /// `testProfileInstallFailedDueToInvalidNaaKey`.
    TestClass,
    /// StoreMetadata has a profile policy rule that was not announced: `pprNotAllowed` where the card forbids it.
    Rules,
    /// The profile has a mandated element that no card knows: `installFailedDueToPEProcessingError`.
    UnknownElement,
    /// StoreMetadata is not there at all: `scp03tStructureError`.
    NoMetadata,
    /// The last segment of the profile is too short for a MAC: `scp03tStructureError`.
    ShortSegment,
}

impl fmt::Display for PackageFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PackageFlaw::TransactionId => "package of another session",
            PackageFlaw::RemoteOperation => "package with another remote operation",
            PackageFlaw::KeyType => "package with session keys of another kind",
            PackageFlaw::HostId => "package with a host id that is too long",
            PackageFlaw::ConfigureIsdp => "package with a malformed ConfigureISDP",
            PackageFlaw::ConfigureIsdpMac => "one bit changed in the MAC of ConfigureISDP",
            PackageFlaw::Metadata => "package without the ICCID in StoreMetadata",
            PackageFlaw::MetadataMac => "one bit changed in the MAC of StoreMetadata",
            PackageFlaw::SessionKeysMac => "one bit changed in the MAC of ReplaceSessionKeys",
            PackageFlaw::Iccid => "package with another ICCID in StoreMetadata",
            PackageFlaw::Class => "package with an unknown profile class",
            PackageFlaw::TestClass => "package that calls its profile a test profile",
            PackageFlaw::Rules => "package with a profile policy rule",
            PackageFlaw::UnknownElement => "package with a mandated element that is unknown",
            PackageFlaw::NoMetadata => "package without StoreMetadata",
            PackageFlaw::ShortSegment => "package with a segment that has no room for its MAC",
        })
    }
}

/// Tags of StoreMetadata (SGP.22 v2.5 §5.5.3).
const TAG_ICCID: u32 = 0x5A;
const TAG_CLASS: u32 = 0x95;
const TAG_RULES: u32 = 0x99;

impl PackageFlaw {
    /// Whether it is about the metadata, which the card is told in authenticateClient as well.
    pub fn is_of_metadata(self) -> bool {
        use PackageFlaw as Flaw;
        matches!(self, Flaw::Metadata | Flaw::Iccid | Flaw::Class | Flaw::TestClass | Flaw::Rules)
    }

    /// The segments of the profile.
    pub(crate) fn profile_elements(self, segments: &mut Vec<Vec<u8>>) {
        if self == PackageFlaw::ShortSegment {
            segments.pop();
            segments.push(encode(TAG_SEGMENT_PROFILE, &[0x5A; 4]));
        }
    }

    /// The element `BF25` as this flaw has it.
    pub(crate) fn metadata(self, metadata: &[u8]) -> Vec<u8> {
        let replaced: (u32, Option<&[u8]>) = match self {
            PackageFlaw::Metadata => (TAG_ICCID, None),
            PackageFlaw::Iccid => (TAG_ICCID, Some(&[0x98, 0x99, 0x09, 0x09, 0, 0, 0, 0, 0, 0x10])),
            // 0 test, 1 provisioning, 2 operational.
            PackageFlaw::Class => (TAG_CLASS, Some(&[0x07])),
            PackageFlaw::TestClass => (TAG_CLASS, Some(&[0x00])),
            // PPR1: disabling is not allowed (bit 1 of seven, six unused).
            PackageFlaw::Rules => (TAG_RULES, Some(&[0x06, 0x40])),
            _ => return metadata.to_vec(),
        };
        with_field(metadata, replaced.0, replaced.1).unwrap_or_else(|| metadata.to_vec())
    }

    /// The profile package as this flaw has it.
    pub(crate) fn package(self, package: &[u8]) -> Vec<u8> {
        let end = package.iter().rposition(|byte| *byte == 0xAA).unwrap_or(package.len());
        match self {
            PackageFlaw::UnknownElement => {
                // PE-nonStandard with a header that mandates it (SAIP §8.1.2, §8.10).
                let header = encode(0xA0, &[&encode(0x80, &[])[..], &encode(0x81, &[0x7F])].concat());
                let body = [header, encode(0x81, &[0x2A, 0x03])].concat();
                [&package[..end], &encode(0xA9, &body), &package[end..]].concat()
            }
            _ => package.to_vec(),
        }
    }

    /// ConfigureISDP, sealed.
    pub(crate) fn configure_isdp(self, channel: &mut SecureChannel) -> Result<Vec<u8>, CryptoError> {
        // SGP.22 v2.5 §5.5.2: dpProprietaryData has 128 bytes at most, its tag and length not counted.
        let content = match self {
            PackageFlaw::ConfigureIsdp => {
                encode(0xB8, &[&encode(0x80, &[0x88, 0x37, 0x0A])[..], &[0x04; 126]].concat())
            }
            _ => Vec::new(),
        };
        let mut segment = channel.encrypt(TAG_SEGMENT_COMMAND, &encode(TAG_CONFIGURE_ISDP, &content))?;
        if self == PackageFlaw::ConfigureIsdpMac {
            flip(&mut segment);
        }
        Ok(segment)
    }

    /// StoreMetadata, sealed in pieces.
    pub(crate) fn store_metadata(self, segments: &mut Vec<Vec<u8>>) {
        match self {
            PackageFlaw::MetadataMac => segments.first_mut().into_iter().for_each(|segment| flip(segment)),
            PackageFlaw::NoMetadata => segments.clear(),
            _ => {}
        }
    }

    /// ReplaceSessionKeys, sealed.
    pub(crate) fn replace_session_keys(self, segment: &mut Option<Vec<u8>>) {
        if self == PackageFlaw::SessionKeysMac {
            segment.iter_mut().for_each(|segment| flip(segment));
        }
    }

    /// What is signed of InitialiseSecureChannel.
    pub(crate) fn signed_part(
        self,
        transaction_id: &rsp::TransactionId,
        host_id: &[u8],
        smdp_otpk: &[u8; 65],
    ) -> Vec<u8> {
        let mut transaction_id = transaction_id.as_bytes().to_vec();
        let (mut operation, mut key_type, mut host_id) = (REMOTE_OPERATION_INSTALL, KEY_TYPE_AES, host_id.to_vec());
        match self {
            PackageFlaw::TransactionId => flip(&mut transaction_id),
            // 2 is not assigned.
            PackageFlaw::RemoteOperation => operation = 2,
            // DES, which SGP.22 v2.5 §5.5.1 does not have.
            PackageFlaw::KeyType => key_type = 0x80,
            PackageFlaw::HostId => host_id.resize(17, 0x20),
            _ => {}
        }
        Writer::new()
            .integer(0x82, operation)
            .put(0x80, &transaction_id)
            .nested(0xA6, |w| w.put(0x80, &[key_type]).put(0x81, &[KEY_LENGTH]).put(0x84, &host_id))
            .put(TAG_OTPK, smdp_otpk)
            .into_vec()
    }
}

fn flip(bytes: &mut [u8]) {
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
}

/// An element with one of its fields replaced, added or taken away; the order of tags is kept.
fn with_field(element: &[u8], tag: u32, content: Option<&[u8]>) -> Option<Vec<u8>> {
    let (outer, _) = Tlv::parse(element).ok()?;
    let mut fields = Vec::new();
    let mut is_there = false;
    for field in outer.reader() {
        let field = field.ok()?;
        if field.tag().0 == tag {
            is_there = true;
            fields.extend(content.map(|content| encode(tag, content)));
        } else {
            // SGP.22 v2.5 §5.5.3: the class stands before, the policy rules after what tells of notifications and owner.
            if !is_there && tag == TAG_CLASS && field.tag().0 > TAG_CLASS {
                is_there = true;
                fields.extend(content.map(|content| encode(tag, content)));
            }
            fields.push(field.raw().to_vec());
        }
    }
    if !is_there {
        fields.extend(content.map(|content| encode(tag, content)));
    }
    Some(encode(outer.tag().0, &fields.concat()))
}
