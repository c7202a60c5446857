//! How messages are handled, and where they are kept (TS 27.005 §3.2 to §3.4): AT+CSMS, +CMGF, +CPMS, +CSCA, +CSMP,
//! +CSDH, +CMMS, +CNMI.

use super::{EF_SMSP, WRONG, kind};
use crate::commands::{Exec, Outcome, at_most, choice, single};
use crate::parse::Params;
use crate::result::Failure;
use crate::sms::Place;
use crate::sms::pdu::{self, Address};
use crate::state::State;

/// `+CSMS?` (TS 27.005 §3.2.1).
pub(crate) fn read_csms(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CSMS: {},1,1,1", exec.state.messages.service));
    Ok(())
}

pub(crate) fn write_csms(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    exec.state.messages.service = single(params, &[0, 1])?;
    exec.line("+CSMS: 1,1,1");
    Ok(())
}

/// `+CMGF?` (TS 27.005 §3.2.3).
pub(crate) fn read_cmgf(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CMGF: {}", u8::from(exec.state.messages.text_mode)));
    Ok(())
}

pub(crate) fn write_cmgf(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    exec.state.messages.text_mode = choice(params, 0, &[0, 1], Some(0))? == 1;
    Ok(())
}

/// `+CMGF` alone is the default.
pub(crate) fn default_cmgf(exec: &mut Exec<'_>) -> Outcome {
    write_cmgf(exec, &Params::default())
}

pub(crate) const CPMS_TEST: &str = "+CPMS: (\"ME\",\"MT\",\"SM\",\"SR\"),(\"ME\",\"MT\",\"SM\"),(\"ME\",\"MT\",\"SM\")";

/// `+CPMS?` (TS 27.005 §3.2.2).
pub(crate) fn read_cpms(exec: &mut Exec<'_>) -> Outcome {
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

pub(crate) fn write_cpms(exec: &mut Exec<'_>, params: &Params) -> Outcome {
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
pub(crate) fn centre(state: &mut State) -> String {
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
pub(crate) fn read_csca(exec: &mut Exec<'_>) -> Outcome {
    let centre = centre(exec.state);
    let kind = if centre.starts_with('+') { pdu::INTERNATIONAL } else { pdu::UNKNOWN };
    let line = format!("+CSCA: {},{kind}", exec.text(&centre));
    exec.line(line);
    Ok(())
}

pub(crate) fn write_csca(exec: &mut Exec<'_>, params: &Params) -> Outcome {
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
pub(crate) fn read_csmp(exec: &mut Exec<'_>) -> Outcome {
    let parameters = &exec.state.messages.parameters;
    let line = format!(
        "+CSMP: {},{},{},{}",
        parameters.first_octet, parameters.validity, parameters.protocol, parameters.coding
    );
    exec.line(line);
    Ok(())
}

pub(crate) fn write_csmp(exec: &mut Exec<'_>, params: &Params) -> Outcome {
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
pub(crate) fn read_csdh(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CSDH: {}", u8::from(exec.state.messages.details)));
    Ok(())
}

pub(crate) fn write_csdh(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    exec.state.messages.details = choice(params, 0, &[0, 1], Some(0))? == 1;
    Ok(())
}

/// `+CMMS?` (TS 27.005 §3.5.6).
pub(crate) fn read_cmms(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CMMS: {}", exec.state.messages.more));
    Ok(())
}

pub(crate) fn write_cmms(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    exec.state.messages.more = single(params, &[0, 1, 2])?;
    Ok(())
}

/// `+CMMS` alone is the default.
pub(crate) fn default_cmms(exec: &mut Exec<'_>) -> Outcome {
    exec.state.messages.more = 0;
    Ok(())
}

/// `+CNMI?` (TS 27.005 §3.4.1).
pub(crate) fn read_cnmi(exec: &mut Exec<'_>) -> Outcome {
    let [mode, mt, bm, ds, bfr] = exec.state.messages.indications;
    exec.line(format!("+CNMI: {mode},{mt},{bm},{ds},{bfr}"));
    Ok(())
}

pub(crate) fn write_cnmi(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 5)?;
    let mut indications = exec.state.messages.indications;
    // bm 2 hands cell broadcasts on as they come: hosts ask for it, and no cell here broadcasts anything.
    let allowed: [&[u32]; 5] = [&[0, 1, 2], &[0, 1, 2, 3], &[0, 2], &[0, 1, 2], &[0, 1]];
    for (index, (indication, allowed)) in indications.iter_mut().zip(allowed).enumerate() {
        // TS 27.005 §3.4.1: what is left out is 0; hosts rely on it being kept in the middle.
        let default = if index == 0 { 0 } else { u32::from(*indication) };
        *indication = choice(params, index, allowed, Some(default)).map_err(|_| WRONG)? as u8;
    }
    exec.state.messages.indications = indications;
    Ok(())
}
