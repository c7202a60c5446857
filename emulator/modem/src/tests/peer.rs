//! For tests over real sockets: certificates, a TLS server, and a host at the terminal of a modem.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{
    ShutdownResult, Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslStream, SslVerifyMode, SslVersion,
};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

use crate::model::Model;
use crate::testing::Sketch;
use crate::{HostNetwork, Modem, RunningModem};

/// How long something that must happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A key and its certificate.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) key: PKey<Private>,
    pub(super) certificate: X509,
}

/// What a certificate is to be like.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    /// Days from now.
    pub(super) valid: (i64, i64),
    pub(super) is_ca: bool,
    pub(super) usage: Option<KeyUsage>,
    pub(super) purpose: Option<ExtendedKeyUsage>,
    pub(super) issuer: Option<&'a Identity>,
}

impl<'a> Wanted<'a> {
    pub(super) fn ca(name: &'a str) -> Self {
        Wanted { name, valid: (-1, 3650), is_ca: true, usage: None, purpose: None, issuer: None }
    }

    pub(super) fn server(name: &'a str, issuer: &'a Identity) -> Self {
        Wanted { is_ca: false, issuer: Some(issuer), ..Wanted::ca(name) }
    }
}

pub(super) fn rsa(bits: u32) -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap()
}

pub(super) fn ec() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// Makes a certificate for a key.
pub(super) fn certify(key: PKey<Private>, wanted: Wanted<'_>) -> Identity {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", wanted.name).unwrap();
    let name = name.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(std::process::id().wrapping_mul(31).wrapping_add(wanted.name.len() as u32)).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(wanted.issuer.map_or(&name, |issuer| issuer.certificate.subject_name())).unwrap();
    builder.set_pubkey(&key).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let at = |days: i64| Asn1Time::from_unix(now + days * 86_400).unwrap();
    builder.set_not_before(&at(wanted.valid.0)).unwrap();
    builder.set_not_after(&at(wanted.valid.1)).unwrap();
    if wanted.is_ca {
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    } else {
        let context = builder.x509v3_context(wanted.issuer.map(|issuer| issuer.certificate.as_ref()), None);
        let names = SubjectAlternativeName::new().dns(wanted.name).build(&context).unwrap();
        builder.append_extension(names).unwrap();
    }
    if let Some(usage) = wanted.usage {
        builder.append_extension(usage.build().unwrap()).unwrap();
    }
    if let Some(purpose) = wanted.purpose {
        builder.append_extension(purpose.build().unwrap()).unwrap();
    }
    let signer = wanted.issuer.map_or(&key, |issuer| &issuer.key);
    builder.sign(signer, MessageDigest::sha256()).unwrap();
    Identity { certificate: builder.build(), key }
}

/// What a server offers.
pub(super) struct Offer {
    pub(super) versions: (SslVersion, SslVersion),
    pub(super) suites: String,
    pub(super) identities: Vec<Identity>,
    pub(super) chain: Vec<X509>,
    /// The certificate authority that clients have to come from.
    pub(super) clients: Option<X509>,
}

impl Offer {
    /// TLS 1.2 with what is usual.
    pub(super) fn usual(identity: &Identity) -> Self {
        Offer {
            versions: (SslVersion::TLS1_2, SslVersion::TLS1_2),
            suites: "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA256".to_owned(),
            identities: vec![identity.clone()],
            chain: Vec::new(),
            clients: None,
        }
    }

    fn context(&self, method: SslMethod) -> SslContext {
        let mut builder: SslContextBuilder = SslContext::builder(method).unwrap();
        builder.set_security_level(0);
        builder.set_min_proto_version(Some(self.versions.0)).unwrap();
        builder.set_max_proto_version(Some(self.versions.1)).unwrap();
        builder.set_cipher_list(&self.suites).unwrap();
        builder.set_options(SslOptions::NO_QUERY_MTU);
        for identity in &self.identities {
            builder.set_certificate(&identity.certificate).unwrap();
            builder.set_private_key(&identity.key).unwrap();
        }
        for certificate in &self.chain {
            builder.add_extra_chain_cert(certificate.clone()).unwrap();
        }
        if let Some(authority) = &self.clients {
            builder.cert_store_mut().add_cert(authority.clone()).unwrap();
            builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        }
        builder.build()
    }
}

