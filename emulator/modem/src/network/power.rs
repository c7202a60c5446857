//! Power saving of the device: what it asks for, what the network gives, and when it listens.
//!
//! ```text
//! traffic ─ rrc_release ─▶ idle ─ T3324 ─▶ asleep ─ T3412 extended (from idle on) ─▶ awake, idle again
//!                            └─ with eDRX: a paging window at the beginning of each cycle
//! ```
//!
//! All of it follows from the time of the last traffic; nothing runs.

use std::time::Duration;

use super::spec::OperatorSpec;
use super::timers::{ActiveTimer, Cycle, Mode, PagingWindow, PeriodicTimer};

/// Which access a cycle is asked for, by `<AcT-type>` of TS 27.007 §7.40.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AccessType(pub(crate) u8);

impl AccessType {
    /// E-UTRAN (WB-S1), LTE-M included.
    pub(crate) const WIDE: AccessType = AccessType(4);
    /// NB-IoT (NB-S1).
    pub(crate) const NARROW: AccessType = AccessType(5);

    pub(crate) fn mode(self) -> Mode {
        if self == AccessType::NARROW { Mode::NarrowBand } else { Mode::WideBand }
    }
}

/// What the network has granted of PSM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GrantedSaving {
    pub(crate) periodic: PeriodicTimer,
    pub(crate) active: ActiveTimer,
}

/// What the network has granted of eDRX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GrantedCycle {
    pub(crate) access: AccessType,
    pub(crate) requested: Cycle,
    pub(crate) cycle: Cycle,
    pub(crate) window: PagingWindow,
    /// When the first cycle began.
    pub(crate) since: Duration,
}

/// When a device can be paged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reachable {
    Now,
    /// At the next paging window.
    At(Duration),
    /// Not before it wakes.
    Asleep,
}

/// The power saving of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Power {
    /// `+CPSMS=1`.
    pub(crate) psm: bool,
    /// T3412 extended and T3324 as they are asked for.
    pub(crate) periodic: PeriodicTimer,
    pub(crate) active: ActiveTimer,
    /// `AT+QCFG="psm/enter",1`: asleep when the radio connection is released.
    pub(crate) enter: bool,
    /// `<mode>` of `+CEDRXS`: 0 off, 1 on, 2 on with a URC.
    pub(crate) edrx: u8,
    /// The cycles that are asked for.
    pub(crate) cycles: [(AccessType, Cycle); 2],
    pub(crate) granted: Option<GrantedSaving>,
    pub(crate) cycle: Option<GrantedCycle>,
    /// The end of the last traffic.
    traffic: Duration,
    asleep: bool,
}

impl Default for Power {
    fn default() -> Self {
        Power {
            psm: false,
            periodic: PeriodicTimer::USUAL,
            active: ActiveTimer::USUAL,
            enter: false,
            edrx: 0,
            // What is asked for before a host has said anything.
            cycles: [AccessType::WIDE, AccessType::NARROW].map(|access| (access, Cycle::USUAL)),
            granted: None,
            cycle: None,
            traffic: Duration::ZERO,
            asleep: false,
        }
    }
}

impl Power {
    /// What the network makes of the wishes, by a registration or a tracking area update; `None` without one.
    pub(crate) fn negotiate(&mut self, operator: Option<(&OperatorSpec, AccessType)>, now: Duration) {
        let before = self.cycle;
        self.granted = operator.and_then(|(operator, _)| self.grant_saving(operator));
        self.cycle = operator.and_then(|(operator, access)| self.grant_cycle(operator, access, now));
        // A cycle that stays as it was goes on.
        if let (Some(before), Some(cycle)) = (before, &mut self.cycle)
            && (before.cycle, before.window, before.access) == (cycle.cycle, cycle.window, cycle.access)
        {
            cycle.since = before.since;
        }
        if operator.is_some() {
            self.traffic_at(now);
        }
    }

    fn grant_saving(&self, operator: &OperatorSpec) -> Option<GrantedSaving> {
        let limits = &operator.psm;
        let (periodic, active) = (self.periodic.duration()?, self.active.duration()?);
        if !self.psm || !limits.supported {
            return None;
        }
        // A value within the limits is given as it is: it may have been written in another unit than the nearest one.
        let given = periodic.clamp(limits.shortest_periodic.min(limits.longest_periodic), limits.longest_periodic);
        let listens = active.min(limits.longest_active);
        Some(GrantedSaving {
            periodic: if given == periodic { self.periodic } else { PeriodicTimer::nearest(given) },
            active: if listens == active { self.active } else { ActiveTimer::nearest(listens) },
        })
    }

    fn grant_cycle(&self, operator: &OperatorSpec, access: AccessType, now: Duration) -> Option<GrantedCycle> {
        let limits = &operator.edrx;
        let (_, requested) = *self.cycles.iter().find(|(known, _)| *known == access)?;
        if self.edrx == 0 || !limits.supported {
            return None;
        }
        Some(GrantedCycle {
            access,
            requested,
            cycle: requested.at_most(limits.longest_cycle, access.mode()),
            window: PagingWindow::new(limits.window)?,
            since: now,
        })
    }

    /// There is traffic.
    pub(crate) fn traffic_at(&mut self, now: Duration) {
        self.traffic = self.traffic.max(now);
    }

