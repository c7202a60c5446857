//! The HTTPS front of SM-DP+ and SM-DS: ES9+, ES11, ES2+ and ES12 over TLS (SGP.22 §6.1, §6.5, §6.6).
//!
//! Connection → TLS → HTTP/1.1, kept alive → `POST /gsma/rsp2/es9plus/<function>` ([`json`]) or `/gsma/rsp2/asn1` →
//! [`Request`](crate::server::Request) → the shared server, its cryptography on threads of their own → what has changed
//! is kept → response. The front owns no state but its faults; it runs on the tokio runtime it is started in and stops
//! when the [`Server`] is dropped.

mod asn1;
mod body;
mod client;
mod es2;
mod fault;
pub mod json;
mod observe;
mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslAcceptor};
use rsp::cert::Certificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_openssl::SslStream;

pub use client::ClientOptions;
pub(crate) use es2::timestamp;
pub use fault::{Action, Armed, Fault, FaultError, FaultSpec, SegmentPart, TlsFlaw};
pub use json::Function;
pub use observe::{Exchange, FaultFired, Observer, Unobserved};

use crate::server::work::Step;
use crate::server::{Answer, Identity, Outgoing, Request, Smdp, SmdpEvent};
use crate::smds::Smds;
use crate::status::{Status, StatusError};
use crate::store::{Store, Ticket};
use es2::PeerFunction;
use fault::{Faults, Occasion, Sought};

/// A server that front, lab and tests share.
pub type SharedSmdp = Arc<Mutex<Smdp>>;

/// The same of an SM-DS.
pub type SharedSmds = Arc<Mutex<Smds>>;

/// Where a front gets the time from, Unix seconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The release of SGP.22 that the front speaks (`X-Admin-Protocol`, SGP.22 §6.5.1.1).
const ADMIN_PROTOCOL: HeaderValue = HeaderValue::from_static("gsma/rsp/v2.5.0");
const ADMIN_PROTOCOL_NAME: &str = "x-admin-protocol";

/// Where the functions are (SGP.22 §6.5.2).
const ES9PLUS: &str = "/gsma/rsp2/es9plus/";
const ES11: &str = "/gsma/rsp2/es11/";
const ASN1: &str = "/gsma/rsp2/asn1";
/// The content type of the ASN.1 binding (SGP.22 §6.6.1).
const ASN1_TYPE: &str = "application/x-gsma-rsp-asn1";

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
    /// The faults.
    pub faults: Vec<Fault>,
    /// The TLS certificates that faults put in the place of the right one.
    pub flawed: Vec<(TlsFlaw, Identity)>,
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
            faults: Vec::new(),
            flawed: Vec::new(),
            store: None,
            client_ca: Vec::new(),
            client: ClientOptions::default(),
            operator: None,
        }
    }
}

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
    /// There is no tokio runtime.
    #[error("the front of the server has to be started inside a tokio runtime")]
    NoRuntime,
}

/// What stands behind a front.
enum Backend {
    Smdp(SharedSmdp),
    Smds(SharedSmds),
}

/// What the tasks of a front share.
struct Front {
    backend: Backend,
    faults: Faults,
    options: Options,
    /// Cryptography is done by as many threads as there are processors: more would only make all of it later.
    processors: Semaphore,
    connections: Arc<Semaphore>,
    outgoing: Option<mpsc::Sender<Outgoing>>,
    calls: AtomicU64,
}

impl Front {
    /// The fault that fires at this occasion, told to the observer.
    fn fault(&self, occasion: Occasion, sought: Sought<'_>) -> Option<Action> {
        let action = self.faults.fire(occasion, sought)?;
        self.options.observer.fault(&FaultFired { action: action.clone(), function: sought.function });
        Some(action)
    }

    fn is_smds(&self) -> bool {
        matches!(self.backend, Backend::Smds(_))
    }

    fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The matching id of the order that a request is about, for faults that are set for one order.
    fn order_of(&self, request: &Request) -> Option<String> {
        let Backend::Smdp(smdp) = &self.backend else { return None };
        if let Request::AuthenticateClient { response, .. } = request {
            return fault::matching_id_of(response);
        }
        let transaction_id = request.transaction_id()?;
        let smdp = smdp.lock().unwrap_or_else(PoisonError::into_inner);
        smdp.matching_id_of_session(transaction_id).map(str::to_owned)
    }

