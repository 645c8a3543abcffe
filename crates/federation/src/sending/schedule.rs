//! Who is worked on when.

use std::time::Duration;

use gatehouse_rooms::Rooms;
use gatehouse_store::{Direction, Range, StoreError};
use ruma::OwnedServerName;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::{destination::Queue, follower::Follower};
use crate::{
    Federation,
    tables::{DESTINATIONS, PENDING},
};

/// How often it is looked whether pauses are over.
pub(super) const TICK: Duration = Duration::from_millis(500);

/// Servers that failed and are tried again in one tick: no more than 50 a second (reliability.md R11).
pub(super) const RETRIES_A_TICK: usize = 25;

/// Over how long the servers that something waits for are spread at start, when they failed before.
pub(super) const WAKING_MS: u64 = 60 * 1_000;

/// How often it is looked whether another node has heard from servers that fail for us.
const TICKS_A_REVIEW: u32 = 20;

/// Rows read at once.
const PAGE: usize = 500;

impl Federation {
    /// Sends for as long as the store can be read.
    pub(super) async fn send(&self, rooms: &Rooms) -> Result<(), StoreError> {
        // First watch, then read: what is committed in between is looked at twice, never missed.
        let mut watch = self.store().watch();
        self.wake_all().await?;
        let mut follower = Follower::default();
        follower.follow(self, rooms).await?;
        // Cut off when this ends.
        let mut deliveries = JoinSet::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks: u32 = 0;
        loop {
            let mut retries = 0;
            // In this order, so that what comes seldom is not kept waiting by what comes all the time.
            tokio::select! {
                biased;
                Some(_) = deliveries.join_next() => continue,
                _ = tick.tick() => {
                    retries = RETRIES_A_TICK;
                    ticks = ticks.wrapping_add(1);
                    if ticks.is_multiple_of(TICKS_A_REVIEW) && self.store().is_shared() {
                        self.review().await?;
                    }
                }
                () = self.sending().due.notified() => {}
                notice = watch.next() => {
                    if notice.is_none() {
                        // The store has closed, and with it all ends.
                        return std::future::pending().await;
                    }
                    while watch.try_next().is_some() {}
                    follower.follow(self, rooms).await?;
                }
            }
            for server in self.take_due(retries) {
                let (federation, rooms) = (self.clone(), rooms.clone());
                deliveries.spawn(async move { federation.deliver(&rooms, server).await });
            }
        }
    }

    /// All whose time has come, and so many of those that failed.
    fn take_due(&self, retries: usize) -> Vec<OwnedServerName> {
        let now_ms = self.now_ms();
        let mut left = retries;
        let mut due = Vec::new();
        for (server, queue) in self.sending().queues.lock().iter_mut() {
            if !queue.is_due(now_ms) {
                continue;
            }
            if queue.row.failures > 0 {
                if left == 0 {
                    continue;
                }
                left -= 1;
            }
            queue.begin();
            due.push(server.clone());
        }
        due
    }

    /// Finds, at start, all servers that something waits for. Those that failed before are spread over a minute.
    async fn wake_all(&self) -> Result<(), StoreError> {
        let mut after: Option<OwnedServerName> = None;
        loop {
            let range = match &after {
                Some(server) => Range::all().after(&(server.clone(),)),
                None => Range::all(),
            };
            let rows = self.store().scan(&PENDING, &range, Direction::Forward, 1).await?;
            let Some(((server, _), _)) = rows.into_iter().next() else {
                return Ok(());
            };
            self.add_work(server.clone()).await?;
            let at_ms = self
                .now_ms()
                .saturating_add(self.config().randomness.part_of(WAKING_MS));
            if let Some(queue) = self.sending().queues.lock().get_mut(&server)
                && queue.is_failing()
            {
                queue.not_before(at_ms);
            }
            after = Some(server);
        }
    }

    /// Another node may have heard from a server: then its failures are forgotten in the store.
    async fn review(&self) -> Result<(), StoreError> {
        let failing: Vec<_> = {
            let queues = self.sending().queues.lock();
            let failing = queues.iter().filter(|(_, queue)| queue.is_failing());
            failing.map(|(server, _)| (server.clone(),)).collect()
        };
        for page in failing.chunks(PAGE) {
            let rows = self.store().get_many(&DESTINATIONS, page).await?;
            let mut queues = self.sending().queues.lock();
            for ((server,), row) in page.iter().zip(rows) {
                if row.is_some_and(|row| row.failures == 0) {
                    queues.get_mut(server).map(Queue::forgive);
                }
            }
        }
        Ok(())
    }
}
