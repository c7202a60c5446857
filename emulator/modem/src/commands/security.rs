//! PINs and locks: AT+CPIN, AT+CLCK, AT+CPWD, AT+CPINR (TS 27.007 §8.3, §7.4, §7.5, §8.65), AT+QPINC.

use super::{Exec, INCORRECT, Outcome, at_most, choice, name};
use crate::card::CardError;
use crate::errors::CmeError;
use crate::parse::Params;
use crate::result::Failure;
use crate::sim::{SimState, is_pin_enabled};
use crate::state::State;

/// Key references (TS 102 221 §9.5.1).
const PIN1: u8 = 0x01;
const PIN2: u8 = 0x81;

const VERIFY: u8 = 0x20;
const CHANGE: u8 = 0x24;
const DISABLE: u8 = 0x26;
const ENABLE: u8 = 0x28;
const UNBLOCK: u8 = 0x2C;

/// `+CPIN?`
pub(super) fn read_cpin(exec: &mut Exec<'_>) -> Outcome {
    exec.state.card_access()?;
    exec.state.note_pin_state();
    let state = match exec.state.sim.state {
        SimState::Ready => "READY",
        SimState::Pin => "SIM PIN",
        SimState::Puk => "SIM PUK",
        // RG50xQ & RM5xxQ Series AT Commands Manual, example of AT+CFUN: a card without power has failed, too.
        SimState::Absent | SimState::Failure => return Err(CmeError::SimFailure.into()),
    };
    exec.line(format!("+CPIN: {state}"));
    Ok(())
}

/// `+CPIN=<pin>[,<newpin>]`: the PIN that is asked for, or the PUK and a new PIN.
pub(super) fn write_cpin(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    exec.state.card_access()?;
    let first = pin(params, 0)?;
    let state = exec.state.sim.state;
    match (state, params.omitted(1)) {
        (SimState::Pin, true) => exec.state.pin_command(VERIFY, PIN1, &first)?,
        // TS 27.007 §8.3: the PUK goes with a new PIN.
        (SimState::Puk, false) => {
            let new = pin(params, 1)?;
            exec.state.pin_command(UNBLOCK, PIN1, &[first, new].concat())?;
        }
        (SimState::Pin | SimState::Puk, _) => return Err(INCORRECT),
        // TS 27.007 §8.3: no PIN is asked for.
        (SimState::Ready, _) => return Err(CmeError::OperationNotAllowed.into()),
        (SimState::Absent | SimState::Failure, _) => return Err(CmeError::SimFailure.into()),
    }
    exec.state.note_pin_state();
    Ok(())
}

/// `+CLCK=<fac>,<mode>[,<passwd>[,<class>]]`
pub(super) fn write_clck(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 4)?;
    let facility = name(params, 0)?;
    let mode = choice(params, 1, &[0, 1, 2], None)?;
    match (facility.as_str(), mode) {
        ("SC", 2) => {
            exec.state.card_access()?;
            let enabled = exec.state.is_pin_enabled()?;
            exec.line(format!("+CLCK: {}", u8::from(enabled)));
        }
        ("SC", _) => {
            exec.state.card_access()?;
            let pin = pin(params, 2)?;
            let instruction = if mode == 1 { ENABLE } else { DISABLE };
            match exec.state.is_pin_enabled() {
                // It is as it should be: the card would refuse.
                Ok(enabled) if enabled == (mode == 1) => {}
                _ => exec.state.pin_command(instruction, PIN1, &pin)?,
            }
            exec.state.note_pin_state();
        }
        // Nothing locks this module to a network, a group of them, a provider, a company or a card.
        ("PN" | "PU" | "PP" | "PC" | "PF", 2) => exec.line("+CLCK: 0"),
        ("PN" | "PU" | "PP" | "PC" | "PF", _) => return Err(CmeError::OperationNotAllowed.into()),
        _ => return Err(INCORRECT),
    }
    Ok(())
}

/// `+CPWD=<fac>,<oldpwd>,<newpwd>`
pub(super) fn write_cpwd(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 3)?;
    let key = match name(params, 0)?.as_str() {
        "SC" => PIN1,
        "P2" => PIN2,
        _ => return Err(INCORRECT),
    };
    exec.state.card_access()?;
    let (old, new) = (pin(params, 1)?, pin(params, 2)?);
    exec.state.pin_command(CHANGE, key, &[old, new].concat())
}

/// What has a counter, with the names in AT+CPINR and AT+QPINC.
const COUNTERS: [(&str, &str, u8, u8); 4] = [
    ("SIM PIN", "SC", VERIFY, PIN1),
    ("SIM PUK", "SC", UNBLOCK, PIN1),
    ("SIM PIN2", "P2", VERIFY, PIN2),
    ("SIM PUK2", "P2", UNBLOCK, PIN2),
];

/// How often a PIN and a PUK may be tried (TS 31.101 §9.5).
const TRIES: [u8; 2] = [3, 10];

fn default_tries(instruction: u8) -> u8 {
    if instruction == VERIFY { TRIES[0] } else { TRIES[1] }
}

/// `+CPINR`
pub(super) fn cpinr(exec: &mut Exec<'_>) -> Outcome {
    counters(exec, |_| true)
}

