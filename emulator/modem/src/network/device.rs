//! The modem's side of the network: which one it chooses (TS 23.122), what it is told, and what it tells its hosts.

use std::collections::VecDeque;
use std::time::Duration;

use super::authentication::Operators;
use super::cause::MobilityCause;
use super::core::{Cell, CoreNetwork};
use super::memory::{self, CardFile, CardSide, Place};
use super::plmn::plmn_bytes;
use super::power::{AccessType, Power};
use super::{EventKind, Subscriber, Technology};
use crate::sms::pdu::Message;
use crate::toolkit::Location;

/// The four registrations and their commands (TS 27.007 §7.2, §10.1.20, §10.1.22, §10.1.47).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Domain {
    /// `+CREG`
    Circuit,
    /// `+CGREG`
    Packet,
    /// `+CEREG`
    Evolved,
    /// `+C5GREG`
    Fifth,
}

impl Domain {
    const ALL: [Domain; 4] = [Domain::Circuit, Domain::Packet, Domain::Evolved, Domain::Fifth];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Domain::Circuit => "+CREG",
            Domain::Packet => "+CGREG",
            Domain::Evolved => "+CEREG",
            Domain::Fifth => "+C5GREG",
        }
    }

    /// Whether a registration by this access is told here.
    fn knows(self, technology: Technology) -> bool {
        match self {
            // NB-IoT has no circuit-switched domain, not even by a combined attach (TS 23.401 §4.3.17.8.1).
            Domain::Circuit => !matches!(technology, Technology::Nr | Technology::NbIot),
            Domain::Packet => technology != Technology::Nr,
            Domain::Evolved => technology.is_evolved(),
            Domain::Fifth => technology == Technology::Nr,
        }
    }
}

/// How a network is chosen (TS 27.007 §7.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Selection {
    #[default]
    Automatic,
    /// By PLMN, and by access when one is told.
    Manual(String, Option<Technology>),
    /// Manual, and automatic when that fails.
    Either(String, Option<Technology>),
    Deregistered,
}

/// What the settings of the modem let it use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// The most preferred first.
    pub(crate) technologies: Vec<Technology>,
    pub(crate) roaming: bool,
    /// Another network is tried when one refuses.
    pub(crate) persistent: bool,
}

/// The cell in which the modem is registered.
pub(crate) type Serving = Cell;

/// A network that a scan has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operator {
    /// TS 27.007 §7.3: 1 available, 2 current, 3 forbidden.
    pub(crate) status: u8,
    pub(crate) name: String,
    pub(crate) short: String,
    pub(crate) plmn: String,
    pub(crate) technology: Technology,
}

/// What a host has been told of a registration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Told {
    status: u8,
    place: Option<(u16, u32, Technology)>,
    timers: Option<(String, String)>,
}

/// The network, as the modem has it.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(super) core: CoreNetwork,
    pub(super) subscriber: Option<Subscriber>,
    /// The one that was there last, for the operator's console.
    last: Option<Subscriber>,
    wanted: Wanted,
    pub(crate) selection: Selection,
    /// `<format>` of `+COPS`.
    pub(crate) format: u8,
    /// `<AcT>` of LTE-M.
    pub(crate) lte_m: u8,
    pub(super) serving: Option<Serving>,
    /// Why the last attempt was refused.
    pub(super) refused: Option<MobilityCause>,
    /// The networks that have refused for good (TS 23.122 §3.1: the forbidden PLMNs), as EF_FPLMN has them.
    forbidden: Vec<String>,
    /// Networks that were forbidden from the start, and have let the modem in since.
    pardoned: Vec<String>,
    /// Where the modem is, or was refused, for the card to keep.
    pub(super) place: Option<Place>,
    /// What the card keeps by now.
    kept: Vec<(CardFile, Vec<u8>)>,
    /// Files of the card were written by somebody else.
    files_changed: bool,
    /// Cells that have refused until the modem is switched off or told to try again.
    barred: Vec<(String, Technology)>,
    /// The subscription is of no use until the modem is switched off (TS 24.301 §5.5.1.2.5).
    pub(super) invalid: bool,
    /// Something has changed since the last search.
    pub(super) search: bool,
    /// The host has chosen since the last search.
    chosen: bool,
    /// It has registered since the last call of [`Network::attached_anew`].
    attached: bool,
    pub(crate) power: Power,
    /// Messages that wait until the device can be reached, each with the IMSI it is for.
    pub(crate) waiting: VecDeque<(String, Message)>,
    /// Data sessions that the network has ended and the modem has not noticed yet, by context.
    pub(super) ended: Vec<u8>,
    told: [Told; 4],
    /// `<n>` of each registration command.
    reports: [u8; 4],
}

