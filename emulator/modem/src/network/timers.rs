//! The timers and cycles of power saving as they stand in messages and in AT commands: one octet for a GPRS timer
//! (TS 24.008 §10.5.7.4, §10.5.7.4a), four bits for an eDRX cycle and for a paging time window (§10.5.5.32).
//!
//! Hosts write them as strings of bits (`+CPSMS=1,,,"01001110","00000101"`), which is how they are read here.

use std::time::Duration;

const SECOND: u64 = 1;
const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// T3412 extended: how often a device that sleeps tells where it is (GPRS timer 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodicTimer(u8);

impl PeriodicTimer {
    /// 140 hours.
    pub(crate) const USUAL: PeriodicTimer = PeriodicTimer(0b0100_1110);
}

/// T3324: how long a device listens before it sleeps (GPRS timer 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveTimer(u8);

impl ActiveTimer {
    /// 10 seconds.
    pub(crate) const USUAL: ActiveTimer = ActiveTimer(0b0000_0101);
}

/// A timer of five bits for the value and three for the unit.
trait Timer: Copy {
    /// The unit in seconds; `None` for deactivated.
    fn unit(bits: u8) -> Option<u64>;
    fn of(octet: u8) -> Self;
    fn octet(self) -> u8;

    fn duration(self) -> Option<Duration> {
        let octet = self.octet();
        Self::unit(octet >> 5).map(|unit| Duration::from_secs(unit * u64::from(octet & 0x1F)))
    }

    /// The timer that comes nearest to a duration; of two that are as near, the one with the finer unit.
    fn nearest(wanted: Duration) -> Self {
        let distance = |octet: u8| {
            let duration = Self::of(octet).duration()?;
            Some((duration.abs_diff(wanted), Self::unit(octet >> 5)?))
        };
        let nearest = (0..=u8::MAX).filter_map(|octet| distance(octet).map(|far| (far, octet))).min();
        Self::of(nearest.map_or(0, |(_, octet)| octet))
    }
}

impl Timer for PeriodicTimer {
    /// TS 24.008 §10.5.7.4a, table 10.5.163a.
    fn unit(bits: u8) -> Option<u64> {
        match bits {
            0b000 => Some(10 * MINUTE),
            0b001 => Some(HOUR),
            0b010 => Some(10 * HOUR),
            0b011 => Some(2 * SECOND),
            0b100 => Some(30 * SECOND),
            0b101 => Some(MINUTE),
            0b110 => Some(320 * HOUR),
            _ => None,
        }
    }

    fn of(octet: u8) -> Self {
        PeriodicTimer(octet)
    }

    fn octet(self) -> u8 {
        self.0
    }
}

impl Timer for ActiveTimer {
    /// TS 24.008 §10.5.7.3, table 10.5.163: what is not named is taken as multiples of one minute.
    fn unit(bits: u8) -> Option<u64> {
        match bits {
            0b000 => Some(2 * SECOND),
            0b010 => Some(6 * MINUTE),
            0b111 => None,
            _ => Some(MINUTE),
        }
    }

    fn of(octet: u8) -> Self {
        ActiveTimer(octet)
    }

    fn octet(self) -> u8 {
        self.0
    }
}

macro_rules! timer {
    ($name:ident) => {
        impl $name {
            /// Reads eight bits, the most significant one first.
            pub fn parse(bits: &str) -> Option<Self> {
                parse_bits(bits, 8).map($name)
            }

            /// The eight bits.
            pub fn bits(self) -> String {
                format!("{:08b}", self.0)
            }

            /// How long it runs; `None` when it is deactivated.
            pub fn duration(self) -> Option<Duration> {
                Timer::duration(self)
            }

            /// The timer that comes nearest to a duration.
            pub fn nearest(wanted: Duration) -> Self {
                Timer::nearest(wanted)
            }
        }
    };
}

timer!(PeriodicTimer);
timer!(ActiveTimer);

/// `width` characters that are all `0` or `1`.
fn parse_bits(bits: &str, width: usize) -> Option<u8> {
    let fits = bits.len() == width && bits.bytes().all(|bit| matches!(bit, b'0' | b'1'));
    fits.then(|| bits.bytes().fold(0, |value, bit| value << 1 | (bit - b'0')))
}

/// Which kind of radio access a cycle is for: the table has values that only one of them knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// E-UTRAN, LTE-M included (WB-S1 mode).
    WideBand,
    /// NB-IoT (NB-S1 mode).
    NarrowBand,
}

/// An eDRX cycle: four bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cycle(u8);

impl Cycle {
    /// 20.48 s, which both modes have.
    pub(crate) const USUAL: Cycle = Cycle(2);

    /// The cycle with this number of 0 to 15.
    pub fn new(value: u8) -> Option<Self> {
        (value <= 15).then_some(Cycle(value))
    }

    /// Reads four bits.
    pub fn parse(bits: &str) -> Option<Self> {
        parse_bits(bits, 4).map(Cycle)
    }

    /// The four bits.
    pub fn bits(self) -> String {
        format!("{:04b}", self.0)
    }

