//! The file area of a module, `UFS:` (the maker's FILE Application Note): named files, a size that they share, and handles
//! to files that are open.
//!
//! The area outlives restarts of the module. Where it is to outlive the program, too, a [`FileStore`] is told of every
//! change.

use std::collections::BTreeMap;

use crate::errors::CmeError;

/// The longest name.
const LONGEST_NAME: usize = 80;

/// How many files can be open at a time.
const OPEN: usize = 10;

/// Where files are kept beyond the life of a modem.
pub trait FileStore: Send {
    /// All files, by name.
    fn load(&mut self) -> Vec<(String, Vec<u8>)>;
    /// A file has this content now.
    fn save(&mut self, name: &str, content: &[u8]);
    /// A file is no more.
    fn remove(&mut self, name: &str);
}

/// An open file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenFile {
    pub(crate) handle: u32,
    pub(crate) name: String,
    pub(crate) mode: OpenMode,
    pub(crate) position: usize,
}

/// `<mode>` of `+QFOPEN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenMode {
    /// Made when it is not there.
    Create = 0,
    /// Made anew.
    Overwrite = 1,
    ReadOnly = 2,
}

/// The area.
pub(crate) struct FileArea {
    files: BTreeMap<String, Vec<u8>>,
    size: usize,
    open: Vec<OpenFile>,
    store: Option<Box<dyn FileStore>>,
}

/// The name of a file without its storage. Only `UFS` is there.
pub(crate) fn name(text: &[u8]) -> Result<String, CmeError> {
    let text = std::str::from_utf8(text).map_err(|_| CmeError::FileName)?;
    let name = match text.split_once(':') {
        Some((storage, name)) if storage.eq_ignore_ascii_case("UFS") => name,
        Some(_) => return Err(CmeError::FileName),
        None => text,
    };
    let fits = |c: char| c.is_ascii_graphic() || c == ' ';
    let is_bad = |c: char| !fits(c) || "\\*?\"<>|".contains(c);
    if name.is_empty() || name.len() > LONGEST_NAME || name.contains(is_bad) {
        return Err(CmeError::FileName);
    }
    Ok(name.to_owned())
}

/// The checksum of `+QFUPL` and `+QFDWL`: exclusive or over pairs of bytes, the last one filled up with zero.
pub(crate) fn checksum(content: &[u8]) -> u16 {
    content.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])).fold(0, |a, b| a ^ b)
}

impl FileArea {
    /// An empty area of so many bytes.
    pub(crate) fn new(size: usize) -> Self {
        FileArea { files: BTreeMap::new(), size, open: Vec::new(), store: None }
    }

    /// Takes what a store has, as far as it fits, and tells it of every change from now on.
    pub(crate) fn keep_in(&mut self, mut store: Box<dyn FileStore>) {
        for (name, content) in store.load() {
            if content.len() <= self.free() {
                self.files.insert(name, content);
            }
        }
        self.store = Some(store);
    }

    /// What a restart leaves: the files, none open.
    pub(crate) fn restart(&mut self) {
        self.open.clear();
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn used(&self) -> usize {
        self.files.values().map(Vec::len).sum()
    }

    pub(crate) fn free(&self) -> usize {
        self.size.saturating_sub(self.used())
    }

    /// Names and contents.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(name, content)| (name.as_str(), content.as_slice()))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// A file by its whole path, `UFS:` or not.
    pub(crate) fn at_path(&self, path: &str) -> Option<&[u8]> {
        self.get(&name(path.as_bytes()).ok()?)
    }

    fn saved(&mut self, name: &str) {
        if let (Some(store), Some(content)) = (&mut self.store, self.files.get(name)) {
            store.save(name, content);
        }
    }

    /// Puts a new file there.
    pub(crate) fn put(&mut self, name: &str, content: Vec<u8>) -> Result<(), CmeError> {
        if self.files.contains_key(name) {
            return Err(CmeError::FileExists);
        }
        if content.len() > self.free() {
            return Err(CmeError::NoSpace);
        }
        self.files.insert(name.to_owned(), content);
        self.saved(name);
        Ok(())
    }

    /// Removes a file that is not open.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), CmeError> {
        if self.open.iter().any(|open| open.name == name) {
            return Err(CmeError::FileOpen);
        }
        self.files.remove(name).ok_or(CmeError::FileNotFound)?;
        if let Some(store) = &mut self.store {
            store.remove(name);
        }
        Ok(())
    }

    /// Opens a file; gives its handle.
    pub(crate) fn open(&mut self, name: &str, mode: OpenMode) -> Result<u32, CmeError> {
        if self.open.iter().any(|open| open.name == name) {
            return Err(CmeError::FileOpen);
        }
        if self.open.len() >= OPEN {
            return Err(CmeError::TooManyFiles);
        }
        match (mode, self.files.contains_key(name)) {
            (OpenMode::ReadOnly, false) => return Err(CmeError::FileNotFound),
            (OpenMode::ReadOnly | OpenMode::Create, true) => {}
            (OpenMode::Create, false) | (OpenMode::Overwrite, _) => {
                self.files.insert(name.to_owned(), Vec::new());
                self.saved(name);
            }
        }
        let handle = (1..).find(|handle| self.open.iter().all(|open| open.handle != *handle)).unwrap_or(1);
        self.open.push(OpenFile { handle, name: name.to_owned(), mode, position: 0 });
        Ok(handle)
    }

