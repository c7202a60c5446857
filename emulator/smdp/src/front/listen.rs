//! Connections: TCP, TLS and HTTP/1.1 around what [answers requests](super::http::answer), with the faults that come before
//! there is a request.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslAcceptor};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_openssl::SslStream;

use super::call::Front;
use super::fault::{Action, Occasion, Sought, TlsFlaw};
use super::http::answer;
use super::traffic::Tapped;
use super::{Options, tls};
use crate::server::Identity;

/// How much is read from a connection at once: nearly every request fits into it.
const READ_AT_ONCE: usize = 4096;

/// The right TLS settings, and those that faults put in their place, made at their first use.
pub(super) struct Acceptors {
    right: SslAcceptor,
    identity: Identity,
    flawed: Mutex<Vec<(TlsFlaw, SslAcceptor)>>,
}

impl Acceptors {
    pub(super) fn new(tls: &Identity, options: &Options) -> Result<Self, ErrorStack> {
        let right = tls::acceptor(tls, &options.client_ca, options.tap.as_ref())?;
        Ok(Acceptors { right, identity: tls.clone(), flawed: Mutex::default() })
    }

    /// The settings with this flaw; `None` when its certificate cannot be made.
    fn with(&self, flaw: TlsFlaw, options: &Options) -> Option<SslAcceptor> {
        let mut flawed = self.flawed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, made)) = flawed.iter().find(|(known, _)| *known == flaw) {
            return Some(made.clone());
        }
        let made = match flaw {
            TlsFlaw::OldVersion => tls::old_version(&self.identity, options.tap.as_ref()),
            _ => tls::acceptor(&(options.flawed)(flaw)?, &options.client_ca, options.tap.as_ref()),
        };
        let made = made.ok()?;
        flawed.push((flaw, made.clone()));
        Some(made)
    }
}

/// Takes connections until it is aborted; with it go the tasks of the connections. When it is to close, it ends once
/// the connections have.
pub(super) async fn accept(
    listener: tokio::net::TcpListener,
    acceptors: Arc<Acceptors>,
    front: Arc<Front>,
    mut closing: watch::Receiver<bool>,
) {
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
                let served = connection(stream, acceptors.clone(), front.clone(), closing.clone());
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

async fn connection(
    stream: TcpStream,
    acceptors: Arc<Acceptors>,
    front: Arc<Front>,
    mut closing: watch::Receiver<bool>,
) {
    // Small messages go back and forth: waiting to fill packets would cost 40 ms each time.
    let _ = stream.set_nodelay(true);
    let stream = Tapped::new(stream, front.options.tap.clone());
    let acceptor = match front.fault(Occasion::Connection, Sought::default()) {
        None => acceptors.right.clone(),
        Some(Action::TlsFlaw(flaw)) => match acceptors.with(flaw, &front.options) {
            Some(acceptor) => acceptor,
            // Never the right certificate: the fault is said to have happened.
            None => return,
        },
        Some(action) => return broken(stream, &action, front.options.patience).await,
    };
    // OpenSSL reads the head of each record by itself: from here, and not from the system.
    let stream = BufReader::with_capacity(READ_AT_ONCE, stream);
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
    let certificate = stream.ssl().peer_certificate().is_some();
    let patience = front.options.patience;
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answered = answer(front.clone(), certificate, request);
        // Without a response, hyper closes the connection.
        async move { answered.await.ok_or_else(|| io::Error::other("a fault has hung up")) }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .serve_connection(TokioIo::new(stream), service);
    // An error here is a client that has gone, or a fault that hangs up.
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = closed(&mut closing) => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    if ended.is_err() {
        // What breaks off here is HTTP, not TLS: the client is told that nothing more comes (close_notify), and can tell
        // an empty reply (52) and a short one (18) from a connection that was torn (56).
        let mut stream = connection.into_parts().io.into_inner();
        let _ = tokio::time::timeout(patience, Pin::new(&mut stream).shutdown()).await;
    }
}

/// A connection with a fault before there is HTTP.
async fn broken(mut stream: Tapped, action: &Action, patience: Duration) {
    let mut hello = [0; 4096];
    if matches!(action, Action::TcpClose) {
        // Closed to the client at once; to drop the socket with its ClientHello unread would make a reset of it.
        let _ = stream.shutdown().await;
        let _ = tokio::time::timeout(patience, stream.read(&mut hello)).await;
        return;
    }
    // The whole of a ClientHello arrives in one piece on loopback; reading it makes the close a plain one. A reset waits
    // for it as well: a client that is slow to look at its new connection would take an earlier one for a refusal (7).
    let _ = tokio::time::timeout(patience, stream.read(&mut hello)).await;
    match action {
        Action::TcpReset => return stream.reset(),
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
