//! Invitations by address, with an identity server in memory that signs with real keys.

mod accepting;
mod handing_on;
mod identity_server;
mod inviting;
mod oracle;

use std::sync::Arc;

use gatehouse_accounts::NewUser;
use gatehouse_events::RoomVersion;
use gatehouse_mail::Threepid;
use gatehouse_store::{Direction, Range, Store};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId, events::room::member::MembershipState};
use serde_json::{Value, json};

use self::identity_server::TestIdentityServer;
use super::house::{content, room, rooms_asking, user};
use crate::{
    AddressInvite, BoundAddress, Join, MembershipRequest, Refusal, Rooms, SignedBlock, ThirdPartyRefusal,
    WriteError, create::Preset, send::StateUpdate, tables::TIMELINE,
};

/// Alice's private room, in which she has invited an address; Bob, whose address it is; and whoever keeps it.
struct World {
    store: Store,
    rooms: Rooms,
    identity: Arc<TestIdentityServer>,
    alice: OwnedUserId,
    bob: OwnedUserId,
    room: OwnedRoomId,
}

fn address() -> Threepid {
    Threepid::parse("email", "bob@mail.example").unwrap()
}

fn invite() -> AddressInvite {
    AddressInvite {
        address: address(),
        id_server: "id.example".to_owned(),
        id_access_token: None,
        reason: None,
    }
}

impl World {
    async fn new(version: RoomVersion) -> Self {
        let store = Store::in_memory();
        let identity = Arc::new(TestIdentityServer::default());
        let rooms = rooms_asking(&store, identity.clone());
        for name in ["alice", "bob", "carol"] {
            let new = NewUser {
                username: name,
                password: None,
                is_admin: false,
            };
            rooms.shared.accounts.create_user(&new, None).await.unwrap();
        }
        let alice = user("alice");
        let room = room(&rooms, &alice, version, Preset::PrivateChat).await;
        Self {
            store,
            rooms,
            identity,
            alice,
            bob: user("bob"),
            room,
        }
    }

    /// With the address invited; the invitation's token.
    async fn invited(version: RoomVersion) -> (Self, String) {
        let world = Self::new(version).await;
        world
            .rooms
            .invite_by_address(&world.alice, &world.room, &invite())
            .await
            .unwrap();
        let token = world.identity.last_token();
        (world, token)
    }

    async fn events(&self) -> usize {
        let all = Range::all();
        let rows = self.store.scan(&TIMELINE, &all, Direction::Forward, 1_000).await;
        rows.unwrap().len()
    }

    async fn membership(&self, user: &UserId) -> MembershipState {
        self.rooms
            .head(&self.room)
            .await
            .unwrap()
            .unwrap()
            .membership(user)
    }

    async fn state(&self, kind: &str, key: &str) -> Option<Value> {
        let head = self.rooms.head(&self.room).await.unwrap().unwrap();
        let id = head.state_event_id(kind, key)?.clone();
        let found = self.rooms.events(&[id]).await.unwrap().remove(0)?;
        serde_json::from_str(found.content.get()).ok()
    }

    /// What the identity server sends when Bob has bound the address.
    async fn bind(&self, block: Value) {
        self.bind_as(&self.bob, &self.alice, &self.room, block).await;
    }

    async fn bind_as(&self, mxid: &UserId, sender: &UserId, room: &RoomId, block: Value) {
        let bound = bound(mxid, sender, room, &block);
        self.rooms.accept_bound(&bound).await.unwrap();
    }

    async fn join_with(&self, user: &UserId, block: Value) -> Result<(), WriteError> {
        let join = Join {
            third_party_signed: Some(signed(&block)),
            ..Join::default()
        };
        self.rooms.join(user, &self.room, &join).await
    }

    /// Nothing comes of the block, whichever way it is shown, and nothing is written.
    async fn is_refused(&self, block: Value, because: ThirdPartyRefusal) {
        let before = self.events().await;
        self.bind(block.clone()).await;
        let refused = self.join_with(&self.bob, block).await.unwrap_err();
        assert!(
            matches!(refused, WriteError::Refused(Refusal::ThirdParty(reason)) if reason == because),
            "{refused:?}"
        );
        assert_eq!(self.events().await, before);
    }

    async fn set_state(&self, kind: &str, key: &str, text: &str) {
        let update = StateUpdate {
            kind: kind.into(),
            state_key: key.to_owned(),
            content: content(text),
            is_guest: false,
        };
        self.rooms
            .set_state(&self.alice, &self.room, &update)
            .await
            .unwrap();
    }
}

fn signed(block: &Value) -> SignedBlock {
    SignedBlock::read(content(&block.to_string())).unwrap()
}

/// What an identity server sends.
fn bound(mxid: &UserId, sender: &UserId, room: &RoomId, signed: &Value) -> BoundAddress {
    let invite = json!({ "room_id": room, "sender": sender, "mxid": mxid, "signed": signed });
    let body = json!({ "mxid": mxid, "medium": "email", "address": "bob@mail.example", "invites": [invite] });
    BoundAddress::read(&content(&body.to_string())).unwrap()
}

fn versions() -> impl Iterator<Item = RoomVersion> {
    ["1", "3", "6", "8", "10", "11", "12"]
        .iter()
        .map(|name| name.parse().unwrap())
}

fn newest() -> RoomVersion {
    "12".parse().unwrap()
}

fn plain() -> MembershipRequest {
    MembershipRequest::default()
}

fn block(mxid: &UserId, token: &str) -> Value {
    json!({ "mxid": mxid, "token": token })
}
