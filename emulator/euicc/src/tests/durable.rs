//! What the card keeps without power: the same after it is opened again, and never torn by a cut at any write.
//!
//! The storage of these tests loses power at its n-th write. Of what was written since the last sync it may have kept
//! everything, nothing, or any part, the last write cut in two: each is tried.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use rsp::bpp;
use rsp::crypto::{Curve, Random, SeededRandom};
use rsp::es10::notification::encode_remove_request;
use rsp::es10::profiles::ProfileState;
use rsp::ids::from_hex;
use rsp::tlv::Writer;

use super::lab::*;
use crate::nvram::{LAYOUT, Nvram, NvramError, StorageBackend};
use crate::{CardConfig, Euicc, NotificationSummary, ProfileSummary};

const A: &str = "8988247000111763810";
const B: &str = "8988247000111763811";
const NEW: &str = "8988247000111763812";

/// Flash memory that a test can take the power from.
#[derive(Clone, Default)]
struct Flash(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    /// What a sync has made certain.
    certain: Vec<u8>,
    /// What a reader sees.
    content: Vec<u8>,
    /// What has been done since the last sync.
    since: Vec<Operation>,
    /// How many operations are left until the power goes.
    left: Option<u64>,
    /// How many operations there were.
    count: u64,
}

#[derive(Clone)]
enum Operation {
    Length(u64),
    Write(u64, Vec<u8>),
}

impl Operation {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Operation::Length(length) => content.resize(*length as usize, 0),
            Operation::Write(offset, data) => {
                let start = *offset as usize;
                // A part of an extension may be missing when it is replayed in parts.
                if content.len() < start + data.len() {
                    content.resize(start + data.len(), 0);
                }
                content[start..start + data.len()].copy_from_slice(data);
            }
        }
    }
}

impl fmt::Debug for Flash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flash")
    }
}

fn no_power<T>() -> std::io::Result<T> {
    Err(std::io::Error::other("the power is gone"))
}

impl Flash {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    fn holding(content: &[u8]) -> Self {
        let flash = Flash::default();
        flash.with(|state| (state.certain, state.content) = (content.to_vec(), content.to_vec()));
        flash
    }

    /// One operation; false when the power is gone.
    fn operate(state: &mut State) -> bool {
        if state.left == Some(0) {
            return false;
        }
        state.left = state.left.map(|left| left - 1);
        state.count += 1;
        true
    }

    /// What is there when the power comes back. `fate` decides of everything since the last sync.
    fn after_cut(&self, fate: &mut Fate) -> Vec<u8> {
        self.with(|state| {
            let mut content = state.certain.clone();
            for (index, operation) in state.since.iter().enumerate() {
                let last = index + 1 == state.since.len();
                match fate.decide(last) {
                    Decision::Kept => operation.apply(&mut content),
                    Decision::Lost => {}
                    Decision::Torn => match operation {
                        Operation::Write(offset, data) => {
                            Operation::Write(*offset, data[..data.len() / 2].to_vec()).apply(&mut content);
                        }
                        Operation::Length(_) => {}
                    },
                }
            }
            content
        })
    }
}

enum Decision {
    Kept,
    Lost,
    Torn,
}

/// What becomes of writes that were never synced.
enum Fate {
    AllKept,
    AllLost,
    Any(SeededRandom),
}

impl Fate {
    fn decide(&mut self, last: bool) -> Decision {
        match self {
            Fate::AllKept if last => Decision::Torn,
            Fate::AllKept => Decision::Kept,
            Fate::AllLost => Decision::Lost,
            Fate::Any(random) => match random.array::<1>()[0] % 4 {
                0 | 1 => Decision::Kept,
                2 => Decision::Lost,
                _ => Decision::Torn,
            },
        }
    }
}

