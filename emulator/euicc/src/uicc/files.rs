//! The files of a profile as they are now: what its package has made, and over it what has been changed since.
//!
//! Changes are kept apart from the image, so that a profile can be kept as its package and its changes: the package
//! makes the same image every time, see [`Files::overlay`] and [`Files::restore`].

use std::collections::BTreeMap;
use std::sync::Arc;

use rsp::crypto::equal_in_constant_time;
use rsp::tlv::{Tlv, TlvError, Writer, header};
use zeroize::Zeroizing;

use super::image::{DEACTIVATED, File, FileRef, Image, Pin, Tries};
use super::secret::Secret;
use rsp::aka::{Outcome, SequenceNumbers};

/// A PIN as it is now.
#[derive(Clone)]
pub(crate) struct PinState {
    pub(crate) value: Secret<8>,
    pub(crate) enabled: bool,
    pub(crate) left: u8,
}

/// What becomes of a value that is held against a PIN or an unblocking code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    Right,
    /// Wrong; so many tries are left.
    Wrong(u8),
    /// No try is left; nothing was compared.
    Blocked,
}

/// Bytes that are no overlay of this profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OverlayError {
    /// The bytes cannot be read.
    #[error("the changes of a profile cannot be read: {0}")]
    Format(#[from] TlvError),
    /// They were written by another version of the card.
    #[error("the changes of a profile are of version {0}, which this card does not know")]
    Version(u32),
    /// They belong to another package.
    #[error("the changes of a profile do not belong to its package")]
    OtherPackage,
}

/// The version of the form in which changes are kept.
const OVERLAY_VERSION: u32 = 1;

/// The files, PINs and sequence numbers of one profile. `Debug` prints no content.
#[derive(Clone)]
pub(crate) struct Files {
    image: Arc<Image>,
    contents: BTreeMap<FileRef, Zeroizing<Vec<u8>>>,
    life_cycles: BTreeMap<FileRef, u8>,
    pins: Vec<PinState>,
    puks: Vec<u8>,
    sequence_numbers: Vec<SequenceNumbers>,
    /// The counters of secured packets that have been used, by domain and version of the keys.
    counters: BTreeMap<(u8, u8), u64>,
    /// RAND and Ks of bootstrapped authentications (TS 33.220).
    bootstrapped: BTreeMap<usize, Secret<48>>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Files({:?}, {} changed)", self.image, self.contents.len())
    }
}

impl Files {
    /// As the package has made them.
    pub(crate) fn new(image: Image) -> Self {
        let pin = |pin: &Pin| PinState { value: pin.value.clone(), enabled: pin.enabled, left: pin.tries.left };
        Files {
            pins: image.pins.iter().map(pin).collect(),
            puks: image.puks.iter().map(|puk| puk.tries.left).collect(),
            sequence_numbers: image.authentications.iter().map(|entry| entry.aka.initial()).collect(),
            image: Arc::new(image),
            contents: BTreeMap::new(),
            life_cycles: BTreeMap::new(),
            counters: BTreeMap::new(),
            bootstrapped: BTreeMap::new(),
        }
    }

    pub(crate) fn image(&self) -> &Image {
        &self.image
    }

    /// The file that holds a file's content.
    pub(super) fn target(&self, file: FileRef) -> &File {
        self.image.file(self.image.resolve(file))
    }

    pub(super) fn content(&self, file: FileRef) -> &[u8] {
        let file = self.image.resolve(file);
        self.contents.get(&file).unwrap_or(&self.image.file(file).content)
    }

    fn content_mut(&mut self, file: FileRef) -> &mut Vec<u8> {
        let file = self.image.resolve(file);
        self.contents.entry(file).or_insert_with(|| self.image.file(file).content.clone())
    }

    /// EF_IMSI of the USIM (TS 31.102 §4.2.2).
    fn imsi_file(&self) -> Option<FileRef> {
        let applications = self.image.applications().map(|(file, ..)| file);
        applications.filter_map(|application| self.image.child(application, 0x6F07)).next()
    }

