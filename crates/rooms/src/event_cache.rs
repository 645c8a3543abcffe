//! Parsed events, kept within a number of bytes.

use std::sync::Arc;

use gatehouse_events::Event;
use quick_cache::{Weighter, sync::Cache};
use ruma::{EventId, OwnedEventId};

/// What an event costs besides its text: ids, lists, the cache's own entry.
const OVERHEAD_BYTES: u64 = 600;
/// For sizing the cache's tables.
const TYPICAL_BYTES: u64 = 1_000;

#[derive(Clone)]
struct ByBytes;

impl Weighter<OwnedEventId, Arc<Event>> for ByBytes {
    fn weight(&self, _: &OwnedEventId, event: &Arc<Event>) -> u64 {
        OVERHEAD_BYTES + event.content.get().len() as u64
    }
}

/// Events by id. An entry never goes stale but by redaction, which replaces it, and where an event is rejected after
/// all, which takes it out. A redaction of another node does not, so this is only for readers of what a redaction leaves.
pub(crate) struct EventCache {
    events: Cache<OwnedEventId, Arc<Event>, ByBytes>,
}

impl EventCache {
    pub(crate) fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / TYPICAL_BYTES).unwrap_or(usize::MAX);
        Self {
            events: Cache::with_weighter(items, bytes, ByBytes),
        }
    }

    pub(crate) fn get(&self, event_id: &EventId) -> Option<Arc<Event>> {
        self.events.get(event_id)
    }

    /// Forgets an event that does not count any more.
    pub(crate) fn remove(&self, event_id: &EventId) {
        self.events.remove(event_id);
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        self.events.clear();
    }

    pub(crate) fn insert(&self, event: &Arc<Event>) {
        self.events.insert(event.event_id.clone(), Arc::clone(event));
    }
}
