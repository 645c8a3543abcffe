//! An answer whose body has yet to come.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header::CONTENT_TYPE};
use reqwest::Response;
use tokio::time::Instant;

use crate::{
    OutboundAnswer, OutboundError,
    outbound::{reason, within},
};

/// An answer whose body is read as it comes. Whoever does not read holds the other side up, not this one.
pub struct OutboundStream {
    response: Response,
    headers: HeaderMap,
    deadline: Instant,
    idle: Option<Duration>,
    /// What may still come.
    left: usize,
}

impl OutboundStream {
    pub(crate) fn new(
        mut response: Response,
        deadline: Instant,
        idle: Option<Duration>,
        max_bytes: usize,
    ) -> Result<Self, OutboundError> {
        let too_large = |length: u64| length > u64::try_from(max_bytes).unwrap_or(u64::MAX);
        if response.content_length().is_some_and(too_large) {
            return Err(OutboundError::TooLarge);
        }
        Ok(Self {
            headers: std::mem::take(response.headers_mut()),
            response,
            deadline,
            idle,
            left: max_bytes,
        })
    }

    /// Its status: never one of a redirect.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The next bytes of the body; `None` after the last.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, OutboundError> {
        let next = async { self.response.chunk().await.map_err(|error| reason(&error)) };
        let chunk = tokio::time::timeout_at(self.deadline, within(self.idle, next))
            .await
            .unwrap_or(Err(OutboundError::TimedOut))?;
        let length = chunk.as_ref().map_or(0, Bytes::len);
        self.left = self.left.checked_sub(length).ok_or(OutboundError::TooLarge)?;
        Ok(chunk)
    }

    /// With another bound on what has yet to come, where that is less.
    #[must_use]
    pub fn at_most(mut self, max_bytes: usize) -> Self {
        self.left = self.left.min(max_bytes);
        self
    }

    /// The answer with the rest of its body.
    pub async fn whole(mut self) -> Result<OutboundAnswer, OutboundError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        let content_type = self.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        Ok(OutboundAnswer {
            status: self.status(),
            content_type: content_type.map(ToOwned::to_owned),
            headers: self.headers,
            body: body.freeze(),
        })
    }
}

impl std::fmt::Debug for OutboundStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutboundStream")
            .field("status", &self.status())
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
