//! What comes from sockets, and where it goes: to a command that waits for it, into a buffer, behind a URC, or straight to
//! a port in transparent access mode.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::commands::Next;
use crate::connection::{Connection, Peer};
use crate::engine::Modem;
use crate::entry::{Entry, Purpose};
use crate::event::ModemEvent;
use crate::ip_error::IpError;
use crate::output::{Output, WriteKind};
use crate::port::{Mode, Told};
use crate::result::{Failure, ResultCode};
use crate::socket::{SocketEvent, SocketId, SocketRequest};
use crate::sockets::{AccessMode, SEND_BUFFER, Service, Socket, SocketState};
use crate::state::State;

/// The longest piece behind one URC (EC200U&EG915U TCP/IP AN 1.1 §2.5.2).
const LONGEST_PUSHED: usize = 1500;

/// The longest piece that can be sent at a time (EC200U&EG915U SSL AN 1.1 §2.2.3).
const LONGEST_SENT: usize = 1460;

/// What may wait behind URCs for one port, before the other side is not read any further.
const PUSH_BUFFER: usize = 16 * 1024;

/// The time that a name is good for, in seconds.
const TIME_TO_LIVE: u32 = 600;

/// How much a socket may be given, and the port that it goes to at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// So many bytes are taken at the moment.
    pub room: usize,
    /// The port whose host gets them at once.
    pub port: Option<usize>,
}

impl State {
    /// Has something told at the port of a socket.
    pub(crate) fn tell_port(&mut self, port: usize, line: String, data: Option<Vec<u8>>) {
        self.told.push((port, Told { line, data }));
    }

    /// Sends what was entered. False when there is no room for it.
    pub(crate) fn send_entered(&mut self, entry: Entry) -> Result<bool, Failure> {
        let sent = self.try_send_entered(entry);
        self.last_ip_error = sent.err();
        sent.map_err(|_| Failure::Error)
    }

    fn try_send_entered(&mut self, entry: Entry) -> Result<bool, IpError> {
        let Purpose::Send { id, to } = entry.purpose else { return Err(IpError::NotAllowed) };
        let socket = self.sockets.get(id).filter(|socket| socket.state == SocketState::Connected);
        let socket = socket.ok_or(IpError::SocketClosed)?;
        if entry.data.len() > LONGEST_SENT {
            return Err(IpError::InvalidParameter);
        }
        if socket.unsent + entry.data.len() > SEND_BUFFER {
            return Ok(false);
        }
        self.sockets.send(id, entry.data, to);
        Ok(true)
    }

    /// Pushes out what a socket has kept, after its mode has become direct push.
    pub(crate) fn push_out(&mut self, index: u8) {
        let Some(socket) = self.sockets.at_mut(index).filter(|socket| socket.mode == AccessMode::DirectPush) else {
            return;
        };
        let mut messages = Vec::new();
        loop {
            let (from, data) = socket.take(LONGEST_PUSHED);
            if data.is_empty() {
                break;
            }
            messages.push(pushed(socket, from, data));
        }
        let port = socket.port;
        self.told.extend(messages.into_iter().map(|told| (port, told)));
    }

    /// Ends the connection of a port, and the socket that it leads to.
    pub(crate) fn end_connection(&mut self, connection: &mut Option<Connection>) {
        if let Some(Connection { peer: Peer::Socket(id), .. }) = connection.take() {
            self.sockets.abort(id);
        }
    }

    /// A context is gone: what goes over it ends. The device itself has let go of it, or else the network.
    pub(crate) fn end_sockets(&mut self, cid: u8, by_device: bool) {
        let over: Vec<SocketId> =
            self.sockets.all().filter(|socket| socket.context == cid).map(|socket| socket.id).collect();
        for id in over {
            self.lost.push((id, by_device));
        }
    }
}

/// Data in direct push mode: a URC and what follows it.
fn pushed(socket: &Socket, from: Option<SocketAddr>, data: Vec<u8>) -> Told {
    let sender = match (socket.service, from) {
        (Service::UdpAnyone, Some(from)) => format!(",\"{}\",{}", from.ip(), from.port()),
        _ => String::new(),
    };
    let line = format!("{}: \"recv\",{},{}{sender}", socket.service.urc(), socket.index, data.len());
    Told { line, data: Some(data) }
}

