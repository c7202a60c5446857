//! What the core asks of the world's sockets, and what it hears from them.
//!
//! The core opens nothing itself. It puts [`SocketRequest`]s into its output, and whoever has real sockets answers with
//! [`SocketEvent`]s ([`crate::Modem::socket_event`]). Each socket has an id of its own that is never used again, so that
//! a late event of one cannot be taken for one of another.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::ip_error::IpError;

/// A socket. The core counts up from 0; ids of accepted connections come from outside and have [`SocketId::ACCEPTED`]
/// set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u64);

impl SocketId {
    /// The bit that ids of accepted connections have.
    pub const ACCEPTED: u64 = 1 << 63;
}

/// What kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A stream.
    Tcp,
    /// Datagrams.
    Udp,
}

/// Something that the core wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketRequest {
    /// Connect to a host: [`SocketEvent::Opened`] or [`SocketEvent::Failed`] answers, and [`SocketEvent::Negotiating`]
    /// before that when there is TLS.
    Open {
        /// The socket.
        id: SocketId,
        /// Its kind.
        transport: Transport,
        /// An address or a name.
        host: String,
        /// The port there.
        port: u16,
        /// The port here; 0 for any.
        local_port: u16,
        /// Whether names can be looked up: a name server answers.
        resolves: bool,
        /// TLS, or DTLS over datagrams.
        tls: Option<Box<TlsSettings>>,
    },
    /// Listen: for connections, or for datagrams of anybody. Answered like `Open`.
    Listen {
        /// The socket.
        id: SocketId,
        /// Its kind.
        transport: Transport,
        /// The port here.
        local_port: u16,
    },
    /// Send bytes, in order: [`SocketEvent::Sent`] tells when they have gone.
    Send {
        /// The socket.
        id: SocketId,
        /// The bytes.
        bytes: Vec<u8>,
        /// To whom, where the socket has no peer.
        to: Option<SocketAddr>,
    },
    /// Send what is left, close, and tell [`SocketEvent::Ended`]. At once, and without a word, when `abort`.
    Close {
        /// The socket.
        id: SocketId,
        /// Do not wait for anything.
        abort: bool,
    },
    /// Look a name up: [`SocketEvent::Resolved`] answers.
    Resolve {
        /// The look-up.
        id: SocketId,
        /// The name.
        host: String,
        /// Whether a name server answers.
        resolves: bool,
    },
}

/// Something that has happened to a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketEvent {
    /// The transport stands, and TLS begins.
    Negotiating {
        /// The socket.
        id: SocketId,
    },
    /// It is open.
    Opened {
        /// The socket.
        id: SocketId,
        /// The port here.
        local_port: u16,
        /// The address of the other side, where there is one.
        remote: Option<SocketAddr>,
    },
    /// Bytes have come.
    Received {
        /// The socket.
        id: SocketId,
        /// The bytes.
        bytes: Vec<u8>,
        /// From whom, where the socket has no peer.
        from: Option<SocketAddr>,
    },
    /// So many bytes have gone.
    Sent {
        /// The socket.
        id: SocketId,
        /// How many.
        count: usize,
    },
    /// A listener has taken a connection. The core closes it when it has no place for it.
    Accepted {
        /// The listener.
        listener: SocketId,
        /// The new socket.
        id: SocketId,
        /// The other side.
        remote: SocketAddr,
        /// The port here.
        local_port: u16,
    },
    /// The other side has closed it.
    Closed {
        /// The socket.
        id: SocketId,
    },
    /// It could not be opened, or does not work any more.
    Failed {
        /// The socket.
        id: SocketId,
        /// Why.
        error: IpError,
    },
    /// Closing it, as it was asked for, is done.
    Ended {
        /// The socket.
        id: SocketId,
    },
    /// A name was looked up.
    Resolved {
        /// The look-up.
        id: SocketId,
        /// The addresses; none when it has none.
        addresses: Vec<IpAddr>,
    },
}

/// What TLS is to be like: one SSL context of the modem with the files that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// DTLS.
    pub datagrams: bool,
    /// The versions that are offered.
    pub versions: TlsVersions,
    /// The cipher suites that are offered, by their codes.
    pub suites: Vec<u16>,
    /// The files with trusted certificates, PEM or DER.
    pub trusted: Vec<Vec<u8>>,
    /// The client's certificate and key, PEM or DER.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
    /// Whether the server's certificate is verified.
    pub verify: bool,
    /// What is passed over in a certificate: the bits of `"ignorecertitem"`.
    pub ignored: u32,
    /// Whether a chain may end below a root, with whatever is wrong above the server's own certificate.
    pub ignore_chain: bool,
    /// Whether a signature may be wrong.
    pub ignore_signature: bool,
    /// The time that certificates have to be valid at, Unix seconds; `None` when it does not matter.
    pub time: Option<i64>,
    /// The name for Server Name Indication, which is then also the one that the certificate has to have.
    pub server_name: Option<String>,
    /// How long the handshake may take.
    pub negotiation: Duration,
}

/// `<SSL_version>` of `AT+QSSLCFG="sslversion"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersions {
    /// SSL 3.0.
    Ssl3,
    /// TLS 1.0.
    Tls10,
    /// TLS 1.1.
    Tls11,
    /// TLS 1.2.
    Tls12,
    /// Any of them.
    All,
}
