//! What `/sync` replaced: `/events`, `/initialSync` and `/rooms/{roomId}/initialSync`.

use std::time::Duration;

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_events::ClientEvent;
use gatehouse_http::{ApiError, Path, Query, Requester};
use gatehouse_sync::{EventsPage, EventsRequest, InitialSync, InitialSyncRequest, RoomSnapshot};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;

use crate::{ClientApi, errors, paging};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/events", get(get_events))
        .route("/events/{event_id}", get(get_one_event))
        .route("/initialSync", get(initial_sync))
        .route("/rooms/{room_id}/initialSync", get(room_initial_sync))
}

/// The query of `GET /events`, of every version.
#[derive(Debug, Deserialize)]
pub(crate) struct EventsQuery {
    from: Option<String>,
    timeout: Option<u64>,
    room_id: Option<OwnedRoomId>,
    limit: Option<usize>,
}

/// The query of both initial syncs, of every version.
#[derive(Debug, Deserialize)]
pub(crate) struct InitialSyncQuery {
    limit: Option<usize>,
    archived: Option<bool>,
}

/// `GET /_matrix/client/v3/events`
async fn get_events(
    State(api): State<ClientApi>,
    requester: Requester,
    Query(query): Query<EventsQuery>,
) -> Result<Json<EventsPage>, ApiError> {
    events(&api, &requester, query).await.map(Json)
}

/// `GET /_matrix/client/v3/initialSync`
async fn initial_sync(
    State(api): State<ClientApi>,
    requester: Requester,
    Query(query): Query<InitialSyncQuery>,
) -> Result<Json<InitialSync>, ApiError> {
    snapshot(&api, &requester, &query).await.map(Json)
}

/// `GET /_matrix/client/v3/rooms/{roomId}/initialSync`
async fn room_initial_sync(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
    Query(query): Query<InitialSyncQuery>,
) -> Result<Json<RoomSnapshot>, ApiError> {
    room_snapshot(&api, &requester, &room_id, &query).await.map(Json)
}

/// `GET /_matrix/client/v3/events/{eventId}`
async fn get_one_event(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(event_id): Path<OwnedEventId>,
) -> Result<Json<ClientEvent>, ApiError> {
    let viewer = paging::viewer(&requester);
    let event = api.rooms.one_event_by_id(viewer, &event_id).await;
    event.map(Json).map_err(errors::read)
}

/// A stretch of the event stream, for every version to encode.
pub(crate) async fn events(
    api: &ClientApi,
    requester: &Requester,
    query: EventsQuery,
) -> Result<EventsPage, ApiError> {
    let request = EventsRequest {
        user: requester.user_id.clone(),
        device: requester.device_id.clone(),
        from: paging::token(query.from.as_deref())?,
        timeout: Duration::from_millis(query.timeout.unwrap_or(0)),
        room: query.room_id,
        limit: query.limit,
    };
    api.sync.events(&request).await.map_err(errors::sync)
}

/// All rooms as they are, for every version to encode.
pub(crate) async fn snapshot(
    api: &ClientApi,
    requester: &Requester,
    query: &InitialSyncQuery,
) -> Result<InitialSync, ApiError> {
    let request = request(requester, query);
    api.sync.initial_sync(&request).await.map_err(errors::sync)
}

/// One room as it is, for every version to encode.
pub(crate) async fn room_snapshot(
    api: &ClientApi,
    requester: &Requester,
    room_id: &ruma::RoomId,
    query: &InitialSyncQuery,
) -> Result<RoomSnapshot, ApiError> {
    let request = request(requester, query);
    api.sync
        .room_initial_sync(&request, room_id)
        .await
        .map_err(errors::sync)
}

fn request(requester: &Requester, query: &InitialSyncQuery) -> InitialSyncRequest {
    InitialSyncRequest {
        user: requester.user_id.clone(),
        device: requester.device_id.clone(),
        limit: query.limit,
        archived: query.archived.unwrap_or(false),
    }
}
