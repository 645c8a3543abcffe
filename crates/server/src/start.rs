//! From a configuration to a running server: store, engines, routers, followers; listeners last.

use std::{sync::Arc, time::Duration};

use axum::Router;
use gatehouse_accounts::{Accounts, Secret};
use gatehouse_admin_api::AdminApi;
use gatehouse_client_api::{ClientApi, ClientApiConfig, Contact, Support};
use gatehouse_directory::{Directory, NoRemoteDirectories};
use gatehouse_events::{Clock, RoomVersion};
use gatehouse_http::{
    Address, HttpContext, Limit, Listener, Metrics, Rate, RateLimitConfig, RateLimits, Service, TlsFiles,
    serve,
};
use gatehouse_rooms::{NoFederation, Rooms};
use gatehouse_store::{Store, memory::MemoryBackend};
use gatehouse_store_embedded::{EmbeddedBackend, EmbeddedConfig};
use gatehouse_store_postgres::{PostgresBackend, PostgresConfig};
use gatehouse_sync::Sync;
use ruma::{OwnedServerName, RoomVersionId};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Api, Config, ListenerConfig},
    housekeeping, identity, offline,
    running::Running,
    signing_key_file,
    start_error::StartError,
};

/// The socket in the data directory by which the program's own commands reach a running server.
pub const ADMIN_SOCKET: &str = "admin.sock";

/// Where a server keeps what it stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// As the configuration says.
    Configured,
    /// In memory: for tests.
    Memory,
}

/// The engines of a server.
#[derive(Clone)]
pub struct Engines {
    /// The store below them.
    pub store: Store,
    /// Users and their sessions.
    pub accounts: Accounts,
    /// Rooms.
    pub rooms: Rooms,
    /// Aliases and published rooms.
    pub directory: Directory,
}

/// Starts a server. It listens when this returns.
pub async fn start(config: &Config, storage: Storage, clock: Clock) -> Result<Running, StartError> {
    let engines = open(config, storage, clock).await?;
    let stop = CancellationToken::new();
    let sync = Sync::new(
        engines.store.clone(),
        engines.accounts.clone(),
        engines.rooms.clone(),
        engines.directory.clone(),
    );
    let http = http_context(config, &engines, stop.clone());
    let routers = Routers::new(config, &engines, &sync, &http)?;
    let mut tasks = JoinSet::new();
    let following = sync.clone();
    tasks.spawn(async move { following.follow().await });
    housekeeping::spawn(&mut tasks, &engines, &stop);
    let mut addresses = Vec::new();
    for listener in config.listeners() {
        let socket = bind(&listener).await?;
        addresses.push((socket.address().clone(), socket.is_tls()));
        let service = Service::new(routers.of(&listener.serve), Arc::clone(&http.metrics));
        let stop = stop.clone();
        tasks.spawn(async move { serve(socket, service, stop).await.unwrap_or_default() });
    }
    if storage == Storage::Configured {
        let socket = Listener::bind(&Address::Unix(config.data_dir.join(ADMIN_SOCKET)), None).await?;
        let service = Service::new(offline::router(engines.clone()), Arc::clone(&http.metrics));
        let stop = stop.clone();
        tasks.spawn(async move { serve(socket, service, stop).await.unwrap_or_default() });
    }
    Ok(Running::new(engines, sync, addresses, stop, tasks))
}

/// Opens the store and the engines over it, without listening.
pub async fn open(config: &Config, storage: Storage, clock: Clock) -> Result<Engines, StartError> {
    let server_name = OwnedServerName::try_from(config.server_name.as_str())
        .map_err(|_| StartError::ServerName(config.server_name.clone()))?;
    if storage == Storage::Configured {
        make_data_dir(config)?;
    }
    let key = match storage {
        Storage::Configured => signing_key_file::load_or_create(&config.signing_key_path())?,
        Storage::Memory => gatehouse_events::SigningKey::generate().map_err(StartError::Key)?,
    };
    let store = open_store(config, storage).await?;
    identity::check(&store, &config.server_name).await?;
    let accounts = Accounts::new(store.clone(), accounts_config(config, server_name), clock.clone());
    let rooms = Rooms::new(
        store.clone(),
        accounts.clone(),
        key,
        Arc::new(NoFederation),
        rooms_config(config)?,
        clock.clone(),
    );
    let directory_config = gatehouse_directory::Config {
        public_without_auth: config.room_directory.public_without_auth,
        anyone_may_publish: config.room_directory.anyone_may_publish,
    };
    let directory = Directory::new(
        store.clone(),
        rooms.clone(),
        clock,
        directory_config,
        Arc::new(NoRemoteDirectories),
    );
    Ok(Engines {
        store,
        accounts,
        rooms,
        directory,
    })
}

fn make_data_dir(config: &Config) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data_dir)
        .map_err(|source| StartError::DataDir {
            path: config.data_dir.clone(),
            source,
        })
}

