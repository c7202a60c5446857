//! The certificates of a lab's servers: the right ones, and those that faults put in their place.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use pki::{Pki, PkiSpec};
use rsp::crypto::{Curve, PrivateKey, Random};
use smdp::front::{Flawed, TlsFlaw};

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

/// The host that a server on this address has in activation codes.
pub(crate) fn own_host(listening: SocketAddr) -> String {
    match listening.ip() {
        // What listens everywhere is here too.
        ip if ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V6(ip) => format!("[{ip}]"),
        IpAddr::V4(ip) => ip.to_string(),
    }
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

/// Makes the certificates that faults put in the place of the server's right one, as far as they can be made.
pub(crate) fn flawed_identities(
    pki: &Arc<Pki>,
    curve: Curve,
    names: Vec<String>,
    random: impl Fn(&str) -> Box<dyn Random> + Send + Sync + 'static,
    now: i64,
) -> Flawed {
    let pki = pki.clone();
    Arc::new(move |flaw| flawed_identity(&pki, curve, &names, &random, now, flaw))
}

fn flawed_identity(
    pki: &Pki,
    curve: Curve,
    names: &[String],
    random: &dyn Fn(&str) -> Box<dyn Random>,
    now: i64,
    flaw: TlsFlaw,
) -> Option<smdp::Identity> {
    const DAY: i64 = 86_400;
    match flaw {
        TlsFlaw::Untrusted => {
            let host_names = names.to_vec();
            let spec = PkiSpec { curves: vec![curve], host_names, eids: Vec::new(), ..PkiSpec::default() };
            let other = Pki::generate(&spec, &mut *random("other pki"), now).ok()?;
            other.tls(curve).ok().map(identity)
        }
        TlsFlaw::Expired => {
            let key = PrivateKey::generate(curve, &mut *random("expired tls key")).ok()?;
            let (ci, smdp) = (pki.ci_identity(curve).ok()?, pki.smdp(curve).ok()?);
            let spec = pki::CertificateSpec::dp_tls(names, &smdp.oid, now - 2 * DAY);
            let spec = pki::CertificateSpec { not_after: now - DAY, ..spec };
            spec.issue(&ci, key, &mut *random("expired tls")).ok().map(|made| identity(&made))
        }
        TlsFlaw::WrongName => {
            let elsewhere = ["elsewhere.example.invalid".to_owned()];
            let other = pki.issue_tls(curve, &elsewhere, &mut *random("tls elsewhere"), now).ok()?;
            Some(identity(&other))
        }
        TlsFlaw::WrongRole => pki.smdp(curve).ok().map(|smdp| identity(&smdp.auth)),
        // The right certificate: what is wrong is how it is served.
        TlsFlaw::OldVersion => None,
    }
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

#[cfg(test)]
mod tests {
    use rsp::crypto::SystemRandom;

    use super::*;

    #[test]
    fn a_server_is_known_by_an_address_that_can_be_called() {
        let host = |text: &str| own_host(text.parse().unwrap());
        assert_eq!(host("127.0.0.2:8443"), "127.0.0.2");
        assert_eq!((host("0.0.0.0:1").as_str(), host("[::]:1").as_str()), ("localhost", "localhost"));
        assert_eq!(host("[::1]:8443"), "[::1]");
    }

    #[test]
    fn each_flaw_has_its_certificate_as_far_as_it_can_be_made() {
        let now = smdp::front::system_time();
        let pki = Arc::new(Pki::generate(&PkiSpec::default(), &mut SystemRandom, now).unwrap());
        let names = vec!["smdp.example.com".to_owned()];
        let random = |_: &str| -> Box<dyn Random> { Box::new(SystemRandom) };
        let flawed = flawed_identities(&pki, Curve::P256, names.clone(), random, now);
        let certificate = |flaw| flawed(flaw).unwrap().certificate;
        assert_eq!(certificate(TlsFlaw::Untrusted).dns_names(), names);
        assert_ne!(
            certificate(TlsFlaw::Untrusted).authority_key_id(),
            certificate(TlsFlaw::WrongName).authority_key_id()
        );
        assert_eq!(certificate(TlsFlaw::WrongName).dns_names(), ["elsewhere.example.invalid"]);
        assert!(certificate(TlsFlaw::Expired).not_after() < now);
        assert_eq!(certificate(TlsFlaw::WrongRole).der(), pki.smdp(Curve::P256).unwrap().auth.certificate.der());
        // A folder without keys, as one with the certificates of a real server.
        let flawed = flawed_identities(&Arc::default(), Curve::P256, names, random, now);
        assert!(flawed(TlsFlaw::Untrusted).is_some());
        assert!(
            [TlsFlaw::Expired, TlsFlaw::WrongName, TlsFlaw::WrongRole].map(|flaw| flawed(flaw).is_none()) == [true; 3]
        );
    }
}
