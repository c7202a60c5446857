//! ES9+ handleNotification (SGP.22 §5.6.4): what cards say has become of profiles.
//!
//! A ProfileInstallationResult is verified with the certificate of the session in which the package was handed out,
//! however long ago; other notifications carry their certificates. Each counts once.

use rsp::Eid;
use rsp::es10::download::{FinalResult, ProfileInstallationResult};
use rsp::es10::notification::{NotificationMetadata, OtherSignedNotification, PendingNotification};

use super::auth::malformed;
use super::work::{Job, Step};
use super::{Answer, Notified, Point, Smdp, SmdpEventKind};
use crate::order::{Order, OrderEvent, OrderState};
use crate::status::{Status, StatusError};

impl Smdp {
    pub(super) fn begin_handle_notification(&mut self, notification: Vec<u8>, now: i64) -> Step {
        let parsed = match PendingNotification::parse(&notification) {
            Ok(parsed) => parsed,
            Err(error) => return Step::Answer(Err(malformed("pendingNotification")(error))),
        };
        match &parsed {
            PendingNotification::ProfileInstallationResult(result) => {
                let transaction_id = &result.data.transaction_id;
                match self.deliveries.get(transaction_id) {
                    Some(delivery) => {
                        let key = delivery.key.clone();
                        Step::work(Job::VerifyInstallation { key, notification })
                    }
                    None => {
                        let outcome = format!("no package was handed out in session {transaction_id}");
                        Step::Answer(Ok(Answer::Notified(self.notified(&parsed, Notified::Ignored(outcome), now))))
                    }
                }
            }
            PendingNotification::Other(_) => {
                Step::work(Job::VerifyOther { server: self.server.clone(), notification, now })
            }
        }
    }

    /// Tells of a notification and what became of it.
    fn notified(&mut self, notification: &PendingNotification<'_>, outcome: Notified, now: i64) -> Notified {
        let metadata = notification.metadata();
        let kind = SmdpEventKind::Notification {
            sequence_number: metadata.sequence_number,
            event: metadata.event().map(|event| event.name()),
            iccid: metadata.iccid,
            outcome: outcome.clone(),
        };
        self.tell(now, kind);
        outcome
    }

    pub(super) fn finish_installation(
        &mut self,
        notification: &[u8],
        genuine: bool,
        now: i64,
    ) -> Result<Notified, StatusError> {
        let parsed = PendingNotification::parse(notification).map_err(malformed("pendingNotification"))?;
        let outcome = match &parsed {
            PendingNotification::ProfileInstallationResult(_) if !genuine => {
                Notified::Ignored("it was not signed by the eUICC of its session".to_owned())
            }
            PendingNotification::ProfileInstallationResult(result) => self.installation_result(result, now),
            PendingNotification::Other(_) => Notified::Ignored("it is no installation result".to_owned()),
        };
        Ok(self.notified(&parsed, outcome, now))
    }

    fn installation_result(&mut self, result: &ProfileInstallationResult<'_>, now: i64) -> Notified {
        let data = &result.data;
        let Some(delivery) = self.deliveries.get_mut(&data.transaction_id) else {
            return Notified::Ignored(format!("no package was handed out in session {}", data.transaction_id));
        };
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
        if let Some(changes) = &mut self.changes {
            changes.delivery(&data.transaction_id);
        }
        self.sessions.remove(&data.transaction_id);
        let eid = self.orders.get(order).and_then(Order::bound_to);
        let status = match &data.final_result {
            FinalResult::Success { aid, .. } => {
                self.move_order(order, OrderState::Installed, format!("installed as {aid}"), now);
                Ok(())
            }
            FinalResult::Error { command, reason, .. } => {
                let cause = format!("installation failed at {command}: {reason}");
                let status = Status::Malformed.with(cause.clone());
                // A card that has it keeps it, whatever a second try came to.
                if self.orders.get(order).map(Order::state) != Some(OrderState::Installed) {
                    self.move_order(order, OrderState::Error, cause, now);
                }
                // SGP.22 §5.3.5: the subject is the eUICC, the reason that its command has failed.
                Err(StatusError { subject: "8.1".into(), reason: "4.2".into(), ..status })
            }
        };
        self.progress(order, eid, Point::Installation, status, Some(data.raw.to_vec()), now);
        Notified::Accepted
    }

    pub(super) fn finish_other(
        &mut self,
        notification: &[u8],
        verified: Result<Eid, String>,
        now: i64,
    ) -> Result<Notified, StatusError> {
        let parsed = PendingNotification::parse(notification).map_err(malformed("pendingNotification"))?;
        let outcome = match (&parsed, verified) {
            (PendingNotification::Other(other), Ok(eid)) => self.other_notification(other, eid, now),
            (_, Err(why)) => Notified::Ignored(why),
            (PendingNotification::ProfileInstallationResult(_), Ok(_)) => {
                Notified::Ignored("it is an installation result".to_owned())
            }
        };
        Ok(self.notified(&parsed, outcome, now))
    }

    fn other_notification(&mut self, other: &OtherSignedNotification<'_>, eid: Eid, now: i64) -> Notified {
        let metadata: &NotificationMetadata = &other.metadata;
        let Some(iccid) = metadata.iccid else {
            return Notified::Ignored("it names no profile".to_owned());
        };
        // The newest order that this card can have the profile from.
        let of_card = |order: &&Order| match &order.bound {
            Some(bound) => bound.eid == eid,
            None => order.eid().is_none_or(|expected| expected == eid),
        };
        let Some(order) = self.orders.by_iccid(iccid).find(of_card) else {
            return Notified::Ignored(format!("no order has profile {iccid}"));
        };
        let event = metadata.event().map_or("unknown event", |event| event.name());
        let cause = format!("notification {} of {eid}: {event}", metadata.sequence_number);
        if order.events.iter().any(|known: &OrderEvent| known.cause == cause) {
            return Notified::Repeated;
        }
        let id = order.id();
        self.note(id, cause, now);
        Notified::Accepted
    }
}
