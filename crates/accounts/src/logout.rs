//! Logging out.

use crate::{Accounts, Session, Unavailable};

impl Accounts {
    /// Ends this session: its tokens are revoked and its device is deleted.
    pub async fn log_out(&self, session: &Session) -> Result<(), Unavailable> {
        self.delete_devices(&session.user_id, std::slice::from_ref(&session.device_id))
            .await
    }

    /// Ends all sessions of the user.
    pub async fn log_out_everywhere(&self, session: &Session) -> Result<(), Unavailable> {
        self.delete_other_devices(&session.user_id, None).await
    }
}
