//! The commands of TS 102 221 and TS 31.102 on the files of the enabled profile.

use rsp::Aid;
use rsp::crypto::Random;
use rsp::tlv::Writer;

use super::access::Operation;
use super::aka::Outcome;
use super::files::{Check, Files};
use super::image::{ACTIVATED, DEACTIVATED, FileRef, MF, Structure, id, special};
use super::selection::{Selection, Verified};
use super::suci::{self, Subscription};
use crate::apdu::{Command, Response, Sw};

/// The instructions that work on files, PINs and applications.
pub(crate) mod ins {
    pub(crate) const DEACTIVATE_FILE: u8 = 0x04;
    pub(crate) const VERIFY_PIN: u8 = 0x20;
    pub(crate) const CHANGE_PIN: u8 = 0x24;
    pub(crate) const DISABLE_PIN: u8 = 0x26;
    pub(crate) const ENABLE_PIN: u8 = 0x28;
    pub(crate) const UNBLOCK_PIN: u8 = 0x2C;
    pub(crate) const INCREASE: u8 = 0x32;
    pub(crate) const ACTIVATE_FILE: u8 = 0x44;
    pub(crate) const GET_IDENTITY: u8 = 0x78;
    pub(crate) const AUTHENTICATE: u8 = 0x88;
    pub(crate) const SEARCH_RECORD: u8 = 0xA2;
    pub(crate) const READ_BINARY: u8 = 0xB0;
    pub(crate) const READ_RECORD: u8 = 0xB2;
    pub(crate) const UPDATE_BINARY: u8 = 0xD6;
    pub(crate) const UPDATE_RECORD: u8 = 0xDC;
}

/// Which class the instruction has (TS 102 221 table 10.5): true for `0X`, false for `8X`.
pub(crate) fn is_interindustry(instruction: u8) -> Option<bool> {
    match instruction {
        ins::INCREASE | ins::GET_IDENTITY => Some(false),
        ins::DEACTIVATE_FILE
        | ins::VERIFY_PIN
        | ins::CHANGE_PIN
        | ins::DISABLE_PIN
        | ins::ENABLE_PIN
        | ins::UNBLOCK_PIN
        | ins::ACTIVATE_FILE
        | ins::AUTHENTICATE
        | ins::SEARCH_RECORD
        | ins::READ_BINARY
        | ins::READ_RECORD
        | ins::UPDATE_BINARY
        | ins::UPDATE_RECORD => Some(true),
        _ => None,
    }
}

/// The status word of a command of [`ins`] on a card without a profile: it has no file, no PIN and no application.
pub(crate) fn without_profile(instruction: u8) -> Sw {
    match instruction {
        ins::VERIFY_PIN | ins::CHANGE_PIN | ins::DISABLE_PIN | ins::ENABLE_PIN | ins::UNBLOCK_PIN => Sw::DATA_NOT_FOUND,
        ins::AUTHENTICATE | ins::GET_IDENTITY => Sw::CONDITIONS_NOT_SATISFIED,
        _ => Sw::NO_FILE_SELECTED,
    }
}

/// What a command gives.
pub(crate) enum Answer {
    /// Data and status word as they are.
    Now(Response),
    /// Data that GET RESPONSE fetches.
    Offer(Vec<u8>),
}

impl From<Sw> for Answer {
    fn from(sw: Sw) -> Self {
        Answer::Now(sw.into())
    }
}

/// The enabled profile as one channel sees it. It has an MF at least: references begin there.
pub(crate) struct View<'a> {
    files: &'a mut Files,
    selection: &'a mut Selection,
    verified: &'a mut Verified,
    random: &'a mut dyn Random,
    free_memory: u32,
}

type Done = Result<Answer, Sw>;

impl<'a> View<'a> {
    /// `None` when the profile has made no file: such a card is like one without a profile.
    pub(crate) fn of(
        files: &'a mut Files,
        (selection, verified): (&'a mut Selection, &'a mut Verified),
        random: &'a mut dyn Random,
        free_memory: u32,
    ) -> Option<Self> {
        if files.image().is_empty() {
            return None;
        }
        Some(View { files, selection, verified, random, free_memory })
    }

