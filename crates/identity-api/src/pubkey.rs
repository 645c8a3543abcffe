//! Public keys, and whether they count.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, Path, Query};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{IdentityApi, errors};

pub(crate) fn routes() -> Router<IdentityApi> {
    Router::new()
        .route("/pubkey/{key_id}", get(get_pub_key))
        .route("/pubkey/isvalid", get(is_pub_key_valid))
        .route("/pubkey/ephemeral/isvalid", get(is_ephemeral_pub_key_valid))
}

/// `GET /_matrix/identity/v2/pubkey/{keyId}`
async fn get_pub_key(
    State(api): State<IdentityApi>,
    Path(key_id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let key = api
        .identity
        .public_key(&key_id)
        .await
        .map_err(errors::unavailable)?;
    let key = key.ok_or_else(|| ApiError::not_found("This server has no such key."))?;
    Ok(Json(json!({ "public_key": key })))
}

#[derive(Deserialize)]
struct KeyQuery {
    public_key: String,
}

impl KeyQuery {
    /// Servers in the field forget to escape `+`, which a query reads as a space. No key has one.
    fn key(&self) -> String {
        self.public_key.replace(' ', "+")
    }
}

/// `GET /_matrix/identity/v2/pubkey/isvalid`
async fn is_pub_key_valid(
    State(api): State<IdentityApi>,
    query: Query<KeyQuery>,
) -> Result<Json<Value>, ApiError> {
    let valid = api.identity.is_valid(&query.key()).await;
    Ok(Json(json!({ "valid": valid.map_err(errors::unavailable)? })))
}

/// `GET /_matrix/identity/v2/pubkey/ephemeral/isvalid`
async fn is_ephemeral_pub_key_valid(
    State(api): State<IdentityApi>,
    query: Query<KeyQuery>,
) -> Result<Json<Value>, ApiError> {
    let valid = api.identity.is_ephemeral_valid(&query.key()).await;
    Ok(Json(json!({ "valid": valid.map_err(errors::unavailable)? })))
}
