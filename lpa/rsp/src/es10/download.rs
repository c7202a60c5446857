//! Profile download and installation (SGP.22 §3.1.3): PrepareDownload, the ES8+ commands of a bound profile package,
//! the ProfileInstallationResult, CancelSession.

use super::notification::{NotificationMetadata, TAG_NOTIFICATION_METADATA};
use super::profiles::{OperatorId, ProfileClass};
use super::{Received, TAG_OTPK, TAG_SEQUENCE, TAG_SIGNATURE, bad, codes, iccid, signature, text, transaction_id};
use crate::tlv::{NamedBits, Reader, Tlv, TlvError, Writer};
use crate::{Aid, Iccid, Oid, TransactionId};

/// PrepareDownload (SGP.22 §5.7.5).
pub const TAG_PREPARE_DOWNLOAD: u32 = 0xBF21;
/// InitialiseSecureChannel (SGP.22 §5.5.1).
pub const TAG_INITIALISE_SECURE_CHANNEL: u32 = 0xBF23;
/// ConfigureISDP (SGP.22 §5.5.2).
pub const TAG_CONFIGURE_ISDP: u32 = 0xBF24;
/// StoreMetadata (SGP.22 §5.5.3).
pub const TAG_STORE_METADATA: u32 = 0xBF25;
/// The signed data of a ProfileInstallationResult.
pub const TAG_PROFILE_INSTALLATION_RESULT_DATA: u32 = 0xBF27;
/// ProfileInstallationResult (SGP.22 §2.5.6).
pub const TAG_PROFILE_INSTALLATION_RESULT: u32 = 0xBF37;
/// CancelSession (SGP.22 §5.7.14).
pub const TAG_CANCEL_SESSION: u32 = 0xBF41;

codes! {
    /// Why PrepareDownload failed (`DownloadErrorCode`).
    pub enum DownloadErrorCode {
        InvalidCertificate = 1 "invalidCertificate",
        InvalidSignature = 2 "invalidSignature",
        UnsupportedCurve = 3 "unsupportedCurve",
        NoSessionContext = 4 "noSessionContext",
        InvalidTransactionId = 5 "invalidTransactionId",
        UndefinedError = 127 "undefinedError",
    }
}

codes! {
    /// The command of the bound profile package at which an installation failed (`BppCommandId`).
    pub enum BppCommandId {
        InitialiseSecureChannel = 0 "initialiseSecureChannel",
        ConfigureIsdp = 1 "configureISDP",
        StoreMetadata = 2 "storeMetadata",
        StoreMetadata2 = 3 "storeMetadata2",
        ReplaceSessionKeys = 4 "replaceSessionKeys",
        LoadProfileElements = 5 "loadProfileElements",
    }
}

codes! {
    /// Why an installation failed (`ErrorReason`, SGP.22 §2.5.6).
    pub enum ErrorReason {
        IncorrectInputValues = 1 "incorrectInputValues",
        InvalidSignature = 2 "invalidSignature",
        InvalidTransactionId = 3 "invalidTransactionId",
        UnsupportedCrtValues = 4 "unsupportedCrtValues",
        UnsupportedRemoteOperationType = 5 "unsupportedRemoteOperationType",
        UnsupportedProfileClass = 6 "unsupportedProfileClass",
        Scp03tStructureError = 7 "scp03tStructureError",
        Scp03tSecurityError = 8 "scp03tSecurityError",
        InstallFailedDueToIccidAlreadyExistsOnEuicc = 9 "installFailedDueToIccidAlreadyExistsOnEuicc",
        InstallFailedDueToInsufficientMemoryForProfile = 10 "installFailedDueToInsufficientMemoryForProfile",
        InstallFailedDueToInterruption = 11 "installFailedDueToInterruption",
        InstallFailedDueToPeProcessingError = 12 "installFailedDueToPEProcessingError",
        InstallFailedDueToDataMismatch = 13 "installFailedDueToDataMismatch",
        TestProfileInstallFailedDueToInvalidNaaKey = 14 "testProfileInstallFailedDueToInvalidNaaKey",
        PprNotAllowed = 15 "pprNotAllowed",
        InstallFailedDueToUnknownError = 127 "installFailedDueToUnknownError",
    }
}

