//! Contexts of the module's own TCP/IP stack (EC200U&EG915U TCP/IP AN 1.1 §2.4.2 to §2.4.4, §2.4.16, §2.4.19): the first
//! seven packet data contexts under other commands.
//!
//! An error is a plain `ERROR`; `+QIGETERROR` tells which.

use std::net::Ipv4Addr;

use super::packet::{apn, text};
use super::{Exec, Outcome};
use crate::ip_error::IpError;
use crate::parse::{Params, quote};
use crate::pdp::{ActivationError, Authentication, Credentials, PdpType};
use crate::result::Failure;

/// The contexts that the stack can use.
const CONTEXTS: std::ops::RangeInclusive<u32> = 1..=7;

/// What a command of the stack brings; an error is kept for `+QIGETERROR`.
pub(super) type Attempt = Result<(), IpError>;

impl Exec<'_> {
    /// Keeps the outcome for `+QIGETERROR`, and makes an error what the host sees.
    pub(super) fn conclude(&mut self, attempt: Attempt) -> Outcome {
        self.state.last_ip_error = attempt.err();
        attempt.map_err(|_| Failure::Error)
    }
}

/// A number in a range.
pub(super) fn number(params: &Params, index: usize, range: std::ops::RangeInclusive<u32>) -> Result<u32, IpError> {
    params.number(index).filter(|value| range.contains(value)).ok_or(IpError::InvalidParameter)
}

/// The same; the default when it is left out.
pub(super) fn number_or(
    params: &Params,
    index: usize,
    range: std::ops::RangeInclusive<u32>,
    default: u32,
) -> Result<u32, IpError> {
    if params.omitted(index) { Ok(default) } else { number(params, index, range) }
}

/// At most so many parameters.
pub(super) fn limited(params: &Params, count: usize) -> Attempt {
    if params.len() > count { Err(IpError::InvalidParameter) } else { Ok(()) }
}

/// A context of the stack.
pub(super) fn context_id(params: &Params, index: usize) -> Result<u8, IpError> {
    number(params, index, CONTEXTS).map(|cid| cid as u8)
}

/// `+QICSGP=<contextID>[,<context_type>,<APN>[,<username>,<password>[,<authentication>]]]`
pub(super) fn configure(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = try_configure(exec, params);
    exec.conclude(attempt)
}

fn try_configure(exec: &mut Exec<'_>, params: &Params) -> Attempt {
    limited(params, 6)?;
    let cid = context_id(params, 0)?;
    let pdp = &mut exec.state.pdp;
    if params.len() == 1 {
        let empty = crate::pdp::Context::default();
        let context = pdp.get(cid).unwrap_or(&empty);
        let Credentials { method, user, password } = &context.credentials;
        let (apn, user, password) = (quote(&context.apn), quote(user), quote(password));
        let line = format!("+QICSGP: {},{apn},{user},{password},{}", context.kind.number(), *method as u8);
        exec.line(line);
        return Ok(());
    }
    let kind = params.number(1).and_then(PdpType::numbered).ok_or(IpError::InvalidParameter)?;
    if params.omitted(2) {
        return Err(IpError::InvalidParameter);
    }
    let incorrect = |_| IpError::InvalidParameter;
    let apn = apn(params, 2).map_err(incorrect)?;
    let (user, password) = (text(params, 3, 127).map_err(incorrect)?, text(params, 4, 127).map_err(incorrect)?);
    let before = pdp.get(cid).map(|context| context.credentials.method).unwrap_or_default();
    let method = match params.omitted(5) {
        true => before,
        false => params.number(5).and_then(Authentication::numbered).ok_or(IpError::InvalidParameter)?,
    };
    pdp.define(cid, kind, apn);
    if let Some(context) = pdp.get_mut(cid) {
        context.credentials = Credentials { method, user, password };
    }
    Ok(())
}

/// `+QIACT?`: the contexts that are active.
pub(super) fn read_active(exec: &mut Exec<'_>) -> Outcome {
    let lines: Vec<String> = exec
        .state
        .pdp
        .all()
        .filter(|(cid, _)| CONTEXTS.contains(&u32::from(*cid)))
        .filter_map(|(cid, context)| {
            let bearer = context.bearer.as_ref()?;
            let ipv4 = bearer.ipv4.map(|ip| format!(",\"{ip}\"")).unwrap_or_default();
            let ipv6 = bearer.ipv6.map(|ip| format!(",\"{ip}\"")).unwrap_or_default();
            Some(format!("+QIACT: {cid},1,{}{ipv4}{ipv6}", context.kind.number()))
        })
        .collect();
    exec.lines.extend(lines);
    Ok(())
}

/// `+QIACT=<contextID>`
pub(super) fn activate(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = try_activate(exec, params);
    exec.conclude(attempt)
}

fn try_activate(exec: &mut Exec<'_>, params: &Params) -> Attempt {
    limited(params, 1)?;
    let cid = context_id(params, 0)?;
    exec.state.sim_ready().map_err(|_| IpError::OpenContextFailed)?;
    exec.state.activate_context(cid).map_err(|error| match error {
        ActivationError::Undefined => IpError::ApnNotConfigured,
        ActivationError::Detached | ActivationError::Refused(_) => IpError::OpenContextFailed,
    })
}

/// `+QIDEACT=<contextID>`: one that is not active is left as it is.
pub(super) fn deactivate(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = limited(params, 1).and_then(|()| context_id(params, 0)).map(|cid| exec.state.deactivate_context(cid));
    exec.conclude(attempt)
}

/// `+QIDNSCFG=<contextID>[,<pridnsaddr>[,<secdnsaddr>]]`
pub(super) fn name_servers(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = try_name_servers(exec, params);
    exec.conclude(attempt)
}

fn try_name_servers(exec: &mut Exec<'_>, params: &Params) -> Attempt {
    limited(params, 3)?;
    let cid = context_id(params, 0)?;
    // TCP/IP AN 1.1 §2.4.16: the context has to be active.
    let context = exec.state.pdp.get_mut(cid).filter(|context| context.bearer.is_some()).ok_or(IpError::NotAllowed)?;
    let [first, second] = context.name_servers().unwrap_or([Ipv4Addr::UNSPECIFIED; 2]);
    if params.len() == 1 {
        exec.line(format!("+QIDNSCFG: {cid},\"{first}\",\"{second}\""));
        return Ok(());
    }
    let address = |index: usize, before: Ipv4Addr| match params.omitted(index) {
        true => Ok(before),
        false => params
            .quoted(index)
            .and_then(|text| std::str::from_utf8(text).ok()?.parse().ok())
            .ok_or(IpError::InvalidParameter),
    };
    context.dns = Some([address(1, first)?, address(2, second)?]);
    Ok(())
}

/// `+QIGETERROR`: how the last command of the stack has ended.
pub(super) fn last_error(exec: &mut Exec<'_>) -> Outcome {
    let (code, text) = match exec.state.last_ip_error {
        None => (0, "Operation successful"),
        Some(error) => (error.code(), error.text()),
    };
    exec.line(format!("+QIGETERROR: {code},{text}"));
    Ok(())
}
