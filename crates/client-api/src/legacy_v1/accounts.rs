//! Registering and refreshing tokens as in 2015. Logging in is what it was.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use gatehouse_accounts::{DeviceRequest, RefreshError, RegistrationRequest, Secret};
use gatehouse_http::{ApiError, ClientAddress, JsonBody, Limit};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{ClientApi, register::encode_login};

pub(super) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/register", get(get_registration_flows).post(register))
        .route("/tokenrefresh", post(refresh_token))
}

/// `GET /_matrix/client/api/v1/register`
async fn get_registration_flows() -> Json<Value> {
    Json(json!({ "flows": [{ "type": "m.login.password" }] }))
}

#[derive(Deserialize)]
struct RegisterBody {
    #[serde(rename = "type")]
    kind: String,
    user: Option<String>,
    password: Secret,
}

/// `POST /_matrix/client/api/v1/register`: in one request, where nothing but a password is asked for.
async fn register(
    State(api): State<ClientApi>,
    address: ClientAddress,
    JsonBody(body): JsonBody<RegisterBody>,
) -> Result<Json<Value>, ApiError> {
    api.http
        .rate_limits
        .check_address(Limit::Registration, address.0)?;
    if body.kind != "m.login.password" {
        return Err(ApiError::unknown(
            "This API knows the registration type `m.login.password` only.",
        ));
    }
    let user = body.user.filter(|user| !user.is_empty());
    let mut today = Map::new();
    today.insert("auth".to_owned(), json!({ "type": "m.login.dummy" }));
    today.insert("username".to_owned(), json!(user));
    let request = RegistrationRequest {
        username: user.map(|user| local_part(&api, &user)),
        password: Some(body.password),
        guest_access_token: None,
        device: DeviceRequest::default(),
        inhibit_login: false,
        address: Some(address.0),
    };
    let registered = api.accounts.register(&today, request).await;
    let registered = registered.map_err(|error| one_request(error.into()))?;
    let login = registered
        .login
        .ok_or_else(|| ApiError::internal("The account was made, but not logged in. Log in."))?;
    Ok(Json(encode_login(&api, &login)))
}

/// Clients of that time may name the whole user id.
fn local_part(api: &ClientApi, user: &str) -> String {
    let suffix = format!(":{}", api.accounts.server_name());
    let bare = user.strip_prefix('@').and_then(|user| user.strip_suffix(&suffix));
    bare.unwrap_or(user).to_owned()
}

/// Where more than a password is asked for, this API cannot register anybody.
fn one_request(error: ApiError) -> ApiError {
    if error.status() != StatusCode::UNAUTHORIZED {
        return error;
    }
    ApiError::forbidden(
        "This server wants more than a password from new users, which this old API cannot ask for. \
         Use a newer client.",
    )
}

#[derive(Deserialize)]
struct RefreshBody {
    refresh_token: Secret,
}

/// `POST /_matrix/client/api/v1/tokenrefresh`
async fn refresh_token(
    State(api): State<ClientApi>,
    JsonBody(body): JsonBody<RefreshBody>,
) -> Result<Json<Value>, ApiError> {
    let refreshed = api.accounts.refresh(body.refresh_token.expose()).await;
    let refreshed = refreshed.map_err(|error| match error {
        // Today this is 401 M_UNKNOWN_TOKEN.
        RefreshError::UnknownToken => ApiError::forbidden(error.to_string()),
        error @ (RefreshError::Locked | RefreshError::Unavailable(_)) => error.into(),
    })?;
    Ok(Json(json!({
        "access_token": refreshed.access_token.expose(),
        "refresh_token": refreshed.refresh_token.expose(),
    })))
}
