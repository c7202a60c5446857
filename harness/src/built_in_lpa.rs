//! Downloads by the module's own LPA: `lpad`'s procedures on the modem's card, through the modem's data session.
//!
//! ```text
//! modem ─ DownloadJob ─▶ a thread: lpad::Lpa ─ APDU ─▶ ModemLink ──▶ modem ─▶ card
//!   ▲                          └─ ES9+ by libcurl ─▶ SessionHttp ─▶ SM-DP+     asks the modem for its way first
//!   └── progress, result ◀─────┘
//! ```
//!
//! Nothing reaches a server past the simulated network: without a data session there is no connection (curl 7), and
//! while the network's name servers do not answer no name resolves (curl 6).

use std::net::IpAddr;

use lpad::Lpa;
use lpad::download::{DownloadRequest, Source};
use lpad::es10::Card;
use lpad::failure::{Failure, Step};
use lpad::http::{CurlHttp, Http, HttpError, HttpOptions, HttpReply, Trust};
use lpad::link::{ApduLink, LinkError};
use lpad::log::Log;
use lpad::report::{Details, Report};
use modem::{DataPath, DownloadJob, DownloadResult, DownloadTicket, Downloader, ModemHandle, Output};
use rsp::activation_code::ActivationCode;
use rsp::es10::download::ErrorReason;

use crate::timeline::{Role, Timeline};

/// STORE DATA with whole segments: the module talks to its card without a host in between.
const SEGMENT: u8 = 255;

/// Makes the downloads of a module.
pub(crate) struct ModuleLpa {
    modem: ModemHandle,
    timeline: Timeline,
    /// The certificates of the lab's CI, in PEM form.
    trust: Vec<u8>,
    /// The lab's table of names, `HOST:PORT:ADDRESS`.
    names: Vec<String>,
}

impl ModuleLpa {
    pub(crate) fn new(modem: ModemHandle, timeline: Timeline, trust: Vec<u8>, names: Vec<String>) -> Self {
        ModuleLpa { modem, timeline, trust, names }
    }
}

impl Downloader for ModuleLpa {
    fn start(&mut self, job: DownloadJob) -> bool {
        let (modem, timeline) = (self.modem.clone(), self.timeline.clone());
        let trust = Trust::Only(self.trust.clone());
        let options = HttpOptions { trust, resolve: self.names.clone(), ..HttpOptions::default() };
        let ticket = job.ticket;
        // libcurl waits for the server: that is nothing for a task.
        let work = move || {
            let result = download(&modem, &timeline, options, job);
            // A modem that is gone has nobody to tell.
            let _ = modem.with(|modem| ((), modem.finish_download(ticket, result)));
        };
        let begun = std::thread::Builder::new().name("module-lpa".to_owned()).spawn(work);
        if let Err(error) = &begun {
            self.timeline.note(Role::Modem, "download not started", [("reason", error.to_string())]);
        }
        begun.is_ok()
    }
}

fn download(modem: &ModemHandle, timeline: &Timeline, options: HttpOptions, job: DownloadJob) -> DownloadResult {
    let Ok(code) = ActivationCode::parse(&job.activation_code) else { return DownloadResult::ActivationCode };
    let note = |text: &str, fields: Details| {
        let fields = match serde_json::Value::from(fields) {
            serde_json::Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
                .collect(),
            _ => Vec::new(),
        };
        timeline.note(Role::Modem, format!("module's LPA: {text}"), fields);
    };
    let mut report = Told { modem, ticket: job.ticket, note: &note };
    let mut link = ModemLink { modem: modem.clone(), ticket: job.ticket };
    if let Err(error) = link.reopen() {
        report.failed(&Failure::of_link(Step::OpenCard, &error));
        return DownloadResult::Other;
    }
    let http = SessionHttp { modem: modem.clone(), ticket: job.ticket, inner: CurlHttp::new(options, Log::default()) };
    let has_code = job.confirmation_code.is_some();
    let request = DownloadRequest {
        source: Source::ActivationCode(code),
        confirmation_code: job.confirmation_code,
        imei: None,
        // Nobody is there who could be asked.
        accept_rules: false,
    };
    let mut lpa = Lpa::new(Card::new(link, SEGMENT), http, &mut report);
    match lpa.download(&request) {
        Ok(_) => DownloadResult::Success,
        Err(failure) => result_of(&failure, has_code),
    }
}

