//! Proving a phone number.

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
        .route("/validate/msisdn/requestToken", post(msisdn_request_token))
        .route(
            "/validate/msisdn/submitToken",
            post(msisdn_submit_token_post).get(msisdn_submit_token_get),
        )
}

/// `POST /_matrix/identity/v2/validate/msisdn/requestToken`
async fn msisdn_request_token(
    State(api): State<IdentityApi>,
    Requester(user_id): Requester,
    ClientAddress(address): ClientAddress,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let (country, number) = (fields.text("country")?, fields.text("phone_number")?);
    let threepid = Threepid::phone(country, number).map_err(errors::threepid)?;
    submission::request_token(&api, Some(&user_id), address, &threepid, &fields).await
}

/// `POST /_matrix/identity/v2/validate/msisdn/submitToken`
async fn msisdn_submit_token_post(
    State(api): State<IdentityApi>,
    _: Requester,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    submission::submit(&api, Medium::Msisdn, &fields).await
}

/// `GET /_matrix/identity/v2/validate/msisdn/submitToken`: people follow this link.
async fn msisdn_submit_token_get(
    State(api): State<IdentityApi>,
    Query(query): Query<SubmissionQuery>,
) -> Response {
    submission::follow(&api, Medium::Msisdn, &query).await
}
