//! A store whose power can be cut at a write: what was written before is there afterwards, what comes after is not.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use euicc::StorageBackend;

/// A store in memory. A clone is another handle on the same one.
#[derive(Debug, Clone, Default)]
pub struct CuttableStore(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    content: Vec<u8>,
    /// How many writes are left until the power fails; none is cut when absent.
    left: Option<u64>,
    has_power: bool,
}

impl CuttableStore {
    /// An empty store, with power.
    pub fn new() -> Self {
        CuttableStore(Arc::new(Mutex::new(Inner { content: Vec::new(), left: None, has_power: true })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Bytes and a number: a panic elsewhere cannot leave them half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the power fail at the `nth` write from now on, counted from 1: that one is not done any more.
    pub fn cut_at(&self, nth: u64) {
        self.lock().left = Some(nth.max(1) - 1);
    }

    /// Whether the power has failed.
    pub fn is_cut(&self) -> bool {
        !self.lock().has_power
    }

    /// Brings the power back. It does not fail again by itself.
    pub fn restore(&self) {
        let mut inner = self.lock();
        inner.has_power = true;
        inner.left = None;
    }

    /// Counts a write; an error when there is no power for it.
    fn write_with(&self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        let mut inner = self.lock();
        if inner.left == Some(0) {
            inner.has_power = false;
        }
        if !inner.has_power {
            return Err(io::Error::other("the power has failed"));
        }
        if let Some(left) = &mut inner.left {
            *left -= 1;
        }
        write(&mut inner.content)
    }
}

fn range(content: &mut [u8], offset: u64, length: usize) -> io::Result<&mut [u8]> {
    let start = usize::try_from(offset).ok();
    let range = start.and_then(|start| Some(start..start.checked_add(length)?));
    range.and_then(|range| content.get_mut(range)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

impl StorageBackend for CuttableStore {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().content.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        range(&mut self.lock().content, offset, out.len()).map(|bytes| out.copy_from_slice(bytes))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.write_with(|content| {
            content.resize(length, 0);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.is_cut() { Err(io::Error::other("the power has failed")) } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write_with(|content| range(content, offset, data.len()).map(|bytes| bytes.copy_from_slice(data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_power_fails_at_the_write_that_was_said_and_what_was_before_is_kept() {
        let store = CuttableStore::new();
        store.set_len(4).unwrap();
        store.cut_at(2);
        store.write(0, &[1, 2]).unwrap();
        assert!(!store.is_cut());
        assert!(store.write(2, &[3, 4]).is_err() && store.is_cut());
        assert!(store.write(0, &[9]).is_err() && store.sync_data().is_err());
        store.restore();
        let mut content = [9; 4];
        store.read(0, &mut content).unwrap();
        assert_eq!(content, [1, 2, 0, 0]);
        store.write(2, &[3, 4]).unwrap();
        assert!(store.write(4, &[5]).is_err() && !store.is_cut());
    }
}
