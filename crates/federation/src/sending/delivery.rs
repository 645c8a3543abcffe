//! Working on what waits for one server.

use gatehouse_rooms::{OutgoingPdu, Rooms};
use gatehouse_store::{Batch, Direction, Position, Range, StoreError};
use ruma::{OwnedRoomId, OwnedServerName, ServerName};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    destination::{Queue, after_failure},
    transaction::{MAX_PDUS, is_poisoned},
};
use crate::{
    Federation, FederationError,
    random::Randomness,
    tables::{DESTINATIONS, DestinationRow, OPEN_TRANSACTIONS, PENDING},
};

/// Events given up in a row because the server calls them broken; then it is the server that is broken.
const MAX_DROPPED: usize = 3;

/// A transaction that is written down.
struct Open {
    id: String,
    /// Where its events are, in order.
    places: Vec<(OwnedRoomId, Position)>,
}

impl Open {
    fn last(&self) -> Option<Position> {
        self.places.last().map(|(_, position)| *position)
    }
}

/// What became of one.
enum Sent {
    Taken,
    /// Something in it is never taken.
    Poisoned(FederationError),
    Failed(FederationError),
}

impl Federation {
    /// Sends to one server until nothing waits for it any more, or it fails.
    pub(super) async fn deliver(&self, rooms: &Rooms, server: OwnedServerName) {
        let mut dropped = 0;
        loop {
            let failure = match self.deliver_once(rooms, &server, &mut dropped).await {
                Ok(Some(failure)) => failure,
                Ok(None) => {
                    if self.has_ended(&server) {
                        return;
                    }
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%server, %error, "what waits for a server cannot be read or written");
                    self.end_with(&server, |row| {
                        after_failure(row, self.now_and_luck(), "the store failed", None)
                    });
                    return;
                }
            };
            if let Err(error) = self.fail(&server, &failure).await {
                tracing::warn!(%server, %error, "a server's failure cannot be written down");
            }
            return;
        }
    }

    /// One transaction. Nothing: there is none, or it was taken; else what failed.
    async fn deliver_once(
        &self,
        rooms: &Rooms,
        server: &ServerName,
        dropped: &mut usize,
    ) -> Result<Option<FederationError>, StoreError> {
        while let Some(open) = self.open(server).await? {
            let pdus = rooms.pdus_for_sending(&open.places).await?;
            let pdus: Vec<_> = pdus.into_iter().flatten().collect();
            match self.send_one(server, &open, &pdus).await {
                Sent::Taken => {
                    *dropped = 0;
                    self.sending().count(|counts| &counts.events, pdus.len());
                    self.close(server, &open).await?;
                }
                Sent::Poisoned(error) if open.places.len() > 1 => {
                    tracing::info!(%server, %error, "the other server refuses a transaction; sending less at once");
                    self.open_less(server, &open).await?;
                }
                Sent::Poisoned(error) if *dropped < MAX_DROPPED => {
                    let event = pdus
                        .first()
                        .map(|pdu| pdu.event_id.to_string())
                        .unwrap_or_default();
                    tracing::warn!(%server, event, %error, "an event that the other server never takes is given up");
                    *dropped += 1;
                    self.sending().count(|counts| &counts.dropped, 1);
                    self.close(server, &open).await?;
                }
                Sent::Poisoned(error) | Sent::Failed(error) => return Ok(Some(error)),
            }
        }
        Ok(None)
    }

    async fn send_one(&self, server: &ServerName, open: &Open, pdus: &[OutgoingPdu]) -> Sent {
        if pdus.is_empty() {
            return Sent::Taken;
        }
        let is_proven = {
            let queues = self.sending().queues.lock();
            queues.get(server).is_some_and(Queue::is_proven)
        };
        let _place = self.place(is_proven).await;
        match self.send_transaction(server, &open.id, pdus, is_proven).await {
            Ok(()) => {
                self.sending().count(|counts| &counts.transactions, 1);
                Sent::Taken
            }
            Err(error) => {
                self.sending().count(|counts| &counts.failures, 1);
                if is_poisoned(&error) {
                    Sent::Poisoned(error)
                } else {
                    Sent::Failed(error)
                }
            }
        }
    }

    /// A place among those who send. Nobody closes the semaphores, so that there always comes one.
    async fn place(&self, is_proven: bool) -> Option<OwnedSemaphorePermit> {
        let sending = self.sending();
        let places = if is_proven {
            &sending.proven
        } else {
            &sending.unproven
        };
        places.clone().acquire_owned().await.ok()
    }

    /// The transaction that is under way, or a new one of what waits longest; nothing: nothing waits.
    async fn open(&self, server: &ServerName) -> Result<Option<Open>, StoreError> {
        if let Some(queue) = self.sending().queues.lock().get_mut(server) {
            queue.look();
        }
        let key = (server.to_owned(),);
        let under_way = self.store().get(&OPEN_TRANSACTIONS, &key).await?;
        let range = Range::prefix(&key);
        let rows = self
            .store()
            .scan(&PENDING, &range, Direction::Forward, MAX_PDUS)
            .await?;
        let mut places: Vec<_> = rows
            .into_iter()
            .map(|((_, position), (room_id,))| (room_id, position))
            .collect();
        if let Some((id, through)) = under_way {
            places.retain(|(_, position)| *position <= through);
            if !places.is_empty() {
                return Ok(Some(Open { id, places }));
            }
            // All that was in it is gone already. What waits now is another transaction.
            let mut batch = Batch::new();
            batch.delete(&OPEN_TRANSACTIONS, &key);
            self.committed(batch).await?;
            return Box::pin(self.open(server)).await;
        }
        self.write_open(server, places).await
    }

    /// Writes the transaction down before it is sent. The time makes its id another one when positions come a second time,
    /// as after a backup was restored.
    async fn write_open(
        &self,
        server: &ServerName,
        places: Vec<(OwnedRoomId, Position)>,
    ) -> Result<Option<Open>, StoreError> {
        let (Some((_, first)), Some((_, last))) = (places.first(), places.last()) else {
            return Ok(None);
        };
        let id = format!("{}.{first}.{}", self.now_ms(), places.len());
        let mut batch = Batch::new();
        batch.put(&OPEN_TRANSACTIONS, &(server.to_owned(),), &(id.clone(), *last));
        self.committed(batch).await?;
        Ok(Some(Open { id, places }))
    }

    /// Half of a transaction that was refused: somewhere in it is what the server does not take.
    async fn open_less(&self, server: &ServerName, open: &Open) -> Result<(), StoreError> {
        let half = open.places.len() / 2;
        let places = open.places.iter().take(half).cloned().collect();
        self.write_open(server, places).await.map(|_| ())
    }

    /// The server has what was in the transaction.
    async fn close(&self, server: &ServerName, open: &Open) -> Result<(), StoreError> {
        let key = (server.to_owned(),);
        let mut batch = Batch::new();
        for (_, position) in &open.places {
            batch.delete(&PENDING, &(server.to_owned(), *position));
        }
        batch.delete(&OPEN_TRANSACTIONS, &key);
        let row = DestinationRow {
            tried_ms: self.now_ms(),
            last_sent: open.last().unwrap_or_default(),
            has_worked: true,
            ..DestinationRow::default()
        };
        batch.put(&DESTINATIONS, &key, &row);
        self.committed(batch).await?;
        if let Some(queue) = self.sending().queues.lock().get_mut(server) {
            queue.row = row;
        }
        Ok(())
    }

    async fn fail(&self, server: &ServerName, error: &FederationError) -> Result<(), StoreError> {
        let (words, pause_ms) = in_words(error);
        let row = self.end_with(server, |row| {
            after_failure(row, self.now_and_luck(), &words, pause_ms)
        });
        tracing::info!(%server, error = words, failures = row.failures, "sending to another server failed");
        let mut batch = Batch::new();
        batch.put(&DESTINATIONS, &(server.to_owned(),), &row);
        self.committed(batch).await?;
        if self.is_dead(&row) {
            self.drop_all(server).await
        } else {
            self.catch_up_only(server).await
        }
    }

    /// What a pause is made of.
    fn now_and_luck(&self) -> (u64, &Randomness) {
        (self.now_ms(), &self.config().randomness)
    }

    fn end_with(
        &self,
        server: &ServerName,
        row: impl FnOnce(&DestinationRow) -> DestinationRow,
    ) -> DestinationRow {
        let mut queues = self.sending().queues.lock();
        let queue = queues.entry(server.to_owned()).or_default();
        let row = row(&queue.row);
        queue.end_with_failure(row.clone());
        row
    }

    /// Whether nothing came while the last rows were looked at. Servers that are well need not be remembered.
    fn has_ended(&self, server: &ServerName) -> bool {
        let mut queues = self.sending().queues.lock();
        let ended = queues.get_mut(server).is_none_or(Queue::end);
        if ended && queues.get(server).is_some_and(|queue| !queue.is_failing()) {
            queues.remove(server);
        }
        ended
    }
}

/// What failed, for people, and how long the server wants to be left alone.
fn in_words(error: &FederationError) -> (String, Option<u64>) {
    match error {
        FederationError::Refused(refusal) => {
            let said = match refusal.error.as_str() {
                "" => String::new(),
                said => format!(": {said}"),
            };
            let pause_ms = refusal.retry_after_s.map(|seconds| seconds.saturating_mul(1_000));
            (format!("{error}{said}"), pause_ms)
        }
        error => (error.to_string(), None),
    }
}