/// The `<result>` that a failure is told by.
fn result_of(failure: &Failure, has_code: bool) -> DownloadResult {
    // SGP.22 v2.5 §5.2.6: 8.2.7 is the confirmation code; 2.2 says that it is missing, 3.8 that it is refused.
    match (failure.subject.as_deref(), failure.reason.as_deref()) {
        (Some("8.2.7"), Some("2.2")) => return DownloadResult::ConfirmationCodeRequired,
        (Some("8.2.7"), _) => return DownloadResult::ConfirmationCodeWrong,
        (Some(_), _) => return DownloadResult::Refused,
        _ => {}
    }
    let reason = failure.euicc.as_ref().and_then(|euicc| euicc.command.and(euicc.reason));
    match reason.map(ErrorReason::from_code) {
        Some(ErrorReason::InstallFailedDueToIccidAlreadyExistsOnEuicc) => return DownloadResult::AlreadyInstalled,
        Some(ErrorReason::InstallFailedDueToInsufficientMemoryForProfile) => return DownloadResult::MemoryFull,
        _ => {}
    }
    match failure {
        _ if failure.curl.is_some() || failure.http.is_some() => DownloadResult::Network,
        // The assistant's own judgement: the card was not asked.
        Failure { step: Step::PrepareDownload, euicc: None, .. } if !has_code => {
            DownloadResult::ConfirmationCodeRequired
        }
        _ => DownloadResult::Other,
    }
}

/// Tells the timeline each step, and the host the progress.
struct Told<'a> {
    modem: &'a ModemHandle,
    ticket: DownloadTicket,
    note: &'a dyn Fn(&str, Details),
}

impl Report for Told<'_> {
    fn done(&mut self, step: Step, details: Details) {
        (self.note)(step.name(), details);
    }

    fn failed(&mut self, failure: &Failure) {
        (self.note)(&format!("{} failed", failure.step.name()), failure.facts());
    }

    fn progress(&mut self, sent: usize, total: usize) {
        // Told in tenths: a host on a slow line is not flooded.
        let tenths = sent.saturating_mul(10) / total.max(1);
        let percent = u8::try_from(tenths.min(10) * 10).unwrap_or(100);
        let _ = self.modem.with(|modem| ((), modem.progress_of_download(self.ticket, percent)));
    }
}

/// The modem's own card.
struct ModemLink {
    modem: ModemHandle,
    ticket: DownloadTicket,
}

impl ApduLink for ModemLink {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, LinkError> {
        let answer = self.modem.with(|modem| (modem.transmit_for_download(self.ticket, apdu), Output::default()));
        match answer {
            Some(Ok(response)) => Ok(response),
            Some(Err(_)) | None => Err(LinkError::Gone),
        }
    }

    fn reopen(&mut self) -> Result<(), LinkError> {
        let opened = self.modem.with(|modem| (modem.open_for_download(self.ticket), Output::default()));
        match opened {
            Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(status_word))) => Err(LinkError::NoChannel { function: "SELECT", status_word }),
            Some(Err(_)) | None => Err(LinkError::Gone),
        }
    }
}

/// HTTPS through the modem's data session.
struct SessionHttp {
    modem: ModemHandle,
    ticket: DownloadTicket,
    inner: CurlHttp,
}

impl Http for SessionHttp {
    fn post(&mut self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<HttpReply, HttpError> {
        let path = self.modem.with(|modem| (modem.data_path_for_download(self.ticket), Output::default()));
        let host = host_of(url);
        // The codes are libcurl's, as they would be behind a real bearer.
        let refuse = |curl: u32, message: String, hint| Err(HttpError { curl: Some(curl), message, hint: Some(hint) });
        match path {
            Some(Ok(DataPath::Up)) => self.inner.post(url, headers, body),
            Some(Ok(DataPath::NoNames)) if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() => {
                self.inner.post(url, headers, body)
            }
            Some(Ok(DataPath::NoNames)) => refuse(
                6,
                format!("cannot resolve {host} (curl 6)"),
                "the name servers of the network do not answer: look at the service policy of the subscription",
            ),
            Some(Ok(DataPath::Down)) => refuse(
                7,
                format!("cannot connect to {host} (curl 7)"),
                "the module has no data session: activate one with AT+CGACT=1,1",
            ),
            Some(Err(_)) | None => refuse(7, "the module has restarted (curl 7)".to_owned(), "try again"),
        }
    }
}

/// The host in `https://host[:port]/path`.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => &authority[..at],
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        assert_eq!(host_of("https://localhost:8443/gsma/rsp2"), "localhost");
        assert_eq!(host_of("https://127.0.0.1:8443/x"), "127.0.0.1");
        assert_eq!(host_of("https://[::1]:8443/x"), "[::1]");
        assert_eq!(host_of("smdp.example"), "smdp.example");
    }

    #[test]
    fn failures_are_told_by_their_kind() {
        let failure = |subject: Option<&str>, reason: Option<&str>, curl| {
            let mut failure = Failure::new(Step::AuthenticateClient, "");
            (failure.subject, failure.reason, failure.curl) =
                (subject.map(str::to_owned), reason.map(str::to_owned), curl);
            result_of(&failure, true)
        };
        assert_eq!(failure(Some("8.2.6"), Some("3.8"), None), DownloadResult::Refused);
        assert_eq!(failure(Some("8.2.7"), Some("2.2"), None), DownloadResult::ConfirmationCodeRequired);
        assert_eq!(failure(Some("8.2.7"), Some("3.8"), None), DownloadResult::ConfirmationCodeWrong);
        assert_eq!(failure(None, None, Some(6)), DownloadResult::Network);
        assert_eq!(failure(None, None, None), DownloadResult::Other);
    }
}
