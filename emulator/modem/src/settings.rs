//! The settings of one port that V.250 and `+CMEE` change, and that `ATZ` and `AT&F` bring back.

use crate::charset::Charset;
use crate::model::Defaults;

/// The S-parameters that there are, with the range and the default of each (V.250 §6.2.1 to §6.3.12; S2 and S12 are
/// the escape character and its guard time in fiftieths of a second, as Hayes had them).
pub(crate) const REGISTERS: [(u32, std::ops::RangeInclusive<u32>, u8); 10] = [
    (0, 0..=255, 0),
    (2, 0..=255, b'+'),
    (3, 0..=127, b'\r'),
    (4, 0..=127, b'\n'),
    (5, 0..=127, 8),
    (6, 2..=10, 2),
    (7, 0..=255, 0),
    (8, 0..=255, 2),
    (10, 1..=254, 15),
    (12, 0..=255, 50),
];

/// What a host has set on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `ATE`: characters are echoed (V.250 §6.2.4).
    pub(crate) echo: bool,
    /// `ATQ1`: no result codes (V.250 §6.2.5).
    pub(crate) quiet: bool,
    /// `ATV`: result codes as text (V.250 §6.2.6).
    pub(crate) verbose: bool,
    /// `ATX`: which call progress is told (V.250 §6.2.7).
    pub(crate) progress: u8,
    /// `AT&C`: circuit 109 (V.250 §6.2.8).
    pub(crate) carrier_detect: u8,
    /// `AT&D`: circuit 108/2 (V.250 §6.2.9).
    pub(crate) terminal_ready: u8,
    /// The character that ends a command line (V.250 §6.2.1), kept apart from the other registers because every byte
    /// is compared with it.
    pub(crate) s3: u8,
    /// The character that goes with it in responses (V.250 §6.2.2).
    pub(crate) s4: u8,
    /// The character that takes the last one back (V.250 §6.2.3).
    pub(crate) s5: u8,
    /// The other S-parameters, in the order of [`REGISTERS`].
    registers: [u8; REGISTERS.len()],
    /// `+CMEE`: 0 `ERROR`, 1 numbers, 2 texts (TS 27.007 §9.1).
    pub(crate) cmee: u8,
    /// `+CSCS` (TS 27.007 §5.5).
    pub(crate) charset: Charset,
    /// `+IFC`: flow control by the DTE and by the DCE (V.250 §6.2.12).
    pub(crate) flow_control: (u8, u8),
    /// `+ICF`: character format and parity (V.250 §6.2.11).
    pub(crate) framing: (u8, u8),
    /// `+IPR`: the rate in bit/s, 0 for automatic detection (V.250 §6.2.10).
    pub(crate) rate: u32,
}

impl Settings {
    /// The settings from the factory of a model.
    pub(crate) fn factory(defaults: &Defaults) -> Self {
        Settings { echo: defaults.echo, cmee: defaults.cmee, ..Settings::default() }
    }

    /// An S-parameter.
    pub(crate) fn register(&self, index: u32) -> Option<u8> {
        match index {
            3 => Some(self.s3),
            4 => Some(self.s4),
            5 => Some(self.s5),
            _ => REGISTERS.iter().zip(self.registers).find(|((known, ..), _)| *known == index).map(|(_, value)| value),
        }
    }

    /// Sets an S-parameter, to its default when there is no value. False when there is none, or out of range.
    pub(crate) fn set_register(&mut self, index: u32, value: Option<u32>) -> bool {
        let Some(place) = REGISTERS.iter().position(|(known, ..)| *known == index) else { return false };
        let (_, range, default) = &REGISTERS[place];
        let value = value.unwrap_or(u32::from(*default));
        if !range.contains(&value) {
            return false;
        }
        let value = value as u8;
        match index {
            3 => self.s3 = value,
            4 => self.s4 = value,
            5 => self.s5 = value,
            _ => self.registers[place] = value,
        }
        true
    }

    /// The guard time of the escape sequence (S12).
    pub(crate) fn guard_time(&self) -> std::time::Duration {
        std::time::Duration::from_millis(20 * u64::from(self.register(12).unwrap_or(50)))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            echo: true,
            quiet: false,
            verbose: true,
            progress: 4,
            carrier_detect: 1,
            terminal_ready: 2,
            s3: b'\r',
            s4: b'\n',
            s5: 8,
            registers: REGISTERS.map(|(_, _, default)| default),
            cmee: 0,
            charset: Charset::Gsm,
            flow_control: (0, 0),
            framing: (3, 3),
            rate: 115_200,
        }
    }
}
