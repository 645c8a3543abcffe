//! User-interactive authentication: proving, stage by stage, that one may do a thing.
//!
//! A session belongs to one operation of one user from the start, and to one request body from the first stage that
//! is completed: what was proved for one request is good for no other. It is used once and lives 15 minutes. What
//! is stored holds no password, and is found by the digest of the session id, which is the key of the body's code:
//! neither can be guessed from the stored row.

mod sessions;
mod stages;

use std::{fmt, net::IpAddr};

use gatehouse_store::Batch;
use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value};
use thiserror::Error;

pub(crate) use self::sessions::SessionRow;
use self::sessions::{Open, body_code, session_of};
pub use self::stages::{Flow, Stage, StageFailure};
use crate::{
    Accounts, CaptchaUnavailable, Secret, Unavailable, access_token, accounts::ATTEMPTS,
    password_hash::HashError, random, tables::UIA_SESSIONS,
};

/// How long a session lives (limits.md §8).
pub const UIA_LIFETIME_MS: u64 = 15 * 60 * 1_000;

/// 36 characters of 5.95 bits: 214 bits.
const SESSION_ID_CHARS: usize = 36;

/// An operation that somebody wants to be allowed.
pub struct UiaRequest<'a> {
    /// Which: the operationId, and what in its path makes it another one.
    pub operation: &'a str,
    /// Who makes the request; `None`: nobody yet.
    pub user_id: Option<&'a UserId>,
    /// The request's body, with or without `auth`.
    pub body: &'a Map<String, Value>,
    /// What suffices.
    pub flows: &'a [Flow],
    /// Stages that may be completed though no flow asks for them.
    pub also: &'a [Stage],
    /// From which address the request comes, as far as a stage needs it.
    pub address: Option<IpAddr>,
}

impl fmt::Debug for UiaRequest<'_> {
    /// Without the body, which holds passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UiaRequest")
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}

/// That all stages of a flow were completed, for this one request.
#[derive(Debug)]
pub struct Proof {
    pub(crate) session: Option<Secret>,
    pub(crate) row: SessionRow,
}

/// What the client is told when something is left to prove: the body of a 401.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// What would suffice.
    pub flows: Vec<Flow>,
    /// What has been completed in this session.
    pub completed: Vec<String>,
    /// The session to go on with.
    pub session: Secret,
    /// What clients show a captcha with, where a flow asks for one.
    pub captcha_key: Option<String>,
    /// What was wrong with the stage that was tried, if one was.
    pub failure: Option<StageFailure>,
}

/// Why a request is not allowed, other than that something is left to prove.
#[derive(Debug, Error)]
pub enum UiaError {
    /// Something is left to prove. 401 with the flows.
    #[error("Further authentication is needed.")]
    Challenge(Box<Challenge>),
    /// The session was made for another operation, user or body. `M_FORBIDDEN`.
    #[error("This authentication session was begun for a different request.")]
    OtherRequest,
    /// The stage names another user than the one who asks. `M_FORBIDDEN`.
    #[error("Only the owner of the account can authenticate for it.")]
    OtherUser,
    /// Nobody knows whether the captcha was answered well; what was proved before stays so.
    #[error(transparent)]
    Captcha(#[from] CaptchaUnavailable),
    /// Too many others are waiting.
    #[error("Too many people are logging in at once; try again in a moment.")]
    Busy,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<HashError> for UiaError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Busy,
            HashError::Unavailable(source) => Self::Unavailable(source),
        }
    }
}

impl Accounts {
    /// Checks the request's `auth`. [`UiaError::Challenge`] says what is left to prove; the proof must be spent
    /// before the operation is carried out.
    pub async fn authenticate_request(&self, request: &UiaRequest<'_>) -> Result<(), UiaError> {
        let proof = self.prove(request, || None).await?;
        self.spend(&proof).await
    }

