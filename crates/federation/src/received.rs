//! What is counted of the events that other servers send.

use std::sync::atomic::{AtomicU64, Ordering};

use gatehouse_rooms::Received;

use crate::Federation;

/// What came since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    accepted: AtomicU64,
    known: AtomicU64,
    soft_failed: AtomicU64,
    rejected: AtomicU64,
    dropped: AtomicU64,
    pub(crate) slowed: AtomicU64,
}

/// Events of other servers since the start, by what came of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReceivedCounts {
    /// They are part of their rooms.
    pub accepted: u64,
    /// They were before.
    pub known: u64,
    /// Kept, and shown to nobody.
    pub soft_failed: u64,
    /// Against the rules of their rooms.
    pub rejected: u64,
    /// Not kept: not signed as they should be, too large, or of rooms that this server is not in.
    pub dropped: u64,
    /// Transactions whose answers waited, because their servers send too much into a room.
    pub slowed: u64,
}

impl Counters {
    pub(crate) fn count(&self, counter: impl Fn(&Self) -> &AtomicU64, more: u64) {
        counter(self).fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn count_event(&self, received: &Received) {
        let counter = match received {
            Received::Accepted => &self.accepted,
            Received::AlreadyHere => &self.known,
            Received::SoftFailed => &self.soft_failed,
            Received::Rejected(_) => &self.rejected,
            Received::Dropped(_) => &self.dropped,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Federation {
    /// What other servers sent in transactions so far.
    pub fn received_counts(&self) -> ReceivedCounts {
        let counters = self.received();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ReceivedCounts {
            accepted: read(&counters.accepted),
            known: read(&counters.known),
            soft_failed: read(&counters.soft_failed),
            rejected: read(&counters.rejected),
            dropped: read(&counters.dropped),
            slowed: read(&counters.slowed),
        }
    }
}
