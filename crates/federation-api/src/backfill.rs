//! History, and what lies between.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use gatehouse_http::{ApiError, Path, RawQuery};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{FederationApi, errors, events::Events, signed::Signed};

/// The most that is answered at once (limits, section 2), and when the server does not say.
const MAX_BACKFILL: usize = 100;
const DEFAULT_BACKFILL: usize = 10;
/// Events from which history is followed: as many as an event may follow.
const MAX_FROM: usize = 20;
/// The most that is answered at once (limits, section 2), and when the server does not say.
const MAX_MISSING: usize = 20;
const DEFAULT_MISSING: usize = 10;
/// Event ids that are read from a list.
const MAX_IDS: usize = 100;

pub(crate) fn routes() -> Router<FederationApi> {
    Router::new()
        .route("/backfill/{room_id}", get(backfill_room))
        .route("/get_missing_events/{room_id}", post(get_missing_previous_events))
}

/// `GET /_matrix/federation/v1/backfill/{roomId}`
async fn backfill_room(
    State(api): State<FederationApi>,
    Path(room_id): Path<OwnedRoomId>,
    query: RawQuery,
    signed: Signed,
) -> Result<Json<Events>, ApiError> {
    let from = query.all("v").into_iter().take(MAX_FROM);
    let from: Result<Vec<_>, _> = from.map(OwnedEventId::try_from).collect();
    let from = from.map_err(|_| ApiError::invalid_param("A `v` is not an event id."))?;
    if from.is_empty() {
        return Err(ApiError::missing_param("The parameter `v` is missing."));
    }
    let limit = match query.all("limit").first() {
        Some(limit) => limit
            .parse()
            .map_err(|_| ApiError::invalid_param("The `limit` must be a number."))?,
        None => DEFAULT_BACKFILL,
    };
    let limit = limit.min(MAX_BACKFILL);
    let pdus = api
        .rooms
        .backfill_for_server(&signed.origin, &room_id, &from, limit)
        .await;
    Ok(Json(Events::of(&api, pdus.map_err(errors::peer)?)))
}

#[derive(Serialize)]
struct Missing {
    events: Vec<Box<RawValue>>,
}

/// `POST /_matrix/federation/v1/get_missing_events/{roomId}`
async fn get_missing_previous_events(
    State(api): State<FederationApi>,
    Path(room_id): Path<OwnedRoomId>,
    signed: Signed,
) -> Result<Json<Missing>, ApiError> {
    // From no events there is no way to others: whoever names none gets none.
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        earliest_events: Vec<OwnedEventId>,
        #[serde(default)]
        latest_events: Vec<OwnedEventId>,
        limit: Option<usize>,
        min_depth: Option<u64>,
    }
    let mut body: Body = signed.json()?;
    body.earliest_events.truncate(MAX_IDS);
    body.latest_events.truncate(MAX_IDS);
    let events = api
        .rooms
        .missing_events_for_server(
            &signed.origin,
            &room_id,
            &body.earliest_events,
            &body.latest_events,
            body.limit.unwrap_or(DEFAULT_MISSING).min(MAX_MISSING),
            body.min_depth.unwrap_or(0),
        )
        .await;
    let events = events.map_err(errors::peer)?;
    Ok(Json(Missing { events }))
}
