//! A lab: a modem on a pseudo-terminal with a card behind it, and an SM-DP+ on a port of its own, wired to one
//! timeline and one clock.
//!
//! [`Lab::builder`] says what is there at the start; [`LabBuilder::start`] makes it, inside a tokio runtime:
//!
//! ```text
//! host software ── pseudo-terminal ── modem ── CardSlot ── eUICC      both watched,
//!              └── HTTPS on loopback ────────── SM-DP+ ── orders      all events to the timeline
//! ```
//!
//! Nothing is shared between two labs; ports are free ones, and dropping a lab takes it down with all it has made.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use euicc::spec::{CardSpec, ProfileSource};
use euicc::{CardConfig, Euicc, NotificationSummary, Nvram, NvramError, PreinstalledProfile, ProfileSummary};
use modem::network::NetworkSpec;
use modem::{HostNetwork, Model, Modem, ModemEvent, RunningModem};
use pki::{Pki, PkiSpec};
use rsp::crypto::{Curve, PrivateKey, Random, SeededRandom, SystemRandom};
use rsp::es10::config::encode_set_default_dp_address_request;
use rsp::es10::profiles::ProfileState;
use rsp::{Eid, Iccid};
use smdp::front::{Exchange, FaultFired, TlsFlaw};
use smdp::manage::Watch;
use smdp::{OrderId, OrderSpec, OrderState, Profile, Server, Smdp, SmdpConfig, SmdpEvent};

use crate::built_in_lpa::ModuleLpa;
use crate::console::Console;
use crate::fault::card::{CardFault, CardFaults, FaultyCard, Inside};
use crate::fault::cut::CuttableStore;
use crate::fault::line::{FaultyLine, LineFault};
use crate::fault::socket::DeadAddress;
use crate::fault::{Deeds, Trigger};
use crate::peer::{EchoPeer, FileFolder};
pub use crate::scenario::ast::CardCertificate;
use crate::scenario::ast::{Template, Variable};
use crate::tidy::Nest;
use crate::timeline::{Direction, Http, Role, Timeline};

/// The host name under which the SM-DP+ is said to be when its name is not to resolve. `invalid` is reserved: no name
/// below it exists (RFC 6761 §6.4).
pub const UNRESOLVABLE_HOST: &str = "smdp.example.invalid";

/// The model of a lab that is not told another one.
pub const DEFAULT_MODEL: &str = "RM500Q-GL";

/// The EID of a lab that is not told another one: that of the SGP.26 test card.
pub const DEFAULT_EID: &str = "89049032123451234512345678901235";

/// The longest HTTP body that goes into the timeline.
const KEPT_BODY: usize = 256 * 1024;

