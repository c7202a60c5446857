//! Real sockets of this machine for what a modem opens.
//!
//! ```text
//! SocketRequest -> HostSockets::perform -> a task per socket <-> TCP, UDP, TLS, DTLS
//!                                              |
//!                        Core::event  <--------+   (SocketEvent, with the room of Core::room before each read)
//! ```
//!
//! A modem reaches this machine only (loopback), unless its [`HostNetwork`] says otherwise, and knows the names of that
//! network before any other.

mod stream;
mod tls;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::ip_error::IpError;
use crate::socket::{SocketEvent, SocketId, SocketRequest, TlsSettings, Transport};

pub(crate) use stream::Outgoing;

/// Connections that wait to be taken.
const BACKLOG: u32 = 16;

/// What the sockets of a modem reach.
#[derive(Debug, Clone, Default)]
pub struct HostNetwork {
    names: BTreeMap<String, Vec<IpAddr>>,
    routes: BTreeMap<(String, u16), SocketAddr>,
    anywhere: bool,
}

impl HostNetwork {
    /// This machine, and no name but `localhost`.
    pub fn loopback() -> Self {
        HostNetwork::default()
    }

    /// Gives a name an address.
    pub fn name(mut self, name: &str, address: IpAddr) -> Self {
        self.names.entry(name.to_ascii_lowercase()).or_default().push(address);
        self
    }

    /// Leads what goes to a host (a name or an address) and port to another place.
    pub fn route(mut self, host: &str, port: u16, to: SocketAddr) -> Self {
        self.routes.insert((host.to_ascii_lowercase(), port), to);
        self
    }

    /// Lets the modem reach every address, and look up names where this machine does.
    pub fn anywhere(mut self) -> Self {
        self.anywhere = true;
        self
    }

