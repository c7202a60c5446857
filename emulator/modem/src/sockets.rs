//! The sockets of the module's own stack: twelve places, each free or taken by a connection, a listener or a service.
//!
//! ```text
//! +QIOPEN, +QSSLOPEN -> Sockets::open -> SocketRequest -> (real sockets) -> SocketEvent
//!                                                                              |
//!      buffer access: kept here, +QIRD and +QSSLRECV take it                <--+
//!      direct push:   to the port behind a URC                              <--+
//!      transparent:   to the port as it is, while that is in data mode      <--+
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::ip_error::IpError;
use crate::socket::{SocketId, SocketRequest};

/// How many sockets there are.
pub(crate) const COUNT: u8 = 12;

/// What a socket keeps for a host that does not read. The other side is not read any further then.
const RECEIVE_BUFFER: usize = 64 * 1024;

/// What a socket keeps for the network (EC200U&EG915U TCP/IP AN 1.1 §2.4.10, `<Freesize>`).
pub(crate) const SEND_BUFFER: usize = 10_240;

/// What a transparent connection keeps for the network, before the port stops taking more.
const TRANSPARENT_BUFFER: usize = 256 * 1024;

/// How long opening may take (EC200U&EG915U SSL AN 1.1 §2.2.2).
const OPENING: Duration = Duration::from_secs(150);

/// `<access_mode>`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum AccessMode {
    #[default]
    Buffer = 0,
    DirectPush = 1,
    Transparent = 2,
}

impl AccessMode {
    pub(crate) fn numbered(number: u32) -> Self {
        match number {
            1 => AccessMode::DirectPush,
            2 => AccessMode::Transparent,
            _ => AccessMode::Buffer,
        }
    }
}

/// `<service_type>`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Tcp,
    Udp,
    TcpListener,
    TcpIncoming,
    /// Datagrams to and from anybody.
    UdpAnyone,
    /// A TLS connection, with the SSL context that it was made from.
    Ssl(u8),
}

impl Service {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Tcp => "TCP",
            Service::Udp => "UDP",
            Service::TcpListener => "TCP LISTENER",
            Service::TcpIncoming => "TCP INCOMING",
            Service::UdpAnyone => "UDP SERVICE",
            Service::Ssl(_) => "SSLClient",
        }
    }

    pub(crate) fn is_ssl(self) -> bool {
        matches!(self, Service::Ssl(_))
    }

    /// What URCs of such a socket begin with.
    pub(crate) fn urc(self) -> &'static str {
        if self.is_ssl() { "+QSSLURC" } else { "+QIURC" }
    }

    /// What the outcome of opening one begins with.
    pub(crate) fn open(self) -> &'static str {
        if self.is_ssl() { "+QSSLOPEN" } else { "+QIOPEN" }
    }
}

/// `<socket_state>`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SocketState {
    Opening = 1,
    Connected = 2,
    Listening = 3,
    Closing = 4,
}

/// One socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) id: SocketId,
    /// `<connectID>`, `<clientID>`
    pub(crate) index: u8,
    pub(crate) service: Service,
    /// The packet data context.
    pub(crate) context: u8,
    /// `<serverID>`: the listener of an incoming connection, or the socket itself.
    pub(crate) server: u8,
    /// The AT port that has opened it: what it has to tell goes there.
    pub(crate) port: usize,
    pub(crate) mode: AccessMode,
    pub(crate) state: SocketState,
    /// The other side as the host has named it, until its address is known.
    pub(crate) remote: String,
    pub(crate) remote_port: u16,
    pub(crate) local_port: u16,
    /// How long TLS may take to stand.
    pub(crate) negotiation: Duration,
    /// When opening or closing has taken too long.
    pub(crate) deadline: Option<Duration>,
    /// What has come and was not read yet, in pieces as it came.
    received: VecDeque<(Option<SocketAddr>, Vec<u8>)>,
    /// How many bytes that is.
    pub(crate) unread: usize,
    /// A URC has told that there is something; another follows only when all was read.
    pub(crate) told: bool,
    /// Bytes that have come, in all.
    pub(crate) total_received: u64,
    /// Bytes that were handed out for sending, in all.
    pub(crate) total_sent: u64,
    /// Of these, bytes that have not gone yet.
    pub(crate) unsent: usize,
}

/// What opening a socket takes.
pub(crate) struct Opening {
    pub(crate) index: u8,
    pub(crate) service: Service,
    pub(crate) context: u8,
    pub(crate) port: usize,
    pub(crate) mode: AccessMode,
    pub(crate) remote: String,
    pub(crate) remote_port: u16,
    pub(crate) local_port: u16,
    pub(crate) negotiation: Duration,
    /// How long the transport may take to stand.
    pub(crate) timeout: Option<Duration>,
}

impl Socket {
    fn new(id: SocketId, opening: Opening, now: Duration) -> Self {
        let Opening { index, service, context, port, mode, remote, remote_port, local_port, negotiation, timeout } =
            opening;
        Socket {
            id,
            index,
            service,
            context,
            server: index,
            port,
            mode,
            state: SocketState::Opening,
            remote,
            remote_port,
            local_port,
            negotiation,
            deadline: Some(now + timeout.unwrap_or(OPENING)),
            received: VecDeque::new(),
            unread: 0,
            told: false,
            total_received: 0,
            total_sent: 0,
            unsent: 0,
        }
    }

    /// Keeps what has come.
    pub(crate) fn keep(&mut self, from: Option<SocketAddr>, bytes: Vec<u8>) {
        self.unread += bytes.len();
        self.received.push_back((from, bytes));
    }

