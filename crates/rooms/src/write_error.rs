//! Why a room was not changed. One family for everything that appends.

use gatehouse_accounts::Unavailable;
use gatehouse_events::BuildError;
use gatehouse_store::{CommitError, StoreError};
use ruma::OwnedUserId;
use thiserror::Error;

use crate::{
    graph::resolution_error::ResolutionError, identity_servers::IdentityServerError,
    remote_servers::RemoteError, room_transaction::AppendError,
};

/// How often an operation is tried when others change the room at the same time. Where two nodes write to one room all
/// the time it takes some tens of milliseconds until each has had its turn.
pub(crate) const ATTEMPTS: usize = 64;

/// Why a room was not changed; nothing was written. The sentences are for the person who asked.
#[derive(Debug, Clone, Error)]
pub enum WriteError {
    /// The room does not let this user do that; the reason says why.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such room, as far as this server knows.
    #[error("This server knows no such room. Check the address.")]
    NoSuchRoom,
    /// There is no such event in this room.
    #[error("There is no such event in this room.")]
    NoSuchEvent,
    /// The one who is meant takes no invites.
    #[error("{0} does not want to be invited to rooms.")]
    InviteBlocked(OwnedUserId),
    /// The server of the one who is meant does not know the room's version.
    #[error("The server of {0} does not know rooms of this version.")]
    TargetCannotJoin(OwnedUserId),
    /// Guests are not let in.
    #[error("This room does not let guests in. Make an account to join.")]
    GuestsForbidden,
    /// The room's version has no such thing.
    #[error("Rooms of version {0} cannot do that.")]
    UnsupportedByVersion(&'static str),
    /// No room of this version can be made.
    #[error("This server does not know room version {0}.")]
    UnknownRoomVersion(String),
    /// Nobody on this server may let the user in.
    #[error(
        "The user may join, but nobody who is in the room may let them in. Ask a moderator for an invite."
    )]
    UnableToGrantJoin,
    /// What the client sent makes no sense; the text says what.
    #[error("{0}")]
    BadContent(String),
    /// The state that a new room was to have breaks the rules; the text says which.
    #[error("{0}")]
    InvalidRoomState(String),
    /// A user is in a room that they want to forget.
    #[error("You have to leave the room before you can forget it.")]
    StillInRoom,
    /// The event is too large.
    #[error("{0}")]
    TooLarge(String),
    /// Another server is needed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// An identity server is needed.
    #[error(transparent)]
    IdentityServer(#[from] IdentityServerError),
    /// Not all members of the room are known here yet.
    #[error("The members of this room are still being fetched from other servers. Try again in a while.")]
    MembersMissing,
    /// Others changed the room again and again.
    #[error("Too many people change this room at the moment. Try again.")]
    Contended,
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a room refuses a user: `M_FORBIDDEN`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Only the invited may join.
    #[error("You are not invited to this room. Ask a member to invite you.")]
    NotInvited,
    /// The room lets in members of other rooms only, of which this is none.
    #[error(
        "This room lets in members of certain other rooms, and you are in none of them. Join one, or ask for an invite."
    )]
    NotInAllowedRoom,
    /// The one who asks is banned.
    #[error("You are banned from this room.")]
    Banned,
    /// The one who asks has closed their account meanwhile.
    #[error("This account has been deactivated.")]
    Deactivated,
    /// The one who is meant is banned.
    #[error("{0} is banned from this room. Unban them first.")]
    TargetBanned(OwnedUserId),
    /// The one who is meant is in the room.
    #[error("{0} is already in this room.")]
    AlreadyJoined(OwnedUserId),
    /// The one who asks is invited and wants to knock.
    #[error("You are already invited to this room. Join it.")]
    AlreadyInvited,
    /// The one who invites is not in the room.
    #[error("You are not in this room, so you cannot invite anybody to it. Join it first.")]
    InviterNotInRoom,
    /// The one who asks is not in the room.
    #[error("You are not in this room. Join it first.")]
    NotInRoom,
    /// The one who asks never had to do with the room.
    #[error("You are not in this room, so you cannot leave it.")]
    NeverInRoom,
    /// The one who is meant is not in the room.
    #[error("{0} is not in this room.")]
    TargetNotInRoom(OwnedUserId),
    /// The one who is meant is not banned.
    #[error("{0} is not banned from this room.")]
    TargetNotBanned(OwnedUserId),
    /// The one who asks has too little power.
    #[error("Your power level in this room is too low: you need {needed} to {to}, and you have {has}.")]
    PowerTooLow {
        /// What they want to do.
        to: &'static str,
        /// The level needed.
        needed: i64,
        /// The level they have.
        has: i64,
    },
    /// The one who is meant has as much power.
    #[error("Your power level in this room is too low: {target} has as much power as you, or more.")]
    TargetAsPowerful {
        /// Who is meant.
        target: OwnedUserId,
    },
    /// The room does not take knocks.
    #[error("This room does not take knocks. Ask a member to invite you.")]
    KnockNotAllowed,
    /// The room was made for users of its own server.
    #[error("This room is for users of its own server only.")]
    NotFederated,
    /// The server of the one who is meant does not take it.
    #[error("The server of {0} refuses this.")]
    TargetServerRefuses(OwnedUserId),
    /// A membership was to be set for somebody else that only they can set.
    #[error("Only {0} can do that for themselves.")]
    NotForOthers(OwnedUserId),
    /// The event that made the room was to be redacted.
    #[error("The event that made the room cannot be redacted.")]
    CreateEventStays,
    /// An invitation by address does not let the user in.
    #[error(transparent)]
    ThirdParty(#[from] ThirdPartyRefusal),
    /// The authorisation rules say no; for what has no sentence of its own.
    #[error("The room's rules do not allow this: {0}.")]
    Rules(String),
}

