//! The maker's own commands (RG50xQ & RM5xxQ Series AT Commands Manual), beside those of the LPA.

use super::{Exec, INCORRECT, Next, Outcome, at_most, choice, name, single};
use crate::model::UrcPort;
use crate::parse::Params;
use crate::result::Failure;
use crate::sim::SimState;
use crate::state::State;

impl State {
    /// Whether AT+QINDCFG lets a URC pass.
    pub(crate) fn indicates(&self, what: &str) -> bool {
        let is_on = |wanted: &str| self.options.indications.iter().any(|(name, on)| *name == wanted && *on);
        is_on("all") && is_on(what)
    }

    /// Tells that a card has come or gone, when AT+QSIMSTAT asks for it.
    pub(crate) fn tell_card_status(&mut self, was_present: bool) {
        let is_present = self.uicc.is_present();
        if self.options.card_status && was_present != is_present {
            self.tell(format!("+QSIMSTAT: 1,{}", u8::from(is_present)));
        }
    }
}

/// `+QINISTAT`: 1 the card is ready, 2 messages, 4 the phone book.
pub(super) fn initialised(exec: &mut Exec<'_>) -> Outcome {
    let status = match exec.state.sim.state {
        SimState::Ready => 7,
        SimState::Pin | SimState::Puk | SimState::Failure | SimState::Absent => 0,
    };
    exec.line(format!("+QINISTAT: {status}"));
    Ok(())
}

/// `+QSIMSTAT?`
pub(super) fn read_card_status(exec: &mut Exec<'_>) -> Outcome {
    let (told, inserted) = (u8::from(exec.state.options.card_status), u8::from(exec.state.uicc.is_present()));
    exec.line(format!("+QSIMSTAT: {told},{inserted}"));
    Ok(())
}

pub(super) fn write_card_status(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    exec.state.options.card_status = single(params, &[0, 1])? == 1;
    Ok(())
}

/// `+QSIMDET?`
pub(super) fn read_card_detection(exec: &mut Exec<'_>) -> Outcome {
    let (enabled, level) = exec.state.options.card_detection;
    exec.line(format!("+QSIMDET: {enabled},{level}"));
    Ok(())
}

pub(super) fn write_card_detection(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    let enabled = choice(params, 0, &[0, 1], None)?;
    let level = choice(params, 1, &[0, 1], None)?;
    exec.state.options.card_detection = (enabled as u8, level as u8);
    Ok(())
}

/// `+QUIMSLOT?`
pub(super) fn read_slot(exec: &mut Exec<'_>) -> Outcome {
    exec.line(format!("+QUIMSLOT: {}", exec.state.options.slot));
    Ok(())
}

/// `+QUIMSLOT=<slot>`: the card is in the first one, the second is empty.
pub(super) fn write_slot(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let slot = single(params, &[1, 2])?;
    if std::mem::replace(&mut exec.state.options.slot, slot) == slot {
        return Ok(());
    }
    let state = &mut *exec.state;
    let was_present = state.uicc.is_present();
    state.uicc.select_slot(slot == 1);
    state.stop_card();
    if was_present {
        let urcs = state.model.urc.card_gone.clone();
        state.urcs.extend(urcs);
    }
    state.tell_card_status(was_present);
    if state.functionality != 0 {
        state.start_card();
    }
    Ok(())
}

/// The URCs of AT+QINDCFG, and whether they are on.
pub(crate) const INDICATIONS: [(&str, bool); 7] = [
    ("all", true),
    ("csq", false),
    ("smsfull", false),
    ("ring", true),
    ("smsincoming", true),
    ("act", false),
    ("ccinfo", false),
];

/// `+QINDCFG=?`
pub(super) fn test_qindcfg(exec: &mut Exec<'_>) -> Outcome {
    for (name, _) in INDICATIONS {
        exec.line(format!("+QINDCFG: \"{name}\",(0,1),(0,1)"));
    }
    Ok(())
}

