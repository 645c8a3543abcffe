//! Registration tokens: what an administrator hands to those who may register.

use gatehouse_store::{Batch, Range, json_value};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Accounts, Unavailable, accounts::ATTEMPTS, random, tables::REGISTRATION_TOKENS};

/// The longest token, in characters (specification).
pub const MAX_REGISTRATION_TOKEN_CHARS: usize = 64;

const DEFAULT_CHARS: usize = 16;

/// What a new registration token is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewToken {
    /// So.
    Named(String),
    /// Something that nobody can guess, of this many characters.
    Random {
        /// From 1 to [`MAX_REGISTRATION_TOKEN_CHARS`].
        chars: usize,
    },
}

impl Default for NewToken {
    fn default() -> Self {
        Self::Random { chars: DEFAULT_CHARS }
    }
}

/// What is stored of a registration token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RegistrationTokenRow {
    pub(crate) uses_allowed: Option<u64>,
    /// Registrations that have shown it and are not finished.
    pub(crate) pending: u64,
    pub(crate) completed: u64,
    pub(crate) expires_ms: Option<u64>,
}
json_value!(RegistrationTokenRow);

/// A registration token, as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationToken {
    /// The token itself.
    pub token: String,
    /// How many may register with it; `None`: any number.
    pub uses_allowed: Option<u64>,
    /// Registrations under way with it.
    pub pending: u64,
    /// How many have registered with it.
    pub completed: u64,
    /// When it expires, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
}

/// What a new token shall be, or what is to change of one.
#[derive(Debug, Clone, Default)]
pub struct RegistrationTokenTerms {
    /// See [`RegistrationToken::uses_allowed`].
    pub uses_allowed: Option<u64>,
    /// See [`RegistrationToken::expires_ms`].
    pub expires_ms: Option<u64>,
}

/// Why nothing was done to a registration token.
#[derive(Debug, Clone, Error)]
pub enum RegistrationTokenError {
    /// It breaks the grammar.
    #[error("A registration token has 1 to 64 letters, digits or . _ ~ - characters.")]
    Invalid,
    /// The expiry lies in the past.
    #[error("The time of expiry must lie in the future.")]
    ExpiryInThePast,
    /// There is one like this.
    #[error("There is such a registration token already.")]
    Exists,
    /// There is none like this.
    #[error("There is no such registration token.")]
    NotFound,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl RegistrationTokenRow {
    pub(crate) fn is_usable(&self, now_ms: u64) -> bool {
        self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
            && self
                .uses_allowed
                .is_none_or(|allowed| self.pending.saturating_add(self.completed) < allowed)
    }

    fn describe(self, token: String) -> RegistrationToken {
        RegistrationToken {
            token,
            uses_allowed: self.uses_allowed,
            pending: self.pending,
            completed: self.completed,
            expires_ms: self.expires_ms,
        }
    }
}

impl Accounts {
    /// Makes a registration token; a random one unless given.
    pub async fn create_registration_token(
        &self,
        token: NewToken,
        terms: &RegistrationTokenTerms,
    ) -> Result<RegistrationToken, RegistrationTokenError> {
        let token = match token {
            NewToken::Named(token) if is_valid(&token) => token,
            NewToken::Random { chars } if (1..=MAX_REGISTRATION_TOKEN_CHARS).contains(&chars) => {
                random::base62(chars).map_err(Unavailable::from)?
            }
            NewToken::Named(_) | NewToken::Random { .. } => return Err(RegistrationTokenError::Invalid),
        };
        self.check_expiry(terms)?;
        let row = RegistrationTokenRow {
            uses_allowed: terms.uses_allowed,
            pending: 0,
            completed: 0,
            expires_ms: terms.expires_ms,
        };
        let key = (token.clone(),);
        let mut batch = Batch::new();
        batch.expect(&REGISTRATION_TOKENS, &key, None);
        batch.put(&REGISTRATION_TOKENS, &key, &row);
        match self.commit(batch).await? {
            Some(_) => Ok(row.describe(token)),
            None => Err(RegistrationTokenError::Exists),
        }
    }

