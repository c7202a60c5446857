//! Identity, error reporting, functionality, clock, and what the modem reads from the card for itself.

use rsp::Iccid;

use super::{Exec, INCORRECT, Next, Outcome, at_most, choice, name, single};
use crate::calendar::Calendar;
use crate::charset::Charset;
use crate::errors::CmeError;
use crate::parse::Params;
use crate::sim::{ADF, imsi_digits};

/// `I` (V.250 §6.1.3), with the lines of the maker.
pub(super) fn identify(exec: &mut Exec<'_>, _: u32) -> Outcome {
    let identity = &exec.state.model.identity;
    exec.lines = match identity.ati.is_empty() {
        true => {
            vec![identity.manufacturer.clone(), identity.model.clone(), format!("Revision: {}", identity.revision)]
        }
        false => identity.ati.clone(),
    };
    Ok(())
}

/// `+CGMI` (TS 27.007 §5.1).
pub(super) fn manufacturer(exec: &mut Exec<'_>) -> Outcome {
    exec.line(exec.state.model.identity.manufacturer.clone());
    Ok(())
}

/// `+CGMM` (TS 27.007 §5.2).
pub(super) fn model(exec: &mut Exec<'_>) -> Outcome {
    exec.line(exec.state.model.identity.model.clone());
    Ok(())
}

/// `+CGMR` (TS 27.007 §5.3).
pub(super) fn revision(exec: &mut Exec<'_>) -> Outcome {
    exec.line(exec.state.model.identity.revision.clone());
    Ok(())
}

/// `+QGMR`: the revision with that of the application firmware.
pub(super) fn firmware(exec: &mut Exec<'_>) -> Outcome {
    let identity = &exec.state.model.identity;
    exec.line(identity.firmware.clone().unwrap_or_else(|| format!("{}_01.001.01.001", identity.revision)));
    Ok(())
}

/// `+GCAP` (V.250 §6.1.9).
pub(super) fn capabilities(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+GCAP: {}", exec.state.model.identity.capabilities));
    Ok(())
}

/// `+CGSN` (TS 27.007 §5.4).
pub(super) fn imei(exec: &mut Exec<'_>) -> Outcome {
    exec.line(exec.state.model.identity.imei.as_str().to_owned());
    Ok(())
}

/// `+CGSN=<snt>`: 0 the serial number, 1 the IMEI, 2 the IMEISV, 3 its last two digits.
pub(super) fn serial(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let imei = exec.state.model.identity.imei.as_str().to_owned();
    let line = match single(params, &[0, 1, 2, 3])? {
        0 => imei,
        1 => format!("+CGSN: \"{imei}\""),
        // TS 23.003 §6.2.2: the check digit gives way to the software version.
        2 => format!("+CGSN: \"{}01\"", imei.get(..14).unwrap_or_default()),
        _ => "+CGSN: \"01\"".to_owned(),
    };
    exec.line(line);
    Ok(())
}

/// `+CSCS?` (TS 27.007 §5.5).
pub(super) fn read_cscs(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CSCS: \"{}\"", exec.settings.charset.name()));
    Ok(())
}

pub(super) fn write_cscs(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    let wanted = name(params, 0)?;
    exec.settings.charset = Charset::named(wanted.as_bytes()).ok_or(INCORRECT)?;
    exec.state.options.charset = exec.settings.charset;
    Ok(())
}

/// `+CMEE?` (TS 27.007 §9.1).
pub(super) fn read_cmee(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CMEE: {}", exec.settings.cmee));
    Ok(())
}

/// `+CMEE=[<n>]`
pub(super) fn write_cmee(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    exec.settings.cmee = choice(params, 0, &[0, 1, 2], Some(0))? as u8;
    Ok(())
}

/// `+CEER` (TS 27.007 §6.10): why the last call or registration failed.
pub(super) fn cause(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CEER: {}", exec.state.options.last_cause));
    Ok(())
}

/// `+CFUN?` (TS 27.007 §8.2).
pub(super) fn read_cfun(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CFUN: {}", exec.state.functionality));
    Ok(())
}

/// `+CFUN=[<fun>[,<rst>]]`
pub(super) fn write_cfun(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    let functionality = choice(params, 0, &[0, 1, 4], Some(1))?;
    let restart = choice(params, 1, &[0, 1], Some(0))? == 1;
    // A restart brings full functionality back: it can be asked for with that only.
    if restart && functionality != 1 {
        return Err(INCORRECT);
    }
    let before = std::mem::replace(&mut exec.state.functionality, functionality);
    if restart {
        exec.next = Next::Restart;
    } else if functionality == 0 {
        // The minimum leaves the card without power (TS 27.007 §8.2).
        exec.state.stop_card();
    } else if before == 0 {
        exec.state.start_card();
    } else {
        exec.state.update_network();
    }
    Ok(())
}

/// `+CPAS` (TS 27.007 §8.1): ready. There is no call that it could tell.
pub(super) fn activity(exec: &mut Exec<'_>) -> Outcome {
    exec.line("+CPAS: 0");
    Ok(())
}

pub(super) const CIND_TEST: &str = "+CIND: (\"battchg\",(0-5)),(\"signal\",(0-5)),(\"service\",(0,1)),(\"call\",(0,1)),(\"roam\",(0,1)),(\"smsfull\",(0,1))";