    /// Carries out one of the commands of [`ins`].
    pub(crate) fn execute(&mut self, command: &Command<'_>) -> Answer {
        let done = match command.ins {
            ins::READ_BINARY => self.read_binary(command),
            ins::UPDATE_BINARY => self.update_binary(command),
            ins::READ_RECORD => self.read_record(command),
            ins::UPDATE_RECORD => self.update_record(command),
            ins::SEARCH_RECORD => self.search_record(command),
            ins::INCREASE => self.increase(command),
            ins::ACTIVATE_FILE => self.set_activated(command, true),
            ins::DEACTIVATE_FILE => self.set_activated(command, false),
            ins::VERIFY_PIN => self.verify_pin(command),
            ins::CHANGE_PIN => self.change_pin(command),
            ins::DISABLE_PIN => self.set_pin_enabled(command, false),
            ins::ENABLE_PIN => self.set_pin_enabled(command, true),
            ins::UNBLOCK_PIN => self.unblock_pin(command),
            ins::AUTHENTICATE => self.authenticate(command),
            ins::GET_IDENTITY => self.get_identity(command),
            _ => Err(Sw::INS_NOT_SUPPORTED),
        };
        done.unwrap_or_else(Answer::from)
    }

    // Selection.

    /// The file that SELECT by identifier, by path or by parent names (TS 102 221 §11.1.1.2, §8.4).
    pub(crate) fn find(&self, p1: u8, data: &[u8]) -> Result<FileRef, Sw> {
        let path: Vec<u16> = match data.len() % 2 {
            0 => data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect(),
            _ => return Err(Sw::WRONG_LENGTH),
        };
        let found = match (p1, &path[..]) {
            // No data names the MF.
            (0x00, []) => Some(MF),
            (0x00, [id]) => self.by_identifier(*id),
            (0x01, [id]) => {
                let child = self.files.image().child(self.selection.directory, *id);
                child.filter(|child| self.structure(*child).is_directory())
            }
            (0x03, []) => Some(self.parent(self.selection.directory)),
            // From the MF, which may be written out, or from the application.
            (0x08, [id::MF, rest @ ..]) => self.walk(MF, rest),
            (0x08, [id::CURRENT_APPLICATION, rest @ ..]) => self.walk(self.selection.application.unwrap_or(MF), rest),
            (0x08, [_, ..]) => self.walk(MF, &path),
            (0x09, [_, ..]) => self.walk(self.selection.directory, &path),
            (0x00 | 0x01 | 0x03 | 0x08 | 0x09, _) => return Err(Sw::WRONG_LENGTH),
            _ => return Err(Sw::WRONG_P1_P2),
        };
        found.ok_or(Sw::NOT_FOUND)
    }

    /// TS 102 221 §8.4.1: a file of the current directory, the directory itself, its parent, a directory beside it,
    /// the MF, or the current application.
    fn by_identifier(&self, id: u16) -> Option<FileRef> {
        let image = self.files.image();
        let directory = self.selection.directory;
        let parent = self.parent(directory);
        let is = |file: FileRef| image.file(file).id == id && !self.is_application(file);
        match id {
            id::MF => return Some(MF),
            id::CURRENT_APPLICATION => return self.selection.application,
            _ => {}
        }
        image
            .child(directory, id)
            .or_else(|| [directory, parent].into_iter().find(|file| is(*file)))
            .or_else(|| image.child(parent, id).filter(|file| self.structure(*file).is_directory()))
    }

    fn walk(&self, from: FileRef, path: &[u16]) -> Option<FileRef> {
        path.iter().try_fold(from, |directory, id| self.files.image().child(directory, *id))
    }

    fn parent(&self, file: FileRef) -> FileRef {
        self.files.image().file(file).parent
    }

    fn structure(&self, file: FileRef) -> &Structure {
        &self.files.target(file).structure
    }

    fn is_application(&self, file: FileRef) -> bool {
        matches!(self.files.image().file(file).structure, Structure::Application { .. })
    }

    /// Selects a file. Gives its control parameters, and what is said with them.
    pub(crate) fn select(&mut self, file: FileRef) -> (Vec<u8>, Sw) {
        let parent = self.parent(file);
        let is_directory = self.structure(file).is_directory();
        self.selection.select(file, is_directory, parent);
        if self.is_application(file) {
            self.selection.application = Some(file);
        }
        // TS 102 221 §11.1.1.4: a file that is deactivated can be selected, with a warning.
        let sw = if self.files.is_deactivated(file) { Sw::FILE_DEACTIVATED } else { Sw::OK };
        (self.control_parameters(file), sw)
    }