codes! {
    /// Why a session is cancelled (`CancelSessionReason`, SGP.22 §5.7.14).
    pub enum CancelSessionReason {
        EndUserRejection = 0 "endUserRejection",
        Postponed = 1 "postponed",
        Timeout = 2 "timeout",
        PprNotAllowed = 3 "pprNotAllowed",
        MetadataMismatch = 4 "metadataMismatch",
        LoadBppExecutionError = 5 "loadBppExecutionError",
        UndefinedReason = 127 "undefinedReason",
    }
}

/// A one-time public key as it stands on the wire: 65 bytes, `04 ‖ X ‖ Y`.
fn otpk(tlv: Tlv<'_>) -> Result<[u8; 65], TlvError> {
    tlv.value()
        .try_into()
        .map_err(|_| TlvError::BadValue { tag: tlv.tag(), rule: "a public key of 65 bytes (TR-03111)" })
}

/// What the SM-DP+ signs to have a download prepared (`smdpSigned2`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmdpSigned2 {
    /// The session.
    pub transaction_id: TransactionId,
    /// Whether the user has to give a confirmation code.
    pub cc_required: bool,
    /// The card's one-time key of an earlier try, for which the package is already bound.
    pub bpp_euicc_otpk: Option<[u8; 65]>,
}

impl SmdpSigned2 {
    /// Reads the SEQUENCE.
    pub fn parse(tlv: Tlv<'_>) -> Result<Self, TlvError> {
        let mut fields = tlv.reader();
        let value = SmdpSigned2 {
            transaction_id: transaction_id(fields.require(0x80)?)?,
            cc_required: fields.require(0x01)?.as_bool()?,
            bpp_euicc_otpk: fields.optional(TAG_OTPK)?.map(otpk).transpose()?,
        };
        fields.finish()?;
        Ok(value)
    }

    /// Reads the SEQUENCE from its bytes, keeping them.
    pub fn receive(bytes: &[u8]) -> Result<Received<'_, Self>, TlvError> {
        Received::read(Tlv::parse_as(TAG_SEQUENCE, bytes)?, SmdpSigned2::parse)
    }

    /// The SEQUENCE.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .nested(TAG_SEQUENCE, |w| {
                w.put(0x80, self.transaction_id.as_bytes())
                    .boolean(0x01, self.cc_required)
                    .put_opt(TAG_OTPK, self.bpp_euicc_otpk)
            })
            .into_vec()
    }
}

/// PrepareDownload, from the LPA to the card.
#[derive(Debug, Clone)]
pub struct PrepareDownloadRequest<'a> {
    /// What the SM-DP+ has signed.
    pub smdp_signed2: Received<'a, SmdpSigned2>,
    /// Its signature by the key of CERT.DPpb, over `smdpSigned2 ‖ 5F37 euiccSignature1`.
    pub smdp_signature2: &'a [u8],
    /// The hash of the confirmation code, when one is required.
    pub hash_cc: Option<[u8; 32]>,
    /// CERT.DPpb, DER.
    pub smdp_certificate: &'a [u8],
}

impl<'a> PrepareDownloadRequest<'a> {
    /// Reads the whole command data.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TlvError> {
        let mut fields = Tlv::parse_as(TAG_PREPARE_DOWNLOAD, bytes)?.reader();
        let request = PrepareDownloadRequest {
            smdp_signed2: Received::read(fields.require(TAG_SEQUENCE)?, SmdpSigned2::parse)?,
            smdp_signature2: signature(fields.require(TAG_SIGNATURE)?)?,
            hash_cc: fields.optional(0x04)?.map(|hash| hash.as_array()).transpose()?,
            smdp_certificate: fields.require(TAG_SEQUENCE)?.raw(),
        };
        fields.finish()?;
        Ok(request)
    }

    /// The command data, from parts as the server has sent them.
    pub fn encode(
        smdp_signed2: &[u8],
        smdp_signature2: &[u8],
        hash_cc: Option<[u8; 32]>,
        smdp_certificate: &[u8],
    ) -> Vec<u8> {
        Writer::new()
            .nested(TAG_PREPARE_DOWNLOAD, |w| {
                w.raw(smdp_signed2).put(TAG_SIGNATURE, smdp_signature2).put_opt(0x04, hash_cc).raw(smdp_certificate)
            })
            .into_vec()
    }
}