    /// The content of EF_IMSI.
    pub(crate) fn imsi(&self) -> Option<&[u8]> {
        self.imsi_file().map(|file| self.content(file))
    }

    /// Writes EF_IMSI.
    pub(crate) fn set_imsi(&mut self, content: &[u8; 9]) {
        if let Some(file) = self.imsi_file() {
            self.write(file, 0, content);
        }
    }

    /// A record, counted from 1.
    pub(super) fn record(&self, file: FileRef, number: usize) -> Option<&[u8]> {
        let length = self.target(file).structure.record_length()?;
        self.content(file).chunks_exact(length).nth(number.checked_sub(1)?)
    }

    pub(super) fn record_count(&self, file: FileRef) -> usize {
        self.target(file).structure.record_length().map_or(0, |length| self.content(file).len() / length)
    }

    /// Writes at an offset; the bytes have to fit.
    pub(super) fn write(&mut self, file: FileRef, offset: usize, bytes: &[u8]) {
        if let Some(place) = self.content_mut(file).get_mut(offset..).and_then(|rest| rest.get_mut(..bytes.len())) {
            place.copy_from_slice(bytes);
        }
    }

    /// A new record at the front of a cyclic file; the oldest goes.
    pub(super) fn push_record(&mut self, file: FileRef, record: &[u8]) {
        let content = self.content_mut(file);
        let kept = content.len().saturating_sub(record.len());
        content.truncate(kept);
        content.splice(0..0, record.iter().copied());
    }

    pub(super) fn life_cycle(&self, file: FileRef) -> u8 {
        self.life_cycles.get(&file).copied().unwrap_or(self.image.file(file).life_cycle)
    }

    pub(super) fn is_deactivated(&self, file: FileRef) -> bool {
        self.life_cycle(file) == DEACTIVATED
    }

    pub(super) fn set_life_cycle(&mut self, file: FileRef, life_cycle: u8) {
        self.life_cycles.insert(file, life_cycle);
    }

    pub(super) fn pin(&self, pin: usize) -> &PinState {
        &self.pins[pin]
    }

    pub(super) fn pin_kind(&self, pin: usize) -> &Pin {
        &self.image.pins[pin]
    }

    pub(super) fn set_pin_enabled(&mut self, pin: usize, enabled: bool) {
        self.pins[pin].enabled = enabled;
    }

    /// Gives a PIN another value, and all its tries.
    pub(super) fn set_pin(&mut self, pin: usize, value: &[u8; 8]) {
        self.pins[pin].value = value.into();
        self.pins[pin].left = self.image.pins[pin].tries.most;
    }

    /// Holds a value against a PIN. A wrong one costs a try, a right one gives all of them back.
    pub(super) fn check_pin(&mut self, pin: usize, value: &[u8]) -> Check {
        let most = self.image.pins[pin].tries.most;
        let state = &mut self.pins[pin];
        check(&mut state.left, most, || equal_in_constant_time(&state.value[..], value))
    }

    /// Holds a value against the unblocking code of a PIN; `None` when it has none.
    pub(super) fn check_puk(&mut self, pin: usize, value: &[u8]) -> Option<Check> {
        let index = usize::from(self.image.pins[pin].puk?);
        let puk = &self.image.puks[index];
        Some(check(&mut self.puks[index], puk.tries.most, || equal_in_constant_time(&puk.value[..], value)))
    }

    /// The tries left of a PIN's unblocking code.
    pub(super) fn puk_left(&self, pin: usize) -> Option<u8> {
        self.image.pins[pin].puk.map(|puk| self.puks[usize::from(puk)])
    }

    /// AUTHENTICATE in the 3G context, by the authentication with this number.
    pub(super) fn authenticate(&mut self, authentication: usize, rand: &[u8; 16], autn: &[u8; 16]) -> Outcome {
        let aka = &self.image.authentications[authentication].aka;
        aka.authenticate(rand, autn, &mut self.sequence_numbers[authentication])
    }

