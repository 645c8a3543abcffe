//! Having a message sent to an address, with what proves that whoever reads it owns the address.
//!
//! A session belongs to one purpose and one address from the start (security.md W06): what was proven for one proves
//! nothing for another.

use gatehouse_mail::{CannotSend, Letter, Medium, Threepid};
use gatehouse_store::{Batch, Range, json_value};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{
    Accounts, Unavailable,
    access_token::{self, Digest},
    accounts::ATTEMPTS,
    next_link, random,
    tables::{VALIDATIONS, VALIDATIONS_BY_AGE, VALIDATIONS_BY_SECRET},
    validation_grammar,
};

/// How long a session lives after it was made or its address proven (security.md T25).
pub const VALIDATION_LIFETIME_MS: u64 = 24 * 3_600 * 1_000;

/// How long a token may be brought back (security.md T25).
pub const VALIDATION_TOKEN_LIFETIME_MS: u64 = 3_600 * 1_000;

/// Wrong tokens until a session is dead (security.md T25): one chance in 200,000 to guess a code.
pub(crate) const MAX_TRIES: u8 = 5;

/// 131 bits.
const SID_CHARS: usize = 22;

/// Of a token in a link: 190 bits.
const TOKEN_CHARS: usize = 32;

/// Of a code that people type.
const CODE_DIGITS: usize = 6;

/// Links in force at once: mails arrive late and out of order. Of codes, only the last.
const LINKS_IN_FORCE: usize = 3;

/// How many sessions that are over each new one clears away.
const SWEEP: usize = 8;

/// What an address is proven for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To make an account with it.
    Register,
    /// To add it to an account.
    Add,
    /// To set the password of the account that has it.
    ResetPassword,
}

/// What is stored of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ValidationRow {
    pub(crate) purpose: Purpose,
    pub(crate) threepid: Threepid,
    pub(crate) client_secret: Digest,
    send_attempt: u64,
    pub(crate) next_link: Option<String>,
    /// The latest last. None when the address was told something else than a token.
    pub(crate) tokens: Vec<IssuedToken>,
    pub(crate) tries: u8,
    made_ms: u64,
    pub(crate) validated_ms: Option<u64>,
    /// It proves something once (security.md W07).
    pub(crate) used: bool,
}
json_value!(ValidationRow);

/// A token on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IssuedToken {
    pub(crate) token: Digest,
    pub(crate) made_ms: u64,
}

/// What somebody wants to prove.
#[derive(Clone, Copy)]
pub struct ValidationRequest<'a> {
    /// What for.
    pub purpose: Purpose,
    /// The address.
    pub threepid: &'a Threepid,
    /// What the client calls the session.
    pub client_secret: &'a str,
    /// A message is sent for a number higher than all before, and never twice for one.
    pub send_attempt: u64,
    /// Where to go afterwards. Where the operator does not allow that, it is not followed.
    pub next_link: Option<&'a str>,
}

/// A session in which an address may be proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedValidation {
    /// Its id.
    pub sid: String,
    /// Where the client brings the code that was sent; `None`: a link was sent instead.
    pub submit_url: Option<String>,
}