async fn open_store(config: &Config, storage: Storage) -> Result<Store, StartError> {
    if storage == Storage::Memory {
        return Ok(Store::new(Arc::new(MemoryBackend::new())));
    }
    if config.database.url.is_empty() {
        let embedded = EmbeddedConfig {
            cache_bytes: config.database.cache_mib << 20,
            ..EmbeddedConfig::default()
        };
        let backend = EmbeddedBackend::open(config.data_dir.join("store"), &embedded)?;
        return Ok(Store::new(Arc::new(backend)));
    }
    let postgres = PostgresConfig {
        pool_size: config.database.pool_size,
    };
    let backend = PostgresBackend::connect(&config.database.url, &postgres).await?;
    Ok(Store::new(Arc::new(backend)))
}

fn accounts_config(config: &Config, server_name: OwnedServerName) -> gatehouse_accounts::Config {
    let mut accounts = gatehouse_accounts::Config::new(server_name);
    let registration = &config.registration;
    accounts.registration = gatehouse_accounts::Registration {
        open: registration.open.unwrap_or(false),
        guests: registration.guests,
        token_required: registration.token_required,
        shared_secret: registration.shared_secret.as_deref().map(Secret::new),
        cheap_password_hash: registration.cheap_password_hash,
    };
    accounts
}

fn rooms_config(config: &Config) -> Result<gatehouse_rooms::Config, StartError> {
    let version = |name: &String| {
        name.parse::<RoomVersion>()
            .map_err(|_| StartError::RoomVersion(name.clone()))
    };
    Ok(gatehouse_rooms::Config {
        default_version: version(&config.rooms.default_version)?,
        legacy_default_version: version(&config.rooms.legacy_default_version)?,
        cached_rooms: config.rooms.cached_rooms,
        event_cache_bytes: config.rooms.event_cache_mib << 20,
    })
}

fn http_context(config: &Config, engines: &Engines, shutdown: CancellationToken) -> HttpContext {
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
    let proxies = config
        .listeners()
        .into_iter()
        .flat_map(|listener| listener.trusted_proxies);
    HttpContext {
        accounts: engines.accounts.clone(),
        rate_limits: Arc::new(RateLimits::new(RateLimitConfig {
            enabled: config.rate_limits.enabled,
            rates,
        })),
        trusted_proxies: proxies.collect(),
        metrics: Arc::new(Metrics::default()),
        shutdown,
    }
}

async fn bind(listener: &ListenerConfig) -> Result<Listener, StartError> {
    let address = match listener.address.strip_prefix("unix:") {
        Some(path) => Address::Unix(path.into()),
        None => {
            let ip = listener
                .address
                .parse()
                .map_err(|_| StartError::Address(listener.address.clone()))?;
            Address::Tcp(std::net::SocketAddr::new(ip, listener.port))
        }
    };
    let tls = match (&listener.tls_cert, &listener.tls_key) {
        (Some(cert), Some(key)) => Some(TlsFiles {
            cert: cert.clone(),
            key: key.clone(),
        }),
        (None, None) => None,
        _ => return Err(StartError::HalfTls),
    };
    Ok(Listener::bind(&address, tls.as_ref()).await?)
}

/// The routers of all APIs, of which each listener takes some.
struct Routers {
    client: Router,
    admin: Router,
    metrics: Router,
    health: Router,
}

impl Routers {
    fn new(config: &Config, engines: &Engines, sync: &Sync, http: &HttpContext) -> Result<Self, StartError> {
        let api = ClientApi {
            http: http.clone(),
            accounts: engines.accounts.clone(),
            rooms: engines.rooms.clone(),
            directory: engines.directory.clone(),
            sync: sync.clone(),
            config: Arc::new(client_config(config)?),
        };
        let admin = AdminApi {
            http: http.clone(),
            accounts: engines.accounts.clone(),
            rooms: engines.rooms.clone(),
        };
        Ok(Self {
            client: gatehouse_client_api::router(api),
            admin: gatehouse_admin_api::router(admin),
            metrics: gatehouse_admin_api::metrics_router(Arc::clone(&http.metrics)),
            health: gatehouse_admin_api::health_router(engines.store.clone()),
        })
    }

    fn of(&self, apis: &[Api]) -> Router {
        let mut router = self.health.clone();
        if apis.contains(&Api::Client) {
            router = router.merge(self.client.clone());
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

fn client_config(config: &Config) -> Result<ClientApiConfig, StartError> {
    let version = |name: &String| {
        RoomVersionId::try_from(name.as_str()).map_err(|_| StartError::RoomVersion(name.clone()))
    };
    Ok(ClientApiConfig {
        public_baseurl: config.public_baseurl.clone().unwrap_or_else(|| baseurl(config)),
        federation_address: None,
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

/// Where clients reach the first listener.
fn baseurl(config: &Config) -> String {
    let listener = config.listeners().into_iter().next().unwrap_or_default();
    let scheme = if listener.tls_cert.is_some() {
        "https"
    } else {
        "http"
    };
    format!("{scheme}://{}:{}/", listener.address, listener.port)
}

/// How long a server takes to stop at most.
pub const STOP_TIME: Duration = Duration::from_secs(10);
