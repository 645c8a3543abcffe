//! Requests as bytes, for what no client library sends.

use std::time::Duration;

use gatehouse_testkit::TestServer;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than a server that is at work takes, and shorter than it waits for the rest of a request's head.
const PATIENCE: Duration = Duration::from_secs(8);

/// An answer as it came, after which the server hung up.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl RawAnswer {
    pub(crate) fn errcode(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["errcode"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends these bytes and reads until the server hangs up, which it has to do.
pub(crate) async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> RawAnswer {
    // A server that refuses need not read everything.
    _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    // Nor wait until everything has been sent, so that the connection may end with a reset.
    _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the server hangs up");
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_default();
    RawAnswer {
        status,
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

/// The same with a server.
pub(crate) async fn send(server: &TestServer, bytes: impl AsRef<[u8]>) -> RawAnswer {
    let stream = TcpStream::connect(server.base().trim_start_matches("http://"))
        .await
        .unwrap();
    exchange(stream, bytes.as_ref()).await
}

/// A GET of a path as it is written here, after which the server hangs up.
pub(crate) async fn get(server: &TestServer, path: &str) -> RawAnswer {
    send(
        server,
        format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    )
    .await
}
