//! The rooms that one is joined to.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, Requester};
use serde_json::{Value, json};

use crate::ClientApi;

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/joined_rooms", get(get_joined_rooms))
}

/// `GET /_matrix/client/v3/joined_rooms`
async fn get_joined_rooms(
    State(api): State<ClientApi>,
    requester: Requester,
) -> Result<Json<Value>, ApiError> {
    let rooms = api.rooms.joined_rooms(&requester.user_id).await?;
    Ok(Json(json!({ "joined_rooms": rooms })))
}