/// What the card signs when it is ready (`euiccSigned2`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EuiccSigned2 {
    /// The session.
    pub transaction_id: TransactionId,
    /// The card's one-time public key.
    pub euicc_otpk: [u8; 65],
    /// The hash of the confirmation code, when one was required.
    pub hash_cc: Option<[u8; 32]>,
}

impl EuiccSigned2 {
    /// Reads the SEQUENCE.
    pub fn parse(tlv: Tlv<'_>) -> Result<Self, TlvError> {
        let mut fields = tlv.reader();
        let value = EuiccSigned2 {
            transaction_id: transaction_id(fields.require(0x80)?)?,
            euicc_otpk: otpk(fields.require(TAG_OTPK)?)?,
            hash_cc: fields.optional(0x04)?.map(|hash| hash.as_array()).transpose()?,
        };
        fields.finish()?;
        Ok(value)
    }

    /// The SEQUENCE.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .nested(TAG_SEQUENCE, |w| {
                w.put(0x80, self.transaction_id.as_bytes()).put(TAG_OTPK, &self.euicc_otpk).put_opt(0x04, self.hash_cc)
            })
            .into_vec()
    }
}

/// The card's answer to PrepareDownload.
#[derive(Debug, Clone)]
pub enum PrepareDownloadResponse<'a> {
    /// Ready.
    Ok {
        /// What the card has signed.
        euicc_signed2: Received<'a, EuiccSigned2>,
        /// Its signature, over `euiccSigned2 ‖ 5F37 smdpSignature2`.
        euicc_signature2: &'a [u8],
    },
    /// Not ready.
    Error {
        /// The session.
        transaction_id: TransactionId,
        /// Why.
        code: DownloadErrorCode,
    },
}

impl<'a> PrepareDownloadResponse<'a> {
    /// Reads the whole response.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TlvError> {
        let mut choice = Tlv::parse_as(TAG_PREPARE_DOWNLOAD, bytes)?.reader();
        if let Some(ok) = choice.optional(0xA0)? {
            let mut fields = ok.reader();
            let response = PrepareDownloadResponse::Ok {
                euicc_signed2: Received::read(fields.require(TAG_SEQUENCE)?, EuiccSigned2::parse)?,
                euicc_signature2: signature(fields.require(TAG_SIGNATURE)?)?,
            };
            fields.finish()?;
            return Ok(response);
        }
        let mut fields = choice.require(0xA1)?.reader();
        Ok(PrepareDownloadResponse::Error {
            transaction_id: transaction_id(fields.require(0x80)?)?,
            code: DownloadErrorCode::from_code(fields.require(0x02)?.as_u32()?),
        })
    }

    /// The response of success.
    pub fn encode_ok(euicc_signed2: &[u8], euicc_signature2: &[u8]) -> Vec<u8> {
        Writer::new()
            .nested(TAG_PREPARE_DOWNLOAD, |w| {
                w.nested(0xA0, |w| w.raw(euicc_signed2).put(TAG_SIGNATURE, euicc_signature2))
            })
            .into_vec()
    }

    /// The response of failure.
    pub fn encode_error(transaction_id: &TransactionId, code: DownloadErrorCode) -> Vec<u8> {
        Writer::new()
            .nested(TAG_PREPARE_DOWNLOAD, |w| {
                w.nested(0xA1, |w| w.put(0x80, transaction_id.as_bytes()).integer(0x02, code.code()))
            })
            .into_vec()
    }
}

/// InitialiseSecureChannel, the first command of a bound profile package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialiseSecureChannel<'a> {
    /// 1: install a bound profile package.
    pub remote_operation_id: u32,
    /// The session.
    pub transaction_id: TransactionId,
    /// Control reference template: key usage qualifier of the session keys; `88` is AES (SGP.22 §5.5.1).
    pub key_type: u8,
    /// Control reference template: key length in bytes.
    pub key_length: u8,
    /// Control reference template: the host id, 1 to 16 bytes.
    pub host_id: &'a [u8],
    /// The SM-DP+'s one-time public key.
    pub smdp_otpk: [u8; 65],
    /// The signature by the key of CERT.DPpb.
    pub smdp_signature: &'a [u8],
    /// What is signed of this command, as received: `82 ‖ 80 ‖ A6 ‖ 5F49`.
    signed_part: &'a [u8],
}

