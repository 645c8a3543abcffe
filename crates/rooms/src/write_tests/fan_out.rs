//! What one request does in all of a user's rooms.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Waker},
};

use gatehouse_accounts::NewUser;
use gatehouse_events::RoomVersion;
use gatehouse_store::{Store, memory::MemoryBackend};
use ruma::{OwnedRoomId, OwnedUserId};
use tokio::task::yield_now;

use super::house::{room, rooms, user};
use crate::{Rooms, create::Preset};

const ROOMS: usize = 5;
/// Turns that other tasks get: far more than they need.
const PATIENCE: usize = 1_000;

struct House {
    backend: Arc<MemoryBackend>,
    rooms: Rooms,
    alice: OwnedUserId,
    joined: Vec<OwnedRoomId>,
}

impl House {
    /// Alice, who has an account and several rooms.
    async fn new() -> Self {
        let backend = Arc::new(MemoryBackend::new());
        let rooms = rooms(&Store::new(backend.clone()));
        let account = NewUser {
            username: "alice",
            password: None,
            is_admin: false,
        };
        rooms.shared.accounts.create_user(&account, None).await.unwrap();
        let alice = user("alice");
        let version: RoomVersion = "12".parse().unwrap();
        let mut joined = Vec::new();
        for _ in 0..ROOMS {
            joined.push(room(&rooms, &alice, version, Preset::PublicChat).await);
        }
        Self {
            backend,
            rooms,
            alice,
            joined,
        }
    }

    /// Begins what a request asks for, which then goes away; lets it go on once it waits for the disk in all rooms.
    async fn asked_by_one_who_goes_away<F: Future>(&self, request: F) {
        self.backend.hold_commits();
        {
            let mut request = pin!(request);
            poll(request.as_mut());
        }
        for _ in 0..1_000 {
            yield_now().await;
        }
        assert_eq!(
            self.backend.held_commits(),
            ROOMS,
            "they share a sync of the disk"
        );
        self.backend.release_commits();
        for _ in 0..PATIENCE {
            yield_now().await;
        }
    }

    async fn assert_known_as_alice(&self) {
        for room in &self.joined {
            let head = self.rooms.head(room).await.unwrap().unwrap();
            let event_id = head.members[&self.alice].event_id.clone();
            let event = self.rooms.stored(&[event_id]).await.unwrap().remove(0).unwrap();
            assert!(event.event.content.get().contains("Alice"));
        }
    }
}

fn poll<F: Future>(future: Pin<&mut F>) {
    let polled = future.poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
}

#[tokio::test]
async fn a_new_name_reaches_all_rooms_though_the_client_hangs_up() {
    let house = House::new().await;
    let (rooms, alice) = (&house.rooms, &house.alice);
    let accounts = &rooms.shared.accounts;
    let name = serde_json::json!("Alice");
    accounts
        .set_profile_field(alice, "displayname", name)
        .await
        .unwrap();
    house
        .asked_by_one_who_goes_away(rooms.update_profile_in_rooms(alice))
        .await;
    house.assert_known_as_alice().await;
}

#[tokio::test]
async fn a_new_name_reaches_all_rooms_though_the_client_hangs_up_while_it_is_set() {
    let house = House::new().await;
    let (rooms, alice) = (&house.rooms, &house.alice);
    let name = serde_json::json!("Alice");
    house.backend.hold_commits();
    {
        let mut naming = pin!(rooms.change_profile(alice, "displayname", Some(name)));
        while house.backend.held_commits() == 0 {
            poll(naming.as_mut());
            yield_now().await;
        }
    }
    house.backend.release_commits();
    for _ in 0..PATIENCE {
        yield_now().await;
    }
    house.assert_known_as_alice().await;
}

#[tokio::test]
async fn somebody_deactivated_leaves_all_rooms_though_the_client_hangs_up() {
    let house = House::new().await;
    let (rooms, alice) = (&house.rooms, &house.alice);
    house.asked_by_one_who_goes_away(rooms.leave_all(alice)).await;
    assert!(rooms.joined_rooms(alice).await.unwrap().is_empty());
}
