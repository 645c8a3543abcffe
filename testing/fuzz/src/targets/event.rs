//! `gatehouse_events`: building an event from a client's body, and reading it again.

use gatehouse_events::{
    BuildError, Built, Event, EventBuilder, NewEvent, Parents, RoomVersion, SigningKey,
    build::{MAX_PDU_BYTES, reference_hash_of},
    json::parse_content,
    redact, redact_event,
};
use ruma::{CanonicalJsonObject, CanonicalJsonValue, OwnedEventId, event_id, room_id, server_name, user_id};

pub(super) const CORPUS: &[&[u8]] = &[
    br#"{"type":"m.room.message","content":{"body":"\u2615","msgtype":"m.text"},"version":12}"#,
    br#"{"type":"m.room.name","state_key":"","content":{"name":"x","n":[0,-1,{"a":null}]},"version":1}"#,
    br#"{"type":"m.room.member","state_key":"@a:s","content":{"membership":"join"},"version":3}"#,
    br#"{"type":"m.room.power_levels","state_key":"","content":{"users":{"@a:s":100},"ban":50},"version":9}"#,
    br#"{"type":"m.room.redaction","redacts":"$e:s","content":{"redacts":"$f"},"version":10}"#,
    br#"{"type":"m.room.redaction","redacts":"$e","content":{"reason":"x"},"version":11}"#,
    br#"{"type":"a","content":{"a":"aaaaaaaa","b":{"$serde_json::private::RawValue":"1"}},"version":6}"#,
];

const TIME: u64 = 1_700_000_000_000;

/// What is built is within the limits, and its PDU says what the event says, before redaction and after.
pub fn event(data: &[u8]) -> bool {
    let Ok(mut body) = parse_content(data) else {
        return false;
    };
    let (Some(version), Some(new)) = (version(&body), new_event(&mut body)) else {
        return false;
    };
    let Ok(key) = SigningKey::from_seed([7; 32], "a_fuzz") else {
        return false;
    };
    let parent: OwnedEventId = event_id!("$parent:s").to_owned();
    let parents = Parents {
        prev_events: vec![parent.clone()],
        auth_events: vec![parent],
        depth: 2,
        hashes: Vec::new(),
    };
    let builder = EventBuilder {
        version,
        server_name: server_name!("s"),
        key: &key,
    };
    match builder.build(room_id!("!r:s"), user_id!("@a:s"), new, parents, TIME) {
        Ok(built) => {
            assert_reads_back(&built, version);
            true
        }
        Err(error) => {
            assert!(
                matches!(error, BuildError::TooLarge | BuildError::FieldTooLong(_)),
                "{error}"
            );
            false
        }
    }
}

fn version(body: &CanonicalJsonObject) -> Option<RoomVersion> {
    let number = match body.get("version") {
        Some(CanonicalJsonValue::Integer(number)) => i64::from(*number).to_string(),
        _ => String::new(),
    };
    let default = RoomVersion::all().last()?;
    Some(number.parse().unwrap_or(default))
}

fn new_event(body: &mut CanonicalJsonObject) -> Option<NewEvent> {
    let mut text = |name| match body.remove(name) {
        Some(CanonicalJsonValue::String(text)) => Some(text),
        _ => None,
    };
    let (kind, state_key) = (text("type")?, text("state_key"));
    let redacts = text("redacts").and_then(|id| OwnedEventId::try_from(id).ok());
    let Some(CanonicalJsonValue::Object(content)) = body.remove("content") else {
        return None;
    };
    Some(NewEvent {
        kind: kind.into(),
        state_key,
        content,
        redacts,
    })
}

fn assert_reads_back(built: &Built, version: RoomVersion) {
    let Built {
        event,
        pdu,
        reference_hash,
    } = built;
    assert!(pdu.len() <= MAX_PDU_BYTES);
    assert_eq!(reference_hash_of(pdu, version).as_ref(), Some(reference_hash));
    let canonical = parse_content(pdu.as_bytes())
        .ok()
        .and_then(|pdu| serde_json::to_string(&pdu).ok());
    assert_eq!(canonical.as_ref(), Some(pdu));
    assert_same(event, read(pdu, event, version), version);
    let redacted = redact(pdu, version).unwrap_or_default();
    assert_eq!(redact(&redacted, version).as_ref(), Ok(&redacted));
    assert_eq!(
        reference_hash_of(&redacted, version).as_ref(),
        Some(reference_hash)
    );
    assert_same(
        &redact_event(event, version),
        read(&redacted, event, version),
        version,
    );
}

fn read(pdu: &str, event: &Event, version: RoomVersion) -> Option<Event> {
    Event::parse(pdu, &event.room_id, version, Some(&event.event_id)).ok()
}

fn assert_same(event: &Event, read: Option<Event>, version: RoomVersion) {
    assert!(read.is_some(), "what was built is not read, version {version}");
    let Some(read) = read else { return };
    assert_eq!(read.content.get(), event.content.get());
    assert_eq!((&read.kind, &read.state_key), (&event.kind, &event.state_key));
    assert_eq!((&read.sender, read.depth), (&event.sender, event.depth));
    assert_eq!(
        (&read.prev_events, &read.auth_events, read.origin_server_ts),
        (&event.prev_events, &event.auth_events, event.origin_server_ts)
    );
}