impl StorageBackend for Flash {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.with(|state| state.content.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.with(|state| {
            let start = offset as usize;
            match state.content.get(start..start + out.len()) {
                Some(bytes) => out.copy_from_slice(bytes),
                None => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            }
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> std::io::Result<()> {
        self.with(|state| {
            if !Flash::operate(state) {
                return no_power();
            }
            let operation = Operation::Length(length);
            operation.apply(&mut state.content);
            state.since.push(operation);
            Ok(())
        })
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.with(|state| {
            if !Flash::operate(state) {
                return no_power();
            }
            state.certain.clone_from(&state.content);
            state.since.clear();
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.with(|state| {
            let operation = Operation::Write(offset, data.to_vec());
            let powered = Flash::operate(state);
            if powered {
                operation.apply(&mut state.content);
            }
            // The write at which the power goes may have got anywhere.
            state.since.push(operation);
            if powered { Ok(()) } else { no_power() }
        })
    }
}

/// Two preinstalled profiles, A enabled.
fn two_profiles() -> CardConfig {
    static CONFIG: OnceLock<CardConfig> = OnceLock::new();
    CONFIG.get_or_init(make_two_profiles).clone()
}

fn make_two_profiles() -> CardConfig {
    let mut config = super::crl::able(&[Curve::P256]);
    for (iccid, enabled) in [(A, true), (B, false)] {
        let package = elements(iccid).concat();
        config
            .preinstalled
            .push(crate::PreinstalledProfile::new(&metadata(iccid).encode(), &package, enabled).unwrap());
    }
    config
}

fn open(flash: &Flash) -> Result<Euicc, NvramError> {
    Euicc::open(two_profiles(), Box::new(SeededRandom::new(7, "card")), Nvram::backend(flash.clone())?)
}

fn lab_on(flash: &Flash) -> Lab {
    let mut lab = Lab::with(two_profiles(), Curve::P256);
    lab.card = open(flash).unwrap();
    lab.open();
    lab
}

/// Everything that is kept and can be seen from outside.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    profiles: Vec<ProfileSummary>,
    notifications: Vec<NotificationSummary>,
    default_smdp: Option<String>,
    free_memory: u32,
}

impl Kept {
    fn of(card: &Euicc) -> Self {
        Kept {
            profiles: card.profiles(),
            notifications: card.notifications(),
            default_smdp: card.default_smdp().map(str::to_owned),
            free_memory: card.free_memory(),
        }
    }
}

#[test]
fn a_card_is_the_same_after_it_is_opened_again() {
    // proves: Durable - everything that is kept is the same after power off, and counters go on
    let flash = Flash::default();
    let mut lab = lab_on(&flash);
    lab.install(&Order { configure_isdp: from_hex("BF2407B805800388370A").unwrap(), ..order(NEW) });
    lab.hex("BF290F5A0A988842070011713618F0900141");
    lab.hex("BF3F078005782E636F6D");
    lab.hex("BF3111A00C5A0A988842070011713618F1810100");
    lab.hex("BF3003800101");
    let first = lab.prepared();
    let info = "BF2D0F5C0D5A4F9F70909192939495B6B7B8";
    let kept = Kept::of(&lab.card);
    let told = lab.hex(info);
    drop(lab);

    let mut lab = lab_on(&flash);
    assert_eq!(Kept::of(&lab.card), kept);
    assert_eq!(lab.hex(info), told);
    let next = lab.card.notifications().last().unwrap().metadata.sequence_number + 1;
    lab.hex("BF3211A00C5A0A988842070011713618F1810100");
    assert_eq!(lab.card.notifications().last().unwrap().metadata.sequence_number, next);
    // Even when nothing is left that tells of the number.
    for notification in lab.card.notifications() {
        lab.es10(&encode_remove_request(notification.metadata.sequence_number));
    }
    // The one-time key of the download that was not finished is still there.
    let signature1 = lab.authenticate();
    let signed2 = rsp::es10::download::SmdpSigned2 { bpp_euicc_otpk: Some(first.point()), ..lab.smdp_signed2() };
    let request = lab.prepare_request(&signed2, &signature1, None, &lab.server.pb.clone());
    assert!(lab.es10(&request).windows(65).any(|window| window == first.point()));
    drop(lab);
    let mut lab = lab_on(&flash);
    assert_eq!(lab.card.notifications(), []);
    lab.hex("BF3111A00C5A0A988842070011713618F1810100");
    assert_eq!(lab.card.notifications().last().unwrap().metadata.sequence_number, next + 1);
}

#[test]
fn a_file_keeps_a_card() {
    // proves: Durable - state lives in one redb file
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card.redb");
    let open = || Euicc::open(two_profiles(), Box::new(SeededRandom::new(7, "card")), Nvram::file(&path)?);
    let mut lab = Lab::with(two_profiles(), Curve::P256);
    lab.card = open().unwrap();
    lab.open();
    lab.install(&order(NEW));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // A second card on the same file is refused while the first is there.
    assert!(matches!(open(), Err(NvramError::InUse)));
    let kept = Kept::of(&lab.card);
    drop(lab);
    assert_eq!(Kept::of(&open().unwrap()), kept);
}

#[test]
fn nothing_of_a_deleted_profile_is_left_in_the_file() {
    // proves: Robust - keys are wiped on delete
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card.redb");
    let open = || Euicc::open(config(&[Curve::P256]), Box::new(SeededRandom::new(7, "card")), Nvram::file(&path)?);
    let mut lab = Lab::with(config(&[Curve::P256]), Curve::P256);
    lab.card = open().unwrap();
    lab.open();
    let order = super::wiped::order_with_keys();
    let keys: Vec<&[u8]> = order.package.windows(16).filter(|window| super::wiped::is_key(window)).collect();
    assert_eq!(keys.len(), 2);
    let found = || {
        let content = std::fs::read(&path).unwrap();
        keys.iter().map(|key| content.windows(16).filter(|window| window == key).count()).sum::<usize>()
    };
    lab.install(&order);
    lab.install(&Order { metadata: metadata(B), package: elements(B).concat(), ..order.clone() });
    assert!(found() >= 2);
    assert!(confirmed(&mut lab, "BF330C5A0A988842070011713618F0", "BF3303800100"));
    assert_eq!(found(), 0);
    // It is the same store, still in use and nobody else's, and nothing lies beside it.
    assert!(matches!(open(), Err(NvramError::InUse)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let kept = Kept::of(&lab.card);
    drop(lab);
    // What a cut has left of a new file goes when the card is opened.
    std::fs::write(folder.path().join("card.redb.new"), b"half a file").unwrap();
    assert_eq!(Kept::of(&open().unwrap()), kept);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_store_of_another_card_or_version_is_refused() {
    // proves: Durable - a store of another version, card or program is refused with words
    let flash = Flash::default();
    drop(lab_on(&flash));
    let content = flash.with(|state| state.content.clone());

    let mut other = two_profiles();
    other.eid = rsp::Eid::parse("89049032000000000000000000000018")
        .unwrap_or_else(|_| rsp::Eid::with_check_digits("890490320000000000000000000000").unwrap());
    let nvram = Nvram::backend(Flash::holding(&content)).unwrap();
    let error = Euicc::open(other, Box::new(SeededRandom::new(7, "card")), nvram).unwrap_err();
    assert!(error.to_string().contains("89049032123451234512345678901235"), "{error}");

    for version in [0, LAYOUT + 1] {
        let flash = Flash::holding(&content);
        write_record(&flash, b"layout", &version.to_be_bytes());
        let before = flash.with(|state| state.content.clone());
        let error = open(&flash).unwrap_err();
        assert!(matches!(error, NvramError::OtherVersion { found } if found == version), "{error}");
        assert!(error.to_string().contains(&format!("layout {version}")));
        assert!(flash.with(|state| state.content == before), "the store is left as it is");
    }
    // A database that is not a card's.
    let flash = Flash::default();
    let database = redb::Database::builder().create_with_backend(flash.clone()).unwrap();
    let transaction = database.begin_write().unwrap();
    drop(transaction.open_table(redb::TableDefinition::<u8, u8>::new("others")).unwrap());
    transaction.commit().unwrap();
    drop(database);
    assert!(open(&flash).unwrap_err().to_string().contains("another program"));
}

/// Writes a record as it is, without a check value.
fn write_record(flash: &Flash, key: &[u8], value: &[u8]) {
    let table = redb::TableDefinition::<&[u8], &[u8]>::new("esimlab-card");
    let database = redb::Database::builder().create_with_backend(flash.clone()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(table).unwrap().insert(key, value).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_damaged_store_is_refused_and_left_as_it_is() {
    // proves: Durable - a damaged store is refused and not overwritten
    let flash = Flash::default();
    drop(lab_on(&flash));
    let content = flash.with(|state| state.content.clone());
    let right = Kept::of(&open(&Flash::holding(&content)).unwrap());
    let used: Vec<usize> = (0..content.len()).filter(|at| content[*at] != 0).collect();
    let mut random = SeededRandom::new(3, "damage");
    // Panics of the database on pages that contradict each other are caught; their messages would fill the screen.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let mut refused = 0;
    let mut wrong = Vec::new();
    for _ in 0..150 {
        let at = used[u32::from_be_bytes(random.array()) as usize % used.len()];
        let mut damaged = content.clone();
        damaged[at] ^= 1 << (random.array::<1>()[0] % 8);
        let flash = Flash::holding(&damaged);
        match open(&flash) {
            Err(_) => {
                refused += 1;
                if flash.with(|state| state.content != damaged) {
                    wrong.push(format!("byte {at}: refused, and changed all the same"));
                }
            }
            Ok(card) if Kept::of(&card) == right => {}
            Ok(_) => wrong.push(format!("byte {at}: opened with other data")),
        }
    }
    // Cut short, and no database at all.
    for damaged in [&content[..content.len() / 2], &content[..100], &b"no database, and much too short for one"[..]] {
        let flash = Flash::holding(damaged);
        if open(&flash).is_ok() || flash.with(|state| state.content != damaged) {
            wrong.push(format!("{} bytes", damaged.len()));
        }
    }
    std::panic::set_hook(hook);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(refused > 10, "{refused}");
    // A record that is not as it was written, one that is missing, one too many.
    for (key, value) in [(&[0u8][..], &b"head"[..]), (&[9], b"unknown"), (&[4, 0, 0, 0, 9], b"notification")] {
        let flash = Flash::holding(&content);
        write_record(&flash, key, value);
        assert!(matches!(open(&flash), Err(NvramError::Damaged { .. })));
    }
}

#[test]
fn a_card_whose_memory_fails_says_so_and_no_more() {
    // proves: Durable - what cannot be kept is not confirmed
    let flash = Flash::default();
    let mut lab = lab_on(&flash);
    lab.card.drain_events();
    flash.with(|state| state.left = Some(2));
    let (data, sw) = lab.es10_in(&from_hex("BF3111A00C5A0A988842070011713618F1810100").unwrap(), 255);
    assert_eq!((data, sw), (Vec::new(), 0x6581));
    let events = lab.card.drain_events();
    assert!(matches!(&events[..], [crate::CardEvent::StoreFailed(_)]), "{events:?}");
    // Nothing but a card that is opened anew can be trusted.
    assert_eq!(lab.es10_in(&from_hex("BF2D00").unwrap(), 255), (Vec::new(), 0x6581));
    lab.card.reset();
    assert_eq!(lab.card.transmit(&[0x00, 0x70, 0x00, 0x00, 0x01], NOW), [0x65, 0x81]);
}

#[test]
fn what_changes_nothing_writes_nothing() {
    // proves: Durable - what cannot be kept is not confirmed
    let flash = Flash::default();
    let mut lab = lab_on(&flash);
    let before = flash.with(|state| state.count);
    for command in ["BF2000", "BF2200", "BF2D00", "BF2800", "BF2B00", "BF2E00", "BF3C00", "BF3E035C015A", "BF4300"] {
        lab.hex(command);
    }
    // Neither do refusals, nor a session up to the one-time key, nor a reset.
    lab.hex("BF3111A00C5A0A988842070011713618F0810100");
    lab.hex("BF3003800163");
    lab.authenticate();
    lab.open();
    assert_eq!(flash.with(|state| state.count), before);
    // One command, one transaction, of a few writes.
    lab.hex("BF3111A00C5A0A988842070011713618F1810100");
    let after = flash.with(|state| state.count);
    assert!((before + 2..before + 40).contains(&after), "{}", after - before);
}

/// What a host does, and what it was told.
struct Action {
    name: &'static str,
    /// Does it, as far as the power lasts; true when the card has confirmed all of it.
    act: fn(&mut Lab) -> bool,
}

/// Sends one command; true when the card has answered with this.
fn confirmed(lab: &mut Lab, command: &str, answer: &str) -> bool {
    lab.es10_in(&from_hex(command).unwrap(), 255) == (from_hex(answer).unwrap(), 0x9000)
}

const ACTIONS: [Action; 10] = [
    Action {
        name: "download",
        act: |lab| {
            // PrepareDownload keeps the one-time key, which is a write too.
            let signature1 = lab.authenticate();
            let request = lab.prepare_request(&lab.smdp_signed2(), &signature1, None, &lab.server.pb.clone());
            let (response, sw) = lab.es10_in(&request, 255);
            if sw != 0x9000 {
                return false;
            }
            let parsed = rsp::es10::download::PrepareDownloadResponse::parse(&response).unwrap();
            let rsp::es10::download::PrepareDownloadResponse::Ok { euicc_signed2, .. } = parsed else { panic!() };
            let otpk = rsp::crypto::PublicKey::from_point(Curve::P256, &euicc_signed2.euicc_otpk).unwrap();
            let package = lab.bind(&order(NEW), &otpk);
            for command in bpp::load_commands(&package).unwrap() {
                match lab.es10_in(command, 255) {
                    (response, 0x9000) if response.is_empty() => {}
                    (response, 0x9000) => return response.starts_with(&[0xBF, 0x37]),
                    _ => return false,
                }
            }
            false
        },
    },
    Action { name: "enable", act: |lab| confirmed(lab, "BF3111A00C5A0A988842070011713618F1810100", "BF3103800100") },
    Action { name: "disable", act: |lab| confirmed(lab, "BF3211A00C5A0A988842070011713618F0810100", "BF3203800100") },
    Action { name: "delete", act: |lab| confirmed(lab, "BF330C5A0A988842070011713618F1", "BF3303800100") },
    Action { name: "nickname", act: |lab| confirmed(lab, "BF29105A0A988842070011713618F090024F6E", "BF2903800100") },
    Action { name: "memory reset", act: |lab| confirmed(lab, "BF340482020780", "BF3403800100") },
    Action { name: "removal of a notification", act: |lab| confirmed(lab, "BF3003800101", "BF3003800100") },
    Action {
        name: "revocation list",
        act: |lab| {
            let ci = pki().ci_identity(Curve::P256).unwrap();
            let list = pki::CrlSpec::new(1, vec![vec![5]], NOW).issue(&ci).unwrap();
            let request = rsp::es10::crl::encode_load_crl_request(&list).unwrap();
            lab.es10_in(&request, 255) == (from_hex("BF3502A000").unwrap(), 0x9000)
        },
    },
    Action { name: "default address", act: |lab| confirmed(lab, "BF3F078005782E636F6D", "BF3F03800100") },
    Action {
        name: "enable with REFRESH",
        act: |lab| {
            // TERMINAL PROFILE, EnableProfile, and the reset that completes it.
            lab.card.transmit(&from_hex("80100000033709E8").unwrap(), NOW);
            let enable = from_hex("BF3111A00C5A0A988842070011713618F18101FF").unwrap();
            if lab.es10_in(&enable, 255) != (from_hex("BF3103800100").unwrap(), 0x910B) {
                return false;
            }
            lab.card.reset();
            lab.card.profiles()[1].state == ProfileState::Enabled
                && lab.card.transmit(&[0x00, 0x70, 0x00, 0x00, 0x01], NOW).ends_with(&[0x90, 0x00])
        },
    },
];

/// The store of a card with two profiles and a notification.
fn beginning() -> Vec<u8> {
    let flash = Flash::default();
    let mut lab = lab_on(&flash);
    lab.hex("BF3211A00C5A0A988842070011713618F0810100");
    lab.hex("BF3111A00C5A0A988842070011713618F0810100");
    drop(lab);
    flash.with(|state| state.content.clone())
}

/// What may be found after an action that was cut off: the state before and the state after. Of a download that is
/// prepared nothing is seen but the key that is kept; of a switch that is marked, the power that comes back is the
/// reset that it has waited for.
fn states(action: &Action, content: &[u8]) -> [Kept; 2] {
    let flash = Flash::holding(content);
    let mut lab = lab_on(&flash);
    let before = Kept::of(&lab.card);
    let began = flash.with(|state| state.count);
    assert!((action.act)(&mut lab), "{}", action.name);
    let after = Kept::of(&lab.card);
    assert!(flash.with(|state| state.count) > began);
    [before, after]
}

fn equal(a: &Kept, b: &Kept) -> bool {
    // Signatures are made anew: everything else has to be the same.
    let plain = |kept: &Kept| {
        let metadata = kept.notifications.iter().map(|kept| kept.metadata.clone()).collect::<Vec<_>>();
        (kept.profiles.clone(), metadata, kept.default_smdp.clone(), kept.free_memory)
    };
    plain(a) == plain(b)
}

#[test]
fn no_cut_at_any_write_tears_the_card() {
    // proves: Durable - after a cut at any write the card is as before or as after, and what the host was told is true
    let content = beginning();
    let mut cuts = 0;
    for action in &ACTIONS {
        let states = states(action, &content);
        for (number, fate) in (0..).flat_map(|n| (0..12).map(move |fate| (n, fate))) {
            let flash = Flash::holding(&content);
            let mut lab = lab_on(&flash);
            flash.with(|state| state.left = Some(number));
            let told = (action.act)(&mut lab);
            if told && fate == 0 && flash.with(|state| state.left) != Some(0) {
                // The power has lasted: there is no n-th write.
                assert!(number > 3, "{}", action.name);
                break;
            }
            cuts += 1;
            let mut fate = match fate {
                0 => Fate::AllKept,
                1 => Fate::AllLost,
                _ => Fate::Any(SeededRandom::new(number * 12 + fate, action.name)),
            };
            let left = flash.after_cut(&mut fate);
            drop(lab);
            // The power comes back.
            let place = format!("{}, write {number}", action.name);
            let mut card = open(&Flash::holding(&left)).unwrap_or_else(|error| panic!("{place}: {error}"));
            card.reset();
            let found = Kept::of(&card);
            let state = states.iter().position(|state| equal(state, &found));
            let state = state.unwrap_or_else(|| panic!("{place}: torn: {found:#?}"));
            assert!(!told || state == 1, "{place}: the host was told more than is there");
            assert!(card.profiles().iter().filter(|profile| profile.state == ProfileState::Enabled).count() <= 1);
            // It works, and its numbers go on.
            let highest = found.notifications.iter().map(|kept| kept.metadata.sequence_number).max().unwrap_or(0);
            let mut lab = Lab::with(two_profiles(), Curve::P256);
            lab.card = card;
            lab.open();
            let (target, tag) = match lab.card.profiles().iter().find(|p| p.state == ProfileState::Enabled) {
                Some(profile) => (Some(profile.iccid), "BF32"),
                None => (lab.card.profiles().first().map(|profile| profile.iccid), "BF31"),
            };
            if let Some(iccid) = target {
                let iccid = rsp::ids::to_hex(iccid.as_bytes());
                assert!(confirmed(&mut lab, &format!("{tag}11A00C5A0A{iccid}810100"), &format!("{tag}03800100")));
                assert!(lab.card.notifications().last().unwrap().metadata.sequence_number > highest, "{place}");
            }
        }
    }
    assert!(cuts > 1000, "{cuts} cuts");
    eprintln!("{cuts} cuts, {} bytes", content.len());
}

/// The power comes back, and goes again while the store is being opened.
#[test]
fn no_second_cut_tears_the_card_either() {
    // proves: Durable - after a cut at any write the card is as before or as after, and what the host was told is true
    let content = beginning();
    let action = ACTIONS.iter().find(|action| action.name == "enable").unwrap();
    let states = states(action, &content);
    let mut cuts = 0;
    for first in 0.. {
        let flash = Flash::holding(&content);
        let mut lab = lab_on(&flash);
        flash.with(|state| state.left = Some(first));
        let told = (action.act)(&mut lab);
        if told {
            break;
        }
        let left = flash.after_cut(&mut Fate::Any(SeededRandom::new(first, "first cut")));
        drop(lab);
        for second in 0.. {
            let flash = Flash::holding(&left);
            flash.with(|state| state.left = Some(second));
            let opened = open(&flash).is_ok();
            let left = flash.after_cut(&mut Fate::Any(SeededRandom::new(second, "second cut")));
            let card = open(&Flash::holding(&left)).unwrap_or_else(|error| panic!("writes {first}, {second}: {error}"));
            assert!(states.iter().any(|state| equal(state, &Kept::of(&card))), "writes {first}, {second}: torn");
            cuts += 1;
            if opened {
                break;
            }
        }
    }
    assert!(cuts > 50, "{cuts}");
}

/// A card whose enabled profile has a global PIN, 1234, with three tries.
fn with_pin() -> CardConfig {
    static CONFIG: OnceLock<CardConfig> = OnceLock::new();
    let make = || {
        let mut config = config(&[Curve::P256]);
        let mut elements = elements(A);
        let pin = element(0xA2, true, 9, |w| {
            let pin = |w: Writer| w.put(0x80, &[0x01]).put(0x81, b"1234\xFF\xFF\xFF\xFF");
            w.nested(0xA1, |w| w.nested(0xA0, |w| w.nested(0x30, pin)))
        });
        elements.insert(2, pin);
        let profile = crate::PreinstalledProfile::new(&metadata(A).encode(), &elements.concat(), true).unwrap();
        config.preinstalled.push(profile);
        config
    };
    CONFIG.get_or_init(make).clone()
}

#[test]
fn the_tries_of_a_pin_never_come_back() {
    // proves: Durable - after a cut at any write the card is as before or as after, and what the host was told is true
    const VERIFY_NOTHING: [u8; 4] = [0x00, 0x20, 0x00, 0x01];
    let wrong = [&[0x00, 0x20, 0x00, 0x01, 0x08][..], b"0000\xFF\xFF\xFF\xFF"].concat();
    let open = |flash: &Flash| -> Euicc {
        let nvram = Nvram::backend(flash.clone()).unwrap();
        let mut card = Euicc::open(with_pin(), Box::new(SeededRandom::new(7, "card")), nvram).unwrap();
        card.reset();
        card
    };
    let flash = Flash::default();
    let mut card = open(&flash);
    if card.transmit(&VERIFY_NOTHING, NOW) != [0x63, 0xC3] {
        eprintln!("skipped: the profile's PIN is not there");
        return;
    }
    drop(card);
    let content = flash.with(|state| state.content.clone());
    for (number, fate) in (0..).flat_map(|n| (0..4).map(move |fate| (n, fate))) {
        let flash = Flash::holding(&content);
        let mut card = open(&flash);
        flash.with(|state| state.left = Some(number));
        let told = card.transmit(&wrong, NOW);
        assert!(told == [0x63, 0xC2] || told == [0x65, 0x81], "{told:02X?}");
        if told == [0x63, 0xC2] && fate == 0 && flash.with(|state| state.left) != Some(0) {
            assert!(number > 3);
            break;
        }
        let mut fate = match fate {
            0 => Fate::AllKept,
            1 => Fate::AllLost,
            _ => Fate::Any(SeededRandom::new(number * 4 + fate, "PIN")),
        };
        let left = flash.after_cut(&mut fate);
        drop(card);
        let kept = open(&Flash::holding(&left)).transmit(&VERIFY_NOTHING, NOW);
        assert!(kept == [0x63, 0xC2] || (kept == [0x63, 0xC3] && told == [0x65, 0x81]), "{number}: {kept:02X?}");
    }
}

#[test]
fn a_cut_while_a_store_is_made_leaves_a_store_that_can_be_made() {
    // proves: Durable - after a cut at any write the card is as before or as after, and what the host was told is true
    let expected = Kept::of(&open(&Flash::default()).unwrap());
    for number in 0.. {
        let flash = Flash::default();
        flash.with(|state| state.left = Some(number));
        let made = open(&flash).is_ok();
        for fate in [Fate::AllKept, Fate::AllLost, Fate::Any(SeededRandom::new(number, "new"))] {
            let left = flash.after_cut(&mut { fate });
            match open(&Flash::holding(&left)) {
                Ok(card) => assert_eq!(Kept::of(&card), expected),
                // The very first bytes of a file: the database has not got as far as a header that says so.
                Err(NvramError::Damaged { .. }) if !made => {}
                Err(error) => panic!("write {number}: {error}"),
            }
        }
        if made {
            break;
        }
    }
}
