//! A store whose disk stands still until the test lets it go on.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use gatehouse_store::{
    Backend, Batch, CommitError, Direction, Position, Store, StoreError, Watch,
    backend::{Lease, Row},
    memory::MemoryBackend,
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

type Outcome = Result<Position, CommitError>;
type Waiting = Vec<(Batch, oneshot::Sender<Outcome>)>;

/// The store in memory, with a queue before it.
pub(super) struct HeldBackend {
    inner: MemoryBackend,
    /// `None`: nothing is held.
    waiting: Mutex<Option<Waiting>>,
}

impl HeldBackend {
    pub(super) fn store() -> (Arc<Self>, Store) {
        let backend = Arc::new(Self {
            inner: MemoryBackend::new(),
            waiting: Mutex::new(None),
        });
        (Arc::clone(&backend), Store::new(backend))
    }

    /// From now on commits wait.
    pub(super) fn hold(&self) {
        *self.waiting.lock() = Some(Vec::new());
    }

    /// How many commits wait.
    pub(super) fn held(&self) -> usize {
        self.waiting.lock().as_ref().map_or(0, Vec::len)
    }

    /// Commits what waits, in order, and holds nothing any more.
    pub(super) async fn release(&self) {
        let waiting = self.waiting.lock().take();
        for (batch, reply) in waiting.into_iter().flatten() {
            _ = reply.send(self.inner.commit(batch).await);
        }
    }

    /// As [`Self::release`], but the first of what waits is lost.
    pub(super) async fn release_all_but_the_first(&self) {
        let lost = StoreError::Unavailable("the disk is full".to_owned());
        self.inner.fail_next_commit(lost);
        self.release().await;
    }
}

impl Backend for HeldBackend {
    fn get<'a>(
        &'a self,
        table: &'static str,
        key: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        self.inner.get(table, key)
    }

    fn get_many<'a>(
        &'a self,
        table: &'static str,
        keys: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
        self.inner.get_many(table, keys)
    }

    fn scan<'a>(
        &'a self,
        table: &'static str,
        start: &'a [u8],
        end: Option<&'a [u8]>,
        direction: Direction,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        self.inner.scan(table, start, end, direction, limit)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Outcome> {
        if let Some(waiting) = &mut *self.waiting.lock() {
            let (reply, outcome) = oneshot::channel();
            waiting.push((batch, reply));
            return async move { outcome.await.unwrap() }.boxed();
        }
        self.inner.commit(batch)
    }

    fn position(&self) -> Position {
        self.inner.position()
    }

    fn watch(&self) -> Watch {
        self.inner.watch()
    }

    fn lease<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Lease>, StoreError>> {
        self.inner.lease(name)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.close()
    }
}
