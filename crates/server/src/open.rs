//! The store that the configuration names, and the engines over it.

use std::{
    future::{Future, pending},
    pin::Pin,
    sync::Arc,
};

use gatehouse_accounts::{Accounts, Secret};
use gatehouse_directory::{Directory, NoRemoteDirectories, RemoteDirectories};
use gatehouse_events::{Clock, RoomVersion, SigningKey};
use gatehouse_federation::{Federation, Inbox};
use gatehouse_identity::Identity;
use gatehouse_identity_client::{IdentityClient, Parts, Trust};
use gatehouse_mail::Outbox;
use gatehouse_rooms::{NoFederation, RemoteServers, Rooms};
use gatehouse_store::{Store, memory::MemoryBackend};
use gatehouse_store_embedded::{EmbeddedBackend, EmbeddedConfig};
use gatehouse_store_postgres::{PostgresBackend, PostgresConfig};
use ruma::OwnedServerName;
use tokio::task::spawn_blocking;

use crate::{
    config::Config, homeservers::AllHomeservers, identity, identity_servers::AskedByRooms, identity_service,
    outside, recaptcha, signing_key_file, start_error::StartError,
};

/// Ends when the store has failed for good, with the reason.
pub(crate) type StoreFailure = Pin<Box<dyn Future<Output = String> + Send>>;

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
    /// Mail and text messages that wait.
    pub(crate) outbox: Outbox,
    /// Other homeservers.
    pub(crate) federation: Federation,
    /// What they send.
    pub(crate) inbox: Inbox,
    /// The bundled identity service, if it runs.
    pub identity: Option<Identity>,
    /// What is asked of identity servers.
    pub(crate) identity_client: IdentityClient,
    /// The server's signing key.
    pub(crate) key: Arc<SigningKey>,
    /// What time it is.
    pub(crate) clock: Clock,
}

/// The bundled identity service, and the homeservers that it asks.
struct Identities {
    engine: Option<Identity>,
    homeservers: Arc<AllHomeservers>,
}

impl Identities {
    fn new(
        config: &Config,
        store: &Store,
        clock: &Clock,
        outbox: &Outbox,
        accounts: &Accounts,
        federation: &Federation,
        key: &SigningKey,
    ) -> Result<Self, StartError> {
        let settings = identity_service::settings(config, key)?;
        let homeservers = Arc::new(AllHomeservers::new(
            accounts.clone(),
            federation.clone(),
            identity_service::signed_for(&settings),
        ));
        let engine = config.identity_service.enabled.then(|| {
            let asked = Arc::clone(&homeservers) as Arc<dyn gatehouse_identity::Homeservers>;
            Identity::new(store.clone(), settings, clock.clone(), outbox.clone(), asked)
        });
        Ok(Self { engine, homeservers })
    }
}

/// Opens the store and the engines over it, without listening.
pub async fn open(config: &Config, storage: Storage, clock: Clock) -> Result<Engines, StartError> {
    open_watched(config, storage, clock)
        .await
        .map(|(engines, _)| engines)
}

/// As [`open`], with what tells that the store has failed.
pub(crate) async fn open_watched(
    config: &Config,
    storage: Storage,
    clock: Clock,
) -> Result<(Engines, StoreFailure), StartError> {
    let ground = Ground::open(config, storage).await?;
    let engines = engines(
        config,
        ground.server_name,
        ground.store,
        Arc::new(ground.key),
        clock,
    )?;
    Ok((engines, ground.store_failure))
}

/// What every server stands on: its name, its key, its store.
pub(crate) struct Ground {
    pub(crate) server_name: OwnedServerName,
    pub(crate) key: SigningKey,
    pub(crate) store: Store,
    pub(crate) store_failure: StoreFailure,
}

impl Ground {
    /// Refuses data that was made under another name.
    pub(crate) async fn open(config: &Config, storage: Storage) -> Result<Self, StartError> {
        let server_name = OwnedServerName::try_from(config.server_name.as_str())
            .map_err(|_| StartError::ServerName(config.server_name.clone()))?;
        let key = match storage {
            Storage::Configured => {
                make_data_dir(config)?;
                signing_key_file::load_or_create(&config.signing_key_path())?
            }
            Storage::Memory => SigningKey::generate().map_err(StartError::Key)?,
        };
        let (store, store_failure) = open_store(config, storage).await?;
        identity::check(&store, &config.server_name).await?;
        Ok(Self {
            server_name,
            key,
            store,
            store_failure,
        })
    }
}

