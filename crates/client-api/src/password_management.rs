//! Changing one's password, and setting one that was forgotten.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_accounts::{ChangePasswordError, PasswordChange, Purpose, Secret, StageFailure, UiaError};
use gatehouse_http::{ApiError, ClientAddress, JsonBody, JsonObject, Limit, OptionalRequester};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    ClientApi, limits,
    uia::typed,
    validation::{EmailToken, MsisdnToken, request_token},
};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/account/password", post(change_password))
        .route(
            "/account/password/email/requestToken",
            post(request_token_to_reset_password_email),
        )
        .route(
            "/account/password/msisdn/requestToken",
            post(request_token_to_reset_password_msisdn),
        )
}

#[derive(Deserialize)]
struct PasswordBody {
    new_password: Option<Secret>,
    logout_devices: Option<bool>,
}

/// `POST /_matrix/client/v3/account/password`
async fn change_password(
    State(api): State<ClientApi>,
    OptionalRequester(requester): OptionalRequester,
    address: ClientAddress,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let meaning: PasswordBody = typed(&body)?;
    let rate_limits = &api.http.rate_limits;
    let key = match &requester {
        Some(requester) => limits::account(&api, requester.user_id.as_str()),
        None => limits::network(address),
    };
    rate_limits.peek(Limit::LoginFailed, &key)?;
    let change = PasswordChange {
        body: &body,
        requester: requester
            .as_ref()
            .map(|session| (&*session.user_id, &*session.device_id)),
        new_password: meaning.new_password.as_ref(),
        logs_out: meaning.logout_devices.unwrap_or(true),
    };
    let changed = api.accounts.change_password(&change).await;
    if let Err(ChangePasswordError::Authentication(UiaError::Challenge(challenge))) = &changed
        && challenge.failure == Some(StageFailure::WrongPassword)
    {
        rate_limits.check(Limit::LoginFailed, &key)?;
    }
    changed?;
    Ok(Json(json!({})))
}

/// `POST /_matrix/client/v3/account/password/email/requestToken`
async fn request_token_to_reset_password_email(
    State(api): State<ClientApi>,
    address: ClientAddress,
    JsonBody(body): JsonBody<EmailToken>,
) -> Result<Json<Value>, ApiError> {
    request_token(&api, address, Purpose::ResetPassword, &body.into()).await
}

/// `POST /_matrix/client/v3/account/password/msisdn/requestToken`
async fn request_token_to_reset_password_msisdn(
    State(api): State<ClientApi>,
    address: ClientAddress,
    JsonBody(body): JsonBody<MsisdnToken>,
) -> Result<Json<Value>, ApiError> {
    request_token(&api, address, Purpose::ResetPassword, &body.into()).await
}