/// Why an invitation by address does not let somebody in: `M_FORBIDDEN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ThirdPartyRefusal {
    /// This room has no such invitation.
    #[error("This room has no such invitation. Ask for a new one.")]
    UnknownToken,
    /// It was taken back, or has no keys.
    #[error("This invitation was taken back. Ask for a new one.")]
    Revoked,
    /// It is signed for somebody else.
    #[error("This invitation was accepted for another user than this one.")]
    OtherUser,
    /// It was sent by somebody else.
    #[error("This invitation was not sent by the user who is named as its sender, or not from this server.")]
    OtherSender,
    /// No key of the invitation made the signature.
    #[error("The signature of the identity server is not one of this invitation's keys.")]
    WrongSignature,
    /// The key that made it is not in force any more.
    #[error(
        "The identity server says that the key of this invitation is not valid any more. Ask for a new one."
    )]
    KeyNotValid,
    /// It has been used.
    #[error("This invitation has been used already. Ask for a new one.")]
    Used,
    /// Whoever sent it is banned.
    #[error("Whoever sent this invitation is banned from the room.")]
    InviterBanned,
}

impl From<ThirdPartyRefusal> for WriteError {
    fn from(refusal: ThirdPartyRefusal) -> Self {
        Refusal::from(refusal).into()
    }
}

impl WriteError {
    /// Whether trying the same again later may help.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Contended
            | Self::MembersMissing
            | Self::Store(_)
            | Self::Remote(RemoteError::Unreachable) => true,
            Self::IdentityServer(error) => matches!(
                error,
                IdentityServerError::Unreachable
                    | IdentityServerError::TooMany { .. }
                    | IdentityServerError::Unavailable(_)
            ),
            _ => false,
        }
    }
}

/// An attempt's outcome: a conflict is tried again.
#[derive(Debug)]
pub(crate) enum Attempt {
    Conflict,
    Failed(WriteError),
}

impl<T: Into<WriteError>> From<T> for Attempt {
    fn from(error: T) -> Self {
        Self::Failed(error.into())
    }
}

impl From<CommitError> for Attempt {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict { .. } => Self::Conflict,
            CommitError::Store(error) => Self::Failed(error.into()),
        }
    }
}

impl From<AppendError> for WriteError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Denied(denied) => Refusal::Rules(denied.0).into(),
            AppendError::Build(error @ (BuildError::TooLarge | BuildError::FieldTooLong(_))) => {
                Self::TooLarge(error.to_string())
            }
            AppendError::Build(error) => Self::BadContent(error.to_string()),
            AppendError::Store(error) => error.into(),
        }
    }
}

impl From<ResolutionError> for WriteError {
    fn from(error: ResolutionError) -> Self {
        match error {
            ResolutionError::Store(error) => error.into(),
            other => Refusal::Rules(other.to_string()).into(),
        }
    }
}

impl From<Unavailable> for WriteError {
    fn from(error: Unavailable) -> Self {
        match error {
            Unavailable::Store(error) => error.into(),
            other => StoreError::Unavailable(other.to_string()).into(),
        }
    }
}

/// Tries until nobody else came first.
pub(crate) async fn attempt<T, F: Future<Output = Result<T, Attempt>>>(
    mut operation: impl FnMut() -> F,
) -> Result<T, WriteError> {
    for _ in 0..ATTEMPTS {
        match operation().await {
            Ok(value) => return Ok(value),
            Err(Attempt::Conflict) => {}
            Err(Attempt::Failed(error)) => return Err(error),
        }
    }
    Err(WriteError::Contended)
}
