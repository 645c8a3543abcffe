//! What a client is told when the engine refuses: status and errcode of every error.

use gatehouse_http::ApiError;
use gatehouse_identity::{
    AuthError, BindError, HomeserverError, LookupError, RegisterError, RequestTokenError, SignError,
    StoreInviteError, SubmitTokenError, Unavailable, UnbindError, ValidatedError, lookup::SHA256,
};
use gatehouse_mail::{CannotSend, InvalidThreepid};
use http::StatusCode;

fn bad_request(errcode: &'static str, message: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, errcode, message)
}

/// Nothing is wrong with the request.
pub(crate) fn unavailable(error: Unavailable) -> ApiError {
    let message = error.to_string();
    match error {
        Unavailable::Store(error) => error.into(),
        Unavailable::Contended | Unavailable::Randomness => ApiError::unavailable(message),
        Unavailable::Damaged(what) => {
            tracing::error!(what, "a stored row cannot be used");
            ApiError::internal("The server's storage is damaged. Tell its administrator.")
        }
    }
}

/// The user has to agree to something first.
pub(crate) fn terms_not_signed() -> ApiError {
    let message = "Agree to the terms of this identity server first. They are at `/terms`.";
    ApiError::new(StatusCode::FORBIDDEN, "M_TERMS_NOT_SIGNED", message)
}

/// Of access tokens.
pub(crate) fn auth(error: AuthError) -> ApiError {
    match error {
        AuthError::UnknownToken => ApiError::unknown_token(error.to_string()),
        AuthError::Unavailable(error) => unavailable(error),
    }
}

/// Of `/account/register`.
pub(crate) fn register(error: RegisterError) -> ApiError {
    let message = error.to_string();
    match error {
        RegisterError::InvalidServerName | RegisterError::InvalidToken => ApiError::invalid_param(message),
        RegisterError::NotConfirmed => ApiError::new(StatusCode::UNAUTHORIZED, "M_UNAUTHORIZED", message),
        RegisterError::HomeserverUnreachable => ApiError::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", message),
        RegisterError::Unavailable(error) => unavailable(error),
    }
}

/// Of JSON that does not have the fields that it should have.
#[expect(clippy::needless_pass_by_value, reason = "as `map_err` passes it")]
pub(crate) fn body(error: serde_json::Error) -> ApiError {
    if error.is_data() {
        let message = "The body must have `algorithm` and `pepper`, which are strings, and `addresses`, a list of them.";
        return ApiError::bad_json(message);
    }
    ApiError::not_json("The body is not JSON.")
}

/// Of lookups.
pub(crate) fn lookup(error: LookupError) -> ApiError {
    let message = error.to_string();
    match error {
        LookupError::UnknownAlgorithm => ApiError::invalid_param(message),
        LookupError::InvalidPepper { lookup_pepper } => bad_request("M_INVALID_PEPPER", message)
            .with("algorithm", SHA256)
            .with("lookup_pepper", lookup_pepper),
        LookupError::TooManyAddresses { .. } => ApiError::too_large(message),
        LookupError::OverBudget { retry_after_ms } => ApiError::limit_exceeded(retry_after_ms),
        LookupError::Unavailable(error) => unavailable(error),
    }
}

/// Of addresses.
pub(crate) fn threepid(error: InvalidThreepid) -> ApiError {
    let message = error.to_string();
    match error {
        InvalidThreepid::Medium => ApiError::invalid_param(message),
        InvalidThreepid::Email => bad_request("M_INVALID_EMAIL", message),
        InvalidThreepid::Phone => bad_request("M_INVALID_ADDRESS", message),
    }
}

/// Of a medium that nothing can be sent by.
pub(crate) fn unsupported_medium() -> ApiError {
    let message = "This server cannot write to such addresses. The medium must be `email`.".to_owned();
    bad_request("M_UNRECOGNIZED", message)
}

fn cannot_send(error: &CannotSend) -> ApiError {
    let errcode = match error {
        CannotSend::NoSms => "M_SEND_ERROR",
        CannotSend::NoEmail | CannotSend::Unwritable => "M_EMAIL_SEND_ERROR",
    };
    bad_request(errcode, error.to_string())
}

