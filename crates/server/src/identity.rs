//! Whose data this is: the server name that it was made with.

use gatehouse_store::{Batch, CommitError, Store, StoreError};
use thiserror::Error;

use crate::tables::SERVER_NAME;

/// Why the data cannot be used under this name.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// It was made with another name, which stands in every id.
    #[error(
        "this data was made by a server named {stored}, and the configuration says {configured}; a server's name \
         cannot be changed: set server_name to {stored}, or use another data directory"
    )]
    OtherName {
        /// The name in the data.
        stored: String,
        /// The name in the configuration.
        configured: String,
    },
    /// The store cannot.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks the name, or records it on the first start.
pub(crate) async fn check(store: &Store, server_name: &str) -> Result<(), IdentityError> {
    loop {
        match store.get(&SERVER_NAME, &(0,)).await? {
            Some((stored,)) if stored == server_name => return Ok(()),
            Some((stored,)) => {
                return Err(IdentityError::OtherName {
                    stored,
                    configured: server_name.to_owned(),
                });
            }
            None => {}
        }
        let mut batch = Batch::new();
        batch.expect(&SERVER_NAME, &(0,), None);
        batch.put(&SERVER_NAME, &(0,), &(server_name.to_owned(),));
        match store.commit(batch).await {
            // A conflict: another node was first, and the next look tells with which name.
            Ok(_) | Err(CommitError::Conflict { .. }) => {}
            Err(CommitError::Store(error)) => return Err(error.into()),
        }
    }
}
