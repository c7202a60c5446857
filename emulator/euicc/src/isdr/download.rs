//! Profile download on the card's side: PrepareDownload, LoadBoundProfilePackage, CancelSession (SGP.22 §3.1.3,
//! §5.7.5, §5.7.6, §5.7.14).

use rsp::TransactionId;
use rsp::cert::{self, Certificate, Role};
use rsp::crypto::PrivateKey;
use rsp::es10::download::{
    BppCommandId, CANCEL_SESSION_INVALID_TRANSACTION_ID, CancelSessionRequest, CancelSessionResponse,
    DownloadErrorCode, ErrorReason, EuiccCancelSessionSigned, EuiccSigned2, FinalResult, PrepareDownloadRequest,
    PrepareDownloadResponse, ProfileInstallationResult, ProfileInstallationResultData,
};
use rsp::es10::notification::{NotificationEvent, NotificationMetadata};
use rsp::{Iccid, Oid};

use super::{auth, signature_element};
use crate::apdu::Sw;
use crate::loader::{self, Card, LoadFailure, Loader, Prepared, Progress};
use crate::package::Failure;
use crate::profile::Profile;
use crate::session::{self, OpenSession, Session, Stage};
use crate::store::{Notification, OneTimeKey};
use crate::{CardEvent, Euicc};

/// What a ProfileInstallationResult says of its session.
struct ResultOf {
    transaction_id: TransactionId,
    server_address: String,
    smdp_oid: Option<Oid>,
    iccid: Option<Iccid>,
    credentials: usize,
}

impl ResultOf {
    fn session(session: &OpenSession, smdp_oid: Option<&Oid>, iccid: Option<Iccid>) -> Self {
        ResultOf {
            transaction_id: session.transaction_id.clone(),
            server_address: session.server_address.clone(),
            smdp_oid: smdp_oid.cloned(),
            iccid,
            credentials: session.credentials,
        }
    }
}

impl Euicc {
    pub(super) fn prepare_download(&mut self, data: &[u8], now: i64) -> Result<Vec<u8>, Sw> {
        let request = PrepareDownloadRequest::parse(data).map_err(|_| Sw::WRONG_DATA)?;
        let fail = |euicc: &mut Self, code, problem: String| {
            euicc.events.push(CardEvent::PrepareDownloadFailed { code, problem });
            Ok(PrepareDownloadResponse::encode_error(&request.smdp_signed2.transaction_id, code))
        };
        let certificate = match self.check_smdp(&request, now) {
            Ok(certificate) => certificate,
            Err((code, problem)) => return fail(self, code, problem),
        };
        let smdp_oid = certificate.registered_id().cloned().ok_or(Sw::TECHNICAL_PROBLEM)?;
        let curve = certificate.curve();

        // SGP.22 v2.5 §5.7.5: the key of an earlier try is used again when the package is bound to it already.
        let kept = request.smdp_signed2.bpp_euicc_otpk.as_ref();
        let kept = kept.and_then(|otpk| self.store.one_time_key(&smdp_oid, curve, otpk)).cloned();
        let key_reused = kept.is_some();
        let one_time_key = match kept {
            Some(key) => key,
            None => PrivateKey::generate(curve, &mut self.random).map_err(|_| Sw::TECHNICAL_PROBLEM)?,
        };

        let Session::Open(session) = &self.session else { return Err(Sw::TECHNICAL_PROBLEM) };
        let transaction_id = session.transaction_id.clone();
        let signed2 = EuiccSigned2 {
            transaction_id: transaction_id.clone(),
            euicc_otpk: one_time_key.public().point(),
            hash_cc: request.hash_cc.filter(|_| request.smdp_signed2.cc_required),
        }
        .encode();
        let signature2 = self.sign(session.credentials, &[&signed2, &signature_element(request.smdp_signature2)])?;

        if !key_reused {
            self.store.keep_one_time_key(OneTimeKey { smdp_oid, key: one_time_key.clone() });
        }
        if let Session::Open(session) = &mut self.session {
            session.stage = Stage::Prepared { binding_certificate: certificate, one_time_key };
        }
        self.events.push(CardEvent::DownloadPrepared { transaction_id, key_reused });
        Ok(PrepareDownloadResponse::encode_ok(&signed2, &signature2))
    }

