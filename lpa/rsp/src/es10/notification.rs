//! Notifications: what the card wants servers to know (SGP.22 §3.5, §5.7.9 to §5.7.11).

use super::download::ProfileInstallationResult;
use super::{Received, TAG_SEQUENCE, TAG_SIGNATURE, codes, iccid, signature, text};
use crate::Iccid;
use crate::tlv::{NamedBits, Tlv, TlvError, Writer};

/// ListNotification.
pub const TAG_LIST_NOTIFICATION: u32 = 0xBF28;
/// RetrieveNotificationsList.
pub const TAG_RETRIEVE_NOTIFICATIONS_LIST: u32 = 0xBF2B;
/// `NotificationMetadata`.
pub const TAG_NOTIFICATION_METADATA: u32 = 0xBF2F;
/// RemoveNotificationFromList.
pub const TAG_REMOVE_NOTIFICATION_FROM_LIST: u32 = 0xBF30;

/// What a notification tells (`NotificationEvent`): the numbers are bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NotificationEvent {
    /// A profile was installed, or its installation failed.
    Install = 0,
    /// A profile was enabled.
    Enable = 1,
    /// A profile was disabled.
    Disable = 2,
    /// A profile was deleted.
    Delete = 3,
}

impl NotificationEvent {
    /// All of them.
    pub const ALL: [NotificationEvent; 4] =
        [NotificationEvent::Install, NotificationEvent::Enable, NotificationEvent::Disable, NotificationEvent::Delete];

    /// The BIT STRING with this bit alone.
    pub fn as_bits(self) -> NamedBits {
        NamedBits::of(&[self as u8])
    }

    /// Whether the bit of this event is set.
    pub fn is_in(self, bits: NamedBits) -> bool {
        bits.has(self as u8)
    }

    /// The name in the specification.
    pub fn name(self) -> &'static str {
        match self {
            NotificationEvent::Install => "install",
            NotificationEvent::Enable => "enable",
            NotificationEvent::Disable => "disable",
            NotificationEvent::Delete => "delete",
        }
    }
}

/// What a notification is about (`NotificationMetadata`, SGP.22 §2.4.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationMetadata {
    /// Its number; never used twice on a card.
    pub sequence_number: u32,
    /// The event: one bit in practice.
    pub events: NamedBits,
    /// The server that has to be told.
    pub address: String,
    /// The profile; absent when an installation failed before its ICCID was known.
    pub iccid: Option<Iccid>,
}

impl NotificationMetadata {
    /// Reads the element `BF2F`.
    pub fn parse(tlv: Tlv<'_>) -> Result<Self, TlvError> {
        let mut fields = tlv.reader();
        let metadata = NotificationMetadata {
            sequence_number: fields.require(0x80)?.as_u32()?,
            events: fields.require(0x81)?.as_bits()?,
            address: text(fields.require(0x0C)?, 255, "an address of at most 255 bytes")?,
            iccid: fields.optional(0x5A)?.map(iccid).transpose()?,
        };
        fields.finish()?;
        Ok(metadata)
    }

    /// The element `BF2F`.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .nested(TAG_NOTIFICATION_METADATA, |w| {
                w.integer(0x80, self.sequence_number)
                    .bits(0x81, self.events)
                    .put(0x0C, self.address.as_bytes())
                    .put_opt(0x5A, self.iccid.map(|iccid| *iccid.as_bytes()))
            })
            .into_vec()
    }

    /// The event, when exactly one known bit is set.
    pub fn event(&self) -> Option<NotificationEvent> {
        NotificationEvent::ALL.into_iter().find(|event| event.as_bits() == self.events)
    }
}

/// A notification as the card hands it out, to be forwarded as it is.
#[derive(Debug, Clone)]
pub enum PendingNotification<'a> {
    /// The result of an installation.
    ProfileInstallationResult(Received<'a, ProfileInstallationResult<'a>>),
    /// Any other event.
    Other(Received<'a, OtherSignedNotification<'a>>),
}

