//! The certificates of a lab's servers: the right ones, and those that faults put in their place.

use std::net::SocketAddr;

use pki::{Pki, PkiSpec};
use rsp::crypto::{Curve, PrivateKey, Random};
use smdp::front::TlsFlaw;

use super::LabError;

/// The TLS certificate of the server, and the host name it is limited to, if it is.
///
/// With the CI's key at hand a certificate for loopback is issued; a folder without that key (or a real server's
/// certificates) brings its own certificate, and the server is then known by the first name in it.
pub(super) fn server_identity(
    pki: &Pki,
    curve: Curve,
    names: &[String],
    random: &mut dyn Random,
    now: i64,
) -> Result<(smdp::Identity, Option<String>), LabError> {
    if pki.ci_key(curve).is_ok() {
        return Ok((identity(&pki.issue_tls(curve, names, random, now)?), None));
    }
    let own = pki.tls(curve)?;
    Ok((identity(own), own.certificate.dns_names().first().cloned()))
}

/// Whether an address is one that follows from a seed: a fixed port of loopback that nobody has asked for.
pub(super) fn is_from_seed(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V4(address) if address.ip().is_loopback() && address.ip().octets()[1] != 0)
}

/// The names under which a server on this address is known.
pub(super) fn host_names(listening: SocketAddr) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let own = listening.ip().to_string();
    if !listening.ip().is_unspecified() && !names.contains(&own) {
        names.push(own);
    }
    names
}

/// The certificates that faults put in the place of the server's right one, as far as they can be made.
pub(super) fn flawed_identities(
    pki: &Pki,
    curve: Curve,
    names: &[String],
    random: &dyn Fn(&str) -> Box<dyn Random>,
    now: i64,
) -> Vec<(TlsFlaw, smdp::Identity)> {
    const DAY: i64 = 86_400;
    let mut list = Vec::new();
    let spec = PkiSpec { curves: vec![curve], host_names: names.to_vec(), eids: Vec::new(), ..PkiSpec::default() };
    if let Ok(other) = Pki::generate(&spec, &mut *random("other pki"), now)
        && let Ok(tls) = other.tls(curve)
    {
        list.push((TlsFlaw::Untrusted, identity(tls)));
    }
    let key = PrivateKey::generate(curve, &mut *random("expired tls key"));
    if let (Ok(ci), Ok(smdp), Ok(key)) = (pki.ci_identity(curve), pki.smdp(curve), key) {
        let spec = pki::CertificateSpec::dp_tls(names, &smdp.oid, now - 2 * DAY);
        let spec = pki::CertificateSpec { not_after: now - DAY, ..spec };
        let issued = spec.issue(&ci, key, &mut *random("expired tls"));
        list.extend(issued.map(|made| (TlsFlaw::Expired, identity(&made))));
    }
    let elsewhere = ["elsewhere.example.invalid".to_owned()];
    let other = pki.issue_tls(curve, &elsewhere, &mut *random("tls elsewhere"), now);
    list.extend(other.map(|made| (TlsFlaw::WrongName, identity(&made))));
    list.extend(pki.smdp(curve).map(|smdp| (TlsFlaw::WrongRole, identity(&smdp.auth))));
    list
}

pub(super) fn identity(identity: &pki::Identity) -> smdp::Identity {
    smdp::Identity { certificate: identity.certificate.clone(), key: identity.key.clone() }
}

/// A certificate for the peer that sends everything back, where the CI's key is at hand to issue it.
pub(super) fn echo_identity(pki: &Pki, curve: Curve, random: &mut dyn Random, now: i64) -> Option<pki::Identity> {
    let names = [crate::peer::NAME, "localhost", "127.0.0.1"].map(str::to_owned);
    pki.ci_key(curve).ok()?;
    pki.issue_tls(curve, &names, random, now).ok()
}
