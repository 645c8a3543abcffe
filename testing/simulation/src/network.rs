//! The network between the servers: it delays, loses, repeats and reorders, is cut in parts, and one server on it may lie.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::pending;
use gatehouse_outbound::{Carried, Carrier, OutboundError};
use http::{Request, Response, Uri};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::{dice::Dice, house::Endpoint, lies::Liar, trace::Trace};

/// No answer is longer.
const MAX_BODY: usize = 16 << 20;

/// Where transactions go.
pub(crate) const SEND: &str = "/_matrix/federation/v1/send/";

/// How bad the network is: of a thousand requests so many...
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// ...never arrive.
    pub lost: u64,
    /// ...are carried out, and the answer never arrives.
    pub unanswered: u64,
    /// ...arrive a second time, later.
    pub repeated: u64,
    /// ...take many seconds.
    pub slow: u64,
    /// ...are broken off at the other side when nobody waits for the answer any more; the rest is carried out.
    pub broken_off: u64,
}

/// The network.
pub struct Network {
    trace: Arc<Trace>,
    weather: Weather,
    liar: Option<Liar>,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    endpoints: Vec<Option<Endpoint>>,
    /// In which part of the network a server is.
    parts: Vec<usize>,
    is_well: bool,
    under_way: usize,
    refusals: usize,
}

/// On which way something is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

/// What becomes of a request.
#[derive(Debug, Default)]
struct Fate {
    there_ms: u64,
    back_ms: u64,
    lost: Option<Way>,
    /// Nobody notices that it is lost, but for the time that it takes.
    is_silent: bool,
    goes_on_alone: bool,
    again_after_ms: Option<u64>,
}

impl Network {
    /// A network for so many servers.
    pub fn new(trace: Arc<Trace>, servers: usize, weather: Weather, liar: Option<Liar>, dice: Dice) -> Self {
        Self {
            trace,
            weather,
            liar,
            state: Mutex::new(State {
                dice,
                endpoints: vec![None; servers],
                parts: vec![0; servers],
                is_well: true,
                under_way: 0,
                refusals: 0,
            }),
        }
    }

    /// A server is there.
    pub fn plug_in(&self, server: usize, endpoint: Endpoint) {
        if let Some(place) = self.state.lock().endpoints.get_mut(server) {
            *place = Some(endpoint);
        }
    }

    /// The servers are in these parts now; only those in the same part hear each other.
    pub fn cut(&self, parts: &[usize]) {
        self.state.lock().parts = parts.to_vec();
    }

    /// From now on the weather is as it is.
    pub fn begin_storm(&self) {
        self.state.lock().is_well = false;
    }

