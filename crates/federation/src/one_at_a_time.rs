//! One question at a time to each server: whoever comes meanwhile waits, and finds the answer.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use ruma::{OwnedServerName, ServerName};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Entries from which on those that nobody uses are looked for.
const TIDY_FROM: usize = 256;

/// The servers that are being asked.
#[derive(Debug, Default)]
pub(crate) struct OneAtATime {
    turns: Mutex<HashMap<OwnedServerName, Weak<Turn<()>>>>,
}

impl OneAtATime {
    /// Waits for one's turn, which lasts until the guard is dropped.
    pub(crate) async fn turn(&self, server: &ServerName) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock();
            if turns.len() >= TIDY_FROM {
                turns.retain(|_, turn| turn.strong_count() > 0);
            }
            let known = turns.get(server).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::default();
                turns.insert(server.to_owned(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}