    /// The applications, in the order in which they were made.
    pub(crate) fn applications(&self) -> impl Iterator<Item = (FileRef, &Aid)> {
        self.files.image().applications().map(|(file, aid, _)| (file, aid))
    }

    /// The application of the channel, when it has one.
    pub(crate) fn current_application(&self) -> Option<FileRef> {
        self.selection.application
    }

    /// Its AID.
    pub(crate) fn application_name(&self) -> Option<&Aid> {
        match &self.files.image().file(self.selection.application?).structure {
            Structure::Application { aid, .. } => Some(aid),
            _ => None,
        }
    }

    /// Leaves the application of the channel. When no other channel has it, its session ends, and what its own PINs
    /// have opened is closed (TS 102 221 §8.5.1.3).
    pub(crate) fn leave_application(&mut self, shared: bool) {
        if let Some(application) = self.selection.application.take()
            && !shared
        {
            let image = self.files.image();
            self.verified.forget(|pin| image.application_of(image.pins[pin].directory) == Some(application));
        }
        self.selection.select(MF, true, MF);
    }

    /// STATUS: the control parameters of the current directory (TS 102 221 §11.1.2).
    pub(crate) fn directory_parameters(&self) -> Vec<u8> {
        self.control_parameters(self.selection.directory)
    }

    /// The file control parameters (TS 102 221 §11.1.1.3).
    fn control_parameters(&self, file: FileRef) -> Vec<u8> {
        let image = self.files.image();
        let own = image.file(file);
        let target = self.files.target(file);
        let (arr, record) = own.access;
        let [high, low] = arr.to_be_bytes();
        let rules = [high, low, record];
        let life_cycle = [self.files.life_cycle(file)];
        let size = self.files.content(file).len() as u16;
        let short_id: &[u8] = &own.short_id.map_or(vec![], |id| vec![id << 3]);
        let special = |w: Writer| match target.special {
            0 => w,
            byte => w.nested(0xA5, |w| w.put(0xC0, &[byte])),
        };
        let elementary = |w: Writer, descriptor: &[u8]| {
            let w = special(w.put(0x82, descriptor).put(0x83, &own.id.to_be_bytes()));
            w.put(0x8A, &life_cycle).put(0x8B, &rules).put(0x80, &size.to_be_bytes()).put(0x88, short_id)
        };
        let records = self.files.record_count(file) as u8;
        Writer::new()
            .nested(0x62, |w| match &target.structure {
                Structure::Transparent => elementary(w, &[0x41, 0x21]),
                Structure::LinearFixed { length } => elementary(w, &[0x42, 0x21, 0x00, *length, records]),
                Structure::Cyclic { length } => elementary(w, &[0x46, 0x21, 0x00, *length, records]),
                Structure::BerTlv => elementary(w, &[0x79, 0x21]),
                Structure::Directory | Structure::Application { .. } => {
                    let w = w.put(0x82, &[0x78, 0x21]);
                    let w = match &own.structure {
                        Structure::Application { aid, .. } => w.put(0x84, aid.as_bytes()),
                        _ => w.put(0x83, &own.id.to_be_bytes()),
                    };
                    // UICC characteristics, free memory, TERMINAL CAPABILITY supported.
                    let w = w.nested(0xA5, |w| {
                        let w = w.put(0x80, &[0x71]).put(0x83, &self.free_memory.to_be_bytes());
                        if file == MF { w.put(0x87, &[0x01]) } else { w }
                    });
                    let w = w.put(0x8A, &life_cycle).put(0x8B, &rules);
                    w.nested(0xC6, |w| self.pin_status(file, w))
                }
            })
            .into_vec()
    }

    /// The PIN status template (TS 102 221 §9.5.2): a bit for each key, and the keys.
    fn pin_status(&self, directory: FileRef, w: Writer) -> Writer {
        let image = self.files.image();
        let keys = &image.file(directory).pin_status;
        let mut bits = vec![0u8; keys.len().div_ceil(8)];
        for (index, key) in keys.iter().enumerate() {
            if image.pin(directory, *key).is_some_and(|pin| self.files.pin(pin).enabled) {
                bits[index / 8] |= 0x80 >> (index % 8);
            }
        }
        keys.iter().fold(w.put(0x90, &bits), |w, key| w.put(0x83, &[*key]))
    }

    // Files.

