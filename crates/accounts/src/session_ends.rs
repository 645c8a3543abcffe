//! The ends of sessions, for requests that wait long. A session is read from the store again and again; its end stays
//! the same as long as any request waits for it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use ruma::{OwnedUserId, UserId};
use tokio::sync::Notify;

use crate::access_token::Digest;

/// At this many ends, those of sessions that are not in use any more are dropped.
const SWEEP_AT: usize = 10_000;

/// The end of one session.
#[derive(Debug, Default)]
pub(crate) struct SessionEnd {
    has_come: AtomicBool,
    notify: Notify,
}

impl SessionEnd {
    pub(crate) async fn wait(&self) {
        let mut waiting = std::pin::pin!(self.notify.notified());
        waiting.as_mut().enable();
        if !self.has_come.load(Ordering::Acquire) {
            waiting.await;
        }
    }

    fn come(&self) {
        self.has_come.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }
}

/// The ends of the sessions in use.
#[derive(Debug, Default)]
pub(crate) struct SessionEnds {
    ends: Mutex<Ends>,
}

#[derive(Debug, Default)]
struct Ends {
    by_digest: HashMap<Digest, Weak<SessionEnd>>,
    by_user: HashMap<OwnedUserId, Vec<Digest>>,
    /// How many the last sweep left.
    left: usize,
}

impl SessionEnds {
    /// The end of the session with this token. To be taken before the session is read from the store: what revokes it
    /// meanwhile finds the end here.
    pub(crate) fn of(&self, digest: Digest) -> Arc<SessionEnd> {
        let mut ends = self.ends.lock();
        if let Some(end) = ends.by_digest.get(&digest).and_then(Weak::upgrade) {
            return end;
        }
        if ends.len() >= SWEEP_AT.max(2 * ends.left) {
            ends.sweep();
        }
        let end = Arc::new(SessionEnd::default());
        ends.by_digest.insert(digest, Arc::downgrade(&end));
        end
    }

    /// Notes whose session it is.
    pub(crate) fn belongs(&self, digest: Digest, user_id: &UserId) {
        let Ends {
            by_digest, by_user, ..
        } = &mut *self.ends.lock();
        let digests = by_user.entry(user_id.to_owned()).or_default();
        digests.retain(|known| *known != digest && by_digest.contains_key(known));
        digests.push(digest);
    }

    /// The sessions of the user, or of everybody, that are in use.
    pub(crate) fn in_use(&self, user_id: Option<&UserId>) -> Vec<Digest> {
        let ends = self.ends.lock();
        let is_in_use = |digest: &&Digest| {
            ends.by_digest
                .get(*digest)
                .is_some_and(|end| end.strong_count() > 0)
        };
        match user_id {
            Some(user_id) => {
                let digests = ends.by_user.get(user_id).into_iter().flatten();
                digests.filter(is_in_use).copied().collect()
            }
            None => ends.by_digest.keys().filter(is_in_use).copied().collect(),
        }
    }

    /// Ends what waits on this session.
    pub(crate) fn end(&self, digest: &Digest) {
        let end = self.ends.lock().by_digest.remove(digest);
        if let Some(end) = end.and_then(|end| end.upgrade()) {
            end.come();
        }
    }
}

impl Ends {
    fn len(&self) -> usize {
        self.by_digest.len().max(self.by_user.len())
    }

    fn sweep(&mut self) {
        let by_digest = &mut self.by_digest;
        by_digest.retain(|_, end| end.strong_count() > 0);
        self.by_user.retain(|_, digests| {
            digests.retain(|digest| by_digest.contains_key(digest));
            !digests.is_empty()
        });
        self.left = self.len();
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    fn digest(number: usize) -> Digest {
        let mut digest = Digest::default();
        digest[..8].copy_from_slice(&number.to_be_bytes());
        digest
    }

    #[test]
    fn ends_of_sessions_that_are_over_take_no_memory() {
        let ends = SessionEnds::default();
        let kept = ends.of(digest(0));
        ends.belongs(digest(0), user_id!("@alice:s"));
        for number in 1..3 * SWEEP_AT {
            drop(ends.of(digest(number)));
            ends.belongs(digest(number), user_id!("@bob:s"));
            ends.end(&digest(number));
        }
        for number in 1..3 * SWEEP_AT {
            drop(ends.of(digest(number)));
        }
        let inner = ends.ends.lock();
        assert!(inner.by_digest.len() <= SWEEP_AT && inner.by_user.len() <= 2);
        assert!(inner.by_user.values().all(|digests| digests.len() <= 2));
        drop(inner);
        assert_eq!(ends.in_use(Some(user_id!("@alice:s"))), [digest(0)]);
        assert_eq!(ends.in_use(None), [digest(0)]);
        drop(kept);
        assert!(ends.in_use(None).is_empty());
    }
}