    /// AUTHENTICATE in the GBA context, bootstrapping mode: the keys stay here.
    pub(super) fn bootstrap(&mut self, authentication: usize, rand: &[u8; 16], autn: &[u8; 16]) -> Outcome {
        let aka = &self.image.authentications[authentication].aka;
        let outcome = aka.bootstrap(rand, autn, &mut self.sequence_numbers[authentication]);
        if let Outcome::Success { ck, ik, .. } = &outcome
            && let Some(keys) = Secret::copy(&Zeroizing::new([&rand[..], ck, ik].concat()))
        {
            self.bootstrapped.insert(authentication, keys);
        }
        outcome
    }

    /// What the last bootstrapping has left: RAND and Ks.
    pub(super) fn bootstrapped(&self, authentication: usize) -> Option<&[u8; 48]> {
        self.bootstrapped.get(&authentication).map(|keys| &**keys)
    }

    /// AUTHENTICATE in the GSM context.
    pub(super) fn authenticate_gsm(&self, authentication: usize, rand: &[u8; 16]) -> ([u8; 4], [u8; 8]) {
        self.image.authentications[authentication].aka.authenticate_gsm(rand)
    }

    /// How many files, PINs, unblocking codes and authentications there are: it tells packages apart.
    fn counts(&self) -> Vec<u8> {
        let image = &self.image;
        [image.files.len(), image.pins.len(), image.puks.len(), image.authentications.len()]
            .iter()
            .flat_map(|count| (*count as u16).to_be_bytes())
            .collect()
    }

    /// The counter of the secured packets for a key set.
    pub(crate) fn counter(&self, domain: usize, version: u8) -> u64 {
        let kept = u8::try_from(domain).ok().and_then(|domain| self.counters.get(&(domain, version)));
        kept.copied().unwrap_or_else(|| self.image.initial_counter(domain, version))
    }

    pub(crate) fn set_counter(&mut self, domain: usize, version: u8, counter: u64) {
        if let Ok(domain) = u8::try_from(domain) {
            self.counters.insert((domain, version), counter);
        }
    }

    /// What has changed since the installation, in a form of its own that [`Files::restore`] reads. It holds PINs
    /// and may hold keys.
    pub(crate) fn overlay(&self) -> Zeroizing<Vec<u8>> {
        // One buffer of the whole length from the beginning: one that grows leaves copies of PINs behind.
        const FIELD: usize = 64;
        let fields = 3
            + self.contents.len()
            + self.life_cycles.len()
            + self.pins.len()
            + self.counters.len()
            + self.bootstrapped.len();
        let contents: usize = self.contents.values().map(|content| content.len()).sum();
        let numbers = self.sequence_numbers.len() * (FIELD + 256);
        let length = fields * FIELD + contents + numbers + self.puks.len();
        let mut out = Zeroizing::new(Vec::with_capacity(length));
        let number = |file: &FileRef| Writer::new().integer(0x80, u32::from(file.0)).into_vec();
        out.extend_from_slice(&Writer::new().integer(0x80, OVERLAY_VERSION).put(0x81, &self.counts()).into_vec());
        for (file, content) in &self.contents {
            let (number, header) = (number(file), header(0x81, content.len()));
            put(&mut out, 0xA2, &[&number, &header, content]);
        }
        for (file, life_cycle) in &self.life_cycles {
            put(&mut out, 0xA3, &[&number(file), &[0x81, 1, *life_cycle]]);
        }
        for pin in &self.pins {
            let enabled = if pin.enabled { 0xFF } else { 0x00 };
            put(&mut out, 0xA4, &[&[0x80, 8], &pin.value[..], &[0x81, 1, enabled, 0x82, 1, pin.left]]);
        }
        put(&mut out, 0x85, &[&self.puks]);
        for numbers in &self.sequence_numbers {
            let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
            put(&mut out, 0x86, &[&numbers]);
        }
        for ((domain, version), counter) in &self.counters {
            put(&mut out, 0x87, &[&[*domain, *version], &counter.to_be_bytes()]);
        }
        for (authentication, keys) in &self.bootstrapped {
            put(&mut out, 0x88, &[&[*authentication as u8], &keys[..]]);
        }
        debug_assert!(out.len() <= length);
        out
    }

