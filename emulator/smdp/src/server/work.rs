//! The cryptography of the server's functions, apart from its state.
//!
//! A function goes in steps: the server looks at its state and hands out [`Work`], whoever drives it runs that where
//! and when it likes, without the server, and brings back what was [`Finished`]. So one server serves many sessions
//! at the same time, and each change of its state is short and whole.

use std::sync::Arc;

use rsp::TransactionId;
use rsp::cert::Certificate;
use rsp::crypto::{CryptoError, Curve, PublicKey, Random, sha256};
use rsp::es10::TAG_SIGNATURE;
use rsp::es10::download::{CancelSessionReason, CancelSessionResponse, PrepareDownloadResponse};
use rsp::es10::notification::PendingNotification;
use rsp::tlv::encode;
use rsp::{Eid, Oid};

use super::auth::{Authenticator, Facts, Opening, VerifiedCard, internal, malformed};
use super::config::SmdpConfig;
use super::messages::{Answer, InitiateAuthenticationOk};
use crate::binding::{Binding, Bound, Protected};
use crate::flaw::PackageFlaw;
use crate::order::OrderId;
use crate::status::{Status, StatusError};

/// Where a function stands.
#[derive(Debug)]
pub enum Step {
    /// Something has to be computed first; its result is to be handed to `resume`.
    Work(Box<Work>),
    /// The function has ended.
    Answer(Result<Answer, StatusError>),
}

impl Step {
    pub(crate) fn work(job: Job) -> Self {
        Step::Work(Box::new(Work(job)))
    }
}

impl From<Result<Answer, StatusError>> for Step {
    fn from(answer: Result<Answer, StatusError>) -> Self {
        Step::Answer(answer)
    }
}

/// Something to compute.
#[derive(Debug)]
pub struct Work(Job);

/// What was computed.
#[derive(Debug)]
pub struct Finished(pub(crate) Done);

/// A stream of random bytes from 32 that the server has drawn.
pub(crate) struct Drawn {
    key: [u8; 32],
    counter: u64,
}

impl Drawn {
    pub(crate) fn from(random: &mut dyn Random) -> Self {
        let mut key = [0; 32];
        random.fill(&mut key);
        Drawn { key, counter: 0 }
    }
}

impl std::fmt::Debug for Drawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Drawn(..)")
    }
}

impl Random for Drawn {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let block = sha256(&[&self.key, &self.counter.to_be_bytes()]);
            self.counter += 1;
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

#[derive(Debug)]
pub(crate) enum Job {
    Open {
        server: Arc<Authenticator>,
        opening: Opening,
    },
    VerifyCard {
        server: Arc<Authenticator>,
        facts: Facts,
        response: Vec<u8>,
        now: i64,
    },
    Offer {
        config: Arc<SmdpConfig>,
        credentials: usize,
        transaction_id: TransactionId,
        order: OrderId,
        smdp_signed2: Vec<u8>,
        euicc_signature1: Vec<u8>,
        profile_metadata: Vec<u8>,
    },
    VerifyDownload {
        transaction_id: TransactionId,
        euicc: Certificate,
        smdp_signature2: Vec<u8>,
        response: Vec<u8>,
    },
    Bind(Box<BindJob>),
    VerifyCancel {
        transaction_id: TransactionId,
        euicc: Certificate,
        response: Vec<u8>,
    },
    VerifyInstallation {
        key: PublicKey,
        notification: Vec<u8>,
    },
    VerifyOther {
        server: Arc<Authenticator>,
        notification: Vec<u8>,
        now: i64,
    },
}

/// To bind a package, or to sign one that is bound already for another session.
#[derive(Debug)]
pub(crate) struct BindJob {
    pub(crate) config: Arc<SmdpConfig>,
    pub(crate) credentials: usize,
    pub(crate) transaction_id: TransactionId,
    pub(crate) order: OrderId,
    pub(crate) eid: Eid,
    pub(crate) euicc_otpk: [u8; 65],
    pub(crate) metadata: Vec<u8>,
    pub(crate) package: Arc<[u8]>,
    pub(crate) bound: Option<Arc<Bound>>,
    pub(crate) replace_session_keys: bool,
    pub(crate) protected: Option<Arc<Protected>>,
    pub(crate) random: Drawn,
    /// What is to be wrong with the package.
    pub(crate) flaw: Option<PackageFlaw>,
}

/// What a card has signed in PrepareDownload.
#[derive(Debug)]
pub(crate) struct VerifiedDownload {
    pub(crate) transaction_id: TransactionId,
    pub(crate) euicc_otpk: [u8; 65],
    pub(crate) hash_cc: Option<[u8; 32]>,
}

/// A package that is ready to go.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) bound: Arc<Bound>,
    pub(crate) protected: Option<Arc<Protected>>,
    pub(crate) package: Vec<u8>,
    /// Whether it was bound for the same one-time key before.
    pub(crate) again: bool,
}

