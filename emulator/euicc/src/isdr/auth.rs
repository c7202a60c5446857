//! Common mutual authentication on the card's side: GetEUICCChallenge, AuthenticateServer (SGP.22 §3.0.1, §5.7.7,
//! §5.7.13).

use rsp::cert::{self, CertError, Certificate, Role};
use rsp::crypto::{Random, equal_in_constant_time};
use rsp::es10::auth::{
    AuthenticateErrorCode, AuthenticateServerRequest, AuthenticateServerResponse, EuiccSigned1, encode_euicc_challenge,
};

use crate::apdu::Sw;
use crate::session::{OpenSession, Session, Stage};
use crate::{CardEvent, Euicc};

impl Euicc {
    pub(super) fn get_euicc_challenge(&mut self) -> Result<Vec<u8>, Sw> {
        // SGP.22 v2.5 §5.7.7: a new session takes the place of the one that was open.
        self.interrupt_installation()?;
        let mut challenge = [0; 16];
        self.random.fill(&mut challenge);
        self.session = Session::Challenged(challenge);
        self.events.push(CardEvent::SessionBegun);
        Ok(encode_euicc_challenge(&challenge))
    }

    pub(super) fn authenticate_server(&mut self, data: &[u8], now: i64) -> Result<Vec<u8>, Sw> {
        let request = AuthenticateServerRequest::parse(data).map_err(|_| Sw::WRONG_DATA)?;
        // A challenge serves once: whatever comes of it, the next try needs a new one.
        let challenge = self.session.take_challenge();
        match self.check_server(&request, challenge, now) {
            Ok((credentials, server_certificate)) => self.prove_itself(&request, credentials, server_certificate),
            Err((code, problem)) => {
                self.events.push(CardEvent::AuthenticationFailed { code, problem });
                Ok(AuthenticateServerResponse::encode_error(&request.server_signed1.transaction_id, code))
            }
        }
    }

    /// Checks everything that the server has sent; gives the credentials to use and the server's certificate.
    fn check_server(
        &self,
        request: &AuthenticateServerRequest<'_>,
        challenge: Option<[u8; 16]>,
        now: i64,
    ) -> Result<(usize, Certificate), (AuthenticateErrorCode, String)> {
        use AuthenticateErrorCode as Code;
        let fail = |code, problem: &str| Err((code, problem.to_owned()));
        let Some(challenge) = challenge else {
            return fail(Code::NoSessionContext, "no challenge was drawn for this session");
        };
        let pkid = request.euicc_ci_pkid_to_be_used;
        let credentials = self.config.credentials.iter();
        let Some(credentials) = credentials.map(|c| c.ci.subject_key_id()).position(|id| id == Some(pkid)) else {
            return fail(Code::CiPkUnknown, "the card has no key under the CI that it is asked to use");
        };
        let certificate = Certificate::parse(request.server_certificate)
            .map_err(|error| (certificate_code(&error), error.to_string()))?;
        let Some(role @ (Role::DpAuth | Role::DsAuth)) = certificate.role() else {
            return fail(Code::InvalidOid, "the certificate is neither CERT.DPauth nor CERT.DSauth");
        };
        self.verify_server(&certificate, role, now).map_err(|error| match error {
            Some(error) => (certificate_code(&error), error.to_string()),
            None => (Code::InvalidCertificate, "the certificate is of a CI that the card does not trust".to_owned()),
        })?;
        if !certificate.public_key().verify(&[request.server_signed1.raw], request.server_signature1) {
            return fail(Code::InvalidSignature, "serverSignature1 is wrong");
        }
        if !equal_in_constant_time(&request.server_signed1.euicc_challenge, &challenge) {
            return fail(Code::EuiccChallengeMismatch, "serverSigned1 has another challenge than the card drew");
        }
        Ok((credentials, certificate))
    }

    /// Verifies a server's certificate under the CI that its authority key identifier names; `None` when the card
    /// does not trust that CI.
    pub(super) fn verify_server(
        &self,
        certificate: &Certificate,
        role: Role,
        now: i64,
    ) -> Result<(), Option<CertError>> {
        let issuer = certificate.authority_key_id();
        let ci = self.config.trusted_cis().find(|ci| issuer.is_some() && ci.subject_key_id() == issuer).ok_or(None)?;
        cert::verify_server_certificate(certificate, role, ci, now)?;
        // SGP.22 v2.5 §4.6: what a loaded list of its issuer names is not valid any more.
        let revoked = self.store.revocation_lists().revoke(issuer.unwrap_or_default(), certificate.serial());
        revoked.map_or(Ok(()), |list| Err(Some(certificate.revoked_by(list))))
    }

    /// The server is who it says: the card's own proof, and an open session.
    fn prove_itself(
        &mut self,
        request: &AuthenticateServerRequest<'_>,
        credentials: usize,
        server_certificate: Certificate,
    ) -> Result<Vec<u8>, Sw> {
        let signed1 = EuiccSigned1::encode(&request.server_signed1, &self.euicc_info2(), request.ctx_params1.raw);
        let euicc_signature1 = self.sign(credentials, &[&signed1])?;
        let own = self.config.credentials.get(credentials).ok_or(Sw::TECHNICAL_PROBLEM)?;
        let response =
            AuthenticateServerResponse::encode_ok(&signed1, &euicc_signature1, own.euicc.der(), own.eum.der());

        let transaction_id = request.server_signed1.transaction_id.clone();
        let server_address = request.server_signed1.server_address.clone();
        self.events.push(CardEvent::ServerAuthenticated {
            address: server_address.clone(),
            transaction_id: transaction_id.clone(),
        });
        self.session = Session::Open(Box::new(OpenSession {
            transaction_id,
            server_address,
            server_certificate,
            credentials,
            euicc_signature1,
            stage: Stage::Authenticated,
        }));
        Ok(response)
    }
}

/// What is wrong with a certificate, in the codes of AuthenticateServer.
fn certificate_code(error: &CertError) -> AuthenticateErrorCode {
    if is_about_curve(error) {
        AuthenticateErrorCode::UnsupportedCurve
    } else {
        AuthenticateErrorCode::InvalidCertificate
    }
}

/// True for a key on a curve that the card, or the CI, does not have.
pub(super) fn is_about_curve(error: &CertError) -> bool {
    matches!(error, CertError::UnsupportedKey | CertError::CurvesDiffer { .. })
}
