//! Joining rooms that this server is in.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, put},
};
use gatehouse_http::{ApiError, Path, RawQuery};
use gatehouse_rooms::{JoinAnswer, Sent};
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    FederationApi, errors,
    signed::{PDU_BODY, Signed},
};

/// Room versions that are read from a query: more than there are.
const MAX_VERSIONS: usize = 64;

pub(crate) fn routes_v1() -> Router<FederationApi> {
    Router::new()
        .route("/make_join/{room_id}/{user_id}", get(make_join))
        .route("/send_join/{room_id}/{event_id}", put(send_join_v1))
}

pub(crate) fn routes_v2() -> Router<FederationApi> {
    Router::new().route("/send_join/{room_id}/{event_id}", put(send_join_v2))
}

/// The state of the room, for who has joined.
#[derive(Serialize)]
struct Joined {
    origin: OwnedServerName,
    event: Box<RawValue>,
    state: Vec<Box<RawValue>>,
    auth_chain: Vec<Box<RawValue>>,
    members_omitted: bool,
    servers_in_room: Vec<OwnedServerName>,
}

/// The room versions that the server which asks knows (`ver`); version 1 when it names none.
pub(crate) fn room_versions(query: &RawQuery) -> Vec<String> {
    let mut versions = query.all("ver");
    versions.truncate(MAX_VERSIONS);
    if versions.is_empty() {
        versions.push("1".to_owned());
    }
    versions
}

/// `GET /_matrix/federation/v1/make_join/{roomId}/{userId}`
async fn make_join(
    State(api): State<FederationApi>,
    Path((room_id, user_id)): Path<(OwnedRoomId, OwnedUserId)>,
    query: RawQuery,
    signed: Signed,
) -> Result<Json<Value>, ApiError> {
    let versions = room_versions(&query);
    let made = api
        .rooms
        .make_join(&signed.origin, &room_id, &user_id, &versions)
        .await;
    let template = made.map_err(errors::peer)?;
    Ok(Json(
        json!({ "room_version": template.room_version, "event": template.event }),
    ))
}

/// `PUT /_matrix/federation/v1/send_join/{roomId}/{eventId}`
async fn send_join_v1(
    State(api): State<FederationApi>,
    Path(path): Path<(OwnedRoomId, OwnedEventId)>,
    signed: Signed<PDU_BODY>,
) -> Result<Json<(u16, Joined)>, ApiError> {
    Ok(Json((200, join(&api, path, &signed).await?)))
}

/// `PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}`
async fn send_join_v2(
    State(api): State<FederationApi>,
    Path(path): Path<(OwnedRoomId, OwnedEventId)>,
    signed: Signed<PDU_BODY>,
) -> Result<Json<Joined>, ApiError> {
    Ok(Json(join(&api, path, &signed).await?))
}

async fn join(
    api: &FederationApi,
    (room_id, event_id): (OwnedRoomId, OwnedEventId),
    signed: &Signed<PDU_BODY>,
) -> Result<Joined, ApiError> {
    let sent = Sent {
        origin: &signed.origin,
        room_id: &room_id,
        event_id: &event_id,
        pdu: signed.json()?,
    };
    let joined = api.rooms.send_join(sent).await.map_err(errors::peer)?;
    let JoinAnswer {
        event,
        state,
        auth_chain,
        servers_in_room,
    } = joined;
    Ok(Joined {
        origin: api.federation.server_name().to_owned(),
        event,
        state,
        auth_chain,
        members_omitted: false,
        servers_in_room,
    })
}
