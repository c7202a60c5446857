//! Notifications: raising them, and ListNotification, RetrieveNotificationsList, RemoveNotificationFromList
//! (SGP.22 §3.5, §5.7.9 to §5.7.11).

use rsp::es10::notification::{
    self, NotificationEvent, NotificationMetadata, NotificationSearch, OtherSignedNotification,
    RemoveNotificationResult,
};

use crate::apdu::Sw;
use crate::profile::Profile;
use crate::store::Notification;
use crate::{CardEvent, Euicc};

impl Euicc {
    /// The notifications that a profile's metadata wants of an event, numbered from `next`.
    pub(super) fn configured_notifications(
        &self,
        profile: &Profile,
        event: NotificationEvent,
        next: u32,
    ) -> Result<Vec<Notification>, Sw> {
        let own = self.config.credentials.get(profile.credentials);
        // A card without credentials has nothing to sign with, and nobody who would believe it.
        let Some(own) = own else { return Ok(Vec::new()) };
        let wanted = profile.metadata.notification_configuration.iter().filter(|entry| event.is_in(entry.events));
        (next..)
            .zip(wanted)
            .map(|(sequence_number, entry)| {
                let metadata = NotificationMetadata {
                    sequence_number,
                    events: event.as_bits(),
                    address: entry.address.clone(),
                    iccid: Some(profile.iccid()),
                };
                let encoded = metadata.encode();
                let signature = self.sign(profile.credentials, &[&encoded])?;
                let signed = OtherSignedNotification::encode(&encoded, &signature, own.euicc.der(), own.eum.der());
                Ok(Notification { metadata, signed })
            })
            .collect()
    }

    /// Puts notifications into the timeline.
    pub(super) fn tell(&mut self, notifications: &[Notification]) {
        for Notification { metadata, .. } in notifications {
            if let Some(event) = metadata.event() {
                self.events.push(CardEvent::NotificationRaised {
                    sequence_number: metadata.sequence_number,
                    event,
                    address: metadata.address.clone(),
                });
            }
        }
    }

    pub(super) fn list_notification(&self, data: &[u8]) -> Result<Vec<u8>, Sw> {
        let events = notification::parse_list_request(data).map_err(|_| Sw::WRONG_DATA)?;
        let wanted = |metadata: &&NotificationMetadata| {
            events.is_none_or(|events| metadata.event().is_some_and(|event| event.is_in(events)))
        };
        let list = self.store.notifications().iter().map(|notification| &notification.metadata).filter(wanted);
        Ok(notification::encode_list_response(list))
    }

    pub(super) fn retrieve_notifications_list(&self, data: &[u8]) -> Result<Vec<u8>, Sw> {
        let search = notification::parse_retrieve_request(data).map_err(|_| Sw::WRONG_DATA)?;
        let wanted = |notification: &&Notification| match search {
            NotificationSearch::All => true,
            NotificationSearch::SequenceNumber(number) => notification.metadata.sequence_number == number,
            NotificationSearch::Events(events) => {
                notification.metadata.event().is_some_and(|event| event.is_in(events))
            }
        };
        let list = self.store.notifications().iter().filter(wanted).map(|notification| &notification.signed[..]);
        Ok(notification::encode_retrieve_response(list))
    }

    pub(super) fn remove_notification_from_list(&mut self, data: &[u8]) -> Result<Vec<u8>, Sw> {
        let number = notification::parse_remove_request(data).map_err(|_| Sw::WRONG_DATA)?;
        let result = if self.store.remove_notification(number) {
            self.events.push(CardEvent::NotificationRemoved(number));
            RemoveNotificationResult::Ok
        } else {
            RemoveNotificationResult::NothingToDelete
        };
        Ok(notification::encode_remove_response(result))
    }
}