/// `+QINDCFG=<urc_type>[,<enable>[,<savetonvram>]]`: what is not saved is forgotten by a restart.
pub(super) fn write_qindcfg(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 3)?;
    let wanted = name(params, 0)?.to_ascii_lowercase();
    let (place, (known, on)) = {
        let mut all = exec.state.options.indications.iter().copied().enumerate();
        all.find(|(_, (known, _))| *known == wanted).ok_or(INCORRECT)?
    };
    if params.len() == 1 {
        exec.line(format!("+QINDCFG: \"{known}\",{}", u8::from(on)));
        return Ok(());
    }
    let on = choice(params, 1, &[0, 1], None)? == 1;
    let is_saved = choice(params, 2, &[0, 1], Some(0))? == 1;
    let options = &mut exec.state.options;
    let kept = is_saved.then(|| options.saved_indications.get_mut(place)).flatten();
    for entry in options.indications.get_mut(place).into_iter().chain(kept) {
        entry.1 = on;
    }
    Ok(())
}

const URC_PORTS: [(&str, UrcPort); 4] =
    [("usbat", UrcPort::Usbat), ("usbmodem", UrcPort::Usbmodem), ("uart1", UrcPort::Uart1), ("all", UrcPort::All)];

pub(super) const QURCCFG_TEST: &str = "+QURCCFG: \"urcport\",(\"usbat\",\"usbmodem\",\"uart1\",\"all\")";

/// `+QURCCFG="urcport"[,<port>]`
pub(super) fn write_qurccfg(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    if name(params, 0)? != "URCPORT" {
        return Err(INCORRECT);
    }
    let options = &mut exec.state.options;
    if params.len() == 1 {
        let known = URC_PORTS.iter().find(|(_, port)| *port == options.urc_port).map_or("all", |(name, _)| name);
        exec.line(format!("+QURCCFG: \"urcport\",\"{known}\""));
        return Ok(());
    }
    let wanted = name(params, 1)?.to_ascii_lowercase();
    options.urc_port = URC_PORTS.iter().find(|(name, _)| *name == wanted).ok_or(INCORRECT)?.1;
    Ok(())
}

