//! Where messages lead that prove an address.
//!
//! Following the link of a validation proves the address, as the identity service's `submitToken` by GET does: clients and
//! tests of others go by that. To follow the link of a password reset changes nothing: programs that read mails follow
//! links, and must not let in whoever has asked for the mail. Only the button does.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use gatehouse_accounts::{Secret, SubmitValidationError, TokenSubmission};
use gatehouse_http::{ApiError, ClientAddress, FormBody, Limit, Query};
use http::StatusCode;
use minijinja::context;
use serde::Deserialize;

use crate::{Pages, html::guarded};

/// What a link names.
#[derive(Deserialize)]
pub(crate) struct Link {
    sid: String,
    token: Secret,
}

/// `GET /_gatehouse/validate`
pub(crate) async fn validate(
    State(pages): State<Pages>,
    address: ClientAddress,
    Query(link): Query<Link>,
) -> Result<Response, ApiError> {
    pages.http.rate_limits.check_address(Limit::Login, address.0)?;
    let submission = TokenSubmission {
        sid: &link.sid,
        client_secret: None,
        token: link.token.expose(),
    };
    match pages.accounts.submit_validation(&submission).await {
        Ok(submitted) => Ok(match submitted.next_link {
            Some(next_link) => guarded(Redirect::to(&next_link).into_response()),
            None => pages.message(
                StatusCode::OK,
                "Your address is confirmed",
                "You can close this page and go on in your Matrix client.",
            ),
        }),
        Err(error) => pages.link_refused(error),
    }
}

/// `GET /_gatehouse/allow_password`
pub(crate) async fn ask_to_allow_password(State(pages): State<Pages>, Query(link): Query<Link>) -> Response {
    let page = context! {
        sid => link.sid,
        token => link.token.expose(),
    };
    pages.html.page(StatusCode::OK, "allow_password.html", page)
}

/// `POST /_gatehouse/allow_password`
pub(crate) async fn allow_password(
    State(pages): State<Pages>,
    address: ClientAddress,
    form: FormBody,
) -> Result<Response, ApiError> {
    pages.http.rate_limits.check_address(Limit::Login, address.0)?;
    let submission = TokenSubmission {
        sid: form.field("sid"),
        client_secret: None,
        token: form.field("token"),
    };
    match pages.accounts.submit_validation(&submission).await {
        Ok(_) => Ok(pages.message(
            StatusCode::OK,
            "Allowed",
            "Go back to your Matrix client: it can set the new password now.",
        )),
        Err(error) => pages.link_refused(error),
    }
}

impl Pages {
    fn link_refused(&self, error: SubmitValidationError) -> Result<Response, ApiError> {
        let text = error.to_string();
        match error {
            SubmitValidationError::Unavailable(source) => Err(source.into()),
            SubmitValidationError::Invalid
            | SubmitValidationError::NoSession
            | SubmitValidationError::Expired
            | SubmitValidationError::WrongToken => {
                Ok(self.message(StatusCode::BAD_REQUEST, "This link does not work", &text))
            }
        }
    }
}
