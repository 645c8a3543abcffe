//! The handle.

use std::sync::Arc;

use gatehouse_events::Clock;
use gatehouse_rooms::Rooms;
use gatehouse_store::Store;
use ruma::{OwnedServerName, RoomAliasId};
use tokio::sync::Mutex;

use crate::{
    config::Config,
    error::AliasError,
    published_rooms::PublishedRooms,
    remote_directories::{RemoteDirectories, ResolvedAlias},
};

/// Aliases and the published rooms. Cheap to clone.
#[derive(Clone)]
pub struct Directory {
    pub(crate) store: Store,
    pub(crate) rooms: Rooms,
    pub(crate) server_name: OwnedServerName,
    pub(crate) clock: Clock,
    pub(crate) config: Config,
    pub(crate) remote: Arc<dyn RemoteDirectories>,
    pub(crate) published: Arc<Mutex<PublishedRooms>>,
}

impl Directory {
    /// Over these engines, for the server of the rooms engine.
    pub fn new(
        store: Store,
        rooms: Rooms,
        clock: Clock,
        config: Config,
        remote: Arc<dyn RemoteDirectories>,
    ) -> Self {
        Self {
            store,
            server_name: rooms.server_name().to_owned(),
            rooms,
            clock,
            config,
            remote,
            published: Arc::default(),
        }
    }

    /// Where an alias of another server leads. To be asked there, once servers speak to each other.
    pub(crate) async fn resolve_elsewhere(&self, alias: &RoomAliasId) -> Result<ResolvedAlias, AliasError> {
        self.remote.resolve_alias(alias).await.ok_or(AliasError::NotFound)
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}
