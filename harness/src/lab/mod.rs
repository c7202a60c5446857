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

mod builder;
mod card;
mod identities;
mod keys;
mod server;
mod terminals;
mod watch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use euicc::{CardConfig, Euicc, NotificationSummary, NvramError, ProfileSummary};
use modem::{Modem, RunningModem};
use pki::Pki;
use rsp::crypto::{Curve, SystemRandom};
use rsp::es10::profiles::ProfileState;
use rsp::{Eid, Iccid};
use smdp::manage::Watch;
use smdp::{OrderId, OrderSpec, OrderState, Server, Smdp};

use crate::console::Console;
use crate::fault::socket::DeadAddress;
use crate::peer::EchoPeer;
pub use crate::scenario::ast::CardCertificate;
use crate::tidy::Nest;
use crate::timeline::Timeline;
use crate::traffic::{Recorder, Recording};
pub use builder::{Dead, LabBuilder, Outside, Preinstalled};
pub(crate) use card::card_profile;
use card::{Slot, es10};
pub(crate) use identities::{flawed_identities, own_host};
use terminals::link_all;

/// The host name under which the SM-DP+ is said to be when its name is not to resolve. `invalid` is reserved: no name
/// below it exists (RFC 6761 §6.4).
pub const UNRESOLVABLE_HOST: &str = "smdp.example.invalid";

/// The model of a lab that is not told another one.
pub const DEFAULT_MODEL: &str = "RM500Q-GL";

/// The EID of a lab that is not told another one: that of the SGP.26 test card.
pub const DEFAULT_EID: &str = "89049032123451234512345678901235";

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
    /// The memory of the module cannot be used.
    #[error("{}: {source}", path.display())]
    Nvm {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: modem::NvmError,
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
    /// The lab has no server of its own.
    #[error("the server is not one of this lab: it takes no order from it")]
    NoServer,
    /// The SM-DP+ cannot listen where it is to.
    #[error("the SM-DP+ {}", cannot_listen(*.address, source))]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// A port, a terminal or a file.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// That nobody can listen on an address, and what to try.
pub(crate) fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> String {
    let advice = match error.kind() {
        std::io::ErrorKind::AddrInUse => "; somebody else does already: port 0 takes one that is free",
        std::io::ErrorKind::AddrNotAvailable => "; it has to be an address of this machine, as 127.0.0.1 is",
        std::io::ErrorKind::PermissionDenied => "; ports below 1024 need more rights: port 0 takes one that is free",
        _ => "",
    };
    format!("cannot listen on {address}: {error}{advice}")
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> LabError {
    let what = what.into();
    move |source| LabError::Io { what, source }
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
    /// The server of the lab, unless its place is taken by one outside.
    front: Option<Server>,
    watch: Arc<Watch>,
    address: String,
    eid: Eid,
    ci_file: PathBuf,
    timeline: Timeline,
    recorder: Option<Arc<Recorder>>,
    clock: Clock,
    clock_offset: Arc<AtomicI64>,
    slot: Slot,
    unplugger: tokio::task::JoinHandle<()>,
    _dead: Option<DeadAddress>,
    pki: Arc<Pki>,
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
        LabBuilder::new()
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
        let listening = self.front.as_ref()?.address();
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
        if let Some(front) = &self.front {
            front.suspend().await;
        }
    }

    /// Switches the server on again.
    pub fn start_server(&self) -> Result<(), LabError> {
        match &self.front {
            Some(front) => front.resume().map_err(io("the SM-DP+ cannot listen again")),
            None => Ok(()),
        }
    }

    /// Moves the order with this matching id to another state, as the operator of the server does. False when there is
    /// no such order.
    pub fn move_order(&self, matching_id: &str, state: OrderState, cause: &str) -> bool {
        let now = self.now();
        let Some(mut server) = self.server() else { return false };
        let Some(id) = server.order_with_matching_id(matching_id).map(smdp::Order::id) else { return false };
        server.set_order_state(id, state, cause, now);
        true
    }

    /// Has the order with this matching id expire now. False when there is no such order.
    pub fn expire_order(&self, matching_id: &str) -> bool {
        let now = self.now();
        let Some(mut server) = self.server() else { return false };
        let Some(id) = server.order_with_matching_id(matching_id).map(smdp::Order::id) else { return false };
        server.set_order_expiry(id, Some(now - 1));
        true
    }

    /// How many sessions the server has open.
    pub fn open_sessions(&self) -> usize {
        self.server().map_or(0, |server| server.open_sessions())
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

    /// Where the SM-DP+ of the lab listens; `None` where one outside takes its place.
    pub fn listening(&self) -> Option<SocketAddr> {
        self.front.as_ref().map(Server::address)
    }

    /// The HTTPS front of the SM-DP+; `None` where one outside takes its place.
    pub fn front(&self) -> Option<&Server> {
        self.front.as_ref()
    }

    fn server(&self) -> Option<MutexGuard<'_, Smdp>> {
        self.front.as_ref().map(|front| front.smdp().lock().unwrap_or_else(PoisonError::into_inner))
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

    /// The bytes of all connections to the server, as far as they are recorded: see [`LabBuilder::record_traffic`].
    pub fn traffic(&self) -> Option<Recording> {
        self.recorder.as_ref().map(|recorder| recorder.recording())
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
        let Some(server) = self.server() else { return Vec::new() };
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
        let mut server = self.server().ok_or(LabError::NoServer)?;
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

#[cfg(test)]
mod tests {
    use euicc::spec::CardSpec;
    use pki::PkiSpec;
    use rsp::crypto::SeededRandom;
    use smdp::Profile;

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

    /// The memory of the module is a file: what is saved in one lab is there in the next, of the same model. A file that
    /// cannot be read is refused, and left as it is.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_the_module_keeps_outlives_the_lab() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::generate(&PkiSpec::default(), &mut SeededRandom::new(1, "pki"), system_time()).unwrap();
        let lab = |model: &str| {
            let model = modem::Model::named(model).unwrap();
            Lab::builder().pki(pki.clone()).state(folder.path()).model(model).start()
        };
        let say = |lab: &Lab, line: &str| {
            lab.modem.with(|modem| {
                let output = modem.receive(0, format!("{line}\r").as_bytes());
                (String::from_utf8(output.for_port(0)).unwrap(), output)
            })
        };
        let first = lab("RM500Q-GL").unwrap();
        assert!(say(&first, "ATE0+QESIM=\"lpa_enable\",0;&W").ends_with("OK\r\n"));
        drop(first);
        let second = lab("RM500Q-GL").unwrap();
        assert_eq!(say(&second, "AT+QESIM=\"lpa_enable\""), "\r\n+QESIM: \"lpa_enable\",0\r\n\r\nOK\r\n");
        drop(second);
        let other = lab("RM510Q-GL").unwrap();
        assert!(say(&other, "AT+QESIM=\"lpa_enable\"").contains("\"lpa_enable\",1"), "another module");
        drop(other);
        let file = folder.path().join("modem/RM500Q-GL.toml");
        let damaged = std::fs::read_to_string(&file).unwrap().replace("lpa_enable = false", "lpa_enable = no");
        std::fs::write(&file, &damaged).unwrap();
        let Err(error) = lab("RM500Q-GL") else { panic!("a damaged memory is taken") };
        let words = error.to_string();
        assert!(
            words.contains("RM500Q-GL.toml") && words.contains("lpa_enable = no\n") && words.contains('^'),
            "{words}"
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), damaged);
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
