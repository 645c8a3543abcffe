//! Whose an access token is.

use axum::{Json, Router, routing::get};
use gatehouse_http::Requester;
use serde_json::{Value, json};

use crate::ClientApi;

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/account/whoami", get(get_token_owner))
}

/// `GET /_matrix/client/v3/account/whoami`
async fn get_token_owner(requester: Requester) -> Json<Value> {
    let session = &requester;
    Json(json!({
        "user_id": session.user_id,
        "device_id": session.device_id,
        "is_guest": session.is_guest,
    }))
}
