use gatehouse_store::StoreError;
use thiserror::Error;

use crate::alias_grammar::InvalidAlias;

/// Why an alias could not be read or changed.
#[derive(Debug, Clone, Error)]
pub enum AliasError {
    /// Not an alias, or another server's.
    #[error(transparent)]
    Invalid(#[from] InvalidAlias),
    /// Nobody has it.
    #[error("There is no room with this alias.")]
    NotFound,
    /// Somebody has it.
    #[error("This alias is taken; choose another.")]
    InUse,
    /// There is no such room.
    #[error("There is no room of this id.")]
    NoSuchRoom,
    /// Only for members.
    #[error("You are not in this room; join it first.")]
    NotInRoom,
    /// Neither its creator nor powerful enough.
    #[error(
        "Only who made this alias, who may set the room's canonical alias, or a server administrator can remove it."
    )]
    NotYours,
    /// The room has as many as a room can have.
    #[error("This room has 100 aliases, which is the most; remove one first.")]
    TooMany,
    /// Others changed the same aliases again and again.
    #[error("Others are changing the aliases of this room; try again.")]
    Busy,
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a canonical alias event is not acceptable.
#[derive(Debug, Clone, Error)]
pub enum CanonicalAliasError {
    /// It lists something that is not an alias.
    #[error("`{0}` is not a room alias; they have the form #name:server.")]
    NotAnAlias(String),
    /// It lists an alias that does not lead to the room.
    #[error("The alias {0} does not lead to this room; give it to the room first.")]
    ElsewhereOrNowhere(String),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the directory of published rooms could not be read or changed.
#[derive(Debug, Clone, Error)]
pub enum PublicationError {
    /// There is no such room.
    #[error("There is no room of this id.")]
    NoSuchRoom,
    /// Too little power in the room.
    #[error(
        "Only members who may set the room's canonical alias, or a server administrator, can publish it."
    )]
    NotAllowed,
    /// The operator lets administrators only.
    #[error("Only server administrators can publish rooms on this server.")]
    AdministratorsOnly,
    /// The list of another server cannot be had.
    #[error("That server cannot be reached, or does not show its list to others.")]
    OtherServer,
    /// A page that does not exist.
    #[error(transparent)]
    Since(#[from] crate::InvalidSince),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}
