//! What clients are told when something of a room or of the directory cannot be shown or changed.

use gatehouse_directory::{AliasError, CanonicalAliasError, InvalidAlias, PublicationError};
use gatehouse_http::ApiError;
use gatehouse_rooms::{ReadError, filter::InvalidFilter};
use http::StatusCode;

/// Of reading rooms.
pub(crate) fn read(error: ReadError) -> ApiError {
    let message = error.to_string();
    match error {
        ReadError::NotInRoom | ReadError::NotVisibleThen => ApiError::forbidden(message),
        ReadError::EventNotFound
        | ReadError::StateNotFound
        | ReadError::NothingNearTimestamp(_)
        | ReadError::RoomNotFound => ApiError::not_found(message),
        ReadError::Token(_) | ReadError::ChangedWhilePaging => ApiError::invalid_param(message),
        ReadError::Store(error) => error.into(),
    }
}

/// Of a `filter` parameter.
pub(crate) fn filter(error: &InvalidFilter) -> ApiError {
    match error {
        InvalidFilter::NotJson => ApiError::not_json(error.to_string()),
        InvalidFilter::NotAFilter(_) => ApiError::bad_json(error.to_string()),
    }
}

/// Of aliases.
pub(crate) fn alias(error: AliasError) -> ApiError {
    let message = error.to_string();
    match error {
        AliasError::Invalid(InvalidAlias::Form | InvalidAlias::OtherServer) => {
            ApiError::invalid_param(message)
        }
        AliasError::NotFound | AliasError::NoSuchRoom => ApiError::not_found(message),
        // The specification's code for this is M_UNKNOWN (setRoomAlias, 409).
        AliasError::InUse => ApiError::new(StatusCode::CONFLICT, "M_UNKNOWN", message),
        AliasError::NotInRoom | AliasError::NotYours => ApiError::forbidden(message),
        AliasError::TooMany => ApiError::new(StatusCode::FORBIDDEN, "M_RESOURCE_LIMIT_EXCEEDED", message),
        AliasError::Busy => ApiError::unavailable(message),
        AliasError::Store(error) => error.into(),
    }
}

/// Of the content of a canonical alias event.
pub(crate) fn canonical_alias(error: CanonicalAliasError) -> ApiError {
    let message = error.to_string();
    match error {
        CanonicalAliasError::NotAnAlias(_) => ApiError::invalid_param(message),
        CanonicalAliasError::ElsewhereOrNowhere(_) => {
            ApiError::new(StatusCode::BAD_REQUEST, "M_BAD_ALIAS", message)
        }
        CanonicalAliasError::Store(error) => error.into(),
    }
}

/// Of the published directory.
pub(crate) fn publication(error: PublicationError) -> ApiError {
    let message = error.to_string();
    match error {
        PublicationError::NoSuchRoom => ApiError::not_found(message),
        PublicationError::NotAllowed | PublicationError::AdministratorsOnly => ApiError::forbidden(message),
        PublicationError::OtherServer => ApiError::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", message),
        PublicationError::Since(_) => ApiError::invalid_param(message),
        PublicationError::Store(error) => error.into(),
    }
}
