//! `GET /health`, for load balancers and supervisors.

use axum::{Router, extract::State, http::StatusCode, routing::get};
use gatehouse_store::Store;

use crate::tables::PROBE;

/// `/health`: 200 `OK` when the server can serve, 503 with the reason when not.
pub fn health_router(store: Store) -> Router {
    Router::new().route("/health", get(health)).with_state(store)
}

/// `GET /health`
async fn health(State(store): State<Store>) -> (StatusCode, String) {
    match store.get(&PROBE, &(0,)).await {
        Ok(_) => (StatusCode::OK, "OK".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}
