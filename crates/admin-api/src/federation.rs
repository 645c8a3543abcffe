//! Other servers: how it goes to send to them, and trying again now.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use gatehouse_federation::Destination;
use gatehouse_http::{ApiError, Path, Query};
use http::StatusCode;
use ruma::OwnedServerName;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{AdminApi, administrator::Administrator};

/// Entries on a page, when nothing else is said and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1_000;

pub(crate) fn routes() -> Router<AdminApi> {
    let one = "/v1/federation/destinations/{destination}";
    Router::new()
        .route("/v1/federation/destinations", get(get_destinations))
        .route(one, get(get_destination))
        .route(&format!("{one}/rooms"), get(get_destination_rooms))
        .route(&format!("{one}/reset_connection"), post(reset_connection))
}

#[derive(Deserialize)]
struct PageParameters {
    from: Option<usize>,
    limit: Option<usize>,
}

impl PageParameters {
    fn bounds(&self) -> (usize, usize) {
        (
            self.from.unwrap_or(0),
            self.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE),
        )
    }
}

/// `GET /_synapse/admin/v1/federation/destinations`
async fn get_destinations(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Query(parameters): Query<PageParameters>,
) -> Result<Json<Value>, ApiError> {
    let (from, limit) = parameters.bounds();
    let (destinations, total) = api.federation.destinations(from, limit).await?;
    let shown: Vec<Value> = destinations.iter().map(described).collect();
    let mut answer = json!({ "destinations": shown, "total": total });
    add_next_token(&mut answer, from.saturating_add(shown.len()), total);
    Ok(Json(answer))
}

/// `GET /_synapse/admin/v1/federation/destinations/{destination}`
async fn get_destination(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(server): Path<OwnedServerName>,
) -> Result<Json<Value>, ApiError> {
    let destination = api.federation.destination(&server).await?;
    Ok(Json(described(&destination.ok_or_else(unknown)?)))
}

/// `GET /_synapse/admin/v1/federation/destinations/{destination}/rooms`
async fn get_destination_rooms(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(server): Path<OwnedServerName>,
    Query(parameters): Query<PageParameters>,
) -> Result<Json<Value>, ApiError> {
    api.federation.destination(&server).await?.ok_or_else(unknown)?;
    let (from, limit) = parameters.bounds();
    let rooms = api.federation.destination_rooms(&server).await?;
    let shown: Vec<Value> = rooms
        .iter()
        .skip(from)
        .take(limit)
        .map(|room| {
            json!({
                "room_id": room.room_id,
                "stream_ordering": room.newest.number(),
                "pending_events": room.pending,
            })
        })
        .collect();
    let mut answer = json!({ "rooms": shown, "total": rooms.len() });
    add_next_token(&mut answer, from.saturating_add(shown.len()), rooms.len());
    Ok(Json(answer))
}

/// `POST /_synapse/admin/v1/federation/destinations/{destination}/reset_connection`
async fn reset_connection(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(server): Path<OwnedServerName>,
) -> Result<Json<Value>, ApiError> {
    let destination = api.federation.destination(&server).await?.ok_or_else(unknown)?;
    if destination.failures == 0 {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "M_UNKNOWN",
            "Sending to this server does not fail, so that there is no pause to end.".to_owned(),
        ));
    }
    api.federation.reset_destination(&server).await?;
    Ok(Json(json!({})))
}

fn unknown() -> ApiError {
    ApiError::not_found("Nothing was ever sent to a server of this name.")
}

fn add_next_token(answer: &mut Value, next: usize, total: usize) {
    if next < total
        && let Some(answer) = answer.as_object_mut()
    {
        answer.insert("next_token".to_owned(), json!(next.to_string()));
    }
}

/// Synapse's names, and what it does not say: the last error in words, and how much waits.
fn described(destination: &Destination) -> Value {
    let is_failing = destination.failures > 0;
    let interval = destination.retry_at_ms.saturating_sub(destination.tried_ms);
    json!({
        "destination": destination.server,
        "retry_last_ts": if is_failing { destination.tried_ms } else { 0 },
        "retry_interval": if is_failing { interval } else { 0 },
        "failure_ts": destination.failing_since_ms,
        "last_successful_stream_ordering": Some(destination.last_sent.number()).filter(|number| *number > 0),
        "failures": destination.failures,
        "last_error": destination.last_error,
        "pending_events": destination.pending,
    })
}
