//! Accounts made by whoever knows `[registration] shared_secret`: what scripts and test suites use.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_accounts::{DeviceRequest, NewUser, Secret, SharedSecretRequest};
use gatehouse_http::{ApiError, JsonBody};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::AdminApi;

pub(crate) fn routes() -> Router<AdminApi> {
    Router::new().route("/v1/register", get(get_nonce).post(register))
}

/// `GET /_synapse/admin/v1/register`
async fn get_nonce(State(api): State<AdminApi>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "nonce": api.accounts.registration_nonce()? })))
}

#[derive(Deserialize)]
struct RegisterBody {
    nonce: String,
    username: String,
    password: Secret,
    displayname: Option<String>,
    admin: Option<bool>,
    user_type: Option<String>,
    mac: String,
    inhibit_login: Option<bool>,
}

/// `POST /_synapse/admin/v1/register`
async fn register(
    State(api): State<AdminApi>,
    JsonBody(body): JsonBody<RegisterBody>,
) -> Result<Json<Value>, ApiError> {
    let admin = body.admin.unwrap_or(false);
    api.accounts.check_shared_secret(&SharedSecretRequest {
        nonce: &body.nonce,
        username: &body.username,
        password: &body.password,
        admin,
        user_type: body.user_type.as_deref(),
        mac: &body.mac,
    })?;
    let user = NewUser {
        username: &body.username,
        password: Some(&body.password),
        is_admin: admin,
    };
    let device = DeviceRequest::default();
    let inhibit_login = body.inhibit_login.unwrap_or(false);
    let registered = api
        .accounts
        .create_user(&user, (!inhibit_login).then_some(&device))
        .await?;
    if let Some(displayname) = body.displayname {
        api.accounts
            .set_profile_field(&registered.user_id, "displayname", displayname.into())
            .await?;
    }
    let mut answer = json!({
        "user_id": registered.user_id,
        "home_server": api.accounts.server_name(),
    });
    if let (Some(login), Some(answer)) = (registered.login, answer.as_object_mut()) {
        answer.insert("access_token".to_owned(), json!(login.access_token.expose()));
        answer.insert("device_id".to_owned(), json!(login.device_id));
    }
    Ok(Json(answer))
}
