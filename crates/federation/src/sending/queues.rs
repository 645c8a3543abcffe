//! What the sending queue has in memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use ruma::OwnedServerName;
use tokio::sync::{Notify, Semaphore};

use super::destination::Queue;

/// Transactions under way at once to servers that took the last one, and to all others. The others may hold a connection
/// each for half a minute; they wait for each other, and nobody waits for them.
const PROVEN_AT_ONCE: usize = 512;
const UNPROVEN_AT_ONCE: usize = 192;

/// Servers of which it is remembered when the store was told that they are there.
const TOLD: usize = 5_000;

/// What the queue has in memory.
pub(crate) struct Sending {
    pub(super) queues: Mutex<BTreeMap<OwnedServerName, Queue>>,
    /// Something became due.
    pub(super) due: Notify,
    pub(super) proven: Arc<Semaphore>,
    pub(super) unproven: Arc<Semaphore>,
    pub(super) counts: Counts,
    /// Another node sends: when the store was last told that a server is there.
    pub(super) told: Cache<OwnedServerName, u64>,
    pub(super) is_sender: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) transactions: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) events: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) given_up: AtomicU64,
}

/// What was sent since the start, and how many servers are in which state now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SendingCounts {
    /// Transactions that were taken.
    pub transactions: u64,
    /// Those that were not.
    pub failures: u64,
    /// Events in those that were.
    pub events: u64,
    /// Events that a server never takes, and that were given up.
    pub dropped: u64,
    /// Events that waited for servers which were away for too long.
    pub given_up: u64,
    /// Servers that something waits for.
    pub waiting: u64,
    /// Servers that failed last.
    pub failing: u64,
}

impl Sending {
    pub(crate) fn new() -> Self {
        Self {
            queues: Mutex::default(),
            due: Notify::new(),
            proven: Arc::new(Semaphore::new(PROVEN_AT_ONCE)),
            unproven: Arc::new(Semaphore::new(UNPROVEN_AT_ONCE)),
            counts: Counts::default(),
            told: Cache::new(TOLD),
            is_sender: AtomicBool::new(false),
        }
    }

    pub(super) fn count(&self, counter: impl Fn(&Counts) -> &AtomicU64, more: usize) {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        counter(&self.counts).fetch_add(more, Ordering::Relaxed);
    }
}
