//! Sockets of the module's own stack (EC200U&EG915U TCP/IP AN 1.1 §2.4.7 to §2.4.13, §2.4.17).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::context::{Attempt, context_id, limited, number, number_or};
use super::{Exec, Next, Outcome};
use crate::connection::{Connection, Peer};
use crate::entry::{End, Entry, Purpose};
use crate::ip_error::IpError;
use crate::parse::{Params, quote};
use crate::result::ResultCode;
use crate::socket::{SocketId, SocketRequest, Transport};
use crate::sockets::{AccessMode, Opening, Service, Socket, SocketState};

/// The longest piece that can be sent at a time.
pub(super) const LONGEST_SENT: u32 = 1460;

/// The longest piece that can be read at a time.
pub(super) const LONGEST_READ: u32 = 1500;

/// The longest name of a host.
const LONGEST_HOST: usize = 200;

impl Exec<'_> {
    /// A name that the host of a socket goes by.
    pub(super) fn host(params: &Params, index: usize) -> Result<String, IpError> {
        let text = params.quoted(index).and_then(|text| std::str::from_utf8(text).ok());
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        text.filter(|text| !text.is_empty() && text.len() <= LONGEST_HOST && text.chars().all(fits))
            .map(str::to_owned)
            .ok_or(IpError::InvalidParameter)
    }

    /// What `<AT_port>` calls a port.
    fn port_name(&self, port: usize) -> &'static str {
        match port {
            0 => "usbat",
            1 => "usbmodem",
            _ => "uart1",
        }
    }

    /// Whether a socket can be opened over this context, and names looked up.
    pub(super) fn usable(&self, cid: u8) -> Result<bool, IpError> {
        let context = self.state.pdp.get(cid).ok_or(IpError::ApnNotConfigured)?;
        if context.bearer.is_none() {
            return Err(IpError::OpenContextFailed);
        }
        Ok(context.resolves() && self.state.network.resolves())
    }

    /// Takes a place for a socket, and makes a port that is to be transparent wait for it.
    pub(super) fn take_place(&mut self, opening: Opening) -> Result<SocketId, IpError> {
        let mode = opening.mode;
        if mode == AccessMode::Transparent && (self.connection.is_some() || !self.is_last) {
            return Err(IpError::PortBusy);
        }
        let id = self.state.sockets.open(opening, self.state.now)?;
        if mode == AccessMode::Transparent {
            self.code = Some(ResultCode::Later);
            self.next = Next::Await { socket: id, closes: false };
        }
        Ok(id)
    }

    /// A socket of either kind.
    fn socket(&self, index: u8, ssl: bool) -> Result<&Socket, IpError> {
        let socket = self.state.sockets.at(index).ok_or(IpError::SocketClosed)?;
        if socket.service.is_ssl() == ssl { Ok(socket) } else { Err(IpError::NotAllowed) }
    }
}

/// A socket index.
pub(super) fn index(params: &Params, at: usize) -> Result<u8, IpError> {
    number(params, at, 0..=11).map(|index| index as u8)
}

/// `+QIOPEN=<contextID>,<connectID>,<service_type>,"<IP_address>/<domain_name>",<remote_port>[,<local_port>
/// [,<access_mode>[,<tcp_client_maxnum>[,<connect_timeout>]]]]`
pub(super) fn open(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = try_open(exec, params);
    exec.conclude(attempt)
}

fn try_open(exec: &mut Exec<'_>, params: &Params) -> Attempt {
    limited(params, 9)?;
    let context = context_id(params, 0)?;
    let index = index(params, 1)?;
    let service = match params.quoted(2) {
        Some(b"TCP") => Service::Tcp,
        Some(b"UDP") => Service::Udp,
        Some(b"TCP LISTENER") => Service::TcpListener,
        Some(b"UDP SERVICE") => Service::UdpAnyone,
        _ => return Err(IpError::InvalidParameter),
    };
    let remote = Exec::host(params, 3)?;
    let remote_port = number(params, 4, 0..=65_535)? as u16;
    let local_port = number_or(params, 5, 0..=65_535, 0)? as u16;
    let mode = AccessMode::numbered(number_or(params, 6, 0..=2, 0)?);
    number_or(params, 7, 0..=11, 11)?;
    let timeout = number_or(params, 8, 10..=150, 150)?;
    let listens = matches!(service, Service::TcpListener | Service::UdpAnyone);
    // TCP/IP AN 1.1 §2.4.7: a service has a local port, and no one to be transparent to.
    if listens && (local_port == 0 || mode == AccessMode::Transparent) || !listens && remote_port == 0 {
        return Err(IpError::InvalidParameter);
    }
    let resolves = exec.usable(context)?;
    let id = exec.take_place(Opening {
        index,
        service,
        context,
        port: exec.port,
        mode,
        remote: remote.clone(),
        remote_port,
        local_port,
        negotiation: Duration::ZERO,
        timeout: Some(Duration::from_secs(timeout.into())),
    })?;
    let transport = match service {
        Service::Udp | Service::UdpAnyone => Transport::Udp,
        _ => Transport::Tcp,
    };
    exec.state.sockets.requests.push(if listens {
        SocketRequest::Listen { id, transport, local_port }
    } else {
        SocketRequest::Open { id, transport, host: remote, port: remote_port, local_port, resolves, tls: None }
    });
    Ok(())
}

