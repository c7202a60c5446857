//! ES9+ handleNotification (SGP.22 §5.6.4): what cards say has become of profiles.
//!
//! A ProfileInstallationResult is verified with the certificate of the session in which the package was handed out,
//! however long ago; other notifications carry their certificates. Each counts once.

use rsp::Eid;
use rsp::cert::{Certificate, verify_euicc_chain};
use rsp::es10::download::{FinalResult, ProfileInstallationResult};
use rsp::es10::notification::{NotificationMetadata, OtherSignedNotification, PendingNotification};

use super::{Notified, Smdp, SmdpEventKind, malformed};
use crate::order::{Order, OrderEvent, OrderState};
use crate::status::StatusError;

impl Smdp {
    /// ES9+ handleNotification (SGP.22 §5.6.4). The notification is the card's, as it stands in its list. Only one that
    /// cannot be read is an error; what does not verify is ignored, and told by an event.
    pub fn handle_notification(&mut self, pending_notification: &[u8], now: i64) -> Result<Notified, StatusError> {
        let notification =
            PendingNotification::parse(pending_notification).map_err(malformed("pendingNotification"))?;
        let outcome = match &notification {
            PendingNotification::ProfileInstallationResult(result) => self.installation_result(result, now),
            PendingNotification::Other(other) => self.other_notification(other, now),
        };
        let metadata = notification.metadata();
        let kind = SmdpEventKind::Notification {
            sequence_number: metadata.sequence_number,
            event: metadata.event().map(|event| event.name()),
            iccid: metadata.iccid,
            outcome: outcome.clone(),
        };
        self.tell(now, kind);
        Ok(outcome)
    }

    fn installation_result(&mut self, result: &ProfileInstallationResult<'_>, now: i64) -> Notified {
        let data = &result.data;
        let Some(delivery) = self.deliveries.get_mut(&data.transaction_id) else {
            return Notified::Ignored(format!("no package was handed out in session {}", data.transaction_id));
        };
        if !delivery.key.verify(&[data.raw], result.signature) {
            return Notified::Ignored("it was not signed by the eUICC of its session".to_owned());
        }
        if data.smdp_oid.as_ref().is_some_and(|oid| *oid != self.config.oid) {
            return Notified::Ignored("it is for another SM-DP+".to_owned());
        }
        if data.notification.iccid.is_some_and(|iccid| iccid != delivery.iccid) {
            return Notified::Ignored("it is about another profile".to_owned());
        }
        if delivery.answered {
            return Notified::Repeated;
        }
        delivery.answered = true;
        let order = delivery.order;
        self.sessions.remove(&data.transaction_id);
        match &data.final_result {
            FinalResult::Success { aid, .. } => {
                self.move_order(order, OrderState::Installed, format!("installed as {aid}"), now);
            }
            FinalResult::Error { command, reason, .. } => {
                let cause = format!("installation failed at {command}: {reason}");
                // A card that has it keeps it, whatever a second try came to.
                if self.orders.get(order).map(Order::state) != Some(OrderState::Installed) {
                    self.move_order(order, OrderState::Error, cause, now);
                }
            }
        }
        Notified::Accepted
    }

    fn other_notification(&mut self, other: &OtherSignedNotification<'_>, now: i64) -> Notified {
        let eid = match self.verify_other(other, now) {
            Ok(eid) => eid,
            Err(why) => return Notified::Ignored(why),
        };
        let metadata: &NotificationMetadata = &other.metadata;
        let Some(iccid) = metadata.iccid else {
            return Notified::Ignored("it names no profile".to_owned());
        };
        // The newest order that this card can have the profile from.
        let of_card = |order: &&Order| {
            order.profile().iccid() == iccid
                && match &order.bound {
                    Some(bound) => bound.eid == eid,
                    None => order.eid().is_none_or(|expected| expected == eid),
                }
        };
        let Some(order) = self.orders.all().iter().rev().find(of_card).map(Order::id) else {
            return Notified::Ignored(format!("no order has profile {iccid}"));
        };
        let Some(order) = self.orders.get_mut(order) else { return Notified::Repeated };
        let event = metadata.event().map_or("unknown event", |event| event.name());
        let cause = format!("notification {} of {eid}: {event}", metadata.sequence_number);
        if order.events.iter().any(|known: &OrderEvent| known.cause == cause) {
            return Notified::Repeated;
        }
        order.record(now, None, cause);
        Notified::Accepted
    }

    /// SGP.22 §5.6.4: other notifications carry the card's certificates with them.
    fn verify_other(&self, other: &OtherSignedNotification<'_>, now: i64) -> Result<Eid, String> {
        let euicc = Certificate::parse(other.euicc_certificate).map_err(|error| error.to_string())?;
        let eum = Certificate::parse(other.eum_certificate).map_err(|error| error.to_string())?;
        let Some(credentials) = eum.authority_key_id().and_then(|id| self.credentials_under(id)) else {
            return Err("the CI of its EUM certificate is unknown".to_owned());
        };
        let ci = &self.config.credentials[credentials].ci;
        let eid = verify_euicc_chain(&euicc, &eum, ci, now).map_err(|error| error.to_string())?;
        if !euicc.public_key().verify(&[other.metadata.raw], other.signature) {
            return Err("its signature is not one of its eUICC certificate's key".to_owned());
        }
        Ok(eid)
    }
}
