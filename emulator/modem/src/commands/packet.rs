//! Packet data (TS 27.007 §10.1): definitions, activation, addresses, authentication, events.

use std::net::Ipv6Addr;

use super::{Exec, INCORRECT, Next, Outcome, at_most, choice, name};
use crate::connection::Connection;
use crate::errors::CmeError;
use crate::model::CommandSet;
use crate::parse::{Params, quote};
use crate::pdp::{ActivationError, Authentication, CONTEXTS, Context, Credentials, PdpType, SmCause};
use crate::ppp::Ppp;
use crate::result::{Failure, ResultCode};
use crate::state::State;

/// The longest APN (TS 23.003 §9.1).
const LONGEST_APN: usize = 100;

/// The longest user name or password.
const LONGEST_NAME: usize = 127;

impl From<ActivationError> for CmeError {
    fn from(error: ActivationError) -> Self {
        match error {
            // TS 27.007 §9.2.2.1: errors of PDP context activation.
            ActivationError::Undefined => CmeError::InvalidIndex,
            ActivationError::Detached => CmeError::NoNetwork,
            ActivationError::Refused(SmCause(27)) => CmeError::UnknownApn,
            ActivationError::Refused(SmCause(29)) => CmeError::PdpAuthentication,
            ActivationError::Refused(SmCause(32)) => CmeError::OptionNotSupported,
            ActivationError::Refused(SmCause(33)) => CmeError::OptionNotSubscribed,
            ActivationError::Refused(SmCause(34)) => CmeError::OptionOutOfOrder,
            ActivationError::Refused(_) => CmeError::UnspecifiedGprs,
        }
    }
}

impl State {
    /// Whether the device is attached to packet service.
    pub(crate) fn is_attached(&self) -> bool {
        self.network.is_registered() && !self.pdp.detached
    }

    /// Activates a context and tells of it.
    pub(crate) fn activate_context(&mut self, cid: u8) -> Result<(), ActivationError> {
        if self.pdp.bearer(cid).is_some() {
            return Ok(());
        }
        self.pdp.activate(cid, &mut self.network)?;
        self.report_packet_event(format!("ME PDN ACT {cid}"));
        Ok(())
    }

    /// Lets go of a context and tells of it.
    pub(crate) fn deactivate_context(&mut self, cid: u8) {
        if self.pdp.deactivate(cid, &mut self.network) {
            self.end_sockets(cid, true);
            self.report_packet_event(format!("ME PDN DEACT {cid}"));
        }
    }

    /// What goes with the network when it is gone.
    pub(crate) fn follow_packet_service(&mut self) {
        if self.is_attached() {
            return;
        }
        for cid in self.pdp.lose_all() {
            self.tell_lost_context(cid);
        }
    }

    /// The network has let go of a context that was active.
    pub(crate) fn tell_lost_context(&mut self, cid: u8) {
        self.end_sockets(cid, false);
        // EC200U&EG915U TCP/IP AN 1.1 §2.5.5.
        if self.model.dialect.has_set(CommandSet::Sockets) && cid <= 7 {
            self.tell(format!("+QIURC: \"pdpdeact\",{cid}"));
        }
        self.report_packet_event(format!("NW PDN DEACT {cid}"));
    }

    /// TS 27.007 §10.1.19: `+CGEV`, when `+CGEREP` asks for it.
    fn report_packet_event(&mut self, event: String) {
        if self.pdp.reports.0 > 0 {
            self.tell(format!("+CGEV: {event}"));
        }
    }
}

/// A context identifier.
fn cid(params: &Params, index: usize) -> Result<u8, Failure> {
    let number = params.number(index).ok_or(INCORRECT)?;
    u8::try_from(number).ok().filter(|cid| CONTEXTS.contains(cid)).ok_or(INCORRECT)
}

/// A text of at most so many bytes, or nothing.
pub(super) fn text(params: &Params, index: usize, longest: usize) -> Result<String, Failure> {
    let bytes = params.text(index).unwrap_or_default();
    let text = std::str::from_utf8(bytes).map_err(|_| INCORRECT)?;
    if text.len() > longest || text.chars().any(char::is_control) {
        return Err(INCORRECT);
    }
    Ok(text.to_owned())
}

