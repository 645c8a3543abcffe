//! What a room is, for those who think of joining.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, OptionalRequester, Path};
use gatehouse_rooms::summary::RequestedSummary;
use ruma::{OwnedRoomId, OwnedRoomOrAliasId};

use crate::{ClientApi, errors};

/// Under `/_matrix/client/v1`.
pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/room_summary/{room_id_or_alias}", get(get_room_summary))
}

/// Under `/_matrix/client/unstable`: the names that clients used before 1.15.
pub(crate) fn unstable_routes() -> Router<ClientApi> {
    Router::new()
        .route(
            "/im.nheko.summary/summary/{room_id_or_alias}",
            get(get_room_summary),
        )
        .route(
            "/im.nheko.summary/rooms/{room_id_or_alias}/summary",
            get(get_room_summary),
        )
}

/// `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}`
async fn get_room_summary(
    State(api): State<ClientApi>,
    OptionalRequester(requester): OptionalRequester,
    Path(room): Path<OwnedRoomOrAliasId>,
) -> Result<Json<RequestedSummary>, ApiError> {
    let room_id = match OwnedRoomId::try_from(room) {
        Ok(room_id) => room_id,
        Err(alias) => {
            let resolved = api.directory.resolve(alias.as_str()).await;
            resolved.map_err(errors::alias)?.room_id
        }
    };
    let user = requester.as_ref().map(|requester| &*requester.user_id);
    let summary = api.rooms.room_summary(user, &room_id).await;
    summary.map(Json).map_err(errors::read)
}