/// Where a lab gets the time from, Unix seconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A lab that could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The certificates cannot be had.
    #[error("the lab's certificates: {0}")]
    Pki(#[from] pki::PkiError),
    /// No eUICC certificate for this EID.
    #[error("no eUICC certificate on {curve} for the EID {eid}, and none can be issued: {reason}")]
    NoEuicc {
        /// The EID.
        eid: Eid,
        /// The curve.
        curve: Curve,
        /// Why none can be issued.
        reason: String,
    },
    /// The card's store cannot be used.
    #[error("{}: {source}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: NvramError,
    },
    /// A profile that should be on the card cannot be put there.
    #[error("the preinstalled profile {name}: {reason}")]
    Preinstalled {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An order cannot be taken.
    #[error("the order: {0}")]
    Order(#[from] smdp::order::OrderError),
    /// The SM-DP+ refuses its configuration.
    #[error("the SM-DP+: {0}")]
    Smdp(#[from] smdp::server::ConfigError),
    /// The HTTPS front does not start.
    #[error("the SM-DP+: {0}")]
    Front(#[from] smdp::front::StartError),
    /// A port, a terminal or a file.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        source: std::io::Error,
    },
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> LabError {
    let what = what.into();
    move |source| LabError::Io { what, source }
}

/// A profile that is on the card at the start.
#[derive(Debug, Clone)]
pub struct Preinstalled {
    /// The profile.
    pub profile: Profile,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Its nickname.
    pub nickname: Option<String>,
}

/// What a lab is to be like.
#[must_use]
pub struct LabBuilder {
    seed: Option<u64>,
    model: Option<Model>,
    eid: Option<Eid>,
    card: Option<CardSpec>,
    state: Option<PathBuf>,
    curve: Curve,
    pki: Option<Pki>,
    listen: SocketAddr,
    resolvable: bool,
    network: NetworkSpec,
    reach: HostNetwork,
    use_default_smdp: bool,
    preinstalled: Vec<Preinstalled>,
    orders: Vec<OrderSpec>,
    faults: Vec<smdp::Fault>,
    line_faults: Vec<(LineFault, Trigger)>,
    card_faults: Vec<(CardFault, Trigger)>,
    dead: Option<Dead>,
    card_changes: Vec<CardChange>,
    free_memory: Option<u32>,
    default_address: Option<Template>,
    server_name: Option<String>,
    come_and_go: bool,
    card_is_in: bool,
    card_certificate: CardCertificate,
    timeline: Timeline,
    clock: Clock,
}

/// A change of what a card is like.
type CardChange = Box<dyn FnOnce(&mut CardConfig) + Send>;

/// What is at the server's address instead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dead {
    /// Nobody: connections are refused.
    Refusing,
    /// Nothing ever comes back.
    BlackHole,
}

impl LabBuilder {
    /// Makes every random choice follow from this seed; without one they come from the operating system.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The modem; an RM500Q-GL when nothing is said.
    pub fn model(mut self, model: Model) -> Self {
        self.model = Some(model);
        self
    }

    /// The card's EID; when nothing is said, the first one of the PKI.
    pub fn eid(mut self, eid: Eid) -> Self {
        self.eid = Some(eid);
        self
    }

    /// What kind of card it is; a consumer eUICC of SGP.22 v2.5 when nothing is said.
    pub fn card(mut self, card: CardSpec) -> Self {
        self.card = Some(card);
        self
    }

    /// Keeps what is on the card in a file of this folder, from one lab to the next. The certificates have to be the
    /// same each time.
    pub fn state(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state = Some(folder.into());
        self
    }

    /// The curve of all certificates; P-256 when nothing is said.
    pub fn curve(mut self, curve: Curve) -> Self {
        self.curve = curve;
        self
    }

    /// The certificates and keys; new ones when nothing is said.
    pub fn pki(mut self, pki: Pki) -> Self {
        self.pki = Some(pki);
        self
    }

    /// Where the SM-DP+ listens; a free port on loopback when nothing is said.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Makes the server's address one whose host name does not resolve.
    pub fn unresolvable(mut self) -> Self {
        self.resolvable = false;
        self
    }

    /// What the sockets of the modem reach beside the parts of the lab: this machine only when nothing is said.
    pub fn reach(mut self, reach: HostNetwork) -> Self {
        self.reach = reach;
        self
    }

    /// The mobile network around the modem; one that lets every card in when nothing is said.
    pub fn network(mut self, network: NetworkSpec) -> Self {
        self.network = network;
        self
    }

    /// Writes the server's address into the card as its default SM-DP+ address.
    pub fn default_smdp(mut self) -> Self {
        self.use_default_smdp = true;
        self
    }

    /// Puts a profile on the card.
    pub fn profile(mut self, preinstalled: Preinstalled) -> Self {
        self.preinstalled.push(preinstalled);
        self
    }

    /// Gives the server an order.
    pub fn order(mut self, order: OrderSpec) -> Self {
        self.orders.push(order);
        self
    }

    /// Makes something go wrong at the server.
    pub fn fault(mut self, fault: smdp::Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Makes something go wrong on the AT line.
    pub fn line_fault(mut self, fault: LineFault, trigger: Trigger) -> Self {
        self.line_faults.push((fault, trigger));
        self
    }

    /// Makes something go wrong with the card. With a power cut the card's store is one of its own, in memory.
    pub fn card_fault(mut self, fault: CardFault, trigger: Trigger) -> Self {
        self.card_faults.push((fault, trigger));
        self
    }

    /// Says that the server is at an address where nobody answers.
    pub fn dead_address(mut self, dead: Dead) -> Self {
        self.dead = Some(dead);
        self
    }

    /// Changes what the card is like, after its kind has been applied.
    pub fn change_card(mut self, change: impl FnOnce(&mut CardConfig) + Send + 'static) -> Self {
        self.card_changes.push(Box::new(change));
        self
    }

    /// How many bytes are free on the card, beside the profiles that are on it.
    pub fn free_memory(mut self, bytes: u32) -> Self {
        self.free_memory = Some(bytes);
        self
    }

    /// The default SM-DP+ address of the card; `${smdp}` in it is that of the lab's server.
    pub fn default_address(mut self, address: Template) -> Self {
        self.default_address = Some(address);
        self
    }

    /// The host name by which the server is known, in the place of its address. The host of an LPA has to be told the
    /// address: see [`Lab::resolve`].
    pub fn server_name(mut self, name: String) -> Self {
        self.server_name = Some(name);
        self
    }

    /// Has the terminals be links, as they will go away and come back by other paths: see [`Lab::cut_power`].
    pub fn terminals_come_and_go(mut self) -> Self {
        self.come_and_go = true;
        self
    }

    /// Leaves the card out of the modem; [`Lab::insert_card`] puts it in.
    pub fn without_card(mut self) -> Self {
        self.card_is_in = false;
        self
    }

    /// The certificate of the card.
    pub fn card_certificate(mut self, certificate: CardCertificate) -> Self {
        self.card_certificate = certificate;
        self
    }

    /// The timeline that events go to; a new one when nothing is said.
    pub fn timeline(mut self, timeline: Timeline) -> Self {
        self.timeline = timeline;
        self
    }

    /// The clock of card and server; the system's when nothing is said.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the lab. Has to be called inside a tokio runtime with I/O and time.
    pub fn start(mut self) -> Result<Lab, LabError> {
        let offset = Arc::new(AtomicI64::new(0));
        let clock: Clock = {
            let (clock, offset) = (self.clock.clone(), offset.clone());
            Arc::new(move || clock().saturating_add(offset.load(Ordering::Relaxed)))
        };
        let now = clock();
        // Certificates are dated by the day, so that the same seed gives the same ones the whole day.
        let today = now - now.rem_euclid(86_400);
        let seed = self.seed;
        let random = move |label: &str| -> Box<dyn Random> {
            match seed {
                Some(seed) => Box::new(SeededRandom::new(seed, label)),
                None => Box::new(SystemRandom),
            }
        };
        let pki = match self.pki {
            Some(pki) => pki,
            None => {
                let mut curves = vec![self.curve];
                for curve in self.card.iter().flat_map(|card| card.ci.iter().chain(&card.trusted)) {
                    if !curves.contains(curve) {
                        curves.push(*curve);
                    }
                }
                let spec = PkiSpec { curves, eids: Vec::new(), ..PkiSpec::default() };
                Pki::generate(&spec, &mut *random("pki"), today)?
            }
        };
        let own_eid = self.card.as_ref().and_then(|card| card.eid);
        let eid = match self.eid.or(own_eid).or_else(|| pki.eids().first().copied()) {
            Some(eid) => eid,
            None => Eid::parse(DEFAULT_EID).map_err(|error| io(DEFAULT_EID)(std::io::Error::other(error)))?,
        };

        // The address that was asked for may be taken by another lab with the same seed; any other one does then.
        let listener = TcpListener::bind(self.listen).or_else(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse if is_from_seed(self.listen) => TcpListener::bind(("127.0.0.1", 0)),
            _ => Err(error),
        });
        let listener = listener.map_err(io(format!("the SM-DP+ cannot listen on {}", self.listen)))?;
        let listening = listener.local_addr().map_err(io("the SM-DP+'s listener"))?;
        let mut names = host_names(listening);
        names.extend(self.server_name.clone());
        let tls = server_identity(&pki, self.curve, &names, &mut *random("tls"), today)?;
        let host = match (self.resolvable, tls.1, &self.server_name) {
            (false, _, _) => UNRESOLVABLE_HOST.to_owned(),
            (true, Some(name), _) => name,
            (true, None, Some(name)) => name.clone(),
            (true, None, None) => listening.ip().to_string(),
        };
        let dead = match self.dead {
            None => None,
            Some(Dead::Refusing) => Some(DeadAddress::refusing(listening)),
            Some(Dead::BlackHole) => Some(DeadAddress::black_hole(listening)),
        };
        let dead = dead.transpose().map_err(io("an address where nobody is"))?;
        let address = match &dead {
            None => format!("{host}:{}", listening.port()),
            Some(dead) => dead.address().to_string(),
        };

        let ci = pki.ci(self.curve)?.clone();
        let credentials = pki.smdp(self.curve)?;
        let mut config = SmdpConfig::new(
            address.clone(),
            credentials.oid.clone(),
            vec![smdp::Credentials { ci, auth: identity(&credentials.auth), pb: identity(&credentials.pb) }],
        );
        config.aliases = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), listening.ip().to_string()];
        let mut server = Smdp::new(config, random("server"))?;
        for order in self.orders {
            server.add_order(order, now)?;
        }
        server.drain_events();
        let smdp = Arc::new(Mutex::new(server));
        let counted = Arc::new(Watch::default());
        let needs_flawed = self.faults.iter().any(|fault| matches!(fault.action, smdp::front::Action::TlsFlaw(_)));
        let flawed = match needs_flawed {
            true => flawed_identities(&pki, self.curve, &names, &random, today),
            false => Vec::new(),
        };
        let options = smdp::front::Options {
            clock: clock.clone(),
            observer: Arc::new(ServerWatch { timeline: self.timeline.clone(), watch: counted.clone() }),
            faults: self.faults,
            flawed,
            ..smdp::front::Options::default()
        };
        let front = Server::start(listener, smdp, &tls.0, options)?;

        let cut = self
            .card_faults
            .iter()
            .find(|(fault, _)| *fault == CardFault::PowerCut)
            .map(|(_, trigger)| (CuttableStore::new(), u64::from(trigger.nth)));
        if let Some(template) = &self.default_address {
            let filled = template.fill(|variable| match variable {
                Variable::Smdp => address.clone(),
                _ => String::new(),
            });
            self.card_changes
                .push(Box::new(move |config| config.default_smdp = Some(filled).filter(|it| !it.is_empty())));
        }
        let (mut card, config) = card(CardParts {
            pki: &pki,
            curve: self.curve,
            eid,
            preinstalled: &self.preinstalled,
            spec: self.card.as_ref(),
            state: self.state.as_deref(),
            smdp_address: &address,
            default_smdp: self.use_default_smdp,
            changes: self.card_changes,
            certificate: self.card_certificate,
            cut: cut.as_ref().map(|(store, _)| store.clone()),
            random: &random,
            now,
            today,
        })?;
        if let Some(bytes) = self.free_memory {
            card.set_free_memory(bytes);
        }
        // What the card has written to be made is none of the writes that are counted.
        if let Some((store, nth)) = &cut {
            store.cut_at(*nth);
        }
        let card = Arc::new(Mutex::new(card));
        let card_time = Arc::new(AtomicU64::new(0));
        let deeds = Deeds::default();
        let (unplugging, asked) = tokio::sync::mpsc::unbounded_channel();
        let slot = Slot {
            card: card.clone(),
            time: card_time.clone(),
            timeline: self.timeline.clone(),
            clock: clock.clone(),
            is_faulty: !self.card_faults.is_empty(),
            faults: CardFaults::new(self.card_faults),
            deeds: deeds.clone(),
            reopening: cut.map(|(store, _)| Reopening {
                store,
                config,
                random: Arc::new(random),
                times: Arc::default(),
            }),
        };
        let watch = ModemWatch { timeline: self.timeline.clone() };
        let model = match self.model {
            Some(model) => model,
            None => Model::named(DEFAULT_MODEL).map_err(|error| io(DEFAULT_MODEL)(std::io::Error::other(error)))?,
        };
        let model_name = model.identity.model.clone();
        let comes_and_goes =
            self.come_and_go || self.line_faults.iter().any(|(fault, _)| matches!(fault, LineFault::Gone(_)));
        let line: Option<Box<dyn modem::Line>> = match self.line_faults.is_empty() && !slot.is_faulty {
            true => None,
            false => Some(Box::new(FaultyLine::new(self.line_faults, self.timeline.clone(), deeds, unplugging))),
        };
        let inserted = self.card_is_in.then(|| slot.card());
        let mut reach = self.reach;
        if let Some((host, _)) = address.rsplit_once(':')
            && host.parse::<std::net::IpAddr>().is_err()
            && self.resolvable
        {
            reach = reach.name(host, listening.ip());
        }
        let echo = match model.dialect.command_sets.contains(&modem::CommandSet::Sockets) {
            true => Some(
                EchoPeer::start(&echo_identity(&pki, self.curve, &mut *random("echo"), now))
                    .map_err(io(format!("the peer {}", crate::peer::NAME)))?,
            ),
            false => None,
        };
        if let Some(echo) = &echo {
            reach = echo.reached(reach);
        }
        let mut modem = Modem::in_network(model, inserted, self.network, Some(Box::new(watch)));
        if let Some(folder) = &self.state {
            let store = FileFolder::open(folder.join(FILES)).map_err(io(folder.display().to_string()))?;
            modem.keep_files(Box::new(store));
        }
        let modem = RunningModem::start_on(modem, reach, line).map_err(io("the modem's pseudo-terminals"))?;
        let modem = Arc::new(modem);
        let trust = pki.ci(self.curve)?.to_pem().into_bytes();
        // The lab's own table of names, as far as the server is in it.
        let names = self.server_name.as_ref().map(|name| format!("{name}:{}:{}", listening.port(), listening.ip()));
        let module_lpa = ModuleLpa::new(modem.handle(), self.timeline.clone(), trust, names.into_iter().collect());
        modem.apply(|modem| {
            modem.set_downloader(Box::new(module_lpa));
            modem::Output::default()
        });

        let nest = Nest::of_process().map_err(io("a folder for temporary files"))?;
        let folder = nest.folder("lab-").map_err(io("a folder for the lab"))?;
        let ci_file = folder.path().join("ci.pem");
        std::fs::write(&ci_file, pki.ci(self.curve)?.to_pem()).map_err(io(ci_file.display().to_string()))?;
        // A terminal that goes away comes back by another path: hosts are told a link that stays.
        let links = match comes_and_goes {
            true => link_all(&modem.current_ttys(), folder.path()).map_err(io("links to the terminals"))?,
            false => Vec::new(),
        };
        let unplugger =
            tokio::spawn(unplug(asked, Arc::downgrade(&modem), folder.path().to_owned(), self.timeline.clone()));
        Ok(Lab {
            modem,
            links,
            model_name,
            card,
            card_time,
            front,
            watch: counted,
            address,
            eid,
            ci_file,
            timeline: self.timeline,
            clock,
            clock_offset: offset,
            slot,
            unplugger,
            _dead: dead,
            pki,
            echo,
            _folder: folder,
            _nest: nest,
        })
    }
}