impl Modem {
    /// Takes what has happened to a socket, at this time since the epoch. What is not known any more is ignored.
    pub fn socket_event(&mut self, event: SocketEvent, now: Duration) -> Output {
        let mut output = self.tick(now);
        match event {
            SocketEvent::Negotiating { id } => {
                if let Some(socket) = self.state.sockets.get_mut(id) {
                    socket.deadline = Some(self.state.now + socket.negotiation);
                }
            }
            SocketEvent::Opened { id, local_port, remote } => self.socket_opened(id, local_port, remote, &mut output),
            SocketEvent::Received { id, bytes, from } => self.socket_received(id, bytes, from, &mut output),
            SocketEvent::Sent { id, count } => {
                if let Some(socket) = self.state.sockets.get_mut(id) {
                    socket.unsent = socket.unsent.saturating_sub(count);
                }
            }
            SocketEvent::Accepted { listener, id, remote, local_port } => {
                self.socket_accepted(listener, id, remote, local_port);
            }
            SocketEvent::Closed { id } => self.socket_closed(id, &mut output),
            SocketEvent::Failed { id, error } => self.socket_failed(id, error, &mut output),
            SocketEvent::Ended { id } => {
                if self.state.sockets.remove(id).is_some() {
                    self.conclude_waiting(id, ResultCode::Ok, Next::Nothing, &mut output);
                }
            }
            SocketEvent::Resolved { id, addresses } => self.resolved(id, &addresses),
        }
        self.flush(&mut output);
        output
    }

    /// How much may come for a socket at the moment.
    pub fn flow(&self, id: SocketId) -> Flow {
        let Some(socket) = self.state.sockets.get(id) else { return Flow { room: usize::MAX, port: None } };
        if socket.state == SocketState::Closing {
            // What still comes is for nobody: it is read so that the end is seen.
            return Flow { room: usize::MAX, port: None };
        }
        match socket.mode {
            AccessMode::Transparent if self.is_transparent(socket.port, id) => {
                Flow { room: usize::MAX, port: Some(socket.port) }
            }
            AccessMode::DirectPush => {
                let waiting = self.ports.get(socket.port).map_or(0, |port| port.told_bytes());
                Flow { room: PUSH_BUFFER.saturating_sub(waiting), port: Some(socket.port) }
            }
            AccessMode::Buffer | AccessMode::Transparent => Flow { room: socket.room(), port: None },
        }
    }

    /// Whether a port should not be read at the moment: what it has sent in transparent access mode has not gone yet.
    pub fn is_congested(&self, port: usize) -> bool {
        let Some(port) = self.ports.get(port) else { return false };
        match (&port.mode, &port.connection) {
            (Mode::Data, Some(Connection { peer: Peer::Socket(id), .. })) => {
                self.state.sockets.get(*id).is_some_and(Socket::is_congested)
            }
            _ => false,
        }
    }

    /// Whether a port is in data mode with this socket.
    fn is_transparent(&self, port: usize, id: SocketId) -> bool {
        self.ports.get(port).is_some_and(|port| {
            matches!(port.mode, Mode::Data) && port.connection.as_ref().is_some_and(|c| c.peer == Peer::Socket(id))
        })
    }

    fn socket_opened(&mut self, id: SocketId, local_port: u16, remote: Option<SocketAddr>, output: &mut Output) {
        let Some(socket) = self.state.sockets.get_mut(id) else { return };
        socket.deadline = None;
        socket.local_port = local_port;
        // A name is told as the address that it has; an address stays as the host has written it.
        if let Some(remote) = remote
            && socket.remote.parse::<IpAddr>().is_err()
        {
            socket.remote = remote.ip().to_string();
        }
        socket.state = match socket.service {
            Service::TcpListener => SocketState::Listening,
            _ => SocketState::Connected,
        };
        let (port, line) = (socket.port, format!("{}: {},0", socket.service.open(), socket.index));
        self.state.last_ip_error = None;
        if self.is_waiting(port, id) {
            if let Some(port) = self.ports.get_mut(port) {
                port.connection = Some(Connection::to(Peer::Socket(id)));
            }
            self.conclude_waiting(id, ResultCode::ConnectData, Next::Connect, output);
        } else {
            self.state.tell_port(port, line, None);
        }
    }

    fn is_waiting(&self, port: usize, id: SocketId) -> bool {
        self.ports.get(port).and_then(|port| port.waiting).is_some_and(|waiting| waiting.socket == id)
    }

