//! Faults in words: as they stand in a configuration or in a call of the management API, one key for what goes wrong,
//! the others for when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fault::{Action, Fault, SegmentPart, TlsFlaw};
use crate::flaw::PackageFlaw;
use crate::server::Function;
use crate::status::StatusError;

/// A fault in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FaultSpec {
    /// What happens to the TCP connection: `close` or `reset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// What happens in the TLS handshake: `close`, `garbage`, `hang` or `alert`, or that certificate or version are
    /// `untrusted`, `expired`, `wrong-name`, `wrong-role` or `old-version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// What is wrong with the response: `no-reply`, `cut`, `drip`, `content-type`, `no-json` (or `garbage`), `huge`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// An HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Where the client is sent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
    /// A member that the response lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// Subject and reason of a refusal, as in `8.2.6/3.8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse: Option<String>,
    /// What is wrong in the message: `wrong-transaction-id`, `bad-signature`, `wrong-certificate`, `replay`, `tamper-segment`,
    /// `tamper-mac`, or one of the packages that are made wrong, as in `package-iccid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub es9plus: Option<String>,
    /// Which segment is tampered with, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<usize>,
    /// How many bytes come before a `cut`, stand in a piece of `drip`, or before a `huge` response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// The function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The matching id of the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// At which occasion it begins, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u32>,
    /// At how many occasions; all that follow where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Not before the server has run for so many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
}

/// A description that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// Nothing goes wrong, or too much.
    #[error(
        "a fault has exactly one of tcp, tls, http, http-status, redirect, missing, refuse and es9plus; this one has {0}"
    )]
    Count(usize),
    /// A certificate that cannot be made.
    #[error("{0}: there is no such certificate, and none can be made, because the key of the CI is not at hand")]
    Certificate(TlsFlaw),
    /// A word that is not known.
    #[error("{word:?} is no fault of {layer}: there are {known}")]
    Word {
        /// The key.
        layer: &'static str,
        /// The word.
        word: String,
        /// Those that are known.
        known: String,
    },
}

/// The words of `tcp`.
const TCP: [(&str, Action); 2] = [("close", Action::TcpClose), ("reset", Action::TcpReset)];

/// The words of `tls`.
const TLS: [(&str, Action); 9] = [
    ("close", Action::TlsClose),
    ("garbage", Action::TlsGarbage),
    ("hang", Action::TlsHang),
    // RFC 8446 §6.2: handshake_failure.
    ("alert", Action::TlsAlert(40)),
    ("untrusted", Action::TlsFlaw(TlsFlaw::Untrusted)),
    ("expired", Action::TlsFlaw(TlsFlaw::Expired)),
    ("wrong-name", Action::TlsFlaw(TlsFlaw::WrongName)),
    ("wrong-role", Action::TlsFlaw(TlsFlaw::WrongRole)),
    ("old-version", Action::TlsFlaw(TlsFlaw::OldVersion)),
];

