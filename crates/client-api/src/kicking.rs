//! Taking others out of a room.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_http::{ApiError, EVENT_BODY, JsonBody, Path, Requester};
use gatehouse_rooms::MembershipRequest;
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use crate::{ClientApi, body::Target, errors, limits};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/rooms/{room_id}/kick", post(kick))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/kick`
pub(crate) async fn kick(
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
    let kicked = api
        .rooms
        .kick(&requester.user_id, &target, &room_id, &request)
        .await;
    kicked.map_err(errors::write_within)?;
    Ok(Json(json!({})))
}
