//! Sessions: what has been proved so far, and for what.

use std::{collections::BTreeMap, fmt};

use gatehouse_store::{Batch, Range, json_value};
use hmac::{Hmac, KeyInit, Mac};
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Sha256;

use super::{Flow, Stage, UIA_LIFETIME_MS, UiaError, UiaRequest, stages::threepid_creds};
use crate::{
    Accounts, Secret, Unavailable,
    access_token::{self, Digest},
    shared_secret::hex,
    tables::{UIA_BY_AGE, UIA_SESSIONS},
};

/// How many expired sessions each new one clears away.
const SWEEP: usize = 10;
/// What is stored of a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionRow {
    pub(super) created_ms: u64,
    pub(super) operation: String,
    pub(super) user_id: Option<OwnedUserId>,
    pub(super) completed: Vec<String>,
    /// The code of the body that the completed stages were proved for.
    pub(super) body_code: Option<String>,
    pub(super) registration_token: Option<String>,
    /// The validation sessions of the addresses that were proven, by stage.
    #[serde(default)]
    validations: BTreeMap<String, String>,
    /// The parameters of a registration that the client need not send again; the password as its hash.
    pub(crate) remembered: Option<Value>,
    pub(super) used: bool,
    pub(crate) registered: Option<OwnedUserId>,
}
json_value!(SessionRow);

impl fmt::Debug for SessionRow {
    /// Without what it remembers, which holds the hash of a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRow")
            .field("operation", &self.operation)
            .field("completed", &self.completed)
            .finish_non_exhaustive()
    }
}

/// A session in hand: new ones have no stored row yet.
pub(super) struct Open {
    pub(super) id: Option<Secret>,
    pub(super) stored: Option<SessionRow>,
    pub(super) row: SessionRow,
}

impl Accounts {
    pub(super) async fn open(
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

    pub(super) async fn uia_row(&self, id: &Secret) -> Result<Option<SessionRow>, Unavailable> {
        let row = self
            .get(&UIA_SESSIONS, &(access_token::digest(id.expose()),))
            .await?;
        let now_ms = self.now_ms();
        Ok(row.filter(|row| now_ms.saturating_sub(row.created_ms) < UIA_LIFETIME_MS))
    }

    pub(super) async fn store_session(
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
    pub(super) fn new(request: &UiaRequest<'_>, now_ms: u64) -> Self {
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
                validations: BTreeMap::new(),
                remembered: None,
                used: false,
                registered: None,
            },
        }
    }

    pub(super) fn complete(&mut self, request: &UiaRequest<'_>, stage: Stage, auth: &Map<String, Value>) {
        let kind = stage.as_str().to_owned();
        if matches!(stage, Stage::Email(_) | Stage::Msisdn(_))
            && let Some((sid, _)) = threepid_creds(auth)
        {
            self.row.validations.insert(kind.clone(), sid.to_owned());
        }
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
    pub(super) fn suffices(&self, flows: &[Flow]) -> bool {
        flows.iter().any(|flow| {
            flow.iter()
                .all(|stage| self.completed.iter().any(|completed| completed == stage.as_str()))
        })
    }

    /// The validation sessions of the addresses that were proven.
    pub(crate) fn validations(&self) -> impl Iterator<Item = &str> {
        self.validations.values().map(String::as_str)
    }

    pub(crate) fn registration_token(&self) -> Option<&str> {
        self.registration_token.as_deref()
    }
}

pub(super) fn session_of(auth: Option<&Map<String, Value>>) -> Option<Secret> {
    auth?.get("session").and_then(Value::as_str).map(Secret::new)
}

pub(super) fn has_parameters(body: &Map<String, Value>) -> bool {
    body.keys().any(|key| key != "auth")
}

/// A code of everything in the body but `auth`, keyed with the session; `None` when there is nothing.
pub(super) fn body_code(session: &Secret, body: &Map<String, Value>) -> Option<String> {
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
