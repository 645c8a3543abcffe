use gatehouse_secrets::NoRandomness;
use gatehouse_store::StoreError;
use thiserror::Error;

/// Nothing is wrong with the request; the server cannot carry it out now. Part of every operation's error.
#[derive(Debug, Clone, Error)]
pub enum Unavailable {
    /// The store could not read or write.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The row kept changing under the operation. Trying again will do.
    #[error("too many changes at once; try again")]
    Contended,
    /// The operating system gave no randomness, or a password could not be hashed for lack of memory.
    #[error("the machine has no randomness or no memory left for this; try again later")]
    Randomness,
}

impl From<NoRandomness> for Unavailable {
    fn from(_: NoRandomness) -> Self {
        Self::Randomness
    }
}