    /// All steps of a function; its cryptography without the lock of the server.
    fn drive(&self, request: Request) -> (Result<Answer, StatusError>, Settled) {
        let now = (self.options.clock)();
        let mut settled = Settled::default();
        let answer = match &self.backend {
            Backend::Smdp(smdp) => {
                // A panic elsewhere while the lock was held leaves whole sessions and orders: each step of theirs is
                // one store.
                let lock = || smdp.lock().unwrap_or_else(PoisonError::into_inner);
                let mut server = lock();
                let mut step = server.begin(request, now);
                loop {
                    settled.add(Settled::of(self, &mut server));
                    drop(server);
                    let work = match step {
                        Step::Answer(answer) => break answer,
                        Step::Work(work) => work,
                    };
                    let finished = work.run();
                    server = lock();
                    step = server.resume(finished, now);
                }
            }
            Backend::Smds(smds) => {
                let lock = || smds.lock().unwrap_or_else(PoisonError::into_inner);
                let mut step = lock().begin(request, now);
                loop {
                    let work = match step {
                        Step::Answer(answer) => break answer,
                        Step::Work(work) => work,
                    };
                    let finished = work.run();
                    step = lock().resume(finished, now);
                }
            }
        };
        (answer, settled)
    }

    /// Calls a function: its cryptography off the threads that serve connections, and what has changed is kept before
    /// anybody is told.
    async fn call(self: &Arc<Self>, request: Request) -> Result<Answer, StatusError> {
        let permit = self.processors.acquire().await;
        let front = self.clone();
        let driven = tokio::task::spawn_blocking(move || front.drive(request)).await;
        drop(permit);
        let (answer, settled) = driven.map_err(|error| Status::Internal.with(error.to_string()))?;
        settled.finish(self).await?;
        answer
    }
}

/// What a step of the server leaves to be done.
#[derive(Default)]
struct Settled {
    events: Vec<SmdpEvent>,
    tickets: Vec<Ticket>,
    outgoing: Vec<Outgoing>,
}

impl Settled {
    /// Takes it from the server, while it is locked: so changes go to the store in their order.
    fn of(front: &Front, smdp: &mut Smdp) -> Self {
        let changes = smdp.drain_changes();
        let ticket = front.options.store.as_ref().filter(|_| !changes.is_empty()).map(|store| store.keep(changes));
        Settled { events: smdp.drain_events(), tickets: ticket.into_iter().collect(), outgoing: smdp.drain_outgoing() }
    }

    fn add(&mut self, mut other: Settled) {
        self.events.append(&mut other.events);
        self.outgoing.append(&mut other.outgoing);
        // Written in order: when the last one is safe, all are.
        if !other.tickets.is_empty() {
            self.tickets = other.tickets;
        }
    }

    async fn finish(self, front: &Front) -> Result<(), StatusError> {
        for event in &self.events {
            front.options.observer.event(event);
        }
        for ticket in self.tickets {
            let written = ticket.await.unwrap_or_else(|_| Err("the store has stopped".to_owned()));
            written.map_err(|error| Status::Internal.with(format!("the order could not be kept: {error}")))?;
        }
        if let Some(queue) = &front.outgoing {
            for outgoing in self.outgoing {
                if queue.try_send(outgoing).is_err() {
                    front.options.observer.undelivered("too much is waiting to be sent");
                }
            }
        }
        Ok(())
    }
}

/// A front that runs. It stops, with all its connections, when it is dropped.
struct Running {
    address: SocketAddr,
    front: Arc<Front>,
    task: JoinHandle<()>,
    sender: Option<JoinHandle<()>>,
    closing: watch::Sender<bool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(sender) = &self.sender {
            sender.abort();
        }
    }
}

