//! What all ports of a modem share, and what happens to it without a command: the card coming up and going, the
//! network that follows from it, the URCs that tell.

use std::collections::VecDeque;
use std::time::Duration;

use crate::card::{CardError, Uicc};
use crate::charset::Charset;
use crate::download::Downloads;
use crate::errors::{CmeError, CmsError};
use crate::event::Tap;
use crate::files::FileArea;
use crate::ip_error::IpError;
use crate::model::{BlankCard, Model, ProfileSwitch, Timing, UrcPort};
use crate::network::Network;
use crate::pdp::PdpContexts;
use crate::phonebook::PhoneBook;
use crate::port::Told;
use crate::radio::RadioSetting;
use crate::service::LocationReports;
use crate::sim::{Sim, SimState};
use crate::sms::MessageService;
use crate::socket::SocketId;
use crate::sockets::Sockets;
use crate::ssl::SslContext;
use crate::toolkit::{Refresh, Served};

/// What `+CEER` tells when nothing has failed.
const NO_CAUSE: &str = "No cause information available";

/// How long a module waits before it takes the power of a blank card again.
const POWER_CYCLE: Duration = Duration::from_secs(10);

/// What all ports share.
pub(crate) struct State {
    pub(crate) model: Model,
    pub(crate) uicc: Uicc,
    pub(crate) tap: Tap,
    /// The time since the epoch, as the caller tells it.
    pub(crate) now: Duration,
    /// `+CFUN`: 0 minimum, 1 full, 4 without radio.
    pub(crate) functionality: u32,
    /// `AT+QESIM="lpa_enable"`.
    pub(crate) lpa_enabled: bool,
    /// The same, as it was at the last restart.
    pub(crate) lpa_enabled_at_restart: bool,
    /// A profile was disabled since the last restart.
    pub(crate) disabled_since_restart: bool,
    pub(crate) sim: Sim,
    pub(crate) network: Network,
    pub(crate) location: LocationReports,
    pub(crate) pdp: PdpContexts,
    pub(crate) sockets: Sockets,
    pub(crate) ssl: [SslContext; crate::ssl::COUNT as usize],
    pub(crate) files: FileArea,
    /// Sockets whose context is gone, and whether the device itself has let go of it.
    pub(crate) lost: Vec<(SocketId, bool)>,
    /// What sockets have to tell, and the port that it is for.
    pub(crate) told: Vec<(usize, Told)>,
    /// How the last command of the module's own stack has ended.
    pub(crate) last_ip_error: Option<IpError>,
    pub(crate) downloads: Downloads,
    pub(crate) messages: MessageService,
    pub(crate) phone_book: PhoneBook,
    pub(crate) options: Options,
    /// When a blank card loses its power.
    pub(crate) power_cycle: Option<Duration>,
    /// Unsolicited result codes that have not gone out yet.
    pub(crate) urcs: VecDeque<String>,
    /// The module restarts when the response is out.
    pub(crate) restart: bool,
}

