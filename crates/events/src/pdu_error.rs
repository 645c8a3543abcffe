//! Why a PDU is refused.

use ruma::signatures::{JsonError, VerificationError};
use thiserror::Error;

use crate::json::JsonInputError;

/// Why a PDU from the network is dropped before anybody asks whether it is allowed. The sentences are for logs and for
/// the server that sent it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PduError {
    /// Larger than [`crate::build::MAX_PDU_BYTES`].
    #[error("the event is too large: it may have 65,536 bytes at most")]
    TooLarge,
    /// Not JSON of an acceptable shape, or with numbers that its room version does not have.
    #[error(transparent)]
    Json(#[from] JsonInputError),
    /// A field is missing, has the wrong type, or is too long. Names the field.
    #[error("the event's {0} is missing or is not as the room version wants it")]
    Field(&'static str),
    /// It is an event of another room.
    #[error("the event is one of another room")]
    WrongRoom,
    /// A server that had to sign it did not.
    #[error("the event is not signed by {0}")]
    Unsigned(String),
    /// The keys of a server that had to sign it could not be had, or were not valid when it did.
    #[error("there is no valid key of {0} to check the event with")]
    NoKey(String),
    /// A signature is wrong.
    #[error("a signature of the event is wrong")]
    Signature,
}

impl From<VerificationError> for PduError {
    fn from(error: VerificationError) -> Self {
        match error {
            VerificationError::NoSignaturesForEntity(server) => Self::Unsigned(server),
            VerificationError::NoPublicKeysForEntity(server)
            | VerificationError::NoSupportedSignatureForEntity(server) => Self::NoKey(server),
            VerificationError::Json(error) => error.into(),
            VerificationError::ParseIdentifier { .. } => Self::Field("ids"),
            _ => Self::Signature,
        }
    }
}

impl From<JsonError> for PduError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::PduTooLarge => Self::TooLarge,
            _ => Self::Field("fields"),
        }
    }
}