/// The TLS certificate of the server, and the host name it is limited to, if it is.
///
/// With the CI's key at hand a certificate for loopback is issued; a folder without that key (or a real server's
/// certificates) brings its own certificate, and the server is then known by the first name in it.
fn server_identity(
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
fn is_from_seed(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V4(address) if address.ip().is_loopback() && address.ip().octets()[1] != 0)
}

/// The names under which a server on this address is known.
fn host_names(listening: SocketAddr) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let own = listening.ip().to_string();
    if !listening.ip().is_unspecified() && !names.contains(&own) {
        names.push(own);
    }
    names
}

/// The certificates that faults put in the place of the server's right one, as far as they can be made.
fn flawed_identities(
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

fn identity(identity: &pki::Identity) -> smdp::Identity {
    smdp::Identity { certificate: identity.certificate.clone(), key: identity.key.clone() }
}

/// What a card is made from.
struct CardParts<'a> {
    pki: &'a Pki,
    curve: Curve,
    eid: Eid,
    preinstalled: &'a [Preinstalled],
    spec: Option<&'a CardSpec>,
    state: Option<&'a Path>,
    smdp_address: &'a str,
    default_smdp: bool,
    changes: Vec<CardChange>,
    certificate: CardCertificate,
    /// A store whose power can be cut, in the place of any other.
    cut: Option<CuttableStore>,
    random: &'a dyn Fn(&str) -> Box<dyn Random>,
    now: i64,
    today: i64,
}

