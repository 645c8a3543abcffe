//! What a client is told when a room does not change.

use gatehouse_http::ApiError;
use gatehouse_rooms::{Refusal, WriteError, remote_servers::RemoteError};
use http::StatusCode;

/// Of changing a room.
pub(crate) fn write(error: WriteError) -> ApiError {
    let message = error.to_string();
    let bad_request = |errcode| ApiError::new(StatusCode::BAD_REQUEST, errcode, message.clone());
    match error {
        WriteError::Refused(_) => ApiError::forbidden(message),
        WriteError::NoSuchRoom | WriteError::NoSuchEvent | WriteError::Remote(RemoteError::Unreachable) => {
            ApiError::not_found(message)
        }
        WriteError::GuestsForbidden => ApiError::guest_access_forbidden(message),
        WriteError::UnsupportedByVersion(_) | WriteError::UnknownRoomVersion(_) => {
            bad_request("M_UNSUPPORTED_ROOM_VERSION")
        }
        WriteError::UnableToGrantJoin => bad_request("M_UNABLE_TO_GRANT_JOIN"),
        WriteError::BadContent(_) => ApiError::bad_json(message),
        WriteError::InvalidRoomState(_) => bad_request("M_INVALID_ROOM_STATE"),
        WriteError::StillInRoom => ApiError::unknown(message),
        WriteError::TooLarge(_) => ApiError::too_large(message),
        WriteError::Contended => ApiError::unavailable(message),
        WriteError::Store(error) => error.into(),
    }
}

/// Of changing a room from within: who is not in it is told the same whether it exists or not.
pub(crate) fn write_within(error: WriteError) -> ApiError {
    match error {
        WriteError::NoSuchRoom => write(Refusal::NotInRoom.into()),
        error => write(error),
    }
}
