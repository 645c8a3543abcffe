//! What a storage engine must offer. Bytes only; [`crate::Store`] adds the types.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{Batch, CommitError, Direction, Position, StoreError, Watch};

/// The encoded key and value of a row.
pub type Row = (Bytes, Bytes);

/// A storage engine. All backends pass [`crate::conformance`].
///
/// * Reads see every commit whose future has resolved, and may see nothing of one that has not.
/// * [`Backend::commit`] *enqueues at once*, when called and not when first polled: batches submitted by one caller
///   commit in the order of the calls, and a batch's expectations see the batches before it. Dropping the future
///   does not withdraw the batch.
/// * When it resolves to `Ok`, all of the batch is on disk and visible, together.
pub trait Backend: Send + Sync + 'static {
    /// The row's value.
    fn get<'a>(
        &'a self,
        table: &'static str,
        key: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>>;

    /// The values of several rows of one table, in the order asked. One round trip.
    fn get_many<'a>(
        &'a self,
        table: &'static str,
        keys: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>>;

    /// Up to `limit` rows with `start <= key` and, when given, `key < end`. One consistent view.
    fn scan<'a>(
        &'a self,
        table: &'static str,
        start: &'a [u8],
        end: Option<&'a [u8]>,
        direction: Direction,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>>;

    /// Commits atomically and durably. Resolves to the first of [`Batch::position_count`] consecutive positions
    /// (when that is 0: to the store's position at the commit).
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Position, CommitError>>;

    /// The last position of which everything up to and including it is visible.
    fn position(&self) -> Position;

    /// Every commit with topics after now, in order.
    fn watch(&self) -> Watch;

    /// Waits until watchers have been told of everything up to the position at the time of the call; `false` when that
    /// takes too long. Where they are told before a commit resolves, which is what this says by default, there is
    /// nothing to wait for.
    fn watchers_told(&self) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(true))
    }

    /// Takes the named lease, for work that one node at a time must do; `None` while another holder has it.
    fn lease<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Lease>, StoreError>>;

    /// Whether others, such as another node, may commit to the same data. When not, what this one has in memory of what
    /// it committed is as good as the store.
    fn is_shared(&self) -> bool {
        true
    }

    /// Stops accepting writes, waits for those accepted, and closes.
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Held until dropped, or lost.
pub struct Lease {
    _held: Box<dyn Send + Sync>,
    lost: Option<watch::Receiver<bool>>,
}

impl Lease {
    /// A lease that ends when `held` is dropped.
    pub fn new(held: impl Send + Sync + 'static) -> Self {
        Self {
            _held: Box::new(held),
            lost: None,
        }
    }

    /// A lease that also ends when `lost` becomes true: the connection that held it is gone.
    pub fn revocable(held: impl Send + Sync + 'static, lost: watch::Receiver<bool>) -> Self {
        Self {
            _held: Box::new(held),
            lost: Some(lost),
        }
    }

    /// Whether another node may have it by now.
    pub fn is_lost(&self) -> bool {
        self.lost.as_ref().is_some_and(|lost| *lost.borrow())
    }

    /// Waits until the lease is lost, if it ever is. The work is to stop then.
    pub async fn lost(&self) {
        match self.lost.clone() {
            // An error means that the backend is gone, and with it the connection.
            Some(mut lost) => _ = lost.wait_for(|lost| *lost).await,
            None => std::future::pending().await,
        }
    }

    /// A lease among the callers of one process; `None` while `names` has it.
    pub fn local(names: &Arc<Mutex<HashSet<String>>>, name: &str) -> Option<Self> {
        let taken = names.lock().insert(name.to_owned());
        taken.then(|| {
            Self::new(LocalLease {
                names: Arc::clone(names),
                name: name.to_owned(),
            })
        })
    }
}

/// Gives the name back when dropped.
struct LocalLease {
    names: Arc<Mutex<HashSet<String>>>,
    name: String,
}

impl Drop for LocalLease {
    fn drop(&mut self) {
        self.names.lock().remove(&self.name);
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lease")
    }
}
