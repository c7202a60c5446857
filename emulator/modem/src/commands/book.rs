//! Phone books for hosts (TS 27.007 §8.11 to §8.14), and the own number (§7.1).

use super::{Exec, INCORRECT, Outcome, at_most, name};
use crate::errors::CmeError;
use crate::parse::Params;
use crate::phonebook::{Book, BookError, Entry, Limits, own_numbers};
use crate::result::Failure;
use crate::sim::Files;
use crate::sms::pdu::Address;

impl From<BookError> for Failure {
    fn from(error: BookError) -> Self {
        Failure::Cme(match error {
            BookError::InvalidIndex => CmeError::InvalidIndex,
            BookError::Full => CmeError::MemoryFull,
            BookError::NumberTooLong => CmeError::DialTooLong,
            BookError::NameTooLong => CmeError::TextTooLong,
            BookError::ReadOnly => CmeError::OperationNotAllowed,
            BookError::Card(error) => return error.into(),
        })
    }
}

/// The books and the files of the card at once.
fn with<T>(
    exec: &mut Exec<'_>,
    work: impl FnOnce(&mut crate::phonebook::PhoneBook, &mut Files<'_>) -> Result<T, BookError>,
) -> Result<T, Failure> {
    if exec.state.phone_book.selected != Book::Equipment {
        exec.state.sim_ready()?;
    }
    let state = &mut *exec.state;
    let mut files = Files { uicc: &mut state.uicc, tap: &mut state.tap, usim: state.sim.usim.as_deref() };
    Ok(work(&mut state.phone_book, &mut files)?)
}

/// `+CNUM` (TS 27.007 §7.1): EF_MSISDN.
pub(super) fn own(exec: &mut Exec<'_>) -> Outcome {
    exec.state.sim_ready()?;
    for Entry { number, kind, name, .. } in own_numbers(&mut exec.state.files())? {
        let line = format!("+CNUM: {},\"{number}\",{kind}", exec.text(&name));
        exec.line(line);
    }
    Ok(())
}

/// `+CPBS=?`
pub(super) fn test_cpbs(exec: &mut Exec<'_>) -> Outcome {
    let names: Vec<String> = Book::ALL.iter().map(|book| format!("\"{}\"", book.name())).collect();
    exec.line(format!("+CPBS: ({})", names.join(",")));
    Ok(())
}

/// `+CPBS?`
pub(super) fn read_cpbs(exec: &mut Exec<'_>) -> Outcome {
    let (limits, used) = with(exec, |book, files| {
        let limits = book.limits(files)?;
        Ok((limits, book.read(1, limits.entries, files)?.len()))
    })?;
    exec.line(format!("+CPBS: \"{}\",{used},{}", exec.state.phone_book.selected.name(), limits.entries));
    Ok(())
}

/// `+CPBS=<storage>[,<password>]`
pub(super) fn write_cpbs(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    let wanted = name(params, 0)?;
    let book = Book::ALL.into_iter().find(|book| book.name() == wanted).ok_or(INCORRECT)?;
    if book != Book::Equipment {
        exec.state.sim_ready()?;
    }
    exec.state.phone_book.selected = book;
    Ok(())
}

/// A book of which the card has no file has no range to tell.
fn is_there(entries: usize) -> Outcome {
    if entries == 0 { Err(CmeError::NotFound.into()) } else { Ok(()) }
}

/// `+CPBR=?`
pub(super) fn test_cpbr(exec: &mut Exec<'_>) -> Outcome {
    let Limits { entries, number, name } = with(exec, |book, files| book.limits(files))?;
    is_there(entries)?;
    exec.line(format!("+CPBR: (1-{entries}),{number},{name}"));
    Ok(())
}

/// `+CPBR=<index1>[,<index2>]`
pub(super) fn read_entries(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    let first = params.number(0).ok_or(INCORRECT)? as usize;
    let last = match params.omitted(1) {
        true => first,
        false => params.number(1).ok_or(INCORRECT)? as usize,
    };
    let entries = with(exec, |book, files| {
        let limits = book.limits(files)?;
        if first == 0 || last < first || last > limits.entries {
            return Err(BookError::InvalidIndex);
        }
        book.read(first, last, files)
    })?;
    for Entry { index, number, kind, name } in entries {
        let line = format!("+CPBR: {index},\"{number}\",{kind},{}", exec.text(&name));
        exec.line(line);
    }
    Ok(())
}

/// `+CPBW=?`
pub(super) fn test_cpbw(exec: &mut Exec<'_>) -> Outcome {
    let Limits { entries, number, name } = with(exec, |book, files| book.limits(files))?;
    is_there(entries)?;
    exec.line(format!("+CPBW: (1-{entries}),{number},(129,145,161),{name}"));
    Ok(())
}

/// `+CPBW=[<index>][,<number>[,<type>[,<text>]]]`: with an index alone the entry is deleted.
pub(super) fn write_entry(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 4)?;
    let index = match params.omitted(0) {
        true => None,
        false => Some(params.number(0).ok_or(INCORRECT)? as usize),
    };
    let entry = match params.len() {
        0 | 1 => None,
        _ => {
            let number = params.text(1).and_then(|text| std::str::from_utf8(text).ok()).ok_or(INCORRECT)?;
            let kind = match params.omitted(2) {
                true => None,
                false => Some(params.number(2).filter(|kind| matches!(kind, 129 | 145 | 161)).ok_or(INCORRECT)? as u8),
            };
            if number.trim_start_matches('+').len() > 20 {
                return Err(CmeError::DialTooLong.into());
            }
            let address = Address::parse(number, kind).ok_or(CmeError::InvalidDialCharacters)?;
            // TS 27.007 §8.14: the type tells what a plus sign says.
            let digits = address.number.trim_start_matches('+');
            let number = if address.kind == 145 { format!("+{digits}") } else { digits.to_owned() };
            let text = match params.text(3) {
                None => String::new(),
                Some(text) => exec.settings.charset.decode(text).ok_or(CmeError::InvalidCharacters)?,
            };
            Some((number, address.kind, text))
        }
    };
    if index.is_none() && entry.is_none() {
        return Err(INCORRECT);
    }
    with(exec, |book, files| book.write(index, entry, files))
}
