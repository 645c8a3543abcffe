//! Two identity servers without a homeserver, over one database.

use gatehouse_events::Clock;
use gatehouse_server::{
    Config, RunningIdentity, Storage, config::ListenerConfig, identity_commands::IdentityCommand,
    identity_commands::run_identity, open_identity, start_identity,
};
use gatehouse_test_postgres::Cluster;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What the server answers to a GET, head and all.
async fn get(server: &RunningIdentity, path: &str) -> String {
    let url = server.urls().into_iter().next().unwrap();
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The key of this name that the server gives out.
async fn key(server: &RunningIdentity, id: &str) -> Option<String> {
    let answer = get(server, &format!("/_matrix/identity/v2/pubkey/{id}")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

#[tokio::test]
async fn identity_servers_over_one_database_have_the_same_keys_whichever_makes_them() {
    let cluster = tokio::task::spawn_blocking(Cluster::shared)
        .await
        .unwrap()
        .unwrap();
    let url = cluster.database().await.unwrap();
    let directory = TempDir::new().unwrap();
    let config = |name: &str| {
        let mut config = Config {
            server_name: "test.example".to_owned(),
            data_dir: directory.path().join(name),
            signing_key_file: Some(directory.path().join("signing.key")),
            ..Config::default()
        };
        config.listener = vec![ListenerConfig {
            port: 0,
            ..ListenerConfig::default()
        }];
        config.database.url.clone_from(&url);
        config
    };
    let start = async |name| {
        start_identity(&config(name), Storage::Configured, Clock::system())
            .await
            .unwrap()
    };
    let (here, there) = (start("here").await, start("there").await);
    let first = key(&here, "ed25519:0").await;
    assert!(first.is_some());
    assert_eq!(key(&there, "ed25519:0").await, first);
    assert_eq!(key(&there, "ed25519:1").await, None);
    // As the commands do it beside running servers.
    let beside = open_identity(&config("beside"), Storage::Configured, Clock::system())
        .await
        .unwrap();
    run_identity(&beside.identity, IdentityCommand::RotateKey)
        .await
        .unwrap();
    let revoked = IdentityCommand::RevokeKey {
        key_id: "ed25519:0".to_owned(),
    };
    run_identity(&beside.identity, revoked).await.unwrap();
    beside.store.close().await.unwrap();
    for server in [&here, &there] {
        assert_eq!(key(server, "ed25519:0").await, None);
        assert!(key(server, "ed25519:1").await.is_some());
    }
    here.stop().await;
    there.stop().await;
}
