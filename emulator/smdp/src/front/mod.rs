//! The HTTPS front of SM-DP+ and SM-DS: ES9+, ES11, ES2+ and ES12 over TLS (SGP.22 §6.1, §6.5, §6.6).
//!
//! Connection → TLS → HTTP/1.1, kept alive (`listen`) → `POST /gsma/rsp2/es9plus/<function>` or `/gsma/rsp2/asn1`
//! (`http`, [`json`]) → [`Request`](crate::server::Request) → the shared server, its cryptography on threads of their
//! own, and what has changed is kept (`call`) → response. The front owns no state but its faults; it runs on the tokio
//! runtime it is started in and stops when the [`Server`] is dropped.

mod asn1;
mod body;
mod call;
mod client;
mod es2;
mod fault;
mod fault_spec;
mod http;
pub mod json;
mod listen;
mod observe;
mod tls;
mod traffic;
mod workers;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::HeaderValue;
use openssl::error::ErrorStack;
use rsp::cert::Certificate;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::server::{Identity, Smdp};
use crate::smds::Smds;
use crate::status::StatusError;
use crate::store::Store;
use call::{Backend, Front};
use fault::Faults;
use listen::{Acceptors, accept};

pub use client::ClientOptions;
pub(crate) use es2::timestamp;
pub use fault::{Action, Armed, Fault, SegmentPart, TlsFlaw};
pub(crate) use fault_spec::vocabulary;
pub use fault_spec::{FaultError, FaultSpec};
pub use json::Function;
pub use observe::{Exchange, FaultFired, Observer, Unobserved};
pub use traffic::{End, Tap, Traffic};

/// A server that front, lab and tests share.
pub type SharedSmdp = Arc<Mutex<Smdp>>;

/// The same of an SM-DS.
pub type SharedSmds = Arc<Mutex<Smds>>;

/// Where a front gets the time from, Unix seconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The release of SGP.22 that the front speaks (`X-Admin-Protocol`, SGP.22 §6.5.1.1).
const ADMIN_PROTOCOL: HeaderValue = HeaderValue::from_static("gsma/rsp/v2.5.0");
const ADMIN_PROTOCOL_NAME: &str = "x-admin-protocol";

/// How many things to be sent to others may wait.
const MAX_OUTGOING: usize = 10_000;

/// How a front behaves.
#[derive(Clone)]
pub struct Options {
    /// The longest body of a request that is read, in bytes.
    pub body_limit: usize,
    /// How long a client may take for the TLS handshake, and for the head of a request.
    pub patience: Duration,
    /// How many connections are served at the same time; more of them wait.
    pub max_connections: usize,
    /// The time.
    pub clock: Clock,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// Who records the bytes of all connections and the secrets of their TLS.
    pub tap: Option<Arc<dyn Tap>>,
    /// The faults.
    pub faults: Vec<Fault>,
    /// Makes the TLS certificates that faults put in the place of the right one. It is asked when a fault needs one:
    /// faults come and go while the server runs.
    pub flawed: Flawed,
    /// Where what has changed is kept, before the response that tells of it goes out.
    pub store: Option<Arc<Store>>,
    /// The CIs under which operators and SM-DP+s need a client certificate; any may call when there is none.
    pub client_ca: Vec<Certificate>,
    /// How the server calls others.
    pub client: ClientOptions,
    /// The operator that is told of the progress of downloads: host and port.
    pub operator: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            // A bound profile package comes from the server: what a client sends is small.
            body_limit: 256 * 1024,
            patience: Duration::from_secs(30),
            max_connections: 4096,
            clock: Arc::new(system_time),
            observer: Arc::new(Unobserved),
            tap: None,
            faults: Vec::new(),
            flawed: Arc::new(|_| None),
            store: None,
            client_ca: Vec::new(),
            client: ClientOptions::default(),
            operator: None,
        }
    }
}

/// Makes the TLS certificate that has this flaw; `None` when it cannot, for want of the CI's key, say.
/// [`TlsFlaw::OldVersion`] needs none.
pub type Flawed = Arc<dyn Fn(TlsFlaw) -> Option<Identity> + Send + Sync>;

/// The system's time, Unix seconds.
pub fn system_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or_default()
}

/// A front that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificate or its key cannot serve.
    #[error("the TLS certificate of the server cannot be used: {0}")]
    Tls(#[from] ErrorStack),
    /// The listener cannot be used.
    #[error("the listener of the server cannot be used: {0}")]
    Listener(#[from] io::Error),
    /// A fault cannot happen here.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// There is no tokio runtime.
    #[error("the front of the server has to be started inside a tokio runtime")]
    NoRuntime,
}

/// Whether a fault can happen in a front with these options.
fn possible(options: &Options, fault: &Fault) -> Result<(), FaultError> {
    match fault.action {
        Action::TlsFlaw(flaw) if flaw != TlsFlaw::OldVersion && (options.flawed)(flaw).is_none() => {
            Err(FaultError::Certificate(flaw))
        }
        _ => Ok(()),
    }
}

/// A front that runs. It stops, with all its connections, when it is dropped.
struct Running {
    address: SocketAddr,
    front: Arc<Front>,
    acceptors: Arc<Acceptors>,
    task: Mutex<JoinHandle<()>>,
    sender: Option<JoinHandle<()>>,
    closing: watch::Sender<bool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.abort();
        if let Some(sender) = &self.sender {
            sender.abort();
        }
    }
}

