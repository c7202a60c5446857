//! Addresses at which nobody answers: one that refuses, and one that swallows everything.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketAddrV4, SocketType, bind, connect, getsockname, listen, socket_with};
use rustix::net::{SocketAddrAny, SocketFlags};

/// An address of loopback at which no server is. It is held as long as this lives, so that nobody else can get it.
#[derive(Debug)]
pub struct DeadAddress {
    address: SocketAddr,
    _held: Vec<OwnedFd>,
}

impl DeadAddress {
    /// One where nobody listens: a connection is refused at once. It is beside `neighbour`, at the next port, when that
    /// is free.
    pub fn refusing(neighbour: SocketAddr) -> io::Result<Self> {
        let (socket, address) = bound(neighbour)?;
        Ok(DeadAddress { address: SocketAddr::V4(address), _held: vec![socket] })
    }

    /// One from which nothing comes back: a connection is neither made nor refused.
    ///
    /// Its queue of connections that wait to be accepted is full: Linux drops what comes then (listen(2), and
    /// tcp_abort_on_overflow in tcp(7), which is off).
    pub fn black_hole(neighbour: SocketAddr) -> io::Result<Self> {
        let (socket, address) = bound(neighbour)?;
        listen(&socket, 0)?;
        let mut held = vec![socket];
        // A queue of length 0 has room for one. More are begun, without waiting, in case it has for more.
        for _ in 0..4 {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let client = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
            match connect(&client, &address) {
                Ok(()) | Err(rustix::io::Errno::INPROGRESS) => held.push(client),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(DeadAddress { address: SocketAddr::V4(address), _held: held })
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A socket that is bound to a port of loopback, and does not listen.
fn bound(neighbour: SocketAddr) -> io::Result<(OwnedFd, SocketAddrV4)> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let next = match neighbour {
        SocketAddr::V4(neighbour) if neighbour.ip().is_loopback() => {
            bind(&socket, &SocketAddrV4::new(*neighbour.ip(), neighbour.port().wrapping_add(1))).is_ok()
        }
        _ => false,
    };
    if !next {
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    }
    let address: SocketAddrAny = getsockname(&socket)?;
    let address = SocketAddrV4::try_from(address).map_err(io::Error::from)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    const NEIGHBOUR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 31, 7, 9)), 21_000);

    #[test]
    fn a_refusing_address_refuses() {
        let dead = DeadAddress::refusing(NEIGHBOUR).unwrap();
        // What is asked for beside it is taken.
        assert_ne!(DeadAddress::refusing(NEIGHBOUR).unwrap().address(), dead.address());
        let error = TcpStream::connect(dead.address()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        // Nobody else can have it meanwhile.
        assert!(std::net::TcpListener::bind(dead.address()).is_err());
    }

    #[test]
    fn a_black_hole_answers_nothing() {
        let dead = DeadAddress::black_hole(NEIGHBOUR).unwrap();
        let error = TcpStream::connect_timeout(&dead.address(), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