/// The engines over the store, each with those that it asks.
fn engines(
    config: &Config,
    server_name: OwnedServerName,
    store: Store,
    key: Arc<SigningKey>,
    clock: Clock,
) -> Result<Engines, StartError> {
    let trust = Trust::new(&config.identity_servers.trusted, identity_service::names(config));
    let outbound = outside::outbound(config, &trust)?;
    let outbox = outside::outbox(config, &store, &clock)?;
    let accounts = accounts(config, server_name.clone(), &store, &clock, &outbox)?;
    let federation = Federation::new(
        store.clone(),
        server_name,
        Arc::clone(&key),
        clock.clone(),
        outside::federation_outbound(config)?,
        outside::federation_config(config)?,
    );
    let identities = Identities::new(config, &store, &clock, &outbox, &accounts, &federation, &key)?;
    let identity_client = IdentityClient::new(
        Parts {
            store: store.clone(),
            accounts: accounts.clone(),
            outbound,
            federation: federation.clone(),
            trust,
            bundled: identities.engine.clone(),
            bundled_baseurl: identity_service::base_url(config),
        },
        &key,
    )
    .ok_or(StartError::Seal)?;
    let rooms = Rooms::new(
        store.clone(),
        accounts.clone(),
        Arc::clone(&key),
        remote_servers(config, &federation),
        Arc::new(AskedByRooms(identity_client.clone())),
        rooms_config(config)?,
        clock.clone(),
    );
    identities.homeservers.have(&rooms);
    let directory = directory(config, (&store, &clock), &rooms, &federation);
    Ok(Engines {
        inbox: Inbox::new(&federation, rooms.clone()),
        store,
        accounts,
        rooms,
        directory,
        outbox,
        federation,
        identity: identities.engine,
        identity_client,
        key,
        clock,
    })
}

fn directory(
    config: &Config,
    (store, clock): (&Store, &Clock),
    rooms: &Rooms,
    federation: &Federation,
) -> Directory {
    let settings = gatehouse_directory::Config {
        public_without_auth: config.room_directory.public_without_auth,
        anyone_may_publish: config.room_directory.anyone_may_publish,
    };
    let remote = remote_directories(config, federation);
    Directory::new(store.clone(), rooms.clone(), clock.clone(), settings, remote)
}

/// Other servers, as rooms ask them.
fn remote_servers(config: &Config, federation: &Federation) -> Arc<dyn RemoteServers> {
    if config.federation.enabled {
        Arc::new(federation.clone())
    } else {
        Arc::new(NoFederation)
    }
}

/// The directories of other servers.
fn remote_directories(config: &Config, federation: &Federation) -> Arc<dyn RemoteDirectories> {
    if config.federation.enabled {
        Arc::new(federation.clone())
    } else {
        Arc::new(NoRemoteDirectories)
    }
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

async fn open_store(config: &Config, storage: Storage) -> Result<(Store, StoreFailure), StartError> {
    if storage == Storage::Memory {
        return Ok((Store::new(Arc::new(MemoryBackend::new())), Box::pin(pending())));
    }
    if config.database.url.is_empty() {
        return open_embedded(config).await;
    }
    let postgres = PostgresConfig {
        pool_size: config.database.pool_size,
    };
    let backend = PostgresBackend::connect(&config.database.url, &postgres).await?;
    // It never fails for good: it connects again, and refuses what is asked of it until then.
    Ok((Store::new(Arc::new(backend)), Box::pin(pending())))
}

/// Reading the journal takes its time and a thread, so that the task stays able to hear a signal meanwhile.
async fn open_embedded(config: &Config) -> Result<(Store, StoreFailure), StartError> {
    let path = config.data_dir.join("store");
    let embedded = EmbeddedConfig {
        cache_bytes: config.database.cache_mib << 20,
        ..EmbeddedConfig::default()
    };
    let opening = spawn_blocking(move || EmbeddedBackend::open(path, &embedded));
    let backend = opening.await.map_err(|_| StartError::Crashed)??;
    let failure = backend.failure();
    Ok((Store::new(Arc::new(backend)), Box::pin(failure)))
}

fn accounts(
    config: &Config,
    server_name: OwnedServerName,
    store: &Store,
    clock: &Clock,
    outbox: &Outbox,
) -> Result<Accounts, StartError> {
    let settings = accounts_config(config, server_name);
    let accounts = Accounts::sending(store.clone(), settings, clock.clone(), outbox.clone());
    Ok(match recaptcha::captcha(config)? {
        Some(captcha) => accounts.with_captcha(captcha),
        None => accounts,
    })
}

fn accounts_config(config: &Config, server_name: OwnedServerName) -> gatehouse_accounts::Config {
    let mut accounts = gatehouse_accounts::Config::new(server_name);
    let registration = &config.registration;
    accounts.registration = gatehouse_accounts::Registration {
        open: registration.open.unwrap_or(false),
        guests: registration.guests,
        token_required: registration.token_required,
        email_required: registration.email_required,
        invited_addresses: registration.invited_addresses,
        shared_secret: registration.shared_secret.as_deref().map(Secret::new),
        cheap_password_hash: registration.cheap_password_hash,
    };
    accounts.public_baseurl = config.baseurl();
    accounts
        .next_link_hosts
        .clone_from(&config.identity_service.next_link_hosts);
    accounts.hide_known_addresses = registration.hide_known_addresses;
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
