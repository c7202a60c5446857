//! Messages in words: the TLVs of ES10 and ES8+ with the names that SGP.22 gives them, APDUs and status words.
//!
//! For people who look at a report; nothing is judged here, and bytes that make no sense are shown as they are.

use std::fmt::Write as _;

use rsp::cert::Certificate;
use rsp::es10::auth::AuthenticateErrorCode;
use rsp::es10::download::{BppCommandId, CancelSessionReason, DownloadErrorCode, ErrorReason};
use rsp::ids::{Iccid, to_hex};
use rsp::tlv::{Tag, Tlv, TlvError};

/// How many bytes of a value are shown; the raw message has all of them.
const SHOWN_BYTES: usize = 48;

/// How deep elements are opened: SGP.22 needs nine, and nobody shall make us recurse without end.
const DEPTH: usize = 16;

/// Which side of a function a message is on: some tags mean other things in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What the card or server is asked.
    Request,
    /// What it answers.
    Response,
}

/// (side: `>` request, `<` response, `*` both; the element it stands in, 0 for any; the tag; its name). Where an
/// element has several of the same tag the names stand in their order, separated by `|`.
type Name = (char, u32, u32, &'static str);

/// The element that holds tags of any kind: no name is known below it.
const ANY: u32 = 0;

/// The names of SGP.22 v2.5 (ASN.1 module RSPDefinitions); the order is that of the sections 5.5 and 5.7.
const NAMES: &[Name] = &[
    // Elements that mean the same everywhere.
    ('*', ANY, 0x4F, "aid"),
    ('*', ANY, 0x5A, "iccid"),
    ('*', ANY, 0x5F37, "signature"),
    ('*', ANY, 0x5F49, "otpk"),
    ('*', ANY, 0xBF2F, "notificationMetadata"),
    ('*', 0xBF2F, 0x80, "seqNumber"),
    ('*', 0xBF2F, 0x81, "profileManagementOperation"),
    ('*', 0xBF2F, 0x0C, "notificationAddress"),
    // §5.7.8
    ('*', ANY, 0xBF20, "euiccInfo1"),
    ('*', ANY, 0xBF22, "euiccInfo2"),
    ('*', ANY, 0xA9, "euiccCiPKIdListForVerification"),
    ('*', ANY, 0xAA, "euiccCiPKIdListForSigning"),
    ('*', 0xA9, 0x04, "subjectKeyIdentifier"),
    ('*', 0xAA, 0x04, "subjectKeyIdentifier"),
    ('*', 0xBF20, 0x82, "svn"),
    ('*', 0xBF22, 0x81, "profileVersion"),
    ('*', 0xBF22, 0x82, "svn"),
    ('*', 0xBF22, 0x83, "euiccFirmwareVer"),
    ('*', 0xBF22, 0x84, "extCardResource"),
    ('*', 0xBF22, 0x85, "uiccCapability"),
    ('*', 0xBF22, 0x86, "ts102241Version"),
    ('*', 0xBF22, 0x87, "globalplatformVersion"),
    ('*', 0xBF22, 0x88, "rspCapability"),
    ('*', 0xBF22, 0x8B, "euiccCategory"),
    ('*', 0xBF22, 0x99, "forbiddenProfilePolicyRules"),
    ('*', 0xBF22, 0x04, "ppVersion"),
    ('*', 0xBF22, 0x0C, "sasAcreditationNumber"),
    ('*', 0xBF22, 0xAC, "certificationDataObject"),
    ('*', 0xAC, 0x80, "platformLabel"),
    ('*', 0xAC, 0x81, "discoveryBaseURL"),
    // §5.7.7
    ('*', ANY, 0xBF2E, "getEuiccChallenge"),
    ('*', 0xBF2E, 0x80, "euiccChallenge"),
    // §5.7.12
    ('*', ANY, 0xBF35, "loadCRL"),
    ('>', 0xBF35, 0xA0, "crl"),
    ('<', 0xBF35, 0xA0, "loadCRLResponseOk"),
    ('<', 0xBF35, 0x81, "loadCRLResponseError"),
    // §5.4.1
    ('*', ANY, 0xBF2A, "updateMetadata"),
    // §5.7.13
    ('*', ANY, 0xBF38, "authenticateServer"),
    ('>', 0xBF38, 0x30, "serverSigned1|serverCertificate"),
    ('>', 0xBF38, 0x5F37, "serverSignature1"),
    ('>', 0xBF38, 0x04, "euiccCiPKIdToBeUsed"),
    ('>', 0xBF38, 0xA0, "ctxParamsForCommonAuthentication"),
    ('<', 0xBF38, 0xA0, "authenticateResponseOk"),
    ('<', 0xBF38, 0xA1, "authenticateResponseError"),
    ('*', ANY, 0xBF21, "prepareDownload"),
    ('>', 0xBF21, 0x30, "smdpSigned2|smdpCertificate"),
    ('>', 0xBF21, 0x5F37, "smdpSignature2"),
    ('>', 0xBF21, 0x04, "hashCc"),
    ('<', 0xBF21, 0xA0, "downloadResponseOk"),
    ('<', 0xBF21, 0xA1, "downloadResponseError"),
    // §5.5
    ('*', ANY, 0xBF36, "boundProfilePackage"),
    ('*', ANY, 0xBF23, "initialiseSecureChannel"),
    ('*', 0xBF23, 0x82, "remoteOpId"),
    ('*', 0xBF23, 0x80, "transactionId"),
    ('*', 0xBF23, 0xA6, "controlRefTemplate"),
    ('*', 0xBF23, 0x5F49, "smdpOtpk"),
    ('*', 0xBF23, 0x5F37, "smdpSign"),
    ('*', 0xA6, 0x80, "keyType"),
    ('*', 0xA6, 0x81, "keyLen"),
    ('*', 0xA6, 0x84, "hostId"),
    ('*', 0xBF36, 0xA0, "firstSequenceOf87"),
    ('*', 0xBF36, 0xA1, "sequenceOf88"),
    ('*', 0xBF36, 0xA2, "secondSequenceOf87"),
    ('*', 0xBF36, 0xA3, "sequenceOf86"),
    ('*', ANY, 0xBF24, "configureISDP"),
    ('*', ANY, 0xBF25, "storeMetadata"),
    ('*', ANY, 0xBF26, "replaceSessionKeys"),
    ('*', ANY, 0x86, "segment of the profile (protected)"),
    ('*', ANY, 0x87, "segment with a command (protected)"),
    ('*', ANY, 0x88, "segment with metadata (MAC only)"),
    // Metadata of a profile: §5.5.3 and §5.7.15.
    ('*', ANY, 0xE3, "profileInfo"),
    ('*', 0xE3, 0x4F, "isdpAid"),
    ('*', 0xE3, 0x9F70, "profileState"),
    ('*', ANY, 0x90, "profileNickname"),
    ('*', ANY, 0x91, "serviceProviderName"),
    ('*', ANY, 0x92, "profileName"),
    ('*', ANY, 0x93, "iconType"),
    ('*', ANY, 0x94, "icon"),
    ('*', ANY, 0x95, "profileClass"),
    ('*', ANY, 0x99, "profilePolicyRules"),
    ('*', ANY, 0xB6, "notificationConfigurationInfo"),
    ('*', 0xB6, 0x30, "notificationConfigurationInformation|notificationConfigurationInformation"),
    ('*', ANY, 0xB7, "profileOwner"),
    ('*', 0xB7, 0x80, "mccMnc"),
    ('*', 0xB7, 0x81, "gid1"),
    ('*', 0xB7, 0x82, "gid2"),
    ('*', ANY, 0xB8, "dpProprietaryData"),
    // §2.5.6
    ('*', ANY, 0xBF37, "profileInstallationResult"),
    ('*', 0xBF37, 0x5F37, "euiccSignPIR"),
    ('*', ANY, 0xBF27, "profileInstallationResultData"),
    ('*', 0xBF27, 0x80, "transactionId"),
    ('*', 0xBF27, 0x06, "smdpOid"),
    ('*', 0xBF27, 0xA2, "finalResult"),
    ('*', 0xA2, 0xA0, "successResult"),
    ('*', 0xA2, 0xA1, "errorResult"),
    ('*', 0xA1, 0x80, "bppCommandId"),
    ('*', 0xA1, 0x81, "errorReason"),
    ('*', ANY, 0x04, "octets"),
    // §5.7.9, §5.7.10, §5.7.11
    ('*', ANY, 0xBF28, "listNotification"),
    ('>', 0xBF28, 0x81, "profileManagementOperation"),
    ('<', 0xBF28, 0xA0, "notificationMetadataList"),
    ('<', 0xBF28, 0x81, "listNotificationsResultError"),
    ('*', ANY, 0xBF2B, "retrieveNotificationsList"),
    ('>', 0xBF2B, 0xA0, "searchCriteria"),
    ('<', 0xBF2B, 0xA0, "notificationList"),
    ('<', 0xBF2B, 0x81, "notificationsListResultError"),
    ('*', ANY, 0xBF30, "removeNotificationFromList"),
    ('>', 0xBF30, 0x80, "seqNumber"),
    ('<', 0xBF30, 0x80, "deleteNotificationStatus"),
    // §5.7.15 to §5.7.21
    ('*', ANY, 0xBF2D, "getProfilesInfo"),
    ('>', 0xBF2D, 0xA0, "searchCriteria"),
    ('<', 0xBF2D, 0xA0, "profileInfoListOk"),
    ('<', 0xBF2D, 0x81, "profileInfoListError"),
    ('*', ANY, 0x5C, "tagList"),
    ('*', ANY, 0xBF31, "enableProfile"),
    ('*', ANY, 0xBF32, "disableProfile"),
    ('*', ANY, 0xBF33, "deleteProfile"),
    ('>', 0xBF31, 0xA0, "profileIdentifier"),
    ('>', 0xBF32, 0xA0, "profileIdentifier"),
    ('>', 0xBF31, 0x81, "refreshFlag"),
    ('>', 0xBF32, 0x81, "refreshFlag"),
    ('<', 0xBF31, 0x80, "enableResult"),
    ('<', 0xBF32, 0x80, "disableResult"),
    ('<', 0xBF33, 0x80, "deleteResult"),
    ('*', ANY, 0xBF29, "setNickname"),
    ('<', 0xBF29, 0x80, "setNicknameResult"),
    ('*', ANY, 0xBF34, "eUICCMemoryReset"),
    ('>', 0xBF34, 0x82, "resetOptions"),
    ('<', 0xBF34, 0x80, "resetResult"),
    ('*', ANY, 0xBF3C, "euiccConfiguredAddresses"),
    ('<', 0xBF3C, 0x80, "defaultDpAddress"),
    ('<', 0xBF3C, 0x81, "rootDsAddress"),
    ('*', ANY, 0xBF3F, "setDefaultDpAddress"),
    ('>', 0xBF3F, 0x80, "defaultDpAddress"),
    ('<', 0xBF3F, 0x80, "setDefaultDpAddressResult"),
    ('*', ANY, 0xBF3E, "getEuiccData"),
    ('<', 0xBF3E, 0x5A, "eidValue"),
    // §5.7.14
    ('*', ANY, 0xBF41, "cancelSession"),
    ('>', 0xBF41, 0x80, "transactionId"),
    ('>', 0xBF41, 0x81, "reason"),
    ('<', 0xBF41, 0xA0, "cancelSessionResponseOk"),
    ('<', 0xBF41, 0x81, "cancelSessionResponseError"),
    ('*', ANY, 0xBF43, "getRat"),
    // A file control template (ETSI TS 102 221 §11.1.1.3) and that of a SELECT by name (GlobalPlatform).
    ('*', ANY, 0x6F, "fci"),
    ('*', 0x6F, 0x84, "dfName"),
    ('*', 0x6F, 0xA5, "proprietary"),
    ('*', ANY, 0x62, "fcp"),
    ('*', 0x62, 0x82, "fileDescriptor"),
    ('*', 0x62, 0x83, "fileIdentifier"),
    ('*', 0x62, 0x84, "dfName"),
    ('*', 0x62, 0x8A, "lifeCycleStatus"),
    ('*', 0x62, 0xC6, "pinStatus"),
    // Universal types (X.690).
    ('*', ANY, 0x01, "BOOLEAN"),
    ('*', ANY, 0x02, "INTEGER"),
    ('*', ANY, 0x03, "BIT STRING"),
    ('*', ANY, 0x05, "NULL"),
    ('*', ANY, 0x06, "OBJECT IDENTIFIER"),
    ('*', ANY, 0x0C, "UTF8String"),
    ('*', ANY, 0x13, "PrintableString"),
    ('*', ANY, 0x17, "UTCTime"),
    ('*', ANY, 0x18, "GeneralizedTime"),
    ('*', ANY, 0x30, "SEQUENCE"),
    ('*', ANY, 0x31, "SET"),
];

/// Names by the name of the element they stand in, where tags alone do not tell: the tag of the outer element is the
/// same for many (`30`, `A0`).
const NAMES_WITHIN: &[(&str, u32, &str)] = &[
    ("serverSigned1", 0x80, "transactionId"),
    ("serverSigned1", 0x81, "euiccChallenge"),
    ("serverSigned1", 0x83, "serverAddress"),
    ("serverSigned1", 0x84, "serverChallenge"),
    ("ctxParamsForCommonAuthentication", 0x80, "matchingId"),
    ("ctxParamsForCommonAuthentication", 0xA1, "deviceInfo"),
    ("deviceInfo", 0x80, "tac"),
    ("deviceInfo", 0xA1, "deviceCapabilities"),
    ("deviceInfo", 0x82, "imei"),
    ("deviceCapabilities", 0x80, "gsmSupportedRelease"),
    ("deviceCapabilities", 0x81, "utranSupportedRelease"),
    ("deviceCapabilities", 0x82, "cdma2000onexSupportedRelease"),
    ("deviceCapabilities", 0x83, "cdma2000hrpdSupportedRelease"),
    ("deviceCapabilities", 0x84, "cdma2000ehrpdSupportedRelease"),
    ("deviceCapabilities", 0x85, "eutranSupportedRelease"),
    ("deviceCapabilities", 0x86, "contactlessSupportedRelease"),
    ("authenticateResponseOk", 0x30, "euiccSigned1|euiccCertificate|eumCertificate"),
    ("authenticateResponseOk", 0x5F37, "euiccSignature1"),
    ("authenticateResponseError", 0x80, "transactionId"),
    ("authenticateResponseError", 0x02, "authenticateErrorCode"),
    ("euiccSigned1", 0x80, "transactionId"),
    ("euiccSigned1", 0x83, "serverAddress"),
    ("euiccSigned1", 0x84, "serverChallenge"),
    ("euiccSigned1", 0xA0, "ctxParamsForCommonAuthentication"),
    ("smdpSigned2", 0x80, "transactionId"),
    ("smdpSigned2", 0x01, "ccRequiredFlag"),
    ("smdpSigned2", 0x5F49, "bppEuiccOtpk"),
    ("downloadResponseOk", 0x30, "euiccSigned2"),
    ("downloadResponseOk", 0x5F37, "euiccSignature2"),
    ("downloadResponseError", 0x80, "transactionId"),
    ("downloadResponseError", 0x02, "downloadErrorCode"),
    ("euiccSigned2", 0x80, "transactionId"),
    ("euiccSigned2", 0x5F49, "euiccOtpk"),
    ("euiccSigned2", 0x04, "hashCc"),
    ("successResult", 0x04, "simaResponse"),
    ("errorResult", 0x04, "simaResponse"),
    ("searchCriteria", 0x80, "seqNumber"),
    ("searchCriteria", 0x81, "profileManagementOperation"),
    ("notificationList", 0x30, "otherSignedNotification"),
    ("otherSignedNotification", 0x5F37, "euiccNotificationSignature"),
    ("otherSignedNotification", 0x30, "euiccCertificate|eumCertificate"),
    ("notificationConfigurationInformation", 0x80, "profileManagementOperation"),
    ("notificationConfigurationInformation", 0x81, "notificationAddress"),
    ("cancelSessionResponseOk", 0x30, "euiccCancelSessionSigned"),
    ("cancelSessionResponseOk", 0x5F37, "euiccCancelSessionSignature"),
    ("euiccCancelSessionSigned", 0x80, "transactionId"),
    ("euiccCancelSessionSigned", 0x81, "smdpOid"),
    ("euiccCancelSessionSigned", 0x82, "reason"),
];

/// The name of a function of ES10 or ES8+ by its tag.
pub fn function_name(tag: u32) -> Option<&'static str> {
    NAMES.iter().find(|(_, within, of, _)| *within == ANY && *of == tag && tag > 0xFF).map(|(.., name)| *name)
}

