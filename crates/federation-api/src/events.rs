//! Events and the state around them.

use axum::{Json, Router, extract::State, response::Response, routing::get};
use gatehouse_http::{ApiError, Path, Query};
use gatehouse_store::Direction;
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use crate::{
    FederationApi, errors,
    signed::Signed,
    state_body::{self, Frame},
};

pub(crate) fn routes() -> Router<FederationApi> {
    Router::new()
        .route("/state/{room_id}", get(get_room_state))
        .route("/state_ids/{room_id}", get(get_room_state_ids))
        .route("/event/{event_id}", get(get_event))
        .route("/timestamp_to_event/{room_id}", get(get_event_by_timestamp))
}

/// Events in the form of a transaction.
#[derive(Serialize)]
pub(crate) struct Events {
    origin: OwnedServerName,
    origin_server_ts: u64,
    pdus: Vec<Box<RawValue>>,
}

impl Events {
    pub(crate) fn of(api: &FederationApi, pdus: Vec<Box<RawValue>>) -> Self {
        Self {
            origin: api.federation.server_name().to_owned(),
            origin_server_ts: api.federation.now_ms(),
            pdus,
        }
    }
}

#[derive(Deserialize)]
struct At {
    event_id: OwnedEventId,
}

/// `GET /_matrix/federation/v1/state/{roomId}`
async fn get_room_state(
    State(api): State<FederationApi>,
    Path(room_id): Path<OwnedRoomId>,
    Query(at): Query<At>,
    signed: Signed,
) -> Result<Response, ApiError> {
    let state = api
        .rooms
        .state_for_server(&signed.origin, &room_id, &at.event_id)
        .await;
    let frame = Frame {
        before: "{\"pdus\":[".to_owned(),
        between: Some("],\"auth_chain\":["),
        after: "]}",
    };
    state_body::answer(state.map_err(errors::peer)?, frame, signed.into_turn()).await
}

/// `GET /_matrix/federation/v1/state_ids/{roomId}`
async fn get_room_state_ids(
    State(api): State<FederationApi>,
    Path(room_id): Path<OwnedRoomId>,
    Query(at): Query<At>,
    signed: Signed,
) -> Result<Json<Value>, ApiError> {
    let state = api
        .rooms
        .state_ids_for_server(&signed.origin, &room_id, &at.event_id)
        .await;
    let state = state.map_err(errors::peer)?;
    Ok(Json(
        json!({ "pdu_ids": state.state, "auth_chain_ids": state.auth_chain }),
    ))
}

/// `GET /_matrix/federation/v1/event/{eventId}`
async fn get_event(
    State(api): State<FederationApi>,
    Path(event_id): Path<OwnedEventId>,
    signed: Signed,
) -> Result<Json<Events>, ApiError> {
    let event = api.rooms.event_for_server(&signed.origin, &event_id).await;
    let event = event.map_err(errors::peer)?;
    Ok(Json(Events::of(&api, vec![event])))
}

#[derive(Deserialize)]
struct When {
    ts: u64,
    dir: String,
}

/// `GET /_matrix/federation/v1/timestamp_to_event/{roomId}`
async fn get_event_by_timestamp(
    State(api): State<FederationApi>,
    Path(room_id): Path<OwnedRoomId>,
    Query(when): Query<When>,
    signed: Signed,
) -> Result<Json<Value>, ApiError> {
    let direction = match when.dir.as_str() {
        "f" => Direction::Forward,
        "b" => Direction::Backward,
        _ => return Err(ApiError::invalid_param("The `dir` must be `f` or `b`.")),
    };
    let found = api
        .rooms
        .timestamp_to_event_for_server(&signed.origin, &room_id, when.ts, direction)
        .await;
    let (event_id, origin_server_ts) = found.map_err(errors::peer)?;
    Ok(Json(
        json!({ "event_id": event_id, "origin_server_ts": origin_server_ts }),
    ))
}
