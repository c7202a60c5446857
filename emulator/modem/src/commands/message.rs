//! Short messages for hosts (TS 27.005), in PDU mode and in text mode.

use rsp::ids::{from_hex, to_hex};

use super::{Exec, Next, Outcome, at_most, choice, single};
use crate::charset::Charset;
use crate::engine::MessageError;
use crate::errors::CmsError;
use crate::parse::{Params, quote};
use crate::prompt::{Format, LIMIT, Prompt, Purpose};
use crate::result::Failure;
use crate::settings::Settings;
use crate::sim::{ADF, Files};
use crate::sms::pdu::{self, Address, Message};
use crate::sms::{MessageService, Place, Status, StoreError, Stored};
use crate::state::State;

/// EF_SMSP (TS 31.102 §4.2.27).
const EF_SMSP: [u16; 2] = [ADF, 0x6F42];

impl From<StoreError> for CmsError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSuchMessage => CmsError::InvalidIndex,
            StoreError::Full => CmsError::MemoryFull,
            StoreError::Card(error) => error.into(),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::Cms(error.into())
    }
}

const WRONG: Failure = Failure::Cms(CmsError::InvalidText);

impl State {
    /// The message service, and the files of the card beside it.
    fn messages(&mut self) -> (&mut MessageService, Files<'_>) {
        let files = Files { uicc: &mut self.uicc, tap: &mut self.tap, usim: self.sim.usim.as_deref() };
        (&mut self.messages, files)
    }
}

// Settings.

/// `+CSMS?` (TS 27.005 §3.2.1).
pub(super) fn read_csms(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CSMS: {},1,1,1", exec.state.messages.service));
    Ok(())
}

pub(super) fn write_csms(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    exec.state.messages.service = single(params, &[0, 1])?;
    exec.line("+CSMS: 1,1,1");
    Ok(())
}

/// `+CMGF?` (TS 27.005 §3.2.3).
pub(super) fn read_cmgf(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CMGF: {}", u8::from(exec.state.messages.text_mode)));
    Ok(())
}

pub(super) fn write_cmgf(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    exec.state.messages.text_mode = choice(params, 0, &[0, 1], Some(0))? == 1;
    Ok(())
}

pub(super) const CPMS_TEST: &str = "+CPMS: (\"ME\",\"MT\",\"SM\",\"SR\"),(\"ME\",\"MT\",\"SM\"),(\"ME\",\"MT\",\"SM\")";

/// `+CPMS?` (TS 27.005 §3.2.2).
pub(super) fn read_cpms(exec: &mut Exec<'_>) -> Outcome {
    let parts = usage(exec, true)?;
    exec.line(format!("+CPMS: {}", parts.join(",")));
    Ok(())
}

/// `<used>,<total>` of the three stores, with their names or without.
fn usage(exec: &mut Exec<'_>, named: bool) -> Result<Vec<String>, Failure> {
    let places = exec.state.messages.places;
    if places.contains(&Place::Card) {
        exec.state.messages_ready()?;
    }
    let mut parts = Vec::new();
    for place in places {
        let (messages, mut files) = exec.state.messages();
        let (used, total) = messages.count(place, &mut files)?;
        parts.push(if named { format!("\"{}\",{used},{total}", place.name()) } else { format!("{used},{total}") });
    }
    Ok(parts)
}

pub(super) fn write_cpms(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 3)?;
    let mut places = exec.state.messages.places;
    if params.omitted(0) {
        return Err(WRONG);
    }
    for (index, place) in places.iter_mut().enumerate() {
        if !params.omitted(index) {
            let wanted = params.text(index).and_then(Place::parse);
            // TS 27.005 §3.2.2: status reports can be read, not written.
            *place = wanted.filter(|place| index == 0 || *place != Place::Reports).ok_or(WRONG)?;
        }
    }
    let before = std::mem::replace(&mut exec.state.messages.places, places);
    match usage(exec, false) {
        Ok(parts) => {
            exec.line(format!("+CPMS: {}", parts.join(",")));
            Ok(())
        }
        Err(failure) => {
            exec.state.messages.places = before;
            Err(failure)
        }
    }
}

/// The address of the service centre: that of the card when it has one. EF_SMSP ends in 28 bytes: indicators,
/// destination, service centre (12 bytes), protocol, coding, validity.
fn centre(state: &mut State) -> String {
    if state.messages_ready().is_ok()
        && let Ok(records) = state.files().read_records(&EF_SMSP, 1, 1)
        && let Some((_, record)) = records.first()
        && let Some((_, fields)) = record.split_last_chunk::<28>()
        && let [length @ 2..=11, kind, digits @ ..] = &fields[13..25]
    {
        let bytes = digits.get(..usize::from(*length) - 1).unwrap_or_default();
        let plus = if kind & 0x70 == 0x10 { "+" } else { "" };
        return format!("{plus}{}", pdu::from_semi_octets(bytes, bytes.len() * 2));
    }
    state.messages.centre.clone()
}

