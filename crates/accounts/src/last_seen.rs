//! When and from where devices were last used: noted in memory, written in batches.

use std::net::IpAddr;

use gatehouse_store::Batch;

use crate::{
    Accounts, Unavailable,
    seen_devices::LastSeenRow,
    session::Session,
    tables::{DEVICES, LAST_SEEN},
};

/// How many devices may wait to be written. Past that, what is new is not noted until the next flush.
const MAX_WAITING: usize = 50_000;

/// How many rows one commit writes.
const ROWS_PER_COMMIT: usize = 500;

impl Accounts {
    /// Notes that the session is in use, at most once a minute: only then is the address asked for. Costs no read or
    /// write of the store.
    pub fn note_seen(&self, session: &Session, address: impl FnOnce() -> Option<IpAddr>) {
        let now_ms = self.now_ms();
        if !session.is_due(now_ms) {
            return;
        }
        let mut waiting = self.last_seen().waiting.lock();
        let key = (session.user_id.clone(), session.device_id.clone());
        if waiting.len() < MAX_WAITING || waiting.contains_key(&key) {
            let row = LastSeenRow {
                ts_ms: now_ms,
                address: address().map(|address| address.to_string()),
            };
            waiting.insert(key, row);
        }
    }

    /// Writes what was noted. To be called every few minutes and before the store is closed.
    pub async fn flush_last_seen(&self) -> Result<(), Unavailable> {
        loop {
            let rows: Vec<_> = {
                let mut waiting = self.last_seen().waiting.lock();
                let keys: Vec<_> = waiting.keys().take(ROWS_PER_COMMIT).cloned().collect();
                keys.into_iter()
                    .filter_map(|key| waiting.remove_entry(&key))
                    .collect()
            };
            if rows.is_empty() {
                return Ok(());
            }
            // A device that is gone must not come back by having been seen.
            let keys: Vec<_> = rows.iter().map(|(key, _)| key.clone()).collect();
            let devices = self.store().get_many(&DEVICES, &keys).await?;
            let mut batch = Batch::new();
            for ((key, row), device) in rows.iter().zip(devices) {
                if device.is_some() {
                    batch.put(&LAST_SEEN, key, row);
                }
            }
            self.commit(batch).await?;
        }
    }
}
