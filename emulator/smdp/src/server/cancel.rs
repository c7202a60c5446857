//! ES9+ cancelSession (SGP.22 §5.6.5), and what it does to the order.

use rsp::TransactionId;
use rsp::es10::download::CancelSessionReason;

use super::auth::unknown_transaction;
use super::work::{Job, VerifiedCancel};
use super::{Answer, SmdpEventKind};
use super::{Smdp, Stage};
use crate::order::{Order, OrderId, OrderState};
use crate::status::{Status, StatusError};

impl Smdp {
    pub(super) fn begin_cancel_session(
        &mut self,
        transaction_id: TransactionId,
        response: Vec<u8>,
        now: i64,
    ) -> Result<Job, StatusError> {
        let session = self.session(&transaction_id, now)?;
        // Nobody has proved to be the card of this session before authenticateClient.
        let Some((_, euicc)) = session.euicc.clone() else { return Err(unknown_transaction(&transaction_id)) };
        Ok(Job::VerifyCancel { transaction_id, euicc, response })
    }

    pub(super) fn cancelled(
        &mut self,
        transaction_id: TransactionId,
        cancel: &VerifiedCancel,
        now: i64,
    ) -> Result<Answer, StatusError> {
        if cancel.transaction_id != transaction_id {
            return Err(unknown_transaction(&cancel.transaction_id));
        }
        if cancel.smdp_oid != self.config.oid {
            return Err(Status::OidMismatch.with(format!("{} is not {}", cancel.smdp_oid, self.config.oid)));
        }
        // Two may have come at the same time: the first one counts.
        let session = self.sessions.remove(&transaction_id).ok_or_else(|| unknown_transaction(&transaction_id))?;
        let order = match session.stage {
            Stage::Authenticated { order, .. } | Stage::Delivered { order } => Some(order),
            Stage::Busy { order } => order,
            Stage::Opened | Stage::Refused => None,
        };
        self.tell(now, SmdpEventKind::SessionCancelled { transaction_id, reason: cancel.reason });
        // What another card has got by now, or the order is given to somebody else: that goes on.
        let own = |id: &OrderId| {
            self.orders.get(*id).is_some_and(|order| {
                let eid = session.euicc.as_ref().map(|(eid, _)| *eid);
                order.holder == session.holder && order.bound_to().is_none_or(|bound| Some(bound) == eid)
            })
        };
        if let Some(order) = order.filter(own) {
            self.order_cancelled(order, cancel.reason, now);
        }
        Ok(Answer::Cancelled)
    }

    /// SGP.22 §3.1.3.1: what is put off can be tried again, what is given up cannot.
    fn order_cancelled(&mut self, id: OrderId, reason: CancelSessionReason, now: i64) {
        let cause = format!("the session was cancelled: {reason}");
        match reason {
            CancelSessionReason::Postponed | CancelSessionReason::Timeout => self.note(id, cause, now),
            _ => {
                let state = self.orders.get(id).map(Order::state);
                if matches!(state, Some(OrderState::Released | OrderState::Downloaded)) {
                    self.move_order(id, OrderState::Error, cause, now);
                }
            }
        }
    }
}