/// `+CSCA?` (TS 27.005 §3.3.1).
pub(super) fn read_csca(exec: &mut Exec<'_>) -> Outcome {
    let centre = centre(exec.state);
    let kind = if centre.starts_with('+') { pdu::INTERNATIONAL } else { pdu::UNKNOWN };
    let line = format!("+CSCA: {},{kind}", exec.text(&centre));
    exec.line(line);
    Ok(())
}

pub(super) fn write_csca(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    let kind = kind(params, 1)?;
    let number = params.text(0).and_then(|text| exec.settings.charset.decode(text)).ok_or(WRONG)?;
    let address = Address::parse(&number, kind).ok_or(WRONG)?;
    let bytes = pdu::centre(Some(&address));
    let state = &mut *exec.state;
    if state.messages_ready().is_ok()
        && let Ok(records) = state.files().read_records(&EF_SMSP, 1, 1)
        && let Some((_, record)) = records.first()
        && let Some(start) = record.len().checked_sub(28)
    {
        let mut record = record.clone();
        record[start + 13..start + 25].fill(0xFF);
        record[start + 13..start + 13 + bytes.len()].copy_from_slice(&bytes);
        // TS 31.102 §4.2.27: a cleared bit says that the field is there; bit 2 is that of the centre.
        record[start] &= !0x02;
        state.files().write_record(&EF_SMSP, 1, &record)?;
    }
    let digits = number.trim_start_matches('+');
    state.messages.centre = if address.kind & 0x70 == 0x10 { format!("+{digits}") } else { digits.to_owned() };
    Ok(())
}

/// `+CSMP?` (TS 27.005 §3.3.4).
pub(super) fn read_csmp(exec: &mut Exec<'_>) -> Outcome {
    let parameters = &exec.state.messages.parameters;
    let line = format!(
        "+CSMP: {},{},{},{}",
        parameters.first_octet, parameters.validity, parameters.protocol, parameters.coding
    );
    exec.line(line);
    Ok(())
}

pub(super) fn write_csmp(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 4)?;
    let mut new = exec.state.messages.parameters.clone();
    let fields = [&mut new.first_octet, &mut new.validity, &mut new.protocol, &mut new.coding];
    for (index, field) in fields.into_iter().enumerate() {
        if !params.omitted(index) {
            *field = params.number(index).and_then(|value| u8::try_from(value).ok()).ok_or(WRONG)?;
        }
    }
    // TS 23.040 §9.2.3.1: SMS-SUBMIT, with no validity period or a relative one, which is what a number can tell.
    if new.first_octet & 3 != 1 || new.first_octet & 0x08 != 0 {
        return Err(WRONG);
    }
    exec.state.messages.parameters = new;
    Ok(())
}

/// `+CSDH?` (TS 27.005 §3.3.3).
pub(super) fn read_csdh(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CSDH: {}", u8::from(exec.state.messages.details)));
    Ok(())
}

pub(super) fn write_csdh(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    exec.state.messages.details = choice(params, 0, &[0, 1], Some(0))? == 1;
    Ok(())
}

/// `+CMMS?` (TS 27.005 §3.5.6).
pub(super) fn read_cmms(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CMMS: {}", exec.state.messages.more));
    Ok(())
}

pub(super) fn write_cmms(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    exec.state.messages.more = single(params, &[0, 1, 2])?;
    Ok(())
}

/// `+CNMI?` (TS 27.005 §3.4.1).
pub(super) fn read_cnmi(exec: &mut Exec<'_>) -> Outcome {
    let [mode, mt, bm, ds, bfr] = exec.state.messages.indications;
    exec.line(format!("+CNMI: {mode},{mt},{bm},{ds},{bfr}"));
    Ok(())
}

pub(super) fn write_cnmi(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 5)?;
    let mut indications = exec.state.messages.indications;
    let allowed: [&[u32]; 5] = [&[0, 1, 2], &[0, 1, 2, 3], &[0], &[0, 1, 2], &[0, 1]];
    for (index, (indication, allowed)) in indications.iter_mut().zip(allowed).enumerate() {
        // TS 27.005 §3.4.1: what is left out is 0; hosts rely on it being kept in the middle.
        let default = if index == 0 { 0 } else { u32::from(*indication) };
        *indication = choice(params, index, allowed, Some(default)).map_err(|_| WRONG)? as u8;
    }
    exec.state.messages.indications = indications;
    Ok(())
}

