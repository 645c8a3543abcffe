//! Adding a proven address to an account.

use gatehouse_store::Batch;
use ruma::UserId;
use thiserror::Error;

use crate::{
    Accounts, ProvenAddress, Purpose, ThreepidError, Unavailable, ValidatedError, accounts::ATTEMPTS,
};

/// Why an address was not added.
#[derive(Debug, Error)]
pub enum AddThreepidError {
    /// The session proves nothing.
    #[error(transparent)]
    Validated(#[from] ValidatedError),
    /// The address cannot be the user's.
    #[error(transparent)]
    Threepid(#[from] ThreepidError),
    /// The account was closed meanwhile. `M_USER_DEACTIVATED`.
    #[error("This user has been deactivated.")]
    Deactivated,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Accounts {
    /// Adds the address that a session has proven. The session is used up in the same commit (security.md W07).
    pub async fn add_threepid(
        &self,
        user_id: &UserId,
        sid: &str,
        client_secret: &str,
    ) -> Result<(), AddThreepidError> {
        for _ in 0..ATTEMPTS {
            let proven = self.validated(Purpose::Add, sid, client_secret).await?;
            let mut batch = Batch::new();
            if !self.expect_active(&mut batch, user_id).await? {
                return Err(AddThreepidError::Deactivated);
            }
            self.put_proven(&mut batch, user_id, &proven).await?;
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// Adds the address to the user's account that an identity server says they have proven to it.
    pub async fn add_threepid_proven_elsewhere(
        &self,
        user_id: &UserId,
        threepid: &gatehouse_mail::Threepid,
        validated_ms: u64,
    ) -> Result<(), AddThreepidError> {
        for _ in 0..ATTEMPTS {
            let mut batch = Batch::new();
            if !self.expect_active(&mut batch, user_id).await? {
                return Err(AddThreepidError::Deactivated);
            }
            self.put_change_of_threepids(&mut batch, user_id).await?;
            self.put_threepid(&mut batch, user_id, threepid, validated_ms)
                .await?;
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// Adds to the batch that the address is the user's, and that what proved it is used up.
    pub(crate) async fn put_proven(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
        proven: &ProvenAddress,
    ) -> Result<(), ThreepidError> {
        proven.put_use(batch);
        self.put_change_of_threepids(batch, user_id).await?;
        self.put_threepid(batch, user_id, proven.threepid(), proven.validated_ms())
            .await
    }
}