/// What a server does with a connection that stands.
type Work = fn(&mut dyn Conversation);

/// A connection, as the work of a server sees it.
pub(super) trait Conversation: Read + Write {
    /// The name that the client has asked for.
    fn server_name(&self) -> Option<String>;
    /// The suite in use.
    fn suite(&self) -> String;
    /// Says that there is nothing more.
    fn end(&mut self);
    /// Whether the client has said the same.
    fn has_heard_the_end(&mut self) -> bool;
}

impl<S: Read + Write> Conversation for SslStream<S> {
    fn server_name(&self) -> Option<String> {
        self.ssl().servername(openssl::ssl::NameType::HOST_NAME).map(str::to_owned)
    }

    fn suite(&self) -> String {
        self.ssl().current_cipher().map(|cipher| cipher.name().to_owned()).unwrap_or_default()
    }

    fn end(&mut self) {
        let _ = self.shutdown();
    }

    fn has_heard_the_end(&mut self) -> bool {
        // The second call waits for the other side.
        matches!(self.shutdown(), Ok(ShutdownResult::Received))
    }
}

/// Sends everything back until the client ends it.
pub(super) fn echo(conversation: &mut dyn Conversation) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = conversation.read(&mut buffer) {
        if conversation.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// A server that takes one connection. Its thread ends with that.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Server {
    /// Waits for its end.
    pub(super) fn join(self) {
        self.thread.join().unwrap();
    }

    pub(super) fn start(offer: &Offer, work: Work) -> Self {
        let context = offer.context(SslMethod::tls_server());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let Ok((stream, _)) = listener.accept() else { return };
            let ssl = Ssl::new(&context).unwrap();
            if let Ok(mut stream) = ssl.accept(stream) {
                work(&mut stream);
                let _ = stream.shutdown();
            }
        });
        Server { address, thread }
    }

    /// The same over datagrams.
    pub(super) fn start_datagrams(offer: &Offer, work: Work) -> Self {
        let context = offer.context(SslMethod::dtls_server());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let Ok((_, client)) = socket.peek_from(&mut [0; 1]) else { return };
            socket.connect(client).unwrap();
            let mut ssl = Ssl::new(&context).unwrap();
            ssl.set_mtu(1400).unwrap();
            if let Ok(mut stream) = ssl.accept(Datagrams(socket)) {
                work(&mut stream);
            }
        });
        Server { address, thread }
    }
}

#[derive(Debug)]
struct Datagrams(UdpSocket);

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.recv(buffer)
    }
}

impl Write for Datagrams {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A modem on terminals, and a host at the second of them.
pub(super) struct Line {
    pub(super) modem: RunningModem,
    runtime: tokio::runtime::Runtime,
    tty: File,
    read: Vec<u8>,
}

impl Line {
    /// An EC200U with an active context and no echo.
    pub(super) fn new(network: HostNetwork) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let core = Modem::new(Model::named("EC200U").unwrap(), Sketch::of_the_note().card());
        let modem = {
            let _entered = runtime.enter();
            RunningModem::start_in(core, network).unwrap()
        };
        let tty = rustix::fs::open(&modem.ttys()[1], OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        let mut line = Line { modem, runtime, tty: File::from(tty.unwrap()), read: Vec::new() };
        line.ask("ATE0");
        line.ask("AT+QICSGP=1,1,\"UNINET\",\"\",\"\",1");
        line.ask("AT+QIACT=1");
        line
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.tty.write_all(bytes).unwrap();
    }

    /// What has come and was not looked at yet.
    pub(super) fn pending(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.read)
    }

    /// Reads until something is there, and gives everything up to its end.
    pub(super) fn until(&mut self, wanted: &str) -> String {
        self.until_any(&[wanted])
    }

