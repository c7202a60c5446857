//! Sending and writing messages (TS 27.005 §3.5, §4.3, §4.4): AT+CMGS, +CMGW, +CMSS, and the text behind their prompts.

use rsp::ids::from_hex;

use super::receiving::{deliver, report};
use super::{WRONG, kind};
use crate::charset::Charset;
use crate::commands::{Exec, Next, Outcome, at_most};
use crate::errors::CmsError;
use crate::parse::Params;
use crate::prompt::{Format, LIMIT, Prompt, Purpose};
use crate::result::Failure;
use crate::settings::Settings;
use crate::sms::pdu::{self, Address, Message};
use crate::sms::{Status, Stored, TextParameters};
use crate::state::State;

/// `+CMGS=<length>` or `+CMGS=<da>[,<toda>]` (TS 27.005 §3.5.1, §4.3).
pub(crate) fn send(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    exec.state.messages_ready()?;
    at_most(params, if exec.state.messages.text_mode { 2 } else { 1 }).map_err(|_| WRONG)?;
    let format = format(exec, params, false)?;
    prompt(exec, Purpose::Send, format)
}

fn prompt(exec: &mut Exec<'_>, purpose: Purpose, format: Format) -> Outcome {
    // The text ends the line: a command behind it would have to wait for it.
    if !exec.is_last {
        return Err(Failure::Cms(CmsError::NotAllowed));
    }
    exec.next = Next::Prompt(Box::new(Prompt::new(purpose, format)));
    Ok(())
}

/// The length of a PDU, or the number that a text goes to; for a text that is only stored there need not be one.
fn format(exec: &Exec<'_>, params: &Params, optional: bool) -> Result<Format, Failure> {
    if !exec.state.messages.text_mode {
        // TS 23.040 §9.2.2.2: no TPDU is longer than 164 octets.
        let length = params.number(0).filter(|length| (1..=164).contains(length)).ok_or(WRONG)?;
        return Ok(Format::Pdu(length as usize));
    }
    let number = match (params.text(0), optional) {
        (None, true) => String::new(),
        (None, false) => return Err(WRONG),
        (Some(text), _) => {
            // Numbers are in the character set, too; but hosts send plain digits at all times.
            let plain = std::str::from_utf8(text).ok().map(str::to_owned);
            let is_number = |text: &String| Address::parse(text, None).is_some();
            exec.settings.charset.decode(text).filter(is_number).or(plain.filter(is_number)).ok_or(WRONG)?
        }
    };
    Ok(Format::Text { number, kind: kind(params, 1)? })
}

/// `+CMGW` alone: a text without a number.
pub(crate) fn write_plain(exec: &mut Exec<'_>) -> Outcome {
    write(exec, &Params::default())
}

/// `+CMGW=<length>[,<stat>]` or `+CMGW[=<oa/da>[,<tooa/toda>[,<stat>]]]` (TS 27.005 §3.5.3, §4.4).
pub(crate) fn write(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    exec.state.messages_ready()?;
    let text_mode = exec.state.messages.text_mode;
    let (status, most) = if text_mode { (2, 3) } else { (1, 2) };
    at_most(params, most).map_err(|_| WRONG)?;
    let status = match (params.omitted(status), text_mode) {
        (true, _) => Status::Unsent,
        (_, false) => params.number(status).and_then(Status::from_number).ok_or(WRONG)?,
        (_, true) => params
            .quoted(status)
            .and_then(|text| std::str::from_utf8(text).ok())
            .and_then(Status::from_text)
            .ok_or(WRONG)?,
    };
    let format = format(exec, params, true)?;
    prompt(exec, Purpose::Write(status), format)
}

