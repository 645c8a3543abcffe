//! Proving an e-mail address.

use axum::{Json, Router, extract::State, response::Response, routing::post};
use gatehouse_http::{ApiError, ClientAddress, Query};
use gatehouse_mail::{Medium, Threepid};
use serde_json::Value;

use crate::{
    IdentityApi, errors,
    fields::Fields,
    requester::Requester,
    submission::{self, SubmissionQuery},
};

pub(crate) fn routes() -> Router<IdentityApi> {
    Router::new()
        .route("/validate/email/requestToken", post(email_request_token))
        .route(
            "/validate/email/submitToken",
            post(email_submit_token_post).get(email_submit_token_get),
        )
}

/// `POST /_matrix/identity/v2/validate/email/requestToken`
async fn email_request_token(
    State(api): State<IdentityApi>,
    Requester(user_id): Requester,
    ClientAddress(address): ClientAddress,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let threepid = Threepid::email(fields.text("email")?).map_err(errors::threepid)?;
    submission::request_token(&api, Some(&user_id), address, &threepid, &fields).await
}

/// `POST /_matrix/identity/v2/validate/email/submitToken`
async fn email_submit_token_post(
    State(api): State<IdentityApi>,
    _: Requester,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    submission::submit(&api, Medium::Email, &fields).await
}

/// `GET /_matrix/identity/v2/validate/email/submitToken`: people follow this link.
async fn email_submit_token_get(
    State(api): State<IdentityApi>,
    Query(query): Query<SubmissionQuery>,
) -> Response {
    submission::follow(&api, Medium::Email, &query).await
}
