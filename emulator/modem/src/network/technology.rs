//! Radio access technologies, and the names and numbers that commands and reports have for them.

use serde::{Deserialize, Serialize};

/// A radio access technology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Technology {
    /// 2G: GSM with GPRS and EDGE.
    #[serde(alias = "2g")]
    Gsm,
    /// 3G: UTRAN with HSPA.
    #[serde(alias = "3g")]
    Umts,
    /// NB-IoT: LTE Cat NB1 and NB2.
    NbIot,
    /// LTE-M: LTE Cat M1.
    LteM,
    /// 4G: E-UTRAN.
    #[serde(alias = "4g")]
    Lte,
    /// 5G: NR with a 5G core (standalone).
    #[serde(alias = "5g")]
    Nr,
}

impl Technology {
    /// All of them, the newest first: the order in which a modem prefers them.
    pub const ALL: [Technology; 6] =
        [Technology::Nr, Technology::Lte, Technology::LteM, Technology::NbIot, Technology::Umts, Technology::Gsm];

    /// The name in files.
    pub fn word(self) -> &'static str {
        match self {
            Technology::Gsm => "gsm",
            Technology::Umts => "umts",
            Technology::NbIot => "nb-iot",
            Technology::LteM => "lte-m",
            Technology::Lte => "lte",
            Technology::Nr => "nr",
        }
    }

    /// The technology with this name in files.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "2g" => Some(Technology::Gsm),
            "3g" => Some(Technology::Umts),
            "4g" => Some(Technology::Lte),
            "5g" => Some(Technology::Nr),
            _ => Technology::ALL.into_iter().find(|technology| technology.word() == word),
        }
    }

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Technology::Gsm => "2G",
            Technology::Umts => "3G",
            Technology::NbIot => "NB-IoT",
            Technology::LteM => "LTE-M",
            Technology::Lte => "4G",
            Technology::Nr => "5G",
        }
    }

    /// `<AcT>` of TS 27.007 §7.3. LTE-M is E-UTRAN there; some makers tell it by 8, which is EC-GSM-IoT.
    pub(crate) fn access(self, lte_m: u8) -> u8 {
        match self {
            Technology::Gsm => 0,
            Technology::Umts => 2,
            Technology::NbIot => 9,
            Technology::LteM => lte_m,
            Technology::Lte => 7,
            Technology::Nr => 11,
        }
    }

    /// Whether it is a cell of E-UTRAN, for which `+CEREG` tells.
    pub(crate) fn is_evolved(self) -> bool {
        matches!(self, Technology::Lte | Technology::LteM | Technology::NbIot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_files() {
        #[derive(Deserialize)]
        struct File {
            list: Vec<Technology>,
        }
        let words: Vec<String> = Technology::ALL.iter().map(|technology| format!("{:?}", technology.word())).collect();
        let file: File = toml::from_str(&format!("list = [{}]", words.join(","))).unwrap();
        assert_eq!(file.list, Technology::ALL);
        for (word, technology) in [("2g", Technology::Gsm), ("4g", Technology::Lte), ("lte-m", Technology::LteM)] {
            let file: File = toml::from_str(&format!("list = [{word:?}]")).unwrap();
            assert_eq!((file.list[0], Technology::from_word(word)), (technology, Some(technology)));
        }
    }
}
