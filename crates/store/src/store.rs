//! The typed face of a backend.

use std::sync::Arc;

use crate::{
    Backend, Batch, CommitError, DecodeError, Direction, Key, Position, Range, StoreError, Table, Value,
    Watch, backend::Lease, key::Encoder,
};

/// A handle to the store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

/// What a commit was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// The first of the batch's positions; further ones follow without gap.
    pub first: Position,
}

impl Commit {
    /// The position that stood as pending in the batch, now that it is known.
    #[must_use]
    pub fn resolve(self, position: Position) -> Position {
        position
            .pending_index()
            .map_or(position, |index| self.first.plus(index))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// A store over this backend.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// The row's value.
    pub async fn get<K: Key, V: Value>(&self, table: &Table<K, V>, key: &K) -> Result<Option<V>, StoreError> {
        let bytes = self.backend.get(table.name, &encode(key)).await?;
        bytes.map(|bytes| decode(table, &bytes)).transpose()
    }

    /// The values of several rows, in the order asked. One round trip.
    pub async fn get_many<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        keys: &[K],
    ) -> Result<Vec<Option<V>>, StoreError> {
        let keys: Vec<_> = keys.iter().map(encode).collect();
        let rows = self.backend.get_many(table.name, &keys).await?;
        rows.into_iter()
            .map(|row| row.map(|bytes| decode(table, &bytes)).transpose())
            .collect()
    }

    /// Up to `limit` rows of a range.
    pub async fn scan<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        range: &Range<K>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(K, V)>, StoreError> {
        let (start, end) = range.bytes();
        let rows = self
            .backend
            .scan(table.name, start, end, direction, limit)
            .await?;
        rows.iter()
            .map(|(key, value)| {
                let key = K::decode_key(key).map_err(|source| corrupt(table, source))?;
                Ok((key, decode(table, value)?))
            })
            .collect()
    }

    /// Commits atomically and durably.
    ///
    /// The batch is enqueued when this is *called*; the future only waits for the disk. So a caller may submit
    /// several batches that build on each other and then wait, and dropping the future withdraws nothing.
    pub fn commit(&self, batch: Batch) -> impl Future<Output = Result<Commit, CommitError>> + Send + use<> {
        let committed = self.backend.commit(batch);
        async move {
            Ok(Commit {
                first: committed.await?,
            })
        }
    }

    /// The last position of which everything up to and including it is visible.
    pub fn position(&self) -> Position {
        self.backend.position()
    }

    /// Every commit with topics after now.
    pub fn watch(&self) -> Watch {
        self.backend.watch()
    }

    /// Waits until watchers have been told of every commit that has resolved, so that [`Watch::try_next`] finds it;
    /// `false` when that takes too long, and anything may have changed.
    pub async fn watchers_told(&self) -> bool {
        self.backend.watchers_told().await
    }

    /// Takes the named lease; `None` while another holder has it.
    pub async fn lease(&self, name: &str) -> Result<Option<Lease>, StoreError> {
        self.backend.lease(name).await
    }

    /// Whether others, such as another node, may commit to the same data.
    pub fn is_shared(&self) -> bool {
        self.backend.is_shared()
    }

    /// Stops accepting writes, waits for those accepted, and closes.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.backend.close().await
    }
}

fn encode<K: Key>(key: &K) -> Vec<u8> {
    let mut out = Encoder::new();
    key.encode_key(&mut out);
    out.finish().0
}

fn decode<K, V: Value>(table: &Table<K, V>, bytes: &[u8]) -> Result<V, StoreError> {
    V::decode_value(bytes).map_err(|source| corrupt(table, source))
}

fn corrupt<K, V>(table: &Table<K, V>, source: DecodeError) -> StoreError {
    StoreError::Corrupt {
        table: table.name,
        source,
    }
}
