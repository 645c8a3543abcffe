//! Undoing bindings whose address or account is gone, until each server has heard of it (security.md W16).

use std::time::Duration;

use gatehouse_accounts::Binding;
use gatehouse_mail::Threepid;
use ruma::UserId;
use tokio_util::sync::CancellationToken;

use crate::{IdentityClient, IdentityClientError};

/// Which node asks.
const LEASE: &str = "identity_client.unbinding";

/// How often it is looked whether there is something to undo.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Bindings undone at once.
const BATCH: usize = 50;

impl IdentityClient {
    /// Undoes what is to be undone until told to stop. On several nodes one does.
    pub async fn run_unbinding(&self, stop: CancellationToken) {
        loop {
            match self.store().lease(LEASE).await {
                Ok(Some(_lease)) => {
                    if let Err(error) = self.unbind_due().await {
                        tracing::warn!(%error, "cannot see which addresses are to be unbound");
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "cannot see who unbinds addresses"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Undoes what is due now.
    async fn unbind_due(&self) -> Result<(), IdentityClientError> {
        for binding in self.accounts().pending_unbindings(BATCH).await? {
            self.unbind_or_postpone(&binding).await?;
        }
        Ok(())
    }

    /// Undoes at once all bindings of a user who is gone; whether all of it is. What is not, is tried again later.
    pub async fn unbind_now(&self, user: &UserId) -> Result<bool, IdentityClientError> {
        let mut all_unbound = true;
        for binding in self.accounts().bindings(user).await? {
            all_unbound &= self.unbind_or_postpone(&binding).await?;
        }
        Ok(all_unbound)
    }

    /// Undoes every binding of the address to the user that is known here; whether each server has done it.
    pub async fn unbind_everywhere(
        &self,
        user: &UserId,
        address: &Threepid,
    ) -> Result<bool, IdentityClientError> {
        let bindings = self.accounts().bindings(user).await?;
        let mut servers = bindings
            .into_iter()
            .filter(|binding| binding.threepid == *address)
            .map(|binding| binding.id_server)
            .peekable();
        let mut all_unbound = servers.peek().is_some();
        for server in servers {
            all_unbound &= self.unbind(user, address, &server).await?;
        }
        Ok(all_unbound)
    }

    async fn unbind_or_postpone(&self, binding: &Binding) -> Result<bool, IdentityClientError> {
        let unbound = self
            .unbind(&binding.user_id, &binding.threepid, &binding.id_server)
            .await;
        match unbound {
            Ok(unbound) => Ok(unbound),
            Err(error) => {
                let goes_on = self.accounts().postpone_unbinding(binding).await?;
                tracing::info!(server = binding.id_server, %error, goes_on, "an address could not be unbound");
                Ok(false)
            }
        }
    }
}
