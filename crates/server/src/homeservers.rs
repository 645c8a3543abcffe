//! What the bundled identity service asks of homeservers: of this one by call, of others over federation.

use std::sync::OnceLock;

use futures_util::future::BoxFuture;
use gatehouse_accounts::Accounts;
use gatehouse_events::json::canonical_object;
use gatehouse_federation::{Federation, FederationError, ReceivedRequest, VerifyError};
use gatehouse_identity::{HomeserverError, Homeservers, SignedRequest};
use gatehouse_rooms::{BoundAddress, Rooms, WeakRooms};
use ruma::{OwnedServerName, OwnedUserId, ServerName};
use serde_json::Value;

/// This homeserver and all others.
pub(crate) struct AllHomeservers {
    accounts: Accounts,
    federation: Federation,
    /// The identity service's own name, for which requests are signed.
    identity_name: String,
    /// Made after the identity service, which it asks in turn: so neither keeps the other alive.
    rooms: OnceLock<WeakRooms>,
}

impl AllHomeservers {
    pub(crate) fn new(accounts: Accounts, federation: Federation, identity_name: String) -> Self {
        Self {
            accounts,
            federation,
            identity_name,
            rooms: OnceLock::new(),
        }
    }

    /// From now on invitations for users of this server are delivered.
    pub(crate) fn have(&self, rooms: &Rooms) {
        // Set once, when the server is put together.
        _ = self.rooms.set(rooms.downgrade());
    }

    async fn openid(&self, server: &ServerName, token: &str) -> Result<OwnedUserId, HomeserverError> {
        if server != self.accounts.server_name() {
            return self
                .federation
                .openid_user(server, token)
                .await
                .map_err(|error| failure(&error));
        }
        let user = self.accounts.openid_user(token).await;
        user.map_err(|error| HomeserverError::Later(error.to_string()))?
            .ok_or_else(|| HomeserverError::Never("the token is not known".to_owned()))
    }

    async fn deliver(&self, server: &ServerName, body: &Value) -> Result<(), HomeserverError> {
        if server != self.accounts.server_name() {
            return self
                .federation
                .onbind(server, body)
                .await
                .map_err(|error| failure(&error));
        }
        let rooms = self
            .rooms
            .get()
            .and_then(WeakRooms::upgrade)
            .ok_or_else(|| HomeserverError::Later("the server is starting or stopping".to_owned()))?;
        let bound = body
            .as_object()
            .and_then(|body| canonical_object(body.clone()).ok())
            .and_then(|body| BoundAddress::read(&body))
            .ok_or_else(|| HomeserverError::Never("the invitations cannot be read".to_owned()))?;
        let accepted = rooms.accept_bound(&bound).await;
        // What was refused stays so, and is in the log.
        accepted
            .map(|_| ())
            .map_err(|error| HomeserverError::Later(error.to_string()))
    }
}

impl Homeservers for AllHomeservers {
    fn openid_user<'a>(
        &'a self,
        server: &'a ServerName,
        token: &'a str,
    ) -> BoxFuture<'a, Result<OwnedUserId, HomeserverError>> {
        Box::pin(self.openid(server, token))
    }

    fn onbind<'a>(
        &'a self,
        server: &'a ServerName,
        body: &'a Value,
    ) -> BoxFuture<'a, Result<(), HomeserverError>> {
        Box::pin(self.deliver(server, body))
    }

    fn verify_request<'a>(
        &'a self,
        request: &'a SignedRequest,
    ) -> BoxFuture<'a, Result<OwnedServerName, HomeserverError>> {
        Box::pin(async move {
            let body = request.body.as_ref().map(ToString::to_string);
            let received = ReceivedRequest {
                method: &request.method,
                uri: &request.uri,
                authorization: &request.authorization,
                body: body.as_deref(),
            };
            let verified = self.federation.verify(received, &[&self.identity_name]).await;
            verified.map_err(|error| match error {
                VerifyError::NoKeys => HomeserverError::Later(error.to_string()),
                error => HomeserverError::Never(error.to_string()),
            })
        })
    }
}

fn failure(error: &FederationError) -> HomeserverError {
    if error.is_temporary() {
        HomeserverError::Later(error.to_string())
    } else {
        HomeserverError::Never(error.to_string())
    }
}
