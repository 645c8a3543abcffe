//! Which versions of the specification are spoken here.

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

use crate::IdentityApi;

const VERSIONS: [&str; 19] = [
    "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12",
    "v1.13", "v1.14", "v1.15", "v1.16", "v1.17", "v1.18", "v1.19",
];

pub(crate) fn routes() -> Router<IdentityApi> {
    Router::new().route("/versions", get(get_versions))
}

/// `GET /_matrix/identity/versions`
async fn get_versions() -> Json<Value> {
    Json(json!({ "versions": VERSIONS }))
}