    pub(crate) fn close(&mut self, handle: u32) -> Result<(), CmeError> {
        let at = self.open.iter().position(|open| open.handle == handle).ok_or(CmeError::FileHandle)?;
        self.open.remove(at);
        Ok(())
    }

    pub(crate) fn opened(&self) -> &[OpenFile] {
        &self.open
    }

    pub(crate) fn handle(&self, handle: u32) -> Result<&OpenFile, CmeError> {
        self.open.iter().find(|open| open.handle == handle).ok_or(CmeError::FileHandle)
    }

    fn handle_mut(&mut self, handle: u32) -> Result<(&mut OpenFile, &mut Vec<u8>), CmeError> {
        let open = self.open.iter_mut().find(|open| open.handle == handle).ok_or(CmeError::FileHandle)?;
        let content = self.files.get_mut(&open.name).ok_or(CmeError::FileNotFound)?;
        Ok((open, content))
    }

    /// Reads at most so many bytes from the position on.
    pub(crate) fn read(&mut self, handle: u32, most: Option<usize>) -> Result<Vec<u8>, CmeError> {
        let (open, content) = self.handle_mut(handle)?;
        let rest = content.get(open.position..).unwrap_or_default();
        let taken = rest.get(..most.unwrap_or(rest.len())).unwrap_or(rest).to_vec();
        open.position += taken.len();
        Ok(taken)
    }

    /// Whether so many bytes can be written.
    pub(crate) fn can_write(&self, handle: u32, count: usize) -> Result<(), CmeError> {
        let open = self.handle(handle)?;
        if open.mode == OpenMode::ReadOnly {
            return Err(CmeError::ReadOnly);
        }
        let within = self.get(&open.name).map_or(0, |content| content.len().saturating_sub(open.position));
        if count.saturating_sub(within) > self.free() { Err(CmeError::NoSpace) } else { Ok(()) }
    }

    /// Writes over what is at the position and beyond the end; gives the length of the file then.
    pub(crate) fn write(&mut self, handle: u32, bytes: &[u8]) -> Result<usize, CmeError> {
        self.can_write(handle, bytes.len())?;
        let (open, content) = self.handle_mut(handle)?;
        let end = open.position + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[open.position..end].copy_from_slice(bytes);
        open.position = end;
        let (length, name) = (content.len(), open.name.clone());
        self.saved(&name);
        Ok(length)
    }

    /// Moves the position; not beyond the end.
    pub(crate) fn seek(&mut self, handle: u32, position: usize) -> Result<(), CmeError> {
        let (open, content) = self.handle_mut(handle)?;
        if position > content.len() {
            return Err(CmeError::BeyondFile);
        }
        open.position = position;
        Ok(())
    }

    /// The length of an open file.
    pub(crate) fn length(&self, handle: u32) -> Result<usize, CmeError> {
        let open = self.handle(handle)?;
        Ok(self.get(&open.name).map_or(0, <[u8]>::len))
    }

    /// Cuts the file off at the position.
    pub(crate) fn truncate(&mut self, handle: u32) -> Result<(), CmeError> {
        let (open, content) = self.handle_mut(handle)?;
        if open.mode == OpenMode::ReadOnly {
            return Err(CmeError::ReadOnly);
        }
        content.truncate(open.position);
        let name = open.name.clone();
        self.saved(&name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name(b"UFS:cacert.pem").as_deref(), Ok("cacert.pem"));
        assert_eq!(name(b"cacert.pem").as_deref(), Ok("cacert.pem"));
        for bad in [&b"SD:x"[..], b"", b"UFS:", b"a*b", b"a\nb", b"\xFF", &[b'a'; 81]] {
            assert_eq!(name(bad), Err(CmeError::FileName));
        }
    }

    #[test]
    fn sums() {
        assert_eq!(checksum(b""), 0);
        assert_eq!(checksum(b"0123456789"), 0x3839);
        assert_eq!(checksum(b"abc"), 0x6162 ^ 0x6300);
    }

    #[test]
    fn an_area_has_an_end() {
        let mut area = FileArea::new(10);
        area.put("a", vec![1; 6]).unwrap();
        assert_eq!(area.put("a", Vec::new()), Err(CmeError::FileExists));
        assert_eq!(area.put("b", vec![1; 5]), Err(CmeError::NoSpace));
        let handle = area.open("a", OpenMode::Create).unwrap();
        assert_eq!(area.open("a", OpenMode::Create), Err(CmeError::FileOpen));
        assert_eq!(area.remove("a"), Err(CmeError::FileOpen));
        area.seek(handle, 4).unwrap();
        assert_eq!(area.write(handle, &[2; 7]), Err(CmeError::NoSpace));
        assert_eq!(area.write(handle, &[2; 6]), Ok(10));
        assert_eq!(area.seek(handle, 11), Err(CmeError::BeyondFile));
        area.seek(handle, 3).unwrap();
        assert_eq!(area.read(handle, Some(3)).unwrap(), [1, 2, 2]);
        area.truncate(handle).unwrap();
        assert_eq!((area.length(handle), area.free()), (Ok(6), 4));
        area.close(handle).unwrap();
        assert_eq!(area.read(handle, None), Err(CmeError::FileHandle));
        let handle = area.open("a", OpenMode::ReadOnly).unwrap();
        assert_eq!(area.write(handle, &[1]), Err(CmeError::ReadOnly));
        area.restart();
        assert_eq!(area.remove("a"), Ok(()));
        assert_eq!(area.open("a", OpenMode::ReadOnly), Err(CmeError::FileNotFound));
    }
}
