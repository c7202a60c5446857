//! Files (the maker's FILE Application Note for LTE modules).

use std::time::Duration;

use super::{Exec, Next, Outcome, at_most};
use crate::entry::{End, Entry, Interruption, Purpose};
use crate::errors::CmeError;
use crate::files::{OpenMode, checksum, name};
use crate::parse::{Params, quote};
use crate::result::{Failure, ResultCode};
use crate::state::State;

const INVALID: Failure = Failure::Cme(CmeError::FileInput);

/// How much `+QFUPL` takes when no size is told.
const UPLOAD: u32 = 10_240;

/// How long a host may pause, in seconds.
const PAUSE: u32 = 5;

fn file(params: &Params, index: usize) -> Result<String, Failure> {
    Ok(name(params.quoted(index).ok_or(INVALID)?)?)
}

fn number(params: &Params, index: usize, default: Option<u32>) -> Result<u32, Failure> {
    if params.omitted(index) { default.ok_or(INVALID) } else { params.number(index).ok_or(INVALID) }
}

/// A handle.
fn handle(params: &Params) -> Result<u32, Failure> {
    params.number(0).ok_or(INVALID)
}

fn pause(params: &Params, index: usize) -> Result<Duration, Failure> {
    match number(params, index, Some(PAUSE))? {
        seconds @ 1..=65_535 => Ok(Duration::from_secs(seconds.into())),
        _ => Err(INVALID),
    }
}

/// `+QFLDS`: bytes and files that are there.
pub(super) fn used(exec: &mut Exec<'_>) -> Outcome {
    let files = &exec.state.files;
    exec.line(format!("+QFLDS: {},{}", files.used(), files.all().count()));
    Ok(())
}

/// `+QFLDS=<name_pattern>`: bytes that are free, and in all.
pub(super) fn space(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    if !params.quoted(0).is_some_and(|storage| storage.eq_ignore_ascii_case(b"UFS")) {
        return Err(INVALID);
    }
    let files = &exec.state.files;
    exec.line(format!("+QFLDS: {},{}", files.free(), files.size()));
    Ok(())
}

/// `+QFLST`: all files.
pub(super) fn list(exec: &mut Exec<'_>) -> Outcome {
    tell(exec, "*");
    Ok(())
}

/// `+QFLST=<name_pattern>`: `*` stands for anything.
pub(super) fn list_like(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    let pattern = pattern(params)?;
    tell(exec, &pattern);
    Ok(())
}

fn pattern(params: &Params) -> Result<String, Failure> {
    let text = params.quoted(0).and_then(|text| std::str::from_utf8(text).ok()).ok_or(INVALID)?;
    let rest = text.strip_prefix("UFS:").unwrap_or(if text == "UFS" { "*" } else { text });
    Ok(if rest.is_empty() { "*".to_owned() } else { rest.to_owned() })
}

fn tell(exec: &mut Exec<'_>, pattern: &str) {
    let lines: Vec<String> = exec
        .state
        .files
        .all()
        .filter(|(name, _)| matches(pattern, name))
        .map(|(name, content)| format!("+QFLST: {},{}", quote(name), content.len()))
        .collect();
    exec.lines.extend(lines);
}

/// Whether a name fits a pattern with `*` in it.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some(at) = rest.find(middle) else { return false };
            rest = rest.get(at + middle.len()..).unwrap_or_default();
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

/// `+QFDEL=<filename>`: `"*"` stands for all of them.
pub(super) fn delete(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    if pattern(params)? != "*" {
        let name = file(params, 0)?;
        return Ok(exec.state.files.remove(&name)?);
    }
    let all: Vec<String> = exec.state.files.all().map(|(name, _)| name.to_owned()).collect();
    for name in all {
        exec.state.files.remove(&name)?;
    }
    Ok(())
}

/// `+QFUPL=?`
pub(super) fn test_upload(exec: &mut Exec<'_>) -> Outcome {
    let free = exec.state.files.free();
    exec.line(format!("+QFUPL: <filename>[,(1-{free})[,(1-65535)[,(0,1)]]]"));
    Ok(())
}

/// `+QFUPL=<filename>[,<file_size>[,<timeout>[,<ackmode>]]]`
pub(super) fn upload(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 4)?;
    let name = file(params, 0)?;
    let size = number(params, 1, Some(UPLOAD))? as usize;
    let timeout = pause(params, 2)?;
    let acknowledges = match number(params, 3, Some(0))? {
        0 => false,
        1 => true,
        _ => return Err(INVALID),
    };
    if size == 0 || !exec.is_last {
        return Err(INVALID);
    }
    let files = &exec.state.files;
    if files.get(&name).is_some() {
        return Err(CmeError::FileExists.into());
    }
    // Without a size, what comes until a pause is the file.
    if size > files.free() && !params.omitted(1) {
        return Err(CmeError::NoSpace.into());
    }
    let sized = !params.omitted(1);
    connect(exec, Entry::new(Purpose::Upload { name, sized, acknowledges }, End::Count(size), Some(timeout)))
}

