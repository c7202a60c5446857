//! Where the card keeps its data without power: nowhere but in memory, or in one redb file.
//!
//! The data are records, each under a short key, sealed with a check value. A [`Batch`] of records is written and
//! deleted in one transaction: after a cut at any write the file holds what was before it or what came after.
//!
//! A file is read whole into memory and examined there before it is opened for writing. So one that is damaged, of
//! another version or of another program is refused as it is, and nothing in it changes.
//!
//! A database does not overwrite what it sets free. So once a secret is deleted the file is written anew beside itself,
//! takes the place of the old one, and the old one is overwritten: see [`Nvram::forget`].

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableError};
use rsp::crypto::sha256;
use zeroize::Zeroizing;

pub use redb::StorageBackend;

/// The version of the layout of the records. It counts up whenever an older program would misread them.
pub(crate) const LAYOUT: u32 = 1;

/// The one table of the database.
const RECORDS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("esimlab-card");

/// The key of the record that tells the layout. Its form is the same in all versions.
const LAYOUT_KEY: &[u8] = b"layout";

/// The length of the check value at the end of a record.
const CHECK_LENGTH: usize = 8;

/// The page cache of the database; a card's data are a few hundred kilobytes.
const CACHE: usize = 2 << 20;

/// A store that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NvramError {
    /// The file cannot be read or written.
    #[error("the card's store cannot be used: {0}")]
    Io(#[from] std::io::Error),
    /// Another program, or another card of this one, has the file open.
    #[error("the card's store is in use already; end the program that has it open, or give another file")]
    InUse,
    /// The content is not what was written.
    #[error(
        "the card's store is damaged: {problem}. It is left as it is; restore it from a copy, or give a file that \
         does not exist yet to begin with a new card"
    )]
    Damaged {
        /// What is wrong.
        problem: String,
    },
    /// The layout is of another version.
    #[error(
        "the card's store has layout {found}, and this program reads layout {LAYOUT}; {}",
        if *found > LAYOUT { "use the newer program that has written it" } else { "it cannot be taken over: give another file" }
    )]
    OtherVersion {
        /// The version in the store.
        found: u32,
    },
    /// The store belongs to a card with another EID.
    #[error("the card's store is that of the eUICC {found}, not of {expected}; give that EID, or another file")]
    OtherCard {
        /// The EID in the store.
        found: String,
        /// The EID of this card.
        expected: String,
    },
}

impl NvramError {
    pub(crate) fn damaged(problem: impl fmt::Display) -> Self {
        NvramError::Damaged { problem: problem.to_string() }
    }
}

/// Records by their keys. They are wiped when they go.
pub(crate) type Records = BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>;

/// What one transaction changes: first it deletes, then it puts.
#[derive(Default)]
pub(crate) struct Batch {
    deletes: Vec<Vec<u8>>,
    puts: Vec<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl Batch {
    pub(crate) fn put(&mut self, key: Vec<u8>, content: impl Into<Zeroizing<Vec<u8>>>) {
        self.puts.push((key, content.into()));
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.deletes.push(key);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deletes.is_empty() && self.puts.is_empty()
    }
}

/// The memory of a card that outlives its power. [`Nvram::memory`] lives as long as the card does.
#[derive(Default)]
pub struct Nvram {
    database: Option<Database>,
    /// The file, when it is one.
    path: Option<PathBuf>,
    /// What was in the store when it was opened.
    found: Option<Records>,
}

impl fmt::Debug for Nvram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.database.is_some() { "Nvram(redb)" } else { "Nvram(memory)" })
    }
}

impl Nvram {
    /// Nothing is kept beyond the life of the card.
    pub fn memory() -> Self {
        Nvram::default()
    }

