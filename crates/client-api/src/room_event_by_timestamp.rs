//! The event of a room nearest to a time.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, Path, Query, Requester};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ClientApi, errors, paging::Dir};

/// Under `/_matrix/client/v1`.
pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/rooms/{room_id}/timestamp_to_event", get(get_event_by_timestamp))
}

#[derive(Deserialize)]
struct Parameters {
    ts: u64,
    dir: Dir,
}

/// `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event`
async fn get_event_by_timestamp(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Value>, ApiError> {
    let (event_id, origin_server_ts) = api
        .rooms
        .event_by_timestamp(&requester.user_id, &room_id, parameters.ts, parameters.dir.into())
        .await
        .map_err(errors::read)?;
    Ok(Json(
        json!({ "event_id": event_id, "origin_server_ts": origin_server_ts }),
    ))
}