impl Network {
    pub(crate) fn new(operators: Operators, lte_m: u8) -> Self {
        Network { core: CoreNetwork::new(operators), lte_m, ..Network::default() }
    }

    /// What a restart of the module leaves: reports are off, the choice of the network stays. What the operators know
    /// stays with them.
    pub(crate) fn restart(&mut self) {
        self.leave();
        // A module that slept is awake.
        self.power.wake(Duration::ZERO);
        self.reports = [0; 4];
        self.told = Default::default();
        self.subscriber = None;
        self.format = 0;
    }

    /// `<n>` of +CREG, +CGREG and +CEREG, which `AT&W` keeps.
    pub(crate) fn reports_to_store(&self) -> [u8; 3] {
        let [circuit, packet, evolved, _] = self.reports;
        [circuit, packet, evolved]
    }

    /// Makes `<n>` of these commands what it was.
    pub(crate) fn restore_reports(&mut self, reports: [u8; 3]) {
        for (domain, report) in Domain::ALL.into_iter().zip(reports) {
            self.set_report(domain, report);
        }
    }

    /// What falling asleep leaves: the registration is kept, and the sessions with it.
    pub(crate) fn forget_reports(&mut self) {
        self.reports = [0; 4];
    }

    /// Follows the subscription, which is `None` without card or radio, and what the settings allow. Gives the URCs
    /// that tell of a change, in the order in which it happens: that the network is left, that one is searched for, that
    /// one is found.
    pub(crate) fn update(
        &mut self,
        subscriber: Option<Subscriber>,
        wanted: Wanted,
        now: Duration,
        card: &mut dyn CardSide,
    ) -> Vec<String> {
        let mut urcs = Vec::new();
        if self.subscriber != subscriber {
            self.leave();
            self.subscriber = None;
            urcs.extend(self.tell());
            self.files_changed = true;
            self.last = subscriber.clone().or(self.last.take());
            self.subscriber = subscriber;
            self.search = true;
        }
        if self.subscriber.is_some() && std::mem::take(&mut self.files_changed) {
            // TS 31.102 §5.2.6: the card tells at its start who will not have it.
            self.forbidden = card.read(CardFile::Forbidden).as_deref().map(memory::forbidden).unwrap_or_default();
            self.kept.clear();
        }
        let before = std::mem::replace(&mut self.wanted, wanted);
        if (before.technologies, before.roaming) != (self.wanted.technologies.clone(), self.wanted.roaming) {
            self.search = true;
            self.barred.clear();
        }
        self.refresh();
        if std::mem::take(&mut self.search) {
            urcs.extend(self.tell());
            self.choose(now, card);
        }
        self.keep_place(card);
        urcs.extend(self.tell());
        urcs
    }

    /// The card has told that its files are not what they were (TS 102 223 §6.4.7): what it keeps is read anew.
    pub(crate) fn card_has_changed(&mut self) {
        self.files_changed = true;
        self.search = true;
    }

    /// Has the card keep where the modem is, or that it was refused.
    fn keep_place(&mut self, card: &mut dyn CardSide) {
        let Some(place) = self.place.take() else { return };
        for (file, content) in place.files() {
            let known = self.kept.iter().position(|(known, _)| *known == file);
            match known.and_then(|index| self.kept.get_mut(index)) {
                Some((_, kept)) if *kept == content => continue,
                Some((_, kept)) => kept.clone_from(&content),
                None => self.kept.push((file, content.clone())),
            }
            card.write(file, &content);
        }
    }

    /// A network that has refused for good is not asked again by itself (TS 24.301 §5.5.1.2.5).
    fn forbid(&mut self, plmn: &str, card: &mut dyn CardSide) {
        if !self.forbidden.iter().any(|known| known == plmn) {
            self.forbidden.push(plmn.to_owned());
        }
        let content = card.read(CardFile::Forbidden);
        if let Some(content) = content.and_then(|content| memory::add_forbidden(&content, plmn)) {
            card.write(CardFile::Forbidden, &content);
        }
    }