/// Settings that all ports share and that have no other home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// `AT+QURCCFG="urcport"`.
    pub(crate) urc_port: UrcPort,
    /// `AT+QINDCFG`: by name; and what of it is saved.
    pub(crate) indications: Vec<(&'static str, bool)>,
    pub(crate) saved_indications: Vec<(&'static str, bool)>,
    /// `AT+QSIMDET`: enabled, and the level that means inserted.
    pub(crate) card_detection: (u8, u8),
    /// `AT+QSIMSTAT`: whether a card that comes or goes is told.
    pub(crate) card_status: bool,
    /// `AT+QUIMSLOT`.
    pub(crate) slot: u8,
    /// `AT+QCFG`: by name.
    pub(crate) configuration: Vec<(&'static str, String)>,
    /// `AT+QCFG`: those that are about the network.
    pub(crate) radio: Vec<(RadioSetting, u32)>,
    /// `+UCGDFLT`: type and access point name of the initial EPS bearer.
    pub(crate) initial_bearer: (&'static str, String),
    /// What of it is saved.
    pub(crate) saved_bearer: (&'static str, String),
    /// `+UDCONF=20`: whether another network is searched for when one refuses.
    pub(crate) search_after_refusal: u8,
    /// `AT+QNWPREFCFG`: by name.
    pub(crate) preferences: Vec<(&'static str, String)>,
    /// The order in which the module searches: `"rat_acq_order"` as it was at the last start.
    pub(crate) search_order: Vec<String>,
    /// What the modem's clock is ahead of the time that the caller tells, in seconds.
    pub(crate) clock_ahead: i64,
    /// The time zone in quarters of an hour.
    pub(crate) zone: i8,
    /// `+CTZU`, `+CTZR`.
    pub(crate) zone_update: u8,
    pub(crate) zone_report: u8,
    /// What `AT&W` has stored of +CREG, +CGREG and +CEREG.
    pub(crate) stored_reports: [u8; 3],
    /// `+CUSD`.
    pub(crate) ussd: u8,
    /// `+WS46`.
    pub(crate) network_kind: u8,
    /// `+CPOL=,<format>`.
    pub(crate) preferred_format: u8,
    /// The character set of URCs: the one that was chosen last, at whatever port.
    pub(crate) charset: Charset,
    /// The cause that `+CEER` tells.
    pub(crate) last_cause: &'static str,
}

impl Options {
    fn new(model: &Model) -> Self {
        Options {
            urc_port: model.defaults.urc_port,
            indications: crate::commands::INDICATIONS.to_vec(),
            saved_indications: crate::commands::INDICATIONS.to_vec(),
            card_detection: (0, 1),
            card_status: false,
            slot: 1,
            configuration: crate::commands::configuration(),
            radio: model.radio.settings.iter().map(|setting| (*setting, setting.values()[0])).collect(),
            initial_bearer: ("IP", String::new()),
            saved_bearer: ("IP", String::new()),
            search_after_refusal: 2,
            preferences: crate::commands::preferences(),
            search_order: Vec::new(),
            clock_ahead: 0,
            zone: 0,
            zone_update: 1,
            zone_report: 0,
            stored_reports: [0; 3],
            ussd: 0,
            network_kind: 31,
            preferred_format: 2,
            charset: Charset::default(),
            last_cause: NO_CAUSE,
        }
    }

    /// What a restart leaves: what is saved ([`crate::nvm`]), and the clock.
    pub(crate) fn restart(&mut self) {
        self.indications.clone_from(&self.saved_indications);
        self.initial_bearer.clone_from(&self.saved_bearer);
        self.search_order = search_order(&self.preferences);
        self.ussd = 0;
        self.preferred_format = 2;
        self.charset = Charset::default();
        self.last_cause = NO_CAUSE;
    }
}

/// `"rat_acq_order"`, which takes effect after a restart. The one from the factory is that of the model.
pub(crate) fn search_order(preferences: &[(&'static str, String)]) -> Vec<String> {
    let is_order = |(name, _): &&(&str, String)| *name == "rat_acq_order";
    let chosen = preferences.iter().find(is_order).filter(|order| !crate::commands::preferences().contains(order));
    chosen.map_or_else(Vec::new, |(_, order)| order.split(':').map(str::to_owned).collect())
}

impl State {
    pub(crate) fn new(model: Model, uicc: Uicc, network: Network, tap: Tap) -> Self {
        State {
            functionality: 1,
            lpa_enabled: model.defaults.lpa_enable,
            lpa_enabled_at_restart: model.defaults.lpa_enable,
            disabled_since_restart: false,
            sim: Sim::default(),
            network,
            location: LocationReports::default(),
            pdp: PdpContexts::new(),
            sockets: Sockets::default(),
            ssl: Default::default(),
            files: FileArea::new(model.files.size),
            lost: Vec::new(),
            told: Vec::new(),
            last_ip_error: None,
            downloads: Downloads::default(),
            messages: MessageService::default(),
            phone_book: PhoneBook::default(),
            options: Options::new(&model),
            power_cycle: None,
            urcs: VecDeque::new(),
            restart: false,
            now: Duration::ZERO,
            model,
            uicc,
            tap,
        }
    }

    /// The settings that all ports share, as far as `&F` brings them back (V.250 §6.1.2; RG50xQ & RM5xxQ Series AT
    /// Commands Manual, "Factory Default Settings Restorable with AT&F").
    pub(crate) fn restore_factory_settings(&mut self) {
        self.messages.restore_factory_settings();
        self.phone_book.restart();
        self.pdp.reports = (0, 0);
        self.options.zone_report = 0;
        self.options.ussd = 0;
        self.network.restore_reports([0; 3]);
    }

    /// Has something told to the hosts.
    pub(crate) fn tell(&mut self, line: impl Into<String>) {
        self.urcs.push_back(line.into());
    }

    /// Whether times are those of a real module.
    pub(crate) fn is_realistic(&self) -> bool {
        self.model.timing == Timing::Realistic
    }

    /// What a restart of the module does, before it has anything to tell.
    pub(crate) fn shut_down(&mut self) {
        self.lpa_enabled_at_restart = self.lpa_enabled;
        self.disabled_since_restart = false;
        self.uicc.power_down();
        self.sim = Sim::default();
        self.network.restart();
        self.options.restart();
        self.network.restore_reports(self.options.stored_reports);
        self.phone_book.restart();
        self.pdp.restart();
        self.sockets.abort_all();
        self.ssl = Default::default();
        self.files.restart();
        self.lost.clear();
        self.told.clear();
        self.last_ip_error = None;
        self.downloads.restart();
        self.messages.restart();
        self.power_cycle = None;
        self.restart = false;
    }

    /// What the module says after a restart, and the card coming up.
    pub(crate) fn come_up(&mut self) {
        let urcs = self.model.urc.boot.clone();
        self.urcs.extend(urcs);
        if self.functionality != 0 {
            self.start_card();
        }
    }

    /// Powers the card up and reads it. What follows is told: the card that is ready, the network.
    pub(crate) fn start_card(&mut self) {
        self.power_cycle = None;
        self.uicc.power_up(&mut self.tap);
        self.location = LocationReports::default();
        self.read_card();
    }

    /// Takes the card's power.
    pub(crate) fn stop_card(&mut self) {
        self.power_cycle = None;
        self.uicc.power_down();
        self.sim = Sim::default();
        self.update_network();
    }

    /// Reads the card anew, without a reset.
    pub(crate) fn read_card(&mut self) {
        self.sim = Sim::read(&self.model.card, &mut self.uicc, &mut self.tap);
        self.announce_card();
        if self.sim.blank && self.uicc.is_present() {
            match self.model.card.blank {
                BlankCard::Usable => {}
                BlankCard::Refused => self.uicc.forget_sessions(),
                BlankCard::PowerCycled => self.power_cycle = Some(self.now + POWER_CYCLE),
            }
        }
        self.serve_card();
        self.update_network();
    }

    /// Tells that the card is ready, or what it waits for.
    pub(crate) fn announce_card(&mut self) {
        match self.sim.state {
            SimState::Ready => {
                let urcs = self.model.urc.card_ready.clone();
                self.urcs.extend(urcs);
            }
            SimState::Pin => self.tell("+CPIN: SIM PIN"),
            SimState::Puk => self.tell("+CPIN: SIM PUK"),
            SimState::Absent | SimState::Failure => {}
        }
    }

    /// Fetches the proactive commands that wait on the card and carries them out (TS 102 223 §6). Gives true when the
    /// card was reset by it.
    pub(crate) fn serve_card(&mut self) -> bool {
        /// A card that asks for more than this without a pause is broken.
        const ROUNDS: usize = 16;
        let mut was_reset = false;
        for _ in 0..ROUNDS {
            let Some(length) = self.uicc.take_proactive() else { return was_reset };
            if self.is_refused() {
                return was_reset;
            }
            let served = match crate::toolkit::serve(&mut self.uicc, length, &mut self.tap) {
                Ok(served) => served,
                Err(_) => return was_reset,
            };
            let refresh = match served {
                Served::Refresh(refresh) => refresh,
                Served::Events { location } => {
                    self.location.wanted = location;
                    self.location.told = None;
                    continue;
                }
                Served::Nothing => continue,
            };
            match (refresh, self.model.card.profile_switch) {
                (_, ProfileSwitch::PowerCycle) => {}
                (_, ProfileSwitch::Reconnect) => self.restart = true,
                (Refresh::Reset, ProfileSwitch::Refresh) => {
                    was_reset = true;
                    // TS 102 223 §6.4.7: the terminal leaves the network before it resets the card.
                    self.stop_card();
                    self.start_card();
                }
                (Refresh::Files, ProfileSwitch::Refresh) => {
                    self.network.card_has_changed();
                    self.read_card();
                }
            }
        }
        was_reset
    }

    /// Whether the module refuses to work with this card.
    pub(crate) fn is_refused(&self) -> bool {
        self.sim.blank && self.uicc.is_present() && self.model.card.blank == BlankCard::Refused
    }

    /// Whether the card may be used by hosts.
    pub(crate) fn card_access(&self) -> Result<(), CmeError> {
        if !self.uicc.is_present() {
            return Err(CmeError::SimNotInserted);
        }
        if self.is_refused() { Err(CmeError::SimWrong) } else { Ok(()) }
    }

    /// Whether there is a subscription, and its PIN was given.
    pub(crate) fn sim_ready(&self) -> Result<(), CmeError> {
        self.card_access()?;
        match self.sim.state {
            SimState::Ready => Ok(()),
            SimState::Pin => Err(CmeError::SimPinRequired),
            SimState::Puk => Err(CmeError::SimPukRequired),
            // It is there, as was just seen, and has no power.
            SimState::Absent | SimState::Failure => Err(CmeError::SimFailure),
        }
    }

    /// The same for the message service.
    pub(crate) fn messages_ready(&self) -> Result<(), CmsError> {
        self.sim_ready().map_err(|error| match error {
            CmeError::SimNotInserted => CmsError::SimNotInserted,
            CmeError::SimPinRequired => CmsError::SimPinRequired,
            CmeError::SimPukRequired => CmsError::SimPukRequired,
            _ => CmsError::SimFailure,
        })
    }

    /// The modem's clock: Unix seconds in UTC.
    pub(crate) fn clock(&self) -> i64 {
        i64::try_from(self.now.as_secs()).unwrap_or(i64::MAX).saturating_add(self.options.clock_ahead)
    }

    /// When something happens by itself, but for sockets.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.power_cycle.into_iter().chain(self.network_deadline()).min()
    }

    /// What happens by itself at this time.
    pub(crate) fn tick(&mut self) {
        if self.power_cycle.is_some_and(|due| due <= self.now) {
            self.start_card();
        }
    }
}

/// Files and applications that are not there are a failure of the card for whoever needs them.
impl From<CardError> for SimState {
    fn from(error: CardError) -> Self {
        match error {
            CardError::Absent => SimState::Absent,
            _ => SimState::Failure,
        }
    }
}
