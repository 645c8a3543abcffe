//! Sending.

use std::{error::Error, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use http::Method;
use reqwest::{Client, ClientBuilder, Response, redirect};
use tokio::time::Instant;
use url::{Host, Url};

use crate::{
    Carrier, OutboundAnswer, OutboundError, OutboundRequest, OutboundSetupError, OutboundStream, Service,
    carrier::have_carried,
    policy::{PRIVATE_RANGES, Policy},
    resolver::{Forbidden, Guarded},
    srv_resolver::{Finder, ServiceResolver},
    tls::{self, Tls},
};

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(30);

/// How many such connections are kept for each host.
const IDLE_PER_HOST: usize = 4;

/// How long it may take to find a host, connect and agree on TLS; longer where SRV records are asked for first.
const CONNECT: Duration = Duration::from_secs(5);
const CONNECT_TO_SERVICE: Duration = Duration::from_secs(10);

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
    /// How hosts are found for requests that go to a service of theirs.
    pub service: Option<Service>,
}

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    pub(crate) door: Door,
}

/// How requests leave.
#[derive(Clone)]
pub(crate) enum Door {
    Sockets(Arc<Sockets>),
    Carried(Arc<dyn Carrier>),
}

pub(crate) struct Sockets {
    pub(crate) policy: Arc<Policy>,
    exempt: Vec<String>,
    guarded: Client,
    /// For hosts that are exempt from the policy, and no others.
    unguarded: Client,
    /// For services. Its connections are kept apart: the same host's pages are elsewhere.
    service: Option<Client>,
    /// How the last of them finds hosts.
    pub(crate) finder: Option<Arc<Finder>>,
    pub(crate) tls: Tls,
}

/// How a request goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To a host that is exempt from the policy.
    Exempt,
    /// To a host.
    Guarded,
    /// To the service of a host.
    Service,
}

impl Outbound {
    /// A door with this policy.
    pub fn new(config: &OutboundConfig) -> Result<Self, OutboundSetupError> {
        let policy = Arc::new(match &config.deny_ip_ranges {
            Some(ranges) => Policy::denying(ranges.iter().map(String::as_str))?,
            None => Policy::denying(PRIVATE_RANGES)?,
        });
        let tls = tls::setup(config.verify_tls, &config.extra_ca_files)?;
        let resolver = Guarded {
            policy: Arc::clone(&policy),
        };
        let build = |builder: ClientBuilder| {
            builder
                .build()
                .map_err(|error| OutboundSetupError::Tls(error.to_string()))
        };
        let finder = match &config.service {
            Some(service) => Some(Arc::new(Finder::new(Arc::clone(&policy), service)?)),
            None => None,
        };
        let service = finder.clone().map(|finder| {
            let resolver = ServiceResolver { finder };
            build(client(tls.config.clone(), CONNECT_TO_SERVICE).dns_resolver(resolver))
        });
        Ok(Self {
            door: Door::Sockets(Arc::new(Sockets {
                policy,
                exempt: config
                    .exempt
                    .iter()
                    .map(|host| host.to_ascii_lowercase())
                    .collect(),
                guarded: build(client(tls.config.clone(), CONNECT).dns_resolver(resolver))?,
                unguarded: build(client(tls.config.clone(), CONNECT))?,
                service: service.transpose()?,
                finder,
                tls,
            })),
        })
    }

    /// A door without sockets: whatever is sent is carried by this.
    pub fn carried_by(carrier: Arc<dyn Carrier>) -> Self {
        Self {
            door: Door::Carried(carrier),
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: OutboundRequest) -> Result<OutboundAnswer, OutboundError> {
        self.open(request).await?.whole().await
    }

    /// Sends a request, and lets the caller read the answer's body as it comes. All bounds hold until its end.
    pub async fn open(&self, request: OutboundRequest) -> Result<OutboundStream, OutboundError> {
        let deadline = Instant::now() + request.timeout;
        let (idle, max_bytes) = (request.idle, request.max_bytes);
        let sending = async {
            match &self.door {
                Door::Sockets(sockets) => sockets.send_and_follow(request).await,
                Door::Carried(carrier) => have_carried(&**carrier, request).await,
            }
        };
        let response = tokio::time::timeout_at(deadline, sending)
            .await
            .unwrap_or(Err(OutboundError::TimedOut))?;
        OutboundStream::new(response, deadline, idle, max_bytes)
    }
}

impl Sockets {
    /// Each place that the request is sent on to is held to the same rules.
    async fn send_and_follow(&self, mut request: OutboundRequest) -> Result<Response, OutboundError> {
        let mut url = Url::parse(&request.url).map_err(|_| OutboundError::InvalidUrl)?;
        loop {
            let response = self.send_once(&mut request, url.clone()).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            if request.redirects == 0 || request.method != Method::GET {
                return Err(OutboundError::Redirected);
            }
            request.redirects -= 1;
            url = place(&response, &url).ok_or(OutboundError::Redirected)?;
        }
    }

