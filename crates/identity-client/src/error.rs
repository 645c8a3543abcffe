//! Why an identity server was of no help, in words that a person can act on.

use gatehouse_accounts::Unavailable;
use gatehouse_store::StoreError;
use thiserror::Error;

use crate::calls::CallError;

/// Why an identity server was of no help.
#[derive(Debug, Error)]
pub enum IdentityClientError {
    /// It is not one of those that users may name, or its address is not allowed. 403 `M_SERVER_NOT_TRUSTED`.
    #[error(
        "This server does not work with the identity server `{0}`. Choose another in your client's settings."
    )]
    NotTrusted(String),
    /// The user has to agree to its terms first. 403 `M_TERMS_NOT_SIGNED`.
    #[error(
        "The identity server has terms that you have not agreed to. Agree to them in your client's settings first."
    )]
    TermsNotSigned,
    /// It does not take the token that the client gave. 403 `M_FORBIDDEN`: a 401 would log the client out.
    #[error(
        "The identity server does not accept the `id_access_token`. Log in to the identity server again."
    )]
    TokenRefused,
    /// It refuses. 400 `M_UNKNOWN`.
    #[error("The identity server refuses the request.")]
    Refused,
    /// It does not know the validation session, or the address is not proven. 400 `M_SESSION_NOT_VALIDATED`.
    #[error(
        "The identity server says that this address is not proven yet. Follow the link or enter the code that it sent."
    )]
    NotValidated,
    /// It has no way to write to such addresses. 400 `M_UNKNOWN`.
    #[error("This server cannot write to such addresses. Invite by user id, or ask its administrators.")]
    CannotSend,
    /// It is asked too often. 429.
    #[error("The identity server is asked too often; try again later.")]
    TooMany {
        /// When to try again, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// It does not answer. 502 `M_UNKNOWN`.
    #[error("The identity server does not answer; try again later.")]
    Unreachable,
    /// It takes too long. 504 `M_UNKNOWN`.
    #[error("The identity server takes too long to answer; try again later.")]
    TimedOut,
    /// What it says makes no sense. 502 `M_UNKNOWN`.
    #[error("The identity server's answer makes no sense. Tell its administrators, or choose another.")]
    BadAnswer,
    /// This server cannot.
    #[error("The server cannot do this now; try again later.")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl IdentityClientError {
    /// What a failed call means to whoever asked for it.
    pub(crate) fn of(error: &CallError, server: &str) -> Self {
        match *error {
            CallError::Denied => Self::NotTrusted(server.to_owned()),
            CallError::Unreachable => Self::Unreachable,
            CallError::TimedOut => Self::TimedOut,
            CallError::BadAnswer | CallError::NotThere | CallError::InvalidPepper => Self::BadAnswer,
            CallError::Unauthorized => Self::TokenRefused,
            CallError::TermsNotSigned => Self::TermsNotSigned,
            CallError::TooMany { retry_after_ms } => Self::TooMany { retry_after_ms },
            CallError::InUse(_) | CallError::Refused { .. } => Self::Refused,
        }
    }
}

impl From<StoreError> for IdentityClientError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl From<Unavailable> for IdentityClientError {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(Box::new(error))
    }
}
