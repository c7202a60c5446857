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

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;
    use crate::order::{OrderSpec, OrderState};
    use crate::testing::*;
    use rsp::crypto::Curve;

    fn change(key: u8, value: Option<u8>) -> Change {
        Change { table: Table::Orders, key: vec![key], value: value.map(|byte| vec![byte]) }
    }

    #[test]
    fn what_is_kept_is_there_the_next_time() {
        let folder = tempfile();
        let path = folder.join("orders.redb");
        {
            let (store, records) = Store::open(&path).unwrap();
            assert!(records.is_empty());
            store.keep(vec![change(1, Some(1)), change(2, Some(2))]);
            let last = store.keep(vec![change(1, None), change(3, Some(3))]);
            assert_eq!(last.blocking_recv().unwrap(), Ok(()));
            // Another server cannot have it at the same time.
            assert!(Store::open(&path).unwrap_err().to_string().contains("another server"));
        }
        let (_, records) = Store::open(&path).unwrap();
        assert_eq!(records, [change(2, Some(2)), change(3, Some(3))]);
        std::fs::write(folder.join("other"), b"this is no store at all").unwrap();
        assert!(Store::open(&folder.join("other")).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }

    /// A folder of this test's own.
    fn tempfile() -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("esimlab-store-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_server_that_is_started_again_goes_on_where_it_was() {
        let (store, _) = Store::on_backend(InMemoryBackend::new()).unwrap();
        let mut smdp = smdp_with_order();
        let other = OrderSpec { confirmation_code: Some("1".to_owned()), ..OrderSpec::for_eid(eid(), profile()) };
        smdp.add_order(OrderSpec { replace_session_keys: Some(true), ..other }, NOW).unwrap();
        smdp.keep_changes();
        let mut kept = smdp.drain_changes();
        let card = Card::on(Curve::P256);
        let (first, package) = card.download(&mut smdp, Some("AC-1"), None).unwrap();
        card.download(&mut smdp, None, Some("1")).unwrap();
        kept.append(&mut smdp.drain_changes());
        assert!(smdp.drain_changes().is_empty());
        store.keep(kept.clone()).blocking_recv().unwrap().unwrap();

        let mut again = self::smdp();
        again.restore(kept.clone()).unwrap();
        let all = |smdp: &mut crate::Smdp| {
            smdp.keep_changes();
            let mut records = smdp.drain_changes();
            records.sort_by(|a, b| (a.table, &a.key).cmp(&(b.table, &b.key)));
            records
        };
        assert!(all(&mut again) == all(&mut smdp));
        // The card comes again with its one-time key: it gets the same segments, under the new session.
        let (second, repeated) = card.download(&mut again, Some("AC-1"), None).unwrap();
        let segments = |package: &crate::server::BoundProfilePackageOk| {
            let parts = rsp::bpp::BoundProfilePackage::parse(&package.bound_profile_package).unwrap();
            parts.profile_elements.iter().map(|segment| segment.raw().to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(segments(&package), segments(&repeated));
        assert_eq!(card.open(&repeated, &second.smdp_certificate), card.open(&package, &first.smdp_certificate));
        // Another card does not get it, and the result of a session from before counts.
        let stranger = Card::numbered(Curve::P256, 9);
        assert_eq!(codes(stranger.download(&mut again, Some("AC-1"), None)), "8.1.1/3.8");
        let result = card.installation(&package.transaction_id, profile().iccid(), false);
        again.handle_notification(&result, NOW).unwrap();
        assert_eq!(again.orders()[0].state(), OrderState::Installed);

        // What is missing or torn is told, and nothing is guessed.
        let without = |table: Table| kept.iter().filter(|change| change.table != table).cloned().collect::<Vec<_>>();
        assert!(self::smdp().restore(without(Table::Profiles)).unwrap_err().to_string().contains("orders"));
        let mut torn = kept.clone();
        for change in torn.iter_mut().filter(|change| change.table == Table::Bound) {
            if let Some(value) = &mut change.value {
                value.pop();
            }
        }
        assert!(self::smdp().restore(torn).unwrap_err().to_string().contains("bound-packages"));
    }
}