/// Enable, disable or delete, signed by the card (`OtherSignedNotification`).
#[derive(Debug, Clone)]
pub struct OtherSignedNotification<'a> {
    /// What is signed.
    pub metadata: Received<'a, NotificationMetadata>,
    /// The signature by the key of CERT.EUICC.
    pub signature: &'a [u8],
    /// CERT.EUICC, DER.
    pub euicc_certificate: &'a [u8],
    /// CERT.EUM, DER.
    pub eum_certificate: &'a [u8],
}

impl OtherSignedNotification<'_> {
    /// The SEQUENCE, from the metadata element that was signed.
    pub fn encode(metadata: &[u8], signature: &[u8], euicc_certificate: &[u8], eum_certificate: &[u8]) -> Vec<u8> {
        Writer::new()
            .nested(TAG_SEQUENCE, |w| {
                w.raw(metadata).put(TAG_SIGNATURE, signature).raw(euicc_certificate).raw(eum_certificate)
            })
            .into_vec()
    }
}

impl<'a> PendingNotification<'a> {
    /// Reads one notification from its whole element.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TlvError> {
        PendingNotification::parse_tlv(Tlv::parse_exact(bytes)?)
    }

    fn parse_tlv(tlv: Tlv<'a>) -> Result<Self, TlvError> {
        if tlv.tag().0 == super::download::TAG_PROFILE_INSTALLATION_RESULT {
            let result = Received::read(tlv, ProfileInstallationResult::parse_tlv)?;
            return Ok(PendingNotification::ProfileInstallationResult(result));
        }
        if tlv.tag().0 != TAG_SEQUENCE {
            return Err(TlvError::Unexpected { expected: TAG_SEQUENCE.into(), found: tlv.tag() });
        }
        let other = Received::read(tlv, |tlv| {
            let mut fields = tlv.reader();
            let other = OtherSignedNotification {
                metadata: Received::read(fields.require(TAG_NOTIFICATION_METADATA)?, NotificationMetadata::parse)?,
                signature: signature(fields.require(TAG_SIGNATURE)?)?,
                euicc_certificate: fields.require(TAG_SEQUENCE)?.raw(),
                eum_certificate: fields.require(TAG_SEQUENCE)?.raw(),
            };
            fields.finish()?;
            Ok(other)
        })?;
        Ok(PendingNotification::Other(other))
    }

    /// The whole element, as it was received.
    pub fn raw(&self) -> &'a [u8] {
        match self {
            PendingNotification::ProfileInstallationResult(result) => result.raw,
            PendingNotification::Other(other) => other.raw,
        }
    }

    /// What it is about.
    pub fn metadata(&self) -> &NotificationMetadata {
        match self {
            PendingNotification::ProfileInstallationResult(result) => &result.data.notification,
            PendingNotification::Other(other) => &other.metadata,
        }
    }
}

/// Which notifications are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotificationSearch {
    /// All of them.
    All,
    /// The one with this number.
    SequenceNumber(u32),
    /// Those of these events.
    Events(NamedBits),
}

/// The request ListNotification.
pub fn encode_list_request(events: Option<NamedBits>) -> Vec<u8> {
    Writer::new().nested(TAG_LIST_NOTIFICATION, |w| w.put_opt(0x81, events.map(NamedBits::to_octets))).into_vec()
}

/// Reads the request ListNotification: the events asked for, `None` for all.
pub fn parse_list_request(bytes: &[u8]) -> Result<Option<NamedBits>, TlvError> {
    let mut fields = Tlv::parse_as(TAG_LIST_NOTIFICATION, bytes)?.reader();
    let events = fields.optional(0x81)?.map(|events| events.as_bits()).transpose()?;
    fields.finish()?;
    Ok(events)
}

/// The response to ListNotification.
pub fn encode_list_response<'m>(list: impl IntoIterator<Item = &'m NotificationMetadata>) -> Vec<u8> {
    let list = list.into_iter().fold(Writer::new(), |w, metadata| w.raw(&metadata.encode())).into_vec();
    Writer::new().nested(TAG_LIST_NOTIFICATION, |w| w.put(0xA0, &list)).into_vec()
}

