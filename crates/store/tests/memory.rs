//! What the backend in memory offers to tests besides the contract.

use std::sync::Arc;

use gatehouse_store::{
    Batch, CommitError, Direction, Range, Store, StoreError, Table, memory::MemoryBackend,
};

const ROWS: Table<(u64,), (u64,)> = Table::new("memory.rows");

#[tokio::test]
async fn planned_failures_come_in_order_and_write_nothing() {
    let backend = Arc::new(MemoryBackend::new());
    let store = Store::new(Arc::clone(&backend) as _);
    backend.fail_next_commit(StoreError::Unavailable("first".to_owned()));
    backend.fail_next_commit(StoreError::Failed("second".to_owned()));
    let batch = || {
        let mut batch = Batch::new();
        batch.put(&ROWS, &(1,), &(1,));
        batch.next_position();
        batch
    };
    let first = store.commit(batch()).await;
    assert!(matches!(first, Err(CommitError::Store(StoreError::Unavailable(reason))) if reason == "first"));
    let second = store.commit(batch()).await;
    assert!(matches!(second, Err(CommitError::Store(StoreError::Failed(reason))) if reason == "second"));
    assert_eq!(store.get(&ROWS, &(1,)).await.unwrap(), None);
    assert_eq!(store.position().number(), 0);
    store.commit(batch()).await.unwrap();
    assert_eq!(store.position().number(), 1);
}

#[tokio::test]
async fn a_batch_within_another_has_the_positions_after_it() {
    const PLACES: Table<(u64, gatehouse_store::Position), (gatehouse_store::Position,)> =
        Table::new("memory.places");
    let store = Store::in_memory();
    let batch = |number: u64| {
        let mut batch = Batch::new();
        for _ in 0..2 {
            let position = batch.next_position();
            batch.put(&PLACES, &(number, position), &(position,));
        }
        batch
    };
    let mut both = batch(1);
    both.append(batch(2));
    store.commit(both).await.unwrap();
    let rows = store
        .scan(&PLACES, &Range::all(), Direction::Forward, 10)
        .await
        .unwrap();
    let places: Vec<_> = rows
        .into_iter()
        .map(|((number, key), (value,))| (number, key.number(), value.number()))
        .collect();
    assert_eq!(places, [(1, 1, 1), (1, 2, 2), (2, 3, 3), (2, 4, 4)]);
}
