//! Proving to other services who one is.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_http::{ApiError, JsonObject, Path, Requester};
use ruma::OwnedUserId;
use serde_json::{Value, json};

use crate::{ClientApi, account_data::require_own};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route(
        "/user/{user_id}/openid/request_token",
        post(request_open_id_token),
    )
}

/// `POST /_matrix/client/v3/user/{userId}/openid/request_token`
async fn request_open_id_token(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(user_id): Path<OwnedUserId>,
    JsonObject(_): JsonObject,
) -> Result<Json<Value>, ApiError> {
    require_own(&requester, &user_id)?;
    let token = api.accounts.openid_token(&user_id).await?;
    Ok(Json(json!({
        "access_token": token.token.expose(),
        "token_type": "Bearer",
        "matrix_server_name": api.accounts.server_name(),
        "expires_in": token.expires_in_s,
    })))
}
