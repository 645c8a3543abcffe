//! Several nodes, lost connections, and a database that goes away.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gatehouse_store::{
    Batch, CommitError, Direction, Notice, Position, Range, Store, StoreError, Table, Topic, Watch,
};
use gatehouse_store_postgres::{OpenError, PostgresBackend, PostgresConfig};
use gatehouse_test_postgres::{Cluster, StopMode};
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::NoTls;

/// The last number of each writer.
const LAST: Table<(u64,), (u64,)> = Table::new("failures.last");
/// One row for each position.
const LOG: Table<(Position,), (u64, u64)> = Table::new("failures.log");

const WRITERS: u64 = 4;

async fn node(url: &str) -> Store {
    let backend = PostgresBackend::connect(url, &PostgresConfig::default())
        .await
        .unwrap();
    Store::new(Arc::new(backend))
}

async fn cluster() -> Arc<Cluster> {
    tokio::task::spawn_blocking(Cluster::shared)
        .await
        .unwrap()
        .unwrap()
}

/// Does it away from the runtime's threads.
async fn blocking(cluster: &Arc<Cluster>, work: impl FnOnce(&Cluster) + Send + 'static) {
    let cluster = Arc::clone(cluster);
    tokio::task::spawn_blocking(move || work(&cluster)).await.unwrap();
}

/// Ends connections of the database with this URL, and returns how many.
async fn cut(url: &str, which: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let statement = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'gatehouse' {which}"
    );
    let count = client.query_one(&statement, &[]).await.unwrap().get(0);
    drop(client);
    connection.await.unwrap().unwrap();
    count
}

fn link(writer: u64, last: u64) -> Batch {
    let mut batch = Batch::new();
    batch.expect(&LAST, &(writer,), (last > 0).then_some(&(last,)));
    batch.put(&LAST, &(writer,), &(last + 1,));
    let position = batch.next_position();
    batch.put(&LOG, &(position,), &(writer, last + 1));
    batch.touch(Topic::User(
        format!("@user{writer}:example.org").try_into().unwrap(),
    ));
    batch
}

/// Writes 1, 2, 3, ... each expecting the one before, until told to stop. Nobody else writes there, so a conflict
/// means that a commit was done twice. Returns the last number that was acknowledged, or found after no answer.
fn write_chain(store: Store, writer: u64, stop: Arc<AtomicBool>) -> JoinHandle<u64> {
    tokio::spawn(async move {
        let mut last = 0;
        while !stop.load(Ordering::Acquire) {
            match store.commit(link(writer, last)).await {
                Ok(_) => last += 1,
                Err(CommitError::Store(StoreError::Unavailable(_))) => {
                    let Ok(found) = store.get(&LAST, &(writer,)).await else {
                        continue;
                    };
                    let found = found.map_or(0, |(found,)| found);
                    assert!(found == last || found == last + 1, "{found} after {last}");
                    last = found;
                }
                Err(error) => panic!("writer {writer} after {last}: {error}"),
            }
        }
        last
    })
}

/// Runs the writers while `trouble` goes on, and looks at what they left.
async fn chains_survive(stores: &[Store], trouble: impl Future<Output = ()>) {
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = stores
        .iter()
        .cycle()
        .zip(0..WRITERS)
        .map(|(store, writer)| write_chain(store.clone(), writer, Arc::clone(&stop)))
        .collect();
    trouble.await;
    stop.store(true, Ordering::Release);
    let mut total = 0;
    let mut log = Vec::new();
    for (writer, task) in (0..).zip(writers) {
        let last = task.await.unwrap();
        assert_eq!(
            stores[0]
                .get(&LAST, &(writer,))
                .await
                .unwrap()
                .map_or(0, |(last,)| last),
            last
        );
        total += last;
        log.extend((1..=last).map(|number| (writer, number)));
    }
    assert!(total > 100, "only {total} commits");
    let rows = stores[0]
        .scan(&LOG, &Range::all(), Direction::Forward, usize::MAX)
        .await
        .unwrap();
    assert!(
        rows.iter()
            .map(|((position,), _)| position.number())
            .eq(1..=total),
        "positions have gaps"
    );
    let mut found: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    found.sort_unstable();
    assert!(found == log, "a commit is lost, or was done twice");
}

