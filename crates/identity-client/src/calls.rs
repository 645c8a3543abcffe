//! One request to an identity server, and what its answer means.

use std::time::Duration;

use gatehouse_outbound::{Outbound, OutboundAnswer, OutboundError, OutboundRequest};
use ruma::OwnedUserId;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

/// How long an identity server may take to answer (limits.md §5).
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long its answers may be.
const MAX_BYTES: usize = 64 << 10;

/// Why a call came to nothing. What the server says in its own words is not passed on: it may say anything.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum CallError {
    /// The address policy forbids it.
    #[error("the identity server's address is not allowed")]
    Denied,
    /// Nobody answers.
    #[error("the identity server cannot be reached")]
    Unreachable,
    /// It takes too long.
    #[error("the identity server takes too long")]
    TimedOut,
    /// It answers what it should not.
    #[error("the identity server's answer is not what the specification says")]
    BadAnswer,
    /// It does not know the operation, or what it is about.
    #[error("the identity server does not know this")]
    NotThere,
    /// It does not accept the token.
    #[error("the identity server does not accept the token")]
    Unauthorized,
    /// The user has not agreed to its terms.
    #[error("the user has not agreed to the terms of the identity server")]
    TermsNotSigned,
    /// Its pepper has changed.
    #[error("the identity server's pepper has changed")]
    InvalidPepper,
    /// The address belongs to somebody already.
    #[error("the address belongs to somebody")]
    InUse(Option<OwnedUserId>),
    /// It asks us to slow down.
    #[error("the identity server is asked too often")]
    TooMany {
        /// When to try again, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// It refuses.
    #[error("the identity server refuses, with status {status}")]
    Refused {
        /// The status of its answer.
        status: u16,
    },
}

/// Whose answer to wait for, and with which token.
pub(crate) struct Caller<'a> {
    pub(crate) outbound: &'a Outbound,
    /// Such as `https://id.example.org`.
    pub(crate) base: &'a str,
    pub(crate) token: Option<&'a str>,
    /// Whether the operator named the server as one without TLS.
    pub(crate) plain: bool,
}

impl Caller<'_> {
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, CallError> {
        let mut url = format!("{}{path}", self.base);
        if !query.is_empty() {
            let query = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(query)
                .finish();
            url = format!("{url}?{query}");
        }
        self.call(OutboundRequest::get(&url)).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, CallError> {
        let url = format!("{}{path}", self.base);
        self.call(OutboundRequest::post_json(&url, body)).await
    }

    /// As [`Self::post`], in the name of this server: `authorization` is its signature.
    pub(crate) async fn post_signed<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        authorization: &str,
    ) -> Result<T, CallError> {
        let url = format!("{}{path}", self.base);
        let request = OutboundRequest::post_json(&url, body);
        self.call(request.authorization(authorization)).await
    }

    async fn call<T: DeserializeOwned>(&self, request: OutboundRequest) -> Result<T, CallError> {
        let mut request = request.timeout(TIMEOUT).max_bytes(MAX_BYTES);
        if self.plain {
            request = request.allow_http();
        }
        if let Some(token) = self.token {
            request = request.bearer(token);
        }
        let answer = self.outbound.send(request).await?;
        meaning(&answer)
    }
}

fn meaning<T: DeserializeOwned>(answer: &OutboundAnswer) -> Result<T, CallError> {
    if answer.status == 200 {
        let value = answer.json()?;
        return serde_json::from_value(value).map_err(|_| CallError::BadAnswer);
    }
    let body = answer.json().unwrap_or_default();
    let errcode = body.get("errcode").and_then(Value::as_str).unwrap_or_default();
    Err(match (answer.status, errcode) {
        (_, "M_TERMS_NOT_SIGNED") => CallError::TermsNotSigned,
        (_, "M_INVALID_PEPPER") => CallError::InvalidPepper,
        (_, "M_THREEPID_IN_USE") => {
            let mxid = body.get("mxid").and_then(Value::as_str);
            CallError::InUse(mxid.and_then(|mxid| mxid.try_into().ok()))
        }
        (429, _) => CallError::TooMany {
            retry_after_ms: body.get("retry_after_ms").and_then(Value::as_u64),
        },
        (401, _) => CallError::Unauthorized,
        (404 | 405 | 501, _) | (_, "M_UNRECOGNIZED" | "M_NOT_FOUND") => CallError::NotThere,
        (500.., _) => CallError::Unreachable,
        (status, _) => CallError::Refused { status },
    })
}

impl From<OutboundError> for CallError {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Denied | OutboundError::SchemeRefused | OutboundError::InvalidUrl => Self::Denied,
            OutboundError::Unreachable | OutboundError::Tls => Self::Unreachable,
            OutboundError::TimedOut => Self::TimedOut,
            OutboundError::TooLarge | OutboundError::Redirected | OutboundError::NotJson => Self::BadAnswer,
        }
    }
}
