use gatehouse_store::StoreError;
use thiserror::Error;

use crate::token::InvalidToken;

/// Why something of a room could not be shown.
///
/// A room that does not exist and one that the user may not look into give the same error, and so do an event that
/// does not exist, one of another room, and one that the user may not see.
#[derive(Debug, Clone, Error)]
pub enum ReadError {
    /// Neither a member now nor ever, and the room is not world readable; or there is no such room.
    #[error("You are not in this room; join it to see what is in it.")]
    NotInRoom,
    /// Not visible at the point that was asked for.
    #[error("You could not see the room at that point; ask for a later one.")]
    NotVisibleThen,
    /// No such event in this room, or not for this user.
    #[error("There is no such event in this room, or you may not see it.")]
    EventNotFound,
    /// The room has no such state.
    #[error("The room has no state event of this type and state key.")]
    StateNotFound,
    /// No event in that direction from the time asked for.
    #[error("There is no event that you can see at or {0} that time.")]
    NothingNearTimestamp(&'static str),
    /// No such room, or not for this user.
    #[error("There is no such room, or you may not see it.")]
    RoomNotFound,
    /// A token that this server has not given out.
    #[error(transparent)]
    Token(#[from] InvalidToken),
    /// Further pages were asked for with other parameters.
    #[error("`suggested_only` and `max_depth` must stay as they were on the first page.")]
    ChangedWhilePaging,
    /// Not all members of the room are known here yet.
    #[error("The members of this room are still being fetched from other servers. Try again in a while.")]
    MembersMissing,
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}
