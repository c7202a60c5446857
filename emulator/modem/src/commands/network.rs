//! The network for hosts: registration, selection, USSD (TS 27.007 §7).

use rsp::ids::{from_hex, to_hex};

use super::{Exec, INCORRECT, Outcome, at_most, choice, single};
use crate::errors::CmeError;
use crate::network::cause::MobilityCause;
use crate::network::plmn::{plmn_bytes, plmn_digits};
use crate::network::{Domain, Selection, Technology};
use crate::parse::{Params, quote};
use crate::result::Failure;
use crate::sim::ADF;

fn read(exec: &mut Exec<'_>, domain: Domain) -> Outcome {
    let network = &exec.state.network;
    let report = network.report(domain);
    let status = network.status(domain, report);
    exec.line(format!("{}: {report},{status}", domain.name()));
    Ok(())
}

fn write(exec: &mut Exec<'_>, params: &Params, domain: Domain) -> Outcome {
    at_most(params, 1)?;
    let report = choice(params, 0, exec.state.reports(domain), Some(0))?;
    exec.state.network.set_report(domain, report as u8);
    Ok(())
}

fn test(exec: &mut Exec<'_>, domain: Domain) -> Outcome {
    let values = if exec.state.reports(domain).contains(&4) { "0-2,4" } else { "0-2" };
    exec.line(format!("{}: ({values})", domain.name()));
    Ok(())
}

macro_rules! registration {
    ($($read:ident, $test:ident, $write:ident, $domain:ident, $doc:literal;)*) => {
        $(
            pub(super) fn $test(exec: &mut Exec<'_>) -> Outcome {
                test(exec, Domain::$domain)
            }

            #[doc = $doc]
            pub(super) fn $read(exec: &mut Exec<'_>) -> Outcome {
                read(exec, Domain::$domain)
            }

            pub(super) fn $write(exec: &mut Exec<'_>, params: &Params) -> Outcome {
                write(exec, params, Domain::$domain)
            }
        )*
    };
}

registration! {
    read_creg, test_creg, write_creg, Circuit, "`+CREG` (TS 27.007 §7.2).";
    read_cgreg, test_cgreg, write_cgreg, Packet, "`+CGREG` (TS 27.007 §10.1.20).";
    read_cereg, test_cereg, write_cereg, Evolved, "`+CEREG` (TS 27.007 §10.1.22).";
    read_c5greg, test_c5greg, write_c5greg, Fifth, "`+C5GREG` (TS 27.007 §10.1.47).";
}

/// `+COPS?` (TS 27.007 §7.3).
pub(super) fn read_cops(exec: &mut Exec<'_>) -> Outcome {
    let network = &exec.state.network;
    let mode = match network.selection {
        Selection::Automatic => 0,
        Selection::Manual(..) => 1,
        Selection::Deregistered => 2,
        Selection::Either(..) => 4,
    };
    let line = match network.serving() {
        None => format!("+COPS: {mode}"),
        Some(serving) => {
            let name = match network.format {
                0 => exec.text(&serving.name),
                1 => exec.text(&serving.short),
                _ => quote(&serving.plmn),
            };
            format!("+COPS: {mode},{},{name},{}", network.format, network.access(serving.technology))
        }
    };
    exec.line(line);
    Ok(())
}

/// `+COPS=?`: what a scan finds.
pub(super) fn test_cops(exec: &mut Exec<'_>) -> Outcome {
    exec.state.sim_ready()?;
    if exec.state.functionality != 1 {
        return Err(CmeError::NoNetwork.into());
    }
    let network = &exec.state.network;
    let found = network.scan(&exec.state.model.radio.technologies);
    let operators: String = found
        .iter()
        .map(|operator| {
            let (name, short) = (exec.text(&operator.name), exec.text(&operator.short));
            let access = network.access(operator.technology);
            format!("({},{name},{short},{},{access}),", operator.status, quote(&operator.plmn))
        })
        .collect();
    exec.line(format!("+COPS: {operators},(0-4),(0-2)"));
    Ok(())
}

/// The values of `<AcT>` (TS 27.007 §7.3) that a host may write, and what they mean.
const ACCESS: [(u32, &[Technology]); 9] = [
    (0, &[Technology::Gsm]),
    (2, &[Technology::Umts]),
    (7, &[Technology::Lte, Technology::LteM]),
    (8, &[Technology::LteM]),
    (9, &[Technology::NbIot]),
    (10, &[Technology::Lte]),
    (11, &[Technology::Nr]),
    (12, &[Technology::Nr]),
    (13, &[Technology::Lte]),
];

