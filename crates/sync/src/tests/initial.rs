//! What `/initialSync` costs.

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
use serde_json::value::RawValue;

use crate::{InitialSyncRequest, tests::world::World};

/// Counts the rows of account data that are read.
#[derive(Default)]
struct Counting {
    memory: MemoryBackend,
    account_data: AtomicUsize,
}

type Answer<'a, T, E = StoreError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

impl Backend for Counting {
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
            let rows = self.memory.scan(table, start, end, direction, limit).await?;
            if table.ends_with("account_data") {
                self.account_data.fetch_add(rows.len(), Ordering::Relaxed);
            }
            Ok(rows)
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

#[tokio::test(start_paused = true)]
async fn account_data_is_read_once_however_many_rooms_there_are() {
    let backend = Arc::new(Counting::default());
    let world = World::new(Store::new(Arc::clone(&backend) as Arc<dyn Backend>));
    let alice = world.user("alice").await;
    let content = RawValue::from_string("{}".to_owned()).unwrap();
    for number in 0..10 {
        let room = world.public_room(&alice).await;
        for room in [None, Some(&*room)] {
            world
                .accounts()
                .set_account_data(&alice.id, room, &format!("x.{number}"), &content)
                .await
                .unwrap();
        }
    }
    backend.account_data.store(0, Ordering::Relaxed);
    let request = InitialSyncRequest {
        user: alice.id.clone(),
        device: alice.request().device,
        limit: None,
        archived: false,
    };
    let snapshot = world.sync().initial_sync(&request).await.unwrap();
    assert_eq!(snapshot.account_data.len(), 10);
    assert!(snapshot.rooms.iter().all(|room| room.account_data.len() == 1));
    let read = backend.account_data.load(Ordering::Relaxed);
    assert!(read > 0 && read <= 30, "{read} rows");
}
