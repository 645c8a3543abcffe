//! What has come to a server that is played, and when.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Texts that came in messages, with when each did.
#[derive(Default)]
pub(super) struct Arrivals {
    texts: Mutex<HashMap<String, Instant>>,
    came: Notify,
}

impl Arrivals {
    pub(super) fn note(&self, text: &str) {
        self.texts
            .lock()
            .entry(text.to_owned())
            .or_insert_with(Instant::now);
        self.came.notify_waiters();
    }

    /// Waits until a text has come, and says when it did.
    pub(super) async fn of(&self, text: &str, limit: Duration) -> Result<Instant> {
        let waiting = async {
            loop {
                let came = self.came.notified();
                tokio::pin!(came);
                came.as_mut().enable();
                if let Some(when) = self.texts.lock().get(text) {
                    return *when;
                }
                came.await;
            }
        };
        tokio::time::timeout(limit, waiting)
            .await
            .with_context(|| format!("{text:?} did not come within {limit:?}"))
    }
}
