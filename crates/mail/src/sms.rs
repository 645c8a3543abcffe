//! Text messages, through a gateway that speaks HTTP.

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use gatehouse_outbound::{Outbound, OutboundError, OutboundRequest};
use serde_json::json;

use crate::{Carrier, DeliveryError, Message};

/// How long the gateway may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The gateway.
#[derive(Clone)]
pub struct SmsConfig {
    /// Where messages are posted to, as JSON: `{"to": "+44…", "text": "…", "id": "…"}`.
    pub url: String,
    /// Sent as a bearer token.
    pub token: Option<String>,
}

/// Sends through the gateway.
pub struct SmsCarrier {
    outbound: Outbound,
    config: SmsConfig,
}

impl SmsCarrier {
    /// A carrier to this gateway. Its host should be exempt from the address policy: the operator chose it.
    pub fn new(outbound: Outbound, config: SmsConfig) -> Self {
        Self { outbound, config }
    }

    async fn send(&self, message: &Message) -> Result<(), DeliveryError> {
        let body = json!({
            "to": format!("+{}", message.to.address()),
            "text": message.text,
            // The same on every try, so that the gateway can tell a second one.
            "id": message.id,
        });
        let mut request = OutboundRequest::post_json(&self.config.url, &body)
            .timeout(TIMEOUT)
            .allow_http();
        if let Some(token) = &self.config.token {
            request = request.bearer(token);
        }
        match self.outbound.send(request).await {
            Ok(answer) => match answer.status {
                200..=299 => Ok(()),
                400 | 404 | 410 | 422 => Err(DeliveryError::Never("the gateway refuses it for good")),
                _ => Err(DeliveryError::Later("the gateway does not take it now")),
            },
            Err(OutboundError::TimedOut) => Err(DeliveryError::Later("the gateway takes too long")),
            Err(_) => Err(DeliveryError::Later("the gateway cannot be reached")),
        }
    }
}

impl Carrier for SmsCarrier {
    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        self.send(message).boxed()
    }
}

impl std::fmt::Debug for SmsCarrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SmsCarrier")
    }
}
