//! The HTTPS front of the SM-DP+: ES9+ over TLS (SGP.22 §6.1, §6.5).
//!
//! Connection → TLS → HTTP/1.1, kept alive → `POST /gsma/rsp2/es9plus/<function>` → [`json::call`] on the shared
//! [`Smdp`] → response. The front owns no state but its faults; it runs on the tokio runtime it is started in and
//! stops when the [`Server`] is dropped.

mod fault;
pub mod json;
mod observe;
mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslAcceptor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio_openssl::SslStream;

pub use fault::{Action, Fault, SegmentPart};
pub use json::Function;
pub use observe::{Exchange, FaultFired, Observer, Unobserved};

use crate::server::{Identity, Smdp};
use crate::status::{Status, StatusError};
use fault::{Faults, Occasion};
use json::Answer;

/// A server that front, lab and tests share.
pub type SharedSmdp = Arc<Mutex<Smdp>>;

/// Where a front gets the time from, Unix seconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The release of SGP.22 that the front speaks (`X-Admin-Protocol`, SGP.22 §6.5.1.1).
const ADMIN_PROTOCOL: HeaderValue = HeaderValue::from_static("gsma/rsp/v2.5.0");
const ADMIN_PROTOCOL_NAME: &str = "x-admin-protocol";

/// Where the functions are (SGP.22 §6.5.2).
const ES9PLUS: &str = "/gsma/rsp2/es9plus/";

/// How a front behaves.
#[derive(Clone)]
pub struct Options {
    /// The longest body of a request that is read, in bytes.
    pub body_limit: usize,
    /// How long a client may take for the TLS handshake, and for the head of a request.
    pub patience: Duration,
    /// The time.
    pub clock: Clock,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// The faults.
    pub faults: Vec<Fault>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            // A bound profile package comes from the server: what a client sends is small.
            body_limit: 256 * 1024,
            patience: Duration::from_secs(30),
            clock: Arc::new(system_time),
            observer: Arc::new(Unobserved),
            faults: Vec::new(),
        }
    }
}

fn system_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or_default()
}

/// A front that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificate or its key cannot serve.
    #[error("the TLS certificate of the SM-DP+ cannot be used: {0}")]
    Tls(#[from] ErrorStack),
    /// The listener cannot be used.
    #[error("the listener of the SM-DP+ cannot be used: {0}")]
    Listener(#[from] io::Error),
    /// There is no tokio runtime.
    #[error("the front of the SM-DP+ has to be started inside a tokio runtime")]
    NoRuntime,
}

/// What the tasks of a front share.
struct Front {
    smdp: SharedSmdp,
    faults: Faults,
    options: Options,
}

impl Front {
    /// The fault that fires at this occasion, told to the observer.
    fn fault(&self, occasion: Occasion, function: Option<Function>) -> Option<Action> {
        let action = self.faults.fire(occasion, function)?;
        self.options.observer.fault(&FaultFired { action: action.clone(), function });
        Some(action)
    }
}

/// A front that runs. It stops, with all its connections, when it is dropped.
pub struct Server {
    address: SocketAddr,
    front: Arc<Front>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Serves on a listener, with this TLS certificate. Has to be called inside a tokio runtime with I/O and time.
    pub fn start(
        listener: TcpListener,
        smdp: SharedSmdp,
        tls: &Identity,
        mut options: Options,
    ) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let acceptor = tls::acceptor(tls)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let faults = Faults::default();
        faults.set(std::mem::take(&mut options.faults));
        let front = Arc::new(Front { smdp, faults, options });
        let task = runtime.spawn(accept(listener, acceptor, front.clone()));
        Ok(Server { address, front, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops, and waits until nothing listens any more.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// The server behind it.
    pub fn smdp(&self) -> &SharedSmdp {
        &self.front.smdp
    }

    /// Replaces all faults; each begins to count anew.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.front.faults.set(faults);
    }

    /// Adds a fault.
    pub fn add_fault(&self, fault: Fault) {
        self.front.faults.add(fault);
    }
}

/// Takes connections until it is aborted; with it go the tasks of the connections.
async fn accept(listener: tokio::net::TcpListener, acceptor: SslAcceptor, front: Arc<Front>) {
    let router = router(front.clone());
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, acceptor.clone(), router.clone(), front.clone()));
            }
            // Too many open files, say: the client that waits is served when there is room again.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, acceptor: SslAcceptor, router: Router, front: Arc<Front>) {
    // Small messages go back and forth: waiting to fill packets would cost 40 ms each time.
    let _ = stream.set_nodelay(true);
    let stream = match front.fault(Occasion::Connection, None) {
        None => stream,
        Some(action) => return broken(stream, &action, front.options.patience).await,
    };
    let handshake = async {
        let mut stream = SslStream::new(Ssl::new(acceptor.context())?, stream).map_err(openssl::ssl::Error::from)?;
        Pin::new(&mut stream).accept().await.map(|()| stream)
    };
    let stream = match tokio::time::timeout(front.options.patience, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return front.options.observer.handshake_failed(&error.to_string()),
        Err(_) => return front.options.observer.handshake_failed("the client took too long"),
    };
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
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
    // An error here is a client that has gone, or a fault that hangs up.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(front.options.patience)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A connection with a fault before there is HTTP.
