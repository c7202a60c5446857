//! What the radio of a module can do, as data of the model (`[radio]`).

use serde::Deserialize;

use crate::network::Technology;

/// The radio of a module.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Radio {
    /// The technologies that it has, the most preferred first.
    pub technologies: Vec<Technology>,
    /// `<AcT>` by which it tells LTE-M: 7 as TS 27.007 has it, or 8.
    #[serde(deserialize_with = "lte_m")]
    pub lte_m_access: u8,
    /// The settings of AT+QCFG that are about the network and that it has.
    pub settings: Vec<RadioSetting>,
    /// What it says when it falls asleep.
    pub sleep: Vec<String>,
}

/// A setting of AT+QCFG that is about the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum RadioSetting {
    /// `"roamservice"`: 1 disabled, 2 enabled, 255 automatic.
    #[serde(rename = "roamservice")]
    RoamService,
    /// `"nwscanmode"`: 0 automatic, 1 GSM only, 2 WCDMA only, 3 LTE only.
    #[serde(rename = "nwscanmode")]
    NetworkScanMode,
    /// `"iotopmode"`: 0 LTE-M, 1 NB-IoT, 2 both.
    #[serde(rename = "iotopmode")]
    IotOperationMode,
    /// `"psm/enter"`: 1 sleeps at once when the radio connection is released.
    #[serde(rename = "psm/enter")]
    PsmEnter,
}

impl RadioSetting {
    /// The name, as AT+QCFG has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            RadioSetting::RoamService => "roamservice",
            RadioSetting::NetworkScanMode => "nwscanmode",
            RadioSetting::IotOperationMode => "iotopmode",
            RadioSetting::PsmEnter => "psm/enter",
        }
    }

    /// The values that it takes, the one from the factory first.
    pub(crate) fn values(self) -> &'static [u32] {
        match self {
            RadioSetting::RoamService => &[255, 1, 2],
            RadioSetting::NetworkScanMode => &[0, 1, 2, 3],
            RadioSetting::IotOperationMode => &[2, 0, 1],
            RadioSetting::PsmEnter => &[0, 1],
        }
    }
}

fn lte_m<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    match u8::deserialize(deserializer)? {
        value @ (7 | 8) => Ok(value),
        _ => Err(serde::de::Error::custom("LTE-M is told by 7 (TS 27.007 §7.3) or by 8")),
    }
}

impl Default for Radio {
    fn default() -> Self {
        Radio {
            technologies: vec![Technology::Nr, Technology::Lte, Technology::Umts],
            lte_m_access: 7,
            settings: Vec::new(),
            sleep: vec!["PSM POWER DOWN".to_owned()],
        }
    }
}
