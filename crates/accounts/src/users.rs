//! Users: looking them up, making them, and the marks that an administrator can put on them.

use std::fmt;

use gatehouse_store::{Batch, Range, Topic, json_value};
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Accounts, Unavailable, accounts::ATTEMPTS, tables::USERS};

/// What is stored of a user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent marks of an account")]
pub(crate) struct UserRow {
    pub(crate) created_ms: u64,
    /// PHC string; `None`: nobody can log in by password.
    pub(crate) password_hash: Option<String>,
    pub(crate) admin: bool,
    pub(crate) guest: bool,
    pub(crate) deactivated: bool,
    pub(crate) locked: bool,
    pub(crate) suspended: bool,
}
json_value!(UserRow);

impl fmt::Debug for UserRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRow")
            .field("deactivated", &self.deactivated)
            .finish_non_exhaustive()
    }
}

/// A user, as administrators see one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent marks of an account")]
pub struct User {
    /// Who.
    pub user_id: OwnedUserId,
    /// When the account was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// May use the administration API.
    pub is_admin: bool,
    /// Registered as a guest.
    pub is_guest: bool,
    /// Gone for good; the name stays taken.
    pub is_deactivated: bool,
    /// Nothing works but logging out (`M_USER_LOCKED`).
    pub is_locked: bool,
    /// May read and leave, but not write (`M_USER_SUSPENDED`).
    pub is_suspended: bool,
    /// Can log in by password.
    pub has_password: bool,
}

/// A mark on a user that an administrator can set and take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserMark {
    /// See [`User::is_admin`].
    Admin,
    /// See [`User::is_locked`].
    Locked,
    /// See [`User::is_suspended`].
    Suspended,
}

/// Why nothing was done to a user.
#[derive(Debug, Clone, Error)]
pub enum UserError {
    /// There is no such user on this server.
    #[error("There is no such user on this server.")]
    NotFound,
    /// The user has been deactivated, for good.
    #[error("This user has been deactivated.")]
    Deactivated,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl UserRow {
    /// A new user.
    pub(crate) fn new(created_ms: u64, password_hash: Option<String>) -> Self {
        Self {
            created_ms,
            password_hash,
            admin: false,
            guest: false,
            deactivated: false,
            locked: false,
            suspended: false,
        }
    }

    pub(crate) fn describe(&self, user_id: OwnedUserId) -> User {
        User {
            user_id,
            created_ms: self.created_ms,
            is_admin: self.admin,
            is_guest: self.guest,
            is_deactivated: self.deactivated,
            is_locked: self.locked,
            is_suspended: self.suspended,
            has_password: self.password_hash.is_some(),
        }
    }
}

impl Accounts {
    /// Whether there is such a user here; deactivated ones count.
    pub async fn user_exists(&self, user_id: &UserId) -> Result<bool, Unavailable> {
        Ok(self.user_row(user_id).await?.is_some())
    }

    /// The user, if there is one of that id.
    pub async fn user(&self, user_id: &UserId) -> Result<Option<User>, Unavailable> {
        let row = self.user_row(user_id).await?;
        Ok(row.map(|row| row.describe(user_id.to_owned())))
    }

    /// Up to `limit` users in the order of their ids, after the given one.
    pub async fn users(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<User>, Unavailable> {
        let range = match after {
            Some(user_id) => Range::all().after(&(user_id.to_owned(),)),
            None => Range::all(),
        };
        let rows = self.scan(&USERS, &range, limit).await?;
        Ok(rows
            .into_iter()
            .map(|((user_id,), row)| row.describe(user_id))
            .collect())
    }

    /// Sets or takes away a mark. It holds from the next request on.
    pub async fn mark_user(&self, user_id: &UserId, mark: UserMark, set: bool) -> Result<(), UserError> {
        self.change_user(user_id, |row| match mark {
            UserMark::Admin => row.admin = set,
            UserMark::Locked => row.locked = set,
            UserMark::Suspended => row.suspended = set,
        })
        .await
    }

    /// Adds to the batch that the account stays as it is, so that what is done in its name is not done after it was
    /// deactivated. `false`: it is deactivated.
    pub async fn expect_active(&self, batch: &mut Batch, user_id: &UserId) -> Result<bool, Unavailable> {
        let row = self.user_row(user_id).await?;
        if row.as_ref().is_some_and(|row| row.deactivated) {
            return Ok(false);
        }
        batch.expect(&USERS, &(user_id.to_owned(),), row.as_ref());
        Ok(true)
    }

    pub(crate) async fn user_row(&self, user_id: &UserId) -> Result<Option<UserRow>, Unavailable> {
        self.get(&USERS, &(user_id.to_owned(),)).await
    }

    /// The row of a user who is there and not deactivated.
    pub(crate) async fn active_user_row(&self, user_id: &UserId) -> Result<UserRow, UserError> {
        match self.user_row(user_id).await? {
            None => Err(UserError::NotFound),
            Some(row) if row.deactivated => Err(UserError::Deactivated),
            Some(row) => Ok(row),
        }
    }

    pub(crate) async fn change_user(
        &self,
        user_id: &UserId,
        change: impl Fn(&mut UserRow),
    ) -> Result<(), UserError> {
        let key = (user_id.to_owned(),);
        for _ in 0..ATTEMPTS {
            let row = self.active_user_row(user_id).await?;
            let mut changed = row.clone();
            change(&mut changed);
            let mut batch = Batch::new();
            batch.expect(&USERS, &key, Some(&row));
            batch.put(&USERS, &key, &changed);
            batch.touch(Topic::User(user_id.to_owned()));
            let committed = self.commit_revocation(batch, Vec::new(), Some(user_id)).await?;
            if committed.is_some() {
                return Ok(());
            }
        }
        Err(Unavailable::Contended.into())
    }
}