fn connect(exec: &mut Exec<'_>, entry: Entry) -> Outcome {
    exec.code = Some(ResultCode::ConnectData);
    exec.next = Next::Entry(Box::new(entry));
    Ok(())
}

/// `+QFDWL=<filename>`
pub(super) fn download(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    let name = file(params, 0)?;
    let content = exec.state.files.get(&name).ok_or(CmeError::FileNotFound)?.to_vec();
    let line = format!("+QFDWL: {},{:x}", content.len(), checksum(&content));
    exec.framed("CONNECT", content);
    exec.line(line);
    Ok(())
}

/// `+QFOPEN=<filename>[,<mode>]`
pub(super) fn open(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    let name = file(params, 0)?;
    let mode = match number(params, 1, Some(0))? {
        0 => OpenMode::Create,
        1 => OpenMode::Overwrite,
        2 => OpenMode::ReadOnly,
        _ => return Err(INVALID),
    };
    let handle = exec.state.files.open(&name, mode)?;
    exec.line(format!("+QFOPEN: {handle}"));
    Ok(())
}

/// `+QFOPEN?`
pub(super) fn read_open(exec: &mut Exec<'_>) -> Outcome {
    let line =
        |open: &crate::files::OpenFile| format!("+QFOPEN: {},{},{}", quote(&open.name), open.handle, open.mode as u8);
    let lines: Vec<String> = exec.state.files.opened().iter().map(line).collect();
    exec.lines.extend(lines);
    Ok(())
}

/// `+QFREAD=<filehandle>[,<length>]`
pub(super) fn read(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    let most = (!params.omitted(1)).then(|| number(params, 1, None)).transpose()?;
    let data = exec.state.files.read(handle(params)?, most.map(|most| most as usize))?;
    exec.framed(&format!("CONNECT {}", data.len()), data);
    Ok(())
}

/// `+QFWRITE=<filehandle>[,<length>[,<timeout>]]`
pub(super) fn write(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 3)?;
    let handle = handle(params)?;
    let length = number(params, 1, Some(UPLOAD))? as usize;
    let timeout = pause(params, 2)?;
    if length == 0 || !exec.is_last {
        return Err(INVALID);
    }
    exec.state.files.can_write(handle, if params.omitted(1) { 0 } else { length })?;
    connect(exec, Entry::new(Purpose::Write { handle }, End::Count(length), Some(timeout)))
}

/// `+QFSEEK=<filehandle>,<offset>[,<position>]`: from the beginning, the position or the end.
pub(super) fn seek(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 3)?;
    let handle = handle(params)?;
    let offset = number(params, 1, None)? as usize;
    let files = &mut exec.state.files;
    let from = match number(params, 2, Some(0))? {
        0 => 0,
        1 => files.handle(handle)?.position,
        2 => files.length(handle)?,
        _ => return Err(INVALID),
    };
    Ok(files.seek(handle, from.saturating_add(offset))?)
}

/// `+QFPOSITION=<filehandle>`
pub(super) fn position(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    let position = exec.state.files.handle(handle(params)?)?.position;
    exec.line(format!("+QFPOSITION: {position}"));
    Ok(())
}

/// `+QFTUCAT=<filehandle>`: what is behind the position goes.
pub(super) fn truncate(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    Ok(exec.state.files.truncate(handle(params)?)?)
}

/// `+QFFLUSH=<filehandle>`: everything is written when it is written.
pub(super) fn flush(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    exec.state.files.handle(handle(params)?)?;
    Ok(())
}

/// `+QFCLOSE=<filehandle>`
pub(super) fn close(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 1)?;
    Ok(exec.state.files.close(handle(params)?)?)
}

/// The data behind a `CONNECT` have come, or have ended early.
pub(crate) fn entered(state: &mut State, entry: Entry, early: Option<Interruption>) -> Result<Vec<String>, Failure> {
    match entry.purpose {
        Purpose::Upload { name, sized, .. } => {
            // A size that was told and has not come is an error, and there is no file.
            if early == Some(Interruption::Timeout) && (sized || entry.data.is_empty()) {
                return Err(CmeError::FileTimeout.into());
            }
            let (length, sum) = (entry.data.len(), checksum(&entry.data));
            state.files.put(&name, entry.data)?;
            Ok(vec![format!("+QFUPL: {length},{sum:x}")])
        }
        Purpose::Write { handle } => {
            let total = state.files.write(handle, &entry.data)?;
            Ok(vec![format!("+QFWRITE: {},{total}", entry.data.len())])
        }
        Purpose::Send { .. } => Err(Failure::Error),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("*", "a", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*.pem", "ca.pem", true),
            ("*.pem", "ca.pem.old", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