/// A certificate for the peer that sends everything back, where the CI's key is at hand to issue it.
fn echo_identity(pki: &Pki, curve: Curve, random: &mut dyn Random, now: i64) -> Option<pki::Identity> {
    let names = [crate::peer::NAME, "localhost", "127.0.0.1"].map(str::to_owned);
    pki.ci_key(curve).ok()?;
    pki.issue_tls(curve, &names, random, now).ok()
}

/// The modem's files in the folder that a lab keeps its state in.
const FILES: &str = "ufs";

/// The file of a card's data in the folder that a lab keeps its state in.
const CARD_STORE: &str = "card.redb";

/// The card, and what it is like.
fn card(parts: CardParts<'_>) -> Result<(Euicc, CardConfig), LabError> {
    let other = match parts.certificate {
        CardCertificate::OtherCi => {
            let spec = PkiSpec { eids: Vec::new(), ..PkiSpec::default() };
            Some(Pki::generate(&spec, &mut *(parts.random)("pki of the card"), parts.today)?)
        }
        _ => None,
    };
    let pki = other.as_ref().unwrap_or(parts.pki);
    let issue = |curve| {
        let no_euicc = |reason: String| LabError::NoEuicc { eid: parts.eid, curve, reason };
        let mut credentials = match pki.euicc(curve, &parts.eid) {
            Some(known) => known.clone(),
            None => pki
                .issue_euicc(curve, &parts.eid, &mut *(parts.random)("euicc"), parts.today)
                .map_err(|error| no_euicc(error.to_string()))?,
        };
        if parts.certificate == CardCertificate::Expired {
            let organization = credentials.eum.organization().unwrap_or_default();
            let spec = pki::CertificateSpec::euicc(organization, &parts.eid, parts.today - 2 * 86_400);
            let spec = pki::CertificateSpec { not_after: parts.today - 86_400, ..spec };
            let eum = pki.eum_identity(curve).map_err(|error| no_euicc(error.to_string()))?;
            credentials.euicc = spec
                .issue(&eum, credentials.euicc.key.clone(), &mut *(parts.random)("expired euicc"))
                .map_err(|error| no_euicc(error.to_string()))?;
        }
        Ok::<_, LabError>(euicc::Credentials {
            ci: credentials.ci,
            eum: credentials.eum,
            euicc: credentials.euicc.certificate,
            key: credentials.euicc.key,
        })
    };
    let curves = match parts.spec {
        Some(spec) if !spec.ci.is_empty() => spec.ci.clone(),
        _ => vec![parts.curve],
    };
    let credentials = curves.iter().map(|curve| issue(*curve)).collect::<Result<_, _>>()?;
    let mut config = CardConfig::new(parts.eid, credentials);
    let mut preinstalled = parts.preinstalled.to_vec();
    if let Some(spec) = parts.spec {
        spec.apply(&mut config);
        for curve in &spec.trusted {
            config.trusted.push(parts.pki.ci(*curve)?.clone());
        }
        for profile in &spec.profiles {
            let refuse = |reason: String| LabError::Preinstalled { name: profile.source.to_string(), reason };
            preinstalled.push(Preinstalled {
                profile: card_profile(&profile.source).map_err(refuse)?,
                enabled: profile.enabled,
                nickname: profile.nickname.clone(),
            });
        }
    }
    if parts.default_smdp && config.default_smdp.is_none() {
        config.default_smdp = Some(parts.smdp_address.to_owned());
    }
    for wanted in preinstalled {
        let metadata = wanted.profile.metadata(parts.smdp_address).encode();
        let profile =
            PreinstalledProfile::new(&metadata, wanted.profile.package(), wanted.enabled).map_err(|error| {
                LabError::Preinstalled { name: wanted.profile.name().to_owned(), reason: error.to_string() }
            })?;
        config.preinstalled.push(profile.nicknamed(wanted.nickname));
    }
    parts.changes.into_iter().for_each(|change| change(&mut config));
    let likeness = config.clone();
    let random = (parts.random)("card");
    let mut card = match (parts.cut, parts.state) {
        (Some(store), _) => {
            let opened = Nvram::backend(store).and_then(|nvram| Euicc::open(config, random, nvram));
            opened.map_err(|source| LabError::Store { path: PathBuf::from("the card's store"), source })?
        }
        (None, None) => Euicc::new(config, random),
        (None, Some(folder)) => {
            std::fs::create_dir_all(folder).map_err(io(folder.display().to_string()))?;
            let path = folder.join(CARD_STORE);
            let opened = Nvram::file(&path).and_then(|nvram| Euicc::open(config, random, nvram));
            opened.map_err(|source| LabError::Store { path, source })?
        }
    };
    card.reset();
    // The server of a lab before had another port: where the card's default address was that server, it is this one.
    let host = |address: &str| address.rsplit_once(':').map(|(host, _)| host.to_owned());
    let kept = card.default_smdp().map(str::to_owned);
    let same_host = kept.as_deref().and_then(host).is_some_and(|kept| Some(kept) == host(parts.smdp_address));
    if parts.default_smdp && same_host && kept.as_deref() != Some(parts.smdp_address) {
        es10(&mut card, &encode_set_default_dp_address_request(parts.smdp_address), parts.now);
        card.reset();
    }
    card.drain_events();
    Ok((card, likeness))
}