/// `+QICLOSE=<connectID>[,<timeout>]`
pub(super) fn close(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = try_close(exec, params, false);
    exec.conclude(attempt)
}

/// Closes a socket of either kind. One that is not there is closed already.
pub(super) fn try_close(exec: &mut Exec<'_>, params: &Params, ssl: bool) -> Attempt {
    limited(params, 2)?;
    let index = index(params, 0)?;
    let timeout = Duration::from_secs(number_or(params, 1, 0..=65_535, 10)?.into());
    let Some(socket) = exec.state.sockets.at(index) else { return Ok(()) };
    if socket.service.is_ssl() != ssl {
        return Err(IpError::NotAllowed);
    }
    let (id, state) = (socket.id, socket.state);
    if exec.connection.as_ref().is_some_and(|connection| connection.peer == Peer::Socket(id)) {
        *exec.connection = None;
    }
    if state != SocketState::Connected || timeout.is_zero() || !exec.is_last {
        exec.state.sockets.abort(id);
        return Ok(());
    }
    let due = exec.state.now + timeout;
    if let Some(socket) = exec.state.sockets.at_mut(index) {
        (socket.state, socket.deadline) = (SocketState::Closing, Some(due));
    }
    exec.state.sockets.requests.push(SocketRequest::Close { id, abort: false });
    exec.code = Some(ResultCode::Later);
    exec.next = Next::Await { socket: id, closes: true };
    Ok(())
}

/// `+QISTATE`, `+QISTATE?`
pub(super) fn states(exec: &mut Exec<'_>) -> Outcome {
    tell_states(exec, |socket| !socket.service.is_ssl());
    Ok(())
}

/// `+QISTATE=<query_type>,<contextID>|<connectID>`
pub(super) fn states_of(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = try_states_of(exec, params);
    exec.conclude(attempt)
}

fn try_states_of(exec: &mut Exec<'_>, params: &Params) -> Attempt {
    limited(params, 2)?;
    if number(params, 0, 0..=1)? == 0 {
        let context = context_id(params, 1)?;
        tell_states(exec, |socket| !socket.service.is_ssl() && socket.context == context);
    } else {
        let index = index(params, 1)?;
        tell_states(exec, |socket| !socket.service.is_ssl() && socket.index == index);
    }
    Ok(())
}

/// The states of sockets.
pub(super) fn tell_states(exec: &mut Exec<'_>, wanted: impl Fn(&Socket) -> bool) {
    let lines: Vec<String> = exec
        .state
        .sockets
        .all()
        .filter(|socket| wanted(socket))
        .map(|socket| {
            let (command, end) = match socket.service {
                Service::Ssl(context) => ("+QSSLSTATE", format!(",{context}")),
                _ => ("+QISTATE", String::new()),
            };
            format!(
                "{command}: {},\"{}\",{},{},{},{},{},{},{},\"{}\"{end}",
                socket.index,
                socket.service.name(),
                quote(&socket.remote),
                socket.remote_port,
                socket.local_port,
                socket.state as u8,
                socket.context,
                socket.server,
                socket.mode as u8,
                exec.port_name(socket.port),
            )
        })
        .collect();
    exec.lines.extend(lines);
}

/// `+QISEND=<connectID>[,<send_length>[,<remoteIP>,<remote_port>]]`; a length of 0 asks what was sent.
pub(super) fn send(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = try_send(exec, params);
    exec.conclude(attempt)
}

fn try_send(exec: &mut Exec<'_>, params: &Params) -> Attempt {
    limited(params, 4)?;
    let index = index(params, 0)?;
    let length = number_or(params, 1, 0..=LONGEST_SENT, LONGEST_SENT)?;
    if !params.omitted(1) && length == 0 {
        let socket = exec.socket(index, false)?;
        let (total, unsent) = (socket.total_sent, socket.unsent as u64);
        exec.line(format!("+QISEND: {total},{},{unsent}", total - unsent));
        return Ok(());
    }
    let is_service = exec.socket(index, false)?.service == Service::UdpAnyone;
    let to = match (is_service, params.omitted(2)) {
        (true, false) => {
            let ip = Exec::host(params, 2)?.parse::<IpAddr>().map_err(|_| IpError::InvalidParameter)?;
            Some(SocketAddr::new(ip, number(params, 3, 1..=65_535)? as u16))
        }
        (false, true) => None,
        _ => return Err(IpError::InvalidParameter),
    };
    if is_service && params.omitted(1) {
        return Err(IpError::InvalidParameter);
    }
    prompt(exec, index, false, (!params.omitted(1)).then_some(length), to)
}

