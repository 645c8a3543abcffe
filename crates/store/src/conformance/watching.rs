//! What watchers learn, and when.

use ruma::owned_user_id;

use super::{Fixture, LOG};
use crate::{Batch, Notice, Position, Topic, Watch, watch::WATCH_CAPACITY};

/// Commits of sixteen tasks, some of which touch nothing; the watcher reads each one's row when it is told.
pub async fn a_watcher_misses_nothing_and_sees_it_in_order(fixture: &impl Fixture) {
    const TASKS: u64 = 16;
    const COMMITS: u64 = 20;
    let store = fixture.open().await;
    let mut watch = store.watch();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..COMMITS {
                    let mut batch = Batch::new();
                    let position = batch.next_position();
                    batch.next_position();
                    batch.put(&LOG, &(position,), &(task, number));
                    let user = format!("@user{task}:example.org");
                    batch.touch(Topic::User(user.try_into().expect("a user id")));
                    store.commit(batch).await.expect("a commit");
                    let mut quiet = Batch::new();
                    quiet.put(&LOG, &(Position::ZERO,), &(task, number));
                    store.commit(quiet).await.expect("a commit");
                }
            })
        })
        .collect();
    let mut last = Position::ZERO;
    let mut seen = vec![0; usize::try_from(TASKS).expect("small")];
    for _ in 0..TASKS * COMMITS {
        let Some(Notice::Changes(changes)) = watch.next().await else {
            panic!("something else than a commit")
        };
        assert_eq!(
            changes.position,
            last.plus(2),
            "a notice is missing, or out of order"
        );
        last = changes.position;
        assert!(store.position() >= last, "told before it is visible");
        let row = store.get(&LOG, &(last.previous(),)).await.expect("a read");
        let (task, number) = row.expect("the row is there when the watcher is told");
        let user = format!("@user{task}:example.org").try_into().expect("a user id");
        assert_eq!(*changes.topics, [Topic::User(user)]);
        let of_task = &mut seen[usize::try_from(task).expect("small")];
        assert_eq!(number, *of_task, "the commits of one task are out of order");
        *of_task += 1;
    }
    for task in tasks {
        task.await.expect("the task ends well");
    }
}

/// So that what follows the store can answer with what was committed before the question.
pub async fn who_waits_for_watchers_to_be_told_finds_the_notice(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let mut watch = store.watch();
    for _ in 0..50 {
        let mut batch = Batch::new();
        batch.touch(Topic::User(owned_user_id!("@a:example.org")));
        let position = store.commit(batch).await.expect("a commit").first;
        assert!(store.watchers_told().await, "nobody is told");
        let Some(Notice::Changes(changes)) = watch.try_next() else {
            panic!("the notice of an acknowledged commit is not there")
        };
        assert_eq!(changes.position, position);
        assert!(watch.try_next().is_none());
    }
}

/// Rather than fed for ever from memory without bound.
pub async fn a_slow_watcher_is_told_that_everything_changed(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let (mut watch, mut quick) = (store.watch(), store.watch());
    let touch = || {
        let mut batch = Batch::new();
        batch.touch(Topic::User(owned_user_id!("@a:example.org")));
        batch
    };
    let mut position = Position::ZERO;
    while position.number() < u64::try_from(WATCH_CAPACITY).expect("small") + 256 {
        let commits: Vec<_> = (0..256).map(|_| store.commit(touch())).collect();
        for commit in commits {
            position = commit.await.expect("a commit").first;
        }
        read_up_to(&mut quick, position).await;
    }
    assert!(
        matches!(watch.next().await, Some(Notice::Everything)),
        "the slow watcher was not told"
    );
    // And then goes on with what is still kept, up to the last.
    read_up_to(&mut watch, position).await;
}

async fn read_up_to(watch: &mut Watch, position: Position) {
    loop {
        match watch.next().await {
            Some(Notice::Changes(changes)) if changes.position == position => break,
            Some(_) => {}
            None => panic!("the store has not closed"),
        }
    }
}

/// After it has read what was committed before.
pub async fn a_watcher_sees_the_end_of_a_closed_store(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let mut watch = store.watch();
    let mut batch = Batch::new();
    batch.touch(Topic::User(owned_user_id!("@a:example.org")));
    store.commit(batch).await.expect("a commit");
    store.close().await.expect("it closes");
    assert!(matches!(watch.next().await, Some(Notice::Changes(_))));
    assert!(watch.next().await.is_none());
    assert!(store.watch().next().await.is_none());
}
