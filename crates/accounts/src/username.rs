//! The grammar of localparts.

use ruma::{OwnedUserId, UserId};
use thiserror::Error;

use crate::Accounts;

/// Why a username cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UsernameError {
    /// It has characters that new user ids may not have, or is empty or too long.
    #[error(
        "A username may have the letters a to z, digits and . _ = - / + only, and the whole user ID at most 255 bytes."
    )]
    Invalid,
}

impl Accounts {
    /// The user id for a username that somebody wants to register: a localpart, lower-cased first, in today's
    /// grammar. A full user id of this server is taken as its localpart.
    pub fn new_user_id(&self, username: &str) -> Result<OwnedUserId, UsernameError> {
        let localpart = username.to_lowercase();
        let localpart = match localpart.strip_prefix('@').and_then(|rest| rest.split_once(':')) {
            Some((own, server)) if server == self.server_name().as_str() => own,
            _ => localpart.as_str(),
        };
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || matches!(byte, b'.' | b'_' | b'=' | b'-' | b'/' | b'+')
        };
        if localpart.is_empty() || !localpart.bytes().all(allowed) {
            return Err(UsernameError::Invalid);
        }
        self.local_user_id(localpart).ok_or(UsernameError::Invalid)
    }

    /// The user that a person means who types a localpart or a full user id to log in; `None` when it cannot be a
    /// user of this server. Ids of the historical grammar are accepted.
    pub fn named_user(&self, name: &str) -> Option<OwnedUserId> {
        if name.starts_with('@') {
            let user_id = UserId::parse(name).ok()?;
            return self.is_local(&user_id).then_some(user_id);
        }
        self.local_user_id(name)
    }
}