/// `+COPS=[<mode>[,<format>[,<oper>[,<AcT>]]]]`
pub(super) fn write_cops(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 4)?;
    let mode = choice(params, 0, &[0, 1, 2, 3, 4], Some(0))?;
    let format = choice(params, 1, &[0, 1, 2], Some(u32::from(exec.state.network.format)))? as u8;
    let own = &exec.state.model.radio.technologies;
    let technology = match params.omitted(3) {
        true => None,
        false => {
            let access = params.number(3).ok_or(INCORRECT)?;
            let (_, meant) = ACCESS.iter().find(|(known, _)| *known == access).ok_or(INCORRECT)?;
            meant.iter().find(|technology| own.contains(technology)).copied()
        }
    };
    if mode == 3 {
        // TS 27.007 §7.3: sets the format only.
        if params.omitted(1) || params.len() > 2 {
            return Err(INCORRECT);
        }
        exec.state.network.format = format;
        return Ok(());
    }
    let selection = match mode {
        1 | 4 => {
            let wanted = params.text(2).ok_or(INCORRECT)?;
            let operators = exec.state.network.scan(own);
            let plmn = match format {
                2 => std::str::from_utf8(wanted).ok().filter(|plmn| (5..=6).contains(&plmn.len())).map(str::to_owned),
                _ => {
                    let wanted = exec.settings.charset.decode(wanted).ok_or(INCORRECT)?;
                    let is_it = |name: &String| *name == wanted;
                    let found = operators.iter().find(|operator| is_it(&operator.name) || is_it(&operator.short));
                    found.map(|operator| operator.plmn.clone())
                }
            };
            let plmn = plmn.filter(|plmn| plmn.bytes().all(|byte| byte.is_ascii_digit())).ok_or(INCORRECT)?;
            if mode == 1 { Selection::Manual(plmn, technology) } else { Selection::Either(plmn, technology) }
        }
        _ if !params.omitted(2) => return Err(INCORRECT),
        2 => Selection::Deregistered,
        _ => Selection::Automatic,
    };
    let wants_service = selection != Selection::Deregistered;
    exec.state.network.select(selection);
    exec.state.update_network();
    if !wants_service || exec.state.sim_ready().is_err() || exec.state.functionality != 1 {
        return Ok(());
    }
    if exec.state.network.is_registered() {
        return Ok(());
    }
    match exec.state.network.refused() {
        // TS 27.007 §9.2.1: emergency calls are all that such a network gives.
        Some(cause) => {
            exec.state.options.last_cause = cause.text();
            Err(CmeError::EmergencyOnly.into())
        }
        None if mode == 0 => Ok(()),
        None => {
            exec.state.options.last_cause = MobilityCause::NoSuitableCells.text();
            Err(CmeError::NoNetwork.into())
        }
    }
}

/// `+WS46?` (TS 27.007 §5.9).
pub(super) fn read_ws46(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+WS46: {}", exec.state.options.network_kind));
    Ok(())
}

pub(super) fn write_ws46(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    exec.state.options.network_kind = single(params, &[22, 28, 30, 31])?;
    exec.state.update_network();
    Ok(())
}

/// EF_PLMNwAcT (TS 31.102 §4.2.5): five bytes each.
const PREFERRED: [u16; 2] = [ADF, 0x6F60];

/// `+CPOL=?` (TS 27.007 §7.19).
pub(super) fn test_cpol(exec: &mut Exec<'_>) -> Outcome {
    exec.state.sim_ready()?;
    let count = exec.state.files().read(&PREFERRED)?.len() / 5;
    exec.line(format!("+CPOL: (1-{count}),(0-2)"));
    Ok(())
}

