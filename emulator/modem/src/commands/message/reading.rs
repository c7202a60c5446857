//! Reading and deleting what is stored (TS 27.005 §3.4.2, §3.4.3, §3.5.4, §4.1, §4.2): AT+CMGR, +CMGL, +CMGD.

use rsp::ids::to_hex;

use super::WRONG;
use crate::charset::Charset;
use crate::commands::{Exec, Outcome, at_most, choice};
use crate::errors::CmsError;
use crate::parse::{Params, quote};
use crate::sms::pdu::{self, Message, Report};
use crate::sms::{Place, Status, Stored};

/// Which command shows a message: they have other fields.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Showing {
    Read,
    List,
}

/// One message as it is shown: the fields behind the index, and the line below.
fn show(exec: &Exec<'_>, stored: &Stored, showing: Showing) -> Option<(String, Option<String>)> {
    let (centre, tpdu) = pdu::split_centre(&stored.pdu)?;
    if !exec.state.messages.text_mode {
        return Some((format!("{},,{}", stored.status as u8, tpdu.len()), Some(to_hex(&stored.pdu))));
    }
    let charset = exec.settings.charset;
    let status = quote(stored.status.text());
    let message = match stored.status.is_received() {
        true => match Message::read_deliver(tpdu) {
            Some(message) => message,
            None => return Some((format!("{status},{}", Report::read(tpdu)?.fields(charset)), None)),
        },
        false => Message::read_submit(tpdu)?,
    };
    let mut fields = format!("{status},{},", exec.text(&message.address.number));
    match (message.stamp, showing) {
        (Some(stamp), _) => fields += &format!(",\"{}\"", pdu::stamp_text(&stamp)),
        // TS 27.005 §3.4.2: a list has a place for the stamp in every line.
        (None, Showing::List) => fields.push(','),
        (None, Showing::Read) => {}
    }
    if exec.state.messages.details {
        fields += &match showing {
            Showing::Read => details(charset, &message, centre),
            Showing::List => format!(",{},{}", message.address.kind, message.length),
        };
    }
    Some((fields, Some(message.body(charset))))
}

/// What `+CSDH=1` adds (TS 27.005 §3.4.3): type, first octet, protocol, coding, the validity period of a message to be
/// sent, service centre, length.
pub(super) fn details(charset: Charset, message: &Message, centre: &[u8]) -> String {
    let (number, kind) = match centre {
        [_, kind, digits @ ..] => {
            let plus = if kind & 0x70 == 0x10 { "+" } else { "" };
            (format!("{plus}{}", pdu::from_semi_octets(digits, digits.len() * 2)), *kind)
        }
        _ => (String::new(), pdu::UNKNOWN),
    };
    let validity = match (message.stamp, &message.validity[..]) {
        (Some(_), _) => String::new(),
        (None, [relative]) => format!("{relative},"),
        // An absolute one is a stamp.
        (None, validity) => match <&[u8; 7]>::try_from(validity) {
            Ok(stamp) if message.first_octet & 0x18 == 0x18 => format!("\"{}\",", pdu::stamp_text(stamp)),
            _ => ",".to_owned(),
        },
    };
    format!(
        ",{},{},{},{},{validity}{},{kind},{}",
        message.address.kind,
        message.first_octet,
        message.protocol,
        message.scheme,
        quote(&charset.encode(&number)),
        message.length
    )
}

/// `+CMGR=<index>` (TS 27.005 §3.4.3, §4.2).
pub(crate) fn read(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1).map_err(|_| WRONG)?;
    exec.state.messages_ready()?;
    let index = params.number(0).ok_or(WRONG)? as usize;
    let place = exec.state.messages.places[0];
    let (messages, mut files) = exec.state.messages();
    let stored = messages.read(place, index, &mut files)?;
    let (fields, body) = show(exec, &stored, Showing::Read).ok_or(CmsError::Failure)?;
    exec.line(format!("+CMGR: {fields}"));
    exec.lines.extend(body);
    note_read(exec, place, index, &stored)
}