    /// As [`Self::authenticate_request`], with the proof left to spend. `remember` gives what a new session shall
    /// keep of the request.
    pub(crate) async fn prove(
        &self,
        request: &UiaRequest<'_>,
        remember: impl FnOnce() -> Option<Value>,
    ) -> Result<Proof, UiaError> {
        // `null`, a list, a string: as good as none (security.md W03).
        let auth = request.body.get("auth").and_then(Value::as_object);
        let Some(mut open) = self.open(request, auth).await? else {
            let open = Open::new(request, self.now_ms());
            return Err(self
                .challenge(request, open, Some(StageFailure::UnknownSession))
                .await?);
        };
        let kind = auth.and_then(|auth| auth.get("type")).and_then(Value::as_str);
        if let (Some(auth), Some(kind)) = (auth, kind) {
            match self.try_stage(request, auth, kind).await? {
                Ok(stage) => open.complete(request, stage, auth),
                Err(failure) => return Err(self.challenge(request, open, Some(failure)).await?),
            }
        }
        if open.row.suffices(request.flows) {
            return Ok(Proof {
                session: open.id,
                row: open.row,
            });
        }
        if open.row.completed.is_empty()
            && let Some(remembered) = remember()
        {
            open.row.remembered = Some(remembered);
        }
        Err(self.challenge(request, open, None).await?)
    }

    /// Makes sure that a proof is used once. Without a session there is nothing to use twice.
    pub(crate) async fn spend(&self, proof: &Proof) -> Result<(), UiaError> {
        let Some(session) = &proof.session else {
            return Ok(());
        };
        let key = (access_token::digest(session.expose()),);
        for _ in 0..ATTEMPTS {
            let row = self.get(&UIA_SESSIONS, &key).await?.filter(|row| !row.used);
            let row = row.ok_or(UiaError::OtherRequest)?;
            let mut used = row.clone();
            used.used = true;
            used.body_code.clone_from(&proof.row.body_code);
            let mut batch = Batch::new();
            batch.expect(&UIA_SESSIONS, &key, Some(&row));
            batch.put(&UIA_SESSIONS, &key, &used);
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// Adds to the batch that the session ended in this registration, so that a client that lost the answer can ask
    /// again.
    pub(crate) fn put_registered(batch: &mut Batch, proof: &Proof, user_id: &UserId) {
        let Some(session) = &proof.session else {
            return;
        };
        let mut row = proof.row.clone();
        row.used = true;
        row.remembered = None;
        row.registered = Some(user_id.to_owned());
        batch.put(&UIA_SESSIONS, &(access_token::digest(session.expose()),), &row);
    }

    /// The user whom this very request has registered before, if it has: same session, same body.
    pub(crate) async fn registered_before(
        &self,
        request: &UiaRequest<'_>,
    ) -> Result<Option<OwnedUserId>, Unavailable> {
        let auth = request.body.get("auth").and_then(Value::as_object);
        let Some(session) = session_of(auth) else {
            return Ok(None);
        };
        let row = self.uia_row(&session).await?;
        let code = body_code(&session, request.body);
        Ok(row
            .filter(|row| {
                row.used && row.operation == request.operation && row.body_code == code && code.is_some()
            })
            .and_then(|row| row.registered))
    }

    /// The parameters that the session remembers of an earlier request, when this one brings none.
    pub(crate) async fn remembered(&self, request: &UiaRequest<'_>) -> Result<Option<Value>, Unavailable> {
        let auth = request.body.get("auth").and_then(Value::as_object);
        let Some(session) = session_of(auth) else {
            return Ok(None);
        };
        let row = self.uia_row(&session).await?;
        Ok(row
            .filter(|row| !row.used && row.operation == request.operation)
            .and_then(|row| row.remembered))
    }

    /// Stores the session as it stands and says what is left.
    async fn challenge(
        &self,
        request: &UiaRequest<'_>,
        open: Open,
        failure: Option<StageFailure>,
    ) -> Result<UiaError, UiaError> {
        let id = match open.id {
            Some(id) => id,
            None => Secret::new(random::base62(SESSION_ID_CHARS).map_err(Unavailable::from)?),
        };
        let digest = access_token::digest(id.expose());
        let mut row = open.row;
        if !row.completed.is_empty() && row.body_code.is_none() {
            row.body_code = body_code(&id, request.body);
        }
        if open.stored.as_ref() != Some(&row) {
            self.store_session(digest, open.stored.as_ref(), &row).await?;
        }
        let asks_for_captcha = request
            .flows
            .iter()
            .flatten()
            .any(|stage| *stage == Stage::Recaptcha);
        let captcha = self.captcha().filter(|_| asks_for_captcha);
        Ok(UiaError::Challenge(Box::new(Challenge {
            flows: request.flows.to_vec(),
            completed: row.completed,
            session: id,
            captcha_key: captcha.map(|captcha| captcha.public_key.clone()),
            failure,
        })))
    }
}
