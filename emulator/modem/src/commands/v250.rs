//! Basic commands and S-parameters, and the commands of the line itself (V.250 §6).

use super::{Exec, INCORRECT, Next, Outcome, at_most, choice};
use crate::connection::Peer;
use crate::parse::Params;
use crate::result::{Failure, ResultCode};
use crate::settings::{REGISTERS, Settings};

/// `E` (V.250 §6.2.4).
pub(super) fn echo(exec: &mut Exec<'_>, value: u32) -> Outcome {
    exec.settings.echo = value == 1;
    Ok(())
}

/// `Q` (V.250 §6.2.5).
pub(super) fn quiet(exec: &mut Exec<'_>, value: u32) -> Outcome {
    exec.settings.quiet = value == 1;
    Ok(())
}

/// `V` (V.250 §6.2.6).
pub(super) fn verbose(exec: &mut Exec<'_>, value: u32) -> Outcome {
    exec.settings.verbose = value == 1;
    Ok(())
}

/// `X` (V.250 §6.2.7).
pub(super) fn progress(exec: &mut Exec<'_>, value: u32) -> Outcome {
    exec.settings.progress = value as u8;
    Ok(())
}

/// `&C` (V.250 §6.2.8).
pub(super) fn carrier_detect(exec: &mut Exec<'_>, value: u32) -> Outcome {
    exec.settings.carrier_detect = value as u8;
    Ok(())
}

/// `&D` (V.250 §6.2.9).
pub(super) fn terminal_ready(exec: &mut Exec<'_>, value: u32) -> Outcome {
    exec.settings.terminal_ready = value as u8;
    Ok(())
}

/// `&F` (V.250 §6.1.2).
pub(super) fn factory(exec: &mut Exec<'_>, _: u32) -> Outcome {
    *exec.settings = Settings::factory(&exec.state.model.defaults);
    exec.state.restore_factory_settings();
    Ok(())
}

/// `&W`: keeps the settings for `Z` and for the next start, those of +CREG, +CGREG and +CEREG with them (RG50xQ & RM5xxQ
/// Series AT Commands Manual, "AT Command Settings Storable with AT&W").
pub(super) fn store(exec: &mut Exec<'_>, _: u32) -> Outcome {
    *exec.stored = exec.settings.clone();
    exec.state.options.stored_reports = exec.state.network.reports_to_store();
    Ok(())
}

/// `Z` (V.250 §6.1.1): a connection ends, the settings are those of the factory, and then those that are stored.
pub(super) fn restore(exec: &mut Exec<'_>, _: u32) -> Outcome {
    exec.state.end_connection(exec.connection);
    exec.state.restore_factory_settings();
    *exec.settings = exec.stored.clone();
    exec.state.network.restore_reports(exec.state.options.stored_reports);
    Ok(())
}

/// `&V`: the settings.
pub(super) fn view(exec: &mut Exec<'_>, _: u32) -> Outcome {
    let settings = exec.settings.clone();
    for (name, value) in [
        ("&C", settings.carrier_detect),
        ("&D", settings.terminal_ready),
        ("&F", 0),
        ("&W", 0),
        ("E", settings.echo.into()),
        ("Q", settings.quiet.into()),
        ("V", settings.verbose.into()),
        ("X", settings.progress),
        ("Z", 0),
    ] {
        exec.line(format!("{name}: {value}"));
    }
    for (index, ..) in REGISTERS {
        exec.line(format!("S{index}: {}", settings.register(index).unwrap_or_default()));
    }
    Ok(())
}

/// `P` and `T` (V.250 §6.3.2, §6.3.3): tones or pulses are the network's business.
pub(super) fn nothing(_: &mut Exec<'_>, _: u32) -> Outcome {
    Ok(())
}

/// `L` and `M`.
pub(super) fn ignored(_: &mut Exec<'_>, _: u32) -> Outcome {
    Ok(())
}

/// `A` (V.250 §6.3.5): nobody calls.
pub(super) fn answer(_: &mut Exec<'_>, _: u32) -> Outcome {
    Err(Failure::NoCarrier)
}

/// `H` (V.250 §6.3.6).
pub(super) fn hook(exec: &mut Exec<'_>, _: u32) -> Outcome {
    exec.state.end_connection(exec.connection);
    Ok(())
}

