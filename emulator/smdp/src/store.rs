//! The store: what has to outlive the server, in one redb file.
//!
//! [`Smdp::drain_changes`](crate::Smdp::drain_changes) → [`Store::keep`] → a thread of the store's own, which writes
//! what has come in the meantime in one transaction → the one who waits for it. After a kill at any moment the file
//! has whole transactions only.

use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};
use tokio::sync::oneshot;

use crate::server::{Change, Table};

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

fn definition(table: Table) -> Definition {
    TableDefinition::new(table.name())
}

/// A store that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened, or is none of a store.
    #[error("the store cannot be opened: {0}; is another server using it?")]
    Open(#[from] redb::DatabaseError),
    /// It cannot be read or written.
    #[error("the store cannot be used: {0}")]
    Use(Box<redb::Error>),
    /// No thread could be started for it.
    #[error("the store cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl<E: Into<redb::Error>> From<StoreFault<E>> for StoreError {
    fn from(fault: StoreFault<E>) -> Self {
        StoreError::Use(Box::new(fault.0.into()))
    }
}

struct StoreFault<E>(E);

fn fault<E: Into<redb::Error>>(error: E) -> StoreError {
    StoreFault(error).into()
}

struct Job {
    changes: Vec<Change>,
    done: oneshot::Sender<Result<(), String>>,
}

/// What waits for changes to be written.
pub type Ticket = oneshot::Receiver<Result<(), String>>;

/// A store that is open.
pub struct Store {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens a file, or makes it, and reads what is in it.
    pub fn open(path: &Path) -> Result<(Self, Vec<Change>), StoreError> {
        use std::os::unix::fs::OpenOptionsExt;
        // The keys of profiles are in it: it is for its owner only from the first moment.
        std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        Store::on(Database::create(path)?)
    }

    /// The same on any storage, in memory or one that breaks.
    pub fn on_backend(backend: impl StorageBackend) -> Result<(Self, Vec<Change>), StoreError> {
        Store::on(Database::builder().create_with_backend(backend)?)
    }

    fn on(database: Database) -> Result<(Self, Vec<Change>), StoreError> {
        let records = read(&database)?;
        let (jobs, queue) = mpsc::channel();
        let thread =
            std::thread::Builder::new().name("smdp-store".to_owned()).spawn(move || work(&database, &queue))?;
        Ok((Store { jobs: Some(jobs), thread: Some(thread) }, records))
    }

    /// Has changes written, after those that came before. The ticket tells when they are safe.
    pub fn keep(&self, changes: Vec<Change>) -> Ticket {
        let (done, ticket) = oneshot::channel();
        if let Some(jobs) = &self.jobs {
            // Without a thread the ticket tells that nobody has written them.
            let _ = jobs.send(Job { changes, done });
        }
        ticket
    }
}

impl Drop for Store {
    /// What is under way is written.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(database: &Database) -> Result<Vec<Change>, StoreError> {
    // The tables are made when they are not there, so that each can be read.
    let begin = database.begin_write().map_err(fault)?;
    for table in Table::ALL {
        begin.open_table(definition(table)).map_err(fault)?;
    }
    begin.commit().map_err(fault)?;
    let reading = database.begin_read().map_err(fault)?;
    let mut records = Vec::new();
    for table in Table::ALL {
        let rows = reading.open_table(definition(table)).map_err(fault)?;
        for row in rows.iter().map_err(fault)? {
            let (key, value) = row.map_err(fault)?;
            let (key, value) = (key.value().to_vec(), Some(value.value().to_vec()));
            records.push(Change { table, key, value });
        }
    }
    Ok(records)
}

fn work(database: &Database, queue: &mpsc::Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        // All that has come while the last transaction was written goes into this one.
        let mut jobs = vec![first];
        jobs.extend(queue.try_iter());
        let written = write(database, &jobs).map_err(|error| error.to_string());
        for job in jobs {
            // Whoever has stopped waiting has stopped waiting.
            let _ = job.done.send(written.clone());
        }
    }
}

fn write(database: &Database, jobs: &[Job]) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(fault)?;
    for table in Table::ALL {
        let changes = || jobs.iter().flat_map(|job| &job.changes).filter(|change| change.table == table);
        if changes().next().is_none() {
            continue;
        }
        let mut rows = transaction.open_table(definition(table)).map_err(fault)?;
        for change in changes() {
            match &change.value {
                Some(value) => {
                    rows.insert(change.key.as_slice(), value.as_slice()).map_err(fault)?;
                }
                None => {
                    rows.remove(change.key.as_slice()).map_err(fault)?;
                }
            }
        }
    }
    transaction.commit().map_err(fault)?;
    Ok(())
}
