//! Knocking at rooms that this server is in.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, put},
};
use gatehouse_http::{ApiError, Path, RawQuery};
use gatehouse_rooms::Sent;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    FederationApi, errors,
    joins::room_versions,
    signed::{PDU_BODY, Signed},
};

pub(crate) fn routes() -> Router<FederationApi> {
    Router::new()
        .route("/make_knock/{room_id}/{user_id}", get(make_knock))
        .route("/send_knock/{room_id}/{event_id}", put(send_knock))
}

/// What the user who knocks is shown of the room.
#[derive(Serialize)]
struct Knocked {
    knock_room_state: Vec<Box<RawValue>>,
}

/// `GET /_matrix/federation/v1/make_knock/{roomId}/{userId}`
async fn make_knock(
    State(api): State<FederationApi>,
    Path((room_id, user_id)): Path<(OwnedRoomId, OwnedUserId)>,
    query: RawQuery,
    signed: Signed,
) -> Result<Json<Value>, ApiError> {
    let versions = room_versions(&query);
    let made = api
        .rooms
        .make_knock(&signed.origin, &room_id, &user_id, &versions)
        .await;
    let template = made.map_err(errors::peer)?;
    Ok(Json(
        json!({ "room_version": template.room_version, "event": template.event }),
    ))
}

/// `PUT /_matrix/federation/v1/send_knock/{roomId}/{eventId}`
async fn send_knock(
    State(api): State<FederationApi>,
    Path((room_id, event_id)): Path<(OwnedRoomId, OwnedEventId)>,
    signed: Signed<PDU_BODY>,
) -> Result<Json<Knocked>, ApiError> {
    let sent = Sent {
        origin: &signed.origin,
        room_id: &room_id,
        event_id: &event_id,
        pdu: signed.json()?,
    };
    let knock_room_state = api.rooms.send_knock(sent).await.map_err(errors::peer)?;
    Ok(Json(Knocked { knock_room_state }))
}