    fn check(&self, file: FileRef, operation: Operation) -> Result<(), Sw> {
        let allowed = self.files.may(file, operation, &|pin| self.verified.has(pin));
        if !allowed {
            return Err(Sw::SECURITY_STATUS_NOT_SATISFIED);
        }
        let reads_or_writes = matches!(operation, Operation::Read | Operation::Update | Operation::Instruction(_));
        let usable = self.files.target(file).special & special::USABLE_WHEN_DEACTIVATED != 0;
        if reads_or_writes && self.files.is_deactivated(file) && !usable {
            return Err(Sw::REFERENCE_DATA_NOT_USABLE);
        }
        Ok(())
    }

    /// The elementary file that a command is about: the one with a short identifier, which becomes the current one,
    /// or the current one (TS 102 221 §8.4.3).
    fn elementary_file(&mut self, short_id: u8) -> Result<FileRef, Sw> {
        if short_id == 0 {
            return self.selection.file.ok_or(Sw::NO_FILE_SELECTED);
        }
        let file = self.files.image().by_short_id(self.selection.directory, short_id).ok_or(Sw::NOT_FOUND)?;
        self.selection.select(file, false, self.selection.directory);
        Ok(file)
    }

    /// File and offset of READ BINARY and UPDATE BINARY.
    fn binary(&mut self, command: &Command<'_>, operation: Operation) -> Result<(FileRef, usize), Sw> {
        // TS 102 221 §11.1.3.2: a short identifier and an offset of 8 bits, or an offset of 15 bits.
        let (short_id, offset) = match command.p1 {
            p1 @ 0x00..=0x7F => (0, usize::from(p1) << 8 | usize::from(command.p2)),
            p1 @ 0x81..=0x9E => (p1 & 0x1F, usize::from(command.p2)),
            _ => return Err(Sw::WRONG_P1_P2),
        };
        let file = self.elementary_file(short_id)?;
        if *self.structure(file) != Structure::Transparent {
            return Err(Sw::INCOMPATIBLE_FILE);
        }
        self.check(file, operation)?;
        if offset >= self.files.content(file).len() {
            return Err(Sw::WRONG_OFFSET);
        }
        Ok((file, offset))
    }

    /// READ BINARY (TS 102 221 §11.1.3).
    fn read_binary(&mut self, command: &Command<'_>) -> Done {
        let (file, offset) = self.binary(command, Operation::Read)?;
        let data = &self.files.content(file)[offset..];
        let expected = command.le.unwrap_or(256);
        if expected > data.len() {
            return Err(Sw::exact_length(data.len()));
        }
        Ok(Answer::Now(Response { data: data[..expected].to_vec(), sw: Sw::OK }))
    }

    /// UPDATE BINARY (TS 102 221 §11.1.4).
    fn update_binary(&mut self, command: &Command<'_>) -> Done {
        let (file, offset) = self.binary(command, Operation::Update)?;
        if command.data.is_empty() || offset + command.data.len() > self.files.content(file).len() {
            return Err(Sw::WRONG_LENGTH);
        }
        self.files.write(file, offset, command.data);
        Ok(Sw::OK.into())
    }

    /// The record that P1 and the mode in P2 name (TS 102 221 §11.1.5), which becomes the current one if the mode
    /// moves the pointer.
    fn record(&mut self, command: &Command<'_>, file: FileRef) -> Result<usize, Sw> {
        const NEXT: u8 = 0x02;
        const PREVIOUS: u8 = 0x03;
        const ABSOLUTE: u8 = 0x04;
        let count = self.files.record_count(file);
        let is_cyclic = matches!(self.structure(file), Structure::Cyclic { .. });
        let current = self.selection.record;
        let number = match (command.p2 & 0x07, command.p1) {
            (NEXT, 0) if current < count => current + 1,
            (NEXT, 0) if is_cyclic && count > 0 => 1,
            (PREVIOUS, 0) if current > 1 => current - 1,
            (PREVIOUS, 0) if current == 0 || is_cyclic => count,
            (NEXT | PREVIOUS, 0) => return Err(Sw::RECORD_NOT_FOUND),
            (ABSOLUTE, 0) => return if current == 0 { Err(Sw::RECORD_NOT_FOUND) } else { Ok(current) },
            (ABSOLUTE, number) => {
                let number = usize::from(number);
                return if number <= count { Ok(number) } else { Err(Sw::RECORD_NOT_FOUND) };
            }
            _ => return Err(Sw::WRONG_P1_P2),
        };
        if number == 0 {
            return Err(Sw::RECORD_NOT_FOUND);
        }
        self.selection.record = number;
        Ok(number)
    }