/// What was entered behind a prompt.
pub(crate) fn complete(state: &mut State, settings: &Settings, prompt: Prompt) -> Result<Vec<String>, Failure> {
    if prompt.text.len() > LIMIT {
        return Err(Failure::Cms(CmsError::InvalidPdu));
    }
    let pdu = match &prompt.format {
        Format::Pdu(length) => {
            let pdu = from_hex(prompt.text.trim_ascii()).ok_or(CmsError::InvalidPdu)?;
            let (_, tpdu) = pdu::split_centre(&pdu).ok_or(CmsError::InvalidPdu)?;
            // TS 27.005 §4.3: the length counts the TPDU only.
            if tpdu.len() != *length {
                return Err(Failure::Cms(CmsError::InvalidPdu));
            }
            pdu
        }
        Format::Text { number, kind } => {
            let address = match number.is_empty() {
                true => Address { number: String::new(), kind: pdu::UNKNOWN },
                false => Address::parse(number, *kind).ok_or(CmsError::InvalidText)?,
            };
            let TextParameters { first_octet, validity, protocol, coding } = state.messages.parameters.clone();
            // TS 27.005 §3.1, <data>: octets come in hexadecimal digits, whatever +CSCS says.
            let message = if pdu::is_in_octets(first_octet, coding) {
                let data = from_hex(prompt.text.trim_ascii()).ok_or(CmsError::InvalidText)?;
                Message::with_octets(first_octet, address, protocol, coding, data)
            } else {
                let text = match settings.charset {
                    // What a host calls GSM or IRA is often something more.
                    Charset::Gsm | Charset::Ira => match String::from_utf8(prompt.text.clone()) {
                        Ok(text) if !text.is_ascii() => Some(text),
                        _ => settings.charset.decode(&prompt.text),
                    },
                    Charset::Ucs2 => settings.charset.decode(&prompt.text),
                };
                let text = text.ok_or(CmsError::InvalidText)?;
                Message::with_text(first_octet, address, protocol, coding, &text)
            };
            let mut message = message.ok_or(CmsError::InvalidText)?;
            let mut pdu = pdu::centre(None);
            match prompt.purpose {
                // TS 27.005 §3.5.3: what is written as received is a message that came.
                Purpose::Write(status) if status.is_received() => {
                    pdu.extend(message.encode_deliver(pdu::stamp(state.clock(), state.options.zone)));
                }
                _ => {
                    if first_octet & 0x10 != 0 {
                        message.validity = vec![validity];
                    }
                    pdu.extend(message.encode_submit(0));
                }
            }
            pdu
        }
    };
    state.messages_ready()?;
    match prompt.purpose {
        Purpose::Send => {
            let reference = submit(state, &pdu)?;
            Ok(vec![format!("+CMGS: {reference}")])
        }
        Purpose::Write(status) => {
            let place = state.messages.places[1];
            let (messages, mut files) = state.messages();
            let index = messages.add(place, Stored { status, pdu }, &mut files)?;
            Ok(vec![format!("+CMGW: {index}")])
        }
    }
}

/// Hands a message to the service centre, which sends it back at once. Gives its reference.
fn submit(state: &mut State, pdu: &[u8]) -> Result<u8, Failure> {
    let (_, tpdu) = pdu::split_centre(pdu).ok_or(CmsError::InvalidPdu)?;
    let message = Message::read_submit(tpdu).ok_or(CmsError::InvalidPdu)?;
    if message.address.number.is_empty() {
        return Err(Failure::Cms(CmsError::InvalidPdu));
    }
    if !state.network.is_registered() {
        return Err(Failure::Cms(CmsError::NoNetwork));
    }
    let reference = state.messages.next_reference();
    if message.wants_report() {
        let stamp = pdu::stamp(state.clock(), state.options.zone);
        report(state, &message.encode_report(reference, stamp));
    }
    deliver(state, &message);
    Ok(reference)
}

/// `+CMSS=<index>[,<da>[,<toda>]]` (TS 27.005 §3.5.2).
pub(crate) fn send_stored(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 3).map_err(|_| WRONG)?;
    exec.state.messages_ready()?;
    let index = params.number(0).ok_or(WRONG)? as usize;
    let place = exec.state.messages.places[1];
    let (messages, mut files) = exec.state.messages();
    let stored = messages.read(place, index, &mut files)?;
    if stored.status.is_received() {
        return Err(Failure::Cms(CmsError::NotAllowed));
    }
    let mut pdu = stored.pdu;
    if !params.omitted(1) {
        let number = params.text(1).and_then(|text| exec.settings.charset.decode(text)).ok_or(WRONG)?;
        let address = Address::parse(&number, kind(params, 2)?).ok_or(WRONG)?;
        let (centre, tpdu) = pdu::split_centre(&pdu).ok_or(CmsError::InvalidPdu)?;
        let message = Message { address, ..Message::read_submit(tpdu).ok_or(CmsError::InvalidPdu)? };
        pdu = [centre, &message.encode_submit(0)].concat();
    }
    let reference = submit(exec.state, &pdu)?;
    let (messages, mut files) = exec.state.messages();
    messages.mark(place, index, Status::Sent, &mut files)?;
    exec.line(format!("+CMSS: {reference}"));
    Ok(())
}
