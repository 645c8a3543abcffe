//! Guests who become users: they keep their id and their rooms.

use gatehouse_store::{Batch, Topic};
use ruma::{DeviceId, UserId};

use crate::{
    Accounts, AuthError, RegistrationError, Secret, Unavailable, access_token::Digest, users::UserRow,
};

impl UserRow {
    /// The guest as a user with this password.
    pub(crate) fn no_longer_guest(mut self, password_hash: String) -> Self {
        self.guest = false;
        self.password_hash = Some(password_hash);
        self
    }
}

impl Accounts {
    /// The guest who may become the user of this id, or `None` when nobody has it. `checked`: that the one who asks
    /// is the guest was found earlier.
    pub(crate) async fn guest_or_nobody(
        &self,
        user_id: &UserId,
        token: Option<&Secret>,
        checked: bool,
    ) -> Result<Option<UserRow>, RegistrationError> {
        let Some(row) = self.user_row(user_id).await? else {
            return Ok(None);
        };
        let proved = match token {
            Some(token) => self.is_token_of(token, user_id).await?,
            None if checked => true,
            None => return Err(RegistrationError::UserInUse),
        };
        if row.guest && !row.deactivated && proved {
            Ok(Some(row))
        } else {
            Err(RegistrationError::NotTheGuest)
        }
    }

    async fn is_token_of(&self, token: &Secret, user_id: &UserId) -> Result<bool, Unavailable> {
        match self.authenticate(token.expose()).await {
            Ok(session) => Ok(session.user_id == user_id),
            Err(AuthError::Unavailable(source)) => Err(source),
            Err(AuthError::UnknownToken | AuthError::Expired | AuthError::Locked(_)) => Ok(false),
        }
    }

    /// Adds to the batch that the guest's devices go but for the one to keep, so that what was given to anybody does
    /// not open what a password guards. The digests are to be forgotten after the commit.
    pub(crate) async fn put_end_of_guest(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
        keep: Option<&DeviceId>,
    ) -> Result<Vec<Digest>, Unavailable> {
        batch.touch(Topic::User(user_id.to_owned()));
        let mut revoked = Vec::new();
        for device_id in self.device_ids(user_id).await? {
            if Some(&*device_id) != keep {
                revoked.extend(self.put_device_deletion(batch, user_id, &device_id).await?);
            }
        }
        Ok(revoked)
    }
}