    pub(super) fn until_any(&mut self, wanted: &[&str]) -> String {
        let start = Instant::now();
        loop {
            let ends = wanted.iter().filter_map(|wanted| {
                let wanted = wanted.as_bytes();
                self.read.windows(wanted.len()).position(|window| window == wanted).map(|at| at + wanted.len())
            });
            if let Some(end) = ends.min() {
                return String::from_utf8_lossy(&self.read.drain(..end).collect::<Vec<_>>()).into_owned();
            }
            let mut events = [PollFd::new(&self.tty, PollFlags::IN)];
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            if poll(&mut events, Some(&second)).unwrap() > 0 {
                let mut buffer = [0; 4096];
                let count = self.tty.read(&mut buffer).unwrap();
                self.read.extend_from_slice(&buffer[..count]);
            }
            let so_far = String::from_utf8_lossy(&self.read).into_owned();
            assert!(start.elapsed() < PATIENCE, "{wanted:?} does not come, but {so_far:?}");
        }
    }

    /// A command line and its whole answer.
    pub(super) fn ask(&mut self, line: &str) -> String {
        self.write(format!("{line}\r").as_bytes());
        self.until_any(&["\r\nOK\r\n", "\r\nERROR\r\n"])
    }

    /// A file for the module.
    pub(super) fn upload(&mut self, name: &str, content: &[u8]) {
        self.ask(&format!("AT+QFDEL=\"{name}\""));
        self.write(format!("AT+QFUPL=\"{name}\",{}\r", content.len()).as_bytes());
        self.until("CONNECT\r\n");
        self.write(content);
        self.until("\r\nOK\r\n");
    }

    /// Opens socket 4 over context 1; gives what `+QSSLOPEN:` tells.
    pub(super) fn open(&mut self, address: SocketAddr) -> u16 {
        self.open_host(&address.ip().to_string(), address.port())
    }

    pub(super) fn open_host(&mut self, host: &str, port: u16) -> u16 {
        let answer = self.ask(&format!("AT+QSSLOPEN=1,1,4,\"{host}\",{port},0"));
        if answer.contains("ERROR") {
            let answer = self.ask("AT+QIGETERROR");
            return answer.trim_start().trim_start_matches("+QIGETERROR: ")[..3].parse().unwrap();
        }
        self.until("+QSSLOPEN: 4,");
        let code = self.until("\r\n");
        code.trim().parse().unwrap()
    }

    /// Sends something over socket 4.
    pub(super) fn say(&mut self, text: &str) {
        self.write(format!("AT+QSSLSEND=4,{}\r", text.len()).as_bytes());
        self.until("> ");
        self.write(text.as_bytes());
        self.until("\r\nSEND OK\r\n");
    }

    /// Reads so many bytes from socket 4.
    pub(super) fn hear(&mut self, count: usize) -> String {
        let mut heard = String::new();
        while heard.len() < count {
            let answer = self.ask("AT+QSSLRECV=4,1500");
            let body = answer.split_once("+QSSLRECV: ").unwrap().1;
            let (length, rest) = body.split_once("\r\n").unwrap();
            let length: usize = length.parse().unwrap();
            heard.push_str(&rest[..length]);
            if length == 0 {
                self.until("+QSSLURC: \"recv\",4\r\n");
            }
        }
        heard
    }

    pub(super) fn close(&mut self) {
        assert!(self.ask("AT+QSSLCLOSE=4").contains("OK"));
        self.pending();
    }

    /// Writes all of this, and reads so much, both at once.
    pub(super) fn exchange(&mut self, bytes: &[u8], count: usize) -> Vec<u8> {
        let mut writer = self.tty.try_clone().unwrap();
        let bytes = bytes.to_vec();
        let writing = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
        let mut all = self.pending();
        let mut buffer = [0; 4096];
        while all.len() < count {
            let read = self.tty.read(&mut buffer).unwrap();
            all.extend_from_slice(&buffer[..read]);
        }
        writing.join().unwrap();
        all
    }

    /// Ends it, with all that belongs to it.
    pub(super) fn stop(self) {
        let Line { modem, runtime, .. } = self;
        runtime.block_on(modem.stop());
    }
}
