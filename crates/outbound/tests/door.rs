//! The door, against servers that mean no good. All of them listen on loopback.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gatehouse_outbound::{Outbound, OutboundConfig, OutboundError, OutboundRequest};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, rustls};

/// A server that reads a request and writes these bytes, then keeps the connection open.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

async fn serve<S, F>(answer: &'static str, wrap: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Server
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Option<S>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let wrapped = wrap(socket);
            tokio::spawn(async move {
                let Some(mut stream) = wrapped.await else { return };
                let mut request = [0; 4_096];
                if stream.read(&mut request).await.unwrap_or(0) > 0 {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    // Until the other side has had enough.
                    while stream.read(&mut request).await.unwrap_or(0) > 0 {}
                }
            });
        }
    });
    Server { address, connections }
}

async fn plain(answer: &'static str) -> Server {
    serve(answer, |socket| async { Some(socket) }).await
}

fn door(change: impl FnOnce(&mut OutboundConfig)) -> Outbound {
    let mut config = OutboundConfig {
        verify_tls: true,
        ..OutboundConfig::default()
    };
    change(&mut config);
    Outbound::new(&config).unwrap()
}

/// A door through which this server alone of all on loopback may be reached.
fn door_to(server: &Server) -> Outbound {
    door(|config| config.exempt.push(server.address.to_string()))
}

fn get(server: &Server) -> OutboundRequest {
    OutboundRequest::get(&format!("http://{}/x", server.address)).allow_http()
}

const OK: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"good\":true}";

#[tokio::test]
async fn t16_a_host_that_the_operator_named_is_reached_though_it_is_private() {
    let server = plain(OK).await;
    let answer = door_to(&server).send(get(&server)).await.unwrap();
    assert_eq!(
        (answer.status, answer.json().unwrap()["good"].as_bool()),
        (200, Some(true))
    );
    let other = plain(OK).await;
    assert_eq!(
        door_to(&server).send(get(&other)).await,
        Err(OutboundError::Denied)
    );
    assert_eq!(other.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn i02_loopback_is_not_contacted_however_it_is_written() {
    let server = plain(OK).await;
    let port = server.address.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "0",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[2002:7f00:1::]",
        "[64:ff9b::7f00:1]",
    ] {
        let url = format!("http://{host}:{port}/");
        let refused = door(|_| {}).send(OutboundRequest::get(&url).allow_http()).await;
        assert_eq!(refused, Err(OutboundError::Denied), "{host}");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn with_no_denied_ranges_names_of_loopback_are_reached() {
    let server = plain(OK).await;
    let door = door(|config| config.deny_ip_ranges = Some(Vec::new()));
    let url = format!("http://localhost:{}/", server.address.port());
    assert!(door.send(OutboundRequest::get(&url).allow_http()).await.is_ok());
}

#[tokio::test]
async fn t15_only_https_unless_the_operator_says_so_and_no_credentials_in_urls() {
    let server = plain(OK).await;
    let send = async |url: String| door_to(&server).send(OutboundRequest::get(&url)).await;
    assert_eq!(
        send(format!("http://{}/", server.address)).await,
        Err(OutboundError::SchemeRefused)
    );
    for url in [
        "ftp://a.example/",
        "file:///etc/passwd",
        "https://user@a.example/",
        "https://:p@a.example/",
        "nonsense",
        "https://",
    ] {
        assert_eq!(
            send(url.to_owned()).await,
            Err(OutboundError::InvalidUrl),
            "{url}"
        );
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn t15_redirects_are_not_followed() {
    let target = plain(OK).await;
    let server =
        plain("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(
        door_to(&server).send(get(&server)).await,
        Err(OutboundError::Redirected)
    );
    assert_eq!(target.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn t15_large_answers_are_cut_off_whether_they_say_so_or_not() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n",
    ] {
        let server = plain(answer).await;
        let sent = door_to(&server).send(get(&server).max_bytes(100)).await;
        assert_eq!(sent, Err(OutboundError::TooLarge), "{answer}");
    }
}

#[tokio::test]
async fn t15_slow_answers_are_given_up() {
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1"] {
        let server = plain(answer).await;
        let sent = door_to(&server)
            .send(get(&server).timeout(Duration::from_millis(200)))
            .await;
        assert_eq!(sent, Err(OutboundError::TimedOut), "{answer}");
    }
}

#[tokio::test]
async fn what_is_no_http_or_no_json_is_an_error() {
    let server = plain("SSH-2.0-OpenSSH\r\n\r\n").await;
    assert_eq!(
        door_to(&server).send(get(&server)).await,
        Err(OutboundError::Unreachable)
    );
    let server =
        plain("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n<ht>").await;
    let answer = door_to(&server).send(get(&server)).await.unwrap();
    assert_eq!(answer.json(), Err(OutboundError::NotJson));
}

async fn with_tls(name: &str) -> (Server, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![made.cert.der().clone()],
                rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into()),
            )
            .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = serve(OK, move |socket| {
        let acceptor = acceptor.clone();
        async move { acceptor.accept(socket).await.ok() }
    })
    .await;
    (server, made.cert.pem())
}

#[tokio::test]
async fn certificates_are_checked_name_and_all() {
    let dir = tempfile::tempdir().unwrap();
    let (server, pem) = with_tls("localhost").await;
    let (other, other_pem) = with_tls("other.example").await;
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, pem + &other_pem).unwrap();
    let url = |server: &Server| format!("https://localhost:{}/", server.address.port());
    let knowing = door(|config| {
        config.deny_ip_ranges = Some(Vec::new());
        config.extra_ca_files.push(file);
    });
    let not_knowing = door(|config| config.deny_ip_ranges = Some(Vec::new()));
    let careless = door(|config| {
        config.deny_ip_ranges = Some(Vec::new());
        config.verify_tls = false;
    });
    assert!(knowing.send(OutboundRequest::get(&url(&server))).await.is_ok());
    assert_eq!(
        knowing.send(OutboundRequest::get(&url(&other))).await,
        Err(OutboundError::Tls)
    );
    assert_eq!(
        not_knowing.send(OutboundRequest::get(&url(&server))).await,
        Err(OutboundError::Tls)
    );
    assert!(careless.send(OutboundRequest::get(&url(&other))).await.is_ok());
}
