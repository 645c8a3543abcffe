//! Two people on two servers, one of whom makes rooms of one version.

use std::cell::OnceCell;

use serde_json::{Value, json};

use super::{
    super::person::Person,
    agreement,
    world::{Whose, World},
};

/// Somebody who makes rooms, and somebody elsewhere who comes in.
pub(super) struct Pair<'a> {
    world: &'a World,
    /// Whose the rooms are.
    pub(super) whose: Whose,
    /// The version of the rooms.
    pub(super) version: String,
    /// Who makes them.
    pub(super) host: Person,
    /// Who comes in from the other server.
    pub(super) guest: Person,
    /// The rooms of a story of several parts.
    pub(super) rooms: OnceCell<Vec<String>>,
}

impl<'a> Pair<'a> {
    pub(super) async fn new(world: &'a World, whose: Whose, version: &str) -> Self {
        Self {
            world,
            whose,
            version: version.to_owned(),
            host: world.person(whose, "host").await,
            guest: world.person(whose.other(), "guest").await,
            rooms: OnceCell::new(),
        }
    }

    /// Somebody else on the guest's server.
    pub(super) async fn another_guest(&self) -> Person {
        self.world.person(self.whose.other(), "neighbour").await
    }

    /// Somebody else on the host's server.
    pub(super) async fn another_host(&self) -> Person {
        self.world.person(self.whose, "friend").await
    }

    /// The host makes a room.
    pub(super) async fn room(&self, mut body: Value) -> String {
        body["room_version"] = json!(self.version);
        self.host.create_room(body).await
    }

    /// A room that the guest has joined already.
    pub(super) async fn shared_room(&self) -> String {
        let room = self.room(json!({ "preset": "public_chat" })).await;
        self.guest.join_via(&room, self.host.server()).await;
        room
    }

    /// Waits until both see the same room.
    pub(super) async fn agree(&self, room: &str) {
        agreement::agree(&self.host, &self.guest, room).await;
    }
}
