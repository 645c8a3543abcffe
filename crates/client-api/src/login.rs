//! Logging in.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_accounts::{DeviceRequest, LoginError, Secret};
use gatehouse_http::{ApiError, ClientAddress, JsonBody, LoginAttempt, LoginName};
use gatehouse_mail::{InvalidThreepid, Threepid};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ClientApi, register::encode_login};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/login", get(get_login_flows).post(login))
}

/// `GET /_matrix/client/v3/login`
async fn get_login_flows() -> Json<Value> {
    Json(json!({ "flows": [{ "type": "m.login.password" }] }))
}

#[derive(Deserialize)]
struct LoginBody {
    #[serde(rename = "type")]
    kind: String,
    identifier: Option<Identifier>,
    /// The forms of r0.
    user: Option<String>,
    medium: Option<String>,
    address: Option<String>,
    password: Option<Secret>,
    device_id: Option<String>,
    initial_device_display_name: Option<String>,
    refresh_token: Option<bool>,
}

#[derive(Deserialize)]
struct Identifier {
    #[serde(rename = "type")]
    kind: String,
    user: Option<String>,
    medium: Option<String>,
    address: Option<String>,
    country: Option<String>,
    phone: Option<String>,
    /// What `phone` was called in r0.
    number: Option<String>,
}

/// `POST /_matrix/client/v3/login`
async fn login(
    State(api): State<ClientApi>,
    address: ClientAddress,
    JsonBody(body): JsonBody<LoginBody>,
) -> Result<Json<Value>, ApiError> {
    if body.kind != "m.login.password" {
        let text = "This server knows the login type `m.login.password` only.";
        return Err(ApiError::unknown(text));
    }
    let name = login_name(&api, &body).await?;
    let password = body
        .password
        .ok_or_else(|| ApiError::missing_param("The `password` is missing."))?;
    let device = DeviceRequest {
        device_id: body.device_id.map(Into::into),
        initial_display_name: body.initial_device_display_name,
        refresh_token: body.refresh_token.unwrap_or(false),
    };
    let attempt = LoginAttempt::begin(&api.http.rate_limits, address.0, &name)?;
    match api
        .accounts
        .login_with_password(&name.name, &password, &device)
        .await
    {
        Ok(logged_in) => Ok(Json(encode_login(&api, &logged_in))),
        Err(error) => {
            if matches!(error, LoginError::InvalidCredentials) {
                attempt.fail()?;
            }
            Err(error.into())
        }
    }
}

/// Who wants to log in.
async fn login_name(api: &ClientApi, body: &LoginBody) -> Result<LoginName, ApiError> {
    Ok(match named(body)? {
        Named::User(name) => LoginName::user(&api.accounts, name),
        Named::Address(threepid) => LoginName::address(&api.accounts, &threepid).await?,
    })
}

/// Whom the client names.
enum Named<'a> {
    User(&'a str),
    Address(Threepid),
}

fn named(body: &LoginBody) -> Result<Named<'_>, ApiError> {
    let missing = || ApiError::missing_param("The `identifier` does not say who wants to log in.");
    let by_address = |medium: &Option<String>, address: &Option<String>| {
        let (medium, address) = medium.as_deref().zip(address.as_deref()).ok_or_else(missing)?;
        addressed(Threepid::parse(medium, address))
    };
    let Some(identifier) = &body.identifier else {
        return match &body.user {
            Some(user) => Ok(Named::User(user)),
            None => by_address(&body.medium, &body.address),
        };
    };
    match identifier.kind.as_str() {
        "m.id.user" => identifier.user.as_deref().map(Named::User).ok_or_else(missing),
        "m.id.thirdparty" => by_address(&identifier.medium, &identifier.address),
        "m.id.phone" => {
            let number = identifier.phone.as_deref().or(identifier.number.as_deref());
            let (country, number) = identifier.country.as_deref().zip(number).ok_or_else(missing)?;
            addressed(Threepid::phone(country, number))
        }
        _ => Err(ApiError::unknown(
            "This server does not know this type of identifier.",
        )),
    }
}

fn addressed<'a>(threepid: Result<Threepid, InvalidThreepid>) -> Result<Named<'a>, ApiError> {
    let threepid = threepid.map_err(|error| ApiError::invalid_param(error.to_string()))?;
    Ok(Named::Address(threepid))
}
