//! Atomicity, expectations, pipelining, closing.

use super::{Fixture, TEXT, text};
use crate::{Batch, CommitError, Store, StoreError, Topic};

async fn get(store: &Store, key: &str) -> Option<String> {
    store
        .get(&TEXT, &text(key))
        .await
        .expect("a read")
        .map(|(value,)| value)
}

fn put(key: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(&TEXT, &text(key), &text(value));
    batch
}

fn expecting(mut batch: Batch, key: &str, value: Option<&str>) -> Batch {
    batch.expect(&TEXT, &text(key), value.map(text).as_ref());
    batch
}

fn assert_conflict<T: std::fmt::Debug>(outcome: &Result<T, CommitError>) {
    assert!(
        matches!(outcome, Err(CommitError::Conflict { table }) if *table == TEXT.name),
        "expected a conflict, found {outcome:?}"
    );
}

/// Neither rows nor positions nor notices.
pub async fn a_conflict_writes_nothing(fixture: &impl Fixture) {
    let store = fixture.open().await;
    store.commit(put("a", "1")).await.expect("a commit");
    let mut batch = put("b", "1");
    batch.put(&TEXT, &text("a"), &text("2"));
    batch.next_position();
    batch.touch(Topic::User(ruma::owned_user_id!("@a:example.org")));
    let outcome = store.commit(expecting(batch, "a", Some("0"))).await;
    assert_conflict(&outcome);
    assert_eq!(get(&store, "a").await.as_deref(), Some("1"));
    assert_eq!(get(&store, "b").await, None);
    assert_eq!(store.position().number(), 0);
}

/// Absent is not empty, and one of several is enough for a conflict.
pub async fn expectations_compare_the_whole_row(fixture: &impl Fixture) {
    let store = fixture.open().await;
    store
        .commit(expecting(put("a", ""), "a", None))
        .await
        .expect("absent as expected");
    assert_conflict(&store.commit(expecting(put("a", "1"), "a", None)).await);
    store
        .commit(expecting(put("a", "1"), "a", Some("")))
        .await
        .expect("empty as expected");
    assert_conflict(&store.commit(expecting(put("a", "2"), "a", Some("11"))).await);
    assert_conflict(&store.commit(expecting(put("a", "2"), "b", Some("1"))).await);
    let both = expecting(expecting(put("a", "2"), "a", Some("1")), "b", Some("1"));
    assert_conflict(&store.commit(both).await);
    let both = expecting(expecting(put("a", "2"), "a", Some("1")), "b", None);
    store.commit(both).await.expect("both as expected");
    assert_eq!(get(&store, "a").await.as_deref(), Some("2"));

    let mut only_expects = Batch::new();
    only_expects.expect(&TEXT, &text("a"), Some(&text("1")));
    assert_conflict(&store.commit(only_expects).await);
}

/// Puts and deletes of the same row in one batch apply in order.
pub async fn the_last_write_of_a_row_wins(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let mut batch = put("a", "1");
    batch.put(&TEXT, &text("a"), &text("2"));
    batch.put(&TEXT, &text("b"), &text("1"));
    batch.delete(&TEXT, &text("b"));
    batch.delete(&TEXT, &text("c"));
    batch.put(&TEXT, &text("c"), &text("3"));
    store.commit(batch).await.expect("a commit");
    assert_eq!(get(&store, "a").await.as_deref(), Some("2"));
    assert_eq!(get(&store, "b").await, None);
    assert_eq!(get(&store, "c").await.as_deref(), Some("3"));
}

/// A chain of batches that each expect the one before, submitted without waiting.
pub async fn pipelined_batches_see_each_other(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let mut waiting = Vec::new();
    for number in 0..600_u32 {
        let before = number.checked_sub(1).map(|before| before.to_string());
        waiting.push(store.commit(expecting(put("a", &number.to_string()), "a", before.as_deref())));
    }
    let refused = store.commit(expecting(put("a", "x"), "a", Some("598")));
    let deleted = {
        let mut batch = Batch::new();
        batch.delete(&TEXT, &text("a"));
        store.commit(expecting(batch, "a", Some("599")))
    };
    let after = store.commit(expecting(put("b", "1"), "a", None));
    after.await.expect("the row is deleted by the batch before");
    deleted.await.expect("the chain is whole");
    assert_conflict(&refused.await);
    for commit in waiting.into_iter().rev() {
        commit.await.expect("a link of the chain");
    }
    assert_eq!(get(&store, "a").await, None);
    assert_eq!(get(&store, "b").await.as_deref(), Some("1"));
}

/// The batch is enqueued when `commit` is called.
pub async fn a_dropped_future_withdraws_nothing(fixture: &impl Fixture) {
    let store = fixture.open().await;
    drop(store.commit(put("a", "1")));
    store
        .commit(expecting(put("b", "1"), "a", Some("1")))
        .await
        .expect("the dropped one was committed before");
}

/// Rows that nobody waits for leave the order of positions alone.
pub async fn a_batch_without_positions_takes_none(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let mut batch = put("a", "1");
    batch.next_position();
    batch.next_position();
    assert_eq!(store.commit(batch).await.expect("a commit").first.number(), 1);
    assert_eq!(
        store
            .commit(put("a", "2"))
            .await
            .expect("a commit")
            .first
            .number(),
        2
    );
    assert_eq!(store.position().number(), 2);
    let mut touching = Batch::new();
    touching.touch(Topic::User(ruma::owned_user_id!("@a:example.org")));
    assert_eq!(store.commit(touching).await.expect("a commit").first.number(), 3);
    assert_eq!(
        store.commit(Batch::new()).await.expect("a commit").first.number(),
        3
    );
    assert_eq!(store.position().number(), 3);
}

/// Sixteen tasks read, expect, write, and retry on a conflict.
pub async fn contended_counters_lose_no_increment(fixture: &impl Fixture) {
    const TASKS: usize = 16;
    const INCREMENTS: usize = 10;
    let store = fixture.open().await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..INCREMENTS {
                    loop {
                        let before = get(&store, "counter").await;
                        let number = before
                            .as_ref()
                            .map_or(0, |number| number.parse::<usize>().expect("a number"));
                        let batch = expecting(
                            put("counter", &(number + 1).to_string()),
                            "counter",
                            before.as_deref(),
                        );
                        match store.commit(batch).await {
                            Ok(_) => break,
                            Err(CommitError::Conflict { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the task ends well");
    }
    assert_eq!(
        get(&store, "counter").await,
        Some((TASKS * INCREMENTS).to_string())
    );
}

/// What was accepted before is committed; what comes after is refused and says so.
pub async fn a_closed_store_refuses_commits(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let accepted = store.commit(put("a", "1"));
    store.close().await.expect("it closes");
    accepted.await.expect("it was accepted before");
    let refused = store.commit(put("a", "2")).await;
    assert!(
        matches!(refused, Err(CommitError::Store(StoreError::Unavailable(_)))),
        "found {refused:?}"
    );
}