/// `remoteOpId` of an installation (`RemoteOpId`, SGP.22 §5.5.1).
pub const REMOTE_OPERATION_INSTALL: u32 = 1;
/// Key type AES in the control reference template.
pub const KEY_TYPE_AES: u8 = 0x88;
/// Key length 16 in the control reference template.
pub const KEY_LENGTH: u8 = 0x10;

impl<'a> InitialiseSecureChannel<'a> {
    /// Reads the element `BF23`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TlvError> {
        let tlv = Tlv::parse_as(TAG_INITIALISE_SECURE_CHANNEL, bytes)?;
        let mut fields = tlv.reader();
        // Every element of this command is signed up to the key, so none may be skipped: what is read here is what
        // the signature covers.
        let remote_operation_id = fields.expect(0x82)?.as_u32()?;
        let transaction_id = transaction_id(fields.expect(0x80)?)?;
        let mut template = fields.expect(0xA6)?.reader();
        let [key_type] = template.require(0x80)?.as_array()?;
        let [key_length] = template.require(0x81)?.as_array()?;
        let host_id = template.require(0x84)?;
        if !(1..=16).contains(&host_id.value().len()) {
            return Err(TlvError::BadValue { tag: host_id.tag(), rule: "a host id of 1 to 16 bytes" });
        }
        let smdp_otpk = otpk(fields.expect(TAG_OTPK)?)?;
        let signed_part = &tlv.value()[..tlv.value().len() - fields.rest().len()];
        let smdp_signature = signature(fields.expect(TAG_SIGNATURE)?)?;
        fields.finish()?;
        Ok(InitialiseSecureChannel {
            remote_operation_id,
            transaction_id,
            key_type,
            key_length,
            host_id: host_id.value(),
            smdp_otpk,
            smdp_signature,
            signed_part,
        })
    }

    /// The parts over which the signature is made: the command up to the key, then the card's key (SGP.22 §5.5.1).
    pub fn signed_bytes(&self, euicc_otpk: &[u8; 65]) -> Vec<u8> {
        Writer::new().raw(self.signed_part).put(TAG_OTPK, euicc_otpk).into_vec()
    }

    /// The part of the command that is signed, up to the SM-DP+'s key; the card's key as `5F49` follows it under the
    /// signature.
    pub fn encode_signed_part(transaction_id: &TransactionId, host_id: &[u8], smdp_otpk: &[u8; 65]) -> Vec<u8> {
        Writer::new()
            .integer(0x82, REMOTE_OPERATION_INSTALL)
            .put(0x80, transaction_id.as_bytes())
            .nested(0xA6, |w| w.put(0x80, &[KEY_TYPE_AES]).put(0x81, &[KEY_LENGTH]).put(0x84, host_id))
            .put(TAG_OTPK, smdp_otpk)
            .into_vec()
    }

    /// The element `BF23`.
    pub fn encode(signed_part: &[u8], smdp_signature: &[u8]) -> Vec<u8> {
        Writer::new()
            .nested(TAG_INITIALISE_SECURE_CHANNEL, |w| w.raw(signed_part).put(TAG_SIGNATURE, smdp_signature))
            .into_vec()
    }
}

/// Who has to be told of which events (`NotificationConfigurationInformation`, SGP.22 §2.4a.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationConfiguration {
    /// The events, as bits of `NotificationEvent`.
    pub events: NamedBits,
    /// The server.
    pub address: String,
}

impl NotificationConfiguration {
    pub(super) fn parse_list(list: Tlv<'_>) -> Result<Vec<Self>, TlvError> {
        let mut found = Vec::new();
        for item in list.reader() {
            let mut fields = item?.reader();
            found.push(NotificationConfiguration {
                events: fields.require(0x80)?.as_bits()?,
                address: text(fields.require(0x81)?, 255, "an address of at most 255 bytes")?,
            });
        }
        Ok(found)
    }

    pub(super) fn encode_list(list: &[Self]) -> Vec<u8> {
        list.iter()
            .fold(Writer::new(), |w, item| {
                w.nested(TAG_SEQUENCE, |w| w.bits(0x80, item.events).put(0x81, item.address.as_bytes()))
            })
            .into_vec()
    }
}

