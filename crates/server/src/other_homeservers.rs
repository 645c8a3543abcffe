//! What an identity service asks of homeservers in other processes: over HTTP, found as homeservers find each other.

use futures_util::future::BoxFuture;
use gatehouse_federation::{Federation, FederationError, ReceivedRequest, VerifyError};
use gatehouse_identity::{HomeserverError, Homeservers, SignedRequest};
use ruma::{OwnedServerName, OwnedUserId, ServerName};
use serde_json::Value;

/// Homeservers, each in a process of its own.
pub(crate) struct OtherHomeservers {
    federation: Federation,
    /// The identity service's names, for which requests are signed.
    identity_names: Vec<String>,
}

impl OtherHomeservers {
    pub(crate) fn new(federation: Federation, identity_names: Vec<String>) -> Self {
        Self {
            federation,
            identity_names,
        }
    }
}

impl Homeservers for OtherHomeservers {
    fn openid_user<'a>(
        &'a self,
        server: &'a ServerName,
        token: &'a str,
    ) -> BoxFuture<'a, Result<OwnedUserId, HomeserverError>> {
        Box::pin(async move {
            self.federation
                .openid_user(server, token)
                .await
                .map_err(|error| failure(&error))
        })
    }

    fn onbind<'a>(
        &'a self,
        server: &'a ServerName,
        body: &'a Value,
    ) -> BoxFuture<'a, Result<(), HomeserverError>> {
        Box::pin(async move {
            self.federation
                .onbind(server, body)
                .await
                .map_err(|error| failure(&error))
        })
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
            let names: Vec<&str> = self.identity_names.iter().map(String::as_str).collect();
            let verified = self.federation.verify(received, &names).await;
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
