//! What the operator sees of other servers, and can do about them.

use std::collections::BTreeMap;

use gatehouse_store::{Batch, Direction, Position, Range, StoreError};
use ruma::{OwnedRoomId, OwnedServerName, ServerName};

use crate::{
    Federation,
    tables::{DESTINATIONS, DestinationRow, PENDING},
};

/// Rows that are counted of what waits for one server; more is as much.
const MAX_COUNTED: usize = 10_000;

/// Servers that are listed. There are fewer in the world.
const MAX_DESTINATIONS: usize = 100_000;

/// How it stands with a server that we have sent to, or tried to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Which.
    pub server: OwnedServerName,
    /// How often in a row it failed.
    pub failures: u32,
    /// Since when it fails, in milliseconds since 1970.
    pub failing_since_ms: Option<u64>,
    /// When it was tried last; 0: never.
    pub tried_ms: u64,
    /// When it is tried again; 0: as soon as there is something.
    pub retry_at_ms: u64,
    /// What was wrong last, in words.
    pub last_error: Option<String>,
    /// The place of the last event that it took; 0: none.
    pub last_sent: Position,
    /// How many events wait for it, up to ten thousand.
    pub pending: usize,
}

/// A room with events that wait for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationRoom {
    /// Which.
    pub room_id: OwnedRoomId,
    /// The place of the newest of them.
    pub newest: Position,
    /// How many they are.
    pub pending: usize,
}

impl Federation {
    /// Servers in the order of their names, from the so-many-th on, and how many there are.
    pub async fn destinations(
        &self,
        from: usize,
        limit: usize,
    ) -> Result<(Vec<Destination>, usize), StoreError> {
        let all = Range::all();
        let rows = self
            .store()
            .scan(&DESTINATIONS, &all, Direction::Forward, MAX_DESTINATIONS)
            .await?;
        let total = rows.len();
        let mut destinations = Vec::new();
        for ((server,), row) in rows.into_iter().skip(from).take(limit) {
            destinations.push(self.described(server, row).await?);
        }
        Ok((destinations, total))
    }

    /// One of them.
    pub async fn destination(&self, server: &ServerName) -> Result<Option<Destination>, StoreError> {
        let row = self.store().get(&DESTINATIONS, &(server.to_owned(),)).await?;
        match row {
            Some(row) => self.described(server.to_owned(), row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn described(
        &self,
        server: OwnedServerName,
        row: DestinationRow,
    ) -> Result<Destination, StoreError> {
        let pending = self.pending(&server).await?.len();
        Ok(Destination {
            server,
            failures: row.failures,
            failing_since_ms: row.failing_since_ms,
            tried_ms: row.tried_ms,
            retry_at_ms: row.retry_at_ms,
            last_error: row.last_error,
            last_sent: row.last_sent,
            pending,
        })
    }

    /// The rooms of which something waits for a server, in the order of their ids.
    pub async fn destination_rooms(&self, server: &ServerName) -> Result<Vec<DestinationRoom>, StoreError> {
        let mut rooms: BTreeMap<OwnedRoomId, DestinationRoom> = BTreeMap::new();
        for (position, room_id) in self.pending(server).await? {
            let room = rooms.entry(room_id.clone()).or_insert(DestinationRoom {
                room_id,
                newest: position,
                pending: 0,
            });
            room.newest = position;
            room.pending += 1;
        }
        Ok(rooms.into_values().collect())
    }

    async fn pending(&self, server: &ServerName) -> Result<Vec<(Position, OwnedRoomId)>, StoreError> {
        let range = Range::prefix(&(server.to_owned(),));
        let rows = self
            .store()
            .scan(&PENDING, &range, Direction::Forward, MAX_COUNTED)
            .await?;
        let place =
            |((_, position), (room_id,)): ((OwnedServerName, Position), (OwnedRoomId,))| (position, room_id);
        Ok(rows.into_iter().map(place).collect())
    }

    /// The server is tried now, whatever was. `false`: nothing was ever sent to it.
    pub async fn reset_destination(&self, server: &ServerName) -> Result<bool, StoreError> {
        let key = (server.to_owned(),);
        let Some(mut row) = self.store().get(&DESTINATIONS, &key).await? else {
            return Ok(false);
        };
        row.failures = 0;
        row.failing_since_ms = None;
        row.retry_at_ms = 0;
        let mut batch = Batch::new();
        batch.put(&DESTINATIONS, &key, &row);
        self.committed(batch).await?;
        if let Some(queue) = self.sending().queues.lock().get_mut(server) {
            queue.forgive();
        }
        self.sending().due.notify_one();
        Ok(true)
    }
}