/// StoreMetadata: what the user is shown of a profile, and its rules (SGP.22 §5.5.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreMetadata {
    /// The profile.
    pub iccid: Iccid,
    /// Service provider name, at most 32 bytes.
    pub service_provider_name: String,
    /// Profile name, at most 64 bytes.
    pub profile_name: String,
    /// 0 JPEG, 1 PNG.
    pub icon_type: Option<u32>,
    /// The icon, at most 1024 bytes, 64 by 64 pixels.
    pub icon: Option<Vec<u8>>,
    /// Operational unless it says otherwise.
    pub profile_class: ProfileClass,
    /// Who has to be told of what.
    pub notification_configuration: Vec<NotificationConfiguration>,
    /// The operator.
    pub profile_owner: Option<OperatorId>,
    /// Profile policy rules: bit 1 PPR1 (no disable), bit 2 PPR2 (no delete).
    pub profile_policy_rules: Option<NamedBits>,
}

impl StoreMetadata {
    /// Reads the element `BF25`.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlvError> {
        let mut fields = Tlv::parse_as(TAG_STORE_METADATA, bytes)?.reader();
        let metadata = StoreMetadata {
            iccid: iccid(fields.require(0x5A)?)?,
            service_provider_name: text(fields.require(0x91)?, 32, "a service provider name of at most 32 bytes")?,
            profile_name: text(fields.require(0x92)?, 64, "a profile name of at most 64 bytes")?,
            icon_type: fields.optional(0x93)?.map(|v| v.as_u32()).transpose()?,
            icon: match fields.optional(0x94)? {
                Some(icon) if icon.value().len() > 1024 => {
                    return Err(TlvError::BadValue { tag: icon.tag(), rule: "an icon of at most 1024 bytes" });
                }
                icon => icon.map(|icon| icon.value().to_vec()),
            },
            profile_class: match fields.optional(0x95)? {
                Some(class) => ProfileClass::from_code(class.as_u32()?),
                None => ProfileClass::Operational,
            },
            notification_configuration: match fields.optional(0xB6)? {
                Some(list) => NotificationConfiguration::parse_list(list)?,
                None => Vec::new(),
            },
            profile_owner: fields.optional(0xB7)?.map(OperatorId::parse).transpose()?,
            profile_policy_rules: fields.optional(0x99)?.map(|v| v.as_bits()).transpose()?,
        };
        fields.finish()?;
        Ok(metadata)
    }

    /// The element `BF25`.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .nested(TAG_STORE_METADATA, |w| {
                let w = w
                    .put(0x5A, self.iccid.as_bytes())
                    .put(0x91, self.service_provider_name.as_bytes())
                    .put(0x92, self.profile_name.as_bytes());
                let w = match self.icon_type {
                    Some(kind) => w.integer(0x93, kind),
                    None => w,
                };
                let w = w.put_opt(0x94, self.icon.as_ref());
                // The default is left out, as DER asks (X.690 §11.5).
                let w = match self.profile_class {
                    ProfileClass::Operational => w,
                    class => w.integer(0x95, class.code()),
                };
                let w = match &self.notification_configuration[..] {
                    [] => w,
                    list => w.put(0xB6, &NotificationConfiguration::encode_list(list)),
                };
                let w = match &self.profile_owner {
                    Some(owner) => w.raw(&owner.encode()),
                    None => w,
                };
                w.put_opt(0x99, self.profile_policy_rules.map(NamedBits::to_octets))
            })
            .into_vec()
    }
}

/// How an installation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinalResult {
    /// Installed.
    Success {
        /// The profile's ISD-P.
        aid: Aid,
        /// The interpreter's response (`EUICCResponse`), encoded.
        simple_response: Vec<u8>,
    },
    /// Failed.
    Error {
        /// The command that failed.
        command: BppCommandId,
        /// Why.
        reason: ErrorReason,
        /// The interpreter's response, when it came to that.
        simple_response: Option<Vec<u8>>,
    },
}

