//! ES9+ authenticateClient (SGP.22 §5.6.3): a card that has proved itself, the order that it asks for, and whether card
//! and device can take what was ordered.

use rsp::es10::download::SmdpSigned2;
use rsp::saip::Service;
use rsp::{Eid, TransactionId};

use super::auth::{Capabilities, Facts, VerifiedCard, unknown_transaction};
use super::outgoing::Point;
use super::work::{Job, is_on};
use super::{Answer, AuthenticateClientOk, SmdpEventKind};
use super::{Smdp, Stage};
use crate::order::{Order, OrderId, OrderState};
use crate::status::{Status, StatusError};

impl Smdp {
    pub(super) fn begin_authenticate_client(
        &mut self,
        transaction_id: TransactionId,
        response: Vec<u8>,
        now: i64,
    ) -> Result<Job, StatusError> {
        let session = self.session(&transaction_id, now)?;
        if !matches!(session.stage, Stage::Opened) {
            return Err(unknown_transaction(&transaction_id));
        }
        session.stage = Stage::Busy { order: None };
        let facts = Facts {
            transaction_id,
            euicc_ci: session.euicc_ci,
            address: session.address.clone(),
            server_challenge: session.server_challenge,
        };
        Ok(Job::VerifyCard { server: self.server.clone(), facts, response, now })
    }

    /// The card has proved itself: which order is it to have?
    pub(super) fn offer(
        &mut self,
        transaction_id: &TransactionId,
        card: VerifiedCard,
        now: i64,
    ) -> Result<Job, StatusError> {
        let session = self.sessions.get_mut(transaction_id).ok_or_else(|| unknown_transaction(transaction_id))?;
        let eid = card.eid;
        session.euicc = Some((eid, card.euicc));
        let (credentials, opened, flaw) = (session.credentials, session.opened, session.flaw);
        self.authenticated.push_back((opened, transaction_id.clone()));
        self.tell(now, SmdpEventKind::EuiccAuthenticated { transaction_id: transaction_id.clone(), eid });

        let found = self.find_order(&card.matching_id, eid, now);
        let found = match found {
            // What the card cannot take is told before its order counts a try (SGP.22 §3.1.3 step 5).
            Ok(order) => {
                let (id, eligible) = (order.id, self.config.eligibility.then(|| eligible(order, &card.capabilities)));
                self.progress(id, Some(eid), Point::Eligibility, eligible.clone().unwrap_or(Ok(())), None, now);
                eligible.unwrap_or(Ok(())).map(|()| id)
            }
            Err((id, status)) => {
                if let Some(id) = id {
                    // SGP.22 §3.1.3, §3.1.6: one try too many ends the order.
                    if Status::RetriesExceeded.is(&status) {
                        self.move_order(id, OrderState::Error, "the download was tried too often".to_owned(), now);
                    }
                    self.progress(id, Some(eid), Point::Eligibility, Err(status.clone()), None, now);
                }
                Err(status)
            }
        };
        let id = found?;
        let curve = self.config.credentials[credentials].pb.certificate.curve();
        let order = self.orders.get_mut(id).ok_or_else(|| unknown_transaction(transaction_id))?;
        order.attempts += 1;
        // SGP.22 §3.1.3 step 2: a card that still has the one-time key of an earlier try is asked to use it again.
        let bound = order.bound.as_ref().filter(|bound| bound.eid == eid && is_on(curve, &bound.euicc_otpk));
        let bpp_euicc_otpk = bound.map(|bound| bound.euicc_otpk);
        let cc_required = order.needs_confirmation_code();
        let holder = order.holder;
        let profile_metadata = order.profile().metadata(&self.config.address).encode();
        let profile_metadata = match flaw {
            Some(flaw) => flaw.metadata(&profile_metadata),
            None => profile_metadata,
        };
        self.changed(id, false);
        if let Some(session) = self.sessions.get_mut(transaction_id) {
            session.holder = holder;
            session.stage = Stage::Busy { order: Some(id) };
        }
        Ok(Job::Offer {
            config: self.config.clone(),
            credentials,
            transaction_id: transaction_id.clone(),
            order: id,
            smdp_signed2: SmdpSigned2 { transaction_id: transaction_id.clone(), cc_required, bpp_euicc_otpk }.encode(),
            euicc_signature1: card.euicc_signature1,
            profile_metadata,
        })
    }

    pub(super) fn offered(
        &mut self,
        transaction_id: TransactionId,
        order: OrderId,
        profile_metadata: Vec<u8>,
        smdp_signed2: Vec<u8>,
        smdp_signature2: Vec<u8>,
    ) -> Result<Answer, StatusError> {
        let session = self.sessions.get_mut(&transaction_id).ok_or_else(|| unknown_transaction(&transaction_id))?;
        session.stage = Stage::Authenticated { order, smdp_signature2: smdp_signature2.clone() };
        let smdp_certificate = self.config.credentials[session.credentials].pb.certificate.der().to_vec();
        Ok(Answer::AuthenticateClient(AuthenticateClientOk {
            transaction_id,
            profile_metadata,
            smdp_signed2,
            smdp_signature2,
            smdp_certificate,
        }))
    }

