//! Loading a bound profile package (SGP.22 §2.5.4, §2.5.5, §5.7.6): the pieces as the LPA sends them in, a state
//! machine over order and size of every TLV, and the commands of ES8+ inside.
//!
//! ```text
//! STORE DATA → BF36 and BF23 → session keys
//!            → A0, 87 → opened → ConfigureISDP
//!            → A1, 88 → opened → StoreMetadata → rules of the card
//!            → A2, 87 → opened → ReplaceSessionKeys → new session keys      (optional)
//!            → A3, 86 → opened → interpreter → profile elements → a profile, or a failure
//! ```
//!
//! A segment is checked and opened when it comes, and no more is kept of it than its plaintext.

use std::{fmt, mem};

use rsp::Oid;
use rsp::bpp::{
    MAX_SEGMENT, SecureChannel, SegmentError, SessionKeys, TAG_BOUND_PROFILE_PACKAGE, TAG_FIRST_SEQUENCE_OF_87,
    TAG_SECOND_SEQUENCE_OF_87, TAG_SEGMENT_COMMAND, TAG_SEGMENT_METADATA, TAG_SEGMENT_PROFILE, TAG_SEQUENCE_OF_86,
    TAG_SEQUENCE_OF_88,
};
use rsp::cert::Certificate;
use rsp::crypto::{PrivateKey, PublicKey};
use rsp::es10::download::{
    BppCommandId, ErrorReason, InitialiseSecureChannel, KEY_LENGTH, KEY_TYPE_AES, REMOTE_OPERATION_INSTALL,
    StoreMetadata, TAG_CONFIGURE_ISDP, TAG_INITIALISE_SECURE_CHANNEL,
};
use rsp::es10::profiles::ProfileClass;
use rsp::tlv::{Tlv, TlvError};
use rsp::{Aid, TransactionId};
use zeroize::Zeroizing;

use crate::config::{CardConfig, rsp_capability};
use crate::package::{Demands, Failure, Interpreter};
use crate::policy;
use crate::profile::Profile;
use crate::store::Store;

/// Where and why an installation ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadFailure {
    pub(crate) command: BppCommandId,
    pub(crate) failure: Failure,
    /// The same in words.
    pub(crate) problem: String,
}

/// What the card's rules are checked against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Card<'a> {
    pub(crate) config: &'a CardConfig,
    pub(crate) store: &'a Store,
}

/// The sequences of a bound profile package, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sequence {
    First87,
    Metadata88,
    Second87,
    Profile86,
}

impl Sequence {
    fn of_tag(tag: u32) -> Option<Self> {
        Some(match tag {
            TAG_FIRST_SEQUENCE_OF_87 => Sequence::First87,
            TAG_SEQUENCE_OF_88 => Sequence::Metadata88,
            TAG_SECOND_SEQUENCE_OF_87 => Sequence::Second87,
            TAG_SEQUENCE_OF_86 => Sequence::Profile86,
            _ => return None,
        })
    }

    fn segment_tag(self) -> u32 {
        match self {
            Sequence::First87 | Sequence::Second87 => TAG_SEGMENT_COMMAND,
            Sequence::Metadata88 => TAG_SEGMENT_METADATA,
            Sequence::Profile86 => TAG_SEGMENT_PROFILE,
        }
    }

    fn command(self) -> BppCommandId {
        match self {
            Sequence::First87 => BppCommandId::ConfigureIsdp,
            Sequence::Metadata88 => BppCommandId::StoreMetadata,
            Sequence::Second87 => BppCommandId::ReplaceSessionKeys,
            Sequence::Profile86 => BppCommandId::LoadProfileElements,
        }
    }

    /// Whether this sequence may come after `before` (SGP.22 v2.5 §2.5.4: the second sequence of 87 is optional).
    fn may_follow(self, before: Option<Sequence>) -> bool {
        match self {
            Sequence::First87 => before.is_none(),
            Sequence::Metadata88 => before == Some(Sequence::First87),
            Sequence::Second87 => before == Some(Sequence::Metadata88),
            Sequence::Profile86 => matches!(before, Some(Sequence::Metadata88 | Sequence::Second87)),
        }
    }
}

