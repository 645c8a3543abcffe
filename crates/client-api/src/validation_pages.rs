//! Where messages lead that prove an address: two pages for people, without scripts, and the endpoint that clients bring
//! codes to.
//!
//! Following the link of a validation proves the address, as the identity service's `submitToken` by GET does: clients and
//! tests of others go by that. To follow the link of a password reset changes nothing: programs that read mails follow
//! links, and must not let in whoever has asked for the mail. Only the button does.

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use gatehouse_accounts::{Secret, SubmitValidationError, TokenSubmission};
use gatehouse_http::{ApiError, ClientAddress, FormBody, JsonBody, Limit, Query};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ClientApi;

/// No scripts, nothing from elsewhere, no frames; the form comes back to us (security.md W09).
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; \
     frame-ancestors 'none'; base-uri 'none'";

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/validate", get(validate))
        .route("/allow_password", get(ask_to_allow_password).post(allow_password))
        .route("/validate/msisdn/submitToken", post(submit_token))
}

/// What a link names.
#[derive(Deserialize)]
struct Link {
    sid: String,
    token: Secret,
}

/// `GET /_gatehouse/validate`
async fn validate(
    State(api): State<ClientApi>,
    address: ClientAddress,
    Query(link): Query<Link>,
) -> Result<Response, ApiError> {
    api.http.rate_limits.check_address(Limit::Login, address.0)?;
    let submission = TokenSubmission {
        sid: &link.sid,
        client_secret: None,
        token: link.token.expose(),
    };
    match api.accounts.submit_validation(&submission).await {
        Ok(submitted) => Ok(match submitted.next_link {
            Some(next_link) => Redirect::to(&next_link).into_response(),
            None => message(
                StatusCode::OK,
                "Your address is confirmed",
                "You can close this page and go on in your Matrix client.",
            ),
        }),
        Err(error) => refused(error),
    }
}

/// `GET /_gatehouse/allow_password`
async fn ask_to_allow_password(Query(link): Query<Link>) -> Response {
    let text = format!(
        "<p>Somebody, probably you, wants to set a new password for your Matrix account. The new password is the one that \
         was entered in their client.</p>\
         <form method=\"post\" action=\"allow_password\">\
         <input type=\"hidden\" name=\"sid\" value=\"{}\"><input type=\"hidden\" name=\"token\" value=\"{}\">\
         <button type=\"submit\">Allow the new password</button></form>\
         <p class=\"quiet\">If it was not you, close this page. Nothing will change.</p>",
        escaped(&link.sid),
        escaped(link.token.expose()),
    );
    page(StatusCode::OK, "A new password?", &text)
}

/// `POST /_gatehouse/allow_password`
async fn allow_password(
    State(api): State<ClientApi>,
    address: ClientAddress,
    form: FormBody,
) -> Result<Response, ApiError> {
    api.http.rate_limits.check_address(Limit::Login, address.0)?;
    let submission = TokenSubmission {
        sid: form.field("sid"),
        client_secret: None,
        token: form.field("token"),
    };
    match api.accounts.submit_validation(&submission).await {
        Ok(_) => Ok(message(
            StatusCode::OK,
            "Allowed",
            "Go back to your Matrix client: it can set the new password now.",
        )),
        Err(error) => refused(error),
    }
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

fn refused(error: SubmitValidationError) -> Result<Response, ApiError> {
    let text = error.to_string();
    match error {
        SubmitValidationError::Unavailable(source) => Err(source.into()),
        SubmitValidationError::Invalid
        | SubmitValidationError::NoSession
        | SubmitValidationError::Expired
        | SubmitValidationError::WrongToken => {
            Ok(message(StatusCode::BAD_REQUEST, "This link does not work", &text))
        }
    }
}

fn message(status: StatusCode, heading: &str, text: &str) -> Response {
    page(status, heading, &format!("<p>{}</p>", escaped(text)))
}

/// What is on a page is for one person: it is not kept, and its address is told to nobody (security.md T21).
fn page(status: StatusCode, heading: &str, main: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"robots\" content=\"noindex\">\
         <title>{heading}</title><link rel=\"stylesheet\" href=\"/_gatehouse/style.css\"></head>\
         <body><main><h1>{heading}</h1>{main}</main></body></html>"
    );
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
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

fn escaped(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut escaped, char| {
            match char {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                '\'' => escaped.push_str("&#39;"),
                char => escaped.push(char),
            }
            escaped
        })
}
