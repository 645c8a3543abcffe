//! Setting the state of a room.

use axum::{Json, Router, extract::State, routing::put};
use gatehouse_http::{ApiError, JsonText, Path, Requester};
use gatehouse_rooms::send::StateUpdate;
use ruma::{CanonicalJsonValue, OwnedRoomId, RoomId, UserId};
use serde_json::{Value, json};

use crate::{ClientApi, body, errors, limits};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route(
            "/rooms/{room_id}/state/{event_type}",
            put(set_room_state_with_type),
        )
        .route(
            "/rooms/{room_id}/state/{event_type}/",
            put(set_room_state_with_type),
        )
        .route(
            "/rooms/{room_id}/state/{event_type}/{state_key}",
            put(set_room_state_with_key),
        )
}

/// `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`
pub(crate) async fn set_room_state_with_key(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((room_id, kind, state_key)): Path<(OwnedRoomId, String, String)>,
    JsonText(text): JsonText,
) -> Result<Json<Value>, ApiError> {
    set(&api, &requester, &room_id, (kind, state_key), &text).await
}

/// The same with an empty state key, when the path ends with the type.
pub(crate) async fn set_room_state_with_type(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((room_id, kind)): Path<(OwnedRoomId, String)>,
    JsonText(text): JsonText,
) -> Result<Json<Value>, ApiError> {
    set(&api, &requester, &room_id, (kind, String::new()), &text).await
}

async fn set(
    api: &ClientApi,
    requester: &Requester,
    room_id: &RoomId,
    (kind, state_key): (String, String),
    body: &[u8],
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    let update = StateUpdate {
        kind,
        state_key,
        content: body::content(body)?,
        is_guest: requester.is_guest,
    };
    // Somebody suspended may leave rooms, by whatever path (client-server API, "Account suspension").
    if !is_leave(&update, &requester.user_id) {
        requester.refuse_suspended()?;
    }
    body::refuse_circle(room_id, &update.kind, &update.content)?;
    count(api, requester, room_id, &update).await?;
    check_canonical_alias(api, requester, room_id, &update).await?;
    let set = api.rooms.set_state(&requester.user_id, room_id, &update).await;
    Ok(Json(json!({ "event_id": set.map_err(errors::write_within)? })))
}

/// What `m.room.member` sets for whom counts as the request that is made for it (T32).
async fn count(
    api: &ClientApi,
    requester: &Requester,
    room_id: &RoomId,
    update: &StateUpdate,
) -> Result<(), ApiError> {
    match membership(update) {
        Some("join") => limits::join(api, requester, room_id).await,
        Some("invite") => match <&UserId>::try_from(update.state_key.as_str()) {
            Ok(target) => limits::invite(api, requester, room_id, target),
            Err(_) => limits::message(api, requester),
        },
        Some(_) | None => limits::message(api, requester),
    }
}

fn is_leave(update: &StateUpdate, user: &UserId) -> bool {
    membership(update) == Some("leave") && update.state_key == user.as_str()
}

fn membership(update: &StateUpdate) -> Option<&str> {
    if update.kind != "m.room.member" {
        return None;
    }
    update
        .content
        .get("membership")
        .and_then(CanonicalJsonValue::as_str)
}

/// New aliases of a canonical alias event must lead to the room. Who may not send it is told that, and nothing of
/// aliases.
async fn check_canonical_alias(
    api: &ClientApi,
    requester: &Requester,
    room_id: &RoomId,
    update: &StateUpdate,
) -> Result<(), ApiError> {
    let is_alias = update.kind == "m.room.canonical_alias" && update.state_key.is_empty();
    if !is_alias
        || !api
            .rooms
            .may_set_state(&requester.user_id, room_id, &update.kind)
            .await?
    {
        return Ok(());
    }
    let content = update.content.iter();
    let content = content
        .map(|(key, value)| (key.clone(), value.clone().into()))
        .collect();
    let checked = api.directory.check_canonical_alias(room_id, &content).await;
    checked.map_err(errors::canonical_alias)
}
