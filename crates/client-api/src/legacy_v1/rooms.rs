//! Pages of history.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, Path, Query, Requester};
use gatehouse_rooms::{filter::RoomEventFilter, messages::MessagesQuery, token::Token};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    ClientApi, errors,
    paging::{self, Dir},
};

pub(super) fn read_routes() -> Router<ClientApi> {
    Router::new().route("/rooms/{room_id}/messages", get(get_room_events))
}

#[derive(Deserialize)]
struct Parameters {
    from: Option<String>,
    to: Option<String>,
    dir: Dir,
    limit: Option<u64>,
}

/// `GET /_matrix/client/api/v1/rooms/{roomId}/messages`
async fn get_room_events(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Value>, ApiError> {
    let query = MessagesQuery {
        from: paging::token(parameters.from.as_deref())?,
        to: paging::token(parameters.to.as_deref())?,
        direction: parameters.dir.into(),
        limit: paging::limit(parameters.limit),
        filter: RoomEventFilter::default(),
    };
    let viewer = paging::viewer(&requester);
    let page = api.rooms.messages(viewer, &room_id, &query).await;
    let page = page.map_err(errors::read)?;
    // Clients of that time always find an end, and stop when a page is empty.
    let end = page.end.or(match parameters.dir {
        Dir::Backward => Some(Token::START),
        Dir::Forward => None,
    });
    let mut body = json!({ "start": page.start.to_string(), "chunk": page.chunk });
    if let (Some(end), Some(body)) = (end, body.as_object_mut()) {
        body.insert("end".to_owned(), json!(end.to_string()));
    }
    Ok(Json(body))
}
