//! Replacing a room by one of another version.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_http::{ApiError, JsonBody, Path, Requester};
use gatehouse_rooms::WriteError;
use ruma::{OwnedRoomId, RoomId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ClientApi, body, errors, limits};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/rooms/{room_id}/upgrade", post(upgrade_room))
}

#[derive(Deserialize)]
struct Body {
    new_version: String,
    additional_creators: Option<Vec<String>>,
}

/// `POST /_matrix/client/v3/rooms/{roomId}/upgrade`
async fn upgrade_room(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
    JsonBody(body): JsonBody<Body>,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    requester.refuse_suspended()?;
    let Ok(version) = body.new_version.parse() else {
        return Err(errors::write(WriteError::UnknownRoomVersion(body.new_version)));
    };
    let creators = body.additional_creators.unwrap_or_default();
    let creators = creators.iter().map(|user| body::user_id(user));
    let creators: Vec<_> = creators.collect::<Result<_, _>>()?;
    limits::message(&api, &requester)?;
    let upgraded = api
        .rooms
        .upgrade(&requester.user_id, &room_id, version, &creators, None)
        .await;
    let replacement = upgraded.map_err(errors::write)?;
    if let Err(error) = api.directory.follow_upgrade(&room_id, &replacement).await {
        // The room is replaced all the same, and whoever may can move the aliases themselves.
        tracing::warn!(%room_id, %error, "the aliases of an upgraded room have not moved");
    }
    follow(&api, &requester.user_id, &replacement).await;
    Ok(Json(json!({ "replacement_room": replacement })))
}

/// Takes along what belongs to the room that this one replaces, for one who has just come in: the user's own data, and the
/// aliases that this server gave it.
pub(crate) async fn follow(api: &ClientApi, user: &UserId, room: &RoomId) {
    if let Err(error) = try_follow(api, user, room).await {
        // They are in all the same, and can tag the room and move the aliases themselves.
        tracing::warn!(%room, ?error, "what belongs to an upgraded room has not gone along");
    }
}

async fn try_follow(api: &ClientApi, user: &UserId, room: &RoomId) -> Result<(), ApiError> {
    if let Some(former) = api.rooms.predecessor_of(room).await? {
        api.accounts.follow_room(user, &former, room).await?;
        // Where it was upgraded on another server, this is when ours gets to know the new room.
        let moved = api.directory.follow_upgrade(&former, room).await;
        moved.map_err(errors::alias)?;
    }
    Ok(())
}
