//! The keys of other homeservers (server-server API, "Retrieving server keys"): fetched from each server itself.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use gatehouse_outbound::OutboundRequest;
use quick_cache::sync::Cache;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedServerName, ServerName,
    canonical_json::{CanonicalJsonError, try_from_json_map},
    serde::Base64,
    signatures::{PublicKeyMap, sign_json, verify_json},
};
use serde_json::{Value, json};

use crate::{Federation, FederationError};

/// Servers whose keys are remembered.
const REMEMBERED: usize = 5_000;

/// How long keys are believed at most, whatever their server says (server-server API: seven days).
const LIFETIME_MS: u64 = 7 * 24 * 3_600 * 1_000;

/// How long our own answer is good.
const OWN_LIFETIME_MS: u64 = 24 * 3_600 * 1_000;

/// A key that is not among those we have is asked for again no sooner than this.
const AGAIN_MS: u64 = 60 * 1_000;

/// How long the answer may take, and how long it may be.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_BYTES: usize = 64 << 10;

/// Keys in one answer; more are not looked at.
const MAX_KEYS: usize = 32;

/// What servers said of their keys.
#[derive(Debug)]
pub(crate) struct KeyRing {
    servers: Cache<OwnedServerName, Arc<ServerKeys>>,
}

#[derive(Debug)]
struct ServerKeys {
    /// Key id to public key.
    keys: BTreeMap<String, Base64>,
    until_ms: u64,
    fetched_ms: u64,
}

impl KeyRing {
    pub(crate) fn new() -> Self {
        Self {
            servers: Cache::new(REMEMBERED),
        }
    }
}

impl Federation {
    /// What `GET /_matrix/key/v2/server` answers: our key, signed with itself.
    pub fn own_keys(&self) -> Result<Value, FederationError> {
        let body = json!({
            "server_name": self.server_name(),
            "verify_keys": { self.key().key_id(): { "key": self.key().public_key_base64() } },
            "old_verify_keys": {},
            "valid_until_ts": self.now_ms().saturating_add(OWN_LIFETIME_MS),
        });
        let mut object = canonical(body).map_err(|_| FederationError::BadAnswer)?;
        sign_json(self.server_name().as_str(), self.key(), &mut object)
            .map_err(|_| FederationError::BadAnswer)?;
        serde_json::to_value(object).map_err(|_| FederationError::BadAnswer)
    }

    /// A key of a server, by its id such as `ed25519:auto`; `None`: it has no such key now.
    pub(crate) async fn server_key(
        &self,
        server: &ServerName,
        key_id: &str,
    ) -> Result<Option<Base64>, FederationError> {
        if server == self.server_name() {
            let own = Base64::new(self.key().public_key().to_vec());
            return Ok((key_id == self.key().key_id()).then_some(own));
        }
        let now_ms = self.now_ms();
        if let Some(known) = self.keys().servers.get(server)
            && now_ms < known.until_ms
        {
            let key = known.keys.get(key_id).cloned();
            if key.is_some() || now_ms.saturating_sub(known.fetched_ms) < AGAIN_MS {
                return Ok(key);
            }
        }
        let fetched = Arc::new(self.fetch_keys(server).await?);
        self.keys()
            .servers
            .insert(server.to_owned(), Arc::clone(&fetched));
        Ok(fetched.keys.get(key_id).cloned())
    }

    async fn fetch_keys(&self, server: &ServerName) -> Result<ServerKeys, FederationError> {
        let outbound = self.outbound().ok_or(FederationError::Disabled)?;
        let url = format!("https://{}/_matrix/key/v2/server", self.address_of(server).await?);
        let request = OutboundRequest::get(&url).timeout(TIMEOUT).max_bytes(MAX_BYTES);
        let answer = outbound.send(request).await?;
        if answer.status != 200 {
            return Err(FederationError::Refused(answer.status));
        }
        read_keys(server, answer.json()?, self.now_ms()).ok_or(FederationError::BadAnswer)
    }
}

