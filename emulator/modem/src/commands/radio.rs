//! The settings of AT+QCFG that are about the network, for the modules that have them (`[radio] settings`), and the
//! commands of u-blox for the same purposes.

use super::{Exec, INCORRECT, Outcome, at_most, choice};
use crate::parse::Params;
use crate::radio::RadioSetting;
use crate::result::Failure;

/// The lines of `AT+QCFG=?`.
pub(super) fn test(exec: &mut Exec<'_>) {
    for (setting, _) in exec.state.options.radio.clone() {
        let mut values: Vec<u32> = setting.values().to_vec();
        values.sort_unstable();
        let values: Vec<String> = values.iter().map(u32::to_string).collect();
        let effect = if has_effect(setting) { ",(0,1)" } else { "" };
        exec.line(format!("+QCFG: \"{}\",({}){effect}", setting.name(), values.join(",")));
    }
}

/// Whether `<effect>` can be told: 0 after a restart, 1 at once.
fn has_effect(setting: RadioSetting) -> bool {
    setting != RadioSetting::PsmEnter
}

/// `AT+QCFG=<name>[,<value>[,<effect>]]`; false when the module has no such setting. What is to take effect after a
/// restart takes effect at once here.
pub(super) fn write(exec: &mut Exec<'_>, params: &Params, wanted: &str) -> Result<bool, Failure> {
    let known = exec.state.options.radio.iter().position(|(setting, _)| setting.name() == wanted);
    let Some(place) = known else { return Ok(false) };
    let Some((setting, value)) = exec.state.options.radio.get(place).copied() else { return Ok(false) };
    at_most(params, if has_effect(setting) { 3 } else { 2 })?;
    if params.len() == 1 {
        exec.line(format!("+QCFG: \"{wanted}\",{value}"));
        return Ok(true);
    }
    let value = choice(params, 1, setting.values(), None)?;
    choice(params, 2, &[0, 1], Some(1))?;
    if let Some(entry) = exec.state.options.radio.get_mut(place) {
        entry.1 = value;
    }
    if setting == RadioSetting::PsmEnter {
        exec.state.network.power.enter = value == 1;
    }
    exec.state.update_network();
    Ok(true)
}

/// `+UCGDFLT?`: the access point of the initial EPS bearer.
pub(super) fn read_ucgdflt(exec: &mut Exec<'_>) -> Outcome {
    let (kind, apn) = exec.state.options.initial_bearer.clone();
    exec.line(format!("+UCGDFLT: \"{kind}\",\"{apn}\""));
    Ok(())
}

pub(super) const UCGDFLT_TEST: &str = "+UCGDFLT: (0,1),(\"IP\",\"IPV6\",\"IPV4V6\",\"NONIP\"),<APN>";

/// `+UCGDFLT=<nv>[,<PDP_type>[,<APN>]]`: 0 until a restart, 1 for good.
pub(super) fn write_ucgdflt(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 3)?;
    let is_saved = choice(params, 0, &[0, 1], None)? == 1;
    let text = |index| params.text(index).and_then(|text| std::str::from_utf8(text).ok());
    let (mut kind, mut apn) = exec.state.options.initial_bearer.clone();
    if !params.omitted(1) {
        let wanted = text(1).ok_or(INCORRECT)?.to_ascii_uppercase();
        kind = ["IP", "IPV6", "IPV4V6", "NONIP"].into_iter().find(|known| *known == wanted).ok_or(INCORRECT)?;
    }
    if !params.omitted(2) {
        // TS 23.003 §9.1: at most 100 octets.
        apn =
            text(2).filter(|apn| apn.len() <= 100 && apn.is_ascii() && !apn.contains('"')).ok_or(INCORRECT)?.to_owned();
    }
    if is_saved {
        exec.state.options.saved_bearer = (kind, apn.clone());
    }
    exec.state.options.initial_bearer = (kind, apn);
    Ok(())
}

/// The configurations of +UDCONF that are known here: 20 is what is done when a registration is refused. 0 stays, 1
/// goes on in the same access, 2 searches everywhere.
const SEARCH_AFTER_REFUSAL: u32 = 20;

pub(super) const UDCONF_TEST: &str = "+UDCONF: (20),(0-2)";

/// `+UDCONF=20[,<mode>]`
pub(super) fn write_udconf(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    choice(params, 0, &[SEARCH_AFTER_REFUSAL], None)?;
    if params.len() == 1 {
        let mode = exec.state.options.search_after_refusal;
        exec.line(format!("+UDCONF: {SEARCH_AFTER_REFUSAL},{mode}"));
        return Ok(());
    }
    exec.state.options.search_after_refusal = choice(params, 1, &[0, 1, 2], None)? as u8;
    exec.state.update_network();
    Ok(())
}
