//! `kill -9`: a child process commits and says what was acknowledged, is killed, and the data is looked at.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write as _},
    process::{Child, Command, Stdio},
};

use super::{Durable, LOG, TEXT, text};
use crate::{Batch, Direction, Position, Range, Store, Table};

/// The rows that belong to one commit of one writer: all or none.
const PARTS: Table<(u64, u64, u64), (Position,)> = Table::new("conformance.crash_parts");
/// The last commit of each writer.
const LAST: Table<(u64,), (u64,)> = Table::new("conformance.crash_last");

/// Carries the fixture's address to the child.
const ADDRESS: &str = "GATEHOUSE_CRASH_TEST_STORE";
/// Begins each line that the child prints.
const MARK: &str = "acknowledged";

const WRITERS: u64 = 4;
const ROWS_PER_COMMIT: u64 = 5;

/// After how many acknowledgements the child is killed.
const KILL_AFTER: [usize; 10] = [0, 1, 2, 7, 30, 3, 100, 301, 45, 150];

/// Ten children, killed at different points, over the same data.
pub async fn killing_the_process_loses_nothing_acknowledged<F: Durable>(fixture: &F) {
    let mut acknowledged = BTreeMap::new();
    let mut commits = 0;
    for kill_after in KILL_AFTER {
        let mut child = start(&fixture.address());
        let lines = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
        let mut heard = 0;
        for line in lines {
            // The last line may be cut; an uncut one counts even when it was read after the kill.
            let Ok(line) = line else { break };
            if let Some((writer, number)) = parse(&line) {
                acknowledged.insert(writer, number);
                heard += 1;
            }
            if heard == kill_after || line.contains("ready") && kill_after == 0 {
                child.kill().expect("it runs");
            }
        }
        child.wait().expect("it was killed");
        assert!(
            heard >= kill_after,
            "the child ended by itself after {heard} commits"
        );
        let store = fixture.open().await;
        commits = verify(&store, &acknowledged).await;
        store.close().await.expect("it closes");
    }
    assert!(commits >= KILL_AFTER.iter().sum(), "{commits} commits");
}

fn start(address: &str) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "child_of_crash_tests",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ADDRESS, address)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts")
}

fn parse(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_once(MARK)?.1.split_whitespace();
    let (writer, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    // The closing full stop shows that the line is whole.
    (words.next() == Some(".")).then_some((writer, number))
}

/// What the child does: four writers, each of which waits for its commit and then says so, until it is killed.
/// Without the address in the environment it does nothing.
pub async fn child<F: Durable>() {
    let Ok(address) = std::env::var(ADDRESS) else {
        return;
    };
    let store = F::at(&address).open().await;
    say("ready");
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(store.clone(), writer)))
        .collect();
    for writer in writers {
        writer.await.expect("it writes until it is killed");
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .expect("the parent listens");
}

async fn write(store: Store, writer: u64) {
    let mut last = store.get(&LAST, &(writer,)).await.expect("a read");
    loop {
        let number = last.map_or(0, |(last,)| last) + 1;
        let mut batch = Batch::new();
        batch.expect(&LAST, &(writer,), last.as_ref());
        batch.put(&LAST, &(writer,), &(number,));
        let position = batch.next_position();
        batch.put(&LOG, &(position,), &(writer, number));
        for row in 0..ROWS_PER_COMMIT {
            batch.put(&PARTS, &(writer, number, row), &(position,));
        }
        store.commit(batch).await.expect("a commit");
        say(&format!("{MARK} {writer} {number} ."));
        last = Some((number,));
    }
}

/// Everything acknowledged is there, everything there is whole. Returns how many commits there are.
async fn verify(store: &Store, acknowledged: &BTreeMap<u64, u64>) -> usize {
    // Waits until a database has done away with what the killed child had begun.
    let mut batch = Batch::new();
    batch.put(&TEXT, &text("looked at"), &text("after a kill"));
    store.commit(batch).await.expect("a commit");

    let log = store
        .scan(&LOG, &Range::all(), Direction::Forward, usize::MAX)
        .await
        .expect("a scan");
    let positions: Vec<_> = log.iter().map(|((position,), _)| position.number()).collect();
    assert_eq!(
        positions,
        (1..=store.position().number()).collect::<Vec<_>>(),
        "the order has gaps"
    );

    let parts = store
        .scan(&PARTS, &Range::all(), Direction::Forward, usize::MAX)
        .await
        .expect("a scan");
    let mut expected: Vec<_> = log
        .iter()
        .flat_map(|((position,), (writer, number))| {
            (0..ROWS_PER_COMMIT).map(|row| ((*writer, *number, row), (*position,)))
        })
        .collect();
    expected.sort_unstable();
    assert_eq!(parts, expected, "a commit is half there");

    for writer in 0..WRITERS {
        let last = store
            .get(&LAST, &(writer,))
            .await
            .expect("a read")
            .map_or(0, |(last,)| last);
        let numbers: Vec<_> = log
            .iter()
            .filter(|(_, (by, _))| *by == writer)
            .map(|(_, (_, number))| *number)
            .collect();
        assert_eq!(
            numbers,
            (1..=last).collect::<Vec<_>>(),
            "commits of writer {writer} are lost or out of order"
        );
        let told = acknowledged.get(&writer).copied().unwrap_or(0);
        assert!(
            last >= told,
            "writer {writer} was told of {told}, but {last} is the last there"
        );
    }
    log.len()
}
