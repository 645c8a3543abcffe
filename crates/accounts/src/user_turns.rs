//! One change at a time for each user.
//!
//! Commits decide; this only keeps the requests of one node from conflicting over a user's row again and again, and
//! a hundred hopefuls of one name from hashing a hundred passwords to find out.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use ruma::{OwnedUserId, UserId};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// At this many users, those that nobody waits for any more are dropped: a waiter that went away leaves its user.
const SWEEP_AT: usize = 1_000;

type Turns = Arc<Mutex<HashMap<OwnedUserId, Arc<Turn<()>>>>>;

/// The users of whom something is being changed just now.
#[derive(Debug, Default)]
pub(crate) struct UserTurns {
    turns: Turns,
}

/// Held while changing something.
#[derive(Debug)]
pub(crate) struct UserTurn {
    turns: Turns,
    user_id: OwnedUserId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl UserTurns {
    /// Waits until nobody else is changing something of this user.
    pub(crate) async fn turn(&self, user_id: &UserId) -> UserTurn {
        let turn = {
            let mut turns = self.turns.lock();
            if turns.len() >= SWEEP_AT {
                turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            }
            Arc::clone(turns.entry(user_id.to_owned()).or_default())
        };
        UserTurn {
            turns: Arc::clone(&self.turns),
            user_id: user_id.to_owned(),
            guard: Some(turn.lock_owned().await),
        }
    }
}

impl Drop for UserTurn {
    fn drop(&mut self) {
        self.guard = None;
        let mut turns = self.turns.lock();
        // Under the map's lock nobody can take another reference, so one reference means that nobody waits.
        if turns
            .get(&self.user_id)
            .is_some_and(|turn| Arc::strong_count(turn) == 1)
        {
            turns.remove(&self.user_id);
        }
    }
}
