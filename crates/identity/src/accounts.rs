//! Accounts of the identity service: whoever brings an OpenID token of their homeserver gets an access token.

use gatehouse_store::{Batch, Range, json_value};
use ruma::{OwnedUserId, ServerName, UserId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    HomeserverError, Identity, Secret, Unavailable, access_token,
    digest::{Digest, digest},
    identity::ATTEMPTS,
    tables::{ACCESS_TOKENS, TOKENS_BY_EXPIRY, USER_TOKENS},
};

/// How long an access token lives. Clients register again when theirs is refused.
const TOKEN_LIFETIME_MS: u64 = 180 * 24 * 3_600 * 1_000;

/// How many tokens a user has at once; beyond, the oldest ends. A device keeps one.
const MAX_TOKENS_PER_USER: usize = 100;

/// The longest OpenID token that is passed on: a homeserver's own tokens are far shorter.
const MAX_OPENID_TOKEN_BYTES: usize = 4_096;

/// What is stored of an access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessTokenRow {
    pub(crate) user_id: OwnedUserId,
    pub(crate) expires_ms: u64,
}
json_value!(AccessTokenRow);

/// What a homeserver gave its user (`/openid/request_token`).
#[derive(Debug, Clone)]
pub struct OpenIdToken {
    /// The token.
    pub access_token: Secret,
    /// Which server gave it, as the client says.
    pub matrix_server_name: String,
    /// Of what kind it is; `Bearer` is the only one there is.
    pub token_type: Option<String>,
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentitySession {
    /// The user.
    pub user_id: OwnedUserId,
    /// Whether all terms are agreed to. Without, only terms, account and logout are for them.
    pub has_agreed: bool,
}

/// Why nobody was registered.
#[derive(Debug, Clone, Error)]
pub enum RegisterError {
    /// It breaks the grammar.
    #[error("`matrix_server_name` is not the name of a server.")]
    InvalidServerName,
    /// Empty, too long, or not a bearer token.
    #[error(
        "`access_token` must be an OpenID token of the kind `Bearer`, from your homeserver's `/openid/request_token`."
    )]
    InvalidToken,
    /// The homeserver does not know it, or it names a user of another one.
    #[error("Your homeserver does not confirm this OpenID token. Ask it for a new one.")]
    NotConfirmed,
    /// The homeserver is away.
    #[error("Your homeserver cannot be reached to confirm the OpenID token; try again later.")]
    HomeserverUnreachable,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why an access token stands for nobody.
