//! What authorises an event.

use axum::{Router, extract::State, response::Response, routing::get};
use gatehouse_http::{ApiError, Path};
use ruma::{OwnedEventId, OwnedRoomId};

use crate::{
    FederationApi, errors,
    signed::Signed,
    state_body::{self, Frame},
};

pub(crate) fn routes() -> Router<FederationApi> {
    Router::new().route("/event_auth/{room_id}/{event_id}", get(get_event_auth))
}

/// `GET /_matrix/federation/v1/event_auth/{roomId}/{eventId}`
async fn get_event_auth(
    State(api): State<FederationApi>,
    Path((room_id, event_id)): Path<(OwnedRoomId, OwnedEventId)>,
    signed: Signed,
) -> Result<Response, ApiError> {
    let chain = api
        .rooms
        .event_auth_for_server(&signed.origin, &room_id, &event_id)
        .await;
    let frame = Frame {
        before: "{\"auth_chain\":[".to_owned(),
        between: None,
        after: "]}",
    };
    state_body::answer(chain.map_err(errors::peer)?, frame, signed.into_turn()).await
}
