//! Telling other services whose an `OpenID` token is.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, Query};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::FederationApi;

pub(crate) fn routes() -> Router<FederationApi> {
    Router::new().route("/openid/userinfo", get(exchange_open_id_token))
}

#[derive(Deserialize)]
struct Token {
    access_token: Option<String>,
}

/// `GET /_matrix/federation/v1/openid/userinfo`
async fn exchange_open_id_token(
    State(api): State<FederationApi>,
    Query(query): Query<Token>,
) -> Result<Json<Value>, ApiError> {
    let token = query
        .access_token
        .ok_or_else(|| ApiError::missing_token("The parameter `access_token` is missing."))?;
    match api.http.accounts.openid_user(&token).await? {
        Some(user) => Ok(Json(json!({ "sub": user }))),
        None => Err(ApiError::unknown_token(
            "This OpenID token is not known, or has expired.",
        )),
    }
}