async fn broken(mut stream: TcpStream, action: &Action, patience: Duration) {
    match action {
        Action::TcpClose => return,
        Action::TcpReset => {
            // Linger 0: close sends RST.
            let _ = stream.set_zero_linger();
            return;
        }
        _ => {}
    }
    // The whole of a ClientHello arrives in one piece on loopback; reading it makes the close a plain one.
    let mut hello = [0; 4096];
    let _ = tokio::time::timeout(patience, stream.read(&mut hello)).await;
    match action {
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

/// What a function has come to, as HTTP.
struct Reply {
    status: StatusCode,
    body: Option<Vec<u8>>,
    refused: Option<StatusError>,
}

impl Reply {
    fn of(answer: Result<Answer, StatusError>, function: Function) -> Self {
        let body = json::encode(&answer);
        let status = match (&answer, function) {
            // SGP.22 §6.5.1.4: a notification is answered by an empty body.
            (Ok(Answer::Notified(_)), _) => StatusCode::NO_CONTENT,
            // That has no room for a status; the LPA must not take the notification for delivered.
            (Err(_), Function::HandleNotification) => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        };
        Reply { status, body, refused: answer.err() }
    }

    fn plain(status: StatusCode, text: &str) -> Self {
        Reply { status, body: Some(text.as_bytes().to_vec()), refused: None }
    }
}

/// Answers every request, whatever its path and method, so that every one is observed.
async fn answer(State(front): State<Arc<Front>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let function = path.strip_prefix(ES9PLUS).and_then(Function::named);
    let body = to_bytes(body, front.options.body_limit).await;
    let began = Instant::now();
    let request = body.as_ref().map(Bytes::clone).unwrap_or_default();

    let reply = match (function, body) {
        (None, _) => Some(Reply::plain(StatusCode::NOT_FOUND, "this is no function of ES9+\n")),
        (Some(_), _) if parts.method != Method::POST => {
            Some(Reply::plain(StatusCode::METHOD_NOT_ALLOWED, "functions of ES9+ are called by POST\n"))
        }
        (_, Err(_)) => Some(Reply::plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long\n")),
        (Some(function), Ok(body)) => perform(&front, function, &parts.headers, &body),
    };
    let observer = &front.options.observer;
    observer.exchange(&Exchange {
        path,
        function,
        request_length: request.len(),
        request,
        response: reply.as_ref().and_then(|reply| reply.body.clone()).map(Bytes::from).unwrap_or_default(),
        http_status: reply.as_ref().map(|reply| reply.status.as_u16()),
        response_length: reply.as_ref().and_then(|reply| reply.body.as_ref()).map_or(0, Vec::len),
        refused: reply.as_ref().and_then(|reply| reply.refused.clone()),
        duration: began.elapsed(),
    });
    let Some(Reply { status, body, .. }) = reply else {
        let mut response = Response::default();
        response.extensions_mut().insert(NoReply);
        return response;
    };
    let is_json = body.as_ref().is_some_and(|body| body.starts_with(b"{"));
    let mut response = (status, body.unwrap_or_default()).into_response();
    let headers = response.headers_mut();
    headers.insert(ADMIN_PROTOCOL_NAME, ADMIN_PROTOCOL);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    if status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_TYPE);
    } else {
        let kind = if is_json { "application/json;charset=UTF-8" } else { "text/plain;charset=UTF-8" };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

/// Performs a function, with the faults around it. `None` is a client that gets no answer.
fn perform(front: &Front, function: Function, headers: &HeaderMap, body: &[u8]) -> Option<Reply> {
    let answer = match front.fault(Occasion::Request, Some(function)) {
        Some(Action::HttpStatus { status, body }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            return Some(Reply::plain(status, &body));
        }
        Some(Action::HttpNoReply) => return None,
        Some(Action::Refuse(status)) => Err(status),
        _ => check_headers(headers).and_then(|()| call(front, function, body)),
    };
    let answer = answer.map(|mut answer| {
        if let Some(action) = front.faults.fire(Occasion::Response, Some(function)) {
            // A segment that the package does not have, say, is not altered: then nothing has fired.
            if action.alter(&mut answer) {
                front.options.observer.fault(&FaultFired { action, function: Some(function) });
            }
        }
        answer
    });
    Some(Reply::of(answer, function))
}

/// SGP.22 §6.5.1.1: JSON, and a version of the protocol of the same kind.
fn check_headers(headers: &HeaderMap) -> Result<(), StatusError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
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

fn call(front: &Front, function: Function, body: &[u8]) -> Result<Answer, StatusError> {
    let now = (front.options.clock)();
    // A panic elsewhere while the lock was held leaves whole sessions and orders: each step of theirs is one store.
    let mut smdp = front.smdp.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = json::call(&mut smdp, function, body, now);
    let events = smdp.drain_events();
    drop(smdp);
    for event in &events {
        front.options.observer.event(event);
    }
    answer
}

#[cfg(test)]
mod tests;
