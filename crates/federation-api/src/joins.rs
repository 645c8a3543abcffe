//! Joining rooms that this server is in.

use axum::{
    Json, Router,
    extract::State,
    response::Response,
    routing::{get, put},
};
use gatehouse_http::{ApiError, Path, RawQuery};
use gatehouse_rooms::{JoinAnswer, Sent, remote_servers::WantedState};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::{Value, json};

use crate::{
    FederationApi, errors,
    signed::{PDU_BODY, Signed},
    state_body::{self, Frame},
};

/// What stands between the state and its auth chain.
const BETWEEN: &str = "],\"auth_chain\":[";

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
) -> Result<Response, ApiError> {
    let joined = join(&api, path, &signed, WantedState::Whole).await?;
    let frame = Frame {
        before: format!("[200,{}", beginning(&api, &joined)),
        between: Some(BETWEEN),
        after: "]}]",
    };
    state_body::answer(joined.state, frame, signed.into_turn()).await
}

/// `PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}`
async fn send_join_v2(
    State(api): State<FederationApi>,
    Path(path): Path<(OwnedRoomId, OwnedEventId)>,
    query: RawQuery,
    signed: Signed<PDU_BODY>,
) -> Result<Response, ApiError> {
    let wanted = match query.all("omit_members").first().map(String::as_str) {
        Some("true") => WantedState::WithoutMembers,
        _ => WantedState::Whole,
    };
    let joined = join(&api, path, &signed, wanted).await?;
    let frame = Frame {
        before: beginning(&api, &joined),
        between: Some(BETWEEN),
        after: "]}",
    };
    state_body::answer(joined.state, frame, signed.into_turn()).await
}

async fn join(
    api: &FederationApi,
    (room_id, event_id): (OwnedRoomId, OwnedEventId),
    signed: &Signed<PDU_BODY>,
    wanted: WantedState,
) -> Result<JoinAnswer, ApiError> {
    let sent = Sent {
        origin: &signed.origin,
        room_id: &room_id,
        event_id: &event_id,
        pdu: signed.json()?,
    };
    api.rooms.send_join(sent, wanted).await.map_err(errors::peer)
}

/// The answer up to where the state begins.
fn beginning(api: &FederationApi, joined: &JoinAnswer) -> String {
    let origin = json!(api.federation.server_name());
    let servers = json!(joined.servers_in_room);
    format!(
        "{{\"origin\":{origin},\"event\":{},\"members_omitted\":{},\"servers_in_room\":{servers},\"state\":[",
        joined.event, joined.members_omitted,
    )
}