#[derive(Debug)]
pub(crate) struct VerifiedCancel {
    pub(crate) transaction_id: TransactionId,
    pub(crate) smdp_oid: Oid,
    pub(crate) reason: CancelSessionReason,
}

#[derive(Debug)]
pub(crate) enum Done {
    Opened {
        opening: Opening,
        result: Result<InitiateAuthenticationOk, StatusError>,
    },
    Card {
        transaction_id: TransactionId,
        result: Result<Box<VerifiedCard>, StatusError>,
    },
    Offered {
        transaction_id: TransactionId,
        order: OrderId,
        profile_metadata: Vec<u8>,
        smdp_signed2: Vec<u8>,
        result: Result<Vec<u8>, StatusError>,
    },
    Download {
        transaction_id: TransactionId,
        result: Result<VerifiedDownload, StatusError>,
    },
    Bound {
        transaction_id: TransactionId,
        order: OrderId,
        eid: Eid,
        result: Result<Ready, StatusError>,
    },
    Cancelled {
        transaction_id: TransactionId,
        result: Result<VerifiedCancel, StatusError>,
    },
    Installation {
        notification: Vec<u8>,
        genuine: bool,
    },
    Other {
        notification: Vec<u8>,
        result: Result<Eid, String>,
    },
}

impl Work {
    /// Computes it. It needs nothing of the server, and may be done on any thread.
    pub fn run(self) -> Finished {
        Finished(match self.0 {
            Job::Open { server, opening } => {
                let result = server.sign(&opening);
                Done::Opened { opening, result }
            }
            Job::VerifyCard { server, facts, response, now } => {
                let result = server.verify(&facts, &response, now).map(Box::new);
                Done::Card { transaction_id: facts.transaction_id, result }
            }
            Job::Offer {
                config,
                credentials,
                transaction_id,
                order,
                smdp_signed2,
                euicc_signature1,
                profile_metadata,
            } => {
                // SGP.22 §5.6.3: the signature covers the card's own, so that both belong to one session.
                let euicc_signature1 = encode(TAG_SIGNATURE, &euicc_signature1);
                let signature = config.credentials[credentials].pb.key.sign(&[&smdp_signed2, &euicc_signature1]);
                let result = signature.map(|signature| encode(TAG_SIGNATURE, &signature)).map_err(internal);
                Done::Offered { transaction_id, order, profile_metadata, smdp_signed2, result }
            }
            Job::VerifyDownload { transaction_id, euicc, smdp_signature2, response } => {
                let result = verify_download(&euicc, &smdp_signature2, &response);
                Done::Download { transaction_id, result }
            }
            Job::Bind(job) => {
                let (transaction_id, order, eid) = (job.transaction_id.clone(), job.order, job.eid);
                Done::Bound { transaction_id, order, eid, result: bind(*job) }
            }
            Job::VerifyCancel { transaction_id, euicc, response } => {
                Done::Cancelled { transaction_id, result: verify_cancel(&euicc, &response) }
            }
            Job::VerifyInstallation { key, notification } => {
                let genuine = match PendingNotification::parse(&notification) {
                    Ok(PendingNotification::ProfileInstallationResult(result)) => {
                        key.verify(&[result.data.raw], result.signature)
                    }
                    _ => false,
                };
                Done::Installation { notification, genuine }
            }
            Job::VerifyOther { server, notification, now } => {
                let result = match PendingNotification::parse(&notification) {
                    Ok(PendingNotification::Other(other)) => server.verify_notification(&other, now),
                    _ => Err("it is no such notification".to_owned()),
                };
                Done::Other { notification, result }
            }
        })
    }
}