    /// Puts the changes back that [`Files::overlay`] has given. After an error nothing is changed.
    pub(crate) fn restore(&mut self, overlay: &[u8]) -> Result<(), OverlayError> {
        let mut restored = self.clone();
        restored.contents.clear();
        restored.life_cycles.clear();
        restored.counters.clear();
        restored.bootstrapped.clear();
        let mut fields = rsp::tlv::Reader::new(overlay);
        let version = fields.require(0x80)?.as_u32()?;
        if version != OVERLAY_VERSION {
            return Err(OverlayError::Version(version));
        }
        if fields.require(0x81)?.value() != self.counts() {
            return Err(OverlayError::OtherPackage);
        }
        let mut pins = restored.pins.iter_mut();
        let mut sequence_numbers = restored.sequence_numbers.iter_mut();
        for field in fields {
            let field = field?;
            match field.tag().0 {
                0xA2 => {
                    let (file, content) = self.changed_file(&field)?;
                    if content.len() != self.image.file(file).content.len() {
                        return Err(OverlayError::OtherPackage);
                    }
                    restored.contents.insert(file, Zeroizing::new(content.to_vec()));
                }
                0xA3 => match self.changed_file(&field)? {
                    (file, [life_cycle]) => drop(restored.life_cycles.insert(file, *life_cycle)),
                    _ => return Err(OverlayError::OtherPackage),
                },
                0xA4 => {
                    let state = pins.next().ok_or(OverlayError::OtherPackage)?;
                    let mut parts = field.reader();
                    let value = parts.require(0x80)?.value();
                    state.value = Secret::copy(value).ok_or(OverlayError::OtherPackage)?;
                    state.enabled = parts.require(0x81)?.as_bool()?;
                    [state.left] = parts.require(0x82)?.as_array()?;
                }
                0x85 if field.value().len() == self.puks.len() => restored.puks = field.value().to_vec(),
                0x86 if field.value().len() == 256 => {
                    let numbers = sequence_numbers.next().ok_or(OverlayError::OtherPackage)?;
                    for (number, bytes) in numbers.iter_mut().zip(field.value().chunks_exact(8)) {
                        *number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
                    }
                }
                0x87 => {
                    let [domain, version, counter @ ..] = field.as_array::<10>()?;
                    restored.counters.insert((domain, version), u64::from_be_bytes(counter));
                }
                0x88 => {
                    let (authentication, keys) = field.value().split_first().ok_or(OverlayError::OtherPackage)?;
                    let keys = Secret::copy(keys).ok_or(OverlayError::OtherPackage)?;
                    restored.bootstrapped.insert(usize::from(*authentication), keys);
                }
                _ => return Err(OverlayError::OtherPackage),
            }
        }
        if pins.next().is_some() || sequence_numbers.next().is_some() {
            return Err(OverlayError::OtherPackage);
        }
        *self = restored;
        Ok(())
    }

    fn changed_file<'a>(&self, field: &Tlv<'a>) -> Result<(FileRef, &'a [u8]), OverlayError> {
        let mut parts = field.reader();
        let number = parts.require(0x80)?.as_u32()?;
        let file = u16::try_from(number).ok().filter(|number| usize::from(*number) < self.image.files.len());
        Ok((FileRef(file.ok_or(OverlayError::OtherPackage)?), parts.require(0x81)?.value()))
    }
}

/// Writes an element of these parts behind what is there.
fn put(out: &mut Vec<u8>, tag: u32, parts: &[&[u8]]) {
    out.extend_from_slice(&header(tag, parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

fn check(left: &mut u8, most: u8, is_right: impl FnOnce() -> bool) -> Check {
    if *left == 0 {
        return Check::Blocked;
    }
    if is_right() {
        *left = most;
        return Check::Right;
    }
    *left -= 1;
    Check::Wrong(*left)
}

impl Tries {
    /// As SAIP codes them: the most in the high nibble, what is left in the low one.
    pub(super) fn of(byte: u8) -> Self {
        let most = byte >> 4;
        Tries { most, left: (byte & 0x0F).min(most) }
    }
}