/// A profile that the file of a card names.
pub(crate) fn card_profile(source: &ProfileSource) -> Result<Profile, String> {
    match source {
        ProfileSource::Named(name) => {
            let spec = smdp::profile::built_in_named(name).ok_or_else(|| {
                let names: Vec<String> = smdp::profile::built_in().into_keys().collect();
                format!("there is no built-in profile of this name; there are {}", names.join(", "))
            })?;
            Profile::build(&spec).map_err(|error| error.to_string())
        }
        ProfileSource::Package(path) => {
            let package = std::fs::read(path).map_err(|error| error.to_string())?;
            let names = smdp::profile::PackageNames::default();
            Profile::from_package(&package, &names).map_err(|error| error.to_string())
        }
    }
}

/// Performs one function of ES10 with a short request on the basic channel, as a factory tool does; `None` when the
/// card does not answer it.
fn es10(card: &mut Euicc, request: &[u8], now: i64) -> Option<Vec<u8>> {
    let select = [&[0x00, 0xA4, 0x04, 0x00, 0x10][..], &rsp::ISD_R_AID].concat();
    card.transmit(&select, now);
    let store = [&[0x80, 0xE2, 0x91, 0x00, u8::try_from(request.len()).ok()?][..], request].concat();
    let mut answer = card.transmit(&store, now);
    let mut data = Vec::new();
    loop {
        let at = answer.len().checked_sub(2)?;
        data.extend_from_slice(&answer[..at]);
        match answer[at..] {
            // Done; 91 says besides that a proactive command waits for the terminal (TS 102 221 §7.4.2).
            [0x90, 0x00] | [0x91, _] => return Some(data),
            [0x61, length] => answer = card.transmit(&[0x80, 0xC0, 0x00, 0x00, length], now),
            _ => return None,
        }
    }
}

/// Takes the terminals away and brings them back when a fault asks for it, until the lab goes down.
async fn unplug(
    mut asked: tokio::sync::mpsc::UnboundedReceiver<Duration>,
    modem: Weak<RunningModem>,
    folder: PathBuf,
    timeline: Timeline,
) {
    let none = std::iter::empty::<(&str, String)>;
    while let Some(time) = asked.recv().await {
        let Some(modem) = modem.upgrade() else { return };
        modem.unplug();
        let _ = unlink_all(&folder);
        timeline.note(Role::Modem, "terminals gone", none());
        tokio::time::sleep(time).await;
        // Without a terminal there is nothing to come back to: whoever waits for it runs into its own deadline.
        if modem.plug_in().is_ok() {
            let _ = link_all(&modem.current_ttys(), &folder);
            timeline.note(Role::Modem, "terminals back", none());
        }
    }
}

/// Takes the links to the terminals away.
fn unlink_all(folder: &Path) -> std::io::Result<()> {
    let mut port = 0;
    while folder.join(format!("tty{port}")).symlink_metadata().is_ok() {
        std::fs::remove_file(folder.join(format!("tty{port}")))?;
        port += 1;
    }
    Ok(())
}

/// Makes the links to the terminals in a folder, or has them lead to others.
fn link_all(ttys: &[PathBuf], folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let link = |(port, tty): (usize, &PathBuf)| {
        let (link, new) = (folder.join(format!("tty{port}")), folder.join(format!("tty{port}.new")));
        std::os::unix::fs::symlink(tty, &new)?;
        // In one step: whoever opens it finds the one or the other.
        std::fs::rename(&new, &link)?;
        Ok(link)
    };
    ttys.iter().enumerate().map(link).collect()
}

/// A lab that runs. Dropping it takes it down.
///
/// ```
/// use esimlab::lab::Lab;
/// use smdp::profile::built_in_named;
/// use smdp::{OrderSpec, Profile};
///
/// #[tokio::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let profile = Profile::build(&built_in_named("operator-a").ok_or("it is built in")?)?;
///     let lab = Lab::builder().order(OrderSpec::new("MY-ORDER", profile)).start()?;
///     // What is under test gets these, and then shows what it can do:
///     println!("{} {} {}", lab.tty().display(), lab.smdp_address(), lab.ci_file().display());
///     assert!(lab.profiles().is_empty());
///     // Nobody has to sleep until something has happened.
///     lab.reset_modem();
///     lab.wait_for("card reset").await;
///     Ok(())
/// }
/// ```
pub struct Lab {
    modem: Arc<RunningModem>,
    /// Links to its terminals, when these come and go.
    links: Vec<PathBuf>,
    model_name: String,
    card: Arc<Mutex<Euicc>>,
    card_time: Arc<AtomicU64>,
    front: Server,
    watch: Arc<Watch>,
    address: String,
    eid: Eid,
    ci_file: PathBuf,
    timeline: Timeline,
    clock: Clock,
    clock_offset: Arc<AtomicI64>,
    slot: Slot,
    unplugger: tokio::task::JoinHandle<()>,
    _dead: Option<DeadAddress>,
    pki: Pki,
    echo: Option<EchoPeer>,
    _folder: tempfile::TempDir,
    // The folder above is in it.
    _nest: Arc<Nest>,
}

