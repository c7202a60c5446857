//! Why a network refuses: causes of mobility management (TS 24.008 §10.5.5.14, TS 24.301 §9.9.3.9) and of session
//! management (TS 24.008 §10.5.6.6, TS 24.301 §9.9.4.4), with what the operator's event log advises.

use std::fmt;

macro_rules! causes {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $number:literal, $text:literal, $advice:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = $text] $variant,)*
        }

        impl $name {
            /// The number of the cause.
            pub fn number(self) -> u8 {
                match self {
                    $($name::$variant => $number,)*
                }
            }

            /// The text that the specification has for it.
            pub fn text(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)*
                }
            }

            /// What to look at, for the person who reads the event.
            pub fn advice(self) -> &'static str {
                match self {
                    $($name::$variant => $advice,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} (#{})", self.text(), self.number())
            }
        }
    };
}

causes! {
    /// Why a registration is refused.
    MobilityCause {
        UnknownSubscriber = 2, "IMSI unknown in HLR", "the operator has no subscription for this IMSI: assign the SIM";
        IllegalUe = 3, "Illegal UE",
            "the card is not the one that the subscription is of";
        IllegalMe = 6, "Illegal ME", "the subscription is locked to another device (IMEI lock): use that one, or lift the lock";
        NoServices = 8, "GPRS services and non-GPRS services not allowed",
            "the SIM is blocked or suspended: activate it, then restart the device";
        PlmnNotAllowed = 11, "PLMN not allowed",
            "the operator is on the blacklist, or there is no roaming agreement with it: let the device change to another network";
        RoamingNotAllowed = 13, "Roaming not allowed in this location area",
            "the coverage policy does not allow roaming: allow it, or use the home network";
        NoSuitableCells = 15, "No suitable cells in location area",
            "the service policy does not allow this radio type: activate it, or use another one";
        NetworkFailure = 17, "Network failure", "the card does not answer the network's challenge: look at what it says to AUTHENTICATE";
    }
}

causes! {
    /// Why a device does not take the network's challenge (TS 24.008 §10.5.3.14, TS 24.301 §9.9.3.9).
    AuthenticationCause {
        MacFailure = 20, "MAC failure",
            "the keys of the profile (K, OPc) are not those that the operator has for it: compare them";
        SynchFailure = 21, "Synch failure",
            "the sequence numbers of card and operator do not come together: the card's AUTS is not of these keys, or it refuses every number";
    }
}

causes! {
    /// Why a data session is refused.
    SessionCause {
        OperatorBarred = 8, "Operator determined barring", "the SIM is blocked or suspended: activate it";
        UnknownApn = 27, "Missing or unknown APN", "set the APN of the subscription on the device";
        NotSubscribed = 33, "Requested service option not subscribed",
            "activate data in the service policy";
        NetworkFailure = 38, "Network failure", "the device is not attached: look at the location updates";
    }
}
