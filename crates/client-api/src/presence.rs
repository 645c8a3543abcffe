//! Presence, switched off: it comes with a later release.
//!
//! Clients set it whether or not a server keeps it, and take an unknown path for a broken server. What they set is
//! checked and forgotten, and everybody is offline, as on any server whose operator has turned presence off.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, JsonBody, Path, Requester};
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ClientApi, account_data::require_own};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/presence/{user_id}/status", get(get_presence).put(set_presence))
}

/// The states of the specification.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Availability {
    Online,
    Offline,
    Unavailable,
}

/// What a client sets.
#[derive(Deserialize)]
struct Presence {
    #[serde(rename = "presence")]
    _presence: Availability,
    #[serde(rename = "status_msg")]
    _status_msg: Option<String>,
}

/// `GET /_matrix/client/v3/presence/{userId}/status`
async fn get_presence(State(_): State<ClientApi>, _: Requester, Path(_): Path<OwnedUserId>) -> Json<Value> {
    Json(json!({ "presence": "offline" }))
}

/// `PUT /_matrix/client/v3/presence/{userId}/status`
async fn set_presence(
    State(_): State<ClientApi>,
    requester: Requester,
    Path(user_id): Path<OwnedUserId>,
    JsonBody(_): JsonBody<Presence>,
) -> Result<Json<Value>, ApiError> {
    require_own(&requester, &user_id)?;
    Ok(Json(json!({})))
}