    fn socket_received(&mut self, id: SocketId, bytes: Vec<u8>, from: Option<SocketAddr>, output: &mut Output) {
        let Some(socket) = self.state.sockets.get(id) else { return };
        if bytes.is_empty() || socket.state == SocketState::Closing {
            return;
        }
        let (port, mode, context) = (socket.port, socket.mode, socket.context);
        self.state.network.carry(context, 0, bytes.len() as u64, self.state.now);
        let is_transparent = mode == AccessMode::Transparent && self.is_transparent(port, id);
        let Some(socket) = self.state.sockets.get_mut(id) else { return };
        socket.total_received += bytes.len() as u64;
        if is_transparent {
            output.push(port, WriteKind::Response, bytes);
        } else if mode == AccessMode::DirectPush {
            let pieces: Vec<Told> =
                bytes.chunks(LONGEST_PUSHED).map(|piece| pushed(socket, from, piece.to_vec())).collect();
            self.state.told.extend(pieces.into_iter().map(|told| (port, told)));
        } else {
            socket.keep(from, bytes);
            if mode == AccessMode::Buffer && !std::mem::replace(&mut socket.told, true) {
                let line = format!("{}: \"recv\",{}", socket.service.urc(), socket.index);
                self.state.tell_port(port, line, None);
            }
        }
    }

    fn socket_accepted(&mut self, listener: SocketId, id: SocketId, remote: SocketAddr, local_port: u16) {
        let Some(port) = self.state.sockets.get(listener).map(|socket| socket.port) else {
            self.state.sockets.requests.push(SocketRequest::Close { id, abort: true });
            return;
        };
        let now = self.state.now;
        let line = match self.state.sockets.adopt(listener, id, remote, now) {
            Some(socket) => {
                let (index, server) = (socket.index, socket.server);
                format!("+QIURC: \"incoming\",{index},{server},\"{}\",{}", remote.ip(), remote.port())
            }
            None => {
                self.state.sockets.requests.push(SocketRequest::Close { id, abort: true });
                "+QIURC: \"incoming full\"".to_owned()
            }
        };
        if let Some(socket) = self.state.sockets.get_mut(id) {
            socket.local_port = local_port;
        }
        self.state.tell_port(port, line, None);
    }

    /// The other side has ended it. The place stays taken until the host closes it.
    fn socket_closed(&mut self, id: SocketId, output: &mut Output) {
        let Some(socket) = self.state.sockets.get_mut(id) else { return };
        match std::mem::replace(&mut socket.state, SocketState::Closing) {
            // The host closes it already, and hears of the end.
            SocketState::Closing => return,
            SocketState::Opening => return self.opening_failed(id, IpError::SocketClosed, output),
            SocketState::Connected | SocketState::Listening => {}
        }
        socket.deadline = None;
        let (index, line) = (socket.port, format!("{}: \"closed\",{}", socket.service.urc(), socket.index));
        let is_transparent = self.is_transparent(index, id);
        if let Some(port) = self.ports.get_mut(index)
            && port.connection.as_ref().is_some_and(|connection| connection.peer == Peer::Socket(id))
        {
            port.connection = None;
            if is_transparent {
                // EC200U&EG915U SSL AN 1.1 §1.3: NO CARRIER stands for the URC.
                port.mode = Mode::Command;
                let mut response = Vec::new();
                ResultCode::Failed(Failure::NoCarrier).write(&port.settings, &mut response);
                output.push(index, WriteKind::Response, response);
                return;
            }
        }
        self.state.tell_port(index, line, None);
    }

    fn socket_failed(&mut self, id: SocketId, error: IpError, output: &mut Output) {
        match self.state.sockets.get(id).map(|socket| socket.state) {
            None => {}
            Some(SocketState::Opening) => self.opening_failed(id, error, output),
            Some(SocketState::Closing) => {
                self.state.sockets.remove(id);
                self.conclude_waiting(id, ResultCode::Ok, Next::Nothing, output);
            }
            Some(SocketState::Connected | SocketState::Listening) => {
                self.state.last_ip_error = Some(error);
                self.socket_closed(id, output);
            }
        }
    }

    /// A socket could not be opened: its place is free again.
    fn opening_failed(&mut self, id: SocketId, error: IpError, output: &mut Output) {
        let Some(socket) = self.state.sockets.remove(id) else { return };
        self.state.last_ip_error = Some(error);
        if self.is_waiting(socket.port, id) {
            self.conclude_waiting(id, ResultCode::Failed(Failure::Error), Next::Nothing, output);
        } else {
            let line = format!("{}: {},{}", socket.service.open(), socket.index, error.code());
            self.state.tell_port(socket.port, line, None);
        }
    }

