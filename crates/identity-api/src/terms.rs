//! Terms of service.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, JsonBody};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{IdentityApi, errors, requester::NewcomerRequester};

pub(crate) fn routes() -> Router<IdentityApi> {
    Router::new().route("/terms", get(get_terms).post(agree_to_terms))
}

/// `GET /_matrix/identity/v2/terms`
async fn get_terms(State(api): State<IdentityApi>) -> Json<Value> {
    Json(json!({ "policies": api.identity.policies() }))
}

#[derive(Deserialize)]
struct AgreeBody {
    user_accepts: Vec<String>,
}

/// `POST /_matrix/identity/v2/terms`
async fn agree_to_terms(
    State(api): State<IdentityApi>,
    NewcomerRequester(user_id): NewcomerRequester,
    JsonBody(body): JsonBody<AgreeBody>,
) -> Result<Json<Value>, ApiError> {
    let agreed = api.identity.agree(&user_id, &body.user_accepts).await;
    agreed.map_err(errors::unavailable)?;
    Ok(Json(json!({})))
}
