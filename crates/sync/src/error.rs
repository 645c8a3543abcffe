use gatehouse_accounts::Unavailable;
use gatehouse_rooms::ReadError;
use gatehouse_store::StoreError;
use thiserror::Error;

use crate::filter::InvalidFilter;

/// Why there is no answer.
#[derive(Debug, Clone, Error)]
pub enum SyncError {
    /// The inline filter is none.
    #[error(transparent)]
    Filter(#[from] InvalidFilter),
    /// The user has stored no filter with this id.
    #[error("there is no filter with this id; store it again, and use the id that you are given")]
    UnknownFilter,
    /// The device was logged out while it waited.
    #[error("this device was logged out; log in again")]
    LoggedOut,
    /// The user may not look into the room that was asked for.
    #[error("you are not in this room; join it to see what happens in it")]
    NotInRoom,
    /// A room could not be read.
    #[error(transparent)]
    Rooms(#[from] ReadError),
    /// The user's own data could not be read.
    #[error(transparent)]
    Accounts(#[from] Unavailable),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}
