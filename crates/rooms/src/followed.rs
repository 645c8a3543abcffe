//! What those who follow rooms read: a user's memberships and what changed, by position.

use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::{OwnedEventId, OwnedRoomId, RoomId, UserId, events::room::member::MembershipState};
use serde_json::value::RawValue;

use crate::{
    Rooms, StoredEvent,
    tables::{FILLED, HEADS, MEMBERSHIP_CHANGES, MEMBERSHIPS, MemberCounts, STATE_CHANGES, TIMELINE},
};

/// Rows read at once.
const BATCH: usize = 1_000;

/// How a user stands to a room now.
#[derive(Debug, Clone)]
pub struct CurrentMembership {
    /// The room.
    pub room_id: OwnedRoomId,
    /// How the user stands to it.
    pub membership: MembershipState,
    /// The event that made it so.
    pub event_id: OwnedEventId,
    /// Since when it is so.
    pub position: Position,
    /// Where that event is.
    pub place: Position,
    /// Whether the user wants to hear no more of the room.
    pub forgotten: bool,
    /// For invites and knocks: the stripped state that came along. What is not a list counts as empty (X01).
    pub stripped_state: Vec<Box<RawValue>>,
}

/// A change of a room's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// Since when it holds.
    pub position: Position,
    /// The type of the state.
    pub kind: String,
    /// Its key.
    pub state_key: String,
    /// Where the event is that set it, mostly at the same position; `None`: there is no such state any more.
    pub place: Option<Position>,
}

impl Rooms {
    /// How the user stands to every room that they have had to do with, as it is now.
    pub async fn current_memberships(&self, user: &UserId) -> Result<Vec<CurrentMembership>, StoreError> {
        let mut range = Range::prefix(&(user.to_owned(),));
        let mut memberships = Vec::new();
        loop {
            let rows = self
                .store
                .scan(&MEMBERSHIPS, &range, Direction::Forward, BATCH)
                .await?;
            let full = rows.len() == BATCH;
            if let (true, Some(((_, room), _))) = (full, rows.last()) {
                let end = Range::prefix(&(user.to_owned(),));
                range = end.after(&(user.to_owned(), room.clone()));
            }
            memberships.extend(rows.into_iter().map(|((_, room_id), row)| CurrentMembership {
                room_id,
                stripped_state: serde_json::from_str(&row.stripped_state).unwrap_or_default(),
                membership: row.membership,
                event_id: row.event_id,
                position: row.position,
                place: row.place,
                forgotten: row.forgotten,
            }));
            if !full {
                return Ok(memberships);
            }
        }
    }

    /// The rooms to which the user's standing changed after one position, up to and including another, in order.
    pub async fn membership_changes(
        &self,
        user: &UserId,
        after: Position,
        through: Position,
    ) -> Result<Vec<OwnedRoomId>, StoreError> {
        let mut after = after;
        let mut rooms = Vec::new();
        while after < through {
            let range = Range::all()
                .after(&(user.to_owned(), after))
                .through(&(user.to_owned(), through));
            let rows = self
                .store
                .scan(&MEMBERSHIP_CHANGES, &range, Direction::Forward, BATCH)
                .await?;
            let full = rows.len() == BATCH;
            after = rows.last().map_or(through, |((_, position), _)| *position);
            rooms.extend(rows.into_iter().map(|(_, row)| row.room_id));
            if !full {
                break;
            }
        }
        Ok(rooms)
    }

    /// The changes of the room's state after one position, up to and including another, in order; at most `limit`.
    pub async fn state_changes(
        &self,
        room_id: &RoomId,
        after: Position,
        through: Position,
        limit: usize,
    ) -> Result<Vec<StateChange>, StoreError> {
        let mut after = after;
        let mut changes = Vec::new();
        while after < through && changes.len() < limit {
            let range = Range::all()
                .after(&(room_id.to_owned(), after))
                .through(&(room_id.to_owned(), through));
            let batch = BATCH.min(limit - changes.len());
            let rows = self
                .store
                .scan(&STATE_CHANGES, &range, Direction::Forward, batch)
                .await?;
            let full = rows.len() == batch;
            after = rows.last().map_or(through, |((_, position), _)| *position);
            changes.extend(rows.into_iter().map(|((_, position), row)| StateChange {
                position,
                kind: row.kind,
                state_key: row.state_key,
                place: row.event.map(|(_, place)| place),
            }));
            if !full {
                break;
            }
        }
        Ok(changes)
    }

    /// Where the room, which had been joined without its members, became whole. Who has read it before has read less than
    /// all of its state, of which no change tells.
    pub async fn filled_at(&self, room_id: &RoomId) -> Result<Option<Position>, StoreError> {
        let filled = self.store.get(&FILLED, &(room_id.to_owned(),)).await?;
        Ok(filled.map(|(position,)| position))
    }

    /// How many users have which membership, as of the last commit that can be seen.
    pub async fn member_counts(&self, room_id: &RoomId) -> Result<MemberCounts, StoreError> {
        let head = self.store.get(&HEADS, &(room_id.to_owned(),)).await?;
        Ok(head.map(|head| head.counts).unwrap_or_default())
    }

    /// The events at these places of the room, in the order asked; those that are not there are left out.
    pub async fn events_at(
        &self,
        room_id: &RoomId,
        positions: &[Position],
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.timeline_rows(room_id, positions).await
    }

    /// The PDUs of events of the room, as JSON, in the order asked; those that are not there are left out.
    pub async fn pdus(&self, room_id: &RoomId, positions: &[Position]) -> Result<Vec<String>, StoreError> {
        let keys: Vec<_> = positions.iter().map(|at| (room_id.to_owned(), *at)).collect();
        let rows = self.store.get_many(&TIMELINE, &keys).await?;
        Ok(rows.into_iter().flatten().map(|row| row.pdu).collect())
    }
}
