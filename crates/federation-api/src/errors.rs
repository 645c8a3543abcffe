//! What a server is told when an engine refuses.

use gatehouse_http::ApiError;
use gatehouse_rooms::WriteError;
use http::StatusCode;

/// Of handing in an invitation by address.
pub(crate) fn exchange(error: WriteError) -> ApiError {
    let message = error.to_string();
    match error {
        WriteError::Refused(_) | WriteError::InviteBlocked(_) | WriteError::GuestsForbidden => {
            ApiError::forbidden(message)
        }
        WriteError::NoSuchRoom | WriteError::NoSuchEvent => ApiError::not_found(message),
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
