//! Closing an account: out of all rooms.

use gatehouse_accounts::{Unavailable, UserError};
use gatehouse_store::StoreError;
use ruma::UserId;
use thiserror::Error;

use crate::{Rooms, WriteError};

/// Why an account was not closed, or not wholly.
#[derive(Debug, Clone, Error)]
pub enum DeactivationError {
    /// It is as it was.
    #[error(transparent)]
    User(#[from] UserError),
    /// It is deactivated.
    #[error("deactivated, but still in some rooms: {0}")]
    StillInRooms(WriteError),
}

impl Rooms {
    /// Deactivates a user, who then leaves their rooms; `erase`: and whose words are forgotten. Goes on when whoever
    /// asked goes away: nobody could ask for the rest in the name of an account that is closed.
    pub async fn deactivate(&self, user_id: &UserId, erase: bool) -> Result<(), DeactivationError> {
        let (rooms, user_id) = (self.clone(), user_id.to_owned());
        let closing = tokio::spawn(async move { rooms.close_account(&user_id, erase).await });
        closing.await.unwrap_or_else(|_| {
            let stopping = StoreError::Unavailable("the server is stopping; try again".to_owned());
            Err(UserError::from(Unavailable::from(stopping)).into())
        })
    }

    async fn close_account(&self, user_id: &UserId, erase: bool) -> Result<(), DeactivationError> {
        let accounts = &self.shared.accounts;
        if erase {
            accounts.deactivate_and_erase_user(user_id).await?;
        } else {
            accounts.deactivate_user(user_id).await?;
        }
        self.leave_all(user_id)
            .await
            .map_err(DeactivationError::StillInRooms)
    }
}
