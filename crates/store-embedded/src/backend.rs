use std::{
    collections::HashSet,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use fjall::Readable as _;
use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use gatehouse_store::{
    Backend, Batch, CommitError, Direction, Position, StoreError, Watch,
    backend::{Lease, Row},
};
use parking_lot::Mutex;

use crate::{
    EmbeddedConfig, OpenError,
    committer::{self, Shared},
    failure, layout, open,
};

/// The store in one directory of one machine. Reads are done on the caller's thread: they take microseconds.
pub struct EmbeddedBackend {
    shared: Arc<Shared>,
    committer: Mutex<Option<JoinHandle<()>>>,
    leases: Arc<Mutex<HashSet<String>>>,
}

impl std::fmt::Debug for EmbeddedBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedBackend")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}

impl EmbeddedBackend {
    /// Opens the store in this directory, or makes a new one there. Blocks while the journal is read.
    pub fn open(path: impl AsRef<Path>, config: &EmbeddedConfig) -> Result<Self, OpenError> {
        let shared = Arc::new(open::open(path.as_ref(), config)?);
        let committer = thread::Builder::new()
            .name("store-committer".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || committer::run(&shared)
            })
            .map_err(OpenError::Io)?;
        Ok(Self {
            shared,
            committer: Mutex::new(Some(committer)),
            leases: Arc::default(),
        })
    }

    /// Waits until the store fails, and tells why. Then the process had best end, and be started again.
    pub fn failure(&self) -> impl Future<Output = String> + Send + use<> {
        let mut failure = self.shared.failure.subscribe();
        async move {
            match failure
                .wait_for(Option::is_some)
                .await
                .map(|reason| reason.clone())
            {
                Ok(Some(reason)) => reason,
                _ => std::future::pending().await,
            }
        }
    }

    /// Bytes on disk, journals included.
    pub fn disk_bytes(&self) -> u64 {
        self.shared.database.disk_space().unwrap_or_default()
    }

    fn read(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let Some(number) = self.shared.tables.read().number(table) else {
            return Ok(None);
        };
        layout::read(&self.shared.database.snapshot(), &self.shared.rows, number, key)
            .map_err(|error| failure::of_read(table, &error))
    }

    fn read_many(&self, table: &'static str, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let Some(number) = self.shared.tables.read().number(table) else {
            return Ok(vec![None; keys.len()]);
        };
        let snapshot = self.shared.database.snapshot();
        keys.iter()
            .map(|key| layout::read(&snapshot, &self.shared.rows, number, key))
            .collect::<Result<_, _>>()
            .map_err(|error| failure::of_read(table, &error))
    }

    fn read_range(
        &self,
        table: &'static str,
        start: &[u8],
        end: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let Some(number) = self.shared.tables.read().number(table) else {
            return Ok(Vec::new());
        };
        let Some((start, end)) = layout::bounds(number, start, end) else {
            return Ok(Vec::new());
        };
        let range = self
            .shared
            .database
            .snapshot()
            .range(&self.shared.rows, start..end);
        let row = |guard: fjall::Guard| {
            let (key, value) = guard.into_inner()?;
            let key = key.get(size_of::<layout::TableNumber>()..).unwrap_or_default();
            Ok((Bytes::copy_from_slice(key), Bytes::copy_from_slice(&value)))
        };
        let rows: Result<_, fjall::Error> = match direction {
            Direction::Forward => range.take(limit).map(row).collect(),
            Direction::Backward => range.rev().take(limit).map(row).collect(),
        };
        rows.map_err(|error| failure::of_read(table, &error))
    }

    fn stop(&self) -> Option<JoinHandle<()>> {
        self.shared
            .queue
            .close(StoreError::Unavailable("the server is stopping".to_owned()));
        self.committer.lock().take()
    }
}

impl Drop for EmbeddedBackend {
    fn drop(&mut self) {
        let committer = self.stop();
        // A store that has failed may hold its committer up for ever.
        if let Some(committer) = committer.filter(|_| self.shared.failure.borrow().is_none()) {
            // It only panics after it has told everybody that the store has failed.
            _ = committer.join();
        }
    }
}

impl Backend for EmbeddedBackend {
    fn get<'a>(
        &'a self,
        table: &'static str,
        key: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        ready(self.read(table, key)).boxed()
    }

    fn get_many<'a>(
        &'a self,
        table: &'static str,
        keys: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
        ready(self.read_many(table, keys)).boxed()
    }

    fn scan<'a>(
        &'a self,
        table: &'static str,
        start: &'a [u8],
        end: Option<&'a [u8]>,
        direction: Direction,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        ready(self.read_range(table, start, end, direction, limit)).boxed()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Position, CommitError>> {
        let outcome = self.shared.queue.push(batch);
        committer::outcome(Arc::clone(&self.shared), outcome).boxed()
    }

    fn position(&self) -> Position {
        self.shared.position()
    }

    fn watch(&self) -> Watch {
        self.shared.notifier.watch()
    }

    fn lease<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Lease>, StoreError>> {
        ready(Ok(Lease::local(&self.leases, name))).boxed()
    }

    /// One process holds the folder.
    fn is_shared(&self) -> bool {
        false
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let committer = self.stop();
        async move {
            let Some(committer) = committer else { return Ok(()) };
            let mut failure = self.shared.failure.subscribe();
            let ended = tokio::task::spawn_blocking(move || committer.join().is_ok());
            let ended = tokio::select! {
                ended = ended => ended.unwrap_or(false),
                // A store that has failed may hold its committer up for ever.
                _ = failure.wait_for(Option::is_some) => false,
            };
            match &*self.shared.failure.borrow() {
                Some(reason) => Err(StoreError::Failed(reason.clone())),
                None if ended => Ok(()),
                None => Err(committer::crashed()),
            }
        }
        .boxed()
    }
}
