//! What clients keep about themselves.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_accounts::AccountData;
use gatehouse_http::{ACCOUNT_DATA_BODY, ApiError, JsonBody, Path, Requester};
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use serde_json::{Value, json, value::RawValue};

use crate::ClientApi;

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route(
            "/user/{user_id}/account_data/{type}",
            get(get_account_data).put(set_account_data),
        )
        .route(
            "/user/{user_id}/rooms/{room_id}/account_data/{type}",
            get(get_account_data_per_room).put(set_account_data_per_room),
        )
}

/// `PUT /_matrix/client/v3/user/{userId}/account_data/{type}`
async fn set_account_data(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((user_id, kind)): Path<(OwnedUserId, String)>,
    JsonBody(content): JsonBody<Box<RawValue>, ACCOUNT_DATA_BODY>,
) -> Result<Json<Value>, ApiError> {
    require_own(&requester, &user_id)?;
    let set = api
        .accounts
        .set_account_data(&user_id, None, &kind, &content)
        .await;
    set?;
    Ok(Json(json!({})))
}

/// `GET /_matrix/client/v3/user/{userId}/account_data/{type}`
async fn get_account_data(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((user_id, kind)): Path<(OwnedUserId, String)>,
) -> Result<Json<Box<RawValue>>, ApiError> {
    require_own(&requester, &user_id)?;
    let data = api.accounts.account_data(&user_id, None, &kind).await;
    encode(data?)
}

/// `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`
async fn set_account_data_per_room(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((user_id, room_id, kind)): Path<(OwnedUserId, OwnedRoomId, String)>,
    JsonBody(content): JsonBody<Box<RawValue>, ACCOUNT_DATA_BODY>,
) -> Result<Json<Value>, ApiError> {
    require_own(&requester, &user_id)?;
    let set = api
        .accounts
        .set_account_data(&user_id, Some(&room_id), &kind, &content)
        .await;
    set?;
    Ok(Json(json!({})))
}

/// `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`
async fn get_account_data_per_room(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((user_id, room_id, kind)): Path<(OwnedUserId, OwnedRoomId, String)>,
) -> Result<Json<Box<RawValue>>, ApiError> {
    require_own(&requester, &user_id)?;
    let data = api.accounts.account_data(&user_id, Some(&room_id), &kind).await;
    encode(data?)
}

pub(crate) fn require_own(requester: &Requester, user_id: &UserId) -> Result<(), ApiError> {
    if requester.user_id == user_id {
        Ok(())
    } else {
        Err(ApiError::forbidden("This belongs to another user."))
    }
}

fn encode(data: Option<AccountData>) -> Result<Json<Box<RawValue>>, ApiError> {
    data.map(|data| Json(data.content))
        .ok_or_else(|| ApiError::not_found("There is no account data of this type."))
}
