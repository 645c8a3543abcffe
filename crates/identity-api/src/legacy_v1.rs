//! The identity API of 2015, as the founding document's homeservers speak it: the same operations, without accounts.
//!
//! Whoever asks is counted by network address instead. What gives out many addresses at once (`bulk_lookup`) is not
//! here: without an account, nothing would bound it.

use axum::{
    Json, Router,
    extract::{OriginalUri, State},
    http::HeaderMap,
    response::Response,
    routing::{get, post},
};
use gatehouse_http::{ApiError, ClientAddress, Limit, Query};
use gatehouse_mail::{Medium, Threepid};
use ruma::UserId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    IdentityApi,
    associations::{self, Credentials, SessionQuery},
    errors,
    fields::Fields,
    invitation_signing, pubkey, store_invite,
    submission::{self, SubmissionQuery},
};

pub(crate) fn routes() -> Router<IdentityApi> {
    Router::new()
        .route("/lookup", get(lookup))
        .route("/validate/email/requestToken", post(email_request_token))
        .route(
            "/validate/email/submitToken",
            post(email_submit_token).get(email_follow),
        )
        .route("/validate/msisdn/requestToken", post(msisdn_request_token))
        .route(
            "/validate/msisdn/submitToken",
            post(msisdn_submit_token).get(msisdn_follow),
        )
        .route("/3pid/getValidated3pid", get(get_validated_3pid))
        .route("/3pid/bind", post(bind))
        .route("/3pid/unbind", post(unbind))
        .route("/store-invite", post(store))
        .route("/sign-ed25519", post(sign))
        .merge(pubkey::routes())
}

#[derive(Deserialize)]
struct LookupQuery {
    medium: String,
    address: String,
}

/// `GET /_matrix/identity/api/v1/lookup`: the signed association, or an empty object.
async fn lookup(
    State(api): State<IdentityApi>,
    ClientAddress(asker): ClientAddress,
    query: Query<LookupQuery>,
) -> Result<Json<Value>, ApiError> {
    let threepid = Threepid::parse(&query.medium, &query.address).map_err(errors::threepid)?;
    let found = api.identity.lookup_association(asker, &threepid).await;
    let found = found.map_err(errors::lookup)?;
    Ok(Json(found.unwrap_or_else(|| json!({}))))
}

/// `POST /_matrix/identity/api/v1/validate/email/requestToken`
async fn email_request_token(
    State(api): State<IdentityApi>,
    ClientAddress(asker): ClientAddress,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let threepid = Threepid::email(fields.text("email")?).map_err(errors::threepid)?;
    submission::request_token(&api, None, asker, &threepid, &fields).await
}

/// `POST /_matrix/identity/api/v1/validate/email/submitToken`
async fn email_submit_token(State(api): State<IdentityApi>, fields: Fields) -> Result<Json<Value>, ApiError> {
    submission::submit(&api, Medium::Email, &fields).await
}

/// `GET /_matrix/identity/api/v1/validate/email/submitToken`
async fn email_follow(State(api): State<IdentityApi>, Query(query): Query<SubmissionQuery>) -> Response {
    submission::follow(&api, Medium::Email, &query).await
}

/// `POST /_matrix/identity/api/v1/validate/msisdn/requestToken`
async fn msisdn_request_token(
    State(api): State<IdentityApi>,
    ClientAddress(asker): ClientAddress,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let (country, number) = (fields.text("country")?, fields.text("phone_number")?);
    let threepid = Threepid::phone(country, number).map_err(errors::threepid)?;
    submission::request_token(&api, None, asker, &threepid, &fields).await
}

/// `POST /_matrix/identity/api/v1/validate/msisdn/submitToken`
async fn msisdn_submit_token(
    State(api): State<IdentityApi>,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    submission::submit(&api, Medium::Msisdn, &fields).await
}

/// `GET /_matrix/identity/api/v1/validate/msisdn/submitToken`
async fn msisdn_follow(State(api): State<IdentityApi>, Query(query): Query<SubmissionQuery>) -> Response {
    submission::follow(&api, Medium::Msisdn, &query).await
}

/// `GET /_matrix/identity/api/v1/3pid/getValidated3pid`
async fn get_validated_3pid(
    State(api): State<IdentityApi>,
    query: Query<SessionQuery>,
) -> Result<Json<Value>, ApiError> {
    associations::validated(&api, &query).await
}

/// `POST /_matrix/identity/api/v1/3pid/bind`: whoever has proven the address says whose it is.
async fn bind(State(api): State<IdentityApi>, fields: Fields) -> Result<Json<Value>, ApiError> {
    let mxid = associations::user(&fields)?;
    let (sid, client_secret) = (fields.text("sid")?, fields.text("client_secret")?);
    let bound = api.identity.bind(None, sid, client_secret, &mxid).await;
    Ok(Json(bound.map_err(errors::bind)?))
}

/// `POST /_matrix/identity/api/v1/3pid/unbind`
async fn unbind(
    State(api): State<IdentityApi>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let signatures = associations::signatures(&headers);
    let credentials = if signatures.is_empty() {
        Credentials::User
    } else {
        Credentials::Homeserver(signatures)
    };
    associations::take_back(&api, &uri, credentials, fields).await
}

/// `POST /_matrix/identity/api/v1/store-invite`
async fn store(
    State(api): State<IdentityApi>,
    ClientAddress(asker): ClientAddress,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    // Nobody says whether the sender is who they say, so that everything from one place counts together.
    api.rate_limits.check_address(Limit::ThirdPartyInvites, asker)?;
    let sender = UserId::parse(fields.text("sender")?)
        .map_err(|_| ApiError::invalid_param("`sender` must be a user id, such as @alice:example.org."))?;
    let stored = store_invite::store(&api, &sender, &fields).await?;
    // The earliest homeservers know of one key only.
    let first = stored.public_keys.first().map(|key| key.public_key.clone());
    let mut answer = json!(stored);
    if let (Some(answer), Some(key)) = (answer.as_object_mut(), first) {
        answer.insert("public_key".to_owned(), Value::String(key));
    }
    Ok(Json(answer))
}

/// `POST /_matrix/identity/api/v1/sign-ed25519`
async fn sign(State(api): State<IdentityApi>, fields: Fields) -> Result<Json<Value>, ApiError> {
    invitation_signing::sign(&api, &fields).await
}
