//! Questions about aliases and users of this server.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, Path, Query};
use ruma::{OwnedUserId, RoomAliasId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    FederationApi, errors,
    signed::{Signed, is_us},
};

pub(crate) fn routes() -> Router<FederationApi> {
    Router::new()
        .route("/query/directory", get(query_room_directory))
        .route("/query/profile", get(query_profile))
        .route("/query/{query_type}", get(query_info))
}

#[derive(Deserialize)]
struct Alias {
    room_alias: String,
}

/// `GET /_matrix/federation/v1/query/directory`
async fn query_room_directory(
    State(api): State<FederationApi>,
    Query(query): Query<Alias>,
    _: Signed,
) -> Result<Json<Value>, ApiError> {
    let alias = <&RoomAliasId>::try_from(query.room_alias.as_str())
        .map_err(|_| ApiError::invalid_param("The `room_alias` is not one."))?;
    // Asking others in turn would make this server run errands, and could go on in a circle.
    if !is_us(&api, alias.server_name()) {
        return Err(ApiError::not_found("The alias is not one of this server's."));
    }
    let found = api.directory.resolve(alias.as_str()).await;
    let found = found.map_err(errors::alias)?;
    Ok(Json(
        json!({ "room_id": found.room_id, "servers": found.servers }),
    ))
}

#[derive(Deserialize)]
struct Profile {
    user_id: OwnedUserId,
    field: Option<String>,
}

/// `GET /_matrix/federation/v1/query/profile`
async fn query_profile(
    State(api): State<FederationApi>,
    Query(query): Query<Profile>,
    _: Signed,
) -> Result<Json<Map<String, Value>>, ApiError> {
    if !is_us(&api, query.user_id.server_name()) {
        return Err(ApiError::not_found("The user is not one of this server's."));
    }
    let profile = api.http.accounts.profile(&query.user_id).await?;
    let profile = profile.ok_or_else(|| ApiError::not_found("There is no such user."))?;
    let wanted = |key: &String| query.field.as_ref().is_none_or(|field| field == key);
    let fields = profile.fields.into_iter().filter(|(key, _)| wanted(key));
    Ok(Json(fields.collect()))
}

/// `GET /_matrix/federation/v1/query/{queryType}`
async fn query_info(Path(_): Path<String>, _: Signed) -> Result<Json<Value>, ApiError> {
    Err(ApiError::unrecognized("There is no such kind of query."))
}
