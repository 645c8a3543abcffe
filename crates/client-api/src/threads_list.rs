//! The threads of a room.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_events::ClientEvent;
use gatehouse_http::{ApiError, Path, Query, Requester};
use gatehouse_rooms::relations::threads::Include;
use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};

use crate::{ClientApi, errors, paging};

/// Under `/_matrix/client/v1`.
pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/rooms/{room_id}/threads", get(get_thread_roots))
}

#[derive(Deserialize)]
struct Parameters {
    #[serde(default)]
    include: Included,
    limit: Option<u64>,
    from: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum Included {
    #[default]
    All,
    Participated,
}

#[derive(Serialize)]
struct Page {
    chunk: Vec<ClientEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
}

/// `GET /_matrix/client/v1/rooms/{roomId}/threads`
async fn get_thread_roots(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Page>, ApiError> {
    let include = match parameters.include {
        Included::All => Include::All,
        Included::Participated => Include::Participated,
    };
    let limit = paging::limit(parameters.limit);
    let from = paging::token(parameters.from.as_deref())?;
    let viewer = paging::viewer(&requester);
    let page = api.rooms.threads(viewer, &room_id, include, limit, from).await;
    let page = page.map_err(errors::read)?;
    Ok(Json(Page {
        chunk: page.chunk,
        next_batch: page.next_batch.map(|token| token.to_string()),
    }))
}
