//! The `Filter` of `/sync` (client-server API, "Filtering").

use gatehouse_events::json::{JsonInputError, parse_value};
use gatehouse_rooms::filter::RoomEventFilter;
use ruma::{OwnedRoomId, RoomId};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// How many events of a room's timeline are sent when the filter does not say.
pub const DEFAULT_TIMELINE_LIMIT: usize = 20;

/// How many events of a room's timeline are sent at most.
pub const MAX_TIMELINE_LIMIT: usize = 100;

/// Which parts of a response the client wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// For what concerns rooms.
    pub room: RoomFilter,
    /// For global account data.
    pub account_data: RoomEventFilter,
    /// For presence.
    pub presence: RoomEventFilter,
    /// The fields of an event to send, dots between the parts of a path; all when absent.
    pub event_fields: Option<Vec<String>>,
    /// The form of events.
    pub event_format: EventFormat,
}

/// The form in which events are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventFormat {
    /// As clients need them.
    #[default]
    Client,
    /// As servers exchange them.
    Federation,
}

/// The part for rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RoomFilter {
    /// Only these rooms.
    pub rooms: Option<Vec<OwnedRoomId>>,
    /// None of these rooms.
    pub not_rooms: Vec<OwnedRoomId>,
    /// Also rooms that the user has left, in an initial sync.
    pub include_leave: bool,
    /// For the timeline.
    pub timeline: RoomEventFilter,
    /// For the state.
    pub state: RoomEventFilter,
    /// For typing and receipts.
    pub ephemeral: RoomEventFilter,
    /// For the user's own data of the room.
    pub account_data: RoomEventFilter,
}

/// The text is not a filter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidFilter {
    /// Not JSON at all.
    #[error("the filter is not JSON; send a filter object, or the id of one that was stored")]
    NotJson,
    /// JSON, but not a filter.
    #[error("this is not a filter: {0}")]
    NotAFilter(String),
}

impl Filter {
    /// Reads a filter object. Unknown fields are ignored; known ones of the wrong type are an error.
    pub fn parse(text: &str) -> Result<Self, InvalidFilter> {
        // By way of a value, so that an array in place of an object is an error.
        let mut value = parse_value(text.as_bytes()).map_err(invalid)?;
        only_objects(&value)?;
        without_nulls(&mut value);
        serde_json::from_value(value).map_err(|error| InvalidFilter::NotAFilter(error.to_string()))
    }
}

fn invalid(error: JsonInputError) -> InvalidFilter {
    match error {
        JsonInputError::NotJson => InvalidFilter::NotJson,
        other => InvalidFilter::NotAFilter(other.to_string()),
    }
}

/// serde would take the fields of a struct from an array, too.
fn only_objects(filter: &Value) -> Result<(), InvalidFilter> {
    const PARTS: [&str; 7] = [
        "/account_data",
        "/presence",
        "/room",
        "/room/timeline",
        "/room/state",
        "/room/ephemeral",
        "/room/account_data",
    ];
    if !filter.is_object() {
        return Err(InvalidFilter::NotAFilter("it must be an object".to_owned()));
    }
    for part in PARTS {
        if filter
            .pointer(part)
            .is_some_and(|part| !part.is_object() && !part.is_null())
        {
            let name = part.trim_start_matches('/').replace('/', ".");
            return Err(InvalidFilter::NotAFilter(format!("{name} must be an object")));
        }
    }
    Ok(())
}

/// Takes out what is null: clients send null for what they do not set.
fn without_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(without_nulls);
    }
}

impl RoomFilter {
    /// Whether anything of this room is to be sent.
    pub fn admits(&self, room: &RoomId) -> bool {
        !self.not_rooms.iter().any(|excluded| excluded == room)
            && self
                .rooms
                .as_ref()
                .is_none_or(|rooms| rooms.iter().any(|included| included == room))
    }

    /// How many events of the timeline are to be sent.
    pub fn timeline_limit(&self) -> usize {
        self.timeline.limit.map_or(DEFAULT_TIMELINE_LIMIT, |limit| {
            usize::try_from(limit).map_or(MAX_TIMELINE_LIMIT, |limit| limit.min(MAX_TIMELINE_LIMIT))
        })
    }
}

#[cfg(test)]
mod tests {
    use ruma::room_id;

    use super::*;

    #[test]
    fn an_empty_filter_is_the_default() {
        let filter = Filter::parse("{}").unwrap();
        assert_eq!(filter, Filter::default());
        assert_eq!(filter.room.timeline_limit(), DEFAULT_TIMELINE_LIMIT);
        assert!(filter.room.admits(room_id!("!r:s")));
    }

    #[test]
    fn every_part_is_read() {
        let filter = Filter::parse(
            r#"{"event_fields":["type","content.body"],"event_format":"federation","presence":{"types":[]},
                "account_data":{"not_types":["m.direct"]},"room":{"rooms":["!r:s"],"not_rooms":["!q:s"],
                "include_leave":true,"timeline":{"limit":3,"types":["m.room.message"]},"unknown":1,
                "state":{"lazy_load_members":true,"include_redundant_members":true}}}"#,
        )
        .unwrap();
        assert_eq!(filter.event_format, EventFormat::Federation);
        assert!(filter.room.include_leave);
        assert!(filter.room.state.lazy_load_members);
        assert_eq!(filter.room.timeline_limit(), 3);
        assert!(!filter.account_data.admits_type("m.direct"));
        assert!(!filter.room.admits(room_id!("!q:s")));
    }

    #[test]
    fn null_is_the_same_as_absent() {
        let filter = Filter::parse(
            r#"{"event_format":null,"room":{"include_leave":null,"timeline":{"limit":null},"state":null}}"#,
        );
        assert_eq!(filter, Ok(Filter::default()));
    }

    #[test]
    fn a_limit_is_at_most_a_hundred() {
        let filter = Filter::parse(r#"{"room":{"timeline":{"limit":1000000000000}}}"#).unwrap();
        assert_eq!(filter.room.timeline_limit(), MAX_TIMELINE_LIMIT);
    }

    #[test]
    fn nesting_is_bounded() {
        for levels in [101, 10_000] {
            let text = format!(r#"{{"x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
            assert!(matches!(Filter::parse(&text), Err(InvalidFilter::NotAFilter(_))));
        }
        let text = r#"{"x":{"$serde_json::private::RawValue":"[]"}}"#;
        assert!(matches!(Filter::parse(text), Err(InvalidFilter::NotAFilter(_))));
    }

    #[test]
    fn wrong_types_are_refused() {
        assert_eq!(Filter::parse("{"), Err(InvalidFilter::NotJson));
        for text in [
            "[]",
            "1",
            r#"{"room":[]}"#,
            r#"{"room":{"timeline":[]}}"#,
            r#"{"room":{"rooms":"!r:s"}}"#,
            r#"{"room":{"rooms":["r"]}}"#,
            r#"{"room":{"state":{"lazy_load_members":1}}}"#,
            r#"{"room":{"timeline":{"limit":-1}}}"#,
            r#"{"room":{"timeline":{"senders":["nobody"]}}}"#,
            r#"{"event_format":"other"}"#,
            r#"{"event_fields":"type"}"#,
        ] {
            assert!(
                matches!(Filter::parse(text), Err(InvalidFilter::NotAFilter(_))),
                "{text}"
            );
        }
    }
}
