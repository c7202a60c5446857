//! Bytes between a socket and the modem: both directions at once, each as fast as the other side takes it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::UnboundedReceiver;

use super::Core;
use crate::ip_error::IpError;
use crate::socket::{SocketEvent, SocketId};

/// What is read at a time.
const PIECE: usize = 32 * 1024;

/// How long a good-bye may take.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The largest datagram.
const DATAGRAM: usize = 65_536;

/// Something to be done with a socket, in order.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Send this, to that address where there is no peer.
    Bytes(Vec<u8>, Option<SocketAddr>),
    /// Close, after what was to be sent.
    Close,
}

/// Serves a stream until one side ends it. Datagrams have no end that could be waited for.
pub(super) async fn serve<C: Core, S: AsyncRead + AsyncWrite + Unpin>(
    core: &C,
    id: SocketId,
    stream: S,
    mut outgoing: UnboundedReceiver<Outgoing>,
    has_end: bool,
) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut receiving = pin!(receive(core, id, reader));
    let ended = tokio::select! {
        event = &mut receiving => event,
        sent = send(core, id, &mut writer, &mut outgoing) => match sent {
            Ok(()) if !has_end => SocketEvent::Ended { id },
            Ok(()) => {
                // What the other side still has to say is read, so that its end is seen.
                receiving.await;
                SocketEvent::Ended { id }
            }
            Err(_) => SocketEvent::Failed { id, error: IpError::WriteFailed },
        },
    };
    // RFC 5246 §7.2.1: a good-bye of TLS is answered by one. Nobody waits for a peer that does not take it.
    if matches!(ended, SocketEvent::Closed { .. }) {
        let _ = tokio::time::timeout(LAST_WORD, writer.shutdown()).await;
    }
    core.event(ended);
}

async fn receive<C: Core, S: AsyncRead>(core: &C, id: SocketId, mut reader: ReadHalf<S>) -> SocketEvent {
    let mut buffer = vec![0; PIECE];
    loop {
        let room = core.room(id).await.min(PIECE);
        match reader.read(buffer.get_mut(..room).unwrap_or_default()).await {
            Ok(0) => return SocketEvent::Closed { id },
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                core.event(SocketEvent::Received { id, bytes, from: None });
            }
            Err(_) => return SocketEvent::Failed { id, error: IpError::ReadFailed },
        }
    }
}

/// Sends until the socket is to be closed; then says so to the other side.
async fn send<C: Core, S: AsyncWrite>(
    core: &C,
    id: SocketId,
    writer: &mut WriteHalf<S>,
    outgoing: &mut UnboundedReceiver<Outgoing>,
) -> io::Result<()> {
    let mut closes = false;
    while !closes {
        let Some(Outgoing::Bytes(mut bytes, _)) = outgoing.recv().await else { break };
        // What has piled up goes in one piece.
        while bytes.len() < PIECE {
            match outgoing.try_recv() {
                Ok(Outgoing::Bytes(more, _)) => bytes.extend(more),
                Ok(Outgoing::Close) => {
                    closes = true;
                    break;
                }
                Err(_) => break,
            }
        }
        writer.write_all(&bytes).await?;
        writer.flush().await?;
        core.event(SocketEvent::Sent { id, count: bytes.len() });
    }
    writer.shutdown().await
}

/// Datagrams to and from one peer.
pub(super) async fn exchange_datagrams<C: Core>(
    core: &C,
    id: SocketId,
    socket: UdpSocket,
    mut outgoing: UnboundedReceiver<Outgoing>,
) {
    let receiving = async {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            core.room(id).await;
            // A peer that is not there makes the next call fail (ICMP); the one after it may succeed.
            if let Ok(count) = socket.recv(&mut buffer).await {
                let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                core.event(SocketEvent::Received { id, bytes, from: None });
            }
        }
    };
    let sending = async {
        while let Some(Outgoing::Bytes(bytes, _)) = outgoing.recv().await {
            // Nobody hears of a datagram that is lost.
            let _ = socket.send(&bytes).await;
            core.event(SocketEvent::Sent { id, count: bytes.len() });
        }
    };
    tokio::select! {
        () = receiving => {}
        () = sending => core.event(SocketEvent::Ended { id }),
    }
}

/// Datagrams to and from anybody: on this machine, or `anywhere`.
pub(super) async fn serve_datagrams<C: Core>(
    core: &C,
    id: SocketId,
    socket: UdpSocket,
    mut outgoing: UnboundedReceiver<Outgoing>,
    anywhere: bool,
) {
    let receiving = async {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            core.room(id).await;
            if let Ok((count, from)) = socket.recv_from(&mut buffer).await {
                let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                core.event(SocketEvent::Received { id, bytes, from: Some(from) });
            }
        }
    };
    let sending = async {
        while let Some(Outgoing::Bytes(bytes, to)) = outgoing.recv().await {
            if let Some(to) = to.filter(|to| anywhere || to.ip().is_loopback()) {
                let _ = socket.send_to(&bytes, to).await;
            }
            core.event(SocketEvent::Sent { id, count: bytes.len() });
        }
    };
    tokio::select! {
        () = receiving => {}
        () = sending => core.event(SocketEvent::Ended { id }),
    }
}

/// A connected UDP socket as a stream of datagrams, for DTLS: each read and each write is one of them.
pub(super) struct Datagrams(pub(super) UdpSocket);

impl AsyncRead for Datagrams {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_recv(context, buffer)
    }
}

impl AsyncWrite for Datagrams {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_send(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Waits for a handshake, and calls it again every so often: DTLS sends a flight again when it is called after its time
/// (RFC 6347 §4.2.4), and has no other clock.
pub(super) async fn repeat_calls<T>(every: Duration, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let mut tick = tokio::time::interval(every);
    poll_fn(|context| {
        loop {
            if let Poll::Ready(done) = poll(context) {
                return Poll::Ready(done);
            }
            ready!(tick.poll_tick(context));
        }
    })
    .await
}
