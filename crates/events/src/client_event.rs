//! Events as clients are shown them (client-server API, "Room event format").

use std::sync::Arc;

use ruma::{OwnedEventId, OwnedRoomId, events::TimelineEventType, events::room::member::MembershipState};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use crate::Event;

/// An event for a client: the event, and what this server adds for the one who asks.
#[derive(Debug, Clone)]
pub struct ClientEvent {
    /// The event.
    pub event: Arc<Event>,
    /// Absent in `/sync`, which says the room once for all its events.
    pub room_id: Option<OwnedRoomId>,
    /// What is not part of the event.
    pub unsigned: Unsigned,
}

/// `unsigned` of a client's event.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Unsigned {
    /// How long ago it was sent, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
    /// For the device that sent it: the transaction id that it gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// The content of the state event that this one replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_content: Option<Box<RawValue>>,
    /// The state event that this one replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces_state: Option<OwnedEventId>,
    /// The redaction that applied to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redacted_because: Option<Box<ClientEvent>>,
    /// The id of that redaction. Not in the specification; clients of Synapse look for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redacted_by: Option<OwnedEventId>,
    /// The membership that the one who asks had when it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership: Option<MembershipState>,
    /// What is bundled with it: replacement, thread, references.
    #[serde(rename = "m.relations", skip_serializing_if = "Option::is_none")]
    pub relations: Option<Box<RawValue>>,
}

impl Unsigned {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.age.is_none()
            && self.transaction_id.is_none()
            && self.prev_content.is_none()
            && self.replaces_state.is_none()
            && self.redacted_because.is_none()
            && self.redacted_by.is_none()
            && self.membership.is_none()
            && self.relations.is_none()
    }
}

impl ClientEvent {
    /// The event with nothing added, and with its room.
    pub fn new(event: Arc<Event>) -> Self {
        let room_id = Some(event.room_id.clone());
        Self {
            event,
            room_id,
            unsigned: Unsigned::default(),
        }
    }

    /// As `/sync` shows it: without its room.
    #[must_use]
    pub fn without_room_id(mut self) -> Self {
        self.room_id = None;
        self
    }

    /// The content as clients are shown it: that of a redaction always says what it redacts, as room version 11 does.
    pub fn content(&self) -> Box<RawValue> {
        match &self.event.redacts {
            Some(redacts) if self.event.kind == TimelineEventType::RoomRedaction => {
                with_redacts(&self.event.content, redacts).unwrap_or_else(|| self.event.content.clone())
            }
            _ => self.event.content.clone(),
        }
    }
}

fn with_redacts(content: &RawValue, redacts: &OwnedEventId) -> Option<Box<RawValue>> {
    let mut content: serde_json::Map<String, serde_json::Value> = serde_json::from_str(content.get()).ok()?;
    content.insert("redacts".to_owned(), redacts.as_str().into());
    serde_json::value::to_raw_value(&content).ok()
}

impl Serialize for ClientEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = &self.event;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("event_id", &event.event_id)?;
        map.serialize_entry("type", &event.kind)?;
        map.serialize_entry("sender", &event.sender)?;
        if event.kind == TimelineEventType::RoomRedaction {
            map.serialize_entry("content", &self.content())?;
        } else {
            map.serialize_entry("content", &event.content)?;
        }
        map.serialize_entry("origin_server_ts", &event.origin_server_ts)?;
        if let Some(state_key) = &event.state_key {
            map.serialize_entry("state_key", state_key)?;
        }
        if let Some(room_id) = &self.room_id {
            map.serialize_entry("room_id", room_id)?;
        }
        if let Some(redacts) = &event.redacts {
            map.serialize_entry("redacts", redacts)?;
        }
        if !self.unsigned.is_empty() {
            map.serialize_entry("unsigned", &self.unsigned)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use ruma::{event_id, owned_event_id, owned_room_id, owned_user_id};
    use serde_json::{Value, json};

    use super::*;

    fn event(kind: &str, content: &str) -> Event {
        Event {
            event_id: owned_event_id!("$e"),
            room_id: owned_room_id!("!r:s"),
            sender: owned_user_id!("@a:s"),
            kind: kind.into(),
            state_key: None,
            content: RawValue::from_string(content.to_owned()).unwrap(),
            origin_server_ts: 5,
            depth: 1,
            prev_events: vec![],
            auth_events: vec![],
            redacts: None,
            rejected: false,
        }
    }

    fn shown(event: &ClientEvent) -> Value {
        serde_json::to_value(event).unwrap()
    }

    #[test]
    fn what_is_absent_is_left_out() {
        let shown = shown(&ClientEvent::new(Arc::new(event(
            "m.room.message",
            r#"{"body":"x"}"#,
        ))));
        assert_eq!(
            shown,
            json!({
                "event_id": "$e", "type": "m.room.message", "sender": "@a:s", "content": {"body": "x"},
                "origin_server_ts": 5, "room_id": "!r:s",
            })
        );
    }

    #[test]
    fn sync_leaves_the_room_out() {
        let event = ClientEvent::new(Arc::new(event("x", "{}"))).without_room_id();
        assert_eq!(shown(&event).get("room_id"), None);
    }

    #[test]
    fn a_redaction_says_in_both_places_what_it_redacts() {
        let mut redaction = event("m.room.redaction", r#"{"reason":"spam"}"#);
        redaction.redacts = Some(event_id!("$gone").to_owned());
        let shown = shown(&ClientEvent::new(Arc::new(redaction)));
        assert_eq!(shown["redacts"], "$gone");
        assert_eq!(shown["content"], json!({"reason": "spam", "redacts": "$gone"}));
    }

    #[test]
    fn unsigned_holds_what_the_server_adds() {
        let mut event = ClientEvent::new(Arc::new(event("x", "{}")));
        event.unsigned.age = Some(7);
        event.unsigned.transaction_id = Some("t".to_owned());
        event.unsigned.membership = Some(MembershipState::Join);
        event.unsigned.relations = RawValue::from_string("{}".to_owned()).ok();
        assert_eq!(
            shown(&event)["unsigned"],
            json!({"age": 7, "transaction_id": "t", "membership": "join", "m.relations": {}})
        );
    }
}
