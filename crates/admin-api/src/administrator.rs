//! Who may use this API.

use axum::extract::FromRequestParts;
use gatehouse_http::{ApiError, Requester};
use http::request::Parts;
use ruma::UserId;

use crate::AdminApi;

/// A requester who is an administrator. A handler that takes one is closed to everybody else.
#[derive(Debug)]
pub(crate) struct Administrator(Requester);

impl Administrator {
    /// Who it is.
    pub(crate) fn user_id(&self) -> &UserId {
        &self.0.user_id
    }
}

impl FromRequestParts<AdminApi> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AdminApi) -> Result<Self, ApiError> {
        let requester = Requester::from_request_parts(parts, state).await?;
        if requester.is_admin {
            Ok(Self(requester))
        } else {
            Err(ApiError::forbidden(
                "Only administrators of this server may do this.",
            ))
        }
    }
}
