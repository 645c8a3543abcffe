//! The format of PDUs: fields, their types and sizes (room versions, "Event format"; client-server API, "Size limits").
//!
//! `ruma` has such a check as well, which refuses events of exactly 65,536 bytes. Servers that disagree about one event
//! disagree about the room from then on, so the limit here is the specification's.

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, RoomId, UserId,
    canonical_json::redact_in_place,
    room_version_rules::{EventsReferenceFormatVersion, RoomIdFormatVersion},
};
use serde_json::{Map, Value};

use crate::{
    RoomVersion,
    build::MAX_FIELD_BYTES,
    json::{JsonInputError, canonical_object},
    pdu_error::PduError,
};

/// The most events that an event may follow.
pub const MAX_PREV_EVENTS: usize = 20;
/// The most events that may authorise an event.
pub const MAX_AUTH_EVENTS: usize = 10;

const CREATE: &str = "m.room.create";

/// The PDU as canonical JSON. Numbers that canonical JSON lacks are refused from room version 6 on (E27).
///
/// Before, they are tolerated where redaction takes them out anyway: such an event is kept redacted, as an event whose
/// hash is wrong is. All servers still agree about its id, its signatures and what it authorises.
pub(crate) fn canonical_pdu(
    fields: Map<String, Value>,
    version: RoomVersion,
) -> Result<CanonicalJsonObject, PduError> {
    if version.rules().authorization.strict_canonical_json || !fields.values().any(has_other_number) {
        return Ok(canonical_object(fields)?);
    }
    let redacted_with = |stand_in: &Value| {
        let replaced = fields
            .iter()
            .map(|(key, value)| (key.clone(), replaced(value, stand_in)))
            .collect();
        let mut object = canonical_object(replaced)?;
        redact_in_place(&mut object, &version.rules().redaction, None)
            .map_err(|_| PduError::Field("content"))?;
        Ok::<_, PduError>(object)
    };
    // What is the same whatever stands for the number has the number no more.
    let redacted = redacted_with(&Value::Null)?;
    if redacted == redacted_with(&Value::Bool(true))? {
        Ok(redacted)
    } else {
        Err(JsonInputError::Number.into())
    }
}

fn is_other_number(number: &serde_json::Number) -> bool {
    number.as_i64().and_then(ruma::Int::new).is_none()
}

fn has_other_number(value: &Value) -> bool {
    match value {
        Value::Number(number) => is_other_number(number),
        Value::Array(items) => items.iter().any(has_other_number),
        Value::Object(fields) => fields.values().any(has_other_number),
        _ => false,
    }
}

