//! The engine: what all operations share.

use std::sync::Arc;

use gatehouse_events::Clock;
use gatehouse_mail::{Medium, Outbox};
use gatehouse_store::{Batch, Commit, CommitError, Direction, Key, Range, Store, StoreError, Table, Value};
use ruma::{OwnedUserId, ServerName, UserId};

use crate::{
    Captcha, Config, Unavailable, access_token::Digest, password_hash::Hasher, seen_devices::LastSeen,
    session_cache::SessionCache, spent_nonces::SpentNonces, user_turns::UserTurns,
};

/// How often an operation reads again after somebody else changed what it had read. More than this many writers of
/// one user's row at once do not happen in earnest.
pub(crate) const ATTEMPTS: usize = 8;

/// Users, devices, passwords, tokens, profiles and account data. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
    captcha: Option<Captcha>,
}

struct Inner {
    store: Store,
    config: Config,
    clock: Clock,
    outbox: Option<Outbox>,
    hasher: Hasher,
    sessions: SessionCache,
    last_seen: LastSeen,
    turns: UserTurns,
    nonces: SpentNonces,
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts")
            .field("server_name", &self.inner.config.server_name)
            .finish_non_exhaustive()
    }
}

impl Accounts {
    /// An engine over this store that can send nothing to anybody.
    pub fn new(store: Store, config: Config, clock: Clock) -> Self {
        Self::made(store, config, clock, None)
    }

    /// An engine over this store that sends what proves addresses. The outbox must be over the same store.
    pub fn sending(store: Store, config: Config, clock: Clock, outbox: Outbox) -> Self {
        Self::made(store, config, clock, Some(outbox))
    }

    fn made(store: Store, config: Config, clock: Clock, outbox: Option<Outbox>) -> Self {
        let hasher = Hasher::new(config.registration.cheap_password_hash, config.hashing_threads);
        Self {
            inner: Arc::new(Inner {
                store,
                config,
                clock,
                outbox,
                hasher,
                sessions: SessionCache::new(),
                last_seen: LastSeen::default(),
                turns: UserTurns::default(),
                nonces: SpentNonces::default(),
            }),
            captcha: None,
        }
    }

    /// The same, with a captcha for those who register.
    #[must_use]
    pub fn with_captcha(mut self, captcha: Captcha) -> Self {
        self.captcha = Some(captcha);
        self
    }

    /// The settings it was made with.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The name in the ids of this server's users.
    pub fn server_name(&self) -> &ServerName {
        &self.inner.config.server_name
    }

    /// Whether this server is the one that the user id names.
    pub fn is_local(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.server_name()
    }

    /// Whether addresses of this medium can be proven here.
    pub fn can_validate(&self, medium: Medium) -> bool {
        self.outbox().is_some_and(|outbox| outbox.can_send(medium))
    }

    pub(crate) fn outbox(&self) -> Option<&Outbox> {
        self.inner.outbox.as_ref()
    }

    pub(crate) fn captcha(&self) -> Option<&Captcha> {
        self.captcha.as_ref()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    pub(crate) fn hasher(&self) -> &Hasher {
        &self.inner.hasher
    }

    pub(crate) fn sessions(&self) -> &SessionCache {
        &self.inner.sessions
    }

    pub(crate) fn last_seen(&self) -> &LastSeen {
        &self.inner.last_seen
    }

    pub(crate) fn turns(&self) -> &UserTurns {
        &self.inner.turns
    }

    pub(crate) fn nonces(&self) -> &SpentNonces {
        &self.inner.nonces
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
        unless_conflict(self.store().commit(batch).await)
    }

    /// As [`Self::commit`], of what revokes these tokens; `changed`: a user whose other sessions are to be read again.
    /// In a task of its own: whoever asked may go away, and what was revoked must not live on in memory.
    pub(crate) async fn commit_revocation(
        &self,
        batch: Batch,
        revoked: Vec<Digest>,
        changed: Option<&UserId>,
    ) -> Result<Option<Commit>, Unavailable> {
        let durable = self.store().commit(batch);
        let (accounts, changed) = (self.clone(), changed.map(ToOwned::to_owned));
        let settled = tokio::spawn(async move {
            let outcome = unless_conflict(durable.await);
            if matches!(outcome, Ok(Some(_))) {
                accounts.sessions().forget(&revoked);
                if let Some(user_id) = changed {
                    accounts.sessions().forget_user(&user_id);
                    accounts.clear_after(&user_id).await;
                }
            }
            outcome
        });
        settled.await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable("the server is stopping; try again".to_owned()).into())
        })
    }

    /// Clears away what belonged to logins that have ended. It is void already, so that failing does no harm.
    pub(crate) async fn clear_after(&self, user_id: &UserId) {
        if let Err(error) = self.clear_void_pushers(user_id).await {
            tracing::debug!(%error, "void pushers are left for later");
        }
    }

    /// The id that a localpart makes here; `None` when it is not one.
    pub(crate) fn local_user_id(&self, localpart: &str) -> Option<OwnedUserId> {
        if localpart.contains(':') {
            return None;
        }
        UserId::parse(format!("@{localpart}:{}", self.server_name())).ok()
    }
}

fn unless_conflict(outcome: Result<Commit, CommitError>) -> Result<Option<Commit>, Unavailable> {
    match outcome {
        Ok(commit) => Ok(Some(commit)),
        Err(CommitError::Conflict { .. }) => Ok(None),
        Err(CommitError::Store(source)) => Err(source.into()),
    }
}
