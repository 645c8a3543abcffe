//! Redaction: what is left of an event.

use ruma::{CanonicalJsonObject, canonical_json::redact_in_place};

use crate::{EventParseError, RoomVersion};

/// The PDU with everything taken out that the room version does not keep. `unsigned` goes as well.
pub fn redact(pdu: &str, version: RoomVersion) -> Result<String, EventParseError> {
    let mut object: CanonicalJsonObject = serde_json::from_str(pdu).map_err(|_| EventParseError::Format)?;
    redact_in_place(&mut object, &version.rules().redaction, None).map_err(|_| EventParseError::Format)?;
    serde_json::to_string(&object).map_err(|_| EventParseError::Format)
}