/// The name of an element: `nth` counts those of the same tag before it.
fn name(side: Side, outer: Option<(Tag, &str)>, tag: Tag, nth: usize) -> &'static str {
    let sign = if side == Side::Request { '>' } else { '<' };
    let (outer_tag, outer_name) = outer.map_or((ANY, ""), |(tag, name)| (tag.0, name));
    let within = NAMES_WITHIN.iter().find(|(name, of, _)| *name == outer_name && *of == tag.0).map(|(.., name)| *name);
    let of = |place: u32| {
        let fits = |entry: &&Name| (entry.0 == '*' || entry.0 == sign) && entry.1 == place && entry.2 == tag.0;
        NAMES.iter().find(fits).map(|entry| entry.3)
    };
    let names = within.or_else(|| of(outer_tag)).or_else(|| of(ANY)).unwrap_or_default();
    names.split('|').nth(nth).or_else(|| names.split('|').next_back()).unwrap_or_default()
}

/// A message as an indented tree, one element per line. Bytes that are no TLV are shown in hexadecimal.
pub fn tree(bytes: &[u8], side: Side) -> String {
    let mut text = String::new();
    elements(&mut text, bytes, side, None, 0);
    text
}

fn elements(text: &mut String, mut bytes: &[u8], side: Side, outer: Option<(Tag, &str)>, depth: usize) {
    let mut seen: Vec<Tag> = Vec::new();
    while !bytes.is_empty() {
        let indent = "  ".repeat(depth);
        let (tag, value, missing, rest) = match element(bytes) {
            Some(found) => found,
            None => {
                let _ = writeln!(text, "{indent}{} (no TLV)", hex(bytes));
                return;
            }
        };
        let nth = seen.iter().filter(|earlier| **earlier == tag).count();
        seen.push(tag);
        let name = name(side, outer, tag, nth);
        let length = value.len();
        let mut head = format!("{indent}{tag}");
        if !name.is_empty() {
            let _ = write!(head, " {name}");
        }
        if missing > 0 {
            let _ = write!(head, " ({length} of {} bytes; the rest is in other commands)", length + missing);
        }
        let certificate = name.ends_with("Certificate").then(|| Certificate::parse(&bytes[..bytes.len() - rest.len()]));
        if let Some(Ok(certificate)) = certificate {
            let _ = writeln!(text, "{head}: {}", certificate_words(&certificate));
        } else if tag.is_constructed() && depth < DEPTH {
            let _ = writeln!(text, "{head}{}", if value.is_empty() { ": empty" } else { "" });
            elements(text, value, side, Some((tag, name)), depth + 1);
        } else {
            let _ = writeln!(text, "{head}: {}", words(name, value));
        }
        bytes = rest;
    }
}

