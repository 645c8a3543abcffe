//! User-interactive authentication: proving, stage by stage, that one may do a thing.
//!
//! A session belongs to one operation of one user from the start, and to one request body from the first stage that
//! is completed: what was proved for one request is good for no other. It is used once and lives 15 minutes. What
//! is stored holds no password, and is found by the digest of the session id, which is the key of the body's code:
//! neither can be guessed from the stored row.

use gatehouse_store::{Batch, Range, json_value};
use hmac::{Hmac, KeyInit, Mac};
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Sha256;
use thiserror::Error;

use crate::{
    Accounts, Secret, Unavailable,
    access_token::{self, Digest},
    accounts::ATTEMPTS,
    password_hash::HashError,
    random,
    shared_secret::hex,
    tables::{UIA_BY_AGE, UIA_SESSIONS},
};

/// How long a session lives (limits.md §8).
pub const UIA_LIFETIME_MS: u64 = 15 * 60 * 1_000;

/// 36 characters of 5.95 bits: 214 bits.
const SESSION_ID_CHARS: usize = 36;

/// How many expired sessions each new one clears away.
const SWEEP: usize = 10;

/// A stage that this server knows. E-mail, phone, terms and captcha come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// `m.login.dummy`: nothing to prove.
    Dummy,
    /// `m.login.password`: the password of the user.
    Password,
    /// `m.login.registration_token`: a token that an administrator made.
    RegistrationToken,
}

impl Stage {
    /// As in the specification.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dummy => "m.login.dummy",
            Self::Password => "m.login.password",
            Self::RegistrationToken => "m.login.registration_token",
        }
    }

    fn parse(kind: &str) -> Option<Self> {
        [Self::Dummy, Self::Password, Self::RegistrationToken]
            .into_iter()
            .find(|stage| stage.as_str() == kind)
    }
}

/// Stages that together suffice, in an order that makes sense.
pub type Flow = &'static [Stage];

/// What is stored of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionRow {
    created_ms: u64,
    operation: String,
    user_id: Option<OwnedUserId>,
    completed: Vec<String>,
    /// The code of the body that the completed stages were proved for.
    body_code: Option<String>,
    registration_token: Option<String>,
    /// The parameters of a registration that the client need not send again; the password as its hash.
    pub(crate) remembered: Option<Value>,
    used: bool,
    pub(crate) registered: Option<OwnedUserId>,
}
json_value!(SessionRow);

/// An operation that somebody wants to be allowed.
#[derive(Debug)]
pub struct UiaRequest<'a> {
    /// Which: the operationId, and what in its path makes it another one.
    pub operation: &'a str,
    /// Who makes the request; `None`: nobody yet.
    pub user_id: Option<&'a UserId>,
    /// The request's body, with or without `auth`.
    pub body: &'a Map<String, Value>,
    /// What suffices.
    pub flows: &'static [Flow],
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
    pub flows: &'static [Flow],
    /// What has been completed in this session.
    pub completed: Vec<String>,
    /// The session to go on with.
    pub session: Secret,
    /// What was wrong with the stage that was tried, if one was.
    pub failure: Option<StageFailure>,
}

/// What was wrong with a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StageFailure {
    /// The password is not the user's. `M_FORBIDDEN`.
    #[error("Invalid username or password.")]
    WrongPassword,
    /// The registration token cannot be used. `M_FORBIDDEN`.
    #[error("This registration token is not valid.")]
    WrongToken,
    /// The stage lacks something or has it in the wrong type. `M_BAD_JSON`.
    #[error("The authentication lacks a field of its stage, or has it in the wrong type.")]
    Malformed,
    /// The stage is not one of the flows'. `M_UNRECOGNIZED`.
    #[error("This kind of authentication is not one of those asked for.")]
    UnknownStage,
    /// There is no such session any more. `M_UNKNOWN`.
    #[error("This authentication session has expired or was used. Start again.")]
    UnknownSession,
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

/// A session in hand: new ones have no stored row yet.
struct Open {
    id: Option<Secret>,
    stored: Option<SessionRow>,
    row: SessionRow,
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

    async fn open(
        &self,
        request: &UiaRequest<'_>,
        auth: Option<&Map<String, Value>>,
    ) -> Result<Option<Open>, UiaError> {
        let Some(id) = session_of(auth) else {
            return Ok(Some(Open::new(request, self.now_ms())));
        };
        let Some(row) = self.uia_row(&id).await?.filter(|row| !row.used) else {
            return Ok(None);
        };
        if row.operation != request.operation || row.user_id.as_deref() != request.user_id {
            return Err(UiaError::OtherRequest);
        }
        let proved_for_other_body = row.body_code.is_some()
            && has_parameters(request.body)
            && row.body_code != body_code(&id, request.body);
        if proved_for_other_body {
            return Err(UiaError::OtherRequest);
        }
        Ok(Some(Open {
            id: Some(id),
            stored: Some(row.clone()),
            row,
        }))
    }

    async fn uia_row(&self, id: &Secret) -> Result<Option<SessionRow>, Unavailable> {
        let row = self
            .get(&UIA_SESSIONS, &(access_token::digest(id.expose()),))
            .await?;
        let now_ms = self.now_ms();
        Ok(row.filter(|row| now_ms.saturating_sub(row.created_ms) < UIA_LIFETIME_MS))
    }

