//! Closing an account for good.

use gatehouse_store::{Batch, Direction, Range, Topic};
use ruma::{OwnedUserId, UserId};

use crate::{
    Accounts, Unavailable, UserError,
    accounts::ATTEMPTS,
    tables::{LEAVING, PROFILES, USERS},
};

impl Accounts {
    /// Deactivates a user: tokens, devices, password, addresses and profile go, in one commit; the name stays taken. That the
    /// user leaves their rooms is for the caller to see to, and to confirm with [`Self::has_left`]. Doing it twice is
    /// fine.
    pub async fn deactivate_user(&self, user_id: &UserId) -> Result<(), UserError> {
        self.close_account(user_id, false).await
    }

    /// Deactivated users who may still be in rooms, as after a crash; so many at most.
    pub async fn leaving_users(&self, limit: usize) -> Result<Vec<OwnedUserId>, Unavailable> {
        let rows = self
            .store()
            .scan(&LEAVING, &Range::all(), Direction::Forward, limit)
            .await?;
        Ok(rows.into_iter().map(|((user_id,), ())| user_id).collect())
    }

    /// A deactivated user is in no room any more.
    pub async fn has_left(&self, user_id: &UserId) -> Result<(), Unavailable> {
        let mut batch = Batch::new();
        batch.delete(&LEAVING, &(user_id.to_owned(),));
        self.commit(batch).await.map(|_| ())
    }

    /// Deactivates a user, and erases them if that is wanted.
    pub(crate) async fn close_account(&self, user_id: &UserId, erase: bool) -> Result<(), UserError> {
        let key = (user_id.to_owned(),);
        for _ in 0..ATTEMPTS {
            let row = self.get(&USERS, &key).await?.ok_or(UserError::NotFound)?;
            let mut batch = Batch::new();
            batch.expect(&USERS, &key, Some(&row));
            let mut deactivated = row.clone();
            deactivated.deactivated = true;
            deactivated.password_hash = None;
            deactivated.admin = false;
            batch.put(&USERS, &key, &deactivated);
            batch.delete(&PROFILES, &key);
            batch.put(&LEAVING, &key, &());
            self.put_end_of_threepids(&mut batch, user_id).await?;
            if erase {
                self.put_erasure(&mut batch, user_id).await?;
            }
            let mut revoked = Vec::new();
            for device_id in self.device_ids(user_id).await? {
                revoked.extend(self.put_device_deletion(&mut batch, user_id, &device_id).await?);
            }
            batch.touch(Topic::User(user_id.to_owned()));
            let committed = self.commit_revocation(batch, revoked, Some(user_id)).await?;
            if committed.is_some() {
                return Ok(());
            }
        }
        Err(Unavailable::Contended.into())
    }
}
