//! Profiles.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, ClientAddress, EVENT_BODY, JsonObject, Limit, Path, Requester};
use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value, json};

use crate::{ClientApi, errors};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/profile/{user_id}", get(get_user_profile))
        .route(
            "/profile/{user_id}/{key_name}",
            get(get_profile_field)
                .put(set_profile_field)
                .delete(delete_profile_field),
        )
}

/// `GET /_matrix/client/v3/profile/{userId}`
async fn get_user_profile(
    State(api): State<ClientApi>,
    address: ClientAddress,
    Path(user_id): Path<OwnedUserId>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(Value::Object(find(&api, address, &user_id, None).await?)))
}

/// `GET /_matrix/client/v3/profile/{userId}/{keyName}`
async fn get_profile_field(
    State(api): State<ClientApi>,
    address: ClientAddress,
    Path((user_id, key)): Path<(OwnedUserId, String)>,
) -> Result<Json<Value>, ApiError> {
    let mut fields = find(&api, address, &user_id, Some(&key)).await?;
    match fields.remove(&key) {
        Some(value) => Ok(Json(json!({ key: value }))),
        // Before 1.16 the answer for these was an object without the field, and clients expect it.
        None if matches!(key.as_str(), "displayname" | "avatar_url") => Ok(Json(json!({}))),
        None => Err(ApiError::not_found("This user's profile has no such field.")),
    }
}

/// `PUT /_matrix/client/v3/profile/{userId}/{keyName}`
async fn set_profile_field(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((user_id, key)): Path<(OwnedUserId, String)>,
    JsonObject(mut body): JsonObject<EVENT_BODY>,
) -> Result<Json<Value>, ApiError> {
    require_own(&requester, &user_id)?;
    requester.refuse_suspended()?;
    let value = body
        .remove(&key)
        .ok_or_else(|| ApiError::missing_param("The body lacks the field that the address names."))?;
    api.rooms.change_profile(&user_id, &key, Some(value)).await?;
    Ok(Json(json!({})))
}

/// `DELETE /_matrix/client/v3/profile/{userId}/{keyName}`
async fn delete_profile_field(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((user_id, key)): Path<(OwnedUserId, String)>,
) -> Result<Json<Value>, ApiError> {
    require_own(&requester, &user_id)?;
    requester.refuse_suspended()?;
    api.rooms.change_profile(&user_id, &key, None).await?;
    Ok(Json(json!({})))
}

fn require_own(requester: &Requester, user_id: &UserId) -> Result<(), ApiError> {
    if requester.user_id == user_id {
        Ok(())
    } else {
        Err(ApiError::forbidden("You can change your own profile only."))
    }
}

/// The fields of a user of any server; of another server's, `key` alone is asked for, if it is given.
async fn find(
    api: &ClientApi,
    address: ClientAddress,
    user_id: &UserId,
    key: Option<&str>,
) -> Result<Map<String, Value>, ApiError> {
    if !api.rooms.is_local(user_id) {
        // Nobody has to say who they are: without a bound anybody could have us ask others without end.
        let limits = &api.http.rate_limits;
        limits.check_address(Limit::RemoteProfiles, address.0)?;
        let found = api.federation.query_profile(user_id, key).await;
        return found.map_err(|error| errors::federation(&error));
    }
    let profile = api.accounts.profile(user_id).await?;
    let profile = profile.ok_or_else(|| ApiError::not_found("There is no such user."))?;
    Ok(profile.fields.into_iter().collect())
}