    fn record_file(&mut self, command: &Command<'_>, operation: Operation) -> Result<(FileRef, usize), Sw> {
        let file = self.elementary_file(command.p2 >> 3)?;
        let length = self.structure(file).record_length().ok_or(Sw::INCOMPATIBLE_FILE)?;
        self.check(file, operation)?;
        Ok((file, length))
    }

    /// READ RECORD (TS 102 221 §11.1.5).
    fn read_record(&mut self, command: &Command<'_>) -> Done {
        let (file, length) = self.record_file(command, Operation::Read)?;
        // The record pointer must not move for a length that is asked for again.
        if command.le != Some(length) {
            return Err(Sw::exact_length(length));
        }
        let number = self.record(command, file)?;
        let data = self.files.record(file, number).ok_or(Sw::RECORD_NOT_FOUND)?.to_vec();
        Ok(Answer::Now(Response { data, sw: Sw::OK }))
    }

    /// UPDATE RECORD (TS 102 221 §11.1.6): of a cyclic file only the oldest record, which becomes the first.
    fn update_record(&mut self, command: &Command<'_>) -> Done {
        let (file, length) = self.record_file(command, Operation::Update)?;
        if command.data.len() != length {
            return Err(Sw::WRONG_LENGTH);
        }
        if matches!(self.structure(file), Structure::Cyclic { .. }) {
            const PREVIOUS: u8 = 0x03;
            if command.p2 & 0x07 != PREVIOUS || command.p1 != 0 {
                return Err(Sw::INCOMPATIBLE_FILE);
            }
            self.files.push_record(file, command.data);
            self.selection.record = 1;
            return Ok(Sw::OK.into());
        }
        let number = self.record(command, file)?;
        self.files.write(file, (number - 1) * length, command.data);
        Ok(Sw::OK.into())
    }

    /// SEARCH RECORD (TS 102 221 §11.1.7), simple and enhanced. The first record found becomes the current one.
    fn search_record(&mut self, command: &Command<'_>) -> Done {
        let (file, length) = self.record_file(command, Operation::Read)?;
        let count = self.files.record_count(file);
        let start = usize::from(command.p1);
        let (forward, from, pattern, begin) = match (command.p2 & 0x07, command.data) {
            (0x04, [_, ..]) => (true, start.max(1), command.data, Begin::At(0)),
            (0x05, [_, ..]) => (false, if start == 0 { count } else { start }, command.data, Begin::At(0)),
            (0x06, [mode, at, pattern @ ..]) if !pattern.is_empty() => {
                let begin = if mode & 0x08 == 0 { Begin::At(usize::from(*at)) } else { Begin::After(*at) };
                let current = self.selection.record;
                let (forward, from) = match mode & 0x07 {
                    0x04 => (true, start.max(1)),
                    0x05 => (false, if start == 0 { count } else { start }),
                    0x06 => (true, current + 1),
                    0x07 => (false, if current == 0 { count } else { current - 1 }),
                    _ => return Err(Sw::WRONG_DATA),
                };
                (forward, from, pattern, begin)
            }
            (0x04..=0x06, _) => return Err(Sw::WRONG_LENGTH),
            _ => return Err(Sw::WRONG_P1_P2),
        };
        if pattern.len() > length {
            return Err(Sw::WRONG_LENGTH);
        }
        if usize::from(command.p1) > count {
            return Err(Sw::RECORD_NOT_FOUND);
        }
        let found = |number: &usize| {
            self.files
                .record(file, *number)
                .and_then(|record| begin.of(record))
                .is_some_and(|rest| rest.windows(pattern.len()).any(|window| window == pattern))
        };
        let numbers: Vec<usize> =
            if forward { (from..=count).filter(found).collect() } else { (1..=from).rev().filter(found).collect() };
        match numbers.first() {
            None => Err(Sw::SEARCH_UNSUCCESSFUL),
            Some(first) => {
                self.selection.record = *first;
                Ok(Answer::Offer(numbers.iter().map(|number| *number as u8).collect()))
            }
        }
    }

