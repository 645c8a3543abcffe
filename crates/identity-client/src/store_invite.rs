//! Leaving an invitation with an identity server, for an address that is nobody's yet.

use gatehouse_mail::Threepid;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::calls::{CallError, Caller};

/// Keys that an invitation may come with: one that lives long, one of its own, and room for a rotation.
const MAX_KEYS: usize = 8;

/// Longer fields make no state event (limits.md, ids).
const MAX_FIELD_BYTES: usize = 255;

/// Longer URLs are nobody's.
const MAX_URL_BYTES: usize = 2_048;

/// A key with which the invitation may be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InviteKey {
    /// In unpadded base64.
    pub public_key: String,
    /// Where to ask whether it is in force.
    pub key_validity_url: String,
}

/// What the server keeps, as the room is to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Names the invitation; the state key of the room's event.
    pub token: String,
    /// Something like the address that does not give it away.
    pub display_name: String,
    /// At least one.
    pub keys: Vec<InviteKey>,
}

#[derive(Deserialize)]
struct Answer {
    token: String,
    display_name: String,
    #[serde(default)]
    public_keys: Vec<InviteKey>,
    /// All that early servers had.
    public_key: Option<String>,
}

/// The API that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    V2,
    V1,
}

impl Dialect {
    fn base(self) -> &'static str {
        match self {
            Self::V2 => "/_matrix/identity/v2",
            Self::V1 => "/_matrix/identity/api/v1",
        }
    }
}

/// `POST /_matrix/identity/v2/store-invite`, or the same of the legacy API. `facts`: what the mail may say of room
/// and sender, under the names of the specification.
pub(crate) async fn store_invite(
    caller: &Caller<'_>,
    dialect: Dialect,
    address: &Threepid,
    facts: &Map<String, Value>,
) -> Result<Stored, CallError> {
    let mut body = facts.clone();
    body.insert("medium".to_owned(), json!(address.medium().as_str()));
    body.insert("address".to_owned(), json!(address.address()));
    let path = format!("{}/store-invite", dialect.base());
    let answer: Answer = caller.post(&path, &Value::Object(body)).await?;
    checked(
        answer,
        &format!("{}{}/pubkey/isvalid", caller.base, dialect.base()),
    )
}

fn checked(answer: Answer, default_url: &str) -> Result<Stored, CallError> {
    let mut keys = answer.public_keys;
    if keys.is_empty() {
        keys.extend(answer.public_key.map(|public_key| InviteKey {
            public_key,
            key_validity_url: default_url.to_owned(),
        }));
    }
    let fits = |text: &str| !text.is_empty() && text.len() <= MAX_FIELD_BYTES;
    let good = fits(&answer.token)
        && answer.display_name.len() <= MAX_FIELD_BYTES
        && !keys.is_empty()
        && keys.len() <= MAX_KEYS
        && keys
            .iter()
            .all(|key| fits(&key.public_key) && key.key_validity_url.len() <= MAX_URL_BYTES);
    if !good {
        return Err(CallError::BadAnswer);
    }
    Ok(Stored {
        token: answer.token,
        display_name: answer.display_name,
        keys,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: Value) -> Result<Stored, CallError> {
        checked(serde_json::from_value(answer).unwrap(), "https://is/isvalid")
    }

    #[test]
    fn an_answer_with_the_legacy_key_alone_is_understood() {
        let stored = check(json!({ "token": "t", "display_name": "a...", "public_key": "k" })).unwrap();
        assert_eq!(stored.keys.len(), 1);
        assert_eq!(stored.keys[0].key_validity_url, "https://is/isvalid");
    }

    #[test]
    fn answers_without_keys_or_beyond_bounds_are_refused() {
        let key = json!({ "public_key": "k", "key_validity_url": "https://is" });
        for answer in [
            json!({ "token": "t", "display_name": "a..." }),
            json!({ "token": "", "display_name": "a...", "public_key": "k" }),
            json!({ "token": "t".repeat(256), "display_name": "a...", "public_key": "k" }),
            json!({ "token": "t", "display_name": "a".repeat(256), "public_key": "k" }),
            json!({ "token": "t", "display_name": "a...", "public_keys": vec![key.clone(); 9] }),
            json!({ "token": "t", "display_name": "a...", "public_keys": [
                { "public_key": "k", "key_validity_url": "x".repeat(2_049) }] }),
        ] {
            assert_eq!(check(answer.clone()), Err(CallError::BadAnswer), "{answer}");
        }
    }
}
