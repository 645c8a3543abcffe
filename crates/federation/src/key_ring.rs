//! What of other servers' keys is in memory, and who was asked when.

use std::{collections::BTreeMap, sync::Arc};

use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};
use tokio::sync::Semaphore;

use crate::{one_at_a_time::OneAtATime, tables::KeyRow};

/// Servers whose keys are in memory.
const REMEMBERED: usize = 20_000;

/// Servers that are asked for keys at once.
const FETCHES: usize = 32;

/// The keys of a server by their ids.
pub(crate) type Keys = BTreeMap<String, KeyRow>;

/// What is kept in memory.
#[derive(Debug)]
pub(crate) struct KeyRing {
    pub(crate) servers: Cache<OwnedServerName, Arc<Keys>>,
    /// When a server was last asked, and how often in a row it gave none.
    asked: Cache<OwnedServerName, Asked>,
    /// When others were last asked about a server.
    asked_about: Cache<OwnedServerName, u64>,
    pub(crate) asking: OneAtATime,
    pub(crate) fetches: Arc<Semaphore>,
}

/// How it went to ask a server for its keys.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    /// When.
    pub(crate) at_ms: u64,
    /// How often in a row it gave none.
    pub(crate) failures: u32,
}

impl KeyRing {
    pub(crate) fn new() -> Self {
        Self {
            servers: Cache::new(REMEMBERED),
            asked: Cache::new(REMEMBERED),
            asked_about: Cache::new(REMEMBERED),
            asking: OneAtATime::default(),
            fetches: Arc::new(Semaphore::new(FETCHES)),
        }
    }

    pub(crate) fn asked(&self, server: &ServerName) -> Option<Asked> {
        self.asked.get(server)
    }

    /// Whether others may be asked about the server; it is noted that they are.
    pub(crate) fn may_ask_about(&self, server: &ServerName, now_ms: u64, pause_ms: u64) -> bool {
        let last = self.asked_about.get(server);
        let may = last.is_none_or(|last| now_ms >= last.saturating_add(pause_ms));
        if may {
            self.asked_about.insert(server.to_owned(), now_ms);
        }
        may
    }

    pub(crate) fn note(&self, server: &ServerName, asked: Asked) {
        self.asked.insert(server.to_owned(), asked);
    }
}
