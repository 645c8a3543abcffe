//! What every page has around it: a page instead of the JSON of an error, and no forms from elsewhere.

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use gatehouse_http::ApiError;
use http::{Method, StatusCode, header};
use serde_json::Value;

use crate::html::Html;

/// No error of ours is longer.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Errors are JSON for programs; people get the sentence in them.
pub(crate) async fn show(State(html): State<Html>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/json");
    if !is_json {
        return response;
    }
    let (parts, body) = response.into_parts();
    let heading = match parts.status {
        StatusCode::TOO_MANY_REQUESTS => "Not so fast",
        StatusCode::SERVICE_UNAVAILABLE => "Try again in a moment",
        _ => "This did not work",
    };
    let mut page = html.message(parts.status, heading, &sentence(body).await);
    if let Some(wait) = parts.headers.get(header::RETRY_AFTER) {
        page.headers_mut().insert(header::RETRY_AFTER, wait.clone());
    }
    page
}

async fn sentence(body: Body) -> String {
    let body = to_bytes(body, MAX_ERROR_BYTES).await.unwrap_or_default();
    let error: Value = serde_json::from_slice(&body).unwrap_or_default();
    let sentence = error.get("error").and_then(Value::as_str);
    sentence.unwrap_or("Go back and try again.").to_owned()
}

/// Forms come from our own pages. There is no cookie that another site could use, and none is needed here but the secret
/// in the path; yet nobody's browser shall try passwords for somebody else.
pub(crate) async fn refuse_foreign_forms(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site");
    let is_foreign = site.is_some_and(|site| site != "same-origin" && site != "none");
    if request.method() == Method::POST && is_foreign {
        let text = "This form was not sent by a page of this server. Open the link in your mail once more.";
        return ApiError::forbidden(text).into_response();
    }
    next.run(request).await
}
