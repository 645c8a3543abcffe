//! Logging out.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_http::{ApiError, LockedRequester};
use serde_json::{Value, json};

use crate::ClientApi;

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/logout", post(logout))
        .route("/logout/all", post(logout_all))
}

/// `POST /_matrix/client/v3/logout`
async fn logout(State(api): State<ClientApi>, requester: LockedRequester) -> Result<Json<Value>, ApiError> {
    api.accounts.log_out(&requester).await?;
    Ok(Json(json!({})))
}

/// `POST /_matrix/client/v3/logout/all`
async fn logout_all(
    State(api): State<ClientApi>,
    requester: LockedRequester,
) -> Result<Json<Value>, ApiError> {
    api.accounts.log_out_everywhere(&requester).await?;
    Ok(Json(json!({})))
}
