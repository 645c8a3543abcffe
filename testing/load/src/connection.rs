//! One client's connection: HTTP/1.1, kept alive, one request at a time.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// No answer takes longer, not even the initial sync of a slow server.
const ANSWER_LIMIT: Duration = Duration::from_mins(2);

/// A connection that is open until it is dropped.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    patience: Duration,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // An error here is seen by the request that it breaks.
            drop(connection.await);
        });
        Ok(Self {
            sender,
            host: address.to_string(),
            patience: ANSWER_LIMIT,
        })
    }

    /// Waits so long for each answer.
    pub(crate) fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) async fn get(&mut self, path: &str, token: &str) -> Result<Bytes> {
        self.send(Method::GET, path, token, Bytes::new()).await
    }

    pub(crate) async fn put(&mut self, path: &str, token: &str, body: impl Into<Bytes>) -> Result<Bytes> {
        self.send(Method::PUT, path, token, body.into()).await
    }

    pub(crate) async fn post(&mut self, path: &str, token: &str, body: impl Into<Bytes>) -> Result<Bytes> {
        self.send(Method::POST, path, token, body.into()).await
    }

    async fn send(&mut self, method: Method, path: &str, token: &str, body: Bytes) -> Result<Bytes> {
        let authorization = if token.is_empty() {
            String::new()
        } else {
            format!("Bearer {token}")
        };
        self.signed(method, path, &authorization, body).await
    }

    /// A request with this `Authorization`, as other servers have it.
    pub(crate) async fn signed(
        &mut self,
        method: Method,
        path: &str,
        authorization: &str,
        body: Bytes,
    ) -> Result<Bytes> {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(header::HOST, &self.host);
        if !authorization.is_empty() {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body))?;
        let answer = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            anyhow::Ok((status, body))
        };
        let (status, body) = tokio::time::timeout(self.patience, answer)
            .await
            .with_context(|| format!("{method} {path}: no answer within its time"))?
            .with_context(|| format!("{method} {path}"))?;
        if !status.is_success() {
            bail!("{method} {path}: {status} {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }
}

/// The value of a string field that stands anywhere in a JSON text; cheaper than reading a whole sync.
pub(crate) fn string_field<'body>(body: &'body [u8], name: &str) -> Option<&'body str> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once(&format!("\"{name}\""))?;
    let rest = rest
        .trim_start()
        .strip_prefix(':')?
        .trim_start()
        .strip_prefix('"')?;
    rest.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_whatever_the_spaces() {
        assert_eq!(
            string_field(br#"{"a":1,"next_batch":"s1"}"#, "next_batch"),
            Some("s1")
        );
        assert_eq!(
            string_field(br#"{"next_batch" : "s1"}"#, "next_batch"),
            Some("s1")
        );
        assert_eq!(string_field(br#"{"a":"next"}"#, "next_batch"), None);
    }
}
