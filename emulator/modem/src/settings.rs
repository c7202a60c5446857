//! The settings of one port that V.250 and `+CMEE` change, and that `ATZ` and `AT&F` bring back.

use crate::model::Defaults;

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
    /// `S0`: automatic answer after so many rings, 0 for never (V.250 §6.3.8).
    pub(crate) s0: u8,
    /// `S3`: the character that ends a command line (V.250 §6.2.1).
    pub(crate) s3: u8,
    /// `S4`: the character that goes with it in responses (V.250 §6.2.2).
    pub(crate) s4: u8,
    /// `S5`: the character that takes the last one back (V.250 §6.2.3).
    pub(crate) s5: u8,
    /// `+CMEE`: 0 `ERROR`, 1 numbers, 2 texts (TS 27.007 §9.1).
    pub(crate) cmee: u8,
}

impl Settings {
    /// The settings from the factory of a model.
    pub(crate) fn factory(defaults: &Defaults) -> Self {
        Settings { echo: defaults.echo, cmee: defaults.cmee, ..Settings::default() }
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
            s0: 0,
            s3: b'\r',
            s4: b'\n',
            s5: 8,
            cmee: 0,
        }
    }
}
