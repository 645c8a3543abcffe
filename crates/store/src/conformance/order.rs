//! The one order of positions.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{Fixture, LOG, PAIRS, text};
use crate::{Batch, Direction, Position, Range, Store, Table};

/// A row whose value is a position.
const PLACES: Table<(u64,), (Position, Position)> = Table::new("conformance.places");

const TASKS: u64 = 16;
const COMMITS: u64 = 40;

/// Each task commits batches of one to three positions, with a row in [`LOG`] for each.
/// Returns the positions that the tasks were told of.
pub(crate) async fn write_log(store: &Store) -> Vec<Position> {
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut told = Vec::new();
                for number in 0..COMMITS {
                    let mut batch = Batch::new();
                    let positions: Vec<_> =
                        (0..=(task + number) % 3).map(|_| batch.next_position()).collect();
                    for position in &positions {
                        batch.put(&LOG, &(*position,), &(task, number));
                    }
                    let commit = store.commit(batch).await.expect("a commit");
                    told.extend(positions.into_iter().map(|position| commit.resolve(position)));
                    assert!(
                        store.position() >= *told.last().expect("at least one"),
                        "own commit is visible"
                    );
                }
                told
            })
        })
        .collect();
    let mut told = Vec::new();
    for task in tasks {
        told.extend(task.await.expect("the task ends well"));
    }
    told
}

async fn logged(store: &Store, through: Position) -> Vec<u64> {
    let range = Range::all().through(&(through,));
    let rows = store
        .scan(&LOG, &range, Direction::Forward, usize::MAX)
        .await
        .expect("a scan");
    rows.into_iter()
        .map(|((position,), _)| position.number())
        .collect()
}

/// Sixteen writers at once.
pub async fn positions_are_gap_free_and_unique(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let told = write_log(&store).await;
    let unique: BTreeSet<_> = told.iter().copied().collect();
    assert_eq!(unique.len(), told.len(), "a position was given twice");
    let count = u64::try_from(told.len()).expect("small");
    assert_eq!(unique.first().map(|first| first.number()), Some(1));
    assert_eq!(unique.last().map(|last| last.number()), Some(count));
    assert_eq!(store.position().number(), count);
    assert_eq!(
        logged(&store, Position::MAX).await,
        (1..=count).collect::<Vec<_>>()
    );
}

/// In the order in which the batch took them.
pub async fn pending_positions_are_filled_into_keys_and_values(fixture: &impl Fixture) {
    let store = fixture.open().await;
    for round in 0..3_u64 {
        let mut batch = Batch::new();
        let (first, second) = (batch.next_position(), batch.next_position());
        batch.put(&PLACES, &(round,), &(second, first));
        batch.put(&LOG, &(second,), &(round, 2));
        batch.put(&LOG, &(first,), &(round, 1));
        let commit = store.commit(batch).await.expect("a commit");
        let (first, second) = (commit.resolve(first), commit.resolve(second));
        assert_eq!((first.number(), second.number()), (2 * round + 1, 2 * round + 2));
        assert_eq!(
            store.get(&PLACES, &(round,)).await.expect("a read"),
            Some((second, first))
        );
        assert_eq!(
            store.get(&LOG, &(first,)).await.expect("a read"),
            Some((round, 1))
        );
        assert_eq!(
            store.get(&LOG, &(second,)).await.expect("a read"),
            Some((round, 2))
        );
        // A value that holds a position can be expected once it is known.
        let mut batch = Batch::new();
        batch.expect(&PLACES, &(round,), Some(&(second, first)));
        store.commit(batch).await.expect("it holds what was read");
    }
}

/// What is written to reserved positions later lies between what came before and after the reservation.
pub async fn reserved_positions_lie_between_what_came_before_and_after(fixture: &impl Fixture) {
    const COUNT: u32 = 1 << 24;
    let store = fixture.open().await;
    let mut batch = Batch::new();
    let before = batch.next_position();
    let reserved = batch.reserve_positions(COUNT);
    let after = batch.next_position();
    batch.put(&LOG, &(before,), &(0, 0));
    batch.put(&LOG, &(after,), &(0, 2));
    let commit = store.commit(batch).await.expect("a commit");
    let [before, reserved, after] = [before, reserved, after].map(|position| commit.resolve(position));
    assert_eq!(reserved, before.next());
    assert_eq!(after, reserved.plus(COUNT));
    assert_eq!(store.position(), after);
    let mut batch = Batch::new();
    batch.put(&LOG, &(reserved.plus(COUNT - 1),), &(0, 1));
    let next = batch.next_position();
    let commit = store.commit(batch).await.expect("a commit");
    assert_eq!(commit.resolve(next), after.next());
    let rows = store
        .scan(&LOG, &Range::all(), Direction::Forward, 10)
        .await
        .expect("a scan");
    let order: Vec<u64> = rows.iter().map(|(_, (_, number))| *number).collect();
    assert_eq!(order, [0, 1, 2]);
}

/// A reader that takes the position and then scans up to it finds every row.
pub async fn a_position_is_never_seen_before_its_rows(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (store, done) = (store.clone(), Arc::clone(&done));
        async move {
            let mut before = Position::ZERO;
            let mut looks = 0_u32;
            while !done.load(Ordering::Acquire) {
                let position = store.position();
                assert!(position >= before, "the position went back");
                let rows = logged(&store, position).await;
                assert_eq!(rows, (1..=position.number()).collect::<Vec<_>>(), "at {position}");
                (before, looks) = (position, looks + 1);
                tokio::task::yield_now().await;
            }
            looks
        }
    });
    write_log(&store).await;
    done.store(true, Ordering::Release);
    assert!(reader.await.expect("the reader finds all rows") > 0);
}

/// Two rows that always change together are always seen equal.
pub async fn a_scan_never_sees_half_a_batch(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for number in 0..300_u64 {
                let mut batch = Batch::new();
                for row in 0..4 {
                    batch.put(&PAIRS, &("together".to_owned(), row), &(number,));
                }
                store.commit(batch).await.expect("a commit");
            }
        }
    });
    while !writer.is_finished() {
        let range = Range::prefix(&text("together"));
        let rows = store
            .scan(&PAIRS, &range, Direction::Forward, 10)
            .await
            .expect("a scan");
        let values: BTreeSet<_> = rows.iter().map(|(_, value)| *value).collect();
        assert!(
            values.len() <= 1 && matches!(rows.len(), 0 | 4),
            "half a batch: {rows:?}"
        );
        tokio::task::yield_now().await;
    }
    writer.await.expect("the writer ends well");
}
