//! Text messages, through a gateway that speaks HTTP.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use gatehouse_outbound::{
    Outbound, OutboundError, OutboundRequest,
    http::{HeaderName, HeaderValue, Method},
};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::{Carrier, DeliveryError, Message};

/// How long the gateway may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What stands for the message in a body of the operator's own.
const NUMBER: &str = "{number}";
const TEXT: &str = "{text}";
const ID: &str = "{id}";

/// The gateway.
#[derive(Clone)]
pub struct SmsConfig {
    /// Where messages are posted to, as JSON: `{"to": "+44…", "text": "…", "id": "…"}`.
    pub url: String,
    /// Sent as a bearer token.
    pub token: Option<String>,
}

/// What is posted instead. In its texts `{number}` stands for the number with `+`, `{text}` for the message and `{id}`
/// for what names it on every try.
#[derive(Clone)]
pub enum SmsBody {
    /// A JSON document.
    Json(Value),
    /// A form, field by field.
    Form(Vec<(String, String)>),
}

/// Why a gateway cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SmsSetupError {
    /// Not a header.
    #[error("`[sms] headers`: `{0}` is not a header that can be sent")]
    Header(String),
    /// Messages would all be empty, or go nowhere.
    #[error("`[sms] body` does not say where {0} stands")]
    Body(&'static str),
}

/// Sends through the gateway.
pub struct SmsCarrier {
    outbound: Outbound,
    config: SmsConfig,
    body: SmsBody,
    headers: Vec<(HeaderName, String)>,
}

impl SmsCarrier {
    /// A carrier to this gateway. Its host should be exempt from the address policy: the operator chose it.
    pub fn new(outbound: Outbound, config: SmsConfig) -> Self {
        Self {
            outbound,
            config,
            body: SmsBody::json(),
            headers: Vec::new(),
        }
    }

    /// The same, with another body.
    pub fn with_body(mut self, body: SmsBody) -> Result<Self, SmsSetupError> {
        let mut said = String::new();
        body.filled(&mut |text| {
            said.push_str(text);
            String::new()
        });
        for needed in [NUMBER, TEXT] {
            if !said.contains(needed) {
                return Err(SmsSetupError::Body(needed));
            }
        }
        self.body = body;
        Ok(self)
    }

    /// The same, with a header, whose value may be a secret.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, SmsSetupError> {
        let refused = || SmsSetupError::Header(name.to_owned());
        HeaderValue::from_str(value).map_err(|_| refused())?;
        let name = HeaderName::try_from(name).map_err(|_| refused())?;
        self.headers.push((name, value.to_owned()));
        Ok(self)
    }

    async fn send(&self, message: &Message) -> Result<(), DeliveryError> {
        match self.outbound.send(self.request(message)).await {
            Ok(answer) => match answer.status {
                200..=299 => Ok(()),
                400 | 404 | 410 | 422 => Err(DeliveryError::Never("the gateway refuses it for good")),
                401 | 403 => Err(DeliveryError::Later("the gateway does not accept the secret")),
                _ => Err(DeliveryError::Later("the gateway does not take it now")),
            },
            Err(OutboundError::InvalidUrl | OutboundError::SchemeRefused) => {
                Err(DeliveryError::Later("the gateway's URL is not valid"))
            }
            Err(OutboundError::TimedOut) => Err(DeliveryError::Later("the gateway takes too long")),
            Err(OutboundError::Tls) => Err(DeliveryError::Later("the gateway's certificate is not good")),
            Err(OutboundError::Denied) => Err(DeliveryError::Later(
                "the gateway is in a network that is not contacted",
            )),
            Err(_) => Err(DeliveryError::Later("the gateway cannot be reached")),
        }
    }

    fn request(&self, message: &Message) -> OutboundRequest {
        let number = format!("+{}", message.to.address());
        let (content_type, body) = self.body.filled(&mut |text| fill(text, &number, message));
        let mut request = OutboundRequest::new(Method::POST, &self.config.url)
            .body(content_type, Bytes::from(body))
            .timeout(TIMEOUT)
            .allow_http();
        if let Some(token) = &self.config.token {
            request = request.bearer(token);
        }
        for (name, value) in &self.headers {
            request = request.header(name.clone(), value);
        }
        request
    }
}

