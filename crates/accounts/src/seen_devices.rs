//! Devices that were seen and not yet written.

use std::collections::HashMap;

use gatehouse_store::json_value;
use parking_lot::Mutex;
use ruma::{OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, Serialize};

/// When and from where a device was last used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastSeenRow {
    pub(crate) ts_ms: u64,
    pub(crate) address: Option<String>,
}
json_value!(LastSeenRow);

pub(crate) type Waiting = HashMap<(OwnedUserId, OwnedDeviceId), LastSeenRow>;

/// What has been seen since the last flush.
#[derive(Debug, Default)]
pub(crate) struct LastSeen {
    pub(crate) waiting: Mutex<Waiting>,
}

impl LastSeen {
    pub(crate) fn get(&self, key: &(OwnedUserId, OwnedDeviceId)) -> Option<LastSeenRow> {
        self.waiting.lock().get(key).cloned()
    }

    pub(crate) fn forget(&self, key: &(OwnedUserId, OwnedDeviceId)) {
        self.waiting.lock().remove(key);
    }
}
