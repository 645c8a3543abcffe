//! New access tokens for refresh tokens.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_accounts::Secret;
use gatehouse_http::{ApiError, JsonBody};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ClientApi;

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/refresh", post(refresh))
}

#[derive(Deserialize)]
struct RefreshBody {
    refresh_token: Secret,
}

/// `POST /_matrix/client/v3/refresh`
async fn refresh(
    State(api): State<ClientApi>,
    JsonBody(body): JsonBody<RefreshBody>,
) -> Result<Json<Value>, ApiError> {
    let refreshed = api.accounts.refresh(body.refresh_token.expose()).await;
    let refreshed = refreshed?;
    Ok(Json(json!({
        "access_token": refreshed.access_token.expose(),
        "refresh_token": refreshed.refresh_token.expose(),
        "expires_in_ms": refreshed.expires_in_ms,
    })))
}