    /// What the request holds is sent once; what follows are bare requests.
    async fn send_once(&self, request: &mut OutboundRequest, url: Url) -> Result<Response, OutboundError> {
        let client = self.client(&url, request)?;
        let mut sending = client.request(request.method.clone(), url);
        for (name, value) in std::mem::take(&mut request.headers) {
            sending = sending.header(name, value);
        }
        if let Some(body) = request.body.take() {
            sending = sending.body(body);
        }
        let beginning = async { sending.send().await.map_err(|error| reason(&error)) };
        within(request.idle, beginning).await
    }

    /// The client for this URL, unless it must not be asked at all.
    fn client(&self, url: &Url, request: &OutboundRequest) -> Result<&Client, OutboundError> {
        match self.way(url, request)? {
            Way::Exempt => Ok(&self.unguarded),
            Way::Guarded => Ok(&self.guarded),
            Way::Service => self.service.as_ref().ok_or(OutboundError::InvalidUrl),
        }
    }

    /// How a request to this URL goes out, unless it must not.
    pub(crate) fn way(&self, url: &Url, request: &OutboundRequest) -> Result<Way, OutboundError> {
        match url.scheme() {
            "https" => {}
            "http" if request.plain => {}
            "http" => return Err(OutboundError::SchemeRefused),
            _ => return Err(OutboundError::InvalidUrl),
        }
        // Credentials in a URL are somebody's trick to make one host look like another.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OutboundError::InvalidUrl);
        }
        let literal = literal(url)?;
        if literal.is_none() && request.service {
            return Ok(Way::Service);
        }
        if self.is_exempt(url) {
            return Ok(Way::Exempt);
        }
        if literal.is_some_and(|address| !self.policy.allows(address)) {
            return Err(OutboundError::Denied);
        }
        Ok(Way::Guarded)
    }

    fn is_exempt(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let named = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        self.exempt.contains(&named)
    }
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Outbound");
        if let Door::Sockets(sockets) = &self.door {
            shown
                .field("policy", &sockets.policy)
                .field("exempt", &sockets.exempt);
        }
        shown.finish_non_exhaustive()
    }
}

fn client(tls: rustls::ClientConfig, connect: Duration) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(connect)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .user_agent("Gatehouse")
}

/// The address that a URL names instead of a host. Its grammar has turned `127.1`, `0x7f.1` and their like into addresses
/// by now.
pub(crate) fn literal(url: &Url) -> Result<Option<IpAddr>, OutboundError> {
    Ok(match url.host().ok_or(OutboundError::InvalidUrl)? {
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address)),
        Host::Domain(_) => None,
    })
}

/// Where a redirect leads.
fn place(response: &Response, from: &Url) -> Option<Url> {
    let location = response.headers().get(http::header::LOCATION)?.to_str().ok()?;
    from.join(location).ok()
}

/// Something that is to happen within a time, if one is given.
pub(crate) async fn within<T>(
    time: Option<Duration>,
    happening: impl Future<Output = Result<T, OutboundError>>,
) -> Result<T, OutboundError> {
    match time {
        Some(time) => tokio::time::timeout(time, happening)
            .await
            .unwrap_or(Err(OutboundError::TimedOut)),
        None => happening.await,
    }
}

/// What the library's error comes down to.
pub(crate) fn reason(error: &reqwest::Error) -> OutboundError {
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
