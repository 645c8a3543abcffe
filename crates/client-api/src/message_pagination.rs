//! Pages of a room's history.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_events::ClientEvent;
use gatehouse_http::{ApiError, Path, Query, Requester};
use gatehouse_rooms::messages::MessagesQuery;
use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};

use crate::{
    ClientApi, errors,
    paging::{self, Dir},
};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/rooms/{room_id}/messages", get(get_room_events))
}

#[derive(Deserialize)]
struct Parameters {
    from: Option<String>,
    to: Option<String>,
    dir: Dir,
    limit: Option<u64>,
    filter: Option<String>,
}

#[derive(Serialize)]
struct Page {
    start: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    chunk: Vec<ClientEvent>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    state: Vec<ClientEvent>,
}

/// `GET /_matrix/client/v3/rooms/{roomId}/messages`
async fn get_room_events(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Page>, ApiError> {
    let query = MessagesQuery {
        from: paging::token(parameters.from.as_deref())?,
        to: paging::token(parameters.to.as_deref())?,
        direction: parameters.dir.into(),
        limit: paging::limit(parameters.limit),
        filter: paging::filter(parameters.filter.as_deref())?,
    };
    let page = api
        .rooms
        .messages(paging::viewer(&requester), &room_id, &query)
        .await;
    let page = page.map_err(errors::read)?;
    Ok(Json(Page {
        start: page.start.to_string(),
        end: page.end.map(|end| end.to_string()),
        chunk: page.chunk,
        state: page.state,
    }))
}