    /// Checks everything that the SM-DP+ has sent with PrepareDownload; gives CERT.DPpb.
    fn check_smdp(
        &self,
        request: &PrepareDownloadRequest<'_>,
        now: i64,
    ) -> Result<Certificate, (DownloadErrorCode, String)> {
        use DownloadErrorCode as Code;
        let fail = |code, problem: &str| Err((code, problem.to_owned()));
        let session = match self.session.open() {
            Some(session) if !self.session.is_loading() => session,
            _ => return fail(Code::NoSessionContext, "no server is authenticated in this session"),
        };
        let code =
            |error: &_| if auth::is_about_curve(error) { Code::UnsupportedCurve } else { Code::InvalidCertificate };
        let certificate =
            Certificate::parse(request.smdp_certificate).map_err(|error| (code(&error), error.to_string()))?;
        self.verify_server(&certificate, Role::DpPb, now).map_err(|error| match error {
            Some(error) => (code(&error), error.to_string()),
            None => (Code::InvalidCertificate, "the certificate is of a CI that the card does not trust".to_owned()),
        })?;
        // SGP.22 v2.5 §5.7.5: CERT.DPauth and CERT.DPpb are of the same SM-DP+.
        cert::verify_same_smdp(&session.server_certificate, &certificate)
            .map_err(|error| (Code::InvalidCertificate, error.to_string()))?;
        let signed = [request.smdp_signed2.raw, &signature_element(&session.euicc_signature1)];
        if !certificate.public_key().verify(&signed, request.smdp_signature2) {
            return fail(Code::InvalidSignature, "smdpSignature2 is wrong");
        }
        if request.smdp_signed2.transaction_id != session.transaction_id {
            return fail(Code::InvalidTransactionId, "smdpSigned2 is of another session");
        }
        // SGP.22 v2.5 §5.7.5: hashCc is there when the SM-DP+ requires a confirmation code.
        if request.smdp_signed2.cc_required && request.hash_cc.is_none() {
            return fail(Code::UndefinedError, "a confirmation code is required, and its hash is missing");
        }
        Ok(certificate)
    }

    /// Takes one piece of a bound profile package. The response is empty until the profile is installed or has
    /// failed; then it is the ProfileInstallationResult.
    pub(super) fn load_bound_profile_package(&mut self, data: &[u8]) -> Result<Vec<u8>, Sw> {
        let Session::Open(session) = &mut self.session else { return Err(no_installation(data)) };
        let card = Card { config: &self.config, store: &self.store };
        let progress = match &mut session.stage {
            Stage::Authenticated => return Err(no_installation(data)),
            Stage::Loading(loader) => loader.receive(data, card),
            Stage::Prepared { .. } if !loader::begins_package(data) => return Err(Sw::DATA_NOT_FOUND),
            Stage::Prepared { binding_certificate, one_time_key } => {
                let prepared = Prepared {
                    transaction_id: &session.transaction_id,
                    binding_certificate,
                    one_time_key,
                    credentials: session.credentials,
                };
                match Loader::begin(data, &prepared, card) {
                    Ok(loader) => {
                        session.stage = Stage::Loading(Box::new(loader));
                        Ok(Progress::More)
                    }
                    Err(failure) => Err(failure),
                }
            }
        };
        match progress {
            Ok(Progress::More) => Ok(Vec::new()),
            Ok(Progress::Complete(profile)) => self.install(*profile),
            Err(failure) => self.give_up(failure),
        }
    }

    /// Installs a complete profile: state, memory and notifications change together.
    fn install(&mut self, mut profile: Profile) -> Result<Vec<u8>, Sw> {
        let Session::Open(session) = std::mem::take(&mut self.session) else { return Err(Sw::TECHNICAL_PROBLEM) };
        profile.aid = self.store.free_aid();
        let iccid = profile.iccid();
        let result = ResultOf::session(&session, smdp_oid(&session), Some(iccid));
        let outcome =
            FinalResult::Success { aid: profile.aid.clone(), simple_response: profile.package.response().encode() };
        let result = self.installation_result(result, outcome)?;
        let response = result.signed.clone();
        // SGP.22 v2.5 §3.5: whoever else wants to know of installations gets a notification of his own.
        let next = result.metadata.sequence_number.saturating_add(1);
        let others = self.configured_notifications(&profile, NotificationEvent::Install, next)?;
        let notifications: Vec<Notification> = std::iter::once(result).chain(others).collect();

        self.events.push(CardEvent::ProfileInstalled { iccid, aid: profile.aid.clone() });
        self.tell(&notifications);
        self.store.install(profile, notifications);
        Ok(response)
    }

