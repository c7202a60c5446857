//! HTTPS for ES9+: a trait for the procedures, and libcurl behind it.
//!
//! The server's certificate and name are verified, always. With certificates of one's own (`--ci`) these alone are
//! trusted and the system's store is not even read. libcurl's code stays in every error.

use std::path::{Path, PathBuf};
use std::time::Duration;

use curl::easy::{Easy2, Handler, List, SslVersion, WriteError};
use openssl::x509::X509;

use crate::log::Log;

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// The status code.
    pub status: u32,
    /// The body.
    pub body: Vec<u8>,
}

/// A request that got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HttpError {
    /// libcurl's code, when it is one of its errors.
    pub curl: Option<u32>,
    /// What happened, with the code.
    pub message: String,
    /// What to try.
    pub hint: Option<&'static str>,
}

/// Sends requests.
pub trait Http {
    /// Sends a POST request and waits for the whole answer.
    fn post(&mut self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<HttpReply, HttpError>;
}

impl<H: Http + ?Sized> Http for Box<H> {
    fn post(&mut self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<HttpReply, HttpError> {
        (**self).post(url, headers, body)
    }
}

/// Whose certificates are trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the system.
    #[default]
    System,
    /// These alone, in PEM form.
    Only(Vec<u8>),
}

/// A file of trusted certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read.
    #[error("cannot read the trusted certificates in {}: {source}", .path.display())]
    Read {
        /// The path as given.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file holds no certificate.
    #[error("{} holds no X.509 certificate; it has to be one in DER form, or one or more in PEM form", .path.display())]
    NoCertificate {
        /// The path as given.
        path: PathBuf,
    },
}

impl Trust {
    /// Reads files with certificates in PEM or DER form. Without any file the system's store is meant.
    pub fn from_files<P: AsRef<Path>>(paths: &[P]) -> Result<Self, TrustError> {
        if paths.is_empty() {
            return Ok(Trust::System);
        }
        let mut pem = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let bytes = std::fs::read(path).map_err(|source| TrustError::Read { path: path.to_owned(), source })?;
            pem.extend(to_pem(&bytes).ok_or_else(|| TrustError::NoCertificate { path: path.to_owned() })?);
        }
        Ok(Trust::Only(pem))
    }
}

fn to_pem(bytes: &[u8]) -> Option<Vec<u8>> {
    if let Ok(certificate) = X509::from_der(bytes) {
        return certificate.to_pem().ok();
    }
    let certificates = X509::stack_from_pem(bytes).ok()?;
    if certificates.is_empty() {
        return None;
    }
    certificates.iter().map(|certificate| certificate.to_pem().ok()).collect::<Option<Vec<_>>>().map(|all| all.concat())
}

/// A certificate of this side, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The file of the certificate in PEM form, those of its issuers after it where the other side needs them.
    pub certificate: PathBuf,
    /// The file of the private key in PEM form.
    pub key: PathBuf,
}

/// How requests are made.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Whose certificates are trusted.
    pub trust: Trust,
    /// What this side proves itself with, where the other one asks for a certificate.
    pub client: Option<ClientCertificate>,
    /// Fixed addresses of names, `host:port:address`, as curl's option of that name takes them.
    pub resolve: Vec<String>,
    /// The longest wait for a connection, TLS included.
    pub connect_timeout: Duration,
    /// The longest wait for the whole answer.
    pub timeout: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions {
            trust: Trust::System,
            client: None,
            resolve: Vec::new(),
            connect_timeout: Duration::from_secs(15),
            timeout: Duration::from_secs(60),
        }
    }
}

/// An answer may not be longer than this; the largest profile packages have some hundred kilobytes.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// Requests by libcurl. The connection is kept from one to the next; the library is started with the first.
#[derive(Debug)]
pub struct CurlHttp {
    options: HttpOptions,
    log: Log,
    easy: Option<Easy2<Answer>>,
}

#[derive(Debug, Default)]
struct Answer {
    body: Vec<u8>,
    too_long: bool,
}

impl Handler for Answer {
    fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        if self.body.len() + data.len() > LONGEST_ANSWER {
            self.too_long = true;
            return Ok(0);
        }
        self.body.extend_from_slice(data);
        Ok(data.len())
    }
}

impl CurlHttp {
    /// Requests with these options.
    pub fn new(options: HttpOptions, log: Log) -> Self {
        CurlHttp { options, log, easy: None }
    }

