//! The long-lived signing keys: `ed25519:0`, then `ed25519:1` and so on. The newest signs; earlier ones stay good for
//! the invitations that name them, until they are revoked.

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use gatehouse_events::{SigningKey, json::canonical};
use gatehouse_store::{Batch, Direction, Range, json_value};
use ruma::CanonicalJsonValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::{
    Identity, SealingKey, Unavailable,
    identity::ATTEMPTS,
    random,
    tables::{KEYS, KEYS_BY_PUBLIC},
};

const ALGORITHM: &str = "ed25519:";

/// What a damaged key is called in errors.
const DAMAGED: Unavailable = Unavailable::Damaged("signing key of the identity service");

/// What is stored of a long-lived key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRow {
    private: Private,
    public: [u8; 32],
    made_ms: u64,
}
json_value!(KeyRow);

/// The private half of a long-lived key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Private {
    /// Readable with the sealing key of the configuration.
    Sealed(Vec<u8>),
    /// As it is: the configuration had no sealing key.
    Open([u8; 32]),
    /// Gone. What was signed with it says nothing any more.
    Revoked,
}

/// A long-lived key, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongLivedKey {
    /// Such as `ed25519:0`.
    pub id: String,
    /// The public half in unpadded base64.
    pub public_key: String,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: u64,
    /// Whether signatures with it count for nothing.
    pub is_revoked: bool,
}

/// Why a key was not revoked.
#[derive(Debug, Clone, Error)]
pub enum RevokeKeyError {
    /// There is none of this name.
    #[error("There is no such key. Keys are called `ed25519:0`, `ed25519:1` and so on.")]
    NotFound,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl KeyRow {
    fn generate(sealing_key: Option<&SealingKey>, now_ms: u64) -> Result<(Self, [u8; 32]), Unavailable> {
        let seed = random::bytes()?;
        let public = SigningKey::from_seed(seed, "0")
            .map_err(|_| DAMAGED)?
            .public_key();
        let private = match sealing_key {
            Some(key) => Private::Sealed(key.close(&public, seed)?),
            None => Private::Open(seed),
        };
        let row = Self {
            private,
            public,
            made_ms: now_ms,
        };
        Ok((row, seed))
    }

    fn is_revoked(&self) -> bool {
        self.private == Private::Revoked
    }

    /// `None`: nobody can sign with it any more.
    fn seed(&self, sealing_key: Option<&SealingKey>) -> Option<[u8; 32]> {
        match &self.private {
            Private::Sealed(sealed) => sealing_key?.open(&self.public, sealed),
            Private::Open(seed) => Some(*seed),
            Private::Revoked => None,
        }
    }
}

impl Identity {
    /// `GET /pubkey/{keyId}`: the public half of a long-lived key in unpadded base64; `None` when there is none of this
    /// name, or it was revoked.
    pub async fn public_key(&self, id: &str) -> Result<Option<String>, Unavailable> {
        // The first key comes into being when somebody wants it.
        self.signing_key().await?;
        let Some(number) = number_of(id) else {
            return Ok(None);
        };
        let row = self.get(&KEYS, &(number,)).await?;
        Ok(row
            .filter(|row| !row.is_revoked())
            .map(|row| encode_key(&row.public)))
    }

    /// `GET /pubkey/isvalid`: whether this is a long-lived key of ours that counts. In either alphabet of base64.
    pub async fn is_valid(&self, public_key: &str) -> Result<bool, Unavailable> {
        let Some(public) = decode_key(public_key) else {
            return Ok(false);
        };
        let Some(number) = self.get(&KEYS_BY_PUBLIC, &(public,)).await? else {
            return Ok(false);
        };
        let row = self.get(&KEYS, &number).await?;
        Ok(row.is_some_and(|row| !row.is_revoked()))
    }

    /// The long-lived keys, the oldest first.
    pub async fn keys(&self) -> Result<Vec<LongLivedKey>, Unavailable> {
        let rows = self.scan(&KEYS, &Range::all(), usize::MAX).await?;
        Ok(rows
            .into_iter()
            .map(|((number,), row)| LongLivedKey {
                id: format!("{ALGORITHM}{number}"),
                public_key: encode_key(&row.public),
                made_ms: row.made_ms,
                is_revoked: row.is_revoked(),
            })
            .collect())
    }

    /// Makes a new long-lived key, which signs from now on. Its name.
    pub async fn rotate_key(&self) -> Result<String, Unavailable> {
        for _ in 0..ATTEMPTS {
            let next = match self.newest_key().await? {
                Some((number, _)) => number.checked_add(1).ok_or(DAMAGED)?,
                None => 0,
            };
            if self.add_key(next, Batch::new()).await?.is_some() {
                return Ok(format!("{ALGORITHM}{next}"));
            }
        }
        Err(Unavailable::Contended)
    }

