//! Profile download and installation (SGP.22 v2.5 §3.1.3, with the common mutual authentication of §3.0.1).
//!
//! ```text
//! card                            assistant                             SM-DP+
//! getEUICCInfo, getEUICCChallenge ──▶
//!                                  initiateAuthentication ──▶
//!                                  ◀── serverSigned1        (address and OID checked)
//! ◀── authenticateServer
//!                                  authenticateClient ──▶
//!                                  ◀── metadata, smdpSigned2 (rules and confirmation code checked)
//! ◀── prepareDownload
//!                                  getBoundProfilePackage ──▶
//! ◀── loadBoundProfilePackage      ◀── package               (metadata compared)
//! result ──▶                       handleNotification ──▶
//! ◀── removeNotificationFromList
//! ```
//!
//! When it gives up after the card has authenticated the server, it cancels the session at the card and at the
//! server, with the reason that fits (§3.0.2).

use rsp::activation_code::ActivationCode;
use rsp::bpp;
use rsp::cert::Certificate;
use rsp::crypto::hash_confirmation_code;
use rsp::es10::auth::{AuthenticateServerRequest, CtxParams1, DeviceInfo, ServerSigned1};
use rsp::es10::download::{
    BppCommandId, CancelSessionReason, CancelSessionRequest, ErrorReason, FinalResult, PrepareDownloadRequest,
    ProfileInstallationResult, SmdpSigned2, StoreMetadata,
};
use rsp::es10::profiles::{AuthorisationRule, OperatorId};
use rsp::tlv::Tlv;
use rsp::{Aid, Iccid, MatchingId, Oid, ServerAddress, TransactionId, Version};

use crate::es9::{AuthenticateClientResponse, ServerError, UNKNOWN_CODE};
use crate::es10::CardError;
use crate::failure::{EuiccFailure, Failure, Outcome, Step};
use crate::http::Http;
use crate::imei::Imei;
use crate::link::ApduLink;
use crate::lpa::Lpa;
use crate::notifications::Delivery;
use crate::report::Details;

/// Where a profile is fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// By an activation code.
    ActivationCode(ActivationCode),
    /// From the default SM-DP+ that the card is configured with; the order is found by the EID.
    DefaultSmdp,
}

impl Source {
    /// Whether the order has a name; otherwise the server finds it by the EID.
    fn names_order(&self) -> bool {
        matches!(self, Source::ActivationCode(code) if !code.matching_id.is_empty())
    }
}

/// A download that is wanted.
#[derive(Debug, Clone)]
pub struct DownloadRequest {
    /// Where the profile is.
    pub source: Source,
    /// The confirmation code, when the user has one.
    pub confirmation_code: Option<String>,
    /// The IMEI to tell the server; when absent, only the type of the device is told.
    pub imei: Option<Imei>,
    /// Whether the user agrees to policy rules that need consent (PPR).
    pub accept_rules: bool,
}

/// A profile that has been installed.
#[derive(Debug)]
pub struct Installed {
    /// Its ICCID.
    pub iccid: Iccid,
    /// The ISD-P in which it is.
    pub aid: Aid,
    /// What the server tells of it.
    pub metadata: StoreMetadata,
    /// The notifications that were sent afterwards; or why none could be.
    pub deliveries: Outcome<Vec<Delivery>>,
}

/// What is known of the session once both sides are authenticated.
pub(crate) struct Session {
    pub(crate) server: ServerAddress,
    pub(crate) transaction_id: TransactionId,
    pub(crate) authenticate_server_response: Vec<u8>,
}

/// Why a session comes to an early end, and what the server is told.
pub(crate) struct GiveUp {
    failure: Box<Failure>,
    /// `None`: the card is lost, or the session has ended by itself.
    reason: Option<CancelSessionReason>,
    /// Whether the server can be told.
    tell_server: bool,
}

impl GiveUp {
    pub(crate) fn new(failure: Box<Failure>, reason: CancelSessionReason) -> Self {
        GiveUp { failure, reason: Some(reason), tell_server: true }
    }

    /// Without anything to cancel.
    fn ended(failure: Box<Failure>) -> Self {
        GiveUp { failure, reason: None, tell_server: false }
    }

