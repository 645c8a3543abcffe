//! Room aliases.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_directory::Actor;
use gatehouse_http::{ApiError, JsonBody, Path, Requester};
use ruma::{OwnedRoomId, RoomId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ClientApi, errors};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route(
            "/directory/room/{room_alias}",
            get(get_room_id_by_alias)
                .put(set_room_alias)
                .delete(delete_room_alias),
        )
        .route("/rooms/{room_id}/aliases", get(get_local_aliases))
}

/// Who changes the directory.
pub(crate) fn actor(requester: &Requester) -> Actor<'_> {
    if requester.is_admin {
        Actor::Administrator(&requester.user_id)
    } else {
        Actor::User(&requester.user_id)
    }
}

/// `GET /_matrix/client/v3/directory/room/{roomAlias}`
async fn get_room_id_by_alias(
    State(api): State<ClientApi>,
    Path(alias): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let resolved = api.directory.resolve(&alias).await.map_err(errors::alias)?;
    Ok(Json(
        json!({ "room_id": resolved.room_id, "servers": resolved.servers }),
    ))
}

#[derive(Deserialize)]
struct AliasBody {
    room_id: Option<String>,
}

/// `PUT /_matrix/client/v3/directory/room/{roomAlias}`
async fn set_room_alias(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(alias): Path<String>,
    JsonBody(body): JsonBody<AliasBody>,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    requester.refuse_suspended()?;
    let room_id = body.room_id.ok_or_else(|| {
        ApiError::missing_param("The body lacks the `room_id` of the room that gets the alias.")
    })?;
    let room_id = <&RoomId>::try_from(room_id.as_str())
        .map_err(|_| ApiError::invalid_param("`room_id` is not a room id."))?;
    let added = api.directory.add_alias(actor(&requester), &alias, room_id).await;
    added.map_err(errors::alias)?;
    Ok(Json(json!({})))
}

/// `DELETE /_matrix/client/v3/directory/room/{roomAlias}`
async fn delete_room_alias(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(alias): Path<String>,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_suspended()?;
    let removed = api.directory.remove_alias(actor(&requester), &alias).await;
    removed.map_err(errors::alias)?;
    Ok(Json(json!({})))
}

/// `GET /_matrix/client/v3/rooms/{roomId}/aliases`
async fn get_local_aliases(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
) -> Result<Json<Value>, ApiError> {
    let aliases = api.directory.aliases_of(actor(&requester), &room_id).await;
    Ok(Json(json!({ "aliases": aliases.map_err(errors::alias)? })))
}