/// What the card signs of an installation (`ProfileInstallationResultData`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileInstallationResultData {
    /// The session.
    pub transaction_id: TransactionId,
    /// The notification that this is.
    pub notification: NotificationMetadata,
    /// The SM-DP+, when its certificate was known by then.
    pub smdp_oid: Option<Oid>,
    /// How it ended.
    pub final_result: FinalResult,
}

impl ProfileInstallationResultData {
    fn parse(tlv: Tlv<'_>) -> Result<Self, TlvError> {
        let mut fields = tlv.reader();
        let transaction_id = transaction_id(fields.require(0x80)?)?;
        let notification = NotificationMetadata::parse(fields.require(TAG_NOTIFICATION_METADATA)?)?;
        let smdp_oid = fields
            .optional(0x06)?
            .map(|oid| Oid::from_der_content(oid.value()).map_err(|error| bad(oid.tag(), &error)))
            .transpose()?;
        let mut choice = fields.require(0xA2)?.reader();
        let final_result = if let Some(success) = choice.optional(0xA0)? {
            let mut fields = success.reader();
            let aid = fields.require(0x4F)?;
            FinalResult::Success {
                aid: Aid::from_bytes(aid.value()).map_err(|error| bad(aid.tag(), &error))?,
                simple_response: fields.require(0x04)?.value().to_vec(),
            }
        } else {
            let mut fields = choice.require(0xA1)?.reader();
            FinalResult::Error {
                command: BppCommandId::from_code(fields.require(0x80)?.as_u32()?),
                reason: ErrorReason::from_code(fields.require(0x81)?.as_u32()?),
                simple_response: fields.optional(0x82)?.map(|response| response.value().to_vec()),
            }
        };
        fields.finish()?;
        Ok(ProfileInstallationResultData { transaction_id, notification, smdp_oid, final_result })
    }

    /// The element `BF27`, which is signed.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .nested(TAG_PROFILE_INSTALLATION_RESULT_DATA, |w| {
                w.put(0x80, self.transaction_id.as_bytes())
                    .raw(&self.notification.encode())
                    .put_opt(0x06, self.smdp_oid.as_ref().map(Oid::as_der_content))
                    .nested(0xA2, |w| match &self.final_result {
                        FinalResult::Success { aid, simple_response } => {
                            w.nested(0xA0, |w| w.put(0x4F, aid.as_bytes()).put(0x04, simple_response))
                        }
                        FinalResult::Error { command, reason, simple_response } => w.nested(0xA1, |w| {
                            w.integer(0x80, command.code())
                                .integer(0x81, reason.code())
                                .put_opt(0x82, simple_response.as_ref())
                        }),
                    })
            })
            .into_vec()
    }
}

/// ProfileInstallationResult.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileInstallationResult<'a> {
    /// What the card has signed.
    pub data: Received<'a, ProfileInstallationResultData>,
    /// The signature by the key of CERT.EUICC.
    pub signature: &'a [u8],
}

impl<'a> ProfileInstallationResult<'a> {
    /// Reads the element `BF37`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TlvError> {
        ProfileInstallationResult::parse_tlv(Tlv::parse_as(TAG_PROFILE_INSTALLATION_RESULT, bytes)?)
    }

    pub(super) fn parse_tlv(tlv: Tlv<'a>) -> Result<Self, TlvError> {
        let mut fields: Reader<'a> = tlv.reader();
        let result = ProfileInstallationResult {
            data: Received::read(
                fields.require(TAG_PROFILE_INSTALLATION_RESULT_DATA)?,
                ProfileInstallationResultData::parse,
            )?,
            signature: signature(fields.require(TAG_SIGNATURE)?)?,
        };
        fields.finish()?;
        Ok(result)
    }

    /// The element `BF37`, from the data element that was signed.
    pub fn encode(data: &[u8], signature: &[u8]) -> Vec<u8> {
        Writer::new().nested(TAG_PROFILE_INSTALLATION_RESULT, |w| w.raw(data).put(TAG_SIGNATURE, signature)).into_vec()
    }
}

/// CancelSession, from the LPA to the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelSessionRequest {
    /// The session.
    pub transaction_id: TransactionId,
    /// Why.
    pub reason: CancelSessionReason,
}

