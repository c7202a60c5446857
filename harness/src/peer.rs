//! Somebody to talk to for a modem's own sockets: a peer that sends everything back, in the clear and over TLS, and that
//! the lab's own name table knows as [`NAME`].
//!
//! ```text
//! AT+QIOPEN=1,0,"TCP","echo.lab",7     -> TCP, everything comes back
//! AT+QSSLOPEN=1,0,0,"echo.lab",443     -> the same in TLS, with a certificate of the lab's CI
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use modem::{FileStore, HostNetwork};
use openssl::ssl::{Ssl, SslAcceptor, SslMethod};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_openssl::SslStream;

/// The peer's name.
pub(crate) const NAME: &str = "echo.lab";

/// Its port in the clear: that of the echo protocol (RFC 862).
pub(crate) const PLAIN_PORT: u16 = 7;

/// Its port for TLS.
pub(crate) const TLS_PORT: u16 = 443;

/// The peer. It goes when this is dropped.
pub(crate) struct EchoPeer {
    plain: SocketAddr,
    tls: Option<SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
}

impl EchoPeer {
    /// Starts it on free ports of loopback; with TLS where there is a certificate. Has to be called inside a tokio
    /// runtime.
    pub(crate) fn start(identity: &Option<pki::Identity>) -> io::Result<Self> {
        let (listener, plain) = listen()?;
        let mut tasks = vec![tokio::spawn(serve(listener, None))];
        let mut tls = None;
        if let Some(identity) = identity {
            let acceptor = acceptor(identity)?;
            let (listener, address) = listen()?;
            tasks.push(tokio::spawn(serve(listener, Some(Arc::new(acceptor)))));
            tls = Some(address);
        }
        Ok(EchoPeer { plain, tls, tasks })
    }

    /// Whether it has TLS.
    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Puts it into the table of a network.
    pub(crate) fn reached(&self, network: HostNetwork) -> HostNetwork {
        let network = network.name(NAME, Ipv4Addr::LOCALHOST.into()).route(NAME, PLAIN_PORT, self.plain);
        match self.tls {
            Some(address) => network.route(NAME, TLS_PORT, address),
            None => network,
        }
    }
}

impl Drop for EchoPeer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((TcpListener::from_std(listener)?, address))
}

fn acceptor(identity: &pki::Identity) -> io::Result<SslAcceptor> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_certificate(&*openssl::x509::X509::from_der(identity.certificate.der())?)?;
    builder.set_private_key(identity.key.as_pkey())?;
    // Modules of today, and some of yesterday: suites with CBC.
    builder.set_cipher_list("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA")?;
    Ok(builder.build())
}

async fn serve(listener: TcpListener, tls: Option<Arc<SslAcceptor>>) {
    // A connection that could not be taken is the business of the one who made it.
    while let Ok((stream, _)) = listener.accept().await {
        let tls = tls.clone();
        tokio::spawn(async move {
            match tls {
                None => echo(stream).await,
                Some(acceptor) => {
                    if let Some(stream) = accept(stream, &acceptor).await {
                        echo(stream).await;
                    }
                }
            }
        });
    }
}

async fn accept(stream: TcpStream, acceptor: &SslAcceptor) -> Option<SslStream<TcpStream>> {
    let mut stream = SslStream::new(Ssl::new(acceptor.context()).ok()?, stream).ok()?;
    Pin::new(&mut stream).accept().await.ok()?;
    Some(stream)
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

/// The files of a module as files of a folder, each written beside and moved into place.
pub(crate) struct FileFolder {
    folder: PathBuf,
}

impl FileFolder {
    /// The folder, which is made when it is not there.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(FileFolder { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(file_name(name))
    }

    fn tell(&self, name: &str, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            // The module has the file all the same; only the next start will not.
            eprintln!("esimlab: UFS:{name} is not kept in {}: {error}", self.folder.display());
        }
    }
}

/// A name of the module's as one that every file system takes: what is no letter, digit, `-`, `_` or `.` is written as
/// `%` and two hexadecimal digits, as is a `.` in the first place.
pub(crate) fn file_name(name: &str) -> String {
    let mut encoded = String::new();
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'.' if at == 0 => encoded.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => encoded.push(char::from(byte)),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The module's name of a file of the folder.
fn decoded(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

impl FileStore for FileFolder {
    fn load(&mut self) -> Vec<(String, Vec<u8>)> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let file = |entry: std::fs::DirEntry| {
            let name = entry.file_name().to_str().filter(|name| !name.starts_with('.')).and_then(decoded)?;
            Some((name, std::fs::read(entry.path()).ok()?))
        };
        entries.flatten().filter_map(file).collect()
    }

    fn save(&mut self, name: &str, content: &[u8]) {
        let path = self.path(name);
        // A name that begins with a dot is none of the module's: a torn file is never taken for one.
        let beside = self.folder.join(format!(".{}.new", std::process::id()));
        let outcome = std::fs::write(&beside, content).and_then(|()| std::fs::rename(&beside, path));
        self.tell(name, outcome);
    }

    fn remove(&mut self, name: &str) {
        let outcome = std::fs::remove_file(self.path(name));
        self.tell(name, outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_kept_by_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FileFolder::open(folder.path().join("ufs")).unwrap();
        for name in ["cacert.pem", "../up", ".hidden", "a b%c", "dir/file"] {
            store.save(name, b"before");
            store.save(name, name.as_bytes());
        }
        store.remove("a b%c");
        std::fs::write(folder.path().join("ufs/.torn"), "x").unwrap();
        let mut all = FileFolder::open(folder.path().join("ufs")).unwrap().load();
        all.sort();
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["../up", ".hidden", "cacert.pem", "dir/file"]);
        assert!(all.iter().all(|(name, content)| name.as_bytes() == content));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing beside the folder");
    }
}
