//! TLS of the HTTPS front.

use openssl::error::ErrorStack;
use openssl::ssl::{SslAcceptor, SslMethod, SslVersion};
use openssl::x509::X509;
use rsp::crypto::Curve;

use crate::server::Identity;

/// The cipher suites of TLS 1.2 (SGP.22 §2.6.6: ECDHE-ECDSA with AES-128, GCM or CBC with SHA-256).
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA256";

/// A server certificate with what TLS needs beside it.
pub(super) fn acceptor(identity: &Identity) -> Result<SslAcceptor, ErrorStack> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
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
    Ok(builder.build())
}