impl CancelSessionRequest {
    /// Reads the whole command data.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlvError> {
        let mut fields = Tlv::parse_as(TAG_CANCEL_SESSION, bytes)?.reader();
        let request = CancelSessionRequest {
            transaction_id: transaction_id(fields.require(0x80)?)?,
            reason: CancelSessionReason::from_code(fields.require(0x81)?.as_u32()?),
        };
        fields.finish()?;
        Ok(request)
    }

    /// The whole command data.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .nested(TAG_CANCEL_SESSION, |w| {
                w.put(0x80, self.transaction_id.as_bytes()).integer(0x81, self.reason.code())
            })
            .into_vec()
    }
}

/// What the card signs of a cancelled session (`euiccCancelSessionSigned`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EuiccCancelSessionSigned {
    /// The session.
    pub transaction_id: TransactionId,
    /// The SM-DP+ of the session.
    pub smdp_oid: Oid,
    /// Why.
    pub reason: CancelSessionReason,
}

impl EuiccCancelSessionSigned {
    fn parse(tlv: Tlv<'_>) -> Result<Self, TlvError> {
        let mut fields = tlv.reader();
        let transaction_id = transaction_id(fields.require(0x80)?)?;
        let oid = fields.require(0x81)?;
        let smdp_oid = Oid::from_der_content(oid.value()).map_err(|error| bad(oid.tag(), &error))?;
        let reason = CancelSessionReason::from_code(fields.require(0x82)?.as_u32()?);
        fields.finish()?;
        Ok(EuiccCancelSessionSigned { transaction_id, smdp_oid, reason })
    }

    /// The SEQUENCE, which is signed.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .nested(TAG_SEQUENCE, |w| {
                w.put(0x80, self.transaction_id.as_bytes())
                    .put(0x81, self.smdp_oid.as_der_content())
                    .integer(0x82, self.reason.code())
            })
            .into_vec()
    }
}

/// The card's answer to CancelSession.
#[derive(Debug, Clone)]
pub enum CancelSessionResponse<'a> {
    /// Cancelled.
    Ok {
        /// What the card has signed.
        signed: Received<'a, EuiccCancelSessionSigned>,
        /// Its signature.
        signature: &'a [u8],
    },
    /// Not cancelled: 5 invalidTransactionId, 127 undefinedError.
    Error(u32),
}

/// The card does not know the session to be cancelled.
pub const CANCEL_SESSION_INVALID_TRANSACTION_ID: u32 = 5;

