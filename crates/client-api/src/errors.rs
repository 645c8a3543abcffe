//! What a client is told when an engine refuses: status and errcode of every error of rooms, directory and sync. Those
//! of accounts are in `gatehouse_http`, which the admin API shares.

use gatehouse_accounts::Unavailable;
use gatehouse_directory::{AliasError, CanonicalAliasError, InvalidAlias, PublicationError};
use gatehouse_federation::FederationError;
use gatehouse_http::ApiError;
use gatehouse_identity_client::IdentityClientError;
use gatehouse_rooms::{
    IdentityServerError, ReadError, Refusal, WriteError, filter::InvalidFilter, remote_servers::RemoteError,
};
use gatehouse_sync::SyncError;
use http::StatusCode;

/// Of changing a room.
pub(crate) fn write(error: WriteError) -> ApiError {
    let message = error.to_string();
    let bad_request = |errcode| ApiError::new(StatusCode::BAD_REQUEST, errcode, message.clone());
    match error {
        WriteError::Refused(_) => ApiError::forbidden(message),
        WriteError::NoSuchRoom | WriteError::NoSuchEvent => ApiError::not_found(message),
        WriteError::Remote(error) => remote(&error),
        WriteError::TargetCannotJoin(_) => bad_request("M_UNSUPPORTED_ROOM_VERSION"),
        WriteError::InviteBlocked(_) => ApiError::new(StatusCode::FORBIDDEN, "M_INVITE_BLOCKED", message),
        WriteError::GuestsForbidden => ApiError::guest_access_forbidden(message),
        WriteError::UnsupportedByVersion(_) | WriteError::UnknownRoomVersion(_) => {
            bad_request("M_UNSUPPORTED_ROOM_VERSION")
        }
        WriteError::UnableToGrantJoin => bad_request("M_UNABLE_TO_GRANT_JOIN"),
        WriteError::BadContent(_) => ApiError::bad_json(message),
        WriteError::InvalidRoomState(_) => bad_request("M_INVALID_ROOM_STATE"),
        WriteError::StillInRoom => ApiError::unknown(message),
        WriteError::TooLarge(_) => ApiError::too_large(message),
        WriteError::Contended | WriteError::MembersMissing => ApiError::unavailable(message),
        WriteError::IdentityServer(error) => identity_server(&error),
        WriteError::Store(error) => error.into(),
    }
}

/// Of asking another homeserver. Its own words never reach a client, and of its errcodes only those that say something
/// about the room (security.md W12).
pub(crate) fn remote(error: &RemoteError) -> ApiError {
    let message = error.to_string();
    let new = |status, errcode| ApiError::new(status, errcode, message.clone());
    match error {
        RemoteError::Unreachable | RemoteError::BadAnswer => new(StatusCode::BAD_GATEWAY, "M_UNKNOWN"),
        RemoteError::IncompatibleVersion(version) => {
            new(StatusCode::BAD_REQUEST, "M_INCOMPATIBLE_ROOM_VERSION").with("room_version", version.clone())
        }
        RemoteError::BadJson => ApiError::bad_json(message),
        RemoteError::Refused { errcode, .. } => match errcode.as_str() {
            "M_NOT_FOUND" => ApiError::not_found(message),
            "M_INCOMPATIBLE_ROOM_VERSION" => new(StatusCode::BAD_REQUEST, "M_INCOMPATIBLE_ROOM_VERSION"),
            "M_UNSUPPORTED_ROOM_VERSION" => new(StatusCode::BAD_REQUEST, "M_UNSUPPORTED_ROOM_VERSION"),
            "M_UNABLE_TO_AUTHORISE_JOIN" => new(StatusCode::BAD_REQUEST, "M_UNABLE_TO_AUTHORISE_JOIN"),
            "M_UNABLE_TO_GRANT_JOIN" => new(StatusCode::BAD_REQUEST, "M_UNABLE_TO_GRANT_JOIN"),
            // What we asked was wrong, or too much: not the client's fault.
            "M_MISSING_PARAM" | "M_INVALID_PARAM" | "M_BAD_JSON" | "M_NOT_JSON" | "M_LIMIT_EXCEEDED" => {
                new(StatusCode::BAD_GATEWAY, "M_UNKNOWN")
            }
            _ => ApiError::forbidden(message),
        },
    }
}

/// Of asking an identity server. Its own words and statuses never reach a client (security.md W12).
pub(crate) fn identity_server(error: &IdentityServerError) -> ApiError {
    let message = error.to_string();
    let new = |status, errcode| ApiError::new(status, errcode, message.clone());
    match error {
        IdentityServerError::NotTrusted(_) => new(StatusCode::FORBIDDEN, "M_SERVER_NOT_TRUSTED"),
        IdentityServerError::TermsNotSigned => new(StatusCode::FORBIDDEN, "M_TERMS_NOT_SIGNED"),
        IdentityServerError::TokenRefused => ApiError::forbidden(message),
        IdentityServerError::CannotSend | IdentityServerError::Refused => {
            new(StatusCode::BAD_REQUEST, "M_UNKNOWN")
        }
        IdentityServerError::TooMany { retry_after_ms } => {
            ApiError::limit_exceeded(retry_after_ms.unwrap_or(RETRY_AFTER_MS))
        }
        IdentityServerError::Unreachable | IdentityServerError::BadAnswer => {
            new(StatusCode::BAD_GATEWAY, "M_UNKNOWN")
        }
        IdentityServerError::Unavailable(detail) => {
            tracing::error!(%detail, "an identity server could not be asked");
            ApiError::unavailable(message)
        }
    }
}

