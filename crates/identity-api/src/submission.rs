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

/// As the homeserver's pages look; they may be on another server.
const STYLE: &str = "body{margin:0;padding:1.5rem 1rem;background:#f6f5f1;color:#1d2430;font:1.05rem/1.55 system-ui,sans-serif}\
     main{max-width:34rem;margin:0 auto;padding:1.75rem 1.5rem;box-sizing:border-box;background:#fff;border:1px solid #d9d6cd;\
     border-radius:12px}h1{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem}p{margin:0}\
     @media(prefers-color-scheme:dark){body{background:#14171c;color:#e8eaee}main{background:#1d2229;border-color:#343b45}}";

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
            Some(link) => guarded(Redirect::to(&link).into_response()),
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
         <title>{title}</title><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1><p>{sentence}</p></main></body></html>\n"
    );
    guarded((status, Html(html)).into_response())
}

/// The link is a secret: what comes of it is not kept, and it is not told to where one goes from here (security.md T21).
fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
