//! The bytes of a front's connections, for a packet capture: what the server's end of each TCP connection has received
//! and sent, how it ended, and the secrets of the TLS in it.
//!
//! A connection is wrapped before anything is read from it, so that a fault at TCP or TLS is seen as it was. Without a
//! [`Tap`] the wrapper passes everything on and looks at nothing.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use openssl::ssl::SslAcceptorBuilder;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// One of the two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// Whoever has connected.
    Client,
    /// The front.
    Server,
}

/// What happened on a connection, as the server's end of it saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic<'a> {
    /// It was accepted.
    Opened {
        /// The address of the client's end.
        client: SocketAddr,
        /// The address of the server's end.
        server: SocketAddr,
    },
    /// Bytes from this end arrived or were sent.
    Bytes(End, &'a [u8]),
    /// This end has ended its direction (FIN).
    Ended(End),
    /// This end has reset the connection (RST).
    Reset(End),
}

/// Someone who records traffic. Called from the tasks that serve, so it must not block.
pub trait Tap: Send + Sync {
    /// Something happened on a connection; `connection` tells it from the others of the same front.
    fn traffic(&self, connection: u64, traffic: Traffic<'_>);

    /// A line of the key log of a TLS session: a label, the client's random number, the secret (the form of
    /// `SSLKEYLOGFILE`).
    fn secret(&self, line: &str);
}

/// Has the secrets of all sessions of these TLS settings told.
pub(super) fn tell_secrets(builder: &mut SslAcceptorBuilder, tap: Option<&Arc<dyn Tap>>) {
    if let Some(tap) = tap.cloned() {
        builder.set_keylog_callback(move |_, line| tap.secret(line));
    }
}

/// A connection whose bytes are told.
pub(super) struct Tapped {
    stream: TcpStream,
    told: Option<Told>,
}

/// What has been told of a connection.
struct Told {
    tap: Arc<dyn Tap>,
    connection: u64,
    /// Whether the client has ended its direction.
    client_ended: bool,
    /// Whether the server has.
    server_ended: bool,
    /// Whether it was reset.
    reset: bool,
}

impl Told {
    fn tell(&self, traffic: Traffic<'_>) {
        self.tap.traffic(self.connection, traffic);
    }

    /// What an error of the system tells: the other end has reset the connection.
    fn failed(&mut self, error: &io::Error) {
        if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) && !self.reset {
            self.reset = true;
            self.tell(Traffic::Reset(End::Client));
        }
    }
}

impl Tapped {
    /// Wraps a connection that has just been accepted.
    pub(super) fn new(stream: TcpStream, tap: Option<Arc<dyn Tap>>) -> Self {
        // One number for all fronts of the process: two fronts may have one tap.
        static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
        let told = tap.and_then(|tap| {
            let (client, server) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
            let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
            let told = Told { tap, connection, client_ended: false, server_ended: false, reset: false };
            told.tell(Traffic::Opened { client, server });
            Some(told)
        });
        Tapped { stream, told }
    }

    /// Closes the connection with a reset.
    pub(super) fn reset(mut self) {
        // Linger 0: close sends RST.
        let _ = self.stream.set_zero_linger();
        if let Some(told) = self.told.as_mut().filter(|told| !told.reset) {
            told.reset = true;
            told.tell(Traffic::Reset(End::Server));
        }
    }
}

impl Drop for Tapped {
    fn drop(&mut self) {
        let Some(told) = self.told.as_mut().filter(|told| !told.reset) else { return };
        // What the system makes of a close: a reset where something has not been read (RFC 1122 §4.2.2.13), a plain end
        // otherwise.
        if rustix::io::ioctl_fionread(&self.stream).is_ok_and(|unread| unread > 0) {
            told.tell(Traffic::Reset(End::Server));
        } else if !told.server_ended {
            told.tell(Traffic::Ended(End::Server));
        }
    }
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Tapped { stream, told } = &mut *self;
        let before = buffer.filled().len();
        let room = buffer.remaining();
        let read = Pin::new(stream).poll_read(context, buffer);
        if let (Some(told), Poll::Ready(result)) = (told, &read) {
            match result {
                Ok(()) if buffer.filled().len() > before => {
                    told.tell(Traffic::Bytes(End::Client, &buffer.filled()[before..]));
                }
                Ok(()) if room > 0 && !told.client_ended => {
                    told.client_ended = true;
                    told.tell(Traffic::Ended(End::Client));
                }
                Ok(()) => {}
                Err(error) => told.failed(error),
            }
        }
        read
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Tapped { stream, told } = &mut *self;
        let written = Pin::new(stream).poll_write(context, bytes);
        if let (Some(told), Poll::Ready(result)) = (told, &written) {
            match result {
                Ok(count) => told.tell(Traffic::Bytes(End::Server, &bytes[..*count])),
                Err(error) => told.failed(error),
            }
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Tapped { stream, told } = &mut *self;
        let shut = Pin::new(stream).poll_shutdown(context);
        if let (Some(told), Poll::Ready(Ok(()))) = (told, &shut)
            && !told.server_ended
            && !told.reset
        {
            told.server_ended = true;
            told.tell(Traffic::Ended(End::Server));
        }
        shut
    }
}