    /// Answers the command that waits for a socket, if one does.
    fn conclude_waiting(&mut self, id: SocketId, code: ResultCode, next: Next, output: &mut Output) {
        let is_it = |port: &crate::port::Port| port.waiting.is_some_and(|waiting| waiting.socket == id);
        let Some(index) = self.ports.iter().position(is_it) else { return };
        let Some(port) = self.ports.get_mut(index) else { return };
        port.waiting = None;
        let ahead = std::mem::take(&mut port.ahead);
        let mut response = Vec::new();
        code.write(&port.settings, &mut response);
        self.state.tap.event(ModemEvent::Response { port: index, text: &String::from_utf8_lossy(&response) });
        output.push(index, WriteKind::Response, response);
        self.follow(index, next, output);
        self.flush(output);
        self.feed(index, &ahead, output);
    }

    fn resolved(&mut self, id: SocketId, addresses: &[IpAddr]) {
        let Some((_, port)) = self.state.sockets.lookup.take_if(|(known, _)| *known == id) else { return };
        if addresses.is_empty() {
            self.state.last_ip_error = Some(IpError::DnsFailed);
            let code = IpError::DnsFailed.code();
            return self.state.tell_port(port, format!("+QIURC: \"dnsgip\",{code},0,0"), None);
        }
        let count = addresses.len();
        self.state.tell_port(port, format!("+QIURC: \"dnsgip\",0,{count},{TIME_TO_LIVE}"), None);
        for address in addresses {
            self.state.tell_port(port, format!("+QIURC: \"dnsgip\",\"{address}\""), None);
        }
    }

    /// Bytes of a host for the link over a packet data context.
    pub(crate) fn link_received(&mut self, index: usize, bytes: &[u8], output: &mut Output) {
        let Some(port) = self.ports.get_mut(index) else { return };
        let Some(link) = port.connection.as_mut().and_then(|connection| connection.link.as_mut()) else { return };
        let answer = link.receive(bytes);
        output.push(index, WriteKind::Response, answer.bytes);
        if answer.is_over {
            self.end_link(index, output);
        }
    }

    /// Ends the links whose context is gone.
    pub(crate) fn end_links(&mut self, output: &mut Output) {
        for index in 0..self.ports.len() {
            let peer =
                self.ports.get(index).and_then(|port| port.connection.as_ref()).map(|connection| connection.peer);
            if let Some(Peer::Packets(cid)) = peer
                && self.state.pdp.bearer(cid).is_none()
            {
                self.end_link(index, output);
            }
        }
    }

    fn end_link(&mut self, index: usize, output: &mut Output) {
        let Some(port) = self.ports.get_mut(index) else { return };
        port.connection = None;
        if matches!(port.mode, Mode::Data) {
            port.mode = Mode::Command;
            let mut response = Vec::new();
            ResultCode::Failed(Failure::NoCarrier).write(&port.settings, &mut response);
            output.push(index, WriteKind::Response, response);
        }
    }

    /// What has taken too long.
    pub(crate) fn expire_sockets(&mut self, output: &mut Output) {
        for id in self.state.sockets.expired(self.state.now) {
            self.state.sockets.requests.push(SocketRequest::Close { id, abort: true });
            self.socket_failed(id, IpError::Timeout, output);
        }
    }

    /// Ends what has lost its context.
    pub(crate) fn end_lost(&mut self, output: &mut Output) {
        for (id, by_device) in std::mem::take(&mut self.state.lost) {
            self.state.sockets.requests.push(SocketRequest::Close { id, abort: true });
            self.socket_failed(id, IpError::ContextBroken, output);
            if by_device {
                // EC200U&EG915U TCP/IP AN 1.1 §2.4.4: all connections of the context are closed.
                self.state.sockets.remove(id);
                self.state.told.retain(|(_, told)| told.data.is_some() || !told.line.contains("\"closed\""));
            }
        }
    }

    /// What a transparent connection has kept while its port was in command mode.
    pub(crate) fn release(&mut self, index: usize, id: SocketId, output: &mut Output) {
        let Some(socket) = self.state.sockets.get_mut(id) else { return };
        loop {
            let (_, data) = socket.take(usize::MAX);
            if data.is_empty() {
                break;
            }
            output.push(index, WriteKind::Response, data);
        }
    }
}
