//! `AT+QCFG` (RG50xQ & RM5xxQ Series AT Commands Manual §3.3), but for what is about the network, which is in
//! [`super::radio`].

use super::{Exec, INCORRECT, Outcome, name};
use crate::parse::Params;

/// A setting of AT+QCFG. Here, where there is no USB and no PCI Express, none of them has an effect; they are kept over a
/// restart, as the manual has it.
pub(crate) struct QcfgSetting {
    pub(crate) name: &'static str,
    kind: Kind,
}

/// What a setting can be.
enum Kind {
    /// Numbers, each with its least and its greatest value and the one from the factory.
    Numbers(&'static [(u32, u32, u32)]),
    /// A word, and the one from the factory.
    Word(&'static [&'static str], &'static str),
}

const fn number(name: &'static str, values: &'static [(u32, u32, u32)]) -> QcfgSetting {
    QcfgSetting { name, kind: Kind::Numbers(values) }
}

const fn word(name: &'static str, words: &'static [&'static str], usual: &'static str) -> QcfgSetting {
    QcfgSetting { name, kind: Kind::Word(words, usual) }
}

impl QcfgSetting {
    pub(crate) const ALL: [QcfgSetting; 10] = [
        number("airplanecontrol", &[(0, 1, 0)]),
        number("data_interface", &[(0, 1, 0), (0, 1, 0)]),
        number("fast/poweroff", &[(0, 1, 0)]),
        number("ims", &[(0, 2, 0)]),
        number("ledmode", &[(0, 3, 0)]),
        number("pcie/mode", &[(0, 1, 0)]),
        word("risignaltype", &["respective", "physical"], "respective"),
        number("sms_control", &[(0, 1, 1)]),
        number("usbnet", &[(0, 3, 0)]),
        word("usbspeed", &["20", "311", "312"], "312"),
    ];

    /// The value from the factory, as it is kept: numbers with a comma between them, or a word without quotes.
    pub(crate) fn factory(&self) -> String {
        match self.kind {
            Kind::Numbers(values) => join(values.iter().map(|(_, _, usual)| usual.to_string())),
            Kind::Word(_, usual) => usual.to_owned(),
        }
    }

    /// Whether it can have this value, which is as it is kept.
    pub(crate) fn takes(&self, value: &str) -> bool {
        match self.kind {
            Kind::Numbers(values) => {
                let fits = |(part, (least, greatest, _)): (&str, &(u32, u32, u32))| {
                    part.parse().is_ok_and(|number: u32| (*least..=*greatest).contains(&number))
                };
                value.split(',').count() == values.len() && value.split(',').zip(values).all(fits)
            }
            Kind::Word(words, _) => words.contains(&value),
        }
    }

    /// How many parameters it has.
    fn width(&self) -> usize {
        match self.kind {
            Kind::Numbers(values) => values.len(),
            Kind::Word(..) => 1,
        }
    }

    /// Its line of the test form.
    fn test(&self) -> String {
        let ranges = match self.kind {
            Kind::Numbers(values) => join(values.iter().map(|(least, greatest, _)| format!("({least}-{greatest})"))),
            Kind::Word(words, _) => format!("({})", join(words.iter().map(|word| format!("\"{word}\"")))),
        };
        format!("+QCFG: \"{}\",{ranges}", self.name)
    }

    /// A value as the command tells it.
    fn told(&self, value: &str) -> String {
        match self.kind {
            Kind::Numbers(_) => value.to_owned(),
            Kind::Word(..) => format!("\"{value}\""),
        }
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(",")
}

/// All settings as they leave the factory.
pub(crate) fn configuration() -> Vec<(&'static str, String)> {
    QcfgSetting::ALL.iter().map(|setting| (setting.name, setting.factory())).collect()
}

/// `+QCFG=?`
pub(super) fn test(exec: &mut Exec<'_>) -> Outcome {
    for setting in &QcfgSetting::ALL {
        exec.line(setting.test());
    }
    super::radio::test(exec);
    Ok(())
}

/// `+QCFG=<name>[,<value>...]`
pub(super) fn write(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let wanted = name(params, 0)?.to_ascii_lowercase();
    if super::radio::write(exec, params, &wanted)? {
        return Ok(());
    }
    let setting = QcfgSetting::ALL.iter().find(|setting| setting.name == wanted).ok_or(INCORRECT)?;
    let kept = exec.state.options.configuration.iter_mut().find(|(name, _)| *name == setting.name).ok_or(INCORRECT)?;
    if params.len() == 1 {
        let line = format!("+QCFG: \"{}\",{}", setting.name, setting.told(&kept.1));
        exec.line(line);
        return Ok(());
    }
    if params.len() != 1 + setting.width() {
        return Err(INCORRECT);
    }
    let values = (1..params.len()).map(|index| match setting.kind {
        Kind::Numbers(_) => params.number(index).map(|number| number.to_string()),
        Kind::Word(..) => {
            params.text(index).and_then(|text| std::str::from_utf8(text).ok()).map(str::to_ascii_lowercase)
        }
    });
    let value = join(values.collect::<Option<Vec<_>>>().ok_or(INCORRECT)?.into_iter());
    if !setting.takes(&value) {
        return Err(INCORRECT);
    }
    kept.1 = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_setting_takes() {
        for setting in &QcfgSetting::ALL {
            assert!(setting.takes(&setting.factory()), "{}", setting.name);
            for bad in ["", "9", "0,0,0", "x", "\"312\"", "-1"] {
                assert!(!setting.takes(bad), "{} {bad}", setting.name);
            }
        }
    }
}
