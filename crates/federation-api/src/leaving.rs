//! Rejecting invites and taking knocks back.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, put},
};
use gatehouse_http::{ApiError, Path};
use gatehouse_rooms::Sent;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, owned_event_id};
use serde_json::{Value, json};

use crate::{
    FederationApi, errors,
    signed::{PDU_BODY, Signed},
};

pub(crate) fn routes_v1() -> Router<FederationApi> {
    Router::new()
        .route("/make_leave/{room_id}/{user_id}", get(make_leave))
        .route("/send_leave/{room_id}/{event_id}", put(send_leave_v1))
}

pub(crate) fn routes_v2() -> Router<FederationApi> {
    Router::new().route("/send_leave/{room_id}/{event_id}", put(send_leave_v2))
}

/// `GET /_matrix/federation/v1/make_leave/{roomId}/{userId}`
async fn make_leave(
    State(api): State<FederationApi>,
    Path((room_id, user_id)): Path<(OwnedRoomId, OwnedUserId)>,
    signed: Signed,
) -> Result<Json<Value>, ApiError> {
    let made = api.rooms.make_leave(&signed.origin, &room_id, &user_id).await;
    let template = made.map_err(errors::peer)?;
    Ok(Json(
        json!({ "room_version": template.room_version, "event": template.event }),
    ))
}

/// `PUT /_matrix/federation/v1/send_leave/{roomId}/{eventId}`
async fn send_leave_v1(
    State(api): State<FederationApi>,
    Path(path): Path<(OwnedRoomId, String)>,
    signed: Signed<PDU_BODY>,
) -> Result<Json<Value>, ApiError> {
    leave(&api, path, &signed).await?;
    Ok(Json(json!([200, {}])))
}

/// `PUT /_matrix/federation/v2/send_leave/{roomId}/{eventId}`
async fn send_leave_v2(
    State(api): State<FederationApi>,
    Path(path): Path<(OwnedRoomId, String)>,
    signed: Signed<PDU_BODY>,
) -> Result<Json<Value>, ApiError> {
    leave(&api, path, &signed).await?;
    Ok(Json(json!({})))
}

async fn leave(
    api: &FederationApi,
    (room_id, event_id): (OwnedRoomId, String),
    signed: &Signed<PDU_BODY>,
) -> Result<(), ApiError> {
    // An id that is none is no event's: what is wrong with the event itself is told first.
    let event_id = OwnedEventId::try_from(event_id).unwrap_or_else(|_| owned_event_id!("$"));
    let sent = Sent {
        origin: &signed.origin,
        room_id: &room_id,
        event_id: &event_id,
        pdu: signed.json()?,
    };
    api.rooms.send_leave(sent).await.map_err(errors::peer)
}
