//! What joins the state of the modem and the network: who the modem is there, what its settings let it use, the events
//! of the operators on their way to the observer, messages that come when it listens, sleep and waking.

use std::time::Duration;

use crate::commands;
use crate::event::ModemEvent;
use crate::model::CommandSet;
use crate::network::power::Reachable;
use crate::network::{Change, ConsoleError, Domain, EventKind, Technology, Wanted};
use crate::pdp::PdpType;
use crate::radio::RadioSetting;
use crate::sim::{Files, SimState};
use crate::sms::pdu::Message;
use crate::socket::SocketRequest;
use crate::state::State;
use crate::toolkit::Location;

/// The location status, which cards can ask to be told of (TS 102 223 §6.4.16).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LocationReports {
    /// The card has asked for it.
    pub(crate) wanted: bool,
    /// What it was told last.
    pub(crate) told: Option<Location>,
    /// It is being told.
    telling: bool,
}

/// What power saving has the module do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PowerChange {
    Sleep,
    Wake,
}

/// What AT+QNWPREFCFG calls a technology; nothing for those that it does not know.
fn mode_of(technology: Technology) -> &'static str {
    match technology {
        Technology::Umts => "WCDMA",
        Technology::Nr => "NR5G",
        technology if technology.is_evolved() => "LTE",
        _ => "",
    }
}

impl State {
    /// Registers, or lets go of the network, as the card and `+CFUN` have it, and tells what has changed.
    pub(crate) fn update_network(&mut self) {
        // A module that sleeps does nothing; its registration is kept.
        if self.network.power.is_asleep() {
            return;
        }
        let ready = self.functionality == 1 && self.sim.state == SimState::Ready;
        let subscriber = self.sim.subscriber(self.model.identity.imei.as_str()).filter(|_| ready);
        let wanted = self.wanted();
        let refused = self.network.refused();
        let mut card = Files { uicc: &mut self.uicc, tap: &mut self.tap, usim: self.sim.usim.as_deref() };
        let urcs = self.network.update(subscriber, wanted, self.now, &mut card);
        if let Some(cause) = self.network.refused().filter(|cause| refused != Some(*cause)) {
            self.options.last_cause = cause.text();
        }
        self.urcs.extend(urcs);
        self.follow_contexts();
        self.follow_network();
        self.tell_location();
    }

    /// Tells the card where the modem is, when it has asked for it and that has changed. What the card does about it,
    /// another IMSI say, is followed at once.
    fn tell_location(&mut self) {
        /// A card that changes its mind more often is broken.
        const ROUNDS: usize = 4;
        if self.location.telling {
            return;
        }
        self.location.telling = true;
        for _ in 0..ROUNDS {
            let location = self.network.location();
            let is_news = self.location.wanted && self.location.told.as_ref() != Some(&location);
            if !is_news || !self.uicc.is_powered() || self.card_access().is_err() {
                break;
            }
            self.location.told = Some(location.clone());
            // A card that refuses an event it has asked for does not hear of it.
            let _ = crate::toolkit::tell_location(&mut self.uicc, &location, &mut self.tap);
            self.serve_card();
        }
        self.location.telling = false;
    }

    /// Brings the contexts of the device and the sessions of the network together: what one side has ended is gone on
    /// the other, too (TS 24.301 §5.5.3.2.4: the bearer status in a tracking area update).
    pub(crate) fn follow_contexts(&mut self) {
        for cid in self.network.ended_sessions() {
            if self.pdp.lose(cid) {
                self.tell_lost_context(cid);
            }
        }
        self.follow_packet_service();
        if self.network.is_registered() {
            let active: Vec<u8> =
                self.pdp.all().filter(|(_, context)| context.bearer.is_some()).map(|(cid, _)| cid).collect();
            self.network.keep_sessions(&active);
        }
        if self.network.attached_anew() {
            self.begin_initial_bearer();
        }
    }

    /// The initial EPS bearer of a module that has been told its access point (+UCGDFLT). That it is refused does not
    /// undo the registration.
    fn begin_initial_bearer(&mut self) {
        let (kind, apn) = self.options.initial_bearer.clone();
        if apn.is_empty() || self.pdp.detached {
            return;
        }
        self.pdp.define(1, PdpType::named(kind).unwrap_or_default(), apn);
        let _ = self.activate_context(1);
    }

    /// Asks the network anew for power saving, as after a change of what is wanted (a tracking area update).
    pub(crate) fn negotiate_power(&mut self) {
        self.network.negotiate(self.now);
        let urcs = self.network.tell();
        self.urcs.extend(urcs);
    }

    /// A setting of AT+QCFG that is about the network; the one from the factory when the module has no such setting.
    pub(crate) fn radio_setting(&self, setting: RadioSetting) -> u32 {
        let known = self.options.radio.iter().find(|(known, _)| *known == setting);
        known.map_or(setting.values()[0], |(_, value)| *value)
    }