    /// INCREASE (TS 102 221 §11.1.8): the newest record of a cyclic file and the value make a new one.
    fn increase(&mut self, command: &Command<'_>) -> Done {
        let short_id = match command.p1 {
            0 => 0,
            p1 if p1 & 0xE0 == 0x80 => p1 & 0x1F,
            _ => return Err(Sw::WRONG_P1_P2),
        };
        if command.p2 != 0 {
            return Err(Sw::WRONG_P1_P2);
        }
        let file = self.elementary_file(short_id)?;
        let Structure::Cyclic { length } = *self.structure(file) else { return Err(Sw::INCOMPATIBLE_FILE) };
        self.check(file, Operation::Instruction(ins::INCREASE))?;
        if command.data.is_empty() || command.data.len() > 0x7F || command.data.len() > usize::from(length) {
            return Err(Sw::WRONG_LENGTH);
        }
        let mut sum = self.files.record(file, 1).ok_or(Sw::RECORD_NOT_FOUND)?.to_vec();
        let mut carry = 0u16;
        let added = command.data.iter().rev().copied().chain(std::iter::repeat(0));
        for (digit, added) in sum.iter_mut().rev().zip(added) {
            let total = u16::from(*digit) + u16::from(added) + carry;
            *digit = total as u8;
            carry = total >> 8;
        }
        if carry != 0 {
            return Err(Sw::INCREASE_PAST_MAXIMUM);
        }
        self.files.push_record(file, &sum);
        self.selection.record = 1;
        Ok(Answer::Offer([&sum, command.data].concat()))
    }

    /// ACTIVATE FILE and DEACTIVATE FILE (TS 102 221 §11.1.14, §11.1.15).
    fn set_activated(&mut self, command: &Command<'_>, activated: bool) -> Done {
        if command.p2 != 0 {
            return Err(Sw::WRONG_P1_P2);
        }
        let file = match (command.p1, command.data) {
            (0x00, []) => self.selection.file.unwrap_or(self.selection.directory),
            (0x00 | 0x08 | 0x09, _) => self.find(command.p1, command.data)?,
            _ => return Err(Sw::WRONG_P1_P2),
        };
        if self.structure(file).is_directory() {
            return Err(Sw::INCOMPATIBLE_FILE);
        }
        self.check(file, if activated { Operation::Activate } else { Operation::Deactivate })?;
        let parent = self.parent(file);
        self.selection.select(file, false, parent);
        self.files.set_life_cycle(file, if activated { ACTIVATED } else { DEACTIVATED });
        Ok(Sw::OK.into())
    }

    // PINs (TS 102 221 §9.5, §11.1.9 to §11.1.13).

    /// The PIN that P2 names in the current directory.
    fn pin(&self, command: &Command<'_>) -> Result<usize, Sw> {
        if command.p1 != 0 {
            return Err(Sw::WRONG_P1_P2);
        }
        self.files.image().pin(self.selection.directory, command.p2).ok_or(Sw::DATA_NOT_FOUND)
    }

    /// A PIN that is enabled, and `N` values of eight bytes in the data.
    fn enabled_pin<const N: usize>(&self, command: &Command<'_>) -> Result<(usize, [[u8; 8]; N]), Sw> {
        let pin = self.pin(command)?;
        let values = values(command.data)?;
        if self.files.pin(pin).left == 0 {
            return Err(Sw::METHOD_BLOCKED);
        }
        if !self.files.pin(pin).enabled {
            return Err(Sw::REFERENCE_DATA_NOT_USABLE);
        }
        Ok((pin, values))
    }

    fn hold_against(&mut self, pin: usize, value: &[u8; 8]) -> Result<(), Sw> {
        let check = self.files.check_pin(pin, value);
        self.verified.set(pin, check == Check::Right);
        outcome(check)
    }

    /// VERIFY PIN; without data it asks how many tries are left.
    fn verify_pin(&mut self, command: &Command<'_>) -> Done {
        if command.data.is_empty() {
            let pin = self.pin(command)?;
            return Err(Sw::tries_left(self.files.pin(pin).left));
        }
        let (pin, [value]) = self.enabled_pin(command)?;
        self.hold_against(pin, &value)?;
        Ok(Sw::OK.into())
    }

    fn change_pin(&mut self, command: &Command<'_>) -> Done {
        let (pin, [old, new]) = self.enabled_pin(command)?;
        if !self.files.pin_kind(pin).may_be_changed {
            return Err(Sw::CONDITIONS_NOT_SATISFIED);
        }
        self.hold_against(pin, &old)?;
        self.files.set_pin(pin, new);
        Ok(Sw::OK.into())
    }