    /// The order that a card asks for, if it may have it now (SGP.22 §5.6.3); else why not, and which order it is about.
    fn find_order(&self, matching_id: &str, eid: Eid, now: i64) -> Result<&Order, (Option<OrderId>, StatusError)> {
        let order = if matching_id.is_empty() {
            // SGP.23 §4.3.14.2.2, sequence 14: without a matching id it is the EID that is unknown.
            let nothing = || (None, Status::EidMismatch.with(format!("nothing waits for {eid}")));
            self.orders.default_for(eid).ok_or_else(nothing)?
        } else {
            let unknown =
                || (None, Status::MatchingIdRefused.with(format!("no order has matching id {matching_id:?}")));
            self.orders.by_matching_id(matching_id).ok_or_else(unknown)?
        };
        self.may_have(order, matching_id, eid, now).map(|()| order).map_err(|status| (Some(order.id), status))
    }

    /// Whether a card may have an order now.
    fn may_have(&self, order: &Order, matching_id: &str, eid: Eid, now: i64) -> Result<(), StatusError> {
        // An order for any card is for the one that has fetched its package, from then on.
        let expected = order.eid().or(order.bound.as_ref().map(|bound| bound.eid));
        if let Some(expected) = expected.filter(|expected| *expected != eid) {
            return Err(Status::EidMismatch.with(format!("the order is for {expected}, this is {eid}")));
        }
        match order.state {
            OrderState::Released | OrderState::Downloaded => {}
            OrderState::Available | OrderState::Allocated | OrderState::Linked | OrderState::Confirmed => {
                return Err(Status::NotReleased.with(format!("the order is {}", order.state)));
            }
            OrderState::Installed | OrderState::Error | OrderState::Unavailable => {
                let message = format!("the order with matching id {matching_id:?} is {}", order.state);
                return Err(Status::MatchingIdRefused.with(message));
            }
        }
        if order.spec.expires.is_some_and(|expires| now > expires) {
            return Err(Status::OrderExpired.with("ask the operator for a new activation code"));
        }
        if order.spec.max_attempts.or(self.config.max_attempts).is_some_and(|most| order.attempts >= most) {
            return Err(Status::RetriesExceeded.with(format!("it was tried {} times", order.attempts)));
        }
        Ok(())
    }
}

/// The eligibility check (SGP.22 §3.1.3 step 5, §4.1.2): whether card and device can take a profile, and have room.
fn eligible(order: &Order, card: &Capabilities) -> Result<(), StatusError> {
    let refuse = |message: String| Err(Status::NotEligible.with(message));
    let [major, minor, _] = card.profile_version.0;
    if let Some(version) = order.needs.version
        && (version.0 != major || version.1 > minor)
    {
        let (needed, has) = (format!("{}.{}", version.0, version.1), card.profile_version);
        return refuse(format!("the package is of version {needed}, and the eUICC takes {has}"));
    }
    for service in &order.needs.services {
        if uicc_capability(*service).is_some_and(|bit| !card.uicc.has(bit)) {
            return refuse(format!("the profile needs the service {service}, which the eUICC does not have"));
        }
    }
    let rules = order.spec.profile.policy_rules();
    for (bit, name) in [(1, "PPR1"), (2, "PPR2")] {
        if rules.has(bit) && card.forbidden_rules.has(bit) {
            return refuse(format!("the profile has the rule {name}, which the eUICC forbids"));
        }
    }
    for (technology, release) in &order.spec.requires {
        let has = card.device.iter().find(|(tag, _)| tag == technology).map(|(_, version)| *version);
        if has.is_none_or(|has| has < *release) {
            return refuse(format!("the device does not support technology {technology:02X} of release {release}"));
        }
    }
    // A lower bound: a card that has less than the package is long has not enough for certain.
    let needed = order.spec.profile.package().len();
    match card.free_non_volatile {
        Some(free) if (free as usize) < needed => {
            Err(Status::NoMemory.with(format!("the package has {needed} bytes, and the eUICC {free} to spare")))
        }
        _ => Ok(()),
    }
}

/// The bit of UICCCapability (SGP.22 §5.7.8) for a service that a package may demand; `None` where there is none.
fn uicc_capability(service: Service) -> Option<u8> {
    Some(match service {
        Service::Contactless => 0,
        Service::Usim => 1,
        Service::Isim => 2,
        Service::Csim => 3,
        Service::Milenage => 4,
        Service::Cave => 5,
        Service::Tuak128 => 6,
        Service::Tuak256 => 7,
        Service::UsimTestAlgorithm => 8,
        Service::GbaUsim => 10,
        Service::GbaIsim => 11,
        Service::Mbms => 12,
        Service::Eap => 13,
        Service::Javacard => 14,
        Service::Multos => 15,
        Service::MultipleUsim => 16,
        Service::MultipleIsim => 17,
        Service::MultipleCsim => 18,
        Service::BerTlv => 19,
        Service::DfLink => 20,
        Service::CatTp => 21,
        Service::GetIdentity => 22,
        Service::ProfileAX25519 => 23,
        Service::ProfileBP256 => 24,
        Service::SuciCalculatorApi => 25,
        Service::Unknown(_) => return None,
    })
}
