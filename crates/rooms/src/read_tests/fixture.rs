//! Rooms to read from.

use std::{sync::Arc, time::Duration};

use gatehouse_accounts::Accounts;
use gatehouse_events::{ClientEvent, Clock, NewEvent, SigningKey};
use gatehouse_store::{Batch, Direction, Position, Store};
use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId, device_id, owned_server_name};
use serde_json::{Value, json};

use crate::{
    Config, NoFederation, NoIdentityServers, ReadError, Rooms,
    filter::RoomEventFilter,
    messages::{MessagesPage, MessagesQuery},
    present::Viewer,
    room_transaction::Beside,
    tables::{EVENT_INDEX, EventRow, Standing, TIMELINE},
};

/// A server with rooms and nothing else.
pub(super) struct House {
    pub(super) rooms: Rooms,
    pub(super) clock: Clock,
}

pub(super) fn user(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:s")).unwrap()
}

pub(super) fn viewer(user: &UserId) -> Viewer<'_> {
    Viewer {
        user,
        device: Some(device_id!("PHONE")),
    }
}

pub(super) fn ids(events: &[ClientEvent]) -> Vec<OwnedEventId> {
    events.iter().map(|event| event.event.event_id.clone()).collect()
}

pub(super) fn shown(event: &ClientEvent) -> Value {
    serde_json::to_value(event).unwrap()
}

impl House {
    pub(super) fn new() -> Self {
        Self::over(Store::in_memory())
    }

    pub(super) fn over(store: Store) -> Self {
        let clock = Clock::manual(1_000_000);
        let accounts = Accounts::new(
            store.clone(),
            gatehouse_accounts::Config::new(owned_server_name!("s")),
            clock.clone(),
        );
        let config = Config {
            default_version: "11".parse().unwrap(),
            legacy_default_version: "11".parse().unwrap(),
            cached_rooms: 100,
            event_cache_bytes: 1 << 20,
        };
        let key = SigningKey::from_seed([7; 32], "test").unwrap();
        Self {
            rooms: Rooms::new(
                store,
                accounts,
                key,
                Arc::new(NoFederation),
                Arc::new(NoIdentityServers),
                config,
                clock.clone(),
            ),
            clock,
        }
    }

    /// A public room of version 11, made by this user, with no history visibility set.
    pub(super) async fn room(&self, creator: &UserId) -> OwnedRoomId {
        self.room_of_type(creator, json!({ "room_version": "11" })).await
    }

    pub(super) async fn room_of_type(&self, creator: &UserId, create: Value) -> OwnedRoomId {
        self.clock.advance(Duration::from_millis(1));
        let content = gatehouse_events::json::parse_content(create.to_string().as_bytes()).unwrap();
        let transaction = self
            .rooms
            .begin_new("11".parse().unwrap(), None, creator, content)
            .await;
        let transaction = transaction.unwrap();
        let room = transaction.head().room_id.clone();
        transaction.commit().await.unwrap();
        self.member(&room, creator, creator, "join").await;
        let levels = json!({ "users": { creator.as_str(): 100 } });
        self.state(&room, creator, "m.room.power_levels", "", levels)
            .await;
        self.state(
            &room,
            creator,
            "m.room.join_rules",
            "",
            json!({ "join_rule": "public" }),
        )
        .await;
        room
    }

    pub(super) async fn visibility(&self, room: &RoomId, by: &UserId, visibility: &str) -> OwnedEventId {
        let content = json!({ "history_visibility": visibility });
        self.state(room, by, "m.room.history_visibility", "", content)
            .await
    }

    pub(super) async fn member(
        &self,
        room: &RoomId,
        by: &UserId,
        of: &UserId,
        membership: &str,
    ) -> OwnedEventId {
        let content = json!({ "membership": membership, "displayname": of.localpart() });
        self.state(room, by, "m.room.member", of.as_str(), content).await
    }

    pub(super) async fn state(
        &self,
        room: &RoomId,
        by: &UserId,
        kind: &str,
        key: &str,
        content: Value,
    ) -> OwnedEventId {
        self.append(room, by, kind, Some(key), content, Beside::default())
            .await
    }

    pub(super) async fn say(&self, room: &RoomId, by: &UserId, text: &str) -> OwnedEventId {
        self.send(
            room,
            by,
            "m.room.message",
            json!({ "msgtype": "m.text", "body": text }),
        )
        .await
    }

    pub(super) async fn send(&self, room: &RoomId, by: &UserId, kind: &str, content: Value) -> OwnedEventId {
        self.append(room, by, kind, None, content, Beside::default())
            .await
    }

    pub(super) async fn append(
        &self,
        room: &RoomId,
        by: &UserId,
        kind: &str,
        key: Option<&str>,
        content: Value,
        beside: Beside,
    ) -> OwnedEventId {
        self.clock.advance(Duration::from_millis(1));
        let new = NewEvent {
            kind: kind.into(),
            state_key: key.map(str::to_owned),
            content: gatehouse_events::json::parse_content(content.to_string().as_bytes()).unwrap(),
            redacts: None,
        };
        let mut transaction = self.rooms.begin(room).await.unwrap().unwrap();
        let event = transaction.append(by, new, beside).await.unwrap();
        transaction.commit().await.unwrap();
        event.event_id.clone()
    }

    /// Events that failed the checks on receipt, as federation may bring them.
    pub(super) async fn rejected(&self, room: &RoomId, by: &UserId, count: usize) {
        for number in 0..count {
            let event_id = EventId::parse(format!("$rejected{number}")).unwrap();
            let pdu = json!({
                "sender": by, "type": "m.room.message", "content": {}, "origin_server_ts": 1, "depth": 5,
                "prev_events": [], "auth_events": [], "room_id": room,
            });
            let row = EventRow::new(event_id.clone(), pdu.to_string(), Standing::Rejected);
            let mut batch = Batch::new();
            let position = batch.next_position();
            batch.put(&TIMELINE, &(room.to_owned(), position), &row);
            batch.put(&EVENT_INDEX, &(event_id,), &(room.to_owned(), position));
            self.rooms.store.commit(batch).await.unwrap();
        }
    }

    pub(super) async fn position(&self, event: &EventId) -> Position {
        let place = self
            .rooms
            .store
            .get(&EVENT_INDEX, &(event.to_owned(),))
            .await
            .unwrap();
        place.unwrap().1
    }

    pub(super) fn everything(direction: Direction) -> MessagesQuery {
        MessagesQuery {
            from: None,
            to: None,
            direction,
            limit: Some(1_000),
            filter: RoomEventFilter::default(),
        }
    }

    /// All that a user sees of a room's history, oldest first.
    pub(super) async fn history(&self, room: &RoomId, reader: &UserId) -> Result<MessagesPage, ReadError> {
        self.rooms
            .messages(viewer(reader), room, &Self::everything(Direction::Forward))
            .await
    }
}
