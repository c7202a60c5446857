//! What a lab is to be like, and how it is wired up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use euicc::CardConfig;
use euicc::spec::CardSpec;
use modem::network::{NetworkSpec, Operators};
use modem::{HostNetwork, Model, Modem, RunningModem};
use pki::{Pki, PkiSpec};
use rsp::Eid;
use rsp::crypto::{Curve, Random, SeededRandom, SystemRandom};
use smdp::manage::Watch;
use smdp::{OrderSpec, Profile, Server};

use super::card::{CardParts, MadeCard, Reopening, Slot, make_card};
use super::identities::echo_identity;
use super::keys::ProfileKeys;
use super::server::{ServerParts, ServerPlace, start_server};
use super::terminals::{link_all, unplug};
use super::watch::ModemWatch;
use super::{Clock, DEFAULT_EID, DEFAULT_MODEL, Lab, LabError, io, system_time};
use crate::built_in_lpa::ModuleLpa;
use crate::fault::card::{CardFault, CardFaults};
use crate::fault::cut::CuttableStore;
use crate::fault::line::{FaultyLine, LineFault};
use crate::fault::{Deeds, Trigger};
use crate::nvm::NvmFile;
use crate::peer::{EchoPeer, FileFolder};
use crate::scenario::ast::CardCertificate;
use crate::scenario::ast::{Template, Variable};
use crate::tidy::Nest;
use crate::timeline::Timeline;

/// The modem's files in the folder that a lab keeps its state in.
const FILES: &str = "ufs";

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
    outside: Option<Outside>,
    come_and_go: bool,
    card_is_in: bool,
    card_certificate: CardCertificate,
    timeline: Timeline,
    record_traffic: bool,
    clock: Clock,
}

/// A server outside of the lab, in the place of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// Its address, as it stands in activation codes.
    pub address: String,
    /// The certificates under which its TLS certificate is issued, in PEM form.
    pub trust: Vec<u8>,
}

/// A change of what a card is like.
pub(super) type CardChange = Box<dyn FnOnce(&mut CardConfig) + Send>;

/// What is at the server's address instead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dead {
    /// Nobody: connections are refused.
    Refusing,
    /// Nothing ever comes back.
    BlackHole,
}

impl LabBuilder {
    /// A lab with nothing special.
    pub(super) fn new() -> Self {
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
            outside: None,
            come_and_go: false,
            card_is_in: true,
            card_certificate: CardCertificate::default(),
            timeline: Timeline::new(),
            record_traffic: false,
            clock: Arc::new(system_time),
        }
    }

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

    /// Keeps what is on the card, and what the module keeps over a restart (its non-volatile memory and its files), in
    /// this folder, from one lab to the next. The certificates have to be the same each time.
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

    /// Has a server outside take the place of the lab's own, which is not started then. Orders and faults of the server
    /// mean nothing in such a lab.
    pub fn outside_server(mut self, outside: Outside) -> Self {
        self.outside = Some(outside);
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

    /// Writes down the bytes of all connections to the server, and the secrets of their TLS: see [`Lab::traffic`].
    pub fn record_traffic(mut self) -> Self {
        self.record_traffic = true;
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
        let pki = Arc::new(match self.pki {
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
        });
        let own_eid = self.card.as_ref().and_then(|card| card.eid);
        let eid = match self.eid.or(own_eid).or_else(|| pki.eids().first().copied()) {
            Some(eid) => eid,
            None => Eid::parse(DEFAULT_EID).map_err(|error| io(DEFAULT_EID)(std::io::Error::other(error)))?,
        };

        let counted = Arc::new(Watch::default());
        let place = match self.outside.take() {
            Some(Outside { address, trust }) => ServerPlace { front: None, address, trust, dead: None, recorder: None },
            None => {
                let parts = ServerParts {
                    pki: &pki,
                    record_traffic: self.record_traffic,
                    curve: self.curve,
                    listen: self.listen,
                    name: self.server_name.as_deref(),
                    resolvable: self.resolvable,
                    dead: self.dead,
                    orders: std::mem::take(&mut self.orders),
                    faults: std::mem::take(&mut self.faults),
                    clock: clock.clone(),
                    timeline: &self.timeline,
                    watch: &counted,
                    random,
                    now,
                    today,
                };
                start_server(parts)?
            }
        };
        let ServerPlace { front, address, trust, dead, recorder } = place;

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
        let MadeCard { mut card, config, keys } = make_card(CardParts {
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
        let operators_random = random("operators");
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
            && let Some(listening) = front.as_ref().map(Server::address)
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
        let operators = Operators {
            spec: self.network,
            keys: Some(Box::new(ProfileKeys {
                preinstalled: keys,
                server: front.as_ref().map(|front| front.smdp().clone()),
            })),
            random: operators_random,
        };
        let watch = Some(Box::new(watch) as Box<dyn modem::Observer>);
        let modem = match &self.state {
            None => Modem::in_network(model, inserted, operators, watch),
            Some(folder) => {
                let (file, nvm) = NvmFile::open(folder, &model)?;
                let files = FileFolder::open(folder.join(FILES)).map_err(io(folder.display().to_string()))?;
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let memory: (Box<dyn modem::NvmStore>, _) = (Box::new(file), nvm);
                let mut modem = Modem::with_nvm(model, inserted, operators, watch, memory, now);
                modem.keep_files(Box::new(files));
                modem
            }
        };
        let modem = RunningModem::start_on(modem, reach, line).map_err(io("the modem's pseudo-terminals"))?;
        let modem = Arc::new(modem);
        // The lab's own table of names, as far as the server is in it.
        let names = self.server_name.as_ref().zip(front.as_ref().map(Server::address));
        let names = names.map(|(name, listening)| format!("{name}:{}:{}", listening.port(), listening.ip()));
        let names = names.into_iter().collect();
        let module_lpa = ModuleLpa::new(modem.handle(), self.timeline.clone(), trust.clone(), names);
        modem.apply(|modem| {
            modem.set_downloader(Box::new(module_lpa));
            modem::Output::default()
        });

        let nest = Nest::of_process().map_err(io("a folder for temporary files"))?;
        let folder = nest.folder("lab-").map_err(io("a folder for the lab"))?;
        let ci_file = folder.path().join("ci.pem");
        std::fs::write(&ci_file, &trust).map_err(io(ci_file.display().to_string()))?;
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
            recorder,
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
