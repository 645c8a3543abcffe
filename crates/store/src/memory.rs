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
use tokio::sync::oneshot;

use crate::{
    Backend, Batch, CommitError, Direction, Notice, Position, Store, StoreError, Watch,
    backend::{Lease, Row},
    group::Group,
    watch::Notifier,
};

type Rows = BTreeMap<Vec<u8>, Bytes>;
/// How a commit ended.
type Outcome = Result<Position, CommitError>;
/// Commits that wait, each with where its outcome goes.
pub type Held = Vec<(Batch, oneshot::Sender<Outcome>)>;

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
    /// `None`: commits are not held.
    held: Mutex<Option<Held>>,
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

    /// From now on commits wait, as for a slow disk.
    pub fn hold_commits(&self) {
        self.held.lock().get_or_insert_default();
    }

    /// How many commits wait.
    pub fn held_commits(&self) -> usize {
        self.held.lock().as_ref().map_or(0, Vec::len)
    }

    /// From now on commits wait no longer. Those that do are taken out, to be done by [`Self::commit_held`].
    pub fn take_held_commits(&self) -> Held {
        self.held.lock().take().unwrap_or_default()
    }

    /// Commits what waited, in order.
    pub fn commit_held(&self, held: Held) {
        for (batch, reply) in held {
            // An error means that nobody waits for the outcome.
            _ = reply.send(self.commit_now(batch));
        }
    }

    /// Commits what waits, in order; from now on commits wait no longer.
    pub fn release_commits(&self) {
        self.commit_held(self.take_held_commits());
    }

    fn commit_now(&self, batch: Batch) -> Outcome {
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

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Outcome> {
        if let Some(held) = &mut *self.held.lock() {
            let (reply, outcome) = oneshot::channel();
            held.push((batch, reply));
            let lost = || StoreError::Unavailable("the commit was dropped".to_owned());
            return async move { outcome.await.unwrap_or_else(|_| Err(lost().into())) }.boxed();
        }
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
