//! Filters that clients store.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use gatehouse_http::{ApiError, FILTER_BODY, JsonObject, Path, Requester};
use ruma::OwnedUserId;
use serde_json::{Value, json, value::RawValue};

use crate::{ClientApi, account_data::require_own};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/user/{user_id}/filter", post(define_filter))
        .route("/user/{user_id}/filter/{filter_id}", get(get_filter))
}

/// `POST /_matrix/client/v3/user/{userId}/filter`
async fn define_filter(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(user_id): Path<OwnedUserId>,
    JsonObject(filter): JsonObject<FILTER_BODY>,
) -> Result<Json<Value>, ApiError> {
    require_own(&requester, &user_id)?;
    let filter_id = api.accounts.define_filter(&user_id, &filter).await;
    Ok(Json(json!({ "filter_id": filter_id? })))
}

/// `GET /_matrix/client/v3/user/{userId}/filter/{filterId}`
async fn get_filter(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((user_id, filter_id)): Path<(OwnedUserId, String)>,
) -> Result<Json<Box<RawValue>>, ApiError> {
    require_own(&requester, &user_id)?;
    let filter = api.accounts.filter(&user_id, &filter_id).await;
    filter?
        .and_then(|filter| RawValue::from_string(filter).ok())
        .map(Json)
        .ok_or_else(|| ApiError::not_found("You have stored no such filter."))
}
