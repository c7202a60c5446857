//! Final result codes, and how information responses and result codes are put on the line.
//!
//! A command either succeeds or fails with a [`Failure`]; the last one of a command line becomes the one
//! [`ResultCode`] the line ends with. How it looks depends on the settings of the port it goes to: verbose or
//! numeric (`ATV`), not at all (`ATQ1`), and with which detail (`+CMEE`).

use crate::card::CardError;
use crate::errors::{CmeError, CmsError};
use crate::settings::Settings;

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// `ERROR`, whatever `+CMEE` says: unknown commands, syntax errors, V.250 commands, AT+QESIM.
    Error,
    /// `NO CARRIER`: there is no connection to go back to.
    NoCarrier,
    /// An error of the mobile equipment: `ERROR` or `+CME ERROR`, as `+CMEE` says.
    Cme(CmeError),
    /// The same, with a text that no specification knows.
    CmeText(String),
    /// An error of the message service: `ERROR` or `+CMS ERROR` (TS 27.005 §3.2.5).
    Cms(CmsError),
    /// Nothing at all, as some modules answer some test commands.
    Silence,
}

impl From<CmeError> for Failure {
    fn from(error: CmeError) -> Self {
        Failure::Cme(error)
    }
}

impl From<CmsError> for Failure {
    fn from(error: CmsError) -> Self {
        Failure::Cms(error)
    }
}

impl From<CardError> for Failure {
    fn from(error: CardError) -> Self {
        Failure::Cme(error.into())
    }
}

/// The result code that ends the response to a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResultCode {
    /// All commands of the line were executed.
    Ok,
    /// A connection stands, with this bit rate.
    Connect(u32),
    /// A socket stands, or a file takes data. There is no rate.
    ConnectData,
    /// Data were taken for sending, or not.
    Sent(bool),
    /// Nothing yet: the result comes when a socket tells it.
    Later,
    /// A command failed; those behind it were not executed.
    Failed(Failure),
}

impl ResultCode {
    /// The code as it goes on the line, framed by its delimiters; nothing with `ATQ1`.
    pub(crate) fn write(&self, settings: &Settings, out: &mut Vec<u8>) {
        if settings.quiet {
            return;
        }
        // V.250 §5.7.1, table 1: text and number of each result code.
        let (text, number) = match self {
            ResultCode::Ok => ("OK".to_owned(), Some("0")),
            // V.250 §6.2.7: with X0 the rate is not told.
            ResultCode::Connect(_) if settings.progress == 0 => ("CONNECT".to_owned(), Some("1")),
            ResultCode::Connect(rate) => (format!("CONNECT {rate}"), Some("1")),
            ResultCode::ConnectData => ("CONNECT".to_owned(), Some("1")),
            ResultCode::Sent(true) => ("SEND OK".to_owned(), None),
            ResultCode::Sent(false) => ("SEND FAIL".to_owned(), None),
            ResultCode::Later => return,
            ResultCode::Failed(Failure::NoCarrier) => ("NO CARRIER".to_owned(), Some("3")),
            ResultCode::Failed(Failure::Error) => ("ERROR".to_owned(), Some("4")),
            ResultCode::Failed(Failure::Silence) => return,
            // TS 27.007 §9.1: with +CMEE=0 the ordinary ERROR stands for every error of the MT. The modules that these
            // models are made after treat +CMS ERROR alike.
            // Annex B: neither has a number of its own, they look the same under V0.
            ResultCode::Failed(_) if settings.cmee == 0 => ("ERROR".to_owned(), Some("4")),
            ResultCode::Failed(Failure::Cme(error)) if settings.cmee == 1 => {
                (format!("+CME ERROR: {}", error.code()), None)
            }
            ResultCode::Failed(Failure::Cme(error)) => (format!("+CME ERROR: {}", error.text()), None),
            ResultCode::Failed(Failure::CmeText(text)) => (format!("+CME ERROR: {text}"), None),
            ResultCode::Failed(Failure::Cms(error)) if settings.cmee == 1 => {
                (format!("+CMS ERROR: {}", error.code()), None)
            }
            ResultCode::Failed(Failure::Cms(error)) => (format!("+CMS ERROR: {}", error.text()), None),
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
        assert_eq!(written(sim.clone(), &settings), "\r\nERROR\r\n");
        settings.cmee = 1;
        assert_eq!(written(sim.clone(), &settings), "\r\n+CME ERROR: 10\r\n");
        settings.cmee = 2;
        assert_eq!(written(sim.clone(), &settings), "\r\n+CME ERROR: SIM not inserted\r\n");
        settings.verbose = false;
        assert_eq!(written(ResultCode::Ok, &settings), "0\r");
        assert_eq!(written(ResultCode::Failed(Failure::Error), &settings), "4\r");
        assert_eq!(written(ResultCode::Failed(Failure::NoCarrier), &settings), "3\r");
        assert_eq!(written(sim.clone(), &settings), "+CME ERROR: SIM not inserted\r");
        settings.quiet = true;
        assert_eq!(written(sim.clone(), &settings), "");
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
}
