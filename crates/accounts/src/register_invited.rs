//! Making an account for somebody who was invited by an address, which they have proven to be theirs.

use gatehouse_mail::Threepid;

use ruma::UserId;

use crate::{
    Accounts, DeviceRequest, PasswordError, Registered, RegistrationError, Secret, registration::Invited,
};

/// Somebody who was invited by an address.
#[derive(Clone, Copy)]
pub struct InvitedUser<'a> {
    /// The address that the invitation went to; whoever calls has seen that it is theirs.
    pub threepid: &'a Threepid,
    /// The localpart that they chose.
    pub username: &'a str,
    /// The password that they chose.
    pub password: &'a Secret,
}

impl Accounts {
    /// Whether whoever is invited by an address may register with it.
    pub fn invited_may_register(&self) -> bool {
        let registration = &self.config().registration;
        registration.invited_addresses || (registration.open && !registration.token_required)
    }

    /// Makes the account of somebody who was invited, with their address, in one commit: the invitation stands for
    /// whatever else would be needed to register. Asked for again with the same password, it is the same account, without
    /// a device: the server may have stopped before the invitation was accepted.
    pub async fn register_invited(
        &self,
        user: &InvitedUser<'_>,
        device: Option<&DeviceRequest>,
    ) -> Result<Registered, RegistrationError> {
        if !self.invited_may_register() {
            return Err(RegistrationError::Closed);
        }
        if let Some(user_id) = self.threepid_owner(user.threepid).await? {
            if self.is_the_same(user, &user_id).await? {
                return Ok(Registered { user_id, login: None });
            }
            return Err(RegistrationError::AddressInUse);
        }
        let invited = Invited {
            threepid: user.threepid,
            validated_ms: self.now_ms(),
        };
        self.create_invited(user.username, user.password, invited, device)
            .await
    }

    /// Whether this account is what was asked for.
    async fn is_the_same(&self, user: &InvitedUser<'_>, owner: &UserId) -> Result<bool, RegistrationError> {
        if self.new_user_id(user.username)? != owner {
            return Ok(false);
        }
        let checked = self.check_password(owner, user.password).await;
        Ok(checked.map_err(PasswordError::from)?)
    }
}
