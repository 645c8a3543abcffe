//! Changing one's password.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_accounts::Secret;
use gatehouse_http::{ApiError, JsonObject, Requester};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    ClientApi,
    uia::{require_owner, typed},
};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/account/password", post(change_password))
}

#[derive(Deserialize)]
struct PasswordBody {
    new_password: Option<Secret>,
    logout_devices: Option<bool>,
}

/// `POST /_matrix/client/v3/account/password`
async fn change_password(
    State(api): State<ClientApi>,
    requester: Requester,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let meaning: PasswordBody = typed(&body)?;
    require_owner(&api, &requester, "changePassword", &body).await?;
    let new_password = meaning
        .new_password
        .ok_or_else(|| ApiError::missing_param("The `new_password` is missing."))?;
    let session = &requester;
    let (user_id, keep) = (&session.user_id, Some(&*session.device_id));
    if meaning.logout_devices.unwrap_or(true) {
        api.accounts
            .set_password_and_log_out(user_id, &new_password, keep)
            .await?;
    } else {
        api.accounts.set_password(user_id, &new_password).await?;
    }
    Ok(Json(json!({})))
}