fn replaced(value: &Value, stand_in: &Value) -> Value {
    match value {
        Value::Number(number) if is_other_number(number) => stand_in.clone(),
        Value::Array(items) => items.iter().map(|item| replaced(item, stand_in)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            Value::Object(
                fields
                    .map(|(key, value)| (key.clone(), replaced(value, stand_in)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

/// Whether the fields are there, of the right type and size, and of this room. Says nothing of ids made of hashes.
pub(crate) fn check_format(
    object: &CanonicalJsonObject,
    room_id: &RoomId,
    version: RoomVersion,
) -> Result<(), PduError> {
    let kind = required_text(object, "type")?;
    UserId::parse(required_text(object, "sender")?).map_err(|_| PduError::Field("sender"))?;
    if let Some(state_key) = object.get("state_key") {
        bounded_text(state_key, "state_key")?;
    }
    check_room(object, kind, room_id, version)?;
    if version.rules().event_format.require_event_id {
        let id =
            EventId::parse(required_text(object, "event_id")?).map_err(|_| PduError::Field("event_id"))?;
        // Its server has to sign the event.
        id.server_name().ok_or(PduError::Field("event_id"))?;
    }
    check_references(object, "prev_events", MAX_PREV_EVENTS, version)?;
    check_references(object, "auth_events", MAX_AUTH_EVENTS, version)?;
    check_create_not_cited(object, room_id, version)?;
    // E25, E26: anything above 2^53 - 1 is no integer of canonical JSON at all.
    natural_number(object, "depth")?;
    natural_number(object, "origin_server_ts")?;
    object_field(object, "content")?;
    object_field(object, "signatures")?;
    match object_field(object, "hashes")?.get("sha256") {
        Some(CanonicalJsonValue::String(_)) => Ok(()),
        _ => Err(PduError::Field("hashes")),
    }
}

fn check_room(
    object: &CanonicalJsonObject,
    kind: &str,
    room_id: &RoomId,
    version: RoomVersion,
) -> Result<(), PduError> {
    if kind == CREATE && !version.rules().event_format.require_room_create_room_id {
        // The room's id is the hash of this event, which cannot be in it.
        return match object.get("room_id") {
            None => Ok(()),
            Some(_) => Err(PduError::Field("room_id")),
        };
    }
    if required_text(object, "room_id")? == room_id.as_str() {
        Ok(())
    } else {
        Err(PduError::WrongRoom)
    }
}

fn check_references(
    object: &CanonicalJsonObject,
    field: &'static str,
    max: usize,
    version: RoomVersion,
) -> Result<(), PduError> {
    let wrong = PduError::Field(field);
    let Some(CanonicalJsonValue::Array(items)) = object.get(field) else {
        return Err(wrong);
    };
    let with_hashes = matches!(
        version.rules().events_reference_format,
        EventsReferenceFormatVersion::V1
    );
    let is_reference = |item: &CanonicalJsonValue| match item {
        CanonicalJsonValue::String(id) => !with_hashes && is_event_id(id),
        CanonicalJsonValue::Array(pair) => match pair.as_slice() {
            [CanonicalJsonValue::String(id), CanonicalJsonValue::Object(_)] => with_hashes && is_event_id(id),
            _ => false,
        },
        _ => false,
    };
    if items.len() <= max && items.iter().all(is_reference) {
        Ok(())
    } else {
        Err(wrong)
    }
}

fn is_event_id(text: &str) -> bool {
    text.len() <= MAX_FIELD_BYTES && EventId::parse(text).is_ok()
}

/// Where the room's id is its create event, events must not cite that as one that authorises them.
fn check_create_not_cited(
    object: &CanonicalJsonObject,
    room_id: &RoomId,
    version: RoomVersion,
) -> Result<(), PduError> {
    let rules = version.rules();
    if rules.event_format.allow_room_create_in_auth_events || rules.room_id_format == RoomIdFormatVersion::V1
    {
        return Ok(());
    }
    let Some(CanonicalJsonValue::Array(auth_events)) = object.get("auth_events") else {
        return Err(PduError::Field("auth_events"));
    };
    let hash = room_id.strip_sigil();
    let cites_create = auth_events
        .iter()
        .filter_map(CanonicalJsonValue::as_str)
        .any(|id| id.strip_prefix('$') == Some(hash));
    if cites_create {
        Err(PduError::Field("auth_events"))
    } else {
        Ok(())
    }
}

fn required_text<'a>(object: &'a CanonicalJsonObject, field: &'static str) -> Result<&'a str, PduError> {
    bounded_text(object.get(field).ok_or(PduError::Field(field))?, field)
}

fn bounded_text<'a>(value: &'a CanonicalJsonValue, field: &'static str) -> Result<&'a str, PduError> {
    match value {
        CanonicalJsonValue::String(text) if text.len() <= MAX_FIELD_BYTES => Ok(text),
        _ => Err(PduError::Field(field)),
    }
}

fn natural_number(object: &CanonicalJsonObject, field: &'static str) -> Result<(), PduError> {
    match object.get(field) {
        Some(CanonicalJsonValue::Integer(number)) if i64::from(*number) >= 0 => Ok(()),
        _ => Err(PduError::Field(field)),
    }
}

fn object_field<'a>(
    object: &'a CanonicalJsonObject,
    field: &'static str,
) -> Result<&'a CanonicalJsonObject, PduError> {
    match object.get(field) {
        Some(CanonicalJsonValue::Object(object)) => Ok(object),
        _ => Err(PduError::Field(field)),
    }
}
