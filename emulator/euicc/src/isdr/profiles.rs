//! Profile management: GetProfilesInfo, EnableProfile, DisableProfile, DeleteProfile, SetNickname, eUICCMemoryReset
//! (SGP.22 §5.7.15 to §5.7.21).
//!
//! A switch without refreshFlag takes effect at once. With it the profiles are marked, the terminal is sent a REFRESH,
//! and the switch takes effect with the reset or the TERMINAL RESPONSE that answers it (SGP.22 §3.2.1). A terminal that
//! has not said that it knows REFRESH has the switch at once too: nothing it could send would complete it.

use rsp::es10::notification::NotificationEvent;
use rsp::es10::profiles::{
    self, DeleteResult, DisableResult, EnableResult, GetProfilesInfoRequest, ProfileClass, ProfileId, ProfileInfo,
    ProfileSearch, ResetResult, SetNicknameResult, SwitchRequest, TAG_DELETE_PROFILE, TAG_DISABLE_PROFILE,
    TAG_ENABLE_PROFILE, TAG_MEMORY_RESET, TAG_SET_NICKNAME, encode_result,
};
use rsp::tlv::Tag;

use crate::apdu::Sw;
use crate::card::Busy;
use crate::config::SwitchForm;
use crate::profile::Profile;
use crate::store::{Change, Notification, Switch};
use crate::{CardEvent, Euicc};

/// What is told of a profile when the LPA names no tags (SGP.22 v2.5 §5.7.15).
const DEFAULT_TAGS: [Tag; 9] =
    [Tag(0x5A), Tag(0x4F), Tag(0x9F70), Tag(0x90), Tag(0x91), Tag(0x92), Tag(0x93), Tag(0x94), Tag(0x95)];

/// Options of eUICCMemoryReset (SGP.22 v2.5 §5.7.19).
mod reset {
    pub(super) const OPERATIONAL_PROFILES: u8 = 0;
    pub(super) const FIELD_LOADED_TEST_PROFILES: u8 = 1;
    pub(super) const DEFAULT_SMDP_ADDRESS: u8 = 2;
}

impl Euicc {
    pub(super) fn get_profiles_info(&self, data: &[u8]) -> Vec<u8> {
        const INCORRECT_INPUT_VALUES: u32 = 1;
        let Ok(request) = GetProfilesInfoRequest::parse(data) else {
            return profiles::encode_profiles_info_error(INCORRECT_INPUT_VALUES);
        };
        let tags = request.tags.as_deref().unwrap_or(&DEFAULT_TAGS);
        let wanted = |profile: &&Profile| match &request.search {
            ProfileSearch::All => true,
            ProfileSearch::One(id) => profile.is(id),
            ProfileSearch::Class(class) => profile.class() == *class,
        };
        let list: Vec<ProfileInfo> =
            self.store.profiles().iter().filter(wanted).map(|profile| profile.info(tags)).collect();
        profiles::encode_profiles_info_response(&list)
    }

    pub(super) fn enable_profile(&mut self, data: &[u8]) -> Result<Vec<u8>, Sw> {
        let request = SwitchRequest::parse(TAG_ENABLE_PROFILE, data).map_err(|_| Sw::WRONG_DATA)?;
        let result = self.enable(&request)?;
        Ok(encode_result(TAG_ENABLE_PROFILE, result.code()))
    }

    fn enable(&mut self, request: &SwitchRequest) -> Result<EnableResult, Sw> {
        if !self.has_form(request) {
            return Ok(EnableResult::UndefinedError);
        }
        let Some(target) = self.store.find(&request.profile) else {
            return Ok(EnableResult::IccidOrAidNotFound);
        };
        if target.enabled {
            return Ok(EnableResult::ProfileNotInDisabledState);
        }
        let current = self.store.enabled();
        let mut before_test = None;
        if let Some(current) = current {
            match (current.class(), target.class()) {
                // SGP.22 v2.5 §5.7.16: after a test profile comes another one, or the profile that was there before, and
                // nothing else: with nothing before, the test profile has to be disabled first.
                (ProfileClass::Test, ProfileClass::Test) => {}
                (ProfileClass::Test, _) => {
                    let before = self.store.before_test();
                    if before.is_none_or(|before| before.iccid() != target.iccid()) {
                        return Ok(EnableResult::WrongProfileReenabling);
                    }
                }
                (_, ProfileClass::Test) => before_test = Some(current.iccid()),
                // SGP.22 v2.5 §2.9.3.3: PPR1 keeps a profile enabled, but not against a provisioning or test profile.
                (_, ProfileClass::Provisioning) => {}
                _ if current.must_stay_enabled() => return Ok(EnableResult::DisallowedByPolicy),
                _ => {}
            }
        }
        let to_test = target.class() == ProfileClass::Test;
        let disable = current.map(|current| Switch { iccid: current.iccid(), event: NotificationEvent::Disable });
        let enable = Switch { iccid: target.iccid(), event: NotificationEvent::Enable };
        let switches: Vec<Switch> = disable.into_iter().chain([enable]).collect();
        let before_test = before_test.filter(|_| to_test);
        if self.is_busy(request) {
            return Ok(EnableResult::CatBusy);
        }
        self.switch(Change { switches, before_test, ..Change::default() }, request.refresh)?;
        Ok(EnableResult::Ok)
    }

