//! Making an account.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use gatehouse_accounts::{DeviceRequest, LoggedIn, Purpose, Registered, RegistrationRequest, Secret};
use gatehouse_http::{ApiError, ClientAddress, JsonBody, JsonObject, Limit, Query};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    ClientApi,
    uia::typed,
    validation::{EmailToken, MsisdnToken, request_token},
};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/register", post(register))
        .route("/register/available", get(check_username_availability))
        .route(
            "/register/email/requestToken",
            post(request_token_to_register_email),
        )
        .route(
            "/register/msisdn/requestToken",
            post(request_token_to_register_msisdn),
        )
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

#[derive(Deserialize)]
struct RegisterBody {
    username: Option<String>,
    password: Option<Secret>,
    guest_access_token: Option<Secret>,
    device_id: Option<String>,
    initial_device_display_name: Option<String>,
    inhibit_login: Option<bool>,
    refresh_token: Option<bool>,
}

/// `POST /_matrix/client/v3/register`
async fn register(
    State(api): State<ClientApi>,
    address: ClientAddress,
    Query(query): Query<Kind>,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    api.http
        .rate_limits
        .check_address(Limit::Registration, address.0)?;
    let meaning: RegisterBody = typed(&body)?;
    let device = DeviceRequest {
        device_id: meaning.device_id.map(Into::into),
        initial_display_name: meaning.initial_device_display_name,
        refresh_token: meaning.refresh_token.unwrap_or(false),
    };
    let registered = match query.kind.as_deref() {
        None | Some("user") => {
            let request = RegistrationRequest {
                username: meaning.username,
                password: meaning.password,
                guest_access_token: meaning.guest_access_token,
                device,
                inhibit_login: meaning.inhibit_login.unwrap_or(false),
                address: Some(address.0),
            };
            api.accounts.register(&body, request).await
        }
        Some("guest") => api.accounts.register_guest(device).await,
        Some(_) => {
            return Err(ApiError::invalid_param(
                "The `kind` of an account is `user` or `guest`.",
            ));
        }
    };
    Ok(Json(encode(&api, registered?)))
}

#[derive(Deserialize)]
struct Username {
    username: Option<String>,
}

/// `GET /_matrix/client/v3/register/available`
async fn check_username_availability(
    State(api): State<ClientApi>,
    Query(query): Query<Username>,
) -> Result<Json<Value>, ApiError> {
    let username = query
        .username
        .ok_or_else(|| ApiError::missing_param("The `username` to check is missing."))?;
    api.accounts.check_username(&username).await?;
    Ok(Json(json!({ "available": true })))
}

/// `POST /_matrix/client/v3/register/email/requestToken`
async fn request_token_to_register_email(
    State(api): State<ClientApi>,
    address: ClientAddress,
    JsonBody(body): JsonBody<EmailToken>,
) -> Result<Json<Value>, ApiError> {
    api.accounts.registration_flows()?;
    request_token(&api, address, Purpose::Register, &body.into()).await
}

/// `POST /_matrix/client/v3/register/msisdn/requestToken`
async fn request_token_to_register_msisdn(
    State(api): State<ClientApi>,
    address: ClientAddress,
    JsonBody(body): JsonBody<MsisdnToken>,
) -> Result<Json<Value>, ApiError> {
    api.accounts.registration_flows()?;
    request_token(&api, address, Purpose::Register, &body.into()).await
}

fn encode(api: &ClientApi, registered: Registered) -> Value {
    match registered.login {
        Some(login) => encode_login(api, &login),
        None => json!({ "user_id": registered.user_id, "home_server": api.accounts.server_name() }),
    }
}

/// A new session, as `/register` and `/login` answer it.
pub(crate) fn encode_login(api: &ClientApi, login: &LoggedIn) -> Value {
    let mut body = Map::new();
    body.insert("user_id".to_owned(), json!(login.user_id));
    body.insert("device_id".to_owned(), json!(login.device_id));
    body.insert("access_token".to_owned(), json!(login.access_token.expose()));
    body.insert("home_server".to_owned(), json!(api.accounts.server_name()));
    if let Some(refresh_token) = &login.refresh_token {
        body.insert("refresh_token".to_owned(), json!(refresh_token.expose()));
    }
    if let Some(expires_in_ms) = login.expires_in_ms {
        body.insert("expires_in_ms".to_owned(), json!(expires_in_ms));
    }
    Value::Object(body)
}
