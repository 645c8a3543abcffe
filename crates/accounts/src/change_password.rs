//! Changing a password: by whoever knows the old one, or has proven an address of the account.

use gatehouse_mail::Medium;
use gatehouse_store::{Batch, Topic};
use ruma::{DeviceId, OwnedUserId, UserId};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{
    Accounts, Flow, PasswordError, ProvenAddress, Purpose, Secret, Stage, UiaError, UiaRequest, Unavailable,
    UserError, ValidatedError,
    accounts::ATTEMPTS,
    tables::{THREEPID_OWNERS, USERS},
    user_interactive::Proof,
    users::UserRow,
};

/// A password that is to change.
pub struct PasswordChange<'a> {
    /// The request's body, with or without `auth`.
    pub body: &'a Map<String, Value>,
    /// Who asks, and from which device; `None`: somebody who is not logged in.
    pub requester: Option<(&'a UserId, &'a DeviceId)>,
    /// The new password.
    pub new_password: Option<&'a Secret>,
    /// Whether all other devices are logged out.
    pub logs_out: bool,
}

/// Why a password did not change.
#[derive(Debug, Error)]
pub enum ChangePasswordError {
    /// Something is left to prove, or it is not allowed.
    #[error(transparent)]
    Authentication(#[from] UiaError),
    /// There is no new password. `M_MISSING_PARAM`.
    #[error("The `new_password` is missing.")]
    MissingPassword,
    /// Nobody who is not logged in can prove anything here. `M_MISSING_TOKEN`.
    #[error(
        "This server sends no mail, so that only those who are logged in can change their passwords. Ask its administrators."
    )]
    NotLoggedIn,
    /// No account has the address any more. `M_THREEPID_NOT_FOUND`.
    #[error("No account here has this address.")]
    UnknownAddress,
    /// The proof of the address was used meanwhile. `M_THREEPID_AUTH_FAILED`.
    #[error(transparent)]
    Validated(ValidatedError),
    /// The password cannot be one, or its user is gone.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<ValidatedError> for ChangePasswordError {
    fn from(error: ValidatedError) -> Self {
        match error {
            ValidatedError::Unavailable(source) => Self::Unavailable(source),
            error => Self::Validated(error),
        }
    }
}

impl From<UserError> for ChangePasswordError {
    fn from(error: UserError) -> Self {
        Self::Password(error.into())
    }
}

impl Accounts {
    /// Changes a password when the request's `auth` proves that this may be; says what is left to prove if not. What
    /// proved an address is used up in the same commit (security.md W07).
    pub async fn change_password(&self, change: &PasswordChange<'_>) -> Result<(), ChangePasswordError> {
        let requester = change.requester.map(|(user_id, _)| user_id);
        let flows = self.password_flows(requester.is_some());
        if flows.is_empty() {
            return Err(ChangePasswordError::NotLoggedIn);
        }
        let request = UiaRequest {
            operation: "changePassword",
            user_id: requester,
            body: change.body,
            flows: &flows,
            also: &[],
            address: None,
        };
        let proof = self.prove(&request, || None).await?;
        let password = change.new_password.ok_or(ChangePasswordError::MissingPassword)?;
        let hash = self.hash_new_password(password).await?;
        self.spend(&proof).await?;
        self.set_proven_password(&proof, change, &hash).await
    }

    fn password_flows(&self, is_logged_in: bool) -> Vec<Flow> {
        let media = [
            (Medium::Email, Stage::Email(Purpose::ResetPassword)),
            (Medium::Msisdn, Stage::Msisdn(Purpose::ResetPassword)),
        ];
        let proven = media.into_iter().filter(|(medium, _)| self.can_validate(*medium));
        let password = is_logged_in.then(|| vec![Stage::Password]);
        password
            .into_iter()
            .chain(proven.map(|(_, stage)| vec![stage]))
            .collect()
    }

    async fn set_proven_password(
        &self,
        proof: &Proof,
        change: &PasswordChange<'_>,
        hash: &str,
    ) -> Result<(), ChangePasswordError> {
        for _ in 0..ATTEMPTS {
            let mut batch = Batch::new();
            let mut user_id = change.requester.map(|(user_id, _)| user_id.to_owned());
            for sid in proof.row.validations() {
                let proven = self.validated_by_stage(sid).await?;
                let owner = self.put_owner(&mut batch, &proven).await?;
                if user_id.as_ref().is_some_and(|user_id| *user_id != owner) {
                    return Err(UiaError::OtherUser.into());
                }
                user_id = Some(owner);
            }
            let user_id = user_id.ok_or(ChangePasswordError::UnknownAddress)?;
            let row = self.active_user_row(&user_id).await?;
            batch.expect(&USERS, &(user_id.clone(),), Some(&row));
            let password_hash = Some(hash.to_owned());
            batch.put(&USERS, &(user_id.clone(),), &UserRow { password_hash, ..row });
            let keep = change.requester.map(|(_, device_id)| device_id);
            let mut revoked = Vec::new();
            if change.logs_out {
                for device_id in self.device_ids(&user_id).await? {
                    if Some(&*device_id) != keep {
                        revoked.extend(self.put_device_deletion(&mut batch, &user_id, &device_id).await?);
                    }
                }
            }
            batch.touch(Topic::User(user_id.clone()));
            let committed = self.commit_revocation(batch, revoked, Some(&user_id)).await?;
            if committed.is_some() {
                if change.logs_out {
                    // A login with the old password may have come in between.
                    self.delete_other_devices(&user_id, keep).await?;
                }
                return Ok(());
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// Whose address it is; adds to the batch that this stays so, and that what proved it is used up.
    async fn put_owner(
        &self,
        batch: &mut Batch,
        proven: &ProvenAddress,
    ) -> Result<OwnedUserId, ChangePasswordError> {
        let threepid = proven.threepid();
        let key = (
            threepid.medium().as_str().to_owned(),
            threepid.address().to_owned(),
        );
        let owner = self.get(&THREEPID_OWNERS, &key).await?;
        batch.expect(&THREEPID_OWNERS, &key, owner.as_ref());
        proven.put_use(batch);
        let (user_id,) = owner.ok_or(ChangePasswordError::UnknownAddress)?;
        Ok(user_id)
    }
}
