//! Which versions of the specification are spoken here.

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

use crate::ClientApi;

const VERSIONS: [&str; 27] = [
    "r0.0.1", "r0.1.0", "r0.2.0", "r0.3.0", "r0.4.0", "r0.5.0", "r0.6.0", "r0.6.1", "v1.1", "v1.2", "v1.3",
    "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12", "v1.13", "v1.14", "v1.15",
    "v1.16", "v1.17", "v1.18", "v1.19",
];

/// Under `/_matrix/client` itself.
pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/versions", get(get_versions))
}

/// `GET /_matrix/client/versions`
async fn get_versions() -> Json<Value> {
    Json(json!({ "versions": VERSIONS, "unstable_features": {} }))
}