    /// The file at `path`; it is made when it does not exist.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, NvramError> {
        let path = path.as_ref();
        let content = match std::fs::read(path) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let found = examine(content)?;
        let database = open_database(path)?;
        // Whoever has opened the file under a link writes it anew where it is.
        let path = path.canonicalize()?;
        // What a cut has left of a file that was being written anew: nobody else is at it, the lock is ours.
        overwrite(&beside(&path))?;
        Ok(Nvram { database: Some(database), path: Some(path), found })
    }

    /// Any other storage: a test's, which may stop at any write.
    pub fn backend(backend: impl StorageBackend) -> Result<Self, NvramError> {
        let mut content = vec![0; usize::try_from(backend.len()?).unwrap_or(usize::MAX)];
        backend.read(0, &mut content)?;
        let found = examine(content)?;
        let database = builder().create_with_backend(backend).map_err(cannot_open)?;
        Ok(Nvram { database: Some(database), path: None, found })
    }

    /// The records that were there; `None` for a store that is new.
    pub(crate) fn take_found(&mut self) -> Option<Records> {
        self.found.take()
    }

    /// Whether what is written is kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.database.is_some()
    }

    /// Carries out the batch in one transaction. When this returns without error everything of it is kept; after an
    /// error all of it is, or nothing.
    pub(crate) fn write(&mut self, batch: Batch) -> Result<(), NvramError> {
        let Some(database) = &self.database else { return Ok(()) };
        let failed = |error: redb::Error| NvramError::Io(std::io::Error::other(error.to_string()));
        let transaction = database.begin_write().map_err(|error| failed(error.into()))?;
        {
            let mut table = transaction.open_table(RECORDS).map_err(|error| failed(error.into()))?;
            let layout = LAYOUT.to_be_bytes();
            table.insert(LAYOUT_KEY, &layout[..]).map_err(|error| failed(error.into()))?;
            for key in batch.deletes {
                drop(table.remove(&key[..]).map_err(|error| failed(error.into()))?);
            }
            for (key, mut content) in batch.puts {
                let check = check_value(&key, &content);
                content.extend_from_slice(&check);
                table.insert(&key[..], &content[..]).map_err(|error| failed(error.into()))?;
            }
        }
        transaction.commit().map_err(|error| failed(error.into()))
    }

    /// Leaves nothing of what has been deleted: the file is written anew, takes the place of the old one, and that one
    /// is overwritten. A cut at any moment leaves one of the two, and they say the same.
    pub(crate) fn forget(&mut self) -> Result<(), NvramError> {
        let (Some(database), Some(path)) = (&self.database, &self.path) else { return Ok(()) };
        let failed = |error: redb::Error| NvramError::Io(std::io::Error::other(error.to_string()));
        let new_path = beside(path);
        overwrite(&new_path)?;
        let new = open_database(&new_path)?;
        {
            let from = database.begin_read().map_err(|error| failed(error.into()))?;
            let from = from.open_table(RECORDS).map_err(|error| failed(error.into()))?;
            let transaction = new.begin_write().map_err(|error| failed(error.into()))?;
            {
                let mut table = transaction.open_table(RECORDS).map_err(|error| failed(error.into()))?;
                for record in from.iter().map_err(|error| failed(error.into()))? {
                    let (key, content) = record.map_err(|error| failed(error.into()))?;
                    table.insert(key.value(), content.value()).map_err(|error| failed(error.into()))?;
                }
            }
            transaction.commit().map_err(|error| failed(error.into()))?;
        }
        let old = std::fs::OpenOptions::new().write(true).open(path)?;
        std::fs::rename(&new_path, path)?;
        // The old one is the only one until the folder says otherwise.
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
        // It is closed before it is overwritten: it puts its last page in order when it goes.
        drop(self.database.replace(new));
        fill_with_zeros(&old)?;
        Ok(())
    }
}

/// Opens the database in a file, or makes it. There are keys in it: it is for its owner alone, from the first moment.
fn open_database(path: &Path) -> Result<Database, NvramError> {
    let file =
        std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let opened = file.metadata()?.ino();
    let database = builder().create_file(file).map_err(cannot_open)?;
    // Between opening and locking another card may have put a new file in its place.
    if std::fs::metadata(path)?.ino() != opened {
        return Err(NvramError::InUse);
    }
    Ok(database)
}

/// Where a file is written anew.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn fill_with_zeros(file: &File) -> std::io::Result<()> {
    let length = file.metadata()?.len();
    let zeros = [0; 1 << 14];
    let mut at = 0;
    while at < length {
        let part = zeros.len().min((length - at) as usize);
        file.write_all_at(&zeros[..part], at)?;
        at += part as u64;
    }
    file.sync_data()
}

