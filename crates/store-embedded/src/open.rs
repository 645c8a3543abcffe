use std::{
    fs::{self, File, TryLockError},
    path::Path,
    sync::Arc,
};

use fjall::{CompressionType, Database, KeyspaceCreateOptions, PersistMode, compaction::Leveled};
use gatehouse_store::watch::Notifier;
use parking_lot::RwLock;

use crate::{EmbeddedConfig, OpenError, committer::Shared, journal, layout, queue::Queue};

/// The name of the one tree within the database.
const ROWS: &str = "rows";

/// The file that is locked while the store is open.
const LOCK: &str = "in-use";

/// Threads that write and merge tables in the background: one for each, so that a long merge holds up no write.
const WORKERS: usize = 2;

/// Bytes of journals after which the tables that hold them up are written out. The least that the tree allows; it
/// begins a new journal at 64 MB.
const JOURNAL_BYTES: u64 = 64 << 20;

/// How large a table grows, in bytes. Smaller than the tree's usual 64 MiB, so that a merge needs less free disk.
const TABLE_BYTES: u64 = 16 << 20;

/// Keeps other processes away while it is held.
fn lock(path: &Path) -> Result<File, OpenError> {
    fs::create_dir_all(path).map_err(OpenError::Io)?;
    let file = File::create(path.join(LOCK)).map_err(OpenError::Io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(OpenError::Io(error)),
    }
}

/// Opens the tree and recovers what was committed.
pub(crate) fn open(path: &Path, config: &EmbeddedConfig) -> Result<Shared, OpenError> {
    let lock = lock(path)?;
    journal::repair(path)?;
    let database = Database::builder(path)
        .cache_size(config.cache_bytes)
        .worker_threads(WORKERS)
        .max_journaling_size(JOURNAL_BYTES)
        .manual_journal_persist(true)
        // The tree checks a compressed journal by compressing it again, which another version may do otherwise.
        .journal_compression(CompressionType::None)
        .open()
        .map_err(|error| match error {
            fjall::Error::Locked => OpenError::Locked {
                path: path.to_owned(),
            },
            other => other.into(),
        })?;
    let rows = database.keyspace(ROWS, || {
        KeyspaceCreateOptions::default()
            .manual_journal_persist(true)
            .max_memtable_size(config.memtable_bytes)
            .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(TABLE_BYTES)))
    })?;
    let recovered = layout::recover(&database.snapshot(), &rows)?;
    // From now on at most one batch is ever written without having been synced.
    database.persist(PersistMode::SyncAll)?;
    Ok(Shared {
        database,
        rows,
        tables: RwLock::new(Arc::new(recovered.tables)),
        queue: Queue::default(),
        notifier: Notifier::default(),
        failure: tokio::sync::watch::Sender::new(None),
        position: recovered.position.number().into(),
        path: path.to_owned(),
        reserve_bytes: config.reserve_bytes,
        look: parking_lot::Mutex::new(()),
        _lock: lock,
    })
}
