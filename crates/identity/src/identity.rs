//! The engine: what all operations share.

use std::sync::Arc;

use gatehouse_events::Clock;
use gatehouse_mail::Outbox;
use gatehouse_store::{Batch, Commit, CommitError, Direction, Key, Range, Store, Table, Value};
use ruma::ServerName;
use tokio::sync::Notify;

use crate::{Config, Homeservers, Unavailable, lookup_budget::LookupBudget, rates::Limiter};

/// How often an operation reads again after somebody else changed what it had read. More than this many writers of
/// one row at once do not happen in earnest.
pub(crate) const ATTEMPTS: usize = 8;

/// The identity service. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    config: Config,
    clock: Clock,
    outbox: Outbox,
    homeservers: Arc<dyn Homeservers>,
    lookup_budget: LookupBudget,
    limiter: Limiter,
    onbind_added: Notify,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("server_name", &self.inner.config.server_name)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// An engine over this store.
    pub fn new(
        store: Store,
        config: Config,
        clock: Clock,
        outbox: Outbox,
        homeservers: Arc<dyn Homeservers>,
    ) -> Self {
        let lookup_budget = LookupBudget::new(&config.lookup);
        let limiter = Limiter::new(config.rates);
        Self {
            inner: Arc::new(Inner {
                store,
                config,
                clock,
                outbox,
                homeservers,
                lookup_budget,
                limiter,
                onbind_added: Notify::new(),
            }),
        }
    }

    /// The settings it was made with.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The name in its signatures.
    pub fn server_name(&self) -> &ServerName {
        &self.inner.config.server_name
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    pub(crate) fn homeservers(&self) -> &dyn Homeservers {
        &*self.inner.homeservers
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.inner.outbox
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.inner.limiter
    }

    /// Told when something was added to the queue of deliveries to homeservers.
    pub(crate) fn onbind_added(&self) -> &Notify {
        &self.inner.onbind_added
    }

    pub(crate) fn lookup_budget(&self) -> &LookupBudget {
        &self.inner.lookup_budget
    }

    pub(crate) async fn get<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<V>, Unavailable> {
        Ok(self.store().get(table, key).await?)
    }

    pub(crate) async fn scan<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        range: &Range<K>,
        limit: usize,
    ) -> Result<Vec<(K, V)>, Unavailable> {
        Ok(self.store().scan(table, range, Direction::Forward, limit).await?)
    }

    /// Commits; `None` when an expectation failed and the caller should read again.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<Option<Commit>, Unavailable> {
        match self.store().commit(batch).await {
            Ok(commit) => Ok(Some(commit)),
            Err(CommitError::Conflict { .. }) => Ok(None),
            Err(CommitError::Store(source)) => Err(source.into()),
        }
    }
}
