//! What reads cost the store.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use gatehouse_store::{
    Backend, Batch, CommitError, Direction, Position, Store, StoreError, Watch,
    backend::{Lease, Row},
    memory::MemoryBackend,
};
use serde_json::json;

use super::fixture::{House, user, viewer};

/// Knows how many scans are under way.
#[derive(Default)]
struct Observed {
    memory: MemoryBackend,
    scans: AtomicUsize,
    most_scans: AtomicUsize,
}

type Answer<'a, T, E = StoreError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

impl Backend for Observed {
    fn get<'a>(&'a self, table: &'static str, key: &'a [u8]) -> Answer<'a, Option<Bytes>> {
        self.memory.get(table, key)
    }

    fn get_many<'a>(&'a self, table: &'static str, keys: &'a [Vec<u8>]) -> Answer<'a, Vec<Option<Bytes>>> {
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
            let scans = self.scans.fetch_add(1, Ordering::Relaxed) + 1;
            self.most_scans.fetch_max(scans, Ordering::Relaxed);
            tokio::task::yield_now().await;
            self.scans.fetch_sub(1, Ordering::Relaxed);
            self.memory.scan(table, start, end, direction, limit).await
        })
    }

    fn commit(&self, batch: Batch) -> Answer<'static, Position, CommitError> {
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

#[tokio::test]
async fn a_page_of_events_with_relations_reads_a_few_at_once() {
    let backend = Arc::new(Observed::default());
    let house = House::over(Store::new(Arc::clone(&backend) as Arc<dyn Backend>));
    let owner = user("owner");
    let room = house.room(&owner).await;
    for _ in 0..100 {
        let event = house.say(&room, &owner, "x").await;
        let relation =
            json!({ "body": "y", "m.relates_to": { "rel_type": "m.reference", "event_id": event } });
        house.send(&room, &owner, "m.room.message", relation).await;
    }
    let mut query = House::everything(Direction::Backward);
    query.limit = Some(200);
    backend.most_scans.store(0, Ordering::Relaxed);
    let page = house.rooms.messages(viewer(&owner), &room, &query).await.unwrap();
    let bundled = page
        .chunk
        .iter()
        .filter(|event| event.unsigned.relations.is_some());
    assert_eq!(bundled.count(), 100);
    let most = backend.most_scans.load(Ordering::Relaxed);
    assert!((1..=20).contains(&most), "{most} at once");
}