/// An access point name: labels of letters, digits and hyphens (TS 23.003 §9.1).
pub(super) fn apn(params: &Params, index: usize) -> Result<String, Failure> {
    let apn = text(params, index, LONGEST_APN)?;
    if apn.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        Ok(apn)
    } else {
        Err(INCORRECT)
    }
}

/// `+CGDCONT=?` (TS 27.007 §10.1.1).
pub(super) fn test_cgdcont(exec: &mut Exec<'_>) -> Outcome {
    for kind in PdpType::ALL {
        exec.line(format!("+CGDCONT: (1-15),\"{}\",,,(0-2),(0-4),(0,1),(0,1)", kind.name()));
    }
    Ok(())
}

/// `+CGDCONT?`
pub(super) fn read_cgdcont(exec: &mut Exec<'_>) -> Outcome {
    let lines: Vec<String> = exec
        .state
        .pdp
        .all()
        .map(|(cid, context)| {
            let address = match context.kind {
                PdpType::Ip => "0.0.0.0".to_owned(),
                PdpType::Ipv6 => dotted(Ipv6Addr::UNSPECIFIED),
                PdpType::Ipv4v6 => format!("0.0.0.0.{}", dotted(Ipv6Addr::UNSPECIFIED)),
            };
            format!("+CGDCONT: {cid},\"{}\",{},\"{address}\",0,0,0,0", context.kind.name(), quote(&context.apn))
        })
        .collect();
    exec.lines.extend(lines);
    Ok(())
}

/// `+CGDCONT=[<cid>[,<PDP_type>[,<APN>[,<PDP_addr>[,<d_comp>[,<h_comp>[,<IPv4AddrAlloc>[,<request_type>]]]]]]]]`
pub(super) fn write_cgdcont(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 8)?;
    let cid = if params.omitted(0) { 1 } else { cid(params, 0)? };
    if params.len() <= 1 {
        // TS 27.007 §10.1.1: without parameters the context becomes undefined.
        return if exec.state.pdp.undefine(cid) { Ok(()) } else { Err(CmeError::OperationNotAllowed.into()) };
    }
    let kind = match params.omitted(1) {
        true => PdpType::default(),
        false => PdpType::named(&name(params, 1)?).ok_or(INCORRECT)?,
    };
    let apn = apn(params, 2)?;
    // The network gives the address; one that is asked for is taken note of by nobody.
    text(params, 3, 64)?;
    choice(params, 4, &[0, 1, 2], Some(0))?;
    choice(params, 5, &[0, 1, 2, 3, 4], Some(0))?;
    choice(params, 6, &[0, 1], Some(0))?;
    choice(params, 7, &[0, 1], Some(0))?;
    exec.state.pdp.define(cid, kind, apn);
    Ok(())
}

/// `+CGATT?` (TS 27.007 §10.1.9).
pub(super) fn read_cgatt(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+CGATT: {}", u8::from(exec.state.is_attached())));
    Ok(())
}

pub(super) fn write_cgatt(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    let attach = choice(params, 0, &[0, 1], None)? == 1;
    exec.state.sim_ready()?;
    exec.state.pdp.detached = !attach;
    if !attach {
        exec.state.follow_contexts();
        return Ok(());
    }
    if exec.state.network.is_registered() { Ok(()) } else { Err(CmeError::NoNetwork.into()) }
}

/// `+CGACT?` (TS 27.007 §10.1.10).
pub(super) fn read_cgact(exec: &mut Exec<'_>) -> Outcome {
    let state = |context: &Context| u8::from(context.bearer.is_some());
    let lines: Vec<String> =
        exec.state.pdp.all().map(|(cid, context)| format!("+CGACT: {cid},{}", state(context))).collect();
    exec.lines.extend(lines);
    Ok(())
}

/// `+CGACT=[<state>[,<cid>[,<cid>[,...]]]]`: without a context all that are defined are meant.
pub(super) fn write_cgact(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 16)?;
    let activate = choice(params, 0, &[0, 1], Some(1))? == 1;
    let wanted: Vec<u8> = match params.len() {
        0 | 1 => exec.state.pdp.all().map(|(cid, _)| cid).collect(),
        count => (1..count).map(|index| cid(params, index)).collect::<Result<_, _>>()?,
    };
    if activate {
        exec.state.sim_ready()?;
    }
    for cid in wanted {
        if activate {
            exec.state.activate_context(cid).map_err(CmeError::from)?;
        } else if exec.state.pdp.get(cid).is_none() {
            return Err(CmeError::InvalidIndex.into());
        } else {
            exec.state.deactivate_context(cid);
        }
    }
    Ok(())
}

