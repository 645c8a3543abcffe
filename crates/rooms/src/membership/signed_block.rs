//! What an identity server signs for whoever has proven that an invitation is theirs: `{mxid, token, signatures}`.

use std::collections::BTreeMap;

use gatehouse_events::Event;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedUserId, UserId,
    serde::Base64,
    signatures::{PublicKeyMap, verify_json},
    third_party_invite::IdentityServerBase64PublicKey,
};
use serde::Deserialize;

use crate::write_error::{Refusal, ThirdPartyRefusal};

/// Keys of an invitation that are tried; more are not looked at.
const MAX_KEYS: usize = 16;

/// Signatures that are tried.
const MAX_SIGNATURES: usize = 16;

/// A block whose shape is right. Whether it is true is not known yet.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedBlock {
    /// Who accepts.
    pub mxid: OwnedUserId,
    /// Which invitation.
    pub token: String,
    /// All of it, as it was signed.
    pub(crate) object: CanonicalJsonObject,
}

/// The key that made a block true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SigningInviteKey {
    pub(crate) public_key: String,
    /// Where to ask whether it is in force; some invitations have keys that are for ever.
    pub(crate) key_validity_url: Option<String>,
}

/// What a room remembers of an invitation. What is not as it should be counts as absent (security.md T09).
#[derive(Debug, Default, Deserialize)]
struct Remembered {
    display_name: Option<String>,
    public_key: Option<String>,
    key_validity_url: Option<String>,
    #[serde(default)]
    public_keys: Vec<RememberedKey>,
}

#[derive(Debug, Deserialize)]
struct RememberedKey {
    public_key: String,
    key_validity_url: Option<String>,
}

impl SignedBlock {
    /// From JSON; `None` when a field is missing or of another type.
    pub fn read(object: CanonicalJsonObject) -> Option<Self> {
        let text = |field: &str| object.get(field).and_then(CanonicalJsonValue::as_str);
        let mxid = OwnedUserId::try_from(text("mxid")?).ok()?;
        let token = text("token")?.to_owned();
        let signatures = object.get("signatures")?.as_object()?;
        // The authorisation rules look at none of them if one is no object.
        if !signatures.values().all(|by_key| by_key.as_object().is_some()) {
            return None;
        }
        Some(Self { mxid, token, object })
    }

    /// The key of the invitation with which the block is signed for this user (authorisation rules, `m.room.member`,
    /// `third_party_invite`). Keys come from the room's event alone, never from elsewhere (security.md T05).
    pub(crate) fn verify(&self, invitation: &Event, mxid: &UserId) -> Result<SigningInviteKey, Refusal> {
        if self.mxid != mxid {
            return Err(ThirdPartyRefusal::OtherUser.into());
        }
        let remembered = remembered(invitation);
        let alone = remembered
            .public_key
            .into_iter()
            .map(|public_key| SigningInviteKey {
                public_key,
                key_validity_url: remembered.key_validity_url.clone(),
            });
        let listed = remembered.public_keys.into_iter().map(|key| SigningInviteKey {
            public_key: key.public_key,
            key_validity_url: key.key_validity_url,
        });
        let keys: Vec<_> = listed.chain(alone).take(MAX_KEYS).collect();
        if keys.is_empty() {
            return Err(ThirdPartyRefusal::Revoked.into());
        }
        keys.into_iter()
            .find(|key| self.is_signed_with(&key.public_key))
            .ok_or_else(|| ThirdPartyRefusal::WrongSignature.into())
    }

    fn is_signed_with(&self, public_key: &str) -> bool {
        // In either alphabet of base64 (identity service API, store-invite).
        let Ok(public_key) = IdentityServerBase64PublicKey(public_key.to_owned()).decode() else {
            return false;
        };
        let public_key = Base64::new(public_key);
        let signatures = self
            .object
            .get("signatures")
            .and_then(CanonicalJsonValue::as_object);
        signatures
            .into_iter()
            .flatten()
            .filter_map(|(entity, by_key)| Some((entity, by_key.as_object()?)))
            .flat_map(|(entity, by_key)| by_key.keys().map(move |key_id| (entity, key_id)))
            .take(MAX_SIGNATURES)
            .any(|(entity, key_id)| {
                let keys = BTreeMap::from([(key_id.clone(), public_key.clone())]);
                let map = PublicKeyMap::from([(entity.clone(), keys)]);
                key_id.starts_with("ed25519:") && verify_json(&map, &self.with_only(entity, key_id)).is_ok()
            })
    }

    /// The block with one signature, so that others do not stand in its way.
    fn with_only(&self, entity: &str, key_id: &str) -> CanonicalJsonObject {
        let mut object = self.object.clone();
        if let Some(CanonicalJsonValue::Object(signatures)) = object.get_mut("signatures") {
            signatures.retain(|other, _| other == entity);
            for by_key in signatures.values_mut() {
                if let CanonicalJsonValue::Object(by_key) = by_key {
                    by_key.retain(|other, _| other == key_id);
                }
            }
        }
        object
    }
}

/// What the invitation calls whom it is for.
pub(crate) fn display_name(invitation: &Event) -> String {
    remembered(invitation).display_name.unwrap_or_default()
}

fn remembered(invitation: &Event) -> Remembered {
    invitation.content_as().unwrap_or_default()
}