    /// Takes at most so many bytes of what has come: of a stream as many as there are, else the next datagram.
    pub(crate) fn take(&mut self, most: usize) -> (Option<SocketAddr>, Vec<u8>) {
        let mut taken = Vec::new();
        let mut sender = None;
        while let Some((from, piece)) = self.received.front_mut() {
            sender = *from;
            let count = piece.len().min(most - taken.len());
            taken.extend(piece.drain(..count));
            // What a read leaves of a datagram is lost with it only when the host does not ask again.
            let is_done = piece.is_empty();
            if is_done {
                self.received.pop_front();
            }
            if matches!(self.service, Service::UdpAnyone | Service::Udp) || taken.len() == most || !is_done {
                break;
            }
        }
        self.unread -= taken.len();
        if self.unread == 0 {
            self.told = false;
        }
        (sender, taken)
    }

    /// How many bytes more the socket can keep.
    pub(crate) fn room(&self) -> usize {
        RECEIVE_BUFFER.saturating_sub(self.unread)
    }

    /// Whether the port of a transparent connection has to wait.
    pub(crate) fn is_congested(&self) -> bool {
        self.unsent >= TRANSPARENT_BUFFER
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    sockets: Vec<Socket>,
    next: u64,
    /// What is to be done outside, in this order.
    pub(crate) requests: Vec<SocketRequest>,
    /// The name that is being looked up, and the port that has asked.
    pub(crate) lookup: Option<(SocketId, usize)>,
}

impl Sockets {
    fn fresh(&mut self) -> SocketId {
        let id = SocketId(self.next);
        self.next += 1;
        id
    }

    /// All that are taken, by index.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter()
    }

    /// The one with this index.
    pub(crate) fn at(&self, index: u8) -> Option<&Socket> {
        self.sockets.iter().find(|socket| socket.index == index)
    }

    pub(crate) fn at_mut(&mut self, index: u8) -> Option<&mut Socket> {
        self.sockets.iter_mut().find(|socket| socket.index == index)
    }

    /// The one with this id.
    pub(crate) fn get(&self, id: SocketId) -> Option<&Socket> {
        self.sockets.iter().find(|socket| socket.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: SocketId) -> Option<&mut Socket> {
        self.sockets.iter_mut().find(|socket| socket.id == id)
    }

    /// Takes a place. It is up to the caller to have something opened for the id.
    pub(crate) fn open(&mut self, opening: Opening, now: Duration) -> Result<SocketId, IpError> {
        if self.at(opening.index).is_some() {
            return Err(IpError::IdentityUsed);
        }
        let id = self.fresh();
        self.insert(Socket::new(id, opening, now));
        Ok(id)
    }

    fn insert(&mut self, socket: Socket) {
        let at = self.sockets.partition_point(|other| other.index < socket.index);
        self.sockets.insert(at, socket);
    }

    /// Takes a place for a connection that a listener has taken; `None` when all are.
    pub(crate) fn adopt(
        &mut self,
        listener: SocketId,
        id: SocketId,
        remote: SocketAddr,
        now: Duration,
    ) -> Option<&Socket> {
        let listener = self.get(listener)?.clone();
        let index = (0..COUNT).find(|index| self.at(*index).is_none())?;
        let opening = Opening {
            index,
            service: Service::TcpIncoming,
            context: listener.context,
            port: listener.port,
            // TCP/IP AN 1.1 §2.4.7: the mode of the listener, which cannot be the transparent one.
            mode: listener.mode,
            remote: remote.ip().to_string(),
            remote_port: remote.port(),
            local_port: listener.local_port,
            negotiation: Duration::ZERO,
            timeout: None,
        };
        let mut socket = Socket::new(id, opening, now);
        (socket.server, socket.state, socket.deadline) = (listener.index, SocketState::Connected, None);
        self.insert(socket);
        self.at(index)
    }

    /// Hands bytes out for sending.
    pub(crate) fn send(&mut self, id: SocketId, bytes: Vec<u8>, to: Option<SocketAddr>) {
        if bytes.is_empty() {
            return;
        }
        if let Some(socket) = self.get_mut(id) {
            socket.unsent += bytes.len();
            socket.total_sent += bytes.len() as u64;
            self.requests.push(SocketRequest::Send { id, bytes, to });
        }
    }

    /// Gives a place up, and has what is behind it closed at once.
    pub(crate) fn abort(&mut self, id: SocketId) -> Option<Socket> {
        let at = self.sockets.iter().position(|socket| socket.id == id)?;
        self.requests.push(SocketRequest::Close { id, abort: true });
        Some(self.sockets.remove(at))
    }

    /// Gives a place up; what was behind it is gone already.
    pub(crate) fn remove(&mut self, id: SocketId) -> Option<Socket> {
        let at = self.sockets.iter().position(|socket| socket.id == id)?;
        Some(self.sockets.remove(at))
    }

    /// Gives all places up.
    pub(crate) fn abort_all(&mut self) {
        for socket in std::mem::take(&mut self.sockets) {
            self.requests.push(SocketRequest::Close { id: socket.id, abort: true });
        }
        self.lookup = None;
    }

    /// Looks a name up, one at a time.
    pub(crate) fn look_up(&mut self, host: String, resolves: bool, port: usize) -> Result<(), IpError> {
        if self.lookup.is_some() {
            return Err(IpError::DnsBusy);
        }
        let id = self.fresh();
        self.lookup = Some((id, port));
        self.requests.push(SocketRequest::Resolve { id, host, resolves });
        Ok(())
    }

    /// When something has taken too long.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.sockets.iter().filter_map(|socket| socket.deadline).min()
    }

    /// The sockets whose time is over.
    pub(crate) fn expired(&self, now: Duration) -> Vec<SocketId> {
        let is_over = |socket: &&Socket| socket.deadline.is_some_and(|due| due <= now);
        self.sockets.iter().filter(is_over).map(|socket| socket.id).collect()
    }
}
