//! Why another server does not get what it asks for.

use gatehouse_events::PduError;
use gatehouse_store::StoreError;
use ruma::OwnedUserId;
use thiserror::Error;

use crate::{
    receive::check::PduRefusal,
    write_error::{Refusal, WriteError},
};

/// Why another server does not get what it asks for. The sentences are for whoever runs that server.
#[derive(Debug, Clone, Error)]
pub enum PeerError {
    /// There is no such room, or no user of this server is in it.
    #[error("This server is in no such room.")]
    NoSuchRoom,
    /// We have joined the room, and do not know all of its members yet.
    #[error("This server has just joined the room and is still fetching it. Ask another one.")]
    MembersMissing,
    /// There is no such event in this room, or the other server may not see it.
    #[error("This room has no such event.")]
    NoSuchEvent,
    /// The other server is not in the room, or the room's server ACL keeps it out.
    #[error("Your server is not in this room.")]
    NotInRoom,
    /// The server asks for a user of another.
    #[error("The user is not one of your server's.")]
    UserNotYours,
    /// The room, or the user who is invited, does not want it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The one who is meant takes no invites.
    #[error("{0} does not want to be invited to rooms.")]
    InviteBlocked(OwnedUserId),
    /// One of the two servers does not know the room's version.
    #[error("The room is of version {0}, which not both of the servers know.")]
    IncompatibleRoomVersion(String),
    /// This server cannot tell whether the room lets the user in.
    #[error("This server does not know the rooms whose members may join. Ask another one.")]
    UnableToAuthoriseJoin,
    /// No user of this server may let the user in.
    #[error("The user may join, but nobody on this server may let them in. Ask another one.")]
    UnableToGrantJoin,
    /// The event lacks a signature that counts.
    #[error("{0}")]
    NotSigned(String),
    /// What the server sent is no JSON that an event may be.
    #[error("{0}")]
    BadJson(String),
    /// What the server sent is wrong; the text says what.
    #[error("{0}")]
    Invalid(String),
    /// It could not be done.
    #[error(transparent)]
    Write(WriteError),
}

impl PeerError {
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid(what.into())
    }
}

impl From<WriteError> for PeerError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(refusal) => Self::Refused(refusal),
            WriteError::NoSuchRoom => Self::NoSuchRoom,
            WriteError::NoSuchEvent => Self::NoSuchEvent,
            WriteError::MembersMissing => Self::MembersMissing,
            WriteError::InviteBlocked(user) => Self::InviteBlocked(user),
            WriteError::UnableToGrantJoin => Self::UnableToGrantJoin,
            WriteError::UnsupportedByVersion(_) => Self::Refused(Refusal::KnockNotAllowed),
            WriteError::BadContent(text) | WriteError::TooLarge(text) => Self::Invalid(text),
            other => Self::Write(other),
        }
    }
}

impl From<PduError> for PeerError {
    fn from(error: PduError) -> Self {
        match error {
            PduError::Json(error) => Self::BadJson(error.to_string()),
            error @ (PduError::Unsigned(_)
            | PduError::NoKey(_)
            | PduError::Signature
            | PduError::Field("signatures")) => Self::NotSigned(error.to_string()),
            error @ (PduError::TooLarge | PduError::Field(_) | PduError::WrongRoom) => {
                Self::Invalid(error.to_string())
            }
        }
    }
}

impl From<PduRefusal> for PeerError {
    fn from(refusal: PduRefusal) -> Self {
        refusal.error.into()
    }
}

impl From<StoreError> for PeerError {
    fn from(error: StoreError) -> Self {
        Self::Write(error.into())
    }
}