    /// TS 23.122 §3.1, §4.4.3.1.2: a network that was chosen by hand and lets the modem in is forbidden no more.
    fn pardon(&mut self, cell: &Cell, card: &mut dyn CardSide) {
        if !self.is_forbidden(cell) {
            return;
        }
        self.forbidden.retain(|plmn| *plmn != cell.plmn);
        if cell.forbidden {
            self.pardoned.push(cell.plmn.clone());
        }
        let content = card.read(CardFile::Forbidden);
        if let Some(content) = content.and_then(|content| memory::remove_forbidden(&content, &cell.plmn)) {
            card.write(CardFile::Forbidden, &content);
        }
    }

    /// The host has chosen: what has refused is tried again, as far as it may be.
    pub(crate) fn select(&mut self, selection: Selection) {
        self.selection = selection;
        self.barred.clear();
        self.search = true;
        self.chosen = true;
        if self.selection == Selection::Deregistered {
            self.leave();
        }
    }

    /// Tells the network good-bye and forgets it.
    fn leave(&mut self) {
        if self.serving.take().is_some()
            && let Some(subscriber) = &self.subscriber
        {
            self.core.detach(subscriber);
        }
        self.refused = None;
        self.invalid = false;
        self.barred.clear();
        self.power.negotiate(None, Duration::ZERO);
    }

    /// Looks whether the cell is still there, and how well it is received.
    fn refresh(&mut self) {
        let Some(serving) = &self.serving else { return };
        let cells = self.usable();
        let found = cells.into_iter().find(|c| c.plmn == serving.plmn && c.technology == serving.technology);
        self.search |= found.is_none();
        self.serving = found;
    }

    /// The cells that the settings let the modem use.
    fn usable(&self) -> Vec<Cell> {
        let mut cells = self.core.cells(self.subscriber.as_ref());
        cells.retain(|cell| self.wanted.technologies.contains(&cell.technology) && (cell.home || self.wanted.roaming));
        cells
    }

    /// The cells to try, in this order.
    fn candidates(&self) -> Vec<Cell> {
        let cells = self.usable();
        let rank = |technology: Technology| self.wanted.technologies.iter().position(|wanted| *wanted == technology);
        let mut sorted = cells;
        // TS 23.122 §4.4.3.1.1: the home network, then the others as they are received. Modules search one access after
        // the other, in the order in which they prefer them.
        sorted.sort_by_key(|cell| (!cell.home, rank(cell.technology), std::cmp::Reverse(cell.signal)));
        let automatic = |cell: &Cell| !self.is_forbidden(cell);
        let chosen = |cell: &Cell, plmn: &str, technology: Option<Technology>| {
            cell.plmn == plmn && technology.is_none_or(|technology| technology == cell.technology)
        };
        sorted.retain(|cell| !self.barred.contains(&(cell.plmn.clone(), cell.technology)));
        match &self.selection {
            Selection::Deregistered => sorted.clear(),
            Selection::Automatic => sorted.retain(automatic),
            Selection::Manual(plmn, technology) => sorted.retain(|cell| chosen(cell, plmn, *technology)),
            Selection::Either(plmn, technology) => {
                sorted.retain(|cell| chosen(cell, plmn, *technology) || automatic(cell));
                sorted.sort_by_key(|cell| !chosen(cell, plmn, *technology));
            }
        }
        sorted
    }

    fn is_forbidden(&self, cell: &Cell) -> bool {
        !cell.home && cell.forbidden && !self.pardoned.contains(&cell.plmn) || self.forbidden.contains(&cell.plmn)
    }