/// Bound on the plaintext of a command inside: the longest is StoreMetadata with an icon of 1024 bytes.
const MAX_COMMAND: usize = 8192;

/// Bound on `dpProprietaryData` (SGP.22 v2.5 §5.5.2).
const MAX_DP_PROPRIETARY_DATA: usize = 128;

/// An installation under way. `Debug` prints no plaintext.
pub(crate) struct Loader {
    channel: SecureChannel,
    /// How much of the content of `BF36` has not come yet.
    package_left: usize,
    /// The sequence that is coming, or that came last.
    sequence: Option<Sequence>,
    /// How much of its content has not come yet.
    sequence_left: usize,
    /// The plaintext of the command that is coming.
    command: Zeroizing<Vec<u8>>,
    smdp_oid: Option<Oid>,
    dp_oid: Option<Oid>,
    metadata: Option<StoreMetadata>,
    interpreter: Option<Interpreter>,
    credentials: usize,
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loader({:?}, {} bytes to come)", self.sequence, self.package_left + self.sequence_left)
    }
}

/// What a piece has led to.
#[derive(Debug)]
pub(crate) enum Progress {
    /// More has to come.
    More,
    /// The profile is complete.
    Complete(Box<Profile>),
}

/// The first bytes of an element whose value may not be there yet: tag, length of the value, length of both.
fn read_header(bytes: &[u8]) -> Option<(u32, usize, usize)> {
    let (tag, at) = match bytes {
        [first @ (0xBF | 0x5F), second, ..] => (u32::from(*first) << 8 | u32::from(*second), 2),
        [first, ..] => (u32::from(*first), 1),
        [] => return None,
    };
    let first = *bytes.get(at)?;
    if first < 0x80 {
        return Some((tag, usize::from(first), at + 1));
    }
    let count = usize::from(first & 0x7F);
    if !(1..=4).contains(&count) {
        return None;
    }
    let digits = bytes.get(at + 1..at + 1 + count)?;
    Some((tag, digits.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), at + 1 + count))
}

/// True for the tags that only a bound profile package has at the beginning of a command.
pub(crate) fn belongs_to_package(data: &[u8]) -> bool {
    read_header(data).is_some_and(|(tag, ..)| {
        tag == TAG_BOUND_PROFILE_PACKAGE
            || Sequence::of_tag(tag).is_some()
            || matches!(tag, TAG_SEGMENT_COMMAND | TAG_SEGMENT_METADATA | TAG_SEGMENT_PROFILE)
    })
}

/// True for the command that begins a bound profile package.
pub(crate) fn begins_package(data: &[u8]) -> bool {
    read_header(data).is_some_and(|(tag, ..)| tag == TAG_BOUND_PROFILE_PACKAGE)
}

/// What the session has established before the package comes.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub(crate) transaction_id: &'a TransactionId,
    pub(crate) binding_certificate: &'a Certificate,
    pub(crate) one_time_key: &'a PrivateKey,
    pub(crate) credentials: usize,
}

