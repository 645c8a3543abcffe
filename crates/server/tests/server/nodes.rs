//! Two servers over one database.

use std::{sync::Arc, time::Duration};

use gatehouse_accounts::{DeviceRequest, NewUser};
use gatehouse_events::Clock;
use gatehouse_server::{Config, Running, Storage, config::ListenerConfig, start};
use gatehouse_test_postgres::Cluster;
use tempfile::TempDir;

/// So long a change at one node may take to be known at the other; far longer than it does.
const PATIENCE: Duration = Duration::from_secs(10);

struct Nodes {
    here: Running,
    there: Running,
    _directories: [TempDir; 2],
    _cluster: Arc<Cluster>,
}

impl Nodes {
    async fn start() -> Self {
        let cluster = tokio::task::spawn_blocking(Cluster::shared)
            .await
            .unwrap()
            .unwrap();
        let url = cluster.database().await.unwrap();
        let directories = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let [here, there] = directories.each_ref().map(|directory| {
            let mut config = Config {
                server_name: "test.example".to_owned(),
                ..Config::default()
            };
            config.data_dir = directory.path().join("data");
            config.listener = vec![ListenerConfig {
                port: 0,
                ..ListenerConfig::default()
            }];
            config.registration.cheap_password_hash = true;
            config.database.url.clone_from(&url);
            config
        });
        let clock = Clock::manual(1_795_392_000_000);
        Self {
            here: start(&here, Storage::Configured, clock.clone()).await.unwrap(),
            there: start(&there, Storage::Configured, clock).await.unwrap(),
            _directories: directories,
            _cluster: cluster,
        }
    }
}

#[tokio::test]
async fn a_token_revoked_at_one_node_opens_nothing_at_another() {
    let nodes = Nodes::start().await;
    let (here, there) = (&nodes.here.engines().accounts, &nodes.there.engines().accounts);
    let alice = NewUser {
        username: "alice",
        password: None,
        is_admin: false,
    };
    let registered = here.create_user(&alice, Some(&DeviceRequest::default())).await;
    let login = registered.unwrap().login.unwrap();
    let token = login.access_token.expose();
    let waiting = there.authenticate(token).await.unwrap();
    let session = here.authenticate(token).await.unwrap();
    here.log_out(&session).await.unwrap();
    let told = tokio::time::timeout(PATIENCE, async {
        while there.authenticate(token).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    assert!(told.await.is_ok(), "the other node lets the session go on");
    let ended = tokio::time::timeout(PATIENCE, waiting.ended());
    assert!(
        ended.await.is_ok(),
        "the other node lets those who wait go on waiting"
    );
    nodes.here.stop().await;
    nodes.there.stop().await;
}
