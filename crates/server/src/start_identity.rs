//! From a configuration to an identity server without a homeserver.

use std::sync::Arc;

use axum::Router;
use gatehouse_events::Clock;
use gatehouse_http::{Metrics, RateLimits};
use gatehouse_identity_api::IdentityApi;
use gatehouse_pages::{Client, IdentityPages, IdentityPagesConfig};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Api, Config},
    housekeeping, identity_commands,
    open::Storage,
    open_identity::{IdentityEngines, open_identity_watched},
    running::Serving,
    start::{bind, bind_admin, listen, rate_limits},
    start_error::StartError,
};

/// An identity server that listens. Dropping it without [`RunningIdentity::stop`] cuts everything off.
pub struct RunningIdentity {
    engines: IdentityEngines,
    serving: Serving,
}

/// Starts the identity service alone. It listens when this returns.
pub async fn start_identity(
    config: &Config,
    storage: Storage,
    clock: Clock,
) -> Result<RunningIdentity, StartError> {
    let config = &config.clone().for_identity_alone()?;
    let (engines, store_failure) = open_identity_watched(config, storage, clock).await?;
    let stop = CancellationToken::new();
    let metrics = Arc::new(Metrics::default());
    let routers = Routers::new(config, &engines, &metrics)?;
    let mut tasks = JoinSet::new();
    housekeeping::spawn_outbox(&mut tasks, &engines.outbox, &stop);
    housekeeping::spawn_identity(&mut tasks, &engines.identity, &stop);
    let mut addresses = Vec::new();
    for listener in config.listeners() {
        let socket = bind(&listener).await?;
        addresses.push((socket.address().clone(), socket.is_tls()));
        listen(&mut tasks, socket, routers.of(&listener.serve), &metrics, &stop);
    }
    if storage == Storage::Configured {
        let commands =
            identity_commands::router(Some(engines.identity.clone())).merge(identity_commands::no_users());
        listen(&mut tasks, bind_admin(config).await?, commands, &metrics, &stop);
    }
    let serving = Serving {
        store: engines.store.clone(),
        store_failure,
        addresses,
        stop,
        tasks,
    };
    Ok(RunningIdentity { engines, serving })
}

impl RunningIdentity {
    /// Where it listens, as URLs; a unix socket as its address.
    pub fn urls(&self) -> Vec<String> {
        self.serving.urls()
    }

    /// The name in its signatures, which is also what users call it.
    pub fn name(&self) -> &str {
        self.engines.identity.server_name().as_str()
    }

    /// Where it says that it is reached, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.engines.identity.config().base_url
    }

    /// Waits until it cannot go on, and tells why; see [`Running::failed`](crate::Running::failed).
    pub async fn failed(&mut self) -> String {
        self.serving.failed().await
    }

    /// Stops: takes no more connections, finishes what is in flight, and closes the store.
    pub async fn stop(self) {
        self.serving.stop(|| (), async {}, async {}).await;
    }
}

/// The routers of which each listener takes some.
struct Routers {
    identity: Router,
    health: Router,
    metrics: Router,
}

impl Routers {
    fn new(config: &Config, engines: &IdentityEngines, metrics: &Arc<Metrics>) -> Result<Self, StartError> {
        let rate_limits = Arc::new(rate_limits(config));
        let api = IdentityApi {
            identity: engines.identity.clone(),
            rate_limits: Arc::clone(&rate_limits),
            is_legacy_served: config.identity_service.legacy_api,
        };
        let pages = pages(config, engines, rate_limits)?;
        Ok(Self {
            identity: gatehouse_identity_api::router(api).merge(pages),
            health: gatehouse_admin_api::health_router(engines.store.clone()),
            metrics: gatehouse_admin_api::metrics_router(Arc::clone(metrics)),
        })
    }

    fn of(&self, apis: &[Api]) -> Router {
        let mut router = self.health.clone();
        if apis.contains(&Api::Identity) {
            router = router.merge(self.identity.clone());
        }
        if apis.contains(&Api::Metrics) {
            router = router.merge(self.metrics.clone());
        }
        router
    }
}

/// The pages that its mails lead to.
fn pages(
    config: &Config,
    engines: &IdentityEngines,
    rate_limits: Arc<RateLimits>,
) -> Result<Router, StartError> {
    let clients = config.invitations.clients.iter().map(|client| Client {
        name: client.name.clone(),
        url: client.url.clone(),
    });
    let settings = IdentityPagesConfig {
        server_name: config.server_name.clone(),
        clients: clients.collect(),
    };
    let pages = IdentityPages::new(engines.identity.clone(), rate_limits, settings);
    pages
        .map(IdentityPages::router)
        .map_err(|error| StartError::Pages(error.to_string()))
}
