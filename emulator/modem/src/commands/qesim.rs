//! AT+QESIM (eSIM LPA Application Note 1.1, chapter 2.3): the LPA of the module.
//!
//! Every error is a plain `ERROR`: the note knows no other. Profiles are numbered from 1 in the order of the card.

use rsp::Iccid;
use rsp::activation_code::ActivationCode;
use rsp::es10::profiles::{ProfileClass, ProfileInfo, ProfileState};

use super::{Exec, Outcome, State};
use crate::card::CardError;
use crate::download::DownloadFunction;
use crate::lpa::Lpa;
use crate::model::QesimDialect;
use crate::parse::{Params, quote};
use crate::result::Failure;

/// Any error of the card is `ERROR` here.
struct Failed;

impl From<CardError> for Failed {
    fn from(_: CardError) -> Self {
        Failed
    }
}

/// `AT+QESIM=?` (eSIM LPA AN 1.1 §2.3.1). It is answered while the LPA is disabled, too: it tells what there is.
pub(super) fn test(exec: &mut Exec<'_>) -> Outcome {
    if exec.state.model.dialect.qesim == QesimDialect::Older {
        exec.line("+QESIM: (\"lpa_enable\",\"list\",\"enable\",\"disable\",\"delete\",\"download\",\"ota\")");
        return Ok(());
    }
    for line in [
        "\"lpa_enable\",(0,1)",
        "\"profile_brief\"",
        "\"profile_detail\",(1-8)",
        "\"eid\"",
        "\"delete_profile\",(1-8)",
        "\"nickname\",(1-8),<nickname>",
        "\"def_svr_addr\",<address>",
        "\"disable_profile\",(1-8)",
        "\"enable_profile\",(1-8)",
    ] {
        exec.line(format!("+QESIM: {line}"));
    }
    Ok(())
}

/// `AT+QESIM=<function>[,...]`
pub(super) fn write(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    run(exec, params).map_err(|Failed| Failure::Error)
}

/// The commands of older firmware, which name profiles by their ICCID. It downloads by itself (`"download"`, `"ota"`),
/// through a data session of its own, and is refused without one.
fn run_older(exec: &mut Exec<'_>, params: &Params, function: &str) -> Result<(), Failed> {
    if function == "list" {
        parameters(params, 1..=1)?;
        let profiles = exec.state.lpa().profiles()?;
        for (number, profile) in profiles.iter().enumerate() {
            if let Some(iccid) = &profile.iccid {
                exec.line(format!("+QESIM: {},{}", number + 1, detail(iccid, profile)));
            }
        }
        return Ok(());
    }
    let downloads = match function {
        "download" => Some(DownloadFunction::Download),
        "ota" => Some(DownloadFunction::Ota),
        _ => None,
    };
    if let Some(function) = downloads {
        return download(exec, params, function);
    }
    parameters(params, 2..=2)?;
    let iccid = params.quoted(1).and_then(|text| std::str::from_utf8(text).ok()).ok_or(Failed)?;
    let iccid = Iccid::parse(iccid).map_err(|_| Failed)?;
    match function {
        "enable" => {
            exec.state.lpa().enable(&iccid)?;
            follow_switch(exec.state);
        }
        "disable" => {
            exec.state.lpa().disable(&iccid)?;
            exec.state.disabled_since_restart = true;
            follow_switch(exec.state);
        }
        "delete" => exec.state.lpa().delete(&iccid)?,
        _ => return Err(Failed),
    }
    Ok(())
}

/// `"download"` or `"ota"`, `<activation code>[,<confirmation code>]`: the outcome is told by a URC.
fn download(exec: &mut Exec<'_>, params: &Params, function: DownloadFunction) -> Result<(), Failed> {
    parameters(params, 2..=3)?;
    let text = |index| params.quoted(index).and_then(|text| std::str::from_utf8(text).ok());
    let code = text(1).filter(|code| ActivationCode::parse(code).is_ok()).ok_or(Failed)?;
    let confirmation = match params.omitted(2) {
        true => None,
        false => Some(text(2).ok_or(Failed)?.to_owned()),
    };
    if exec.state.lpa_enabled && exec.state.start_download(function, code.to_owned(), confirmation) {
        Ok(())
    } else {
        Err(Failed)
    }
}