    /// DISABLE PIN and ENABLE PIN. The universal PIN as a replacement (P1 01) is not supported.
    fn set_pin_enabled(&mut self, command: &Command<'_>, enabled: bool) -> Done {
        let pin = self.pin(command)?;
        let [value] = values(command.data)?;
        let state = self.files.pin(pin);
        if state.left == 0 {
            return Err(Sw::METHOD_BLOCKED);
        }
        if state.enabled == enabled {
            // Already disabled, or already enabled.
            return Err(if enabled { Sw::CONDITIONS_NOT_SATISFIED } else { Sw::REFERENCE_DATA_NOT_USABLE });
        }
        if !self.files.pin_kind(pin).may_be_disabled {
            return Err(Sw::CONDITIONS_NOT_SATISFIED);
        }
        self.hold_against(pin, &value)?;
        self.files.set_pin_enabled(pin, enabled);
        Ok(Sw::OK.into())
    }

    /// UNBLOCK PIN; without data it asks how many tries of the unblocking code are left.
    fn unblock_pin(&mut self, command: &Command<'_>) -> Done {
        let pin = self.pin(command)?;
        let left = self.files.puk_left(pin).ok_or(Sw::DATA_NOT_FOUND)?;
        if command.data.is_empty() {
            return Err(Sw::tries_left(left));
        }
        let [code, new] = values(command.data)?;
        outcome(self.files.check_puk(pin, &code).ok_or(Sw::DATA_NOT_FOUND)?)?;
        self.files.set_pin(pin, new);
        // TS 102 221 §11.1.13: the PIN is enabled, and verified.
        self.files.set_pin_enabled(pin, true);
        self.verified.set(pin, true);
        Ok(Sw::OK.into())
    }

    // Authentication.

    /// AUTHENTICATE (TS 31.102 §7.1, TS 31.103 §7.1).
    fn authenticate(&mut self, command: &Command<'_>) -> Done {
        const GSM_CONTEXT: u8 = 0x80;
        const AKA_CONTEXT: u8 = 0x81;
        if command.p1 != 0 {
            return Err(Sw::WRONG_P1_P2);
        }
        let application = self.opened_application()?;
        let authentication = self.files.image().authentication(application).ok_or(Sw::CONTEXT_NOT_SUPPORTED)?;
        match command.p2 {
            AKA_CONTEXT => {
                let (rand, rest) = authentication_value(command.data)?;
                let (autn, rest) = authentication_value(rest)?;
                if !rest.is_empty() {
                    return Err(Sw::WRONG_LENGTH);
                }
                match self.files.authenticate(authentication, &rand, &autn) {
                    Outcome::Success { res, ck, ik, kc } => {
                        let mut data = vec![0xDB];
                        for value in [&res, &ck, &ik] {
                            data.push(value.len() as u8);
                            data.extend_from_slice(value);
                        }
                        // TS 31.102 §7.1.2.1: Kc when service 27 (GSM access) is there.
                        if self.has_service(application, 27) {
                            data.push(kc.len() as u8);
                            data.extend_from_slice(&kc);
                        }
                        Ok(Answer::Offer(data))
                    }
                    Outcome::SynchronisationFailure(auts) => Ok(Answer::Offer([&[0xDC, 0x0E], &auts[..]].concat())),
                    Outcome::MacFailure => Err(Sw::WRONG_MAC),
                }
            }
            GSM_CONTEXT => {
                // TS 31.102 §4.2.8: service 38, GSM security context.
                if !self.has_service(application, 38) {
                    return Err(Sw::CONTEXT_NOT_SUPPORTED);
                }
                let (rand, rest) = authentication_value(command.data)?;
                if !rest.is_empty() {
                    return Err(Sw::WRONG_LENGTH);
                }
                let (sres, kc) = self.files.authenticate_gsm(authentication, &rand);
                Ok(Answer::Offer([&[0x04], &sres[..], &[0x08], &kc[..]].concat()))
            }
            0x82..=0x87 => Err(Sw::CONTEXT_NOT_SUPPORTED),
            _ => Err(Sw::WRONG_P1_P2),
        }
    }

