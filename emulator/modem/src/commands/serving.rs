//! The cell that the modem is registered in: signal (TS 27.007 §8.5, §8.69), `+QNWINFO`, `+QENG="servingcell"`.
//!
//! Signal is what the network says is received: RSSI of GSM, RSCP of UMTS, RSRP of the others, in dBm.

use super::{Exec, INCORRECT, Outcome, at_most, name};
use crate::errors::CmeError;
use crate::network::{Serving, Technology};
use crate::parse::Params;

/// `+CSQ` (TS 27.007 §8.5): the received strength in steps of 2 dB from -113 dBm.
pub(super) fn signal(exec: &mut Exec<'_>) -> Outcome {
    let strength = exec.state.network.serving().map_or(99, |serving| {
        let rssi = match serving.technology {
            Technology::Gsm => serving.signal,
            Technology::Umts => serving.signal + 7,
            // One resource element's part of what the whole carrier has.
            _ => serving.signal + 22,
        };
        ((rssi + 113) / 2).clamp(0, 31)
    });
    exec.line(format!("+CSQ: {strength},99"));
    Ok(())
}

pub(super) const CESQ_TEST: &str = "+CESQ: (0-63,99),(0-7,99),(0-96,255),(0-49,255),(0-34,255),(0-97,255)";

/// `+CESQ` (TS 27.007 §8.69): RXLEV and BER of GSM, RSCP and Ec/No of UTRAN, RSRQ and RSRP of E-UTRAN.
pub(super) fn extended_signal(exec: &mut Exec<'_>) -> Outcome {
    let (mut level, mut code_power, mut ec_no, mut quality, mut power) = (99, 255, 255, 255, 255);
    if let Some(serving) = exec.state.network.serving() {
        match serving.technology {
            // 0 is below -110 dBm, 1 from there on.
            Technology::Gsm => level = (serving.signal + 111).clamp(0, 63),
            Technology::Umts => (code_power, ec_no) = ((serving.signal + 121).clamp(0, 96), 40),
            // 0 is below -140 dBm.
            technology if technology.is_evolved() => {
                (quality, power) = (20, (serving.signal + 141).clamp(0, 97));
            }
            _ => {}
        }
    }
    exec.line(format!("+CESQ: {level},99,{code_power},{ec_no},{quality},{power}"));
    Ok(())
}

/// What the maker calls an access, its band and its channel.
fn carrier(technology: Technology) -> (&'static str, &'static str, u32) {
    match technology {
        Technology::Gsm => ("EDGE", "GSM 900", 62),
        Technology::Umts => ("HSPA+", "WCDMA 2100", 10_700),
        Technology::Lte => ("FDD LTE", "LTE BAND 3", 1300),
        Technology::LteM => ("eMTC", "LTE BAND 3", 1300),
        Technology::NbIot => ("NBIoT", "LTE BAND 20", 6254),
        Technology::Nr => ("NR5G-SA", "NR5G BAND 78", 636_666),
    }
}

/// `+QNWINFO`
pub(super) fn network_information(exec: &mut Exec<'_>) -> Outcome {
    let line = match exec.state.network.serving() {
        Some(serving) => {
            let (access, band, channel) = carrier(serving.technology);
            format!("+QNWINFO: \"{access}\",\"{}\",\"{band}\",{channel}", serving.plmn)
        }
        None => "+QNWINFO: No Service".to_owned(),
    };
    exec.line(line);
    Ok(())
}

/// `+QENG="servingcell"`
pub(super) fn engineering(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    if name(params, 0)? != "SERVINGCELL" {
        return Err(INCORRECT);
    }
    let line = match exec.state.network.serving() {
        Some(serving) => format!("+QENG: \"servingcell\",\"NOCONN\",{}", cell(serving)),
        None if exec.state.functionality == 1 => "+QENG: \"servingcell\",\"SEARCH\"".to_owned(),
        None => return Err(CmeError::OperationNotAllowed.into()),
    };
    exec.line(line);
    Ok(())
}

/// The cell in the order of the manual. E-UTRAN: TDD or FDD, MCC, MNC, cell, physical cell, channel, band, two
/// bandwidths, area, RSRP, RSRQ, RSSI, SINR, CQI, power, level.
fn cell(serving: &Serving) -> String {
    let Serving { plmn, signal, identity, area, technology, .. } = serving;
    let (mcc, mnc) = plmn.split_at_checked(3).unwrap_or_default();
    let (_, _, channel) = carrier(*technology);
    match technology {
        Technology::Gsm => {
            let identity = identity & 0xFFFF;
            format!(
                "\"GSM\",{mcc},{mnc},{area:X},{identity:X},10,{channel},900,{signal},255,255,0,38,38,1,-,-,-,-,-,-,-,-,-,\"-\""
            )
        }
        Technology::Umts => format!("\"WCDMA\",{mcc},{mnc},{area:X},{identity:X},{channel},10,1,{signal},-5,-,-,-,-,-"),
        Technology::Nr => {
            format!("\"NR5G-SA\",\"TDD\",{mcc},{mnc},{identity:X},1,{area:X},{channel},78,12,{signal},-11,18,1,-")
        }
        technology => {
            let (access, band) = match technology {
                Technology::LteM => ("eMTC", 3),
                Technology::NbIot => ("NBIoT", 20),
                _ => ("LTE", 3),
            };
            let strength = signal + 30;
            format!(
                "\"{access}\",\"FDD\",{mcc},{mnc},{identity:X},1,{channel},{band},5,5,{area:X},{signal},-10,{strength},18,12,-,38"
            )
        }
    }
}
