//! Commands on PINs and their unblocking codes (TS 102 221 §9.5, §11.1.9 to §11.1.13).

use super::{Done, View};
use crate::apdu::{Command, Sw};
use crate::uicc::files::Check;

impl View<'_> {
    /// The PIN that P2 names in the current directory.
    fn pin(&self, command: &Command<'_>) -> Result<usize, Sw> {
        if command.p1 != 0 {
            return Err(Sw::WRONG_P1_P2);
        }
        self.files.image().pin(self.selection.directory, command.p2).ok_or(Sw::DATA_NOT_FOUND)
    }

    /// A PIN that is enabled, and `N` values of eight bytes in the data.
    fn enabled_pin<const N: usize>(&self, command: &Command<'_>) -> Result<(usize, [[u8; 8]; N]), Sw> {
        let pin = self.pin(command)?;
        let values = values(command.data)?;
        if self.files.pin(pin).left == 0 {
            return Err(Sw::METHOD_BLOCKED);
        }
        if !self.files.pin(pin).enabled {
            return Err(Sw::REFERENCE_DATA_NOT_USABLE);
        }
        Ok((pin, values))
    }

    fn hold_against(&mut self, pin: usize, value: &[u8; 8]) -> Result<(), Sw> {
        let check = self.files.check_pin(pin, value);
        self.verified.set(pin, check == Check::Right);
        outcome(check)
    }

    /// VERIFY PIN; without data it asks how many tries are left.
    pub(super) fn verify_pin(&mut self, command: &Command<'_>) -> Done {
        if command.data.is_empty() {
            let pin = self.pin(command)?;
            return Err(Sw::tries_left(self.files.pin(pin).left));
        }
        let (pin, [value]) = self.enabled_pin(command)?;
        self.hold_against(pin, &value)?;
        Ok(Sw::OK.into())
    }

    pub(super) fn change_pin(&mut self, command: &Command<'_>) -> Done {
        let (pin, [old, new]) = self.enabled_pin(command)?;
        if !self.files.pin_kind(pin).may_be_changed {
            return Err(Sw::CONDITIONS_NOT_SATISFIED);
        }
        self.hold_against(pin, &old)?;
        self.files.set_pin(pin, &new);
        Ok(Sw::OK.into())
    }

    /// DISABLE PIN and ENABLE PIN. The universal PIN as a replacement (P1 01) is not supported.
    pub(super) fn set_pin_enabled(&mut self, command: &Command<'_>, enabled: bool) -> Done {
        let pin = self.pin(command)?;
        let [value] = values(command.data)?;
        let state = self.files.pin(pin);
        if state.left == 0 {
            return Err(Sw::METHOD_BLOCKED);
        }
        if state.enabled == enabled {
            // Already disabled, or already enabled.
            return Err(if enabled { Sw::CONDITIONS_NOT_SATISFIED } else { Sw::REFERENCE_DATA_NOT_USABLE });
        }
        if !self.files.pin_kind(pin).may_be_disabled {
            return Err(Sw::CONDITIONS_NOT_SATISFIED);
        }
        self.hold_against(pin, &value)?;
        self.files.set_pin_enabled(pin, enabled);
        Ok(Sw::OK.into())
    }

    /// UNBLOCK PIN; without data it asks how many tries of the unblocking code are left.
    pub(super) fn unblock_pin(&mut self, command: &Command<'_>) -> Done {
        let pin = self.pin(command)?;
        let left = self.files.puk_left(pin).ok_or(Sw::DATA_NOT_FOUND)?;
        if command.data.is_empty() {
            return Err(Sw::tries_left(left));
        }
        let [code, new] = values(command.data)?;
        outcome(self.files.check_puk(pin, &code).ok_or(Sw::DATA_NOT_FOUND)?)?;
        self.files.set_pin(pin, &new);
        // TS 102 221 §11.1.13: the PIN is enabled, and verified.
        self.files.set_pin_enabled(pin, true);
        self.verified.set(pin, true);
        Ok(Sw::OK.into())
    }
}

/// Values of eight bytes, as many as there have to be.
fn values<const N: usize>(data: &[u8]) -> Result<[[u8; 8]; N], Sw> {
    if data.len() != 8 * N {
        return Err(Sw::WRONG_LENGTH);
    }
    let mut values = [[0; 8]; N];
    for (value, bytes) in values.iter_mut().zip(data.chunks_exact(8)) {
        value.copy_from_slice(bytes);
    }
    Ok(values)
}

fn outcome(check: Check) -> Result<(), Sw> {
    match check {
        Check::Right => Ok(()),
        Check::Wrong(left) => Err(Sw::tries_left(left)),
        Check::Blocked => Err(Sw::METHOD_BLOCKED),
    }
}