/// TS 27.005 §3.4.3: an unread message is read by now.
fn note_read(exec: &mut Exec<'_>, place: Place, index: usize, stored: &Stored) -> Outcome {
    if stored.status == Status::Unread {
        let (messages, mut files) = exec.state.messages();
        messages.mark(place, index, Status::Read, &mut files)?;
    }
    Ok(())
}

/// `+CMGL=?`
pub(crate) fn test_cmgl(exec: &mut Exec<'_>) -> Outcome {
    exec.line(match exec.state.messages.text_mode {
        false => "+CMGL: (0-4)".to_owned(),
        true => {
            let names: Vec<String> = Status::ALL.iter().map(|status| quote(status.text())).collect();
            format!("+CMGL: ({},\"ALL\")", names.join(","))
        }
    });
    Ok(())
}

/// `+CMGL` alone: what is unread.
pub(crate) fn list_unread(exec: &mut Exec<'_>) -> Outcome {
    list_of(exec, Some(Status::Unread))
}

/// `+CMGL=<stat>` (TS 27.005 §3.4.2, §4.1).
pub(crate) fn list(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1).map_err(|_| WRONG)?;
    let wanted = match exec.state.messages.text_mode {
        false => match params.number(0).ok_or(WRONG)? {
            4 => None,
            number => Some(Status::from_number(number).ok_or(WRONG)?),
        },
        true => match params.quoted(0).and_then(|text| std::str::from_utf8(text).ok()).ok_or(WRONG)? {
            "ALL" => None,
            text => Some(Status::from_text(text).ok_or(WRONG)?),
        },
    };
    list_of(exec, wanted)
}

fn list_of(exec: &mut Exec<'_>, wanted: Option<Status>) -> Outcome {
    exec.state.messages_ready()?;
    let place = exec.state.messages.places[0];
    let (messages, mut files) = exec.state.messages();
    let all = messages.list(place, &mut files)?;
    for (index, stored) in all.iter().filter(|(_, stored)| wanted.is_none_or(|wanted| stored.status == wanted)) {
        // What no reader understands is left out of a list.
        let Some((fields, body)) = show(exec, stored, Showing::List) else { continue };
        exec.line(format!("+CMGL: {index},{fields}"));
        exec.lines.extend(body);
        note_read(exec, place, *index, stored)?;
    }
    Ok(())
}

/// `+CMGD=?`
pub(crate) fn test_cmgd(exec: &mut Exec<'_>) -> Outcome {
    exec.state.messages_ready()?;
    let place = exec.state.messages.places[0];
    let (messages, mut files) = exec.state.messages();
    let used: Vec<String> = messages.list(place, &mut files)?.iter().map(|(index, _)| index.to_string()).collect();
    exec.line(format!("+CMGD: ({}),(0-4)", used.join(",")));
    Ok(())
}

/// `+CMGD=<index>[,<delflag>]` (TS 27.005 §3.5.4).
pub(crate) fn delete(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2).map_err(|_| WRONG)?;
    exec.state.messages_ready()?;
    let flag = choice(params, 1, &[0, 1, 2, 3, 4], Some(0)).map_err(|_| WRONG)?;
    let place = exec.state.messages.places[0];
    if flag == 0 {
        let index = params.number(0).ok_or(WRONG)? as usize;
        let (messages, mut files) = exec.state.messages();
        return Ok(messages.delete(place, index, &mut files)?);
    }
    // TS 27.005 §3.5.4: read; read and sent; read, sent and unsent; all.
    let goes = |status: Status| match status {
        Status::Read => true,
        Status::Sent => flag >= 2,
        Status::Unsent => flag >= 3,
        Status::Unread => flag == 4,
    };
    let (messages, mut files) = exec.state.messages();
    for (index, stored) in messages.list(place, &mut files)? {
        if goes(stored.status) {
            messages.delete(place, index, &mut files)?;
        }
    }
    Ok(())
}
