//! One registration of a name at a time.
//!
//! The commit decides who gets a name; this only keeps a hundred hopefuls of one name from hashing a hundred
//! passwords to find out.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use ruma::OwnedUserId;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// At this many names, those that nobody waits for any more are dropped: a waiter that went away leaves its name.
const SWEEP_AT: usize = 1_000;

type Turns = Arc<Mutex<HashMap<OwnedUserId, Arc<Turn<()>>>>>;

/// The names that somebody is registering just now.
#[derive(Debug, Default)]
pub(crate) struct NamesInProgress {
    turns: Turns,
}

/// Held while registering a name.
#[derive(Debug)]
pub(crate) struct NameTurn {
    turns: Turns,
    user_id: OwnedUserId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl NamesInProgress {
    /// Waits until nobody else is registering this name.
    pub(crate) async fn turn(&self, user_id: &OwnedUserId) -> NameTurn {
        let turn = {
            let mut turns = self.turns.lock();
            if turns.len() >= SWEEP_AT {
                turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            }
            Arc::clone(turns.entry(user_id.clone()).or_default())
        };
        NameTurn {
            turns: Arc::clone(&self.turns),
            user_id: user_id.clone(),
            guard: Some(turn.lock_owned().await),
        }
    }
}

impl Drop for NameTurn {
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
