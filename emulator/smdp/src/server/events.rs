//! What an SM-DP+ has to tell of itself.

use std::fmt;

use rsp::crypto::Curve;
use rsp::es10::download::CancelSessionReason;
use rsp::{Eid, Iccid, TransactionId};

use crate::order::{OrderId, OrderState};

/// What became of a notification. The LPA is not told: it gets the same answer always (SGP.22 §5.6.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notified {
    /// It was verified and counts.
    Accepted,
    /// It was verified and known already.
    Repeated,
    /// It does not verify, or is about nothing that is known here.
    Ignored(String),
}

/// What a server has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmdpEvent {
    /// When, Unix seconds.
    pub at: i64,
    /// What.
    pub kind: SmdpEventKind,
}

/// The things that happen on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmdpEventKind {
    /// initiateAuthentication has opened a session.
    SessionOpened {
        /// The session.
        transaction_id: TransactionId,
        /// The curve that was chosen.
        curve: Curve,
    },
    /// A card has proved itself.
    EuiccAuthenticated {
        /// The session.
        transaction_id: TransactionId,
        /// The card.
        eid: Eid,
    },
    /// A package was handed out.
    PackageBound {
        /// The session.
        transaction_id: TransactionId,
        /// The order.
        order: OrderId,
        /// How many segments carry the profile.
        segments: usize,
        /// Whether it had been bound for the same one-time key before.
        again: bool,
    },
    /// An order has moved.
    OrderMoved {
        /// The order.
        order: OrderId,
        /// Its matching id.
        matching_id: Option<String>,
        /// Where it stood.
        from: OrderState,
        /// Where it stands.
        to: OrderState,
        /// Why.
        cause: String,
    },
    /// A notification has come.
    Notification {
        /// Its number on the card.
        sequence_number: u32,
        /// The event in it; `None` when it is not one of those known.
        event: Option<&'static str>,
        /// The profile.
        iccid: Option<Iccid>,
        /// What became of it.
        outcome: Notified,
    },
    /// A session was cancelled.
    SessionCancelled {
        /// The session.
        transaction_id: TransactionId,
        /// Why.
        reason: CancelSessionReason,
    },
}

impl fmt::Display for SmdpEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SmdpEventKind::SessionOpened { transaction_id, curve } => {
                write!(f, "session {transaction_id} opened on {curve}")
            }
            SmdpEventKind::EuiccAuthenticated { transaction_id, eid } => {
                write!(f, "session {transaction_id}: eUICC {eid} authenticated")
            }
            SmdpEventKind::PackageBound { transaction_id, order, segments, again } => {
                let again = if *again { ", for the same key again" } else { "" };
                write!(f, "session {transaction_id}: package of {order} bound in {segments} segments{again}")
            }
            SmdpEventKind::OrderMoved { order, matching_id, from, to, cause } => {
                write!(f, "{order} {:?}: {from} to {to}: {cause}", matching_id.as_deref().unwrap_or_default())
            }
            SmdpEventKind::Notification { sequence_number, event, iccid, outcome } => {
                write!(f, "notification {sequence_number} {}", event.unwrap_or("of an unknown event"))?;
                if let Some(iccid) = iccid {
                    write!(f, " of {iccid}")?;
                }
                match outcome {
                    Notified::Accepted => f.write_str(": accepted"),
                    Notified::Repeated => f.write_str(": known already"),
                    Notified::Ignored(why) => write!(f, ": ignored, {why}"),
                }
            }
            SmdpEventKind::SessionCancelled { transaction_id, reason } => {
                write!(f, "session {transaction_id} cancelled: {reason}")
            }
        }
    }
}
