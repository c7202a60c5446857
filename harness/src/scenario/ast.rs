//! What a scenario says, after it has been checked: every value is of its type and in its range.
//!
//! Texts that may hold variables (`${smdp}`) are kept as [`Template`]s; the runner fills them in.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rsp::crypto::Curve;
use rsp::es10::download::ErrorReason;
use rsp::es10::notification::NotificationEvent;
use rsp::es10::profiles::ProfileState;
use rsp::ids::{Eid, Iccid};
use serde::Serialize;
use smdp::front::{Action, SegmentPart};
use smdp::{Function, OrderState};

/// The version of the form that this program reads.
pub const FORMAT: i64 = 1;

/// One scenario file.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What is the case, in one line.
    pub title: String,
    /// Why this has to be so, or what a reader should know about it.
    pub why: Option<String>,
    /// Where it is specified or reported.
    pub refs: Vec<String>,
    /// The time after which it is given up.
    pub deadline: Duration,
    /// The reason why it is known to fail, if it is.
    pub expected_failure: Option<String>,
    /// The reason why it is not run at present, if it is not.
    pub skip: Option<String>,
    /// The name of the modem's model.
    pub model: String,
    /// The curve of the lab's certificates and keys.
    pub curve: Curve,
    /// The card at the start.
    pub card: Card,
    /// The orders of the SM-DP+ at the start.
    pub orders: Vec<Order>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What happens, in this order.
    pub steps: Vec<Step>,
    /// What must be seen afterwards.
    pub expect: Expect,
}

/// The card at the start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Card {
    /// What kind of card it is, by the name of a built-in one; the usual one when absent.
    pub kind: Option<String>,
    /// Its EID; the lab's own when absent.
    pub eid: Option<Eid>,
    /// The profiles that are on it.
    pub profiles: Vec<InstalledProfile>,
}

/// A profile that is on the card at the start.
#[derive(Debug, Clone, PartialEq)]
pub struct InstalledProfile {
    /// Its name among the built-in profiles.
    pub profile: String,
    /// Whether it is enabled.
    pub state: ProfileState,
    /// Its nickname, if it has one.
    pub nickname: Option<String>,
}

/// A variant that is written as a lower-case word.
pub trait Word: Copy + PartialEq + Sized + 'static {
    /// All variants with their words.
    const ALL: &'static [(&'static str, Self)];

    /// The word of this variant.
    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }

    /// The variant that goes by this word.
    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
    }
}

impl Word for ProfileState {
    const ALL: &'static [(&'static str, Self)] =
        &[("enabled", ProfileState::Enabled), ("disabled", ProfileState::Disabled)];
}

impl Word for OrderState {
    const ALL: &'static [(&'static str, Self)] = &[
        ("available", OrderState::Available),
        ("allocated", OrderState::Allocated),
        ("linked", OrderState::Linked),
        ("confirmed", OrderState::Confirmed),
        ("released", OrderState::Released),
        ("downloaded", OrderState::Downloaded),
        ("installed", OrderState::Installed),
        ("error", OrderState::Error),
        ("unavailable", OrderState::Unavailable),
    ];
}

impl Word for Curve {
    const ALL: &'static [(&'static str, Self)] = &[("P-256", Curve::P256), ("brainpoolP256r1", Curve::BrainpoolP256r1)];
}

/// An order of the SM-DP+ at the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The matching id; absent for an order that is found by the EID alone.
    pub matching_id: Option<String>,
    /// The name of the profile among the built-in ones, or the path of a profile package.
    pub profile: ProfileSource,
    /// The state it is in.
    pub state: OrderState,
    /// The EID it is for; any when absent.
    pub eid: Option<Template>,
    /// The confirmation code that has to be given.
    pub confirmation_code: Option<String>,
    /// Whether the package carries keys of its own (SGP.22 §2.5.3, ReplaceSessionKeys).
    pub replace_session_keys: bool,
}

/// Where the profile of an order comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum ProfileSource {
    /// A built-in profile.
    BuiltIn(String),
    /// An unprotected profile package in a file; the path is relative to the scenario's folder.
    Package(String),
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// `name = "does-not-resolve"`: the server's name does not resolve.
    Unresolvable,
    /// A fault of the server's front.
    Server(smdp::Fault),
}

/// Faults of the TCP connection, by their words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TcpFault {
    /// The connection is closed.
    Close,
    /// The connection is reset.
    Reset,
}

/// Faults of the TLS handshake, by their words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TlsFault {
    /// The connection is closed after the ClientHello.
    Close,
    /// Bytes that are no TLS.
    Garbage,
    /// A fatal alert, handshake_failure.
    Alert,
    /// No answer.
    Hang,
}

/// Faults of the messages of ES9+, by their words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Es9PlusFault {
    /// One bit of a segment of the bound profile package is another.
    TamperSegment,
    /// One bit of the MAC of such a segment is another.
    TamperMac,
    /// One bit of the signature in the response is another.
    BadSignature,
    /// The transaction id in the response is another.
    WrongTransactionId,
}

