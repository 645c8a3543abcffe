//! The handle: what all operations share.

use std::sync::Arc;

use gatehouse_accounts::Accounts;
use gatehouse_events::SigningKey;
use gatehouse_federation::Federation;
use gatehouse_identity::Identity;
use gatehouse_outbound::Outbound;
use gatehouse_store::{Batch, CommitError, Store, StoreError};

use crate::{
    error::IdentityClientError,
    sealed::Seal,
    trust::{IdentityServer, Trust},
};

/// What the client is made of.
#[derive(Debug)]
pub struct Parts {
    /// Where tokens are kept.
    pub store: Store,
    /// The users on whose behalf identity servers are asked.
    pub accounts: Accounts,
    /// The door.
    pub outbound: Outbound,
    /// Signs what the server asks in its own name.
    pub federation: Federation,
    /// Which servers may be named.
    pub trust: Trust,
    /// The one in this process, if it runs.
    pub bundled: Option<Identity>,
    /// Its keys are checked in process too: URLs that begin so are its own.
    pub bundled_baseurl: String,
}

/// What the homeserver asks of identity servers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct IdentityClient {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    parts: Parts,
    seal: Seal,
}

impl IdentityClient {
    /// A client that keeps tokens encrypted under a key derived from the signing key. `None` cannot be: see [`Seal`].
    pub fn new(parts: Parts, key: &SigningKey) -> Option<Self> {
        let seal = Seal::new(key)?;
        Some(Self {
            inner: Arc::new(Inner { parts, seal }),
        })
    }

    /// The server that a client means.
    pub(crate) fn server(&self, id_server: &str) -> Result<IdentityServer, IdentityClientError> {
        match self.inner.parts.trust.server(id_server) {
            Some(IdentityServer::Bundled) if self.inner.parts.bundled.is_none() => None,
            server => server,
        }
        .ok_or_else(|| IdentityClientError::NotTrusted(id_server.chars().take(MAX_SHOWN).collect()))
    }

    /// As [`Self::server`], where its word on who owns an address is taken.
    pub(crate) fn server_with_a_word(&self, id_server: &str) -> Result<IdentityServer, IdentityClientError> {
        if self.inner.parts.trust.is_named(id_server) {
            return self.server(id_server);
        }
        Err(IdentityClientError::NotTrusted(
            id_server.chars().take(MAX_SHOWN).collect(),
        ))
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.inner.parts.trust
    }

    pub(crate) fn bundled(&self) -> Option<&Identity> {
        self.inner.parts.bundled.as_ref()
    }

    pub(crate) fn bundled_baseurl(&self) -> &str {
        &self.inner.parts.bundled_baseurl
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.inner.parts.accounts
    }

    pub(crate) fn outbound(&self) -> &Outbound {
        &self.inner.parts.outbound
    }

    pub(crate) fn federation(&self) -> &Federation {
        &self.inner.parts.federation
    }

    pub(crate) fn seal(&self) -> &Seal {
        &self.inner.seal
    }

    pub(crate) async fn commit(&self, batch: Batch) -> Result<(), IdentityClientError> {
        match self.store().commit(batch).await {
            Ok(_) => Ok(()),
            Err(CommitError::Store(source)) => Err(source.into()),
            Err(CommitError::Conflict { .. }) => {
                Err(StoreError::Unavailable("somebody else changes the same; try again".to_owned()).into())
            }
        }
    }
}

/// How much of a name that nobody trusts is repeated.
const MAX_SHOWN: usize = 255;