/// `+CGPADDR=?` (TS 27.007 §10.1.14).
pub(super) fn test_cgpaddr(exec: &mut Exec<'_>) -> Outcome {
    let cids: Vec<String> = exec.state.pdp.all().map(|(cid, _)| cid.to_string()).collect();
    exec.line(format!("+CGPADDR: ({})", cids.join(",")));
    Ok(())
}

pub(super) fn addresses(exec: &mut Exec<'_>) -> Outcome {
    let cids: Vec<u8> = exec.state.pdp.all().map(|(cid, _)| cid).collect();
    tell_addresses(exec, &cids)
}

/// `+CGPADDR[=<cid>[,<cid>[,...]]]`
pub(super) fn addresses_of(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 15)?;
    let cids = (0..params.len()).map(|index| cid(params, index)).collect::<Result<Vec<_>, _>>()?;
    tell_addresses(exec, &cids)
}

fn tell_addresses(exec: &mut Exec<'_>, cids: &[u8]) -> Outcome {
    for cid in cids {
        let Some(context) = exec.state.pdp.get(*cid) else { continue };
        let (ipv4, ipv6) = context.bearer.as_ref().map_or((None, None), |bearer| (bearer.ipv4, bearer.ipv6));
        let addresses: Vec<String> =
            ipv4.map(|ip| ip.to_string()).into_iter().chain(ipv6.map(dotted)).map(|ip| format!(",\"{ip}\"")).collect();
        exec.line(match addresses.is_empty() {
            true => format!("+CGPADDR: {cid},\"0.0.0.0\""),
            false => format!("+CGPADDR: {cid}{}", addresses.concat()),
        });
    }
    Ok(())
}

/// An IPv6 address in 16 numbers with dots, as TS 27.007 §10.1.14 has it without `+CGPIAF`.
fn dotted(address: Ipv6Addr) -> String {
    address.octets().map(|octet| octet.to_string()).join(".")
}

/// `+CGCONTRDP=?` (TS 27.007 §10.1.23): the contexts that are active.
pub(super) fn test_cgcontrdp(exec: &mut Exec<'_>) -> Outcome {
    let active = exec.state.pdp.all().filter(|(_, context)| context.bearer.is_some());
    let cids: Vec<String> = active.map(|(cid, _)| cid.to_string()).collect();
    exec.line(format!("+CGCONTRDP: ({})", cids.join(",")));
    Ok(())
}

pub(super) fn dynamic(exec: &mut Exec<'_>) -> Outcome {
    tell_dynamic(exec, None)
}

/// `+CGCONTRDP[=<cid>]`
pub(super) fn dynamic_of(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    let cid = cid(params, 0)?;
    tell_dynamic(exec, Some(cid))
}

/// TS 27.007 §10.1.23: `<cid>,<bearer_id>,<apn>[,<local_addr and subnet_mask>[,<gw_addr>[,<DNS_prim_addr>
/// [,<DNS_sec_addr>]]]]`. The bearer identity of the first is 5 (TS 24.007 §11.2.3.1.5).
fn tell_dynamic(exec: &mut Exec<'_>, wanted: Option<u8>) -> Outcome {
    let mut lines = Vec::new();
    for (cid, context) in exec.state.pdp.all().filter(|(cid, _)| wanted.is_none_or(|wanted| wanted == *cid)) {
        let (Some(bearer), Some([first, second])) = (&context.bearer, context.name_servers()) else { continue };
        let start = format!("+CGCONTRDP: {cid},{},{}", 4 + cid.min(11), quote(&bearer.apn));
        if let Some(ip) = bearer.ipv4 {
            let [a, b, c, _] = ip.octets();
            lines.push(format!("{start},\"{ip}.255.255.255.0\",\"{a}.{b}.{c}.254\",\"{first}\",\"{second}\""));
        }
        if let Some(ip) = bearer.ipv6 {
            let mask = dotted(Ipv6Addr::from(u128::MAX << 64));
            lines.push(format!("{start},\"{}.{mask}\"", dotted(ip)));
        }
    }
    exec.lines.extend(lines);
    Ok(())
}

