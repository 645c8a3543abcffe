//! What one writer decides while another's commit waits for the disk.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use gatehouse_events::RoomVersion;
use gatehouse_store::{Store, StoreError, memory::MemoryBackend};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use tokio::task::{JoinHandle, yield_now};

use super::house::{content, room, rooms, user};
use crate::{
    Rooms, WriteError,
    create::Preset,
    room_transaction::Transaction,
    send::{Message, StateUpdate},
    tables::EVENT_INDEX,
};

fn store() -> (Arc<MemoryBackend>, Store) {
    let backend = Arc::new(MemoryBackend::new());
    (Arc::clone(&backend), Store::new(backend))
}

fn version() -> RoomVersion {
    "12".parse().unwrap()
}

fn topic(text: &str) -> StateUpdate {
    StateUpdate {
        kind: "m.room.topic".into(),
        state_key: String::new(),
        content: content(&format!(r#"{{"topic":"{text}"}}"#)),
        is_guest: false,
    }
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Sets state in a task of its own, and waits until that waits for the disk.
async fn begin_setting(
    backend: &MemoryBackend,
    (rooms, user, room): (&Rooms, &OwnedUserId, &OwnedRoomId),
    update: StateUpdate,
) -> JoinHandle<Result<OwnedEventId, WriteError>> {
    let before = backend.held_commits();
    let (rooms, user, room) = (rooms.clone(), user.clone(), room.clone());
    let setting = tokio::spawn(async move { rooms.set_state(&user, &room, &update).await });
    while backend.held_commits() == before {
        assert!(!setting.is_finished(), "nothing waits for the disk");
        yield_now().await;
    }
    setting
}

#[tokio::test]
async fn a_member_may_send_while_their_new_name_waits_for_the_disk() {
    let (backend, store) = store();
    let rooms = rooms(&store);
    let alice = user("alice");
    let room = room(&rooms, &alice, version(), Preset::PrivateChat).await;
    backend.hold_commits();
    let renamed = StateUpdate {
        kind: "m.room.member".into(),
        state_key: alice.to_string(),
        content: content(r#"{"membership":"join","displayname":"Alice"}"#),
        is_guest: false,
    };
    let renaming = begin_setting(&backend, (&rooms, &alice, &room), renamed).await;
    let message = Message {
        kind: "m.room.message".into(),
        content: content(r#"{"body":"hi"}"#),
        transaction: None,
    };
    let mut sending = Box::pin(rooms.send(&alice, &room, &message));
    let sent = poll(&mut sending);
    assert!(sent.is_pending(), "{sent:?}");
    backend.release_commits();
    renaming.await.unwrap().unwrap();
    sending.await.unwrap();
}

/// Versions 1 and 2 put the hash of each event before beside its id.
#[tokio::test]
async fn in_old_rooms_an_event_names_the_hash_of_one_that_waits_for_the_disk() {
    let (backend, store) = store();
    let rooms = rooms(&store);
    let alice = user("alice");
    let room = room(&rooms, &alice, "1".parse().unwrap(), Preset::PrivateChat).await;
    backend.hold_commits();
    let first = begin_setting(&backend, (&rooms, &alice, &room), topic("one")).await;
    let second = begin_setting(&backend, (&rooms, &alice, &room), topic("two")).await;
    backend.release_commits();
    first.await.unwrap().unwrap();
    let second = second.await.unwrap().unwrap();
    let (_, position) = store.get(&EVENT_INDEX, &(second,)).await.unwrap().unwrap();
    let pdu = rooms.pdus(&room, &[position]).await.unwrap().remove(0);
    let pdu: serde_json::Value = serde_json::from_str(&pdu).unwrap();
    for list in ["prev_events", "auth_events"] {
        for reference in pdu[list].as_array().unwrap() {
            assert!(reference[1]["sha256"].is_string(), "{list}: {reference}");
        }
    }
}

#[tokio::test]
async fn what_is_so_already_is_not_said_before_it_is_on_disk() {
    let (backend, store) = store();
    let rooms = rooms(&store);
    let alice = user("alice");
    let room = room(&rooms, &alice, version(), Preset::PrivateChat).await;
    backend.hold_commits();
    let first = begin_setting(&backend, (&rooms, &alice, &room), topic("new")).await;
    let update = topic("new");
    let mut second = Box::pin(rooms.set_state(&alice, &room, &update));
    let answer = poll(&mut second);
    assert!(matches!(answer, Poll::Pending), "{answer:?}");
    backend.fail_next_commit(StoreError::Unavailable("the disk is full".into()));
    backend.release_commits();
    first.await.unwrap().unwrap_err();
    let event_id = second.await.unwrap();
    let stored = rooms.stored(&[event_id]).await.unwrap();
    assert!(stored[0].is_some(), "what was acknowledged is there");
}

/// Reading a large room again costs much, and clients repeat requests whenever they please.
#[tokio::test]
async fn a_repeated_request_does_not_make_the_room_be_read_again() {
    let (backend, store) = store();
    let rooms = rooms(&store);
    let alice = user("alice");
    let room = room(&rooms, &alice, version(), Preset::PrivateChat).await;
    let message = Message {
        kind: "m.room.message".into(),
        content: content(r#"{"body":"hi"}"#),
        transaction: Some(Transaction {
            device_id: "PHONE".into(),
            id: "1".into(),
            scope: "send".into(),
        }),
    };
    backend.hold_commits();
    let mut first = Box::pin(rooms.send(&alice, &room, &message));
    let mut second = Box::pin(rooms.send(&alice, &room, &message));
    let mut third = Box::pin(rooms.send(&alice, &room, &message));
    assert!(poll(&mut first).is_pending());
    assert!(poll(&mut second).is_pending() && poll(&mut third).is_pending());
    let slot = rooms.shared.turns.slot(&room);
    backend.release_commits();
    let (first, second, third) = tokio::join!(first, second, third);
    let first = first.unwrap();
    assert_eq!([first.clone(), first], [second.unwrap(), third.unwrap()]);
    let tip = slot.tip.lock().await;
    assert_eq!(tip.epoch, 0, "the room was forgotten");
    let shown = slot.committed().unwrap().head;
    assert_eq!(tip.head.as_ref().unwrap().sequence, shown.sequence);
}
