//! Server administration: looking at, suspending and locking users.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_accounts::{Device, User, UserMark};
use gatehouse_http::{ApiError, JsonBody, Path, Requester};
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ClientApi;

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/admin/whois/{user_id}", get(get_who_is))
}

/// Under `/_matrix/client/v1`.
pub(crate) fn v1_routes() -> Router<ClientApi> {
    Router::new()
        .route(
            "/admin/suspend/{user_id}",
            get(get_admin_suspend_user).put(set_admin_suspend_user),
        )
        .route(
            "/admin/lock/{user_id}",
            get(get_admin_lock_user).put(set_admin_lock_user),
        )
}

/// `GET /_matrix/client/v3/admin/whois/{userId}`
async fn get_who_is(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(user_id): Path<OwnedUserId>,
) -> Result<Json<Value>, ApiError> {
    if requester.user_id != user_id {
        require_administrator(&requester)?;
    }
    let devices = api.accounts.devices(&user_id).await?;
    let devices: Map<String, Value> = devices
        .iter()
        .map(|device| (device.device_id.to_string(), connections(device)))
        .collect();
    Ok(Json(json!({ "user_id": user_id, "devices": devices })))
}

/// `GET /_matrix/client/v1/admin/suspend/{userId}`
async fn get_admin_suspend_user(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(user_id): Path<OwnedUserId>,
) -> Result<Json<Value>, ApiError> {
    let user = find(&api, &requester, &user_id).await?;
    Ok(Json(json!({ "suspended": user.is_suspended })))
}

#[derive(Deserialize)]
struct Suspended {
    suspended: bool,
}

/// `PUT /_matrix/client/v1/admin/suspend/{userId}`
async fn set_admin_suspend_user(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(user_id): Path<OwnedUserId>,
    JsonBody(body): JsonBody<Suspended>,
) -> Result<Json<Value>, ApiError> {
    mark(&api, &requester, &user_id, (UserMark::Suspended, body.suspended)).await?;
    Ok(Json(json!({ "suspended": body.suspended })))
}

/// `GET /_matrix/client/v1/admin/lock/{userId}`
async fn get_admin_lock_user(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(user_id): Path<OwnedUserId>,
) -> Result<Json<Value>, ApiError> {
    let user = find(&api, &requester, &user_id).await?;
    Ok(Json(json!({ "locked": user.is_locked })))
}

#[derive(Deserialize)]
struct Locked {
    locked: bool,
}

/// `PUT /_matrix/client/v1/admin/lock/{userId}`
async fn set_admin_lock_user(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(user_id): Path<OwnedUserId>,
    JsonBody(body): JsonBody<Locked>,
) -> Result<Json<Value>, ApiError> {
    mark(&api, &requester, &user_id, (UserMark::Locked, body.locked)).await?;
    Ok(Json(json!({ "locked": body.locked })))
}

async fn mark(
    api: &ClientApi,
    requester: &Requester,
    user_id: &UserId,
    (mark, set): (UserMark, bool),
) -> Result<(), ApiError> {
    if find(api, requester, user_id).await?.is_admin {
        return Err(ApiError::forbidden(
            "Administrators cannot do this to each other or to themselves.",
        ));
    }
    Ok(api.accounts.mark_user(user_id, mark, set).await?)
}

/// The user, for administrators; whether there is one is not told to others.
async fn find(api: &ClientApi, requester: &Requester, user_id: &UserId) -> Result<User, ApiError> {
    require_administrator(requester)?;
    if !api.accounts.is_local(user_id) {
        return Err(ApiError::invalid_param("This is a user of another server."));
    }
    let user = api.accounts.user(user_id).await?;
    user.filter(|user| !user.is_deactivated)
        .ok_or_else(|| ApiError::not_found("There is no such user."))
}

fn require_administrator(requester: &Requester) -> Result<(), ApiError> {
    if requester.is_admin {
        Ok(())
    } else {
        Err(ApiError::forbidden(
            "Only administrators of this server may do this.",
        ))
    }
}

fn connections(device: &Device) -> Value {
    let mut connections = Vec::new();
    if let Some(last_seen_ms) = device.last_seen_ts_ms {
        let mut connection = Map::new();
        connection.insert("last_seen".to_owned(), json!(last_seen_ms));
        if let Some(ip) = &device.last_seen_ip {
            connection.insert("ip".to_owned(), json!(ip));
        }
        connections.push(Value::Object(connection));
    }
    json!({ "sessions": [{ "connections": connections }] })
}
