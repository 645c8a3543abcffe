//! Listeners, TLS, limits and the extractors that every API uses.
//!
//! An API crate writes handlers from these extractors and answers [`ApiError`]; [`Envelope`] puts around all of them
//! what every request needs, and [`serve()`] takes the connections. It knows no Matrix endpoint.
//!
//! Read in this order: [`error`], [`context`], [`requester`], [`body`], [`form`], [`query`], [`path`], [`rate_limits`],
//! [`login_attempt`], [`envelope`], [`listener`], [`serve`](mod@serve).

mod account_errors;
pub mod body;
pub mod context;
pub mod envelope;
pub mod error;
pub mod form;
pub mod listener;
pub mod login_attempt;
pub mod metrics;
pub mod path;
pub mod query;
pub mod rate_limits;
mod reading_deadline;
pub mod requester;
pub mod serve;
mod tls;

pub use self::{
    body::{
        ACCOUNT_DATA_BODY, EVENT_BODY, FILTER_BODY, JsonBody, JsonObject, JsonText, OptionalJsonBody,
        SMALL_BODY, Text,
    },
    context::{HasHttp, HttpContext},
    envelope::Envelope,
    error::ApiError,
    form::FormBody,
    listener::{Address, ListenError, Listener, TlsFiles},
    login_attempt::{LoginAttempt, LoginName, account_key, threepid_key},
    metrics::Metrics,
    path::Path,
    query::{Query, RawQuery},
    rate_limits::{Limit, Rate, RateLimitConfig, RateLimits, address_key},
    requester::{ClientAddress, LockedRequester, OptionalRequester, Peer, Requester},
    serve::serve,
    tls::TlsError,
};
