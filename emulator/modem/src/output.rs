//! What goes to the ports: bytes, and why they go there.

use crate::socket::SocketRequest;

/// Why bytes go to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    /// Echo, information responses and result codes: the answer to what came in at this port. Data, too.
    Response,
    /// Unsolicited: to be dropped when nobody listens.
    Urc,
}

/// Bytes for one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The port, counted from 0.
    pub port: usize,
    /// Why they go there.
    pub kind: WriteKind,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What goes to the ports, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "the bytes have to be written to the ports"]
pub struct Output {
    /// The writes.
    pub writes: Vec<Write>,
    /// What is to be done with sockets, in this order.
    pub requests: Vec<SocketRequest>,
}

impl Output {
    pub(crate) fn push(&mut self, port: usize, kind: WriteKind, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.writes.push(Write { port, kind, bytes });
        }
    }

    /// All bytes for one port.
    pub fn for_port(&self, port: usize) -> Vec<u8> {
        self.writes.iter().filter(|write| write.port == port).flat_map(|write| write.bytes.clone()).collect()
    }
}
