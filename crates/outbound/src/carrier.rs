//! Where requests go instead of sockets: a simulated network carries them.

use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Response};

use crate::{OutboundError, OutboundRequest, outbound::within};

/// What a carrier brings back.
pub type Carried<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, OutboundError>> + Send + 'a>>;

/// Carries requests. The door bounds how long it takes and how much comes back, as it does for sockets; it follows no
/// redirects.
pub trait Carrier: Send + Sync + 'static {
    /// Carries a request to where its URL says, and the answer back.
    fn carry(&self, request: Request<Bytes>) -> Carried<'_>;
}

/// Has a request carried. The bounds of time and size are the caller's, but for how long one waits for an answer to begin.
pub(crate) async fn have_carried(
    carrier: &dyn Carrier,
    request: OutboundRequest,
) -> Result<reqwest::Response, OutboundError> {
    let mut outgoing = Request::builder().method(request.method).uri(&request.url);
    for (name, value) in request.headers {
        outgoing = outgoing.header(name, value);
    }
    let outgoing = outgoing
        .body(request.body.unwrap_or_default())
        .map_err(|_| OutboundError::InvalidUrl)?;
    let answer = within(request.idle, carrier.carry(outgoing)).await?;
    if answer.status().is_redirection() {
        return Err(OutboundError::Redirected);
    }
    Ok(answer.into())
}
