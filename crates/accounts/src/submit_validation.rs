//! Bringing back what was sent to an address.

use gatehouse_mail::Medium;
use gatehouse_store::Batch;
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::{
    Accounts, Purpose, Unavailable,
    access_token::{self, Digest},
    accounts::ATTEMPTS,
    request_validation::{VALIDATION_TOKEN_LIFETIME_MS, ValidationRow},
    tables::VALIDATIONS,
    validation_grammar,
};

/// A token that somebody brings back.
#[derive(Clone, Copy)]
pub struct TokenSubmission<'a> {
    /// The session.
    pub sid: &'a str,
    /// What the client calls it. `None`: somebody followed a link, which suffices for e-mail.
    pub client_secret: Option<&'a str>,
    /// What was sent to the address.
    pub token: &'a str,
}

/// What becomes of somebody who has proven an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// What it was proven for.
    pub purpose: Purpose,
    /// Where to send them, when they came by a link.
    pub next_link: Option<String>,
}

/// Why a token proves nothing.
#[derive(Debug, Error)]
pub enum SubmitValidationError {
    /// A parameter breaks the grammar. `M_INVALID_PARAM`.
    #[error(
        "The sid, the client_secret or the token is not one. Copy the link or the code once more, whole."
    )]
    Invalid,
    /// There is no such session, or the secret is another's. `M_NO_VALID_SESSION`.
    #[error("There is no such session. Ask for a new message.")]
    NoSession,
    /// Session or token are too old, or there were too many wrong tokens. `M_SESSION_EXPIRED`.
    #[error("This link or code is no longer in force. Ask for a new one.")]
    Expired,
    /// It is not the token. `M_TOKEN_INCORRECT`.
    #[error("This is not the right token. Look at the latest message and try again.")]
    WrongToken,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl ValidationRow {
    /// When this token was sent, if it is one in force. All are compared, whole, so that the time says nothing.
    fn issued_ms(&self, token: &Digest) -> Option<u64> {
        self.tokens.iter().fold(None, |found, issued| {
            if bool::from(issued.token.ct_eq(token)) {
                Some(issued.made_ms)
            } else {
                found
            }
        })
    }

    /// Whether whoever brings this may bring a token: codes are short, and need the secret beside them.
    fn admits(&self, client_secret: Option<&str>) -> bool {
        match client_secret {
            Some(secret) => self.client_secret.ct_eq(&access_token::digest(secret)).into(),
            None => self.threepid.medium() == Medium::Email,
        }
    }
}

impl Accounts {
    /// Proves the address of a session. A link that is followed twice is right twice.
    pub async fn submit_validation(
        &self,
        submission: &TokenSubmission<'_>,
    ) -> Result<Submitted, SubmitValidationError> {
        let &TokenSubmission {
            sid,
            client_secret,
            token,
        } = submission;
        let is_secret = client_secret.is_none_or(validation_grammar::is_opaque_id);
        if !validation_grammar::is_opaque_id(sid) || !is_secret || !validation_grammar::is_token(token) {
            return Err(SubmitValidationError::Invalid);
        }
        let key = (sid.to_owned(),);
        let token = access_token::digest(token);
        for _ in 0..ATTEMPTS {
            let row = self.get(&VALIDATIONS, &key).await?;
            let row = row
                .filter(|row| row.admits(client_secret))
                .ok_or(SubmitValidationError::NoSession)?;
            let now_ms = self.now_ms();
            if row.is_over(now_ms) || row.is_dead() {
                return Err(SubmitValidationError::Expired);
            }
            let mut changed = row.clone();
            let outcome = match row.issued_ms(&token) {
                Some(made_ms) if now_ms >= made_ms.saturating_add(VALIDATION_TOKEN_LIFETIME_MS) => {
                    return Err(SubmitValidationError::Expired);
                }
                Some(_) => {
                    let submitted = Submitted {
                        purpose: row.purpose,
                        next_link: row.next_link.clone(),
                    };
                    if row.validated_ms.is_some() {
                        return Ok(submitted);
                    }
                    changed.validated_ms = Some(now_ms);
                    Ok(submitted)
                }
                None => {
                    // Counted before it is refused: of many guesses at once, only so many are answered.
                    changed.tries = row.tries.saturating_add(1);
                    Err(SubmitValidationError::WrongToken)
                }
            };
            let mut batch = Batch::new();
            batch.expect(&VALIDATIONS, &key, Some(&row));
            batch.put(&VALIDATIONS, &key, &changed);
            if self.commit(batch).await?.is_some() {
                return outcome;
            }
        }
        Err(Unavailable::Contended.into())
    }
}
