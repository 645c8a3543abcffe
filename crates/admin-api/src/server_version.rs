//! Which version of the program this is.

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

use crate::{AdminApi, administrator::Administrator};

pub(crate) fn routes() -> Router<AdminApi> {
    Router::new().route("/v1/server_version", get(get_version))
}

/// `GET /_synapse/admin/v1/server_version`
async fn get_version(_administrator: Administrator) -> Json<Value> {
    Json(json!({ "server_version": concat!("Gatehouse ", env!("CARGO_PKG_VERSION")) }))
}