impl Running {
    fn start(listener: TcpListener, backend: Backend, tls: &Identity, options: Options) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        for fault in &options.faults {
            possible(&options, fault)?;
        }
        let acceptors = Arc::new(Acceptors::new(tls, &options)?);
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (outgoing, queue) = match &backend {
            Backend::Smdp(_) => {
                let (sender, queue) = mpsc::channel(MAX_OUTGOING);
                (Some(sender), Some(queue))
            }
            Backend::Smds(_) => (None, None),
        };
        let front = Arc::new(Front::new(backend, options, outgoing));
        let sender = queue.map(|mut queue| {
            let front = front.clone();
            runtime.spawn(async move {
                while let Some(outgoing) = queue.recv().await {
                    front.send(outgoing).await;
                }
            })
        });
        let (closing, closed) = watch::channel(false);
        let task = Mutex::new(runtime.spawn(accept(listener, acceptors.clone(), front.clone(), closed)));
        Ok(Running { address, front, acceptors, task, sender, closing })
    }

    fn abort(&self) {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).abort();
    }

    /// Closes the listener and all connections.
    async fn suspend(&self) {
        self.abort();
        // The task drops what it holds as it ends.
        std::future::poll_fn(|context| {
            let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
            match task.is_finished() {
                true => Poll::Ready(()),
                false => Pin::new(&mut *task).poll(context).map(drop),
            }
        })
        .await;
    }

    /// Listens again, at the same address.
    fn resume(&self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address)?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let accepting = accept(listener, self.acceptors.clone(), self.front.clone(), self.closing.subscribe());
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = tokio::spawn(accepting);
        Ok(())
    }

    /// Takes no more connections, finishes what is under way, and waits for it so long.
    async fn shut_down(mut self, patience: Duration) {
        self.closing.send_replace(true);
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = tokio::time::timeout(patience, task).await;
    }

    async fn stop(self) {
        self.suspend().await;
    }
}

/// The front of an SM-DP+.
pub struct Server {
    running: Running,
    smdp: SharedSmdp,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.running.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Serves on a listener, with this TLS certificate. Has to be called inside a tokio runtime with I/O and time.
    pub fn start(
        listener: TcpListener,
        smdp: SharedSmdp,
        tls: &Identity,
        options: Options,
    ) -> Result<Self, StartError> {
        let running = Running::start(listener, Backend::Smdp(smdp.clone()), tls, options)?;
        Ok(Server { running, smdp })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Stops, and waits until nothing listens any more.
    pub async fn stop(self) {
        self.running.stop().await;
    }

    /// Takes no more connections, finishes what is under way, and waits for it so long at most.
    pub async fn shut_down(self, patience: Duration) {
        self.running.shut_down(patience).await;
    }

    /// Closes the listener and all connections, as a server does that is switched off: whoever calls is refused.
    /// Sessions and orders stay.
    pub async fn suspend(&self) {
        self.running.suspend().await;
    }

    /// Listens again at the same address, after [`Server::suspend`].
    pub fn resume(&self) -> io::Result<()> {
        self.running.resume()
    }

    /// The server behind it.
    pub fn smdp(&self) -> &SharedSmdp {
        &self.smdp
    }

    /// Looks at the server or changes it in one whole step, as a function would: what has changed is kept, and what
    /// has happened is told, before this is done.
    pub async fn change<T>(&self, act: impl FnOnce(&mut Smdp, i64) -> T) -> Result<T, StatusError> {
        self.running.front.with_smdp(act).await
    }

    /// Something from outside that changes the server while this front runs, and while it shuts down.
    pub(crate) fn handle(&self) -> Handle {
        Handle(self.running.front.clone())
    }

    /// Replaces all faults; each begins to count anew. When one of them cannot happen here all stay as they were.
    pub fn set_faults(&self, faults: Vec<Fault>) -> Result<(), FaultError> {
        self.handle().set_faults(faults)
    }

    /// Adds a fault, unless it cannot happen here.
    pub fn add_fault(&self, fault: Fault) -> Result<(), FaultError> {
        self.handle().add_fault(fault)
    }

    /// The faults, and how often each has had its occasion.
    pub fn faults(&self) -> Vec<Armed> {
        self.running.front.faults.list()
    }
}

/// A way to a front for other tasks.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Front>);

impl Handle {
    pub(crate) async fn change<T>(&self, act: impl FnOnce(&mut Smdp, i64) -> T) -> Result<T, StatusError> {
        self.0.with_smdp(act).await
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.0.faults
    }

    pub(crate) fn set_faults(&self, faults: Vec<Fault>) -> Result<(), FaultError> {
        for fault in &faults {
            possible(&self.0.options, fault)?;
        }
        self.0.faults.set(faults);
        Ok(())
    }

    pub(crate) fn add_fault(&self, fault: Fault) -> Result<(), FaultError> {
        possible(&self.0.options, &fault)?;
        self.0.faults.add(fault);
        Ok(())
    }
}

/// The front of an SM-DS.
pub struct SmdsServer {
    running: Running,
    smds: SharedSmds,
}

impl std::fmt::Debug for SmdsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmdsServer").field("address", &self.running.address).finish_non_exhaustive()
    }
}

impl SmdsServer {
    /// Serves on a listener, with this TLS certificate. Has to be called inside a tokio runtime with I/O and time.
    pub fn start(
        listener: TcpListener,
        smds: SharedSmds,
        tls: &Identity,
        options: Options,
    ) -> Result<Self, StartError> {
        let running = Running::start(listener, Backend::Smds(smds.clone()), tls, options)?;
        Ok(SmdsServer { running, smds })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// The server behind it.
    pub fn smds(&self) -> &SharedSmds {
        &self.smds
    }

    /// Takes no more connections, finishes what is under way, and waits for it so long at most.
    pub async fn shut_down(self, patience: Duration) {
        self.running.shut_down(patience).await;
    }
}

#[cfg(test)]
mod tests;
