//! What the identity service asks of homeservers: a port, which the server fills in. There may be a network behind it,
//! or the homeserver in the same process.

use futures_util::future::BoxFuture;
use ruma::{OwnedServerName, OwnedUserId, ServerName};
use serde_json::Value;
use thiserror::Error;

/// Homeservers, wherever they are.
pub trait Homeservers: Send + Sync {
    /// Whom this server gave the OpenID token to (`GET /_matrix/federation/v1/openid/userinfo`). The caller checks that
    /// it is a user of that server.
    fn openid_user<'a>(
        &'a self,
        server: &'a ServerName,
        token: &'a str,
    ) -> BoxFuture<'a, Result<OwnedUserId, HomeserverError>>;

    /// Tells the server that an address with invitations was bound (`/_matrix/federation/v1/3pid/onbind`).
    fn onbind<'a>(
        &'a self,
        server: &'a ServerName,
        body: &'a Value,
    ) -> BoxFuture<'a, Result<(), HomeserverError>>;

    /// Which server signed the request, by its `X-Matrix` authorisation.
    fn verify_request<'a>(
        &'a self,
        request: &'a SignedRequest,
    ) -> BoxFuture<'a, Result<OwnedServerName, HomeserverError>>;
}

/// A request as its sender signed it.
#[derive(Debug, Clone)]
pub struct SignedRequest {
    /// Such as `POST`.
    pub method: String,
    /// Path and query, as they came.
    pub uri: String,
    /// The values of all `Authorization` headers.
    pub authorization: Vec<String>,
    /// The body, when there is one.
    pub body: Option<Value>,
}

/// Why a homeserver did not do what it was asked. The reasons hold nothing secret and no address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HomeserverError {
    /// It may do it later: it is away, slow, or busy.
    #[error("the homeserver cannot be reached now: {0}")]
    Later(String),
    /// It said no, or what it said is no answer; asking again will not help.
    #[error("the homeserver refused: {0}")]
    Never(String),
}