impl Loader {
    /// Takes the first piece, `BF36` with InitialiseSecureChannel.
    pub(crate) fn begin(data: &[u8], prepared: &Prepared<'_>, card: Card<'_>) -> Result<Self, LoadFailure> {
        let fail = |reason, problem: &str| LoadFailure {
            command: BppCommandId::InitialiseSecureChannel,
            failure: Failure::because(reason),
            problem: problem.to_owned(),
        };
        let wrong = |problem: &str| fail(ErrorReason::IncorrectInputValues, problem);
        let (package_length, header_length) = match read_header(data) {
            Some((TAG_BOUND_PROFILE_PACKAGE, length, header_length)) => (length, header_length),
            _ => return Err(wrong("the package does not begin with BF36")),
        };
        let body = &data[header_length..];
        let (tlv, rest) = Tlv::parse(body).map_err(|error| wrong(&error.to_string()))?;
        if tlv.tag().0 != TAG_INITIALISE_SECURE_CHANNEL || tlv.raw().len() > package_length {
            return Err(wrong("InitialiseSecureChannel does not come first"));
        }
        let command = InitialiseSecureChannel::parse(tlv.raw()).map_err(|error| wrong(&error.to_string()))?;

        // SGP.22 v2.5 §5.5.1: signature, then transaction id, remote operation, control reference template.
        let otpk = prepared.one_time_key.public().point();
        let key = prepared.binding_certificate.public_key();
        if !key.verify(&[&command.signed_bytes(&otpk)], command.smdp_signature) {
            return Err(fail(ErrorReason::InvalidSignature, "the signature over InitialiseSecureChannel is wrong"));
        }
        if command.transaction_id != *prepared.transaction_id {
            return Err(fail(ErrorReason::InvalidTransactionId, "the package is of another session"));
        }
        if command.remote_operation_id != REMOTE_OPERATION_INSTALL {
            return Err(fail(ErrorReason::UnsupportedRemoteOperationType, "the remote operation is no installation"));
        }
        if command.key_type != KEY_TYPE_AES || command.key_length != KEY_LENGTH {
            return Err(fail(ErrorReason::UnsupportedCrtValues, "the session keys are not to be AES of 16 bytes"));
        }
        let peer = PublicKey::from_point(prepared.one_time_key.curve(), &command.smdp_otpk)
            .map_err(|error| wrong(&error.to_string()))?;
        let keys = SessionKeys::agree(prepared.one_time_key, &peer, command.host_id, &card.config.eid)
            .map_err(|error| fail(ErrorReason::InstallFailedDueToUnknownError, &error.to_string()))?;

        let mut loader = Loader {
            channel: SecureChannel::new(keys),
            package_left: package_length - tlv.raw().len(),
            sequence: None,
            sequence_left: 0,
            command: Zeroizing::default(),
            smdp_oid: prepared.binding_certificate.registered_id().cloned(),
            dp_oid: None,
            metadata: None,
            interpreter: None,
            credentials: prepared.credentials,
        };
        match loader.receive(rest, card)? {
            Progress::More => Ok(loader),
            // A package whose profile came with its first command leaves nothing to be loaded.
            Progress::Complete(_) => Err(fail(ErrorReason::Scp03tStructureError, "the package is one command")),
        }
    }