    async fn try_stage(
        &self,
        request: &UiaRequest<'_>,
        auth: &Map<String, Value>,
        kind: &str,
    ) -> Result<Result<Stage, StageFailure>, UiaError> {
        let wanted = Stage::parse(kind).filter(|stage| request.flows.iter().any(|flow| flow.contains(stage)));
        match wanted {
            None => Ok(Err(StageFailure::UnknownStage)),
            Some(Stage::Dummy) => Ok(Ok(Stage::Dummy)),
            Some(Stage::Password) => self.try_password(request, auth).await,
            Some(Stage::RegistrationToken) => {
                let Some(token) = auth.get("token").and_then(Value::as_str) else {
                    return Ok(Err(StageFailure::Malformed));
                };
                let usable = self.is_registration_token_usable(token).await?;
                Ok(usable
                    .then_some(Stage::RegistrationToken)
                    .ok_or(StageFailure::WrongToken))
            }
        }
    }

    async fn try_password(
        &self,
        request: &UiaRequest<'_>,
        auth: &Map<String, Value>,
    ) -> Result<Result<Stage, StageFailure>, UiaError> {
        let identifier = auth.get("identifier").and_then(Value::as_object);
        let name = match identifier {
            Some(identifier) if identifier.get("type").and_then(Value::as_str) == Some("m.id.user") => {
                identifier.get("user")
            }
            Some(_) => None,
            // The form of r0.
            None => auth.get("user"),
        };
        let name = name.and_then(Value::as_str);
        let (Some(name), Some(password)) = (name, auth.get("password").and_then(Value::as_str)) else {
            return Ok(Err(StageFailure::Malformed));
        };
        let user_id = self.named_user(name).ok_or(UiaError::OtherUser)?;
        if request.user_id.is_some_and(|requester| requester != user_id) {
            return Err(UiaError::OtherUser);
        }
        let right = self.check_password(&user_id, &Secret::new(password)).await?;
        Ok(right
            .then_some(Stage::Password)
            .ok_or(StageFailure::WrongPassword))
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
            None => Secret::new(random::base62(SESSION_ID_CHARS)?),
        };
        let digest = access_token::digest(id.expose());
        let mut row = open.row;
        if !row.completed.is_empty() && row.body_code.is_none() {
            row.body_code = body_code(&id, request.body);
        }
        if open.stored.as_ref() != Some(&row) {
            self.store_session(digest, open.stored.as_ref(), &row).await?;
        }
        Ok(UiaError::Challenge(Box::new(Challenge {
            flows: request.flows,
            completed: row.completed,
            session: id,
            failure,
        })))
    }

    async fn store_session(
        &self,
        digest: Digest,
        stored: Option<&SessionRow>,
        row: &SessionRow,
    ) -> Result<(), UiaError> {
        let mut batch = Batch::new();
        batch.expect(&UIA_SESSIONS, &(digest,), stored);
        batch.put(&UIA_SESSIONS, &(digest,), row);
        if stored.is_none() {
            batch.put(&UIA_BY_AGE, &(row.created_ms, digest), &());
            let expired = Range::all().before(&(self.now_ms().saturating_sub(UIA_LIFETIME_MS),));
            for (key, ()) in self.scan(&UIA_BY_AGE, &expired, SWEEP).await? {
                batch.delete(&UIA_SESSIONS, &(key.1,));
                batch.delete(&UIA_BY_AGE, &key);
            }
        }
        match self.commit(batch).await? {
            Some(_) => Ok(()),
            // Two stages of one session at once: the client may send one again.
            None => Err(Unavailable::Contended.into()),
        }
    }
}

impl Open {
    fn new(request: &UiaRequest<'_>, now_ms: u64) -> Self {
        Self {
            id: None,
            stored: None,
            row: SessionRow {
                created_ms: now_ms,
                operation: request.operation.to_owned(),
                user_id: request.user_id.map(ToOwned::to_owned),
                completed: Vec::new(),
                body_code: None,
                registration_token: None,
                remembered: None,
                used: false,
                registered: None,
            },
        }
    }

    fn complete(&mut self, request: &UiaRequest<'_>, stage: Stage, auth: &Map<String, Value>) {
        let kind = stage.as_str().to_owned();
        if !self.row.completed.contains(&kind) {
            self.row.completed.push(kind);
        }
        if stage == Stage::RegistrationToken {
            self.row.registration_token = auth.get("token").and_then(Value::as_str).map(ToOwned::to_owned);
        }
        if self.row.body_code.is_none()
            && let Some(id) = &self.id
        {
            self.row.body_code = body_code(id, request.body);
        }
    }
}

impl SessionRow {
    fn suffices(&self, flows: &[Flow]) -> bool {
        flows.iter().any(|flow| {
            flow.iter()
                .all(|stage| self.completed.iter().any(|completed| completed == stage.as_str()))
        })
    }

    pub(crate) fn registration_token(&self) -> Option<&str> {
        self.registration_token.as_deref()
    }
}

fn session_of(auth: Option<&Map<String, Value>>) -> Option<Secret> {
    auth?.get("session").and_then(Value::as_str).map(Secret::new)
}

fn has_parameters(body: &Map<String, Value>) -> bool {
    body.keys().any(|key| key != "auth")
}

/// A code of everything in the body but `auth`, keyed with the session; `None` when there is nothing.
fn body_code(session: &Secret, body: &Map<String, Value>) -> Option<String> {
    if !has_parameters(body) {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(session.expose().as_bytes()).ok()?;
    for (key, value) in body.iter().filter(|(key, _)| *key != "auth") {
        for part in [key.as_str(), value.to_string().as_str()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
    }
    Some(hex(&mac.finalize().into_bytes()))
}
