//! A throw-away server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use gatehouse_events::Clock;
use gatehouse_server::{
    Config, Running, Storage,
    config::{ListenerConfig, RateConfig},
    start,
};
use gatehouse_test_postgres::Cluster;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Answer, User};

/// When tests begin: 2026-11-23, in milliseconds since 1970.
const BEGINNING_MS: u64 = 1_795_392_000_000;

/// Secret of `/_synapse/admin/v1/register` on test servers.
pub const SHARED_SECRET: &str = "not a secret";

/// A server in this process.
pub struct TestServer {
    running: Option<Running>,
    config: Config,
    clock: Clock,
    http: reqwest::Client,
    base: String,
    names: AtomicUsize,
    _dir: TempDir,
    _cluster: Option<Arc<Cluster>>,
}

/// A server with the usual test settings: registration and guests open, cheap passwords, no rate limits.
pub async fn started() -> TestServer {
    configured(|_| {}).await
}

/// A server with settings of the test's own over the usual ones.
///
/// # Panics
///
/// When it does not start.
pub async fn configured(change: impl FnOnce(&mut Config)) -> TestServer {
    #[expect(clippy::expect_used, reason = "a test that has no server has failed")]
    TestServer::start(change).await.expect("the test server starts")
}

/// A rate of `[rate_limits]`.
pub fn rate(per_second: f64, burst: u32) -> RateConfig {
    RateConfig { per_second, burst }
}

impl TestServer {
    /// As [`configured`], with the error.
    pub async fn start(change: impl FnOnce(&mut Config)) -> Result<Self> {
        let dir = TempDir::new()?;
        let mut config = Config {
            server_name: "test.example".to_owned(),
            ..Config::default()
        };
        config.data_dir = dir.path().join("data");
        config.listener = vec![ListenerConfig {
            port: 0,
            ..ListenerConfig::default()
        }];
        config.registration.open = Some(true);
        config.registration.guests = true;
        config.registration.cheap_password_hash = true;
        config.registration.shared_secret = Some(SHARED_SECRET.to_owned());
        config.rate_limits.enabled = false;
        let store = std::env::var("GATEHOUSE_TEST_STORE").unwrap_or_else(|_| "embedded".to_owned());
        let cluster = if store == "postgres" {
            let cluster = Cluster::shared()?;
            config.database.url = cluster.database().await?;
            Some(cluster)
        } else {
            None
        };
        change(&mut config);
        let mut server = Self {
            running: None,
            config,
            clock: Clock::manual(BEGINNING_MS),
            http: crate::http::client().timeout(Duration::from_mins(1)).build()?,
            base: String::new(),
            names: AtomicUsize::new(0),
            _dir: dir,
            _cluster: cluster,
        };
        server.run().await?;
        Ok(server)
    }

    async fn run(&mut self) -> Result<()> {
        let running = start(&self.config, Storage::Configured, self.clock.clone()).await?;
        self.base = running
            .urls()
            .into_iter()
            .next()
            .context("the server listens nowhere")?;
        self.running = Some(running);
        Ok(())
    }

    /// Stops the server in good order and starts it again over the same data.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        self.run().await
    }

    /// Stops the server in good order.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// Where it listens, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The clock that it goes by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The client that tests send with.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// A request without a token.
    pub async fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        crate::answer::send(&self.http, &self.base, method, path, None, body).await
    }

    /// A request with this token, which need not be one of the homeserver's.
    pub async fn request_with(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        crate::answer::send(&self.http, &self.base, method, path, Some(token), body).await
    }

    /// A new user of this name and one of their devices. The password is `password of NAME`.
    pub async fn user(&self, name: &str) -> User<'_> {
        let body = json!({
            "username": name,
            "password": format!("password of {name}"),
            "auth": { "type": "m.login.dummy" },
        });
        let answer = self
            .request("POST", "/_matrix/client/v3/register", Some(&body))
            .await
            .ok();
        User::from_login(self, &answer)
    }

    /// A new user of a name that no other has.
    pub async fn anybody(&self) -> User<'_> {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        self.user(&format!("anybody{number}")).await
    }

    /// A guest.
    pub async fn guest(&self) -> User<'_> {
        let answer = self
            .request("POST", "/_matrix/client/v3/register?kind=guest", Some(&json!({})))
            .await
            .ok();
        User::from_login(self, &answer)
    }
}
