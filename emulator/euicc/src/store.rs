//! What the card keeps without power: profiles, notifications, addresses, and the one-time key of the last download.
//!
//! The data are in memory; what a command changes is noted, and [`Store::commit`] writes all of it to the [`Nvram`] in
//! one transaction before the command is answered. So the host is told nothing that a loss of power could undo.
//!
//! Records: `head` (EID, counters, addresses, order of the profiles, numbers of the notifications, the switch that is
//! marked), the revocation lists once there is one, and for each profile its state and metadata, its package, and what has changed in its files since.

use std::collections::{BTreeMap, BTreeSet};

use rsp::crypto::{Curve, PrivateKey, sha256};
use rsp::es10::notification::{NotificationEvent, NotificationMetadata};
use rsp::es10::profiles::{ProfileClass, ProfileId};
use rsp::tlv::{Reader, Tlv, TlvError, Writer};
use rsp::{Aid, Eid, Iccid, Oid};
use zeroize::Zeroizing;

use crate::config::CardConfig;
use crate::nvram::{Batch, Nvram, NvramError, Records};
use crate::package::Demands;
use crate::profile::{FIRST_ISD_P, Profile};
use crate::revocation::RevocationLists;

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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

/// What has changed since the last commit.
#[derive(Debug, Default)]
struct Unwritten {
    head: bool,
    one_time_key: bool,
    revocation_lists: bool,
    /// State or metadata of these.
    profiles: BTreeSet<Aid>,
    /// These are new: their packages too.
    installed: BTreeSet<Aid>,
    deleted: BTreeSet<Aid>,
    raised: BTreeSet<u32>,
    removed: BTreeSet<u32>,
}

/// The data.
#[derive(Debug)]
pub(crate) struct Store {
    nvram: Nvram,
    unwritten: Unwritten,
    /// Digests of what is written of the files of each profile: commands on files do not say whether they have changed
    /// any.
    written_files: BTreeMap<Aid, [u8; 32]>,
    eid: Eid,
    profiles: Vec<Profile>,
    notifications: Vec<Notification>,
    next_sequence_number: u32,
    default_smdp: Option<String>,
    one_time_key: Option<OneTimeKey>,
    /// The profile that was enabled before a test profile took its place.
    before_test: Option<Iccid>,
    /// A switch that takes effect when the terminal has refreshed.
    marked: Option<Change>,
    revocation_lists: RevocationLists,
}

impl Store {
    /// Nothing yet, to be kept in `nvram`.
    fn empty(nvram: Nvram, eid: Eid) -> Self {
        Store {
            nvram,
            unwritten: Unwritten { head: true, ..Unwritten::default() },
            written_files: BTreeMap::new(),
            eid,
            profiles: Vec::new(),
            notifications: Vec::new(),
            next_sequence_number: 1,
            default_smdp: None,
            one_time_key: None,
            before_test: None,
            marked: None,
            revocation_lists: RevocationLists::default(),
        }
    }

    /// As it leaves the factory.
    pub(crate) fn made(nvram: Nvram, config: &CardConfig) -> Self {
        let mut store = Store { default_smdp: config.default_smdp.clone(), ..Store::empty(nvram, config.eid) };
        for mut profile in config.preinstalled.iter().map(|preinstalled| preinstalled.profile.clone()) {
            if store.by_iccid(profile.iccid()).is_none() {
                profile.enabled &= store.enabled().is_none();
                profile.aid = store.free_aid();
                store.unwritten.installed.insert(profile.aid.clone());
                store.profiles.push(profile);
            }
        }
        store
    }

