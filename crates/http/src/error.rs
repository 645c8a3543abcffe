//! What a client is told when a request fails: status, `errcode`, and a sentence that says what to do.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use gatehouse_store::StoreError;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

/// How long a client is asked to wait when the server itself cannot, in milliseconds.
const UNAVAILABLE_RETRY_MS: u64 = 2_000;

/// An error response of any Matrix API.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    status: StatusCode,
    errcode: &'static str,
    message: String,
    extra: Map<String, Value>,
    retry_after_ms: Option<u64>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $status:ident, $errcode:literal;)*) => {
        impl ApiError {$(
            $(#[$doc])*
            pub fn $name(message: impl Into<String>) -> Self {
                Self::new(StatusCode::$status, $errcode, message)
            }
        )*}
    };
}

constructors! {
    /// 403 `M_FORBIDDEN`
    forbidden => FORBIDDEN, "M_FORBIDDEN";
    /// 404 `M_NOT_FOUND`
    not_found => NOT_FOUND, "M_NOT_FOUND";
    /// 400 `M_BAD_JSON`
    bad_json => BAD_REQUEST, "M_BAD_JSON";
    /// 400 `M_NOT_JSON`
    not_json => BAD_REQUEST, "M_NOT_JSON";
    /// 400 `M_INVALID_PARAM`
    invalid_param => BAD_REQUEST, "M_INVALID_PARAM";
    /// 400 `M_MISSING_PARAM`
    missing_param => BAD_REQUEST, "M_MISSING_PARAM";
    /// 404 `M_UNRECOGNIZED`
    unrecognized => NOT_FOUND, "M_UNRECOGNIZED";
    /// 413 `M_TOO_LARGE`
    too_large => PAYLOAD_TOO_LARGE, "M_TOO_LARGE";
    /// 401 `M_MISSING_TOKEN`
    missing_token => UNAUTHORIZED, "M_MISSING_TOKEN";
    /// 401 `M_UNKNOWN_TOKEN`
    unknown_token => UNAUTHORIZED, "M_UNKNOWN_TOKEN";
    /// 403 `M_GUEST_ACCESS_FORBIDDEN`
    guest_access_forbidden => FORBIDDEN, "M_GUEST_ACCESS_FORBIDDEN";
    /// 400 `M_UNKNOWN`
    unknown => BAD_REQUEST, "M_UNKNOWN";
    /// 500 `M_UNKNOWN`
    internal => INTERNAL_SERVER_ERROR, "M_UNKNOWN";
}

impl ApiError {
    /// Any error. Prefer the constructors that name theirs.
    pub fn new(status: StatusCode, errcode: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            errcode,
            message: message.into(),
            extra: Map::new(),
            retry_after_ms: None,
        }
    }

    /// 429 `M_LIMIT_EXCEEDED`; one who waits this long is let through.
    pub fn limit_exceeded(retry_after_ms: u64) -> Self {
        let message = format!(
            "Too many requests. Try again in {} seconds.",
            retry_after_ms.div_ceil(1_000).max(1)
        );
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED", message);
        error.retry_after_ms = Some(retry_after_ms);
        error.with("retry_after_ms", retry_after_ms)
    }

    /// 503 `M_UNKNOWN` with `Retry-After`: it may work later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "M_UNKNOWN", message);
        error.retry_after_ms = Some(UNAVAILABLE_RETRY_MS);
        error
    }

    /// 401 without an errcode: user-interactive authentication has begun, and nothing is wrong.
    pub fn authentication_needed() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "", "")
    }

    /// Adds a field to the body.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(key.to_owned(), value.into());
        self
    }

    /// With another sentence.
    #[must_use]
    pub fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its `errcode`.
    pub fn errcode(&self) -> &'static str {
        self.errcode
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(reason) => {
                tracing::warn!(%reason, "the store is unavailable");
                Self::unavailable(
                    "The server cannot reach its storage at the moment. Try again in a few seconds.",
                )
            }
            StoreError::Failed(reason) => {
                tracing::error!(%reason, "the store has failed");
                Self::unavailable("The server's storage has failed. Its administrator has to restart it.")
            }
            error @ StoreError::Corrupt { .. } => {
                tracing::error!(%error, "a stored row does not decode");
                Self::internal("The server's storage is damaged. Tell its administrator.")
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = self.extra;
        if !self.errcode.is_empty() {
            body.insert("errcode".to_owned(), self.errcode.into());
            body.insert("error".to_owned(), self.message.into());
        }
        let mut response = Response::new(Body::from(Value::Object(body).to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(retry_after_ms) = self.retry_after_ms {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(retry_after_ms.div_ceil(1_000).max(1)),
            );
        }
        response
    }
}
