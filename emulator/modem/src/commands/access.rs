//! The card for hosts: AT+CSIM, AT+CRSM, AT+CCHO, AT+CCHC, AT+CGLA (TS 27.007 §8.17, §8.18, §8.43 to §8.46).
//!
//! APDUs of hosts pass with their answers untouched: `61xx` and `6Cxx` are the host's to follow.

use rsp::ids::{from_hex, to_hex};

use super::{Exec, INCORRECT, Outcome, at_most, choice};
use crate::card::{CardError, split_status};
use crate::errors::CmeError;
use crate::model::{ApduTransport, CchoAnswer, CchoFailure, HostAccess};
use crate::parse::Params;
use crate::result::Failure;
use crate::sim::ADF;

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
    state.card_access()?;
    let allowed = match state.model.dialect.host_isd_r {
        HostAccess::Always => true,
        HostAccess::LpaEnabled => state.lpa_enabled,
        HostAccess::LpaDisabled => !state.lpa_enabled && !state.lpa_enabled_at_restart,
        HostAccess::UntilDisable => !state.disabled_since_restart,
        HostAccess::Never => false,
    };
    let refused = match &state.model.dialect.ccho_failure {
        CchoFailure::Cme(error) => Failure::Cme(*error),
        CchoFailure::Error => Failure::Error,
        CchoFailure::Text(text) => Failure::CmeText(text.clone()),
    };
    if (name == rsp::ISD_R_AID && !allowed) || !state.model.dialect.ccho_works {
        return Err(refused);
    }
    let id = state.uicc.open_session(&name, &mut state.tap).map_err(|error| match CmeError::from(error) {
        CmeError::SimFailure => refused,
        other => other.into(),
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
    exec.state.card_access().map_err(refusal)?;
    let apdu = apdu_parameter(exec, params, 0)?;
    let dialect = &exec.state.model.dialect;
    // STATUS (TS 102 221 §11.1.2) with a class byte that names another channel.
    let on_channel = apdu.first().is_some_and(|class| class & 0x40 != 0 || class & 3 != 0);
    if !dialect.csim_status_on_channels && on_channel && apdu.get(1) == Some(&0xF2) {
        return Err(CmeError::SimFailure.into());
    }
    respond(exec, "+CSIM", &apdu)
}

/// A module that refuses a card refuses AT+CSIM without a reason.
fn refusal(error: CmeError) -> Failure {
    if error == CmeError::SimWrong { Failure::Error } else { error.into() }
}

/// `+CSIM=?`
pub(super) fn test_csim(exec: &mut Exec<'_>) -> Outcome {
    if exec.state.is_refused() { Err(Failure::Error) } else { Ok(()) }
}

/// `+CRSM=<command>[,<fileid>[,<P1>,<P2>,<P3>[,<data>[,<pathid>]]]]` (TS 27.007 §8.18). Whatever the card says to it
/// is told with `OK`.
pub(super) fn crsm(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 7)?;
    exec.state.card_access()?;
    // READ BINARY, READ RECORD, GET RESPONSE, UPDATE BINARY, UPDATE RECORD, STATUS.
    let command = choice(params, 0, &[176, 178, 192, 214, 220, 242], None)? as u8;
    let file = match params.omitted(1) {
        true => None,
        false => Some(params.number(1).and_then(|file| u16::try_from(file).ok()).ok_or(INCORRECT)?),
    };
    let mut octets = [0; 3];
    for (place, octet) in octets.iter_mut().enumerate() {
        let index = place + 2;
        if !params.omitted(index) {
            *octet = params.number(index).and_then(|value| u8::try_from(value).ok()).ok_or(INCORRECT)?;
        }
    }
    let data = match params.omitted(5) {
        true => Vec::new(),
        false => params.text(5).and_then(from_hex).ok_or(INCORRECT)?,
    };
    let changes = matches!(command, 214 | 220);
    if changes == data.is_empty() || data.len() > 255 || (file.is_none() && command != 242) {
        return Err(INCORRECT);
    }
    let mut path: Vec<u16> = match params.omitted(6) {
        true => match file {
            // Without a path: files under the MF, or those of the USIM.
            None | Some(0x3F00) => Vec::new(),
            Some(file) if file >> 8 == 0x2F => vec![0x3F00],
            Some(file) if file >> 8 == 0x7F && file != ADF => vec![0x3F00],
            Some(_) => vec![ADF],
        },
        false => {
            let bytes = params.text(6).and_then(from_hex).filter(|bytes| bytes.len() % 2 == 0).ok_or(INCORRECT)?;
            let mut path: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            // TS 27.007 §8.18: the path may begin with 3F00; 7FFF behind it stands for the USIM.
            if path.first() == Some(&0x3F00) && path.get(1) == Some(&ADF) {
                path.remove(0);
            }
            path
        }
    };
    path.extend(file.filter(|file| *file != ADF));
    let [p1, p2, p3] = octets;
    let outcome = exec.state.files().with(&path, |uicc, channel, selected, tap| {
        let apdu = match command {
            // The answer to SELECT is what GET RESPONSE is asked for.
            192 => return Ok((selected.data.clone(), selected.status)),
            214 | 220 => {
                let mut apdu = vec![0x00, command - 214 + 0xD6, p1, p2, data.len() as u8];
                apdu.extend_from_slice(&data);
                apdu
            }
            242 => vec![0x80, 0xF2, p1, p2, p3],
            _ => vec![0x00, command, p1, p2, p3],
        };
        let answer = uicc.exchange(channel, &apdu, tap)?;
        Ok((answer.data, answer.status))
    });
    let (data, status) = match outcome {
        Ok(answer) => answer,
        Err(CardError::Status(status)) => (Vec::new(), status),
        Err(error) => return Err(error.into()),
    };
    let [high, low] = status.to_be_bytes();
    let mut line = format!("+CRSM: {high},{low}");
    if !data.is_empty() {
        line += &format!(",\"{}\"", to_hex(&data));
    }
    exec.line(line);
    Ok(())
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
    let response = transport(exec, apdu)?;
    let line = format!("{}{},\"{}\"", prefix(exec, name), response.len() * 2, to_hex(&response));
    exec.line(line);
    Ok(())
}

