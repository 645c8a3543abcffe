//! E-mail addresses and phone numbers of an account. None can be added yet.

use axum::{Json, Router, routing::get};
use gatehouse_http::Requester;
use serde_json::{Value, json};

use crate::ClientApi;

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/account/3pid", get(get_account_3pids))
}

/// `GET /_matrix/client/v3/account/3pid`
async fn get_account_3pids(_requester: Requester) -> Json<Value> {
    Json(json!({ "threepids": [] }))
}