    /// Ends an installation that has failed. Nothing of the profile is left; the result is signed and kept.
    fn give_up(&mut self, failed: LoadFailure) -> Result<Vec<u8>, Sw> {
        let Session::Open(session) = std::mem::take(&mut self.session) else { return Err(Sw::TECHNICAL_PROBLEM) };
        let LoadFailure { command, failure, problem } = failed;
        let iccid = match &session.stage {
            Stage::Loading(loader) => loader.metadata().map(|metadata| metadata.iccid),
            _ => None,
        };
        let outcome = FinalResult::Error {
            command,
            reason: failure.reason,
            simple_response: failure.response.map(|response| response.encode()),
        };
        let result = self.installation_result(ResultOf::session(&session, smdp_oid(&session), iccid), outcome)?;
        let response = result.signed.clone();

        self.events.push(CardEvent::InstallationFailed { iccid, command, reason: failure.reason, problem });
        // A package that was cut off may be sent again; one that was refused never comes through.
        if failure.reason != ErrorReason::InstallFailedDueToInterruption {
            self.store.forget_one_time_key();
        }
        let notifications = vec![result];
        self.tell(&notifications);
        self.store.raise(notifications);
        Ok(response)
    }

    /// Ends an installation that something else has come between.
    pub(crate) fn interrupt_installation(&mut self) -> Result<(), Sw> {
        let command: BppCommandId = match self.session.open().map(|session| &session.stage) {
            Some(Stage::Loading(loader)) => loader.command(),
            _ => return Ok(()),
        };
        // SGP.22 v2.5 §2.5.6: installFailedDueToInterruption.
        let failure = Failure::because(ErrorReason::InstallFailedDueToInterruption);
        let problem = "the installation was interrupted".to_owned();
        self.give_up(LoadFailure { command, failure, problem }).map(|_| ())
    }

    /// A signed ProfileInstallationResult (SGP.22 v2.5 §2.5.6).
    fn installation_result(&self, of: ResultOf, final_result: FinalResult) -> Result<Notification, Sw> {
        let metadata = NotificationMetadata {
            sequence_number: self.store.next_sequence_number(),
            events: NotificationEvent::Install.as_bits(),
            address: of.server_address,
            iccid: of.iccid,
        };
        let data = ProfileInstallationResultData {
            transaction_id: of.transaction_id,
            notification: metadata.clone(),
            smdp_oid: of.smdp_oid,
            final_result,
        }
        .encode();
        let signature = self.sign(of.credentials, &[&data])?;
        Ok(Notification { metadata, signed: ProfileInstallationResult::encode(&data, &signature) })
    }

    pub(super) fn cancel_session(&mut self, data: &[u8]) -> Result<Vec<u8>, Sw> {
        let request = CancelSessionRequest::parse(data).map_err(|_| Sw::WRONG_DATA)?;
        let oid = |session: &OpenSession| session.server_certificate.registered_id().cloned();
        let Some((session, smdp_oid)) =
            self.session.take(&request.transaction_id).and_then(|session| oid(&session).map(|oid| (session, oid)))
        else {
            return Ok(CancelSessionResponse::encode_error(CANCEL_SESSION_INVALID_TRANSACTION_ID));
        };
        let CancelSessionRequest { transaction_id, reason } = request;
        let signed = EuiccCancelSessionSigned { transaction_id: transaction_id.clone(), smdp_oid, reason }.encode();
        let signature = self.sign(session.credentials, &[&signed])?;
        if !session::may_be_resumed(reason) {
            self.store.forget_one_time_key();
        }
        self.events.push(CardEvent::SessionCancelled { transaction_id, reason });
        Ok(CancelSessionResponse::encode_ok(&signed, &signature))
    }
}

/// The SM-DP+ whose package this is.
fn smdp_oid(session: &OpenSession) -> Option<&Oid> {
    match &session.stage {
        Stage::Loading(loader) => loader.smdp_oid(),
        Stage::Prepared { binding_certificate, .. } => binding_certificate.registered_id(),
        Stage::Authenticated => session.server_certificate.registered_id(),
    }
}

/// The answer to a piece of a package that nobody has prepared: 6985 for its beginning, 6A88 for a segment, which is
/// an object that is unknown at this time.
fn no_installation(data: &[u8]) -> Sw {
    if loader::begins_package(data) { Sw::CONDITIONS_NOT_SATISFIED } else { Sw::DATA_NOT_FOUND }
}