impl SmsBody {
    /// A document with `to`, `text` and `id`.
    pub fn json() -> Self {
        Self::Json(json!({ "to": NUMBER, "text": TEXT, "id": ID }))
    }

    /// A form with `to`, `text` and `id`.
    pub fn form() -> Self {
        let fields = [("to", NUMBER), ("text", TEXT), ("id", ID)];
        Self::Form(
            fields
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .into(),
        )
    }

    /// Its type and its text, with every text of it replaced.
    fn filled(&self, fill: &mut impl FnMut(&str) -> String) -> (&'static str, String) {
        match self {
            Self::Json(value) => ("application/json", filled_json(value, fill).to_string()),
            Self::Form(fields) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, text) in fields {
                    form.append_pair(name, &fill(text));
                }
                ("application/x-www-form-urlencoded", form.finish())
            }
        }
    }
}

fn filled_json(value: &Value, fill: &mut impl FnMut(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(fill(text)),
        Value::Array(values) => values.iter().map(|value| filled_json(value, fill)).collect(),
        Value::Object(fields) => {
            let filled = fields
                .iter()
                .map(|(name, value)| (name.clone(), filled_json(value, fill)));
            Value::Object(filled.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// One pass, so that nothing in a message stands for anything.
fn fill(text: &str, number: &str, message: &Message) -> String {
    let mut filled = String::with_capacity(text.len() + message.text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        filled.push_str(before);
        let known = [(NUMBER, number), (TEXT, &message.text), (ID, &message.id)];
        let found = known.into_iter().find(|(name, _)| from.starts_with(name));
        let (said, used) = found.map_or(("{", 1), |(name, value)| (value, name.len()));
        filled.push_str(said);
        rest = from.get(used..).unwrap_or_default();
    }
    filled.push_str(rest);
    filled
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

#[cfg(test)]
mod tests {
    use gatehouse_outbound::OutboundConfig;

    use super::*;
    use crate::Threepid;

    fn message() -> Message {
        Message {
            to: Threepid::parse("msisdn", "447700900123").unwrap(),
            id: "17".to_owned(),
            written_ms: 0,
            subject: String::new(),
            text: "\"{id}\" & {number}".to_owned(),
            html: String::new(),
        }
    }

    fn carrier() -> SmsCarrier {
        let config = SmsConfig {
            url: "http://127.0.0.1:9/".to_owned(),
            token: None,
        };
        SmsCarrier::new(Outbound::new(&OutboundConfig::default()).unwrap(), config)
    }

    #[test]
    fn w11_a_message_cannot_change_the_body_around_it() {
        let message = message();
        let json = SmsBody::Json(json!({ "a": ["{number}: {text}", 1], "b": "{x} {" }));
        let (_, body) = json.filled(&mut |text| fill(text, "+44", &message));
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            body,
            json!({ "a": ["+44: \"{id}\" & {number}", 1], "b": "{x} {" })
        );
        let form = SmsBody::Form(vec![
            ("To".to_owned(), NUMBER.to_owned()),
            ("Body".to_owned(), TEXT.to_owned()),
        ]);
        let (_, body) = form.filled(&mut |text| fill(text, "+44", &message));
        assert_eq!(body, "To=%2B44&Body=%22%7Bid%7D%22+%26+%7Bnumber%7D");
    }

    #[test]
    fn a_gateway_that_would_get_no_message_is_refused() {
        let body = SmsBody::Json(json!({ "to": "{number}" }));
        let refused = carrier().with_body(body).unwrap_err();
        assert_eq!(refused, SmsSetupError::Body("{text}"));
        assert!(carrier().with_header("X-Key", "a\nb").is_err());
        assert!(carrier().with_header("X Key", "a").is_err());
    }
}
