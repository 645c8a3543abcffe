//! Asking to be let into a room.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_http::{ApiError, EVENT_BODY, OptionalJsonBody, Path, RawQuery, Requester};
use gatehouse_rooms::MembershipRequest;
use serde_json::{Value, json};

use crate::{
    ClientApi,
    body::{self, Reason},
    errors, limits,
};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/knock/{room_id_or_alias}", post(knock_room))
}

/// `POST /_matrix/client/v3/knock/{roomIdOrAlias}`
async fn knock_room(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room): Path<String>,
    query: RawQuery,
    OptionalJsonBody(body): OptionalJsonBody<Reason, EVENT_BODY>,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    requester.refuse_suspended()?;
    limits::message(&api, &requester)?;
    let (room_id, servers) = body::room(&api, &room).await?;
    let mut via = body::via(&query);
    via.extend(servers);
    let request = MembershipRequest::because(body.reason);
    let knocked = api
        .rooms
        .knock(&requester.user_id, &room_id, &request, &via)
        .await;
    knocked.map_err(errors::write)?;
    Ok(Json(json!({ "room_id": room_id })))
}
