//! Bodies of forms, as pages without scripts send them.

use std::collections::HashMap;

use axum::{body::Body, extract::FromRequest};
use http::Request;

use crate::{
    ApiError,
    body::{SMALL_BODY, read},
};

/// The fields of a form (`application/x-www-form-urlencoded`), of at most `MAX` bytes. Of fields that come twice, the last
/// counts.
#[derive(Clone)]
pub struct FormBody<const MAX: usize = SMALL_BODY>(pub HashMap<String, String>);

impl<const MAX: usize> FormBody<MAX> {
    /// A field; empty when it is not there.
    pub fn field(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl<S: Send + Sync, const MAX: usize> FromRequest<S> for FormBody<MAX> {
    type Rejection = ApiError;
    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, ApiError> {
        let body = read(request, MAX).await?;
        Ok(Self(form_urlencoded::parse(&body).into_owned().collect()))
    }
}

impl<const MAX: usize> std::fmt::Debug for FormBody<MAX> {
    /// Without the values, which may be passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}