    pub(super) fn disable_profile(&mut self, data: &[u8]) -> Result<Vec<u8>, Sw> {
        let request = SwitchRequest::parse(TAG_DISABLE_PROFILE, data).map_err(|_| Sw::WRONG_DATA)?;
        let result = self.disable(&request)?;
        Ok(encode_result(TAG_DISABLE_PROFILE, result.code()))
    }

    fn disable(&mut self, request: &SwitchRequest) -> Result<DisableResult, Sw> {
        if !self.has_form(request) {
            return Ok(DisableResult::UndefinedError);
        }
        let Some(target) = self.store.find(&request.profile) else {
            return Ok(DisableResult::IccidOrAidNotFound);
        };
        if !target.enabled {
            return Ok(DisableResult::ProfileNotInEnabledState);
        }
        if target.must_stay_enabled() {
            return Ok(DisableResult::DisallowedByPolicy);
        }
        let disable = Switch { iccid: target.iccid(), event: NotificationEvent::Disable };
        // SGP.22 v2.5 §3.2.2: the profile that was enabled before the test profile comes back.
        let before = self.store.before_test().filter(|_| target.class() == ProfileClass::Test);
        let back = before.map(|before| Switch { iccid: before.iccid(), event: NotificationEvent::Enable });
        let switches: Vec<Switch> = [disable].into_iter().chain(back).collect();
        if self.is_busy(request) {
            return Ok(DisableResult::CatBusy);
        }
        self.switch(Change { switches, ..Change::default() }, request.refresh)?;
        Ok(DisableResult::Ok)
    }

    /// Whether the card takes a request of this form; see [`SwitchForm`].
    fn has_form(&self, request: &SwitchRequest) -> bool {
        match self.config.quirks.switch_form {
            SwitchForm::Any => true,
            SwitchForm::WithoutRefresh => !request.refresh,
            SwitchForm::AidAndRefresh => request.refresh && matches!(request.profile, ProfileId::IsdpAid(_)),
        }
    }

    /// SGP.22 v2.5 §5.7.16, §5.7.17: catBusy while a proactive session is under way, as that of a switch before.
    fn is_busy(&mut self, request: &SwitchRequest) -> bool {
        if self.toolkit.is_busy() || self.store.marked().is_some() {
            return true;
        }
        let meets = request.refresh && self.busy != Busy::No;
        if meets {
            self.busy = Busy::Met;
        }
        meets
    }

    /// Carries out a switch at once, or marks it and asks the terminal to refresh.
    fn switch(&mut self, change: Change, refresh: bool) -> Result<(), Sw> {
        if refresh && self.toolkit.knows_refresh() {
            self.store.mark(change);
            self.toolkit.refresh(self.config.refresh_mode);
            self.events.push(CardEvent::RefreshAsked);
            return Ok(());
        }
        self.apply(change)?;
        Ok(())
    }

    /// Carries out the switch that has waited for the terminal.
    pub(crate) fn finish_switch(&mut self) -> Result<(), Sw> {
        let Some(change) = self.store.take_marked() else { return Ok(()) };
        self.apply(change)?;
        Ok(())
    }

    pub(super) fn delete_profile(&mut self, data: &[u8]) -> Result<Vec<u8>, Sw> {
        let id = profiles::parse_delete_request(data).map_err(|_| Sw::WRONG_DATA)?;
        let result = match self.store.find(&id) {
            None => DeleteResult::IccidOrAidNotFound,
            // One that is about to be enabled is not disabled any more.
            Some(target) if target.enabled || self.is_marked(target) => DeleteResult::ProfileNotInDisabledState,
            Some(target) if target.must_not_be_deleted() => DeleteResult::DisallowedByPolicy,
            Some(target) => {
                let delete = Switch { iccid: target.iccid(), event: NotificationEvent::Delete };
                self.apply(Change { switches: vec![delete], ..Change::default() })?;
                DeleteResult::Ok
            }
        };
        Ok(encode_result(TAG_DELETE_PROFILE, result.code()))
    }