fn verify_download(
    euicc: &Certificate,
    smdp_signature2: &[u8],
    response: &[u8],
) -> Result<VerifiedDownload, StatusError> {
    let response = PrepareDownloadResponse::parse(response).map_err(malformed("prepareDownloadResponse"))?;
    let (signed, signature) = match response {
        PrepareDownloadResponse::Ok { euicc_signed2, euicc_signature2 } => (euicc_signed2, euicc_signature2),
        PrepareDownloadResponse::Error { code, .. } => {
            return Err(Status::VerificationFailed.with(format!("the eUICC has refused the download: {code}")));
        }
    };
    if !euicc.public_key().verify(&[signed.raw, smdp_signature2], signature) {
        return Err(Status::VerificationFailed.with("euiccSignature2 is not one of the eUICC certificate's key"));
    }
    let signed = signed.value;
    Ok(VerifiedDownload {
        transaction_id: signed.transaction_id,
        euicc_otpk: signed.euicc_otpk,
        hash_cc: signed.hash_cc,
    })
}

fn verify_cancel(euicc: &Certificate, response: &[u8]) -> Result<VerifiedCancel, StatusError> {
    let response = CancelSessionResponse::parse(response).map_err(malformed("cancelSessionResponse"))?;
    let (signed, signature) = match response {
        CancelSessionResponse::Ok { signed, signature } => (signed, signature),
        CancelSessionResponse::Error(code) => {
            return Err(Status::VerificationFailed.with(format!("the eUICC has not cancelled: error {code}")));
        }
    };
    if !euicc.public_key().verify(&[signed.raw], signature) {
        return Err(Status::VerificationFailed.with("the signature is not one of the eUICC certificate's key"));
    }
    let signed = signed.value;
    Ok(VerifiedCancel { transaction_id: signed.transaction_id, smdp_oid: signed.smdp_oid, reason: signed.reason })
}

pub(crate) fn is_on(curve: Curve, point: &[u8; 65]) -> bool {
    PublicKey::from_point(curve, point).is_ok()
}

fn bind(mut job: BindJob) -> Result<Ready, StatusError> {
    let pb = &job.config.credentials[job.credentials].pb;
    let curve = pb.certificate.curve();
    if let Some(flaw) = job.flaw {
        // A package that is to be wrong is made anew, and so is its protection.
        job.metadata = flaw.metadata(&job.metadata);
        job.package = flaw.package(&job.package).into();
        (job.bound, job.protected) = (None, None);
    }
    let (bound, protected, again) = match job.bound {
        Some(bound) => (bound, job.protected, true),
        None => {
            let protected = match job.protected.filter(|_| job.replace_session_keys) {
                None if job.replace_session_keys => {
                    Some(Arc::new(Protected::new(&job.package, &mut job.random).map_err(internal)?))
                }
                protected => protected,
            };
            let binding = Binding {
                eid: job.eid,
                euicc_otpk: job.euicc_otpk,
                host_id: &job.config.host_id,
                metadata: &job.metadata,
            };
            let bound = Bound::new(&binding, &job.package, protected.as_deref(), &mut job.random, curve, job.flaw);
            let bound = bound.map_err(|error| match error {
                CryptoError::NotOnCurve(curve) => {
                    Status::VerificationFailed.with(format!("the eUICC's one-time key is no point of {curve}"))
                }
                error => internal(error),
            })?;
            (Arc::new(bound), protected, false)
        }
    };
    let package = bound.package(&job.transaction_id, &pb.key, job.flaw).map_err(internal)?;
    Ok(Ready { bound, protected, package, again })
}