fn run(exec: &mut Exec<'_>, params: &Params) -> Result<(), Failed> {
    let function = params.quoted(0).and_then(|name| std::str::from_utf8(name).ok()).ok_or(Failed)?;
    let lower = function.to_ascii_lowercase();
    exec.state.card_access().or_else(|_| if lower.ends_with("pa_enable") { Ok(()) } else { Err(Failed) })?;
    // The note prints the first letter of lpa_enable as an i, once as a capital one: hosts that follow it to the
    // letter are understood, and get back what they wrote.
    if matches!(lower.as_str(), "lpa_enable" | "ipa_enable") {
        return lpa_enable(exec, params, function);
    }
    if exec.state.model.dialect.qesim == QesimDialect::Older {
        return run_older(exec, params, &lower);
    }
    // eSIM LPA AN 1.1 §2.3.2: while the LPA is disabled every other command is answered ERROR.
    if !exec.state.lpa_enabled {
        return Err(Failed);
    }
    match lower.as_str() {
        "eid" => {
            parameters(params, 1..=1)?;
            let eid = exec.state.lpa().eid()?;
            exec.line(format!("+QESIM: \"{function}\",{eid}"));
        }
        "profile_brief" => {
            parameters(params, 1..=1)?;
            let count = exec.state.lpa().profiles()?.len();
            exec.line(format!("+QESIM: \"{function}\",{count}"));
        }
        "profile_detail" => {
            parameters(params, 2..=2)?;
            let (iccid, profile) = profile(exec.state, params)?;
            exec.line(format!("+QESIM: \"{function}\",{}", detail(&iccid, &profile)));
        }
        "delete_profile" => {
            parameters(params, 2..=2)?;
            // eSIM LPA AN 1.1 §2.3.6: only a profile that is disabled; the card sees to it.
            let (iccid, _) = profile(exec.state, params)?;
            exec.state.lpa().delete(&iccid)?;
        }
        "nickname" => {
            parameters(params, 3..=3)?;
            let nickname = params.quoted(2).and_then(|name| std::str::from_utf8(name).ok()).ok_or(Failed)?;
            // SGP.22 v2.5 §5.7.21: UTF8String (SIZE(0..64)), counted in bytes by cards.
            if nickname.len() > 64 {
                return Err(Failed);
            }
            let (iccid, _) = profile(exec.state, params)?;
            exec.state.lpa().set_nickname(&iccid, nickname)?;
        }
        "def_svr_addr" => {
            parameters(params, 1..=2)?;
            if params.len() == 1 {
                let address = exec.state.lpa().default_address()?;
                exec.line(format!("+QESIM: \"{function}\",{}", quote(&address)));
                return Ok(());
            }
            let address = params.quoted(1).and_then(|name| std::str::from_utf8(name).ok()).ok_or(Failed)?;
            // eSIM LPA AN 1.1 §2.3.8: no more than 255 characters.
            if address.len() > 255 {
                return Err(Failed);
            }
            exec.state.lpa().set_default_address(address)?;
        }
        // eSIM LPA AN 1.1 §2.3.9 has "enable" in its syntax and "enable_profile" everywhere else.
        "enable_profile" | "enable" => {
            parameters(params, 2..=2)?;
            let (iccid, _) = profile(exec.state, params)?;
            exec.state.lpa().enable(&iccid)?;
            follow_switch(exec.state);
        }
        "disable_profile" => {
            parameters(params, 2..=2)?;
            let (iccid, _) = profile(exec.state, params)?;
            exec.state.lpa().disable(&iccid)?;
            exec.state.disabled_since_restart = true;
            follow_switch(exec.state);
        }
        _ => return Err(Failed),
    }
    Ok(())
}

/// A switch of profiles takes effect by a reset of the card (SGP.22 v2.5 §5.7.16: REFRESH), which also closes the
/// channels that hosts had open. A card that does not ask for it is reset all the same.
fn follow_switch(state: &mut State) {
    if !state.serve_card() {
        state.start_card();
    }
}

fn lpa_enable(exec: &mut Exec<'_>, params: &Params, function: &str) -> Result<(), Failed> {
    match (params.len(), params.number(1)) {
        (1, _) => exec.line(format!("+QESIM: \"{function}\",{}", u8::from(exec.state.lpa_enabled))),
        // eSIM LPA AN 1.1 §2.3.2: takes effect at once, and is kept over a restart.
        (2, Some(value @ 0..=1)) => exec.state.lpa_enabled = value == 1,
        _ => return Err(Failed),
    }
    Ok(())
}

fn parameters(params: &Params, range: std::ops::RangeInclusive<usize>) -> Result<(), Failed> {
    if range.contains(&params.len()) { Ok(()) } else { Err(Failed) }
}

/// The profile that the second parameter numbers.
fn profile(state: &mut State, params: &Params) -> Result<(Iccid, ProfileInfo), Failed> {
    // eSIM LPA AN 1.1 §2.3.4: 1 to 8.
    let number @ 1..=8 = params.number(1).ok_or(Failed)? else { return Err(Failed) };
    let mut profiles = state.lpa().profiles()?;
    let index = number as usize - 1;
    if index >= profiles.len() {
        return Err(Failed);
    }
    let profile = profiles.swap_remove(index);
    Ok((profile.iccid.ok_or(Failed)?, profile))
}

/// `<ICCID>,<state>,<nickname>,<SPN>,<name>,<class>` (eSIM LPA AN 1.1 §2.3.4).
fn detail(iccid: &Iccid, profile: &ProfileInfo) -> String {
    let text = |text: &Option<String>| quote(text.as_deref().unwrap_or_default());
    format!(
        "{},{},{},{},{},{}",
        iccid.padded(),
        u8::from(profile.state == Some(ProfileState::Enabled)),
        text(&profile.nickname),
        text(&profile.service_provider_name),
        text(&profile.profile_name),
        // SGP.22 v2.5 §4.4.2: operational when the profile does not tell.
        profile.profile_class.unwrap_or(ProfileClass::Operational).code()
    )
}

impl State {
    fn lpa(&mut self) -> Lpa<'_> {
        Lpa { uicc: &mut self.uicc, tap: &mut self.tap }
    }
}