/// The first element: tag, value as far as it is there, how many of its bytes are missing, and what follows.
fn element(bytes: &[u8]) -> Option<(Tag, &[u8], usize, &[u8])> {
    match Tlv::parse(bytes) {
        Ok((tlv, rest)) => Some((tlv.tag(), tlv.value(), 0, rest)),
        // The first segment of a bound profile package ends before its outermost element does (SGP.22 §2.5.5).
        Err(TlvError::Truncated { needed, .. }) => {
            let mut padded = bytes.to_vec();
            // An element of this length makes no sense in a card, and shall not cost the memory.
            padded.resize(bytes.len().checked_add(needed).filter(|length| *length < 1 << 24)?, 0);
            let (tlv, _) = Tlv::parse(&padded).ok()?;
            let header = tlv.header().len();
            let value = bytes.get(header..)?;
            Some((tlv.tag(), value, tlv.value().len().checked_sub(value.len())?, &[]))
        }
        Err(_) => None,
    }
}

/// A binary field of ES9+ that is no TLV of SGP.22's, in words.
pub fn plain_field(name: &str, bytes: &[u8]) -> Option<String> {
    if name.ends_with("Challenge") {
        return Some(to_hex(bytes));
    }
    if name.ends_with("Certificate") {
        return Certificate::parse(bytes).ok().map(|certificate| certificate_words(&certificate));
    }
    None
}

