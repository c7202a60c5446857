//! Profile management (SGP.22 v2.5 §3.2): list, enable, disable, delete, nickname; and what the card says of itself.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use rsp::cert::RevocationList;
use rsp::es10::info::{EuiccInfo2, ExtCardResource};
use rsp::es10::notification::NotificationEvent;
use rsp::es10::profiles::{ProfileClass, ProfileId, ProfileInfo, ProfileState};
use rsp::{Aid, Iccid};

use crate::es10::{Card, CardError};
use crate::failure::{Failure, Outcome, Step};
use crate::http::Http;
use crate::link::{ApduLink, LinkError};
use crate::lpa::Lpa;
use crate::notifications::Delivery;
use crate::report::Details;

/// How a user names a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileRef {
    /// By its place in the list, from 1, as `AT+QESIM="profile_detail"` counts (eSIM LPA AN 1.1 §2.3.4).
    Number(usize),
    /// By its ICCID.
    Iccid(Iccid),
    /// By the AID of its ISD-P.
    Aid(Aid),
}

impl FromStr for ProfileRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number @ 1..=999) = text.parse() {
            return Ok(ProfileRef::Number(number));
        }
        if let Ok(iccid) = Iccid::parse(text) {
            return Ok(ProfileRef::Iccid(iccid));
        }
        match Aid::parse(text) {
            Ok(aid) if text.len() == 32 => Ok(ProfileRef::Aid(aid)),
            _ => Err(format!("{text:?} names no profile: give its number in the list, its ICCID or its AID")),
        }
    }
}

impl fmt::Display for ProfileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProfileRef::Number(number) => write!(f, "{number}"),
            ProfileRef::Iccid(iccid) => write!(f, "{iccid}"),
            ProfileRef::Aid(aid) => write!(f, "{aid}"),
        }
    }
}

/// A profile that was found by its [`ProfileRef`].
#[derive(Debug, Clone)]
pub struct FoundProfile {
    /// What the card says of it.
    pub info: ProfileInfo,
    /// How the card wants it named.
    pub id: ProfileId,
    /// Its ICCID, when the card tells it.
    pub iccid: Option<Iccid>,
}

impl FoundProfile {
    fn name(&self) -> String {
        match (&self.iccid, &self.info.isdp_aid) {
            (Some(iccid), _) => iccid.to_string(),
            (None, Some(aid)) => aid.to_string(),
            (None, None) => "without ICCID".to_owned(),
        }
    }

    fn facts(&self) -> Details {
        Details::new().with_some("iccid", self.iccid.map(|iccid| iccid.to_string()))
    }
}

/// What became of a profile that was enabled, disabled or deleted.
#[derive(Debug)]
pub struct Changed {
    /// The profile.
    pub profile: FoundProfile,
    /// The notifications that were sent afterwards; or why none could be.
    pub deliveries: Outcome<Vec<Delivery>>,
    /// The card has agreed to a switch, and waits for the modem to restart it.
    pub pending: bool,
}

impl Changed {
    /// Whether the server has been told of this event: true when there was such a notification for this profile and
    /// all of them have been acknowledged.
    pub fn is_notified(&self, event: NotificationEvent) -> bool {
        let Ok(deliveries) = &self.deliveries else { return false };
        let mut own = deliveries.iter().filter(|delivery| {
            event.is_in(delivery.notification.events) && delivery.notification.iccid == self.profile.iccid
        });
        own.clone().next().is_some() && own.all(|delivery| delivery.failure.is_none())
    }

    /// The notifications that are still on the card.
    pub fn left(&self) -> Vec<&Failure> {
        match &self.deliveries {
            Ok(deliveries) => deliveries.iter().filter_map(|delivery| delivery.failure.as_deref()).collect(),
            Err(failure) => vec![failure],
        }
    }
}

/// What the card says of itself.
#[derive(Debug, Clone)]
pub struct CardInfo {
    /// The EID.
    pub eid: rsp::Eid,
    /// EUICCInfo2.
    pub info: EuiccInfo2,
    /// The free resources in it, where they can be read.
    pub resources: Option<ExtCardResource>,
    /// The default SM-DP+, when there is one.
    pub default_smdp: Option<String>,
    /// The root SM-DS.
    pub root_smds: String,
}

/// How long the card is waited for after it has been reset by a REFRESH.
const REFRESH_PATIENCE: Duration = Duration::from_secs(20);

/// EnableProfileResponse and DisableProfileResponse, undefinedError (§5.7.16, §5.7.17).
const UNDEFINED_ERROR: u32 = 127;