    fn is_marked(&self, profile: &Profile) -> bool {
        let marked = self.store.marked();
        marked.is_some_and(|change| change.switches.iter().any(|switch| switch.iccid == profile.iccid()))
    }

    /// Applies changes of state in their order, with the notifications of each (SGP.22 v2.5 §3.5).
    fn apply(&mut self, change: Change) -> Result<(), Sw> {
        let mut notifications: Vec<Notification> = Vec::new();
        for Switch { iccid, event } in &change.switches {
            if let Some(profile) = self.store.by_iccid(*iccid) {
                let raised = u32::try_from(notifications.len()).unwrap_or(u32::MAX);
                let next = self.store.next_sequence_number().saturating_add(raised);
                notifications.extend(self.configured_notifications(profile, *event, next)?);
            }
        }
        for Switch { iccid, event } in &change.switches {
            self.events.push(match event {
                NotificationEvent::Disable => CardEvent::ProfileDisabled(*iccid),
                NotificationEvent::Delete => CardEvent::ProfileDeleted(*iccid),
                NotificationEvent::Enable | NotificationEvent::Install => CardEvent::ProfileEnabled(*iccid),
            });
        }
        if let Some(address) = &change.default_smdp {
            self.events.push(CardEvent::DefaultSmdpSet(address.clone()));
        }
        self.tell(&notifications);
        self.store.change(change, notifications);
        Ok(())
    }

    pub(super) fn set_nickname(&mut self, data: &[u8]) -> Result<Vec<u8>, Sw> {
        let answer = |result: SetNicknameResult| Ok(encode_result(TAG_SET_NICKNAME, result.code()));
        let Ok((iccid, nickname)) = profiles::parse_set_nickname_request(data) else {
            return answer(SetNicknameResult::UndefinedError);
        };
        if self.store.by_iccid(iccid).is_none() {
            return answer(SetNicknameResult::IccidNotFound);
        }
        // SGP.22 v2.5 §5.7.21: an empty nickname removes the one there is.
        let nickname = Some(nickname).filter(|nickname| !nickname.is_empty());
        self.store.change_profile(iccid, |profile| profile.nickname.clone_from(&nickname));
        self.events.push(CardEvent::NicknameSet { iccid, nickname });
        answer(SetNicknameResult::Ok)
    }

    pub(super) fn euicc_memory_reset(&mut self, data: &[u8]) -> Result<Vec<u8>, Sw> {
        let options = profiles::parse_memory_reset_request(data).map_err(|_| Sw::WRONG_DATA)?;
        // SGP.22 v2.5 §5.7.19: whatever state they are in and whatever their policy rules say.
        let goes = |profile: &&Profile| match profile.class() {
            ProfileClass::Operational => options.has(reset::OPERATIONAL_PROFILES),
            ProfileClass::Test => options.has(reset::FIELD_LOADED_TEST_PROFILES) && !profile.preinstalled,
            ProfileClass::Provisioning | ProfileClass::Other(_) => false,
        };
        let delete = |profile: &Profile| Switch { iccid: profile.iccid(), event: NotificationEvent::Delete };
        let switches: Vec<Switch> = self.store.profiles().iter().filter(goes).map(delete).collect();
        let initial = self.config.default_smdp.clone();
        let address = options.has(reset::DEFAULT_SMDP_ADDRESS) && self.store.default_smdp() != initial.as_deref();
        if switches.is_empty() && !address {
            return Ok(encode_result(TAG_MEMORY_RESET, ResetResult::NothingToDelete.code()));
        }
        // SGP.22 v2.5 §5.7.19: what is under way with the terminal comes first.
        if self.toolkit.is_busy() || self.store.marked().is_some() {
            return Ok(encode_result(TAG_MEMORY_RESET, ResetResult::CatBusy.code()));
        }
        let enabled = self.store.enabled().map(Profile::iccid);
        let enabled_goes = switches.iter().any(|switch| Some(switch.iccid) == enabled);
        // A session is of no use to a card that has been emptied under it.
        self.interrupt_installation()?;
        self.session = crate::session::Session::None;
        self.events.push(CardEvent::MemoryReset);
        let default_smdp = address.then_some(initial);
        self.apply(Change { switches, default_smdp, ..Change::default() })?;
        if enabled_goes {
            // SGP.22 v2.5 §5.7.19: the terminal has to take notice that its profile is gone.
            if self.toolkit.knows_refresh() {
                self.toolkit.refresh(self.config.refresh_mode);
                self.events.push(CardEvent::RefreshAsked);
            }
        }
        Ok(encode_result(TAG_MEMORY_RESET, ResetResult::Ok.code()))
    }
}