    /// From now on everything arrives, and nobody lies.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.is_well = true;
        state.parts.fill(0);
    }

    /// How many transactions there were of which a server did not keep everything, as it could not get what goes with it.
    pub fn refusals(&self) -> usize {
        self.state.lock().refusals
    }

    /// How many requests are under way.
    pub fn under_way(&self) -> usize {
        self.state.lock().under_way
    }

    fn are_connected(&self, one: usize, other: usize) -> bool {
        let state = self.state.lock();
        state.parts.get(one) == state.parts.get(other)
    }

    fn fate(&self) -> Fate {
        let mut state = self.state.lock();
        let State { dice, is_well, .. } = &mut *state;
        if *is_well {
            return Fate {
                there_ms: dice.between(1, 3),
                back_ms: dice.between(1, 3),
                ..Fate::default()
            };
        }
        let weather = self.weather;
        let delay = |dice: &mut Dice| {
            if dice.happens(weather.slow) {
                dice.between(1_000, 40_000)
            } else {
                dice.between(1, 120)
            }
        };
        let (there_ms, back_ms) = (delay(dice), delay(dice));
        let (is_lost, is_unanswered) = (dice.happens(weather.lost), dice.happens(weather.unanswered));
        let lost = is_lost
            .then_some(Way::There)
            .or(is_unanswered.then_some(Way::Back));
        Fate {
            there_ms,
            back_ms,
            lost,
            is_silent: dice.happens(400),
            goes_on_alone: !dice.happens(weather.broken_off),
            again_after_ms: dice.happens(weather.repeated).then(|| dice.between(1, 30_000)),
        }
    }

    async fn carry(
        self: &Arc<Self>,
        from: usize,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, OutboundError> {
        let to = server_of(request.uri()).ok_or(OutboundError::Unreachable)?;
        let fate = self.fate();
        let what = format!("{from}->{to} {} {}", request.method(), request.uri().path());
        self.trace
            .note(format_args!("{what} ({} bytes)", request.body().len()));
        let request = self.as_told(from, request)?;
        if let Some(after_ms) = fate.again_after_ms {
            let (network, again) = (Arc::clone(self), request.clone());
            let what = what.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                if network.are_connected(from, to) {
                    network.trace.note(format_args!("{what} once more"));
                    _ = network.handle(to, again).await;
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(fate.there_ms)).await;
        if fate.lost == Some(Way::There) || !self.are_connected(from, to) {
            self.trace.note(format_args!("{what}: lost"));
            return lost(fate.is_silent).await;
        }
        let answer = if fate.goes_on_alone {
            let (network, request) = (Arc::clone(self), request);
            let handling = tokio::spawn(async move { network.handle(to, request).await });
            handling.await.unwrap_or(Err(OutboundError::Unreachable))
        } else {
            self.handle(to, request).await
        };
        tokio::time::sleep(Duration::from_millis(fate.back_ms)).await;
        if fate.lost == Some(Way::Back) || !self.are_connected(from, to) {
            self.trace.note(format_args!("{what}: no answer"));
            return lost(fate.is_silent).await;
        }
        match &answer {
            Ok(answer) => self.trace.note(format_args!(
                "{what}: {} ({} bytes)",
                answer.status(),
                answer.body().len()
            )),
            Err(error) => self.trace.note(format_args!("{what}: {error}")),
        }
        answer
    }

    /// The request as the server sends it, which may lie.
    fn as_told(&self, from: usize, request: Request<Bytes>) -> Result<Request<Bytes>, OutboundError> {
        let mut state = self.state.lock();
        match &self.liar {
            Some(liar) if liar.number == from && !state.is_well => liar
                .request(&mut state.dice, request)
                .ok_or(OutboundError::InvalidUrl),
            _ => Ok(request),
        }
    }

    /// Has the server answer, as long as it runs.
    async fn handle(&self, to: usize, request: Request<Bytes>) -> Result<Response<Bytes>, OutboundError> {
        let endpoint = self.state.lock().endpoints.get(to).cloned().flatten();
        let endpoint = endpoint
            .filter(|endpoint| !endpoint.gone.is_cancelled())
            .ok_or(OutboundError::Unreachable)?;
        let path = request.uri().path().to_owned();
        let request = without_host(request).ok_or(OutboundError::InvalidUrl)?;
        let handling = async {
            let answer = match endpoint.router().oneshot(request).await {
                Ok(answer) => answer,
                Err(never) => match never {},
            };
            let (parts, body) = answer.into_parts();
            let body = axum::body::to_bytes(body, MAX_BODY).await;
            Ok(Response::from_parts(
                parts,
                body.map_err(|_| OutboundError::Unreachable)?,
            ))
        };
        let _counted = Counted::new(self);
        let answer = tokio::select! {
            biased;
            () = endpoint.gone.cancelled() => return Err(OutboundError::Unreachable),
            answer = handling => answer?,
        };
        let mut state = self.state.lock();
        if path.starts_with(SEND) && answer.body().windows(7).any(|part| part == b"\"error\"") {
            state.refusals += 1;
        }
        Ok(match &self.liar {
            Some(liar) if liar.number == to && !state.is_well => liar.answer(&mut state.dice, &path, answer),
            _ => answer,
        })
    }
}

/// Counts a request for as long as it is worked on.
struct Counted<'a>(&'a Network);

impl<'a> Counted<'a> {
    fn new(network: &'a Network) -> Self {
        network.state.lock().under_way += 1;
        Self(network)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.state.lock().under_way -= 1;
    }
}

async fn lost<T>(is_silent: bool) -> Result<T, OutboundError> {
    if is_silent {
        pending().await
    } else {
        Err(OutboundError::Unreachable)
    }
}

/// The server that an address names.
pub(crate) fn server_name_in(uri: &Uri) -> Option<String> {
    uri.authority().map(ToString::to_string)
}

fn server_of(uri: &Uri) -> Option<usize> {
    let letter = uri.host()?.bytes().next()?;
    letter.checked_sub(b'a').map(usize::from)
}

/// As a listener hands it on: its path alone.
fn without_host(request: Request<Bytes>) -> Option<Request<Body>> {
    let (mut parts, body) = request.into_parts();
    parts.uri = Uri::try_from(parts.uri.path_and_query()?.as_str()).ok()?;
    Some(Request::from_parts(parts, Body::from(body)))
}

/// A server's way into the network.
pub struct Port {
    network: Arc<Network>,
    server: usize,
    gone: CancellationToken,
}

impl Port {
    /// Of this server, until it is killed.
    pub fn new(network: Arc<Network>, server: usize, gone: CancellationToken) -> Self {
        Self {
            network,
            server,
            gone,
        }
    }
}

impl Carrier for Port {
    fn carry(&self, request: Request<Bytes>) -> Carried<'_> {
        Box::pin(async move {
            tokio::select! {
                biased;
                () = self.gone.cancelled() => pending().await,
                answer = self.network.carry(self.server, request) => answer,
            }
        })
    }
}
