//! What the backend in memory offers to tests besides the contract.

use std::sync::Arc;

use gatehouse_store::{Batch, CommitError, Store, StoreError, Table, memory::MemoryBackend};

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
