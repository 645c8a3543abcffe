//! What is asked.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::Value;

/// How long an answer may take when nothing else is said (limits.md §5).
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may be when nothing else is said.
pub const MAX_BYTES: usize = 64 << 10;

/// A request, with its bounds. Its `Debug` shows neither headers nor body, which hold secrets.
#[must_use = "a request does nothing until it is sent"]
pub struct OutboundRequest {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Option<Bytes>,
    pub(crate) timeout: Duration,
    pub(crate) idle: Option<Duration>,
    pub(crate) max_bytes: usize,
    pub(crate) redirects: u8,
    pub(crate) plain: bool,
    pub(crate) service: bool,
}

impl OutboundRequest {
    /// A request without a body.
    pub fn new(method: Method, url: &str) -> Self {
        Self {
            method,
            url: url.to_owned(),
            headers: Vec::new(),
            body: None,
            timeout: TIMEOUT,
            idle: None,
            max_bytes: MAX_BYTES,
            redirects: 0,
            plain: false,
            service: false,
        }
    }

    /// `GET`.
    pub fn get(url: &str) -> Self {
        Self::new(Method::GET, url)
    }

    /// `POST` of JSON.
    pub fn post_json(url: &str, body: &Value) -> Self {
        Self::new(Method::POST, url).json(body)
    }

    /// With a body of JSON.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", Bytes::from(body.to_string()))
    }

    /// With a body.
    pub fn body(mut self, content_type: &'static str, body: Bytes) -> Self {
        self.headers
            .push((CONTENT_TYPE, HeaderValue::from_static(content_type)));
        self.body = Some(body);
        self
    }

    /// With a bearer token. One that no header can hold makes the request fail at the other side, not here.
    pub fn bearer(self, token: &str) -> Self {
        self.authorization(&format!("Bearer {token}"))
    }

    /// With this as its `Authorization`.
    pub fn authorization(self, value: &str) -> Self {
        self.header(AUTHORIZATION, value)
    }

    /// With a header, which is treated as a secret. A value that no header can hold is left out.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(true);
            self.headers.push((name, value));
        }
        self
    }

    /// With another time for the whole of it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Given up, too, when the answer does not begin, or stands still, for so long.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Whose answer may send us elsewhere so many times. Each place is held to the same policy. Only for what has no body
    /// and no secrets: headers are not taken along.
    pub fn redirects(mut self, redirects: u8) -> Self {
        self.redirects = redirects;
        self
    }

    /// To the service of the host ([`crate::Service`]), when the URL says no port.
    pub fn to_service(mut self) -> Self {
        self.service = true;
        self
    }

    /// With another bound on the answer.
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// `http` will do, too. Only for what the operator named.
    pub fn allow_http(mut self) -> Self {
        self.plain = true;
        self
    }
}

impl std::fmt::Debug for OutboundRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutboundRequest")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}