/// `+CIND?` (TS 27.007 §8.9).
pub(super) fn read_cind(exec: &mut Exec<'_>) -> Outcome {
    let service = exec.state.network.is_registered();
    let place = exec.state.messages.places[0];
    let state = &mut *exec.state;
    let mut files = crate::sim::Files { uicc: &mut state.uicc, tap: &mut state.tap, usim: state.sim.usim.as_deref() };
    let full = state.messages.count(place, &mut files).is_ok_and(|(used, total)| total > 0 && used >= total);
    let signal = if service { 4 } else { 0 };
    let roam = u8::from(exec.state.network.is_roaming());
    exec.line(format!("+CIND: 5,{signal},{},0,{roam},{}", u8::from(service), u8::from(full)));
    Ok(())
}

/// `+CCLK?` (TS 27.007 §8.15).
pub(super) fn read_clock(exec: &mut Exec<'_>) -> Outcome {
    let zone = exec.state.options.zone;
    let time = Calendar::from_unix(exec.state.clock().saturating_add(i64::from(zone) * 900));
    let Calendar { year, month, day, hour, minute, second } = time;
    let (year, sign, quarters) = (year.rem_euclid(100), if zone < 0 { '-' } else { '+' }, zone.unsigned_abs());
    exec.line(format!("+CCLK: \"{year:02}/{month:02}/{day:02},{hour:02}:{minute:02}:{second:02}{sign}{quarters:02}\""));
    Ok(())
}

/// `+CCLK="yy/MM/dd,hh:mm:ss±zz"`
pub(super) fn write_clock(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    let text = params.quoted(0).and_then(|text| std::str::from_utf8(text).ok()).ok_or(INCORRECT)?;
    let (seconds, zone) = parse_clock(text).ok_or(INCORRECT)?;
    let options = &mut exec.state.options;
    options.zone = zone.unwrap_or(options.zone);
    let utc = seconds.saturating_sub(i64::from(options.zone) * 900);
    let ahead = exec.state.clock();
    exec.state.options.clock_ahead = exec.state.options.clock_ahead.saturating_add(utc.saturating_sub(ahead));
    Ok(())
}

fn parse_clock(text: &str) -> Option<(i64, Option<i8>)> {
    let bytes = text.as_bytes();
    let (time, zone) = bytes.split_at_checked(17)?;
    let two = |at: usize| {
        let digits = time.get(at..at + 2)?;
        digits.iter().all(u8::is_ascii_digit).then(|| u32::from(digits[0] - b'0') * 10 + u32::from(digits[1] - b'0'))
    };
    for (at, sign) in [(2, b'/'), (5, b'/'), (8, b','), (11, b':'), (14, b':')] {
        if time.get(at) != Some(&sign) {
            return None;
        }
    }
    let calendar = Calendar {
        year: 2000 + i64::from(two(0)?),
        month: two(3)?,
        day: two(6)?,
        hour: two(9)?,
        minute: two(12)?,
        second: two(15)?,
    };
    let zone = match zone {
        [] => None,
        [sign @ (b'+' | b'-'), high @ b'0'..=b'9', low @ b'0'..=b'9'] => {
            let quarters = ((high - b'0') * 10 + (low - b'0')) as i8;
            // TS 27.007 §8.15: -96 to +96.
            if quarters > 96 {
                return None;
            }
            Some(if *sign == b'-' { -quarters } else { quarters })
        }
        _ => return None,
    };
    Some((calendar.to_unix()?, zone))
}

/// `+CTZU?` (TS 27.007 §8.40).
pub(super) fn read_zone_update(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CTZU: {}", exec.state.options.zone_update));
    Ok(())
}

pub(super) fn write_zone_update(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    exec.state.options.zone_update = single(params, &[0, 1, 3])?;
    Ok(())
}

/// `+CTZR?` (TS 27.007 §8.41).
pub(super) fn read_zone_report(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CTZR: {}", exec.state.options.zone_report));
    Ok(())
}

pub(super) fn write_zone_report(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    exec.state.options.zone_report = single(params, &[0, 1, 2])?;
    Ok(())
}

/// `+CIMI` (TS 27.007 §5.6): EF_IMSI of the USIM.
pub(super) fn imsi(exec: &mut Exec<'_>) -> Outcome {
    exec.state.sim_ready()?;
    let content = exec.state.files().read(&[ADF, 0x6F07])?;
    exec.line(imsi_digits(&content).ok_or(CmeError::SimFailure)?);
    Ok(())
}

/// `+QCCID`: EF_ICCID with its padding.
pub(super) fn iccid(exec: &mut Exec<'_>) -> Outcome {
    exec.state.card_access()?;
    let content = exec.state.files().read(&[0x3F00, 0x2FE2])?;
    let iccid = Iccid::from_bytes(&content).map_err(|_| CmeError::SimFailure)?;
    exec.line(format!("+QCCID: {}", iccid.padded()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        // By `date -u -d '2026-11-20 10:31:45' +%s`.
        assert_eq!(parse_clock("26/11/20,10:31:45+08"), Some((1_795_170_705, Some(8))));
        assert_eq!(parse_clock("26/11/20,10:31:45"), Some((1_795_170_705, None)));
        for wrong in [
            "",
            "26/11/20,10:31",
            "26/13/20,10:31:45",
            "26/11/31,10:31:45",
            "26-11-20,10:31:45",
            "26/11/20,10:31:45+99",
            "26/11/20,10:31:45+8",
            "ab/11/20,10:31:45",
        ] {
            assert_eq!(parse_clock(wrong), None, "{wrong}");
        }
    }
}
