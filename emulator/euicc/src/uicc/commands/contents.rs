//! Commands on the content of transparent and record-structured files, and on their activation.

use super::{Answer, Done, View, ins};
use crate::apdu::{Command, Response, Sw};
use crate::uicc::access::Operation;
use crate::uicc::image::{ACTIVATED, DEACTIVATED, FileRef, Structure, special};

impl View<'_> {
    pub(super) fn check(&self, file: FileRef, operation: Operation) -> Result<(), Sw> {
        let allowed = match self.has_access {
            true => self.files.somebody_may(file, operation),
            false => self.files.may(file, operation, &|pin| self.verified.has(pin)),
        };
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
    pub(super) fn elementary_file(&mut self, short_id: u8) -> Result<FileRef, Sw> {
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
    pub(super) fn read_binary(&mut self, command: &Command<'_>) -> Done {
        let (file, offset) = self.binary(command, Operation::Read)?;
        let data = &self.files.content(file)[offset..];
        let expected = command.le.unwrap_or(256);
        if expected > data.len() {
            return Err(Sw::exact_length(data.len()));
        }
        Ok(Answer::Now(Response { data: data[..expected].to_vec(), sw: Sw::OK }))
    }

    /// UPDATE BINARY (TS 102 221 §11.1.4).
    pub(super) fn update_binary(&mut self, command: &Command<'_>) -> Done {
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
    pub(super) fn read_record(&mut self, command: &Command<'_>) -> Done {
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
    pub(super) fn update_record(&mut self, command: &Command<'_>) -> Done {
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
    pub(super) fn search_record(&mut self, command: &Command<'_>) -> Done {
        let (file, length) = self.record_file(command, Operation::Read)?;
        let count = self.files.record_count(file);
        // TS 102 221 §11.1.7.3: record 00 is the current one; where there is none, the search takes in all.
        let start = if command.p1 == 0 { self.selection.record } else { usize::from(command.p1) };
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
    pub(super) fn increase(&mut self, command: &Command<'_>) -> Done {
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
    pub(super) fn set_activated(&mut self, command: &Command<'_>, activated: bool) -> Done {
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
