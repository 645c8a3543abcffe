//! From a configuration to a running server: store, engines, routers, followers; listeners last.

use std::sync::Arc;

use axum::Router;
use gatehouse_admin_api::AdminApi;
use gatehouse_client_api::{ClientApi, ClientApiConfig, Contact, Support};
use gatehouse_events::Clock;
use gatehouse_federation_api::{AtOnce, FederationApi};
use gatehouse_http::{
    Address, Envelope, HttpContext, Limit, Listener, Metrics, Rate, RateLimitConfig, RateLimits, TlsFiles,
    serve,
};
use gatehouse_identity_api::IdentityApi;
use gatehouse_pages::{Client, PASS_KEY_PURPOSE, Pages, PagesConfig};
use gatehouse_sync::Sync;
use ruma::RoomVersionId;
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    config::{Api, Config, ListenerConfig},
    housekeeping, identity_commands, identity_service, offline,
    open::{Engines, Storage, open_watched},
    running::{Running, Serving},
    start_error::StartError,
};

/// The socket in the data directory by which the program's own commands reach a running server.
pub const ADMIN_SOCKET: &str = "admin.sock";

/// Starts a server. It listens when this returns.
pub async fn start(config: &Config, storage: Storage, clock: Clock) -> Result<Running, StartError> {
    let (engines, store_failure) = open_watched(config, storage, clock).await?;
    let stop = CancellationToken::new();
    let sync = Sync::new(
        engines.store.clone(),
        engines.accounts.clone(),
        engines.rooms.clone(),
        engines.directory.clone(),
    );
    let http = http_context(config, &engines, stop.clone());
    let routers = Routers::new(config, &engines, &sync, &http)?;
    let following = sync.clone();
    let follower = AbortOnDropHandle::new(tokio::spawn(async move { following.follow().await }));
    let mut tasks = JoinSet::new();
    housekeeping::spawn(&mut tasks, &engines, &stop);
    housekeeping::spawn_sending(&mut tasks, &engines, &stop);
    housekeeping::spawn_unbinding(&mut tasks, &engines.identity_client, &stop);
    housekeeping::spawn_outbox(&mut tasks, &engines.outbox, &stop);
    if let Some(identity) = &engines.identity {
        housekeeping::spawn_identity(&mut tasks, identity, &stop);
    }
    if !config.database.url.is_empty() {
        housekeeping::follow_other_nodes(&mut tasks, &engines, &stop);
    }
    let mut addresses = Vec::new();
    for listener in config.listeners() {
        let socket = bind(&listener).await?;
        addresses.push((socket.address().clone(), socket.is_tls()));
        listen(
            &mut tasks,
            socket,
            routers.of(&listener.serve),
            &http.metrics,
            &stop,
        );
    }
    if storage == Storage::Configured {
        let commands =
            offline::router(engines.clone()).merge(identity_commands::router(engines.identity.clone()));
        listen(
            &mut tasks,
            bind_admin(config).await?,
            commands,
            &http.metrics,
            &stop,
        );
    }
    Ok(Running {
        sync,
        follower,
        serving: Serving {
            store: engines.store.clone(),
            store_failure,
            addresses,
            stop,
            tasks,
        },
        engines,
    })
}

/// Serves a router at a socket until the server stops.
pub(crate) fn listen(
    tasks: &mut JoinSet<()>,
    socket: Listener,
    router: Router,
    metrics: &Arc<Metrics>,
    stop: &CancellationToken,
) {
    let envelope = Envelope::new(router, Arc::clone(metrics));
    let stop = stop.clone();
    tasks.spawn(async move { serve(socket, envelope, stop).await });
}

/// The socket for the program's own commands.
pub(crate) async fn bind_admin(config: &Config) -> Result<Listener, StartError> {
    let address = Address::Unix(config.data_dir.join(ADMIN_SOCKET));
    Ok(Listener::bind(&address, None).await?)
}

fn http_context(config: &Config, engines: &Engines, shutdown: CancellationToken) -> HttpContext {
    HttpContext {
        accounts: engines.accounts.clone(),
        rate_limits: Arc::new(rate_limits(config)),
        metrics: Arc::new(Metrics::default()),
        shutdown,
    }
}

/// How often somebody may do what.
pub(crate) fn rate_limits(config: &Config) -> RateLimits {
    let configured = config.rate_limits.by_key();
    let rates = Limit::ALL
        .iter()
        .filter_map(|(limit, key)| configured.get(key).map(|rate| (*limit, rate)))
        .map(|(limit, rate)| {
            (
                limit,
                Rate {
                    per_second: rate.per_second,
                    burst: rate.burst,
                },
            )
        })
        .collect();
    RateLimits::new(RateLimitConfig {
        enabled: config.rate_limits.enabled,
        rates,
    })
}

/// Opens the socket of a listener.
pub(crate) async fn bind(listener: &ListenerConfig) -> Result<Listener, StartError> {
    let address = if let Some(path) = listener.address.strip_prefix("unix:") {
        Address::Unix(path.into())
    } else {
        let ip = listener
            .address
            .parse()
            .map_err(|_| StartError::Address(listener.address.clone()))?;
        Address::Tcp(std::net::SocketAddr::new(ip, listener.port))
    };
    let tls = match (&listener.tls_cert, &listener.tls_key) {
        (Some(cert), Some(key)) => Some(TlsFiles {
            cert: cert.clone(),
            key: key.clone(),
        }),
        (None, None) => None,
        _ => return Err(StartError::HalfTls),
    };
    let socket = Listener::bind(&address, tls.as_ref()).await?;
    Ok(socket.trusting(listener.trusted_proxies.iter().copied()))
}

