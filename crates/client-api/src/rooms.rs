//! Single events, the state and the members of a room.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use gatehouse_events::ClientEvent;
use gatehouse_http::{ApiError, Path, Query, Requester};
use gatehouse_rooms::members::{JoinedMember, MembersQuery};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, events::room::member::MembershipState};
use serde::{Deserialize, Serialize};

use crate::{ClientApi, errors, paging};

pub(crate) fn routes() -> Router<ClientApi> {
    event_routes().merge(state_content_routes())
}

/// What shows events.
pub(crate) fn event_routes() -> Router<ClientApi> {
    Router::new()
        .route("/rooms/{room_id}/event/{event_id}", get(get_one_room_event))
        .route("/rooms/{room_id}/state", get(get_room_state))
        .route("/rooms/{room_id}/members", get(get_members_by_room))
        .route("/rooms/{room_id}/joined_members", get(get_joined_members_by_room))
}

/// What shows the content of an event, which is whatever its sender wrote.
pub(crate) fn state_content_routes() -> Router<ClientApi> {
    Router::new()
        .route(
            "/rooms/{room_id}/state/{event_type}",
            get(get_room_state_with_type),
        )
        .route(
            "/rooms/{room_id}/state/{event_type}/",
            get(get_room_state_with_type),
        )
        .route(
            "/rooms/{room_id}/state/{event_type}/{state_key}",
            get(get_room_state_with_key),
        )
}

/// `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}`
async fn get_one_room_event(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((room_id, event_id)): Path<(OwnedRoomId, OwnedEventId)>,
) -> Result<Json<ClientEvent>, ApiError> {
    let viewer = paging::viewer(&requester);
    let event = api.rooms.one_event(viewer, &room_id, &event_id).await;
    event.map(Json).map_err(errors::read)
}

/// `GET /_matrix/client/v3/rooms/{roomId}/state`
async fn get_room_state(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
) -> Result<Json<Vec<ClientEvent>>, ApiError> {
    let state = api.rooms.room_state(paging::viewer(&requester), &room_id).await;
    state.map(Json).map_err(errors::read)
}

#[derive(Deserialize)]
struct StateParameters {
    #[serde(default)]
    format: StateFormat,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum StateFormat {
    #[default]
    Content,
    Event,
}

/// `GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`
async fn get_room_state_with_key(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((room_id, kind, state_key)): Path<(OwnedRoomId, String, String)>,
    Query(parameters): Query<StateParameters>,
) -> Result<Response, ApiError> {
    one_state_event(&api, &requester, &room_id, &kind, &state_key, &parameters).await
}

/// The same with an empty state key, when the path ends with the type.
async fn get_room_state_with_type(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((room_id, kind)): Path<(OwnedRoomId, String)>,
    Query(parameters): Query<StateParameters>,
) -> Result<Response, ApiError> {
    one_state_event(&api, &requester, &room_id, &kind, "", &parameters).await
}

async fn one_state_event(
    api: &ClientApi,
    requester: &Requester,
    room_id: &ruma::RoomId,
    kind: &str,
    state_key: &str,
    parameters: &StateParameters,
) -> Result<Response, ApiError> {
    let viewer = paging::viewer(requester);
    let event = api.rooms.room_state_event(viewer, room_id, kind, state_key).await;
    let event = event.map_err(errors::read)?;
    Ok(match parameters.format {
        StateFormat::Content => Json(event.content()).into_response(),
        StateFormat::Event => Json(event).into_response(),
    })
}

#[derive(Deserialize)]
struct MembersParameters {
    at: Option<String>,
    membership: Option<MembershipState>,
    not_membership: Option<MembershipState>,
}

#[derive(Serialize)]
struct Members {
    chunk: Vec<ClientEvent>,
}

/// `GET /_matrix/client/v3/rooms/{roomId}/members`
async fn get_members_by_room(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
    Query(parameters): Query<MembersParameters>,
) -> Result<Json<Members>, ApiError> {
    let query = MembersQuery {
        at: paging::token(parameters.at.as_deref())?,
        membership: parameters.membership,
        not_membership: parameters.not_membership,
    };
    let members = api
        .rooms
        .members(paging::viewer(&requester), &room_id, &query)
        .await;
    let chunk = members.map_err(errors::read)?;
    Ok(Json(Members { chunk }))
}

#[derive(Serialize)]
struct JoinedMembers {
    joined: BTreeMap<OwnedUserId, JoinedMember>,
}

/// `GET /_matrix/client/v3/rooms/{roomId}/joined_members`
async fn get_joined_members_by_room(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
) -> Result<Json<JoinedMembers>, ApiError> {
    let members = api.rooms.joined_members(&requester.user_id, &room_id).await;
    let joined = members.map_err(errors::read)?.into_iter().collect();
    Ok(Json(JoinedMembers { joined }))
}