/// `O` (V.250 §6.3.7): back to data mode.
pub(super) fn online(exec: &mut Exec<'_>, _: u32) -> Outcome {
    let Some(connection) = exec.connection else { return Err(Failure::NoCarrier) };
    let is_socket = matches!(connection.peer, Peer::Socket(_));
    connect(exec);
    if is_socket {
        exec.code = Some(ResultCode::ConnectData);
    }
    Ok(())
}

fn connect(exec: &mut Exec<'_>) {
    exec.code = Some(ResultCode::Connect(exec.settings.rate));
    exec.next = Next::Connect;
}

/// `D` (V.250 §6.3.1). A number without semicolon is a data call, which the network connects to a loop: every byte
/// comes back. There is no voice; `*99#` leads to packet data.
pub(super) fn dial(exec: &mut Exec<'_>, number: &str, voice: bool) -> Outcome {
    let number: String = number.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_uppercase()).collect();
    // V.250 §6.3.1: digits and modifiers.
    if !number.chars().all(|c| "0123456789*#+ABCD,TPW!@-().".contains(c)) {
        return Err(Failure::Error);
    }
    if let Some(cid) = super::packet::dialled_context(&number).filter(|_| !voice) {
        return super::packet::dial(exec, cid);
    }
    let digits = number.chars().filter(|c| c.is_ascii_digit()).count();
    exec.abort = Some(ResultCode::Failed(Failure::NoCarrier));
    if voice || digits == 0 || number.contains(['*', '#']) || exec.connection.is_some() {
        return Err(Failure::NoCarrier);
    }
    exec.state.sim_ready()?;
    if !exec.state.network.is_registered() {
        exec.state.options.last_cause = "No network service";
        return Err(Failure::NoCarrier);
    }
    connect(exec);
    Ok(())
}

/// `Sn?` (V.250 §5.3.2: three digits).
pub(super) fn read_register(exec: &mut Exec<'_>, index: u32) -> Outcome {
    let value = exec.settings.register(index).ok_or(Failure::Error)?;
    exec.line(format!("{value:03}"));
    Ok(())
}

/// `Sn=v`; without a value the default is meant.
pub(super) fn write_register(exec: &mut Exec<'_>, index: u32, value: Option<u32>) -> Outcome {
    if exec.settings.set_register(index, value) { Ok(()) } else { Err(Failure::Error) }
}

/// The rates of `+IPR`.
pub(crate) const RATES: [u32; 12] =
    [0, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600, 1_000_000, 2_000_000, 3_000_000];

pub(super) const RATES_TEST: &str =
    "+IPR: (),(0,9600,19200,38400,57600,115200,230400,460800,921600,1000000,2000000,3000000)";

/// `+IPR?` (V.250 §6.2.10).
pub(super) fn read_rate(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+IPR: {}", exec.settings.rate));
    Ok(())
}

pub(super) fn write_rate(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    exec.settings.rate = choice(params, 0, &RATES, None)?;
    Ok(())
}

/// `+IFC?` (V.250 §6.2.12).
pub(super) fn read_flow_control(exec: &mut Exec<'_>) -> Outcome {
    let (by_dce, by_dte) = exec.settings.flow_control;
    exec.line(format!("+IFC: {by_dce},{by_dte}"));
    Ok(())
}

pub(super) fn write_flow_control(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    let by_dce = choice(params, 0, &[0, 2], None)?;
    let by_dte = choice(params, 1, &[0, 2], Some(by_dce))?;
    exec.settings.flow_control = (by_dce as u8, by_dte as u8);
    Ok(())
}

/// `+ICF?` (V.250 §6.2.11).
pub(super) fn read_framing(exec: &mut Exec<'_>) -> Outcome {
    let (format, parity) = exec.settings.framing;
    exec.line(format!("+ICF: {format},{parity}"));
    Ok(())
}

pub(super) fn write_framing(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    if params.omitted(0) && params.omitted(1) {
        return Err(INCORRECT);
    }
    let format = choice(params, 0, &[3], Some(3))?;
    let parity = choice(params, 1, &[0, 1, 2, 3], Some(u32::from(exec.settings.framing.1)))?;
    exec.settings.framing = (format as u8, parity as u8);
    Ok(())
}