/// The settings of AT+QNWPREFCFG that hosts use, as they leave the factory.
pub(crate) fn preferences() -> Vec<(&'static str, String)> {
    [
        ("mode_pref", "AUTO"),
        ("nr5g_disable_mode", "0"),
        ("gw_band", "1:2:3:4:5:8:19"),
        ("lte_band", "1:2:3:4:5:7:8:12:13:14:17:18:19:20:25:26:28:29:30:32:34:38:39:40:41:42:43:46:48:66:71"),
        ("nsa_nr5g_band", "1:2:3:5:7:8:12:20:25:28:38:40:41:48:66:71:77:78:79"),
        ("nr5g_band", "1:2:3:5:7:8:12:20:25:28:38:40:41:48:66:71:77:78:79"),
        ("roam_pref", "255"),
        ("ue_usage_setting", "1"),
        ("srv_domain", "2"),
        ("voice_domain", "2"),
        ("rat_acq_order", "NR5G:LTE:WCDMA"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

/// `+QNWPREFCFG=?`
pub(super) fn test_preferences(exec: &mut Exec<'_>) -> Outcome {
    for (name, value) in preferences() {
        exec.line(match name {
            "mode_pref" => "+QNWPREFCFG: \"mode_pref\",(AUTO,WCDMA,LTE,NR5G)".to_owned(),
            "nr5g_disable_mode" => "+QNWPREFCFG: \"nr5g_disable_mode\",(0-2)".to_owned(),
            "roam_pref" => "+QNWPREFCFG: \"roam_pref\",(1,3,255)".to_owned(),
            "ue_usage_setting" => "+QNWPREFCFG: \"ue_usage_setting\",(0,1)".to_owned(),
            "srv_domain" => "+QNWPREFCFG: \"srv_domain\",(0-2)".to_owned(),
            "voice_domain" => "+QNWPREFCFG: \"voice_domain\",(0-3)".to_owned(),
            "rat_acq_order" => "+QNWPREFCFG: \"rat_acq_order\",(WCDMA,LTE,NR5G)".to_owned(),
            bands => format!("+QNWPREFCFG: \"{bands}\",({value})"),
        });
    }
    Ok(())
}

/// `+QNWPREFCFG=<name>[,<value>]`
pub(super) fn write_preferences(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    let wanted = name(params, 0)?.to_ascii_lowercase();
    if matches!(wanted.as_str(), "policy_band" | "ue_capability_band") {
        return bands(exec, params);
    }
    let options = &mut exec.state.options;
    let (known, value) = options.preferences.iter_mut().find(|(known, _)| *known == wanted).ok_or(INCORRECT)?;
    if params.len() == 1 {
        let line = format!("+QNWPREFCFG: \"{known}\",{value}");
        exec.line(line);
        return Ok(());
    }
    let text = params.text(1).and_then(|text| std::str::from_utf8(text).ok()).ok_or(INCORRECT)?;
    if !is_preference(known, text) {
        return Err(INCORRECT);
    }
    *value = text.to_owned();
    exec.state.update_network();
    Ok(())
}

/// `+QNWPREFCFG="policy_band"`, `"ue_capability_band"`: all bands that the module has. Nothing narrows them.
fn bands(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    for (name, bands) in preferences().iter().filter(|(name, _)| name.ends_with("_band")) {
        exec.line(format!("+QNWPREFCFG: \"{name}\",{bands}"));
    }
    Ok(())
}

/// Whether a setting of AT+QNWPREFCFG can have this value.
pub(crate) fn is_preference(name: &str, text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    match name {
        "mode_pref" => parts.iter().all(|mode| matches!(*mode, "AUTO" | "WCDMA" | "LTE" | "NR5G")),
        "nr5g_disable_mode" => matches!(text, "0" | "1" | "2"),
        "roam_pref" => matches!(text, "1" | "3" | "255"),
        "ue_usage_setting" => matches!(text, "0" | "1"),
        "srv_domain" => matches!(text, "0" | "1" | "2"),
        "voice_domain" => matches!(text, "0" | "1" | "2" | "3"),
        "rat_acq_order" => {
            let once = |mode: &&str| parts.iter().filter(|part| *part == mode).count() == 1;
            parts.iter().all(|mode| matches!(*mode, "WCDMA" | "LTE" | "NR5G") && once(mode))
        }
        // Bands: a part of those that the module has.
        bands => {
            let all = preferences();
            let all = all.iter().find(|(name, _)| *name == bands).map_or("", |(_, all)| all.as_str());
            parts.iter().all(|band| all.split(':').any(|known| known == *band))
        }
    }
}

/// `+QTEMP`: the sensors of a module at rest.
pub(super) fn temperatures(exec: &mut Exec<'_>) -> Outcome {
    for (sensor, degrees) in [
        ("modem-lte-sub6-pa1", 31),
        ("modem-lte-sub6-pa2", 31),
        ("modem-mmw0", -273),
        ("aoss-0-usr", 34),
        ("cpuss-0-usr", 35),
        ("mdmq6-0-usr", 34),
        ("mdmss-0-usr", 35),
    ] {
        exec.line(format!("+QTEMP:\"{sensor}\",\"{degrees}\""));
    }
    Ok(())
}

/// `+QPOWD`
pub(super) fn power_down(exec: &mut Exec<'_>) -> Outcome {
    exec.next = Next::PowerDown;
    Ok(())
}

/// `+QPOWD=<n>`: 0 at once, 1 in order. Here it is the same.
pub(super) fn power_down_as(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    single(params, &[0, 1]).map_err(|_| Failure::Error)?;
    power_down(exec)
}
