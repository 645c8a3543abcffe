//! What a server is told when an engine refuses.

use gatehouse_directory::{AliasError, PublicationError};
use gatehouse_http::ApiError;
use gatehouse_rooms::{PeerError, WriteError};
use http::StatusCode;

/// Of handing in an invitation by address.
pub(crate) fn exchange(error: WriteError) -> ApiError {
    let message = error.to_string();
    match error {
        WriteError::Refused(_)
        | WriteError::InviteBlocked(_)
        | WriteError::GuestsForbidden
        | WriteError::TargetCannotJoin(_) => ApiError::forbidden(message),
        WriteError::NoSuchRoom | WriteError::NoSuchEvent | WriteError::MembersMissing => {
            ApiError::not_found(message)
        }
        WriteError::IdentityServer(_) | WriteError::Remote(_) => {
            ApiError::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", message)
        }
        WriteError::Contended => ApiError::unavailable(message),
        WriteError::Store(error) => error.into(),
        WriteError::BadContent(_)
        | WriteError::UnsupportedByVersion(_)
        | WriteError::UnknownRoomVersion(_)
        | WriteError::UnableToGrantJoin
        | WriteError::InvalidRoomState(_)
        | WriteError::StillInRoom
        | WriteError::TooLarge(_) => ApiError::invalid_param(message),
    }
}

/// Of all else about rooms.
pub(crate) fn peer(error: PeerError) -> ApiError {
    let message = error.to_string();
    let invalid = |errcode| ApiError::new(StatusCode::BAD_REQUEST, errcode, message.clone());
    match error {
        PeerError::NoSuchRoom | PeerError::NoSuchEvent | PeerError::MembersMissing => {
            ApiError::not_found(message)
        }
        PeerError::NotInRoom | PeerError::UserNotYours | PeerError::Refused(_) | PeerError::NotSigned(_) => {
            ApiError::forbidden(message)
        }
        PeerError::InviteBlocked(_) => ApiError::new(StatusCode::FORBIDDEN, "M_INVITE_BLOCKED", message),
        PeerError::IncompatibleRoomVersion(version) => {
            invalid("M_INCOMPATIBLE_ROOM_VERSION").with("room_version", version)
        }
        PeerError::UnableToAuthoriseJoin => invalid("M_UNABLE_TO_AUTHORISE_JOIN"),
        PeerError::UnableToGrantJoin => invalid("M_UNABLE_TO_GRANT_JOIN"),
        PeerError::BadJson(_) => invalid("M_BAD_JSON"),
        PeerError::Invalid(_) => ApiError::invalid_param(message),
        PeerError::Write(error) => exchange(error),
    }
}

/// Of aliases.
pub(crate) fn alias(error: AliasError) -> ApiError {
    let message = error.to_string();
    match error {
        AliasError::NotFound | AliasError::NoSuchRoom => ApiError::not_found(message),
        AliasError::Store(error) => error.into(),
        AliasError::NotInRoom | AliasError::NotYours => ApiError::forbidden(message),
        AliasError::Busy => ApiError::unavailable(message),
        AliasError::Invalid(_) | AliasError::InUse | AliasError::TooMany => ApiError::invalid_param(message),
    }
}

/// Of published rooms.
pub(crate) fn publication(error: PublicationError) -> ApiError {
    let message = error.to_string();
    match error {
        PublicationError::Store(error) => error.into(),
        PublicationError::NoSuchRoom => ApiError::not_found(message),
        PublicationError::NotAllowed | PublicationError::AdministratorsOnly => ApiError::forbidden(message),
        PublicationError::OtherServer | PublicationError::Since(_) => ApiError::invalid_param(message),
    }
}