    /// Registers in the best cell that lets the modem in.
    fn choose(&mut self, now: Duration, card: &mut dyn CardSide) {
        let Some(subscriber) = self.subscriber.clone() else { return };
        if self.invalid {
            return;
        }
        let chosen = std::mem::take(&mut self.chosen);
        let candidates = self.candidates();
        if let (Some(serving), Some(first)) = (&self.serving, candidates.first()) {
            let is_serving = |cell: &Cell| cell.plmn == serving.plmn && cell.technology == serving.technology;
            // A network that is not the home network is left for the home network, or when the host says so; within
            // one network the better access is taken.
            let is_better = first.plmn == serving.plmn || chosen || (first.home && !serving.home);
            if is_serving(first) || (!is_better && candidates.iter().any(is_serving)) {
                return;
            }
        }
        // The network learns of a change of place from the new place. Where the modem is refused it stays where it was,
        // as long as it may be there.
        let before = self.serving.take();
        let is_before =
            |cell: &Cell| before.as_ref().is_some_and(|old| old.plmn == cell.plmn && old.technology == cell.technology);
        let kept = before.clone().filter(|_| candidates.iter().any(is_before));
        self.refused = None;
        let by_hand = matches!(self.selection, Selection::Manual(..) | Selection::Either(..));
        for cell in candidates {
            // A network that has refused for good is not asked by another access.
            if self.forbidden.contains(&cell.plmn) && !by_hand {
                continue;
            }
            if is_before(&cell) {
                break;
            }
            match self.core.register(&subscriber, &cell, &mut |rand, autn| card.authenticate(rand, autn)) {
                Ok(identity) => {
                    self.pardon(&cell, card);
                    let here = |plmn| Place::Here { plmn, area: cell.area, technology: cell.technology, identity };
                    self.place = plmn_bytes(cell.plmn.as_bytes()).map(here);
                    self.refused = None;
                    self.serving = Some(cell);
                    self.attached = true;
                    self.negotiate(now);
                    return;
                }
                Err(cause) => {
                    self.refused = Some(cause);
                    self.place = Some(Place::Refused { cause, technology: cell.technology });
                    let gives_up = !self.wanted.persistent;
                    match cause {
                        // TS 24.301 §5.5.1.2.5, TS 24.008 §4.4.4.7.
                        MobilityCause::UnknownSubscriber
                        | MobilityCause::IllegalUe
                        | MobilityCause::IllegalMe
                        | MobilityCause::NoServices => {
                            self.invalid = true;
                            return;
                        }
                        MobilityCause::PlmnNotAllowed if !cell.home => self.forbid(&cell.plmn, card),
                        _ => self.barred.push((cell.plmn.clone(), cell.technology)),
                    }
                    if gives_up {
                        break;
                    }
                }
            }
        }
        if let Some(kept) = kept {
            // It was never away from there.
            self.place = None;
            self.refused = None;
            self.serving = Some(kept);
        }
    }

    /// Power saving, as it is agreed on with a registration or an update of it.
    pub(crate) fn negotiate(&mut self, now: Duration) {
        let agreed = self.serving.as_ref().filter(|cell| cell.technology.is_evolved()).and_then(|cell| {
            let access = match cell.technology {
                Technology::NbIot => AccessType::NARROW,
                _ => AccessType::WIDE,
            };
            self.core.limits(cell).map(|operator| (operator, access))
        });
        self.power.negotiate(agreed, now);
    }

    /// The URCs of what has changed.
    pub(crate) fn tell(&mut self) -> Vec<String> {
        let mut urcs = Vec::new();
        for domain in Domain::ALL {
            let report = self.report(domain);
            let now = Told {
                status: self.registration(domain),
                place: self.place(domain).filter(|_| report >= 2),
                timers: self.timers(domain).filter(|_| report >= 4),
            };
            let before = std::mem::replace(&mut self.told[domain as usize], now.clone());
            if report > 0 && before != now {
                urcs.push(format!("{}: {}", domain.name(), self.status(domain, report)));
            }
        }
        urcs
    }

    pub(crate) fn report(&self, domain: Domain) -> u8 {
        self.reports[domain as usize]
    }

    pub(crate) fn set_report(&mut self, domain: Domain, value: u8) {
        self.reports[domain as usize] = value;
        // What is known by asking is no news.
        self.told[domain as usize] = Told {
            status: self.registration(domain),
            place: self.place(domain).filter(|_| value >= 2),
            timers: self.timers(domain).filter(|_| value >= 4),
        };
    }

    /// `<stat>` (TS 27.007 §7.2).
    fn registration(&self, domain: Domain) -> u8 {
        const SEARCHING: u8 = 2;
        const DENIED: u8 = 3;
        match &self.serving {
            Some(serving) if domain.knows(serving.technology) => {
                if serving.home {
                    1
                } else {
                    5
                }
            }
            Some(_) => 0,
            None if domain == Domain::Fifth || self.subscriber.is_none() => 0,
            None if self.selection == Selection::Deregistered => 0,
            None if self.refused.is_some() || self.invalid => DENIED,
            None => SEARCHING,
        }
    }