/// Of asking an identity server about an address of one's own.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn identity_client(error: IdentityClientError) -> ApiError {
    let message = error.to_string();
    let new = |status, errcode| ApiError::new(status, errcode, message.clone());
    match error {
        IdentityClientError::NotTrusted(_) => new(StatusCode::FORBIDDEN, "M_SERVER_NOT_TRUSTED"),
        IdentityClientError::TermsNotSigned => new(StatusCode::FORBIDDEN, "M_TERMS_NOT_SIGNED"),
        IdentityClientError::TokenRefused => ApiError::forbidden(message),
        IdentityClientError::NotValidated => new(StatusCode::BAD_REQUEST, "M_SESSION_NOT_VALIDATED"),
        IdentityClientError::Refused | IdentityClientError::CannotSend => {
            new(StatusCode::BAD_REQUEST, "M_UNKNOWN")
        }
        IdentityClientError::TooMany { retry_after_ms } => {
            ApiError::limit_exceeded(retry_after_ms.unwrap_or(RETRY_AFTER_MS))
        }
        IdentityClientError::Unreachable | IdentityClientError::BadAnswer => {
            new(StatusCode::BAD_GATEWAY, "M_UNKNOWN")
        }
        IdentityClientError::TimedOut => new(StatusCode::GATEWAY_TIMEOUT, "M_UNKNOWN"),
        IdentityClientError::Unavailable(_) => ApiError::unavailable(message),
    }
}

/// When to try again with an identity server that does not say.
const RETRY_AFTER_MS: u64 = 60_000;

/// Of changing a room from within: who is not in it is told the same whether it exists or not.
pub(crate) fn write_within(error: WriteError) -> ApiError {
    match error {
        WriteError::NoSuchRoom => write(Refusal::NotInRoom.into()),
        error => write(error),
    }
}

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
        ReadError::MembersMissing => ApiError::unavailable(message),
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

/// Of syncing.
pub(crate) fn sync(error: SyncError) -> ApiError {
    let message = error.to_string();
    match error {
        SyncError::Filter(_) | SyncError::UnknownFilter => ApiError::invalid_param(message),
        SyncError::LoggedOut => ApiError::unknown_token(message).with("soft_logout", false),
        SyncError::NotInRoom => ApiError::forbidden(message),
        SyncError::Rooms(error) => read(error),
        SyncError::Accounts(error) => match error {
            Unavailable::Store(error) => error.into(),
            Unavailable::Contended | Unavailable::Randomness => ApiError::unavailable(message),
        },
        SyncError::Store(error) => error.into(),
    }
}

/// Of a question to another server. What it said of our signature or of itself is nothing for a client (security.md W12).
pub(crate) fn federation(error: &FederationError) -> ApiError {
    let refused = match error {
        FederationError::Refused(refusal) => refusal.status,
        FederationError::Disabled
        | FederationError::NotAllowed
        | FederationError::Unreachable(_)
        | FederationError::BadAnswer => 502,
    };
    match refused {
        404 => ApiError::not_found("The other server knows no such thing."),
        403 => ApiError::forbidden("The other server does not show this to others."),
        _ => ApiError::new(
            StatusCode::BAD_GATEWAY,
            "M_UNKNOWN",
            "The other server cannot be reached, or gave an answer that cannot be used. Try again later."
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w12_what_another_server_answers_never_logs_a_client_out() {
        let codes = [
            "M_UNKNOWN_TOKEN",
            "M_MISSING_TOKEN",
            "M_USER_LOCKED",
            "M_FORBIDDEN",
            "M_NOT_FOUND",
            "M_INVALID_PARAM",
            "M_LIMIT_EXCEEDED",
            "M_UNABLE_TO_GRANT_JOIN",
            "",
            "x",
        ];
        for errcode in codes {
            for status in [400, 401, 403, 404, 429, 502] {
                let refused = RemoteError::Refused {
                    errcode: errcode.to_owned(),
                    error: "<soft_logout>".to_owned(),
                    status,
                };
                let told = write(WriteError::Remote(refused));
                assert!(
                    [400, 403, 404, 502].contains(&told.status().as_u16()),
                    "{errcode}"
                );
                let told = format!("{told:?}");
                assert!(!told.contains("TOKEN") && !told.contains("LOCKED"), "{told}");
                assert!(!told.contains("soft_logout"), "{told}");
            }
        }
    }
}