impl Running {
    fn start(
        listener: TcpListener,
        backend: Backend,
        tls: &Identity,
        mut options: Options,
    ) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let acceptors = Acceptors::new(tls, &options)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let faults = Faults::default();
        faults.set(std::mem::take(&mut options.faults));
        let (outgoing, queue) = match &backend {
            Backend::Smdp(_) => {
                let (sender, queue) = mpsc::channel(MAX_OUTGOING);
                (Some(sender), Some(queue))
            }
            Backend::Smds(_) => (None, None),
        };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let front = Arc::new(Front {
            backend,
            faults,
            processors: Semaphore::new(processors),
            connections: Arc::new(Semaphore::new(options.max_connections.clamp(1, Semaphore::MAX_PERMITS))),
            options,
            outgoing,
            calls: AtomicU64::new(0),
        });
        let sender = queue.map(|mut queue| {
            let front = front.clone();
            runtime.spawn(async move {
                while let Some(outgoing) = queue.recv().await {
                    front.send(outgoing).await;
                }
            })
        });
        let (closing, closed) = watch::channel(false);
        let task = runtime.spawn(accept(listener, acceptors, front.clone(), closed));
        Ok(Running { address, front, task, sender, closing })
    }

    /// Takes no more connections, finishes what is under way, and waits for it so long.
    async fn shut_down(mut self, patience: Duration) {
        self.closing.send_replace(true);
        let _ = tokio::time::timeout(patience, &mut self.task).await;
    }

    async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
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

    /// Replaces all faults; each begins to count anew.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.running.front.faults.set(faults);
    }

    /// Adds a fault.
    pub fn add_fault(&self, fault: Fault) {
        self.running.front.faults.add(fault);
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

/// The right TLS settings, and those that faults put in their place.
struct Acceptors {
    right: SslAcceptor,
    flawed: Vec<(TlsFlaw, SslAcceptor)>,
}

impl Acceptors {
    fn new(tls: &Identity, options: &Options) -> Result<Self, ErrorStack> {
        let mut flawed = vec![(TlsFlaw::OldVersion, tls::old_version(tls)?)];
        for (flaw, identity) in &options.flawed {
            flawed.push((*flaw, tls::acceptor(identity, &options.client_ca)?));
        }
        Ok(Acceptors { right: tls::acceptor(tls, &options.client_ca)?, flawed })
    }

    fn with(&self, flaw: Option<TlsFlaw>) -> &SslAcceptor {
        let found = self.flawed.iter().find(|(known, _)| Some(*known) == flaw);
        found.map_or(&self.right, |(_, acceptor)| acceptor)
    }
}

/// Takes connections until it is aborted; with it go the tasks of the connections. When it is to close, it ends once
/// the connections have.
async fn accept(
    listener: tokio::net::TcpListener,
    acceptors: Acceptors,
    front: Arc<Front>,
    mut closing: watch::Receiver<bool>,
) {
    let router = router(front.clone());
    let acceptors = Arc::new(acceptors);
    let mut connections = JoinSet::new();
    loop {
        let permit = tokio::select! {
            permit = front.connections.clone().acquire_owned() => permit,
            () = closed(&mut closing) => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closed(&mut closing) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let served = connection(stream, acceptors.clone(), router.clone(), front.clone(), closing.clone());
                connections.spawn(async move {
                    served.await;
                    drop(permit);
                });
            }
            // Too many open files, say: the client that waits is served when there is room again.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Waits until the front is to close.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // What is waited for holds a lock, which must not be carried on.
    drop(closing.wait_for(|closing| *closing).await);
}

/// Whether the client of a connection has shown a certificate that was verified.
#[derive(Debug, Clone, Copy)]
struct ClientCertificate(bool);

async fn connection(
    stream: TcpStream,
    acceptors: Arc<Acceptors>,
    router: Router,
    front: Arc<Front>,
    mut closing: watch::Receiver<bool>,
) {
    // Small messages go back and forth: waiting to fill packets would cost 40 ms each time.
    let _ = stream.set_nodelay(true);
    let flaw = match front.fault(Occasion::Connection, Sought::default()) {
        None => None,
        Some(Action::TlsFlaw(flaw)) => Some(flaw),
        Some(action) => return broken(stream, &action, front.options.patience).await,
    };
    let acceptor = acceptors.with(flaw);
    let handshake = async {
        let mut stream = SslStream::new(Ssl::new(acceptor.context())?, stream).map_err(openssl::ssl::Error::from)?;
        Pin::new(&mut stream).accept().await.map(|()| stream)
    };
    let stream = tokio::select! {
        shaken = tokio::time::timeout(front.options.patience, handshake) => match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return front.options.observer.handshake_failed(&error.to_string()),
            Err(_) => return front.options.observer.handshake_failed("the client took too long"),
        },
        () = closed(&mut closing) => return,
    };
    let certificate = ClientCertificate(stream.ssl().peer_certificate().is_some());
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(certificate);
        let response = router.call(request);
        async move {
            let Ok(response) = response.await;
            match response.extensions().get::<NoReply>() {
                // Without a response, hyper closes the connection.
                Some(NoReply) => Err(io::Error::other("a fault has hung up")),
                None => Ok(response),
            }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(front.options.patience)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // An error here is a client that has gone, or a fault that hangs up.
    tokio::select! {
        _ = &mut connection => {}
        () = closed(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// A connection with a fault before there is HTTP.
async fn broken(mut stream: TcpStream, action: &Action, patience: Duration) {
    let mut hello = [0; 4096];
    if matches!(action, Action::TcpClose) {
        return;
    }
    // The whole of a ClientHello arrives in one piece on loopback; reading it makes the close a plain one. A reset waits
    // for it as well: a client that is slow to look at its new connection would take an earlier one for a refusal (7).
    let _ = tokio::time::timeout(patience, stream.read(&mut hello)).await;
    match action {
        Action::TcpReset => {
            // Linger 0: close sends RST.
            let _ = stream.set_zero_linger();
            return;
        }
        Action::TlsGarbage => {
            let _ = stream.write_all(b"this is no TLS record, and nothing that a client can make sense of\r\n").await;
        }
        Action::TlsAlert(description) => {
            // A record of type alert, version TLS 1.2, two bytes: fatal, and the description (RFC 5246 §7.2).
            let _ = stream.write_all(&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, *description]).await;
        }
        Action::TlsHang => {
            // Until the client gives up.
            while stream.read(&mut hello).await.is_ok_and(|count| count > 0) {}
        }
        _ => {}
    }
    let _ = stream.shutdown().await;
}

/// The response that stands for none at all: the connection is closed instead of sending it.
#[derive(Debug, Clone, Copy)]
struct NoReply;

fn router(front: Arc<Front>) -> Router {
    Router::new().fallback(answer).with_state(front)
}

/// What a path leads to.
#[derive(Debug, Clone, Copy)]
enum Place {
    Json(Function),
    Asn1,
    Peer(PeerFunction),
}

impl Place {
    fn of(path: &str, smds: bool) -> Option<Self> {
        if path == ASN1 {
            return Some(Place::Asn1);
        }
        if let Some(function) = PeerFunction::at(path, smds) {
            return Some(Place::Peer(function));
        }
        if !smds {
            return path.strip_prefix(ES9PLUS).and_then(Function::named).map(Place::Json);
        }
        // Clients call an SM-DS by the path of ES11, or by that of ES9+.
        let name = path.strip_prefix(ES11).or_else(|| path.strip_prefix(ES9PLUS))?;
        let function = Function::named(name)?;
        matches!(function, Function::InitiateAuthentication | Function::AuthenticateClient)
            .then_some(Place::Json(function))
    }
}

/// What a function has come to, as HTTP.
struct Reply {
    status: StatusCode,
    body: Vec<u8>,
    kind: &'static str,
    refused: Option<StatusError>,
    /// What is wrong with how it is sent.
    flaw: Option<Action>,
}

const JSON_TYPE: &str = "application/json;charset=UTF-8";
const TEXT_TYPE: &str = "text/plain;charset=UTF-8";

impl Reply {
    fn of(answer: Result<Answer, StatusError>, function: Function) -> Self {
        let status = match (&answer, function) {
            // SGP.22 §6.5.1.4: a notification is answered by an empty body.
            (Ok(Answer::Notified(_)), _) => StatusCode::NO_CONTENT,
            // That has no room for a status; the LPA must not take the notification for delivered.
            (Err(_), Function::HandleNotification) => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        };
        let body = json::encode(&answer).unwrap_or_default();
        Reply { status, body, kind: JSON_TYPE, refused: answer.err(), flaw: None }
    }

    fn asn1(answer: Result<Answer, StatusError>, function: Function, smds: bool) -> Self {
        let status = match (&answer, function) {
            (Err(_), Function::HandleNotification) => StatusCode::BAD_REQUEST,
            (Ok(_), Function::HandleNotification) => StatusCode::NO_CONTENT,
            _ => StatusCode::OK,
        };
        let body = asn1::encode(function, smds, &answer).unwrap_or_default();
        Reply { status, body, kind: ASN1_TYPE, refused: answer.err(), flaw: None }
    }

    fn plain(status: StatusCode, text: &str) -> Self {
        Reply { status, body: text.as_bytes().to_vec(), kind: TEXT_TYPE, refused: None, flaw: None }
    }
}

/// Answers every request, whatever its path and method, so that every one is observed.
async fn answer(State(front): State<Arc<Front>>, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let place = Place::of(&path, front.is_smds());
    let body = to_bytes(body, front.options.body_limit).await;
    let began = Instant::now();
    let request = body.as_ref().map(Bytes::clone).unwrap_or_default();
    let mut function = match place {
        Some(Place::Json(function)) => Some(function),
        _ => None,
    };

    let reply = match (place, body) {
        (None, _) => Some(Reply::plain(StatusCode::NOT_FOUND, "this is no function of this server\n")),
        (Some(_), _) if parts.method != Method::POST => {
            Some(Reply::plain(StatusCode::METHOD_NOT_ALLOWED, "functions are called by POST\n"))
        }
        (_, Err(_)) => Some(Reply::plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long\n")),
        (Some(Place::Json(function)), Ok(body)) => perform_json(&front, function, &parts.headers, &body).await,
        (Some(Place::Asn1), Ok(body)) => perform_asn1(&front, &parts.headers, &body, &mut function).await,
        (Some(Place::Peer(function)), Ok(body)) => {
            let shown = parts.extensions.get::<ClientCertificate>().is_some_and(|shown| shown.0);
            Some(perform_peer(&front, function, &parts.headers, shown, &body).await)
        }
    };
    let observer = &front.options.observer;
    observer.exchange(&Exchange {
        path,
        function,
        request_length: request.len(),
        request,
        response: reply.as_ref().map(|reply| Bytes::from(reply.body.clone())).unwrap_or_default(),
        http_status: reply.as_ref().map(|reply| reply.status.as_u16()),
        response_length: reply.as_ref().map_or(0, |reply| reply.body.len()),
        refused: reply.as_ref().and_then(|reply| reply.refused.clone()),
        duration: began.elapsed(),
    });
    match reply {
        Some(reply) => respond(reply),
        None => {
            let mut response = Response::default();
            response.extensions_mut().insert(NoReply);
            response
        }
    }
}

fn respond(mut reply: Reply) -> Response {
    let mut location = None;
    let mut length = None;
    let body = match reply.flaw.take() {
        Some(Action::HttpCut { after }) => {
            length = Some(reply.body.len());
            body::Pieces::cut(&reply.body, after)
        }
        Some(Action::HttpDrip { size, pause }) => {
            length = Some(reply.body.len());
            body::Pieces::slowly(&reply.body, size, pause)
        }
        Some(Action::HttpRedirect(to)) => {
            reply.status = StatusCode::FOUND;
            location = HeaderValue::from_str(&to).ok();
            Body::empty()
        }
        _ => Body::from(std::mem::take(&mut reply.body)),
    };
    let mut response = (reply.status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(ADMIN_PROTOCOL_NAME, ADMIN_PROTOCOL);
    if reply.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some(location) = location {
        headers.insert(header::LOCATION, location);
    }
    if reply.status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_TYPE);
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.kind));
    }
    response
}

/// What a fault at a request makes of it.
enum Broken {
    /// The client gets this, or nothing.
    Instead(Option<Reply>),
    /// The function comes to this.
    Refused(StatusError),
    /// It goes on, and the response is sent in this way.
    Sent(Action),
}

/// The fault at a request, before its function is called.
fn request_fault(front: &Front, sought: Sought<'_>) -> Option<Broken> {
    Some(match front.fault(Occasion::Request, sought)? {
        Action::HttpStatus { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            Broken::Instead(Some(Reply::plain(status, &body)))
        }
        Action::HttpNoReply => Broken::Instead(None),
        Action::Refuse(status) => Broken::Refused(status),
        action => Broken::Sent(action),
    })
}

/// What a fault does to the response of a function.
fn response_fault(front: &Front, sought: Sought<'_>, answer: &mut Answer) {
    if let Some(action) = front.faults.fire(Occasion::Response, sought) {
        // A segment that the package does not have, say, is not altered: then nothing has fired.
        if action.alter(answer, &front.backend) {
            front.options.observer.fault(&FaultFired { action, function: sought.function });
        }
    }
}

/// Performs a function, with the faults around it. `None` is a client that gets no answer.
async fn perform_json(front: &Arc<Front>, function: Function, headers: &HeaderMap, body: &[u8]) -> Option<Reply> {
    // The order is looked for only where a fault asks for it.
    let order = match front.faults.any_for_an_order() {
        true => json::parse(function, body).ok().and_then(|request| front.order_of(&request)),
        false => None,
    };
    let sought = Sought { function: Some(function), order: order.as_deref() };
    let mut flaw = None;
    let answer = match request_fault(front, sought) {
        Some(Broken::Instead(reply)) => return reply,
        Some(Broken::Refused(status)) => Err(status),
        other => {
            if let Some(Broken::Sent(action)) = other {
                flaw = Some(action);
            }
            match check_headers(headers, "application/json").and_then(|()| json::parse(function, body)) {
                Ok(request) => front.call(request).await,
                Err(status) => Err(status),
            }
        }
    };
    let answer = answer.map(|mut answer| {
        response_fault(front, sought, &mut answer);
        answer
    });
    let mut reply = Reply::of(answer, function);
    if let Some(action) = flaw {
        action.spoil(&mut reply.body, &mut reply.kind);
        reply.flaw = Some(action);
    }
    Some(reply)
}

/// The same in the ASN.1 binding.
async fn perform_asn1(
    front: &Arc<Front>,
    headers: &HeaderMap,
    body: &[u8],
    found: &mut Option<Function>,
) -> Option<Reply> {
    if let Err(status) = check_headers(headers, ASN1_TYPE) {
        return Some(Reply::plain(StatusCode::BAD_REQUEST, &format!("{status}\n")));
    }
    let (function, request) = match asn1::parse(body) {
        Ok(parsed) => parsed,
        // Without a function there is no response that could carry a status.
        Err(error) => return Some(Reply::plain(StatusCode::BAD_REQUEST, &format!("no request of ES9+: {error}\n"))),
    };
    *found = Some(function);
    let order = match front.faults.any_for_an_order() {
        true => request.as_ref().ok().and_then(|request| front.order_of(request)),
        false => None,
    };
    let sought = Sought { function: Some(function), order: order.as_deref() };
    let mut flaw = None;
    let answer = match request_fault(front, sought) {
        Some(Broken::Instead(reply)) => return reply,
        Some(Broken::Refused(status)) => Err(status),
        other => {
            if let Some(Broken::Sent(action)) = other {
                flaw = Some(action);
            }
            match request {
                Ok(request) => front.call(request).await,
                Err(status) => Err(status),
            }
        }
    };
    let answer = answer.map(|mut answer| {
        response_fault(front, sought, &mut answer);
        answer
    });
    let mut reply = Reply::asn1(answer, function, front.is_smds());
    if let Some(action) = flaw {
        action.spoil(&mut reply.body, &mut reply.kind);
        reply.flaw = Some(action);
    }
    Some(reply)
}

/// A function of ES2+ or ES12, for those who may call it.
async fn perform_peer(
    front: &Arc<Front>,
    function: PeerFunction,
    headers: &HeaderMap,
    certificate: bool,
    body: &[u8],
) -> Reply {
    if !front.options.client_ca.is_empty() && !certificate {
        return Reply::plain(StatusCode::FORBIDDEN, "a client certificate is needed (SGP.22 §2.6.6.2)\n");
    }
    let answer = match check_headers(headers, "application/json") {
        Ok(()) => front.peer(function, body).await,
        Err(status) => Err(status),
    };
    let text = match &answer {
        Ok(answer) => answer.to_string(),
        Err(status) => json::failure(status).to_string(),
    };
    Reply { status: StatusCode::OK, body: text.into_bytes(), kind: JSON_TYPE, refused: answer.err(), flaw: None }
}

/// SGP.22 §6.5.1.1: the content type of the binding, and a version of the protocol of the same kind.
fn check_headers(headers: &HeaderMap, expected: &str) -> Result<(), StatusError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(expected) {
        return Err(Status::ContentType.with(format!("Content-Type is {content_type:?}")));
    }
    let Some(protocol) = headers.get(ADMIN_PROTOCOL_NAME) else {
        return Err(Status::AdminProtocol.with("X-Admin-Protocol is missing"));
    };
    if protocol.to_str().ok().and_then(|text| text.strip_prefix("gsma/rsp/v")).and_then(major_version).is_none() {
        return Err(Status::AdminProtocol.with("X-Admin-Protocol is to be gsma/rsp/v2.x.y"));
    }
    Ok(())
}

/// The first number of a version, 2 or higher: a later release speaks this one too.
fn major_version(text: &str) -> Option<u32> {
    text.split('.').next()?.parse().ok().filter(|major| *major >= 2)
}

#[cfg(test)]
mod tests;
