//! Establishing associations: binding an address and taking it back.

use axum::{
    Json, Router,
    extract::{FromRequestParts, OriginalUri, State},
    routing::{get, post},
};
use gatehouse_http::{ApiError, Query};
use gatehouse_identity::{SignedRequest, UnbindProof};
use gatehouse_mail::Threepid;
use http::{HeaderMap, Uri, header, request::Parts};
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{IdentityApi, errors, fields::Fields, requester::Requester};

pub(crate) fn routes() -> Router<IdentityApi> {
    Router::new()
        .route("/3pid/getValidated3pid", get(get_validated_3pid))
        .route("/3pid/bind", post(bind))
        .route("/3pid/unbind", post(unbind))
}

/// Names a session.
#[derive(Deserialize)]
pub(crate) struct SessionQuery {
    sid: String,
    client_secret: String,
}

/// `GET /_matrix/identity/v2/3pid/getValidated3pid`
async fn get_validated_3pid(
    State(api): State<IdentityApi>,
    _: Requester,
    query: Query<SessionQuery>,
) -> Result<Json<Value>, ApiError> {
    validated(&api, &query).await
}

/// What the session has proven.
pub(crate) async fn validated(api: &IdentityApi, query: &SessionQuery) -> Result<Json<Value>, ApiError> {
    let validated = api.identity.validated(&query.sid, &query.client_secret).await;
    let validated = validated.map_err(errors::validated)?;
    Ok(Json(json!({
        "medium": validated.threepid.medium().as_str(),
        "address": validated.threepid.address(),
        "validated_at": validated.validated_ms,
    })))
}

/// `POST /_matrix/identity/v2/3pid/bind`
async fn bind(
    State(api): State<IdentityApi>,
    Requester(user_id): Requester,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let (sid, client_secret) = (fields.text("sid")?, fields.text("client_secret")?);
    let mxid = user(&fields)?;
    let bound = api.identity.bind(Some(&user_id), sid, client_secret, &mxid).await;
    Ok(Json(bound.map_err(errors::bind)?))
}

/// `POST /_matrix/identity/v2/3pid/unbind`
async fn unbind(
    State(api): State<IdentityApi>,
    OriginalUri(uri): OriginalUri,
    credentials: Credentials,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    take_back(&api, &uri, credentials, fields).await
}

/// Takes an association back for whoever shows these credentials.
pub(crate) async fn take_back(
    api: &IdentityApi,
    uri: &Uri,
    credentials: Credentials,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let (threepid, mxid) = (threepid(&fields)?, user(&fields)?);
    let unbound = match credentials {
        Credentials::User => {
            let proof = UnbindProof::Session {
                sid: fields.text("sid")?,
                client_secret: fields.text("client_secret")?,
            };
            api.identity.unbind(proof, &threepid, &mxid).await
        }
        Credentials::Homeserver(authorization) => {
            let signed = SignedRequest {
                method: "POST".to_owned(),
                uri: uri.path_and_query().map_or_else(String::new, ToString::to_string),
                authorization,
                body: Some(Value::Object(fields.0)),
            };
            let proof = UnbindProof::Homeserver(&signed);
            api.identity.unbind(proof, &threepid, &mxid).await
        }
    };
    unbound.map_err(errors::unbind)?;
    Ok(Json(json!({})))
}

/// Who wants an association taken back.
pub(crate) enum Credentials {
    /// Somebody with an access token, who has yet to show that the address is theirs.
    User,
    /// A homeserver, with the signatures of its request.
    Homeserver(Vec<String>),
}

impl FromRequestParts<IdentityApi> for Credentials {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, api: &IdentityApi) -> Result<Self, ApiError> {
        let signatures = signatures(&parts.headers);
        if !signatures.is_empty() {
            return Ok(Self::Homeserver(signatures));
        }
        Requester::from_request_parts(parts, api).await?;
        Ok(Self::User)
    }
}

/// The `Authorization` headers of a homeserver.
pub(crate) fn signatures(headers: &HeaderMap) -> Vec<String> {
    let is_signature = |value: &&str| {
        let scheme = value.split(' ').next().unwrap_or_default();
        scheme.eq_ignore_ascii_case("x-matrix")
    };
    let values = headers.get_all(header::AUTHORIZATION).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .filter(is_signature)
        .map(ToOwned::to_owned)
        .collect()
}

/// Whose the address is, or is to be.
pub(crate) fn user(fields: &Fields) -> Result<OwnedUserId, ApiError> {
    UserId::parse(fields.text("mxid")?)
        .map_err(|_| ApiError::invalid_param("`mxid` must be a user id, such as @alice:example.org."))
}

fn threepid(fields: &Fields) -> Result<Threepid, ApiError> {
    let threepid = fields.0.get("threepid").and_then(Value::as_object);
    let text = |name: &str| threepid?.get(name)?.as_str();
    let (Some(medium), Some(address)) = (text("medium"), text("address")) else {
        return Err(ApiError::missing_param(
            "The field `threepid` must be an object with `medium` and `address`.",
        ));
    };
    Threepid::parse(medium, address).map_err(errors::threepid)
}
