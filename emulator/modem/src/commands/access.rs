//! The card for hosts: AT+CSIM, AT+CCHO, AT+CCHC, AT+CGLA (TS 27.007 §8.17, §8.43, §8.45, §8.46).
//!
//! APDUs of hosts pass with their answers untouched: `61xx` and `6Cxx` are the host's to follow.

use rsp::ids::{from_hex, to_hex};

use super::{Exec, Outcome};
use crate::model::{CchoAnswer, HostAccess};
use crate::parse::Params;
use crate::result::{CmeError, Failure};

/// A short APDU has a header of 4 bytes at least, and 261 bytes at most (ISO 7816-4 §5.1).
const APDU_LENGTH: std::ops::RangeInclusive<usize> = 4..=261;

/// What is added to a channel number to make an opaque session handle.
const HANDLE_BASE: u32 = 0x038A_A32E;

/// `+CCHO=<dfname>` (TS 27.007 §8.45).
pub(super) fn ccho(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    if params.len() != 1 {
        return Err(CmeError::IncorrectParameters.into());
    }
    let name = hex_parameter(exec, params, 0)?;
    // TS 27.007 §8.45: a DF name has 1 to 16 bytes.
    if !(1..=16).contains(&name.len()) {
        return Err(CmeError::IncorrectParameters.into());
    }
    let state = &mut *exec.state;
    let allowed = match state.model.dialect.host_isd_r {
        HostAccess::Always => true,
        HostAccess::LpaEnabled => state.lpa_enabled,
        HostAccess::LpaDisabled => !state.lpa_enabled && !state.lpa_enabled_at_restart,
    };
    if name == rsp::ISD_R_AID && !allowed {
        return Err(state.model.dialect.ccho_failure.into());
    }
    let id = state.uicc.open_session(&name, &mut state.tap).map_err(|error| match CmeError::from(error) {
        CmeError::SimFailure => state.model.dialect.ccho_failure,
        other => other,
    })?;
    let prefix = prefix(exec, "+CCHO");
    exec.line(match exec.state.model.dialect.ccho_answer {
        CchoAnswer::Prefixed => format!("{prefix}{id}"),
        CchoAnswer::Bare => id.to_string(),
        CchoAnswer::Handle => format!("{prefix}{:016x}", id + HANDLE_BASE),
    });
    Ok(())
}

/// `+CCHC=<sessionid>` (TS 27.007 §8.46).
pub(super) fn cchc(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    if params.len() != 1 {
        return Err(CmeError::IncorrectParameters.into());
    }
    let (id, _) = session(exec, params)?;
    exec.state.uicc.close_session(id, &mut exec.state.tap)?;
    Ok(())
}

/// `+CGLA=<sessionid>,<length>,<command>` (TS 27.007 §8.43).
pub(super) fn cgla(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    if params.len() != 3 {
        return Err(CmeError::IncorrectParameters.into());
    }
    let mut apdu = apdu_parameter(exec, params, 1)?;
    let (_, channel) = session(exec, params)?;
    if let Some(class) = apdu.first_mut() {
        // TS 27.007 §8.43: the MT takes care that the class byte names the channel of the session.
        *class = crate::card::class_on_channel(*class, channel);
    }
    respond(exec, "+CGLA", &apdu)
}

/// `+CSIM=<length>,<command>` (TS 27.007 §8.17): the class byte is the host's own.
pub(super) fn csim(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    if params.len() != 2 {
        return Err(CmeError::IncorrectParameters.into());
    }
    let apdu = apdu_parameter(exec, params, 0)?;
    respond(exec, "+CSIM", &apdu)
}

/// `+CCHO=?`
pub(super) fn test_ccho(exec: &mut Exec<'_>) -> Outcome {
    channel_test(exec, "+CCHO", "<dfname>")
}

/// `+CCHC=?`
pub(super) fn test_cchc(exec: &mut Exec<'_>) -> Outcome {
    channel_test(exec, "+CCHC", "<sessionid>")
}

/// `+CGLA=?`
pub(super) fn test_cgla(exec: &mut Exec<'_>) -> Outcome {
    channel_test(exec, "+CGLA", "<sessionid>,<length>,<command>")
}

fn channel_test(exec: &mut Exec<'_>, name: &str, text: &str) -> Outcome {
    if exec.state.model.dialect.channel_tests_tell {
        exec.line(format!("{}{text}", prefix(exec, name)));
    }
    Ok(())
}

fn prefix(exec: &Exec<'_>, name: &str) -> String {
    format!("{name}:{}", if exec.state.model.dialect.space_after_colon { " " } else { "" })
}

/// Number and channel of the session that the first parameter names.
fn session(exec: &Exec<'_>, params: &Params) -> Result<(u32, u8), Failure> {
    // Without a card no session can be: the reason is told, not the consequence.
    if !exec.state.uicc.is_present() {
        return Err(CmeError::SimNotInserted.into());
    }
    let text = params.text(0).and_then(|text| std::str::from_utf8(text).ok()).ok_or(CmeError::IncorrectParameters)?;
    let id = match exec.state.model.dialect.ccho_answer {
        CchoAnswer::Handle => u32::from_str_radix(text, 16).ok().and_then(|handle| handle.checked_sub(HANDLE_BASE)),
        CchoAnswer::Prefixed | CchoAnswer::Bare => text.parse().ok(),
    };
    let id = id.ok_or(CmeError::IncorrectParameters)?;
    let channel = exec.state.uicc.session_channel(id).ok_or(CmeError::InvalidIndex)?;
    Ok((id, channel))
}

/// Hex digits as bytes.
fn hex_parameter(exec: &Exec<'_>, params: &Params, index: usize) -> Result<Vec<u8>, CmeError> {
    let text = match exec.state.model.dialect.quotes_required {
        true => params.quoted(index),
        false => params.text(index),
    };
    text.and_then(from_hex).ok_or(CmeError::IncorrectParameters)
}

/// A length and the APDU behind it.
fn apdu_parameter(exec: &Exec<'_>, params: &Params, index: usize) -> Result<Vec<u8>, CmeError> {
    let length = params.number(index).ok_or(CmeError::IncorrectParameters)?;
    let apdu = hex_parameter(exec, params, index + 1)?;
    // TS 27.007 §8.17, §8.43: the length counts the characters of the command.
    if length as usize != apdu.len() * 2 || !APDU_LENGTH.contains(&apdu.len()) {
        return Err(CmeError::IncorrectParameters);
    }
    Ok(apdu)
}

fn respond(exec: &mut Exec<'_>, name: &str, apdu: &[u8]) -> Outcome {
    let response = exec.state.uicc.transmit(apdu, &mut exec.state.tap)?;
    let line = format!("{}{},\"{}\"", prefix(exec, name), response.len() * 2, to_hex(&response));
    exec.line(line);
    Ok(())
}