    fn start(options: &HttpOptions) -> Result<Easy2<Answer>, curl::Error> {
        let mut easy = Easy2::new(Answer::default());
        easy.signal(false)?;
        easy.tcp_nodelay(true)?;
        // SGP.22 v2.5 §2.6.6: TLS 1.2 at least.
        easy.ssl_version(SslVersion::Tlsv12)?;
        easy.ssl_verify_peer(true)?;
        easy.ssl_verify_host(true)?;
        easy.connect_timeout(options.connect_timeout)?;
        easy.timeout(options.timeout)?;
        if let Trust::Only(pem) = &options.trust {
            easy.ssl_cainfo_blob(pem)?;
            // The system's folder of certificates would be trusted besides; under this path there can be none.
            easy.capath("/dev/null")?;
        }
        if let Some(client) = &options.client {
            easy.ssl_cert(&client.certificate)?;
            easy.ssl_key(&client.key)?;
        }
        let mut direct = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        if !options.resolve.is_empty() {
            let mut list = List::new();
            for entry in &options.resolve {
                list.append(entry)?;
                direct.extend(entry.trim_start_matches('+').split(':').next().map(str::to_owned));
            }
            easy.resolve(list)?;
        }
        // What is on this machine, or has a fixed address, is not behind the proxy that the environment may name.
        for variable in ["no_proxy", "NO_PROXY"] {
            direct.extend(std::env::var(variable).ok().filter(|names| !names.is_empty()));
        }
        easy.noproxy(&direct.join(","))?;
        offer_curves(&easy)?;
        Ok(easy)
    }

    /// Connects to the server of a URL, TLS included, asks for nothing, and closes the connection.
    pub fn try_connection(&self, url: &str) -> Result<(), HttpError> {
        let connect = || {
            let mut easy = Self::start(&self.options)?;
            easy.url(url)?;
            easy.connect_only(true)?;
            easy.perform()
        };
        connect().map_err(|error| describe(error.code(), error.description(), error.extra_description(), url))
    }

