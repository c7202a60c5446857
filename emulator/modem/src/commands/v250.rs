//! Basic commands and S-parameters (V.250 §6).

use super::{Exec, Outcome};
use crate::result::Failure;
use crate::settings::Settings;

/// `E` (V.250 §6.2.4).
pub(super) fn echo(exec: &mut Exec<'_>, value: u32) {
    exec.settings.echo = value == 1;
}

/// `Q` (V.250 §6.2.5).
pub(super) fn quiet(exec: &mut Exec<'_>, value: u32) {
    exec.settings.quiet = value == 1;
}

/// `V` (V.250 §6.2.6).
pub(super) fn verbose(exec: &mut Exec<'_>, value: u32) {
    exec.settings.verbose = value == 1;
}

/// `X` (V.250 §6.2.7).
pub(super) fn progress(exec: &mut Exec<'_>, value: u32) {
    exec.settings.progress = value as u8;
}

/// `&C` (V.250 §6.2.8).
pub(super) fn carrier_detect(exec: &mut Exec<'_>, value: u32) {
    exec.settings.carrier_detect = value as u8;
}

/// `&D` (V.250 §6.2.9).
pub(super) fn terminal_ready(exec: &mut Exec<'_>, value: u32) {
    exec.settings.terminal_ready = value as u8;
}

/// `&F` (V.250 §6.1.2).
pub(super) fn factory(exec: &mut Exec<'_>, _: u32) {
    *exec.settings = Settings::factory(&exec.state.model.defaults);
}

/// `&W`: keeps the settings for `Z` and for the next start.
pub(super) fn store(exec: &mut Exec<'_>, _: u32) {
    *exec.stored = exec.settings.clone();
}

/// `Z` (V.250 §6.1.1).
pub(super) fn restore(exec: &mut Exec<'_>, _: u32) {
    *exec.settings = exec.stored.clone();
}

/// `H` (V.250 §6.3.6): there is no call to end.
pub(super) fn hook(_: &mut Exec<'_>, value: u32) -> Outcome {
    if value == 0 { Ok(()) } else { Err(Failure::Error) }
}

/// `O` (V.250 §6.3.7): there is no connection to go back to.
pub(super) fn online(_: &mut Exec<'_>, value: u32) -> Outcome {
    Err(if value == 0 { Failure::NoCarrier } else { Failure::Error })
}

fn register(settings: &mut Settings, index: u32) -> Option<&mut u8> {
    match index {
        0 => Some(&mut settings.s0),
        3 => Some(&mut settings.s3),
        4 => Some(&mut settings.s4),
        5 => Some(&mut settings.s5),
        _ => None,
    }
}

/// `Sn?` (V.250 §5.3.2: three digits).
pub(super) fn read_register(exec: &mut Exec<'_>, index: u32) -> Outcome {
    let value = *register(exec.settings, index).ok_or(Failure::Error)?;
    exec.line(format!("{value:03}"));
    Ok(())
}

/// `Sn=v`; without a value the default is meant.
pub(super) fn write_register(exec: &mut Exec<'_>, index: u32, value: Option<u32>) -> Outcome {
    // V.250 §6.2.1 to §6.2.3: characters from 0 to 127; §6.3.8: rings from 0 to 255.
    let greatest = if index == 0 { 255 } else { 127 };
    let mut defaults = Settings::default();
    let default = *register(&mut defaults, index).ok_or(Failure::Error)?;
    let value = value.unwrap_or(u32::from(default));
    if value > greatest {
        return Err(Failure::Error);
    }
    *register(exec.settings, index).ok_or(Failure::Error)? = value as u8;
    Ok(())
}