    /// A loader past InitialiseSecureChannel, for a package of this length behind it.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn opened(keys: SessionKeys, package_left: usize) -> Self {
        Loader {
            channel: SecureChannel::new(keys),
            package_left,
            sequence: None,
            sequence_left: 0,
            command: Zeroizing::default(),
            smdp_oid: None,
            dp_oid: None,
            metadata: None,
            interpreter: None,
            credentials: 0,
        }
    }

    /// The SM-DP+ that has bound the package.
    pub(crate) fn smdp_oid(&self) -> Option<&Oid> {
        self.smdp_oid.as_ref()
    }

    /// The metadata, once it is there.
    pub(crate) fn metadata(&self) -> Option<&StoreMetadata> {
        self.metadata.as_ref()
    }

    /// The command that is coming, or that is to come next.
    pub(crate) fn command(&self) -> BppCommandId {
        match self.sequence {
            None => BppCommandId::ConfigureIsdp,
            Some(Sequence::First87) if self.sequence_left == 0 => BppCommandId::StoreMetadata,
            Some(Sequence::Metadata88 | Sequence::Second87) if self.sequence_left == 0 => {
                BppCommandId::LoadProfileElements
            }
            Some(sequence) => sequence.command(),
        }
    }

    /// Takes the next piece: headers of sequences and whole segments, as many as there are.
    pub(crate) fn receive(&mut self, mut piece: &[u8], card: Card<'_>) -> Result<Progress, LoadFailure> {
        while !piece.is_empty() {
            if self.sequence_left == 0 {
                piece = self.enter_sequence(piece)?;
                continue;
            }
            let Some(sequence) = self.sequence else {
                return Err(self.structure("a segment comes before its sequence"));
            };
            let (segment, rest) = Tlv::parse(piece).map_err(|error| self.structure(&error.to_string()))?;
            let length = segment.raw().len();
            if segment.tag().0 != sequence.segment_tag() {
                return Err(self.structure(&format!("segment {} comes in another sequence", segment.tag())));
            }
            // SGP.22 v2.5 §2.5.4: the size of a segment is limited, and it ends inside its sequence.
            if length > MAX_SEGMENT || length > self.sequence_left {
                return Err(self.structure(&format!("a segment of {length} bytes is too long")));
            }
            self.sequence_left -= length;
            self.open_segment(sequence, &segment)?;
            piece = rest;
            if self.sequence_left == 0
                && let Some(profile) = self.leave_sequence(sequence, card)?
            {
                return if piece.is_empty() {
                    Ok(Progress::Complete(profile))
                } else {
                    Err(self.structure("bytes follow the package"))
                };
            }
        }
        Ok(Progress::More)
    }

    fn enter_sequence<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], LoadFailure> {
        let (tag, length, header_length) =
            read_header(piece).ok_or_else(|| self.structure("a sequence has no readable tag and length"))?;
        let next = Sequence::of_tag(tag)
            .filter(|next| next.may_follow(self.sequence))
            .ok_or_else(|| self.structure(&format!("element {tag:X} comes out of order")))?;
        // SGP.22 v2.5 §2.5.4: the sequences fill the package, the last one to its end.
        let total = header_length.saturating_add(length);
        let fits = if next == Sequence::Profile86 { total == self.package_left } else { total < self.package_left };
        if !fits || length == 0 {
            return Err(LoadFailure { command: next.command(), ..self.structure("a sequence has the wrong length") });
        }
        self.sequence = Some(next);
        self.sequence_left = length;
        if next != Sequence::Profile86 {
            // Reserved at once, so that no growth leaves a copy of keys in freed memory.
            self.command = Zeroizing::new(Vec::with_capacity(length.min(MAX_COMMAND)));
        }
        self.package_left -= total;
        Ok(&piece[header_length..])
    }

    fn open_segment(&mut self, sequence: Sequence, segment: &Tlv<'_>) -> Result<(), LoadFailure> {
        let plaintext = self.channel.open(segment).map_err(|error| {
            let reason = match error {
                SegmentError::Structure { .. } => ErrorReason::Scp03tStructureError,
                SegmentError::Security { .. } => ErrorReason::Scp03tSecurityError,
                SegmentError::Crypto(_) => ErrorReason::InstallFailedDueToUnknownError,
            };
            self.fail(Failure::because(reason), &error.to_string())
        })?;
        if sequence == Sequence::Profile86 {
            let Some(interpreter) = &mut self.interpreter else {
                return Err(self.structure("the profile comes before its metadata"));
            };
            return interpreter.feed(&plaintext).map_err(|failure| {
                let problem = failure.to_string();
                self.fail(failure, &problem)
            });
        }
        if self.command.len() + plaintext.len() > MAX_COMMAND {
            return Err(self.structure("the command is too long"));
        }
        self.command.extend_from_slice(&plaintext);
        Ok(())
    }

    /// A sequence is whole: its command is carried out.
    fn leave_sequence(&mut self, sequence: Sequence, card: Card<'_>) -> Result<Option<Box<Profile>>, LoadFailure> {
        let command = mem::take(&mut self.command);
        let malformed = |error: TlvError| (Failure::because(ErrorReason::IncorrectInputValues), error.to_string());
        let done = match sequence {
            Sequence::First87 => parse_configure_isdp(&command).map(|oid| self.dp_oid = oid).map_err(malformed),
            Sequence::Metadata88 => StoreMetadata::parse(&command)
                .map_err(malformed)
                .and_then(|metadata| {
                    // Kept before it is checked: the result of the installation names the profile.
                    self.metadata = Some(metadata.clone());
                    check_metadata(&metadata, card).map(|()| metadata)
                })
                .map(|metadata| {
                    let demands = Demands {
                        uicc_capability: card.config.uicc_capability,
                        profile_version: card.config.profile_version,
                        memory: card.config.memory.saturating_sub(card.store.memory()),
                    };
                    self.interpreter = Some(Interpreter::new(metadata, demands, self.package_left));
                }),
            Sequence::Second87 => SessionKeys::parse_replace_session_keys(&command)
                .map(|keys| self.channel = SecureChannel::new(keys))
                .map_err(malformed),
            Sequence::Profile86 => return self.complete().map(Some),
        };
        match done {
            Ok(()) => Ok(None),
            Err((failure, problem)) => Err(self.fail(failure, &problem)),
        }
    }

    fn complete(&mut self) -> Result<Box<Profile>, LoadFailure> {
        let (Some(interpreter), Some(metadata)) = (self.interpreter.take(), self.metadata.clone()) else {
            return Err(self.structure("the profile comes before its metadata"));
        };
        let package = interpreter.finish().map_err(|failure| {
            let problem = failure.to_string();
            self.fail(failure, &problem)
        })?;
        Ok(Box::new(Profile {
            aid: Aid::isd_p(crate::profile::FIRST_ISD_P),
            metadata,
            enabled: false,
            nickname: None,
            dp_oid: self.dp_oid.take(),
            preinstalled: false,
            credentials: self.credentials,
            package,
        }))
    }

    fn fail(&self, failure: Failure, problem: &str) -> LoadFailure {
        LoadFailure {
            command: self.sequence.map_or(BppCommandId::ConfigureIsdp, Sequence::command),
            failure,
            problem: problem.to_owned(),
        }
    }

    fn structure(&self, problem: &str) -> LoadFailure {
        LoadFailure {
            command: self.command(),
            ..self.fail(Failure::because(ErrorReason::Scp03tStructureError), problem)
        }
    }
}

