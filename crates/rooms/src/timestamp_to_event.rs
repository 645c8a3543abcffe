//! `GET /rooms/{roomId}/timestamp_to_event`: the visible event nearest to a time. Other servers ask the same.

use gatehouse_store::{Direction, Range, StoreError};
use ruma::{OwnedEventId, OwnedRoomId, RoomId, UserId};

use crate::{Rooms, read_error::ReadError, stored::StoredEvent, tables::TIMESTAMPS};

/// Index rows read at once.
const BATCH: usize = 100;
/// Index rows looked at in all: how many hidden events may lie between the time and the answer.
const MAX_SCANNED: usize = 10_000;

/// A room's events in the order of their times, some at once.
pub(crate) struct ByTime {
    room: OwnedRoomId,
    range: Range<(OwnedRoomId, u64, gatehouse_store::Position)>,
    direction: Direction,
    rows_left: usize,
}

impl ByTime {
    /// From a time on, forward or back, through this many rows of the index.
    pub(crate) fn new(room_id: &RoomId, ts_ms: u64, direction: Direction, rows: usize) -> Self {
        let room = room_id.to_owned();
        let range = Range::prefix(&(room.clone(),));
        let range = match direction {
            Direction::Forward => range.from(&(room.clone(), ts_ms)),
            Direction::Backward => range.through(&(room.clone(), ts_ms)),
        };
        Self {
            room,
            range,
            direction,
            rows_left: rows,
        }
    }

    /// The next ones; `None`: there are no more, or too many were looked at.
    pub(crate) async fn next(&mut self, rooms: &Rooms) -> Result<Option<Vec<StoredEvent>>, StoreError> {
        let rows = rooms
            .store
            .scan(
                &TIMESTAMPS,
                &self.range,
                self.direction,
                BATCH.min(self.rows_left),
            )
            .await?;
        self.rows_left = self.rows_left.saturating_sub(BATCH);
        let Some(((_, last_ts, last_position), _)) = rows.last() else {
            return Ok(None);
        };
        let last = (self.room.clone(), *last_ts, *last_position);
        self.range = match self.direction {
            Direction::Forward => self.range.clone().after(&last),
            Direction::Backward => self.range.clone().before(&last),
        };
        let positions: Vec<_> = rows.iter().map(|((_, _, position), _)| *position).collect();
        rooms.timeline_rows(&self.room, &positions).await.map(Some)
    }
}

impl Rooms {
    /// The first event at or after `ts_ms` going forward, the last at or before it going back, and its time.
    pub async fn event_by_timestamp(
        &self,
        user: &UserId,
        room_id: &RoomId,
        ts_ms: u64,
        direction: Direction,
    ) -> Result<(OwnedEventId, u64), ReadError> {
        let view = self.view(room_id, user).await?;
        let mut events = ByTime::new(room_id, ts_ms, direction, MAX_SCANNED);
        while let Some(some) = events.next(self).await? {
            let found = some.into_iter().find(|event| view.timeline.sees(event.sight()));
            if let Some(event) = found {
                return Ok((event.event_id().to_owned(), event.origin_server_ts()));
            }
        }
        Err(ReadError::NothingNearTimestamp(match direction {
            Direction::Forward => "after",
            Direction::Backward => "before",
        }))
    }
}