    fn card(step: Step, error: CardError, reason: CancelSessionReason) -> Self {
        if error.card_is_there() { GiveUp::new(error.at(step), reason) } else { GiveUp::ended(error.at(step)) }
    }

    fn server(step: Step, error: ServerError) -> Self {
        // After `timeout` and `postponed` the order can be downloaded later, after the others it cannot
        // (SGP.22 v2.5 §5.6.5): what the user may be able to mend does not cost the order.
        let (reason, tell_server) = match &error {
            ServerError::Network(error) => {
                (CancelSessionReason::Timeout, matches!(error.curl, Some(18 | 52 | 55 | 56)))
            }
            ServerError::Http { .. } => (CancelSessionReason::Timeout, true),
            ServerError::Refused { subject, .. } if subject == "8.2.7" => (CancelSessionReason::Postponed, true),
            ServerError::Refused { .. } | ServerError::Malformed { .. } => (CancelSessionReason::UndefinedReason, true),
        };
        GiveUp { failure: error.at(step), reason: Some(reason), tell_server }
    }
}

impl GiveUp {
    /// The words of a refusal where no order was named: it is no fault of an activation code.
    fn without_token(mut self) -> Self {
        if self.failure.message.contains(UNKNOWN_CODE) {
            self.failure.message = self.failure.message.replace(UNKNOWN_CODE, "no profile waits for this eUICC");
            self.failure.hint = Some("ask the provider of the profile, who needs the EID: see --info".to_owned());
        }
        self
    }
}

