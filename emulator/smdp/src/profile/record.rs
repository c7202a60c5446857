//! A profile as the store keeps it: its package, what the card is told, and whom the card tells of what.

use std::sync::Arc;

use rsp::es10::download::StoreMetadata;
use rsp::tlv::{Tlv, TlvError, Writer};

use super::Profile;

/// The tag of the record; it never leaves the store.
const RECORD_PROFILE: u32 = 0xE3;

impl Profile {
    /// The unprotected profile package, shared.
    pub(crate) fn shared_package(&self) -> Arc<[u8]> {
        self.package.clone()
    }

    /// The record of it for the store.
    pub(crate) fn record(&self) -> Vec<u8> {
        let entry = |w: Writer, (events, address): &(_, Option<String>)| {
            w.nested(0x30, |w| w.bits(0x80, *events).put_opt(0x81, address.as_deref()))
        };
        Writer::new()
            .nested(RECORD_PROFILE, |w| {
                w.raw(&self.metadata.encode())
                    .nested(0xA0, |w| self.notifications.iter().fold(w, entry))
                    .put(0x81, &self.package)
            })
            .into_vec()
    }

    /// Reads its record.
    pub(crate) fn from_record(bytes: &[u8]) -> Result<Self, TlvError> {
        let mut fields = Tlv::parse_as(RECORD_PROFILE, bytes)?.reader();
        let metadata = StoreMetadata::parse(fields.require(rsp::es10::download::TAG_STORE_METADATA)?.raw())?;
        let mut notifications = Vec::new();
        for entry in fields.require(0xA0)?.reader() {
            let mut entry = entry?.reader();
            let events = entry.require(0x80)?.as_bits()?;
            let address = entry.optional(0x81)?.map(|text| text.as_str().map(str::to_owned)).transpose()?;
            notifications.push((events, address));
        }
        let package = fields.require(0x81)?.value().into();
        Ok(Profile { metadata, notifications, package })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Profile, built_in};

    #[test]
    fn every_profile_comes_back_as_it_was() {
        for (name, mut spec) in built_in() {
            spec.notifications = Some(vec![super::super::NotificationSpec {
                events: vec![super::super::Event::Delete],
                address: Some("elsewhere.example.com".to_owned()),
            }]);
            let profile = Profile::build(&spec).unwrap();
            assert_eq!(Profile::from_record(&profile.record()).unwrap(), profile, "{name}");
        }
        assert!(Profile::from_record(&[0xE3, 0x00]).is_err());
    }
}
