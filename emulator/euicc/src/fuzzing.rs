//! What the fuzz targets in `fuzz/` need: profiles to begin with, and a way into a bound profile package that does not
//! cost a signature each time. Compiled with the feature `fuzzing` only.

use std::sync::OnceLock;

use rsp::bpp::{MAX_ENCRYPTED_PLAINTEXT, MAX_MAC_ONLY_DATA, SecureChannel, SessionKeys};
use rsp::es10::download::{NotificationConfiguration, StoreMetadata};
use rsp::es10::profiles::{OperatorId, ProfileClass};
use rsp::tlv::{NamedBits, Writer};
use rsp::{Eid, Iccid};

use crate::config::CardConfig;
use crate::loader::{Card, Loader, Progress};
use crate::nvram::Nvram;
use crate::store::Store;

/// The ICCID of profile `number`.
pub fn numbered(number: u8) -> Iccid {
    let mut bytes = *iccid().as_bytes();
    bytes[9] = 0xF0 | (number % 10);
    Iccid::from_bytes(&bytes).unwrap_or(iccid())
}

/// The ICCID of profiles that have none of their own.
pub fn iccid() -> Iccid {
    const DIGITS: [u8; 10] = [0x98, 0x88, 0x42, 0x07, 0x00, 0x11, 0x71, 0x36, 0x18, 0xF0];
    Iccid::from_bytes(&DIGITS).expect("an ICCID")
}

/// The metadata of a profile.
pub fn metadata(iccid: Iccid) -> Vec<u8> {
    StoreMetadata {
        iccid,
        service_provider_name: "Operator".to_owned(),
        profile_name: "Profile".to_owned(),
        icon_type: None,
        icon: None,
        profile_class: ProfileClass::Operational,
        notification_configuration: vec![NotificationConfiguration {
            events: NamedBits::of(&[1, 2, 3]),
            address: "notify.example.com".to_owned(),
        }],
        profile_owner: Some(OperatorId { mcc_mnc: [0x00, 0xF1, 0x10], gid1: None, gid2: None }),
        profile_policy_rules: None,
    }
    .encode()
}

/// The header element of a package.
fn header(iccid: Iccid) -> Vec<u8> {
    Writer::new()
        .nested(0xA0, |w| {
            w.integer(0x80, 2)
                .integer(0x81, 3)
                .put(0x83, iccid.as_bytes().map(|byte| byte.rotate_left(4)).as_slice())
                .nested(0xA5, |w| w.put(0x81, &[]))
                .nested(0xA6, |w| w.put(0x06, &[0x67, 0x81, 0x0F, 0x01, 0x02, 0x01]))
        })
        .into_vec()
}

/// The key of [`managed_package`] for ciphering, and that for checksums.
pub const OTA_KEYS: [[u8; 16]; 2] = [[0x11; 16], [0x22; 16]];

/// A package like [`package`] with a security domain (TAR 000001, minimum security 00, AES keys of version 01) and remote
/// management of the files of the UICC (TAR 000002) and of the USIM (TAR 000003).
pub fn managed_package(iccid: Iccid) -> Vec<u8> {
    const DOMAIN: [u8; 8] = [0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00];
    const USIM: [u8; 12] = [0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02, 0xFF, 0x49, 0xFF, 0x05, 0x89];
    let element = |tag: u32, number: u32, content: &dyn Fn(Writer) -> Writer| {
        let header = |w: Writer| w.nested(0xA0, |w| w.put(0x80, &[]).integer(0x81, number));
        Writer::new().nested(tag, |w| content(header(w))).into_vec()
    };
    let domain = element(0xA6, 6, &|w| {
        let w = w.nested(0xA1, |w| {
            let w = w.put(0x4F, &DOMAIN[..5]).put(0x4F, &DOMAIN).put(0x4F, &DOMAIN);
            w.nested(0xEA, |w| w.put(0x80, &[0x01, 0, 0, 0, 0, 2, 1, 0, 3, 0, 0, 1, 0]))
        });
        w.nested(0xA2, |w| {
            (1..).zip(&OTA_KEYS).fold(w, |w, (identifier, key): (u8, _)| {
                w.nested(0x30, |w| {
                    let w = w.put(0x95, &[0x18]).put(0x82, &[identifier]).put(0x83, &[0x01]);
                    w.nested(0x30, |w| w.nested(0x30, |w| w.put(0x80, &[0x88]).put(0x86, key)))
                })
            })
        })
    });
    let files = |number: u8, usim: bool| {
        element(0xA7, u32::from(number) + 5, &|w| {
            let w = w.put(0x4F, &DOMAIN).nested(0xA0, |w| w.put(0x04, &[0, 0, number]));
            let w = w.put(0x81, &[0]).put(0x04, &[0]).put(0x04, &[0]);
            if usim { w.nested(0x30, |w| w.put(0x80, &USIM).put(0x81, &[0]).put(0x82, &[0])) } else { w }
        })
    };
    let mut package = package(iccid);
    // The last element ends the package.
    let end = package.split_off(package.len() - 9);
    [package, domain, files(2, false), files(3, true), end].concat()
}