/// The positions that a watcher is told of, until it has been told of the last.
async fn told(watch: &mut Watch, last: u64) -> Vec<u64> {
    let mut positions = Vec::new();
    while positions.last() != Some(&last) {
        match timeout(Duration::from_secs(20), watch.next()).await.unwrap() {
            Some(Notice::Changes(changes)) => positions.push(changes.position.number()),
            other => panic!("found {other:?}"),
        }
    }
    positions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_see_each_others_commits_in_one_order() {
    let cluster = cluster().await;
    let url = cluster.database().await.unwrap();
    let nodes = [node(&url).await, node(&url).await, node(&url).await];
    let mut watches: Vec<_> = nodes.iter().map(Store::watch).collect();
    chains_survive(&nodes, tokio::time::sleep(Duration::from_secs(1))).await;
    let last = nodes[0]
        .position()
        .max(nodes[1].position())
        .max(nodes[2].position())
        .number();
    for (node, watch) in nodes.iter().zip(&mut watches) {
        assert!(told(watch, last).await.into_iter().eq(1..=last));
        assert_eq!(node.position().number(), last, "told, so it is visible");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_may_start_at_the_same_time() {
    let cluster = cluster().await;
    let url = cluster.database().await.unwrap();
    let starting: Vec<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { node(&url).await })
        })
        .collect();
    for node in starting {
        let store = node.await.unwrap();
        let mut batch = Batch::new();
        batch.next_position();
        store.commit(batch).await.unwrap();
    }
    assert_eq!(node(&url).await.position().number(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_refused() {
    let cluster = cluster().await;
    let url = cluster.database().await.unwrap();
    drop(node(&url).await);
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
        .batch_execute("UPDATE gatehouse_schema SET version = 99")
        .await
        .unwrap();
    let error = PostgresBackend::connect(&url, &PostgresConfig::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, OpenError::Schema { found: 99, .. }),
        "found {error:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_at_any_point_lose_and_repeat_nothing() {
    let cluster = cluster().await;
    let url = cluster.database().await.unwrap();
    let nodes = [node(&url).await, node(&url).await];
    chains_survive(&nodes, async {
        let mut ended = 0;
        for pause in (0..60).map(|round| Duration::from_millis(11 + round % 17)) {
            tokio::time::sleep(pause).await;
            ended += cut(&url, "").await;
        }
        assert!(ended > 60, "only {ended} connections were cut");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_killed_loses_and_repeats_nothing() {
    let own = Arc::new(
        tokio::task::spawn_blocking(Cluster::start)
            .await
            .unwrap()
            .unwrap(),
    );
    let url = own.database().await.unwrap();
    let nodes = [node(&url).await, node(&url).await];
    let mut watch = nodes[0].watch();
    chains_survive(&nodes, async {
        for round in 0..5 {
            tokio::time::sleep(Duration::from_millis(300 + 37 * round)).await;
            blocking(&own, |cluster| {
                cluster.stop(StopMode::Immediate).unwrap();
                cluster.resume().unwrap();
            })
            .await;
            // Writes go on within two seconds.
            let before = nodes[0].position();
            let begun = Instant::now();
            while nodes[0].position() == before {
                assert!(
                    begun.elapsed() < Duration::from_secs(2),
                    "no commit two seconds after the database is back"
                );
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    })
    .await;
    let mut everything = 0;
    while let Ok(Some(notice)) = timeout(Duration::from_millis(500), watch.next()).await {
        everything += u32::from(matches!(notice, Notice::Everything));
    }
    assert!(
        everything >= 1,
        "the watcher was not told that notices may be missing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_stays_away_is_unavailable_within_ten_seconds() {
    let own = Arc::new(
        tokio::task::spawn_blocking(Cluster::start)
            .await
            .unwrap()
            .unwrap(),
    );
    let store = node(&own.database().await.unwrap()).await;
    store.commit(link(0, 0)).await.unwrap();
    blocking(&own, |cluster| cluster.stop(StopMode::Fast).unwrap()).await;
    let begun = Instant::now();
    let many: Vec<_> = (0..600).map(|_| store.commit(link(0, 1))).collect();
    let read = store.get(&LAST, &(0,)).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "found {read:?}");
    for commit in many {
        let outcome = commit.await;
        assert!(
            matches!(outcome, Err(CommitError::Store(StoreError::Unavailable(_)))),
            "found {outcome:?}"
        );
    }
    assert!(
        begun.elapsed() < Duration::from_secs(12),
        "it took {:?}",
        begun.elapsed()
    );
    blocking(&own, |cluster| cluster.resume().unwrap()).await;
    store.commit(link(0, 1)).await.unwrap();
    assert_eq!(store.get(&LAST, &(0,)).await.unwrap(), Some((2,)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_exclusive_among_nodes_and_tells_when_it_is_lost() {
    let cluster = cluster().await;
    let url = cluster.database().await.unwrap();
    let (one, other) = (node(&url).await, node(&url).await);
    let lease = one.lease("work").await.unwrap().unwrap();
    assert!(other.lease("work").await.unwrap().is_none());
    assert!(!lease.is_lost());
    assert!(cut(&url, "AND query LIKE '%advisory%'").await > 0);
    timeout(Duration::from_secs(10), lease.lost()).await.unwrap();
    assert!(lease.is_lost());
    let taken = other.lease("work").await.unwrap().unwrap();
    // The lost one is not to take the new one with it.
    drop(lease);
    assert!(one.lease("work").await.unwrap().is_none());
    // A node that ends gives up its leases.
    drop(other);
    let begun = Instant::now();
    let again = loop {
        if let Some(lease) = one.lease("work").await.unwrap() {
            break lease;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "the lease of a node that ended is not free"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    drop(taken);
    assert!(!again.is_lost());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_batch_that_cannot_be_stored_does_not_fail_its_neighbours() {
    const TEXT: Table<(String,), (u64,)> = Table::new("failures.text");
    let cluster = cluster().await;
    let store = node(&cluster.database().await.unwrap()).await;
    // Longer than an index entry may be, and not compressible.
    let mut random = 1_u64;
    let long: String = std::iter::repeat_with(|| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        format!("{random:016x}")
    })
    .take(1_000)
    .collect();
    let commits: Vec<_> = (0..20)
        .map(|number| {
            let mut batch = Batch::new();
            let key = if number == 10 {
                long.clone()
            } else {
                number.to_string()
            };
            batch.put(&TEXT, &(key,), &(number,));
            store.commit(batch)
        })
        .collect();
    for (number, commit) in commits.into_iter().enumerate() {
        assert_eq!(commit.await.is_ok(), number != 10, "batch {number}");
    }
}
