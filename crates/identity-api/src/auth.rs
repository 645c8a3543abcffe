//! Accounts: an access token for an OpenID token.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use gatehouse_http::{ApiError, ClientAddress, JsonBody, Limit};
use gatehouse_identity::{OpenIdToken, Secret};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    IdentityApi, errors,
    requester::{Requester, Token},
};

pub(crate) fn routes() -> Router<IdentityApi> {
    Router::new()
        .route("/account/register", post(register_account))
        .route("/account", get(get_account))
        .route("/account/logout", post(logout))
}

#[derive(Deserialize)]
struct RegisterBody {
    access_token: Secret,
    matrix_server_name: String,
    token_type: Option<String>,
}

/// `POST /_matrix/identity/v2/account/register`
async fn register_account(
    State(api): State<IdentityApi>,
    ClientAddress(address): ClientAddress,
    JsonBody(body): JsonBody<RegisterBody>,
) -> Result<Json<Value>, ApiError> {
    // Each has us ask a server that the client names.
    api.rate_limits.check_address(Limit::Federation, address)?;
    let token = OpenIdToken {
        access_token: body.access_token,
        matrix_server_name: body.matrix_server_name,
        token_type: body.token_type,
    };
    let token = api.identity.register(&token).await.map_err(errors::register)?;
    // Early clients read the second name.
    Ok(Json(
        json!({ "token": token.expose(), "access_token": token.expose() }),
    ))
}

/// `GET /_matrix/identity/v2/account`
async fn get_account(Requester(user_id): Requester) -> Json<Value> {
    Json(json!({ "user_id": user_id }))
}

/// `POST /_matrix/identity/v2/account/logout`
async fn logout(State(api): State<IdentityApi>, Token(token): Token) -> Result<Json<Value>, ApiError> {
    api.identity.logout(&token).await.map_err(errors::auth)?;
    Ok(Json(json!({})))
}