    pub(crate) fn is_asleep(&self) -> bool {
        self.asleep
    }

    /// When the device falls asleep or wakes, `release` after the last traffic being idle.
    pub(crate) fn deadline(&self, release: Duration) -> Option<Duration> {
        let GrantedSaving { periodic, active } = self.granted?;
        let idle = self.traffic.saturating_add(release);
        match (self.asleep, self.enter) {
            (true, _) => Some(idle.saturating_add(periodic.duration()?)),
            (false, true) => Some(idle),
            (false, false) => {
                let sleeps = idle.saturating_add(active.duration()?);
                // A device that has to tell where it is before it would sleep does not sleep.
                (active.duration() < periodic.duration()).then_some(sleeps)
            }
        }
    }

    pub(crate) fn fall_asleep(&mut self) {
        self.asleep = true;
    }

    /// It wakes: it tells where it is, or has something to send.
    pub(crate) fn wake(&mut self, now: Duration) {
        self.asleep = false;
        self.traffic_at(now);
    }

    /// When it can be paged.
    pub(crate) fn reachable(&self, now: Duration, release: Duration) -> Reachable {
        if self.asleep {
            return Reachable::Asleep;
        }
        let Some(GrantedCycle { access, cycle, window, since, .. }) = self.cycle else { return Reachable::Now };
        if now < self.traffic.saturating_add(release) {
            return Reachable::Now;
        }
        let length = cycle.duration(access.mode());
        let gone = now.saturating_sub(since).as_millis() % length.as_millis().max(1);
        let gone = Duration::from_millis(u64::try_from(gone).unwrap_or(0));
        if gone < window.duration(access.mode()) {
            return Reachable::Now;
        }
        // Whole milliseconds, rounded up: a deadline never comes too early.
        let rest = length.saturating_sub(gone);
        Reachable::At(now.saturating_add(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const RELEASE: Duration = Duration::from_secs(5);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn asking() -> Power {
        Power { psm: true, ..Power::default() }
    }

    #[test]
    fn the_example_of_the_document() {
        let operator = OperatorSpec::home();
        let mut power = asking();
        power.negotiate(Some((&operator, AccessType::WIDE)), seconds(1000));
        assert_eq!(power.deadline(RELEASE), Some(seconds(1015)), "5 s until the radio is released, 10 s of T3324");
        power.traffic_at(seconds(1010));
        assert_eq!(power.deadline(RELEASE), Some(seconds(1025)));
        power.fall_asleep();
        assert_eq!(power.reachable(seconds(1030), RELEASE), Reachable::Asleep);
        // T3412 extended runs from the moment that the device was idle.
        assert_eq!(power.deadline(RELEASE), Some(seconds(1015) + 140 * HOUR));
        power.wake(seconds(2000));
        assert_eq!(power.deadline(RELEASE), Some(seconds(2015)));
        power.enter = true;
        assert_eq!(power.deadline(RELEASE), Some(seconds(2005)), "without waiting for T3324");
    }

    #[test]
    fn a_network_gives_what_it_has() {
        let mut operator = OperatorSpec::home();
        operator.psm.longest_periodic = 12 * HOUR;
        operator.psm.longest_active = seconds(6);
        let mut power = asking();
        power.negotiate(Some((&operator, AccessType::WIDE)), Duration::ZERO);
        let granted = power.granted.unwrap();
        assert_eq!(granted.periodic.duration(), Some(12 * HOUR));
        assert_eq!(granted.active.duration(), Some(seconds(6)));
        operator.psm.supported = false;
        power.negotiate(Some((&operator, AccessType::WIDE)), Duration::ZERO);
        assert_eq!((power.granted, power.deadline(RELEASE)), (None, None));
        // T3324 deactivated: no PSM (TS 24.301 §5.3.11).
        operator.psm.supported = true;
        power.active = ActiveTimer::parse("11100000").unwrap();
        power.negotiate(Some((&operator, AccessType::WIDE)), Duration::ZERO);
        assert_eq!(power.granted, None);
    }

    #[test]
    fn paging_waits_for_the_cycle() {
        let operator = OperatorSpec::home();
        let mut power = Power { edrx: 1, ..Power::default() };
        power.cycles[0].1 = Cycle::parse("1000").unwrap();
        power.negotiate(Some((&operator, AccessType::WIDE)), seconds(100));
        assert_eq!(power.reachable(seconds(104), RELEASE), Reachable::Now, "connected");
        assert_eq!(power.reachable(seconds(110), RELEASE), Reachable::Now, "the window is 10.24 s");
        let next = seconds(100) + Duration::from_millis(143_360);
        assert_eq!(power.reachable(seconds(111), RELEASE), Reachable::At(next));
        assert_eq!(power.reachable(next, RELEASE), Reachable::Now);
        assert_eq!(power.reachable(next + seconds(11), RELEASE), Reachable::At(next + Duration::from_millis(143_360)));
        // A tracking area update that changes nothing leaves the cycle alone.
        power.negotiate(Some((&operator, AccessType::WIDE)), seconds(150));
        assert_eq!(power.reachable(seconds(160), RELEASE), Reachable::At(next));
        power.negotiate(None, seconds(160));
        assert_eq!(power.reachable(seconds(200), RELEASE), Reachable::Now);
    }
}