/// `+CPOL?`: the preferred networks of the card.
pub(super) fn read_cpol(exec: &mut Exec<'_>) -> Outcome {
    exec.state.sim_ready()?;
    let content = exec.state.files().read(&PREFERRED)?;
    let entries = content.as_chunks::<5>().0;
    for (index, [a, b, c, high, low]) in entries.iter().enumerate() {
        let Some(plmn) = plmn_digits([*a, *b, *c]) else { continue };
        let technology = u16::from_be_bytes([*high, *low]);
        let has = |bit: u16| u8::from(technology & bit != 0);
        // TS 31.102 §4.2.5: GSM, GSM compact, UTRAN, E-UTRAN.
        exec.line(format!(
            "+CPOL: {},2,\"{plmn}\",{},{},{},{}",
            index + 1,
            has(0x0080),
            has(0x0040),
            has(0x8000),
            has(0x4000)
        ));
    }
    Ok(())
}

/// `+CPOL=<index>[,<format>[,<oper>[,<GSM_AcT>,<GSM_Compact_AcT>,<UTRAN_AcT>,<E-UTRAN_AcT>]]]`, or `,<format>`.
pub(super) fn write_cpol(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 7)?;
    // Names of networks are not known here: only the numeric format is.
    if params.omitted(0) {
        exec.state.options.preferred_format = choice(params, 1, &[0, 1, 2], None)? as u8;
        return if params.len() > 2 { Err(INCORRECT) } else { Ok(()) };
    }
    exec.state.sim_ready()?;
    let index = params.number(0).ok_or(INCORRECT)? as usize;
    let count = exec.state.files().read(&PREFERRED)?.len() / 5;
    if !(1..=count).contains(&index) {
        return Err(CmeError::InvalidIndex.into());
    }
    let entry = if params.len() == 1 {
        [0xFF, 0xFF, 0xFF, 0x00, 0x00]
    } else {
        choice(params, 1, &[2], Some(exec.state.options.preferred_format.into()))?;
        let plmn = params.quoted(2).and_then(plmn_bytes).ok_or(INCORRECT)?;
        let mut technology = 0u16;
        for (place, bit) in [0x0080, 0x0040, 0x8000, 0x4000].into_iter().enumerate() {
            if choice(params, 3 + place, &[0, 1], Some(u32::from(bit == 0x4000)))? == 1 {
                technology |= bit;
            }
        }
        let [high, low] = technology.to_be_bytes();
        [plmn[0], plmn[1], plmn[2], high, low]
    };
    exec.state.files().write(&PREFERRED, (index as u16 - 1) * 5, &entry)?;
    Ok(())
}

/// `+CUSD?` (TS 27.007 §7.15).
pub(super) fn read_cusd(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CUSD: {}", exec.state.options.ussd));
    Ok(())
}

/// Whether a cell broadcast data coding scheme is one of 8-bit data or UCS2 (TS 23.038 §5).
fn is_in_octets(coding: u32) -> bool {
    match coding {
        0x11 => true,
        0x40..=0x7F | 0x90..=0x9F => matches!(coding >> 2 & 3, 1 | 2),
        0xF0..=0xFF => coding & 4 != 0,
        _ => false,
    }
}

/// `+CUSD=[<n>[,<str>[,<dcs>]]]`: the network answers with what it was asked, and nothing more is wanted.
pub(super) fn write_cusd(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 3)?;
    let report = choice(params, 0, &[0, 1, 2], Some(0))? as u8;
    let coding = match params.omitted(2) {
        true => 15,
        false => params.number(2).filter(|coding| *coding <= 255).ok_or(INCORRECT)?,
    };
    if params.omitted(1) {
        exec.state.options.ussd = if report == 2 { exec.state.options.ussd } else { report };
        return Ok(());
    }
    let asked = params.text(1).ok_or(INCORRECT)?;
    // TS 27.007 §7.15: octets come in hexadecimal digits, whatever +CSCS says. TS 24.090: there are 160 at most, which
    // are 182 septets.
    let answer = if is_in_octets(coding) {
        let octets = from_hex(asked).filter(|octets| (1..=160).contains(&octets.len())).ok_or(INCORRECT)?;
        quote(&to_hex(&octets))
    } else {
        let text = exec.settings.charset.decode(asked).ok_or(INCORRECT)?;
        if text.is_empty() || text.chars().count() > 182 {
            return Err(INCORRECT);
        }
        exec.text(&text)
    };
    exec.state.sim_ready()?;
    if !exec.state.network.is_registered() {
        return Err(Failure::Cme(CmeError::NoNetwork));
    }
    exec.state.options.ussd = report;
    if report == 1 {
        exec.state.tell(format!("+CUSD: 0,{answer},{coding}"));
    }
    Ok(())
}
