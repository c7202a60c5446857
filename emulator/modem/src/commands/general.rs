//! Identity, error reporting, functionality, and what the modem reads from the card for itself.

use rsp::Iccid;

use super::{Exec, Outcome, State};
use crate::card::{CardError, Uicc};
use crate::event::Tap;
use crate::parse::Params;
use crate::result::{CmeError, Failure};

/// `I` (V.250 §6.1.3), with the three lines of the maker.
pub(super) fn identify(exec: &mut Exec<'_>, value: u32) -> Outcome {
    if value != 0 {
        return Err(Failure::Error);
    }
    let identity = &exec.state.model.identity;
    exec.lines =
        vec![identity.manufacturer.clone(), identity.model.clone(), format!("Revision: {}", identity.revision)];
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

/// `+CGSN` (TS 27.007 §5.4).
pub(super) fn imei(exec: &mut Exec<'_>) -> Outcome {
    exec.line(exec.state.model.identity.imei.as_str().to_owned());
    Ok(())
}

/// `+CMEE?` (TS 27.007 §9.1).
pub(super) fn read_cmee(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CMEE: {}", exec.settings.cmee));
    Ok(())
}

/// `+CMEE=[<n>]`
pub(super) fn write_cmee(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    exec.settings.cmee = match (params.len(), params.omitted(0), params.number(0)) {
        (1, true, _) => 0,
        (1, _, Some(value @ 0..=2)) => value as u8,
        _ => return Err(CmeError::IncorrectParameters.into()),
    };
    Ok(())
}

/// `+CFUN?` (TS 27.007 §8.2).
pub(super) fn read_cfun(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CFUN: {}", exec.state.functionality));
    Ok(())
}

/// `+CFUN=[<fun>[,<rst>]]`
pub(super) fn write_cfun(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let functionality = match (params.omitted(0), params.number(0)) {
        (true, _) => 1,
        (_, Some(value @ (0 | 1 | 4))) => value,
        _ => return Err(CmeError::IncorrectParameters.into()),
    };
    let restart = match (params.omitted(1), params.number(1)) {
        (true, _) | (_, Some(0)) => false,
        (_, Some(1)) => true,
        _ => return Err(CmeError::IncorrectParameters.into()),
    };
    // A restart brings full functionality back: it can be asked for with that only.
    if params.len() > 2 || (restart && functionality != 1) {
        return Err(CmeError::IncorrectParameters.into());
    }
    let before = std::mem::replace(&mut exec.state.functionality, functionality);
    if restart {
        exec.restart = true;
    } else if functionality == 0 {
        // The minimum leaves the card without power (TS 27.007 §8.2).
        exec.state.uicc.power_down();
    } else if before == 0 {
        let urcs = exec.state.start_card();
        exec.urcs.extend(urcs);
    }
    Ok(())
}

/// `+CPIN?` (TS 27.007 §8.3).
pub(super) fn read_cpin(exec: &mut Exec<'_>) -> Outcome {
    let state = exec.state.pin_state()?;
    exec.line(format!("+CPIN: {state}"));
    Ok(())
}

impl State {
    /// Powers the card up. The lines that tell it when it is ready for use.
    pub(crate) fn start_card(&mut self) -> Vec<String> {
        self.uicc.power_up(&mut self.tap);
        match self.pin_state() {
            Ok("READY") => self.model.urc.card_ready.clone(),
            _ => Vec::new(),
        }
    }

    fn pin_state(&mut self) -> Result<&'static str, CardError> {
        // TS 102 221 §11.1.9.1.2: VERIFY PIN without data asks for the state of the PIN and tries nothing.
        let answer = self.uicc.exchange(0, &[0x00, 0x20, 0x00, 0x01, 0x00], &mut self.tap)?;
        match answer.status {
            0x9000..=0x91FF => Ok("READY"),
            0x63C0 | 0x6983 => Ok("SIM PUK"),
            0x63C1..=0x63CF => Ok("SIM PIN"),
            // No such PIN: there is no application that could be used.
            other => Err(CardError::Status(other)),
        }
    }
}

/// `+CIMI` (TS 27.007 §5.6): EF_IMSI of the USIM.
pub(super) fn imsi(exec: &mut Exec<'_>) -> Outcome {
    /// The part of the AID that all USIMs share (ETSI TS 101 220 annex E).
    const USIM: [u8; 7] = [0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02];
    let State { uicc, tap, .. } = &mut *exec.state;
    // TS 31.102 §4.2.2: a length, then digits in swapped nibbles, the first of which holds a parity bit.
    let content = uicc.on_channel(Some(&USIM), tap, |uicc, channel, tap| {
        select_file(uicc, channel, 0x6F07, tap)?;
        read_binary(uicc, channel, 9, tap)
    })?;
    let digits = content.get(1..).unwrap_or_default().iter().flat_map(|byte| [byte & 15, byte >> 4]).skip(1);
    let imsi: String = digits.take_while(|digit| *digit <= 9).map(|digit| char::from(b'0' + digit)).collect();
    if !(6..=15).contains(&imsi.len()) {
        return Err(CmeError::SimFailure.into());
    }
    exec.line(imsi);
    Ok(())
}

/// `+QCCID`: EF_ICCID with its padding.
pub(super) fn iccid(exec: &mut Exec<'_>) -> Outcome {
    let State { uicc, tap, .. } = &mut *exec.state;
    let content = uicc.on_channel(None, tap, |uicc, channel, tap| {
        select_file(uicc, channel, 0x3F00, tap)?;
        select_file(uicc, channel, 0x2FE2, tap)?;
        read_binary(uicc, channel, 10, tap)
    })?;
    let iccid = Iccid::from_bytes(&content).map_err(|_| CmeError::SimFailure)?;
    exec.line(format!("+QCCID: {}", iccid.padded()));
    Ok(())
}

/// SELECT by file identifier (TS 102 221 §11.1.1).
fn select_file(uicc: &mut Uicc, channel: u8, file: u16, tap: &mut Tap) -> Result<(), CardError> {
    let [high, low] = file.to_be_bytes();
    let answer = uicc.exchange(channel, &[0x00, 0xA4, 0x00, 0x04, 0x02, high, low], tap)?;
    if answer.is_success() { Ok(()) } else { Err(CardError::Status(answer.status)) }
}

/// READ BINARY of a whole small file (TS 102 221 §11.1.3).
fn read_binary(uicc: &mut Uicc, channel: u8, length: u8, tap: &mut Tap) -> Result<Vec<u8>, CardError> {
    let answer = uicc.exchange(channel, &[0x00, 0xB0, 0x00, 0x00, length], tap)?;
    if answer.is_success() { Ok(answer.data) } else { Err(CardError::Status(answer.status)) }
}