impl<L: ApduLink, H: Http> Lpa<'_, L, H> {
    /// All profiles, in the order in which the card tells them.
    pub fn profiles(&mut self) -> Outcome<Vec<ProfileInfo>> {
        self.card_step(
            Step::GetProfilesInfo,
            |card| card.get_profiles_info(),
            |list| Details::new().with("count", list.len()),
        )
    }

    /// The profile that `reference` names; a failure of `step` when there is none.
    fn find(&mut self, reference: &ProfileRef, step: Step) -> Outcome<FoundProfile> {
        let list = self.profiles()?;
        let count = list.len();
        let found = match reference {
            ProfileRef::Number(number) => list.into_iter().nth(number - 1),
            ProfileRef::Iccid(iccid) => list.into_iter().find(|info| info.iccid == Some(*iccid)),
            ProfileRef::Aid(aid) => list.into_iter().find(|info| info.isdp_aid.as_ref() == Some(aid)),
        };
        let identified = found.and_then(|info| {
            let id = match (reference, info.iccid, &info.isdp_aid) {
                (ProfileRef::Aid(aid), ..) | (_, None, Some(aid)) => ProfileId::IsdpAid(aid.clone()),
                (_, Some(iccid), _) => ProfileId::Iccid(iccid),
                (_, None, None) => return None,
            };
            Some(FoundProfile { iccid: info.iccid, id, info })
        });
        identified.ok_or_else(|| {
            let there = match count {
                0 => "the eUICC has no profile".to_owned(),
                1 => "the eUICC has one profile".to_owned(),
                _ => format!("the eUICC has {count} profiles"),
            };
            self.refuse(step, format!("there is no profile {reference}: {there}"), "see the profiles with --list")
        })
    }

    /// A failure that is this program's own decision.
    fn refuse(&mut self, step: Step, message: impl Into<String>, hint: &str) -> Box<Failure> {
        let failure = Failure::new(step, message).with_hint(hint);
        self.report.failed(&failure);
        failure
    }

    /// Enables or disables a profile. Some cards take only one of a profile's two names, and answer undefinedError to
    /// the other (SimAdmin issue 31): where the user has not named it by its AID, that one is tried as well.
    fn switch(
        &mut self,
        step: Step,
        reference: &ProfileRef,
        profile: &FoundProfile,
        attempt: impl Fn(&mut Card<L>, ProfileId) -> Result<(), CardError>,
    ) -> Outcome<()> {
        let other = match (reference, &profile.info.isdp_aid) {
            (ProfileRef::Aid(_), _) | (_, None) => None,
            (_, Some(aid)) => Some(ProfileId::IsdpAid(aid.clone())),
        };
        let call = |card: &mut Card<L>| match (attempt(card, profile.id.clone()), other) {
            (Err(CardError::Refused { code: UNDEFINED_ERROR, .. }), Some(other)) => attempt(card, other),
            (result, _) => result,
        };
        self.card_step(step, call, |()| profile.facts())
    }

    /// Enables a profile (§3.2.1). The one that was enabled is disabled by that.
    pub fn enable(&mut self, reference: &ProfileRef, refresh: bool) -> Outcome<Changed> {
        let profile = self.find(reference, Step::EnableProfile)?;
        self.switch(Step::EnableProfile, reference, &profile, |card, id| card.enable_profile(id, refresh))?;
        Ok(self.switched(profile, ProfileState::Enabled, refresh))
    }

    /// Disables a profile (§3.2.2).
    pub fn disable(&mut self, reference: &ProfileRef, refresh: bool) -> Outcome<Changed> {
        let profile = self.find(reference, Step::DisableProfile)?;
        self.switch(Step::DisableProfile, reference, &profile, |card, id| card.disable_profile(id, refresh))?;
        Ok(self.switched(profile, ProfileState::Disabled, refresh))
    }

    /// Deletes a profile (§3.2.3), which has to be disabled (eSIM LPA AN 1.1 §2.3.6), and tells its server.
    pub fn delete(&mut self, reference: &ProfileRef) -> Outcome<Changed> {
        let profile = self.find(reference, Step::DeleteProfile)?;
        if profile.info.state == Some(ProfileState::Enabled) {
            let message = format!("profile {} is enabled and is not deleted", profile.name());
            return Err(self.refuse(Step::DeleteProfile, message, &format!("disable it first: --disable {reference}")));
        }
        let id = profile.id.clone();
        self.card_step(Step::DeleteProfile, |card| card.delete_profile(&id), |()| profile.facts())?;
        let deliveries = self.send_notifications();
        Ok(Changed { profile, deliveries, pending: false })
    }

    /// Gives a profile a nickname (§3.2.4); an empty one takes it away.
    pub fn set_nickname(&mut self, reference: &ProfileRef, nickname: &str) -> Outcome<FoundProfile> {
        let step = Step::SetNickname;
        if nickname.len() > 64 {
            let message = format!("the nickname has {} bytes, and 64 are allowed (SGP.22 §5.7.21)", nickname.len());
            return Err(self.refuse(step, message, "take a shorter one"));
        }
        let profile = self.find(reference, step)?;
        let Some(iccid) = profile.iccid else {
            return Err(self.refuse(step, "the card does not tell the profile's ICCID", "name another profile"));
        };
        self.card_step(step, |card| card.set_nickname(&iccid, nickname), |()| profile.facts())?;
        Ok(profile)
    }

    /// Sets the default SM-DP+ address; an empty one takes it away.
    pub fn set_default_address(&mut self, address: &str) -> Outcome<()> {
        self.card_step(
            Step::SetDefaultDpAddress,
            |card| card.set_default_dp_address(address),
            |()| Details::new().with("address", address),
        )
    }

    /// Loads a certificate revocation list; gives the numbers of its parts that the card does not have yet.
    pub fn load_crl(&mut self, list: &RevocationList) -> Outcome<Vec<u32>> {
        let step = Step::LoadCrl;
        let facts = |missing: &Vec<u32>| {
            Details::new().with("number", list.number().to_string()).with("missing_parts", missing.len())
        };
        let loaded = self.card_step(step, |card| card.load_crl(list), facts);
        loaded.map_err(|failure| match failure.euicc.as_ref().and_then(|euicc| euicc.status_word) {
            // SGP.22 v2.5 §5.7.12: the function is optional, and gone in version 3.
            Some(0x6A88 | 0x6D00) => failure.with_hint("this eUICC takes no revocation lists, as most of them"),
            _ => failure,
        })
    }

    /// What the card says of itself.
    pub fn card_info(&mut self) -> Outcome<CardInfo> {
        let eid = self.eid()?;
        let info = self.card_step(
            Step::GetEuiccInfo,
            |card| {
                let bytes = card.get_euicc_info2()?;
                EuiccInfo2::parse(&bytes).map_err(|source| CardError::Malformed { function: "GetEUICCInfo", source })
            },
            |_| Details::new(),
        )?;
        let addresses = self.configured_addresses()?;
        Ok(CardInfo {
            eid,
            resources: ExtCardResource::parse(&info.ext_card_resource).ok(),
            info,
            default_smdp: addresses.default_dp.filter(|address| !address.is_empty()),
            root_smds: addresses.root_ds,
        })
    }

    /// The servers that the card knows.
    pub(crate) fn configured_addresses(&mut self) -> Outcome<rsp::es10::config::ConfiguredAddresses> {
        self.card_step(
            Step::GetEuiccConfiguredAddresses,
            |card| card.get_euicc_configured_addresses(),
            |addresses| {
                Details::new()
                    .with_some("default_smdp", addresses.default_dp.as_deref())
                    .with("root_smds", addresses.root_ds.as_str())
            },
        )
    }

    /// Sends what waits on the card after a profile switch. A REFRESH resets the card, and the channel with it
    /// (§3.2.1): then the channel is opened anew, as soon as the modem lets it. A modem that does not carry out the
    /// REFRESH leaves the channel, and the profile as it was.
    fn switched(&mut self, profile: FoundProfile, wanted: ProfileState, refresh: bool) -> Changed {
        let is_reset = refresh && self.card.list_notification().is_err();
        if is_reset && let Err(failure) = self.reopen() {
            return Changed { profile, deliveries: Err(failure), pending: false };
        }
        let is_now = |list: Vec<ProfileInfo>| list.into_iter().find(|info| info.iccid == profile.iccid)?.state;
        let pending = refresh
            && !is_reset
            && self.card.get_profiles_info().ok().and_then(is_now).is_some_and(|state| state != wanted);
        let deliveries = self.send_notifications();
        Changed { profile, deliveries, pending }
    }

    fn reopen(&mut self) -> Outcome<()> {
        let deadline = Instant::now() + REFRESH_PATIENCE;
        while let Err(error) = self.card.link_mut().reopen() {
            // A modem that has left the bus comes back as another device.
            if matches!(error, LinkError::Gone) || Instant::now() >= deadline {
                let failure = Failure::of_link(Step::OpenCard, &error);
                self.report.failed(&failure);
                return Err(failure);
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }
}

/// A profile as an object of a report.
pub fn describe(number: usize, info: &ProfileInfo) -> Details {
    Details::new()
        .with("id", number)
        .with_some("iccid", info.iccid.map(|iccid| iccid.to_string()))
        .with_some("aid", info.isdp_aid.as_ref().map(Aid::to_string))
        .with_some("state", info.state.map(ProfileState::name))
        .with_some("nickname", info.nickname.as_deref().filter(|nickname| !nickname.is_empty()))
        .with_some("provider", info.service_provider_name.as_deref())
        .with_some("name", info.profile_name.as_deref())
        .with_some("class", info.profile_class.map(ProfileClass::name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_profiles() {
        assert_eq!("2".parse(), Ok(ProfileRef::Number(2)));
        let iccid = Iccid::parse("8988247000111763810").unwrap();
        assert_eq!("8988247000111763810".parse(), Ok(ProfileRef::Iccid(iccid)));
        assert_eq!("8988247000111763810F".parse(), Ok(ProfileRef::Iccid(iccid)));
        assert_eq!("A0000005591010FFFFFFFF8900001000".parse(), Ok(ProfileRef::Aid(Aid::isd_p(0x10))));
        for bad in ["0", "", "first", "A000000559", "1000", "-1"] {
            assert!(bad.parse::<ProfileRef>().is_err(), "{bad}");
        }
    }
}
