//! What the states are just after events, kept within a number of bytes for all rooms.

use std::{collections::HashMap, sync::Arc};

use gatehouse_events::state_resolution::StateKey;
use gatehouse_store::Position;
use quick_cache::{Weighter, sync::Cache};
use ruma::{OwnedEventId, OwnedRoomId, RoomId};

/// All that is kept, for all rooms.
const MAX_BYTES: u64 = 64 << 20;
/// What one key of a state costs: two ids, a type and the map's entry.
const BYTES_OF_A_KEY: u64 = 300;
/// For sizing the cache's tables.
const TYPICAL_BYTES: u64 = 10_000;

/// The state just after an event.
#[derive(Debug, Clone)]
pub(crate) struct EndState {
    /// All changes of the room's state up to here are in it.
    pub(crate) through: Position,
    /// What it has at every key that has changed since, at least. At all others it has what the room had at that position.
    pub(crate) values: HashMap<StateKey, Option<OwnedEventId>>,
}

/// Room, event, and how often the room's members were filled in: after that it is known better.
type Key = (OwnedRoomId, OwnedEventId, u64);

#[derive(Clone)]
struct ByKeys;

impl Weighter<Key, Arc<EndState>> for ByKeys {
    fn weight(&self, _: &Key, state: &Arc<EndState>) -> u64 {
        BYTES_OF_A_KEY * (1 + state.values.len() as u64)
    }
}

/// The states that are kept.
pub(crate) struct EndStateCache(Cache<Key, Arc<EndState>, ByKeys>);

impl EndStateCache {
    pub(crate) fn new() -> Self {
        let items = usize::try_from(MAX_BYTES / TYPICAL_BYTES).unwrap_or(usize::MAX);
        Self(Cache::with_weighter(items, MAX_BYTES, ByKeys))
    }

    /// Keeps what the state is just after an event that the store has.
    pub(crate) fn keep(&self, room_id: &RoomId, event_id: &OwnedEventId, fills: u64, state: Arc<EndState>) {
        self.0
            .insert((room_id.to_owned(), event_id.clone(), fills), state);
    }

    /// Forgets all of them: what the state was just after some event is known better now, or otherwise.
    pub(crate) fn forget(&self) {
        self.0.clear();
    }

    pub(crate) fn get(&self, room_id: &RoomId, event_id: &OwnedEventId, fills: u64) -> Option<Arc<EndState>> {
        self.0.get(&(room_id.to_owned(), event_id.clone(), fills))
    }
}