/// A package with a PIN, some files that anybody may change, a USIM and its authentication.
pub fn package(iccid: Iccid) -> Vec<u8> {
    // Whoever asks may do everything.
    const RULES: &[u8] = &[0x80, 0x01, 0x1B, 0x90, 0x00];
    const RULE: &[u8] = &[0x8B, 0x03, 0x2F, 0x06, 0x01];
    const USIM: &[u8] = &[0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02, 0xFF, 0x49, 0xFF, 0x05, 0x89];
    fn element(tag: u32, number: u32, content: impl FnOnce(Writer) -> Writer) -> Vec<u8> {
        let header = |w: Writer| w.nested(0xA0, |w| w.put(0x80, &[]).integer(0x81, number));
        Writer::new().nested(tag, |w| content(header(w))).into_vec()
    }
    fn file(w: Writer, tag: u32, parameters: &[&[u8]], content: &[u8]) -> Writer {
        w.nested(tag, |w| w.put(0xA1, &parameters.concat()).put(0x83, content))
    }
    let records = [&[0x82, 0x04, 0x42, 0x21, 0x00, 0x05, 0x80, 0x01, 0x05][..], RULE];
    let directory = [&[0x61, 0x0E, 0x4F, 0x0C][..], USIM].concat();
    let root = |w: Writer| {
        let w = w.put(0x81, &[0x67, 0x81, 0x0F, 0x01, 0x02, 0x01]);
        let w = w.nested(0xA2, |w| w.put(0xA1, &[RULE, &[0xC6, 0x01, 0x01]].concat()));
        let w = file(w, 0xA4, &[RULE], iccid.as_bytes());
        let w = file(w, 0xA5, &[&[0x82, 0x04, 0x42, 0x21, 0x00, 0x10, 0x80, 0x01, 0x10], RULE], &directory);
        file(w, 0xA6, &records, RULES)
    };
    let pin = |w: Writer| w.put(0x80, &[0x01]).put(0x81, b"1234\xFF\xFF\xFF\xFF");
    let usim = |w: Writer| {
        let w = w.put(0x81, &[0x67, 0x81, 0x0F, 0x01, 0x02, 0x04]);
        let parameters = [&[0x83, 0x02, 0x7F, 0xD0, 0x84, 0x0C][..], USIM, RULE, &[0xC6, 0x01, 0x01]].concat();
        let w = w.nested(0xA2, |w| w.put(0xA1, &parameters));
        let w = file(w, 0xA3, &[RULE], &[0x08, 0x09, 0x10, 0x10, 0, 0, 0, 0x10, 0x10]);
        let w = file(w, 0xA4, &records, RULES);
        let w = file(w, 0xA8, &[RULE], &[0; 14]);
        let w = file(w, 0xAD, &[RULE], &[0x00, 0xFF]);
        let w = file(w, 0xAE, &[RULE], &[0x00]);
        let w = file(w, 0xB2, &[RULE], &[0x00, 0x01]);
        file(w, 0xB6, &[RULE], &[0x11, 0xF2, 0xFF, 0x00])
    };
    let algorithm = |w: Writer| w.put(0x80, &[1]).put(0x81, &[1]).put(0x82, &[0x46; 16]).put(0x83, &[0; 16]);
    [
        header(iccid),
        element(0xB0, 1, root),
        element(0xA2, 2, |w| w.nested(0xA1, |w| w.nested(0xA0, |w| w.nested(0x30, pin)))),
        element(0xB3, 3, usim),
        element(0xA4, 4, |w| w.nested(0xA1, |w| w.nested(0xA1, algorithm))),
        element(0xAA, 5, |w| w),
    ]
    .concat()
}

