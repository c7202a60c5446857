//! The SM-DP+ of a lab: its certificates, its orders and faults, and the address that it is known by.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use pki::Pki;
use rsp::crypto::{Curve, Random};
use smdp::manage::Watch;
use smdp::{OrderSpec, Server, Smdp, SmdpConfig};

use super::builder::Dead;
use super::identities::{flawed_identities, host_names, identity, is_from_seed, own_host, server_identity};
use super::watch::ServerWatch;
use super::{Clock, LabError, UNRESOLVABLE_HOST, io};
use crate::fault::socket::DeadAddress;
use crate::timeline::Timeline;
use crate::traffic::Recorder;

/// What a server is made from.
pub(super) struct ServerParts<'a, R> {
    pub(super) pki: &'a Arc<Pki>,
    pub(super) record_traffic: bool,
    pub(super) curve: Curve,
    pub(super) listen: SocketAddr,
    pub(super) name: Option<&'a str>,
    pub(super) resolvable: bool,
    pub(super) dead: Option<Dead>,
    pub(super) orders: Vec<OrderSpec>,
    pub(super) faults: Vec<smdp::Fault>,
    pub(super) clock: Clock,
    pub(super) timeline: &'a Timeline,
    pub(super) watch: &'a Arc<Watch>,
    pub(super) random: R,
    pub(super) now: i64,
    pub(super) today: i64,
}

/// Where the server of a lab is.
pub(super) struct ServerPlace {
    /// The server itself, where it is one of the lab.
    pub(super) front: Option<Server>,
    /// Its address, as it stands in activation codes.
    pub(super) address: String,
    /// The certificates under which its TLS certificate is issued, in PEM form.
    pub(super) trust: Vec<u8>,
    /// What is at its address instead of it.
    pub(super) dead: Option<DeadAddress>,
    /// Who records the bytes of its connections.
    pub(super) recorder: Option<Arc<Recorder>>,
}

pub(super) fn start_server<R>(parts: ServerParts<'_, R>) -> Result<ServerPlace, LabError>
where
    R: Fn(&str) -> Box<dyn Random> + Send + Sync + 'static,
{
    let ServerParts { pki, curve, now, today, random, .. } = parts;
    // The address that was asked for may be taken by another lab with the same seed; any other one does then.
    let listener = TcpListener::bind(parts.listen).or_else(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse if is_from_seed(parts.listen) => TcpListener::bind(("127.0.0.1", 0)),
        _ => Err(error),
    });
    let listener = listener.map_err(|source| LabError::Listen { address: parts.listen, source })?;
    let listening = listener.local_addr().map_err(io("the SM-DP+'s listener"))?;
    let mut names = host_names(listening);
    names.extend(parts.name.map(str::to_owned));
    let tls = server_identity(pki, curve, &names, &mut *random("tls"), today)?;
    let host = match (parts.resolvable, tls.1, parts.name) {
        (false, _, _) => UNRESOLVABLE_HOST.to_owned(),
        (true, Some(name), _) => name,
        (true, None, Some(name)) => name.to_owned(),
        (true, None, None) => own_host(listening),
    };
    let dead = match parts.dead {
        None => None,
        Some(Dead::Refusing) => Some(DeadAddress::refusing(listening)),
        Some(Dead::BlackHole) => Some(DeadAddress::black_hole(listening)),
    };
    let dead = dead.transpose().map_err(io("an address where nobody is"))?;
    let address = match &dead {
        None => format!("{host}:{}", listening.port()),
        Some(dead) => dead.address().to_string(),
    };

    let ci = pki.ci(curve)?.clone();
    let trust = ci.to_pem().into_bytes();
    let credentials = pki.smdp(curve)?;
    let mut config = SmdpConfig::new(
        address.clone(),
        credentials.oid.clone(),
        vec![smdp::Credentials { ci, auth: identity(&credentials.auth), pb: identity(&credentials.pb) }],
    );
    config.aliases = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), own_host(listening)];
    let mut server = Smdp::new(config, random("server"))?;
    for order in parts.orders {
        server.add_order(order, now)?;
    }
    server.drain_events();
    let smdp = Arc::new(Mutex::new(server));
    let recorder = parts.record_traffic.then(|| Arc::new(Recorder::new(parts.timeline.clone())));
    let options = smdp::front::Options {
        clock: parts.clock,
        tap: recorder.clone().map(|recorder| recorder as Arc<dyn smdp::front::Tap>),
        observer: Arc::new(ServerWatch { timeline: parts.timeline.clone(), watch: parts.watch.clone() }),
        faults: parts.faults,
        flawed: flawed_identities(pki, curve, names, random, today),
        ..smdp::front::Options::default()
    };
    let front = Server::start(listener, smdp, &tls.0, options)?;
    Ok(ServerPlace { front: Some(front), address, trust, dead, recorder })
}
