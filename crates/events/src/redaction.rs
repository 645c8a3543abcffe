//! Redaction: what is left of an event.

use ruma::{
    CanonicalJsonObject,
    canonical_json::{redact_content_in_place, redact_in_place},
};
use serde_json::value::{RawValue, to_raw_value};

use crate::{Event, EventParseError, RoomVersion};

/// The PDU with everything taken out that the room version does not keep. `unsigned` goes as well.
pub fn redact(pdu: &str, version: RoomVersion) -> Result<String, EventParseError> {
    let mut object: CanonicalJsonObject = serde_json::from_str(pdu).map_err(|_| EventParseError::Format)?;
    redact_in_place(&mut object, &version.rules().redaction, None).map_err(|_| EventParseError::Format)?;
    serde_json::to_string(&object).map_err(|_| EventParseError::Format)
}

/// The same of a parsed event.
pub fn redact_event(event: &Event, version: RoomVersion) -> Event {
    let rules = &version.rules().redaction;
    let mut redacted = event.clone();
    // Of a content that is not even canonical JSON nothing is known to be kept.
    let mut content: CanonicalJsonObject = serde_json::from_str(event.content.get()).unwrap_or_default();
    redact_content_in_place(&mut content, rules, event.kind.to_string());
    // JSON is written without failing.
    redacted.content = to_raw_value(&content).unwrap_or_else(|_| RawValue::NULL.to_owned());
    if !rules.content_field_redacts {
        redacted.redacts = None;
    }
    redacted
}