/// A package of header and end: a profile without files.
pub fn empty_package(iccid: Iccid) -> Vec<u8> {
    let end = Writer::new().nested(0xAA, |w| w.nested(0xA0, |w| w.put(0x80, &[]).integer(0x81, 1)));
    [header(iccid), end.into_vec()].concat()
}

/// What is inside a bound profile package; what is `None` is right.
#[derive(Debug, Clone, Default)]
pub struct Inside {
    /// ConfigureISDP.
    pub configure: Option<Vec<u8>>,
    /// StoreMetadata.
    pub metadata: Option<Vec<u8>>,
    /// ReplaceSessionKeys, when it is wrong.
    pub replace: Option<Vec<u8>>,
    /// Whether the keys are replaced.
    pub replace_keys: bool,
    /// Whether a right header comes before the profile package.
    pub header: bool,
    /// The profile package.
    pub package: Vec<u8>,
    /// How many bytes the card gets at a time, whole elements aside; 0 for the pieces of an LPA.
    pub piece: usize,
}

/// Seals it, and gives it to a card that has opened the channel.
pub fn load(inside: Inside) {
    static CARD: OnceLock<CardConfig> = OnceLock::new();
    let config = CARD.get_or_init(|| {
        CardConfig::new(Eid::with_check_digits("890490320000000000000000000000").expect("an EID"), Vec::new())
    });
    let keys = |secret: u8| SessionKeys::derive(&[secret; 32], b"fuzz", &config.eid);
    let mut channel = SecureChannel::new(keys(1));
    let configure = inside.configure.unwrap_or_else(|| vec![0xBF, 0x24, 0x00]);
    let metadata = inside.metadata.unwrap_or_else(|| metadata(iccid()));
    let mut package = if inside.header { header(iccid()) } else { Vec::new() };
    package.extend_from_slice(&inside.package);

    let mut seal = |tag, plaintext: &[u8]| channel.encrypt(tag, plaintext).expect("it is sealed");
    let configure: Vec<Vec<u8>> = configure.chunks(MAX_ENCRYPTED_PLAINTEXT).map(|chunk| seal(0x87, chunk)).collect();
    let metadata: Vec<Vec<u8>> =
        metadata.chunks(MAX_MAC_ONLY_DATA).map(|c| channel.mac_only(0x88, c).expect("it is sealed")).collect();
    let replace = (inside.replace_keys || inside.replace.is_some()).then(|| {
        let command = inside.replace.clone().unwrap_or_else(|| keys(2).encode_replace_session_keys().to_vec());
        let segment = channel.encrypt(0x87, &command).expect("it is sealed");
        if let Ok(keys) = SessionKeys::parse_replace_session_keys(&command) {
            channel = SecureChannel::new(keys);
        }
        segment
    });
    let elements: Vec<Vec<u8>> =
        package.chunks(MAX_ENCRYPTED_PLAINTEXT).map(|c| channel.encrypt(0x86, c).expect("it is sealed")).collect();
    let sequences = Writer::new()
        .put(0xA0, &configure.concat())
        .put(0xA1, &metadata.concat())
        .put_opt(0xA2, replace)
        .put(0xA3, &elements.concat())
        .into_vec();

    let store = Store::made(Nvram::memory(), config);
    let mut loader = Loader::opened(keys(1), sequences.len());
    let card = Card { config, store: &store };
    // What the card gets ends between two elements, as an LPA's pieces do; how many it gets at once is free.
    let mut sent = 0;
    let mut pieces: Vec<usize> = Vec::new();
    for sequence in rsp::tlv::Reader::new(&sequences) {
        let sequence = sequence.expect("what was written can be read");
        pieces.push(sequence.header().len());
        pieces.extend(sequence.reader().map(|segment| segment.expect("a segment").raw().len()));
    }
    let mut pieces = pieces.into_iter().peekable();
    while let Some(mut length) = pieces.next() {
        while length < inside.piece && pieces.peek().is_some() {
            length += pieces.next().unwrap_or_default();
        }
        match loader.receive(&sequences[sent..sent + length], card) {
            Ok(Progress::More) => sent += length,
            Ok(Progress::Complete(profile)) => {
                assert_eq!(profile.iccid(), loader.metadata().map_or(profile.iccid(), |metadata| metadata.iccid));
                assert!(profile.memory() <= config.memory);
                return;
            }
            Err(failure) => {
                let _ = failure.failure.to_string();
                return;
            }
        }
    }
}
