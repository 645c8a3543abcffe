//! What a client is told when it cannot be told what happened.

use gatehouse_accounts::Unavailable;
use gatehouse_http::ApiError;
use gatehouse_rooms::ReadError;
use gatehouse_sync::SyncError;

/// The response for an error of `gatehouse_sync`.
pub(crate) fn sync_error(error: SyncError) -> ApiError {
    let message = error.to_string();
    match error {
        SyncError::Filter(_) | SyncError::UnknownFilter => ApiError::invalid_param(message),
        SyncError::LoggedOut => ApiError::unknown_token(message).with("soft_logout", false),
        SyncError::NotInRoom => ApiError::forbidden(message),
        SyncError::Rooms(error) => match error {
            ReadError::NotInRoom | ReadError::NotVisibleThen => ApiError::forbidden(message),
            ReadError::EventNotFound
            | ReadError::StateNotFound
            | ReadError::NothingNearTimestamp(_)
            | ReadError::RoomNotFound => ApiError::not_found(message),
            ReadError::Token(_) | ReadError::ChangedWhilePaging => ApiError::invalid_param(message),
            ReadError::Store(error) => error.into(),
        },
        SyncError::Accounts(error) => match error {
            Unavailable::Store(error) => error.into(),
            Unavailable::Contended | Unavailable::Randomness => ApiError::unavailable(message),
        },
        SyncError::Store(error) => error.into(),
    }
}