/// The keys in a server's answer, when it is its own and signed with each of them that is believed.
fn read_keys(server: &ServerName, answer: Value, now_ms: u64) -> Option<ServerKeys> {
    let object = canonical(answer).ok()?;
    if object.get("server_name")?.as_str()? != server.as_str() {
        return None;
    }
    let until_ms = u64::try_from(object.get("valid_until_ts")?.as_integer().map(i64::from)?).ok()?;
    if until_ms <= now_ms {
        return None;
    }
    let mut keys = BTreeMap::new();
    for (id, key) in object.get("verify_keys")?.as_object()?.iter().take(MAX_KEYS) {
        let key = key
            .as_object()
            .and_then(|key| key.get("key"))
            .and_then(CanonicalJsonValue::as_str);
        let Some(key) = key.and_then(|key| STANDARD_NO_PAD.decode(key.trim_end_matches('=')).ok()) else {
            continue;
        };
        let key = Base64::new(key);
        if is_signed(server, &object, id, &key) {
            keys.insert(id.clone(), key);
        }
    }
    (!keys.is_empty()).then_some(ServerKeys {
        keys,
        until_ms: until_ms.min(now_ms.saturating_add(LIFETIME_MS)),
        fetched_ms: now_ms,
    })
}

/// Whether the server has signed the object with this key.
pub(crate) fn is_signed(
    server: &ServerName,
    object: &CanonicalJsonObject,
    key_id: &str,
    key: &Base64,
) -> bool {
    let has_signature = object
        .get("signatures")
        .and_then(CanonicalJsonValue::as_object)
        .and_then(|signatures| signatures.get(server.as_str())?.as_object()?.get(key_id))
        .is_some();
    let keys = PublicKeyMap::from([(
        server.to_string(),
        BTreeMap::from([(key_id.to_owned(), key.clone())]),
    )]);
    // Signatures by keys that are not given are passed over, so that there has to be one by this.
    has_signature && verify_json(&keys, object).is_ok()
}

pub(crate) fn canonical(value: Value) -> Result<CanonicalJsonObject, CanonicalJsonError> {
    match value {
        Value::Object(object) => try_from_json_map(object),
        _ => Ok(CanonicalJsonObject::new()),
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_events::{Clock, SigningKey};
    use ruma::{owned_server_name, server_name};

    use super::*;

    fn federation(name: &str, seed: u8) -> Federation {
        let key = SigningKey::from_seed([seed; 32], "a").unwrap();
        Federation::new(
            name.try_into().unwrap(),
            Arc::new(key),
            Clock::manual(1_000),
            None,
        )
    }

    #[test]
    fn a_servers_own_answer_is_believed() {
        let keys = federation("a.example", 1).own_keys().unwrap();
        let read = read_keys(server_name!("a.example"), keys, 1_000).unwrap();
        assert_eq!(read.keys.keys().collect::<Vec<_>>(), ["ed25519:a"]);
    }

    #[test]
    fn i06_an_answer_for_another_expired_or_not_signed_by_the_key_is_not() {
        let keys = || federation("a.example", 1).own_keys().unwrap();
        assert!(read_keys(server_name!("b.example"), keys(), 1_000).is_none());
        assert!(read_keys(server_name!("a.example"), keys(), u64::MAX).is_none());
        let mut planted = keys();
        planted["verify_keys"]["ed25519:a"]["key"] =
            federation("a.example", 2).own_keys().unwrap()["verify_keys"]["ed25519:a"]["key"].clone();
        assert!(read_keys(server_name!("a.example"), planted, 1_000).is_none());
        let mut unsigned = keys();
        unsigned["signatures"] = json!({});
        assert!(read_keys(server_name!("a.example"), unsigned, 1_000).is_none());
        let mut added = keys();
        added["verify_keys"]["ed25519:b"] = json!({ "key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" });
        assert!(read_keys(server_name!("a.example"), added, 1_000).is_none());
        assert!(read_keys(&owned_server_name!("a.example"), json!([]), 1_000).is_none());
    }
}
