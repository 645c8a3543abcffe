//! Closing an account: out of all rooms.

use gatehouse_accounts::{Unavailable, UserError};
use gatehouse_store::StoreError;
use ruma::UserId;
use thiserror::Error;

use crate::{Rooms, WriteError};

/// Users whose deactivation is finished before others are looked for.
const AT_ONCE: usize = 100;

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
        self.leave_for_good(user_id)
            .await
            .map_err(DeactivationError::StillInRooms)
    }

    /// Takes those out of their rooms who were deactivated when the server ended or a room could not be left.
    pub async fn finish_deactivations(&self) -> Result<(), WriteError> {
        loop {
            let leaving = self.shared.accounts.leaving_users(AT_ONCE).await?;
            let mut outcome = Ok(());
            for user_id in &leaving {
                // One who cannot leave yet does not keep the others.
                outcome = outcome.and(self.leave_for_good(user_id).await);
            }
            if outcome.is_err() || leaving.len() < AT_ONCE {
                return outcome;
            }
        }
    }

    async fn leave_for_good(&self, user_id: &UserId) -> Result<(), WriteError> {
        self.leave_all(user_id).await?;
        Ok(self.shared.accounts.has_left(user_id).await?)
    }
}
