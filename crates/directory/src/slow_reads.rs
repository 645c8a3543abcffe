//! A store in memory whose reads take a while, so that a request can end in the middle of one.

use std::pin::Pin;

use bytes::Bytes;
use gatehouse_store::{
    Backend, Batch, CommitError, Direction, Position, StoreError, Watch,
    backend::{Lease, Row},
    memory::MemoryBackend,
};

pub(crate) struct SlowReads(pub(crate) MemoryBackend);

type Answer<'a, T, E = StoreError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

impl Backend for SlowReads {
    fn get<'a>(&'a self, table: &'static str, key: &'a [u8]) -> Answer<'a, Option<Bytes>> {
        self.0.get(table, key)
    }

    fn get_many<'a>(&'a self, table: &'static str, keys: &'a [Vec<u8>]) -> Answer<'a, Vec<Option<Bytes>>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.get_many(table, keys).await
        })
    }

    fn scan<'a>(
        &'a self,
        table: &'static str,
        start: &'a [u8],
        end: Option<&'a [u8]>,
        direction: Direction,
        limit: usize,
    ) -> Answer<'a, Vec<Row>> {
        self.0.scan(table, start, end, direction, limit)
    }

    fn commit(&self, batch: Batch) -> Answer<'static, Position, CommitError> {
        self.0.commit(batch)
    }

    fn position(&self) -> Position {
        self.0.position()
    }

    fn watch(&self) -> Watch {
        self.0.watch()
    }

    fn lease<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Lease>> {
        self.0.lease(name)
    }

    fn close(&self) -> Answer<'_, ()> {
        self.0.close()
    }
}
