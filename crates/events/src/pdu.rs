//! PDUs from the network: format, ids, signatures and hashes (server-server API, "Checks performed on receipt of a PDU",
//! 1 to 3).

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, OwnedEventId, OwnedServerName, RoomId, ServerName,
    canonical_json::redact_in_place,
    room_version_rules::EventIdFormatVersion,
    signatures::{
        PublicKeyMap, Verified, reference_hash, required_server_signatures_to_verify_event, sign_event,
        verify_event,
    },
};
use serde_json::Value;

use crate::{
    Event, RoomVersion, SignatureNeeded, SigningKey,
    build::MAX_PDU_BYTES,
    json::{JsonInputError, parse_value},
    pdu_error::PduError,
    pdu_format::{canonical_pdu, check_format},
};

/// The most bytes of a PDU as it stands in a request: an escaped character may take six, and `unsigned` comes on top.
const MAX_RAW_BYTES: usize = 8 * MAX_PDU_BYTES;

/// How many of one server's keys are looked up for one event. Anybody on the way can add signatures; servers sign with
/// one key.
const MAX_KEYS_OF_A_SERVER: usize = 8;

/// A PDU of another server. What [`Self::parse`] gives has the right format and nothing more; [`Self::verify`] says that
/// it is authentic.
#[derive(Debug, Clone)]
pub struct Pdu {
    /// The event.
    pub event: Event,
    /// Its canonical JSON without `unsigned`: what is stored, and sent on to other servers.
    pub json: String,
    /// Its reference hash in unpadded base64, in the alphabet of its room version.
    pub reference_hash: String,
    object: CanonicalJsonObject,
    version: RoomVersion,
}

impl Pdu {
    /// Reads a PDU of this room: size, nesting, the types and sizes of its fields, its room. Computes its id.
    pub fn parse(raw: &str, room_id: &RoomId, version: RoomVersion) -> Result<Self, PduError> {
        if raw.len() > MAX_RAW_BYTES {
            return Err(PduError::TooLarge);
        }
        let Value::Object(mut fields) = parse_value(raw.as_bytes())? else {
            return Err(JsonInputError::NotAnObject.into());
        };
        // Nobody signs it, and whoever passes an event on may write into it what they like.
        fields.remove("unsigned");
        Self::from_object(canonical_pdu(fields, version)?, room_id, version)
    }

    fn from_object(
        object: CanonicalJsonObject,
        room_id: &RoomId,
        version: RoomVersion,
    ) -> Result<Self, PduError> {
        check_format(&object, room_id, version)?;
        let json = written(&object)?;
        let reference_hash = reference_hash(&object, version.rules())?;
        let event_id = event_id(&object, &reference_hash, version)?;
        if !object.contains_key("room_id") && room_id.strip_sigil() != reference_hash {
            return Err(PduError::WrongRoom);
        }
        let event =
            Event::parse(&json, room_id, version, Some(&event_id)).map_err(|_| PduError::Field("fields"))?;
        Ok(Self {
            event,
            json,
            reference_hash,
            object,
            version,
        })
    }

    /// The room version that it was read by.
    pub const fn version(&self) -> RoomVersion {
        self.version
    }

    /// Its fields, without `unsigned`.
    pub const fn object(&self) -> &CanonicalJsonObject {
        &self.object
    }

    /// Which servers must have signed it: the sender's, unless it is an invite that a third-party invite became; in
    /// versions 1 and 2 that of its id; and that of the user who authorises a restricted join.
    pub fn signatures_needed(&self) -> Result<Vec<SignatureNeeded>, PduError> {
        let rules = self.version.rules();
        let servers = required_server_signatures_to_verify_event(&self.object, &rules.signatures)?;
        let valid_at_ms = rules.enforce_key_validity.then_some(self.event.origin_server_ts);
        let needed = |server: OwnedServerName| SignatureNeeded {
            key_ids: self.key_ids_of(&server),
            server,
            valid_at_ms,
        };
        Ok(servers.into_iter().map(needed).collect())
    }

    /// The keys by which it is signed in the name of a server.
    fn key_ids_of(&self, server: &ServerName) -> Vec<String> {
        let signatures = self
            .object
            .get("signatures")
            .and_then(CanonicalJsonValue::as_object);
        let of_server = signatures
            .and_then(|signatures| signatures.get(server.as_str()))
            .and_then(CanonicalJsonValue::as_object);
        let key_ids = of_server.into_iter().flat_map(CanonicalJsonObject::keys);
        key_ids
            .filter(|id| id.starts_with("ed25519:") && id.len() <= crate::build::MAX_FIELD_BYTES)
            .take(MAX_KEYS_OF_A_SERVER)
            .cloned()
            .collect()
    }

    /// Checks the signatures, then the hash of the content. An event whose hash is wrong goes on redacted: somebody
    /// redacted it before, or lied about what its signatures do not cover.
    pub fn verify(self, keys: &PublicKeyMap) -> Result<Self, PduError> {
        let rules = self.version.rules();
        match verify_event(keys, &self.object, rules)? {
            Verified::All => Ok(self),
            Verified::Signatures => {
                let mut object = self.object;
                redact_in_place(&mut object, &rules.redaction, None)
                    .map_err(|_| PduError::Field("content"))?;
                Self::from_object(object, &self.event.room_id, self.version)
            }
        }
    }

    /// Adds this server's signature to what is there. Only for an invite of a user of ours, or a join that a user of ours
    /// authorises, and only after it was checked that it is one (E01).
    pub fn add_signature_of(&mut self, server: &ServerName, key: &SigningKey) -> Result<(), PduError> {
        let redaction = &self.version.rules().redaction;
        sign_event(server.as_str(), key, &mut self.object, redaction)?;
        self.json = written(&self.object)?;
        Ok(())
    }
}

fn written(object: &CanonicalJsonObject) -> Result<String, PduError> {
    let json = serde_json::to_string(object).map_err(|_| JsonInputError::NotJson)?;
    if json.len() > MAX_PDU_BYTES {
        return Err(PduError::TooLarge);
    }
    Ok(json)
}

/// The event's id: in it in versions 1 and 2, else its reference hash.
fn event_id(
    object: &CanonicalJsonObject,
    reference_hash: &str,
    version: RoomVersion,
) -> Result<OwnedEventId, PduError> {
    let inside = match version.rules().event_id_format {
        EventIdFormatVersion::V1 => object.get("event_id").and_then(CanonicalJsonValue::as_str),
        _ => None,
    };
    let id = inside.map_or_else(|| format!("${reference_hash}"), str::to_owned);
    EventId::parse(id).map_err(|_| PduError::Field("event_id"))
}

#[cfg(test)]
mod tests;