/// One APDU of a host, by the way that the model has to its card.
fn transport(exec: &mut Exec<'_>, apdu: &[u8]) -> Result<Vec<u8>, Failure> {
    let rate = exec.settings.rate;
    let state = &mut *exec.state;
    state.card_access().map_err(refusal)?;
    let dialect = &state.model.dialect;
    let length = apdu.get(4).copied().unwrap_or(0);
    let is_segment = apdu.len() > 5;
    if let Some(lost) = dialect.lost_segments
        && is_segment
        && rate > lost.above_rate
        && length > lost.longest
    {
        return Ok(lost.status.to_be_bytes().to_vec());
    }
    let fetches = dialect.apdu_transport == ApduTransport::FetchesWithLe;
    let mut response = state.uicc.transmit(apdu, &mut state.tap)?;
    // SGP.22 v2.5 §5.7.17: DisableProfile of the host's own LPA.
    if let [_, 0xE2, _, _, _, 0xBF, 0x32, ..] = apdu {
        state.disabled_since_restart = true;
    }
    let Some((_, 0x6100..=0x61FF)) = split_status(&response).filter(|_| fetches) else { return Ok(response) };
    // ISO 7816-4 §5.1: a command of five bytes has an Le and nothing else, as does one with a byte behind its data.
    if apdu.len() != 5 && apdu.len() != usize::from(length) + 6 {
        return Ok(vec![0x90, 0x00]);
    }
    let class = apdu.first().copied().unwrap_or(0) & !0x80;
    let mut data = Vec::new();
    // A short response has 256 bytes at most: more is left for the host's own GET RESPONSE.
    while let Some((body, status)) = split_status(&response) {
        data.extend_from_slice(body);
        let [0x61, left] = status.to_be_bytes() else {
            data.extend(status.to_be_bytes());
            return Ok(data);
        };
        if data.len() + usize::from(left) > 256 || (left == 0 && !data.is_empty()) {
            data.extend(status.to_be_bytes());
            return Ok(data);
        }
        response = state.uicc.transmit(&[class, 0xC0, 0x00, 0x00, left], &mut state.tap)?;
    }
    Err(CmeError::SimFailure.into())
}