    /// What the settings let the modem use.
    fn wanted(&self) -> Wanted {
        let preference = |name: &str| {
            let known = self.options.preferences.iter().find(|(known, _)| *known == name);
            known.map_or("", |(_, value)| value.as_str())
        };
        let modes = preference("mode_pref");
        let allowed = |technology: Technology| {
            let by_scan = match self.radio_setting(RadioSetting::NetworkScanMode) {
                1 => technology == Technology::Gsm,
                2 => technology == Technology::Umts,
                3 => technology.is_evolved(),
                _ => true,
            };
            let operation = self.radio_setting(RadioSetting::IotOperationMode);
            let by_operation = !matches!((operation, technology), (0, Technology::NbIot) | (1, Technology::LteM));
            // TS 27.007 §5.9.
            let by_kind = match self.options.network_kind {
                22 => technology == Technology::Umts,
                28 => technology.is_evolved(),
                _ => true,
            };
            let by_mode = modes.split(':').any(|mode| match mode {
                "WCDMA" => technology == Technology::Umts,
                "LTE" => technology.is_evolved(),
                "NR5G" => technology == Technology::Nr,
                _ => true,
            });
            by_scan && by_operation && by_kind && by_mode
        };
        // 5G without a 4G core beside it is what 1 disables (`"nr5g_disable_mode"`).
        let standalone = preference("nr5g_disable_mode") != "1";
        let allowed = |technology: &Technology| allowed(*technology) && (standalone || *technology != Technology::Nr);
        let roaming = self.radio_setting(RadioSetting::RoamService) != 1 && preference("roam_pref") != "1";
        // Of u-blox: 0 is not to look for another network when one refuses.
        let persistent = self.options.search_after_refusal != 0;
        let mut technologies: Vec<Technology> = self.model.radio.technologies.iter().copied().filter(allowed).collect();
        let order = &self.options.search_order;
        let rank = |technology: &Technology| order.iter().position(|mode| mode == mode_of(*technology));
        technologies.sort_by_key(|technology| rank(technology).unwrap_or(order.len()));
        Wanted { technologies, roaming, persistent }
    }

    /// Hands on what the operators have noted, and delivers what waits.
    pub(crate) fn follow_network(&mut self) {
        self.hand_on_events();
        self.deliver_waiting();
    }

    fn hand_on_events(&mut self) {
        for event in self.network.events() {
            if matches!(event.kind, EventKind::CreatePdpContext | EventKind::DeletePdpContext) {
                self.network.traffic(self.now);
            }
            self.tap.event(ModemEvent::Network(&event));
        }
    }

    /// When a message that waits can be delivered; the present time for now.
    fn delivery(&self) -> Option<Duration> {
        let own = self.network.imsi();
        let is_there = self.network.is_registered() && self.sim.state == SimState::Ready;
        if !is_there || !self.network.waiting.iter().any(|(imsi, _)| Some(imsi) == own.as_ref()) {
            return None;
        }
        match self.network.power.reachable(self.now, self.network.rrc_release()) {
            Reachable::Now => Some(self.now),
            Reachable::At(time) => Some(time),
            Reachable::Asleep => None,
        }
    }

    /// Delivers the messages that wait, when the device listens.
    fn deliver_waiting(&mut self) {
        if self.delivery() != Some(self.now) {
            return;
        }
        let own = self.network.imsi();
        let waiting = std::mem::take(&mut self.network.waiting);
        for (imsi, message) in waiting {
            if Some(&imsi) != own.as_ref() {
                self.network.waiting.push_back((imsi, message));
                continue;
            }
            self.network.traffic(self.now);
            commands::deliver(self, &message);
            self.network.note_message("delivered");
        }
        self.hand_on_events();
    }

    /// Tells the network of what is handed out for sending: it counts it, and the device is not idle.
    pub(crate) fn count_sent(&mut self) {
        for request in &self.sockets.requests {
            let SocketRequest::Send { id, bytes, .. } = request else { continue };
            if let Some(socket) = self.sockets.get(*id) {
                self.network.carry(socket.context, bytes.len() as u64, 0, self.now);
            }
        }
    }

    /// The network has a message for the device. False when there is no subscriber that it could be for.
    pub(crate) fn send_message(&mut self, message: Message) -> bool {
        let Some(allowed) = self.network.take_message(message) else { return false };
        if allowed {
            self.deliver_waiting();
            if !self.network.waiting.is_empty() {
                self.network.note_message("waits until the device can be reached");
            }
        }
        self.follow_network();
        true
    }

    /// The operator changes something.
    pub(crate) fn change_network(&mut self, change: &Change) -> Result<(), ConsoleError> {
        self.network.change(change)?;
        if self.network.power.is_asleep() {
            // It learns of it when it wakes.
            self.follow_network();
        } else {
            self.update_network();
        }
        Ok(())
    }

    /// When power saving has something due, or a message can be delivered.
    pub(crate) fn network_deadline(&self) -> Option<Duration> {
        let release = self.network.rrc_release();
        let power = self.network.power.deadline(release).filter(|_| {
            self.network.is_registered() && (self.network.power.is_asleep() || self.sim.state == SimState::Ready)
        });
        power.into_iter().chain(self.delivery()).min()
    }

    /// Does what is due.
    pub(crate) fn tick_network(&mut self) -> Option<PowerChange> {
        let release = self.network.rrc_release();
        let due = self.network_deadline().is_some_and(|due| due <= self.now);
        if due && self.network.power.deadline(release).is_some_and(|due| due <= self.now) {
            let asleep = self.network.power.is_asleep();
            return Some(if asleep { PowerChange::Wake } else { PowerChange::Sleep });
        }
        self.deliver_waiting();
        None
    }

    /// What falling asleep does: the card loses its power, the registration stays.
    pub(crate) fn fall_asleep(&mut self) {
        self.uicc.power_down();
        self.sim = crate::sim::Sim::default();
        self.downloads.restart();
        self.messages.restart();
        self.options.restart();
        self.phone_book.restart();
        self.network.forget_reports();
        self.network.restore_reports(self.options.stored_reports);
        self.network.power.fall_asleep();
        self.restart = false;
    }

    /// Whether a registration report has this value at most: `+CEREG=4` is for modules with power saving.
    pub(crate) fn reports(&self, domain: Domain) -> &'static [u32] {
        match domain {
            Domain::Packet | Domain::Evolved if self.model.dialect.has_set(CommandSet::PowerSaving) => &[0, 1, 2, 4],
            _ => &[0, 1, 2],
        }
    }
}