/// An order as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderSummary {
    /// Its matching id; `None` for one that is found by the EID.
    pub matching_id: Option<String>,
    /// Its state.
    pub state: OrderState,
    /// The profile's name.
    pub profile: String,
    /// The profile's ICCID.
    pub iccid: Iccid,
    /// The activation code.
    pub activation_code: String,
}

impl Lab {
    /// A lab with nothing special: see [`LabBuilder`].
    pub fn builder() -> LabBuilder {
        LabBuilder {
            seed: None,
            model: None,
            eid: None,
            card: None,
            state: None,
            curve: Curve::P256,
            pki: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            resolvable: true,
            network: NetworkSpec::default(),
            reach: HostNetwork::loopback(),
            use_default_smdp: false,
            preinstalled: Vec::new(),
            orders: Vec::new(),
            faults: Vec::new(),
            line_faults: Vec::new(),
            card_faults: Vec::new(),
            dead: None,
            card_changes: Vec::new(),
            free_memory: None,
            default_address: None,
            server_name: None,
            come_and_go: false,
            card_is_in: true,
            card_certificate: CardCertificate::default(),
            timeline: Timeline::new(),
            clock: Arc::new(system_time),
        }
    }

    /// Takes the card out of the modem.
    pub fn remove_card(&self) {
        self.modem.apply(|modem| modem.set_card(None));
    }

    /// Puts the card into the modem.
    pub fn insert_card(&self) {
        self.modem.apply(|modem| modem.set_card(Some(self.slot.card())));
    }

    /// Cuts the power of modem and card, and brings it back: the terminals go away, and come back by other paths.
    pub fn cut_power(&self) -> Result<(), LabError> {
        self.modem.unplug();
        self.modem.apply(Modem::reset);
        self.modem.plug_in().map_err(io("the modem's pseudo-terminals"))?;
        if !self.links.is_empty() {
            link_all(&self.modem.current_ttys(), self._folder.path()).map_err(io("links to the terminals"))?;
        }
        Ok(())
    }

    /// What a host has to be told when the server goes by a name: `HOST:PORT:ADDRESS`, as `lpad --resolve` takes it.
    pub fn resolve(&self) -> Option<String> {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        let listening = self.front.address();
        (host.parse::<std::net::IpAddr>().is_err() && host != UNRESOLVABLE_HOST)
            .then(|| format!("{host}:{}:{}", listening.port(), listening.ip()))
    }

    /// Restarts the modem.
    pub fn reset_modem(&self) {
        self.modem.apply(Modem::reset);
    }

    /// Lets the clock of the lab go on: that of card and server by whole seconds, and that of the modem, which does on
    /// the way what is due. That of the hosts, and of their TLS, stays as it is.
    pub fn advance_clock(&self, by: Duration) {
        let seconds = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
        self.clock_offset.fetch_add(seconds, Ordering::Relaxed);
        self.modem.advance(by);
    }

    /// Switches the server off: whoever calls is refused.
    pub async fn stop_server(&self) {
        self.front.suspend().await;
    }

    /// Switches the server on again.
    pub fn start_server(&self) -> Result<(), LabError> {
        self.front.resume().map_err(io("the SM-DP+ cannot listen again"))
    }

    /// Moves the order with this matching id to another state, as the operator of the server does. False when there is
    /// no such order.
    pub fn move_order(&self, matching_id: &str, state: OrderState, cause: &str) -> bool {
        let now = self.now();
        let mut server = self.front.smdp().lock().unwrap_or_else(PoisonError::into_inner);
        let Some(id) = server.order_with_matching_id(matching_id).map(smdp::Order::id) else { return false };
        server.set_order_state(id, state, cause, now);
        true
    }

    /// Has the order with this matching id expire now. False when there is no such order.
    pub fn expire_order(&self, matching_id: &str) -> bool {
        let now = self.now();
        let mut server = self.front.smdp().lock().unwrap_or_else(PoisonError::into_inner);
        let Some(id) = server.order_with_matching_id(matching_id).map(smdp::Order::id) else { return false };
        server.set_order_expiry(id, Some(now - 1));
        true
    }

    /// How many sessions the server has open.
    pub fn open_sessions(&self) -> usize {
        self.front.smdp().lock().unwrap_or_else(PoisonError::into_inner).open_sessions()
    }

    /// The default SM-DP+ address of the card.
    pub fn default_smdp(&self) -> Option<String> {
        self.card().default_smdp().map(str::to_owned)
    }

    /// The terminal of the modem's first AT port.
    pub fn tty(&self) -> &Path {
        self.ttys().first().map(PathBuf::as_path).unwrap_or(Path::new(""))
    }

    /// The ports of the peer `echo.lab`, which sends everything back to the modem's own sockets: in the clear, and with
    /// TLS where the lab can issue a certificate. `None` when the modem has no sockets.
    pub fn echo_ports(&self) -> Option<(u16, Option<u16>)> {
        let echo = self.echo.as_ref()?;
        Some((crate::peer::PLAIN_PORT, echo.has_tls().then_some(crate::peer::TLS_PORT)))
    }

    /// The terminals of all AT ports.
    pub fn ttys(&self) -> &[PathBuf] {
        if self.links.is_empty() { self.modem.ttys() } else { &self.links }
    }

    /// The modem.
    pub fn modem(&self) -> &RunningModem {
        &self.modem
    }

