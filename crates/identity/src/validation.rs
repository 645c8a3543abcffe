//! Proving that an address is one's own: a message with a token goes to it, and whoever brings the token back within
//! the session has proven it.
//!
//! A session is named by address and `client_secret` together (security.md W06): what was proven under one address
//! says nothing about another.

use gatehouse_mail::{CannotSend, Letter, Medium, Threepid};
use gatehouse_store::{Batch, Range, json_value};
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Identity, Unavailable,
    digest::{Digest, digest},
    identity::ATTEMPTS,
    next_link, random,
    rates::Counted,
    session_grammar,
    tables::{SESSIONS_BY_AGE, SESSIONS_BY_SECRET, VALIDATION_SESSIONS},
};

/// How long a session lives after it was made or its address proven (specification; security.md T25).
pub(crate) const SESSION_LIFETIME_MS: u64 = 24 * 3_600 * 1_000;

/// How long a token may be brought back (security.md T25).
pub(crate) const TOKEN_LIFETIME_MS: u64 = 3_600 * 1_000;

/// Wrong tokens until a session is dead (security.md T25): one chance in 200,000 to guess a code.
pub(crate) const MAX_TRIES: u8 = 5;

/// Characters of a session's id: 131 bits.
const SID_CHARS: usize = 22;

/// Characters of a token in a link: 190 bits.
const TOKEN_CHARS: usize = 32;

/// Digits of a code that people type.
const CODE_DIGITS: usize = 6;

/// Links that are in force at once: mails arrive late and out of order. Of codes, only the last.
const LINKS_IN_FORCE: usize = 3;

/// Dead sessions that go when one is made, so that there are never more than were made in two days.
const SWEEP: usize = 8;

/// What is stored of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionRow {
    pub(crate) threepid: Threepid,
    pub(crate) client_secret: Digest,
    /// Whose access token it was made with; none by the legacy API.
    pub(crate) requester: Option<OwnedUserId>,
    pub(crate) send_attempt: u64,
    pub(crate) next_link: Option<String>,
    /// The latest last.
    pub(crate) tokens: Vec<IssuedToken>,
    pub(crate) tries: u8,
    pub(crate) made_ms: u64,
    pub(crate) validated_ms: Option<u64>,
    /// To whom it bound the address: it does that once.
    pub(crate) bound_to: Option<OwnedUserId>,
}
json_value!(SessionRow);

/// A token on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IssuedToken {
    pub(crate) token: Digest,
    pub(crate) made_ms: u64,
}

/// What somebody wants to prove.
#[derive(Clone)]
pub struct ValidationRequest<'a> {
    /// The address.
    pub threepid: &'a Threepid,
    /// What the client calls it.
    pub client_secret: &'a str,
    /// A message is sent for a number higher than all before, and never twice for one.
    pub send_attempt: u64,
    /// Where to go afterwards.
    pub next_link: Option<&'a str>,
}