/// The type of a number, when it is there.
fn kind(params: &Params, index: usize) -> Result<Option<u8>, Failure> {
    if params.omitted(index) {
        return Ok(None);
    }
    params.number(index).and_then(|kind| u8::try_from(kind).ok()).map(Some).ok_or(WRONG)
}

// Sending.

/// `+CMGS=<length>` or `+CMGS=<da>[,<toda>]` (TS 27.005 §3.5.1, §4.3).
pub(super) fn send(exec: &mut Exec<'_>, params: &Params) -> Outcome {
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
pub(super) fn write_plain(exec: &mut Exec<'_>) -> Outcome {
    write(exec, &Params::default())
}

/// `+CMGW=<length>[,<stat>]` or `+CMGW[=<oa/da>[,<tooa/toda>[,<stat>]]]` (TS 27.005 §3.5.3, §4.4).
pub(super) fn write(exec: &mut Exec<'_>, params: &Params) -> Outcome {
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
    // What text mode writes is a message to be sent.
    if text_mode && status.is_received() {
        return Err(WRONG);
    }
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
            let text = match settings.charset {
                // What a host calls GSM or IRA is often something more.
                Charset::Gsm | Charset::Ira => match String::from_utf8(prompt.text.clone()) {
                    Ok(text) if !text.is_ascii() => Some(text),
                    _ => settings.charset.decode(&prompt.text),
                },
                Charset::Ucs2 => settings.charset.decode(&prompt.text),
            };
            let text = text.ok_or(CmsError::InvalidText)?;
            let address = match number.is_empty() {
                true => Address { number: String::new(), kind: pdu::UNKNOWN },
                false => Address::parse(number, *kind).ok_or(CmsError::InvalidText)?,
            };
            let parameters = &state.messages.parameters;
            let message =
                Message::with_text(parameters.first_octet, address, parameters.protocol, parameters.coding, &text);
            let mut message = message.ok_or(CmsError::InvalidText)?;
            if parameters.first_octet & 0x10 != 0 {
                message.validity = vec![parameters.validity];
            }
            let mut pdu = pdu::centre(None);
            pdu.extend(message.encode_submit(0));
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
pub(super) fn send_stored(exec: &mut Exec<'_>, params: &Params) -> Outcome {
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

// Receiving.

/// A text message from outside.
pub(crate) fn incoming(from: &str, text: &str) -> Result<Message, MessageError> {
    let address = Address::parse(from, None).ok_or(MessageError::NoNumber)?;
    Message::with_text(0x00, address, 0, 0, text).ok_or(MessageError::TooLong)
}

/// A message arrives.
pub(crate) fn deliver(state: &mut State, message: &Message) {
    let stamp = pdu::stamp(state.clock(), state.options.zone);
    let address = Address::parse(&centre(state), None);
    let mut pdu = pdu::centre(address.as_ref());
    let octets = pdu.len();
    pdu.extend(message.encode_deliver(stamp));
    let [_, mt, ..] = state.messages.indications;
    let charset = state.options.charset;
    // TS 27.005 §3.4.1: 2 routes it to the host; 3 does so for class 3 only, which none of these is.
    if mt == 2 {
        let line = match state.messages.text_mode {
            false => format!("+CMT: ,{}\r\n{}", pdu.len() - octets, to_hex(&pdu)),
            true => format!(
                "+CMT: {},,{}\r\n{}",
                quote(&charset.encode(&message.address.number)),
                quote(&pdu::stamp_text(&stamp)),
                charset.encode(&message.text())
            ),
        };
        state.tell(line);
        return;
    }
    let place = state.messages.places[2];
    let (messages, mut files) = state.messages();
    let index = messages.add(place, Stored { status: Status::Unread, pdu }, &mut files);
    match index {
        Ok(index) if mt != 0 => state.tell(format!("+CMTI: \"{}\",{index}", place.name())),
        Ok(_) => {}
        // The service centre keeps it; nobody will ask again here.
        Err(_) => {
            if state.indicates("smsfull") {
                state.tell(format!("+QIND: \"smsfull\",\"{}\"", place.name()));
            }
        }
    }
}

/// A status report arrives.
fn report(state: &mut State, tpdu: &[u8]) {
    let [_, _, _, ds, _] = state.messages.indications;
    let mut pdu = pdu::centre(Address::parse(&centre(state), None).as_ref());
    pdu.extend_from_slice(tpdu);
    match ds {
        1 => state.tell(format!("+CDS: {}\r\n{}", tpdu.len(), to_hex(&pdu))),
        2 => {
            let (messages, mut files) = state.messages();
            if let Ok(index) = messages.add(Place::Reports, Stored { status: Status::Unread, pdu }, &mut files) {
                state.tell(format!("+CDSI: \"SR\",{index}"));
            }
        }
        _ => {}
    }
}

/// `+CNMA` (TS 27.005 §3.4.4): with `+CSMS=1` a message that was routed to the host is acknowledged.
pub(super) fn acknowledge(exec: &mut Exec<'_>) -> Outcome {
    if exec.state.messages.service == 1 { Ok(()) } else { Err(Failure::Cms(CmsError::NotAllowed)) }
}

pub(super) fn acknowledge_with(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    choice(params, 0, &[0, 1, 2], None)?;
    acknowledge(exec)
}

// Reading.

/// One message as it is shown: the fields behind the index, and the line below.
fn show(exec: &Exec<'_>, stored: &Stored) -> Option<(String, String)> {
    let (centre, tpdu) = pdu::split_centre(&stored.pdu)?;
    if !exec.state.messages.text_mode {
        return Some((format!("{},,{}", stored.status as u8, tpdu.len()), to_hex(&stored.pdu)));
    }
    let status = quote(stored.status.text());
    let details = exec.state.messages.details;
    if stored.status.is_received() {
        // TS 27.005 §3.4.3: a report has reference, address, two stamps and a status.
        let message = match Message::read_deliver(tpdu) {
            Some(message) => message,
            None => return Some((format!("{status},{},", tpdu.get(1)?), to_hex(tpdu))),
        };
        let stamp = message.stamp.map(|stamp| pdu::stamp_text(&stamp)).unwrap_or_default();
        let mut fields = format!("{status},{},,\"{stamp}\"", exec.text(&message.address.number));
        if details {
            fields += &extra(exec, &message, centre);
        }
        return Some((fields, exec.settings.charset.encode(&message.text())));
    }
    let message = Message::read_submit(tpdu)?;
    let mut fields = format!("{status},{},", exec.text(&message.address.number));
    if details {
        fields += &extra(exec, &message, centre);
    }
    Some((fields, exec.settings.charset.encode(&message.text())))
}

/// What `+CSDH=1` adds (TS 27.005 §3.4.3): type, first octet, protocol, coding, service centre, length.
fn extra(exec: &Exec<'_>, message: &Message, centre: &[u8]) -> String {
    let (number, kind) = match centre {
        [_, kind, digits @ ..] => {
            let plus = if kind & 0x70 == 0x10 { "+" } else { "" };
            (format!("{plus}{}", pdu::from_semi_octets(digits, digits.len() * 2)), *kind)
        }
        _ => (String::new(), pdu::UNKNOWN),
    };
    let validity = match message.validity[..] {
        [] => String::new(),
        _ => format!("{},", message.validity[0]),
    };
    format!(
        ",{},{},{},{},{validity}{},{kind},{}",
        message.address.kind,
        message.first_octet,
        message.protocol,
        message.scheme,
        exec.text(&number),
        message.length
    )
}

/// `+CMGR=<index>` (TS 27.005 §3.4.3, §4.2).
pub(super) fn read(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1).map_err(|_| WRONG)?;
    exec.state.messages_ready()?;
    let index = params.number(0).ok_or(WRONG)? as usize;
    let place = exec.state.messages.places[0];
    let (messages, mut files) = exec.state.messages();
    let stored = messages.read(place, index, &mut files)?;
    let (fields, body) = show(exec, &stored).ok_or(CmsError::Failure)?;
    exec.line(format!("+CMGR: {fields}"));
    exec.line(body);
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
pub(super) fn test_cmgl(exec: &mut Exec<'_>) -> Outcome {
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
pub(super) fn list_unread(exec: &mut Exec<'_>) -> Outcome {
    list_of(exec, Some(Status::Unread))
}

/// `+CMGL=<stat>` (TS 27.005 §3.4.2, §4.1).
pub(super) fn list(exec: &mut Exec<'_>, params: &Params) -> Outcome {
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
        let Some((fields, body)) = show(exec, stored) else { continue };
        exec.line(format!("+CMGL: {index},{fields}"));
        exec.line(body);
        note_read(exec, place, *index, stored)?;
    }
    Ok(())
}

/// `+CMGD=?`
pub(super) fn test_cmgd(exec: &mut Exec<'_>) -> Outcome {
    exec.state.messages_ready()?;
    let place = exec.state.messages.places[0];
    let (messages, mut files) = exec.state.messages();
    let used: Vec<String> = messages.list(place, &mut files)?.iter().map(|(index, _)| index.to_string()).collect();
    exec.line(format!("+CMGD: ({}),(0-4)", used.join(",")));
    Ok(())
}

/// `+CMGD=<index>[,<delflag>]` (TS 27.005 §3.5.4).
pub(super) fn delete(exec: &mut Exec<'_>, params: &Params) -> Outcome {
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
