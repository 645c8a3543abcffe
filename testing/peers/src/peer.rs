//! A server that answers as its script says.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{rt::TokioIo, server::conn::auto};
use parking_lot::Mutex;
use rustls::ServerConfig;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::AbortHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::reply::{Reply, ReplyBody};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// `GET` and the like.
    pub method: Method,
    /// Path and query.
    pub uri: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// The name in the TLS handshake; none for an address.
    pub tls_name: Option<String>,
}

impl Received {
    /// A header as text, or nothing.
    pub fn header(&self, name: &HeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

type Script = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

/// A server on loopback. It stops when dropped.
pub struct Peer {
    address: SocketAddr,
    received: Arc<Log>,
    connections: Arc<Mutex<usize>>,
    listening: AbortHandle,
}

/// What came, and who is told.
#[derive(Default)]
struct Log {
    entries: Mutex<Vec<Received>>,
    came: Notify,
}

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

impl Peer {
    /// One with this TLS and script, on a free port.
    pub async fn start(
        tls: Arc<ServerConfig>,
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::at("127.0.0.1:0".parse()?, tls, script).await
    }

    /// One at this address.
    pub async fn at(
        address: SocketAddr,
        tls: Arc<ServerConfig>,
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let received = Arc::new(Log::default());
        let connections = Arc::new(Mutex::new(0));
        let shared = (Arc::new(script) as Script, Arc::clone(&received));
        let counted = Arc::clone(&connections);
        let acceptor = TlsAcceptor::from(tls);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                *counted.lock() += 1;
                tokio::spawn(serve(socket, acceptor.clone(), shared.clone()));
            }
        });
        Ok(Self {
            address,
            received,
            connections,
            listening: task.abort_handle(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it was asked so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.entries.lock().clone()
    }

    /// Waits until what it was asked is as it should be, and gives all of it.
    pub async fn until(&self, is_so: impl Fn(&[Received]) -> bool) -> Result<Vec<Received>> {
        let waiting = async {
            loop {
                let came = self.received.came.notified();
                let received = self.received();
                if is_so(&received) {
                    return received;
                }
                came.await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.map_err(|_| anyhow::anyhow!("it came to no more than {:?}", self.uris()))
    }

    /// The paths and queries that it was asked for so far.
    pub fn uris(&self) -> Vec<String> {
        self.received
            .entries
            .lock()
            .iter()
            .map(|received| received.uri.clone())
            .collect()
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        *self.connections.lock()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(socket: TcpStream, acceptor: TlsAcceptor, shared: (Script, Arc<Log>)) {
    let Ok(stream) = acceptor.accept(socket).await else {
        return;
    };
    let tls_name = stream.get_ref().1.server_name().map(ToOwned::to_owned);
    let service = service_fn(|request| answer(request, tls_name.clone(), shared.clone()));
    // How the other side ends a connection is its own affair.
    _ = auto::Builder::new(hyper_util::rt::TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    tls_name: Option<String>,
    (script, received): (Script, Arc<Log>),
) -> io::Result<Response<ReplyBody>> {
    let (head, body) = request.into_parts();
    let request = Received {
        method: head.method,
        uri: head
            .uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        headers: head.headers,
        body: body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default(),
        tls_name,
    };
    let reply = script(&request);
    received.entries.lock().push(request);
    received.came.notify_waiters();
    let body = reply.body.begin().await?;
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or_default();
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    // A script may say itself how it is sent.
    response.headers_mut().remove(header::TRANSFER_ENCODING);
    Ok(response)
}
