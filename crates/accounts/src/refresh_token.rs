//! Refresh tokens: each is used once; using one twice ends the whole family.
//!
//! A login makes a family. The store knows of each family only the members that may be used now, and those used
//! within the grace period: a client that lost the answer may ask again. Any other member of the family that turns
//! up has been used before, by somebody: whoever it was, both are out.

use gatehouse_store::{Batch, Range, json_value};
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Accounts, Secret, Unavailable,
    access_token::{self, Digest},
    accounts::ATTEMPTS,
    tables::{DEVICE_FAMILIES, DEVICES, REFRESH_FAMILIES, USERS},
};

/// How long an access token holds that can be refreshed (limits.md §8).
pub const REFRESHABLE_LIFETIME_MS: u64 = 5 * 60 * 1_000;

/// How long a used refresh token may be used again (limits.md §8).
const GRACE_MS: u64 = 30_000;

/// How many members may be usable at once: one, and one for each repetition within the grace period.
const MAX_USABLE: usize = 4;

/// What is stored of a family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FamilyRow {
    user_id: OwnedUserId,
    device_id: OwnedDeviceId,
    usable: Vec<Digest>,
    /// With the time of use in milliseconds.
    spent: Vec<(Digest, u64)>,
}
json_value!(FamilyRow);

/// A new pair of tokens.
#[derive(Debug)]
pub struct Refreshed {
    /// The new access token.
    pub access_token: Secret,
    /// The new refresh token; the old one is spent.
    pub refresh_token: Secret,
    /// How long the access token holds, in milliseconds.
    pub expires_in_ms: u64,
}

/// Why a refresh token gets nothing.
#[derive(Debug, Clone, Error)]
pub enum RefreshError {
    /// It is not a token, was revoked, or was used before. `M_UNKNOWN_TOKEN`.
    #[error("This refresh token is not valid any more. Log in again.")]
    UnknownToken,
    /// The account is locked. `M_USER_LOCKED`.
    #[error("This account has been locked by the administrators of this server.")]
    Locked,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Accounts {
    /// Spends a refresh token for a new pair of tokens.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Refreshed, RefreshError> {
        let family = access_token::refresh_family(refresh_token).ok_or(RefreshError::UnknownToken)?;
        for _ in 0..ATTEMPTS {
            if let Some(refreshed) = self.try_refresh(&family, refresh_token).await? {
                return Ok(refreshed);
            }
        }
        Err(Unavailable::Contended.into())
    }

    async fn try_refresh(
        &self,
        family: &Secret,
        refresh_token: &str,
    ) -> Result<Option<Refreshed>, RefreshError> {
        let key = (access_token::digest(family.expose()),);
        let row = self
            .get(&REFRESH_FAMILIES, &key)
            .await?
            .ok_or(RefreshError::UnknownToken)?;
        let user = self
            .user_row(&row.user_id)
            .await?
            .ok_or(RefreshError::UnknownToken)?;
        if user.deactivated {
            return Err(RefreshError::UnknownToken);
        }
        if user.locked {
            return Err(RefreshError::Locked);
        }
        let device_key = (row.user_id.clone(), row.device_id.clone());
        let device = self.get(&DEVICES, &device_key).await?;
        let device = device.ok_or(RefreshError::UnknownToken)?;
        let (replacement, presented) = (
            access_token::new_refresh_token(family)?,
            access_token::digest(refresh_token),
        );
        let Some(spent) = row.spend(
            presented,
            access_token::digest(replacement.expose()),
            self.now_ms(),
        ) else {
            let ended = self.end_session(key, &row).await?;
            return if ended {
                Err(RefreshError::UnknownToken)
            } else {
                Ok(None)
            };
        };
        let mut batch = Batch::new();
        batch.expect(&USERS, &(row.user_id.clone(),), Some(&user));
        batch.expect(&DEVICES, &device_key, Some(&device));
        batch.expect(&REFRESH_FAMILIES, &key, Some(&row));
        batch.put(&REFRESH_FAMILIES, &key, &spent);
        let pruned = self
            .prune_access_tokens(&mut batch, &row.user_id, &row.device_id)
            .await?;
        let expires_ms = self.now_ms().saturating_add(REFRESHABLE_LIFETIME_MS);
        let access_token =
            Self::put_access_token(&mut batch, &row.user_id, &row.device_id, Some(expires_ms))?;
        if self.commit_revocation(batch, pruned, None).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(Refreshed {
            access_token,
            refresh_token: replacement,
            expires_in_ms: REFRESHABLE_LIFETIME_MS,
        }))
    }

    /// Revokes every token of the device and keeps the device: somebody else has its refresh token. `false`: the family
    /// was used meanwhile, and has more tokens than are known here.
    async fn end_session(&self, key: (Digest,), family: &FamilyRow) -> Result<bool, Unavailable> {
        let (user_id, device_id) = (&family.user_id, &family.device_id);
        let mut batch = Batch::new();
        batch.expect(&REFRESH_FAMILIES, &key, Some(family));
        self.revoke_families(&mut batch, user_id, device_id).await?;
        let revoked = self.revoke_access_tokens(&mut batch, user_id, device_id).await?;
        batch.touch(gatehouse_store::Topic::User(user_id.to_owned()));
        Ok(self.commit_revocation(batch, revoked, None).await?.is_some())
    }

    /// Adds a new family of the device to the batch; returns its first member.
    pub(crate) fn put_refresh_token(
        batch: &mut Batch,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<Secret, Unavailable> {
        let family = access_token::new_family()?;
        let token = access_token::new_refresh_token(&family)?;
        let digest = access_token::digest(family.expose());
        let row = FamilyRow {
            user_id: user_id.to_owned(),
            device_id: device_id.to_owned(),
            usable: vec![access_token::digest(token.expose())],
            spent: Vec::new(),
        };
        batch.put(&REFRESH_FAMILIES, &(digest,), &row);
        batch.put(
            &DEVICE_FAMILIES,
            &(user_id.to_owned(), device_id.to_owned(), digest),
            &(),
        );
        Ok(token)
    }

    /// Adds to the batch that all families of the device end.
    pub(crate) async fn revoke_families(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<(), Unavailable> {
        let range = Range::prefix(&(user_id.to_owned(), device_id.to_owned()));
        for (key, ()) in self.scan(&DEVICE_FAMILIES, &range, usize::MAX).await? {
            batch.delete(&REFRESH_FAMILIES, &(key.2,));
            batch.delete(&DEVICE_FAMILIES, &key);
        }
        Ok(())
    }
}

impl FamilyRow {
    /// The family after `used` was exchanged for `new`; `None` when `used` must not be used any more.
    fn spend(&self, used: Digest, new: Digest, now_ms: u64) -> Option<Self> {
        let mut row = self.clone();
        row.spent
            .retain(|(_, at_ms)| at_ms.saturating_add(GRACE_MS) >= now_ms);
        if self.usable.contains(&used) {
            let replaced = row.usable.drain(..).map(|digest| (digest, now_ms));
            row.spent.extend(replaced);
        } else if !row.spent.iter().any(|(digest, _)| *digest == used) {
            return None;
        }
        if row.usable.len() == MAX_USABLE {
            row.usable.remove(0);
        }
        row.usable.push(new);
        Some(row)
    }
}