/// Why nothing is sent.
#[derive(Debug, Error)]
pub enum RequestValidationError {
    /// It breaks the grammar. `M_INVALID_PARAM`.
    #[error("A client_secret has 1 to 255 characters out of 0-9, a-z, A-Z and . = _ - only.")]
    InvalidClientSecret,
    /// The secret belongs to a session for another address. `M_INVALID_PARAM`.
    #[error("This client_secret is in use for another address. Choose a new one.")]
    SecretInUse,
    /// The address has an account. `M_THREEPID_IN_USE`.
    #[error("This address has an account here already. Log in to that one.")]
    AddressInUse,
    /// The address has no account. `M_THREEPID_NOT_FOUND`.
    #[error("No account here has this address. Perhaps you used another.")]
    UnknownAddress,
    /// Nothing can be sent to such an address. `M_THREEPID_MEDIUM_NOT_SUPPORTED`.
    #[error(transparent)]
    CannotSend(#[from] CannotSend),
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What the address is told.
enum Message {
    /// What proves it.
    Token,
    /// Something else; whoever asked does not learn which (security.md T26).
    Instead(Letter),
    /// Nothing can be said that would help.
    Silence,
}

/// What is stored under a client's secret.
struct Found {
    sid: Option<String>,
    row: Option<ValidationRow>,
}

impl Found {
    /// The session that goes on.
    fn current(&self, now_ms: u64) -> Option<(&String, &ValidationRow)> {
        let row = self
            .row
            .as_ref()
            .filter(|row| !row.is_over(now_ms) && !row.used)?;
        Some((self.sid.as_ref()?, row))
    }
}

impl ValidationRow {
    fn new(request: &ValidationRequest<'_>, made_ms: u64) -> Self {
        Self {
            purpose: request.purpose,
            threepid: request.threepid.clone(),
            client_secret: access_token::digest(request.client_secret),
            send_attempt: 0,
            next_link: None,
            tokens: Vec::new(),
            tries: 0,
            made_ms,
            validated_ms: None,
            used: false,
        }
    }

    fn issue(&mut self, token: &str, made_ms: u64) {
        let in_force = match self.threepid.medium() {
            Medium::Email => LINKS_IN_FORCE,
            Medium::Msisdn => 1,
        };
        let token = access_token::digest(token);
        self.tokens.push(IssuedToken { token, made_ms });
        let surplus = self.tokens.len().saturating_sub(in_force);
        self.tokens.drain(..surplus);
    }

    pub(crate) fn is_over(&self, now_ms: u64) -> bool {
        let since_ms = self.validated_ms.unwrap_or(self.made_ms);
        now_ms >= since_ms.saturating_add(VALIDATION_LIFETIME_MS)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.tries >= MAX_TRIES
    }
}

impl Accounts {
    /// Has sent to the address what proves it, unless this attempt did before. How often is for the caller to limit.
    pub async fn request_validation(
        &self,
        request: &ValidationRequest<'_>,
    ) -> Result<RequestedValidation, RequestValidationError> {
        let medium = request.threepid.medium();
        if !validation_grammar::is_opaque_id(request.client_secret) {
            return Err(RequestValidationError::InvalidClientSecret);
        }
        if !self.can_validate(medium) {
            return Err(cannot_send(medium).into());
        }
        let secret = secret_of(request);
        for _ in 0..ATTEMPTS {
            let found = self.validation_under(secret).await?;
            let now_ms = self.now_ms();
            if let Some((sid, row)) = found.current(now_ms) {
                if row.threepid != *request.threepid {
                    return Err(RequestValidationError::SecretInUse);
                }
                if request.send_attempt <= row.send_attempt {
                    return Ok(self.requested(sid.clone(), medium));
                }
            }
            let message = self.message(request).await?;
            let mut batch = Batch::new();
            let (sid, before) = match found.current(now_ms).filter(|(_, row)| !row.is_dead()) {
                Some((sid, row)) => (sid.clone(), Some(row)),
                None => (self.put_new_validation(&mut batch, secret, &found).await?, None),
            };
            let mut row = before
                .cloned()
                .unwrap_or_else(|| ValidationRow::new(request, now_ms));
            batch.expect(
                &VALIDATIONS_BY_SECRET,
                &(secret,),
                found.sid.clone().map(|sid| (sid,)).as_ref(),
            );
            batch.expect(&VALIDATIONS, &(sid.clone(),), before);
            self.put_message(&mut batch, &sid, &mut row, &message)?;
            row.send_attempt = request.send_attempt;
            row.next_link = request
                .next_link
                .filter(|link| self.may_lead_to(link))
                .map(ToOwned::to_owned);
            batch.put(&VALIDATIONS, &(sid.clone(),), &row);
            if self.commit(batch).await?.is_some() {
                return Ok(self.requested(sid, medium));
            }
        }
        Err(Unavailable::Contended.into())
    }

    fn may_lead_to(&self, link: &str) -> bool {
        next_link::is_allowed(link, &self.config().next_link_hosts)
    }

    fn requested(&self, sid: String, medium: Medium) -> RequestedValidation {
        let submit_url = match medium {
            Medium::Email => None,
            Medium::Msisdn => Some(self.page("validate/msisdn/submitToken")),
        };
        RequestedValidation { sid, submit_url }
    }

    /// The address of a page of ours.
    fn page(&self, path: &str) -> String {
        let base = self.config().public_baseurl.trim_end_matches('/');
        format!("{base}/_gatehouse/{path}")
    }

    async fn validation_under(&self, secret: Digest) -> Result<Found, Unavailable> {
        let sid = self
            .get(&VALIDATIONS_BY_SECRET, &(secret,))
            .await?
            .map(|(sid,)| sid);
        let row = match &sid {
            Some(sid) => self.get(&VALIDATIONS, &(sid.clone(),)).await?,
            None => None,
        };
        Ok(Found { sid, row })
    }

    async fn message(&self, request: &ValidationRequest<'_>) -> Result<Message, RequestValidationError> {
        let is_known = self.threepid_owner(request.threepid).await?.is_some();
        let resets = request.purpose == Purpose::ResetPassword;
        if is_known == resets {
            return Ok(Message::Token);
        }
        let hides = self.config().hide_known_addresses;
        match (request.purpose, request.threepid.medium()) {
            (Purpose::ResetPassword, _) if !hides => Err(RequestValidationError::UnknownAddress),
            (Purpose::ResetPassword, Medium::Email) => Ok(Message::Instead(Letter::NoAccount)),
            (Purpose::ResetPassword, Medium::Msisdn) => Ok(Message::Silence),
            _ if !hides => Err(RequestValidationError::AddressInUse),
            (Purpose::Register, Medium::Email) => Ok(Message::Instead(Letter::AddressInUse)),
            // Whoever proves it is told then.
            (Purpose::Register, Medium::Msisdn) | (Purpose::Add, _) => Ok(Message::Token),
        }
    }

    /// Adds to the batch that a new session stands under this secret, in place of what is found there.
    async fn put_new_validation(
        &self,
        batch: &mut Batch,
        secret: Digest,
        found: &Found,
    ) -> Result<String, Unavailable> {
        let now_ms = self.now_ms();
        // A session lives this long when its address is proven in its last minute.
        let over = Range::all().before(&(now_ms.saturating_sub(2 * VALIDATION_LIFETIME_MS),));
        for ((made_ms, old), (its_secret,)) in self.scan(&VALIDATIONS_BY_AGE, &over, SWEEP).await? {
            batch.delete(&VALIDATIONS_BY_AGE, &(made_ms, old.clone()));
            batch.delete(&VALIDATIONS, &(old.clone(),));
            let current = self.get(&VALIDATIONS_BY_SECRET, &(its_secret,)).await?;
            if its_secret != secret && current.as_ref().is_some_and(|(sid,)| *sid == old) {
                batch.expect(&VALIDATIONS_BY_SECRET, &(its_secret,), current.as_ref());
                batch.delete(&VALIDATIONS_BY_SECRET, &(its_secret,));
            }
        }
        if let Some(replaced) = &found.sid {
            batch.delete(&VALIDATIONS, &(replaced.clone(),));
        }
        let sid = random::base62(SID_CHARS)?;
        batch.put(&VALIDATIONS_BY_SECRET, &(secret,), &(sid.clone(),));
        batch.put(&VALIDATIONS_BY_AGE, &(now_ms, sid.clone()), &(secret,));
        Ok(sid)
    }

    fn put_message(
        &self,
        batch: &mut Batch,
        sid: &str,
        row: &mut ValidationRow,
        message: &Message,
    ) -> Result<(), RequestValidationError> {
        let medium = row.threepid.medium();
        let letter = match message {
            Message::Silence => return Ok(()),
            Message::Instead(letter) => letter.clone(),
            Message::Token => {
                let token = match medium {
                    Medium::Email => random::base62(TOKEN_CHARS).map_err(Unavailable::from)?,
                    Medium::Msisdn => random::digits(CODE_DIGITS).map_err(Unavailable::from)?,
                };
                row.issue(&token, self.now_ms());
                self.letter(row.purpose, medium, sid, token)
            }
        };
        let outbox = self.outbox().ok_or_else(|| cannot_send(medium))?;
        Ok(outbox.enqueue(batch, &row.threepid, &letter)?)
    }

    /// A link needs no `client_secret`: its token alone is beyond guessing, and mails are read by others than clients.
    fn letter(&self, purpose: Purpose, medium: Medium, sid: &str, token: String) -> Letter {
        match (medium, purpose) {
            (Medium::Msisdn, _) => Letter::Validation {
                link: String::new(),
                code: Some(token),
            },
            (Medium::Email, Purpose::Register | Purpose::Add) => Letter::Validation {
                link: self.page(&format!("validate?sid={sid}&token={token}")),
                code: None,
            },
            (Medium::Email, Purpose::ResetPassword) => Letter::PasswordReset {
                link: self.page(&format!("allow_password?sid={sid}&token={token}")),
            },
        }
    }
}

fn cannot_send(medium: Medium) -> CannotSend {
    match medium {
        Medium::Email => CannotSend::NoEmail,
        Medium::Msisdn => CannotSend::NoSms,
    }
}

/// What names the session to the client: its secret, for each purpose.
fn secret_of(request: &ValidationRequest<'_>) -> Digest {
    let purpose: &[u8] = match request.purpose {
        Purpose::Register => b"register ",
        Purpose::Add => b"add ",
        Purpose::ResetPassword => b"reset_password ",
    };
    Sha256::new()
        .chain_update(purpose)
        .chain_update(request.client_secret)
        .finalize()
        .into()
}
