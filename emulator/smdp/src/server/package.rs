//! ES9+ getBoundProfilePackage (SGP.22 §5.6.2): the confirmation code, the package bound to the card's key, and what was
//! handed out.

use rsp::crypto::{equal_in_constant_time, hash_confirmation_code};
use rsp::{Eid, TransactionId};

use super::auth::unknown_transaction;
use super::outgoing::Point;
use super::work::{BindJob, Drawn, Job, Ready, VerifiedDownload};
use super::{Answer, BoundProfilePackageOk, SmdpEventKind};
use super::{Delivery, MAX_REMEMBERED, Smdp, Stage};
use crate::order::{Order, OrderId, OrderState};
use crate::status::{Status, StatusError};

impl Smdp {
    pub(super) fn begin_get_bound_profile_package(
        &mut self,
        transaction_id: TransactionId,
        response: Vec<u8>,
        now: i64,
    ) -> Result<Job, StatusError> {
        let session = self.session(&transaction_id, now)?;
        let Stage::Authenticated { order, smdp_signature2 } = &session.stage else {
            return Err(unknown_transaction(&transaction_id));
        };
        let (order, smdp_signature2) = (*order, smdp_signature2.clone());
        let Some((_, euicc)) = session.euicc.clone() else { return Err(unknown_transaction(&transaction_id)) };
        session.stage = Stage::Busy { order: Some(order) };
        Ok(Job::VerifyDownload { transaction_id, euicc, smdp_signature2, response })
    }

    /// The card has prepared itself: may it have the package, and is it bound already?
    pub(super) fn prepare_binding(
        &mut self,
        transaction_id: &TransactionId,
        download: &VerifiedDownload,
        now: i64,
    ) -> Result<BindJob, StatusError> {
        let session = self.sessions.get(transaction_id).ok_or_else(|| unknown_transaction(transaction_id))?;
        let (Some((eid, _)), Stage::Busy { order: Some(order_id) }) = (&session.euicc, &session.stage) else {
            return Err(unknown_transaction(transaction_id));
        };
        let (eid, order_id, credentials, holder) = (*eid, *order_id, session.credentials, session.holder);
        let flaw = session.flaw;
        if download.transaction_id != *transaction_id {
            return Err(unknown_transaction(&download.transaction_id));
        }
        // First of all: a code that is wrong counts against nobody's order but the one that is asked for.
        self.still_there(order_id, eid, holder)?;
        let code = self.check_confirmation_code(order_id, transaction_id, download.hash_cc, now);
        self.progress(order_id, Some(eid), Point::ConfirmationCode, code.clone(), None, now);
        code?;
        let order = self.orders.get(order_id).ok_or_else(|| unknown_transaction(transaction_id))?;
        self.may_bind(order, &download.euicc_otpk)?;
        let bound = order.bound.clone().filter(|bound| bound.euicc_otpk == download.euicc_otpk);
        Ok(BindJob {
            credentials,
            transaction_id: transaction_id.clone(),
            order: order_id,
            eid,
            euicc_otpk: download.euicc_otpk,
            metadata: order.spec.profile.metadata(&self.config.address).encode(),
            package: order.spec.profile.shared_package(),
            bound,
            replace_session_keys: order.spec.replace_session_keys.unwrap_or(self.config.replace_session_keys),
            protected: order.protected.clone(),
            random: Drawn::from(&mut *self.random),
            flaw,
            config: self.config.clone(),
        })
    }

    /// Another session may have got the order in the meantime, or somebody has moved it.
    fn still_there(&self, order: OrderId, eid: Eid, holder: u32) -> Result<(), StatusError> {
        let gone = |message: String| Err(Status::MatchingIdRefused.with(message));
        let Some(order) = self.orders.get(order) else { return gone("the order is gone".to_owned()) };
        if let Some(other) = order.bound.as_ref().map(|bound| bound.eid).filter(|other| *other != eid) {
            return Err(Status::EidMismatch.with(format!("the package has gone to {other} in the meantime")));
        }
        if !matches!(order.state, OrderState::Released | OrderState::Downloaded) {
            return gone(format!("the order is {} by now", order.state));
        }
        // Cancelled and given to somebody else: the profile is the same, the order is not.
        if order.holder != holder {
            return gone("the order was given to somebody else in the meantime".to_owned());
        }
        Ok(())
    }

