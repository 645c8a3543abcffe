//! An event and what happened around it.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_events::ClientEvent;
use gatehouse_http::{ApiError, Path, Query, Requester};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::{Deserialize, Serialize};

use crate::{ClientApi, errors, paging};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/rooms/{room_id}/context/{event_id}", get(get_event_context))
}

#[derive(Deserialize)]
struct Parameters {
    limit: Option<u64>,
    filter: Option<String>,
}

#[derive(Serialize)]
struct Context {
    start: String,
    end: String,
    event: ClientEvent,
    events_before: Vec<ClientEvent>,
    events_after: Vec<ClientEvent>,
    state: Vec<ClientEvent>,
}

/// `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}`
async fn get_event_context(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((room_id, event_id)): Path<(OwnedRoomId, OwnedEventId)>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Context>, ApiError> {
    let filter = paging::filter(parameters.filter.as_deref())?;
    let limit = paging::limit(parameters.limit);
    let viewer = paging::viewer(&requester);
    let context = api
        .rooms
        .event_context(viewer, &room_id, &event_id, limit, &filter)
        .await
        .map_err(errors::read)?;
    Ok(Json(Context {
        start: context.start.to_string(),
        end: context.end.to_string(),
        event: context.event,
        events_before: context.events_before,
        events_after: context.events_after,
        state: context.state,
    }))
}
