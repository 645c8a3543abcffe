//! Requests that we sign, and how their answers are bounded and read.

use std::time::Duration;

use bytes::Bytes;
use gatehouse_outbound::{OutboundAnswer, OutboundError, OutboundStream};
use http::{Method, header::RETRY_AFTER};
use ruma::ServerName;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{sync::SemaphorePermit, task::spawn_blocking};

use crate::{Federation, FederationError, error::ServerRefusal};

/// What an answer may cost us (limits.md §4).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// How long it may stand still.
    pub(crate) idle: Duration,
    /// How long it may be.
    pub(crate) max_bytes: usize,
}

impl Bounds {
    /// Of a question that somebody waits for.
    pub(crate) const QUESTION: Self = Self {
        timeout: Duration::from_secs(10),
        idle: Duration::from_secs(10),
        max_bytes: 1 << 20,
    };
    /// Of a list of events.
    pub(crate) const EVENTS: Self = Self {
        timeout: Duration::from_mins(1),
        idle: Duration::from_secs(30),
        max_bytes: 16 << 20,
    };
    /// Of the state of a room that comes with a join (security.md T30): it is kept until all of it is here.
    pub(crate) const JOIN: Self = Self {
        timeout: Duration::from_mins(2),
        idle: Duration::from_secs(30),
        max_bytes: 100 << 20,
    };
    /// Of the state of a room that is worked on as it comes: the time is ours, too.
    pub(crate) const STATE: Self = Self {
        timeout: Duration::from_mins(10),
        idle: Duration::from_secs(30),
        max_bytes: 512 << 20,
    };
}

/// Answers from this size on are parsed where they hold up nobody else.
const LARGE_BYTES: usize = 256 << 10;

/// How much of a refusal's words is kept.
const MAX_WORDS: usize = 300;
const MAX_ERRCODE: usize = 64;
/// Longer ones are no room versions.
const MAX_VERSION: usize = 32;

/// A request to a server.
#[derive(Debug, Clone)]
pub(crate) struct SignedRequest<'a> {
    pub(crate) server: &'a ServerName,
    pub(crate) method: Method,
    /// Path and query, encoded.
    pub(crate) path: String,
    /// Canonical JSON.
    pub(crate) body: Option<String>,
    pub(crate) bounds: Bounds,
}

impl<'a> SignedRequest<'a> {
    pub(crate) fn get(server: &'a ServerName, path: String, bounds: Bounds) -> Self {
        Self {
            server,
            method: Method::GET,
            path,
            body: None,
            bounds,
        }
    }

    /// With a body, which has to be canonical JSON: it is signed as it is.
    pub(crate) fn with_body(
        method: Method,
        server: &'a ServerName,
        path: String,
        body: String,
        bounds: Bounds,
    ) -> Self {
        Self {
            server,
            method,
            path,
            body: Some(body),
            bounds,
        }
    }
}

impl Federation {
    /// Asks, and waits for a place among those who ask before.
    pub(crate) async fn signed(&self, request: SignedRequest<'_>) -> Result<OutboundAnswer, FederationError> {
        let _place = self.place_to_ask(request.bounds).await?;
        self.signed_at_once(request).await
    }

    /// Waits for a place among those who ask, which is kept while the permit is.
    pub(crate) async fn place_to_ask(&self, bounds: Bounds) -> Result<SemaphorePermit<'_>, FederationError> {
        let place = tokio::time::timeout(bounds.timeout, self.requests().acquire()).await;
        let timed_out = FederationError::Unreachable(OutboundError::TimedOut);
        place.ok().and_then(Result::ok).ok_or(timed_out)
    }

    /// Asks. Whoever calls it bounds how many do at once.
    pub(crate) async fn signed_at_once(
        &self,
        request: SignedRequest<'_>,
    ) -> Result<OutboundAnswer, FederationError> {
        let answer = self.open_at_once(request).await?.whole().await?;
        match answer.status {
            200..=299 => Ok(answer),
            _ => Err(refusal(&answer)),
        }
    }

    /// Asks, and leaves it to the caller to read the answer and what its status means.
    pub(crate) async fn open_at_once(
        &self,
        request: SignedRequest<'_>,
    ) -> Result<OutboundStream, FederationError> {
        let outbound = self.outbound().ok_or(FederationError::Disabled)?;
        let location = self.location_of(request.server).await?;
        let authorization = self.authorization_of(
            request.server.as_str(),
            request.method.as_str(),
            &request.path,
            request.body.as_deref(),
        );
        let mut sent = location
            .request(request.method, &request.path)
            .authorization(&authorization)
            .timeout(request.bounds.timeout)
            .idle(request.bounds.idle)
            .max_bytes(request.bounds.max_bytes);
        if let Some(body) = request.body {
            sent = sent.body("application/json", Bytes::from(body));
        }
        Ok(outbound.open(sent).await?)
    }

    /// Asks, and reads the answer.
    pub(crate) async fn ask_signed<T: DeserializeOwned + Send + 'static>(
        &self,
        request: SignedRequest<'_>,
    ) -> Result<T, FederationError> {
        let answer = self.signed(request).await?;
        read(answer.body).await
    }
}

/// An answer's body, as what it should be.
pub(crate) async fn read<T: DeserializeOwned + Send + 'static>(body: Bytes) -> Result<T, FederationError> {
    let is_large = body.len() >= LARGE_BYTES;
    let parse = move || serde_json::from_slice(&body).map_err(|_| FederationError::BadAnswer);
    if is_large {
        // A task that crashed has read nothing.
        spawn_blocking(parse)
            .await
            .unwrap_or(Err(FederationError::BadAnswer))
    } else {
        parse()
    }
}

/// Whether it may be the name of a room version (rooms, "Room version grammar").
fn is_version(version: &str) -> bool {
    let is_meant = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=MAX_VERSION).contains(&version.len()) && version.bytes().all(is_meant)
}

/// What an answer that is no success means.
pub(crate) fn refusal(answer: &OutboundAnswer) -> FederationError {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Said {
        errcode: String,
        error: String,
        room_version: Option<String>,
    }
    let said: Said = serde_json::from_slice(&answer.body).unwrap_or_default();
    let is_word = |text: &str| {
        text.len() <= MAX_ERRCODE
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte))
    };
    let shown = |character: &char| !character.is_control();
    FederationError::Refused(ServerRefusal {
        status: answer.status,
        errcode: if is_word(&said.errcode) {
            said.errcode
        } else {
            String::new()
        },
        error: said.error.chars().filter(shown).take(MAX_WORDS).collect(),
        room_version: said.room_version.filter(|version| is_version(version)),
        retry_after_s: answer.header(&RETRY_AFTER).and_then(|value| value.parse().ok()),
    })
}
