//! What the card keeps without power: profiles, notifications, addresses, and the one-time key of the last download.
//!
//! Every function that changes something changes it as a whole: what has to be signed or computed is made before and
//! handed in. So each is one transaction of whatever keeps the data.

use rsp::crypto::{Curve, PrivateKey};
use rsp::es10::notification::{NotificationEvent, NotificationMetadata};
use rsp::es10::profiles::{ProfileClass, ProfileId};
use rsp::{Aid, Iccid, Oid};

use crate::profile::{FIRST_ISD_P, Profile};

/// A notification that no server has acknowledged yet.
#[derive(Debug, Clone)]
pub(crate) struct Notification {
    pub(crate) metadata: NotificationMetadata,
    /// The signed element as RetrieveNotificationsList hands it out: `BF37` or the SEQUENCE of the others.
    pub(crate) signed: Vec<u8>,
}

/// The one-time key pair of a download that may be tried again.
#[derive(Debug, Clone)]
pub(crate) struct OneTimeKey {
    /// The SM-DP+ it was made for.
    pub(crate) smdp_oid: Oid,
    pub(crate) key: PrivateKey,
}

/// A change of state of one profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Switch {
    pub(crate) iccid: Iccid,
    pub(crate) event: NotificationEvent,
}

/// What changes together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    /// Changes of state and deletions, in their order.
    pub(crate) switches: Vec<Switch>,
    /// The profile that a test profile takes the place of.
    pub(crate) before_test: Option<Iccid>,
    /// Another default SM-DP+ address, or none.
    pub(crate) default_smdp: Option<Option<String>>,
}

/// How many notifications are kept; when one more comes, the oldest goes.
const NOTIFICATION_LIMIT: usize = 256;

/// The data.
#[derive(Debug)]
pub(crate) struct Store {
    profiles: Vec<Profile>,
    notifications: Vec<Notification>,
    next_sequence_number: u32,
    default_smdp: Option<String>,
    one_time_key: Option<OneTimeKey>,
    /// The profile that was enabled before a test profile took its place.
    before_test: Option<Iccid>,
}

impl Store {
    /// As it leaves the factory.
    pub(crate) fn new(preinstalled: Vec<Profile>, default_smdp: Option<String>) -> Self {
        let mut store = Store {
            profiles: Vec::new(),
            notifications: Vec::new(),
            next_sequence_number: 1,
            default_smdp,
            one_time_key: None,
            before_test: None,
        };
        for mut profile in preinstalled {
            if store.by_iccid(profile.iccid()).is_none() {
                profile.enabled &= store.enabled().is_none();
                profile.aid = store.free_aid();
                store.profiles.push(profile);
            }
        }
        store
    }