#[derive(Debug, Clone, Error)]
pub enum AuthError {
    /// Never given, logged out, or expired.
    #[error("Unrecognised access token. Register with the identity server again.")]
    UnknownToken,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Identity {
    /// `POST /account/register`: an access token for whom the homeserver says that the OpenID token belongs to.
    pub async fn register(&self, token: &OpenIdToken) -> Result<Secret, RegisterError> {
        let server = ServerName::parse(token.matrix_server_name.as_str())
            .map_err(|_| RegisterError::InvalidServerName)?;
        let is_bearer = token
            .token_type
            .as_deref()
            .is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
        let text = token.access_token.expose();
        if !is_bearer || text.is_empty() || text.len() > MAX_OPENID_TOKEN_BYTES {
            return Err(RegisterError::InvalidToken);
        }
        let user_id = self
            .homeservers()
            .openid_user(&server, text)
            .await
            .map_err(|error| match error {
                HomeserverError::Later(_) => RegisterError::HomeserverUnreachable,
                HomeserverError::Never(_) => RegisterError::NotConfirmed,
            })?;
        // A server speaks for its own users only.
        if user_id.server_name() != server {
            return Err(RegisterError::NotConfirmed);
        }
        Ok(self.new_access_token(&user_id).await?)
    }

    /// Who the access token stands for.
    pub async fn authenticate(&self, token: &str) -> Result<IdentitySession, AuthError> {
        let (_, row) = self.token_row(token).await?;
        let has_agreed = self.has_agreed(&row.user_id).await?;
        Ok(IdentitySession {
            user_id: row.user_id,
            has_agreed,
        })
    }

    /// `POST /account/logout`: the token stands for nobody any more.
    pub async fn logout(&self, token: &str) -> Result<(), AuthError> {
        let (digest, row) = self.token_row(token).await?;
        let mut batch = Batch::new();
        delete_token(&mut batch, &row.user_id, row.expires_ms, digest);
        self.commit(batch).await?;
        Ok(())
    }

    async fn token_row(&self, token: &str) -> Result<(Digest, AccessTokenRow), AuthError> {
        if !access_token::is_plausible(token) {
            return Err(AuthError::UnknownToken);
        }
        let digest = digest(token);
        let row = self.get(&ACCESS_TOKENS, &(digest,)).await?;
        match row {
            Some(row) if self.now_ms() < row.expires_ms => Ok((digest, row)),
            _ => Err(AuthError::UnknownToken),
        }
    }

    async fn new_access_token(&self, user_id: &UserId) -> Result<Secret, Unavailable> {
        let token = access_token::generate()?;
        let digest = digest(token.expose());
        for _ in 0..ATTEMPTS {
            let expires_ms = self.now_ms().saturating_add(TOKEN_LIFETIME_MS);
            let row = AccessTokenRow {
                user_id: user_id.to_owned(),
                expires_ms,
            };
            let mut batch = Batch::new();
            self.end_surplus_tokens(&mut batch, user_id).await?;
            batch.put(&ACCESS_TOKENS, &(digest,), &row);
            batch.put(&USER_TOKENS, &(user_id.to_owned(), digest), &(expires_ms,));
            batch.put(&TOKENS_BY_EXPIRY, &(expires_ms, digest), &());
            if self.commit(batch).await?.is_some() {
                return Ok(token);
            }
        }
        Err(Unavailable::Contended)
    }

    async fn end_surplus_tokens(&self, batch: &mut Batch, user_id: &UserId) -> Result<(), Unavailable> {
        let range = Range::prefix(&(user_id.to_owned(),));
        let mut tokens = self.scan(&USER_TOKENS, &range, usize::MAX).await?;
        let surplus = (tokens.len() + 1).saturating_sub(MAX_TOKENS_PER_USER);
        tokens.sort_by_key(|(_, (expires_ms,))| *expires_ms);
        for ((_, digest), (expires_ms,)) in tokens.into_iter().take(surplus) {
            delete_token(batch, user_id, expires_ms, digest);
        }
        Ok(())
    }

    /// Deletes some of the access tokens that have expired; whether there may be more.
    pub(crate) async fn sweep_tokens(&self, limit: usize) -> Result<bool, Unavailable> {
        let range = Range::all().before(&(self.now_ms(),));
        let expired = self.scan(&TOKENS_BY_EXPIRY, &range, limit).await?;
        let digests: Vec<_> = expired.iter().map(|((_, digest), ())| (*digest,)).collect();
        let rows = self.store().get_many(&ACCESS_TOKENS, &digests).await?;
        let mut batch = Batch::new();
        for (((expires_ms, digest), ()), row) in expired.iter().zip(rows) {
            match row {
                Some(row) => delete_token(&mut batch, &row.user_id, *expires_ms, *digest),
                None => batch.delete(&TOKENS_BY_EXPIRY, &(*expires_ms, *digest)),
            }
        }
        if !batch.is_empty() {
            self.commit(batch).await?;
        }
        Ok(expired.len() == limit)
    }
}

fn delete_token(batch: &mut Batch, user_id: &UserId, expires_ms: u64, digest: Digest) {
    batch.delete(&ACCESS_TOKENS, &(digest,));
    batch.delete(&USER_TOKENS, &(user_id.to_owned(), digest));
    batch.delete(&TOKENS_BY_EXPIRY, &(expires_ms, digest));
}
