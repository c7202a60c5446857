//! TLS as the settings of the modem have it, by OpenSSL.
//!
//! Old versions and suites are offered by the contexts made here only: their security level is 0, their versions and
//! suites are set one by one. RC4 comes with OpenSSL's legacy provider, which is loaded at the first connection that
//! offers it. That makes the cipher known to the process; no other context names it.
//!
//! What the verification of a certificate finds wrong is compared with what the settings pass over, item by item. The
//! items and their numbers are those of `"ignorecertitem"` (EC200U&EG915U SSL AN 1.1 §2.2.1).

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::pkey::{Id, PKey};
use openssl::provider::Provider;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslVerifyMode, SslVersion};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509Ref, X509StoreContextRef, X509VerifyResult};
use rsp::tlv::{Reader, Tlv};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

use super::stream::repeat_calls;
use crate::ip_error::IpError;
use crate::socket::{TlsSettings, TlsVersions};
use crate::ssl::SUITES;

/// The largest DTLS datagram: an Ethernet frame less its headers.
const DATAGRAM: u32 = 1400;

/// How often DTLS looks whether a flight was lost.
const RETRANSMISSION: Duration = Duration::from_millis(250);

/// Items of `"ignorecertitem"`.
mod item {
    pub(super) const EXPIRED: u32 = 1;
    pub(super) const NAME: u32 = 4;
    pub(super) const UNTRUSTED: u32 = 8;
    pub(super) const OTHER: u32 = 256;
    pub(super) const KEY_USAGE: u32 = 2048;
    pub(super) const EXTENDED_KEY_USAGE: u32 = 4096;
    pub(super) const NETSCAPE_TYPE: u32 = 8192;
    pub(super) const ALGORITHM: u32 = 32_768;
    pub(super) const KEY: u32 = 65_536;
}

/// The shortest RSA key and the shortest elliptic curve key that are accepted, in bits.
const RSA_BITS: u32 = 2048;
const EC_BITS: u32 = 224;

/// Brings TLS up on a transport that stands.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    transport: S,
    settings: &TlsSettings,
    host: &str,
) -> Result<SslStream<S>, IpError> {
    let ssl = prepare(settings, host).map_err(|_| IpError::HandshakeFailed)?;
    let mut stream = SslStream::new(ssl, transport).map_err(|_| IpError::HandshakeFailed)?;
    let outcome = if settings.datagrams {
        repeat_calls(RETRANSMISSION, |context| Pin::new(&mut stream).poll_connect(context)).await
    } else {
        Pin::new(&mut stream).connect().await
    };
    outcome.map_err(|_| IpError::HandshakeFailed)?;
    Ok(stream)
}

fn prepare(settings: &TlsSettings, host: &str) -> Result<Ssl, ErrorStack> {
    let method = if settings.datagrams { SslMethod::dtls_client() } else { SslMethod::tls_client() };
    let mut builder = SslContext::builder(method)?;
    builder.set_security_level(0);
    let (least, greatest) = versions(settings);
    builder.set_min_proto_version(Some(least))?;
    builder.set_max_proto_version(Some(greatest))?;
    let names: Vec<&str> = settings.suites.iter().filter_map(|code| name(*code)).collect();
    if names.iter().any(|name| name.contains("RC4")) {
        load_legacy()?;
    }
    builder.set_cipher_list(&names.join(":"))?;
    if settings.datagrams {
        builder.set_options(SslOptions::NO_QUERY_MTU);
    }
    if let Some((certificate, key)) = &settings.client {
        let chain = certificates(certificate)?;
        let mut chain = chain.into_iter();
        if let Some(own) = chain.next() {
            builder.set_certificate(&own)?;
        }
        for above in chain {
            builder.add_extra_chain_cert(above)?;
        }
        let key = PKey::private_key_from_pem(key).or_else(|_| PKey::private_key_from_der(key))?;
        builder.set_private_key(&key)?;
    }
    if settings.verify {
        let mut store = X509StoreBuilder::new()?;
        for file in &settings.trusted {
            for certificate in certificates(file)? {
                store.add_cert(certificate)?;
            }
        }
        builder.set_cert_store(store.build());
        let param = builder.verify_param_mut();
        match settings.time {
            Some(time) => param.set_time(time),
            None => param.set_flags(X509VerifyFlags::NO_CHECK_TIME)?,
        }
        if settings.ignore_chain {
            param.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
        }
        let rules = Rules {
            ignored: settings.ignored,
            ignore_chain: settings.ignore_chain,
            ignore_signature: settings.ignore_signature,
        };
        builder.set_verify_callback(SslVerifyMode::PEER, move |is_ok, context| rules.accept(is_ok, context));
    } else {
        builder.set_verify(SslVerifyMode::NONE);
    }
    let mut ssl = Ssl::new(&builder.build())?;
    if settings.datagrams {
        ssl.set_mtu(DATAGRAM)?;
    }
    if settings.server_name.is_some() {
        match host.parse::<IpAddr>() {
            // RFC 6066 §3: an address is no server name.
            Ok(address) => ssl.param_mut().set_ip(address)?,
            Err(_) => {
                ssl.set_hostname(host)?;
                ssl.param_mut().set_host(host)?;
            }
        }
    }
    Ok(ssl)
}

