//! HTTP/2, TLS and unix sockets.

use std::sync::Arc;

use gatehouse_server::config::ListenerConfig;
use gatehouse_testkit::{configured, started};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider, pki_types::ServerName},
};

use crate::raw::exchange;

const VERSIONS: &[u8] = b"GET /_matrix/client/versions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn many_requests_share_a_connection_of_http_2() {
    let server = started().await;
    let alice = server.user("alice").await;
    let client = gatehouse_testkit::http::client()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let url = format!("{}/_matrix/client/v3/account/whoami", server.base());
    let ask = || client.get(&url).bearer_auth(&alice.token).send();
    let answers = futures_util::future::join_all((0..200).map(|_| ask())).await;
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!(
            (answer.version(), answer.status().as_u16()),
            (reqwest::Version::HTTP_2, 200)
        );
    }
    let large = client
        .get(&url)
        .header("x", "a".repeat(33_000))
        .send()
        .await
        .unwrap();
    assert_eq!(large.status().as_u16(), 431);
}

#[tokio::test]
async fn a_unix_socket_serves_and_takes_the_place_of_one_left_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gatehouse.sock");
    // As a server leaves it that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let address = format!("unix:{}", path.display());
    let mut server = configured(|config| {
        config.listener = vec![ListenerConfig {
            address: address.clone(),
            ..ListenerConfig::default()
        }];
    })
    .await;
    assert_eq!(server.base(), address);
    let answer = exchange(UnixStream::connect(&path).await.unwrap(), VERSIONS).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    server.stop().await;
    assert!(!path.exists(), "left over");
}

#[tokio::test]
async fn a_listener_with_a_certificate_speaks_tls_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["test.example".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let listener = ListenerConfig {
        port: 0,
        tls_cert: Some(cert),
        tls_key: Some(key),
        ..ListenerConfig::default()
    };
    let server = configured(|config| config.listener = vec![listener]).await;
    let address = server.base().strip_prefix("https://").unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    for (offered, chosen) in [
        (vec![], None),
        (vec![b"http/1.1".to_vec()], Some(&b"http/1.1"[..])),
    ] {
        config.alpn_protocols = offered;
        let connector = TlsConnector::from(Arc::new(config.clone()));
        let name = ServerName::try_from("test.example").unwrap();
        let stream = connector
            .connect(name, TcpStream::connect(address).await.unwrap())
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
        let answer = exchange(stream, VERSIONS).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("test.example").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let plain = exchange(TcpStream::connect(address).await.unwrap(), VERSIONS).await;
    assert!(!plain.body.contains("versions"), "{plain:?}");
}
