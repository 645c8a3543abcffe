//! One writer at a time in a room, in order of arrival; and what readers see of it.
//!
//! A writer holds the turn while it decides, not while the disk works: its batch is enqueued, the *tip* moves on, and
//! the next writer builds on it. Readers see the last head that is on disk. Across nodes the expectation on the row
//! of [`crate::tables::HEADS`] decides.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gatehouse_events::{Event, server_acl::ServerAcl};
use gatehouse_store::Position;
use parking_lot::RwLock;
use quick_cache::sync::Cache;
use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId};
use tokio::sync::Mutex;

use crate::{graph::chain_counts::MemberChains, head::RoomHead, room_transaction::TransactionKey};

/// A room's turn and its heads.
#[derive(Default)]
pub(crate) struct RoomSlot {
    /// What the next append builds on. Lock this before `committed`.
    pub(crate) tip: Arc<Mutex<Tip>>,
    /// Held while events of other servers are taken in, and what they build on is fetched. Lock this before `tip`.
    pub(crate) receiving: Mutex<()>,
    /// The room's server ACL, made ready: of which event, how long its content is, and what it says.
    pub(crate) acl: parking_lot::Mutex<Option<(OwnedEventId, usize, Arc<ServerAcl>)>>,
    /// What is in the auth chains of the members, once somebody asked.
    pub(crate) member_chains: parking_lot::Mutex<Option<MemberChains>>,
    committed: RwLock<Option<Shown>>,
    /// What the tip builds on and the store does not show yet.
    unsettled: parking_lot::Mutex<HashMap<OwnedEventId, Unsettled>>,
    /// The clients' transactions that are on their way to the disk.
    transactions: parking_lot::Mutex<HashSet<TransactionKey>>,
}

/// A head that is on disk.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) head: Arc<RoomHead>,
    /// All changes of the room up to here are in it. Those of another node come after.
    pub(crate) through: Position,
}

/// An event on its way to the disk.
#[derive(Clone)]
pub(crate) struct Unsettled {
    pub(crate) event: Arc<Event>,
    /// Its reference hash in unpadded base64.
    pub(crate) reference_hash: String,
}

/// The last head that was decided, durable or not.
#[derive(Default)]
pub(crate) struct Tip {
    /// `None`: to be read from the store.
    pub(crate) head: Option<Arc<RoomHead>>,
    /// Goes up when `head` is dropped, so that of several failed appends only the first drops it.
    pub(crate) epoch: u64,
}

impl Tip {
    /// Forgets what was decided here, so that what the store says is built on.
    pub(crate) fn forget(&mut self) {
        self.head = None;
        self.epoch += 1;
    }
}

impl RoomSlot {
    /// The last head that is on disk, if it is in memory. Another node may have changed the room since.
    pub(crate) fn committed(&self) -> Option<Shown> {
        self.committed.read().clone()
    }

    /// Shows readers a head that is on disk, unless they see a later one already.
    pub(crate) fn publish(&self, shown: Shown) {
        let mut committed = self.committed.write();
        if committed
            .as_ref()
            .is_none_or(|before| before.head.sequence < shown.head.sequence)
        {
            *committed = Some(shown);
        }
    }

    /// An event that is on its way to the disk.
    pub(crate) fn unsettled(&self, event_id: &EventId) -> Option<Unsettled> {
        self.unsettled.lock().get(event_id).cloned()
    }

    /// Lets the next writers build on events that the store does not show yet.
    pub(crate) fn settle_later(&self, events: impl Iterator<Item = Unsettled>) {
        let events = events.map(|unsettled| (unsettled.event.event_id.clone(), unsettled));
        self.unsettled.lock().extend(events);
    }

    /// Notes that a client's transaction is on its way to the disk.
    pub(crate) fn begin_transaction(&self, key: TransactionKey) {
        self.transactions.lock().insert(key);
    }

    /// Whether a client's transaction is on its way to the disk.
    pub(crate) fn is_under_way(&self, key: &TransactionKey) -> bool {
        self.transactions.lock().contains(key)
    }

    /// The events are in the store, or lost.
    pub(crate) fn settled(&self, events: &[Arc<Event>], transaction: Option<&TransactionKey>) {
        if let Some(key) = transaction {
            self.transactions.lock().remove(key);
        }
        let mut unsettled = self.unsettled.lock();
        for event in events {
            unsettled.remove(&event.event_id);
        }
    }

    /// Forgets what was decided in this epoch: some of it was not committed.
    pub(crate) async fn invalidate(&self, epoch: u64) {
        let mut tip = self.tip.lock().await;
        if tip.epoch == epoch {
            tip.forget();
        }
    }

    /// Forgets all that is known of the room: the store may have lost some of it.
    pub(crate) fn distrust(&self) {
        *self.committed.write() = None;
        *self.member_chains.lock() = None;
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
