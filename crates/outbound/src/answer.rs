//! What came back.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use serde_json::Value;

use crate::OutboundError;

/// An answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundAnswer {
    /// Its status: never one of a redirect.
    pub status: u16,
    /// What it says that the body is.
    pub content_type: Option<String>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, within the bound of the request.
    pub body: Bytes,
}

impl OutboundAnswer {
    /// A header, as text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON, whatever the content type says: many servers of the field say nothing. `serde_json` refuses
    /// nesting deeper than 128.
    pub fn json(&self) -> Result<Value, OutboundError> {
        serde_json::from_slice(&self.body).map_err(|_| OutboundError::NotJson)
    }
}
