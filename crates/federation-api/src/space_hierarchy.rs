//! What is in a space.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, Path, Query};
use gatehouse_rooms::hierarchy::PeerHierarchy;
use ruma::OwnedRoomId;
use serde::Deserialize;

use crate::{FederationApi, errors, signed::Signed};

pub(crate) fn routes() -> Router<FederationApi> {
    Router::new().route("/hierarchy/{room_id}", get(get_space_hierarchy))
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    suggested_only: bool,
}

/// `GET /_matrix/federation/v1/hierarchy/{roomId}`
async fn get_space_hierarchy(
    State(api): State<FederationApi>,
    Path(room_id): Path<OwnedRoomId>,
    Query(which): Query<Which>,
    signed: Signed,
) -> Result<Json<PeerHierarchy>, ApiError> {
    let hierarchy = api
        .rooms
        .hierarchy_for_server(&signed.origin, &room_id, which.suggested_only)
        .await;
    Ok(Json(hierarchy.map_err(errors::peer)?))
}
