//! Which rooms a user is in.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, Path};
use ruma::OwnedUserId;
use serde_json::{Value, json};

use crate::{AdminApi, administrator::Administrator, users::find};

pub(crate) fn routes() -> Router<AdminApi> {
    Router::new().route("/v1/users/{user_id}/joined_rooms", get(joined_rooms))
}

/// `GET /_synapse/admin/v1/users/{userId}/joined_rooms`
async fn joined_rooms(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(user_id): Path<OwnedUserId>,
) -> Result<Json<Value>, ApiError> {
    find(&api.accounts, &user_id).await?;
    let rooms = api.rooms.joined_rooms(&user_id).await?;
    Ok(Json(json!({ "total": rooms.len(), "joined_rooms": rooms })))
}