    /// How long it is (TS 24.008 table 10.5.5.32, S1 mode).
    pub fn duration(self, mode: Mode) -> Duration {
        let hundredths = match (self.0, mode) {
            // Note 3 of the table: in NB-S1 mode these are taken as 0010.
            (0 | 1 | 4 | 6 | 7 | 8, Mode::NarrowBand) => 2048,
            (0, _) => 512,
            (1, _) => 1024,
            (2, _) => 2048,
            (3, _) => 4096,
            (4, _) => 6144,
            (5, _) => 8192,
            (6, _) => 10_240,
            (7, _) => 12_288,
            (8, _) => 14_336,
            (9, _) => 16_384,
            (10, _) => 32_768,
            (11, _) => 65_536,
            (12, _) => 131_072,
            (13, _) => 262_144,
            (14, _) => 524_288,
            (_, _) => 1_048_576,
        };
        Duration::from_millis(hundredths * 10)
    }

    /// The longest cycle that is no longer than both this one and `most`.
    pub fn at_most(self, most: Duration, mode: Mode) -> Cycle {
        let fits = |cycle: &Cycle| cycle.duration(mode) <= most.min(self.duration(mode));
        (0..=self.0).rev().map(Cycle).find(fits).unwrap_or(Cycle(0))
    }
}

/// A paging time window: four bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PagingWindow(u8);

impl PagingWindow {
    /// The window with this number of 0 to 15.
    pub fn new(value: u8) -> Option<Self> {
        (value <= 15).then_some(PagingWindow(value))
    }

    /// The four bits.
    pub fn bits(self) -> String {
        format!("{:04b}", self.0)
    }

    /// How long it is (TS 24.008 §10.5.5.32): steps of 1.28 s, and of 2.56 s in NB-S1 mode.
    pub fn duration(self, mode: Mode) -> Duration {
        let step = match mode {
            Mode::WideBand => 1280,
            Mode::NarrowBand => 2560,
        };
        Duration::from_millis(step * (u64::from(self.0) + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_document() {
        // 140 hours and 10 s.
        let periodic = PeriodicTimer::parse("01001110").unwrap();
        assert_eq!(periodic.duration(), Some(Duration::from_secs(140 * HOUR)));
        let active = ActiveTimer::parse("00000101").unwrap();
        assert_eq!(active.duration(), Some(Duration::from_secs(10)));
        assert_eq!((periodic.bits(), active.bits()), ("01001110".to_owned(), "00000101".to_owned()));
        assert_eq!(PeriodicTimer::parse("0100111"), None);
        assert_eq!(ActiveTimer::parse("0000010x"), None);
        assert_eq!(PeriodicTimer::parse("é0011"), None);
    }

    #[test]
    fn units() {
        // TS 24.008 tables 10.5.163a and 10.5.163.
        let periodic = |bits| PeriodicTimer::parse(bits).unwrap().duration();
        for (bits, seconds) in [
            ("00000001", 600),
            ("00100001", 3600),
            ("01000001", 36_000),
            ("01100001", 2),
            ("10000001", 30),
            ("10100001", 60),
            ("11000001", 1_152_000),
            ("11011111", 35_712_000),
        ] {
            assert_eq!(periodic(bits), Some(Duration::from_secs(seconds)), "{bits}");
        }
        assert_eq!(periodic("11100001"), None);
        let active = |bits| ActiveTimer::parse(bits).unwrap().duration();
        for (bits, seconds) in [("00000001", 2), ("00100001", 60), ("01000001", 360), ("10100010", 120)] {
            assert_eq!(active(bits), Some(Duration::from_secs(seconds)), "{bits}");
        }
        assert_eq!(active("11100000"), None);
    }

    #[test]
    fn cycles() {
        let of = |bits: &str| Cycle::parse(bits).unwrap();
        let wide = |bits: &str| of(bits).duration(Mode::WideBand).as_millis();
        // TS 24.008 table 10.5.5.32; 1000 is the example of the document.
        assert_eq!(wide("1000"), 143_360);
        let table: Vec<u128> = (0..16).map(|value| Cycle(value).duration(Mode::WideBand).as_millis() / 10).collect();
        assert_eq!(
            table,
            [
                512, 1024, 2048, 4096, 6144, 8192, 10240, 12288, 14336, 16384, 32768, 65536, 131_072, 262_144, 524_288,
                1_048_576
            ]
        );
        assert_eq!(of("0000").duration(Mode::NarrowBand).as_millis(), 20_480);
        assert_eq!(of("0101").duration(Mode::NarrowBand).as_millis(), 81_920);
        assert_eq!(of("1000").at_most(Duration::from_secs(100), Mode::WideBand), of("0101"));
        assert_eq!(of("0010").at_most(Duration::from_secs(100), Mode::WideBand), of("0010"));
        assert_eq!(PagingWindow(7).duration(Mode::WideBand).as_millis(), 10_240);
        assert_eq!(PagingWindow(7).duration(Mode::NarrowBand).as_millis(), 20_480);
        assert_eq!(Cycle::parse("01000"), None);
    }

    proptest! {
        #[test]
        fn nearest_of_what_a_timer_says_is_as_long(octet in any::<u8>()) {
            if let Some(duration) = PeriodicTimer(octet).duration() {
                prop_assert_eq!(PeriodicTimer::nearest(duration).duration(), Some(duration));
            }
            if let Some(duration) = ActiveTimer(octet).duration() {
                prop_assert_eq!(ActiveTimer::nearest(duration).duration(), Some(duration));
            }
        }
    }
}