/// Of asking for a token.
pub(crate) fn request_token(error: RequestTokenError) -> ApiError {
    let message = error.to_string();
    match error {
        RequestTokenError::InvalidClientSecret
        | RequestTokenError::NextLinkNotAllowed
        | RequestTokenError::SecretInUse => ApiError::invalid_param(message),
        RequestTokenError::TooMany { retry_after_ms } => {
            ApiError::limit_exceeded(retry_after_ms).saying(message)
        }
        RequestTokenError::CannotSend(error) => cannot_send(&error),
        RequestTokenError::Unavailable(error) => unavailable(error),
    }
}

/// Of bringing a token.
pub(crate) fn submit_token(error: SubmitTokenError) -> ApiError {
    let message = error.to_string();
    match error {
        SubmitTokenError::Invalid => ApiError::invalid_param(message),
        SubmitTokenError::NoSession => ApiError::new(StatusCode::NOT_FOUND, "M_NO_VALID_SESSION", message),
        SubmitTokenError::Expired => bad_request("M_SESSION_EXPIRED", message),
        SubmitTokenError::WrongToken => bad_request("M_TOKEN_INCORRECT", message),
        SubmitTokenError::Unavailable(error) => unavailable(error),
    }
}

/// Of sessions.
pub(crate) fn validated(error: ValidatedError) -> ApiError {
    let message = error.to_string();
    match error {
        ValidatedError::Invalid => ApiError::invalid_param(message),
        ValidatedError::NoSession => ApiError::new(StatusCode::NOT_FOUND, "M_NO_VALID_SESSION", message),
        ValidatedError::Expired => bad_request("M_SESSION_EXPIRED", message),
        ValidatedError::NotValidated => bad_request("M_SESSION_NOT_VALIDATED", message),
        ValidatedError::Unavailable(error) => unavailable(error),
    }
}

/// Of binding.
pub(crate) fn bind(error: BindError) -> ApiError {
    let message = error.to_string();
    match error {
        BindError::Session(error) => validated(error),
        BindError::NotYours | BindError::Used => ApiError::forbidden(message),
        BindError::Unavailable(error) => unavailable(error),
    }
}

/// Of taking back.
pub(crate) fn unbind(error: UnbindError) -> ApiError {
    let message = error.to_string();
    match error {
        UnbindError::Session(error) => validated(error),
        UnbindError::OtherAddress | UnbindError::NotTheirUser => ApiError::forbidden(message),
        UnbindError::Homeserver(HomeserverError::Never(reason)) => {
            tracing::info!(reason, "an unbind request was not signed well");
            ApiError::forbidden("The homeserver's signature of this request is not valid.")
        }
        UnbindError::Homeserver(HomeserverError::Later(reason)) => {
            tracing::info!(reason, "the signature of an unbind request cannot be checked");
            let message = "The homeserver's keys cannot be had to check this request. Try again later.";
            ApiError::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", message)
        }
        UnbindError::Unavailable(error) => unavailable(error),
    }
}

/// Of signing.
pub(crate) fn sign(error: SignError) -> ApiError {
    let message = error.to_string();
    match error {
        SignError::NoInvitation => ApiError::unrecognized(message),
        SignError::Used => ApiError::forbidden(message),
        SignError::Unavailable(error) => unavailable(error),
    }
}

/// Of storing invitations.
pub(crate) fn store_invite(error: StoreInviteError) -> ApiError {
    let message = error.to_string();
    match error {
        StoreInviteError::InUse { mxid } => {
            bad_request("M_THREEPID_IN_USE", message).with("mxid", mxid.as_str())
        }
        StoreInviteError::UnsupportedMedium => unsupported_medium(),
        StoreInviteError::TooMany { retry_after_ms } => {
            ApiError::limit_exceeded(retry_after_ms).saying(message)
        }
        StoreInviteError::TooManyWaiting => {
            ApiError::new(StatusCode::FORBIDDEN, "M_RESOURCE_LIMIT_EXCEEDED", message)
        }
        StoreInviteError::CannotSend(error) => cannot_send(&error),
        StoreInviteError::Unavailable(error) => unavailable(error),
    }
}
