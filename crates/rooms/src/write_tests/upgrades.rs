//! A room and its replacement: both change, or neither.

use std::sync::Arc;

use gatehouse_events::RoomVersion;
use gatehouse_store::{Direction, Range, Store, memory::MemoryBackend};
use tokio::task::yield_now;

use super::house::{content, room, rooms, user};
use crate::{create::Preset, send::Message, tables::ROOMS};

async fn rooms_in(store: &Store) -> usize {
    let rows = store.scan(&ROOMS, &Range::all(), Direction::Forward, 100).await;
    rows.unwrap().len()
}

#[tokio::test]
async fn an_upgrade_that_another_node_gets_in_the_way_of_leaves_no_second_replacement() {
    for (old, new) in [("10", "11"), ("11", "12")] {
        let backend = Arc::new(MemoryBackend::new());
        let store = Store::new(backend.clone());
        let (here, there) = (rooms(&store), rooms(&store));
        let alice = user("alice");
        let version = |name: &str| name.parse::<RoomVersion>().unwrap();
        let room = room(&here, &alice, version(old), Preset::PublicChat).await;
        backend.hold_commits();
        let upgrading = tokio::spawn({
            let (here, alice, room) = (here.clone(), alice.clone(), room.clone());
            let new = version(new);
            async move { here.upgrade(&alice, &room, new, &[], None).await }
        });
        while backend.held_commits() == 0 {
            assert!(!upgrading.is_finished());
            yield_now().await;
        }
        let held = backend.take_held_commits();
        let message = Message {
            kind: "m.room.message".into(),
            content: content(r#"{"body":"hi"}"#),
            transaction: None,
        };
        there.send(&alice, &room, &message).await.unwrap();
        backend.commit_held(held);
        let replacement = upgrading.await.unwrap().unwrap();
        assert_eq!(rooms_in(&store).await, 2, "from version {old} to {new}");
        assert_eq!(there.replacement_of(&room).await.unwrap(), Some(replacement));
    }
}
