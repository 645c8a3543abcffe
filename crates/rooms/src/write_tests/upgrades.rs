//! A room and its replacement: both change, or neither.

use std::sync::Arc;

use gatehouse_events::RoomVersion;
use gatehouse_store::{Direction, Range, Store, memory::MemoryBackend};
use tokio::task::yield_now;

use super::house::{content, request, room, rooms, user};
use crate::{
    Join, MembershipRequest,
    create::Preset,
    send::{Message, StateUpdate},
    tables::ROOMS,
};

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

/// Who may replace the room need not be able to do everything else in it.
#[tokio::test]
async fn a_moderator_who_may_upgrade_a_room_takes_all_of_it_along_and_gains_no_power() {
    let store = Store::in_memory();
    let rooms = rooms(&store);
    let (alice, bob, carol) = (user("alice"), user("bob"), user("carol"));
    let version = |name: &str| name.parse::<RoomVersion>().unwrap();
    let levels = r#"{"users":{"@alice:s":100,"@bob:s":50},"events":{"m.room.tombstone":50,
        "m.room.history_visibility":100,"m.room.server_acl":100}}"#;
    let mut asked = request(version("10"), Preset::PublicChat);
    asked.power_level_content_override = content(levels);
    asked.initial_state = vec![StateUpdate {
        kind: "m.room.server_acl".into(),
        state_key: String::new(),
        content: content(r#"{"allow":["*"]}"#),
        is_guest: false,
    }];
    let room = rooms.create(&alice, &asked, None).await.unwrap();
    let because = MembershipRequest::default();
    rooms.ban(&alice, &carol, &room, &because).await.unwrap();
    rooms.join(&bob, &room, &Join::default()).await.unwrap();
    let replacement = rooms
        .upgrade(&bob, &room, version("11"), &[], None)
        .await
        .unwrap();
    let head = rooms.head(&replacement).await.unwrap().unwrap();
    assert!(head.state_event_id("m.room.server_acl", "").is_some());
    assert_eq!(head.membership(&carol).as_str(), "ban");
    assert_eq!(head.power_levels().of_user(&bob), 50);
    assert_eq!(head.power_levels().of_user(&alice), 100);
}

/// Up to version 9 a level may be a string, and from version 10 on it must not.
#[tokio::test]
async fn levels_that_are_strings_are_numbers_in_the_new_room() {
    let rooms = rooms(&Store::in_memory());
    let alice = user("alice");
    let version = |name: &str| name.parse::<RoomVersion>().unwrap();
    let mut asked = request(version("9"), Preset::PublicChat);
    asked.power_level_content_override =
        content(r#"{"ban":" 60 ","users":{"@alice:s":"100","@bob:s":"50"},"events":{"m.room.name":"70"}}"#);
    let room = rooms.create(&alice, &asked, None).await.unwrap();
    for new in ["10", "12"] {
        let replacement = rooms.upgrade(&alice, &room, version(new), &[], None).await;
        let head = rooms.head(&replacement.unwrap()).await.unwrap().unwrap();
        let levels = head.power_levels();
        assert_eq!((levels.ban, levels.of_user(&user("bob"))), (60, 50));
        assert_eq!(levels.to_set_state("m.room.name"), 70);
        assert!(levels.of_user(&alice) >= 100);
    }
}