impl From<TcpFault> for Action {
    fn from(fault: TcpFault) -> Self {
        match fault {
            TcpFault::Close => Action::TcpClose,
            TcpFault::Reset => Action::TcpReset,
        }
    }
}

impl From<TlsFault> for Action {
    fn from(fault: TlsFault) -> Self {
        match fault {
            TlsFault::Close => Action::TlsClose,
            TlsFault::Garbage => Action::TlsGarbage,
            // RFC 8446 §6.2: handshake_failure.
            TlsFault::Alert => Action::TlsAlert(40),
            TlsFault::Hang => Action::TlsHang,
        }
    }
}

impl From<Es9PlusFault> for Action {
    fn from(fault: Es9PlusFault) -> Self {
        match fault {
            Es9PlusFault::TamperSegment => Action::TamperSegment { segment: 1, part: SegmentPart::Data },
            Es9PlusFault::TamperMac => Action::TamperSegment { segment: 1, part: SegmentPart::Mac },
            Es9PlusFault::BadSignature => Action::BadSignature,
            Es9PlusFault::WrongTransactionId => Action::WrongTransactionId,
        }
    }
}

/// The one fault of a name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DoesNotResolve;

impl Word for DoesNotResolve {
    const ALL: &'static [(&'static str, Self)] = &[("does-not-resolve", DoesNotResolve)];
}

impl Word for TcpFault {
    const ALL: &'static [(&'static str, Self)] = &[("close", TcpFault::Close), ("reset", TcpFault::Reset)];
}

impl Word for TlsFault {
    const ALL: &'static [(&'static str, Self)] = &[
        ("close", TlsFault::Close),
        ("garbage", TlsFault::Garbage),
        ("alert", TlsFault::Alert),
        ("hang", TlsFault::Hang),
    ];
}

impl Word for Es9PlusFault {
    const ALL: &'static [(&'static str, Self)] = &[
        ("tamper-segment", Es9PlusFault::TamperSegment),
        ("tamper-mac", Es9PlusFault::TamperMac),
        ("bad-signature", Es9PlusFault::BadSignature),
        ("wrong-transaction-id", Es9PlusFault::WrongTransactionId),
    ];
}

impl Word for Function {
    const ALL: &'static [(&'static str, Self)] = &[
        ("initiateAuthentication", Function::InitiateAuthentication),
        ("authenticateClient", Function::AuthenticateClient),
        ("getBoundProfilePackage", Function::GetBoundProfilePackage),
        ("handleNotification", Function::HandleNotification),
        ("cancelSession", Function::CancelSession),
    ];
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The line of the file in which it begins.
    pub line: usize,
    /// What is done, and what must come of it.
    pub action: StepAction,
    /// How long it may take.
    pub within: Option<Duration>,
}

/// What is done in a step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepAction {
    /// An AT command.
    At {
        /// The command line, without its line end.
        command: Template,
        /// The lines of the answer, the final result code last; not looked at when absent.
        reply: Option<Vec<Template>>,
    },
    /// An operation of the LPA.
    Lpa {
        /// The operation.
        operation: Operation,
        /// What must come of it.
        expect: LpaExpect,
    },
}

/// An operation of the LPA.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Download and install a profile.
    Download {
        /// The activation code, or `UseSMDP` for the default SM-DP+ address of the card.
        activation_code: Template,
        /// The confirmation code that the user gives.
        confirmation_code: Option<Template>,
    },
    /// Enable a profile.
    Enable(ProfileRef),
    /// Disable a profile.
    Disable(ProfileRef),
    /// Delete a profile.
    Delete(ProfileRef),
    /// Give a profile a nickname.
    Nickname(ProfileRef, String),
    /// List the profiles.
    List,
}

impl Operation {
    /// The key under which it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Operation::Download { .. } => "download",
            Operation::Enable(_) => "enable",
            Operation::Disable(_) => "disable",
            Operation::Delete(_) => "delete",
            Operation::Nickname(..) => "nickname",
            Operation::List => "list",
        }
    }
}

/// A profile on the card, as a user names it.
#[derive(Debug, Clone, PartialEq)]
pub enum ProfileRef {
    /// By its number in the list, from 1.
    Number(u8),
    /// By its ICCID.
    Iccid(Iccid),
    /// By its name among the built-in profiles.
    Name(String),
}

impl fmt::Display for ProfileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProfileRef::Number(number) => write!(f, "profile {number}"),
            ProfileRef::Iccid(iccid) => write!(f, "the profile {iccid}"),
            ProfileRef::Name(name) => write!(f, "the profile {name:?}"),
        }
    }
}

/// Whether an operation succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It did what it was asked to.
    Success,
    /// It did not.
    Failure,
}

