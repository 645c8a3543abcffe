//! Where clients bring the codes that text messages bring: not in the specification, which leaves the address to servers
//! and tells it in the answer to `requestToken`. Links in mails lead to pages, which are elsewhere.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_accounts::{Secret, TokenSubmission};
use gatehouse_http::{ApiError, ClientAddress, JsonBody, Limit};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ClientApi;

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/validate/msisdn/submitToken", post(submit_token))
}

#[derive(Deserialize)]
struct CodeBody {
    sid: String,
    client_secret: Secret,
    token: Secret,
}

/// `POST /_gatehouse/validate/msisdn/submitToken`: as that of the identity service, without an access token.
async fn submit_token(
    State(api): State<ClientApi>,
    address: ClientAddress,
    JsonBody(body): JsonBody<CodeBody>,
) -> Result<Json<Value>, ApiError> {
    api.http.rate_limits.check_address(Limit::Login, address.0)?;
    let submission = TokenSubmission {
        sid: &body.sid,
        client_secret: Some(body.client_secret.expose()),
        token: body.token.expose(),
    };
    api.accounts.submit_validation(&submission).await?;
    Ok(Json(json!({ "success": true })))
}
