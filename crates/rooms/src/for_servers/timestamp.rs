//! The event nearest to a time (`GET /timestamp_to_event`).

use gatehouse_store::Direction;
use ruma::{OwnedEventId, RoomId, ServerName};

use super::sight::ServerSight;
use crate::{Rooms, peer_error::PeerError, timestamp_to_event::ByTime};

/// Events that are looked at: whether a server may see one costs more than for a user.
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
        let mut events = ByTime::new(room_id, ts_ms, direction, MAX_SCANNED);
        while let Some(some) = events.next(self).await? {
            for stored in some {
                if stored.standing.is_shown() && sight.sees(&stored.event).await? {
                    return Ok((stored.event_id().to_owned(), stored.origin_server_ts()));
                }
            }
        }
        Err(PeerError::NoSuchEvent)
    }
}
