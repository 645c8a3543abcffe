//! Logging in with a password.

use gatehouse_store::Batch;
use ruma::{OwnedUserId, UserId};
use thiserror::Error;

use crate::{
    Accounts, DeviceRequest, LoggedIn, NewDeviceError, Secret, Unavailable, User, UserError,
    accounts::ATTEMPTS,
    password_hash::{HashError, Verdict},
    tables::USERS,
    users::UserRow,
};

/// Why somebody was not logged in.
#[derive(Debug, Clone, Error)]
pub enum LoginError {
    /// No such user, no password, another password, deactivated: one answer, so that nobody learns which.
    #[error("Invalid username or password.")]
    InvalidCredentials,
    /// The account is locked; said only to those who have the password. `M_USER_LOCKED`.
    #[error("This account has been locked by the administrators of this server.")]
    Locked,
    /// Too many others are waiting.
    #[error("Too many people are logging in at once; try again in a moment.")]
    Busy,
    /// The device cannot be had.
    #[error(transparent)]
    Device(#[from] NewDeviceError),
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<HashError> for LoginError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Busy,
            HashError::Unavailable(source) => Self::Unavailable(source),
        }
    }
}

impl Accounts {
    /// Logs in with a password. `name` is a localpart or a full user id of this server.
    pub async fn login_with_password(
        &self,
        name: &str,
        password: &Secret,
        device: &DeviceRequest,
    ) -> Result<LoggedIn, LoginError> {
        let (user_id, _, password) = self.check_credentials(name, password).await?;
        self.log_in(&user_id, device, password).await
    }

    /// Whose name and password these are, for something that needs no device. As for
    /// [`Self::login_with_password`], a locked account is an error; a suspended one is not.
    pub async fn user_by_password(&self, name: &str, password: &Secret) -> Result<User, LoginError> {
        let (user_id, row, _) = self.check_credentials(name, password).await?;
        Ok(row.describe(user_id))
    }

    /// Logs in a user who has proved who they are in another way.
    pub async fn login_as(&self, user_id: &UserId, device: &DeviceRequest) -> Result<LoggedIn, LoginError> {
        let row = self.active_user_row(user_id).await.map_err(|error| match error {
            UserError::Unavailable(source) => LoginError::Unavailable(source),
            UserError::NotFound | UserError::Deactivated => LoginError::InvalidCredentials,
        })?;
        if row.locked {
            return Err(LoginError::Locked);
        }
        let unchanged = Rehash {
            from: row.password_hash.clone(),
            to: row.password_hash,
        };
        self.log_in(user_id, device, unchanged).await
    }

    /// Takes as long for a name that nobody has as for a wrong password.
    async fn check_credentials(
        &self,
        name: &str,
        password: &Secret,
    ) -> Result<(OwnedUserId, UserRow, Rehash), LoginError> {
        let (user_id, row) = match self.named_user(name) {
            Some(user_id) => {
                let (user_id, row) = self.row_for_login(user_id).await?;
                (Some(user_id), row)
            }
            None => (None, None),
        };
        let row = row.filter(|row| !row.deactivated);
        let hash = row.as_ref().and_then(|row| row.password_hash.clone());
        let verdict = self.hasher().verify(password, hash.clone()).await?;
        let (Some(user_id), Some(row)) = (user_id, row) else {
            return Err(LoginError::InvalidCredentials);
        };
        let new_hash = match verdict {
            Verdict::Wrong => return Err(LoginError::InvalidCredentials),
            Verdict::Right => hash.clone(),
            Verdict::RightButOutdated => Some(self.hasher().hash(password).await?),
        };
        if row.locked {
            return Err(LoginError::Locked);
        }
        let rehash = Rehash {
            from: hash,
            to: new_hash,
        };
        Ok((user_id, row, rehash))
    }

    /// The row of the user as named, or else of the lower-cased name: people type capitals.
    async fn row_for_login(
        &self,
        user_id: OwnedUserId,
    ) -> Result<(OwnedUserId, Option<UserRow>), Unavailable> {
        if let Some(row) = self.user_row(&user_id).await? {
            return Ok((user_id, Some(row)));
        }
        let Some(lower) = self.local_user_id(&user_id.localpart().to_lowercase()) else {
            return Ok((user_id, None));
        };
        let row = self.user_row(&lower).await?;
        Ok((lower, row))
    }

    /// The commit holds only if the user is still as when the password was checked.
    async fn log_in(
        &self,
        user_id: &UserId,
        device: &DeviceRequest,
        password: Rehash,
    ) -> Result<LoggedIn, LoginError> {
        let key = (user_id.to_owned(),);
        for _ in 0..ATTEMPTS {
            let row = self
                .get(&USERS, &key)
                .await?
                .ok_or(LoginError::InvalidCredentials)?;
            if row.deactivated || row.password_hash != password.from {
                return Err(LoginError::InvalidCredentials);
            }
            if row.locked {
                return Err(LoginError::Locked);
            }
            let mut batch = Batch::new();
            batch.expect(&USERS, &key, Some(&row));
            if row.password_hash != password.to {
                let mut rehashed = row.clone();
                rehashed.password_hash.clone_from(&password.to);
                batch.put(&USERS, &key, &rehashed);
            }
            let (logged_in, replaced) = self.put_login(&mut batch, user_id, device).await?;
            let ended_another = !replaced.is_empty();
            if self.commit_revocation(batch, replaced, None).await?.is_some() {
                if ended_another {
                    self.clear_after(user_id).await;
                }
                return Ok(logged_in);
            }
        }
        Err(Unavailable::Contended.into())
    }
}

/// The password hash that was checked, and the one to keep.
struct Rehash {
    from: Option<String>,
    to: Option<String>,
}
