//! Where requests go instead of sockets: a simulated network carries them.

use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Response, header::CONTENT_TYPE};

use crate::{OutboundAnswer, OutboundError, OutboundRequest};

/// What a carrier brings back.
pub type Carried<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, OutboundError>> + Send + 'a>>;

/// Carries requests. The door bounds how long it takes and how much comes back, as it does for sockets; it follows no
/// redirects.
pub trait Carrier: Send + Sync + 'static {
    /// Carries a request to where its URL says, and the answer back.
    fn carry(&self, request: Request<Bytes>) -> Carried<'_>;
}

/// Has a request carried, within its bounds but for the time of the whole.
pub(crate) async fn carried(
    carrier: &dyn Carrier,
    request: OutboundRequest,
) -> Result<OutboundAnswer, OutboundError> {
    let mut carried = Request::builder().method(request.method).uri(&request.url);
    for (name, value) in request.headers {
        carried = carried.header(name, value);
    }
    let carried = carried
        .body(request.body.unwrap_or_default())
        .map_err(|_| OutboundError::InvalidUrl)?;
    let answering = carrier.carry(carried);
    let answer = match request.idle {
        Some(idle) => tokio::time::timeout(idle, answering)
            .await
            .unwrap_or(Err(OutboundError::TimedOut))?,
        None => answering.await?,
    };
    if answer.status().is_redirection() {
        return Err(OutboundError::Redirected);
    }
    if answer.body().len() > request.max_bytes {
        return Err(OutboundError::TooLarge);
    }
    let (parts, body) = answer.into_parts();
    let content_type = parts.headers.get(CONTENT_TYPE);
    Ok(OutboundAnswer {
        status: parts.status.as_u16(),
        content_type: content_type
            .and_then(|value| value.to_str().ok())
            .map(ToOwned::to_owned),
        headers: parts.headers,
        body,
    })
}