/// Reads the response to ListNotification. `Err(Ok(code))` is the card's own error.
pub fn parse_list_response(bytes: &[u8]) -> Result<Result<Vec<NotificationMetadata>, u32>, TlvError> {
    let mut choice = Tlv::parse_as(TAG_LIST_NOTIFICATION, bytes)?.reader();
    if let Some(list) = choice.optional(0xA0)? {
        let mut found = Vec::new();
        for metadata in list.reader() {
            found.push(NotificationMetadata::parse(metadata?)?);
        }
        return Ok(Ok(found));
    }
    Ok(Err(choice.require(0x81)?.as_u32()?))
}

/// The request RetrieveNotificationsList.
pub fn encode_retrieve_request(search: NotificationSearch) -> Vec<u8> {
    Writer::new()
        .nested(TAG_RETRIEVE_NOTIFICATIONS_LIST, |w| match search {
            NotificationSearch::All => w,
            NotificationSearch::SequenceNumber(number) => w.nested(0xA0, |w| w.integer(0x80, number)),
            NotificationSearch::Events(events) => w.nested(0xA0, |w| w.bits(0x81, events)),
        })
        .into_vec()
}

/// Reads the request RetrieveNotificationsList.
pub fn parse_retrieve_request(bytes: &[u8]) -> Result<NotificationSearch, TlvError> {
    let mut fields = Tlv::parse_as(TAG_RETRIEVE_NOTIFICATIONS_LIST, bytes)?.reader();
    let Some(criterion) = fields.optional(0xA0)? else {
        fields.finish()?;
        return Ok(NotificationSearch::All);
    };
    let mut choice = criterion.reader();
    if let Some(number) = choice.optional(0x80)? {
        return Ok(NotificationSearch::SequenceNumber(number.as_u32()?));
    }
    Ok(NotificationSearch::Events(choice.require(0x81)?.as_bits()?))
}

/// The response to RetrieveNotificationsList, from whole notifications.
pub fn encode_retrieve_response<'n>(list: impl IntoIterator<Item = &'n [u8]>) -> Vec<u8> {
    let list = list.into_iter().fold(Writer::new(), |w, notification| w.raw(notification)).into_vec();
    Writer::new().nested(TAG_RETRIEVE_NOTIFICATIONS_LIST, |w| w.put(0xA0, &list)).into_vec()
}

/// The response that tells an error.
pub fn encode_retrieve_error(code: u32) -> Vec<u8> {
    Writer::new().nested(TAG_RETRIEVE_NOTIFICATIONS_LIST, |w| w.integer(0x81, code)).into_vec()
}

/// Reads the response to RetrieveNotificationsList. The inner error is the card's own.
pub fn parse_retrieve_response(bytes: &[u8]) -> Result<Result<Vec<PendingNotification<'_>>, u32>, TlvError> {
    let mut choice = Tlv::parse_as(TAG_RETRIEVE_NOTIFICATIONS_LIST, bytes)?.reader();
    if let Some(list) = choice.optional(0xA0)? {
        let mut found = Vec::new();
        for notification in list.reader() {
            found.push(PendingNotification::parse_tlv(notification?)?);
        }
        return Ok(Ok(found));
    }
    Ok(Err(choice.require(0x81)?.as_u32()?))
}

codes! {
    /// What became of RemoveNotificationFromList.
    pub enum RemoveNotificationResult {
        Ok = 0 "ok",
        NothingToDelete = 1 "nothingToDelete",
        UndefinedError = 127 "undefinedError",
    }
}

/// The request RemoveNotificationFromList.
pub fn encode_remove_request(sequence_number: u32) -> Vec<u8> {
    Writer::new().nested(TAG_REMOVE_NOTIFICATION_FROM_LIST, |w| w.integer(0x80, sequence_number)).into_vec()
}

