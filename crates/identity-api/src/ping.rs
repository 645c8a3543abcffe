//! Whether there is an identity server.

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

use crate::IdentityApi;

pub(crate) fn routes() -> Router<IdentityApi> {
    // Some clients write the slash that others leave out.
    Router::new().route("/v2", get(ping)).route("/v2/", get(ping))
}

/// The same for the API of 2015.
pub(crate) fn legacy_routes() -> Router<IdentityApi> {
    Router::new()
        .route("/api/v1", get(ping))
        .route("/api/v1/", get(ping))
}

/// `GET /_matrix/identity/v2`, `GET /_matrix/identity/api/v1`
async fn ping() -> Json<Value> {
    Json(json!({}))
}
