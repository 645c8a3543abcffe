//! What relates to an event.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_events::ClientEvent;
use gatehouse_http::{ApiError, Path, Query, Requester};
use gatehouse_rooms::relations::{Recursion, RelationsQuery};
use gatehouse_store::Direction;
use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId};
use serde::{Deserialize, Serialize};

use crate::{
    ClientApi, errors,
    paging::{self, Dir},
};

/// Under `/_matrix/client/v1`.
pub(crate) fn routes() -> Router<ClientApi> {
    let path = "/rooms/{room_id}/relations/{event_id}";
    Router::new()
        .route(path, get(get_relating_events))
        .route(
            &format!("{path}/{{rel_type}}"),
            get(get_relating_events_with_rel_type),
        )
        .route(
            &format!("{path}/{{rel_type}}/{{event_type}}"),
            get(get_relating_events_with_rel_type_and_event_type),
        )
}

#[derive(Deserialize)]
struct Parameters {
    from: Option<String>,
    to: Option<String>,
    limit: Option<u64>,
    dir: Option<Dir>,
    recurse: Option<bool>,
}

#[derive(Serialize)]
struct Page {
    chunk: Vec<ClientEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recursion_depth: Option<u32>,
}

/// `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}`
async fn get_relating_events(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((room_id, event_id)): Path<(OwnedRoomId, OwnedEventId)>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Page>, ApiError> {
    page(&api, &requester, (&room_id, &event_id), (None, None), parameters).await
}

/// `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}`
async fn get_relating_events_with_rel_type(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((room_id, event_id, rel_type)): Path<(OwnedRoomId, OwnedEventId, String)>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Page>, ApiError> {
    let only = (Some(rel_type), None);
    page(&api, &requester, (&room_id, &event_id), only, parameters).await
}

/// `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}`
async fn get_relating_events_with_rel_type_and_event_type(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((room_id, event_id, rel_type, kind)): Path<(OwnedRoomId, OwnedEventId, String, String)>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Page>, ApiError> {
    let only = (Some(rel_type), Some(kind));
    page(&api, &requester, (&room_id, &event_id), only, parameters).await
}

async fn page(
    api: &ClientApi,
    requester: &Requester,
    (room_id, parent): (&RoomId, &EventId),
    (rel_type, kind): (Option<String>, Option<String>),
    parameters: Parameters,
) -> Result<Json<Page>, ApiError> {
    let query = RelationsQuery {
        rel_type,
        kind,
        direction: parameters.dir.map_or(Direction::Backward, Direction::from),
        from: paging::token(parameters.from.as_deref())?,
        to: paging::token(parameters.to.as_deref())?,
        limit: paging::limit(parameters.limit),
        recursion: match parameters.recurse {
            Some(true) => Recursion::Followed,
            Some(false) | None => Recursion::Direct,
        },
    };
    let page = api
        .rooms
        .relations(paging::viewer(requester), room_id, parent, &query)
        .await
        .map_err(errors::read)?;
    Ok(Json(Page {
        chunk: page.chunk,
        next_batch: page.next_batch.map(|token| token.to_string()),
        prev_batch: query.from.map(|token| token.to_string()),
        // Only for those who used the parameter at all.
        recursion_depth: parameters.recurse.map(|_| page.recursion_depth.unwrap_or(1)),
    }))
}
