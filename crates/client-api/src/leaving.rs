//! Leaving rooms and forgetting them.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_http::{ApiError, EVENT_BODY, OptionalJsonBody, Path, Requester};
use gatehouse_rooms::{MembershipRequest, Refusal, WriteError};
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use crate::{ClientApi, body::Reason, errors, limits};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/rooms/{room_id}/leave", post(leave_room))
        .route("/rooms/{room_id}/forget", post(forget_room))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/leave`
pub(crate) async fn leave_room(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
    OptionalJsonBody(body): OptionalJsonBody<Reason, EVENT_BODY>,
) -> Result<Json<Value>, ApiError> {
    limits::message(&api, &requester)?;
    let request = MembershipRequest::because(body.reason);
    let left = api.rooms.leave(&requester.user_id, &room_id, &request).await;
    left.map_err(never_in)?;
    Ok(Json(json!({})))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/forget`
pub(crate) async fn forget_room(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    limits::message(&api, &requester)?;
    let forgotten = api.rooms.forget(&requester.user_id, &room_id).await;
    forgotten.map_err(never_in)?;
    Ok(Json(json!({})))
}

/// Whoever was never in a room is told the same whether it exists or not.
fn never_in(error: WriteError) -> ApiError {
    match error {
        WriteError::NoSuchRoom => errors::write(Refusal::NeverInRoom.into()),
        error => errors::write(error),
    }
}
