//! Users who were deactivated and want what they wrote to be forgotten.

use std::collections::HashSet;

use gatehouse_store::{Batch, Direction, Range, StoreError};
use ruma::{OwnedUserId, UserId};

use crate::{Accounts, Unavailable, UserError, tables::ERASED};

impl Accounts {
    /// As [`Self::deactivate_user`]; account data goes, too, and the user is among the erased from then on.
    pub async fn deactivate_and_erase_user(&self, user_id: &UserId) -> Result<(), UserError> {
        self.close_account(user_id, true).await
    }

    /// Which of these users were erased.
    pub async fn erased_among(
        &self,
        users: impl IntoIterator<Item = OwnedUserId>,
    ) -> Result<HashSet<OwnedUserId>, StoreError> {
        let store = self.store();
        let any = store.scan(&ERASED, &Range::all(), Direction::Forward, 1).await?;
        // On most servers nobody was, and there may be as many users as a room has members.
        if any.is_empty() {
            return Ok(HashSet::new());
        }
        let keys: Vec<_> = users.into_iter().map(|user| (user,)).collect();
        let rows = store.get_many(&ERASED, &keys).await?;
        let found = keys.into_iter().zip(rows);
        Ok(found.filter_map(|((user,), row)| row.map(|()| user)).collect())
    }

    pub(crate) async fn put_erasure(&self, batch: &mut Batch, user_id: &UserId) -> Result<(), Unavailable> {
        batch.put(&ERASED, &(user_id.to_owned(),), &());
        self.put_account_data_deletion(batch, user_id).await
    }
}
