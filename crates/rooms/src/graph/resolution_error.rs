//! Why states are not resolved.

use gatehouse_events::ResolveError;
use gatehouse_store::StoreError;
use thiserror::Error;

/// Why states are not resolved.
#[derive(Debug, Error)]
pub(crate) enum ResolutionError {
    #[error(transparent)]
    Rules(#[from] ResolveError),
    #[error("the auth chains are too long")]
    ChainTooLong,
    #[error(transparent)]
    Store(#[from] StoreError),
}
