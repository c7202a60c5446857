//! Function execution status: what an SM-DP+ answers when it refuses (SGP.22 §5.2.6).
//!
//! A [`Status`] is one of the pairs of subject and reason that the specification names for ES9+; a [`StatusError`] is
//! a pair with a message for people.

use std::borrow::Cow;
use std::fmt;

/// A refusal: subject code, reason code and a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusError {
    /// What the refusal is about, as in `8.2.6`.
    pub subject: Cow<'static, str>,
    /// Why, as in `3.8`.
    pub reason: Cow<'static, str>,
    /// The same for people.
    pub message: String,
}

impl StatusError {
    /// Any pair of codes: for faults and for codes of other versions.
    pub fn new(subject: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>, message: &str) -> Self {
        StatusError { subject: subject.into(), reason: reason.into(), message: message.to_owned() }
    }
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.subject, self.reason, self.message)
    }
}

impl std::error::Error for StatusError {}

macro_rules! statuses {
    ($($name:ident = $subject:literal $reason:literal, $doc:literal;)*) => {
        /// The refusals of ES9+, ES11, ES2+ and ES12 (SGP.22 §5.3, §5.6, §5.8, §5.9; subjects and reasons §5.2.6).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Status {
            $(#[doc = concat!($doc, " (", $subject, "/", $reason, ").")] $name,)*
        }

        impl Status {
            /// All of them.
            pub const ALL: &[Status] = &[$(Status::$name,)*];

            /// Subject and reason code.
            pub fn codes(self) -> (&'static str, &'static str) {
                match self {
                    $(Status::$name => ($subject, $reason),)*
                }
            }

            /// What it means, in a few words.
            pub fn text(self) -> &'static str {
                match self {
                    $(Status::$name => $doc,)*
                }
            }

            /// Whether a refusal is this one.
            pub fn is(self, status: &StatusError) -> bool {
                self.codes() == (status.subject.as_ref(), status.reason.as_ref())
            }

            /// The refusal with a message of its own.
            pub fn with(self, message: impl Into<String>) -> StatusError {
                let (subject, reason) = self.codes();
                StatusError { subject: subject.into(), reason: reason.into(), message: message.into() }
            }
        }
    };
}

