//! Setting and checking passwords.

use gatehouse_store::{Batch, Topic};
use ruma::{DeviceId, UserId};
use thiserror::Error;

use crate::{
    Accounts, Secret, Unavailable, UserError,
    accounts::ATTEMPTS,
    password_hash::{HashError, MAX_PASSWORD_BYTES, Verdict},
    tables::USERS,
    users::UserRow,
};

/// Why a password was not set.
#[derive(Debug, Clone, Error)]
pub enum PasswordError {
    /// It is empty or too long.
    #[error("A password must have 1 to {MAX_PASSWORD_BYTES} bytes.")]
    Invalid,
    /// Too many others are waiting.
    #[error("Too many people are logging in at once; try again in a moment.")]
    Busy,
    /// There is no such user, or not any more.
    #[error(transparent)]
    User(#[from] UserError),
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<HashError> for PasswordError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Busy,
            HashError::Unavailable(source) => Self::Unavailable(source),
        }
    }
}

impl Accounts {
    /// Sets a user's password. The user's sessions stay as they are: see
    /// [`Accounts::set_password_and_log_out`].
    pub async fn set_password(&self, user_id: &UserId, password: &Secret) -> Result<(), PasswordError> {
        self.active_user_row(user_id).await?;
        let hash = self.hash_new_password(password).await?;
        self.change_user(user_id, |row| row.password_hash = Some(hash.clone()))
            .await?;
        Ok(())
    }

    /// As [`Self::set_password`]; in the same commit, the devices of the user but one are deleted.
    pub async fn set_password_and_log_out(
        &self,
        user_id: &UserId,
        password: &Secret,
        keep: Option<&DeviceId>,
    ) -> Result<(), PasswordError> {
        self.active_user_row(user_id).await?;
        let hash = self.hash_new_password(password).await?;
        let key = (user_id.to_owned(),);
        for _ in 0..ATTEMPTS {
            let row = self.active_user_row(user_id).await?;
            let mut batch = Batch::new();
            batch.expect(&USERS, &key, Some(&row));
            let password_hash = Some(hash.clone());
            batch.put(&USERS, &key, &UserRow { password_hash, ..row });
            let mut revoked = Vec::new();
            for device_id in self.device_ids(user_id).await? {
                if Some(&*device_id) != keep {
                    revoked.extend(self.put_device_deletion(&mut batch, user_id, &device_id).await?);
                }
            }
            batch.touch(Topic::User(user_id.to_owned()));
            let committed = self.commit_revocation(batch, revoked, Some(user_id)).await?;
            if committed.is_some() {
                // A login with the old password may have come in between.
                return Ok(self.delete_other_devices(user_id, keep).await?);
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// Whether this is the user's password. Takes as long when there is no such user, or no password.
    pub async fn check_password(&self, user_id: &UserId, password: &Secret) -> Result<bool, HashError> {
        let row = self.user_row(user_id).await?;
        let hash = row
            .filter(|row| !row.deactivated)
            .and_then(|row| row.password_hash);
        Ok(self.hasher().verify(password, hash).await? != Verdict::Wrong)
    }

    pub(crate) async fn hash_new_password(&self, password: &Secret) -> Result<String, PasswordError> {
        check_new_password(password)?;
        Ok(self.hasher().hash(password).await?)
    }
}

/// Whether this may be somebody's password.
pub(crate) fn check_new_password(password: &Secret) -> Result<(), PasswordError> {
    if password.expose().is_empty() || password.expose().len() > MAX_PASSWORD_BYTES {
        return Err(PasswordError::Invalid);
    }
    Ok(())
}
