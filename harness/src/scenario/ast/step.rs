//! What happens, and what must come of it.

use std::fmt;
use std::time::Duration;

use rsp::es10::download::{BppCommandId, ErrorReason};
use rsp::ids::Iccid;
use serde::Serialize;

use super::Word;
use super::expect::{ExpectedNotification, ExpectedProfile};
use super::network::NetworkAction;
use super::template::{ExpectedLine, Pattern, Template};
use crate::scenario::transcript::Transcript;

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

impl Step {
    /// Shows each step, in the order of the file; of steps in parallel each one, and not what holds them together.
    pub fn each(steps: &[Step], look: &mut impl FnMut(&Step)) {
        for step in steps {
            match &step.action {
                StepAction::Parallel(steps) => Step::each(steps, look),
                _ => look(step),
            }
        }
    }
}

/// What is done in a step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepAction {
    /// An AT command.
    At {
        /// The command line, without its line end.
        command: Template,
        /// The port, counted from 0.
        port: usize,
        /// The lines of the answer, the final result code last; not looked at when absent.
        reply: Option<Vec<ExpectedLine>>,
    },
    /// A dialogue, line by line.
    Transcript {
        /// What it is called: the file, or nothing for one that stands in the scenario.
        name: Option<String>,
        /// What is said.
        transcript: Transcript,
    },
    /// A wait for what the modem says unasked.
    Urc(ExpectedLine),
    /// A command to the card, by AT+CSIM.
    Apdu {
        /// The command, in hexadecimal digits.
        command: Template,
        /// The status word, four hexadecimal digits, `x` for any.
        status: Option<StatusWord>,
        /// The response data, in hexadecimal digits.
        data: Option<Pattern>,
    },
    /// The operator of the server does something.
    Server(ServerAction),
    /// The card is taken out or put in.
    Card(CardAction),
    /// Something happens to the modem.
    Modem(ModemAction),
    /// Something happens in the mobile network.
    Network(NetworkAction),
    /// The clock of the lab goes on by so much.
    Clock(Duration),
    /// Steps that are begun together, and are all waited for.
    Parallel(Vec<Step>),
    /// An operation of the LPA.
    Lpa {
        /// The operation.
        operation: Operation,
        /// How the LPA is set for it.
        settings: LpaSettings,
        /// What must come of it.
        expect: LpaExpect,
    },
}

/// A status word, in which digits may be left open: `63Cx`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusWord(String);

impl StatusWord {
    /// Reads four hexadecimal digits, or `x` for any.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_hexdigit() || byte.eq_ignore_ascii_case(&b'x');
        (text.len() == 4 && text.bytes().all(is_digit)).then(|| StatusWord(text.to_ascii_uppercase().replace('X', "x")))
    }

    /// Whether a status word is as this says.
    pub fn matches(&self, status: u16) -> bool {
        let digits = format!("{status:04X}");
        self.0.bytes().zip(digits.bytes()).all(|(wanted, seen)| wanted == b'x' || wanted == seen)
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the operator of the server does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAction {
    /// The order is released.
    Release(String),
    /// The order is cancelled.
    Cancel(String),
    /// The order expires.
    Expire(String),
    /// The server is switched off: nobody listens at its address, and all sessions are gone.
    Stop,
    /// It is switched on again.
    Start,
}

/// What is done with the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardAction {
    /// It is taken out.
    Remove,
    /// It is put in.
    Insert,
}

impl Word for CardAction {
    const ALL: &'static [(&'static str, Self)] = &[("remove", CardAction::Remove), ("insert", CardAction::Insert)];
}

/// What happens to the modem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModemAction {
    /// It restarts.
    Reset,
    /// Its power is cut, and comes back: the card loses it as well.
    PowerCut,
}

impl Word for ModemAction {
    const ALL: &'static [(&'static str, Self)] = &[("reset", ModemAction::Reset), ("power-cut", ModemAction::PowerCut)];
}

/// Settings of the LPA for one operation. What is absent is as the LPA has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LpaSettings {
    /// The longest wait for one answer, of the card or of a server.
    pub timeout: Option<Duration>,
    /// How many bytes go into one STORE DATA.
    pub segment: Option<u8>,
    /// Whether the card is reached by AT+CSIM.
    pub csim: bool,
    /// Whether the user agrees to the policy rules of the profile.
    pub accept_rules: bool,
    /// The AID of the ISD-R, for a card that has another.
    pub isd_r: Option<String>,
    /// Whether profiles are switched without a REFRESH.
    pub no_refresh: bool,
    /// Where the server is that goes by a name, `HOST:PORT:ADDRESS`; the runner knows it.
    pub resolve: Option<String>,
    /// Whether it has to tell of its requests to the server; the runner knows it.
    pub requests: bool,
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
    /// Send the notifications that wait on the card.
    SendNotifications,
    /// List the notifications that wait on the card.
    ListNotifications,
    /// Take the notifications off the card without sending them.
    RemoveNotifications,
    /// Set the default SM-DP+ address of the card; an empty one takes it away.
    DefaultAddress(Template),
    /// Show what the card says of itself.
    Info,
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
            Operation::SendNotifications | Operation::ListNotifications | Operation::RemoveNotifications => {
                "notifications"
            }
            Operation::DefaultAddress(_) => "default_address",
            Operation::Info => "info",
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
    /// The command of the bound profile package at which it did (SGP.22 §2.5.6, `BppCommandId`).
    pub command: Option<BppCommandId>,
    /// The status word with which the card refused.
    pub sw: Option<StatusWord>,
    /// The profiles that the LPA lists, in their order.
    pub profiles: Option<Vec<ExpectedProfile>>,
    /// The notifications that the LPA lists, in their order.
    pub notifications: Option<Vec<ExpectedNotification>>,
}

impl LpaExpect {
    /// True when one of the codes of a failure is expected.
    pub fn has_code(&self) -> bool {
        self.status.is_some()
            || self.curl.is_some()
            || self.http.is_some()
            || self.euicc.is_some()
            || self.command.is_some()
            || self.sw.is_some()
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

/// All commands of a bound profile package that SGP.22 v2.5 §2.5.6 names.
pub fn bpp_commands() -> impl Iterator<Item = BppCommandId> {
    (0..=127).map(BppCommandId::from_code).filter(|command| !matches!(command, BppCommandId::Other(_)))
}
