//! Closing an account for good.

use gatehouse_store::{Batch, Topic};
use ruma::UserId;

use crate::{
    Accounts, Unavailable, UserError,
    accounts::ATTEMPTS,
    tables::{PROFILES, USERS},
};

impl Accounts {
    /// Deactivates a user: tokens, devices, password and profile go, in one commit; the name stays taken. That the
    /// user leaves their rooms is for the caller to see to. Doing it twice is fine.
    pub async fn deactivate_user(&self, user_id: &UserId) -> Result<(), UserError> {
        self.close_account(user_id, false).await
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