    /// All registration tokens, by name.
    pub async fn registration_tokens(&self) -> Result<Vec<RegistrationToken>, Unavailable> {
        let rows = self.scan(&REGISTRATION_TOKENS, &Range::all(), usize::MAX).await?;
        Ok(rows
            .into_iter()
            .map(|((token,), row)| row.describe(token))
            .collect())
    }

    /// One registration token.
    pub async fn registration_token(&self, token: &str) -> Result<RegistrationToken, RegistrationTokenError> {
        let row = self.get(&REGISTRATION_TOKENS, &(token.to_owned(),)).await?;
        let row = row.ok_or(RegistrationTokenError::NotFound)?;
        Ok(row.describe(token.to_owned()))
    }

    /// Changes the terms of a registration token.
    pub async fn change_registration_token(
        &self,
        token: &str,
        change: impl Fn(&mut RegistrationTokenTerms),
    ) -> Result<RegistrationToken, RegistrationTokenError> {
        let key = (token.to_owned(),);
        for _ in 0..ATTEMPTS {
            let row = self.get(&REGISTRATION_TOKENS, &key).await?;
            let row = row.ok_or(RegistrationTokenError::NotFound)?;
            let mut terms = RegistrationTokenTerms {
                uses_allowed: row.uses_allowed,
                expires_ms: row.expires_ms,
            };
            change(&mut terms);
            if terms.expires_ms != row.expires_ms {
                self.check_expiry(&terms)?;
            }
            let changed = RegistrationTokenRow {
                uses_allowed: terms.uses_allowed,
                expires_ms: terms.expires_ms,
                ..row
            };
            let mut batch = Batch::new();
            batch.expect(&REGISTRATION_TOKENS, &key, Some(&row));
            batch.put(&REGISTRATION_TOKENS, &key, &changed);
            if self.commit(batch).await?.is_some() {
                return Ok(changed.describe(token.to_owned()));
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// Deletes a registration token. Those who registered with it stay.
    pub async fn delete_registration_token(&self, token: &str) -> Result<(), RegistrationTokenError> {
        self.registration_token(token).await?;
        let mut batch = Batch::new();
        batch.delete(&REGISTRATION_TOKENS, &(token.to_owned(),));
        self.commit(batch).await?;
        Ok(())
    }

    /// Whether somebody could register with it now.
    pub async fn is_registration_token_usable(&self, token: &str) -> Result<bool, Unavailable> {
        if !is_valid(token) {
            return Ok(false);
        }
        let row = self.get(&REGISTRATION_TOKENS, &(token.to_owned(),)).await?;
        Ok(row.is_some_and(|row| row.is_usable(self.now_ms())))
    }

    /// Adds to the batch that somebody has registered with the token; `false` when it cannot be used any more.
    pub(crate) async fn put_token_use(&self, batch: &mut Batch, token: &str) -> Result<bool, Unavailable> {
        let key = (token.to_owned(),);
        let Some(row) = self.get(&REGISTRATION_TOKENS, &key).await? else {
            return Ok(false);
        };
        if !row.is_usable(self.now_ms()) {
            return Ok(false);
        }
        let used = RegistrationTokenRow {
            completed: row.completed.saturating_add(1),
            ..row.clone()
        };
        batch.expect(&REGISTRATION_TOKENS, &key, Some(&row));
        batch.put(&REGISTRATION_TOKENS, &key, &used);
        Ok(true)
    }

    fn check_expiry(&self, terms: &RegistrationTokenTerms) -> Result<(), RegistrationTokenError> {
        if terms
            .expires_ms
            .is_some_and(|expires_ms| expires_ms <= self.now_ms())
        {
            return Err(RegistrationTokenError::ExpiryInThePast);
        }
        Ok(())
    }
}

fn is_valid(token: &str) -> bool {
    (1..=MAX_REGISTRATION_TOKEN_CHARS).contains(&token.len())
        && token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-'))
}