impl<L: ApduLink, H: Http> Lpa<'_, L, H> {
    /// Downloads and installs a profile, then sends its notification and what else waits on the card.
    pub fn download(&mut self, request: &DownloadRequest) -> Outcome<Installed> {
        let code_missing = request.confirmation_code.is_none();
        if let Source::ActivationCode(code) = &request.source
            && code.confirmation_code_required
            && code_missing
        {
            let failure = confirmation_code_missing();
            self.report.failed(&failure);
            return Err(failure);
        }
        let session = self.authenticate(request)?;
        match self.fetch_and_install(&session, request) {
            Ok(installed) => Ok(installed),
            Err(give_up) => {
                self.cancel(&session, &give_up);
                Err(give_up.failure)
            }
        }
    }

    /// The common mutual authentication up to the card's proof (§3.0.1 steps 1 to 14).
    fn authenticate(&mut self, request: &DownloadRequest) -> Outcome<Session> {
        let (server, matching_id, smdp_oid) = self.target(&request.source)?;
        self.authenticate_at(server, matching_id, smdp_oid, request.imei)
    }

    /// The same with this server.
    pub(crate) fn authenticate_at(
        &mut self,
        server: ServerAddress,
        matching_id: Option<String>,
        smdp_oid: Option<Oid>,
        imei: Option<Imei>,
    ) -> Outcome<Session> {
        let euicc_info1 = self.card_step(Step::GetEuiccInfo, |card| card.get_euicc_info1(), |_| Details::new())?;
        let challenge =
            self.card_step(Step::GetEuiccChallenge, |card| card.get_euicc_challenge(), |_| Details::new())?;

        let step = Step::InitiateAuthentication;
        let response = match self.servers.initiate_authentication(&server, &challenge, &euicc_info1) {
            Ok(response) => response,
            Err(error) => return Err(self.failed(error.at(step))),
        };
        let facts =
            Details::new().with("server", server.as_str()).with("transaction_id", response.transaction_id.to_string());
        let signed = match ServerSigned1::receive(&response.server_signed1) {
            Ok(signed) => signed.value,
            Err(error) => return Err(self.failed(malformed(step, &server, "serverSigned1", &error))),
        };
        check_server(&server, &response.transaction_id, &signed, &response.server_certificate, smdp_oid.as_ref())
            .map_err(|failure| self.failed(failure))?;
        self.report.done(step, facts);

        let ctx_params1 = CtxParams1 { matching_id, device_info: self.device_info(imei) };
        let command = AuthenticateServerRequest::encode(
            &response.server_signed1,
            &response.server_signature1,
            &response.euicc_ci_pkid_to_be_used,
            &response.server_certificate,
            &ctx_params1,
        );
        let authenticate_server_response =
            self.card_step(Step::AuthenticateServer, |card| card.authenticate_server(&command), |_| Details::new())?;
        Ok(Session { server, transaction_id: response.transaction_id, authenticate_server_response })
    }

    /// The server, the matching id and the OID that is expected of the server.
    fn target(&mut self, source: &Source) -> Outcome<(ServerAddress, Option<String>, Option<Oid>)> {
        match source {
            Source::ActivationCode(ActivationCode { smdp, matching_id, smdp_oid, .. }) => {
                Ok((smdp.clone(), Some(MatchingId::as_str(matching_id).to_owned()), smdp_oid.clone()))
            }
            Source::DefaultSmdp => {
                let step = Step::GetEuiccConfiguredAddresses;
                let address = self.configured_addresses()?.default_dp.unwrap_or_default();
                if address.is_empty() {
                    let failure = Failure::new(step, "the eUICC has no default SM-DP+ address").with_hint(
                        "set one with --default-address or AT+QESIM=\"def_svr_addr\", or give an activation code",
                    );
                    return Err(self.failed(failure));
                }
                match ServerAddress::parse(&address) {
                    Ok(server) => Ok((server, None, None)),
                    Err(error) => Err(self.failed(Failure::new(step, error.to_string()))),
                }
            }
        }
    }

    /// What the device is: its type always, its own number only when the user has given it (§4.2).
    fn device_info(&mut self, imei: Option<Imei>) -> DeviceInfo {
        let modem = imei.or_else(|| self.card.link_mut().device_imei());
        DeviceInfo {
            tac: modem.map_or([0; 4], |imei| imei.tac()),
            // UTRAN and E-UTRAN: what every module of this kind has.
            capabilities: vec![(0x81, Version::new(15, 0, 0)), (0x85, Version::new(15, 0, 0))],
            imei: imei.map(|imei| imei.to_bytes()),
        }
    }

    fn fetch_and_install(&mut self, session: &Session, request: &DownloadRequest) -> Result<Installed, GiveUp> {
        let (server, id) = (&session.server, &session.transaction_id);
        let step = Step::AuthenticateClient;
        let response = self
            .servers
            .authenticate_client(server, id, &session.authenticate_server_response)
            .map_err(|error| GiveUp::server(step, error))
            .map_err(|give_up| if request.source.names_order() { give_up } else { give_up.without_token() })
            .map_err(|give_up| self.given_up(give_up))?;
        let (metadata, signed) = check_client_answer(session, &response)
            .map_err(|failure| self.given_up(GiveUp::new(failure, CancelSessionReason::UndefinedReason)))?;
        self.report.done(step, Details::new().with("profile", describe(&metadata)));
        self.check_rules(&metadata, request.accept_rules)?;

        let step = Step::PrepareDownload;
        let hash_cc = match (&request.confirmation_code, signed.cc_required) {
            (None, true) => {
                let failure = confirmation_code_missing();
                return Err(self.given_up(GiveUp::new(failure, CancelSessionReason::Postponed)));
            }
            // SGP.22 v2.5 §3.1.3 step 2.
            (Some(code), true) => Some(hash_confirmation_code(code, id.as_bytes())),
            // A code that nobody asks for is not told (§5.7.5: hashCc is there when ccRequiredFlag is).
            (_, false) => None,
        };
        let command = PrepareDownloadRequest::encode(
            &response.smdp_signed2,
            &response.smdp_signature2,
            hash_cc,
            &response.smdp_certificate,
        );
        let prepared = match self.card.prepare_download(&command) {
            Ok(prepared) => prepared,
            Err(error) => {
                return Err(self.given_up(GiveUp::card(step, error, CancelSessionReason::UndefinedReason)));
            }
        };
        self.report.done(step, Details::new());

        let step = Step::GetBoundProfilePackage;
        let package = self
            .servers
            .get_bound_profile_package(server, id, &prepared)
            .map_err(|error| GiveUp::server(step, error))
            .map_err(|give_up| self.given_up(give_up))?;
        check_package(server, &package, &response.profile_metadata, &metadata)
            .map_err(|(failure, reason)| self.given_up(GiveUp::new(failure, reason)))?;
        self.report.done(step, Details::new().with("bytes", package.len()));
        self.install(session, &package, metadata)
    }

    fn install(&mut self, session: &Session, package: &[u8], metadata: StoreMetadata) -> Result<Installed, GiveUp> {
        let step = Step::LoadBoundProfilePackage;
        let report = &mut *self.report;
        let loaded = self.card.load_bound_profile_package(package, |sent| report.progress(sent, package.len()));
        let bytes = match loaded {
            Ok(bytes) => bytes,
            Err(error) => {
                // §3.1.3: a package that the card does not take to its end.
                return Err(self.given_up(GiveUp::card(step, error, CancelSessionReason::LoadBppExecutionError)));
            }
        };
        let result = match ProfileInstallationResult::parse(&bytes) {
            Ok(result) => result.data.value,
            Err(source) => {
                let error = CardError::Malformed { function: "LoadBoundProfilePackage", source };
                return Err(self.given_up(GiveUp::ended(error.at(step))));
            }
        };
        let outcome = match result.final_result {
            FinalResult::Success { aid, .. } => Ok(aid),
            FinalResult::Error { command, reason, .. } => Err(installation_failure(&metadata, command, reason)),
        };
        match &outcome {
            Ok(aid) => self
                .report
                .done(step, Details::new().with("iccid", metadata.iccid.to_string()).with("aid", aid.to_string())),
            Err(failure) => self.report.failed(failure),
        }
        // The result is a notification, of success or of failure; its own address counts. The server of the session
        // gets it in any case when that address is none (§3.1.3 step 9, §3.5).
        let mut notification = result.notification;
        if ServerAddress::parse(&notification.address).is_err() {
            notification.address = session.server.to_string();
        }
        let own = self.deliver(&notification, &bytes);
        match outcome {
            Ok(aid) => {
                let deliveries = match own {
                    Ok(()) => self.send_notifications().map(|mut others| {
                        others.insert(0, Delivery { notification, failure: None });
                        others
                    }),
                    // It stays on the card; the others would fare no better now.
                    Err(failure) => Ok(vec![Delivery { notification, failure: Some(failure) }]),
                };
                Ok(Installed { iccid: metadata.iccid, aid, metadata, deliveries })
            }
            Err(failure) => Err(GiveUp::ended(failure)),
        }
    }

    /// Policy rules have to be allowed by the card's authorisation table, and by the user where it says so
    /// (SGP.22 v2.5 §2.9.2.4, §3.1.3 step 3).
    fn check_rules(&mut self, metadata: &StoreMetadata, accepted: bool) -> Result<(), GiveUp> {
        let rules = metadata.profile_policy_rules.unwrap_or_default();
        let wanted: Vec<u8> = [1, 2].into_iter().filter(|bit| rules.has(*bit)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let table = match self.card.get_rat() {
            Ok(table) => table,
            Err(error) => {
                return Err(self.given_up(GiveUp::card(Step::GetRat, error, CancelSessionReason::UndefinedReason)));
            }
        };
        self.report.done(Step::GetRat, Details::new());
        let step = Step::CheckMetadata;
        for bit in wanted {
            let (name, effect) = if bit == 1 { ("PPR1", "disabled") } else { ("PPR2", "deleted") };
            match permission(&table, bit, metadata.profile_owner.as_ref()) {
                None => {
                    let message =
                        format!("the profile may not be {effect} by its rule {name}, which this eUICC does not allow");
                    let failure = Failure::new(step, message).with_hint("ask the provider of the profile");
                    return Err(self.given_up(GiveUp::new(failure, CancelSessionReason::PprNotAllowed)));
                }
                Some(consent) if consent && !accepted => {
                    let message =
                        format!("once enabled, the profile cannot be {effect} (rule {name}): this needs your consent");
                    let failure = Failure::new(step, message).with_hint("if you agree, give --accept-rules");
                    return Err(self.given_up(GiveUp::new(failure, CancelSessionReason::Postponed)));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Ends the session at the card and, with what the card has signed, at the server (§3.0.2). A failure here changes
    /// nothing any more.
    pub(crate) fn cancel(&mut self, session: &Session, give_up: &GiveUp) {
        let Some(reason) = give_up.reason else { return };
        let step = Step::CancelSession;
        let request = CancelSessionRequest { transaction_id: session.transaction_id.clone(), reason };
        let response = match self.card.cancel_session(&request) {
            Ok(response) => response,
            Err(error) => {
                self.report.failed(&error.at(step));
                return;
            }
        };
        if give_up.tell_server
            && let Err(error) = self.servers.cancel_session(&session.server, &session.transaction_id, &response)
        {
            self.report.failed(&error.at(step));
            return;
        }
        self.report.done(step, Details::new().with("reason", reason.name()));
    }

    fn failed(&mut self, failure: Box<Failure>) -> Box<Failure> {
        self.report.failed(&failure);
        failure
    }

    fn given_up(&mut self, give_up: GiveUp) -> GiveUp {
        self.report.failed(&give_up.failure);
        give_up
    }
}

fn confirmation_code_missing() -> Box<Failure> {
    Failure::new(Step::PrepareDownload, "a confirmation code is required")
        .with_hint("give the code from your operator with -C")
}

fn malformed(step: Step, server: &ServerAddress, what: &str, error: &dyn std::fmt::Display) -> Box<Failure> {
    Failure::new(step, format!("cannot understand {what} of {server}: {error}"))
        .with_hint("ask the provider of the profile")
}

/// What an LPA verifies of InitiateAuthentication (SGP.22 v2.5 §3.0.1 step 10, §5.6.1): that the server speaks for the
/// address that was asked, in this session, and under the OID of the activation code. Signature, chain and role are
/// the card's to verify, which answers with codes of its own.
fn check_server(
    server: &ServerAddress,
    transaction_id: &TransactionId,
    signed: &ServerSigned1,
    certificate: &[u8],
    smdp_oid: Option<&Oid>,
) -> Outcome<()> {
    let step = Step::InitiateAuthentication;
    let refuse = |message: String, hint: &str| Err(Failure::new(step, message).with_hint(hint));
    let same = ServerAddress::parse(&signed.server_address).is_ok_and(|address| address.same_host(server));
    if !same {
        let message = format!("the server {server} signs for another address, {:?}", signed.server_address);
        return refuse(message, "check the server's address");
    }
    if signed.transaction_id != *transaction_id {
        return refuse(format!("the server {server} signs for another session"), "try again");
    }
    let Some(expected) = smdp_oid else { return Ok(()) };
    let certificate =
        Certificate::parse(certificate).map_err(|error| malformed(step, server, "serverCertificate", &error))?;
    if certificate.registered_id() == Some(expected) {
        return Ok(());
    }
    let found = certificate.registered_id().map_or_else(|| "none".to_owned(), Oid::to_string);
    let message = format!("the activation code is for the SM-DP+ {expected}, but {server} has the OID {found}");
    refuse(message, "check the activation code; this may be somebody else's server")
}

/// The same for AuthenticateClient (§5.6.3).
fn check_client_answer(
    session: &Session,
    response: &AuthenticateClientResponse,
) -> Outcome<(StoreMetadata, SmdpSigned2)> {
    let step = Step::AuthenticateClient;
    let server = &session.server;
    let signed = SmdpSigned2::receive(&response.smdp_signed2)
        .map_err(|error| malformed(step, server, "smdpSigned2", &error))?
        .value;
    if response.transaction_id != session.transaction_id {
        let failure = Failure::new(step, format!("the server {server} answers for another session"));
        return Err(failure.with_hint("try again"));
    }
    let metadata = StoreMetadata::parse(&response.profile_metadata)
        .map_err(|error| malformed(step, server, "profileMetadata", &error))?;
    Ok((metadata, signed))
}

/// The package can be cut into commands, and the metadata in it are those that were shown (§3.1.3 step 6).
fn check_package(
    server: &ServerAddress,
    package: &[u8],
    shown_bytes: &[u8],
    shown: &StoreMetadata,
) -> Result<(), (Box<Failure>, CancelSessionReason)> {
    let step = Step::GetBoundProfilePackage;
    let commands = bpp::load_commands(package).map_err(|error| {
        let message = format!("the profile package of {server} is broken: {error}");
        let failure = Failure::new(step, message).with_hint("ask the provider of the profile");
        (failure, CancelSessionReason::LoadBppExecutionError)
    })?;
    // Segments 88 are readable, the last eight bytes of each are its MAC (SGP.22 v2.5 §2.6.4.2).
    let inside: Vec<u8> = commands
        .iter()
        .filter_map(|command| Tlv::parse_as(bpp::TAG_SEGMENT_METADATA, command).ok())
        .flat_map(|segment| &segment.value()[..segment.value().len().saturating_sub(8)])
        .copied()
        .collect();
    if inside == shown_bytes || StoreMetadata::parse(&inside).is_ok_and(|metadata| metadata == *shown) {
        return Ok(());
    }
    let message = format!("the profile in the package of {server} is not the one that was announced");
    let failure = Failure::new(step, message).with_hint("ask the provider of the profile");
    Err((failure, CancelSessionReason::MetadataMismatch))
}

/// Whether the table allows this rule to this operator, and whether the user has to agree; `None` when it does not.
fn permission(table: &[AuthorisationRule], rule: u8, owner: Option<&OperatorId>) -> Option<bool> {
    table
        .iter()
        .find(|entry| entry.ppr_ids.has(rule) && entry.allowed_operators.iter().any(|allowed| covers(allowed, owner)))
        .map(|entry| entry.consent_required)
}

/// SGP.22 v2.5 §2.4a.1.2: the digit E stands for any digit, an empty group identifier for any; one that is absent
/// wants the profile's to be absent.
fn covers(allowed: &OperatorId, owner: Option<&OperatorId>) -> bool {
    let digits = |bytes: [u8; 3]| bytes.into_iter().flat_map(|byte| [byte & 15, byte >> 4]);
    let any_operator = allowed.mcc_mnc == [0xEE; 3];
    let Some(owner) = owner else { return any_operator };
    let same_network =
        digits(allowed.mcc_mnc).zip(digits(owner.mcc_mnc)).all(|(allowed, own)| allowed == 0xE || allowed == own);
    let same_group = |allowed: &Option<Vec<u8>>, own: &Option<Vec<u8>>| match allowed {
        None => own.is_none(),
        Some(bytes) => bytes.is_empty() || Some(bytes) == own.as_ref(),
    };
    same_network && same_group(&allowed.gid1, &owner.gid1) && same_group(&allowed.gid2, &owner.gid2)
}

/// What the card says of a package that it has not installed (§2.5.6), in the words of the note's chapter 4.
fn installation_failure(metadata: &StoreMetadata, command: BppCommandId, reason: ErrorReason) -> Box<Failure> {
    let iccid = metadata.iccid;
    let ask = "ask the provider of the profile for another";
    let (message, hint) = match reason {
        ErrorReason::InstallFailedDueToIccidAlreadyExistsOnEuicc => (
            format!("the same profile (ICCID {iccid}) is installed already"),
            "look for it in the list of profiles (--list, or AT+QESIM=\"profile_detail\"); delete it first (-R) if it \
             has to be installed anew",
        ),
        ErrorReason::InstallFailedDueToInsufficientMemoryForProfile => (
            "the eUICC has not enough memory for the profile".to_owned(),
            "delete a profile that is no longer needed (-R), then try again",
        ),
        ErrorReason::InstallFailedDueToInterruption => {
            ("the installation was interrupted".to_owned(), "see with --list what is there, then try again")
        }
        ErrorReason::PprNotAllowed => ("the rules of the profile are not allowed on this eUICC".to_owned(), ask),
        ErrorReason::UnsupportedProfileClass => ("the eUICC does not take profiles of this class".to_owned(), ask),
        _ => ("there is a problem with the profile package that the server has sent".to_owned(), ask),
    };
    let mut failure =
        Failure::new(Step::LoadBoundProfilePackage, format!("{message}: the eUICC ended {command} with {reason}"))
            .with_hint(hint);
    failure.euicc = Some(EuiccFailure {
        function: "LoadBoundProfilePackage",
        command: Some(command.code()),
        reason: Some(reason.code()),
        status_word: None,
    });
    failure
}

/// The metadata of a profile as an object of a report.
pub fn describe(metadata: &StoreMetadata) -> Details {
    let rules = metadata.profile_policy_rules.unwrap_or_default();
    let names: Vec<&str> =
        [(1, "PPR1"), (2, "PPR2")].into_iter().filter(|(bit, _)| rules.has(*bit)).map(|(_, name)| name).collect();
    Details::new()
        .with("iccid", metadata.iccid.to_string())
        .with("provider", metadata.service_provider_name.as_str())
        .with("name", metadata.profile_name.as_str())
        .with("class", metadata.profile_class.name())
        .with_some("rules", (!names.is_empty()).then_some(names))
}