/// `+CGAUTH?` (TS 27.007 §10.1.31). The password is not told.
pub(super) fn read_cgauth(exec: &mut Exec<'_>) -> Outcome {
    let with = exec.state.pdp.all().filter(|(_, context)| context.credentials.method != Authentication::None);
    let lines: Vec<String> = with
        .map(|(cid, context)| {
            format!("+CGAUTH: {cid},{},{}", context.credentials.method as u8, quote(&context.credentials.user))
        })
        .collect();
    exec.lines.extend(lines);
    Ok(())
}

/// `+CGAUTH=<cid>[,<auth_prot>[,<userid>[,<password>]]]`
pub(super) fn write_cgauth(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 4)?;
    let cid = cid(params, 0)?;
    let method = match params.omitted(1) {
        true => Authentication::None,
        false => params.number(1).and_then(Authentication::numbered).ok_or(INCORRECT)?,
    };
    let (user, password) = (text(params, 2, LONGEST_NAME)?, text(params, 3, LONGEST_NAME)?);
    // TS 27.007 §10.1.31: without authentication there is neither.
    if method == Authentication::None && params.len() > 2 {
        return Err(INCORRECT);
    }
    let context = exec.state.pdp.get_mut(cid).ok_or(CmeError::InvalidIndex)?;
    context.credentials = Credentials { method, user, password };
    Ok(())
}

/// `+CGEREP?` (TS 27.007 §10.1.19).
pub(super) fn read_cgerep(exec: &mut Exec<'_>) -> Outcome {
    let (mode, buffer) = exec.state.pdp.reports;
    exec.line(format!("+CGEREP: {mode},{buffer}"));
    Ok(())
}

/// `+CGEREP` alone is the default.
pub(super) fn default_cgerep(exec: &mut Exec<'_>) -> Outcome {
    write_cgerep(exec, &Params::default())
}

pub(super) fn write_cgerep(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    let mode = choice(params, 0, &[0, 1, 2], Some(0))?;
    let buffer = choice(params, 1, &[0, 1], Some(0))?;
    exec.state.pdp.reports = (mode as u8, buffer as u8);
    Ok(())
}

/// What follows `*99` in a dial string (TS 27.007 §10.2.1.1): `*99[*[<called_address>][*[<L2P>][*[<cid>]]]]#`. Gives
/// the context; the first one when none is named.
pub(super) fn dialled_context(number: &str) -> Option<Result<u8, Failure>> {
    let rest = number.strip_prefix("*99")?.strip_suffix('#')?;
    if rest.is_empty() {
        return Some(Ok(1));
    }
    let mut parts = rest.strip_prefix('*')?.split('*');
    let (_address, protocol, cid) = (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let known = matches!(protocol, "" | "1" | "PPP") && parts.next().is_none();
    let cid = if cid.is_empty() { Some(1) } else { cid.parse().ok().filter(|cid| CONTEXTS.contains(cid)) };
    Some(cid.filter(|_| known).ok_or(Failure::Error))
}

/// `D*99#`: data mode over a context, which is activated when it is not.
pub(super) fn dial(exec: &mut Exec<'_>, cid: Result<u8, Failure>) -> Outcome {
    let cid = cid?;
    if exec.connection.is_some() {
        return Err(Failure::NoCarrier);
    }
    exec.state.sim_ready()?;
    if exec.state.activate_context(cid).is_err() {
        return Err(Failure::NoCarrier);
    }
    let context = exec.state.pdp.get(cid);
    let link = context.and_then(|context| Ppp::new(context.bearer.as_ref()?, context.name_servers()?)).map(Box::new);
    *exec.connection = Some(Connection::over(cid, link));
    exec.code = Some(ResultCode::Connect(exec.settings.rate));
    exec.next = Next::Connect;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dial_strings() {
        assert_eq!(dialled_context("*99#"), Some(Ok(1)));
        assert_eq!(dialled_context("*99***3#"), Some(Ok(3)));
        assert_eq!(dialled_context("*99**PPP*2#"), Some(Ok(2)));
        assert_eq!(dialled_context("*99***16#"), Some(Err(Failure::Error)));
        assert_eq!(dialled_context("*99**X25*1#"), Some(Err(Failure::Error)));
        assert_eq!(dialled_context("*98#"), None);
    }
}
