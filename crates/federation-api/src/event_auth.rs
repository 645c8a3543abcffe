//! What authorises an event.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, Path};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{FederationApi, errors, signed::Signed};

pub(crate) fn routes() -> Router<FederationApi> {
    Router::new().route("/event_auth/{room_id}/{event_id}", get(get_event_auth))
}

#[derive(Serialize)]
struct AuthChain {
    auth_chain: Vec<Box<RawValue>>,
}

/// `GET /_matrix/federation/v1/event_auth/{roomId}/{eventId}`
async fn get_event_auth(
    State(api): State<FederationApi>,
    Path((room_id, event_id)): Path<(OwnedRoomId, OwnedEventId)>,
    signed: Signed,
) -> Result<Json<AuthChain>, ApiError> {
    let chain = api
        .rooms
        .event_auth_for_server(&signed.origin, &room_id, &event_id)
        .await;
    let auth_chain = chain.map_err(errors::peer)?;
    Ok(Json(AuthChain { auth_chain }))
}
