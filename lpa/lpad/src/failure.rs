//! What went wrong: the step, the codes that apply, words for a person, and what to try.

use std::fmt;

use crate::link::LinkError;
use crate::report::Details;

/// The result of a procedure or a part of one.
pub type Outcome<T> = Result<T, Box<Failure>>;

macro_rules! steps {
    ($($(#[$doc:meta])* $step:ident => $name:literal,)*) => {
        /// A step of a procedure, named as its function in SGP.22.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Step {
            $($(#[$doc])* $step,)*
        }

        impl Step {
            /// The name, as it stands in reports.
            pub fn name(self) -> &'static str {
                match self {
                    $(Step::$step => $name,)*
                }
            }
        }
    };
}

steps! {
    /// Reading what the user has given: trusted certificates.
    Configure => "configure",
    /// Reading the activation code (SGP.22 §4.1).
    ActivationCode => "activationCode",
    /// Opening the terminal, a logical channel and the ISD-R.
    OpenCard => "openCard",
    /// ES10c.GetEID.
    GetEid => "getEID",
    /// ES10b.GetEUICCChallenge.
    GetEuiccChallenge => "getEUICCChallenge",
    /// ES10b.GetEUICCInfo.
    GetEuiccInfo => "getEUICCInfo",
    /// ES10a.GetEuiccConfiguredAddresses.
    GetEuiccConfiguredAddresses => "getEuiccConfiguredAddresses",
    /// ES10a.SetDefaultDpAddress.
    SetDefaultDpAddress => "setDefaultDpAddress",
    /// ES10b.LoadCRL.
    LoadCrl => "loadCRL",
    /// Asking SM-DSs for events (SGP.22 §3.6.2).
    Discover => "discover",
    /// ES9+.InitiateAuthentication.
    InitiateAuthentication => "initiateAuthentication",
    /// ES10b.AuthenticateServer.
    AuthenticateServer => "authenticateServer",
    /// ES9+.AuthenticateClient.
    AuthenticateClient => "authenticateClient",
    /// ES10b.GetRAT.
    GetRat => "getRAT",
    /// The checks of SGP.22 §3.1.3 on the profile's metadata.
    CheckMetadata => "checkMetadata",
    /// ES10b.PrepareDownload.
    PrepareDownload => "prepareDownload",
    /// ES9+.GetBoundProfilePackage.
    GetBoundProfilePackage => "getBoundProfilePackage",
    /// ES10b.LoadBoundProfilePackage.
    LoadBoundProfilePackage => "loadBoundProfilePackage",
    /// ES10b.CancelSession and ES9+.CancelSession.
    CancelSession => "cancelSession",
    /// ES10b.ListNotification.
    ListNotification => "listNotification",
    /// ES10b.RetrieveNotificationsList.
    RetrieveNotificationsList => "retrieveNotificationsList",
    /// ES9+.HandleNotification.
    HandleNotification => "handleNotification",
    /// ES10b.RemoveNotificationFromList.
    RemoveNotificationFromList => "removeNotificationFromList",
    /// ES10c.GetProfilesInfo.
    GetProfilesInfo => "getProfilesInfo",
    /// ES10c.EnableProfile.
    EnableProfile => "enableProfile",
    /// ES10c.DisableProfile.
    DisableProfile => "disableProfile",
    /// ES10c.DeleteProfile.
    DeleteProfile => "deleteProfile",
    /// ES10c.SetNickname.
    SetNickname => "setNickname",
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the eUICC said: the function, and whichever apply of the BPP command, the code and the status word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EuiccFailure {
    /// The function of ES10a, ES10b or ES10c, as in SGP.22.
    pub function: &'static str,
    /// The command of the bound profile package in which it failed (`BppCommandId`, SGP.22 §2.5.6).
    pub command: Option<u32>,
    /// The result, error or reason code of the function.
    pub reason: Option<u32>,
    /// The status word, when it was not a success.
    pub status_word: Option<u16>,
}

impl EuiccFailure {
    fn facts(&self) -> Details {
        Details::new()
            .with("function", self.function)
            .with_some("command", self.command)
            .with_some("reason", self.reason)
            .with_some("status_word", self.status_word.map(|status_word| format!("{status_word:04X}")))
    }
}

/// A procedure that did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The step that failed.
    pub step: Step,
    /// What happened, in words.
    pub message: String,
    /// libcurl's code, when the network failed.
    pub curl: Option<u32>,
    /// The HTTP status, when it was not a success.
    pub http: Option<u32>,
    /// The subject code of SGP.22 §5.2.6, when the server refused.
    pub subject: Option<String>,
    /// The reason code that goes with it.
    pub reason: Option<String>,
    /// What the eUICC said, when it refused.
    pub euicc: Option<EuiccFailure>,
    /// Another program at the terminal may be the cause.
    pub may_be_a_rival: bool,
    /// What to try.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure of this program's own judgement, without any code.
    pub fn new(step: Step, message: impl Into<String>) -> Box<Self> {
        Box::new(Failure {
            step,
            message: message.into(),
            curl: None,
            http: None,
            subject: None,
            reason: None,
            euicc: None,
            may_be_a_rival: false,
            hint: None,
        })
    }

    /// The same with what to try.
    #[must_use]
    pub fn with_hint(mut self: Box<Self>, hint: impl Into<String>) -> Box<Self> {
        self.hint = Some(hint.into());
        self
    }

    /// A failure of the link to the card.
    pub fn of_link(step: Step, error: &LinkError) -> Box<Self> {
        let mut failure = Failure::new(step, error.to_string());
        failure.hint = error.hint().map(str::to_owned);
        failure.may_be_a_rival = error.may_be_a_rival();
        if let LinkError::NoChannel { function, status_word } = error {
            failure.euicc =
                Some(EuiccFailure { function, command: None, reason: None, status_word: Some(*status_word) });
        }
        failure
    }

    /// The facts of it, for a report, without the step.
    pub fn facts(&self) -> Details {
        Details::new()
            .with("message", self.message.as_str())
            .with_some("curl", self.curl)
            .with_some("http", self.http)
            .with_some("subject", self.subject.as_deref())
            .with_some("reason", self.reason.as_deref())
            .with_some("euicc", self.euicc.as_ref().map(EuiccFailure::facts))
            .with_some("hint", self.hint.as_deref())
    }

    /// The pair of subject and reason, `8.2.6/3.8`.
    pub fn status(&self) -> Option<String> {
        Some(format!("{}/{}", self.subject.as_deref()?, self.reason.as_deref()?))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
