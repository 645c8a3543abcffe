//! `gatehouse_sync::Filter` and `gatehouse_rooms::filter`.

use gatehouse_rooms::filter::{Candidate, RoomEventFilter};
use gatehouse_sync::{Filter, filter::MAX_TIMELINE_LIMIT};
use ruma::room_id;
use serde_json::value::RawValue;

pub(super) const CORPUS: &[&[u8]] = &[
    b"{}",
    br#"{"event_fields":["type","content.body"],"event_format":"federation","presence":{"types":[]},"account_data":{"not_types":["m.direct"]},"room":{"rooms":["!r:s"],"not_rooms":["!q:s"],"include_leave":true,"timeline":{"limit":3,"types":["m.room.message"]},"state":{"lazy_load_members":true}}}"#,
    br#"{"limit":10,"types":["m.*","a*b*c"],"not_types":["*"],"senders":["@a:s"],"not_senders":[],"rooms":["!r:s"],"contains_url":true,"lazy_load_members":true,"include_redundant_members":true,"unread_thread_notifications":false}"#,
    br#"{"event_format":null,"room":{"include_leave":null,"timeline":{"limit":null},"state":null}}"#,
    br#"{"room":[]}"#,
    br#"{"room":{"timeline":{"limit":18446744073709551615}}}"#,
    br#"{"x":{"$serde_json::private::RawValue":"{\"a\":null}"}}"#,
];

/// Both filters bound what they ask for, and the one that is stored is read back as it was.
pub fn filter(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    if let Ok(filter) = Filter::parse(text) {
        assert!(filter.room.timeline_limit() <= MAX_TIMELINE_LIMIT);
        filter.room.admits(room_id!("!r:s"));
        used(&filter.room.timeline);
        used(&filter.account_data);
    }
    let Ok(filter) = RoomEventFilter::parse(text) else {
        return false;
    };
    used(&filter);
    let written = serde_json::to_string(&filter).unwrap_or_default();
    assert_eq!(RoomEventFilter::parse(&written), Ok(filter));
    true
}

fn used(filter: &RoomEventFilter) {
    let candidate = Candidate {
        kind: "m.room.message",
        sender: "@a:s",
        content: RawValue::NULL,
    };
    let admitted = filter.admits(candidate) && filter.admits_room(room_id!("!r:s"));
    assert!(!(admitted && filter.admits_nothing()));
}