    /// The addresses of a name. The table of this network comes first.
    async fn look_up(&self, host: &str, resolves: bool) -> Result<Vec<IpAddr>, IpError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        if !resolves {
            return Err(IpError::DnsFailed);
        }
        let host = host.to_ascii_lowercase();
        if let Some(addresses) = self.names.get(&host) {
            return Ok(addresses.clone());
        }
        if host == "localhost" {
            return Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        }
        if !self.anywhere {
            return Err(IpError::DnsFailed);
        }
        let found = tokio::net::lookup_host((host.as_str(), 0)).await.map_err(|_| IpError::DnsFailed)?;
        Ok(found.map(|address| address.ip()).collect())
    }

    /// Where a connection to this host and port goes.
    async fn find(&self, host: &str, port: u16, resolves: bool) -> Result<SocketAddr, IpError> {
        if let Some(to) = self.routes.get(&(host.to_ascii_lowercase(), port)) {
            return Ok(*to);
        }
        let addresses = self.look_up(host, resolves).await?;
        let address = addresses.first().ok_or(IpError::DnsFailed)?;
        if !self.anywhere && !address.is_loopback() {
            return Err(IpError::Blocked);
        }
        Ok(SocketAddr::new(*address, port))
    }

    /// The address that a socket of this module has here.
    fn local(&self, like: IpAddr) -> IpAddr {
        match (like, self.anywhere) {
            (IpAddr::V4(_), false) => Ipv4Addr::LOCALHOST.into(),
            (IpAddr::V4(_), true) => Ipv4Addr::UNSPECIFIED.into(),
            (IpAddr::V6(_), false) => Ipv6Addr::LOCALHOST.into(),
            (IpAddr::V6(_), true) => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

/// The modem that sockets belong to.
pub(crate) trait Core: Send + Sync + 'static {
    /// Something has happened.
    fn event(&self, event: SocketEvent);
    /// Waits until the modem takes bytes for a socket; gives how many.
    fn room(&self, id: SocketId) -> impl Future<Output = usize> + Send;
}

/// A socket that is open, or is being opened.
struct Open {
    outgoing: mpsc::UnboundedSender<Outgoing>,
    task: AbortHandle,
}

/// The sockets of one modem.
pub(crate) struct HostSockets {
    network: HostNetwork,
    runtime: Handle,
    open: Mutex<HashMap<SocketId, Open>>,
    accepted: AtomicU64,
}

impl HostSockets {
    pub(crate) fn new(network: HostNetwork, runtime: Handle) -> Self {
        HostSockets { network, runtime, open: Mutex::default(), accepted: AtomicU64::new(0) }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<SocketId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what the modem asks for. It does not wait for anything.
    pub(crate) fn perform<C: Core>(self: &Arc<Self>, core: &Arc<C>, request: SocketRequest) {
        match request {
            SocketRequest::Open { id, transport, host, port, local_port, resolves, tls } => {
                let target = Target { transport, host, port, local_port, resolves, tls };
                self.spawn(core, id, |sockets, core, outgoing| async move {
                    open(&sockets, &core, id, target, outgoing).await
                });
            }
            SocketRequest::Listen { id, transport: Transport::Tcp, local_port } => {
                self.spawn(core, id, |sockets, core, outgoing| async move {
                    listen(&sockets, &core, id, local_port, outgoing).await
                });
            }
            SocketRequest::Listen { id, transport: Transport::Udp, local_port } => {
                self.spawn(core, id, |sockets, core, outgoing| async move {
                    let address = SocketAddr::new(sockets.network.local(Ipv4Addr::UNSPECIFIED.into()), local_port);
                    let socket = UdpSocket::bind(address).await.map_err(|_| IpError::BindFailed)?;
                    core.event(SocketEvent::Opened { id, local_port, remote: None });
                    stream::serve_datagrams(&*core, id, socket, outgoing, sockets.network.anywhere).await;
                    Ok(())
                });
            }
            SocketRequest::Send { id, bytes, to } => {
                if let Some(open) = self.open().get(&id) {
                    // A task that has ended has told so.
                    let _ = open.outgoing.send(Outgoing::Bytes(bytes, to));
                }
            }
            SocketRequest::Close { id, abort: true } => {
                if let Some(open) = self.open().remove(&id) {
                    open.task.abort();
                }
            }
            SocketRequest::Close { id, abort: false } => {
                let is_told = self.open().get(&id).is_some_and(|open| open.outgoing.send(Outgoing::Close).is_ok());
                if !is_told {
                    // It is gone already. The modem is at work: the event has to wait for it.
                    let core = Arc::clone(core);
                    self.runtime.spawn(async move { core.event(SocketEvent::Ended { id }) });
                }
            }
            SocketRequest::Resolve { id, host, resolves } => {
                let (sockets, core) = (Arc::clone(self), Arc::clone(core));
                self.runtime.spawn(async move {
                    let addresses = sockets.network.look_up(&host, resolves).await.unwrap_or_default();
                    core.event(SocketEvent::Resolved { id, addresses });
                });
            }
        }
    }

    /// Has a task work for a socket, and tells when it has failed.
    fn spawn<C, F, W>(self: &Arc<Self>, core: &Arc<C>, id: SocketId, work: W)
    where
        C: Core,
        F: Future<Output = Result<(), IpError>> + Send + 'static,
        W: FnOnce(Arc<Self>, Arc<C>, mpsc::UnboundedReceiver<Outgoing>) -> F,
    {
        let (outgoing, receiver) = mpsc::unbounded_channel();
        let work = work(Arc::clone(self), Arc::clone(core), receiver);
        let core = Arc::clone(core);
        let mut open = self.open();
        let task = self.runtime.spawn(async move {
            if let Err(error) = work.await {
                core.event(SocketEvent::Failed { id, error });
            }
        });
        open.insert(id, Open { outgoing, task: task.abort_handle() });
        open.retain(|_, open| !open.task.is_finished());
    }

    /// Ends all of them.
    pub(crate) fn abort_all(&self) {
        for (_, open) in self.open().drain() {
            open.task.abort();
        }
    }
}

/// Where a socket goes.
struct Target {
    transport: Transport,
    host: String,
    port: u16,
    local_port: u16,
    resolves: bool,
    tls: Option<Box<TlsSettings>>,
}

async fn open<C: Core>(
    sockets: &HostSockets,
    core: &Arc<C>,
    id: SocketId,
    target: Target,
    outgoing: mpsc::UnboundedReceiver<Outgoing>,
) -> Result<(), IpError> {
    let network = &sockets.network;
    let remote = network.find(&target.host, target.port, target.resolves).await?;
    let local = SocketAddr::new(network.local(remote.ip()), target.local_port);
    match target.transport {
        Transport::Tcp => {
            let stream = connect(remote, local).await?;
            let local_port = stream.local_addr().map_or(0, |address| address.port());
            let opened = SocketEvent::Opened { id, local_port, remote: Some(remote) };
            match target.tls {
                None => {
                    core.event(opened);
                    stream::serve(&**core, id, stream, outgoing, true).await;
                }
                Some(tls) => {
                    core.event(SocketEvent::Negotiating { id });
                    let stream = tls::connect(stream, &tls, &target.host).await?;
                    core.event(opened);
                    stream::serve(&**core, id, stream, outgoing, true).await;
                }
            }
        }
        Transport::Udp => {
            let socket = UdpSocket::bind(local).await.map_err(|_| IpError::BindFailed)?;
            socket.connect(remote).await.map_err(|_| IpError::ConnectFailed)?;
            let local_port = socket.local_addr().map_or(0, |address| address.port());
            let opened = SocketEvent::Opened { id, local_port, remote: Some(remote) };
            match target.tls {
                None => {
                    core.event(opened);
                    stream::exchange_datagrams(&**core, id, socket, outgoing).await;
                }
                Some(tls) => {
                    core.event(SocketEvent::Negotiating { id });
                    let stream = tls::connect(stream::Datagrams(socket), &tls, &target.host).await?;
                    core.event(opened);
                    stream::serve(&**core, id, stream, outgoing, false).await;
                }
            }
        }
    }
    Ok(())
}

async fn connect(remote: SocketAddr, local: SocketAddr) -> Result<TcpStream, IpError> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|_| IpError::CreateFailed)?;
    if local.port() != 0 {
        socket.bind(local).map_err(|_| IpError::BindFailed)?;
    }
    let stream = socket.connect(remote).await.map_err(|_| IpError::ConnectFailed)?;
    // Latency matters more here than the number of packets. A socket without it works as well.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn listen<C: Core>(
    sockets: &Arc<HostSockets>,
    core: &Arc<C>,
    id: SocketId,
    local_port: u16,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
) -> Result<(), IpError> {
    let socket = TcpSocket::new_v4().map_err(|_| IpError::CreateFailed)?;
    socket.set_reuseaddr(true).map_err(|_| IpError::CreateFailed)?;
    let address = SocketAddr::new(sockets.network.local(Ipv4Addr::UNSPECIFIED.into()), local_port);
    socket.bind(address).map_err(|_| IpError::BindFailed)?;
    let listener: TcpListener = socket.listen(BACKLOG).map_err(|_| IpError::ListenFailed)?;
    core.event(SocketEvent::Opened { id, local_port, remote: None });
    loop {
        let (stream, remote) = tokio::select! {
            accepted = listener.accept() => accepted.map_err(|_| IpError::AcceptFailed)?,
            // There is nothing to send; whatever comes ends it.
            _ = outgoing.recv() => {
                core.event(SocketEvent::Ended { id });
                return Ok(());
            }
        };
        let number = sockets.accepted.fetch_add(1, Ordering::Relaxed);
        let accepted = SocketId(SocketId::ACCEPTED | number);
        let told = SocketEvent::Accepted { listener: id, id: accepted, remote, local_port };
        sockets.spawn(core, accepted, |_, core, outgoing| async move {
            // The modem knows of it before anything comes.
            core.event(told);
            stream::serve(&*core, accepted, stream, outgoing, true).await;
            Ok(())
        });
    }
}
