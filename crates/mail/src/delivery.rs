//! Sending what waits, one node at a time, until it is taken or a day has passed.

use std::{pin::pin, sync::atomic::Ordering, time::Duration};

use futures_util::{StreamExt, future, stream};
use gatehouse_store::{Batch, CommitError, Direction, Range, StoreError, backend::Lease};
use tokio_util::sync::CancellationToken;

use crate::{
    DeliveryError, Medium, Message, Outbox,
    tables::{QUEUE, QueueKey, QueuedRow},
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

/// What is being sent when the server stops may take so long to end, so that it is not sent again after the start.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long a message is tried for (reliability.md R30).
const LIFETIME_MS: u64 = 24 * 60 * 60 * 1_000;

/// The first pause between two tries of a message; it doubles up to the last.
const FIRST_RETRY_MS: u64 = 30_000;
const LAST_RETRY_MS: u64 = 60 * 60 * 1_000;

impl Outbox {
    /// Sends until told to stop. On several nodes one sends; the others wait to take over.
    pub async fn run(&self, stop: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            match self.inner.store.lease(LEASE).await {
                Ok(Some(lease)) => {
                    // Apart, so that a mail server that hangs does not hold up text messages.
                    future::join(
                        self.send_all(Medium::Email, &lease, &stop),
                        self.send_all(Medium::Msisdn, &lease, &stop),
                    )
                    .await;
                    pause = FIRST_PAUSE;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "cannot see who sends mail"),
            }
            pause = (pause * 2).min(LAST_PAUSE);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn send_all(&self, medium: Medium, lease: &Lease, stop: &CancellationToken) {
        let mut pause = FIRST_PAUSE;
        let mut unrecorded = Vec::new();
        while !lease.is_lost() && !stop.is_cancelled() {
            match self.send_due(medium, &mut unrecorded, lease, stop).await {
                Ok(0) => pause = (pause * 2).min(LAST_PAUSE),
                Ok(_) => pause = FIRST_PAUSE,
                Err(error) => {
                    tracing::warn!(%error, "the store does not let messages be sent");
                    pause = LAST_PAUSE;
                }
            }
            tokio::select! {
                () = lease.lost() => {}
                () = stop.cancelled() => {}
                () = self.inner.added(medium).notified() => pause = FIRST_PAUSE,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Tries what is due now; how much that was. `unrecorded` is what was done and could not be noted: nothing else is
    /// sent before it is, or it would be sent again and again.
    async fn send_due(
        &self,
        medium: Medium,
        unrecorded: &mut Vec<Batch>,
        lease: &Lease,
        stop: &CancellationToken,
    ) -> Result<usize, StoreError> {
        self.record(unrecorded).await?;
        let due = Range::prefix(&(medium.as_str().to_owned(),)).before(&(
            medium.as_str().to_owned(),
            self.inner.clock.now_ms().saturating_add(1),
        ));
        let rows = self
            .inner
            .store
            .scan(&QUEUE, &due, Direction::Forward, BATCH)
            .await?;
        let count = rows.len();
        let sending = pin!(
            stream::iter(rows)
                .take_until(stop.cancelled())
                .map(async |(key, row)| {
                    let mut outcome = vec![self.send(&key, row).await];
                    // What fails here is noted below, or in the next round.
                    let _ = self.record(&mut outcome).await;
                    outcome
                })
                .buffer_unordered(AT_ONCE)
                .concat()
        );
        tokio::select! {
            left = sending => unrecorded.extend(left),
            // Another node sends now.
            () = lease.lost() => {}
            () = async { stop.cancelled().await; tokio::time::sleep(LAST_WORDS).await } => {}
        }
        self.record(unrecorded).await?;
        Ok(count)
    }

    /// Commits each, and keeps those that the store does not take now.
    async fn record(&self, batches: &mut Vec<Batch>) -> Result<(), StoreError> {
        while let Some(batch) = batches.last() {
            match self.inner.store.commit(batch.clone()).await {
                // A conflict: another node has dealt with the row.
                Ok(_) | Err(CommitError::Conflict { .. }) => batches.pop(),
                Err(CommitError::Store(error)) => return Err(error),
            };
        }
        Ok(())
    }

    /// Tries once; what is to be noted of it.
    async fn send(&self, key: &QueueKey, row: QueuedRow) -> Batch {
        let id = &key.2;
        let mut batch = Batch::new();
        batch.expect(&QUEUE, key, Some(&row));
        batch.delete(&QUEUE, key);
        let outcome = match self.inner.carrier(row.to.medium()) {
            Some(carrier) => carrier.deliver(&message(id, &row)).await,
            None => Err(DeliveryError::Later("nothing is set up to send it")),
        };
        let counters = &self.inner.counters;
        match outcome {
            Ok(()) => {
                counters.sent.fetch_add(1, Ordering::Relaxed);
            }
            Err(DeliveryError::Later(reason)) if !self.is_old(&row) => {
                counters.retried.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(id, reason, "a message was not taken; it will be sent again");
                let (due_ms, row) = self.again(row);
                batch.put(&QUEUE, &(key.0.clone(), due_ms, id.clone()), &row);
            }
            Err(error) => {
                counters.given_up.fetch_add(1, Ordering::Relaxed);
                tracing::error!(id, %error, "a message was given up");
            }
        }
        batch
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

fn message(id: &str, row: &QueuedRow) -> Message {
    Message {
        to: row.to.clone(),
        id: id.to_owned(),
        written_ms: row.created_ms,
        subject: row.subject.clone(),
        text: row.text.clone(),
        html: row.html.clone(),
    }
}