fn certificate_words(certificate: &Certificate) -> String {
    let mut text = format!("certificate of {} bytes", certificate.der().len());
    let parts = [
        ("of", certificate.common_name().map(str::to_owned)),
        ("serial number", certificate.serial_number().map(str::to_owned)),
        ("role", certificate.role().map(|role| format!("{role:?}"))),
        ("key identifier", certificate.subject_key_id().map(to_hex)),
    ];
    for (what, value) in parts {
        if let Some(value) = value {
            let _ = write!(text, ", {what} {value}");
        }
    }
    text
}

/// A value as its kind is read; in hexadecimal where nothing is known about it.
fn words(name: &str, value: &[u8]) -> String {
    let number = || value.iter().try_fold(0u32, |number, byte| Some(number.checked_mul(256)? | u32::from(*byte)));
    let of_list = |list: &[(u32, &str)]| {
        let number = number()?;
        let word = list.iter().find(|(code, _)| *code == number).map_or("unknown", |(_, word)| *word);
        Some(format!("{number} ({word})"))
    };
    let known = match name {
        "iccid" => Iccid::from_bytes(value).ok().map(|iccid| iccid.to_string()),
        "svn" | "profileVersion" | "ppVersion" | "euiccFirmwareVer" if value.len() == 3 => {
            Some(value.iter().map(u8::to_string).collect::<Vec<_>>().join("."))
        }
        "profileState" => of_list(&[(0, "disabled"), (1, "enabled")]),
        "profileClass" => of_list(&[(0, "test"), (1, "provisioning"), (2, "operational")]),
        "enableResult" | "disableResult" => of_list(&[
            (0, "ok"),
            (1, "iccidOrAidNotFound"),
            (2, "profile not in the state for it"),
            (3, "disallowedByPolicy"),
            (4, "wrongProfileReenabling"),
            (5, "catBusy"),
            (127, "undefinedError"),
        ]),
        "deleteResult" => of_list(&[
            (0, "ok"),
            (1, "iccidOrAidNotFound"),
            (2, "profileNotInDisabledState"),
            (3, "disallowedByPolicy"),
            (127, "undefinedError"),
        ]),
        "setNicknameResult" => of_list(&[(0, "ok"), (1, "iccidNotFound"), (127, "undefinedError")]),
        "resetResult" => of_list(&[(0, "ok"), (1, "nothingToDelete"), (5, "catBusy"), (127, "undefinedError")]),
        "deleteNotificationStatus" => of_list(&[(0, "ok"), (1, "nothingToDelete"), (127, "undefinedError")]),
        "setDefaultDpAddressResult" => of_list(&[(0, "ok"), (127, "undefinedError")]),
        "authenticateErrorCode" => number().map(|code| numbered(code, AuthenticateErrorCode::from_code(code).name())),
        "downloadErrorCode" => number().map(|code| numbered(code, DownloadErrorCode::from_code(code).name())),
        "bppCommandId" => number().map(|code| numbered(code, BppCommandId::from_code(code).name())),
        "errorReason" => number().map(|code| numbered(code, ErrorReason::from_code(code).name())),
        "reason" => number().map(|code| numbered(code, CancelSessionReason::from_code(code).name())),
        // A bit string: the number of bits that are not used, then the bits (NotificationEvent).
        "profileManagementOperation" => match value {
            [_, bits] => {
                let events = [(0x80, "install"), (0x40, "enable"), (0x20, "disable"), (0x10, "delete")];
                let set: Vec<&str> = events.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
                (!set.is_empty()).then(|| format!("{} ({})", set.join(", "), to_hex(value)))
            }
            _ => None,
        },
        "seqNumber" | "INTEGER" => number().map(|number| number.to_string()),
        _ => None,
    };
    known.unwrap_or_else(|| match std::str::from_utf8(value) {
        Ok(text) if value.len() > 1 && text.chars().all(|char| !char.is_control()) && is_text(name, text) => {
            format!("{text:?}")
        }
        _ if value.is_empty() => "empty".to_owned(),
        _ => hex(value),
    })
}

