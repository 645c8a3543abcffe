//! This server's keys.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::ApiError;
use serde_json::Value;

use crate::FederationApi;

pub(crate) fn routes() -> Router<FederationApi> {
    Router::new()
        .route("/server", get(get_server_key))
        // As Sydent asks, and as everybody did when one asked for one key. The answer was always all of them.
        .route("/server/", get(get_server_key))
        .route("/server/{key_id}", get(get_server_key))
}

/// `GET /_matrix/key/v2/server`
async fn get_server_key(State(api): State<FederationApi>) -> Result<Json<Value>, ApiError> {
    let keys = api.federation.own_keys();
    Ok(Json(
        keys.map_err(|error| ApiError::unavailable(error.to_string()))?,
    ))
}
