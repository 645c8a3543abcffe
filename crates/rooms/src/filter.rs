//! `EventFilter` and `RoomEventFilter` of the specification, and what they let through.

use gatehouse_events::json::{JsonInputError, parse_value};
use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

/// Which events of which rooms to return (client-server API, `RoomEventFilter`; an `EventFilter` is one without the
/// fields for rooms).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoomEventFilter {
    /// At most this many events; the caller has its own default and maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Only these types, `*` standing for any characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// None of these types.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_types: Vec<String>,
    /// Only from these senders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub senders: Option<Vec<OwnedUserId>>,
    /// From none of these senders.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_senders: Vec<OwnedUserId>,
    /// Only in these rooms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rooms: Option<Vec<OwnedRoomId>>,
    /// In none of these rooms.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_rooms: Vec<OwnedRoomId>,
    /// `true`: only with a `url` in the content; `false`: only without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains_url: Option<bool>,
    /// Leave out members who sent nothing of what is returned.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lazy_load_members: bool,
    /// With `lazy_load_members`: repeat members that the client was sent before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub include_redundant_members: bool,
    /// Count unread notifications by thread (`/sync` only).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unread_thread_notifications: bool,
}

/// The text is not a filter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidFilter {
    /// Not JSON at all.
    #[error("The filter is not JSON; send a RoomEventFilter object.")]
    NotJson,
    /// JSON, but not a filter.
    #[error("The filter is not a RoomEventFilter: {0}")]
    NotAFilter(String),
}

/// What a filter looks at in an event.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The event's type.
    pub kind: &'a str,
    /// Who sent it.
    pub sender: &'a str,
    /// Its content.
    pub content: &'a RawValue,
}

impl RoomEventFilter {
    /// Reads the value of a `filter` query parameter. What is null is not set, as in the filter of a sync.
    pub fn parse(text: &str) -> Result<Self, InvalidFilter> {
        let mut value = parse_value(text.as_bytes()).map_err(invalid)?;
        let Some(fields) = value.as_object_mut() else {
            // serde would take the fields from an array, too.
            return Err(InvalidFilter::NotAFilter("it is not an object".to_owned()));
        };
        fields.retain(|_, field| !field.is_null());
        serde_json::from_value(value).map_err(|error| InvalidFilter::NotAFilter(error.to_string()))
    }

    /// Whether events of this room may pass at all.
    pub fn admits_room(&self, room: &RoomId) -> bool {
        !self.not_rooms.iter().any(|excluded| excluded == room)
            && self
                .rooms
                .as_ref()
                .is_none_or(|rooms| rooms.iter().any(|included| included == room))
    }

    /// Whether an event of a room that the filter admits passes.
    pub fn admits(&self, event: Candidate<'_>) -> bool {
        self.admits_type(event.kind)
            && self.admits_sender(event.sender)
            && self
                .contains_url
                .is_none_or(|wanted| wanted == has_url(event.content))
    }

    /// Whether events of this type pass.
    pub fn admits_type(&self, kind: &str) -> bool {
        !self
            .not_types
            .iter()
            .any(|pattern| wildcard_matches(pattern, kind))
            && self
                .types
                .as_ref()
                .is_none_or(|types| types.iter().any(|pattern| wildcard_matches(pattern, kind)))
    }

    /// Whether events from this sender pass.
    pub fn admits_sender(&self, sender: &str) -> bool {
        !self.not_senders.iter().any(|excluded| excluded == sender)
            && self
                .senders
                .as_ref()
                .is_none_or(|senders| senders.iter().any(|included| included == sender))
    }

    /// Whether no event can pass, so that there is no need to look for any.
    pub fn admits_nothing(&self) -> bool {
        self.types.as_ref().is_some_and(Vec::is_empty)
            || self.senders.as_ref().is_some_and(Vec::is_empty)
            || self.rooms.as_ref().is_some_and(Vec::is_empty)
            || self.not_types.iter().any(|pattern| pattern == "*")
    }
}

fn invalid(error: JsonInputError) -> InvalidFilter {
    match error {
        JsonInputError::NotJson => InvalidFilter::NotJson,
        other => InvalidFilter::NotAFilter(other.to_string()),
    }
}