impl Word for Outcome {
    const ALL: &'static [(&'static str, Self)] = &[("success", Outcome::Success), ("failure", Outcome::Failure)];
}

/// What must come of an operation of the LPA. What is absent is not looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LpaExpect {
    /// Success or failure.
    pub outcome: Option<Outcome>,
    /// The codes with which the server refused.
    pub status: Option<StatusCode>,
    /// libcurl's code.
    pub curl: Option<u32>,
    /// The HTTP status.
    pub http: Option<u16>,
    /// The reason with which the card refused the profile (SGP.22 §2.5.6, `ErrorReason`).
    pub euicc: Option<ErrorReason>,
}

impl LpaExpect {
    /// True when one of the codes of a failure is expected.
    pub fn has_code(&self) -> bool {
        self.status.is_some() || self.curl.is_some() || self.http.is_some() || self.euicc.is_some()
    }
}

/// Subject and reason code of a function that failed, written `8.2.6/3.8` (SGP.22 §5.2.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusCode {
    /// The subject code.
    pub subject: String,
    /// The reason code.
    pub reason: String,
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.subject, self.reason)
    }
}

/// All reasons that SGP.22 v2.5 §2.5.6 names.
pub fn error_reasons() -> impl Iterator<Item = ErrorReason> {
    (0..=127).map(ErrorReason::from_code).filter(|reason| !matches!(reason, ErrorReason::Other(_)))
}

/// What must be seen afterwards. What is absent is not looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expect {
    /// All profiles on the card, in any order.
    pub profiles: Option<Expected<Vec<ExpectedProfile>>>,
    /// All notifications that wait on the card, in the order of their numbers.
    pub notifications: Option<Expected<Vec<ExpectedNotification>>>,
    /// How many logical channels are still open, the basic one not counted.
    pub open_channels: Option<Expected<usize>>,
    /// All calls of ES9+ functions that reached the server, in order.
    pub es9plus: Option<Expected<Vec<Function>>>,
    /// The states of orders, by matching id.
    pub orders: Option<Expected<BTreeMap<String, OrderState>>>,
}

/// A value that is expected, and the line of the file that says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected<T> {
    /// The line of the file.
    pub line: usize,
    /// What is expected.
    pub value: T,
}

/// A profile that must be on the card.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedProfile {
    /// Which profile.
    pub profile: ProfileRef,
    /// Its state.
    pub state: Option<ProfileState>,
    /// Its nickname.
    pub nickname: Option<String>,
}

/// A notification that must wait on the card.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedNotification {
    /// What it tells of.
    pub event: NotificationEvent,
    /// The profile it is about.
    pub profile: Option<ProfileRef>,
}

impl Word for NotificationEvent {
    const ALL: &'static [(&'static str, Self)] = &[
        ("install", NotificationEvent::Install),
        ("enable", NotificationEvent::Enable),
        ("disable", NotificationEvent::Disable),
        ("delete", NotificationEvent::Delete),
    ];
}

/// A text with variables in it, `1$${smdp}$TOKEN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(Variable),
}

/// A variable of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// `${smdp}`: the address of the lab's SM-DP+.
    Smdp,
    /// `${eid}`: the EID of the lab's card.
    Eid,
    /// `${iccid.NAME}`: the ICCID of the built-in profile, padded with F as EF_ICCID has it.
    Iccid(String),
}

impl Variable {
    /// How the variables are written, for messages.
    pub const FORMS: [&'static str; 3] = ["${smdp}", "${eid}", "${iccid.PROFILE}"];

    fn parse(name: &str) -> Option<Self> {
        match name {
            "smdp" => Some(Variable::Smdp),
            "eid" => Some(Variable::Eid),
            _ => name.strip_prefix("iccid.").map(|profile| Variable::Iccid(profile.to_owned())),
        }
    }
}

/// A text whose variables cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// A `${` without its `}`.
    NotClosed,
    /// A name that is no variable.
    Unknown(String),
}

impl Template {
    /// Reads a text. A `$` that is not followed by `{` stands for itself, as activation codes are full of them.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let end = rest[start..].find('}').ok_or(TemplateError::NotClosed)? + start;
            let name = &rest[start + 2..end];
            let variable = Variable::parse(name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
            if start > 0 {
                parts.push(Part::Text(rest[..start].to_owned()));
            }
            parts.push(Part::Variable(variable));
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Template { parts })
    }

    /// The variables in it.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Variable(variable) => Some(variable),
        })
    }

    /// The text with each variable replaced by what `value` says.
    pub fn fill(&self, mut value: impl FnMut(&Variable) -> String) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Variable(variable) => value(variable),
            })
            .collect()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Variable(Variable::Smdp) => f.write_str("${smdp}"),
            Part::Variable(Variable::Eid) => f.write_str("${eid}"),
            Part::Variable(Variable::Iccid(profile)) => write!(f, "${{iccid.{profile}}}"),
        })
    }
}
