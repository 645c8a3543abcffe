//! Taking connections and answering them until the server stops.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use axum::body::Body;
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Envelope, Listener, listener::Stream, requester::Peer};

/// Connections at a time for each listener; further ones wait to be taken.
const MAX_CONNECTIONS: usize = 50_000;
/// How long a client may take to send the headers of its first request.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// How long a client may keep quiet before a further request, headers included. Longer than proxies keep idle
/// connections, a minute as a rule: else they send requests into connections that are just being closed.
const QUIET_TIME: Duration = Duration::from_secs(75);
/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long requests may go on once the server stops.
const STOP_TIME: Duration = Duration::from_secs(8);
/// Headers of a request (limits, "Body sizes in"); their bytes are counted by the envelope.
const MAX_HEADERS: usize = 100;
/// What hyper reads of the head of a request at most: the longest path and all headers, and some more, so that
/// those that are a little too long get an answer that says so.
const MAX_HEAD_BYTES: usize = 56 << 10;
/// Headers of a request over HTTP/2, in bytes.
const MAX_HEADER_LIST_BYTES: u32 = 48 << 10;
/// Requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;
/// How often a quiet HTTP/2 connection is tried.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long to wait when no connection can be taken, as when file descriptors are used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is cancelled; then finishes what is in flight, for a few seconds at most. When this is
/// dropped, all connections are cut.
pub async fn serve(listener: Listener, envelope: Envelope, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let _cut_when_dropped = cut.clone().drop_guard();
    let server = Server {
        builder: Arc::new(builder()),
        envelope,
        trusted_proxies: Arc::clone(&listener.trusted_proxies),
        stop: stop.clone(),
    };
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let acceptor = listener.tls.as_ref().map(crate::tls::Tls::acceptor);
        let (server, cut) = (server.clone(), cut.clone());
        connections.spawn(async move {
            let _place = place;
            let exchange = async {
                if let Some(stream) = secured(stream, acceptor).await {
                    server.serve_connection(stream, peer).await;
                }
            };
            _ = cut.run_until_cancelled(exchange).await;
        });
    }
    drop(listener);
    connections.close();
    if timeout(STOP_TIME, connections.wait()).await.is_err() {
        tracing::warn!(requests = connections.len(), "some requests were cut off");
        cut.cancel();
        connections.wait().await;
    }
}

/// What all connections of a listener share.
#[derive(Clone)]
struct Server {
    builder: Arc<Builder<TokioExecutor>>,
    envelope: Envelope,
    trusted_proxies: Arc<[IpAddr]>,
    stop: CancellationToken,
}

impl Server {
    /// Answers what comes over a connection, until either side ends it.
    async fn serve_connection(&self, stream: Box<dyn Stream>, address: Option<IpAddr>) {
        let peer = Peer {
            address,
            trusted_proxies: Arc::clone(&self.trusted_proxies),
        };
        // Until the first request has come, nothing but this knows how long the client has been quiet.
        let asked = CancellationToken::new();
        let answer = service_fn(|request: Request<Incoming>| {
            asked.cancel();
            answer(self.envelope.clone(), request, peer.clone())
        });
        let mut connection = std::pin::pin!(self.builder.serve_connection(TokioIo::new(stream), answer));
        let quiet = async {
            if timeout(HEADER_TIME, asked.cancelled()).await.is_ok() {
                std::future::pending::<()>().await;
            }
        };
        // How a connection ends, by whatever fault of the peer, is nobody's concern.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = quiet => return,
            () = self.stop.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        _ = connection.await;
    }
}

async fn answer(
    envelope: Envelope,
    request: Request<Incoming>,
    peer: Peer,
) -> Result<axum::response::Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    envelope.answer(request).await
}

/// The connection itself, or TLS over it; `None` when the handshake fails.
async fn secured(
    stream: Box<dyn Stream>,
    acceptor: Option<tokio_rustls::TlsAcceptor>,
) -> Option<Box<dyn Stream>> {
    let Some(acceptor) = acceptor else {
        return Some(stream);
    };
    match timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(_)) | Err(_) => None,
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(QUIET_TIME)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .keep_alive_interval(Some(PING_EVERY));
    builder
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::Metrics;

    /// One end of a connection to a server that answers `/` after this time.
    fn connected(answers_after: Duration, stop: &CancellationToken) -> DuplexStream {
        let slow = get(move || async move {
            tokio::time::sleep(answers_after).await;
            "answered"
        });
        let router = Router::new().route("/", slow);
        let server = Server {
            builder: Arc::new(builder()),
            envelope: Envelope::new(router, Arc::new(Metrics::default())),
            trusted_proxies: Arc::default(),
            stop: stop.clone(),
        };
        let (client, stream) = duplex(64 << 10);
        tokio::spawn(async move { server.serve_connection(Box::new(stream), None).await });
        client
    }

    /// Sends this, and gives what comes back until the server hangs up, and after how many seconds it does.
    async fn sent(client: &mut DuplexStream, text: &str) -> (String, u64) {
        let began = tokio::time::Instant::now();
        client.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // A server that hangs up without an answer may do so as it likes.
        _ = client.read_to_string(&mut answer).await;
        (answer, began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_finish_its_headers_is_cut_off_after_ten_seconds() {
        for begun in [
            "",
            "P",
            "PRI * HTTP/2.0\r\n",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA: ",
        ] {
            let mut client = connected(Duration::ZERO, &CancellationToken::new());
            let (answer, seconds) = sent(&mut client, begun).await;
            assert!(!answer.contains("200"), "{begun:?}: {answer}");
            assert_eq!(seconds, 10, "{begun:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_is_waited_for() {
        let mut client = connected(Duration::from_secs(50), &CancellationToken::new());
        let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let (answer, seconds) = sent(&mut client, request).await;
        assert!(answer.contains("answered"), "{answer}");
        assert_eq!(seconds, 50);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stops_finishes_what_is_in_flight_and_hangs_up() {
        let stop = CancellationToken::new();
        let mut client = connected(Duration::from_secs(5), &stop);
        let mut idle = connected(Duration::ZERO, &stop);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stop.cancel();
        });
        let (answer, seconds) = sent(&mut client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(answer.contains("answered"), "{answer}");
        assert_eq!(seconds, 5);
        assert_eq!(sent(&mut idle, "").await, (String::new(), 0));
    }
}