/// Why no message is on its way.
#[derive(Debug, Error)]
pub enum RequestTokenError {
    /// It breaks the grammar.
    #[error("A client_secret has 1 to 255 characters out of 0-9, a-z, A-Z and . = _ - only.")]
    InvalidClientSecret,
    /// It leads to a place that the operator has not named.
    #[error(
        "This server does not send anybody to this `next_link`. Leave it out, or ask the administrator to allow its host."
    )]
    NextLinkNotAllowed,
    /// The secret belongs to a session for another address, or of another account.
    #[error("This client_secret is in use for another address. Choose a new one.")]
    SecretInUse,
    /// The address has got too many.
    #[error("Too many messages were sent to this address; try again later.")]
    TooMany {
        /// How long to wait, in milliseconds.
        retry_after_ms: u64,
    },
    /// Nothing can be sent to such an address.
    #[error(transparent)]
    CannotSend(#[from] CannotSend),
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What is stored under a client's secret.
struct Found {
    sid: Option<String>,
    row: Option<SessionRow>,
}

impl Found {
    fn current(&self, now_ms: u64) -> Option<(&String, &SessionRow)> {
        let row = self.row.as_ref().filter(|row| !row.is_over(now_ms))?;
        Some((self.sid.as_ref()?, row))
    }
}

impl SessionRow {
    fn new(requester: Option<&UserId>, threepid: &Threepid, client_secret: Digest, now_ms: u64) -> Self {
        Self {
            threepid: threepid.clone(),
            client_secret,
            requester: requester.map(ToOwned::to_owned),
            send_attempt: 0,
            next_link: None,
            tokens: Vec::new(),
            tries: 0,
            made_ms: now_ms,
            validated_ms: None,
            bound_to: None,
        }
    }

    fn issue(&mut self, medium: Medium, token: Digest, made_ms: u64) {
        let in_force = match medium {
            Medium::Email => LINKS_IN_FORCE,
            Medium::Msisdn => 1,
        };
        self.tokens.push(IssuedToken { token, made_ms });
        let surplus = self.tokens.len().saturating_sub(in_force);
        self.tokens.drain(..surplus);
    }

    pub(crate) fn is_over(&self, now_ms: u64) -> bool {
        let modified_ms = self.validated_ms.unwrap_or(self.made_ms);
        now_ms >= modified_ms.saturating_add(SESSION_LIFETIME_MS)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.tries >= MAX_TRIES
    }
}

impl Identity {
    /// `POST /validate/{medium}/requestToken`: has a token sent, unless this attempt did before. The session's id.
    pub async fn request_token(
        &self,
        requester: Option<&UserId>,
        request: &ValidationRequest<'_>,
    ) -> Result<String, RequestTokenError> {
        self.check_request(request)?;
        let secret = digest(request.client_secret);
        let mut counted = false;
        for _ in 0..ATTEMPTS {
            let found = self.session_under(secret).await?;
            let now_ms = self.now_ms();
            if let Some((sid, row)) = found.current(now_ms) {
                if row.threepid != *request.threepid || row.requester.as_deref() != requester {
                    return Err(RequestTokenError::SecretInUse);
                }
                if request.send_attempt <= row.send_attempt {
                    return Ok(sid.clone());
                }
            }
            if !counted {
                self.count_validation(request.threepid, now_ms)?;
                counted = true;
            }
            let mut batch = Batch::new();
            let (sid, mut row) = match found.current(now_ms) {
                Some((sid, row)) if !row.is_dead() => (sid.clone(), row.clone()),
                _ => {
                    let sid = self.put_new_session(&mut batch, secret, &found, now_ms).await?;
                    (sid, SessionRow::new(requester, request.threepid, secret, now_ms))
                }
            };
            batch.expect(
                &SESSIONS_BY_SECRET,
                &(secret,),
                found.sid.map(|sid| (sid,)).as_ref(),
            );
            let before = found.row.filter(|_| !row.tokens.is_empty());
            batch.expect(&VALIDATION_SESSIONS, &(sid.clone(),), before.as_ref());
            self.put_message(&mut batch, &sid, &mut row, request)?;
            batch.put(&VALIDATION_SESSIONS, &(sid.clone(),), &row);
            if self.commit(batch).await?.is_some() {
                return Ok(sid);
            }
        }
        Err(Unavailable::Contended.into())
    }

    fn check_request(&self, request: &ValidationRequest<'_>) -> Result<(), RequestTokenError> {
        if !session_grammar::is_valid(request.client_secret) {
            return Err(RequestTokenError::InvalidClientSecret);
        }
        let hosts = &self.config().next_link_hosts;
        if request
            .next_link
            .is_some_and(|link| !next_link::is_allowed(link, hosts))
        {
            return Err(RequestTokenError::NextLinkNotAllowed);
        }
        match request.threepid.medium() {
            medium if self.outbox().can_send(medium) => Ok(()),
            Medium::Email => Err(CannotSend::NoEmail.into()),
            Medium::Msisdn => Err(CannotSend::NoSms.into()),
        }
    }

    async fn session_under(&self, secret: Digest) -> Result<Found, Unavailable> {
        let sid = self.get(&SESSIONS_BY_SECRET, &(secret,)).await?.map(|(sid,)| sid);
        let row = match &sid {
            Some(sid) => self.get(&VALIDATION_SESSIONS, &(sid.clone(),)).await?,
            None => None,
        };
        Ok(Found { sid, row })
    }

    fn count_validation(&self, threepid: &Threepid, now_ms: u64) -> Result<(), RequestTokenError> {
        let counted = Counted::ValidationsOf(threepid.medium().as_str(), threepid.address());
        self.limiter()
            .count(&[counted], now_ms)
            .map_err(|retry_after_ms| RequestTokenError::TooMany { retry_after_ms })
    }

    /// Adds to the batch that a new session stands under this secret, in place of the dead one found there.
    async fn put_new_session(
        &self,
        batch: &mut Batch,
        secret: Digest,
        found: &Found,
        now_ms: u64,
    ) -> Result<String, Unavailable> {
        // A session can live for this long when its address is proven in its last minute.
        let dead = Range::all().before(&(now_ms.saturating_sub(2 * SESSION_LIFETIME_MS),));
        for ((made_ms, old), (secret,)) in self.scan(&SESSIONS_BY_AGE, &dead, SWEEP).await? {
            batch.delete(&SESSIONS_BY_AGE, &(made_ms, old.clone()));
            batch.delete(&VALIDATION_SESSIONS, &(old.clone(),));
            let by_secret = self.get(&SESSIONS_BY_SECRET, &(secret,)).await?;
            if by_secret.as_ref().is_some_and(|(sid,)| *sid == old) {
                batch.expect(&SESSIONS_BY_SECRET, &(secret,), by_secret.as_ref());
                batch.delete(&SESSIONS_BY_SECRET, &(secret,));
            }
        }
        let sid = random::base62(SID_CHARS)?;
        if let Some(dead) = &found.sid {
            batch.delete(&VALIDATION_SESSIONS, &(dead.clone(),));
        }
        batch.put(&SESSIONS_BY_SECRET, &(secret,), &(sid.clone(),));
        batch.put(&SESSIONS_BY_AGE, &(now_ms, sid.clone()), &(secret,));
        Ok(sid)
    }

    /// Adds to the batch that a message with a new token is sent.
    fn put_message(
        &self,
        batch: &mut Batch,
        sid: &str,
        row: &mut SessionRow,
        request: &ValidationRequest<'_>,
    ) -> Result<(), RequestTokenError> {
        let medium = request.threepid.medium();
        let token = match medium {
            Medium::Email => random::base62(TOKEN_CHARS).map_err(Unavailable::from)?,
            Medium::Msisdn => random::digits(CODE_DIGITS).map_err(Unavailable::from)?,
        };
        let link = format!(
            "{}/_matrix/identity/v2/validate/{}/submitToken?token={token}&client_secret={}&sid={sid}",
            self.config().base_url,
            medium.as_str(),
            request.client_secret.replace('=', "%3D"),
        );
        let letter = match medium {
            Medium::Email => Letter::Validation { link, code: None },
            Medium::Msisdn => Letter::Validation {
                link: String::new(),
                code: Some(token.clone()),
            },
        };
        self.outbox().enqueue(batch, request.threepid, &letter)?;
        row.issue(medium, digest(&token), self.now_ms());
        row.send_attempt = request.send_attempt;
        row.next_link = request.next_link.map(ToOwned::to_owned);
        Ok(())
    }
}