    /// What `nvram` holds, or, when it is new, a card as it leaves the factory.
    pub(crate) fn open(mut nvram: Nvram, config: &CardConfig) -> Result<Self, NvramError> {
        if let Some(records) = nvram.take_found() {
            return Store::read(nvram, &records, config);
        }
        let mut store = Store::made(nvram, config);
        store.commit(config)?;
        Ok(store)
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

    /// The switch that waits for the terminal to refresh.
    pub(crate) fn marked(&self) -> Option<&Change> {
        self.marked.as_ref()
    }

    /// The memory that profiles and revocation lists take.
    pub(crate) fn memory(&self) -> u32 {
        let profiles = self.profiles.iter().map(Profile::memory);
        profiles.fold(self.revocation_lists.memory(), u32::saturating_add)
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
        self.unwritten.head = true;
        self.unwritten.deleted.remove(&profile.aid);
        self.unwritten.installed.insert(profile.aid.clone());
        self.profiles.push(profile);
        // The key of a download that has succeeded has done its work.
        self.forget_one_time_key();
        self.raise(notifications);
    }

    /// Notes a switch that takes effect when the terminal has refreshed.
    pub(crate) fn mark(&mut self, change: Change) {
        self.unwritten.head = true;
        self.marked = Some(change);
    }

    /// Takes the switch that was marked, to apply it or to forget it.
    pub(crate) fn take_marked(&mut self) -> Option<Change> {
        self.unwritten.head |= self.marked.is_some();
        self.marked.take()
    }

    /// Applies a change, with the notifications that tell of it.
    pub(crate) fn change(&mut self, change: Change, notifications: Vec<Notification>) {
        let Change { switches, before_test, default_smdp } = change;
        self.unwritten.head = true;
        self.before_test = before_test.or(self.before_test);
        for Switch { iccid, event } in switches {
            match event {
                NotificationEvent::Install => {}
                NotificationEvent::Enable => self.set_enabled(|profile| profile.iccid() == iccid),
                NotificationEvent::Disable => {
                    self.set_enabled(|profile| profile.enabled && profile.iccid() != iccid);
                }
                NotificationEvent::Delete => {
                    let gone = self.profiles.iter().filter(|profile| profile.iccid() == iccid);
                    self.unwritten.deleted.extend(gone.map(|profile| profile.aid.clone()));
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

    fn set_enabled(&mut self, is_enabled: impl Fn(&Profile) -> bool) {
        for profile in &mut self.profiles {
            let enabled = is_enabled(profile);
            if profile.enabled != enabled {
                profile.enabled = enabled;
                self.unwritten.profiles.insert(profile.aid.clone());
            }
        }
    }

    /// Adds notifications that come with no other change.
    pub(crate) fn raise(&mut self, notifications: Vec<Notification>) {
        self.unwritten.head |= !notifications.is_empty();
        for notification in &notifications {
            let number = notification.metadata.sequence_number;
            self.next_sequence_number = self.next_sequence_number.max(number.saturating_add(1));
            self.unwritten.raised.insert(number);
        }
        self.notifications.extend(notifications);
        let surplus = self.notifications.len().saturating_sub(NOTIFICATION_LIMIT);
        let gone: Vec<u32> = self.notifications.drain(..surplus).map(|gone| gone.metadata.sequence_number).collect();
        self.unwritten.removed.extend(gone);
    }

    /// Removes a notification; false when there is none with this number.
    pub(crate) fn remove_notification(&mut self, sequence_number: u32) -> bool {
        let before = self.notifications.len();
        self.notifications.retain(|notification| notification.metadata.sequence_number != sequence_number);
        let removed = self.notifications.len() < before;
        if removed {
            self.unwritten.head = true;
            self.unwritten.removed.insert(sequence_number);
        }
        removed
    }

    /// Changes what is kept of a profile beside its package and files: nickname, metadata.
    pub(crate) fn change_profile(&mut self, iccid: Iccid, change: impl FnOnce(&mut Profile)) {
        if let Some(profile) = self.profiles.iter_mut().find(|profile| profile.iccid() == iccid) {
            self.unwritten.profiles.insert(profile.aid.clone());
            change(profile);
        }
    }

    pub(crate) fn set_default_smdp(&mut self, address: Option<String>) {
        self.unwritten.head = true;
        self.default_smdp = address;
    }

    pub(crate) fn keep_one_time_key(&mut self, key: OneTimeKey) {
        (self.unwritten.head, self.unwritten.one_time_key) = (true, true);
        self.one_time_key = Some(key);
    }

    pub(crate) fn forget_one_time_key(&mut self) {
        if self.one_time_key.take().is_some() {
            (self.unwritten.head, self.unwritten.one_time_key) = (true, true);
        }
    }

    pub(crate) fn revocation_lists(&self) -> &RevocationLists {
        &self.revocation_lists
    }

    pub(crate) fn set_revocation_lists(&mut self, lists: RevocationLists) {
        if self.revocation_lists != lists {
            (self.unwritten.head, self.unwritten.revocation_lists) = (true, true);
            self.revocation_lists = lists;
        }
    }

    /// Writes everything that has changed, in one transaction. After an error the memory is ahead of what is kept,
    /// and the card has to be opened anew.
    pub(crate) fn commit(&mut self, config: &CardConfig) -> Result<(), NvramError> {
        let unwritten = std::mem::take(&mut self.unwritten);
        if !self.nvram.is_kept() {
            return Ok(());
        }
        let Unwritten { head, one_time_key, revocation_lists, profiles, installed, deleted, raised, removed } =
            unwritten;
        let mut batch = Batch::default();
        let forgets = !deleted.is_empty();
        for aid in deleted {
            self.written_files.remove(&aid);
            for kind in [PROFILE, PACKAGE, FILES] {
                batch.delete(key(kind, aid.as_bytes()));
            }
        }
        for profile in &self.profiles {
            let (aid, is_new) = (&profile.aid, installed.contains(&profile.aid));
            if is_new || profiles.contains(aid) {
                batch.put(key(PROFILE, aid.as_bytes()), encode_profile(profile, config));
            }
            if is_new {
                batch.put(key(PACKAGE, aid.as_bytes()), Zeroizing::new(profile.package.to_vec()));
            }
            // Nothing but the enabled profile has files that anybody could change.
            if is_new || profile.enabled {
                let files = profile.overlay();
                let digest = sha256(&[&files]);
                if self.written_files.insert(aid.clone(), digest) != Some(digest) {
                    batch.put(key(FILES, aid.as_bytes()), files);
                }
            }
        }
        for number in &removed {
            batch.delete(key(NOTIFICATION, &number.to_be_bytes()));
        }
        for notification in &self.notifications {
            let number = notification.metadata.sequence_number;
            if raised.contains(&number) {
                batch.put(key(NOTIFICATION, &number.to_be_bytes()), encode_notification(notification));
            }
        }
        if one_time_key {
            match &self.one_time_key {
                Some(kept) => batch.put(key(ONE_TIME_KEY, &[]), encode_one_time_key(kept)?),
                None => batch.delete(key(ONE_TIME_KEY, &[])),
            }
        }
        if revocation_lists {
            batch.put(key(REVOCATION_LISTS, &[]), self.revocation_lists.encode());
        }
        if head {
            batch.put(key(HEAD, &[]), self.encode_head());
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.nvram.write(batch)?;
        if forgets {
            // The deletion is kept and told already. What goes wrong here leaves the old file, which is as good a store.
            let _ = self.nvram.forget();
        }
        Ok(())
    }

    fn has_revocation_lists(&self) -> bool {
        self.revocation_lists != RevocationLists::default()
    }

    fn encode_head(&self) -> Vec<u8> {
        let list = |numbers: &mut dyn Iterator<Item = u32>| numbers.flat_map(u32::to_be_bytes).collect::<Vec<u8>>();
        let numbers = list(&mut self.notifications.iter().map(|kept| kept.metadata.sequence_number));
        let iccid = |iccid: Option<Iccid>| iccid.map(|iccid| *iccid.as_bytes());
        Writer::new()
            .put(0x80, self.eid.as_bytes())
            .integer(0x81, self.next_sequence_number)
            .put_opt(0x82, self.default_smdp.as_deref())
            .put_opt(0x83, iccid(self.before_test))
            .nested(0xA4, |w| self.profiles.iter().fold(w, |w, profile| w.put(0x4F, profile.aid.as_bytes())))
            .put(0x85, &numbers)
            .boolean(0x86, self.one_time_key.is_some())
            .put_opt(0xA7, self.marked.as_ref().map(encode_mark))
            // A card that has never loaded a list writes what it always has.
            .put_opt(0x88, self.has_revocation_lists().then_some([0xFF]))
            .into_vec()
    }

    /// Reads the records of a card.
    fn read(nvram: Nvram, records: &Records, config: &CardConfig) -> Result<Self, NvramError> {
        let eid = config.eid;
        let mut left: BTreeSet<&[u8]> = records.keys().map(Vec::as_slice).collect();
        let mut take = |kind: u8, number: &[u8]| -> Result<&Zeroizing<Vec<u8>>, NvramError> {
            let key = key(kind, number);
            left.remove(&key[..]);
            records.get(&key).ok_or_else(|| NvramError::damaged("a record is missing"))
        };
        let mut store = Store::empty(nvram, eid);
        let head = read_head(take(HEAD, &[])?).map_err(NvramError::damaged)?;
        if head.eid != eid {
            return Err(NvramError::OtherCard { found: head.eid.to_string(), expected: eid.to_string() });
        }
        for aid in &head.profiles {
            let [state, package, files] =
                [take(PROFILE, aid.as_bytes())?, take(PACKAGE, aid.as_bytes())?, take(FILES, aid.as_bytes())?];
            store.written_files.insert(aid.clone(), sha256(&[files]));
            store.profiles.push(read_profile(aid.clone(), state, package, files, config)?);
        }
        for number in head.notifications {
            let record = take(NOTIFICATION, &number.to_be_bytes())?;
            let notification = read_notification(record).map_err(NvramError::damaged)?;
            if notification.metadata.sequence_number != number || number >= head.next_sequence_number {
                return Err(NvramError::damaged("a notification has another number than it is kept under"));
            }
            store.notifications.push(notification);
        }
        if head.has_one_time_key {
            store.one_time_key = Some(read_one_time_key(take(ONE_TIME_KEY, &[])?)?);
        }
        if head.has_revocation_lists {
            let record = take(REVOCATION_LISTS, &[])?;
            store.revocation_lists = RevocationLists::parse(record).map_err(NvramError::damaged)?;
        }
        if !left.is_empty() {
            return Err(NvramError::damaged("it has a record that belongs to nothing"));
        }
        let iccids: BTreeSet<Iccid> = store.profiles.iter().map(Profile::iccid).collect();
        let enabled = store.profiles.iter().filter(|profile| profile.enabled).count();
        if iccids.len() != store.profiles.len() || enabled > 1 {
            return Err(NvramError::damaged("its profiles contradict each other"));
        }
        store.unwritten = Unwritten::default();
        store.next_sequence_number = head.next_sequence_number;
        store.default_smdp = head.default_smdp;
        store.before_test = head.before_test;
        store.marked = head.marked;
        Ok(store)
    }
}

/// The kinds of records, the first byte of their keys.
const HEAD: u8 = 0;
const PROFILE: u8 = 1;
const PACKAGE: u8 = 2;
const FILES: u8 = 3;
const NOTIFICATION: u8 = 4;
const ONE_TIME_KEY: u8 = 5;
const REVOCATION_LISTS: u8 = 6;

fn key(kind: u8, number: &[u8]) -> Vec<u8> {
    [&[kind], number].concat()
}

struct Head {
    eid: Eid,
    next_sequence_number: u32,
    default_smdp: Option<String>,
    before_test: Option<Iccid>,
    profiles: Vec<Aid>,
    notifications: Vec<u32>,
    has_one_time_key: bool,
    marked: Option<Change>,
    has_revocation_lists: bool,
}

/// An identifier that a record holds in a form that it cannot have.
fn bad(tlv: Tlv<'_>) -> TlvError {
    TlvError::BadValue { tag: tlv.tag(), rule: "an identifier as the card writes it" }
}

fn iccid(tlv: Tlv<'_>) -> Result<Iccid, TlvError> {
    Iccid::from_bytes(tlv.value()).map_err(|_| bad(tlv))
}

fn read_head(record: &[u8]) -> Result<Head, TlvError> {
    let mut fields = Reader::new(record);
    let eid = fields.require(0x80)?;
    Ok(Head {
        eid: Eid::from_bytes(eid.value()).map_err(|_| bad(eid))?,
        next_sequence_number: fields.require(0x81)?.as_u32()?,
        default_smdp: fields.optional(0x82)?.map(|text| text.as_str().map(str::to_owned)).transpose()?,
        before_test: fields.optional(0x83)?.map(iccid).transpose()?,
        profiles: fields
            .require(0xA4)?
            .reader()
            .map(|aid| aid.and_then(|aid| Aid::from_bytes(aid.value()).map_err(|_| bad(aid))))
            .collect::<Result<_, _>>()?,
        notifications: fields
            .require(0x85)?
            .value()
            .chunks(4)
            .map(|n| n.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
            .collect(),
        has_one_time_key: fields.require(0x86)?.as_bool()?,
        marked: fields.optional(0xA7)?.map(read_mark).transpose()?,
        has_revocation_lists: fields.optional(0x88)?.is_some(),
    })
}

/// A switch that is marked: the profile that a test profile replaces, then the switches in their order.
fn encode_mark(change: &Change) -> Vec<u8> {
    let before = change.before_test.map(|iccid| *iccid.as_bytes());
    change
        .switches
        .iter()
        .fold(Writer::new().put_opt(0x80, before), |w, switch| {
            w.nested(0x30, |w| w.integer(0x81, switch.event as u32).put(0x5A, switch.iccid.as_bytes()))
        })
        .into_vec()
}

fn read_mark(mark: Tlv<'_>) -> Result<Change, TlvError> {
    let mut change = Change::default();
    for field in mark.reader() {
        let field = field?;
        if field.tag().0 == 0x80 {
            change.before_test = Some(iccid(field)?);
            continue;
        }
        let mut switch = field.reader();
        let event = switch.require(0x81)?;
        let code = event.as_u32()?;
        let event = NotificationEvent::ALL.into_iter().find(|event| *event as u32 == code).ok_or_else(|| bad(event))?;
        change.switches.push(Switch { iccid: iccid(switch.require(0x5A)?)?, event });
    }
    Ok(change)
}

fn encode_profile(profile: &Profile, config: &CardConfig) -> Vec<u8> {
    let credentials = config.credentials.get(profile.credentials);
    Writer::new()
        .raw(&profile.metadata.encode())
        .boolean(0x80, profile.enabled)
        .put_opt(0x81, profile.nickname.as_deref())
        .put_opt(0x82, profile.dp_oid.as_ref().map(Oid::as_der_content))
        .boolean(0x83, profile.preinstalled)
        .put_opt(0x84, credentials.and_then(|own| own.ci.subject_key_id()))
        .into_vec()
}

fn read_profile(
    aid: Aid,
    record: &[u8],
    package: &[u8],
    files: &[u8],
    config: &CardConfig,
) -> Result<Profile, NvramError> {
    let mut fields = Reader::new(record);
    let metadata = fields.next_tlv().map_err(NvramError::damaged)?;
    let metadata = metadata.ok_or_else(|| NvramError::damaged("a profile has no metadata"))?;
    // The package is executed anew, by the card that has installed it: what was passed over then is passed over now.
    let demands =
        Demands { uicc_capability: config.uicc_capability, profile_version: config.profile_version, memory: u32::MAX };
    let preinstalled = fields.clone().require(0x83).and_then(|flag| flag.as_bool()).map_err(NvramError::damaged)?;
    let mut profile = match preinstalled {
        true => Profile::of_package(metadata.raw(), package),
        false => Profile::again(metadata.raw(), package, demands),
    }
    .map_err(NvramError::damaged)?;
    (profile.aid, profile.preinstalled) = (aid, preinstalled);
    let mut read = || -> Result<(), TlvError> {
        profile.enabled = fields.require(0x80)?.as_bool()?;
        profile.nickname = fields.optional(0x81)?.map(|text| text.as_str().map(str::to_owned)).transpose()?;
        let oid = fields.optional(0x82)?;
        profile.dp_oid = oid.map(|oid| Oid::from_der_content(oid.value()).map_err(|_| bad(oid))).transpose()?;
        // Credentials that the card no longer has sign nothing any more.
        let ci = fields.optional(0x84)?;
        let known = config.credentials.iter().position(|own| ci.map(|ci| ci.value()) == own.ci.subject_key_id());
        profile.credentials = known.unwrap_or(usize::MAX);
        Ok(())
    };
    read().map_err(NvramError::damaged)?;
    profile.restore(files).map_err(NvramError::damaged)?;
    Ok(profile)
}

fn encode_notification(notification: &Notification) -> Vec<u8> {
    Writer::new().raw(&notification.metadata.encode()).raw(&notification.signed).into_vec()
}

fn read_notification(record: &[u8]) -> Result<Notification, TlvError> {
    let (metadata, signed) = Tlv::parse(record)?;
    Ok(Notification { metadata: NotificationMetadata::parse(metadata)?, signed: signed.to_vec() })
}

fn encode_one_time_key(kept: &OneTimeKey) -> Result<Zeroizing<Vec<u8>>, NvramError> {
    let scalar = kept.key.scalar().map_err(|error| NvramError::Io(std::io::Error::other(error.to_string())))?;
    let record = Writer::new()
        .put(0x80, kept.smdp_oid.as_der_content())
        .put(0x81, kept.key.curve().oid_content())
        .put(0x82, &scalar[..]);
    Ok(Zeroizing::new(record.into_vec()))
}

fn read_one_time_key(record: &[u8]) -> Result<OneTimeKey, NvramError> {
    let read = || -> Result<(Oid, Curve, Zeroizing<[u8; 32]>), TlvError> {
        let mut fields = Reader::new(record);
        let (oid, curve) = (fields.require(0x80)?, fields.require(0x81)?);
        let oid = Oid::from_der_content(oid.value()).map_err(|_| bad(oid))?;
        let curve = Curve::from_oid_content(curve.value()).ok_or_else(|| bad(curve))?;
        Ok((oid, curve, Zeroizing::new(fields.require(0x82)?.as_array()?)))
    };
    let (smdp_oid, curve, scalar) = read().map_err(NvramError::damaged)?;
    let key = PrivateKey::from_scalar(curve, &scalar).map_err(NvramError::damaged)?;
    Ok(OneTimeKey { smdp_oid, key })
}
