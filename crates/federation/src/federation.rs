//! The handle: what all operations share.

use std::sync::Arc;

use gatehouse_events::{Clock, SigningKey};
use gatehouse_outbound::Outbound;
use gatehouse_store::Store;
use ruma::{OwnedServerName, ServerName};
use tokio::sync::Semaphore;

use crate::{
    config::FederationConfig, discovery::delegations::Discovered, key_ring::KeyRing, received::Counters,
    sending::queues::Sending,
};

/// Requests under way to other servers at once, besides what the queue sends: sockets are not endless, and a slow server
/// holds one for a minute.
const REQUESTS_AT_ONCE: usize = 256;

/// Other homeservers. Cheap to clone.
#[derive(Clone)]
pub struct Federation {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    server_name: OwnedServerName,
    key: Arc<SigningKey>,
    clock: Clock,
    /// `None`: this server talks to no other.
    outbound: Option<Outbound>,
    config: FederationConfig,
    discovered: Discovered,
    keys: KeyRing,
    requests: Arc<Semaphore>,
    sending: Sending,
    received: Counters,
}

impl Federation {
    /// In the name of this server, which signs with this key. Without a door it still signs and knows its own key.
    pub fn new(
        store: Store,
        server_name: OwnedServerName,
        key: Arc<SigningKey>,
        clock: Clock,
        outbound: Option<Outbound>,
        config: FederationConfig,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                server_name,
                key,
                clock,
                outbound,
                config,
                discovered: Discovered::new(),
                keys: KeyRing::new(),
                requests: Arc::new(Semaphore::new(REQUESTS_AT_ONCE)),
                sending: Sending::new(),
                received: Counters::default(),
            }),
        }
    }

    /// Our name.
    pub fn server_name(&self) -> &ServerName {
        &self.inner.server_name
    }

    /// Our key.
    pub fn key(&self) -> &SigningKey {
        &self.inner.key
    }

    /// Whether the operator lets us talk to this server, in either direction.
    pub fn allows(&self, server: &ServerName) -> bool {
        self.inner.config.allows(server)
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn config(&self) -> &FederationConfig {
        &self.inner.config
    }

    pub(crate) fn outbound(&self) -> Option<&Outbound> {
        self.inner.outbound.as_ref()
    }

    pub(crate) fn discovered(&self) -> &Discovered {
        &self.inner.discovered
    }

    pub(crate) fn key_ring(&self) -> &KeyRing {
        &self.inner.keys
    }

    pub(crate) fn sending(&self) -> &Sending {
        &self.inner.sending
    }

    pub(crate) fn received(&self) -> &Counters {
        &self.inner.received
    }

    pub(crate) fn requests(&self) -> &Arc<Semaphore> {
        &self.inner.requests
    }
}

impl std::fmt::Debug for Federation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Federation")
            .field("server_name", &self.inner.server_name)
            .finish_non_exhaustive()
    }
}
