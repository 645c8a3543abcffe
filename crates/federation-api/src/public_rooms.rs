//! The rooms that this server publishes.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_directory::{PublicRoomsPage, PublicRoomsQuery};
use gatehouse_http::{ApiError, Query};
use serde::Deserialize;

use crate::{FederationApi, errors, signed::Signed};

pub(crate) fn routes() -> Router<FederationApi> {
    Router::new().route("/publicRooms", get(get_public_rooms).post(query_public_rooms))
}

#[derive(Deserialize)]
struct Page {
    limit: Option<usize>,
    since: Option<String>,
}

#[derive(Deserialize)]
struct Wanted {
    limit: Option<usize>,
    since: Option<String>,
    filter: Option<Filter>,
}

#[derive(Deserialize, Default)]
struct Filter {
    generic_search_term: Option<String>,
    room_types: Option<Vec<Option<String>>>,
}

/// `GET /_matrix/federation/v1/publicRooms`
async fn get_public_rooms(
    State(api): State<FederationApi>,
    Query(page): Query<Page>,
    _: Signed,
) -> Result<Json<PublicRoomsPage>, ApiError> {
    let query = PublicRoomsQuery {
        limit: page.limit,
        since: page.since,
        ..PublicRoomsQuery::default()
    };
    published(&api, &query).await
}

/// `POST /_matrix/federation/v1/publicRooms`
async fn query_public_rooms(
    State(api): State<FederationApi>,
    signed: Signed,
) -> Result<Json<PublicRoomsPage>, ApiError> {
    let wanted: Wanted = signed.json()?;
    let filter = wanted.filter.unwrap_or_default();
    let query = PublicRoomsQuery {
        limit: wanted.limit,
        since: wanted.since,
        search_term: filter.generic_search_term,
        room_types: filter.room_types,
    };
    published(&api, &query).await
}

async fn published(api: &FederationApi, query: &PublicRoomsQuery) -> Result<Json<PublicRoomsPage>, ApiError> {
    if !api.public_rooms {
        return Err(ApiError::forbidden(
            "This server does not show its published rooms to other servers.",
        ));
    }
    let page = api.directory.public_rooms(None, query).await;
    page.map(Json).map_err(errors::publication)
}