/// The routers of all APIs, of which each listener takes some.
struct Routers {
    client: Router,
    admin: Router,
    metrics: Router,
    health: Router,
    identity: Option<Router>,
    federation: Option<Router>,
    pages: Router,
}

impl Routers {
    fn new(config: &Config, engines: &Engines, sync: &Sync, http: &HttpContext) -> Result<Self, StartError> {
        let api = ClientApi {
            http: http.clone(),
            accounts: engines.accounts.clone(),
            rooms: engines.rooms.clone(),
            directory: engines.directory.clone(),
            sync: sync.clone(),
            federation: engines.federation.clone(),
            identity_client: engines.identity_client.clone(),
            config: Arc::new(client_config(config)?),
        };
        gatehouse_admin_api::register_federation(&http.metrics, engines.federation.clone());
        gatehouse_admin_api::register_rooms(&http.metrics, engines.rooms.clone());
        let admin = AdminApi {
            http: http.clone(),
            accounts: engines.accounts.clone(),
            federation: engines.federation.clone(),
            rooms: engines.rooms.clone(),
        };
        Ok(Self {
            client: gatehouse_client_api::router(api),
            admin: gatehouse_admin_api::router(admin),
            metrics: gatehouse_admin_api::metrics_router(Arc::clone(&http.metrics)),
            health: gatehouse_admin_api::health_router(engines.store.clone()),
            pages: pages(config, engines, http)?,
            federation: config.federation.enabled.then(|| {
                gatehouse_federation_api::router(FederationApi {
                    http: http.clone(),
                    federation: engines.federation.clone(),
                    inbox: engines.inbox.clone(),
                    rooms: engines.rooms.clone(),
                    directory: engines.directory.clone(),
                    at_once: AtOnce::default(),
                    public_rooms: config.federation.public_rooms,
                })
            }),
            identity: engines.identity.clone().map(|identity| {
                gatehouse_identity_api::router(IdentityApi {
                    identity,
                    rate_limits: Arc::clone(&http.rate_limits),
                    is_legacy_served: config.identity_service.legacy_api,
                })
            }),
        })
    }

    fn of(&self, apis: &[Api]) -> Router {
        let mut router = self.health.clone();
        if apis.contains(&Api::Client) {
            router = router.merge(self.client.clone()).merge(self.pages.clone());
        }
        if let Some(federation) = self
            .federation
            .clone()
            .filter(|_| apis.contains(&Api::Federation))
        {
            router = router.merge(federation);
        }
        if let Some(identity) = self.identity.clone().filter(|_| apis.contains(&Api::Identity)) {
            router = router.merge(identity);
        }
        if apis.contains(&Api::Admin) {
            router = router.merge(self.admin.clone());
        }
        if apis.contains(&Api::Metrics) {
            router = router.merge(self.metrics.clone());
        }
        router
    }
}

/// The pages that mails lead to.
fn pages(config: &Config, engines: &Engines, http: &HttpContext) -> Result<Router, StartError> {
    let clients = config.invitations.clients.iter().map(|client| Client {
        name: client.name.clone(),
        url: client.url.clone(),
    });
    let settings = PagesConfig {
        server_name: engines.accounts.server_name().to_owned(),
        clients: clients.collect(),
        pass_key: engines.key.derive_key(PASS_KEY_PURPOSE),
    };
    let pages = Pages::new(
        http.clone(),
        engines.rooms.clone(),
        engines.clock.clone(),
        settings,
    );
    let pages = pages.map_err(|error| StartError::Pages(error.to_string()))?;
    Ok(pages.router(engines.identity.clone()))
}

fn client_config(config: &Config) -> Result<ClientApiConfig, StartError> {
    let version = |name: &String| {
        RoomVersionId::try_from(name.as_str()).map_err(|_| StartError::RoomVersion(name.clone()))
    };
    Ok(ClientApiConfig {
        public_baseurl: config.baseurl(),
        identity_server: identity_service::told_to_clients(config),
        federation_address: config.public_baseurl.as_deref().and_then(federation_address),
        default_room_version: version(&config.rooms.default_version)?,
        legacy_default_room_version: version(&config.rooms.legacy_default_version)?,
        support: Support {
            contacts: config
                .support
                .contacts
                .iter()
                .map(|contact| Contact {
                    role: contact.role.clone(),
                    matrix_id: contact.matrix_id.clone(),
                    email_address: contact.email_address.clone(),
                })
                .collect(),
            page: config.support.page.clone(),
        },
    })
}

/// Where other servers reach one that is public at this address: at the same place, as all APIs share a listener.
/// `None` without TLS, which servers insist on.
fn federation_address(public_baseurl: &str) -> Option<String> {
    let authority = public_baseurl.strip_prefix("https://")?.split('/').next()?;
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match (authority.is_empty(), has_port) {
        (true, _) => None,
        (false, true) => Some(authority.to_owned()),
        (false, false) => Some(format!("{authority}:443")),
    }
}
