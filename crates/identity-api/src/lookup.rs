//! Lookups by hashes.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use gatehouse_http::{ApiError, ClientAddress, JsonText, address_key};
use gatehouse_identity::LookupRequest;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{IdentityApi, errors, requester::Requester};

/// The longest body: 20,000 hashes, where an operator allows so many.
const MAX_BODY: usize = 1 << 20;

/// The longest body unless the operator allows more addresses than usual (limits, "Body sizes in").
const USUAL_BODY: usize = 256 << 10;

/// A hash with what stands around it, generously.
const BYTES_FOR_AN_ADDRESS: usize = 64;

pub(crate) fn routes() -> Router<IdentityApi> {
    Router::new()
        .route("/hash_details", get(get_hash_details))
        .route("/lookup", post(lookup_users))
}

/// `GET /_matrix/identity/v2/hash_details`
async fn get_hash_details(State(api): State<IdentityApi>, _: Requester) -> Result<Json<Value>, ApiError> {
    let details = api.identity.hash_details().await.map_err(errors::unavailable)?;
    Ok(Json(json!({
        "lookup_pepper": details.lookup_pepper,
        "algorithms": details.algorithms,
    })))
}

#[derive(Deserialize)]
struct LookupBody {
    algorithm: String,
    pepper: String,
    addresses: Vec<String>,
}

/// `POST /_matrix/identity/v2/lookup`
async fn lookup_users(
    State(api): State<IdentityApi>,
    Requester(user_id): Requester,
    ClientAddress(asker): ClientAddress,
    JsonText(body): JsonText<MAX_BODY>,
) -> Result<Json<Value>, ApiError> {
    let wanted = api.identity.config().lookup.max_addresses;
    let most = USUAL_BODY.max(wanted.saturating_mul(BYTES_FOR_AN_ADDRESS));
    if body.len() > most {
        let message = format!("The body is too large: {} KiB at most.", most >> 10);
        return Err(ApiError::too_large(message));
    }
    let body: LookupBody = serde_json::from_slice(&body).map_err(errors::body)?;
    let request = LookupRequest {
        algorithm: &body.algorithm,
        pepper: &body.pepper,
        addresses: &body.addresses,
    };
    let network = address_key(asker);
    api.identity.count_lookup_from(&network).map_err(errors::lookup)?;
    let mappings = api
        .identity
        .lookup(&user_id, &request)
        .await
        .map_err(errors::lookup)?;
    Ok(Json(json!({ "mappings": mappings })))
}
