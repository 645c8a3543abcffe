//! Tokens at identity servers, for clients that bring none: we ask for one on the user's behalf, as the user's client
//! would, and keep it. Terms are never agreed to for them.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use gatehouse_store::Batch;
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::json;

use crate::{
    IdentityClient,
    calls::{CallError, Caller},
    error::IdentityClientError,
    store_invite::Dialect,
    tables::{TOKENS, TokenRow},
};

/// Longer tokens are nobody's.
const MAX_TOKEN_BYTES: usize = 4_096;

/// How we may speak with a server.
#[derive(Debug)]
pub(crate) enum Access {
    /// Today's API, with a token that the client gave.
    Given(String),
    /// Today's API, with a token that we asked for.
    Minted(String),
    /// The legacy API, which knows no tokens: the server has no other.
    Legacy,
}

impl Access {
    pub(crate) fn token(&self) -> Option<&str> {
        match self {
            Self::Given(token) | Self::Minted(token) => Some(token),
            Self::Legacy => None,
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Given(_) | Self::Minted(_) => Dialect::V2,
            Self::Legacy => Dialect::V1,
        }
    }
}

/// What is to be done after a call.
pub(crate) enum Next<T> {
    /// Nothing: this is how it ended.
    Done(Result<T, CallError>),
    /// The same again, with another access.
    With(Access),
}

/// What a server answers to who registers. Early ones said `access_token`; Sydent says both.
#[derive(Debug, Deserialize)]
struct Registered {
    token: Option<String>,
    access_token: Option<String>,
}

impl Registered {
    fn token(self) -> Option<String> {
        let token = self.token.or(self.access_token);
        token.filter(|token| !token.is_empty() && token.len() <= MAX_TOKEN_BYTES)
    }
}

impl IdentityClient {
    /// The token to use for the user at this server.
    pub(crate) async fn access(
        &self,
        user: &UserId,
        given: Option<&str>,
        (name, base): (&str, &str),
    ) -> Result<Access, IdentityClientError> {
        if let Some(token) = given {
            return Ok(Access::Given(token.to_owned()));
        }
        if let Some(token) = self.kept_token(user, name).await? {
            return Ok(Access::Minted(token));
        }
        self.mint(user, (name, base)).await
    }

    /// Whoever asks the server at this address.
    pub(crate) fn caller<'a>(&'a self, access: &'a Access, base: &'a str) -> Caller<'a> {
        Caller {
            outbound: self.outbound(),
            base,
            token: access.token(),
            plain: base.starts_with("http://"),
        }
    }

    /// What to do after a call: once more with a new token when ours has run out, and in the legacy API when the server
    /// has no other.
    pub(crate) async fn next<T>(
        &self,
        user: &UserId,
        server: (&str, &str),
        access: &Access,
        outcome: Result<T, CallError>,
    ) -> Result<Next<T>, IdentityClientError> {
        match (&outcome, access) {
            (Err(CallError::Unauthorized), Access::Minted(_)) => {
                self.forget_token(user, server.0).await?;
                Ok(Next::With(match self.mint(user, server).await? {
                    // A token that was given a moment ago and is refused stays refused.
                    Access::Minted(token) => Access::Given(token),
                    other => other,
                }))
            }
            (Err(CallError::NotThere), Access::Given(_) | Access::Minted(_)) => {
                Ok(Next::With(Access::Legacy))
            }
            _ => Ok(Next::Done(outcome)),
        }
    }

    async fn kept_token(&self, user: &UserId, name: &str) -> Result<Option<String>, IdentityClientError> {
        let key = (user.to_owned(), name.to_owned());
        let Some(row) = self.store().get(&TOKENS, &key).await? else {
            return Ok(None);
        };
        let sealed = STANDARD_NO_PAD.decode(row.sealed).unwrap_or_default();
        // What was sealed with an earlier signing key is as good as forgotten.
        Ok(self.seal().open(&owner(user, name), &sealed))
    }

    /// Registers the user with the server by an `OpenID` token of ours, and keeps the token that it gives.
    pub(crate) async fn mint(
        &self,
        user: &UserId,
        (name, base): (&str, &str),
    ) -> Result<Access, IdentityClientError> {
        let openid = self.accounts().openid_token(user).await?;
        let body = json!({
            "access_token": openid.token.expose(),
            "token_type": "Bearer",
            "matrix_server_name": self.accounts().server_name(),
            "expires_in": openid.expires_in_s,
        });
        let caller = self.caller(&Access::Legacy, base);
        let registered: Registered = match caller.post("/_matrix/identity/v2/account/register", &body).await {
            Ok(registered) => registered,
            Err(CallError::NotThere) => return Ok(Access::Legacy),
            Err(error) => return Err(IdentityClientError::of(&error, name)),
        };
        let token = registered.token().ok_or(IdentityClientError::BadAnswer)?;
        self.keep_token(user, name, &token).await?;
        Ok(Access::Minted(token))
    }

    async fn keep_token(&self, user: &UserId, name: &str, token: &str) -> Result<(), IdentityClientError> {
        let Some(sealed) = self.seal().close(&owner(user, name), token) else {
            // Without randomness it is not kept; the next invite asks for another.
            return Ok(());
        };
        let row = TokenRow {
            sealed: STANDARD_NO_PAD.encode(sealed),
        };
        let mut batch = Batch::new();
        batch.put(&TOKENS, &(user.to_owned(), name.to_owned()), &row);
        self.commit(batch).await
    }

    /// The server takes the token no more.
    pub(crate) async fn forget_token(&self, user: &UserId, name: &str) -> Result<(), IdentityClientError> {
        let mut batch = Batch::new();
        batch.delete(&TOKENS, &(OwnedUserId::from(user), name.to_owned()));
        self.commit(batch).await
    }
}

fn owner(user: &UserId, name: &str) -> String {
    format!("{user} {name}")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn token(answer: Value) -> Option<String> {
        serde_json::from_value::<Registered>(answer).unwrap().token()
    }

    #[test]
    fn the_token_is_found_under_either_name_and_under_both() {
        for answer in [
            json!({ "token": "t" }),
            json!({ "access_token": "t" }),
            json!({ "access_token": "t", "token": "t" }),
        ] {
            assert_eq!(token(answer.clone()).as_deref(), Some("t"), "{answer}");
        }
    }

    #[test]
    fn no_token_an_empty_one_and_one_beyond_bounds_are_none() {
        for answer in [
            json!({}),
            json!({ "token": "" }),
            json!({ "token": "t".repeat(MAX_TOKEN_BYTES + 1) }),
        ] {
            assert_eq!(token(answer), None);
        }
    }
}