    pub(crate) fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    pub(crate) fn find(&self, id: &ProfileId) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.is(id))
    }

    pub(crate) fn by_iccid(&self, iccid: Iccid) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.iccid() == iccid)
    }

    pub(crate) fn enabled(&self) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.enabled)
    }

    /// The enabled profile, for commands that change its files, PINs and sequence numbers.
    pub(crate) fn enabled_mut(&mut self) -> Option<&mut Profile> {
        self.profiles.iter_mut().find(|profile| profile.enabled)
    }

    /// The profile that comes back when the enabled test profile goes.
    pub(crate) fn before_test(&self) -> Option<&Profile> {
        self.before_test.and_then(|iccid| self.by_iccid(iccid))
    }

    /// The memory that profiles take.
    pub(crate) fn memory(&self) -> u32 {
        self.profiles.iter().fold(0, |sum, profile| sum.saturating_add(profile.memory()))
    }

    /// An AID for a new ISD-P: the lowest number that is not taken.
    pub(crate) fn free_aid(&self) -> Aid {
        let taken = |aid: &Aid| self.profiles.iter().any(|profile| profile.aid == *aid);
        (FIRST_ISD_P..=u16::MAX).map(Aid::isd_p).find(|aid| !taken(aid)).unwrap_or(Aid::isd_p(u16::MAX))
    }

    pub(crate) fn notifications(&self) -> &[Notification] {
        &self.notifications
    }

    /// The number of the next notification. Numbers are never used twice.
    pub(crate) fn next_sequence_number(&self) -> u32 {
        self.next_sequence_number
    }

    pub(crate) fn default_smdp(&self) -> Option<&str> {
        self.default_smdp.as_deref()
    }

    /// The one-time key for this SM-DP+ whose public part is `otpk`.
    pub(crate) fn one_time_key(&self, smdp_oid: &Oid, curve: Curve, otpk: &[u8; 65]) -> Option<&PrivateKey> {
        let kept = self.one_time_key.as_ref().filter(|kept| kept.smdp_oid == *smdp_oid)?;
        (kept.key.curve() == curve && kept.key.public().point() == *otpk).then_some(&kept.key)
    }

    /// Adds a profile, with the notifications that tell of it.
    pub(crate) fn install(&mut self, profile: Profile, notifications: Vec<Notification>) {
        self.profiles.push(profile);
        // The key of a download that has succeeded has done its work.
        self.one_time_key = None;
        self.raise(notifications);
    }

    /// Applies a change, with the notifications that tell of it.
    pub(crate) fn change(&mut self, change: Change, notifications: Vec<Notification>) {
        let Change { switches, before_test, default_smdp } = change;
        self.before_test = before_test.or(self.before_test);
        for Switch { iccid, event } in switches {
            match event {
                NotificationEvent::Install => {}
                NotificationEvent::Enable => self.set_enabled(iccid),
                NotificationEvent::Disable => {
                    if let Some(profile) = self.profiles.iter_mut().find(|profile| profile.iccid() == iccid) {
                        profile.enabled = false;
                    }
                }
                NotificationEvent::Delete => {
                    self.profiles.retain(|profile| profile.iccid() != iccid);
                    self.before_test = self.before_test.filter(|before| *before != iccid);
                }
            }
        }
        if self.enabled().is_none_or(|profile| profile.class() != ProfileClass::Test) {
            self.before_test = None;
        }
        if let Some(address) = default_smdp {
            self.default_smdp = address;
        }
        self.raise(notifications);
    }

    fn set_enabled(&mut self, iccid: Iccid) {
        for profile in &mut self.profiles {
            profile.enabled = profile.iccid() == iccid;
        }
    }

    /// Adds notifications that come with no other change.
    pub(crate) fn raise(&mut self, notifications: Vec<Notification>) {
        for notification in &notifications {
            self.next_sequence_number =
                self.next_sequence_number.max(notification.metadata.sequence_number.saturating_add(1));
        }
        self.notifications.extend(notifications);
        let surplus = self.notifications.len().saturating_sub(NOTIFICATION_LIMIT);
        self.notifications.drain(..surplus);
    }

    /// Removes a notification; false when there is none with this number.
    pub(crate) fn remove_notification(&mut self, sequence_number: u32) -> bool {
        let before = self.notifications.len();
        self.notifications.retain(|notification| notification.metadata.sequence_number != sequence_number);
        self.notifications.len() < before
    }

    /// Sets or removes a nickname.
    pub(crate) fn set_nickname(&mut self, iccid: Iccid, nickname: Option<String>) {
        if let Some(profile) = self.profiles.iter_mut().find(|profile| profile.iccid() == iccid) {
            profile.nickname = nickname;
        }
    }

    pub(crate) fn set_default_smdp(&mut self, address: Option<String>) {
        self.default_smdp = address;
    }

    pub(crate) fn keep_one_time_key(&mut self, key: OneTimeKey) {
        self.one_time_key = Some(key);
    }

    pub(crate) fn forget_one_time_key(&mut self) {
        self.one_time_key = None;
    }
}
