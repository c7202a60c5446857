//! Phone books (TS 27.007 §8.11 to §8.14): files of the card, and lists of the modem's own.

use crate::card::CardError;
use crate::charset::{alpha_decode, alpha_encode};
use crate::sim::{ADF, Files};
use crate::sms::pdu::{INTERNATIONAL, from_semi_octets, to_semi_octets};

/// A book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Book {
    /// `SM`: EF_ADN.
    #[default]
    Card,
    /// `ME`: in the modem.
    Equipment,
    /// `ON`: EF_MSISDN, the own numbers.
    Own,
    /// `FD`: EF_FDN, fixed dialling numbers.
    Fixed,
    /// `EN`: emergency numbers.
    Emergency,
    /// `LD`, `MC`, `RC`, `DC`: lists of calls, of which there are none.
    Last,
    Missed,
    Received,
    Dialled,
}

impl Book {
    pub(crate) const ALL: [Book; 9] = [
        Book::Card,
        Book::Dialled,
        Book::Fixed,
        Book::Last,
        Book::Missed,
        Book::Equipment,
        Book::Received,
        Book::Emergency,
        Book::Own,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Book::Card => "SM",
            Book::Equipment => "ME",
            Book::Own => "ON",
            Book::Fixed => "FD",
            Book::Emergency => "EN",
            Book::Last => "LD",
            Book::Missed => "MC",
            Book::Received => "RC",
            Book::Dialled => "DC",
        }
    }

    /// Whether a host can write into it: what the module fills itself it cannot (TS 27.007 §8.11).
    fn is_writable(self) -> bool {
        matches!(self, Book::Card | Book::Equipment | Book::Own | Book::Fixed)
    }

    /// Where the book is on the card: the first of these that is there (TS 31.102 §4.2.26, §4.4.2.3; TS 51.011 §10.5).
    fn paths(self) -> &'static [&'static [u16]] {
        match self {
            Book::Card => &[&[0x3F00, 0x7F10, 0x6F3A], &[0x3F00, 0x7F10, 0x5F3A, 0x4F3A], &[ADF, 0x5F3A, 0x4F3A]],
            Book::Own => &[&[ADF, 0x6F40], &[0x3F00, 0x7F10, 0x6F40]],
            Book::Fixed => &[&[ADF, 0x6F3B], &[0x3F00, 0x7F10, 0x6F3B]],
            _ => &[],
        }
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) index: usize,
    /// With a `+` in front when the type is that of an international number.
    pub(crate) number: String,
    pub(crate) kind: u8,
    pub(crate) name: String,
}

/// The chosen book, and the one in the modem.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PhoneBook {
    pub(crate) selected: Book,
    equipment: Vec<Option<Entry>>,
}

/// How many entries the modem's own book has, and how long a number and a name in it may be.
pub(crate) const CAPACITY: usize = 100;
const NUMBER_LENGTH: usize = 20;
const NAME_LENGTH: usize = 30;

/// How many calls each list of them has room for.
const CALLS: usize = 10;

/// Why an entry could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BookError {
    InvalidIndex,
    Full,
    NumberTooLong,
    NameTooLong,
    ReadOnly,
    Card(CardError),
}

impl From<CardError> for BookError {
    fn from(error: CardError) -> Self {
        BookError::Card(error)
    }
}

/// What a book can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Limits {
    pub(crate) entries: usize,
    pub(crate) number: usize,
    pub(crate) name: usize,
}

impl PhoneBook {
    /// What a restart leaves: the modem's own book. The one that is selected is the first again.
    pub(crate) fn restart(&mut self) {
        self.selected = Book::default();
    }

    /// The entries of the modem's own book.
    pub(crate) fn equipment(&self) -> impl Iterator<Item = &Entry> {
        self.equipment.iter().flatten()
    }

    /// Puts these entries into the modem's own book, in the place of those that are there.
    pub(crate) fn restore(&mut self, entries: Vec<Entry>) {
        self.equipment.clear();
        for entry in entries {
            self.put(entry.index, Some(entry));
        }
    }

    /// Puts an entry at an index of the modem's own book, counted from 1.
    fn put(&mut self, index: usize, entry: Option<Entry>) {
        if self.equipment.len() < index {
            self.equipment.resize(index, None);
        }
        if let Some(slot) = index.checked_sub(1).and_then(|place| self.equipment.get_mut(place)) {
            *slot = entry;
        }
    }

    /// How many entries there can be, and how long they may be. A book that is not on the card holds none.
    pub(crate) fn limits(&self, files: &mut Files<'_>) -> Result<Limits, BookError> {
        match self.selected {
            Book::Equipment => Ok(Limits { entries: CAPACITY, number: NUMBER_LENGTH, name: NAME_LENGTH }),
            Book::Emergency => Ok(Limits { entries: EMERGENCY.len(), number: 6, name: 0 }),
            Book::Last | Book::Missed | Book::Received | Book::Dialled => {
                Ok(Limits { entries: CALLS, number: NUMBER_LENGTH, name: NAME_LENGTH })
            }
            book => match place(book, files)? {
                // TS 31.102 §4.4.2.3: 14 bytes behind the name; ten of them are digits.
                Some((_, length, count)) => {
                    Ok(Limits { entries: count.into(), number: 20, name: usize::from(length).saturating_sub(14) })
                }
                None => Ok(Limits::default()),
            },
        }
    }

