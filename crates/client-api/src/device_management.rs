//! One's devices.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use gatehouse_accounts::Device;
use gatehouse_http::{ApiError, JsonBody, JsonObject, Path, Requester};
use ruma::OwnedDeviceId;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    ClientApi,
    uia::{require_owner, typed},
};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/devices", get(get_devices))
        .route(
            "/devices/{device_id}",
            get(get_device).put(update_device).delete(delete_device),
        )
        .route("/delete_devices", post(delete_devices))
}

/// `GET /_matrix/client/v3/devices`
async fn get_devices(State(api): State<ClientApi>, requester: Requester) -> Result<Json<Value>, ApiError> {
    let devices = api.accounts.devices(&requester.user_id).await;
    let devices: Vec<Value> = devices?.iter().map(encode).collect();
    Ok(Json(json!({ "devices": devices })))
}

/// `GET /_matrix/client/v3/devices/{deviceId}`
async fn get_device(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(device_id): Path<OwnedDeviceId>,
) -> Result<Json<Value>, ApiError> {
    let device = api.accounts.device(&requester.user_id, &device_id).await;
    Ok(Json(encode(&device?)))
}

#[derive(Deserialize)]
struct UpdateBody {
    display_name: Option<String>,
}

/// `PUT /_matrix/client/v3/devices/{deviceId}`
async fn update_device(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(device_id): Path<OwnedDeviceId>,
    JsonBody(body): JsonBody<UpdateBody>,
) -> Result<Json<Value>, ApiError> {
    api.accounts
        .rename_device(&requester.user_id, &device_id, body.display_name)
        .await?;
    Ok(Json(json!({})))
}

/// `DELETE /_matrix/client/v3/devices/{deviceId}`
async fn delete_device(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(device_id): Path<OwnedDeviceId>,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let operation = format!("deleteDevice {device_id}");
    require_owner(&api, &requester, &operation, &body).await?;
    api.accounts
        .delete_devices(&requester.user_id, &[device_id])
        .await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct DeleteBody {
    devices: Option<Vec<OwnedDeviceId>>,
}

/// `POST /_matrix/client/v3/delete_devices`
async fn delete_devices(
    State(api): State<ClientApi>,
    requester: Requester,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let meaning: DeleteBody = typed(&body)?;
    require_owner(&api, &requester, "deleteDevices", &body).await?;
    let devices = meaning
        .devices
        .ok_or_else(|| ApiError::missing_param("The list `devices` is missing."))?;
    api.accounts.delete_devices(&requester.user_id, &devices).await?;
    Ok(Json(json!({})))
}

fn encode(device: &Device) -> Value {
    let mut body = Map::new();
    body.insert("device_id".to_owned(), json!(device.device_id));
    for (key, value) in [
        (
            "display_name",
            device.display_name.as_ref().map(|name| json!(name)),
        ),
        ("last_seen_ip", device.last_seen_ip.as_ref().map(|ip| json!(ip))),
        ("last_seen_ts", device.last_seen_ts_ms.map(|ts_ms| json!(ts_ms))),
    ] {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    }
    Value::Object(body)
}
