//! Notifications (SGP.22 v2.5 §3.5): the card keeps them until their server has acknowledged them.

use rsp::ServerAddress;
use rsp::es10::notification::{NotificationEvent, NotificationMetadata};

use crate::failure::{Failure, Outcome, Step};
use crate::http::Http;
use crate::link::ApduLink;
use crate::lpa::Lpa;
use crate::report::Details;

/// A notification, and what became of it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What it tells, and whom.
    pub notification: NotificationMetadata,
    /// Why it is still on the card, when it is.
    pub failure: Option<Box<Failure>>,
}

/// The events of a notification in the specification's words.
pub fn event_names(notification: &NotificationMetadata) -> String {
    let names: Vec<&str> = NotificationEvent::ALL
        .into_iter()
        .filter(|event| event.is_in(notification.events))
        .map(NotificationEvent::name)
        .collect();
    if names.is_empty() { "unknown".to_owned() } else { names.join("+") }
}

/// A notification as an object of a report.
pub fn describe(notification: &NotificationMetadata) -> Details {
    Details::new()
        .with("sequence_number", notification.sequence_number)
        .with("event", event_names(notification))
        .with_some("iccid", notification.iccid.map(|iccid| iccid.to_string()))
        .with("server", notification.address.as_str())
}

impl<L: ApduLink, H: Http> Lpa<'_, L, H> {
    /// The notifications that wait on the card, oldest first.
    pub fn notifications(&mut self) -> Outcome<Vec<NotificationMetadata>> {
        let mut list = self.card_step(
            Step::ListNotification,
            |card| card.list_notification(),
            |list| Details::new().with("count", list.len()),
        )?;
        list.sort_by_key(|notification| notification.sequence_number);
        Ok(list)
    }

    /// Sends all notifications that wait on the card, oldest first, and removes each once it is acknowledged. One that
    /// cannot be sent stays on the card; after a network failure the others for that server are left for later.
    pub fn send_notifications(&mut self) -> Outcome<Vec<Delivery>> {
        let mut unreachable: Vec<(String, Box<Failure>)> = Vec::new();
        let mut deliveries = Vec::new();
        for notification in self.notifications()? {
            let known = unreachable.iter().find(|(address, _)| *address == notification.address);
            let failure = match known {
                Some((_, failure)) => Some(failure.clone()),
                None => self.send_notification(&notification).err(),
            };
            if let Some(failure) = &failure {
                let lost_card = failure.step != Step::HandleNotification && failure.euicc.is_none();
                if failure.curl.is_some() {
                    unreachable.push((notification.address.clone(), failure.clone()));
                }
                if lost_card {
                    return Err(failure.clone());
                }
            }
            deliveries.push(Delivery { notification, failure });
        }
        Ok(deliveries)
    }

    /// Sends one notification and removes it.
    fn send_notification(&mut self, notification: &NotificationMetadata) -> Outcome<()> {
        let number = notification.sequence_number;
        let pending = self.card_step(
            Step::RetrieveNotificationsList,
            |card| card.retrieve_notification(number),
            |_| Details::new().with("sequence_number", number),
        )?;
        match pending {
            Some(pending) => self.deliver(notification, &pending),
            // Removed in the meantime.
            None => Ok(()),
        }
    }

    /// Sends one notification whose bytes are known, and removes it from the card (§3.5, §5.6.4).
    pub(crate) fn deliver(&mut self, notification: &NotificationMetadata, pending: &[u8]) -> Outcome<()> {
        let step = Step::HandleNotification;
        let sent = match ServerAddress::parse(&notification.address) {
            Ok(server) => self.servers.handle_notification(&server, pending).map_err(|error| error.at(step)),
            Err(error) => Err(Failure::new(step, error.to_string())),
        };
        match sent {
            Ok(()) => self.report.done(step, describe(notification)),
            Err(failure) => {
                self.report.failed(&failure);
                return Err(failure);
            }
        }
        self.forget_notification(notification.sequence_number)
    }

    /// Removes a notification from the card, sent or not.
    pub fn forget_notification(&mut self, sequence_number: u32) -> Outcome<()> {
        self.card_step(
            Step::RemoveNotificationFromList,
            |card| card.remove_notification_from_list(sequence_number),
            |()| numbered(sequence_number),
        )
    }
}

fn numbered(sequence_number: u32) -> Details {
    Details::new().with("sequence_number", sequence_number)
}
