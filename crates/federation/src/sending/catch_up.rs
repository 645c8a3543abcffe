//! What a server that was away for long still has to be told: of a busy room the newest event is enough, as it asks for
//! those before it when it is back. One that was away for a month is told nothing: when it is back, it sees in the next event
//! of each room what it lacks.

use std::collections::HashMap;

use gatehouse_store::{Batch, Direction, Position, Range, StoreError};
use ruma::{OwnedRoomId, ServerName};

use crate::{
    Federation,
    tables::{DestinationRow, OPEN_TRANSACTIONS, PENDING},
};

/// Events of one room that wait for one server; beyond that only the newest does.
const MAX_OF_A_ROOM: usize = 1_000;

/// A server that fails for so long is taken for dead, and what waits for it is dropped (limits.md §4). It is still tried,
/// as soon as there is something new for it.
const DEAD_MS: u64 = 30 * 24 * 3_600 * 1_000;

/// Rows read at once, and in one pass. What is beyond has its turn at the next failure.
const PAGE: usize = 2_000;
const MAX_ROWS: usize = 50_000;

impl Federation {
    /// Whether a server is taken for dead.
    pub(super) fn is_dead(&self, row: &DestinationRow) -> bool {
        let dead = |since: u64| self.now_ms().saturating_sub(since) >= DEAD_MS;
        row.failing_since_ms.is_some_and(dead)
    }

    /// Drops all that waits for a server.
    pub(super) async fn drop_all(&self, server: &ServerName) -> Result<(), StoreError> {
        let key = (server.to_owned(),);
        let mut dropped = 0;
        loop {
            let range = Range::prefix(&key);
            let rows = self
                .store()
                .scan(&PENDING, &range, Direction::Forward, PAGE)
                .await?;
            if rows.is_empty() {
                break;
            }
            dropped += rows.len();
            let mut batch = Batch::new();
            for (place, _) in rows {
                batch.delete(&PENDING, &place);
            }
            batch.delete(&OPEN_TRANSACTIONS, &key);
            self.committed(batch).await?;
        }
        if dropped > 0 {
            self.sending().count(|counts| &counts.given_up, dropped);
            tracing::warn!(%server, events = dropped, "a server has failed for 30 days: what waited for it is dropped");
        }
        Ok(())
    }

    /// Takes away what a server that fails need not be sent any more. What is in the transaction under way stays.
    pub(super) async fn catch_up_only(&self, server: &ServerName) -> Result<(), StoreError> {
        let key = (server.to_owned(),);
        let open = self.store().get(&OPEN_TRANSACTIONS, &key).await?;
        let mut after = open.map_or(Position::ZERO, |(_, through)| through);
        let mut waiting: HashMap<OwnedRoomId, Vec<Position>> = HashMap::new();
        let mut count = 0;
        while count < MAX_ROWS {
            let range = Range::prefix(&key).after(&(server.to_owned(), after));
            let rows = self
                .store()
                .scan(&PENDING, &range, Direction::Forward, PAGE)
                .await?;
            let Some(last) = rows.last().map(|((_, position), _)| *position) else {
                break;
            };
            after = last;
            count += rows.len();
            for ((_, position), (room_id,)) in rows {
                waiting.entry(room_id).or_default().push(position);
            }
        }
        let mut batch = Batch::new();
        for (room_id, positions) in waiting {
            if positions.len() <= MAX_OF_A_ROOM {
                continue;
            }
            let older = positions.split_last().map(|(_, older)| older).unwrap_or_default();
            tracing::info!(%server, %room_id, count = older.len(), "only the newest event of a room waits for a server");
            for position in older {
                batch.delete(&PENDING, &(server.to_owned(), *position));
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.committed(batch).await
    }
}
