//! What a server says of its keys, and what of that is believed (security.md I06, E08).

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedServerName, SigningKeyAlgorithm,
    serde::Base64,
    signatures::{to_canonical_json_string_for_signing, verify_canonical_json_bytes},
};

use crate::tables::KeyRow;

/// How long keys are believed at most, whatever their server says (server-server API: seven days).
pub(crate) const LIFETIME_MS: u64 = 7 * 24 * 3_600 * 1_000;

/// Keys in one answer, of those in use and of those of the past; more are not looked at.
const MAX_KEYS: usize = 32;

/// How long a key's version may be, as an opaque identifier.
const MAX_KEY_ID_BYTES: usize = 255;

/// A server's answer, believed: it is signed with each key in use that stands here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyAnswer {
    /// Whose keys they are.
    pub(crate) server: OwnedServerName,
    /// By their ids.
    pub(crate) keys: BTreeMap<String, KeyRow>,
    /// Until when those in use are good.
    pub(crate) valid_until_ms: u64,
    /// The answer, as JSON.
    pub(crate) json: String,
}

impl KeyAnswer {
    /// What is believed of an answer, whoever brings it. `denied` are public keys that nobody is believed with.
    pub(crate) fn read(object: &CanonicalJsonObject, denied: &[String], now_ms: u64) -> Option<Self> {
        let server = OwnedServerName::try_from(object.get("server_name")?.as_str()?).ok()?;
        let said = number(object.get("valid_until_ts")?)?;
        let valid_until_ms = said.min(now_ms.saturating_add(LIFETIME_MS));
        let mut keys = BTreeMap::new();
        for (id, key) in object.get("verify_keys")?.as_object()?.iter().take(MAX_KEYS) {
            let Some(public) = public_key(id, key).filter(|key| !denied.contains(key)) else {
                continue;
            };
            if is_signed_with(server.as_str(), object, id, &public) {
                let row = KeyRow {
                    key: public,
                    valid_until_ms,
                    is_old: false,
                };
                keys.insert(id.clone(), row);
            }
        }
        if keys.is_empty() {
            return None;
        }
        for (id, key) in old_keys(object) {
            if !denied.contains(&key.key) {
                keys.entry(id).or_insert(key);
            }
        }
        Some(Self {
            server,
            keys,
            valid_until_ms,
            json: CanonicalJsonValue::Object(object.clone()).to_string(),
        })
    }
}

/// The keys that the server used to sign with. Events of that time are still theirs.
fn old_keys(object: &CanonicalJsonObject) -> impl Iterator<Item = (String, KeyRow)> + '_ {
    object
        .get("old_verify_keys")
        .and_then(CanonicalJsonValue::as_object)
        .into_iter()
        .flatten()
        .take(MAX_KEYS)
        .filter_map(|(id, key)| {
            let row = KeyRow {
                key: public_key(id, key)?,
                valid_until_ms: number(key.as_object()?.get("expired_ts")?)?,
                is_old: true,
            };
            Some((id.clone(), row))
        })
}

fn number(value: &CanonicalJsonValue) -> Option<u64> {
    u64::try_from(i64::from(value.as_integer()?)).ok()
}

/// The public key of an entry, when it is one of ed25519.
fn public_key(id: &str, entry: &CanonicalJsonValue) -> Option<String> {
    let version = id.strip_prefix("ed25519:")?;
    let is_version = !version.is_empty()
        && id.len() <= MAX_KEY_ID_BYTES
        && version
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_version {
        return None;
    }
    let key = entry.as_object()?.get("key")?.as_str()?;
    let bytes: [u8; 32] = decode(key)?.try_into().ok()?;
    Some(STANDARD_NO_PAD.encode(bytes))
}

fn decode(key: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(key.trim_end_matches('=')).ok()
}

/// A public key in base64 as what signatures are checked with.
pub(crate) fn base64(key: &str) -> Option<Base64> {
    decode(key).map(Base64::new)
}

