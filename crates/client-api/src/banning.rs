//! Banning users from rooms, and lifting bans.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_http::{ApiError, EVENT_BODY, JsonBody, Path, Requester};
use gatehouse_rooms::MembershipRequest;
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use crate::{ClientApi, body::Target, errors, limits};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/rooms/{room_id}/ban", post(ban))
        .route("/rooms/{room_id}/unban", post(unban))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/ban`
pub(crate) async fn ban(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
    JsonBody(body): JsonBody<Target, EVENT_BODY>,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    requester.refuse_suspended()?;
    let target = body.user_id()?;
    limits::message(&api, &requester)?;
    let request = MembershipRequest::because(body.reason);
    let banned = api
        .rooms
        .ban(&requester.user_id, &target, &room_id, &request)
        .await;
    banned.map_err(errors::write_within)?;
    Ok(Json(json!({})))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/unban`
pub(crate) async fn unban(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
    JsonBody(body): JsonBody<Target, EVENT_BODY>,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    requester.refuse_suspended()?;
    let target = body.user_id()?;
    limits::message(&api, &requester)?;
    let request = MembershipRequest::because(body.reason);
    let unbanned = api
        .rooms
        .unban(&requester.user_id, &target, &room_id, &request)
        .await;
    unbanned.map_err(errors::write_within)?;
    Ok(Json(json!({})))
}
