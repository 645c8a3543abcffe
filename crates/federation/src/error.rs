//! Why another homeserver was of no help.

use gatehouse_outbound::OutboundError;
use thiserror::Error;

/// Why another homeserver was of no help.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FederationError {
    /// This server talks to no other.
    #[error("this server does not talk to other servers")]
    Disabled,
    /// The operator does not let us talk to it.
    #[error("`[federation]` allow_servers and deny_servers do not let us talk to this server")]
    NotAllowed,
    /// It is not there, or may not be asked.
    #[error("the server cannot be reached: {0}")]
    Unreachable(OutboundError),
    /// It says no.
    #[error("the server refuses, with status {0}")]
    Refused(ServerRefusal),
    /// It answers what it should not.
    #[error("the server's answer is not what the specification says")]
    BadAnswer,
}

/// A refusal, in the words of whoever refuses: they may say anything.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{status}{}{errcode}", if errcode.is_empty() { "" } else { " " })]
pub struct ServerRefusal {
    /// Its status.
    pub status: u16,
    /// Its errcode, when it is a word; else empty.
    pub errcode: String,
    /// Its sentence, without what could disturb a log.
    pub error: String,
    /// The room's version, when that is what it does not like.
    pub room_version: Option<String>,
    /// After how many seconds it wants to be asked again, when it says so.
    pub retry_after_s: Option<u64>,
}

impl FederationError {
    /// Whether asking again later may help.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(refusal) => matches!(refusal.status, 408 | 429 | 500..),
            Self::Disabled | Self::NotAllowed | Self::BadAnswer => false,
        }
    }

    /// Whether the server does not know the operation. What servers answer then differs.
    pub(crate) fn is_unknown_operation(&self) -> bool {
        let Self::Refused(refusal) = self else {
            return false;
        };
        // Without an errcode it is no Matrix server that speaks, but what stands before one.
        matches!(
            (refusal.status, refusal.errcode.as_str()),
            (400 | 404 | 405, "M_UNRECOGNIZED") | (404 | 405, "")
        )
    }
}

impl From<OutboundError> for FederationError {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::NotJson => Self::BadAnswer,
            error => Self::Unreachable(error),
        }
    }
}

/// Why a request is not known to be from the server that it names. `M_UNAUTHORIZED` or `M_FORBIDDEN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// Nothing that could be checked.
    #[error(
        "The request needs an `Authorization` header of the kind X-Matrix, with origin, destination, key and sig."
    )]
    Missing,
    /// It is for another server.
    #[error("The request is signed for another server.")]
    OtherDestination,
    /// The operator does not let it talk to us.
    #[error("This server does not talk to yours.")]
    NotAllowed,
    /// No such key, or it has expired.
    #[error("The key that signed the request is not one of its server's.")]
    UnknownKey,
    /// The signature is wrong.
    #[error("The request's signature is wrong.")]
    WrongSignature,
    /// The server's keys cannot be had.
    #[error("The keys of the server that signed the request cannot be fetched; try again later.")]
    NoKeys,
}
