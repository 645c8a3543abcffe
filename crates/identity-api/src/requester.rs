//! Who makes a request.

use axum::extract::FromRequestParts;
use gatehouse_http::{ApiError, requester::access_token};
use http::request::Parts;
use ruma::OwnedUserId;

use crate::{IdentityApi, errors};

/// A user of the identity service who has agreed to its terms.
#[derive(Debug, Clone)]
pub(crate) struct Requester(pub(crate) OwnedUserId);

/// As [`Requester`], also before they have agreed: for agreeing, and for leaving.
#[derive(Debug, Clone)]
pub(crate) struct NewcomerRequester(pub(crate) OwnedUserId);

/// The access token, whatever it is worth.
#[derive(Clone)]
pub(crate) struct Token(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Token {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let token = access_token(parts).filter(|token| !token.is_empty());
        token.map(Self).ok_or_else(|| {
            ApiError::missing_token(
                "This needs an access token of the identity server. Send it as `Authorization: Bearer <token>`.",
            )
        })
    }
}

impl FromRequestParts<IdentityApi> for NewcomerRequester {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, api: &IdentityApi) -> Result<Self, ApiError> {
        let Token(token) = Token::from_request_parts(parts, api).await?;
        let session = api.identity.authenticate(&token).await.map_err(errors::auth)?;
        Ok(Self(session.user_id))
    }
}

impl FromRequestParts<IdentityApi> for Requester {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, api: &IdentityApi) -> Result<Self, ApiError> {
        let Token(token) = Token::from_request_parts(parts, api).await?;
        let session = api.identity.authenticate(&token).await.map_err(errors::auth)?;
        if !session.has_agreed {
            return Err(errors::terms_not_signed());
        }
        Ok(Self(session.user_id))
    }
}
