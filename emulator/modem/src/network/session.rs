//! Data sessions: what the device asks for ([`Activation`]) goes to the operator, whose answer is a [`Bearer`] or a
//! cause.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::cause::SessionCause;
use super::device::Network;
use crate::pdp::{Activation, Bearer, PdpType, SmCause};

/// The name servers of the network.
const NAME_SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 7, 0, 1), Ipv4Addr::new(10, 7, 0, 2)];

/// The access point that a device comes to when it names none.
const USUAL_APN: &str = "internet";

impl Network {
    /// Asks the network for a context: the one seam between the device's contexts and the network's acceptance.
    pub(crate) fn activate(&mut self, request: Activation<'_>) -> Result<Bearer, SmCause> {
        let subscriber = self.subscriber.clone().filter(|_| self.is_registered());
        let Some(subscriber) = subscriber else { return Err(SmCause(SessionCause::NetworkFailure.number())) };
        let session =
            self.core.begin_session(&subscriber, request.cid, request.apn).map_err(|cause| SmCause(cause.number()))?;
        let wants = |kind| request.kind == kind || request.kind == PdpType::Ipv4v6;
        let host = u16::from(request.cid);
        Ok(Bearer {
            apn: if session.apn.is_empty() { USUAL_APN.to_owned() } else { session.apn },
            ipv4: wants(PdpType::Ip).then_some(session.address),
            ipv6: wants(PdpType::Ipv6).then(|| Ipv6Addr::new(0xFD00, 0x7, 0x157, 0, 0, 0, 0, host)),
            dns: NAME_SERVERS,
        })
    }

    /// Tells the network that the device has let go of a context.
    pub(crate) fn deactivate(&mut self, cid: u8) {
        if let Some(subscriber) = &self.subscriber {
            self.core.end_session(subscriber, cid, "the device has ended it");
        }
    }

    /// A session has carried so many bytes from the device, and so many to it.
    pub(crate) fn carry(&mut self, cid: u8, sent: u64, received: u64, now: Duration) {
        self.power.traffic_at(now);
        if let Some(subscriber) = &self.subscriber {
            self.core.carry(subscriber, cid, sent, received);
        }
    }

    /// The sessions that the network has ended since the last call, by context.
    pub(crate) fn ended_sessions(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ended)
    }

    /// Tells the network which contexts the device still has.
    pub(crate) fn keep_sessions(&mut self, active: &[u8]) {
        let Some(subscriber) = self.subscriber.clone() else { return };
        for session in self.core.sessions(&subscriber) {
            if !active.contains(&session.cid) {
                self.core.end_session(&subscriber, session.cid, "the device does not have it any more");
            }
        }
    }

    /// Whether the name servers of the network answer.
    pub(crate) fn resolves(&self) -> bool {
        self.is_registered() && self.subscriber.as_ref().is_some_and(|subscriber| self.core.resolves(subscriber))
    }
}
