//! Sending what waits, one node at a time, until it is taken or a day has passed.

use std::{sync::atomic::Ordering, time::Duration};

use futures_util::{StreamExt, stream};
use gatehouse_store::{Batch, CommitError, Direction, Range, StoreError, backend::Lease};
use tokio_util::sync::CancellationToken;

use crate::{
    DeliveryError, Message, Outbox,
    tables::{QUEUE, QueuedRow},
};

/// Which node sends.
const LEASE: &str = "mail";

/// Messages read at once, and sent at once.
const BATCH: usize = 64;
const AT_ONCE: usize = 4;

/// How often the queue is looked at after something was added, and when nothing was: the pause doubles between the two.
/// The batch that something was added to is committed a moment later.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// How long a message is tried for (reliability.md R30).
const LIFETIME_MS: u64 = 24 * 60 * 60 * 1_000;

/// The first pause between two tries of a message; it doubles up to the last.
const FIRST_RETRY_MS: u64 = 30_000;
const LAST_RETRY_MS: u64 = 60 * 60 * 1_000;

impl Outbox {
    /// Sends until told to stop. On several nodes one sends; the others wait to take over.
    pub async fn run(&self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.send_for_ever() => {}
        }
    }

    async fn send_for_ever(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.inner.store.lease(LEASE).await {
                Ok(Some(lease)) => {
                    self.send_while_leased(&lease).await;
                    pause = FIRST_PAUSE;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "cannot see who sends mail"),
            }
            pause = (pause * 2).min(LAST_PAUSE);
            tokio::time::sleep(pause).await;
        }
    }

    async fn send_while_leased(&self, lease: &Lease) {
        let mut pause = FIRST_PAUSE;
        while !lease.is_lost() {
            match self.send_due().await {
                Ok(0) => pause = (pause * 2).min(LAST_PAUSE),
                Ok(_) => pause = FIRST_PAUSE,
                Err(error) => {
                    tracing::warn!(%error, "cannot read what is to be sent");
                    pause = LAST_PAUSE;
                }
            }
            tokio::select! {
                () = lease.lost() => return,
                () = self.inner.added.notified() => pause = FIRST_PAUSE,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Tries everything that is due now; how much that was.
    async fn send_due(&self) -> Result<usize, StoreError> {
        let due = Range::all().before(&(self.inner.clock.now_ms().saturating_add(1),));
        let rows = self
            .inner
            .store
            .scan(&QUEUE, &due, Direction::Forward, BATCH)
            .await?;
        let count = rows.len();
        stream::iter(rows)
            .for_each_concurrent(AT_ONCE, async |(key, row)| {
                if let Err(error) = self.send(&key, row).await {
                    tracing::warn!(%error, "cannot note that a message was sent; it may be sent again");
                }
            })
            .await;
        Ok(count)
    }

    async fn send(&self, key: &(u64, String), row: QueuedRow) -> Result<(), StoreError> {
        let message = Message {
            to: row.to.clone(),
            id: key.1.clone(),
            subject: row.subject.clone(),
            text: row.text.clone(),
            html: row.html.clone(),
        };
        let outcome = match self.inner.carrier(row.to.medium()) {
            Some(carrier) => carrier.deliver(&message).await,
            None => Err(DeliveryError::Later("nothing is set up to send it")),
        };
        let counters = &self.inner.counters;
        let mut batch = Batch::new();
        batch.delete(&QUEUE, key);
        match outcome {
            Ok(()) => {
                counters.sent.fetch_add(1, Ordering::Relaxed);
            }
            Err(DeliveryError::Later(reason)) if !self.is_old(&row) => {
                counters.retried.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    id = key.1,
                    reason,
                    "a message was not taken; it will be sent again"
                );
                let next = self.again(row);
                batch.put(&QUEUE, &(next.0, key.1.clone()), &next.1);
            }
            Err(error) => {
                counters.given_up.fetch_add(1, Ordering::Relaxed);
                tracing::error!(id = key.1, %error, "a message was given up");
            }
        }
        match self.inner.store.commit(batch).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(CommitError::Store(error)) => Err(error),
        }
    }

    fn is_old(&self, row: &QueuedRow) -> bool {
        self.inner.clock.now_ms().saturating_sub(row.created_ms) >= LIFETIME_MS
    }

    /// When it is tried next, and how it is stored until then.
    fn again(&self, mut row: QueuedRow) -> (u64, QueuedRow) {
        let doubled = FIRST_RETRY_MS.saturating_mul(1 << row.attempts.min(16));
        row.attempts = row.attempts.saturating_add(1);
        (self.inner.clock.now_ms() + doubled.min(LAST_RETRY_MS), row)
    }
}