    /// The operator's console: what the operator of the mobile network sees of the modem, and can do about it.
    pub fn console(&self) -> Console<'_> {
        Console::new(&self.modem, &self.timeline)
    }

    /// The model of the modem.
    pub fn model(&self) -> &str {
        &self.model_name
    }

    /// The card's EID.
    pub fn eid(&self) -> Eid {
        self.eid
    }

    /// The address of the SM-DP+, as it stands in activation codes: `host:port`.
    pub fn smdp_address(&self) -> &str {
        &self.address
    }

    /// Where the SM-DP+ listens.
    pub fn listening(&self) -> SocketAddr {
        self.front.address()
    }

    /// The HTTPS front of the SM-DP+.
    pub fn front(&self) -> &Server {
        &self.front
    }

    /// What has been counted at the SM-DP+, for its management API.
    pub fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// A file with the certificate of the CI (PEM), for the LPA to trust.
    pub fn ci_file(&self) -> &Path {
        &self.ci_file
    }

    /// The folder of this lab's own files, which goes with it.
    pub fn folder(&self) -> &Path {
        self._folder.path()
    }

    /// The certificates and keys.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Waits for the first event with this text in its words, as `esimlab up --verbose` shows them; one that has been
    /// seen already counts. For more there is [`Timeline::wait_for`].
    pub async fn wait_for(&self, text: &str) -> crate::timeline::Event {
        self.timeline.wait_for(0, |event| event.kind.to_string().contains(text)).await.1
    }

    /// Everything that was seen.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The time of the lab.
    pub fn now(&self) -> i64 {
        (self.clock)()
    }

    /// The profiles on the card.
    pub fn profiles(&self) -> Vec<ProfileSummary> {
        self.card().profiles()
    }

    /// The profile that is enabled.
    pub fn enabled_profile(&self) -> Option<ProfileSummary> {
        self.profiles().into_iter().find(|profile| profile.state == ProfileState::Enabled)
    }

    /// The notifications that wait on the card.
    pub fn notifications(&self) -> Vec<NotificationSummary> {
        self.card().notifications()
    }

    /// How many logical channels are open beside the basic one.
    pub fn open_channels(&self) -> usize {
        self.card().open_channels().len().saturating_sub(1)
    }

    /// How long the card has worked, all commands together.
    pub fn card_time(&self) -> Duration {
        Duration::from_nanos(self.card_time.load(Ordering::Relaxed))
    }

    /// Forgets every profile, as if the card had been made anew, but for its keys and counters.
    pub fn wipe_card(&self) -> bool {
        let request = rsp::es10::profiles::encode_memory_reset_request(rsp::tlv::NamedBits::of(&[0, 1]));
        let now = self.now();
        es10(&mut self.card(), &request, now).is_some()
    }

    /// The orders of the SM-DP+.
    pub fn orders(&self) -> Vec<OrderSummary> {
        let server = self.front.smdp().lock().unwrap_or_else(PoisonError::into_inner);
        server
            .orders()
            .iter()
            .map(|order| OrderSummary {
                matching_id: order.matching_id().map(str::to_owned),
                state: order.state(),
                profile: order.profile().name().to_owned(),
                iccid: order.profile().iccid(),
                activation_code: order.activation_code(&self.address),
            })
            .collect()
    }

    /// Gives the server one more order.
    pub fn add_order(&self, order: OrderSpec) -> Result<OrderId, LabError> {
        let now = self.now();
        let mut server = self.front.smdp().lock().unwrap_or_else(PoisonError::into_inner);
        Ok(server.add_order(order, now)?)
    }

    fn card(&self) -> MutexGuard<'_, Euicc> {
        // A panic while the lock was held leaves a card that changes in whole steps.
        self.card.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lab {
    /// Closes the card's store before anything else can ask for it: the modem's tasks, which share the card, end a
    /// moment later. Whatever they still send goes to a card that keeps nothing.
    fn drop(&mut self) {
        self.unplugger.abort();
        let blank = Euicc::new(CardConfig::new(self.eid, Vec::new()), Box::new(SystemRandom));
        drop(std::mem::replace(&mut *self.card(), blank));
    }
}

/// The system's time, Unix seconds.
pub fn system_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or_default()
}

/// What makes cards for the modem's slot: all of them the lab's one card, with its faults around it.
struct Slot {
    card: Arc<Mutex<Euicc>>,
    time: Arc<AtomicU64>,
    timeline: Timeline,
    clock: Clock,
    is_faulty: bool,
    faults: CardFaults,
    deeds: Deeds,
    reopening: Option<Reopening>,
}

impl Slot {
    /// The card, to be put into the modem.
    fn card(&self) -> Box<dyn modem::Card> {
        let card = WatchedCard {
            card: self.card.clone(),
            timeline: self.timeline.clone(),
            clock: self.clock.clone(),
            time: self.time.clone(),
        };
        if !self.is_faulty {
            return Box::new(card);
        }
        let inside = CardInside { card: self.card.clone(), reopening: self.reopening.clone() };
        let faults = self.faults.clone();
        Box::new(FaultyCard::new(card, inside, faults, self.timeline.clone(), self.deeds.clone()))
    }
}

/// Where random numbers come from, each purpose with its own.
type RandomOf = dyn Fn(&str) -> Box<dyn Random> + Send + Sync;

/// How a card whose power was cut begins anew.
#[derive(Clone)]
struct Reopening {
    store: CuttableStore,
    config: CardConfig,
    random: Arc<RandomOf>,
    times: Arc<AtomicU64>,
}

/// What faults do to the card beside its contacts.
struct CardInside {
    card: Arc<Mutex<Euicc>>,
    reopening: Option<Reopening>,
}

impl Inside for CardInside {
    fn fill_memory(&self) {
        self.card.lock().unwrap_or_else(PoisonError::into_inner).set_free_memory(0);
    }

    fn has_lost_power(&self) -> bool {
        self.reopening.as_ref().is_some_and(|reopening| reopening.store.is_cut())
    }

    fn give_power(&self) {
        let Some(Reopening { store, config, random, times }) = &self.reopening else { return };
        store.restore();
        // The same random numbers as before would be the same challenges.
        let label = format!("card {}", times.fetch_add(1, Ordering::Relaxed) + 2);
        let nvram = Nvram::backend(store.clone());
        // What a cut leaves behind can be read again: the card's own tests show it for every write.
        if let Ok(card) = nvram.and_then(|nvram| Euicc::open(config.clone(), random(&label), nvram)) {
            *self.card.lock().unwrap_or_else(PoisonError::into_inner) = card;
        }
    }
}

