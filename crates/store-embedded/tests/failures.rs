//! What happens when the directory is in use, the disk is full, or a write fails.

use std::{fs, path::Path, sync::Arc, time::Duration};

use gatehouse_store::{Batch, CommitError, Store, StoreError, Table};
use gatehouse_store_embedded::{EmbeddedBackend, EmbeddedConfig, OpenError};
use tempfile::TempDir;

const ROWS: Table<(u64,), (Vec<u8>,)> = Table::new("failures.rows");

fn batch(number: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(&ROWS, &(number,), &(vec![7; 10_000],));
    batch.next_position();
    batch
}

fn open(path: &Path, config: &EmbeddedConfig) -> Result<(Store, Arc<EmbeddedBackend>), OpenError> {
    let backend = Arc::new(EmbeddedBackend::open(path, config)?);
    Ok((Store::new(Arc::clone(&backend) as _), backend))
}

#[tokio::test]
async fn a_directory_in_use_is_refused_with_advice() {
    let directory = TempDir::new().unwrap();
    let first = open(directory.path(), &EmbeddedConfig::default()).unwrap();
    let error = open(directory.path(), &EmbeddedConfig::default()).err().unwrap();
    assert!(matches!(error, OpenError::Locked { .. }), "found {error:?}");
    assert!(error.to_string().contains("stop the other server"), "{error}");
    drop(first);
    open(directory.path(), &EmbeddedConfig::default()).unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_commits_before_anything_is_written() {
    let directory = TempDir::new().unwrap();
    let (store, _) = open(directory.path(), &EmbeddedConfig::default()).unwrap();
    store.commit(batch(0)).await.unwrap();
    drop(store);
    let greedy = EmbeddedConfig {
        reserve_bytes: u64::MAX,
        ..EmbeddedConfig::default()
    };
    let (store, _) = open(directory.path(), &greedy).unwrap();
    let refused = store.commit(batch(1)).await;
    let Err(CommitError::Store(StoreError::Unavailable(reason))) = refused else {
        panic!("found {refused:?}")
    };
    assert!(reason.contains("free some space"), "{reason}");
    assert_eq!(store.position().number(), 1);
    assert!(store.get(&ROWS, &(0,)).await.unwrap().is_some());
    assert!(store.get(&ROWS, &(1,)).await.unwrap().is_none());
    drop(store);
    let (store, _) = open(directory.path(), &EmbeddedConfig::default()).unwrap();
    assert!(store.get(&ROWS, &(1,)).await.unwrap().is_none());
    store.commit(batch(1)).await.unwrap();
}

#[tokio::test]
async fn a_failed_write_stops_the_store_for_good() {
    let directory = TempDir::new().unwrap();
    let small = EmbeddedConfig {
        memtable_bytes: 256 << 10,
        ..EmbeddedConfig::default()
    };
    let (store, backend) = open(directory.path(), &small).unwrap();
    store.commit(batch(0)).await.unwrap();
    // Tables are to be written into a directory that is not there any more.
    for tree in fs::read_dir(directory.path().join("keyspaces")).unwrap() {
        fs::remove_dir_all(tree.unwrap().path().join("tables")).unwrap();
    }
    let mut outcome = Ok(());
    for number in 1..10_000 {
        outcome = store.commit(batch(number)).await.map(drop);
        if outcome.is_err() {
            break;
        }
    }
    let Err(CommitError::Store(StoreError::Failed(reason))) = outcome else {
        panic!("found {outcome:?}")
    };
    assert!(reason.contains("restart the server"), "{reason}");
    let told = tokio::time::timeout(Duration::from_secs(5), backend.failure())
        .await
        .unwrap();
    assert_eq!(told, reason);
    let position = store.position();
    for _ in 0..3 {
        let refused = store.commit(batch(0)).await;
        assert!(
            matches!(refused, Err(CommitError::Store(StoreError::Failed(_)))),
            "found {refused:?}"
        );
    }
    assert_eq!(store.position(), position);
    assert!(store.get(&ROWS, &(0,)).await.unwrap().is_some(), "reads go on");
    assert!(matches!(store.close().await, Err(StoreError::Failed(_))));
}
