//! The event nearest to a time (`GET /timestamp_to_event`).

use gatehouse_store::{Direction, Range};
use ruma::{OwnedEventId, RoomId, ServerName};

use super::sight::ServerSight;
use crate::{Rooms, peer_error::PeerError, tables::TIMESTAMPS};

/// Index rows read at once, and in all.
const BATCH: usize = 50;
const MAX_SCANNED: usize = 500;

impl Rooms {
    /// The first event at or after `ts_ms` going forward, the last at or before it going back, and its time.
    pub async fn timestamp_to_event_for_server(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        ts_ms: u64,
        direction: Direction,
    ) -> Result<(OwnedEventId, u64), PeerError> {
        let head = self.room_of_member(origin, room_id).await?;
        let sight = ServerSight::new(self, &head, origin).await?;
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
            for stored in self.timeline_rows(room_id, &positions).await? {
                if stored.standing.is_shown() && sight.sees(&stored.event).await? {
                    return Ok((stored.event_id().to_owned(), stored.origin_server_ts()));
                }
            }
        }
        Err(PeerError::NoSuchEvent)
    }
}
