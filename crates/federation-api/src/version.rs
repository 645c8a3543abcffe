//! What program this is.

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

use crate::FederationApi;

pub(crate) fn routes() -> Router<FederationApi> {
    Router::new().route("/version", get(get_version))
}

/// `GET /_matrix/federation/v1/version`
async fn get_version() -> Json<Value> {
    Json(json!({ "server": { "name": "Gatehouse", "version": env!("CARGO_PKG_VERSION") } }))
}
