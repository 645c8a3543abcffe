//! A server that dies while it fills a room goes on where it was.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use gatehouse_store::{
    Backend, Batch, CommitError, Direction, Position, Store, StoreError, Watch,
    backend::{Lease, Row},
    memory::MemoryBackend,
};

use super::*;

/// A store that takes some more commits, and then none; and in which others write while one reads.
struct Dying {
    memory: Arc<MemoryBackend>,
    left: Arc<AtomicUsize>,
}

type Answer<'a, T, E = StoreError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

impl Backend for Dying {
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
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            self.memory.scan(table, start, end, direction, limit).await
        })
    }

    fn commit(&self, batch: Batch) -> Answer<'static, Position, CommitError> {
        let one_less = |left: usize| left.checked_sub(1);
        if self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_err()
        {
            let dead = StoreError::Unavailable("it is dead".to_owned());
            return Box::pin(std::future::ready(Err(dead.into())));
        }
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

fn dying(memory: &Arc<MemoryBackend>, commits: usize) -> (Store, Arc<AtomicUsize>) {
    let left = Arc::new(AtomicUsize::new(commits));
    let backend = Dying {
        memory: Arc::clone(memory),
        left: Arc::clone(&left),
    };
    (Store::new(Arc::new(backend)), left)
}

/// The users of `a` with whom the room is large enough for several commits.
const CROWD: usize = 8;

#[tokio::test(start_paused = true)]
async fn filling_goes_on_after_a_crash_at_any_moment() {
    for commits in 0..100 {
        let town = Town::new().await;
        let memory = Arc::new(MemoryBackend::new());
        let (store, left) = dying(&memory, usize::MAX);
        town.open("b", store, 1);
        town.sign_up("b", "b").await;
        let named = [("m.room.name", json!({ "name": "Tea" }))];
        let room = town.room_with("11", Preset::PublicChat, &named).await;
        for number in 0..CROWD {
            let username = format!("crowd{number}");
            town.sign_up("a", &username).await;
            let member = someone(&format!("@{username}:a"));
            let rooms = town.rooms("a");
            rooms.join(&member, &room, &Join::default()).await.unwrap();
        }
        town.join("c", &room).await.unwrap();
        let a = town.rooms("a");
        a.ban(&user("a"), &user("c"), &room, &plain()).await.unwrap();
        let partial = Partial { town, room };
        partial.withhold();
        let (town, room) = (&partial.town, &partial.room);
        town.join_partly("b", room).await.unwrap();
        partial.says("@crowd1:a", "hello").await;
        a.leave(&someone("@crowd2:a"), room, &plain()).await.unwrap();
        town.deliver("a", "b", room).await;
        // Somebody who is banned speaks, too.
        partial.keep_at_b("c", "@c:c").await;
        let auth = ["m.room.create", "m.room.power_levels"];
        let spoken = partial
            .craft("@c:c", message("psst"), &ends(&partial.b(), room).await, &auth)
            .await;
        let received = partial.b().receive(&name("c"), room, &[spoken]).await.unwrap();
        assert_eq!(received[0].1, Received::Accepted);
        let told = partial.shown().await.len();

        left.store(commits, Ordering::Relaxed);
        town.wire.unanswered.lock().clear();
        while left.load(Ordering::Relaxed) > 0 && !partial.is_whole().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let survived = partial.is_whole().await;
        town.open("b", dying(&memory, usize::MAX).0, 1);
        assert_eq!(
            partial.b().resume_filling().await.unwrap(),
            usize::from(!survived)
        );
        partial.whole("b").await;
        assert_eq!(partial.shown().await.len(), told - 1, "after {commits} commits");
        partial.agree_on_all().await;
        if survived {
            assert!(commits > 3, "{commits} commits");
            return;
        }
    }
    panic!("it never survived");
}

#[tokio::test(start_paused = true)]
async fn a_room_can_be_read_while_another_node_fills_it() {
    let town = Town::new().await;
    let memory = Arc::new(MemoryBackend::new());
    town.open("b", dying(&memory, usize::MAX).0, 1);
    town.sign_up("b", "b").await;
    let room = town.room("11", Preset::PublicChat).await;
    let partial = Partial { town, room };
    partial.withhold();
    partial.town.join_partly("b", &partial.room).await.unwrap();
    let (filling, room) = (partial.b(), partial.room.clone());
    // Another node over the same store, which has never read the room.
    partial.town.open("b", dying(&memory, usize::MAX).0, 1);
    let (reading, read) = (partial.b(), partial.room.clone());
    let filled = tokio::spawn(async move {
        for _ in 0..200 {
            let mut transaction = filling.begin(&room).await.unwrap().unwrap();
            transaction.fill();
            transaction.commit().await.unwrap();
        }
    });
    let head = reading.head(&read).await.unwrap().unwrap();
    assert!(head.is_joined(&user("b")));
    filled.await.unwrap();
}