fn versions(settings: &TlsSettings) -> (SslVersion, SslVersion) {
    match (settings.versions, settings.datagrams) {
        (TlsVersions::Ssl3, _) => (SslVersion::SSL3, SslVersion::SSL3),
        (TlsVersions::Tls10, false) => (SslVersion::TLS1, SslVersion::TLS1),
        (TlsVersions::Tls11, false) => (SslVersion::TLS1_1, SslVersion::TLS1_1),
        (TlsVersions::Tls12, false) => (SslVersion::TLS1_2, SslVersion::TLS1_2),
        (TlsVersions::All, false) => (SslVersion::SSL3, SslVersion::TLS1_2),
        // RFC 6347 §1: DTLS 1.0 goes with TLS 1.1, and there is nothing before it.
        (TlsVersions::Tls10 | TlsVersions::Tls11, true) => (SslVersion::DTLS1, SslVersion::DTLS1),
        (TlsVersions::Tls12, true) => (SslVersion::DTLS1_2, SslVersion::DTLS1_2),
        (TlsVersions::All, true) => (SslVersion::DTLS1, SslVersion::DTLS1_2),
    }
}

fn name(code: u16) -> Option<&'static str> {
    SUITES.iter().find(|(known, _)| *known == code)?.1
}

/// Makes RC4 known.
fn load_legacy() -> Result<(), ErrorStack> {
    static LEGACY: OnceLock<Option<Provider>> = OnceLock::new();
    if LEGACY.get_or_init(|| Provider::try_load(None, "legacy", true).ok()).is_some() {
        return Ok(());
    }
    Err(ErrorStack::get())
}

/// The certificates of a file: PEM, as many as there are, or one in DER.
fn certificates(file: &[u8]) -> Result<Vec<X509>, ErrorStack> {
    let found = X509::stack_from_pem(file).unwrap_or_default();
    if found.is_empty() { X509::from_der(file).map(|one| vec![one]) } else { Ok(found) }
}

/// What is passed over.
#[derive(Clone, Copy)]
struct Rules {
    ignored: u32,
    ignore_chain: bool,
    ignore_signature: bool,
}

impl Rules {
    /// Whether the verification goes on. It is asked once for each certificate, and once for each thing that is wrong.
    fn accept(self, is_ok: bool, context: &mut X509StoreContextRef) -> bool {
        let depth = context.error_depth();
        let problem = if is_ok {
            if depth > 0 { 0 } else { context.current_cert().map_or(item::OTHER, key_problem) }
        } else {
            let code = context.error().as_raw();
            if self.ignore_signature && code == openssl_sys::X509_V_ERR_CERT_SIGNATURE_FAILURE {
                return true;
            }
            let problem = problem(code, context.current_cert());
            // What is wrong above the server's own certificate, but for the trust in it.
            if self.ignore_chain && depth > 0 && problem != item::UNTRUSTED {
                return true;
            }
            problem
        };
        let is_accepted = problem & !self.ignored == 0;
        if !is_accepted && is_ok {
            context.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
        }
        is_accepted
    }
}

