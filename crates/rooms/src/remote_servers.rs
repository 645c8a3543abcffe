//! The port to other servers. `federation` will implement it; until then nobody can be reached.

use futures_util::future::BoxFuture;
use ruma::{CanonicalJsonObject, OwnedEventId, OwnedServerName, RoomId, ServerName, UserId};
use thiserror::Error;

/// Why another server could not be asked, or did not agree.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RemoteError {
    /// No server that could let the user in can be reached.
    #[error(
        "none of the servers that are in this room can be reached; check the address and try again later"
    )]
    Unreachable,
    /// The server says no, and will say so again.
    #[error("The other server refuses this.")]
    Refused,
}

/// A membership change that needs a server that is in the room.
#[derive(Debug, Clone)]
pub struct RemoteMembership<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// Our user.
    pub user: &'a UserId,
    /// Servers to ask, in this order.
    pub via: &'a [OwnedServerName],
    /// Why, in the user's words.
    pub reason: Option<&'a str>,
}

/// What the rooms engine asks of other servers.
pub trait RemoteServers: Send + Sync + 'static {
    /// Joins a room that this server is not in (`make_join`, `send_join`).
    fn join<'a>(&'a self, request: RemoteMembership<'a>) -> BoxFuture<'a, Result<OwnedEventId, RemoteError>>;

    /// Knocks on a room that this server is not in (`make_knock`, `send_knock`).
    fn knock<'a>(&'a self, request: RemoteMembership<'a>)
    -> BoxFuture<'a, Result<OwnedEventId, RemoteError>>;

    /// Rejects an invite or takes back a knock where this server is not in the room (`make_leave`, `send_leave`).
    fn leave<'a>(&'a self, request: RemoteMembership<'a>)
    -> BoxFuture<'a, Result<OwnedEventId, RemoteError>>;

    /// Hands the inviter's server what one of our users has proven (`exchange_third_party_invite`). Anybody can cause such
    /// a request: at most one is under way for a room (security.md T18).
    fn exchange_third_party_invite<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event: &'a CanonicalJsonObject,
    ) -> BoxFuture<'a, Result<(), RemoteError>>;
}

/// A server that talks to no other.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFederation;

impl RemoteServers for NoFederation {
    fn join<'a>(&'a self, _: RemoteMembership<'a>) -> BoxFuture<'a, Result<OwnedEventId, RemoteError>> {
        Box::pin(std::future::ready(Err(RemoteError::Unreachable)))
    }
    fn knock<'a>(&'a self, _: RemoteMembership<'a>) -> BoxFuture<'a, Result<OwnedEventId, RemoteError>> {
        Box::pin(std::future::ready(Err(RemoteError::Unreachable)))
    }
    fn leave<'a>(&'a self, _: RemoteMembership<'a>) -> BoxFuture<'a, Result<OwnedEventId, RemoteError>> {
        Box::pin(std::future::ready(Err(RemoteError::Unreachable)))
    }
    fn exchange_third_party_invite<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RoomId,
        _: &'a CanonicalJsonObject,
    ) -> BoxFuture<'a, Result<(), RemoteError>> {
        Box::pin(std::future::ready(Err(RemoteError::Unreachable)))
    }
}