    fn place(&self, domain: Domain) -> Option<(u16, u32, Technology)> {
        let serving = self.serving.as_ref().filter(|serving| domain.knows(serving.technology))?;
        Some((serving.area, serving.identity, serving.technology))
    }

    /// T3324 and T3412 extended, as they were granted.
    fn timers(&self, domain: Domain) -> Option<(String, String)> {
        let granted = self.power.granted.filter(|_| domain == Domain::Evolved && self.serving.is_some())?;
        Some((granted.active.bits(), granted.periodic.bits()))
    }

    /// `<stat>[,<lac>,<ci>,<AcT>[,,,<Active-Time>,<Periodic-TAU>]]`
    pub(crate) fn status(&self, domain: Domain, report: u8) -> String {
        let mut text = self.registration(domain).to_string();
        if report >= 2
            && let Some((area, identity, technology)) = self.place(domain)
        {
            let access = self.access(technology);
            text.push_str(&format!(",\"{area:04X}\",\"{identity:07X}\",{access}"));
            if report >= 4
                && let Some((active, periodic)) = self.timers(domain)
            {
                text.push_str(&format!(",,,\"{active}\",\"{periodic}\""));
            }
        }
        text
    }

    /// `<AcT>` of a technology, as this modem tells it.
    pub(crate) fn access(&self, technology: Technology) -> u8 {
        technology.access(self.lte_m)
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.serving.is_some()
    }

    pub(crate) fn is_roaming(&self) -> bool {
        self.serving.as_ref().is_some_and(|serving| !serving.home)
    }

    /// The cell that the modem is registered in.
    pub(crate) fn serving(&self) -> Option<&Serving> {
        self.serving.as_ref()
    }

    /// Why the last attempt was refused.
    pub(crate) fn refused(&self) -> Option<MobilityCause> {
        self.refused
    }

    /// What a scan finds (TS 27.007 §7.3) with a radio that has these technologies.
    pub(crate) fn scan(&self, technologies: &[Technology]) -> Vec<Operator> {
        let cells = self.core.cells(self.subscriber.as_ref());
        let seen = cells.into_iter().filter(|cell| technologies.contains(&cell.technology));
        seen.map(|cell| {
            let is_current =
                self.serving.as_ref().is_some_and(|s| s.plmn == cell.plmn && s.technology == cell.technology);
            Operator {
                status: if is_current {
                    2
                } else if self.is_forbidden(&cell) {
                    3
                } else {
                    1
                },
                name: cell.name,
                short: cell.short,
                plmn: cell.plmn,
                technology: cell.technology,
            }
        })
        .collect()
    }

    /// The IMSI that is there.
    pub(crate) fn imsi(&self) -> Option<String> {
        self.subscriber.as_ref().map(|subscriber| subscriber.imsi.clone())
    }

    /// Where the modem is, as a card is told it (TS 102 223 §8.19, §8.27): with limited service the cell that is
    /// received best.
    pub(crate) fn location(&self) -> Location {
        let seen = || {
            self.core
                .cells(self.subscriber.as_ref())
                .into_iter()
                .find(|cell| self.wanted.technologies.contains(&cell.technology))
        };
        let (status, cell) = match &self.serving {
            Some(serving) => (0, Some(serving.clone())),
            None => (1, seen()),
        };
        match cell.and_then(|cell| Some((plmn_bytes(cell.plmn.as_bytes())?, cell))) {
            None => Location { status: 2, information: Vec::new() },
            Some((plmn, cell)) => {
                let mut information = plmn.to_vec();
                match cell.technology {
                    // TS 102 223 §8.19: E-UTRAN has 28 bits, the rest is filled with ones.
                    technology if technology.is_evolved() => {
                        information.extend(cell.area.to_be_bytes());
                        information.extend((cell.identity << 4 | 0x0F).to_be_bytes());
                    }
                    Technology::Nr => {
                        information.push(0);
                        information.extend(cell.area.to_be_bytes());
                        information.extend((u64::from(cell.identity) << 4 | 0x0F).to_be_bytes()[3..].iter());
                    }
                    _ => {
                        information.extend(cell.area.to_be_bytes());
                        information.extend((cell.identity as u16).to_be_bytes());
                    }
                }
                Location { status, information }
            }
        }
    }

    /// Whether the modem has registered since the last call.
    pub(crate) fn attached_anew(&mut self) -> bool {
        std::mem::take(&mut self.attached) && self.serving.is_some()
    }