/// Whether `text` is `pattern` with each `*` replaced by some characters. Linear in practice: it goes back to the
/// last `*` only.
pub fn wildcard_matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Whether the content has a `url` key, whatever its value.
fn has_url(content: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Urls {
        #[serde(default, deserialize_with = "present")]
        url: bool,
    }
    fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
    }
    serde_json::from_str::<Urls>(content.get()).is_ok_and(|content| content.url)
}

#[cfg(test)]
mod tests {
    use ruma::room_id;

    use super::*;

    fn filter(json: &str) -> RoomEventFilter {
        RoomEventFilter::parse(json).unwrap()
    }

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn admits(filter: &RoomEventFilter, kind: &str, sender: &str, content: &str) -> bool {
        filter.admits(Candidate {
            kind,
            sender,
            content: &raw(content),
        })
    }

    #[test]
    fn nesting_is_bounded() {
        let text = format!(r#"{{"x":{}{}}}"#, "[".repeat(101), "]".repeat(101));
        assert!(matches!(
            RoomEventFilter::parse(&text),
            Err(InvalidFilter::NotAFilter(_))
        ));
    }

    #[test]
    fn an_empty_filter_admits_everything() {
        let filter = filter("{}");
        assert!(admits(&filter, "m.room.message", "@a:s", "{}"));
        assert!(filter.admits_room(room_id!("!r:s")));
        assert!(!filter.admits_nothing());
    }

    #[test]
    fn excluded_types_win_over_included_ones() {
        let filter = filter(r#"{"types":["m.room.*"],"not_types":["m.room.member"]}"#);
        assert!(admits(&filter, "m.room.message", "@a:s", "{}"));
        assert!(!admits(&filter, "m.room.member", "@a:s", "{}"));
        assert!(!admits(&filter, "m.reaction", "@a:s", "{}"));
    }

    #[test]
    fn excluded_senders_win_over_included_ones() {
        let filter = filter(r#"{"senders":["@a:s","@b:s"],"not_senders":["@b:s"]}"#);
        assert!(admits(&filter, "x", "@a:s", "{}"));
        assert!(!admits(&filter, "x", "@b:s", "{}"));
        assert!(!admits(&filter, "x", "@c:s", "{}"));
    }

    #[test]
    fn excluded_rooms_win_over_included_ones() {
        let filter = filter(r#"{"rooms":["!a:s","!b:s"],"not_rooms":["!b:s"]}"#);
        assert!(filter.admits_room(room_id!("!a:s")));
        assert!(!filter.admits_room(room_id!("!b:s")));
        assert!(!filter.admits_room(room_id!("!c:s")));
    }

    #[test]
    fn a_url_is_a_key_whatever_its_value() {
        let with = filter(r#"{"contains_url":true}"#);
        let without = filter(r#"{"contains_url":false}"#);
        for (content, has) in [
            (r#"{"url":"mxc://a/b"}"#, true),
            (r#"{"url":null}"#, true),
            (r#"{"info":{"url":"mxc://a/b"}}"#, false),
            ("{}", false),
        ] {
            assert_eq!(admits(&with, "x", "@a:s", content), has, "{content}");
            assert_eq!(admits(&without, "x", "@a:s", content), !has, "{content}");
        }
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "m.x", true),
            ("m.*", "m.", true),
            ("m.*", "n.m.", false),
            ("*.message", "m.room.message", true),
            ("m.*.message", "m.room.message", true),
            ("m.*message", "m.message", true),
            ("m*m", "m", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("a*a*b", "aab", true),
            ("exact", "exact", true),
            ("exact", "exactly", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(wildcard_matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn wrong_types_are_not_a_filter() {
        assert_eq!(RoomEventFilter::parse("{"), Err(InvalidFilter::NotJson));
        for text in [
            "[]",
            r#"{"types":"m.room.message"}"#,
            r#"{"lazy_load_members":1}"#,
            r#"{"limit":-1}"#,
        ] {
            assert!(
                matches!(RoomEventFilter::parse(text), Err(InvalidFilter::NotAFilter(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn an_empty_list_of_what_to_include_admits_nothing() {
        for text in [
            r#"{"types":[]}"#,
            r#"{"rooms":[]}"#,
            r#"{"senders":[]}"#,
            r#"{"not_types":["*"]}"#,
        ] {
            assert!(filter(text).admits_nothing(), "{text}");
        }
    }
}
