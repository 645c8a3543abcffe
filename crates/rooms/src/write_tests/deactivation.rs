//! Deactivating a user who is on their way into a room.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
};

use gatehouse_accounts::NewUser;
use gatehouse_events::RoomVersion;
use gatehouse_store::{Store, memory::MemoryBackend};
use ruma::{OwnedRoomId, OwnedUserId};
use tokio::task::yield_now;

use super::house::{content, request, rooms, user};
use crate::{Join, MembershipRequest, Rooms, WriteError, create::Preset, send::StateUpdate};

/// Turns that other tasks get: far more than they need.
const PATIENCE: usize = 1_000;

struct House {
    backend: Arc<MemoryBackend>,
    rooms: Rooms,
    bob: OwnedUserId,
    room: OwnedRoomId,
}

impl House {
    /// Bob, who has an account, and a room of somebody else's.
    async fn new(join_rule: &str) -> Self {
        let backend = Arc::new(MemoryBackend::new());
        let rooms = rooms(&Store::new(backend.clone()));
        let bob = NewUser {
            username: "bob",
            password: None,
            is_admin: false,
        };
        rooms.shared.accounts.create_user(&bob, None).await.unwrap();
        let alice = user("alice");
        let mut asked = request(version(), Preset::PublicChat);
        asked.initial_state = vec![StateUpdate {
            kind: "m.room.join_rules".into(),
            state_key: String::new(),
            content: content(&format!(r#"{{"join_rule":"{join_rule}"}}"#)),
            is_guest: false,
        }];
        let room = rooms.create(&alice, &asked, None).await.unwrap();
        Self {
            backend,
            rooms,
            bob: user("bob"),
            room,
        }
    }

    /// Deactivates Bob while what they do waits for the disk; what became of it.
    async fn deactivated_during<T: Send + 'static>(
        &self,
        what: impl Future<Output = Result<T, WriteError>> + Send + 'static,
    ) -> Result<T, WriteError> {
        self.backend.hold_commits();
        let doing = tokio::spawn(what);
        while self.backend.held_commits() == 0 {
            assert!(!doing.is_finished());
            yield_now().await;
        }
        let held = self.backend.take_held_commits();
        let accounts = &self.rooms.shared.accounts;
        accounts.deactivate_user(&self.bob).await.unwrap();
        self.rooms.leave_all(&self.bob).await.unwrap();
        self.backend.commit_held(held);
        doing.await.unwrap()
    }
}

fn version() -> RoomVersion {
    "12".parse().unwrap()
}

#[tokio::test]
async fn somebody_deactivated_while_they_join_is_in_no_room() {
    let house = House::new("public").await;
    let (rooms, bob, room) = (house.rooms.clone(), house.bob.clone(), house.room.clone());
    let joined = house
        .deactivated_during(async move { rooms.join(&bob, &room, &Join::default()).await })
        .await;
    assert!(matches!(joined, Err(WriteError::Refused(_))), "{joined:?}");
    assert!(house.rooms.joined_rooms(&house.bob).await.unwrap().is_empty());
}

#[tokio::test]
async fn somebody_deactivated_while_they_knock_waits_at_no_door() {
    let house = House::new("knock").await;
    let (rooms, bob, room) = (house.rooms.clone(), house.bob.clone(), house.room.clone());
    let request = MembershipRequest::default();
    let knocked = house
        .deactivated_during(async move { rooms.knock(&bob, &room, &request, &[]).await })
        .await;
    assert!(matches!(knocked, Err(WriteError::Refused(_))), "{knocked:?}");
    let head = house.rooms.head(&house.room).await.unwrap().unwrap();
    assert_eq!(head.counts.knocking, 0);
}

#[tokio::test]
async fn somebody_deactivated_while_they_make_a_room_makes_none() {
    let house = House::new("public").await;
    let (rooms, bob) = (house.rooms.clone(), house.bob.clone());
    let made = house
        .deactivated_during(async move {
            rooms
                .create(&bob, &request(version(), Preset::PublicChat), None)
                .await
        })
        .await;
    made.unwrap_err();
    assert!(house.rooms.joined_rooms(&house.bob).await.unwrap().is_empty());
}

#[tokio::test]
async fn somebody_who_deactivates_and_hangs_up_is_in_no_room() {
    let house = House::new("public").await;
    let (rooms, bob) = (&house.rooms, &house.bob);
    rooms.join(bob, &house.room, &Join::default()).await.unwrap();
    house.backend.hold_commits();
    {
        let mut closing = pin!(rooms.deactivate(bob, false));
        while house.backend.held_commits() == 0 {
            let polled = closing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending(), "it waits for its commit");
            yield_now().await;
        }
    }
    house.backend.release_commits();
    for _ in 0..PATIENCE {
        yield_now().await;
    }
    assert!(rooms.joined_rooms(bob).await.unwrap().is_empty());
}

#[tokio::test]
async fn somebody_deactivated_when_the_server_ended_leaves_when_it_is_back() {
    let house = House::new("public").await;
    let (rooms, bob) = (&house.rooms, &house.bob);
    rooms.join(bob, &house.room, &Join::default()).await.unwrap();
    // All that was done before the end.
    rooms.shared.accounts.deactivate_user(bob).await.unwrap();
    let back = super::house::rooms(&Store::new(house.backend.clone()));
    back.finish_deactivations().await.unwrap();
    assert!(back.joined_rooms(bob).await.unwrap().is_empty());
    assert!(back.shared.accounts.leaving_users(1).await.unwrap().is_empty());
}