impl<'a> CancelSessionResponse<'a> {
    /// Reads the whole response.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TlvError> {
        let mut choice = Tlv::parse_as(TAG_CANCEL_SESSION, bytes)?.reader();
        if let Some(ok) = choice.optional(0xA0)? {
            let mut fields = ok.reader();
            return Ok(CancelSessionResponse::Ok {
                signed: Received::read(fields.require(TAG_SEQUENCE)?, EuiccCancelSessionSigned::parse)?,
                signature: signature(fields.require(TAG_SIGNATURE)?)?,
            });
        }
        Ok(CancelSessionResponse::Error(choice.require(0x81)?.as_u32()?))
    }

    /// The response of success.
    pub fn encode_ok(signed: &[u8], signature: &[u8]) -> Vec<u8> {
        Writer::new()
            .nested(TAG_CANCEL_SESSION, |w| w.nested(0xA0, |w| w.raw(signed).put(TAG_SIGNATURE, signature)))
            .into_vec()
    }

    /// The response of failure.
    pub fn encode_error(code: u32) -> Vec<u8> {
        Writer::new().nested(TAG_CANCEL_SESSION, |w| w.integer(0x81, code)).into_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::es10::tests::session_file;

    #[test]
    fn recorded_prepare_download_response() {
        let Some(bytes) = session_file("prepare-download-response.der") else { return };
        let PrepareDownloadResponse::Ok { euicc_signed2, euicc_signature2 } =
            PrepareDownloadResponse::parse(&bytes).unwrap()
        else {
            panic!("the recorded response is one of success");
        };
        assert_eq!(euicc_signed2.euicc_otpk[0], 4);
        assert_eq!(euicc_signed2.value.encode(), euicc_signed2.raw);
        assert_eq!(PrepareDownloadResponse::encode_ok(euicc_signed2.raw, euicc_signature2), bytes);
    }

    #[test]
    fn recorded_metadata_and_secure_channel() {
        let Some(bytes) = session_file("store-metadata.der") else { return };
        let metadata = StoreMetadata::parse(&bytes).unwrap();
        assert_eq!(metadata.profile_name, "euicc-rsp test profile");
        assert_eq!(metadata.profile_class, ProfileClass::Operational);
        assert_eq!(metadata.encode(), bytes);
        let Some(package) = session_file("bound-profile-package.der") else { return };
        let first = Tlv::parse_as(0xBF36, &package).unwrap().reader().next_tlv().unwrap().unwrap();
        let channel = InitialiseSecureChannel::parse(first.raw()).unwrap();
        assert_eq!((channel.remote_operation_id, channel.host_id), (1, &b"euicc-rsp"[..]));
        assert_eq!((channel.key_type, channel.key_length), (KEY_TYPE_AES, KEY_LENGTH));
        let signed =
            InitialiseSecureChannel::encode_signed_part(&channel.transaction_id, channel.host_id, &channel.smdp_otpk);
        assert_eq!(InitialiseSecureChannel::encode(&signed, channel.smdp_signature), first.raw());
    }

    #[test]
    fn recorded_installation_result() {
        let Some(bytes) = session_file("pending-notification.der") else { return };
        let result = ProfileInstallationResult::parse(&bytes).unwrap();
        assert!(
            matches!(&result.data.final_result, FinalResult::Success { simple_response, .. } if *simple_response == [0x30, 0])
        );
        // That card pads its events to eight bits (00 80 instead of 07 80): only the received slice verifies.
        assert_ne!(result.data.value.encode(), result.data.raw);
        assert_eq!(result.data.value.encode().len(), result.data.raw.len());
        assert_eq!(ProfileInstallationResult::encode(result.data.raw, result.signature), bytes);
    }

    #[test]
    fn failed_installations_and_cancelled_sessions_round_trip() {
        let data = ProfileInstallationResultData {
            transaction_id: TransactionId::from_bytes(&[1; 16]).unwrap(),
            notification: NotificationMetadata {
                sequence_number: 1,
                events: NamedBits::of(&[0]),
                address: "a.b".to_owned(),
                iccid: None,
            },
            smdp_oid: Some(Oid::parse("2.999.10").unwrap()),
            final_result: FinalResult::Error {
                command: BppCommandId::LoadProfileElements,
                reason: ErrorReason::InstallFailedDueToIccidAlreadyExistsOnEuicc,
                simple_response: None,
            },
        };
        let bytes = ProfileInstallationResult::encode(&data.encode(), &[2; 64]);
        assert_eq!(ProfileInstallationResult::parse(&bytes).unwrap().data.value, data);
        let signed = EuiccCancelSessionSigned {
            transaction_id: data.transaction_id.clone(),
            smdp_oid: Oid::parse("2.999.10").unwrap(),
            reason: CancelSessionReason::LoadBppExecutionError,
        };
        let bytes = CancelSessionResponse::encode_ok(&signed.encode(), &[2; 64]);
        let CancelSessionResponse::Ok { signed: read, .. } = CancelSessionResponse::parse(&bytes).unwrap() else {
            panic!("cancelled");
        };
        assert_eq!(read.value, signed);
        let request =
            CancelSessionRequest { transaction_id: data.transaction_id, reason: CancelSessionReason::Postponed };
        assert_eq!(CancelSessionRequest::parse(&request.encode()), Ok(request));
    }

    #[test]
    fn requests_round_trip() {
        let signed = SmdpSigned2 {
            transaction_id: TransactionId::from_bytes(&[1; 16]).unwrap(),
            cc_required: true,
            bpp_euicc_otpk: Some([4; 65]),
        };
        let bytes = PrepareDownloadRequest::encode(&signed.encode(), &[3; 64], Some([9; 32]), &[0x30, 0]);
        let request = PrepareDownloadRequest::parse(&bytes).unwrap();
        assert_eq!(request.smdp_signed2.value, signed);
        assert_eq!(request.hash_cc, Some([9; 32]));
        assert_eq!(request.smdp_certificate, [0x30, 0]);
        // The recorded session carries smdpSigned2 inside its authenticateClient response.
        assert_eq!(SmdpSigned2::receive(&signed.encode()).unwrap().value, signed);
    }
}
