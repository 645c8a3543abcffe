//! What lets a page that has just made an account do one more thing for it: join the room that it was made for.
//!
//! A form's hidden field, signed by the server. It names one user and one room, and is good for a quarter of an hour.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// What the key is derived for.
pub(crate) const PURPOSE: &str = "gatehouse: passes of pages";

/// How long a pass is good.
const LIFETIME_MS: u64 = 15 * 60 * 1_000;

/// The user may join the room from a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pass {
    pub(crate) user_id: OwnedUserId,
    pub(crate) room_id: OwnedRoomId,
    made_ms: u64,
}

impl Pass {
    pub(crate) fn new(user_id: OwnedUserId, room_id: OwnedRoomId, now_ms: u64) -> Self {
        Self {
            user_id,
            room_id,
            made_ms: now_ms,
        }
    }

    /// As it stands in the form.
    pub(crate) fn sign(&self, key: &[u8; 32]) -> String {
        // Texts and a number always have a JSON form.
        let body = serde_json::to_vec(self).unwrap_or_default();
        let signature = mac(key, &body).finalize().into_bytes();
        format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(body),
            URL_SAFE_NO_PAD.encode(signature)
        )
    }

    /// The pass in a form, when it is ours and not too old.
    pub(crate) fn read(text: &str, key: &[u8; 32], now_ms: u64) -> Option<Self> {
        let (body, signature) = text.split_once('.')?;
        let body = URL_SAFE_NO_PAD.decode(body).ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        mac(key, &body).verify_slice(&signature).ok()?;
        let pass: Self = serde_json::from_slice(&body).ok()?;
        (now_ms.saturating_sub(pass.made_ms) < LIFETIME_MS).then_some(pass)
    }
}

fn mac(key: &[u8; 32], body: &[u8]) -> Hmac<Sha256> {
    let mut block = [0; 64];
    for (target, byte) in block.iter_mut().zip(key) {
        *target = *byte;
    }
    Hmac::<Sha256>::new(&block.into()).chain_update(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_good_for_what_it_was_made_for_and_not_for_long() {
        let user = "@a:hs".try_into().unwrap();
        let room = "!r:hs".try_into().unwrap();
        let pass = Pass::new(user, room, 1_000);
        let text = pass.sign(&[1; 32]);
        assert_eq!(Pass::read(&text, &[1; 32], 1_000), Some(pass));
        assert_eq!(Pass::read(&text, &[2; 32], 1_000), None);
        assert_eq!(Pass::read(&text, &[1; 32], 1_000 + LIFETIME_MS), None);
        for place in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(Pass::read(&changed, &[1; 32], 1_000).is_none(), "{place}");
        }
        assert_eq!(Pass::read("", &[1; 32], 0), None);
    }
}
