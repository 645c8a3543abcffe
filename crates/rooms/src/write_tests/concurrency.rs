//! Many writers at once, in one server and in two over one store.

use gatehouse_events::RoomVersion;
use gatehouse_store::{Direction, Range, Store};

use super::house::{content, room, rooms, user};
use crate::{
    Join, Rooms,
    create::Preset,
    room_transaction::Transaction,
    send::Message,
    tables::{STATE_CHANGES, TIMELINE},
};

fn version() -> RoomVersion {
    "12".parse().unwrap()
}

fn message(text: &str) -> Message {
    Message {
        kind: "m.room.message".into(),
        content: content(&format!(r#"{{"body":"{text}"}}"#)),
        transaction: None,
    }
}

/// Each event follows the one before it and nothing else.
async fn assert_one_line(store: &Store, rooms: &Rooms, events: usize) {
    let rows = store
        .scan(&TIMELINE, &Range::all(), Direction::Forward, 10_000)
        .await
        .unwrap();
    assert_eq!(rows.len(), events);
    let ids: Vec<_> = rows.iter().map(|(_, row)| row.event_id.clone()).collect();
    let stored = rooms.stored(&ids).await.unwrap();
    let mut before = Vec::new();
    for event in stored.into_iter().map(Option::unwrap) {
        assert_eq!(event.event.prev_events, before);
        before = vec![event.event_id().to_owned()];
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_over_one_store_lose_and_fork_nothing() {
    let store = Store::in_memory();
    let nodes = [rooms(&store), rooms(&store)];
    let alice = user("alice");
    let room = room(&nodes[0], &alice, version(), Preset::PublicChat).await;
    let before = nodes[0].head(&room).await.unwrap().unwrap().sequence;
    let mut tasks = tokio::task::JoinSet::new();
    for (number, node) in nodes.iter().cycle().take(4).enumerate() {
        let (node, room, alice) = (node.clone(), room.clone(), alice.clone());
        tasks.spawn(async move {
            for count in 0..25 {
                let message = message(&format!("{number} {count}"));
                node.send(&alice, &room, &message).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let total = usize::try_from(before).unwrap() + 100;
    assert_one_line(&store, &nodes[0], total).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_one_server_never_have_to_try_again() {
    let store = Store::in_memory();
    let rooms = rooms(&store);
    let alice = user("alice");
    let room = room(&rooms, &alice, version(), Preset::PublicChat).await;
    let before = usize::try_from(rooms.head(&room).await.unwrap().unwrap().sequence).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..50 {
        let (rooms, room) = (rooms.clone(), room.clone());
        tasks.spawn(async move {
            rooms
                .join(&user(&format!("u{number}")), &room, &Join::default())
                .await
        });
    }
    for outcome in tasks.join_all().await {
        outcome.unwrap();
    }
    let head = rooms.head(&room).await.unwrap().unwrap();
    assert_eq!(head.counts.joined, 51);
    assert_one_line(&store, &rooms, before + 50).await;
    let changes = store
        .scan(&STATE_CHANGES, &Range::all(), Direction::Forward, 10_000)
        .await
        .unwrap();
    assert_eq!(
        changes.len(),
        before + 50,
        "each change of the state is recorded once"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r03_one_transaction_has_one_effect_however_often_it_comes() {
    let store = Store::in_memory();
    let rooms = rooms(&store);
    let alice = user("alice");
    let room = room(&rooms, &alice, version(), Preset::PublicChat).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let (rooms, room, alice) = (rooms.clone(), room.clone(), alice.clone());
        let mut message = message(&number.to_string());
        message.transaction = Some(Transaction {
            device_id: "PHONE".into(),
            id: "1".into(),
            scope: "send".into(),
        });
        tasks.spawn(async move { rooms.send(&alice, &room, &message).await.unwrap() });
    }
    let mut ids = tasks.join_all().await;
    ids.dedup();
    assert_eq!(ids.len(), 1);
    // A new process over the same store knows it too.
    let mut again = message("again");
    again.transaction = Some(Transaction {
        device_id: "PHONE".into(),
        id: "1".into(),
        scope: "send".into(),
    });
    assert_eq!(
        super::house::rooms(&store)
            .send(&alice, &room, &again)
            .await
            .unwrap(),
        ids[0]
    );
}

#[tokio::test]
async fn what_fails_to_commit_is_shown_to_nobody() {
    let backend = std::sync::Arc::new(gatehouse_store::memory::MemoryBackend::new());
    let store = Store::new(backend.clone());
    let rooms = rooms(&store);
    let (alice, bob) = (user("alice"), user("bob"));
    let room = room(&rooms, &alice, version(), Preset::PublicChat).await;
    let full = gatehouse_store::StoreError::Unavailable("the disk is full".into());
    backend.fail_next_commit(full);
    rooms.join(&bob, &room, &Join::default()).await.unwrap_err();
    assert!(!rooms.head(&room).await.unwrap().unwrap().is_joined(&bob));
    rooms.join(&bob, &room, &Join::default()).await.unwrap();
    assert!(rooms.head(&room).await.unwrap().unwrap().is_joined(&bob));
}
