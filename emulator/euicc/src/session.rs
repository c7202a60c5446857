//! The one session of remote provisioning that a card has at a time (SGP.22 §2.6.4, §3.0.1), from the challenge to
//! the last segment. It lives in volatile memory: a reset ends it.

use rsp::TransactionId;
use rsp::cert::Certificate;
use rsp::crypto::PrivateKey;
use rsp::es10::download::CancelSessionReason;

use crate::loader::Loader;

/// How far a session has come.
#[derive(Debug, Default)]
pub(crate) enum Session {
    /// There is none.
    #[default]
    None,
    /// GetEUICCChallenge was called.
    Challenged([u8; 16]),
    /// The server is authenticated.
    Open(Box<OpenSession>),
}

/// A session with an authenticated server.
#[derive(Debug)]
pub(crate) struct OpenSession {
    pub(crate) transaction_id: TransactionId,
    /// The server's address, as it stands in `serverSigned1`.
    pub(crate) server_address: String,
    /// CERT.DPauth or CERT.DSauth.
    pub(crate) server_certificate: Certificate,
    /// Which of the card's credentials it uses here.
    pub(crate) credentials: usize,
    pub(crate) euicc_signature1: [u8; 64],
    pub(crate) stage: Stage,
}

/// What has been done in a session.
#[derive(Debug)]
pub(crate) enum Stage {
    /// AuthenticateServer.
    Authenticated,
    /// PrepareDownload.
    Prepared {
        /// CERT.DPpb.
        binding_certificate: Certificate,
        /// otSK.EUICC.ECKA.
        one_time_key: PrivateKey,
    },
    /// The bound profile package is coming in.
    Loading(Box<Loader>),
}

impl Session {
    /// The session with an authenticated server.
    pub(crate) fn open(&self) -> Option<&OpenSession> {
        match self {
            Session::Open(session) => Some(session),
            _ => None,
        }
    }

    /// Whether a bound profile package is coming in.
    pub(crate) fn is_loading(&self) -> bool {
        self.open().is_some_and(|session| matches!(session.stage, Stage::Loading(_)))
    }

    /// The challenge, once: whatever comes of it, it is used up.
    pub(crate) fn take_challenge(&mut self) -> Option<[u8; 16]> {
        match self {
            Session::Challenged(challenge) => {
                let challenge = *challenge;
                *self = Session::None;
                Some(challenge)
            }
            _ => None,
        }
    }

    /// Ends the session when it has this id.
    pub(crate) fn take(&mut self, transaction_id: &TransactionId) -> Option<Box<OpenSession>> {
        match std::mem::take(self) {
            Session::Open(session) if session.transaction_id == *transaction_id => Some(session),
            other => {
                *self = other;
                None
            }
        }
    }
}

/// Whether the download may be tried again with the same one-time key after a session was cancelled like this.
pub(crate) fn may_be_resumed(reason: CancelSessionReason) -> bool {
    matches!(reason, CancelSessionReason::Postponed | CancelSessionReason::Timeout)
}
