//! This server's own keys, as it publishes them (server-server API, "Publishing Keys").

use gatehouse_events::json::canonical;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, signatures::sign_json};
use serde_json::{Map, Value, json};

use crate::{Federation, FederationError};

/// How long our answer is good.
const LIFETIME_MS: u64 = 24 * 3_600 * 1_000;

impl Federation {
    /// What `GET /_matrix/key/v2/server` answers: our key, signed with itself, and those that we had before.
    pub fn own_keys(&self) -> Result<Value, FederationError> {
        let old: Map<String, Value> = self
            .config()
            .old_keys
            .iter()
            .map(|old| {
                let key = json!({ "key": old.key, "expired_ts": old.expired_ts });
                (old.key_id.clone(), key)
            })
            .collect();
        self.signed_by_us(json!({
            "server_name": self.server_name(),
            "verify_keys": { self.key().key_id(): { "key": self.key().public_key_base64() } },
            "old_verify_keys": old,
            "valid_until_ts": self.now_ms().saturating_add(LIFETIME_MS),
        }))
    }

    /// An object with our signature, besides those that it has.
    pub(crate) fn signed_by_us(&self, object: Value) -> Result<Value, FederationError> {
        let mut object = canonical_object(object).ok_or(FederationError::BadAnswer)?;
        object.remove("unsigned");
        sign_json(self.server_name().as_str(), self.key(), &mut object)
            .map_err(|_| FederationError::BadAnswer)?;
        serde_json::to_value(object).map_err(|_| FederationError::BadAnswer)
    }
}

/// A value as an object that can be signed, if it is one.
pub(crate) fn canonical_object(value: Value) -> Option<CanonicalJsonObject> {
    match canonical(value) {
        Ok(CanonicalJsonValue::Object(object)) => Some(object),
        _ => None,
    }
}