/// The item that an error of OpenSSL is about.
fn problem(code: i32, certificate: Option<&X509Ref>) -> u32 {
    use openssl_sys as error;
    match code {
        error::X509_V_ERR_CERT_NOT_YET_VALID
        | error::X509_V_ERR_CERT_HAS_EXPIRED
        | error::X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD
        | error::X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD => item::EXPIRED,
        error::X509_V_ERR_HOSTNAME_MISMATCH | error::X509_V_ERR_IP_ADDRESS_MISMATCH => item::NAME,
        error::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT
        | error::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
        | error::X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
        | error::X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
        | error::X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE
        | error::X509_V_ERR_CERT_SIGNATURE_FAILURE
        | error::X509_V_ERR_CERT_UNTRUSTED => item::UNTRUSTED,
        error::X509_V_ERR_INVALID_PURPOSE => certificate.map_or(item::OTHER, usage_problem),
        _ => item::OTHER,
    }
}

/// What is wrong with a key: its algorithm, or its length.
fn key_problem(certificate: &X509Ref) -> u32 {
    let Ok(key) = certificate.public_key() else { return item::ALGORITHM };
    match key.id() {
        Id::RSA if key.bits() < RSA_BITS => item::KEY,
        Id::EC if key.bits() < EC_BITS => item::KEY,
        Id::RSA | Id::EC => 0,
        _ => item::ALGORITHM,
    }
}

/// Which extension does not fit a TLS server.
fn usage_problem(certificate: &X509Ref) -> u32 {
    let found = certificate.to_der().ok().and_then(|der| usages(&der));
    match found {
        Some(0) | None => item::OTHER,
        Some(problem) => problem,
    }
}

/// RFC 5280 §4.1, §4.2.1.3, §4.2.1.12: looks at the three extensions that tell what a certificate is for.
fn usages(der: &[u8]) -> Option<u32> {
    const KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x0F];
    const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x25];
    const NETSCAPE_TYPE: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x86, 0xF8, 0x42, 0x01, 0x01];
    const SERVER_AUTH: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
    const ANY_USAGE: &[u8] = &[0x55, 0x1D, 0x25, 0x00];
    let mut fields = Tlv::parse_exact(der).ok()?.reader().expect(0x30).ok()?.reader();
    let mut extensions = loop {
        let field = fields.next_tlv().ok()??;
        if field.tag() == 0xA3.into() {
            break field.reader().expect(0x30).ok()?.reader();
        }
    };
    let mut problems = 0;
    while let Ok(Some(extension)) = extensions.next_tlv() {
        let mut parts = extension.reader();
        let oid = parts.expect(0x06).ok()?.value();
        let _critical = parts.optional(0x01).ok()?;
        let value = Tlv::parse_exact(parts.expect(0x04).ok()?.value()).ok()?;
        // The first bits of a bit string, without the count of unused ones.
        let bits = || value.value().get(1).copied().unwrap_or(0);
        problems |= match oid {
            // digitalSignature, keyEncipherment, keyAgreement.
            KEY_USAGE if bits() & 0b1010_1000 == 0 => item::KEY_USAGE,
            EXTENDED_KEY_USAGE if !names_any(value.reader(), &[SERVER_AUTH, ANY_USAGE]) => item::EXTENDED_KEY_USAGE,
            // SSL server.
            NETSCAPE_TYPE if bits() & 0b0100_0000 == 0 => item::NETSCAPE_TYPE,
            _ => 0,
        };
    }
    Some(problems)
}

fn names_any(mut purposes: Reader<'_>, wanted: &[&[u8]]) -> bool {
    while let Ok(Some(purpose)) = purposes.next_tlv() {
        if wanted.contains(&purpose.value()) {
            return true;
        }
    }
    false
}
