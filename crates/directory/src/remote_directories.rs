//! The port to the directories of other servers, which `federation` implements.

use std::{future::Future, pin::Pin};

use ruma::{OwnedRoomId, OwnedServerName, RoomAliasId, ServerName};

use crate::{PublicRoomsPage, PublicRoomsQuery};

/// Where an alias leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedAlias {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Servers through which it can be joined.
    pub servers: Vec<OwnedServerName>,
}

/// What an asked server answers, some time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What this engine asks of other servers.
pub trait RemoteDirectories: Send + Sync + 'static {
    /// Where an alias of another server leads; `None` when it does not say or cannot be reached.
    fn resolve_alias<'a>(&'a self, alias: &'a RoomAliasId) -> Answer<'a, Option<ResolvedAlias>>;

    /// A page of the rooms that another server publishes; `None` when it shows none or cannot be reached.
    fn public_rooms<'a>(
        &'a self,
        server: &'a ServerName,
        query: &'a PublicRoomsQuery,
    ) -> Answer<'a, Option<PublicRoomsPage>>;
}

/// A server that asks no other.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRemoteDirectories;

impl RemoteDirectories for NoRemoteDirectories {
    fn resolve_alias<'a>(&'a self, _: &'a RoomAliasId) -> Answer<'a, Option<ResolvedAlias>> {
        Box::pin(std::future::ready(None))
    }

    fn public_rooms<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a PublicRoomsQuery,
    ) -> Answer<'a, Option<PublicRoomsPage>> {
        Box::pin(std::future::ready(None))
    }
}