/// Whether the server has signed the object with this key. Others may have signed it too.
pub(crate) fn is_signed_with(server: &str, object: &CanonicalJsonObject, key_id: &str, key: &str) -> bool {
    let signature = object
        .get("signatures")
        .and_then(CanonicalJsonValue::as_object)
        .and_then(|signatures| signatures.get(server)?.as_object()?.get(key_id)?.as_str())
        .and_then(decode);
    let (Some(signature), Some(key)) = (signature, decode(key)) else {
        return false;
    };
    to_canonical_json_string_for_signing(object).is_ok_and(|signed| {
        let algorithm = SigningKeyAlgorithm::Ed25519;
        verify_canonical_json_bytes(&algorithm, &key, &signature, signed.as_bytes()).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gatehouse_events::{Clock, SigningKey};
    use gatehouse_store::{Store, memory::MemoryBackend};
    use serde_json::{Value, json};

    use super::*;
    use crate::{Federation, FederationConfig, OldKey, own_keys::canonical_object};

    fn federation(name: &str, seed: u8) -> Federation {
        let config = FederationConfig {
            old_keys: vec![OldKey {
                key_id: "ed25519:before".to_owned(),
                key: SigningKey::from_seed([9; 32], "before")
                    .unwrap()
                    .public_key_base64(),
                expired_ts: 500,
            }],
            ..FederationConfig::default()
        };
        let key = SigningKey::from_seed([seed; 32], "a").unwrap();
        let store = Store::new(Arc::new(MemoryBackend::new()));
        let clock = Clock::manual(1_000);
        Federation::new(
            store,
            name.try_into().unwrap(),
            Arc::new(key),
            clock,
            None,
            config,
        )
    }

    fn read(answer: Value, denied: &[String]) -> Option<KeyAnswer> {
        KeyAnswer::read(&canonical_object(answer)?, denied, 1_000)
    }

    fn ids(answer: Value) -> Vec<String> {
        read(answer, &[]).map_or_else(Vec::new, |answer| answer.keys.into_keys().collect())
    }

    #[test]
    fn a_servers_own_answer_is_believed() {
        let answer = read(federation("a.example", 1).own_keys().unwrap(), &[]).unwrap();
        assert_eq!(answer.server, "a.example");
        let known: Vec<_> = answer
            .keys
            .iter()
            .map(|(id, key)| (id.as_str(), key.is_old, key.valid_until_ms))
            .collect();
        let until = 1_000 + 24 * 3_600 * 1_000;
        assert_eq!(
            known,
            [("ed25519:a", false, until), ("ed25519:before", true, 500)]
        );
    }

    #[test]
    fn e07_keys_are_believed_for_seven_days_at_most() {
        let federation = federation("a.example", 1);
        let mut keys = federation.own_keys().unwrap();
        keys["valid_until_ts"] = json!(9_000_000_000_000_000_u64);
        keys["signatures"] = json!({});
        let answer = read(federation.signed_by_us(keys).unwrap(), &[]).unwrap();
        assert_eq!(answer.keys["ed25519:a"].valid_until_ms, 1_000 + LIFETIME_MS);
    }

    #[test]
    fn i06_an_answer_that_is_not_signed_with_its_own_keys_is_not_believed() {
        let keys = || federation("a.example", 1).own_keys().unwrap();
        assert_eq!(ids(keys()), ["ed25519:a", "ed25519:before"]);
        let mut renamed = keys();
        renamed["server_name"] = json!("b.example");
        assert!(ids(renamed).is_empty());
        let mut planted = keys();
        planted["verify_keys"]["ed25519:a"]["key"] =
            federation("a.example", 2).own_keys().unwrap()["verify_keys"]["ed25519:a"]["key"].clone();
        assert!(ids(planted).is_empty());
        let mut unsigned = keys();
        unsigned["signatures"] = json!({});
        assert!(ids(unsigned).is_empty());
        let mut longer = keys();
        longer["valid_until_ts"] = json!(1_u64 << 50);
        assert!(ids(longer).is_empty());
        assert!(ids(json!([])).is_empty());
    }

    #[test]
    fn a_key_that_did_not_sign_is_left_out_and_the_others_stay() {
        let federation = federation("a.example", 1);
        let mut keys = federation.own_keys().unwrap();
        keys["verify_keys"]["ed25519:b"] = json!({ "key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" });
        keys["verify_keys"]["ed25519:b-c"] = json!({ "key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" });
        keys["old_verify_keys"]["ed25519:short"] = json!({ "key": "AAAA", "expired_ts": 1 });
        keys["signatures"] = json!({});
        let answer = federation.signed_by_us(keys).unwrap();
        assert_eq!(ids(answer), ["ed25519:a", "ed25519:before"]);
    }

    #[test]
    fn e08_keys_that_everybody_knows_are_not_believed() {
        let federation = federation("a.example", 1);
        let denied = [federation.key().public_key_base64()];
        assert_eq!(read(federation.own_keys().unwrap(), &denied), None);
    }
}
