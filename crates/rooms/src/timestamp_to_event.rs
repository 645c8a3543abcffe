//! `GET /rooms/{roomId}/timestamp_to_event`: the visible event nearest to a time.

use gatehouse_store::{Direction, Range};
use ruma::{OwnedEventId, RoomId, UserId};

use crate::{Rooms, read_error::ReadError, tables::TIMESTAMPS};

/// Index rows read at once.
const BATCH: usize = 100;
/// Index rows looked at in all: how many hidden events may lie between the time and the answer.
const MAX_SCANNED: usize = 10_000;

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
        let room = room_id.to_owned();
        let mut range = Range::prefix(&(room.clone(),));
        range = match direction {
            Direction::Forward => range.from(&(room.clone(), ts_ms)),
            Direction::Backward => range.through(&(room.clone(), ts_ms)),
        };
        let mut scanned = 0;
        while scanned < MAX_SCANNED {
            let rows = self.store.scan(&TIMESTAMPS, &range, direction, BATCH).await?;
            scanned += BATCH;
            let Some(((_, last_ts, last_position), _)) = rows.last() else {
                break;
            };
            let last = (room.clone(), *last_ts, *last_position);
            range = match direction {
                Direction::Forward => range.after(&last),
                Direction::Backward => range.before(&last),
            };
            let positions: Vec<_> = rows.iter().map(|((_, _, position), _)| *position).collect();
            let events = self.timeline_rows(room_id, &positions).await?;
            let found = events.into_iter().find(|event| view.timeline.sees(event.sight()));
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
