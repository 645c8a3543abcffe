//! A store in memory that counts what it is asked, so that costs are told in reads and not in time.

use std::{
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use gatehouse_store::{
    Backend, Batch, CommitError, Direction, Position, StoreError, Watch,
    backend::{Lease, Row},
    memory::MemoryBackend,
};

/// What a store was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Questions: each of them is one way to the store and back.
    pub(super) reads: usize,
    /// Rows in the answers.
    pub(super) rows: usize,
    pub(super) commits: usize,
}

#[derive(Default)]
pub(super) struct Counted {
    memory: MemoryBackend,
    reads: AtomicUsize,
    rows: AtomicUsize,
    commits: AtomicUsize,
}

impl Counted {
    /// All since the last time that this was asked.
    pub(super) fn cost(&self) -> Cost {
        Cost {
            reads: self.reads.swap(0, Ordering::Relaxed),
            rows: self.rows.swap(0, Ordering::Relaxed),
            commits: self.commits.swap(0, Ordering::Relaxed),
        }
    }

    fn note(&self, rows: usize) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }
}

type Answer<'a, T, E = StoreError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

impl Backend for Counted {
    fn get<'a>(&'a self, table: &'static str, key: &'a [u8]) -> Answer<'a, Option<Bytes>> {
        self.note(1);
        self.memory.get(table, key)
    }

    fn get_many<'a>(&'a self, table: &'static str, keys: &'a [Vec<u8>]) -> Answer<'a, Vec<Option<Bytes>>> {
        self.note(keys.len());
        self.memory.get_many(table, keys)
    }

    fn scan<'a>(
        &'a self,
        table: &'static str,
        start: &'a [u8],
        end: Option<&'a [u8]>,
        direction: Direction,
        limit: usize,
    ) -> Answer<'a, Vec<Row>> {
        Box::pin(async move {
            let rows = self.memory.scan(table, start, end, direction, limit).await?;
            self.note(rows.len());
            Ok(rows)
        })
    }

    fn commit(&self, batch: Batch) -> Answer<'static, Position, CommitError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.memory.commit(batch)
    }

    fn position(&self) -> Position {
        self.memory.position()
    }

    fn watch(&self) -> Watch {
        self.memory.watch()
    }

    fn lease<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Lease>> {
        self.memory.lease(name)
    }

    fn close(&self) -> Answer<'_, ()> {
        self.memory.close()
    }
}
