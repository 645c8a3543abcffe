//! Closing one's account.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_http::{ApiError, JsonObject, Requester};
use gatehouse_rooms::DeactivationError;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    ClientApi,
    uia::{require_owner, typed},
};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/account/deactivate", post(deactivate_account))
}

#[derive(Deserialize)]
struct Body {
    erase: Option<bool>,
}

/// `POST /_matrix/client/v3/account/deactivate`
async fn deactivate_account(
    State(api): State<ClientApi>,
    requester: Requester,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let meaning: Body = typed(&body)?;
    require_owner(&api, &requester, "deactivateAccount", &body).await?;
    let erase = meaning.erase.unwrap_or(false);
    match api.rooms.deactivate(&requester.user_id, erase).await {
        Ok(()) => {}
        Err(DeactivationError::StillInRooms(error)) => {
            tracing::warn!(%error, "a deactivated user could not be taken out of a room");
        }
        Err(DeactivationError::User(error)) => return Err(error.into()),
    }
    // What cannot be unbound now is tried again; the account is closed all the same.
    let unbound = api.identity_client.unbind_now(&requester.user_id).await;
    let result = if unbound.unwrap_or(false) {
        "success"
    } else {
        "no-support"
    };
    Ok(Json(json!({ "id_server_unbind_result": result })))
}
