//! Sending.

use std::{error::Error, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{Client, ClientBuilder, Response, redirect};
use url::{Host, Url};

use crate::{
    OutboundAnswer, OutboundError, OutboundRequest, OutboundSetupError,
    policy::{PRIVATE_RANGES, Policy},
    resolver::{Forbidden, Guarded},
    tls,
};

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(30);

/// How many such connections are kept for each host.
const IDLE_PER_HOST: usize = 4;

/// What the door is made of.
#[derive(Debug, Clone, Default)]
pub struct OutboundConfig {
    /// Whether certificates are checked. Only tests turn it off.
    pub verify_tls: bool,
    /// Networks that are never contacted; `None`: [`PRIVATE_RANGES`].
    pub deny_ip_ranges: Option<Vec<String>>,
    /// Hosts, with their port if it is not 443, that the operator named and that may be in a private network (T16).
    pub exempt: Vec<String>,
    /// Files with certificate authorities besides the system's, in PEM.
    pub extra_ca_files: Vec<PathBuf>,
}

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    inner: Arc<Inner>,
}

struct Inner {
    policy: Arc<Policy>,
    exempt: Vec<String>,
    guarded: Client,
    /// For hosts that are exempt from the policy, and no others.
    unguarded: Client,
}

impl Outbound {
    /// A door with this policy.
    pub fn new(config: &OutboundConfig) -> Result<Self, OutboundSetupError> {
        let policy = Arc::new(match &config.deny_ip_ranges {
            Some(ranges) => Policy::denying(ranges.iter().map(String::as_str))?,
            None => Policy::denying(PRIVATE_RANGES)?,
        });
        let tls = tls::client_config(config.verify_tls, &config.extra_ca_files)?;
        let resolver = Guarded {
            policy: Arc::clone(&policy),
        };
        let build = |builder: ClientBuilder| {
            builder
                .build()
                .map_err(|error| OutboundSetupError::Tls(error.to_string()))
        };
        Ok(Self {
            inner: Arc::new(Inner {
                policy,
                exempt: config
                    .exempt
                    .iter()
                    .map(|host| host.to_ascii_lowercase())
                    .collect(),
                guarded: build(client(tls.clone()).dns_resolver(resolver))?,
                unguarded: build(client(tls))?,
            }),
        })
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: OutboundRequest) -> Result<OutboundAnswer, OutboundError> {
        let url = Url::parse(&request.url).map_err(|_| OutboundError::InvalidUrl)?;
        let client = self.client(&url, request.plain)?;
        let mut sending = client.request(request.method, url);
        for (name, value) in request.headers {
            sending = sending.header(name, value);
        }
        if let Some(body) = request.body {
            sending = sending.body(body);
        }
        let whole = async {
            let response = sending.send().await.map_err(|error| reason(&error))?;
            answer(response, request.max_bytes).await
        };
        tokio::time::timeout(request.timeout, whole)
            .await
            .unwrap_or(Err(OutboundError::TimedOut))
    }

    /// The client for this URL, unless it must not be asked at all.
    fn client(&self, url: &Url, plain: bool) -> Result<&Client, OutboundError> {
        match url.scheme() {
            "https" => {}
            "http" if plain => {}
            "http" => return Err(OutboundError::SchemeRefused),
            _ => return Err(OutboundError::InvalidUrl),
        }
        // Credentials in a URL are somebody's trick to make one host look like another.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OutboundError::InvalidUrl);
        }
        let host = url.host().ok_or(OutboundError::InvalidUrl)?;
        if self.is_exempt(url) {
            return Ok(&self.inner.unguarded);
        }
        // The URL's grammar has turned `127.1`, `0x7f.1` and their like into addresses by now.
        let literal = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(_) => None,
        };
        if literal.is_some_and(|address| !self.inner.policy.allows(address)) {
            return Err(OutboundError::Denied);
        }
        Ok(&self.inner.guarded)
    }

    fn is_exempt(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let named = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        self.inner.exempt.contains(&named)
    }
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound")
            .field("policy", &self.inner.policy)
            .field("exempt", &self.inner.exempt)
            .finish_non_exhaustive()
    }
}

fn client(tls: rustls::ClientConfig) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .user_agent("Gatehouse")
}

async fn answer(mut response: Response, max_bytes: usize) -> Result<OutboundAnswer, OutboundError> {
    let status = response.status();
    if status.is_redirection() {
        return Err(OutboundError::Redirected);
    }
    let content_type = response
        .headers()
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(ToOwned::to_owned);
    let too_large = |length: u64| length > u64::try_from(max_bytes).unwrap_or(u64::MAX);
    if response.content_length().is_some_and(too_large) {
        return Err(OutboundError::TooLarge);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = next(&mut response).await? {
        if body.len() + chunk.len() > max_bytes {
            return Err(OutboundError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(OutboundAnswer {
        status: status.as_u16(),
        content_type,
        body: body.freeze(),
    })
}

async fn next(response: &mut Response) -> Result<Option<Bytes>, OutboundError> {
    response.chunk().await.map_err(|error| reason(&error))
}

/// What the library's error comes down to.
fn reason(error: &reqwest::Error) -> OutboundError {
    if error.is_timeout() {
        return OutboundError::TimedOut;
    }
    if error.is_builder() {
        return OutboundError::InvalidUrl;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<Forbidden>() {
            return OutboundError::Denied;
        }
        if cause.is::<rustls::Error>() {
            return OutboundError::Tls;
        }
        source = cause_of(cause);
    }
    OutboundError::Unreachable
}

/// What is behind an error. An I/O error passes over what it was made of when asked for its source.
fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>() {
        Some(error) => error.get_ref().map(|inside| inside as &(dyn Error + 'static)),
        None => error.source(),
    }
}
