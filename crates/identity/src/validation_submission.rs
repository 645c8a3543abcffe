//! Bringing a token back, and what a session proves after that.

use gatehouse_mail::{Medium, Threepid};
use gatehouse_store::Batch;
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::{
    Identity, Unavailable,
    digest::{Digest, digest},
    identity::ATTEMPTS,
    session_grammar,
    tables::VALIDATION_SESSIONS,
    validation::{SessionRow, TOKEN_LIFETIME_MS},
};

/// A token that somebody brings back.
#[derive(Clone, Copy)]
pub struct TokenSubmission<'a> {
    /// Where it is brought to: each medium has an endpoint of its own.
    pub medium: Medium,
    /// The session.
    pub sid: &'a str,
    /// What the client calls it.
    pub client_secret: &'a str,
    /// What was sent to the address.
    pub token: &'a str,
}

/// What becomes of somebody who has proven an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// Where to send them, when they came by a link.
    pub next_link: Option<String>,
}

/// Why a token proves nothing.
#[derive(Debug, Error)]
pub enum SubmitTokenError {
    /// A parameter breaks the grammar.
    #[error(
        "The sid, the client_secret or the token is not one. Copy the link or the code once more, whole."
    )]
    Invalid,
    /// There is no such session, or the secret is another's.
    #[error("There is no such session. Ask for a new message.")]
    NoSession,
    /// The session or the token is too old, or there were too many wrong tokens.
    #[error("This link or code is no longer in force. Ask for a new one.")]
    Expired,
    /// It is not the token, or it has served.
    #[error("This is not the right token. Look at the latest message and try again.")]
    WrongToken,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// An address that was proven.
#[derive(Clone)]
pub struct Validated {
    /// The address.
    pub threepid: Threepid,
    /// When.
    pub validated_ms: u64,
}

/// Why a session proves nothing.
#[derive(Debug, Error)]
pub enum ValidatedError {
    /// A parameter breaks the grammar.
    #[error("The sid or the client_secret is not one. Give those of the request for a token.")]
    Invalid,
    /// There is no such session, or the secret is another's.
    #[error("There is no such session. Prove the address first.")]
    NoSession,
    /// It is too old.
    #[error("This session is too old. Prove the address once more.")]
    Expired,
    /// Nobody has brought the token back yet.
    #[error("The address is not proven yet. Follow the link or enter the code that was sent to it.")]
    NotValidated,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl SessionRow {
    /// When this token was sent, if it is one in force.
    fn issued_ms(&self, token: &Digest) -> Option<u64> {
        // All are compared, whole, so that the time says nothing.
        self.tokens.iter().fold(None, |found, issued| {
            if bool::from(issued.token.ct_eq(token)) {
                Some(issued.made_ms)
            } else {
                found
            }
        })
    }
}

impl Identity {
    /// `/validate/{medium}/submitToken`. A link that is followed twice is right twice, until its session was used.
    pub async fn submit_token(
        &self,
        submission: &TokenSubmission<'_>,
    ) -> Result<Submitted, SubmitTokenError> {
        let &TokenSubmission {
            sid, client_secret, ..
        } = submission;
        if !session_grammar::is_valid(sid)
            || !session_grammar::is_valid(client_secret)
            || !session_grammar::is_token(submission.token)
        {
            return Err(SubmitTokenError::Invalid);
        }
        let token = digest(submission.token);
        for _ in 0..ATTEMPTS {
            let row = self
                .session(sid, client_secret)
                .await?
                .ok_or(SubmitTokenError::NoSession)?;
            if row.threepid.medium() != submission.medium {
                return Err(SubmitTokenError::NoSession);
            }
            let now_ms = self.now_ms();
            if row.is_over(now_ms) || row.is_dead() {
                return Err(SubmitTokenError::Expired);
            }
            let outcome = match row.issued_ms(&token) {
                Some(made_ms) if now_ms >= made_ms.saturating_add(TOKEN_LIFETIME_MS) => {
                    return Err(SubmitTokenError::Expired);
                }
                Some(_) if row.bound_to.is_some() => return Err(SubmitTokenError::WrongToken),
                Some(_) => Ok(Submitted {
                    next_link: row.next_link.clone(),
                }),
                None => Err(SubmitTokenError::WrongToken),
            };
            if outcome.is_ok() && row.validated_ms.is_some() {
                return outcome;
            }
            let mut changed = row.clone();
            match &outcome {
                Ok(_) => changed.validated_ms = Some(now_ms),
                // Counted before it is refused: of many guesses at once, only so many are answered.
                Err(_) => changed.tries = row.tries.saturating_add(1),
            }
            let key = (sid.to_owned(),);
            let mut batch = Batch::new();
            batch.expect(&VALIDATION_SESSIONS, &key, Some(&row));
            batch.put(&VALIDATION_SESSIONS, &key, &changed);
            if self.commit(batch).await?.is_some() {
                return outcome;
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// `GET /3pid/getValidated3pid`.
    pub async fn validated(&self, sid: &str, client_secret: &str) -> Result<Validated, ValidatedError> {
        let (row, validated_ms) = self.validated_session(sid, client_secret).await?;
        Ok(Validated {
            threepid: row.threepid,
            validated_ms,
        })
    }

    /// The session that proves its address, and since when.
    pub(crate) async fn validated_session(
        &self,
        sid: &str,
        client_secret: &str,
    ) -> Result<(SessionRow, u64), ValidatedError> {
        if !session_grammar::is_valid(sid) || !session_grammar::is_valid(client_secret) {
            return Err(ValidatedError::Invalid);
        }
        let row = self
            .session(sid, client_secret)
            .await?
            .ok_or(ValidatedError::NoSession)?;
        if row.is_over(self.now_ms()) {
            return Err(ValidatedError::Expired);
        }
        let validated_ms = row.validated_ms.ok_or(ValidatedError::NotValidated)?;
        Ok((row, validated_ms))
    }

    async fn session(&self, sid: &str, client_secret: &str) -> Result<Option<SessionRow>, Unavailable> {
        let row = self.get(&VALIDATION_SESSIONS, &(sid.to_owned(),)).await?;
        let secret = digest(client_secret);
        Ok(row.filter(|row| bool::from(row.client_secret.ct_eq(&secret))))
    }
}
