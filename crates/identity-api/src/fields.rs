//! Bodies that may be JSON or, as in drafts of 2016, a form.

use axum::{body::Body, extract::FromRequest};
use gatehouse_http::{ApiError, FormBody, JsonObject, SMALL_BODY};
use http::{Request, header};
use serde_json::{Map, Value};

/// The fields of a body; nothing else is known of them.
#[derive(Clone)]
pub(crate) struct Fields(pub(crate) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = ApiError;
    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, ApiError> {
        if !is_form(&request) {
            let JsonObject(fields) = JsonObject::<SMALL_BODY>::from_request(request, state).await?;
            return Ok(Self(fields));
        }
        let FormBody(fields) = FormBody::<SMALL_BODY>::from_request(request, state).await?;
        let fields = fields.into_iter();
        Ok(Self(
            fields.map(|(name, value)| (name, Value::String(value))).collect(),
        ))
    }
}

/// The specification spells the type in its own way; browsers in theirs.
fn is_form(request: &Request<Body>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let content_type = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    [
        "application/x-www-form-urlencoded",
        "application/x-form-www-urlencoded",
    ]
    .iter()
    .any(|form| media_type.eq_ignore_ascii_case(form))
}

impl Fields {
    /// A text that must be there.
    pub(crate) fn text(&self, name: &str) -> Result<&str, ApiError> {
        self.optional_text(name)?
            .ok_or_else(|| ApiError::missing_param(format!("The field `{name}` is missing.")))
    }

    /// A text that may be there.
    pub(crate) fn optional_text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::bad_json(format!(
                "The field `{name}` must be a string."
            ))),
        }
    }

    /// A whole number, which in a form is a text.
    pub(crate) fn number(&self, name: &str) -> Result<u64, ApiError> {
        let number = match self.0.get(name) {
            None | Some(Value::Null) => {
                return Err(ApiError::missing_param(format!("The field `{name}` is missing.")));
            }
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_u64(),
        };
        number.ok_or_else(|| {
            ApiError::invalid_param(format!("The field `{name}` must be a whole number, 0 or more."))
        })
    }
}
