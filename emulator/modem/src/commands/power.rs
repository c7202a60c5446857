//! Power saving: PSM (`+CPSMS` of TS 27.007 §7.38, `+QPSMS`) and eDRX (`+CEDRXS`, `+CEDRXRDP`, §7.40, §7.41), for
//! modules that have it. What is asked for goes to the network at once; what it gives is obeyed.

use super::{Exec, INCORRECT, Outcome, at_most, choice};
use crate::network::power::{AccessType, GrantedCycle};
use crate::network::timers::{ActiveTimer, Cycle, PeriodicTimer};
use crate::parse::Params;
use crate::result::Failure;
use crate::state::State;

/// A string of bits, in quotes or not, as hosts write it.
fn bits<T>(params: &Params, index: usize, parse: impl Fn(&str) -> Option<T>, default: T) -> Result<T, Failure> {
    if params.omitted(index) {
        return Ok(default);
    }
    params.text(index).and_then(|text| std::str::from_utf8(text).ok()).and_then(parse).ok_or(INCORRECT)
}

/// `+CPSMS?`: what the host asks for.
pub(super) fn read_cpsms(exec: &mut Exec<'_>) -> Outcome {
    let power = &exec.state.network.power;
    let (mode, periodic, active) = (u8::from(power.psm), power.periodic.bits(), power.active.bits());
    exec.line(format!("+CPSMS: {mode},,,\"{periodic}\",\"{active}\""));
    Ok(())
}

pub(super) const CPSMS_TEST: &str = "+CPSMS: (0-2),,,(\"00000000\"-\"11111111\"),(\"00000000\"-\"11111111\")";

/// `+CPSMS=[<mode>[,<RAU>[,<GPRS-READY>[,<Periodic-TAU>[,<Active-Time>]]]]]`, and `+QPSMS` alike: the two of GERAN are
/// taken and not used.
pub(super) fn write_psm(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 5)?;
    let mode = choice(params, 0, &[0, 1, 2], Some(0))?;
    for index in [1, 2] {
        bits(params, index, |text| PeriodicTimer::parse(text).map(drop), ())?;
    }
    let mut power = exec.state.network.power.clone();
    let usual = crate::network::power::Power::default();
    power.periodic = bits(params, 3, PeriodicTimer::parse, power.periodic)?;
    power.active = bits(params, 4, ActiveTimer::parse, power.active)?;
    power.psm = mode == 1;
    if mode == 2 {
        // TS 27.007 §7.38: off, and the wishes as they leave the factory.
        (power.periodic, power.active) = (usual.periodic, usual.active);
    }
    exec.state.network.power = power;
    exec.state.negotiate_power();
    Ok(())
}

/// `+QPSMS?`: what the network gives, in seconds.
pub(super) fn read_qpsms(exec: &mut Exec<'_>) -> Outcome {
    let power = &exec.state.network.power;
    let line = match power.granted.filter(|_| power.psm) {
        Some(granted) => {
            let seconds = |duration: Option<std::time::Duration>| duration.unwrap_or_default().as_secs();
            let (periodic, active) = (seconds(granted.periodic.duration()), seconds(granted.active.duration()));
            format!("+QPSMS: 1,,,\"{periodic}\",\"{active}\"")
        }
        None => format!("+QPSMS: {},,,,", u8::from(power.psm)),
    };
    exec.line(line);
    Ok(())
}

pub(super) const QPSMS_TEST: &str = "+QPSMS: (0-2),,,(\"00000000\"-\"11111111\"),(\"00000000\"-\"11111111\")";

/// `+CEDRXS?`: what the host asks for, by kind of access.
pub(super) fn read_cedrxs(exec: &mut Exec<'_>) -> Outcome {
    let cycles = exec.state.network.power.cycles;
    for (AccessType(access), cycle) in cycles {
        exec.line(format!("+CEDRXS: {access},\"{}\"", cycle.bits()));
    }
    Ok(())
}

pub(super) const CEDRXS_TEST: &str = "+CEDRXS: (0-3),(4,5),(\"0000\"-\"1111\")";

/// `+CEDRXS=[<mode>[,<AcT-type>[,<Requested_eDRX_value>]]]`
pub(super) fn write_cedrxs(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 3)?;
    let mode = choice(params, 0, &[0, 1, 2, 3], Some(0))?;
    let access = match params.omitted(1) {
        true => None,
        false => Some(AccessType(choice(params, 1, &[4, 5], None)? as u8)),
    };
    // TS 27.007 §7.40: a value is one of a kind of access.
    if access.is_none() && !params.omitted(2) {
        return Err(INCORRECT);
    }
    let power = &mut exec.state.network.power;
    let mut cycles = power.cycles;
    for (known, cycle) in &mut cycles {
        if access == Some(*known) {
            *cycle = bits(params, 2, Cycle::parse, *cycle)?;
        }
        if mode == 3 {
            *cycle = Cycle::USUAL;
        }
    }
    power.cycles = cycles;
    power.edrx = if mode == 3 { 0 } else { mode as u8 };
    exec.state.negotiate_power();
    exec.state.tell_cycle();
    Ok(())
}

impl State {
    /// `+CEDRXP: <AcT-type>[,<requested>[,<given>[,<window>]]]` (TS 27.007 §7.40), when it is asked for.
    fn tell_cycle(&mut self) {
        if let (2, Some(cycle)) = (self.network.power.edrx, self.network.power.cycle) {
            self.tell(format!("+CEDRXP: {}", parameters(&cycle)));
        }
    }
}

/// `<AcT-type>,<requested>,<given>,<window>`
fn parameters(GrantedCycle { access, requested, cycle, window, .. }: &GrantedCycle) -> String {
    format!("{},\"{}\",\"{}\",\"{}\"", access.0, requested.bits(), cycle.bits(), window.bits())
}

/// `+CEDRXRDP`: what holds in the cell that the modem is in; 0 when it does not use eDRX.
pub(super) fn read_cycle(exec: &mut Exec<'_>) -> Outcome {
    let line = match &exec.state.network.power.cycle {
        Some(cycle) => format!("+CEDRXRDP: {}", parameters(cycle)),
        None => "+CEDRXRDP: 0".to_owned(),
    };
    exec.line(line);
    Ok(())
}
