//! One writer at a time in a room, in order of arrival; and what readers see of it.
//!
//! A writer holds the turn while it decides, not while the disk works: its batch is enqueued, the *tip* moves on, and
//! the next writer builds on it. Readers see the last head that is on disk. Across nodes the expectation on the row
//! of [`crate::tables::HEADS`] decides.

use std::sync::Arc;

use parking_lot::RwLock;
use quick_cache::sync::Cache;
use ruma::{OwnedRoomId, RoomId};
use tokio::sync::Mutex;

use crate::head::RoomHead;

/// A room's turn and its heads.
#[derive(Default)]
pub(crate) struct RoomSlot {
    /// What the next append builds on. Lock this before `committed`.
    pub(crate) tip: Arc<Mutex<Tip>>,
    committed: RwLock<Option<Arc<RoomHead>>>,
}

/// The last head that was decided, durable or not.
#[derive(Default)]
pub(crate) struct Tip {
    /// `None`: to be read from the store.
    pub(crate) head: Option<Arc<RoomHead>>,
    /// Goes up when `head` is dropped, so that of several failed appends only the first drops it.
    pub(crate) epoch: u64,
}

impl RoomSlot {
    /// The last head that is on disk, if it is in memory.
    pub(crate) fn committed(&self) -> Option<Arc<RoomHead>> {
        self.committed.read().clone()
    }

    /// Shows readers a head that is on disk, unless they see a later one already.
    pub(crate) fn publish(&self, head: &Arc<RoomHead>) {
        let mut committed = self.committed.write();
        if committed
            .as_ref()
            .is_none_or(|shown| shown.sequence < head.sequence)
        {
            *committed = Some(Arc::clone(head));
        }
    }

    /// Forgets what was decided in this epoch: some of it was not committed.
    pub(crate) async fn invalidate(&self, epoch: u64) {
        let mut tip = self.tip.lock().await;
        if tip.epoch == epoch {
            tip.head = None;
            tip.epoch += 1;
            *self.committed.write() = None;
        }
    }
}

/// The slots of the rooms in use, at most a configured number.
pub(crate) struct Turns {
    slots: Cache<OwnedRoomId, Arc<RoomSlot>>,
}

impl Turns {
    pub(crate) fn new(rooms: usize) -> Self {
        Self {
            slots: Cache::new(rooms),
        }
    }

    /// The room's slot. When it was evicted while somebody works on it there may be two for a moment; then the
    /// expectation on the room's head makes one of the writers try again.
    pub(crate) fn slot(&self, room_id: &RoomId) -> Arc<RoomSlot> {
        if let Some(slot) = self.slots.get(room_id) {
            return slot;
        }
        let made = self
            .slots
            .get_or_insert_with::<_, std::convert::Infallible>(room_id, || Ok(Arc::default()));
        match made {
            Ok(slot) => slot,
        }
    }
}
