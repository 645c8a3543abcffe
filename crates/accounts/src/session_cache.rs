//! Sessions in memory, so that a request costs no read of the store.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use ruma::{OwnedUserId, UserId};

use crate::{access_token::Digest, session::Session, session_ends::SessionEnds};

/// How many sessions stay in memory: about 30 MB of them.
const CAPACITY: usize = 100_000;

/// Sessions by the digest of their token, with a way to find all of a user's.
pub(crate) struct SessionCache {
    by_digest: Cache<Digest, Arc<Session>>,
    by_user: Mutex<ByUser>,
    /// What waits on sessions.
    pub(crate) ends: SessionEnds,
    /// Counts revocations. A session read from the store while one went on may be the one that was revoked.
    revocations: AtomicU64,
}

#[derive(Default)]
struct ByUser {
    digests: HashMap<OwnedUserId, Vec<Digest>>,
    /// How many digests there are in all. Those that the cache dropped stay until the index is swept.
    count: usize,
}

impl SessionCache {
    pub(crate) fn new() -> Self {
        Self {
            by_digest: Cache::new(CAPACITY),
            by_user: Mutex::default(),
            ends: SessionEnds::default(),
            revocations: AtomicU64::new(0),
        }
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<Arc<Session>> {
        self.by_digest.get(digest)
    }

    /// To be taken before the session is read from the store.
    pub(crate) fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::SeqCst)
    }

    /// Keeps a session that was read after `revocations` was taken, unless something was revoked since.
    pub(crate) fn insert(&self, digest: Digest, session: &Arc<Session>, revocations: u64) {
        {
            let mut index = self.by_user.lock();
            if index.count >= 2 * CAPACITY {
                *index = ByUser::default();
                self.by_digest.clear();
            }
            index.count += 1;
            let digests = index.digests.entry(session.user_id.clone()).or_default();
            if !digests.contains(&digest) {
                digests.push(digest);
            }
        }
        self.by_digest.insert(digest, Arc::clone(session));
        // A revocation counts up before it removes: so it either finds the session here, or is found out here.
        if self.revocations() != revocations {
            self.by_digest.remove(&digest);
        }
    }

    /// Forgets sessions whose tokens have been deleted from the store, and ends what waits on them.
    pub(crate) fn forget(&self, digests: &[Digest]) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
        for digest in digests {
            self.by_digest.remove(digest);
            self.ends.end(digest);
        }
    }

    /// Forgets all sessions of a user; they are read again when used.
    pub(crate) fn forget_user(&self, user_id: &UserId) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
        let digests = {
            let mut index = self.by_user.lock();
            let digests = index.digests.remove(user_id).unwrap_or_default();
            index.count = index.count.saturating_sub(digests.len());
            digests
        };
        for digest in digests {
            self.by_digest.remove(&digest);
        }
    }

    /// Forgets all sessions.
    pub(crate) fn forget_all(&self) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
        *self.by_user.lock() = ByUser::default();
        self.by_digest.clear();
    }
}