    /// The entries that are in use, from `first` to `last`.
    pub(crate) fn read(&self, first: usize, last: usize, files: &mut Files<'_>) -> Result<Vec<Entry>, BookError> {
        let listed = |entries: &mut dyn Iterator<Item = Entry>| {
            entries.filter(|entry| (first..=last).contains(&entry.index)).collect()
        };
        match self.selected {
            Book::Equipment => Ok(listed(&mut self.equipment.iter().flatten().cloned())),
            Book::Emergency => Ok(listed(&mut EMERGENCY.iter().enumerate().map(|(place, number)| Entry {
                index: place + 1,
                number: (*number).to_owned(),
                kind: 129,
                name: String::new(),
            }))),
            // There are no calls.
            Book::Last | Book::Missed | Book::Received | Book::Dialled => Ok(Vec::new()),
            book => {
                let Some((path, ..)) = place(book, files)? else { return Ok(Vec::new()) };
                let number = |index: usize| u8::try_from(index).unwrap_or(u8::MAX);
                let records = files.read_records(path, number(first), number(last))?;
                Ok(records.iter().filter_map(|(number, record)| read_entry((*number).into(), record)).collect())
            }
        }
    }

    /// Writes an entry, or deletes it when there is none. Without an index the first free place is taken.
    pub(crate) fn write(
        &mut self,
        index: Option<usize>,
        entry: Option<(String, u8, String)>,
        files: &mut Files<'_>,
    ) -> Result<(), BookError> {
        if !self.selected.is_writable() {
            return Err(BookError::ReadOnly);
        }
        let limits = self.limits(files)?;
        let index = match index {
            Some(index) if (1..=limits.entries).contains(&index) => index,
            Some(_) => return Err(BookError::InvalidIndex),
            None => {
                let used = self.read(1, limits.entries, files)?;
                let is_free = |index: &usize| used.iter().all(|entry| entry.index != *index);
                (1..=limits.entries).find(is_free).ok_or(BookError::Full)?
            }
        };
        if let Some((number, _, name)) = &entry {
            if number.trim_start_matches('+').len() > limits.number {
                return Err(BookError::NumberTooLong);
            }
            if name.chars().count() > limits.name {
                return Err(BookError::NameTooLong);
            }
        }
        match self.selected {
            Book::Equipment => {
                self.put(index, entry.map(|(number, kind, name)| Entry { index, number, kind, name }));
                Ok(())
            }
            book @ (Book::Card | Book::Own | Book::Fixed) => {
                let (path, length, _) = place(book, files)?.ok_or(BookError::InvalidIndex)?;
                let record = match entry {
                    None => vec![0xFF; usize::from(length)],
                    Some((number, kind, name)) => {
                        write_entry(&number, kind, &name, length.into()).ok_or(BookError::NameTooLong)?
                    }
                };
                let number = u8::try_from(index).map_err(|_| BookError::InvalidIndex)?;
                Ok(files.write_record(path, number, &record)?)
            }
            _ => Err(BookError::ReadOnly),
        }
    }
}

/// TS 22.101 §10.1: what is always there.
const EMERGENCY: [&str; 2] = ["112", "911"];

/// A file of records: its path, their length and number.
type Located = (&'static [u16], u8, u8);

/// Where a book is on the card.
fn place(book: Book, files: &mut Files<'_>) -> Result<Option<Located>, CardError> {
    for path in book.paths() {
        match files.records(path) {
            Ok((length @ 14.., count)) => return Ok(Some((path, length, count))),
            Ok(_) | Err(CardError::Status(0x6A82) | CardError::Malformed) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The own numbers (EF_MSISDN).
pub(crate) fn own_numbers(files: &mut Files<'_>) -> Result<Vec<Entry>, CardError> {
    let Some((path, ..)) = place(Book::Own, files)? else { return Ok(Vec::new()) };
    let records = files.read_records(path, 1, u8::MAX)?;
    Ok(records.iter().filter_map(|(number, record)| read_entry((*number).into(), record)).collect())
}

/// A record (TS 31.102 §4.4.2.3): the name, then 14 bytes: length, type, ten of digits, two identifiers. `None` when
/// it is free.
fn read_entry(index: usize, record: &[u8]) -> Option<Entry> {
    let (name, rest) = record.split_last_chunk::<14>()?;
    let [length, kind, digits @ ..] = rest;
    let name = alpha_decode(name);
    if *length == 0xFF || !(1..=11).contains(length) {
        return (!name.is_empty()).then(|| Entry { index, number: String::new(), kind: 129, name });
    }
    let bytes = digits.get(..usize::from(*length) - 1)?;
    let digits = from_semi_octets(bytes, bytes.len() * 2);
    let plus = if kind & 0x70 == 0x10 { "+" } else { "" };
    Some(Entry { index, number: format!("{plus}{digits}"), kind: *kind, name })
}

fn write_entry(number: &str, kind: u8, name: &str, length: usize) -> Option<Vec<u8>> {
    let mut record = alpha_encode(name, length.checked_sub(14)?)?;
    let digits = to_semi_octets(number.trim_start_matches('+'));
    let kind = if number.starts_with('+') { INTERNATIONAL } else { kind };
    record.extend([digits.len() as u8 + 1, kind]);
    record.extend_from_slice(digits.get(..digits.len().min(10))?);
    record.resize(length, 0xFF);
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        // TS 31.102 §4.4.2.3: "Ann", +441234.
        let record = write_entry("+441234", 145, "Ann", 20).unwrap();
        assert_eq!(rsp::ids::to_hex(&record), "416E6EFFFFFF0491442143FFFFFFFFFFFFFFFFFF");
        let entry = read_entry(3, &record).unwrap();
        assert_eq!((entry.number.as_str(), entry.kind, entry.name.as_str()), ("+441234", 145, "Ann"));
        assert_eq!(read_entry(1, &[0xFF; 20]), None);
        assert_eq!(read_entry(1, &[0xFF; 5]), None);
        assert_eq!(write_entry("1", 129, "too long a name", 20), None);
    }
}