/// The card as the modem sees it; what happens inside goes to the timeline.
struct WatchedCard {
    card: Arc<Mutex<Euicc>>,
    timeline: Timeline,
    clock: Clock,
    /// Nanoseconds that the card has worked.
    time: Arc<AtomicU64>,
}

impl WatchedCard {
    fn with<T>(&self, act: impl FnOnce(&mut Euicc, i64) -> T) -> T {
        let now = (self.clock)();
        let mut card = self.card.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let result = act(&mut card, now);
        let nanoseconds = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.time.fetch_add(nanoseconds, Ordering::Relaxed);
        let events = card.drain_events();
        drop(card);
        for event in &events {
            self.timeline.card(event);
        }
        result
    }
}

impl modem::Card for WatchedCard {
    fn reset(&mut self) -> Vec<u8> {
        self.with(|card, _| card.reset())
    }

    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        self.with(|card, now| card.transmit(apdu, now))
    }
}

struct ModemWatch {
    timeline: Timeline,
}

impl modem::Observer for ModemWatch {
    fn event(&mut self, event: ModemEvent<'_>) {
        match event {
            ModemEvent::Command { port, line } => self.timeline.at(port, Direction::Command, line),
            ModemEvent::Response { port, text } => {
                for line in text.split(['\r', '\n']).filter(|line| !line.is_empty()) {
                    self.timeline.at(port, Direction::Response, line);
                }
            }
            ModemEvent::Urc { line } => {
                // A message that is routed to the host has a line for its text.
                for line in line.split(['\r', '\n']).filter(|line| !line.is_empty()) {
                    self.timeline.at(0, Direction::Response, line);
                }
            }
            ModemEvent::Apdu { command, response } => self.timeline.apdu(command, response),
            ModemEvent::Network(event) => self.timeline.note(Role::Network, event.title(), event.fields()),
            // The card tells its reset itself.
            ModemEvent::CardReset { .. } => {}
        }
    }
}

struct ServerWatch {
    timeline: Timeline,
    watch: Arc<Watch>,
}

impl smdp::front::Observer for ServerWatch {
    fn exchange(&self, exchange: &Exchange) {
        self.watch.exchange(exchange);
        let text = |body: &[u8]| {
            std::str::from_utf8(body).ok().filter(|body| (1..=KEPT_BODY).contains(&body.len())).map(str::to_owned)
        };
        let refused = exchange.refused.as_ref();
        self.timeline.http(Http {
            function: exchange.function.map(|function| function.name().to_owned()).unwrap_or_default(),
            path: exchange.path.clone(),
            status: exchange.http_status.unwrap_or(0),
            subject: refused.map(|status| status.subject.to_string()),
            reason: refused.map(|status| status.reason.to_string()),
            request_bytes: exchange.request_length,
            response_bytes: exchange.response_length,
            request: text(&exchange.request),
            response: text(&exchange.response),
            duration: exchange.duration,
        });
    }

    fn fault(&self, fault: &FaultFired) {
        self.watch.fault(fault);
        use smdp::front::Action;
        let layer = match fault.action {
            Action::TcpClose | Action::TcpReset => "tcp",
            Action::TlsClose | Action::TlsGarbage | Action::TlsAlert(_) | Action::TlsHang | Action::TlsFlaw(_) => "tls",
            Action::HttpStatus { .. }
            | Action::HttpNoReply
            | Action::HttpCut { .. }
            | Action::HttpDrip { .. }
            | Action::HttpContentType
            | Action::HttpGarbage
            | Action::HttpMissing(_)
            | Action::HttpRedirect(_)
            | Action::HttpHuge { .. } => "http",
            _ => "es9plus",
        };
        let at = fault.function.map(|function| format!(" at {}", function.name())).unwrap_or_default();
        self.timeline.fault(layer, format!("{}{at}", fault.action));
    }

    fn handshake_failed(&self, reason: &str) {
        self.watch.handshake_failed(reason);
        self.timeline.note(Role::Server, "TLS handshake failed", [("reason", reason.to_owned())]);
    }

    fn event(&self, event: &SmdpEvent) {
        self.watch.event(event);
        self.timeline.note(Role::Server, event.kind.to_string(), std::iter::empty::<(&str, String)>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator_a() -> Profile {
        Profile::build(&smdp::profile::built_in_named("operator-a").unwrap()).unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_on_the_card_outlives_the_lab() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::generate(&PkiSpec::default(), &mut SeededRandom::new(1, "pki"), system_time()).unwrap();
        let lab = |pki: &Pki| Lab::builder().pki(pki.clone()).state(folder.path()).default_smdp();
        let wanted = Preinstalled { profile: operator_a(), enabled: true, nickname: Some("Work".to_owned()) };
        let first = lab(&pki).profile(wanted.clone()).start().unwrap();
        let profiles = first.profiles();
        assert_eq!((profiles.len(), profiles[0].nickname.as_deref()), (1, Some("Work")));
        drop(first);
        // What the card leaves the factory with is not put on it again.
        let second = lab(&pki).profile(wanted).start().unwrap();
        assert_eq!(second.profiles(), profiles);
        assert_eq!(second.card().default_smdp(), Some(second.smdp_address()));
        assert!(second.wipe_card());
        drop(second);
        assert_eq!(lab(&pki).start().unwrap().profiles(), []);
        // Another card's state.
        let eid = Eid::with_check_digits("890490320000000000000000000001").unwrap();
        let Err(error) = lab(&pki).eid(eid).start() else { panic!("another card's state is taken") };
        assert!(error.to_string().contains("89049032123451234512345678901235"), "{error}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_built_in_card_goes_into_a_lab() {
        let pki = Pki::generate(&PkiSpec::default(), &mut SeededRandom::new(1, "pki"), system_time()).unwrap();
        for name in CardSpec::names() {
            let spec = CardSpec::named(name).unwrap();
            let profiles = spec.profiles.len();
            let lab = Lab::builder().pki(pki.clone()).card(spec).start();
            let lab = lab.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(lab.profiles().len(), profiles, "{name}");
        }
    }
}
