//! Tags of rooms.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, put},
};
use gatehouse_http::{ApiError, JsonObject, Path, Requester};
use ruma::{OwnedRoomId, OwnedUserId};
use serde_json::{Value, json};

use crate::{ClientApi, account_data::require_own};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/user/{user_id}/rooms/{room_id}/tags", get(get_room_tags))
        .route(
            "/user/{user_id}/rooms/{room_id}/tags/{tag}",
            put(set_room_tag).delete(delete_room_tag),
        )
}

/// `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags`
async fn get_room_tags(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((user_id, room_id)): Path<(OwnedUserId, OwnedRoomId)>,
) -> Result<Json<Value>, ApiError> {
    require_own(&requester, &user_id)?;
    let tags = api.accounts.tags(&user_id, &room_id).await;
    Ok(Json(json!({ "tags": tags? })))
}

/// `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`
async fn set_room_tag(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((user_id, room_id, tag)): Path<(OwnedUserId, OwnedRoomId, String)>,
    JsonObject(content): JsonObject,
) -> Result<Json<Value>, ApiError> {
    require_own(&requester, &user_id)?;
    let set = api.accounts.set_tag(&user_id, &room_id, &tag, &content).await;
    set?;
    Ok(Json(json!({})))
}

/// `DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`
async fn delete_room_tag(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((user_id, room_id, tag)): Path<(OwnedUserId, OwnedRoomId, String)>,
) -> Result<Json<Value>, ApiError> {
    require_own(&requester, &user_id)?;
    let removed = api.accounts.remove_tag(&user_id, &room_id, &tag).await;
    removed?;
    Ok(Json(json!({})))
}
