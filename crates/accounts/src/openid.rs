//! OpenID tokens: with one a user proves to another service, such as an identity server, who they are. The service asks
//! us whose it is. It is good for nothing else.

use gatehouse_store::{Batch, Range, json_value};
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    Accounts, Secret, Unavailable, access_token, random,
    tables::{OPENID_BY_AGE, OPENID_TOKENS},
};

/// How long a token holds (limits.md §8).
pub const OPENID_LIFETIME_MS: u64 = 3_600 * 1_000;

/// 43 characters of 5.95 bits are 256 bits.
const TOKEN_CHARS: usize = 43;

/// How many expired tokens each new one clears away: more than one, so that they never gather.
const SWEEP: usize = 10;

/// What is stored of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenIdRow {
    user_id: OwnedUserId,
    expires_ms: u64,
}
json_value!(OpenIdRow);

/// A new token.
#[derive(Debug)]
pub struct OpenIdToken {
    /// For the service. No access token, and it does not look like one.
    pub token: Secret,
    /// How long it holds, in seconds.
    pub expires_in_s: u64,
}

impl Accounts {
    /// A token with which the user can prove to another service who they are.
    pub async fn openid_token(&self, user_id: &UserId) -> Result<OpenIdToken, Unavailable> {
        let token = Secret::new(random::base62(TOKEN_CHARS)?);
        let digest = access_token::digest(token.expose());
        let now_ms = self.now_ms();
        let row = OpenIdRow {
            user_id: user_id.to_owned(),
            expires_ms: now_ms.saturating_add(OPENID_LIFETIME_MS),
        };
        let mut batch = Batch::new();
        let expired = Range::all().before(&(now_ms,));
        for (key, ()) in self.scan(&OPENID_BY_AGE, &expired, SWEEP).await? {
            batch.delete(&OPENID_TOKENS, &(key.1,));
            batch.delete(&OPENID_BY_AGE, &key);
        }
        batch.put(&OPENID_TOKENS, &(digest,), &row);
        batch.put(&OPENID_BY_AGE, &(row.expires_ms, digest), &());
        self.commit(batch).await?;
        Ok(OpenIdToken {
            token,
            expires_in_s: OPENID_LIFETIME_MS / 1_000,
        })
    }

    /// Whose token it is; `None` when it is nobody's, or not any more.
    pub async fn openid_user(&self, token: &str) -> Result<Option<OwnedUserId>, Unavailable> {
        let row = self
            .get(&OPENID_TOKENS, &(access_token::digest(token),))
            .await?
            .filter(|row| self.now_ms() < row.expires_ms);
        let Some(row) = row else {
            return Ok(None);
        };
        let user = self.user_row(&row.user_id).await?;
        let active = user.is_some_and(|user| !user.deactivated && !user.locked);
        Ok(active.then_some(row.user_id))
    }
}
