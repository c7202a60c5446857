//! What happens inside the card, for a timeline. Keys and packages are in none of it.

use std::fmt;

use rsp::cert::CrlNumber;
use rsp::es10::auth::AuthenticateErrorCode;
use rsp::es10::crl::LoadCrlErrorCode;
use rsp::es10::download::{BppCommandId, CancelSessionReason, DownloadErrorCode, ErrorReason};
use rsp::es10::notification::NotificationEvent;
use rsp::ids::to_hex;
use rsp::ota::ResponseStatus;
use rsp::{Aid, Iccid, TransactionId};

/// Something that has happened inside the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardEvent {
    /// The card was reset.
    Reset,
    /// A logical channel was opened.
    ChannelOpened(u8),
    /// A logical channel was closed.
    ChannelClosed(u8),
    /// A challenge was drawn for a new session.
    SessionBegun,
    /// A server has proved who it is.
    ServerAuthenticated {
        /// The server's address, as it wrote it.
        address: String,
        /// The session.
        transaction_id: TransactionId,
    },
    /// A server has not proved who it is.
    AuthenticationFailed {
        /// What the card answered.
        code: AuthenticateErrorCode,
        /// What was wrong, in words.
        problem: String,
    },
    /// A download is prepared: the card has a one-time key.
    DownloadPrepared {
        /// The session.
        transaction_id: TransactionId,
        /// Whether the one-time key is that of an earlier try.
        key_reused: bool,
    },
    /// A download is not prepared.
    PrepareDownloadFailed {
        /// What the card answered.
        code: DownloadErrorCode,
        /// What was wrong, in words.
        problem: String,
    },
    /// The session was cancelled by the LPA.
    SessionCancelled {
        /// The session.
        transaction_id: TransactionId,
        /// The LPA's reason.
        reason: CancelSessionReason,
    },
    /// A profile is installed.
    ProfileInstalled {
        /// The profile.
        iccid: Iccid,
        /// Its ISD-P.
        aid: Aid,
    },
    /// A profile is not installed; nothing is left of it.
    InstallationFailed {
        /// The profile, when that much was known.
        iccid: Option<Iccid>,
        /// The command of the bound profile package that failed.
        command: BppCommandId,
        /// Why.
        reason: ErrorReason,
        /// The same in words.
        problem: String,
    },
    /// A profile is enabled.
    ProfileEnabled(Iccid),
    /// A profile is disabled.
    ProfileDisabled(Iccid),
    /// A profile is deleted.
    ProfileDeleted(Iccid),
    /// A profile has another nickname.
    NicknameSet {
        /// The profile.
        iccid: Iccid,
        /// The nickname; `None` when it was removed.
        nickname: Option<String>,
    },
    /// The memory was reset.
    MemoryReset,
    /// The default SM-DP+ address is another one.
    DefaultSmdpSet(Option<String>),
    /// A notification waits for delivery.
    NotificationRaised {
        /// Its number.
        sequence_number: u32,
        /// What it is about.
        event: NotificationEvent,
        /// Who has to get it.
        address: String,
    },
    /// A notification is removed from the list.
    NotificationRemoved(u32),
    /// A switch is accepted; it takes effect when the terminal has refreshed.
    RefreshAsked,
    /// The terminal does not refresh: the switch will not take effect.
    SwitchAbandoned,
    /// The metadata of a profile were changed by its operator.
    MetadataUpdated(Iccid),
    /// A certificate revocation list is loaded.
    RevocationListLoaded {
        /// Its number.
        number: CrlNumber,
        /// The parts of it that have not come yet.
        missing: Vec<u32>,
    },
    /// A certificate revocation list is not loaded.
    RevocationListRefused {
        /// What the card answered.
        code: LoadCrlErrorCode,
        /// What was wrong, in words.
        problem: String,
    },
    /// A secured packet has come over the air for somebody on the card.
    RemoteCommand {
        /// Whom it was for: the toolkit application reference.
        tar: [u8; 3],
        /// What has come of it.
        status: ResponseStatus,
        /// The status word of the last of its commands.
        last: Option<u16>,
    },
    /// The memory of the card has failed; it answers nothing any more.
    StoreFailed(String),
    /// The multi-IMSI applet has taken another IMSI.
    ImsiSwitched(String),
}

