//! The handle: what all operations share.

use std::sync::Arc;

use gatehouse_events::{Clock, SigningKey};
use gatehouse_outbound::Outbound;
use ruma::{OwnedServerName, ServerName};

use crate::{discovery::Discovered, server_keys::KeyRing};

/// Other homeservers. Cheap to clone.
#[derive(Clone)]
pub struct Federation {
    inner: Arc<Inner>,
}

struct Inner {
    server_name: OwnedServerName,
    key: Arc<SigningKey>,
    clock: Clock,
    /// `None`: this server talks to no other.
    outbound: Option<Outbound>,
    discovered: Discovered,
    keys: KeyRing,
}

impl Federation {
    /// In the name of this server, which signs with this key. Without a door it still signs and knows its own key.
    pub fn new(
        server_name: OwnedServerName,
        key: Arc<SigningKey>,
        clock: Clock,
        outbound: Option<Outbound>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                server_name,
                key,
                clock,
                outbound,
                discovered: Discovered::new(),
                keys: KeyRing::new(),
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

    pub(crate) fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    pub(crate) fn outbound(&self) -> Option<&Outbound> {
        self.inner.outbound.as_ref()
    }

    pub(crate) fn discovered(&self) -> &Discovered {
        &self.inner.discovered
    }

    pub(crate) fn keys(&self) -> &KeyRing {
        &self.inner.keys
    }
}

impl std::fmt::Debug for Federation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Federation")
            .field("server_name", &self.inner.server_name)
            .finish_non_exhaustive()
    }
}
