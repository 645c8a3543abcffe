//! Who takes a message to where it is to go.

use futures_util::future::BoxFuture;
use thiserror::Error;

use crate::Threepid;

/// A message, ready to be sent. Its `Debug` shows nothing of it.
pub struct Message {
    /// To whom.
    pub to: Threepid,
    /// Names the message, the same on every try.
    pub id: String,
    /// When it was asked for, in milliseconds since 1970.
    pub written_ms: u64,
    /// One line. Empty for text messages.
    pub subject: String,
    /// What it says.
    pub text: String,
    /// What it says, in HTML. Empty for text messages.
    pub html: String,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why a message was not taken. The reasons are in our words: what a mail server says may hold the address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeliveryError {
    /// It may be taken later.
    #[error("not now: {0}")]
    Later(&'static str),
    /// It will never be taken.
    #[error("refused: {0}")]
    Never(&'static str),
}

/// Takes messages of one medium.
pub trait Carrier: Send + Sync + 'static {
    /// When this resolves to `Ok`, the other side has the message.
    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>>;
}