    /// Whether a package may be bound to this one-time key (SGP.22 §3.1.3.2): to another than before only by rule.
    fn may_bind(&self, order: &Order, euicc_otpk: &[u8; 65]) -> Result<(), StatusError> {
        match &order.bound {
            Some(bound) if bound.euicc_otpk != *euicc_otpk && !self.config.rebind => {
                Err(Status::NoRebinding.with("the eUICC has another one-time key than before"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn deliver(
        &mut self,
        transaction_id: &TransactionId,
        order_id: OrderId,
        eid: Eid,
        ready: Ready,
        now: i64,
    ) -> Result<Answer, StatusError> {
        let session = self.sessions.get(transaction_id).ok_or_else(|| unknown_transaction(transaction_id))?;
        let Some((_, euicc)) = &session.euicc else { return Err(unknown_transaction(transaction_id)) };
        let key = euicc.public_key().clone();
        self.still_there(order_id, eid, session.holder)?;
        let order = self.orders.get(order_id).ok_or_else(|| unknown_transaction(transaction_id))?;
        // Two sessions of one card may have come this far at the same time.
        self.may_bind(order, &ready.bound.euicc_otpk)?;
        let delivery = Delivery { order: order_id, key, iccid: order.profile().iccid(), answered: false };
        let segments = ready.bound.segments();
        if let Some(order) = self.orders.get_mut(order_id) {
            order.bound = Some(ready.bound);
            order.protected = ready.protected;
        }
        self.remember(transaction_id.clone(), delivery);
        if let Some(session) = self.sessions.get_mut(transaction_id) {
            session.stage = Stage::Delivered { order: order_id };
        }
        self.changed(order_id, !ready.again);
        let transaction_id = transaction_id.clone();
        self.tell(
            now,
            SmdpEventKind::PackageBound {
                transaction_id: transaction_id.clone(),
                order: order_id,
                segments,
                again: ready.again,
            },
        );
        self.move_order(order_id, OrderState::Downloaded, format!("handed out to {eid}"), now);
        self.progress(order_id, Some(eid), Point::Download, Ok(()), None, now);
        Ok(Answer::BoundProfilePackage(BoundProfilePackageOk { transaction_id, bound_profile_package: ready.package }))
    }

    pub(super) fn remember(&mut self, transaction_id: TransactionId, delivery: Delivery) {
        if self.delivery_ages.len() == MAX_REMEMBERED
            && let Some(oldest) = self.delivery_ages.pop_front()
        {
            self.deliveries.remove(&oldest);
            if let Some(changes) = &mut self.changes {
                changes.delivery(&oldest);
            }
        }
        if let Some(changes) = &mut self.changes {
            changes.delivery(&transaction_id);
        }
        self.delivery_ages.push_back(transaction_id.clone());
        self.deliveries.insert(transaction_id, delivery);
    }

    /// SGP.22 §5.6.2: missing, wrong, and wrong too often are told apart; the last ends the order.
    fn check_confirmation_code(
        &mut self,
        order_id: OrderId,
        transaction_id: &TransactionId,
        hash: Option<[u8; 32]>,
        now: i64,
    ) -> Result<(), StatusError> {
        let most = self.config.max_wrong_codes;
        let order = self.orders.get_mut(order_id).ok_or_else(|| unknown_transaction(transaction_id))?;
        let Some(code) = &order.spec.confirmation_code else { return Ok(()) };
        let Some(hash) = hash else {
            return Err(Status::ConfirmationCodeMissing.with("the order needs a confirmation code"));
        };
        let expected = hash_confirmation_code(code, transaction_id.as_bytes());
        if equal_in_constant_time(&hash, &expected) {
            return Ok(());
        }
        order.wrong_codes += 1;
        let wrong = order.wrong_codes;
        if wrong <= most {
            self.note(order_id, "a wrong confirmation code was given".to_owned(), now);
            let message = format!("wrong code number {wrong}; {} more may be tried", most - wrong + 1);
            return Err(Status::ConfirmationCodeRefused.with(message));
        }
        self.move_order(order_id, OrderState::Error, "too many wrong confirmation codes".to_owned(), now);
        Err(Status::ConfirmationCodeRetries.with("ask the operator for a new activation code"))
    }
}