/// Overwrites and removes a file, when it is there.
fn overwrite(path: &Path) -> std::io::Result<()> {
    match std::fs::OpenOptions::new().write(true).open(path) {
        Ok(file) => fill_with_zeros(&file).and_then(|()| std::fs::remove_file(path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The check value of a record: it covers the key, so that no record passes for another.
fn check_value(key: &[u8], content: &[u8]) -> [u8; CHECK_LENGTH] {
    let digest = sha256(&[&(key.len() as u64).to_be_bytes(), key, content]);
    std::array::from_fn(|index| digest[index])
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

fn cannot_open(error: DatabaseError) -> NvramError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => NvramError::InUse,
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() != std::io::ErrorKind::InvalidData => {
            NvramError::Io(error)
        }
        error => NvramError::damaged(error),
    }
}

/// Reads the records out of a copy of the file; `None` when nothing has been written to it yet.
fn examine(content: Vec<u8>) -> Result<Option<Records>, NvramError> {
    if content.is_empty() {
        return Ok(None);
    }
    // The database trusts its own pages and may panic on what is none.
    let examined = catch_unwind(AssertUnwindSafe(|| {
        let database = builder().create_with_backend(Copy(Mutex::new(content))).map_err(|error| match error {
            DatabaseError::UpgradeRequired(version) => {
                NvramError::damaged(format!("it is a database of the old format {version}"))
            }
            error => NvramError::damaged(error),
        })?;
        read_records(&database)
    }));
    examined.unwrap_or_else(|_| Err(NvramError::damaged("its pages contradict each other")))
}

fn read_records(database: &Database) -> Result<Option<Records>, NvramError> {
    let transaction = database.begin_read().map_err(NvramError::damaged)?;
    let table = match transaction.open_table(RECORDS) {
        Ok(table) => table,
        // Cut off before the first transaction: the store is as new. Other tables are somebody else's.
        Err(TableError::TableDoesNotExist(_)) => {
            return match transaction.list_tables().map_err(NvramError::damaged)?.next() {
                None => Ok(None),
                Some(_) => Err(NvramError::damaged("it is the database of another program")),
            };
        }
        Err(error) => return Err(NvramError::damaged(error)),
    };
    let layout = table.get(LAYOUT_KEY).map_err(NvramError::damaged)?;
    let layout = layout.as_ref().and_then(|layout| <[u8; 4]>::try_from(layout.value()).ok());
    let layout = u32::from_be_bytes(layout.ok_or_else(|| NvramError::damaged("it does not tell its layout"))?);
    if layout != LAYOUT {
        return Err(NvramError::OtherVersion { found: layout });
    }
    let mut records = Records::new();
    for record in table.iter().map_err(NvramError::damaged)? {
        let (key, content) = record.map_err(NvramError::damaged)?;
        let (key, content) = (key.value(), content.value());
        if key == LAYOUT_KEY {
            continue;
        }
        let intact = content.split_last_chunk::<CHECK_LENGTH>();
        match intact.filter(|(content, check)| check_value(key, content) == **check) {
            Some((content, _)) => records.insert(key.to_vec(), Zeroizing::new(content.to_vec())),
            None => return Err(NvramError::damaged("a record has another content than was written")),
        };
    }
    Ok(Some(records))
}

/// A copy of a store in memory, in which the database may repair what it likes.
struct Copy(Mutex<Vec<u8>>);

impl Drop for Copy {
    fn drop(&mut self) {
        // There are keys in it.
        self.with(|content| {
            content.fill(0);
            std::hint::black_box(content.as_slice());
        });
    }
}

impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Copy")
    }
}

impl Copy {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The bytes from `offset` on, `length` of them.
fn range(content: &mut [u8], offset: u64, length: usize) -> std::io::Result<&mut [u8]> {
    let start = usize::try_from(offset).ok();
    let range = start.and_then(|start| Some(start..start.checked_add(length)?));
    range.and_then(|range| content.get_mut(range)).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

impl StorageBackend for Copy {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.with(|content| content.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.with(|content| range(content, offset, out.len()).map(|bytes| out.copy_from_slice(bytes)))
    }

    fn set_len(&self, length: u64) -> std::io::Result<()> {
        /// No card's store is longer; a damaged one may say it is.
        const LIMIT: u64 = 1 << 30;
        if length > LIMIT {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.with(|content| content.resize(length as usize, 0));
        Ok(())
    }

    fn sync_data(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.with(|content| range(content, offset, data.len()).map(|bytes| bytes.copy_from_slice(data)))
    }
}
