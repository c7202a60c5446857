//! The numbered errors: those of the mobile equipment (`+CME ERROR`) and those of the message service (`+CMS ERROR`),
//! with the texts that `+CMEE=2` shows.

use crate::card::CardError;

macro_rules! errors {
    ($(#[$title:meta])* $kind:ident { $($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)* }) => {
        $(#[$title])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $kind {
            $($(#[$doc])* #[doc = concat!("`", $code, "`: ", $text, ".")] $name,)*
        }

        impl $kind {
            /// Every one of them.
            pub const ALL: &[$kind] = &[$($kind::$name),*];

            /// The number that `+CMEE=1` shows.
            pub fn code(self) -> u16 {
                match self { $($kind::$name => $code,)* }
            }

            /// The text that `+CMEE=2` shows.
            pub fn text(self) -> &'static str {
                match self { $($kind::$name => $text,)* }
            }

            /// The error with this number.
            pub fn from_code(code: u16) -> Option<Self> {
                $kind::ALL.iter().copied().find(|error| error.code() == code)
            }
        }
    };
}

errors! {
/// Errors of the mobile equipment (TS 27.007 §9.2).
CmeError {
    // TS 27.007 §9.2.1, general errors.
    /// The equipment failed in a way that no other code tells.
    PhoneFailure = 0, "phone failure";
    NoConnection = 1, "no connection to phone";
    LinkReserved = 2, "phone-adaptor link reserved";
    /// Not allowed in the present state.
    OperationNotAllowed = 3, "operation not allowed";
    /// Not supported by this equipment.
    OperationNotSupported = 4, "operation not supported";
    PhSimPinRequired = 5, "PH-SIM PIN required";
    PhFsimPinRequired = 6, "PH-FSIM PIN required";
    PhFsimPukRequired = 7, "PH-FSIM PUK required";
    /// There is no card.
    SimNotInserted = 10, "SIM not inserted";
    /// The PIN has to be given first.
    SimPinRequired = 11, "SIM PIN required";
    /// The PIN is blocked.
    SimPukRequired = 12, "SIM PUK required";
    /// The card does not answer as it should.
    SimFailure = 13, "SIM failure";
    /// The card is occupied.
    SimBusy = 14, "SIM busy";
    /// Not a card for this equipment.
    SimWrong = 15, "SIM wrong";
    /// The PIN or password that was given is not right.
    IncorrectPassword = 16, "incorrect password";
    /// PIN2 has to be given first.
    SimPin2Required = 17, "SIM PIN2 required";
    /// PIN2 is blocked.
    SimPuk2Required = 18, "SIM PUK2 required";
    /// Nothing is free any more.
    MemoryFull = 20, "memory full";
    /// The number does not name anything.
    InvalidIndex = 21, "invalid index";
    /// What was looked for is not there.
    NotFound = 22, "not found";
    MemoryFailure = 23, "memory failure";
    /// A text is too long.
    TextTooLong = 24, "text string too long";
    /// A text holds what it must not.
    InvalidCharacters = 25, "invalid characters in text string";
    /// A dial string is too long.
    DialTooLong = 26, "dial string too long";
    /// A dial string holds what it must not.
    InvalidDialCharacters = 27, "invalid characters in dial string";
    /// There is no network.
    NoNetwork = 30, "no network service";
    /// The network did not answer in time.
    NetworkTimeout = 31, "network timeout";
    /// The network does not let this subscription in.
    EmergencyOnly = 32, "network not allowed - emergency calls only";
    NetworkPinRequired = 40, "network personalization PIN required";
    NetworkPukRequired = 41, "network personalization PUK required";
    SubsetPinRequired = 42, "network subset personalization PIN required";
    SubsetPukRequired = 43, "network subset personalization PUK required";
    ProviderPinRequired = 44, "service provider personalization PIN required";
    ProviderPukRequired = 45, "service provider personalization PUK required";
    CorporatePinRequired = 46, "corporate personalization PIN required";
    CorporatePukRequired = 47, "corporate personalization PUK required";
    HiddenKeyRequired = 48, "hidden key required";
    EapNotSupported = 49, "EAP method not supported";
    /// Parameters that break their rules.
    IncorrectParameters = 50, "Incorrect parameters";
    Disabled = 51, "command implemented but currently disabled";
    Aborted = 52, "command aborted by user";
    NotAttached = 53, "not attached to network due to MT functionality restrictions";
    EmergencyCallsOnly = 54, "modem not allowed - MT restricted to emergency calls only";
    Restricted = 55, "operation not allowed because of MT functionality restrictions";
    FixedDialOnly = 56, "fixed dial number only allowed - called number is not a fixed dial number";
    OutOfService = 57, "temporarily out of service due to other MT usage";
    LanguageNotSupported = 58, "language/alphabet not supported";
    UnexpectedValue = 59, "unexpected data value";
    SystemFailure = 60, "system failure";
    DataMissing = 61, "data missing";
    CallBarred = 62, "call barred";
    MessageWaitingFailure = 63, "message waiting indication subscription failure";
    /// No other code tells.
    Unknown = 100, "unknown";
    // TS 27.007 §9.2.2.1, an attach that failed.
    IllegalMs = 103, "Illegal MS";
    IllegalMe = 106, "Illegal ME";
    GprsNotAllowed = 107, "GPRS services not allowed";
    NoServicesAllowed = 108, "GPRS services and non-GPRS services not allowed";
    PlmnNotAllowed = 111, "PLMN not allowed";
    AreaNotAllowed = 112, "Location area not allowed";
    RoamingNotAllowed = 113, "Roaming not allowed in this location area";
    GprsNotAllowedInPlmn = 114, "GPRS services not allowed in this PLMN";
    NoSuitableCells = 115, "No Suitable Cells In Location Area";
    Congestion = 122, "Congestion";
    NotInGroup = 125, "Not authorized for this CSG";
    SemanticallyIncorrect = 172, "Semantically incorrect message";
    MandatoryElement = 173, "Mandatory information element error";
    ElementNotImplemented = 174, "Information element non-existent or not implemented";
    ConditionalElement = 175, "Conditional IE error";
    ProtocolError = 176, "Protocol error, unspecified";
    // TS 27.007 §9.2.2.2, a context that could not be activated.
    OperatorBarring = 177, "Operator Determined Barring";
    InsufficientResources = 126, "insufficient resources";
    /// The network does not know the access point (TS 27.007 §9.2.2.1, cause 27).
    UnknownApn = 127, "missing or unknown APN";
    UnknownPdpType = 128, "unknown PDP address or PDP type";
    UserAuthentication = 129, "user authentication failed";
    RejectedByGateway = 130, "activation rejected by GGSN, Serving GW or PDN GW";
    ActivationRejected = 131, "activation rejected, unspecified";
    /// The network does not support what was asked for (cause 32).
    OptionNotSupported = 132, "service option not supported";
    /// The subscription does not have what was asked for (cause 33).
    OptionNotSubscribed = 133, "requested service option not subscribed";
    /// What was asked for is out of order (cause 34).
    OptionOutOfOrder = 134, "service option temporarily out of order";
    FeatureNotSupported = 140, "feature not supported";
    SemanticTft = 141, "semantic error in the TFT operation";
    SyntacticalTft = 142, "syntactical error in the TFT operation";
    UnknownContext = 143, "unknown PDP context";
    SemanticFilter = 144, "semantic errors in packet filter(s)";
    SyntacticalFilter = 145, "syntactical errors in packet filter(s)";
    ContextWithoutTft = 146, "PDP context without TFT already activated";
    /// User authentication failed (cause 29).
    PdpAuthentication = 149, "PDP authentication failure";
    TooManyContexts = 178, "maximum number of PDP contexts reached";
    ApnNotSupported = 179, "requested APN not supported in current RAT and PLMN combination";
    BearerControlViolation = 180, "request rejected, Bearer Control Mode violation";
    UnsupportedQci = 181, "unsupported QCI value";
    // TS 27.007 §9.2.2.3, a disconnection.
    LastPdn = 171, "Last PDN disconnection not allowed";
    // TS 27.007 §9.2.2.4, other errors of packet data.
    /// Packet service failed in a way that no other code tells.
    UnspecifiedGprs = 148, "unspecified GPRS error";
    InvalidMobileClass = 150, "invalid mobile class";
    ControlPlaneCongested = 182, "user data transmission via control plane is congested";
    // TS 27.007 §9.2.3, group and broadcast calls.
    GroupCallsNotSupported = 151, "VBS/VGCS not supported by the network";
    NoServiceSubscription = 152, "No service subscription on SIM";
    NoGroupSubscription = 153, "No subscription for group ID";
    GroupNotActivated = 154, "Group Id not activated on SIM";
    NoNotification = 155, "No matching notification";
    GroupCallPresent = 156, "VBS/VGCS call already present";
    GroupCallCongestion = 157, "Congestion";
    NetworkFailure = 158, "Network failure";
    UplinkBusy = 159, "Uplink busy";
    NoAccessRights = 160, "No access rights for SIM file";
    NoPrioritySubscription = 161, "No subscription for priority";
    NotApplicable = 162, "operation not applicable or not possible";
    PrefixesNotSupported = 163, "Group Id prefixes not supported";
    PrefixesNotUsable = 164, "Group Id prefixes not usable for VBS";
    InvalidPrefix = 165, "Group Id prefix value invalid";
    // The maker's own for files (FILE Application Note).
    FileInput = 400, "Invalid input value";
    BeyondFile = 401, "Larger than the size of the file";
    FileNotFound = 405, "File not found";
    FileName = 406, "Invalid file name";
    FileExists = 407, "File already existed";
    TooManyFiles = 413, "Reached the max number of file allowed to be opened";
    ReadOnly = 414, "The file is read-only";
    FileHandle = 416, "Invalid file descriptor";
    NoSpace = 420, "No space";
    FileTimeout = 421, "Time out";
    FileOpen = 426, "File already opened";
}
}

errors! {
/// Errors of the message service (TS 27.005 §3.2.5).
CmsError {
    // TS 24.011 annex E-2, what the network says of a message that was sent.
    UnassignedNumber = 1, "Unassigned (unallocated) number";
    OperatorBarring = 8, "Operator determined barring";
    CallBarred = 10, "Call barred";
    NetworkFailure = 17, "Network failure";
    TransferRejected = 21, "Short message transfer rejected";
    NetworkCongestion = 22, "Congestion";
    DestinationOutOfService = 27, "Destination out of service";
    UnidentifiedSubscriber = 28, "Unidentified subscriber";
    FacilityRejected = 29, "Facility rejected";
    UnknownSubscriber = 30, "Unknown subscriber";
    NetworkOutOfOrder = 38, "Network out of order";
    TemporaryFailure = 41, "Temporary failure";
    Congestion = 42, "Congestion";
    ResourcesUnavailable = 47, "Resources unavailable, unspecified";
    FacilityNotSubscribed = 50, "Requested facility not subscribed";
    FacilityNotImplemented = 69, "Requested facility not implemented";
    InvalidReference = 81, "Invalid short message transfer reference value";
    InvalidMessage = 95, "Invalid message, unspecified";
    InvalidMandatory = 96, "Invalid mandatory information";
    TypeNotImplemented = 97, "Message type non-existent or not implemented";
    NotCompatible = 98, "Message not compatible with short message protocol state";
    ElementNotImplemented = 99, "Information element non-existent or not implemented";
    ProtocolError = 111, "Protocol error, unspecified";
    Interworking = 127, "Interworking, unspecified";
    // TS 23.040 §9.2.3.22, TP-Failure-Cause.
    TelematicNotSupported = 128, "Telematic interworking not supported";
    Type0NotSupported = 129, "Short message Type 0 not supported";
    CannotReplace = 130, "Cannot replace short message";
    UnspecifiedProtocol = 143, "Unspecified TP-PID error";
    AlphabetNotSupported = 144, "Data coding scheme (alphabet) not supported";
    ClassNotSupported = 145, "Message class not supported";
    UnspecifiedCoding = 159, "Unspecified TP-DCS error";
    CommandCannotBeActioned = 160, "Command cannot be actioned";
    CommandUnsupported = 161, "Command unsupported";
    UnspecifiedCommand = 175, "Unspecified TP-Command error";
    TpduNotSupported = 176, "TPDU not supported";
    CentreBusy = 192, "SC busy";
    NoCentreSubscription = 193, "No SC subscription";
    CentreFailure = 194, "SC system failure";
    InvalidSmeAddress = 195, "Invalid SME address";
    DestinationBarred = 196, "Destination SME barred";
    DuplicateRejected = 197, "SM Rejected-Duplicate SM";
    ValidityFormatNotSupported = 198, "TP-VPF not supported";
    ValidityNotSupported = 199, "TP-VP not supported";
    SimStorageFull = 208, "(U)SIM SMS storage full";
    NoSimStorage = 209, "No SMS storage capability in (U)SIM";
    ErrorInMs = 210, "Error in MS";
    CapacityExceeded = 211, "Memory Capacity Exceeded";
    ToolkitBusy = 212, "(U)SIM Application Toolkit Busy";
    DownloadError = 213, "(U)SIM data download error";
    UnspecifiedCause = 255, "Unspecified error cause";
    // TS 27.005 §3.2.5, errors of the message service itself.
    /// The equipment failed in a way that no other code tells.
    Failure = 300, "ME failure";
    ServiceReserved = 301, "SMS service of ME reserved";
    /// Not allowed in the present state.
    NotAllowed = 302, "operation not allowed";
    /// Not supported by this equipment.
    NotSupported = 303, "operation not supported";
    /// A PDU that is none.
    InvalidPdu = 304, "invalid PDU mode parameter";
    /// A parameter of text mode that is none.
    InvalidText = 305, "invalid text mode parameter";
    /// There is no card.
    SimNotInserted = 310, "(U)SIM not inserted";
    /// The PIN has to be given first.
    SimPinRequired = 311, "(U)SIM PIN required";
    PhSimPinRequired = 312, "PH-(U)SIM PIN required";
    /// The card does not answer as it should.
    SimFailure = 313, "(U)SIM failure";
    SimBusy = 314, "(U)SIM busy";
    SimWrong = 315, "(U)SIM wrong";
    /// The PIN is blocked.
    SimPukRequired = 316, "(U)SIM PUK required";
    SimPin2Required = 317, "(U)SIM PIN2 required";
    SimPuk2Required = 318, "(U)SIM PUK2 required";
    MemoryFailure = 320, "memory failure";
    /// There is nothing at this index.
    InvalidIndex = 321, "invalid memory index";
    /// The memory is full.
    MemoryFull = 322, "memory full";
    /// There is no address of a service centre.
    NoServiceCentre = 330, "SMSC address unknown";
    /// There is no network.
    NoNetwork = 331, "no network service";
    NetworkTimeout = 332, "network timeout";
    NoAcknowledgementExpected = 340, "no +CNMA acknowledgement expected";
    /// No other code tells.
    Unknown = 500, "unknown error";
}
}

impl From<CardError> for CmsError {
    fn from(error: CardError) -> Self {
        match error {
            CardError::Absent => CmsError::SimNotInserted,
            CardError::Status(0x6982) => CmsError::SimPinRequired,
            _ => CmsError::SimFailure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        for error in CmeError::ALL {
            assert_eq!(CmeError::from_code(error.code()), Some(*error));
        }
        for error in CmsError::ALL {
            assert_eq!(CmsError::from_code(error.code()), Some(*error));
        }
    }

    /// The numbers that TS 27.007 §9.2 and TS 27.005 §3.2.5 assign, as ranges.
    #[test]
    fn none_is_missing() {
        let codes = |ranges: &[std::ops::RangeInclusive<u16>]| ranges.iter().cloned().flatten().collect::<Vec<u16>>();
        let sorted = |mut all: Vec<u16>| {
            all.sort_unstable();
            all
        };
        assert_eq!(
            sorted(CmeError::ALL.iter().map(|error| error.code()).collect()),
            codes(&[
                0..=7,
                10..=18,
                20..=27,
                30..=32,
                40..=63,
                100..=100,
                103..=103,
                106..=108,
                111..=115,
                122..=122,
                125..=134,
                140..=146,
                148..=165,
                171..=182,
                // Those of the file commands, which the maker assigns.
                400..=401,
                405..=407,
                413..=414,
                416..=416,
                420..=421,
                426..=426,
            ])
        );
        assert_eq!(
            sorted(CmsError::ALL.iter().map(|error| error.code()).filter(|code| *code >= 300).collect()),
            codes(&[300..=305, 310..=318, 320..=322, 330..=332, 340..=340, 500..=500])
        );
    }
}
