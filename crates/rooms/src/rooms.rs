//! The engine's handle.

use std::sync::{Arc, Weak};

use gatehouse_accounts::Accounts;
use gatehouse_events::{Clock, EventBuilder, RoomVersion, SigningKey};
use gatehouse_store::Store;
use ruma::{OwnedServerName, ServerName, UserId};

use crate::{
    config::Config, end_state_cache::EndStateCache, event_cache::EventCache,
    identity_servers::IdentityServers, joins_under_way::JoinsUnderWay, remote_servers::RemoteServers,
    rooms_being_filled::RoomsBeingFilled, turns::Turns,
};

/// Rooms and everything in them. Cheap to clone.
#[derive(Clone)]
pub struct Rooms {
    pub(crate) store: Store,
    pub(crate) shared: Arc<Shared>,
}

/// What clones share.
pub(crate) struct Shared {
    pub(crate) server_name: OwnedServerName,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) clock: Clock,
    pub(crate) accounts: Accounts,
    pub(crate) remote: Arc<dyn RemoteServers>,
    pub(crate) identity_servers: Arc<dyn IdentityServers>,
    pub(crate) config: Config,
    pub(crate) turns: Turns,
    pub(crate) joins: JoinsUnderWay,
    pub(crate) filling: RoomsBeingFilled,
    pub(crate) events: EventCache,
    pub(crate) end_states: EndStateCache,
}

impl Rooms {
    /// The engine over a store. `key` signs every event that users of this server send.
    pub fn new(
        store: Store,
        accounts: Accounts,
        key: impl Into<Arc<SigningKey>>,
        remote: Arc<dyn RemoteServers>,
        identity_servers: Arc<dyn IdentityServers>,
        config: Config,
        clock: Clock,
    ) -> Self {
        let server_name = accounts.server_name().to_owned();
        let turns = Turns::new(config.cached_rooms);
        let events = EventCache::new(config.event_cache_bytes);
        Self {
            store,
            shared: Arc::new(Shared {
                server_name,
                key: key.into(),
                clock,
                accounts,
                remote,
                identity_servers,
                config,
                turns,
                joins: JoinsUnderWay::default(),
                filling: RoomsBeingFilled::default(),
                events,
                end_states: EndStateCache::new(),
            }),
        }
    }

    /// A handle that does not keep the engine alive, for those whom the engine itself asks.
    pub fn downgrade(&self) -> WeakRooms {
        WeakRooms {
            store: self.store.clone(),
            shared: Arc::downgrade(&self.shared),
        }
    }

    /// This server's name.
    pub fn server_name(&self) -> &ServerName {
        &self.shared.server_name
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Whether the user belongs to this server.
    pub fn is_local(&self, user: &UserId) -> bool {
        user.server_name() == self.server_name()
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        self.shared.clock.now_ms()
    }

    pub(crate) fn builder(&self, version: RoomVersion) -> EventBuilder<'_> {
        EventBuilder {
            version,
            server_name: self.server_name(),
            key: &self.shared.key,
        }
    }
}

/// A [`Rooms`] that may be gone.
#[derive(Clone)]
pub struct WeakRooms {
    store: Store,
    shared: Weak<Shared>,
}

impl WeakRooms {
    /// The engine, unless it is gone.
    pub fn upgrade(&self) -> Option<Rooms> {
        Some(Rooms {
            store: self.store.clone(),
            shared: self.shared.upgrade()?,
        })
    }
}

impl std::fmt::Debug for Rooms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rooms")
            .field("server_name", &self.shared.server_name)
            .finish_non_exhaustive()
    }
}
