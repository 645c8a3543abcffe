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
    /// The operating system gave no randomness.
    #[error("the machine has no randomness for this; try again later")]
    Randomness,
    /// A row of ours does not hold what it should: another version's data, or damage.
    #[error("the stored {0} cannot be used; restore it from a backup, or revoke it")]
    Damaged(&'static str),
}

impl From<NoRandomness> for Unavailable {
    fn from(_: NoRandomness) -> Self {
        Self::Randomness
    }
}
