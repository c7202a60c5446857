//! What the server has to say to others: operators and SM-DSs.

use rsp::{Eid, Iccid};

use super::es2::Registration;
use super::{MAX_REMEMBERED, Smdp};
use crate::order::{Order, OrderId, OrderState};
use crate::status::StatusError;

/// A point of a download that an operator is told of (SGP.22 §5.3.5, `notificationPointId`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Eligibility and retry limit check.
    Eligibility = 1,
    /// Confirmation code check.
    ConfirmationCode = 2,
    /// Download of the bound profile package.
    Download = 3,
    /// Installation of the bound profile package.
    Installation = 4,
}

/// The progress of a download (SGP.22 §5.3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// When, Unix seconds.
    pub at: i64,
    /// The profile.
    pub iccid: Iccid,
    /// Its type.
    pub profile_type: Option<String>,
    /// The card.
    pub eid: Option<Eid>,
    /// The point.
    pub point: Point,
    /// What came of it.
    pub status: Result<(), StatusError>,
    /// The card's result of the installation, element `A2` of the notification.
    pub result_data: Option<Vec<u8>>,
}

/// Something to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// ES2+ handleDownloadProgressInfo, to the operator.
    Progress(Box<Progress>),
    /// ES12 registerEvent, to an SM-DS that may have the event already.
    RegisterEvent(Registration),
    /// ES12 deleteEvent, to an SM-DS.
    DeleteEvent {
        /// Its address.
        smds: String,
        /// The card.
        eid: Eid,
        /// The event.
        event_id: String,
    },
}

impl Smdp {
    /// What is to be sent, since it was last asked.
    pub fn drain_outgoing(&mut self) -> Vec<Outgoing> {
        self.outgoing.drain(..).collect()
    }

    /// Announces the orders that wait for a card once more, each at the SM-DS where it was announced: for a server
    /// that begins with the orders of an earlier one, and an SM-DS that may have forgotten since.
    pub fn announce_again(&mut self) {
        let waits = |order: &&Order| matches!(order.state(), OrderState::Released | OrderState::Downloaded);
        let announced = |order: &Order| {
            let spec = order.spec();
            self.registration(true, spec.smds.as_deref(), spec.eid, &spec.matching_id)
        };
        let events: Vec<_> = self.orders.all().iter().filter(waits).filter_map(announced).collect();
        events.into_iter().for_each(|event| self.send(Outgoing::RegisterEvent(event)));
    }

    pub(super) fn send(&mut self, outgoing: Outgoing) {
        if self.outgoing.len() == MAX_REMEMBERED {
            self.outgoing.pop_front();
        }
        self.outgoing.push_back(outgoing);
    }

    pub(super) fn progress(
        &mut self,
        order: OrderId,
        eid: Option<Eid>,
        point: Point,
        status: Result<(), StatusError>,
        result_data: Option<Vec<u8>>,
        now: i64,
    ) {
        if !self.config.progress {
            return;
        }
        let Some(order) = self.orders.get(order) else { return };
        let progress = Progress {
            at: now,
            iccid: order.profile().iccid(),
            profile_type: order.spec().profile_type.clone(),
            eid,
            point,
            status,
            result_data,
        };
        self.send(Outgoing::Progress(Box::new(progress)));
    }
}
