//! How large an event may be: to the byte.

use gatehouse_events::RoomVersion;
use gatehouse_store::Store;
use ruma::{OwnedEventId, RoomId, UserId};

use super::house::{content, room, rooms, user};
use crate::{
    Rooms, WriteError,
    create::Preset,
    send::{Message, StateUpdate},
    tables::EVENT_INDEX,
};

async fn say(rooms: &Rooms, user: &UserId, room: &RoomId, length: usize) -> Result<OwnedEventId, WriteError> {
    let message = Message {
        kind: "m.room.message".into(),
        content: content(&format!(r#"{{"body":"{}"}}"#, "x".repeat(length))),
        transaction: None,
    };
    rooms.send(user, room, &message).await
}

async fn pdu_bytes(rooms: &Rooms, room: &RoomId, event_id: OwnedEventId) -> usize {
    let (_, position) = rooms
        .store
        .get(&EVENT_INDEX, &(event_id,))
        .await
        .unwrap()
        .unwrap();
    rooms.pdus(room, &[position]).await.unwrap()[0].len()
}

#[tokio::test]
async fn an_event_may_have_65536_bytes_and_not_one_more() {
    for version in RoomVersion::all() {
        let rooms = rooms(&Store::in_memory());
        let alice = user("alice");
        let room = room(&rooms, &alice, version, Preset::PublicChat).await;
        // So that the depth has as many digits in what follows.
        for _ in 0..10 {
            say(&rooms, &alice, &room, 1).await.unwrap();
        }
        let small = say(&rooms, &alice, &room, 1_000).await.unwrap();
        let around = pdu_bytes(&rooms, &room, small).await - 1_000;
        let largest = say(&rooms, &alice, &room, 65_536 - around).await.unwrap();
        assert_eq!(pdu_bytes(&rooms, &room, largest).await, 65_536);
        let refused = say(&rooms, &alice, &room, 65_537 - around).await;
        assert!(
            matches!(refused, Err(WriteError::TooLarge(_))),
            "version {version}: {refused:?}"
        );
        say(&rooms, &alice, &room, 1).await.unwrap();
    }
}

#[tokio::test]
async fn types_and_state_keys_may_have_255_bytes_and_not_one_more() {
    let rooms = rooms(&Store::in_memory());
    let alice = user("alice");
    let room = room(&rooms, &alice, "12".parse().unwrap(), Preset::PublicChat).await;
    // Characters of two bytes: it is bytes that count.
    for (kind, state_key, allowed) in [(127, 127, true), (128, 127, false), (127, 128, false)] {
        let update = StateUpdate {
            kind: format!("x{}", "é".repeat(kind)),
            state_key: format!("x{}", "é".repeat(state_key)),
            content: content("{}"),
            is_guest: false,
        };
        let set = rooms.set_state(&alice, &room, &update).await;
        assert_eq!(set.is_ok(), allowed, "{kind} {state_key}: {set:?}");
    }
}