fn numbered(code: u32, name: &str) -> String {
    format!("{code} ({name})")
}

/// Whether a value that could be text is one: a name that says so, or letters that are hardly there by chance.
fn is_text(name: &str, text: &str) -> bool {
    let says_so = ["Name", "Address", "Nickname", "URL", "Label", "String", "Time", "Number", "matchingId"];
    says_so.iter().any(|part| name.contains(part)) || (text.len() > 7 && text.is_ascii())
}

fn hex(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN_BYTES) {
        Some(shown) if shown.len() < bytes.len() => format!("{}... ({} bytes)", to_hex(shown), bytes.len()),
        _ => to_hex(bytes),
    }
}

/// What a command to the card is (ETSI TS 102 221 §10.1.2, GlobalPlatform §11).
pub fn instruction(command: &[u8]) -> &'static str {
    match command.get(1) {
        Some(0x10) => "TERMINAL PROFILE",
        Some(0x12) => "FETCH",
        Some(0x14) => "TERMINAL RESPONSE",
        Some(0x20) => "VERIFY PIN",
        Some(0x24) => "CHANGE PIN",
        Some(0x26) => "DISABLE PIN",
        Some(0x28) => "ENABLE PIN",
        Some(0x2C) => "UNBLOCK PIN",
        Some(0x70) => "MANAGE CHANNEL",
        Some(0x88) => "AUTHENTICATE",
        Some(0xA4) => "SELECT",
        Some(0xAA) => "TERMINAL CAPABILITY",
        Some(0xB0) => "READ BINARY",
        Some(0xB2) => "READ RECORD",
        Some(0xC0) => "GET RESPONSE",
        Some(0xC2) => "ENVELOPE",
        Some(0xCA) => "GET DATA",
        Some(0xD6) => "UPDATE BINARY",
        Some(0xDC) => "UPDATE RECORD",
        Some(0xE2) => "STORE DATA",
        Some(0xF2) => "STATUS",
        _ => "APDU",
    }
}

