//! Devices of users, and where they were last used from.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use gatehouse_accounts::Device;
use gatehouse_http::{ApiError, JsonBody, Path};
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{AdminApi, administrator::Administrator, users::find};

pub(crate) fn routes() -> Router<AdminApi> {
    Router::new()
        .route("/v2/users/{user_id}/devices", get(list_devices))
        .route(
            "/v2/users/{user_id}/devices/{device_id}",
            get(get_device).put(rename_device).delete(delete_device),
        )
        .route("/v2/users/{user_id}/delete_devices", post(delete_devices))
        .route("/v1/whois/{user_id}", get(whois))
}

/// `GET /_synapse/admin/v2/users/{userId}/devices`
async fn list_devices(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(user_id): Path<OwnedUserId>,
) -> Result<Json<Value>, ApiError> {
    find(&api.accounts, &user_id).await?;
    let devices = api.accounts.devices(&user_id).await?;
    let devices: Vec<_> = devices.iter().map(|device| encode(&user_id, device)).collect();
    Ok(Json(json!({ "total": devices.len(), "devices": devices })))
}

/// `GET /_synapse/admin/v2/users/{userId}/devices/{deviceId}`
async fn get_device(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path((user_id, device_id)): Path<(OwnedUserId, OwnedDeviceId)>,
) -> Result<Json<Value>, ApiError> {
    let device = api.accounts.device(&user_id, &device_id).await?;
    Ok(Json(encode(&user_id, &device)))
}

#[derive(Deserialize)]
struct RenameBody {
    display_name: Option<String>,
}

/// `PUT /_synapse/admin/v2/users/{userId}/devices/{deviceId}`
async fn rename_device(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path((user_id, device_id)): Path<(OwnedUserId, OwnedDeviceId)>,
    JsonBody(body): JsonBody<RenameBody>,
) -> Result<Json<Value>, ApiError> {
    api.accounts
        .rename_device(&user_id, &device_id, body.display_name)
        .await?;
    Ok(Json(json!({})))
}

/// `DELETE /_synapse/admin/v2/users/{userId}/devices/{deviceId}`
async fn delete_device(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path((user_id, device_id)): Path<(OwnedUserId, OwnedDeviceId)>,
) -> Result<Json<Value>, ApiError> {
    find(&api.accounts, &user_id).await?;
    api.accounts.delete_devices(&user_id, &[device_id]).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct DeleteBody {
    devices: Vec<OwnedDeviceId>,
}

/// `POST /_synapse/admin/v2/users/{userId}/delete_devices`
async fn delete_devices(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(user_id): Path<OwnedUserId>,
    JsonBody(body): JsonBody<DeleteBody>,
) -> Result<Json<Value>, ApiError> {
    find(&api.accounts, &user_id).await?;
    api.accounts.delete_devices(&user_id, &body.devices).await?;
    Ok(Json(json!({})))
}

/// `GET /_synapse/admin/v1/whois/{userId}`
async fn whois(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(user_id): Path<OwnedUserId>,
) -> Result<Json<Value>, ApiError> {
    find(&api.accounts, &user_id).await?;
    let devices: Map<String, Value> = api
        .accounts
        .devices(&user_id)
        .await?
        .iter()
        .map(|device| (device.device_id.to_string(), connections(device)))
        .collect();
    Ok(Json(json!({ "user_id": user_id, "devices": devices })))
}

fn connections(device: &Device) -> Value {
    let connections: Vec<Value> = device
        .last_seen_ts_ms
        .iter()
        .map(|last_seen_ms| json!({ "ip": device.last_seen_ip, "last_seen": last_seen_ms, "user_agent": null }))
        .collect();
    json!({ "sessions": [{ "connections": connections }] })
}

fn encode(user_id: &UserId, device: &Device) -> Value {
    json!({
        "device_id": device.device_id,
        "display_name": device.display_name,
        "last_seen_ip": device.last_seen_ip,
        "last_seen_ts": device.last_seen_ts_ms,
        "last_seen_user_agent": null,
        "user_id": user_id,
    })
}
