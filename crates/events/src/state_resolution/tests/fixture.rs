//! Rooms whose events have short ids and no signatures.

use std::{cell::Cell, collections::HashMap, sync::Arc};

use ruma::{EventId, OwnedEventId, OwnedRoomId, room_version_rules::RoomIdFormatVersion};
use serde_json::{Value, json, value::to_raw_value};

use crate::{
    Event, RoomVersion,
    authorise::authorise,
    state_resolution::{StateKey, StateMap, resolve, state_map::keys_that_authorise},
};

/// A room, and every event of it.
pub(super) struct Room {
    pub(super) version: RoomVersion,
    pub(super) events: HashMap<OwnedEventId, Arc<Event>>,
    pub(super) fetched: Cell<usize>,
    id: OwnedRoomId,
}

pub(super) fn key(kind: &str, state_key: &str) -> StateKey {
    (kind.to_owned(), state_key.to_owned())
}

pub(super) fn version(name: &str) -> RoomVersion {
    name.parse().unwrap()
}

/// The power levels of alice and of these.
pub(super) fn levels(version: RoomVersion, of: &[(&str, i64)]) -> Value {
    let mut users: HashMap<&str, i64> = of.iter().copied().collect();
    // Creators of version 12 stand in no power levels.
    if version.rules().room_id_format == RoomIdFormatVersion::V1 {
        users.insert("@alice:s", 100);
    }
    json!({"users": users, "users_default": 0, "state_default": 50, "ban": 50, "kick": 50, "invite": 0})
}

impl Room {
    /// A public room of alice, in which these are, with their power levels.
    pub(super) fn of(version: RoomVersion, members: &[(&str, i64)]) -> (Self, StateMap) {
        let named = version.rules().room_id_format == RoomIdFormatVersion::V1;
        let room_id = if named { "!room:s" } else { "!0" };
        let mut room = Self {
            version,
            events: HashMap::new(),
            fetched: Cell::new(0),
            id: room_id.try_into().unwrap(),
        };
        let mut state = StateMap::new();
        room.send(
            &mut state,
            "@alice:s",
            "m.room.create",
            "",
            &json!({"creator": "@alice:s"}),
        );
        room.join(&mut state, "@alice:s");
        room.send(
            &mut state,
            "@alice:s",
            "m.room.power_levels",
            "",
            &levels(version, members),
        );
        room.send(
            &mut state,
            "@alice:s",
            "m.room.join_rules",
            "",
            &json!({"join_rule": "public"}),
        );
        for (member, _) in members {
            room.join(&mut state, member);
        }
        (room, state)
    }

    pub(super) fn join(&mut self, state: &mut StateMap, user: &str) -> OwnedEventId {
        self.send(state, user, "m.room.member", user, &json!({"membership": "join"}))
    }

    /// Sends an event that the state allows, and puts it into the state.
    pub(super) fn send(
        &mut self,
        state: &mut StateMap,
        sender: &str,
        kind: &str,
        state_key: &str,
        content: &Value,
    ) -> OwnedEventId {
        self.try_send(state, sender, kind, state_key, content)
            .expect("allowed")
    }

    pub(super) fn try_send(
        &mut self,
        state: &mut StateMap,
        sender: &str,
        kind: &str,
        state_key: &str,
        content: &Value,
    ) -> Option<OwnedEventId> {
        let event = self.event(state, sender, kind, state_key, content);
        let held = |kind: &ruma::events::StateEventType, state_key: &str| {
            self.events
                .get(state.get(&key(&kind.to_string(), state_key))?)
                .cloned()
        };
        authorise(self.version, &event, held).ok()?;
        let id = event.event_id.clone();
        state.insert(key(kind, state_key), id.clone());
        self.events.insert(id.clone(), Arc::new(event));
        Some(id)
    }

    /// The next event, authorised by what the state has for it; not kept. Each is a second later and one deeper.
    pub(super) fn event(
        &self,
        state: &StateMap,
        sender: &str,
        kind: &str,
        state_key: &str,
        content: &Value,
    ) -> Event {
        let number = self.events.len() as u64;
        let mut event = Event {
            event_id: format!("${number}").try_into().unwrap(),
            room_id: self.id.clone(),
            sender: sender.try_into().unwrap(),
            kind: kind.into(),
            state_key: Some(state_key.to_owned()),
            content: to_raw_value(content).unwrap(),
            origin_server_ts: 1_000 * number,
            depth: number,
            prev_events: vec![format!("${}", number.saturating_sub(1)).try_into().unwrap()],
            auth_events: Vec::new(),
            redacts: None,
            rejected: false,
        };
        if kind == "m.room.create" {
            event.prev_events.clear();
        }
        let keys = keys_that_authorise(self.version, &event);
        event.auth_events = keys.iter().filter_map(|key| state.get(key).cloned()).collect();
        event
    }

    pub(super) fn fetch(&self, id: &EventId) -> Option<Arc<Event>> {
        self.fetched.set(self.fetched.get() + 1);
        self.events.get(id).cloned()
    }

    pub(super) fn resolve(&self, states: &[StateMap]) -> StateMap {
        resolve(self.version, states, &|id| self.fetch(id)).unwrap()
    }
}
