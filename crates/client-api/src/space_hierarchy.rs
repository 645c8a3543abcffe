//! The rooms of a space.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, Path, Query, Requester};
use gatehouse_rooms::hierarchy::{HierarchyPage, HierarchyQuery};
use ruma::OwnedRoomId;
use serde::Deserialize;

use crate::{ClientApi, errors, paging};

/// Under `/_matrix/client/v1`.
pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/rooms/{room_id}/hierarchy", get(get_space_hierarchy))
}

#[derive(Deserialize)]
struct Parameters {
    #[serde(default)]
    suggested_only: bool,
    limit: Option<u64>,
    max_depth: Option<u32>,
    from: Option<String>,
}

/// `GET /_matrix/client/v1/rooms/{roomId}/hierarchy`
async fn get_space_hierarchy(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<HierarchyPage>, ApiError> {
    let query = HierarchyQuery {
        suggested_only: parameters.suggested_only,
        limit: paging::limit(parameters.limit),
        max_depth: parameters.max_depth,
        from: parameters.from,
    };
    let page = api
        .rooms
        .space_hierarchy(&requester.user_id, &room_id, &query)
        .await;
    page.map(Json).map_err(errors::read)
}
