//! The published rooms.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_directory::{PublicRoomsPage, PublicRoomsQuery, RoomVisibility};
use gatehouse_http::{ApiError, JsonBody, OptionalRequester, Path, Query, Requester};
use ruma::{OwnedRoomId, OwnedServerName};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ClientApi, directory::actor, errors, paging};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route(
            "/directory/list/room/{room_id}",
            get(get_room_visibility_on_directory).put(set_room_visibility_on_directory),
        )
        .route("/publicRooms", get(get_public_rooms).post(query_public_rooms))
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum Visibility {
    #[default]
    Public,
    Private,
}

/// `GET /_matrix/client/v3/directory/list/room/{roomId}`
async fn get_room_visibility_on_directory(
    State(api): State<ClientApi>,
    Path(room_id): Path<OwnedRoomId>,
) -> Result<Json<Value>, ApiError> {
    let visibility = api.directory.visibility(&room_id).await;
    let visibility = match visibility.map_err(errors::publication)? {
        RoomVisibility::Public => "public",
        RoomVisibility::Private => "private",
    };
    Ok(Json(json!({ "visibility": visibility })))
}

#[derive(Deserialize)]
struct VisibilityBody {
    #[serde(default)]
    visibility: Visibility,
}

/// `PUT /_matrix/client/v3/directory/list/room/{roomId}`
async fn set_room_visibility_on_directory(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
    JsonBody(body): JsonBody<VisibilityBody>,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    requester.refuse_suspended()?;
    let visibility = match body.visibility {
        Visibility::Public => RoomVisibility::Public,
        Visibility::Private => RoomVisibility::Private,
    };
    let set = api
        .directory
        .set_visibility(actor(&requester), &room_id, visibility)
        .await;
    set.map_err(errors::publication)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct ListParameters {
    limit: Option<u64>,
    since: Option<String>,
    server: Option<OwnedServerName>,
}

/// `GET /_matrix/client/v3/publicRooms`
async fn get_public_rooms(
    State(api): State<ClientApi>,
    OptionalRequester(requester): OptionalRequester,
    Query(parameters): Query<ListParameters>,
) -> Result<Json<PublicRoomsPage>, ApiError> {
    if requester.is_none() && !api.directory.public_without_auth() {
        return Err(ApiError::missing_token(
            "This server shows its list of rooms to its users only. Log in first.",
        ));
    }
    let query = PublicRoomsQuery {
        limit: paging::limit(parameters.limit),
        since: parameters.since.filter(|since| !since.is_empty()),
        ..PublicRoomsQuery::default()
    };
    let page = api
        .directory
        .public_rooms(parameters.server.as_deref(), &query)
        .await;
    page.map(Json).map_err(errors::publication)
}

#[derive(Deserialize)]
struct QueryParameters {
    server: Option<OwnedServerName>,
}

#[derive(Deserialize)]
struct QueryBody {
    limit: Option<u64>,
    since: Option<String>,
    filter: Option<Filter>,
}

#[derive(Deserialize)]
struct Filter {
    generic_search_term: Option<String>,
    room_types: Option<Vec<Option<String>>>,
}

/// `POST /_matrix/client/v3/publicRooms`
async fn query_public_rooms(
    State(api): State<ClientApi>,
    _: Requester,
    Query(parameters): Query<QueryParameters>,
    JsonBody(body): JsonBody<QueryBody>,
) -> Result<Json<PublicRoomsPage>, ApiError> {
    let (search_term, room_types) = match body.filter {
        Some(filter) => (filter.generic_search_term, filter.room_types),
        None => (None, None),
    };
    let query = PublicRoomsQuery {
        limit: paging::limit(body.limit),
        since: body.since.filter(|since| !since.is_empty()),
        search_term: search_term.filter(|term| !term.is_empty()),
        room_types,
    };
    let page = api
        .directory
        .public_rooms(parameters.server.as_deref(), &query)
        .await;
    page.map(Json).map_err(errors::publication)
}