/// The words of `http`, with this number of bytes where one counts.
fn http(bytes: Option<usize>) -> [(&'static str, Action); 7] {
    // More than that no client waits for, and it has to be held in memory.
    const MOST: usize = 100_000_000;
    [
        ("no-reply", Action::HttpNoReply),
        ("cut", Action::HttpCut { after: bytes.unwrap_or(20) }),
        ("drip", Action::HttpDrip { size: bytes.unwrap_or(16).max(1), pause: Duration::from_millis(20) }),
        ("content-type", Action::HttpContentType),
        ("no-json", Action::HttpGarbage),
        ("garbage", Action::HttpGarbage),
        ("huge", Action::HttpHuge { bytes: bytes.unwrap_or(20_000_000).min(MOST) }),
    ]
}

/// The words of `es9plus`, at this segment where one is meant.
fn es9plus(segment: usize) -> [(&'static str, Action); 22] {
    [
        ("wrong-transaction-id", Action::WrongTransactionId),
        ("bad-signature", Action::BadSignature),
        ("wrong-certificate", Action::WrongCertificate),
        ("replay", Action::Replay),
        ("tamper-segment", Action::TamperSegment { segment, part: SegmentPart::Data }),
        ("tamper-mac", Action::TamperSegment { segment, part: SegmentPart::Mac }),
        ("package-transaction-id", Action::Flaw(PackageFlaw::TransactionId)),
        ("package-operation", Action::Flaw(PackageFlaw::RemoteOperation)),
        ("package-key-type", Action::Flaw(PackageFlaw::KeyType)),
        ("package-host-id", Action::Flaw(PackageFlaw::HostId)),
        ("package-isdp", Action::Flaw(PackageFlaw::ConfigureIsdp)),
        ("package-isdp-mac", Action::Flaw(PackageFlaw::ConfigureIsdpMac)),
        ("package-metadata", Action::Flaw(PackageFlaw::Metadata)),
        ("package-metadata-mac", Action::Flaw(PackageFlaw::MetadataMac)),
        ("package-keys-mac", Action::Flaw(PackageFlaw::SessionKeysMac)),
        ("package-iccid", Action::Flaw(PackageFlaw::Iccid)),
        ("package-class", Action::Flaw(PackageFlaw::Class)),
        ("package-test-class", Action::Flaw(PackageFlaw::TestClass)),
        ("package-rules", Action::Flaw(PackageFlaw::Rules)),
        ("package-element", Action::Flaw(PackageFlaw::UnknownElement)),
        ("package-no-metadata", Action::Flaw(PackageFlaw::NoMetadata)),
        ("package-short-segment", Action::Flaw(PackageFlaw::ShortSegment)),
    ]
}

/// The keys whose value is a word, each with its words.
pub(crate) fn vocabulary() -> [(&'static str, Vec<&'static str>); 4] {
    let words = |table: &[(&'static str, Action)]| table.iter().map(|(word, _)| *word).collect();
    [("tcp", words(&TCP)), ("tls", words(&TLS)), ("http", words(&http(None))), ("es9plus", words(&es9plus(1)))]
}

fn named(layer: &'static str, word: &str, table: &[(&'static str, Action)]) -> Result<Action, FaultError> {
    let found = table.iter().find(|(known, _)| *known == word);
    found.map(|(_, action)| action.clone()).ok_or_else(|| {
        let known: Vec<&str> = table.iter().map(|(known, _)| *known).collect();
        FaultError::Word { layer, word: word.to_owned(), known: known.join(", ") }
    })
}

impl FaultSpec {
    /// The fault that it describes.
    pub fn fault(&self) -> Result<Fault, FaultError> {
        let unknown =
            |layer, word: &str, known: &str| FaultError::Word { layer, word: word.to_owned(), known: known.to_owned() };
        let mut actions = Vec::new();
        if let Some(word) = &self.tcp {
            actions.push(named("tcp", word, &TCP)?);
        }
        if let Some(word) = &self.tls {
            actions.push(named("tls", word, &TLS)?);
        }
        if let Some(word) = &self.http {
            actions.push(named("http", word, &http(self.bytes))?);
        }
        if let Some(status) = self.http_status {
            if !(200..=599).contains(&status) {
                return Err(unknown("http-status", &status.to_string(), "200 to 599"));
            }
            actions.push(Action::HttpStatus { status, body: "a fault of the lab\n".into() });
        }
        if let Some(to) = &self.redirect {
            actions.push(Action::HttpRedirect(to.clone().into()));
        }
        if let Some(name) = &self.missing {
            actions.push(Action::HttpMissing(name.clone().into()));
        }
        if let Some(codes) = &self.refuse {
            let (subject, reason) =
                codes_of(codes).ok_or_else(|| unknown("refuse", codes, "subject and reason, as in 8.2.6/3.8"))?;
            actions.push(Action::Refuse(StatusError::new(subject, reason, "a fault of the lab")));
        }
        if let Some(word) = &self.es9plus {
            actions.push(named("es9plus", word, &es9plus(self.segment.unwrap_or(1)))?);
        }
        let function = match &self.function {
            None => None,
            Some(name) => Some(Function::named(name).ok_or_else(|| {
                let known = Function::ALL.map(Function::name).join(", ");
                unknown("function", name, &known)
            })?),
        };
        let count = actions.len();
        match (actions.pop(), count) {
            (Some(action), 1) => Ok(Fault {
                action,
                function,
                order: self.order.clone(),
                nth: self.nth.unwrap_or(1),
                count: self.count,
                after: self.after.map(|seconds| Duration::from_secs(seconds.into())),
            }),
            _ => Err(FaultError::Count(count)),
        }
    }
}

/// Subject and reason, numbers with dots between them.
fn codes_of(text: &str) -> Option<(String, String)> {
    let (subject, reason) = text.split_once('/')?;
    let numbers = |text: &str| !text.is_empty() && text.split('.').all(|part| part.parse::<u16>().is_ok());
    (numbers(subject) && numbers(reason)).then(|| (subject.to_owned(), reason.to_owned()))
}
