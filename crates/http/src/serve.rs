//! Taking connections and answering them until the server stops.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::body::Body;
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    Listener, Service,
    listener::{ListenError, Stream},
    requester::Peer,
};

/// Connections at a time for each listener; further ones wait to be taken.
const MAX_CONNECTIONS: usize = 50_000;
/// How long a client may take to send its headers, or to keep quiet between requests while the server is stopping.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long requests may go on once the server stops.
const STOP_TIME: Duration = Duration::from_secs(8);
/// Headers of a request, in number and bytes (limits, "Body sizes in").
const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: u32 = 32 << 10;
/// What hyper reads of the head of a request at most: the longest path and all headers.
const MAX_HEAD_BYTES: usize = 56 << 10;
/// Requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;
/// How long to wait when no connection can be taken, as when file descriptors are used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is cancelled; then finishes what is in flight, for a few seconds at most.
pub async fn serve(listener: Listener, service: Service, stop: CancellationToken) -> Result<(), ListenError> {
    let builder = Arc::new(builder());
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
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
        let (builder, service, watcher) = (Arc::clone(&builder), service.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _place = place;
            let Some(stream) = secured(stream, acceptor).await else {
                return;
            };
            let answer = service_fn(move |request: Request<Incoming>| answer(service.clone(), request, peer));
            let connection = builder
                .serve_connection(TokioIo::new(stream), answer)
                .into_owned();
            // How a connection ends, by whatever fault of the peer, is nobody's concern.
            _ = watcher.watch(connection).await;
        });
    }
    drop(listener);
    if tokio::time::timeout(STOP_TIME, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests were cut off");
    }
    Ok(())
}

async fn answer(
    service: Service,
    request: Request<Incoming>,
    peer: Option<IpAddr>,
) -> Result<axum::response::Response, std::convert::Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(Peer(peer));
    service.answer(request).await
}

/// The connection itself, or TLS over it; `None` when the handshake fails.
async fn secured(
    stream: Box<dyn Stream>,
    acceptor: Option<tokio_rustls::TlsAcceptor>,
) -> Option<Box<dyn Stream>> {
    let Some(acceptor) = acceptor else {
        return Some(stream);
    };
    match tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(_)) | Err(_) => None,
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    builder
}
