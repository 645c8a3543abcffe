//! The backend in memory, for tests. It forgets everything when dropped.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Bound,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use parking_lot::{Mutex, RwLock};

use crate::{
    Backend, Batch, CommitError, Direction, Notice, Position, Store, StoreError, Watch,
    backend::{Lease, Row},
    group::Group,
    watch::Notifier,
};

type Rows = BTreeMap<Vec<u8>, Bytes>;

#[derive(Debug, Default)]
struct State {
    tables: BTreeMap<&'static str, Rows>,
    position: Position,
    closed: bool,
    /// Answers for the next commits, for tests of what happens when the store cannot.
    faults: Vec<StoreError>,
}

/// Tables in ordered maps behind one lock. A commit is decided, visible and announced before `commit` returns.
#[derive(Debug, Default)]
pub struct MemoryBackend {
    state: RwLock<State>,
    notifier: Notifier,
    leases: Arc<Mutex<HashSet<String>>>,
}

impl MemoryBackend {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next commit writes nothing and fails with this error; called twice, so do the next two.
    pub fn fail_next_commit(&self, error: StoreError) {
        self.state.write().faults.insert(0, error);
    }

    fn commit_now(&self, batch: Batch) -> Result<Position, CommitError> {
        let mut state = self.state.write();
        if state.closed {
            return Err(StoreError::Unavailable("the store is closed".to_owned()).into());
        }
        if let Some(fault) = state.faults.pop() {
            return Err(fault.into());
        }
        let mut group = Group::after(state.position);
        let first = group.add(batch, |table, key| {
            Ok(state.tables.get(table).and_then(|rows| rows.get(key)).cloned())
        })?;
        state.position = group.last();
        let (writes, notices) = group.into_parts();
        for (table, rows) in writes {
            let stored = state.tables.entry(table).or_default();
            for (key, value) in rows {
                match value {
                    Some(value) => stored.insert(key, value),
                    None => stored.remove(&key),
                };
            }
        }
        // Under the lock, so that notices go out in the order of positions.
        for changes in notices {
            self.notifier.notify(Notice::Changes(changes));
        }
        Ok(first)
    }
}

impl Store {
    /// A store in memory, for tests.
    pub fn in_memory() -> Self {
        Self::new(Arc::new(MemoryBackend::new()))
    }
}

impl Backend for MemoryBackend {
    fn get<'a>(
        &'a self,
        table: &'static str,
        key: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        let value = self
            .state
            .read()
            .tables
            .get(table)
            .and_then(|rows| rows.get(key))
            .cloned();
        ready(Ok(value)).boxed()
    }

    fn get_many<'a>(
        &'a self,
        table: &'static str,
        keys: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
        let state = self.state.read();
        let rows = state.tables.get(table);
        let values = keys
            .iter()
            .map(|key| rows.and_then(|rows| rows.get(key)).cloned())
            .collect();
        ready(Ok(values)).boxed()
    }

    fn scan<'a>(
        &'a self,
        table: &'static str,
        start: &'a [u8],
        end: Option<&'a [u8]>,
        direction: Direction,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        let state = self.state.read();
        let rows = match state.tables.get(table) {
            Some(rows) if end.is_none_or(|end| start < end) => {
                let end = end.map_or(Bound::Unbounded, Bound::Excluded);
                let range = rows.range::<[u8], _>((Bound::Included(start), end));
                let copy = |(key, value): (&Vec<u8>, &Bytes)| (Bytes::from(key.clone()), value.clone());
                match direction {
                    Direction::Forward => range.take(limit).map(copy).collect(),
                    Direction::Backward => range.rev().take(limit).map(copy).collect(),
                }
            }
            _ => Vec::new(),
        };
        ready(Ok(rows)).boxed()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Position, CommitError>> {
        ready(self.commit_now(batch)).boxed()
    }

    fn position(&self) -> Position {
        self.state.read().position
    }

    fn watch(&self) -> Watch {
        self.notifier.watch()
    }

    fn lease<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Lease>, StoreError>> {
        ready(Ok(Lease::local(&self.leases, name))).boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.state.write().closed = true;
        self.notifier.close();
        ready(Ok(())).boxed()
    }
}