    /// There is traffic of the device.
    pub(crate) fn traffic(&mut self, now: Duration) {
        self.power.traffic_at(now);
    }

    /// How long the radio connection is kept.
    pub(crate) fn rrc_release(&self) -> Duration {
        self.core.rrc_release
    }

    /// What the operators have noted since the last call.
    pub(crate) fn events(&mut self) -> Vec<super::NetworkEvent> {
        self.core.drain()
    }

    /// Whom the operator's console shows: who is there, or was there last.
    pub(super) fn shown(&self) -> Option<&Subscriber> {
        self.subscriber.as_ref().or(self.last.as_ref())
    }

    /// Takes a message for the device. `None` when there is nobody it could be for, false when the policy refuses it.
    pub(crate) fn take_message(&mut self, message: Message) -> Option<bool> {
        let subscriber = self.shown()?.clone();
        if !self.core.may_receive(&subscriber) {
            let advice = "activate SMS in the service policy, or the SIM".to_owned();
            self.core.note(&subscriber, EventKind::Sms, None, Some(("not allowed".to_owned(), advice)));
            return Some(false);
        }
        self.waiting.push_back((subscriber.imsi, message));
        Some(true)
    }

    /// Notes that a message has reached the device, or why it does not.
    pub(crate) fn note_message(&mut self, description: &str) {
        if let Some(subscriber) = self.shown().cloned() {
            self.core.tell(&subscriber, EventKind::Sms, description.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::NetworkSpec;
    use super::super::authentication::CardAnswer;
    use super::super::memory::NoCard;
    use super::*;
    use crate::sim::Home;

    fn subscriber() -> Subscriber {
        Subscriber {
            imsi: "001010123456789".to_owned(),
            iccid: None,
            home: Home { plmn: "00101".to_owned(), name: "Test".to_owned() },
            imei: "490154203237518".to_owned(),
        }
    }

    fn wanted() -> Wanted {
        Wanted { technologies: Technology::ALL.to_vec(), roaming: true, persistent: true }
    }

    fn network(text: &str) -> Network {
        Network::new(NetworkSpec::from_toml(text).unwrap().into(), 7)
    }

    fn update(network: &mut Network) -> Vec<String> {
        network.update(Some(subscriber()), wanted(), Duration::ZERO, &mut NoCard)
    }

    #[test]
    fn registration_follows() {
        let mut network = network("");
        network.set_report(Domain::Circuit, 1);
        network.set_report(Domain::Evolved, 2);
        let found = ["+CREG: 2", "+CEREG: 2", "+CREG: 1", "+CEREG: 1,\"1A2D\",\"1A2D001\",7"];
        assert_eq!(update(&mut network), found);
        assert!(update(&mut network).is_empty());
        network.select(Selection::Manual("00199".to_owned(), None));
        assert_eq!(update(&mut network), ["+CREG: 3", "+CEREG: 3"]);
        assert_eq!(network.scan(&[Technology::Lte])[0].status, 1);
        network.select(Selection::Automatic);
        let _ = update(&mut network);
        assert_eq!(network.update(None, wanted(), Duration::ZERO, &mut NoCard), ["+CREG: 0", "+CEREG: 0"]);
        assert!(network.serving().is_none());
    }

    const ABROAD: &str = "[[operator]]\nplmn = \"26201\"\nname = \"One\"\ncoverage = { lte = -80, gsm = -70 }\n\
        [[operator]]\nplmn = \"26202\"\nname = \"Two\"\ncoverage = { lte = -90 }\n";

    #[test]
    fn the_next_network_is_tried_when_one_refuses() {
        let mut network = network(&format!("{ABROAD}[[subscription]]\nblacklist = [\"26201\"]\n"));
        network.set_report(Domain::Circuit, 1);
        assert_eq!(update(&mut network), ["+CREG: 2", "+CREG: 5"]);
        assert_eq!(network.serving().unwrap().plmn, "26202");
        let titles: Vec<_> = network.events().iter().map(|event| event.title()).collect();
        assert_eq!(titles, ["Update Location rejected", "Update Location", "Update GPRS location"]);
        let status: Vec<u8> = network.scan(&Technology::ALL).iter().map(|operator| operator.status).collect();
        assert_eq!(status, [3, 3, 2]);
        assert!(update(&mut network).is_empty() && network.events().is_empty(), "it is not tried again and again");
        // Without roaming there is nothing for this card.
        let home_only = Wanted { roaming: false, ..wanted() };
        assert_eq!(network.update(Some(subscriber()), home_only, Duration::ZERO, &mut NoCard), ["+CREG: 2"]);
    }

    #[test]
    fn a_subscription_that_is_refused_is_of_no_use_until_a_restart() {
        let mut network = network(&format!("{ABROAD}[[subscription]]\nstate = \"blocked\"\n"));
        network.set_report(Domain::Evolved, 1);
        assert_eq!(update(&mut network), ["+CEREG: 2", "+CEREG: 3"]);
        assert_eq!(network.events().len(), 1);
        network.select(Selection::Automatic);
        let _ = update(&mut network);
        assert_eq!(network.events().len(), 0);
        network.restart();
        let _ = update(&mut network);
        assert_eq!(network.events().len(), 1);
    }

    /// A card with EF_FPLMN, and what was written to it.
    struct Kept(Vec<u8>, Vec<CardFile>);

    impl CardSide for Kept {
        fn authenticate(&mut self, _: &[u8; 16], _: &[u8; 16]) -> CardAnswer {
            CardAnswer::Nothing
        }

        fn read(&mut self, file: CardFile) -> Option<Vec<u8>> {
            (file == CardFile::Forbidden).then(|| self.0.clone())
        }

        fn write(&mut self, file: CardFile, content: &[u8]) {
            if file == CardFile::Forbidden {
                self.0 = content.to_vec();
            }
            self.1.push(file);
        }
    }

    /// TS 31.102 §4.2.16, TS 23.122 §3.1.
    #[test]
    fn what_the_card_forbids() {
        let mut network = network(&format!("{ABROAD}[[subscription]]\nblacklist = [\"26201\"]\n"));
        let mut card = Kept(vec![0xFF; 12], Vec::new());
        let update =
            |network: &mut Network, card: &mut Kept| network.update(Some(subscriber()), wanted(), Duration::ZERO, card);
        update(&mut network, &mut card);
        assert_eq!(network.serving().unwrap().plmn, "26202");
        assert_eq!(card.0[..6], [0x62, 0xF2, 0x10, 0xFF, 0xFF, 0xFF]);
        assert_eq!(card.1, [CardFile::Forbidden, CardFile::EvolvedLocation, CardFile::Location]);
        // Nothing is written twice, and a detach writes nothing.
        update(&mut network, &mut card);
        network.update(None, wanted(), Duration::ZERO, &mut card);
        assert_eq!(card.1.len(), 3);
        // Somebody else has the card forbid the other one, and nobody any more.
        card.0 = vec![0xFF, 0xFF, 0xFF, 0x62, 0xF2, 0x20];
        update(&mut network, &mut card);
        assert_eq!(network.serving(), None, "one is forbidden by the card, one by the operator");
        card.0 = vec![0xFF; 6];
        update(&mut network, &mut card);
        assert_eq!(network.serving(), None, "it does not know");
        network.card_has_changed();
        update(&mut network, &mut card);
        assert_eq!(network.serving().unwrap().plmn, "26202");
    }

    #[test]
    fn what_each_access_is_told_by() {
        for (technology, told) in [
            ("gsm", ["5", "5", "0", "0"]),
            ("umts", ["5", "5", "0", "0"]),
            ("lte", ["5", "5", "5", "0"]),
            ("lte-m", ["5", "5", "5", "0"]),
            ("nb-iot", ["0", "5", "5", "0"]),
            ("nr", ["0", "0", "0", "5"]),
        ] {
            let mut network = network(&format!("[[operator]]\nplmn = \"26201\"\ncoverage = {{ {technology} = -90 }}"));
            let _ = update(&mut network);
            assert_eq!(Domain::ALL.map(|domain| network.status(domain, 1)), told, "{technology}");
        }
    }

    #[test]
    fn timers_are_told_when_they_are_asked_for() {
        let mut network = network("");
        network.power.psm = true;
        let _ = update(&mut network);
        let expected = "1,\"1A2D\",\"1A2D001\",7,,,\"00000101\",\"01001110\"";
        assert_eq!(network.status(Domain::Evolved, 4), expected);
        network.set_report(Domain::Evolved, 4);
        network.power.psm = false;
        network.negotiate(Duration::ZERO);
        assert_eq!(network.tell(), ["+CEREG: 1,\"1A2D\",\"1A2D001\",7"]);
    }
}
