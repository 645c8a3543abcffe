//! Which rooms are being filled, see [`crate::filling`]. Depends on nothing.

use std::collections::HashSet;

use parking_lot::Mutex;
use ruma::OwnedRoomId;
use tokio::sync::Semaphore;

/// Rooms that are filled at the same time: each may hold some hundred megabytes of events that wait for others.
const AT_ONCE: usize = 4;

/// The rooms that are being filled, or wait for it.
pub(crate) struct RoomsBeingFilled {
    pub(crate) under_way: Mutex<HashSet<OwnedRoomId>>,
    pub(crate) at_once: Semaphore,
}

impl Default for RoomsBeingFilled {
    fn default() -> Self {
        Self {
            under_way: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE),
        }
    }
}