impl fmt::Display for CardEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        match self {
            CardEvent::Reset => f.write_str("reset"),
            CardEvent::ChannelOpened(number) => write!(f, "channel {number} opened"),
            CardEvent::ChannelClosed(number) => write!(f, "channel {number} closed"),
            CardEvent::SessionBegun => f.write_str("challenge drawn for a new session"),
            CardEvent::ServerAuthenticated { address, transaction_id } => {
                write!(f, "server {address} authenticated, transaction {transaction_id}")
            }
            CardEvent::AuthenticationFailed { code, problem } => write!(f, "server refused: {code}: {problem}"),
            CardEvent::DownloadPrepared { transaction_id, key_reused } => {
                let key = if *key_reused { "the one-time key of an earlier try" } else { "a new one-time key" };
                write!(f, "download prepared with {key}, transaction {transaction_id}")
            }
            CardEvent::PrepareDownloadFailed { code, problem } => write!(f, "download refused: {code}: {problem}"),
            CardEvent::SessionCancelled { transaction_id, reason } => {
                write!(f, "session cancelled: {reason}, transaction {transaction_id}")
            }
            CardEvent::ProfileInstalled { iccid, aid } => write!(f, "profile {iccid} installed as {aid}"),
            CardEvent::InstallationFailed { iccid, command, reason, problem } => {
                let profile = iccid.map_or_else(|| "a profile".to_owned(), |iccid| format!("profile {iccid}"));
                write!(f, "{profile} not installed: {command}, {reason}: {problem}")
            }
            CardEvent::ProfileEnabled(iccid) => write!(f, "profile {iccid} enabled"),
            CardEvent::ProfileDisabled(iccid) => write!(f, "profile {iccid} disabled"),
            CardEvent::ProfileDeleted(iccid) => write!(f, "profile {iccid} deleted"),
            CardEvent::NicknameSet { iccid, nickname } => {
                write!(f, "profile {iccid} has the nickname {}", or_none(nickname))
            }
            CardEvent::MemoryReset => f.write_str("memory reset"),
            CardEvent::DefaultSmdpSet(address) => write!(f, "default SM-DP+ address: {}", or_none(address)),
            CardEvent::NotificationRaised { sequence_number, event, address } => {
                write!(f, "notification {sequence_number} of {} for {address}", event.name())
            }
            CardEvent::NotificationRemoved(number) => write!(f, "notification {number} removed"),
            CardEvent::RefreshAsked => f.write_str("switch accepted, REFRESH asked for"),
            CardEvent::SwitchAbandoned => f.write_str("switch abandoned: the terminal does not refresh"),
            CardEvent::MetadataUpdated(iccid) => write!(f, "metadata of profile {iccid} updated"),
            CardEvent::ImsiSwitched(imsi) => write!(f, "IMSI switched: {imsi}"),
            CardEvent::RevocationListLoaded { number, missing } if missing.is_empty() => {
                write!(f, "revocation list {number} loaded")
            }
            CardEvent::RevocationListLoaded { number, missing } => {
                write!(f, "a part of revocation list {number} loaded, {} missing", missing.len())
            }
            CardEvent::RevocationListRefused { code, problem } => {
                write!(f, "revocation list refused: {code}: {problem}")
            }
            CardEvent::RemoteCommand { tar, status, last } => {
                write!(f, "over the air for {}: {status}", to_hex(tar))?;
                last.map_or(Ok(()), |last| write!(f, ", last status word {last:04X}"))
            }
            CardEvent::StoreFailed(problem) => write!(f, "memory failed: {problem}"),
        }
    }
}

/// The events that nobody has fetched yet.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    events: Vec<CardEvent>,
    /// How many of them are of commands that are kept.
    confirmed: usize,
}

/// How many events are kept at most for somebody who never fetches them; the oldest go first.
const LIMIT: usize = 4096;

impl EventLog {
    pub(crate) fn push(&mut self, event: CardEvent) {
        if self.events.len() == LIMIT {
            self.events.drain(..LIMIT / 2);
            self.confirmed = self.confirmed.saturating_sub(LIMIT / 2);
        }
        self.events.push(event);
    }

    /// What has happened so far is kept.
    pub(crate) fn confirm(&mut self) {
        self.confirmed = self.events.len();
    }

    /// What has happened since has not: the card has lost it.
    pub(crate) fn deny(&mut self) {
        self.events.truncate(self.confirmed);
    }

    pub(crate) fn drain(&mut self) -> Vec<CardEvent> {
        self.confirmed = 0;
        std::mem::take(&mut self.events)
    }
}