/// What a status word says (ETSI TS 102 221 §10.2.1).
pub fn status_words(sw: [u8; 2]) -> String {
    let text = match sw {
        [0x90, 0x00] => "done",
        [0x61, more] => return format!("done, {} bytes wait", if more == 0 { 256 } else { usize::from(more) }),
        [0x91, more] => return format!("done, a proactive command of {more} bytes waits"),
        [0x6C, right] => return format!("wrong length, {right} is right"),
        [0x63, count] if count & 0xF0 == 0xC0 => return format!("not verified, {} tries left", count & 0x0F),
        [0x66, 0x00 | 0x01] => "security or transmission error",
        [0x67, 0x00] => "wrong length",
        [0x68, 0x81] => "logical channel not supported",
        [0x69, 0x82] => "security status not satisfied",
        [0x69, 0x83] => "blocked",
        [0x69, 0x85] => "conditions of use not satisfied",
        [0x69, 0x99] => "applet selection failed",
        [0x6A, 0x80] => "wrong data",
        [0x6A, 0x81] => "function not supported",
        [0x6A, 0x82] => "file or application not found",
        [0x6A, 0x84] => "not enough memory",
        [0x6A, 0x86] => "wrong P1 or P2",
        [0x6A, 0x88] => "referenced data not found",
        [0x6B, 0x00] => "wrong P1 or P2",
        [0x6D, 0x00] => "unknown instruction",
        [0x6E, 0x00] => "unknown class",
        [0x6F, 0x00] => "technical problem",
        _ => return String::new(),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rsp::ids::from_hex;

    /// A file of a download that was recorded on real hardware; `None` where the data is not there.
    fn recorded(name: &str) -> Option<Vec<u8>> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/session");
        let data = std::fs::read(format!("{folder}/{name}")).ok();
        if data.is_none() {
            eprintln!("skipped: {folder}/{name} is not there");
        }
        data
    }

    #[test]
    fn numbers_are_told_with_their_names() {
        for (name, value, told) in [
            ("profileManagementOperation", &[7, 0x80][..], "install (0780)"),
            ("profileManagementOperation", &[4, 0xF0], "install, enable, disable, delete (04F0)"),
            ("profileManagementOperation", &[4, 0], "0400"),
            ("errorReason", &[9], "9 (installFailedDueToIccidAlreadyExistsOnEuicc)"),
            ("reason", &[4], "4 (metadataMismatch)"),
            ("deleteNotificationStatus", &[1], "1 (nothingToDelete)"),
            ("bppCommandId", &[99], "99 (unknown)"),
        ] {
            assert_eq!(words(name, value), told, "{name}");
        }
        assert_eq!(plain_field("euiccChallenge", &[0xC5, 0x0E]).as_deref(), Some("C50E"));
        assert_eq!(plain_field("serverCertificate", &[0x30, 0]), None);
        assert_eq!(plain_field("euiccInfo1", &[0xBF, 0x20, 0]), None);
    }

    #[test]
    fn a_request_is_read_with_the_names_of_its_side() {
        let enable = from_hex("BF3111A00C5A0A989909010000000010F38101FF").unwrap();
        insta::assert_snapshot!(tree(&enable, Side::Request), @r"
        BF31 enableProfile
          A0 profileIdentifier
            5A iccid: 8999901000000000013
          81 refreshFlag: FF
        ");
        insta::assert_snapshot!(tree(&from_hex("BF3103800105").unwrap(), Side::Response), @r"
        BF31 enableProfile
          80 enableResult: 5 (catBusy)
        ");
    }

    #[test]
    fn the_beginning_of_a_bound_profile_package_is_read_as_far_as_it_goes() {
        let first = from_hex("BF36820400BF2303820101").unwrap();
        insta::assert_snapshot!(tree(&first, Side::Request), @r"
        BF36 boundProfilePackage (6 of 1024 bytes; the rest is in other commands)
          BF23 initialiseSecureChannel
            82 remoteOpId: 01
        ");
    }

    #[test]
    fn recorded_messages_have_all_their_names() {
        for (file, side, names) in [
            ("auth-server-response.der", Side::Response, &["euiccSigned1", "eumCertificate", "serverAddress"][..]),
            ("prepare-download-response.der", Side::Response, &["euiccSigned2", "euiccOtpk", "euiccSignature2"]),
            ("bound-profile-package.der", Side::Request, &["initialiseSecureChannel", "sequenceOf86", "smdpOtpk"]),
            ("pending-notification.der", Side::Response, &["notificationMetadata", "seqNumber", "finalResult"]),
            ("store-metadata.der", Side::Request, &["profileName", "serviceProviderName", "iccid"]),
        ] {
            let Some(bytes) = recorded(file) else { return };
            let text = tree(&bytes, side);
            for name in names {
                assert!(text.contains(name), "{name} in {file}:\n{text}");
            }
            assert!(!text.contains("no TLV"), "{file}:\n{text}");
        }
    }

    #[test]
    fn status_words_in_words() {
        assert_eq!(status_words([0x61, 0]), "done, 256 bytes wait");
        assert_eq!(status_words([0x6A, 0x82]), "file or application not found");
        assert_eq!(status_words([0x63, 0xC2]), "not verified, 2 tries left");
        assert_eq!(status_words([0x12, 0x34]), "");
        assert_eq!(instruction(&[0x81, 0xE2]), "STORE DATA");
        assert_eq!(instruction(&[]), "APDU");
        assert_eq!(function_name(0xBF2D), Some("getProfilesInfo"));
        assert_eq!(function_name(0x30), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_shown(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            tree(&bytes, Side::Request);
            tree(&bytes, Side::Response);
        }

        #[test]
        fn deep_nesting_is_shown_as_far_as_it_is_sensible(depth in 1usize..40) {
            let mut bytes = vec![];
            for _ in 0..depth {
                bytes = rsp::tlv::encode(0xA0, &bytes);
            }
            tree(&bytes, Side::Request);
        }
    }
}