/// ConfigureISDP (SGP.22 v2.5 §5.5.2): the SM-DP+ that may manage the profile further.
fn parse_configure_isdp(command: &[u8]) -> Result<Option<Oid>, TlvError> {
    let mut fields = Tlv::parse_as(TAG_CONFIGURE_ISDP, command)?.reader();
    let proprietary = fields.optional(0xB8)?;
    fields.finish()?;
    let Some(proprietary) = proprietary else { return Ok(None) };
    let bad = |rule| TlvError::BadValue { tag: proprietary.tag(), rule };
    if proprietary.value().len() > MAX_DP_PROPRIETARY_DATA {
        return Err(bad("at most 128 bytes"));
    }
    let oid = proprietary.reader().require(0x80)?;
    Oid::from_der_content(oid.value()).map(Some).map_err(|_| bad("an object identifier of the SM-DP+"))
}

/// StoreMetadata (SGP.22 v2.5 §5.5.3): what the card checks before it stores anything.
fn check_metadata(metadata: &StoreMetadata, card: Card<'_>) -> Result<(), (Failure, String)> {
    let fail = |reason, problem: &str| Err((Failure::because(reason), problem.to_owned()));
    if card.store.by_iccid(metadata.iccid).is_some() {
        return fail(
            ErrorReason::InstallFailedDueToIccidAlreadyExistsOnEuicc,
            "a profile with this ICCID is installed already",
        );
    }
    let class_supported = match metadata.profile_class {
        ProfileClass::Operational | ProfileClass::Provisioning => true,
        ProfileClass::Test => card.config.rsp_capability.has(rsp_capability::TEST_PROFILE),
        ProfileClass::Other(_) => false,
    };
    if !class_supported {
        return fail(ErrorReason::UnsupportedProfileClass, "the card does not take profiles of this class");
    }
    let rules = metadata.profile_policy_rules.unwrap_or_default();
    let owner = metadata.profile_owner.as_ref();
    if !policy::is_authorised(rules, owner, &card.config.rat, card.config.forbidden_pprs) {
        return fail(
            ErrorReason::PprNotAllowed,
            "the rules authorisation table does not allow its policy rules to this operator",
        );
    }
    Ok(())
}