    /// The application that may be used: it is the channel's, a directory of it is the current one, and its PIN is
    /// verified (TS 31.102 §7.1.1, §7.5.1).
    fn opened_application(&self) -> Result<FileRef, Sw> {
        let image = self.files.image();
        let inside =
            image.application_of(self.selection.directory).filter(|of| Some(*of) == self.selection.application);
        let application = inside.ok_or(Sw::CONDITIONS_NOT_SATISFIED)?;
        // The application's PIN is the global key that its directory shows.
        let shown = &image.file(application).pin_status;
        let pin = shown.iter().filter(|key| **key <= 0x08).find_map(|key| image.pin(application, *key));
        if pin.is_some_and(|pin| self.files.pin(pin).enabled && !self.verified.has(pin)) {
            return Err(Sw::SECURITY_STATUS_NOT_SATISFIED);
        }
        Ok(application)
    }

    /// GET IDENTITY (TS 31.102 §7.5): the concealed subscription identifier, when the USIM is to compute it.
    fn get_identity(&mut self, command: &Command<'_>) -> Done {
        const SUCI: u8 = 0x01;
        if (command.p1, command.p2) != (0, SUCI) {
            return Err(Sw::WRONG_P1_P2);
        }
        let application = self.opened_application()?;
        // TS 31.102 §4.2.8: privacy of the identifier, and its computation by the USIM.
        if !self.has_service(application, 124) || !self.has_service(application, 125) {
            return Err(Sw::CONDITIONS_NOT_SATISFIED);
        }
        let content =
            |path: &[u16]| self.walk(application, path).map_or(Vec::new(), |file| self.files.content(file).to_vec());
        let (imsi, data) = (content(&[id::IMSI]), content(&[id::AD]));
        // SAIP §9.5.12: what the USIM computes with is in DF.SAIP, out of the terminal's reach.
        let schemes = content(&[id::DF_SAIP, id::SUCI_CALCULATION]);
        let subscription = Subscription {
            imsi: &imsi,
            mnc_digits: if data.get(3).is_some_and(|digits| digits & 0x0F == 3) { 3 } else { 2 },
            routing_indicator: match content(&[id::DF_5GS, id::ROUTING_INDICATOR])[..] {
                [first, second, ..] => [first, second],
                _ => [0xF0, 0xFF],
            },
            schemes: &schemes,
        };
        let data = suci::identity(&subscription, self.random).ok_or(Sw::CONDITIONS_NOT_SATISFIED)?;
        if command.le != Some(data.len()) {
            return Err(Sw::exact_length(data.len()));
        }
        Ok(Answer::Now(Response { data, sw: Sw::OK }))
    }

    /// Whether a service is available in EF.UST (TS 31.102 §4.2.8).
    fn has_service(&self, application: FileRef, service: usize) -> bool {
        let Some(table) = self.files.image().child(application, id::UST) else { return false };
        let byte = self.files.content(table).get((service - 1) / 8).copied().unwrap_or(0);
        byte >> ((service - 1) % 8) & 1 != 0
    }
}

/// Where a pattern is looked for in a record (TS 102 221 §11.1.7.1).
enum Begin {
    At(usize),
    /// After the first byte of this value.
    After(u8),
}

impl Begin {
    fn of<'r>(&self, record: &'r [u8]) -> Option<&'r [u8]> {
        match self {
            Begin::At(at) => record.get(*at..),
            Begin::After(value) => record.iter().position(|byte| byte == value).and_then(|at| record.get(at + 1..)),
        }
    }
}

/// A length of 16 and the value behind it.
fn authentication_value(data: &[u8]) -> Result<([u8; 16], &[u8]), Sw> {
    let (length, rest) = data.split_first().ok_or(Sw::WRONG_LENGTH)?;
    let (value, rest) = rest.split_first_chunk::<16>().ok_or(Sw::WRONG_LENGTH)?;
    if *length == 16 { Ok((*value, rest)) } else { Err(Sw::WRONG_LENGTH) }
}

/// Values of eight bytes, as many as there have to be.
fn values<const N: usize>(data: &[u8]) -> Result<[[u8; 8]; N], Sw> {
    if data.len() != 8 * N {
        return Err(Sw::WRONG_LENGTH);
    }
    let mut values = [[0; 8]; N];
    for (value, bytes) in values.iter_mut().zip(data.chunks_exact(8)) {
        value.copy_from_slice(bytes);
    }
    Ok(values)
}

fn outcome(check: Check) -> Result<(), Sw> {
    match check {
        Check::Right => Ok(()),
        Check::Wrong(left) => Err(Sw::tries_left(left)),
        Check::Blocked => Err(Sw::METHOD_BLOCKED),
    }
}
