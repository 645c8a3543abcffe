//! What is stored of pushers, and which of it holds.

use gatehouse_store::{Batch, Range, json_value};
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};

use super::Pusher;
use crate::{
    Accounts, Unavailable,
    accounts::ATTEMPTS,
    tables::{PUSHERS, PUSHKEYS},
};

/// User, app, pushkey.
pub(super) type PusherKey = (OwnedUserId, String, String);

/// A pusher, and whose it is among the user's logins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PusherRow {
    pub(super) pusher: Pusher,
    pub(super) device_id: OwnedDeviceId,
    pub(super) login: String,
}
json_value!(PusherRow);

/// Who has a pusher with a pushkey of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PushkeyRow {
    pub(super) users: Vec<OwnedUserId>,
}
json_value!(PushkeyRow);

impl Accounts {
    /// The user's pushers: those that hold, and those whose login has ended.
    pub(super) async fn pusher_rows(
        &self,
        user_id: &UserId,
    ) -> Result<[Vec<(PusherKey, PusherRow)>; 2], Unavailable> {
        let range = Range::prefix(&(user_id.to_owned(),));
        let rows = self.scan(&PUSHERS, &range, usize::MAX).await?;
        if rows.is_empty() {
            return Ok([Vec::new(), Vec::new()]);
        }
        // After the pushers: a login that is not found now has ended for good.
        let logins = self.logins(user_id).await?;
        let (holding, void) = rows
            .into_iter()
            .partition(|(_, row)| logins.get(&row.device_id) == Some(&row.login));
        Ok([holding, void])
    }

    /// Clears away what is void. It is void without this, too.
    pub(crate) async fn clear_void_pushers(&self, user_id: &UserId) -> Result<(), Unavailable> {
        for _ in 0..ATTEMPTS {
            let [_, void] = self.pusher_rows(user_id).await?;
            if void.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            for (key, row) in &void {
                self.put_pusher_deletion(&mut batch, key, row).await?;
            }
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
        Err(Unavailable::Contended)
    }

    /// Adds to the batch that this pusher goes.
    pub(super) async fn put_pusher_deletion(
        &self,
        batch: &mut Batch,
        key: &PusherKey,
        row: &PusherRow,
    ) -> Result<(), Unavailable> {
        batch.expect(&PUSHERS, key, Some(row));
        batch.delete(&PUSHERS, key);
        let (user_id, app_id, pushkey) = key.clone();
        let shared = (app_id, pushkey);
        let Some(old) = self.get(&PUSHKEYS, &shared).await? else {
            return Ok(());
        };
        batch.expect(&PUSHKEYS, &shared, Some(&old));
        let mut left = old;
        left.users.retain(|other| *other != user_id);
        if left.users.is_empty() {
            batch.delete(&PUSHKEYS, &shared);
        } else {
            batch.put(&PUSHKEYS, &shared, &left);
        }
        Ok(())
    }
}
