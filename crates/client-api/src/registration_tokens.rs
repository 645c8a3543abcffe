//! Whether a registration token can be used.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, ClientAddress, Limit, Query};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ClientApi;

/// Under `/_matrix/client/v1`.
pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route(
        "/register/m.login.registration_token/validity",
        get(registration_token_validity),
    )
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
}

/// `GET /_matrix/client/v1/register/m.login.registration_token/validity`
async fn registration_token_validity(
    State(api): State<ClientApi>,
    address: ClientAddress,
    Query(query): Query<Token>,
) -> Result<Json<Value>, ApiError> {
    // Guessing tokens is as limited as registering with them.
    api.http
        .rate_limits
        .check_address(Limit::Registration, address.0)?;
    let token = query
        .token
        .ok_or_else(|| ApiError::missing_param("The `token` to check is missing."))?;
    if !api.accounts.config().registration.token_required {
        return Err(ApiError::forbidden(
            "This server does not use registration tokens.",
        ));
    }
    let valid = api.accounts.is_registration_token_usable(&token).await;
    Ok(Json(json!({ "valid": valid? })))
}
