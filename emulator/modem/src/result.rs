//! Final result codes, and how information responses and result codes are put on the line.
//!
//! A command either succeeds or fails with a [`Failure`]; the last one of a command line becomes the one
//! [`ResultCode`] the line ends with. How it looks depends on the settings of the port it goes to: verbose or
//! numeric (`ATV`), not at all (`ATQ1`), and with which detail (`+CMEE`).

use crate::card::CardError;
use crate::settings::Settings;

/// Why a command failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// `ERROR`, whatever `+CMEE` says: unknown commands, syntax errors, V.250 commands, AT+QESIM.
    Error,
    /// `NO CARRIER`: there is no connection to go back to.
    NoCarrier,
    /// An error of the mobile equipment: `ERROR` or `+CME ERROR`, as `+CMEE` says.
    Cme(CmeError),
}

impl From<CmeError> for Failure {
    fn from(error: CmeError) -> Self {
        Failure::Cme(error)
    }
}

impl From<CardError> for Failure {
    fn from(error: CardError) -> Self {
        Failure::Cme(error.into())
    }
}

/// The result code that ends the response to a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResultCode {
    /// All commands of the line were executed.
    Ok,
    /// A command failed; those behind it were not executed.
    Failed(Failure),
}

impl ResultCode {
    /// The code as it goes on the line, framed by its delimiters; nothing with `ATQ1`.
    pub(crate) fn write(self, settings: &Settings, out: &mut Vec<u8>) {
        if settings.quiet {
            return;
        }
        // V.250 §5.7.1, table 1: text and number of each result code.
        let (text, number) = match self {
            ResultCode::Ok => ("OK".to_owned(), Some("0")),
            ResultCode::Failed(Failure::NoCarrier) => ("NO CARRIER".to_owned(), Some("3")),
            ResultCode::Failed(Failure::Error) => ("ERROR".to_owned(), Some("4")),
            // TS 27.007 §9.1: with +CMEE=0 the ordinary ERROR stands for every error of the MT.
            // Annex B: +CME ERROR has no number of its own, it looks the same under V0.
            ResultCode::Failed(Failure::Cme(error)) => match settings.cmee {
                0 => ("ERROR".to_owned(), Some("4")),
                1 => (format!("+CME ERROR: {}", error.code()), None),
                _ => (format!("+CME ERROR: {}", error.text()), None),
            },
        };
        // V.250 §6.2.6: V1 frames a result code by CR LF on both sides, V0 ends it with CR alone.
        if settings.verbose {
            out.extend_from_slice(&[settings.s3, settings.s4]);
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(&[settings.s3, settings.s4]);
        } else {
            out.extend_from_slice(number.unwrap_or(&text).as_bytes());
            out.push(settings.s3);
        }
    }
}

/// Puts the information response of one command on the line (V.250 §5.7.1, §6.2.6): framed by CR LF under V1,
/// followed by CR LF under V0. Lines of one response have one CR LF between.
pub(crate) fn write_information(lines: &[String], settings: &Settings, out: &mut Vec<u8>) {
    if lines.is_empty() {
        return;
    }
    if settings.verbose {
        out.extend_from_slice(&[settings.s3, settings.s4]);
    }
    for line in lines {
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(&[settings.s3, settings.s4]);
    }
}

macro_rules! cme_errors {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Errors of the mobile equipment (TS 27.007 §9.2.1, general errors).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum CmeError {
            $($(#[$doc])* $name,)*
        }

        impl CmeError {
            /// Every one of them.
            pub const ALL: &[CmeError] = &[$(CmeError::$name),*];

            /// The number that `+CMEE=1` shows.
            pub fn code(self) -> u16 {
                match self { $(CmeError::$name => $code,)* }
            }

            /// The text that `+CMEE=2` shows.
            pub fn text(self) -> &'static str {
                match self { $(CmeError::$name => $text,)* }
            }
        }
    };
}

cme_errors! {
    /// The equipment failed in a way that no other code tells.
    PhoneFailure = 0, "phone failure";
    /// Not allowed in the present state.
    OperationNotAllowed = 3, "operation not allowed";
    /// Not supported by this equipment.
    OperationNotSupported = 4, "operation not supported";
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
    /// Nothing is free any more.
    MemoryFull = 20, "memory full";
    /// The number does not name anything.
    InvalidIndex = 21, "invalid index";
    /// What was looked for is not there.
    NotFound = 22, "not found";
    /// A text is too long.
    TextTooLong = 24, "text string too long";
    /// A text holds what it must not.
    InvalidCharacters = 25, "invalid characters in text string";
    /// Parameters that break their rules.
    IncorrectParameters = 50, "Incorrect parameters";
    /// No other code tells.
    Unknown = 100, "unknown";
}

impl CmeError {
    /// The error with this number.
    pub fn from_code(code: u16) -> Option<Self> {
        CmeError::ALL.iter().copied().find(|error| error.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(code: ResultCode, settings: &Settings) -> String {
        let mut out = Vec::new();
        code.write(settings, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn forms_of_a_result_code() {
        let mut settings = Settings::default();
        let sim = ResultCode::Failed(Failure::Cme(CmeError::SimNotInserted));
        assert_eq!(written(ResultCode::Ok, &settings), "\r\nOK\r\n");
        assert_eq!(written(sim, &settings), "\r\nERROR\r\n");
        settings.cmee = 1;
        assert_eq!(written(sim, &settings), "\r\n+CME ERROR: 10\r\n");
        settings.cmee = 2;
        assert_eq!(written(sim, &settings), "\r\n+CME ERROR: SIM not inserted\r\n");
        settings.verbose = false;
        assert_eq!(written(ResultCode::Ok, &settings), "0\r");
        assert_eq!(written(ResultCode::Failed(Failure::Error), &settings), "4\r");
        assert_eq!(written(ResultCode::Failed(Failure::NoCarrier), &settings), "3\r");
        assert_eq!(written(sim, &settings), "+CME ERROR: SIM not inserted\r");
        settings.quiet = true;
        assert_eq!(written(sim, &settings), "");
    }

    #[test]
    fn information_responses() {
        let lines = ["+A: 1".to_owned(), "+A: 2".to_owned()];
        let mut settings = Settings::default();
        let mut out = Vec::new();
        write_information(&lines, &settings, &mut out);
        assert_eq!(out, b"\r\n+A: 1\r\n+A: 2\r\n");
        settings.verbose = false;
        out.clear();
        write_information(&lines, &settings, &mut out);
        assert_eq!(out, b"+A: 1\r\n+A: 2\r\n");
        out.clear();
        write_information(&[], &settings, &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn codes_are_distinct() {
        for error in CmeError::ALL {
            assert_eq!(CmeError::from_code(error.code()), Some(*error));
        }
    }
}
