//! TLS of the HTTPS front.

use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::ssl::{SslAcceptor, SslAcceptorBuilder, SslMethod, SslSessionCacheMode, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use rsp::cert::Certificate;
use rsp::crypto::Curve;

use super::traffic::{Tap, tell_secrets};
use crate::server::Identity;

/// The cipher suites of TLS 1.2 (SGP.22 §2.6.6: ECDHE-ECDSA with AES-128, GCM or CBC with SHA-256).
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA256";

/// A server certificate with what TLS needs beside it. Clients may show a certificate where it can be verified; one
/// that cannot be ends the handshake.
pub(super) fn acceptor(
    identity: &Identity,
    client_ca: &[Certificate],
    tap: Option<&Arc<dyn Tap>>,
) -> Result<SslAcceptor, ErrorStack> {
    let mut builder = builder(identity, tap)?;
    if !client_ca.is_empty() {
        let mut store = X509StoreBuilder::new()?;
        for ci in client_ca {
            let ci = X509::from_der(ci.der())?;
            builder.add_client_ca(&ci)?;
            store.add_cert(ci)?;
        }
        builder.set_verify_cert_store(store.build())?;
        builder.set_verify(SslVerifyMode::PEER);
        // Sessions are not resumed, but OpenSSL asks for a name as soon as certificates of clients are verified.
        builder.set_session_id_context(b"esimlab")?;
    }
    Ok(builder.build())
}

/// The same with nothing but TLS 1.0, which no client should take.
pub(super) fn old_version(identity: &Identity, tap: Option<&Arc<dyn Tap>>) -> Result<SslAcceptor, ErrorStack> {
    let mut builder = builder(identity, tap)?;
    // Security level 0 allows the signatures with SHA-1 that this version is made of.
    builder.set_security_level(0);
    builder.set_min_proto_version(Some(SslVersion::TLS1))?;
    builder.set_max_proto_version(Some(SslVersion::TLS1))?;
    builder.set_cipher_list("ECDHE-ECDSA-AES128-SHA@SECLEVEL=0")?;
    Ok(builder.build())
}

fn builder(identity: &Identity, tap: Option<&Arc<dyn Tap>>) -> Result<SslAcceptorBuilder, ErrorStack> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    tell_secrets(&mut builder, tap);
    builder.set_certificate(&*X509::from_der(identity.certificate.der())?)?;
    builder.set_private_key(identity.key.as_pkey())?;
    builder.check_private_key()?;
    // SGP.22 §2.6.6: TLS 1.2 at least.
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_cipher_list(CIPHERS)?;
    let groups = match identity.certificate.curve() {
        Curve::P256 => "P-256:X25519:P-384",
        Curve::BrainpoolP256r1 => {
            // In TLS 1.3 a brainpool certificate needs signature schemes (RFC 8734) that few clients offer: with one, a
            // client that could do both would fail in 1.3 although 1.2 works.
            builder.set_max_proto_version(Some(SslVersion::TLS1_2))?;
            "brainpoolP256r1:P-256:X25519"
        }
    };
    builder.set_groups_list(groups)?;
    // A download has one connection: tickets to resume it with are never used.
    builder.set_num_tickets(0)?;
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    Ok(builder)
}