    fn request(&mut self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<HttpReply, curl::Error> {
        let easy = match &mut self.easy {
            Some(easy) => easy,
            none => none.insert(Self::start(&self.options)?),
        };
        easy.get_mut().body.clear();
        easy.get_mut().too_long = false;
        easy.url(url)?;
        easy.post(true)?;
        easy.post_fields_copy(body)?;
        let mut list = List::new();
        for (name, value) in headers {
            list.append(&format!("{name}: {value}"))?;
        }
        // No wait for "100 Continue" before the body.
        list.append("Expect:")?;
        easy.http_headers(list)?;
        easy.perform()?;
        Ok(HttpReply { status: easy.response_code()?, body: std::mem::take(&mut easy.get_mut().body) })
    }
}

/// Offers brainpoolP256r1 in the handshake, beside the curves that OpenSSL offers by itself: a server's certificate may
/// be on it (SGP.22 v2.5 §2.6.7.2), and without the offer the handshake fails.
// The crate has no setter for this option, so libcurl is called directly.
#[allow(unsafe_code)]
fn offer_curves(easy: &Easy2<Answer>) -> Result<(), curl::Error> {
    /// `CURLOPT_SSL_EC_CURVES` in curl.h.
    const SSL_EC_CURVES: curl_sys::CURLoption = curl_sys::CURLOPTTYPE_OBJECTPOINT + 298;
    const CURVES: &std::ffi::CStr = c"P-256:X25519:P-384:P-521:brainpoolP256r1";
    // SAFETY: `raw` is the live handle that `easy` owns. The option takes a pointer to a string that ends in NUL, as a
    // `CStr` does, and libcurl copies the string before it returns (CURLOPT_SSL_EC_CURVES(3)).
    let code = unsafe { curl_sys::curl_easy_setopt(easy.raw(), SSL_EC_CURVES, CURVES.as_ptr()) };
    if code == curl_sys::CURLE_OK { Ok(()) } else { Err(curl::Error::new(code)) }
}

impl Http for CurlHttp {
    fn post(&mut self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<HttpReply, HttpError> {
        self.log.write(|| format!("> POST {url} {}", excerpt(body)));
        let result = self.request(url, headers, body);
        let too_long = self.easy.as_ref().is_some_and(|easy| easy.get_ref().too_long);
        match result {
            Ok(reply) => {
                self.log.write(|| format!("< HTTP {} {}", reply.status, excerpt(&reply.body)));
                Ok(reply)
            }
            Err(_) if too_long => Err(HttpError {
                curl: None,
                message: format!("the answer of {} is longer than any profile package", host_of(url)),
                hint: Some("ask the provider of the profile"),
            }),
            Err(error) => {
                let error = describe(error.code(), error.description(), error.extra_description(), url);
                self.log.write(|| format!("< {error}"));
                Err(error)
            }
        }
    }
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match text.char_indices().nth(600) {
        Some((index, _)) => format!("{}... ({} bytes)", &text[..index], body.len()),
        None => text.into_owned(),
    }
}

fn host_of(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest.split('/').next().unwrap_or(rest))
}

/// The words for libcurl's codes that occur between an LPA and a server; the others keep libcurl's own.
fn describe(code: curl_code::Code, description: &str, detail: Option<&str>, url: &str) -> HttpError {
    let server = host_of(url);
    let host =
        rsp::ServerAddress::parse(server).map_or_else(|_| server.to_owned(), |address| address.host().to_owned());
    let detail = detail.map(str::trim).filter(|detail| !detail.is_empty());
    let with_detail = |text: String| match detail {
        Some(detail) => format!("{text}: {detail}"),
        None => text,
    };
    let (message, hint) = match code {
        curl_code::COULDNT_RESOLVE_HOST => (
            format!("cannot resolve {host} (curl {code})"),
            Some("check the server's address, then name service and network of this machine"),
        ),
        curl_code::COULDNT_CONNECT => (
            format!("cannot connect to {server} (curl {code})"),
            Some("check address and port; the server may be down, or a firewall may stand in between"),
        ),
        curl_code::OPERATION_TIMEDOUT => (
            with_detail(format!("{server} does not answer in time (curl {code})")),
            Some("try again, on another network if need be, or give more time with --timeout"),
        ),
        curl_code::SSL_CONNECT_ERROR => (
            with_detail(format!("the TLS handshake with {server} failed (curl {code})")),
            Some(
                "try again from another network: firewalls and proxies can break TLS; if it stays so, ask the provider \
                 of the profile",
            ),
        ),
        curl_code::PEER_FAILED_VERIFICATION => (
            with_detail(format!("the certificate of {server} is not trusted (curl {code})")),
            Some(
                "give the certificate issuer's certificate (GSMA CI, or that of the lab) with --ci FILE; check the \
                 clock of this machine",
            ),
        ),
        curl_code::GOT_NOTHING => (
            format!("{server} closed the connection without an answer (curl {code})"),
            Some("try again; if it stays so, ask the provider of the profile"),
        ),
        curl_code::PARTIAL_FILE | curl_code::RECV_ERROR | curl_code::SEND_ERROR => (
            with_detail(format!("the connection to {server} broke (curl {code})")),
            Some("try again, from another network if need be"),
        ),
        _ => (with_detail(format!("{server}: {description} (curl {code})")), None),
    };
    HttpError { curl: Some(code), message, hint }
}

/// libcurl's codes, which are part of its interface and do not change.
mod curl_code {
    pub(super) type Code = u32;
    pub(super) const COULDNT_RESOLVE_HOST: Code = 6;
    pub(super) const COULDNT_CONNECT: Code = 7;
    pub(super) const PARTIAL_FILE: Code = 18;
    pub(super) const OPERATION_TIMEDOUT: Code = 28;
    pub(super) const SSL_CONNECT_ERROR: Code = 35;
    pub(super) const GOT_NOTHING: Code = 52;
    pub(super) const SEND_ERROR: Code = 55;
    pub(super) const RECV_ERROR: Code = 56;
    pub(super) const PEER_FAILED_VERIFICATION: Code = 60;
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::asn1::Asn1Time;
    use openssl::bn::BigNum;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::{PKey, Private};
    use openssl::ssl::{SslAcceptor, SslMethod};
    use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
    use openssl::x509::{X509Builder, X509NameBuilder};
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener};

