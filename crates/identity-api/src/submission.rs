//! What e-mail addresses and phone numbers have in common when they are proven.

use std::net::IpAddr;

use axum::{
    Json,
    response::{Html, IntoResponse, Redirect, Response},
};
use gatehouse_http::{ApiError, Limit};
use gatehouse_identity::{SubmitTokenError, TokenSubmission, ValidationRequest};
use gatehouse_mail::{Medium, Threepid};
use http::{HeaderValue, StatusCode, header};
use ruma::UserId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{IdentityApi, errors, fields::Fields};

/// Our pages run nothing and load nothing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What stands in a link.
#[derive(Deserialize)]
pub(crate) struct SubmissionQuery {
    #[serde(default)]
    sid: String,
    #[serde(default)]
    client_secret: String,
    #[serde(default)]
    token: String,
}

/// Has a token sent. The session's id.
pub(crate) async fn request_token(
    api: &IdentityApi,
    user_id: Option<&UserId>,
    address: IpAddr,
    threepid: &Threepid,
    fields: &Fields,
) -> Result<Json<Value>, ApiError> {
    let request = ValidationRequest {
        threepid,
        client_secret: fields.text("client_secret")?,
        send_attempt: fields.number("send_attempt")?,
        next_link: fields.optional_text("next_link")?,
    };
    let limits = &api.rate_limits;
    limits.check_address(Limit::ThreepidValidationPerClient, address)?;
    if let Some(user_id) = user_id {
        limits.check(Limit::ThreepidValidationPerClient, user_id.as_str())?;
    }
    let sid = api.identity.request_token(user_id, &request).await;
    Ok(Json(json!({ "sid": sid.map_err(errors::request_token)? })))
}

/// Takes a token that a client brings.
pub(crate) async fn submit(
    api: &IdentityApi,
    medium: Medium,
    fields: &Fields,
) -> Result<Json<Value>, ApiError> {
    let submission = TokenSubmission {
        medium,
        sid: fields.text("sid")?,
        client_secret: fields.text("client_secret")?,
        token: fields.text("token")?,
    };
    let submitted = api.identity.submit_token(&submission).await;
    submitted.map_err(errors::submit_token)?;
    Ok(Json(json!({ "success": true })))
}

/// Takes a token that somebody brings by following a link, and shows them what became of it.
pub(crate) async fn follow(api: &IdentityApi, medium: Medium, query: &SubmissionQuery) -> Response {
    let submission = TokenSubmission {
        medium,
        sid: &query.sid,
        client_secret: &query.client_secret,
        token: &query.token,
    };
    match api.identity.submit_token(&submission).await {
        Ok(submitted) => match submitted.next_link {
            Some(link) => without_referrer(Redirect::to(&link).into_response()),
            None => page(
                StatusCode::OK,
                "Thank you",
                "This address is yours. You can close this page and go back to your app.",
            ),
        },
        Err(SubmitTokenError::Unavailable(error)) => {
            tracing::warn!(%error, "a validation link could not be followed");
            let sentence = "The server cannot do this at the moment. Reload this page in a few seconds.";
            page(StatusCode::SERVICE_UNAVAILABLE, "Not now", sentence)
        }
        Err(error) => page(StatusCode::BAD_REQUEST, "This did not work", &error.to_string()),
    }
}

/// A page of our own words; nothing that came with the request stands in it.
fn page(status: StatusCode, title: &str, sentence: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title}</title><style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;\
         margin:15vh auto;padding:0 1rem}}</style></head>\
         <body><h1>{title}</h1><p>{sentence}</p></body></html>\n"
    );
    let mut response = (status, Html(html)).into_response();
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, policy);
    without_referrer(response)
}

/// The link is a secret, and is not to be told to where one goes from here (security.md T21).
fn without_referrer(mut response: Response) -> Response {
    let policy = HeaderValue::from_static("no-referrer");
    response.headers_mut().insert(header::REFERRER_POLICY, policy);
    response
}
