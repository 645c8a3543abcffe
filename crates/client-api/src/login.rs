//! Logging in.

use std::net::IpAddr;

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_accounts::{DeviceRequest, LoginError, Secret};
use gatehouse_http::{ApiError, ClientAddress, JsonBody, Limit, RateLimits};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ClientApi, limits, register::encode_login};

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
    /// The form of r0.
    user: Option<String>,
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
    let name = named(body.identifier, body.user)?;
    let password = body
        .password
        .ok_or_else(|| ApiError::missing_param("The `password` is missing."))?;
    let device = DeviceRequest {
        device_id: body.device_id.map(Into::into),
        initial_display_name: body.initial_device_display_name,
        refresh_token: body.refresh_token.unwrap_or(false),
    };
    let attempt = Attempt {
        limits: &api.http.rate_limits,
        address: address.0,
        account: limits::account(&api, &name),
    };
    attempt.begin()?;
    match api.accounts.login_with_password(&name, &password, &device).await {
        Ok(logged_in) => Ok(Json(encode_login(&api, &logged_in))),
        Err(error) => {
            if matches!(error, LoginError::InvalidCredentials) {
                attempt.fail()?;
            }
            Err(error.into())
        }
    }
}

/// One try to log in, as the limits count it.
struct Attempt<'a> {
    limits: &'a RateLimits,
    address: IpAddr,
    account: String,
}

impl Attempt<'_> {
    /// Counts the try; those who were wrong too often are refused before a password is looked at.
    fn begin(&self) -> Result<(), ApiError> {
        self.limits.peek(Limit::LoginFailed, &self.account)?;
        self.limits.peek_address(Limit::LoginFailed, self.address)?;
        self.limits.check_address(Limit::Login, self.address)?;
        self.limits.check(Limit::LoginAccount, &self.account)
    }

    /// Counts a wrong password.
    fn fail(&self) -> Result<(), ApiError> {
        self.limits.check(Limit::LoginFailed, &self.account)?;
        self.limits.check_address(Limit::LoginFailed, self.address)
    }
}

/// Whom the client names. Addresses and phone numbers come with third-party ids; until then nobody has one, and the
/// answer is as to a wrong one.
fn named(identifier: Option<Identifier>, user: Option<String>) -> Result<String, ApiError> {
    let missing = || ApiError::missing_param("The `identifier` does not say who wants to log in.");
    match identifier {
        None => user.ok_or_else(missing),
        Some(identifier) => match identifier.kind.as_str() {
            "m.id.user" => identifier.user.ok_or_else(missing),
            "m.id.thirdparty" | "m.id.phone" => Err(ApiError::forbidden("Invalid username or password.")),
            _ => Err(ApiError::unknown(
                "This server does not know this type of identifier.",
            )),
        },
    }
}