    /// Revokes a long-lived key, for when others may have it: what was signed with it counts for nothing. When it is the
    /// one that signs, a new one is made.
    pub async fn revoke_key(&self, id: &str) -> Result<(), RevokeKeyError> {
        let number = number_of(id).ok_or(RevokeKeyError::NotFound)?;
        for _ in 0..ATTEMPTS {
            let row = self.get(&KEYS, &(number,)).await?;
            let row = row.ok_or(RevokeKeyError::NotFound)?;
            if row.is_revoked() {
                return Ok(());
            }
            let revoked = KeyRow {
                private: Private::Revoked,
                ..row.clone()
            };
            let mut batch = Batch::new();
            batch.expect(&KEYS, &(number,), Some(&row));
            batch.put(&KEYS, &(number,), &revoked);
            let newest = self.newest_key().await?.map_or(number, |(newest, _)| newest);
            let done = if newest == number {
                let next = number.checked_add(1).ok_or(DAMAGED)?;
                self.add_key(next, batch).await?.is_some()
            } else {
                self.commit(batch).await?.is_some()
            };
            if done {
                return Ok(());
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// The public half of the key that signs, in unpadded base64.
    pub(crate) async fn current_public_key(&self) -> Result<String, Unavailable> {
        Ok(self.signing_key().await?.public_key_base64())
    }

    /// Signs an object with the newest long-lived key, in the name of this server.
    pub(crate) async fn sign(&self, object: Value) -> Result<Value, Unavailable> {
        sign_as(self.server_name().as_str(), &self.signing_key().await?, object)
    }

    /// As [`Self::sign`], with the long-lived key that has this public half, so that those who know of no other can
    /// check it. When it was revoked, nothing can be done for them, and the newest signs.
    pub(crate) async fn sign_by(&self, public_key: &str, object: Value) -> Result<Value, Unavailable> {
        let public = decode_key(public_key).ok_or(DAMAGED)?;
        if let Some((number,)) = self.get(&KEYS_BY_PUBLIC, &(public,)).await?
            && let Some(row) = self.get(&KEYS, &(number,)).await?
            && let Some(seed) = row.seed(self.sealing_key())
        {
            return sign_as(self.server_name().as_str(), &named(number, seed)?, object);
        }
        self.sign(object).await
    }

    async fn signing_key(&self) -> Result<SigningKey, Unavailable> {
        for _ in 0..ATTEMPTS {
            let newest = self.newest_key().await?;
            let number = match &newest {
                None => 0,
                Some((number, row)) => {
                    if let Some(seed) = row.seed(self.sealing_key()) {
                        return named(*number, seed);
                    }
                    tracing::warn!("the identity service cannot open its signing key, and makes another");
                    number.checked_add(1).ok_or(DAMAGED)?
                }
            };
            if let Some(seed) = self.add_key(number, Batch::new()).await? {
                return named(number, seed);
            }
        }
        Err(Unavailable::Contended)
    }

    fn sealing_key(&self) -> Option<&SealingKey> {
        self.config().sealing_key.as_ref()
    }

    async fn newest_key(&self) -> Result<Option<(u64, KeyRow)>, Unavailable> {
        let all = Range::all();
        let mut newest = self.store().scan(&KEYS, &all, Direction::Backward, 1).await?;
        Ok(newest.pop().map(|((number,), row)| (number, row)))
    }

    /// Commits the batch and a new key with this number: its seed; `None` when something was in the way.
    async fn add_key(&self, number: u64, mut batch: Batch) -> Result<Option<[u8; 32]>, Unavailable> {
        let (row, seed) = KeyRow::generate(self.sealing_key(), self.now_ms())?;
        batch.expect(&KEYS, &(number,), None);
        batch.put(&KEYS, &(number,), &row);
        batch.put(&KEYS_BY_PUBLIC, &(row.public,), &(number,));
        Ok(self.commit(batch).await?.map(|_| seed))
    }
}

fn named(number: u64, seed: [u8; 32]) -> Result<SigningKey, Unavailable> {
    SigningKey::from_seed(seed, &number.to_string()).map_err(|_| DAMAGED)
}

/// The object with a signature by this key in the name of this server.
pub(crate) fn sign_as(server: &str, key: &SigningKey, object: Value) -> Result<Value, Unavailable> {
    let Ok(CanonicalJsonValue::Object(mut object)) = canonical(object) else {
        return Err(Unavailable::Damaged("object to sign"));
    };
    ruma::signatures::sign_json(server, key, &mut object).map_err(|_| DAMAGED)?;
    serde_json::to_value(object).map_err(|_| DAMAGED)
}

/// A public key as it stands in answers: unpadded base64.
pub(crate) fn encode_key(public: &[u8; 32]) -> String {
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_encode_padding(false)).encode(public)
}

/// The bytes of a key in base64 of either alphabet, padded or not.
pub(crate) fn decode_key(text: &str) -> Option<[u8; 32]> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) {
        URL_SAFE
    } else {
        STANDARD
    };
    let bytes = GeneralPurpose::new(&alphabet, lenient).decode(text).ok()?;
    bytes.try_into().ok()
}

fn number_of(id: &str) -> Option<u64> {
    let number = id.strip_prefix(ALGORITHM)?;
    let value = number.parse().ok()?;
    // `+0` and `00` are other names.
    (u64::to_string(&value) == number).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_either_alphabet_padded_or_not() {
        let key = [0xfb; 32];
        let text = encode_key(&key);
        assert!(text.contains('+') && !text.contains('='));
        for text in [
            text.clone(),
            format!("{text}="),
            text.replace('+', "-").replace('/', "_"),
        ] {
            assert_eq!(decode_key(&text), Some(key), "{text}");
        }
        for bad in ["", "A", "++++", "ä", &"A".repeat(44)] {
            assert_eq!(decode_key(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_key_has_one_name() {
        assert_eq!(number_of("ed25519:0"), Some(0));
        assert_eq!(number_of("ed25519:12"), Some(12));
        for bad in [
            "ed25519:",
            "ed25519:+1",
            "ed25519:01",
            "ed25519:a",
            "1",
            "curve25519:1",
        ] {
            assert_eq!(number_of(bad), None, "{bad}");
        }
    }
}
