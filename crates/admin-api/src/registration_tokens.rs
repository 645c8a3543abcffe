//! Registration tokens.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use gatehouse_accounts::{NewToken, RegistrationToken, RegistrationTokenTerms};
use gatehouse_http::{ApiError, JsonBody, JsonObject, Path, Query};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{AdminApi, administrator::Administrator};

pub(crate) fn routes() -> Router<AdminApi> {
    Router::new()
        .route("/v1/registration_tokens", get(list_tokens))
        .route("/v1/registration_tokens/new", post(create_token))
        .route(
            "/v1/registration_tokens/{token}",
            get(get_token).put(update_token).delete(delete_token),
        )
}

#[derive(Deserialize)]
struct ListQuery {
    valid: Option<bool>,
}

/// `GET /_synapse/admin/v1/registration_tokens`
async fn list_tokens(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    let mut listed = Vec::new();
    for token in api.accounts.registration_tokens().await? {
        let usable = api.accounts.is_registration_token_usable(&token.token).await?;
        if query.valid.is_none_or(|valid| valid == usable) {
            listed.push(encode(&token));
        }
    }
    Ok(Json(json!({ "registration_tokens": listed })))
}

#[derive(Deserialize)]
struct CreateBody {
    token: Option<String>,
    uses_allowed: Option<u64>,
    expiry_time: Option<u64>,
    length: Option<usize>,
}

/// `POST /_synapse/admin/v1/registration_tokens/new`
async fn create_token(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    JsonBody(body): JsonBody<CreateBody>,
) -> Result<Json<Value>, ApiError> {
    let new = match (body.token, body.length) {
        (Some(token), _) => NewToken::Named(token),
        (None, Some(chars)) => NewToken::Random { chars },
        (None, None) => NewToken::default(),
    };
    let terms = RegistrationTokenTerms {
        uses_allowed: body.uses_allowed,
        expires_ms: body.expiry_time,
    };
    let token = api.accounts.create_registration_token(new, &terms).await?;
    Ok(Json(encode(&token)))
}

/// `GET /_synapse/admin/v1/registration_tokens/{token}`
async fn get_token(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(token): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(encode(&api.accounts.registration_token(&token).await?)))
}

/// `PUT /_synapse/admin/v1/registration_tokens/{token}`: `null` takes a limit away, what is absent stays.
async fn update_token(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(token): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let uses_allowed = limit(&body, "uses_allowed")?;
    let expires_ms = limit(&body, "expiry_time")?;
    let change = |terms: &mut RegistrationTokenTerms| {
        uses_allowed.apply(&mut terms.uses_allowed);
        expires_ms.apply(&mut terms.expires_ms);
    };
    let token = api.accounts.change_registration_token(&token, change).await?;
    Ok(Json(encode(&token)))
}

/// `DELETE /_synapse/admin/v1/registration_tokens/{token}`
async fn delete_token(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(token): Path<String>,
) -> Result<Json<Value>, ApiError> {
    api.accounts.delete_registration_token(&token).await?;
    Ok(Json(json!({})))
}

/// What a request says of a limit.
#[derive(Clone, Copy)]
enum LimitChange {
    Keep,
    /// `None`: take it away.
    Set(Option<u64>),
}

impl LimitChange {
    fn apply(self, limit: &mut Option<u64>) {
        if let Self::Set(new) = self {
            *limit = new;
        }
    }
}

fn limit(body: &Map<String, Value>, key: &str) -> Result<LimitChange, ApiError> {
    match body.get(key) {
        None => Ok(LimitChange::Keep),
        Some(Value::Null) => Ok(LimitChange::Set(None)),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(LimitChange::Set(Some(number))),
            None => Err(ApiError::invalid_param("A limit of a token is a number or null.")),
        },
    }
}

fn encode(token: &RegistrationToken) -> Value {
    json!({
        "token": token.token,
        "uses_allowed": token.uses_allowed,
        "pending": token.pending,
        "completed": token.completed,
        "expiry_time": token.expires_ms,
    })
}