/// Reads the request RemoveNotificationFromList.
pub fn parse_remove_request(bytes: &[u8]) -> Result<u32, TlvError> {
    let mut fields = Tlv::parse_as(TAG_REMOVE_NOTIFICATION_FROM_LIST, bytes)?.reader();
    let number = fields.require(0x80)?.as_u32()?;
    fields.finish()?;
    Ok(number)
}

/// The response to RemoveNotificationFromList.
pub fn encode_remove_response(result: RemoveNotificationResult) -> Vec<u8> {
    Writer::new().nested(TAG_REMOVE_NOTIFICATION_FROM_LIST, |w| w.integer(0x80, result.code())).into_vec()
}

/// Reads the response to RemoveNotificationFromList.
pub fn parse_remove_response(bytes: &[u8]) -> Result<RemoveNotificationResult, TlvError> {
    let code = Tlv::parse_as(TAG_REMOVE_NOTIFICATION_FROM_LIST, bytes)?.reader().require(0x80)?.as_u32()?;
    Ok(RemoveNotificationResult::from_code(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> NotificationMetadata {
        NotificationMetadata {
            sequence_number: 200,
            events: NotificationEvent::Delete.as_bits(),
            address: "smdp.example.com".to_owned(),
            iccid: Some(Iccid::parse("89000123456789012341").unwrap()),
        }
    }

    #[test]
    fn metadata_round_trip() {
        let bytes = encode_list_response([&metadata()]);
        // 200 needs a leading zero; delete is bit 3.
        assert!(bytes.windows(8).any(|window| window == [0x80, 0x02, 0x00, 0xC8, 0x81, 0x02, 0x04, 0x10]));
        assert_eq!(parse_list_response(&bytes), Ok(Ok(vec![metadata()])));
        assert_eq!(metadata().event(), Some(NotificationEvent::Delete));
    }

    #[test]
    fn recorded_installation_result() {
        let Some(bytes) = crate::es10::tests::session_file("pending-notification.der") else { return };
        let notification = PendingNotification::parse(&bytes).unwrap();
        assert_eq!(notification.raw(), bytes);
        assert_eq!(notification.metadata().sequence_number, 1);
        assert_eq!(notification.metadata().event(), Some(NotificationEvent::Install));
        assert_eq!(notification.metadata().address, "smdp.example.com");
        let list = encode_retrieve_response([&bytes[..], &bytes[..]]);
        assert_eq!(parse_retrieve_response(&list).unwrap().unwrap().len(), 2);
    }

    #[test]
    fn other_notifications_keep_the_signed_bytes() {
        let signed = metadata().encode();
        let bytes = OtherSignedNotification::encode(&signed, &[7; 64], &[0x30, 0], &[0x30, 1, 5]);
        let PendingNotification::Other(other) = PendingNotification::parse(&bytes).unwrap() else {
            panic!("no installation result");
        };
        assert_eq!(other.metadata.raw, signed);
        assert_eq!(other.eum_certificate, [0x30, 1, 5]);
    }

    #[test]
    fn requests_round_trip() {
        for search in [
            NotificationSearch::All,
            NotificationSearch::SequenceNumber(7),
            NotificationSearch::Events(NotificationEvent::Install.as_bits()),
        ] {
            assert_eq!(parse_retrieve_request(&encode_retrieve_request(search)), Ok(search));
        }
        let events = Some(NamedBits::of(&[0, 3]));
        assert_eq!(parse_list_request(&encode_list_request(events)), Ok(events));
        assert_eq!(parse_list_request(&encode_list_request(None)), Ok(None));
        assert_eq!(parse_remove_request(&encode_remove_request(300)), Ok(300));
        let gone = RemoveNotificationResult::NothingToDelete;
        assert_eq!(parse_remove_response(&encode_remove_response(gone)), Ok(gone));
        assert_eq!(parse_retrieve_response(&encode_retrieve_error(127)).unwrap().unwrap_err(), 127);
    }
}