    fn self_signed() -> (X509, PKey<Private>) {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "lab").unwrap();
        let name = name.build();
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(2).unwrap();
        builder.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        builder.append_extension(BasicConstraints::new().ca().critical().build().unwrap()).unwrap();
        let names = SubjectAlternativeName::new()
            .ip("127.0.0.1")
            .dns("smdp.example.com")
            .build(&builder.x509v3_context(None, None))
            .unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        (builder.build(), key)
    }

    /// A server for one connection: answers every request with `answer`, ends when the client hangs up.
    fn serve(answer: &'static str) -> (u16, Vec<u8>, std::thread::JoinHandle<Vec<String>>) {
        let (certificate, key) = self_signed();
        let pem = certificate.to_pem().unwrap();
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        acceptor.set_private_key(&key).unwrap();
        acceptor.set_certificate(&certificate).unwrap();
        let acceptor = acceptor.build();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let mut requests = Vec::new();
            let Ok(mut stream) = acceptor.accept(listener.accept().unwrap().0) else { return requests };
            let mut pending = String::new();
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                pending.push_str(&String::from_utf8_lossy(&buffer[..count]));
                let Some((head, body)) = pending.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
                if body.len() == length.parse::<usize>().unwrap() {
                    requests.push(std::mem::take(&mut pending));
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            }
            requests
        });
        (port, pem, server)
    }

    fn client(trust: Trust, resolve: Vec<String>) -> CurlHttp {
        let options = HttpOptions { trust, resolve, timeout: Duration::from_secs(20), ..HttpOptions::default() };
        CurlHttp::new(options, Log::default())
    }

    #[test]
    fn one_connection_carries_all_requests() {
        let (port, pem, server) = serve("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        let mut http = client(Trust::Only(pem), vec![format!("smdp.example.com:{port}:127.0.0.1")]);
        let url = format!("https://smdp.example.com:{port}/gsma/rsp2/es9plus/x");
        for body in [&b"{\"a\":1}"[..], b"{}"] {
            let reply = http.post(&url, &[("Content-Type", "application/json")], body).unwrap();
            assert_eq!(reply, HttpReply { status: 200, body: b"{}".to_vec() });
        }
        drop(http);
        let requests = server.join().unwrap();
        assert_eq!(requests.len(), 2);
        assert!(requests[0].starts_with("POST /gsma/rsp2/es9plus/x HTTP/1.1\r\n"), "{}", requests[0]);
        assert!(requests[0].contains("Content-Type: application/json\r\n") && requests[0].ends_with("{\"a\":1}"));
        assert!(!requests[0].contains("Expect"));
    }

    #[test]
    fn a_status_is_an_answer() {
        let (port, pem, server) = serve("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        let mut http = client(Trust::Only(pem), Vec::new());
        let reply = http.post(&format!("https://127.0.0.1:{port}/"), &[], b"{}").unwrap();
        assert_eq!(reply.status, 503);
        drop(http);
        server.join().unwrap();
    }

    #[test]
    fn a_certificate_of_somebody_else_is_not_trusted() {
        let other = Trust::Only(self_signed().0.to_pem().unwrap());
        for (trust, host) in [(other, "127.0.0.1"), (Trust::System, "127.0.0.1")] {
            let (port, _, server) = serve("");
            let error = client(trust, Vec::new()).post(&format!("https://{host}:{port}/"), &[], b"").unwrap_err();
            assert_eq!(error.curl, Some(60), "{error}");
            assert!(
                error.message.starts_with(&format!("the certificate of 127.0.0.1:{port} is not trusted (curl 60)"))
            );
            server.join().unwrap();
        }
        let (port, pem, server) = serve("");
        let resolve = vec![format!("other.example.com:{port}:127.0.0.1")];
        let url = format!("https://other.example.com:{port}/");
        assert_eq!(client(Trust::Only(pem), resolve).post(&url, &[], b"").unwrap_err().curl, Some(60), "wrong name");
        server.join().unwrap();
    }

    #[test]
    fn network_errors_keep_their_code() {
        // A real look-up would depend on the name service of the machine that tests.
        let url = "https://smdp.example.invalid:8443/x";
        let error = describe(6, "Could not resolve hostname", Some("smdp.example.invalid"), url);
        assert_eq!((error.curl, error.message.as_str()), (Some(6), "cannot resolve smdp.example.invalid (curl 6)"));

        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("https://127.0.0.1:{free}/");
        let error = client(Trust::System, Vec::new()).post(&url, &[], b"").unwrap_err();
        assert_eq!(error.message, format!("cannot connect to 127.0.0.1:{free} (curl 7)"));

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.shutdown(Shutdown::Both);
        });
        let url = format!("https://127.0.0.1:{port}/");
        let error = client(Trust::System, Vec::new()).post(&url, &[], b"").unwrap_err();
        assert_eq!(error.curl, Some(35), "{error}");
        assert!(error.hint.unwrap().contains("another network"));
        server.join().unwrap();
    }

    #[test]
    fn trusted_files_in_either_form() {
        let folder = std::env::temp_dir().join(format!("lpad-trust-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let certificate = self_signed().0;
        let pem = certificate.to_pem().unwrap();
        let (der_file, pem_file, bad_file) = (folder.join("ci.der"), folder.join("ci.pem"), folder.join("bad"));
        std::fs::write(&der_file, certificate.to_der().unwrap()).unwrap();
        std::fs::write(&pem_file, [&b"Issuer: lab\n"[..], &pem, &pem].concat()).unwrap();
        std::fs::write(&bad_file, b"nothing").unwrap();
        assert_eq!(Trust::from_files(&[&der_file, &pem_file]).unwrap(), Trust::Only([&pem[..], &pem, &pem].concat()));
        assert!(Trust::from_files(&[&bad_file]).unwrap_err().to_string().contains("holds no X.509 certificate"));
        let missing = Trust::from_files(&[folder.join("missing")]).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read the trusted certificates in "), "{missing}");
        assert_eq!(Trust::from_files::<&Path>(&[]).unwrap(), Trust::System);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