/// `+CPINR=<sel_code>`
pub(super) fn write_cpinr(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    let code = name(params, 0)?;
    // TS 27.007 §8.65: an asterisk at the end stands for all that begin so.
    match code.strip_suffix('*') {
        Some(start) => counters(exec, |known| known.starts_with(start)),
        None if COUNTERS.iter().any(|(known, ..)| *known == code) => counters(exec, |known| known == code),
        None => Err(INCORRECT),
    }
}

fn counters(exec: &mut Exec<'_>, wanted: impl Fn(&str) -> bool) -> Outcome {
    exec.state.card_access()?;
    for (code, _, instruction, key) in COUNTERS {
        if wanted(code) {
            let left = exec.state.tries(instruction, key)?;
            exec.line(format!("+CPINR: {code},{left},{}", default_tries(instruction)));
        }
    }
    Ok(())
}

/// `+QPINC?`
pub(super) fn read_qpinc(exec: &mut Exec<'_>) -> Outcome {
    for facility in ["SC", "P2"] {
        qpinc(exec, facility)?;
    }
    Ok(())
}

/// `+QPINC=<facility>`
pub(super) fn write_qpinc(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    let facility = name(params, 0)?;
    if !COUNTERS.iter().any(|(_, known, ..)| *known == facility) {
        return Err(INCORRECT);
    }
    qpinc(exec, &facility)
}

fn qpinc(exec: &mut Exec<'_>, facility: &str) -> Outcome {
    exec.state.card_access()?;
    let key = if facility == "SC" { PIN1 } else { PIN2 };
    let (pin, puk) = (exec.state.tries(VERIFY, key)?, exec.state.tries(UNBLOCK, key)?);
    exec.line(format!("+QPINC: \"{facility}\",{pin},{puk}"));
    Ok(())
}

/// A PIN of 4 to 8 digits, filled up with FF (TS 102 221 §9.5.1).
fn pin(params: &Params, index: usize) -> Result<Vec<u8>, Failure> {
    let text = params.text(index).ok_or(INCORRECT)?;
    if !(4..=8).contains(&text.len()) || !text.iter().all(u8::is_ascii_digit) {
        return Err(INCORRECT);
    }
    let mut pin = text.to_vec();
    pin.resize(8, 0xFF);
    Ok(pin)
}

impl State {
    /// Asks the card for the state of PIN1, and follows when it has changed: by a command, or by a host through
    /// AT+CSIM.
    pub(crate) fn note_pin_state(&mut self) {
        if !self.uicc.is_powered() {
            return;
        }
        let before = self.sim.state;
        self.sim.refresh_state(&mut self.uicc, &mut self.tap);
        if self.sim.state != before {
            self.announce_card();
            self.update_network();
        }
    }

    /// One command on a PIN, on the basic channel, where the USIM is selected.
    fn pin_command(&mut self, instruction: u8, key: u8, data: &[u8]) -> Outcome {
        let mut apdu = vec![0x00, instruction, 0x00, key, data.len() as u8];
        apdu.extend_from_slice(data);
        let answer = self.uicc.exchange(0, &apdu, &mut self.tap)?;
        let puk = if key == PIN1 { CmeError::SimPukRequired } else { CmeError::SimPuk2Required };
        match answer.status {
            0x9000..=0x91FF => Ok(()),
            // TS 102 221 §10.2.1.7: tries that are left, or blocked.
            0x63C1..=0x63CF => Err(CmeError::IncorrectPassword.into()),
            0x63C0 | 0x6983 if instruction != UNBLOCK => {
                self.note_pin_state();
                Err(puk.into())
            }
            0x63C0 | 0x6983 => Err(CmeError::SimFailure.into()),
            0x6984 => Err(CmeError::OperationNotAllowed.into()),
            other => Err(CardError::Status(other).into()),
        }
    }

    /// How many tries are left: an empty VERIFY or UNBLOCK asks for it (TS 102 221 §11.1.9.1.2, §11.1.13.1.2).
    fn tries(&mut self, instruction: u8, key: u8) -> Result<u8, Failure> {
        let answer = self.uicc.exchange(0, &[0x00, instruction, 0x00, key, 0x00], &mut self.tap)?;
        match answer.status {
            0x63C0..=0x63CF => Ok((answer.status & 0x0F) as u8),
            0x6983 => Ok(0),
            // Verified or disabled: all tries are left.
            0x9000..=0x91FF | 0x6984 => Ok(default_tries(instruction)),
            other => Err(CardError::Status(other).into()),
        }
    }

    /// Whether PIN1 is enabled: the FCP of the USIM tells it (TS 102 221 §11.1.1.4.10).
    fn is_pin_enabled(&mut self) -> Result<bool, Failure> {
        let usim = self.sim.usim.clone().ok_or(CmeError::SimFailure)?;
        let told = self
            .uicc
            .on_some_channel(None, &mut self.tap, |uicc, channel, tap| is_pin_enabled(&usim, channel, uicc, tap))?;
        match told {
            Some(enabled) => Ok(enabled),
            // A card that does not tell: READY without a PIN having been given means that none is asked for.
            None => Ok(matches!(self.sim.state, SimState::Pin | SimState::Puk)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_filled_up() {
        let params = |text: &str| Params(vec![crate::parse::Param::Quoted(text.as_bytes().to_vec())]);
        assert_eq!(pin(&params("1234"), 0), Ok(b"1234\xFF\xFF\xFF\xFF".to_vec()));
        for wrong in ["123", "123456789", "12a4", ""] {
            assert_eq!(pin(&params(wrong), 0), Err(INCORRECT));
        }
    }
}
