//! `gatehouse_federation::ReceivedTransaction`: what another server sends, and which room each part of it is for.

use gatehouse_events::{Pdu, RoomVersion};
use gatehouse_federation::ReceivedTransaction;
use serde_json::Value;

pub(super) const CORPUS: &[&[u8]] = &[
    b"{\"origin\":\"a\",\"origin_server_ts\":1,\"pdus\":[{\"room_id\":\"!r:s\",\"n\":1.5},{\"room_id\":\"!q:s\"}],\"edus\":[]}",
    b"{\"pdus\":[{\"auth_events\":[\"$a\"],\"content\":{\"body\":\"\\u2615\"},\"depth\":3,\"hashes\":{\"sha256\":\"x\"},\
      \"origin_server_ts\":5,\"prev_events\":[\"$a\"],\"room_id\":\"!r:s\",\"sender\":\"@a:s\",\
      \"signatures\":{\"s\":{\"ed25519:1\":\"x\"}},\"type\":\"m.room.message\"}]}",
    b"{\"pdus\":[{},null,7,\"x\",[[]],{\"room_id\":7},{\"room_id\":\"\\ud800\"}],\"edus\":[{\"edu_type\":\"m.typing\"},null]}",
    b"{\"pdus\":[{\"room_id\":\"!r:s\",\"room_id\":\"!q:s\"}],\"pdus\":[]}",
    b"{\"edus\":[1]}",
    b"[[],[]]",
];

/// Each event that is handed on is a part of what came, as it came, and of the room that it says; the rules of every
/// version look at it without harm.
pub fn transaction(data: &[u8]) -> bool {
    let Some(text) = std::str::from_utf8(data)
        .ok()
        .filter(|text| text.trim_ascii_start().starts_with('{'))
    else {
        return false;
    };
    let Ok(transaction) = serde_json::from_str::<ReceivedTransaction>(text) else {
        return false;
    };
    let parts = transaction.pdus.len() + transaction.edus.len();
    assert!(parts <= data.len());
    let all = transaction.pdus.len();
    let by_room = transaction.by_room();
    assert!(by_room.values().map(Vec::len).sum::<usize>() <= all);
    for (room_id, pdus) in &by_room {
        for pdu in pdus {
            assert!(text.contains(pdu.get()));
            if let Ok(Value::Object(fields)) = serde_json::from_str(pdu.get()) {
                let named = fields.get("room_id").and_then(Value::as_str);
                assert_eq!(named, Some(room_id.as_str()));
            }
            for version in RoomVersion::all() {
                if let Ok(read) = Pdu::parse(pdu.get(), room_id, version) {
                    assert_eq!(&read.event.room_id, room_id);
                }
            }
        }
    }
    true
}