/// Has data entered that are to be sent.
pub(super) fn prompt(
    exec: &mut Exec<'_>,
    index: u8,
    ssl: bool,
    length: Option<u32>,
    to: Option<SocketAddr>,
) -> Attempt {
    let socket = exec.socket(index, ssl)?;
    match socket.state {
        SocketState::Connected => {}
        SocketState::Opening => return Err(IpError::Busy),
        SocketState::Listening if socket.service == Service::UdpAnyone => {}
        SocketState::Listening => return Err(IpError::NotSupported),
        SocketState::Closing => return Err(IpError::SocketClosed),
    }
    if socket.mode == AccessMode::Transparent {
        return Err(IpError::NotAllowed);
    }
    if !exec.is_last {
        return Err(IpError::Blocked);
    }
    let purpose = Purpose::Send { id: socket.id, to };
    let end = length.map_or(End::CtrlZ, |length| End::Count(length as usize));
    exec.next = Next::Entry(Box::new(Entry::new(purpose, end, None)));
    Ok(())
}

/// `+QISENDEX=<connectID>,<hex_string>`
pub(super) fn send_hex(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = try_send_hex(exec, params);
    exec.conclude(attempt)
}

fn try_send_hex(exec: &mut Exec<'_>, params: &Params) -> Attempt {
    limited(params, 2)?;
    let index = index(params, 0)?;
    let bytes = params.text(1).filter(|text| text.len() <= 512).and_then(rsp::ids::from_hex);
    let bytes = bytes.filter(|bytes| !bytes.is_empty()).ok_or(IpError::InvalidParameter)?;
    let socket = exec.socket(index, false)?;
    if matches!(socket.service, Service::UdpAnyone | Service::TcpListener) {
        return Err(IpError::NotSupported);
    }
    if socket.state != SocketState::Connected {
        return Err(IpError::SocketClosed);
    }
    let id = socket.id;
    let fits = socket.unsent + bytes.len() <= crate::sockets::SEND_BUFFER;
    if fits {
        exec.state.sockets.send(id, bytes, None);
    }
    exec.code = Some(ResultCode::Sent(fits));
    Ok(())
}

/// `+QIRD=<connectID>[,<read_length>]`; a length of 0 asks what has come.
pub(super) fn read(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = try_read(exec, params);
    exec.conclude(attempt)
}

fn try_read(exec: &mut Exec<'_>, params: &Params) -> Attempt {
    limited(params, 2)?;
    let index = index(params, 0)?;
    let length = number_or(params, 1, 0..=LONGEST_READ, LONGEST_READ)?;
    let socket = exec.socket(index, false)?;
    if length == 0 {
        let (total, unread) = (socket.total_received, socket.unread as u64);
        exec.line(format!("+QIRD: {total},{},{unread}", total - unread));
        return Ok(());
    }
    take(exec, index, "+QIRD", length)
}

/// Gives the host what has come.
pub(super) fn take(exec: &mut Exec<'_>, index: u8, command: &str, length: u32) -> Attempt {
    let socket = exec.state.sockets.at_mut(index).ok_or(IpError::SocketClosed)?;
    let (from, data) = socket.take(length as usize);
    let sender = match (socket.service, from) {
        (Service::UdpAnyone, Some(from)) if !data.is_empty() => format!(",\"{}\",{}", from.ip(), from.port()),
        _ => String::new(),
    };
    exec.line(format!("{command}: {}{sender}", data.len()));
    if !data.is_empty() {
        exec.data(data);
    }
    Ok(())
}

/// `+QISWTMD=<connectID>,<access_mode>`, for sockets of either kind.
pub(super) fn switch(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = try_switch(exec, params);
    exec.conclude(attempt)
}

fn try_switch(exec: &mut Exec<'_>, params: &Params) -> Attempt {
    limited(params, 2)?;
    let index = index(params, 0)?;
    let mode = AccessMode::numbered(number(params, 1, 0..=2)?);
    let port = exec.port;
    let is_busy = exec.connection.as_ref().map(|connection| connection.peer);
    let is_last = exec.is_last;
    let socket = exec.state.sockets.at_mut(index).ok_or(IpError::SocketClosed)?;
    match socket.state {
        SocketState::Connected => {}
        SocketState::Opening => return Err(IpError::Busy),
        _ => return Err(IpError::NotAllowed),
    }
    if mode != AccessMode::Transparent {
        if is_busy == Some(Peer::Socket(socket.id)) {
            *exec.connection = None;
        }
        socket.mode = mode;
        exec.state.push_out(index);
        return Ok(());
    }
    if is_busy.is_some_and(|peer| peer != Peer::Socket(socket.id)) || !is_last {
        return Err(IpError::PortBusy);
    }
    (socket.mode, socket.port) = (mode, port);
    *exec.connection = Some(Connection::to(Peer::Socket(socket.id)));
    exec.code = Some(ResultCode::ConnectData);
    exec.next = Next::Connect;
    Ok(())
}

/// `+QIDNSGIP=<contextID>,<hostname>`: the addresses come as URCs.
pub(super) fn look_up(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = try_look_up(exec, params);
    exec.conclude(attempt)
}

fn try_look_up(exec: &mut Exec<'_>, params: &Params) -> Attempt {
    limited(params, 2)?;
    let context = context_id(params, 0)?;
    let host = Exec::host(params, 1)?;
    let resolves = exec.usable(context)?;
    let port = exec.port;
    exec.state.sockets.look_up(host, resolves, port)
}