statuses! {
    Malformed = "1.3.1" "2.1", "The request cannot be read";
    ElementMissing = "1.3.1" "2.2", "A mandatory element is missing";
    ContentType = "1.2.1" "2.1", "The content type is not application/json";
    AdminProtocol = "1.2.2" "2.1", "X-Admin-Protocol is not that of SGP.22";
    AddressInvalid = "8.8.1" "3.8", "The SM-DP+ address is not that of this server";
    NoCommonCi = "8.8.2" "3.1", "No CI under which the eUICC signs is known here";
    SvnUnsupported = "8.8.3" "3.1", "The eUICC's version of SGP.22 is not supported";
    NoServerCertificate = "8.8.4" "3.7", "No certificate of this server that the eUICC can verify";
    EumInvalid = "8.1.2" "6.1", "The EUM certificate is invalid";
    EumExpired = "8.1.2" "6.3", "The EUM certificate has expired";
    EuiccInvalid = "8.1.3" "6.1", "The eUICC certificate is invalid";
    EuiccExpired = "8.1.3" "6.3", "The eUICC certificate has expired";
    VerificationFailed = "8.1" "6.1", "The eUICC's signature or challenge does not verify";
    CiUnknown = "8.11.1" "3.9", "The CI of the EUM certificate is unknown";
    TransactionUnknown = "8.10.1" "3.9", "The transaction id is unknown";
    NotReleased = "8.2" "1.2", "The profile is not released";
    MatchingIdRefused = "8.2.6" "3.8", "The matching id is refused";
    EidMismatch = "8.1.1" "3.8", "The EID is not that of the order";
    NotEligible = "8.2.5" "4.3", "No profile that this eUICC and device can take";
    NoMemory = "8.1" "4.8", "The eUICC has not enough memory for the profile";
    OrderExpired = "8.8.5" "4.10", "The download order has expired";
    RetriesExceeded = "8.8.5" "6.4", "The download order has been tried too often";
    ConfirmationCodeMissing = "8.2.7" "2.2", "The confirmation code is missing";
    ConfirmationCodeRefused = "8.2.7" "3.8", "The confirmation code is wrong";
    ConfirmationCodeRetries = "8.2.7" "6.4", "The confirmation code was wrong too often";
    NoRebinding = "8.2" "3.7", "The package is bound to another key and is not bound again";
    OidMismatch = "8.8" "3.10", "The SM-DP+ OID is not that of this server";
    DsAddressInvalid = "8.9.1" "3.8", "The SM-DS address is not that of this server";
    DsNoCommonCi = "8.9.2" "3.1", "No CI under which the eUICC signs is known to this SM-DS";
    DsSvnUnsupported = "8.9.3" "3.1", "The eUICC's version of SGP.22 is not supported by this SM-DS";
    DsNoServerCertificate = "8.9.4" "3.7", "No certificate of this SM-DS that the eUICC can verify";
    EventUnknown = "8.9.5" "3.9", "The event is unknown";
    EventExists = "8.9.5" "3.3", "The event is registered already";
    SmdsInaccessible = "8.9" "5.1", "The SM-DS cannot be reached";
    SmdsFailed = "8.9" "4.2", "The SM-DS has refused the event";
    ProfileNotAllowed = "8.2.1" "1.2", "The caller may not do this with the profile";
    ProfileInUse = "8.2.1" "3.3", "The profile is not available for this";
    ProfileTransition = "8.2.1" "3.5", "The profile cannot be released from its state";
    ProfileUnknown = "8.2.1" "3.9", "The ICCID is unknown";
    ProfileOfOtherEid = "8.2.1" "3.10", "Another EID is associated with the profile";
    TypeNotAllowed = "8.2.5" "1.2", "The caller may not order profiles of this type";
    TypeExhausted = "8.2.5" "3.7", "No profile of this type is available any more";
    TypeRefused = "8.2.5" "3.8", "The profile is not of this type";
    TypeUnknown = "8.2.5" "3.9", "The profile type is unknown";
    EidMissing = "8.1.1" "2.2", "The EID is missing";
    EidAssociation = "8.1.1" "3.10", "Another EID is associated with the order";
    MatchingIdTaken = "8.2.6" "3.3", "The matching id is in use already";
    MatchingIdAssociation = "8.2.6" "3.10", "Another matching id is associated with the order";
    Internal = "8" "4.2", "The server failed";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_specification() {
        let table: Vec<_> = Status::ALL
            .iter()
            .map(|status| format!("{} {}", status.with("").to_string().trim(), status.text()))
            .collect();
        insta::assert_snapshot!(table.join("\n"), @r"
        1.3.1/2.1 The request cannot be read
        1.3.1/2.2 A mandatory element is missing
        1.2.1/2.1 The content type is not application/json
        1.2.2/2.1 X-Admin-Protocol is not that of SGP.22
        8.8.1/3.8 The SM-DP+ address is not that of this server
        8.8.2/3.1 No CI under which the eUICC signs is known here
        8.8.3/3.1 The eUICC's version of SGP.22 is not supported
        8.8.4/3.7 No certificate of this server that the eUICC can verify
        8.1.2/6.1 The EUM certificate is invalid
        8.1.2/6.3 The EUM certificate has expired
        8.1.3/6.1 The eUICC certificate is invalid
        8.1.3/6.3 The eUICC certificate has expired
        8.1/6.1 The eUICC's signature or challenge does not verify
        8.11.1/3.9 The CI of the EUM certificate is unknown
        8.10.1/3.9 The transaction id is unknown
        8.2/1.2 The profile is not released
        8.2.6/3.8 The matching id is refused
        8.1.1/3.8 The EID is not that of the order
        8.2.5/4.3 No profile that this eUICC and device can take
        8.1/4.8 The eUICC has not enough memory for the profile
        8.8.5/4.10 The download order has expired
        8.8.5/6.4 The download order has been tried too often
        8.2.7/2.2 The confirmation code is missing
        8.2.7/3.8 The confirmation code is wrong
        8.2.7/6.4 The confirmation code was wrong too often
        8.2/3.7 The package is bound to another key and is not bound again
        8.8/3.10 The SM-DP+ OID is not that of this server
        8.9.1/3.8 The SM-DS address is not that of this server
        8.9.2/3.1 No CI under which the eUICC signs is known to this SM-DS
        8.9.3/3.1 The eUICC's version of SGP.22 is not supported by this SM-DS
        8.9.4/3.7 No certificate of this SM-DS that the eUICC can verify
        8.9.5/3.9 The event is unknown
        8.9.5/3.3 The event is registered already
        8.9/5.1 The SM-DS cannot be reached
        8.9/4.2 The SM-DS has refused the event
        8.2.1/1.2 The caller may not do this with the profile
        8.2.1/3.3 The profile is not available for this
        8.2.1/3.5 The profile cannot be released from its state
        8.2.1/3.9 The ICCID is unknown
        8.2.1/3.10 Another EID is associated with the profile
        8.2.5/1.2 The caller may not order profiles of this type
        8.2.5/3.7 No profile of this type is available any more
        8.2.5/3.8 The profile is not of this type
        8.2.5/3.9 The profile type is unknown
        8.1.1/2.2 The EID is missing
        8.1.1/3.10 Another EID is associated with the order
        8.2.6/3.3 The matching id is in use already
        8.2.6/3.10 Another matching id is associated with the order
        8/4.2 The server failed
        ");
        let mut codes: Vec<_> = Status::ALL.iter().map(|status| status.codes()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Status::ALL.len());
    }
}
