//! Sending events to other servers: one queue for each, kept as positions (server-server API, "Transactions").
//!
//! The rooms engine writes down which events go out. The `follower` turns each into a row for each server that gets it, and
//! from then on nothing is lost. A `delivery` works on one server's rows, oldest first, one transaction at a time; its
//! pauses after failures, and when they end, are the `schedule`'s. One node does all this, under a lease.
//!
//! A transaction is written down before it is sent, so that it is sent again as it was, under the same id, whatever
//! happens in between.
//!
//! Read in this order: `destination`, `queues`, `follower`, `schedule`, `delivery`, `transaction`, `catch_up`, `destinations`.

mod catch_up;
mod delivery;
mod destination;
mod destinations;
mod follower;
pub(crate) mod queues;
mod schedule;
#[cfg(test)]
mod tests;
mod transaction;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use gatehouse_rooms::Rooms;
use gatehouse_store::StoreError;
use ruma::ServerName;
use tokio_util::sync::CancellationToken;

use self::destination::Queue;
use crate::{Federation, tables::DESTINATIONS};

pub use self::{
    destinations::{Destination, DestinationRoom},
    queues::SendingCounts,
};

/// One node sends.
const LEASE: &str = "federation.sending";

/// How often it is looked whether that may be this one.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A node that does not send looks no more often than this whether a server that it hears from fails for the one that does.
const TELL_EVERY_MS: u64 = 10 * 1_000;

impl Federation {
    /// Sends until it is told to stop. What is under way then is cut off, and sent again the same later.
    pub async fn run_sending(&self, rooms: Rooms, stop: CancellationToken) {
        if self.outbound().is_none() {
            return stop.cancelled().await;
        }
        while !stop.is_cancelled() {
            match self.store().lease(LEASE).await {
                Ok(Some(lease)) => {
                    self.sending().is_sender.store(true, Ordering::Relaxed);
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = lease.lost() => {}
                        result = self.send(&rooms) => if let Err(error) = result {
                            tracing::warn!(%error, "what is to be sent to other servers cannot be read; trying again");
                        },
                    }
                    self.sending().is_sender.store(false, Ordering::Relaxed);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "it is not known which node sends to other servers; trying again");
                }
            }
            self.sending().queues.lock().clear();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// The server is there: it has made a request. What waits for it is sent now.
    pub async fn heard_from(&self, server: &ServerName) {
        let sending = self.sending();
        let is_news = if sending.is_sender.load(Ordering::Relaxed) {
            let mut queues = sending.queues.lock();
            queues.get_mut(server).is_some_and(Queue::forgive)
        } else {
            self.may_tell(server)
        };
        if !is_news {
            return;
        }
        sending.due.notify_one();
        if let Err(error) = self.forget_failures(server).await {
            tracing::warn!(%error, "it cannot be written down that a server is there again");
        }
    }

    fn may_tell(&self, server: &ServerName) -> bool {
        let (told, now_ms) = (&self.sending().told, self.now_ms());
        let last = told.get(server);
        let may = last.is_none_or(|last| now_ms >= last.saturating_add(TELL_EVERY_MS));
        if may {
            told.insert(server.to_owned(), now_ms);
        }
        may
    }

    /// What was sent so far, and what waits.
    pub fn sending_counts(&self) -> SendingCounts {
        let sending = self.sending();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let queues = sending.queues.lock();
        let number = |is: fn(&Queue) -> bool| {
            let count = queues.values().filter(|queue| is(queue)).count();
            u64::try_from(count).unwrap_or(u64::MAX)
        };
        SendingCounts {
            transactions: read(&sending.counts.transactions),
            failures: read(&sending.counts.failures),
            events: read(&sending.counts.events),
            dropped: read(&sending.counts.dropped),
            given_up: read(&sending.counts.given_up),
            waiting: number(Queue::has_work),
            failing: number(Queue::is_failing),
        }
    }

    /// Writes down that nothing is wrong with a server any more, as far as that is written down.
    async fn forget_failures(&self, server: &ServerName) -> Result<(), StoreError> {
        let key = (server.to_owned(),);
        let Some(mut row) = self.store().get(&DESTINATIONS, &key).await? else {
            return Ok(());
        };
        if row.failures == 0 {
            return Ok(());
        }
        row.failures = 0;
        row.failing_since_ms = None;
        row.retry_at_ms = 0;
        let mut batch = gatehouse_store::Batch::new();
        batch.put(&DESTINATIONS, &key, &row);
        self.committed(batch).await
    }

    /// Commits what expects nothing.
    async fn committed(&self, batch: gatehouse_store::Batch) -> Result<(), StoreError> {
        match self.store().commit(batch).await {
            Ok(_) | Err(gatehouse_store::CommitError::Conflict { .. }) => Ok(()),
            Err(gatehouse_store::CommitError::Store(error)) => Err(error),
        }
    }
}
